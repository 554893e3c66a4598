//! Vectors of narrow elements. Those of groups either go to the instructions that multiply and add groups, or are
//! widened in registers; those of single elements are widened as they are loaded.

use super::micro::{Block, Number, Vector};
use super::narrow::{Bf16, Byte};
use super::pack::Pieces;
use super::source::AHEAD;
use super::x86::{F32x8, F32x16, I32x8, I32x16, some_rows};
use crate::PANEL;
use core::arch::x86_64::*;

/// Whether the machine multiplies pairs of bf16.
pub(super) fn has_bf16() -> bool {
    !cfg!(miri) && is_x86_feature_detected!("avx512bf16")
}

/// Whether the machine multiplies quads of bytes.
pub(super) fn has_vnni() -> bool {
    !cfg!(miri) && is_x86_feature_detected!("avx512vnni")
}

/// # Safety
/// As for [`super::micro::Micro::run`]; the machine has AVX-512 F, BW, DQ, VL and BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
pub(super) unsafe fn avx512_bf16<V: Vector>(block: &Block<V::Element>) {
    // SAFETY: the caller's promise.
    unsafe { some_rows::<V, 4>(block) }
}

/// # Safety
/// As for [`super::micro::Micro::run`]; the machine has AVX-512 F, BW, DQ, VL and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) unsafe fn avx512_vnni<V: Vector>(block: &Block<V::Element>) {
    // SAFETY: the caller's promise.
    unsafe { some_rows::<V, 4>(block) }
}

/// # Safety
/// As for [`super::micro::Micro::pack`], with groups of 2 or 4 elements in 4 bytes; the machine has AVX-512 F, BW, DQ and VL.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn avx512_groups<T: Number>(pieces: &Pieces<'_, T>, to: *mut T) {
    let shift = _mm_cvtsi32_si128(32 / T::GROUP as i32);
    for (group, rows) in pieces.rows.chunks(T::GROUP).enumerate() {
        let ahead = pieces.rows.get((group + AHEAD) * T::GROUP..).unwrap_or(&[]);
        for run in pieces.runs {
            for row in ahead.iter().take(T::GROUP) {
                let first = pieces.first.wrapping_offset(*row + run.from);
                _mm_prefetch::<_MM_HINT_T0>(first.cast());
            }
            for at in (0..run.len).step_by(16) {
                let lanes = first_of_16((run.len - at).min(16));
                let mut groups = _mm512_setzero_si512();
                // The first element is the lowest.
                for j in (0..T::GROUP).rev() {
                    groups = _mm512_sll_epi32(groups, shift);
                    let Some(row) = rows.get(j) else { continue };
                    // SAFETY: the run's elements exist, and its columns lie in the panel.
                    let x = unsafe {
                        let from = pieces.first.offset(row + run.from).add(at);
                        match T::GROUP {
                            2 => {
                                _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, from.cast()))
                            }
                            _ => _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, from.cast())),
                        }
                    };
                    groups = _mm512_or_si512(groups, x);
                }
                let column = (group * PANEL + run.column + at) * T::GROUP;
                // SAFETY: as above.
                unsafe { _mm512_mask_storeu_epi32(to.add(column).cast(), lanes, groups) };
            }
        }
    }
}

/// The sum of quads of bytes that lie beside each other. It is a function of its own to be there once.
///
/// # Safety
/// They exist; the machine has AVX-512 F, BW, DQ, VL and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline(never)]
unsafe fn sum_of_row<const SIGNED: bool>(quads: *const i32, count: usize) -> i32 {
    let ones = _mm512_set1_epi8(1);
    let mut sums = _mm512_setzero_si512();
    for k in (0..count).step_by(16) {
        let lanes = first_of_16((count - k).min(16));
        // SAFETY: the caller's promise.
        let x = unsafe { _mm512_maskz_loadu_epi32(lanes, quads.add(k)) };
        sums = match SIGNED {
            true => _mm512_dpbusd_epi32(sums, ones, x),
            false => _mm512_dpbusd_epi32(sums, x, ones),
        };
    }
    _mm512_reduce_add_epi32(sums)
}

