//! Kernels, lowered and compiled in every way there is, against the kernel interpreter.

mod kernels;
mod limits;
mod loops;
mod prices;
mod quotient;

use super::{LowerOptions, Lowered, lower};
use crate::Level;
use crate::jit;
use crate::placed::Placed;
use lazulite_ir::{
    DType, Dim, FaultRecord, Kernel, Lanes, Order, Symbol, as_cells, eval_kernel, parse_kernel,
    verify_kernel,
};
use lazulite_runtime::Status;

/// Sizes by name.
type SizeValues<'a> = &'a [(&'a str, i64)];

fn size_of(sizes: SizeValues<'_>, symbol: &Symbol) -> Option<i64> {
    sizes.iter().find(|s| *s.0 == *symbol.0).map(|s| s.1)
}

/// Memory after a run, and the fault.
struct Outcome {
    buffers: Vec<Vec<u8>>,
    faults: Vec<FaultRecord>,
}

fn interpret(kernel: &Kernel, buffers: &[Vec<u8>], sizes: SizeValues<'_>) -> Outcome {
    let mut buffers = buffers.to_vec();
    let cells: Vec<_> = buffers.iter_mut().map(|b| as_cells(b)).collect();
    let faults = eval_kernel(
        kernel,
        &cells,
        &|s| size_of(sizes, s),
        None,
        Order::RowMajor,
    )
    .unwrap_or_else(|e| panic!("{e}\n{kernel}"));
    Outcome { buffers, faults }
}

/// A kernel in executable memory.
struct Compiled<'k> {
    kernel: &'k Kernel,
    lowered: Lowered,
    function: jit::Function,
}

impl Compiled<'_> {
    fn new(kernel: &Kernel, level: Level, options: LowerOptions) -> Compiled<'_> {
        let backend = level.backend().unwrap();
        let lowered =
            lower(kernel, backend.caps(), options).unwrap_or_else(|e| panic!("{e}\n{kernel}"));
        let code = backend
            .emit(&lowered.function)
            .unwrap_or_else(|e| panic!("{e}\n{kernel}\n{}", lowered.function));
        let function = jit::link(&[&code.link().unwrap()]).unwrap().remove(0);
        Compiled {
            kernel,
            lowered,
            function,
        }
    }

    /// Runs over boxes of at most `points` along the last outer range; on buffers at multiples of 64 bytes for the whole of
    /// it, elsewhere for parts.
    fn run(&self, buffers: &[Vec<u8>], sizes: SizeValues<'_>, points: Option<i64>) -> Outcome {
        let eval = |d: &Dim| d.eval(&|s| size_of(sizes, s)).unwrap();
        let values: Vec<i64> = self.lowered.sizes.iter().map(eval).collect();
        let mut scratch = vec![0xffu8; eval(&self.lowered.scratch) as usize + 64];
        let shift = if points.is_some() { 16 } else { 0 };
        let mut placed = Placed::new(buffers, shift);
        let mut pointers = placed.pointers();
        let aligned = scratch.as_ptr().align_offset(64);
        pointers.push(scratch[aligned..].as_mut_ptr());
        let status = Status::default();
        let extents: Vec<i64> = self.kernel.outer.iter().map(eval).collect();
        for bounds in boxes(&extents, points, i64::from(self.lowered.lane_multiple)) {
            // SAFETY: the interpreter has run the same kernel on buffers of these lengths and
            // checked every access; the scratch has the size that was asked for.
            unsafe {
                (self.function.entry)(
                    pointers.as_ptr(),
                    values.as_ptr(),
                    bounds.as_ptr(),
                    &raw const status,
                );
            }
        }
        let fault = status.fault().map(|(fault, value, bound)| FaultRecord {
            fault: fault as u32,
            value,
            bound,
        });
        let faults = fault.into_iter().collect();
        let buffers = placed.contents();
        Outcome { buffers, faults }
    }
}

/// The boxes that cover the outer ranges: whole, or cut along the last range.
fn boxes(extents: &[i64], points: Option<i64>, multiple: i64) -> Vec<Vec<i64>> {
    if extents.contains(&0) {
        return Vec::new();
    }
    let whole: Vec<i64> = extents.iter().flat_map(|&e| [0, e]).collect();
    let (Some(points), Some(&last)) = (points, extents.last()) else {
        return vec![whole];
    };
    let step = (points as usize).next_multiple_of(multiple as usize);
    (0..last)
        .step_by(step)
        .map(|from| {
            let mut bounds = whole.clone();
            let end = bounds.len();
            bounds[end - 2] = from;
            bounds[end - 1] = last.min(from + step as i64);
            bounds
        })
        .collect()
}

