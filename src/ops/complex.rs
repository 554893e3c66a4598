//! Complex tensors and their parts.

use crate::tensor::{Tensor, primitive};
use lazulite_ir::Op;

impl Tensor {
    /// A complex tensor from real and imaginary part (both f32 or both f64, of equal sizes).
    #[track_caller]
    pub fn complex(re: &Tensor, im: &Tensor) -> Tensor {
        primitive("complex", Op::Complex {}, &[re, im])
    }

    /// The real part; real tensors stay as they are.
    #[track_caller]
    pub fn real(&self) -> Tensor {
        match self.dtype() {
            Ok(dtype) if dtype.is_complex() => primitive("real", Op::Real {}, &[self]),
            _ => self.clone(),
        }
    }

    /// The imaginary part of a complex tensor.
    #[track_caller]
    pub fn imag(&self) -> Tensor {
        primitive("imag", Op::Imag {}, &[self])
    }

    /// The complex conjugate; real tensors stay as they are.
    #[track_caller]
    pub fn conj(&self) -> Tensor {
        match self.dtype() {
            Ok(dtype) if dtype.is_complex() => Tensor::complex(&self.real(), &self.imag().neg()),
            _ => self.clone(),
        }
    }
}
