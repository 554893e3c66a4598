//! Distributions of angles.

use super::Distribution;
use super::draw;
use super::parameters::{batch_of, parameters};
use super::support::Support;
use crate::autograd::no_grad;
use crate::ops::attempt;
use crate::ops::random::von_mises_numbers;
use crate::tensor::Tensor;
use lazulite_ir::DType;
use std::f64::consts::{PI, TAU};

parameters! {
    /// The von Mises distribution of angles.
    VonMises {
        /// The mean direction.
        loc: Support::Real,
        /// How close draws are to it; 0 would be uniform.
        concentration: Support::Positive,
    }
}

impl Distribution for VonMises {
    batch_of!(loc, concentration);

    fn support(&self) -> Support {
        Support::Real
    }

    fn has_rsample(&self) -> bool {
        false
    }

    /// From minus pi up to pi.
    fn sample(&self, shape: &[usize]) -> Tensor {
        no_grad(|| {
            attempt(|| {
                let sizes = draw::sizes(shape, &self.loc)?;
                let wide = self.concentration.cast(DType::F64).expand(sizes);
                let angle = von_mises_numbers(&wide)?.add(self.loc.cast(DType::F64));
                let turned = angle.add(PI).remainder(TAU).sub(PI);
                Ok(turned.cast(self.loc.dtype()?))
            })
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let angle = self.support().checked(value).sub(&self.loc);
        let k = &self.concentration;
        // The scaled Bessel function, for it grows like e^k.
        let norm = k.i0e().log().add(k).add(TAU.ln());
        k.mul(angle.cos()).sub(norm)
    }

    fn mean(&self) -> Tensor {
        self.loc.clone()
    }

    /// The circular variance, from 0 to 1.
    fn variance(&self) -> Tensor {
        let k = &self.concentration;
        k.i1e().div(k.i0e()).neg().add(1)
    }

    fn mode(&self) -> Tensor {
        self.loc.clone()
    }
}
