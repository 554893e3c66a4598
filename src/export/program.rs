//! Exported functions as programs: run here, or written as executables.

use super::Exported;
use crate::compile::value_of;
use crate::device::{self, Device, Given};
use crate::engine::{self, Assignment, Current};
use crate::error::{Error, ErrorKind, Result};
use crate::files::{dtype, from_array, to_array};
use crate::location::Place;
use crate::ops::Generator;
use crate::tensor::{Tensor, internal};
use lazulite_codegen::{assemble, compile, element};
use lazulite_ir::{DType, Dim, Plan, TensorType};
use lazulite_passes::compile_apart;
use lazulite_passes::memory::Hoisted;
use lazulite_runtime::files::{self, NamedFile, replace_executable};
use lazulite_runtime::kernels::Level;
use lazulite_runtime::{
    Array, Assembly, Buffer, Contents, Interface, Metadata, Model, ModelError, Port, RunError,
    Signature, Size, Source, write_executable, write_payload,
};
use lazulite_stub::Variant;
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// A program before its kernels are compiled, with the weights as it wants them.
pub(crate) struct Parts {
    pub(crate) plan: Plan,
    pub(crate) interface: Interface,
    pub(crate) weights: Vec<Buffer>,
}

/// An exported function on a device other than the processor.
pub(super) struct Deployed {
    device: Device,
    program: device::Executable,
    interface: Interface,
    weights: Vec<device::Value>,
}

/// The one device of inputs.
fn common_device(inputs: &[&Tensor]) -> Result<Device> {
    let mut common = None;
    for input in inputs {
        let places = input.places()?;
        let Some(device) = places.device() else {
            continue;
        };
        if *common.get_or_insert(device) != device {
            let message = "the inputs lie on different devices";
            let error = Error::new(ErrorKind::Device, "run", message);
            let all = inputs.iter();
            let error = all.fold(error, |e, t| e.operand(t.note("input")));
            return Err(error.hint("bring them to one device with `.to(device)`"));
        }
    }
    Ok(common.unwrap_or_default())
}

/// Type and sizes of an input, without its value.
fn shape_of(tensor: &Tensor) -> Result<Array> {
    Ok(Array {
        element: element(tensor.dtype()?),
        dims: tensor.known_dims()?,
        data: Buffer::empty(),
    })
}

pub(super) fn unsupported(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unsupported, "export", error.to_string())
}

impl Parts {
    /// Machine code for every level.
    fn assembly(&self) -> Result<Assembly> {
        let options = engine::options();
        let (codegen, threads) = (options.codegen(), options.threads);
        assemble(&self.plan, &codegen, &Level::ALL, threads).map_err(unsupported)
    }

    fn contents<'a>(&'a self, weights: &'a [&'a [u8]], metadata: &'a Metadata) -> Contents<'a> {
        Contents {
            interface: &self.interface,
            weights,
            metadata,
        }
    }
}

impl Exported {
    /// Runs the function in this process, on the device that its inputs lie on; it is compiled, and its weights
    /// brought there, the first time.
    ///
    /// # Errors
    /// When the inputs do not fit, lie on different devices, or something goes wrong while it runs.
    #[track_caller]
    pub fn run(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let place = Place::here();
        crate::tensor::realize_all(inputs)?;
        let device = common_device(inputs).map_err(|e| e.at(place))?;
        if !device.is_cpu() {
            return self.run_on(device, inputs).map_err(|e| called_at(e, place));
        }
        let arrays: Vec<Array> = inputs.iter().map(|t| to_array(t)).collect::<Result<_>>()?;
        let ran = self.model()?.run(&arrays, &[], &engine::current().pool);
        let (results, _) = ran.map_err(|e| {
            let given: Vec<Option<&Array>> = arrays.iter().map(Some).collect();
            let sizes = self.interface.sizes(&given, &[]).unwrap_or_default();
            let sizes = Assignment {
                symbols: &self.symbols,
                values: &sizes,
            };
            called_at(engine::sized(model_error(e), &self.graph, &sizes), place)
        })?;
        results.into_iter().map(from_array).collect()
    }

