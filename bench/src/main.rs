//! Named measurements. `run` times a workload, as `benches/versus` does beside other frameworks. The others print the
//! numbers that bind parts of Lazulite, one a line (what was measured, the figure, the limit): `core` those of the core,
//! `training` those of gradients and training steps, `egraph` what equality saturation gains and costs, `ship` those of
//! executables, `roofline` what the machine allows. Cold figures are taken in fresh processes.

mod cold;
mod core;
mod egraph;
mod memory;
mod roofline;
mod run;
mod ship;
mod training;
mod workloads;

use std::process::ExitCode;

const USAGE: &str = "usage: lazulite-bench list            print the names of all workloads
       lazulite-bench run NAME [--threads N] [--seconds S] [--json]
                                      run a workload and print how long it takes
       lazulite-bench given NAME --out FILE.safetensors
                                      write what a workload is given and what it gives
       lazulite-bench core            print the numbers of the core
       lazulite-bench ship            print the numbers of executables
       lazulite-bench training        print the numbers of gradients and training steps
       lazulite-bench roofline [--threads N]
                                      print what the machine can do, and how near workloads come to it
       lazulite-bench egraph          print what equality saturation gains and costs
       lazulite-bench egraph-layers N the latter for a transformer of N layers (used by `egraph`)
       lazulite-bench cold NAME       one cold measurement, in seconds (used by `core`)
       lazulite-bench baseline KIND   memory after the smallest step of `inference` or `training` (used by `run`)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["list"] => {
            run::list();
            Ok(())
        }
        ["run", name, options @ ..] => run::run(name, options),
        ["given", name, options @ ..] => run::write_given(name, options),
        ["baseline", kind, options @ ..] => run::print_baseline(kind, options),
        ["core"] => core::run(),
        ["ship"] => ship::run(),
        ["training"] => training::run(),
        ["roofline", options @ ..] => roofline::run(options),
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
