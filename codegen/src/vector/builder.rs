//! Builds a [`Function`]: numbers registers, scalars and variables, keeps the open blocks, and cleans
//! up while it builds.
//!
//! - Pure operations are value-numbered: asking for one that is available in an enclosing block gives
//!   the register that exists.
//! - Pure operations move out of counted loops that do not define their operands (but never out of a
//!   conditional block, and never operations that may trap, such as a division by an unknown number).
//! - Operations on constants are folded with the functions of the interpreter.
//! - What nothing uses is removed at the end.
//!
//! Operand classes are the caller's obligation: debug builds assert them, otherwise
//! the verifier reports what does not fit.

mod fold;
mod ops;
mod prune;

use super::{Class, Conv, Function, MemAccess, Op, Reg, Scalar, ScalarOp, Stmt, VarId};
use hashbrown::HashMap;
use lazulite_ir::DType;

/// Alignment of every piece of pool data.
const POOL_ALIGN: usize = 64;

/// What value numbering knows an operation by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Key {
    Reg(Class, u32, Op),
    Scalar(ScalarOp),
}

/// An open block.
#[derive(Debug)]
struct Block {
    kind: BlockKind,
    stmts: Vec<Stmt>,
    /// Numbered here, forgotten when the block closes.
    keys: Vec<Key>,
}

#[derive(Debug)]
enum BlockKind {
    Body,
    Loop {
        counter: Scalar,
        from: Scalar,
        to: Scalar,
        step: i64,
    },
    IfNonZero(Scalar),
    IfAny(Reg),
}

/// Builds one function; see the module.
#[derive(Debug)]
pub struct Builder {
    function: Function,
    blocks: Vec<Block>,
    /// Block depth at which each register is defined, and its value if it is a constant.
    regs: Vec<(u32, Option<u64>)>,
    /// The same for scalars.
    scalars: Vec<(u32, Option<i64>)>,
    /// What defines a scalar, for folding chains of additions.
    sums: HashMap<Scalar, (Scalar, i64)>,
    numbers: HashMap<Key, u32>,
    pool: HashMap<Vec<u8>, u32>,
    tables: bool,
}

impl Builder {
    /// An empty function whose full registers have `lanes` lanes (a power of two).
    pub fn new(lanes: u32) -> Builder {
        debug_assert!(lanes.is_power_of_two(), "lanes {lanes} is no power of two");
        Builder {
            function: Function {
                lanes,
                ..Function::default()
            },
            blocks: vec![Block {
                kind: BlockKind::Body,
                stmts: Vec::new(),
                keys: Vec::new(),
            }],
            regs: Vec::new(),
            scalars: Vec::new(),
            sums: HashMap::new(),
            numbers: HashMap::new(),
            pool: HashMap::new(),
            tables: false,
        }
    }

    /// For a machine with or without fast tables (`Caps::tables`).
    pub fn with_tables(self, tables: bool) -> Builder {
        Builder { tables, ..self }
    }

    /// Whether tables are fast.
    pub fn has_tables(&self) -> bool {
        self.tables
    }

    /// The finished function; every opened block must be closed.
    pub fn finish(mut self) -> Function {
        debug_assert_eq!(self.blocks.len(), 1, "blocks left open");
        self.function.body = std::mem::take(&mut self.blocks[0].stmts);
        prune::prune(&mut self.function);
        self.function
    }

    /// Lanes of full registers.
    pub fn lanes(&self) -> u32 {
        self.function.lanes
    }

    /// Class of a register.
    pub fn class(&self, x: Reg) -> Class {
        self.shape(x).0
    }

    /// Class and lanes of a register.
    pub fn shape(&self, x: Reg) -> (Class, u32) {
        self.function.regs[x.0 as usize]
    }

    /// The bits of a register known to be constant.
    pub fn known(&self, x: Reg) -> Option<u64> {
        self.regs[x.0 as usize].1
    }

    /// The value of a scalar known to be constant.
    pub fn known_scalar(&self, x: Scalar) -> Option<i64> {
        self.scalars[x.0 as usize].1
    }

    // Definitions.

    fn new_reg(&mut self, class: Class, lanes: u32, depth: usize, known: Option<u64>) -> Reg {
        let reg = Reg(self.function.regs.len() as u32);
        self.function.regs.push((class, lanes));
        self.regs.push((depth as u32, known));
        reg
    }

    fn new_scalar(&mut self, depth: usize, known: Option<i64>) -> Scalar {
        let scalar = Scalar(self.function.scalars);
        self.function.scalars += 1;
        self.scalars.push((depth as u32, known));
        scalar
    }

    fn depth(&self) -> usize {
        self.blocks.len() - 1
    }

