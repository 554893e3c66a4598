//! Loads and stores of every element type, in every placement and under masks; control flow and
//! faults.

use super::{WIDTHS, backends, check, execute, interpret, wide};
use crate::disassemble::disassemble;
use crate::vector::{Bin, Builder, Class, Cmp, Conv, Function, MemAccess, Reg, Scalar};
use lazulite_ir::DType;

const ELEMENTS: [DType; 13] = [
    DType::Bool,
    DType::U8,
    DType::U16,
    DType::U32,
    DType::U64,
    DType::I8,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::F16,
    DType::BF16,
    DType::F32,
    DType::F64,
];

#[derive(Clone, Copy, PartialEq, Debug)]
enum Placement {
    Contiguous,
    Broadcast,
    /// Elements apart, known while compiling or not.
    Strided(i64, bool),
    Indexed,
}

const PLACEMENTS: [Placement; 6] = [
    Placement::Contiguous,
    Placement::Broadcast,
    Placement::Strided(3, true),
    Placement::Strided(-2, true),
    Placement::Strided(2, false),
    Placement::Indexed,
];

/// Where the first lane lies, so that all placements stay inside.
const FIRST: i64 = 36;
const LEN: usize = 96;

/// The bytes of `LEN` elements, among them every kind of number; all values of f16 and bf16 are
/// tested elsewhere.
fn elements(dtype: DType, seed: u64) -> Vec<u8> {
    let mut state = seed;
    (0..LEN * dtype.size())
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let byte = (state >> 33) as u8;
            if dtype == DType::Bool { byte & 1 } else { byte }
        })
        .collect()
}

/// Address and access for a placement in buffer `n`; indices lie in buffer 2.
fn place(b: &mut Builder, n: u32, lanes: u32, dtype: DType, p: Placement) -> (Scalar, MemAccess) {
    let size = dtype.size() as i64;
    let base = b.buffer(n);
    let offset = b.s_const(if p == Placement::Indexed {
        0
    } else {
        FIRST * size
    });
    let address = b.s_add(base, offset);
    let access = match p {
        Placement::Contiguous => MemAccess::Contiguous,
        Placement::Broadcast => MemAccess::Broadcast,
        Placement::Strided(stride, true) => MemAccess::Strided(b.s_const(stride * size)),
        Placement::Strided(stride, false) => {
            let (half, bytes) = (b.size(0), b.s_const(stride / 2 * size));
            MemAccess::Strided(b.s_mul(half, bytes))
        }
        Placement::Indexed => {
            let indices = b.buffer(2);
            let index = b.load(DType::I64, lanes, indices, MemAccess::Contiguous, None);
            MemAccess::Indexed(index)
        }
    };
    (address, access)
}

/// Reads in one placement and writes in another, both under masks from buffer 3.
fn transfer(
    [full, lanes]: [u32; 2],
    dtype: DType,
    [from, to]: [Placement; 2],
    masked: bool,
) -> Function {
    let mut b = Builder::new(full);
    let masks = b.buffer(3);
    let mask = |b: &mut Builder, at: i64| {
        let offset = b.s_const(at);
        let address = b.s_add(masks, offset);
        masked.then(|| b.load(DType::Bool, lanes, address, MemAccess::Contiguous, None))
    };
    let (address, access) = place(&mut b, 0, lanes, dtype, from);
    let read = mask(&mut b, 0);
    let value = b.load(dtype, lanes, address, access, read);
    let (address, access) = place(&mut b, 1, lanes, dtype, to);
    let written = mask(&mut b, 16);
    b.store(dtype, address, access, value, written, false);
    b.finish()
}

#[test]
fn transfers() {
    for dtype in ELEMENTS {
        for from in PLACEMENTS {
            for to in PLACEMENTS {
                if to == Placement::Broadcast {
                    continue;
                }
                for full in WIDTHS {
                    transfers_of(full, dtype, [from, to]);
                }
            }
        }
    }
}

