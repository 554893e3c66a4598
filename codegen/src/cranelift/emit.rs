//! Translation of a function's statements to CLIF: control flow, variables, constants and faults. Scalars, and
//! registers and their operations, are in the sibling modules.

use super::scalars::Number;
use super::value::{Kind, Val};
use crate::CodegenError;
use crate::backend::{Caps, Helper, PoolAddress};
use crate::vector::eval::SIXTEENTH_POWERS;
use crate::vector::{Class, Function, Op, Reg, Scalar, Stmt, VarId};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F64, I8, I32, I64};
use cranelift_codegen::ir::{
    self, ExternalName, GlobalValueData, InstBuilder, MemFlagsData, StackSlot, StackSlotData,
    StackSlotKind, Type, UserExternalName, Value,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use lazulite_runtime::Status;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::mem::offset_of;

/// The constant pool under construction: the function's own bytes, then what the backend adds.
#[derive(Default)]
pub(super) struct Pool {
    pub bytes: Vec<u8>,
    pub addresses: Vec<PoolAddress>,
    vectors: FxHashMap<[u8; 16], u32>,
    helpers: FxHashMap<Helper, u32>,
    sixteenth_powers: Option<u32>,
}

impl Pool {
    /// Offset of a 16-byte constant.
    pub fn vector(&mut self, bytes: [u8; 16]) -> u32 {
        *self.vectors.entry(bytes).or_insert_with(|| {
            let at = self.bytes.len().next_multiple_of(16);
            self.bytes.resize(at, 0);
            self.bytes.extend_from_slice(&bytes);
            at as u32
        })
    }

    /// Offset of [`SIXTEENTH_POWERS`].
    pub fn sixteenth_powers(&mut self) -> u32 {
        *self.sixteenth_powers.get_or_insert_with(|| {
            let at = self.bytes.len().next_multiple_of(16);
            self.bytes.resize(at, 0);
            let powers = SIXTEENTH_POWERS.map(|power| power.to_bits().to_le_bytes());
            self.bytes.extend_from_slice(powers.as_flattened());
            at as u32
        })
    }

    /// Offset of the address of a helper.
    pub fn helper(&mut self, helper: Helper) -> u32 {
        *self.helpers.entry(helper).or_insert_with(|| {
            let at = self.bytes.len().next_multiple_of(8);
            self.bytes.resize(at + 8, 0);
            self.addresses.push(PoolAddress {
                offset: at as u32,
                helper,
            });
            at as u32
        })
    }
}

/// What is known of a register.
#[derive(Clone, Copy)]
enum Slot {
    Undefined,
    /// Materialised where it is used: a memory operand costs less than a register held.
    Const(u64),
    Val(Val),
}

/// The state of one translation.
pub(super) struct Emitter<'a> {
    pub b: FunctionBuilder<'a>,
    pub caps: &'a Caps,
    pub pool: Pool,
    pub pool_base: Value,
    f: &'a Function,
    regs: Vec<Slot>,
    pub scalars: Vec<Number>,
    vars: Vec<SmallVec<[Variable; 2]>>,
    /// The parameters: buffers, sizes, bounds, status.
    pub args: [Value; 4],
    dummy: Option<StackSlot>,
}

/// Memory that is there, without alignment.
pub(super) fn plain() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// Memory that is there, aligned and constant while the function runs.
pub(super) fn constant_memory() -> MemFlagsData {
    plain().with_aligned().with_readonly()
}

