//! What is asked for, what is answered, and what registered derivatives do.

use crate::check::{Writer, check, run};
use lazulite_ir::{
    Array, Binary, Custom, DType, Dim, Graph, NodeId, Op, Source, TensorType, Unary, interpret,
    parse_graph, print_graph, verify_graph,
};
use lazulite_passes::autodiff::{AutodiffError, NoRules, Rule, Rules, Seed, jvp, vjp};
use std::sync::Arc;

fn array(values: &[f64]) -> Array {
    Array::from_f64(&[values.len()], values).unwrap()
}

fn product() -> (Graph, [NodeId; 4]) {
    let mut w = Writer::default();
    let [a, b, unused] = [w.x(&[2]), w.x(&[2]), w.x(&[2])];
    let square = w.op(Op::Binary { f: Binary::Mul }, &[a, a]);
    let y = w.op(Op::Binary { f: Binary::Mul }, &[square, b]);
    (w.done(&[y]), [a, b, unused, square])
}

#[test]
fn intermediate_tensors_have_gradients_and_unreached_ones_say_so() {
    let (graph, [a, b, unused, square]) = product();
    let wrt = [square, unused, a, b];
    let reverse = vjp(&graph, &[Seed::One], &wrt, &NoRules).unwrap();
    assert_eq!(reverse.gradients, [Some(1), None, Some(2), Some(3)]);
    let inputs = [array(&[2.0, 3.0]), array(&[5.0, 7.0]), array(&[0.0, 0.0])];
    let results = run(&reverse.graph, &inputs);
    assert_eq!(results[0], array(&[20.0, 63.0]));
    assert_eq!(results[1], array(&[5.0, 7.0]));
    assert_eq!(results[2], array(&[20.0, 42.0]));
    assert_eq!(results[3], array(&[4.0, 9.0]));
}

#[test]
fn cotangents_may_be_nodes_of_the_graph() {
    let (graph, [a, b, ..]) = product();
    let reverse = vjp(&graph, &[Seed::Node(b)], &[a], &NoRules).unwrap();
    assert_eq!(reverse.graph.inputs().len(), 3);
    let inputs = [array(&[2.0, 3.0]), array(&[5.0, 7.0]), array(&[0.0, 0.0])];
    assert_eq!(run(&reverse.graph, &inputs)[1], array(&[100.0, 294.0]));
}

#[test]
fn tangents_of_intermediate_tensors_add_to_what_flows_in() {
    let (graph, [a, b, unused, square]) = product();
    let inputs = [array(&[2.0, 3.0]), array(&[5.0, 7.0]), array(&[0.0, 0.0])];
    let along = [(a, Seed::One), (square, Seed::Node(b))];
    let forward = jvp(&graph, &along, &NoRules).unwrap();
    // (2a + b) * b
    let tangent = run(&forward.graph, &inputs).remove(forward.tangents[0].unwrap());
    assert_eq!(tangent, array(&[45.0, 91.0]));
    let forward = jvp(&graph, &[(unused, Seed::One)], &NoRules).unwrap();
    assert_eq!(forward.tangents, [None]);
    let late = jvp(&graph, &[(a, Seed::Node(square))], &NoRules).unwrap_err();
    assert_eq!(late, AutodiffError::LateTangent { node: a });
}

#[test]
fn integers_and_wrong_seeds_are_refused() {
    let mut w = Writer::default();
    let x = w.x(&[2]);
    let i = w.op(Op::Cast { dtype: DType::I64 }, &[x]);
    let graph = w.done(&[i, x]);
    let one = [Seed::One, Seed::None];
    let error = vjp(&graph, &one, &[x], &NoRules).unwrap_err();
    assert!(
        matches!(error, AutodiffError::NotDifferentiable { .. }),
        "{error}"
    );
    let error = vjp(&graph, &[Seed::One], &[x], &NoRules).unwrap_err();
    assert_eq!(
        error,
        AutodiffError::SeedCount {
            seeds: 1,
            results: 2
        }
    );
    let error = vjp(&graph, &[Seed::None; 2], &[NodeId(9)], &NoRules).unwrap_err();
    assert!(error.to_string().contains("%9"), "{error}");
    let error = jvp(&graph, &[(i, Seed::One)], &NoRules).unwrap_err();
    assert!(
        matches!(error, AutodiffError::NotDifferentiable { .. }),
        "{error}"
    );
}

