//! The wide backend: vector IR to AVX-512, with 32 registers of 512 bits and masks.
//!
//! [`select`] chooses instructions over virtual registers, regalloc2 finds places for these, [`encode`] writes
//! the bytes. A register of vector IR is one or two machine registers ([`value`]).

mod convert;
mod encode;
mod facts;
mod machine;
mod memory;
mod ops;
mod select;
mod value;

use crate::backend::{Caps, MachineCode, VectorBackend};
use crate::{CodegenError, vector};

/// The AVX-512 backend.
#[derive(Default)]
pub struct WideBackend;

const CAPS: Caps = Caps {
    vector_bytes: 64,
    registers: 32,
    masks: true,
    gather: true,
    non_temporal: false,
    fma: true,
    f16: true,
    bf16: false,
    lane_shifts: true,
};

impl VectorBackend for WideBackend {
    fn name(&self) -> &'static str {
        "avx512"
    }

    fn caps(&self) -> &Caps {
        &CAPS
    }

    fn emit(&self, f: &vector::Function) -> Result<MachineCode, CodegenError> {
        if f.lanes != 1 && f.lanes != CAPS.lanes() {
            return Err(CodegenError::Malformed(format!(
                "a function of {} lanes for a machine of {}",
                f.lanes,
                CAPS.lanes()
            )));
        }
        vector::verify(f).map_err(|e| CodegenError::Malformed(e.to_string()))?;
        let (machine, pool) = select::select(f)?;
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
