//! Random well-typed graphs with inputs, for comparing implementations with the interpreter.
//!
//! A graph is grown from lists of numbers, one list per step, so that leaving out steps and making
//! numbers smaller gives simpler graphs: this is how cases shrink. All primitives and element types
//! occur, sizes of zero, tensors without axes, negative steps, and inputs full of NaN, infinities,
//! signed zeros, denormals and extreme integers.
//!
//! Every node knows how far an implementation may be from the interpreter. Results that must be
//! equal may be used by any further operation; results that may be off by some rounding (functions, float
//! sums, arithmetic on the half types) are only moved, selected or negated on their way to the
//! graph's results, since a comparison or a cast could turn a rounding into any difference.

mod choices;
mod grow;
mod pieces;
mod precision;
mod region;
mod steps;

#[cfg(test)]
mod tests;

use crate::{Array, Graph, InterpError, Symbol, Tolerance, bind_sizes, interpret, print_graph};
use choices::Choices;
use grow::Grower;
use proptest::prelude::*;
use rustc_hash::FxHashMap;
use std::fmt;

/// What kinds of graphs are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Number of steps at most; each adds an operation with what it needs.
    pub steps: usize,
    /// Number of elements of any tensor at most.
    pub elements: usize,
    /// Whether some sizes of parameters are symbols.
    pub symbolic: bool,
    /// Whether results may be run-time faults (unchecked indices and divisors).
    pub faults: bool,
    /// Whether there are operations that hold graphs.
    pub regions: bool,
    /// Whether there are foreign functions (closures of this process).
    pub foreign: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            steps: 16,
            elements: 200,
            symbolic: false,
            faults: false,
            regions: true,
            foreign: false,
        }
    }
}

/// A graph with inputs for it.
#[derive(Clone)]
pub struct Case {
    /// The graph.
    pub graph: Graph,
    /// One array per parameter.
    pub inputs: Vec<Array>,
    /// How near to the interpreter's each result must be.
    pub tolerances: Vec<Tolerance>,
}

impl Case {
    /// The case that these numbers stand for; any numbers will do.
    pub fn from_choices(config: Config, steps: &[Vec<u16>]) -> Case {
        let mut grower = Grower::new(config);
        for step in steps {
            grower.step(&mut Choices::new(step));
        }
        grower.finish()
    }

    /// The values of the symbols.
    pub fn sizes(&self) -> FxHashMap<Symbol, i64> {
        bind_sizes(&self.graph, &self.inputs)
    }

    /// What the interpreter gives.
    pub fn expected(&self) -> Result<Vec<Array>, InterpError> {
        let sizes = self.sizes();
        interpret(&self.graph, &self.inputs, &|s| sizes.get(s).copied())
    }

    /// Compares results with the interpreter's; the error says which differs and how.
    pub fn check(&self, results: &[Array]) -> Result<(), String> {
        let expected = self.expected().map_err(|e| e.to_string())?;
        if results.len() != expected.len() {
            return Err(format!(
                "{} results, expected {}",
                results.len(),
                expected.len()
            ));
        }
        for (i, (got, expected)) in results.iter().zip(&expected).enumerate() {
            if let Some(difference) = got.difference(expected, self.tolerances[i]) {
                return Err(format!("result {i}: {difference}"));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", print_graph(&self.graph))?;
        for (i, input) in self.inputs.iter().enumerate() {
            writeln!(f, "parameter {i}: {input:?}")?;
        }
        Ok(())
    }
}

/// Random cases.
pub fn cases(config: Config) -> impl Strategy<Value = Case> {
    const NUMBERS: usize = 16;
    let step = prop::collection::vec(any::<u16>(), 0..NUMBERS);
    prop::collection::vec(step, 1..=config.steps.max(1))
        .prop_map(move |steps| Case::from_choices(config, &steps))
}
