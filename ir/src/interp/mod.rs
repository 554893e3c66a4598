//! The reference interpreter: it defines what every operation computes.
//!
//! Obvious scalar loops over dense arrays, one node after the other, rounding to the operation's
//! element type after every primitive. Sums and products of many elements are formed in a wider
//! type (see [`crate::scalar_ops::accumulator`]) in row-major order and rounded once. An index that would
//! address an element must be inside its axis, and integer divisors must not be zero; where such
//! a fault occurs there are no results. Nodes that no result needs are not computed.

mod aggregate;
mod array;
mod error;
mod index;
mod pointwise;
mod region;
mod view;
mod walk;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod view_tests;

pub use array::{Array, ArrayError, Difference, Tolerance};
pub use error::{Fault, InterpError};
pub(crate) use region::call_foreign;

use crate::{Dim, Graph, Guard, Node, NodeId, Op, Relation, Symbol, TensorType, Type};
use error::Stop;
use rustc_hash::FxHashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Values for symbolic sizes.
pub type SizeOf<'a> = &'a dyn Fn(&Symbol) -> Option<i64>;

/// A library function: given operands and results of their types, it fills in the results or says what went
/// wrong. It has to check the types. Complex arrays are given as such, or as real ones with a last axis of 2.
pub type ForeignFn = dyn Fn(&[&Array], &mut [Array]) -> Result<(), String>;

/// Finds the functions behind [`crate::Custom::Library`].
pub type ForeignTable<'a> = &'a dyn Fn(&str) -> Option<Arc<ForeignFn>>;

/// What the interpreter works with besides graph and inputs.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Values for symbolic sizes.
    pub sizes: SizeOf<'a>,
    /// Foreign functions.
    pub foreign: ForeignTable<'a>,
}

/// The results of `graph` for `inputs`, with `sizes` standing for the symbols. There are no
/// foreign functions; see [`interpret_in`].
pub fn interpret(
    graph: &Graph,
    inputs: &[Array],
    sizes: SizeOf<'_>,
) -> Result<Vec<Array>, InterpError> {
    let foreign = &|_: &str| None;
    interpret_in(graph, inputs, Environment { sizes, foreign })
}

/// Like [`interpret`], with foreign functions.
pub fn interpret_in(
    graph: &Graph,
    inputs: &[Array],
    environment: Environment<'_>,
) -> Result<Vec<Array>, InterpError> {
    environment.check_inputs(graph, inputs)?;
    environment.check_guards(graph.guards())?;
    let inputs: Vec<_> = inputs.iter().cloned().map(Rc::new).collect();
    let results = environment.run(graph, &inputs)?;
    Ok(results.into_iter().map(Rc::unwrap_or_clone).collect())
}

/// The values of the symbols that are sizes of parameters by themselves, read off the arrays.
pub fn bind_sizes(graph: &Graph, inputs: &[Array]) -> FxHashMap<Symbol, i64> {
    let mut sizes = FxHashMap::default();
    for (&input, array) in graph.inputs().iter().zip(inputs) {
        for (dim, &size) in graph.tensor_type(input).dims.iter().zip(&array.dims) {
            if let Some(symbol) = dim.as_symbol() {
                sizes.entry(symbol.clone()).or_insert(size as i64);
            }
        }
    }
    sizes
}

/// The value of a node.
enum Value {
    Tensor(Rc<Array>),
    Tuple(Vec<Rc<Array>>),
}

