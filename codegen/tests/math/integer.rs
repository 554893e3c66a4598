//! Powers of integers.

use crate::support::{apply, mapping};
use lazulite_codegen::vector::math;
use lazulite_ir::DType;

/// The definition: wrapping products; negative powers are 1, -1 or 0.
fn signed_power(x: i64, y: i64) -> i64 {
    match (x, y) {
        (1, _) => 1,
        (-1, y) => {
            if y % 2 == 0 {
                1
            } else {
                -1
            }
        }
        (_, ..0) => 0,
        (x, y) => {
            let (mut power, mut base, mut left) = (1i64, x, y);
            while left != 0 {
                if left % 2 == 1 {
                    power = power.wrapping_mul(base);
                }
                base = base.wrapping_mul(base);
                left /= 2;
            }
            power
        }
    }
}

fn operands() -> (Vec<i64>, Vec<i64>) {
    let numbers = [
        0,
        1,
        -1,
        2,
        -2,
        3,
        7,
        -10,
        255,
        65537,
        1 << 31,
        i64::MAX,
        i64::MIN,
    ];
    let powers = [
        0,
        1,
        2,
        3,
        5,
        8,
        31,
        33,
        62,
        63,
        64,
        1000,
        -1,
        -2,
        -3,
        i64::MAX,
        i64::MIN,
    ];
    numbers
        .iter()
        .flat_map(|&x| powers.iter().map(move |&y| (x, y)))
        .unzip()
}

#[test]
fn signed_powers_wrap_and_negative_ones_vanish() {
    let function = mapping(DType::I64, 2, |b, x| math::powi(b, x[0], x[1], true));
    let (x, y) = operands();
    for ((x, y), got) in x.iter().zip(&y).zip(apply(&function, &[&x, &y])) {
        assert_eq!(got, signed_power(*x, *y), "{x} ^ {y}");
    }
}

#[test]
fn unsigned_powers_take_large_exponents() {
    let function = mapping(DType::I32, 2, |b, x| math::powi(b, x[0], x[1], false));
    let x: Vec<i32> = vec![3, 3, 2, -1, 0, 5];
    let y: Vec<i32> = vec![4, -1, 31, -1, 0, i32::MIN];
    let power = |x: &i32, y: &i32| {
        let wide = (0..32).rev().fold(1u32, |power, bit| {
            let square = power.wrapping_mul(power);
            if *y as u32 >> bit & 1 == 1 {
                square.wrapping_mul(*x as u32)
            } else {
                square
            }
        });
        wide as i32
    };
    let want: Vec<i32> = x.iter().zip(&y).map(|(x, y)| power(x, y)).collect();
    assert_eq!(apply(&function, &[&x, &y]), want);
}
