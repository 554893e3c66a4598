//! Maxima and minima of which one operand is a known number.

use super::{check_with, lowered_for_16_lanes};
use crate::lower::LowerOptions;

fn text(ty: &str, f: &str, number: &str, operands: &str) -> String {
    format!(
        "kernel(b0: {ty} read, b1: {ty} write) {{ outer o0 < 64 lanes outer stage {{
           v0 = load b0[o0] : {ty}
           v1 = const {ty}({number}) : {ty}
           v2 = {f} {operands} : {ty}
           store b1[o0] = v2 }} }}"
    )
}

#[test]
fn zeros_and_nan_come_out_as_the_order_of_operands_says() {
    for ty in ["f32", "f64"] {
        for f in ["max", "min"] {
            for number in ["0.0", "-0.0", "0.5", "-0.5", "inf", "nan"] {
                for operands in ["v0, v1", "v1, v0"] {
                    check_with(&text(ty, f, number, operands), &[64; 2], &[]);
                }
            }
        }
    }
}

#[test]
fn a_rectifier_is_one_operation() {
    let text = text("f32", "max", "0.0", "v1, v0");
    let lowered = lowered_for_16_lanes(&text, LowerOptions::default());
    let function = lowered.function.to_string();
    let (maxima, others) = (
        function.matches("max ").count(),
        ["cmp", "select", "max_nan"],
    );
    assert!(maxima > 0, "{function}");
    assert!(!others.iter().any(|o| function.contains(o)), "{function}");
}