/// One transfer, by one lane and by all, under several masks.
fn transfers_of(full: u32, dtype: DType, [from, to]: [Placement; 2]) {
    let some = |pattern: u32| -> Vec<u8> { (0..32).map(|i| (pattern >> i & 1) as u8).collect() };
    for (lanes, masks) in [
        (full, None),
        (1, None),
        (full, Some(some(0b0110_1011_0010_1101_1101_0010_0110_1101))),
        (full, Some(some(u32::MAX))),
        (full, Some(some(0))),
        (1, Some(some(1))),
        (1, Some(some(1 << 16))),
        (1, Some(some(1 | 1 << 16))),
    ] {
        let f = transfer([full, lanes], dtype, [from, to], masks.is_some());
        let indices = [21i64, 3, 30, 9, 50, 95, 0, 2, 77, 78, 44, 1, 90, 66, 12, 13];
        let buffers = [
            elements(dtype, 1),
            elements(dtype, 2),
            indices.iter().flat_map(|i| i.to_le_bytes()).collect(),
            masks.clone().unwrap_or(vec![0; 32]),
        ];
        let what = format!("{dtype} {from:?} to {to:?}, {lanes} of {full} lanes, {masks:?}");
        check(&what, &f, &buffers, &[2], (1, dtype));
    }
}

/// Copies `count` elements of `from` to `to`, converting by way of the register class.
fn convert_all(full: u32, from: DType, to: DType, count: usize) -> Function {
    let mut b = Builder::new(full);
    let (zero, end) = (b.s_const(0), b.s_const(count as i64));
    b.for_loop(zero, end, i64::from(full), |b, i| {
        let [x, y] = [(0, from), (1, to)].map(|(n, dtype)| {
            let size = b.s_const(dtype.size() as i64);
            let (base, offset) = (b.buffer(n), b.s_mul(i, size));
            b.s_add(base, offset)
        });
        let value = b.load(from, full, x, MemAccess::Contiguous, None);
        b.store(to, y, MemAccess::Contiguous, value, None, false);
    });
    b.finish()
}

#[test]
fn every_half_float_widens() {
    for half in [DType::F16, DType::BF16] {
        let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        for full in WIDTHS {
            let f = convert_all(full, half, DType::F32, 1 << 16);
            let buffers = [all.clone(), vec![0; 4 << 16]];
            check(&format!("{half}"), &f, &buffers, &[], (1, DType::F32));
        }
    }
}

#[test]
fn half_floats_round_to_nearest_even() {
    for half in [DType::F16, DType::BF16] {
        // Around every representable number and every tie, and anything at all.
        let mut values: Vec<u32> = (0..=u16::MAX)
            .flat_map(|h| {
                let bits = match half {
                    DType::F16 => half::f16::from_bits(h).to_f32().to_bits(),
                    _ => u32::from(h) << 16,
                };
                let tie = match half {
                    DType::F16 => bits ^ 0x1000,
                    _ => bits ^ 0x8000,
                };
                [bits, tie, tie.wrapping_add(1), tie.wrapping_sub(1)]
            })
            .collect();
        values.extend((0..1 << 16).map(|i: u32| i.wrapping_mul(2654435761)));
        let input: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        for full in WIDTHS {
            let f = convert_all(full, DType::F32, half, values.len());
            let buffers = [input.clone(), vec![0; 2 * values.len()]];
            check(&format!("{half}"), &f, &buffers, &[], (1, half));
        }
    }
}

/// Sums over nested loops with remainders, into variables of every class.
fn sums(full: u32) -> Function {
    let mut b = Builder::new(full);
    let classes = [Class::F32, Class::F64, Class::I32, Class::I64, Class::Mask];
    let vars = classes.map(|class| {
        let var = b.var(class, full);
        let start = b.const_bits(class, full, 0);
        b.set(var, start);
        var
    });
    let (rows, columns, zero) = (b.size(0), b.size(1), b.s_const(0));
    b.for_loop(zero, rows, 1, |b, i| {
        let (after, ()) = b.for_loop(zero, columns, i64::from(full), |b, j| {
            let product = b.s_mul(i, j);
            let ramp = b.ramp(Class::I64, full, product, 3);
            let ints = b.convert(Conv::Int, Class::I32, ramp);
            let float = b.convert(Conv::FromInt, Class::F32, ints);
            let double = b.convert(Conv::FromInt, Class::F64, ramp);
            let five = b.int_like(ints, 5);
            let mask = b.eq(ints, five);
            for (var, value) in vars.into_iter().zip([float, double, ints, ramp, mask]) {
                let op = if b.class(value) == Class::Mask {
                    Bin::Xor
                } else {
                    Bin::Add
                };
                let old = b.get(var);
                let new = b.binary(op, old, value);
                b.set(var, new);
            }
        });
        // The rest, one at a time, on odd rows.
        let two = b.s_const(2);
        let odd = b.s_mod(i, two);
        b.if_nonzero(odd, |b| {
            b.for_loop(after, columns, 1, |b, j| {
                let x = b.splat(Class::I64, full, j);
                let old = b.get(vars[3]);
                let new = b.add(old, x);
                b.set(vars[3], new);
            });
        });
        let last = b.get(vars[4]);
        b.if_any(last, |b| {
            let old = b.get(vars[2]);
            let one = b.int_like(old, 1);
            let new = b.sub(old, one);
            b.set(vars[2], new);
        });
    });
    let out = b.buffer(0);
    let memory = [DType::F32, DType::F64, DType::I32, DType::I64, DType::Bool];
    for (n, (var, dtype)) in vars.into_iter().zip(memory).enumerate() {
        let value = b.get(var);
        let offset = b.s_const(128 * n as i64);
        let address = b.s_add(out, offset);
        b.store(dtype, address, MemAccess::Contiguous, value, None, false);
    }
    b.finish()
}

