//! Division of all lanes by one number.

use super::{Compiled, check, lowered_for_16_lanes, numbers, ways};
use crate::lower::LowerOptions;
use lazulite_ir::{DType, parse_kernel};

/// By numbers whose reciprocals are numbers or not, and of numbers and what is none: to the bit but for the last one.
#[test]
fn all_lanes_are_divided_by_one_number() {
    for (dtype, divisors) in [
        (
            DType::F32,
            [3.0, 0.1, 1e38, -7.0, 0.0, 1e-45, f64::INFINITY],
        ),
        (
            DType::F64,
            [3.0, 0.1, 9e307, -7.0, 0.0, 5e-324, f64::INFINITY],
        ),
    ] {
        let divided = [
            1.0,
            -2.5,
            0.0,
            -0.0,
            7e-39,
            1e-45,
            3e38,
            -3e38,
            f64::INFINITY,
            f64::NAN,
            0.3,
            6.1,
        ];
        let text = format!(
            "kernel(b0: {dtype} read, b1: {dtype} read, b2: {dtype} write) {{ outer o0 < 7, o1 < 52 lanes outer
            stage {{
                v0 = load b0[o1] : {dtype}
                v1 = load b1[o0] : {dtype}
                v2 = div v0, v1 : {dtype}
                store b2[o0*52 + o1] = v2
            }} }}"
        );
        let is_by_reciprocal = |text: &str| {
            let lowered = lowered_for_16_lanes(text, LowerOptions::default());
            lowered.function.to_string().contains("fma")
        };
        assert!(is_by_reciprocal(&text));
        // Where each vector has a divisor of its own, its reciprocal is not worth having.
        assert!(!is_by_reciprocal(
            &text.replace("b1[o0]", "b1[o0 + floordiv(o1, 64)]")
        ));
        let bytes = |values: &mut dyn Iterator<Item = f64>| -> Vec<u8> {
            let each = values.map(|v| lazulite_ir::Scalar::from_f64(dtype, v).bits());
            each.flat_map(|bits| bits.to_le_bytes()[..dtype.size()].to_vec())
                .collect()
        };
        let all = bytes(&mut divided.into_iter().cycle().take(52));
        let by = bytes(&mut divisors.into_iter());
        let buffers = [all, by, vec![0; 7 * 52 * dtype.size()]];
        let expected = check(&text, &buffers, &[]).buffers.remove(2);
        let kernel = parse_kernel(&text).unwrap();
        for (kernel, level, options) in ways(&kernel) {
            let found = Compiled::new(&kernel, level, options).run(&buffers, &[], None);
            let pairs = found.buffers[2]
                .chunks(dtype.size())
                .zip(expected.chunks(dtype.size()));
            for (a, b) in pairs {
                let bits = |bytes: &[u8]| {
                    let mut bits = [0; 8];
                    bits[..bytes.len()].copy_from_slice(bytes);
                    u64::from_le_bytes(bits)
                };
                let value = |bytes| numbers(dtype, bytes)[0];
                let same = bits(a).abs_diff(bits(b)) <= 1 || value(a).is_nan() && value(b).is_nan();
                let (a, b) = (value(a), value(b));
                assert!(
                    same,
                    "{a:e} instead of {b:e}: {level:?}, {options:?}\n{kernel}"
                );
            }
        }
    }
}
