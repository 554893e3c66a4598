//! Reductions and their like. A sum starts from 0, so that the sum of -0 alone is 0: a reduction
//! over one element is that element combined with the start.

use super::{Rule, exact, order};
use crate::canon::expr::Expr;
use crate::canon::facts::{Facts, certainly_le, is_empty, tensor};
use crate::canon::fold;
use lazulite_ir::{Combine, DType, Dim, Dims, Node, NodeId, Op, scalar_ops};

/// What a Reduce does.
fn reduction(n: &Node) -> Option<(Combine, &[u32])> {
    match &n.op {
        Op::Reduce { kind, axes } => Some((*kind, axes)),
        _ => None,
    }
}

/// `x` combined with the start.
fn alone(f: &Facts<'_>, kind: Combine, x: NodeId) -> Option<Expr> {
    let start = scalar_ops::identity(kind, f.dtype(x))?;
    let start = Expr::Splat(start, f.dims(x).clone());
    Some(Expr::binary(fold::combining(kind), x, start))
}

/// True when it does not matter how often the same element occurs.
fn is_idempotent(kind: Combine, dtype: DType) -> bool {
    match kind {
        Combine::Max | Combine::Min => true,
        Combine::Sum | Combine::Prod => dtype == DType::Bool,
    }
}

/// Number of elements along `axes`, when constant.
fn const_extent(dims: &Dims, axes: &[u32]) -> Option<i64> {
    Dim::product(axes.iter().map(|&a| &dims[a as usize]))
        .ok()?
        .as_const()
}

pub(super) const REDUCE: &[Rule] = &[
    exact(
        "reduce-nothing",
        "a combination of no elements is its start",
        |f, n| {
            let (kind, _) = reduction(n)?;
            let (dims, dtype) = tensor(n)?;
            let start = scalar_ops::identity(kind, dtype)?;
            is_empty(f.dims(n.inputs[0])).then(|| Expr::Splat(start, dims.clone()))
        },
    ),
    exact(
        "reduce-units",
        "axes of size 1 have nothing to combine",
        |f, n| {
            let ((kind, axes), x) = (reduction(n)?, n.inputs[0]);
            let from = f.dims(x);
            let unit = |a: &&u32| from[**a as usize].is(1);
            let (units, rest): (Vec<&u32>, Vec<&u32>) = axes.iter().partition(unit);
            if rest.is_empty() {
                return Some(Expr::reshape(alone(f, kind, x)?, tensor(n)?.0.clone()));
            }
            let kept = (0..from.len() as u32).filter(|a| !units.contains(&a));
            let kept: Vec<u32> = kept.collect();
            let dims = kept.iter().map(|&a| from[a as usize].clone()).collect();
            let place = |a: &u32| kept.iter().position(|k| k == a).map(|p| p as u32);
            let axes = rest.into_iter().map(place).collect::<Option<_>>()?;
            let op = Op::Reduce { kind, axes };
            (!units.is_empty()).then(|| Expr::op(op, Expr::reshape(x, dims)))
        },
    ),
    exact(
        "reduce-constant",
        "copies of a constant combine to a constant, where no rounding is involved",
        |f, n| {
            let ((kind, axes), x) = (reduction(n)?, n.inputs[0]);
            let value = f.splat(x)?;
            let (from, (dims, dtype)) = (f.dims(x), tensor(n)?);
            let some = |a: &u32| certainly_le(&Dim::ONE, &from[*a as usize]);
            let combined = if is_idempotent(kind, dtype) && axes.iter().all(some) {
                value
            } else {
                fold::combine_copies(kind, value, const_extent(from, axes)?)?
            };
            Some(Expr::Splat(combined, dims.clone()))
        },
    ),
    exact(
        "reduce-repeated",
        "an element repeated is not larger or smaller than once, and more bools do not change or \
         and and",
        |f, n| {
            let ((kind, axes), x) = (reduction(n)?, n.inputs[0]);
            let Op::Expand { dims } = f.op(x) else {
                return None;
            };
            let (once, from) = (f.operand(x), f.dims(f.operand(x)));
            let repeated = |a: usize| from[a].is(1) && certainly_le(&Dim::ONE, &dims[a]);
            let reduced = |a: usize| axes.contains(&(a as u32));
            let fewer: Dims = (0..dims.len())
                .map(|a| {
                    if reduced(a) && repeated(a) {
                        Dim::ONE
                    } else {
                        dims[a].clone()
                    }
                })
                .collect();
            (is_idempotent(kind, f.dtype(x)) && fewer != *dims)
                .then(|| Expr::op(n.op.clone(), Expr::expand(once, fewer)))
        },
    ),
    exact(
        "reduce-reduce",
        "maxima of maxima, and integer sums of sums, are taken at once",
        |f, n| {
            let exact = match reduction(n)?.0 {
                Combine::Max | Combine::Min => true,
                Combine::Sum | Combine::Prod => {
                    let dtype = tensor(n)?.1;
                    !dtype.is_float() && !dtype.is_complex()
                }
            };
            exact.then(|| merged(f, n))?
        },
    ),
    order(
        "reduce-reduce-float",
        "sums of sums are taken at once, with one rounding less",
        merged,
    ),
];

/// A reduction of a reduction of the same kind as one.
fn merged(f: &Facts<'_>, n: &Node) -> Option<Expr> {
    let (kind, outer) = reduction(n)?;
    let inner = f.node(n.inputs[0]);
    let (_, first) = reduction(inner).filter(|(k, _)| *k == kind)?;
    let rank = f.dims(inner.inputs[0]).len() as u32;
    let left: Vec<u32> = (0..rank).filter(|a| !first.contains(a)).collect();
    let mut axes = first.to_vec();
    axes.extend(outer.iter().map(|&a| left[a as usize]));
    axes.sort_unstable();
    Some(Expr::op(Op::Reduce { kind, axes }, inner.inputs[0]))
}

pub(super) const SCAN: &[Rule] = &[exact(
    "scan-unit",
    "along an axis of size 1 there is nothing before",
    |f, n| {
        let Op::Scan { kind, axis, .. } = n.op else {
            return None;
        };
        let x = n.inputs[0];
        f.dims(x)[axis as usize].is(1).then(|| alone(f, kind, x))?
    },
)];

pub(super) const CONTRACT: &[Rule] = &[exact(
    "contract-nothing",
    "a sum of no products is 0",
    |f, n| {
        let nothing = n.inputs.iter().any(|&x| is_empty(f.dims(x)));
        let (dims, dtype) = tensor(n)?;
        nothing.then(|| Expr::Splat(fold::number(dtype, 0), dims.clone()))
    },
)];

pub(super) const FOLD: &[Rule] = &[exact("fold-nothing", "a sum of no windows is 0", |f, n| {
    let (dims, dtype) = tensor(n)?;
    is_empty(f.dims(n.inputs[0])).then(|| Expr::Splat(fold::number(dtype, 0), dims.clone()))
})];
