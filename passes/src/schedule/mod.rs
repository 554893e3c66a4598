//! Scheduling: from a graph to a plan of kernels and steps.
//!
//! The way of a graph:
//! - [`blocks`] puts products of products into loops over blocks of rows that stay in cache;
//! - [`prepare`] writes large sums and small products in forms that run better, and [`orient`] products the other
//!   way around;
//! - [`policy`] decides which nodes live in memory and which are computed where they are needed;
//! - [`tasks`] takes what has to be computed in the graph's order and puts it into kernels (as [`member`]s
//!   of [`group`]s), products ([`contract`]), scatters ([`scatter`]) and other steps. What a kernel computes for a
//!   node is lowered ([`lower`], [`views`]) over the node's own coordinates;
//! - [`places`] decides which of the values that cross from kernel to kernel go through memory;
//! - [`emit`] gives tensors their buffers and makes steps of the tasks, [`assemble`] puts the members of a
//!   group together in a [`draft`] of a kernel, [`loops`] gives it its last touches. Graphs inside of
//!   operations are scheduled into the same plan ([`regions`]).
//!
//! What holds: a plan computes what the graph computes, for all sizes that satisfy its guards;
//! sums may be taken in another order. The same graph gives the same plan. No step reads what a later
//! one writes. Everything takes near-linear time in the size of the graph, and no recursion follows
//! chains of nodes.
//!
//! Needed from before: no complex types, no calls, bodies of regions likewise.

mod assemble;
mod axes;
mod batches;
mod blocks;
mod context;
mod contract;
mod draft;
mod emit;
mod error;
mod faults;
mod group;
mod hidden;
mod long;
mod loops;
mod lower;
mod machine;
mod member;
mod operands;
mod orient;
mod panels;
mod places;
mod policy;
mod prepare;
mod ranges;
mod regions;
pub mod report;
mod scatter;
mod segments;
mod tasks;
#[cfg(test)]
mod tests;
mod views;

pub(crate) use axes::Axes;
pub use error::ScheduleError;
pub use machine::{Machine, NarrowProducts, SizeHints};
pub(crate) use prepare::is_small;

use context::Context;
use emit::{Instance, Results, schedule_graph};
use lazulite_ir::{BufferId, Graph, Plan};
use report::{Notes, ScheduleReport};

/// What scheduling may do and what it may assume.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScheduleOptions {
    /// Several operations in one kernel. Without, every operation that is no view is a kernel of its
    /// own: the reference for comparisons.
    pub fuse: bool,
    /// The machine to choose for.
    pub machine: Machine,
    /// Likely sizes.
    pub sizes: SizeHints,
}

impl Default for ScheduleOptions {
    fn default() -> ScheduleOptions {
        ScheduleOptions {
            fuse: true,
            machine: Machine::default(),
            sizes: SizeHints::default(),
        }
    }
}

/// Makes the plan of a graph. Buffers get places, but lifetimes and aliases are for a later pass.
pub fn schedule(graph: &Graph, options: &ScheduleOptions) -> Result<Plan, ScheduleError> {
    let (plan, _) = plan_of(graph, options, None)?;
    Ok(plan)
}

/// As [`schedule`], and says what was decided and why.
pub fn schedule_with_report(
    graph: &Graph,
    options: &ScheduleOptions,
) -> Result<(Plan, ScheduleReport), ScheduleError> {
    let (plan, notes) = plan_of(graph, options, Some(Notes::default()))?;
    let report = notes.map_or_else(ScheduleReport::default, |n| n.finish(&plan.steps));
    Ok((plan, report))
}

fn plan_of(
    graph: &Graph,
    options: &ScheduleOptions,
    notes: Option<Notes>,
) -> Result<(Plan, Option<Notes>), ScheduleError> {
    let mut cx = Context::new(graph, options)?;
    cx.notes = notes;
    let inputs: Vec<BufferId> = (0..graph.inputs().len() as u32).map(BufferId).collect();
    let instance = Instance {
        graph,
        inputs: &inputs,
        invariant: &[],
        depth: 0,
    };
    let scheduled = schedule_graph(&mut cx, instance, Results::Outputs)?;
    let notes = cx.notes.take();
    Ok((cx.finish(scheduled.steps, scheduled.outputs, graph), notes))
}
