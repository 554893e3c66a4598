//! Layers without parameters: what a function of one tensor does, with its settings as fields.

use super::check::expect_rank;
use super::param::{Mode, Param};
use super::{Layer, Module};
use crate::location::Scope;
use crate::ops::{ResampleMode, attempt};
use crate::tensor::{Number, Tensor};

macro_rules! layers {
    ($($(#[$doc:meta])* $name:ident
        $({ $($(#[$about:meta])* $field:ident: $ty:ty = $default:expr,)+ })?
        => |$x:ident, $layer:pat_param| $forward:expr;)*) => {$(
        layers!(@ $(#[$doc])* $name $({ $($(#[$about])* $field: $ty = $default,)+ })?);

        impl Layer for $name {
            #[track_caller]
            fn forward(&self, $x: &Tensor) -> Tensor {
                let $layer = self;
                $forward
            }
        }
    )*};
    (@ $(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, Debug, Module)]
        pub struct $name;
    };
    (@ $(#[$doc:meta])* $name:ident
        { $($(#[$about:meta])* $field:ident: $ty:ty = $default:expr,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Module)]
        pub struct $name {
            $($(#[$about])* pub $field: $ty,)+
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default,)+ }
            }
        }
    };
}

layers! {
    /// `max(x, 0)`.
    Relu => |x, _| x.relu();
    /// `min(max(x, 0), 6)`.
    Relu6 => |x, _| x.relu6();
    /// `x * sigmoid(x)`.
    Silu => |x, _| x.silu();
    /// The hyperbolic tangent.
    Tanh => |x, _| x.tanh();
    /// `1 / (1 + exp(-x))`.
    Sigmoid => |x, _| x.sigmoid();
    /// x itself.
    Identity => |x, _| x.clone();
    /// `x * tanh(softplus(x))`.
    Mish => |x, _| x.mish();
    /// The self-normalising [`Elu`].
    Selu => |x, _| x.selu();
    /// `log(sigmoid(x))`.
    LogSigmoid => |x, _| x.logsigmoid();
    /// `x / (1 + |x|)`.
    Softsign => |x, _| x.softsign();
    /// `x - tanh(x)`.
    Tanhshrink => |x, _| x.tanhshrink();
    /// A sigmoid of straight lines.
    Hardsigmoid => |x, _| x.hardsigmoid();
    /// `x * hardsigmoid(x)`.
    Hardswish => |x, _| x.hardswish();
    /// The Gaussian error linear unit.
    Gelu => |x, _| x.gelu();
    /// [`Gelu`] by its approximation with a hyperbolic tangent.
    GeluTanh => |x, _| x.gelu_tanh();
    /// [`Softmax`] over the channels of `[channels, height, width]`, with samples before or without.
    Softmax2d => |x, _| attempt(|| {
        expect_rank("Softmax2d", x, 3..=4)?;
        Ok(x.softmax(-3))
    });
    /// x, or `alpha * (exp(x) - 1)` below 0.
    Elu {
        /// What it tends to below, negated.
        alpha: f64 = 1.0,
    } => |x, layer| x.elu_with(layer.alpha);
    /// [`Elu`] with a continuous slope for every `alpha`.
    Celu {
        /// What it tends to below, negated.
        alpha: f64 = 1.0,
    } => |x, layer| x.celu_with(layer.alpha);
    /// x, or a fraction of it below 0.
    LeakyRelu {
        /// The slope below 0.
        slope: f64 = 0.01,
    } => |x, layer| x.leaky_relu_with(layer.slope);
    /// x between two limits.
    Hardtanh {
        /// The lower limit.
        low: Number = Number::Float(-1.0),
        /// The upper limit.
        high: Number = Number::Float(1.0),
    } => |x, layer| x.hardtanh_with(layer.low, layer.high);
    /// x, or 0 near 0.
    Hardshrink {
        /// How near.
        lambda: f64 = 0.5,
    } => |x, layer| x.hardshrink_with(layer.lambda);
    /// x moved towards 0.
    Softshrink {
        /// By how much.
        lambda: f64 = 0.5,
    } => |x, layer| x.softshrink_with(layer.lambda);
    /// A smooth [`Relu`].
    Softplus {
        /// How sharply it bends.
        beta: f64 = 1.0,
        /// From here on (of `beta * x`) it is x.
        threshold: f64 = 20.0,
    } => |x, layer| x.softplus_with(layer.beta, layer.threshold);
    /// x, or another value up to a threshold.
    Threshold {
        /// The threshold.
        threshold: f64 = 0.0,
        /// The other value.
        value: f64 = 0.0,
    } => |x, layer| x.threshold(layer.threshold, layer.value);
    /// One half of an axis times the sigmoid of the other.
    Glu {
        /// The axis.
        axis: i64 = -1,
    } => |x, layer| x.glu(layer.axis);
    /// Exponentials divided by their sum along an axis.
    Softmax {
        /// The axis.
        axis: i64 = -1,
    } => |x, layer| x.softmax(layer.axis);
    /// [`Softmax`] of what is negated.
    Softmin {
        /// The axis.
        axis: i64 = -1,
    } => |x, layer| x.softmin(layer.axis);
    /// The logarithm of [`Softmax`].
    LogSoftmax {
        /// The axis.
        axis: i64 = -1,
    } => |x, layer| x.log_softmax(layer.axis);
    /// Axes joined to one: all but the batch.
    Flatten {
        /// The first axis joined.
        first: i64 = 1,
        /// The last axis joined.
        last: i64 = -1,
    } => |x, layer| x.flatten(layer.first, layer.last);
    /// An axis split into several.
    Unflatten {
        /// The axis.
        axis: i64 = 1,
        /// Their sizes; -1 stands for what is left.
        sizes: Vec<i64> = vec![-1],
    } => |x, layer| x.unflatten(layer.axis, &layer.sizes);
    /// Channels become space.
    PixelShuffle {
        /// By how much heights and widths grow.
        factor: usize = 1,
    } => |x, layer| x.pixel_shuffle(layer.factor);
    /// Space becomes channels.
    PixelUnshuffle {
        /// By how much heights and widths shrink.
        factor: usize = 1,
    } => |x, layer| x.pixel_unshuffle(layer.factor);
    /// Members of groups of channels come to stand side by side.
    ChannelShuffle {
        /// How many groups.
        groups: usize = 1,
    } => |x, layer| x.channel_shuffle(layer.groups);
    /// Divided by a power of the mean square of neighbouring channels.
    LocalResponseNorm {
        /// How many neighbours.
        size: usize = 5,
        /// The factor of the mean square.
        alpha: f64 = 1e-4,
        /// The power.
        beta: f64 = 0.75,
        /// Added to the mean square.
        k: f64 = 1.0,
    } => |x, layer| x.local_response_norm(layer.size, layer.alpha, layer.beta, layer.k);
    /// Images of another size.
    Upsample {
        /// By how much every axis behind the first two grows: one factor each, or one for all.
        scales: Vec<f64> = vec![2.0],
        /// How elements between samples come about.
        mode: ResampleMode = ResampleMode::Nearest,
        /// The first and last elements stay in place.
        align_corners: bool = false,
    } => |x, layer| layer.resampled(x);
    /// In training, elements are dropped by chance and the others grow accordingly.
    Dropout {
        /// The probability of dropping an element.
        p: f64 = 0.5,
        /// Whether this is training.
        mode: Mode = Mode::default(),
    } => |x, layer| {
        let _scope = Scope::open("Dropout");
        x.dropout(layer.p, layer.mode.is_training())
    };
    /// [`Dropout`] for [`Selu`]: mean and variance stay.
    AlphaDropout {
        /// The probability of dropping an element.
        p: f64 = 0.5,
        /// Whether this is training.
        mode: Mode = Mode::default(),
    } => |x, layer| x.alpha_dropout(layer.p, layer.mode.is_training());
    /// [`AlphaDropout`] of whole channels.
    FeatureAlphaDropout {
        /// The probability of dropping a channel.
        p: f64 = 0.5,
        /// Whether this is training.
        mode: Mode = Mode::default(),
    } => |x, layer| x.feature_alpha_dropout(layer.p, layer.mode.is_training());
    /// In training x or, below 0, a random fraction of it; else the mean fraction.
    Rrelu {
        /// The smallest fraction.
        lower: f64 = 1.0 / 8.0,
        /// The largest fraction.
        upper: f64 = 1.0 / 3.0,
        /// Whether this is training.
        mode: Mode = Mode::default(),
    } => |x, layer| x.rrelu(layer.lower, layer.upper, layer.mode.is_training());
}

impl Dropout {
    /// With this probability of dropping an element.
    pub fn new(p: f64) -> Dropout {
        Dropout {
            p,
            ..Dropout::default()
        }
    }
}

impl Upsample {
    #[track_caller]
    fn resampled(&self, x: &Tensor) -> Tensor {
        let dims = match x.dims() {
            Ok(dims) => dims,
            Err(e) => return Tensor::error(e),
        };
        let spatial = &dims[dims.len().min(2)..];
        let scales = match self.scales[..] {
            [one] => vec![one; spatial.len()],
            _ => self.scales.clone(),
        };
        let grown = spatial.iter().zip(&scales);
        let sizes: Vec<usize> = grown.map(|(d, s)| (*d as f64 * s) as usize).collect();
        x.interpolate(&sizes, Some(&scales), self.mode, self.align_corners)
    }
}

/// [`Dropout`] of whole channels, each over `AXES` axes.
#[derive(Clone, Debug, Module)]
pub struct DropoutNd<const AXES: usize> {
    /// The probability of dropping a channel.
    pub p: f64,
    mode: Mode,
}

/// Of channels along one axis.
pub type Dropout1d = DropoutNd<1>;
/// Of channels along two axes.
pub type Dropout2d = DropoutNd<2>;
/// Of channels along three axes.
pub type Dropout3d = DropoutNd<3>;

impl<const AXES: usize> DropoutNd<AXES> {
    /// With this probability of dropping a channel.
    pub fn new(p: f64) -> Self {
        let mode = Mode::default();
        DropoutNd { p, mode }
    }
}

impl<const AXES: usize> Layer for DropoutNd<AXES> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = Scope::open("Dropout");
        x.feature_dropout(self.p, self.mode.is_training(), AXES)
    }
}

/// x, or below 0 a fraction of it that is trained: one for all, or one for each channel.
#[derive(Clone, Debug, Module)]
pub struct Prelu {
    /// The fractions.
    pub weight: Param,
}

impl Prelu {
    /// With so many fractions, all a quarter.
    #[track_caller]
    pub fn new(fractions: usize) -> Prelu {
        Prelu {
            weight: Param::new(Tensor::ones([fractions]) * 0.25),
        }
    }
}

impl Layer for Prelu {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.weight.scope("Prelu");
        x.prelu(&self.weight.get())
    }
}
