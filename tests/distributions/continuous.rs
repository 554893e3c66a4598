//! Every distribution of numbers: its density is one, its moments, entropy and distribution function
//! are integrals of it, and draws follow it.

use crate::integrate::{Line, f64s, n, near, one};
use lazulite::distributions::*;
use lazulite::prelude::*;

const INFINITY: f64 = f64::INFINITY;
const COUNT: usize = 20_000;

/// A distribution with the ends of its support.
type Case = (&'static str, Box<dyn Distribution>, f64, f64);

fn cases() -> Vec<Case> {
    let minus = f64::NEG_INFINITY;
    fn case(name: &'static str, d: impl Distribution + 'static, low: f64, high: f64) -> Case {
        (name, Box::new(d), low, high)
    }
    vec![
        case("normal", Normal::new(n(0.7), n(1.3)), minus, INFINITY),
        case("uniform", Uniform::new(n(-1.0), n(2.5)), -1.0, 2.5),
        case("laplace", Laplace::new(n(0.3), n(0.8)), minus, INFINITY),
        case("cauchy", Cauchy::new(n(0.3), n(0.8)), minus, INFINITY),
        case("gumbel", Gumbel::new(n(0.3), n(0.8)), minus, INFINITY),
        case("exponential", Exponential::new(n(1.7)), 0.0, INFINITY),
        case("log_normal", LogNormal::new(n(0.2), n(0.5)), 0.0, INFINITY),
        case("half_normal", HalfNormal::new(n(1.4)), 0.0, INFINITY),
        case("half_cauchy", HalfCauchy::new(n(1.4)), 0.0, INFINITY),
        case("weibull", Weibull::new(n(1.4), n(1.8)), 0.0, INFINITY),
        case("pareto", Pareto::new(n(1.5), n(9.0)), 1.5, INFINITY),
        case("kumaraswamy", Kumaraswamy::new(n(1.5), n(2.5)), 0.0, 1.0),
        case("gamma", Gamma::new(n(2.5), n(1.5)), 0.0, INFINITY),
        case("gamma, small", Gamma::new(n(0.3), n(1.5)), 0.0, INFINITY),
        case("gamma, large", Gamma::new(n(30.0), n(2.0)), 0.0, INFINITY),
        case("chi2", Chi2::new(n(3.0)), 0.0, INFINITY),
        case("beta", Beta::new(n(0.8), n(2.5)), 0.0, 1.0),
        case(
            "student_t",
            StudentT::new(n(7.0), n(0.5), n(1.2)),
            minus,
            INFINITY,
        ),
        case(
            "fisher_snedecor",
            FisherSnedecor::new(n(4.0), n(12.0)),
            0.0,
            INFINITY,
        ),
        case(
            "von_mises",
            VonMises::new(n(0.4), n(2.0)),
            -std::f64::consts::PI,
            std::f64::consts::PI,
        ),
        case(
            "relaxed_bernoulli",
            RelaxedBernoulli::new(n(0.8), n(0.3)),
            0.0,
            1.0,
        ),
        case(
            "continuous_bernoulli",
            ContinuousBernoulli::new(n(0.2)),
            0.0,
            1.0,
        ),
        case(
            "continuous_bernoulli, even",
            ContinuousBernoulli::new(n(0.5)),
            0.0,
            1.0,
        ),
        case("mixture", mixture(), minus, INFINITY),
        case("transformed", transformed(), bent(0.8), bent(1.6)),
        case(
            "independent",
            Independent::new(Normal::new(n(0.0), n(1.0)), 0),
            minus,
            INFINITY,
        ),
    ]
}

fn mixture() -> MixtureSameFamily<Normal> {
    let pair = |a: f64, b: f64| Tensor::from_vec(vec![a, b], [2]);
    let normal = Normal::new(pair(-1.0, 2.0), pair(0.5, 1.0));
    MixtureSameFamily::new(Categorical::new(&pair(0.3, 0.7)), normal)
}

/// What the last steps of the transformed distribution make of the ends of its third one, which are
/// never reached.
fn bent(x: f64) -> f64 {
    let inside = if x < 1.0 { 1e-9 } else { -1e-9 };
    x.exp().ln_1p().powf(1.5) + inside
}

fn transformed() -> TransformedDistribution<Normal> {
    let steps = vec![
        Transform::affine(n(0.3), n(-0.6)),
        Transform::Tanh,
        Transform::affine(n(1.2), n(0.4)),
        Transform::Softplus,
        Transform::power(n(1.5)),
        Transform::Exp.inverse(),
        Transform::Compose(vec![
            Transform::Sigmoid,
            Transform::Sigmoid.inverse(),
            Transform::Exp,
        ]),
    ];
    TransformedDistribution::new(Normal::new(n(0.0), n(1.0)), steps)
}

#[test]
fn densities_integrate_to_moments_and_entropy() {
    for (name, d, low, high) in cases() {
        let line = Line::new(low, high);
        let logs = f64s(&d.log_prob(&line.tensor()));
        let mean_of = |f: &dyn Fn(f64, f64) -> f64| {
            let points = line.points.iter().zip(&logs);
            line.integral(points.map(|(x, l)| f(*x, *l) * l.exp()))
        };
        near(&format!("{name}: sum"), mean_of(&|_, _| 1.0), 1.0, 1e-6);
        let known = |x: Tensor| x.check().is_ok().then(|| one(&x));
        if let Some(entropy) = known(d.entropy()) {
            near(
                &format!("{name}: entropy"),
                entropy,
                mean_of(&|_, l| -l),
                1e-5,
            );
        }
        if name == "von_mises" {
            continue;
        }
        if let Some(mean) = known(d.mean()).filter(|m| m.is_finite()) {
            near(&format!("{name}: mean"), mean, mean_of(&|x, _| x), 1e-5);
            let variance = known(d.variance()).unwrap();
            let spread = mean_of(&|x, _| (x - mean).powi(2));
            near(&format!("{name}: variance"), variance, spread, 1e-5);
        }
    }
}

#[test]
fn distribution_functions_are_integrals_and_invert() {
    for (name, d, low, high) in cases() {
        for q in [0.1, 0.5, 0.85] {
            let x = d.icdf(&n(q));
            let x = match x.check() {
                Ok(_) => one(&x),
                // Somewhere inside.
                Err(_) if low.is_finite() && high.is_finite() => low + q * (high - low),
                Err(_) => q + low.max(0.0),
            };
            let share = d.cdf(&n(x));
            if share.check().is_err() {
                continue;
            }
            let line = Line::new(low, x);
            let density = f64s(&d.log_prob(&line.tensor()).exp());
            near(
                &format!("{name}: cdf"),
                one(&share),
                line.integral(density.into_iter()),
                1e-5,
            );
            if d.icdf(&n(q)).check().is_ok() {
                near(&format!("{name}: icdf"), one(&share), q, 1e-9);
            }
        }
    }
}

/// Thresholds from one half of the draws; of the other half as many are below as the density says.
#[test]
fn draws_follow_the_density() {
    manual_seed(31);
    for (name, d, low, high) in cases() {
        let drawn = d.sample(&[COUNT]);
        assert_eq!(drawn.dims().unwrap(), [COUNT], "{name}");
        let drawn = f64s(&drawn);
        assert!(drawn.iter().all(|x| (low..=high).contains(x)), "{name}");
        let (first, second) = drawn.split_at(COUNT / 2);
        let mut sorted = first.to_vec();
        sorted.sort_by(f64::total_cmp);
        for q in [0.02, 0.1, 0.35, 0.6, 0.9, 0.99] {
            let x = sorted[(q * sorted.len() as f64) as usize];
            let line = Line::new(low, x);
            let density = f64s(&d.log_prob(&line.tensor()).exp());
            let p = line.integral(density.into_iter());
            let share = second.iter().filter(|y| **y <= x).count() as f64 / second.len() as f64;
            let off = 5.0 * (p * (1.0 - p) / second.len() as f64).sqrt() + 1e-4;
            assert!(
                (share - p).abs() < off,
                "{name} up to {x}: {share}, not {p}"
            );
        }
    }
}

#[test]
fn tails_are_exact_in_f32() {
    let d = Normal::new(0.0, 1.0);
    let p = d.cdf(&Tensor::full([1], -10.0)).to_vec::<f32>().unwrap()[0];
    near("normal tail", f64::from(p), 7.619_853e-24, 1e-6);
    let gamma = Gamma::new(1e-3, 1.0).sample(&[1000]);
    assert!(f64s(&gamma).iter().all(|x| *x > 0.0));
    let beta = f64s(&Beta::new(1e-4, 1e-4).sample(&[1000]));
    assert!(beta.iter().all(|x| (0.0..=1.0).contains(x)));
}
