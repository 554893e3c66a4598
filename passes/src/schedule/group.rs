//! Groups: members that share a kernel, and the conditions under which a member may join.
//!
//! A group's members run at the same outer points. A member may read another one of its group if it does so
//! at the same outer point: each outer coordinate of the read must be exactly the variable that the
//! member's own elements vary with. This gives the member's variables their outer loops; what is left
//! over becomes loops of a stage. Members that do not read each other may join when an element that
//! both read ties their variables together in the same way.

use super::ScheduleOptions;
use super::assemble::Placed;
use super::lower::{Read, Stored};
use super::member::{Member, MemberKind, variable};
use super::report::Refusal;
use lazulite_ir::{Dim, DimOverflow, IndexExpr, NodeId, Ranges, Var, linearize, reshape_coords};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;

/// Members with common outer loops.
#[derive(Debug)]
pub(super) struct Group {
    /// Extents of the outer loops.
    pub outer: Vec<Dim>,
    /// Operands before users.
    pub members: Vec<Placed>,
    numbers: FxHashMap<Stored, usize>,
    /// For tensors of other groups, coordinates at which the group reads them.
    reads: FxHashMap<Stored, Vec<IndexExpr>>,
    /// Tensors read and values defined: a bound on the buffers.
    touched: FxHashSet<Stored>,
    insts: usize,
    /// The group is the epilogue of a matrix product: its loops are given.
    is_epilogue: bool,
    /// Nothing may join.
    is_closed: bool,
}

/// How a member fits into a group.
#[derive(Debug)]
pub(super) struct Fit {
    /// What outer loops say about the member's variables.
    assign: Vec<Option<IndexExpr>>,
    /// Outer loops that become loops of the stages.
    demoted: BTreeSet<u32>,
    /// The member reads the group's own values.
    depends: bool,
}

impl Group {
    /// A group of one member, whose free variables become the outer loops.
    pub fn of(member: Member) -> Result<Group, DimOverflow> {
        let free = (0..member.space.len()).filter(|&v| member.is_free(v));
        let outer = free.map(|v| member.space[v].clone()).collect();
        let assign = in_order(&member);
        let is_closed = matches!(member.kind, MemberKind::Scan { .. });
        let mut group = Group::empty(outer);
        group.is_closed = is_closed;
        group.add(member, &assign)?;
        Ok(group)
    }

    /// The epilogue of a product over `[b, m, n]`, whose variables are assigned by `assign`.
    pub fn epilogue(
        product: Member,
        assign: &[Option<IndexExpr>],
        outer: Vec<Dim>,
    ) -> Result<Group, DimOverflow> {
        let mut group = Group::empty(outer);
        group.is_epilogue = true;
        group.add(product, assign)?;
        Ok(group)
    }

    fn empty(outer: Vec<Dim>) -> Group {
        Group {
            outer,
            members: Vec::new(),
            numbers: FxHashMap::default(),
            reads: FxHashMap::default(),
            touched: FxHashSet::default(),
            insts: 0,
            is_epilogue: false,
            is_closed: false,
        }
    }

    /// True when the group computes `tensor`.
    pub fn defines(&self, tensor: Stored) -> bool {
        self.numbers.contains_key(&tensor)
    }

    fn add(&mut self, member: Member, assign: &[Option<IndexExpr>]) -> Result<(), DimOverflow> {
        self.insts += self.added_insts(&member);
        self.numbers.insert(member.value, self.members.len());
        self.touched.insert(member.value);
        self.touched.extend(member.fragment.reads().map(|r| r.from));
        let placed = Placed::new(member, assign, &self.outer)?;
        for read in placed.member.fragment.reads() {
            if !self.numbers.contains_key(&read.from) && !self.reads.contains_key(&read.from) {
                let coords = placed.moved(&read.coords, &self.outer)?;
                self.reads.insert(read.from, coords);
            }
        }
        self.members.push(placed);
        Ok(())
    }

    /// Instructions that a member adds: what it reads in the group is there already.
    fn added_insts(&self, member: &Member) -> usize {
        let inside = member.fragment.reads().filter(|r| self.defines(r.from));
        1 + member.fragment.values.len() - inside.count()
    }

    /// The values computed, operands first.
    pub fn values(&self) -> impl Iterator<Item = NodeId> {
        self.members.iter().map(|p| p.member.value.node)
    }

