//! The e-graph with what rules need of it: terms are added with their inferred type, and classes know
//! types and facts.
//!
//! What holds: all terms of a class have the very same type, and depend on the same leaves that may record
//! faults. A term whose type would be right under a condition only is not added.

use super::facts::{Fact, Known, of_op, of_scalar, of_type};
use super::language::{Children, Maker, OpKind, OpRef, Term};
use egg::{Analysis, DidMerge, EGraph, Id};
use lazulite_ir::{Binary, DType, Dim, Dims, Op, Scalar, TensorType, Type, infer, scalar_ops};
use rustc_hash::FxHashMap;
use std::rc::Rc;
use std::sync::LazyLock;

/// egg takes the time of every rebuilding, and its clock begins by calibrating itself for a millisecond: half of what
/// the first small program of a process takes. Nobody asks for that time.
static STOPPED: LazyLock<quanta::Clock> = LazyLock::new(|| quanta::Clock::mock().0);

/// What a rule puts beside a class.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    /// A class.
    Class(Id),
    /// An operation.
    Op(Op, Vec<Tree>),
    /// A constant at every place.
    Splat(Scalar, Dims),
}

impl From<Id> for Tree {
    fn from(id: Id) -> Tree {
        Tree::Class(id)
    }
}

impl Tree {
    /// An operation on one operand.
    pub fn op(op: Op, x: impl Into<Tree>) -> Tree {
        Tree::Op(op, vec![x.into()])
    }

    /// `f(a, b)`.
    pub fn binary(f: Binary, a: impl Into<Tree>, b: impl Into<Tree>) -> Tree {
        Tree::Op(Op::Binary { f }, vec![a.into(), b.into()])
    }

    /// `x` with unit axes repeated.
    pub fn expand(x: impl Into<Tree>, dims: Dims) -> Tree {
        Tree::op(Op::Expand { dims }, x)
    }

    /// `x` under other dims.
    pub fn reshape(x: impl Into<Tree>, dims: Dims) -> Tree {
        Tree::op(Op::Reshape { dims }, x)
    }

    /// Axes of `x` in another order.
    pub fn permute(x: impl Into<Tree>, perm: Vec<u32>) -> Tree {
        Tree::op(Op::Permute { perm }, x)
    }
}

/// The operations in use, and the fact of the term being added.
#[derive(Default)]
pub(super) struct Store {
    ops: Vec<Op>,
    known: FxHashMap<Op, OpRef>,
    next: Option<Fact>,
    by: Maker,
}

/// An e-graph of terms.
#[derive(Default)]
pub(super) struct Space {
    graph: EGraph<Term, Store>,
}

impl Analysis<Term> for Store {
    type Data = Fact;

    fn make(graph: &mut EGraph<Term, Store>, _: &Term, _: Id) -> Fact {
        match graph.analysis.next.take() {
            Some(fact) => fact,
            None => unreachable!("terms are added by `Space::add`, which says their type"),
        }
    }

    fn remake(graph: &mut EGraph<Term, Store>, term: &Term, id: Id) -> Fact {
        let own = &graph[id].data;
        if term.children.is_empty() {
            return own.clone();
        }
        let ty = own.ty.clone();
        fact_of(graph, term.op, &term.children, ty)
    }

    fn merge(&mut self, a: &mut Fact, b: Fact) -> DidMerge {
        debug_assert_eq!(a.ty, b.ty, "types are compared before uniting");
        let known = a.known | b.known;
        let splat = a.splat.or(b.splat);
        let changed = |f: &Fact| f.known != known || f.splat.is_some() != splat.is_some();
        let did = DidMerge(changed(a), changed(&b));
        (a.known, a.splat) = (known, splat);
        did
    }

    /// A class whose value is a constant has a term that says so.
    fn modify(graph: &mut EGraph<Term, Store>, id: Id) {
        let Fact { ty, splat, .. } = &graph[id].data;
        let Some(value) = *splat else { return };
        let dims = ty.dims.clone();
        if let Some(constant) = splat_in(graph, value, &dims)
            && graph.find(constant) != graph.find(id)
        {
            graph.union(id, constant);
        }
    }
}

/// The canonical term of a constant at every place: the only one whose parts are not asked for constants
/// again.
fn splat_in(graph: &mut EGraph<Term, Store>, value: Scalar, dims: &Dims) -> Option<Id> {
    let scalar = insert(graph, Op::Const { value }, &[])?;
    if dims.is_empty() {
        return Some(scalar);
    }
    let ones: Dims = dims.iter().map(|_| Dim::ONE).collect();
    let unit = insert(graph, Op::Reshape { dims: ones.clone() }, &[scalar])?;
    if ones == *dims {
        return Some(unit);
    }
    insert(graph, Op::Expand { dims: dims.clone() }, &[unit])
}

