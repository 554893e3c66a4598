//! The random operators with their checks.

use super::checks::{COUNT, all, holds, moments, numbers, rejected, share};
use super::{Checked, Random, text};
use lazulite::{AttentionOptions, DType, HeadWeights, Tensor, grad, manual_seed};

const FLOATS: &[DType] = &[DType::F32, DType::F64, DType::F16, DType::BF16];
const SINGLE: &[DType] = &[DType::F32];

fn of(value: f64, dims: &[usize], dtype: DType) -> Tensor {
    Tensor::full_of(dims, value, dtype)
}

fn many(value: f64) -> Tensor {
    of(value, &[COUNT], DType::F32)
}

/// A tensor changed in place.
fn filled(dims: &[usize], dtype: DType, fill: impl FnOnce(&mut Tensor)) -> Tensor {
    let mut x = of(0.0, dims, dtype);
    fill(&mut x);
    x
}

fn many_filled(fill: impl FnOnce(&mut Tensor)) -> Tensor {
    manual_seed(7);
    filled(&[COUNT], DType::F32, fill)
}

/// Kept channels of a tensor of ones with 2 spatial axes.
fn channels(x: &Tensor) -> Result<Tensor, String> {
    let same = numbers(&x.amax([2, 3]).eq(x.amin([2, 3])).all(..))?;
    holds(same == [1.0], "parts of a channel differ")?;
    Ok(x.select(-1, 0).select(-1, 0))
}

fn dropped(x: &Tensor, p: f64) -> Checked {
    let kept = 1.0 / (1.0 - p);
    all(x, "0 or x / (1 - p)", |v| {
        v == 0.0 || (v - kept).abs() < 1e-6
    })?;
    share(x, |v| v == 0.0, p)
}

