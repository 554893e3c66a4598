//! Instructions for a function's statements: control flow, scalars, variables and faults. Vector operations
//! are in the sibling modules.

use super::facts::{Constant, Constants, Scalars, Uses, Variables};
use super::machine::{Condition, Flow, Inst, Machine, Place, PlaceBase, View, gpr, jump};
use super::target::Target;
use super::value::{Kind, Val};
use crate::CodegenError;
use crate::vector::{Class, Function, MemAccess, Op, Reg, Scalar, ScalarOp, Stmt, VarId};
use iced_x86::Code;
use lazulite_runtime::Status;
use regalloc2::{Block, Operand, RegClass, VReg};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::mem::offset_of;

/// What is known of a register.
#[derive(Clone, Copy)]
enum Slot {
    Undefined,
    /// Read from the pool where it is used.
    Const(u64),
    Val(Val),
}

/// The state of one translation.
pub(super) struct Selector<'a> {
    pub target: &'static Target,
    pub m: Machine,
    pub pool: Pool,
    f: &'a Function,
    block: Block,
    regs: Vec<Slot>,
    uses: Uses,
    scalars: Scalars,
    constants: Constants<'a>,
    variables: Variables,
    /// Constants in registers in the present loop.
    kept: FxHashMap<Constant, VReg>,
    vars: Vec<Option<Val>>,
    /// The parameters: buffers, sizes, bounds, status.
    args: [VReg; 4],
    /// Something was stored past the caches.
    pub streams: bool,
}

/// The constant pool under construction: the function's own bytes, then what the backend adds.
#[derive(Default)]
pub(super) struct Pool {
    pub bytes: Vec<u8>,
    known: FxHashMap<Vec<u8>, i32>,
}

impl Pool {
    /// Offset of a constant, aligned to its size.
    pub fn constant(&mut self, bytes: &[u8]) -> i32 {
        if let Some(&at) = self.known.get(bytes) {
            return at;
        }
        let at = self.bytes.len().next_multiple_of(bytes.len());
        self.bytes.resize(at, 0);
        self.bytes.extend_from_slice(bytes);
        self.known.insert(bytes.to_vec(), at as i32);
        at as i32
    }
}

pub(super) fn malformed(what: impl std::fmt::Display) -> CodegenError {
    CodegenError::Malformed(what.to_string())
}

type Result<T> = std::result::Result<T, CodegenError>;

/// Chooses instructions of a machine for `f`.
pub(super) fn select(f: &Function, target: &'static Target) -> Result<(Machine, Pool)> {
    let mut m = Machine::new(target);
    let block = m.block();
    m.begin(block);
    let args = [(); 4].map(|()| m.vreg(RegClass::Int));
    let mut entry = Inst::new(Code::INVALID);
    for (v, r) in args.iter().zip([gpr::RDI, gpr::RSI, gpr::RDX, gpr::RCX]) {
        entry.operand(Operand::reg_fixed_def(*v, r));
    }
    m.insts.push(entry);
    let mut selector = Selector {
        target,
        m,
        pool: Pool {
            bytes: f.pool.clone(),
            ..Pool::default()
        },
        f,
        block,
        regs: vec![Slot::Undefined; f.regs.len()],
        uses: Uses::new(f),
        scalars: Scalars::new(f),
        constants: Constants::new(f, target),
        variables: Variables::new(f),
        kept: FxHashMap::default(),
        vars: vec![None; f.vars.len()],
        args,
        streams: false,
    };
    selector.statements(&f.body)?;
    if selector.streams {
        // Others see what went past the caches when they see that the function is done.
        selector.push(Inst::new(Code::Sfence));
    }
    let last = selector.block;
    selector.m.end(last, Flow::Return);
    selector.m.finish();
    Ok((selector.m, selector.pool))
}

