//! Products of vectors and matrices.

use super::{Entry, op, with};
use crate::call::{Bound, Done, Outcome, Refusal, to_ints};
use crate::value::Value;
use lazulite::Tensor;

pub(super) const TABLE: &[Entry] = &[
    op("addbmm", |a| {
        let [x, y] = [a.tensor("batch1")?, a.tensor("batch2")?];
        a.input()?
            .addbmm(&x, &y, a.number("beta")?, a.number("alpha")?)
            .done()
    }),
    op("addmm", |a| {
        let [x, y] = [a.tensor("mat1")?, a.tensor("mat2")?];
        a.input()?
            .addmm(&x, &y, a.number("beta")?, a.number("alpha")?)
            .done()
    }),
    op("addmv", |a| {
        let [x, y] = [a.tensor("mat")?, a.tensor("vec")?];
        a.input()?
            .addmv(&x, &y, a.number("beta")?, a.number("alpha")?)
            .done()
    }),
    op("addr", |a| {
        let [x, y] = [a.tensor("vec1")?, a.tensor("vec2")?];
        a.input()?
            .addr(&x, &y, a.number("beta")?, a.number("alpha")?)
            .done()
    }),
    op("baddbmm", |a| {
        let [x, y] = [a.tensor("batch1")?, a.tensor("batch2")?];
        a.input()?
            .baddbmm(&x, &y, a.number("beta")?, a.number("alpha")?)
            .done()
    }),
    op("bmm", |a| a.input()?.bmm(&a.tensor("mat2")?).done()),
    op("cross", |a| cross(a, a.opt_int("dim")?)),
    op("linalg.cross", |a| cross(a, Some(a.int("dim")?))),
    op("dot", |a| a.input()?.dot(&a.tensor("tensor")?).done()),
    with("einsum", "equation, operands", |a| {
        let tensors = a.tensors("operands")?;
        Tensor::einsum(&a.text("equation")?, &tensors.iter().collect::<Vec<_>>()).done()
    }),
    op("inner", |a| a.input()?.inner(&a.tensor("other")?).done()),
    op("kron", |a| a.input()?.kron(&a.tensor("other")?).done()),
    op("linalg.matrix_power", |a| {
        a.input()?.matrix_power(a.int("n")?).done()
    }),
    op("linalg.multi_dot", |a| {
        let tensors = a.tensors("tensors")?;
        Tensor::multi_dot(&tensors.iter().collect::<Vec<_>>()).done()
    }),
    op("linalg.vecdot", |a| {
        a.input()?.vecdot(&a.tensor("y")?, a.int("dim")?).done()
    }),
    op("matmul", |a| a.input()?.matmul(&a.tensor("other")?).done()),
    op("__rmatmul__", |a| {
        a.tensor("other")?.matmul(&a.input()?).done()
    }),
    op("mm", |a| a.input()?.mm(&a.tensor("mat2")?).done()),
    op("mv", |a| a.input()?.mv(&a.tensor("vec")?).done()),
    op("nn.functional.linear", |a| {
        a.input()?
            .linear(&a.tensor("weight")?, a.opt_tensor("bias")?.as_ref())
            .done()
    }),
    op("outer", |a| a.input()?.outer(&a.tensor("vec2")?).done()),
    op("tensordot", tensordot),
    op("vdot", |a| a.input()?.vdot(&a.tensor("other")?).done()),
];

/// Without an axis the first one of size 3.
fn cross(a: &Bound, axis: Option<i64>) -> Outcome {
    let (x, other) = (a.input()?, a.tensor("other")?);
    let axis = match axis {
        Some(axis) => axis,
        None => x
            .dims()?
            .iter()
            .position(|d| *d == 3)
            .map_or(0, |d| d as i64),
    };
    x.cross(&other, axis).done()
}

fn tensordot(a: &Bound) -> Outcome {
    let (x, y) = (a.input()?, a.tensor("b")?);
    let (own, theirs) = match a.value("dims")? {
        Value::Int(count) => {
            let rank = x.rank()? as i64;
            ((rank - count..rank).collect(), (0..*count).collect())
        }
        Value::List(sides) if sides.len() == 2 => {
            let side = |i: usize| {
                let axes = to_ints(&sides[i])?;
                axes.ok_or_else(|| Refusal::Rejected("axes are integers".into()))
            };
            (side(0)?, side(1)?)
        }
        other => return Err(Refusal::Rejected(format!("{} are no axes", other.kind()))),
    };
    let (own, theirs): (Vec<i64>, Vec<i64>) = (own, theirs);
    x.tensordot(&y, &own, &theirs).done()
}
