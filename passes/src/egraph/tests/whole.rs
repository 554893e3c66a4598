//! The pass as a whole: never dearer, always the same, bounded, and aware of what may not be dropped.

use super::example::graph_of;
use crate::egraph::{EgraphOptions, EgraphReport, egraph_with_report};
use crate::{Numerics, Options, canon::canon};
use lazulite_ir::{Graph, Op, parse_graph, print_graph, verify_graph};

fn at(numerics: Numerics) -> Options {
    Options {
        numerics,
        ..Options::default()
    }
}

fn optimised(graph: &Graph, options: &Options) -> (Graph, EgraphReport) {
    let simple = canon(graph, options).unwrap();
    let (new, report) = egraph_with_report(&simple, options).unwrap();
    verify_graph(&new).unwrap();
    assert!(report.cost_after <= report.cost_before, "{report:?}");
    (new, report)
}

fn count(graph: &Graph, wanted: impl Fn(&Op) -> bool) -> usize {
    graph.nodes().iter().filter(|n| wanted(&n.op)).count()
}

fn has_rule(graph: &Graph, rule: &str) -> bool {
    graph
        .ids()
        .any(|id| graph.origin(id).rules().contains(&rule))
}

fn products(graph: &Graph) -> usize {
    count(graph, |op| matches!(op, Op::Contract { .. }))
}

const MATMUL: &str = "contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32}";

/// A product with the same weights, a function of it and the operand added, time and again.
fn tower(height: usize) -> Graph {
    let layer = format!("(add (tanh (mul ({MATMUL} ?x:f32[64, 64] ?w:f32[64, 64]) 0.125)) ?x)");
    let layer = graph_of(&layer, 1).unwrap();
    let mut graph = layer.clone();
    let weights = graph.inputs()[1];
    let mut last = graph.outputs()[0];
    for _ in 1..height {
        let mut new = vec![last; layer.nodes().len()];
        for id in layer.ids() {
            let node = layer.node(id);
            let operands: Vec<_> = node.inputs.iter().map(|i| new[i.index()]).collect();
            new[id.index()] = match &node.op {
                Op::Input { index: 0, .. } => last,
                Op::Input { .. } => weights,
                op => graph.add(op.clone(), operands).unwrap(),
            };
        }
        last = new[layer.outputs()[0].index()];
    }
    graph.set_outputs([last]);
    graph
}

#[test]
fn chains_of_products_are_taken_in_the_cheapest_order() {
    let text = format!(
        "({MATMUL} ({MATMUL} ({MATMUL} ?a:f32[64, 64] ?b:f32[64, 64]) ?c:f32[64, 64]) ?v:f32[64, 8])"
    );
    let graph = graph_of(&text, 1).unwrap();
    let (same, _) = optimised(&graph, &at(Numerics::Order));
    assert_eq!(
        print_graph(&same),
        print_graph(&canon(&graph, &Options::default()).unwrap())
    );
    let (new, report) = optimised(&graph, &at(Numerics::Algebra));
    let wide = |g: &Graph| {
        g.ids()
            .filter(|&id| {
                matches!(g.node(id).op, Op::Contract { .. }) && g.tensor_type(id).dims[1].is(64)
            })
            .count()
    };
    assert_eq!((wide(&graph), wide(&new)), (2, 0), "{}", print_graph(&new));
    assert!(has_rule(&new, "chain-left"), "{report:?}");
}

#[test]
fn products_with_a_common_operand_become_one() {
    let product = |w: &str| format!("(tanh ({MATMUL} ?x:f32[256, 256] ?{w}:f32[256, 16]))");
    let text = format!("{} {} {}", product("q"), product("k"), product("v"));
    let (new, report) = optimised(&graph_of(&text, 1).unwrap(), &Options::default());
    assert_eq!(products(&new), 1, "{}", print_graph(&new));
    assert!(report.fired.contains_key("join-shared-left"));
}

