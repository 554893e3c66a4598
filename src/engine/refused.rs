//! Reads that were refused while a function was recorded. Whoever goes on without the value would record another
//! program than was meant, so recording fails with the first of these errors whatever the function makes of it.

use super::{capturing, recording_body};
use crate::error::{Error, Result};
use crate::scoped::Scoped;
use std::cell::RefCell;
use std::thread::LocalKey;

thread_local! {
    /// The first error of the function that is being recorded on this thread.
    static FIRST: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Remembers that a value or size was not to be had, if a function is being recorded.
pub(crate) fn refused(error: Error) -> Error {
    if capturing() || recording_body() {
        FIRST.with_borrow_mut(|first| _ = first.get_or_insert_with(|| error.clone()));
    }
    error
}

/// While it lives, refused reads belong to the function whose recording has begun.
pub(crate) struct Refusals {
    _first: Scoped<LocalKey<RefCell<Option<Error>>>>,
}

impl Refusals {
    /// Begins with none.
    pub fn begin() -> Refusals {
        Refusals {
            _first: Scoped::set(&FIRST, None),
        }
    }

    /// The first one, if there was any.
    pub fn check(&self) -> Result<()> {
        match FIRST.with_borrow(Clone::clone) {
            Some(first) => Err(first),
            None => Ok(()),
        }
    }
}
