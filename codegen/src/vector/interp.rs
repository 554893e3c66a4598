//! The reference interpreter of vector functions: the oracle of the machine backends.
//!
//! Buffers are byte slices. An address is a number whose upper bits name a region (buffer or
//! pool) and whose lower bits are an offset, so that an access outside its region is an error here
//! where machine code would touch foreign memory. What programs must not do (division by zero,
//! reading or writing out of bounds, writing to the pool) is an error too.

use super::class::{decode, encode};
use super::{
    Bin, Class, Function, Invalid, MemAccess, Op, Reg, Scalar, ScalarOp, Stmt, eval, verify,
};
use lazulite_ir::DType;
use std::fmt;

/// Bits of an address below the region number.
const REGION_SHIFT: u32 = 40;

/// What a function may read and write.
#[derive(Debug)]
pub struct Arguments<'a> {
    /// The buffers.
    pub buffers: Vec<&'a mut [u8]>,
    /// Values of the sizes.
    pub sizes: &'a [i64],
    /// From and to of every outer range's box.
    pub bounds: &'a [(i64, i64)],
}

/// The first fault that a function recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultRecord {
    /// Number of the fault.
    pub fault: u32,
    /// Offending value.
    pub value: i64,
    /// Bound it broke.
    pub bound: i64,
}

/// Why a function could not be run to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunError {
    /// The function is not well formed.
    Invalid(Invalid),
    /// An access outside memory.
    OutOfBounds {
        /// Buffer number, or none for what is not in a buffer (the pool, or nowhere).
        buffer: Option<usize>,
        /// Byte offset from the buffer's start.
        offset: i64,
        /// Bytes accessed.
        bytes: usize,
    },
    /// An argument that was not passed.
    MissingArgument(ScalarOp),
    /// A divisor that is zero (or not positive, for scalars).
    Divisor(i64),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Invalid(invalid) => invalid.fmt(f),
            RunError::OutOfBounds {
                buffer: Some(buffer),
                offset,
                bytes,
            } => write!(
                f,
                "access to {bytes} bytes at {offset} outside buffer {buffer}"
            ),
            RunError::OutOfBounds { offset, bytes, .. } => {
                write!(
                    f,
                    "access to {bytes} bytes at {offset:#x} outside every buffer"
                )
            }
            RunError::MissingArgument(op) => write!(f, "missing argument {op:?}"),
            RunError::Divisor(by) => write!(f, "division by {by}"),
        }
    }
}

impl std::error::Error for RunError {}

/// Verifies and runs a function.
pub fn run(function: &Function, arguments: Arguments<'_>) -> Result<Option<FaultRecord>, RunError> {
    verify(function).map_err(RunError::Invalid)?;
    let lanes = |shapes: &[(Class, u32)]| -> Vec<Vec<u64>> {
        shapes.iter().map(|s| vec![0; s.1 as usize]).collect()
    };
    let mut machine = Machine {
        function,
        arguments,
        regs: lanes(&function.regs),
        vars: lanes(&function.vars),
        scalars: vec![0; function.scalars as usize],
        fault: None,
    };
    machine.block(&function.body)?;
    Ok(machine.fault)
}

/// The state of a run. Indexing by register, scalar and variable is sound for verified functions.
struct Machine<'a> {
    function: &'a Function,
    arguments: Arguments<'a>,
    regs: Vec<Vec<u64>>,
    vars: Vec<Vec<u64>>,
    scalars: Vec<i64>,
    fault: Option<FaultRecord>,
}

/// A lane function of a verified function.
fn known<T>(lane: Option<T>) -> T {
    lane.expect("verified: the operation exists for the class")
}

