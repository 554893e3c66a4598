//! The language of e-graphs, which is the operation table's: a term is an operation with operands. What
//! kinds there are and what they are called comes from the table; attributes, sizes and types are not
//! terms but part of the operation.

use egg::Id;
use lazulite_ir::{Binary, Op, Predicate, Unary};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};

/// Operand classes.
pub(super) type Children = SmallVec<[Id; 3]>;

/// A kind of operation: a row of the table, or one of the functions of a row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct OpKind(u16);

impl OpKind {
    /// Kinds have numbers below this one.
    pub const COUNT: usize = 256;

    const FUNCTIONS: usize = 16;

    /// The kind of an operation. Functions have kinds behind those of the rows.
    pub fn of(op: &Op) -> OpKind {
        match op {
            Op::Unary { f } => OpKind::function(0, *f as usize),
            Op::Binary { f } => OpKind::function(1, *f as usize),
            Op::Compare { predicate } => OpKind::function(2, *predicate as usize),
            _ => OpKind(op.row() as u16),
        }
    }

    fn function(family: usize, member: usize) -> OpKind {
        debug_assert!(member < OpKind::FUNCTIONS);
        let first = Op::TABLE.len() + family * OpKind::FUNCTIONS;
        debug_assert!(first + OpKind::FUNCTIONS <= OpKind::COUNT);
        OpKind((first + member) as u16)
    }

    /// The kind called `name`: a function, a comparison or a row.
    pub fn named(name: &str) -> Option<OpKind> {
        if let Some(op) = function_named(name) {
            return Some(OpKind::of(&op));
        }
        let row = Op::TABLE.iter().position(|row| row.mnemonic == name)?;
        Some(OpKind(row as u16))
    }

    /// The number.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The function or comparison called `name`.
pub(super) fn function_named(name: &str) -> Option<Op> {
    let unary = Unary::from_name(name).map(|f| Op::Unary { f });
    let binary = || Binary::from_name(name).map(|f| Op::Binary { f });
    let compare = || Predicate::from_name(name).map(|predicate| Op::Compare { predicate });
    unary.or_else(binary).or_else(compare)
}

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Kinds([u64; OpKind::COUNT / 64]);

impl Kinds {
    /// Adds a kind.
    pub fn insert(&mut self, kind: OpKind) {
        self.0[kind.index() / 64] |= 1 << (kind.index() % 64);
    }

    /// True if `kind` is in the set.
    pub fn contains(&self, kind: OpKind) -> bool {
        self.0[kind.index() / 64] & (1 << (kind.index() % 64)) != 0
    }

    /// True if every kind of `others` is in the set.
    pub fn contains_all(&self, others: &Kinds) -> bool {
        self.0.iter().zip(others.0).all(|(a, b)| a & b == b)
    }
}

/// An operation as the number under which a [`super::space::Space`] knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct OpRef(pub u32);

/// Who made a term: 0 for the program itself, else the number of a rule plus 1.
pub(super) type Maker = u16;

/// A term: an operation over classes.
#[derive(Clone, Debug)]
pub(super) struct Term {
    /// The operation.
    pub op: OpRef,
    /// Its kind.
    pub kind: OpKind,
    /// Its operands.
    pub children: Children,
    /// Who made the term first; makes no difference between terms.
    pub by: Maker,
}

impl PartialEq for Term {
    fn eq(&self, other: &Term) -> bool {
        self.op == other.op && self.children == other.children
    }
}

impl Eq for Term {}

impl PartialOrd for Term {
    fn partial_cmp(&self, other: &Term) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Term {
    fn cmp(&self, other: &Term) -> std::cmp::Ordering {
        (self.op, &self.children).cmp(&(other.op, &other.children))
    }
}

impl Hash for Term {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.op.hash(state);
        self.children.hash(state);
    }
}

impl egg::Language for Term {
    type Discriminant = OpKind;

    fn discriminant(&self) -> OpKind {
        self.kind
    }

    fn matches(&self, other: &Term) -> bool {
        self.op == other.op && self.children.len() == other.children.len()
    }

    fn children(&self) -> &[Id] {
        &self.children
    }

    fn children_mut(&mut self) -> &mut [Id] {
        &mut self.children
    }
}
