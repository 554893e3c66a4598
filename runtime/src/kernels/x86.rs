//! Vectors of AVX2 and AVX-512 for the micro-kernels. Their functions are inlined into [`avx2`] and
//! [`avx512`], which enable the instructions.

use super::micro::{
    Ahead, Block, Number, SplitVector, Sums, Vector, copy_pieces, kept_rows, rows, rows_ahead, thin,
};
use super::pack::{Pieces, Split, Square, Strewn};
use crate::PANEL;
use core::arch::x86_64::*;

/// # Safety
/// As for [`super::micro::Micro::run`]; the machine has AVX2 and FMA, and `V` needs no more.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2<V: Vector>(block: &Block<V::Element>) {
    // SAFETY: the caller's promise.
    unsafe { some_rows::<V, 2>(block) }
}

/// # Safety
/// As for [`super::micro::Direct::keep`]; the machine has AVX2 and FMA, and `V` needs no more.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2_keep<V: SplitVector>(
    block: &Block<V::Element>,
    strewn: &Strewn<'_, V::Element>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match block.rows {
            6 => kept_rows::<V, 6, 2>(block, strewn),
            _ => kept_rows::<V, 1, 2>(block, strewn),
        }
    }
}

/// # Safety
/// As for [`super::micro::Micro::run`]; the machine has AVX-512 F, BW, DQ and VL.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn avx512<V: Vector>(block: &Block<V::Element>) {
    // SAFETY: the caller's promise.
    unsafe { some_rows::<V, 4>(block) }
}

/// # Safety
/// As for [`super::micro::Direct::keep`]; the machine has AVX-512 F, BW, DQ and VL.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn avx512_keep<V: SplitVector>(
    block: &Block<V::Element>,
    strewn: &Strewn<'_, V::Element>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match block.rows {
            6 => kept_rows::<V, 6, 4>(block, strewn),
            _ => kept_rows::<V, 1, 4>(block, strewn),
        }
    }
}

/// # Safety
/// As for [`super::micro::Direct::run_ahead`]; the machine has AVX2 and FMA, and `V` needs no more.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2_ahead<V: Vector>(
    block: &Block<V::Element>,
    ahead: &Ahead<'_, V::Element>,
) {
    // SAFETY: the caller's promise.
    unsafe { rows_ahead::<V, 6, 2>(block, ahead) }
}

/// # Safety
/// As for [`super::micro::Direct::run_ahead`]; the machine has AVX-512 F, BW, DQ and VL.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn avx512_ahead<V: Vector>(
    block: &Block<V::Element>,
    ahead: &Ahead<'_, V::Element>,
) {
    // SAFETY: the caller's promise.
    unsafe { rows_ahead::<V, 6, 4>(block, ahead) }
}

/// # Safety
/// As for [`super::micro::Micro::thin`]; the machine has AVX2 and FMA, and `V` needs no more.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2_thin<V: Vector>(block: &Block<V::Element>) {
    // SAFETY: the caller's promise. Factors take 12 of 16 registers at most.
    unsafe {
        match block.rows {
            1 => thin::<V, 1, 8>(block),
            2 => thin::<V, 2, 4>(block),
            3 if V::Element::COMMON => thin::<V, 3, 4>(block),
            4 => thin::<V, 4, 2>(block),
            5 if V::Element::COMMON => thin::<V, 5, 2>(block),
            6 if V::Element::COMMON => thin::<V, 6, 2>(block),
            rows => {
                let first = if rows > 4 { 4 } else { 2 };
                avx2_thin::<V>(&block.part(0, first));
                avx2_thin::<V>(&block.part(first, rows - first));
            }
        }
    }
}

