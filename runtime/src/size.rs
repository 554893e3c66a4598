//! Evaluation of size expressions: checked, without allocation, constants at once.

use crate::{Size, SizeOp};
use std::fmt;

/// How many intermediate values an expression may hold at a time.
pub const MAX_DEPTH: usize = 64;

/// Why a size has no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SizeError {
    /// A number outside of i64.
    Overflow,
    /// Division by zero.
    DivideByZero,
    /// A symbol with this number is not bound.
    Unbound(u32),
    /// Not a postfix expression with one value, or one that needs more than [`MAX_DEPTH`] values.
    Malformed,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SizeError::Overflow => f.write_str("size overflows"),
            SizeError::DivideByZero => f.write_str("size divides by zero"),
            SizeError::Unbound(n) => write!(f, "size number {n} is not bound"),
            SizeError::Malformed => f.write_str("malformed size expression"),
        }
    }
}

impl std::error::Error for SizeError {}

impl Size {
    /// The expression for a number.
    pub fn constant(value: i64) -> Size {
        Size(vec![SizeOp::Const(value)])
    }

    /// The expression for symbol number `n`.
    pub fn symbol(n: u32) -> Size {
        Size(vec![SizeOp::Symbol(n)])
    }

    /// The number, if the expression is one.
    pub fn as_constant(&self) -> Option<i64> {
        match self.0[..] {
            [SizeOp::Const(value)] => Some(value),
            _ => None,
        }
    }

    /// The value where symbol `n` is `symbols[n]`.
    ///
    /// # Errors
    /// When the expression has no value.
    pub fn eval(&self, symbols: &[i64]) -> Result<i64, SizeError> {
        let symbol = |n: u32| {
            let value = symbols.get(n as usize).copied();
            value.ok_or(SizeError::Unbound(n))
        };
        match self.0[..] {
            [SizeOp::Const(value)] => return Ok(value),
            [SizeOp::Symbol(n)] => return symbol(n),
            _ => {}
        }
        let mut stack = [0i64; MAX_DEPTH];
        let mut depth = 0;
        for op in &self.0 {
            let value = match *op {
                SizeOp::Const(value) => value,
                SizeOp::Symbol(n) => symbol(n)?,
                _ => {
                    depth = depth_below(depth)?;
                    apply(*op, stack[depth], stack[depth + 1])?
                }
            };
            *stack.get_mut(depth).ok_or(SizeError::Malformed)? = value;
            depth += 1;
        }
        match depth {
            1 => Ok(stack[0]),
            _ => Err(SizeError::Malformed),
        }
    }

    /// The expression as a person writes it, with names for the symbols.
    pub fn text(&self, symbols: &[String]) -> String {
        // What is not an expression is shown as far as it goes.
        let mut stack: Vec<String> = Vec::new();
        for op in &self.0 {
            let sign = match *op {
                SizeOp::Const(value) => {
                    stack.push(value.to_string());
                    continue;
                }
                SizeOp::Symbol(n) => {
                    let name = symbols.get(n as usize).cloned();
                    stack.push(name.unwrap_or_else(|| format!("?{n}")));
                    continue;
                }
                SizeOp::Add => "+",
                SizeOp::Sub => "-",
                SizeOp::Mul => "*",
                SizeOp::FloorDiv => "/",
                SizeOp::Mod => "%",
                SizeOp::Min => "min",
                SizeOp::Max => "max",
            };
            let (right, left) = (stack.pop(), stack.pop());
            let [left, right] = [left, right].map(Option::unwrap_or_default);
            stack.push(match op {
                SizeOp::Mul => format!("{left}*{right}"),
                _ => format!("({left} {sign} {right})"),
            });
        }
        stack.pop().unwrap_or_default()
    }

    /// Checks that the expression is well formed and uses only symbols below `symbols`; then
    /// evaluation fails for overflow and division by zero only.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, symbols: usize) -> Result<(), SizeError> {
        let mut depth = 0;
        for op in &self.0 {
            match *op {
                SizeOp::Const(_) => {}
                SizeOp::Symbol(n) if (n as usize) < symbols => {}
                SizeOp::Symbol(n) => return Err(SizeError::Unbound(n)),
                _ => depth = depth_below(depth)?,
            }
            depth += 1;
            if depth > MAX_DEPTH {
                return Err(SizeError::Malformed);
            }
        }
        match depth {
            1 => Ok(()),
            _ => Err(SizeError::Malformed),
        }
    }
}

/// The stack without the two operands of a binary operation.
fn depth_below(depth: usize) -> Result<usize, SizeError> {
    depth.checked_sub(2).ok_or(SizeError::Malformed)
}

