//! Random numbers have the moments and values they should, and are the same again for the same seed.

use lazulite::prelude::*;
use lazulite::{fork_rng, options, set_options};

const COUNT: usize = 40_000;

fn f64s(x: Tensor) -> Vec<f64> {
    x.cast(DType::F64).to_vec().unwrap()
}

fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|v| (v - mean).powi(2));
    (mean, squares.sum::<f64>() / n)
}

/// Mean and variance within five standard deviations of what they should be, for distributions with
/// tails like the normal one's or lighter; `kurtosis` is the fourth moment over the squared second.
fn check(name: &str, values: &[f64], mean: f64, variance: f64, kurtosis: f64) {
    let n = values.len() as f64;
    let (m, v) = moments(values);
    let (of_mean, of_variance) = (
        5.0 * (variance / n).sqrt(),
        5.0 * variance * ((kurtosis - 1.0) / n).sqrt(),
    );
    assert!(
        (m - mean).abs() <= of_mean + 1e-12,
        "{name}: mean {m}, not {mean}"
    );
    assert!(
        (v - variance).abs() <= of_variance + 1e-12,
        "{name}: variance {v}, not {variance}"
    );
}

fn filled(fill: impl Fn(&mut Tensor)) -> Vec<f64> {
    let mut x = Tensor::zeros([COUNT]);
    fill(&mut x);
    f64s(x)
}

#[test]
fn continuous_numbers_have_their_moments() {
    manual_seed(11);
    check(
        "normal_",
        &filled(|x| _ = x.normal_(2.0, 3.0)),
        2.0,
        9.0,
        3.0,
    );
    check(
        "uniform_",
        &filled(|x| _ = x.uniform_(-1.0, 5.0)),
        2.0,
        3.0,
        1.8,
    );
    check(
        "exponential_",
        &filled(|x| _ = x.exponential_(2.0)),
        0.5,
        0.25,
        9.0,
    );
    let logs: Vec<f64> = filled(|x| _ = x.log_normal_(1.0, 0.5));
    let logs: Vec<f64> = logs.iter().map(|v| v.ln()).collect();
    check("log_normal_", &logs, 1.0, 0.25, 3.0);
    let wide = f64s(Tensor::randn_of([COUNT], DType::F64));
    check("randn f64", &wide, 0.0, 1.0, 3.0);
    let complex = Tensor::randn_of([COUNT], DType::C64);
    check("randn c64", &f64s(complex.real()), 0.0, 0.5, 3.0);
    let half = Tensor::rand_of([COUNT], DType::BF16);
    let half = f64s(half);
    assert!(half.iter().all(|v| (0.0..1.0).contains(v)));
    check("rand bf16", &half, 0.5 - 1.0 / 512.0, 1.0 / 12.0, 1.8);
    let inner = f64s(Tensor::normal(Tensor::full([COUNT], 4.0), 0.5));
    check("normal", &inner, 4.0, 0.25, 3.0);
}

#[test]
fn numbers_without_moments_have_their_quantiles() {
    manual_seed(12);
    let cauchy = filled(|x| _ = x.cauchy_(1.0, 2.0));
    let share = |holds: &dyn Fn(f64) -> bool| {
        cauchy.iter().filter(|v| holds(**v)).count() as f64 / COUNT as f64
    };
    let off = 5.0 * 0.5 / (COUNT as f64).sqrt();
    assert!((share(&|v| v < 1.0) - 0.5).abs() < off);
    assert!((share(&|v| (v - 1.0).abs() < 2.0) - 0.5).abs() < off);
    let cut = filled(|x| _ = x.trunc_normal_(0.0, 1.0, 0.5, 2.0));
    assert!(cut.iter().all(|v| (0.5..=2.0).contains(v)));
    // Of the normal distribution between these ends.
    check("trunc_normal_", &cut, 1.043_0, 0.150_3, 2.3);
}

