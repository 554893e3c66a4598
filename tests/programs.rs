//! Random programs mean the same compiled, compiled without optimisation, and interpreted, and give
//! the same bits with one thread and with two.
//!
//! A program is a list of small numbers, each choosing an operation and its operands among the values
//! so far, so that shrinking a failing program needs no knowledge of operations. With every value goes
//! a bound on how far two correct evaluations may differ; values behind a discontinuity (a comparison
//! of rounded numbers, say) have no bound, and of them only success or failure is compared.

use lazulite::prelude::*;
use lazulite::{Options, options, set_options};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// One operation: which, its operands, and its attributes.
#[derive(Clone, Debug)]
struct Line {
    op: u8,
    operands: [u8; 3],
    number: i8,
    axis: i8,
}

/// A tensor the program starts from.
#[derive(Clone, Debug)]
struct Leaf {
    dtype: u8,
    dims: Vec<u8>,
    seed: u32,
}

#[derive(Clone, Debug)]
struct Case {
    leaves: Vec<Leaf>,
    lines: Vec<Line>,
}

fn cases() -> impl Strategy<Value = Case> {
    let dims = prop::collection::vec(
        prop_oneof![8 => 1..5u8, 1 => Just(0u8), 1 => 17..40u8],
        0..4,
    );
    let leaf = (any::<u8>(), dims, any::<u32>());
    let leaf = leaf.prop_map(|(dtype, dims, seed)| Leaf { dtype, dims, seed });
    let line = (any::<u8>(), any::<[u8; 3]>(), -5..6i8, -3..3i8);
    let line = line.prop_map(|(op, operands, number, axis)| Line {
        op,
        operands,
        number,
        axis,
    });
    let lists = (
        prop::collection::vec(leaf, 1..4),
        prop::collection::vec(line, 1..14),
    );
    lists.prop_map(|(leaves, lines)| Case { leaves, lines })
}

/// How an operation spreads differences between its operands' evaluations.
#[derive(Clone, Copy)]
enum Spread {
    /// At most the largest difference, and no rounding.
    Carry,
    /// Without bound; exact operands give an exact result.
    Jump,
    /// At most their sum, and one rounding.
    Smooth,
    /// Each difference times the other operand's size, for each of so many terms.
    Product(usize),
    /// So many terms added.
    Sum(usize),
    /// Without bound; exact operands give a rounded result.
    Wild,
}

use Spread::{Carry, Jump, Product, Smooth, Sum, Wild};

fn leaf(leaf: &Leaf) -> Tensor {
    const FLOATS: [f64; 14] = [
        0.0,
        1.0,
        -1.0,
        0.5,
        -2.5,
        3.25,
        -0.75,
        2.0,
        100.0,
        7.5,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    let dims: Vec<usize> = leaf.dims.iter().map(|d| usize::from(*d)).collect();
    let count: usize = dims.iter().product();
    let mut state = leaf.seed;
    let mut next = |n: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % n
    };
    let dtype = DType::ALL[usize::from(leaf.dtype) % DType::ALL.len()];
    // Every other tensor has no special values.
    let choices = if leaf.seed.is_multiple_of(2) {
        FLOATS.len()
    } else {
        10
    };
    let make = |next: &mut dyn FnMut(usize) -> usize| {
        let values: Vec<f64> = (0..count).map(|_| FLOATS[next(choices)]).collect();
        Tensor::from_vec(values, dims.as_slice())
    };
    if dtype.is_complex() {
        let (re, im) = (make(&mut next), make(&mut next));
        return Tensor::complex(&re, &im).cast(dtype);
    }
    if dtype.is_float() {
        return make(&mut next).cast(dtype);
    }
    let values: Vec<i64> = (0..count).map(|_| next(40) as i64 - 12).collect();
    Tensor::from_vec(values, dims).cast(dtype)
}

fn size(x: &Tensor, axis: i64) -> usize {
    let dims = x.dims().unwrap_or_default();
    let rank = dims.len() as i64;
    let at = if axis < 0 { axis + rank } else { axis };
    usize::try_from(at)
        .ok()
        .and_then(|a| dims.get(a))
        .copied()
        .unwrap_or(1)
}

