//! Sums and maxima over axes.

use super::{extent, is_splat, number, repeats, repeats_along, without};
use crate::Numerics::{self, Algebra, Exact, Order};
use crate::canon::fold::embeds;
use crate::egraph::Rule;
use crate::egraph::facts::Known;
use crate::egraph::rule::{At, Found, code};
use crate::egraph::space::{Space, Tree};
use egg::Id;
use lazulite_ir::{Binary, Combine, Dim, Op, Scalar, Unary};

const REDUCE: &[&str] = &["reduce"];

pub(super) const RULES: &[Rule] = &[
    code(
        "sum-of-scaled",
        Algebra,
        (REDUCE, &[]),
        |s, at, f| sum_of_scaled(s, at, f, false),
        "a factor or divisor that all terms have in common is applied once",
        [
            &[
                "(reduce{kind=sum, axes=[1]} (mul ?a:T[m, n] 3))",
                "(reduce{kind=sum, axes=[1]} (div ?a:T[m, n] (expand{dims=[m, n]} ?b:T[m, 1])))",
            ],
            &["(reduce{kind=sum, axes=[1]} (mul ?a:f32[2, 3] (expand{dims=[2, 3]} ?b:f32[1, 3])))"],
        ],
    ),
    code(
        "sum-of-scaled-int",
        Exact,
        (REDUCE, &["mul"]),
        |s, at, f| sum_of_scaled(s, at, f, true),
        "integers modulo 2^n are a ring",
        [
            &["(reduce{kind=sum, axes=[1]} (mul ?a:T[m, n] 3))"],
            &["(reduce{kind=sum, axes=[1]} (mul ?a:f32[2, 3] 3))"],
        ],
    ),
    code(
        "sum-of-neg",
        Order,
        (REDUCE, &["neg"]),
        |s, at, f| sum_of_neg(s, at, f, false),
        "one sign instead of many",
        [
            &["(reduce{kind=sum, axes=[1]} (neg ?a:T[m, n]))"],
            &["(reduce{kind=prod, axes=[1]} (neg ?a:f32[2, 3]))"],
        ],
    ),
    code(
        "sum-of-neg-int",
        Exact,
        (REDUCE, &["neg"]),
        |s, at, f| sum_of_neg(s, at, f, true),
        "integers modulo 2^n are a group",
        [
            &["(reduce{kind=sum, axes=[1]} (neg ?a:T[m, n]))"],
            &["(reduce{kind=sum, axes=[1]} (neg ?a:f32[2, 3]))"],
        ],
    ),
    code(
        "sum-of-permute",
        Order,
        (REDUCE, &["permute"]),
        |s, at, f| reduce_of_permute(s, at, f, Order),
        "the order of terms is free, and elements need not move to be summed",
        [
            &["(reduce{kind=sum, axes=[0]} (permute{perm=[2, 0, 1]} ?a:T[m, n, k]))"],
            &["(reduce{kind=max, axes=[0]} (permute{perm=[1, 0]} ?a:f32[2, 3]))"],
        ],
    ),
    code(
        "reduce-of-permute",
        Exact,
        (REDUCE, &["permute"]),
        |s, at, f| reduce_of_permute(s, at, f, Exact),
        "integers are summed in any order",
        [
            &["(reduce{kind=sum, axes=[0]} (permute{perm=[2, 0, 1]} ?a:T[m, n, k]))"],
            &["(reduce{kind=sum, axes=[0]} (permute{perm=[1, 0]} ?a:f32[2, 3]))"],
        ],
    ),
    code(
        "sum-of-reshape",
        Order,
        (REDUCE, &["reshape"]),
        sum_of_reshape,
        "all elements are all elements under any dims",
        [
            &["(reduce{kind=sum, axes=[0, 1]} (reshape{dims=[3, 4]} ?a:T[2, 3, 2]))"],
            &["(reduce{kind=sum, axes=[0]} (reshape{dims=[3, 4]} ?a:f32[2, 3, 2]))"],
        ],
    ),
    code(
        "sum-of-expand",
        Order,
        (REDUCE, &["expand"]),
        sum_of_expand,
        "a sum of equal terms is a multiple",
        [
            &[
                "(reduce{kind=sum, axes=[1]} (expand{dims=[m, n]} ?a:T[m, 1]))",
                "(reduce{kind=sum, axes=[0, 1]} (expand{dims=[m, n]} ?a:T[m, 1]))",
            ],
            &["(reduce{kind=sum, axes=[0]} (expand{dims=[2, 3]} ?a:f32[2, 1]))"],
        ],
    ),
    code(
        "sum-of-shifted",
        Order,
        (REDUCE, &["add", "expand"]),
        sum_of_shifted,
        "a term that all have in common is multiplied instead of added",
        [
            &["(reduce{kind=sum, axes=[1]} (add ?a:T[m, n] (expand{dims=[m, n]} ?b:T[m, 1])))"],
            &["(reduce{kind=sum, axes=[1]} (add ?a:f32[2, 3] (expand{dims=[2, 3]} ?b:f32[1, 3])))"],
        ],
    ),
    code(
        "sums-together",
        Order,
        (&["add"], REDUCE),
        sums_together,
        "two sums over the same axes are one sum of sums",
        [
            &[
                "(add (reduce{kind=sum, axes=[1]} ?a:T[m, n]) (reduce{kind=sum, axes=[1]} ?b:T[m, n]))",
            ],
            &[
                "(add (reduce{kind=sum, axes=[1]} ?a:f32[3, 3]) (reduce{kind=sum, axes=[0]} ?b:f32[3, 3]))",
            ],
        ],
    ),
    code(
        "max-of-neg",
        Exact,
        (REDUCE, &["neg"]),
        max_of_neg,
        "the largest of opposites is the opposite of the smallest",
        [
            &[
                "(reduce{kind=max, axes=[1]} (neg ?a:T[m, n]))",
                "(reduce{kind=min, axes=[1]} (neg ?a:T[m, n]))",
            ],
            &["(reduce{kind=max, axes=[1]} (neg ?a:i32[2, 3]))"],
        ],
    ),
    code(
        "max-of-increasing",
        Algebra,
        (REDUCE, &[]),
        max_of_increasing,
        "an increasing function keeps the order, so that it is computed once; functions may round \
         neighbours the wrong way round",
        [
            &[
                "(reduce{kind=max, axes=[1]} (exp ?a:T[m, n]))",
                "(reduce{kind=min, axes=[1]} (tanh ?a:T[m, n]))",
            ],
            &["(reduce{kind=max, axes=[1]} (cos ?a:f32[2, 3]))"],
        ],
    ),
    code(
        "max-of-shifted",
        Algebra,
        (REDUCE, &["add", "expand"]),
        max_of_shifted,
        "a term that all have in common is added once",
        [
            &["(reduce{kind=max, axes=[1]} (add ?a:T[m, n] (expand{dims=[m, n]} ?b:T[m, 1])))"],
            &["(reduce{kind=max, axes=[1]} (add ?a:i32[2, 3] (expand{dims=[2, 3]} ?b:i32[2, 1])))"],
        ],
    ),
    code(
        "max-of-scaled",
        Algebra,
        (REDUCE, &["mul", "expand"]),
        max_of_scaled,
        "a positive factor that all have in common is applied once",
        [
            &[
                "(reduce{kind=max, axes=[1]} (mul ?a:T[m, n] 3))",
                "(reduce{kind=min, axes=[1]} (mul ?a:T[m, n] 0.5))",
            ],
            &["(reduce{kind=max, axes=[1]} (mul ?a:f32[2, 3] -3))"],
        ],
    ),
    code(
        "max-of-cast",
        Exact,
        (REDUCE, &["cast"]),
        max_of_cast,
        "a type that holds all values of another has the same largest one",
        [
            &[
                "(reduce{kind=max, axes=[1]} (cast{dtype=i32} ?a:i8[3, 2]))",
                "(reduce{kind=min, axes=[1]} (cast{dtype=f32} ?a:u8[3, 2]))",
            ],
            &["(reduce{kind=max, axes=[1]} (cast{dtype=i8} ?a:i32[3, 2]))"],
        ],
    ),
    code(
        "sum-of-padded",
        Exact,
        (REDUCE, &["pad"]),
        sum_of_padded,
        "zeros add nothing to a sum",
        [
            &[
                "(reduce{kind=sum, axes=[1]} (pad{low=[0, 1], high=[0, 2], interior=[0, 0]} ?a:T[m, n] 0:T[]))",
            ],
            &[
                "(reduce{kind=sum, axes=[1]} (pad{low=[0, -1], high=[0, 2], interior=[0, 0]} ?a:f32[2, 3] 0:f32[]))",
            ],
        ],
    ),
    code(
        "slice-of-reduce",
        Exact,
        (&["slice"], REDUCE),
        slice_of_reduce,
        "what is cut off need not be summed",
        [
            &["(slice{start=[1], len=[1], step=[1]} (reduce{kind=sum, axes=[1]} ?a:T[3, n]))"],
            &[
                "(slice{start=[1], len=[1], step=[1]} (scan{kind=sum, axis=0, reverse=false} ?a:f32[3]))",
            ],
        ],
    ),
];