    /// The block in which a pure operation goes whose operands are defined at depth `operands`: out of all
    /// loops, but not out of the innermost conditional block.
    fn home(&self, operands: u32) -> usize {
        let mut depth = self.depth();
        while depth > operands as usize {
            match self.blocks[depth].kind {
                BlockKind::Loop { .. } => depth -= 1,
                BlockKind::Body | BlockKind::IfNonZero(_) | BlockKind::IfAny(_) => break,
            }
        }
        depth
    }

    /// Appends a statement to the innermost open block.
    fn push(&mut self, stmt: Stmt) {
        let depth = self.depth();
        self.blocks[depth].stmts.push(stmt);
    }

    /// Defines a register by an operation that must stay where it is.
    fn define(&mut self, class: Class, lanes: u32, op: Op) -> Reg {
        let reg = self.new_reg(class, lanes, self.depth(), None);
        self.push(Stmt::Let(reg, op));
        reg
    }

    /// Defines a register by a pure operation: folds, finds or places it.
    fn pure(&mut self, class: Class, lanes: u32, op: Op) -> Reg {
        let op = match self.fold(class, lanes, op) {
            fold::Folded::Reg(reg) => return reg,
            fold::Folded::Op(op) => op,
        };
        let key = Key::Reg(class, lanes, op);
        if let Some(&reg) = self.numbers.get(&key) {
            return Reg(reg);
        }
        let depth = if self.may_trap(class, op) {
            self.depth()
        } else {
            self.home(self.operand_depth(op))
        };
        let known = match op {
            Op::Const(bits) => Some(bits),
            _ => None,
        };
        let reg = self.new_reg(class, lanes, depth, known);
        self.number(depth, key, reg.0);
        if let Op::Convert(Conv::Bits, x) = op {
            // Reading the bits back is free.
            let back = Key::Reg(self.class(x), lanes, Op::Convert(Conv::Bits, reg));
            self.number(depth, back, x.0);
        }
        self.blocks[depth].stmts.push(Stmt::Let(reg, op));
        reg
    }

    /// Defines a scalar: folds, finds or places it.
    fn scalar(&mut self, op: ScalarOp) -> Scalar {
        let op = match self.fold_scalar(op) {
            fold::FoldedScalar::Scalar(scalar) => return scalar,
            fold::FoldedScalar::Op(op) => op,
        };
        let key = Key::Scalar(op);
        if let Some(&scalar) = self.numbers.get(&key) {
            return Scalar(scalar);
        }
        let depth = if self.scalar_may_trap(op) {
            self.depth()
        } else {
            self.home(self.scalar_operand_depth(op))
        };
        let known = match op {
            ScalarOp::Const(value) => Some(value),
            _ => None,
        };
        let scalar = self.new_scalar(depth, known);
        if let ScalarOp::Add(a, b) = op
            && let Some(c) = self.known_scalar(b)
        {
            self.sums.insert(scalar, (a, c));
        }
        self.number(depth, key, scalar.0);
        self.blocks[depth].stmts.push(Stmt::Scalar(scalar, op));
        scalar
    }

    fn number(&mut self, depth: usize, key: Key, number: u32) {
        self.numbers.insert(key.clone(), number);
        self.blocks[depth].keys.push(key);
    }

    /// Integer divisions must not run where the program would not have divided.
    fn may_trap(&self, class: Class, op: Op) -> bool {
        use super::Bin::{Div, DivU, Rem, RemU};
        match op {
            Op::Binary(Div | DivU | Rem | RemU, _, by) => {
                class.is_int() && self.known(by).is_none_or(|v| v == 0)
            }
            _ => false,
        }
    }

    fn scalar_may_trap(&self, op: ScalarOp) -> bool {
        match op {
            ScalarOp::FloorDiv(_, by) | ScalarOp::Mod(_, by) => {
                self.known_scalar(by).is_none_or(|v| v <= 0)
            }
            _ => false,
        }
    }

    /// Depth of the innermost definition among the operands of a pure operation.
    fn operand_depth(&self, op: Op) -> u32 {
        let reg = |r: Reg| self.regs[r.0 as usize].0;
        let scalar = |s: Scalar| self.scalars[s.0 as usize].0;
        match op {
            Op::Const(_) => 0,
            Op::Splat(s) | Op::Ramp(s, _) => scalar(s),
            Op::Unary(_, a) | Op::Convert(_, a) | Op::Horizontal(_, a) | Op::SplatLane(a) => reg(a),
            Op::Binary(_, a, b) | Op::Compare(_, a, b) => reg(a).max(reg(b)),
            Op::Fma(a, b, c) | Op::Select(a, b, c) => reg(a).max(reg(b)).max(reg(c)),
            Op::Get(_) | Op::Load { .. } => self.depth() as u32,
        }
    }

    fn scalar_operand_depth(&self, op: ScalarOp) -> u32 {
        let scalars = op.operands().into_iter().flatten();
        let scalars = scalars.map(|s| self.scalars[s.0 as usize].0);
        let register = op.register().map(|r| self.regs[r.0 as usize].0);
        scalars.chain(register).max().unwrap_or(0)
    }

