//! The price table against what operations become.

use super::*;
use crate::vector::Stmt;
use lazulite_ir::{Binary, Unary, price};

/// Vector instructions per element and lane width that `inst` takes, beside loading and storing.
fn instructions(inst: &str) -> u32 {
    let text = format!(
        "kernel(b0: f32 read, b1: f32 write) {{ outer o0 < n lanes outer stage {{
           v0 = load b0[o0] : f32 v1 = {inst} : f32 store b1[o0] = v1 }} }}"
    );
    let kernel = parse_kernel(&text).unwrap();
    let backend = Level::Native.backend().unwrap();
    let options = LowerOptions {
        copies: Some(1),
        ..LowerOptions::default()
    };
    let lowered = lower(&kernel, backend.caps(), options).unwrap();
    let body = lowered.function.body.iter().find_map(|s| match s {
        Stmt::For { body, .. } => Some(body),
        _ => None,
    });
    let computed = body.unwrap().iter().filter(|s| matches!(s, Stmt::Let(..)));
    computed.count() as u32 - 1
}

#[test]
fn prices_are_what_functions_take_within_a_factor_of_two() {
    let unary = Unary::ALL.iter().map(|f| (f.name(), price::unary(*f)));
    let pow = ("pow v0, v0", price::binary(Binary::Pow));
    // Instructions that take many cycles each.
    let slow = [Unary::Sqrt.name()];
    for (name, price) in unary.chain([("add v0, v0", price::binary(Binary::Add)), pow]) {
        let inst = if name.contains(' ') {
            name.into()
        } else {
            format!("{name} v0")
        };
        let found = instructions(&inst);
        assert!(
            slow.contains(&name) || (price <= 2 * found && found <= 2 * price),
            "{inst} takes {found} instructions and its price is {price}"
        );
    }
}
