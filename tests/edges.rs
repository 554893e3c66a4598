//! Edges of operations as PyTorch has them: numbers that do not fit, lists without entries, what is not a number,
//! counts beyond all memory.

use lazulite::prelude::*;
use lazulite::{
    AttentionOptions, Complex, DType, ErrorKind, FftNOptions, FftOptions, QrMode, grad, hessian,
    vhp,
};

fn bytes(values: &[u8]) -> Tensor {
    Tensor::from_vec(values.to_vec(), [values.len()])
}

fn floats(values: &[f32]) -> Tensor {
    Tensor::from_vec(values.to_vec(), [values.len()])
}

#[track_caller]
fn refused(t: &Tensor, kind: ErrorKind, op: &str) {
    let error = t.check().expect_err("the tensor carries an error");
    assert_eq!((error.kind(), error.op()), (kind, op), "{error}");
    assert_eq!(error.place().unwrap().file(), file!(), "{error}");
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.cast(DType::F64).to_vec::<f64>().unwrap()
}

#[test]
fn numbers_that_a_type_cannot_hold_are_errors_where_they_are_stored() {
    let x = bytes(&[1, 2]);
    let mask = x.gt(1);
    let argument = ErrorKind::Argument;
    refused(&Tensor::full_of([2], 300, DType::U8), argument, "full");
    refused(&Tensor::full_of([2], -300, DType::U8), argument, "full");
    refused(&Tensor::full_of([2], 1e20, DType::I32), argument, "full");
    refused(
        &Tensor::full_of([2], f64::NAN, DType::I32),
        argument,
        "full",
    );
    refused(
        &Tensor::full_of([2], 2f64.powi(63), DType::I64),
        argument,
        "full",
    );
    refused(&Tensor::full_of([2], 1e6, DType::F16), argument, "full");
    refused(&Tensor::full_of([2], 1e300, DType::F32), argument, "full");
    refused(
        &Tensor::full_of([2], Complex::new(1.0, 2.0), DType::F32),
        argument,
        "full",
    );
    refused(&mask.where_(&x, 300), argument, "where");
    refused(&x.masked_fill(&mask, 300), argument, "masked_fill");
    refused(&x.pad([(1, 1)], 300), argument, "pad");
    refused(&x.pow(300), argument, "pow");
    refused(
        &x.scatter_value(0, &Tensor::iota(1), 300),
        argument,
        "scatter",
    );
    refused(
        &x.index_fill(0, &Tensor::iota(1), 300),
        argument,
        "index_fill",
    );
    refused(x.clone().fill_(300), argument, "fill_");
    // Whole numbers of the range's size wrap, halves are cut, and floats take what is not finite.
    assert_eq!(numbers(&Tensor::full_of([1], -1, DType::U8)), [255.0]);
    assert_eq!(numbers(&Tensor::full_of([1], -1.5, DType::I8)), [-1.0]);
    assert_eq!(
        numbers(&Tensor::full_of([1], i64::MIN, DType::I64)),
        [i64::MIN as f64]
    );
    assert_eq!(
        numbers(&Tensor::full_of([1], f64::INFINITY, DType::F16)),
        [f64::INFINITY]
    );
    assert_eq!(numbers(&Tensor::full_of([1], 3.5, DType::Bool)), [1.0]);
    // Arithmetic is modulo the range.
    assert_eq!(numbers(&x.add(300)), [45.0, 46.0]);
    assert_eq!(numbers(&x.mul(-1)), [255.0, 254.0]);
}

#[test]
fn bounds_beyond_the_range_of_integers_do_not_wrap() {
    let x = bytes(&[1, 200]);
    assert_eq!(numbers(&x.clamp(-1, 300)), [1.0, 200.0]);
    refused(&x.clamp_min(300), ErrorKind::Argument, "clamp_min");
    refused(&x.clamp_max(-1), ErrorKind::Argument, "clamp_max");
    assert_eq!(numbers(&x.cast(DType::U64).clamp(-1, 7)), [1.0, 7.0]);
}

#[test]
fn integers_have_no_negative_powers() {
    let x = Tensor::from_vec(vec![1i64, 2, -1], [3]);
    refused(&x.pow(-1), ErrorKind::Argument, "pow");
    refused(&x.gt(0).pow(-1), ErrorKind::Argument, "pow");
    assert_eq!(
        numbers(&x.pow(Tensor::from_vec(vec![-1i64], [1]))),
        [1.0, 0.0, -1.0]
    );
    assert_eq!(numbers(&x.float_power(-1)), [1.0, 0.5, -1.0]);
}

