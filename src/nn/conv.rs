//! Convolutions.

use super::check::shown;
use super::init;
use super::param::Param;
use super::{Layer, Module};
use crate::error::Result;
use crate::ops::{ConvOptions, PadMode, Padding, attempt};
use crate::tensor::{Number, Tensor};

/// A convolution over `AXES` axes of `[batch, channels, places...]`, or the transpose of one.
#[derive(Clone, Debug, Module)]
pub struct ConvNd<const AXES: usize, const TRANSPOSED: bool> {
    /// `[outputs, inputs / groups, places...]`; transposed, `[inputs, outputs / groups, places...]`.
    pub weight: Param,
    /// `[outputs]`.
    pub bias: Option<Param>,
    /// Stride, padding, dilation, groups; for transposed ones output padding.
    pub options: ConvOptions,
    /// What the padding consists of: zeros, unless another mode is chosen; of no use to transposed ones.
    pub padding_mode: PadMode,
}

/// Over one axis.
pub type Conv1d = ConvNd<1, false>;
/// Over two axes.
pub type Conv2d = ConvNd<2, false>;
/// Over three axes.
pub type Conv3d = ConvNd<3, false>;
/// The transpose of one over one axis.
pub type ConvTranspose1d = ConvNd<1, true>;
/// The transpose of one over two axes.
pub type ConvTranspose2d = ConvNd<2, true>;
/// The transpose of one over three axes.
pub type ConvTranspose3d = ConvNd<3, true>;

/// The sizes of a convolution's weights, and how many products are added for an output.
fn weight_sizes(
    transposed: bool,
    inputs: usize,
    outputs: usize,
    window: &[usize],
    groups: usize,
) -> (Vec<usize>, usize) {
    let mut dims = match transposed {
        true => vec![inputs, outputs / groups],
        false => vec![outputs, inputs / groups],
    };
    dims.extend(window);
    let fan = dims[1..].iter().product();
    (dims, fan)
}

impl<const AXES: usize, const TRANSPOSED: bool> ConvNd<AXES, TRANSPOSED> {
    /// With a window of the same size along all axes, and a bias; PyTorch's initial values.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize, window: usize) -> Self {
        Self::with(inputs, outputs, [window; AXES], ConvOptions::default())
    }

    /// With options.
    #[track_caller]
    pub fn with(
        inputs: usize,
        outputs: usize,
        window: [usize; AXES],
        options: ConvOptions,
    ) -> Self {
        let layer = Self::lazy(outputs, window, options);
        layer.settle(inputs);
        layer
    }

    /// With as many inputs as the first call has channels.
    ///
    /// ```
    /// use lazulite::nn::{Conv2d, Layer};
    /// use lazulite::{ConvOptions, prelude::*};
    /// let conv = Conv2d::lazy(5, [3, 3], ConvOptions::default());
    /// assert!(conv.weight.get().check().is_err());
    /// assert_eq!(conv.forward(&Tensor::ones([1, 4, 8, 8])).dims()?, [1, 5, 6, 6]);
    /// assert_eq!(conv.weight.get().dims()?, [5, 4, 3, 3]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn lazy(outputs: usize, window: [usize; AXES], options: ConvOptions) -> Self {
        let groups = options.groups.max(1);
        let sizes = move |inputs| weight_sizes(TRANSPOSED, inputs, outputs, &window, groups);
        let weight = move |inputs| {
            let (dims, fan) = sizes(inputs);
            init::within_fan(&dims, fan)
        };
        let bias = move |inputs| init::within_fan(&[outputs], sizes(inputs).1);
        ConvNd {
            weight: Param::lazy(weight),
            bias: Some(Param::lazy(bias)),
            options,
            padding_mode: PadMode::Constant(Number::Int(0)),
        }
    }

    /// The same without a bias.
    pub fn without_bias(self) -> Self {
        ConvNd { bias: None, ..self }
    }

    /// The same with another kind of padding.
    pub fn padded_with(self, padding_mode: PadMode) -> Self {
        ConvNd {
            padding_mode,
            ..self
        }
    }

    /// Starts lazy parameters for so many inputs.
    #[track_caller]
    fn settle(&self, inputs: usize) {
        self.weight.settle(inputs);
        if let Some(bias) = &self.bias {
            bias.settle(inputs);
        }
    }

    #[track_caller]
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        if self.weight.is_pending() {
            let channels = x.dim(-(AXES as i64) - 1).value()?;
            self.settle(usize::try_from(channels).unwrap_or(0));
        }
        let (weight, bias) = (self.weight.get(), self.bias.as_ref().map(Param::get));
        if TRANSPOSED {
            return Ok(x.conv_transpose(&weight, bias.as_ref(), &self.options));
        }
        if self.padding_mode == PadMode::Constant(Number::Int(0)) {
            return Ok(x.conv(&weight, bias.as_ref(), &self.options));
        }
        let widths = self.options.around(&weight.dims()?[2..])?;
        let last_first = widths.iter().rev().flat_map(|(a, b)| [*a, *b]);
        let padded = x.pad_last(&last_first.collect::<Vec<_>>(), self.padding_mode);
        let options = ConvOptions {
            padding: Padding::Valid,
            ..self.options.clone()
        };
        Ok(padded.conv(&weight, bias.as_ref(), &options))
    }
}

impl<const AXES: usize, const TRANSPOSED: bool> Layer for ConvNd<AXES, TRANSPOSED> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let kind = if TRANSPOSED { "ConvTranspose" } else { "Conv" };
        let _scope = self.weight.scope(&format!("{kind}{AXES}d"));
        shown(attempt(|| self.apply(x)), &[x], || {
            let sizes = self.weight.get().known_dims().unwrap_or_default();
            let groups = self.options.groups;
            let layer = match sizes[..] {
                [inputs, outputs, ..] if TRANSPOSED => {
                    format!(
                        "{kind}{AXES}d({inputs}, {}, ..)",
                        outputs.saturating_mul(groups)
                    )
                }
                [outputs, inputs, ..] => {
                    format!(
                        "{kind}{AXES}d({}, {outputs}, ..)",
                        inputs.saturating_mul(groups)
                    )
                }
                _ => format!("{kind}{AXES}d"),
            };
            self.weight.layer(layer)
        })
    }
}
