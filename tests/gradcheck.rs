//! First and second derivatives of operations of every family, held against differences in f64.
//!
//! The reference interpreter computes them: that compiled programs agree with it is tested
//! elsewhere, and nothing needs to be compiled here.

use lazulite::prelude::*;
use lazulite::{
    ClassOptions, Complex, ConvOptions, DType, FftOptions, GradCheck, Interpolation, PadMode,
    Padding, QrMode, Reduction, ResampleMode, ScatterReduce, Stage, Tolerance, gradcheck,
    gradgradcheck,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

type Function = dyn Fn(&[Tensor]) -> Vec<Tensor>;

/// A function with the arguments to differentiate it at.
struct Case {
    name: &'static str,
    function: Box<Function>,
    arguments: Vec<Tensor>,
}

/// Distinct numbers between two others, in no order.
fn spread(dims: &[usize], low: f64, high: f64) -> Tensor {
    let count: usize = dims.iter().product();
    let numbers = (0..count).map(|i| {
        let place = (i as f64 * 0.618_033_988_749_894_9 + 0.27).fract();
        low + (high - low) * place
    });
    Tensor::from_vec(numbers.collect::<Vec<f64>>(), dims)
}

fn plane(dims: &[usize]) -> Tensor {
    let parts = [spread(dims, -1.5, 1.2), spread(dims, 0.3, 1.7).flip([-1])];
    Tensor::complex(&parts[0], &parts[1])
}

fn padded() -> ConvOptions {
    ConvOptions {
        padding: Padding::Each(vec![1, 1]),
        stride: vec![2, 2],
        ..ConvOptions::default()
    }
}

fn places(values: &[i64], dims: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), dims)
}

fn case(
    name: &'static str,
    arguments: Vec<Tensor>,
    function: impl Fn(&[Tensor]) -> Vec<Tensor> + 'static,
) -> Case {
    Case {
        name,
        function: Box::new(function),
        arguments,
    }
}

/// Functions of one tensor, each at the same numbers.
macro_rules! at {
    ($x:expr; $($name:literal: |$a:ident| $body:expr;)*) => {
        vec![$(case($name, vec![$x], |args| {
            let $a = &args[0];
            vec![$body]
        })),*]
    };
}

/// Functions of two tensors, each at the same numbers.
macro_rules! at_two {
    ($x:expr, $y:expr; $($name:literal: |$a:ident, $b:ident| $body:expr;)*) => {
        vec![$(case($name, vec![$x, $y], |args| {
            let ($a, $b) = (&args[0], &args[1]);
            vec![$body]
        })),*]
    };
}

