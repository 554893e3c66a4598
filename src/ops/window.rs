//! What works on windows over the last axes: padding modes, convolutions, overlapping patches.

use super::composite::{attempt, bad_argument, bad_shape, sane};
use super::matmul::contract_axes;
use crate::error::{Error, Result};
use crate::tensor::{Dim, IntoList, Number, Tensor, primitive};
use lazulite_ir::{Dims, Op};

/// What stands outside a padded tensor.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum PadMode {
    /// A number.
    Constant(Number),
    /// The mirrored tensor, without repeating its edge.
    Reflect,
    /// The edge.
    Replicate,
    /// The tensor again.
    Circular,
}

/// Padding of a convolution.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Padding {
    /// None.
    Valid,
    /// So much that the sizes stay (with stride 1).
    Same,
    /// So much on both sides, one number per axis or one for all.
    Each(Vec<usize>),
}

macro_rules! padding_of {
    ($(($($generics:tt)*) $list:ty),*) => {$(
        impl$($generics)* From<$list> for Padding {
            fn from(padding: $list) -> Padding {
                Padding::Each(IntoList::into_list(padding))
            }
        }
    )*};
}

padding_of!(
    () usize, (<const N: usize>) [usize; N], () &[usize], () Vec<usize>, () (usize, usize), () (usize, usize, usize)
);

/// Options of convolutions. Lists hold one number per axis, or one for all.
///
/// ```
/// use lazulite::{ConvOptions, prelude::*};
/// let (x, weight) = (Tensor::randn((1, 3, 8, 8)), Tensor::randn((4, 3, 3, 3)));
/// let halving = ConvOptions::default().stride(2).padding(1);
/// assert_eq!(x.conv_with(&weight, None, &halving).dims()?, [1, 4, 4, 4]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConvOptions {
    /// Steps between windows.
    pub stride: Vec<usize>,
    /// Zeros around.
    pub padding: Padding,
    /// Steps between the elements of a window.
    pub dilation: Vec<usize>,
    /// Channels that do not mix with those of other groups.
    pub groups: usize,
    /// Further elements at the end of a transposed convolution.
    pub output_padding: Vec<usize>,
}

impl Default for ConvOptions {
    fn default() -> ConvOptions {
        ConvOptions {
            stride: vec![1],
            padding: Padding::Valid,
            dilation: vec![1],
            groups: 1,
            output_padding: vec![0],
        }
    }
}

impl ConvOptions {
    /// The same with steps between windows.
    pub fn stride(mut self, stride: impl IntoList<usize>) -> ConvOptions {
        self.stride = stride.into_list();
        self
    }

    /// The same with zeros around: a number, one for each axis, or [`Padding::Same`].
    pub fn padding(mut self, padding: impl Into<Padding>) -> ConvOptions {
        self.padding = padding.into();
        self
    }

    /// The same with steps between the elements of a window.
    pub fn dilation(mut self, dilation: impl IntoList<usize>) -> ConvOptions {
        self.dilation = dilation.into_list();
        self
    }

    /// The same with groups of channels that do not mix.
    pub fn groups(mut self, groups: usize) -> ConvOptions {
        self.groups = groups;
        self
    }

    /// The same with further elements at the end of a transposed convolution.
    pub fn output_padding(mut self, output_padding: impl IntoList<usize>) -> ConvOptions {
        self.output_padding = output_padding.into_list();
        self
    }

    /// What stands before and after each axis for windows of these sizes.
    pub(crate) fn around(&self, window: &[usize]) -> Result<Vec<(i64, i64)>> {
        let stride = per_axis("conv", &self.stride, window.len())?;
        let dilation = per_axis("conv", &self.dilation, window.len())?;
        self.padding.widths(window, &stride, &dilation)
    }
}

/// One number per axis from one per axis or one for all.
pub(crate) fn per_axis(op: &'static str, values: &[usize], axes: usize) -> Result<Vec<usize>> {
    for &value in values {
        sane(op, value)?;
    }
    match values {
        [one] => Ok(vec![*one; axes]),
        _ if values.len() == axes => Ok(values.to_vec()),
        _ => {
            let message = format!("{values:?} are not one number, or one for each of {axes} axes");
            Err(bad_argument(op, message))
        }
    }
}

