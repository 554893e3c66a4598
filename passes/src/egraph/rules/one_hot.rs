//! Sums in which one term counts are look-ups.

use super::movement::index_along;
use super::product::{Label, Product, reordered};
use super::{repeats_along, without};
use crate::Numerics::{Algebra, Exact, Order};
use crate::egraph::Rule;
use crate::egraph::rule::{At, Found, code};
use crate::egraph::space::{Space, Tree};
use egg::Id;
use lazulite_ir::{Binary, Combine, DType, Dim, Dims, Op, Predicate, Scalar};

pub(super) const RULES: &[Rule] = &[
    code(
        "one-hot-product",
        Algebra,
        (&["contract"], &["eq"]),
        |s, at, f| one_hot_product(s, at, f, false),
        "a product with vectors that have a 1 in one place picks rows, where the others are finite",
        [
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} (cast{dtype=T} (eq (expand{dims=[4, 3]} (reshape{dims=[1, 3]} (iota{len=3, dtype=i64}))) (expand{dims=[4, 3]} ?i:i64[4, 1]))) ?t:T[3, n])",
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[0], rhs_sum=[1], acc=T} ?t:T[3, n] (cast{dtype=T} (eq (expand{dims=[4, 3]} (reshape{dims=[1, 3]} (iota{len=3, dtype=i64}))) (expand{dims=[4, 3]} ?i:i64[4, 1]))))",
            ],
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} (cast{dtype=f32} (lt (expand{dims=[4, 3]} (reshape{dims=[1, 3]} (iota{len=3, dtype=i64}))) (expand{dims=[4, 3]} ?i:i64[4, 1]))) ?t:f32[3, 2])",
            ],
        ],
    ),
    code(
        "one-hot-product-int",
        Exact,
        (&["contract"], &["eq"]),
        |s, at, f| one_hot_product(s, at, f, true),
        "a product with vectors that have a 1 in one place picks rows",
        [
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} (cast{dtype=T} (eq (expand{dims=[4, 3]} (reshape{dims=[1, 3]} (iota{len=3, dtype=i64}))) (expand{dims=[4, 3]} ?i:i64[4, 1]))) ?t:T[3, n])",
            ],
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} (cast{dtype=f32} (eq (expand{dims=[4, 3]} (reshape{dims=[1, 3]} (iota{len=3, dtype=i64}))) (expand{dims=[4, 3]} ?i:i64[4, 1]))) ?t:f32[3, 2])",
            ],
        ],
    ),
    code(
        "one-hot-sum",
        Order,
        (&["reduce"], &["select", "eq"]),
        one_hot_sum,
        "a sum of which all terms but one are 0 is that term",
        [
            &[
                "(reduce{kind=sum, axes=[1]} (select (eq (expand{dims=[4, 3]} (reshape{dims=[1, 3]} (iota{len=3, dtype=i64}))) (expand{dims=[4, 3]} ?i:i64[4, 1])) ?a:T[4, 3] 0))",
                "(reduce{kind=sum, axes=[0]} (select (eq (expand{dims=[3, 4]} (reshape{dims=[3, 1]} (iota{len=3, dtype=i64}))) (expand{dims=[3, 4]} ?i:i64[1, 4])) ?a:T[3, 4] 0))",
            ],
            &[
                "(reduce{kind=sum, axes=[0]} (select (eq (expand{dims=[3, 3]} (reshape{dims=[1, 3]} (iota{len=3, dtype=i64}))) (expand{dims=[3, 3]} ?i:i64[3, 1])) ?a:f32[3, 3] 0))",
            ],
        ],
    ),
];

/// Where `condition` says that an index equals the own index along `axis`: that index, with size 1 along the
/// axis.
fn equals_index(space: &Space, condition: Id, axis: usize) -> Option<Id> {
    let equal = Op::Compare {
        predicate: Predicate::Eq,
    };
    let comparisons = space.terms(condition).filter(|(op, _)| **op == equal);
    let mut pairs = comparisons.flat_map(|(_, x)| [(x[0], x[1]), (x[1], x[0])]);
    pairs.find_map(|(own, index)| {
        let along = index_along(space, own) == Some(axis) && space.dtype(index).is_int();
        repeats_along(space, index, &[axis as u32]).filter(|_| along)
    })
}

/// The index at which `id` is 1 along `axis` and 0 elsewhere.
fn hot(space: &Space, id: Id, axis: usize) -> Option<Id> {
    let is = |id: Id, n: i64| {
        space
            .splat(id)
            .is_some_and(|s| s == Scalar::from_i64(s.dtype(), n))
    };
    space.terms(id).find_map(|(op, x)| match op {
        Op::Cast { .. } if space.dtype(x[0]) == DType::Bool => equals_index(space, x[0], axis),
        Op::Select {} if is(x[1], 1) && is(x[2], 0) => equals_index(space, x[0], axis),
        _ => None,
    })
}

/// An index into an axis: one that is certainly inside, and whether it was.
struct Lookup {
    index: Tree,
    inside: Tree,
    dims: Dims,
}