/// The kind and axes of a Reduce.
fn reduction<'a>(at: &At<'a>) -> Option<(Combine, &'a [u32])> {
    match at.op {
        Op::Reduce { kind, axes } => Some((*kind, axes)),
        _ => None,
    }
}

/// The axes, if the operation is a sum.
fn sum<'a>(at: &At<'a>) -> Option<&'a [u32]> {
    reduction(at)
        .filter(|(kind, _)| *kind == Combine::Sum)
        .map(|(_, axes)| axes)
}

/// `x`, which has size 1 along `axes`, as it stands beside a reduction over them.
fn beside(space: &Space, at: &At<'_>, x: Id, axes: &[u32]) -> Tree {
    let once = Tree::reshape(x, without(space.dims(x), axes));
    Tree::expand(once, space.dims(at.class).clone())
}

fn sum_of_scaled(space: &Space, at: &At<'_>, found: &mut Found, integers: bool) {
    let Some(axes) = sum(at) else { return };
    let dtype = space.dtype(at.class);
    if integers != dtype.is_int() || !(dtype.is_int() || dtype.is_float()) {
        return;
    }
    for (op, x) in space.terms(at.x[0]) {
        let pairs: &[(usize, usize)] = match op {
            Op::Binary { f: Binary::Mul } => &[(0, 1), (1, 0)],
            Op::Binary { f: Binary::Div } if !integers => &[(0, 1)],
            _ => continue,
        };
        for &(term, factor) in pairs {
            if let Some(factor) = repeats_along(space, x[factor], axes) {
                let total = Tree::op(at.op.clone(), x[term]);
                let factor = beside(space, at, factor, axes);
                found.equal(at.class, Tree::Op(op.clone(), vec![total, factor]));
            }
        }
    }
}