impl Tensor {
    /// Windows along an axis, as a new last axis.
    #[track_caller]
    pub(crate) fn windows(
        &self,
        axis: usize,
        size: usize,
        stride: usize,
        dilation: usize,
    ) -> Tensor {
        let dim = |n: usize| lazulite_ir::Dim::constant(n as i64);
        let window = Op::Window {
            axis: axis as u32,
            size: dim(size),
            stride: dim(stride),
            dilation: dim(dilation),
        };
        primitive("windows", window, &[self])
    }

    /// `value` around the last axes, and zeros between neighbours along them.
    #[track_caller]
    fn spread(&self, widths: &[(i64, i64)], interior: &[i64]) -> Result<Tensor> {
        let own = self.rank()? - widths.len();
        let side = |values: Vec<i64>| -> Dims {
            let front = std::iter::repeat_n(0, own);
            front
                .chain(values)
                .map(lazulite_ir::Dim::constant)
                .collect()
        };
        let pad = Op::Pad {
            low: side(widths.iter().map(|w| w.0).collect()),
            high: side(widths.iter().map(|w| w.1).collect()),
            interior: side(interior.to_vec()),
        };
        let zero = Tensor::full_of((), 0, self.dtype()?);
        Ok(primitive("conv", pad, &[self, &zero]))
    }

