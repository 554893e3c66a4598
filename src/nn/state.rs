//! The state of a module or an optimiser: tensors by path, in memory and in files.

use crate::error::Result;
use crate::files::{load_tensors, save_tensors};
use crate::location::Scope;
use crate::tensor::Tensor;
use std::collections::{BTreeMap, btree_map};
use std::ops::{Deref, DerefMut};
use std::path::Path;

/// Parameters and buffers by path, as PyTorch names them. It is used like the map that it holds.
///
/// ```
/// use lazulite::nn::{Linear, StateDict};
/// use lazulite::prelude::*;
///
/// let mut state = Linear::new(3, 2).state_dict();
/// assert_eq!(state["weight"].dims()?, [2, 3]);
/// state.remove("bias");
///
/// let path = std::env::temp_dir().join("lazulite-doc-state.safetensors");
/// state.save(&path)?;
/// assert!(StateDict::load(&path)?.keys().eq(["weight"]));
/// # Ok::<(), lazulite::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StateDict(BTreeMap<String, Tensor>);

impl StateDict {
    /// Without any tensors.
    pub fn new() -> StateDict {
        StateDict::default()
    }

    /// Computes the tensors and writes them to a file, whole or not at all. Its name tells the format:
    /// `.safetensors`, which other tools read, `.npz` or `.json`.
    ///
    /// # Errors
    /// Those of [`save_tensors`].
    #[track_caller]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let _scope = Scope::pin();
        let tensors: Vec<(&str, &Tensor)> = self.iter().map(|(k, v)| (k.as_str(), v)).collect();
        save_tensors(path, &tensors)
    }

    /// Reads all tensors of a `.safetensors`, `.npz` or `.json` file.
    ///
    /// # Errors
    /// Those of [`load_tensors`].
    #[track_caller]
    pub fn load(path: impl AsRef<Path>) -> Result<StateDict> {
        let _scope = Scope::pin();
        Ok(load_tensors(path)?.into_iter().collect())
    }
}

impl Deref for StateDict {
    type Target = BTreeMap<String, Tensor>;

    fn deref(&self) -> &BTreeMap<String, Tensor> {
        &self.0
    }
}

impl DerefMut for StateDict {
    fn deref_mut(&mut self) -> &mut BTreeMap<String, Tensor> {
        &mut self.0
    }
}

impl FromIterator<(String, Tensor)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> StateDict {
        StateDict(tensors.into_iter().collect())
    }
}

impl<const N: usize> From<[(String, Tensor); N]> for StateDict {
    fn from(tensors: [(String, Tensor); N]) -> StateDict {
        StateDict(tensors.into())
    }
}

impl IntoIterator for StateDict {
    type Item = (String, Tensor);
    type IntoIter = btree_map::IntoIter<String, Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a StateDict {
    type Item = (&'a String, &'a Tensor);
    type IntoIter = btree_map::Iter<'a, String, Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