fn hold(cases: Vec<Case>) {
    let mut options = lazulite::options();
    options.interpret = true;
    lazulite::set_options(options).unwrap();
    let tolerance = GradCheck::default();
    let mut wrong = Vec::new();
    for case in cases {
        let arguments: Vec<&Tensor> = case.arguments.iter().collect();
        let first = gradcheck(&case.function, &arguments, &tolerance);
        let second = gradgradcheck(&case.function, &arguments, &tolerance);
        for error in [first, second].into_iter().filter_map(Result::err) {
            wrong.push(format!("{}: {error}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn functions_of_one_real_element() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at! { spread(&[4], -1.9, 1.7);
        "neg": |x| x.neg(); "abs": |x| x.abs(); "square": |x| x.square(); "exp": |x| x.exp();
        "expm1": |x| x.expm1(); "exp2": |x| x.exp2(); "sin": |x| x.sin(); "cos": |x| x.cos();
        "tan": |x| x.mul(0.6).tan(); "sinh": |x| x.sinh(); "cosh": |x| x.cosh(); "tanh": |x| x.tanh();
        "atan": |x| x.atan(); "asinh": |x| x.asinh(); "erf": |x| x.erf(); "sinc": |x| x.sinc();
        "reciprocal": |x| x.reciprocal(); "pow 3": |x| x.pow(3.0); "pow -2": |x| x.pow(-2.0);
        "sigmoid": |x| x.sigmoid(); "relu": |x| x.relu(); "silu": |x| x.silu(); "gelu": |x| x.gelu();
        "gelu_tanh": |x| x.gelu_tanh(); "celu": |x| x.celu_with(1.3); "elu": |x| x.elu_with(0.7);
        "selu": |x| x.selu(); "hardshrink": |x| x.hardshrink(); "softshrink": |x| x.softshrink();
        "hardsigmoid": |x| x.hardsigmoid(); "hardswish": |x| x.hardswish();
        "hardtanh": |x| x.hardtanh_with(-1.0, 1.0); "leaky_relu": |x| x.leaky_relu_with(0.1);
        "logsigmoid": |x| x.logsigmoid(); "mish": |x| x.mish(); "relu6": |x| x.relu6();
        "softplus": |x| x.softplus_with(2.0, 20.0); "softsign": |x| x.softsign();
        "tanhshrink": |x| x.tanhshrink(); "threshold": |x| x.threshold(0.1, 3.0);
        "clamp": |x| x.clamp(-1.0, 0.9); "frac": |x| x.frac(); "frexp": |x| x.frexp().0;
        "nan_to_num": |x| x.nan_to_num(); "deg2rad": |x| x.deg2rad();
        "masked": |x| x.gt(0).where_(x.log(), 0.0); "cast": |x| x.cast(DType::F64).mul(x);
        "detach": |x| x.mul(x.mul(0.0).detach().add(2.0));
    });
    cases
}

fn functions_of_one_positive_element() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at! { spread(&[4], 0.1, 0.9);
        "sqrt": |x| x.sqrt(); "rsqrt": |x| x.rsqrt(); "log": |x| x.log(); "log1p": |x| x.log1p();
        "log2": |x| x.log2(); "log10": |x| x.log10(); "asin": |x| x.asin(); "acos": |x| x.acos();
        "atanh": |x| x.atanh(); "acosh": |x| x.add(1.0).acosh(); "logit": |x| x.logit();
        "entr": |x| x.entr(); "erfc": |x| x.erfc(); "erfcx": |x| x.erfcx(); "erfinv": |x| x.erfinv();
        "ndtr": |x| x.ndtr(); "log_ndtr": |x| x.log_ndtr(); "ndtri": |x| x.ndtri();
        "lgamma": |x| x.add(0.5).lgamma(); "digamma": |x| x.add(0.5).digamma();
        "polygamma": |x| x.add(0.5).polygamma(1); "multigammaln": |x| x.add(2.0).multigammaln(2);
        "pow 0.5": |x| x.pow(0.5);
    });
    cases
}

fn functions_of_two_elements() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at_two! { spread(&[3], 0.2, 1.9), spread(&[2, 1], 0.3, 2.2);
        "add": |x, y| x.add(y); "sub": |x, y| x.sub(y); "mul": |x, y| x.mul(y); "div": |x, y| x.div(y);
        "rem": |x, y| x.fmod(y); "remainder": |x, y| x.remainder(y); "pow": |x, y| x.pow(y);
        "maximum": |x, y| x.maximum(y); "minimum": |x, y| x.minimum(y); "fmax": |x, y| x.fmax(y);
        "fmin": |x, y| x.fmin(y); "atan2": |x, y| x.atan2(y.neg()); "hypot": |x, y| x.hypot(y);
        "copysign": |x, y| x.copysign(y.neg()); "ldexp": |x, y| x.ldexp(y);
        "logaddexp": |x, y| x.logaddexp(y); "logaddexp2": |x, y| x.logaddexp2(y);
        "xlogy": |x, y| x.xlogy(y); "xlog1py": |x, y| x.xlog1py(y);
        "nextafter": |x, y| x.nextafter(y).square(); "where": |x, y| x.gt(y).where_(x.square(), y.sin());
        "lerp": |x, y| x.broadcast_with(y).lerp(&y.broadcast_with(x), 0.3);
        "addcmul": |x, y| x.addcmul_with(y, y, 0.5); "addcdiv": |x, y| x.addcdiv_with(x, y, 0.5);
        "masked_fill": |x, y| x.masked_fill(&x.gt(1.0), 2.0).mul(y); "prelu": |x, y| x.neg().prelu(&y.ravel().select(0, 0).unsqueeze(0));
        "float_power": |x, y| x.float_power(y);
    });
    cases
}

