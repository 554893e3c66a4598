//! From recorded nodes to one canonical listing: operands before users, numbered in the order of
//! a traversal that depends on structure only. The listing yields the cache key, the sizes and the
//! numbers that the key leaves out, and the set of values to be computed.

use super::{Held, History};
use crate::device::Value;
use crate::tensor::{Literal, Node, Operand, Operands, Recorded, State};
use lazulite_ir::{Dim, Structure, TensorType};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::sync::Arc;

/// A recorded program, listed.
#[derive(Default)]
pub(crate) struct Trace {
    pub nodes: Vec<TraceNode>,
    /// Positions of nodes whose values are known, in order.
    pub leaves: Vec<u32>,
    /// Positions of the nodes to be computed: those asked for, then held ones that are expensive.
    pub roots: Vec<u32>,
    /// Equal exactly for traces that differ in sizes and numbers at most.
    pub key: Vec<u64>,
    /// The sizes, in order of occurrence.
    pub dims: Vec<Dim>,
    /// The numbers, in order of occurrence.
    pub literals: Vec<Literal>,
    /// Whether gradients are computed: then known values are listed with what they were computed from.
    pub differentiates: bool,
    /// Whether this is a function that is part of a program, and no program.
    pub is_body: bool,
    /// Transfers from other devices, which are leaves, that have not been made: the listing is of no use before they are.
    pub moves: Vec<Arc<Node>>,
    /// Per leaf, whether its value is needed by nobody once the roots are computed. Empty when that
    /// holds for none.
    pub expendable: Vec<bool>,
}

/// A listed node.
pub(crate) struct TraceNode {
    pub node: Arc<Node>,
    pub links: SmallVec<[Link; 2]>,
    /// The value, for leaves.
    pub value: Option<Value>,
    /// Position of the node's first size in [`Trace::dims`]: for leaves the sizes of the value come
    /// first, then those in the operation.
    pub first_dim: u32,
    /// Position of the first number in the operation in [`Trace::literals`], for regions.
    pub first_literal: u32,
    /// Whether it is a parameter of the program.
    pub is_leaf: bool,
}

impl TraceNode {
    /// Position of the first size in the operation.
    pub fn first_op_dim(&self) -> usize {
        let own = if self.is_leaf { self.node.ty.rank() } else { 0 };
        self.first_dim as usize + own
    }

    /// True for a leaf that gradients go through to what it was computed from.
    pub fn has_history(&self) -> bool {
        self.is_leaf && !self.links.is_empty()
    }
}

/// A listed operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Link {
    /// Position of a node.
    Node(u32),
    /// Position in [`Trace::literals`].
    Literal(u32),
}

impl Link {
    /// The position of the node, for links to one.
    pub fn node(self) -> Option<u32> {
        match self {
            Link::Node(position) => Some(position),
            Link::Literal(_) => None,
        }
    }
}

/// A node whose operands are being listed.
struct Frame {
    node: Arc<Node>,
    operands: Operands,
    next: usize,
    value: Option<Value>,
}

#[derive(Default)]
struct Tracer {
    trace: Trace,
    position: FxHashMap<*const Node, u32>,
    /// How often each listed node is an operand of a listed node.
    uses: Vec<u32>,
    stack: Vec<Frame>,
    /// How deep the function is whose body is listed; 0 for whole programs.
    level: u8,
    /// Tensors from outside that are listed with what they were computed from.
    differentiated: FxHashSet<usize>,
    /// A node whose value is gone for good.
    gone: Option<usize>,
}

/// What tells nodes apart as long as they exist.
pub(crate) fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

/// The value of this node is being overwritten in place by another thread, which will enter a new one soon (programs
/// that call users' functions, which might wait for this thread, overwrite nothing), or was overwritten since listing
/// began.
struct Busy(Arc<Node>);

/// Lists with `list` until no value is overwritten meanwhile. It is told of a node whose value is gone although
/// listing began anew since: nobody enters another one there.
fn undisturbed(list: impl Fn(Option<usize>) -> Result<Trace, Busy>) -> Trace {
    let mut gone = None;
    loop {
        match list(gone) {
            Ok(trace) => return trace,
            Err(Busy(node)) => {
                node.wait();
                gone = node.is_spent().then(|| address(&node));
            }
        }
    }
}

