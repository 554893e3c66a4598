//! Pooling layers.

use super::module::{Layer, Module, Visitor};
use crate::ops::PoolOptions;
use crate::tensor::Tensor;

macro_rules! pooling {
    ($($(#[$doc:meta])* $name:ident, $x:ident, $layer:ident => $forward:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            /// The sizes of the windows.
            pub window: [usize; 2],
            /// Stride (the window if empty), padding and the like.
            pub options: PoolOptions,
        }

        impl $name {
            /// Of square windows next to each other.
            pub fn new(window: usize) -> $name {
                $name {
                    window: [window; 2],
                    options: PoolOptions::default(),
                }
            }
        }

        impl Module for $name {
            fn visit(&self, _: &mut Visitor<'_>) {}
        }

        impl Layer for $name {
            #[track_caller]
            fn forward(&self, $x: &Tensor) -> Tensor {
                let $layer = self;
                $forward
            }
        }
    )*};
}

pooling! {
    /// The largest element of each window.
    MaxPool2d, x, layer => x.max_pool(&layer.window, &layer.options).0;
    /// The mean of each window.
    AvgPool2d, x, layer => x.avg_pool(&layer.window, &layer.options);
}
