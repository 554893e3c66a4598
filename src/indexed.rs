//! What an index is of: told by operations that read or write by index, so that an index outside of its
//! axis is an error in the user's words, whatever primitives the operation is made of.
//!
//! The words travel in the trail of the primitive that checks the index, as its last entry, because that is
//! what compiled programs and files keep. The outermost operation that says what its indices are wins.

use crate::error::{Error, OperandNote};
use crate::location::Scope;
use crate::tensor::Tensor;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

/// What numbers are that choose something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noun {
    /// Positions along an axis; negative ones count from its end.
    Index,
    /// As in brackets: positions along axes, each of which may have an index tensor of its own.
    Bracket,
    /// Positions among the elements in row-major order; negative ones count from their end.
    Place,
    /// Classes; never negative.
    Label,
    /// Nothing of the kind: what is told of is a library function, which may fail on its operands.
    Function,
}

impl Noun {
    const ALL: [Noun; 5] = [
        Noun::Index,
        Noun::Bracket,
        Noun::Place,
        Noun::Label,
        Noun::Function,
    ];

    /// How its entry in a trail starts.
    fn word(self) -> &'static str {
        match self {
            Noun::Index => "index of ",
            Noun::Bracket => "index inside ",
            Noun::Place => "flat index of ",
            Noun::Label => "label of ",
            Noun::Function => "library function of ",
        }
    }

    /// The part of an operand in the operation.
    fn role(self, operand: usize) -> &'static str {
        match (self, operand) {
            (_, 0) => "self",
            (Noun::Label, _) => "target",
            (Noun::Bracket, _) | (Noun::Index | Noun::Place, 1) => "indices",
            (Noun::Function, _) => "other",
            (Noun::Index | Noun::Place, _) => "source",
        }
    }
}

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
    format!("{}{op}({})", noun.word(), types.join("; "))
}

/// A trail's entry about indices, taken apart.
pub(crate) struct Told<'a> {
    noun: Noun,
    op: &'a str,
    types: Vec<&'a str>,
    /// What the trail says before the entry.
    outer: &'a str,
}

impl<'a> Told<'a> {
    /// What a trail says about indices.
    pub fn by(trail: &'a str) -> Option<Told<'a>> {
        let mut start = 0;
        for part in trail.split(" > ") {
            let told = Noun::ALL.into_iter().find_map(|noun| {
                let (op, types) = part.strip_prefix(noun.word())?.split_once('(')?;
                let types = types.strip_suffix(')')?.split("; ").collect();
                let outer = trail[..start].trim_end_matches(" > ");
                Some(Told {
                    noun,
                    op,
                    types,
                    outer,
                })
            });
            if told.is_some() {
                return told;
            }
            start += part.len() + " > ".len();
        }
        None
    }

    /// The operation, and what the trail says around it.
    pub fn op_and_trail(&self) -> (&'a str, &'a str) {
        let outer = match self.outer.rsplit_once(" > ") {
            Some((outer, last)) if last == self.op => outer,
            None if self.outer == self.op => "",
            _ => self.outer,
        };
        (self.op, outer)
    }

    /// The operands as they were when the operation was recorded.
    pub fn operands(&self) -> Vec<OperandNote> {
        let note = |(operand, ty): (usize, &&str)| OperandNote {
            role: self.noun.role(operand),
            ty: ty.to_string(),
            place: None,
        };
        self.types.iter().enumerate().map(note).collect()
    }

    /// What happened and what to do when the check found `value` instead of one from 0 to below `size`. `axis` is
    /// where the primitive looks.
    pub fn found(&self, value: i64, size: i64, axis: Option<u32>) -> (String, String) {
        // Negative indices were counted from the end before they were checked.
        let written = match self.noun {
            Noun::Label | Noun::Function => value,
            Noun::Index | Noun::Bracket | Noun::Place if value < 0 => value.wrapping_sub(size),
            Noun::Index | Noun::Bracket | Noun::Place => value,
        };
        let beyond = self.types.get(1).is_some_and(|ty| ty.starts_with("u64"));
        let number = match beyond && written == i64::MAX {
            true => format!("{written} or more"),
            false => written.to_string(),
        };
        let last = size.saturating_sub(1);
        let message = match (self.noun, axis) {
            (Noun::Label, _) if size == 0 => format!("label {number}, but there are no classes"),
            (Noun::Label, _) => {
                format!("label {number}, but there are {size} classes (0..={last})")
            }
            (Noun::Index | Noun::Bracket, Some(axis)) => {
                format!("index {number} is out of range for axis {axis}, which has size {size}")
            }
            (Noun::Index | Noun::Bracket, None) | (Noun::Place | Noun::Function, _) => {
                format!("index {number} is out of range for {size} elements")
            }
        };
        let hint = match self.noun {
            _ if size == 0 => "nothing can be chosen where there is nothing".into(),
            Noun::Label if written < 0 => format!(
                "classes are numbered from 0 to {last}; what is not to count is marked by `ignore_index`, where \
                 there is one"
            ),
            Noun::Label => format!(
                "classes are numbered from 0 to {last}: give the model as many outputs as there are classes, and \
                 count labels from 0"
            ),
            Noun::Index | Noun::Bracket | Noun::Place | Noun::Function => {
                format!("indices go from 0 to {last}, or from -{size} to -1 counted from the end")
            }
        };
        (message, hint)
    }
}

/// A trail without what it says about indices.
pub(crate) fn without_index(trail: &str) -> &str {
    Told::by(trail).map_or(trail, |told| told.outer)
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
        told.operands().into_iter().fold(reworded, Error::operand)
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
        told.operands().into_iter().fold(reworded, Error::operand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trails_are_read_as_they_are_written() {
        let (x, i) = (Tensor::zeros([2, 3]), Tensor::iota(4));
        let entry = entry("take", Noun::Place, &[&x, &i]);
        let trail = format!("model > take > {entry} > gradient");
        let told = Told::by(&trail).unwrap();
        assert_eq!(told.op_and_trail(), ("take", "model"));
        assert_eq!(told.types, ["f32[2, 3]", "i64[4]"]);
        assert_eq!(without_index(&trail), "model > take");
        assert_eq!(
            without_index("model > index of hearts"),
            "model > index of hearts"
        );
    }

    #[test]
    fn indices_are_told_as_they_were_written() {
        let found = |noun, value, ty| {
            let told = Told {
                noun,
                op: "gather",
                types: vec!["f32[4]", ty],
                outer: "",
            };
            told.found(value, 4, Some(0)).0
        };
        assert!(found(Noun::Index, -3, "i64[1]").starts_with("index -7 is out"));
        let least = i64::MIN + 4;
        assert!(found(Noun::Index, least, "i64[1]").contains(&i64::MIN.to_string()));
        assert!(found(Noun::Place, i64::MAX, "u64[1]").contains("or more"));
        assert!(found(Noun::Label, -1, "i64[1]").starts_with("label -1, but there are 4 classes"));
    }
}
