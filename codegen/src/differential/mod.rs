//! The backends against the interpreter: every operation, conversion and memory access, at one lane and
//! at full width, at every level that this processor has.

mod memory;
mod operations;
mod random;

use crate::backend::VectorBackend;
use crate::disassemble::{Disassembly, disassemble};
use crate::jit;
use crate::placed::Placed;
use crate::vector::interp::{self, Arguments};
use crate::vector::{Builder, Class, Function, MemAccess, Reg};
use crate::{CraneliftBackend, Level, WideBackend};
use lazulite_ir::DType;
use lazulite_runtime::{Artifact, Status};
use std::sync::LazyLock;

/// Lanes of full registers, of one backend or another.
const WIDTHS: [u32; 3] = [4, 8, 16];

/// The backends that this processor can test.
fn backends() -> &'static [&'static dyn VectorBackend] {
    static ALL: LazyLock<Vec<&dyn VectorBackend>> = LazyLock::new(|| {
        let available = Level::ALL.into_iter().filter(|l| l.is_available());
        let portable = available.map(|level| {
            let backend = Box::new(CraneliftBackend::new(level).unwrap());
            Box::leak(backend) as &dyn VectorBackend
        });
        portable.chain(wide()).collect()
    });
    &ALL
}

/// The wide ones among them.
fn wide() -> impl Iterator<Item = &'static dyn VectorBackend> {
    let all: [(Level, &dyn VectorBackend); 2] = [
        (Level::Avx2, WideBackend::avx2()),
        (Level::Avx512, WideBackend::avx512()),
    ];
    { all.into_iter() }
        .filter(|(level, _)| level.is_available())
        .map(|(_, backend)| backend)
}

/// Those for functions with full registers of so many lanes.
fn backends_of(f: &Function) -> impl Iterator<Item = &'static dyn VectorBackend> {
    let lanes = f.lanes;
    { backends().iter().copied() }.filter(move |b| lanes == 1 || b.caps().lanes() == lanes)
}

/// What a run left behind: the buffers and the fault.
type Outcome = (Vec<Vec<u8>>, Option<(u64, i64, i64)>);

fn interpret(f: &Function, buffers: &[Vec<u8>], sizes: &[i64], bounds: &[(i64, i64)]) -> Outcome {
    let mut buffers = buffers.to_vec();
    let fault = interp::run(
        f,
        Arguments {
            buffers: buffers.iter_mut().map(|b| &mut b[..]).collect(),
            sizes,
            bounds,
        },
    )
    .unwrap_or_else(|e| panic!("{e}"));
    (
        buffers,
        fault.map(|f| (u64::from(f.fault), f.value, f.bound)),
    )
}

fn execute(
    backend: &dyn VectorBackend,
    f: &Function,
    buffers: &[Vec<u8>],
    sizes: &[i64],
    bounds: &[(i64, i64)],
) -> Outcome {
    let code = backend.emit(f).unwrap_or_else(|e| panic!("{e}"));
    let artifact = code.link().unwrap();
    // Cranelift's code ends in constants of its own.
    if wide().any(|wide| wide.name() == backend.name()) {
        decoded(backend, &artifact);
    }
    let linked = jit::link(&[&artifact]).unwrap().remove(0);
    let mut placed = Placed::new(buffers, 0);
    let pointers = placed.pointers();
    let bounds: Vec<i64> = bounds.iter().flat_map(|b| [b.0, b.1]).collect();
    let status = Status::default();
    // SAFETY: the interpreter has run the same function on the same arguments and checked every
    // access.
    unsafe {
        (linked.entry)(
            pointers.as_ptr(),
            sizes.as_ptr(),
            bounds.as_ptr(),
            &raw const status,
        );
    }
    (placed.contents(), status.fault())
}

