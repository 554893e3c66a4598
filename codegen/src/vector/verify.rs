//! Checks that a function is well formed: every register and scalar is defined once, before its uses
//! and in their scope; variables are set on every path before they are read; classes and lanes
//! agree; pool addresses lie in the pool.

use super::{
    Class, Cmp, Conv, Function, MemAccess, Op, Reg, Scalar, ScalarOp, Stmt, VarId, eval, print,
};
use lazulite_ir::DType;
use std::fmt;

/// What is wrong with a function, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalid {
    /// The statement as text; empty for the function as a whole.
    pub statement: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.statement.is_empty() {
            write!(f, "invalid vector function: {}", self.what)
        } else {
            write!(
                f,
                "invalid vector code: {} in `{}`",
                self.what, self.statement
            )
        }
    }
}

impl std::error::Error for Invalid {}

/// Finds the first thing wrong with `function`.
pub fn verify(function: &Function) -> Result<(), Invalid> {
    let mut scope = Scope::new(function);
    scope.signature().and_then(|()| scope.block(&function.body))
}

/// State of a name on the way through the function.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Unknown,
    Live,
    OutOfScope,
}

struct Scope<'a> {
    function: &'a Function,
    regs: Vec<Name>,
    scalars: Vec<Name>,
    set: Vec<bool>,
    /// Names to forget at the end of the open blocks.
    live_regs: Vec<Reg>,
    live_scalars: Vec<Scalar>,
}

type Check = Result<(), String>;

fn ensure(condition: bool, message: impl FnOnce() -> String) -> Check {
    if condition { Ok(()) } else { Err(message()) }
}