#[test]
fn loops_variables_and_conditions() {
    for full in WIDTHS {
        let f = sums(full);
        for sizes in [
            [0, 9],
            [1, 3],
            [1, 4],
            [3, 13],
            [6, 0],
            [5, 8],
            [3, 16],
            [5, 50],
        ] {
            let what = format!("{sizes:?} at {full} lanes");
            check(&what, &f, &[vec![0; 640]], &sizes, (0, DType::U8));
        }
    }
}

/// Scalar arithmetic with known and unknown operands, negative ones too.
#[test]
fn scalar_arithmetic() {
    type Op = fn(&mut Builder, Scalar, Scalar) -> Scalar;
    let ops: [Op; 8] = [
        Builder::s_add,
        Builder::s_sub,
        Builder::s_mul,
        Builder::s_floor_div,
        Builder::s_mod,
        Builder::s_min,
        Builder::s_max,
        Builder::s_less,
    ];
    let divisors = [None, Some(1i64), Some(8), Some(7)];
    for (full, known) in WIDTHS
        .into_iter()
        .flat_map(|full| divisors.map(|k| (full, k)))
    {
        let mut b = Builder::new(full);
        let out = b.buffer(0);
        for (n, op) in ops.iter().enumerate() {
            let (x, y) = (b.size(0), b.size(1));
            let y = known.map_or(y, |k| b.s_const(k));
            let r = op(&mut b, x, y);
            let offset = b.s_const(8 * n as i64);
            let address = b.s_add(out, offset);
            let value = b.splat(Class::I64, 1, r);
            b.store(
                DType::I64,
                address,
                MemAccess::Contiguous,
                value,
                None,
                false,
            );
        }
        let f = b.finish();
        for sizes in [
            [0, 5],
            [-1, 3],
            [17, 5],
            [-17, 5],
            [i64::MIN, 3],
            [40, 8],
            [-40, 8],
        ] {
            check(
                &format!("{sizes:?}"),
                &f,
                &[vec![0; 64]],
                &sizes,
                (0, DType::I64),
            );
        }
    }
}

fn faulty(full: u32, lanes: u32) -> Function {
    let mut b = Builder::new(full);
    let (at, masks, bound) = (b.buffer(0), b.buffer(1), b.s_const(77));
    let value: Reg = b.load(DType::I64, lanes, at, MemAccess::Contiguous, None);
    for fault in [3, 9] {
        let mask = b.load(DType::Bool, lanes, masks, MemAccess::Contiguous, None);
        b.fault(mask, fault, value, bound);
    }
    b.finish()
}

#[test]
fn the_first_fault_stays() {
    let values: Vec<u8> = (0..16i64)
        .flat_map(|v| (11 - 23 * v).to_le_bytes())
        .collect();
    let masks = [0, 0b1100, 0xffff, 0b10, 1 << 11, 0x8000, 0xff00];
    for full in WIDTHS {
        for (lanes, mask) in masks.into_iter().flat_map(|m| [(1, m), (full, m)]) {
            let f = faulty(full, lanes);
            let mask: Vec<u8> = (0..16).map(|i| (mask >> i & 1) as u8).collect();
            let what = format!("{lanes} of {full} lanes, {mask:?}");
            let buffers = [values.clone(), mask];
            check(&what, &f, &buffers, &[], (0, DType::I64));
        }
    }
}

