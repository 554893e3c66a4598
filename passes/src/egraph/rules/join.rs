//! Products that share an operand become one, of which they are slices.

use super::product::Product;
use crate::Numerics::Exact;
use crate::egraph::Rule;
use crate::egraph::rule::{At, Found, code, maker};
use crate::egraph::space::{Space, Tree};
use egg::Id;
use lazulite_ir::{DType, Dim, Dims, Op, Predicate, Scalar};

/// Products that are joined at most.
const MOST: usize = 8;

const JOIN_LEFT: &str = "join-shared-left";
const JOIN_RIGHT: &str = "join-shared-right";

pub(super) const RULES: &[Rule] = &[
    code(
        JOIN_LEFT,
        Exact,
        (&["contract"], &[]),
        |s, at, f| join(s, at, f, 0),
        "products with the same left operand read and pack it once",
        [
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a:T[m, n] ?b:T[n, k]) (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a ?c:T[n, p]) (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a ?d:T[n, 2])",
            ],
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} ?a:f32[3, 3] ?b:f32[3, 3]) (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[1], acc=f32} ?a ?c:f32[3, 3])",
            ],
        ],
    ),
    code(
        JOIN_RIGHT,
        Exact,
        (&["contract"], &[]),
        |s, at, f| join(s, at, f, 1),
        "products with the same right operand pack it once",
        [
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a:T[m, n] ?c:T[n, k]) (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?b:T[p, n] ?c)",
            ],
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} ?a:f32[3, 3] ?b:f32[3, 3]) (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[0], rhs_sum=[0], acc=f32} ?c:f32[3, 3] ?b)",
            ],
        ],
    ),
];

/// A product to be joined: its class and the operand that is its own.
struct Part {
    class: Id,
    operand: Id,
}

fn join(space: &Space, at: &At<'_>, found: &mut Found, shared: usize) {
    let own = 1 - shared;
    let Some(product) = Product::of(at.op) else {
        return;
    };
    let ranks = [space.dims(at.x[0]).len(), space.dims(at.x[1]).len()];
    let Some(&axis) = product.rest(own, ranks[own]).first() else {
        return;
    };
    let parts = partners(space, at, shared, axis as usize);
    // One of them speaks for all.
    let first = parts
        .first()
        .is_some_and(|p| p.operand == space.find(at.x[own]));
    if parts.len() < 2 || !first {
        return;
    }
    let place = product.batch[0].len()
        + if own == 0 {
            0
        } else {
            product.rest(0, ranks[0]).len()
        };
    let lens: Vec<Dim> = parts
        .iter()
        .map(|p| space.dims(p.operand)[axis as usize].clone())
        .collect();
    let Some(joined) = joined(space, &parts, axis as usize) else {
        return;
    };
    let mut operands = vec![Tree::Class(at.x[0]), Tree::Class(at.x[1])];
    operands[own] = joined;
    let whole = Tree::Op(at.op.clone(), operands);
    let mut start = Dim::ZERO;
    let mut equal = Vec::new();
    for (part, len) in parts.iter().zip(lens) {
        let dims = space.dims(part.class).clone();
        let mut starts: Dims = dims.iter().map(|_| Dim::ZERO).collect();
        starts[place] = start.clone();
        let step = vec![1; dims.len()];
        let slice = Op::Slice {
            start: starts,
            len: dims,
            step,
        };
        equal.push((part.class, Tree::op(slice, whole.clone())));
        let Ok(next) = start.add(&len) else { return };
        start = next;
    }
    found.together(equal);
}

/// The products like this one but for the operand that is not shared, in order of their classes.
fn partners(space: &Space, at: &At<'_>, shared: usize, axis: usize) -> Vec<Part> {
    let own = 1 - shared;
    let dims = space.dims(at.x[own]);
    let alike = |other: Id| {
        let theirs = space.dims(other);
        let same = |(i, (a, b)): (usize, (&Dim, &Dim))| i == axis || a == b;
        theirs.len() == dims.len() && dims.iter().zip(theirs).enumerate().all(same)
    };
    let mut classes: Vec<Id> = space.parents(at.x[shared]).collect();
    classes.sort_unstable();
    classes.dedup();
    let mut parts: Vec<Part> = Vec::new();
    for class in classes {
        let product = space.full_terms(class).iter().find(|t| {
            let same = space.op(t.op) == at.op;
            let joined = [JOIN_LEFT, JOIN_RIGHT].map(Some).contains(&maker(t.by));
            same && !joined && space.find(t.children[shared]) == space.find(at.x[shared])
        });
        let Some(product) = product else { continue };
        let operand = space.find(product.children[own]);
        if alike(operand) && parts.iter().all(|p| p.operand != operand) && parts.len() < MOST {
            parts.push(Part { class, operand });
        }
    }
    parts
}

/// The operands one behind the other. Neighbours are joined in rounds: an element then goes through few
/// choices.
fn joined(space: &Space, parts: &[Part], axis: usize) -> Option<Tree> {
    let operand = |p: &Part| (Tree::Class(p.operand), space.dims(p.operand).clone());
    let mut parts: Vec<(Tree, Dims)> = parts.iter().map(operand).collect();
    let dtype = space.dtype(match parts[0].0 {
        Tree::Class(id) => id,
        _ => return None,
    });
    while parts.len() > 1 {
        let mut next = Vec::new();
        let mut rest = parts.into_iter();
        while let Some(a) = rest.next() {
            next.push(match rest.next() {
                Some(b) => pair(a, b, axis, dtype)?,
                None => a,
            });
        }
        parts = next;
    }
    parts.pop().map(|(tree, _)| tree)
}

fn pair(a: (Tree, Dims), b: (Tree, Dims), axis: usize, dtype: DType) -> Option<(Tree, Dims)> {
    let (before, after) = (a.1[axis].clone(), b.1[axis].clone());
    let mut dims = a.1;
    dims[axis] = before.add(&after).ok()?;
    let zeros: Dims = dims.iter().map(|_| Dim::ZERO).collect();
    let widened = |x: Tree, low: &Dim, high: &Dim| {
        let (mut lows, mut highs) = (zeros.clone(), zeros.clone());
        lows[axis].clone_from(low);
        highs[axis].clone_from(high);
        let op = Op::Pad {
            low: lows,
            high: highs,
            interior: zeros.clone(),
        };
        let fill = Tree::Splat(Scalar::from_i64(dtype, 0), Dims::new());
        Tree::Op(op, vec![x, fill])
    };
    let mut column: Dims = dims.iter().map(|_| Dim::ONE).collect();
    column[axis] = dims[axis].clone();
    let iota = Tree::Op(
        Op::Iota {
            len: dims[axis].clone(),
            dtype: DType::I64,
        },
        vec![],
    );
    let index = Tree::reshape(iota, column.clone());
    let bound = Tree::Splat(Scalar::from_i64(DType::I64, before.as_const()?), column);
    let less = Op::Compare {
        predicate: Predicate::Lt,
    };
    let first = Tree::expand(Tree::Op(less, vec![index, bound]), dims.clone());
    let (a, b) = (
        widened(a.0, &Dim::ZERO, &after),
        widened(b.0, &before, &Dim::ZERO),
    );
    Some((Tree::Op(Op::Select {}, vec![first, a, b]), dims))
}
