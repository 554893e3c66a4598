//! How a kernel is spread over threads.
//!
//! An outer point is computed by a *team*: one thread, a warp, a block, or a column of a block. A team of several threads shares the points
//! of every stage that is not ordered and joins its accumulators in an order that depends on nothing. Of ordered
//! stages it shares scans ([`is_scan`]), the others run on its first thread. Teams take outer points in turn, so any number of blocks will do.

use super::emit::Result;
use lazulite_ir::{Access, BufferRef, DType, Dim, IndexExpr, InstOp, Kernel, Lanes, Stage, Var};

/// Threads of a block.
pub(super) const THREADS: u32 = 256;
/// Blocks of a launch at most: enough for every device, and teams take turns anyway.
const MOST_BLOCKS: i64 = 1 << 16;
/// Blocks of a launch whose teams have scratch in the device's memory.
const SCRATCH_BLOCKS: i64 = 256;
/// Bytes of shared memory that every device has for a block without asking, less what joins need.
const SHARED_BYTES: i64 = 47 << 10;
/// Bytes of locals that one thread holds by itself.
const PRIVATE_BYTES: i64 = 64;
/// Bytes that a thread moves at once.
const PIECE: usize = 16;

/// The threads that compute one outer point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Team {
    One,
    Warp,
    Block,
    /// Every 32nd thread of a block: where neighbouring points are neighbours in memory.
    Column,
}

impl Team {
    pub fn size(self) -> u32 {
        match self {
            Team::One => 1,
            Team::Warp => 32,
            Team::Block => THREADS,
            Team::Column => THREADS / 32,
        }
    }

    /// The prelude's class.
    pub fn class(self) -> String {
        match self {
            Team::One => "LzOne".into(),
            Team::Warp => "LzWarp".into(),
            Team::Block => format!("LzBlock<{THREADS}>"),
            Team::Column => format!("LzColumn<{THREADS}>"),
        }
    }

    /// Teams in a block.
    pub fn per_block(self) -> i64 {
        i64::from(THREADS / self.size())
    }
}

/// Where the locals are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Locals {
    /// In variables of the thread.
    Private,
    /// In shared memory.
    Shared,
    /// In the device's memory: so many bytes for each team.
    Scratch(Dim),
}

/// How a kernel is spread.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub team: Team,
    pub locals: Locals,
    /// Points along the last outer range that a thread computes at once (teams of one without ranges).
    pub pack: u32,
    /// Blocks to launch.
    pub blocks: Dim,
    /// Blocks that are to share a multiprocessor.
    pub resident: u32,
}

/// Blocks on a multiprocessor that leave 64 registers to a thread, and 128, for functions of f64.
pub(super) const MANY_RESIDENT: u32 = 4;
pub(super) const FEW_RESIDENT: u32 = 2;

/// What a function's head begins with when `resident` of its blocks are to share a multiprocessor.
pub(super) fn declaration(resident: u32) -> String {
    format!("LZ_KERNEL({THREADS}, {resident}) ")
}

impl Shape {
    pub fn new(kernel: &Kernel) -> Result<Shape> {
        let mut team = team(kernel);
        let bytes = local_bytes(kernel)?;
        let mut locals = place(team, &bytes);
        // Small rows of many warps do not fit where one of a block does.
        if locals != Locals::Private && team == Team::Warp && place(team, &bytes) != Locals::Shared
        {
            team = Team::Block;
            locals = place(team, &bytes);
        }
        let pack = match (team, kernel.outer.len().checked_sub(1)) {
            (Team::One, Some(last)) if is_pointwise(kernel) => {
                let extent = &kernel.outer[last];
                let var = Var::Outer(last as u32);
                let stages = kernel.stages.iter();
                let width = stages.filter_map(|s| piece(kernel, s, var)).min();
                pack(width.unwrap_or(1), extent, 1)
            }
            _ => 1,
        };
        let blocks = blocks(kernel, team, pack, &locals)?;
        Ok(Shape {
            team,
            locals,
            pack,
            blocks,
            resident: match kernel.values.contains(&DType::F64) {
                true => FEW_RESIDENT,
                false => MANY_RESIDENT,
            },
        })
    }
}

/// Whether all stages are without ranges, and nothing is kept between them but values.
fn is_pointwise(kernel: &Kernel) -> bool {
    kernel.locals.is_empty() && kernel.stages.iter().all(|s| s.ranges.is_empty())
}

