//! PyTorch's in-place names. They rebind the handle they are called on; values are never changed
//! under other handles, since views do not alias.

use crate::error::{Error, ErrorKind};
use crate::location::Place;
use crate::tensor::{Argument, Number, Tensor};
use lazulite_ir::DType;

macro_rules! in_place {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&mut self, other: impl Into<Argument>) -> &mut Tensor {
                let result = Tensor::$op(self, other);
                self.rebind(stringify!($name), result)
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
        *self = self.full_like(value).named("fill_", &[self]);
        self
    }

    /// Takes over a result in this tensor's element type. Like PyTorch's, in-place operations neither
    /// grow a tensor nor take it to a lower kind of number.
    #[track_caller]
    pub(crate) fn rebind(&mut self, op: &'static str, result: Tensor) -> &mut Tensor {
        *self = match (self.node(), result.node()) {
            (Ok(own), Ok(new)) if own.ty.dims != new.ty.dims => Tensor::error(
                Error::new(
                    ErrorKind::Shape,
                    op,
                    "the result has other sizes than the tensor",
                )
                .at(Place::here())
                .operand(self.note("self"))
                .operand(result.note("result"))
                .hint("use the form without underscore, which makes a new tensor"),
            ),
            (Ok(own), Ok(new)) if !fits(new.ty.dtype, own.ty.dtype) => Tensor::error(
                Error::new(
                    ErrorKind::DType,
                    op,
                    "the result cannot be held by the tensor's type",
                )
                .at(Place::here())
                .operand(self.note("self"))
                .operand(result.note("result"))
                .hint("cast the tensor first"),
            ),
            (Ok(own), Ok(_)) => result.cast(own.ty.dtype),
            (Err(e), _) | (_, Err(e)) => Tensor::error(e),
        };
        self
    }
}

/// True if results of type `from` may be written to a tensor of type `to`: the kind of number (bool,
/// integer, float, complex) must not fall.
fn fits(from: DType, to: DType) -> bool {
    let kind = |d: DType| match d {
        DType::Bool => 0,
        d if d.is_int() => 1,
        d if d.is_float() => 2,
        _ => 3,
    };
    kind(from) <= kind(to)
}
