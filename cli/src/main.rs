//! The `lazulite` command.
fn main() {}
