//! Contractions: which operand memory the product reads directly, and the packers that bring
//! everything else into its layout.

use super::axes::{Axes, digits, group_stride, operand_space, strides_of};
use super::faults::Faults;
use super::group::Group;
use super::lower::{Code, Fragment, Lowerer, Read, Stored};
use super::member::{Member, MemberKind, Space, variable};
use super::operands::{element_of, factors_of, is_read};
use super::panels::Panels;
use super::policy::{Policy, stored_type};
use super::{Machine, ScheduleError};
use lazulite_ir::{
    DIGITS, DType, Dim, DimOverflow, Dims, Graph, IndexExpr, InstOp, NodeId, Placement, Ranges,
    Scalar, Var, delinearize, linearize,
};

/// A contraction as the runtime's product sees it.
#[derive(Debug)]
pub(super) struct Contraction {
    /// The contraction.
    pub node: NodeId,
    /// Element type of the product's sums.
    pub sums: DType,
    /// Those of its operands.
    pub factors: [DType; 2],
    /// Extents b, m, n, k.
    pub dims: [Dim; 4],
    /// The left operand.
    pub lhs: Lhs,
    /// The right operand.
    pub rhs: Rhs,
    /// Elements of the packed right operand from batch entry to batch entry.
    pub rhs_batch: Dim,
    /// How many of its elements along the sum lie side by side.
    pub rhs_group: i64,
    /// The product's value and what is computed from it tile by tile.
    pub epilogue: Group,
}

impl Contraction {
    /// The tensors that the packers and the product read.
    pub fn operand_reads(&self) -> impl Iterator<Item = Stored> {
        let (direct, packed) = match &self.lhs {
            Lhs::Direct(tensor, _) => (Some(*tensor), None),
            Lhs::Packed(pack) => (None, Some(pack)),
        };
        let (panels, right) = match &self.rhs {
            Rhs::Direct(tensor) => (Some(*tensor), None),
            Rhs::Packed(pack, _) => (None, Some(&**pack)),
        };
        let packs = packed.into_iter().chain(right);
        let packed = packs.flat_map(|p| p.fragment.reads().map(|r| r.from));
        direct.into_iter().chain(panels).chain(packed)
    }
}

/// Where the left operand is.
#[derive(Debug)]
pub(super) enum Lhs {
    /// In memory: offset, then strides along b, m, k.
    Direct(Stored, [Dim; 4]),
    /// Packed as dense `[b, m, k]`.
    Packed(Pack),
}

/// Where the right operand is.
#[derive(Debug)]
pub(super) enum Rhs {
    /// In memory, where its layout happens to be that of panels.
    Direct(Stored),
    /// Packed in panels. If these are a copy of elements of a tensor in memory, where those are.
    Packed(Box<Pack>, Option<(Stored, Placement)>),
}

/// A kernel that computes an operand into the layout of the product.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Pack {
    /// Extents of its loops.
    pub space: Vec<Dim>,
    /// The element at each point.
    pub fragment: Fragment,
    /// Where it goes.
    pub index: IndexExpr,
    /// Size of the packed operand.
    pub len: Dim,
}

impl Pack {
    /// The tensor that is copied as it is, if one is.
    pub fn copied(&self, graph: &Graph) -> Result<Option<Stored>, DimOverflow> {
        let (_, Code::Read(read)) = &self.fragment.values[self.fragment.root.0 as usize] else {
            return Ok(None);
        };
        let ranges = Ranges {
            outer: &[],
            inner: &self.space,
        };
        let dims = stored_type(graph, read.from).1;
        let same = read.guard.is_none()
            && linearize(&read.coords, dims, ranges)? == self.index
            && Dim::product(dims)? == self.len;
        Ok(same.then_some(read.from))
    }
}

/// What is needed to lower operands.
pub(super) struct Source<'a> {
    pub graph: &'a Graph,
    pub policy: &'a Policy,
    pub faults: &'a mut Faults,
    pub machine: &'a Machine,
}

