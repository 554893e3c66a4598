//! What calls of a captured function have in common that are served by the same versions: all of their inputs' types
//! but sizes, and where they are made and computed.

use crate::device::{Device, Places};
use crate::tensor::{Node, Tensor};
use lazulite_ir::DType;
use smallvec::SmallVec;

/// What calls depend on besides the types of their inputs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Setting {
    /// How programs are optimised.
    pub optimisation: u64,
    /// Gradients are on.
    pub gradients: bool,
    /// Where the function makes tensors.
    pub here: Device,
    /// Where its inputs are.
    pub places: Places,
}

/// What makes calls take the same versions.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct CallShape {
    pub setting: Setting,
    pub inputs: SmallVec<[InputType; 4]>,
    /// Of all sizes of all inputs.
    forms: SmallVec<[Form; 16]>,
}

impl CallShape {
    /// That of a call, all of whose sizes are `dims`.
    pub fn of(setting: Setting, inputs: &[&Tensor], dims: &[i64]) -> CallShape {
        let nodes = inputs.iter().flat_map(|input| &input.0);
        CallShape {
            inputs: nodes.map(|node| InputType::of(node, &setting)).collect(),
            forms: dims.iter().copied().map(Form::of).collect(),
            setting,
        }
    }

    /// Whether it is that of a call, whose inputs are as many as those of any other.
    #[inline]
    pub fn is_of(&self, setting: &Setting, inputs: &[&Tensor], dims: &[i64]) -> bool {
        let mut pairs = self.inputs.iter().zip(inputs);
        // As many sizes, where all ranks are the same.
        let mut sizes = self.forms.iter().zip(dims);
        self.setting == *setting
            && pairs.all(|(ty, input)| match &input.0 {
                Ok(node) => *ty == InputType::of(node, setting),
                Err(_) => false,
            })
            && sizes.all(|(form, size)| *form == Form::of(*size))
    }
}

/// What of a size is structure: 1 broadcasts, and there is no extremum of nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Nothing,
    One,
    Many,
}

impl Form {
    #[inline]
    fn of(size: i64) -> Form {
        match size {
            0 => Form::Nothing,
            1 => Form::One,
            _ => Form::Many,
        }
    }
}

/// The type of an input without its sizes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct InputType {
    pub dtype: DType,
    pub rank: usize,
    /// Gradients are on and flow to it.
    pub grad: bool,
    pub places: Places,
}

impl InputType {
    /// Inputs that belong to no device go where the others are.
    #[inline]
    fn of(node: &Node, setting: &Setting) -> InputType {
        InputType {
            dtype: node.ty.dtype,
            rank: node.ty.dims.len(),
            grad: setting.gradients && node.traits.grad,
            places: match setting.places.device() {
                Some(_) => setting.places,
                None => node.traits.places,
            },
        }
    }
}