fn functions_of_complex_elements() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at! { plane(&[3]);
        "neg": |z| z.neg(); "exp": |z| z.exp(); "log": |z| z.log(); "sin": |z| z.sin();
        "cos": |z| z.cos(); "tanh": |z| z.tanh(); "sqrt": |z| z.sqrt(); "abs": |z| z.abs();
        "angle": |z| z.angle(); "conj": |z| z.conj().mul(z); "real": |z| z.real().square();
        "imag": |z| z.imag().mul(z.real()); "sgn": |z| z.sgn(); "reciprocal": |z| z.reciprocal();
        "square": |z| z.square(); "pow": |z| z.pow(2.5); "sigmoid": |z| z.sigmoid();
        "silu": |z| z.silu(); "gelu_tanh": |z| z.mul(0.3).gelu_tanh();
        "sum": |z| z.sum(..); "prod": |z| z.prod(..); "cumprod": |z| z.cumprod(0);
        "view_as_real": |z| z.view_as_real().square(); "mean": |z| z.mean(..);
        "vector_norm": |z| z.vector_norm(2.0, ..); "var": |z| z.var(..);
        "asin": |z| z.asin(); "atan": |z| z.atan(); "acosh": |z| z.acosh(); "logsumexp": |z| z.logsumexp(0);
    });
    cases.extend(
        at_two! { plane(&[2, 2]), plane(&[2, 2]).mul(Complex::new(0.4, 0.9));
            "mul": |x, y| x.mul(y); "div": |x, y| x.div(y); "pow": |x, y| x.pow(y); "matmul": |x, y| x.matmul(y);
            "polar": |x, y| Tensor::polar(&x.real(), &y.imag()); "vdot": |x, y| x.ravel().vdot(&y.ravel());
            "complex": |x, y| Tensor::complex(&x.abs(), &y.real()).square();
        },
    );
    cases
}

fn reductions_and_scans() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at! { spread(&[2, 3], -1.6, 1.8);
        "sum": |x| x.sum(0).square(); "mean": |x| x.mean(-1).exp(); "prod": |x| x.prod(1);
        "prod of all": |x| x.prod(..); "amax": |x| x.amax(1).square(); "amin": |x| x.amin(..).square();
        "var": |x| x.var(1); "std": |x| x.std_with(0, 0); "logsumexp": |x| x.logsumexp(1);
        "softmax": |x| x.softmax(0); "log_softmax": |x| x.log_softmax(1); "softmin": |x| x.softmin(1);
        "cumsum": |x| x.cumsum(0).square(); "cumprod": |x| x.cumprod(1);
        "cummax": |x| x.cummax(1).0.square(); "cummin": |x| x.cummin(0).0.square();
        "logcumsumexp": |x| x.logcumsumexp(1); "nansum": |x| x.square().nansum(..);
        "norm 1": |x| x.vector_norm(1.0, 1); "norm 2": |x| x.vector_norm(2.0, ..);
        "norm 3": |x| x.vector_norm(3.0, 0); "norm inf": |x| x.vector_norm(f64::INFINITY, 1).square();
        "norm 0.5": |x| x.vector_norm(0.5, 1); "renorm": |x| x.renorm(2.0, 0, 0.7);
        "sort": |x| x.sort_with(1, true).0.square(); "topk": |x| x.topk(2, 1).0.exp();
        "kthvalue": |x| x.kthvalue(2, 1).0.square(); "median": |x| x.median(1).0.square();
        "quantile": |x| x.quantile_with(&Tensor::full((), 0.4).cast(DType::F64), 1, Interpolation::Linear).square();
        "max": |x| x.max_dim(0).0.square(); "diff": |x| x.diff(1).square();
        "cov": |x| x.cov(1.0, None, None); "corrcoef": |x| x.square().corrcoef(); "pdist": |x| x.pdist(2.0);
        "normalize": |x| x.normalize(1); "trapezoid": |x| x.trapezoid(0.5, 1).square();
        "gradient": |x| x.square().gradient(&[lazulite::Spacing::Step(1.0)], &[1], 1).remove(0);
    });
    cases
}

