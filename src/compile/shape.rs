//! What calls of a captured function have in common that are served by the same versions: all of their inputs' types
//! but sizes, and where they are made and computed.

use crate::device::{Device, Places};
use crate::tensor::Node;
use lazulite_ir::{DType, Dim};
use smallvec::SmallVec;

/// What makes calls take the same versions.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct CallShape {
    /// How programs are optimised.
    pub optimisation: u64,
    /// Gradients are on.
    pub gradients: bool,
    /// Where the function makes tensors.
    pub here: Device,
    pub inputs: SmallVec<[InputType; 4]>,
}

impl CallShape {
    /// Inputs that belong to no device go where the others are.
    pub fn place(&mut self) {
        let places = self.inputs.iter().map(|i| i.places);
        let all = places.fold(Places::NONE, Places::join);
        if all.device().is_some() {
            self.inputs.iter_mut().for_each(|i| i.places = all);
        }
    }
}

/// Sizes 0 and 1 count as structure: 1 broadcasts, and there is no extremum of nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct InputType {
    pub dtype: DType,
    pub rank: usize,
    /// Gradients are on and flow to it.
    pub grad: bool,
    pub places: Places,
    /// Bits of the axes of size 0, then of those of size 1.
    special: [u64; 2],
}

impl InputType {
    /// The type without its sizes, which are appended to `sizes`.
    pub fn of(node: &Node, gradients: bool, sizes: &mut SmallVec<[i64; 16]>) -> InputType {
        let ty = &node.ty;
        let mut special = [0; 2];
        for (axis, size) in ty.dims.iter().filter_map(Dim::as_const).enumerate() {
            sizes.push(size);
            if let 0 | 1 = size {
                special[size as usize] |= 1 << (axis % 64);
            }
        }
        InputType {
            dtype: ty.dtype,
            rank: ty.rank(),
            grad: gradients && node.traits.grad,
            places: node.traits.places,
            special,
        }
    }
}
