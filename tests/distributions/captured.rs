//! Draws inside of captured and vectorised functions.

use crate::integrate::{f64s, vector};
use lazulite::distributions::*;
use lazulite::{Randomness, VmapOptions, prelude::*, vmap_with};

#[test]
fn captured_draws_go_on_with_every_call() {
    manual_seed(61);
    let draw = compile(|[rate]: [Tensor; 1]| {
        let gamma = Gamma::new(&rate, 2.0).sample(&[]);
        let counts = Poisson::new(&gamma).sample(&[]);
        gamma.add(counts)
    });
    let rate = Tensor::full([50], 1.5);
    let first = f64s(&draw.call([&rate]).unwrap());
    let second = f64s(&draw.call([&rate]).unwrap());
    assert_ne!(first, second);
    manual_seed(61);
    assert_eq!(f64s(&draw.call([&rate]).unwrap()), first);
}

#[test]
fn vectorised_draws_differ_or_agree() {
    manual_seed(62);
    let shapes = vector(&[0.7; 4]);
    let draw = |randomness| {
        let options = VmapOptions::new().randomness(randomness);
        let sample = |x: &[Tensor]| vec![Gamma::new(&x[0], 1.0).sample(&[])];
        vmap_with(sample, &[&shapes], &options)
    };
    let same = f64s(&draw(Randomness::Same)[0]);
    assert!(same.iter().all(|x| *x == same[0]));
    let different = f64s(&draw(Randomness::Different)[0]);
    assert!(different[0] != different[1] && different[2] != different[3]);
    assert!(draw(Randomness::Error)[0].to_vec::<f64>().is_err());
}
