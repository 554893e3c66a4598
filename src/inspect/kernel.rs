//! Kernels and launches as they are shown: their text on each level, and what they are predicted to cost.
//!
//! Predictions are the cost model's, for one core: the price of operations ([`lazulite_ir::price`]), and for
//! matrix products what the runtime divides work by. Bytes are counted as if caches were ideal.

use super::report::Report;
use super::view::Known;
use lazulite_codegen::Instruction;
use lazulite_ir::{ContractStep, DType, Dim, Kernel, Plan, Step, price, print_kernel};
use lazulite_passes::memory::{Launched, Split};
use lazulite_passes::report::launches as launches_of;
use lazulite_runtime::kernels::product_nanoseconds;
use rustc_hash::FxHashMap;

/// A kernel: one fused loop nest.
#[derive(Clone, PartialEq, Debug)]
pub struct KernelReport {
    /// Its number.
    pub number: u32,
    /// The loop nest as text.
    pub ir: String,
    /// Vector code; empty before [`super::Stage::Native`].
    pub vector: String,
    /// Machine code; empty before [`super::Stage::Native`].
    pub native: Vec<Instruction>,
    /// Bytes of machine code, and of the constants behind it.
    pub code_bytes: [usize; 2],
    /// The launches that run it.
    pub launches: Vec<u32>,
}

/// A step that does work.
#[derive(Clone, PartialEq, Debug)]
pub struct LaunchReport {
    /// Its number.
    pub number: u32,
    /// `kernel`, `product`, `sort` or `library`.
    pub kind: &'static str,
    /// What it does, in a few words.
    pub text: String,
    /// The kernel that it runs, or that finishes a product's tiles: a position in [`Report::kernels`].
    pub kernel: Option<u32>,
    /// The graph and the group that it belongs to, as positions.
    pub group: Option<(usize, u32)>,
    /// Bytes read and written, where sizes are known.
    pub bytes: Option<[u64; 2]>,
    /// The same in terms of the sizes.
    pub bytes_text: [String; 2],
    /// Nanoseconds that the cost model gives it on one core, where sizes are known.
    pub predicted: Option<f64>,
    /// Nanoseconds that it took in one run of the program, all turns of loops together; the median of several.
    pub measured: Option<f64>,
    /// Depends on weights alone: it is done once for them, when an executable is built or a captured function first
    /// called, and is no part of a run. So it has no measured time.
    pub once: bool,
}

/// The kernels of a report: those of every run, then those of what is done once.
pub(super) fn kernels(report: &Report) -> Vec<KernelReport> {
    let Some(split) = report.last_steps() else {
        return Vec::new();
    };
    let kernels = split.main.kernels.iter().chain(&split.prepare.kernels);
    let texts = report.kernel_texts();
    let kernel = |(number, kernel): (usize, &Kernel)| {
        let text = texts.get(number);
        KernelReport {
            number: number as u32,
            ir: print_kernel(kernel),
            vector: text.map(|t| t.vector.clone()).unwrap_or_default(),
            native: text
                .map(|t| t.native.instructions.clone())
                .unwrap_or_default(),
            code_bytes: text.map_or([0; 2], |t| [t.native.code_bytes, t.native.pool_bytes]),
            launches: Vec::new(),
        }
    };
    let mut kernels: Vec<KernelReport> = kernels.enumerate().map(kernel).collect();
    for launch in launches(report) {
        if let Some(kernel) = launch.kernel {
            kernels[kernel as usize].launches.push(launch.number);
        }
    }
    kernels
}

/// For every launch of a schedule: its number among those that run, if it is one of these.
pub(super) fn numbers(split: &Split) -> Vec<Option<u32>> {
    let mut next = 0..;
    let number = |launch: &Launched| match launch {
        Launched::Dropped => None,
        Launched::Once(_) | Launched::Always(_) => next.next(),
    };
    split.launches.iter().map(number).collect()
}

/// The launches of a report.
pub(super) fn launches(report: &Report) -> Vec<LaunchReport> {
    let (Some(split), Some(scheduling)) = (report.last_steps(), report.scheduling()) else {
        return Vec::new();
    };
    let numbers = numbers(split);
    let mut group_of: FxHashMap<u32, (usize, u32)> = FxHashMap::default();
    for (at, graph) in scheduling.graphs.iter().enumerate() {
        for (number, task) in graph.tasks.iter().enumerate() {
            let own = (at, number as u32);
            group_of.extend(task.launches.iter().map(|launch| (*launch, own)));
        }
    }
    let [once, always] = [&split.prepare, &split.main].map(|plan| launches_of(&plan.steps));
    let launch = |(scheduled, launched): (usize, &Launched)| {
        // Kernels of what is done once are numbered behind the others.
        let (plan, step, behind, measured) = match *launched {
            Launched::Dropped => return None,
            Launched::Once(n) => {
                let behind = split.main.kernels.len() as u32;
                (&split.prepare, once.get(n as usize)?.1, behind, None)
            }
            Launched::Always(n) => {
                let measured = report.times().and_then(|t| t.of(n as usize));
                (&split.main, always.get(n as usize)?.1, 0, measured)
            }
        };
        let cost = cost(plan, step, &report.known);
        let mut shown = step.clone();
        if let Some(call) = shown.kernel_call_mut() {
            call.kernel += behind;
        }
        Some(LaunchReport {
            number: numbers.get(scheduled).copied().flatten()?,
            kind: kind(step),
            text: describe(&shown),
            kernel: shown.kernel_call().map(|call| call.kernel),
            group: group_of.get(&(scheduled as u32)).copied(),
            bytes: cost.bytes,
            bytes_text: cost.bytes_text,
            predicted: cost.nanoseconds,
            measured,
            once: matches!(launched, Launched::Once(_)),
        })
    };
    split
        .launches
        .iter()
        .enumerate()
        .filter_map(launch)
        .collect()
}

