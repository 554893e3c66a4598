//! Segments of rows that see only some of the columns, for [`super::blocks`].

use super::blocks::{Label, Labels};
use crate::PassError;
use crate::build::{Builder, Emit};
use lazulite_ir::{DType, Dim, Dims, NodeId, Op, Predicate, Scalar};

/// Segments at most: with more of them fewer hidden elements are computed, and there is more to compile.
const SEGMENTS: i64 = 8;

/// Blocks of rows next to each other, and the columns they see.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub first: i64,
    pub blocks: i64,
    pub columns: i64,
}

/// All segments of so many blocks of `rows`. Of so many columns those beyond a row are hidden; without a number, none is.
pub(super) fn segments(blocks: i64, rows: i64, columns: Option<i64>) -> Vec<Segment> {
    let count = columns.map_or(1, |_| SEGMENTS.min(blocks));
    let segment = |i: i64| {
        let (first, end) = (blocks * i / count, blocks * (i + 1) / count);
        Segment {
            first,
            blocks: end - first,
            columns: columns.map_or(0, |c| c.min(end * rows)),
        }
    };
    (0..count).map(segment).collect()
}

impl Segment {
    /// What a block sees of a tensor.
    pub fn seen(
        &self,
        b: &mut Builder,
        part: NodeId,
        labels: &Labels,
    ) -> Result<NodeId, PassError> {
        let left = labels
            .iter()
            .filter(|l| !matches!(l, Some(Label::Batch(_))));
        match { left }.position(|l| *l == Some(Label::Columns)) {
            Some(axis) => b.slice_axis(part, axis, Dim::ZERO, Dim::constant(self.columns)),
            None => Ok(part),
        }
    }
}

/// Tensors behind each other along their first axis, of which each has so many elements. Neighbours are joined first: an
/// element then goes through few choices.
pub(super) fn join(b: &mut Builder, parts: &[(NodeId, i64)]) -> Result<NodeId, PassError> {
    if let [(part, _)] = parts {
        return Ok(*part);
    }
    let (left, right) = parts.split_at(parts.len().div_ceil(2));
    let len = |parts: &[(NodeId, i64)]| parts.iter().map(|(_, len)| len).sum::<i64>();
    let (before, after) = (len(left), len(right));
    let (left, right) = (join(b, left)?, join(b, right)?);
    let zero = b.emit(
        Op::Const {
            value: Scalar::from_i64(b.dtype(left), 0),
        },
        &[],
    )?;
    let mut widen = |part: NodeId, [low, high]: [i64; 2]| {
        let nothing: Dims = b.dims(part).iter().map(|_| Dim::ZERO).collect();
        let (mut lows, mut highs) = (nothing.clone(), nothing.clone());
        lows[0] = Dim::constant(low);
        highs[0] = Dim::constant(high);
        let pad = Op::Pad {
            low: lows,
            high: highs,
            interior: nothing,
        };
        b.emit(pad, &[part, zero])
    };
    let (left, right) = (widen(left, [0, after])?, widen(right, [before, 0])?);
    let dims = b.dims(left);
    let iota = Op::Iota {
        len: Dim::constant(before + after),
        dtype: DType::I64,
    };
    let places = b.emit(iota, &[])?;
    let mut column: Dims = dims.iter().map(|_| Dim::ONE).collect();
    column[0].clone_from(&dims[0]);
    let places = b.reshape(places, column)?;
    let places = b.expand(places, dims.clone())?;
    let limit = b.splat(Scalar::from_i64(DType::I64, before), &dims)?;
    let is_left = b.compare(Predicate::Lt, places, limit)?;
    b.select(is_left, left, right)
}
