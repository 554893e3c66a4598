//! Optimisers and schedules: one program for all steps, refusals, states, closed forms.

use lazulite::ErrorKind;
use lazulite::nn::Param;
use lazulite::optim::*;
use lazulite::prelude::*;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Compilations are counted in the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn param(dims: [usize; 2]) -> Param {
    Param::new(Generator::new(1).randn(dims).realize().unwrap())
}

/// Steps with other rates and momenta each time; gives how many programs the later ones compiled.
fn compiled_later<R: Rule>(rule: R) -> u64 {
    let param = param([3, 4]);
    let mut optimizer = Descent::with(vec![param.clone()], 0.1, rule);
    let mut later = 0;
    for step in 0..5 {
        optimizer.set_rates(&[0.1 / (step + 1) as f64]).unwrap();
        if optimizer.momenta()[0].is_some() {
            let momentum = 0.8 + 0.01 * step as f64;
            optimizer.set_momenta(&[momentum]).unwrap();
        }
        let before = lazulite::cache_stats().compilations;
        let loss = param.get().square().sum(..);
        optimizer.step(&loss).unwrap();
        if step > 0 {
            later += lazulite::cache_stats().compilations - before;
        }
    }
    let values = param.get().to_vec::<f32>().unwrap();
    assert!(values.iter().all(|v| v.is_finite()));
    later
}

#[test]
fn every_rule_is_compiled_once_whatever_rates_and_momenta_do() {
    let _alone = alone();
    let momentum = SgdSettings {
        momentum: 0.9,
        ..SgdSettings::default()
    };
    let centred = RmsPropSettings {
        centered: true,
        momentum: 0.5,
        ..RmsPropSettings::default()
    };
    let later = [
        compiled_later(momentum),
        compiled_later(AdamSettings::default()),
        compiled_later(AdamWSettings::default()),
        compiled_later(AdamaxSettings::default()),
        compiled_later(AdadeltaSettings::default()),
        compiled_later(AdafactorSettings::default()),
        compiled_later(AdagradSettings::default()),
        compiled_later(AsgdSettings::default()),
        compiled_later(NAdamSettings::default()),
        compiled_later(RAdamSettings::default()),
        compiled_later(centred),
        compiled_later(RpropSettings::default()),
        compiled_later(SparseAdamSettings::default()),
        compiled_later(MuonSettings::default()),
    ];
    assert_eq!(later, [0; 14]);
}

#[test]
fn states_go_on_bit_by_bit() {
    let _alone = alone();
    let settings = NAdamSettings {
        weight_decay: 0.1,
        ..NAdamSettings::default()
    };
    let make = |param: &Param| NAdam::with(vec![param.clone()], 0.05, settings);
    let step = |param: &Param, optimizer: &mut NAdam| {
        let loss = (param.get() - 1.0).square().sum(..);
        optimizer.step(&loss).unwrap();
    };
    let whole = param([2, 3]);
    let mut optimizer = make(&whole);
    step(&whole, &mut optimizer);
    step(&whole, &mut optimizer);
    let saved = (whole.get().detach(), optimizer.state_dict());
    assert!(saved.1.contains_key("0.mu_product") && saved.1.contains_key("groups.0.momentum"));
    step(&whole, &mut optimizer);
    let again = Param::new(saved.0);
    let mut optimizer = make(&again);
    optimizer.load_state_dict(&saved.1).unwrap();
    step(&again, &mut optimizer);
    let bits = |p: &Param| p.get().with_bytes(<[u8]>::to_vec).unwrap();
    assert_eq!(bits(&whole), bits(&again));
}

#[test]
fn complex_parameters_are_pairs_of_numbers() {
    let _alone = alone();
    let pairs = Generator::new(3).randn([4, 2]).realize().unwrap();
    let (complex, real) = (Param::new(pairs.view_as_complex()), Param::new(pairs));
    let mut both = [
        Adam::new(vec![complex.clone()], 0.1),
        Adam::new(vec![real.clone()], 0.1),
    ];
    for _ in 0..3 {
        let loss = complex.get().view_as_real().square().sum(..);
        both[0].step(&loss).unwrap();
        both[1].step(&real.get().square().sum(..)).unwrap();
    }
    let values = |t: Tensor| t.to_vec::<f32>().unwrap();
    assert_eq!(values(complex.get().view_as_real()), values(real.get()));
}