fn sum_of_neg(space: &Space, at: &At<'_>, found: &mut Found, integers: bool) {
    if sum(at).is_none() || integers != space.dtype(at.class).is_int() {
        return;
    }
    let neg = Op::Unary { f: Unary::Neg };
    for (op, x) in space.terms(at.x[0]).filter(|(op, _)| **op == neg) {
        found.equal(
            at.class,
            Tree::op(op.clone(), Tree::op(at.op.clone(), x[0])),
        );
    }
}

/// The reduction over other axes of what is permuted, and the permutation of what is left.
fn reduce_of_permute(space: &Space, at: &At<'_>, found: &mut Found, class: Numerics) {
    let Some((kind, axes)) = reduction(at) else {
        return;
    };
    // The largest of equal zeros depends on the order.
    let exact = !space.dtype(at.class).is_float();
    let wanted = if exact { Exact } else { Order };
    if class != wanted || (!exact && matches!(kind, Combine::Max | Combine::Min)) {
        return;
    }
    for (op, x) in space.terms(at.x[0]) {
        let Op::Permute { perm } = op else { continue };
        let mut new: Vec<u32> = axes.iter().map(|&a| perm[a as usize]).collect();
        new.sort_unstable();
        let kept: Vec<u32> = (0..perm.len() as u32)
            .filter(|a| !axes.contains(a))
            .map(|a| perm[a as usize])
            .collect();
        let place = |a: &u32| (0..*a).filter(|b| !new.contains(b)).count() as u32;
        let order = kept.iter().map(place).collect();
        let reduced = Tree::op(
            Op::Reduce {
                kind,
                axes: new.clone(),
            },
            x[0],
        );
        found.equal(at.class, Tree::permute(reduced, order));
    }
}

fn sum_of_reshape(space: &Space, at: &At<'_>, found: &mut Found) {
    let Some((kind, axes)) = reduction(at) else {
        return;
    };
    if axes.len() != space.dims(at.x[0]).len() || matches!(kind, Combine::Max | Combine::Min) {
        return;
    }
    for (op, x) in space.terms(at.x[0]) {
        if let Op::Reshape { .. } = op {
            let axes = (0..space.dims(x[0]).len() as u32).collect();
            found.equal(at.class, Tree::op(Op::Reduce { kind, axes }, x[0]));
        }
    }
}

/// A whole number beside a reduction; `None` if its type does not hold it.
fn count(space: &Space, at: &At<'_>, n: i64) -> Option<Tree> {
    let dtype = space.dtype(at.class);
    let value = Scalar::from_i64(dtype, n);
    let held = dtype.is_int() || (dtype.is_float() && value.as_f64() == n as f64);
    held.then(|| number(space, at.class, n))
}

