//! Tensors as text, against what PyTorch prints for the same values. Two deliberate differences: bools
//! are `true` and `false`, and element types have this library's names.

use lazulite::prelude::*;

fn shows(tensor: &Tensor, expected: &str) {
    let text = tensor.to_string();
    assert_eq!(text, expected, "\nfound:\n{text}\nexpected:\n{expected}");
}

fn floats(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, [values.len()])
}

#[test]
fn floats_have_four_decimals_or_none() {
    shows(&floats(&[1.0, 2.0, 3.0]), "tensor([1., 2., 3.])");
    shows(
        &floats(&[1.5, -2.25, 3.0]),
        "tensor([ 1.5000, -2.2500,  3.0000])",
    );
    shows(&floats(&[0.1]), "tensor([0.1000])");
    shows(&floats(&[100.0, -2.0]), "tensor([100.,  -2.])");
    shows(&floats(&[0.0, -0.0]), "tensor([0., -0.])");
}

#[test]
fn magnitudes_far_apart_are_scientific() {
    shows(&floats(&[1e-5, 1.0]), "tensor([1.0000e-05, 1.0000e+00])");
    shows(&floats(&[1e10]), "tensor([1.0000e+10])");
    shows(&floats(&[0.5, 1234.5]), "tensor([5.0000e-01, 1.2345e+03])");
    shows(&floats(&[100_000_000.0]), "tensor([100000000.])");
    shows(
        &floats(&[1.0, 10_000.0]),
        "tensor([1.0000e+00, 1.0000e+04])",
    );
    shows(&floats(&[1.5, 1e8]), "tensor([1.5000e+00, 1.0000e+08])");
    shows(
        &floats(&[-1e-20, 0.0]),
        "tensor([-1.0000e-20,  0.0000e+00])",
    );
}

#[test]
fn nan_and_infinities_are_aligned() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    shows(&floats(&[nan, 1.0]), "tensor([nan, 1.])");
    shows(
        &floats(&[inf, -inf, 1.5]),
        "tensor([   inf,   -inf, 1.5000])",
    );
    shows(&floats(&[nan, inf]), "tensor([nan, inf])");
}

#[test]
fn zero_dimensional_tensors_have_no_brackets() {
    shows(&Tensor::scalar(3.5f32), "tensor(3.5000)");
    shows(&Tensor::scalar(-2.0f32), "tensor(-2.)");
    shows(&Tensor::scalar(7i64), "tensor(7)");
    shows(&Tensor::scalar(7u8), "tensor(7, dtype=u8)");
}

#[test]
fn integers_and_bools_share_a_width() {
    shows(
        &Tensor::from_vec(vec![1i64, -20, 300], [3]),
        "tensor([  1, -20, 300])",
    );
    shows(
        &Tensor::from_vec(vec![true, false], [2]),
        "tensor([ true, false])",
    );
    shows(&Tensor::from_vec(vec![true], [1]), "tensor([true])");
    shows(
        &Tensor::from_vec(vec![u64::MAX], [1]),
        "tensor([18446744073709551615], dtype=u64)",
    );
}

#[test]
fn types_other_than_the_defaults_are_named() {
    shows(&Tensor::from_vec(vec![1i32], [1]), "tensor([1], dtype=i32)");
    shows(
        &Tensor::from_vec(vec![1.0f64], [1]),
        "tensor([1.], dtype=f64)",
    );
    shows(
        &Tensor::ones([1]).cast(DType::BF16),
        "tensor([1.], dtype=bf16)",
    );
}

#[test]
fn axes_nest_with_blank_lines_between() {
    let matrix = Tensor::iota(6).reshape([2, 3]);
    shows(&matrix, "tensor([[0, 1, 2],\n        [3, 4, 5]])");
    let cube = Tensor::iota(8).reshape([2, 2, 2]);
    let expected = "tensor([[[0, 1],\n         [2, 3]],\n\n        [[4, 5],\n         [6, 7]]])";
    shows(&cube, expected);
}

#[test]
fn empty_tensors_say_their_sizes() {
    shows(&Tensor::zeros([0]), "tensor([])");
    shows(&Tensor::zeros([2, 0]), "tensor([], size=(2, 0))");
    shows(&Tensor::iota(0), "tensor([], dtype=i64)");
}

#[test]
fn large_tensors_show_their_edges() {
    let expected = "tensor([   0,    1,    2,  ..., 1998, 1999, 2000])";
    shows(&Tensor::iota(2001), expected);
    // A thousand elements are still shown in full.
    assert!(!Tensor::iota(1000).to_string().contains("..."));
    let expected = "\
tensor([[   0,    1,    2,  ...,   97,   98,   99],
        [ 100,  101,  102,  ...,  197,  198,  199],
        [ 200,  201,  202,  ...,  297,  298,  299],
        ...,
        [9700, 9701, 9702,  ..., 9797, 9798, 9799],
        [9800, 9801, 9802,  ..., 9897, 9898, 9899],
        [9900, 9901, 9902,  ..., 9997, 9998, 9999]])";
    shows(&Tensor::iota(10_000).reshape([100, 100]), expected);
}

#[test]
fn long_rows_wrap_where_pytorch_wraps() {
    let expected = "\
tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,
        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])";
    shows(&Tensor::iota(30), expected);
}

#[test]
fn complex_numbers_show_both_parts() {
    let z = Tensor::complex(&floats(&[1.0, -2.5]), &floats(&[-1.0, 0.5]));
    shows(&z, "tensor([ 1.0000-1.0000j, -2.5000+0.5000j])");
}

#[test]
fn debug_computes_nothing() {
    let x = Tensor::ones([2, 3]) + 1;
    assert!(format!("{x:?}").contains("f32"), "{x:?}");
    assert!(!x.is_realized());
    let wrong = Tensor::ones([2]).matmul(&Tensor::ones([3]));
    assert!(format!("{wrong:?}").contains("<error"), "{wrong:?}");
    assert!(wrong.to_string().contains("inner sizes 2 and 3"), "{wrong}");
}
