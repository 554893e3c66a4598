//! Every operation and conversion on values at which it is delicate.

use super::{
    CLASSES, WIDTHS, backends_of, bytes, check_lanewise, edges, execute, lanewise, padded, pairs,
};
use crate::vector::eval;
use crate::vector::{Bin, Class, Cmp, Conv, Narrow, Un};

const UNARY: [Un; 14] = [
    Un::Neg,
    Un::Abs,
    Un::Floor,
    Un::Round,
    Un::Trunc,
    Un::Sqrt,
    Un::Not,
    Un::Wrap(Narrow::U8),
    Un::Wrap(Narrow::U16),
    Un::Wrap(Narrow::I8),
    Un::Wrap(Narrow::I16),
    Un::RoundF16,
    Un::RoundBF16,
    Un::SixteenthPower,
];

const BINARY: [Bin; 20] = [
    Bin::Add,
    Bin::Sub,
    Bin::Mul,
    Bin::MulHighU,
    Bin::Div,
    Bin::DivU,
    Bin::Rem,
    Bin::RemU,
    Bin::Max,
    Bin::Min,
    Bin::MaxNan,
    Bin::MinNan,
    Bin::MaxU,
    Bin::MinU,
    Bin::And,
    Bin::Or,
    Bin::Xor,
    Bin::Shl,
    Bin::ShrU,
    Bin::ShrS,
];

#[test]
fn unary_operations() {
    for class in CLASSES {
        for op in UNARY {
            if eval::unary(op, class).is_none() {
                continue;
            }
            check_lanewise(
                &format!("{op:?} {class:?}"),
                &[class],
                class,
                &[padded(&edges(class))],
                |b, r| b.unary(op, r[0]),
            );
        }
    }
}

#[test]
fn binary_operations() {
    for class in CLASSES {
        for op in BINARY {
            if eval::binary(op, class).is_none() {
                continue;
            }
            let mut columns = pairs(class);
            if class.is_int() && matches!(op, Bin::Div | Bin::DivU | Bin::Rem | Bin::RemU) {
                columns[1].iter_mut().for_each(|d| *d = (*d).max(1));
            }
            check_lanewise(
                &format!("{op:?} {class:?}"),
                &[class; 2],
                class,
                &columns,
                |b, r| b.binary(op, r[0], r[1]),
            );
        }
    }
}

/// Powers of two at which the result is normal, rounded as a denormal number, zero or infinite.
#[test]
fn scaling_rounds_once() {
    for class in [Class::F32, Class::F64] {
        let (most, step) = match class {
            Class::F32 => (240, 1),
            _ => (2000, 7),
        };
        let (mut columns, mut fractions) = ([Vec::new(), Vec::new()], Vec::new());
        let mut state = 1u64;
        for n in (-most..=most).step_by(step) {
            for size in [0.25, 1.0, 1.5, 4.0, f64::NAN, -2.0] {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let a = size * (1.0 - (state >> 40) as f64 * 2f64.powi(-26));
                let bits = |x: f64| match class {
                    Class::F32 => u64::from((x as f32).to_bits()),
                    _ => x.to_bits(),
                };
                columns[0].push(bits(a));
                columns[1].push(bits(f64::from(n)));
                // A sixteenth below the next number at most.
                fractions.push(bits(
                    f64::from(n) + f64::from((state >> 20) as u32 % 16) / 16.0,
                ));
            }
        }
        let [a, whole] = columns.map(|c| padded(&c));
        check_lanewise(
            &format!("scale {class:?}"),
            &[class; 2],
            class,
            &[a.clone(), whole],
            |b, r| b.scale(r[0], r[1]),
        );
        check_lanewise(
            &format!("scale_floor {class:?}"),
            &[class; 2],
            class,
            &[a, padded(&fractions)],
            |b, r| b.scale_floor(r[0], r[1]),
        );
    }
}

/// Division by zero is forbidden, but must not kill the process.
#[test]
fn division_by_zero_does_not_trap() {
    for (class, op) in [
        (Class::I32, Bin::Div),
        (Class::I64, Bin::Rem),
        (Class::I32, Bin::RemU),
        (Class::I64, Bin::DivU),
    ] {
        for full in WIDTHS {
            let f = lanewise(full, full, &[class; 2], class, 16, |b, r| {
                b.binary(op, r[0], r[1])
            });
            let buffer = |v: u64| bytes(class, &[v; 16]);
            for backend in backends_of(&f) {
                let (out, _) = execute(backend, &f, &[buffer(5), buffer(0), buffer(9)], &[], &[]);
                assert_eq!(out[2], buffer(0), "{op:?}");
            }
        }
    }
}

#[test]
fn shifts_by_constants() {
    for class in [Class::I32, Class::I64] {
        for op in [Bin::Shl, Bin::ShrU, Bin::ShrS] {
            for count in [0, 1, 13, 31, 32, 63, 64, -1i64] {
                check_lanewise(
                    &format!("{op:?} {class:?} by {count}"),
                    &[class],
                    class,
                    &[padded(&edges(class))],
                    |b, r| {
                        let count = b.int_like(r[0], count);
                        b.binary(op, r[0], count)
                    },
                );
            }
        }
    }
}

