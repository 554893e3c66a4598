//! Comparisons, bits and selection.

use super::{is_splat, same_shape};
use crate::Numerics::{Algebra, Exact};
use crate::canon::fold::embeds;
use crate::egraph::Rule;
use crate::egraph::facts::Known;
use crate::egraph::rule::{At, Found, Types, code, equal, guarded};
use crate::egraph::space::{Space, Tree};
use lazulite_ir::{DType, Op};

pub(super) const RULES: &[Rule] = &[
    equal(
        "select-and",
        Exact,
        (
            Types::Real,
            "(select ?c (select ?d ?a ?b) ?b)",
            "(select (and ?c ?d) ?a ?b)",
        ),
        "two conditions for one value are one condition",
        "f32 (select (lt ?x ?y) (select (lt ?y ?x) ?a ?b) ?a)",
    ),
    equal(
        "select-or",
        Exact,
        (
            Types::Real,
            "(select ?c ?a (select ?d ?a ?b))",
            "(select (or ?c ?d) ?a ?b)",
        ),
        "one of two conditions for one value is one condition",
        "f32 (select (lt ?x ?y) ?a (select (lt ?y ?x) ?b ?a))",
    ),
    equal(
        "not-lt",
        Exact,
        (Types::Int, "(xor (lt ?a ?b) true)", "(le ?b ?a)"),
        "what is not less is the other way round at least (but for NaN)",
        "f32 (xor (lt ?a ?b) true)",
    ),
    equal(
        "not-le",
        Exact,
        (Types::Int, "(xor (le ?a ?b) true)", "(lt ?b ?a)"),
        "what is not less or equal is greater (but for NaN)",
        "f32 (xor (le ?a ?b) true)",
    ),
    equal(
        "not-eq",
        Exact,
        (Types::Real, "(xor (eq ?a ?b) true)", "(ne ?a ?b)"),
        "what is not equal differs, NaN included",
        "f32 (xor (lt ?a ?b) true)",
    ),
    equal(
        "not-ne",
        Exact,
        (Types::Real, "(xor (ne ?a ?b) true)", "(eq ?a ?b)"),
        "what does not differ is equal, NaN included",
        "f32 (xor (le ?a ?b) true)",
    ),
    equal(
        "lt-of-negs",
        Exact,
        (Types::Float, "(lt (neg ?a) (neg ?b))", "(lt ?b ?a)"),
        "signs turn the order around (but for the smallest integer)",
        "i32 (lt (neg ?a) (neg ?b))",
    ),
    equal(
        "le-of-negs",
        Exact,
        (Types::Float, "(le (neg ?a) (neg ?b))", "(le ?b ?a)"),
        "signs turn the order around (but for the smallest integer)",
        "i32 (le (neg ?a) (neg ?b))",
    ),
    equal(
        "eq-of-negs",
        Exact,
        (Types::Signed, "(eq (neg ?a) (neg ?b))", "(eq ?a ?b)"),
        "opposites are equal where numbers are",
        "f32 (eq (neg ?a) ?b)",
    ),
    equal(
        "eq-shifted",
        Exact,
        (Types::Int, "(eq (add ?a ?c) (add ?b ?c))", "(eq ?a ?b)"),
        "adding the same integer modulo 2^n is one to one",
        "f32 (eq (add ?a ?c) (add ?b ?c))",
    ),
    equal(
        "le-split",
        Exact,
        (Types::Real, "(or (lt ?a ?b) (eq ?a ?b))", "(le ?a ?b)"),
        "the definition of less or equal, NaN included",
        "f32 (or (lt ?a ?b) (eq ?a ?c))",
    ),
    equal(
        "de-morgan-and",
        Exact,
        (
            Types::Bool,
            "(and (xor ?a true) (xor ?b true))",
            "(xor (or ?a ?b) true)",
        ),
        "neither is not one of both",
        "i32 (and (xor ?a 1) (xor ?b 1))",
    ),
    equal(
        "de-morgan-or",
        Exact,
        (
            Types::Bool,
            "(or (xor ?a true) (xor ?b true))",
            "(xor (and ?a ?b) true)",
        ),
        "not one or not the other is not both",
        "bool (or (xor ?a ?c) (xor ?b true))",
    ),
    equal(
        "absorb-or",
        Exact,
        (Types::Bits, "(or ?a (and ?a ?b))", "?a"),
        "bits are a lattice",
        "i32 (or ?a (xor ?a ?b))",
    ),
    equal(
        "absorb-and",
        Exact,
        (Types::Bits, "(and ?a (or ?a ?b))", "?a"),
        "bits are a lattice",
        "i32 (and ?a (or ?c ?b))",
    ),
    equal(
        "factor-and",
        Exact,
        (
            Types::Bits,
            "(or (and ?a ?b) (and ?a ?c))",
            "(and ?a (or ?b ?c))",
        ),
        "a common mask is applied once",
        "i32 (or (and ?a ?b) (and ?c ?d))",
    ),
    equal(
        "xor-again",
        Exact,
        (Types::Bits, "(xor (xor ?a ?b) ?b)", "?a"),
        "exclusive or undoes itself",
        "i32 (xor (xor ?a ?b) ?c)",
    ),
    equal(
        "max-select-int",
        Exact,
        (Types::Int, "(select (lt ?a ?b) ?b ?a)", "(max ?a ?b)"),
        "the definition of the larger integer",
        "f32 (select (lt ?a ?b) ?b ?a)",
    ),
    equal(
        "min-select-int",
        Exact,
        (Types::Int, "(select (lt ?a ?b) ?a ?b)", "(min ?a ?b)"),
        "the definition of the smaller integer",
        "f32 (select (lt ?a ?b) ?a ?b)",
    ),
    guarded(
        "max-select",
        Exact,
        (Types::Float, "(select (lt ?a ?b) ?b ?a)", "(max ?b ?a)"),
        &[("a", Known::NUMBER), ("b", Known::NUMBER)],
        "the definition of the larger number, where there is no NaN; the second if they are equal",
        [
            &[
                "(select (lt (sin (tanh (max (exp ?a:T[n]) 0))) 0.25) 0.25 (sin (tanh (max (exp ?a) 0))))",
                "(select (lt (cast{dtype=f32} ?a:i32[n]) (cast{dtype=f32} ?b:i32[n])) (cast{dtype=f32} ?b) (cast{dtype=f32} ?a))",
            ],
            &["f32 (select (lt ?a ?b) ?b ?a)"],
        ],
    ),
    code(
        "select-of-functions",
        Exact,
        (&["select"], &[]),
        select_of_functions,
        "the same function of either branch is computed once, of the branch taken",
        [
            &[
                "(select ?c:bool[n] (exp ?a:T[n]) (exp ?b:T[n]))",
                "(select ?c:bool[n] (neg ?a:T[n]) (neg ?b:T[n]))",
            ],
            &["(select ?c:bool[4] (exp ?a:f32[4]) (expm1 ?b:f32[4]))"],
        ],
    ),
    code(
        "select-of-operations",
        Exact,
        (&["select"], &[]),
        select_of_operations,
        "an operation with a common operand is computed once, with the operand of the branch taken",
        [
            &[
                "(select ?c:bool[n] (mul ?a:T[n] ?b:T[n]) (mul ?a ?d:T[n]))",
                "(select ?c:bool[n] (max ?b:T[n] ?a:T[n]) (max ?d:T[n] ?a))",
            ],
            &["(select ?c:bool[4] (max ?a:f32[4] ?b:f32[4]) (max ?d:f32[4] ?a))"],
        ],
    ),
    code(
        "compare-of-casts",
        Exact,
        (&["compare"], &["cast"]),
        compare_of_casts,
        "a type that holds all values of another orders them as that does",
        [
            &[
                "(lt (cast{dtype=i32} ?a:i8[n]) (cast{dtype=i32} ?b:i8[n]))",
                "(eq (cast{dtype=f32} ?a:u8[n]) (cast{dtype=f32} ?b:u8[n]))",
            ],
            &["(lt (cast{dtype=i8} ?a:i32[4]) (cast{dtype=i8} ?b:i32[4]))"],
        ],
    ),
    code(
        "compare-of-mask",
        Exact,
        (&["ne", "eq"], &["cast"]),
        compare_of_mask,
        "a bool as a number differs from 0 where it is true",
        [
            &[
                "(ne (cast{dtype=T} ?a:bool[n]) 0)",
                "(eq (cast{dtype=T} ?a:bool[n]) 0)",
            ],
            &["(ne (cast{dtype=f32} ?a:i32[4]) 0)"],
        ],
    ),
    code(
        "mask-product",
        Algebra,
        (&["mul"], &["cast"]),
        mask_product,
        "a product with a mask is a selection, where what is masked out is finite",
        [
            &["(mul (cast{dtype=T} ?c:bool[n]) ?a:T[n])"],
            &["(mul (cast{dtype=f32} ?c:u8[4]) ?a:f32[4])"],
        ],
    ),
];