    /// Pads (or with negative widths cuts) the last axes: widths before and after the last axis, then
    /// the one before it, and so on, as PyTorch lists them.
    ///
    /// ```
    /// use lazulite::{PadMode, prelude::*};
    /// let x = Tensor::arange(0, 3, 1);
    /// assert_eq!(x.pad_last(&[1, 1], PadMode::Reflect).to_vec::<i64>()?, [1, 0, 1, 2, 1]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn pad_last(&self, widths: &[i64], mode: PadMode) -> Tensor {
        attempt(|| {
            let rank = self.rank()?;
            if !widths.len().is_multiple_of(2) || widths.len() / 2 > rank {
                let message = format!("{} widths do not pair up with {rank} axes", widths.len());
                return Err(bad_argument("pad", message).operand(self.note("self")));
            }
            if let PadMode::Constant(value) = mode {
                let mut all = vec![(0, 0); rank];
                for (pair, axis) in widths.chunks_exact(2).zip(all.iter_mut().rev()) {
                    *axis = (pair[0], pair[1]);
                }
                return Ok(self.pad(all, value));
            }
            let pairs = widths.chunks_exact(2).enumerate();
            let mut x = self.clone();
            for (i, pair) in pairs.filter(|(_, pair)| *pair != [0, 0]) {
                x = x.extended(rank - 1 - i, pair[0], pair[1], mode)?;
            }
            Ok(x)
        })
    }

    /// One axis extended by elements of its own.
    #[track_caller]
    fn extended(&self, axis: usize, before: i64, after: i64, mode: PadMode) -> Result<Tensor> {
        let dim = self.dim(axis as i64);
        if let Ok(size) = dim.value() {
            let limit = match mode {
                PadMode::Reflect => size - 1,
                PadMode::Circular => size,
                PadMode::Replicate if size == 0 => 0,
                PadMode::Replicate | PadMode::Constant(_) => i64::MAX,
            };
            let extended = { size.checked_add(before) }.and_then(|size| size.checked_add(after));
            if before.max(after) > limit || extended.is_none_or(|size| size < 0) {
                let message = format!(
                    "axis {axis} of size {size} cannot be extended by {before} and {after}"
                );
                return Err(bad_shape("pad", message).operand(self.note("self")));
            }
        }
        let position = Tensor::iota(dim.clone() + (before + after)).sub(before);
        let (size, last) = (Tensor::from_dim(dim.clone()), Tensor::from_dim(dim - 1));
        let source = match mode {
            // Mirrored at 0, then at the last element.
            PadMode::Reflect => last.sub(last.sub(position.abs()).abs()),
            PadMode::Replicate => position.clamp(0, last),
            PadMode::Circular => position.remainder(size),
            PadMode::Constant(_) => position,
        };
        Ok(self.index_select(axis as i64, &source))
    }

    /// Convolution over 1, 2 or 3 axes, as many as the weight has behind its first two: `[n, c, ...]` (or
    /// without n) with `[outputs, c / groups, ...]`.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let (x, weight) = (Tensor::randn((1, 3, 8, 8)), Tensor::randn((4, 3, 3, 3)));
    /// assert_eq!(x.conv(&weight, None).dims()?, [1, 4, 6, 6]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("conv1d", "conv2d", "conv3d"))]
    #[track_caller]
    pub fn conv(&self, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        self.conv_with(weight, bias, &ConvOptions::default())
    }

    /// As [`Tensor::conv`], with stride, padding, dilation and groups.
    #[track_caller]
    pub fn conv_with(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: &ConvOptions,
    ) -> Tensor {
        attempt(|| {
            let axes = self.check_conv("conv", weight, bias, options, false)?;
            let single = self.rank()? == axes + 1;
            let x = if single {
                self.unsqueeze(0)
            } else {
                self.clone()
            };
            let stride = per_axis("conv", &options.stride, axes)?;
            let dilation = per_axis("conv", &options.dilation, axes)?;
            let kernel = weight.known_sizes(2..)?;
            let widths = options.padding.widths(&kernel, &stride, &dilation)?;
            let padded = x.spread(&widths, &vec![0; axes])?;
            let result = convolve(&padded, weight, &stride, &dilation, options.groups)?;
            finish_conv(result, bias, single)
        })
    }

    /// The transpose of [`Tensor::conv`], with weights `[c, outputs / groups, ...]`.
    #[doc(alias("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"))]
    #[track_caller]
    pub fn conv_transpose(&self, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        self.conv_transpose_with(weight, bias, &ConvOptions::default())
    }

    /// As [`Tensor::conv_transpose`], with stride, padding, dilation and groups.
    #[track_caller]
    pub fn conv_transpose_with(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: &ConvOptions,
    ) -> Tensor {
        attempt(|| {
            let axes = self.check_conv("conv_transpose", weight, bias, options, true)?;
            let single = self.rank()? == axes + 1;
            let x = if single {
                self.unsqueeze(0)
            } else {
                self.clone()
            };
            let stride = per_axis("conv_transpose", &options.stride, axes)?;
            let dilation = per_axis("conv_transpose", &options.dilation, axes)?;
            let further = per_axis("conv_transpose", &options.output_padding, axes)?;
            let padding = match &options.padding {
                Padding::Valid => vec![0; axes],
                Padding::Each(padding) => per_axis("conv_transpose", padding, axes)?,
                Padding::Same => {
                    let message = "the padding must be given in numbers";
                    return Err(bad_argument("conv_transpose", message));
                }
            };
            let kernel = weight.known_sizes(2..)?;
            let mut widths = Vec::with_capacity(axes);
            for i in 0..axes {
                if further[i] >= stride[i].max(dilation[i]) {
                    let further = further[i];
                    let message =
                        format!("output padding {further} is not below stride or dilation");
                    return Err(bad_argument("conv_transpose", message));
                }
                let around = (dilation[i] * (kernel[i] - 1)) as i64 - padding[i] as i64;
                widths.push((around, around + further[i] as i64));
            }
            // Every window of the result sees the spread input through the mirrored kernel.
            let interior: Vec<i64> = stride.iter().map(|s| *s as i64 - 1).collect();
            let spread = x.spread(&widths, &interior)?;
            let (groups, dims) = (options.groups, weight.known_dims()?);
            let mut split = vec![groups, dims[0] / groups];
            split.extend(&dims[1..]);
            let mut joined = vec![groups * dims[1], dims[0] / groups];
            joined.extend(&dims[2..]);
            let mirrored: Vec<i64> = (2..2 + axes as i64).collect();
            let weight = weight
                .flip(mirrored)
                .reshape(split)
                .transpose(1, 2)
                .reshape(joined);
            let result = convolve(&spread, &weight, &vec![1; axes], &dilation, groups)?;
            finish_conv(result, bias, single)
        })
    }

    /// The number of axes convolved over, if everything fits.
    #[track_caller]
    fn check_conv(
        &self,
        op: &'static str,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: &ConvOptions,
        transposed: bool,
    ) -> Result<usize> {
        let fail = |message: String| Err(self.conv_misfit(op, weight, message));
        let (rank, dims) = (self.rank()?, weight.known_dims()?);
        let axes = dims.len().saturating_sub(2);
        if !(1..=3).contains(&axes) || (rank != axes + 1 && rank != axes + 2) {
            return fail(format!(
                "{rank} axes of input do not fit {} of the weight",
                dims.len()
            ));
        }
        if self.dtype()? != weight.dtype()? {
            return fail("input and weight have different element types".into());
        }
        let groups = options.groups;
        self.check_groups(op, weight, groups, transposed)?;
        let outputs = if transposed {
            dims[1] * groups
        } else {
            dims[0]
        };
        if let Some(bias) = bias
            && (bias.known_dims()? != [outputs] || bias.dtype()? != weight.dtype()?)
        {
            return fail(format!(
                "the bias {} has not {outputs} elements",
                bias.describe()
            ));
        }
        if options.stride.contains(&0) || options.dilation.contains(&0) || dims[2..].contains(&0) {
            return fail("strides, dilations and kernels are at least 1".into());
        }
        Ok(axes)
    }

    /// Whether the groups are some, and divide the channels of input and weight.
    #[track_caller]
    fn check_groups(
        &self,
        op: &'static str,
        weight: &Tensor,
        groups: usize,
        transposed: bool,
    ) -> Result<()> {
        let dims = weight.known_dims()?;
        let axis = self.rank()? + 1 - dims.len();
        let channels = self.known_size(axis)?;
        let expected = if transposed {
            dims[0]
        } else {
            dims[1] * groups
        };
        if groups == 0 {
            return Err(bad_argument(op, "there is no convolution in 0 groups")
                .operand(self.note("input"))
                .operand(weight.note("weight"))
                .hint(
                    "1 group connects all channels; as many groups as channels keep them apart",
                ));
        }
        if !dims[0].is_multiple_of(groups) {
            let what = if transposed { "inputs" } else { "outputs" };
            let message = format!(
                "{} {what} of the weight do not form {groups} groups of equal size",
                dims[0]
            );
            return Err(self.conv_misfit(op, weight, message));
        }
        if channels == expected {
            return Ok(());
        }
        let parts = match groups {
            1 => String::new(),
            _ => format!(" ({} in each of {groups} groups)", expected / groups),
        };
        let message =
            format!("the input has {channels} channels, the weight takes {expected}{parts}");
        let hint =
            format!("axis {axis} of the input has the channels: [batch, channels, places...]");
        Err(self.conv_misfit(op, weight, message).hint(hint))
    }

    #[track_caller]
    fn conv_misfit(&self, op: &'static str, weight: &Tensor, message: String) -> Error {
        let error = bad_shape(op, message).operand(self.note("input"));
        error.operand(weight.note("weight"))
    }

    /// The patches that a convolution would see, `[n, c k1 k2, patches]` (PyTorch's `unfold` on images).
    #[track_caller]
    pub fn patches(&self, kernel: &[usize], options: &ConvOptions) -> Tensor {
        attempt(|| {
            let kernel = per_axis("patches", kernel, 2)?;
            let single = self.rank()? == 3;
            if !single && self.rank()? != 4 {
                let error = bad_shape("patches", "images have axes n, channels, height, width");
                return Err(error.operand(self.note("self")));
            }
            let x = if single {
                self.unsqueeze(0)
            } else {
                self.clone()
            };
            let stride = per_axis("patches", &options.stride, 2)?;
            let dilation = per_axis("patches", &options.dilation, 2)?;
            let widths = options.padding.widths(&kernel, &stride, &dilation)?;
            let x = x.spread(&widths, &[0, 0])?;
            let windows = all_windows(&x, &kernel, &stride, &dilation)?;
            let patches = windows
                .permute([0, 1, 4, 5, 2, 3])
                .flatten(1, 3)
                .flatten(2, 3);
            Ok(if single { patches.squeeze(0) } else { patches })
        })
    }
}

