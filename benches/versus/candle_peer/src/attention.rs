//! Scaled dot-product attention: candle's own fused one forward, and as operations that have gradients.

use crate::arrays::{Tensors, get};
use crate::workloads::{self, Step};
use candle_core::{D, Device, Result, Tensor, Var};
use candle_nn::attention::{AttnMask, flash_attn};
use candle_nn::ops;

/// The result alone.
pub fn forward(p: Tensors, causal: bool) -> Result<Box<Step>> {
    workloads::forward(p, move |p| {
        let query = get(p, "query")?;
        let scale = 1.0 / (query.dim(D::Minus1)? as f32).sqrt();
        let mask = if causal {
            AttnMask::causal()
        } else {
            AttnMask::None
        };
        // It wants positions before heads, and gives heads before positions.
        let [query, key, value] =
            [query, get(p, "key")?, get(p, "value")?].map(|x| x.transpose(1, 2));
        flash_attn::<f32>(&query?, &key?, &value?, scale, mask, None, None)
    })
}

/// The result and the gradients of queries, keys and values for a given one of the result.
pub fn both(p: Tensors, causal: bool) -> Result<Box<Step>> {
    let [query, key, value] =
        ["query", "key", "value"].map(|name| Var::from_tensor(get(&p, name)?));
    let [query, key, value] = [query?, key?, value?];
    let gradient = get(&p, "gradient")?.clone();
    let mask = if causal {
        Some(hidden(query.dim(2)?)?)
    } else {
        None
    };
    Ok(Box::new(move || {
        let result = attend(&query, &key, &value, mask.as_ref())?;
        let gradients = (&result * &gradient)?.sum_all()?.backward()?;
        let wanted = [&query, &key, &value].map(|var| gradients.get(var).cloned());
        Ok([Some(result)].into_iter().chain(wanted).flatten().collect())
    }))
}

fn attend(query: &Tensor, key: &Tensor, value: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let scale = 1.0 / (query.dim(D::Minus1)? as f64).sqrt();
    let scores = (query.matmul(&key.t()?)? * scale)?;
    let scores = match mask {
        Some(mask) => scores.broadcast_add(mask)?,
        None => scores,
    };
    // `softmax_last_dim` has no gradient.
    ops::softmax(&scores, D::Minus1)?.matmul(value)
}

/// What is added to scores so that no position sees later ones.
fn hidden(length: usize) -> Result<Tensor> {
    let values: Vec<f32> = (0..length * length)
        .map(|i| {
            if i % length > i / length {
                f32::NEG_INFINITY
            } else {
                0.0
            }
        })
        .collect();
    Tensor::from_vec(values, (length, length), &Device::Cpu)
}
