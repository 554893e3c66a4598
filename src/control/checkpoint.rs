//! Computing again instead of keeping.

use super::{body, region, types};
use crate::engine::RegionKind;
use crate::ops::attempt_list;
use crate::tensor::Tensor;

/// What `function` computes from `arguments`. For gradients, its intermediate values are computed again
/// from the arguments instead of being kept: memory for time.
///
/// ```
/// use lazulite::{checkpoint, grad, prelude::*};
/// let w = Tensor::randn([16, 16]).with_grad();
/// let layer = |x: &[Tensor]| vec![x[0].matmul(&w).tanh()];
/// let mut x = Tensor::ones([4, 16]);
/// for _ in 0..8 {
///     x = checkpoint(layer, &[&x])[0].clone();
/// }
/// let gradients = grad(&[&x.sum(..)], &[&w])?;
/// assert_eq!(gradients[0].dims()?, [16, 16]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn checkpoint(
    function: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
    arguments: &[&Tensor],
) -> Vec<Tensor> {
    attempt_list(|| {
        let body = body(&types(arguments)?, function)?;
        let results = body.result_types();
        region(RegionKind::Checkpoint, vec![body], arguments, results)
    })
}
