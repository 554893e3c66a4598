//! Passes: graph to graph to plan.
