//! Files looked at from outside: exported models, executables, `.safetensors`, `.npz`, `.npy`. Nothing is compiled or
//! run.

use super::text::bytes;
use crate::error::{Error, ErrorKind, Result};
use crate::export::weight_of;
use crate::{DType, Exported, Tensor};
use lazulite_ir::Op;
use lazulite_runtime::files::read_buffer;
use lazulite_runtime::{Buffer, FILE_VERSION, PayloadFile, appended, read_payload};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// What a file holds.
#[derive(Clone, PartialEq, Debug)]
pub struct FileReport {
    /// What kind of file it is.
    pub kind: &'static str,
    /// Bytes of the file.
    pub bytes: u64,
    /// What else is known of it: names and values.
    pub facts: Vec<(String, String)>,
    /// Its tensors, in its order.
    pub tensors: Vec<TensorReport>,
}

/// A tensor in a file.
#[derive(Clone, PartialEq, Debug)]
pub struct TensorReport {
    /// Its name; empty where there is but one.
    pub name: String,
    /// Element type and sizes, as in text.
    pub ty: String,
    /// Bytes of its elements.
    pub bytes: u64,
    /// What its elements are like, if that was asked for and they are real numbers.
    pub statistics: Option<Statistics>,
}

/// What the elements of a tensor are like. NaNs are counted and left out of everything else.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Statistics {
    /// Smallest and largest one.
    pub range: [f64; 2],
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
    /// How many are zero.
    pub zeros: usize,
    /// How many are infinite.
    pub infinite: usize,
    /// How many are no number.
    pub nan: usize,
}

/// Looks at a `.lzl`, `.safetensors`, `.npz` or `.npy` file or at an executable that Lazulite has written; with `statistics`, at every element in it.
///
/// ```
/// use lazulite::prelude::*;
/// let path = std::env::temp_dir().join("lazulite-doc-inspect.npy");
/// Tensor::from_vec(vec![1.0f32, 3.0], [2]).save(&path)?;
/// let report = lazulite::inspect::file(&path, true)?;
/// assert_eq!(report.tensors[0].ty, "f32[2]");
/// assert_eq!(report.tensors[0].statistics.unwrap().mean, 2.0);
/// # Ok::<(), lazulite::Error>(())
/// ```
///
/// # Errors
/// When the file cannot be read, is damaged, or is of another kind.
pub fn file(path: impl AsRef<Path>, statistics: bool) -> Result<FileReport> {
    let path = path.as_ref();
    let failed = |message: String| {
        let message = format!("{}: {message}", path.display());
        Error::new(ErrorKind::File, "inspect", message)
    };
    let size = std::fs::metadata(path)
        .map_err(|e| failed(e.to_string()))?
        .len();
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    let mut report = match extension.to_ascii_lowercase().as_str() {
        "lzl" => exported(&Exported::load(path)?, statistics)?,
        "safetensors" => FileReport {
            kind: "tensors by name (safetensors)",
            bytes: 0,
            facts: Vec::new(),
            tensors: tensors(crate::load_tensors(path)?, statistics)?,
        },
        "npz" => FileReport {
            kind: "tensors by name (npz)",
            bytes: 0,
            facts: Vec::new(),
            tensors: tensors(crate::load_tensors(path)?, statistics)?,
        },
        "npy" => FileReport {
            kind: "one array (npy)",
            bytes: 0,
            facts: Vec::new(),
            tensors: tensors(vec![(String::new(), Tensor::load(path)?)], statistics)?,
        },
        "lzt" => {
            let error = failed("a graph as text is for reading as it is".into());
            return Err(error.hint("`lazulite dump` shows what becomes of it"));
        }
        _ => {
            let whole = read_buffer(path)
                .map_err(|message| Error::new(ErrorKind::File, "inspect", message))?;
            match appended(&whole).map_err(|e| e.to_string()) {
                Ok(payload) => {
                    let payload = read_payload(payload).map_err(|e| failed(e.to_string()))?;
                    executable(&payload, statistics)?
                }
                Err(_) => {
                    let error = failed("this is no kind of file that can be looked at".into());
                    return Err(error.hint(
                        "that are .lzl, .safetensors, .npz and .npy files, and executables that Lazulite has written",
                    ));
                }
            }
        }
    };
    report.bytes = size;
    Ok(report)
}

/// A model compiled into an executable.
fn executable(payload: &PayloadFile, wanted: bool) -> Result<FileReport> {
    let interface = &payload.interface;
    let mut facts = Vec::new();
    for (what, ports) in [("input", &interface.inputs), ("result", &interface.outputs)] {
        facts.extend(ports.iter().map(|port| {
            let ty = interface.describe(&port.ty);
            (what.to_string(), format!("{}: {ty}", port.name))
        }));
    }
    if !interface.symbols.is_empty() {
        facts.push(("open sizes".into(), interface.symbols.join(", ")));
    }
    let levels: Vec<&str> = payload.levels.iter().map(|l| l.name()).collect();
    let code = bytes(payload.code_bytes as u64);
    facts.push(("code".into(), format!("{code} for {}", levels.join(", "))));
    let all: usize = payload.weights.iter().map(Buffer::len).sum();
    facts.push(("weights".into(), bytes(all as u64)));
    let texts = payload.metadata.texts.iter();
    facts.extend(texts.map(|(key, text)| (key.clone(), in_one_line(text))));
    let weights = interface.weights.iter().zip(&payload.weights);
    let weights =
        weights.filter_map(|(port, value)| Some((port.name.clone(), weight_of(port, value)?)));
    Ok(FileReport {
        kind: "executable model",
        bytes: 0,
        facts,
        tensors: tensors(weights.collect(), wanted)?,
    })
}

