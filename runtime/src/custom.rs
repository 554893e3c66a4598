//! Foreign functions: closures of this process and the table of library functions found by name.

use rustc_hash::FxHashMap;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

/// A foreign function: memory and dims of its operands, memory of its results (all dense, row-major); it
/// says what went wrong. Results hold unspecified bytes before.
pub type HostFn =
    dyn Fn(&[&[u8]], &[&[usize]], &mut [&mut [u8]]) -> Result<(), String> + Send + Sync;

type Table = RwLock<Option<FxHashMap<String, Arc<HostFn>>>>;

static LIBRARY: Table = RwLock::new(None);

/// Enters a function into the table of library functions. Programs loaded from now on find it; one
/// that had the name before is replaced for them and returned.
pub fn register_library(name: &str, function: Arc<HostFn>) -> Option<Arc<HostFn>> {
    let mut table = LIBRARY.write().unwrap_or_else(PoisonError::into_inner);
    table
        .get_or_insert_default()
        .insert(name.to_owned(), function)
}

/// The library function called `name`.
pub fn library(name: &str) -> Option<Arc<HostFn>> {
    let table = LIBRARY.read().unwrap_or_else(PoisonError::into_inner);
    table.as_ref()?.get(name).cloned()
}

/// Calls a foreign function; a panic becomes an error.
pub(crate) fn call(
    function: &HostFn,
    inputs: &[&[u8]],
    dims: &[&[usize]],
    outputs: &mut [&mut [u8]],
) -> Result<(), String> {
    // Whatever the panic left half-done in the outputs is dropped with the failing run.
    let result = catch_unwind(AssertUnwindSafe(|| function(inputs, dims, outputs)));
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
    fn library_functions_are_found_by_name() {
        assert!(library("custom.test").is_none());
        let old = register_library("custom.test", Arc::new(|_, _, _| Err("called".into())));
        assert!(old.is_none());
        let f = library("custom.test").unwrap();
        assert_eq!(call(&*f, &[], &[], &mut []), Err("called".into()));
    }

    #[test]
    fn panics_are_errors() {
        let call = |f: &HostFn| call(f, &[], &[], &mut []).unwrap_err();
        assert_eq!(call(&|_, _, _| panic!("no {}", 1)), "panicked: no 1");
        assert_eq!(call(&|_, _, _| panic!("plain")), "panicked: plain");
        let odd: &HostFn = &|_, _, _| std::panic::panic_any(7);
        assert_eq!(call(odd), "panicked: without a message");
    }
}
