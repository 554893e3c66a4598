//! Divergences against integrals of densities.

use crate::integrate::{Line, f64s, n, near, one, vector};
use lazulite::distributions::*;
use lazulite::prelude::*;

fn integrated(p: &impl Distribution, q: &impl Distribution, low: f64, high: f64) -> f64 {
    let line = Line::new(low, high);
    let x = line.tensor();
    let (p, q) = (f64s(&p.log_prob(&x)), f64s(&q.log_prob(&x)));
    line.integral(
        p.iter()
            .zip(&q)
            .map(|(p, q)| if *p < -600.0 { 0.0 } else { p.exp() * (p - q) }),
    )
}

macro_rules! compare {
    ($low:expr, $high:expr; $($p:expr => $($q:expr),+;)*) => {$($(
        let (p, q) = ($p, $q);
        let name = stringify!($p => $q);
        near(name, one(&kl_divergence(&p, &q)), integrated(&p, &q, $low, $high), 1e-5);
    )+)*};
}

const INFINITY: f64 = f64::INFINITY;

#[test]
fn on_the_line() {
    compare! { -INFINITY, INFINITY;
        Normal::new(n(0.3), n(0.8)) => Normal::new(n(-0.4), n(1.3)),
            Gumbel::new(n(0.2), n(1.1)), Laplace::new(n(0.2), n(1.1));
        Laplace::new(n(0.3), n(0.8)) => Laplace::new(n(-0.4), n(1.3)),
            Normal::new(n(0.2), n(1.1));
        Gumbel::new(n(0.3), n(0.8)) => Gumbel::new(n(-0.4), n(1.3)),
            Normal::new(n(0.2), n(1.1));
        Cauchy::new(n(0.3), n(0.8)) => Cauchy::new(n(-0.4), n(1.3));
    }
}

#[test]
fn above_zero() {
    compare! { 0.0, INFINITY;
        Exponential::new(n(1.3)) => Exponential::new(n(0.6)), Gamma::new(n(1.7), n(0.9)),
            Gumbel::new(n(0.2), n(1.1)), Normal::new(n(0.2), n(1.1));
        Gamma::new(n(2.3), n(1.4)) => Gamma::new(n(1.7), n(0.9)), Exponential::new(n(0.6)),
            Gumbel::new(n(0.2), n(1.1)), Normal::new(n(0.2), n(1.1));
        HalfNormal::new(n(0.8)) => HalfNormal::new(n(1.5));
        LogNormal::new(n(0.1), n(0.8)) => LogNormal::new(n(0.3), n(1.1));
        Chi2::new(n(3.0)) => Chi2::new(n(4.5));
    }
    compare! { 1.4, INFINITY;
        Pareto::new(n(1.4), n(6.0)) => Pareto::new(n(1.1), n(2.0)), Exponential::new(n(0.6)),
            Gamma::new(n(1.7), n(0.9)), Normal::new(n(0.2), n(1.1));
    }
}

#[test]
fn between_two_numbers() {
    compare! { 0.0, 1.0;
        Beta::new(n(1.5), n(2.5)) => Beta::new(n(0.7), n(1.1)), Exponential::new(n(0.6)),
            ContinuousBernoulli::new(n(0.3)), Gamma::new(n(1.7), n(0.9)),
            Normal::new(n(0.2), n(1.1)), Uniform::new(n(-1.0), n(1.5));
        ContinuousBernoulli::new(n(0.3)) => ContinuousBernoulli::new(n(0.8)),
            Exponential::new(n(0.6)), Normal::new(n(0.2), n(1.1)),
            Uniform::new(n(-1.0), n(1.5));
    }
    compare! { 0.2, 0.7;
        Uniform::new(n(0.2), n(0.7)) => Uniform::new(n(0.1), n(1.0)),
            Beta::new(n(0.7), n(1.1)), ContinuousBernoulli::new(n(0.3)),
            Exponential::new(n(0.6)), Gamma::new(n(1.7), n(0.9)), Gumbel::new(n(0.2), n(1.1)),
            Normal::new(n(0.2), n(1.1)), Pareto::new(n(0.1), n(2.0));
    }
}

