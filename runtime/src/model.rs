//! A program with its weights and the names of what goes in and comes out: what an executable runs, and what a
//! loaded model runs in the process that loaded it.

use crate::{
    Buffer, Element, Image, Input, LoadError, Pool, Program, RunError, RunReport, Signature, Size,
    SizeOp,
};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::fmt;

/// A dense, row-major array.
#[derive(Clone, Debug)]
pub struct Array {
    /// Element type.
    pub element: Element,
    /// Dimensions.
    pub dims: Vec<usize>,
    /// The elements, in native byte order.
    pub data: Buffer,
}

impl Array {
    /// Type and dims as in messages: `f32[2, 3]`.
    pub fn describe(&self) -> String {
        let dims: Vec<String> = self.dims.iter().map(ToString::to_string).collect();
        format!("{}[{}]", self.element.name(), dims.join(", "))
    }
}

/// A named parameter or result.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its type, over the interface's symbols.
    pub ty: Signature,
}

/// Where a parameter of the program comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Source {
    /// The caller's argument number n.
    Argument(u32),
    /// Weight number n.
    Weight(u32),
}

/// What goes in and comes out.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Interface {
    /// Names of the unknown sizes.
    pub symbols: Vec<String>,
    /// What the caller passes.
    pub inputs: Vec<Port>,
    /// What the caller gets.
    pub outputs: Vec<Port>,
    /// Constant tensors; their dims are numbers.
    pub weights: Vec<Port>,
    /// Where the program's parameters come from, in their order.
    pub sources: Vec<Source>,
}

impl Interface {
    /// A type as in messages: `f32[batch, 3]`.
    pub fn describe(&self, ty: &Signature) -> String {
        let dims: Vec<String> = ty.dims.iter().map(|d| d.text(&self.symbols)).collect();
        format!("{}[{}]", ty.element.name(), dims.join(", "))
    }

    /// Results with their types, for these sizes.
    pub(crate) fn results(
        &self,
        buffers: impl IntoIterator<Item = Buffer>,
        sizes: &[i64],
    ) -> Result<Arrays, RunError> {
        let arrays = self.outputs.iter().zip(buffers).map(|(port, data)| {
            let dims = port.ty.dims.iter().map(|d| {
                let of = || format!("result {}", port.name);
                crate::bind::eval_count(d, sizes, of)
            });
            Ok(Array {
                element: port.ty.element,
                dims: dims.collect::<Result<_, RunError>>()?,
                data,
            })
        });
        arrays.collect()
    }

    /// Whether the interface is that of a program with so many weights.
    pub(crate) fn fits(&self, image: &Image, weights: usize) -> Result<(), String> {
        if image.symbols != self.symbols {
            return Err("its sizes are not the program's".into());
        }
        if image.inputs.len() != self.sources.len() {
            let (expected, found) = (image.inputs.len(), self.sources.len());
            return Err(format!("{expected} parameters come from {found} places"));
        }
        if weights != self.weights.len() {
            let expected = self.weights.len();
            return Err(format!("{weights} of {expected} weights are there"));
        }
        for (ty, source) in image.inputs.iter().zip(&self.sources) {
            let (ports, n) = match source {
                Source::Argument(n) => (&self.inputs, *n),
                Source::Weight(n) => (&self.weights, *n),
            };
            if ports.get(n as usize).is_none_or(|port| port.ty != *ty) {
                return Err(format!("{source:?} is not a parameter of its type"));
            }
        }
        let results = image.outputs.iter().map(|(_, ty)| ty);
        if !results.eq(self.outputs.iter().map(|port| &port.ty)) {
            return Err("its results are not the program's".into());
        }
        Ok(())
    }

    /// The values of the unknown sizes: `given` ones, the others as the dims of arguments say. Where an
    /// argument is `None` it is not looked at.
    ///
    /// # Errors
    /// When an argument is not of its parameter's type, or a size is not determined.
    pub fn sizes(
        &self,
        arguments: &[Option<&Array>],
        given: &[(String, i64)],
    ) -> Result<Vec<i64>, ArgumentError> {
        let (symbols, inputs) = (&self.symbols, &self.inputs);
        if arguments.len() != inputs.len() {
            return Err(ArgumentError::Count(inputs.len(), arguments.len()));
        }
        let mut known: Vec<Option<i64>> = vec![None; symbols.len()];
        for (name, value) in given {
            let no_size = || ArgumentError::NoSize(name.clone(), symbols.clone());
            let at = symbols.iter().position(|s| s == name).ok_or_else(no_size)?;
            if *value < 0 {
                return Err(ArgumentError::Negative(name.clone(), *value));
            }
            known[at] = Some(*value);
        }
        let pairs = || {
            let pairs = inputs.iter().zip(arguments);
            pairs.filter_map(|(port, argument)| Some((port, (*argument)?)))
        };
        for (port, argument) in pairs() {
            // No size is bound to what is of another kind.
            if port.ty.element != argument.element || port.ty.dims.len() != argument.dims.len() {
                return Err(self.misfit(port, argument, String::new()));
            }
            for (dim, actual) in port.ty.dims.iter().zip(&argument.dims) {
                // Dims of real buffers are far below the limit.
                if let [SizeOp::Symbol(n)] = dim.0[..]
                    && let Some(slot @ None) = known.get_mut(n as usize)
                {
                    *slot = Some(*actual as i64);
                }
            }
        }
        let sizes = symbols.iter().zip(known).map(|(name, value)| {
            let unknown = || ArgumentError::Unknown(name.clone());
            value.ok_or_else(unknown)
        });
        let sizes = sizes.collect::<Result<Vec<i64>, _>>()?;
        for (port, argument) in pairs() {
            self.check_argument(port, argument, &sizes)?;
        }
        Ok(sizes)
    }

