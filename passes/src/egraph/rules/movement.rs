//! Views and pointwise operations past each other: repeated elements are computed once, elements that are
//! cut off not at all, and permutations go to where something absorbs them.

use super::{is_splat, repeats};
use crate::Numerics::Exact;
use crate::egraph::Rule;
use crate::egraph::rule::{At, Found, code};
use crate::egraph::space::{Space, Tree};
use egg::Id;
use lazulite_ir::{DType, Dim, Dims, Op, Predicate};

pub(super) const RULES: &[Rule] = &[
    code(
        "unary-of-expand",
        Exact,
        (&["unary", "cast"], &["expand"]),
        pointwise_of_expands,
        "a function of repeated elements is computed once for each",
        [
            &[
                "(neg (expand{dims=[m, n]} ?a:T[m, 1]))",
                "(cast{dtype=f64} (expand{dims=[m, n]} ?a:T[m, 1]))",
            ],
            &["(exp (reshape{dims=[2, 3]} ?a:f32[6]))"],
        ],
    ),
    code(
        "binary-of-expands",
        Exact,
        (&["binary"], &["expand"]),
        pointwise_of_expands,
        "what both operands repeat is computed once",
        [
            &[
                "(add (expand{dims=[m, n]} ?a:T[m, 1]) (expand{dims=[m, n]} ?b:T[m, 1]))",
                "(mul (expand{dims=[m, n]} ?a:T[1, n]) 3)",
            ],
            &["(add (expand{dims=[2, 3]} ?a:f32[2, 1]) (expand{dims=[2, 3]} ?b:f32[1, 3]))"],
        ],
    ),
    code(
        "compare-of-expands",
        Exact,
        (&["compare"], &["expand"]),
        pointwise_of_expands,
        "what both operands repeat is compared once",
        [
            &["(lt (expand{dims=[m, n]} ?a:T[m, 1]) (expand{dims=[m, n]} ?b:T[m, 1]))"],
            &["(lt (expand{dims=[2, 3]} ?a:f32[2, 1]) (expand{dims=[2, 3]} ?b:f32[1, 3]))"],
        ],
    ),
    code(
        "select-of-expands",
        Exact,
        (&["select"], &["expand"]),
        pointwise_of_expands,
        "what condition and branches repeat is selected once",
        [
            &["(select (expand{dims=[m, n]} ?c:bool[m, 1]) (expand{dims=[m, n]} ?a:T[m, 1]) 0)"],
            &["(select (expand{dims=[2, 3]} ?c:bool[2, 1]) (expand{dims=[2, 3]} ?a:f32[1, 3]) 0)"],
        ],
    ),
    code(
        "unary-of-permute",
        Exact,
        (&["unary", "cast"], &["permute"]),
        pointwise_of_permutes,
        "a permutation goes outwards, where it may be absorbed",
        [
            &["(neg (permute{perm=[1, 0]} ?a:T[m, n]))"],
            &["(exp (reshape{dims=[3, 2]} ?a:f32[2, 3]))"],
        ],
    ),
    code(
        "binary-of-permutes",
        Exact,
        (&["binary"], &["permute"]),
        pointwise_of_permutes,
        "one permutation instead of two",
        [
            &[
                "(add (permute{perm=[1, 0]} ?a:T[m, n]) (permute{perm=[1, 0]} ?b:T[m, n]))",
                "(mul (permute{perm=[1, 0]} ?a:T[m, n]) 3)",
            ],
            &["(add (permute{perm=[1, 0]} ?a:f32[2, 2]) ?b:f32[2, 2])"],
        ],
    ),
    code(
        "select-of-permutes",
        Exact,
        (&["select"], &["permute"]),
        pointwise_of_permutes,
        "one permutation instead of three",
        [
            &["(select (permute{perm=[1, 0]} ?c:bool[m, n]) (permute{perm=[1, 0]} ?a:T[m, n]) 0)"],
            &["(select ?c:bool[2, 2] (permute{perm=[1, 0]} ?a:f32[2, 2]) 0)"],
        ],
    ),
    code(
        "permute-of-expand",
        Exact,
        (&["permute"], &["expand"]),
        permute_of_expand,
        "repeating goes outwards, where it may not be needed",
        [
            &["(permute{perm=[1, 0]} (expand{dims=[m, n]} ?a:T[m, 1]))"],
            &["(permute{perm=[1, 0]} (reshape{dims=[2, 3]} ?a:f32[6]))"],
        ],
    ),
    code(
        "slice-of-permute",
        Exact,
        (&["slice"], &["permute"]),
        slice_of_permute,
        "a permutation goes outwards, where it may be absorbed",
        [
            &["(slice{start=[1, 0], len=[1, 2], step=[1, 1]} (permute{perm=[1, 0]} ?a:T[3, 4]))"],
            &["(slice{start=[0, 0], len=[1, 2], step=[1, 1]} (reshape{dims=[2, 2]} ?a:f32[4]))"],
        ],
    ),
    code(
        "slice-of-function",
        Exact,
        (&["slice"], &[]),
        slice_of_pointwise,
        "what is cut off need not be computed",
        [
            &[
                "(slice{start=[1], len=[2], step=[1]} (neg ?a:T[4]))",
                "(slice{start=[1], len=[2], step=[1]} (add ?a:T[4] ?b:T[4]))",
                "(slice{start=[1], len=[2], step=[2]} (select (lt ?a:T[4] ?b:T[4]) ?a ?b))",
            ],
            &[
                "(slice{start=[1], len=[2], step=[1]} (scan{kind=sum, axis=0, reverse=false} ?a:f32[4]))",
            ],
        ],
    ),
    code(
        "slice-of-joined",
        Exact,
        (&["slice"], &["select", "lt"]),
        slice_of_joined,
        "a part of joined tensors that lies in one of them is a part of that one",
        [
            &[
                "(slice{start=[1], len=[2], step=[1]} (select (lt (iota{len=6, dtype=i64}) 3) ?a:T[6] ?b:T[6]))",
                "(slice{start=[3], len=[3], step=[1]} (select (lt (iota{len=6, dtype=i64}) 3) ?a:T[6] ?b:T[6]))",
            ],
            &[
                "(slice{start=[2], len=[2], step=[1]} (select (lt (iota{len=6, dtype=i64}) 3) ?a:f32[6] ?b:f32[6]))",
            ],
        ],
    ),
];

