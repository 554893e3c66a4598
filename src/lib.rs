//! Lazulite: a tensor framework whose programs are compiled.
