//! What compiling came to.

use std::cell::Cell;
use std::time::Duration;

/// What was compiled last on this thread, for progress reports and logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Compilation {
    /// Operations that were recorded.
    pub recorded: usize,
    /// Nodes of the graph that they became, with gradients and updates.
    pub nodes: usize,
    /// Distinct kernels.
    pub kernels: usize,
    /// Steps of the program: runs of kernels, matrix products and the like.
    pub steps: usize,
    /// How long it took.
    pub time: Duration,
    /// Bytes that a run needs at most besides its inputs, known before the first one.
    pub peak_bytes: usize,
}

thread_local! {
    static LAST: Cell<Option<Compilation>> = const { Cell::new(None) };
}

/// What this thread compiled last, if anything: the step of a training loop, for example, after the first one.
///
/// ```
/// use lazulite::prelude::*;
/// (Tensor::ones([4]) * 2.0).exp().realize()?;
/// let compiled = lazulite::last_compilation().map_or(0, |c| c.kernels);
/// assert_eq!(compiled, 1);
/// # Ok::<(), lazulite::Error>(())
/// ```
pub fn last_compilation() -> Option<Compilation> {
    LAST.get()
}

/// Remembers what was compiled.
pub(super) fn remember(compilation: Compilation) {
    LAST.set(Some(compilation));
}
