//! The rules: name, reason, class and code of each stand together, grouped by what they rewrite.
//!
//! A rule sees one operation over finished operands and says what it is replaced by, or `None`.
//! It must be certain for all values of the symbols. An *exact* rule changes no bit of any result but
//! the payload of NaN; an *order* rule changes how often and in which order sums and half floats
//! are rounded.

mod aggregate;
mod binary;
mod convert;
mod half;
mod index;
mod logic;
mod loops;
mod pad;
mod region;
mod slice;
mod unary;
mod view;

pub(crate) use binary::commutes;

use super::expr::Expr;
use super::facts::{Facts, is_empty, tensor};
use super::fold;
use lazulite_ir::{Node, Op};

/// How much freedom a rule needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// None.
    Exact,
    /// `Numerics::Order`.
    Order,
}

/// One rule.
pub struct Rule {
    /// Its name, unique.
    pub name: &'static str,
    /// Why it is right, and why it is wanted if that is not plain.
    pub why: &'static str,
    /// The freedom it needs.
    pub class: Class,
    pub(super) apply: Apply,
}

pub(super) type Apply = fn(&Facts<'_>, &Node) -> Option<Expr>;

const fn exact(name: &'static str, why: &'static str, apply: Apply) -> Rule {
    Rule {
        name,
        why,
        class: Class::Exact,
        apply,
    }
}

const fn order(name: &'static str, why: &'static str, apply: Apply) -> Rule {
    Rule {
        name,
        why,
        class: Class::Order,
        apply,
    }
}

/// Rules for operations of any kind with one tensor as result.
const ANY: &[Rule] = &[exact(
    "no-elements",
    "a tensor without elements is like any other of its type",
    |f, n| {
        let (dims, dtype) = tensor(n).filter(|(dims, _)| is_empty(dims))?;
        // Updates of a tensor without elements can only be out of range, which is to be told.
        if matches!(n.op, Op::Scatter { .. }) && !is_empty(f.dims(n.inputs[1])) {
            return None;
        }
        let canonical = matches!(n.op, Op::Expand { .. }) && f.splat(n.inputs[0]).is_some();
        (!canonical).then(|| Expr::Splat(fold::number(dtype, 0), dims.clone()))
    },
)];

/// The rules for an operation, in the order in which they are tried.
pub fn rules_for(op: &Op) -> &'static [&'static [Rule]] {
    match op {
        Op::Input { .. } | Op::Const { .. } | Op::Custom { .. } | Op::Call { .. } => &[],
        Op::Random { .. } => &[ANY],
        Op::Size { .. } | Op::Iota { .. } => &[ANY, index::LEAVES],
        Op::Cast { .. } => &[ANY, convert::CAST],
        Op::Bitcast { .. } => &[ANY, convert::BITCAST],
        Op::Complex {} | Op::Real {} | Op::Imag {} => &[ANY, convert::COMPLEX],
        Op::Unary { .. } => &[ANY, unary::UNARY, half::HALF],
        Op::Binary { .. } => &[ANY, binary::BINARY, binary::INTEGER, half::HALF],
        Op::Compare { .. } => &[ANY, logic::COMPARE, half::HALF],
        Op::Select {} => &[ANY, logic::SELECT],
        Op::Reshape { .. } | Op::Permute { .. } | Op::Expand { .. } => &[ANY, view::VIEWS],
        Op::Barrier {} => &[],
        Op::Window { .. } => &[ANY, view::WINDOW],
        Op::Pad { .. } => &[ANY, pad::PAD],
        Op::Slice { .. } => &[ANY, slice::SLICE],
        Op::Reduce { .. } => &[ANY, aggregate::REDUCE, half::HALF],
        Op::Contract { .. } => &[ANY, aggregate::CONTRACT, half::HALF],
        Op::Scan { .. } => &[ANY, aggregate::SCAN, half::HALF],
        Op::Fold { .. } => &[ANY, aggregate::FOLD, half::HALF],
        Op::Gather { .. } | Op::Scatter { .. } => &[ANY, index::INDEX, half::HALF],
        Op::Sort { .. } => &[index::SORT],
        Op::If { .. } | Op::While { .. } => &[region::REGION],
        Op::Loop { .. } => &[region::REGION, loops::LOOP],
        Op::Get { .. } => &[ANY, region::GET],
    }
}

/// Every rule, for documentation and for the test that each is tested.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    const LISTS: &[&[Rule]] = &[
        ANY,
        unary::UNARY,
        binary::BINARY,
        binary::INTEGER,
        logic::COMPARE,
        logic::SELECT,
        convert::CAST,
        convert::BITCAST,
        convert::COMPLEX,
        half::HALF,
        view::VIEWS,
        view::WINDOW,
        pad::PAD,
        slice::SLICE,
        aggregate::REDUCE,
        aggregate::CONTRACT,
        aggregate::SCAN,
        aggregate::FOLD,
        index::LEAVES,
        index::INDEX,
        index::SORT,
        region::REGION,
        region::GET,
    ];
    LISTS.iter().flat_map(|list| list.iter())
}
