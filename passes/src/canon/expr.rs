//! What a rule puts in place of an operation: a small tree over nodes that exist already.

use lazulite_ir::{Binary, DType, Dims, Graph, NodeId, Op, Scalar, Unary};
use std::sync::Arc;

/// A replacement.
pub enum Expr {
    /// A node.
    Node(NodeId),
    /// An operation.
    Op(Op, Vec<Expr>),
    /// A constant at every place of these dims.
    Splat(Scalar, Dims),
    /// A 0-d node at every place of these dims.
    Broadcast(NodeId, Dims),
    /// The rounding that ends an arithmetic operation on half floats.
    Round(Box<Expr>, DType),
    /// The results of an operation with several.
    Results(Vec<Expr>),
    /// The results of a graph applied to arguments.
    Splice(Arc<Graph>, Vec<Expr>),
}

impl From<NodeId> for Expr {
    fn from(id: NodeId) -> Expr {
        Expr::Node(id)
    }
}

impl Expr {
    /// An operation on one operand.
    pub fn op(op: Op, x: impl Into<Expr>) -> Expr {
        Expr::Op(op, vec![x.into()])
    }

    /// `f(x)`.
    pub fn unary(f: Unary, x: impl Into<Expr>) -> Expr {
        Expr::op(Op::Unary { f }, x)
    }

    /// `f(a, b)`.
    pub fn binary(f: Binary, a: impl Into<Expr>, b: impl Into<Expr>) -> Expr {
        Expr::Op(Op::Binary { f }, vec![a.into(), b.into()])
    }

    /// `a` where `condition`, else `b`.
    pub fn select(condition: impl Into<Expr>, a: impl Into<Expr>, b: impl Into<Expr>) -> Expr {
        Expr::Op(Op::Select {}, vec![condition.into(), a.into(), b.into()])
    }

    /// `x` as `dtype`.
    pub fn cast(x: impl Into<Expr>, dtype: DType) -> Expr {
        Expr::op(Op::Cast { dtype }, x)
    }

    /// `x` under other dims.
    pub fn reshape(x: impl Into<Expr>, dims: Dims) -> Expr {
        Expr::op(Op::Reshape { dims }, x)
    }

    /// `x` with unit axes repeated.
    pub fn expand(x: impl Into<Expr>, dims: Dims) -> Expr {
        Expr::op(Op::Expand { dims }, x)
    }
}
