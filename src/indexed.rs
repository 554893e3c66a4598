//! What an index is of: told by operations that read or write by index, so that an index outside of its
//! axis is an error in the user's words, whatever primitives the operation is made of.
//!
//! The words travel in the trail of the primitive that checks the index, as its last entry, because that is
//! what compiled programs and files keep. The outermost operation that says what its indices are wins.

use crate::error::{Error, OperandNote};
use crate::location::Scope;
use crate::tensor::Tensor;
use lazulite_runtime::trail_entry;
pub(crate) use lazulite_runtime::{Noun, Told};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

thread_local! {
    /// What indices are of while an operation records the parts that it is made of.
    static WRITTEN: RefCell<Option<(Noun, Arc<str>)>> = const { RefCell::new(None) };
}

/// While it lives, indices that are recorded on this thread are of the operation that the user wrote.
#[must_use = "it ends when this is dropped"]
pub(crate) struct Indexed {
    /// Another operation around this one says it already.
    inner: bool,
    /// It must end on its own thread.
    _not_send: PhantomData<*const ()>,
}

impl Indexed {
    /// Indices are of operation `op` on these operands: first what is read or written, then the indices.
    pub fn of(op: &str, noun: Noun, operands: &[&Tensor]) -> Indexed {
        let inner = WRITTEN.with_borrow_mut(|written| {
            let inner = written.is_some();
            if !inner {
                *written = Some((noun, entry(op, noun, operands).into()));
            }
            inner
        });
        Indexed {
            inner,
            _not_send: PhantomData,
        }
    }

    /// Opens the scope in which the primitive that checks indices is recorded.
    #[track_caller]
    pub fn scope(&self) -> Scope {
        let written = WRITTEN.with_borrow(Clone::clone);
        Scope::open(written.as_ref().map_or("", |(_, entry)| entry))
    }

    /// Whether indices that are recorded now count from the end where they are negative.
    pub fn counts_from_end() -> bool {
        WRITTEN.with_borrow(|written| !matches!(written, Some((Noun::Label, _))))
    }
}

impl Drop for Indexed {
    fn drop(&mut self) {
        if !self.inner {
            WRITTEN.set(None);
        }
    }
}

/// An entry of a trail.
fn entry(op: &str, noun: Noun, operands: &[&Tensor]) -> String {
    let types: Vec<String> = operands.iter().map(|t| t.describe()).collect();
    trail_entry(noun, op, &types)
}

/// The operands that a trail tells of.
pub(crate) fn operands(told: &Told<'_>) -> Vec<OperandNote> {
    let note = |(role, ty): (&'static str, &str)| OperandNote {
        role,
        ty: ty.to_string(),
        place: None,
    };
    told.operands().map(note).collect()
}

/// A trail without what it says about indices.
pub(crate) fn without_index(trail: &str) -> &str {
    Told::by(trail).map_or(trail, |told| told.outer())
}

impl Error {
    /// The error of a check of indices in the words of the operation that the user wrote, if the trail has them.
    pub(crate) fn of_index(self, value: i64, size: i64, axis: Option<u32>) -> Error {
        let trail = self.trail().unwrap_or_default().to_string();
        let Some(told) = Told::by(&trail) else {
            return self;
        };
        let (message, hint) = told.found(value, size, axis);
        let (op, outer) = told.op_and_trail();
        let reworded = self.reworded(op, message, outer).hint(hint);
        operands(&told).into_iter().fold(reworded, Error::operand)
    }
}

impl Error {
    /// The error of a library function in the words of the operation that the user wrote, if the trail has it.
    pub(crate) fn of_function(self, message: &str) -> Error {
        let trail = self.trail().unwrap_or_default().to_string();
        let Some(told) = Told::by(&trail) else {
            return self;
        };
        let (op, outer) = told.op_and_trail();
        let reworded = self.reworded(op, message.to_string(), outer);
        operands(&told).into_iter().fold(reworded, Error::operand)
    }
}