/// The axis that is meant: one that exists, except now and then.
fn axis_of(x: &Tensor, line: &Line) -> i64 {
    let rank = x.rank().unwrap_or(0).max(1) as i64;
    match line.axis {
        -3 => i64::from(line.axis),
        a => i64::from(a).rem_euclid(2 * rank) - rank,
    }
}

const OPS: u8 = 66;

/// The result of one line, and how it spreads differences.
fn apply(line: &Line, [a, b, c]: [&Tensor; 3]) -> (Tensor, Spread) {
    match line.op % OPS {
        op @ 0..28 => elementwise(op, line, [a, b, c]),
        op @ 28..48 => movement(op, line, [a, b]),
        op => aggregate(op, line, [a, b, c]),
    }
}

fn elementwise(op: u8, line: &Line, [a, b, c]: [&Tensor; 3]) -> (Tensor, Spread) {
    let number = f64::from(line.number) / 2.0;
    match op {
        0 => (a + b, Smooth),
        1 => (a - b, Smooth),
        2 => (a * b, Product(1)),
        3 => (a / b, Wild),
        4 => (a.maximum(b), Carry),
        5 => (a.minimum(b), Carry),
        6 => (a.remainder(b), Jump),
        7 => (a.floor_divide(b), Jump),
        8 => (a.neg(), Carry),
        9 => (a.abs(), Smooth),
        10 => (a.sqrt(), Wild),
        11 => (a.exp(), Wild),
        12 => (a.log(), Wild),
        13 => (a.sin(), Smooth),
        14 => (a.tanh(), Smooth),
        15 => (a.sigmoid(), Smooth),
        16 => (a.floor(), Jump),
        17 => (a.round(), Jump),
        18 => (a.lt(b), Jump),
        19 => (a.eq(b), Jump),
        20 => (a.ge(i64::from(line.number)), Jump),
        21 => (a.cast(DType::Bool).where_(b, c), Carry),
        22 => (
            a.cast(DType::ALL[usize::from(line.operands[1]) % 15]),
            Smooth,
        ),
        23 => (a + number, Smooth),
        24 => (a * i64::from(line.number), Product(1)),
        25 => (a.cast(DType::I32) ^ b.cast(DType::I32), Jump),
        26 => (a.isnan(), Jump),
        _ => (a.gelu(), Wild),
    }
}

fn movement(op: u8, line: &Line, [a, b]: [&Tensor; 2]) -> (Tensor, Spread) {
    let axis = axis_of(a, line);
    let number = i64::from(line.number);
    let rank = a.rank().unwrap_or(0);
    let moved = match op {
        28 => a.reshape([-1i64]),
        29 => a.reshape([2, -1i64]),
        30 => a.transpose(axis, -1),
        31 => a.t(),
        32 => a.unsqueeze(axis),
        33 => a.squeeze(axis),
        34 => a.flatten(0, -1),
        35 => a.flip([axis]),
        36 => a.i(strided(.., if number == 0 { -1 } else { number })),
        37 => a.i(strided(number.., -2)),
        38 => a.i((lazulite::Index::Ellipsis, -number..)),
        39 => a.select(axis, number),
        40 => a.narrow(axis, 1, number.abs()),
        41 => a.pad(vec![(number, 2); rank], number),
        42 => a.unfold(axis, 2, 1),
        43 => Tensor::cat(&[a, b], axis),
        44 => Tensor::stack(&[a, a], axis),
        45 => a.broadcast_with(b),
        46 => a.unsqueeze(0).expand([3i64]),
        _ => a.permute((0..rank as i64).rev().collect::<Vec<_>>()),
    };
    (moved, Carry)
}

