//! What passes promise, held against random programs and the interpreters.

use lazulite_ir::arbitrary::{Case, Config, cases};
use lazulite_ir::{Array, Combine, Graph, Op, Scalar, Type, interpret, print_graph, verify_graph};
use lazulite_passes::canon::canon;
use lazulite_passes::egraph::{egraph, egraph_with_report};
use lazulite_passes::{Numerics, Options, PassError, inline, split_complex};
use proptest::prelude::*;

fn exact() -> Options {
    Options {
        numerics: Numerics::Exact,
        ..Options::default()
    }
}

fn config() -> impl Strategy<Value = Config> {
    (any::<bool>(), any::<bool>(), 1..24usize).prop_map(|(symbolic, foreign, steps)| Config {
        symbolic,
        foreign,
        steps,
        elements: 60,
        ..Config::default()
    })
}

fn any_case() -> impl Strategy<Value = Case> {
    config().prop_flat_map(cases)
}

fn results(graph: &Graph, case: &Case) -> Vec<Array> {
    let sizes = case.sizes();
    interpret(graph, &case.inputs, &|s| sizes.get(s).copied()).unwrap()
}

/// Equal bits, but for the payloads of NaN.
fn same_bits(a: &Array, b: &Array) -> bool {
    let same = |(x, y): (Scalar, Scalar)| {
        let ((a, b), (c, d)) = (x.as_complex(), y.as_complex());
        let part = |p: f64, q: f64| p.to_bits() == q.to_bits() || (p.is_nan() && q.is_nan());
        x == y || x.dtype().is_inexact() && part(a, c) && part(b, d)
    };
    (a.dtype, &a.dims) == (b.dtype, &b.dims) && a.scalars().zip(b.scalars()).all(same)
}

fn assert_same(before: &Graph, after: &Graph, case: &Case) {
    if let Err(findings) = verify_graph(after) {
        panic!("{findings}\n{}", print_graph(before));
    }
    let (expected, got) = (results(before, case), results(after, case));
    for (i, (a, b)) in got.iter().zip(&expected).enumerate() {
        let text = || format!("{}\n{}", print_graph(before), print_graph(after));
        assert!(
            same_bits(a, b),
            "result {i}: {a:?}, expected {b:?}\n{}",
            text()
        );
    }
    assert_eq!(got.len(), expected.len());
}

/// The parts of a complex array, as the split program sees it.
fn interleaved(x: &Array) -> Array {
    let mut real = x.clone();
    if x.dtype.is_complex() {
        real.dtype = x.dtype.real();
        real.dims.push(2);
    }
    real
}

/// Arrays with the types that the case's graph promises.
fn as_promised(case: &Case, results: Vec<Array>) -> Vec<Array> {
    let types = case.graph.output_types();
    let retyped = results.into_iter().zip(types).map(|(mut array, ty)| {
        if ty.dtype.is_complex() {
            assert_eq!(array.dims.pop(), Some(2));
        }
        array.dtype = ty.dtype;
        array
    });
    retyped.collect()
}

