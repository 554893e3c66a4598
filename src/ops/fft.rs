//! Discrete Fourier transforms: PyTorch's `torch.fft` over four library functions. Zero-padding,
//! cutting, moving axes and scaling are ordinary operations around them.

use super::composite::{attempt, bad_argument, bad_dtype, bad_shape, floating};
use super::library::library_one;
use super::reduce::IntoAxes;
use crate::autograd::ForeignRules;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::{Applied, Dim, Tensor, constant, internal, primitive};
use lazulite_ir::{DType, Op, Scalar, TensorType};

/// Which direction of a transform divides by the number of points, so that both undo each other.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum FftNorm {
    /// The backward one.
    #[default]
    Backward,
    /// Both, by the square root.
    Ortho,
    /// The forward one.
    Forward,
}

/// A transform along one axis.
#[derive(Clone, Debug)]
pub struct FftOptions {
    /// Number of points, to which the axis is cut or filled up with zeros. Where the result is real this is
    /// the result's size.
    pub len: Option<Dim>,
    /// The axis.
    pub axis: i64,
    /// Scaling.
    pub norm: FftNorm,
}

impl Default for FftOptions {
    fn default() -> FftOptions {
        FftOptions {
            len: None,
            axis: -1,
            norm: FftNorm::default(),
        }
    }
}

/// A transform along several axes.
#[derive(Clone, Default, Debug)]
pub struct FftNOptions {
    /// Numbers of points, see [`FftOptions::len`]; -1 keeps a size.
    pub sizes: Option<Vec<Dim>>,
    /// The axes; if `None` the last ones, as many as there are sizes, or all.
    pub axes: Option<Vec<i64>>,
    /// Scaling.
    pub norm: FftNorm,
}

/// Of one axis, where -1 is no number of points.
fn single(op: &'static str, options: &FftOptions) -> Result<FftNOptions> {
    if options.len.as_ref().is_some_and(|len| is(len, -1)) {
        return Err(bad_argument(op, "-1 is no number of points"));
    }
    Ok(FftNOptions {
        sizes: options.len.clone().map(|len| vec![len]),
        axes: Some(vec![options.axis]),
        norm: options.norm,
    })
}

/// With the last two axes where none are given.
fn planar(_: &'static str, options: &FftNOptions) -> Result<FftNOptions> {
    Ok(FftNOptions {
        axes: Some(options.axes.clone().unwrap_or_else(|| vec![-2, -1])),
        ..options.clone()
    })
}

fn several(_: &'static str, options: &FftNOptions) -> Result<FftNOptions> {
    Ok(options.clone())
}

/// The sign of the exponent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}
use Direction::{Backward, Forward};

macro_rules! transforms {
    ($($(#[$doc:meta])* $name:ident($options:ty) = $run:ident($direction:ident) over $conversion:expr;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, options: &$options) -> Tensor {
                let op = stringify!($name);
                attempt(|| $run(op, self, &$conversion(op, options)?, $direction))
            }
        )*}
    };
}