fn aggregate(op: u8, line: &Line, [a, b, c]: [&Tensor; 3]) -> (Tensor, Spread) {
    let axis = axis_of(a, line);
    let (count, along) = (a.numel().unwrap_or(1), size(a, axis));
    let indices = |t: &Tensor| t.cast(DType::I64).remainder(along.max(1));
    match op {
        48 => (a.sum(axis), Sum(along)),
        49 => (a.sum(..), Sum(count)),
        50 => (a.amax(axis), Carry),
        51 => (a.amin(..), Carry),
        52 => (a.mean(axis), Sum(along)),
        53 => (a.var(axis), Product(4 * along)),
        54 => (a.any(axis), Jump),
        55 => (a.argmax(axis), Jump),
        56 => (a.softmax(axis), Wild),
        57 => (a.logsumexp(axis), Smooth),
        58 => (a.cumsum(axis), Sum(along)),
        59 => (a.sort_with(axis, line.number > 0).0, Carry),
        60 => (a.argsort_with(axis, line.number > 0), Jump),
        61 => (a.matmul(b), Product(size(a, -1))),
        62 => (a.matmul(&b.t()), Product(size(a, -1))),
        63 => (a.index_select(axis, &indices(b).reshape([-1i64])), Carry),
        64 => (a.gather(axis, &indices(b)), Carry),
        _ => (
            a.scatter_add(axis, &indices(b), c),
            Sum(1 + b.numel().unwrap_or(1)),
        ),
    }
}

/// Every value of the program, in order.
fn record(case: &Case) -> (Vec<Tensor>, Vec<([usize; 3], Spread)>) {
    let mut values: Vec<Tensor> = case.leaves.iter().map(leaf).collect();
    let mut links = vec![([0; 3], Carry); values.len()];
    for line in &case.lines {
        // Late values are more often chosen, so that programs are deep.
        let pick = line.operands.map(|o| {
            let back = usize::from(o) % values.len().min(if o % 3 == 0 { 64 } else { 3 });
            values.len() - 1 - back
        });
        let (value, spread) = apply(line, pick.map(|p| &values[p]));
        // Programs stay small; a refused operation is no operand of others.
        if value.check().is_ok() && value.numel().is_ok_and(|n| n <= 4000) {
            values.push(value);
            links.push((pick, spread));
        }
    }
    (values, links)
}

type Outcome = Result<Vec<u8>, String>;

/// The bytes of every value, evaluated last first under the given options.
fn outcomes(case: &Case, options: &Options) -> Vec<Outcome> {
    set_options(options.clone()).unwrap();
    let (values, _) = record(case);
    let read = |t: &Tensor| t.with_bytes(<[u8]>::to_vec).map_err(|e| e.to_string());
    let mut out: Vec<Outcome> = values.iter().rev().map(read).collect();
    out.reverse();
    out
}

/// The real numbers in memory; complex numbers count as two.
fn numbers(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    let real = dtype.real();
    let width = real.size();
    let number = |b: &[u8]| match real {
        DType::F16 => f16::from_ne_bytes([b[0], b[1]]).to_f64(),
        DType::BF16 => bf16::from_ne_bytes([b[0], b[1]]).to_f64(),
        DType::F32 => f64::from(f32::from_ne_bytes(b.try_into().unwrap())),
        DType::F64 => f64::from_ne_bytes(b.try_into().unwrap()),
        _ => {
            let mut wide = [0u8; 8];
            wide[..b.len()].copy_from_slice(b);
            i64::from_ne_bytes(wide) as f64
        }
    };
    bytes.chunks_exact(width).map(number).collect()
}

/// Size of a rounding, and the largest number far from overflow.
fn precision(dtype: DType) -> (f64, f64) {
    match dtype.real() {
        DType::F16 => (2e-3, 3e4),
        DType::BF16 => (1.6e-2, 1e37),
        DType::F32 => (2e-6, 1e37),
        DType::F64 => (1e-13, 1e300),
        _ => (0.0, f64::INFINITY),
    }
}

/// What is known about a value from its definition.
#[derive(Clone, Copy)]
struct Known {
    /// How far evaluations may differ; `None` if by anything.
    bound: Option<f64>,
    /// The largest finite magnitude.
    top: f64,
    rounding: f64,
}

