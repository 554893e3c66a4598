//! Small graphs that make a tensor fit where it is needed.

use super::grow::{Grower, Item};
use crate::{Binary, DType, Dim, Dims, Op, Predicate, Scalar, TensorType, Unary};

impl Grower {
    pub(super) fn cast(&mut self, x: &Item, dtype: DType) -> Option<Item> {
        if x.dtype() == dtype {
            return Some(x.clone());
        }
        self.add(Op::Cast { dtype }, &[x])
    }

    pub(super) fn binary(&mut self, f: Binary, a: &Item, b: &Item) -> Option<Item> {
        self.add(Op::Binary { f }, &[a, b])
    }

    /// A constant with the dims of `like`.
    pub(super) fn full(&mut self, value: Scalar, like: &Item) -> Option<Item> {
        let scalar = self.constant(value)?;
        self.spread(&scalar, &like.ty.dims)
    }

    /// A tensor of one element repeated to these dims.
    fn spread(&mut self, x: &Item, dims: &Dims) -> Option<Item> {
        let ones = dims.iter().map(|_| Dim::ONE).collect();
        let flat = self.add(Op::Reshape { dims: ones }, &[x])?;
        self.add(Op::Expand { dims: dims.clone() }, &[&flat])
    }

    /// The tensor with these dims: reshaped if its elements suffice, else its first one
    /// everywhere, or zeros if it has none.
    pub(super) fn with_dims(&mut self, x: &Item, dims: &Dims) -> Option<Item> {
        if x.ty.dims == *dims {
            return Some(x.clone());
        }
        let reshaped = self.add(Op::Reshape { dims: dims.clone() }, &[x]);
        if reshaped.is_some() {
            return reshaped;
        }
        let first = if x.len() == 0 {
            self.constant(Scalar::from_i64(x.dtype(), 0))?
        } else {
            let rank = x.rank();
            let start = (0..rank).map(|_| Dim::ZERO).collect();
            let len = (0..rank).map(|_| Dim::ONE).collect();
            let step = vec![1; rank];
            self.add(Op::Slice { start, len, step }, &[x])?
        };
        self.spread(&first, dims)
    }

    /// The tensor with this type.
    pub(super) fn conform(&mut self, x: &Item, ty: &TensorType) -> Option<Item> {
        let x = self.cast(x, ty.dtype)?;
        self.with_dims(&x, &ty.dims)
    }

    /// The tensor with real values brought between `low` and `high`; NaN stays.
    fn clamp(&mut self, x: &Item, low: f64, high: f64) -> Option<Item> {
        let low = self.full(Scalar::from_f64(x.dtype(), low), x)?;
        let high = self.full(Scalar::from_f64(x.dtype(), high), x)?;
        let x = self.binary(Binary::Max, x, &low)?;
        self.binary(Binary::Min, &x, &high)
    }

    /// A float or complex tensor with (parts of) values of moderate size, such that sums and products of
    /// many hardly depend on their order; others as they are.
    pub(super) fn moderate(&mut self, x: &Item) -> Option<Item> {
        if x.dtype().is_complex() {
            return self.complex_between(x, [-0.75, 0.75]);
        }
        if x.dtype().is_float() {
            return self.clamp(x, -1.0, 1.0);
        }
        Some(x.clone())
    }

    /// A complex tensor away from zero, as divisors and bases of powers should be.
    pub(super) fn away_from_zero(&mut self, x: &Item) -> Option<Item> {
        self.complex_between(x, [0.5, 2.0])
    }

    /// A complex tensor with real parts in this range and moderate imaginary parts.
    fn complex_between(&mut self, x: &Item, [low, high]: [f64; 2]) -> Option<Item> {
        let re = self.add(Op::Real {}, &[x])?;
        let im = self.add(Op::Imag {}, &[x])?;
        // Which parts of a function of NaN are NaN is nobody's business.
        let (re, im) = (self.without_nan(&re)?, self.without_nan(&im)?);
        let re = self.clamp(&re, low, high)?;
        let im = self.clamp(&im, -0.75, 0.75)?;
        self.add(Op::Complex {}, &[&re, &im])
    }

    /// The tensor with zeros for NaN, whose bits are not defined.
    pub(super) fn without_nan(&mut self, x: &Item) -> Option<Item> {
        if !x.dtype().is_float() {
            return Some(x.clone());
        }
        let predicate = Predicate::Eq;
        let number = self.add(Op::Compare { predicate }, &[x, x])?;
        let zero = self.full(Scalar::from_i64(x.dtype(), 0), x)?;
        self.add(Op::Select {}, &[&number, x, &zero])
    }

    /// Integers that can divide: the lowest bit is set.
    pub(super) fn divisor(&mut self, x: &Item) -> Option<Item> {
        if !x.dtype().is_int() {
            return Some(x.clone());
        }
        let one = self.full(Scalar::from_i64(x.dtype(), 1), x)?;
        self.binary(Binary::Or, x, &one)
    }

    /// Indices below `bound` made of any tensor: `|x mod bound|`.
    pub(super) fn indices(&mut self, x: &Item, dtype: DType, bound: usize) -> Option<Item> {
        let x = self.cast(x, dtype)?;
        if x.len() == 0 {
            return Some(x);
        }
        let bound = (bound > 0).then(|| Scalar::from_i64(dtype, bound as i64))?;
        let bound = self.full(bound, &x)?;
        let rest = self.binary(Binary::Rem, &x, &bound)?;
        self.add(Op::Unary { f: Unary::Abs }, &[&rest])
    }
}
