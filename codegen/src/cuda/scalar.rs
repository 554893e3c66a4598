//! Functions of single elements as C functions.
//!
//! The definitions are those of the vector backends: a kernel of one instruction is lowered for one lane, and
//! the vector IR that comes out is written down in C. So `exp` on a GPU has the polynomial that it has on a
//! processor, integer casts saturate alike, and there is one place to prove them.

use super::ctype;
use crate::CodegenError;
use crate::backend::Caps;
use crate::lower::{LowerOptions, lower};
use crate::vector::{Bin, Class, Cmp, Conv, Function, MemAccess, Narrow, Op, Reg, Scalar};
use crate::vector::{ScalarOp, Stmt, Un};
use lazulite_ir::{
    Access, BufferDecl, BufferRef, DType, Dim, IndexExpr, Inst, InstOp, Kernel, Lanes, Stage,
    ValueId,
};
use std::fmt::Write;

type Result<T> = std::result::Result<T, CodegenError>;

/// What lowering for one lane of a GPU may count on.
const CAPS: Caps = Caps {
    vector_bytes: 16,
    registers: 255,
    masks: true,
    non_temporal: false,
    fma: true,
    tables: false,
};

/// The C function `name` that does what `op` makes of values 0, 1, ... of types `operands`.
pub(super) fn function(
    name: &str,
    operands: &[DType],
    result: DType,
    op: InstOp,
) -> Result<String> {
    let kernel = kernel_of(operands, result, op);
    let options = LowerOptions {
        scalar: true,
        ..LowerOptions::default()
    };
    let lowered = lower(&kernel, &CAPS, options)?;
    let mut writer = Writer {
        function: &lowered.function,
        name,
        operands: operands.len() as u32,
        text: String::new(),
        depth: 1,
        params: vec![None; lowered.function.scalars as usize],
    };
    writer.function(operands, result)?;
    Ok(writer.text)
}

/// A kernel that applies `op` to the only elements of its buffers.
fn kernel_of(operands: &[DType], result: DType, op: InstOp) -> Kernel {
    let buffer = |dtype, access| BufferDecl { dtype, access };
    let count = operands.len() as u32;
    let place = || IndexExpr::constant(Dim::ZERO);
    let loads = (0..count).map(|i| Inst {
        result: Some(ValueId(i)),
        op: InstOp::Load {
            buffer: BufferRef(i),
            index: place(),
            guard: None,
        },
    });
    let value = ValueId(count);
    let apply = Inst {
        result: Some(value),
        op,
    };
    let store = Inst {
        result: None,
        op: InstOp::Store {
            buffer: BufferRef(count),
            index: place(),
            value,
            combine: None,
            guard: None,
        },
    };
    let reads = operands.iter().map(|&d| buffer(d, Access::Read));
    Kernel {
        buffers: reads.chain([buffer(result, Access::Write)]).collect(),
        outer: Vec::new(),
        lanes: Lanes::None,
        locals: Vec::new(),
        values: operands.iter().copied().chain([result]).collect(),
        stages: vec![Stage {
            ranges: Vec::new(),
            ordered: false,
            insts: loads.chain([apply, store]).collect(),
        }],
    }
}

/// Writes one function.
struct Writer<'a> {
    function: &'a Function,
    name: &'a str,
    operands: u32,
    text: String,
    depth: usize,
    /// Which parameter a scalar is the address of.
    params: Vec<Option<u32>>,
}

