//! Resampling images: to other sizes, and at the points of a grid.

use super::composite::{attempt, bad_argument, bad_shape, sane};
use crate::tensor::{Dim, Tensor};
use lazulite_ir::DType;

/// How elements between samples come about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ResampleMode {
    /// The element before, as PyTorch's `nearest`.
    #[default]
    Nearest,
    /// The nearest element, as PyTorch's `nearest-exact` and the `nearest` of grids.
    NearestExact,
    /// In proportion to the distances along every axis: linear, bilinear, trilinear.
    Linear,
    /// By cubic polynomials along every axis.
    Cubic,
    /// The mean of the area.
    Area,
}

/// What lies outside an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Outside {
    /// Zeros.
    #[default]
    Zeros,
    /// The edge.
    Border,
    /// The mirrored image.
    Reflection,
}

/// The coefficient of cubic convolution that PyTorch uses.
const CUBIC: f64 = -0.75;

impl Tensor {
    /// Resamples the axes behind the first two to the given sizes. `scales` (by which the sizes were
    /// multiplied) count instead of the ratio of sizes where given; with `align_corners` the first and
    /// last elements stay in place.
    #[track_caller]
    pub fn interpolate(
        &self,
        sizes: &[usize],
        scales: Option<&[f64]>,
        mode: ResampleMode,
        align_corners: bool,
    ) -> Tensor {
        attempt(|| {
            for &size in sizes {
                sane("interpolate", size)?;
            }
            let dims = self.known_dims()?;
            if dims.len() != sizes.len() + 2 || sizes.contains(&0) || dims[1..].contains(&0) {
                let message = format!("{:?} cannot be resampled to {sizes:?}", &dims);
                return Err(bad_shape("interpolate", message).operand(self.note("self")));
            }
            if scales.is_some_and(|s| s.len() != sizes.len()) {
                return Err(bad_argument("interpolate", "there is one scale per size"));
            }
            if mode == ResampleMode::Area {
                let counts: Vec<Option<usize>> = sizes.iter().map(|s| Some(*s)).collect();
                return Ok(self.adaptive_avg_pool(&counts));
            }
            let mut x = self.clone();
            for (i, &size) in sizes.iter().enumerate() {
                let len = dims[i + 2];
                let ratio = match scales {
                    Some(scales) if scales[i] > 0.0 => 1.0 / scales[i],
                    _ => len as f64 / size as f64,
                };
                let source = source_positions(len, size, ratio, mode, align_corners);
                x = x.resample_axis(i + 2, len, &source, mode);
            }
            Ok(x)
        })
    }

    /// One axis read at fractional positions.
    #[track_caller]
    fn resample_axis(&self, axis: usize, len: usize, source: &[f64], mode: ResampleMode) -> Tensor {
        let rank = self.rank().unwrap_or(axis + 1);
        let taps: Vec<(Vec<i64>, Vec<f64>)> = match mode {
            ResampleMode::Linear => (0..2).map(|k| linear_tap(source, k)).collect(),
            ResampleMode::Cubic => (0..4).map(|k| cubic_tap(source, k)).collect(),
            ResampleMode::Nearest | ResampleMode::NearestExact | ResampleMode::Area => {
                let places = source.iter().map(|s| s.floor() as i64).collect();
                vec![(places, Vec::new())]
            }
        };
        let read = |places: &[i64]| {
            let clamped = places
                .iter()
                .map(|p| (*p).clamp(0, len as i64 - 1))
                .collect();
            self.index_select(axis as i64, &Tensor::table(clamped, [places.len()]))
        };
        let mut sum: Option<Tensor> = None;
        for (places, weights) in &taps {
            let part = read(places);
            let part = match weights[..] {
                [] => part,
                _ => {
                    let weights = Tensor::table(weights.clone(), [weights.len()]);
                    match self.dtype() {
                        Ok(dtype) => part.mul(weights.cast(dtype).along(axis, rank)),
                        Err(e) => Tensor::error(e),
                    }
                }
            };
            sum = Some(sum.map_or(part.clone(), |s| s.add(part)));
        }
        sum.unwrap_or_else(|| self.clone())
    }

