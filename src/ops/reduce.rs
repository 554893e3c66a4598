//! Reductions, scans, and what is made of them.

use super::composite::attempt;
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, Scope};
use crate::tensor::{Applied, Derivative, Dim, IntoList, Number, Tensor, composite, primitive};
use lazulite_ir::{Combine, DType, Dims, Op};
use std::ops::RangeFull;

/// Which axes to reduce: `..` for all, one axis, or several: a tuple, array, slice or vector (negative ones count from
/// the end). As in PyTorch an
/// empty list stands for all, but for [`Tensor::any`] and [`Tensor::all`], which reduce nothing then.
#[diagnostic::on_unimplemented(
    message = "`{Self}` lists no axes",
    label = "expected `..` for all, `1` for one, or `(0, 1)`, `[0, 1]`, a slice or vector of `i64`s"
)]
pub trait IntoAxes {
    /// The axes, resolved for a tensor with `rank` axes; `None` marks one that does not exist.
    fn into_axes(self, rank: usize) -> Vec<(i64, Option<usize>)>;
}

fn resolve(axis: i64, rank: usize) -> (i64, Option<usize>) {
    let rank = rank.max(1) as i64;
    let at = if axis < 0 {
        axis.saturating_add(rank)
    } else {
        axis
    };
    (axis, (0..rank).contains(&at).then_some(at as usize))
}

impl IntoAxes for RangeFull {
    fn into_axes(self, rank: usize) -> Vec<(i64, Option<usize>)> {
        (0..rank).map(|a| (a as i64, Some(a))).collect()
    }
}

impl IntoAxes for i64 {
    fn into_axes(self, rank: usize) -> Vec<(i64, Option<usize>)> {
        vec![resolve(self, rank)]
    }
}

macro_rules! axes_of_lists {
    ($(($($generics:tt)*) $list:ty;)*) => {$(
        impl$($generics)* IntoAxes for $list {
            fn into_axes(self, rank: usize) -> Vec<(i64, Option<usize>)> {
                let axes: Vec<i64> = self.into_list();
                axes.into_iter().map(|axis| resolve(axis, rank)).collect()
            }
        }
    )*};
}

axes_of_lists! {
    (<const N: usize>) [i64; N];
    (<const N: usize>) &[i64; N];
    () &[i64];
    () Vec<i64>;
    () &Vec<i64>;
    () (i64,);
    () (i64, i64);
    () (i64, i64, i64);
    () (i64, i64, i64, i64);
    () (i64, i64, i64, i64, i64);
}

/// `None` stands for all axes, as it does in PyTorch.
impl<T: IntoAxes> IntoAxes for Option<T> {
    fn into_axes(self, rank: usize) -> Vec<(i64, Option<usize>)> {
        match self {
            Some(axes) => axes.into_axes(rank),
            None => (..).into_axes(rank),
        }
    }
}

/// More axes than this are not reduced, as in PyTorch.
const MOST_AXES: usize = 64;

