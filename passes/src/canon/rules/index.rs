//! Sizes, gathers, scatters and sorts.

use super::{Rule, exact};
use crate::canon::expr::Expr;
use crate::canon::facts::{Facts, certainly_le, is_empty, tensor};
use crate::canon::fold::number;
use lazulite_ir::{Dim, Dims, Node, NodeId, Op};

pub(super) const LEAVES: &[Rule] = &[
    exact("constant-size", "a known size is a constant", |_, n| {
        let Op::Size { value, dtype } = &n.op else {
            return None;
        };
        Some(Expr::Splat(number(*dtype, value.as_const()?), Dims::new()))
    }),
    exact("iota-one", "counting to 1 is 0", |_, n| {
        let Op::Iota { len, dtype } = &n.op else {
            return None;
        };
        let dims = || [Dim::ONE].into_iter().collect();
        len.is(1).then(|| Expr::Splat(number(*dtype, 0), dims()))
    }),
];

/// Part of `x` along one axis.
fn along(f: &Facts<'_>, x: NodeId, axis: usize, from: Dim, count: Dim) -> Expr {
    let mut len = f.dims(x).clone();
    let mut start: Dims = len.iter().map(|_| Dim::ZERO).collect();
    let step = vec![1; len.len()];
    (start[axis], len[axis]) = (from, count);
    Expr::op(Op::Slice { start, len, step }, x)
}

/// The axis of a Gather along one axis, if it is one.
fn one_axis(n: &Node) -> Option<usize> {
    match &n.op {
        Op::Gather { axes } if axes.len() == 1 => Some(axes[0] as usize),
        _ => None,
    }
}

pub(super) const INDEX: &[Rule] = &[
    exact(
        "gather-constant-index",
        "an index known to be inside is a slice",
        |f, n| {
            let (axis, x) = (one_axis(n)?, n.inputs[0]);
            let index = f.splat(n.inputs[1])?.as_i64();
            let last = f.dims(x)[axis].sub(&Dim::ONE).ok()?;
            if index < 0 || !certainly_le(&Dim::constant(index), &last) {
                return None;
            }
            let (dims, _) = tensor(n)?;
            let lead = f.dims(n.inputs[1]).len();
            let units = (0..lead).map(|_| Dim::ONE);
            let unit = units.chain(dims[lead..].iter().cloned()).collect();
            let slice = along(f, x, axis, Dim::constant(index), Dim::ONE);
            Some(Expr::expand(Expr::reshape(slice, unit), dims.clone()))
        },
    ),
    exact(
        "gather-iota",
        "indices that count from 0 take the elements as they come",
        |f, n| {
            let (axis, x) = (one_axis(n)?, n.inputs[0]);
            let Op::Iota { len, .. } = f.op(n.inputs[1]) else {
                return None;
            };
            certainly_le(len, &f.dims(x)[axis]).then_some(())?;
            let slice = along(f, x, axis, Dim::ZERO, len.clone());
            let rank = f.dims(x).len() as u32;
            let rest = (0..rank).filter(|&a| a as usize != axis);
            let perm = [axis as u32].into_iter().chain(rest).collect();
            Some(Expr::op(Op::Permute { perm }, slice))
        },
    ),
    exact(
        "scatter-nothing",
        "without updates nothing changes",
        |f, n| {
            let Op::Scatter { .. } = n.op else {
                return None;
            };
            is_empty(f.dims(n.inputs[1])).then(|| n.inputs[0].into())
        },
    ),
];

pub(super) const SORT: &[Rule] = &[exact(
    "sort-short",
    "up to one element is sorted",
    |f, n| {
        let Op::Sort { axis, .. } = n.op else {
            return None;
        };
        let short = f.dims(n.inputs[0])[axis as usize].is(1) || is_empty(f.dims(n.inputs[0]));
        short.then(|| Expr::Results(n.inputs.iter().map(|&x| x.into()).collect()))
    },
)];
