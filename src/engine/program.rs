//! From graphs to programs.

use super::Options;
use crate::device::{Device, Executable};
use crate::error::{Error, ErrorKind, Result};
use lazulite_ir::{Graph, Plan, Symbol};
use lazulite_passes::memory::Hoisted;
use lazulite_passes::{compile_apart, compile_to_plan};

/// Compiles a graph, whose sizes are bound in the order of `symbols`, for a device.
pub(crate) fn compile_graph(
    graph: &Graph,
    symbols: &[Symbol],
    options: &Options,
    device: Device,
) -> Result<Executable> {
    let mut plan = compile_to_plan(graph, &device.passes(options)?).map_err(refused)?;
    // The caller binds all its symbols, used or not, in its own order.
    plan.symbols = symbols.to_vec();
    compile_plan(&plan, options, device)
}

/// Compiles a plan for a device.
pub(crate) fn compile_plan(plan: &Plan, options: &Options, device: Device) -> Result<Executable> {
    if let Some(code) = device.compile(plan) {
        return Ok(Executable::Device(Box::new(code?)));
    }
    let program = lazulite_codegen::compile(plan, &options.codegen(), options.threads);
    Ok(Executable::Host(Box::new(program.map_err(refused)?)))
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unsupported, "compile", error.to_string())
}

/// A program in two parts.
pub(crate) struct Parts {
    /// What is done once, and which parameters it has. Nothing if there is nothing to do.
    pub prepare: Option<(Executable, Vec<u32>)>,
    /// What is done at every call.
    pub main: Executable,
    /// Where its parameters come from.
    pub sources: Vec<Hoisted>,
}

/// As [`compile_graph`], with the work that depends on `constant` parameters alone apart.
pub(crate) fn compile_in_parts(
    graph: &Graph,
    symbols: &[Symbol],
    constant: &[bool],
    options: &Options,
    device: Device,
) -> Result<Parts> {
    let split =
        compile_apart(graph, symbols, constant, &device.passes(options)?).map_err(refused)?;
    let prepare = match split.prepare.outputs.is_empty() {
        true => None,
        false => Some((
            compile_plan(&split.prepare, options, device)?,
            split.prepare_inputs,
        )),
    };
    Ok(Parts {
        prepare,
        main: compile_plan(&split.main, options, device)?,
        sources: split.sources,
    })
}