impl Writer<'_> {
    fn function(&mut self, operands: &[DType], result: DType) -> Result<()> {
        let name = self.name;
        self.table();
        let params = operands.iter().enumerate();
        let params: Vec<String> = params
            .map(|(i, d)| format!("{} p{i}", ctype::held(*d)))
            .collect();
        let (result, params) = (ctype::held(result), params.join(", "));
        let head = format!("LZ_FUNCTION {result} {name}({params}) {{\n  {result} result = 0;\n");
        self.text += &head;
        for (i, (class, _)) in self.function.vars.iter().enumerate() {
            let line = format!("{} m{i} = 0;", ctype::class(*class));
            self.line(&line);
        }
        let function = self.function;
        self.block(&function.body)?;
        self.text += "  return result;\n}\n";
        Ok(())
    }

    /// The function's constants.
    fn table(&mut self) {
        let pool = &self.function.pool;
        if pool.is_empty() {
            return;
        }
        let words: Vec<String> = pool
            .chunks(8)
            .map(|chunk| {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                format!("0x{:x}ull", u64::from_le_bytes(word))
            })
            .collect();
        let (name, words) = (self.name, words.join(", "));
        self.text += &format!("LZ_TABLE u64 {name}_table[] = {{{words}}};\n");
    }

    fn line(&mut self, line: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:1$}{line}", "", self.depth * 2);
    }

    fn block(&mut self, body: &[Stmt]) -> Result<()> {
        body.iter().try_for_each(|s| self.stmt(s))
    }

    fn nested(&mut self, head: &str, body: &[Stmt]) -> Result<()> {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        self.block(body)?;
        self.depth -= 1;
        self.line("}");
        Ok(())
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<()> {
        match stmt {
            Stmt::Let(reg, op) => {
                let class = self.class(*reg)?;
                let (class, value, reg) = (ctype::class(class), self.op(*reg, op)?, reg.0);
                self.line(&format!("const {class} r{reg} = {value};"));
            }
            Stmt::Scalar(scalar, ScalarOp::Buffer(n)) => {
                self.params[scalar.0 as usize] = Some(*n);
            }
            Stmt::Scalar(scalar, op) => {
                let value = self.scalar_op(*op)?;
                self.line(&format!("const i64 s{} = {value};", scalar.0));
            }
            Stmt::Set(var, reg) => self.line(&format!("m{} = r{};", var.0, reg.0)),
            Stmt::Store {
                mem,
                address,
                value,
                ..
            } => self.store(*mem, *address, *value)?,
            Stmt::For {
                counter,
                after,
                from,
                to,
                step,
                body,
            } => {
                let (c, from, to, after) = (counter.0, from.0, to.0, after.0);
                self.line(&format!("i64 s{c} = s{from};"));
                self.nested(
                    &format!("for (; s{c} + {step} <= s{to}; s{c} += {step})"),
                    body,
                )?;
                self.line(&format!("const i64 s{after} = s{c};"));
            }
            Stmt::IfNonZero(s, body) => self.nested(&format!("if (s{} != 0)", s.0), body)?,
            Stmt::IfAny(r, body) => self.nested(&format!("if (r{})", r.0), body)?,
            Stmt::Fault { .. } => return Err(self.refuse("a fault")),
        }
        Ok(())
    }

    fn refuse(&self, what: &str) -> CodegenError {
        CodegenError::Backend(format!("{what} in the function {}", self.name))
    }

    /// The function's result.
    fn store(&mut self, mem: DType, address: Scalar, value: Reg) -> Result<()> {
        if self.params[address.0 as usize] != Some(self.operands) {
            return Err(self.refuse("a store beside the result"));
        }
        let value = format!("r{}", value.0);
        let value = ctype::narrowed(mem, &value);
        self.line(&format!("result = {value};"));
        Ok(())
    }

    fn class(&self, reg: Reg) -> Result<Class> {
        let shape = self.function.regs.get(reg.0 as usize);
        let shape = shape.ok_or_else(|| self.refuse("an undeclared register"))?;
        Ok(shape.0)
    }

    fn op(&self, reg: Reg, op: &Op) -> Result<String> {
        let class = self.class(reg)?;
        Ok(match *op {
            Op::Const(bits) => ctype::constant(class, bits),
            Op::Splat(s) | Op::Ramp(s, _) => format!("({})s{}", ctype::class(class), s.0),
            Op::Get(var) => format!("m{}", var.0),
            Op::Load {
                mem,
                address,
                access,
                mask,
            } => {
                let element = self.load(mem, address, access);
                match mask {
                    Some(mask) => format!("r{} ? {element} : 0", mask.0),
                    None => element,
                }
            }
            Op::Unary(f, x) => unary(f, class, &name(x)),
            Op::Binary(f, a, b) => binary(f, class, &name(a), &name(b)),
            Op::Fma(a, b, c) => format!("lz_fma(r{}, r{}, r{})", a.0, b.0, c.0),
            Op::Compare(f, a, b) => compare(f, self.class(a)?, &name(a), &name(b)),
            Op::Select(c, a, b) => format!("r{} ? r{} : r{}", c.0, a.0, b.0),
            Op::Convert(f, x) => convert(f, self.class(x)?, class, &name(x)),
            Op::Horizontal(_, x) | Op::SplatLane(x) => name(x),
        })
    }

    /// A parameter, or an element of the table.
    fn load(&self, mem: DType, address: Scalar, access: MemAccess) -> String {
        let element = match self.params[address.0 as usize] {
            Some(n) => format!("p{n}"),
            None => {
                let (s, ty) = (address.0, ctype::memory(mem));
                let at = match access {
                    MemAccess::Indexed(index) => {
                        format!("s{s} + (i64)r{} * {}", index.0, mem.size())
                    }
                    MemAccess::Contiguous | MemAccess::Broadcast | MemAccess::Strided(_) => {
                        format!("s{s}")
                    }
                };
                ctype::to_held(mem, &format!("*(const {ty} *)({at})"))
            }
        };
        ctype::widened(mem, &element)
    }

    fn scalar_op(&self, op: ScalarOp) -> Result<String> {
        Ok(match op {
            ScalarOp::Const(c) => format!("{c}ll"),
            ScalarOp::Pool(n) => format!("(i64){}_table + {n}", self.name),
            ScalarOp::Add(a, b) => format!("s{} + s{}", a.0, b.0),
            ScalarOp::Sub(a, b) => format!("s{} - s{}", a.0, b.0),
            ScalarOp::Mul(a, b) => format!("s{} * s{}", a.0, b.0),
            ScalarOp::FloorDiv(a, b) => format!("lz_floor_div(s{}, s{})", a.0, b.0),
            ScalarOp::Mod(a, b) => format!("lz_modulo(s{}, s{})", a.0, b.0),
            ScalarOp::Min(a, b) => format!("lz_min(s{}, s{})", a.0, b.0),
            ScalarOp::Max(a, b) => format!("lz_max(s{}, s{})", a.0, b.0),
            ScalarOp::Less(a, b) => format!("(i64)(s{} < s{})", a.0, b.0),
            ScalarOp::Lane(r) => format!("(i64)r{}", r.0),
            ScalarOp::Buffer(_) | ScalarOp::Size(_) | ScalarOp::From(_) | ScalarOp::To(_) => {
                return Err(self.refuse("a size"));
            }
        })
    }
}