    // Blocks.

    fn open(&mut self, kind: BlockKind) {
        self.blocks.push(Block {
            kind,
            stmts: Vec::new(),
            keys: Vec::new(),
        });
    }

    fn close(&mut self) -> (BlockKind, Vec<Stmt>) {
        let block = self.blocks.pop().expect("the body is always open");
        for key in &block.keys {
            self.numbers.remove(key);
        }
        (block.kind, block.stmts)
    }

    /// Opens a counted loop (see [`Stmt::For`]) and gives its counter; `step` is positive.
    pub fn open_loop(&mut self, from: Scalar, to: Scalar, step: i64) -> Scalar {
        debug_assert!(step > 0, "step {step} is not positive");
        let counter = self.new_scalar(self.blocks.len(), None);
        self.open(BlockKind::Loop {
            counter,
            from,
            to,
            step,
        });
        counter
    }

    /// Closes the innermost block, a loop, and gives the first counter value not run.
    pub fn close_loop(&mut self) -> Scalar {
        let after = self.new_scalar(self.depth().saturating_sub(1), None);
        let (kind, body) = self.close();
        match kind {
            BlockKind::Loop {
                counter,
                from,
                to,
                step,
            } => self.push(Stmt::For {
                counter,
                after,
                from,
                to,
                step,
                body,
            }),
            other => unreachable!("close_loop closes {other:?}"),
        }
        after
    }

    /// A counted loop around what `body` builds; gives the first counter value not run, and the body's
    /// result.
    pub fn for_loop<R>(
        &mut self,
        from: Scalar,
        to: Scalar,
        step: i64,
        body: impl FnOnce(&mut Builder, Scalar) -> R,
    ) -> (Scalar, R) {
        let counter = self.open_loop(from, to, step);
        let result = body(self, counter);
        (self.close_loop(), result)
    }

    /// Opens a block that runs if the scalar is not zero.
    pub fn open_if_nonzero(&mut self, scalar: Scalar) {
        self.open(BlockKind::IfNonZero(scalar));
    }

    /// Opens a block that runs if any lane of the mask is set.
    pub fn open_if_any(&mut self, mask: Reg) {
        self.open(BlockKind::IfAny(mask));
    }

    /// Closes the innermost block, a condition; an empty one leaves no trace.
    pub fn close_if(&mut self) {
        let (kind, body) = self.close();
        if body.is_empty() {
            return;
        }
        match kind {
            BlockKind::IfNonZero(scalar) => self.push(Stmt::IfNonZero(scalar, body)),
            BlockKind::IfAny(mask) => self.push(Stmt::IfAny(mask, body)),
            other => unreachable!("close_if closes {other:?}"),
        }
    }

    /// Runs what `body` builds if the scalar is not zero.
    pub fn if_nonzero<R>(&mut self, scalar: Scalar, body: impl FnOnce(&mut Builder) -> R) -> R {
        self.open_if_nonzero(scalar);
        let result = body(self);
        self.close_if();
        result
    }

    /// Runs what `body` builds if any lane of the mask is set.
    pub fn if_any<R>(&mut self, mask: Reg, body: impl FnOnce(&mut Builder) -> R) -> R {
        self.open_if_any(mask);
        let result = body(self);
        self.close_if();
        result
    }

    /// `values`, replaced by what `body` builds if any lane of the mask is set: the way to a rare, slow
    /// path. The body must itself keep the values of the lanes outside the mask.
    pub fn patch<const N: usize>(
        &mut self,
        mask: Reg,
        values: [Reg; N],
        body: impl FnOnce(&mut Builder) -> [Reg; N],
    ) -> [Reg; N] {
        if self.known(mask) == Some(0) {
            return values;
        }
        let vars = values.map(|value| {
            let (class, lanes) = self.shape(value);
            let var = self.var(class, lanes);
            self.set(var, value);
            var
        });
        self.if_any(mask, |b| {
            let better = body(b);
            for (var, value) in vars.into_iter().zip(better) {
                b.set(var, value);
            }
        });
        vars.map(|var| self.get(var))
    }

    // Variables, memory, faults, pool.

    /// A new variable; it must be set before it is read.
    pub fn var(&mut self, class: Class, lanes: u32) -> VarId {
        let var = VarId(self.function.vars.len() as u32);
        self.function.vars.push((class, lanes));
        var
    }

    /// What a variable holds.
    pub fn var_shape(&self, var: VarId) -> (Class, u32) {
        self.function.vars[var.0 as usize]
    }

    /// Writes a variable.
    pub fn set(&mut self, var: VarId, value: Reg) {
        debug_assert_eq!(self.function.vars[var.0 as usize], self.shape(value), "set");
        self.push(Stmt::Set(var, value));
    }

