//! Linear maps of one tensor, and their transposes: the only things tangents and cotangents go
//! through.

use super::Result;
use super::context::Cx;
use crate::build::{Emit, is_identity};
use crate::product::Product;
use lazulite_ir::{Binary, Combine, DType, Dim, Dims, NodeId, Op, TensorType, Unary};

/// A linear map of one tensor. Nodes in it are constants of the map.
#[derive(Clone, Debug)]
pub(super) enum Map {
    /// Everything to zeros of type `to`.
    Zero { from: TensorType, to: TensorType },
    /// `-t`.
    Negate,
    /// `t * factor`.
    Times(NodeId),
    /// `t / divisor`.
    Over(NodeId),
    /// `t` where the mask is `when`, else 0; whatever `t` is there.
    Keep { mask: NodeId, when: bool },
    /// A primitive that is linear in its only operand, of type `from`.
    Primitive { op: Linear, from: TensorType },
    /// The complex number with this real or imaginary part, the other 0.
    Part { imaginary: bool },
    /// Padding with 0.
    Padded { pads: Pads, from: Dims },
    /// A 0-d tensor at the places of the mask, else 0.
    Fill { mask: NodeId },
    /// A contraction with `other`.
    Contracted(Contracted),
    /// `Gather` with these indices, from a tensor of dims `from`.
    Gathered { at: Indices, from: Dims },
    /// The sum at these indices, in a tensor of dims `into`.
    Scattered { at: Indices, into: Dims },
    /// `d[i] = coefficient[i] * d[i - 1] + t[i]` along `axis`; `d[i + 1]` if `reverse`.
    Recurrence {
        coefficient: NodeId,
        axis: usize,
        reverse: bool,
    },
}

/// Linear primitives with one operand.
#[derive(Clone, Debug)]
pub(super) enum Linear {
    Cast(DType),
    Real,
    Imag,
    Reshape(Dims),
    Permute(Vec<u32>),
    Expand(Dims),
    Slice {
        start: Dims,
        len: Dims,
        step: Vec<i64>,
    },
    Window {
        axis: u32,
        size: Dim,
        stride: Dim,
        dilation: Dim,
    },
    Fold {
        axis: u32,
        len: Dim,
        stride: Dim,
        dilation: Dim,
    },
    /// Sum over axes.
    Sum(Vec<u32>),
    /// Running sum.
    Running {
        axis: u32,
        reverse: bool,
    },
}

/// Padding widths.
#[derive(Clone, Debug)]
pub(super) struct Pads {
    pub low: Dims,
    pub high: Dims,
    pub interior: Dims,
}

impl Pads {
    /// The widths of a Pad; `None` for others.
    pub fn of(op: &Op) -> Option<Pads> {
        let Op::Pad {
            low,
            high,
            interior,
        } = op.clone()
        else {
            return None;
        };
        Some(Pads {
            low,
            high,
            interior,
        })
    }

    fn op(&self) -> Op {
        Op::Pad {
            low: self.low.clone(),
            high: self.high.clone(),
            interior: self.interior.clone(),
        }
    }
}

/// Index operands with the axes that they address.
#[derive(Clone, Debug)]
pub(super) struct Indices {
    pub axes: Vec<u32>,
    pub nodes: Vec<NodeId>,
}

impl Indices {
    pub fn new(axes: &[u32], nodes: &[NodeId]) -> Indices {
        Indices {
            axes: axes.to_vec(),
            nodes: nodes.to_vec(),
        }
    }
}

/// A contraction seen from one side.
#[derive(Clone, Debug)]
pub(super) struct Contracted {
    /// The operation.
    pub op: Op,
    /// The constant operand.
    pub other: NodeId,
    /// True when the variable operand is the right one.
    pub right: bool,
    /// The variable operand's type.
    pub from: TensorType,
}