/// A vector of elements or groups. Of bytes, the parameters of [`Byte`] are at hand as `LEFT` and `RIGHT`.
macro_rules! vector {
    (
        $name:ident $(<$left:ident, $right:ident>)?: [$element:ty; $lanes:literal of $group:literal] = $register:ty,
        sums: $sums:ident,
        zero: $zero:expr,
        splat: |$one:ident| $splat:expr,
        load: |$from:ident| $load:expr,
        load_first: |$first:ident, $n:ident| $load_first:expr,
        multiply_add: |$a:ident, $b:ident, $c:ident| $multiply_add:expr,
        $(correction: $corrected:expr, |$lhs:ident, $depth:ident| $correction:expr,)?
    ) => {
        #[derive(Clone, Copy)]
        pub(super) struct $name $(<const $left: bool, const $right: bool>)? ($register);

        impl $(<const $left: bool, const $right: bool>)? Vector for $name $(<$left, $right>)? {
            type Element = $element;
            type Sums = $sums;
            const LANES: usize = $lanes;
            const GROUP: usize = $group;
            $(const CORRECTED: bool = $corrected;)?

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the trait's promise; the instruction belongs to the vector's level.
                unsafe { Self($zero) }
            }

            #[inline(always)]
            unsafe fn splat($one: *const $element) -> Self {
                // SAFETY: as above.
                unsafe { Self($splat) }
            }

            #[inline(always)]
            unsafe fn load($from: *const $element) -> Self {
                // SAFETY: as above.
                unsafe { Self($load) }
            }

            #[inline(always)]
            unsafe fn load_first($first: *const $element, $n: usize) -> Self {
                // SAFETY: as above.
                unsafe { Self($load_first) }
            }

            #[inline(always)]
            unsafe fn multiply_add(self, b: Self, c: $sums) -> $sums {
                let ($a, $b, $c) = (self.0, b.0, c.0);
                // SAFETY: as above.
                unsafe { $sums($multiply_add) }
            }

            $(#[inline(always)]
            unsafe fn correction($lhs: *const $element, $depth: usize) -> $sums {
                // SAFETY: as above.
                unsafe { $sums($correction) }
            })?

            #[inline(always)]
            unsafe fn prefetch(from: *const $element) {
                // SAFETY: prefetching never faults.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
            }
        }
    };
}

vector! {
    Bf16Dots16: [Bf16; 16 of 2] = __m512i,
    sums: F32x16,
    zero: _mm512_setzero_si512(),
    splat: |from| _mm512_set1_epi32(from.cast::<i32>().read_unaligned()),
    load: |from| _mm512_loadu_si512(from.cast()),
    load_first: |from, n| _mm512_maskz_loadu_epi32(first_of_16(n), from.cast()),
    multiply_add: |a, b, c| {
        let (a, b) = (core::mem::transmute::<__m512i, __m512bh>(a), core::mem::transmute::<__m512i, __m512bh>(b));
        _mm512_dpbf16_ps(c, a, b)
    },
}

vector! {
    Bf16Pairs8: [Bf16; 8 of 2] = __m256i,
    sums: F32x8,
    zero: _mm256_setzero_si256(),
    splat: |from| _mm256_set1_epi32(from.cast::<i32>().read_unaligned()),
    load: |from| _mm256_loadu_si256(from.cast()),
    load_first: |from, n| some_of_8(from.cast::<i32>(), n),
    multiply_add: |a, b, c| {
        let low = _mm256_fmadd_ps(low_8(a), low_8(b), c);
        _mm256_fmadd_ps(high_8(a), high_8(b), low)
    },
}

vector! {
    Bf16x16: [Bf16; 16 of 1] = __m512,
    sums: F32x16,
    zero: _mm512_setzero_ps(),
    splat: |from| _mm512_set1_ps((*from).wide()),
    load: |from| wide_bf16_16(_mm256_loadu_si256(from.cast())),
    load_first: |from, n| wide_bf16_16(_mm256_maskz_loadu_epi16(first_of_16(n), from.cast())),
    multiply_add: |a, b, c| _mm512_fmadd_ps(a, b, c),
}

vector! {
    Bf16x8: [Bf16; 8 of 1] = __m256,
    sums: F32x8,
    zero: _mm256_setzero_ps(),
    splat: |from| _mm256_set1_ps((*from).wide()),
    load: |from| wide_bf16_8(_mm_loadu_si128(from.cast())),
    load_first: |from, n| {
        let mut all = [0u16; 8];
        core::ptr::copy_nonoverlapping(from.cast(), all.as_mut_ptr(), n);
        wide_bf16_8(_mm_loadu_si128(all.as_ptr().cast()))
    },
    multiply_add: |a, b, c| _mm256_fmadd_ps(a, b, c),
}