    /// The present value of a variable.
    pub fn get(&mut self, var: VarId) -> Reg {
        let (class, lanes) = self.var_shape(var);
        self.define(class, lanes, Op::Get(var))
    }

    /// Reads `lanes` elements of type `mem`; see [`Op::Load`].
    pub fn load(
        &mut self,
        mem: DType,
        lanes: u32,
        address: Scalar,
        access: MemAccess,
        mask: Option<Reg>,
    ) -> Reg {
        self.define(
            Class::of(mem),
            lanes,
            Op::Load {
                mem,
                address,
                access,
                mask,
            },
        )
    }

    /// Writes `value` as elements of type `mem`; see [`Stmt::Store`].
    pub fn store(
        &mut self,
        mem: DType,
        address: Scalar,
        access: MemAccess,
        value: Reg,
        mask: Option<Reg>,
        non_temporal: bool,
    ) {
        debug_assert_eq!(self.class(value), Class::of(mem), "store as {mem}");
        self.push(Stmt::Store {
            mem,
            address,
            access,
            value,
            mask,
            non_temporal,
        });
    }

    /// Records a fault for the first lane set in the mask, unless one is recorded already.
    pub fn fault(&mut self, mask: Reg, fault: u32, value: Reg, bound: Scalar) {
        debug_assert_eq!(self.class(value), Class::I64, "fault value");
        self.push(Stmt::Fault {
            mask,
            fault,
            value,
            bound,
        });
    }

    /// The address of constant data, 64-byte aligned; equal data is stored once.
    pub fn pool(&mut self, data: &[u8]) -> Scalar {
        let offset = match self.pool.get(data) {
            Some(&offset) => offset,
            None => {
                let pool = &mut self.function.pool;
                let offset = pool.len().next_multiple_of(POOL_ALIGN);
                pool.resize(offset, 0);
                pool.extend_from_slice(data);
                self.pool.insert(data.to_vec(), offset as u32);
                offset as u32
            }
        };
        self.scalar(ScalarOp::Pool(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_operations_share_a_register_while_it_is_available() {
        let mut b = Builder::new(4);
        let x = b.splat_f32(2.0);
        let n = b.size(0);
        let zero = b.s_const(0);
        let seen = b.for_loop(zero, n, 1, |b, i| {
            let lanes = b.splat(Class::I64, 4, i);
            (lanes, b.splat(Class::I64, 4, i))
        });
        assert_eq!(seen.1.0, seen.1.1);
        assert_eq!(x, b.splat_f32(2.0));
    }

    #[test]
    fn loop_invariants_move_out_of_loops_but_not_out_of_conditions() {
        let mut b = Builder::new(4);
        let (zero, n) = (b.s_const(0), b.size(0));
        let base = b.buffer(0);
        b.for_loop(zero, n, 4, |b, i| {
            let address = b.s_add(base, i);
            let x = b.load(DType::F32, 4, address, MemAccess::Contiguous, None);
            let two = b.splat_f32(2.0);
            let mask = b.lt(x, two);
            b.if_any(mask, |b| {
                let three = b.splat_f32(3.0);
                let access = MemAccess::Contiguous;
                b.store(DType::F32, address, access, three, None, false);
            });
        });
        let text = b.finish().to_string();
        let place = |what: &str| {
            text.find(what)
                .unwrap_or_else(|| panic!("no {what}: {text}"))
        };
        assert!(place("const 2.0") < place("for "));
        assert!(place("if any") < place("const 3.0"));
    }

    #[test]
    fn what_nothing_uses_disappears() {
        let mut b = Builder::new(4);
        let (zero, n) = (b.s_const(0), b.size(0));
        let var = b.var(Class::F32, 4);
        let x = b.splat_f32(2.0);
        b.for_loop(zero, n, 4, |b, _| b.set(var, x));
        assert_eq!(b.finish().body, []);
    }

    #[test]
    fn constants_fold_and_address_sums_collapse() {
        let mut b = Builder::new(4);
        let two = b.splat_f32(2.0);
        let three = b.splat_f32(3.0);
        let product = b.mul(two, three);
        assert_eq!(b.known(product), Some(u64::from(6f32.to_bits())));
        let n = b.size(0);
        let (four, eight) = (b.s_const(4), b.s_const(8));
        let a = b.s_add(n, four);
        let c = b.s_add(a, four);
        assert_eq!(c, b.s_add(eight, n));
    }

    #[test]
    fn pool_data_is_aligned_and_stored_once() {
        let mut b = Builder::new(4);
        let first = b.pool(&[1, 2, 3]);
        let second = b.pool(&[4]);
        assert_eq!(first, b.pool(&[1, 2, 3]));
        assert_ne!(first, second);
        assert_eq!(b.finish().pool.len(), 65);
    }
}
