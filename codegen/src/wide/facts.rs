//! What is known of a function before instructions are chosen: which registers are used only once, how
//! scalars are computed, and which constants a loop should keep in registers.

use super::ops::commutes;
use super::target::{Masks, Target};
use super::value::Kind;
use crate::vector::{Class, Function, Op, Reg, Scalar, ScalarOp, Stmt, Un, VarId, statements};
use regalloc2::VReg;
use rustc_hash::FxHashMap;

/// Which registers are used but once, and that in the innermost loop around their definition.
pub(super) struct Uses {
    pub last: Vec<bool>,
    used: Vec<bool>,
    /// Numbers of loops.
    defined: Vec<u32>,
    loops: u32,
}

impl Uses {
    pub fn new(f: &Function) -> Uses {
        let count = f.regs.len();
        let mut uses = Uses {
            last: vec![false; count],
            used: vec![false; count],
            defined: vec![0; count],
            loops: 0,
        };
        uses.block(&f.body, 0);
        uses
    }

    fn block(&mut self, body: &[Stmt], inside: u32) {
        for stmt in body {
            stmt.registers().for_each(|r| self.read(r, inside));
            if let Stmt::Let(r, _) = stmt {
                self.defined[r.0 as usize] = inside;
            }
            let within = match stmt {
                Stmt::For { .. } => {
                    self.loops += 1;
                    self.loops
                }
                _ => inside,
            };
            self.block(stmt.body().unwrap_or_default(), within);
        }
    }

    fn read(&mut self, r: Reg, inside: u32) {
        let n = r.0 as usize;
        self.last[n] = !self.used[n] && self.defined[n] == inside;
        self.used[n] = true;
    }
}

/// Scalars: how each is computed, which are needed in registers, and where these are.
pub(super) struct Scalars {
    ops: Vec<Option<ScalarOp>>,
    pub needed: Vec<bool>,
    pub at: Vec<Option<VReg>>,
}

/// An address as machines have it: base, index times scale, offset.
pub(super) struct Folded {
    pub base: Scalar,
    pub index: Option<(Scalar, u32)>,
    pub offset: i32,
}

impl Scalars {
    pub fn new(f: &Function) -> Scalars {
        let count = f.scalars as usize;
        let mut scalars = Scalars {
            ops: vec![None; count],
            needed: vec![false; count],
            at: vec![None; count],
        };
        for stmt in statements(&f.body) {
            if let Stmt::Scalar(s, op) = stmt {
                scalars.ops[s.0 as usize] = Some(*op);
            }
        }
        statements(&f.body).for_each(|stmt| scalars.uses(stmt));
        // Operands are numbered before what is computed from them.
        for s in (0..count).rev() {
            if let (true, Some(op)) = (scalars.needed[s], scalars.ops[s]) {
                let operands = op.operands();
                operands.into_iter().flatten().for_each(|s| scalars.need(s));
            }
        }
        scalars
    }

    /// Marks what a statement needs whatever is done with its result.
    fn uses(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Let(
                _,
                Op::Load {
                    address, access, ..
                },
            )
            | Stmt::Store {
                address, access, ..
            } => {
                let folded = self.folded(*address);
                self.need(folded.base);
                let index = folded.index.map(|(s, _)| s);
                index
                    .into_iter()
                    .chain(access.stride())
                    .for_each(|s| self.need(s));
            }
            Stmt::Scalar(..) => {}
            _ => stmt.scalars().for_each(|s| self.need(s)),
        }
    }

    fn need(&mut self, s: Scalar) {
        self.needed[s.0 as usize] = true;
    }

    fn op(&self, s: Scalar) -> Option<ScalarOp> {
        self.ops.get(s.0 as usize).copied().flatten()
    }

    pub fn constant(&self, s: Scalar) -> Option<i64> {
        match self.op(s) {
            Some(ScalarOp::Const(c)) => Some(c),
            _ => None,
        }
    }

    /// `x * scale` with a scale that addresses have.
    fn scaled(&self, s: Scalar) -> (Scalar, u32) {
        let Some(ScalarOp::Mul(x, y)) = self.op(s) else {
            return (s, 1);
        };
        for (x, scale) in [(x, self.constant(y)), (y, self.constant(x))] {
            if let Some(scale @ (1 | 2 | 4 | 8)) = scale {
                return (x, scale as u32);
            }
        }
        (s, 1)
    }

    pub fn folded(&self, s: Scalar) -> Folded {
        let mut folded = Folded {
            base: s,
            index: None,
            offset: 0,
        };
        // Constants on top, then one sum.
        while let Some(ScalarOp::Add(x, y)) = self.op(folded.base) {
            let (rest, c) = match (self.constant(x), self.constant(y)) {
                (_, Some(c)) => (x, c),
                (Some(c), _) => (y, c),
                (None, None) => {
                    let (a, b) = (self.scaled(x), self.scaled(y));
                    let (base, index) = if a.1 > 1 { (y, a) } else { (x, b) };
                    folded.base = base;
                    folded.index = Some(index);
                    return folded;
                }
            };
            let offset = i32::try_from(c)
                .ok()
                .and_then(|c| folded.offset.checked_add(c));
            // Some room for what accesses add.
            let Some(offset) = offset.filter(|o| o.abs() < 1 << 30) else {
                return folded;
            };
            (folded.base, folded.offset) = (rest, offset);
        }
        folded
    }
}

