//! Padding. Negative widths cut elements off, before padding is added on the same side.

use super::{Rule, exact};
use crate::canon::expr::Expr;
use crate::canon::facts::{certainly_le, tensor};
use lazulite_ir::{Dim, Dims, Node, Op};

/// The widths of a Pad: low, high, interior.
fn widths(n: &Node) -> Option<(&Dims, &Dims, &Dims)> {
    match &n.op {
        Op::Pad {
            low,
            high,
            interior,
        } => Some((low, high, interior)),
        _ => None,
    }
}

fn all_zero(dims: &Dims) -> bool {
    dims.iter().all(|d| d.is(0))
}

fn all_nonnegative(dims: &Dims) -> bool {
    dims.iter().all(|d| certainly_le(&Dim::ZERO, d))
}

fn all_nonpositive(dims: &Dims) -> bool {
    dims.iter().all(|d| certainly_le(d, &Dim::ZERO))
}

fn negated(d: &Dim) -> Option<Dim> {
    Dim::ZERO.sub(d).ok()
}

pub(super) const PAD: &[Rule] = &[
    exact("pad-nothing", "widths of 0 add nothing", |_, n| {
        let (low, high, interior) = widths(n)?;
        (all_zero(low) && all_zero(high) && all_zero(interior)).then(|| n.inputs[0].into())
    }),
    exact(
        "pad-scalar",
        "a number repeated and padded with itself is repeated more often",
        |f, n| {
            let same = f.scalar(n.inputs[0]) == Some(n.inputs[1]);
            same.then(|| Some(Expr::Broadcast(n.inputs[1], tensor(n)?.0.clone())))?
        },
    ),
    exact(
        "pad-only-fill",
        "padding around nothing is only padding",
        |f, n| {
            let nothing = f.dims(n.inputs[0]).iter().any(|d| d.is(0));
            nothing.then(|| Some(Expr::Broadcast(n.inputs[1], tensor(n)?.0.clone())))?
        },
    ),
    exact(
        "pad-cuts",
        "padding of no positive width is a slice",
        |f, n| {
            let (low, high, interior) = widths(n)?;
            if !(all_zero(interior) && all_nonpositive(low) && all_nonpositive(high)) {
                return None;
            }
            // What is cut off must be there, or the slice would need a condition of its own.
            let rooms = f.dims(n.inputs[0]).iter().zip(low.iter().zip(high));
            for (size, (low, high)) in rooms {
                let left = size.add(low).and_then(|d| d.add(high)).ok()?;
                certainly_le(&Dim::ZERO, &left).then_some(())?;
            }
            let start = low.iter().map(negated).collect::<Option<_>>()?;
            let (dims, _) = tensor(n)?;
            let (len, step) = (dims.clone(), vec![1; dims.len()]);
            Some(Expr::op(Op::Slice { start, len, step }, n.inputs[0]))
        },
    ),
    exact(
        "pad-interior-of-one",
        "up to one element has no gaps to fill",
        |f, n| {
            let (low, high, interior) = widths(n)?;
            let mut less = interior.clone();
            for (width, size) in less.iter_mut().zip(f.dims(n.inputs[0])) {
                if certainly_le(size, &Dim::ONE) {
                    *width = Dim::ZERO;
                }
            }
            let op = Op::Pad {
                low: low.clone(),
                high: high.clone(),
                interior: less.clone(),
            };
            (less != *interior).then(|| Expr::Op(op, n.inputs.iter().map(|&i| i.into()).collect()))
        },
    ),
    exact(
        "pad-pad",
        "two paddings with the same value are one, where the second fills no gaps and the first \
         has cut nothing that the second would fill",
        |f, n| {
            let inner = f.node(n.inputs[0]);
            let (low, high, gaps) = widths(n)?;
            let (inner_low, inner_high, interior) = widths(inner)?;
            let grows = |inner: &Dims, outer| all_nonnegative(inner) || all_nonpositive(outer);
            let sum = |a: &Dims, b: &Dims| {
                let pairs = a.iter().zip(b);
                pairs.map(|(a, b)| a.add(b).ok()).collect::<Option<Dims>>()
            };
            let fits = inner.inputs[1] == n.inputs[1]
                && all_zero(gaps)
                && grows(inner_low, low)
                && grows(inner_high, high);
            if !fits {
                return None;
            }
            let op = Op::Pad {
                low: sum(inner_low, low)?,
                high: sum(inner_high, high)?,
                interior: interior.clone(),
            };
            Some(Expr::Op(
                op,
                vec![inner.inputs[0].into(), n.inputs[1].into()],
            ))
        },
    ),
];