/// Adds a term, unless it is ill typed or well typed for some sizes only.
fn insert(graph: &mut EGraph<Term, Store>, op: Op, children: &[Id]) -> Option<Id> {
    let op_ref = graph.analysis.number(&op);
    let term = Term {
        op: op_ref,
        kind: OpKind::of(&op),
        children: children.iter().map(|&c| graph.find(c)).collect(),
        by: graph.analysis.by,
    };
    if let Some(found) = graph.lookup(term.clone()) {
        return Some(found);
    }
    let mut guards = Vec::new();
    let types: Vec<Type> = term
        .children
        .iter()
        .map(|&c| Type::Tensor((*graph[c].data.ty).clone()))
        .collect();
    let types: Vec<&Type> = types.iter().collect();
    let ty = match infer(&op, &types, &mut guards).ok()? {
        Type::Tensor(ty) if guards.is_empty() => Rc::new(ty),
        Type::Tensor(_) | Type::Tuple(_) => return None,
    };
    Some(add_typed(graph, term, ty))
}

fn add_typed(graph: &mut EGraph<Term, Store>, term: Term, ty: Rc<TensorType>) -> Id {
    let fact = fact_of(graph, term.op, &term.children, ty);
    graph.analysis.next = Some(fact);
    let id = graph.add(term);
    graph.analysis.next = None;
    id
}

/// What is known of a term by itself.
fn fact_of(graph: &EGraph<Term, Store>, op: OpRef, children: &[Id], ty: Rc<TensorType>) -> Fact {
    let op = &graph.analysis.ops[op.0 as usize];
    let facts: Vec<&Fact> = children.iter().map(|&c| &graph[c].data).collect();
    let splat = fold(op, &ty, &facts);
    let known = match splat {
        Some(value) => of_scalar(value),
        None => {
            let operands: Vec<Known> = facts.iter().map(|f| f.known).collect();
            let same = children.len() == 2 && graph.find(children[0]) == graph.find(children[1]);
            of_op(op, &ty, &operands, same)
        }
    };
    Fact {
        splat,
        known,
        faults: facts.iter().fold(0, |all, f| all | f.faults),
        ty,
    }
}

/// The constant that a term is at every place. A fault must stay to be found, so constants are folded only
/// where there can be none.
fn fold(op: &Op, ty: &TensorType, x: &[&Fact]) -> Option<Scalar> {
    if x.iter().any(|f| f.faults != 0) || ty.dims.iter().any(|d| d.is(0)) {
        return None;
    }
    match op {
        Op::Const { value } => Some(*value),
        Op::Reshape { .. } | Op::Permute { .. } | Op::Expand { .. } | Op::Slice { .. } => {
            x[0].splat
        }
        Op::Unary { f } => scalar_ops::unary(*f, x[0].splat?),
        Op::Binary { f } => {
            let (a, b) = (x[0].splat?, x[1].splat?);
            (!scalar_ops::is_fault(*f, b)).then(|| scalar_ops::binary(*f, a, b))?
        }
        Op::Cast { dtype } => Some(scalar_ops::cast(x[0].splat?, *dtype)),
        Op::Compare { predicate } => {
            let value = scalar_ops::compare(*predicate, x[0].splat?, x[1].splat?)?;
            Some(Scalar::from_i64(DType::Bool, i64::from(value)))
        }
        _ => None,
    }
}

impl Store {
    fn number(&mut self, op: &Op) -> OpRef {
        if let Some(&known) = self.known.get(op) {
            return known;
        }
        let number = OpRef(self.ops.len() as u32);
        self.ops.push(op.clone());
        self.known.insert(op.clone(), number);
        number
    }
}

impl Space {
    /// Terms added from now on are made by `by`.
    pub fn made_by(&mut self, by: Maker) {
        self.graph.analysis.by = by;
    }

    /// Adds a leaf: parameter number `index` of the region.
    pub fn leaf(&mut self, index: u32, ty: &TensorType, faults: u64) -> Id {
        let op = Op::Input {
            index,
            ty: ty.clone(),
        };
        let term = Term {
            op: self.graph.analysis.number(&op),
            kind: OpKind::of(&op),
            children: Children::new(),
            by: self.graph.analysis.by,
        };
        self.graph.analysis.next = Some(Fact {
            ty: Rc::new(ty.clone()),
            splat: None,
            known: of_type(ty.dtype),
            faults,
        });
        let id = self.graph.add(term);
        self.graph.analysis.next = None;
        id
    }

    /// Adds an operation of the program, whose type is known.
    pub fn add_known(&mut self, op: &Op, children: &[Id], ty: &TensorType) -> Id {
        let term = Term {
            op: self.graph.analysis.number(op),
            kind: OpKind::of(op),
            children: children.iter().map(|&c| self.graph.find(c)).collect(),
            by: self.graph.analysis.by,
        };
        if let Some(found) = self.graph.lookup(term.clone()) {
            return found;
        }
        add_typed(&mut self.graph, term, Rc::new(ty.clone()))
    }

