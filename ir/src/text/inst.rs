//! Reading the instructions of a kernel; [`InstOp`]'s `Display` writes them.

use super::index::{numbered, read_index};
use super::kernel::read_reference;
use super::lex::{Cursor, Token, TokenKind};
use super::number::read_scalar;
use super::size::read_dim;
use crate::{
    Binary, BufferRef, Combine, IndexExpr, InstOp, LocalRef, Predicate, TextError, Unary, ValueId,
};

/// Reads what stands behind the mnemonic.
pub(crate) fn read_op(cursor: &mut Cursor<'_>, mnemonic: Token<'_>) -> Result<InstOp, TextError> {
    let name = mnemonic.text;
    if let Some(function) = Unary::from_name(name) {
        return Ok(InstOp::Unary(function, value(cursor)?));
    }
    if let Some(function) = Binary::from_name(name) {
        let [a, b] = values(cursor)?;
        return Ok(InstOp::Binary(function, a, b));
    }
    if let Some(predicate) = Predicate::from_name(name) {
        let [a, b] = values(cursor)?;
        return Ok(InstOp::Compare(predicate, a, b));
    }
    match name {
        "const" => read_scalar(cursor).map(InstOp::Const),
        "index" => read_index(cursor).map(InstOp::Index),
        "in_range" => in_range(cursor),
        "load" => load(cursor),
        "store" => store(cursor),
        "select" => values(cursor).map(|[c, a, b]| InstOp::Select(c, a, b)),
        "cast" => value(cursor).map(InstOp::Cast),
        "bitcast" => value(cursor).map(InstOp::Bitcast),
        "random" => values(cursor).map(|[seed, stream, element]| InstOp::Random {
            seed,
            stream,
            element,
        }),
        "check_index" => check_index(cursor),
        "check_divisor" => {
            let value = value(cursor)?;
            let fault = fault(cursor)?;
            Ok(InstOp::CheckDivisor { value, fault })
        }
        "accumulate" => {
            let combine = combine(cursor)?;
            Ok(InstOp::Accumulate(combine, value(cursor)?))
        }
        _ => {
            let message = format!("expected an instruction, found `{name}`");
            Err(mnemonic.at.error(message))
        }
    }
}

fn value(cursor: &mut Cursor<'_>) -> Result<ValueId, TextError> {
    read_reference(cursor, 'v', "a value (`v0`)").map(ValueId)
}

fn values<const N: usize>(cursor: &mut Cursor<'_>) -> Result<[ValueId; N], TextError> {
    let mut values = [ValueId(0); N];
    for (i, slot) in values.iter_mut().enumerate() {
        if i > 0 {
            cursor.expect(",")?;
        }
        *slot = value(cursor)?;
    }
    Ok(values)
}

fn guard(cursor: &mut Cursor<'_>) -> Result<Option<ValueId>, TextError> {
    if cursor.eat_word("if") {
        value(cursor).map(Some)
    } else {
        Ok(None)
    }
}

fn fault(cursor: &mut Cursor<'_>) -> Result<u32, TextError> {
    cursor.expect_word("fault")?;
    cursor.natural("the number of a fault")
}

fn combine(cursor: &mut Cursor<'_>) -> Result<Combine, TextError> {
    let token = cursor.peek();
    match Combine::from_name(token.text).filter(|_| token.kind == TokenKind::Word) {
        Some(combine) => {
            cursor.advance();
            Ok(combine)
        }
        None => Err(cursor.expected("`sum`, `prod`, `max` or `min`")),
    }
}

fn in_range(cursor: &mut Cursor<'_>) -> Result<InstOp, TextError> {
    let lo = read_dim(cursor)?;
    cursor.expect("<=")?;
    let index = read_index(cursor)?;
    cursor.expect("<")?;
    let hi = read_dim(cursor)?;
    Ok(InstOp::InRange { index, lo, hi })
}

/// Memory that instructions address.
enum Memory {
    Buffer(BufferRef),
    Local(LocalRef),
}

/// Reads `b0[index]` or `l0[index]`.
fn element(cursor: &mut Cursor<'_>) -> Result<(Memory, IndexExpr), TextError> {
    let token = cursor.peek();
    let memory = if let Some(n) = numbered(token.text, 'b') {
        Memory::Buffer(BufferRef(n))
    } else if let Some(n) = numbered(token.text, 'l') {
        Memory::Local(LocalRef(n))
    } else {
        return Err(cursor.expected("a buffer (`b0`) or local (`l0`)"));
    };
    cursor.advance();
    cursor.expect("[")?;
    let index = read_index(cursor)?;
    cursor.expect("]")?;
    Ok((memory, index))
}

fn load(cursor: &mut Cursor<'_>) -> Result<InstOp, TextError> {
    Ok(match element(cursor)? {
        (Memory::Buffer(buffer), index) => InstOp::Load {
            buffer,
            index,
            guard: guard(cursor)?,
        },
        (Memory::Local(local), index) => InstOp::LoadLocal { local, index },
    })
}

fn store(cursor: &mut Cursor<'_>) -> Result<InstOp, TextError> {
    let (memory, index) = element(cursor)?;
    cursor.expect("=")?;
    let stored = value(cursor)?;
    Ok(match memory {
        Memory::Buffer(buffer) => InstOp::Store {
            buffer,
            index,
            value: stored,
            combine: if cursor.eat_word("combine") {
                Some(combine(cursor)?)
            } else {
                None
            },
            guard: guard(cursor)?,
        },
        Memory::Local(local) => InstOp::StoreLocal {
            local,
            index,
            value: stored,
        },
    })
}

fn check_index(cursor: &mut Cursor<'_>) -> Result<InstOp, TextError> {
    let value = value(cursor)?;
    cursor.expect("<")?;
    let bound = read_dim(cursor)?;
    Ok(InstOp::CheckIndex {
        value,
        bound,
        fault: fault(cursor)?,
        guard: guard(cursor)?,
    })
}
