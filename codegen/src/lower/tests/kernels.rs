//! Kernels as the scheduler writes them, and stranger ones.

use super::{Compiled, check, check_with, contents, lowered_for_16_lanes, ways};
use crate::lower::LowerOptions;
use lazulite_ir::{DType, parse_kernel};

#[test]
fn pointwise() {
    let text =
        "kernel(b0: f32 read, b1: f32 read, b2: f32 write) { outer o0 < n lanes outer stage {
        v0 = load b0[o0] : f32
        v1 = load b1[o0] : f32
        v2 = const f32(0.5) : f32
        v3 = mul v0, v2 : f32
        v4 = add v3, v1 : f32
        v5 = max v4, v2 : f32
        store b2[o0] = v5
    } }";
    for n in [0, 1, 3, 4, 15, 16, 17, 64, 100] {
        check_with(text, &[n, n, n], &[("n", n as i64)]);
    }
    for n in [3, 8, 16, 48, 50] {
        let len = n as usize;
        check_with(&text.replace("< n", &format!("< {n}")), &[len; 3], &[]);
    }
}

#[test]
fn broadcast_transpose_reverse_and_stride() {
    let text = "kernel(b0: f32 read, b1: f32 read, b2: f32 read, b3: f32 write) {
        outer o0 < 5, o1 < n lanes outer stage {
        v0 = load b0[o0] : f32
        v1 = load b1[o1*5 + o0] : f32
        v2 = load b2[-o1 + n - 1] : f32
        v3 = load b2[o1*3 + 2] : f32
        v4 = add v0, v1 : f32
        v5 = mul v2, v3 : f32
        v6 = add v4, v5 : f32
        store b3[o0*n + o1] = v6
    } }";
    for n in [1usize, 4, 7, 21] {
        check_with(text, &[5, 5 * n, 3 * n, 5 * n], &[("n", n as i64)]);
    }
}

#[test]
fn reductions() {
    for (kind, dtype) in [
        ("sum", "f32"),
        ("max", "f32"),
        ("min", "f64"),
        ("prod", "f64"),
        ("sum", "i8"),
        ("sum", "u16"),
        ("prod", "i32"),
        ("max", "u8"),
        ("min", "i64"),
        ("max", "u64"),
        ("sum", "bool"),
        ("prod", "bool"),
        ("max", "bool"),
        ("sum", "u64"),
        ("min", "u32"),
    ] {
        let text = format!(
            "kernel(b0: {dtype} read, b1: {dtype} write) {{ outer o0 < 3 lanes inner
            stage i0 < n {{
                v0 = load b0[o0*n + i0] : {dtype}
                v1 = accumulate {kind} v0 : {dtype}
            }}
            stage {{ store b1[o0] = v1 }} }}"
        );
        for n in [0usize, 1, 4, 5, 16, 23, 70] {
            check_with(&text, &[3 * n, 3], &[("n", n as i64)]);
        }
    }
}

/// Added up one by one in f32, 2^24 and any number of ones are 2^24.
#[test]
fn long_sums_are_sums_of_blocks() {
    let whole = |extent: &str, lanes: &str, strides: [&str; 2]| {
        let [outer, inner] = strides;
        format!(
            "kernel(b0: f32 read, b1: f32 write) {{ outer o0 < 3 lanes {lanes}
            stage i0 < {extent} {{
                v0 = load b0[o0*{outer} + i0*{inner}] : f32
                v1 = accumulate sum v0 : f32
            }}
            stage {{ store b1[o0] = v1 }} }}"
        )
    };
    let nested = "kernel(b0: f32 read, b1: f32 write) { outer o0 < 3 lanes inner
        stage i0 < n, i1 < 7 {
            v0 = load b0[o0*7*n + i0*7 + i1] : f32
            v1 = accumulate sum v0 : f32
        }
        stage { store b1[o0] = v1 } }";
    let places = 70_000usize;
    let mut numbers = vec![1f32; 3 * places];
    (0..3).for_each(|row| numbers[row * places] = 16_777_216.0);
    let columns: Vec<f32> = (0..3 * places)
        .map(|i| numbers[i % 3 * places + i / 3])
        .collect();
    let texts = [
        (whole("n", "inner", ["n", "1"]), &numbers, places),
        (whole("70000", "inner", ["70000", "1"]), &numbers, places),
        (whole("n", "outer", ["1", "3"]), &columns, places),
        (whole("70000", "outer", ["1", "3"]), &columns, places),
        (nested.to_string(), &numbers, places / 7),
    ];
    for (text, numbers, n) in &texts {
        let kernel = parse_kernel(text).unwrap();
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_ne_bytes()).collect();
        for (kernel, level, options) in ways(&kernel) {
            let compiled = Compiled::new(&kernel, level, options);
            let buffers = [bytes.clone(), vec![0; 12]];
            let found = compiled.run(&buffers, &[("n", *n as i64)], None);
            let sums = super::numbers(DType::F32, &found.buffers[1]);
            let exact = 16_777_216.0 + (places - 1) as f64;
            let near = sums.iter().all(|sum| (sum - exact).abs() <= 4200.0);
            assert!(
                near,
                "{sums:?}, not {exact}: {level:?}, {options:?}\n{kernel}"
            );
        }
    }
}