    fn check_argument(
        &self,
        port: &Port,
        argument: &Array,
        sizes: &[i64],
    ) -> Result<(), ArgumentError> {
        let fits = |(dim, actual): (&Size, &usize)| {
            let expected = dim.eval(sizes);
            expected.is_ok_and(|e| usize::try_from(e) == Ok(*actual))
        };
        if port.ty.dims.iter().zip(&argument.dims).all(fits) {
            return Ok(());
        }
        let mut used: Vec<String> = Vec::new();
        for dim in &port.ty.dims {
            let text = dim.text(&self.symbols);
            let mut bound = self.symbols.iter().zip(sizes);
            if let Some((name, value)) = bound.find(|(name, _)| **name == text) {
                let value = format!("{name} = {value}");
                // A size may stand on several axes.
                if !used.contains(&value) {
                    used.push(value);
                }
            }
        }
        let why = match used.is_empty() {
            false => format!(" (where {})", used.join(", ")),
            true => String::new(),
        };
        Err(self.misfit(port, argument, why))
    }

    fn misfit(&self, port: &Port, argument: &Array, why: String) -> ArgumentError {
        ArgumentError::Type {
            input: port.name.clone(),
            expected: self.describe(&port.ty),
            found: argument.describe(),
            why,
        }
    }
}

/// Why arguments do not fit a model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ArgumentError {
    /// Another number of them: expected, found.
    Count(usize, usize),
    /// One of another type.
    Type {
        /// The parameter's name.
        input: String,
        /// Its type.
        expected: String,
        /// The argument's.
        found: String,
        /// What is wrong with it, where that is not plain.
        why: String,
    },
    /// The model has no size of this name; those that it has.
    NoSize(String, Vec<String>),
    /// A size that neither arguments nor the caller determine.
    Unknown(String),
    /// A size given below zero.
    Negative(String, i64),
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArgumentError::Count(expected, found) => {
                let plural = if *expected == 1 { " was" } else { "s were" };
                write!(f, "{expected} input{plural} expected, {found} given")
            }
            ArgumentError::Type {
                input,
                expected,
                found,
                why,
            } => write!(f, "`{input}`: expected {expected}, got {found}{why}"),
            ArgumentError::NoSize(name, known) if known.is_empty() => {
                write!(f, "there is no size {name}: all sizes are fixed")
            }
            ArgumentError::NoSize(name, known) => {
                write!(f, "there is no size {name}, only {}", known.join(", "))
            }
            ArgumentError::Unknown(name) => write!(f, "the size {name} needs a value"),
            ArgumentError::Negative(name, value) => write!(f, "the size {name} is {value}"),
        }
    }
}

impl std::error::Error for ArgumentError {}

/// Why a model gives no results.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ModelError {
    /// The arguments do not fit.
    Argument(ArgumentError),
    /// The program failed.
    Run(RunError),
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelError::Argument(error) => error.fmt(f),
            ModelError::Run(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ModelError {}

impl From<ArgumentError> for ModelError {
    fn from(error: ArgumentError) -> ModelError {
        ModelError::Argument(error)
    }
}

impl From<RunError> for ModelError {
    fn from(error: RunError) -> ModelError {
        ModelError::Run(error)
    }
}

/// A program with its weights.
#[derive(Debug)]
pub struct Model {
    interface: Interface,
    program: Program,
    weights: Vec<Buffer>,
}

/// Results of a model, in order.
pub type Arrays = SmallVec<[Array; 4]>;

impl Model {
    /// Puts a model together.
    ///
    /// # Errors
    /// When interface, program and weights do not fit each other.
    pub fn new(
        interface: Interface,
        program: Program,
        weights: Vec<Buffer>,
    ) -> Result<Model, LoadError> {
        let fits = interface.fits(program.image(), weights.len());
        fits.map_err(LoadError::Interface)?;
        Ok(Model {
            interface,
            program,
            weights,
        })
    }

    /// What goes in and comes out.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Bytes of all weights together.
    pub fn weight_bytes(&self) -> usize {
        self.weights.iter().map(Buffer::len).sum()
    }

    /// The values of the unknown sizes: see [`Interface::sizes`].
    ///
    /// # Errors
    /// As for [`Interface::sizes`].
    pub fn sizes(
        &self,
        arguments: &[Option<&Array>],
        given: &[(String, i64)],
    ) -> Result<Vec<i64>, ArgumentError> {
        self.interface.sizes(arguments, given)
    }

    /// Runs the program on arguments in the interface's order. Sizes are `given` or found from the arguments.
    ///
    /// # Errors
    /// When arguments do not fit or the program fails.
    pub fn run(
        &self,
        arguments: &[Array],
        given: &[(String, i64)],
        pool: &Pool,
    ) -> Result<(Arrays, RunReport), ModelError> {
        let shown: Vec<Option<&Array>> = arguments.iter().map(Some).collect();
        let sizes = self.sizes(&shown, given)?;
        let mut inputs: SmallVec<[Input; 8]> = SmallVec::new();
        for source in &self.interface.sources {
            // Positions were checked when the model was put together.
            inputs.push(Input::keep(match source {
                Source::Argument(n) => arguments[*n as usize].data.clone(),
                Source::Weight(n) => self.weights[*n as usize].clone(),
            }));
        }
        let outputs = self.program.run(&mut inputs, &sizes, pool)?;
        let arrays = self.interface.results(outputs.buffers, &sizes)?;
        Ok((arrays, outputs.report))
    }
}