transforms! {
    /// The Fourier transform along one axis.
    ///
    /// ```
    /// use lazulite::{FftOptions, prelude::*};
    /// let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [4]);
    /// let y = x.fft(&FftOptions::default());
    /// assert_eq!(y.real().to_vec::<f32>()?, [10.0, -2.0, -2.0, -2.0]);
    /// assert_eq!(y.imag().to_vec::<f32>()?, [0.0, 2.0, 0.0, -2.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    fft(FftOptions) = complex(Forward) over single;
    /// Undoes [`Tensor::fft`].
    ifft(FftOptions) = complex(Backward) over single;
    /// The first half of the Fourier transform of real numbers along one axis; the other half mirrors it.
    ///
    /// ```
    /// use lazulite::{FftOptions, prelude::*};
    /// let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [4]);
    /// let y = x.rfft(&FftOptions::default());
    /// assert_eq!(y.real().to_vec::<f32>()?, [10.0, -2.0, -2.0]);
    /// assert_eq!(y.irfft(&FftOptions::default()).to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    rfft(FftOptions) = real_to_half(Forward) over single;
    /// Undoes [`Tensor::rfft`]; an even number of real numbers if not told otherwise.
    irfft(FftOptions) = half_to_real(Backward) over single;
    /// The Fourier transform, which is real, of a sequence that mirrors the given half of it.
    hfft(FftOptions) = half_to_real(Forward) over single;
    /// Undoes [`Tensor::hfft`].
    ihfft(FftOptions) = real_to_half(Backward) over single;
    /// As [`Tensor::fft`], over the last two axes if not told otherwise.
    fft2(FftNOptions) = complex(Forward) over planar;
    /// As [`Tensor::ifft`], over the last two axes if not told otherwise.
    ifft2(FftNOptions) = complex(Backward) over planar;
    /// As [`Tensor::rfft`], over the last two axes if not told otherwise.
    rfft2(FftNOptions) = real_to_half(Forward) over planar;
    /// As [`Tensor::irfft`], over the last two axes if not told otherwise.
    irfft2(FftNOptions) = half_to_real(Backward) over planar;
    /// As [`Tensor::hfft`], over the last two axes if not told otherwise.
    hfft2(FftNOptions) = half_to_real(Forward) over planar;
    /// As [`Tensor::ihfft`], over the last two axes if not told otherwise.
    ihfft2(FftNOptions) = real_to_half(Backward) over planar;
    /// As [`Tensor::fft`], over several axes.
    fftn(FftNOptions) = complex(Forward) over several;
    /// As [`Tensor::ifft`], over several axes.
    ifftn(FftNOptions) = complex(Backward) over several;
    /// As [`Tensor::rfft`], over several axes, the last of which becomes the half.
    rfftn(FftNOptions) = real_to_half(Forward) over several;
    /// As [`Tensor::irfft`], over several axes, the last of which holds the half.
    irfftn(FftNOptions) = half_to_real(Backward) over several;
    /// As [`Tensor::hfft`], over several axes, the last of which holds the half.
    hfftn(FftNOptions) = half_to_real(Forward) over several;
    /// As [`Tensor::ihfft`], over several axes, the last of which becomes the half.
    ihfftn(FftNOptions) = real_to_half(Backward) over several;
}

impl Tensor {
    /// The frequencies of the points of a transform over `len` samples taken `spacing` apart; f32.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::fftfreq(4, 0.5).to_vec::<f32>()?, [0.0, 0.5, -1.0, -0.5]);
    /// assert_eq!(Tensor::rfftfreq(4, 0.5).to_vec::<f32>()?, [0.0, 0.5, 1.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn fftfreq(len: impl Into<Dim>, spacing: f64) -> Tensor {
        Tensor::fftfreq_of(len, spacing, DType::F32)
    }

    /// As [`Tensor::fftfreq`], with an element type.
    #[track_caller]
    pub fn fftfreq_of(len: impl Into<Dim>, spacing: f64, dtype: DType) -> Tensor {
        let len = len.into();
        let place = Tensor::iota(len.clone());
        let size = Tensor::from_dim(len.clone());
        let positive = (&len + 1).floor_div(2);
        let wrapped = place
            .lt(Tensor::from_dim(positive))
            .where_(&place, place.sub(&size));
        frequencies(&wrapped, &size, spacing, dtype)
    }

    /// The frequencies that are not negative of [`Tensor::fftfreq`], and the highest; f32.
    #[track_caller]
    pub fn rfftfreq(len: impl Into<Dim>, spacing: f64) -> Tensor {
        Tensor::rfftfreq_of(len, spacing, DType::F32)
    }

    /// As [`Tensor::rfftfreq`], with an element type.
    #[track_caller]
    pub fn rfftfreq_of(len: impl Into<Dim>, spacing: f64, dtype: DType) -> Tensor {
        let len = len.into();
        let place = Tensor::iota(half(&len));
        frequencies(&place, &Tensor::from_dim(len), spacing, dtype)
    }

    /// Moves the point of frequency zero from the beginning to the middle.
    #[track_caller]
    pub fn fftshift(&self, axes: impl IntoAxes) -> Tensor {
        attempt(|| rotated("fftshift", self, axes, |size| (size + 1).floor_div(2)))
    }

    /// Undoes [`Tensor::fftshift`].
    #[track_caller]
    pub fn ifftshift(&self, axes: impl IntoAxes) -> Tensor {
        attempt(|| rotated("ifftshift", self, axes, |size| size.floor_div(2)))
    }
}