fn sum_of_expand(space: &Space, at: &At<'_>, found: &mut Found) {
    let Some(axes) = sum(at) else { return };
    for x in repeats(space, at.x[0]) {
        let (from, to) = (space.dims(x), space.dims(at.x[0]));
        let (repeated, rest): (Vec<u32>, Vec<u32>) = axes
            .iter()
            .partition(|&&a| from[a as usize].is(1) && !to[a as usize].is(1));
        let times = extent(to, &repeated).and_then(|n| count(space, at, n));
        let Some(times) = times.filter(|_| !repeated.is_empty()) else {
            continue;
        };
        let narrow = without(from, &repeated);
        let place = |a: &u32| *a - repeated.iter().filter(|r| *r < a).count() as u32;
        let mut once = Tree::reshape(x, narrow.clone());
        // What is repeated along other axes stays so.
        let full = without(to, &repeated);
        once = Tree::expand(once, full);
        if !rest.is_empty() {
            let axes = rest.iter().map(place).collect();
            once = Tree::op(
                Op::Reduce {
                    kind: Combine::Sum,
                    axes,
                },
                once,
            );
        }
        found.equal(at.class, Tree::binary(Binary::Mul, once, times));
    }
}

fn sum_of_shifted(space: &Space, at: &At<'_>, found: &mut Found) {
    let Some(axes) = sum(at) else { return };
    let times = extent(space.dims(at.x[0]), axes).and_then(|n| count(space, at, n));
    let Some(times) = times else { return };
    let add = Op::Binary { f: Binary::Add };
    for (_, x) in space.terms(at.x[0]).filter(|(op, _)| **op == add) {
        for (term, shift) in [(x[0], x[1]), (x[1], x[0])] {
            if let Some(shift) = repeats_along(space, shift, axes) {
                let total = Tree::op(at.op.clone(), term);
                let shift = beside(space, at, shift, axes);
                let shifts = Tree::binary(Binary::Mul, shift, times.clone());
                found.equal(at.class, Tree::binary(Binary::Add, total, shifts));
            }
        }
    }
}

fn sums_together(space: &Space, at: &At<'_>, found: &mut Found) {
    for (a, x) in space.terms(at.x[0]) {
        for (b, y) in space.terms(at.x[1]) {
            let sums = matches!(
                a,
                Op::Reduce {
                    kind: Combine::Sum,
                    ..
                }
            );
            if sums && a == b && space.ty(x[0]) == space.ty(y[0]) {
                let both = Tree::binary(Binary::Add, x[0], y[0]);
                found.equal(at.class, Tree::op(a.clone(), both));
            }
        }
    }
}

/// The other one of maximum and minimum.
fn other_extremum(kind: Combine) -> Option<Combine> {
    match kind {
        Combine::Max => Some(Combine::Min),
        Combine::Min => Some(Combine::Max),
        Combine::Sum | Combine::Prod => None,
    }
}

fn max_of_neg(space: &Space, at: &At<'_>, found: &mut Found) {
    let Some((kind, axes)) = reduction(at) else {
        return;
    };
    let Some(kind) = other_extremum(kind).filter(|_| space.dtype(at.class).is_float()) else {
        return;
    };
    let neg = Op::Unary { f: Unary::Neg };
    for (_, x) in space.terms(at.x[0]).filter(|(op, _)| **op == neg) {
        let other = Tree::op(
            Op::Reduce {
                kind,
                axes: axes.to_vec(),
            },
            x[0],
        );
        found.equal(at.class, Tree::op(neg.clone(), other));
    }
}

/// True for a maximum or minimum over some elements, of floats.
fn extremum_of_floats(space: &Space, at: &At<'_>) -> bool {
    let Some((kind, axes)) = reduction(at) else {
        return false;
    };
    let some = axes.iter().all(|&a| {
        let lowest = space.dims(at.x[0])[a as usize].bounds().0;
        lowest.is_some_and(|low| low >= 1)
    });
    other_extremum(kind).is_some() && some && space.dtype(at.class).is_float()
}

fn max_of_increasing(space: &Space, at: &At<'_>, found: &mut Found) {
    if !extremum_of_floats(space, at) {
        return;
    }
    for (op, x) in space.terms(at.x[0]) {
        if let Op::Unary {
            f:
                Unary::Exp
                | Unary::Expm1
                | Unary::Tanh
                | Unary::Atan
                | Unary::Erf
                | Unary::Floor
                | Unary::Round,
        } = op
        {
            found.equal(
                at.class,
                Tree::op(op.clone(), Tree::op(at.op.clone(), x[0])),
            );
        }
    }
}

