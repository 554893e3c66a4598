//! Counting and printing what came of cases.

use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// What came of one check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// As expected.
    Passed,
    /// Not as expected: how so.
    Failed(String),
    /// Could not be checked: why not.
    Unsupported(String),
}

/// What came of one case: its values, and its gradients if it has some.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// The case's name.
    pub id: String,
    /// The results, and arguments changed in place; or that an error is reported.
    pub values: Verdict,
    /// The gradients; `None` for cases without any.
    pub gradients: Option<Verdict>,
}

impl CaseReport {
    /// The case as a whole: the worse of its two parts.
    pub fn verdict(&self) -> &Verdict {
        match (&self.values, &self.gradients) {
            (Verdict::Passed, Some(gradients)) => gradients,
            (Verdict::Unsupported(_), Some(failed @ Verdict::Failed(_))) => failed,
            (values, _) => values,
        }
    }
}

/// What came of the cases of one operator.
#[derive(Clone, Debug)]
pub struct OpReport {
    /// The operator and its variant.
    pub name: String,
    /// Its cases in order.
    pub cases: Vec<CaseReport>,
    /// How long they took.
    pub time: Duration,
}

/// Numbers of cases.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// As expected.
    pub passed: usize,
    /// Not as expected.
    pub failed: usize,
    /// Not checked.
    pub unsupported: usize,
}

impl Counts {
    /// Counts verdicts.
    pub fn of<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> Counts {
        let mut counts = Counts::default();
        for verdict in verdicts {
            match verdict {
                Verdict::Passed => counts.passed += 1,
                Verdict::Failed(_) => counts.failed += 1,
                Verdict::Unsupported(_) => counts.unsupported += 1,
            }
        }
        counts
    }

    /// All cases.
    pub fn cases(self) -> usize {
        self.passed + self.failed + self.unsupported
    }
}

/// Everything that came of a corpus.
#[derive(Clone, Debug)]
pub struct Report {
    /// The kind of corpus: `ops` or `errors`.
    pub kind: String,
    /// By operator, in the corpus's order.
    pub ops: Vec<OpReport>,
}

impl Report {
    fn cases(&self) -> impl Iterator<Item = &CaseReport> {
        self.ops.iter().flat_map(|op| &op.cases)
    }

    /// One line per operator, as JSON or as columns, then why cases are unsupported, how values and
    /// gradients fare for themselves, and the last line.
    pub fn print(&self, as_json: bool, verbose: bool) {
        for op in &self.ops {
            print_op(op, as_json, verbose);
        }
        self.print_reasons(as_json);
        let time: Duration = self.ops.iter().map(|op| op.time).sum();
        println!(
            "{}",
            json!({"kind": self.kind, "seconds of all threads": time.as_secs_f64()})
        );
        let line = |check: &str, counts: Counts| {
            let line = json!({
                "kind": self.kind, "check": check, "cases": counts.cases(), "passed": counts.passed,
                "failed": counts.failed, "unsupported": counts.unsupported,
            });
            println!("{line}");
        };
        line("values", Counts::of(self.cases().map(|c| &c.values)));
        line(
            "gradients",
            Counts::of(self.cases().filter_map(|c| c.gradients.as_ref())),
        );
        let all = Counts::of(self.cases().map(CaseReport::verdict));
        println!(
            "{{\"kind\":\"{}\",\"cases\":{},\"passed\":{},\"failed\":{},\"unsupported\":{}}}",
            self.kind,
            all.cases(),
            all.passed,
            all.failed,
            all.unsupported
        );
    }

    fn print_reasons(&self, as_json: bool) {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for case in self.cases() {
            if let Verdict::Unsupported(reason) = case.verdict() {
                *reasons.entry(reason).or_default() += 1;
            }
        }
        for (reason, count) in reasons {
            match as_json {
                true => println!("{}", json!({"unsupported": reason, "cases": count})),
                false => println!("unsupported {count:5}: {reason}"),
            }
        }
    }
}

fn print_op(op: &OpReport, as_json: bool, verbose: bool) {
    let values = Counts::of(op.cases.iter().map(|c| &c.values));
    let all = Counts::of(op.cases.iter().map(CaseReport::verdict));
    if as_json {
        let failures: Vec<_> = op
            .cases
            .iter()
            .filter_map(|c| failure(c, verbose))
            .collect();
        let line = json!({
            "op": op.name, "passed": all.passed, "failed": all.failed, "unsupported": all.unsupported,
            "values": {
                "passed": values.passed, "failed": values.failed, "unsupported": values.unsupported,
            },
            "failures": failures, "seconds": op.time.as_secs_f64(),
        });
        println!("{line}");
        return;
    }
    println!(
        "{:44} {:4} passed {:4} failed {:4} unsupported   values {:4} / {:4} / {:4}   {:6.2} s",
        op.name,
        all.passed,
        all.failed,
        all.unsupported,
        values.passed,
        values.failed,
        values.unsupported,
        op.time.as_secs_f64()
    );
    if verbose {
        for case in &op.cases {
            if let Verdict::Failed(how) = case.verdict() {
                println!("    {}: {how}", case.id);
            }
        }
    }
}

fn failure(case: &CaseReport, verbose: bool) -> Option<serde_json::Value> {
    match case.verdict() {
        Verdict::Failed(how) if verbose => Some(json!({"id": case.id, "how": how})),
        Verdict::Failed(_) => Some(json!(case.id)),
        Verdict::Passed | Verdict::Unsupported(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_as_good_as_its_worse_part() {
        let case = |values: Verdict, gradients| CaseReport {
            id: String::new(),
            values,
            gradients,
        };
        let failed = Verdict::Failed("so".into());
        let missing = Verdict::Unsupported("why".into());
        let worse = case(Verdict::Passed, Some(missing.clone()));
        assert_eq!(worse.verdict(), &missing);
        let worse = case(missing.clone(), Some(failed.clone()));
        assert_eq!(worse.verdict(), &failed);
        assert_eq!(case(failed.clone(), Some(missing)).verdict(), &failed);
        assert_eq!(case(Verdict::Passed, None).verdict(), &Verdict::Passed);
    }
}
