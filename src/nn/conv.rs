//! Convolutions.

use super::init;
use super::module::{Layer, Module, Visitor};
use super::param::Param;
use crate::location::Scope;
use crate::ops::ConvOptions;
use crate::tensor::Tensor;

/// A convolution over `AXES` axes of `[batch, channels, places...]`, or the transpose of one.
#[derive(Clone, Debug)]
pub struct ConvNd<const AXES: usize, const TRANSPOSED: bool> {
    /// `[outputs, inputs / groups, places...]`; transposed, `[inputs, outputs / groups, places...]`.
    pub weight: Param,
    /// `[outputs]`.
    pub bias: Option<Param>,
    /// Stride, padding, dilation, groups; for transposed ones output padding.
    pub options: ConvOptions,
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
        let groups = options.groups.max(1);
        let mut dims = match TRANSPOSED {
            true => vec![inputs, outputs / groups],
            false => vec![outputs, inputs / groups],
        };
        dims.extend(window);
        let fan = dims[1..].iter().product();
        ConvNd {
            weight: init::by_fan(&dims, fan),
            bias: Some(init::by_fan(&[outputs], fan)),
            options,
        }
    }

    /// The same without a bias.
    pub fn without_bias(self) -> Self {
        ConvNd { bias: None, ..self }
    }
}

impl<const AXES: usize, const TRANSPOSED: bool> Module for ConvNd<AXES, TRANSPOSED> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.part("weight", &self.weight);
        visitor.part("bias", &self.bias);
    }
}

impl<const AXES: usize, const TRANSPOSED: bool> Layer for ConvNd<AXES, TRANSPOSED> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let bias = self.bias.as_ref().map(Param::get);
        if TRANSPOSED {
            let _scope = Scope::open(self.weight.owner("ConvTranspose"));
            x.conv_transpose(&self.weight.get(), bias.as_ref(), &self.options)
        } else {
            let _scope = Scope::open(self.weight.owner("Conv"));
            x.conv(&self.weight.get(), bias.as_ref(), &self.options)
        }
    }
}