/// # Safety
/// As for [`super::micro::Micro::thin`]; the machine has AVX-512 F, BW, DQ and VL.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn avx512_thin<V: Vector>(block: &Block<V::Element>) {
    // SAFETY: the caller's promise. Factors take 24 of 32 registers at most.
    unsafe {
        match block.rows {
            1 => thin::<V, 1, 8>(block),
            2 => thin::<V, 2, 8>(block),
            3 if V::Element::COMMON => thin::<V, 3, 4>(block),
            4 => thin::<V, 4, 4>(block),
            5 if V::Element::COMMON => thin::<V, 5, 4>(block),
            6 if V::Element::COMMON => thin::<V, 6, 4>(block),
            rows => {
                let first = if rows > 4 { 4 } else { 2 };
                avx512_thin::<V>(&block.part(0, first));
                avx512_thin::<V>(&block.part(first, rows - first));
            }
        }
    }
}

/// # Safety
/// As for [`super::micro::Micro::pack`]; the machine has AVX2, and `V` needs no more.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2_pack<V>(pieces: &Pieces<'_, V::Element>, to: *mut V::Element)
where
    V: Vector + Sums<Sum = <V as Vector>::Element>,
{
    // SAFETY: the caller's promise.
    unsafe { copy_pieces::<V>(pieces, to) }
}

/// # Safety
/// As for [`super::micro::Micro::pack`]; the machine has AVX-512 F, BW, DQ and VL.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn avx512_pack<V>(pieces: &Pieces<'_, V::Element>, to: *mut V::Element)
where
    V: Vector + Sums<Sum = <V as Vector>::Element>,
{
    // SAFETY: the caller's promise.
    unsafe { copy_pieces::<V>(pieces, to) }
}

/// # Safety
/// As for [`super::micro::Micro::run`].
#[inline(always)]
pub(super) unsafe fn some_rows<V: Vector, const WIDE: usize>(block: &Block<V::Element>) {
    // SAFETY: the caller's promise.
    unsafe {
        match block.rows {
            6 => rows::<V, 6, WIDE>(block, 0),
            // Fewer in few forms: at the end of a product's rows only, and every form counts in executables.
            count => {
                let mut row = 0;
                if count >= 4 {
                    rows::<V, 4, WIDE>(block, row);
                    row += 4;
                }
                if count - row >= 2 {
                    rows::<V, 2, WIDE>(block, row);
                    row += 2;
                }
                if count > row {
                    rows::<V, 1, WIDE>(block, row);
                }
            }
        }
    }
}

/// # Safety
/// As for [`super::micro::Direct::once`]; the machine has AVX-512 F, BW, DQ and VL.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn avx512_once<V: Vector>(block: &Block<V::Element>) {
    // SAFETY: the caller's promise.
    unsafe {
        match block.rows {
            7 => rows::<V, 7, 2>(block, 0),
            8 => rows::<V, 8, 2>(block, 0),
            9 => rows::<V, 9, 2>(block, 0),
            10 => rows::<V, 10, 2>(block, 0),
            11 => rows::<V, 11, 2>(block, 0),
            12 => rows::<V, 12, 2>(block, 0),
            _ => avx512::<V>(block),
        }
    }
}

/// How squares of groups of 4 bytes are transposed.
pub(super) fn square<T: Number>() -> Option<(usize, Square)> {
    (size_of::<T>() * T::GROUP == 4).then_some((16, square_of_16))
}

