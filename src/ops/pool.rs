//! Pooling over the last axes: largest elements and means of windows, of equal or adapted sizes.

use super::composite::{attempt, attempt_pair, bad_argument, bad_shape, floating, sane};
use super::window::per_axis;
use crate::error::Result;
use crate::tensor::{Applied, Derivative, Dim, IntoList, Number, Tensor, composite};
use lazulite_ir::DType;

/// Options of pooling with windows of equal size. Lists hold one number per axis, or one for all.
///
/// ```
/// use lazulite::{PoolOptions, prelude::*};
/// let overlapping = PoolOptions::default().stride(2).padding((1, 1));
/// let (values, places) = Tensor::ones((1, 8, 8)).max_pool_with((3, 3), &overlapping);
/// assert_eq!((values.dims()?, places.dims()?), (vec![1, 4, 4], vec![1, 4, 4]));
/// # Ok::<(), lazulite::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// Steps between windows; the window size if empty.
    pub stride: Vec<usize>,
    /// Elements around that do not count (for means: zeros).
    pub padding: Vec<usize>,
    /// Steps between the elements of a window.
    pub dilation: Vec<usize>,
    /// Windows may reach beyond the end.
    pub ceil_mode: bool,
    /// For means: padding counts as elements.
    pub count_include_pad: bool,
    /// For means: what sums are divided by instead of the count.
    pub divisor: Option<i64>,
}

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        PoolOptions {
            stride: Vec::new(),
            padding: vec![0],
            dilation: vec![1],
            ceil_mode: false,
            count_include_pad: true,
            divisor: None,
        }
    }
}

impl PoolOptions {
    /// The same with steps between windows.
    pub fn stride(mut self, stride: impl IntoList<usize>) -> PoolOptions {
        self.stride = stride.into_list();
        self
    }

    /// The same with elements around that do not count (for means: zeros).
    pub fn padding(mut self, padding: impl IntoList<usize>) -> PoolOptions {
        self.padding = padding.into_list();
        self
    }

    /// The same with steps between the elements of a window.
    pub fn dilation(mut self, dilation: impl IntoList<usize>) -> PoolOptions {
        self.dilation = dilation.into_list();
        self
    }
}

/// Windows along one axis.
struct AxisWindows {
    size: usize,
    stride: usize,
    dilation: usize,
    /// Elements outside that count as padding.
    padding: usize,
    /// Elements outside beyond the padding, for windows that reach over the end; negative if the end
    /// is in no window.
    overhang: i64,
}

impl AxisWindows {
    fn new(
        len: usize,
        size: usize,
        stride: usize,
        dilation: usize,
        padding: usize,
        ceil_mode: bool,
    ) -> Result<AxisWindows, String> {
        if size == 0 || stride == 0 || dilation == 0 {
            return Err("window, stride and dilation are at least 1".into());
        }
        let reach = dilation * (size - 1) + 1;
        if padding * 2 > reach {
            return Err(format!(
                "padding {padding} is more than half of window {size}"
            ));
        }
        let further = if ceil_mode { stride - 1 } else { 0 };
        let Some(room) = (len + 2 * padding + further).checked_sub(reach) else {
            return Err(format!(
                "a window of {reach} is larger than the axis, {len}"
            ));
        };
        let mut count = room / stride + 1;
        // The last window starts inside, or in the padding before.
        if ceil_mode && (count - 1) * stride >= len + padding {
            count -= 1;
        }
        let needed = ((count - 1) * stride + reach) as i64;
        Ok(AxisWindows {
            size,
            stride,
            dilation,
            padding,
            overhang: needed - (len + 2 * padding) as i64,
        })
    }

    fn widths(&self) -> (i64, i64) {
        let padding = self.padding as i64;
        (padding, padding + self.overhang)
    }
}

impl Tensor {
    /// The largest element of each window over the last axes, as many as `kernel` has entries; windows lie next to
    /// each other.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::iota(16).reshape((1, 4, 4));
    /// assert_eq!(x.max_pool((2, 2)).to_vec::<i64>()?, [5, 7, 13, 15]);
    /// assert_eq!(x.max_pool(2).dims()?, [1, 4, 2]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("max_pool1d", "max_pool2d", "max_pool3d"))]
    #[track_caller]
    pub fn max_pool(&self, kernel: impl IntoList<usize>) -> Tensor {
        self.max_pool_with(kernel, &PoolOptions::default()).0
    }