fn products_with_zeros() -> Vec<Case> {
    let mut cases = Vec::new();
    let x = || Tensor::from_vec(vec![2.0, 0.0, 3.0, 0.0, 0.0, -1.5], [2, 3]);
    cases.extend(at! { x();
        "prod": |x| x.prod(1); "prod of all": |x| x.prod(..); "cumprod": |x| x.cumprod(1);
        "cumprod down": |x| x.cumprod(0);
    });
    cases
}

fn movement() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at! { spread(&[2, 3], -1.6, 1.8);
        "reshape": |x| x.reshape([3, 2]).square(); "permute": |x| x.permute([1, 0]).exp();
        "expand": |x| x.unsqueeze(0).expand([2, 2, 3]).square(); "flip": |x| x.flip([0, 1]).square();
        "pad": |x| x.pad([(1, 0), (-1, 2)], 2.0).square(); "narrow": |x| x.narrow(1, 1, 2).square();
        "strided": |x| x.i((.., strided(.., 2))).square(); "unfold": |x| x.unfold(1, 2, 1).square();
        "roll": |x| x.roll([1, 1], [0, 1]).square(); "repeat": |x| x.repeat([2, 2]).square();
        "tril": |x| x.tril().square(); "diagonal": |x| x.diagonal().exp();
        "diag_embed": |x| x.diag_embed(0, -2, -1).square(); "trace": |x| x.square().trace();
        "as_strided": |x| x.as_strided(&[2, 2], &[1, 2], 1).square(); "rot90": |x| x.rot90(1, [0, 1]).exp();
        "split": |x| x.split(2, 1).remove(1).square(); "circular": |x| x.pad_last(&[1, 1], PadMode::Circular).square();
        "reflect": |x| x.pad_last(&[1, 1], PadMode::Reflect).square();
        "replicate": |x| x.pad_last(&[2, 1], PadMode::Replicate).square();
        "vander": |x| x.ravel().vander(Some(3), true);
    });
    cases.extend(
        at_two! { spread(&[2, 3], -1.6, 1.8), spread(&[2, 3], 0.4, 1.8);
            "cat": |x, y| Tensor::cat(&[x, y, x], 0).square(); "stack": |x, y| Tensor::stack(&[x, y], 1).exp();
            "block_diag": |x, y| Tensor::block_diag(&[x, y]).square();
            "as_strided_scatter": |x, y| x.as_strided_scatter(y, &[2, 3], &[1, 2], 0).square();
            "diagonal_scatter": |x, y| x.diagonal_scatter(&y.select(0, 0).narrow(0, 0, 2), 0, 0, 1).square();
            "cdist": |x, y| x.cdist(y); "dist": |x, y| x.dist(y);
        },
    );
    cases
}

fn gathers_and_scatters() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(
        at_two! { spread(&[2, 3], -1.6, 1.8), spread(&[2, 3], 0.4, 1.8);
            "index_select": |x, y| x.index_select(1, &places(&[2, 0, 2], &[3])).mul(y);
            "gather": |x, y| x.gather(1, &places(&[1, 1, 0, 2, 0, 0], &[2, 3])).mul(y);
            "scatter": |x, y| x.scatter(1, &places(&[1, 2, 0, 2, 0, 1], &[2, 3]), y).square();
            "scatter_add": |x, y| x.scatter_add(1, &places(&[1, 1, 0, 2, 2, 2], &[2, 3]), y).square();
            "scatter prod": |x, y| x.scatter_reduce(1, &places(&[1, 1, 0, 2, 2, 2], &[2, 3]), y, ScatterReduce::Prod, true);
            "scatter amax": |x, y| x.scatter_reduce(1, &places(&[1, 1, 0, 2, 2, 2], &[2, 3]), y, ScatterReduce::Amax, true).square();
            "scatter mean": |x, y| x.scatter_reduce(1, &places(&[1, 1, 0, 2, 2, 2], &[2, 3]), y, ScatterReduce::Mean, true).square();
            "index_add": |x, y| x.index_add(1, &places(&[2, 0, 2], &[3]), y, 0.5).square();
            "index_copy": |x, y| x.index_copy(1, &places(&[2, 0, 1], &[3]), y).square();
            "take": |x, y| x.take(&places(&[5, 0, 0], &[3])).mul(y); "put": |x, y| x.put(&places(&[5, 0, 3], &[3]), &y.select(0, 0), true).square();
            "index_put": |x, y| x.index_put(places(&[0, 0], &[2]), y, true).square();
            "masked_scatter": |x, y| x.masked_scatter(&x.gt(0), y).square();
            "select_scatter": |x, y| x.select_scatter(&y.select(0, 1), 0, 0).square();
            "slice_scatter": |x, y| x.slice_scatter(&y.narrow(1, 0, 2), 1, Some(0), Some(3), 2).square();
            "embedding": |x, y| x.embedding(&places(&[1, 0], &[2])).mul(y);
        },
    );
    cases
}