impl Selector<'_> {
    pub fn push(&mut self, inst: Inst) {
        self.m.insts.push(inst);
    }

    pub fn vector(&mut self) -> VReg {
        self.m.vreg(RegClass::Float)
    }

    pub fn mask(&mut self) -> VReg {
        self.m.vreg(self.target.mask_class())
    }

    pub fn general(&mut self) -> VReg {
        self.m.vreg(RegClass::Int)
    }

    /// Class and width of a register.
    pub fn kind(&self, r: Reg) -> Result<Kind> {
        let &(class, lanes) = { self.f.regs.get(r.0 as usize) }
            .ok_or_else(|| malformed(format_args!("register {} does not exist", r.0)))?;
        Ok(Kind::of((class, lanes)))
    }

    /// A register's value.
    pub fn reg(&mut self, r: Reg) -> Result<Val> {
        let kind = self.kind(r)?;
        match self.regs[r.0 as usize] {
            Slot::Undefined => Err(malformed(format_args!("register {} is not defined", r.0))),
            Slot::Const(bits) => Ok(self.constant(kind, bits)),
            Slot::Val(v) => Ok(v),
        }
    }

    /// The bits of a register that is a constant to be read from the pool.
    pub fn known(&self, r: Reg) -> Option<u64> {
        let class = self.kind(r).ok()?.class;
        match self.regs.get(r.0 as usize) {
            Some(Slot::Const(bits)) if self.kept(class, *bits).is_none() => Some(*bits),
            Some(Slot::Undefined | Slot::Const(_) | Slot::Val(_)) | None => None,
        }
    }

    /// The register in which the present loop has a constant.
    pub fn kept(&self, class: Class, bits: u64) -> Option<VReg> {
        self.kept.get(&(class.bits(), bits)).copied()
    }

    /// True if a register is used but once, and not by a loop inside of which it is not defined.
    pub fn dies(&self, r: Reg) -> bool {
        self.uses.last[r.0 as usize]
    }

    /// The value of a scalar that is a constant.
    pub fn known_scalar(&self, s: Scalar) -> Option<i64> {
        self.scalars.constant(s)
    }

    /// A scalar in a register.
    pub fn scalar(&mut self, s: Scalar) -> Result<VReg> {
        if let Some(c) = self.known_scalar(s) {
            return Ok(self.number(c));
        }
        { self.scalars.at.get(s.0 as usize).copied().flatten() }
            .ok_or_else(|| malformed(format_args!("scalar {} is not defined", s.0)))
    }

    /// A number in a register.
    pub fn number(&mut self, c: i64) -> VReg {
        let v = self.general();
        let inst = match i32::try_from(c) {
            Ok(c) => Inst::new(Code::Mov_rm64_imm32).def(v, View::R64).imm32(c),
            Err(_) => Inst::new(Code::Mov_r64_imm64).def(v, View::R64).imm64(c),
        };
        self.push(inst);
        v
    }

    /// Memory at a scalar's address.
    pub fn place(&mut self, address: Scalar) -> Result<Place> {
        let folded = self.scalars.folded(address);
        let base = self.scalar(folded.base)?;
        let index = match folded.index {
            Some((s, scale)) => Some((self.scalar(s)?, scale)),
            None => None,
        };
        Ok(Place {
            base: PlaceBase::Reg(base),
            index,
            offset: folded.offset,
            broadcast: false,
        })
    }

    /// The address of a place in one register, so that lanes can be added to it.
    pub fn plain(&mut self, place: Place) -> Place {
        let v = self.general();
        self.push(Inst::new(Code::Lea_r64_m).def(v, View::R64).memory(place));
        Place::at(v)
    }

    fn begin(&mut self, block: Block) {
        self.m.begin(block);
        self.block = block;
    }

    fn end(&mut self, flow: Flow) {
        self.m.end(self.block, flow);
    }

    fn statements(&mut self, body: &[Stmt]) -> Result<()> {
        body.iter().try_for_each(|stmt| self.statement(stmt))
    }

    fn statement(&mut self, stmt: &Stmt) -> Result<()> {
        match stmt {
            Stmt::Let(r, Op::Const(bits)) => {
                self.regs[r.0 as usize] = Slot::Const(*bits);
                Ok(())
            }
            Stmt::Let(r, op) => {
                let kind = self.kind(*r)?;
                let value = self.op(kind, op)?;
                self.regs[r.0 as usize] = Slot::Val(value);
                Ok(())
            }
            Stmt::Scalar(s, op) => self.define_scalar(*s, *op),
            Stmt::Set(var, r) => {
                let (kind, mut value) = (self.kind(*r)?, self.reg(*r)?);
                if kind.class == Class::Mask {
                    // One form for all values of a variable.
                    value = Val::One(self.narrow_mask(value));
                }
                self.vars[var.0 as usize] = Some(value);
                Ok(())
            }
            Stmt::Store {
                mem,
                address,
                access,
                value,
                mask,
                non_temporal: true,
            } => match (access, mask) {
                (MemAccess::Contiguous, None) => self.stream(*mem, *address, *value),
                _ => Err(malformed("a part of a vector goes past the caches")),
            },
            Stmt::Store {
                mem,
                address,
                access,
                value,
                mask,
                non_temporal: false,
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
                let s = self.scalar(*s)?;
                self.test(s);
                self.conditional(body)
            }
            Stmt::IfAny(mask, body) => {
                let kind = self.kind(*mask)?;
                let mask = self.reg(*mask)?;
                let bits = self.mask_bits(mask, kind);
                self.test(bits);
                self.conditional(body)
            }
            Stmt::Fault {
                mask,
                fault,
                value,
                bound,
            } => self.fault(*mask, *fault, *value, *bound),
        }
    }

    /// Sets the flags by a register.
    pub fn test(&mut self, v: VReg) {
        let test = Inst::new(Code::Test_rm64_r64);
        self.push(test.read(v, View::R64).read(v, View::R64));
    }

    /// A variable's value; zero where nothing was set before.
    pub fn get(&mut self, var: VarId) -> Result<Val> {
        let &(class, lanes) = { self.f.vars.get(var.0 as usize) }
            .ok_or_else(|| malformed(format_args!("variable {} does not exist", var.0)))?;
        if let Some(value) = self.vars[var.0 as usize] {
            return Ok(value);
        }
        let kind = Kind::of((class, lanes));
        Ok(self.constant(kind, 0))
    }

    /// The variables that carry values out of a body or around it, with the values they have before.
    fn carried(&mut self, body: &[Stmt]) -> Result<Vec<(VarId, Val)>> {
        let vars = self.variables.carried(body);
        { vars.into_iter() }
            .map(|var| Ok((var, self.get(var)?)))
            .collect()
    }

    /// Gives the variables new values, as parameters of a block.
    fn meet(&mut self, block: Block, vars: &[(VarId, Val)]) {
        for (var, value) in vars {
            let class = value.first().class();
            let fresh = value.map(|_| self.m.param(block, class));
            self.vars[var.0 as usize] = Some(fresh);
        }
    }

    /// The variables' values now.
    fn arguments(&self, vars: &[(VarId, Val)]) -> SmallVec<[VReg; 4]> {
        let values = vars.iter().filter_map(|(var, _)| self.vars[var.0 as usize]);
        values.flat_map(|v| v.parts().to_vec()).collect()
    }

    /// One test in front and one at the end of the body, so that an iteration has one branch.
    fn for_loop(
        &mut self,
        [counter, after, from, to]: [Scalar; 4],
        step: i64,
        body: &[Stmt],
    ) -> Result<()> {
        let step = { i32::try_from(step).ok().filter(|s| *s > 0) }
            .ok_or_else(|| malformed(format_args!("a loop steps by {step}")))?;
        let (first, limit) = (self.scalar(from)?, self.scalar(to)?);
        let vars = self.carried(body)?;
        let before: SmallVec<[VReg; 4]> =
            vars.iter().flat_map(|(_, v)| v.parts().to_vec()).collect();
        let last = self.add_number(limit, -step);
        let [enter, inside, skip, again, leave, outside] = [(); 6].map(|()| self.m.block());
        let index = self.m.param(inside, RegClass::Int);
        let end = self.m.param(outside, RegClass::Int);
        let with = |first: VReg, rest: &[VReg]| -> SmallVec<[VReg; 4]> {
            std::iter::once(first).chain(rest.iter().copied()).collect()
        };
        self.compare(first, last);
        self.end(Flow::Branch(Condition::LessOrEqual, enter, skip));
        self.begin(skip);
        self.end(jump(outside, &with(first, &before)));
        self.begin(enter);
        let kept = self.keep_constants(body);
        self.end(jump(inside, &with(first, &before)));
        self.m.blocks[inside.index()].aligned = true;
        self.meet(inside, &vars);
        self.begin(inside);
        self.scalars.at[counter.0 as usize] = Some(index);
        self.statements(body)?;
        self.kept = kept;
        let next = self.add_number(index, step);
        let values = with(next, &self.arguments(&vars));
        self.compare(next, last);
        self.end(Flow::Branch(Condition::LessOrEqual, again, leave));
        self.begin(again);
        self.end(jump(inside, &values));
        self.begin(leave);
        self.end(jump(outside, &values));
        self.meet(outside, &vars);
        self.begin(outside);
        self.scalars.at[after.0 as usize] = Some(end);
        Ok(())
    }

    /// Brings constants into registers for a loop; those kept so far.
    fn keep_constants(&mut self, body: &[Stmt]) -> FxHashMap<Constant, VReg> {
        let before = self.kept.clone();
        for (bits, lane) in self.constants.of_loop(body) {
            let class = if bits == 64 { Class::I64 } else { Class::I32 };
            let v = self.splat_const(class, lane);
            self.kept.insert((bits, lane), v);
        }
        before
    }

    /// Runs the body if the flags say not zero.
    fn conditional(&mut self, body: &[Stmt]) -> Result<()> {
        // What variables hold before is computed in front of the branch: moves leave the flags alone, but
        // constants need not.
        let flags = self.m.insts.pop();
        let vars = self.carried(body)?;
        self.m.insts.extend(flags);
        let before: SmallVec<[VReg; 4]> =
            vars.iter().flat_map(|(_, v)| v.parts().to_vec()).collect();
        let [inside, skip, outside] = [(); 3].map(|()| self.m.block());
        self.end(Flow::Branch(Condition::NotZero, inside, skip));
        self.begin(skip);
        self.end(jump(outside, &before));
        for (var, value) in &vars {
            self.vars[var.0 as usize] = Some(*value);
        }
        self.begin(inside);
        self.statements(body)?;
        let after = self.arguments(&vars);
        self.end(jump(outside, &after));
        self.meet(outside, &vars);
        self.begin(outside);
        Ok(())
    }

    /// The first fault wins the status word by compare and exchange and then describes itself.
    fn fault(&mut self, mask: Reg, fault: u32, value: Reg, bound: Scalar) -> Result<()> {
        let (mask_kind, kind) = (self.kind(mask)?, self.kind(value)?);
        let (mask, value) = (self.reg(mask)?, self.reg(value)?);
        let bound = self.scalar(bound)?;
        let bits = self.mask_bits(mask, mask_kind);
        let [cold, win, lost, skip, done] = [(); 5].map(|()| self.m.block());
        self.test(bits);
        self.end(Flow::Branch(Condition::NotZero, cold, skip));
        self.begin(skip);
        self.end(jump(done, &[]));
        self.begin(cold);
        let lane = self.general();
        let first = Inst::new(Code::Tzcnt_r64_rm64);
        self.push(first.def(lane, View::R64).read(bits, View::R64));
        self.spill(value, kind, 0);
        let base = self.plain(Place::frame(0));
        let value = self.general();
        let at = Place {
            index: Some((lane, 8)),
            ..base
        };
        let load = Inst::new(Code::Mov_r64_rm64).def(value, View::R64);
        self.push(load.memory(at));
        let status = |offset: usize| Place::at(self.args[3]).plus(offset as i32);
        let [word, what, limit] = [
            offset_of!(Status, fault),
            offset_of!(Status, value),
            offset_of!(Status, bound),
        ]
        .map(status);
        let (clear, number) = (self.number(0), self.number(i64::from(fault) + 1));
        let before = self.general();
        let mut exchange = Inst::new(Code::Cmpxchg_rm64_r64);
        exchange.operand(Operand::reg_fixed_use(clear, gpr::RAX));
        exchange.operand(Operand::reg_fixed_def(before, gpr::RAX));
        let mut exchange = exchange.memory(word).read(number, View::R64);
        exchange.lock = true;
        self.push(exchange);
        self.end(Flow::Branch(Condition::Zero, win, lost));
        self.begin(lost);
        self.end(jump(done, &[]));
        self.begin(win);
        for (place, v) in [(what, value), (limit, bound)] {
            let store = Inst::new(Code::Mov_rm64_r64).memory(place);
            self.push(store.read(v, View::R64));
        }
        self.end(jump(done, &[]));
        self.begin(done);
        Ok(())
    }

    /// Sets the flags by `a - b`.
    fn compare(&mut self, a: VReg, b: VReg) {
        let compare = Inst::new(Code::Cmp_r64_rm64);
        self.push(compare.read(a, View::R64).read(b, View::R64));
    }

    /// `v + n`.
    pub fn add_number(&mut self, v: VReg, n: i32) -> VReg {
        let sum = self.general();
        let lea = Inst::new(Code::Lea_r64_m).def(sum, View::R64);
        self.push(lea.memory(Place::at(v).plus(n)));
        sum
    }

    fn define_scalar(&mut self, s: Scalar, op: ScalarOp) -> Result<()> {
        if !self.scalars.needed[s.0 as usize] {
            return Ok(());
        }
        let [buffers, sizes, bounds, _] = self.args;
        let argument = |base: VReg, n: u32, scale: i32, more: i32| {
            let offset = i32::try_from(n).ok().and_then(|n| n.checked_mul(scale));
            let offset = offset.and_then(|o| o.checked_add(more));
            let offset = offset.ok_or_else(|| malformed(format_args!("argument number {n}")))?;
            Ok::<_, CodegenError>(Place::at(base).plus(offset))
        };
        let from = match op {
            ScalarOp::Const(_) => return Ok(()),
            ScalarOp::Buffer(n) => argument(buffers, n, 8, 0)?,
            ScalarOp::Size(n) => argument(sizes, n, 8, 0)?,
            ScalarOp::From(n) => argument(bounds, n, 16, 0)?,
            ScalarOp::To(n) => argument(bounds, n, 16, 8)?,
            ScalarOp::Pool(n) => {
                let offset = i32::try_from(n).map_err(malformed)?;
                let place = self.plain(Place::new(PlaceBase::Pool, offset));
                if let PlaceBase::Reg(v) = place.base {
                    self.scalars.at[s.0 as usize] = Some(v);
                }
                return Ok(());
            }
            ScalarOp::Lane(r) => {
                let value = self.reg(r)?.first();
                let v = self.lane_to(Class::I64, value);
                self.scalars.at[s.0 as usize] = Some(v);
                return Ok(());
            }
            ScalarOp::Add(a, b)
            | ScalarOp::Sub(a, b)
            | ScalarOp::Mul(a, b)
            | ScalarOp::FloorDiv(a, b)
            | ScalarOp::Mod(a, b)
            | ScalarOp::Min(a, b)
            | ScalarOp::Max(a, b)
            | ScalarOp::Less(a, b) => {
                let v = self.arithmetic(op, a, b)?;
                self.scalars.at[s.0 as usize] = Some(v);
                return Ok(());
            }
        };
        let v = self.general();
        let load = Inst::new(Code::Mov_r64_rm64).def(v, View::R64);
        self.push(load.memory(from));
        self.scalars.at[s.0 as usize] = Some(v);
        Ok(())
    }

    /// Powers of two become shifts.
    fn arithmetic(&mut self, op: ScalarOp, a: Scalar, b: Scalar) -> Result<VReg> {
        let power = |n: Option<i64>| {
            n.filter(|n| *n > 0 && n.count_ones() == 1)
                .map(|n| n.trailing_zeros() as u8)
        };
        let shift = match (op, power(self.known_scalar(a)), power(self.known_scalar(b))) {
            (ScalarOp::Mul(..), _, Some(n)) => Some((Code::Shl_rm64_imm8, a, n)),
            (ScalarOp::Mul(..), Some(n), None) => Some((Code::Shl_rm64_imm8, b, n)),
            (ScalarOp::FloorDiv(..), _, Some(n)) => Some((Code::Sar_rm64_imm8, a, n)),
            (ScalarOp::Mod(..), _, Some(n)) => {
                let (x, bits) = (self.scalar(a)?, self.number((1i64 << n) - 1));
                return Ok(self.general2(Code::And_r64_rm64, x, bits));
            }
            _ => None,
        };
        if let Some((code, x, n)) = shift {
            let x = self.scalar(x)?;
            return Ok(self.shift_general(code, x, n));
        }
        let (x, y) = (self.scalar(a)?, self.scalar(b)?);
        Ok(match op {
            ScalarOp::Add(..) => self.general2(Code::Add_r64_rm64, x, y),
            ScalarOp::Sub(..) => self.general2(Code::Sub_r64_rm64, x, y),
            ScalarOp::FloorDiv(..) => self.floor_div(x, y)[0],
            ScalarOp::Mod(..) => self.floor_div(x, y)[1],
            ScalarOp::Min(..) => self.if_less(x, y, [x, y]),
            ScalarOp::Max(..) => self.if_less(x, y, [y, x]),
            ScalarOp::Less(..) => {
                let (one, zero) = (self.number(1), self.number(0));
                self.if_less(x, y, [one, zero])
            }
            _ => self.general2(Code::Imul_r64_rm64, x, y),
        })
    }

    /// An operation on general registers.
    pub fn general2(&mut self, code: Code, x: VReg, y: VReg) -> VReg {
        let result = self.general();
        let inst = Inst::new(code).update(result, x, View::R64);
        self.push(inst.read(y, View::R64));
        result
    }

    /// A shift of a general register.
    pub fn shift_general(&mut self, code: Code, x: VReg, count: u8) -> VReg {
        let result = self.general();
        let inst = Inst::new(code).update(result, x, View::R64);
        self.push(inst.imm8(count));
        result
    }

    /// `x < y ? yes : no`.
    fn if_less(&mut self, x: VReg, y: VReg, [yes, no]: [VReg; 2]) -> VReg {
        self.compare(x, y);
        self.general2(Code::Cmovl_r64_rm64, no, yes)
    }

    /// Quotient towards minus infinity and remainder; divisors below 1 count as 1, so that no
    /// program traps.
    fn floor_div(&mut self, x: VReg, y: VReg) -> [VReg; 2] {
        let one = self.number(1);
        let y = self.if_less(y, one, [one, y]);
        let [quotient, rest] = self.divide(Code::Idiv_rm64, x, y);
        let sign = self.shift_general(Code::Sar_rm64_imm8, rest, 63);
        let correction = self.general2(Code::And_r64_rm64, sign, y);
        [
            self.general2(Code::Add_r64_rm64, quotient, sign),
            self.general2(Code::Add_r64_rm64, rest, correction),
        ]
    }

    /// Quotient and remainder, truncating, by a signed or unsigned division of 64 bits.
    pub fn divide(&mut self, code: Code, x: VReg, y: VReg) -> [VReg; 2] {
        let upper = if code == Code::Idiv_rm64 {
            self.shift_general(Code::Sar_rm64_imm8, x, 63)
        } else {
            self.number(0)
        };
        let [quotient, rest] = [(); 2].map(|()| self.general());
        let mut inst = Inst::new(code).read(y, View::R64);
        inst.operand(Operand::reg_fixed_use(x, gpr::RAX));
        inst.operand(Operand::reg_fixed_use(upper, gpr::RDX));
        inst.operand(Operand::reg_fixed_def(quotient, gpr::RAX));
        inst.operand(Operand::reg_fixed_def(rest, gpr::RDX));
        self.push(inst);
        [quotient, rest]
    }

    /// What an operation yields; `kind` is the result's.
    fn op(&mut self, kind: Kind, op: &Op) -> Result<Val> {
        match *op {
            Op::Const(bits) => Ok(self.constant(kind, bits)),
            Op::Splat(s) => {
                let s = self.scalar(s)?;
                self.ramp(kind, s, 0)
            }
            Op::Ramp(s, step) => {
                let s = self.scalar(s)?;
                self.ramp(kind, s, step)
            }
            Op::Get(var) => self.get(var),
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
            Op::Fma(a, b, c) => self.multiply_add(kind, [a, b, c]),
            Op::Compare(f, a, b) => self.compare_lanes(f, a, b),
            Op::Select(mask, a, b) => self.select(kind, [mask, a, b]),
            Op::Convert(f, a) => {
                let from = self.kind(a)?;
                let a = self.reg(a)?;
                self.convert(kind, from, f, a)
            }
            Op::Horizontal(f, a) => self.horizontal(f, a),
            Op::SplatLane(a) => {
                let a = self.reg(a)?;
                Ok(self.splat(kind, a))
            }
        }
    }
}
