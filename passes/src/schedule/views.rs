//! Views as coordinate transforms, and Pad and Gather, which look at data only to choose what is
//! read.

use super::ScheduleError;
use super::lower::{Code, Lowerer, is_within};
use lazulite_ir::{
    DType, Dim, DimOverflow, Dims, IndexExpr, InstOp, NodeId, Op, Ranges, ValueId, reshape_coords,
};

/// Where a view reads its operand for the element at `coords`; `dims` are those of the result and the operand.
/// Operations that are no plain views read at the same coordinates.
pub(super) fn operand_coords(
    op: &Op,
    coords: &[IndexExpr],
    dims: [&Dims; 2],
    ranges: Ranges<'_>,
) -> Result<Vec<IndexExpr>, DimOverflow> {
    let [to, from] = dims;
    match op {
        Op::Reshape { .. } => reshape_coords(coords, to, from, ranges),
        Op::Permute { perm } => {
            let mut inside = vec![IndexExpr::constant(Dim::ZERO); from.len()];
            for (c, &p) in coords.iter().zip(perm) {
                inside[p as usize] = c.clone();
            }
            Ok(inside)
        }
        Op::Expand { .. } => Ok(coords
            .iter()
            .zip(from)
            .map(|(c, d)| {
                if d.is(1) {
                    IndexExpr::constant(Dim::ZERO)
                } else {
                    c.clone()
                }
            })
            .collect()),
        Op::Slice { start, step, .. } => coords
            .iter()
            .zip(start)
            .zip(step)
            .map(|((c, start), &step)| c.scale(&Dim::constant(step))?.offset(start))
            .collect(),
        Op::Window {
            axis,
            stride,
            dilation,
            ..
        } => {
            let mut inside = coords.to_vec();
            let place = inside.pop().unwrap_or(IndexExpr::constant(Dim::ZERO));
            let window = &mut inside[*axis as usize];
            *window = window.scale(stride)?.add(&place.scale(dilation)?)?;
            Ok(inside)
        }
        _ => Ok(coords.to_vec()),
    }
}

impl Lowerer<'_> {
    /// The operand where there is one, else the fill value.
    pub(super) fn pad(
        &mut self,
        node: NodeId,
        coords: &[IndexExpr],
        guard: Option<ValueId>,
        [low, high, interior]: [&Dims; 3],
    ) -> Result<Option<ValueId>, ScheduleError> {
        let inputs = &self.graph.node(node).inputs;
        let (x, fill) = (inputs[0], inputs[1]);
        let fill = self.need(fill, Vec::new(), None);
        let Some(fill) = fill else { return Ok(None) };
        let sizes = self.dims(x);
        if sizes.iter().any(|d| d.is(0)) {
            return Ok(Some(fill));
        }
        let mut inside = None;
        let mut operand = Vec::with_capacity(coords.len());
        for (axis, coord) in coords.iter().enumerate() {
            let mut at = coord.clone();
            if !coord_is_free(&low[axis], &high[axis], &interior[axis]) {
                let (here, condition) =
                    self.pad_axis(coord, &low[axis], &interior[axis], &sizes[axis])?;
                at = here;
                inside = self.and(inside, condition);
            }
            operand.push(at);
        }
        let valid = self.and(guard, inside);
        let x = self.need(x, operand, valid);
        Ok(x.map(|x| match inside {
            Some(condition) => self.emit(self.dtype(x), InstOp::Select(condition, x, fill)),
            None => x,
        }))
    }

    /// The operand's coordinate along one axis, and the condition that there is an element.
    fn pad_axis(
        &mut self,
        coord: &IndexExpr,
        low: &Dim,
        interior: &Dim,
        size: &Dim,
    ) -> Result<(IndexExpr, Option<ValueId>), ScheduleError> {
        let ranges = self.ranges();
        let moved = coord.offset(&low.mul(&Dim::constant(-1))?)?;
        if interior.is(0) {
            let condition = self.in_range(&moved, Dim::ZERO, size.clone());
            return Ok((moved, condition));
        }
        let step = interior.add(&Dim::ONE)?;
        let at = moved.floor_div(&step, ranges)?;
        let rest = moved.modulo(&step, ranges)?;
        let condition = self.in_range(&at, Dim::ZERO, size.clone());
        let exact = self.in_range(&rest, Dim::ZERO, Dim::ONE);
        Ok((at, self.and(condition, exact)))
    }

    /// The element of the operand that the indices name.
    pub(super) fn gather(
        &mut self,
        node: NodeId,
        coords: &[IndexExpr],
        guard: Option<ValueId>,
        axes: &[u32],
    ) -> Result<Option<ValueId>, ScheduleError> {
        let inputs = &self.graph.node(node).inputs;
        let (x, indices) = (inputs[0], &inputs[1..]);
        let index_rank = self.dims(indices[0]).len();
        let (place, rest) = coords.split_at(index_rank);
        let mut values = Vec::with_capacity(indices.len());
        for &index in indices {
            values.push(self.need(index, place.to_vec(), guard));
        }
        let Some(values) = values.into_iter().collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let mut rest = rest.iter();
        let mut valid = guard;
        let mut inside = Vec::with_capacity(self.dims(x).len());
        for (axis, size) in self.dims(x).iter().enumerate() {
            let Some(k) = axes.iter().position(|&a| a as usize == axis) else {
                inside.extend(rest.next().cloned());
                continue;
            };
            let (at, condition) = self.checked_index(node, values[k], axis, size, guard);
            valid = self.and(valid, condition);
            inside.push(at);
        }
        Ok(self.need(x, inside, valid))
    }

    /// An index value as a coordinate inside an axis of `size`, and the condition that there is a
    /// place at all.
    pub(super) fn checked_index(
        &mut self,
        node: NodeId,
        value: ValueId,
        axis: usize,
        size: &Dim,
        guard: Option<ValueId>,
    ) -> (IndexExpr, Option<ValueId>) {
        if let Some(index) = self.known_index(value)
            && is_within(&index, &Dim::ZERO, size, self.ranges())
        {
            return (index, None);
        }
        let mnemonic = self.graph.node(node).op.mnemonic();
        let what = format!("index out of range in {mnemonic} along axis {axis}");
        let fault = self.faults.number(self.graph, node, &what);
        let value = self.cast(value, DType::I64);
        let checked = InstOp::CheckIndex {
            value,
            bound: size.clone(),
            fault,
            guard,
        };
        let checked = self.emit(DType::I64, checked);
        let nonempty = self.in_range(&IndexExpr::constant(Dim::ZERO), Dim::ZERO, size.clone());
        (IndexExpr::value(checked), nonempty)
    }

    /// The index expression that a value holds, when it is one (and the type does not cut it off).
    fn known_index(&self, value: ValueId) -> Option<IndexExpr> {
        let source = match self.code(value) {
            Code::Inst(InstOp::Index(index)) => return Some(index.clone()),
            Code::Inst(InstOp::Cast(source)) => *source,
            _ => return None,
        };
        let Code::Inst(InstOp::Index(index)) = self.code(source) else {
            return None;
        };
        let limit = Dim::constant(i64::from(i32::MAX));
        let fits =
            self.dtype(value) == DType::I64 || is_within(index, &Dim::ZERO, &limit, self.ranges());
        fits.then(|| index.clone())
    }
}

/// True where padding leaves an axis as it is.
fn coord_is_free(low: &Dim, high: &Dim, interior: &Dim) -> bool {
    low.is(0) && high.is(0) && interior.is(0)
}
