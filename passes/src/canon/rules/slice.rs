//! Slices.

use super::{Rule, exact};
use crate::canon::expr::Expr;
use crate::canon::facts::{Facts, certainly_le, tensor};
use lazulite_ir::{Dim, Dims, Node, Op};

/// A Slice's attributes.
#[derive(Clone)]
struct Cut {
    start: Dims,
    len: Dims,
    step: Vec<i64>,
}

impl Cut {
    fn of(n: &Node) -> Option<Cut> {
        match n.op.clone() {
            Op::Slice { start, len, step } => Some(Cut { start, len, step }),
            _ => None,
        }
    }

    fn op(self) -> Op {
        Op::Slice {
            start: self.start,
            len: self.len,
            step: self.step,
        }
    }

    fn rank(&self) -> usize {
        self.step.len()
    }

    /// True when the axis is taken whole and in order.
    fn is_whole(&self, axis: usize, size: &Dim) -> bool {
        self.step[axis] == 1 && self.start[axis].is(0) && self.len[axis] == *size
    }

    fn take_whole(&mut self, axis: usize, size: &Dim) {
        self.start[axis] = Dim::ZERO;
        self.len[axis] = size.clone();
        self.step[axis] = 1;
    }

    /// The lowest and the highest place taken from the axis; `None` if there may be none.
    fn extremes(&self, axis: usize) -> Option<(Dim, Dim)> {
        let (start, len, step) = (&self.start[axis], &self.len[axis], self.step[axis]);
        if !certainly_le(&Dim::ONE, len) {
            return None;
        }
        let reach = len.sub(&Dim::ONE).ok()?.mul(&Dim::constant(step)).ok()?;
        let end = start.add(&reach).ok()?;
        Some(if step > 0 {
            (start.clone(), end)
        } else {
            (end, start.clone())
        })
    }
}

pub(super) const SLICE: &[Rule] = &[
    exact("slice-all", "taking everything changes nothing", |f, n| {
        let cut = Cut::of(n)?;
        let dims = f.dims(n.inputs[0]);
        let whole = (0..cut.rank()).all(|axis| cut.is_whole(axis, &dims[axis]));
        whole.then(|| n.inputs[0].into())
    }),
    exact(
        "slice-of-scalar",
        "a part of a number repeated is that number repeated less often",
        |f, n| {
            let value = f.scalar(n.inputs[0])?;
            Some(Expr::Broadcast(value, tensor(n)?.0.clone()))
        },
    ),
    exact("slice-one", "one element has no step", |_, n| {
        let mut cut = Cut::of(n)?;
        let mut fires = false;
        for (step, len) in cut.step.iter_mut().zip(&cut.len) {
            fires |= *step != 1 && len.is(1);
            if len.is(1) {
                *step = 1;
            }
        }
        fires.then(|| Expr::op(cut.op(), n.inputs[0]))
    }),
    exact("slice-slice", "a part of a part is a part", |f, n| {
        let inner = f.node(n.inputs[0]);
        let (mut outer, inner_cut) = (Cut::of(n)?, Cut::of(inner)?);
        for axis in 0..outer.rank() {
            let step = inner_cut.step[axis];
            let skipped = outer.start[axis].mul(&Dim::constant(step)).ok()?;
            outer.start[axis] = inner_cut.start[axis].add(&skipped).ok()?;
            outer.step[axis] = outer.step[axis].checked_mul(step)?;
        }
        Some(Expr::op(outer.op(), inner.inputs[0]))
    }),
    exact(
        "slice-of-expand",
        "repeated elements are taken before they are repeated, as often as they are wanted",
        |f, n| {
            let Op::Expand { .. } = f.op(n.inputs[0]) else {
                return None;
            };
            let x = f.operand(n.inputs[0]);
            let mut cut = Cut::of(n)?;
            for (axis, size) in f.dims(x).iter().enumerate() {
                if size.is(1) {
                    cut.take_whole(axis, size);
                }
            }
            let (dims, _) = tensor(n)?;
            Some(Expr::expand(Expr::op(cut.op(), x), dims.clone()))
        },
    ),
    exact(
        "slice-of-padding",
        "a part that holds only padding is the padding value",
        |f, n| {
            let inner = f.node(n.inputs[0]);
            let Op::Pad { low, .. } = &inner.op else {
                return None;
            };
            let (cut, padded) = (Cut::of(n)?, f.dims(n.inputs[0]));
            let outside = |axis: usize| {
                let (lowest, highest) = cut.extremes(axis)?;
                let end = data_end(inner, padded, axis)?;
                let before = certainly_le(&highest.add(&Dim::ONE).ok()?, &low[axis]);
                Some(before || certainly_le(&end, &lowest))
            };
            (0..cut.rank())
                .any(|axis| outside(axis) == Some(true))
                .then(|| Some(Expr::Broadcast(inner.inputs[1], tensor(n)?.0.clone())))?
        },
    ),
    exact(
        "slice-of-pad",
        "axes from which no padding is taken need not be padded",
        slice_of_pad,
    ),
];

/// Where the data of a padded axis ends: gaps between elements count as data.
fn data_end(pad: &Node, padded: &Dims, axis: usize) -> Option<Dim> {
    match &pad.op {
        Op::Pad { high, .. } => padded[axis].sub(&high[axis]).ok(),
        _ => None,
    }
}

fn slice_of_pad(f: &Facts<'_>, n: &Node) -> Option<Expr> {
    let pad = f.node(n.inputs[0]);
    let Op::Pad {
        mut low,
        mut high,
        interior,
    } = pad.op.clone()
    else {
        return None;
    };
    let (padded, data) = (f.dims(n.inputs[0]), f.dims(pad.inputs[0]));
    let mut cut = Cut::of(n)?;
    let mut fires = false;
    for axis in 0..cut.rank() {
        if cut.is_whole(axis, &padded[axis]) {
            cut.take_whole(axis, &data[axis]);
            continue;
        }
        let (lowest, highest) = cut.extremes(axis)?;
        let end = low[axis].add(&data[axis]).ok()?;
        let inside = interior[axis].is(0)
            && certainly_le(&low[axis], &lowest)
            && certainly_le(&highest.add(&Dim::ONE).ok()?, &end);
        if !inside {
            return None;
        }
        cut.start[axis] = cut.start[axis].sub(&low[axis]).ok()?;
        (low[axis], high[axis]) = (Dim::ZERO, Dim::ZERO);
        fires = true;
    }
    let op = Op::Pad {
        low,
        high,
        interior,
    };
    let sliced = Expr::op(cut.op(), pad.inputs[0]);
    fires.then(|| Expr::Op(op, vec![sliced, pad.inputs[1].into()]))
}
