//! Which operations may record a fault while they run.

use lazulite_ir::{Binary, Class, Graph, Node, NodeId, Op};

/// True if running the node, with whatever operands, may record a fault.
pub(crate) fn may_fault(graph: &Graph, node: &Node) -> bool {
    itself_may_fault(graph, node) || node.op.regions().iter().any(|(_, g)| region_may_fault(g))
}

/// True if running the node, with whatever operands, may record a fault outside of the graphs that it holds.
pub(crate) fn itself_may_fault(graph: &Graph, node: &Node) -> bool {
    match &node.op {
        Op::Gather { .. } | Op::Scatter { .. } | Op::Custom { .. } => true,
        Op::Binary { f } => match f {
            Binary::Div | Binary::Rem => {
                graph.tensor_type(node.inputs[0]).dtype.is_int()
                    && !is_nonzero(graph, node.inputs[1])
            }
            Binary::Add
            | Binary::Mul
            | Binary::Max
            | Binary::Min
            | Binary::Pow
            | Binary::And
            | Binary::Or
            | Binary::Xor
            | Binary::Shl
            | Binary::Shr => false,
        },
        Op::Input { .. }
        | Op::Const { .. }
        | Op::Size { .. }
        | Op::Iota { .. }
        | Op::Random { .. }
        | Op::Cast { .. }
        | Op::Bitcast { .. }
        | Op::Complex {}
        | Op::Real {}
        | Op::Imag {}
        | Op::Unary { .. }
        | Op::Compare { .. }
        | Op::Select {}
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Barrier {}
        | Op::Expand { .. }
        | Op::Pad { .. }
        | Op::Slice { .. }
        | Op::Window { .. }
        | Op::Reduce { .. }
        | Op::Contract { .. }
        | Op::Scan { .. }
        | Op::Fold { .. }
        | Op::Sort { .. }
        | Op::Call { .. }
        | Op::If { .. }
        | Op::While { .. }
        | Op::Loop { .. }
        | Op::Get { .. } => false,
    }
}

/// Looks one level deep: regions inside of regions are taken to fault, so that shared ones are not
/// visited over and over.
fn region_may_fault(body: &Graph) -> bool {
    let faults = |n: &Node| n.op.class() == Class::Region || may_fault(body, n);
    body.nodes().iter().any(faults)
}

/// Whether the tensor is a repeated constant other than zero.
fn is_nonzero(graph: &Graph, mut id: NodeId) -> bool {
    loop {
        let node = graph.node(id);
        match &node.op {
            Op::Const { value } => return value.bits() != 0,
            Op::Reshape { .. } | Op::Expand { .. } => id = node.inputs[0],
            _ => return false,
        }
    }
}

/// Of every node of a growing graph, whether it or anything it is computed from may record a fault.
#[derive(Default)]
pub(crate) struct Faulting(Vec<bool>);

impl Faulting {
    /// Looks at the nodes that have been added.
    pub fn update(&mut self, graph: &Graph) {
        for node in &graph.nodes()[self.0.len()..] {
            let inherited = node.inputs.iter().any(|&i| self.of(i));
            self.0.push(inherited || may_fault(graph, node));
        }
    }

    /// The answer for a node that has been looked at.
    pub fn of(&self, id: NodeId) -> bool {
        self.0[id.index()]
    }
}
