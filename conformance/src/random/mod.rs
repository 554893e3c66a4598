//! Operators whose results are random: what can be checked of them is sizes, types, ranges, moments
//! and frequencies, at fixed seeds. The corpus lists them in `random_ops.txt`, one per line; a line
//! whose operator has no checks here is reported as unsupported.

mod checks;
mod ops;

use crate::corpus::CorpusError;
use crate::report::{CaseReport, OpReport, Report, Verdict};
use lazulite::{DType, Result, Tensor, manual_seed};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

/// What a check finds wrong.
type Checked = Result<(), String>;

/// A check with its name.
type Check = (&'static str, fn() -> Checked);

/// An operator and what holds of it.
struct Random {
    /// As the corpus calls it.
    name: &'static str,
    /// A draw of these sizes; its type must be the given one, or i64 where that is all there is.
    draw: fn(&[usize], DType) -> Tensor,
    /// Element types to draw.
    types: &'static [DType],
    /// What holds of this operator alone.
    checks: &'static [Check],
}

/// Runs the checks of every operator that the corpus lists.
pub fn run(folder: &Path, filter: Option<&str>) -> Result<Report, CorpusError> {
    let list = crate::corpus::file_text(&folder.join("random_ops.txt"))?;
    let lines = list
        .lines()
        .filter(|l| !l.starts_with('#') && !l.trim().is_empty());
    let mut ops = Vec::new();
    for line in lines {
        let name = line.split([' ', ',']).next().unwrap_or(line);
        if filter.is_none_or(|f| name.contains(f)) {
            let start = Instant::now();
            let cases = match ops::ALL.iter().find(|op| op.name == name) {
                Some(op) => cases(op),
                None => vec![case("all", || None)],
            };
            ops.push(OpReport {
                name: name.into(),
                cases,
                time: start.elapsed(),
            });
        }
    }
    let kind = "random".into();
    Ok(Report { kind, ops })
}

fn cases(op: &Random) -> Vec<CaseReport> {
    let mut cases = Vec::new();
    for &dtype in op.types {
        let named = |what: &str| format!("{what} {dtype}");
        cases.push(case(&named("sizes"), || Some(sizes(op, dtype))));
        cases.push(case(&named("seeds"), || Some(seeds(op, dtype))));
    }
    for (name, check) in op.checks {
        cases.push(case(name, || Some(check())));
    }
    cases
}

/// Runs one check; `None` stands for one that does not exist.
fn case(id: &str, check: impl FnOnce() -> Option<Checked>) -> CaseReport {
    let values = match catch_unwind(AssertUnwindSafe(check)) {
        Ok(Some(Ok(()))) => Verdict::Passed,
        Ok(Some(Err(difference))) => Verdict::Failed(difference),
        Ok(None) => Verdict::Unsupported("the random operator has no checks".into()),
        Err(_) => Verdict::Failed("panicked".into()),
    };
    CaseReport {
        id: id.into(),
        values,
        gradients: None,
    }
}

/// Draws have the sizes and the type that were asked for, also without elements.
fn sizes(op: &Random, dtype: DType) -> Checked {
    for dims in [&[4, 6, 5][..], &[4, 0, 5]] {
        let drawn = (op.draw)(dims, dtype);
        let got = (drawn.dims().map_err(text)?, drawn.dtype().map_err(text)?);
        if got != (dims.to_vec(), dtype) {
            return Err(format!("{got:?} instead of {dims:?} of {dtype}"));
        }
        checks::numbers(&drawn)?;
    }
    Ok(())
}

/// The same seed gives the same numbers, another seed others.
fn seeds(op: &Random, dtype: DType) -> Checked {
    let drawn = |seed| {
        manual_seed(seed);
        checks::numbers(&(op.draw)(&[8, 16, 4], dtype))
    };
    let (first, again, other) = (drawn(1)?, drawn(1)?, drawn(2)?);
    checks::holds(first == again, "a seed gives other numbers the second time")?;
    checks::holds(first != other, "two seeds give the same numbers")
}

fn text(error: lazulite::Error) -> String {
    error.to_string()
}
