//! Products of vectors and matrices: the named ones, sums with them, and sums over products by
//! equation.

use super::composite::{attempt, bad_argument, bad_shape, tensor_of};
use super::matmul::contract_axes;
use crate::error::Result;
use crate::tensor::{Number, Tensor};

macro_rules! products {
    ($($(#[$doc:meta])* $name:ident [$left:literal, $right:literal];)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, other: &Tensor) -> Tensor {
                attempt(|| {
                    expect_ranks(stringify!($name), &[(self, $left), (other, $right)])?;
                    Ok(self.matmul(other))
                })
            }
        )*}
    };
}

products! {
    /// The product of two matrices.
    mm [2, 2];
    /// The products of pairs of matrices.
    bmm [3, 3];
    /// The product of a matrix and a vector.
    mv [2, 1];
    /// The sum of products of two vectors.
    dot [1, 1];
}

/// Fails unless the tensors have so many axes and one element type.
#[track_caller]
fn expect_ranks(op: &'static str, tensors: &[(&Tensor, usize)]) -> Result<()> {
    for (tensor, wanted) in tensors {
        let rank = tensor.rank()?;
        if rank != *wanted {
            let message = format!("an operand has {rank} axes, not {wanted}");
            return Err(bad_shape(op, message).operand(tensor.note("operand")));
        }
        if tensor.dtype()? != tensors[0].0.dtype()? {
            let error = bad_argument(op, "the operands have different element types");
            return Err(error
                .operand(tensors[0].0.note("first"))
                .operand(tensor.note("other")));
        }
    }
    Ok(())
}

impl Tensor {
    /// The sum of products of two vectors, the first conjugated.
    #[track_caller]
    pub fn vdot(&self, other: &Tensor) -> Tensor {
        attempt(|| {
            expect_ranks("vdot", &[(self, 1), (other, 1)])?;
            Ok(self.conj().matmul(other))
        })
    }

    /// Sums of products over the last axis of both; 0-d tensors multiply.
    #[track_caller]
    pub fn inner(&self, other: &Tensor) -> Tensor {
        attempt(|| {
            let (left, right) = (self.rank()?, other.rank()?);
            if left == 0 || right == 0 {
                return Ok(self.mul(other));
            }
            let sum = [left as u32 - 1, right as u32 - 1];
            contract_axes("inner", self, other, &[], &[(sum[0], sum[1])])
        })
    }

    /// All products of elements of two vectors.
    #[track_caller]
    pub fn outer(&self, other: &Tensor) -> Tensor {
        attempt(|| {
            if (self.rank()?, other.rank()?) != (1, 1) {
                let error = bad_shape("outer", "both operands are vectors");
                return Err(error
                    .operand(self.note("self"))
                    .operand(other.note("other")));
            }
            Ok(self.unsqueeze(1).mul(other.unsqueeze(0)))
        })
    }

    /// Sums of products along an axis, the first operand conjugated; the operands broadcast.
    #[track_caller]
    pub fn vecdot(&self, other: &Tensor, axis: i64) -> Tensor {
        self.conj().mul(other).sum(axis)
    }

    /// `beta * self + alpha * (a @ b)` for matrices; with `beta` 0 this tensor's values do not count.
    #[track_caller]
    pub fn addmm(
        &self,
        a: &Tensor,
        b: &Tensor,
        beta: impl Into<Number>,
        alpha: impl Into<Number>,
    ) -> Tensor {
        attempt(|| {
            expect_ranks("addmm", &[(a, 2), (b, 2)])?;
            self.plus_product(&a.matmul(b), beta.into(), alpha.into())
        })
    }

    /// `beta * self + alpha * (matrix @ vector)`.
    #[track_caller]
    pub fn addmv(
        &self,
        matrix: &Tensor,
        vector: &Tensor,
        beta: impl Into<Number>,
        alpha: impl Into<Number>,
    ) -> Tensor {
        attempt(|| {
            expect_ranks("addmv", &[(matrix, 2)])?;
            expect_ranks("addmv", &[(vector, 1)])?;
            self.plus_product(&matrix.matmul(vector), beta.into(), alpha.into())
        })
    }