/// The index, of which elements along `axis` of a tensor of dims `full` are repeats.
fn lookup(index: Id, full: &Dims, axis: usize) -> Option<Lookup> {
    let last = full[axis].as_const()?.checked_sub(1).filter(|l| *l >= 0)?;
    let mut once = full.clone();
    once[axis] = Dim::ONE;
    let dims = without(full, &[axis as u32]);
    let index = Tree::reshape(Tree::expand(index, once), dims.clone());
    let index = Tree::op(Op::Cast { dtype: DType::I64 }, index);
    let number = |n: i64| Tree::Splat(Scalar::from_i64(DType::I64, n), dims.clone());
    let le = |a: Tree, b: Tree| {
        let op = Op::Compare {
            predicate: Predicate::Le,
        };
        Tree::Op(op, vec![a, b])
    };
    let inside = Tree::binary(
        Binary::And,
        le(number(0), index.clone()),
        le(index.clone(), number(last)),
    );
    let index = Tree::binary(Binary::Max, index, number(0));
    let index = Tree::binary(Binary::Min, index, number(last));
    Some(Lookup {
        index,
        inside,
        dims,
    })
}

/// `x` where it was inside, 0 elsewhere; `x` has the dims of the look-up and then `rest`.
fn where_inside(found: &Lookup, x: Tree, rest: &[Dim], dtype: DType) -> Tree {
    let mut dims = found.dims.clone();
    dims.extend(rest.iter().map(|_| Dim::ONE));
    let inside = Tree::reshape(found.inside.clone(), dims.clone());
    dims.truncate(found.dims.len());
    dims.extend(rest.iter().cloned());
    let inside = Tree::expand(inside, dims.clone());
    let zero = Tree::Splat(Scalar::from_i64(dtype, 0), dims);
    Tree::Op(Op::Select {}, vec![inside, x, zero])
}

fn one_hot_product(space: &Space, at: &At<'_>, found: &mut Found, integers: bool) {
    let Some(product) = Product::of(at.op) else {
        return;
    };
    let dtype = space.dtype(at.class);
    if !product.batch[0].is_empty() || dtype != space.dtype(at.x[0]) || integers != dtype.is_int() {
        return;
    }
    let ranks = [0, 1].map(|side| space.dims(at.x[side]).len());
    for side in 0..2 {
        let ([axis], [row]) = (&*product.sum[side], &*product.sum[1 - side]) else {
            continue;
        };
        let full = space.dims(at.x[side]);
        let index = hot(space, at.x[side], *axis as usize);
        let Some(found_at) = index.and_then(|i| lookup(i, full, *axis as usize)) else {
            continue;
        };
        let table = at.x[1 - side];
        let rest = without(space.dims(table), &[*row]);
        let gather = Op::Gather { axes: vec![*row] };
        let rows = Tree::Op(gather, vec![table.into(), found_at.index.clone()]);
        let rows = where_inside(&found_at, rows, &rest, dtype);
        let own = product
            .rest(side, ranks[side])
            .into_iter()
            .map(|a| (side, a));
        let other = product
            .rest(1 - side, ranks[1 - side])
            .into_iter()
            .map(|a| (1 - side, a));
        let labels: Vec<Label> = own.chain(other).collect();
        if let Some(tree) = reordered(rows, &labels, &product.labels(ranks)) {
            found.equal(at.class, tree);
        }
    }
}

fn one_hot_sum(space: &Space, at: &At<'_>, found: &mut Found) {
    let Op::Reduce {
        kind: Combine::Sum,
        axes,
    } = at.op
    else {
        return;
    };
    let [axis] = **axes else { return };
    let (full, dtype) = (space.dims(at.x[0]), space.dtype(at.class));
    if dtype == DType::Bool {
        return;
    }
    for (op, x) in space.terms(at.x[0]) {
        let zero = |id: Id| {
            space
                .splat(id)
                .is_some_and(|s| s.as_complex() == (0.0, 0.0))
        };
        if *op != (Op::Select {}) || !zero(x[2]) {
            continue;
        }
        let index = equals_index(space, x[0], axis as usize);
        let Some(found_at) = index.and_then(|i| lookup(i, full, axis as usize)) else {
            continue;
        };
        let mut operands = vec![Tree::Class(x[1])];
        let mut kept = 0;
        for a in 0..full.len() {
            if a == axis as usize {
                operands.push(found_at.index.clone());
                continue;
            }
            let mut column: Dims = found_at.dims.iter().map(|_| Dim::ONE).collect();
            column[kept] = full[a].clone();
            kept += 1;
            let own = Op::Iota {
                len: full[a].clone(),
                dtype: DType::I64,
            };
            let own = Tree::reshape(Tree::Op(own, vec![]), column);
            operands.push(Tree::expand(own, found_at.dims.clone()));
        }
        let gather = Op::Gather {
            axes: (0..full.len() as u32).collect(),
        };
        let picked = Tree::Op(gather, operands);
        found.equal(at.class, where_inside(&found_at, picked, &[], dtype));
    }
}