    /// Reads images `[n, c, (d,) h, w]` at the points of a grid `[n, (d,) h, w, axes]`, whose coordinates
    /// (the last axis first) run from -1 to 1: between the centres of the outermost elements with
    /// `align_corners`, else between their outer edges.
    #[track_caller]
    pub fn grid_sample(
        &self,
        grid: &Tensor,
        mode: ResampleMode,
        outside: Outside,
        align_corners: bool,
    ) -> Tensor {
        attempt(|| {
            let (dims, points) = (self.known_dims()?, grid.known_dims()?);
            let axes = dims.len().saturating_sub(2);
            let fits = (2..=3).contains(&axes)
                && points.len() == dims.len()
                && points[0] == dims[0]
                && points[axes + 1] == axes
                && !dims[1..].contains(&0);
            let cubic_volume = mode == ResampleMode::Cubic && axes == 3;
            if !fits || mode == ResampleMode::Area || cubic_volume {
                let error = bad_shape("grid_sample", "the grid or mode does not fit the image");
                return Err(error.operand(self.note("self")).operand(grid.note("grid")));
            }
            let sampler = Sampler {
                flat: self.flatten(2, -1),
                sizes: dims[2..].to_vec(),
                outside,
                align_corners,
            };
            let scaled: Vec<Tensor> = (0..axes)
                .map(|i| {
                    // Coordinates are listed from the last axis to the first.
                    let coordinate = grid.select(-1, (axes - 1 - i) as i64).flatten(1, -1);
                    sampler.scaled(&coordinate, i)
                })
                .collect();
            let result = match mode {
                ResampleMode::Linear => sampler.linear(&scaled),
                ResampleMode::Cubic => sampler.cubic(&scaled),
                ResampleMode::Nearest | ResampleMode::NearestExact | ResampleMode::Area => {
                    sampler.nearest(&scaled)
                }
            };
            let mut shape: Vec<Dim> = vec![self.dim(0), self.dim(1)];
            shape.extend(points[1..=axes].iter().map(|d| Dim::from(*d)));
            Ok(result.reshape(shape))
        })
    }

    /// The grid of an affine map for [`Tensor::grid_sample`]: this tensor holds the maps, `[n, axes, axes
    /// + 1]`, and `sizes` are those of the grid.
    #[track_caller]
    pub fn affine_grid(&self, sizes: &[usize], align_corners: bool) -> Tensor {
        attempt(|| {
            let axes = sizes.len();
            let n = self.dim(0);
            if self.known_sizes(1..)? != [axes, axes + 1] {
                let error = bad_shape("affine_grid", format!("maps of {axes} axes are expected"));
                return Err(error.operand(self.note("self")));
            }
            let coordinate = |size: usize| {
                let edge = match (align_corners, size) {
                    (_, 1) => 0.0,
                    (true, _) => 1.0,
                    (false, _) => 1.0 - 1.0 / size as f64,
                };
                Tensor::linspace(-edge, edge, size)
            };
            let vectors: Vec<Tensor> = sizes.iter().map(|s| coordinate(*s)).collect();
            let mut columns = Tensor::meshgrid(&vectors.iter().collect::<Vec<_>>());
            columns.reverse();
            columns.push(Tensor::ones(sizes));
            let base = Tensor::stack(&columns.iter().collect::<Vec<_>>(), -1).cast(self.dtype()?);
            let points = base
                .reshape([-1, axes as i64 + 1])
                .unsqueeze(0)
                .matmul(&self.mt());
            let mut shape = vec![n];
            shape.extend(sizes.iter().map(|s| Dim::from(*s)));
            shape.push(Dim::from(axes));
            Ok(points.reshape(shape))
        })
    }
}

/// Where the elements of a resampled axis come from.
fn source_positions(
    len: usize,
    size: usize,
    ratio: f64,
    mode: ResampleMode,
    align_corners: bool,
) -> Vec<f64> {
    // PyTorch computes positions in single precision, which decides ties.
    let ratio = match align_corners {
        true if size > 1 => (len - 1) as f32 / (size - 1) as f32,
        true => 0.0,
        false => ratio as f32,
    };
    let position = |i: usize| {
        let i = i as f32;
        let centred = ratio * (i + 0.5) - 0.5;
        f64::from(match mode {
            ResampleMode::Nearest => i * ratio,
            ResampleMode::NearestExact => (i + 0.5) * ratio,
            _ if align_corners => i * ratio,
            ResampleMode::Linear => centred.max(0.0),
            ResampleMode::Cubic | ResampleMode::Area => centred,
        })
    };
    (0..size).map(position).collect()
}

fn linear_tap(source: &[f64], k: i64) -> (Vec<i64>, Vec<f64>) {
    let part = |s: &f64| {
        let fraction = s - s.floor();
        let weight = if k == 0 { 1.0 - fraction } else { fraction };
        (s.floor() as i64 + k, weight)
    };
    source.iter().map(part).unzip()
}

fn cubic_tap(source: &[f64], k: i64) -> (Vec<i64>, Vec<f64>) {
    let part = |s: &f64| {
        let fraction = s - s.floor();
        let distance = (fraction + 1.0 - k as f64).abs();
        (s.floor() as i64 - 1 + k, cubic_weight(distance))
    };
    source.iter().map(part).unzip()
}

/// The kernel of cubic convolution at a distance from 0 to 2.
fn cubic_weight(x: f64) -> f64 {
    if x <= 1.0 {
        ((CUBIC + 2.0) * x - (CUBIC + 3.0)) * x * x + 1.0
    } else {
        ((CUBIC * x - 5.0 * CUBIC) * x + 8.0 * CUBIC) * x - 4.0 * CUBIC
    }
}

/// [`cubic_weight`] of a tensor, inside or outside the inner part.
#[track_caller]
fn cubic_weights(x: &Tensor, inner: bool) -> Tensor {
    match inner {
        true => x.mul(CUBIC + 2.0).sub(CUBIC + 3.0).mul(x.square()).add(1),
        false => x
            .mul(CUBIC)
            .sub(5.0 * CUBIC)
            .mul(x)
            .add(8.0 * CUBIC)
            .mul(x)
            .sub(4.0 * CUBIC),
    }
}