    /// `beta * self + alpha * outer(a, b)`.
    #[track_caller]
    pub fn addr(
        &self,
        a: &Tensor,
        b: &Tensor,
        beta: impl Into<Number>,
        alpha: impl Into<Number>,
    ) -> Tensor {
        attempt(|| self.plus_product(&a.outer(b), beta.into(), alpha.into()))
    }

    /// `beta * self + alpha * (a @ b)` for pairs of matrices.
    #[track_caller]
    pub fn baddbmm(
        &self,
        a: &Tensor,
        b: &Tensor,
        beta: impl Into<Number>,
        alpha: impl Into<Number>,
    ) -> Tensor {
        attempt(|| {
            expect_ranks("baddbmm", &[(a, 3), (b, 3)])?;
            self.plus_product(&a.matmul(b), beta.into(), alpha.into())
        })
    }

    /// `beta * self + alpha * sum(a @ b)` over pairs of matrices.
    #[track_caller]
    pub fn addbmm(
        &self,
        a: &Tensor,
        b: &Tensor,
        beta: impl Into<Number>,
        alpha: impl Into<Number>,
    ) -> Tensor {
        attempt(|| {
            expect_ranks("addbmm", &[(a, 3), (b, 3)])?;
            self.plus_product(&a.matmul(b).sum(0), beta.into(), alpha.into())
        })
    }

    /// Both numbers in the product's element type, as PyTorch has it.
    #[track_caller]
    fn plus_product(&self, product: &Tensor, beta: Number, alpha: Number) -> Result<Tensor> {
        let dtype = product.dtype()?;
        if self.dtype()? != dtype {
            let error = bad_argument("addmm", "sum and product have different element types");
            return Err(error
                .operand(self.note("self"))
                .operand(product.note("product")));
        }
        let scaled = product.mul(tensor_of(alpha.into(), dtype));
        let own = self.expand(product.sizes()?);
        let zero = beta.scalar(dtype) == Number::Int(0).scalar(dtype);
        Ok(match zero {
            true => scaled,
            false => own.mul(tensor_of(beta.into(), dtype)).add(scaled),
        })
    }

    /// The Kronecker product: every element of this times the whole of `other`.
    #[track_caller]
    pub fn kron(&self, other: &Tensor) -> Tensor {
        attempt(|| {
            let rank = self.rank()?.max(other.rank()?);
            let raised = |t: &Tensor| {
                let mut dims = vec![crate::tensor::Dim::from(1i64); rank - t.rank()?];
                dims.extend(t.sizes()?);
                Ok(dims)
            };
            let (own, theirs): (Vec<_>, Vec<_>) = (raised(self)?, raised(other)?);
            let (mut x, mut y, mut joined) = (Vec::new(), Vec::new(), Vec::new());
            for (a, b) in own.iter().zip(&theirs) {
                x.extend([a.clone(), 1i64.into()]);
                y.extend([1i64.into(), b.clone()]);
                joined.push(a * b);
            }
            Ok(self.reshape(x).mul(other.reshape(y)).reshape(joined))
        })
    }

    /// Sums of products over pairs of axes of both; the other axes of this come first.
    #[track_caller]
    pub fn tensordot(&self, other: &Tensor, axes: &[i64], others: &[i64]) -> Tensor {
        attempt(|| {
            let own = self.distinct_axes("tensordot", axes)?;
            let theirs = other.distinct_axes("tensordot", others)?;
            if own.len() != theirs.len() {
                let (own, theirs) = (own.len(), theirs.len());
                let message = format!("{own} axes are paired with {theirs}");
                return Err(bad_argument("tensordot", message));
            }
            let pairs: Vec<(u32, u32)> = own
                .iter()
                .zip(&theirs)
                .map(|(a, b)| (*a as u32, *b as u32))
                .collect();
            // As in PyTorch, an axis of size 1 pairs with any other, which is summed.
            let (mut x, mut y) = (self.clone(), other.clone());
            for &(a, b) in &pairs {
                let (a, b) = (i64::from(a), i64::from(b));
                match (x.dim(a).0?.is(1), y.dim(b).0?.is(1)) {
                    (true, false) => y = y.sum_keepdim(b).cast(y.dtype()?),
                    (false, true) => x = x.sum_keepdim(a).cast(x.dtype()?),
                    _ => {}
                }
            }
            contract_axes("tensordot", &x, &y, &[], &pairs)
        })
    }

