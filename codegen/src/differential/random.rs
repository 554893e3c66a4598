//! Random programs, and the math functions, whose results are to be the interpreter's bit for bit.

use super::{WIDTHS, backends_of, execute, interpret, same};
use crate::vector::arbitrary::{BOUNDS, programs};
use crate::vector::{Builder, Function, MemAccess, math};
use lazulite_ir::{DType, Unary};
use proptest::prelude::*;

proptest! {
    #[test]
    fn random_programs_run_as_interpreted(
        program in prop_oneof![programs(1), programs(4), programs(8), programs(16)],
    ) {
        let (output, fault) = program.interpret().unwrap();
        let fault = fault.map(|f| (u64::from(f.fault), f.value, f.bound));
        for backend in backends_of(&program.function) {
            let buffers = [program.input.clone(), vec![0; program.output]];
            let found = execute(backend, &program.function, &buffers, &program.sizes, &BOUNDS);
            prop_assert_eq!(program.difference(&found.0[1], &output), None);
            prop_assert_eq!(found.1, fault);
        }
    }
}

/// `f(x) + f(x)^x + fmod(f(x), x)` of an array.
fn mapping(lanes: u32, f: Unary, dtype: DType) -> Function {
    let mut b = Builder::new(lanes);
    let (from, to) = (b.s_const(0), b.size(0));
    let (input, output) = (b.buffer(0), b.buffer(1));
    b.for_loop(from, to, i64::from(lanes), |b, i| {
        let size = b.s_const(dtype.size() as i64);
        let offset = b.s_mul(i, size);
        let (input, output) = (b.s_add(input, offset), b.s_add(output, offset));
        let access = MemAccess::Contiguous;
        let x = b.load(dtype, lanes, input, access, None);
        let y = math::unary(b, f, x);
        let power = math::pow(b, y, x);
        let rest = math::rem(b, y, x);
        let sum = b.add(y, power);
        let sum = b.add(sum, rest);
        b.store(dtype, output, access, sum, None, false);
    });
    b.finish()
}

/// Numbers over the whole range, and moderate ones.
fn numbers(dtype: DType, count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let number = |i: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let moderate = (state >> 40) as f64 / 1e5 - 80.0;
        let bits = match (i % 2, dtype) {
            (0, _) => state,
            (_, DType::F32) => u64::from((moderate as f32).to_bits()),
            (_, _) => moderate.to_bits(),
        };
        bits.to_le_bytes()[..dtype.size()].to_vec()
    };
    (0..count).flat_map(number).collect()
}

#[test]
fn math_functions_are_bit_equal() {
    const COUNT: usize = 1 << 12;
    for dtype in [DType::F32, DType::F64] {
        let input = numbers(dtype, COUNT);
        let buffers = [input, vec![0; COUNT * dtype.size()]];
        for (full, &f) in WIDTHS
            .into_iter()
            .flat_map(|full| Unary::ALL.iter().map(move |f| (full, f)))
        {
            let function = mapping(full, f, dtype);
            let sizes = [COUNT as i64];
            let expected = interpret(&function, &buffers, &sizes, &[]);
            for backend in backends_of(&function) {
                let found = execute(backend, &function, &buffers, &sizes, &[]);
                assert!(same(dtype, &found.0[1], &expected.0[1]), "{f} {dtype}");
            }
        }
    }
}