/// Where variables are read and written.
pub(super) struct Variables {
    /// How often, in all of the function.
    total: Vec<u32>,
    /// Those that live in one body.
    local: Vec<bool>,
}

/// The same in one body.
struct Accesses {
    count: Vec<u32>,
    /// Those that are written.
    set: Vec<bool>,
    /// Those that are written before anything else is done with them, whatever happens.
    fresh: Vec<bool>,
}

impl Accesses {
    fn new(vars: usize) -> Accesses {
        Accesses {
            count: vec![0; vars],
            set: vec![false; vars],
            fresh: vec![false; vars],
        }
    }

    fn block(&mut self, body: &[Stmt], always: bool) {
        for stmt in body {
            match stmt {
                Stmt::Let(_, Op::Get(var)) => self.count[var.0 as usize] += 1,
                Stmt::Set(var, _) => {
                    let var = var.0 as usize;
                    self.fresh[var] |= always && self.count[var] == 0;
                    self.set[var] = true;
                    self.count[var] += 1;
                }
                _ => self.block(stmt.body().unwrap_or_default(), false),
            }
        }
    }
}

impl Variables {
    pub fn new(f: &Function) -> Variables {
        let mut all = Accesses::new(f.vars.len());
        all.block(&f.body, true);
        let mut variables = Variables {
            total: all.count,
            local: vec![false; f.vars.len()],
        };
        for body in statements(&f.body).filter_map(Stmt::body) {
            variables.mark_local(body);
        }
        variables
    }

    fn mark_local(&mut self, body: &[Stmt]) {
        let inside = self.accesses(body);
        for (v, local) in self.local.iter_mut().enumerate() {
            *local |= inside.fresh[v] && inside.count[v] == self.total[v];
        }
    }

    fn accesses(&self, body: &[Stmt]) -> Accesses {
        let mut inside = Accesses::new(self.total.len());
        inside.block(body, true);
        inside
    }

    /// The variables that carry values out of a body or from one run of it to the next: all that it writes, except for
    /// those that nothing outside of it touches and that are written afresh in it, or in a body inside.
    pub fn carried(&self, body: &[Stmt]) -> Vec<VarId> {
        let inside = self.accesses(body);
        (0..self.total.len())
            .filter(|&v| inside.set[v] && !(self.local[v] && inside.count[v] == self.total[v]))
            .map(|v| VarId(v as u32))
            .collect()
    }
}

/// A constant of vectors: bits of a lane, and the lane's bits.
pub(super) type Constant = (u32, u64);

/// The constants that the loops of a function should keep in registers.
pub(super) struct Constants<'a> {
    f: &'a Function,
    target: &'static Target,
    /// Of registers that are constants.
    known: Vec<Option<u64>>,
}

