//! Whether operations are recorded so that gradients flow through them: per thread, scoped.

use crate::scoped::Scoped;
use std::cell::Cell;

thread_local! {
    static ENABLED: Cell<bool> = const { Cell::new(true) };
}

/// True if gradients flow through what is recorded now.
#[inline]
pub(crate) fn grad_enabled() -> bool {
    ENABLED.get()
}

/// True if gradients flow through what is recorded now on this thread.
pub fn is_grad_enabled() -> bool {
    grad_enabled()
}

/// Runs `f` with gradients on or off, on this thread.
pub fn set_grad_enabled<R>(enabled: bool, f: impl FnOnce() -> R) -> R {
    let _enabled = Scoped::set(&ENABLED, enabled);
    f()
}

/// Runs `f`; no gradients flow through what it records.
///
/// ```
/// use lazulite::{no_grad, prelude::*};
/// let x = Tensor::ones([2]).with_grad();
/// let y = no_grad(|| &x * 2.0);
/// assert!(!y.requires_grad());
/// ```
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    set_grad_enabled(false, f)
}

/// Runs `f` with gradients, also inside of [`no_grad`].
pub fn enable_grad<R>(f: impl FnOnce() -> R) -> R {
    set_grad_enabled(true, f)
}

/// Runs `f` for its values only. Since nothing is kept for gradients that are not asked for, this is
/// [`no_grad`]: it costs nothing more and its results may be used everywhere.
pub fn inference_mode<R>(f: impl FnOnce() -> R) -> R {
    no_grad(f)
}
