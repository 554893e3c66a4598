//! Distributions of whole numbers: probabilities sum to one, and so on.

use crate::integrate::{f64s, n, near, one, vector};
use lazulite::distributions::*;
use lazulite::prelude::*;

const COUNT: usize = 20_000;

fn cases() -> Vec<(&'static str, Box<dyn Distribution>, usize)> {
    vec![
        ("bernoulli", Box::new(Bernoulli::new(n(0.3))), 2),
        (
            "bernoulli, logits",
            Box::new(Bernoulli::from_logits(n(-0.4))),
            2,
        ),
        ("binomial", Box::new(Binomial::new(n(9.0), n(0.35))), 10),
        (
            "binomial, logits",
            Box::new(Binomial::from_logits(n(40.0), n(0.7))),
            41,
        ),
        ("geometric", Box::new(Geometric::new(n(0.3))), 120),
        ("poisson", Box::new(Poisson::new(n(3.5))), 60),
        (
            "negative_binomial",
            Box::new(NegativeBinomial::new(n(3.5), n(0.4))),
            150,
        ),
        (
            "categorical",
            Box::new(Categorical::new(&vector(&[1.0, 0.0, 2.0, 5.0]))),
            4,
        ),
    ]
}

#[test]
fn probabilities_sum_to_moments_and_entropy() {
    for (name, d, count) in cases() {
        let values: Vec<f64> = (0..count).map(|k| k as f64).collect();
        let logs = f64s(&d.log_prob(&vector(&values)));
        let mean_of = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
            let terms = values.iter().zip(&logs).filter(|(_, l)| **l > -700.0);
            terms.map(|(k, l)| f(*k, *l) * l.exp()).sum()
        };
        near(&format!("{name}: sum"), mean_of(&|_, _| 1.0), 1.0, 1e-9);
        let entropy = d.entropy();
        if entropy.check().is_ok() {
            near(
                &format!("{name}: entropy"),
                one(&entropy),
                mean_of(&|_, l| -l),
                1e-9,
            );
        }
        let mean = one(&d.mean());
        if mean.is_finite() {
            near(&format!("{name}: mean"), mean, mean_of(&|k, _| k), 1e-9);
            let spread = mean_of(&|k, _| (k - mean).powi(2));
            near(
                &format!("{name}: variance"),
                one(&d.variance()),
                spread,
                1e-9,
            );
        }
        let all = d.enumerate_support(false);
        if all.check().is_ok() {
            assert_eq!(f64s(&all), values, "{name}");
        }
    }
}

#[test]
fn draws_have_their_frequencies() {
    manual_seed(32);
    for (name, d, count) in cases() {
        let drawn = f64s(&d.sample(&[COUNT]));
        for k in 0..count.min(20) {
            let p = one(&d.log_prob(&n(k as f64)).exp());
            let p = if p < 1e-6 { 0.0 } else { p };
            let share = drawn.iter().filter(|x| **x == k as f64).count() as f64 / COUNT as f64;
            let off = 5.0 * (p * (1.0 - p) / COUNT as f64).sqrt() + 1e-4;
            assert!((share - p).abs() < off, "{name}, {k}: {share}, not {p}");
        }
    }
}

#[test]
fn what_cannot_be_is_an_error() {
    let failed = [
        Normal::new(0.0, -1.0).sample(&[2]),
        Normal::new(f64::NAN, 1.0).mean(),
        Uniform::new(1.0, 0.0).entropy(),
        Bernoulli::new(1.5).mean(),
        Binomial::new(2.5, 0.5).mean(),
        Poisson::new(-1.0).sample(&[]),
        Categorical::new(&Tensor::full([3], -1.0)).entropy(),
        Categorical::new(&Tensor::full((), 1.0)).entropy(),
        Dirichlet::new(&Tensor::zeros([3])).mean(),
        Exponential::new(1.0).log_prob(&Tensor::full([1], -1.0)),
        Bernoulli::new(0.5).log_prob(&Tensor::full([1], 0.5)),
        Categorical::new(&Tensor::ones([3])).log_prob(&Tensor::full([1], 3.0)),
        Dirichlet::new(&Tensor::ones([3])).log_prob(&Tensor::ones([3])),
        Normal::new(Tensor::zeros([2]), Tensor::ones([3])).mean(),
        Cauchy::new(0.0, 1.0).enumerate_support(true),
        Poisson::new(1.0).rsample(&[2]),
        Poisson::new(1.0).entropy(),
    ];
    for (i, x) in failed.iter().enumerate() {
        assert!(x.to_vec::<f32>().is_err(), "case {i}");
    }
    let error = Normal::new(0.0, -1.0)
        .sample(&[])
        .to_vec::<f32>()
        .unwrap_err();
    assert!(error.to_string().contains("values are positive"), "{error}");
}