#[track_caller]
fn frequencies(place: &Tensor, size: &Tensor, spacing: f64, dtype: DType) -> Tensor {
    attempt(|| {
        if !dtype.is_float() && !dtype.is_complex() {
            let message = format!("frequencies are fractions, {dtype} has none");
            return Err(Error::new(ErrorKind::DType, "fftfreq", message));
        }
        let width = size.cast(DType::F64).mul(spacing);
        Ok(place.cast(DType::F64).div(width).cast(dtype))
    })
}

/// The tensor with each axis turned so that it begins where `cut` says.
fn rotated(
    op: &'static str,
    x: &Tensor,
    axes: impl IntoAxes,
    cut: impl Fn(&Dim) -> Dim,
) -> Result<Tensor> {
    let mut out = x.clone();
    for (axis, resolved) in axes.into_axes(x.rank()?) {
        if resolved.is_none() || x.rank()? == 0 {
            let error = bad_shape(op, format!("axis {axis} does not exist"));
            return Err(error.operand(x.note("self")));
        }
        let size = x.dim(axis);
        let at = cut(&size);
        let tail = out.narrow(axis, at.clone(), size - at.clone());
        out = Tensor::cat(&[&tail, &out.narrow(axis, 0, at)], axis);
    }
    Ok(out)
}

/// The number of points that determine the transform of `len` real numbers.
fn half(len: &Dim) -> Dim {
    len.floor_div(2) + 1
}

/// The axes of a transform and the number of points along each.
struct Points {
    axes: Vec<usize>,
    lens: Vec<Dim>,
}

impl Points {
    /// `halved` says that the last axis holds the half of a real transform.
    fn resolve(op: &'static str, x: &Tensor, o: &FftNOptions, halved: bool) -> Result<Points> {
        let rank = x.rank()?;
        let given = o.sizes.as_deref();
        let axes = match (&o.axes, given) {
            (Some(axes), _) => x.distinct_axes(op, axes)?,
            (None, Some(sizes)) => (rank.saturating_sub(sizes.len())..rank).collect(),
            (None, None) => (0..rank).collect(),
        };
        if rank == 0 && !axes.is_empty() {
            let error = bad_shape(op, "a 0-d tensor has no axis to transform");
            return Err(error.operand(x.note("self")));
        }
        if let Some(sizes) = given.filter(|sizes| sizes.len() != axes.len()) {
            let message = format!("{} sizes for {} axes", sizes.len(), axes.len());
            return Err(bad_argument(op, message).operand(x.note("self")));
        }
        let mut lens = Vec::with_capacity(axes.len());
        for (i, &axis) in axes.iter().enumerate() {
            let asked = given.map(|sizes| &sizes[i]).filter(|len| !is(len, -1));
            let size = x.dim(axis as i64);
            let len = match asked {
                Some(len) => len.clone(),
                None if halved && i + 1 == axes.len() => (size - 1) * 2,
                None => size,
            };
            if let Some(n) = len.0.clone()?.as_const().filter(|n| *n < 1) {
                let error = bad_argument(op, format!("{n} points along axis {axis}"));
                let error = error.operand(x.note("self"));
                return Err(error.hint("there must be at least one"));
            }
            lens.push(len);
        }
        Ok(Points { axes, lens })
    }

    /// The last axis and its number of points, and the others.
    fn split_last(mut self, op: &'static str) -> Result<(usize, Dim, Points)> {
        match (self.axes.pop(), self.lens.pop()) {
            (Some(axis), Some(len)) => Ok((axis, len, self)),
            _ => Err(bad_argument(op, "transforms at least one axis")),
        }
    }
}

fn is(len: &Dim, value: i64) -> bool {
    matches!(&len.0, Ok(len) if len.as_const() == Some(value))
}

/// Complex numbers to complex numbers.
fn complex(op: &'static str, x: &Tensor, o: &FftNOptions, way: Direction) -> Result<Tensor> {
    let points = Points::resolve(op, x, o, false)?;
    let x = computable(op, x)?;
    let mut z = x.cast(complex_of(x.dtype()?));
    for (&axis, len) in points.axes.iter().zip(&points.lens) {
        z = along(op, &resized(op, &z, axis, len)?, axis, way)?;
    }
    scaled(&z, &points.lens, o.norm, way)
}

