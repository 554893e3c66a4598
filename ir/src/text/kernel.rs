//! Kernels as text, one instruction per line:
//!
//! ```text
//! kernel(b0: f32 read, b1: f32 write) {
//!   outer o0 < n
//!   lanes inner
//!   local l0: f32[64]
//!   stage i0 < 64 {
//!     v0 = load b0[o0*64 + i0] : f32
//!     v1 = accumulate sum v0 : f32
//!   }
//!   stage {
//!     store b1[o0] = v1
//!   }
//! }
//! ```
//!
//! The numbers of values are positions in [`Kernel::values`]; numbers that no instruction defines are
//! listed as `unused v7: f32` at the end. The reader keeps what is written and leaves it to the
//! verifier whether it makes sense.

use super::index::numbered;
use super::inst::read_op;
use super::lex::{Cursor, Position, Token, TokenKind};
use super::number::read_dtype;
use super::size::read_dim;
use crate::{
    Access, BufferDecl, BufferRef, DType, Dim, Inst, InstOp, Kernel, Lanes, LocalDecl, LocalRef,
    Stage, TextError, ValueId,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::fmt::{self, Write};
use std::str::FromStr;

/// The text of a kernel.
pub fn print_kernel(kernel: &Kernel) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_kernel(&mut text, kernel, "");
    text.push('\n');
    text
}

/// Reads a kernel, which must be all there is.
pub fn parse_kernel(text: &str) -> Result<Kernel, TextError> {
    let mut cursor = Cursor::new(text);
    let kernel = read_kernel(&mut cursor)?;
    cursor.expect_end()?;
    Ok(kernel)
}

/// As [`print_kernel`].
impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_kernel(f, self, "")?;
        f.write_char('\n')
    }
}

/// As [`parse_kernel`].
impl FromStr for Kernel {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Kernel, TextError> {
        parse_kernel(text)
    }
}

impl fmt::Display for BufferRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0)
    }
}

impl fmt::Display for LocalRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "l{}", self.0)
    }
}

impl Access {
    /// The name in text.
    pub fn name(self) -> &'static str {
        match self {
            Access::Read => "read",
            Access::Write => "write",
            Access::ReadWrite => "readwrite",
        }
    }
}

impl Lanes {
    /// The name in text.
    pub fn name(self) -> &'static str {
        match self {
            Lanes::Outer => "outer",
            Lanes::Inner => "inner",
            Lanes::None => "none",
        }
    }
}

/// Writes a kernel, each line but the first behind `indent`, without a line end behind it.
pub(crate) fn write_kernel(out: &mut impl Write, kernel: &Kernel, indent: &str) -> fmt::Result {
    out.write_str("kernel(")?;
    for (i, b) in kernel.buffers.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(out, "{comma}b{i}: {} {}", b.dtype, b.access.name())?;
    }
    out.write_str(") {\n")?;
    if !kernel.outer.is_empty() {
        write!(out, "{indent}  outer")?;
        write_ranges(out, 'o', &kernel.outer)?;
        out.write_char('\n')?;
    }
    writeln!(out, "{indent}  lanes {}", kernel.lanes.name())?;
    for (i, local) in kernel.locals.iter().enumerate() {
        writeln!(out, "{indent}  local l{i}: {}[{}]", local.dtype, local.len)?;
    }
    let mut defined = FxHashSet::default();
    for stage in &kernel.stages {
        write!(out, "{indent}  stage")?;
        write_ranges(out, 'i', &stage.ranges)?;
        out.write_str(if stage.ordered {
            " ordered {\n"
        } else {
            " {\n"
        })?;
        for inst in &stage.insts {
            defined.extend(inst.result);
            writeln!(out, "{indent}    {}", Line { kernel, inst })?;
        }
        writeln!(out, "{indent}  }}")?;
    }
    for (i, dtype) in (0..).zip(&kernel.values) {
        if !defined.contains(&ValueId(i)) {
            writeln!(out, "{indent}  unused v{i}: {dtype}")?;
        }
    }
    write!(out, "{indent}}}")
}

fn write_ranges(out: &mut impl Write, prefix: char, extents: &[Dim]) -> fmt::Result {
    for (i, extent) in extents.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, "{comma} {prefix}{i} < {extent}")?;
    }
    Ok(())
}

/// The line, counted from 0, of `lanes` in the text of a kernel; locals follow.
pub(crate) fn lanes_line(kernel: &Kernel) -> usize {
    1 + usize::from(!kernel.outer.is_empty())
}