#[test]
fn reduction_of_a_value_that_does_not_vary() {
    let text = "kernel(b0: i32 read, b1: i32 write) { outer o0 < 6 lanes inner
        stage i0 < 3, i1 < n {
            v0 = load b0[o0] : i32
            v1 = accumulate sum v0 : i32
        }
        stage { store b1[o0] = v1 } }";
    for n in [0i64, 1, 7, 8] {
        check_with(text, &[6, 6], &[("n", n)]);
    }
}

/// Nothing is read where a stage does not run.
#[test]
fn loads_stay_in_stages_that_do_not_run() {
    let text = "kernel(b0: f32 read, b1: f32 read, b2: f32 write) { outer o0 < 4 lanes inner
        stage i0 < n {
            v0 = load b0[o0] : f32
            v1 = load b1[i0] : f32
            v2 = mul v0, v1 : f32
            v3 = accumulate sum v2 : f32
        }
        stage { store b2[o0] = v3 } }";
    check_with(text, &[0, 0, 4], &[("n", 0)]);
    check_with(text, &[4, 9, 4], &[("n", 9)]);
}

#[test]
fn reduce_over_the_first_axis_and_both() {
    let text = "kernel(b0: f32 read, b1: f32 write, b2: f32 write) { outer o0 < n lanes outer
        stage i0 < 2, i1 < 9 {
            v0 = load b0[i0*9*n + i1*n + o0] : f32
            v1 = accumulate sum v0 : f32
            v2 = accumulate max v0 : f32
        }
        stage { 
            store b1[o0] = v1
            store b2[o0] = v2
        } }";
    for n in [1usize, 5, 16, 37] {
        check_with(text, &[18 * n, n, n], &[("n", n as i64)]);
    }
}

#[test]
fn mean_and_variance_in_one_row_kernel() {
    let text = "kernel(b0: f32 read, b1: f32 write) { outer o0 < 4 lanes inner
        local l0: f32[n]
        stage i0 < n {
            v0 = load b0[o0*n + i0] : f32
            v1 = accumulate sum v0 : f32
        }
        stage {
            v2 = const f32(0.0625) : f32
            v3 = mul v1, v2 : f32
            v4 = neg v3 : f32
        }
        stage i0 < n {
            v5 = load b0[o0*n + i0] : f32
            v6 = add v5, v4 : f32
            store l0[i0] = v6
            v7 = mul v6, v6 : f32
            v8 = accumulate sum v7 : f32
        }
        stage { v9 = sqrt v8 : f32 }
        stage i0 < n {
            v10 = load l0[i0] : f32
            v11 = div v10, v9 : f32
            store b1[o0*n + i0] = v11
        } }";
    for n in [1usize, 6, 16, 33] {
        check_with(text, &[4 * n, 4 * n], &[("n", n as i64)]);
    }
}

#[test]
fn running_sums() {
    let text = "kernel(b0: i16 read, b1: i16 write, b2: i16 write) { outer o0 < 5 lanes outer
        stage i0 < n ordered {
            v0 = load b0[i0*5 + o0] : i16
            v1 = accumulate sum v0 : i16
            store b1[i0*5 + o0] = v1
        }
        stage { store b2[o0] = v1 } }";
    for n in [0usize, 1, 9] {
        check_with(text, &[5 * n, 5 * n, 5], &[("n", n as i64)]);
    }
}