impl Environment<'_> {
    fn check_inputs(self, graph: &Graph, inputs: &[Array]) -> Result<(), InterpError> {
        let expected = graph.inputs().len();
        if inputs.len() != expected {
            let got = inputs.len();
            return Err(InterpError::InputCount { expected, got });
        }
        for (index, (&input, array)) in graph.inputs().iter().zip(inputs).enumerate() {
            let ty = graph.tensor_type(input);
            let dims = self.dims(ty)?;
            if (array.dtype, &array.dims) != (ty.dtype, &dims) || !array.is_valid() {
                return Err(InterpError::Input {
                    index,
                    expected: (ty.dtype, dims),
                    got: (array.dtype, array.dims.clone()),
                });
            }
        }
        Ok(())
    }

    fn check_guards(self, guards: &[Guard]) -> Result<(), InterpError> {
        for guard in guards {
            let sides = [self.eval(&guard.lhs)?, self.eval(&guard.rhs)?];
            let holds = match guard.relation {
                Relation::Eq => sides[0] == sides[1],
                Relation::Le => sides[0] <= sides[1],
            };
            if !holds {
                return Err(InterpError::Guard {
                    message: guard.message.clone(),
                    relation: guard.relation,
                    sides,
                });
            }
        }
        Ok(())
    }

    fn eval(self, size: &Dim) -> Result<i64, InterpError> {
        let value = size.eval(self.sizes);
        value.ok_or_else(|| InterpError::Size { size: size.clone() })
    }

    /// A size as a number of elements.
    fn count(self, size: &Dim) -> Result<usize, InterpError> {
        let value = self.eval(size)?;
        usize::try_from(value).map_err(|_| InterpError::NegativeSize {
            size: size.clone(),
            value,
        })
    }

    fn dims(self, ty: &TensorType) -> Result<Vec<usize>, InterpError> {
        ty.dims.iter().map(|d| self.count(d)).collect()
    }

    /// The results of `graph`, whose guards hold, for inputs of the right types.
    fn run(self, graph: &Graph, inputs: &[Rc<Array>]) -> Result<Vec<Rc<Array>>, InterpError> {
        let mut uses = use_counts(graph);
        let mut values: Vec<Option<Value>> = Vec::new();
        values.resize_with(graph.nodes().len(), || None);
        for id in graph.ids() {
            if uses[id.index()] == 0 {
                continue;
            }
            let node = graph.node(id);
            let value = self
                .value(node, inputs, &values)
                .map_err(|stop| located(graph, id, stop))?;
            values[id.index()] = Some(value);
            for input in &node.inputs {
                uses[input.index()] -= 1;
                if uses[input.index()] == 0 {
                    values[input.index()] = None;
                }
            }
        }
        let result = |&o: &NodeId| match &values[o.index()] {
            Some(Value::Tensor(t)) => Ok(t.clone()),
            Some(Value::Tuple(_)) | None => Err(located(graph, o, Stop::IllTyped)),
        };
        graph.outputs().iter().map(result).collect()
    }

    fn value(
        self,
        node: &Node,
        inputs: &[Rc<Array>],
        values: &[Option<Value>],
    ) -> Result<Value, Stop> {
        let operand = |i: &NodeId| values[i.index()].as_ref().ok_or(Stop::IllTyped);
        if let Op::Get { index } = node.op {
            let [tuple] = &*node.inputs else {
                return Err(Stop::IllTyped);
            };
            return match operand(tuple)? {
                Value::Tuple(results) => results.get(index as usize).cloned(),
                Value::Tensor(_) => None,
            }
            .map(Value::Tensor)
            .ok_or(Stop::IllTyped);
        }
        if let Op::Input { index, .. } = node.op {
            let input = inputs.get(index as usize).cloned();
            return input.map(Value::Tensor).ok_or(Stop::IllTyped);
        }
        let tensor = |i: &NodeId| match operand(i)? {
            Value::Tensor(t) => Ok(t),
            Value::Tuple(_) => Err(Stop::IllTyped),
        };
        let operands: Vec<&Rc<Array>> = node.inputs.iter().map(tensor).collect::<Result<_, _>>()?;
        match &node.ty {
            Type::Tensor(ty) => {
                let dims = self.dims(ty)?;
                let result = self.tensor(&node.op, &operands, dims)?;
                Ok(Value::Tensor(Rc::new(result)))
            }
            Type::Tuple(types) => self.tuple(&node.op, &operands, types).map(Value::Tuple),
        }
    }

    /// The result, of the given dims, of an operation that gives one tensor.
    fn tensor(self, op: &Op, x: &[&Rc<Array>], dims: Vec<usize>) -> Result<Array, Stop> {
        match op {
            Op::Const { value } => Ok(Array::scalar(*value)),
            Op::Size { value, dtype } => pointwise::size(self.eval(value)?, *dtype),
            Op::Iota { dtype, .. } => pointwise::iota(&dims, *dtype),
            Op::Random { dtype, .. } => pointwise::random(x[0], x[1], &dims, *dtype),
            Op::Cast { dtype } => pointwise::cast(x[0], *dtype),
            Op::Bitcast { dtype } => pointwise::bitcast(x[0], *dtype),
            Op::Complex {} => pointwise::complex(x[0], x[1]),
            Op::Real {} => pointwise::part(x[0], 0),
            Op::Imag {} => pointwise::part(x[0], 1),
            Op::Unary { f } => pointwise::unary(*f, x[0]),
            Op::Binary { f } => pointwise::binary(*f, x[0], x[1]),
            Op::Compare { predicate } => pointwise::compare(*predicate, x[0], x[1]),
            Op::Select {} => pointwise::select(x[0], x[1], x[2]),
            Op::Reshape { .. } => view::reshape(x[0], dims),
            Op::Permute { perm } => view::permute(x[0], perm, &dims),
            Op::Barrier {} => Ok(Array::clone(x[0])),
            Op::Expand { .. } => view::expand(x[0], &dims),
            Op::Pad { low, interior, .. } => {
                let steps = [&*self.evals(low)?, &self.evals(interior)?];
                view::pad(x[0], x[1], steps, &dims)
            }
            Op::Slice { start, step, .. } => view::slice(x[0], &self.evals(start)?, step, &dims),
            Op::Window {
                axis,
                stride,
                dilation,
                ..
            } => {
                let steps = [self.eval(stride)?, self.eval(dilation)?];
                view::window(x[0], *axis as usize, steps, &dims)
            }
            Op::Reduce { kind, axes } => aggregate::reduce(x[0], *kind, axes, &dims),
            Op::Contract { .. } => aggregate::contract(op, [x[0], x[1]], &dims),
            Op::Scan {
                kind,
                axis,
                reverse,
            } => aggregate::scan(x[0], *kind, *axis as usize, *reverse),
            Op::Fold {
                axis,
                stride,
                dilation,
                ..
            } => {
                let steps = [self.eval(stride)?, self.eval(dilation)?];
                aggregate::fold(x[0], *axis as usize, steps, &dims)
            }
            Op::Gather { axes } => index::gather(x[0], &x[1..], axes, &dims),
            Op::Scatter { axes, combine } => index::scatter(x[0], x[1], &x[2..], axes, *combine),
            Op::Input { .. }
            | Op::Sort { .. }
            | Op::Call { .. }
            | Op::If { .. }
            | Op::While { .. }
            | Op::Loop { .. }
            | Op::Custom { .. }
            | Op::Get { .. } => Err(Stop::IllTyped),
        }
    }

    fn evals(self, sizes: &[Dim]) -> Result<Vec<i64>, InterpError> {
        sizes.iter().map(|d| self.eval(d)).collect()
    }
}

/// How often each node's value is asked for by nodes and results that matter.
fn use_counts(graph: &Graph) -> Vec<usize> {
    let mut uses = vec![0; graph.nodes().len()];
    for output in graph.outputs() {
        uses[output.index()] += 1;
    }
    for id in graph.ids().rev() {
        if uses[id.index()] > 0 {
            for input in &graph.node(id).inputs {
                uses[input.index()] += 1;
            }
        }
    }
    uses
}

/// Says where an operation stopped.
fn located(graph: &Graph, node: NodeId, stop: Stop) -> InterpError {
    let op = graph.node(node).op.mnemonic();
    match stop {
        Stop::Fault(fault) => InterpError::Fault {
            op,
            node,
            fault,
            source: graph.source(node).cloned(),
        },
        Stop::IllTyped => InterpError::IllTyped { op, node },
        Stop::Error(error) => *error,
    }
}
