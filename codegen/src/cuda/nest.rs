//! Outer points, stages, and accumulators.

use super::ctype;
use super::emit::{Emitter, Result};
use super::index::{is_small, variable, variable_type};
use super::shape::{self, Locals, Team};
use crate::CodegenError;
use crate::lower::register_bits;
use crate::vector::Class;
use lazulite_ir::{Combine, DType, Dim, Inst, InstOp, Stage, ValueId, Var, scalar_ops};

/// A sum under way.
struct Accumulator {
    value: ValueId,
    kind: Combine,
    /// The type of the value, and that in which it is formed.
    dtype: DType,
    wide: DType,
}

impl Emitter<'_> {
    /// All outer points, each by a team.
    pub(super) fn points(&mut self) -> Result<()> {
        let team = self.shape.team;
        let (class, size, per_block) = (team.class(), team.size(), team.per_block());
        self.line(format!("typedef {class} Team;"));
        if team != Team::One {
            self.line("const u32 rank = Team::rank();");
        }
        let place = match team {
            Team::Column => format!("% {per_block}u"),
            Team::One | Team::Warp | Team::Block => format!("/ {size}u"),
        };
        self.line(format!(
            "const i64 team = lz_block() * {per_block} + lz_thread() {place};"
        ));
        self.locals()?;
        let extents = self.point_extents()?;
        let points = self.dim(&Dim::product(&extents)?);
        let step = format!("lz_blocks() * {per_block}");
        if team == Team::Column {
            // A block's columns go on together, since they wait for each other.
            let first = format!("lz_block() * {per_block}");
            self.open(format!(
                "for (i64 start = {first}; start < {points}; start += {step})"
            ));
            // Those beyond the last point do it once more, and store nothing.
            self.line(format!("const i64 own = start + lz_thread() {place};"));
            self.line(format!("const bool live = own < {points};"));
            self.line(format!("const i64 point = live ? own : {points} - 1;"));
        } else {
            self.open(format!(
                "for (i64 point = team; point < {points}; point += {step})"
            ));
        }
        self.coordinates(&extents)?;
        match self.shape.pack {
            1 => self.stages()?,
            pack => self.packed_point(pack)?,
        }
        self.close();
        Ok(())
    }

    /// Extents of the ranges that points are numbered over: the last one in packs.
    fn point_extents(&self) -> Result<Vec<Dim>> {
        let mut extents = self.kernel.outer.clone();
        if let Some(last) = extents.last_mut() {
            *last = shape::packs(last, self.shape.pack)?;
        }
        Ok(extents)
    }

    /// Declares the loop variables of the outer ranges.
    fn coordinates(&mut self, extents: &[Dim]) -> Result<()> {
        let small = is_small(&Dim::product(extents)?);
        let ty = if small { "u32" } else { "i64" };
        if extents.is_empty() {
            return Ok(());
        }
        self.line(format!("{ty} rest = ({ty})point;"));
        for (i, extent) in extents.iter().enumerate().rev() {
            let (var, extent_text) = (variable(Var::Outer(i as u32)), self.dim(extent));
            let part = match i {
                0 => "rest".to_owned(),
                _ => format!("rest % ({ty}){extent_text}"),
            };
            let var_type = variable_type(&self.kernel.outer[i]);
            let packed = i + 1 == extents.len() && self.shape.pack > 1;
            let (name, scale) = match packed {
                true => ("first".to_owned(), format!(" * {}", self.shape.pack)),
                false => (var, String::new()),
            };
            self.line(format!(
                "const {var_type} {name} = ({var_type})({part}){scale};"
            ));
            if i > 0 {
                self.line(format!("rest /= ({ty}){extent_text};"));
            }
        }
        Ok(())
    }

    /// Declares the locals.
    fn locals(&mut self) -> Result<()> {
        let (size, per_block) = (self.shape.team.size(), self.shape.team.per_block());
        match (self.shape.locals.clone(), shape::local_bytes(self.kernel)?) {
            (Locals::Private, _) => {}
            (Locals::Shared, bytes) => {
                let bytes = bytes.as_const().unwrap_or(0);
                let pieces = bytes * per_block / 16;
                self.line(format!("LZ_SHARED LzPiece16 shared[{pieces}];"));
                self.line(format!(
                    "u8 *const own = (u8 *)shared + lz_thread() / {size} * {bytes};"
                ));
            }
            (Locals::Scratch(_), bytes) => {
                let bytes = self.dim(&bytes);
                self.line(format!("u8 *const own = scratch + team * {bytes};"));
            }
        }
        let mut at = Dim::ZERO;
        for (i, local) in self.kernel.locals.iter().enumerate() {
            let ty = ctype::memory(local.dtype);
            let (start, end) = shape::placed(&at, local.dtype.size() as i64, &local.len)?;
            at = end;
            if self.shape.locals == Locals::Private {
                // An array has an element at least.
                let len = local.len.as_const().unwrap_or(1).max(1);
                self.line(format!("{ty} l{i}[{len}];"));
            } else {
                let start = self.dim(&start);
                self.line(format!("{ty} *const l{i} = ({ty} *)(own + {start});"));
            }
        }
        Ok(())
    }

    /// Bytes of scratch of all teams.
    pub(super) fn scratch_bytes(&self) -> Result<Dim> {
        match &self.shape.locals {
            Locals::Private | Locals::Shared => Ok(Dim::ZERO),
            Locals::Scratch(bytes) => {
                let teams = Dim::constant(self.shape.team.per_block());
                Ok(self.shape.blocks.mul(&teams)?.mul(bytes)?)
            }
        }
    }

    /// A pack of points of a team of one.
    fn packed_point(&mut self, pack: u32) -> Result<()> {
        let last = self.kernel.outer.len() - 1;
        let extent = self.kernel.outer[last].clone();
        let insts = self.kernel.stages.iter().flat_map(|s| &s.insts);
        let insts: Vec<&Inst> = insts.collect();
        let var = Var::Outer(last as u32);
        self.pack_loop(var, &extent, pack, &insts, &mut |e| e.stages())
    }

    /// Points `first` and following along `var`: a full pack, or what is left of the extent. A full pack reads what
    /// it can ahead and writes what it can behind, in pieces.
    fn pack_loop(
        &mut self,
        var: Var,
        extent: &Dim,
        pack: u32,
        insts: &[&Inst],
        body: &mut dyn FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let (name, ty, limit) = (variable(var), variable_type(extent), self.dim(extent));
        let full = extent.as_const().is_some_and(|e| e % i64::from(pack) == 0);
        self.open(match full {
            true => String::new(),
            false => format!("if (first + {pack} <= {limit})"),
        });
        let reads = self.declare_pieces(var, pack, insts)?;
        self.moves(var, extent, reads);
        self.line("#pragma unroll");
        self.open(format!("for (int lane = 0; lane < {pack}; ++lane)"));
        self.line(format!("const {ty} {name} = first + lane;"));
        self.packed = Some(var);
        body(self)?;
        self.packed = None;
        self.close();
        let writes = self.writes(var, insts)?;
        self.moves(var, extent, writes);
        self.close();
        if !full {
            self.open("else");
            self.open(format!(
                "for ({ty} {name} = first; {name} < {limit}; ++{name})"
            ));
            body(self)?;
            self.close();
            self.close();
        }
        Ok(())
    }

    /// Declares the arrays of a pack; gives the reads.
    fn declare_pieces(&mut self, var: Var, pack: u32, insts: &[&Inst]) -> Result<Vec<String>> {
        let mut reads = Vec::new();
        for inst in insts {
            let (buffer, array) = match (&inst.op, inst.result) {
                (InstOp::Load { buffer, index, .. }, Some(v))
                    if shape::reads_ahead(self.kernel, &inst.op, var) =>
                {
                    let (v, b, index) = (v.0, buffer.0, self.index(index)?);
                    reads.push(format!("lz_read(ahead{v}, b{b} + ({index}));"));
                    (buffer, format!("ahead{v}"))
                }
                (InstOp::Store { buffer, .. }, _)
                    if shape::writes_behind(self.kernel, &inst.op, var) =>
                {
                    (buffer, format!("behind{}", buffer.0))
                }
                _ => continue,
            };
            let ty = ctype::memory(self.kernel.buffers[buffer.0 as usize].dtype);
            self.line(format!("alignas(16) {ty} {array}[{pack}];"));
        }
        Ok(reads)
    }

    /// The writes of a pack.
    fn writes(&mut self, var: Var, insts: &[&Inst]) -> Result<Vec<String>> {
        let mut writes = Vec::new();
        for inst in insts {
            if let InstOp::Store { buffer, index, .. } = &inst.op
                && shape::writes_behind(self.kernel, &inst.op, var)
            {
                let (b, index) = (buffer.0, self.index(index)?);
                writes.push(format!("lz_write(b{b} + ({index}), behind{b});"));
            }
        }
        Ok(writes)
    }

    /// Moves that address the first point of a pack.
    fn moves(&mut self, var: Var, extent: &Dim, moves: Vec<String>) {
        if moves.is_empty() {
            return;
        }
        self.open("");
        let (ty, name) = (variable_type(extent), variable(var));
        self.line(format!("const {ty} {name} = first;"));
        moves.iter().for_each(|m| self.line(m));
        self.close();
    }

    /// All stages of a point.
    pub(super) fn stages(&mut self) -> Result<()> {
        for number in 0..self.kernel.stages.len() {
            self.stage = number;
            self.stage(&self.kernel.stages[number])?;
        }
        if self.shape.team != Team::One && self.shape.locals != Locals::Private {
            // The next point's locals lie in the same memory.
            self.barrier();
        }
        Ok(())
    }

    fn barrier(&mut self) {
        self.line("Team::barrier();");
    }

    fn stage(&mut self, stage: &Stage) -> Result<()> {
        let accumulators = self.accumulators(stage)?;
        for a in &accumulators {
            let start = identity(a.kind, a.dtype)?;
            self.line(format!(
                "{} acc{} = {start};",
                ctype::held(a.wide),
                a.value.0
            ));
        }
        let alone = self.shape.team == Team::One;
        if stage.ranges.is_empty() {
            self.flat(stage)?;
        } else if alone {
            self.nested(stage)?;
        } else if shape::is_scan(self.kernel, stage) {
            self.scanned(stage)?;
        } else if stage.ordered {
            self.open("if (rank == 0u)");
            self.nested(stage)?;
            self.close();
        } else {
            self.shared(stage)?;
        }
        for a in &accumulators {
            self.result_of(a, stage)?;
        }
        if !alone && self.stage + 1 < self.kernel.stages.len() {
            self.barrier();
        }
        Ok(())
    }

    fn accumulators(&self, stage: &Stage) -> Result<Vec<Accumulator>> {
        let mut found = Vec::new();
        for inst in &stage.insts {
            if let (Some(value), InstOp::Accumulate(kind, _)) = (inst.result, &inst.op) {
                let dtype = self.dtype(value)?;
                found.push(Accumulator {
                    value,
                    kind: *kind,
                    dtype,
                    wide: dtype.compute(),
                });
            }
        }
        Ok(found)
    }

    /// The value of an accumulator behind its stage, for all threads of the team.
    fn result_of(&mut self, a: &Accumulator, stage: &Stage) -> Result<()> {
        let (v, ty) = (a.value.0, ctype::held(a.dtype));
        let sum = format!("acc{v}");
        let is_everyones = stage.ranges.is_empty() || shape::is_scan(self.kernel, stage);
        let sum = if self.shape.team == Team::One || is_everyones {
            sum
        } else if stage.ordered {
            format!("Team::first({sum})")
        } else {
            let class = self.combining_class(a.kind, a.wide)?;
            format!("Team::template join<{class}>({sum})")
        };
        let value = ctype::narrowed(a.dtype, &sum);
        self.line(format!("const {ty} v{v} = {value};"));
        Ok(())
    }

    /// A stage without ranges, done by every thread; the first one stores.
    fn flat(&mut self, stage: &Stage) -> Result<()> {
        if self.shape.team == Team::One {
            return stage.insts.iter().try_for_each(|i| self.inst(i));
        }
        let is_store = |i: &&Inst| matches!(i.op, InstOp::Store { .. } | InstOp::StoreLocal { .. });
        let is_load = |i: &Inst| matches!(i.op, InstOp::Load { .. } | InstOp::LoadLocal { .. });
        let mut loaded = false;
        for inst in &stage.insts {
            if is_store(&inst) {
                if loaded {
                    // Others may still have to read what is overwritten here.
                    self.barrier();
                }
                // A column's stores say themselves who is there.
                self.open("if (rank == 0u)");
                self.inst(inst)?;
                self.close();
                self.barrier();
            } else {
                loaded |= is_load(inst);
                self.inst(inst)?;
            }
        }
        Ok(())
    }

    /// A stage's ranges one in another.
    fn nested(&mut self, stage: &Stage) -> Result<()> {
        for (i, extent) in stage.ranges.iter().enumerate() {
            let (name, ty) = (variable(Var::Inner(i as u32)), variable_type(extent));
            let limit = self.dim(extent);
            self.open(format!("for ({ty} {name} = 0; {name} < {limit}; ++{name})"));
        }
        self.running = stage.ordered;
        stage.insts.iter().try_for_each(|i| self.inst(i))?;
        self.running = false;
        stage.ranges.iter().for_each(|_| self.close());
        Ok(())
    }

    /// A scan's points shared by the threads of the team: as many at a time as there are threads, in order.
    fn scanned(&mut self, stage: &Stage) -> Result<()> {
        let threads = self.shape.team.size();
        let (name, extent) = (variable(Var::Inner(0)), &stage.ranges[0]);
        let (ty, limit) = (variable_type(extent), self.dim(extent));
        self.open(format!(
            "for ({ty} start = 0; start < {limit}; start += {threads})"
        ));
        self.line(format!("const bool live = start + ({ty})rank < {limit};"));
        // Those beyond the last point do it once more, and neither count nor store.
        self.line(format!(
            "const {ty} {name} = live ? start + ({ty})rank : ({ty}){limit} - 1;"
        ));
        self.shared_scan = true;
        stage.insts.iter().try_for_each(|i| self.inst(i))?;
        self.shared_scan = false;
        self.close();
        Ok(())
    }

    /// A stage's points shared by the threads of the team.
    fn shared(&mut self, stage: &Stage) -> Result<()> {
        let threads = self.shape.team.size();
        if let ([extent], true) = (&*stage.ranges, self.shape.team != Team::Column) {
            let var = Var::Inner(0);
            let width = shape::piece(self.kernel, stage, var).unwrap_or(1);
            let pack = shape::pack(width, extent, threads);
            if pack > 1 {
                let (ty, limit, step) = (variable_type(extent), self.dim(extent), pack * threads);
                self.open(format!(
                    "for ({ty} first = ({ty})rank * {pack}; first < {limit}; first += {step})"
                ));
                let insts: Vec<&Inst> = stage.insts.iter().collect();
                self.pack_loop(var, extent, pack, &insts, &mut |e| {
                    stage.insts.iter().try_for_each(|i| e.inst(i))
                })?;
                self.close();
                return Ok(());
            }
        }
        let all = Dim::product(&stage.ranges)?;
        let (ty, limit) = (variable_type(&all), self.dim(&all));
        self.open(format!(
            "for ({ty} at = ({ty})rank; at < {limit}; at += {threads})"
        ));
        let unsigned = if ty == "i32" { "u32" } else { "i64" };
        self.line(format!("{unsigned} inner = ({unsigned})at;"));
        for (i, extent) in stage.ranges.iter().enumerate().rev() {
            let (name, ty) = (variable(Var::Inner(i as u32)), variable_type(extent));
            let extent = self.dim(extent);
            if i == 0 {
                self.line(format!("const {ty} {name} = ({ty})inner;"));
            } else {
                self.line(format!(
                    "const {ty} {name} = ({ty})(inner % ({unsigned}){extent});"
                ));
                self.line(format!("inner /= ({unsigned}){extent};"));
            }
        }
        stage.insts.iter().try_for_each(|i| self.inst(i))?;
        self.close();
        Ok(())
    }
}

/// What values of `dtype` start from when they are combined, in the type that arithmetic takes.
pub(super) fn identity(kind: Combine, dtype: DType) -> Result<String> {
    let wide = dtype.compute();
    let bits = scalar_ops::identity(kind, wide).map(register_bits);
    let bits = bits.ok_or_else(|| CodegenError::Malformed(format!("{kind} over {dtype}")))?;
    Ok(ctype::constant(Class::of(wide), bits))
}