fn known(value: &Tensor, bytes: &[u8], operands: &[Known], spread: Spread) -> Known {
    let dtype = value.dtype().unwrap();
    let values = numbers(dtype, bytes);
    let finite = values.iter().filter(|v| v.is_finite());
    let top = finite.fold(0.0f64, |m, v| m.max(v.abs()));
    let (own, limit) = precision(dtype);
    let rounding = operands.iter().map(|k| k.rounding).fold(own, f64::max);
    let differences = operands
        .iter()
        .try_fold(0.0, |sum, k| k.bound.map(|b| sum + b));
    let largest = operands.iter().map(|k| k.top).fold(top, f64::max);
    let rounded = rounding * largest;
    let exact = differences == Some(0.0);
    let number = dtype.is_inexact();
    let bound = differences.and_then(|d| match spread {
        Carry => Some(d),
        Jump => exact.then_some(0.0),
        _ if !number => exact.then_some(0.0),
        Smooth => Some(d + rounded),
        Product(n) => {
            Some(n.max(1) as f64 * (2.0 * d * largest + rounding * largest * largest.max(1.0)))
        }
        Sum(n) => Some(n.max(1) as f64 * (d + rounded)),
        Wild => exact.then_some(rounding * largest.max(1.0)),
    });
    // Near overflow, and where complex numbers are not finite, evaluations may part.
    let wild = largest > limit || (dtype.is_complex() && values.iter().any(|v| !v.is_finite()));
    let bound = bound.filter(|b| *b == 0.0 && !dtype.is_complex() || !wild);
    Known {
        bound,
        top,
        rounding,
    }
}

fn compare(what: &str, n: usize, value: &Tensor, known: Known, a: &[u8], b: &[u8]) {
    let dtype = value.dtype().unwrap();
    let Some(bound) = known.bound else { return };
    let close = |(x, y): (&f64, &f64)| {
        let tiny = if dtype == DType::F16 { 1e-7 } else { 1e-37 };
        x.to_bits() == y.to_bits()
            || x.is_nan() && y.is_nan()
            || bound > 0.0 && (x == y || (x - y).abs() <= 4.0 * bound + tiny)
    };
    let (x, y) = (numbers(dtype, a), numbers(dtype, b));
    let wrong = x.iter().zip(&y).position(|pair| !close(pair));
    if let Some(at) = wrong {
        panic!(
            "{what}: value {n} ({value:?}), element {at}: {} is not {} within {bound:e}",
            x[at], y[at]
        );
    }
}

fn check(case: &Case) {
    let mut base = options();
    (base.threads, base.optimise, base.interpret) = (1, true, false);
    let (mut two, mut plain, mut oracle) = (base.clone(), base.clone(), base.clone());
    two.threads = 2;
    plain.optimise = false;
    oracle.interpret = true;
    let [compiled, two, plain, oracle] = [base, two, plain, oracle].map(|o| outcomes(case, &o));
    let (values, links) = record(case);
    assert_eq!(compiled, two, "threads change results");
    let mut knowledge: Vec<Option<Known>> = Vec::new();
    for (n, value) in values.iter().enumerate() {
        let results = [&compiled[n], &plain[n], &oracle[n]];
        let [Ok(a), Ok(b), Ok(wanted)] = results else {
            // Optimisation may remove a fault whose value is not needed, and never adds one.
            let agree = results[2].is_err();
            assert!(
                agree,
                "value {n} ({value:?}) fails compiled only: {results:?}"
            );
            knowledge.push(None);
            continue;
        };
        let (operands, spread) = links[n];
        let is_leaf = n < case.leaves.len();
        let operands: Vec<Known> = match is_leaf {
            true => Vec::new(),
            false => operands.iter().filter_map(|&o| knowledge[o]).collect(),
        };
        let known = known(value, wanted, &operands, spread);
        knowledge.push(Some(known));
        compare("compiled", n, value, known, a, wanted);
        compare("without optimisation", n, value, known, b, wanted);
    }
}

fn case_count() -> u32 {
    let given = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|v| v.parse().ok());
    given.unwrap_or(150)
}

/// The same programs every time, unless a number of cases is asked for.
fn seed() -> RngSeed {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => RngSeed::Random,
        None => RngSeed::Fixed(1),
    }
}

// One test only: options are those of the process.
proptest! {
    #![proptest_config(ProptestConfig {
        cases: case_count(), failure_persistence: None, max_shrink_iters: 2000, rng_seed: seed(),
        ..ProptestConfig::default()
    })]

    #[test]
    fn ways_to_run_agree(case in cases()) {
        check(&case);
    }
}