    /// As [`Tensor::max_pool`], with stride, padding and the like; and the positions of the elements in the flattened
    /// last axes.
    #[track_caller]
    pub fn max_pool_with(
        &self,
        kernel: impl IntoList<usize>,
        options: &PoolOptions,
    ) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let axes = self.pool_windows("max_pool", &kernel.into_list(), options)?;
            let rank = self.rank()? - axes.len();
            let lowest = lowest(self.dtype()?);
            let windows = |x: &Tensor, fill: Number| -> Result<Tensor> {
                let first = x.rank()? - axes.len();
                let widths = std::iter::repeat_n((0, 0), first);
                let padded = x.pad(
                    widths
                        .chain(axes.iter().map(AxisWindows::widths))
                        .collect::<Vec<_>>(),
                    fill,
                );
                Ok(pool_windows(&padded, first, &axes).flatten(-(axes.len() as i64), -1))
            };
            let elements = windows(self, lowest)?;
            let spatial: Vec<Dim> = self.sizes()?[rank..].to_vec();
            let count: usize = self.known_sizes(rank..)?.iter().product();
            let positions = windows(&Tensor::iota(count).reshape(spatial), Number::Int(-1))?;
            // Padding is not to be chosen where everything is as low as it.
            let inside = positions.ge(0);
            let chosen = first_largest(&elements, &inside);
            let pick = |t: &Tensor| t.expand_as(&elements).gather(-1, &chosen).squeeze(-1);
            Ok((pick(&elements), pick(&positions)))
        })
    }

    /// The mean of each window over the last axes, as many as `kernel` has entries; windows lie next to each other.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::ones((1, 4, 4));
    /// assert_eq!(x.avg_pool((2, 2)).to_vec::<f32>()?, [1.0; 4]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("avg_pool1d", "avg_pool2d", "avg_pool3d"))]
    #[track_caller]
    pub fn avg_pool(&self, kernel: impl IntoList<usize>) -> Tensor {
        self.avg_pool_with(kernel, &PoolOptions::default())
    }

    /// As [`Tensor::avg_pool`], with stride, padding and the like.
    #[track_caller]
    pub fn avg_pool_with(&self, kernel: impl IntoList<usize>, options: &PoolOptions) -> Tensor {
        attempt(|| {
            let axes = self.pool_windows("avg_pool", &kernel.into_list(), options)?;
            let first = self.rank()? - axes.len();
            let over: Vec<i64> = (1..=axes.len() as i64).map(|a| -a).collect();
            let none = std::iter::repeat_n((0, 0), first);
            let widths: Vec<_> = none.chain(axes.iter().map(AxisWindows::widths)).collect();
            let sums = pool_windows(&self.pad(widths, 0), first, &axes).sum(over.clone());
            let sums = sums.cast(self.dtype()?);
            let divisor = match options.divisor {
                Some(0) => return Err(bad_argument("avg_pool", "the divisor is 0")),
                Some(divisor) => Tensor::full_of((), divisor, self.dtype()?),
                None => {
                    let spatial: Vec<Dim> = self.sizes()?[first..].to_vec();
                    let ones = Tensor::full_of(spatial, 1, self.dtype()?);
                    let around: Vec<_> = axes
                        .iter()
                        .map(|a| (a.padding as i64, a.padding as i64))
                        .collect();
                    let beyond: Vec<_> = axes.iter().map(|a| (0, a.overhang)).collect();
                    let padding = i64::from(options.count_include_pad);
                    let counted = ones.pad(around, padding).pad(beyond, 0);
                    pool_windows(&counted, 0, &axes)
                        .sum(over)
                        .cast(self.dtype()?)
                }
            };
            Ok(match self.is_integral() {
                true => sums.div_trunc(divisor),
                false => sums.div(divisor),
            })
        })
    }

    /// The `p`-norm of each window over the last axes; windows lie next to each other.
    #[track_caller]
    pub fn lp_pool(&self, p: f64, kernel: impl IntoList<usize>) -> Tensor {
        self.lp_pool_with(p, kernel, &PoolOptions::default())
    }

    /// As [`Tensor::lp_pool`], with a stride, but without padding.
    #[track_caller]
    pub fn lp_pool_with(
        &self,
        p: f64,
        kernel: impl IntoList<usize>,
        options: &PoolOptions,
    ) -> Tensor {
        attempt(|| {
            let plain = PoolOptions {
                divisor: Some(1),
                ..options.clone()
            };
            let sums = self.pow(p).avg_pool_with(kernel, &plain);
            Ok(sums.sign().mul(sums.abs()).relu().pow(1.0 / p))
        })
    }

    #[track_caller]
    fn pool_windows(
        &self,
        op: &'static str,
        kernel: &[usize],
        options: &PoolOptions,
    ) -> Result<Vec<AxisWindows>> {
        let axes = kernel.len();
        let fail = |message: String| Err(bad_argument(op, message).operand(self.note("self")));
        let rank = self.rank()?;
        if axes == 0 || (rank != axes + 1 && rank != axes + 2) {
            return fail(format!(
                "{rank} axes are not channels (and samples) beside {axes} to pool"
            ));
        }
        let stride = match options.stride[..] {
            [] => per_axis(op, kernel, axes)?,
            _ => per_axis(op, &options.stride, axes)?,
        };
        for &size in kernel {
            sane(op, size)?;
        }
        let padding = per_axis(op, &options.padding, axes)?;
        let dilation = per_axis(op, &options.dilation, axes)?;
        let dims = self.known_sizes(rank - axes - 1..)?;
        if dims.contains(&0) {
            return fail("only the number of samples may be 0".into());
        }
        let mut windows = Vec::with_capacity(axes);
        for i in 0..axes {
            let (size, stride, dilation) = (kernel[i], stride[i], dilation[i]);
            let len = dims[1 + i];
            match AxisWindows::new(len, size, stride, dilation, padding[i], options.ceil_mode) {
                Ok(axis) => windows.push(axis),
                Err(message) => return fail(message),
            }
        }
        Ok(windows)
    }

    /// The mean of windows that divide the last axes evenly into the given numbers; `None` keeps an axis.
    #[doc(alias("adaptive_avg_pool2d"))]
    #[track_caller]
    pub fn adaptive_avg_pool(&self, counts: &[Option<usize>]) -> Tensor {
        attempt(|| {
            let first = self.adaptive_axes("adaptive_avg_pool", counts)?;
            let mut x = self.clone();
            for (i, count) in counts.iter().enumerate() {
                let Some(count) = count else { continue };
                let len = self.known_size(first + i)?;
                let parts = Parts::even(len, *count);
                let windows = parts.gather(&x, first + i);
                // The axis of each window's elements follows the axis of windows.
                let (inside, axis) = (
                    parts.inside(first + i, windows.rank()?),
                    (first + i + 1) as i64,
                );
                let sums = inside.where_(windows, 0).sum(axis).cast(self.dtype()?);
                let sizes = Tensor::table(parts.sizes(), [*count]).along(first + i, sums.rank()?);
                let sizes = sizes.cast(floating(self.dtype()?));
                x = sums.div(sizes);
            }
            Ok(x)
        })
    }

    /// The largest element of windows that divide the last axes evenly into the given numbers, and its
    /// position in the flattened last axes; `None` keeps an axis.
    #[doc(alias("adaptive_max_pool2d"))]
    #[track_caller]
    pub fn adaptive_max_pool(&self, counts: &[Option<usize>]) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let first = self.adaptive_axes("adaptive_max_pool", counts)?;
            let dims = self.known_sizes(first..)?;
            let axes = counts.iter().zip(&dims);
            let parts = axes.map(|(count, &len)| Parts::even(len, count.unwrap_or(len)));
            irregular_max_pool(self, first, &parts.collect::<Vec<_>>())
        })
    }

    /// Where pooled axes begin.
    #[track_caller]
    fn adaptive_axes(&self, op: &'static str, counts: &[Option<usize>]) -> Result<usize> {
        let (rank, axes) = (self.rank()?, counts.len());
        for count in counts.iter().flatten() {
            sane(op, *count)?;
        }
        let fits = axes > 0 && (rank == axes + 1 || rank == axes + 2);
        if !fits || self.known_sizes(rank - axes - 1..)?.contains(&0) {
            let message =
                format!("{rank} axes are not channels (and samples) beside {axes} to pool");
            return Err(bad_shape(op, message).operand(self.note("self")));
        }
        Ok(rank - axes)
    }

    /// The largest element of windows at pseudo-random places, and its position in the flattened last
    /// axes. `samples` (`[n, channels, axes]`, from 0 to 1; drawn if `None`) decide the places, for each
    /// channel on its own.
    #[track_caller]
    pub fn fractional_max_pool(
        &self,
        kernel: &[usize],
        counts: &[usize],
        samples: Option<&Tensor>,
    ) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let axes = kernel.len();
            let keep: Vec<Option<usize>> = counts.iter().map(|c| Some(*c)).collect();
            let first = self.adaptive_axes("fractional_max_pool", &keep)?;
            if counts.len() != axes {
                return Err(bad_argument(
                    "fractional_max_pool",
                    "windows and counts differ in number",
                ));
            }
            let dims = self.known_dims()?;
            for (i, (&size, &count)) in kernel.iter().zip(counts).enumerate() {
                sane("fractional_max_pool", size)?;
                if size == 0 || count == 0 || size + count > dims[first + i] + 1 {
                    let message =
                        format!("{count} windows of {size} do not fit {}", dims[first + i]);
                    return Err(
                        bad_shape("fractional_max_pool", message).operand(self.note("self"))
                    );
                }
            }
            let batch: Vec<usize> = dims[..first].to_vec();
            let samples = match samples {
                Some(samples) => samples.clone(),
                None => self.beside(|| Ok(Tensor::rand([&batch[..], &[axes]].concat()))),
            };
            let samples = samples.reshape([&batch[..], &[axes]].concat());
            self.fractional(first, kernel, counts, &samples)
        })
    }

    #[track_caller]
    fn fractional(
        &self,
        first: usize,
        kernel: &[usize],
        counts: &[usize],
        samples: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let (dims, axes) = (self.known_dims()?, kernel.len());
        let flat = self.flatten(first as i64, -1);
        // The flat position of every element of every window: [batch, counts, kernel].
        let rank = first + 2 * axes;
        let mut position = Tensor::full((), 0);
        for i in 0..axes {
            let (len, size, count) = (dims[first + i], kernel[i], counts[i]);
            // As PyTorch has it, two axes take their samples in reverse order, three in order.
            let which = if axes == 2 { 1 - i } else { i };
            let sample = samples.select(-1, which as i64).unsqueeze(-1);
            let step = (len - size) as f64 / (count.max(2) - 1) as f64;
            let index = Tensor::iota(count);
            let moved = index
                .add(&sample)
                .mul(step)
                .floor()
                .sub(sample.mul(step).floor());
            let start = index
                .eq(count as i64 - 1)
                .where_((len - size) as i64, moved.cast(DType::I64));
            let mut shape = vec![Dim::from(1i64); rank];
            shape[..first].clone_from_slice(&samples.sizes()?[..first]);
            shape[first + i] = Dim::from(count);
            let place = start
                .reshape(shape)
                .add(Tensor::iota(size).along(first + axes + i, rank));
            position = position.mul(len).add(place);
        }
        let windows: usize = counts.iter().product();
        let mut shape: Vec<Dim> = self.sizes()?[..first].to_vec();
        shape.extend([
            Dim::from(windows),
            Dim::from(kernel.iter().product::<usize>()),
        ]);
        let position = position.reshape(shape.clone());
        let mut one_axis = shape[..first].to_vec();
        one_axis.push(Dim::from(-1i64));
        let empty = self.numel()? == 0;
        let elements = match empty {
            true => Tensor::full_of(shape.clone(), 0, self.dtype()?),
            false => flat.gather(-1, &position.reshape(one_axis)).reshape(shape),
        };
        let chosen = elements.argmax(-1).unsqueeze(-1);
        let mut result: Vec<Dim> = self.sizes()?[..first].to_vec();
        result.extend(counts.iter().map(|c| Dim::from(*c)));
        let pick = |t: &Tensor| t.gather(-1, &chosen).reshape(result.clone());
        Ok((pick(&elements), pick(&position)))
    }

    /// Zeros with the elements of this at `indices`, positions in the flattened last axes, whose sizes
    /// are given: undoes [`Tensor::max_pool`].
    #[track_caller]
    pub fn max_unpool(&self, indices: &Tensor, sizes: &[usize]) -> Tensor {
        attempt(|| {
            let first = self.rank()?.checked_sub(sizes.len()).filter(|f| *f > 0);
            let (Some(first), true) = (first, self.known_dims()? == indices.known_dims()?) else {
                let error = bad_shape("max_unpool", "there is one index per element");
                return Err(error
                    .operand(self.note("self"))
                    .operand(indices.note("indices")));
            };
            let count: usize = sizes.iter().product();
            let mut dims: Vec<Dim> = self.sizes()?[..first].to_vec();
            let flat = |t: &Tensor| t.flatten(first as i64, -1);
            dims.push(Dim::from(count));
            let zeros = Tensor::full_of(dims.clone(), 0, self.dtype()?);
            let (elements, places) = (flat(self), flat(indices));
            let pull = Derivative::Pullback(pull_unpool);
            let written = composite("max_unpool", &[], pull, &[&elements, &places], || {
                zeros.scatter(-1, &places, &elements)
            });
            dims.pop();
            dims.extend(sizes.iter().map(|s| Dim::from(*s)));
            Ok(written.reshape(dims))
        })
    }
}

