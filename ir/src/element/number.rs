//! A value of any element type without its type: the middle of every conversion.

/// The exact value of an element.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Number {
    /// Bool and integers.
    Int(i128),
    /// Real floats.
    Real(f64),
    /// Complex numbers.
    Complex(f64, f64),
}

impl Number {
    /// The real part, rounded to f64 (which only large 64-bit integers need).
    pub(crate) fn real(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Real(x) | Number::Complex(x, _) => x,
        }
    }

    /// The real part rounded once to f32.
    pub(crate) fn real_f32(self) -> f32 {
        match self {
            Number::Int(i) => i as f32,
            Number::Real(x) | Number::Complex(x, _) => x as f32,
        }
    }

    /// The imaginary part.
    pub(crate) fn imaginary(self) -> f64 {
        match self {
            Number::Int(_) | Number::Real(_) => 0.0,
            Number::Complex(_, im) => im,
        }
    }

    /// False for zero of any kind; NaN is true.
    pub(crate) fn is_nonzero(self) -> bool {
        match self {
            Number::Int(i) => i != 0,
            Number::Real(x) => x != 0.0,
            Number::Complex(re, im) => re != 0.0 || im != 0.0,
        }
    }

    /// The integer whose low bits are the value as any integer type: floats are truncated. Those outside
    /// i64 saturate, except that u64 (`unsigned_64`) takes all it can hold; NaN is 0.
    pub(crate) fn integer(self, unsigned_64: bool) -> i128 {
        match self {
            Number::Int(i) => i,
            Number::Real(x) | Number::Complex(x, _) => {
                let above_i64 =
                    (9_223_372_036_854_775_808.0..18_446_744_073_709_551_616.0).contains(&x);
                if unsigned_64 && above_i64 {
                    i128::from(x as u64)
                } else {
                    i128::from(x as i64)
                }
            }
        }
    }
}