/// `expand(f(a, b))` for `f(expand(a), expand(b))`, as far as all operands repeat.
fn pointwise_of_expands(space: &Space, at: &At<'_>, found: &mut Found) {
    if at.x.iter().all(|&x| is_splat(space, x)) {
        return;
    }
    let full = space.dims(at.x[0]);
    let below: Option<Vec<Id>> = at.x.iter().map(|&x| repeats(space, x).next()).collect();
    let Some(below) = below else { return };
    let mut dims = full.clone();
    for (axis, dim) in dims.iter_mut().enumerate() {
        if below.iter().all(|&x| space.dims(x)[axis].is(1)) {
            *dim = Dim::ONE;
        }
    }
    if dims == *full {
        return;
    }
    let operands = below.into_iter().map(|x| Tree::expand(x, dims.clone()));
    let once = Tree::Op(at.op.clone(), operands.collect());
    found.equal(at.class, Tree::expand(once, full.clone()));
}

/// What a class permutes, and how.
fn permutes(space: &Space, id: Id) -> impl Iterator<Item = (&Vec<u32>, Id)> + '_ {
    space.terms(id).filter_map(|(op, x)| match op {
        Op::Permute { perm } => Some((perm, x[0])),
        _ => None,
    })
}

/// `permute(f(a, b))` for `f(permute(a), permute(b))`; constants look the same from everywhere.
fn pointwise_of_permutes(space: &Space, at: &At<'_>, found: &mut Found) {
    let Some((perm, first)) = at.x.iter().find_map(|&x| permutes(space, x).next()) else {
        return;
    };
    let dims = space.dims(first);
    let operand = |&x: &Id| match space.splat(x) {
        Some(value) => Some(Tree::Splat(value, dims.clone())),
        None => permutes(space, x)
            .find(|(p, _)| *p == perm)
            .map(|(_, x)| x.into()),
    };
    if let Some(operands) = at.x.iter().map(operand).collect::<Option<Vec<Tree>>>() {
        let before = Tree::Op(at.op.clone(), operands);
        found.equal(at.class, Tree::permute(before, perm.clone()));
    }
}

