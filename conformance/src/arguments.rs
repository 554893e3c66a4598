//! Arguments that several operators and modules share: reductions, classes, sizes of windows.

use crate::call::{Bound, Refusal, to_tensor};
use crate::value::Value;
use lazulite::{ClassOptions, DType, Padding, Reduction};

impl Bound {
    /// What becomes of losses.
    pub fn reduction(&self) -> Result<Reduction, Refusal> {
        Ok(match self.text("reduction")?.as_str() {
            "none" => Reduction::None,
            "mean" => Reduction::Mean,
            "sum" => Reduction::Sum,
            "batchmean" => Reduction::BatchMean,
            other => return Err(Refusal::Rejected(format!("there is no reduction {other}"))),
        })
    }

    /// Options of losses over classes.
    pub fn classes(&self) -> Result<ClassOptions, Refusal> {
        let defaults = ClassOptions::default();
        let ignored = self.opt_int("ignore_index")?;
        Ok(ClassOptions {
            weight: self.opt_tensor("weight")?,
            ignore_index: ignored.unwrap_or(defaults.ignore_index),
            reduction: self.reduction()?,
            // The likelihood loss has no such parameter.
            label_smoothing: self
                .float("label_smoothing")
                .unwrap_or(defaults.label_smoothing),
        })
    }

    /// Lengths of sequences, as a list or a tensor.
    pub fn lengths(&self, name: &str) -> Result<Vec<usize>, Refusal> {
        let values = match to_tensor(self.value(name)?)? {
            Some(tensor) => tensor.cast(DType::I64).to_vec::<i64>()?,
            None => self.ints(name)?,
        };
        let lengths = values
            .into_iter()
            .map(|v| usize::try_from(v).ok())
            .collect::<Option<_>>();
        lengths.ok_or_else(|| Refusal::Rejected(format!("{name} holds a negative length")))
    }

    /// Numbers that are not negative.
    pub fn counts(&self, name: &str) -> Result<Vec<usize>, Refusal> {
        let values = self.ints(name)?.into_iter();
        let values = values
            .map(|v| usize::try_from(v).ok())
            .collect::<Option<_>>();
        values.ok_or_else(|| Refusal::Rejected(format!("{name} holds a negative number")))
    }

    /// One number per axis.
    pub fn each(&self, name: &str, axes: usize) -> Result<Vec<usize>, Refusal> {
        let values = self.counts(name)?;
        match values[..] {
            [one] => Ok(vec![one; axes]),
            _ if values.len() == axes => Ok(values),
            _ => Err(Refusal::Rejected(format!(
                "{name} is not given for each of {axes} axes"
            ))),
        }
    }

    /// One number for each of `N` axes.
    pub fn axis_counts<const N: usize>(&self, name: &str) -> Result<[usize; N], Refusal> {
        let values = self.each(name, N)?;
        <[usize; N]>::try_from(values)
            .map_err(|_| Refusal::Mistake(format!("{name} has not {N} numbers")))
    }

    /// Steps between windows, if they are given.
    pub fn stride(&self) -> Result<Vec<usize>, Refusal> {
        match self.has("stride") {
            true => self.counts("stride"),
            false => Ok(Vec::new()),
        }
    }

    /// Padding of convolutions.
    pub fn conv_padding(&self) -> Result<Padding, Refusal> {
        Ok(match self.value("padding")? {
            Value::Text(name) if name == "same" => Padding::Same,
            Value::Text(_) => Padding::Valid,
            _ => Padding::Each(self.counts("padding")?),
        })
    }

    /// Numbers of windows; None keeps an axis.
    pub fn outputs(&self, axes: usize) -> Result<Vec<Option<usize>>, Refusal> {
        let count = |value: &Value| match value {
            Value::None => Ok(None),
            Value::Int(v) => match usize::try_from(*v) {
                Ok(v) => Ok(Some(v)),
                Err(_) => Err(Refusal::Rejected(format!(
                    "the output size {v} is negative"
                ))),
            },
            other => Err(Refusal::Rejected(format!("{} is no size", other.kind()))),
        };
        match self.value("output_size")? {
            Value::List(items) if items.len() == axes => items.iter().map(count).collect(),
            Value::List(items) => Err(Refusal::Rejected(format!(
                "{} sizes for {axes} axes",
                items.len()
            ))),
            one => Ok(vec![count(one)?; axes]),
        }
    }
}
