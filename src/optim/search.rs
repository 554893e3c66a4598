//! A line search: the length of a step that makes the loss smaller enough and the slope flat enough (the strong
//! Wolfe conditions), by cubic interpolation within a bracket.

use super::lbfgs::dot;
use crate::error::Result;

/// How much smaller the loss must be, as a part of what the slope promises.
const DECREASE: f64 = 1e-4;
/// How flat the slope must be, as a part of the first one.
const FLATNESS: f64 = 0.9;
/// Looks at the loss, at most.
const MOST: usize = 25;

/// Loss and gradient somewhere.
#[derive(Clone)]
pub struct Point {
    pub loss: f64,
    pub gradient: Vec<f64>,
}

/// What was found.
pub struct Found {
    pub point: Point,
    pub length: f64,
    pub evaluations: usize,
}

/// A point along the line.
#[derive(Clone)]
struct Mark {
    length: f64,
    slope: f64,
    point: Point,
}

/// Looks at points along `direction`, the first at `length`, from where the loss is `start` and its slope
/// along the line `slope`. Stops when the bracket is shorter than `tolerance`.
pub fn strong_wolfe(
    look: &mut dyn FnMut(f64) -> Result<Point>,
    length: f64,
    direction: &[f64],
    start: &Point,
    slope: f64,
    tolerance: f64,
) -> Result<Found> {
    let mut search = Search {
        look,
        direction,
        origin: (start.loss, slope),
        tolerance,
        width: direction.iter().fold(0.0, |most, d| most.max(d.abs())),
        evaluations: 0,
    };
    let zero = Mark {
        length: 0.0,
        slope,
        point: start.clone(),
    };
    let (mut bracket, done) = search.bracket(zero, length)?;
    if !done {
        search.zoom(&mut bracket)?;
    }
    let evaluations = search.evaluations;
    let best = match &bracket[..] {
        [a, b] if b.point.loss < a.point.loss => 1,
        _ => 0,
    };
    let Mark { length, point, .. } = bracket.swap_remove(best);
    Ok(Found {
        point,
        length,
        evaluations,
    })
}

struct Search<'a> {
    look: &'a mut dyn FnMut(f64) -> Result<Point>,
    direction: &'a [f64],
    /// Loss and slope where the line begins.
    origin: (f64, f64),
    tolerance: f64,
    /// The largest part of the direction.
    width: f64,
    evaluations: usize,
}

impl Search<'_> {
    fn at(&mut self, length: f64) -> Result<Mark> {
        let point = (self.look)(length)?;
        self.evaluations += 1;
        Ok(Mark {
            length,
            slope: dot(&point.gradient, self.direction),
            point,
        })
    }

    /// Whether the loss is not small enough there.
    fn is_high(&self, mark: &Mark) -> bool {
        let (loss, slope) = self.origin;
        mark.point.loss > loss + DECREASE * mark.length * slope
    }

    fn is_flat(&self, mark: &Mark) -> bool {
        mark.slope.abs() <= -FLATNESS * self.origin.1
    }

    /// Two points between which there is one that will do, or that one alone.
    fn bracket(&mut self, zero: Mark, length: f64) -> Result<(Vec<Mark>, bool)> {
        let mut before = zero.clone();
        let mut mark = self.at(length)?;
        for number in 0..MOST {
            let rises = number > 1 && mark.point.loss >= before.point.loss;
            if self.is_high(&mark) || rises {
                return Ok((vec![before, mark], false));
            }
            if self.is_flat(&mark) {
                return Ok((vec![mark], true));
            }
            if mark.slope >= 0.0 {
                return Ok((vec![before, mark], false));
            }
            let least = mark.length + 0.01 * (mark.length - before.length);
            let next = interpolate(&before, &mark, Some((least, mark.length * 10.0)));
            before = mark;
            mark = self.at(next)?;
        }
        Ok((vec![zero, mark], false))
    }

    /// Makes the bracket shorter until an end of it will do.
    fn zoom(&mut self, bracket: &mut [Mark]) -> Result<()> {
        let [first, second] = bracket else {
            return Ok(());
        };
        if second.point.loss < first.point.loss {
            std::mem::swap(first, second);
        }
        // From here on the first end is the lower one.
        let (low, high) = (first, second);
        let mut stuck = false;
        while self.evaluations <= MOST {
            let span = (high.length - low.length).abs();
            if span * self.width < self.tolerance {
                break;
            }
            let mut length = interpolate(low, high, None);
            let (left, right) = (low.length.min(high.length), low.length.max(high.length));
            // Points too near an end make no progress; the second time in a row they are moved away.
            let edge = 0.1 * (right - left);
            if (right - length).min(length - left) < edge {
                if stuck || length >= right || length <= left {
                    let nearer_right = (length - right).abs() < (length - left).abs();
                    length = if nearer_right {
                        right - edge
                    } else {
                        left + edge
                    };
                    stuck = false;
                } else {
                    stuck = true;
                }
            } else {
                stuck = false;
            }
            let mark = self.at(length)?;
            if self.is_high(&mark) || mark.point.loss >= low.point.loss {
                *high = mark;
                // The ends keep their order.
                if high.point.loss < low.point.loss {
                    std::mem::swap(low, high);
                }
            } else {
                let done = self.is_flat(&mark);
                if !done && mark.slope * (high.length - low.length) >= 0.0 {
                    *high = low.clone();
                }
                *low = mark;
                if done {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Where the cubic through two points with their slopes is lowest, within bounds or between the points.
fn interpolate(a: &Mark, b: &Mark, bounds: Option<(f64, f64)>) -> f64 {
    let (low, high) = bounds.unwrap_or((a.length.min(b.length), a.length.max(b.length)));
    let d1 = a.slope + b.slope - 3.0 * (a.point.loss - b.point.loss) / (a.length - b.length);
    let square = d1 * d1 - a.slope * b.slope;
    if square >= 0.0 {
        let root = square.sqrt();
        let (left, right, d2) = match a.length <= b.length {
            true => (a, b, root),
            false => (b, a, root),
        };
        let span = right.length - left.length;
        let part = (right.slope + d2 - d1) / (right.slope - left.slope + 2.0 * d2);
        return (right.length - span * part).max(low).min(high);
    }
    (low + high) / 2.0
}
