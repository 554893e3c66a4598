//! Contractions: which operand memory the product reads directly, and the packers that bring
//! everything else into its layout.
//!
//! The axes of a contraction form four groups: batch, rows (the rest of lhs), columns (the rest of
//! rhs) and summed. The product sees one extent per group.

use super::faults::Faults;
use super::group::Group;
use super::lower::{Code, Fragment, Lowerer, Read, Stored};
use super::member::{Member, MemberKind, Space, variable};
use super::policy::{Policy, is_inlinable, storage_of, stored_type};
use super::views::operand_coords;
use super::{Machine, ScheduleError};
use crate::product::Product;
use lazulite_ir::{
    DIGITS, DType, Dim, DimOverflow, Dims, Graph, IndexExpr, InstOp, NodeId, Op, PANEL, Placement,
    Ranges, Scalar, Var, delinearize, linearize,
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

/// The points of a right operand in the order of panels, and where they go. A panel's lanes are the innermost loop.
struct Panels {
    space: Space,
    /// Of the operand's element at a point.
    coords: Vec<IndexExpr>,
    /// Where it goes.
    index: IndexExpr,
    /// Where elements end along n and along k.
    bounds: [Option<(IndexExpr, Dim)>; 2],
    /// Elements from batch entry to batch entry, and all.
    batch_len: Dim,
    len: Dim,
}

impl Panels {
    /// For these batch axes, and groups of so many factors.
    fn new(axes: &Axes, batch: &[usize], group: i64) -> Result<Panels, DimOverflow> {
        let [_, _, n, k] = axes.extents()?;
        let mut space = Space::default();
        let mut coords = operand_space(&mut space, &axes.rhs, &[batch]);
        let batches = space.dims.len();
        let (width, group) = (Dim::constant(PANEL), Dim::constant(group));
        let panels = n.add(&Dim::constant(PANEL - 1))?.floor_div(&width)?;
        let panel = space.axis(&panels);
        let (row, within, rows) = rows(&mut space, &mut coords, axes, &group)?;
        let lane = space.axis(if panels.is(1) { &n } else { &width });
        let column = panel.scale(&width)?.add(&lane)?;
        let ranges = Ranges {
            outer: &[],
            inner: &space.dims,
        };
        let column_dims: Vec<Dim> = axes.columns.iter().map(|&a| axes.rhs[a].clone()).collect();
        let columns = delinearize(&column, &column_dims, ranges)?;
        for (&axis, at) in axes.columns.iter().zip(columns) {
            coords[axis] = at;
        }
        let (batch_coords, batch_dims): (Vec<IndexExpr>, Vec<Dim>) = {
            batch
                .iter()
                .map(|&a| (coords[a].clone(), axes.rhs[a].clone()))
        }
        .unzip();
        let row_len = width.mul(&group)?;
        let panel_len = row_len.mul(&rows)?;
        let batch_len = panels.mul(&panel_len)?;
        let index = row
            .scale(&row_len)?
            .add(&lane.scale(&group)?)?
            .add(&within)?
            .add(&panel.scale(&panel_len)?)?
            .add(&linearize(&batch_coords, &batch_dims, ranges)?.scale(&batch_len)?)?;
        let summed = match group.is(1) {
            true => None,
            false => Some((row.scale(&group)?.add(&within)?, k)),
        };
        Ok(Panels {
            len: Dim::product(&space.dims[..batches])?.mul(&batch_len)?,
            space,
            coords,
            index,
            bounds: [Some((column, n)), summed],
            batch_len,
        })
    }
}

/// The loops of a panel's rows, of groups of so many elements: the row, the element in the group, and how many rows there
/// are.
fn rows(
    space: &mut Space,
    coords: &mut [IndexExpr],
    axes: &Axes,
    group: &Dim,
) -> Result<(IndexExpr, IndexExpr, Dim), DimOverflow> {
    let dims: Vec<Dim> = axes.rhs_sum.iter().map(|&a| axes.rhs[a].clone()).collect();
    let k = Dim::product(&dims)?;
    if group.is(1) {
        let at: Vec<IndexExpr> = dims.iter().map(|dim| space.axis(dim)).collect();
        for (&axis, at) in axes.rhs_sum.iter().zip(&at) {
            coords[axis] = at.clone();
        }
        let ranges = Ranges {
            outer: &[],
            inner: &space.dims,
        };
        let row = linearize(&at, &dims, ranges)?;
        return Ok((row, IndexExpr::constant(Dim::ZERO), k));
    }
    let rows = k.add(group)?.add(&Dim::constant(-1))?.floor_div(group)?;
    let (row, within) = (space.axis(&rows), space.axis(group));
    let at = row.scale(group)?.add(&within)?;
    let ranges = Ranges {
        outer: &[],
        inner: &space.dims,
    };
    for (&axis, at) in { axes.rhs_sum.iter() }.zip(delinearize(&at, &dims, ranges)?) {
        coords[axis] = at;
    }
    Ok((row, within, rows))
}

/// The operands' axes by group.
pub(crate) struct Axes {
    pub lhs_batch: Vec<usize>,
    pub rhs_batch: Vec<usize>,
    pub rows: Vec<usize>,
    pub columns: Vec<usize>,
    pub lhs_sum: Vec<usize>,
    pub rhs_sum: Vec<usize>,
    pub lhs: Dims,
    pub rhs: Dims,
}

impl Axes {
    /// The axes of a node, if it is a contraction.
    pub fn of(graph: &Graph, id: NodeId) -> Option<Axes> {
        let node = graph.node(id);
        let Op::Contract { .. } = node.op else {
            return None;
        };
        let dims = |operand: usize| &graph.tensor_type(node.inputs[operand]).dims;
        Axes::of_operands(&node.op, dims(0), dims(1))
    }

    /// The axes of operands with these dims, if the operation is a contraction.
    pub fn of_operands(op: &Op, lhs: &Dims, rhs: &Dims) -> Option<Axes> {
        let product = Product::of(op)?;
        let list = |axes: &[u32]| axes.iter().map(|&a| a as usize).collect::<Vec<_>>();
        Some(Axes {
            rows: list(&product.rest(0, lhs.len())),
            columns: list(&product.rest(1, rhs.len())),
            lhs_batch: list(&product.batch[0]),
            rhs_batch: list(&product.batch[1]),
            lhs_sum: list(&product.sum[0]),
            rhs_sum: list(&product.sum[1]),
            lhs: lhs.clone(),
            rhs: rhs.clone(),
        })
    }

    /// Extents b, m, n, k.
    pub fn extents(&self) -> Result<[Dim; 4], DimOverflow> {
        let product = |dims: &Dims, axes: &[usize]| Dim::product(axes.iter().map(|&a| &dims[a]));
        Ok([
            product(&self.lhs, &self.lhs_batch)?,
            product(&self.lhs, &self.rows)?,
            product(&self.rhs, &self.columns)?,
            product(&self.lhs, &self.lhs_sum)?,
        ])
    }

    /// The left operand's axes by group: b, m, k.
    fn lhs_groups(&self) -> [&[usize]; 3] {
        [&self.lhs_batch, &self.rows, &self.lhs_sum]
    }
}

/// The coordinates of an operand whose axes are the loops of a space, group after group.
pub(super) fn operand_space(space: &mut Space, dims: &Dims, groups: &[&[usize]]) -> Vec<IndexExpr> {
    let mut coords = vec![IndexExpr::constant(Dim::ZERO); dims.len()];
    for &axis in groups.iter().copied().flatten() {
        coords[axis] = space.axis(&dims[axis]);
    }
    coords
}

/// The type the product computes in.
pub(super) fn element_of(acc: DType) -> DType {
    match acc {
        DType::F16 | DType::BF16 | DType::F32 => DType::F32,
        DType::F64 => DType::F64,
        DType::U64 | DType::I64 => DType::I64,
        _ => DType::I32,
    }
}

/// The types that a contraction's operands are multiplied in: their own where there are such products, be they converted
/// to the type of the sums or not, else that of the sums.
fn factors_of(graph: &Graph, id: NodeId, machine: &Machine) -> [DType; 2] {
    let element = element_of(graph.tensor_type(id).dtype);
    let factors = [0, 1].map(|side| {
        let mut at = graph.node(id).inputs[side];
        let mut dtype = graph.tensor_type(at).dtype;
        while dtype == element {
            let node = graph.node(at);
            match node.op {
                Op::Cast { .. }
                | Op::Reshape { .. }
                | Op::Permute { .. }
                | Op::Expand { .. }
                | Op::Slice { .. } => at = node.inputs[0],
                _ => break,
            }
            dtype = graph.tensor_type(at).dtype;
        }
        dtype
    });
    match machine.narrow.takes(factors, element) {
        true => factors,
        false => [element; 2],
    }
}

/// Stride of a group's linear index in `index`; `None` when it has none.
pub(super) fn group_stride(
    index: &IndexExpr,
    coords: &[IndexExpr],
    dims: &Dims,
    axes: &[usize],
) -> Result<Option<Dim>, DimOverflow> {
    let mut stride: Option<(Dim, Dim)> = None;
    for &axis in axes.iter().rev() {
        let Some(v) = variable(&coords[axis]) else {
            continue;
        };
        let Some(own) = index.stride_of(Var::Inner(v as u32)) else {
            return Ok(None);
        };
        match &mut stride {
            None => stride = Some((own.clone(), own.mul(&dims[axis])?)),
            Some((_, next)) if *next == own => *next = own.mul(&dims[axis])?,
            Some(_) => return Ok(None),
        }
    }
    Ok(Some(stride.map_or(Dim::ZERO, |(s, _)| s)))
}

/// Extents and strides in `index` of the axes of a group; those that follow each other are one. `None` when an axis has
/// no stride.
fn digits(
    index: &IndexExpr,
    coords: &[IndexExpr],
    dims: &Dims,
    axes: &[usize],
) -> Result<Option<Vec<[Dim; 2]>>, DimOverflow> {
    let mut digits: Vec<[Dim; 2]> = Vec::new();
    for &axis in axes {
        let Some(v) = variable(&coords[axis]) else {
            continue;
        };
        let Some(stride) = index.stride_of(Var::Inner(v as u32)) else {
            return Ok(None);
        };
        let extent = &dims[axis];
        match digits.last_mut() {
            Some([before, far]) if *far == stride.mul(extent)? => {
                *before = before.mul(extent)?;
                *far = stride;
            }
            _ => digits.push([extent.clone(), stride]),
        }
    }
    Ok(Some(digits))
}

/// Offset of an operand with these groups of axes at `index`, and strides along the groups, when it is addressed by
/// strides.
fn strides_of(
    dims: &Dims,
    groups: [&[usize]; 3],
    coords: &[IndexExpr],
    index: &IndexExpr,
) -> Result<Option<[Dim; 4]>, DimOverflow> {
    let mut strides = [index.constant.clone(), Dim::ZERO, Dim::ZERO, Dim::ZERO];
    for (slot, group) in strides[1..].iter_mut().zip(groups) {
        match group_stride(index, coords, dims, group)? {
            Some(stride) => *slot = stride,
            None => return Ok(None),
        }
    }
    Ok(Some(strides))
}

/// The node to keep in memory so that the product reads it as left operand without packing: the
/// value under the operand's views, or the operand itself where these are no strides.
pub(super) fn direct_operand(
    graph: &Graph,
    id: NodeId,
    machine: &Machine,
) -> Result<Option<NodeId>, DimOverflow> {
    let Some(axes) = Axes::of(graph, id) else {
        return Ok(None);
    };
    let operand = graph.node(id).inputs[0];
    let element = element_of(graph.tensor_type(id).dtype);
    let factor = factors_of(graph, id, machine)[0];
    let group = machine.narrow.group(factor, element);
    let mut space = Space::default();
    let coords = operand_space(&mut space, &axes.lhs, &axes.lhs_groups());
    let ranges = Ranges {
        outer: &[],
        inner: &space.dims,
    };
    let (base, inside) =
        under_widening(graph, operand, coords.clone(), (ranges, [factor, element]))?;
    let dense = storage_of(graph, operand).node;
    for (node, at, dims) in [
        (base, &inside, &graph.tensor_type(base).dims),
        (dense, &coords, &axes.lhs),
    ] {
        if graph.tensor_type(node).dtype != factor {
            continue;
        }
        let index = linearize(at, dims, ranges)?;
        let strides = strides_of(&axes.lhs, axes.lhs_groups(), &coords, &index)?;
        if strides.is_some_and(|strides| is_read(&strides, &axes, group)) {
            return Ok(Some(node));
        }
    }
    Ok(None)
}

/// Whether the product reads a left operand with these strides where it lies: groups of factors along the sum only.
fn is_read(strides: &[Dim; 4], axes: &Axes, group: i64) -> bool {
    let mut summed = axes.lhs_sum.iter();
    group == 1 || strides[3].is(1) || summed.all(|&axis| axes.lhs[axis].is(1))
}

/// The node of narrow factors to keep in memory, so that the product packs them from there: the value under the right
/// operand's views and conversions.
pub(super) fn narrow_operand(
    graph: &Graph,
    id: NodeId,
    machine: &Machine,
) -> Result<Option<NodeId>, DimOverflow> {
    let Some(axes) = Axes::of(graph, id) else {
        return Ok(None);
    };
    let element = element_of(graph.tensor_type(id).dtype);
    let factor = factors_of(graph, id, machine)[1];
    if factor == element {
        return Ok(None);
    }
    let groups: [&[usize]; 3] = [&axes.rhs_batch, &axes.rhs_sum, &axes.columns];
    let mut space = Space::default();
    let coords = operand_space(&mut space, &axes.rhs, &groups);
    let ranges = Ranges {
        outer: &[],
        inner: &space.dims,
    };
    let operand = graph.node(id).inputs[1];
    let (base, _) = under_widening(graph, operand, coords, (ranges, [factor, element]))?;
    Ok((graph.tensor_type(base).dtype == factor).then_some(base))
}

/// As [`under_views`], looking also under the conversion of narrow factors to the type of the sums.
fn under_widening(
    graph: &Graph,
    node: NodeId,
    coords: Vec<IndexExpr>,
    (ranges, [factor, element]): (Ranges<'_>, [DType; 2]),
) -> Result<(NodeId, Vec<IndexExpr>), DimOverflow> {
    let (base, inside) = under_views(graph, node, coords, ranges)?;
    match graph.node(base).op {
        Op::Cast { dtype } if dtype == element && factor != element => {
            under_views(graph, graph.node(base).inputs[0], inside, ranges)
        }
        _ => Ok((base, inside)),
    }
}

/// The padded value to keep in memory so that the product reads windows of it without packing them before.
pub(super) fn padded_operand(graph: &Graph, id: NodeId, machine: &Machine) -> Option<NodeId> {
    let Op::Contract { .. } = graph.node(id).op else {
        return None;
    };
    let (mut at, mut windowed) = (graph.node(id).inputs[1], false);
    if graph.tensor_type(at).dtype != factors_of(graph, id, machine)[1] {
        return None;
    }
    loop {
        let node = graph.node(at);
        match node.op {
            Op::Window { .. } => windowed = true,
            Op::Reshape { .. } | Op::Permute { .. } | Op::Expand { .. } => {}
            Op::Pad { .. } => return windowed.then_some(at),
            _ => return None,
        }
        at = node.inputs[0];
    }
}

/// The value that `node` is a view of, and where it is read for the element at `coords`. Slices of values
/// that would have to be computed first count as values: only the slice is needed.
pub(super) fn under_views(
    graph: &Graph,
    node: NodeId,
    coords: Vec<IndexExpr>,
    ranges: Ranges<'_>,
) -> Result<(NodeId, Vec<IndexExpr>), DimOverflow> {
    let (mut at, mut inside) = (node, coords);
    let mut slice = None;
    loop {
        let n = graph.node(at);
        match n.op {
            Op::Slice { .. } => {
                slice.get_or_insert((at, inside.clone()));
            }
            Op::Reshape { .. } | Op::Permute { .. } | Op::Expand { .. } => {}
            _ => break,
        }
        let from = n.inputs[0];
        let dims = [&graph.tensor_type(at).dims, &graph.tensor_type(from).dims];
        inside = operand_coords(&n.op, &inside, dims, ranges)?;
        at = from;
    }
    Ok(match slice {
        Some(slice) if is_inlinable(&graph.node(at).op) => slice,
        _ => (at, inside),
    })
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
