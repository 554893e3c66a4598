//! Symbolic sizes as text: what `Display` of [`Dim`] writes is read back to an equal dim.

use super::lex::{Cursor, Position, Token, TokenKind};
use super::quote::read_quoted;
use crate::{Dim, DimOverflow, TextError};

/// Bound on the written-out length of a size (every number and symbol counts one), products
/// multiplied out. Without it a short text could stand for a polynomial that fills the memory.
const MAX_LENGTH: usize = 1024;

/// A dim and a bound on its written-out length.
pub(crate) struct Measured {
    pub dim: Dim,
    length: usize,
}

impl Measured {
    pub fn number(value: i64) -> Measured {
        Measured {
            dim: Dim::constant(value),
            length: 1,
        }
    }

    pub fn symbol(name: &str) -> Measured {
        Measured {
            dim: Dim::symbol(name),
            length: 1,
        }
    }

    fn checked(
        at: Position,
        length: usize,
        dim: impl FnOnce() -> Result<Dim, DimOverflow>,
    ) -> Result<Measured, TextError> {
        if length > MAX_LENGTH {
            let message = format!("a size is longer than {MAX_LENGTH} numbers and symbols");
            return Err(at.error(message));
        }
        let dim = dim().map_err(|e| at.error(e.to_string()))?;
        Ok(Measured { dim, length })
    }

    pub fn add(&self, at: Position, other: &Measured) -> Result<Measured, TextError> {
        let length = self.length + other.length;
        Measured::checked(at, length, || self.dim.add(&other.dim))
    }

    pub fn mul(&self, at: Position, other: &Measured) -> Result<Measured, TextError> {
        let terms = |m: &Measured| m.dim.terms().len().max(1);
        let length = match (self.dim.as_const(), other.dim.as_const()) {
            (Some(_), _) => other.length + 1,
            (_, Some(_)) => self.length + 1,
            _ => self.length * terms(other) + other.length * terms(self),
        };
        Measured::checked(at, length, || self.dim.mul(&other.dim))
    }
}

/// Reads a sum of products of numbers, symbols, and `floordiv`, `mod`, `min` and `max` of sums.
pub(crate) fn read_dim(cursor: &mut Cursor<'_>) -> Result<Dim, TextError> {
    Ok(read_sum(cursor)?.dim)
}

pub(crate) fn read_sum(cursor: &mut Cursor<'_>) -> Result<Measured, TextError> {
    let at = cursor.peek().at;
    let negative = cursor.eat("-");
    let mut sum = read_product(cursor, negative)?;
    while let Some(negative) = eat_sign(cursor) {
        sum = sum.add(at, &read_product(cursor, negative)?)?;
    }
    Ok(sum)
}

/// Takes the sign of a further term, if one comes next: true for minus.
pub(crate) fn eat_sign(cursor: &mut Cursor<'_>) -> Option<bool> {
    if cursor.eat("+") {
        Some(false)
    } else if cursor.eat("-") {
        Some(true)
    } else {
        None
    }
}

fn read_product(cursor: &mut Cursor<'_>, negative: bool) -> Result<Measured, TextError> {
    let at = cursor.peek().at;
    let mut product = if cursor.peek().kind == TokenKind::Number {
        // The sign belongs to the number: the lowest one has no positive counterpart.
        Measured::number(read_integer(cursor, negative)?)
    } else if negative {
        Measured::number(-1).mul(at, &read_factor(cursor)?)?
    } else {
        read_factor(cursor)?
    };
    while cursor.eat("*") {
        product = product.mul(at, &read_factor(cursor)?)?;
    }
    Ok(product)
}

fn read_factor(cursor: &mut Cursor<'_>) -> Result<Measured, TextError> {
    let token = cursor.peek();
    if token.kind != TokenKind::Word {
        return read_unnamed_factor(cursor);
    }
    cursor.advance();
    if !cursor.eat("(") {
        return Ok(Measured::symbol(token.text));
    }
    let function = Function::named(token)?;
    cursor.nested(|c| {
        let first = read_sum(c)?;
        read_second(c, token.at, function, &first)
    })
}

/// Reads a number or a symbol in quotes.
pub(crate) fn read_unnamed_factor(cursor: &mut Cursor<'_>) -> Result<Measured, TextError> {
    match cursor.peek().kind {
        TokenKind::Number => Ok(Measured::number(read_integer(cursor, false)?)),
        TokenKind::Quoted => Ok(Measured::symbol(&read_quoted(cursor, "a size")?)),
        _ => Err(cursor.expected("a size")),
    }
}

/// Functions of two sizes.
#[derive(Clone, Copy)]
pub(crate) enum Function {
    FloorDiv,
    Mod,
    Min,
    Max,
}

impl Function {
    /// The function called by this word.
    pub fn named(word: Token<'_>) -> Result<Function, TextError> {
        match word.text {
            "floordiv" => Ok(Function::FloorDiv),
            "mod" => Ok(Function::Mod),
            "min" => Ok(Function::Min),
            "max" => Ok(Function::Max),
            other => {
                let known = "`floordiv`, `mod`, `min` or `max`";
                let message = format!("expected {known} before `(`, found `{other}`");
                Err(word.at.error(message))
            }
        }
    }
}

/// Reads the second operand of a function at `at` and the closing parenthesis, and applies it.
pub(crate) fn read_second(
    cursor: &mut Cursor<'_>,
    at: Position,
    function: Function,
    a: &Measured,
) -> Result<Measured, TextError> {
    cursor.expect(",")?;
    let b = read_sum(cursor)?;
    cursor.expect(")")?;
    Measured::checked(at, a.length + b.length, || match function {
        Function::FloorDiv => a.dim.floor_div(&b.dim),
        Function::Mod => a.dim.modulo(&b.dim),
        Function::Min => Ok(a.dim.minimum(&b.dim)),
        Function::Max => Ok(a.dim.maximum(&b.dim)),
    })
}

/// Reads a whole number, negated if `negative`; the sign itself has been taken.
pub(crate) fn read_integer(cursor: &mut Cursor<'_>, negative: bool) -> Result<i64, TextError> {
    let at = cursor.peek().at;
    let magnitude = i128::from(cursor.natural::<u64>("a whole number")?);
    let value = if negative { -magnitude } else { magnitude };
    i64::try_from(value).map_err(|_| at.error(format!("{value} does not fit 64 bits")))
}
