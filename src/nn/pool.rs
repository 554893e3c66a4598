//! Pooling layers.

use super::check::{bad_setting, expect_rank};
use super::param::Buffer;
use super::{Layer, Module};
use crate::error::Result;
use crate::ops::{PoolOptions, attempt, attempt_pair, bad_shape};
use crate::tensor::Tensor;

macro_rules! pooling {
    ($($(#[$doc:meta])* $name:ident<$axes:ident> = $one:ident, $two:ident, $three:ident {
        $($(#[$about:meta])* $field:ident: $ty:ty,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Module)]
        pub struct $name<const $axes: usize> {
            $($(#[$about])* pub $field: $ty,)*
        }

        #[doc = concat!("[`", stringify!($name), "`] along one axis.")]
        pub type $one = $name<1>;
        #[doc = concat!("[`", stringify!($name), "`] along two axes.")]
        pub type $two = $name<2>;
        #[doc = concat!("[`", stringify!($name), "`] along three axes.")]
        pub type $three = $name<3>;
    )*};
}

pooling! {
    /// The largest element of each window.
    MaxPoolNd<AXES> = MaxPool1d, MaxPool2d, MaxPool3d {
        /// The sizes of the windows.
        window: [usize; AXES],
        /// Stride (the window if empty), padding and the like.
        options: PoolOptions,
    }
    /// The mean of each window.
    AvgPoolNd<AXES> = AvgPool1d, AvgPool2d, AvgPool3d {
        /// The sizes of the windows.
        window: [usize; AXES],
        /// Stride (the window if empty), padding and the like.
        options: PoolOptions,
    }
    /// The p-norm of each window.
    LpPoolNd<AXES> = LpPool1d, LpPool2d, LpPool3d {
        /// The norm.
        p: f64,
        /// The sizes of the windows.
        window: [usize; AXES],
        /// Stride (the window if empty); there is no padding.
        options: PoolOptions,
    }
    /// The mean of windows that divide each axis evenly.
    AdaptiveAvgPoolNd<AXES> = AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d {
        /// How many windows along each axis; `None` keeps the axis.
        counts: [Option<usize>; AXES],
    }
    /// The largest element of windows that divide each axis evenly.
    AdaptiveMaxPoolNd<AXES> = AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d {
        /// How many windows along each axis; `None` keeps the axis.
        counts: [Option<usize>; AXES],
    }
    /// Undoes [`MaxPoolNd`]: elements go back to their places, the others are 0.
    MaxUnpoolNd<AXES> = MaxUnpool1d, MaxUnpool2d, MaxUnpool3d {
        /// The sizes of the windows.
        window: [usize; AXES],
        /// Steps between windows.
        stride: [usize; AXES],
        /// Elements around that did not count.
        padding: [usize; AXES],
    }
}

/// Of windows of the same size along all axes, next to each other.
macro_rules! windowed {
    ($($name:ident)*) => {$(
        impl<const AXES: usize> $name<AXES> {
            /// Of windows of this size along all axes, next to each other.
            pub fn new(window: usize) -> Self {
                Self::with([window; AXES], PoolOptions::default())
            }

            /// With options.
            pub fn with(window: [usize; AXES], options: PoolOptions) -> Self {
                $name { window, options }
            }
        }
    )*};
}

windowed!(MaxPoolNd AvgPoolNd);

impl<const AXES: usize> MaxPoolNd<AXES> {
    /// The largest elements, and their positions in the flattened last axes.
    #[track_caller]
    pub fn forward_with_indices(&self, x: &Tensor) -> (Tensor, Tensor) {
        x.max_pool(&self.window, &self.options)
    }
}

impl<const AXES: usize> Layer for MaxPoolNd<AXES> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with_indices(x).0
    }
}

impl<const AXES: usize> Layer for AvgPoolNd<AXES> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.avg_pool(&self.window, &self.options)
    }
}

impl<const AXES: usize> LpPoolNd<AXES> {
    /// The `p`-norm of windows of this size along all axes, next to each other.
    pub fn new(p: f64, window: usize) -> Self {
        Self::with(p, [window; AXES], PoolOptions::default())
    }

    /// With options.
    pub fn with(p: f64, window: [usize; AXES], options: PoolOptions) -> Self {
        LpPoolNd { p, window, options }
    }
}

impl<const AXES: usize> Layer for LpPoolNd<AXES> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.lp_pool(self.p, &self.window, &self.options)
    }
}

impl<const AXES: usize> AdaptiveAvgPoolNd<AXES> {
    /// So many windows along every axis.
    pub fn new(count: usize) -> Self {
        let counts = [Some(count); AXES];
        AdaptiveAvgPoolNd { counts }
    }
}

impl<const AXES: usize> Layer for AdaptiveAvgPoolNd<AXES> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.adaptive_avg_pool(&self.counts)
    }
}

