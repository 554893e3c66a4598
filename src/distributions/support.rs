//! Sets of values: what can be drawn, and what parameters can be.

use crate::error::Result;
use crate::ops::attempt;
use crate::tensor::{Dim, Tensor};

/// A set of numbers or vectors.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Support {
    /// All numbers but NaN.
    Real,
    /// Numbers above 0.
    Positive,
    /// Numbers from 0.
    NonNegative,
    /// Numbers from 0 to 1.
    UnitInterval,
    /// 0 and 1.
    Boolean,
    /// 0, 1, 2, ...
    NonNegativeInteger,
    /// Integers from 0 to this one.
    UpTo(Tensor),
    /// Numbers from the first to the second.
    Interval(Tensor, Tensor),
    /// Numbers from this one.
    AtLeast(Tensor),
    /// Vectors without NaN.
    RealVector,
    /// Vectors of numbers above 0.
    PositiveVector,
    /// Vectors of numbers from 0 whose sum is 1.
    Simplex,
    /// Vectors of one 1, else 0.
    OneHot,
    /// Vectors of integers from 0 with this sum.
    Counts(i64),
    /// Arrays with this many more axes whose elements are in the set.
    Independent(Box<Support>, usize),
}

impl Support {
    /// How many axes a value has.
    pub fn event_axes(&self) -> usize {
        match self {
            Support::Real
            | Support::Positive
            | Support::NonNegative
            | Support::UnitInterval
            | Support::Boolean
            | Support::NonNegativeInteger
            | Support::UpTo(_)
            | Support::Interval(..)
            | Support::AtLeast(_) => 0,
            Support::RealVector
            | Support::PositiveVector
            | Support::Simplex
            | Support::OneHot
            | Support::Counts(_) => 1,
            Support::Independent(inner, axes) => inner.event_axes() + axes,
        }
    }

    /// Which values are in the set: true or false for each, without the axes of a value.
    #[track_caller]
    pub fn contains(&self, value: &Tensor) -> Tensor {
        let whole = |v: &Tensor| v.eq(v.floor());
        match self {
            Support::Real => value.eq(value),
            Support::Positive => value.gt(0),
            Support::NonNegative => value.ge(0),
            Support::UnitInterval => value.ge(0).bitwise_and(value.le(1)),
            Support::Boolean => value.eq(0).bitwise_or(value.eq(1)),
            Support::NonNegativeInteger => value.ge(0).bitwise_and(whole(value)),
            Support::UpTo(last) => {
                let inside = value.ge(0).bitwise_and(value.le(last));
                inside.bitwise_and(whole(value))
            }
            Support::Interval(low, high) => value.ge(low).bitwise_and(value.le(high)),
            Support::AtLeast(low) => value.ge(low),
            Support::RealVector => value.eq(value).all(-1),
            Support::PositiveVector => value.gt(0).all(-1),
            Support::Simplex => {
                let sum = value.sum(-1).sub(1).abs().lt(1e-6);
                value.ge(0).all(-1).bitwise_and(sum)
            }
            Support::OneHot => {
                let each = Support::Boolean.contains(value).all(-1);
                each.bitwise_and(value.sum(-1).eq(1))
            }
            Support::Counts(total) => {
                let each = Support::NonNegativeInteger.contains(value).all(-1);
                each.bitwise_and(value.sum(-1).eq(*total))
            }
            Support::Independent(inner, axes) => {
                let all = |inside: Tensor, _| inside.all(-1);
                (0..*axes).fold(inner.contains(value), all)
            }
        }
    }

    /// The values, whose use is a fault where they are not in the set.
    #[track_caller]
    pub(crate) fn checked(&self, value: &Tensor) -> Tensor {
        attempt(|| {
            let axes = self.event_axes();
            if value.rank()? < axes {
                let message = format!("values have at least {axes} axes");
                let error = crate::ops::bad_shape("log_prob", message);
                return Err(error.operand(value.note("value")));
            }
            let unsqueezed = |inside: Tensor, _| inside.unsqueeze(-1);
            let inside = (0..axes).fold(self.contains(value), unsqueezed);
            Ok(value.require(&inside, &self.rule()))
        })
    }

    /// What values are, in words.
    fn rule(&self) -> String {
        let what = match self {
            Support::Real => "numbers",
            Support::Positive => "positive",
            Support::NonNegative => "not negative",
            Support::UnitInterval => "between 0 and 1",
            Support::Boolean => "0 or 1",
            Support::NonNegativeInteger => "whole and not negative",
            Support::UpTo(_) => "whole, from 0 up to the largest that can be",
            Support::Interval(..) => "inside their interval",
            Support::AtLeast(_) => "not below the least that can be",
            Support::RealVector => "vectors of numbers",
            Support::PositiveVector => "vectors of positive numbers",
            Support::Simplex => "vectors of numbers from 0 with sum 1",
            Support::OneHot => "one-hot vectors",
            Support::Counts(_) => "vectors of counts with the right sum",
            Support::Independent(inner, _) => return inner.rule(),
        };
        format!("values are {what}")
    }
}

/// The leading sizes of a tensor, without its last `event` axes.
pub(super) fn leading(x: &Tensor, event: usize) -> Vec<Dim> {
    let sizes: Result<Vec<Dim>> = x.sizes();
    // An erroneous tensor has no sizes; whatever is computed with it carries its error.
    let mut sizes = sizes.unwrap_or_default();
    sizes.truncate(sizes.len().saturating_sub(event));
    sizes
}
