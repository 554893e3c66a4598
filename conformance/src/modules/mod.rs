//! The table from PyTorch's modules to those of the facade.
//!
//! An entry is the module's name, the parameters of its constructor, and how it is made. What is made is the
//! module itself, for its state, and the call. A module without an entry is reported as unsupported.

mod attention;
mod channels;
mod layers;
mod losses;
mod recurrent;
mod run;
mod windows;

pub use run::run_case;

use crate::call::{Bound, Done, Outcome, Refusal, Signature};
use crate::value::Value;
use lazulite::nn::{Layer, Module};
use std::collections::HashMap;
use std::sync::LazyLock;

/// One module.
pub struct Entry {
    /// PyTorch's name.
    pub name: &'static str,
    /// The parameters of its constructor.
    parameters: &'static str,
    make: fn(&Bound) -> Result<Made, Refusal>,
}

/// A module that was made.
pub struct Made {
    /// Its parameters and buffers.
    pub module: Box<dyn Module>,
    /// The parameters of its call.
    parameters: &'static str,
    call: Box<dyn Fn(&Bound) -> Outcome>,
}

impl Made {
    /// A module and its call.
    fn new<M: Module + Clone + 'static>(
        module: M,
        parameters: &'static str,
        call: impl Fn(&M, &Bound) -> Outcome + 'static,
    ) -> Made {
        let called = module.clone();
        Made {
            module: Box::new(module),
            parameters,
            call: Box::new(move |a| call(&called, a)),
        }
    }

    /// A module from one tensor to one.
    fn layer<L: Layer + Clone + 'static>(layer: L) -> Made {
        Made::new(layer, "input", |layer, a| layer.forward(&a.input()?).done())
    }

    /// Calls the module.
    pub fn call(&self, args: &[Value], kwargs: &[(String, Value)]) -> Outcome {
        let bound =
            Signature::parse(&format!("({})", self.parameters), false).bind(args, kwargs)?;
        (self.call)(&bound)
    }
}

/// Makes a module from the arguments of its constructor.
pub fn make(name: &str, args: &[Value], kwargs: &[(String, Value)]) -> Result<Made, Refusal> {
    let Some(entry) = find(name) else {
        let message = format!("the module {name} is not in the table");
        return Err(Refusal::Unsupported(message));
    };
    (entry.make)(&bind(entry.parameters, args, kwargs)?)
}

fn bind(parameters: &str, args: &[Value], kwargs: &[(String, Value)]) -> Result<Bound, Refusal> {
    Signature::parse(&format!("({parameters})"), false).bind(args, kwargs)
}

const fn module(
    name: &'static str,
    parameters: &'static str,
    make: fn(&Bound) -> Result<Made, Refusal>,
) -> Entry {
    Entry {
        name,
        parameters,
        make,
    }
}

const TABLES: &[&[Entry]] = &[
    attention::TABLE,
    channels::TABLE,
    layers::TABLE,
    losses::TABLE,
    recurrent::TABLE,
    windows::TABLE,
];

fn find(name: &str) -> Option<&'static Entry> {
    static BY_NAME: LazyLock<HashMap<&str, &Entry>> = LazyLock::new(|| {
        let entries = TABLES.iter().copied().flatten();
        entries.map(|e| (e.name, e)).collect()
    });
    BY_NAME.get(name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_module_stands_twice() {
        let entries = TABLES.iter().copied().flatten();
        let names: std::collections::HashSet<&str> = entries.clone().map(|e| e.name).collect();
        assert_eq!(names.len(), entries.count());
    }
}
