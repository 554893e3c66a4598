//! Named measurements. `core` prints the numbers that bind the core, `ship` those of executables and `training` those of
//! gradients and training steps, one a line: what was measured, the figure, the limit. Cold figures are taken in fresh processes.

mod cold;
mod core;
mod memory;
mod ship;
mod training;

use std::process::ExitCode;

const USAGE: &str = "usage: lazulite-bench core            print the numbers of the core
       lazulite-bench ship            print the numbers of executables
       lazulite-bench training        print the numbers of gradients and training steps
       lazulite-bench cold NAME       one cold measurement, in seconds (used by `core`)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["core"] => core::run(),
        ["ship"] => ship::run(),
        ["training"] => training::run(),
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
