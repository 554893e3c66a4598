//! Scaled dot-product attention of twelve heads, forward alone and with its gradients.

use super::{Entry, Workload, compiled};
use lazulite::prelude::*;
use lazulite::{AttentionOptions, GradOptions, grad_with};

/// These workloads.
pub fn entries() -> Vec<Entry> {
    let lengths = [
        ("attention_512", 512, false),
        ("attention_2048_causal", 2048, true),
    ];
    let pair = |(name, length, causal): (&str, usize, bool)| {
        [
            Entry::new(name, move || forward(length, causal)),
            Entry::new(format!("{name}_fwdbwd"), move || both(length, causal)),
        ]
    };
    lengths.into_iter().flat_map(pair).collect()
}

fn heads(length: usize) -> Tensor {
    Tensor::randn([1, 12, length, 64])
}

fn forward(length: usize, causal: bool) -> Result<Workload> {
    let inputs = ["query", "key", "value"].map(|name| (name, heads(length)));
    let options = AttentionOptions {
        causal,
        ..AttentionOptions::default()
    };
    compiled(inputs, vec![], move |[query, key, value]| {
        query.scaled_dot_product_attention_with(&key, &value, &options)
    })
}

/// The result and the gradients of queries, keys and values for a given one of the result.
fn both(length: usize, causal: bool) -> Result<Workload> {
    let inputs = ["query", "key", "value", "gradient"].map(|name| (name, heads(length)));
    let options = AttentionOptions {
        causal,
        ..AttentionOptions::default()
    };
    compiled(inputs, vec![], move |[query, key, value, gradient]| {
        let [query, key, value] = [query, key, value].map(Tensor::with_grad);
        let result = query.scaled_dot_product_attention_with(&key, &value, &options);
        let seed = GradOptions::new().cotangents(&[&gradient]);
        let wanted = [&query, &key, &value];
        match grad_with(&[&result], &wanted, &seed) {
            Ok(gradients) => { [Some(result)].into_iter().chain(gradients) }
                .flatten()
                .collect(),
            Err(e) => vec![Tensor::error(e)],
        }
    })
}