impl Map {
    /// The map of `t`.
    pub fn apply(&self, cx: &mut Cx<'_, '_>, t: NodeId) -> Result<NodeId> {
        Ok(match self {
            Map::Zero { to, .. } => cx.zeros(to)?,
            Map::Negate => cx.unary(Unary::Neg, t)?,
            Map::Times(factor) => cx.binary(Binary::Mul, t, *factor)?,
            Map::Over(divisor) => cx.binary(Binary::Div, t, *divisor)?,
            Map::Keep { mask, when } => cx.keep(t, *mask, *when)?,
            Map::Primitive { op, .. } => cx.emit(op.primitive(), &[t])?,
            Map::Part { imaginary } => part(cx, t, *imaginary)?,
            Map::Padded { pads, .. } => padded(cx, t, pads)?,
            Map::Fill { mask } => {
                let dims = cx.dims(*mask);
                let everywhere = cx.broadcast(t, &dims)?;
                cx.keep(everywhere, *mask, true)?
            }
            Map::Contracted(c) => {
                let operands = if c.right { [c.other, t] } else { [t, c.other] };
                cx.emit(c.op.clone(), &operands)?
            }
            Map::Gathered { at, .. } => gather(cx, t, at)?,
            Map::Scattered { at, into } => scatter(cx, t, at, into)?,
            Map::Recurrence {
                coefficient,
                axis,
                reverse,
            } => super::product::recurrence(cx, *coefficient, t, *axis, *reverse)?,
        })
    }

    /// The transposed map of `g`.
    pub fn transpose(&self, cx: &mut Cx<'_, '_>, g: NodeId) -> Result<NodeId> {
        Ok(match self {
            Map::Zero { from, .. } => cx.zeros(from)?,
            Map::Negate => cx.unary(Unary::Neg, g)?,
            Map::Times(factor) => {
                let factor = cx.conj(*factor)?;
                cx.binary(Binary::Mul, g, factor)?
            }
            Map::Over(divisor) => {
                let divisor = cx.conj(*divisor)?;
                cx.binary(Binary::Div, g, divisor)?
            }
            Map::Keep { mask, when } => cx.keep(g, *mask, *when)?,
            Map::Primitive { op, from } => op.transpose(cx, g, from)?,
            Map::Part { imaginary: false } => cx.emit(Op::Real {}, &[g])?,
            Map::Part { imaginary: true } => cx.emit(Op::Imag {}, &[g])?,
            Map::Padded { pads, from } => unpadded(cx, g, pads, from)?,
            Map::Fill { mask } => {
                let kept = cx.keep(g, *mask, true)?;
                let axes = (0..cx.dims(g).len() as u32).collect();
                let kind = Combine::Sum;
                cx.emit(Op::Reduce { kind, axes }, &[kept])?
            }
            Map::Contracted(c) => c.transpose(cx, g)?,
            Map::Gathered { at, from } => scatter(cx, g, at, from)?,
            Map::Scattered { at, .. } => gather(cx, g, at)?,
            Map::Recurrence {
                coefficient,
                axis,
                reverse,
            } => super::product::transposed_recurrence(cx, *coefficient, g, *axis, *reverse)?,
        })
    }
}

impl Linear {
    /// The operation as one of these; `None` if it is none.
    pub fn of(op: &Op) -> Option<Linear> {
        Some(match op.clone() {
            Op::Cast { dtype } => Linear::Cast(dtype),
            Op::Real {} => Linear::Real,
            Op::Imag {} => Linear::Imag,
            Op::Reshape { dims } => Linear::Reshape(dims),
            Op::Permute { perm } => Linear::Permute(perm),
            Op::Expand { dims } => Linear::Expand(dims),
            Op::Slice { start, len, step } => Linear::Slice { start, len, step },
            Op::Window {
                axis,
                size,
                stride,
                dilation,
            } => Linear::Window {
                axis,
                size,
                stride,
                dilation,
            },
            Op::Fold {
                axis,
                len,
                stride,
                dilation,
            } => Linear::Fold {
                axis,
                len,
                stride,
                dilation,
            },
            Op::Reduce {
                kind: Combine::Sum,
                axes,
            } => Linear::Sum(axes),
            Op::Scan {
                kind: Combine::Sum,
                axis,
                reverse,
            } => Linear::Running { axis, reverse },
            _ => return None,
        })
    }