impl Source<'_> {
    /// The element of an operand as a factor of this type. Behind the first bound it may be anything, behind the second one
    /// it is 0.
    fn operand(
        &mut self,
        node: NodeId,
        space: &Space,
        coords: Vec<IndexExpr>,
        bounds: [Option<(IndexExpr, Dim)>; 2],
        factor: DType,
    ) -> Result<Fragment, ScheduleError> {
        let (graph, policy) = (self.graph, self.policy);
        let mut lowerer = Lowerer::new(graph, policy, self.faults, None, &space.dims);
        let [anything, zero] = bounds
            .map(|bound| bound.and_then(|(index, end)| lowerer.in_range(&index, Dim::ZERO, end)));
        let guard = lowerer.and(anything, zero);
        let value = lowerer.value(node, coords, guard)?;
        let mut value = lowerer.unwidened(value, factor);
        if let Some(inside) = zero {
            let nothing = lowerer.constant(Scalar::from_f64(factor, 0.0));
            value = lowerer.emit(factor, InstOp::Select(inside, value, nothing));
        }
        Ok(lowerer.finish(value))
    }

    fn lhs(
        &mut self,
        id: NodeId,
        axes: &Axes,
        [factor, element]: [DType; 2],
    ) -> Result<Lhs, ScheduleError> {
        let mut space = Space::default();
        let coords = operand_space(&mut space, &axes.lhs, &axes.lhs_groups());
        let operand = self.graph.node(id).inputs[0];
        let none = [const { None }; 2];
        let fragment = self.operand(operand, &space, coords.clone(), none, factor)?;
        let group = self.machine.narrow.group(factor, element);
        let ranges = Ranges {
            outer: &[],
            inner: &space.dims,
        };
        if let (_, Code::Read(read)) = &fragment.values[fragment.root.0 as usize]
            && let Some(found) =
                self.place_of(read, (&axes.lhs, axes.lhs_groups()), &coords, ranges)?
            && is_read(&found.1, axes, group)
        {
            return Ok(Lhs::Direct(found.0, found.1));
        }
        let vars: Vec<IndexExpr> = (0..space.dims.len() as u32)
            .map(|v| IndexExpr::var(Var::Inner(v)))
            .collect();
        Ok(Lhs::Packed(Pack {
            index: linearize(&vars, &space.dims, ranges)?,
            len: Dim::product(&space.dims)?,
            fragment,
            space: space.dims,
        }))
    }

    /// Where what is read at the coordinates of an operand lies, when it is addressed by strides along the groups of
    /// the operand's axes.
    fn place_of(
        &self,
        read: &Read,
        (dims, groups): (&Dims, [&[usize]; 3]),
        coords: &[IndexExpr],
        ranges: Ranges<'_>,
    ) -> Result<Option<(Stored, [Dim; 4])>, DimOverflow> {
        if read.guard.is_some() {
            return Ok(None);
        }
        let index = linearize(&read.coords, stored_type(self.graph, read.from).1, ranges)?;
        let strides = strides_of(dims, groups, coords, &index)?;
        Ok(strides.map(|strides| (read.from, strides)))
    }

    /// Where the right operand's elements lie, when they are in memory.
    fn rhs_place(
        &mut self,
        id: NodeId,
        axes: &Axes,
        batch: &[usize],
        factor: DType,
    ) -> Result<Option<(Stored, Placement)>, ScheduleError> {
        let groups = [batch, &axes.rhs_sum, &axes.columns];
        let mut space = Space::default();
        let coords = operand_space(&mut space, &axes.rhs, &groups);
        let operand = self.graph.node(id).inputs[1];
        let none = [const { None }; 2];
        let fragment = self.operand(operand, &space, coords.clone(), none, factor)?;
        let ranges = Ranges {
            outer: &[],
            inner: &space.dims,
        };
        let (_, Code::Read(read)) = &fragment.values[fragment.root.0 as usize] else {
            return Ok(None);
        };
        if read.guard.is_some() {
            return Ok(None);
        }
        let index = linearize(&read.coords, stored_type(self.graph, read.from).1, ranges)?;
        let digits = |group: &[usize]| digits(&index, &coords, &axes.rhs, group);
        let (Some(rows), Some(columns)) = (digits(groups[1])?, digits(groups[2])?) else {
            return Ok(None);
        };
        if rows.len() > DIGITS || columns.len() > DIGITS {
            return Ok(None);
        }
        let batch = group_stride(&index, &coords, &axes.rhs, groups[0])?;
        Ok(batch.map(|batch| {
            let offset = index.constant.clone();
            let placement = Placement {
                offset,
                batch,
                rows,
                columns,
            };
            (read.from, placement)
        }))
    }

    /// The right operand in panels, and its elements from batch entry to batch entry.
    fn rhs(
        &mut self,
        id: NodeId,
        axes: &Axes,
        [factor, element]: [DType; 2],
        is_shared: bool,
    ) -> Result<(Rhs, Dim), ScheduleError> {
        let operand = self.graph.node(id).inputs[1];
        let batch: &[usize] = if is_shared { &[] } else { &axes.rhs_batch };
        let group = self.machine.narrow.group(factor, element);
        let Panels {
            space,
            coords,
            index,
            bounds,
            batch_len,
            len,
        } = Panels::new(axes, batch, group)?;
        let fragment = self.operand(operand, &space, coords, bounds, factor)?;
        let pack = Pack {
            space: space.dims,
            fragment,
            index,
            len,
        };
        let stride = if is_shared { Dim::ZERO } else { batch_len };
        let rhs = match pack.copied(self.graph)? {
            Some(tensor) => Rhs::Direct(tensor),
            None => {
                let place = self.rhs_place(id, axes, batch, factor)?;
                Rhs::Packed(Box::new(pack), place)
            }
        };
        Ok((rhs, stride))
    }

    /// True when the right operand is the same for all batch entries.
    fn is_rhs_shared(&mut self, id: NodeId, axes: &Axes) -> Result<bool, ScheduleError> {
        let mut space = Space::default();
        let groups: [&[usize]; 3] = [&axes.rhs_batch, &axes.rhs_sum, &axes.columns];
        let coords = operand_space(&mut space, &axes.rhs, &groups);
        let batch: Vec<Var> = axes
            .rhs_batch
            .iter()
            .filter_map(|&a| coords[a].as_var())
            .collect();
        if batch.is_empty() {
            return Ok(true);
        }
        let operand = self.graph.node(id).inputs[1];
        let dtype = self.graph.tensor_type(operand).dtype;
        let none = [const { None }; 2];
        let fragment = self.operand(operand, &space, coords, none, dtype)?;
        let free = |index: &IndexExpr| !batch.iter().any(|&v| index.depends_on(v));
        Ok(fragment.values.iter().all(|(_, code)| match code {
            Code::Read(read) => read.coords.iter().all(free),
            Code::Inst(op) => op.index().is_none_or(free),
        }))
    }

    /// The steps of a contraction.
    pub fn contraction(&mut self, id: NodeId) -> Result<Contraction, ScheduleError> {
        let Some(axes) = Axes::of(self.graph, id) else {
            return Err(ScheduleError::Unsupported {
                what: format!("{} is not a contraction", self.graph.node(id).op.mnemonic()),
                source: self.graph.source(id).cloned(),
            });
        };
        let ty = self.graph.tensor_type(id);
        let element = element_of(ty.dtype);
        let factors = factors_of(self.graph, id, self.machine);
        let mut dims = axes.extents()?;
        let mut lhs = self.lhs(id, &axes, [factors[0], element])?;
        let is_shared = self.is_rhs_shared(id, &axes)?;
        let (rhs, rhs_batch) = self.rhs(id, &axes, [factors[1], element], is_shared)?;
        let mut groups = [axes.lhs_batch.len(), axes.rows.len(), axes.columns.len()];
        if is_shared && join_batch(&mut dims, &mut lhs)? {
            groups = [0, groups[0] + groups[1], groups[2]];
        }
        let outer = dims[..3].to_vec();
        let mut space = Space::default();
        let coords = space.axes(&ty.dims);
        let assign = product_assignment(&ty.dims, &coords, groups, &outer)?;
        let product = Member {
            value: Stored::of(id),
            dtype: ty.dtype,
            dims: ty.dims.clone(),
            space: space.dims,
            coords,
            kind: MemberKind::Product,
            fragment: Fragment {
                values: Vec::new(),
                root: lazulite_ir::ValueId(0),
            },
            cost: 0,
        };
        Ok(Contraction {
            node: id,
            sums: element,
            factors,
            dims,
            lhs,
            rhs,
            rhs_batch,
            rhs_group: self.machine.narrow.group(factors[1], element),
            epilogue: Group::epilogue(product, &assign, outer)?,
        })
    }
}