#[test]
fn an_empty_list_of_axes_stands_for_all() {
    let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2]);
    let none: [i64; 0] = [];
    let all = [
        (x.sum(none), x.sum(..)),
        (x.mean(none), x.mean(..)),
        (x.prod(none), x.prod(..)),
        (x.amax(none), x.amax(..)),
        (x.amin(none), x.amin(..)),
        (x.var(none), x.var(..)),
        (x.std(none), x.std(..)),
        (x.logsumexp(none), x.logsumexp(..)),
        (x.nansum(none), x.nansum(..)),
        (x.nanmean(none), x.nanmean(..)),
        (x.count_nonzero(none), x.count_nonzero(..)),
        (x.vector_norm(2.0, none), x.vector_norm(2.0, ..)),
        (x.hash_tensor(none), x.hash_tensor(..)),
        (x.aminmax(none).1, x.amax(..)),
        (x.sum_keepdim(none), x.sum(..).reshape([1, 1])),
    ];
    for (found, expected) in all {
        assert!(found.equal(&expected).unwrap(), "{found} {expected}");
    }
    for same in [x.any(none), x.all(none), x.flip(none)] {
        assert_eq!(same.dims().unwrap(), [2, 2]);
    }
}

#[test]
fn the_logarithm_of_a_sum_over_nothing_is_minus_infinity() {
    assert_eq!(
        numbers(&Tensor::zeros([2, 0]).logsumexp(1)),
        [f64::NEG_INFINITY; 2]
    );
    assert_eq!(
        numbers(&Tensor::zeros([0]).logsumexp(0)),
        [f64::NEG_INFINITY]
    );
    assert_eq!(Tensor::zeros([0, 2]).logsumexp(1).dims().unwrap(), [0]);
}