#[test]
fn long_chains_do_not_overflow_the_stack() {
    let mut w = Writer::default();
    let x = w.x(&[]);
    let mut y = x;
    for _ in 0..100_000 {
        y = w.op(Op::Binary { f: Binary::Mul }, &[y, x]);
        y = w.op(Op::Unary { f: Unary::Neg }, &[y]);
    }
    let graph = w.done(&[y]);
    let reverse = vjp(&graph, &[Seed::One], &[x], &NoRules).unwrap();
    assert!(reverse.graph.nodes().len() < 1_000_000);
    jvp(&graph, &[(x, Seed::One)], &NoRules).unwrap();
}

#[test]
fn sources_are_kept_and_marked() {
    let mut w = Writer::default();
    let x = w.x(&[]);
    let y = w.op(Op::Unary { f: Unary::Exp }, &[x]);
    let source = Source {
        file: "net.rs".into(),
        line: 7,
        column: 3,
        trail: "mlp".into(),
    };
    w.0.set_source(y, Arc::new(source));
    let graph = w.done(&[y]);
    let reverse = vjp(&graph, &[Seed::Parameter], &[x], &NoRules).unwrap();
    let last = reverse.graph.outputs()[1];
    let source = reverse.graph.source(last).unwrap();
    assert_eq!((source.line, &*source.trail), (7, "mlp > gradient"));
}

#[test]
fn symbolic_sizes() {
    let text = "graph(%0: f64[n, m], %1: f64[m]) {
        %2 = slice %0 {start=[0, 0], len=[n, 1], step=[1, 1]} : f64[n, 1]
        %3 = expand %2 {dims=[n, m]} : f64[n, m]
        %4 = mul %0, %3 : f64[n, m]
        %5 = reduce %4 {kind=prod, axes=[0]} : f64[m]
        %6 = scan %5 {kind=prod, axis=0, reverse=false} : f64[m]
        %7 = mul %6, %1 : f64[m]
        return %7
    }";
    let graph = parse_graph(text).unwrap();
    let reverse = vjp(&graph, &[Seed::One], graph.inputs(), &NoRules).unwrap();
    verify_graph(&reverse.graph).unwrap();
    let types = reverse.graph.output_types();
    assert_eq!(types[1..], [types_of(&graph, 0), types_of(&graph, 1)]);
    let x = Array::from_f64(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let inputs = [x, array(&[1.0, 1.0, 1.0])];
    let sizes = |s: &lazulite_ir::Symbol| if &*s.0 == "n" { Some(2) } else { Some(3) };
    let results = interpret(&reverse.graph, &inputs, &sizes).unwrap();
    assert_eq!(results[1].dims, [2, 3]);
    assert_eq!(results[2], array(&[16.0, 16.0 * 40.0, 16.0 * 40.0 * 72.0]));
}

fn types_of(graph: &Graph, input: usize) -> TensorType {
    graph.tensor_type(graph.inputs()[input]).clone()
}

/// Derivatives of a foreign square and of composites by name.
struct Table;

impl Rules for Table {
    fn pullback(&self, op: &Op, _: &[TensorType], _: &[TensorType]) -> Rule {
        match op {
            Op::Call { name, .. } if &**name == "detach" => Rule::Stop,
            Op::Call { name, .. } if &**name == "opaque" => Rule::Refused("it is opaque".into()),
            Op::Call { name, .. } if &**name == "bad" => Rule::Graph(Arc::new(Graph::new())),
            Op::Custom { .. } => Rule::Graph(twice_times()),
            _ => Rule::Definition,
        }
    }

    fn pushforward(&self, op: &Op, x: &[TensorType], y: &[TensorType]) -> Rule {
        self.pullback(op, x, y)
    }
}

/// Operand, result and derivative to 2 * operand * derivative: both directions of the square.
fn twice_times() -> Arc<Graph> {
    let mut w = Writer::default();
    let [x, _, g] = [w.x(&[2]), w.x(&[2]), w.x(&[2])];
    let once = w.op(Op::Binary { f: Binary::Mul }, &[x, g]);
    let twice = w.op(Op::Binary { f: Binary::Add }, &[once, once]);
    Arc::new(w.done(&[twice]))
}

