//! Distributions of vectors, batches, and shapes.

use crate::integrate::{Line, f64s, n, near, one, vector};
use lazulite::distributions::*;
use lazulite::prelude::*;

const COUNT: usize = 20_000;

/// Pairs of shares along the line from 0 to 1.
fn pairs(line: &Line) -> Tensor {
    let x = line.tensor();
    Tensor::stack(&[&x, &x.neg().add(1)], -1)
}

#[test]
fn densities_of_shares_integrate_to_one() {
    let line = Line::new(0.0, 1.0);
    let cases: [(&str, Box<dyn Distribution>); 3] = [
        ("dirichlet", Box::new(Dirichlet::new(&vector(&[1.5, 2.5])))),
        (
            "relaxed",
            Box::new(RelaxedOneHotCategorical::new(0.9, &vector(&[0.3, 0.7]))),
        ),
        (
            "logistic_normal",
            Box::new(LogisticNormal::new(vector(&[0.4]), vector(&[0.8]))),
        ),
    ];
    for (name, d) in cases {
        let logs = f64s(&d.log_prob(&pairs(&line)));
        near(name, line.integral(logs.iter().map(|l| l.exp())), 1.0, 1e-6);
        let first = line.points.iter().zip(&logs).map(|(x, l)| x * l.exp());
        let mean = line.integral(first);
        manual_seed(41);
        let drawn = d.sample(&[COUNT]);
        assert_eq!(drawn.dims().unwrap(), [COUNT, 2]);
        let (got, spread) = (drawn.mean(0), drawn.std(0));
        let off = 5.0 * f64s(&spread)[0] / (COUNT as f64).sqrt();
        assert!((f64s(&got)[0] - mean).abs() < off, "{name}");
        near(
            name,
            f64s(&drawn.sum(-1))
                .iter()
                .fold(0.0, |a: f64, b| a.max((b - 1.0).abs())),
            0.0,
            1e-12,
        );
    }
}

fn factor() -> Tensor {
    vector(&[1.5, 0.0, 0.0, -0.4, 0.8, 0.0, 0.3, 0.2, 1.1]).reshape([3, 3])
}

/// The same distribution, however it is given.
#[test]
fn covariances_are_given_in_several_ways() {
    let loc = vector(&[0.5, -1.0, 2.0]);
    let few = factor().narrow(1, 0, 2);
    let low = LowRankMultivariateNormal::new(&loc, &few, &vector(&[0.3, 0.7, 0.2]));
    let dense = MultivariateNormal::new(&loc, &low.covariance());
    let other = MultivariateNormal::from_precision(&loc, &dense.precision());
    let x = Tensor::randn([4, 3]).cast(DType::F64).realize().unwrap();
    let same = |name: &str, a: &Tensor, b: &Tensor| {
        for (a, b) in f64s(a).iter().zip(f64s(b)) {
            near(name, *a, b, 1e-9);
        }
    };
    same("low rank", &low.log_prob(&x), &dense.log_prob(&x));
    same("precision", &other.log_prob(&x), &dense.log_prob(&x));
    same("entropy", &low.entropy(), &dense.entropy());
    same("variance", &low.variance(), &dense.variance());
    // Without dependence every number is normal on its own.
    let scales = vector(&[1.5, 0.5, 2.0]);
    let apart = MultivariateNormal::from_scale_tril(&loc, &scales.diag_embed(0, -2, -1));
    let each = Independent::new(Normal::new(&loc, &scales), 1);
    same("apart", &apart.log_prob(&x), &each.log_prob(&x));
    same("entropy", &apart.entropy(), &each.entropy());
    let q = MultivariateNormal::from_scale_tril(&vector(&[0.0, 0.1, 0.2]), &factor());
    let expected = kl_divergence(&dense, &q);
    same("kl", &kl_divergence(&low, &q), &expected);
    same("kl", &kl_divergence(&q, &low), &kl_divergence(&q, &dense));
    same("kl", &kl_divergence(&low, &low), &n(0.0));
    let diagonal = Independent::new(Normal::new(n(0.0).expand([3]), n(1.0)), 1);
    let unit = MultivariateNormal::new(&n(0.0), &Tensor::eye_of(3, 3, DType::F64));
    same(
        "kl",
        &kl_divergence(&apart, &unit),
        &kl_divergence(&each, &diagonal),
    );
    let wrong = MultivariateNormal::from_scale_tril(&loc, &factor().neg());
    assert!(wrong.mean().add(wrong.variance()).to_vec::<f64>().is_err());
}