/// A known upper bound of the points of a stage.
fn points(stage: &Stage) -> Option<i64> {
    let mut extents = stage.ranges.iter().map(|r| r.bounds().1);
    extents.try_fold(1i64, |p, e| p.checked_mul(e?))
}

fn team(kernel: &Kernel) -> Team {
    let parallel = || {
        let stages = kernel.stages.iter();
        stages.filter(|s| (!s.ordered || is_scan(kernel, s)) && !s.ranges.is_empty())
    };
    // `None` where a stage may be of any size.
    let largest = parallel()
        .map(points)
        .try_fold(0, |a, b| Some(i64::max(a, b?)));
    let rows = Dim::product(&kernel.outer).ok().and_then(|d| d.as_const());
    let few = rows.is_some_and(|rows| rows <= 2048);
    let many = largest.is_none_or(|n| n >= 64);
    let wide = rows.is_none_or(|r| (32..=1 << 16).contains(&r));
    match (kernel.lanes, largest) {
        (_, Some(0)) => Team::One,
        (Lanes::Outer, _) if many && wide && takes_columns(kernel) => Team::Column,
        // Neighbouring threads read neighbouring points, so each does its own sum, if there are enough of them.
        (Lanes::Outer, Some(n)) if !few || n < 512 => Team::One,
        (Lanes::Outer, None) if !few => Team::One,
        (_, Some(n)) if n <= 4 => Team::One,
        (_, Some(n)) if n <= 1024 => Team::Warp,
        _ => Team::Block,
    }
}

/// Whether threads of a column may share points: there is nothing that one of them does alone.
fn takes_columns(kernel: &Kernel) -> bool {
    kernel.locals.is_empty() && kernel.stages.iter().all(|s| !s.ordered)
}

/// Whether threads may share the points of an ordered stage: all that one point hands to the next are its running values,
/// and each one stores to places of its own.
pub(super) fn is_scan(kernel: &Kernel, stage: &Stage) -> bool {
    let access = |buffer: &BufferRef| kernel.buffers[buffer.0 as usize].access;
    let mut stored = Vec::new();
    let fits = stage.insts.iter().all(|inst| match &inst.op {
        InstOp::Store {
            buffer,
            index,
            combine,
            ..
        } => {
            let alone = !stored.contains(buffer);
            stored.push(*buffer);
            let apart = combine.is_none() && is_injective(index, Var::Inner(0));
            alone && apart && access(buffer) == Access::Write
        }
        InstOp::StoreLocal { .. } => false,
        InstOp::Load { buffer, .. } => access(buffer) == Access::Read,
        InstOp::Const(_)
        | InstOp::Index(_)
        | InstOp::InRange { .. }
        | InstOp::LoadLocal { .. }
        | InstOp::Unary(..)
        | InstOp::Binary(..)
        | InstOp::Compare(..)
        | InstOp::Select(..)
        | InstOp::Cast(_)
        | InstOp::Bitcast(_)
        | InstOp::Random { .. }
        | InstOp::Accumulate(..)
        | InstOp::CheckIndex { .. }
        | InstOp::CheckDivisor { .. } => true,
    });
    fits && stage.ordered && stage.ranges.len() == 1
}

/// True when points along `var` have different elements, whatever the data.
fn is_injective(index: &IndexExpr, var: Var) -> bool {
    let mut data = false;
    index.visit_values(&mut |_| data = true);
    let Some((least, most)) = index.stride_of(var).map(|s| s.bounds()) else {
        return false;
    };
    !data && (least.is_some_and(|s| s > 0) || most.is_some_and(|s| s < 0))
}

/// Bytes of all locals of a point.
pub(super) fn local_bytes(kernel: &Kernel) -> Result<Dim> {
    let mut bytes = Dim::ZERO;
    for local in &kernel.locals {
        let (_, end) = placed(&bytes, local.dtype.size() as i64, &local.len)?;
        bytes = end;
    }
    Ok(bytes)
}

/// Where a local of `len` elements of `size` bytes begins and ends when `at` bytes are taken.
pub(super) fn placed(at: &Dim, size: i64, len: &Dim) -> Result<(Dim, Dim)> {
    let piece = Dim::constant(PIECE as i64);
    let bytes = len.mul(&Dim::constant(size))?;
    let pieces = bytes
        .add(&Dim::constant(PIECE as i64 - 1))?
        .floor_div(&piece)?;
    Ok((at.clone(), at.add(&pieces.mul(&piece)?)?))
}

