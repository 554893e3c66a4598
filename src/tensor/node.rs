//! Recorded nodes: identity-bearing, shared by handle, never by structure.
//!
//! A node holds its operation for good, and its operands until its value is known. Dropping a node
//! drops its operands iteratively, so chains of any length are fine.

use crate::location::Place;
use lazulite_ir::{Binary, DType, Op, Predicate, Scalar, TensorType, Unary};
use lazulite_runtime::Buffer;
use smallvec::SmallVec;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A recorded operation. The pointwise forms broadcast their operands to the node's dims and take
/// literals; both become explicit when a graph is built.
#[derive(Clone, Debug)]
pub(crate) enum Recorded {
    /// A value from outside; has no operands and is never lazy.
    Leaf,
    /// A parameter of a function being captured.
    Parameter(Parameter),
    /// A 0-d number, its only operand.
    Constant,
    Unary(Unary),
    Binary(Binary),
    Compare(Predicate),
    Select,
    /// Conversion to the node's element type.
    Cast,
    /// Any other primitive; operands are taken as they are. With several results it stands for
    /// all of them, and only `Item` nodes use it.
    Primitive(Box<Op>),
    /// Result number n of a primitive with several.
    Item(u32),
}

/// Which parameter of which capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Parameter {
    /// Numbers the captures of the process.
    pub capture: u64,
    pub index: u32,
}

/// An operand of a recorded operation.
#[derive(Clone)]
pub(crate) enum Operand {
    Node(Arc<Node>),
    /// A number; it may differ from call to call without recompilation.
    Literal(Literal),
}

impl Operand {
    /// The node, for operands that have one.
    pub fn node(&self) -> Option<&Arc<Node>> {
        match self {
            Operand::Node(node) => Some(node),
            Operand::Literal(_) => None,
        }
    }
}

/// A scalar of at most eight bytes, kept small because most nodes hold one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Literal {
    pub dtype: DType,
    pub bits: u64,
    /// Known to change from call to call, so never compiled in.
    pub runtime: bool,
}

impl Literal {
    /// The scalar, if it fits (all but complex128).
    pub fn new(value: Scalar) -> Option<Literal> {
        let bits = u64::try_from(value.bits()).ok()?;
        Some(Literal {
            dtype: value.dtype(),
            bits,
            runtime: false,
        })
    }

    /// The scalar.
    pub fn scalar(self) -> Scalar {
        Scalar::from_bits(self.dtype, u128::from(self.bits))
    }
}

/// Operand lists.
pub(crate) type Operands = SmallVec<[Operand; 2]>;

/// What is known of a node's value.
pub(crate) enum State {
    /// Nothing yet; computed from these.
    Lazy(Operands),
    /// The value, dense and row-major.
    Value(Buffer),
}

/// A recorded operation and its value once it has one.
pub(crate) struct Node {
    pub op: Recorded,
    /// Type of the value; of the first one for operations with several.
    pub ty: Arc<TensorType>,
    pub place: Place,
    pub trail: Option<Arc<str>>,
    /// The operation itself is work that is not repeated lightly: a contraction, a reduction, random
    /// bits, foreign code.
    pub heavy: bool,
    state: Mutex<State>,
}

impl Node {
    pub fn new(
        op: Recorded,
        ty: impl Into<Arc<TensorType>>,
        place: Place,
        trail: Option<Arc<str>>,
        heavy: bool,
        state: State,
    ) -> Node {
        Node {
            op,
            ty: ty.into(),
            place,
            trail,
            heavy,
            state: Mutex::new(state),
        }
    }

    /// Exclusive access to the state. Nothing panics while holding it, so poison means nothing.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, if it is known.
    pub fn value(&self) -> Option<Buffer> {
        match &*self.state() {
            State::Value(buffer) => Some(buffer.clone()),
            State::Lazy(_) => None,
        }
    }

    /// Lets go of the value, which the caller has, so that it can be overwritten; `false` if there
    /// is none. The node must not be reachable for anyone who might read it.
    pub fn give_up(&self) -> bool {
        let mut state = self.state();
        let known = matches!(&*state, State::Value(_));
        if known {
            *state = State::Lazy(Operands::new());
        }
        known
    }

    /// Enters the value, and lets go of the operands.
    pub fn finish(&self, value: Buffer) {
        let before = std::mem::replace(&mut *self.state(), State::Value(value));
        release(before);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let State::Lazy(operands) = state
            && operands.iter().any(|o| o.node().is_some())
        {
            release(State::Lazy(std::mem::take(operands)));
        }
    }
}

/// Drops a state and every node that only it kept alive, without recursion.
fn release(state: State) {
    let State::Lazy(operands) = state else {
        return;
    };
    let mut pending = operands;
    while let Some(operand) = pending.pop() {
        let Operand::Node(node) = operand else {
            continue;
        };
        if let Some(mut node) = Arc::into_inner(node) {
            let state = node.state.get_mut().unwrap_or_else(PoisonError::into_inner);
            if let State::Lazy(operands) = state {
                pending.append(operands);
            }
        }
    }
}
