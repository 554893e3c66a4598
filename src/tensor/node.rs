//! Recorded nodes: identity-bearing, shared by handle, never by structure.
//!
//! A node holds its operation for good, and its operands until its value is known. Dropping a node
//! drops its operands iteratively, so chains of any length are fine.

use super::composite::Composite;
use crate::autograd::{Function, GradientSpec, Leaf};
use crate::device::{Device, Places, Value};
use crate::engine::{History, Region};
use crate::location::Place;
use lazulite_ir::{Binary, DType, Op, Predicate, Scalar, TensorType, Unary};
use smallvec::SmallVec;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

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
    /// The operand on another device. It is copied once it is known: tracing stops here.
    Move(Device),
    Unary(Unary),
    Binary(Binary),
    Compare(Predicate),
    Select,
    /// Conversion to the node's element type.
    Cast,
    /// Any other primitive; operands are taken as they are. With several results it stands for
    /// all of them, and only `Item` nodes use it.
    Primitive(Box<Op>),
    /// Result number n of an operation with several.
    Item(u32),
    /// The operand itself, under an identity of its own.
    Same,
    /// Result number n of a user's function with a backward of its own. The first operand is its
    /// value; the function's inputs and what it has saved follow.
    Function(Arc<Function>, u32),
    /// The result of a named composite. The operands are those of the composite, then the result as its
    /// definition computes it.
    Composite(Arc<Composite>),
    /// An operation with recorded functions; like a primitive with several results.
    Region(Arc<Region>),
    /// Gradients, one per wanted tensor; like a primitive with several results.
    Gradient(Box<GradientSpec>),
}

impl Recorded {
    /// The name of the operation, if it can fail while it runs.
    pub fn failing(&self) -> Option<&'static str> {
        match self {
            Recorded::Binary(f @ (Binary::Div | Binary::Rem)) => Some(f.name()),
            Recorded::Primitive(op) => match **op {
                Op::Gather { .. } | Op::Scatter { .. } | Op::Custom { .. } => Some(op.mnemonic()),
                _ => None,
            },
            Recorded::Leaf
            | Recorded::Parameter(_)
            | Recorded::Constant
            | Recorded::Move(_)
            | Recorded::Unary(_)
            | Recorded::Binary(_)
            | Recorded::Compare(_)
            | Recorded::Select
            | Recorded::Cast
            | Recorded::Item(_)
            | Recorded::Same
            | Recorded::Function(..)
            | Recorded::Composite(_)
            | Recorded::Region(_)
            | Recorded::Gradient(_) => None,
        }
    }
}

impl Recorded {
    /// True if it stands for several results, which only `Item` nodes use.
    pub fn has_several_results(&self) -> bool {
        match self {
            Recorded::Primitive(op) => op.has_several_results(),
            Recorded::Gradient(_) | Recorded::Region(_) => true,
            _ => false,
        }
    }
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
    /// The value, dense and row-major, and what it was computed from where gradients may flow.
    Value(Value, Operands),
    /// A thread computes right now and will enter a value: a new one, or the old one, which it may overwrite but
    /// has not if computing fails.
    Lent,
    /// The value was overwritten. Nobody needs it any more.
    Spent,
}

/// What a node takes from its operands when it is recorded.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Traits {
    /// The operation itself is work that is not repeated lightly: a contraction, a reduction, random
    /// bits, foreign code.
    pub heavy: bool,
    /// Gradients flow through it.
    pub grad: bool,
    /// It or what it was computed from is a gradient.
    pub from_gradient: bool,
    /// It depends on nothing but constants, and is no work: whoever needs it makes it anew.
    pub constant: bool,
    /// Where it is computed.
    pub places: Places,
    /// How deep the innermost function is whose parameters it depends on; 0 outside of functions
    /// that are recorded into bodies.
    pub level: u8,
}

/// A recorded operation and its value once it has one.
pub(crate) struct Node {
    pub op: Recorded,
    /// Type of the value; of the first one for operations with several.
    pub ty: Arc<TensorType>,
    pub place: Place,
    pub trail: Option<Arc<str>>,
    pub traits: Traits,
    state: Mutex<State>,
    /// What autograd keeps with it, for the few nodes that need that.
    leaf: OnceLock<Box<Leaf>>,
}

impl Node {
    pub fn new(
        op: Recorded,
        ty: impl Into<Arc<TensorType>>,
        place: Place,
        trail: Option<Arc<str>>,
        traits: Traits,
        state: State,
    ) -> Node {
        Node {
            op,
            ty: ty.into(),
            place,
            trail,
            traits,
            state: Mutex::new(state),
            leaf: OnceLock::new(),
        }
    }

    /// A value from outside. Made in its place, since every call of a captured function makes some: moving what was
    /// just written in other portions stalls the processor.
    #[inline(always)]
    pub fn known(
        ty: Arc<TensorType>,
        place: Place,
        trail: Option<Arc<str>>,
        traits: Traits,
        value: Value,
    ) -> Node {
        Node {
            op: Recorded::Leaf,
            ty,
            place,
            trail,
            traits,
            state: Mutex::new(State::Value(value, Operands::new())),
            leaf: OnceLock::new(),
        }
    }

    /// Exclusive access to the state. Nothing panics while holding it, so poison means nothing.
    #[inline]
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, if it is known.
    pub fn value(&self) -> Option<Value> {
        self.with_value(Value::clone)
    }

    /// What `read` makes of the value, if that is known; it must not take long.
    #[inline]
    pub fn with_value<R>(&self, read: impl FnOnce(&Value) -> R) -> Option<R> {
        match &*self.state() {
            State::Value(value, _) => Some(read(value)),
            State::Lazy(_) | State::Lent | State::Spent => None,
        }
    }

