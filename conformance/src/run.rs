//! Running cases: each is bound, called, read and compared, and a panic is caught and counted.

use crate::call::{Bound, Outcome, Refusal};
use crate::compare::{self, Ties, Tolerance};
use crate::corpus::{self, Case, CorpusError, Expected, Suite, Values};
use crate::dispatch::{self, Entry};
use crate::gradients::{self, Arguments};
use crate::modules;
use crate::optim;
use crate::report::{CaseReport, OpReport, Report, Verdict};
use crate::schedulers;
use crate::unique;
use crate::value::Value;
use lazulite::{Device, Tensor};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// What to run and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Only operators whose name contains this.
    pub filter: Option<String>,
    /// How many operators are checked at a time.
    pub threads: usize,
    /// Where tensors are made and computed.
    pub device: Device,
    /// Of so many cases of operators, calls and modules one is run: always the same ones.
    pub every: usize,
}

/// Runs a corpus folder: operators of a kind, or calls that must be rejected.
pub fn run(kind: &str, folder: &Path, settings: &Settings) -> Result<Report, CorpusError> {
    let mut files = corpus::files(folder)?;
    if let Some(filter) = &settings.filter {
        let chosen = |path: &PathBuf| {
            let name = path.file_stem().and_then(|n| n.to_str());
            name.is_some_and(|n| n.contains(filter.as_str()))
        };
        files.retain(chosen);
    }
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<OpReport, CorpusError>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..settings.threads.max(1) {
            scope.spawn(|| {
                while let Some((i, file)) = {
                    let i = next.fetch_add(1, Relaxed);
                    files.get(i).map(|f| (i, f))
                } {
                    let run = || run_file(kind, file, settings.every);
                    let result = settings.device.scope(run);
                    lock(&results).push((i, result));
                }
            });
        }
    });
    let mut results = results
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(i, _)| *i);
    Ok(Report {
        kind: kind.into(),
        ops: results
            .into_iter()
            .map(|(_, r)| r)
            .collect::<Result<_, _>>()?,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The cases of one file, each kind in its way.
fn run_file(kind: &str, file: &Path, every: usize) -> Result<OpReport, CorpusError> {
    match kind {
        "optim" => optim::run(file),
        "schedulers" => schedulers::run(file),
        "errors" if optim::is_about(file)? => optim::run_errors(file),
        _ => corpus::read(file).map(|mut suite| {
            // Not the first one of every file.
            let mut place: usize = suite.op.bytes().map(usize::from).sum();
            suite.cases.retain(|_| {
                place += 1;
                place.is_multiple_of(every)
            });
            run_suite(file, &suite)
        }),
    }
}

fn run_suite(file: &Path, suite: &Suite) -> OpReport {
    let name = file.file_stem().and_then(|n| n.to_str());
    let entry = dispatch::find(&suite.op);
    let run_case = |case: &Case| match &case.construction {
        Some(construction) => modules::run_case(&suite.op, case, construction),
        None => run_case(suite, entry, case),
    };
    let start = Instant::now();
    let cases = suite.cases.iter();
    OpReport {
        name: name.unwrap_or(&suite.op).into(),
        cases: cases.map(run_case).collect(),
        time: start.elapsed(),
    }
}

fn run_case(suite: &Suite, entry: Option<&Entry>, case: &Case) -> CaseReport {
    let report = |values, gradients| CaseReport {
        id: case.id.clone(),
        values,
        gradients,
    };
    let Some(entry) = entry else {
        let missing =
            Verdict::Unsupported(format!("the operator {} is not in the table", suite.op));
        let gradients = case.has_gradients().then(|| missing.clone());
        return report(missing, gradients);
    };
    let expected = match &case.expected {
        Expected::Values(expected) => expected,
        Expected::Rejection(message) => {
            let verdict = guarded(|| check_rejection(suite, entry, case, message));
            return report(verdict.unwrap_or_else(|panic| panic), None);
        }
    };
    let arguments = Arguments::of(case, Some(expected));
    let checked = guarded(|| check_values(suite, entry, &arguments, expected));
    let (values, results) = checked.unwrap_or_else(|panic| (panic, None));
    let gradients = case
        .has_gradients()
        .then(|| match (&results, entry.gradients_differ) {
            (_, Some(reason)) => {
                Verdict::Unsupported(format!("gradients differ on purpose: {reason}"))
            }
            (Some(results), None) => guarded(|| gradients::check(&arguments, results, expected))
                .unwrap_or_else(|panic| panic),
            (None, None) => Verdict::Unsupported("there are no results to differentiate".into()),
        });
    report(values, gradients)
}

/// What a check gives; a panic is a failure.
pub(crate) fn guarded<T>(check: impl FnOnce() -> T) -> Result<T, Verdict> {
    catch_unwind(AssertUnwindSafe(check)).map_err(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Verdict::Failed(format!("panicked: {}", message.unwrap_or("no message")))
    })
}

/// Makes the call: its results, and the arguments with what became of them.
fn call(suite: &Suite, entry: &Entry, arguments: &Arguments) -> Result<(Value, Bound), Refusal> {
    let signature = entry.signature(suite);
    let bound = signature.bind(&arguments.args, &arguments.kwargs)?;
    let value = (entry.call)(&bound)?;
    Ok((value, bound))
}

/// Compares the results, which are returned as far as there are any.
fn check_values(
    suite: &Suite,
    entry: &Entry,
    arguments: &Arguments,
    expected: &Values,
) -> (Verdict, Option<Value>) {
    // What is not supported shows when values are computed, too.
    let outcome = call(suite, entry, arguments).and_then(|(got, bound)| {
        realized(&got)?;
        Ok((got, bound))
    });
    let (got, bound) = match outcome {
        Ok(results) => results,
        Err(Refusal::Unsupported(reason)) => return (Verdict::Unsupported(reason), None),
        Err(other) => return (Verdict::Failed(other.to_string()), None),
    };
    let tolerance = Tolerance {
        rtol: expected.rtol,
        atol: expected.atol,
    };
    let compared = compare::values(&got, &expected.outputs, tolerance).or_else(|difference| {
        allowed(suite, &bound, &got, expected, tolerance).unwrap_or(Err(difference))
    });
    let changed = bound.into_changed();
    let verdict = match compared.and_then(|()| after(&changed, expected, tolerance)) {
        Ok(()) => Verdict::Passed,
        Err(difference) => Verdict::Failed(difference),
    };
    (verdict, Some(got))
}

/// A second comparison where the corpus says that results are not unique; `None` if it does not.
fn allowed(
    suite: &Suite,
    bound: &Bound,
    got: &Value,
    expected: &Values,
    tolerance: Tolerance,
) -> Option<Result<(), String>> {
    let note = suite.compare.as_deref()?;
    let hermitian = bound.flag("hermitian").unwrap_or(false);
    let free = unique::values(&suite.op, hermitian, got, &expected.outputs, tolerance);
    if free.is_some() {
        return free;
    }
    if !note.contains("index") {
        return None;
    }
    let input = bound.input().ok()?;
    let ties = Ties {
        input: &input,
        axis: bound.opt_int("dim").ok().flatten().unwrap_or(-1),
        distinct: note.contains("order"),
    };
    Some(ties.values(got, &expected.outputs, tolerance))
}

/// Compares the arguments that calls change in place.
fn after(
    changed: &[(String, Tensor)],
    expected: &Values,
    tolerance: Tolerance,
) -> Result<(), String> {
    for (path, wanted) in &expected.args_after {
        let Some((_, got)) = changed.iter().find(|(p, _)| p == path) else {
            return Err(format!("{path} was to be changed, and was not"));
        };
        let got = Value::Tensor(got.clone());
        compare::values(&got, wanted, tolerance).map_err(|e| format!("{path} after: {e}"))?;
    }
    Ok(())
}

fn check_rejection(suite: &Suite, entry: &Entry, case: &Case, message: &str) -> Verdict {
    let arguments = Arguments::of(case, None);
    let outcome = call(suite, entry, &arguments).and_then(|(value, _)| realized(&value));
    match outcome {
        Err(Refusal::Rejected(_) | Refusal::Error(_)) => Verdict::Passed,
        Err(Refusal::Unsupported(reason)) => Verdict::Unsupported(reason),
        Err(mistake @ Refusal::Mistake(_)) => Verdict::Failed(mistake.to_string()),
        Ok(_) => Verdict::Failed(format!("accepted; PyTorch says: {message}")),
    }
}

/// Computes every tensor of a result.
pub(crate) fn realized(value: &Value) -> Outcome {
    match value {
        Value::Tensor(tensor) => Ok(Value::Tensor(tensor.realize()?)),
        Value::List(items) => {
            let items = items.iter().map(realized);
            Ok(Value::List(items.collect::<Result<_, _>>()?))
        }
        other => Ok(other.clone()),
    }
}
