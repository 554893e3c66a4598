//! Vectorisation against running element by element.

mod draws;
mod random;
mod support;