#[test]
fn the_same_graph_gives_the_same_result() {
    let graph = tower(40);
    let (first, a) = optimised(&graph, &at(Numerics::Algebra));
    let (second, b) = optimised(&graph, &at(Numerics::Algebra));
    assert_eq!(print_graph(&first), print_graph(&second));
    assert_eq!((a.fired, a.terms), (b.fired, b.terms));
}

#[test]
fn equal_regions_are_solved_once_and_work_is_linear() {
    let terms = |height| optimised(&tower(height), &at(Numerics::Algebra)).1;
    let (some, many) = (terms(200), terms(2000));
    assert!(many.regions >= 10 * some.regions - 10, "{many:?}");
    // Ends differ from the middle; everything between them is known.
    assert!(
        many.terms <= 2 * some.terms,
        "{} terms after {}",
        many.terms,
        some.terms
    );
    assert!(many.regions - many.repeated - many.skipped <= 6, "{many:?}");
}

#[test]
fn what_may_fault_is_not_dropped() {
    let text = "graph(%0: i32[4], %1: i32[4], %2: f32[4]) {
      %3 = div %0, %1 : i32[4]
      %4 = cast %3 {dtype=f32} : f32[4]
      %5 = add %2, %4 : f32[4]
      %6 = neg %4 : f32[4]
      %7 = add %5, %6 : f32[4]
      return %7
    }";
    let (new, _) = optimised(&parse_graph(text).unwrap(), &at(Numerics::Algebra));
    assert_eq!(
        count(&new, |op| matches!(
            op,
            Op::Binary {
                f: lazulite_ir::Binary::Div
            }
        )),
        1
    );
}

#[test]
fn bodies_are_optimised_with_their_rules_listed() {
    let text = "graph(%0: f32[4], %1: f32[4]) {
      %2 = loop %0, %1 {trip=3, carries=1, scanned=0, body=graph(%0: i64[], %1: f32[4], %2: f32[4]) {
        %3 = mul %1, %2 : f32[4]
        %4 = mul %1, %1 : f32[4]
        %5 = add %3, %4 : f32[4]
        return %5
      }} : (f32[4])
      %3 = get %2 {index=0} : f32[4]
      return %3
    }";
    let (new, _) = optimised(&parse_graph(text).unwrap(), &at(Numerics::Algebra));
    let region = |op: &Op| op.regions().first().map(|(_, body)| (*body).clone());
    let body = new.nodes().iter().find_map(|n| region(&n.op)).unwrap();
    let mul = lazulite_ir::Binary::Mul;
    assert_eq!(count(&body, |op| *op == Op::Binary { f: mul }), 1);
    assert!(has_rule(&body, "factor"));
}

#[test]
fn budgets_end_saturation_and_leave_a_valid_program() {
    let sum = (0..40).fold(String::from("?a:f32[8]"), |sum, i| {
        format!("(add (mul {sum} ?b:f32[8]) (mul ?c{}:f32[8] ?b))", i % 3)
    });
    let graph = graph_of(&sum, 8).unwrap();
    let tight = EgraphOptions {
        terms: 10,
        growth: 1,
        matches: 7,
        rounds: 3,
        trials: 3,
        ..EgraphOptions::default()
    };
    let options = Options {
        egraph: tight,
        ..at(Numerics::Algebra)
    };
    let (_, report) = optimised(&graph, &options);
    assert_eq!(report.exhausted, 1);
    assert!(report.terms < 400, "{report:?}");
}

#[test]
fn switched_off_it_changes_nothing() {
    let text = "(add (mul ?a:f32[8] ?b:f32[8]) (mul ?a ?c:f32[8]))";
    let graph = canon(&graph_of(text, 8).unwrap(), &Options::default()).unwrap();
    let mut options = at(Numerics::Algebra);
    options.egraph.enabled = false;
    assert_eq!(
        print_graph(&optimised(&graph, &options).0),
        print_graph(&graph)
    );
    options.egraph.enabled = true;
    assert_ne!(
        print_graph(&optimised(&graph, &options).0),
        print_graph(&graph)
    );
}
