//! A list of numbers read as choices; behind its end all choices are the first one.

use crate::{DType, Scalar};

pub(super) struct Choices<'a> {
    rest: std::slice::Iter<'a, u16>,
}

impl<'a> Choices<'a> {
    pub(super) fn new(numbers: &'a [u16]) -> Choices<'a> {
        Choices {
            rest: numbers.iter(),
        }
    }

    /// A number below `bound`, or 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let number = self.rest.next().copied().unwrap_or(0);
        usize::from(number) % bound.max(1)
    }

    pub(super) fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// True in one of `n` cases, never for the smallest number.
    pub(super) fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    pub(super) fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// The axes of a tensor in random order.
    pub(super) fn permutation(&mut self, rank: usize) -> Vec<u32> {
        let mut rest: Vec<u32> = (0..rank as u32).collect();
        (0..rank)
            .map(|_| rest.remove(self.below(rest.len())))
            .collect()
    }

    /// Some axes of a tensor, ascending.
    pub(super) fn axes(&mut self, rank: usize) -> Vec<u32> {
        let bits = self.below(1 << rank.min(8));
        (0..rank as u32).filter(|a| bits >> a & 1 == 1).collect()
    }

    /// An element worth testing with.
    pub(super) fn value(&mut self, dtype: DType) -> Scalar {
        match dtype {
            DType::Bool => Scalar::from_i64(dtype, self.below(2) as i64),
            DType::C64 | DType::C128 => {
                let (re, im) = (self.real(dtype.real()), self.real(dtype.real()));
                Scalar::from_complex(dtype, re, im)
            }
            d if d.is_float() => Scalar::from_f64(d, self.real(d)),
            d => Scalar::from_i64(d, self.integer(d)),
        }
    }

    fn integer(&mut self, dtype: DType) -> i64 {
        let top = 1i64 << (8 * dtype.size() - 1).min(62);
        let small = [0, 1, 2, 3, 5, -1, -2, 7, 31, 64, 100];
        let extreme = [i64::MIN, i64::MAX, top, top.wrapping_sub(1), -top, 0x5555];
        match self.below(4) {
            3 => self.of(&extreme),
            _ => self.of(&small),
        }
    }

    fn real(&mut self, dtype: DType) -> f64 {
        let (tiny, huge) = match dtype {
            DType::F16 => (6e-8, 65504.0),
            DType::BF16 | DType::F32 => (1e-45, f64::from(f32::MAX)),
            _ => (5e-324, f64::MAX),
        };
        let plain = [
            0.0, 1.0, 0.5, -1.0, 2.0, -0.75, 3.0, -2.5, 0.1, 10.0, -100.0,
        ];
        let special = [
            -0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            tiny,
            -tiny,
            huge,
            -huge,
            tiny * 1000.0,
            1e5,
            -1e9,
            1e-10,
            std::f64::consts::PI,
            2147483648.0,
            -9.3e18,
        ];
        match self.below(4) {
            3 => self.of(&special),
            2 => (self.below(2001) as f64 - 1000.0) / 64.0,
            _ => self.of(&plain),
        }
    }
}

/// A generator of choices for the many elements of an input, from one number.
pub(super) fn noise(seed: u16, len: usize) -> Vec<u16> {
    let word = |i: usize| crate::random_bits(u64::from(seed), 0, i as u64) as u16;
    // The smallest seed stands for the simplest input.
    (0..len)
        .map(|i| if seed == 0 { 0 } else { word(i) })
        .collect()
}
