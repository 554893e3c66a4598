//! Named workloads.
fn main() {}