    /// Runs the function on a device.
    fn run_on(&self, device: Device, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let deployed = self.deployed(device)?;
        let interface = &deployed.interface;
        let shapes = inputs
            .iter()
            .map(|t| shape_of(t))
            .collect::<Result<Vec<_>>>()?;
        let shapes: Vec<Option<&Array>> = shapes.iter().map(Some).collect();
        let sizes = interface.sizes(&shapes, &[]);
        let sizes = sizes.map_err(|e| model_error(ModelError::Argument(e)))?;
        let mut given = Given::to(&deployed.program);
        for source in &interface.sources {
            given.keep(match source {
                Source::Argument(n) => value_of(inputs[*n as usize])?,
                Source::Weight(n) => deployed.weights[*n as usize].clone(),
            })?;
        }
        let pool = &engine::current().pool;
        let results = deployed.program.run(&mut given, &sizes, pool)?;
        let typed = interface.outputs.iter().zip(results).map(|(port, value)| {
            let dims = port.ty.dims.iter().map(|d| d.eval(&sizes));
            let dims = dims.collect::<Result<Vec<i64>, _>>();
            let dims = dims.map_err(|_| internal("run", "a result has an unknown size"))?;
            let dims = dims.into_iter().map(Dim::constant);
            Ok(Tensor::leaf(
                TensorType::new(dtype(port.ty.element)?, dims),
                value,
            ))
        });
        typed.collect()
    }