fn products() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(
        at_two! { spread(&[2, 3], -1.6, 1.8), spread(&[3, 2], -0.9, 1.3);
            "matmul": |x, y| x.matmul(y); "einsum": |x, y| Tensor::einsum("ij,jk,ik->k", &[x, y, &x.matmul(y)]);
            "outer": |x, y| x.ravel().outer(&y.ravel()); "inner": |x, y| x.inner(&y.t());
            "kron": |x, y| x.kron(y); "tensordot": |x, y| x.tensordot(y, &[1, 0], &[0, 1]);
            "linear": |x, y| x.linear(&y.t(), None); "cross": |x, y| x.cross(&y.t(), 1);
            "matrix_power": |x, y| x.matmul(y).matrix_power(3); "vecdot": |x, y| x.vecdot(&y.t(), -1);
            "cosine": |x, y| x.cosine_similarity_with(&y.t(), 1, 1e-8); "pairwise": |x, y| x.pairwise_distance_with(&y.t(), 2.0, 1e-6);
            "addmm": |x, y| x.matmul(y).addmm(x, y, 0.5, 2.0); "bilinear": |x, y| x.bilinear(x, &y.t().unsqueeze(1).mul(x.unsqueeze(-1)), None);
        },
    );
    cases
}

fn windows() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(
        at_two! { spread(&[1, 2, 4, 3], -1.6, 1.8), spread(&[2, 2, 2, 2], -0.9, 1.3);
            "conv": |x, y| x.conv(y, None);
            "conv_transpose": |x, y| x.conv_transpose_with(y, None, &padded());
        },
    );
    cases.extend(at! { spread(&[1, 1, 4, 4], -1.6, 1.8);
        "max_pool": |x| x.max_pool([2, 2]).square();
        "avg_pool": |x| x.avg_pool([2, 2]).square();
        "lp_pool": |x| x.abs().lp_pool(3.0, [2, 2]);
        "adaptive_avg_pool": |x| x.adaptive_avg_pool(&[Some(3), Some(2)]).square();
        "adaptive_max_pool": |x| x.adaptive_max_pool(&[Some(3), Some(2)]).0.square();
        "unpool": |x| x.max_unpool(&places(&(0..16).rev().collect::<Vec<_>>(), &[1, 1, 4, 4]), &[5, 5]).square();
        "bilinear": |x| x.interpolate(&[5, 3], None, ResampleMode::Linear, false).square();
        "bicubic": |x| x.interpolate(&[5, 3], None, ResampleMode::Cubic, true).square();
        "pixel_shuffle": |x| x.pixel_unshuffle(2).square(); "local_response": |x| x.local_response_norm(2, 0.5, 0.75, 1.0);
    });
    cases
}

