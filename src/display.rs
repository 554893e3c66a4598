//! Tensors as text, in PyTorch's layout: four decimals, columns aligned, scientific notation where
//! magnitudes differ much, large tensors summarised by their edges.

use crate::engine::{capturing, recording_body};
use crate::tensor::Tensor;
use lazulite_ir::{DType, Scalar};
use std::fmt;

/// Decimals of floating-point numbers.
const PRECISION: usize = 4;
/// Tensors with more elements are summarised...
const SUMMARY_THRESHOLD: usize = 1000;
/// ... by so many elements at each end of every axis.
const EDGE: usize = 3;
/// Columns of a line.
const LINE_WIDTH: usize = 80;

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ok(node) = &self.0
            && (capturing() || recording_body())
            && node.value().is_none()
        {
            return write!(
                f,
                "tensor(<no value while a function is recorded>, {})",
                self.describe()
            );
        }
        match render(self) {
            Ok(text) => f.write_str(&text),
            Err(error) => write!(f, "tensor(<error>)\n{error}"),
        }
    }
}

/// The type without computing anything; an error in full.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(_) => write!(f, "Tensor({})", self.describe()),
            Err(error) => write!(f, "Tensor(<error>: {error})"),
        }
    }
}

fn render(tensor: &Tensor) -> crate::Result<String> {
    let (dims, dtype) = (tensor.dims()?, tensor.dtype()?);
    let count = dims.iter().fold(1, |n: usize, d| n.saturating_mul(*d));
    let summarise = count > SUMMARY_THRESHOLD;
    let shown = if summarise {
        edges(tensor, &dims)
    } else {
        tensor.clone()
    };
    let layout = Layout::new(dims, shown.dims()?, shown.to_scalars()?, summarise, dtype);
    let mut out = String::from("tensor(");
    layout.write(&mut out, 0, 0, "tensor(".len());
    if layout.values.is_empty() && layout.dims != [0] {
        let dims: Vec<String> = layout.dims.iter().map(usize::to_string).collect();
        out.push_str(&format!(", size=({})", dims.join(", ")));
    }
    let implied = matches!(dtype, DType::F32 | DType::I64 | DType::Bool | DType::C64);
    if !implied || layout.values.is_empty() && dtype != DType::F32 {
        out.push_str(&format!(", dtype={dtype}"));
    }
    out.push(')');
    Ok(out)
}

/// Both ends of every axis; all of short ones. Nothing else of a large tensor is read.
#[track_caller]
fn edges(tensor: &Tensor, dims: &[usize]) -> Tensor {
    let mut out = tensor.clone();
    for (axis, &size) in (0i64..).zip(dims) {
        if size > 2 * EDGE {
            let head = out.narrow(axis, 0, EDGE);
            let tail = out.narrow(axis, size - EDGE, EDGE);
            out = Tensor::cat(&[&head, &tail], axis);
        }
    }
    out
}

struct Layout {
    dims: Vec<usize>,
    /// Sizes of what was read.
    read: Vec<usize>,
    values: Vec<Scalar>,
    summarise: bool,
    format: NumberFormat,
}

impl Layout {
    fn new(
        dims: Vec<usize>,
        read: Vec<usize>,
        values: Vec<Scalar>,
        summarise: bool,
        dtype: DType,
    ) -> Layout {
        let mut layout = Layout {
            dims,
            read,
            values,
            summarise,
            format: NumberFormat::Integer { width: 0 },
        };
        let mut shown = Vec::new();
        layout.visible(0, 0, &mut shown);
        layout.format = NumberFormat::of(dtype, &shown);
        layout
    }

    /// The indices along an axis of what was read; `None` stands for the gap.
    fn shown(&self, axis: usize) -> Vec<Option<usize>> {
        let size = self.read[axis];
        if !self.summarise || self.dims[axis] <= 2 * EDGE {
            return (0..size).map(Some).collect();
        }
        let head = (0..EDGE).map(Some);
        let tail = (EDGE..size).map(Some);
        head.chain([None]).chain(tail).collect()
    }

    fn stride(&self, axis: usize) -> usize {
        self.read[axis + 1..].iter().product()
    }

    fn visible(&self, axis: usize, offset: usize, out: &mut Vec<Scalar>) {
        if axis == self.dims.len() {
            out.extend(self.values.get(offset));
            return;
        }
        for i in self.shown(axis).into_iter().flatten() {
            self.visible(axis + 1, offset + i * self.stride(axis), out);
        }
    }

    fn write(&self, out: &mut String, axis: usize, offset: usize, indent: usize) {
        let rank = self.dims.len();
        if axis == rank {
            let text = self.values.get(offset).map(|v| self.format.number(*v));
            out.push_str(text.as_deref().unwrap_or("").trim_start());
            return;
        }
        if self.values.is_empty() {
            out.push_str("[]");
            return;
        }
        out.push('[');
        if axis + 1 == rank {
            self.write_row(out, axis, offset, indent);
        } else {
            // One blank line more for every axis between.
            let gap = format!(
                ",{}{}",
                "\n".repeat(rank - axis - 1),
                " ".repeat(indent + 1)
            );
            for (n, i) in self.shown(axis).into_iter().enumerate() {
                if n > 0 {
                    out.push_str(&gap);
                }
                match i {
                    Some(i) => {
                        let at = offset + i * self.stride(axis);
                        self.write(out, axis + 1, at, indent + 1);
                    }
                    None => out.push_str("..."),
                }
            }
        }
        out.push(']');
    }

