//! Gradients through draws and densities.

use crate::integrate::{Line, f64s, n, near, one, vector};
use lazulite::distributions::*;
use lazulite::{GradCheck, grad, gradcheck, prelude::*};

/// A gamma number moves with its parameter so that the distribution function at it stays.
#[test]
fn gamma_numbers_move_along_their_quantile() {
    for (seed, a) in [
        (1u64, 0.05),
        (2, 0.4),
        (3, 1.0),
        (4, 2.5),
        (5, 12.0),
        (6, 80.0),
        (7, 3000.0),
    ] {
        for k in 0..6 {
            manual_seed(seed * 100 + k);
            let shape = n(a).with_grad();
            let x = Gamma::new(&shape, n(1.0)).rsample(&[]);
            let slope = one(&grad(&[&x], &[&shape]).unwrap()[0]);
            let x = one(&x);
            let below = |a: f64| {
                let log = move |t: f64| (a - 1.0) * t.ln() - t;
                let norm = one(&n(a).lgamma());
                let scale = log(x);
                // In t = x e^-u, relative to the density at x.
                let line = Line::new(0.0, f64::INFINITY);
                let terms = line.points.iter().map(|u| {
                    let t = x * (-u).exp();
                    (log(t) - scale).exp() * t
                });
                (line.integral(terms).ln() + scale - norm, scale - norm)
            };
            if a > 100.0 {
                // Too narrow for the rule of this test: a quantile of nearly normal numbers.
                let z = (x - a) / a.sqrt();
                near("large", slope, 1.0 + 0.5 * z / a.sqrt(), 2e-4);
                continue;
            }
            let h = 1e-5 * a.min(1.0);
            let (up, density) = (below(a + h).0, below(a).1);
            let down = below(a - h).0;
            let expected = -(up - down) / (2.0 * h) * (below(a).0 - density).exp();
            near(&format!("a = {a}, x = {x}"), slope, expected, 2e-5);
        }
    }
}

/// The mean's gradient is the gradient's mean.
#[test]
fn draws_carry_gradients_of_means() {
    manual_seed(51);
    let count = 20_000;
    let parameter = |v: f64| n(v).with_grad();
    let check = |name: &str, draw: &dyn Fn(&Tensor) -> (Tensor, Tensor), at: f64| {
        let p = parameter(at);
        let (drawn, mean) = draw(&p);
        let sampled = one(&grad(&[&drawn.mean(0)], &[&p]).unwrap()[0]);
        let exact = one(&grad(&[&mean], &[&p]).unwrap()[0]);
        near(name, sampled, exact, 0.05);
    };
    check(
        "gamma",
        &|a| {
            let d = Gamma::new(a, n(2.0));
            (d.rsample(&[count]), d.mean())
        },
        0.6,
    );
    check(
        "beta",
        &|a| {
            let d = Beta::new(a, n(2.0));
            (d.rsample(&[count]), d.mean())
        },
        1.3,
    );
    check(
        "student",
        &|a| {
            let d = StudentT::new(n(5.0), a, n(1.0));
            (d.rsample(&[count]), d.mean())
        },
        0.3,
    );
    check(
        "fisher",
        &|a| {
            let d = FisherSnedecor::new(n(5.0), a);
            (d.rsample(&[count]), d.mean())
        },
        15.0,
    );
    check(
        "weibull",
        &|a| {
            let d = Weibull::new(n(1.2), a);
            (d.rsample(&[count]), d.mean())
        },
        1.5,
    );
    check(
        "gumbel",
        &|a| {
            let d = Gumbel::new(n(1.2), a);
            (d.rsample(&[count]), d.mean())
        },
        1.5,
    );
    check(
        "kumaraswamy",
        &|a| {
            let d = Kumaraswamy::new(n(1.2), a);
            (d.rsample(&[count]), d.mean())
        },
        1.5,
    );
    check(
        "dirichlet",
        &|a| {
            let shapes = Tensor::stack(&[a, &n(2.0), &n(0.7)], 0);
            let d = Dirichlet::new(&shapes);
            (d.rsample(&[count]).select(-1, 0), d.mean().select(0, 0))
        },
        0.8,
    );
}

type Function<'a> = &'a dyn Fn(&[Tensor]) -> Vec<Tensor>;

#[test]
fn densities_and_entropies_have_gradients() {
    let x = vector(&[0.2, 0.6]);
    let (a, b) = (vector(&[1.3, 2.2]), vector(&[0.7, 1.6]));
    let functions: [(&str, Function); 7] = [
        ("multivariate", &|p| {
            let covariance = p[0].unsqueeze(1).mul(p[0].unsqueeze(0));
            let covariance = covariance.add(p[1].diag_embed(0, -2, -1));
            let d = MultivariateNormal::new(&p[0], &covariance);
            let low = LowRankMultivariateNormal::new(&p[0], &p[0].unsqueeze(1), &p[1]);
            vec![d.log_prob(&p[2]), d.entropy(), low.log_prob(&p[2])]
        }),
        ("normal", &|p| {
            vec![Normal::new(&p[0], &p[1]).log_prob(&p[2])]
        }),
        ("gamma", &|p| {
            let d = Gamma::new(&p[0], &p[1]);
            vec![d.log_prob(&p[2]), d.entropy()]
        }),
        ("beta", &|p| {
            let d = Beta::new(&p[0], &p[1]);
            vec![d.log_prob(&p[2]), d.entropy()]
        }),
        ("student", &|p| {
            let d = StudentT::new(&p[0], &p[1], &p[1]);
            vec![d.log_prob(&p[2]), d.entropy()]
        }),
        ("kl", &|p| {
            vec![kl_divergence(
                &Gamma::new(&p[0], &p[1]),
                &Gamma::new(&p[1], &p[2]),
            )]
        }),
        ("weibull", &|p| {
            let d = Weibull::new(&p[0], &p[1]);
            vec![d.log_prob(&p[2]), d.entropy()]
        }),
    ];
    for (name, f) in functions {
        let result = gradcheck(f, &[&a, &b, &x], &GradCheck::default());
        assert!(result.is_ok(), "{name}: {}", result.unwrap_err());
    }
    assert!(
        !Poisson::new(a.clone().with_grad())
            .sample(&[])
            .requires_grad()
    );
    assert!(!Normal::new(a.with_grad(), 1.0).sample(&[3]).requires_grad());
    assert_eq!(f64s(&n(2.0)), [2.0]);
}