/// # Safety
/// As for [`Square`]; the machine has AVX-512 F.
#[target_feature(enable = "avx512f")]
unsafe fn square_of_16(from: *const u8, stride: isize, to: *mut u8) {
    let load = |i: isize| {
        // SAFETY: row `i` of 16 has 16 groups.
        unsafe { _mm512_loadu_ps(from.offset(i * stride).cast()) }
    };
    // Columns of four rows at a time, in the four quarters of a register.
    let mut quarters = [[_mm512_setzero_ps(); 4]; 4];
    for (group, quarter) in (0..4).zip(&mut quarters) {
        let row = |i: isize| load(4 * group + i);
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        let low = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
        let high = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
        let pairs = |x, y| (_mm512_castps_pd(x), _mm512_castps_pd(y));
        let ((l, m), (h, i)) = (pairs(low.0, low.1), pairs(high.0, high.1));
        *quarter = [
            _mm512_castpd_ps(_mm512_unpacklo_pd(l, m)),
            _mm512_castpd_ps(_mm512_unpackhi_pd(l, m)),
            _mm512_castpd_ps(_mm512_unpacklo_pd(h, i)),
            _mm512_castpd_ps(_mm512_unpackhi_pd(h, i)),
        ];
    }
    let [a, b, c, d] = quarters;
    for i in 0..4 {
        let even = (
            _mm512_shuffle_f32x4::<0x88>(a[i], b[i]),
            _mm512_shuffle_f32x4::<0x88>(c[i], d[i]),
        );
        let odd = (
            _mm512_shuffle_f32x4::<0xdd>(a[i], b[i]),
            _mm512_shuffle_f32x4::<0xdd>(c[i], d[i]),
        );
        let columns = [
            _mm512_shuffle_f32x4::<0x88>(even.0, even.1),
            _mm512_shuffle_f32x4::<0x88>(odd.0, odd.1),
            _mm512_shuffle_f32x4::<0xdd>(even.0, even.1),
            _mm512_shuffle_f32x4::<0xdd>(odd.0, odd.1),
        ];
        for (quarter, column) in columns.into_iter().enumerate() {
            // SAFETY: row `4 * quarter + i` of 16 has 16 groups.
            unsafe { _mm512_storeu_ps(to.add((4 * quarter + i) * PANEL * 4).cast(), column) };
        }
    }
}

/// Lanes below `n` of eight 32-bit ones.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn first_of_8(n: usize) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), lanes)
    }
}

/// Lanes below `n` of four 64-bit ones.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn first_of_4(n: usize) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        let lanes = _mm256_setr_epi64x(0, 1, 2, 3);
        _mm256_cmpgt_epi64(_mm256_set1_epi64x(n as i64), lanes)
    }
}

macro_rules! vector {
    (
        $name:ident: [$element:ty; $lanes:literal] = $register:ty,
        zero: $zero:ident,
        splat: $splat:ident,
        plus: $plus:ident,
        load: |$from:ident| $load:expr,
        load_first: |$first:ident, $n:ident| $load_first:expr,
        store_first: |$to:ident, $m:ident, $value:ident| $store_first:expr,
        multiply_add: |$a:ident, $b:ident, $c:ident| $multiply_add:expr,
        $(load_second: |$second:ident, $s:ident| $load_second:expr,)?
    ) => {
        #[derive(Clone, Copy)]
        pub(super) struct $name(pub(super) $register);

        // Everything is forced inline: a vector in registers must not pass through a function
        // that lacks the instructions.
        impl Sums for $name {
            type Sum = $element;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the trait's promise; the instruction belongs to the vector's level.
                unsafe { $name($zero()) }
            }

            #[inline(always)]
            unsafe fn load_first($first: *const $element, $n: usize) -> Self {
                // SAFETY: as above.
                unsafe { $name($load_first) }
            }

            #[inline(always)]
            unsafe fn store_first(self, $to: *mut $element, $m: usize) {
                let $value = self.0;
                // SAFETY: as above.
                unsafe { $store_first }
            }

            #[inline(always)]
            unsafe fn plus(self, b: Self) -> Self {
                // SAFETY: as above.
                unsafe { $name($plus(self.0, b.0)) }
            }
        }

        impl Vector for $name {
            type Element = $element;
            type Sums = Self;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: as above.
                unsafe { <Self as Sums>::zero() }
            }

            #[inline(always)]
            unsafe fn splat(from: *const $element) -> Self {
                // SAFETY: as above.
                unsafe { $name($splat(*from)) }
            }

            #[inline(always)]
            unsafe fn load($from: *const $element) -> Self {
                // SAFETY: as above.
                unsafe { $name($load) }
            }

            #[inline(always)]
            unsafe fn load_first(from: *const $element, n: usize) -> Self {
                // SAFETY: as above.
                unsafe { <Self as Sums>::load_first(from, n) }
            }

            #[inline(always)]
            unsafe fn multiply_add(self, b: Self, c: Self) -> Self {
                let ($a, $b, $c) = (self.0, b.0, c.0);
                // SAFETY: as above.
                unsafe { $name($multiply_add) }
            }

            $(
                #[inline(always)]
                unsafe fn load_second($second: *const $element, $s: usize) -> Self {
                    // SAFETY: as above.
                    unsafe { $name($load_second) }
                }
            )?

            #[inline(always)]
            unsafe fn prefetch(from: *const $element) {
                // SAFETY: prefetching never faults.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
            }

            #[inline(always)]
            unsafe fn prefetch_far(from: *const $element) {
                // SAFETY: as above.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
            }
        }
    };
}

