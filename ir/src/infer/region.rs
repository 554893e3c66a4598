//! Types of operations that hold graphs. Their results are tuples.

use super::{Context, Result};
use crate::{DType, Dim, Graph, RegionProblem, TensorType, Type, TypeError};

/// A graph inside the operation, by the name of the attribute that holds it.
#[derive(Clone, Copy)]
struct Region<'a> {
    name: &'static str,
    graph: &'a Graph,
}

impl Region<'_> {
    fn error(self, cx: &Context<'_>, problem: RegionProblem) -> TypeError {
        TypeError::Region {
            op: cx.op,
            region: self.name,
            problem,
        }
    }

    /// Checks the parameters against what is passed, takes over the graph's guards, and returns
    /// the types of its results.
    fn results(self, cx: &mut Context<'_>, passed: &[&TensorType]) -> Result<Vec<TensorType>> {
        let inputs = self.graph.inputs();
        if inputs.len() != passed.len() {
            let (passed, taken) = (passed.len(), inputs.len());
            return Err(self.error(cx, RegionProblem::InputCount { passed, taken }));
        }
        for (index, (&given, &input)) in passed.iter().zip(inputs).enumerate() {
            let declared = self.graph.tensor_type(input);
            if !same_type(cx, given, declared, self.name) {
                let types = Box::new([given.clone(), declared.clone()]);
                return Err(self.error(cx, RegionProblem::Input { index, types }));
            }
        }
        cx.guards.extend_from_slice(self.graph.guards());
        let outputs = self.graph.outputs().iter().enumerate();
        outputs
            .map(|(index, &o)| {
                let ty = self.graph.node(o).ty.as_tensor().cloned();
                ty.ok_or_else(|| self.error(cx, RegionProblem::TupleResult { index }))
            })
            .collect()
    }

    fn expect(
        self,
        cx: &mut Context<'_>,
        given: &[TensorType],
        needed: &[&TensorType],
    ) -> Result<()> {
        for (index, (&need, given)) in needed.iter().zip(given).enumerate() {
            if !same_type(cx, need, given, self.name) {
                let types = Box::new([need.clone(), given.clone()]);
                return Err(self.error(cx, RegionProblem::Result { index, types }));
            }
        }
        if given.len() != needed.len() {
            let (needed, given) = (needed.len(), given.len());
            return Err(self.error(cx, RegionProblem::ResultCount { needed, given }));
        }
        Ok(())
    }
}

fn same_type(cx: &mut Context<'_>, a: &TensorType, b: &TensorType, region: &str) -> bool {
    let op = cx.op;
    a == b
        || (a.dtype == b.dtype
            && a.rank() == b.rank()
            && a.dims
                .iter()
                .zip(&b.dims)
                .enumerate()
                .all(|(axis, (x, y))| {
                    cx.equal(x, y, || {
                        format!(
                            "{op}: axis {axis} of a parameter or result of {region} must be {y}"
                        )
                    })
                }))
}

pub(super) fn call(cx: &mut Context<'_>, x: &[&TensorType], graph: &Graph) -> Result<Type> {
    let name = "body";
    let results = Region { name, graph }.results(cx, x)?;
    Ok(Type::Tuple(results.into()))
}

pub(super) fn branch(
    cx: &mut Context<'_>,
    x: &[&TensorType],
    then: &Graph,
    other: &Graph,
) -> Result<Type> {
    cx.dtype(x, 0, |d| d == DType::Bool, "bool")?;
    cx.scalar(x, 0)?;
    let (then, other) = (("then", then), ("other", other));
    let [then, other] = [then, other].map(|(name, graph)| Region { name, graph });
    let results = then.results(cx, &x[1..])?;
    let others = other.results(cx, &x[1..])?;
    other.expect(cx, &others, &results.iter().collect::<Vec<_>>())?;
    Ok(Type::Tuple(results.into()))
}

/// Splits the operands behind the first `announced`.
fn split<'x, 't>(
    cx: &Context<'_>,
    x: &'x [&'t TensorType],
    announced: u64,
) -> Result<(&'x [&'t TensorType], &'x [&'t TensorType])> {
    let at = usize::try_from(announced).ok();
    at.and_then(|at| x.split_at_checked(at))
        .ok_or(TypeError::CarryCount {
            op: cx.op,
            announced,
            operands: x.len(),
        })
}

pub(super) fn while_loop(
    cx: &mut Context<'_>,
    x: &[&TensorType],
    carries: u32,
    cond: &Graph,
    body: &Graph,
) -> Result<Type> {
    let (carries, _) = split(cx, x, carries.into())?;
    let cond = Region {
        name: "cond",
        graph: cond,
    };
    let body = Region {
        name: "body",
        graph: body,
    };
    let verdict = cond.results(cx, x)?;
    cond.expect(cx, &verdict, &[&TensorType::scalar(DType::Bool)])?;
    let results = body.results(cx, x)?;
    body.expect(cx, &results, carries)?;
    Ok(Type::Tuple(carries.iter().map(|&c| c.clone()).collect()))
}

pub(super) fn counted_loop(
    cx: &mut Context<'_>,
    x: &[&TensorType],
    trip: &Dim,
    [carries, scanned]: [u32; 2],
    graph: &Graph,
) -> Result<Type> {
    if cx.is_negative(trip) {
        return Err(TypeError::NegativeTrip { trip: trip.clone() });
    }
    let first_constant = u64::from(carries) + u64::from(scanned);
    let (varying, constants) = split(cx, x, first_constant)?;
    let (carries, scanned) = varying.split_at(carries as usize);
    let mut slices = Vec::with_capacity(scanned.len());
    for (i, s) in scanned.iter().enumerate() {
        slices.push(slice_type(cx, s, carries.len() + i, trip)?);
    }
    let iteration = TensorType::scalar(DType::I64);
    let passed: Vec<&TensorType> = [&iteration]
        .into_iter()
        .chain(carries.iter().copied())
        .chain(&slices)
        .chain(constants.iter().copied())
        .collect();
    let body = Region {
        name: "body",
        graph,
    };
    let results = body.results(cx, &passed)?;
    let (last, stacked) = results.split_at(carries.len().min(results.len()));
    body.expect(cx, last, carries)?;
    let stacks = stacked.iter().map(|t| {
        let dims = [trip].into_iter().chain(&t.dims).cloned();
        TensorType::new(t.dtype, dims)
    });
    let carries = carries.iter().map(|&c| c.clone());
    Ok(Type::Tuple(carries.chain(stacks).collect()))
}

/// What the body sees of a scanned operand, whose first axis must be the trip count.
fn slice_type(
    cx: &mut Context<'_>,
    scanned: &TensorType,
    operand: usize,
    trip: &Dim,
) -> Result<TensorType> {
    let Some((first, rest)) = scanned.dims.split_first() else {
        return Err(TypeError::Rank {
            op: cx.op,
            operand,
            expected: "a first axis to take slices from",
            shape: (&*scanned.dims).into(),
        });
    };
    let fits = cx.equal(trip, first, || {
        format!("loop: the first axis of operand {operand} must have the trip count as size")
    });
    fits.then(|| TensorType::new(scanned.dtype, rest.iter().cloned()))
        .ok_or_else(|| TypeError::SizeExpected {
            op: cx.op,
            operand,
            axis: 0,
            attribute: "trip",
            expected: trip.clone(),
            got: first.clone(),
        })
}
