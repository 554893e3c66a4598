//! The command line.

use crate::Failure;
use lazulite_runtime::files::{Format, NamedFile};
use lazulite_runtime::kernels::Level;
use std::ffi::OsString;

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Run once.
    Run,
    /// Say how to use it.
    Help,
    /// Say what it is.
    Info,
    /// Run so many times and tell how long it took.
    Bench(u32),
    /// Run samples that it brings.
    Demo(Samples),
}

/// Which samples a demonstration shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Samples {
    /// All of them.
    All,
    /// The one of this number, from 0.
    One(usize),
}

/// What the user asks for.
#[derive(Clone, PartialEq, Debug)]
pub struct Arguments {
    pub action: Action,
    pub inputs: Vec<NamedFile>,
    pub outputs: Vec<NamedFile>,
    pub dims: Vec<(String, i64)>,
    pub threads: usize,
    /// The best instructions that may be used.
    pub level: Level,
    /// The format of standard output.
    pub format: Format,
}

impl Action {
    /// The option that asks for it; for a run there is none.
    fn option(self) -> &'static str {
        match self {
            Action::Run => "",
            Action::Help => "--help",
            Action::Info => "--info",
            Action::Bench(_) => "--bench",
            Action::Demo(_) => "--demo",
        }
    }
}

impl Arguments {
    pub fn parse(given: impl IntoIterator<Item = OsString>) -> Result<Arguments, Failure> {
        let mut arguments = Arguments {
            action: Action::Run,
            inputs: Vec::new(),
            outputs: Vec::new(),
            dims: Vec::new(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            level: Level::best(),
            format: Format::Npy,
        };
        let mut given = given.into_iter();
        let mut options = true;
        while let Some(argument) = given.next() {
            let text = argument.to_str().unwrap_or_default();
            if !options || !text.starts_with('-') || text == "-" {
                arguments.inputs.push(NamedFile::parse(argument));
            } else if text == "--" {
                options = false;
            } else {
                arguments.option(text, &mut given)?;
            }
        }
        if matches!(arguments.action, Action::Demo(_)) && !arguments.outputs.is_empty() {
            let message = "--demo shows its results and writes none: -o is for inputs of your own";
            return Err(message.to_string().into());
        }
        Ok(arguments)
    }

    /// Takes an action. Only one can be done; who asks for help among others gets it.
    fn act(&mut self, action: Action) -> Result<(), Failure> {
        let before = self.action;
        if before == Action::Help {
            return Ok(());
        }
        let (one, other) = (before.option(), action.option());
        if before != Action::Run && action != Action::Help && one != other {
            return Err(format!("{one} and {other} do not go together: give one of them").into());
        }
        self.action = action;
        Ok(())
    }

    fn option(
        &mut self,
        text: &str,
        rest: &mut dyn Iterator<Item = OsString>,
    ) -> Result<(), Failure> {
        let (name, attached) = match text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (text, None),
        };
        let mut value = || match attached {
            Some(value) => Ok(OsString::from(value)),
            None => rest.next().ok_or_else(|| format!("{name} needs a value")),
        };
        match name {
            "-h" | "--help" => self.act(Action::Help)?,
            "--info" => self.act(Action::Info)?,
            // Its value is no word of its own: files may follow it.
            "--demo" => self.act(Action::Demo(samples(attached)?))?,
            "-o" | "--output" => self.outputs.push(NamedFile::parse(value()?)),
            "--bench" => self.act(Action::Bench(count::<u32>(name, &value()?)?))?,
            "--threads" => self.threads = count::<usize>(name, &value()?)?,
            "--dim" => self.dims.push(dim(&value()?)?),
            "--format" => {
                let value = value()?;
                let format = value.to_str().and_then(Format::from_name);
                let wrong =
                    || format!("--format is npy, npz, safetensors, json or raw, not {value:?}");
                self.format = format.ok_or_else(wrong)?;
            }
            "--level" => {
                let value = value()?;
                let level = value.to_str().and_then(Level::from_name);
                let known = Level::ALL.map(Level::name).join(", ");
                let wrong = || format!("--level is one of {known}, not {value:?}");
                self.level = level.ok_or_else(wrong)?;
            }
            _ => return Err(format!("there is no option {name}; see --help").into()),
        }
        Ok(())
    }
}

fn samples(text: Option<&str>) -> Result<Samples, String> {
    match text {
        None => Ok(Samples::One(0)),
        Some("all") => Ok(Samples::All),
        Some(text) => {
            let number = text.parse().map(Samples::One);
            number.map_err(|_| format!("--demo takes a number or all, not {text:?}"))
        }
    }
}

/// A number of things of which there must be some.
fn count<T: std::str::FromStr + PartialEq + Default>(
    name: &str,
    text: &OsString,
) -> Result<T, String> {
    match number(name, text)? {
        none if none == T::default() => Err(format!("{name} takes a number from 1 on")),
        some => Ok(some),
    }
}

fn number<T: std::str::FromStr>(name: &str, text: &OsString) -> Result<T, String> {
    let value = text.to_str().and_then(|t| t.parse().ok());
    value.ok_or_else(|| format!("{name} takes a number, not {text:?}"))
}

/// `NAME=N`.
fn dim(text: &OsString) -> Result<(String, i64), String> {
    let both = text.to_str().and_then(|t| t.split_once('='));
    let both = both.and_then(|(name, value)| Some((name.to_string(), value.parse().ok()?)));
    both.ok_or_else(|| format!("--dim takes NAME=N, not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Arguments, Failure> {
        Arguments::parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_and_files_in_any_order() {
        let a = parse("a.npy -o y.npy --dim n=3 --threads=2 mask=b.npy --bench 7 -- -c").unwrap();
        assert_eq!(a.action, Action::Bench(7));
        assert_eq!(parse("--help --info").unwrap().action, Action::Help);
        assert_eq!(parse("--bench 2 -h").unwrap().action, Action::Help);
        assert_eq!((a.threads, a.dims), (2, vec![("n".to_string(), 3)]));
        let names: Vec<_> = a.inputs.iter().map(|f| f.name.as_deref()).collect();
        assert_eq!(names, [None, Some("mask"), None]);
        assert_eq!(a.inputs[2].path, "-c");
        assert_eq!(a.outputs[0].path, "y.npy");
        assert!(parse("-").unwrap().inputs[0].is_stream());
        assert_eq!(parse("./k=v/x.npy").unwrap().inputs[0].name, None);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("--nope", "no option --nope"),
            ("-o", "-o needs a value"),
            ("--bench many", "--bench takes a number"),
            ("--bench 0", "--bench takes a number from 1 on"),
            ("--threads 0", "--threads takes a number from 1 on"),
            ("--dim n", "NAME=N"),
            ("--level avx9", "portable, avx2, avx512"),
            ("--format txt", "npy, npz, safetensors, json or raw"),
            ("--demo=x", "a number or all"),
            ("--demo -o y.npy", "writes none"),
            ("--info --bench 3", "--info and --bench do not go together"),
            ("--bench 3 --demo", "--bench and --demo do not go together"),
        ] {
            match parse(text) {
                Err(Failure::Use(message)) => assert!(message.contains(part), "{message}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
