//! Distributions against integrals of their own densities, against each other, and against draws.

mod captured;
mod continuous;
mod divergences;
mod gradients;
mod integrate;
mod vectors;
mod whole;