/// `f(select(c, a, b))` for `select(c, f(a), f(b))`.
fn select_of_functions(space: &Space, at: &At<'_>, found: &mut Found) {
    for (f, x) in space.terms(at.x[1]) {
        for (g, y) in space.terms(at.x[2]) {
            if matches!(f, Op::Unary { .. } | Op::Cast { .. })
                && f == g
                && space.ty(x[0]) == space.ty(y[0])
                && !is_splat(space, at.x[1])
                && !is_splat(space, at.x[2])
            {
                let taken = vec![at.x[0].into(), x[0].into(), y[0].into()];
                found.equal(
                    at.class,
                    Tree::op(f.clone(), Tree::Op(Op::Select {}, taken)),
                );
            }
        }
    }
}

/// `f(a, select(c, b, d))` for `select(c, f(a, b), f(a, d))`, with the common operand on either side.
fn select_of_operations(space: &Space, at: &At<'_>, found: &mut Found) {
    for (f, x) in space.terms(at.x[1]) {
        for (g, y) in space.terms(at.x[2]) {
            if !matches!(f, Op::Binary { .. }) || f != g {
                continue;
            }
            for common in 0..2 {
                let other = 1 - common;
                if space.find(x[common]) == space.find(y[common]) && x[other] != y[other] {
                    let taken = vec![at.x[0].into(), x[other].into(), y[other].into()];
                    let mut operands = [Tree::Class(x[common]), Tree::Op(Op::Select {}, taken)];
                    if common == 1 {
                        operands.reverse();
                    }
                    found.equal(at.class, Tree::Op(f.clone(), operands.into()));
                }
            }
        }
    }
}

