//! The stages: their names, stopping after one and going on from there, dumps, and the verifier
//! between them.

use lazulite_ir::{Graph, NodeId, parse_graph, print_graph};
use lazulite_passes::{
    Artifact, NarrowProducts, Options, PassError, Stage, compile_to_plan, graph_stage, run,
};

fn program() -> Graph {
    let text = "graph(%0: c64[4], %1: f16[4]) {
        %2 = call %0 {name=\"double\", body=graph(%0: c64[4]) {
          %1 = add %0, %0 : c64[4]
          return %1
        }} : (c64[4])
        %3 = get %2 {index=0} : c64[4]
        %4 = real %3 : f32[4]
        %5 = mul %1, %1 : f16[4]
        return %4, %5
    }";
    parse_graph(text).unwrap()
}

#[test]
fn stages_are_found_by_name() {
    for stage in Stage::ALL {
        assert_eq!(Stage::from_name(stage.name()), Some(stage));
        assert_eq!(graph_stage(stage.name()).is_some(), stage <= Stage::Complex);
    }
    assert_eq!(Stage::from_name("fusion"), None);
    assert!(graph_stage("fusion").is_none());
}

#[test]
fn every_stage_is_shown() {
    let mut seen = Vec::new();
    let start = Artifact::Graph(program());
    let mut see = |stage: Stage, artifact: &Artifact| {
        let text = artifact.to_string();
        assert_eq!(text.starts_with("plan"), stage >= Stage::Schedule);
        seen.push(stage);
    };
    run(
        start,
        Stage::Trace,
        Stage::Memory,
        &Options::default(),
        &mut see,
    )
    .unwrap();
    assert_eq!(seen, Stage::ALL);
}

#[test]
fn going_on_from_any_stage_leads_to_the_same_plan() {
    let options = Options::default();
    let whole = compile_to_plan(&program(), &options).unwrap().to_string();
    for stop in Stage::ALL {
        let start = Artifact::Graph(program());
        let stopped = run(start, Stage::Trace, stop, &options, &mut |_, _| {}).unwrap();
        // A graph may also be written down and read again in between.
        let stopped = match stopped {
            Artifact::Graph(g) => Artifact::Graph(parse_graph(&print_graph(&g)).unwrap()),
            plan => plan,
        };
        let end = run(stopped, stop, Stage::Memory, &options, &mut |_, _| {}).unwrap();
        assert_eq!(end.to_string(), whole, "by way of {}", stop.name());
    }
}

#[test]
fn there_is_no_way_back() {
    let start = Artifact::Graph(program());
    let error = run(
        start,
        Stage::Canon,
        Stage::Inline,
        &Options::default(),
        &mut |_, _| {},
    );
    let expected = PassError::Order {
        after: "canon",
        until: "inline",
    };
    assert_eq!(error.unwrap_err(), expected);
}

#[test]
fn invalid_programs_are_errors_with_findings() {
    let mut graph = program();
    // A tuple as a result.
    let call = graph
        .ids()
        .find(|id| graph.node(*id).ty.as_tensor().is_none());
    graph.set_outputs(call);
    // Where the verifier does not run a pass notices, or leaves the mistake to the next.
    for stage in ["inline", "canon", "complex"] {
        let pass = graph_stage(stage).unwrap();
        assert!(pass(&graph).is_err() || stage == "canon");
    }
    let error = compile_to_plan(&graph, &Options::default()).unwrap_err();
    assert!(
        matches!(error, PassError::Invalid { after: "trace", .. }),
        "{error}"
    );
    graph.set_outputs([] as [NodeId; 0]);
    assert!(compile_to_plan(&graph, &Options::default()).is_ok());
}

/// Two layers of half floats with a function between them.
const HALF_LAYERS: &str = "graph(%0: f16[n, 40], %1: f16[40, 64], %2: f16[64, 48]) {
    %3 = contract %0, %1 {lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f16} : f16[n, 64]
    %4 = tanh %3 : f16[n, 64]
    %5 = contract %4, %2 {lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f16} : f16[n, 48]
    return %5
}";

#[test]
fn machines_for_half_floats_multiply_them_as_they_are() {
    let graph = parse_graph(HALF_LAYERS).unwrap();
    let plan = |narrow| {
        let mut options = Options::default();
        options.schedule.machine.narrow = narrow;
        compile_to_plan(&graph, &options).unwrap().to_string()
    };
    let (with, without) = (plan(NarrowProducts::HalfFloats), plan(NarrowProducts::None));
    assert_eq!(with.matches("contract f32 of f16").count(), 2, "{with}");
    // What lies between the layers is rounded, and nothing is converted for them.
    assert!(!with.contains("cast v0 : f32"), "{with}");
    assert_eq!(without.matches("contract f32 b=").count(), 2, "{without}");
}
