//! What a model says about itself: texts, tensors, names of classes, and samples for a demonstration.

use super::Exported;
use crate::error::{Error, ErrorKind, Result};
use crate::files::{from_array, to_array};
use crate::tensor::Tensor;
use lazulite_runtime::Metadata;
use std::collections::BTreeMap;

/// What `--demo` of an executable shows: inputs that the model brings, how they are drawn, and what they are.
#[derive(Clone, Debug)]
pub struct Demo {
    kind: &'static str,
    samples: Vec<Tensor>,
    labels: Vec<String>,
}

impl Demo {
    /// Samples for each input, as many for all: their first axis counts them. They are drawn as images, rows and
    /// columns being their last two axes.
    pub fn images<const N: usize>(samples: [&Tensor; N]) -> Demo {
        Demo::of(Metadata::IMAGE, samples)
    }

    /// Samples for each input, which are shown as numbers.
    pub fn values<const N: usize>(samples: [&Tensor; N]) -> Demo {
        Demo::of(Metadata::VALUES, samples)
    }

    fn of<const N: usize>(kind: &'static str, samples: [&Tensor; N]) -> Demo {
        Demo {
            kind,
            samples: samples.map(Clone::clone).into(),
            labels: Vec::new(),
        }
    }

    /// The same with what each sample is.
    pub fn with_labels<S: Into<String>>(mut self, labels: impl IntoIterator<Item = S>) -> Demo {
        self.labels = labels.into_iter().map(Into::into).collect();
        self
    }
}

fn error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Argument, "export", message)
}

/// Names as the lines of a text.
fn lines(names: &[String]) -> Result<String> {
    match names.iter().find(|n| n.contains(['\n', '\r'])) {
        Some(name) => Err(error(format!("the name {name:?} has more than one line"))),
        None => Ok(names.join("\n")),
    }
}

impl Exported {
    /// The same with a text about it.
    pub fn with_metadata(mut self, key: &str, text: &str) -> Exported {
        self.metadata.texts.insert(key.into(), text.into());
        self
    }

    /// The same with a tensor about it, such as a sample of its inputs, in place of one of this name.
    ///
    /// # Errors
    /// When it cannot be computed, or has an element type that files have no name for (`complex128`).
    pub fn with_metadata_tensor(mut self, name: &str, tensor: &Tensor) -> Result<Exported> {
        let array = to_array(&tensor.realize()?)?;
        if array.element == lazulite_runtime::Element::C128 {
            return Err(error(format!("{name}: complex128 has no name in files")));
        }
        self.metadata.arrays.retain(|(n, _)| n != name);
        self.metadata.arrays.push((name.into(), array));
        Ok(self)
    }

    /// The same with names for the classes that the last axis of a result runs over.
    ///
    /// # Errors
    /// When a name has more than one line.
    pub fn with_classes<S: Into<String>>(
        self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Exported> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let text = lines(&names)?;
        Ok(self.with_metadata(Metadata::CLASSES, &text))
    }

    /// The same with samples, which executables show when they are asked to (`--demo`).
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// use lazulite::{Demo, export, spec};
    /// let images = Tensor::rand([3, 1, 8, 8]);
    /// let exported = export(|[x]| x.mean([1, 2]), &[spec!(f32["batch", 8, 8])])?
    ///     .with_classes(["light"])?
    ///     .with_demo(Demo::images([&images.squeeze(1)]).with_labels(["a", "b", "c"]))?;
    /// assert_eq!(exported.metadata()["classes"], "light");
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    ///
    /// # Errors
    /// When samples do not fit the inputs, or there are more or fewer labels.
    pub fn with_demo(mut self, demo: Demo) -> Result<Exported> {
        let inputs = self.interface.inputs.iter().map(|p| p.name.clone());
        let inputs: Vec<String> = inputs.collect();
        if inputs.len() != demo.samples.len() {
            let (expected, found) = (inputs.len(), demo.samples.len());
            return Err(error(format!(
                "{expected} inputs need samples, {found} have some"
            )));
        }
        for (input, samples) in inputs.iter().zip(&demo.samples) {
            self = self.with_metadata_tensor(&Metadata::samples_of(input), samples)?;
        }
        self = self.with_metadata(Metadata::DEMO, demo.kind);
        let count = self.metadata.sample_count(&self.interface).map_err(error)?;
        if demo.labels.is_empty() {
            return Ok(self);
        }
        if demo.labels.len() != count {
            let found = demo.labels.len();
            return Err(error(format!("{found} labels for {count} samples")));
        }
        let text = lines(&demo.labels)?;
        Ok(self.with_metadata(Metadata::LABELS, &text))
    }

    /// Texts about the function, by key.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata.texts
    }

    /// Tensors about the function, by name.
    ///
    /// # Errors
    /// None for what was made here or loaded: their types were checked then.
    pub fn metadata_tensors(&self) -> Result<Vec<(String, Tensor)>> {
        let arrays = self.metadata.arrays.iter();
        let tensors = arrays.map(|(name, a)| Ok((name.clone(), from_array(a.clone())?)));
        tensors.collect()
    }
}
