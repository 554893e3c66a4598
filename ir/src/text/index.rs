//! Index expressions as text: `o0*64 + i0*(1 + n) + mod(v3 + i1, 7) - 2*n`.
//!
//! Loop variables are `o0` (outer) and `i0` (inner), values `v0`; a factor behind `*` is a size, a sum of
//! sizes in parentheses. The reader keeps the structure as it is written and simplifies nothing
//! but sums and products of sizes.

use super::lex::{Cursor, Position, TokenKind};
use super::size::{
    Function, Measured, eat_sign, read_integer, read_second, read_sum, read_unnamed_factor,
};
use crate::kernel::merge_terms;
use crate::{IndexAtom, IndexExpr, IndexTerm, TextError, ValueId, Var};
use smallvec::SmallVec;
use std::fmt;

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Var::Outer(n) => write!(f, "o{n}"),
            Var::Inner(n) => write!(f, "i{n}"),
        }
    }
}

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Display for IndexAtom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IndexAtom::Var(v) => v.fmt(f),
            IndexAtom::Value(v) => v.fmt(f),
            IndexAtom::FloorDiv(a, b) => write!(f, "floordiv({a}, {b})"),
            IndexAtom::Mod(a, b) => write!(f, "mod({a}, {b})"),
        }
    }
}

impl fmt::Display for IndexExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, t) in self.terms.iter().enumerate() {
            // Sums, and the number whose sign cannot be taken off, stand in parentheses.
            let terms = t.coefficient.terms();
            let many = terms.len() > 1 || terms.iter().any(|t| t.coefficient == i64::MIN);
            let factor = t.coefficient.to_string();
            // A single term prints its sign first.
            let (sign, factor) = match factor.strip_prefix('-').filter(|_| !many) {
                Some(rest) => ("-", rest),
                None => ("+", &*factor),
            };
            write_sign(f, i == 0, sign)?;
            match (factor, many) {
                ("1", _) => write!(f, "{}", t.atom)?,
                (_, false) => write!(f, "{}*{factor}", t.atom)?,
                (_, true) => write!(f, "{}*({factor})", t.atom)?,
            }
        }
        if self.terms.is_empty() || !self.constant.is(0) {
            let constant = self.constant.to_string();
            let (sign, rest) = match constant.strip_prefix('-') {
                Some(rest) => ("-", rest),
                None => ("+", &*constant),
            };
            write_sign(f, self.terms.is_empty(), sign)?;
            f.write_str(rest)?;
        }
        Ok(())
    }
}

fn write_sign(f: &mut fmt::Formatter<'_>, first: bool, sign: &str) -> fmt::Result {
    match (first, sign) {
        (true, "-") => f.write_str("-"),
        (true, _) => Ok(()),
        (false, sign) => write!(f, " {sign} "),
    }
}

/// Reads an index expression.
pub(crate) fn read_index(cursor: &mut Cursor<'_>) -> Result<IndexExpr, TextError> {
    let (terms, constant) = read_terms(cursor)?.into_parts()?;
    Ok(IndexExpr {
        terms,
        constant: constant.dim,
    })
}

type Terms = SmallVec<[IndexTerm; 3]>;

/// A sum as it is read.
struct Sum {
    at: Position,
    terms: Terms,
    constant: Measured,
}

impl Sum {
    fn into_parts(self) -> Result<(Terms, Measured), TextError> {
        let terms = merge_terms(self.terms).map_err(|e| self.at.error(e.to_string()))?;
        Ok((terms, self.constant))
    }
}

fn read_terms(cursor: &mut Cursor<'_>) -> Result<Sum, TextError> {
    let at = cursor.peek().at;
    let mut sum = Sum {
        at,
        terms: Terms::new(),
        constant: Measured::number(0),
    };
    let mut negative = cursor.eat("-");
    loop {
        let product = read_product(cursor, negative)?;
        match product.atom {
            Some(atom) => sum.terms.push(IndexTerm {
                atom,
                coefficient: product.factor.dim,
            }),
            None if sum.constant.dim.is(0) => sum.constant = product.factor,
            None => sum.constant = sum.constant.add(at, &product.factor)?,
        }
        match eat_sign(cursor) {
            Some(sign) => negative = sign,
            None => return Ok(sum),
        }
    }
}

