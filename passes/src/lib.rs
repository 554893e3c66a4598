//! Passes: from the graph that was recorded to a plan of kernels and steps.
//!
//! [`pipeline`] holds the stages and the reasons for their order. A pass never changes a graph: it
//! builds a new one, node by node, with the same parameters and result types, and keeps sources and
//! guards.

pub mod autodiff;
pub mod batch;
mod build;
pub mod canon;
mod complex;
pub mod egraph;
mod error;
mod faults;
mod inline;
pub mod memory;
pub mod pipeline;
mod product;
mod schedule;
mod substitute;

pub use complex::split_complex;
pub use error::PassError;
pub use inline::inline;
pub use pipeline::{
    Artifact, GraphStage, Numerics, Options, Stage, compile_apart, compile_to_plan, graph_stage,
    run,
};
pub use schedule::{
    Machine, NarrowProducts, ScheduleError, ScheduleOptions, SizeHints, report, schedule,
    schedule_with_report,
};
pub use substitute::substitute;