    /// Adds what a rule made; `None` where it is ill typed. Views that change nothing are left out, and views
    /// of views become one.
    pub fn build(&mut self, tree: &Tree) -> Option<Id> {
        match tree {
            Tree::Class(id) => Some(self.graph.find(*id)),
            Tree::Splat(value, dims) => splat_in(&mut self.graph, *value, dims),
            Tree::Op(op, operands) => {
                let operands: Vec<Id> = operands
                    .iter()
                    .map(|t| self.build(t))
                    .collect::<Option<_>>()?;
                self.add(op.clone(), &operands)
            }
        }
    }

    fn add(&mut self, mut op: Op, operands: &[Id]) -> Option<Id> {
        let mut x = operands.to_vec();
        if let Op::Reshape { .. } | Op::Permute { .. } | Op::Expand { .. } = op
            && let Some((below, from)) = self.view_below(&op, x[0])
        {
            (op, x[0]) = (below, from);
        }
        let unchanged = match &op {
            Op::Reshape { dims } | Op::Expand { dims } => self.ty(x[0]).dims == *dims,
            Op::Permute { perm } => crate::build::is_identity(perm),
            _ => false,
        };
        if unchanged {
            return Some(x[0]);
        }
        insert(&mut self.graph, op, &x)
    }

    /// The view that `op` of `x` is, where `x` is a view of the same kind already: of what, and how.
    fn view_below(&self, op: &Op, x: Id) -> Option<(Op, Id)> {
        self.terms(x)
            .find_map(|(inner, children)| match (op, inner) {
                (Op::Reshape { .. }, Op::Reshape { .. })
                | (Op::Expand { .. }, Op::Expand { .. }) => Some((op.clone(), children[0])),
                (Op::Permute { perm: outer }, Op::Permute { perm: inner }) => {
                    let perm = outer.iter().map(|&p| inner.get(p as usize).copied());
                    let perm = perm.collect::<Option<_>>()?;
                    Some((Op::Permute { perm }, children[0]))
                }
                _ => None,
            })
    }

    /// Makes two classes one, if they have the same type and depend on the same faults; true if that was
    /// news.
    pub fn unite(&mut self, a: Id, b: Id) -> bool {
        let (x, y) = (&self.graph[a].data, &self.graph[b].data);
        if x.ty != y.ty || x.faults != y.faults {
            return false;
        }
        self.graph.union(a, b)
    }

    /// Number of classes made so far: later ones have this number or a higher one.
    pub fn made(&self) -> usize {
        self.graph.nodes().len()
    }

    /// The term that was added when the class `id` was made.
    pub fn original(&self, id: Id) -> Term {
        self.graph.id_to_node(id).clone()
    }

    /// Restores the invariants after a round of changes.
    pub fn rebuild(&mut self) {
        quanta::with_clock(&STOPPED, || self.graph.rebuild());
    }

    /// The class that `id` belongs to now.
    pub fn find(&self, id: Id) -> Id {
        self.graph.find(id)
    }

    /// All classes, oldest first.
    pub fn classes(&self) -> Vec<Id> {
        let mut ids: Vec<Id> = self.graph.classes().map(|c| c.id).collect();
        ids.sort_unstable();
        ids
    }

    /// The classes that have an operand in `id`.
    pub fn parents(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        self.graph[id].parents().map(|p| self.graph.find(p))
    }

    /// Number of terms.
    pub fn len(&self) -> usize {
        self.graph.total_size()
    }

    /// The terms of a class in full.
    pub fn full_terms(&self, id: Id) -> &[Term] {
        &self.graph[id].nodes
    }

    /// The operation behind its number.
    pub fn op(&self, op: OpRef) -> &Op {
        &self.graph.analysis.ops[op.0 as usize]
    }

    /// The terms of a class: operations and operands.
    pub fn terms(&self, id: Id) -> impl Iterator<Item = (&Op, &[Id])> + '_ {
        let terms = self.graph[id].nodes.iter();
        terms.map(|t| (self.op(t.op), &*t.children))
    }

    /// What is known about a class.
    pub fn fact(&self, id: Id) -> &Fact {
        &self.graph[id].data
    }

    /// Its type.
    pub fn ty(&self, id: Id) -> &TensorType {
        &self.fact(id).ty
    }

    /// Its dims.
    pub fn dims(&self, id: Id) -> &Dims {
        &self.ty(id).dims
    }

    /// Its element type.
    pub fn dtype(&self, id: Id) -> DType {
        self.ty(id).dtype
    }

    /// The constant that it is at every place.
    pub fn splat(&self, id: Id) -> Option<Scalar> {
        self.fact(id).splat
    }

    /// Whether all of `what` is known of its elements.
    pub fn knows(&self, id: Id, what: Known) -> bool {
        self.fact(id).known.has(what)
    }
}