/// Lists everything that `roots` need. When they are to be computed, expensive values that are held
/// elsewhere become roots too.
pub(crate) fn trace(roots: &[Arc<Node>], held: Option<&Held>) -> Trace {
    undisturbed(|gone| {
        let mut tracer = Tracer {
            gone,
            ..Tracer::default()
        };
        tracer.list_roots(roots)?;
        if let Some(held) = held {
            for node in &held.replaced {
                // Both the cell's handle and this one.
                tracer.note_use(node);
                tracer.note_use(node);
            }
            tracer.add_held(held.history);
        }
        Ok(tracer.close_key())
    })
}

/// Lists what `roots` need of a function with these parameters, which are the first leaves. Whatever is
/// recorded outside of functions `level` deep is a leaf as well.
pub(crate) fn trace_body(parameters: &[Arc<Node>], roots: &[Arc<Node>], level: u8) -> Trace {
    undisturbed(|gone| {
        let mut tracer = Tracer {
            level,
            gone,
            ..Tracer::default()
        };
        tracer.trace.differentiates = true;
        tracer.trace.is_body = true;
        for parameter in parameters {
            tracer.leaf(parameter, None);
        }
        tracer.find_differentiated(roots);
        tracer.list_roots(roots)?;
        Ok(tracer.close_key())
    })
}

impl Tracer {
    fn list_roots(&mut self, roots: &[Arc<Node>]) -> Result<(), Busy> {
        // Gradients may flow through a function as a whole, whatever it does itself.
        let inside = self.level > 0;
        self.trace.differentiates = inside || roots.iter().any(|r| r.traits.from_gradient);
        for root in roots {
            self.list(root)?;
        }
        let position = |root: &Arc<Node>| self.position[&Arc::as_ptr(root)];
        self.trace.roots.extend(roots.iter().map(position));
        Ok(())
    }

    fn close_key(mut self) -> Trace {
        let Trace { key, roots, .. } = &mut self.trace;
        key.push(ROOTS);
        key.extend(roots.iter().map(|&r| u64::from(r)));
        self.trace
    }

    /// True for what a function that is being recorded takes from outside. Constants are its own, and
    /// what it differentiates.
    fn is_outside(&self, node: &Node) -> bool {
        node.traits.level < self.level
            && !node.traits.constant
            && !self.differentiated.contains(&address(node))
    }

    /// Notes what lies on the paths of gradients that the function takes of tensors from outside.
    fn find_differentiated(&mut self, roots: &[Arc<Node>]) {
        let mut seen: FxHashSet<usize> = FxHashSet::default();
        let mut pending: Vec<Arc<Node>> = roots.to_vec();
        while let Some(node) = pending.pop() {
            if node.traits.level < self.level || !seen.insert(address(&node)) {
                continue;
            }
            if let Recorded::Gradient(spec) = &node.op {
                self.differentiated.extend(&spec.outside);
            }
            pending.extend(node.operands().iter().filter_map(|o| o.node().cloned()));
        }
    }

    fn list(&mut self, root: &Arc<Node>) -> Result<(), Busy> {
        self.enter(root)?;
        while let Some(frame) = self.stack.last_mut() {
            match frame.operands.get(frame.next) {
                Some(operand) => {
                    frame.next += 1;
                    if let Operand::Node(node) = operand {
                        let node = node.clone();
                        self.enter(&node)?;
                    }
                }
                None => {
                    if let Some(frame) = self.stack.pop() {
                        self.close(frame);
                    }
                }
            }
        }
        Ok(())
    }

    /// Starts listing a node unless it is listed; a leaf is done at once.
    fn enter(&mut self, node: &Arc<Node>) -> Result<(), Busy> {
        if self.position.contains_key(&Arc::as_ptr(node)) {
            return Ok(());
        }
        if self.is_outside(node) {
            self.leaf(node, None);
            return Ok(());
        }
        let state = node.state();
        match &*state {
            State::Value(value, history) => {
                let value = value.clone();
                if self.trace.differentiates && !history.is_empty() {
                    self.stack.push(Frame {
                        node: node.clone(),
                        operands: self.listed_operands(node, history),
                        next: 0,
                        value: Some(value),
                    });
                } else {
                    drop(state);
                    self.leaf(node, Some(value));
                }
                Ok(())
            }
            State::Lent => Err(Busy(node.clone())),
            State::Spent if self.gone != Some(address(node)) => Err(Busy(node.clone())),
            // Without a value, which is an error for who needs it.
            State::Spent => {
                drop(state);
                self.leaf(node, None);
                Ok(())
            }
            State::Lazy(_) if matches!(node.op, Recorded::Parameter(_)) => {
                drop(state);
                self.leaf(node, None);
                Ok(())
            }
            State::Lazy(_) if matches!(node.op, Recorded::Move(_)) => {
                drop(state);
                self.trace.moves.push(node.clone());
                self.leaf(node, None);
                Ok(())
            }
            State::Lazy(operands) => {
                let frame = Frame {
                    node: node.clone(),
                    operands: self.listed_operands(node, operands),
                    next: 0,
                    value: None,
                };
                drop(state);
                self.stack.push(frame);
                Ok(())
            }
        }
    }