/// Writes `f` into `func` and returns the constant pool.
pub(super) fn translate(
    f: &Function,
    caps: &Caps,
    isa: &dyn TargetIsa,
    func: &mut ir::Function,
    context: &mut FunctionBuilderContext,
) -> Result<Pool, CodegenError> {
    let pool_name = func.declare_imported_user_function(UserExternalName::new(1, 0));
    let pool_symbol = func.create_global_value(GlobalValueData::Symbol {
        name: ExternalName::user(pool_name),
        offset: 0.into(),
        colocated: true,
        tls: false,
    });
    let mut b = FunctionBuilder::new(func, context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let &[buffers, sizes, bounds, status] = b.block_params(entry) else {
        return Err(CodegenError::Backend("a kernel has four parameters".into()));
    };
    let pool_base = b.ins().symbol_value(I64, pool_symbol);
    let mut e = Emitter {
        b,
        caps,
        pool: Pool {
            bytes: f.pool.clone(),
            ..Pool::default()
        },
        pool_base,
        f,
        regs: vec![Slot::Undefined; f.regs.len()],
        scalars: vec![Number::Undefined; f.scalars as usize],
        vars: Vec::with_capacity(f.vars.len()),
        args: [buffers, sizes, bounds, status],
        dummy: None,
    };
    for &(class, lanes) in &f.vars {
        let kind = Kind::of((class, lanes));
        let parts = (0..kind.parts())
            .map(|_| e.b.declare_var(kind.part()))
            .collect();
        e.vars.push(parts);
    }
    e.statements(&f.body)?;
    e.b.ins().return_(&[]);
    let Emitter { b, pool, .. } = e;
    b.finalize(isa.frontend_config());
    Ok(pool)
}

pub(super) fn malformed(what: impl std::fmt::Display) -> CodegenError {
    CodegenError::Malformed(what.to_string())
}

impl Emitter<'_> {
    /// Class and width of a register.
    pub fn kind(&self, r: Reg) -> Result<Kind, CodegenError> {
        let &(class, lanes) = self
            .f
            .regs
            .get(r.0 as usize)
            .ok_or_else(|| malformed(format_args!("register {} does not exist", r.0)))?;
        Ok(Kind::of((class, lanes)))
    }

    /// A register's value.
    pub fn reg(&mut self, r: Reg) -> Result<Val, CodegenError> {
        let kind = self.kind(r)?;
        match self.regs[r.0 as usize] {
            Slot::Undefined => Err(malformed(format_args!("register {} is not defined", r.0))),
            Slot::Const(bits) => Ok(self.constant(kind, bits)),
            Slot::Val(v) => Ok(v),
        }
    }

    /// The bits of a register that is a constant.
    pub fn known(&self, r: Reg) -> Option<u64> {
        match self.regs.get(r.0 as usize) {
            Some(Slot::Const(bits)) => Some(*bits),
            Some(Slot::Undefined | Slot::Val(_)) | None => None,
        }
    }

    /// A register of equal lanes.
    fn constant(&mut self, kind: Kind, bits: u64) -> Val {
        let bits = match (kind.class, kind.full) {
            (Class::Mask, true) => 0u64.wrapping_sub(bits & 1),
            (Class::Mask, false) => bits & 1,
            (Class::F32 | Class::F64 | Class::I32 | Class::I64, _) => bits,
        };
        let first = self.literal(kind.part(), bits);
        match (kind.class, kind.full) {
            (Class::Mask, true) => Val::Mask(first, None),
            _ if kind.parts() == 1 => Val::One(first),
            _ => Val::Two([first, self.literal(kind.part(), bits)]),
        }
    }

    /// A CLIF constant: `bits` in every lane of `ty`.
    pub fn literal(&mut self, ty: Type, bits: u64) -> Value {
        match ty {
            F32 => self.b.ins().f32const(f32::from_bits(bits as u32)),
            F64 => self.b.ins().f64const(f64::from_bits(bits)),
            I8 => self.b.ins().iconst(I8, (bits & 0xff) as i64),
            I32 => self.b.ins().iconst(I32, (bits & 0xffff_ffff) as i64),
            I64 => self.b.ins().iconst(I64, bits as i64),
            vector => {
                let size = vector.lane_type().bytes() as usize;
                let lane = bits.to_le_bytes();
                let bytes: [u8; 16] = std::array::from_fn(|i| lane[i % size]);
                self.vector_literal(vector, bytes)
            }
        }
    }

    /// A CLIF vector constant, from the pool unless one instruction makes it.
    pub fn vector_literal(&mut self, ty: Type, bytes: [u8; 16]) -> Value {
        if bytes == [0; 16] || bytes == [0xff; 16] {
            let data = self.b.func.dfg.constants.insert(bytes.to_vec().into());
            return self.b.ins().vconst(ty, data);
        }
        let offset = self.pool.vector(bytes) as i32;
        self.b
            .ins()
            .load(ty, constant_memory(), self.pool_base, offset)
    }

    /// Address of 16 zero bytes.
    pub fn zeros(&mut self) -> Value {
        let offset = self.pool.vector([0; 16]);
        self.b.ins().iadd_imm_s(self.pool_base, i64::from(offset))
    }

    /// Address of 16 bytes that nobody reads.
    pub fn dummy(&mut self) -> Value {
        let slot = *self.dummy.get_or_insert_with(|| {
            self.b
                .create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 16, 4))
        });
        self.b.ins().stack_addr(I64, slot, 0)
    }

    fn statements(&mut self, body: &[Stmt]) -> Result<(), CodegenError> {
        body.iter().try_for_each(|s| self.statement(s))
    }

    fn statement(&mut self, s: &Stmt) -> Result<(), CodegenError> {
        match s {
            Stmt::Let(r, Op::Const(bits)) => {
                self.kind(*r)?;
                self.regs[r.0 as usize] = Slot::Const(*bits);
                Ok(())
            }
            Stmt::Let(r, op) => {
                let value = self.op(self.kind(*r)?, op)?;
                self.regs[r.0 as usize] = Slot::Val(value);
                Ok(())
            }
            Stmt::Scalar(s, op) => {
                let number = self.number(op)?;
                *self
                    .scalars
                    .get_mut(s.0 as usize)
                    .ok_or_else(|| malformed(format_args!("scalar {} does not exist", s.0)))? =
                    number;
                Ok(())
            }
            Stmt::Set(var, r) => self.set(*var, *r),
            Stmt::Store {
                mem,
                address,
                access,
                value,
                mask,
                non_temporal: _,
            } => self.store(*mem, *address, *access, *value, *mask),
            Stmt::For {
                counter,
                after,
                from,
                to,
                step,
                body,
            } => self.for_loop([*counter, *after, *from, *to], *step, body),
            Stmt::IfNonZero(s, body) => {
                let condition = self.scalar(*s)?;
                self.conditional(condition, body)
            }
            Stmt::IfAny(mask, body) => {
                let mask = self.reg(*mask)?;
                let condition = self.any(mask);
                self.conditional(condition, body)
            }
            Stmt::Fault {
                mask,
                fault,
                value,
                bound,
            } => self.fault(*mask, *fault, *value, *bound),
        }
    }

    fn set(&mut self, var: VarId, r: Reg) -> Result<(), CodegenError> {
        let value = self.reg(r)?;
        let parts = self
            .vars
            .get(var.0 as usize)
            .ok_or_else(|| malformed(format_args!("variable {} does not exist", var.0)))?;
        for (&variable, &part) in parts.iter().zip(value.parts()) {
            self.b.def_var(variable, part);
        }
        Ok(())
    }

    /// What `Op::Get` reads.
    pub fn get(&mut self, var: VarId, kind: Kind) -> Result<Val, CodegenError> {
        let variables = self
            .vars
            .get(var.0 as usize)
            .ok_or_else(|| malformed(format_args!("variable {} does not exist", var.0)))?
            .clone();
        let parts: SmallVec<[Value; 2]> = variables.iter().map(|&v| self.b.use_var(v)).collect();
        Ok(match (kind.class, kind.full) {
            (Class::Mask, true) => Val::Mask(parts[0], None),
            _ => Val::from_parts(&parts),
        })
    }

    /// One test in front and one at the end of the body, so that an iteration has one branch.
    fn for_loop(
        &mut self,
        [counter, after, from, to]: [Scalar; 4],
        step: i64,
        body: &[Stmt],
    ) -> Result<(), CodegenError> {
        if step <= 0 {
            return Err(malformed(format_args!("a loop steps by {step}")));
        }
        let (first, limit) = (self.scalar(from)?, self.scalar(to)?);
        let last = self.b.ins().iadd_imm_s(limit, -step);
        let (inside, outside) = (self.b.create_block(), self.b.create_block());
        let index = self.b.append_block_param(inside, I64);
        let end = self.b.append_block_param(outside, I64);
        let enter = self.b.ins().icmp(IntCC::SignedLessThanOrEqual, first, last);
        self.b
            .ins()
            .brif(enter, inside, &[first.into()], outside, &[first.into()]);
        self.b.switch_to_block(inside);
        self.scalars[counter.0 as usize] = Number::Value(index);
        self.statements(body)?;
        let next = self.b.ins().iadd_imm_s(index, step);
        let again = self.b.ins().icmp(IntCC::SignedLessThanOrEqual, next, last);
        self.b
            .ins()
            .brif(again, inside, &[next.into()], outside, &[next.into()]);
        self.b.seal_block(inside);
        self.b.seal_block(outside);
        self.b.switch_to_block(outside);
        self.scalars[after.0 as usize] = Number::Value(end);
        Ok(())
    }

    fn conditional(&mut self, condition: Value, body: &[Stmt]) -> Result<(), CodegenError> {
        let (inside, outside) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(condition, inside, &[], outside, &[]);
        self.b.seal_block(inside);
        self.b.switch_to_block(inside);
        self.statements(body)?;
        self.b.ins().jump(outside, &[]);
        self.b.seal_block(outside);
        self.b.switch_to_block(outside);
        Ok(())
    }

    /// An `i8` that is not zero if any lane of the mask is set.
    pub fn any(&mut self, mask: Val) -> Value {
        let v = mask.first();
        if self.ty(v).is_vector() {
            self.b.ins().vany_true(v)
        } else {
            v
        }
    }

    /// The first fault wins the status word by compare and exchange and then describes itself.
    fn fault(
        &mut self,
        mask: Reg,
        fault: u32,
        value: Reg,
        bound: Scalar,
    ) -> Result<(), CodegenError> {
        let (mask, value) = (self.reg(mask)?, self.reg(value)?);
        let any = self.any(mask);
        let (cold, win, done) = (
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
        );
        self.b.set_cold_block(cold);
        self.b.set_cold_block(win);
        self.b.ins().brif(any, cold, &[], done, &[]);
        self.b.seal_block(cold);
        self.b.switch_to_block(cold);
        let (set, values) = (self.all_lanes(mask), self.all_lanes(value));
        let mut first = values[values.len() - 1];
        for (&set, &value) in set.iter().zip(&values).rev().skip(1) {
            first = self.b.ins().select(set, value, first);
        }
        let bound = self.scalar(bound)?;
        let status = self.args[3];
        let word = self
            .b
            .ins()
            .iadd_imm_s(status, offset_of!(Status, fault) as i64);
        let clear = self.b.ins().iconst(I64, 0);
        let number = self.b.ins().iconst(I64, i64::from(fault) + 1);
        let flags = plain().with_aligned();
        let before = self.b.ins().atomic_cas(flags, word, clear, number);
        self.b.ins().brif(before, done, &[], win, &[]);
        self.b.seal_block(win);
        self.b.switch_to_block(win);
        for (what, at) in [
            (first, offset_of!(Status, value)),
            (bound, offset_of!(Status, bound)),
        ] {
            self.b.ins().store(flags, what, status, at as i32);
        }
        self.b.ins().jump(done, &[]);
        self.b.seal_block(done);
        self.b.switch_to_block(done);
        Ok(())
    }

    /// What an operation yields; `kind` is the result's.
    fn op(&mut self, kind: Kind, op: &Op) -> Result<Val, CodegenError> {
        match *op {
            Op::Const(bits) => Ok(self.constant(kind, bits)),
            Op::Splat(s) => {
                let s = self.scalar(s)?;
                Ok(self.ramp(kind, s, 0))
            }
            Op::Ramp(s, step) => {
                let s = self.scalar(s)?;
                Ok(self.ramp(kind, s, step))
            }
            Op::Get(var) => self.get(var, kind),
            Op::Load {
                mem,
                address,
                access,
                mask,
            } => self.load(kind, mem, address, access, mask),
            Op::Unary(f, a) => {
                let a = self.reg(a)?;
                self.unary(kind, f, a)
            }
            Op::Binary(f, a, b) => self.binary(kind, f, a, b),
            Op::Fma(a, b, c) => {
                let [a, b, c] = [self.reg(a)?, self.reg(b)?, self.reg(c)?];
                Ok(self.multiply_add(kind, a, b, c))
            }
            Op::Compare(f, a, b) => {
                let operand = self.kind(a)?;
                let (a, b) = (self.reg(a)?, self.reg(b)?);
                self.compare(operand, f, a, b)
            }
            Op::Select(mask, a, b) => {
                let [mask, a, b] = [self.reg(mask)?, self.reg(a)?, self.reg(b)?];
                Ok(self.select(kind, mask, a, b))
            }
            Op::Convert(f, a) => {
                let from = self.kind(a)?;
                let a = self.reg(a)?;
                self.convert(kind, from, f, a)
            }
            Op::Horizontal(f, a) => self.horizontal(f, a),
            Op::SplatLane(a) => {
                let a = self.reg(a)?.first();
                Ok(self.splat(kind, a))
            }
        }
    }
}