/// An image read at points.
struct Sampler {
    /// The image with its axes flattened: `[n, c, elements]`.
    flat: Tensor,
    sizes: Vec<usize>,
    outside: Outside,
    align_corners: bool,
}

impl Sampler {
    /// Coordinates from -1 to 1 as positions along an axis.
    #[track_caller]
    fn scaled(&self, coordinate: &Tensor, axis: usize) -> Tensor {
        let size = self.sizes[axis] as f64;
        match self.align_corners {
            true => coordinate.add(1).mul((size - 1.0) / 2.0),
            false => coordinate.add(1).mul(size).sub(1).div(2),
        }
    }

    /// Positions outside brought inside, unless zeros lie there.
    #[track_caller]
    fn inward(&self, position: &Tensor, axis: usize) -> Tensor {
        let size = self.sizes[axis] as f64;
        match self.outside {
            Outside::Zeros => position.clone(),
            Outside::Border => position.clamp(0.0, size - 1.0),
            Outside::Reflection => {
                let (low, span) = match self.align_corners {
                    true => (0.0, size - 1.0),
                    false => (-0.5, size),
                };
                if span == 0.0 {
                    return position.zeros_like();
                }
                // A triangle wave of twice the span.
                let phase = position.sub(low).abs().fmod(2.0 * span);
                let mirrored = phase.sub(span).abs().neg().add(span + low);
                mirrored.clamp(0.0, size - 1.0)
            }
        }
    }

    /// The elements at whole positions, 0 outside: `[n, c, points]`.
    #[track_caller]
    fn read(&self, positions: &[Tensor]) -> Tensor {
        let mut index = Tensor::full((), 0);
        let mut inside = Tensor::full_of((), true, DType::Bool);
        for (position, &size) in positions.iter().zip(&self.sizes) {
            let (low, high) = (position.ge(0), position.le(size as f64 - 1.0));
            inside = inside.bitwise_and(low).bitwise_and(high);
            let place = position.clamp(0.0, size as f64 - 1.0);
            // NaN reads somewhere and counts nothing.
            let place = place.isnan().where_(0.0, place).cast(DType::I64);
            index = index.mul(size).add(place);
        }
        let (index, inside) = (index.unsqueeze(1), inside.unsqueeze(1));
        let shape = [self.flat.dim(0), self.flat.dim(1), index.dim(2)];
        let read = self.flat.gather(2, &index.expand(shape));
        inside.where_(read, 0)
    }

    #[track_caller]
    fn nearest(&self, positions: &[Tensor]) -> Tensor {
        let axes = positions.iter().enumerate();
        let rounded: Vec<Tensor> = axes.map(|(i, p)| self.inward(p, i).round()).collect();
        self.read(&rounded)
    }

    #[track_caller]
    fn linear(&self, positions: &[Tensor]) -> Tensor {
        let axes = positions.iter().enumerate();
        let positions: Vec<Tensor> = axes.map(|(i, p)| self.inward(p, i)).collect();
        let corners = (0..1usize << positions.len()).map(|corner| {
            let mut places = Vec::new();
            let mut weight: Option<Tensor> = None;
            for (i, position) in positions.iter().enumerate() {
                let upper = corner >> i & 1 == 1;
                let floor = position.floor();
                let fraction = position.sub(&floor);
                let part = if upper {
                    fraction
                } else {
                    fraction.neg().add(1)
                };
                places.push(if upper { floor.add(1) } else { floor });
                weight = Some(weight.map_or(part.clone(), |w| w.mul(part)));
            }
            let read = self.read(&places);
            weight.map_or(read.clone(), |w| read.mul(w.unsqueeze(1)))
        });
        sum_of(corners)
    }

    #[track_caller]
    fn cubic(&self, positions: &[Tensor]) -> Tensor {
        let [row, column] = positions else {
            return self.linear(positions);
        };
        let taps = |position: &Tensor, axis: usize| -> Vec<(Tensor, Tensor)> {
            let floor = position.floor();
            let fraction = position.sub(&floor);
            let tap = |k: i64| {
                let distance = fraction.add(1 - k).abs();
                let weight = cubic_weights(&distance, k == 1 || k == 2);
                (self.inward(&floor.add(k - 1), axis), weight)
            };
            (0..4).map(tap).collect()
        };
        let (rows, columns) = (taps(row, 0), taps(column, 1));
        let parts = rows.iter().flat_map(|(y, by)| {
            columns.iter().map(|(x, across)| {
                let read = self.read(&[y.clone(), x.clone()]);
                read.mul(by.mul(across).unsqueeze(1))
            })
        });
        sum_of(parts)
    }
}

#[track_caller]
fn sum_of(parts: impl Iterator<Item = Tensor>) -> Tensor {
    let sum = parts.reduce(|sum, part| sum.add(part));
    sum.unwrap_or_else(|| Tensor::error(bad_argument("grid_sample", "there are no axes")))
}
