//! Lists of numbers as users write them: axes, shifts, counts, windows.

/// One number or several: a number, or a tuple, array, slice or vector of numbers.
///
/// ```
/// use lazulite::prelude::*;
/// let x = Tensor::iota(6).reshape((2, 3));
/// assert_eq!(x.permute((1, 0)).dims()?, [3, 2]);
/// assert_eq!(x.flip(0).to_vec::<i64>()?, [3, 4, 5, 0, 1, 2]);
/// assert_eq!(x.roll([1, 1], [0, 1]).to_vec::<i64>()?, [5, 3, 4, 2, 0, 1]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of `{T}`s",
    label = "expected a number, a tuple, an array, a slice or a vector"
)]
pub trait IntoList<T> {
    /// The numbers.
    fn into_list(self) -> Vec<T>;
}

impl<T> IntoList<T> for T {
    fn into_list(self) -> Vec<T> {
        vec![self]
    }
}

impl<T, const N: usize> IntoList<T> for [T; N] {
    fn into_list(self) -> Vec<T> {
        self.into()
    }
}

impl<T: Clone, const N: usize> IntoList<T> for &[T; N] {
    fn into_list(self) -> Vec<T> {
        self.to_vec()
    }
}

impl<T: Clone> IntoList<T> for &[T] {
    fn into_list(self) -> Vec<T> {
        self.to_vec()
    }
}

impl<T> IntoList<T> for Vec<T> {
    fn into_list(self) -> Vec<T> {
        self
    }
}

impl<T: Clone> IntoList<T> for &Vec<T> {
    fn into_list(self) -> Vec<T> {
        self.clone()
    }
}

/// Tuples of numbers of one type.
macro_rules! tuples {
    ($(($($part:ident)+: $($of:ty)+))*) => {$(
        impl<T> IntoList<T> for ($($of,)+) {
            fn into_list(self) -> Vec<T> {
                let ($($part,)+) = self;
                vec![$($part),+]
            }
        }
    )*};
}

tuples! {
    (a: T)
    (a b: T T)
    (a b c: T T T)
    (a b c d: T T T T)
    (a b c d e: T T T T T)
    (a b c d e f: T T T T T T)
    (a b c d e f g: T T T T T T T)
    (a b c d e f g h: T T T T T T T T)
}

/// One number for each of `AXES` axes, or one for all of them.
///
/// ```
/// use lazulite::nn::Conv2d;
/// use lazulite::prelude::*;
/// assert_eq!(Conv2d::new(1, 2, 3).weight.get().dims()?, [2, 1, 3, 3]);
/// assert_eq!(Conv2d::new(1, 2, (3, 5)).weight.get().dims()?, [2, 1, 3, 5]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not one size, or one for each of {AXES} axes",
    label = "expected a `usize`, or as many of them as there are axes"
)]
pub trait PerAxis<const AXES: usize> {
    /// The number of each axis.
    fn per_axis(self) -> [usize; AXES];
}

impl<const AXES: usize> PerAxis<AXES> for usize {
    fn per_axis(self) -> [usize; AXES] {
        [self; AXES]
    }
}

impl<const AXES: usize> PerAxis<AXES> for [usize; AXES] {
    fn per_axis(self) -> [usize; AXES] {
        self
    }
}

impl PerAxis<2> for (usize, usize) {
    fn per_axis(self) -> [usize; 2] {
        self.into()
    }
}

impl PerAxis<3> for (usize, usize, usize) {
    fn per_axis(self) -> [usize; 3] {
        self.into()
    }
}