fn normalisations_and_attention() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at! { spread(&[2, 4, 3], -1.6, 1.8);
        "layer_norm": |x| x.layer_norm(1, None, None, 1e-5); "rms_norm": |x| x.rms_norm(1, None, None);
        "group_norm": |x| x.group_norm(2, None, None, 1e-5); "glu": |x| x.glu(1);
        "batch_norm": |x| x.batch_norm(None, None, None, true, 1e-5);
        "instance_norm": |x| x.instance_norm(None, None, None, true, 1e-5);
    });
    cases.extend(vec![
        case(
            "layer_norm with weights",
            vec![
                spread(&[2, 3], -1.0, 1.4),
                spread(&[3], 0.5, 1.5),
                spread(&[3], -1.0, 1.0),
            ],
            |a| vec![a[0].layer_norm(1, Some(&a[1]), Some(&a[2]), 1e-5)],
        ),
        case(
            "attention",
            vec![
                spread(&[2, 3], -1.0, 1.4),
                spread(&[3, 3], 0.5, 1.5),
                spread(&[3, 2], -1.0, 1.0),
            ],
            |a| vec![a[0].scaled_dot_product_attention(&a[1], &a[2])],
        ),
    ]);
    cases
}

fn losses() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(
        at_two! { spread(&[2, 3], 0.1, 0.9), spread(&[2, 3], 0.2, 0.8);
            "mse": |x, y| x.mse_loss(y); "l1": |x, y| x.l1_loss_with(y, Reduction::Sum).square();
            "smooth_l1": |x, y| x.smooth_l1_loss_with(y, 0.3, Reduction::None); "huber": |x, y| x.huber_loss_with(y, 0.3, Reduction::None);
            "bce": |x, y| x.binary_cross_entropy_with(y, None, Reduction::Mean);
            "bce logits": |x, y| x.binary_cross_entropy_with_logits_with(y, None, None, Reduction::None);
            "kl": |x, y| x.log().kl_div_with(y, false, Reduction::Sum); "poisson": |x, y| x.poisson_nll_loss_with(y, true, false, 1e-8, Reduction::None);
            "gaussian": |x, y| x.gaussian_nll_loss_with(&y.neg(), y, true, 1e-6, Reduction::None);
            "soft margin": |x, y| x.soft_margin_loss_with(y, Reduction::Mean);
            "cross entropy of shares": |x, y| x.cross_entropy(&y.softmax(1));
        },
    );
    cases.extend(at! { spread(&[3, 4], -1.0, 1.5);
        "cross_entropy": |x| x.cross_entropy(&places(&[2, 0, 3], &[3]));
        "nll": |x| x.log_softmax(1).nll_loss_with(&places(&[2, 0, 3], &[3]), &ClassOptions::default());
        "multi margin": |x| x.multi_margin_loss_with(&places(&[2, 0, 3], &[3]), 2, 1.0, None, Reduction::Mean);
        "ctc": |x| x.unsqueeze(1).log_softmax(-1).ctc_loss_with(&places(&[1, 2], &[1, 2]), &[3], &[2], 0, Reduction::Sum, false);
    });
    cases
}

/// Matrices with eigenvalues and singular values that are apart.
fn factorisations() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at! { spread(&[3, 3], -1.6, 1.8).add(Tensor::eye(3).mul(3.0));
        "lu": |x| { let (_, l, u) = x.lu(); Tensor::cat(&[&l, &u], 0) };
        "lu_factor": |x| x.lu_factor().0; "lu_factor_ex": |x| x.lu_factor_ex().0;
        "qr": |x| { let (q, r) = x.qr(QrMode::Reduced); Tensor::cat(&[&q, &r], 0) };
        "cholesky": |x| definite(x).cholesky(false); "cholesky_ex": |x| definite(x).cholesky_ex(false).0;
        "matrix_sqrth": |x| definite(x).matrix_sqrth(); "matrix_exp": |x| x.mul(0.3).matrix_exp();
        "solve_lower": |x| x.solve_triangular(&x.square(), false, true, false);
        "solve_upper": |x| x.solve_triangular(&x.square(), true, true, false);
        "solve_unit_lower": |x| x.solve_triangular(&x.square(), false, true, true);
        "solve_unit_upper": |x| x.solve_triangular(&x.square(), true, true, true);
        "det": |x| x.det(); "slogdet": |x| x.slogdet().1; "sign of slogdet": |x| x.slogdet().0.mul(x.sum(..));
        "solve": |x| x.solve(&x.square(), true); "pinv": |x| x.narrow(0, 0, 2).pinv(&Tolerance::default(), false);
        "eigh": |x| { let (l, v) = definite(x).eigh(false); Tensor::cat(&[&l, &v.abs().ravel()], 0) };
        "eigh_upper": |x| { let (l, v) = definite(x).eigh(true); Tensor::cat(&[&l, &v.abs().ravel()], 0) };
        "eigvalsh": |x| definite(x).eigvalsh(false); "eigvalsh_upper": |x| definite(x).eigvalsh(true);
        "eig": |x| { let (l, v) = x.eig(); Tensor::cat(&[&l.abs(), &v.abs().square().ravel()], 0) };
        "eigvals": |x| x.eigvals().abs(); "svdvals": |x| x.svdvals();
        "svd": |x| { let (u, s, v) = x.svd(false); Tensor::cat(&[&u.abs().ravel(), &s, &v.abs().ravel()], 0) };
    });
    cases
}

