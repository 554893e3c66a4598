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
    DIGITS, DType, Dim, DimOverflow, Dims, Graph, IndexExpr, NodeId, Op, PANEL, Placement, Ranges,
    Var, delinearize, linearize,
};

/// A contraction as the runtime's product sees it.
#[derive(Debug)]
pub(super) struct Contraction {
    /// The contraction.
    pub node: NodeId,
    /// Element type of the product's operands.
    pub operands: DType,
    /// Element type of its sums.
    pub sums: DType,
    /// Extents b, m, n, k.
    pub dims: [Dim; 4],
    /// The left operand.
    pub lhs: Lhs,
    /// The right operand.
    pub rhs: Rhs,
    /// Elements of the packed right operand from batch entry to batch entry.
    pub rhs_batch: Dim,
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

/// The type that a contraction's operands have for the product: that of the sums, unless the machine takes narrower ones.
fn operands_of(graph: &Graph, id: NodeId, machine: &Machine) -> DType {
    let sums = element_of(graph.tensor_type(id).dtype);
    let [lhs, rhs] = [0, 1].map(|i| graph.tensor_type(graph.node(id).inputs[i]).dtype);
    let half = lhs == rhs && lhs != sums && lhs.compute() == sums;
    if machine.half_products && half {
        lhs
    } else {
        sums
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
    if graph.tensor_type(operand).dtype != operands_of(graph, id, machine) {
        return Ok(None);
    }
    let mut space = Space::default();
    let coords = operand_space(&mut space, &axes.lhs, &axes.lhs_groups());
    let ranges = Ranges {
        outer: &[],
        inner: &space.dims,
    };
    let (base, inside) = under_views(graph, operand, coords.clone(), ranges)?;
    let dense = storage_of(graph, operand).node;
    for (node, at, dims) in [
        (base, &inside, &graph.tensor_type(base).dims),
        (dense, &coords, &axes.lhs),
    ] {
        let index = linearize(at, dims, ranges)?;
        if strides_of(&axes.lhs, axes.lhs_groups(), &coords, &index)?.is_some() {
            return Ok(Some(node));
        }
    }
    Ok(None)
}

/// The padded value to keep in memory so that the product reads windows of it without packing them before.
pub(super) fn padded_operand(graph: &Graph, id: NodeId, machine: &Machine) -> Option<NodeId> {
    let Op::Contract { .. } = graph.node(id).op else {
        return None;
    };
    let (mut at, mut windowed) = (graph.node(id).inputs[1], false);
    if graph.tensor_type(at).dtype != operands_of(graph, id, machine) {
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
    /// The element of an operand as the product's type.
    fn operand(
        &mut self,
        node: NodeId,
        space: &Space,
        coords: Vec<IndexExpr>,
        bound: Option<(IndexExpr, Dim)>,
        element: DType,
    ) -> Result<Fragment, ScheduleError> {
        let (graph, policy) = (self.graph, self.policy);
        let mut lowerer = Lowerer::new(graph, policy, self.faults, None, &space.dims);
        let guard = bound.and_then(|(index, end)| lowerer.in_range(&index, Dim::ZERO, end));
        let value = lowerer.value(node, coords, guard)?;
        let value = lowerer.cast(value, element);
        Ok(lowerer.finish(value))
    }

    fn lhs(&mut self, id: NodeId, axes: &Axes, element: DType) -> Result<Lhs, ScheduleError> {
        let mut space = Space::default();
        let coords = operand_space(&mut space, &axes.lhs, &axes.lhs_groups());
        let operand = self.graph.node(id).inputs[0];
        let fragment = self.operand(operand, &space, coords.clone(), None, element)?;
        let ranges = Ranges {
            outer: &[],
            inner: &space.dims,
        };
        if let (_, Code::Read(read)) = &fragment.values[fragment.root.0 as usize]
            && let Some(found) =
                self.place_of(read, (&axes.lhs, axes.lhs_groups()), &coords, ranges)?
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
        element: DType,
    ) -> Result<Option<(Stored, Placement)>, ScheduleError> {
        let groups = [batch, &axes.rhs_sum, &axes.columns];
        let mut space = Space::default();
        let coords = operand_space(&mut space, &axes.rhs, &groups);
        let operand = self.graph.node(id).inputs[1];
        let fragment = self.operand(operand, &space, coords.clone(), None, element)?;
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

    /// The right operand in panels, and its elements from batch entry to batch entry. A panel's lanes are
    /// the innermost loop.
    fn rhs(
        &mut self,
        id: NodeId,
        axes: &Axes,
        element: DType,
        is_shared: bool,
    ) -> Result<(Rhs, Dim), ScheduleError> {
        let [_, _, n, k] = axes.extents()?;
        let operand = self.graph.node(id).inputs[1];
        let mut space = Space::default();
        let none: &[usize] = &[];
        let batch = if is_shared { none } else { &axes.rhs_batch };
        let mut coords = operand_space(&mut space, &axes.rhs, &[batch]);
        let batches = space.dims.len();
        let width = Dim::constant(PANEL);
        let panels = n.add(&Dim::constant(PANEL - 1))?.floor_div(&width)?;
        let panel = space.axis(&panels);
        for &axis in &axes.rhs_sum {
            coords[axis] = space.axis(&axes.rhs[axis]);
        }
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
        let pick = |list: &[usize]| -> (Vec<IndexExpr>, Vec<Dim>) {
            list.iter()
                .map(|&a| (coords[a].clone(), axes.rhs[a].clone()))
                .unzip()
        };
        let (sum_coords, sum_dims) = pick(&axes.rhs_sum);
        let (batch_coords, batch_dims) = pick(batch);
        let panel_len = width.mul(&k)?;
        let batch_len = panels.mul(&panel_len)?;
        let index = linearize(&sum_coords, &sum_dims, ranges)?
            .scale(&width)?
            .add(&lane)?
            .add(&panel.scale(&panel_len)?)?
            .add(&linearize(&batch_coords, &batch_dims, ranges)?.scale(&batch_len)?)?;
        let len = Dim::product(&space.dims[..batches])?.mul(&batch_len)?;
        let fragment = self.operand(operand, &space, coords, Some((column, n)), element)?;
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
                let place = self.rhs_place(id, axes, batch, element)?;
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
        let fragment = self.operand(operand, &space, coords, None, dtype)?;
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
        let operands = operands_of(self.graph, id, self.machine);
        let mut dims = axes.extents()?;
        let mut lhs = self.lhs(id, &axes, operands)?;
        let is_shared = self.is_rhs_shared(id, &axes)?;
        let (rhs, rhs_batch) = self.rhs(id, &axes, operands, is_shared)?;
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
            operands,
            sums: element_of(ty.dtype),
            dims,
            lhs,
            rhs,
            rhs_batch,
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
