//! Symbolic sizes as text: what `Display` of [`Dim`] writes is read back to an equal dim.

use super::lex::{Cursor, Kind, Position};
use super::quote::read_quoted;
use crate::{Dim, DimOverflow, TextError};

/// Bound on the written-out length of a size (every number and symbol counts one), products
/// multiplied out. Without it a short text could stand for a polynomial that fills the memory.
const MAX_LENGTH: usize = 1024;

/// A dim and a bound on its written-out length.
struct Measured {
    dim: Dim,
    length: usize,
}

/// Reads a sum of products of numbers, symbols, and `floordiv`, `mod`, `min` and `max` of sums.
pub(crate) fn read_dim(cursor: &mut Cursor<'_>) -> Result<Dim, TextError> {
    Ok(read_sum(cursor)?.dim)
}

fn read_sum(cursor: &mut Cursor<'_>) -> Result<Measured, TextError> {
    let at = cursor.peek().at;
    let negative = cursor.eat("-");
    let mut sum = read_product(cursor, negative)?;
    loop {
        let negative = match cursor.peek() {
            t if t.is(Kind::Mark, "+") => false,
            t if t.is(Kind::Mark, "-") => true,
            _ => return Ok(sum),
        };
        cursor.advance();
        let term = read_product(cursor, negative)?;
        let length = sum.length + term.length;
        sum = measured(at, sum.dim.add(&term.dim), length)?;
    }
}

fn read_product(cursor: &mut Cursor<'_>, negative: bool) -> Result<Measured, TextError> {
    let at = cursor.peek().at;
    // The sign belongs to the number: the lowest one has no positive counterpart.
    let mut product = if cursor.peek().kind == Kind::Number {
        number(read_integer(cursor, negative)?)
    } else {
        let mut factor = read_factor(cursor)?;
        if negative {
            factor = measured(at, factor.dim.mul(&Dim::constant(-1)), factor.length)?;
        }
        factor
    };
    while cursor.eat("*") {
        let factor = read_factor(cursor)?;
        let terms = |d: &Dim| d.terms().len().max(1);
        let length = product.length.saturating_mul(terms(&factor.dim))
            + factor.length.saturating_mul(terms(&product.dim));
        too_long(at, length)?;
        product = measured(at, product.dim.mul(&factor.dim), length)?;
    }
    Ok(product)
}

fn read_factor(cursor: &mut Cursor<'_>) -> Result<Measured, TextError> {
    let token = cursor.peek();
    match token.kind {
        Kind::Number => Ok(number(read_integer(cursor, false)?)),
        Kind::Quoted => Ok(symbol(&read_quoted(cursor, "a size")?)),
        Kind::Word => {
            cursor.advance();
            if cursor.eat("(") {
                cursor.nested(|c| read_call(c, token.text, token.at))
            } else {
                Ok(symbol(token.text))
            }
        }
        _ => Err(cursor.expected("a size")),
    }
}

/// Reads the operands of a function of two sizes, behind the opening parenthesis.
fn read_call(cursor: &mut Cursor<'_>, function: &str, at: Position) -> Result<Measured, TextError> {
    let apply: fn(&Dim, &Dim) -> Result<Dim, DimOverflow> = match function {
        "floordiv" => Dim::floor_div,
        "mod" => Dim::modulo,
        "min" => |a, b| Ok(a.minimum(b)),
        "max" => |a, b| Ok(a.maximum(b)),
        _ => {
            let known = "`floordiv`, `mod`, `min` or `max`";
            return Err(at.error(format!("expected {known} before `(`, found `{function}`")));
        }
    };
    let a = read_sum(cursor)?;
    cursor.expect(",")?;
    let b = read_sum(cursor)?;
    cursor.expect(")")?;
    too_long(at, a.length + b.length)?;
    measured(at, apply(&a.dim, &b.dim), a.length + b.length)
}

/// Reads a whole number, negated if `negative`; the sign itself has been taken.
pub(crate) fn read_integer(cursor: &mut Cursor<'_>, negative: bool) -> Result<i64, TextError> {
    let at = cursor.peek().at;
    let magnitude = i128::from(cursor.natural::<u64>("a whole number")?);
    let value = if negative { -magnitude } else { magnitude };
    i64::try_from(value).map_err(|_| at.error(format!("{value} does not fit 64 bits")))
}

fn number(value: i64) -> Measured {
    Measured {
        dim: Dim::constant(value),
        length: 1,
    }
}

fn symbol(name: &str) -> Measured {
    Measured {
        dim: Dim::symbol(name),
        length: 1,
    }
}

fn measured(
    at: Position,
    dim: Result<Dim, DimOverflow>,
    length: usize,
) -> Result<Measured, TextError> {
    too_long(at, length)?;
    let dim = dim.map_err(|e| at.error(e.to_string()))?;
    Ok(Measured { dim, length })
}

fn too_long(at: Position, length: usize) -> Result<(), TextError> {
    if length <= MAX_LENGTH {
        return Ok(());
    }
    Err(at.error(format!(
        "a size is longer than {MAX_LENGTH} numbers and symbols"
    )))
}
