//! The axes of a contraction's operands form four groups: batch, rows (the rest of lhs), columns (the rest of rhs) and
//! summed. The product sees one extent per group, and one stride where a group has one.

use super::member::{Space, variable};
use crate::product::Product;
use lazulite_ir::{Dim, DimOverflow, Dims, Graph, IndexExpr, NodeId, Op, Var};

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
    pub(super) fn lhs_groups(&self) -> [&[usize]; 3] {
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
pub(super) fn digits(
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
pub(super) fn strides_of(
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