#[test]
fn comparisons_selections_and_masks() {
    for class in [Class::F32, Class::F64, Class::I32, Class::I64] {
        for op in [Cmp::Eq, Cmp::Ne, Cmp::Lt, Cmp::Le, Cmp::LtU, Cmp::LeU] {
            if eval::compare(op, class).is_none() {
                continue;
            }
            let columns = pairs(class);
            let what = format!("{op:?} {class:?}");
            check_lanewise(&what, &[class; 2], Class::Mask, &columns, |b, r| {
                b.compare(op, r[0], r[1])
            });
            // A mask used at its own width and at the other one, and combined.
            check_lanewise(&what, &[class; 2], class, &columns, |b, r| {
                let first = b.compare(op, r[0], r[1]);
                let second = b.compare(Cmp::Ne, r[0], r[1]);
                let both = b.and(first, second);
                let neither = b.not(both);
                let ints = b.convert(Conv::SpreadMask, Class::I32, neither);
                let zero = b.int_like(ints, 0);
                let back = b.ne(ints, zero);
                let mixed = b.xor(both, back);
                let r = b.select(mixed, r[1], r[0]);
                b.select(neither, r, r)
            });
        }
        let masks: Vec<u64> = (0..edges(class).len() as u64).map(|i| i % 3 % 2).collect();
        check_lanewise(
            &format!("select {class:?}"),
            &[Class::Mask, class, class],
            class,
            &[
                padded(&masks),
                padded(&edges(class)),
                padded(&edges(class).into_iter().rev().collect::<Vec<_>>()),
            ],
            |b, r| b.select(r[0], r[1], r[2]),
        );
    }
    let masks = [vec![0, 0, 1, 1], vec![0, 1, 0, 1], vec![1, 0, 0, 1]];
    check_lanewise(
        "select mask",
        &[Class::Mask; 3],
        Class::Mask,
        &masks,
        |b, r| b.select(r[0], r[1], r[2]),
    );
}

#[test]
fn conversions() {
    let convs = [
        Conv::Float,
        Conv::FromInt,
        Conv::FromUint,
        Conv::ToInt,
        Conv::Int,
        Conv::Uint,
        Conv::Bits,
        Conv::FromMask,
        Conv::SpreadMask,
    ];
    for from in CLASSES {
        for to in CLASSES {
            for conv in convs {
                if eval::convert(conv, from, to).is_none() {
                    continue;
                }
                check_lanewise(
                    &format!("{conv:?} {from:?} to {to:?}"),
                    &[from],
                    to,
                    &[padded(&edges(from))],
                    |b, r| b.convert(conv, to, r[0]),
                );
            }
        }
    }
}

#[test]
fn multiply_add_rounds_once() {
    for class in [Class::F32, Class::F64] {
        let mut columns = [Vec::new(), Vec::new(), Vec::new()];
        let mut state = 1u64;
        let mut next = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            state >> 11
        };
        for _ in 0..4000 {
            // Nearby exponents, so that the addend matters.
            for column in &mut columns {
                let bits = next();
                column.push(match class {
                    Class::F32 => u64::from((bits as u32 & 0x80ff_ffff) | 0x3f00_0000),
                    _ => (bits << 11 & 0x801f_ffff_ffff_ffff) | 0x3fe0_0000_0000_0000,
                });
            }
            let tiny = columns[2].len() - 1;
            if columns[2].len() % 3 == 0 {
                // Far below the product: decides ties only.
                columns[2][tiny] = match class {
                    Class::F32 => u64::from((next() as u32 & 0x807f_ffff) | 0x2000_0000),
                    _ => (next() << 11 & 0x800f_ffff_ffff_ffff) | 0x3400_0000_0000_0000,
                };
                columns[0][tiny] &= !0xfff;
                columns[1][tiny] &= !0xfff;
            }
        }
        let special = edges(class);
        for (i, &a) in special.iter().enumerate() {
            for (k, &b) in special.iter().enumerate() {
                columns[0].push(a);
                columns[1].push(b);
                columns[2].push(special[(i * 7 + k * 3) % special.len()]);
            }
        }
        let columns = columns.map(|c| padded(&c));
        check_lanewise(
            &format!("fma {class:?}"),
            &[class; 3],
            class,
            &columns,
            |b, r| b.fma(r[0], r[1], r[2]),
        );
    }
}

#[test]
fn horizontal_combinations() {
    for class in CLASSES {
        for op in BINARY {
            if eval::horizontal(op, class).is_none() {
                continue;
            }
            let values = padded(&pairs(class)[0]);
            check_lanewise(
                &format!("horizontal {op:?} {class:?}"),
                &[class],
                class,
                &[values],
                |b, r| b.horizontal(op, r[0]),
            );
        }
    }
}

#[test]
fn ramps_and_scalars() {
    for class in [Class::I32, Class::I64] {
        for (from, step) in [(0, 1), (-7, 3), (1 << 40, -5), (12, 0)] {
            check_lanewise(
                &format!("ramp {class:?} {from} {step}"),
                &[class],
                class,
                &[(1..17).collect()],
                |b, r| {
                    let lanes = b.shape(r[0]).1;
                    let start = b.size(0);
                    let offset = b.s_const(from);
                    let start = b.s_add(start, offset);
                    let ramp = b.ramp(class, lanes, start, step);
                    b.add(r[0], ramp)
                },
            );
        }
    }
}
