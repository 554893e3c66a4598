//! Elements of a product of products that count for nothing: those that a causal mask hides.
//!
//! A query looks at keys up to its own position. The scores of later ones are replaced by minus infinity, which the maximum of
//! a row does not see, of which the exponential is nothing, and nothing is what a sum and the second product make of it.
//! What hidden elements are worth is followed from where they are hidden to the second product.

use super::blocks::{Label, Labels, below_labels};
use lazulite_ir::{Binary, Combine, DType, Graph, NodeId, Op, Predicate, Scalar, Unary};
use rustc_hash::FxHashMap;

/// What the hidden elements of a value are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Worth {
    Lowest,
    Zero,
}

impl Worth {
    fn of(value: &Scalar) -> Option<Worth> {
        let value = value.as_f64();
        match value {
            f64::NEG_INFINITY => Some(Worth::Lowest),
            0.0 => Some(Worth::Zero),
            _ => None,
        }
    }
}

/// Whether no element of the left operand of the product `last` counts whose column is beyond its row. `between` holds, in
/// order, the values between the two products; all of them have labels.
pub(super) fn hides_later_columns(
    graph: &Graph,
    last: NodeId,
    between: &[NodeId],
    known: &FxHashMap<NodeId, Labels>,
) -> bool {
    let mut worth: FxHashMap<NodeId, Worth> = FxHashMap::default();
    for &id in between {
        let node = graph.node(id);
        let inputs = &node.inputs;
        let of = |i: usize| worth.get(&inputs[i]).copied();
        // That of an operand which may be a constant instead.
        let of_any = |i: usize| of(i).or_else(|| Worth::of(&constant(graph, inputs[i])?));
        let own = match &node.op {
            Op::Select {} => match condition(graph, id, known) {
                Some(true) => of_any(1),
                Some(false) => of_any(2),
                None => of_any(1).filter(|a| of_any(2) == Some(*a)),
            },
            // What is added is a number.
            Op::Binary { f: Binary::Add } => [of(0), of(1)]
                .contains(&Some(Worth::Lowest))
                .then_some(Worth::Lowest),
            Op::Binary { f: Binary::Mul } => [of(0), of(1)]
                .contains(&Some(Worth::Zero))
                .then_some(Worth::Zero),
            Op::Binary { f: Binary::Div } => of(0).filter(|w| *w == Worth::Zero),
            Op::Unary { f: Unary::Exp } => {
                of(0).and_then(|w| (w == Worth::Lowest).then_some(Worth::Zero))
            }
            Op::Reduce { kind, axes } => {
                let labels = &known[&inputs[0]];
                let joins = { axes.iter() }.any(|a| labels[*a as usize] == Some(Label::Columns));
                let ignored = match kind {
                    Combine::Max => of(0) == Some(Worth::Lowest),
                    Combine::Sum => of(0) == Some(Worth::Zero),
                    Combine::Min | Combine::Prod => false,
                };
                if joins && !ignored {
                    return false;
                }
                None
            }
            Op::Cast { .. } | Op::Expand { .. } | Op::Reshape { .. } | Op::Permute { .. } => of(0),
            _ => None,
        };
        if let Some(own) = own {
            worth.insert(id, own);
        }
    }
    worth.get(&graph.node(last).inputs[0]) == Some(&Worth::Zero)
}

/// The one value of all elements of a tensor.
fn constant(graph: &Graph, mut id: NodeId) -> Option<Scalar> {
    loop {
        let node = graph.node(id);
        match &node.op {
            Op::Const { value } => return Some(*value),
            Op::Expand { .. } | Op::Reshape { .. } => id = node.inputs[0],
            _ => return None,
        }
    }
}

/// What the condition of a selection is beyond the row's own column.
fn condition(graph: &Graph, select: NodeId, known: &FxHashMap<NodeId, Labels>) -> Option<bool> {
    let condition = graph.node(select).inputs[0];
    let labels = below_labels(graph, select, condition, &known[&select])?;
    let (compare, labels) = behind_views(graph, condition, labels)?;
    let node = graph.node(compare);
    let (Op::Compare { predicate }, [a, b]) = (&node.op, &node.inputs[..]) else {
        return None;
    };
    // The label of the axis whose positions a value holds.
    let counts = |id| {
        let labels = below_labels(graph, compare, id, &labels)?;
        let (iota, labels) = behind_views(graph, id, labels)?;
        // Positions of narrower types may wrap around.
        match graph.node(iota).op {
            Op::Iota {
                dtype: DType::I64, ..
            } => labels.first().copied()?,
            _ => None,
        }
    };
    match (counts(*a)?, counts(*b)?, predicate) {
        (Label::Rows, Label::Columns, Predicate::Lt | Predicate::Le) => Some(true),
        (Label::Columns, Label::Rows, Predicate::Lt | Predicate::Le) => Some(false),
        _ => None,
    }
}

/// What a value is a view of, and its labels.
fn behind_views(graph: &Graph, mut id: NodeId, mut labels: Labels) -> Option<(NodeId, Labels)> {
    loop {
        let node = graph.node(id);
        match &node.op {
            Op::Expand { .. } | Op::Reshape { .. } | Op::Permute { .. } => {
                labels = below_labels(graph, id, node.inputs[0], &labels)?;
                id = node.inputs[0];
            }
            _ => return Some((id, labels)),
        }
    }
}
