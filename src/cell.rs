//! A shared place that holds a tensor and can be given another: parameters and running statistics.

use crate::compile::{captured_cell, write_captured_cell};
use crate::engine::add_pending;
use crate::tensor::{State, Tensor};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A shared, mutable place for a tensor. Clones are the same place. Tensors taken out keep their value
/// when the cell is given another one.
#[derive(Clone)]
pub struct TensorCell {
    content: Arc<Mutex<Tensor>>,
}

impl TensorCell {
    /// A cell holding `tensor`.
    pub fn new(tensor: Tensor) -> TensorCell {
        TensorCell {
            content: Arc::new(Mutex::new(tensor)),
        }
    }

    /// What the cell holds. Inside a captured function this stands for what the cell holds when the
    /// function is called.
    #[track_caller]
    pub fn get(&self) -> Tensor {
        let content = self.content();
        captured_cell(self, &content).unwrap_or(content)
    }

    /// What the cell holds now.
    pub(crate) fn content(&self) -> Tensor {
        self.content
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// True for handles of the same cell.
    pub(crate) fn is(&self, other: &TensorCell) -> bool {
        Arc::ptr_eq(&self.content, &other.content)
    }

    /// Gives the cell another tensor. If its value is not known yet, the next realisation on this
    /// thread computes it, so that cells never collect unbounded unfinished work. An erroneous
    /// tensor leaves the cell as it was, and the error is returned.
    pub fn set(&self, tensor: Tensor) -> crate::Result<()> {
        tensor.check()?;
        if write_captured_cell(self, &tensor) {
            return Ok(());
        }
        if let Ok(node) = &tensor.0
            && matches!(&*node.state(), State::Lazy(_))
        {
            add_pending(node);
        }
        *self.content.lock().unwrap_or_else(PoisonError::into_inner) = tensor;
        Ok(())
    }
}

impl fmt::Debug for TensorCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TensorCell({})", self.content().describe())
    }
}