fn place(team: Team, bytes: &Dim) -> Locals {
    match (team, bytes.as_const()) {
        (_, Some(0)) => Locals::Private,
        (Team::One, Some(b)) if b <= PRIVATE_BYTES => Locals::Private,
        (Team::Warp | Team::Block, Some(b))
            if b.saturating_mul(team.per_block()) <= SHARED_BYTES =>
        {
            Locals::Shared
        }
        (Team::One | Team::Warp | Team::Block | Team::Column, _) => Locals::Scratch(bytes.clone()),
    }
}

/// Blocks to launch: every team has a point, up to a limit.
fn blocks(kernel: &Kernel, team: Team, pack: u32, locals: &Locals) -> Result<Dim> {
    let mut points = Dim::ONE;
    for (i, extent) in kernel.outer.iter().enumerate() {
        let extent = match i + 1 == kernel.outer.len() {
            true => packs(extent, pack)?,
            false => extent.clone(),
        };
        points = points.mul(&extent)?;
    }
    let per_block = Dim::constant(team.per_block());
    let wanted = points
        .add(&Dim::constant(team.per_block() - 1))?
        .floor_div(&per_block)?;
    let most = match locals {
        Locals::Scratch(_) => SCRATCH_BLOCKS,
        Locals::Private | Locals::Shared => MOST_BLOCKS,
    };
    Ok(wanted.minimum(&Dim::constant(most)))
}

/// How many packs of `pack` points an extent takes.
pub(super) fn packs(extent: &Dim, pack: u32) -> Result<Dim> {
    let pack = i64::from(pack);
    Ok(extent
        .add(&Dim::constant(pack - 1))?
        .floor_div(&Dim::constant(pack))?)
}

/// Elements that a thread takes at once along a loop, given how many fill a piece of memory: all of them,
/// unless the loop has too few points for `threads` of them.
pub(super) fn pack(width: u32, extent: &Dim, threads: u32) -> u32 {
    match extent.as_const() {
        Some(e) if e < i64::from(width) * i64::from(threads) => 1,
        _ => width,
    }
}

/// Elements of the widest type that a stage reads or writes one after the other along `var`, in a piece of memory;
/// `None` where it does no such thing.
pub(super) fn piece(kernel: &Kernel, stage: &Stage, var: Var) -> Option<u32> {
    let sizes = stage.insts.iter().filter_map(|inst| {
        let (buffer, index) = match &inst.op {
            InstOp::Load {
                buffer,
                index,
                guard: None,
            } => (buffer, index),
            InstOp::Store {
                buffer,
                index,
                combine: None,
                guard: None,
                ..
            } => (buffer, index),
            _ => return None,
        };
        is_dense(index, var).then(|| kernel.buffers[buffer.0 as usize].dtype.size())
    });
    sizes.max().map(|size| (PIECE / size) as u32)
}

/// True when neighbouring points along `var` are neighbouring elements, whatever the data.
pub(super) fn is_dense(index: &IndexExpr, var: Var) -> bool {
    let mut data = false;
    index.visit_values(&mut |_| data = true);
    !data && index.stride_of(var).is_some_and(|s| s.is(1))
}

/// True when a load may read all elements of a pack before the first of its points is computed.
pub(super) fn reads_ahead(kernel: &Kernel, op: &InstOp, var: Var) -> bool {
    match op {
        InstOp::Load {
            buffer,
            index,
            guard: None,
        } => kernel.buffers[buffer.0 as usize].access == Access::Read && is_dense(index, var),
        _ => false,
    }
}

/// True when a store may write all elements of a pack after the last of its points is computed: nothing else
/// stores to the buffer.
pub(super) fn writes_behind(kernel: &Kernel, op: &InstOp, var: Var) -> bool {
    let stores = |to: BufferRef| {
        let insts = kernel.stages.iter().flat_map(|s| &s.insts);
        insts
            .filter(|i| matches!(&i.op, InstOp::Store { buffer, .. } if *buffer == to))
            .count()
    };
    match op {
        InstOp::Store {
            buffer,
            index,
            combine: None,
            guard: None,
            ..
        } => {
            kernel.buffers[buffer.0 as usize].access == Access::Write
                && is_dense(index, var)
                && stores(*buffer) == 1
        }
        _ => false,
    }
}