fn max_of_shifted(space: &Space, at: &At<'_>, found: &mut Found) {
    let Some((_, axes)) = reduction(at).filter(|_| extremum_of_floats(space, at)) else {
        return;
    };
    let add = Op::Binary { f: Binary::Add };
    for (op, x) in space.terms(at.x[0]).filter(|(op, _)| **op == add) {
        for (term, shift) in [(x[0], x[1]), (x[1], x[0])] {
            if let Some(shift) = repeats_along(space, shift, axes) {
                let largest = Tree::op(at.op.clone(), term);
                let shift = beside(space, at, shift, axes);
                found.equal(at.class, Tree::Op(op.clone(), vec![largest, shift]));
            }
        }
    }
}

fn max_of_scaled(space: &Space, at: &At<'_>, found: &mut Found) {
    let Some((_, axes)) = reduction(at).filter(|_| extremum_of_floats(space, at)) else {
        return;
    };
    let mul = Op::Binary { f: Binary::Mul };
    for (op, x) in space.terms(at.x[0]).filter(|(op, _)| **op == mul) {
        for (term, factor) in [(x[0], x[1]), (x[1], x[0])] {
            let positive = space.knows(factor, Known::POSITIVE) && !is_splat(space, term);
            if let Some(factor) = repeats_along(space, factor, axes).filter(|_| positive) {
                let largest = Tree::op(at.op.clone(), term);
                let factor = beside(space, at, factor, axes);
                found.equal(at.class, Tree::Op(op.clone(), vec![largest, factor]));
            }
        }
    }
}

fn max_of_cast(space: &Space, at: &At<'_>, found: &mut Found) {
    let Some((kind, axes)) = reduction(at) else {
        return;
    };
    let some = axes.iter().all(|&a| {
        let lowest = space.dims(at.x[0])[a as usize].bounds().0;
        lowest.is_some_and(|low| low >= 1)
    });
    if other_extremum(kind).is_none() || !some {
        return;
    }
    for (op, x) in space.terms(at.x[0]) {
        let narrow = x.first().map(|&x| space.dtype(x));
        if let (Op::Cast { dtype }, Some(narrow)) = (op, narrow)
            && narrow.is_int()
            && embeds(narrow, *dtype)
        {
            found.equal(
                at.class,
                Tree::op(op.clone(), Tree::op(at.op.clone(), x[0])),
            );
        }
    }
}

fn sum_of_padded(space: &Space, at: &At<'_>, found: &mut Found) {
    let Some(axes) = sum(at) else { return };
    let at_least_0 = |d: &Dim| d.bounds().0.is_some_and(|low| low >= 0);
    for (op, x) in space.terms(at.x[0]) {
        let Op::Pad { low, high, .. } = op else {
            continue;
        };
        let zero = space
            .splat(x[1])
            .is_some_and(|s| s.as_complex() == (0.0, 0.0));
        let only_summed = (0..low.len() as u32).all(|a| {
            let i = a as usize;
            let widened = at_least_0(&low[i]) && at_least_0(&high[i]);
            widened && (axes.contains(&a) || space.dims(x[0])[i] == space.dims(at.x[0])[i])
        });
        if zero && only_summed {
            found.equal(at.class, Tree::op(at.op.clone(), x[0]));
        }
    }
}

/// The slice of the operand that a slice of its reduction needs.
fn slice_of_reduce(space: &Space, at: &At<'_>, found: &mut Found) {
    let Op::Slice { start, len, step } = at.op else {
        return;
    };
    for (op, x) in space.terms(at.x[0]) {
        let Op::Reduce { axes, .. } = op else {
            continue;
        };
        let from = space.dims(x[0]);
        let (mut starts, mut lens) = (from.clone(), from.clone());
        let mut steps = vec![1; from.len()];
        let mut kept = 0;
        for axis in 0..from.len() {
            if axes.contains(&(axis as u32)) {
                starts[axis] = Dim::ZERO;
                continue;
            }
            starts[axis] = start[kept].clone();
            lens[axis] = len[kept].clone();
            steps[axis] = step[kept];
            kept += 1;
        }
        let part = Op::Slice {
            start: starts,
            len: lens,
            step: steps,
        };
        found.equal(at.class, Tree::op(op.clone(), Tree::op(part, x[0])));
    }
}
