//! Named measurements: `core` prints the numbers that bind the core, `training` those of gradients and training steps,
//! `egraph` what equality saturation gains and costs, `ship` those of executables, one a line: what was
//! measured, the figure, the limit. Cold figures are taken in fresh processes.

mod cold;
mod core;
mod egraph;
mod memory;
mod ship;
mod training;

use std::process::ExitCode;

const USAGE: &str = "usage: lazulite-bench core            print the numbers of the core
       lazulite-bench ship            print the numbers of executables
       lazulite-bench training        print the numbers of gradients and training steps
       lazulite-bench egraph          print what equality saturation gains and costs
       lazulite-bench egraph-layers N the latter for a transformer of N layers (used by `egraph`)
       lazulite-bench cold NAME       one cold measurement, in seconds (used by `core`)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["core"] => core::run(),
        ["ship"] => ship::run(),
        ["training"] => training::run(),
        ["egraph"] => egraph::run(),
        ["egraph-layers", layers] => egraph::layers(layers),
        ["cold", name] => cold::run(name),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::from(2)
        }
    }
}
