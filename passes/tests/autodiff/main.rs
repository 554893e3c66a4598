//! Derivatives held against each other and against finite differences, in f64, through the
//! reference interpreter.

mod check;
mod primitives;
mod pytorch;
mod random;
mod regions;
mod requests;