impl<'a> Scope<'a> {
    fn new(function: &'a Function) -> Scope<'a> {
        Scope {
            function,
            regs: vec![Name::Unknown; function.regs.len()],
            scalars: vec![Name::Unknown; function.scalars as usize],
            set: vec![false; function.vars.len()],
            live_regs: Vec::new(),
            live_scalars: Vec::new(),
        }
    }

    fn signature(&self) -> Result<(), Invalid> {
        let lanes = self.function.lanes;
        let shapes = self.function.regs.iter().chain(&self.function.vars);
        let wrong = shapes.map(|s| s.1).find(|&n| n != 1 && n != lanes);
        let checked = ensure(lanes.is_power_of_two(), || {
            format!("{lanes} lanes are no power of two")
        });
        checked
            .and_then(|()| match wrong {
                Some(n) => Err(format!("a value of {n} lanes among 1 and {lanes}")),
                None => Ok(()),
            })
            .map_err(|what| Invalid {
                statement: String::new(),
                what,
            })
    }

    fn block(&mut self, body: &[Stmt]) -> Result<(), Invalid> {
        let (regs, scalars) = (self.live_regs.len(), self.live_scalars.len());
        let set = self.set.clone();
        for stmt in body {
            self.before(stmt).map_err(|what| self.invalid(stmt, what))?;
            if let Some(body) = stmt.body() {
                let outer = self.set.clone();
                self.block(body)?;
                self.set = outer;
            }
            self.after(stmt).map_err(|what| self.invalid(stmt, what))?;
        }
        self.set = set;
        for reg in self.live_regs.drain(regs..) {
            self.regs[reg.0 as usize] = Name::OutOfScope;
        }
        for scalar in self.live_scalars.drain(scalars..) {
            self.scalars[scalar.0 as usize] = Name::OutOfScope;
        }
        Ok(())
    }

    fn invalid(&self, stmt: &Stmt, what: String) -> Invalid {
        let mut statement = String::new();
        // Writing to a string does not fail.
        let _ = print::head(self.function, stmt, &mut statement);
        Invalid { statement, what }
    }

    /// Checks a statement's operands, and defines what its body may use.
    fn before(&mut self, stmt: &Stmt) -> Check {
        match stmt {
            Stmt::Let(reg, op) => {
                let shape = self.function.regs.get(reg.0 as usize);
                let &(class, lanes) = shape.ok_or_else(|| format!("unknown register {reg}"))?;
                self.op(class, lanes, *op)
            }
            Stmt::Scalar(_, op) => self.scalar_op(*op),
            Stmt::Set(var, value) => {
                let shape = self.var(*var)?;
                self.expect(*value, shape)?;
                self.set[var.0 as usize] = true;
                Ok(())
            }
            Stmt::Store {
                mem,
                address,
                access,
                value,
                mask,
                non_temporal,
            } => {
                let lanes = self.reg(*value)?.1;
                self.expect(*value, (Class::of(*mem), lanes))?;
                let is_whole = *access == MemAccess::Contiguous && mask.is_none() && lanes > 1;
                ensure(!non_temporal || is_whole, || {
                    "a store past the caches of less than whole vectors".into()
                })?;
                ensure(*access != MemAccess::Broadcast, || {
                    "a store to one element from all lanes".into()
                })?;
                self.memory(*mem, *address, *access, *mask, lanes)
            }
            Stmt::For {
                counter,
                from,
                to,
                step,
                ..
            } => {
                ensure(*step > 0, || format!("step {step} is not positive"))?;
                self.scalar(*from)?;
                self.scalar(*to)?;
                // Taken out of scope behind the loop.
                self.define_scalar(*counter)
            }
            Stmt::IfNonZero(scalar, _) => self.scalar(*scalar),
            Stmt::IfAny(mask, _) => {
                let lanes = self.reg(*mask)?.1;
                self.expect(*mask, (Class::Mask, lanes))
            }
            Stmt::Fault {
                mask, value, bound, ..
            } => {
                let lanes = self.reg(*mask)?.1;
                self.expect(*mask, (Class::Mask, lanes))?;
                self.expect(*value, (Class::I64, lanes))?;
                self.scalar(*bound)
            }
        }
    }

    /// Defines what a statement leaves behind.
    fn after(&mut self, stmt: &Stmt) -> Check {
        match stmt {
            Stmt::Let(reg, _) => {
                let state = &mut self.regs[reg.0 as usize];
                ensure(*state == Name::Unknown, || {
                    format!("{reg} is defined twice")
                })?;
                *state = Name::Live;
                self.live_regs.push(*reg);
                Ok(())
            }
            Stmt::Scalar(scalar, _) => self.define_scalar(*scalar),
            Stmt::For { counter, after, .. } => {
                self.scalars[counter.0 as usize] = Name::OutOfScope;
                self.define_scalar(*after)
            }
            Stmt::Set(..)
            | Stmt::Store { .. }
            | Stmt::IfNonZero(..)
            | Stmt::IfAny(..)
            | Stmt::Fault { .. } => Ok(()),
        }
    }

    fn define_scalar(&mut self, scalar: Scalar) -> Check {
        let state = self.scalars.get_mut(scalar.0 as usize);
        let state = state.ok_or_else(|| format!("unknown scalar {scalar}"))?;
        ensure(*state == Name::Unknown, || {
            format!("{scalar} is defined twice")
        })?;
        *state = Name::Live;
        self.live_scalars.push(scalar);
        Ok(())
    }

    fn reg(&self, reg: Reg) -> Result<(Class, u32), String> {
        let state = self.regs.get(reg.0 as usize);
        ensure(state == Some(&Name::Live), || {
            format!("{reg} is not defined here")
        })?;
        Ok(self.function.regs[reg.0 as usize])
    }

    fn expect(&self, reg: Reg, expected: (Class, u32)) -> Check {
        let (class, lanes) = self.reg(reg)?;
        ensure((class, lanes) == expected, || {
            format!(
                "{reg} is {class}x{lanes}, not {}x{}",
                expected.0, expected.1
            )
        })
    }

    fn all(&self, regs: &[Reg], expected: (Class, u32)) -> Check {
        regs.iter().try_for_each(|&reg| self.expect(reg, expected))
    }

    fn scalar(&self, scalar: Scalar) -> Check {
        let state = self.scalars.get(scalar.0 as usize);
        ensure(state == Some(&Name::Live), || {
            format!("{scalar} is not defined here")
        })
    }

    fn var(&self, var: VarId) -> Result<(Class, u32), String> {
        let shape = self.function.vars.get(var.0 as usize);
        shape.copied().ok_or_else(|| format!("unknown {var}"))
    }

    fn memory(
        &self,
        mem: DType,
        address: Scalar,
        access: MemAccess,
        mask: Option<Reg>,
        lanes: u32,
    ) -> Check {
        ensure(!mem.is_complex(), || format!("{mem} in memory"))?;
        self.scalar(address)?;
        match access {
            MemAccess::Contiguous | MemAccess::Broadcast => {}
            MemAccess::Strided(stride) => self.scalar(stride)?,
            MemAccess::Indexed(index) => self.expect(index, (Class::I64, lanes))?,
        }
        match mask {
            Some(mask) => self.expect(mask, (Class::Mask, lanes)),
            None => Ok(()),
        }
    }

    fn op(&self, class: Class, lanes: u32, op: Op) -> Check {
        let shape = (class, lanes);
        let exists = |known: bool, what: &str| ensure(known, || format!("no {what} on {class}"));
        match op {
            Op::Const(bits) => ensure(bits >> (class.bits() - 1) <= 1, || {
                format!("{bits:#x} is no {class}")
            }),
            Op::Splat(scalar) | Op::Ramp(scalar, _) => {
                self.scalar(scalar)?;
                exists(class.is_int(), "splat or ramp")
            }
            Op::Get(var) => {
                ensure(self.var(var)? == shape, || {
                    format!("{var} has another shape")
                })?;
                ensure(self.set[var.0 as usize], || format!("{var} may not be set"))
            }
            Op::Load {
                mem,
                address,
                access,
                mask,
            } => {
                exists(Class::of(mem) == class, "load of this type")?;
                self.memory(mem, address, access, mask, lanes)
            }
            Op::Unary(un, a) => {
                self.expect(a, shape)?;
                exists(eval::unary(un, class).is_some(), "such unary operation")
            }
            Op::Binary(bin, a, b) => {
                self.all(&[a, b], shape)?;
                exists(eval::binary(bin, class).is_some(), "such binary operation")
            }
            Op::Fma(a, b, c) => {
                self.all(&[a, b, c], shape)?;
                exists(class.is_float(), "fma")
            }
            Op::Compare(cmp, a, b) => {
                exists(class == Class::Mask, "result of a comparison")?;
                self.comparison(cmp, a, b, lanes)
            }
            Op::Select(mask, a, b) => {
                self.expect(mask, (Class::Mask, lanes))?;
                self.all(&[a, b], shape)
            }
            Op::Convert(conv, a) => self.conversion(conv, a, shape),
            Op::Horizontal(bin, a) => {
                let lanes_of_a = self.reg(a)?.1;
                self.expect(a, (class, lanes_of_a))?;
                exists(lanes == 1, "horizontal operation of several lanes")?;
                exists(
                    eval::horizontal(bin, class).is_some(),
                    "such horizontal operation",
                )
            }
            Op::SplatLane(a) => {
                self.expect(a, (class, 1))?;
                ensure(lanes == self.function.lanes, || {
                    "a splat to part of the lanes".into()
                })
            }
        }
    }

    fn comparison(&self, cmp: Cmp, a: Reg, b: Reg, lanes: u32) -> Check {
        let of = self.reg(a)?.0;
        self.expect(a, (of, lanes))?;
        self.expect(b, (of, lanes))?;
        ensure(eval::compare(cmp, of).is_some(), || {
            format!("no {cmp:?} on {of}")
        })
    }

    fn conversion(&self, conv: Conv, a: Reg, (class, lanes): (Class, u32)) -> Check {
        let from = self.reg(a)?.0;
        self.expect(a, (from, lanes))?;
        ensure(eval::convert(conv, from, class).is_some(), || {
            format!("no conversion {conv:?} from {from} to {class}")
        })
    }

    fn scalar_op(&self, op: ScalarOp) -> Check {
        for scalar in op.operands().into_iter().flatten() {
            self.scalar(scalar)?;
        }
        if let Some(reg) = op.register() {
            self.expect(reg, (Class::I64, 1))?;
        }
        if let ScalarOp::Pool(offset) = op {
            let len = self.function.pool.len();
            ensure((offset as usize) < len, || {
                format!("byte {offset} of a pool of {len}")
            })?;
        }
        Ok(())
    }
}
