//! Reports as one page for a browser. The page holds the report as JSON, with a picture of every graph, and
//! a viewer that draws it; it loads nothing.

use super::json::{Json, write_report};
use super::layout::{Drawing, Layout, Size, layout};
use super::report::Report;
use super::stage::Stage;
use super::view::{GraphReport, NodeReport};
use rustc_hash::FxHashMap;
use std::fmt::Write;

const PAGE: &str = include_str!("viewer/page.html");
const STYLE: &str = include_str!("viewer/style.css");
const SCRIPT: [&str; 4] = [
    include_str!("viewer/model.js"),
    include_str!("viewer/canvas.js"),
    include_str!("viewer/panels.js"),
    include_str!("viewer/main.js"),
];

/// Pixels of a letter of the first and of the other lines of a node.
const LETTER: [f64; 2] = [7.3, 6.2];
/// Width of a node.
const WIDTH: [f64; 2] = [84.0, 250.0];
/// Height of a node with two and with three lines.
const HEIGHT: [f64; 2] = [40.0, 54.0];
/// Pixels of a letter of a group's title.
const TITLE_LETTER: f64 = 6.6;

/// The page, which begins with `first`.
pub(super) fn render(report: &Report, first: Stage) -> String {
    let mut data = String::new();
    Json(&mut data).object(|o| {
        o.text("first", first.name());
        o.value("report", |v| {
            v.object(|o| write_report(o, report, &report.stages()))
        });
        let drawn: Vec<Stage> = { report.stages().into_iter() }
            .filter(|s| (s.is_graph() || *s == Stage::Schedule) && report.same_as(*s).is_none())
            .collect();
        o.list("layouts", &drawn, |v, stage| {
            v.object(|o| {
                o.text("stage", stage.name());
                let graphs = report.graphs(*stage);
                o.list("graphs", &graphs, write_layout);
            });
        });
    });
    let mut page = String::with_capacity(data.len() + (64 << 10));
    let mut rest = PAGE;
    // Placeholders are replaced in one pass over the template: what stands in the data is not looked at.
    while let Some((before, after)) = rest.split_once("<!--") {
        let Some((name, after)) = after.split_once("-->") else {
            break;
        };
        page.push_str(before);
        match name {
            "title" => page.push_str(&escaped(report.title())),
            "style" => page.push_str(STYLE),
            "data" => page.push_str(&data),
            "script" => SCRIPT.iter().for_each(|part| page.push_str(part)),
            _ => {}
        }
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Text between tags.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out
}

/// The operations that stand in a picture: all but numbers, which stand with their users.
fn shown(graph: &GraphReport) -> Vec<&NodeReport> {
    let is_shown = |n: &&NodeReport| n.number.is_none() || graph.outputs.contains(&n.id);
    graph.nodes.iter().filter(is_shown).collect()
}

/// Where everything stands: numbers of the operations; left, top, width, height of each, and of each
/// group; edges with their waypoints.
fn write_layout(v: Json<'_>, graph: &GraphReport) {
    let nodes = shown(graph);
    let place: FxHashMap<u32, usize> = nodes.iter().enumerate().map(|(i, n)| (n.id, i)).collect();
    let numbers: FxHashMap<u32, &str> = { graph.nodes.iter() }
        .filter_map(|n| Some((n.id, n.number.as_deref()?)))
        .collect();
    let sizes: Vec<Size> = nodes.iter().map(|n| size(n, &numbers)).collect();
    let mut edges: Vec<(usize, usize)> = Vec::new();
    for (to, node) in nodes.iter().enumerate() {
        edges.extend(
            node.inputs
                .iter()
                .filter_map(|i| Some((*place.get(i)?, to))),
        );
    }
    edges.sort_unstable();
    edges.dedup();
    let group = |n: &&NodeReport| {
        let scheduled = n.scheduled.as_ref()?;
        scheduled.groups.first().map(|g| *g as usize)
    };
    let groups: Vec<Option<usize>> = nodes.iter().map(group).collect();
    let titles = graph.groups.iter();
    let titles: Vec<f64> = titles
        .map(|g| ((g.title.chars().count() + 24) as f64 * TITLE_LETTER).min(440.0))
        .collect();
    let (picture, _) = layout(&Drawing {
        sizes: &sizes,
        edges: &edges,
        groups: &groups,
        titles: &titles,
    });
    write_picture(v, &nodes, &edges, &picture);
}

fn write_picture(v: Json<'_>, nodes: &[&NodeReport], edges: &[(usize, usize)], picture: &Layout) {
    v.object(|o| {
        let ids: Vec<u32> = nodes.iter().map(|n| n.id).collect();
        o.plains("ids", &ids);
        o.plains("nodes", &rounded(picture.nodes.as_flattened()));
        o.plains("groups", &rounded(picture.groups.as_flattened()));
        o.plains("size", &rounded(&picture.size));
        let all: Vec<_> = edges.iter().zip(&picture.edges).collect();
        o.list("edges", &all, |v, ((from, to), points)| {
            let _ = write!(v.0, "[{from},{to}");
            for x in points.as_flattened() {
                let _ = write!(v.0, ",{x:.0}");
            }
            v.0.push(']');
        });
    });
}

fn rounded(values: &[f64]) -> Vec<i64> {
    values.iter().map(|x| x.round() as i64).collect()
}

/// How large a node is: operation, type, and perhaps place in the program.
fn size(node: &NodeReport, numbers: &FxHashMap<u32, &str>) -> Size {
    let numbers = node.inputs.iter().filter_map(|i| numbers.get(i));
    let op = node.name.as_ref().unwrap_or(&node.op);
    let first = op.chars().count() + numbers.map(|n| n.chars().count() + 1).sum::<usize>();
    let second = node.ty.chars().count();
    let third = node.source.as_ref().map_or(0, |s| {
        let name = s.file.rsplit('/').next().unwrap_or("");
        name.chars().count() + 5
    });
    let width = (first as f64 * LETTER[0]).max(second.max(third) as f64 * LETTER[1]) + 22.0;
    let height = HEIGHT[usize::from(node.source.is_some())];
    [width.clamp(WIDTH[0], WIDTH[1]), height]
}