#[test]
fn vectors_have_their_moments() {
    manual_seed(42);
    let weights = vector(&[1.0, 2.0, 5.0]);
    let covariance = MultivariateNormal::from_scale_tril(&weights, &factor());
    let few = factor().narrow(1, 0, 2);
    let cases: [(&str, Box<dyn Distribution>); 6] = [
        ("multivariate", Box::new(covariance)),
        (
            "low_rank",
            Box::new(LowRankMultivariateNormal::new(&weights, &few, &weights)),
        ),
        ("dirichlet", Box::new(Dirichlet::new(&weights))),
        ("one_hot", Box::new(OneHotCategorical::new(&weights))),
        ("multinomial", Box::new(Multinomial::new(6, &weights))),
        (
            "independent",
            Box::new(Independent::new(Gamma::new(&weights, n(2.0)), 1)),
        ),
    ];
    for (name, d) in cases {
        assert_eq!(d.batch_shape().len(), 0, "{name}");
        let drawn = d.sample(&[COUNT]);
        assert_eq!(drawn.dims().unwrap(), [COUNT, 3], "{name}");
        let (mean, variance) = (f64s(&d.mean()), f64s(&d.variance()));
        let (m, v) = (f64s(&drawn.mean(0)), f64s(&drawn.var_with(0, 0)));
        for i in 0..3 {
            let off = 5.0 * (variance[i] / COUNT as f64).sqrt();
            assert!((m[i] - mean[i]).abs() < off, "{name}: {m:?}, not {mean:?}");
            near(name, v[i], variance[i], 0.1);
        }
        // The mean of -log p over draws is the entropy.
        let entropy = one(&d.entropy());
        let surprise = d.log_prob(&drawn).neg();
        let off = 5.0 * one(&surprise.std(0)) / (COUNT as f64).sqrt();
        assert!(
            (one(&surprise.mean(0)) - entropy).abs() < off + 1e-9,
            "{name}"
        );
    }
}

#[test]
fn batches_and_events_have_their_sizes() {
    let normal = Normal::new(Tensor::zeros([4, 1]), Tensor::ones([3]));
    let dims = |d: &dyn Distribution| -> (Vec<i64>, Vec<i64>) {
        let values = |list: Vec<Dim>| list.iter().map(|d| d.value().unwrap()).collect();
        (values(d.batch_shape()), values(d.event_shape()))
    };
    assert_eq!(dims(&normal), (vec![4, 3], vec![]));
    assert_eq!(normal.sample(&[2]).dims().unwrap(), [2, 4, 3]);
    let joint = Independent::new(normal.clone(), 1);
    assert_eq!(dims(&joint), (vec![4], vec![3]));
    assert_eq!(
        joint.log_prob(&Tensor::zeros([5, 4, 3])).dims().unwrap(),
        [5, 4]
    );
    assert_eq!(
        dims(&joint.expand(&[6i64.into(), 4i64.into()])),
        (vec![6, 4], vec![3])
    );
    let broken = TransformedDistribution::new(normal.clone(), vec![Transform::StickBreaking]);
    assert_eq!(dims(&broken), (vec![4], vec![4]));
    assert_eq!(broken.sample(&[2]).dims().unwrap(), [2, 4, 4]);
    let categories = Categorical::new(&Tensor::ones([3]));
    let mixture = MixtureSameFamily::new(categories, normal);
    assert_eq!(dims(&mixture), (vec![4], vec![]));
    assert_eq!(mixture.sample(&[2]).dims().unwrap(), [2, 4]);
    assert_eq!(
        mixture.log_prob(&Tensor::zeros([2, 4])).dims().unwrap(),
        [2, 4]
    );
    let empty = Normal::new(Tensor::zeros([0, 2]), 1.0);
    assert_eq!(empty.sample(&[3]).dims().unwrap(), [3, 0, 2]);
}

#[test]
fn draws_repeat_for_a_seed_at_any_number_of_threads() {
    let draw = || {
        manual_seed(43);
        let gamma = Gamma::new(Tensor::full([500], 0.7), 1.0);
        let angles = VonMises::new(Tensor::zeros([500]), 1.5);
        let counts = Multinomial::new(30, &Tensor::ones([500, 4]));
        [
            f64s(&gamma.sample(&[3])),
            f64s(&angles.sample(&[3])),
            f64s(&counts.sample(&[])),
        ]
    };
    let before = lazulite::options();
    let mut results = Vec::new();
    for threads in [1, 2] {
        let mut options = before.clone();
        options.threads = threads;
        lazulite::set_options(options).unwrap();
        results.push(draw());
    }
    lazulite::set_options(before).unwrap();
    assert_eq!(results[0], results[1]);
}