fn name(r: Reg) -> String {
    format!("r{}", r.0)
}

/// The signed type of an integer class.
fn signed(class: Class) -> &'static str {
    match class {
        Class::I64 => "i64",
        Class::I32 | Class::F32 | Class::F64 | Class::Mask => "i32",
    }
}

fn unary(f: Un, class: Class, x: &str) -> String {
    let ty = ctype::class(class);
    match (f, class) {
        (Un::Neg, Class::F32 | Class::F64) => format!("-{x}"),
        (Un::Neg, _) => format!("({ty})0 - {x}"),
        (Un::Abs, Class::F32) => format!("lz_float(lz_bits({x}) & 0x7fffffffu)"),
        (Un::Abs, Class::F64) => format!("lz_float(lz_bits({x}) & 0x7fffffffffffffffull)"),
        (Un::Abs, _) => format!("({})({x}) < 0 ? ({ty})0 - {x} : {x}", signed(class)),
        (Un::Floor, _) => format!("lz_floor({x})"),
        (Un::Round, _) => format!("lz_round({x})"),
        (Un::Trunc, _) => format!("lz_trunc({x})"),
        (Un::Sqrt, _) => format!("lz_sqrt({x})"),
        (Un::Not, Class::Mask) => format!("!{x}"),
        (Un::Not, _) => format!("~{x}"),
        (Un::Wrap(Narrow::U8), _) => format!("{x} & 0xffu"),
        (Un::Wrap(Narrow::U16), _) => format!("{x} & 0xffffu"),
        (Un::Wrap(Narrow::I8), _) => format!("(u32)(i32)(i8){x}"),
        (Un::Wrap(Narrow::I16), _) => format!("(u32)(i32)(i16){x}"),
        (Un::RoundF16, _) => format!("lz_round_f16({x})"),
        (Un::RoundBF16, _) => format!("lz_round_bf16({x})"),
        (Un::SixteenthPower, _) => format!("lz_sixteenth_power({x})"),
    }
}