    /// How `member` fits in, or why it may not join.
    pub fn fit(
        &self,
        member: &Member,
        options: &ScheduleOptions,
    ) -> Result<Result<Fit, Refusal>, DimOverflow> {
        if self.is_closed {
            return Ok(Err(Refusal::Scan));
        }
        if matches!(member.kind, MemberKind::Scan { .. } | MemberKind::Product) {
            return Ok(Err(Refusal::IsScan));
        }
        let Some(mut fit) = self.tie(member)? else {
            return Ok(Err(Refusal::OtherPoints));
        };
        if !fit.depends && !self.covers(&fit) {
            let Some(tied) = self.tie_by_shared_reads(member, options)? else {
                return Ok(Err(Refusal::NothingShared));
            };
            fit = tied;
        }
        Ok(match self.refusal(member, &fit, options)? {
            None => Ok(fit),
            Some(why) => Err(why),
        })
    }

    /// Adds a member that fits.
    pub fn join(&mut self, member: Member, fit: Fit) -> Result<(), DimOverflow> {
        if !fit.demoted.is_empty() {
            self.demote(&fit.demoted)?;
        }
        let assign: Vec<Option<IndexExpr>> = fit
            .assign
            .into_iter()
            .map(|e| e.map(|e| renumber(&e, &fit.demoted)))
            .collect();
        self.add(member, &assign)
    }

    /// Ties the member's variables to outer loops by what it reads inside the group.
    fn tie(&self, member: &Member) -> Result<Option<Fit>, DimOverflow> {
        let mut fit = Fit {
            assign: vec![None; member.space.len()],
            demoted: BTreeSet::new(),
            depends: false,
        };
        for read in member.fragment.reads() {
            let Some(&m) = self.numbers.get(&read.from) else {
                continue;
            };
            fit.depends = true;
            let placed = &self.members[m];
            let before = fit.assign.clone();
            let at = (&*placed.coords, &*placed.member.dims);
            if self.tie_coords(&mut fit, member, &read.coords, at) {
                continue;
            }
            fit.assign = before;
            if !self.tie_flat(&mut fit, member, read, placed)? {
                return Ok(None);
            }
        }
        Ok(Some(fit))
    }

    /// Ties by a read at `coords` (in terms of the member's variables) of elements of a tensor of
    /// `dims` that the group has at `at` (in terms of its loops).
    fn tie_coords(
        &self,
        fit: &mut Fit,
        member: &Member,
        coords: &[IndexExpr],
        (at, dims): (&[IndexExpr], &[Dim]),
    ) -> bool {
        for ((coord, at), dim) in coords.iter().zip(at).zip(dims) {
            if !depends_on_outer(at) {
                continue;
            }
            let Some(v) = variable(coord).filter(|&v| member.space[v] == *dim) else {
                return false;
            };
            if !member.is_free(v) {
                let Some(Var::Outer(o)) = at.as_var() else {
                    return false;
                };
                fit.demoted.insert(o);
            } else if !set(&mut fit.assign[v], at) {
                return false;
            }
        }
        true
    }

    /// Ties by a read of the element with the same linear index: the tensors are reshapes of each
    /// other.
    fn tie_flat(
        &self,
        fit: &mut Fit,
        member: &Member,
        read: &Read,
        placed: &Placed,
    ) -> Result<bool, DimOverflow> {
        let flat = |m: &Member| matches!(m.kind, MemberKind::Map | MemberKind::Product);
        if !flat(member) || !flat(&placed.member) || !placed.inner.is_empty() {
            return Ok(false);
        }
        if Dim::product(&member.dims)? != Dim::product(&placed.member.dims)? {
            return Ok(false);
        }
        let from = linearize(&read.coords, &placed.member.dims, member.ranges())?;
        if from != linearize(&member.coords, &member.dims, member.ranges())? {
            return Ok(false);
        }
        let ranges = Ranges {
            outer: &self.outer,
            inner: &[],
        };
        let at = reshape_coords(&placed.coords, &placed.member.dims, &member.dims, ranges)?;
        let mut tied = member.coords.iter().zip(&at);
        Ok(tied.all(|(own, at)| variable(own).is_none_or(|v| set(&mut fit.assign[v], at))))
    }

