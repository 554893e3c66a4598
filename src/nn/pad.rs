//! Padding layers.

use super::check::{bad_setting, expect_rank};
use super::{Layer, Module};
use crate::ops::{PadMode, attempt};
use crate::tensor::{IntoList, Number, Tensor};

/// Pads (or with negative widths cuts) the last `AXES` axes of `[channels, places...]`, with samples before
/// or without.
///
/// ```
/// use lazulite::nn::{Layer, Pad2d};
/// use lazulite::prelude::*;
/// let x = Tensor::ones([3, 4, 5]);
/// assert_eq!(Pad2d::zeros([1]).forward(&x).dims()?, [3, 6, 7]);
/// assert_eq!(Pad2d::reflection([1, 2, 0, 0]).forward(&x).dims()?, [3, 4, 8]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[derive(Clone, Debug, Module)]
pub struct PadNd<const AXES: usize> {
    /// Before and after the last axis, then the one before it, and so on; or one width for all sides.
    pub widths: Vec<i64>,
    /// What stands outside.
    pub mode: PadMode,
}

/// Along one axis.
pub type Pad1d = PadNd<1>;
/// Along two axes.
pub type Pad2d = PadNd<2>;
/// Along three axes.
pub type Pad3d = PadNd<3>;

impl<const AXES: usize> PadNd<AXES> {
    /// With `mode` outside.
    pub fn new(widths: impl IntoList<i64>, mode: PadMode) -> Self {
        let widths = widths.into_list();
        PadNd { widths, mode }
    }

    /// With zeros.
    pub fn zeros(widths: impl IntoList<i64>) -> Self {
        Self::constant(widths, 0)
    }

    /// With a number.
    pub fn constant(widths: impl IntoList<i64>, value: impl Into<Number>) -> Self {
        Self::new(widths, PadMode::Constant(value.into()))
    }

    /// With the mirrored input, whose edge is not repeated.
    pub fn reflection(widths: impl IntoList<i64>) -> Self {
        Self::new(widths, PadMode::Reflect)
    }

    /// With the edge.
    pub fn replication(widths: impl IntoList<i64>) -> Self {
        Self::new(widths, PadMode::Replicate)
    }

    /// With the input again.
    pub fn circular(widths: impl IntoList<i64>) -> Self {
        Self::new(widths, PadMode::Circular)
    }
}

impl<const AXES: usize> Layer for PadNd<AXES> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        attempt(|| {
            let widths = match self.widths[..] {
                [one] => vec![one; 2 * AXES],
                _ if self.widths.len() == 2 * AXES => self.widths.clone(),
                _ => {
                    let (given, wanted) = (self.widths.len(), 2 * AXES);
                    let message = format!("{given} widths are given, not 1 or {wanted}");
                    return Err(bad_setting("Pad", message));
                }
            };
            // A number stands around anything.
            if !matches!(self.mode, PadMode::Constant(_)) {
                expect_rank("Pad", x, AXES + 1..=AXES + 2)?;
            }
            Ok(x.pad_last(&widths, self.mode))
        })
    }
}
