//! Invertible functions that turn one distribution into another.

use crate::error::Result;
use crate::ops::attempt;
use crate::tensor::{Argument, Dim, Tensor};
use lazulite_ir::DType;
use std::f64::consts::LN_2;

/// An invertible function with the logarithm of its slope.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Transform {
    /// `e^x`.
    Exp,
    /// `loc + scale x`.
    Affine {
        /// What 0 becomes.
        loc: Tensor,
        /// The slope.
        scale: Tensor,
    },
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `log(1 + e^x)`.
    Softplus,
    /// `x^exponent` of positive numbers.
    Power(Tensor),
    /// The magnitude; not invertible, its inverse is taken to be positive.
    Abs,
    /// Softmax along the last axis; it forgets a common number, and has no slope.
    Softmax,
    /// Vectors of n numbers as vectors of n + 1 shares: each takes a part of what is left.
    StickBreaking,
    /// The other way round.
    Inverse(Box<Transform>),
    /// One after the other, the first one first.
    Compose(Vec<Transform>),
}

impl Transform {
    /// `loc + scale x`.
    #[track_caller]
    pub fn affine(loc: impl Into<Argument>, scale: impl Into<Argument>) -> Transform {
        use super::support::Support::Real;
        let [loc, scale] = super::parameters::together([(loc.into(), Real), (scale.into(), Real)]);
        Transform::Affine { loc, scale }
    }

    /// `x^exponent` of positive numbers.
    #[track_caller]
    pub fn power(exponent: impl Into<Argument>) -> Transform {
        use super::support::Support::Real;
        let [exponent] = super::parameters::together([(exponent.into(), Real)]);
        Transform::Power(exponent)
    }

    /// The other way round.
    pub fn inverse(self) -> Transform {
        match self {
            Transform::Inverse(inner) => *inner,
            other => Transform::Inverse(Box::new(other)),
        }
    }

    /// How many axes an argument has that the function looks at together.
    pub fn event_axes(&self) -> usize {
        match self {
            Transform::Softmax | Transform::StickBreaking => 1,
            Transform::Inverse(inner) => inner.event_axes(),
            Transform::Compose(parts) => parts.iter().map(Transform::event_axes).max().unwrap_or(0),
            Transform::Exp
            | Transform::Affine { .. }
            | Transform::Sigmoid
            | Transform::Tanh
            | Transform::Softplus
            | Transform::Power(_)
            | Transform::Abs => 0,
        }
    }