    /// Ties by elements of other groups' tensors that both read, or loop by loop in order if that makes
    /// them read the same; small tensors of equal dims need nothing in common, since running two
    /// kernels costs more than looking at more buffers.
    fn tie_by_shared_reads(
        &self,
        member: &Member,
        options: &ScheduleOptions,
    ) -> Result<Option<Fit>, DimOverflow> {
        if self.is_epilogue {
            return Ok(None);
        }
        let untied = || Fit {
            assign: vec![None; member.space.len()],
            demoted: BTreeSet::new(),
            depends: false,
        };
        for read in member.fragment.reads() {
            let Some(coords) = self.reads.get(&read.from) else {
                continue;
            };
            let mut fit = untied();
            let (at, dims): (Vec<_>, Vec<_>) = coords.iter().map(|c| self.as_loop(c)).unzip();
            if self.tie_coords(&mut fit, member, &read.coords, (&at, &dims)) && self.covers(&fit) {
                return Ok(Some(fit));
            }
        }
        let fit = Fit {
            assign: in_order(member),
            ..untied()
        };
        let free = (0..member.space.len()).filter(|&v| member.is_free(v));
        if !free.map(|v| &member.space[v]).eq(&self.outer) {
            return Ok(None);
        }
        let points = |m: &Member| options.sizes.count(&m.space);
        let largest = self.members.iter().map(|p| points(&p.member)).max();
        let is_small = points(member).max(largest.unwrap_or(0)) <= options.machine.serial_elements;
        Ok((is_small || self.shares_reads(member, &fit)?).then_some(fit))
    }

