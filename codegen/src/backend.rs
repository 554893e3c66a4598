//! The border between vector IR and machine code: what a backend says about its machine, and what
//! it produces. Code is position independent; it refers to its constant pool and to nothing else,
//! so the same bytes go into memory at run time, an object file or an executable.

use crate::{CodegenError, vector};
pub use lazulite_runtime::Helper;
use lazulite_runtime::{Artifact, CODE_ALIGN, HelperAddress};

/// What a backend's machine can do. Lowering chooses lanes, unrolling and memory access by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Caps {
    /// Bytes of one vector register: 16, 32 or 64. A full register of a function has a quarter as
    /// many lanes; 64-bit lanes take two registers.
    pub vector_bytes: u32,
    /// Number of vector registers.
    pub registers: u32,
    /// Loads and stores under a mask are single instructions.
    pub masks: bool,
    /// Stores can bypass the caches.
    pub non_temporal: bool,
    /// Multiply-add is one instruction.
    pub fma: bool,
    /// [`vector::Un::SixteenthPower`] and [`vector::Bin::ScaleFloor`] are one instruction each.
    pub tables: bool,
}

impl Caps {
    /// Lanes of a full register.
    pub const fn lanes(&self) -> u32 {
        self.vector_bytes / 4
    }
}

/// A place in the pool that must hold an address, 8 bytes long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolAddress {
    /// Byte offset in the pool.
    pub offset: u32,
    /// Whose address.
    pub helper: Helper,
}

/// A place in the code that holds the 32-bit distance from itself to `addend` bytes into the pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolReference {
    /// Byte offset in the code.
    pub offset: u32,
    /// Added to the pool's address.
    pub addend: i64,
}

/// One function of machine code, signature [`lazulite_runtime::KernelFn`].
#[derive(Clone, Debug, Default)]
pub struct MachineCode {
    /// Instructions; to be aligned to 64 bytes.
    pub code: Vec<u8>,
    /// Constants; to be aligned to 64 bytes, within 2 GiB of the code.
    pub pool: Vec<u8>,
    /// References from code to pool.
    pub references: Vec<PoolReference>,
    /// Addresses to be written into the pool.
    pub addresses: Vec<PoolAddress>,
}

impl MachineCode {
    /// Code and pool as one piece in which all references are resolved.
    pub fn link(&self) -> Result<Artifact, CodegenError> {
        let constants = self.code.len().next_multiple_of(CODE_ALIGN);
        let mut bytes = self.code.clone();
        bytes.resize(constants, 0xcc);
        bytes.extend_from_slice(&self.pool);
        for r in &self.references {
            let distance = constants as i64 + r.addend - i64::from(r.offset);
            let distance = i32::try_from(distance)
                .map_err(|_| CodegenError::Backend(format!("pool is {distance} bytes away")))?;
            bytes
                .get_mut(r.offset as usize..r.offset as usize + 4)
                .ok_or_else(|| CodegenError::Backend("reference outside the code".into()))?
                .copy_from_slice(&distance.to_le_bytes());
        }
        if u32::try_from(bytes.len()).is_err() {
            let message = format!("a function of {} bytes", bytes.len());
            return Err(CodegenError::Backend(message));
        }
        // As checked, all offsets fit.
        let constants = constants as u32;
        let helpers = self.addresses.iter().map(|a| HelperAddress {
            offset: constants + a.offset,
            helper: a.helper,
        });
        Ok(Artifact {
            bytes,
            constants,
            helpers: helpers.collect(),
        })
    }
}

/// Makes machine code from vector IR.
pub trait VectorBackend: Send + Sync {
    /// The name in options and dumps.
    fn name(&self) -> &'static str;

    /// What the machine can do.
    fn caps(&self) -> &Caps;

    /// The machine code of `f`, whose full registers have 1 or [`Caps::lanes`] lanes.
    fn emit(&self, f: &vector::Function) -> Result<MachineCode, CodegenError>;
}
