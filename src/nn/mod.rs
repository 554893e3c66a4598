//! Neural networks: modules are plain structs of parameters and other modules.
//!
//! ```
//! use lazulite::nn::{Layer, Linear, Module};
//! use lazulite::prelude::*;
//!
//! #[derive(Module)]
//! struct Mlp {
//!     hidden: Linear,
//!     output: Linear,
//! }
//!
//! impl Layer for Mlp {
//!     fn forward(&self, x: &Tensor) -> Tensor {
//!         self.output.forward(&self.hidden.forward(x).relu())
//!     }
//! }
//!
//! let model = Mlp { hidden: Linear::new(4, 8), output: Linear::new(8, 2) };
//! assert_eq!(model.forward(&Tensor::ones([3, 4])).dims()?, [3, 2]);
//! let names: Vec<String> = model.named_parameters().into_iter().map(|(name, _)| name).collect();
//! assert_eq!(names, ["hidden.weight", "hidden.bias", "output.weight", "output.bias"]);
//! # Ok::<(), lazulite::Error>(())
//! ```

mod activation;
mod attention;
mod container;
mod conv;
pub mod init;
mod linear;
mod module;
mod norm;
mod param;
mod pool;
mod recurrent;

pub use activation::{Dropout, Flatten, Gelu, Identity, Relu, Sigmoid, Silu, Softmax, Tanh};
pub use attention::MultiheadAttention;
pub use container::Sequential;
pub use conv::{Conv1d, Conv2d, Conv3d, ConvNd, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d};
pub use lazulite_macros::Module;
pub use linear::{Embedding, Linear};
pub use module::{Layer, Module, StateDict, Visitor};
pub use norm::{BatchNorm1d, BatchNorm2d, BatchNormNd, LayerNorm};
pub use param::{Buffer, Mode, Param};
pub use pool::{AvgPool2d, MaxPool2d};
pub use recurrent::{Lstm, LstmState};