    fn primitive(&self) -> Op {
        match self.clone() {
            Linear::Cast(dtype) => Op::Cast { dtype },
            Linear::Real => Op::Real {},
            Linear::Imag => Op::Imag {},
            Linear::Reshape(dims) => Op::Reshape { dims },
            Linear::Permute(perm) => Op::Permute { perm },
            Linear::Expand(dims) => Op::Expand { dims },
            Linear::Slice { start, len, step } => Op::Slice { start, len, step },
            Linear::Window {
                axis,
                size,
                stride,
                dilation,
            } => Op::Window {
                axis,
                size,
                stride,
                dilation,
            },
            Linear::Fold {
                axis,
                len,
                stride,
                dilation,
            } => Op::Fold {
                axis,
                len,
                stride,
                dilation,
            },
            Linear::Sum(axes) => Op::Reduce {
                kind: Combine::Sum,
                axes,
            },
            Linear::Running { axis, reverse } => Op::Scan {
                kind: Combine::Sum,
                axis,
                reverse,
            },
        }
    }

    fn transpose(&self, cx: &mut Cx<'_, '_>, g: NodeId, from: &TensorType) -> Result<NodeId> {
        Ok(match self {
            Linear::Cast(_) => cx.cast(g, from.dtype)?,
            Linear::Real => part(cx, g, false)?,
            Linear::Imag => part(cx, g, true)?,
            Linear::Reshape(_) => cx.reshape(g, from.dims.clone())?,
            Linear::Permute(perm) => cx.permute(g, inverse(perm))?,
            Linear::Expand(to) => {
                let repeated = |&a: &usize| from.dims[a].is(1) && !to[a].is(1);
                let axes: Vec<u32> = (0..to.len()).filter(repeated).map(|a| a as u32).collect();
                let sum = match axes.is_empty() {
                    true => g,
                    false => cx.emit(Linear::Sum(axes).primitive(), &[g])?,
                };
                cx.reshape(sum, from.dims.clone())?
            }
            Linear::Slice { start, len, step } => unsliced(cx, g, from, [start, len], step)?,
            Linear::Window {
                axis,
                stride,
                dilation,
                ..
            } => {
                let op = Linear::Fold {
                    axis: *axis,
                    len: from.dims[*axis as usize].clone(),
                    stride: stride.clone(),
                    dilation: dilation.clone(),
                };
                cx.emit(op.primitive(), &[g])?
            }
            Linear::Fold {
                axis,
                stride,
                dilation,
                ..
            } => unfolded(cx, g, from, *axis, [stride, dilation])?,
            Linear::Sum(axes) => {
                let ones = from.dims.iter().enumerate().map(|(a, d)| {
                    let gone = axes.contains(&(a as u32));
                    if gone { Dim::ONE } else { d.clone() }
                });
                let kept = cx.reshape(g, ones.collect())?;
                cx.expand(kept, from.dims.clone())?
            }
            Linear::Running { axis, reverse } => {
                let op = Linear::Running {
                    axis: *axis,
                    reverse: !reverse,
                };
                cx.emit(op.primitive(), &[g])?
            }
        })
    }
}

/// The complex number with `x` as one part and 0 as the other.
fn part(cx: &mut Cx<'_, '_>, x: NodeId, imaginary: bool) -> Result<NodeId> {
    let zero = cx.number_like(0.0, x)?;
    let parts = if imaginary { [zero, x] } else { [x, zero] };
    Ok(cx.emit(Op::Complex {}, &parts)?)
}

/// The permutation that undoes `perm`.
pub(super) fn inverse(perm: &[u32]) -> Vec<u32> {
    let mut inverse = vec![0; perm.len()];
    for (to, &from) in perm.iter().enumerate() {
        inverse[from as usize] = to as u32;
    }
    inverse
}