/// With one right operand for all batch entries, these are just more rows.
fn join_batch(dims: &mut [Dim; 4], lhs: &mut Lhs) -> Result<bool, DimOverflow> {
    if dims[0].is(1) {
        return Ok(false);
    }
    if let Lhs::Direct(_, strides) = lhs {
        let [_, batch, row, _] = strides;
        if dims[1].is(1) {
            *row = batch.clone();
        } else if *batch != row.mul(&dims[1])? {
            return Ok(false);
        }
        *batch = Dim::ZERO;
    }
    dims[1] = dims[0].mul(&dims[1])?;
    dims[0] = Dim::ONE;
    Ok(true)
}

/// The product's own coordinates in terms of the loops b, m, n, of which each stands for several
/// axes.
fn product_assignment(
    dims: &Dims,
    coords: &[IndexExpr],
    groups: [usize; 3],
    outer: &[Dim],
) -> Result<Vec<Option<IndexExpr>>, DimOverflow> {
    let ranges = Ranges { outer, inner: &[] };
    let mut assign = Vec::new();
    let mut first = 0;
    for (o, count) in groups.into_iter().enumerate() {
        let loop_var = IndexExpr::var(Var::Outer(o as u32));
        let at = delinearize(&loop_var, &dims[first..first + count], ranges)?;
        for (own, at) in coords[first..first + count].iter().zip(at) {
            if variable(own).is_some() {
                assign.push(Some(at));
            }
        }
        first += count;
    }
    Ok(assign)
}