vector! {
    // The instruction takes unsigned bytes times signed ones. Of two of a kind the right ones are moved by 128, which
    // their sums show as the sum of the left ones.
    Dots16<LEFT, RIGHT>: [Byte<LEFT, RIGHT>; 16 of 4] = __m512i,
    sums: I32x16,
    zero: _mm512_setzero_si512(),
    splat: |from| _mm512_set1_epi32(from.cast::<i32>().read_unaligned()),
    load: |from| moved::<LEFT, RIGHT>(_mm512_loadu_si512(from.cast())),
    load_first: |from, n| {
        moved::<LEFT, RIGHT>(_mm512_maskz_loadu_epi32(first_of_16(n), from.cast()))
    },
    multiply_add: |a, b, c| match LEFT {
        true => _mm512_dpbusd_epi32(c, b, a),
        false => _mm512_dpbusd_epi32(c, a, b),
    },
    correction: LEFT == RIGHT, |lhs, depth| {
        let sum = sum_of_row::<LEFT>(lhs.cast(), depth);
        // Signed factors were multiplied by 128 too much, unsigned ones by as much too little.
        _mm512_set1_epi32(if LEFT { -128 * sum } else { 128 * sum })
    },
}

vector! {
    Quads8<LEFT, RIGHT>: [Byte<LEFT, RIGHT>; 8 of 4] = __m256i,
    sums: I32x8,
    zero: _mm256_setzero_si256(),
    splat: |from| _mm256_set1_epi32(from.cast::<i32>().read_unaligned()),
    load: |from| _mm256_loadu_si256(from.cast()),
    load_first: |from, n| some_of_8(from.cast::<i32>(), n),
    multiply_add: |a, b, c| {
        let first = _mm256_madd_epi16(even_8::<LEFT>(a), even_8::<RIGHT>(b));
        let second = _mm256_madd_epi16(odd_8::<LEFT>(a), odd_8::<RIGHT>(b));
        _mm256_add_epi32(c, _mm256_add_epi32(first, second))
    },
}

/// The lowest `n` of 16 bits.
fn first_of_16(n: usize) -> __mmask16 {
    ((1u32 << n) - 1) as __mmask16
}

/// The first `n` of eight groups; the others are 0.
///
/// # Safety
/// There are so many; the machine has AVX2.
#[inline(always)]
unsafe fn some_of_8(from: *const i32, n: usize) -> __m256i {
    let mut all = [0i32; 8];
    // SAFETY: the caller's promise.
    unsafe {
        core::ptr::copy_nonoverlapping(from.cast::<u8>(), all.as_mut_ptr().cast(), 4 * n);
        _mm256_loadu_si256(all.as_ptr().cast())
    }
}

/// # Safety
/// The machine has AVX-512 F.
#[inline(always)]
unsafe fn wide_bf16_16(x: __m256i) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(x))) }
}

/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn wide_bf16_8(x: __m128i) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(x))) }
}

/// Right factors as [`Dots16`] multiplies them: those of the left ones' kind become the other kind.
///
/// # Safety
/// The machine has AVX-512 F.
#[inline(always)]
unsafe fn moved<const LEFT: bool, const RIGHT: bool>(x: __m512i) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        match LEFT == RIGHT {
            true => _mm512_xor_si512(x, _mm512_set1_epi8(i8::MIN)),
            false => x,
        }
    }
}

/// The first elements of pairs of bf16.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn low_8(x: __m256i) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(x)) }
}

/// The second elements of pairs of bf16.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn high_8(x: __m256i) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe { _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(!0xffff))) }
}

/// Even bytes in 16 bits.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn even_8<const SIGNED: bool>(x: __m256i) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        match SIGNED {
            true => _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(x)),
            false => _mm256_and_si256(x, _mm256_set1_epi16(0xff)),
        }
    }
}

/// Odd bytes in 16 bits.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn odd_8<const SIGNED: bool>(x: __m256i) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        match SIGNED {
            true => _mm256_srai_epi16::<8>(x),
            false => _mm256_srli_epi16::<8>(x),
        }
    }
}
