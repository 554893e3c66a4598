//! Convolutions.

use super::check::{bad_setting, shown};
use super::init;
use super::param::Param;
use super::{Layer, Module};
use crate::error::Result;
use crate::location::Scope;
use crate::ops::{ConvOptions, PadMode, Padding, attempt};
use crate::tensor::{Number, PerAxis, Tensor};

/// A convolution over `AXES` axes of `[batch, channels, places...]`, or the transpose of one. Options follow the
/// constructor; sizes are one number for all axes, or one for each.
///
/// ```
/// use lazulite::nn::{Conv2d, ConvTranspose2d};
/// use lazulite::{Padding, prelude::*};
/// let x = Tensor::randn([1, 3, 32, 32]);
///
/// let halving = Conv2d::new(3, 16, 3).padding(1).stride(2).without_bias();
/// assert_eq!(halving.forward(&x).dims()?, [1, 16, 16, 16]);
/// let wide = Conv2d::new(3, 6, (3, 7)).padding(Padding::Same).groups(3);
/// assert_eq!(wide.forward(&x).dims()?, [1, 6, 32, 32]);
/// let doubling = ConvTranspose2d::new(3, 8, 2).stride(2);
/// assert_eq!(doubling.forward(&x).dims()?, [1, 8, 64, 64]);
/// # Ok::<(), lazulite::Error>(())
/// ```
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
    #[module(skip)]
    sizes: Sizes<AXES>,
}

/// What the sizes of weights follow from, beside the number of groups.
#[derive(Clone, Copy, Debug)]
struct Sizes<const AXES: usize> {
    /// Unknown before the first call of a lazy layer.
    inputs: Option<usize>,
    outputs: usize,
    window: [usize; AXES],
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

/// Initial weights and bias, which are lazy if the number of inputs is not known.
#[track_caller]
fn started<const AXES: usize, const TRANSPOSED: bool>(
    sizes: Sizes<AXES>,
    groups: usize,
) -> (Param, Param) {
    let Sizes {
        inputs,
        outputs,
        window,
    } = sizes;
    let start = move |inputs: usize, is_bias: bool| {
        let divides = |channels: usize| groups > 0 && channels.is_multiple_of(groups);
        if !divides(inputs) || !divides(outputs) {
            let message =
                format!("{inputs} and {outputs} channels do not divide among {groups} groups");
            return Tensor::error(bad_setting("Conv", message));
        }
        let (dims, fan) = weight_sizes(TRANSPOSED, inputs, outputs, &window, groups);
        match is_bias {
            true => init::within_fan(&[outputs], fan),
            false => init::within_fan(&dims, fan),
        }
    };
    let weight = Param::lazy(move |inputs| start(inputs, false));
    let bias = Param::lazy(move |inputs| start(inputs, true));
    if let Some(inputs) = inputs {
        weight.settle(inputs);
        bias.settle(inputs);
    }
    (weight, bias)
}

impl<const AXES: usize, const TRANSPOSED: bool> ConvNd<AXES, TRANSPOSED> {
    /// With a window, the same along all axes or a size for each, and a bias; PyTorch's initial values.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize, window: impl PerAxis<AXES>) -> Self {
        Self::of(Sizes {
            inputs: Some(inputs),
            outputs,
            window: window.per_axis(),
        })
    }

    /// With as many inputs as the first call has channels.
    ///
    /// ```
    /// use lazulite::nn::Conv2d;
    /// use lazulite::prelude::*;
    /// let conv = Conv2d::lazy(5, 3);
    /// assert!(conv.weight.get().check().is_err());
    /// assert_eq!(conv.forward(&Tensor::ones([1, 4, 8, 8])).dims()?, [1, 5, 6, 6]);
    /// assert_eq!(conv.weight.get().dims()?, [5, 4, 3, 3]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn lazy(outputs: usize, window: impl PerAxis<AXES>) -> Self {
        Self::of(Sizes {
            inputs: None,
            outputs,
            window: window.per_axis(),
        })
    }

    #[track_caller]
    fn of(sizes: Sizes<AXES>) -> Self {
        let _scope = Scope::pin();
        let (weight, bias) = started::<AXES, TRANSPOSED>(sizes, 1);
        ConvNd {
            weight,
            bias: Some(bias),
            options: ConvOptions::default(),
            padding_mode: PadMode::Constant(Number::Int(0)),
            sizes,
        }
    }

    /// The same with steps between windows.
    pub fn stride(mut self, stride: impl PerAxis<AXES>) -> Self {
        self.options.stride = stride.per_axis().into();
        self
    }

    /// The same with elements around: a number, one for each axis, or [`Padding::Same`].
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.options.padding = padding.into();
        self
    }

    /// The same with steps between the elements of a window.
    pub fn dilation(mut self, dilation: impl PerAxis<AXES>) -> Self {
        self.options.dilation = dilation.per_axis().into();
        self
    }

    /// The same with groups of channels that do not mix. Weights start anew, since their sizes change.
    #[track_caller]
    pub fn groups(self, groups: usize) -> Self {
        let _scope = Scope::pin();
        let (weight, bias) = started::<AXES, TRANSPOSED>(self.sizes, groups);
        ConvNd {
            weight,
            bias: self.bias.map(|_| bias),
            options: self.options.groups(groups),
            ..self
        }
    }

    /// The same with further elements at the end; of no use to convolutions that are not transposed.
    pub fn output_padding(mut self, output_padding: impl PerAxis<AXES>) -> Self {
        self.options.output_padding = output_padding.per_axis().into();
        self
    }

    /// The same with all these options. Weights start anew if the number of groups is another one.
    #[track_caller]
    pub fn options(self, options: ConvOptions) -> Self {
        let layer = match options.groups == self.options.groups {
            true => self,
            false => self.groups(options.groups),
        };
        ConvNd { options, ..layer }
    }

    /// The same without a bias.
    pub fn without_bias(self) -> Self {
        ConvNd { bias: None, ..self }
    }

    /// The same with another kind of padding.
    pub fn padding_mode(self, padding_mode: PadMode) -> Self {
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
            return Ok(x.conv_transpose_with(&weight, bias.as_ref(), &self.options));
        }
        if self.padding_mode == PadMode::Constant(Number::Int(0)) {
            return Ok(x.conv_with(&weight, bias.as_ref(), &self.options));
        }
        let widths = self.options.around(&weight.dims()?[2..])?;
        let last_first = widths.iter().rev().flat_map(|(a, b)| [*a, *b]);
        let padded = x.pad_last(&last_first.collect::<Vec<_>>(), self.padding_mode);
        let options = ConvOptions {
            padding: Padding::Valid,
            ..self.options.clone()
        };
        Ok(padded.conv_with(&weight, bias.as_ref(), &options))
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