fn tensors(named: Vec<(String, Tensor)>, statistics: bool) -> Result<Vec<TensorReport>> {
    named
        .into_iter()
        .map(|(name, t)| tensor(name, &t, statistics))
        .collect()
}

fn tensor(name: String, tensor: &Tensor, wanted: bool) -> Result<TensorReport> {
    let node = tensor.node()?;
    let dims = node.ty.const_dims().unwrap_or_default();
    let count: usize = dims.iter().product();
    Ok(TensorReport {
        name,
        ty: node.ty.to_string(),
        bytes: (count * node.ty.dtype.size()) as u64,
        statistics: match wanted && !node.ty.dtype.is_complex() {
            true => Some(statistics(&tensor.cast(DType::F64).to_vec::<f64>()?)),
            false => None,
        },
    })
}

fn statistics(values: &[f64]) -> Statistics {
    let mut found = Statistics {
        range: [f64::INFINITY, f64::NEG_INFINITY],
        mean: 0.0,
        deviation: 0.0,
        zeros: 0,
        infinite: 0,
        nan: 0,
    };
    let (mut count, mut squares) = (0.0, 0.0);
    for &x in values {
        if x.is_nan() {
            found.nan += 1;
            continue;
        }
        found.range = [found.range[0].min(x), found.range[1].max(x)];
        found.zeros += usize::from(x == 0.0);
        if x.is_infinite() {
            found.infinite += 1;
            continue;
        }
        // Welford's: means of large numbers stay accurate.
        count += 1.0;
        let before = x - found.mean;
        found.mean += before / count;
        squares += before * (x - found.mean);
    }
    if count > 0.0 {
        found.deviation = (squares / count).sqrt();
    }
    found
}

/// The first lines of a text, as many as fit in one.
fn in_one_line(text: &str) -> String {
    const WIDTH: usize = 60;
    let mut shown = String::new();
    for (i, line) in text.lines().enumerate() {
        if shown.chars().count() + line.chars().count() > WIDTH {
            let rest = text.lines().count() - i;
            let cut: String = line.chars().take(WIDTH).collect();
            return match i {
                0 => format!("{cut} ..."),
                _ => format!("{shown}, ... ({rest} more)"),
            };
        }
        let comma = if i == 0 { "" } else { ", " };
        shown += &format!("{comma}{line}");
    }
    shown
}

fn exported(exported: &Exported, wanted: bool) -> Result<FileReport> {
    let mut facts = vec![("format".to_string(), format!("version {FILE_VERSION}"))];
    for (what, ports) in [("input", exported.inputs()), ("result", exported.outputs())] {
        facts.extend(
            ports
                .into_iter()
                .map(|(name, ty)| (what.to_string(), format!("{name}: {ty}"))),
        );
    }
    if !exported.size_names().is_empty() {
        facts.push(("open sizes".into(), exported.size_names().join(", ")));
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let graph = exported.graph();
    for node in graph.nodes() {
        match &node.op {
            Op::Input { .. } | Op::Const { .. } | Op::Get { .. } => {}
            Op::Call { name, .. } => *counts.entry(name.to_string()).or_default() += 1,
            op => *counts.entry(op.mnemonic().into()).or_default() += 1,
        }
    }
    let operations: usize = counts.values().sum();
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let counts: Vec<String> = counts.iter().map(|(op, n)| format!("{op} {n}")).collect();
    facts.push((
        "operations".into(),
        format!("{operations} ({})", counts.join(", ")),
    ));
    facts.push(("weights".into(), bytes(exported.weight_bytes() as u64)));
    for (key, text) in exported.metadata() {
        facts.push((key.clone(), in_one_line(text)));
    }
    let weights = exported.weights().into_iter();
    let weights = weights.filter_map(|(name, _)| Some((name.clone(), exported.weight(&name)?)));
    let weights = weights.collect();
    Ok(FileReport {
        kind: "exported model (lzl)",
        bytes: 0,
        facts,
        tensors: tensors(weights, wanted)?,
    })
}

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {}", self.kind, bytes(self.bytes))?;
        for (name, value) in &self.facts {
            writeln!(f, "  {name:<12} {value}")?;
        }
        let width = |of: &dyn Fn(&TensorReport) -> usize| self.tensors.iter().map(of).max();
        let names = width(&|t| t.name.chars().count()).unwrap_or(0);
        let types = width(&|t| t.ty.chars().count()).unwrap_or(0);
        if !self.tensors.is_empty() {
            let plural = if self.tensors.len() == 1 { "" } else { "s" };
            writeln!(f, "\n{} tensor{plural}:", self.tensors.len())?;
        }
        for tensor in &self.tensors {
            let (name, ty) = (&tensor.name, &tensor.ty);
            write!(
                f,
                "  {name:<names$}  {ty:<types$}  {:>10}",
                bytes(tensor.bytes)
            )?;
            if let Some(statistics) = &tensor.statistics {
                write!(f, "  {statistics}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = self.range;
        if low > high {
            return f.write_str(if self.nan > 0 {
                "all NaN"
            } else {
                "no elements"
            });
        }
        let (mean, deviation) = (self.mean, self.deviation);
        write!(
            f,
            "{low:.4} to {high:.4}, mean {mean:.4}, deviation {deviation:.4}"
        )?;
        for (count, what) in [
            (self.zeros, "zero"),
            (self.infinite, "infinite"),
            (self.nan, "NaN"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}
