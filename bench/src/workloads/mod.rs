//! The named workloads: one table, each entry a few lines over the public interface.
//!
//! All numbers are f32 and random. What a workload is given (inputs, parameters) and what it gives are named, so that
//! other frameworks can be given the same and be checked against the same; `benches/versus` does that.

mod attention;
mod conv;
mod models;
mod pointwise;
mod products;
mod training;

use lazulite::nn::Module;
use lazulite::prelude::*;
use lazulite::{Outputs, realize_all};

/// A workload that can be run.
pub struct Workload {
    /// What it computes from, by name.
    pub given: Vec<(String, Tensor)>,
    /// Runs it once and gives its results, computed.
    pub step: Box<dyn FnMut() -> Result<Vec<Tensor>>>,
}

/// An entry of the table.
pub struct Entry {
    /// What it is called on every side.
    pub name: String,
    /// Whether a repetition is a step of an optimiser.
    pub trains: bool,
    make: Box<dyn Fn() -> Result<Workload>>,
}

impl Entry {
    fn new(name: impl Into<String>, make: impl Fn() -> Result<Workload> + 'static) -> Entry {
        Entry {
            name: name.into(),
            trains: false,
            make: Box::new(make),
        }
    }

    fn training(name: &str, make: impl Fn() -> Result<Workload> + 'static) -> Entry {
        Entry {
            trains: true,
            ..Entry::new(name, make)
        }
    }

    /// The workload with the same random numbers every time.
    pub fn make(&self) -> Result<Workload> {
        manual_seed(0);
        (self.make)()
    }
}

/// All workloads, in the order in which they are listed.
pub fn all() -> Vec<Entry> {
    let families = [
        pointwise::entries(),
        products::entries(),
        conv::entries(),
        attention::entries(),
        training::entries(),
        models::entries(),
    ];
    families.into_iter().flatten().collect()
}

/// The smallest program of a workload's kind: what a process takes that has done anything of the kind at all.
pub fn trivial(trains: bool) -> Result<Workload> {
    match trains {
        true => training::trivial(),
        false => pointwise::add8(),
    }
}

/// A captured function of `inputs`. What else it computes from, `constants`, does not change.
fn compiled<const N: usize, O: Outputs + 'static>(
    inputs: [(&str, Tensor); N],
    constants: Vec<(String, Tensor)>,
    function: impl Fn([Tensor; N]) -> O + 'static,
) -> Result<Workload> {
    let names = inputs.each_ref().map(|(name, _)| *name);
    let tensors = inputs.map(|(_, tensor)| tensor);
    let mut given: Vec<(String, Tensor)> = { names.iter().zip(&tensors) }
        .map(|(name, tensor)| (name.to_string(), tensor.clone()))
        .collect();
    given.extend(constants);
    realize_all(&given.iter().map(|(_, tensor)| tensor).collect::<Vec<_>>())?;
    let function = compile(function);
    Ok(Workload {
        given,
        step: Box::new(move || Ok(function.call(tensors.each_ref())?.into_tensors())),
    })
}

/// Parameters and buffers of a model, as PyTorch calls them.
fn state(model: &impl Module) -> Vec<(String, Tensor)> {
    model.state_dict().into_iter().collect()
}