fn permute_of_expand(space: &Space, at: &At<'_>, found: &mut Found) {
    let Op::Permute { perm } = at.op else { return };
    for x in repeats(space, at.x[0]) {
        let once = Tree::permute(x, perm.clone());
        found.equal(at.class, Tree::expand(once, space.dims(at.class).clone()));
    }
}

fn slice_of_permute(space: &Space, at: &At<'_>, found: &mut Found) {
    let Op::Slice { start, len, step } = at.op else {
        return;
    };
    for (perm, x) in permutes(space, at.x[0]) {
        let mut op = (start.clone(), len.clone(), step.clone());
        for (to, &from) in perm.iter().enumerate() {
            op.0[from as usize] = start[to].clone();
            op.1[from as usize] = len[to].clone();
            op.2[from as usize] = step[to];
        }
        let (start, len, step) = op;
        let part = Tree::op(Op::Slice { start, len, step }, x);
        found.equal(at.class, Tree::permute(part, perm.clone()));
    }
}

fn slice_of_pointwise(space: &Space, at: &At<'_>, found: &mut Found) {
    for (op, x) in space.terms(at.x[0]) {
        let function = matches!(
            op,
            Op::Unary { .. }
                | Op::Binary { .. }
                | Op::Compare { .. }
                | Op::Select {}
                | Op::Cast { .. }
        );
        if function && !is_splat(space, at.x[0]) {
            let parts = x.iter().map(|&x| Tree::op(at.op.clone(), x));
            found.equal(at.class, Tree::Op(op.clone(), parts.collect()));
        }
    }
}

/// Where the condition of a selection is that the index along an axis is less than a number: which axis, and
/// the number.
fn index_below(space: &Space, condition: Id) -> Option<(usize, i64)> {
    let less = Op::Compare {
        predicate: Predicate::Lt,
    };
    let below = |(op, x): (&Op, &[Id])| {
        let bound = space.splat(x[1]).filter(|_| *op == less)?;
        (bound.dtype() == DType::I64).then_some(())?;
        Some((index_along(space, x[0])?, bound.as_i64()))
    };
    let narrow = space
        .terms(condition)
        .filter(|(_, x)| x.len() == 2)
        .find_map(below);
    // The comparison may have been made before repeating.
    let mut once = repeats(space, condition);
    narrow
        .or_else(|| once.find_map(|c| space.terms(c).filter(|(_, x)| x.len() == 2).find_map(below)))
}

/// The axis along which a class holds its own index.
pub(super) fn index_along(space: &Space, id: Id) -> Option<usize> {
    let iota = |id: Id| space.terms(id).any(|(op, _)| matches!(op, Op::Iota { .. }));
    if iota(id) {
        return Some(0);
    }
    // A column of indices: a reshape with one axis that is not 1.
    let column = |id: Id| {
        let from = space
            .terms(id)
            .any(|(op, x)| matches!(op, Op::Reshape { .. }) && iota(x[0]));
        let mut long = (0..space.dims(id).len()).filter(|&a| !space.dims(id)[a].is(1));
        let axis = long.next().filter(|_| from)?;
        long.next().is_none().then_some(axis)
    };
    column(id).or_else(|| {
        let repeated = |x: Id| if iota(x) { Some(0) } else { column(x) };
        repeats(space, id).find_map(repeated)
    })
}

fn slice_of_joined(space: &Space, at: &At<'_>, found: &mut Found) {
    let Op::Slice { start, len, step } = at.op else {
        return;
    };
    for (op, x) in space.terms(at.x[0]) {
        if *op != (Op::Select {}) {
            continue;
        }
        let Some((axis, bound)) = index_below(space, x[0]) else {
            continue;
        };
        let range = |dims: &Dims| dims[axis].as_const();
        let (Some(first), Some(count), 1) = (range(start), range(len), step[axis]) else {
            continue;
        };
        let branch = if first + count <= bound {
            x[1]
        } else if first >= bound {
            x[2]
        } else {
            continue;
        };
        found.equal(at.class, Tree::op(at.op.clone(), branch));
    }
}
