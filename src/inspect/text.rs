//! Reports as text. Graphs and plans are printed in their own textual forms, which read back.

use super::report::Report;
use super::stage::Stage;
use lazulite_codegen::Instruction;
use lazulite_ir::{print_graph, print_plan};
use lazulite_passes::memory::{Hoisted, Split};
use std::fmt::Write;

/// The program after a stage.
pub(super) fn render(report: &Report, stage: Stage) -> String {
    match stage {
        Stage::Trace
        | Stage::Grad
        | Stage::Inline
        | Stage::Canon
        | Stage::Egraph
        | Stage::Complex => report.graph(stage).map(print_graph).unwrap_or_default(),
        Stage::Schedule | Stage::Memory => report.steps(stage).map(steps).unwrap_or_default(),
        Stage::Kernel => kernels(report),
        Stage::Native => native(report),
    }
}

/// The steps of every run, then those that are done once.
fn steps(split: &Split) -> String {
    let mut out = print_plan(&split.main);
    if !split.prepare.steps.is_empty() {
        let results = split.sources.iter().zip(0..);
        let results = results.filter_map(|(source, parameter)| match source {
            Hoisted::Prepared(result) => Some((result, parameter)),
            Hoisted::Parameter(_) => None,
        });
        let behind = split.main.kernels.len();
        let _ = writeln!(
            out,
            "\n; once, for the weights; k0 here is k{behind} of all kernels:"
        );
        for (result, parameter) in results {
            let _ = writeln!(out, "; result {result} is input {parameter} above");
        }
        out.push_str(&print_plan(&split.prepare));
    }
    out
}

/// The kernels with the launches that run them.
fn kernels(report: &Report) -> String {
    let launches = report.launches();
    let mut out = String::new();
    for kernel in report.kernels() {
        for launch in kernel
            .launches
            .iter()
            .filter_map(|l| launches.get(*l as usize))
        {
            let _ = writeln!(out, "; {}", cost(launch));
        }
        let _ = writeln!(out, "k{} = {}\n", kernel.number, kernel.ir.trim_end());
    }
    out
}

/// One line on what a launch does and costs.
fn cost(launch: &super::LaunchReport) -> String {
    let mut line = format!("launch {}: {}", launch.number, launch.text);
    let [read, written] = &launch.bytes_text;
    if !read.is_empty() {
        let _ = write!(line, ", reads {read} bytes, writes {written}");
    }
    if let Some(predicted) = launch.predicted {
        let _ = write!(line, ", predicted {}", time(predicted));
    }
    if let Some(measured) = launch.measured {
        let _ = write!(line, ", measured {}", time(measured));
    }
    if launch.once {
        line.push_str(", once, for the weights");
    }
    line
}

/// A time for reading.
pub(super) fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.2} us", n / 1e3),
        n if n < 1e9 => format!("{:.2} ms", n / 1e6),
        n => format!("{:.2} s", n / 1e9),
    }
}

/// A number of bytes for reading.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut size = count as f64;
    let mut unit = None;
    for name in UNITS {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = Some(name);
    }
    match unit {
        None => format!("{count} B"),
        Some(unit) => format!("{size:.1} {unit}"),
    }
}

fn native(report: &Report) -> String {
    let mut out = String::new();
    for kernel in report.kernels() {
        let [code, pool] = kernel.code_bytes;
        let _ = writeln!(
            out,
            "; k{}: {} instructions in {code} bytes, {pool} bytes of constants",
            kernel.number,
            kernel.native.len(),
        );
        let _ = writeln!(out, "k{}:\n{}", kernel.number, assembly(&kernel.native));
    }
    out
}

/// Instructions, one per line.
fn assembly(instructions: &[Instruction]) -> String {
    let mut out = String::new();
    for instruction in instructions {
        if let Some(label) = &instruction.label {
            let _ = writeln!(out, "{label}:");
        }
        let _ = writeln!(out, "  {:5x}  {}", instruction.offset, instruction.text);
    }
    out
}
