//! Why a command fails, and what its process returns then.

use std::path::Path;
use std::process::ExitCode;

/// Why a command fails.
pub enum Failure {
    /// Reading or writing failed.
    Io(std::io::Error),
    /// What the user asked for cannot be done.
    Message(String),
}

impl Failure {
    /// Tells the user; gives the exit code: 2, or 0 where whoever read the output has seen enough.
    pub fn report(&self) -> ExitCode {
        if let Failure::Io(e) = self
            && e.kind() == std::io::ErrorKind::BrokenPipe
        {
            return ExitCode::SUCCESS;
        }
        eprintln!("error: {self}");
        ExitCode::from(2)
    }
}

/// Refuses to write over the file that is read.
pub fn refuse_same(input: &Path, output: &Path) -> Result<(), Failure> {
    match (input.canonicalize(), output.canonicalize()) {
        (Ok(from), Ok(to)) if from == to => Err(Failure::Message(
            "the output is the model itself, which would be lost: choose another name".into(),
        )),
        _ => Ok(()),
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::Io(error)
    }
}

impl From<lazulite::Error> for Failure {
    fn from(error: lazulite::Error) -> Failure {
        Failure::Message(told(&error))
    }
}

/// The error as a user of the command sees it: lines of the command itself say nothing to them.
pub fn told(error: &lazulite::Error) -> String {
    let own = Path::new(file!()).parent();
    let place = error.place().map(|place| Path::new(place.file()));
    if place.is_none_or(|place| place.parent() != own) {
        return error.to_string();
    }
    with_hint(error, error.advice())
}

/// The error without its place, and with this advice.
pub fn with_hint(error: &lazulite::Error, hint: Option<&str>) -> String {
    let hint = hint.map(|hint| format!("\n  hint: {hint}"));
    let (op, message) = (error.op(), error.message());
    format!("{op}: {message}{}", hint.unwrap_or_default())
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Io(error) => error.fmt(f),
            Failure::Message(message) => f.write_str(message),
        }
    }
}