impl<'a> Constants<'a> {
    pub fn new(f: &'a Function, target: &'static Target) -> Constants<'a> {
        let mut known = vec![None; f.regs.len()];
        for stmt in statements(&f.body) {
            if let Stmt::Let(r, Op::Const(bits)) = stmt {
                known[r.0 as usize] = Some(*bits);
            }
        }
        Constants { f, target, known }
    }

    fn kind(&self, r: Reg) -> Kind {
        let (class, lanes) = self.f.regs[r.0 as usize];
        Kind::of((class, lanes))
    }

    /// Vector registers that a register takes.
    fn vectors(&self, r: Reg) -> usize {
        let kind = self.kind(r);
        match (kind.class, self.known[r.0 as usize]) {
            (_, Some(_)) => 0,
            (Class::Mask, None) => usize::from(self.target.masks == Masks::Lanes),
            (Class::F32 | Class::F64 | Class::I32 | Class::I64, None) => kind.parts(),
        }
    }

    /// The constants that the body of a loop should find in registers, the most used first: as many as there are
    /// registers for beside the values that are alive at once. None for loops around loops.
    pub fn of_loop(&self, body: &[Stmt]) -> Vec<Constant> {
        let mut scan = Scan {
            constants: self,
            at: 0,
            alive: FxHashMap::default(),
            used: FxHashMap::default(),
        };
        if !scan.block(body, true) {
            return Vec::new();
        }
        let mut changes = vec![0i64; scan.at + 2];
        for (&r, &(from, to)) in &scan.alive {
            let vectors = self.vectors(r) as i64;
            changes[from] += vectors;
            changes[to.min(scan.at) + 1] -= vectors;
        }
        let mut now = 0;
        let alive = changes.into_iter().map(|change| {
            now += change;
            now
        });
        let most = alive.max().unwrap_or(0) as usize;
        let mut used: Vec<(Constant, u32)> = scan.used.into_iter().collect();
        used.sort_unstable_by_key(|&(constant, count)| (std::cmp::Reverse(count), constant));
        let taken = most + self.target.spare;
        used.truncate(self.target.vectors().saturating_sub(taken));
        used.into_iter().map(|(constant, _)| constant).collect()
    }
}

/// A walk through the body of a loop.
struct Scan<'a> {
    constants: &'a Constants<'a>,
    /// Statements passed.
    at: usize,
    /// From where to where each register is needed.
    alive: FxHashMap<Reg, (usize, usize)>,
    used: FxHashMap<Constant, u32>,
}

impl Scan<'_> {
    /// False if there is a loop inside. Constants are those of the body itself: conditions are rarely met.
    fn block(&mut self, body: &[Stmt], always: bool) -> bool {
        body.iter().all(|stmt| {
            self.at += 1;
            stmt.registers().for_each(|r| self.read(r, always));
            if let Stmt::Let(r, op) = stmt {
                if let Op::Binary(f, first, _) = *op
                    && !commutes(f)
                {
                    // The first operand is never in memory: without a register it costs an instruction.
                    self.read(first, always);
                }
                if let (Some(constant), true) = (self.implied(op), always) {
                    *self.used.entry(constant).or_default() += 1;
                }
                self.alive.insert(*r, (self.at, self.at));
            }
            !matches!(stmt, Stmt::For { .. }) && self.block(stmt.body().unwrap_or_default(), false)
        })
    }

    fn read(&mut self, r: Reg, always: bool) {
        let kind = self.constants.kind(r);
        match self.constants.known[r.0 as usize] {
            Some(bits) if always && kind.class != Class::Mask => {
                *self.used.entry((kind.class.bits(), bits)).or_default() += 1;
            }
            Some(_) => {}
            // What comes from outside is needed from the start to the end.
            None => {
                let at = self.at;
                { self.alive.entry(r) }
                    .and_modify(|(_, to)| *to = at.max(*to))
                    .or_insert((0, usize::MAX));
            }
        }
    }

    /// A constant that an operation's instruction needs.
    fn implied(&self, op: &Op) -> Option<Constant> {
        let Op::Unary(f, x) = *op else {
            return None;
        };
        let class = self.constants.kind(x).class;
        let sign = 1u64 << (class.bits() - 1);
        let bits = match (f, class.is_float()) {
            (Un::Neg, true) => sign,
            (Un::Abs, true) => sign - 1,
            _ => return None,
        };
        Some((class.bits(), bits))
    }
}