#[test]
fn padding_by_guard() {
    let text =
        "kernel(b0: f32 read, b1: f32 write) { outer o0 < 6, o1 < 2*n + 3 lanes outer stage {
        v0 = in_range 0 <= o1 - 2 < n : bool
        v1 = in_range 0 <= o0 - 1 < 4 : bool
        v2 = and v0, v1 : bool
        v3 = load b0[o0*n + o1 - 2 - n] if v2 : f32
        v4 = const f32(7) : f32
        v5 = select v2, v3, v4 : f32
        store b1[o0*(2*n + 3) + o1] = v5
    } }";
    for n in [0usize, 1, 5, 16, 30] {
        check_with(text, &[4 * n, 6 * (2 * n + 3)], &[("n", n as i64)]);
    }
    let fixed = text
        .replace("2*n + 3", "25")
        .replace("o0*n", "o0*11")
        .replace("- n]", "- 11]")
        .replace("< n :", "< 11 :");
    check_with(&fixed, &[44, 150], &[]);
}

#[test]
fn guards_that_do_not_vary() {
    let text = "kernel(b0: i32 read, b1: bool read, b2: i32 write, b3: i32 readwrite) {
        outer o0 < 4, o1 < n lanes outer stage {
        v0 = load b1[o0] : bool
        v1 = load b0[o0*n + o1] if v0 : i32
        v2 = load b0[o0] if v0 : i32
        v3 = add v1, v2 : i32
        store b2[o0*n + o1] = v3
        store b3[o0*n + o1] = v3 combine sum if v0
    } }";
    for n in [1usize, 5, 19] {
        let lens = [4 * n, 4, 4 * n, 4 * n];
        check_with(text, &lens, &[("n", n as i64)]);
    }
}

#[test]
fn indices_divided_by_sizes_of_zero_are_not_used() {
    let text = "kernel(b0: f32 read, b1: f32 write) { outer o0 < 7 lanes outer stage {
        v0 = in_range 0 <= o0 < n : bool
        v1 = load b0[floordiv(o0, n)*3 + mod(o0, n)] if v0 : f32
        store b1[o0] = v1
    } }";
    for n in [0usize, 2] {
        check_with(text, &[4 * n, 7], &[("n", n as i64)]);
    }
    let scalar = "kernel(b0: f32 read, b1: f32 write) { outer o0 < 7 lanes inner stage i0 < 5 {
        v0 = in_range 0 <= o0 < n : bool
        v1 = load b0[floordiv(o0, n)*3 + mod(o0, n)] if v0 : f32
        store b1[o0*5 + i0] = v1
    } }";
    for n in [0usize, 2] {
        check_with(scalar, &[4 * n, 35], &[("n", n as i64)]);
    }
}

#[test]
fn reshaped_indices() {
    for (inner, sizes) in [("7", vec![]), ("8", vec![]), ("m", vec![("m", 5)])] {
        let text = format!(
            "kernel(b0: f64 read, b1: f64 write) {{ outer o0 < 210 lanes outer stage {{
            v0 = load b0[floordiv(o0, {inner}) + mod(o0, {inner})*300] : f64
            v1 = load b0[mod(floordiv(o0, 3), 11)*2 + 1] : f64
            v2 = add v0, v1 : f64
            store b1[o0] = v2
        }} }}"
        );
        check_with(&text, &[3000, 210], &sizes);
    }
}

#[test]
fn floor_division_of_negative_numbers() {
    let text = "kernel(b0: i64 write, b1: i64 write) { outer o0 < n lanes outer stage {
        v0 = index floordiv(o0 - 20, 6) : i64
        v1 = index mod(o0 - 20, 6) : i64
        store b0[o0] = v0
        store b1[o0] = v1
    } }";
    check_with(text, &[45, 45], &[("n", 45)]);
    check_with(&text.replace("< n", "< 45"), &[45, 45], &[]);
}