    /// True if the value is known.
    pub fn is_known(&self) -> bool {
        matches!(&*self.state(), State::Value(..))
    }

    /// True for a node with several results, which only `Item` nodes use.
    pub fn is_tuple(&self) -> bool {
        self.op.has_several_results()
    }

    /// True if gradients can flow through the node, as far as its results' types go. Those of a node
    /// with several results are told apart by its items.
    pub fn is_smooth(&self) -> bool {
        self.is_tuple() || self.ty.dtype.is_inexact()
    }

    /// What autograd keeps with this node.
    pub fn leaf(&self) -> &Leaf {
        self.leaf.get_or_init(Box::default)
    }

    /// What autograd keeps with this node, if there is anything.
    pub fn known_leaf(&self) -> Option<&Leaf> {
        self.leaf.get().map(|leaf| &**leaf)
    }

    /// Shares what autograd keeps with `before`, whose place this node takes.
    pub fn adopt_leaf(&self, before: &Node) {
        if let Some(leaf) = before.known_leaf() {
            // A node that has its own keeps that.
            let _ = self.leaf.set(Box::new(leaf.share()));
        }
    }

    /// What the node was computed from, as far as that is still known.
    pub fn operands(&self) -> Operands {
        match &*self.state() {
            State::Value(_, operands) | State::Lazy(operands) => operands.clone(),
            State::Lent | State::Spent => Operands::new(),
        }
    }

    /// A node like this one whose value will be entered soon.
    pub fn vacant(&self) -> Node {
        let (ty, trail) = (self.ty.clone(), self.trail.clone());
        let op = Recorded::Leaf;
        let next = Node::new(op, ty, self.place, trail, self.traits, State::Lent);
        next.adopt_leaf(self);
        next
    }

    /// Lets go of the value, which the caller has, so that it can be overwritten; `false` if there is none.
    /// No one but whoever computes from it at this moment may have a way to the node.
    pub fn lend(&self) -> bool {
        let mut state = self.state();
        let known = matches!(&*state, State::Value(..));
        if known {
            *state = State::Lent;
        }
        known
    }

    /// Puts a copy on another device in the place of a known value.
    pub fn relocate(&self, copy: Value) {
        if let State::Value(value, _) = &mut *self.state() {
            *value = copy;
        }
    }

    /// The value that was lent is gone for good.
    pub fn spend(&self) {
        *self.state() = State::Spent;
        Waiting::wake();
    }

    /// True if the value was overwritten.
    pub fn is_spent(&self) -> bool {
        matches!(&*self.state(), State::Spent)
    }

    /// Waits until a value is entered that another thread is computing.
    pub fn wait(&self) {
        Waiting::until(|| !matches!(&*self.state(), State::Lent));
    }

    /// Lets go of what a known value was computed from.
    pub fn forget(&self) {
        let operands = match &mut *self.state() {
            State::Value(_, operands) => std::mem::take(operands),
            State::Lazy(_) | State::Lent | State::Spent => return,
        };
        release(operands);
    }

    /// Enters the value, and lets go of the operands unless gradients flow to them and history is kept.
    pub fn finish(&self, value: Value, history: History) {
        let mut state = self.state();
        let lent = matches!(&*state, State::Lent);
        let operands = take_operands(&mut state);
        let flows = |o: &Operand| o.node().is_some_and(|n| n.traits.grad);
        let keep = self.traits.grad && history == History::Kept && operands.iter().any(flows);
        let (kept, released) = if keep {
            (operands, Operands::new())
        } else {
            (Operands::new(), operands)
        };
        *state = State::Value(value, kept);
        drop(state);
        if lent {
            Waiting::wake();
        }
        release(released);
    }
}

/// Threads that wait for values which others are computing in place: rarely any, so that one place serves all.
struct Waiting;

static WAITING: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());

impl Waiting {
    fn until(ready: impl Fn() -> bool) {
        let (gate, woken) = &WAITING;
        let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
        while !ready() {
            gate = woken.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// To be called when a node has left `Lent`. Who found it so before waits by now, since this needs the gate.
    fn wake() {
        let (gate, woken) = &WAITING;
        drop(gate.lock().unwrap_or_else(PoisonError::into_inner));
        woken.notify_all();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.is_plain() {
            return;
        }
        let owned = self.take_owned();
        if owned.iter().any(|o| o.node().is_some()) {
            release(owned);
        }
    }
}

impl Node {
    /// True if it keeps nothing alive but a value, as most do when they are dropped.
    fn is_plain(&mut self) -> bool {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let operands = match state {
            State::Lazy(operands) | State::Value(_, operands) => operands.len(),
            State::Lent | State::Spent => 0,
        };
        operands == 0 && self.leaf.get_mut().is_none()
    }

    /// Takes all other nodes out that this one may keep alive.
    fn take_owned(&mut self) -> Operands {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut owned = take_operands(state);
        let gradient = self.leaf.get_mut().and_then(|leaf| leaf.take_gradient());
        owned.extend(gradient.and_then(|g| g.0.ok()).map(Operand::Node));
        owned
    }
}

fn take_operands(state: &mut State) -> Operands {
    match state {
        State::Lazy(operands) | State::Value(_, operands) => std::mem::take(operands),
        State::Lent | State::Spent => Operands::new(),
    }
}

/// Drops operands and every node that only they kept alive, without recursion.
fn release(mut pending: Operands) {
    while let Some(operand) = pending.pop() {
        let Operand::Node(node) = operand else {
            continue;
        };
        if let Some(mut node) = Arc::into_inner(node) {
            pending.append(&mut node.take_owned());
        }
    }
}