/// A product as it is read: at most one atom, and sizes.
struct Product {
    atom: Option<IndexAtom>,
    factor: Measured,
}

fn read_product(cursor: &mut Cursor<'_>, negative: bool) -> Result<Product, TextError> {
    let at = cursor.peek().at;
    // The sign belongs to a number that comes first: the lowest one has no positive counterpart.
    let mut product = if negative && cursor.peek().kind == TokenKind::Number {
        Product {
            atom: None,
            factor: Measured::number(read_integer(cursor, true)?),
        }
    } else {
        let mut first = read_factor(cursor)?;
        if negative {
            first.factor = Measured::number(-1).mul(at, &first.factor)?;
        }
        first
    };
    while cursor.eat("*") {
        let factor_at = cursor.peek().at;
        let next = read_factor(cursor)?;
        if product.atom.is_some() && next.atom.is_some() {
            let message = "a product has one loop variable or value at most";
            return Err(factor_at.error(message));
        }
        product.atom = product.atom.or(next.atom);
        product.factor = product.factor.mul(at, &next.factor)?;
    }
    Ok(product)
}

fn read_factor(cursor: &mut Cursor<'_>) -> Result<Product, TextError> {
    let token = cursor.peek();
    let size = |factor| Product { atom: None, factor };
    if cursor.eat("(") {
        let sum = read_sum(cursor)?;
        cursor.expect(")")?;
        return Ok(size(sum));
    }
    if token.kind != TokenKind::Word {
        return read_unnamed_factor(cursor).map(size);
    }
    cursor.advance();
    if cursor.eat("(") {
        let function = Function::named(token)?;
        return cursor.nested(|c| read_call(c, token.at, function));
    }
    Ok(match variable(token.text) {
        Some(atom) => varying(atom),
        None => size(Measured::symbol(token.text)),
    })
}

fn varying(atom: IndexAtom) -> Product {
    Product {
        atom: Some(atom),
        factor: Measured::number(1),
    }
}

/// A function whose first operand depends on a loop is part of the index, else it is a size.
fn read_call(
    cursor: &mut Cursor<'_>,
    at: Position,
    function: Function,
) -> Result<Product, TextError> {
    let (terms, constant) = read_terms(cursor)?.into_parts()?;
    if terms.is_empty() {
        let factor = read_second(cursor, at, function, &constant)?;
        return Ok(Product { atom: None, factor });
    }
    let atom = match function {
        Function::FloorDiv => IndexAtom::FloorDiv,
        Function::Mod => IndexAtom::Mod,
        Function::Min | Function::Max => {
            let message = "`min` and `max` take sizes, not loop variables or values";
            return Err(at.error(message));
        }
    };
    cursor.expect(",")?;
    let divisor = read_sum(cursor)?.dim;
    cursor.expect(")")?;
    let dividend = IndexExpr {
        terms,
        constant: constant.dim,
    };
    Ok(varying(atom(Box::new(dividend), divisor)))
}

fn variable(word: &str) -> Option<IndexAtom> {
    let numbered = |prefix: char| numbered(word, prefix);
    let outer = numbered('o').map(|n| IndexAtom::Var(Var::Outer(n)));
    let inner = || numbered('i').map(|n| IndexAtom::Var(Var::Inner(n)));
    let value = || numbered('v').map(|n| IndexAtom::Value(ValueId(n)));
    outer.or_else(inner).or_else(value)
}

/// The number in a name like `o12`, written the only way there is.
pub(crate) fn numbered(word: &str, prefix: char) -> Option<u32> {
    let digits = word.strip_prefix(prefix)?;
    let number: u32 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}