#[test]
fn gathers_and_faults() {
    let text =
        "kernel(b0: f32 read, b1: i64 read, b2: f32 write) { outer o0 < n lanes outer stage {
        v0 = load b1[o0] : i64
        v1 = check_index v0 < 20 fault 4 : i64
        v2 = load b0[v1*3 + 1] : f32
        store b2[o0] = v2
    } }";
    for n in [1usize, 6, 40] {
        // Indices lie in -5..18: some are at fault.
        let found = check_with(text, &[60, n, n], &[("n", n as i64)]);
        let index: Vec<u8> = (0..n as i64)
            .flat_map(|i| (i * 7 % 20).to_le_bytes())
            .collect();
        let fine = [contents(DType::F32, 60, 1), index, vec![0; 4 * n]];
        assert!(check(text, &fine, &[("n", n as i64)]).faults.is_empty());
        assert!(n < 40 || !found.faults.is_empty());
    }
}

#[test]
fn scatter_in_order() {
    let text = "kernel(b0: i64 read, b1: f32 read, b2: f32 readwrite) { outer o0 < 3 lanes inner
        stage i0 < n ordered {
            v0 = load b0[i0] : i64
            v1 = check_index v0 < 18 fault 0 : i64
            v2 = load b1[i0*3 + o0] : f32
            store b2[o0*18 + v1] = v2 combine sum
        } }";
    for n in [0usize, 1, 30] {
        let index: Vec<u8> = (0..n as i64)
            .flat_map(|i| (i * i % 18).to_le_bytes())
            .collect();
        let buffers = [
            index,
            contents(DType::F32, 3 * n, 2),
            contents(DType::F32, 54, 3),
        ];
        check(text, &buffers, &[("n", n as i64)]);
    }
}

#[test]
fn scatter_without_collisions() {
    for (dtype, combine) in [
        ("i8", "combine prod"),
        ("f16", "combine sum"),
        ("bool", ""),
        ("f64", "combine max"),
    ] {
        let text = format!("kernel(b0: i64 read, b1: {dtype} read, b2: {dtype} readwrite) {{ outer o0 < 16 lanes outer
            stage {{
                v0 = load b0[o0] : i64
                v1 = load b1[o0] : {dtype}
                store b2[v0] = v1 {combine}
            }} }}");
        let index: Vec<u8> = (0..16i64)
            .flat_map(|i| (i * 5 % 16).to_le_bytes())
            .collect();
        let dtype = DType::from_name(dtype).unwrap();
        let buffers = [index, contents(dtype, 16, 2), contents(dtype, 16, 3)];
        check(&text, &buffers, &[]);
    }
}

/// Locals are private to each point, also when points lie along lanes.
#[test]
fn locals_along_lanes() {
    let text = "kernel(b0: f32 read, b1: f32 write) { outer o0 < n lanes outer
        local l0: f32[6]
        local l1: i32[1]
        stage i0 < 6 { 
            v0 = load b0[o0*6 + i0] : f32
            store l0[-i0 + 5] = v0
        }
        stage { 
            v1 = index o0 : i64
            v2 = cast v1 : i32
            store l1[0] = v2
        }
        stage i0 < 6 {
            v3 = load l0[i0] : f32
            v4 = load l1[0] : i32
            v5 = cast v4 : f32
            v6 = add v3, v5 : f32
            v7 = load l0[mod(i0 + 2, 6)] : f32
            v8 = mul v6, v7 : f32
            store b1[o0*6 + i0] = v8
        } }";
    for n in [1usize, 4, 18, 35] {
        check_with(text, &[6 * n, 6 * n], &[("n", n as i64)]);
    }
}

/// An index into a local that differs from lane to lane.
#[test]
fn locals_gathered() {
    let text = "kernel(b0: i16 read, b1: i16 write) { outer o0 < n lanes outer
        local l0: i16[6]
        stage i0 < 6 { 
            v0 = load b0[o0*6 + i0] : i16
            store l0[i0] = v0
        }
        stage {
            v1 = index mod(o0, 6) : i64
            v2 = load l0[v1] : i16
            v3 = load l0[mod(o0 + 1, 6)] : i16
            v4 = add v2, v3 : i16
            store b1[o0] = v4
        } }";
    for n in [1usize, 4, 18, 35] {
        check_with(text, &[6 * n, n], &[("n", n as i64)]);
    }
}

#[test]
fn sort_of_division_and_its_fault() {
    let text = "kernel(b0: i32 read, b1: i32 read, b2: i32 write, b3: i32 write) { outer o0 < n lanes outer stage {
        v0 = load b0[o0] : i32
        v1 = load b1[o0] : i32
        v2 = check_divisor v1 fault 2 : i32
        v3 = div v0, v2 : i32
        v4 = rem v0, v2 : i32
        store b2[o0] = v3
        store b3[o0] = v4
    } }";
    for n in [1usize, 9, 50] {
        check_with(text, &[n, n, n, n], &[("n", n as i64)]);
    }
}