/// Elements as numbers, for comparison within a tolerance.
fn numbers(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    bytes
        .chunks(dtype.size())
        .map(|b| {
            let mut bits = [0; 16];
            bits[..b.len()].copy_from_slice(b);
            lazulite_ir::Scalar::from_bits(dtype, u128::from_le_bytes(bits)).as_f64()
        })
        .collect()
}

/// Floats within a small relative error, everything else bit for bit.
fn close(dtype: DType, a: &[u8], b: &[u8]) -> bool {
    if !dtype.is_float() {
        return a == b;
    }
    let tolerance = match dtype {
        DType::F64 => 1e-12,
        DType::F32 => 1e-5,
        _ => 1e-2,
    };
    numbers(dtype, a)
        .into_iter()
        .zip(numbers(dtype, b))
        .all(|(a, b)| {
            a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs().max(1e-3)
        })
}

/// Deterministic contents: small numbers for arithmetic, a few special ones.
fn contents(dtype: DType, len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let values = (0..len).flat_map(|_| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let r = (state >> 33) as i64;
        let value = if dtype.is_float() {
            lazulite_ir::Scalar::from_f64(dtype, (r % 2001 - 1000) as f64 / 256.0)
        } else {
            lazulite_ir::Scalar::from_i64(dtype, r % 23 - 5)
        };
        value.bits().to_le_bytes()[..dtype.size()].to_vec()
    });
    values.collect()
}

/// The portable backend and those for vectors of each width.
fn levels() -> impl Iterator<Item = Level> {
    let levels = [Level::Baseline, Level::Avx2, Level::Avx512].into_iter();
    levels.filter(|l| l.is_available())
}

/// A kernel's function for vectors of 16 lanes, which need not be there to run it.
fn lowered_for_16_lanes(text: &str, options: LowerOptions) -> Lowered {
    let caps = Level::Avx512.backend().unwrap().caps();
    let kernel = parse_kernel(text).unwrap();
    lower(&kernel, caps, options).unwrap()
}

/// Every way to compile: lanes, copies, scalar code.
fn ways(kernel: &Kernel) -> Vec<(Kernel, Level, LowerOptions)> {
    let mut ways = Vec::new();
    let lanes = [Lanes::Outer, Lanes::Inner, Lanes::None];
    for (level, lanes) in levels().flat_map(|level| lanes.map(|lanes| (level, lanes))) {
        for copies in [None, Some(1), Some(2), Some(3)] {
            let kernel = Kernel {
                lanes,
                ..kernel.clone()
            };
            let options = LowerOptions {
                scalar: false,
                copies,
                exact: copies == Some(1),
                large_from: (copies == Some(2)).then_some(0),
            };
            ways.push((kernel, level, options));
        }
    }
    ways
}

/// Runs a kernel in every way and compares with the interpreter; gives what the interpreter found.
fn check(text: &str, buffers: &[Vec<u8>], sizes: SizeValues<'_>) -> Outcome {
    let kernel = parse_kernel(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    verify_kernel(&kernel).unwrap_or_else(|e| panic!("{e}"));
    let expected = interpret(&kernel, buffers, sizes);
    for (kernel, level, options) in ways(&kernel) {
        let what = || format!("{level:?}, {options:?}, {sizes:?}\n{kernel}");
        let compiled = Compiled::new(&kernel, level, options);
        let whole = compiled.run(buffers, sizes, None);
        for points in [1, 5, 16] {
            let parts = compiled.run(buffers, sizes, Some(points));
            assert!(
                parts.buffers == whole.buffers,
                "parts of {points}: {}",
                what()
            );
        }
        for (n, decl) in kernel.buffers.iter().enumerate() {
            let (found, wanted) = (&whole.buffers[n], &expected.buffers[n]);
            assert!(
                close(decl.dtype, found, wanted),
                "buffer {n}: found {:?}\nexpected {:?}\n{}",
                numbers(decl.dtype, found),
                numbers(decl.dtype, wanted),
                what()
            );
        }
        match whole.faults.first() {
            Some(fault) => assert!(expected.faults.contains(fault), "{fault:?}: {}", what()),
            None => assert!(expected.faults.is_empty(), "no fault: {}", what()),
        }
    }
    expected
}

/// As [`check`], with buffers of these lengths and deterministic contents.
fn check_with(text: &str, lens: &[usize], sizes: SizeValues<'_>) -> Outcome {
    let kernel = parse_kernel(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let buffers: Vec<Vec<u8>> = kernel
        .buffers
        .iter()
        .zip(lens)
        .enumerate()
        .map(|(n, (decl, &len))| contents(decl.dtype, len, n as u64 + 1))
        .collect();
    check(text, &buffers, sizes)
}