/// Real numbers to the half of their transform (forward), or of its conjugate.
fn real_to_half(op: &'static str, x: &Tensor, o: &FftNOptions, way: Direction) -> Result<Tensor> {
    if x.is_complex() {
        return Err(bad_dtype(op, x).hint("it takes real numbers"));
    }
    let points = Points::resolve(op, x, o, false)?;
    let lens = points.lens.clone();
    let (axis, len, others) = points.split_last(op)?;
    let mut y = resized(op, &computable(op, x)?, axis, &len)?;
    for (&axis, len) in others.axes.iter().zip(&others.lens) {
        y = resized(op, &y, axis, len)?;
    }
    y = scaled(&y, &lens, o.norm, way)?;
    let real = y.dtype()?;
    let mut z = called(op, "fft.r2c", real, complex_of(real), half(&len), &y, axis)?;
    if way == Backward {
        z = z.conj();
    }
    for &axis in &others.axes {
        z = along(op, &z, axis, way)?;
    }
    Ok(z)
}

/// The half of a transform to real numbers (backward), or to those of its conjugate.
fn half_to_real(op: &'static str, x: &Tensor, o: &FftNOptions, way: Direction) -> Result<Tensor> {
    let points = Points::resolve(op, x, o, true)?;
    let lens = points.lens.clone();
    let (axis, len, others) = points.split_last(op)?;
    let x = computable(op, x)?;
    let mut z = x.cast(complex_of(x.dtype()?));
    z = resized(op, &z, axis, &half(&len))?;
    for (&axis, len) in others.axes.iter().zip(&others.lens) {
        z = along(op, &resized(op, &z, axis, len)?, axis, way)?;
    }
    if way == Forward {
        z = z.conj();
    }
    let real = z.dtype()?.real();
    let y = called(op, "fft.c2r", real, real, len, &z, axis)?;
    scaled(&y, &lens, o.norm, way)
}

/// The transform along an axis, not scaled.
fn along(op: &'static str, z: &Tensor, axis: usize, way: Direction) -> Result<Tensor> {
    let name = match way {
        Forward => "fft.forward",
        Backward => "fft.backward",
    };
    let (dtype, len) = (z.dtype()?, z.dim(axis as i64));
    called(op, name, dtype, dtype, len, z, axis)
}

/// A library function along an axis, which gets size `len`.
fn called(
    op: &'static str,
    name: &str,
    scalar: DType,
    result: DType,
    len: Dim,
    x: &Tensor,
    axis: usize,
) -> Result<Tensor> {
    let turned = x.transpose(axis as i64, -1);
    let mut ty = TensorType {
        dtype: result,
        dims: turned.node()?.ty.dims.clone(),
    };
    if let Some(last) = ty.dims.last_mut() {
        *last = len.0?;
    }
    let y = library_one(op, name, scalar, ty, &[&turned]);
    Ok(y.transpose(axis as i64, -1))
}

/// The tensor as numbers that there are transforms of.
fn computable(op: &'static str, x: &Tensor) -> Result<Tensor> {
    match floating(x.dtype()?) {
        DType::F16 | DType::BF16 => {
            Err(bad_dtype(op, x).hint("cast it to f32: transforms of half floats are not computed"))
        }
        dtype => Ok(x.cast(dtype)),
    }
}

/// The complex type of a real one's precision.
fn complex_of(dtype: DType) -> DType {
    match dtype {
        DType::F64 | DType::C128 => DType::C128,
        _ => DType::C64,
    }
}

/// The tensor with an axis cut or filled up with zeros to `len`.
fn resized(op: &'static str, x: &Tensor, axis: usize, len: &Dim) -> Result<Tensor> {
    fitted(op, x, axis, len, 0.0)
}

/// The tensor with an axis cut or filled up with a number to `len`.
pub(super) fn fitted(
    op: &'static str,
    x: &Tensor,
    axis: usize,
    len: &Dim,
    fill: f64,
) -> Result<Tensor> {
    let ty = &x.node()?.ty;
    let (size, len) = (&ty.dims[axis], len.0.clone()?);
    if *size == len {
        return Ok(x.clone());
    }
    if len.compare_le(size) == Some(true) {
        return Ok(x.narrow(axis as i64, 0, Dim(Ok(len))));
    }
    let none: lazulite_ir::Dims = vec![lazulite_ir::Dim::ZERO; ty.rank()].into();
    let mut high = none.clone();
    high[axis] = (Dim(Ok(len)) - Dim(Ok(size.clone()))).0?;
    let pad = Op::Pad {
        low: none.clone(),
        high,
        interior: none,
    };
    let fill = constant(Scalar::from_f64(ty.dtype, fill));
    Ok(primitive(op, pad, &[x, &fill]))
}

