//! PyTorch's in-place names. They rebind the handle they are called on; values are never changed
//! under other handles, since views do not alias.

use crate::tensor::{Argument, Number, Tensor};

macro_rules! in_place {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&mut self, other: impl Into<Argument>) -> &mut Tensor {
                let result = Tensor::$op(self, other);
                self.rebind(result)
            }
        )*}
    };
}

in_place! {
    /// Adds; the element type stays.
    add_ = add;
    /// Subtracts; the element type stays.
    sub_ = sub;
    /// Multiplies; the element type stays.
    mul_ = mul;
    /// Divides; the element type stays.
    div_ = div;
}

impl Tensor {
    /// Replaces every element.
    #[track_caller]
    pub fn fill_(&mut self, value: impl Into<Number>) -> &mut Tensor {
        *self = self.full_like(value);
        self
    }

    /// Takes over a result in this tensor's element type.
    #[track_caller]
    fn rebind(&mut self, result: Tensor) -> &mut Tensor {
        *self = match self.dtype() {
            Ok(dtype) => result.cast(dtype),
            Err(e) => Tensor::error(e),
        };
        self
    }
}
