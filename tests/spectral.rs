//! Fourier transforms against their definition, their derivatives, and signals there and back.

use lazulite::prelude::*;
use lazulite::{
    ErrorKind, FftNOptions, FftNorm, FftOptions, GradCheck, IstftOptions, PadMode, StftOptions,
    Window, gradcheck, gradgradcheck, options, set_options,
};
use proptest::prelude::*;
use std::f64::consts::PI;

type Complex64 = Complex<f64>;

/// The definition, not scaled; `sign` is that of the exponent.
fn transform(x: &[Complex64], sign: f64) -> Vec<Complex64> {
    let n = x.len();
    let term = |k: usize, j: usize| {
        let angle = sign * 2.0 * PI * ((j * k) % n) as f64 / n as f64;
        x[j] * Complex64::new(angle.cos(), angle.sin())
    };
    (0..n).map(|k| (0..n).map(|j| term(k, j)).sum()).collect()
}

fn resized(x: &[Complex64], n: usize) -> Vec<Complex64> {
    let zeros = std::iter::repeat(Complex64::default());
    x.iter().copied().chain(zeros).take(n).collect()
}

fn factor(norm: FftNorm, forward: bool, n: usize) -> f64 {
    match (norm, forward) {
        (FftNorm::Ortho, _) => 1.0 / (n as f64).sqrt(),
        (FftNorm::Backward, false) | (FftNorm::Forward, true) => 1.0 / n as f64,
        (FftNorm::Backward, true) | (FftNorm::Forward, false) => 1.0,
    }
}

fn numbers(count: usize, seed: u64) -> Vec<Complex64> {
    let x = Generator::new(seed).randn([count, 2]).to_vec::<f32>();
    let x = x.unwrap();
    x.chunks(2)
        .map(|p| Complex64::new(p[0].into(), p[1].into()))
        .collect()
}

/// A batch of rows as the tensor of an element type.
fn tensor(rows: &[Complex64], batch: usize, dtype: DType) -> Tensor {
    let n = rows.len() / batch.max(1);
    Tensor::from_vec(rows.to_vec(), [batch, n])
        .cast(DType::C128)
        .cast_parts(dtype)
}

/// Casting complex numbers to real ones drops the imaginary part.
trait CastParts {
    fn cast_parts(&self, dtype: DType) -> Tensor;
}

impl CastParts for Tensor {
    fn cast_parts(&self, dtype: DType) -> Tensor {
        if dtype.is_complex() {
            self.cast(dtype)
        } else {
            self.real().cast(dtype)
        }
    }
}

fn assert_close(found: &Tensor, expected: &[Complex64], dtype: DType) {
    assert_eq!(found.dtype().unwrap(), dtype);
    let tolerance = match dtype {
        DType::C64 | DType::F32 => 2e-5,
        _ => 1e-12,
    };
    let found = found.cast(DType::C128).to_vec::<Complex64>().unwrap();
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().map(|v| v.norm()).fold(1.0, f64::max);
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).norm();
        assert!(error <= tolerance * scale, "{found} is not {expected}");
    }
}

