//! Neural networks: modules are plain structs of parameters and other modules.
//!
//! ```
//! use lazulite::nn::Linear;
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
mod check;
mod container;
mod conv;
mod gates;
pub mod init;
mod linear;
mod loss;
mod module;
mod norm;
mod packed;
mod pad;
mod param;
mod pool;
mod recurrent;
mod state;
mod transformer;

pub use activation::{
    AlphaDropout, Celu, ChannelShuffle, Dropout, Dropout1d, Dropout2d, Dropout3d, DropoutNd, Elu,
    FeatureAlphaDropout, Flatten, Gelu, GeluTanh, Glu, Hardshrink, Hardsigmoid, Hardswish,
    Hardtanh, Identity, LeakyRelu, LocalResponseNorm, LogSigmoid, LogSoftmax, Mish, PixelShuffle,
    PixelUnshuffle, Prelu, Relu, Relu6, Rrelu, Selu, Sigmoid, Silu, Softmax, Softmax2d, Softmin,
    Softplus, Softshrink, Softsign, Tanh, Tanhshrink, Threshold, Unflatten, Upsample,
};
pub use attention::{HeadMasks, HeadOptions, MultiheadAttention, Projections};
pub use container::Sequential;
pub use conv::{Conv1d, Conv2d, Conv3d, ConvNd, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d};
pub use gates::{GruGates, LstmGates, LstmState, Nonlinearity, Recurrence};
pub use lazulite_macros::Module;
pub use linear::{Bilinear, Embedding, EmbeddingBag, Linear};
pub use loss::{
    BceLoss, BceWithLogitsLoss, CosineEmbeddingLoss, CrossEntropyLoss, CtcLoss, GaussianNllLoss,
    HingeEmbeddingLoss, HuberLoss, KlDivLoss, L1Loss, LinearCrossEntropyLoss, MarginRankingLoss,
    MseLoss, MultiLabelMarginLoss, MultiLabelSoftMarginLoss, MultiMarginLoss, NllLoss,
    PoissonNllLoss, SmoothL1Loss, SoftMarginLoss, TripletMarginLoss,
};
pub(crate) use module::check_state;
pub use module::{Layer, Module, Visitor};
pub use norm::{
    BatchNorm1d, BatchNorm2d, BatchNorm3d, ChannelNorm, GroupNorm, InstanceNorm1d, InstanceNorm2d,
    InstanceNorm3d, LayerNorm, NormOptions, RmsNorm,
};
pub use packed::PackedSequence;
pub use pad::{Pad1d, Pad2d, Pad3d, PadNd};
pub use param::{Buffer, Mode, Param};
pub use pool::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveAvgPoolNd, AdaptiveMaxPool1d,
    AdaptiveMaxPool2d, AdaptiveMaxPool3d, AdaptiveMaxPoolNd, AvgPool1d, AvgPool2d, AvgPool3d,
    AvgPoolNd, FractionalMaxPool2d, FractionalMaxPool3d, FractionalMaxPoolNd, LpPool1d, LpPool2d,
    LpPool3d, LpPoolNd, MaxPool1d, MaxPool2d, MaxPool3d, MaxPoolNd, MaxUnpool1d, MaxUnpool2d,
    MaxUnpool3d, MaxUnpoolNd, WindowCounts,
};
pub use recurrent::{
    Gru, GruCell, Lstm, LstmCell, Recurrent, RecurrentCell, RecurrentOptions, Rnn, RnnCell,
};
pub use state::StateDict;
pub use transformer::{
    Transformer, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder,
    TransformerEncoderLayer, TransformerMasks, TransformerOptions,
};
