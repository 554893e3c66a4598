//! How programs are compiled and run: one struct, set for the process. Environment variables are
//! read here and nowhere else.

use crate::error::{Error, ErrorKind, Result};
use lazulite_codegen::lower::LowerOptions;
use lazulite_codegen::{CodegenOptions, Level};
use lazulite_passes::Numerics;
use lazulite_runtime::Pool;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// How programs are compiled and run.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Threads that run kernels, at least 1 (`LAZULITE_THREADS`; all cores by default).
    pub threads: usize,
    /// Optimise graphs and fuse kernels (`LAZULITE_OPTIMISE=0` turns it off). The results agree
    /// within rounding; without it every operation is a kernel of its own.
    pub optimise: bool,
    /// Optimise graphs by equality saturation as well (`LAZULITE_EGRAPH=0` turns only that off).
    pub egraph: bool,
    /// Freedom in rounding (`LAZULITE_NUMERICS=exact`, `order`, `algebra` or `approx`; `order` by default).
    pub numerics: Numerics,
    /// Instructions that compiled code uses (`LAZULITE_LEVEL=baseline`, `avx2`, `avx512` or `native`; `native`, all
    /// that this processor has, by default). Programs for a level that it has not are an error.
    pub level: Level,
    /// Interpret graphs instead of compiling them (`LAZULITE_INTERPRET=1`): slow, and the definition
    /// of what is right.
    pub interpret: bool,
    /// The CUDA driver's library (`LAZULITE_CUDA_DRIVER`); without a path it is looked for where the system does.
    pub cuda_driver: Option<String>,
    /// NVRTC, the CUDA compiler's library (`LAZULITE_NVRTC`), as above.
    pub cuda_compiler: Option<String>,
    /// The folder for kernels compiled for GPUs (`LAZULITE_CUDA_CACHE`; by default one in the user's cache). Without
    /// one they are compiled in every process.
    pub cuda_cache: Option<String>,
    /// A folder into which the text of every kernel for a GPU is written, one file for each that differs
    /// (`LAZULITE_CUDA_TEXTS`).
    pub cuda_texts: Option<String>,
}

impl Options {
    fn from_environment() -> Options {
        let switch = |name| given(name, "0 or 1", |v| v.parse::<usize>().ok());
        let text = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
        let user_cache = || {
            let own = text("XDG_CACHE_HOME").or_else(|| Some(text("HOME")? + "/.cache"));
            own.map(|folder| folder + "/lazulite/cuda")
        };
        let classes = "exact, order, algebra or approx";
        let numerics = given("LAZULITE_NUMERICS", classes, Numerics::from_name);
        let levels = "baseline, avx2, avx512 or native";
        let level = given("LAZULITE_LEVEL", levels, Level::from_name);
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Options {
            threads: given("LAZULITE_THREADS", &threads_expected(), threads).unwrap_or_else(cores),
            optimise: switch("LAZULITE_OPTIMISE") != Some(0),
            egraph: switch("LAZULITE_EGRAPH") != Some(0),
            numerics: numerics.unwrap_or_default(),
            level: level.unwrap_or_default(),
            interpret: switch("LAZULITE_INTERPRET").is_some_and(|n| n != 0),
            cuda_driver: text("LAZULITE_CUDA_DRIVER"),
            cuda_compiler: text("LAZULITE_NVRTC"),
            cuda_cache: text("LAZULITE_CUDA_CACHE").or_else(user_cache),
            cuda_texts: text("LAZULITE_CUDA_TEXTS"),
        }
    }

    /// How programs are optimised: part of every cache's key.
    pub(crate) fn optimisation(&self) -> u64 {
        let passes = u64::from(self.optimise) | u64::from(self.egraph) << 1;
        passes | (self.numerics as u64) << 2 | (self.level as u64) << 8
    }

    pub(crate) fn passes(&self) -> lazulite_passes::Options {
        let mut options = lazulite_passes::Options::default();
        options.schedule.fuse = self.optimise;
        options.egraph.enabled = self.optimise && self.egraph;
        options.numerics = self.numerics;
        options
    }

    pub(crate) fn codegen(&self) -> CodegenOptions {
        CodegenOptions {
            level: self.level,
            lower: LowerOptions {
                exact: self.numerics == Numerics::Exact,
                ..LowerOptions::default()
            },
        }
    }
}

/// As many threads as a text says, if there can be so many.
fn threads(text: &str) -> Option<usize> {
    let threads = text.parse().ok();
    threads.filter(|n| (1..=Pool::most_threads()).contains(n))
}

fn threads_expected() -> String {
    format!("a whole number from 1 to {}", Pool::most_threads())
}

/// What a variable says. What is not understood counts as not given, and the user is told so on standard error: a
/// program whose results are right either way should not fail for it.
fn given<T>(name: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let value = std::env::var_os(name)?;
    let understood = understood(name, &value.to_string_lossy(), expected, read);
    understood.unwrap_or_else(|message| {
        eprintln!("{message}");
        None
    })
}