    /// The operands that are listed. What a function took from other devices concerns its backward alone, which was
    /// called when the gradient was recorded.
    fn listed_operands(&self, node: &Node, operands: &Operands) -> Operands {
        let Recorded::Function(..) = node.op else {
            return operands.clone();
        };
        let places = node.traits.places;
        let near = |o: &&Operand| o.node().is_none_or(|n| places.admits(n.traits.places));
        operands.iter().filter(near).cloned().collect()
    }

    fn leaf(&mut self, node: &Arc<Node>, value: Option<Value>) {
        let first_dim = self.trace.dims.len() as u32;
        self.write_leaf(node);
        self.push(TraceNode {
            node: node.clone(),
            links: SmallVec::new(),
            value,
            first_dim,
            first_literal: 0,
            is_leaf: true,
        });
    }

    fn write_leaf(&mut self, node: &Node) {
        let t = &mut self.trace;
        let ty: &TensorType = &node.ty;
        t.key
            .push(LEAF | u64::from(t.differentiates && node.traits.grad));
        ty.structure(&mut t.key);
        // Axes of size 1 broadcast and those of size 0 have no extrema: with others in their place it
        // is another program.
        let special = |(axis, d): (usize, &Dim)| {
            let size = d.as_const().filter(|size| matches!(size, 0 | 1))?;
            Some(SPECIAL | (size as u64) << 32 | axis as u64)
        };
        t.key.extend(ty.dims.iter().enumerate().filter_map(special));
        t.dims.extend(ty.dims.iter().cloned());
        t.leaves.push(t.nodes.len() as u32);
    }

    /// Lists a node whose operands are listed.
    fn close(&mut self, frame: Frame) {
        // A node reached again through another operand before it was closed is listed already.
        if self.position.contains_key(&Arc::as_ptr(&frame.node)) {
            return;
        }
        let first_dim = self.trace.dims.len() as u32;
        let first_literal = self.trace.literals.len() as u32;
        if frame.value.is_some() {
            self.write_leaf(&frame.node);
        }
        let t = &mut self.trace;
        write_structure(&frame.node, t);
        if t.differentiates {
            t.key.push(FLOW | u64::from(frame.node.traits.grad));
        }
        t.key.push(frame.operands.len() as u64);
        let mut links = SmallVec::new();
        for operand in &frame.operands {
            let link = match operand {
                Operand::Node(node) => {
                    let position = self.position[&Arc::as_ptr(node)];
                    self.uses[position as usize] += 1;
                    t.key.push(u64::from(position));
                    Link::Node(position)
                }
                Operand::Literal(literal) => {
                    let position = t.literals.len() as u32;
                    t.literals.push(*literal);
                    t.key
                        .push(LITERAL | literal.dtype as u64 | u64::from(literal.runtime) << 8);
                    Link::Literal(position)
                }
            };
            links.push(link);
        }
        self.push(TraceNode {
            node: frame.node,
            links,
            is_leaf: frame.value.is_some(),
            value: frame.value,
            first_dim,
            first_literal,
        });
    }

    fn push(&mut self, listed: TraceNode) {
        let position = self.trace.nodes.len() as u32;
        self.position.insert(Arc::as_ptr(&listed.node), position);
        self.uses.push(0);
        self.trace.nodes.push(listed);
    }

    /// True if someone besides this listing holds the node.
    fn is_held(&self, position: usize) -> bool {
        // One count is the listing's own handle.
        let handles = Arc::strong_count(&self.trace.nodes[position].node) as u32 - 1;
        handles > self.uses[position]
    }

    /// Counts a handle of a node that is no reason to keep its value.
    fn note_use(&mut self, node: &Arc<Node>) {
        if let Some(&position) = self.position.get(&Arc::as_ptr(node)) {
            self.uses[position as usize] += 1;
        }
    }

