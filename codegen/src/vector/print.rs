//! Readable text of functions, one statement per line.

use super::{Class, Function, MemAccess, Op, Reg, Scalar, ScalarOp, Stmt, VarId};
use std::fmt::{self, Debug, Display, Formatter};

impl Display for Class {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::F32 => "f32",
            Class::F64 => "f64",
            Class::I32 => "i32",
            Class::I64 => "i64",
            Class::Mask => "mask",
        })
    }
}

impl Display for Reg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl Display for Scalar {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl Display for VarId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "var{}", self.0)
    }
}

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "lanes {}, pool {} bytes", self.lanes, self.pool.len())?;
        for (i, (class, lanes)) in self.vars.iter().enumerate() {
            writeln!(f, "var{i}: {class}x{lanes}")?;
        }
        block(self, &self.body, 0, f)
    }
}

/// The name of an enum member, in lower case.
fn name(op: impl Debug) -> String {
    format!("{op:?}").to_lowercase()
}

fn block(function: &Function, body: &[Stmt], depth: usize, f: &mut Formatter<'_>) -> fmt::Result {
    for stmt in body {
        write!(f, "{:1$}", "", depth * 2)?;
        head(function, stmt, f)?;
        match stmt.body() {
            Some(body) => {
                writeln!(f, " {{")?;
                block(function, body, depth + 1, f)?;
                writeln!(f, "{:1$}}}", "", depth * 2)?;
            }
            None => writeln!(f)?,
        }
    }
    Ok(())
}

/// A statement without its body.
pub(super) fn head(function: &Function, stmt: &Stmt, f: &mut impl fmt::Write) -> fmt::Result {
    match stmt {
        Stmt::Let(reg, op) => {
            write!(f, "{reg}")?;
            let shape = function.regs.get(reg.0 as usize);
            if let Some((class, lanes)) = shape {
                write!(f, ": {class}x{lanes}")?;
            }
            f.write_str(" = ")?;
            operation(shape.map(|s| s.0), op, f)
        }
        Stmt::Scalar(scalar, op) => {
            write!(f, "{scalar} = ")?;
            scalar_operation(op, f)
        }
        Stmt::Set(var, value) => write!(f, "{var} = {value}"),
        Stmt::Store {
            mem,
            address,
            access,
            value,
            mask,
            non_temporal,
        } => {
            let hint = if *non_temporal { " non-temporal" } else { "" };
            write!(f, "store{hint} {mem} ")?;
            place(*address, *access, *mask, f)?;
            write!(f, ", {value}")
        }
        Stmt::For {
            counter,
            after,
            from,
            to,
            step,
            ..
        } => write!(
            f,
            "for {counter} = {from} to {to} step {step}, then {after}"
        ),
        Stmt::IfNonZero(scalar, _) => write!(f, "if {scalar}"),
        Stmt::IfAny(mask, _) => write!(f, "if any {mask}"),
        Stmt::Fault {
            mask,
            fault,
            value,
            bound,
        } => write!(f, "fault {fault} where {mask}: {value}, bound {bound}"),
    }
}

fn place(
    address: Scalar,
    access: MemAccess,
    mask: Option<Reg>,
    f: &mut impl fmt::Write,
) -> fmt::Result {
    match access {
        MemAccess::Contiguous => write!(f, "[{address}]")?,
        MemAccess::Broadcast => write!(f, "[{address}, all]")?,
        MemAccess::Strided(stride) => write!(f, "[{address} by {stride}]")?,
        MemAccess::Indexed(index) => write!(f, "[{address} at {index}]")?,
    }
    match mask {
        Some(mask) => write!(f, " where {mask}"),
        None => Ok(()),
    }
}

fn operation(class: Option<Class>, op: &Op, f: &mut impl fmt::Write) -> fmt::Result {
    match op {
        Op::Const(bits) => match class {
            Some(Class::F32) => write!(f, "const {:?}", f32::from_bits(*bits as u32)),
            Some(Class::F64) => write!(f, "const {:?}", f64::from_bits(*bits)),
            Some(Class::I32) => write!(f, "const {}", *bits as i32),
            Some(Class::I64) => write!(f, "const {}", *bits as i64),
            Some(Class::Mask) | None => write!(f, "const {bits}"),
        },
        Op::Splat(s) => write!(f, "splat {s}"),
        Op::Ramp(s, step) => write!(f, "ramp {s} by {step}"),
        Op::Get(var) => write!(f, "{var}"),
        Op::Load {
            mem,
            address,
            access,
            mask,
        } => {
            write!(f, "load {mem} ")?;
            place(*address, *access, *mask, f)
        }
        Op::Unary(un, a) => write!(f, "{} {a}", name(un)),
        Op::Binary(bin, a, b) => write!(f, "{} {a}, {b}", name(bin)),
        Op::Fma(a, b, c) => write!(f, "fma {a}, {b}, {c}"),
        Op::Compare(cmp, a, b) => write!(f, "{} {a}, {b}", name(cmp)),
        Op::Select(mask, a, b) => write!(f, "select {mask}, {a}, {b}"),
        Op::Convert(conv, a) => write!(f, "convert {} {a}", name(conv)),
        Op::Horizontal(bin, a) => write!(f, "horizontal {} {a}", name(bin)),
        Op::SplatLane(a) => write!(f, "splat {a}"),
    }
}

fn scalar_operation(op: &ScalarOp, f: &mut impl fmt::Write) -> fmt::Result {
    match op {
        ScalarOp::Const(value) => write!(f, "{value}"),
        ScalarOp::Buffer(n) => write!(f, "buffer {n}"),
        ScalarOp::Size(n) => write!(f, "size {n}"),
        ScalarOp::From(n) => write!(f, "from {n}"),
        ScalarOp::To(n) => write!(f, "to {n}"),
        ScalarOp::Pool(offset) => write!(f, "pool {offset}"),
        ScalarOp::Add(a, b) => write!(f, "{a} + {b}"),
        ScalarOp::Sub(a, b) => write!(f, "{a} - {b}"),
        ScalarOp::Mul(a, b) => write!(f, "{a} * {b}"),
        ScalarOp::FloorDiv(a, b) => write!(f, "{a} / {b}"),
        ScalarOp::Mod(a, b) => write!(f, "{a} mod {b}"),
        ScalarOp::Min(a, b) => write!(f, "min {a}, {b}"),
        ScalarOp::Max(a, b) => write!(f, "max {a}, {b}"),
        ScalarOp::Less(a, b) => write!(f, "{a} < {b}"),
        ScalarOp::Lane(r) => write!(f, "lane {r}"),
    }
}