impl Padding {
    /// Zeros before and after along each axis.
    fn widths(
        &self,
        kernel: &[usize],
        stride: &[usize],
        dilation: &[usize],
    ) -> Result<Vec<(i64, i64)>> {
        match self {
            Padding::Valid => Ok(vec![(0, 0); kernel.len()]),
            Padding::Same if stride.iter().any(|s| *s != 1) => Err(bad_argument(
                "conv",
                "sizes stay the same with stride 1 only",
            )),
            Padding::Same => {
                let total = kernel
                    .iter()
                    .zip(dilation)
                    .map(|(k, d)| (d * (k - 1)) as i64);
                Ok(total.map(|t| (t / 2, t - t / 2)).collect())
            }
            Padding::Each(each) => {
                let each = per_axis("conv", each, kernel.len())?;
                Ok(each.into_iter().map(|p| (p as i64, p as i64)).collect())
            }
        }
    }
}

/// Windows over all axes behind the first two: their counts stay in place, their elements come last.
#[track_caller]
fn all_windows(
    x: &Tensor,
    kernel: &[usize],
    stride: &[usize],
    dilation: &[usize],
) -> Result<Tensor> {
    let mut out = x.clone();
    for (i, &size) in kernel.iter().enumerate() {
        let Some(inner) = size.checked_sub(1) else {
            let message = "a window has no elements";
            return Err(bad_shape("conv", message).operand(x.note("padded input")));
        };
        let reach = dilation[i].saturating_mul(inner).saturating_add(1);
        if let Ok(len) = x.known_size(i + 2)
            && len < reach
        {
            let message = format!("a window of {reach} is larger than axis {}, {len}", i + 2);
            return Err(bad_shape("conv", message).operand(x.note("padded input")));
        }
        out = out.windows(i + 2, size, stride[i], dilation[i]);
    }
    Ok(out)
}