fn mentions(graph: &Graph, what: &dyn Fn(&Op, &Type) -> bool) -> bool {
    let body = |g: &Graph| mentions(g, what);
    graph.nodes().iter().any(|n| {
        what(&n.op, &n.ty)
            || match &n.op {
                Op::Call { body: b, .. } | Op::Loop { body: b, .. } => body(b),
                Op::If { then, other } => body(then) || body(other),
                Op::While { cond, body: b, .. } => body(cond) || body(b),
                _ => false,
            }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn inline_changes_nothing(case in any_case()) {
        let inlined = inline(&case.graph).unwrap();
        assert_same(&case.graph, &inlined, &case);
        let calls = mentions(&inlined, &|op, _| matches!(op, Op::Call { .. }));
        prop_assert!(!calls);
    }

    #[test]
    fn exact_canon_changes_no_bit(case in any_case()) {
        let simple = canon(&case.graph, &exact()).unwrap();
        prop_assert_eq!(simple.output_types(), case.graph.output_types());
        assert_same(&case.graph, &simple, &case);
    }

    #[test]
    fn canon_is_done_after_one_run(case in any_case()) {
        let once = canon(&case.graph, &Options::default()).unwrap();
        let twice = canon(&once, &Options::default()).unwrap();
        prop_assert_eq!(print_graph(&once), print_graph(&twice));
    }

    #[test]
    fn canon_with_order_stays_near(case in any_case()) {
        let simple = canon(&case.graph, &Options::default()).unwrap();
        let got = results(&simple, &case);
        prop_assert_eq!(case.check(&got), Ok(()), "{}", print_graph(&simple));
    }

    #[test]
    fn exact_egraph_changes_no_bit(case in any_case()) {
        let simple = canon(&inline(&case.graph).unwrap(), &exact()).unwrap();
        let best = egraph(&simple, &exact()).unwrap();
        prop_assert_eq!(best.output_types(), case.graph.output_types());
        assert_same(&case.graph, &best, &case);
    }

    #[test]
    fn egraph_with_order_stays_near(case in any_case()) {
        let simple = canon(&inline(&case.graph).unwrap(), &Options::default()).unwrap();
        let best = egraph(&simple, &Options::default()).unwrap();
        prop_assert_eq!(verify_graph(&best), Ok(()));
        let got = results(&best, &case);
        prop_assert_eq!(case.check(&got), Ok(()), "{}\n{}", print_graph(&simple), print_graph(&best));
    }

    #[test]
    fn egraph_with_all_freedom_gives_a_valid_program(case in any_case()) {
        let free = Options { numerics: Numerics::Approx, ..Options::default() };
        let simple = canon(&inline(&case.graph).unwrap(), &free).unwrap();
        let (best, report) = egraph_with_report(&simple, &free).unwrap();
        prop_assert_eq!(verify_graph(&best), Ok(()));
        prop_assert_eq!(best.output_types(), case.graph.output_types());
        prop_assert!(report.cost_after <= report.cost_before);
        prop_assert_eq!(print_graph(&egraph(&simple, &free).unwrap()), print_graph(&best));
        results(&best, &case);
    }

    #[test]
    fn canon_leaves_half_floats_only_where_they_are_moved(case in any_case()) {
        let simple = canon(&case.graph, &Options::default()).unwrap();
        let half = |op: &Op, ty: &Type| {
            let computes = matches!(
                op,
                Op::Unary { .. } | Op::Binary { .. } | Op::Contract { .. } | Op::Fold { .. }
                    | Op::Reduce { .. } | Op::Scan { .. }
            );
            computes && matches!(ty, Type::Tensor(t) if t.dtype.compute() != t.dtype)
        };
        prop_assert!(!mentions(&simple, &half), "{}", print_graph(&simple));
    }

    #[test]
    fn split_programs_stay_near(case in any_case()) {
        // The one form that cannot be split.
        let refused = |op: &Op, _: &Type| {
            matches!(op, Op::Scatter { combine: Some(Combine::Prod), .. })
        };
        let split = match split_complex(&case.graph, &exact()) {
            Err(PassError::Unsupported { .. }) if mentions(&case.graph, &refused) => return Ok(()),
            split => split.unwrap(),
        };
        prop_assert_eq!(verify_graph(&split), Ok(()));
        let complex = |_: &Op, ty: &Type| match ty {
            Type::Tensor(t) => t.dtype.is_complex(),
            Type::Tuple(ts) => ts.iter().any(|t| t.dtype.is_complex()),
        };
        prop_assert!(!mentions(&split, &complex), "{}", print_graph(&split));
        let inputs: Vec<Array> = case.inputs.iter().map(interleaved).collect();
        let sizes = case.sizes();
        let got = interpret(&split, &inputs, &|s| sizes.get(s).copied()).unwrap();
        let got = as_promised(&case, got);
        prop_assert_eq!(case.check(&got), Ok(()), "{}", print_graph(&split));
    }
}