/// A decoder reads what the encoder wrote: instructions that exist, one behind the other up to the end, and jumps
/// to where one begins. None is one of AVX-512 that the machine may not have.
fn decoded(backend: &dyn VectorBackend, artifact: &Artifact) {
    let all = disassemble(artifact);
    let Disassembly {
        instructions,
        code_bytes,
        ..
    } = &all;
    let mut end = 0;
    for i in instructions {
        assert_eq!(i.offset, end);
        assert!(!i.text.contains("(bad)"), "at {end}\n{all}");
        let evex = artifact.bytes[end as usize] == 0x62;
        assert!(backend.caps().vector_bytes == 64 || !evex, "{}", i.text);
        end += i.len;
    }
    assert_eq!(end as usize, *code_bytes);
    for i in instructions.iter().filter(|i| i.text.starts_with('j')) {
        let label = i.text.split_whitespace().last();
        let found = instructions.iter().any(|to| to.label.as_deref() == label);
        assert!(found, "{} leads between instructions", i.text);
    }
}

/// Bytes compare equal, all NaNs of a float type being one.
fn same(dtype: DType, a: &[u8], b: &[u8]) -> bool {
    let nan = |bytes: &[u8]| match dtype {
        DType::F32 => f32::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
        DType::F64 => f64::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
        DType::F16 => half::f16::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
        DType::BF16 => half::bf16::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
        _ => false,
    };
    let size = dtype.size();
    a.chunks(size)
        .zip(b.chunks(size))
        .all(|(a, b)| a == b || (nan(a) && nan(b)))
}

/// Runs `f` both ways and compares the buffer `out` and the fault.
fn check(what: &str, f: &Function, buffers: &[Vec<u8>], sizes: &[i64], out: (usize, DType)) {
    let expected = interpret(f, buffers, sizes, &[]);
    for (level, backend) in backends_of(f).enumerate() {
        let found = execute(backend, f, buffers, sizes, &[]);
        assert_eq!(found.1, expected.1, "{what}, level {level}: fault\n{f}");
        for (n, (a, b)) in found.0.iter().zip(&expected.0).enumerate() {
            let ok = match n == out.0 {
                true => same(out.1, a, b),
                false => a == b,
            };
            assert!(
                ok,
                "{what}, level {level}, buffer {n}:\nfound    {a:02x?}\nexpected {b:02x?}\nfrom {buffers:02x?}\n{f}"
            );
        }
    }
}

const CLASSES: [Class; 5] = [Class::F32, Class::F64, Class::I32, Class::I64, Class::Mask];

/// The memory type that holds a class bit for bit.
fn memory(class: Class) -> DType {
    match class {
        Class::F32 => DType::F32,
        Class::F64 => DType::F64,
        Class::I32 => DType::I32,
        Class::I64 => DType::I64,
        Class::Mask => DType::Bool,
    }
}

/// Values at which operations are delicate, as bits of the class.
fn edges(class: Class) -> Vec<u64> {
    let ints = [
        0i64, 1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 32767, 65535, 65536,
    ];
    let signed = |min: i64, max: i64| {
        let mut all: Vec<i64> = ints.iter().flat_map(|&i| [i, -i]).collect();
        all.extend([
            min,
            min + 1,
            max,
            max - 1,
            max / 2,
            min / 2,
            0x5555_5555,
            0x1234_5678,
        ]);
        all
    };
    match class {
        Class::Mask => vec![0, 1],
        Class::I32 => signed(i32::MIN.into(), i32::MAX.into())
            .into_iter()
            .map(|i| u64::from(i as u32))
            .collect(),
        Class::I64 => signed(i64::MIN, i64::MAX)
            .into_iter()
            .chain([
                i64::from(i32::MIN),
                i64::from(i32::MAX),
                1 << 32,
                (1 << 53) + 1,
                0x0123_4567_89ab_cdef,
                -0x0123_4567_89ab_cdef,
                // Just above the middle between two f32, and two f64.
                (1 << 62) + (1 << 38) + 1,
                (1 << 62) + (1 << 9) + 1,
            ])
            .map(|i| i as u64)
            .collect(),
        Class::F32 => floats()
            .into_iter()
            .map(|x| u64::from((x as f32).to_bits()))
            .collect(),
        Class::F64 => floats().into_iter().map(f64::to_bits).collect(),
    }
}