    /// The function on a device, compiled and with its weights there.
    fn deployed(&self, device: Device) -> Result<Arc<Deployed>> {
        let mut all = self.deployed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|d| d.device == device) {
            return Ok(known.clone());
        }
        let parts = self.parts_on(device)?;
        let program = engine::compile_plan(&parts.plan, &engine::options(), device)?;
        let weights = parts.weights.into_iter();
        let weights = weights.map(|w| device::Value::Host(w).at(device));
        let deployed = Arc::new(Deployed {
            device,
            program,
            interface: parts.interface,
            weights: weights.collect::<Result<_>>()?,
        });
        all.push(deployed.clone());
        Ok(deployed)
    }

    /// Runs the function on files, as executables do, and gives the results besides writing them: `inputs` are `.npy`
    /// or `.raw` in order or by name, or hold several by name (`.npz`, `.safetensors`, `.json`), and so are `outputs`.
    ///
    /// # Errors
    /// As for [`Exported::run`], and when a file is not what it should be. Then nothing was written.
    #[track_caller]
    pub fn run_files(
        &self,
        inputs: &[NamedFile],
        outputs: &[NamedFile],
        sizes: &[(String, i64)],
    ) -> Result<Vec<Tensor>> {
        let place = Place::here();
        let file = |e: String| Error::new(ErrorKind::File, "run", e).at(place);
        let arrays = files::read_inputs(&self.interface, inputs, sizes).map_err(file)?;
        let arrays = files::complete_inputs(&self.interface, arrays).map_err(file)?;
        let npy = files::Format::Npy;
        let targets = files::plan_results(&self.interface, outputs, npy).map_err(file)?;
        let ran = self.model()?.run(&arrays, sizes, &engine::current().pool);
        let (results, _) = ran.map_err(|e| called_at(model_error(e), place))?;
        let mut screen = std::io::stdout().lock();
        let written = files::deliver(&mut screen, &self.interface, &results, &targets);
        written.map_err(|e| file(e.to_string()))?;
        results.into_iter().map(from_array).collect()
    }

    /// Bytes that a run needs at most besides inputs and weights, for these values of the open sizes.
    ///
    /// # Errors
    /// When the function cannot be compiled, or a size has no value.
    pub fn peak_bytes(&self, sizes: &[(String, i64)]) -> Result<usize> {
        let sizes = self.known_sizes(sizes)?;
        let peak = self.model()?.program().peak_bytes(&sizes);
        peak.map_err(|e| model_error(e.into()))
    }

    /// Runs the function on normally distributed numbers (converted to the inputs' types).
    ///
    /// # Errors
    /// As for [`Exported::run`], and when a size has no value.
    #[track_caller]
    pub fn run_random(&self, sizes: &[(String, i64)], seed: u64) -> Result<Vec<Tensor>> {
        let sizes = self.known_sizes(sizes)?;
        let generator = Generator::new(seed);
        let mut inputs = Vec::new();
        for port in &self.interface.inputs {
            let dims = port.ty.dims.iter().map(|d| d.eval(&sizes));
            let dims: Vec<i64> = dims
                .collect::<Result<_, _>>()
                .map_err(|e| Error::new(ErrorKind::Argument, "run", e.to_string()))?;
            inputs.push(generator.randn(dims).cast(dtype(port.ty.element)?));
        }
        self.run(&inputs.iter().collect::<Vec<_>>())
    }

    /// The values of all open sizes, in order.
    fn known_sizes(&self, sizes: &[(String, i64)]) -> Result<Vec<i64>> {
        let none = vec![None; self.interface.inputs.len()];
        let sizes = self.model()?.sizes(&none, sizes);
        sizes.map_err(|e| model_error(e.into()))
    }

    /// Writes an executable that runs the function on files, with code for x86-64-v2, AVX2 and AVX-512 of which it
    /// takes the best that its processor has. It needs neither Lazulite nor a compiler where it runs.
    ///
    /// # Errors
    /// When the function cannot be compiled or the file not be written.
    pub fn build_executable(&self, path: impl AsRef<Path>) -> Result<()> {
        let parts = self.parts()?;
        let plan = &parts.plan;
        let variant = match (plan.calls_library(), plan.multiplies_only(DType::F32)) {
            (true, _) => Variant::Foreign,
            (false, false) => Variant::Products,
            (false, true) => Variant::Core,
        };
        let stub = lazulite_stub::executable(variant).map_err(|why| {
            unsupported(format!("this build cannot write executables: {why}"))
                .hint("LAZULITE_STUB names a stub that was built before; see docs/aot.md")
        })?;
        let assembly = parts.assembly()?;
        let weights: Vec<&[u8]> = parts.weights.iter().map(|w| w.as_bytes()).collect();
        let contents = parts.contents(&weights, &self.metadata);
        let write = |out: &mut dyn std::io::Write| write_executable(out, stub, contents, &assembly);
        let written = replace_executable(path.as_ref(), write);
        written.map_err(|e| Error::new(ErrorKind::File, "export", e))
    }

    /// What stands behind executables, alone.
    pub(super) fn payload(&self) -> Result<Vec<u8>> {
        let parts = self.parts()?;
        if parts.plan.calls_library() {
            let message =
                "objects cannot call library functions (Fourier transforms, decompositions)";
            return Err(unsupported(message).hint("write an executable"));
        }
        let assembly = parts.assembly()?;
        let weights: Vec<&[u8]> = parts.weights.iter().map(|w| w.as_bytes()).collect();
        let mut bytes = Vec::new();
        let contents = parts.contents(&weights, &self.metadata);
        write_payload(&mut bytes, contents, &assembly).map_err(unsupported)?;
        Ok(bytes)
    }

    /// The function compiled for this process.
    fn model(&self) -> Result<&Model> {
        let compiled = self.model.get_or_init(|| {
            let options = engine::options();
            let parts = self.parts()?;
            let program = compile(&parts.plan, &options.codegen(), options.threads);
            let program = program.map_err(unsupported)?;
            Model::new(parts.interface, program, parts.weights).map_err(unsupported)
        });
        compiled.as_ref().map_err(Clone::clone)
    }

    /// The program for the processor; what depends on weights alone is computed now.
    pub(crate) fn parts(&self) -> Result<Parts> {
        self.parts_on(Device::cpu())
    }

    /// The program for a device, where what depends on weights alone is computed now.
    fn parts_on(&self, device: Device) -> Result<Parts> {
        let sources = self.interface.sources.iter();
        let constant: Vec<bool> = sources.map(|s| matches!(s, Source::Weight(_))).collect();
        let options = device.passes(&engine::options())?;
        let split = compile_apart(&self.graph, &self.symbols, &constant, &options);
        let split = split.map_err(unsupported)?;
        let prepare = &split.prepare;
        let prepared = self.prepare(prepare, &split.prepare_inputs, device)?;
        let (interface, weights) =
            self.rewired(prepare, &split.sources, &split.made_of, &prepared)?;
        Ok(Parts {
            plan: split.main,
            interface,
            weights,
        })
    }

    /// Runs the work that depends on weights alone.
    fn prepare(&self, plan: &Plan, parameters: &[u32], device: Device) -> Result<Vec<Buffer>> {
        if plan.outputs.is_empty() {
            return Ok(Vec::new());
        }
        let Current { options, pool } = &**engine::current();
        let program = engine::compile_plan(plan, options, device)?;
        let mut given = Given::to(&program);
        for &parameter in parameters {
            match self.interface.sources.get(parameter as usize) {
                Some(Source::Weight(n)) => {
                    given.keep(self.weights[*n as usize].clone().into())?;
                }
                Some(Source::Argument(_)) | None => {
                    return Err(internal("export", "a weight depends on an input"));
                }
            }
        }
        let values = program.run(&mut given, &[], pool)?;
        values.iter().map(device::Value::to_host).collect()
    }

    /// The interface of the program that is left, and its weights.
    fn rewired(
        &self,
        prepare: &Plan,
        sources: &[Hoisted],
        made_of: &[Vec<u32>],
        prepared: &[Buffer],
    ) -> Result<(Interface, Vec<Buffer>)> {
        let mut interface = Interface {
            weights: Vec::new(),
            sources: Vec::new(),
            ..self.interface.clone()
        };
        let mut weights = Vec::new();
        for source in sources {
            let (port, value) = match *source {
                Hoisted::Parameter(n) => match self.interface.sources[n as usize] {
                    Source::Argument(n) => {
                        interface.sources.push(Source::Argument(n));
                        continue;
                    }
                    Source::Weight(n) => {
                        let port = self.interface.weights[n as usize].clone();
                        (port, &self.weights[n as usize])
                    }
                },
                Hoisted::Prepared(n) => {
                    let (_, ty) = &prepare.outputs[n as usize];
                    let len = ty.dims.first().and_then(Dim::as_const);
                    let len = len.ok_or_else(|| internal("export", "a weight has no size"))?;
                    let ty = Signature {
                        element: element(ty.dtype),
                        dims: vec![Size::constant(len)],
                    };
                    let name = self.prepared_name(&made_of[n as usize]);
                    (Port { name, ty }, &prepared[n as usize])
                }
            };
            interface.sources.push(Source::Weight(weights.len() as u32));
            interface.weights.push(port);
            weights.push(value.clone());
        }
        Ok((interface, weights))
    }

    /// The name of what was made of these parameters, weights all of them.
    fn prepared_name(&self, parameters: &[u32]) -> String {
        let names = parameters
            .iter()
            .filter_map(|n| match self.interface.sources[*n as usize] {
                Source::Weight(n) => Some(self.interface.weights[n as usize].name.as_str()),
                Source::Argument(_) => None,
            });
        format!("{} (prepared)", names.collect::<Vec<_>>().join(" + "))
    }
}

/// With the place of the call, unless the error knows one inside of the function.
pub(super) fn called_at(error: Error, place: Place) -> Error {
    match error.location() {
        None => error.at(place),
        Some(_) => error,
    }
}

fn model_error(error: ModelError) -> Error {
    let argument = |message: String| Error::new(ErrorKind::Argument, "run", message);
    match error {
        ModelError::Argument(e) => argument(e.to_string()),
        // The caller chose the sizes.
        ModelError::Run(e @ RunError::Guard { .. }) => argument(e.to_string()),
        ModelError::Run(e) => engine::run_error(e),
    }
}