/// The line of a stage's head; its instructions follow.
pub(crate) fn stage_line(kernel: &Kernel, stage: usize) -> usize {
    let before = kernel.stages[..stage].iter();
    let before: usize = before.map(|s| s.insts.len() + 2).sum();
    lanes_line(kernel) + 1 + kernel.locals.len() + before
}

struct Line<'a> {
    kernel: &'a Kernel,
    inst: &'a Inst,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(result) = self.inst.result else {
            return self.inst.op.fmt(f);
        };
        write!(f, "{result} = {}", self.inst.op)?;
        match self.kernel.values.get(result.0 as usize) {
            Some(dtype) => write!(f, " : {dtype}"),
            None => f.write_str(" : ?"),
        }
    }
}

/// As in the text of a kernel, without result.
impl fmt::Display for InstOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstOp::Const(value) => write!(f, "const {value}"),
            InstOp::Index(index) => write!(f, "index {index}"),
            InstOp::InRange { index, lo, hi } => write!(f, "in_range {lo} <= {index} < {hi}"),
            InstOp::Load {
                buffer,
                index,
                guard,
            } => {
                write!(f, "load {buffer}[{index}]")?;
                write_guard(f, *guard)
            }
            InstOp::LoadLocal { local, index } => write!(f, "load {local}[{index}]"),
            InstOp::Store {
                buffer,
                index,
                value,
                combine,
                guard,
            } => {
                write!(f, "store {buffer}[{index}] = {value}")?;
                if let Some(combine) = combine {
                    write!(f, " combine {combine}")?;
                }
                write_guard(f, *guard)
            }
            InstOp::StoreLocal {
                local,
                index,
                value,
            } => write!(f, "store {local}[{index}] = {value}"),
            InstOp::Unary(function, a) => write!(f, "{function} {a}"),
            InstOp::Binary(function, a, b) => write!(f, "{function} {a}, {b}"),
            InstOp::Compare(predicate, a, b) => write!(f, "{predicate} {a}, {b}"),
            InstOp::Select(condition, a, b) => write!(f, "select {condition}, {a}, {b}"),
            InstOp::Cast(a) => write!(f, "cast {a}"),
            InstOp::Bitcast(a) => write!(f, "bitcast {a}"),
            InstOp::Random {
                seed,
                stream,
                element,
            } => write!(f, "random {seed}, {stream}, {element}"),
            InstOp::CheckIndex {
                value,
                bound,
                fault,
                guard,
            } => {
                write!(f, "check_index {value} < {bound} fault {fault}")?;
                write_guard(f, *guard)
            }
            InstOp::CheckDivisor { value, fault } => {
                write!(f, "check_divisor {value} fault {fault}")
            }
            InstOp::Accumulate(combine, a) => write!(f, "accumulate {combine} {a}"),
        }
    }
}

fn write_guard(f: &mut fmt::Formatter<'_>, guard: Option<ValueId>) -> fmt::Result {
    match guard {
        Some(guard) => write!(f, " if {guard}"),
        None => Ok(()),
    }
}

fn read_kernel(cursor: &mut Cursor<'_>) -> Result<Kernel, TextError> {
    cursor.expect_word("kernel")?;
    cursor.expect("(")?;
    let mut buffers = Vec::new();
    while !cursor.eat(")") {
        if !buffers.is_empty() && !cursor.eat(",") {
            return Err(cursor.expected("`,` or `)`"));
        }
        expect_next(cursor, 'b', buffers.len())?;
        cursor.expect(":")?;
        let dtype = read_dtype(cursor)?;
        let access = [Access::Read, Access::Write, Access::ReadWrite];
        let access = read_name(
            cursor,
            &access,
            Access::name,
            "`read`, `write` or `readwrite`",
        )?;
        buffers.push(BufferDecl { dtype, access });
    }
    cursor.expect("{")?;
    let mut outer = Vec::new();
    if cursor.eat_word("outer") {
        outer = read_ranges(cursor, 'o')?;
    }
    cursor.expect_word("lanes")?;
    let lanes = [Lanes::Outer, Lanes::Inner, Lanes::None];
    let lanes = read_name(cursor, &lanes, Lanes::name, "`outer`, `inner` or `none`")?;
    let locals = read_locals(cursor)?;
    let mut values = Values::default();
    let mut stages = Vec::new();
    while cursor.eat_word("stage") {
        stages.push(read_stage(cursor, &mut values)?);
    }
    values.read_unused(cursor)?;
    let end = cursor.peek();
    if !cursor.eat("}") {
        return Err(cursor.expected("`stage`, `unused` or `}`"));
    }
    Ok(Kernel {
        buffers,
        outer,
        lanes,
        locals,
        values: values.into_table(end.at)?,
        stages,
    })
}

