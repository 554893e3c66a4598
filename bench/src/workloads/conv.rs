//! Single convolutions with constant weights, ReLU after.

use super::{Entry, Workload, compiled};
use lazulite::prelude::*;
use lazulite::{ConvOptions, Padding};

/// A convolution over square images: what it is called, window, channels in, channels out, groups, size, stride.
const LAYERS: [(&str, [usize; 6]); 5] = [
    ("7x7_3_64_224", [7, 3, 64, 1, 224, 2]),
    ("3x3_64_64_56", [3, 64, 64, 1, 56, 1]),
    ("1x1_256_64_56", [1, 256, 64, 1, 56, 1]),
    ("3x3_256_256_14", [3, 256, 256, 1, 14, 1]),
    ("dw3x3_128_56", [3, 128, 128, 128, 56, 1]),
];

/// These workloads, for batches of 1 and 8.
pub fn entries() -> Vec<Entry> {
    let batches = |(name, layer): (&str, [usize; 6])| {
        [1, 8].map(|batch| Entry::new(format!("conv_{name}_b{batch}"), move || conv(batch, layer)))
    };
    LAYERS.into_iter().flat_map(batches).collect()
}

fn conv(batch: usize, layer: [usize; 6]) -> Result<Workload> {
    let [window, inputs, outputs, groups, size, stride] = layer;
    let weight = Tensor::randn([outputs, inputs / groups, window, window]).realize()?;
    let options = ConvOptions {
        stride: vec![stride],
        padding: Padding::Each(vec![window / 2]),
        groups,
        ..ConvOptions::default()
    };
    let given = vec![("weight".to_string(), weight.clone())];
    let x = Tensor::randn([batch, inputs, size, size]);
    compiled([("x", x)], given, move |[x]| {
        x.conv_with(&weight, None, &options).relu()
    })
}
