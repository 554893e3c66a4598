//! Foreign functions that are closures of this process, and how foreign code is called.

use crate::foreign::Library;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A closure: memory and dims of its operands, memory of its results (all dense, row-major); it
/// says what went wrong. Results hold unspecified bytes before.
pub type HostFn =
    dyn Fn(&[&[u8]], &[&[usize]], &mut [&mut [u8]]) -> Result<(), String> + Send + Sync;

/// A foreign function of a program.
#[derive(Clone)]
pub(crate) enum Foreign {
    /// A closure.
    Host(Arc<HostFn>),
    /// One of the table.
    Library(Library),
}

/// Calls foreign code; a panic becomes an error.
pub(crate) fn guarded(call: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    // Whatever the panic left half-done in the results is dropped with the failing run.
    let result = catch_unwind(AssertUnwindSafe(call));
    result.unwrap_or_else(|payload| Err(format!("panicked: {}", panic_message(&*payload))))
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "without a message",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_errors() {
        let call = |f: fn() -> Result<(), String>| guarded(f).unwrap_err();
        assert_eq!(call(|| panic!("no {}", 1)), "panicked: no 1");
        assert_eq!(call(|| panic!("plain")), "panicked: plain");
        assert_eq!(
            call(|| std::panic::panic_any(7)),
            "panicked: without a message"
        );
        assert_eq!(call(|| Err("said".into())), "said");
    }
}
