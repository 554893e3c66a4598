//! A complex tensor as two real ones.

use crate::PassError;
use crate::build::Emit;
use lazulite_ir::{Binary, DType, Dim, Dims, NodeId, Op, Predicate, Scalar};

/// Real and imaginary part, of equal type.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub re: NodeId,
    pub im: NodeId,
}

impl Pair {
    /// The same done to both parts.
    pub fn map(
        self,
        mut f: impl FnMut(NodeId) -> Result<NodeId, PassError>,
    ) -> Result<Pair, PassError> {
        Ok(Pair {
            re: f(self.re)?,
            im: f(self.im)?,
        })
    }
}

/// The product.
pub(super) fn mul(b: &mut impl Emit, x: Pair, y: Pair) -> Result<Pair, PassError> {
    let rr = b.binary(Binary::Mul, x.re, y.re)?;
    let ii = b.binary(Binary::Mul, x.im, y.im)?;
    let ri = b.binary(Binary::Mul, x.re, y.im)?;
    let ir = b.binary(Binary::Mul, x.im, y.re)?;
    Ok(Pair {
        re: b.sub(rr, ii)?,
        im: b.binary(Binary::Add, ri, ir)?,
    })
}

/// The number 1 (or 0 for `re` = 0) at every place.
pub(super) fn real_constant(
    b: &mut impl Emit,
    dtype: DType,
    re: f64,
    dims: &Dims,
) -> Result<Pair, PassError> {
    Ok(Pair {
        re: b.splat(Scalar::from_f64(dtype, re), dims)?,
        im: b.splat(Scalar::from_f64(dtype, 0.0), dims)?,
    })
}

/// The parts of a real tensor with a last axis of 2.
pub(super) fn deinterleave(b: &mut impl Emit, whole: NodeId) -> Result<Pair, PassError> {
    let mut dims = b.dims(whole);
    let axis = dims.len() - 1;
    dims.pop();
    let mut part = |i| {
        let slice = b.slice_axis(whole, axis, Dim::constant(i), Dim::ONE)?;
        b.reshape(slice, dims.clone())
    };
    Ok(Pair {
        re: part(0)?,
        im: part(1)?,
    })
}

/// The real tensor with a last axis of 2 that holds the parts.
pub(super) fn interleave(b: &mut impl Emit, z: Pair) -> Result<NodeId, PassError> {
    let mut unit = b.dims(z.re);
    unit.push(Dim::ONE);
    let mut dims = b.dims(z.re);
    dims.push(Dim::constant(2));
    let place = b.emit(
        Op::Iota {
            len: Dim::constant(2),
            dtype: DType::I64,
        },
        &[],
    )?;
    let ones = (1..dims.len()).map(|_| Dim::ONE);
    let place = b.reshape(place, ones.chain([Dim::constant(2)]).collect())?;
    let place = b.expand(place, dims.clone())?;
    let zero = b.splat(Scalar::from_i64(DType::I64, 0), &dims)?;
    let first = b.compare(Predicate::Eq, place, zero)?;
    let parts = z.map(|part| {
        let part = b.reshape(part, unit.clone())?;
        b.expand(part, dims.clone())
    })?;
    b.select(first, parts.re, parts.im)
}
