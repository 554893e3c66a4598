//! Why a program looks as it does: what was fused, what was not and for which reason, why it was
//! compiled again.

use super::kernel::LaunchReport;
use super::report::Report;
use super::stage::Stage;
use super::text;
use super::view::{GraphReport, GroupReport, NodeReport};
use std::collections::BTreeSet;
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
    /// The steps that do work, in every run or once for the weights.
    pub launches: Vec<LaunchReport>,
}

impl Report {
    /// Why the program looks as it does. The report must go as far as [`Stage::Schedule`]; of others only the
    /// versions are known.
    pub fn explain(&self) -> Explanation {
        Explanation {
            title: self.title.clone(),
            versions: self.versions.clone(),
            open_sizes: self.known.symbols().map(ToString::to_string).collect(),
            launches: self.launches(),
            graphs: match self.stages().contains(&Stage::Schedule) {
                true => self.graphs(Stage::Schedule),
                false => Vec::new(),
            },
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (once, run): (Vec<_>, Vec<_>) = self.launches.iter().partition(|l| l.once);
        let kernels: BTreeSet<u32> = run.iter().filter_map(|l| l.kernel).collect();
        let plural = if kernels.len() == 1 { "" } else { "s" };
        write!(
            f,
            "{}: {} in every run, of {} distinct kernel{plural}",
            self.title,
            counted(run.len()),
            kernels.len()
        )?;
        // Products whose tiles need no finishing, sorts, library functions.
        match run.iter().filter(|l| l.kernel.is_none()).count() {
            0 => {}
            n => write!(f, ", {n} of them without one")?,
        }
        match once.len() {
            0 => writeln!(f)?,
            n => writeln!(f, "; {} once, for the weights", counted(n))?,
        }
        for graph in &self.graphs {
            if self.graphs.len() > 1 {
                writeln!(f, "\n== {}", graph.title)?;
            }
            write_graph(f, graph, &self.launches)?;
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

/// `1 launch`, `2 launches`
fn counted(launches: usize) -> String {
    match launches {
        1 => "1 launch".into(),
        n => format!("{n} launches"),
    }
}

/// How often a group runs, what and when, and what a run of it is predicted to take where sizes are known.
fn write_launches(
    f: &mut fmt::Formatter<'_>,
    group: &GroupReport,
    launches: &[LaunchReport],
) -> fmt::Result {
    let own = group.launches.iter();
    let own = own.filter_map(|number| launches.get(*number as usize));
    let (once, run): (Vec<_>, Vec<_>) = own.partition(|l| l.once);
    let mut parts = Vec::new();
    if !run.is_empty() {
        let predicted: Option<f64> = run.iter().map(|l| l.predicted).sum();
        let predicted = predicted.map(|t| format!(", predicted {}", text::time(t)));
        let predicted = predicted.unwrap_or_default();
        parts.push(format!("{} in every run{predicted}", counted(run.len())));
    }
    if !once.is_empty() {
        parts.push(format!("{} once, for the weights", counted(once.len())));
    }
    match (parts.is_empty(), group.kind) {
        (false, _) => writeln!(f, "  {}", parts.join("; ")),
        (true, "step") => Ok(()),
        (true, _) => writeln!(
            f,
            "  needs no launch: whoever reads its values computes them"
        ),
    }
}

fn write_graph(
    f: &mut fmt::Formatter<'_>,
    graph: &GraphReport,
    launches: &[LaunchReport],
) -> fmt::Result {
    let node_at = |id: u32| {
        let at = graph.nodes.binary_search_by_key(&id, |n| n.id);
        at.ok().and_then(|at| graph.nodes.get(at))
    };
    for group in &graph.groups {
        writeln!(f, "\n{} {}: {}", group.kind, group.number, group.title)?;
        write_launches(f, group, launches)?;
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