fn summed(p: &impl Distribution, q: &impl Distribution, count: usize) -> f64 {
    let values: Vec<f64> = (0..count).map(|k| k as f64).collect();
    let (p, q) = (
        f64s(&p.log_prob(&vector(&values))),
        f64s(&q.log_prob(&vector(&values))),
    );
    p.iter()
        .zip(&q)
        .map(|(p, q)| if *p < -600.0 { 0.0 } else { p.exp() * (p - q) })
        .sum()
}

#[test]
fn of_whole_numbers() {
    let check = |name: &str, got: Tensor, expected: f64| near(name, one(&got), expected, 1e-9);
    let (p, q) = (Bernoulli::new(n(0.3)), Bernoulli::new(n(0.6)));
    check("bernoulli", kl_divergence(&p, &q), summed(&p, &q, 2));
    let q = Poisson::new(n(0.8));
    check(
        "bernoulli poisson",
        kl_divergence(&p, &q),
        summed(&p, &q, 2),
    );
    let (p, q) = (Binomial::new(n(7.0), n(0.3)), Binomial::new(n(7.0), n(0.6)));
    check("binomial", kl_divergence(&p, &q), summed(&p, &q, 8));
    let (p, q) = (Geometric::new(n(0.3)), Geometric::new(n(0.6)));
    check("geometric", kl_divergence(&p, &q), summed(&p, &q, 200));
    let (p, q) = (Poisson::new(n(3.0)), Poisson::new(n(2.0)));
    check("poisson", kl_divergence(&p, &q), summed(&p, &q, 80));
    let weights = |w: [f64; 3]| vector(&w);
    let (a, b) = (weights([1.0, 2.0, 3.0]), weights([3.0, 1.0, 1.0]));
    let (p, q) = (Categorical::new(&a), Categorical::new(&b));
    check("categorical", kl_divergence(&p, &q), summed(&p, &q, 3));
    let divergence = kl_divergence(&OneHotCategorical::new(&a), &OneHotCategorical::new(&b));
    let (p, q) = ([1.0 / 6.0, 1.0 / 3.0, 0.5f64], [0.6, 0.2, 0.2]);
    let each = p.iter().zip(q).map(|(p, q)| p * (p / q).ln());
    near("one_hot", one(&divergence), each.sum(), 1e-9);
}

#[test]
fn of_vectors_and_impossible_values() {
    let (a, b) = (vector(&[1.5, 2.5]), vector(&[0.7, 1.1]));
    let beta = kl_divergence(&Beta::new(n(1.5), n(2.5)), &Beta::new(n(0.7), n(1.1)));
    let shares = kl_divergence(&Dirichlet::new(&a), &Dirichlet::new(&b));
    near("dirichlet", one(&shares), one(&beta), 1e-12);
    let normal = |m: f64| Normal::new(vector(&[m, 0.5]), n(1.2));
    let parts = f64s(&kl_divergence(&normal(0.0), &normal(1.0)));
    let joint = kl_divergence(
        &Independent::new(normal(0.0), 1),
        &Independent::new(normal(1.0), 1),
    );
    near("independent", one(&joint), parts[0] + parts[1], 1e-12);
    let exp = |m: f64| TransformedDistribution::new(normal(m), vec![Transform::Exp]);
    assert_eq!(f64s(&kl_divergence(&exp(0.0), &exp(1.0))), parts);
    let other = TransformedDistribution::new(normal(0.0), vec![Transform::Tanh]);
    assert!(kl_divergence(&exp(0.0), &other).check().is_err());
    let infinite = [
        kl_divergence(&normal(0.0), &Uniform::new(n(-9.0), n(9.0))),
        kl_divergence(&Uniform::new(n(0.0), n(2.0)), &Uniform::new(n(0.5), n(3.0))),
        kl_divergence(&Pareto::new(n(1.0), n(1.5)), &Normal::new(n(0.0), n(1.0))),
        kl_divergence(&Poisson::new(n(1.0)), &Bernoulli::new(n(0.5))),
    ];
    for x in infinite {
        assert!(f64s(&x).iter().all(|v| *v == f64::INFINITY));
    }
}