#[test]
fn counts_beyond_all_memory_are_errors_before_anything_is_allocated() {
    let huge = 1usize << 40;
    let vector = Tensor::iota(50);
    refused(
        &vector.combinations(25, false),
        ErrorKind::Argument,
        "combinations",
    );
    refused(
        &vector.combinations(huge, true),
        ErrorKind::Argument,
        "combinations",
    );
    refused(
        &vector.combinations(usize::MAX, true),
        ErrorKind::Argument,
        "combinations",
    );
    refused(
        &Tensor::triu_indices(huge, huge, 0),
        ErrorKind::Argument,
        "triu_indices",
    );
    refused(
        &Tensor::tril_indices(1 << 20, 1 << 20, 0),
        ErrorKind::Argument,
        "tril_indices",
    );
    assert_eq!(vector.combinations(51, false).dims().unwrap(), [0, 51]);
    assert_eq!(vector.combinations(2, false).dims().unwrap(), [1225, 2]);
    assert_eq!(vector.combinations(2, true).dims().unwrap(), [1275, 2]);
    assert_eq!(
        Tensor::zeros([3]).diff_with(usize::MAX, 0).dims().unwrap(),
        [0]
    );
    assert_eq!(
        numbers(&Tensor::triu_indices(2, 3, 1)),
        [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
    );
    assert_eq!(
        numbers(&Tensor::tril_indices(3, 2, -1)),
        [1.0, 2.0, 2.0, 0.0, 0.0, 1.0]
    );
    assert_eq!(Tensor::triu_indices(3, 3, i64::MAX).dims().unwrap(), [2, 0]);
    assert_eq!(Tensor::tril_indices(3, 3, i64::MIN).dims().unwrap(), [2, 0]);
}

#[test]
fn not_a_number_belongs_behind_all_boundaries() {
    let values = floats(&[f32::NAN, 2.0, f32::INFINITY]);
    for bins in [3i64, 100] {
        let edges = Tensor::arange(1, bins + 1, 1).cast(DType::F32);
        let last = bins as f64;
        assert_eq!(numbers(&values.bucketize(&edges, false)), [last, 1.0, last]);
        assert_eq!(numbers(&values.bucketize(&edges, true)), [last, 2.0, last]);
    }
}

#[test]
fn long_vectors_are_searched_as_short_ones_are() {
    let long = Tensor::arange(0, 300, 1).floor_divide(3);
    let values = Tensor::arange(-2, 103, 1);
    let counted = |right: bool| {
        let (long, value) = (long.unsqueeze(0), values.unsqueeze(-1));
        let before = if right {
            long.le(value)
        } else {
            long.lt(value)
        };
        before.sum(-1)
    };
    for right in [false, true] {
        let found = long.searchsorted(&values, right);
        assert!(found.equal(&counted(right)).unwrap());
    }
    let members = Tensor::arange(0, 400, 4);
    let expected = values.fmod(4).eq(0).bitwise_and(values.ge(0));
    assert!(values.isin(&members, false).equal(&expected).unwrap());
    let few = floats(&[f32::NAN, 1.0]);
    let many = Tensor::cat(&[&few, &Tensor::zeros([100])], 0);
    assert_eq!(numbers(&few.isin(&many, false)), [0.0, 1.0]);
    assert_eq!(numbers(&few.isin(&many, true)), [1.0, 0.0]);
}

#[test]
fn the_mode_of_many_elements_takes_no_square_of_them() {
    let x = Tensor::arange(0, 200_000, 1).fmod(70_001);
    let (value, place) = x.mode(0);
    assert_eq!(value.item::<i64>().unwrap(), 0);
    assert_eq!(place.item::<i64>().unwrap() % 70_001, 0);
    let rows = Tensor::from_vec(vec![3i64, 1, 1, 2, 2, 5, 4, 4, 5, 5], [2, 5]);
    assert_eq!(numbers(&rows.mode(1).0), [1.0, 5.0]);
    assert_eq!(
        numbers(&floats(&[f32::NAN, f32::NAN, 7.0]).mode(0).0),
        [7.0]
    );
}

#[test]
fn incomplete_gamma_functions_at_infinity() {
    let inf = f32::INFINITY;
    let a = floats(&[1.0, inf, 0.0, 1.0, inf, 2.0, f32::NAN, 0.0, inf]);
    let x = floats(&[inf, 1.0, inf, 0.0, inf, -1.0, 1.0, 0.0, 0.0]);
    let shown = |t: Tensor| format!("{:?}", numbers(&t));
    assert_eq!(
        shown(a.igamma(&x)),
        "[1.0, 0.0, 1.0, 0.0, NaN, NaN, NaN, NaN, 0.0]"
    );
    assert_eq!(
        shown(a.igammac(&x)),
        "[0.0, 1.0, 0.0, 1.0, NaN, NaN, NaN, NaN, 1.0]"
    );
}

#[test]
fn the_upper_factor_of_what_is_not_a_number_is_none_either() {
    let x = Tensor::eye(3).mul(f64::NAN).cast(DType::F64);
    let (q, r) = x.qr(QrMode::Reduced);
    assert!(numbers(&q).iter().all(|v| v.is_nan()));
    let upper = r
        .isnan()
        .equal(&Tensor::ones([3, 3]).triu().cast(DType::Bool));
    assert!(upper.unwrap(), "{r}");
}

#[test]
fn equations_with_two_ellipses_in_a_term_are_errors() {
    let x = Tensor::zeros([2, 3]);
    for equation in ["i...j...", "......", "ij->......", "i...->...i..."] {
        refused(
            &Tensor::einsum(equation, &[&x]),
            ErrorKind::Argument,
            "einsum",
        );
    }
}

#[test]
fn normalisations_over_no_axes_are_errors() {
    let x = Tensor::ones([2, 2]);
    refused(
        &x.layer_norm(0, None, None, 1e-5),
        ErrorKind::Argument,
        "layer_norm",
    );
    refused(&x.rms_norm(0, None, None), ErrorKind::Argument, "rms_norm");
}

#[test]
fn transforms_of_minus_one_point_are_errors() {
    let x = Tensor::ones([4]);
    let minus = FftOptions {
        len: Some((-1i64).into()),
        ..FftOptions::default()
    };
    refused(&x.fft(&minus), ErrorKind::Argument, "fft");
    refused(&x.rfft(&minus), ErrorKind::Argument, "rfft");
    let keeps = FftNOptions {
        sizes: Some(vec![(-1i64).into()]),
        ..FftNOptions::default()
    };
    assert_eq!(x.fftn(&keeps).dims().unwrap(), [4]);
}

#[test]
fn running_products_of_complex_numbers_stay_zero_after_a_zero() {
    let z = Tensor::complex(
        &floats(&[1.0, 0.0, 2.0, 3.0]),
        &floats(&[1.0, 0.0, 1.0, -1.0]),
    );
    let z = z.with_grad();
    let y = z.cumprod(0);
    assert_eq!(numbers(&y.abs().square().round()), [2.0, 0.0, 0.0, 0.0]);
    let slope = grad(&[&y.real().sum(..)], &[&z]).unwrap().remove(0);
    assert_eq!(numbers(&slope.real()), [1.0, 8.0, 0.0, 0.0]);
    assert_eq!(numbers(&slope.imag()), [0.0, -12.0, 0.0, 0.0]);
}

#[test]
fn gradients_need_results_and_tensors_and_hessians_one_element() {
    let x = Tensor::ones([3]).with_grad();
    let kind = |e: Error| e.kind();
    assert_eq!(
        grad(&[], &[&x]).map_err(kind).unwrap_err(),
        ErrorKind::Argument
    );
    assert_eq!(
        grad(&[&x.sum(..)], &[]).map_err(kind).unwrap_err(),
        ErrorKind::Argument
    );
    let error = hessian(|x| x.square(), &Tensor::ones([3])).and_then(|h| h.realize());
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Gradient);
    let v = Tensor::ones([3]);
    let error = vhp(|x| x.square(), &v, &v).and_then(|(_, p)| p.realize());
    assert_eq!(error.unwrap_err().op(), "vhp");
}

