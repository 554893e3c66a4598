//! Kernels for which the widest vectors are not the fastest.
//!
//! Zen 4 has registers of 512 bits and units of 256. Sums over what lies in memory are limited by how soon its lines are asked
//! for, and by loads of 256 bits, two for each line, that is sooner: reading 64 MiB took a fifth less time on one core. With
//! any more arithmetic, and from within the caches, wide vectors are at least as fast, by half the instructions.

use crate::Level;
use lazulite_ir::{DimOverflow, Kernel, Lanes, price};

/// Price units of operations for each byte read, at most, of kernels that do little but read.
const UNITS_PER_BYTE: i64 = 2;

impl Level {
    /// The level that a kernel is compiled for: where the caller leaves the choice to us, the one whose code is fastest.
    pub(crate) fn for_kernel(self, kernel: &Kernel) -> Level {
        let widest = self.resolved();
        match (self, widest) {
            (Level::Native, Level::Avx512) if halves_vectors() && adds_up_memory(kernel) => {
                Level::Avx2
            }
            _ => widest,
        }
    }
}

/// Whether the kernel only adds up, along its lanes, what no near cache holds. Sizes that are not known are none that are
/// large.
fn adds_up_memory(kernel: &Kernel) -> bool {
    let sizes = || -> Result<_, DimOverflow> {
        let work = kernel.work()?;
        Ok([work.bytes_read()?, work.bytes_written()?, work.ops])
    };
    let Ok([Some(read), Some(written), Some(ops)]) =
        sizes().map(|sizes| sizes.map(|d| d.as_const()))
    else {
        return false;
    };
    kernel.lanes == Lanes::Inner
        && read >= price::CACHE_BYTES
        && written <= read / 64
        && ops <= read.saturating_mul(UNITS_PER_BYTE)
}

/// Whether this processor has 512-bit registers and does arithmetic on them in halves: AMD's family 25, whose members with
/// AVX-512 are all Zen 4.
fn halves_vectors() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::__cpuid;
        let vendor = __cpuid(0);
        let is_amd =
            [vendor.ebx, vendor.edx, vendor.ecx] == [0x6874_7541, 0x6974_6e65, 0x444d_4163];
        let version = __cpuid(1).eax;
        let (family, more) = (version >> 8 & 0xf, version >> 20 & 0xff);
        is_amd && family + more == 25
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lazulite_ir::parse_kernel;

    fn sums(rows: i64, lanes: &str, inst: &str) -> Kernel {
        let text = format!(
            "kernel(b0: f32 read, b1: f32 write) {{ outer o0 < {rows} lanes {lanes} stage i0 < 4096 {{
               v0 = load b0[o0*4096 + i0] : f32
               v1 = {inst} : f32
               v2 = accumulate sum v1 : f32
             }} stage {{ store b1[o0] = v2 }} }}"
        );
        parse_kernel(&text).unwrap()
    }

    #[test]
    fn only_large_sums_along_lanes_take_narrow_vectors() {
        assert!(adds_up_memory(&sums(4096, "inner", "mul v0, v0")));
        assert!(!adds_up_memory(&sums(64, "inner", "mul v0, v0")));
        assert!(!adds_up_memory(&sums(4096, "outer", "mul v0, v0")));
        assert!(!adds_up_memory(&sums(4096, "inner", "exp v0")));
        let (large, small) = (
            sums(4096, "inner", "mul v0, v0"),
            sums(64, "inner", "mul v0, v0"),
        );
        // What the caller asks for is what there is.
        assert_eq!(Level::Avx512.for_kernel(&large), Level::Avx512);
        assert_eq!(Level::Native.for_kernel(&small), Level::Native.resolved());
    }
}