impl Machine<'_> {
    fn block(&mut self, body: &[Stmt]) -> Result<(), RunError> {
        for stmt in body {
            self.stmt(stmt)?;
        }
        Ok(())
    }

    fn reg(&self, reg: Reg) -> &[u64] {
        &self.regs[reg.0 as usize]
    }

    fn class(&self, reg: Reg) -> Class {
        self.function.regs[reg.0 as usize].0
    }

    fn scalar(&self, scalar: Scalar) -> i64 {
        self.scalars[scalar.0 as usize]
    }

    fn any(&self, mask: Reg) -> bool {
        self.reg(mask).iter().any(|&lane| lane != 0)
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<(), RunError> {
        match stmt {
            Stmt::Let(reg, op) => {
                let mut out = std::mem::take(&mut self.regs[reg.0 as usize]);
                self.op(self.class(*reg), *op, &mut out)?;
                self.regs[reg.0 as usize] = out;
            }
            Stmt::Scalar(scalar, op) => self.scalars[scalar.0 as usize] = self.scalar_op(*op)?,
            Stmt::Set(var, value) => {
                self.vars[var.0 as usize].copy_from_slice(&self.regs[value.0 as usize]);
            }
            Stmt::Store {
                mem,
                address,
                access,
                value,
                mask,
                non_temporal: _,
            } => self.store(*mem, *address, *access, *value, *mask)?,
            Stmt::For {
                counter,
                after,
                from,
                to,
                step,
                body,
            } => {
                let range = (self.scalar(*from), self.scalar(*to));
                let end = self.rounds(*counter, range, *step, body)?;
                self.scalars[after.0 as usize] = end;
            }
            Stmt::IfNonZero(scalar, body) => {
                if self.scalar(*scalar) != 0 {
                    self.block(body)?;
                }
            }
            Stmt::IfAny(mask, body) => {
                if self.any(*mask) {
                    self.block(body)?;
                }
            }
            Stmt::Fault {
                mask,
                fault,
                value,
                bound,
            } => {
                let lane = self.reg(*mask).iter().position(|&lane| lane != 0);
                if let (Some(lane), None) = (lane, self.fault) {
                    self.fault = Some(FaultRecord {
                        fault: *fault,
                        value: self.reg(*value)[lane] as i64,
                        bound: self.scalar(*bound),
                    });
                }
            }
        }
        Ok(())
    }

    /// Runs a loop's body; gives the first counter value not run.
    fn rounds(
        &mut self,
        counter: Scalar,
        range: (i64, i64),
        step: i64,
        body: &[Stmt],
    ) -> Result<i64, RunError> {
        let (mut at, to) = range;
        while at.checked_add(step).is_some_and(|end| end <= to) {
            self.scalars[counter.0 as usize] = at;
            self.block(body)?;
            at += step;
        }
        Ok(at)
    }

    fn op(&self, class: Class, op: Op, out: &mut [u64]) -> Result<(), RunError> {
        let width = u64::MAX >> (64 - class.bits());
        match op {
            Op::Const(bits) => out.fill(bits),
            Op::Splat(scalar) => out.fill(self.scalar(scalar) as u64 & width),
            Op::Ramp(scalar, step) => {
                let mut value = self.scalar(scalar);
                for lane in out {
                    *lane = value as u64 & width;
                    value = value.wrapping_add(step);
                }
            }
            Op::Get(var) => out.copy_from_slice(&self.vars[var.0 as usize]),
            Op::Load {
                mem,
                address,
                access,
                mask,
            } => self.load(mem, address, access, mask, out)?,
            Op::Unary(un, a) => map1(out, self.reg(a), known(eval::unary(un, class))),
            Op::Binary(bin, a, b) => {
                let divides = matches!(bin, Bin::Div | Bin::DivU | Bin::Rem | Bin::RemU);
                if divides && class.is_int() && self.reg(b).contains(&0) {
                    return Err(RunError::Divisor(0));
                }
                map2(
                    out,
                    self.reg(a),
                    self.reg(b),
                    known(eval::binary(bin, class)),
                );
            }
            Op::Fma(a, b, c) => {
                let lane = known(eval::fma(class));
                let operands = self.reg(a).iter().zip(self.reg(b)).zip(self.reg(c));
                for (out, ((&a, &b), &c)) in out.iter_mut().zip(operands) {
                    *out = lane(a, b, c);
                }
            }
            Op::Compare(cmp, a, b) => {
                let lane = known(eval::compare(cmp, self.class(a)));
                map2(out, self.reg(a), self.reg(b), lane);
            }
            Op::Select(mask, a, b) => {
                let operands = self.reg(mask).iter().zip(self.reg(a)).zip(self.reg(b));
                for (out, ((&mask, &a), &b)) in out.iter_mut().zip(operands) {
                    *out = if mask != 0 { a } else { b };
                }
            }
            Op::Convert(conv, a) => {
                let lane = known(eval::convert(conv, self.class(a), class));
                map1(out, self.reg(a), lane);
            }
            Op::Horizontal(bin, a) => {
                let lane = known(eval::horizontal(bin, class));
                out.fill(halve(self.reg(a).to_vec(), lane));
            }
            Op::SplatLane(a) => out.fill(self.reg(a)[0]),
        }
        Ok(())
    }

    fn scalar_op(&self, op: ScalarOp) -> Result<i64, RunError> {
        let missing = RunError::MissingArgument(op);
        let arguments = &self.arguments;
        match op {
            ScalarOp::Const(value) => Ok(value),
            ScalarOp::Buffer(n) if (n as usize) < arguments.buffers.len() => {
                Ok(i64::from(n + 2) << REGION_SHIFT)
            }
            ScalarOp::Buffer(_) => Err(missing),
            ScalarOp::Size(n) => arguments.sizes.get(n as usize).copied().ok_or(missing),
            ScalarOp::From(n) => Ok(arguments.bounds.get(n as usize).ok_or(missing)?.0),
            ScalarOp::To(n) => Ok(arguments.bounds.get(n as usize).ok_or(missing)?.1),
            ScalarOp::Pool(offset) => Ok((1 << REGION_SHIFT) + i64::from(offset)),
            ScalarOp::Lane(reg) => Ok(self.reg(reg)[0] as i64),
            ScalarOp::Add(a, b)
            | ScalarOp::Sub(a, b)
            | ScalarOp::Mul(a, b)
            | ScalarOp::FloorDiv(a, b)
            | ScalarOp::Mod(a, b)
            | ScalarOp::Min(a, b)
            | ScalarOp::Max(a, b)
            | ScalarOp::Less(a, b) => {
                let by = self.scalar(b);
                eval::scalar(op, self.scalar(a), by).ok_or(RunError::Divisor(by))
            }
        }
    }

    // Memory.

    /// Address of a lane.
    fn lane_address(&self, mem: DType, address: Scalar, access: MemAccess, lane: usize) -> i64 {
        let base = self.scalar(address);
        let size = mem.size() as i64;
        base.wrapping_add(match access {
            MemAccess::Contiguous => lane as i64 * size,
            MemAccess::Broadcast => 0,
            MemAccess::Strided(stride) => self.scalar(stride).wrapping_mul(lane as i64),
            MemAccess::Indexed(index) => (self.reg(index)[lane] as i64).wrapping_mul(size),
        })
    }

    fn active(&self, mask: Option<Reg>, lane: usize) -> bool {
        mask.is_none_or(|mask| self.reg(mask)[lane] != 0)
    }

    fn load(
        &self,
        mem: DType,
        address: Scalar,
        access: MemAccess,
        mask: Option<Reg>,
        out: &mut [u64],
    ) -> Result<(), RunError> {
        for (lane, out) in out.iter_mut().enumerate() {
            if !self.active(mask, lane) {
                *out = 0;
                continue;
            }
            let at = self.lane_address(mem, address, access, lane);
            let (region, offset) = split(at);
            let memory: Option<&[u8]> = match region {
                1 => Some(&self.function.pool),
                n => buffer_number(n).and_then(|n| self.arguments.buffers.get(n).map(|b| &**b)),
            };
            let bytes =
                memory.and_then(|m| m.get(usize::try_from(offset).ok()?..)?.get(..mem.size()));
            let bytes = bytes.ok_or_else(|| out_of_bounds(at, mem))?;
            let mut bits = [0; 8];
            bits[..bytes.len()].copy_from_slice(bytes);
            *out = decode(mem, u64::from_le_bytes(bits));
        }
        Ok(())
    }

    fn store(
        &mut self,
        mem: DType,
        address: Scalar,
        access: MemAccess,
        value: Reg,
        mask: Option<Reg>,
    ) -> Result<(), RunError> {
        for lane in 0..self.reg(value).len() {
            if !self.active(mask, lane) {
                continue;
            }
            let at = self.lane_address(mem, address, access, lane);
            let bits = encode(mem, self.reg(value)[lane]);
            let (region, offset) = split(at);
            let memory = buffer_number(region).and_then(|n| self.arguments.buffers.get_mut(n));
            let bytes = memory.and_then(|m| {
                m.get_mut(usize::try_from(offset).ok()?..)?
                    .get_mut(..mem.size())
            });
            bytes
                .ok_or_else(|| out_of_bounds(at, mem))?
                .copy_from_slice(&bits.to_le_bytes()[..mem.size()]);
        }
        Ok(())
    }
}