pub(super) const ALL: &[Random] = &[
    Random {
        name: "bernoulli",
        draw: |dims, dtype| of(0.5, dims, dtype).bernoulli(),
        types: FLOATS,
        checks: &[
            ("frequencies", || {
                let x = many(0.3).bernoulli();
                all(&x, "0 or 1", |v| v == 0.0 || v == 1.0)?;
                moments(&x, 0.3, 0.21, 1.8)
            }),
            ("ends", || {
                all(&many(0.0).bernoulli(), "0", |v| v == 0.0)?;
                all(&many(1.0).bernoulli(), "1", |v| v == 1.0)
            }),
            ("rejected", || {
                let wrong = [-0.1, 1.1, f64::NAN].map(|p| many(p).bernoulli());
                rejected(&wrong)
            }),
        ],
    },
    Random {
        name: "multinomial",
        draw: |dims, _| {
            let count: usize = dims.iter().product();
            let drawn = of(1.0, &[7], DType::F32).multinomial(count.max(1), true);
            drawn.narrow(0, 0, count).reshape(dims)
        },
        types: &[DType::I64],
        checks: &[
            ("frequencies", || {
                let weights = Tensor::from_vec(vec![1.0f32, 0.0, 3.0], [3]);
                let x = weights.multinomial(COUNT, true);
                all(&x, "a category with weight", |v| v == 0.0 || v == 2.0)?;
                share(&x, |v| v == 2.0, 0.75)
            }),
            ("without replacement", || {
                let weights = of(1.0, &[50, 6], DType::F64);
                let sorted = weights.multinomial(6, false).sort(-1).0;
                let rows = Tensor::iota(6).expand([50, 6]);
                holds(
                    numbers(&sorted)? == numbers(&rows)?,
                    "a category comes twice",
                )
            }),
            ("rejected", || {
                let wrong = [-1.0, 0.0, f64::NAN, f64::INFINITY];
                rejected(&wrong.map(|w| of(w, &[3], DType::F32).multinomial(1, true)))
            }),
        ],
    },
    Random {
        name: "normal",
        draw: |dims, dtype| Tensor::normal(of(1.0, dims, dtype), 2.0),
        types: FLOATS,
        checks: &[
            ("moments", || {
                moments(&Tensor::normal(many(1.5), 2.0), 1.5, 4.0, 3.0)
            }),
            ("broadcasting", || {
                let x = Tensor::normal(of(0.0, &[2, 1], DType::F32), of(0.0, &[3], DType::F32));
                holds(x.dims().map_err(text)? == [2, 3], "sizes do not broadcast")?;
                all(&x, "the mean", |v| v == 0.0)
            }),
            ("rejected", || rejected(&[Tensor::normal(0.0, many(-1.0))])),
        ],
    },
    Random {
        name: "normal.in_place",
        draw: |dims, dtype| filled(dims, dtype, |x| _ = x.normal_(0.0, 1.0)),
        types: FLOATS,
        checks: &[("moments", || {
            let x = many_filled(|x| _ = x.normal_(2.0, 3.0));
            moments(&x, 2.0, 9.0, 3.0)?;
            let cubes = x.sub(2).div(3).mul(x.sub(2).div(3).square());
            moments(&cubes, 0.0, 15.0, 10_395.0 / 225.0)?;
            share(&x, |v| (v - 2.0).abs() < 3.0, 0.682_689)
        })],
    },
    Random {
        name: "randn",
        draw: |dims, dtype| Tensor::randn_of(dims, dtype),
        types: FLOATS,
        checks: &[("moments", || {
            let x = Tensor::randn([COUNT]);
            all(&x, "finite", f64::is_finite)?;
            moments(&x, 0.0, 1.0, 3.0)
        })],
    },
    Random {
        name: "randn_like",
        draw: |dims, dtype| of(0.0, dims, dtype).randn_like(),
        types: FLOATS,
        checks: &[("moments", || {
            moments(&many(0.0).randn_like(), 0.0, 1.0, 3.0)
        })],
    },
    Random {
        name: "rand_like",
        draw: |dims, dtype| of(0.0, dims, dtype).rand_like(),
        types: FLOATS,
        checks: &[("moments", || {
            for &dtype in FLOATS {
                let x = of(0.0, &[COUNT], dtype).rand_like();
                all(&x, "in [0, 1)", |v| (0.0..1.0).contains(&v))?;
            }
            moments(&many(0.0).rand_like(), 0.5, 1.0 / 12.0, 1.8)
        })],
    },
    Random {
        name: "randint",
        draw: |dims, _| Tensor::randint(-3, 9, dims),
        types: &[DType::I64],
        checks: &[
            ("frequencies", || {
                let x = Tensor::randint(-2, 3, [COUNT]);
                (-2..3).try_for_each(|k| share(&x, |v| v == f64::from(k), 0.2))
            }),
            ("rejected", || {
                rejected(&[Tensor::randint(3, 3, [2]), Tensor::randint(4, 3, [2])])
            }),
        ],
    },
    Random {
        name: "randint_like",
        draw: |dims, dtype| of(0.0, dims, dtype).randint_like(0, 100),
        types: &[DType::F32, DType::I32, DType::U8, DType::I64],
        checks: &[("frequencies", || {
            let x = many(0.0).randint_like(0, 4);
            (0..4).try_for_each(|k| share(&x, |v| v == f64::from(k), 0.25))
        })],
    },
    Random {
        name: "uniform",
        draw: |dims, dtype| filled(dims, dtype, |x| _ = x.uniform_(-1.0, 2.0)),
        types: FLOATS,
        checks: &[
            ("moments", || {
                let x = many_filled(|x| _ = x.uniform_(-1.0, 2.0));
                all(&x, "in [-1, 2)", |v| (-1.0..2.0).contains(&v))?;
                moments(&x, 0.5, 0.75, 1.8)
            }),
            ("rejected", || {
                rejected(&[many_filled(|x| _ = x.uniform_(1.0, 0.0))])
            }),
        ],
    },
    Random {
        name: "exponential",
        draw: |dims, dtype| filled(dims, dtype, |x| _ = x.exponential_(1.0)),
        types: FLOATS,
        checks: &[
            ("moments", || {
                let x = many_filled(|x| _ = x.exponential_(2.0));
                all(&x, "positive and finite", |v| v > 0.0 && v.is_finite())?;
                moments(&x, 0.5, 0.25, 9.0)
            }),
            ("rejected", || {
                rejected(&[many_filled(|x| _ = x.exponential_(0.0))])
            }),
        ],
    },
    Random {
        name: "geometric",
        draw: |dims, dtype| filled(dims, dtype, |x| _ = x.geometric_(0.2)),
        types: &[DType::F32, DType::F64, DType::I64, DType::I32],
        checks: &[
            ("moments", || {
                let x = many_filled(|x| _ = x.geometric_(0.25));
                all(&x, "whole from 1", |v| v >= 1.0 && v.fract() == 0.0)?;
                share(&x, |v| v == 1.0, 0.25)?;
                moments(&x, 4.0, 12.0, 9.1)
            }),
            ("rejected", || {
                rejected(&[0.0, 1.0, -1.0].map(|p| many_filled(|x| _ = x.geometric_(p))))
            }),
        ],
    },
    Random {
        name: "log_normal",
        draw: |dims, dtype| filled(dims, dtype, |x| _ = x.log_normal_(0.0, 0.5)),
        types: FLOATS,
        checks: &[
            ("moments", || {
                let x = many_filled(|x| _ = x.log_normal_(1.0, 0.5));
                all(&x, "positive", |v| v > 0.0)?;
                moments(&x.log(), 1.0, 0.25, 3.0)
            }),
            ("rejected", || {
                rejected(&[many_filled(|x| _ = x.log_normal_(0.0, 0.0))])
            }),
        ],
    },
    Random {
        name: "cauchy",
        draw: |dims, dtype| filled(dims, dtype, |x| _ = x.cauchy_(0.0, 1.0)),
        types: FLOATS,
        checks: &[
            ("quantiles", || {
                let x = many_filled(|x| _ = x.cauchy_(1.0, 2.0));
                share(&x, |v| v < 1.0, 0.5)?;
                share(&x, |v| (v - 1.0).abs() < 2.0, 0.5)
            }),
            ("rejected", || {
                rejected(&[many_filled(|x| _ = x.cauchy_(0.0, 0.0))])
            }),
        ],
    },
    Random {
        name: "nn.functional.dropout",
        draw: |dims, dtype| of(1.0, dims, dtype).dropout(0.5, true),
        types: FLOATS,
        checks: &[
            ("shares", || dropped(&many(1.0).dropout(0.3, true), 0.3)),
            ("gradients", || {
                let x = many(1.0).with_grad();
                let y = x.dropout(0.3, true);
                let gradient = grad(&[&y.sum(..)], &[&x]).map_err(text)?.remove(0);
                let equal = numbers(&gradient)? == numbers(&y)?;
                holds(equal, "the gradient has another mask than the result")
            }),
            ("rejected", || {
                rejected(&[-0.1, 1.1, f64::NAN].map(|p| many(1.0).dropout(p, true)))
            }),
        ],
    },
    Random {
        name: "nn.functional.dropout2d",
        draw: |dims, dtype| of(1.0, dims, dtype).feature_dropout(0.5, true, 2),
        types: SINGLE,
        checks: &[("channels", || {
            let x = of(1.0, &[50, 40, 2, 3], DType::F32).feature_dropout(0.3, true, 2);
            dropped(&channels(&x)?, 0.3)
        })],
    },
    Random {
        name: "nn.functional.dropout3d",
        draw: |dims, dtype| of(1.0, dims, dtype).feature_dropout(0.5, true, 3),
        types: SINGLE,
        checks: &[("channels", || {
            let x = of(1.0, &[50, 40, 2, 3, 2], DType::F32).feature_dropout(0.3, true, 3);
            dropped(&channels(&x.flatten(3, 4))?, 0.3)
        })],
    },
    Random {
        name: "nn.functional.alpha_dropout",
        draw: |dims, dtype| of(1.0, dims, dtype).alpha_dropout(0.5, true),
        types: SINGLE,
        checks: &[("moments", || {
            manual_seed(8);
            let x = Tensor::randn([COUNT]).alpha_dropout(0.2, true);
            moments(&x, 0.0, 1.0, 4.0)
        })],
    },
    Random {
        name: "nn.functional.feature_alpha_dropout",
        draw: |dims, dtype| of(1.0, dims, dtype).feature_alpha_dropout(0.5, true),
        types: SINGLE,
        checks: &[("channels", || {
            let x = of(1.0, &[50, 40, 2, 3], DType::F32).feature_alpha_dropout(0.3, true);
            share(&channels(&x)?, |v| v < 0.0, 0.3)
        })],
    },
    Random {
        name: "nn.functional.rrelu",
        draw: |dims, dtype| of(-1.0, dims, dtype).rrelu(0.1, 0.3, true),
        types: SINGLE,
        checks: &[("slopes", || {
            let slopes = many(-1.0).rrelu(0.1, 0.3, true).neg();
            all(&slopes, "a slope between the bounds", |v| {
                (0.1..=0.300_001).contains(&v)
            })?;
            moments(&slopes, 0.2, 0.04 / 12.0, 1.8)?;
            all(&many(2.0).rrelu(0.1, 0.3, true), "unchanged", |v| v == 2.0)?;
            let still = many(-1.0).rrelu(0.1, 0.3, false);
            all(&still, "the mean slope", |v| (v + 0.2).abs() < 1e-6)
        })],
    },
    Random {
        name: "nn.functional.scaled_dot_product_attention",
        draw: |dims, dtype| attention(dims, dtype, 0.5),
        types: SINGLE,
        checks: &[("mean", || {
            let dims = [2000, 3, 4];
            let plain = numbers(&attention(&[1, 3, 4], DType::F32, 0.0))?;
            let mean = numbers(&attention(&dims, DType::F32, 0.3).mean(0))?;
            let far = mean.iter().zip(&plain).any(|(a, b)| (a - b).abs() > 0.1);
            holds(
                !far,
                "the mean of many draws is not the result without dropout",
            )
        })],
    },
    Random {
        name: "nn.functional.fractional_max_pool2d",
        draw: |dims, dtype| {
            // The first and the last window stand still; those between are at random places.
            let all = [dims[1], dims[0], 12, 12];
            let count = all.iter().product::<usize>() as i64;
            let x = Tensor::arange(0, count, 1).reshape(all).cast(dtype);
            let (pooled, _) = x.fractional_max_pool(&[2, 2], &[dims[2], 1], None);
            pooled.squeeze(-1).transpose(0, 1)
        },
        types: SINGLE,
        checks: &[("places", || {
            let x = Tensor::arange(0, 3 * 81, 1)
                .reshape([1, 3, 9, 9])
                .cast(DType::F32);
            let (y, places) = x.fractional_max_pool(&[2, 2], &[4, 4], None);
            holds(y.dims().map_err(text)? == [1, 3, 4, 4], "other sizes")?;
            let read = x.flatten(2, 3).gather(-1, &places.flatten(2, 3));
            holds(
                numbers(&read)? == numbers(&y.flatten(2, 3))?,
                "indices do not point to results",
            )
        })],
    },
    Random {
        name: "nn.functional.multi_head_attention_forward",
        draw: |dims, dtype| heads(dims, dtype, 0.5),
        types: SINGLE,
        checks: &[("mean", || {
            let plain = numbers(&heads(&[3, 1, 4], DType::F32, 0.0))?;
            let mean = numbers(&heads(&[3, 4000, 4], DType::F32, 0.3).mean(1))?;
            let far = mean.iter().zip(&plain).any(|(a, b)| (a - b).abs() > 0.1);
            let otherwise = "the mean of many draws is not the result without dropout";
            holds(!far, otherwise)
        })],
    },
    Random {
        name: "svd_lowrank",
        draw: |dims, dtype| of(0.0, dims, dtype),
        types: &[],
        checks: &[("factors", || {
            manual_seed(9);
            let x = Tensor::randn([2, 30, 4]).matmul(&Tensor::randn([2, 4, 20]));
            factors(&x, x.svd_lowrank(6, 2, None), 6)
        })],
    },
    Random {
        name: "pca_lowrank",
        draw: |dims, dtype| of(0.0, dims, dtype),
        types: &[],
        checks: &[
            ("factors", || {
                manual_seed(10);
                let x = Tensor::randn([30, 4]).matmul(&Tensor::randn([4, 20]));
                factors(&x, x.pca_lowrank(6, false, 2), 6)
            }),
            ("centred", || {
                manual_seed(11);
                let x = Tensor::randn([30, 4])
                    .matmul(&Tensor::randn([4, 20]))
                    .add(3.0);
                factors(&x.sub(x.mean(0)), x.pca_lowrank(6, true, 2), 6)
            }),
        ],
    },
    Random {
        name: "empty",
        draw: |dims, dtype| of(0.0, dims, dtype),
        types: &[],
        checks: &[("sizes", || {
            let like = Tensor::empty_of([4, 0, 5], DType::U8).empty_like();
            shaped(&Tensor::empty([4, 6]), &[4, 6], DType::F32)?;
            shaped(&like, &[4, 0, 5], DType::U8)
        })],
    },
    Random {
        name: "empty_strided",
        draw: |dims, dtype| of(0.0, dims, dtype),
        types: &[],
        // Tensors have no strides.
        checks: &[("sizes", || {
            shaped(&Tensor::empty_of([4, 6], DType::C64), &[4, 6], DType::C64)
        })],
    },
    Random {
        name: "resize_",
        draw: |dims, dtype| of(0.0, dims, dtype),
        types: &[],
        checks: &[("elements", || {
            for dims in [&[2, 2][..], &[3, 4], &[0, 7], &[]] {
                let mut x = Tensor::arange(1, 7, 1);
                x.resize_(dims);
                shaped(&x, dims, DType::I64)?;
                let kept = numbers(&x)?.into_iter().zip(1..7);
                let same = kept
                    .into_iter()
                    .all(|(found, number)| found == f64::from(number));
                holds(same, "leading elements changed")?;
            }
            Ok(())
        })],
    },
];

