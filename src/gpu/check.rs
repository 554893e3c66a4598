//! Whether a GPU gives what this processor gives, and how fast: functions of every kind of kernel, held against the same
//! functions compiled for the processor, and timed against the device's own copies.

use super::{info, number_of};
use crate::device::{Device, error, opened};
use crate::error::{Error, ErrorKind, Result};
use crate::export::{Exported, export};
use crate::inspect::json::{Json, Object};
use crate::ops::Generator;
use crate::spec;
use crate::tensor::Tensor;
use std::time::{Duration, Instant};

/// How far results may be from the processor's, relative to their size or 1.
const TOLERANCE: f64 = 1e-4;
/// How long a measurement goes on.
const PATIENCE: Duration = Duration::from_millis(300);

/// What came of one function.
#[derive(Clone, Debug)]
pub struct GpuCase {
    /// Its name.
    pub name: String,
    /// Largest difference from the processor's result, relative to its size or 1.
    pub difference: f64,
    /// Whether that is near enough.
    pub right: bool,
    /// Microseconds of a run on the device, its inputs being there.
    pub microseconds: f64,
    /// Bytes that it has to read and write at least.
    pub bytes: f64,
    /// Operations of floats that it takes, for products of matrices.
    pub operations: f64,
}

/// What came of a check.
#[derive(Clone, Debug)]
pub struct GpuReport {
    /// What the device calls itself.
    pub device: String,
    /// Its compute capability: 90 for 9.0.
    pub architecture: u32,
    /// The newest CUDA that the driver serves.
    pub driver: (u32, u32),
    /// The compiler's version.
    pub compiler: (u32, u32),
    /// Bytes per second that copies within the device read and write together.
    pub copy_bytes_per_second: f64,
    /// The functions.
    pub cases: Vec<GpuCase>,
}

impl GpuReport {
    /// Whether all results are near enough to the processor's.
    pub fn right(&self) -> bool {
        self.cases.iter().all(|c| c.right)
    }

    /// The report for machines.
    pub fn json(&self) -> String {
        let mut text = String::new();
        Json(&mut text).object(|o| {
            o.text("device", &self.device);
            o.plain("architecture", self.architecture);
            o.text("driver", &format!("{}.{}", self.driver.0, self.driver.1));
            o.text(
                "compiler",
                &format!("{}.{}", self.compiler.0, self.compiler.1),
            );
            o.plain("copy_bytes_per_second", self.copy_bytes_per_second);
            o.plain("right", self.right());
            o.list("cases", &self.cases, |json, case| {
                json.object(|o| self.describe(o, case));
            });
        });
        text
    }

    fn describe(&self, o: &mut Object<'_>, case: &GpuCase) {
        o.text("name", &case.name);
        o.plain("right", case.right);
        // JSON has no infinity and no NaN.
        o.plain("difference", case.difference.clamp(0.0, f64::MAX));
        o.plain("microseconds", case.microseconds);
        o.plain("of_copy_bandwidth", self.of_copy_bandwidth(case));
        o.plain("gflops", case.operations / case.microseconds / 1e3);
    }

    /// The part of the copies' bandwidth that a function reaches.
    pub fn of_copy_bandwidth(&self, case: &GpuCase) -> f64 {
        case.bytes / (case.microseconds * 1e-6) / self.copy_bytes_per_second
    }
}

/// A function to check.
struct Subject {
    name: &'static str,
    function: Exported,
    inputs: Vec<Tensor>,
    operations: f64,
}

/// Runs the functions on a GPU and on this processor. With `small` sizes the times mean nothing; that is for trying
/// whether all is there.
///
/// # Errors
/// When the device is no GPU, or something cannot be compiled or run. Wrong results are no error: the report tells of them.
pub fn check(gpu: Device, small: bool) -> Result<GpuReport> {
    let info = info(gpu)?;
    let mut report = GpuReport {
        device: info.name,
        architecture: info.architecture,
        driver: info.driver,
        compiler: info.compiler,
        copy_bytes_per_second: copy_bandwidth(gpu, small)?,
        cases: Vec::new(),
    };
    for subject in subjects(small)? {
        report.cases.push(case(gpu, &subject)?);
    }
    Ok(report)
}

fn subjects(small: bool) -> Result<Vec<Subject>> {
    let size = |full: i64, small_size: i64| if small { small_size } else { full };
    let (n, rows, columns, side) = (
        size(1 << 26, 5000),
        size(8192, 9),
        size(4096, 300),
        size(4096, 70),
    );
    let random = Generator::new(0);
    let table = |dims: [i64; 2]| random.randn(dims);
    let subject = |name, function, inputs| Subject {
        name,
        function,
        inputs,
        operations: 0.0,
    };
    let pointwise = export(
        |[x, y]| (x * y + 1.0).tanh(),
        &[spec!(f32["n"]), spec!(f32["n"])],
    )?;
    let half = export(|[x]| x.gelu(), &[spec!(crate::f16["n"])])?;
    let softmax = export(|[x]| x.softmax(-1), &[spec!(f32["n", columns])])?;
    let norm = export(
        |[x]| x.layer_norm(1, None, None, 1e-5),
        &[spec!(f32["n", columns])],
    )?;
    let sum = export(|[x]| x.sum(0), &[spec!(f32["n", columns])])?;
    let scan = export(|[x]| x.cumsum(0), &[spec!(f32[64, "n"])])?;
    let rows_of = export(
        |[x, i]| x.index_select(0, i),
        &[spec!(f32["n", columns]), spec!(i64["m"])],
    )?;
    let order = Tensor::arange(0, rows, 1).neg() + (rows - 1);
    let mut subjects = vec![
        subject(
            "pointwise f32",
            pointwise,
            vec![random.randn([n]), random.randn([n])],
        ),
        subject(
            "gelu f16",
            half,
            vec![random.randn([n]).cast(crate::DType::F16)],
        ),
        subject("softmax f32", softmax, vec![table([rows, columns])]),
        subject("layer_norm f32", norm, vec![table([rows, columns])]),
        subject("column sums f32", sum, vec![table([rows, columns])]),
        subject("running sums f32", scan, vec![table([64, n / 64])]),
        subject(
            "rows by index f32",
            rows_of,
            vec![table([rows, columns]), order],
        ),
    ];
    subjects.extend(products(side, &random)?);
    Ok(subjects)
}

