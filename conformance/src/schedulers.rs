//! Schedules: a case gives the initial rates of groups, and what rates (and momenta) are after each step.

use crate::corpus::{CorpusError, Document};
use crate::optim::{Settings, list, report, text, tolerance};
use crate::report::{OpReport, Verdict};
use lazulite::Tensor;
use lazulite::nn::Param;
use lazulite::optim::*;
use serde_json::Value as Json;
use std::path::Path;

/// Runs the cases of one schedule.
pub fn run(file: &Path) -> Result<OpReport, CorpusError> {
    report(file, &|_: &Document, case| {
        Ok(match check(case) {
            Ok(()) => Verdict::Passed,
            Err(Problem::Unsupported(reason)) => Verdict::Unsupported(reason),
            Err(Problem::Differs(how)) => Verdict::Failed(how),
        })
    })
}

enum Problem {
    Unsupported(String),
    Differs(String),
}

impl From<lazulite::Error> for Problem {
    fn from(error: lazulite::Error) -> Problem {
        Problem::Differs(error.to_string())
    }
}

impl From<String> for Problem {
    fn from(message: String) -> Problem {
        Problem::Unsupported(message)
    }
}

/// An optimiser with a group for each rate.
fn optimizer(case: &Json) -> Box<dyn Optimizer> {
    fn groups<R: Rule + 'static>(case: &Json, rule: impl Fn() -> R) -> Box<dyn Optimizer> {
        let rates = list(case, "initial_lrs").iter().filter_map(Json::as_f64);
        let group = |rate| Group::new(vec![Param::new(Tensor::zeros([1]))], rule(), rate);
        Box::new(Descent::groups(rates.map(group).collect()))
    }
    match text(case, "optimizer").starts_with("Adam") {
        true => groups(case, AdamSettings::default),
        false => groups(case, || SgdSettings {
            momentum: 0.9,
            ..SgdSettings::default()
        }),
    }
}

fn check(case: &Json) -> Result<(), Problem> {
    let mut optimizer = optimizer(case);
    let mut settings = Settings::of(case.get("kwargs"));
    let name = text(case, "scheduler");
    let rows = list(case, "lrs");
    if name == "ReduceLROnPlateau" {
        let mut plateau = plateau(&mut settings)?;
        settings.finish()?;
        compare(case, &*optimizer, rows, 0)?;
        for (i, metric) in list(case, "metrics").iter().enumerate() {
            plateau.step(&mut *optimizer, metric.as_f64().unwrap_or(f64::NAN))?;
            compare(case, &*optimizer, rows, i + 1)?;
        }
        return Ok(());
    }
    let schedule = schedule(name, &mut settings)?;
    settings.finish()?;
    let mut scheduler = Scheduler::new(&mut *optimizer, schedule)?;
    compare(case, &*optimizer, rows, 0)?;
    for row in 1..rows.len() {
        scheduler.step(&mut *optimizer)?;
        compare(case, &*optimizer, rows, row)?;
    }
    Ok(())
}

fn compare(
    case: &Json,
    optimizer: &dyn Optimizer,
    rows: &[Json],
    row: usize,
) -> Result<(), Problem> {
    let tolerance = tolerance(case);
    let momenta = optimizer.momenta().into_iter().flatten().collect();
    let both = [
        ("rate", optimizer.rates(), rows.get(row)),
        ("momentum", momenta, list(case, "momentums").get(row)),
    ];
    for (what, found, expected) in both {
        let expected = expected
            .and_then(Json::as_array)
            .map_or(&[][..], Vec::as_slice);
        for (group, (found, expected)) in found.into_iter().zip(expected).enumerate() {
            let expected = expected.as_f64().unwrap_or(f64::NAN);
            let allowed = tolerance.atol + tolerance.rtol * expected.abs();
            let close = (found - expected).abs() <= allowed;
            if !close {
                let how = format!(
                    "step {row}, {what} of group {group}: got {found}, expected {expected}"
                );
                return Err(Problem::Differs(how));
            }
        }
    }
    Ok(())
}

fn plateau(settings: &mut Settings) -> Result<ReduceLrOnPlateau, String> {
    let mut own = ReduceLrOnPlateau::new();
    if settings.word("mode").as_deref() == Some("max") {
        own.goal = Goal::Most;
    }
    settings.number("factor", &mut own.factor)?;
    settings.count("patience", &mut own.patience)?;
    let mut threshold = 1e-4;
    settings.number("threshold", &mut threshold)?;
    own.threshold = match settings.word("threshold_mode").as_deref() {
        Some("abs") => Threshold::Absolute(threshold),
        _ => Threshold::Relative(threshold),
    };
    settings.count("cooldown", &mut own.cooldown)?;
    settings.number("min_lr", &mut own.low)?;
    settings.number("eps", &mut own.eps)?;
    Ok(own)
}

/// A schedule by PyTorch's name.
fn schedule(name: &str, s: &mut Settings) -> Result<Box<dyn Schedule>, String> {
    Ok(match name {
        "StepLR" => {
            let mut own = StepLr {
                size: 1,
                gamma: 0.1,
            };
            s.count("step_size", &mut own.size)?;
            s.number("gamma", &mut own.gamma)?;
            Box::new(own)
        }
        "MultiStepLR" => {
            let milestones = counts(s, "milestones");
            let mut own = MultiStepLr {
                milestones,
                gamma: 0.1,
            };
            s.number("gamma", &mut own.gamma)?;
            Box::new(own)
        }
        "ExponentialLR" => {
            let mut own = ExponentialLr { gamma: 1.0 };
            s.number("gamma", &mut own.gamma)?;
            Box::new(own)
        }
        "ConstantLR" => {
            let mut own = ConstantLr::default();
            s.number("factor", &mut own.factor)?;
            s.count("total_iters", &mut own.total)?;
            Box::new(own)
        }
        "LinearLR" => {
            let mut own = LinearLr::default();
            s.number("start_factor", &mut own.start)?;
            s.number("end_factor", &mut own.end)?;
            s.count("total_iters", &mut own.total)?;
            Box::new(own)
        }
        "PolynomialLR" => {
            let mut own = PolynomialLr::default();
            s.count("total_iters", &mut own.total)?;
            s.number("power", &mut own.power)?;
            Box::new(own)
        }
        "LambdaLR" => Box::new(LambdaLr(lambda(s))),
        "MultiplicativeLR" => Box::new(MultiplicativeLr(lambda(s))),
        "SequentialLR" | "ChainedScheduler" => composed(name, s)?,
        _ => annealed(name, s)?,
    })
}