/// Every element gets what belongs to its place, although only one of several is written there.
fn pull_unpool(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    Ok(vec![at.flow[0].gather(-1, &at.operands[1])])
}

/// Windows over the axes from `first` on: counts stay in place, elements come last.
#[track_caller]
fn pool_windows(x: &Tensor, first: usize, axes: &[AxisWindows]) -> Tensor {
    let axes = axes.iter().enumerate();
    axes.fold(x.clone(), |x, (i, a)| {
        x.windows(first + i, a.size, a.stride, a.dilation)
    })
}

/// The first of the largest elements along the last axis, of those inside.
#[track_caller]
fn first_largest(elements: &Tensor, inside: &Tensor) -> Tensor {
    let best = elements.amax_keepdim(-1);
    let hit = elements
        .eq(best)
        .bitwise_or(elements.isnan())
        .bitwise_and(inside);
    hit.cast(DType::U8).argmax(-1).unsqueeze(-1)
}

/// The lowest value of a type, which padding has.
fn lowest(dtype: DType) -> Number {
    match dtype {
        d if d.is_int() && !d.is_unsigned_int() => Number::Int(i64::MIN >> (64 - 8 * d.size())),
        d if d.is_int() || d == DType::Bool => Number::Int(0),
        _ => Number::Float(f64::NEG_INFINITY),
    }
}