#[test]
fn dropout_in_attention_is_no_reason_to_lose_the_place() {
    let x = Tensor::zeros([2, 3]);
    let options = AttentionOptions {
        dropout: 2.0,
        ..AttentionOptions::default()
    };
    let error = x
        .scaled_dot_product_attention_with(&x, &x, &options)
        .check();
    assert_eq!(error.unwrap_err().place().unwrap().file(), file!());
}

#[test]
fn few_of_many_are_those_that_sorting_gives() {
    let wild = [
        f32::NAN,
        -0.0,
        0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        -1.5,
        1e-40,
        f32::NAN,
    ];
    let spread = Tensor::randn([3, 1200]).mul(4.0).round();
    let wild = floats(&wild).expand([3, 8]);
    let floats = Tensor::cat(&[&wild, &spread, &wild], 1);
    let of = |dtype| {
        floats
            .nan_to_num_with(0.0, Some(9.0), Some(-9.0))
            .cast(dtype)
    };
    let bools = floats.gt(0);
    let all = [
        of(DType::I8),
        of(DType::I32),
        floats.cast(DType::F16),
        bools,
        floats.clone(),
    ];
    for x in &all {
        for (axis, x) in [(1, x.clone()), (0, x.t())] {
            for largest in [false, true] {
                let (values, places) = x.topk_with(9, axis, largest);
                let (sorted, order) = x.sort_with(axis, largest);
                let first = |t: &Tensor| t.narrow(axis, 0, 9);
                assert!(places.equal(&first(&order)).unwrap(), "{places} {order}");
                let bits = |t: &Tensor| format!("{:?}", numbers(t));
                assert_eq!(bits(&values), bits(&first(&sorted)));
            }
        }
    }
    let x = Tensor::arange(0, 2000, 1).cast(DType::F32).with_grad();
    let slope = grad(&[&x.topk(3, 0).0.square().sum(..)], &[&x])
        .unwrap()
        .remove(0);
    assert_eq!(
        numbers(&slope.narrow(0, 1996, 4)),
        [0.0, 3994.0, 3996.0, 3998.0]
    );
    refused(&x.topk(2001, 0).0, ErrorKind::Shape, "topk");
}

#[test]
fn far_below_its_domain_acosh_is_nan_and_infinite_sides_are_infinitely_long() {
    let x = Tensor::from_vec(vec![-1e5f32, -1e7, -1e20, 0.5, 1.0, 1e20], [6]);
    let y = x.acosh().to_vec::<f32>().unwrap();
    assert!(y[..4].iter().all(|v| v.is_nan()), "{y:?}");
    assert!(y[4] == 0.0 && (y[5] - 46.744_85).abs() < 1e-4, "{y:?}");
    let inf = f32::INFINITY;
    let sides = Tensor::from_vec(vec![inf, -inf, f32::NAN, 3.0, 0.0], [5]);
    let others = Tensor::from_vec(vec![f32::NAN, 1.0, 1.0, 4.0, 0.0], [5]);
    let lengths = sides.hypot(&others).to_vec::<f32>().unwrap();
    assert_eq!(lengths[..2], [inf, inf]);
    assert!(lengths[2].is_nan());
    assert_eq!(lengths[3..], [5.0, 0.0]);
    let parts = Tensor::from_vec(vec![inf, 1.0, 1.0, 7.0, f32::MAX], [5]);
    let by = Tensor::from_vec(vec![2.0f32, 0.0, inf, 2.0, 1e-10], [5]);
    let whole = parts.floor_divide(&by).to_vec::<f32>().unwrap();
    assert!(whole[0].is_nan(), "{whole:?}");
    assert_eq!(whole[1..], [inf, 0.0, 3.0, inf]);
}

