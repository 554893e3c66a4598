//! `lazulite gpu-check`: whether a GPU gives what this processor gives, and how fast.

use crate::failure::Failure;
use lazulite::Device;
use lazulite::gpu::{GpuReport, check};
use std::io::Write;
use std::path::PathBuf;

/// What is to be checked.
#[derive(clap::Args)]
pub struct Arguments {
    /// Number of the GPU.
    #[arg(long, default_value_t = 0)]
    device: u32,
    /// Small sizes, to see whether all is there; the times mean nothing then.
    #[arg(long)]
    small: bool,
    /// Where to write the report for machines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Checks, prints a table and writes the report. Wrong results are a failure.
pub fn run(out: &mut impl Write, arguments: &Arguments) -> Result<(), Failure> {
    let gpu = Device::cuda(arguments.device)?;
    let report = check(gpu, arguments.small)?;
    print(out, &report)?;
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.json())?;
    }
    match report.right() {
        true => Ok(()),
        false => Err(Failure::Message(
            "some results are not those of this processor".into(),
        )),
    }
}

fn print(out: &mut impl Write, report: &GpuReport) -> Result<(), Failure> {
    let (driver, compiler) = (report.driver, report.compiler);
    writeln!(
        out,
        "{} (compute capability {}.{}), driver for CUDA {}.{}, NVRTC {}.{}",
        report.device,
        report.architecture / 10,
        report.architecture % 10,
        driver.0,
        driver.1,
        compiler.0,
        compiler.1
    )?;
    let gigabytes = report.copy_bytes_per_second / 1e9;
    writeln!(
        out,
        "copies within the device: {gigabytes:.0} GB/s read and written\n"
    )?;
    for case in &report.cases {
        let part = report.of_copy_bandwidth(case) * 100.0;
        let speed = match case.operations > 0.0 {
            true => format!("{:.0} GFLOP/s", case.operations / case.microseconds / 1e3),
            false => format!("{part:.0}% of copies"),
        };
        let right = if case.right { "right" } else { "WRONG" };
        writeln!(
            out,
            "  {:<20} {right} (off by {:.1e})  {:>10.1} us  {speed}",
            case.name, case.difference, case.microseconds
        )?;
    }
    Ok(())
}
