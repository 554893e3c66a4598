//! Reports as JSON. The form is described in `docs/inspection.md`; it has a version.

use super::kernel::{KernelReport, LaunchReport};
use super::report::Report;
use super::stage::Stage;
use super::view::{BufferReport, GraphReport, GroupReport, NodeReport, Scheduled, SourceReport};
use lazulite_passes::canon::rules;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

/// The version of the form. It grows when something is taken away or changes its meaning.
pub const SCHEMA: &str = "lazulite.inspect/1";

/// The whole report, with the graphs of these stages.
pub(super) fn render(report: &Report, stages: &[Stage]) -> String {
    let mut out = String::new();
    Json(&mut out).object(|o| write_report(o, report, stages));
    out.push('\n');
    out
}

pub(super) fn write_report(o: &mut Object<'_>, report: &Report, stages: &[Stage]) {
    o.text("schema", SCHEMA);
    o.text("version", env!("CARGO_PKG_VERSION"));
    o.text("title", &report.title);
    o.strings("notes", &report.notes);
    o.strings("versions", &report.versions);
    o.value("sizes", |v| {
        v.object(|sizes| {
            for (name, value) in report.known.pairs() {
                sizes.plain(&name.0, value);
            }
        });
    });
    o.list("stages", stages, |v, stage| {
        v.object(|o| write_stage(o, report, *stage))
    });
    let at_least = |stage: Stage| stages.iter().any(|s| *s >= stage);
    if at_least(Stage::Schedule) {
        o.list("kernels", &report.kernels(), |v, k| {
            v.object(|o| write_kernel(o, k))
        });
        o.list("launches", &report.launches(), |v, l| {
            v.object(|o| write_launch(o, l))
        });
    }
    if at_least(Stage::Memory) {
        o.list("buffers", &report.buffers(), |v, b| {
            v.object(|o| write_buffer(o, b))
        });
    }
}

fn write_stage(o: &mut Object<'_>, report: &Report, stage: Stage) {
    o.text("name", stage.name());
    o.text("about", stage.about());
    if !stage.is_graph() && stage != Stage::Schedule {
        // What came of the graph stands under kernels, launches and buffers.
        return;
    }
    if let Some(same) = report.same_as(stage) {
        o.text("same_as", same.name());
    }
    let graphs = report.graphs(stage);
    write_rules(o, &graphs);
    o.list("graphs", &graphs, |v, g| v.object(|o| write_graph(o, g)));
}

/// The rules behind the nodes of some graphs, with their reasons and how many nodes they shaped.
pub(super) fn write_rules(o: &mut Object<'_>, graphs: &[GraphReport]) {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for rule in graphs.iter().flat_map(|g| &g.nodes).flat_map(|n| &n.rules) {
        *counts.entry(rule).or_default() += 1;
    }
    let counts: Vec<(&str, u64)> = counts.into_iter().collect();
    o.list("rules", &counts, |v, (name, count)| {
        v.object(|o| {
            o.text("name", name);
            o.text("why", why(name).unwrap_or(""));
            o.plain("nodes", count);
        });
    });
}

/// Why a rule is right.
pub(super) fn why(rule: &str) -> Option<&'static str> {
    let simplified = rules::all().find(|r| r.name == rule).map(|r| r.why);
    let mut saturated = lazulite_passes::egraph::rules::all();
    simplified.or_else(|| saturated.find(|r| r.name == rule).map(|r| r.why))
}

pub(super) fn write_graph(o: &mut Object<'_>, graph: &GraphReport) {
    o.text("title", &graph.title);
    o.list("nodes", &graph.nodes, |v, n| v.object(|o| write_node(o, n)));
    o.plains("outputs", &graph.outputs);
    if !graph.groups.is_empty() {
        o.list("groups", &graph.groups, |v, g| {
            v.object(|o| write_group(o, g))
        });
    }
}

/// What is empty or unknown is left out.
fn write_node(o: &mut Object<'_>, node: &NodeReport) {
    o.plain("id", node.id);
    o.text("op", &node.op);
    o.text_unless_empty("name", node.name.as_deref().unwrap_or(""));
    o.text("class", node.class);
    o.text_unless_empty("attributes", &node.attributes);
    o.text("type", &node.ty);
    if let Some(bytes) = node.bytes {
        o.plain("bytes", bytes);
    }
    o.plains("inputs", &node.inputs);
    if let Some(source) = &node.source {
        o.value("source", |v| write_source(v, source));
    }
    o.text_unless_empty("trail", &node.trail);
    if !node.also.is_empty() {
        o.list("also", &node.also, write_source);
    }
    if !node.rules.is_empty() {
        o.strings("rules", &node.rules);
    }
    if !node.bodies.is_empty() {
        o.plains("bodies", &node.bodies);
    }
    if let Some(number) = &node.number {
        o.text("number", number);
    }
    if let Some(scheduled) = &node.scheduled {
        write_scheduled(o, scheduled);
    }
}

