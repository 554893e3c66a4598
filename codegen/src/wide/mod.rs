//! The wide backend: vector IR to AVX-512, with 32 registers of 512 bits and masks, and to AVX2, with 16 of 256 bits.
//!
//! [`interleave`] orders the steps of loops, [`select`] chooses instructions over virtual registers with what [`facts`]
//! knows of the function, regalloc2 finds places for these, [`encode`] writes the bytes. What machines have is
//! described by a [`target`], [`avx512`] or [`avx2`]; what one of them lacks is put together in [`compose`]. A register of
//! vector IR is one or two machine registers ([`value`], [`masks`]). Stores that are to bypass the caches are ordinary
//! ones.

mod avx2;
mod avx512;
mod compose;
mod convert;
mod encode;
mod facts;
mod interleave;
mod machine;
mod masks;
mod memory;
mod ops;
mod scattered;
mod select;
mod target;
mod value;

use crate::backend::{Caps, MachineCode, VectorBackend};
use crate::{CodegenError, vector};
use target::Target;

/// The backend for AVX-512 and AVX2.
pub struct WideBackend {
    target: &'static Target,
}

static WITH_AVX512: WideBackend = WideBackend {
    target: &avx512::AVX512,
};

static WITH_AVX2: WideBackend = WideBackend {
    target: &avx2::AVX2,
};

impl WideBackend {
    /// Code for x86-64-v4: AVX-512 F, BW, CD, DQ and VL.
    pub fn avx512() -> &'static WideBackend {
        &WITH_AVX512
    }

    /// Code for x86-64-v3: AVX2, FMA, F16C, BMI 1 and 2.
    pub fn avx2() -> &'static WideBackend {
        &WITH_AVX2
    }
}

impl VectorBackend for WideBackend {
    fn name(&self) -> &'static str {
        self.target.name
    }

    fn caps(&self) -> &Caps {
        &self.target.caps
    }

    fn emit(&self, f: &vector::Function) -> Result<MachineCode, CodegenError> {
        let lanes = self.target.caps.lanes();
        if f.lanes != 1 && f.lanes != lanes {
            return Err(CodegenError::Malformed(format!(
                "a function of {} lanes for a machine of {lanes}",
                f.lanes
            )));
        }
        vector::verify(f).map_err(|e| CodegenError::Malformed(e.to_string()))?;
        let mut f = f.clone();
        interleave::interleave(&mut f, self.target);
        let (machine, pool) = select::select(&f, self.target)?;
        let output = encode::allocate(&machine)?;
        let (code, references) = encode::encode(&machine, &output)?;
        Ok(MachineCode {
            code,
            pool: pool.bytes,
            references,
            addresses: Vec::new(),
        })
    }
}
