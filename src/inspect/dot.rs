//! Reports for graphviz: a node per operation, a cluster per group, numbers with their users.

use super::report::Report;
use super::stage::Stage;
use super::view::{GraphReport, NodeReport};
use rustc_hash::FxHashMap;
use std::fmt::Write;

/// The graphs of a stage; kernels are clusters.
pub(super) fn render(report: &Report, stage: Stage) -> String {
    let mut out = String::from("digraph program {\n");
    out.push_str("  node [shape=box, style=\"rounded,filled\", fillcolor=white, ");
    out.push_str("fontname=\"Helvetica\", fontsize=10];\n");
    out.push_str("  edge [color=\"#777777\", arrowsize=0.6];\n");
    for (number, graph) in report.graphs(stage).iter().enumerate() {
        write_graph(&mut out, number, graph);
    }
    out.push_str("}\n");
    out
}

fn write_graph(out: &mut String, number: usize, graph: &GraphReport) {
    let is_body = number > 0;
    if is_body {
        let title = quoted(&graph.title);
        let _ = writeln!(out, "  subgraph cluster_graph{number} {{\n  label={title};");
    }
    let numbers: FxHashMap<u32, &str> = { graph.nodes.iter() }
        .filter_map(|n| Some((n.id, n.number.as_deref()?)))
        .collect();
    let shown = || graph.nodes.iter().filter(|n| is_shown(n, graph));
    let group_of = |n: &NodeReport| n.scheduled.as_ref().and_then(|s| s.groups.first().copied());
    for group in &graph.groups {
        let title = format!("{} {}: {}", group.kind, group.number, group.title);
        let _ = writeln!(
            out,
            "  subgraph cluster_{number}_{} {{\n    label={}; style=\"rounded,filled\"; fillcolor=\"#eef3fb\";",
            group.number,
            quoted(&title)
        );
        for node in shown().filter(|n| group_of(n) == Some(group.number)) {
            write_node(out, number, node, &numbers);
        }
        out.push_str("  }\n");
    }
    for node in shown().filter(|n| group_of(n).is_none()) {
        write_node(out, number, node, &numbers);
    }
    for node in shown() {
        for input in node.inputs.iter().filter(|i| !numbers.contains_key(i)) {
            let _ = writeln!(out, "  n{number}_{input} -> n{number}_{};", node.id);
        }
    }
    for (i, output) in graph.outputs.iter().enumerate() {
        let _ = writeln!(
            out,
            "  out{number}_{i} [label=\"result {i}\", shape=plaintext];"
        );
        let _ = writeln!(out, "  n{number}_{output} -> out{number}_{i};");
    }
    if is_body {
        out.push_str("  }\n");
    }
}

/// Numbers stand with their users, unless they are results.
fn is_shown(node: &NodeReport, graph: &GraphReport) -> bool {
    node.number.is_none() || graph.outputs.contains(&node.id)
}

fn write_node(out: &mut String, graph: usize, node: &NodeReport, numbers: &FxHashMap<u32, &str>) {
    let mut label = node.name.as_ref().unwrap_or(&node.op).clone();
    for number in node.inputs.iter().filter_map(|i| numbers.get(i)) {
        let _ = write!(label, " {number}");
    }
    let _ = write!(label, "\n{}", node.ty);
    let mut about = node
        .source
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    if !node.trail.is_empty() {
        let _ = write!(about, " in {}", node.trail);
    }
    if !node.rules.is_empty() {
        let _ = write!(about, "; rules: {}", node.rules.join(", "));
    }
    let (label, about) = (quoted(&label), quoted(&about));
    let _ = writeln!(
        out,
        "    n{graph}_{} [label={label}, tooltip={about}];",
        node.id
    );
}

/// Text between quotes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