#[test]
fn random_bits() {
    let text =
        "kernel(b0: u64 read, b1: u32 write, b2: u64 write) { outer o0 < n lanes outer stage {
        v0 = load b0[0] : u64
        v1 = load b0[1] : u64
        v2 = index o0 : i64
        v3 = random v0, v1, v2 : u32
        v4 = random v0, v1, v2 : u64
        store b1[o0] = v3
        store b2[o0] = v4
    } }";
    check_with(text, &[2, 33, 33], &[("n", 33)]);
}

/// Bits of half floats survive being moved, whatever they mean.
#[test]
fn half_floats_move_bit_by_bit() {
    for half in ["f16", "bf16"] {
        let text = format!("kernel(b0: {half} read, b1: bool read, b2: {half} write, b3: {half} write) {{ outer o0 < 4096 lanes outer stage {{
            v0 = load b0[o0*16] : {half}
            v1 = load b0[o0*16 + 3] : {half}
            v2 = load b1[o0] : bool
            v3 = select v2, v0, v1 : {half}
            store b2[o0] = v3
            v4 = bitcast v0 : u16
            v5 = bitcast v4 : {half}
            store b3[o0] = v5
        }} }}");
        let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let buffers = [
            all.clone(),
            contents(DType::Bool, 4096, 5),
            vec![0; 8192],
            vec![0; 8192],
        ];
        let found = check(&text, &buffers, &[]);
        let expected: Vec<u8> = all.chunks(32).flat_map(|c| c[..2].to_vec()).collect();
        assert_eq!(found.buffers[3], expected);
    }
}

#[test]
fn half_floats_are_computed_with() {
    for half in ["f16", "bf16"] {
        let text = format!("kernel(b0: {half} read, b1: {half} read, b2: {half} write, b3: u16 write, b4: f32 write) {{ outer o0 < n lanes outer stage {{
            v0 = load b0[o0] : {half}
            v1 = load b1[o0] : {half}
            v2 = cast v0 : f32
            v3 = cast v1 : f32
            v4 = mul v2, v3 : f32
            v5 = cast v4 : {half}
            store b2[o0] = v5
            v6 = bitcast v5 : u16
            store b3[o0] = v6
            v7 = cast v5 : f32
            v8 = bitcast v6 : {half}
            v9 = cast v8 : f32
            v10 = add v7, v9 : f32
            store b4[o0] = v10
        }} }}");
        check_with(&text, &[70; 5], &[("n", 70)]);
        // All values, and overflow.
        let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let dtype = DType::from_name(half).unwrap();
        let n = 1 << 16;
        let factor = lazulite_ir::Scalar::from_f64(dtype, 1.5).bits() as u16;
        let factors: Vec<u8> = (0..n).flat_map(|_| factor.to_le_bytes()).collect();
        let buffers = [all, factors, vec![0; 2 * n], vec![0; 2 * n], vec![0; 4 * n]];
        let kernel = lazulite_ir::parse_kernel(&text).unwrap();
        let sizes: super::SizeValues<'_> = &[("n", n as i64)];
        let expected = super::interpret(&kernel, &buffers, sizes);
        for level in super::levels() {
            let compiled = super::Compiled::new(&kernel, level, Default::default());
            let found = compiled.run(&buffers, sizes, None);
            for (n, decl) in kernel.buffers.iter().enumerate() {
                let nan = |bytes: &[u8]| match (decl.dtype, half) {
                    (DType::F32, _) => f32::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
                    (_, "f16") => half::f16::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
                    _ => half::bf16::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
                };
                let size = decl.dtype.size();
                for (a, b) in found.buffers[n]
                    .chunks(size)
                    .zip(expected.buffers[n].chunks(size))
                {
                    assert!(
                        a == b || (nan(a) && nan(b)),
                        "{half} buffer {n}: {a:?} {b:?}"
                    );
                }
            }
        }
    }
}

/// All real types.
const TYPES: &[DType] = DType::ALL.split_at(13).0;

