//! Values and programs, wherever they are: what the engine works with.

use super::{Code, Device, DeviceInput, Memory};
use crate::engine::{Values, run_error};
use crate::error::{Error, Result};
use crate::tensor::internal;
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

/// Parameters of a run, where a program takes them and in its form.
pub(crate) enum Given {
    Host(SmallVec<[runtime::Input; 8]>),
    Device(Device, SmallVec<[DeviceInput; 8]>),
}

impl Given {
    /// None yet.
    #[inline]
    pub fn to(program: &Executable) -> Given {
        match program {
            Executable::Host(_) => Given::Host(SmallVec::new()),
            Executable::Device(code) => Given::Device(super::place_of(code), SmallVec::new()),
        }
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Given::Host(list) => list.len(),
            Given::Device(_, list) => list.len(),
        }
    }

    /// Adds one, of which a result may take over the memory or not. What lies elsewhere is copied; what cannot be comes
    /// back.
    #[inline]
    pub fn push(&mut self, value: Value, donate: bool) -> std::result::Result<(), (Value, Error)> {
        match (self, value) {
            (Given::Host(list), Value::Host(buffer)) => {
                list.push(runtime::Input { buffer, donate });
                Ok(())
            }
            (given, value) => given.push_to(value, donate),
        }
    }

    /// Adds a handle to a value, if both are on the processor. A handle that is made where it is to lie costs half of
    /// one that is moved there.
    #[inline]
    pub fn share(&mut self, value: &Value) -> bool {
        let (Given::Host(list), Value::Host(buffer)) = (self, value) else {
            return false;
        };
        list.extend(std::iter::once_with(|| {
            runtime::Input::keep(buffer.clone())
        }));
        true
    }

    /// As [`Given::push`], where a device has to do with it.
    fn push_to(&mut self, value: Value, donate: bool) -> std::result::Result<(), (Value, Error)> {
        match (self, value) {
            (Given::Host(list), value) => match value.to_host() {
                Ok(buffer) => list.push(runtime::Input { buffer, donate }),
                Err(e) => return Err((value, e)),
            },
            (Given::Device(device, list), value) => match value.at(*device) {
                Ok(Value::Device(memory)) => super::give(list, memory, donate),
                Ok(Value::Host(_)) => {
                    let message = "a device is the processor";
                    return Err((value, internal("run", message)));
                }
                Err(e) => return Err((value, e)),
            },
        }
        Ok(())
    }

    /// Adds one that stays the caller's.
    #[inline]
    pub fn keep(&mut self, value: Value) -> Result<()> {
        self.push(value, false).map_err(|(_, e)| e)
    }

    /// Takes one out.
    pub fn take(&mut self, number: usize) -> Value {
        match self {
            Given::Host(list) => Value::Host(std::mem::take(&mut list[number].buffer)),
            Given::Device(_, list) => super::given_value(&list[number]),
        }
    }
}

/// A compiled program.
pub(crate) enum Executable {
    Host(Box<Program>),
    Device(Box<Code>),
}

impl Executable {
    /// Runs it. After an error the parameters hold what they held.
    pub fn run(&self, given: &mut Given, sizes: &[i64], pool: &Pool) -> Result<Values> {
        let mut values = Values::new();
        self.run_each(given, sizes, pool, |value| values.push(value))?;
        Ok(values)
    }

    /// As [`Executable::run`], but hands the results out one after the other, once the run has succeeded.
    #[inline]
    pub fn run_each(
        &self,
        given: &mut Given,
        sizes: &[i64],
        pool: &Pool,
        mut each: impl FnMut(Value),
    ) -> Result<()> {
        match (self, given) {
            (Executable::Host(program), Given::Host(list)) => {
                let each = &mut |buffer| each(Value::Host(buffer));
                match program.run_each(list, sizes, pool, None, each) {
                    Ok(_) => Ok(()),
                    Err(e) => Err(run_error(e)),
                }
            }
            (Executable::Device(code), Given::Device(_, list)) => {
                let results = super::run(code, list, sizes, pool)?;
                results.into_iter().map(Value::Device).for_each(each);
                Ok(())
            }
            _ => Err(internal("run", "the parameters are another program's")),
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