vector! {
    F32x16: [f32; 16] = __m512,
    zero: _mm512_setzero_ps,
    splat: _mm512_set1_ps,
    plus: _mm512_add_ps,
    load: |from| _mm512_loadu_ps(from),
    load_first: |from, n| _mm512_maskz_loadu_ps(mask16(n), from),
    store_first: |to, n, value| _mm512_mask_storeu_ps(to, mask16(n), value),
    multiply_add: |a, b, c| _mm512_fmadd_ps(a, b, c),
    load_second: |from, n| second_of_32(from, n),
}

vector! {
    F64x8: [f64; 8] = __m512d,
    zero: _mm512_setzero_pd,
    splat: _mm512_set1_pd,
    plus: _mm512_add_pd,
    load: |from| _mm512_loadu_pd(from),
    load_first: |from, n| _mm512_maskz_loadu_pd(mask8(n), from),
    store_first: |to, n, value| _mm512_mask_storeu_pd(to, mask8(n), value),
    multiply_add: |a, b, c| _mm512_fmadd_pd(a, b, c),
}

vector! {
    I32x16: [i32; 16] = __m512i,
    zero: _mm512_setzero_si512,
    splat: _mm512_set1_epi32,
    plus: _mm512_add_epi32,
    load: |from| _mm512_loadu_epi32(from),
    load_first: |from, n| _mm512_maskz_loadu_epi32(mask16(n), from),
    store_first: |to, n, value| _mm512_mask_storeu_epi32(to, mask16(n), value),
    multiply_add: |a, b, c| _mm512_add_epi32(_mm512_mullo_epi32(a, b), c),
}

vector! {
    I64x8: [i64; 8] = __m512i,
    zero: _mm512_setzero_si512,
    splat: _mm512_set1_epi64,
    plus: _mm512_add_epi64,
    load: |from| _mm512_loadu_epi64(from),
    load_first: |from, n| _mm512_maskz_loadu_epi64(mask8(n), from),
    store_first: |to, n, value| _mm512_mask_storeu_epi64(to, mask8(n), value),
    multiply_add: |a, b, c| _mm512_add_epi64(_mm512_mullo_epi64(a, b), c),
}

vector! {
    F32x8: [f32; 8] = __m256,
    zero: _mm256_setzero_ps,
    splat: _mm256_set1_ps,
    plus: _mm256_add_ps,
    load: |from| _mm256_loadu_ps(from),
    load_first: |from, n| _mm256_maskload_ps(from, first_of_8(n)),
    store_first: |to, n, value| _mm256_maskstore_ps(to, first_of_8(n), value),
    multiply_add: |a, b, c| _mm256_fmadd_ps(a, b, c),
    load_second: |from, n| second_of_16(from, n),
}

