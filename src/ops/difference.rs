//! Differences, integrals and slopes along an axis.

use super::composite::{attempt, attempt_list, bad_argument, bad_shape};
use crate::error::Result;
use crate::tensor::Tensor;
use lazulite_ir::DType;

impl Tensor {
    /// Differences of neighbours along an axis.
    #[track_caller]
    pub fn diff(&self, axis: i64) -> Tensor {
        self.diff_with(1, axis)
    }

    /// As [`Tensor::diff`], `n` times.
    #[track_caller]
    pub fn diff_with(&self, n: usize, axis: i64) -> Tensor {
        attempt(|| {
            let at = self.axis("diff", axis)? as i64;
            if self.rank()? == 0 {
                let error = bad_shape("diff", "a 0-d tensor has no neighbours");
                return Err(error.operand(self.note("self")));
            }
            let mut x = self.clone();
            // After as many times as there are elements nothing is left.
            for _ in 0..n.min(self.known_size(at as usize)?) {
                let count = x.known_size(at as usize)?.saturating_sub(1);
                let (before, after) = (
                    x.narrow(at, 0, count),
                    x.narrow(at, 1.min(x.known_size(at as usize)?), count),
                );
                x = match x.dtype()? {
                    DType::Bool => after.bitwise_xor(before),
                    _ => after.sub(before),
                };
            }
            Ok(x)
        })
    }

    /// The integral along an axis by trapezoids of width `dx`.
    #[track_caller]
    pub fn trapezoid(&self, dx: f64, axis: i64) -> Tensor {
        attempt(|| {
            Ok(self
                .neighbour_sums("trapezoid", axis)?
                .mul(dx * 0.5)
                .sum(axis))
        })
    }

    /// The integral along an axis by trapezoids between the points `x` (1-d, or broadcasting with this).
    #[track_caller]
    pub fn trapezoid_at(&self, x: &Tensor, axis: i64) -> Tensor {
        attempt(|| Ok(self.trapezoids("trapezoid", x, axis)?.sum(axis)))
    }

    /// The running integral along an axis by trapezoids of width `dx`.
    #[track_caller]
    pub fn cumulative_trapezoid(&self, dx: f64, axis: i64) -> Tensor {
        attempt(|| {
            let sums = self.neighbour_sums("cumulative_trapezoid", axis)?;
            Ok(sums.mul(dx * 0.5).cumsum(axis))
        })
    }

    /// The running integral along an axis by trapezoids between the points `x`.
    #[track_caller]
    pub fn cumulative_trapezoid_at(&self, x: &Tensor, axis: i64) -> Tensor {
        attempt(|| {
            Ok(self
                .trapezoids("cumulative_trapezoid", x, axis)?
                .cumsum(axis))
        })
    }

    #[track_caller]
    fn neighbour_sums(&self, op: &'static str, axis: i64) -> Result<Tensor> {
        let at = self.axis(op, axis)?;
        let count = match self.known_dims()?.get(at) {
            Some(size) => size.saturating_sub(1),
            None => return Err(bad_shape(op, "a 0-d tensor has no neighbours")),
        };
        let later = self.known_size(at)? - count;
        Ok(self
            .narrow(axis, 0, count)
            .add(self.narrow(axis, later, count)))
    }

    #[track_caller]
    fn trapezoids(&self, op: &'static str, x: &Tensor, axis: i64) -> Result<Tensor> {
        let at = self.axis(op, axis)?;
        let points = match x.rank()? {
            1 => {
                let rank = self.rank()?;
                x.along(at, rank)
            }
            _ => x.clone(),
        };
        // The axis may have another position in points of another rank.
        let from_end = at as i64 - self.rank()? as i64;
        let axis_of_points = points.rank()? as i64 + from_end;
        let widths = points.diff(axis_of_points);
        Ok(self.neighbour_sums(op, axis)?.mul(widths).mul(0.5))
    }

    /// Derivatives along axes from the elements as samples, by differences of second order inside and
    /// of order `edge_order` (1 or 2) at the ends.
    #[track_caller]
    pub fn gradient(&self, spacings: &[Spacing], axes: &[i64], edge_order: usize) -> Vec<Tensor> {
        attempt_list(|| {
            if spacings.len() != axes.len() || !(1..=2).contains(&edge_order) {
                let (spacings, axes) = (spacings.len(), axes.len());
                let message = format!("{spacings} spacings, {axes} axes, edge order {edge_order}");
                return Err(bad_argument("gradient", message).operand(self.note("self")));
            }
            self.distinct_axes("gradient", axes)?;
            let x = self.to_floating();
            let pairs = spacings.iter().zip(axes);
            pairs
                .map(|(spacing, &axis)| gradient_along(&x, spacing, axis, edge_order))
                .collect()
        })
    }
}

/// Where samples are: so far apart, or at these points (1-d).
#[derive(Clone, Debug)]
pub enum Spacing {
    /// Equal distances.
    Step(f64),
    /// The points themselves.
    Points(Tensor),
}

#[track_caller]
fn gradient_along(x: &Tensor, spacing: &Spacing, axis: i64, edge_order: usize) -> Result<Tensor> {
    let at = x.axis("gradient", axis)?;
    let size = match x.known_dims()?.get(at) {
        Some(&size) if size > edge_order => size as i64,
        _ => {
            let message = format!("axis {axis} needs at least {} elements", edge_order + 1);
            return Err(bad_shape("gradient", message).operand(x.note("self")));
        }
    };
    let widths = match spacing {
        Spacing::Step(step) => Tensor::full_of([size - 1], *step, x.dtype()?),
        Spacing::Points(points) => {
            if points.known_dims()? != [size as usize] {
                let message = format!("axis {axis} has {size} elements");
                return Err(bad_shape("gradient", message).operand(points.note("points")));
            }
            points.diff(0).cast(x.dtype()?)
        }
    };
    let rank = x.rank()?;
    let width = |from: i64, count: i64| widths.narrow(0, from, count).along(at, rank);
    let slopes = x.diff(axis).div(width(0, size - 1));
    let slope = |from: i64, count: i64| slopes.narrow(axis, from, count);
    let mut parts = Vec::new();
    // Inside, the slopes on both sides weigh inversely to their widths.
    if size > 2 {
        let (before, after) = (width(0, size - 2), width(1, size - 2));
        let weighted = slope(0, size - 2)
            .mul(&after)
            .add(slope(1, size - 2).mul(&before));
        parts.push(weighted.div(before.add(after)));
    }
    let (first, last) = match edge_order {
        1 => (slope(0, 1), slope(size - 2, 1)),
        _ => (
            edge_slope(&slope(0, 1), &slope(1, 1), &width(0, 1), &width(1, 1)),
            edge_slope(
                &slope(size - 2, 1),
                &slope(size - 3, 1),
                &width(size - 2, 1),
                &width(size - 3, 1),
            ),
        ),
    };
    parts.insert(0, first);
    parts.push(last);
    Ok(Tensor::cat(&parts.iter().collect::<Vec<_>>(), axis))
}

/// The slope at the end of a parabola through three points, from the slopes beside.
#[track_caller]
fn edge_slope(near: &Tensor, far: &Tensor, near_width: &Tensor, far_width: &Tensor) -> Tensor {
    let both = near_width.add(far_width);
    near.mul(both.add(near_width))
        .sub(far.mul(near_width))
        .div(both)
}