fn foreign_square() -> Graph {
    let mut w = Writer::default();
    let x = w.x(&[2]);
    let square = |inputs: &[&[u8]], _: &[&[usize]], outputs: &mut [&mut [u8]]| {
        for (from, to) in inputs[0].chunks(8).zip(outputs[0].chunks_mut(8)) {
            let x = f64::from_le_bytes(from.try_into().unwrap());
            to.copy_from_slice(&(x * x).to_le_bytes());
        }
        Ok(())
    };
    let target = Custom::Host("square".into(), Arc::new(square));
    let results = vec![TensorType::new(DType::F64, [Dim::constant(2)])];
    let tuple = w.op(Op::Custom { target, results }, &[x]);
    let y = w.get(tuple, 0);
    w.done(&[y])
}

#[test]
fn foreign_functions_need_a_rule() {
    let graph = foreign_square();
    let error = vjp(&graph, &[Seed::One], graph.inputs(), &NoRules).unwrap_err();
    assert!(
        error.to_string().contains("foreign function `square`"),
        "{error}"
    );
    let reverse = vjp(&graph, &[Seed::One], graph.inputs(), &Table).unwrap();
    assert!(print_graph(&reverse.graph).contains("\"square.vjp\""));
    assert_eq!(
        run(&reverse.graph, &[array(&[3.0, 4.0])])[1],
        array(&[6.0, 8.0])
    );
    let forward = jvp(&graph, &[(graph.inputs()[0], Seed::One)], &Table).unwrap();
    assert_eq!(
        run(&forward.graph, &[array(&[3.0, 4.0])])[1],
        array(&[6.0, 8.0])
    );
    // The gradient is an ordinary graph, in which the foreign function is dead or has its rule.
    let again = vjp(
        &reverse.graph,
        &[Seed::None, Seed::One],
        graph.inputs(),
        &Table,
    )
    .unwrap();
    assert_eq!(
        run(&again.graph, &[array(&[3.0, 4.0])])[2],
        array(&[2.0, 2.0])
    );
}

fn composite(name: &str) -> Graph {
    let mut w = Writer::default();
    let x = w.x(&[2]);
    let y = w.op(Op::Unary { f: Unary::Exp }, &[x]);
    let body = Arc::new(w.done(&[y]));
    let mut w = Writer::default();
    let x = w.x(&[2]);
    let name = name.into();
    let tuple = w.op(Op::Call { name, body }, &[x]);
    let y = w.get(tuple, 0);
    let product = w.op(Op::Binary { f: Binary::Mul }, &[y, x]);
    w.done(&[product])
}

#[test]
fn rules_of_composites() {
    let x = array(&[0.0, 1.0]);
    let gradient = |name: &str| {
        let graph = composite(name);
        vjp(&graph, &[Seed::One], graph.inputs(), &Table)
    };
    let stopped = run(&gradient("detach").unwrap().graph, std::slice::from_ref(&x));
    assert_eq!(stopped[1], array(&[1.0, 1f64.exp()]));
    let error = gradient("opaque").unwrap_err().to_string();
    assert!(error.contains("it is opaque"), "{error}");
    let error = gradient("bad").unwrap_err().to_string();
    assert!(error.contains("gives 0 results instead of 1"), "{error}");
    check(&composite("plain"), 2);
}

#[test]
fn gradients_have_the_types_of_their_tensors() {
    let text = "graph(%0: f16[2, n], %1: f16[n, 3], %2: c64[2, 3], %3: bf16[2, 3]) {
        %4 = contract %0, %1 {lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} : f32[2, 3]
        %5 = cast %4 {dtype=c64} : c64[2, 3]
        %6 = mul %5, %2 : c64[2, 3]
        %7 = cast %6 {dtype=bf16} : bf16[2, 3]
        %8 = mul %7, %3 : bf16[2, 3]
        %9 = reduce %8 {kind=max, axes=[0, 1]} : bf16[]
        return %9
    }";
    let graph = parse_graph(text).unwrap();
    let reverse = vjp(&graph, &[Seed::One], graph.inputs(), &NoRules).unwrap();
    verify_graph(&reverse.graph).unwrap();
    let types: Vec<TensorType> = (0..4).map(|i| types_of(&graph, i)).collect();
    assert_eq!(reverse.graph.output_types()[1..], types);
}