fn floats() -> Vec<f64> {
    let mut all = vec![
        0.0,
        0.5,
        1.0,
        1.5,
        2.5,
        3.5,
        1e-3,
        1.0 / 3.0,
        65504.0,
        65519.0,
        65520.0,
        65536.0,
        1e5,
        5.9604645e-8,
        2.9802322e-8,
        3.1e-8,
        6.1e-5,
        6.103515625e-5,
        1e-40,
        1e-45,
        1e-310,
        1e30,
        1e300,
        3.4e38,
        2147483647.0,
        2147483648.0,
        2147483904.0,
        4294967295.5,
        4294967296.0,
        123456789012345.67,
        9.2e18,
        9223372036854774784.0,
        9223372036854775808.0,
        9.3e18,
        1e19,
        8388608.5,
        4503599627370496.5,
        f64::INFINITY,
        f64::NAN,
        1.00048828125,
        1.001953125,
    ];
    all.extend(all.clone().into_iter().map(|x| -x));
    all
}

fn bytes(class: Class, values: &[u64]) -> Vec<u8> {
    let size = memory(class).size();
    values
        .iter()
        .flat_map(|v| v.to_le_bytes()[..size].to_vec())
        .collect()
}

/// Every pair of edge values, padded by repeating.
fn pairs(class: Class) -> [Vec<u64>; 2] {
    let values = edges(class);
    let mut columns = [Vec::new(), Vec::new()];
    for &a in &values {
        for &b in &values {
            columns[0].push(a);
            columns[1].push(b);
        }
    }
    columns.map(|c| padded(&c))
}

fn padded(values: &[u64]) -> Vec<u64> {
    let len = values.len().next_multiple_of(16);
    values.iter().copied().cycle().take(len).collect()
}

/// A function that reads columns of the given classes, applies `op` and writes the result.
fn lanewise(
    full: u32,
    lanes: u32,
    inputs: &[Class],
    output: Class,
    count: usize,
    op: impl Fn(&mut Builder, &[Reg]) -> Reg,
) -> Function {
    let mut b = Builder::new(full);
    let (zero, end) = (b.s_const(0), b.s_const(count as i64));
    b.for_loop(zero, end, i64::from(lanes), |b, i| {
        let address = |b: &mut Builder, n: usize, class: Class| {
            let size = b.s_const(memory(class).size() as i64);
            let (base, offset) = (b.buffer(n as u32), b.s_mul(i, size));
            b.s_add(base, offset)
        };
        let regs: Vec<Reg> = inputs
            .iter()
            .enumerate()
            .map(|(n, &class)| {
                let at = address(b, n, class);
                b.load(memory(class), lanes, at, MemAccess::Contiguous, None)
            })
            .collect();
        let r = op(b, &regs);
        let at = address(b, inputs.len(), output);
        let width = b.shape(r).1;
        let r = if width == lanes { r } else { b.splat_lane(r) };
        b.store(memory(output), at, MemAccess::Contiguous, r, None, false);
    });
    b.finish()
}

fn check_lanewise(
    what: &str,
    inputs: &[Class],
    output: Class,
    columns: &[Vec<u64>],
    op: impl Fn(&mut Builder, &[Reg]) -> Reg,
) {
    for (full, lanes) in WIDTHS
        .into_iter()
        .flat_map(|full| [(full, 1), (full, full)])
    {
        let count = columns[0].len();
        let f = lanewise(full, lanes, inputs, output, count, &op);
        let mut buffers: Vec<Vec<u8>> = inputs
            .iter()
            .zip(columns)
            .map(|(&class, column)| bytes(class, column))
            .collect();
        buffers.push(vec![0xab; count * memory(output).size()]);
        let out = (inputs.len(), memory(output));
        check(
            &format!("{what} at {lanes} of {full} lanes"),
            &f,
            &buffers,
            &[5],
            out,
        );
    }
}
