//! Graphs given as text, compiled and run.

use super::{parse, symbols_of};
use crate::device::{Device, Executable, Given};
use crate::engine::{self, Assignment};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::Generator;
use crate::tensor::Tensor;
use lazulite_ir::{Graph, Symbol};

/// A compiled graph that was given as text.
pub struct Program {
    graph: Graph,
    symbols: Vec<Symbol>,
    program: Executable,
}

impl Program {
    /// Compiles a graph in the `.lzt` format.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let program = lazulite::Program::from_text(
    ///     "graph(%0: f32[n]) {\n  %1 = add %0, %0 : f32[n]\n  return %1\n}\n",
    /// )?;
    /// let x = Tensor::from_vec(vec![1.0f32, 2.0], [2]);
    /// assert_eq!(program.run(&[&x], &[("n".into(), 2)])?[0].to_vec::<f32>()?, [2.0, 4.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    pub fn from_text(text: &str) -> Result<Program> {
        let graph = parse(text)?;
        let symbols = symbols_of(&graph);
        let program = engine::compile_graph(&graph, &symbols, &engine::options(), Device::cpu())?;
        Ok(Program {
            graph,
            symbols,
            program,
        })
    }

    /// Runs the program with values for its unknown sizes.
    pub fn run(&self, inputs: &[&Tensor], dims: &[(String, i64)]) -> Result<Vec<Tensor>> {
        let sizes = self.bind(dims)?;
        crate::tensor::realize_all(inputs)?;
        let mut given = Given::to(&self.program);
        for (i, input) in inputs.iter().enumerate() {
            let expected = self
                .graph
                .inputs()
                .get(i)
                .map(|id| self.graph.tensor_type(*id));
            let node = input.node()?;
            let fits = expected.is_some_and(|ty| {
                self.assignment(&sizes).tensor_type(ty).as_ref() == Some(&*node.ty)
            });
            let value = node.value().filter(|_| fits).ok_or_else(|| {
                let message = format!("input {i} does not fit the program's parameter");
                Error::new(ErrorKind::Argument, "run", message).operand(input.note("input"))
            })?;
            given.keep(value)?;
        }
        let pool = &engine::current().pool;
        let values = self.program.run(&mut given, &sizes, pool)?;
        let types = self.graph.output_types();
        types
            .iter()
            .zip(values)
            .map(|(ty, value)| {
                let known = self.assignment(&sizes).tensor_type(ty);
                let ty = known.ok_or_else(|| crate::tensor::internal("run", "an unknown size"))?;
                Ok(Tensor::leaf(ty, value))
            })
            .collect()
    }

    /// Runs the program on normally distributed numbers (converted to the parameters' types).
    pub fn run_random(&self, dims: &[(String, i64)], seed: u64) -> Result<Vec<Tensor>> {
        let sizes = self.bind(dims)?;
        let generator = Generator::new(seed);
        let mut inputs = Vec::new();
        for id in self.graph.inputs() {
            let ty = self.graph.tensor_type(*id);
            let known = self
                .assignment(&sizes)
                .tensor_type(ty)
                .and_then(|ty| ty.const_dims());
            let dims = known.ok_or_else(|| crate::tensor::internal("run", "an unknown size"))?;
            inputs.push(generator.randn(dims.to_vec()).cast(ty.dtype));
        }
        self.run(&inputs.iter().collect::<Vec<_>>(), dims)
    }

    fn bind(&self, dims: &[(String, i64)]) -> Result<Vec<i64>> {
        let known = |name: &str| self.symbols.iter().any(|s| *s.0 == *name);
        if let Some((unknown, _)) = dims.iter().find(|(name, _)| !known(name)) {
            let message = format!("the program has no size called {unknown}");
            return Err(
                Error::new(ErrorKind::Argument, "run", message).hint(format!(
                    "the program's sizes are {}",
                    self.size_names().join(", ")
                )),
            );
        }
        let value = |symbol: &Symbol| {
            let given = dims
                .iter()
                .find(|(name, _)| **name == *symbol.0)
                .map(|(_, size)| *size);
            given.filter(|size| *size >= 0).ok_or_else(|| {
                let message = format!("the size {symbol} needs a value that is not negative");
                Error::new(ErrorKind::Argument, "run", message).hint(format!(
                    "the program's sizes are {}",
                    self.size_names().join(", ")
                ))
            })
        };
        let sizes = self.symbols.iter().map(value).collect::<Result<Vec<_>>>()?;
        match self.assignment(&sizes).violated(self.graph.guards()) {
            Some(guard) => {
                let message = format!("{} ({guard})", guard.message);
                Err(Error::new(ErrorKind::Argument, "run", message))
            }
            None => Ok(sizes),
        }
    }

    /// The names of the program's unknown sizes.
    pub fn size_names(&self) -> Vec<String> {
        self.symbols.iter().map(ToString::to_string).collect()
    }

    fn assignment<'a>(&'a self, sizes: &'a [i64]) -> Assignment<'a> {
        Assignment {
            symbols: &self.symbols,
            values: sizes,
        }
    }
}