/// Windows of differing sizes along an axis.
struct Parts {
    starts: Vec<usize>,
    ends: Vec<usize>,
}

impl Parts {
    /// `count` windows that cover `len` elements evenly, overlapping where they must.
    fn even(len: usize, count: usize) -> Parts {
        Parts {
            starts: (0..count).map(|i| i * len / count).collect(),
            ends: (0..count)
                .map(|i| ((i + 1) * len).div_ceil(count))
                .collect(),
        }
    }

    fn sizes(&self) -> Vec<i64> {
        let pairs = self.starts.iter().zip(&self.ends);
        pairs.map(|(start, end)| (end - start) as i64).collect()
    }

    fn widest(&self) -> usize {
        self.sizes().into_iter().max().unwrap_or(0) as usize
    }

    /// Positions of the elements of each window, as a matrix; the last one repeats in shorter windows.
    fn positions(&self) -> Tensor {
        let widest = self.widest();
        let pairs = self.starts.iter().zip(&self.ends);
        let rows = pairs.flat_map(|(s, e)| (0..widest).map(move |k| (s + k).min(e - 1) as i64));
        Tensor::table(rows.collect(), [self.starts.len(), widest])
    }

    /// The windows of an axis, which becomes two: windows and their elements.
    #[track_caller]
    fn gather(&self, x: &Tensor, axis: usize) -> Tensor {
        let picked = x.index_select(axis as i64, &self.positions().ravel());
        picked.unflatten(axis as i64, [self.starts.len(), self.widest()])
    }

