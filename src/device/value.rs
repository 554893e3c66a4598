//! Values and programs, wherever they are: what the engine works with.

use super::{Code, Device, Memory};
use crate::engine::{Values, run_error};
use crate::error::Result;
use lazulite_runtime::{self as runtime, Buffer, Pool, Program};
use smallvec::SmallVec;

/// The value of a tensor: dense and row-major bytes. Clones are handles to the same memory.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Host(Buffer),
    Device(Memory),
}

impl From<Buffer> for Value {
    fn from(buffer: Buffer) -> Value {
        Value::Host(buffer)
    }
}

impl Value {
    /// Where it lies.
    pub fn device(&self) -> Device {
        match self {
            Value::Host(_) => Device::cpu(),
            Value::Device(memory) => super::device_of(memory),
        }
    }

    /// On the processor. From a device it is copied, once all that was queued there is done.
    pub fn to_host(&self) -> Result<Buffer> {
        match self {
            Value::Host(buffer) => Ok(buffer.clone()),
            Value::Device(memory) => super::download(memory),
        }
    }

    /// On a device: itself if it is there, else a copy.
    pub fn at(&self, device: Device) -> Result<Value> {
        if self.device() == device {
            return Ok(self.clone());
        }
        let host = self.to_host()?;
        match device.is_cpu() {
            true => Ok(Value::Host(host)),
            false => Ok(Value::Device(super::upload(device, host.as_bytes())?)),
        }
    }
}

/// A parameter of a run.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub value: Value,
    /// Whether a result may take over the memory.
    pub donate: bool,
}

impl Input {
    /// A value that stays the caller's.
    pub fn keep(value: impl Into<Value>) -> Input {
        Input {
            value: value.into(),
            donate: false,
        }
    }

    /// Takes the value out.
    pub fn take(&mut self) -> Value {
        std::mem::replace(&mut self.value, Value::Host(Buffer::empty()))
    }
}

/// A compiled program.
pub(crate) enum Executable {
    Host(Box<Program>),
    Device(Box<Code>),
}

impl Executable {
    /// Runs it. Inputs are brought to where it runs and stay there. After an error they hold what they held.
    pub fn run(&self, inputs: &mut [Input], sizes: &[i64], pool: &Pool) -> Result<Values> {
        match self {
            Executable::Host(program) => run_on_host(program, inputs, sizes, pool),
            Executable::Device(code) => super::run(code, inputs, sizes, pool),
        }
    }

    /// True if running it calls functions of the process around it, which may do anything.
    pub fn calls_host(&self) -> bool {
        match self {
            Executable::Host(program) => program.calls_host(),
            Executable::Device(code) => code.calls_host(),
        }
    }

    /// About how many bytes of the host's memory it takes.
    pub fn footprint(&self) -> usize {
        match self {
            Executable::Host(program) => program.footprint(),
            Executable::Device(code) => code.footprint(),
        }
    }

    /// What it was made of.
    pub fn image(&self) -> &runtime::Image {
        match self {
            Executable::Host(program) => program.image(),
            Executable::Device(code) => code.image(),
        }
    }

    /// Bytes that a run with these sizes needs besides its inputs; 0 if there can be none.
    pub fn peak_bytes(&self, sizes: &[i64]) -> usize {
        match self {
            Executable::Host(program) => program.peak_bytes(sizes).unwrap_or(0),
            Executable::Device(code) => code.peak_bytes(sizes).unwrap_or(0),
        }
    }
}

fn run_on_host(
    program: &Program,
    inputs: &mut [Input],
    sizes: &[i64],
    pool: &Pool,
) -> Result<Values> {
    // Whatever can fail comes before inputs are taken.
    for input in inputs.iter_mut() {
        if let Value::Device(memory) = &input.value {
            input.value = Value::Host(super::download(memory)?);
        }
    }
    let mut given: SmallVec<[runtime::Input; 8]> = SmallVec::with_capacity(inputs.len());
    for input in inputs.iter_mut() {
        if let Value::Host(buffer) = &mut input.value {
            let (buffer, donate) = (std::mem::take(buffer), input.donate);
            given.push(runtime::Input { buffer, donate });
        }
    }
    let outcome = program.run(&mut given, sizes, pool);
    if outcome.is_err() {
        for (input, given) in inputs.iter_mut().zip(given) {
            input.value = Value::Host(given.buffer);
        }
    }
    let outputs = outcome.map_err(run_error)?;
    Ok(outputs.buffers.into_iter().map(Value::Host).collect())
}
