//! Checks of what the types of graphs, kernels and plans cannot rule out. Passes may rely on what is
//! checked here; in debug builds it is checked between all of them.

mod graph;
mod kernel;
mod plan;
#[cfg(test)]
mod tests;

pub use graph::verify_graph;
pub use kernel::verify_kernel;
pub use plan::verify_plan;

use std::fmt::{self, Write};

/// Something that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What is wrong.
    pub message: String,
    /// The line where it is, marked with `>`, and the lines around it.
    pub excerpt: String,
}

/// All that is wrong; at least one finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// One finding after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Finding> {
        self.0.iter()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        for finding in self.0.iter().take(SHOWN) {
            write!(f, "{}\n{}", finding.message, finding.excerpt)?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "and {more} more findings"),
        }
    }
}

impl std::error::Error for Findings {}

/// Findings as they are made, at places of which the lines are not known yet.
struct Report<P> {
    found: Vec<(P, String)>,
}

impl<P> Report<P> {
    fn new() -> Self {
        Report { found: Vec::new() }
    }

    fn add(&mut self, place: P, message: impl Into<String>) {
        self.found.push((place, message.into()));
    }

    /// The findings with excerpts. `print` gives the text, and the line (from 0) of each place; it is
    /// only called when something was found.
    fn finish(self, print: impl FnOnce(&[P]) -> (String, Vec<usize>)) -> Vec<Finding> {
        if self.found.is_empty() {
            return Vec::new();
        }
        let (places, messages): (Vec<P>, Vec<String>) = self.found.into_iter().unzip();
        let (text, lines) = print(&places);
        let text: Vec<&str> = text.lines().collect();
        let findings = messages.into_iter().zip(lines);
        findings
            .map(|(message, line)| Finding {
                message,
                excerpt: excerpt(&text, line),
            })
            .collect()
    }
}

fn result(findings: Vec<Finding>) -> Result<(), Findings> {
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Findings(findings))
    }
}

/// Lines around `line`, numbered from 1.
fn excerpt(text: &[&str], line: usize) -> String {
    const AROUND: usize = 2;
    const WIDEST: usize = 160;
    let first = line.saturating_sub(AROUND);
    let mut out = String::new();
    for (i, content) in text
        .iter()
        .enumerate()
        .skip(first)
        .take(AROUND + 1 + line - first)
    {
        let mark = if i == line { '>' } else { ' ' };
        let cut = content.char_indices().nth(WIDEST);
        let (content, dots) = match cut {
            Some((end, _)) => (&content[..end], "..."),
            None => (*content, ""),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{mark}{:5} | {content}{dots}", i + 1);
    }
    out
}

/// Lines of byte offsets in a text.
fn lines_at(text: &str, offsets: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line = |offset: usize| ends.partition_point(|&end| end < offset);
    offsets.into_iter().map(line).collect()
}