/// Numbers at the edges of the types.
const EDGES: &[f64] = &[
    0.0,
    1.0,
    -1.0,
    0.5,
    -1.5,
    127.0,
    128.0,
    255.0,
    256.0,
    -128.0,
    -129.0,
    32767.0,
    32768.0,
    65535.0,
    65536.0,
    2147483647.0,
    2147483648.0,
    -2147483648.0,
    -2147483649.0,
    4294967295.0,
    4294967296.0,
    9.2e18,
    9.3e18,
    1.8e19,
    1.9e19,
    -9.3e18,
    1e30,
    -1e30,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    16777217.0,
    9007199254740993.0,
    1e-42,
    70000.0,
    1.0009765625,
];

/// The number as bytes of an element.
fn element(dtype: DType, x: f64) -> Vec<u8> {
    let bits = lazulite_ir::Scalar::from_f64(dtype, x).bits();
    bits.to_le_bytes()[..dtype.size()].to_vec()
}

/// Every cast between real types, on values at the edges of all of them.
#[test]
fn casts() {
    for &from in TYPES {
        let values: Vec<u8> = EDGES.iter().flat_map(|&x| element(from, x)).collect();
        for &to in TYPES {
            let text = format!(
                "kernel(b0: {from} read, b1: {to} write) {{ outer o0 < {} lanes outer stage {{
                v0 = load b0[o0] : {from}
                v1 = cast v0 : {to}
                store b1[o0] = v1
            }} }}",
                EDGES.len()
            );
            let out = vec![0; EDGES.len() * to.size()];
            check(&text, &[values.clone(), out], &[]);
        }
    }
}

/// Every bitcast between types of a size.
#[test]
fn bitcasts() {
    let types = &TYPES[1..];
    for from in types {
        for to in types.iter().filter(|t| t.size() == from.size()) {
            let text = format!(
                "kernel(b0: {from} read, b1: {to} write) {{ outer o0 < 21 lanes outer stage {{
                v0 = load b0[o0] : {from}
                v1 = bitcast v0 : {to}
                store b1[o0] = v1
            }} }}"
            );
            check_with(&text, &[21, 21], &[]);
        }
    }
}

/// Integer and boolean functions on every type that has them.
#[test]
fn functions_of_integers() {
    let types = ["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "bool"];
    let binary = [
        "add", "mul", "max", "min", "pow", "and", "or", "xor", "shl", "shr",
    ];
    for ty in types {
        let functions = binary
            .iter()
            .filter(|f| ty != "bool" || !["pow", "shl", "shr"].contains(f));
        for f in functions {
            let text = format!("kernel(b0: {ty} read, b1: {ty} read, b2: {ty} write) {{ outer o0 < 57 lanes outer stage {{
                v0 = load b0[o0] : {ty}
                v1 = load b1[o0] : {ty}
                v2 = {f} v0, v1 : {ty}
                store b2[o0] = v2
            }} }}");
            check_with(&text, &[57; 3], &[]);
        }
        for f in ["neg", "abs"].iter().filter(|_| ty != "bool") {
            let text = format!(
                "kernel(b0: {ty} read, b1: {ty} write) {{ outer o0 < 57 lanes outer stage {{
                v0 = load b0[o0] : {ty}
                v1 = {f} v0 : {ty}
                store b1[o0] = v1
            }} }}"
            );
            check_with(&text, &[57; 2], &[]);
        }
    }
    for ty in types.into_iter().chain(["f32", "f64"]) {
        for f in ["lt", "le", "eq", "ne"] {
            let text = format!("kernel(b0: {ty} read, b1: {ty} read, b2: bool write) {{ outer o0 < 57 lanes outer stage {{
                v0 = load b0[o0] : {ty}
                v1 = load b1[o0] : {ty}
                v2 = {f} v0, v1 : bool
                store b2[o0] = v2
            }} }}");
            check_with(&text, &[57; 3], &[]);
        }
    }
}

#[test]
fn no_outer_ranges() {
    let text = "kernel(b0: f32 read, b1: f32 write) { lanes inner
        stage i0 < n {
            v0 = load b0[i0] : f32
            v1 = accumulate max v0 : f32
        }
        stage { store b1[0] = v1 } }";
    for n in [0usize, 1, 50] {
        check_with(text, &[n, 1], &[("n", n as i64)]);
    }
}