#[track_caller]
fn convolve(
    x: &Tensor,
    weight: &Tensor,
    stride: &[usize],
    dilation: &[usize],
    groups: usize,
) -> Result<Tensor> {
    let dims = weight.known_dims()?;
    let axes = kernel_axes(&dims);
    let windows = all_windows(x, &dims[2..], stride, dilation)?;
    let counts: Vec<Dim> = windows.sizes()?[2..2 + axes].to_vec();
    let n = x.dim(0);
    // [n, groups, c, counts, kernel] and [groups, outputs, c, kernel].
    let windows = windows.unflatten(1, [groups as i64, -1]);
    let weight = weight.unflatten(0, [groups as i64, -1]);
    let mut sums = vec![(2, 2)];
    sums.extend((0..axes as u32).map(|i| (3 + axes as u32 + i, 3 + i)));
    let product = contract_axes("conv", &windows, &weight, &[(1, 0)], &sums)?;
    // [groups, n, counts, outputs] to [n, groups, outputs, counts].
    let mut order = vec![1, 0, 2 + axes as i64];
    order.extend(2..2 + axes as i64);
    let mut shape = vec![n, Dim::from(dims[0])];
    shape.extend(counts);
    Ok(product.permute(order).reshape(shape))
}

fn kernel_axes(weight: &[usize]) -> usize {
    weight.len() - 2
}

#[track_caller]
fn finish_conv(result: Tensor, bias: Option<&Tensor>, single: bool) -> Result<Tensor> {
    let result = match bias {
        Some(bias) => result.add(bias.along(1, result.rank()?)),
        None => result,
    };
    Ok(if single { result.squeeze(0) } else { result })
}