fn write_scheduled(o: &mut Object<'_>, scheduled: &Scheduled) {
    o.plains("groups", &scheduled.groups);
    o.text(
        "value",
        match (scheduled.inline, scheduled.in_memory) {
            (true, _) => "inline",
            (false, true) => "memory",
            (false, false) => "registers",
        },
    );
    if let Some(why) = &scheduled.why {
        o.text("why", why);
    }
}

fn write_source(v: Json<'_>, source: &SourceReport) {
    v.object(|o| {
        o.text("file", &source.file);
        o.plain("line", source.line);
        o.plain("column", source.column);
    });
}

fn write_group(o: &mut Object<'_>, group: &GroupReport) {
    o.plain("number", group.number);
    o.text("kind", group.kind);
    o.text("title", &group.title);
    o.plains("members", &group.members);
    o.plains("launches", &group.launches);
    if !group.cuts.is_empty() {
        o.list("cuts", &group.cuts, |v, cut| {
            v.object(|o| {
                o.plain("node", cut.node);
                o.plain("group", cut.group);
                o.text("why", &cut.why);
            });
        });
    }
}

fn write_kernel(o: &mut Object<'_>, kernel: &KernelReport) {
    o.plain("number", kernel.number);
    o.plains("launches", &kernel.launches);
    o.text("ir", &kernel.ir);
    if kernel.native.is_empty() {
        return;
    }
    o.text("vector", &kernel.vector);
    o.plain("code_bytes", kernel.code_bytes[0]);
    o.plain("constant_bytes", kernel.code_bytes[1]);
    o.list("native", &kernel.native, |v, i| {
        v.object(|o| {
            o.plain("offset", i.offset);
            o.text_unless_empty("label", i.label.as_deref().unwrap_or(""));
            o.text("text", &i.text);
        });
    });
}

fn write_launch(o: &mut Object<'_>, launch: &LaunchReport) {
    o.plain("number", launch.number);
    o.text("kind", launch.kind);
    o.text("text", &launch.text);
    if let Some(kernel) = launch.kernel {
        o.plain("kernel", kernel);
    }
    if let Some((graph, group)) = launch.group {
        o.plain("graph", graph);
        o.plain("group", group);
    }
    let [read, written] = &launch.bytes_text;
    o.text_unless_empty("reads", read);
    o.text_unless_empty("writes", written);
    if let Some([read, written]) = launch.bytes {
        o.plain("bytes_read", read);
        o.plain("bytes_written", written);
    }
    for (name, time) in [
        ("predicted_ns", launch.predicted),
        ("measured_ns", launch.measured),
    ] {
        if let Some(time) = time.filter(|t| t.is_finite()) {
            o.plain(name, format_args!("{time:.1}"));
        }
    }
    if launch.once {
        o.plain("once", true);
    }
}

fn write_buffer(o: &mut Object<'_>, buffer: &BufferReport) {
    o.plain("number", buffer.number);
    o.text("type", &buffer.ty);
    o.text("place", &buffer.place);
    if let Some(bytes) = buffer.bytes {
        o.plain("bytes", bytes);
    }
    o.plains("live", &[buffer.live.0, buffer.live.1]);
}

/// A value about to be written.
pub(crate) struct Json<'a>(pub &'a mut String);

/// An object being written.
pub(crate) struct Object<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl Json<'_> {
    /// An object.
    pub fn object(self, write: impl FnOnce(&mut Object<'_>)) {
        self.0.push('{');
        let mut object = Object {
            out: self.0,
            is_empty: true,
        };
        write(&mut object);
        self.0.push('}');
    }

    /// Text.
    pub fn text(self, text: &str) {
        write_text(self.0, text);
    }
}

impl Object<'_> {
    /// A field.
    pub fn value(&mut self, name: &str, write: impl FnOnce(Json<'_>)) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(',');
        }
        write_text(self.out, name);
        self.out.push(':');
        write(Json(self.out));
    }

    /// A number or a truth value.
    pub fn plain(&mut self, name: &str, value: impl Display) {
        self.value(name, |v| {
            let _ = write!(v.0, "{value}");
        });
    }

    /// Text.
    pub fn text(&mut self, name: &str, text: &str) {
        self.value(name, |v| v.text(text));
    }

    /// Text, if there is any.
    pub fn text_unless_empty(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.text(name, text);
        }
    }

    /// A list.
    pub fn list<T>(&mut self, name: &str, items: &[T], mut write: impl FnMut(Json<'_>, &T)) {
        self.value(name, |v| {
            v.0.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    v.0.push(',');
                }
                write(Json(v.0), item);
            }
            v.0.push(']');
        });
    }

    /// A list of numbers.
    pub fn plains(&mut self, name: &str, items: &[impl Display]) {
        self.list(name, items, |v, item| {
            let _ = write!(v.0, "{item}");
        });
    }

    /// A list of texts.
    pub fn strings(&mut self, name: &str, items: &[impl AsRef<str>]) {
        self.list(name, items, |v, item| v.text(item.as_ref()));
    }
}

/// Text in quotes. What could end a script in a page is written as a number.
fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
