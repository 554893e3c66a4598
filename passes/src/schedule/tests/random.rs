//! Random graphs: both kinds of plans compute what the interpreter computes.

use super::*;
use crate::{inline, split_complex};
use lazulite_ir::arbitrary::{Case, Config, cases};
use proptest::prelude::*;

fn compare(case: &Case, options: &ScheduleOptions, scrambled: bool) -> Result<(), TestCaseError> {
    let graph = inline(&case.graph).map_err(|e| TestCaseError::fail(e.to_string()))?;
    let graph = match split_complex(&graph, &crate::Options::default()) {
        // Some forms of complex operations have no real parts to compute with.
        Err(crate::PassError::Unsupported { .. }) => return Ok(()),
        graph => graph.map_err(|e| TestCaseError::fail(e.to_string()))?,
    };
    let plan = schedule(&graph, options).map_err(|e| TestCaseError::fail(e.to_string()))?;
    let text = || format!("{graph}\n{}", print_plan(&plan));
    if let Err(findings) = verify_plan(&plan) {
        return Err(TestCaseError::fail(format!("{findings}\n{}", text())));
    }
    let sizes = case.sizes();
    let sizes = |s: &Symbol| sizes.get(s).copied();
    let foreign = |_: &str| None;
    let environment = Environment {
        sizes: &sizes,
        foreign: &foreign,
    };
    let mode = EvalMode {
        scrambled,
        ..EvalMode::default()
    };
    let got = eval_plan(&plan, &case.inputs, environment, mode);
    match (expected(case, &graph, environment), got) {
        (Ok(expected), Ok(mut got)) => {
            for (i, (got, expected)) in got.iter_mut().zip(&expected).enumerate() {
                if expected.dtype.is_complex() {
                    got.dtype = expected.dtype;
                    got.dims.pop();
                }
                if let Some(d) = got.difference(expected, case.tolerances[i]) {
                    return Err(TestCaseError::fail(format!("result {i}: {d}\n{}", text())));
                }
            }
            Ok(())
        }
        (Err(_), Err(lazulite_ir::EvalError::Fault { .. })) => Ok(()),
        (expected, got) => Err(TestCaseError::fail(format!(
            "expected {expected:?}, got {got:?}\n{}",
            text()
        ))),
    }
}

/// What the interpreter gives, without faults of nodes that are not needed.
fn expected(
    case: &Case,
    graph: &Graph,
    environment: Environment<'_>,
) -> Result<Vec<Array>, lazulite_ir::InterpError> {
    let inputs = case.inputs.iter().cloned().map(|mut array| {
        if array.dtype.is_complex() {
            array.dtype = array.dtype.real();
            array.dims.push(2);
        }
        array
    });
    let inputs: Vec<Array> = inputs.collect();
    let needed = crate::build::compact("test", graph).unwrap();
    interpret_in(&needed, &inputs, environment)?;
    case.expected()
        .or_else(|_| interpret_in(&needed, &inputs, environment))
}

fn compare_all(case: &Case) -> Result<(), TestCaseError> {
    compare(case, &reference(), false)?;
    compare(case, &ScheduleOptions::default(), false)?;
    compare(case, &ScheduleOptions::default(), true)?;
    compare(case, &on_a_small_machine(), true)?;
    compare(case, &on_a_large_machine(), false)
}

/// Limits are met everywhere: kernels are cut, rows are long, sums are split, products are packed, and turned
/// around more often.
pub(super) fn on_a_small_machine() -> ScheduleOptions {
    let mut options = ScheduleOptions::default();
    options.sizes.other = 3;
    options.machine = Machine {
        kernel_insts: 24,
        kernel_buffers: 4,
        row_elements: 8,
        column_elements: 5,
        parallel_points: 2,
        serial_elements: 4,
        keep_cost: 3,
        repeat_cost: 40,
        small_product: 0,
        thin_product: 0,
        reduce_block: 3,
        product_tile: [4, 4],
        product_tiles: 64,
        long_sum: 0,
        product_lanes: 2,
        ..Machine::default()
    };
    options
}

/// No limit is met: what can be in one kernel is.
pub(super) fn on_a_large_machine() -> ScheduleOptions {
    let machine = Machine {
        kernel_insts: 4096,
        kernel_buffers: 4096,
        row_elements: i64::MAX,
        column_elements: i64::MAX,
        parallel_points: 0,
        serial_elements: i64::MAX,
        keep_cost: 6,
        repeat_cost: 0,
        small_product: 0,
        thin_product: 0,
        reduce_block: i64::MAX,
        long_sum: i64::MAX,
        ..Machine::default()
    };
    ScheduleOptions {
        machine,
        ..ScheduleOptions::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn plans_compute_what_graphs_mean(case in cases(Config::default())) {
        compare_all(&case)?;
    }

    #[test]
    fn plans_serve_all_sizes(case in cases(Config { symbolic: true, ..Config::default() })) {
        compare_all(&case)?;
    }

    #[test]
    fn plans_find_faults(case in cases(Config { faults: true, foreign: true, ..Config::default() })) {
        compare_all(&case)?;
    }
}
