//! A program on a device with its weights, which lie there from the start.

use super::{CudaDevice, CudaError, DeviceBuffer, DeviceError, DeviceOutputs, DeviceProgram};
use crate::model::Arrays;
use crate::{ArgumentError, Array, Buffer, Interface, LoadError, Pool, Source};
use std::fmt;
use std::sync::Arc;

/// Why a model on a device has no result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeviceModelError {
    /// The arguments do not fit.
    Argument(ArgumentError),
    /// The run failed.
    Device(DeviceError),
}

impl fmt::Display for DeviceModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceModelError::Argument(e) => e.fmt(f),
            DeviceModelError::Device(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for DeviceModelError {}

impl From<DeviceError> for DeviceModelError {
    fn from(error: DeviceError) -> DeviceModelError {
        DeviceModelError::Device(error)
    }
}

impl From<CudaError> for DeviceModelError {
    fn from(error: CudaError) -> DeviceModelError {
        DeviceModelError::Device(error.into())
    }
}

type Result<T> = std::result::Result<T, DeviceModelError>;

/// A model on a device.
#[derive(Debug)]
pub struct DeviceModel {
    interface: Interface,
    program: DeviceProgram,
    weights: Vec<Arc<DeviceBuffer>>,
}

/// Arguments on a device, and the values of the sizes that they determine.
#[derive(Clone, Debug)]
pub struct DeviceArguments {
    inputs: Vec<Arc<DeviceBuffer>>,
    sizes: Vec<i64>,
}

impl DeviceModel {
    /// Puts a model together, and its weights onto the device.
    ///
    /// # Errors
    /// When interface, program and weights do not fit each other, or the device has no memory for the weights.
    pub fn new(
        interface: Interface,
        program: DeviceProgram,
        weights: &[Buffer],
    ) -> Result<DeviceModel> {
        let fits = interface.fits(program.image(), weights.len());
        fits.map_err(|e| DeviceError::Load(LoadError::Interface(e)))?;
        let upload = |w: &Buffer| Ok(Arc::new(program.device().upload(w.as_bytes())?));
        Ok(DeviceModel {
            weights: weights.iter().map(upload).collect::<Result<_>>()?,
            interface,
            program,
        })
    }

    /// Where it runs.
    pub fn device(&self) -> &Arc<CudaDevice> {
        self.program.device()
    }

    /// What goes in and comes out.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Brings arguments onto the device, for any number of runs.
    ///
    /// # Errors
    /// When they do not fit, or there is no memory for them.
    pub fn upload(&self, arguments: &[Array]) -> Result<DeviceArguments> {
        let shown: Vec<Option<&Array>> = arguments.iter().map(Some).collect();
        let sizes = self.interface.sizes(&shown, &[]);
        let sizes = sizes.map_err(DeviceModelError::Argument)?;
        let upload = |a: &Array| Ok(Arc::new(self.device().upload(a.data.as_bytes())?));
        let arguments: Vec<_> = arguments.iter().map(upload).collect::<Result<_>>()?;
        let input = |source: &Source| match source {
            // Positions were checked when the model was put together.
            Source::Argument(n) => arguments[*n as usize].clone(),
            Source::Weight(n) => self.weights[*n as usize].clone(),
        };
        Ok(DeviceArguments {
            inputs: self.interface.sources.iter().map(input).collect(),
            sizes,
        })
    }

    /// Queues a run.
    ///
    /// # Errors
    /// When the device fails.
    pub fn queue(&self, arguments: &DeviceArguments, pool: &Pool) -> Result<DeviceOutputs> {
        Ok(self
            .program
            .run(&arguments.inputs, &arguments.sizes, pool)?)
    }

    /// Runs on arguments and waits for the results.
    ///
    /// # Errors
    /// When arguments do not fit or the run fails.
    pub fn run(&self, arguments: &[Array], pool: &Pool) -> Result<Arrays> {
        let arguments = self.upload(arguments)?;
        let outputs = self.queue(&arguments, pool)?.read()?;
        let results = self.interface.results(outputs, &arguments.sizes);
        Ok(results.map_err(DeviceError::from)?)
    }
}