impl<const AXES: usize> AdaptiveMaxPoolNd<AXES> {
    /// So many windows along every axis.
    pub fn new(count: usize) -> Self {
        let counts = [Some(count); AXES];
        AdaptiveMaxPoolNd { counts }
    }

    /// The largest elements, and their positions in the flattened last axes.
    #[track_caller]
    pub fn forward_with_indices(&self, x: &Tensor) -> (Tensor, Tensor) {
        x.adaptive_max_pool(&self.counts)
    }
}

impl<const AXES: usize> Layer for AdaptiveMaxPoolNd<AXES> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with_indices(x).0
    }
}

impl<const AXES: usize> MaxUnpoolNd<AXES> {
    /// Of windows of this size along all axes, next to each other.
    pub fn new(window: usize) -> Self {
        MaxUnpoolNd {
            window: [window; AXES],
            stride: [window; AXES],
            padding: [0; AXES],
        }
    }

    /// What was pooled, as far as it is known. Several sizes lead to the same number of windows; the one that
    /// they fill is taken if none is given.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, indices: &Tensor, sizes: Option<[usize; AXES]>) -> Tensor {
        attempt(|| {
            expect_rank("MaxUnpool", x, AXES + 1..=AXES + 2)?;
            let dims = x.dims()?;
            let counts = &dims[dims.len() - AXES..];
            let mut filled = [0; AXES];
            for i in 0..AXES {
                let reach = counts[i].saturating_sub(1) * self.stride[i] + self.window[i];
                let room = reach.checked_sub(2 * self.padding[i]);
                filled[i] = room.filter(|_| self.stride[i] > 0).ok_or_else(|| {
                    bad_setting("MaxUnpool", "stride 0, or more padding than windows reach")
                })?;
            }
            let sizes = sizes.unwrap_or(filled);
            if (0..AXES).any(|i| sizes[i].abs_diff(filled[i]) >= self.stride[i]) {
                let message = format!("{counts:?} windows do not come from {sizes:?} elements");
                return Err(bad_shape("MaxUnpool", message).operand(x.note("input")));
            }
            Ok(x.max_unpool(indices, &sizes))
        })
    }
}

/// How many windows a [`FractionalMaxPoolNd`] has.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum WindowCounts<const AXES: usize> {
    /// So many along each axis.
    Counts([usize; AXES]),
    /// This fraction of each axis.
    Ratios([f64; AXES]),
}

/// The largest element of windows at pseudo-random places.
#[derive(Clone, Debug, Module)]
pub struct FractionalMaxPoolNd<const AXES: usize> {
    /// The sizes of the windows.
    #[module(skip)]
    pub window: [usize; AXES],
    /// How many there are.
    #[module(skip)]
    pub counts: WindowCounts<AXES>,
    /// What decides the places, `[samples, channels, axes]`; drawn anew for each call if `None`.
    pub _random_samples: Option<Buffer>,
}

/// Along two axes.
pub type FractionalMaxPool2d = FractionalMaxPoolNd<2>;
/// Along three axes.
pub type FractionalMaxPool3d = FractionalMaxPoolNd<3>;

impl<const AXES: usize> FractionalMaxPoolNd<AXES> {
    /// Windows of this size along all axes, so many along each.
    pub fn new(window: usize, counts: WindowCounts<AXES>) -> Self {
        FractionalMaxPoolNd {
            window: [window; AXES],
            counts,
            _random_samples: None,
        }
    }

    /// The largest elements, and their positions in the flattened last axes.
    #[track_caller]
    pub fn forward_with_indices(&self, x: &Tensor) -> (Tensor, Tensor) {
        attempt_pair(|| {
            expect_rank("FractionalMaxPool", x, AXES + 1..=AXES + 2)?;
            let counts = self.counts.of(&x.dims()?)?;
            let samples = self._random_samples.as_ref().map(Buffer::get);
            Ok(x.fractional_max_pool(&self.window, &counts, samples.as_ref()))
        })
    }
}

impl<const AXES: usize> WindowCounts<AXES> {
    fn of(&self, dims: &[usize]) -> Result<[usize; AXES]> {
        let ratios = match self {
            WindowCounts::Counts(counts) => return Ok(*counts),
            WindowCounts::Ratios(ratios) => ratios,
        };
        if let Some(ratio) = ratios.iter().find(|r| !(0.0..1.0).contains(*r)) {
            let message = format!("the ratio {ratio} is not between 0 and 1");
            return Err(bad_setting("FractionalMaxPool", message));
        }
        let spatial = &dims[dims.len() - AXES..];
        Ok(std::array::from_fn(|i| {
            (spatial[i] as f64 * ratios[i]) as usize
        }))
    }
}

impl<const AXES: usize> Layer for FractionalMaxPoolNd<AXES> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with_indices(x).0
    }
}