impl Tensor {
    /// Sum over axes, which disappear. Integers and bools are summed as i64.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::iota(6).reshape([2, 3]);
    /// assert_eq!(x.sum(-1).to_vec::<i64>()?, [3, 12]);
    /// assert_eq!(x.sum(..).item::<i64>()?, 15);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn sum(&self, axes: impl IntoAxes) -> Tensor {
        self.widened().total("sum", Combine::Sum, axes, false)
    }

    /// As [`Tensor::sum`]; the axes stay with size 1.
    #[track_caller]
    pub fn sum_keepdim(&self, axes: impl IntoAxes) -> Tensor {
        self.widened().total("sum", Combine::Sum, axes, true)
    }

    /// Product over axes. Integers and bools are multiplied as i64.
    #[doc(alias("product"))]
    #[track_caller]
    pub fn prod(&self, axes: impl IntoAxes) -> Tensor {
        self.widened().total("prod", Combine::Prod, axes, false)
    }

    /// Largest element over axes, as [`Tensor::amax`]. Values alone: where they are is what [`Tensor::max_dim`] and
    /// [`Tensor::argmax`] tell, and the larger of two tensors' elements is [`Tensor::maximum`].
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([[1, 5], [7, 3]]);
    /// assert_eq!(x.max(..).item::<i32>()?, 7);
    /// assert_eq!(x.max(0).to_vec::<i32>()?, [7, 5]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn max(&self, axes: impl IntoAxes) -> Tensor {
        self.extremum("max", Combine::Max, axes, false)
    }

    /// Smallest element over axes, as [`Tensor::amin`]; see [`Tensor::max`].
    #[track_caller]
    pub fn min(&self, axes: impl IntoAxes) -> Tensor {
        self.extremum("min", Combine::Min, axes, false)
    }

    /// Largest element over axes; NaN if there is one.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([[1, 5], [7, 3]]);
    /// assert_eq!(x.amax(1).to_vec::<i32>()?, [5, 7]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn amax(&self, axes: impl IntoAxes) -> Tensor {
        self.extremum("amax", Combine::Max, axes, false)
    }

    /// As [`Tensor::amax`]; the axes stay with size 1.
    #[track_caller]
    pub fn amax_keepdim(&self, axes: impl IntoAxes) -> Tensor {
        self.extremum("amax", Combine::Max, axes, true)
    }

    /// Smallest element over axes; NaN if there is one.
    #[track_caller]
    pub fn amin(&self, axes: impl IntoAxes) -> Tensor {
        self.extremum("amin", Combine::Min, axes, false)
    }

    /// As [`Tensor::amin`]; the axes stay with size 1.
    #[track_caller]
    pub fn amin_keepdim(&self, axes: impl IntoAxes) -> Tensor {
        self.extremum("amin", Combine::Min, axes, true)
    }

    /// Mean over axes, of floating-point tensors.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]);
    /// assert_eq!(x.mean(0).to_vec::<f32>()?, [2.0, 3.0]);
    /// assert_eq!(x.mean((0, 1)).item::<f32>()?, 2.5);
    /// assert_eq!(x.mean_keepdim(0).dims()?, [1, 2]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn mean(&self, axes: impl IntoAxes) -> Tensor {
        self.mean_of("mean", axes, false)
    }

    /// As [`Tensor::mean`]; the axes stay with size 1.
    #[track_caller]
    pub fn mean_keepdim(&self, axes: impl IntoAxes) -> Tensor {
        self.mean_of("mean", axes, true)
    }

    /// The unbiased variance over axes: 1 is subtracted from the count.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([1.0f32, 2.0, 6.0]);
    /// assert_eq!(x.var(0).item::<f32>()?, 7.0);
    /// assert!((x.var_with(0, 0).item::<f32>()? - 14.0 / 3.0).abs() < 1e-6);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn var(&self, axes: impl IntoAxes) -> Tensor {
        self.var_with(axes, 1)
    }

    /// As [`Tensor::var`], with another `correction` subtracted from the count; 0 gives the mean of squares.
    #[track_caller]
    pub fn var_with(&self, axes: impl IntoAxes, correction: impl Into<Number>) -> Tensor {
        self.variance("var", axes, correction.into(), false)
    }

    /// As [`Tensor::var`]; the axes stay with size 1.
    #[track_caller]
    pub fn var_keepdim(&self, axes: impl IntoAxes) -> Tensor {
        self.var_keepdim_with(axes, 1)
    }

    /// As [`Tensor::var_keepdim`], where `correction` is subtracted from the count.
    #[track_caller]
    pub fn var_keepdim_with(&self, axes: impl IntoAxes, correction: impl Into<Number>) -> Tensor {
        self.variance("var", axes, correction.into(), true)
    }

    /// Square root of the unbiased variance.
    #[track_caller]
    pub fn std(&self, axes: impl IntoAxes) -> Tensor {
        self.std_with(axes, 1)
    }

    /// As [`Tensor::std`], where `correction` is subtracted from the count.
    #[track_caller]
    pub fn std_with(&self, axes: impl IntoAxes, correction: impl Into<Number>) -> Tensor {
        let variance = self.variance("std", axes, correction.into(), false);
        flat_at_zero(&variance, Tensor::sqrt)
    }

    /// True where any element is not zero.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert!(Tensor::from([false, true]).any(..).item::<bool>()?);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn any(&self, axes: impl IntoAxes) -> Tensor {
        self.cast(DType::Bool)
            .reduce("any", Combine::Max, axes, false)
    }

    /// True where all elements are not zero.
    #[track_caller]
    pub fn all(&self, axes: impl IntoAxes) -> Tensor {
        self.cast(DType::Bool)
            .reduce("all", Combine::Min, axes, false)
    }

    /// Position of the largest element along an axis, the first of equals; the first NaN if there
    /// is one.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::from([[1, 5], [7, 3]]).argmax(-1).to_vec::<i64>()?, [1, 0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn argmax(&self, axis: i64) -> Tensor {
        self.arg_extremum("argmax", Combine::Max, axis)
    }

    /// Position of the smallest element along an axis, the first of equals; the first NaN if there
    /// is one.
    #[track_caller]
    pub fn argmin(&self, axis: i64) -> Tensor {
        self.arg_extremum("argmin", Combine::Min, axis)
    }

    /// Logarithm of the sum of exponentials over axes, without overflow.
    #[track_caller]
    pub fn logsumexp(&self, axes: impl IntoAxes) -> Tensor {
        attempt(|| {
            let axes = self.some_axes("logsumexp", axes)?;
            let axes: Vec<i64> = axes.into_iter().map(i64::from).collect();
            let x = self.to_floating();
            let define = || {
                x.in_single(|x| {
                    // Of no elements this is minus infinity, and so is the result.
                    let top = x.real();
                    let top = top.reduce("logsumexp", Combine::Max, axes.as_slice(), true);
                    let top = finite_or_zero(&top.detach());
                    let sum = x.sub(&top).exp().sum_keepdim(axes.as_slice());
                    x.without_axes(&sum.log().add(top), &axes)
                })
            };
            let pull = Derivative::Pullback(pull_logsumexp);
            Ok(composite("logsumexp", &axes, pull, &[&x], define))
        })
    }

    /// A result that kept reduced axes as 1, without them.
    #[track_caller]
    fn without_axes(&self, kept: &Tensor, axes: &[i64]) -> Tensor {
        match self.rank() {
            Ok(0) | Err(_) => kept.clone(),
            Ok(_) => axes
                .iter()
                .rev()
                .fold(kept.clone(), |r, &axis| r.squeeze(axis)),
        }
    }

    /// Exponentials divided by their sum along an axis, without overflow.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([[0.0f32, 0.0], [1.0, 1.0]]);
    /// assert_eq!(x.softmax(-1).to_vec::<f32>()?, [0.5; 4]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn softmax(&self, axis: i64) -> Tensor {
        let x = self.to_floating();
        let define = || {
            x.in_single(|x| {
                let e = x.sub(x.top("softmax", axis)).exp();
                e.div(e.sum_keepdim(axis))
            })
        };
        let pull = Derivative::Pullback(pull_softmax);
        composite("softmax", &[axis], pull, &[&x], define)
    }

    /// Logarithm of [`Tensor::softmax`], accurate where that is small.
    #[track_caller]
    pub fn log_softmax(&self, axis: i64) -> Tensor {
        let x = self.to_floating();
        let define = || {
            x.in_single(|x| {
                let shifted = x.sub(x.top("log_softmax", axis));
                shifted.sub(shifted.exp().sum_keepdim(axis).log())
            })
        };
        let pull = Derivative::Pullback(pull_log_softmax);
        composite("log_softmax", &[axis], pull, &[&x], define)
    }

    /// The largest (real part) along an axis, which may be empty. It cancels out, so nothing flows
    /// through it.
    #[track_caller]
    fn top(&self, op: &'static str, axis: i64) -> Tensor {
        self.real().reduce(op, Combine::Max, axis, true).detach()
    }

    /// Running sum along an axis. Integers and bools are summed as i64.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::from([1, 2, 3]).cumsum(0).to_vec::<i64>()?, [1, 3, 6]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn cumsum(&self, axis: i64) -> Tensor {
        self.widened().scan("cumsum", Combine::Sum, axis)
    }

    /// Running product along an axis. Integers and bools are multiplied as i64.
    #[track_caller]
    pub fn cumprod(&self, axis: i64) -> Tensor {
        self.widened().scan("cumprod", Combine::Prod, axis)
    }

    #[track_caller]
    fn scan(&self, op: &'static str, kind: Combine, axis: i64) -> Tensor {
        match (self.axis(op, axis), self.rank()) {
            // The running combination of one element is the element.
            (Ok(_), Ok(0)) => self.clone(),
            (Ok(axis), Ok(_)) => {
                let axis = axis as u32;
                primitive(
                    op,
                    Op::Scan {
                        kind,
                        axis,
                        reverse: false,
                    },
                    &[self],
                )
            }
            (Err(e), _) | (_, Err(e)) => Tensor::error(e),
        }
    }

    /// Integers and bools as i64, everything else as it is.
    #[track_caller]
    fn widened(&self) -> Tensor {
        match self.dtype() {
            Ok(dtype) if dtype.is_int() || dtype == DType::Bool => self.cast(DType::I64),
            _ => self.clone(),
        }
    }

    #[track_caller]
    pub(crate) fn reduce(
        &self,
        op: &'static str,
        kind: Combine,
        axes: impl IntoAxes,
        keepdim: bool,
    ) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        match self.axes(op, axes) {
            Ok(axes) if self.rank().is_ok_and(|r| r == 0) => {
                // Reducing a 0-d tensor over "its" axis, as PyTorch allows, changes nothing.
                let _ = axes;
                self.clone()
            }
            Ok(axes) => self.reduce_axes(op, kind, axes, keepdim),
            Err(e) => Tensor::error(e.at(place)),
        }
    }

    #[track_caller]
    fn reduce_axes(
        &self,
        op: &'static str,
        kind: Combine,
        axes: Vec<u32>,
        keepdim: bool,
    ) -> Tensor {
        let kept: Option<Dims> = match (keepdim, self.node()) {
            (true, Ok(node)) => {
                let mut dims = node.ty.dims.clone();
                axes.iter()
                    .for_each(|&a| dims[a as usize] = lazulite_ir::Dim::ONE);
                Some(dims)
            }
            _ => None,
        };
        let reduced = primitive(op, Op::Reduce { kind, axes }, &[self]);
        match kept {
            Some(dims) => primitive(op, Op::Reshape { dims }, &[&reduced]),
            None => reduced,
        }
    }

    /// As [`Tensor::reduce`], over all axes where none are named.
    #[track_caller]
    fn total(&self, op: &'static str, kind: Combine, axes: impl IntoAxes, keepdim: bool) -> Tensor {
        match self.some_axes(op, axes) {
            Ok(_) if self.rank().is_ok_and(|r| r == 0) => self.clone(),
            Ok(axes) => self.reduce_axes(op, kind, axes, keepdim),
            Err(e) => Tensor::error(e.at(Place::here())),
        }
    }

    /// Sorted, distinct axes; all where none are named.
    pub(crate) fn some_axes(&self, op: &'static str, axes: impl IntoAxes) -> Result<Vec<u32>> {
        match self.axes(op, axes)? {
            none if none.is_empty() => self.axes(op, ..),
            some => Ok(some),
        }
    }

    /// Sorted, distinct axes.
    pub(crate) fn axes(&self, op: &'static str, axes: impl IntoAxes) -> Result<Vec<u32>> {
        let rank = self.node()?.ty.rank();
        if rank > MOST_AXES {
            let message = format!("of {rank} axes at most {MOST_AXES} can be told apart");
            return Err(Error::new(ErrorKind::Shape, op, message).operand(self.note("self")));
        }
        let mut out = Vec::new();
        for (given, axis) in axes.into_axes(rank) {
            let Some(axis) = axis else {
                let message = format!("axis {given} does not exist: the tensor has {rank} axes");
                return Err(Error::new(ErrorKind::Shape, op, message).operand(self.note("self")));
            };
            if out.contains(&(axis as u32)) {
                let message = format!("axis {given} is named twice");
                return Err(Error::new(ErrorKind::Argument, op, message).operand(self.note("self")));
            }
            out.push(axis as u32);
        }
        out.sort_unstable();
        Ok(out)
    }

    #[track_caller]
    fn extremum(
        &self,
        op: &'static str,
        kind: Combine,
        axes: impl IntoAxes,
        keepdim: bool,
    ) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        let empty = |axes: &Vec<u32>| {
            let dims = &self.0.as_ref().ok()?.ty.dims;
            axes.iter()
                .find(|&&a| dims.get(a as usize).is_some_and(|d| d.is(0)))
                .copied()
        };
        match self.some_axes(op, axes) {
            Ok(_) if self.rank().is_ok_and(|r| r == 0) => self.clone(),
            Ok(axes) => match empty(&axes) {
                Some(axis) => {
                    let message = format!("axis {axis} has no elements, so there is no extremum");
                    let error = Error::new(ErrorKind::Shape, op, message);
                    Tensor::error(error.at(place).operand(self.note("self")))
                }
                None => self.reduce_axes(op, kind, axes, keepdim),
            },
            Err(e) => Tensor::error(e.at(place)),
        }
    }

    /// The number of elements along axes, as a 0-d tensor of this tensor's type.
    #[track_caller]
    fn count_along(&self, op: &'static str, axes: &[u32]) -> Tensor {
        let node = match self.node() {
            Ok(node) => node,
            Err(e) => return Tensor::error(e),
        };
        let along = axes.iter().filter_map(|&a| node.ty.dims.get(a as usize));
        match lazulite_ir::Dim::product(along) {
            Ok(value) => {
                let dtype = node.ty.dtype.real().compute();
                primitive(op, Op::Size { value, dtype }, &[])
            }
            Err(e) => Tensor::error(crate::tensor::size_overflow(op, e)),
        }
    }

    #[track_caller]
    fn mean_of(&self, op: &'static str, axes: impl IntoAxes, keepdim: bool) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        match (self.dtype(), self.some_axes(op, axes)) {
            (Ok(dtype), Ok(_)) if !dtype.is_float() && !dtype.is_complex() => Tensor::error(
                Error::new(
                    ErrorKind::DType,
                    op,
                    format!("the mean of {dtype} is not defined"),
                )
                .at(place)
                .operand(self.note("self"))
                .hint("cast to a floating-point type first"),
            ),
            (Ok(_), Ok(axes)) => self.in_single(|x| {
                let count = x.count_along(op, &axes);
                let sum = if x.rank().is_ok_and(|r| r == 0) {
                    x.clone()
                } else {
                    x.reduce_axes(op, Combine::Sum, axes, keepdim)
                };
                sum.div(count)
            }),
            (Err(e), _) | (_, Err(e)) => Tensor::error(e.at(place)),
        }
    }

    #[track_caller]
    fn variance(
        &self,
        op: &'static str,
        axes: impl IntoAxes,
        correction: Number,
        keepdim: bool,
    ) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        let axes: Vec<i64> = match self.some_axes(op, axes) {
            Ok(axes) => axes.into_iter().map(i64::from).collect(),
            Err(e) => return Tensor::error(e.at(place)),
        };
        let axes = axes.as_slice();
        self.in_single(|x| {
            let centred = x.sub(x.mean_of(op, axes, true));
            let squares = centred.abs().square();
            let squares = squares.reduce(op, Combine::Sum, axes, keepdim);
            let axes: Vec<u32> = axes.iter().map(|&a| a as u32).collect();
            let freedom = x.count_along(op, &axes).sub(correction).maximum(0);
            squares.div(freedom)
        })
    }

    #[track_caller]
    fn arg_extremum(&self, op: &'static str, kind: Combine, axis: i64) -> Tensor {
        let position = match self.axis(op, axis) {
            Ok(axis) => axis,
            Err(e) => return Tensor::error(e),
        };
        let rank = match self.rank() {
            Ok(0) => return Tensor::full((), 0),
            Ok(rank) => rank,
            Err(e) => return Tensor::error(e),
        };
        let best = self.extremum(op, kind, axis, true);
        // NaN is the extremum when there is one, and equals nothing.
        let hit = self.eq(&best).bitwise_or(self.ne(self));
        let mut shape = vec![Dim::from(1i64); rank];
        shape[position] = self.dim(axis);
        let index = Tensor::iota(self.dim(axis)).reshape(shape);
        let nowhere = Tensor::from_dim(self.dim(axis));
        hit.where_(index, nowhere)
            .reduce(op, Combine::Min, axis, false)
    }
}

