//! Random programs over all primitives and element types.

use crate::support::{Batch, Sizes, expected, run, same_bits};
use lazulite_ir::arbitrary::{Case, Config, cases};
use lazulite_ir::{Array, Dim, Environment, EvalMode, Graph, eval_plan, print_graph, verify_graph};
use lazulite_passes::batch::{Randomness, Vmap};
use lazulite_passes::{Options, PassError, compile_to_plan};
use proptest::prelude::*;

const CONFIG: Config = Config {
    steps: 16,
    elements: 40,
    symbolic: false,
    faults: false,
    regions: true,
    foreign: false,
};

/// A batch for a graph, from numbers.
fn batch(graph: &Graph, name: &str, count: usize, choices: &[u8]) -> Batch {
    let choice = |i: usize| usize::from(choices[i % choices.len()]);
    let axis = |(i, &input)| {
        let rank = graph.tensor_type(input).rank();
        // Two of three parameters are batched, along any axis.
        (choice(i) % 3 > 0).then_some(choice(i) / 3 % (rank + 1))
    };
    Batch {
        count,
        size: match choice(choices.len() - 1) % 2 {
            0 => Dim::constant(count as i64),
            _ => Dim::symbol(name),
        },
        axes: graph.inputs().iter().enumerate().map(axis).collect(),
    }
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 8)
}

fn compare(graph: &Graph, got: &[Array], expected: &[Array]) -> Result<(), TestCaseError> {
    prop_assert_eq!(got.len(), expected.len());
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        prop_assert!(
            same_bits(got, expected),
            "result {}: {:?}, expected {:?}\n{}",
            i,
            got,
            expected,
            print_graph(graph)
        );
    }
    Ok(())
}

/// The batched graph and the elements one by one give the same bits.
fn check(case: &Case, batch: &Batch) -> Result<(Vmap, Sizes), TestCaseError> {
    let new = batch.vmap(&case.graph, Randomness::Same);
    prop_assert_eq!(verify_graph(&new.graph), Ok(()));
    let (own, sizes) = (case.sizes(), batch.sizes(&case.sizes()));
    let one = |inputs: &[Array]| run(&case.graph, inputs, &own);
    let Some(expected) = expected(batch, &one, &case.inputs, &new.batched) else {
        return Err(TestCaseError::reject("faults with other numbers"));
    };
    let got = run(&new.graph, &batch.arguments(&case.inputs), &sizes);
    let got = got.ok_or_else(|| TestCaseError::fail(print_graph(&new.graph)))?;
    compare(&new.graph, &got, &expected)?;
    Ok((new, sizes))
}

/// The compiled program stays near.
fn compiles(case: &Case, batch: &Batch, new: &Vmap, sizes: &Sizes) -> Result<(), TestCaseError> {
    let plan = match compile_to_plan(&new.graph, &Options::default()) {
        // Products scattered into complex numbers, the one form that cannot be split.
        Err(PassError::Unsupported { what, .. }) if what.contains("combine=prod") => return Ok(()),
        plan => plan.unwrap(),
    };
    let environment = Environment {
        sizes: &|s| sizes.get(s).copied(),
        foreign: &|_| None,
    };
    let inputs = batch.arguments(&case.inputs);
    let expected = run(&new.graph, &inputs, sizes).unwrap();
    let inputs: Vec<Array> = inputs.into_iter().map(interleaved).collect();
    let results = eval_plan(&plan, &inputs, environment, EvalMode::default()).unwrap();
    for (i, (mut got, expected)) in results.into_iter().zip(expected).enumerate() {
        if expected.dtype.is_complex() {
            got.dtype = expected.dtype;
            got.dims.pop();
        }
        let difference = got.difference(&expected, case.tolerances[i]);
        prop_assert!(
            difference.is_none(),
            "result {i}: {difference:?}\n{}",
            print_graph(&new.graph)
        );
    }
    Ok(())
}

/// Complex numbers as split programs see them.
fn interleaved(mut x: Array) -> Array {
    if x.dtype.is_complex() {
        x.dtype = x.dtype.real();
        x.dims.push(2);
    }
    x
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_global_rejects: 100_000,
        ..ProptestConfig::with_cases(400)
    })]

    #[test]
    fn a_batch_is_its_elements(
        case in cases(CONFIG),
        count in 0..4usize,
        choices in choices(),
    ) {
        let batch = batch(&case.graph, "batch", count, &choices);
        let (new, sizes) = check(&case, &batch)?;
        compiles(&case, &batch, &new, &sizes)?;
    }

    #[test]
    fn a_batch_is_its_elements_with_symbolic_sizes_and_foreign_functions(
        case in cases(Config { symbolic: true, foreign: true, ..CONFIG }),
        count in 0..4usize,
        choices in choices(),
    ) {
        check(&case, &batch(&case.graph, "batch", count, &choices))?;
    }

    #[test]
    fn a_batch_of_batches_is_its_elements(
        case in cases(CONFIG),
        counts in [0..3usize, 0..3usize],
        first in choices(),
        second in choices(),
    ) {
        let inner = batch(&case.graph, "inner", counts[0], &first);
        let once = inner.vmap(&case.graph, Randomness::Same);
        let outer = batch(&once.graph, "outer", counts[1], &second);
        let twice = outer.vmap(&once.graph, Randomness::Same);
        prop_assert_eq!(verify_graph(&twice.graph), Ok(()));
        let sizes = inner.sizes(&case.sizes());
        let inputs = inner.arguments(&case.inputs);
        let one = |inputs: &[Array]| run(&once.graph, inputs, &sizes);
        let Some(expected) = expected(&outer, &one, &inputs, &twice.batched) else {
            return Err(TestCaseError::reject("faults with other numbers"));
        };
        let got = run(&twice.graph, &outer.arguments(&inputs), &outer.sizes(&sizes)).unwrap();
        compare(&twice.graph, &got, &expected)?;
    }
}
