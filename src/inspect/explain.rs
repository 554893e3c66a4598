//! Why a program looks as it does: what was fused, what was not and for which reason, why it was
//! compiled again.

use super::report::Report;
use super::stage::Stage;
use super::view::{GraphReport, NodeReport};
use std::fmt;

/// Why a program looks as it does.
///
/// As text it is for reading; as data, [`Explanation::graphs`] has what scheduling decided for every value.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What the program is called.
    pub title: String,
    /// Why each version of the program was compiled so far, in sentences; empty if none was.
    pub versions: Vec<String>,
    /// Sizes that the program leaves open: it is not compiled again for other values.
    pub open_sizes: Vec<String>,
    /// The graphs as scheduled: groups of operations that share a kernel, and why others are apart.
    pub graphs: Vec<GraphReport>,
    /// How many steps do work, and how many kernels they run.
    pub launches: usize,
    /// Distinct kernels.
    pub kernels: usize,
}

impl Report {
    /// Why the program looks as it does. The report must go as far as [`Stage::Schedule`]; of others only the
    /// versions are known.
    pub fn explain(&self) -> Explanation {
        Explanation {
            title: self.title.clone(),
            versions: self.versions.clone(),
            open_sizes: self.known.symbols().map(ToString::to_string).collect(),
            graphs: match self.stages().contains(&Stage::Schedule) {
                true => self.graphs(Stage::Schedule),
                false => Vec::new(),
            },
            launches: self.launches().len(),
            kernels: self.kernels().len(),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (launches, kernels) = (self.launches, self.kernels);
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        writeln!(
            f,
            "{}: {launches} launch{} of {kernels} distinct kernel{}",
            self.title,
            if launches == 1 { "" } else { "es" },
            plural(kernels)
        )?;
        for graph in &self.graphs {
            if self.graphs.len() > 1 {
                writeln!(f, "\n== {}", graph.title)?;
            }
            write_graph(f, graph)?;
        }
        if !self.open_sizes.is_empty() {
            let sizes = self.open_sizes.join(", ");
            writeln!(
                f,
                "\nOpen sizes: {sizes}. One program serves all their values."
            )?;
        }
        if !self.versions.is_empty() {
            writeln!(f, "\nCompiled so far in this process:")?;
        }
        for (number, why) in self.versions.iter().enumerate() {
            writeln!(f, "  version {}: {why}", number + 1)?;
        }
        Ok(())
    }
}

fn write_graph(f: &mut fmt::Formatter<'_>, graph: &GraphReport) -> fmt::Result {
    let node_at = |id: u32| {
        let at = graph.nodes.binary_search_by_key(&id, |n| n.id);
        at.ok().and_then(|at| graph.nodes.get(at))
    };
    for group in &graph.groups {
        writeln!(f, "\n{} {}: {}", group.kind, group.number, group.title)?;
        if group.launches.is_empty() && group.kind != "step" {
            writeln!(
                f,
                "  needs no launch: whoever reads its values computes them"
            )?;
        }
        for member in group.members.iter().filter_map(|m| node_at(*m)) {
            writeln!(f, "  {}", described(member))?;
            let Some(scheduled) = &member.scheduled else {
                continue;
            };
            if let Some(why) = &scheduled.why {
                let place = match scheduled.in_memory {
                    true => "in memory",
                    false => "computed once, not in memory",
                };
                writeln!(f, "      {place}: {why}")?;
            }
            for cut in group.cuts.iter().filter(|c| c.node == member.id) {
                let other = graph.groups.iter().find(|g| g.number == cut.group);
                let kind = other.map_or("group", |g| g.kind);
                writeln!(f, "      not in {kind} {}: {}", cut.group, cut.why)?;
            }
        }
        let fused = graph.nodes.iter().filter(|n| {
            let own = n
                .scheduled
                .as_ref()
                .is_some_and(|s| s.groups.contains(&group.number));
            own && n.number.is_none() && !group.members.contains(&n.id)
        });
        let fused: Vec<&NodeReport> = fused.collect();
        if !fused.is_empty() {
            const SHOWN: usize = 12;
            let names = fused
                .iter()
                .take(SHOWN)
                .map(|n| format!("%{} {}", n.id, n.op));
            let mut names: Vec<String> = names.collect();
            if fused.len() > SHOWN {
                names.push(format!("{} more", fused.len() - SHOWN));
            }
            writeln!(f, "  fused into it: {}", names.join(", "))?;
        }
    }
    Ok(())
}

/// A value with its type and where it comes from.
fn described(node: &NodeReport) -> String {
    let mut text = format!("%{} {} : {}", node.id, node.op, node.ty);
    if let Some(source) = &node.source {
        text.push_str(&format!("  at {source}"));
    }
    if !node.trail.is_empty() {
        text.push_str(&format!(" in {}", node.trail));
    }
    text
}