fn padded(cx: &mut Cx<'_, '_>, t: NodeId, pads: &Pads) -> Result<NodeId> {
    let zero = TensorType::scalar(cx.dtype(t));
    let zero = cx.zeros(&zero)?;
    Ok(cx.emit(pads.op(), &[t, zero])?)
}

/// What padding took from where: cuts come back as zeros, then every `interior + 1`-th is taken.
fn unpadded(cx: &mut Cx<'_, '_>, g: NodeId, pads: &Pads, from: &Dims) -> Result<NodeId> {
    let negated = |dims: &Dims| -> Result<Dims> {
        let minus = dims.iter().map(|d| Dim::ZERO.sub(d));
        Ok(minus.collect::<std::result::Result<_, _>>()?)
    };
    let mut step = Vec::with_capacity(from.len());
    for interior in &pads.interior {
        let known = interior.as_const().and_then(|i| i.checked_add(1));
        step.push(known.ok_or_else(|| {
            cx.none(format!("pad with {interior} elements between neighbours has no reverse mode: their number must be known"))
        })?);
    }
    let edges = Pads {
        low: negated(&pads.low)?,
        high: negated(&pads.high)?,
        interior: from.iter().map(|_| Dim::ZERO).collect(),
    };
    let trimmed = padded(cx, g, &edges)?;
    if step.iter().all(|&s| s == 1) {
        return cx.conform(trimmed, from);
    }
    let start = from.iter().map(|_| Dim::ZERO).collect();
    let len = from.clone();
    Ok(cx.emit(Op::Slice { start, len, step }, &[trimmed])?)
}

/// What was taken goes back to its place, among zeros.
fn unsliced(
    cx: &mut Cx<'_, '_>,
    g: NodeId,
    from: &TensorType,
    [start, len]: [&Dims; 2],
    step: &[i64],
) -> Result<NodeId> {
    if len.iter().any(|l| l.is(0)) {
        return cx.zeros(from);
    }
    let mut g = g;
    let (mut low, mut high, mut interior) = (Dims::new(), Dims::new(), Dims::new());
    for axis in 0..step.len() {
        let last = len[axis].sub(&Dim::ONE)?;
        let between = Dim::constant(step[axis].saturating_abs() - 1);
        let reach = last.maximum(&Dim::ZERO).mul(&between)?.add(&len[axis])?;
        let first = if step[axis] < 0 {
            g = cx.flip(g, axis)?;
            start[axis].add(&last.mul(&Dim::constant(step[axis]))?)?
        } else {
            start[axis].clone()
        };
        high.push(from.dims[axis].sub(&first)?.sub(&reach)?);
        low.push(first);
        interior.push(between);
    }
    let pads = Pads {
        low,
        high,
        interior,
    };
    let whole = padded(cx, g, &pads)?;
    cx.conform(whole, &from.dims)
}

/// The windows that were folded. The axis may have room for more.
fn unfolded(
    cx: &mut Cx<'_, '_>,
    g: NodeId,
    from: &TensorType,
    axis: u32,
    [stride, dilation]: [&Dim; 2],
) -> Result<NodeId> {
    let axis_index = axis as usize;
    let (count, places) = (&from.dims[axis_index], &from.dims[from.rank() - 1]);
    if places.is(0) || count.is(0) {
        return cx.zeros(from);
    }
    let (mut g, mut size) = (g, places.clone());
    if Dim::ONE.compare_le(places) != Some(true) {
        // Windows without places reach nowhere, but those with one must find room.
        size = places.maximum(&Dim::ONE);
        let last = count.sub(&Dim::ONE)?.mul(stride)?;
        let needed = last.add(&size.sub(&Dim::ONE)?.mul(dilation)?)?;
        let missing = needed.add(&Dim::ONE)?.sub(&cx.dims(g)[axis_index])?;
        let none: Dims = cx.dims(g).iter().map(|_| Dim::ZERO).collect();
        let mut high = none.clone();
        high[axis_index] = missing.maximum(&Dim::ZERO);
        let pads = Pads {
            low: none.clone(),
            high,
            interior: none,
        };
        g = padded(cx, g, &pads)?;
    }
    let op = Op::Window {
        axis,
        size,
        stride: stride.clone(),
        dilation: dilation.clone(),
    };
    let windows = cx.emit(op, &[g])?;
    if cx.dims(windows) == from.dims {
        return Ok(windows);
    }
    let windows = cx.slice_axis(windows, axis_index, Dim::ZERO, count.clone())?;
    Ok(cx.slice_axis(windows, from.rank() - 1, Dim::ZERO, places.clone())?)
}

