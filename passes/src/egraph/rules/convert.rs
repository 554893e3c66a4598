//! Conversions between element types.

use super::is_splat;
use crate::Numerics::Exact;
use crate::canon::fold::embeds;
use crate::egraph::Rule;
use crate::egraph::rule::{At, Found, code};
use crate::egraph::space::{Space, Tree};
use egg::Id;
use lazulite_ir::{Binary, DType, Op, Unary};

pub(super) const RULES: &[Rule] = &[
    code(
        "narrow-arithmetic",
        Exact,
        (&["cast"], &["cast"]),
        narrow_arithmetic,
        "the low bits of sums and products depend on low bits only",
        [
            &[
                "(cast{dtype=i8} (add (cast{dtype=i32} ?a:i8[n]) (cast{dtype=i32} ?b:i8[n])))",
                "(cast{dtype=u8} (mul (cast{dtype=i32} ?a:u8[n]) 3))",
                "(cast{dtype=i8} (neg (cast{dtype=i32} ?a:i8[n])))",
            ],
            &["(cast{dtype=i8} (div (cast{dtype=i32} ?a:i8[4]) 3))"],
        ],
    ),
    code(
        "narrow-extrema",
        Exact,
        (&["max", "min"], &["cast"]),
        narrow_extrema,
        "a type that holds all values of another has the same larger and smaller ones",
        [
            &[
                "(max (cast{dtype=i32} ?a:i8[n]) (cast{dtype=i32} ?b:i8[n]))",
                "(min (cast{dtype=i32} ?a:u8[n]) (cast{dtype=i32} ?b:u8[n]))",
            ],
            &["(max (cast{dtype=i8} ?a:i32[4]) (cast{dtype=i8} ?b:i32[4]))"],
        ],
    ),
    code(
        "cast-of-select",
        Exact,
        (&["cast"], &["select"]),
        cast_of_select,
        "converted constants are constants, and what is selected may be converted already",
        [
            &[
                "(cast{dtype=i32} (select ?c:bool[n] ?a:T[n] 1))",
                "(cast{dtype=f32} (select ?c:bool[n] 0 ?a:T[n]))",
            ],
            &["(cast{dtype=i32} (select ?c:bool[4] ?a:f32[4] ?b:f32[4]))"],
        ],
    ),
];

/// Of a class, what it is as integers of type `narrow`: what it was converted from, or a constant.
fn narrowed(space: &Space, id: Id, narrow: DType) -> Option<Tree> {
    if let Some(value) = space.splat(id) {
        let value = lazulite_ir::scalar_ops::cast(value, narrow);
        return Some(Tree::Splat(value, space.dims(id).clone()));
    }
    let casts = space
        .terms(id)
        .filter(|(op, _)| matches!(op, Op::Cast { .. }));
    let mut from = casts.map(|(_, x)| x[0]);
    from.find(|&x| space.dtype(x) == narrow).map(Tree::Class)
}

fn narrow_arithmetic(space: &Space, at: &At<'_>, found: &mut Found) {
    let Op::Cast { dtype } = *at.op else { return };
    let wide = space.dtype(at.x[0]);
    if !dtype.is_int() || !wide.is_int() || dtype.size() > wide.size() {
        return;
    }
    for (op, x) in space.terms(at.x[0]) {
        let modular = match op {
            Op::Unary { f } => matches!(f, Unary::Neg),
            Op::Binary { f } => matches!(
                f,
                Binary::Add | Binary::Mul | Binary::And | Binary::Or | Binary::Xor
            ),
            _ => false,
        };
        let some = x.iter().any(|&x| !is_splat(space, x));
        let operands = x.iter().map(|&x| narrowed(space, x, dtype));
        if let Some(operands) = operands.collect::<Option<Vec<_>>>()
            && modular
            && some
        {
            found.equal(at.class, Tree::Op(op.clone(), operands));
        }
    }
}

fn narrow_extrema(space: &Space, at: &At<'_>, found: &mut Found) {
    let wide = space.dtype(at.x[0]);
    for (op, x) in space.terms(at.x[0]) {
        let narrow = x.first().map(|&x| space.dtype(x)).filter(|d| d.is_int());
        let (Op::Cast { .. }, Some(narrow)) = (op, narrow) else {
            continue;
        };
        if !embeds(narrow, wide) || is_splat(space, at.x[1]) {
            continue;
        }
        if let Some(other) = narrowed(space, at.x[1], narrow) {
            let smaller = Tree::Op(at.op.clone(), vec![x[0].into(), other]);
            found.equal(at.class, Tree::op(Op::Cast { dtype: wide }, smaller));
        }
    }
}

fn cast_of_select(space: &Space, at: &At<'_>, found: &mut Found) {
    for (op, x) in space.terms(at.x[0]) {
        if *op != (Op::Select {}) || !(is_splat(space, x[1]) || is_splat(space, x[2])) {
            continue;
        }
        let cast = |id: Id| Tree::op(at.op.clone(), id);
        let taken = vec![x[0].into(), cast(x[1]), cast(x[2])];
        found.equal(at.class, Tree::Op(Op::Select {}, taken));
    }
}
