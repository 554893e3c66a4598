//! Graphs print and read back to equal graphs, with the numbers and sources they had.

use lazulite_ir::{
    Combine, DType, Dim, Graph, Guard, Op, Relation, Scalar, Source, TensorType, Unary,
    parse_graph, print_graph, print_graph_with_sources,
};
use std::sync::Arc;

const EXAMPLE: &str = "\
graph(%0: f32[4, n], %1: i64[]) {
  %2 = exp %0 : f32[4, n]
  %3 = reduce %2 {kind=sum, axes=[1]} : f32[4]
  return %3
}
";

#[test]
fn the_example_reads_back() {
    assert_eq!(print_graph(&parse_graph(EXAMPLE).unwrap()), EXAMPLE);
}

#[test]
fn numbers_layout_and_comments_are_free() {
    let text = "; head\ngraph(%7:f32[4,n] ,%5 : i64[ ]){%1=exp %7:f32[4,n];!\n%0=reduce %1
        {kind = sum,axes=[1]}: f32[4] return %0}";
    assert_eq!(print_graph(&parse_graph(text).unwrap()), EXAMPLE);
}

/// A graph with everything that the text must keep: a late parameter, a region, guards in an
/// order of their own, sources, results that repeat.
fn everything() -> Graph {
    let (n, m) = (Dim::symbol("n"), Dim::symbol("batch size"));
    let guard = |rhs: i64, message: &str| Guard {
        lhs: n.clone(),
        relation: Relation::Le,
        rhs: Dim::constant(rhs),
        message: message.into(),
    };
    let source = |line, trail: &str| {
        Arc::new(Source {
            file: "src/\"x\".rs".into(),
            line,
            column: 3,
            trail: trail.into(),
        })
    };
    let mut body = Graph::new();
    let x = body.input(TensorType::new(DType::F32, [n.clone()]));
    let y = body.add(Op::Unary { f: Unary::Exp }, [x]).unwrap();
    body.set_source(y, source(9, ""));
    body.set_outputs([y]);
    let mut g = Graph::new();
    g.add_guard(guard(100, "stated \"first\""));
    let a = g.input(TensorType::new(DType::F32, [n.clone()]));
    let call = Op::Call {
        name: "gelu\n".into(),
        body: body.into(),
    };
    let b = g.add(call, [a]).unwrap();
    let b = g.add(Op::Get { index: 0 }, [b]).unwrap();
    let late = g.input(TensorType::new(DType::F32, [m]));
    let sum = g
        .add(
            Op::Binary {
                f: lazulite_ir::Binary::Add,
            },
            [b, late],
        )
        .unwrap();
    let zero = Scalar::from_f64(DType::F32, -0.0);
    let zero = g.add(Op::Const { value: zero }, []).unwrap();
    let axes = vec![0];
    let r = g
        .add(
            Op::Reduce {
                kind: Combine::Max,
                axes,
            },
            [sum],
        )
        .unwrap();
    g.add_guard(guard(200, "stated last"));
    g.set_source(a, source(1, "model > encoder"));
    g.set_source(r, source(2, ""));
    g.set_outputs([r, zero, a, r]);
    g
}

#[test]
fn everything_is_kept() {
    let graph = everything();
    let text = print_graph_with_sources(&graph);
    let read = parse_graph(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(read, graph, "{text}");
    assert_eq!(print_graph_with_sources(&read), text);
    assert_eq!(
        graph.to_string().parse::<Graph>().unwrap().to_string(),
        graph.to_string()
    );
}

#[test]
fn deep_nesting_is_an_error_within_a_small_stack() {
    let level = "graph() { %0 = call {name=\"f\", body=";
    let text = level.repeat(10_000);
    let run = move || parse_graph(&text).unwrap_err();
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let error = small.spawn(run).unwrap().join().unwrap();
    assert!(
        error.message.contains("nested deeper than 32 levels"),
        "{error}"
    );
}

#[test]
fn long_chains_read_in_one_go() {
    const LENGTH: usize = 200_000;
    let mut g = Graph::new();
    let mut x = g.input(TensorType::scalar(DType::F32));
    for i in 0..LENGTH {
        let f = if i % 2 == 0 { Unary::Sin } else { Unary::Cos };
        x = g.add(Op::Unary { f }, [x]).unwrap();
    }
    g.set_outputs([x]);
    assert_eq!(parse_graph(&print_graph(&g)).unwrap(), g);
}