    /// The function.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        match self {
            Transform::Exp => x.exp(),
            Transform::Affine { loc, scale } => x.mul(scale).add(loc),
            Transform::Sigmoid => x.sigmoid(),
            Transform::Tanh => x.tanh(),
            Transform::Softplus => softplus(x),
            Transform::Power(exponent) => x.pow(exponent),
            Transform::Abs => x.abs(),
            Transform::Softmax => x.softmax(-1),
            Transform::StickBreaking => attempt(|| break_stick(x)),
            Transform::Inverse(inner) => inner.backward(x),
            Transform::Compose(parts) => parts.iter().fold(x.clone(), |x, part| part.forward(&x)),
        }
    }

    /// The inverse function.
    #[track_caller]
    pub fn backward(&self, y: &Tensor) -> Tensor {
        match self {
            Transform::Exp => y.log(),
            Transform::Affine { loc, scale } => y.sub(loc).div(scale),
            Transform::Sigmoid => y.log().sub(y.neg().log1p()),
            Transform::Tanh => y.atanh(),
            // log(e^y - 1)
            Transform::Softplus => y.neg().expm1().neg().log().add(y),
            Transform::Power(exponent) => y.pow(exponent.reciprocal()),
            Transform::Abs => y.clone(),
            Transform::Softmax => y.log(),
            Transform::StickBreaking => attempt(|| join_stick(y)),
            Transform::Inverse(inner) => inner.forward(y),
            Transform::Compose(parts) => {
                let parts = parts.iter().rev();
                parts.fold(y.clone(), |y, part| part.backward(&y))
            }
        }
    }

    /// The logarithm of the slope's magnitude at `x`, which becomes `y`; for functions of vectors that of
    /// the Jacobian determinant.
    #[track_caller]
    pub fn log_abs_det(&self, x: &Tensor, y: &Tensor) -> Tensor {
        match self {
            Transform::Exp => x.clone(),
            Transform::Affine { scale, .. } => scale.abs().log().add(x.zeros_like()),
            Transform::Sigmoid => softplus(&x.neg()).neg().sub(softplus(x)),
            Transform::Tanh => {
                let tail = softplus(&x.mul(-2));
                x.neg().add(LN_2).sub(tail).mul(2)
            }
            Transform::Softplus => softplus(&x.neg()).neg(),
            Transform::Power(exponent) => exponent.mul(y).div(x).abs().log(),
            Transform::Abs | Transform::Softmax => {
                super::missing("log_abs_det", "slope: the function is not invertible")
            }
            Transform::StickBreaking => attempt(|| stick_slope(x, y)),
            Transform::Inverse(inner) => inner.log_abs_det(y, x).neg(),
            Transform::Compose(parts) => {
                let axes = self.event_axes();
                let mut x = x.clone();
                let mut total: Option<Tensor> = None;
                for part in parts {
                    let y = part.forward(&x);
                    let slope = sum_last(&part.log_abs_det(&x, &y), axes - part.event_axes());
                    total = Some(match total {
                        Some(total) => total.add(slope),
                        None => slope,
                    });
                    x = y;
                }
                total.unwrap_or_else(|| sum_last(&x.zeros_like(), axes))
            }
        }
    }

    /// 1 where the function grows, -1 where it falls; `None` for functions of vectors and folds.
    #[track_caller]
    pub(super) fn sign(&self) -> Option<Argument> {
        match self {
            Transform::Exp | Transform::Sigmoid | Transform::Tanh | Transform::Softplus => {
                Some(1.into())
            }
            Transform::Affine { scale, .. } => Some(scale.sign().into()),
            Transform::Power(exponent) => Some(exponent.sign().into()),
            Transform::Inverse(inner) => inner.sign(),
            Transform::Compose(parts) => {
                let signs = parts.iter().map(Transform::sign);
                let product = |a: Option<Argument>, b: Option<Argument>| {
                    let one = Tensor::full((), 1.0);
                    Some(one.mul(a?).mul(b?).into())
                };
                signs.fold(Some(1.into()), product)
            }
            Transform::Abs | Transform::Softmax | Transform::StickBreaking => None,
        }
    }

    /// The sizes of results for arguments of these event sizes.
    pub(super) fn result_sizes(&self, mut sizes: Vec<Dim>) -> Vec<Dim> {
        match self {
            Transform::StickBreaking => {
                if let Some(last) = sizes.last_mut() {
                    *last = &*last + 1;
                }
                sizes
            }
            Transform::Inverse(inner) if matches!(**inner, Transform::StickBreaking) => {
                if let Some(last) = sizes.last_mut() {
                    *last = &*last - 1;
                }
                sizes
            }
            Transform::Compose(parts) => parts
                .iter()
                .fold(sizes, |sizes, part| part.result_sizes(sizes)),
            _ => sizes,
        }
    }

    /// True for the same function with the very same parameters.
    pub(super) fn is(&self, other: &Transform) -> bool {
        let same = |a: &Tensor, b: &Tensor| match (&a.0, &b.0) {
            (Ok(a), Ok(b)) => std::sync::Arc::ptr_eq(a, b),
            _ => false,
        };
        match (self, other) {
            (
                Transform::Affine { loc, scale },
                Transform::Affine {
                    loc: other_loc,
                    scale: other_scale,
                },
            ) => same(loc, other_loc) && same(scale, other_scale),
            (Transform::Power(a), Transform::Power(b)) => same(a, b),
            (Transform::Inverse(a), Transform::Inverse(b)) => a.is(b),
            (Transform::Compose(a), Transform::Compose(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is(b))
            }
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

/// Sums over so many last axes.
#[track_caller]
pub(super) fn sum_last(x: &Tensor, axes: usize) -> Tensor {
    (0..axes).fold(x.clone(), |x, _| x.sum(-1))
}

#[track_caller]
fn softplus(x: &Tensor) -> Tensor {
    x.maximum(0).add(x.abs().neg().exp().log1p())
}

/// The shares of a stick of length 1: equal ones for zeros.
#[track_caller]
fn break_stick(x: &Tensor) -> Result<Tensor> {
    let part = offset(x)?.sigmoid();
    let rest = part.neg().add(1).cumprod(-1);
    let last = x.rank()? as i64 - 1;
    let pad = |x: &Tensor, widths: (i64, i64), value: f64| {
        let mut all = vec![(0, 0); last as usize];
        all.push(widths);
        x.pad(all, value)
    };
    let left = pad(&rest, (1, 0), 1.0);
    Ok(pad(&part, (0, 1), 1.0).mul(left))
}

/// The numbers with as many places behind them, which makes shares of zeros equal.
#[track_caller]
fn offset(x: &Tensor) -> Result<Tensor> {
    let count = Tensor::from_dim(x.dim(-1)).cast(DType::F64);
    let behind = count.sub(Tensor::iota(x.dim(-1)));
    Ok(x.sub(behind.log().cast(x.dtype()?)))
}

#[track_caller]
fn join_stick(y: &Tensor) -> Result<Tensor> {
    let shares = y.narrow(-1, 0, y.dim(-1) - 1);
    let rest = shares.cumsum(-1).neg().add(1);
    let least = if y.dtype()? == DType::F64 {
        f64::MIN_POSITIVE
    } else {
        f64::from(f32::MIN_POSITIVE)
    };
    let rest = rest.clamp_min(least);
    let odds = shares.log().sub(rest.log());
    let count = Tensor::from_dim(shares.dim(-1)).cast(DType::F64);
    let behind = count.sub(Tensor::iota(shares.dim(-1)));
    Ok(odds.add(behind.log().cast(y.dtype()?)))
}

#[track_caller]
fn stick_slope(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let x = offset(x)?;
    let shares = y.narrow(-1, 0, y.dim(-1) - 1);
    // log(share) + log(1 - part), where log(1 - part) = -softplus(x).
    Ok(shares.log().sub(softplus(&x)).sum(-1))
}
