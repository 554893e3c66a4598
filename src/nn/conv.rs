//! Convolutions.

use super::init;
use super::module::{Layer, Module, Visitor};
use super::param::Param;
use crate::location::Scope;
use crate::ops::ConvOptions;
use crate::tensor::Tensor;

/// A convolution over `AXES` axes of `[batch, channels, places...]`.
#[derive(Clone, Debug)]
pub struct ConvNd<const AXES: usize> {
    /// `[outputs, inputs / groups, places...]`.
    pub weight: Param,
    /// `[outputs]`.
    pub bias: Option<Param>,
    /// Stride, padding, dilation, groups.
    pub options: ConvOptions,
}

/// Over one axis.
pub type Conv1d = ConvNd<1>;
/// Over two axes.
pub type Conv2d = ConvNd<2>;
/// Over three axes.
pub type Conv3d = ConvNd<3>;

impl<const AXES: usize> ConvNd<AXES> {
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
        let mut dims = vec![outputs, inputs / options.groups.max(1)];
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

impl<const AXES: usize> Module for ConvNd<AXES> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.part("weight", &self.weight);
        visitor.part("bias", &self.bias);
    }
}

impl<const AXES: usize> Layer for ConvNd<AXES> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = Scope::open(self.weight.owner("Conv"));
        let bias = self.bias.as_ref().map(Param::get);
        x.conv(&self.weight.get(), bias.as_ref(), &self.options)
    }
}

/// The transpose of a convolution over `AXES` axes.
#[derive(Clone, Debug)]
pub struct ConvTransposeNd<const AXES: usize> {
    /// `[inputs, outputs / groups, places...]`.
    pub weight: Param,
    /// `[outputs]`.
    pub bias: Option<Param>,
    /// Stride, padding, dilation, groups, output padding.
    pub options: ConvOptions,
}

/// Over one axis.
pub type ConvTranspose1d = ConvTransposeNd<1>;
/// Over two axes.
pub type ConvTranspose2d = ConvTransposeNd<2>;

impl<const AXES: usize> ConvTransposeNd<AXES> {
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
        let mut dims = vec![inputs, outputs / options.groups.max(1)];
        dims.extend(window);
        let fan = dims[1..].iter().product();
        ConvTransposeNd {
            weight: init::by_fan(&dims, fan),
            bias: Some(init::by_fan(&[outputs], fan)),
            options,
        }
    }
}

impl<const AXES: usize> Module for ConvTransposeNd<AXES> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.part("weight", &self.weight);
        visitor.part("bias", &self.bias);
    }
}

impl<const AXES: usize> Layer for ConvTransposeNd<AXES> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = Scope::open(self.weight.owner("ConvTranspose"));
        let bias = self.bias.as_ref().map(Param::get);
        x.conv_transpose(&self.weight.get(), bias.as_ref(), &self.options)
    }
}
