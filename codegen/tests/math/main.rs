//! Accuracy of the vector math functions, run by the vector interpreter.

mod double;
mod integer;
mod single;
mod special;
mod support;