/// `function`, which is 0 at 0, with a slope of 0 there, where its own is infinite.
#[track_caller]
pub(super) fn flat_at_zero(x: &Tensor, function: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    let zero = x.eq(0);
    zero.where_(0, function(&zero.where_(1, x)))
}

/// Infinite maxima must not be subtracted from themselves.
#[track_caller]
fn finite_or_zero(x: &Tensor) -> Tensor {
    x.isinf().where_(x.zeros_like(), x)
}

/// Each element gets its share of the sum.
fn pull_logsumexp(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let axes = at.attributes;
    let (x, result, g) = (&at.operands[0], &at.results[0], &at.flow[0]);
    let kept = |t: &Tensor| x.keep_axes(t, axes);
    // Where everything is minus infinity there is no share of anything.
    let finite = match result.is_complex() {
        true => result.clone(),
        false => finite_or_zero(result),
    };
    let share = x.sub(kept(&finite)).exp();
    Ok(vec![share.conj().mul(kept(g)).type_as(x)])
}

fn pull_softmax(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (x, y, g) = (&at.operands[0], at.results[0].conj(), &at.flow[0]);
    let pulled = |y: &Tensor, g: &Tensor| {
        let flow = g.mul(y);
        flow.sub(y.mul(flow.sum_keepdim(at.attributes[0])))
    };
    Ok(vec![y.in_single(|y| pulled(y, &g.type_as(y))).type_as(x)])
}

fn pull_log_softmax(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (x, y, g) = (&at.operands[0], at.results[0].conj(), &at.flow[0]);
    let pulled = |y: &Tensor, g: &Tensor| {
        let sum = g.sum_keepdim(at.attributes[0]);
        g.sub(y.exp().mul(sum))
    };
    Ok(vec![y.in_single(|y| pulled(y, &g.type_as(y))).type_as(x)])
}