vector! {
    F64x4: [f64; 4] = __m256d,
    zero: _mm256_setzero_pd,
    splat: _mm256_set1_pd,
    plus: _mm256_add_pd,
    load: |from| _mm256_loadu_pd(from),
    load_first: |from, n| _mm256_maskload_pd(from, first_of_4(n)),
    store_first: |to, n, value| _mm256_maskstore_pd(to, first_of_4(n), value),
    multiply_add: |a, b, c| _mm256_fmadd_pd(a, b, c),
}

vector! {
    I32x8: [i32; 8] = __m256i,
    zero: _mm256_setzero_si256,
    splat: _mm256_set1_epi32,
    plus: _mm256_add_epi32,
    load: |from| _mm256_loadu_si256(from.cast()),
    load_first: |from, n| _mm256_maskload_epi32(from, first_of_8(n)),
    store_first: |to, n, value| _mm256_maskstore_epi32(to, first_of_8(n), value),
    multiply_add: |a, b, c| _mm256_add_epi32(_mm256_mullo_epi32(a, b), c),
}

impl SplitVector for F32x16 {
    #[inline(always)]
    unsafe fn load_split(row: *const f32, split: &Split) -> Self {
        let [first, all] = split.ends.map(mask16);
        let [a, b] = split.from.map(|from| row.wrapping_offset(from));
        // SAFETY: the caller's promise; each place is read in its own lanes only.
        unsafe {
            let a = _mm512_maskz_loadu_ps(first, a);
            F32x16(_mm512_mask_loadu_ps(a, all & !first, b))
        }
    }
}

impl SplitVector for F32x8 {
    #[inline(always)]
    unsafe fn load_split(row: *const f32, split: &Split) -> Self {
        let [a, b] = split.from.map(|from| row.wrapping_offset(from));
        // SAFETY: the caller's promise; each place is read in its own lanes only.
        unsafe {
            let (first, all) = (first_of_8(split.ends[0]), first_of_8(split.ends[1]));
            let second = _mm256_andnot_si256(first, all);
            let (a, b) = (_mm256_maskload_ps(a, first), _mm256_maskload_ps(b, second));
            F32x8(_mm256_or_ps(a, b))
        }
    }
}

/// The first `n` of every second element.
///
/// # Safety
/// The machine has AVX-512 F, and the elements exist; `n` is 1 to 16.
#[inline(always)]
unsafe fn second_of_32(from: *const f32, n: usize) -> __m512 {
    let all = ((1u64 << (2 * n - 1)) - 1) as u32;
    // SAFETY: the caller's promise; what is behind the last element is not accessed.
    unsafe {
        let low = _mm512_maskz_loadu_ps(all as __mmask16, from);
        let high = _mm512_maskz_loadu_ps((all >> 16) as __mmask16, from.wrapping_add(16));
        let lanes = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        _mm512_permutex2var_ps(low, lanes, high)
    }
}

/// The first `n` of every second element.
///
/// # Safety
/// The machine has AVX2, and the elements exist; `n` is 1 to 8.
#[inline(always)]
unsafe fn second_of_16(from: *const f32, n: usize) -> __m256 {
    let count = 2 * n - 1;
    // SAFETY: the caller's promise; what is behind the last element is not accessed.
    unsafe {
        let low = _mm256_maskload_ps(from, first_of_8(count.min(8)));
        let high = _mm256_maskload_ps(from.wrapping_add(8), first_of_8(count.saturating_sub(8)));
        let mixed = _mm256_castps_pd(_mm256_shuffle_ps::<0x88>(low, high));
        _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(mixed))
    }
}

/// The lowest `n` of 16 bits.
#[inline(always)]
fn mask16(n: usize) -> __mmask16 {
    ((1u32 << n) - 1) as __mmask16
}

/// The lowest `n` of 8 bits.
#[inline(always)]
fn mask8(n: usize) -> __mmask8 {
    ((1u32 << n) - 1) as __mmask8
}
