//! The order of a product's right operand in panels, which its packers write.

use super::axes::{Axes, operand_space};
use super::member::Space;
use lazulite_ir::{Dim, DimOverflow, IndexExpr, PANEL, Ranges, delinearize, linearize};

/// The points of a right operand in the order of panels, and where they go. A panel's lanes are the innermost loop.
pub(super) struct Panels {
    pub space: Space,
    /// Of the operand's element at a point.
    pub coords: Vec<IndexExpr>,
    /// Where it goes.
    pub index: IndexExpr,
    /// Where elements end along n and along k.
    pub bounds: [Option<(IndexExpr, Dim)>; 2],
    /// Elements from batch entry to batch entry, and all.
    pub batch_len: Dim,
    pub len: Dim,
}

impl Panels {
    /// For these batch axes, and groups of so many factors.
    pub fn new(axes: &Axes, batch: &[usize], group: i64) -> Result<Panels, DimOverflow> {
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