    /// Adds the values that someone holds beyond this program and that need expensive work not
    /// kept otherwise: computing them again for their holder would repeat it. What else is held stays
    /// lazy and will be computed from leaves and kept values again; if there is nothing of that kind,
    /// leaves that nobody holds are done with.
    fn add_held(&mut self, history: History) {
        let count = self.trace.nodes.len();
        let mut is_root = vec![false; count];
        for &root in &self.trace.roots {
            is_root[root as usize] = true;
        }
        let mut needs_work = vec![false; count];
        let mut all_private = true;
        for position in 0..count {
            let listed = &self.trace.nodes[position];
            if listed.value.is_some() || is_root[position] {
                // Whoever holds it may ask for gradients of what it was computed from.
                all_private &= !(listed.has_history() && self.is_held(position));
                continue;
            }
            let mut operands = listed.links.iter().filter_map(|l| l.node());
            needs_work[position] =
                listed.node.traits.heavy || operands.any(|o| needs_work[o as usize]);
            if !self.is_held(position) {
                continue;
            }
            if needs_work[position] && !self.trace.nodes[position].node.is_tuple() {
                self.trace.roots.push(position as u32);
                needs_work[position] = false;
            } else {
                all_private = false;
            }
        }
        // Results that gradients flow through, held ones too, keep what they were computed from.
        let keeps_history = |r: &u32| self.trace.nodes[*r as usize].node.traits.grad;
        let forgotten = history == History::Forgotten;
        if all_private && (forgotten || !self.trace.roots.iter().any(keeps_history)) {
            let leaves = self.trace.leaves.iter().map(|l| *l as usize);
            let done = |l| !self.is_held(l) && !self.trace.nodes[l].has_history();
            self.trace.expendable = leaves.map(done).collect();
        }
    }
}

/// Marks of key words that are no positions.
const LEAF: u64 = 1 << 40;
const LITERAL: u64 = 1 << 41;
const RECORDED: u64 = 1 << 42;
const SPECIAL: u64 = 1 << 43;
const ROOTS: u64 = 1 << 44;
const FLOW: u64 = 1 << 45;

fn write_structure(node: &Node, trace: &mut Trace) {
    let Trace {
        key, dims, is_body, ..
    } = trace;
    let tag = |kind: u64, detail: u64| RECORDED | kind << 32 | detail;
    match &node.op {
        // Listed by `leaf`; a leaf that is lazy does not exist.
        Recorded::Leaf => key.push(tag(0, 0)),
        Recorded::Parameter(p) => key.push(tag(1, u64::from(p.index))),
        Recorded::Unary(f) => key.push(tag(2, *f as u64)),
        Recorded::Binary(f) => key.push(tag(3, *f as u64)),
        Recorded::Compare(p) => key.push(tag(4, *p as u64)),
        Recorded::Select => key.push(tag(5, 0)),
        Recorded::Cast => key.push(tag(6, node.ty.dtype as u64)),
        Recorded::Item(index) => key.push(tag(7, u64::from(*index))),
        Recorded::Constant => key.push(tag(9, 0)),
        Recorded::Primitive(op) => {
            key.push(tag(8, 0));
            op.structure(key);
            op.visit_dims(&mut |d| dims.push(d.clone()));
        }
        Recorded::Same => key.push(tag(10, 0)),
        // Like a leaf, which it is listed as.
        Recorded::Move(_) => key.push(tag(15, 0)),
        // Outside of bodies, how it is differentiated was settled when its gradient was recorded.
        Recorded::Function(function, index) => {
            key.push(tag(14, u64::from(*index)));
            key.push(if *is_body { function.identity() } else { 0 });
        }
        Recorded::Composite(composite) => {
            key.push(tag(11, 0));
            // Names are literals in this crate: equal addresses and lengths mean equal names.
            key.extend([composite.name.as_ptr() as u64, composite.name.len() as u64]);
            key.push(composite.attributes.len() as u64);
            key.extend(composite.attributes.iter().map(|a| *a as u64));
        }
        Recorded::Region(region) => {
            key.push(tag(13, 0));
            region.write(trace);
        }
        Recorded::Gradient(spec) => {
            key.push(tag(12, spec.ends.len() as u64));
            key.extend(spec.ends.iter().map(|end| end.word()));
        }
    }
}

impl Trace {
    /// Positions of the leaves' sizes in [`Trace::dims`].
    pub fn input_dims(&self) -> Vec<u32> {
        let leaves = self.leaves.iter().map(|&l| &self.nodes[l as usize]);
        leaves
            .flat_map(|n| n.first_dim..n.first_dim + n.node.ty.rank() as u32)
            .collect()
    }
}
