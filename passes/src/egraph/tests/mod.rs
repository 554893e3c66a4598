//! Every rule against the interpreter, and where it must not fire; budgets, regions and choices.

mod example;
mod rules;
mod whole;
