//! What two operations have in common when only sizes differ.
//!
//! Plan caches key programs by structure: the operation and its attributes with every size taken
//! out. The sizes are visited separately, always in the same order, so that they can be compared
//! and replaced one by one.
//!
//! The words tell apart whatever differs, without chance: names are spelled out, and a region is named by
//! a number that equal graphs have in common and that is never given to another.

use crate::{
    Binary, Combine, Custom, DType, Dim, Dims, Graph, HostFn, Predicate, Scalar, TensorType, Unary,
};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// An attribute, as structure and sizes.
pub trait Structure {
    /// Appends words that are equal exactly for attributes that differ in sizes at most. The sizes
    /// inside a region count as structure.
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

impl Structure for Arc<str> {
    fn structure(&self, words: &mut Vec<u64>) {
        words.push(self.len() as u64);
        words.extend(self.as_bytes().chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        }));
    }
}

impl Structure for Arc<Graph> {
    fn structure(&self, words: &mut Vec<u64>) {
        let identity = self.content().identity.get_or_init(|| identity(self));
        words.push(*identity);
    }
}

/// Graphs of one hash, with their numbers.
type Alike = SmallVec<[(Weak<Graph>, u64); 1]>;

/// Graphs with a number, by their hash.
#[derive(Default)]
struct Numbered {
    graphs: FxHashMap<u64, Alike>,
    next: u64,
    /// Numbers given since graphs that are no more were last taken out.
    since_sweep: usize,
}

/// The number of this graph and all that are equal to it.
fn identity(graph: &Arc<Graph>) -> u64 {
    static NUMBERED: LazyLock<Mutex<Numbered>> = LazyLock::new(Mutex::default);
    let mut hasher = rustc_hash::FxHasher::default();
    graph.hash(&mut hasher);
    let mut numbered = NUMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    let Numbered {
        graphs,
        next,
        since_sweep,
    } = &mut *numbered;
    let alike = graphs.entry(hasher.finish()).or_default();
    let equal = |(other, _): &&(Weak<Graph>, u64)| other.upgrade().is_some_and(|g| g == *graph);
    if let Some((_, number)) = alike.iter().find(equal) {
        return *number;
    }
    let number = *next;
    *next += 1;
    alike.push((Arc::downgrade(graph), number));
    *since_sweep += 1;
    if *since_sweep > graphs.len() / 2 + 64 {
        *since_sweep = 0;
        graphs.retain(|_, alike| {
            alike.retain(|(graph, _)| graph.strong_count() > 0);
            !alike.is_empty()
        });
    }
    number
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_graph;

    fn words(graph: &Arc<Graph>) -> Vec<u64> {
        let mut words = Vec::new();
        graph.structure(&mut words);
        words
    }

    #[test]
    fn equal_regions_and_no_others_have_the_same_words() {
        let region = |size: u32| {
            let text = format!("graph(%0: f32[{size}]) {{ %1 = exp %0 : f32[{size}] return %1 }}");
            Arc::new(parse_graph(&text).unwrap())
        };
        let (a, b, other) = (region(3), region(3), region(4));
        assert_eq!(words(&a), words(&b));
        assert_ne!(words(&a), words(&other));
        // A graph that is changed is another one.
        let mut changed = (*a).clone();
        changed.set_outputs([]);
        assert_ne!(words(&a), words(&Arc::new(changed)));
        // Nor does a number come again when its graphs are gone.
        let gone = words(&a);
        drop((a, b));
        assert_ne!(words(&region(5)), gone);
    }

    #[test]
    fn names_are_spelled_out() {
        let of = |name: &str| {
            let mut words = Vec::new();
            Arc::<str>::from(name).structure(&mut words);
            words
        };
        assert_eq!(of("softmax"), of("softmax"));
        assert_ne!(of("layer_norm"), of("layer_norms"));
        assert_ne!(of("a"), of("a\0"));
    }
}