    /// As many numbers on a line as fit after the innermost bracket's `indent`.
    fn write_row(&self, out: &mut String, axis: usize, offset: usize, indent: usize) {
        let per_line = ((LINE_WIDTH - indent.min(LINE_WIDTH)) / (self.format.width() + 2)).max(1);
        let gap = format!(",\n{}", " ".repeat(indent + 1));
        for (n, i) in self.shown(axis).into_iter().enumerate() {
            if n > 0 {
                out.push_str(if n % per_line == 0 { &gap } else { ", " });
            }
            match i {
                Some(i) => out.push_str(&self.format.number(self.values[offset + i])),
                None => out.push_str(" ..."),
            }
        }
    }
}

/// How the numbers of one tensor are written.
enum NumberFormat {
    Bool {
        width: usize,
    },
    Integer {
        width: usize,
    },
    /// All values integral: `1.`
    Whole {
        width: usize,
    },
    Decimal {
        width: usize,
    },
    Scientific {
        width: usize,
    },
    Complex {
        re: Box<NumberFormat>,
        im: Box<NumberFormat>,
    },
}

impl NumberFormat {
    fn of(dtype: DType, shown: &[Scalar]) -> NumberFormat {
        if dtype == DType::Bool {
            let width = shown.iter().map(|s| boolean(*s).len()).max().unwrap_or(0);
            return NumberFormat::Bool { width };
        }
        if dtype.is_complex() {
            let part = |pick: fn((f64, f64)) -> f64| {
                let parts: Vec<f64> = shown.iter().map(|s| pick(s.as_complex())).collect();
                Box::new(NumberFormat::of_floats(&parts))
            };
            return NumberFormat::Complex {
                re: part(|c| c.0),
                im: part(|c| c.1),
            };
        }
        if dtype.is_int() {
            let width = shown.iter().map(|s| integer(*s).len()).max().unwrap_or(0);
            return NumberFormat::Integer { width };
        }
        let values: Vec<f64> = shown.iter().map(|s| s.as_f64()).collect();
        NumberFormat::of_floats(&values)
    }

    fn of_floats(values: &[f64]) -> NumberFormat {
        let finite = values
            .iter()
            .copied()
            .filter(|v| v.is_finite() && *v != 0.0);
        let magnitudes: Vec<f64> = finite.map(f64::abs).collect();
        let largest = magnitudes.iter().copied().fold(0.0, f64::max);
        let smallest = magnitudes.iter().copied().fold(f64::INFINITY, f64::min);
        let ratio = largest / smallest;
        let whole = magnitudes.iter().all(|v| v.fract() == 0.0);
        let scientific = ratio > 1e3 || largest > 1e8 || (!whole && smallest < 1e-4);
        // Zeros and what is not finite do not widen the columns.
        let with_width = |make: fn(usize) -> NumberFormat| {
            let counted = values.iter().filter(|v| v.is_finite() && **v != 0.0);
            let width = counted.map(|v| make(0).float(*v).len()).max();
            make(width.unwrap_or(0))
        };
        if scientific && !magnitudes.is_empty() {
            with_width(|width| NumberFormat::Scientific { width })
        } else if whole {
            with_width(|width| NumberFormat::Whole { width })
        } else {
            with_width(|width| NumberFormat::Decimal { width })
        }
    }

    /// Columns of a number; numbers that are not finite may need more.
    fn width(&self) -> usize {
        match self {
            NumberFormat::Bool { width }
            | NumberFormat::Integer { width }
            | NumberFormat::Whole { width }
            | NumberFormat::Decimal { width }
            | NumberFormat::Scientific { width } => *width,
            NumberFormat::Complex { re, im } => re.width() + im.width() + 1,
        }
    }

    fn number(&self, value: Scalar) -> String {
        let width = self.width();
        match self {
            NumberFormat::Bool { .. } => format!("{:>width$}", boolean(value)),
            NumberFormat::Integer { .. } => format!("{:>width$}", integer(value)),
            NumberFormat::Complex { re, im } => {
                let (r, i) = value.as_complex();
                let imaginary = im.float(i);
                let imaginary = imaginary.trim_start();
                let sign = if imaginary.starts_with('-') { "" } else { "+" };
                format!("{}{sign}{imaginary}j", re.float(r))
            }
            NumberFormat::Whole { .. }
            | NumberFormat::Decimal { .. }
            | NumberFormat::Scientific { .. } => self.float(value.as_f64()),
        }
    }

    fn float(&self, value: f64) -> String {
        let text = if value.is_nan() {
            "nan".into()
        } else if value.is_infinite() {
            if value > 0.0 {
                "inf".into()
            } else {
                "-inf".into()
            }
        } else {
            match self {
                NumberFormat::Whole { .. } => format!("{value:.0}."),
                NumberFormat::Scientific { .. } => scientific(value),
                NumberFormat::Decimal { .. } => format!("{value:.PRECISION$}"),
                NumberFormat::Bool { .. }
                | NumberFormat::Integer { .. }
                | NumberFormat::Complex { .. } => value.to_string(),
            }
        };
        format!("{text:>width$}", width = self.width())
    }
}

/// Mantissa with four decimals, exponent with a sign and at least two digits.
fn scientific(value: f64) -> String {
    let text = format!("{value:.PRECISION$e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}

fn boolean(value: Scalar) -> &'static str {
    if value.as_i64() != 0 { "true" } else { "false" }
}

fn integer(value: Scalar) -> String {
    match value.dtype() {
        DType::U64 => (value.bits() as u64).to_string(),
        _ => value.as_i64().to_string(),
    }
}