#[test]
fn counts_have_their_moments() {
    manual_seed(13);
    let of = |p: f64| Tensor::full([COUNT], p);
    check("bernoulli", &f64s(of(0.3).bernoulli()), 0.3, 0.21, 1.8);
    for rate in [0.0, 0.7, 9.5, 10.5, 400.0] {
        let name = format!("poisson {rate}");
        let kurtosis = if rate > 0.0 { 3.0 + 1.0 / rate } else { 1.0 };
        check(&name, &f64s(of(rate).poisson()), rate, rate, kurtosis);
    }
    for (n, p) in [
        (7.0, 0.4),
        (7.0, 0.9),
        (100.0, 0.05),
        (60.0, 0.5),
        (2000.0, 0.8),
    ] {
        let name = format!("binomial {n} {p}");
        let values = f64s(of(n).binomial(p));
        assert!(values.iter().all(|k| (0.0..=n).contains(k)));
        let variance = n * p * (1.0 - p);
        check(
            &name,
            &values,
            n * p,
            variance,
            3.0 + (1.0 / variance - 6.0 / n).max(0.0),
        );
    }
    let p = 0.25;
    let waits = filled(|x| _ = x.geometric_(p));
    assert!(waits.iter().all(|k| *k >= 1.0 && k.fract() == 0.0));
    check("geometric_", &waits, 4.0, 12.0, 9.1);
}

/// Both ends of a Poisson number's two ways of being drawn: each value as often as it should be.
#[test]
fn counts_have_their_frequencies() {
    manual_seed(14);
    for rate in [3.0f64, 12.0] {
        let values = f64s(Tensor::full([COUNT], rate).poisson());
        let mut p = (-rate).exp();
        for k in 0..30 {
            let share = values.iter().filter(|v| **v == f64::from(k)).count() as f64 / COUNT as f64;
            let off = 5.0 * (p * (1.0 - p) / COUNT as f64).sqrt() + 1e-4;
            assert!(
                (share - p).abs() < off,
                "rate {rate}, {k}: {share}, not {p}"
            );
            p *= rate / f64::from(k + 1);
        }
    }
}

#[test]
fn categories_are_drawn_by_weight() {
    manual_seed(15);
    let weights = Tensor::from_vec(vec![1.0f32, 0.0, 3.0, 0.0], [4]);
    let drawn = weights.multinomial(COUNT, true).to_vec::<i64>().unwrap();
    assert!(drawn.iter().all(|k| *k == 0 || *k == 2));
    let share: Vec<f64> = drawn.iter().map(|k| f64::from(u8::from(*k == 2))).collect();
    check("multinomial", &share, 0.75, 0.1875, 2.4);
    let rows = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 0.0, 5.0, 1.0], [2, 3]);
    let drawn = rows.multinomial(2, false);
    assert_eq!(drawn.dims().unwrap(), [2, 2]);
    let drawn = drawn.to_vec::<i64>().unwrap();
    assert_ne!(drawn[0], drawn[1]);
    let mut second = drawn[2..].to_vec();
    second.sort();
    assert_eq!(second, [1, 2]);
    // The first of two draws goes by weight.
    let many = Tensor::from_vec(vec![1.0f32, 2.0, 5.0], [1, 3]).expand([COUNT as i64, 3]);
    let first = f64s(many.multinomial(2, false).select(1, 0));
    let share: Vec<f64> = first
        .iter()
        .map(|k| f64::from(u8::from(*k == 2.0)))
        .collect();
    check("first draw", &share, 0.625, 0.234_375, 1.3);
}

#[test]
fn dropped_channels_go_together() {
    manual_seed(16);
    let x = Tensor::ones([40, 50, 2, 3]);
    let y = f64s(x.feature_dropout(0.25, true, 2));
    let channels: Vec<f64> = y.chunks(6).map(|c| c[0]).collect();
    assert!(y.chunks(6).all(|c| c.iter().all(|v| *v == c[0])));
    let kept: Vec<f64> = channels
        .iter()
        .map(|c| f64::from(u8::from(*c > 0.0)))
        .collect();
    check("feature_dropout", &kept, 0.75, 0.1875, 2.4);
    let z = Tensor::randn([COUNT]).alpha_dropout(0.2, true);
    let (mean, variance) = moments(&f64s(z));
    assert!(
        mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04,
        "{mean} {variance}"
    );
    let slopes = f64s(Tensor::full([COUNT], -1.0).rrelu(0.1, 0.3, true).neg());
    check("rrelu", &slopes, 0.2, 0.04 / 12.0, 1.8);
    let logits = Tensor::from_vec(vec![0.0f32, 1.0], [1, 2]).expand([COUNT as i64, 2]);
    let hard = logits.gumbel_softmax(0.5, true, -1);
    let sums = f64s(hard.sum(-1));
    assert!(sums.iter().all(|s| (s - 1.0).abs() < 1e-6));
    let share = 1.0 / (1.0 + (-1.0f64).exp());
    check(
        "gumbel_softmax",
        &f64s(hard.select(1, 1)),
        share,
        share * (1.0 - share),
        2.1,
    );
}

