//! Canon as a whole: every rule is shown in a file, and the work grows with the graph and no faster.

use lazulite_ir::{
    Binary, DType, Dim, Dims, Graph, NodeId, Op, Scalar, TensorType, Unary, parse_graph,
};
use lazulite_passes::canon::{Report, canon_with_report, rules};
use lazulite_passes::{Numerics, Options};
use std::collections::BTreeSet;
use std::path::Path;

/// A graph of `len` operations, each made of the one before by `link`, and the parameter.
fn chain(
    ty: TensorType,
    len: usize,
    mut link: impl FnMut(&mut Graph, usize, NodeId, NodeId) -> NodeId,
) -> Graph {
    let mut graph = Graph::new();
    let parameter = graph.input(ty);
    let mut last = parameter;
    for i in 0..len {
        last = link(&mut graph, i, last, parameter);
    }
    graph.set_outputs([last]);
    graph
}

fn vector(dtype: DType) -> TensorType {
    TensorType::new(dtype, [Dim::constant(6)])
}

fn report(graph: &Graph, numerics: Numerics) -> Report {
    let options = Options {
        numerics,
        ..Options::default()
    };
    canon_with_report(graph, &options).unwrap().1
}

/// The work on chains of growing length must stay in proportion.
fn check_linear(name: &str, lens: &[usize], make: impl Fn(usize) -> Graph) {
    let work = |len, numerics| {
        let report = report(&make(len), numerics);
        report.visited + report.fired.values().sum::<u64>()
    };
    for numerics in [Numerics::Exact, Numerics::Order] {
        let least = work(1_000, numerics);
        assert!(least <= 12_000, "{name}: {least} for 1,000 operations");
        for &len in lens {
            let more = work(len, numerics);
            let limit = least * (len as u64 / 1_000) * 11 / 10;
            assert!(more <= limit, "{name}: {more} for {len} after {least}");
        }
    }
}

#[test]
fn work_grows_with_the_graph_and_no_faster() {
    check_linear("float functions", &[10_000, 100_000], |len| {
        chain(vector(DType::F32), len, |g, i, x, first| match i % 3 {
            0 => g.add(Op::Binary { f: Binary::Add }, [x, first]).unwrap(),
            1 => g.add(Op::Unary { f: Unary::Neg }, [x]).unwrap(),
            _ => g.add(Op::Binary { f: Binary::Mul }, [first, x]).unwrap(),
        })
    });
    check_linear("half floats", &[10_000], |len| {
        chain(vector(DType::BF16), len, |g, _, x, first| {
            g.add(Op::Binary { f: Binary::Add }, [x, first]).unwrap()
        })
    });
    check_linear("integer constants", &[10_000], |len| {
        chain(TensorType::scalar(DType::I32), len, |g, i, x, _| {
            let value = Scalar::from_i64(DType::I32, 1 + i as i64);
            let c = g.add(Op::Const { value }, []).unwrap();
            g.add(Op::Binary { f: Binary::Add }, [x, c]).unwrap()
        })
    });
    check_linear("negations", &[10_000], |len| {
        chain(vector(DType::F32), len, |g, _, x, _| {
            g.add(Op::Unary { f: Unary::Neg }, [x]).unwrap()
        })
    });
    check_linear("reshapes", &[10_000], |len| {
        chain(vector(DType::F32), len, |g, i, x, _| {
            let dims: &[i64] = [&[2, 3][..], &[3, 2], &[6]][i % 3];
            let dims = dims.iter().map(|&d| Dim::constant(d)).collect();
            g.add(Op::Reshape { dims }, [x]).unwrap()
        })
    });
}

/// Slices that could move down through all of a tower of padding.
#[test]
fn slices_do_not_travel_through_towers_again_and_again() {
    check_linear("towers", &[4_000], |len| {
        let mut slices = Vec::new();
        let ty = TensorType::new(DType::F32, [Dim::constant(4), Dim::constant(4)]);
        let mut graph = chain(ty, len, |g, i, x, _| {
            let pair = |a: i64, b: i64| [a, b].map(Dim::constant).into_iter().collect::<Dims>();
            let value = Scalar::from_f64(DType::F32, i as f64);
            let value = g.add(Op::Const { value }, []).unwrap();
            let pad = Op::Pad {
                low: pair(1 - (i % 2) as i64, (i % 2) as i64),
                high: pair(0, 0),
                interior: pair(0, 0),
            };
            let padded = g.add(pad, [x, value]).unwrap();
            let dims = g.tensor_type(padded).dims.clone();
            let start = dims.iter().map(|d| d.sub(&Dim::constant(4)).unwrap());
            let slice = Op::Slice {
                start: start.collect(),
                len: pair(4, 4),
                step: vec![1, 1],
            };
            slices.push(g.add(slice, [padded]).unwrap());
            padded
        });
        graph.set_outputs(slices);
        graph
    });
}

#[test]
fn rules_have_names_and_reasons() {
    let names: BTreeSet<&str> = rules::all().map(|r| r.name).collect();
    assert_eq!(names.len(), rules::all().count(), "names are unique");
    for rule in rules::all() {
        assert!(rule.why.len() > 15, "{}: {}", rule.name, rule.why);
    }
}

/// Each rule fires in the filetest that has its name.
#[test]
fn every_rule_is_shown_in_a_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/filetests/canon");
    for rule in rules::all() {
        let path = folder.join(format!("{}.lzt", rule.name));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        let given = text.split("\n----\n").next().unwrap();
        let report = report(&parse_graph(given).unwrap(), Numerics::Order);
        assert!(report.fired.contains_key(rule.name), "{}", rule.name);
    }
}