/// The value of a variable, if it is given one; what to tell the user if it is none.
fn understood<T>(
    name: &str,
    value: &str,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, String> {
    match (value.trim(), read(value.trim())) {
        ("", _) => Ok(None),
        (_, Some(value)) => Ok(Some(value)),
        (value, None) => Err(format!(
            "lazulite: {name}={value} is not understood and counts as not given; expected {expected}"
        )),
    }
}

/// The options in force at one moment, and the threads that go with them.
pub(crate) struct Current {
    pub options: Options,
    pub pool: Arc<Pool>,
}

static CURRENT: LazyLock<RwLock<Arc<Current>>> = LazyLock::new(|| {
    let options = Options::from_environment();
    // Where no threads are to be had, the caller's own still is.
    let pool = Pool::new(options.threads).unwrap_or(Pool::single());
    RwLock::new(Arc::new(Current {
        options,
        pool: Arc::new(pool),
    }))
});

/// How often the options were changed.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// What is in force, as a thread knows it: asking again takes no lock.
type Known = Rc<Arc<Current>>;

thread_local! {
    /// What this thread was told last, after so many changes.
    static KNOWN: RefCell<Option<(u64, Known)>> = const { RefCell::new(None) };
}

/// What is in force. Who asks twice may be told two things: a computation asks once. The threads that went with
/// options of before end when every thread that used them has asked again or has ended.
#[inline]
pub(crate) fn current() -> Known {
    let changes = CHANGES.load(Acquire);
    let known = KNOWN.try_with(|known| match &*known.borrow() {
        Some((at, current)) if *at == changes => Some(current.clone()),
        _ => None,
    });
    match known {
        Ok(Some(current)) => current,
        _ => ask(),
    }
}

/// As [`current`], where this thread does not know it.
#[cold]
fn ask() -> Known {
    let current = CURRENT.read().unwrap_or_else(PoisonError::into_inner);
    let told = Rc::new(current.clone());
    let told_at = (CHANGES.load(Acquire), told.clone());
    // A thread that ends need not know it. What it knew before is let go of without the lock.
    let before = KNOWN.try_with(|known| known.replace(Some(told_at)));
    drop(current);
    drop(before);
    told
}

/// The options in force.
pub fn options() -> Options {
    current().options.clone()
}

/// Changes the options for everything recorded, compiled and run from now on, on all threads. An error, and no change, if so many threads make no sense or the system refuses
/// them.
pub fn set_options(options: Options) -> Result<()> {
    let mut current = CURRENT.write().unwrap_or_else(PoisonError::into_inner);
    let pool = match options.threads == current.options.threads {
        true => current.pool.clone(),
        false => {
            let kind = match options.threads > Pool::most_threads() {
                true => ErrorKind::Argument,
                false => ErrorKind::Memory,
            };
            let pool = Pool::new(options.threads);
            Arc::new(pool.map_err(|e| Error::new(kind, "set_options", e.to_string()))?)
        }
    };
    *current = Arc::new(Current { options, pool });
    CHANGES.fetch_add(1, Release);
    drop(current);
    // This thread lets go of the threads of before.
    drop(ask());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Names of variables in a text.
    fn variables(text: &str) -> BTreeSet<&str> {
        let parts = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        parts.filter(|word| word.starts_with("LAZULITE_")).collect()
    }

    #[test]
    fn the_page_on_environment_variables_lists_those_that_are_read() {
        let read = variables(include_str!("options.rs"));
        let page = include_str!("../../docs/environment.md");
        let (running, building) = page.split_once("| when Lazulite itself is built").unwrap();
        let listed: BTreeSet<&str> = variables(running);
        let read: BTreeSet<&str> = read
            .into_iter()
            .filter(|name| !["LAZULITE_", "LAZULITE_STUB"].contains(name))
            .collect();
        assert_eq!(listed, read);
        assert!(variables(building).contains("LAZULITE_STUB"));
    }

    #[test]
    fn values_that_are_not_understood_are_told() {
        let read = |value| understood("LAZULITE_LEVEL", value, "a level", Level::from_name);
        assert_eq!(read(" avx2 "), Ok(Some(Level::Avx2)));
        assert_eq!(read(""), Ok(None));
        assert!(
            read("foo")
                .unwrap_err()
                .contains("LAZULITE_LEVEL=foo is not understood")
        );
        let read = |value| understood("LAZULITE_THREADS", value, &threads_expected(), threads);
        assert_eq!(read("2"), Ok(Some(2)));
        for value in ["0", "99999"] {
            let expected = format!(
                "lazulite: LAZULITE_THREADS={value} is not understood and counts as not given; expected a whole \
                 number from 1 to {}",
                Pool::most_threads()
            );
            assert_eq!(read(value), Err(expected));
        }
    }
}
