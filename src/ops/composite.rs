//! What operations made of other operations share: errors with the user's place, sizes, and
//! operands of a common type.

use crate::error::{CHECK, CHECK_OF, CHECKED, Error, ErrorKind, Result};
use crate::location::{Place, Scope};
use crate::tensor::{Argument, Dim, Tensor, primitive, promote};
use lazulite_ir::{DType, Op};

/// Makes a tensor by steps that may fail. Whatever is recorded, and whatever goes wrong, belongs to
/// the caller's place.
#[track_caller]
pub(crate) fn attempt(make: impl FnOnce() -> Result<Tensor>) -> Tensor {
    let _scope = Scope::pin();
    make().unwrap_or_else(|e| Tensor::error(e.at(Place::here())))
}

/// As [`attempt`], for several tensors, all of which carry the error if there is one.
#[track_caller]
pub(crate) fn attempt_all<const N: usize>(
    make: impl FnOnce() -> Result<[Tensor; N]>,
) -> [Tensor; N] {
    let _scope = Scope::pin();
    make().unwrap_or_else(|e| {
        let failed = Tensor::error(e.at(Place::here()));
        std::array::from_fn(|_| failed.clone())
    })
}

/// As [`attempt`], for two tensors.
#[track_caller]
pub(crate) fn attempt_pair(make: impl FnOnce() -> Result<(Tensor, Tensor)>) -> (Tensor, Tensor) {
    let [a, b] = attempt_all(|| make().map(|(a, b)| [a, b]));
    (a, b)
}

/// As [`attempt`], for lists; a single tensor carries the error if there is one.
#[track_caller]
pub(crate) fn attempt_list(make: impl FnOnce() -> Result<Vec<Tensor>>) -> Vec<Tensor> {
    let _scope = Scope::pin();
    make().unwrap_or_else(|e| vec![Tensor::error(e.at(Place::here()))])
}

/// An argument that the operation cannot take.
pub(crate) fn bad_argument(op: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Argument, op, message)
}

/// Sizes that do not fit.
pub(crate) fn bad_shape(op: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Shape, op, message)
}

/// A count or size that an operation takes: what is larger could not be listed, and arithmetic with it could overflow.
pub(crate) fn sane(op: &'static str, count: usize) -> Result<usize> {
    const MOST: usize = 1 << 28;
    match count <= MOST {
        true => Ok(count),
        false => Err(bad_argument(
            op,
            format!("{count} is too large: sizes and counts go up to {MOST} here"),
        )),
    }
}

/// An element type that the operation cannot take.
pub(crate) fn bad_dtype(op: &'static str, x: &Tensor) -> Error {
    let message = match x.dtype() {
        Ok(dtype) => format!("{dtype} is not among its element types"),
        Err(e) => return e,
    };
    Error::new(ErrorKind::DType, op, message).operand(x.note("self"))
}

/// The argument as a tensor of type `dtype`. A number stays one that is not compiled in.
#[track_caller]
pub(crate) fn tensor_of(argument: Argument, dtype: DType) -> Tensor {
    match argument {
        Argument::Tensor(t) => t.cast(dtype),
        Argument::Number(n) => Tensor::full_of((), n, dtype),
    }
}

/// Both arguments as tensors of their common type.
#[track_caller]
pub(crate) fn common(a: Argument, b: Argument) -> Result<(Tensor, Tensor)> {
    let dtype = promote(&[&a, &b])?;
    Ok((tensor_of(a, dtype), tensor_of(b, dtype)))
}

/// Both arguments as tensors of their common type; integers and bools become f32.
#[track_caller]
pub(crate) fn common_floating(a: Argument, b: Argument) -> Result<(Tensor, Tensor)> {
    let dtype = floating(promote(&[&a, &b])?);
    Ok((tensor_of(a, dtype), tensor_of(b, dtype)))
}

/// f32 for integers and bools, the type itself otherwise.
pub(crate) fn floating(dtype: DType) -> DType {
    if dtype.is_inexact() {
        dtype
    } else {
        DType::F32
    }
}

impl Tensor {
    /// This tensor, broadcast with `holds`, whose use is a run-time fault where that is false; `rule`,
    /// which says what should hold, stands in the fault's trail.
    #[track_caller]
    pub(crate) fn require(&self, holds: &Tensor, rule: &str) -> Tensor {
        let _scope = Scope::open(&format!("{CHECK}{rule}"));
        self.faulty_unless(holds)
    }

    /// As [`require`](Tensor::require), for the user's operation `op`, which the fault names with the type of its
    /// operand.
    #[track_caller]
    pub(crate) fn require_for(
        &self,
        op: &str,
        operand: &Tensor,
        holds: &Tensor,
        rule: &str,
    ) -> Tensor {
        let called = format!("{op}({})", operand.describe());
        let _scope = Scope::open(&format!("{CHECK_OF}{called}{CHECKED}{rule}"));
        self.faulty_unless(holds)
    }

    /// This tensor, broadcast with `holds`, whose use is a run-time fault where that is false.
    #[track_caller]
    fn faulty_unless(&self, holds: &Tensor) -> Tensor {
        attempt(|| {
            // A table of one entry, which is neutral for addition, and an index behind its end.
            let neutral = if self.is_float() { -0.0 } else { 0.0 };
            let table = Tensor::full_of([1], neutral, self.dtype()?);
            let broken = holds.logical_not().cast(DType::I64);
            let op = Op::Gather { axes: vec![0] };
            Ok(self.add(primitive("require", op, &[&table, &broken])))
        })
    }

    /// The sizes of all axes, known or not.
    pub(crate) fn sizes(&self) -> Result<Vec<Dim>> {
        Ok(self
            .node()?
            .ty
            .dims
            .iter()
            .map(|d| Dim(Ok(d.clone())))
            .collect())
    }

    /// This vector laid along `axis` of `rank` axes, the others of size 1.
    #[track_caller]
    pub(crate) fn along(&self, axis: usize, rank: usize) -> Tensor {
        let mut shape = vec![Dim::from(1i64); rank];
        shape[axis] = self.dim(0);
        self.reshape(shape)
    }

    /// The positions along `axis`, laid along it, to broadcast with this tensor.
    #[track_caller]
    pub(crate) fn positions(&self, axis: usize) -> Result<Tensor> {
        Ok(Tensor::iota(self.dim(axis as i64)).along(axis, self.rank()?))
    }

    /// True for f16, bf16, f32 and f64 tensors.
    pub(crate) fn is_float(&self) -> bool {
        self.dtype().is_ok_and(DType::is_float)
    }

    /// True for complex tensors.
    pub(crate) fn is_complex(&self) -> bool {
        self.dtype().is_ok_and(DType::is_complex)
    }

    /// True for tensors of integers and bools.
    pub(crate) fn is_integral(&self) -> bool {
        self.dtype().is_ok_and(|d| d.is_int() || d == DType::Bool)
    }
}
