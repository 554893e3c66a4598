//! Steps that hold graphs or call foreign functions.

use super::choices::Choices;
use super::grow::{Grower, Item};
use super::precision::Precision;
use crate::{Binary, Custom, DType, Graph, HostFn, NodeId, Op, Predicate, Scalar, TensorType};
use std::sync::{Arc, LazyLock};

impl Grower {
    pub(super) fn region_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        if !self.config.regions {
            return None;
        }
        match choices.below(4) {
            0 => self.call(choices),
            1 => self.branch(choices),
            2 => self.counted_loop(choices),
            _ => self.while_loop(choices),
        }
    }

    /// A graph of a few steps on these parameters, and its last tensor on which anything may be
    /// done.
    fn body(&self, choices: &mut Choices<'_>, parameters: &[Item]) -> Option<(Grower, Item)> {
        let mut body = self.inner(parameters);
        for _ in 0..=choices.below(3) {
            // Each step of a body has a few of the outer step's choices.
            let numbers: Vec<u16> = (0..5).map(|_| choices.below(1 << 16) as u16).collect();
            body.step(&mut Choices::new(&numbers));
        }
        let last = body.pick_exact(&mut Choices::new(&[]))?;
        Some((body, last))
    }

    fn operands(&self, choices: &mut Choices<'_>) -> Option<Vec<Item>> {
        let count = choices.below(2) + 1;
        (0..count).map(|_| self.pick_exact(choices)).collect()
    }

    fn call(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let operands = self.operands(choices)?;
        let (body, last) = self.body(choices, &operands)?;
        let outputs = [last.id, body.items[0].id];
        let op = Op::Call {
            name: "composite".into(),
            body: body.with_outputs(&outputs),
        };
        let precisions = [last.precision, Precision::EXACT];
        self.add_tuple(op, &operands.iter().collect::<Vec<_>>(), &precisions)
            .map(drop)
    }

    fn branch(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let condition = self.pick_exact(choices)?;
        let condition = self.conform(&condition, &TensorType::scalar(DType::Bool))?;
        let operands = self.operands(choices)?;
        let (then, result) = self.body(choices, &operands)?;
        let (mut other, last) = self.body(choices, &operands)?;
        let last = other.conform(&last, &result.ty)?;
        let op = Op::If {
            then: then.with_outputs(&[result.id]),
            other: other.with_outputs(&[last.id]),
        };
        let all: Vec<&Item> = [&condition].into_iter().chain(&operands).collect();
        self.add_tuple(op, &all, &[Precision::EXACT]).map(drop)
    }

    fn counted_loop(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let scanned = self.pick(choices, |i| i.precision.exact && i.rank() > 0)?;
        let (carry, constant) = (self.pick_exact(choices)?, self.pick_exact(choices)?);
        let slice = Item {
            ty: TensorType::new(scanned.dtype(), scanned.ty.dims[1..].iter().cloned()),
            dims: scanned.dims[1..].to_vec(),
            ..scanned.clone()
        };
        let iteration = Item {
            ty: TensorType::scalar(DType::I64),
            dims: Vec::new(),
            ..scanned.clone()
        };
        let parameters = [iteration, carry.clone(), slice, constant.clone()];
        let (mut body, last) = self.body(choices, &parameters)?;
        let next = body.conform(&last, &carry.ty)?;
        let stacked = body.pick_exact(choices)?;
        let op = Op::Loop {
            trip: scanned.ty.dims[0].clone(),
            carries: 1,
            scanned: 1,
            body: body.with_outputs(&[next.id, stacked.id]),
        };
        let precisions = [Precision::EXACT; 2];
        self.add_tuple(op, &[&carry, &scanned, &constant], &precisions)
            .map(drop)
    }

    /// Counts from 0 to a small number.
    fn while_loop(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let integer = |value| Scalar::from_i64(DType::I64, value);
        let zero = self.constant(integer(0))?;
        let (carry, constant) = (self.pick_exact(choices)?, self.pick_exact(choices)?);
        let operands = [zero, carry.clone(), constant];

        let mut cond = self.inner(&operands);
        let limit = cond.constant(integer(choices.of(&[2, 0, 1, 5])))?;
        let counter = cond.items[0].clone();
        let predicate = Predicate::Lt;
        let more = cond.add(Op::Compare { predicate }, &[&counter, &limit])?;

        let (mut body, last) = self.body(choices, &operands)?;
        let one = body.constant(integer(1))?;
        let counter = body.items[0].clone();
        let counter = body.binary(Binary::Add, &counter, &one)?;
        let next = body.conform(&last, &carry.ty)?;
        let op = Op::While {
            carries: 2,
            cond: cond.with_outputs(&[more.id]),
            body: body.with_outputs(&[counter.id, next.id]),
        };
        let all: Vec<&Item> = operands.iter().collect();
        self.add_tuple(op, &all, &[Precision::EXACT; 2]).map(drop)
    }

    /// The graph as part of an operation.
    fn with_outputs(mut self, outputs: &[NodeId]) -> Arc<Graph> {
        self.graph.set_outputs(outputs.iter().copied());
        self.graph.into()
    }

    pub(super) fn foreign_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        static REVERSE: LazyLock<Arc<HostFn>> = LazyLock::new(|| {
            Arc::new(|inputs, _, outputs| {
                let size = outputs[0].len() / inputs[1].len().max(1);
                let elements = inputs[0].chunks_exact(size.max(1)).rev();
                for (target, source) in outputs[0].chunks_exact_mut(size.max(1)).zip(elements) {
                    target.copy_from_slice(source);
                }
                Ok(())
            })
        });
        if !self.config.foreign {
            return None;
        }
        let x = self.pick_exact(choices)?;
        // The second operand says by its bytes how many elements there are.
        let marks = TensorType {
            dtype: DType::Bool,
            dims: x.ty.dims.clone(),
        };
        let marks = self.conform(&x, &marks)?;
        let op = Op::Custom {
            target: Custom::Host("reverse".into(), REVERSE.clone()),
            results: vec![x.ty.clone()],
        };
        self.add_tuple(op, &[&x, &marks], &[Precision::EXACT])
            .map(drop)
    }
}