pub(super) fn gather(cx: &mut Cx<'_, '_>, x: NodeId, at: &Indices) -> Result<NodeId> {
    let op = Op::Gather {
        axes: at.axes.clone(),
    };
    let operands: Vec<NodeId> = [x].into_iter().chain(at.nodes.iter().copied()).collect();
    Ok(cx.emit(op, &operands)?)
}

fn scatter(cx: &mut Cx<'_, '_>, updates: NodeId, at: &Indices, into: &Dims) -> Result<NodeId> {
    let into = TensorType {
        dtype: cx.dtype(updates),
        dims: into.clone(),
    };
    let zeros = cx.zeros(&into)?;
    let op = Op::Scatter {
        axes: at.axes.clone(),
        combine: Some(Combine::Sum),
    };
    let mut operands = vec![zeros, updates];
    operands.extend_from_slice(&at.nodes);
    Ok(cx.emit(op, &operands)?)
}

impl Contracted {
    /// Contracts the cotangent with the other operand over that one's free axes. The sum is made in
    /// the accumulator's type and rounded at the end.
    fn transpose(&self, cx: &mut Cx<'_, '_>, g: NodeId) -> Result<NodeId> {
        let Some(old) = Product::of(&self.op) else {
            return Err(cx.none("only contractions are transposed as contractions"));
        };
        let (mine, others) = (usize::from(self.right), usize::from(!self.right));
        let other = cx.cast(self.other, old.acc)?;
        let other = cx.conj(other)?;
        let my_free = old.rest(mine, self.from.rank());
        let other_free = old.rest(others, cx.dims(other).len());
        // The cotangent's axes are batch, free axes of lhs, free axes of rhs.
        let my_batch = &old.batch[mine][..];
        let batches = my_batch.len() as u32;
        let first = batches + if self.right { 0 } else { my_free.len() as u32 };
        let of_g = [
            (0..batches).collect(),
            (first..first + other_free.len() as u32).collect(),
        ];
        let of_other = [old.batch[others].clone(), other_free];
        // The product has these axes of mine: batch, then the free ones from the cotangent, and
        // the summed ones in the order of `other`. The cotangent goes where that saves a permutation.
        let pairs = { old.sum[others].iter() }.zip(&old.sum[mine]);
        let mut summed: Vec<(&u32, &u32)> = pairs.collect();
        summed.sort_unstable();
        let summed: Vec<u32> = summed.into_iter().map(|(_, &mine)| mine).collect();
        let other_first = [my_batch, &summed, &my_free].concat();
        let (axes, operands, [lhs, rhs]) = if is_identity(&other_first) {
            (other_first, [other, g], [of_other, of_g])
        } else {
            let g_first = [my_batch, &my_free, &summed].concat();
            (g_first, [g, other], [of_g, of_other])
        };
        let ([lhs_batch, lhs_sum], [rhs_batch, rhs_sum]) = (lhs, rhs);
        let new = Product {
            batch: [lhs_batch, rhs_batch],
            sum: [lhs_sum, rhs_sum],
            acc: old.acc,
        };
        let product = cx.emit(new.op(), &operands)?;
        let ordered = cx.permute(product, inverse(&axes))?;
        let ordered = cx.cast(ordered, self.from.dtype)?;
        cx.conform(ordered, &self.from.dims)
    }
}
