//! Sums of products, and products of many complex numbers.

use super::pair::{self, Pair, real_constant};
use crate::PassError;
use crate::build::{Builder, Emit};
use lazulite_ir::{Binary, DType, Dim, Dims, Graph, NodeId, Op, Predicate, Scalar, TensorType};
use std::sync::Arc;

/// A contraction as four real ones.
pub(super) fn contract(b: &mut Builder, op: &Op, x: Pair, y: Pair) -> Result<Pair, PassError> {
    let rr = b.emit(op.clone(), &[x.re, y.re])?;
    let ii = b.emit(op.clone(), &[x.im, y.im])?;
    let ri = b.emit(op.clone(), &[x.re, y.im])?;
    let ir = b.emit(op.clone(), &[x.im, y.re])?;
    Ok(Pair {
        re: b.sub(rr, ii)?,
        im: b.binary(Binary::Add, ri, ir)?,
    })
}

/// The product along `axes`: by halving, when their extent is constant, else one after the other.
pub(super) fn product(b: &mut Builder, z: Pair, axes: &[u32]) -> Result<Pair, PassError> {
    let dims = b.dims(z.re);
    let reduced = |a: &u32| axes.contains(a);
    let kept: Vec<u32> = (0..dims.len() as u32).filter(|a| !reduced(a)).collect();
    let size = |a: &u32| dims[*a as usize].clone();
    let rest: Dims = kept.iter().map(size).collect();
    let extent = Dim::product(axes.iter().map(|&a| &dims[a as usize]))?;
    // The reduced axes become one, in front.
    let perm: Vec<u32> = axes.iter().chain(&kept).copied().collect();
    let lined: Dims = [extent.clone()].into_iter().chain(rest.clone()).collect();
    let z = z.map(|part| {
        let part = b.permute(part, perm.clone())?;
        b.reshape(part, lined.clone())
    })?;
    match extent.as_const() {
        Some(len) => halve(b, z, len, &rest),
        None => Ok(run(b, z, extent, rest)?.last),
    }
}

/// The product along the first axis of constant size, in about log2 of it steps.
fn halve(b: &mut Builder, z: Pair, len: i64, rest: &Dims) -> Result<Pair, PassError> {
    if len == 0 {
        let dtype = b.dtype(z.re);
        return real_constant(b, dtype, 1.0, rest);
    }
    let part = |b: &mut Builder, z: Pair, from: i64, count: i64| {
        let (from, count) = (Dim::constant(from), Dim::constant(count));
        z.map(|p| b.slice_axis(p, 0, from.clone(), count.clone()))
    };
    let (mut product, mut len, mut odd) = (z, len, Vec::new());
    while len > 1 {
        let half = len / 2;
        if len % 2 == 1 {
            odd.push(part(b, product, len - 1, 1)?);
        }
        let (front, back) = (part(b, product, 0, half)?, part(b, product, half, half)?);
        product = pair::mul(b, front, back)?;
        len = half;
    }
    for left in odd {
        product = pair::mul(b, product, left)?;
    }
    product.map(|p| b.reshape(p, rest.clone()))
}

/// The running product along `axis`.
pub(super) fn scan_product(
    b: &mut Builder,
    z: Pair,
    axis: usize,
    reverse: bool,
) -> Result<Pair, PassError> {
    let dims = b.dims(z.re);
    let flip = |b: &mut Builder, z: Pair| {
        let last = dims[axis].sub(&Dim::ONE)?;
        let mut start: Dims = dims.iter().map(|_| Dim::ZERO).collect();
        let mut step = vec![1; dims.len()];
        (start[axis], step[axis]) = (last, -1);
        let (len, op) = (dims.clone(), |start, len, step| Op::Slice {
            start,
            len,
            step,
        });
        let op = op(start, len, step);
        z.map(|p| b.emit(op.clone(), &[p]))
    };
    let forward = if reverse { flip(b, z)? } else { z };
    let scanned = match dims[axis].as_const() {
        Some(len) => double(b, forward, axis, len)?,
        None => one_by_one(b, forward, axis)?,
    };
    if reverse {
        flip(b, scanned)
    } else {
        Ok(scanned)
    }
}

