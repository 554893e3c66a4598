//! `lazulite-conformance KIND FOLDER`: runs a conformance corpus and prints what came of it.

use lazulite::Device;
use lazulite_conformance::coverage::Coverage;
use lazulite_conformance::random;
use lazulite_conformance::run::{Settings, run};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: lazulite-conformance KIND FOLDER [options]

KIND is ops, modules, optim, schedulers, errors or random; FOLDER is the corpus, or the folder of that kind in it.

options:
  --json            one JSON object per operator
  --markdown        the whole report as a Markdown document
  --verbose         every failing case with its first difference
  --filter NAME     only operators whose name contains NAME
  --device NAME     compute on this device, such as cuda:0 (default cpu)
  --every N         only every Nth case, always the same ones
  --interpret       the reference interpreter instead of compiled code
  --threads N       check N operators at a time (default: all cores)
  --kernel-threads N  run kernels on N threads (default 1)";

struct Arguments {
    kind: String,
    folder: PathBuf,
    json: bool,
    markdown: bool,
    verbose: bool,
    interpret: bool,
    kernel_threads: usize,
    device: String,
    settings: Settings,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut plain = Vec::new();
    let mut arguments = Arguments {
        kind: String::new(),
        folder: PathBuf::new(),
        json: false,
        markdown: false,
        verbose: false,
        interpret: false,
        kernel_threads: 1,
        device: "cpu".into(),
        settings: Settings {
            filter: None,
            threads: cores,
            device: Device::cpu(),
            every: 1,
        },
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| {
            let parsed = text.parse::<usize>().ok().filter(|n| *n > 0);
            parsed.ok_or(format!("{text} is not a number above 0"))
        };
        match word.as_str() {
            "--json" => arguments.json = true,
            "--markdown" => arguments.markdown = true,
            "--verbose" => arguments.verbose = true,
            "--interpret" => arguments.interpret = true,
            "--filter" => arguments.settings.filter = Some(value()?),
            "--device" => arguments.device = value()?,
            "--every" => arguments.settings.every = number(value()?)?,
            "--threads" => arguments.settings.threads = number(value()?)?,
            "--kernel-threads" => arguments.kernel_threads = number(value()?)?,
            option if option.starts_with("--") => return Err(format!("unknown option {option}")),
            _ => plain.push(word),
        }
    }
    let [kind, folder] =
        <[String; 2]>::try_from(plain).map_err(|_| "a kind and a folder are needed")?;
    arguments.kind = kind;
    arguments.folder = folder.into();
    Ok(arguments)
}

fn start(arguments: &Arguments) -> Result<(), String> {
    match arguments.kind.as_str() {
        "ops" | "modules" | "errors" | "random" | "optim" | "schedulers" => {}
        "onnx" => {
            return Err(format!(
                "corpora of {} are not supported yet",
                arguments.kind
            ));
        }
        other => return Err(format!("there is no kind {other}\n\n{USAGE}")),
    }
    let mut options = lazulite::options();
    // What the environment asks for stays asked for.
    options.interpret |= arguments.interpret;
    options.threads = arguments.kernel_threads;
    lazulite::set_options(options).map_err(|e| e.to_string())?;
    let settings = Settings {
        device: arguments
            .device
            .parse()
            .map_err(|e: lazulite::Error| e.to_string())?,
        ..arguments.settings.clone()
    };
    // Panics are part of the report.
    std::panic::set_hook(Box::new(|_| {}));
    let report = if arguments.kind == "random" {
        random::run(&arguments.folder, arguments.settings.filter.as_deref())
    } else {
        let folder = folder_of(&arguments.folder, &arguments.kind);
        run(&arguments.kind, &folder, &settings)
    };
    let report = report.map_err(|e| e.to_string())?;
    match arguments.markdown {
        true => print!("{}", Coverage(&report)),
        false => report.print(arguments.json, arguments.verbose),
    }
    Ok(())
}

/// The folder of a kind in a corpus, or the folder itself.
fn folder_of(folder: &Path, kind: &str) -> PathBuf {
    let inner = folder.join(kind);
    if inner.is_dir() { inner } else { folder.into() }
}