#[test]
fn draws_repeat_for_a_seed_at_any_number_of_threads() {
    let draw = || {
        manual_seed(5);
        let of = |v: f64| Tensor::full([3000], v);
        let mut x = Tensor::zeros([3000]);
        let tensors = [
            of(0.5).bernoulli(),
            of(20.0).poisson(),
            of(50.0).binomial(0.4),
            of(1.0).multinomial(100, false).cast(DType::F32),
            x.normal_(0.0, 1.0).clone(),
            x.cauchy_(0.0, 1.0).clone(),
            Tensor::rand_of([3000], DType::F64),
        ];
        tensors.map(f64s)
    };
    let before = options();
    let mut results = Vec::new();
    for threads in [1, 2, 2] {
        let mut options = before.clone();
        options.threads = threads;
        set_options(options).unwrap();
        results.push(draw());
    }
    set_options(before).unwrap();
    assert!(results.windows(2).all(|r| r[0] == r[1]));
}

#[test]
fn generators_can_be_left_and_returned_to() {
    let generator = Generator::new(3);
    let first = f64s(generator.rand([5]));
    let state = generator.state();
    let second = f64s(generator.rand([5]));
    generator.set_state(state);
    assert_eq!(f64s(generator.rand([5])), second);
    generator.manual_seed(3);
    assert_eq!(generator.initial_seed(), 3);
    assert_eq!(f64s(generator.scope(|| Tensor::rand([5]))), first);
    manual_seed(8);
    let forked = fork_rng(|| f64s(Tensor::rand([3])));
    assert_eq!(f64s(Tensor::rand([3])), forked);
}

#[test]
fn sizes_of_draws_do_not_touch_later_ones() {
    let later = |n: i64| {
        manual_seed(21);
        let _first = Tensor::rand([n]).bernoulli();
        f64s(Tensor::randn([4]))
    };
    assert_eq!(later(1), later(100));
    assert_eq!(Tensor::rand([0, 3]).bernoulli().dims().unwrap(), [0, 3]);
    assert_eq!(f64s(Tensor::full([0], 3.0).poisson()), [0.0; 0]);
}

#[test]
fn what_cannot_be_drawn_is_an_error() {
    let x = |v: f64| Tensor::full([2], v);
    let mut own = x(0.0);
    let wrong = [
        x(1.5).bernoulli(),
        x(f64::NAN).bernoulli(),
        x(-1.0).poisson(),
        x(2.5).binomial(0.5),
        x(2.0).binomial(-0.5),
        x(-1.0).multinomial(1, true),
        x(0.0).multinomial(1, true),
        x(f64::INFINITY).multinomial(1, false),
        Tensor::normal(0.0, x(-1.0)),
        own.clone().normal_(0.0, -1.0).clone(),
        own.clone().exponential_(0.0).clone(),
        own.clone().geometric_(1.0).clone(),
        own.clone().cauchy_(0.0, 0.0).clone(),
        own.clone().uniform_(1.0, 0.0).clone(),
        own.random_(3, 3).clone(),
        Tensor::from_vec(vec![1i64], [1]).bernoulli(),
        Tensor::rand_of([2], DType::I32),
        x(1.0).multinomial(3, false),
    ];
    for (i, x) in wrong.iter().enumerate() {
        assert!(x.to_vec::<f32>().is_err(), "case {i}");
    }
    let error = x(1.5).bernoulli().to_vec::<f32>().unwrap_err().to_string();
    assert!(
        error.contains("probabilities are between 0 and 1"),
        "{error}"
    );
}