fn apply(op: SizeOp, a: i64, b: i64) -> Result<i64, SizeError> {
    let floor_div = || {
        let quotient = a.checked_div(b)?;
        let inexact = quotient.wrapping_mul(b) != a;
        Some(quotient - i64::from(inexact && (a < 0) != (b < 0)))
    };
    let value = match op {
        SizeOp::Const(_) | SizeOp::Symbol(_) => return Err(SizeError::Malformed),
        SizeOp::FloorDiv | SizeOp::Mod if b == 0 => return Err(SizeError::DivideByZero),
        SizeOp::Add => a.checked_add(b),
        SizeOp::Sub => a.checked_sub(b),
        SizeOp::Mul => a.checked_mul(b),
        SizeOp::FloorDiv => floor_div(),
        // The remainder is a number even where the quotient (MIN / -1) or the product is not.
        SizeOp::Mod => Some(floor_div().map_or(0, |q| a.wrapping_sub(q.wrapping_mul(b)))),
        SizeOp::Min => Some(a.min(b)),
        SizeOp::Max => Some(a.max(b)),
    };
    value.ok_or(SizeError::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use SizeOp::{Add, Const, FloorDiv, Max, Min, Mod, Mul, Sub, Symbol};

    fn eval(ops: &[SizeOp], symbols: &[i64]) -> Result<i64, SizeError> {
        let size = Size(ops.to_vec());
        let value = size.eval(symbols);
        let flawed = matches!(value, Err(SizeError::Malformed | SizeError::Unbound(_)));
        assert_eq!(size.check(symbols.len()).is_err(), flawed);
        value
    }

    #[test]
    fn expressions_have_values() {
        assert_eq!(eval(&[Const(7)], &[]), Ok(7));
        assert_eq!(eval(&[Symbol(1)], &[3, 4]), Ok(4));
        let ops = [Symbol(0), Const(2), Mul, Symbol(1), Sub];
        assert_eq!(eval(&ops, &[5, 4]), Ok(6));
        assert_eq!(eval(&[Const(2), Symbol(0), Min], &[9]), Ok(2));
        assert_eq!(eval(&[Const(2), Symbol(0), Max], &[9]), Ok(9));
    }

    #[test]
    fn division_rounds_down() {
        for (a, b) in [(7, 2), (-7, 2), (7, -2), (-7, -2), (6, -3), (0, 5)] {
            let exact = (a as f64 / b as f64).floor() as i64;
            assert_eq!(eval(&[Const(a), Const(b), FloorDiv], &[]), Ok(exact));
            assert_eq!(eval(&[Const(a), Const(b), Mod], &[]), Ok(a - b * exact));
        }
        let min = Const(i64::MIN);
        assert_eq!(
            eval(&[min, Const(-1), FloorDiv], &[]),
            Err(SizeError::Overflow)
        );
        assert_eq!(eval(&[min, Const(-1), Mod], &[]), Ok(0));
        assert_eq!(eval(&[min, Const(3), Mod], &[]), Ok(1));
    }

    #[test]
    fn expressions_are_shown_in_infix() {
        let names = ["batch".to_string()];
        let text = |ops: &[SizeOp]| Size(ops.to_vec()).text(&names);
        assert_eq!(text(&[Symbol(0)]), "batch");
        assert_eq!(
            text(&[Const(2), Symbol(0), Mul, Const(1), Add]),
            "(2*batch + 1)"
        );
        assert_eq!(text(&[Symbol(0), Symbol(7), Min]), "(batch min ?7)");
        assert_eq!(text(&[Add]), "( + )");
    }

    #[test]
    fn flaws_are_errors() {
        assert_eq!(eval(&[], &[]), Err(SizeError::Malformed));
        assert_eq!(eval(&[Const(1), Add], &[]), Err(SizeError::Malformed));
        assert_eq!(eval(&[Const(1), Const(2)], &[]), Err(SizeError::Malformed));
        assert_eq!(eval(&[Symbol(1)], &[0]), Err(SizeError::Unbound(1)));
        let max = Const(i64::MAX);
        assert_eq!(eval(&[max, Const(1), Add], &[]), Err(SizeError::Overflow));
        assert_eq!(
            eval(&[max, Const(0), Mod], &[]),
            Err(SizeError::DivideByZero)
        );
        let deep = |n| {
            let mut ops = vec![Const(1); n];
            ops.extend(vec![Add; n - 1]);
            eval(&ops, &[])
        };
        assert_eq!(deep(MAX_DEPTH), Ok(MAX_DEPTH as i64));
        assert_eq!(deep(MAX_DEPTH + 1), Err(SizeError::Malformed));
    }
}
