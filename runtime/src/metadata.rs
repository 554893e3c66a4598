//! What a model says about itself besides its interface: texts by key, and arrays by name, such as sample
//! inputs for a demonstration. It travels with the model through files and executables.

use crate::files::{Texts, read_safetensors_texts, write_safetensors_texts};
use crate::{Array, Buffer, Interface, Port, Size};
use std::io;

/// Texts and arrays of a model. Keys and names are the model's own, but for those listed here.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// Texts by key.
    pub texts: Texts,
    /// Arrays by name.
    pub arrays: Vec<(String, Array)>,
}

impl Metadata {
    /// The key of the names of classes, a line each, that the last axis of a result runs over.
    pub const CLASSES: &'static str = "classes";
    /// The key of the kind of demonstration: how inputs are shown, [`Metadata::IMAGE`] or
    /// [`Metadata::VALUES`].
    pub const DEMO: &'static str = "demo";
    /// The key of what samples are, a line each.
    pub const LABELS: &'static str = "demo.labels";
    /// Inputs whose last two axes are an image.
    pub const IMAGE: &'static str = "image";
    /// Inputs shown as numbers.
    pub const VALUES: &'static str = "values";

    /// The name of the array that holds samples for an input. It has one axis more, the first, unless the input's
    /// first axis is a batch.
    pub fn samples_of(input: &str) -> String {
        format!("demo.{input}")
    }

    /// The array of this name.
    pub fn array(&self, name: &str) -> Option<&Array> {
        let mut arrays = self.arrays.iter();
        arrays.find(|(n, _)| n == name).map(|(_, array)| array)
    }

    /// The lines of a text.
    pub fn lines(&self, key: &str) -> Vec<&str> {
        self.texts.get(key).map_or(vec![], |t| t.lines().collect())
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.arrays.is_empty()
    }

    pub(crate) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let arrays = self.arrays.iter();
        let arrays: Vec<(&str, &Array)> = arrays.map(|(name, a)| (name.as_str(), a)).collect();
        write_safetensors_texts(&mut bytes, &self.texts, &arrays)?;
        Ok(bytes)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Metadata, String> {
        let (texts, arrays) = read_safetensors_texts(bytes)?;
        Ok(Metadata { texts, arrays })
    }

    /// How many samples there are: as many for each input, none if there is no demonstration.
    ///
    /// # Errors
    /// When an input has none, more or fewer than others, or of another type.
    pub fn sample_count(&self, interface: &Interface) -> Result<usize, String> {
        if !self.texts.contains_key(Metadata::DEMO) {
            return Ok(0);
        }
        let mut count = None;
        for port in &interface.inputs {
            let samples = self.samples(interface, port)?;
            let found = samples.dims[0];
            if *count.get_or_insert(found) != found {
                let name = &port.name;
                return Err(format!(
                    "{name} has {found} samples, others have more or fewer"
                ));
            }
        }
        Ok(count.unwrap_or(0))
    }

    /// The samples of an input, which have a first axis and the input's type behind it.
    fn samples(&self, interface: &Interface, port: &Port) -> Result<&Array, String> {
        let name = &port.name;
        let missing = || format!("there are no samples of {name}");
        let samples = self
            .array(&Metadata::samples_of(name))
            .ok_or_else(missing)?;
        let ty = &port.ty;
        // The rest of the samples' axes are the input's last ones: all, or all but that of the batch.
        let rest = samples.dims.len().checked_sub(1);
        let skipped = rest.and_then(|rest| ty.dims.len().checked_sub(rest));
        let fits = |(dim, size): (&Size, &usize)| {
            let known = dim.as_constant();
            known.is_none_or(|known| usize::try_from(known) == Ok(*size))
        };
        let fit = skipped.is_some_and(|skipped| {
            skipped <= 1 && ty.dims[skipped..].iter().zip(&samples.dims[1..]).all(fits)
        });
        match fit && samples.element == ty.element {
            true => Ok(samples),
            false => Err(format!(
                "samples of {name}: {} for {}",
                samples.describe(),
                interface.describe(ty)
            )),
        }
    }

    /// Sample `number` as the inputs of a run; a batch has one row.
    ///
    /// # Errors
    /// As for [`Metadata::sample_count`], and when there is no such sample.
    pub fn sample(&self, interface: &Interface, number: usize) -> Result<Vec<Array>, String> {
        let ports = interface.inputs.iter();
        ports
            .map(|port| self.one(interface, port, number))
            .collect()
    }

    fn one(&self, interface: &Interface, port: &Port, number: usize) -> Result<Array, String> {
        let samples = self.samples(interface, port)?;
        let count = samples.dims[0];
        let none = || {
            format!(
                "there is no sample {number}, only 0 to {}",
                count.saturating_sub(1)
            )
        };
        let bytes = samples.data.len().checked_div(count).ok_or_else(none)?;
        let range = number * bytes..(number + 1) * bytes;
        let data = samples.data.as_bytes().get(range);
        let mut dims = samples.dims[1..].to_vec();
        if dims.len() < port.ty.dims.len() {
            dims.insert(0, 1);
        }
        Ok(Array {
            element: samples.element,
            dims,
            data: Buffer::from_bytes(data.ok_or_else(none)?).map_err(|e| e.to_string())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Element, Signature};

    fn interface(dims: Vec<Size>) -> Interface {
        let ty = Signature {
            element: Element::F32,
            dims,
        };
        Interface {
            symbols: vec!["n".into()],
            inputs: vec![Port {
                name: "x".into(),
                ty,
            }],
            ..Interface::default()
        }
    }

    fn metadata(dims: &[usize]) -> Metadata {
        let values: Vec<f32> = (0..dims.iter().product())
            .map(|i: usize| i as f32)
            .collect();
        let samples = Array {
            element: Element::F32,
            dims: dims.to_vec(),
            data: Buffer::from_slice(&values).unwrap(),
        };
        let text = (Metadata::DEMO.to_string(), Metadata::VALUES.to_string());
        Metadata {
            texts: [text].into(),
            arrays: vec![(Metadata::samples_of("x"), samples)],
        }
    }

    #[test]
    fn samples_are_rows_of_a_batch_or_whole_inputs() {
        let three = metadata(&[3, 2]);
        let bytes = three.to_bytes().unwrap();
        let three = Metadata::from_bytes(&bytes).unwrap();
        for (dims, expected) in [
            (vec![Size::symbol(0), Size::constant(2)], "f32[1, 2]"),
            (vec![Size::constant(2)], "f32[2]"),
        ] {
            let interface = interface(dims);
            assert_eq!(three.sample_count(&interface), Ok(3));
            let one = &three.sample(&interface, 1).unwrap()[0];
            assert_eq!(one.describe(), expected);
            assert_eq!(one.data.to_vec::<f32>(), [2.0, 3.0]);
            let error = three.sample(&interface, 3).unwrap_err();
            assert!(error.contains("only 0 to 2"), "{error}");
        }
    }

    #[test]
    fn samples_that_do_not_fit_are_refused() {
        let batch = interface(vec![Size::symbol(0), Size::constant(2)]);
        for dims in [&[3, 4][..], &[3], &[], &[1, 1, 1, 1]] {
            let error = metadata(dims).sample_count(&batch).unwrap_err();
            assert!(error.contains("samples of x"), "{dims:?}: {error}");
        }
        assert_eq!(Metadata::default().sample_count(&batch), Ok(0));
        assert!(metadata(&[0, 2]).sample(&batch, 0).is_err());
    }
}
