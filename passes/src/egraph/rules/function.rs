//! Functions, and the definitions that they stand for.

use crate::Numerics::{Algebra, Approx, Exact, Order};
use crate::egraph::Rule;
use crate::egraph::facts::Known;
use crate::egraph::rule::{Types, equal, guarded};

pub(super) const RULES: &[Rule] = &[
    equal(
        "log-exp",
        Algebra,
        (Types::Float, "(log (exp ?a))", "?a"),
        "logarithm and exponential undo each other, where nothing overflows",
        "f32 (log (expm1 ?a))",
    ),
    guarded(
        "exp-log",
        Algebra,
        (Types::Float, "(exp (log ?a))", "?a"),
        &[("a", Known::NOT_NEGATIVE)],
        "exponential and logarithm undo each other, for numbers that have a logarithm",
        [
            &["(exp (log (add (exp ?a:T[n]) 1)))"],
            &["f32 (exp (log ?a))"],
        ],
    ),
    guarded(
        "log-of-quotient",
        Algebra,
        (
            Types::Float,
            "(log (div ?a ?b))",
            "(add (log ?a) (neg (log ?b)))",
        ),
        &[("a", Known::NOT_NEGATIVE), ("b", Known::NOT_NEGATIVE)],
        "the logarithm of a repeated divisor is taken once, and that of an exponential not at all",
        [
            &["(log (div (exp ?a:T[n]) (add (exp ?b:T[n]) 1)))"],
            &["f32 (log (div ?a (exp ?b)))"],
        ],
    ),
    guarded(
        "log-of-product",
        Algebra,
        (Types::Float, "(log (mul ?a ?b))", "(add (log ?a) (log ?b))"),
        &[("a", Known::NOT_NEGATIVE), ("b", Known::NOT_NEGATIVE)],
        "the logarithm of a repeated factor is taken once, and that of an exponential not at all",
        [
            &["(log (mul (exp ?a:T[n]) (add (exp ?b:T[n]) 1)))"],
            &["f32 (log (mul ?a ?b))"],
        ],
    ),
    guarded(
        "log-add-negs",
        Algebra,
        (Types::Float, "(add (log ?a) (log ?b))", "(log (mul ?a ?b))"),
        &[("a", Known::NOT_NEGATIVE), ("b", Known::NOT_NEGATIVE)],
        "one logarithm instead of two",
        [
            &["(add (log (add (exp ?a:T[n]) 1)) (log (add (exp ?b:T[n]) 1)))"],
            &["f32 (add (log ?a) (log ?b))"],
        ],
    ),
    equal(
        "exp-product",
        Algebra,
        (Types::Float, "(mul (exp ?a) (exp ?b))", "(exp (add ?a ?b))"),
        "one exponential instead of two",
        "f32 (add (exp ?a) (exp ?b))",
    ),
    equal(
        "exp-quotient",
        Algebra,
        (
            Types::Float,
            "(div (exp ?a) (exp ?b))",
            "(exp (add ?a (neg ?b)))",
        ),
        "one exponential and no quotient instead of two and one",
        "f32 (div (exp ?a) (expm1 ?b))",
    ),
    equal(
        "exp-reciprocal",
        Algebra,
        (Types::Float, "(div 1 (exp ?a))", "(exp (neg ?a))"),
        "an exponential with the other sign instead of a quotient",
        "f32 (div 2 (exp ?a))",
    ),
    equal(
        "log1p",
        Algebra,
        (Types::Float, "(log (add ?a 1))", "(log1p ?a)"),
        "the definition of the function that is accurate near 0",
        "f32 (log (add ?a 2))",
    ),
    equal(
        "expm1",
        Algebra,
        (Types::Float, "(add (exp ?a) -1)", "(expm1 ?a)"),
        "the definition of the function that is accurate near 0",
        "f32 (add (exp ?a) 1)",
    ),
    equal(
        "expm1-minus",
        Algebra,
        (Types::Float, "(add (expm1 ?a) 1)", "(exp ?a)"),
        "the definition the other way round",
        "f32 (add (expm1 ?a) 2)",
    ),
    equal(
        "tanh",
        Algebra,
        (
            Types::Float,
            "(div (add (exp ?a) (neg (exp (neg ?a)))) (add (exp ?a) (exp (neg ?a))))",
            "(tanh ?a)",
        ),
        "the definition of the function, which does not overflow",
        "f32 (div (add (exp ?a) (neg (exp (neg ?b)))) (add (exp ?a) (exp (neg ?a))))",
    ),
    equal(
        "tanh-doubled",
        Algebra,
        (
            Types::Float,
            "(div (add (exp (mul ?a 2)) -1) (add (exp (mul ?a 2)) 1))",
            "(tanh ?a)",
        ),
        "another definition of the function, which does not overflow",
        "f32 (div (add (exp (mul ?a 3)) -1) (add (exp (mul ?a 3)) 1))",
    ),
    equal(
        "sin-cos",
        Algebra,
        (
            Types::Float,
            "(add (mul (sin ?a) (sin ?a)) (mul (cos ?a) (cos ?a)))",
            "1",
        ),
        "the theorem of Pythagoras",
        "f32 (add (mul (sin ?a) (sin ?a)) (mul (cos ?b) (cos ?b)))",
    ),
    equal(
        "sqrt-square",
        Algebra,
        (Types::Float, "(sqrt (mul ?a ?a))", "(abs ?a)"),
        "the root of a square, where that neither over- nor underflows",
        "f32 (sqrt (mul ?a ?b))",
    ),
    guarded(
        "square-sqrt",
        Algebra,
        (Types::Float, "(mul (sqrt ?a) (sqrt ?a))", "?a"),
        &[("a", Known::NOT_NEGATIVE)],
        "the square of a root",
        [
            &["(mul (sqrt (exp ?a:T[n])) (sqrt (exp ?a)))"],
            &["f32 (mul (sqrt ?a) (sqrt ?a))"],
        ],
    ),
    guarded(
        "sqrt-quotient",
        Algebra,
        (Types::Float, "(div ?a (sqrt ?a))", "(sqrt ?a)"),
        &[("a", Known::POSITIVE)],
        "a number over its root is its root",
        [
            &["(div (add (exp ?a:T[n]) 1) (sqrt (add (exp ?a) 1)))"],
            &["f32 (div (exp ?a) (sqrt (exp ?a)))"],
        ],
    ),
    equal(
        "pow-half",
        Approx,
        (Types::Float, "(pow ?a 0.5)", "(sqrt ?a)"),
        "a root is far cheaper than a power; negative infinity is the one that differs",
        "f32 (pow ?a 0.25)",
    ),
    equal(
        "pow-reciprocal",
        Order,
        (Types::Float, "(pow ?a -1)", "(div 1 ?a)"),
        "a quotient is correctly rounded and cheaper than a power",
        "f32 (pow ?a -3)",
    ),
    equal(
        "pow-cube",
        Algebra,
        (Types::Float, "(pow ?a 3)", "(mul ?a (mul ?a ?a))"),
        "two products are cheaper than a power",
        "f32 (pow ?a 2.5)",
    ),
    equal(
        "pow-fourth",
        Algebra,
        (Types::Float, "(pow ?a 4)", "(mul (mul ?a ?a) (mul ?a ?a))"),
        "two products are cheaper than a power",
        "f32 (pow ?a 4.5)",
    ),
    equal(
        "mul-tower",
        Algebra,
        (
            Types::Float,
            "(mul (mul (mul ?a ?a) ?a) ?a)",
            "(mul (mul ?a ?a) (mul ?a ?a))",
        ),
        "a fourth power is the square of a square",
        "f32 (mul (mul (mul ?a ?a) ?b) ?a)",
    ),
    equal(
        "abs-select",
        Exact,
        (Types::Int, "(select (lt ?a 0) (neg ?a) ?a)", "(abs ?a)"),
        "the definition of the absolute value",
        "f32 (select (lt ?a 0) (neg ?a) ?a)",
    ),
    equal(
        "abs-select-float",
        Algebra,
        (Types::Float, "(select (lt ?a 0) (neg ?a) ?a)", "(abs ?a)"),
        "the definition of the absolute value, but for the sign of 0",
        "f32 (select (lt ?a 1) (neg ?a) ?a)",
    ),
    equal(
        "abs-max",
        Order,
        (Types::Float, "(max ?a (neg ?a))", "(abs ?a)"),
        "the larger of a number and its opposite, but for the sign of 0",
        "f32 (max ?a (neg ?b))",
    ),
];