/// Each step doubles how many elements before it every element is multiplied with (after Hillis
/// and Steele).
fn double(b: &mut Builder, z: Pair, axis: usize, len: i64) -> Result<Pair, PassError> {
    let (dims, dtype) = (b.dims(z.re), b.dtype(z.re));
    let mut product = z;
    let mut shift = 1;
    while shift < len {
        let earlier = earlier(b, product, axis, shift, dtype)?;
        let more = pair::mul(b, earlier, product)?;
        let has_earlier = at_least(b, &dims, axis, shift)?;
        product = Pair {
            re: b.select(has_earlier, more.re, product.re)?,
            im: b.select(has_earlier, more.im, product.im)?,
        };
        shift *= 2;
    }
    Ok(product)
}

/// The elements `shift` places before, and 1 where there are none.
fn earlier(
    b: &mut Builder,
    z: Pair,
    axis: usize,
    shift: i64,
    dtype: DType,
) -> Result<Pair, PassError> {
    let zeros: Dims = b.dims(z.re).iter().map(|_| Dim::ZERO).collect();
    let (mut low, mut high) = (zeros.clone(), zeros.clone());
    (low[axis], high[axis]) = (Dim::constant(shift), Dim::constant(-shift));
    let op = Op::Pad {
        low,
        high,
        interior: zeros,
    };
    let fill = real_constant(b, dtype, 1.0, &Dims::new())?;
    Ok(Pair {
        re: b.emit(op.clone(), &[z.re, fill.re])?,
        im: b.emit(op, &[z.im, fill.im])?,
    })
}

/// True where the place along `axis` is at least `bound`.
fn at_least(b: &mut Builder, dims: &Dims, axis: usize, bound: i64) -> Result<NodeId, PassError> {
    let iota = Op::Iota {
        len: dims[axis].clone(),
        dtype: DType::I64,
    };
    let place = b.emit(iota, &[])?;
    let mut unit: Dims = dims.iter().map(|_| Dim::ONE).collect();
    unit[axis] = dims[axis].clone();
    let place = b.reshape(place, unit)?;
    let place = b.expand(place, dims.clone())?;
    let bound = b.splat(Scalar::from_i64(DType::I64, bound), dims)?;
    b.compare(Predicate::Le, bound, place)
}

/// The running product along `axis` of unknown size.
fn one_by_one(b: &mut Builder, z: Pair, axis: usize) -> Result<Pair, PassError> {
    let dims = b.dims(z.re);
    let others = (0..dims.len() as u32).filter(|&a| a as usize != axis);
    let to_front: Vec<u32> = [axis as u32].into_iter().chain(others).collect();
    let front = z.map(|p| b.permute(p, to_front.clone()))?;
    let rest = b.dims(front.re)[1..].iter().cloned().collect();
    let all = run(b, front, dims[axis].clone(), rest)?.all;
    let mut back = vec![0; dims.len()];
    for (i, &p) in to_front.iter().enumerate() {
        back[p as usize] = i as u32;
    }
    all.map(|p| b.permute(p, back.clone()))
}

/// What a loop along the first axis finds.
struct Products {
    last: Pair,
    all: Pair,
}

/// Products along the first axis, whose size is `len` and behind which stand `rest`.
fn run(b: &mut Builder, z: Pair, len: Dim, rest: Dims) -> Result<Products, PassError> {
    let dtype = b.dtype(z.re);
    let start = real_constant(b, dtype, 1.0, &rest)?;
    let op = Op::Loop {
        trip: len,
        carries: 2,
        scanned: 2,
        body: Arc::new(product_body(&TensorType { dtype, dims: rest })?),
    };
    let tuple = b.emit(op, &[start.re, start.im, z.re, z.im])?;
    let mut result = |i| b.get(tuple, i);
    Ok(Products {
        last: Pair {
            re: result(0)?,
            im: result(1)?,
        },
        all: Pair {
            re: result(2)?,
            im: result(3)?,
        },
    })
}

/// One multiplication, handed on and stacked.
fn product_body(ty: &TensorType) -> Result<Graph, PassError> {
    let mut b = Builder::new(super::PASS);
    b.input(TensorType::scalar(DType::I64));
    let mut pair = || Pair {
        re: b.input(ty.clone()),
        im: b.input(ty.clone()),
    };
    let (carry, next) = (pair(), pair());
    let product = pair::mul(&mut b, carry, next)?;
    let results = [product.re, product.im, product.re, product.im];
    Ok(b.finish(results, &Graph::new()))
}