/// Products of square matrices of every kind.
fn products(side: i64, random: &Generator) -> Result<Vec<Subject>> {
    let plain = [spec!(f32[side, side]), spec!(f32[side, side])];
    let half = [spec!(crate::f16[side, side]), spec!(crate::f16[side, side])];
    let brief = [
        spec!(crate::bf16[side, side]),
        spec!(crate::bf16[side, side]),
    ];
    let product = |[x, y]: [&Tensor; 2]| x.matmul(y).relu();
    let turned = |[x, y]: [&Tensor; 2]| x.matmul(&y.t()).relu();
    let kinds = [
        ("matmul f32", export(product, &plain)?),
        ("matmul f16", export(product, &half)?),
        ("matmul bf16, transposed", export(turned, &brief)?),
    ];
    let dtypes = [crate::DType::F32, crate::DType::F16, crate::DType::BF16];
    let kinds = kinds.into_iter().zip(dtypes);
    let subject = |((name, function), dtype)| Subject {
        name,
        function,
        inputs: [(); 2]
            .map(|()| random.randn([side, side]).cast(dtype))
            .to_vec(),
        operations: 2.0 * (side as f64).powi(3),
    };
    Ok(kinds.map(subject).collect())
}

fn case(gpu: Device, subject: &Subject) -> Result<GpuCase> {
    let inputs: Vec<&Tensor> = subject.inputs.iter().collect();
    let expected = subject.function.run(&inputs)?;
    let there: Vec<Tensor> = inputs.iter().map(|t| t.to(gpu)).collect();
    let there: Vec<&Tensor> = there.iter().collect();
    let found = subject.function.run(&there)?;
    let mut difference = 0.0;
    let mut bytes = 0.0;
    for (found, expected) in found.iter().zip(&expected) {
        let (found, expected) = (as_f64(found)?, as_f64(expected)?);
        difference = largest_difference(&found, &expected, difference);
    }
    for tensor in inputs.iter().copied().chain(&expected) {
        let count: usize = tensor.dims()?.iter().product();
        bytes += (count * tensor.dtype()?.size()) as f64;
    }
    Ok(GpuCase {
        name: subject.name.to_owned(),
        difference,
        right: difference <= tolerance(&expected)?,
        microseconds: time(gpu, &subject.function, &there)?,
        bytes,
        operations: subject.operations,
    })
}

fn as_f64(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.cast(crate::DType::F64).to_vec::<f64>()
}

/// Half floats differ by their last place.
fn tolerance(expected: &[Tensor]) -> Result<f64> {
    let mut tolerance = TOLERANCE;
    for tensor in expected {
        tolerance = f64::max(
            tolerance,
            match tensor.dtype()? {
                crate::DType::F16 => 2e-3,
                crate::DType::BF16 => 2e-2,
                _ => TOLERANCE,
            },
        );
    }
    Ok(tolerance)
}

/// The largest of `least` and the differences; one that is no number counts as infinite.
fn largest_difference(found: &[f64], expected: &[f64], least: f64) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let difference = |(f, e): (&f64, &f64)| match (f - e).abs() / e.abs().max(1.0) {
        d if d.is_nan() && f.to_bits() != e.to_bits() => f64::INFINITY,
        d if d.is_nan() => 0.0,
        d => d,
    };
    found
        .iter()
        .zip(expected)
        .map(difference)
        .fold(least, f64::max)
}

/// Microseconds of a run, of as many as fit into the time.
fn time(gpu: Device, function: &Exported, inputs: &[&Tensor]) -> Result<f64> {
    // Results are given back when the runs that write them are done.
    measure(gpu, || function.run(inputs).map(|_| ()))
}

/// Microseconds of what `queue` queues.
fn measure(gpu: Device, mut queue: impl FnMut() -> Result<()>) -> Result<f64> {
    queue()?;
    gpu.synchronize()?;
    let mut runs = 1u32;
    loop {
        let start = Instant::now();
        for _ in 0..runs {
            queue()?;
        }
        gpu.synchronize()?;
        let passed = start.elapsed();
        if passed >= PATIENCE || runs >= 1 << 16 {
            return Ok(passed.as_secs_f64() * 1e6 / f64::from(runs));
        }
        runs *= 2;
    }
}

/// Bytes per second that copies within the device read and write.
fn copy_bandwidth(gpu: Device, small: bool) -> Result<f64> {
    let bytes: usize = if small { 1 << 16 } else { 1 << 28 };
    let device = &opened(number_of(gpu)?)?.device;
    let [from, to] = [(); 2].map(|()| device.allocate(bytes).map_err(error));
    let (from, to) = (from?, to?);
    let microseconds = measure(gpu, || from.copy_to(&to, bytes).map_err(error))?;
    if microseconds <= 0.0 {
        let message = "copies within the device take no time";
        return Err(Error::new(ErrorKind::Internal, "gpu", message));
    }
    Ok(2.0 * bytes as f64 / (microseconds * 1e-6))
}
