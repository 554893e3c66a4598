//! Philox 4x32 with 10 rounds, as the graph operation Random defines it.

use crate::vector::{Builder, Class, Conv, Reg};
use lazulite_ir::DType;

const MULTIPLIERS: [i64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEPS: [i64; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Low and high half of 64-bit lanes.
fn halves(b: &mut Builder, x: Reg) -> [Reg; 2] {
    let count = b.int_like(x, 32);
    let high = b.shr_u(x, count);
    [x, high].map(|x| b.convert(Conv::Int, Class::I32, x))
}

/// Random bits of type `dtype` (u32 or u64) for the seed, stream and element in 64-bit lanes.
pub(super) fn random(b: &mut Builder, dtype: DType, seed: Reg, stream: Reg, element: Reg) -> Reg {
    let mut key = halves(b, seed);
    let ([c0, c1], [c2, c3]) = (halves(b, element), halves(b, stream));
    let mut counter = [c0, c1, c2, c3];
    let multipliers = MULTIPLIERS.map(|m| b.int_like(c0, m));
    let steps = KEY_STEPS.map(|s| b.int_like(c0, s));
    for round in 0..ROUNDS {
        if round > 0 {
            key = [b.add(key[0], steps[0]), b.add(key[1], steps[1])];
        }
        let [m0, m1] = multipliers;
        let high_a = b.mul_high_u(m0, counter[0]);
        let low_a = b.mul(m0, counter[0]);
        let high_b = b.mul_high_u(m1, counter[2]);
        let low_b = b.mul(m1, counter[2]);
        let first = b.xor(high_b, counter[1]);
        let third = b.xor(high_a, counter[3]);
        counter = [b.xor(first, key[0]), low_b, b.xor(third, key[1]), low_a];
    }
    if dtype != DType::U64 {
        return counter[0];
    }
    let [low, high] = [counter[0], counter[1]].map(|w| b.convert(Conv::Uint, Class::I64, w));
    let count = b.int_like(low, 32);
    let high = b.shl(high, count);
    b.or(low, high)
}