#[test]
fn updates_of_a_tensor_without_elements_are_out_of_range() {
    let index = Tensor::from_vec(vec![7i64], [1, 1]);
    let sum = Tensor::zeros([2, 0]).scatter_add(1, &index, &Tensor::ones([1, 1]));
    let error = sum.realize().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fault, "{error}");
}

/// 2^24 and more ones than an f32 counts up to one by one.
fn saturating(rows: usize, columns: usize) -> Vec<f32> {
    let mut numbers = vec![1.0; rows * columns];
    numbers[..columns].fill(16_777_216.0);
    numbers
}

#[test]
fn long_sums_are_as_exact_in_programs_for_any_size() {
    let sums = |rows: usize, columns: usize| {
        let x = Tensor::from_vec(saturating(rows, columns), [rows, columns]);
        let ones = Tensor::ones([1, rows]);
        let all = [x.sum(0), x.t().sum(1), ones.matmul(&x).sum(0)];
        all.map(|sum| sum.to_vec::<f32>().unwrap())
    };
    // Several sizes make a program for any.
    for (rows, columns) in [(300, 5), (400, 6), (500, 7)] {
        sums(rows, columns);
    }
    let exact = 16_777_216.0 + 99_999.0;
    for found in sums(100_000, 3).into_iter().flatten() {
        assert!((found - exact).abs() <= 4200.0, "{found}, not {exact}");
    }
}

#[test]
fn running_sums_are_not_rounded_at_every_element() {
    let rows = 100_000;
    for columns in [1, 3] {
        let x = Tensor::from_vec(saturating(rows, columns), [rows, columns]);
        for last in [x.cumsum(0).i(-1), x.t().cumsum(1).i((.., -1))] {
            let found = last.to_vec::<f32>().unwrap();
            // Even numbers are exact here.
            assert_eq!(found, vec![16_777_216.0 + 100_000.0; columns]);
        }
    }
}

#[test]
fn tensors_with_more_axes_than_kernels_have_ranges_are_computed() {
    for rank in [15usize, 16, 17, 18] {
        let x = Tensor::iota(1 << rank).reshape(vec![2usize; rank]);
        let turned = x.permute((0..rank as i64).rev().collect::<Vec<_>>());
        let reversed = |i: u64| i64::from((i as u32).reverse_bits() >> (32 - rank));
        let expected: Vec<i64> = (0..1 << rank).map(reversed).collect();
        assert_eq!(turned.to_vec::<i64>().unwrap(), expected);
        let sums = turned.sum([1, 3]).reshape([-1]).i(1).item::<i64>().unwrap();
        // The last axis of the turned tensor is the first one of the other.
        let last = 1 << (rank - 1);
        let summed = [1 << 1, 1 << 3];
        assert_eq!(sums, 4 * last + 2 * (summed[0] + summed[1]));
    }
}

#[test]
fn steps_and_paddings_that_are_too_large_say_so() {
    use lazulite::nn::{Conv2d, Layer};
    let failure_of = |t: Tensor| t.check().unwrap_err();
    let x = Tensor::ones([5]);
    for step in [i64::MIN, i64::MAX] {
        let e = failure_of(x.i(strided(.., step)));
        let expected =
            format!("a step of {step} is too long: steps go up to 4611686018427387904 either way");
        assert_eq!(e.message(), expected);
    }
    assert_eq!(x.i(strided(.., 1 << 62)).to_vec::<f32>().unwrap(), [1.0]);
    assert_eq!(x.i(strided(.., -(1 << 62))).to_vec::<f32>().unwrap(), [1.0]);
    let conv = Conv2d::new(1, 1, 3).padding(1_000_000_000);
    let e = failure_of(conv.forward(&Tensor::ones([1, 1, 4, 4])));
    let expected = "1000000000 is too large: sizes and counts go up to 268435456 here";
    assert_eq!(e.message(), expected);
}