fn binary(f: Bin, class: Class, a: &str, b: &str) -> String {
    let (ty, s) = (ctype::class(class), signed(class));
    let bits = |op: &str| match class {
        Class::F32 | Class::F64 => format!("lz_float(lz_bits({a}) {op} lz_bits({b}))"),
        Class::I32 | Class::I64 | Class::Mask => format!("{a} {op} {b}"),
    };
    let float = class.is_float();
    match f {
        Bin::Add => format!("{a} + {b}"),
        Bin::Sub => format!("{a} - {b}"),
        Bin::Mul => format!("{a} * {b}"),
        Bin::MulHighU => format!("lz_mul_high({a}, {b})"),
        Bin::Div if float => format!("{a} / {b}"),
        Bin::Div => format!("lz_div({a}, {b})"),
        Bin::DivU => format!("{a} / {b}"),
        Bin::Rem => format!("lz_rem({a}, {b})"),
        Bin::RemU => format!("{a} % {b}"),
        Bin::Max if float => format!("lz_max({a}, {b})"),
        Bin::Min if float => format!("lz_min({a}, {b})"),
        Bin::Max => format!("({ty})lz_max(({s}){a}, ({s}){b})"),
        Bin::Min => format!("({ty})lz_min(({s}){a}, ({s}){b})"),
        Bin::MaxNan => format!("lz_max_nan({a}, {b})"),
        Bin::MinNan => format!("lz_min_nan({a}, {b})"),
        Bin::MaxU => format!("lz_max({a}, {b})"),
        Bin::MinU => format!("lz_min({a}, {b})"),
        Bin::And => bits("&"),
        Bin::Or => bits("|"),
        Bin::Xor => bits("^"),
        Bin::Shl => format!("lz_shl({a}, {b})"),
        Bin::ShrU => format!("lz_shr({a}, {b})"),
        Bin::ShrS => format!("lz_sar({a}, {b})"),
        Bin::Scale | Bin::ScaleFloor => {
            let most = if class == Class::F32 { 124 } else { 1020 };
            let power = match f {
                Bin::Scale => b.to_string(),
                _ => format!("lz_floor({b})"),
            };
            format!("lz_scale<{ty}>({a}, {power}, {most})")
        }
    }
}

fn compare(f: Cmp, class: Class, a: &str, b: &str) -> String {
    let s = signed(class);
    let ordered = |op: &str| match class {
        Class::F32 | Class::F64 | Class::Mask => format!("{a} {op} {b}"),
        Class::I32 | Class::I64 => format!("({s}){a} {op} ({s}){b}"),
    };
    match f {
        Cmp::Eq => format!("{a} == {b}"),
        Cmp::Ne => format!("{a} != {b}"),
        Cmp::Lt => ordered("<"),
        Cmp::Le => ordered("<="),
        Cmp::LtU => format!("{a} < {b}"),
        Cmp::LeU => format!("{a} <= {b}"),
    }
}

fn convert(f: Conv, from: Class, to: Class, x: &str) -> String {
    let ty = ctype::class(to);
    match f {
        Conv::Float | Conv::FromUint | Conv::Uint => format!("({ty}){x}"),
        Conv::FromInt => format!("({ty})({}){x}", signed(from)),
        Conv::ToInt if to == Class::I64 => format!("lz_to_i64({x})"),
        Conv::ToInt => format!("lz_to_i32({x})"),
        Conv::Int if to == Class::I64 => format!("(u64)(i64)(i32){x}"),
        Conv::Int => format!("(u32){x}"),
        Conv::Bits if from.is_float() => format!("lz_bits({x})"),
        Conv::Bits => format!("lz_float({x})"),
        Conv::FromMask => format!("{x} ? ({ty})1 : ({ty})0"),
        Conv::SpreadMask => format!("{x} ? ~({ty})0 : ({ty})0"),
    }
}
