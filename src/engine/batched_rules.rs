//! Derivatives of composites that were vectorised: those of the composite, vectorised.

use lazulite_ir::{Combine, Dim, Dims, Graph, NodeId, Op, TensorType, TypeError};
use lazulite_passes::autodiff::{Rule, Rules};
use lazulite_passes::batch::{self, Randomness};
use std::sync::Arc;

/// A call `name.vmap.O.R`, where O and R tell which operands and results have a batch axis.
pub(super) struct Batched {
    /// The call for one element.
    op: Op,
    operands: Vec<bool>,
    results: Vec<bool>,
}

impl Batched {
    /// The call taken apart, if it is one.
    pub fn of(op: &Op) -> Option<Batched> {
        let Op::Call { name, body } = op else {
            return None;
        };
        let (name, marks) = name.rsplit_once(".vmap.")?;
        let (operands, results) = marks.split_once('.')?;
        let bits = |text: &str| text.bytes().map(|b| b == b'1').collect();
        Some(Batched {
            op: Op::Call {
                name: name.into(),
                body: body.clone(),
            },
            operands: bits(operands),
            results: bits(results),
        })
    }

    pub fn pullback(
        &self,
        rules: &dyn Rules,
        operands: &[TensorType],
        results: &[TensorType],
    ) -> Rule {
        let Some(size) = self.size(operands) else {
            return Rule::Definition;
        };
        let single = [
            elements(operands, &self.operands),
            elements(results, &self.results),
        ];
        match rules.pullback(&self.op, &single[0], &single[1]) {
            Rule::Graph(graph) => {
                let given = smooth(results, &self.results);
                self.vectorised(&graph, &size, &given, &smooth(operands, &self.operands))
            }
            other => other,
        }
    }

    pub fn pushforward(
        &self,
        rules: &dyn Rules,
        operands: &[TensorType],
        results: &[TensorType],
    ) -> Rule {
        let Some(size) = self.size(operands) else {
            return Rule::Definition;
        };
        let single = [
            elements(operands, &self.operands),
            elements(results, &self.results),
        ];
        match rules.pushforward(&self.op, &single[0], &single[1]) {
            Rule::Graph(graph) => {
                let given = smooth(operands, &self.operands);
                self.vectorised(&graph, &size, &given, &smooth(results, &self.results))
            }
            other => other,
        }
    }

    /// The size of the batch.
    fn size(&self, operands: &[TensorType]) -> Option<Dim> {
        let marked = operands.iter().zip(&self.operands).find(|(_, m)| **m);
        marked.and_then(|(ty, _)| ty.dims.first().cloned())
    }

    /// A derivative for all elements. `given` tells which of what flows in has a batch axis, `wanted`
    /// which of what flows out shall have one.
    fn vectorised(&self, graph: &Graph, size: &Dim, given: &[bool], wanted: &[bool]) -> Rule {
        let marks = self.operands.iter().chain(&self.results).chain(given);
        let axes: Vec<Option<usize>> = marks.map(|m| m.then_some(0)).collect();
        let mapped = match batch::vmap(graph, &axes, size, Randomness::Error) {
            Ok(mapped) => mapped,
            Err(e) => return Rule::Refused(e.to_string()),
        };
        let mut graph = mapped.graph;
        let outputs: Vec<NodeId> = graph.outputs().to_vec();
        let mut fitted = Vec::with_capacity(outputs.len());
        for ((id, has), wants) in outputs.into_iter().zip(mapped.batched).zip(wanted) {
            match fit(&mut graph, id, has, *wants, size) {
                Ok(id) => fitted.push(id),
                Err(e) => return Rule::Refused(e.to_string()),
            }
        }
        graph.set_outputs(fitted);
        Rule::Graph(Arc::new(graph))
    }
}

/// Repeats what all elements share, or adds up what each gives to something shared.
fn fit(
    graph: &mut Graph,
    id: NodeId,
    has: bool,
    wants: bool,
    size: &Dim,
) -> Result<NodeId, TypeError> {
    if has == wants {
        return Ok(id);
    }
    if has {
        let sum = Op::Reduce {
            kind: Combine::Sum,
            axes: vec![0],
        };
        return graph.add(sum, [id]);
    }
    let own = graph.tensor_type(id).dims.clone();
    let with = |first: Dim| -> Dims { [first].into_iter().chain(own.iter().cloned()).collect() };
    let raised = graph.add(
        Op::Reshape {
            dims: with(Dim::ONE),
        },
        [id],
    )?;
    graph.add(
        Op::Expand {
            dims: with(size.clone()),
        },
        [raised],
    )
}

/// The types for one element.
fn elements(types: &[TensorType], marks: &[bool]) -> Vec<TensorType> {
    let each = types.iter().zip(marks).map(|(ty, marked)| {
        let dims = ty.dims.iter().skip(usize::from(*marked)).cloned();
        TensorType::new(ty.dtype, dims)
    });
    each.collect()
}

/// The marks of what has derivatives.
fn smooth(types: &[TensorType], marks: &[bool]) -> Vec<bool> {
    let each = types.iter().zip(marks);
    each.filter(|(ty, _)| ty.dtype.is_inexact())
        .map(|(_, marked)| *marked)
        .collect()
}