/// What a class is a cast of.
fn cast_of(space: &Space, id: egg::Id) -> Vec<egg::Id> {
    let casts = space
        .terms(id)
        .filter(|(op, _)| matches!(op, Op::Cast { .. }));
    casts.map(|(_, x)| x[0]).collect()
}

fn compare_of_casts(space: &Space, at: &At<'_>, found: &mut Found) {
    let wide = space.dtype(at.x[0]);
    for a in cast_of(space, at.x[0]) {
        for b in cast_of(space, at.x[1]) {
            let narrow = space.dtype(a);
            if narrow == space.dtype(b) && embeds(narrow, wide) {
                found.equal(at.class, Tree::Op(at.op.clone(), vec![a.into(), b.into()]));
            }
        }
    }
}

fn compare_of_mask(space: &Space, at: &At<'_>, found: &mut Found) {
    use lazulite_ir::{Binary, Predicate, Scalar};
    let zero = |id| {
        space
            .splat(id)
            .is_some_and(|s| s.as_complex() == (0.0, 0.0))
    };
    for (mask, other) in [(at.x[0], at.x[1]), (at.x[1], at.x[0])] {
        for c in cast_of(space, mask) {
            if space.dtype(c) != DType::Bool || !zero(other) {
                continue;
            }
            let differs = *at.op
                == Op::Compare {
                    predicate: Predicate::Ne,
                };
            let all = Tree::Splat(Scalar::from_i64(DType::Bool, 1), space.dims(c).clone());
            found.equal(
                at.class,
                if differs {
                    c.into()
                } else {
                    Tree::binary(Binary::Xor, c, all)
                },
            );
        }
    }
}

fn mask_product(space: &Space, at: &At<'_>, found: &mut Found) {
    for (mask, other) in [(at.x[0], at.x[1]), (at.x[1], at.x[0])] {
        for c in cast_of(space, mask) {
            if space.dtype(c) == DType::Bool && same_shape(space, c, other) {
                let zero = super::number(space, other, 0);
                let taken = vec![c.into(), other.into(), zero];
                found.equal(at.class, Tree::Op(Op::Select {}, taken));
            }
        }
    }
}