fn kind(step: &Step) -> &'static str {
    match step {
        Step::Kernel(_) => "kernel",
        Step::Contract(_) => "product",
        Step::Sort { .. } => "sort",
        Step::Custom { .. } => "library",
        Step::Copy { .. } => "copy",
        Step::If { .. } | Step::Loop { .. } | Step::While { .. } => "control",
    }
}

fn describe(step: &Step) -> String {
    match step {
        Step::Kernel(call) => call.to_string(),
        Step::Contract(c) => {
            let [b, m, n, k] = &c.dims;
            let batch = match b.is(1) {
                true => String::new(),
                false => format!("{b} times "),
            };
            let product = format!("{batch}[{m}, {k}] * [{k}, {n}] of {}", c.dtype);
            match &c.epilogue {
                Some(call) => format!("{product}, then {call}"),
                None => product,
            }
        }
        Step::Sort { dims, .. } => format!("sort of [{}, {}, {}]", dims[0], dims[1], dims[2]),
        Step::Custom { target, .. } => target.name().to_string(),
        Step::Copy { from, to, .. } => format!("{from} -> {to}"),
        Step::If { .. } => "if".into(),
        Step::Loop { .. } => "loop".into(),
        Step::While { .. } => "while".into(),
    }
}

/// What a launch costs.
#[derive(Default)]
struct Cost {
    bytes: Option<[u64; 2]>,
    bytes_text: [String; 2],
    nanoseconds: Option<f64>,
}

fn cost(plan: &Plan, step: &Step, known: &Known) -> Cost {
    let epilogue = step.kernel_call();
    let kernel = epilogue.and_then(|call| plan.kernels.get(call.kernel as usize));
    match step {
        Step::Kernel(_) => kernel.map_or_else(Cost::default, |k| kernel_cost(k, known)),
        Step::Contract(c) => {
            let mut cost = product_cost(c, known);
            let after = kernel.map(|k| kernel_cost(k, known).nanoseconds);
            if let Some(after) = after {
                cost.nanoseconds = cost.nanoseconds.zip(after).map(|(a, b)| a + b);
            }
            cost
        }
        Step::Sort { .. }
        | Step::Custom { .. }
        | Step::Copy { .. }
        | Step::If { .. }
        | Step::Loop { .. }
        | Step::While { .. } => Cost::default(),
    }
}

/// Units of [`price`] per nanosecond.
const PER_NANOSECOND: f64 = 1024.0;

fn kernel_cost(kernel: &Kernel, known: &Known) -> Cost {
    let Ok(work) = kernel.work() else {
        return Cost::default();
    };
    let (Ok(read), Ok(written)) = (work.bytes_read(), work.bytes_written()) else {
        return Cost::default();
    };
    let number = |dim: &Dim| known.size(dim).and_then(|n| u64::try_from(n).ok());
    let sizes = number(&work.ops).zip(number(&work.points));
    let time = |(ops, points): (u64, u64)| {
        let ops = ops as f64 * price::UNIT_TIME as f64;
        (ops + points as f64 * price::POINT_TIME as f64) / PER_NANOSECOND
    };
    Cost {
        bytes: number(&read).zip(number(&written)).map(|(r, w)| [r, w]),
        bytes_text: [read.to_string(), written.to_string()],
        nanoseconds: sizes.map(time),
    }
}

fn product_cost(c: &ContractStep, known: &Known) -> Cost {
    let size = |dim: &Dim| known.size(dim).and_then(|n| usize::try_from(n).ok());
    let dims: Option<Vec<usize>> = c.dims.iter().map(size).collect();
    let dims = dims.and_then(|d| <[usize; 4]>::try_from(d).ok());
    let [b, m, n, k] = &c.dims;
    let [left, right] = c.factors;
    let bytes = |element: DType, [x, y, z]: [&Dim; 3]| {
        Dim::product([&Dim::constant(element.size() as i64), x, y, z])
    };
    let read = bytes(left, [b, m, k]).and_then(|l| l.add(&bytes(right, [b, k, n])?));
    let (Ok(read), Ok(written)) = (read, bytes(c.dtype, [b, m, n])) else {
        return Cost::default();
    };
    Cost {
        bytes: size(&read)
            .zip(size(&written))
            .map(|(r, w)| [r as u64, w as u64]),
        bytes_text: [read.to_string(), written.to_string()],
        nanoseconds: dims.map(product_nanoseconds),
    }
}