/// A matrix that is symmetric and positive definite.
fn definite(x: &Tensor) -> Tensor {
    x.matmul(&x.mt()).add(Tensor::eye(3).mul(0.5))
}

fn transforms() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at! { plane(&[5]);
        "fft": |z| z.fft(&FftOptions::default()); "ifft": |z| z.ifft(&FftOptions::default()).square();
        "irfft": |z| z.irfft(&FftOptions::default()).square();
    });
    cases.extend(at! { spread(&[6], -1.0, 1.5);
        "rfft": |x| x.rfft(&FftOptions::default()).square();
    });
    cases
}

macro_rules! families {
    ($($name:ident)*) => {
        mod holds {
            $(#[test]
            fn $name() {
                super::hold(super::$name());
            })*
        }

        fn everything() -> Vec<Case> {
            let mut all = Vec::new();
            $(all.extend($name());)*
            all
        }
    };
}

families! {
    functions_of_one_real_element functions_of_one_positive_element functions_of_two_elements
    functions_of_complex_elements reductions_and_scans products_with_zeros movement gathers_and_scatters
    products windows normalisations_and_attention losses factorisations transforms
}

/// Library functions whose results are not determined by their operands, so that their derivatives are errors.
const UNDETERMINED: [&str; 2] = ["linalg.qr_complete", "linalg.svd_full"];

/// The list is that of the sources: whoever adds a composite or a derivative has to add a case.
#[test]
fn every_composite_and_library_function_with_a_derivative_has_a_case() {
    let mut wanted = BTreeSet::new();
    for text in sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops")) {
        for opening in ["composite(", "with_slope("] {
            let calls = text.split(opening).skip(1);
            let first = calls.filter_map(|call| call.trim_start().strip_prefix('"'));
            wanted.extend(first.filter_map(|name| Some(name.split_once('"')?.0.to_owned())));
        }
        let tables = text.split("DERIVATIVES: &[(&str, ForeignRules)]").skip(1);
        for table in tables.filter_map(|table| table.split_once(";\n")) {
            let names = table.0.split('"').filter(|name| library(name));
            wanted.extend(names.map(str::to_owned));
        }
    }
    UNDETERMINED
        .iter()
        .for_each(|name| assert!(wanted.remove(*name)));
    assert!(wanted.len() > 45, "{wanted:?}");
    let mut found = String::new();
    for case in everything() {
        let results = (case.function)(&case.arguments);
        let results: Vec<&Tensor> = results.iter().collect();
        found += &lazulite::dump(&results, Stage::Trace).unwrap();
    }
    let called = |name: &&String| {
        let ends = [
            format!("\"{name}\""),
            format!("\"{name}("),
            format!("\"{name}."),
        ];
        !ends.iter().any(|end| found.contains(end.as_str()))
    };
    let missing: Vec<&String> = wanted.iter().filter(called).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

fn library(name: &str) -> bool {
    let rest = name.strip_prefix("linalg.").or(name.strip_prefix("fft."));
    rest.is_some_and(|rest| rest.chars().all(|c| c.is_alphanumeric() || c == '_'))
}

/// The texts of all files below a folder.
fn sources(folder: PathBuf) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => texts.extend(sources(path)),
            false => texts.push(std::fs::read_to_string(path).unwrap()),
        }
    }
    texts
}