fn read_locals(cursor: &mut Cursor<'_>) -> Result<Vec<LocalDecl>, TextError> {
    let mut locals = Vec::new();
    while cursor.eat_word("local") {
        expect_next(cursor, 'l', locals.len())?;
        cursor.expect(":")?;
        let dtype = read_dtype(cursor)?;
        cursor.expect("[")?;
        let len = read_dim(cursor)?;
        cursor.expect("]")?;
        locals.push(LocalDecl { dtype, len });
    }
    Ok(locals)
}

fn read_stage(cursor: &mut Cursor<'_>, values: &mut Values) -> Result<Stage, TextError> {
    let ordered_next = |c: &Cursor<'_>| c.peek().is(TokenKind::Word, "ordered");
    let ranges = if cursor.peek().is(TokenKind::Mark, "{") || ordered_next(cursor) {
        Vec::new()
    } else {
        read_ranges(cursor, 'i')?
    };
    let ordered = cursor.eat_word("ordered");
    if !cursor.eat("{") {
        return Err(cursor.expected("`,`, `ordered` or `{`"));
    }
    let mut insts = Vec::new();
    while !cursor.eat("}") {
        insts.push(read_inst(cursor, values)?);
    }
    Ok(Stage {
        ranges,
        ordered,
        insts,
    })
}

fn read_ranges(cursor: &mut Cursor<'_>, prefix: char) -> Result<Vec<Dim>, TextError> {
    let mut extents = Vec::new();
    loop {
        expect_next(cursor, prefix, extents.len())?;
        cursor.expect("<")?;
        extents.push(read_dim(cursor)?);
        if !cursor.eat(",") {
            return Ok(extents);
        }
    }
}

fn read_inst(cursor: &mut Cursor<'_>, values: &mut Values) -> Result<Inst, TextError> {
    let first = cursor.take(TokenKind::Word, "an instruction or `}`")?;
    let Some(number) = numbered(first.text, 'v') else {
        let op = read_op(cursor, first)?;
        return Ok(Inst { result: None, op });
    };
    cursor.expect("=")?;
    let mnemonic = cursor.take(TokenKind::Word, "an instruction")?;
    let op = read_op(cursor, mnemonic)?;
    cursor.expect(":")?;
    values.define(first, number, cursor)?;
    Ok(Inst {
        result: Some(ValueId(number)),
        op,
    })
}

/// The table of values as it is read.
#[derive(Default)]
struct Values(FxHashMap<u32, DType>);

impl Values {
    /// Reads the type of a value whose name has been read.
    fn define(
        &mut self,
        name: Token<'_>,
        number: u32,
        cursor: &mut Cursor<'_>,
    ) -> Result<(), TextError> {
        let dtype = read_dtype(cursor)?;
        if self.0.insert(number, dtype).is_some() {
            return Err(name.at.error(format!("{} is defined already", name.text)));
        }
        Ok(())
    }

    fn read_unused(&mut self, cursor: &mut Cursor<'_>) -> Result<(), TextError> {
        while cursor.eat_word("unused") {
            let name = cursor.peek();
            let number = read_reference(cursor, 'v', "a value (`v0`)")?;
            cursor.expect(":")?;
            self.define(name, number, cursor)?;
        }
        Ok(())
    }

    fn into_table(self, end: Position) -> Result<Vec<DType>, TextError> {
        (0..self.0.len() as u32)
            .map(|number| {
                self.0.get(&number).copied().ok_or_else(|| {
                    let largest = self.0.keys().max().unwrap_or(&0);
                    end.error(format!("v{largest} is defined, but v{number} is not"))
                })
            })
            .collect()
    }
}

fn read_name<T: Copy>(
    cursor: &mut Cursor<'_>,
    choices: &[T],
    name: fn(T) -> &'static str,
    what: &str,
) -> Result<T, TextError> {
    let found = choices.iter().find(|&&c| cursor.eat_word(name(c)));
    found.copied().ok_or_else(|| cursor.expected(what))
}

/// Takes the name that a declaration must have: they are numbered from 0.
fn expect_next(cursor: &mut Cursor<'_>, prefix: char, number: usize) -> Result<(), TextError> {
    cursor.expect_word(&format!("{prefix}{number}"))
}

/// Takes a name like `v3` and gives its number.
pub(crate) fn read_reference(
    cursor: &mut Cursor<'_>,
    prefix: char,
    what: &str,
) -> Result<u32, TextError> {
    let token = cursor.peek();
    match numbered(token.text, prefix).filter(|_| token.kind == TokenKind::Word) {
        Some(number) => {
            cursor.advance();
            Ok(number)
        }
        None => Err(cursor.expected(what)),
    }
}
