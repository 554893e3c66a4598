//! Matrix products of two inputs.

use super::{Entry, Workload, compiled};
use lazulite::prelude::*;

/// M, K, N.
const SIZES: [[usize; 3]; 9] = [
    [64, 64, 64],
    [128, 128, 128],
    [256, 256, 256],
    [512, 512, 512],
    [1024, 1024, 1024],
    [2048, 2048, 2048],
    [1, 4096, 4096],
    [8, 1024, 1024],
    [32, 1024, 4096],
];

/// These workloads.
pub fn entries() -> Vec<Entry> {
    let product = |[m, k, n]: [usize; 3]| {
        let name = format!("matmul_{m}x{k}x{n}");
        Entry::new(name, move || matmul(vec![m, k], vec![k, n]))
    };
    let mut all: Vec<Entry> = SIZES.into_iter().map(product).collect();
    let (left, right) = ([64, 128, 64], [64, 64, 128]);
    all.push(Entry::new("bmm_64x128x64x128", move || {
        matmul(left.to_vec(), right.to_vec())
    }));
    all
}

fn matmul(left: Vec<usize>, right: Vec<usize>) -> Result<Workload> {
    let inputs = [("x", Tensor::randn(left)), ("y", Tensor::randn(right))];
    compiled(inputs, vec![], |[x, y]| x.matmul(&y))
}
