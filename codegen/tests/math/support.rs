//! Runs functions over arrays, and measures errors.

use lazulite_codegen::vector::interp::{Arguments, run};
use lazulite_codegen::vector::{Builder, Function, MemAccess, Reg};
use lazulite_ir::DType;

/// Enough lanes to amortise the interpreter's dispatch.
pub const LANES: u32 = 256;

/// A function that maps `inputs` arrays of `dtype` elementwise to one more; their length is a multiple of
/// [`LANES`].
pub fn mapping(
    dtype: DType,
    inputs: u32,
    body: impl FnOnce(&mut Builder, &[Reg]) -> Reg,
) -> Function {
    let mut b = Builder::new(LANES);
    let (from, to) = (b.s_const(0), b.size(0));
    let buffers: Vec<_> = (0..=inputs).map(|n| b.buffer(n)).collect();
    b.for_loop(from, to, i64::from(LANES), |b, at| {
        let size = b.s_const(dtype.size() as i64);
        let offset = b.s_mul(at, size);
        let address: Vec<_> = buffers.iter().map(|&p| b.s_add(p, offset)).collect();
        let (output, inputs) = address.split_last().expect("one output");
        let access = MemAccess::Contiguous;
        let values: Vec<_> = inputs
            .iter()
            .map(|&p| b.load(dtype, LANES, p, access, None))
            .collect();
        let result = body(b, &values);
        b.store(dtype, *output, access, result, None, false);
    });
    b.finish()
}

/// Element types of the tests.
pub trait Element: Copy + Default {
    /// Its type in memory.
    const DTYPE: DType;
    /// Appends its bytes.
    fn write(self, bytes: &mut Vec<u8>);
    /// From its bytes.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! element {
    ($($type:ty => $dtype:ident),*) => {$(
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
            fn write(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
            fn read(bytes: &[u8]) -> Self {
                <$type>::from_le_bytes(bytes.try_into().expect("one element"))
            }
        }
    )*};
}
element!(f32 => F32, f64 => F64, i32 => I32, i64 => I64);

/// Applies a mapping to arrays of equal length.
pub fn apply<T: Element>(function: &Function, inputs: &[&[T]]) -> Vec<T> {
    let len = inputs[0].len();
    let padded = len.next_multiple_of(LANES as usize);
    let mut memory: Vec<Vec<u8>> = inputs
        .iter()
        .map(|values| {
            let mut bytes = Vec::with_capacity(padded * T::DTYPE.size());
            values.iter().for_each(|v| v.write(&mut bytes));
            (len..padded).for_each(|_| T::default().write(&mut bytes));
            bytes
        })
        .collect();
    memory.push(vec![0; padded * T::DTYPE.size()]);
    let arguments = Arguments {
        buffers: memory.iter_mut().map(|m| m.as_mut_slice()).collect(),
        sizes: &[padded as i64],
        bounds: &[],
    };
    let fault = run(function, arguments).expect("the function runs");
    assert_eq!(fault, None);
    let output = memory.last().expect("one output");
    let elements = output.chunks_exact(T::DTYPE.size()).map(T::read);
    elements.take(len).collect()
}

/// The greatest error seen, and where.
pub struct Worst {
    name: String,
    ulp: f64,
    at: String,
}

impl Worst {
    pub fn new(name: &str) -> Worst {
        Worst {
            name: name.into(),
            ulp: 0.0,
            at: String::new(),
        }
    }

    pub fn see(&mut self, ulp: f64, at: impl FnOnce() -> String) {
        if ulp > self.ulp || ulp.is_nan() {
            self.ulp = if ulp.is_nan() { f64::INFINITY } else { ulp };
            self.at = at();
        }
    }

    /// Prints the error and checks its bound.
    pub fn check(&self, bound: f64) {
        println!("{:12} {:.3} ulp at {}", self.name, self.ulp, self.at);
        assert!(
            self.ulp <= bound,
            "{}: {} ulp at {}, allowed {bound}",
            self.name,
            self.ulp,
            self.at
        );
    }
}

/// Error of `got` in units of the last place of f32 at the exact value `want`. Infinite for a wrong NaN,
/// infinity or sign of zero.
pub fn ulp_f32(got: f32, want: f64) -> f64 {
    let rounded = want as f32;
    if rounded.is_nan() || got.is_nan() {
        return if rounded.is_nan() && got.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    if got == rounded {
        return if got == 0.0 && got.is_sign_negative() != want.is_sign_negative() {
            f64::INFINITY
        } else if got.is_infinite() {
            0.0
        } else {
            (f64::from(got) - want).abs() / place_f32(want)
        };
    }
    // An infinity for a number that nearly overflows counts by the place it stands for.
    let got = if got.is_infinite() {
        f64::from(got.signum()) * 2f64.powi(128)
    } else {
        f64::from(got)
    };
    (got - want).abs() / place_f32(want)
}

/// The distance of neighbouring f32 at `value`.
fn place_f32(value: f64) -> f64 {
    let exponent = (value.to_bits() >> 52 & 0x7ff) as i32 - 1023;
    2f64.powi(exponent.clamp(-126, 127) - 23)
}

/// The distance of neighbouring f64 at `value`.
pub fn place_f64(value: f64) -> f64 {
    let exponent = (value.to_bits() >> 52 & 0x7ff) as i64 - 1023;
    let place = exponent.clamp(-1022, 1023) - 52;
    if place < -1022 {
        f64::from_bits(1u64 << (place + 1074))
    } else {
        f64::from_bits(((place + 1023) as u64) << 52)
    }
}

/// Error of `got` in units of the last place of f64 at the exact value `high + low`.
pub fn ulp_f64(got: f64, high: f64, low: f64) -> f64 {
    if high.is_nan() || got.is_nan() {
        return if high.is_nan() && got.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    if got == high && (got.is_infinite() || got == 0.0) {
        return if got.is_sign_negative() == high.is_sign_negative() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    if got.is_infinite() || high.is_infinite() {
        return f64::INFINITY;
    }
    ((got - high) - low).abs() / place_f64(high)
}