    /// True when the member, placed like this, reads an element that the group reads at the same
    /// point.
    fn shares_reads(&self, member: &Member, fit: &Fit) -> Result<bool, DimOverflow> {
        let placed = Placed::new(member.clone(), &fit.assign, &self.outer)?;
        for read in placed.member.fragment.reads() {
            if let Some(coords) = self.reads.get(&read.from)
                && !coords.is_empty()
                && *coords == placed.moved(&read.coords, &self.outer)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The outer loop that an index is, with its extent, or the constant 0.
    fn as_loop(&self, index: &IndexExpr) -> (IndexExpr, Dim) {
        match index.as_var() {
            Some(Var::Outer(o)) => (index.clone(), self.outer[o as usize].clone()),
            _ => (IndexExpr::constant(Dim::ZERO), Dim::ONE),
        }
    }

    /// True when each outer loop is tied to the member or becomes an inner one.
    fn covers(&self, fit: &Fit) -> bool {
        let mut covered = vec![false; self.outer.len()];
        for index in fit.assign.iter().flatten() {
            index.visit_vars(&mut |v| {
                if let Var::Outer(o) = v {
                    covered[o as usize] = true;
                }
            });
        }
        fit.demoted.iter().for_each(|&o| covered[o as usize] = true);
        covered.iter().zip(&self.outer).all(|(&c, d)| c || d.is(1))
    }

    /// Why a tied member may not join: because that would be wrong, or unwise.
    fn refusal(
        &self,
        member: &Member,
        fit: &Fit,
        options: &ScheduleOptions,
    ) -> Result<Option<Refusal>, DimOverflow> {
        let machine = &options.machine;
        let free_are_tied = |v: usize| fit.assign[v].is_some() == member.is_free(v);
        let tied_and_demoted = fit.assign.iter().flatten().any(|e| {
            let mut both = false;
            e.visit_vars(&mut |v| both |= matches!(v, Var::Outer(o) if fit.demoted.contains(&o)));
            both
        });
        let reduces = matches!(member.kind, MemberKind::Reduce { .. });
        // Several variables tied to one loop would leave out all points off the diagonal.
        let tied = (0..member.space.len()).filter(|&v| fit.assign[v].is_some());
        let tied = Dim::product(tied.map(|v| &member.space[v]))?;
        let loops = self.outer.iter().enumerate();
        let loops = loops.filter(|(o, _)| !fit.demoted.contains(&(*o as u32)));
        if !self.covers(fit)
            || tied != Dim::product(loops.map(|(_, d)| d))?
            || tied_and_demoted
            || (reduces && !(0..member.space.len()).all(free_are_tied))
        {
            return Ok(Some(Refusal::Loops));
        }
        let (count, limit) = (self.insts + self.added_insts(member), machine.kernel_insts);
        if count > limit {
            return Ok(Some(Refusal::Instructions { count, limit }));
        }
        let limit = machine.kernel_buffers;
        if self.touched.len() + member.fragment.reads().count() + 1 > limit {
            return Ok(Some(Refusal::Buffers { limit }));
        }
        let unassigned = (0..member.space.len()).filter(|&v| fit.assign[v].is_none());
        let inner: Vec<Dim> = unassigned.map(|v| member.space[v].clone()).collect();
        if self.is_epilogue {
            let by_element = inner.is_empty() && !reduces;
            return Ok((!by_element).then_some(Refusal::Tiles));
        }
        if !fit.demoted.is_empty() {
            return Ok(match self.may_demote(&fit.demoted) {
                true => self.rows_refused(member, fit, &inner, options),
                false => Some(Refusal::Loops),
            });
        }
        let same_loop = |p: &Placed| p.inner == inner && p.member.kind != MemberKind::Map;
        if reduces && !fit.depends && self.members.iter().any(same_loop) {
            return Ok(None);
        }
        Ok(match inner.is_empty() {
            true => None,
            false => self.rows_refused(member, fit, &inner, options),
        })
    }

    /// Outer loops can become inner ones where every member is computed point by point.
    fn may_demote(&self, demoted: &BTreeSet<u32>) -> bool {
        let is_loop = |e: &IndexExpr| e.as_var().is_some();
        let by_point =
            |p: &Placed| matches!(p.member.kind, MemberKind::Map) && p.assign.iter().all(is_loop);
        demoted.len() <= self.outer.len() && self.members.iter().all(by_point)
    }

    /// What speaks against rows of extents `inner`: that they do not stay in cache, or that there are not
    /// enough of them for all threads.
    fn rows_refused(
        &self,
        member: &Member,
        fit: &Fit,
        inner: &[Dim],
        options: &ScheduleOptions,
    ) -> Option<Refusal> {
        let machine = &options.machine;
        let rows = self.outer.iter().enumerate();
        let rows = rows.filter(|(o, _)| !fit.demoted.contains(&(*o as u32)));
        let rows = options.sizes.count(rows.map(|(_, d)| d));
        let row = options.sizes.count(inner);
        let widest = member.fragment.reads().max_by_key(|r| r.coords.len());
        let last = match (&member.kind, widest) {
            (MemberKind::Reduce { .. }, Some(read)) => read.coords.last(),
            _ => member.coords.last(),
        };
        let by_column = last
            .and_then(variable)
            .is_some_and(|v| fit.assign[v].is_some());
        let limit = match (by_column, fit.demoted.is_empty()) {
            (false, _) => machine.row_elements,
            (true, true) => machine.column_elements,
            (true, false) => machine.column_elements / 16,
        };
        let needed = machine.parallel_points;
        if row > limit {
            return Some(Refusal::LongRows { row, limit });
        }
        let enough = rows >= needed || rows.saturating_mul(row) <= machine.serial_elements;
        (!enough).then_some(Refusal::FewRows { rows, needed })
    }

    /// Turns outer loops into loops of the stages.
    fn demote(&mut self, demoted: &BTreeSet<u32>) -> Result<(), DimOverflow> {
        let is_kept = |(o, _): &(usize, &Dim)| !demoted.contains(&(*o as u32));
        let kept = self.outer.iter().enumerate().filter(is_kept);
        let mut group = Group::empty(kept.map(|(_, d)| d.clone()).collect());
        for placed in std::mem::take(&mut self.members) {
            let assign: Vec<Option<IndexExpr>> = placed
                .assign
                .iter()
                .map(|e| match e.as_var() {
                    Some(Var::Outer(o)) if !demoted.contains(&o) => Some(renumber(e, demoted)),
                    _ => None,
                })
                .collect();
            group.add(placed.member, &assign)?;
        }
        *self = group;
        Ok(())
    }
}

/// The outer loops in order for the free variables.
fn in_order(member: &Member) -> Vec<Option<IndexExpr>> {
    let mut next = 0;
    let loops = (0..member.space.len()).map(|v| {
        member.is_free(v).then(|| {
            next += 1;
            IndexExpr::var(Var::Outer(next - 1))
        })
    });
    loops.collect()
}

/// Assigns, or compares with what is assigned.
fn set(slot: &mut Option<IndexExpr>, value: &IndexExpr) -> bool {
    match slot {
        Some(known) => known == value,
        None => {
            *slot = Some(value.clone());
            true
        }
    }
}

fn depends_on_outer(index: &IndexExpr) -> bool {
    let mut found = false;
    index.visit_vars(&mut |v| found |= matches!(v, Var::Outer(_)));
    found
}

/// The index after the demoted loops are gone.
fn renumber(index: &IndexExpr, demoted: &BTreeSet<u32>) -> IndexExpr {
    match index.as_var() {
        Some(Var::Outer(o)) => {
            let gone = demoted.range(..o).count() as u32;
            IndexExpr::var(Var::Outer(o - gone))
        }
        _ => index.clone(),
    }
}
