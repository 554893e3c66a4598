//! Pooling layers.

use super::check::{bad_setting, expect_rank};
use super::param::Buffer;
use super::{Layer, Module};
use crate::error::Result;
use crate::ops::{PoolOptions, attempt, attempt_pair, bad_shape};
use crate::tensor::{PerAxis, Tensor};

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
    ///
    /// ```
    /// use lazulite::nn::MaxPool2d;
    /// use lazulite::prelude::*;
    /// let x = Tensor::randn([1, 1, 8, 8]);
    /// assert_eq!(MaxPool2d::new(2).forward(&x).dims()?, [1, 1, 4, 4]);
    /// let pool = MaxPool2d::new((3, 2)).stride(1).padding((1, 0));
    /// assert_eq!(pool.forward(&x).dims()?, [1, 1, 8, 7]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
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

/// Constructors, and options that follow them.
macro_rules! windowed {
    ($($name:ident($($field:ident: $ty:ty),*): $($option:ident)*;)*) => {$(
        impl<const AXES: usize> $name<AXES> {
            /// Of windows next to each other, of the same size along all axes or a size for each.
            pub fn new($($field: $ty,)* window: impl PerAxis<AXES>) -> Self {
                $name {
                    $($field,)*
                    window: window.per_axis(),
                    options: PoolOptions::default(),
                }
            }

            $(windowed!(@ $option);)*

            /// The same with all these options.
            pub fn options(self, options: PoolOptions) -> Self {
                $name { options, ..self }
            }
        }
    )*};
    (@ stride) => {
        /// The same with steps between windows.
        pub fn stride(mut self, stride: impl PerAxis<AXES>) -> Self {
            self.options.stride = stride.per_axis().into();
            self
        }
    };
    (@ padding) => {
        /// The same with elements around that do not count (for means: zeros).
        pub fn padding(mut self, padding: impl PerAxis<AXES>) -> Self {
            self.options.padding = padding.per_axis().into();
            self
        }
    };
    (@ dilation) => {
        /// The same with steps between the elements of a window.
        pub fn dilation(mut self, dilation: impl PerAxis<AXES>) -> Self {
            self.options.dilation = dilation.per_axis().into();
            self
        }
    };
    (@ ceil_mode) => {
        /// The same, and windows may reach beyond the end, or not.
        pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
            self.options.ceil_mode = ceil_mode;
            self
        }
    };
    (@ count_include_pad) => {
        /// The same, and padding counts as elements, or not.
        pub fn count_include_pad(mut self, count_include_pad: bool) -> Self {
            self.options.count_include_pad = count_include_pad;
            self
        }
    };
    (@ divisor) => {
        /// The same with sums divided by this number instead of the count.
        pub fn divisor(mut self, divisor: i64) -> Self {
            self.options.divisor = Some(divisor);
            self
        }
    };
}

windowed! {
    MaxPoolNd(): stride padding dilation ceil_mode;
    AvgPoolNd(): stride padding ceil_mode count_include_pad divisor;
    LpPoolNd(p: f64): stride ceil_mode;
}

impl<const AXES: usize> MaxPoolNd<AXES> {
    /// The largest elements, and their positions in the flattened last axes.
    #[track_caller]
    pub fn forward_with_indices(&self, x: &Tensor) -> (Tensor, Tensor) {
        x.max_pool_with(self.window, &self.options)
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
        x.avg_pool_with(self.window, &self.options)
    }
}

impl<const AXES: usize> Layer for LpPoolNd<AXES> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.lp_pool_with(self.p, self.window, &self.options)
    }
}

impl<const AXES: usize> AdaptiveAvgPoolNd<AXES> {
    /// So many windows along every axis, or along each.
    pub fn new(counts: impl PerAxis<AXES>) -> Self {
        let counts = counts.per_axis().map(Some);
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
    /// So many windows along every axis, or along each.
    pub fn new(counts: impl PerAxis<AXES>) -> Self {
        let counts = counts.per_axis().map(Some);
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
    /// Of windows next to each other, of the same size along all axes or a size for each.
    pub fn new(window: impl PerAxis<AXES>) -> Self {
        let window = window.per_axis();
        MaxUnpoolNd {
            window,
            stride: window,
            padding: [0; AXES],
        }
    }

    /// The same with steps between windows.
    pub fn stride(mut self, stride: impl PerAxis<AXES>) -> Self {
        self.stride = stride.per_axis();
        self
    }

    /// The same with elements around that did not count.
    pub fn padding(mut self, padding: impl PerAxis<AXES>) -> Self {
        self.padding = padding.per_axis();
        self
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
    /// Windows of the same size along all axes or a size for each, so many along each.
    pub fn new(window: impl PerAxis<AXES>, counts: WindowCounts<AXES>) -> Self {
        FractionalMaxPoolNd {
            window: window.per_axis(),
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