#[test]
fn wrong_settings_and_parameters_are_refused() {
    let _alone = alone();
    let one = || vec![param([2, 2])];
    let refused = |optimizer: &dyn Optimizer, part: &str| {
        let error = optimizer.check().unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    };
    refused(&Sgd::new(one(), -1.0), "the learning rate is -1");
    refused(&Adam::new(one(), f64::NAN), "the learning rate is NaN");
    let settings = AdamSettings {
        betas: (1.0, 0.9),
        ..AdamSettings::default()
    };
    refused(&Adam::with(one(), 0.1, settings), "the first of betas is 1");
    let twice = param([2, 2]);
    refused(
        &Adam::new(vec![twice.clone(), twice], 0.1),
        "parameter 1 occurs twice",
    );
    let vector = Param::new(Tensor::zeros([3]));
    refused(&Muon::new(vec![vector], 0.1), "for matrices");
    let mut without = Sgd::new(one(), 0.1);
    assert!(without.set_momenta(&[0.5]).is_err());
    assert!(Scheduler::new(&mut without, OneCycleLr::new(0.1, 10).unwrap()).is_err());
    // Steps refuse as well, and nothing changes.
    let kept = param([2, 2]);
    let mut wrong = Adam::new(vec![kept.clone()], -0.1);
    let before = kept.get().to_vec::<f32>().unwrap();
    assert!(wrong.step(&kept.get().sum(..)).is_err());
    assert_eq!(kept.get().to_vec::<f32>().unwrap(), before);
}

#[test]
fn closed_forms_are_what_steps_lead_to() {
    let schedules: Vec<Box<dyn Schedule>> = vec![
        Box::new(StepLr {
            size: 3,
            gamma: 0.5,
        }),
        Box::new(MultiStepLr {
            milestones: vec![7, 2, 7],
            gamma: 0.5,
        }),
        Box::new(ExponentialLr { gamma: 0.9 }),
        Box::new(ConstantLr::default()),
        Box::new(LinearLr::default()),
        Box::new(PolynomialLr {
            total: 8,
            power: 2.0,
        }),
        Box::new(CosineAnnealingLr {
            period: 4,
            low: 0.01,
        }),
        Box::new(LambdaLr(|time| 1.0 / (1.0 + time as f64))),
        Box::new(SequentialLr::new(LinearLr::default()).then(
            5,
            StepLr {
                size: 2,
                gamma: 0.1,
            },
        )),
    ];
    for (i, schedule) in schedules.iter().enumerate() {
        let mut now = 0.3;
        for time in 0..20 {
            now = schedule.next(0.3, now, time);
            let closed = schedule.rate(0.3, time);
            assert!(
                (now - closed).abs() < 1e-12,
                "{i} at {time}: {now} {closed}"
            );
        }
    }
}

#[test]
fn schedulers_resume_where_they_were() {
    let mut optimizer = Sgd::new(vec![param([1, 1])], 0.4);
    let chain = || ChainedLr::new(ConstantLr::default()).and(ExponentialLr { gamma: 0.5 });
    let mut scheduler = Scheduler::new(&mut optimizer, chain()).unwrap();
    for _ in 0..4 {
        scheduler.step(&mut optimizer).unwrap();
    }
    let mut resumed = Scheduler::resume(chain(), scheduler.bases().to_vec(), scheduler.time());
    let mut other = Sgd::new(vec![param([1, 1])], optimizer.rates()[0]);
    scheduler.step(&mut optimizer).unwrap();
    resumed.step(&mut other).unwrap();
    assert_eq!(optimizer.rates(), other.rates());
}

#[test]
fn schedules_refuse_changes_after_no_steps() {
    let step = |size| StepLr { size, gamma: 0.5 };
    let cosine = |period| CosineAnnealingLr { period, low: 0.0 };
    let restarts = |period, growth| CosineAnnealingWarmRestarts {
        period,
        growth,
        low: 0.0,
    };
    let refused: Vec<Box<dyn Schedule>> = vec![
        Box::new(step(0)),
        Box::new(cosine(0)),
        Box::new(restarts(0, 1)),
        Box::new(restarts(3, 0)),
        Box::new(CyclicLr::new(0.1, 1.0, 0)),
        Box::new(SequentialLr::new(step(1)).then(5, step(0))),
        Box::new(ChainedLr::new(step(1)).and(cosine(0))),
    ];
    for (i, schedule) in refused.into_iter().enumerate() {
        let mut optimizer = Sgd::new(vec![param([1, 1])], 0.1);
        for error in [
            schedule.step(&mut optimizer, &[0.1], 1).err(),
            Scheduler::new(&mut optimizer, schedule).err(),
        ] {
            let error = error.unwrap_or_else(|| panic!("schedule {i} is accepted"));
            assert_eq!(error.kind(), ErrorKind::Argument, "{error}");
            assert_eq!(error.place().unwrap().file(), file!(), "{error}");
        }
        assert_eq!(optimizer.rates(), [0.1]);
    }
}