/// Functions of floats, at every width.
#[test]
fn functions_of_floats() {
    use lazulite_ir::{Binary, Unary};
    for ty in ["f32", "f64"] {
        for f in Unary::ALL {
            let text = format!(
                "kernel(b0: {ty} read, b1: {ty} write) {{ outer o0 < 37 lanes outer stage {{
                v0 = load b0[o0] : {ty}
                v1 = {f} v0 : {ty}
                store b1[o0] = v1
                }} }}"
            );
            check_with(&text, &[37; 2], &[]);
        }
        use Binary::{Add, Div, Max, Min, Mul, Pow, Rem};
        for f in [Add, Mul, Div, Rem, Max, Min, Pow] {
            let text = format!(
                "kernel(b0: {ty} read, b1: {ty} read, b2: {ty} write) {{ outer o0 < 37 lanes outer stage {{
                v0 = load b0[o0] : {ty}
                v1 = load b1[o0] : {ty}
                v2 = {f} v0, v1 : {ty}
                store b2[o0] = v2
                }} }}"
            );
            check_with(&text, &[37; 3], &[]);
        }
    }
}

#[test]
fn sizes_that_vectors_divide_leave_indices_linear() {
    // Rows and columns of the result change places, as behind the product of a convolution; 48 fits one vector of 16 lanes,
    // 64 four of them, and 40 none.
    for (size, all, is_linear) in [(48, 144, true), (64, 256, true), (40, 120, false)] {
        let text = format!(
            "kernel(b0: f32 read, b1: f32 write) {{ outer o0 < 5, o1 < {all} lanes outer stage {{
            v0 = load b0[o0*{all} + o1] : f32
            store b1[floordiv(o1, {size})*{block} + o0*{size} + mod(o1, {size})] = v0
            }} }}",
            block = 5 * size,
        );
        check_with(&text, &[5 * all, 5 * all], &[]);
        let lowered = lowered_for_16_lanes(&text, LowerOptions::default());
        let function = lowered.function.to_string();
        assert_eq!(!function.contains(" at "), is_linear, "{function}");
    }
}

#[test]
fn sums_of_two_indices_that_step_do_not_step_by_one() {
    for index in [
        "floordiv(o0 + mod(o0, 64), 16)",
        "mod(o0 + mod(o0, 64), 128)",
    ] {
        let text = format!(
            "kernel(b0: f32 read, b1: f32 write) {{ outer o0 < 256 lanes outer stage {{
            v0 = load b0[{index}] : f32
            store b1[o0] = v0
            }} }}"
        );
        check_with(&text, &[256, 256], &[]);
    }
}

#[test]
fn stores_at_computed_places_do_not_bypass_caches() {
    let text = "kernel(b0: i64 read, b1: f32 write) { outer o0 < 64 lanes outer stage {
        v0 = load b0[o0] : i64
        v1 = const f32(1.5) : f32
        store b1[v0*16 + o0] = v1
        } }";
    let places: Vec<u8> = (0..64i64).flat_map(|i| (i % 3).to_le_bytes()).collect();
    check(text, &[places, vec![0; 4 * 96]], &[]);
}

#[test]
fn results_beyond_the_caches_bypass_them() {
    let kernel = |elements: usize, at: &str| {
        format!(
            "kernel(b0: f32 read, b1: f32 write) {{ outer o0 < {elements} lanes outer stage {{
            v0 = load b0[o0] : f32
            v1 = mul v0, v0 : f32
            store b1[{at}] = v1
            }} }}"
        )
    };
    check_with(&kernel(333, "o0"), &[333, 333], &[]);
    let streams = |text: String, large_from| {
        let options = LowerOptions {
            large_from,
            ..LowerOptions::default()
        };
        lowered_for_16_lanes(&text, options)
            .function
            .to_string()
            .contains("non-temporal")
    };
    assert!(streams(kernel(10_000_000, "o0"), None));
    assert!(!streams(kernel(1_000_000, "o0"), None));
    assert!(streams(kernel(1_000, "o0"), Some(8_000)));
    assert!(!streams(kernel(1_000, "o0"), Some(8_001)));
    // Never where vectors are no multiples of their size apart.
    assert!(!streams(kernel(1_000, "o0 + 8"), Some(0)));
    assert!(!streams(kernel(1_000, "o0*2"), Some(0)));
}