    /// The cross product of vectors of three elements along an axis; the tensors broadcast.
    #[track_caller]
    pub fn cross(&self, other: &Tensor, axis: i64) -> Tensor {
        attempt(|| {
            if self.rank()? != other.rank()? {
                let error = bad_shape("cross", "the tensors have different ranks");
                return Err(error
                    .operand(self.note("self"))
                    .operand(other.note("other")));
            }
            let at = self.axis("cross", axis)? as i64;
            if !self.dim(at).0?.is(3) || !other.dim(at).0?.is(3) {
                let error = bad_shape("cross", format!("axis {axis} must have size 3"));
                return Err(error
                    .operand(self.note("self"))
                    .operand(other.note("other")));
            }
            let (x, y) = (self.broadcast_with(other), other.broadcast_with(self));
            let turned = |t: &Tensor, by: i64| t.roll([by], [at]);
            let forward = turned(&x, -1).mul(turned(&y, -2));
            Ok(forward.sub(turned(&x, -2).mul(turned(&y, -1))))
        })
    }

    /// The product of matrices (the first and last may be vectors), in the cheapest order.
    #[track_caller]
    pub fn multi_dot(tensors: &[&Tensor]) -> Tensor {
        attempt(|| {
            if tensors.len() < 2 {
                return Err(bad_argument(
                    "multi_dot",
                    "a product has at least two factors",
                ));
            }
            let last = tensors.len() - 1;
            let mut factors: Vec<Tensor> = tensors.iter().map(|t| (*t).clone()).collect();
            let (row, column) = (factors[0].rank()? == 1, factors[last].rank()? == 1);
            if row {
                factors[0] = factors[0].unsqueeze(0);
            }
            if column {
                factors[last] = factors[last].unsqueeze(1);
            }
            for factor in &factors {
                expect_ranks("multi_dot", &[(factor, 2)])?;
            }
            let mut product = chain(factors)?;
            if column {
                product = product.squeeze(-1);
            }
            Ok(if row { product.squeeze(0) } else { product })
        })
    }

    /// A square matrix multiplied with itself so often; its inverse, for negative powers.
    #[track_caller]
    pub fn matrix_power(&self, n: i64) -> Tensor {
        attempt(|| {
            let rank = self.rank()?;
            let square = rank >= 2 && {
                let dims = self.sizes()?;
                let (a, b) = (dims[rank - 2].clone().0?, dims[rank - 1].clone().0?);
                a.compare_eq(&b) != Some(false)
            };
            if !square {
                let error = bad_shape("matrix_power", "powers are of square matrices");
                return Err(error.operand(self.note("self")));
            }
            if n < 0 {
                return Ok(self.inv().matrix_power(n.checked_neg().unwrap_or(i64::MAX)));
            }
            let one = Tensor::eye_of(self.dim(-1), self.dim(-1), self.dtype()?);
            let mut result: Option<Tensor> = None;
            let (mut power, mut rest) = (self.clone(), n);
            while rest > 0 {
                if rest & 1 == 1 {
                    result = Some(result.map_or(power.clone(), |r| r.matmul(&power)));
                }
                rest >>= 1;
                if rest > 0 {
                    power = power.matmul(&power);
                }
            }
            Ok(result.unwrap_or_else(|| one.expand_as(self)))
        })
    }
}

/// Multiplies neighbours first whose common size is the largest: what disappears early stays cheap.
#[track_caller]
fn chain(mut factors: Vec<Tensor>) -> Result<Tensor> {
    while factors.len() > 1 {
        let mut best = (0, 0);
        for (i, factor) in factors.iter().enumerate().take(factors.len() - 1) {
            let inner = factor.known_size(1)?;
            if inner > best.1 {
                best = (i, inner);
            }
        }
        let right = factors.remove(best.0 + 1);
        factors[best.0] = factors[best.0].matmul(&right);
    }
    factors
        .pop()
        .ok_or_else(|| bad_argument("multi_dot", "there are no factors"))
}
