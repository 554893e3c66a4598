//! Code generation: plan to program.

pub mod vector;
