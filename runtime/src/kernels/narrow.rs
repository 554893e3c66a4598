//! Products of narrow elements: bf16 with sums of f32, bytes with sums of i32. They are packed in groups of as many as
//! fit into a sum, which is what the instructions for them take. Machines without these widen them in registers of AVX2.

use super::Level;
use super::micro::{Micro, Number, portable};
#[cfg(target_arch = "x86_64")]
use super::pack::{Pieces, interleave};
#[cfg(target_arch = "x86_64")]
use super::{x86, x86_narrow};

/// The upper half of an f32.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Bf16(pub(crate) u16);

impl Bf16 {
    #[inline(always)]
    pub(super) fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

impl Number for Bf16 {
    type Sum = f32;
    const ZERO: Self = Bf16(0);
    const GROUP: usize = 2;
    const COMMON: bool = true;

    #[inline(always)]
    fn multiply_add(self, b: Self, c: f32) -> f32 {
        self.wide().multiply_add(b.wide(), c)
    }

    fn micro(level: Level) -> Micro<Self> {
        match level {
            Level::Portable => portable::<Self, 4, 2>(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Micro {
                rows: 4,
                run: x86::avx2::<x86_narrow::Bf16Pairs8>,
                direct: None,
                thin: Some((6, x86::avx2_thin::<x86_narrow::Bf16x8>)),
                pack: avx2_interleave::<Self>,
                square: None,
            },
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                let (rows, run): (_, unsafe fn(&_)) = match x86_narrow::has_bf16() {
                    true => (6, x86_narrow::avx512_bf16::<x86_narrow::Bf16Dots16>),
                    false => (4, x86::avx2::<x86_narrow::Bf16Pairs8>),
                };
                Micro {
                    rows,
                    run,
                    direct: None,
                    thin: Some((6, x86::avx512_thin::<x86_narrow::Bf16x16>)),
                    pack: x86_narrow::avx512_groups::<Self>,
                    square: x86::square::<Self>(),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => portable::<Self, 4, 2>(),
        }
    }
}

/// A byte: as left factor, and as right factor, signed or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Byte<const LEFT: bool, const RIGHT: bool>(pub(crate) u8);

/// The value of a byte.
#[inline(always)]
fn wide(byte: u8, signed: bool) -> i32 {
    match signed {
        true => i32::from(byte as i8),
        false => i32::from(byte),
    }
}

impl<const LEFT: bool, const RIGHT: bool> Byte<LEFT, RIGHT> {
    /// The value of a left factor.
    #[inline(always)]
    pub(super) fn left(self) -> i32 {
        wide(self.0, LEFT)
    }

    /// The value of a right factor.
    #[inline(always)]
    pub(super) fn right(self) -> i32 {
        wide(self.0, RIGHT)
    }
}

impl<const LEFT: bool, const RIGHT: bool> Number for Byte<LEFT, RIGHT> {
    type Sum = i32;
    const ZERO: Self = Byte(0);
    const GROUP: usize = 4;
    const COMMON: bool = false;

    #[inline(always)]
    fn multiply_add(self, b: Self, c: i32) -> i32 {
        self.left().multiply_add(b.right(), c)
    }

    fn micro(level: Level) -> Micro<Self> {
        match level {
            Level::Portable => portable::<Self, 4, 4>(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Micro {
                rows: 4,
                run: x86::avx2::<x86_narrow::Quads8<LEFT, RIGHT>>,
                direct: None,
                thin: None,
                pack: avx2_interleave::<Self>,
                square: None,
            },
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                let (rows, run): (_, unsafe fn(&_)) = match x86_narrow::has_vnni() {
                    true => (
                        6,
                        x86_narrow::avx512_vnni::<x86_narrow::Dots16<LEFT, RIGHT>>,
                    ),
                    false => (4, x86::avx2::<x86_narrow::Quads8<LEFT, RIGHT>>),
                };
                Micro {
                    rows,
                    run,
                    direct: None,
                    thin: None,
                    pack: x86_narrow::avx512_groups::<Self>,
                    square: x86::square::<Self>(),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => portable::<Self, 4, 4>(),
        }
    }
}

/// # Safety
/// As for [`Micro::pack`]; the machine has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2_interleave<T: Number>(pieces: &Pieces<'_, T>, to: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { interleave(pieces, to) }
}