fn counts(settings: &mut Settings, name: &str) -> Vec<u64> {
    let items = settings.items(name).unwrap_or_default();
    items.iter().filter_map(Json::as_u64).collect()
}

/// A function that is given by its values.
fn lambda(settings: &mut Settings) -> impl Fn(u64) -> f64 + use<> {
    let given = settings.0.remove("lr_lambda").unwrap_or_default();
    let values: Vec<f64> = list(&given, "values")
        .iter()
        .filter_map(Json::as_f64)
        .collect();
    move |time| values.get(time as usize).copied().unwrap_or(f64::NAN)
}

fn composed(name: &str, settings: &mut Settings) -> Result<Box<dyn Schedule>, String> {
    let mut inner = Vec::new();
    for item in settings.items("schedulers").unwrap_or_default() {
        let mut own = Settings::of(item.get("kwargs"));
        inner.push(schedule(text(&item, "scheduler"), &mut own)?);
        own.finish()?;
    }
    let mut inner = inner.into_iter();
    let first = inner.next().ok_or("there is no schedule")?;
    if name == "ChainedScheduler" {
        return Ok(Box::new(inner.fold(ChainedLr::new(first), ChainedLr::and)));
    }
    let milestones = counts(settings, "milestones");
    let both = milestones.into_iter().zip(inner);
    let sequence = both.fold(SequentialLr::new(first), |all, (m, s)| all.then(m, s));
    Ok(Box::new(sequence))
}

fn anneal(settings: &mut Settings) -> Anneal {
    match settings.word("anneal_strategy").as_deref() {
        Some("linear") => Anneal::Linear,
        _ => Anneal::Cosine,
    }
}

/// What goes up and down.
fn annealed(name: &str, s: &mut Settings) -> Result<Box<dyn Schedule>, String> {
    Ok(match name {
        "CosineAnnealingLR" => {
            let mut own = CosineAnnealingLr {
                period: 1,
                low: 0.0,
            };
            s.count("T_max", &mut own.period)?;
            s.number("eta_min", &mut own.low)?;
            Box::new(own)
        }
        "CosineAnnealingWarmRestarts" => {
            let mut own = CosineAnnealingWarmRestarts {
                period: 1,
                growth: 1,
                low: 0.0,
            };
            s.count("T_0", &mut own.period)?;
            s.count("T_mult", &mut own.growth)?;
            s.number("eta_min", &mut own.low)?;
            Box::new(own)
        }
        "CyclicLR" => {
            let mut own = CyclicLr::new(0.0, 0.0, 2000);
            s.number("base_lr", &mut own.low)?;
            s.number("max_lr", &mut own.high)?;
            s.count("step_size_up", &mut own.up)?;
            own.down = own.up;
            s.count("step_size_down", &mut own.down)?;
            let mut gamma = 1.0;
            s.number("gamma", &mut gamma)?;
            own.mode = match s.word("mode").as_deref() {
                Some("triangular2") => CycleMode::Halved,
                Some("exp_range") => CycleMode::Exponential(gamma),
                _ => CycleMode::Triangular,
            };
            own.momentum = momenta(s, (0.8, 0.9))?;
            Box::new(own)
        }
        "OneCycleLR" => Box::new(one_cycle(s)?),
        "SWALR" => {
            let mut own = SwaLr::new(0.0);
            s.number("swa_lr", &mut own.to)?;
            s.count("anneal_epochs", &mut own.steps)?;
            own.anneal = anneal(s);
            Box::new(own)
        }
        other => return Err(format!("the schedule {other}")),
    })
}

/// Between which momenta a cycle goes.
fn momenta(settings: &mut Settings, (low, high): (f64, f64)) -> Result<Option<(f64, f64)>, String> {
    let (mut low, mut high, mut moved) = (low, high, true);
    settings.number("base_momentum", &mut low)?;
    settings.number("max_momentum", &mut high)?;
    settings.flag("cycle_momentum", &mut moved)?;
    Ok(moved.then_some((low, high)))
}

fn one_cycle(s: &mut Settings) -> Result<OneCycleLr, String> {
    let (mut max, mut total, mut epochs, mut each) = (0.0, 0, 0, 0);
    s.number("max_lr", &mut max)?;
    s.count("total_steps", &mut total)?;
    s.count("epochs", &mut epochs)?;
    s.count("steps_per_epoch", &mut each)?;
    let total = if total > 0 { total } else { epochs * each };
    let mut own = OneCycleLr::new(max, total).map_err(|e| e.to_string())?;
    s.number("pct_start", &mut own.rise)?;
    s.number("div_factor", &mut own.first_divisor)?;
    s.number("final_div_factor", &mut own.last_divisor)?;
    s.flag("three_phase", &mut own.three_phases)?;
    own.anneal = anneal(s);
    own.momentum = momenta(s, (0.85, 0.95))?;
    Ok(own)
}