fn norms() -> impl Strategy<Value = FftNorm> {
    prop_oneof![
        Just(FftNorm::Backward),
        Just(FftNorm::Ortho),
        Just(FftNorm::Forward)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Complex to complex and real to half, both precisions, any length, cut or filled up.
    #[test]
    fn transforms_are_what_they_are_defined_as(
        batch in 0usize..4,
        size in 1usize..40,
        len in 1usize..70,
        norm in norms(),
        double in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let (complex, real) = if double { (DType::C128, DType::F64) } else { (DType::C64, DType::F32) };
        let rows = numbers(batch * size, seed);
        let options = FftOptions { len: Some(len.into()), norm, ..Default::default() };
        let each = |sign: f64, real: bool| -> Vec<Complex64> {
            let scale = factor(norm, sign < 0.0, len);
            rows.chunks(size)
                .flat_map(|row| {
                    let row: Vec<_> = row.iter().map(|v| if real { v.re.into() } else { *v }).collect();
                    transform(&resized(&row, len), sign)
                })
                .map(|v| v * scale)
                .collect()
        };
        let x = tensor(&rows, batch, complex).reshape([batch, size]);
        assert_close(&x.fft(&options), &each(-1.0, false), complex);
        assert_close(&x.ifft(&options), &each(1.0, false), complex);
        let half = |whole: Vec<Complex64>| -> Vec<Complex64> {
            whole.chunks(len).flat_map(|row| row[..len / 2 + 1].to_vec()).collect()
        };
        let x = x.cast_parts(real);
        assert_close(&x.rfft(&options), &half(each(-1.0, true)), complex);
        let conjugated: Vec<_> = half(each(1.0, true));
        assert_close(&x.ihfft(&options), &conjugated, complex);
    }

    /// The half of a transform to real numbers: what a whole one that mirrors it gives.
    #[test]
    fn halves_become_real_numbers(
        batch in 0usize..3,
        size in 1usize..30,
        len in 1usize..50,
        norm in norms(),
        seed in any::<u64>(),
    ) {
        let rows = numbers(batch * size, seed);
        let options = FftOptions { len: Some(len.into()), norm, ..Default::default() };
        let each = |sign: f64| -> Vec<Complex64> {
            let scale = factor(norm, sign < 0.0, len);
            rows.chunks(size)
                .flat_map(|row| {
                    let mut whole = resized(&resized(row, len / 2 + 1), len);
                    whole[0].im = 0.0;
                    for k in 1..len {
                        if 2 * k == len {
                            whole[k].im = 0.0;
                        } else if 2 * k > len {
                            whole[k] = whole[len - k].conj();
                        }
                    }
                    if sign < 0.0 {
                        whole.iter_mut().for_each(|v| *v = v.conj());
                    }
                    transform(&whole, 1.0)
                })
                .map(|v| v * scale)
                .collect()
        };
        let x = tensor(&rows, batch, DType::C128).reshape([batch, size]);
        assert_close(&x.irfft(&options), &each(1.0), DType::F64);
        assert_close(&x.hfft(&options), &each(-1.0), DType::F64);
    }
}

#[test]
fn several_axes_are_transformed_one_after_the_other() {
    let x = Tensor::randn([3, 4, 5]).cast(DType::F64);
    let along = |axis: i64| FftOptions {
        axis,
        ..Default::default()
    };
    let expected = x.fft(&along(0)).fft(&along(2));
    let options = FftNOptions {
        axes: Some(vec![0, 2]),
        ..Default::default()
    };
    let close = |a: &Tensor, b: &Tensor| {
        let difference = a.sub(b).abs().amax(..).item::<f64>().unwrap();
        assert!(difference < 1e-12, "{difference}");
    };
    close(&x.fftn(&options), &expected);
    close(&x.rfftn(&options), &expected.narrow(-1, 0, 3));
    close(&expected.ifftn(&options), &x.cast(DType::C128));
    let odd = FftNOptions {
        sizes: Some(vec![(-1i64).into(), 5i64.into()]),
        ..options.clone()
    };
    close(&x.rfftn(&options).irfftn(&odd), &x);
    close(&x.ihfftn(&options).hfftn(&odd), &x);
    close(
        &x.fft2(&FftNOptions::default()),
        &x.fft(&along(1)).fft(&along(2)),
    );
    close(&x.fftshift([0, 2]).ifftshift([0, 2]), &x);
    assert_eq!(
        Tensor::iota(5).fftshift(..).to_vec::<i64>().unwrap(),
        [3, 4, 0, 1, 2]
    );
    assert_eq!(
        Tensor::fftfreq(5, 0.1).to_vec::<f32>().unwrap(),
        [0.0, 2.0, 4.0, -4.0, -2.0]
    );
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let x = Tensor::randn([64, 3, 150]).realize().unwrap();
    let spectrum = || {
        let y = x.rfft(&FftOptions::default());
        y.abs().mul(2.0).sum(1).to_vec::<f32>().unwrap()
    };
    let before = options();
    let mut runs = Vec::new();
    for threads in [1, 2, 5] {
        let mut options = before.clone();
        options.threads = threads;
        set_options(options).unwrap();
        runs.push(spectrum());
    }
    set_options(before).unwrap();
    assert!(runs[0] == runs[1] && runs[0] == runs[2]);
}

#[test]
fn transforms_of_unknown_sizes_are_captured_once() {
    let there_and_back = compile(|[x]: [Tensor; 1]| {
        let y = x.rfft(&FftOptions::default());
        let options = FftOptions {
            len: Some(x.dim(-1)),
            ..Default::default()
        };
        y.mul(2.0).irfft(&options)
    });
    for n in [8usize, 9, 31, 30, 1] {
        let x = Tensor::randn([2, n]);
        let y = there_and_back.call([&x]).unwrap();
        let error = y.sub(x.mul(2.0)).abs().amax(..).item::<f32>().unwrap();
        assert!(error < 1e-5, "{n}: {error}");
    }
}

fn check(function: impl Fn(&Tensor) -> Tensor, x: &Tensor) {
    let function = |x: &[Tensor]| vec![function(&x[0])];
    gradcheck(function, &[x], &GradCheck::default()).unwrap();
    gradgradcheck(function, &[x], &GradCheck::default()).unwrap();
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let generator = Generator::new(3);
    let real = generator.randn([2, 5]).cast(DType::F64).realize().unwrap();
    let imaginary = generator.randn([2, 5]).cast(DType::F64);
    let complex = Tensor::complex(&real, &imaginary).realize().unwrap();
    for len in [4usize, 5, 7] {
        let options = FftOptions {
            len: Some(len.into()),
            norm: FftNorm::Ortho,
            ..Default::default()
        };
        // Squares, so that second derivatives are not 0.
        check(|x| x.fft(&options).square(), &complex);
        check(|x| x.ifft(&options).square(), &complex);
        check(|x| x.rfft(&options).square(), &real);
        check(|x| x.irfft(&options).square(), &complex);
        check(|x| x.hfft(&options).square(), &complex);
        check(|x| x.ihfft(&options).square(), &real);
        // Real operands of what takes complex ones.
        check(|x| x.fft(&options).square(), &real);
        check(|x| x.irfft(&options).square(), &real);
    }
    check(|x| x.rfftn(&FftNOptions::default()).square(), &real);
    let signal = generator.randn([20]).cast(DType::F64).realize().unwrap();
    let window = Window {
        dtype: DType::F64,
        ..Window::new(6)
    };
    let options = StftOptions {
        window: Some(window.hamming()),
        ..Default::default()
    };
    check(|x| x.stft(6, &options).square(), &signal);
    let back = IstftOptions {
        window: Some(window.hamming()),
        ..Default::default()
    };
    check(|x| x.stft(6, &options).square().istft(6, &back), &signal);
    let spectrum = signal.stft(6, &options).realize().unwrap();
    let by_window = |w: &Tensor| {
        let back = IstftOptions {
            window: Some(w.clone()),
            ..back.clone()
        };
        spectrum.istft(6, &back)
    };
    check(by_window, &window.hamming().realize().unwrap());
}

#[test]
fn forward_mode_pushes_through_transforms() {
    let x = Tensor::randn([6]).cast(DType::F64).realize().unwrap();
    let direction = Tensor::randn([6]).cast(DType::F64).realize().unwrap();
    let energy = |x: &[Tensor]| {
        let y = x[0].rfft(&FftOptions::default()).mul(2.0);
        vec![y.irfft(&FftOptions::default()).square().sum(..)]
    };
    let (_, tangents) = lazulite::jvp(energy, &[&x], &[&direction]);
    let expected = x.mul(&direction).sum(..).mul(8.0).item::<f64>().unwrap();
    assert!((tangents[0].item::<f64>().unwrap() - expected).abs() < 1e-9 * (1.0 + expected.abs()));
}

#[test]
fn vectorised_transforms_are_one_call() {
    let x = Tensor::randn([3, 2, 6]).realize().unwrap();
    let f = |x: &[Tensor]| vec![x[0].rfft(&FftOptions::default()).view_as_real()];
    let whole = f(std::slice::from_ref(&x)).remove(0);
    let found = lazulite::vmap(f, &[&x]).remove(0);
    let text = lazulite::dump(&[&found], lazulite::Stage::Canon).unwrap();
    assert_eq!(
        found.to_vec::<f32>().unwrap(),
        whole.to_vec::<f32>().unwrap()
    );
    assert!(
        text.contains("fft.r2c.f32") && !text.contains("loop"),
        "{text}"
    );
}

#[test]
fn signals_come_back_from_their_windows() {
    let signal = Tensor::randn([2, 100]).cast(DType::F64).realize().unwrap();
    let window = |len| {
        let window = Window {
            dtype: DType::F64,
            periodic: true,
            ..Window::new(len)
        };
        Some(window.hann())
    };
    for (points, len, hop, normalized) in [(16, 16, 4, false), (16, 12, 3, true), (9, 9, 2, false)]
    {
        let options = StftOptions {
            hop: Some(hop),
            window_len: Some(len),
            window: window(len),
            pad_mode: PadMode::Constant(0.into()),
            normalized,
            ..Default::default()
        };
        let back = IstftOptions {
            hop: Some(hop),
            window_len: Some(len),
            window: window(len),
            normalized,
            len: Some(signal.dim(-1)),
            ..Default::default()
        };
        let found = signal.stft(points, &options).istft(points, &back);
        let reached = 95 - (95 % hop as i64);
        let difference = found.sub(&signal).narrow(-1, 0, reached);
        let error = difference.abs().amax(..).item::<f64>().unwrap();
        assert!(error < 1e-9, "{points} {len} {hop}: {error}");
    }
}

#[test]
fn aligned_windows_begin_with_the_signal() {
    let signal = Tensor::randn([40]).cast(DType::F64).realize().unwrap();
    let options = StftOptions {
        hop: Some(3),
        window_len: Some(5),
        center: false,
        align_to_window: true,
        ..Default::default()
    };
    let spectrum = signal.stft(8, &options);
    assert_eq!(spectrum.dims().unwrap(), [5, 12]);
    // The window stands one sample behind the beginning of a transform.
    let frame = signal
        .narrow(0, 6, 5)
        .pad([(1, 2)], 0)
        .rfft(&FftOptions::default());
    let error = spectrum.select(-1, 2).sub(frame).abs().amax(..);
    assert!(error.item::<f64>().unwrap() < 1e-12);
}

#[test]
fn mistakes_are_named() {
    let says = |x: Tensor, kind: ErrorKind, words: &str| {
        let error = x.check().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains("tests/spectral.rs"), "{error}");
    };
    let one = FftOptions::default();
    let x = Tensor::zeros([3, 4]);
    says(Tensor::zeros(()).fft(&one), ErrorKind::Shape, "0-d tensor");
    says(
        x.cast(DType::C64).rfft(&one),
        ErrorKind::DType,
        "takes real numbers",
    );
    says(
        x.cast(DType::F16).fft(&one),
        ErrorKind::DType,
        "half floats",
    );
    says(
        Tensor::zeros([3, 0]).fft(&one),
        ErrorKind::Argument,
        "0 points along axis 1",
    );
    says(
        x.narrow(1, 0, 1).irfft(&one),
        ErrorKind::Argument,
        "0 points",
    );
    let axis = FftOptions { axis: 2, ..one };
    says(x.fft(&axis), ErrorKind::Shape, "axis 2 does not exist");
    let twice = FftNOptions {
        axes: Some(vec![0, -2]),
        ..Default::default()
    };
    says(x.fftn(&twice), ErrorKind::Argument, "named twice");
    let none = FftNOptions {
        axes: Some(vec![]),
        ..Default::default()
    };
    says(x.rfftn(&none), ErrorKind::Argument, "at least one axis");
    let sizes = FftNOptions {
        sizes: Some(vec![2i64.into(); 3]),
        ..Default::default()
    };
    says(x.fftn(&sizes), ErrorKind::Argument, "3 sizes for 2 axes");
    says(
        x.stft(9, &StftOptions::default()),
        ErrorKind::Shape,
        "cannot be extended",
    );
    let short = StftOptions {
        center: false,
        ..Default::default()
    };
    says(
        x.stft(9, &short),
        ErrorKind::Shape,
        "4 samples are fewer than the 9",
    );
    says(
        x.istft(4, &IstftOptions::default()),
        ErrorKind::DType,
        "takes complex numbers",
    );
}