/// Sizes and type.
fn shaped(x: &Tensor, dims: &[usize], dtype: DType) -> Checked {
    let found = (x.dims().map_err(text)?, x.dtype().map_err(text)?);
    let otherwise = format!("{found:?} instead of {dims:?} of {dtype}");
    holds(found == (dims.to_vec(), dtype), &otherwise)
}

/// Two factors of so many orthonormal columns, between which scales stand that make the matrix again.
fn factors(x: &Tensor, (u, s, v): (Tensor, Tensor, Tensor), count: usize) -> Checked {
    let small = |x: Tensor| -> Result<bool, String> { Ok(numbers(&x.abs().amax(..))?[0] < 1e-3) };
    for vectors in [&u, &v] {
        let unit = vectors.mt().matmul(vectors).sub(Tensor::eye(count));
        holds(small(unit)?, "columns are not orthonormal")?;
    }
    let again = u.mul(s.unsqueeze(-2)).matmul(&v.mt());
    holds(
        small(again.sub(x))?,
        "the factors are those of another matrix",
    )
}

/// Attention of two heads of the same rows in every batch; sizes are rows, batch, features or are made such.
fn heads(dims: &[usize], dtype: DType, dropout: f64) -> Tensor {
    let (rows, features) = (dims[0], dims[dims.len() - 1]);
    // Two heads need an even number of features; a row more does no harm.
    let even = features + features % 2;
    let count = (rows * even) as i64;
    let x = Tensor::arange(0, count, 1)
        .reshape([rows, 1, even])
        .cast(dtype);
    let x = x.div((count + 1) as f64).expand([rows, dims[1], even]);
    let same = Tensor::eye(even).cast(dtype);
    let weights = HeadWeights {
        heads: 2,
        projections: [same.clone(), same.clone(), same.clone()],
        projection_bias: None,
        extra: None,
        add_zero: false,
        output: (same, None),
        mask: None,
        key_padding: None,
        dropout,
    };
    x.multi_head_attention(&x, &x, &weights)
        .0
        .narrow(-1, 0, features)
}

/// Attention of the same rows in every batch.
fn attention(dims: &[usize], dtype: DType, dropout: f64) -> Tensor {
    let (rows, columns) = (dims[dims.len() - 2], dims[dims.len() - 1]);
    let count = (rows * columns) as i64;
    let own = Tensor::arange(0, count, 1)
        .reshape([rows, columns])
        .cast(dtype);
    let x = own.div((count + 1) as f64).expand(dims);
    let options = AttentionOptions {
        dropout,
        ..AttentionOptions::default()
    };
    x.scaled_dot_product_attention_with(&x, &x, &options)
}