/// The tensor divided as the scaling wants it for transforms in this direction over so many points.
fn scaled(x: &Tensor, lens: &[Dim], norm: FftNorm, way: Direction) -> Result<Tensor> {
    let divides = match norm {
        FftNorm::Backward => way == Backward,
        FftNorm::Forward => way == Forward,
        FftNorm::Ortho => true,
    };
    if !divides || lens.is_empty() {
        return Ok(x.clone());
    }
    let count = lens.iter().fold(Dim::from(1i64), |n, len| n * len);
    let count = Tensor::from_dim(count).cast(DType::F64);
    let divisor = match norm {
        FftNorm::Ortho => count.sqrt(),
        FftNorm::Backward | FftNorm::Forward => count,
    };
    let factor = divisor.reciprocal().cast(x.dtype()?.real());
    Ok(if x.is_complex() {
        Tensor::complex(&x.real().mul(&factor), &x.imag().mul(&factor))
    } else {
        x.mul(factor)
    })
}

/// Derivatives of the library functions. All are linear; transposed with respect to the real inner
/// product, the forward transform is the backward one.
pub(crate) const DERIVATIVES: &[(&str, ForeignRules)] = &[
    (
        "fft.forward",
        ForeignRules {
            pullback: |a| flow(a, |g| along("ifft", g, g.rank()? - 1, Backward)),
            pushforward: |a| flow(a, |t| along("fft", t, t.rank()? - 1, Forward)),
        },
    ),
    (
        "fft.backward",
        ForeignRules {
            pullback: |a| flow(a, |g| along("fft", g, g.rank()? - 1, Forward)),
            pushforward: |a| flow(a, |t| along("ifft", t, t.rank()? - 1, Backward)),
        },
    ),
    (
        "fft.r2c",
        ForeignRules {
            pullback: |a| {
                let len = a.operands[0].dim(-1);
                flow(a, |g| to_real(&weighted(g, &len, 0.5)?, len.clone()))
            },
            pushforward: |a| flow(a, to_half),
        },
    ),
    (
        "fft.c2r",
        ForeignRules {
            pullback: |a| flow(a, |g| weighted(&to_half(g)?, &g.dim(-1), 2.0)),
            pushforward: |a| flow(a, |t| to_real(t, a.results[0].dim(-1))),
        },
    ),
];

/// What becomes of the one cotangent or tangent.
fn flow(a: &Applied<'_>, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    match a.flow {
        [one] => Ok(vec![f(one)?]),
        _ => Err(internal(
            "fft",
            "transforms have one operand and one result",
        )),
    }
}

/// `fft.r2c` of the last axis.
fn to_half(x: &Tensor) -> Result<Tensor> {
    let (real, len) = (x.dtype()?, half(&x.dim(-1)));
    called(
        "rfft",
        "fft.r2c",
        real,
        complex_of(real),
        len,
        x,
        x.rank()? - 1,
    )
}

/// `fft.c2r` of the last axis, to `len` numbers.
fn to_real(z: &Tensor, len: Dim) -> Result<Tensor> {
    let real = z.dtype()?.real();
    called("irfft", "fft.c2r", real, real, len, z, z.rank()? - 1)
}

/// The half of a transform of `len` real numbers with those points multiplied that stand for two.
fn weighted(z: &Tensor, len: &Dim, factor: f64) -> Result<Tensor> {
    let point = Tensor::iota(z.dim(-1));
    let middle = point.mul(2).eq(Tensor::from_dim(len.clone()));
    let single = point.eq(0).bitwise_or(middle);
    let one = Tensor::full_of((), 1, z.dtype()?.real());
    let weight = single.where_(&one, one.mul(factor));
    Ok(Tensor::complex(
        &z.real().mul(&weight),
        &z.imag().mul(&weight),
    ))
}
