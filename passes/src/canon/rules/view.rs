//! Views: several in a row become one, and those of constants disappear.

use super::{Rule, exact};
use crate::build::is_identity;
use crate::canon::expr::Expr;
use crate::canon::facts::tensor;
use lazulite_ir::{Dim, Dims, Op};

pub(super) const VIEWS: &[Rule] = &[
    exact(
        "view-same-dims",
        "elements that stay where they are need no view",
        |f, n| {
            let same = match &n.op {
                Op::Reshape { dims } | Op::Expand { dims } => f.dims(n.inputs[0]) == dims,
                Op::Permute { perm } => is_identity(perm),
                _ => false,
            };
            same.then(|| n.inputs[0].into())
        },
    ),
    exact(
        "view-of-scalar",
        "a number repeated everywhere looks the same from everywhere",
        |f, n| {
            let value = f.scalar(n.inputs[0])?;
            Some(Expr::Broadcast(value, tensor(n)?.0.clone()))
        },
    ),
    exact(
        "reshape-reshape",
        "only the last dims count",
        |f, n| match (&n.op, f.op(n.inputs[0])) {
            (Op::Reshape { .. }, Op::Reshape { .. }) => {
                Some(Expr::op(n.op.clone(), f.operand(n.inputs[0])))
            }
            _ => None,
        },
    ),
    exact(
        "expand-expand",
        "axes repeated in two steps are repeated in one",
        |f, n| match (&n.op, f.op(n.inputs[0])) {
            (Op::Expand { .. }, Op::Expand { .. }) => {
                Some(Expr::op(n.op.clone(), f.operand(n.inputs[0])))
            }
            _ => None,
        },
    ),
    exact(
        "permute-permute",
        "two permutations are one",
        |f, n| match (&n.op, f.op(n.inputs[0])) {
            (Op::Permute { perm: outer }, Op::Permute { perm: inner }) => {
                let perm = outer.iter().map(|&p| inner[p as usize]).collect();
                Some(Expr::op(Op::Permute { perm }, f.operand(n.inputs[0])))
            }
            _ => None,
        },
    ),
    exact(
        "permute-units",
        "axes of size 1 move without moving elements",
        |f, n| {
            let Op::Permute { perm } = &n.op else {
                return None;
            };
            let from = f.dims(n.inputs[0]);
            let kept = perm.iter().filter(|&&p| !from[p as usize].is(1));
            let (dims, _) = tensor(n)?;
            kept.is_sorted()
                .then(|| Expr::reshape(n.inputs[0], dims.clone()))
        },
    ),
];

pub(super) const WINDOW: &[Rule] = &[
    exact(
        "window-of-scalar",
        "a number repeated everywhere looks the same through every window",
        |f, n| {
            let value = f.scalar(n.inputs[0])?;
            Some(Expr::Broadcast(value, tensor(n)?.0.clone()))
        },
    ),
    exact(
        "window-of-one",
        "windows of one element are a slice",
        |f, n| {
            let Op::Window {
                axis, size, stride, ..
            } = &n.op
            else {
                return None;
            };
            let (axis, stride) = (*axis as usize, stride.as_const()?);
            let from = f.dims(n.inputs[0]);
            // With a constant size the slice is known to fit and needs no guard.
            from[axis].as_const().filter(|_| size.is(1))?;
            let (dims, _) = tensor(n)?;
            let mut len = from.clone();
            len[axis] = dims[axis].clone();
            let mut step = vec![1; from.len()];
            step[axis] = stride;
            let start: Dims = from.iter().map(|_| Dim::ZERO).collect();
            let slice = Expr::op(Op::Slice { start, len, step }, n.inputs[0]);
            Some(Expr::reshape(slice, dims.clone()))
        },
    ),
];
