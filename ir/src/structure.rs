//! What two operations have in common when only sizes differ.
//!
//! Plan caches key programs by structure: the operation and its attributes with every size taken
//! out. The sizes are visited separately, always in the same order, so that they can be compared
//! and replaced one by one.

use crate::{
    Binary, Combine, Custom, DType, Dim, Dims, Graph, HostFn, Predicate, Scalar, TensorType, Unary,
};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// An attribute, as structure and sizes.
pub trait Structure {
    /// Appends words that are equal exactly for attributes that differ in sizes at most (for
    /// strings and graphs: but for collisions of a 64-bit hash).
    fn structure(&self, words: &mut Vec<u64>);

    /// Visits every size.
    fn visit_dims(&self, _visit: &mut dyn FnMut(&Dim)) {}

    /// Visits every size for replacement, in the order of [`Structure::visit_dims`].
    fn visit_dims_mut(&mut self, _visit: &mut dyn FnMut(&mut Dim)) {}
}

macro_rules! word_structure {
    ($($ty:ty),*) => {$(
        impl Structure for $ty {
            fn structure(&self, words: &mut Vec<u64>) {
                words.push(*self as u64);
            }
        }
    )*};
}

word_structure!(u32, bool, DType, Unary, Binary, Predicate, Combine);

macro_rules! hashed_structure {
    ($($ty:ty),*) => {$(
        impl Structure for $ty {
            fn structure(&self, words: &mut Vec<u64>) {
                let mut hasher = rustc_hash::FxHasher::default();
                self.hash(&mut hasher);
                words.push(hasher.finish());
            }
        }
    )*};
}

hashed_structure!(Arc<str>, Arc<Graph>);

impl Structure for Dim {
    fn structure(&self, _words: &mut Vec<u64>) {}

    fn visit_dims(&self, visit: &mut dyn FnMut(&Dim)) {
        visit(self);
    }

    fn visit_dims_mut(&mut self, visit: &mut dyn FnMut(&mut Dim)) {
        visit(self);
    }
}

impl Structure for Dims {
    fn structure(&self, words: &mut Vec<u64>) {
        words.push(self.len() as u64);
    }

    fn visit_dims(&self, visit: &mut dyn FnMut(&Dim)) {
        self.iter().for_each(visit);
    }

    fn visit_dims_mut(&mut self, visit: &mut dyn FnMut(&mut Dim)) {
        self.iter_mut().for_each(visit);
    }
}

impl Structure for TensorType {
    fn structure(&self, words: &mut Vec<u64>) {
        self.dtype.structure(words);
        self.dims.structure(words);
    }

    fn visit_dims(&self, visit: &mut dyn FnMut(&Dim)) {
        self.dims.visit_dims(visit);
    }

    fn visit_dims_mut(&mut self, visit: &mut dyn FnMut(&mut Dim)) {
        self.dims.visit_dims_mut(visit);
    }
}

impl Structure for Scalar {
    fn structure(&self, words: &mut Vec<u64>) {
        words.extend([
            self.dtype() as u64,
            self.bits() as u64,
            (self.bits() >> 64) as u64,
        ]);
    }
}

impl Structure for Vec<u32> {
    fn structure(&self, words: &mut Vec<u64>) {
        words.push(self.len() as u64);
        words.extend(self.iter().map(|&v| u64::from(v)));
    }
}

impl Structure for Vec<i64> {
    fn structure(&self, words: &mut Vec<u64>) {
        words.push(self.len() as u64);
        words.extend(self.iter().map(|&v| v as u64));
    }
}

impl Structure for Vec<TensorType> {
    fn structure(&self, words: &mut Vec<u64>) {
        words.push(self.len() as u64);
        self.iter().for_each(|t| t.structure(words));
    }

    fn visit_dims(&self, visit: &mut dyn FnMut(&Dim)) {
        self.iter().for_each(|t| t.visit_dims(visit));
    }

    fn visit_dims_mut(&mut self, visit: &mut dyn FnMut(&mut Dim)) {
        self.iter_mut().for_each(|t| t.visit_dims_mut(visit));
    }
}

impl Structure for Option<Combine> {
    fn structure(&self, words: &mut Vec<u64>) {
        words.push(self.map_or(0, |c| c as u64 + 1));
    }
}

impl Structure for Custom {
    fn structure(&self, words: &mut Vec<u64>) {
        match self {
            Custom::Library(name) => {
                words.push(0);
                name.structure(words);
            }
            Custom::Host(_, function) => {
                words.push(1);
                words.push(Arc::<HostFn>::as_ptr(function).cast::<()>().addr() as u64);
            }
        }
    }
}
