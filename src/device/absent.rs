//! What stands for GPUs where this library was built without them: there are none.

use super::{Device, MemoryStats, Value};
use crate::error::{Error, ErrorKind, Result};
use lazulite_ir::Plan;
use lazulite_passes::NarrowProducts;
use lazulite_runtime::{Buffer, Image, Pool};
use smallvec::SmallVec;

/// A value on a GPU: there is none.
#[derive(Clone, Debug)]
pub(crate) enum Memory {}

/// A parameter of a run on a GPU: there is none.
pub(crate) enum DeviceInput {}

/// A program for a GPU: there is none.
pub(crate) enum Code {}

impl Code {
    pub fn calls_host(&self) -> bool {
        match *self {}
    }

    pub fn footprint(&self) -> usize {
        match *self {}
    }

    pub fn image(&self) -> &Image {
        match *self {}
    }

    pub fn peak_bytes(&self, _: &[i64]) -> Result<usize> {
        match *self {}
    }
}

fn absent() -> Error {
    let message = "this program was built without GPUs";
    Error::new(ErrorKind::Unsupported, "device", message)
        .hint("build it with the feature `cuda` of lazulite")
}

pub(super) fn narrow_products(_: u32) -> Result<NarrowProducts> {
    Err(absent())
}

pub(super) fn open(_: u32) -> Result<()> {
    Err(absent())
}

pub(super) fn device_count() -> Result<u32> {
    Err(absent())
}

pub(super) fn name(_: u32) -> Result<String> {
    Err(absent())
}

pub(super) fn synchronize(_: u32) -> Result<()> {
    Err(absent())
}

pub(super) fn memory(_: u32) -> Result<MemoryStats> {
    Err(absent())
}

pub(super) fn upload(_: Device, _: &[u8]) -> Result<Memory> {
    Err(absent())
}

pub(super) fn compile(_: u32, _: &Plan) -> Result<Code> {
    Err(absent())
}

pub(super) fn device_of(memory: &Memory) -> Device {
    match *memory {}
}

pub(super) fn download(memory: &Memory) -> Result<Buffer> {
    match *memory {}
}

pub(super) fn give(_: &mut SmallVec<[DeviceInput; 8]>, memory: Memory, _: bool) {
    match memory {}
}

pub(super) fn given_value(input: &DeviceInput) -> Value {
    match *input {}
}

pub(super) fn place_of(code: &Code) -> Device {
    match *code {}
}

pub(super) fn run(
    code: &Code,
    _: &mut [DeviceInput],
    _: &[i64],
    _: &Pool,
) -> Result<SmallVec<[Memory; 4]>> {
    match *code {}
}
