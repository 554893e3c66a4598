//! A compiled program: reads its inputs from files, runs, writes or prints its results.
//!
//! The program is the payload at the end of this very file. Exit codes: 0 for success, 1 when the program
//! fails, 2 when it was called wrongly, a file is not what it should be, or the payload is damaged.

mod arguments;
mod bench;
mod demo;
mod info;
mod show;

use arguments::{Action, Arguments};
use lazulite_runtime::files::{complete_inputs, deliver, plan_results, read_inputs};
use lazulite_runtime::kernels::Level;
use lazulite_runtime::{Buffer, Payload, Pool, RunError, appended};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Why the program ends without results.
#[derive(Debug)]
pub enum Failure {
    /// It was called wrongly, or a file is wrong.
    Use(String),
    /// It failed while it ran.
    Run(RunError),
    /// Nobody reads what it prints.
    Closed,
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::Use(message)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Use(error.to_string()),
        }
    }
}

fn main() -> ExitCode {
    let mut given = std::env::args_os();
    let program = PathBuf::from(given.next().unwrap_or_default());
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let outcome = Arguments::parse(given).and_then(|arguments| run(&name, &arguments));
    let (message, code) = match outcome {
        Ok(()) | Err(Failure::Closed) => return ExitCode::SUCCESS,
        Err(Failure::Use(message)) => (message, 2),
        Err(Failure::Run(error)) => (error.to_string(), 1),
    };
    // Whether somebody reads it or not.
    let _ = writeln!(io::stderr(), "{name}: {message}");
    ExitCode::from(code)
}

/// The payload at the end of this executable.
fn payload(limit: Level) -> Result<Payload, Failure> {
    let own = match cfg!(target_os = "linux") {
        // Also right when the file was renamed since.
        true => PathBuf::from("/proc/self/exe"),
        false => std::env::current_exe()?,
    };
    let file = File::open(&own).map_err(|e| format!("{}: {e}", own.display()))?;
    // SAFETY: systems do not let running executables be written; whoever replaces one makes a new file.
    let whole = unsafe { Buffer::map(&file) }.map_err(|e| format!("{}: {e}", own.display()))?;
    let damaged = |e| Failure::Use(format!("the executable is not whole: {e}"));
    let payload = appended(&whole).map_err(damaged)?;
    // SAFETY: it is part of the executable that the user has started, so trusted as the rest of it.
    unsafe { Payload::load(payload, limit) }.map_err(damaged)
}

fn run(name: &str, arguments: &Arguments) -> Result<(), Failure> {
    let payload = payload(arguments.level)?;
    let model = &payload.model;
    let mut screen = io::stdout().lock();
    match arguments.action {
        Action::Help => return Ok(info::help(&mut screen, name, model.interface())?),
        Action::Info => return info::info(&mut screen, name, &payload, &arguments.dims),
        Action::Run | Action::Bench(_) | Action::Demo(_) => {}
    }
    let pool = Pool::new(arguments.threads).map_err(|e| e.to_string())?;
    match arguments.action {
        Action::Bench(runs) => bench::bench(&mut screen, &payload, arguments, &pool, runs),
        Action::Demo(samples) => demo::demo(&mut screen, &payload, arguments, &pool, samples),
        Action::Run | Action::Help | Action::Info => {
            let interface = model.interface();
            let inputs = read_inputs(interface, &arguments.inputs, &arguments.dims)?;
            let inputs = complete_inputs(interface, inputs)?;
            let targets = plan_results(interface, &arguments.outputs, arguments.format)?;
            let (arrays, _) = model.run(&inputs, &arguments.dims, &pool).map_err(failed)?;
            if targets.is_empty() {
                for (port, array) in interface.outputs.iter().zip(&arrays) {
                    writeln!(screen, "{} {}", port.name, array.describe())?;
                    show::show(&mut screen, array)?;
                }
            }
            deliver(&mut screen, interface, &arrays, &targets)?;
            Ok(screen.flush()?)
        }
    }
}

/// A model's error as this program's.
fn failed(error: lazulite_runtime::ModelError) -> Failure {
    match error {
        lazulite_runtime::ModelError::Argument(e) => Failure::Use(e.to_string()),
        lazulite_runtime::ModelError::Run(RunError::Guard { message, lhs, rhs }) => {
            Failure::Use(format!("{message} ({lhs} and {rhs})"))
        }
        lazulite_runtime::ModelError::Run(e) => Failure::Run(e),
    }
}