    /// Which elements are in their window, to broadcast with [`Parts::gather`]'s result.
    #[track_caller]
    fn inside(&self, axis: usize, rank: usize) -> Tensor {
        let sizes = Tensor::table(self.sizes(), [self.starts.len()]).along(axis, rank);
        Tensor::iota(self.widest()).along(axis + 1, rank).lt(sizes)
    }
}

/// The largest elements of windows of differing sizes, and their positions. Repeated elements of
/// shorter windows change neither.
#[track_caller]
fn irregular_max_pool(x: &Tensor, first: usize, parts: &[Parts]) -> Result<(Tensor, Tensor)> {
    let windows = |x: &Tensor, first: usize| {
        let axes = parts.len();
        // Axes double from the front, so later ones move by one each.
        let split = parts
            .iter()
            .enumerate()
            .fold(x.clone(), |x, (i, p)| p.gather(&x, first + 2 * i));
        let order = (0..first as i64)
            .chain((0..axes as i64).map(|i| first as i64 + 2 * i))
            .chain((0..axes as i64).map(|i| first as i64 + 2 * i + 1));
        split
            .permute(order.collect::<Vec<_>>())
            .flatten(-(axes as i64), -1)
    };
    let elements = windows(x, first);
    let spatial: Vec<Dim> = x.sizes()?[first..].to_vec();
    let count: usize = x.known_sizes(first..)?.iter().product();
    let positions = windows(&Tensor::iota(count).reshape(spatial), 0);
    let chosen = elements.argmax(-1).unsqueeze(-1);
    let pick = |t: &Tensor| t.expand_as(&elements).gather(-1, &chosen).squeeze(-1);
    Ok((pick(&elements), pick(&positions)))
}
