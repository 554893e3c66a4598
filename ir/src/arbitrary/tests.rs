//! The generator makes well-typed graphs and reaches every operation.

use super::*;
use crate::{DType, Op, infer, parse_graph};
use std::collections::BTreeSet;

/// Cases that do not depend on the test runner's seed.
fn fixed(config: Config, count: u64) -> impl Iterator<Item = Case> {
    (0..count).map(move |case| {
        let word = |i: u64| crate::random_bits(case, 1, i);
        let steps: Vec<Vec<u16>> = (0..config.steps as u64)
            .map(|step| (0..16).map(|i| word(step * 16 + i) as u16).collect())
            .collect();
        Case::from_choices(config, &steps)
    })
}

fn collect(graph: &Graph, ops: &mut BTreeSet<&'static str>, dtypes: &mut BTreeSet<DType>) {
    for node in graph.nodes() {
        ops.insert(node.op.mnemonic());
        dtypes.extend(node.ty.as_tensor().map(|t| t.dtype));
        match &node.op {
            Op::Call { body, .. } | Op::Loop { body, .. } => collect(body, ops, dtypes),
            Op::While { cond, body, .. } => {
                collect(cond, ops, dtypes);
                collect(body, ops, dtypes);
            }
            _ => {}
        }
    }
}

#[test]
fn all_operations_and_types_occur() {
    let config = Config {
        foreign: true,
        ..Config::default()
    };
    let (mut ops, mut dtypes) = (BTreeSet::new(), BTreeSet::new());
    let (mut empty, mut scalars) = (false, false);
    for case in fixed(config, 1500) {
        collect(&case.graph, &mut ops, &mut dtypes);
        empty |= case.inputs.iter().any(|i| i.is_empty());
        scalars |= case.inputs.iter().any(|i| i.dims.is_empty());
    }
    let functions = crate::Unary::ALL
        .iter()
        .map(|f| f.name())
        .chain(crate::Binary::ALL.iter().map(|f| f.name()));
    let rows = Op::TABLE.iter().map(|row| row.mnemonic);
    let missing: Vec<&str> = functions
        .chain(rows.filter(|m| !["unary", "binary"].contains(m)))
        .filter(|name| !ops.contains(name))
        .collect();
    assert_eq!(missing, [""; 0]);
    assert_eq!(dtypes.len(), DType::ALL.len());
    assert!(empty && scalars);
}

#[test]
fn faults_occur_where_wanted() {
    let config = Config {
        faults: true,
        ..Config::default()
    };
    let is_fault = |case: Case| matches!(case.expected(), Err(InterpError::Fault { .. }));
    assert!(fixed(config, 300).any(is_fault));
}

proptest! {
    #[test]
    fn cases_run_and_have_the_inferred_types(case in cases(Config { foreign: true, ..Config::default() })) {
        let results = case.expected().unwrap();
        for (array, ty) in results.iter().zip(case.graph.output_types()) {
            prop_assert!(array.is_valid());
            prop_assert_eq!(array.dtype, ty.dtype);
            let dims: Vec<usize> = ty.const_dims().unwrap().to_vec();
            prop_assert_eq!(&array.dims, &dims);
        }
        prop_assert_eq!(case.check(&results), Ok(()));
    }

    #[test]
    fn symbolic_cases_run(case in cases(Config { symbolic: true, ..Config::default() })) {
        let results = case.expected().unwrap();
        prop_assert_eq!(case.check(&results), Ok(()));
    }

    #[test]
    fn types_are_inferred_again_from_operands(case in cases(Config::default())) {
        for node in case.graph.nodes() {
            let inputs: Vec<_> = node.inputs.iter().map(|&i| &case.graph.node(i).ty).collect();
            let again = infer(&node.op, &inputs, &mut Vec::new());
            prop_assert_eq!(again.as_ref(), Ok(&node.ty));
        }
    }

    #[test]
    fn graphs_read_back_as_written(case in cases(Config { symbolic: true, ..Config::default() })) {
        let text = print_graph(&case.graph);
        let again = parse_graph(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(print_graph(&again), text);
    }
}