fn map1(out: &mut [u64], a: &[u64], lane: fn(u64) -> u64) {
    for (out, &a) in out.iter_mut().zip(a) {
        *out = lane(a);
    }
}

fn map2(out: &mut [u64], a: &[u64], b: &[u64], lane: fn(u64, u64) -> u64) {
    for (out, (&a, &b)) in out.iter_mut().zip(a.iter().zip(b)) {
        *out = lane(a, b);
    }
}

/// All lanes combined, the lower half with the upper one until one is left.
fn halve(mut values: Vec<u64>, lane: fn(u64, u64) -> u64) -> u64 {
    while values.len() > 1 {
        let upper = values.split_off(values.len() / 2);
        for (low, high) in values.iter_mut().zip(upper) {
            *low = lane(*low, high);
        }
    }
    values[0]
}

/// Region and offset of an address; offsets may be negative.
fn split(address: i64) -> (i64, i64) {
    let region = address.wrapping_add(1 << (REGION_SHIFT - 1)) >> REGION_SHIFT;
    (region, address.wrapping_sub(region << REGION_SHIFT))
}

fn buffer_number(region: i64) -> Option<usize> {
    usize::try_from(region.checked_sub(2)?).ok()
}

fn out_of_bounds(address: i64, mem: DType) -> RunError {
    let (region, offset) = split(address);
    let buffer = buffer_number(region);
    RunError::OutOfBounds {
        buffer,
        offset: if buffer.is_some() { offset } else { address },
        bytes: mem.size(),
    }
}