#[test]
fn the_box_is_read() {
    for &backend in backends() {
        let mut b = Builder::new(backend.caps().lanes());
        let out = b.buffer(0);
        for n in 0..2 {
            let (from, to) = (b.box_from(n), b.box_to(n));
            let length = b.s_sub(to, from);
            let offset = b.s_const(8 * i64::from(n));
            let address = b.s_add(out, offset);
            let value = b.splat(Class::I64, 1, length);
            b.store(
                DType::I64,
                address,
                MemAccess::Contiguous,
                value,
                None,
                false,
            );
        }
        let f = b.finish();
        let bounds = [(3, 10), (5, 25)];
        let expected = interpret(&f, &[vec![0; 16]], &[], &bounds);
        let found = execute(backend, &f, &[vec![0; 16]], &[], &bounds);
        assert_eq!(found, expected, "{}", backend.name());
    }
}

/// Pool data is found, next to what the backend puts there itself.
#[test]
fn pool_data_is_addressed() {
    for full in WIDTHS {
        let mut b = Builder::new(full);
        let data: Vec<u8> = (0..full)
            .flat_map(|i| (1.5 - i as f32).to_le_bytes())
            .collect();
        let (pool, out) = (b.pool(&data), b.buffer(0));
        let value = b.load(DType::F32, full, pool, MemAccess::Contiguous, None);
        let third = b.splat_f32(1.0 / 3.0);
        let r = b.fma(value, third, third);
        b.store(DType::F32, out, MemAccess::Contiguous, r, None, false);
        let f = b.finish();
        check("pool", &f, &[vec![0; 64]], &[], (0, DType::F32));
    }
}

/// Instructions that take an operand from memory must bear wherever that is.
#[test]
fn operands_of_comparisons_need_no_alignment() {
    for dtype in [DType::F32, DType::F64] {
        for (full, f) in WIDTHS
            .into_iter()
            .flat_map(|w| [Cmp::Eq, Cmp::Ne, Cmp::Lt, Cmp::Le].map(|f| (w, f)))
        {
            let mut b = Builder::new(full);
            let place = |b: &mut Builder, n| {
                let (base, offset) = (b.buffer(n), b.s_const(dtype.size() as i64));
                b.s_add(base, offset)
            };
            let [x, y] = [0, 1].map(|n| {
                let address = place(&mut b, n);
                b.load(dtype, full, address, MemAccess::Contiguous, None)
            });
            let chosen = b.compare(f, x, y);
            let larger = b.binary(Bin::Max, x, y);
            let (x, to) = (b.select(chosen, x, larger), place(&mut b, 2));
            b.store(dtype, to, MemAccess::Contiguous, x, None, false);
            let buffers: Vec<Vec<u8>> = (1..4).map(|seed| elements(dtype, seed)).collect();
            check("unaligned", &b.finish(), &buffers, &[], (2, dtype));
        }
    }
}

/// A frame of several pages is entered a page at a time, so that a stack that is too small is noticed.
#[test]
fn frames_larger_than_a_page_are_touched_page_by_page() {
    const VALUES: i64 = 250;
    for full in WIDTHS {
        let mut b = Builder::new(full);
        let (from, to) = (b.buffer(0), b.buffer(1));
        let size = b.s_const(4 * i64::from(full));
        let at = |b: &mut Builder, base: Scalar, n: i64| {
            let n = b.s_const(n);
            let offset = b.s_mul(n, size);
            b.s_add(base, offset)
        };
        // All are read before the first is written, and needed in turn once more.
        let mut values = Vec::new();
        for n in 0..VALUES {
            let address = at(&mut b, from, n);
            let value = b.load(DType::F32, full, address, MemAccess::Contiguous, None);
            values.push(value);
        }
        for n in 0..VALUES {
            let (a, c) = (values[n as usize], values[(VALUES - 1 - n) as usize]);
            let sum = b.fma(a, c, a);
            let address = at(&mut b, to, n);
            b.store(DType::F32, address, MemAccess::Contiguous, sum, None, false);
        }
        let f = b.finish();
        let input = (0..VALUES * i64::from(full)).flat_map(|i| (i as f32).to_le_bytes());
        let input: Vec<u8> = input.collect();
        let output = vec![0; input.len()];
        check("frame", &f, &[input, output], &[], (1, DType::F32));
        for backend in wide().filter(|b| b.caps().lanes() == full) {
            let artifact = backend.emit(&f).unwrap().link().unwrap();
            let code = disassemble(&artifact);
            let down = { code.instructions.iter() }
                .filter_map(|i| i.text.strip_prefix("sub")?.trim().strip_prefix("rsp, "));
            let down: Vec<&str> = down.collect();
            assert!(matches!(down[..], ["0x1000", _]), "{down:?}\n{code}");
        }
    }
}
