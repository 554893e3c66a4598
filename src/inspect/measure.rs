//! Times of a program's steps, measured on random inputs. What depends on constant parameters alone is done once
//! before, as it is for every program that runs.

use super::view::Known;
use crate::engine;
use crate::error::{Error, ErrorKind, Result};
use crate::ops::Generator;
use crate::tensor::Tensor;
use lazulite_ir::{DType, Plan, TensorType};
use lazulite_passes::memory::{Hoisted, Split};
use lazulite_runtime::{Buffer, Input, Program, RunError, StepTime};
use std::time::{Duration, Instant};

/// Runs at least and at most, and time after which there are no more.
const RUNS: [usize; 2] = [3, 50];
const TIME: Duration = Duration::from_millis(500);

/// Measured times.
pub(super) struct Timer {
    /// By launch of every run, nanoseconds of each run.
    runs: Vec<Vec<u64>>,
}

impl Timer {
    /// Compiles a program and runs it, with random values for parameters that have none: normally distributed
    /// where they are floating point, else 0, or 1 where that is a fault.
    pub fn run(split: &Split, values: &[Option<Buffer>], known: &Known) -> Result<Timer> {
        let plan = &split.main;
        let error = |message: String| Error::new(ErrorKind::Argument, "measure", message);
        if let Some(symbol) = known.missing() {
            let message = format!("to be measured, the program needs a value for {symbol}");
            return Err(error(message));
        }
        let sizes = plan.symbols.iter().map(|s| {
            let dim = lazulite_ir::Dim::symbol(&s.0);
            known
                .size(&dim)
                .ok_or_else(|| error(format!("{s} is unknown")))
        });
        let sizes: Vec<i64> = sizes.collect::<Result<_>>()?;
        let values = prepared(split, values)?;
        let program = compiled(plan)?;
        let positions = lazulite_passes::report::launches(&plan.steps);
        let positions: Vec<u32> = positions
            .into_iter()
            .map(|(position, _)| position)
            .collect();
        let mut timer = Timer {
            runs: vec![Vec::new(); positions.len()],
        };
        let mut integer = 0.0;
        let mut inputs = inputs(plan, &values, known, integer)?;
        let start = Instant::now();
        let mut done = 0;
        while done < RUNS[0] || (done < RUNS[1] && start.elapsed() < TIME) {
            match timer.one(&program, &mut inputs, &sizes, &positions) {
                Ok(()) => done += 1,
                Err(RunError::Fault { .. }) if integer == 0.0 => {
                    integer = 1.0;
                    inputs = self::inputs(plan, &values, known, integer)?;
                }
                Err(e) => return Err(engine::run_error(e)),
            }
        }
        Ok(timer)
    }

    fn one(
        &mut self,
        program: &Program,
        inputs: &mut [Input],
        sizes: &[i64],
        positions: &[u32],
    ) -> std::result::Result<(), RunError> {
        let mut times = vec![0; self.runs.len()];
        let mut note = |step: StepTime<'_>| {
            if let Ok(launch) = positions.binary_search(&step.position) {
                times[launch] += step.nanoseconds;
            }
        };
        program.run_profiled(inputs, sizes, &engine::current().pool, &mut note)?;
        for (run, time) in self.runs.iter_mut().zip(times) {
            run.push(time);
        }
        Ok(())
    }

    /// The median of the times of a launch of every run.
    pub fn of(&self, launch: usize) -> Option<f64> {
        let mut times = self.runs.get(launch)?.clone();
        times.sort_unstable();
        times.get(times.len() / 2).map(|t| *t as f64)
    }
}

fn compiled(plan: &Plan) -> Result<Program> {
    let options = engine::options();
    lazulite_codegen::compile(plan, &options.codegen(), options.threads)
        .map_err(|e| Error::new(ErrorKind::Unsupported, "measure", e.to_string()))
}

/// Does what is done once. Gives the known values of the parameters of every run.
fn prepared(split: &Split, values: &[Option<Buffer>]) -> Result<Vec<Option<Buffer>>> {
    let value = |n: u32| values.get(n as usize).cloned().flatten();
    let mut made = Vec::new();
    if !split.prepare.outputs.is_empty() {
        let given = split.prepare_inputs.iter().map(|n| {
            let value = value(*n).map(Input::keep);
            value.ok_or_else(|| crate::tensor::internal("measure", "a constant without a value"))
        });
        let mut given: Vec<Input> = given.collect::<Result<_>>()?;
        let program = compiled(&split.prepare)?;
        let outputs = program.run(&mut given, &[], &engine::current().pool);
        made.extend(outputs.map_err(engine::run_error)?.buffers);
    }
    let sources = split.sources.iter().map(|source| match source {
        Hoisted::Parameter(n) => value(*n),
        Hoisted::Prepared(n) => made.get(*n as usize).cloned(),
    });
    Ok(sources.collect())
}

fn inputs(
    plan: &Plan,
    values: &[Option<Buffer>],
    known: &Known,
    integer: f64,
) -> Result<Vec<Input>> {
    let generator = Generator::new(0);
    let input = |(n, ty): (usize, &TensorType)| {
        if let Some(Some(value)) = values.get(n) {
            return Ok(Input::keep(value.clone()));
        }
        let ty = known
            .tensor_type(ty)
            .and_then(|ty| Some((ty.const_dims()?, ty.dtype)));
        let (dims, dtype) = ty.ok_or_else(|| crate::tensor::internal("measure", "an open size"))?;
        let value = match dtype {
            DType::F16 | DType::BF16 | DType::F32 | DType::F64 | DType::C64 | DType::C128 => {
                generator.randn(dims.to_vec()).cast(dtype)
            }
            DType::Bool
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64 => Tensor::full(dims.to_vec(), integer).cast(dtype),
        };
        Ok(Input::keep(crate::compile::host_value_of(
            &value.realize()?,
        )?))
    };
    plan.inputs.iter().enumerate().map(input).collect()
}
