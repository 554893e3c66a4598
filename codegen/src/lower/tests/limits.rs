//! Maxima and minima of which one operand is a known number.

use super::{Compiled, interpret, lowered_for_16_lanes, ways};
use crate::lower::LowerOptions;
use lazulite_ir::parse_kernel;

fn text(f: &str, number: &str, operands: &str) -> String {
    format!(
        "kernel(b0: f32 read, b1: f32 write) {{ outer o0 < 64 lanes outer stage {{
           v0 = load b0[o0] : f32
           v1 = const f32({number}) : f32
           v2 = {f} {operands} : f32
           store b1[o0] = v2 }} }}"
    )
}

/// Numbers as bits, all that are none as the same.
fn numbers(bytes: &[u8]) -> Vec<Option<u32>> {
    let (chunks, _) = bytes.as_chunks();
    let numbers = chunks.iter().map(|b| f32::from_le_bytes(*b));
    numbers
        .map(|x| (!x.is_nan()).then(|| x.to_bits()))
        .collect()
}

#[test]
fn zeros_and_nan_come_out_as_the_order_of_operands_says() {
    let inputs = [0.0, 0.5, 1.0, 1e-40, f32::INFINITY, f32::NAN];
    let inputs = inputs.into_iter().flat_map(|x| [x, -x]).cycle().take(64);
    let input: Vec<u8> = inputs.flat_map(f32::to_le_bytes).collect();
    let buffers = [input, vec![0; 64 * 4]];
    for f in ["max", "min"] {
        for number in ["0.0", "-0.0", "0.5", "-0.5", "inf", "nan"] {
            for operands in ["v0, v1", "v1, v0"] {
                let kernel = parse_kernel(&text(f, number, operands)).unwrap();
                let expected = numbers(&interpret(&kernel, &buffers, &[]).buffers[1]);
                for (kernel, level, options) in ways(&kernel) {
                    let compiled = Compiled::new(&kernel, level, options);
                    let found = numbers(&compiled.run(&buffers, &[], None).buffers[1]);
                    assert_eq!(found, expected, "{level:?}, {options:?}\n{kernel}");
                }
            }
        }
    }
}

#[test]
fn a_rectifier_is_one_operation() {
    let text = text("max", "0.0", "v1, v0");
    let lowered = lowered_for_16_lanes(&text, LowerOptions::default());
    let function = lowered.function.to_string();
    assert!(function.contains(" max "), "{function}");
    for other in ["maxnan", " add ", " le ", " lt ", "select"] {
        assert!(!function.contains(other), "{other}: {function}");
    }
}
