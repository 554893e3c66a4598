//! Digits drawn by chance: a data set for trying things out that needs no files.
//!
//! Every image is drawn when it is asked for, in a few microseconds: the strokes of a digit as a pen would draw them,
//! bent and placed by chance, with a pen of some width, on noisy paper. Seed and number determine an image.
//!
//! ```
//! use lazulite::data::{DataLoader, digits::Digits};
//!
//! let loader = DataLoader::new(Digits::train(1000, 7)).batch_size(100).shuffle(7);
//! for (images, labels) in loader.iter().take(1) {
//!     assert_eq!(images.dims()?, [100, 1, 28, 28]);
//!     assert_eq!(labels.dims()?, [100]);
//! }
//! # Ok::<(), lazulite::Error>(())
//! ```

use super::collate::joined;
use super::dataset::{Dataset, no_example};
use super::shuffle::{Chance, numbers};
use crate::element::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::Tensor;
use lazulite_ir::{DType, Dim, TensorType};

/// Rows and columns of an image.
pub const SIDE: usize = 28;

/// Kinds of digits.
pub const CLASSES: usize = 10;

/// Elements of an image.
const PIXELS: usize = SIDE * SIDE;

/// Images `f32[1, 28, 28]` between 0 (paper) and 1 (ink), and the digits on them.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    count: usize,
    seed: u64,
    stream: u64,
}

impl Digits {
    /// Images to train with.
    pub fn train(count: usize, seed: u64) -> Digits {
        Digits {
            count,
            seed,
            stream: 1,
        }
    }

    /// Images to test with: others than those for training, whatever the seeds.
    pub fn test(count: usize, seed: u64) -> Digits {
        Digits {
            count,
            seed,
            stream: 2,
        }
    }

    /// All images `f32[count, 1, 28, 28]` and digits `i64[count]`.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn tensors(&self) -> Result<(Tensor, Tensor)> {
        self.batch(&numbers(0..self.count)?)
    }

    /// Draws an image, row by row, and says which digit it is.
    pub fn draw(&self, index: usize) -> (Vec<f32>, usize) {
        let mut pixels = vec![0.0; PIXELS];
        let digit = self.draw_into(index, &mut pixels);
        (pixels, digit)
    }

    fn draw_into(&self, index: usize, pixels: &mut [f32]) -> usize {
        let mut chance = Chance::new(self.seed, self.stream, index as u64);
        let digit = chance.below(CLASSES);
        let hand = Hand::new(&mut chance);
        let forms = FORMS[digit];
        for stroke in forms[chance.below(forms.len())] {
            let points: Vec<Point> = { stroke.iter() }
                .map(|&point| hand.place(point, &mut chance))
                .collect();
            hand.draw(&points, pixels);
        }
        let noise = chance.between(0.0, 0.25);
        for pixel in pixels {
            *pixel = (*pixel * hand.ink + noise * (chance.unit() - 0.5)).clamp(0.0, 1.0);
        }
        digit
    }
}

/// The type of one image.
fn image() -> TensorType {
    let side = Dim::constant(SIDE as i64);
    TensorType::new(DType::F32, [Dim::constant(1), side.clone(), side])
}

impl Dataset for Digits {
    type Item = (Tensor, i64);

    fn len(&self) -> usize {
        self.count
    }

    fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        let (images, digits) = self.batch(&[index])?;
        let digit = digits.item::<i64>()?;
        Ok((images.squeeze(0).realize()?, digit))
    }

    fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        if let Some(&index) = indices.iter().find(|i| **i >= self.count) {
            return Err(no_example(index, self.count));
        }
        let mut pixels = Vec::new();
        let elements = indices.len().saturating_mul(PIXELS);
        pixels.try_reserve_exact(elements).map_err(|_| {
            let message = format!("there is no memory for {} images", indices.len());
            Error::new(ErrorKind::Memory, "dataset", message)
        })?;
        pixels.resize(elements, 0.0f32);
        let each = indices.iter().zip(pixels.chunks_exact_mut(PIXELS));
        let digits = each.map(|(&index, pixels)| self.draw_into(index, pixels) as i64);
        let digits: Vec<i64> = digits.collect();
        let images = joined(indices.len(), &image(), f32::as_bytes(&pixels))?;
        let digits = Tensor::from_vec(digits, [indices.len()]);
        digits.check().map(|()| (images, digits))
    }
}

/// Right and down.
type Point = (f32, f32);

/// Where the pen goes through, smoothly; in a square from (0, 0) to (1, 1).
type Stroke = &'static [Point];

/// The strokes of each digit, in the ways in which people write it.
const FORMS: [&[&[Stroke]]; CLASSES] = [
    &[&[&[
        (0.5, 0.1),
        (0.27, 0.25),
        (0.2, 0.5),
        (0.27, 0.75),
        (0.5, 0.9),
        (0.73, 0.75),
        (0.8, 0.5),
        (0.73, 0.25),
        (0.5, 0.1),
    ]]],
    &[
        &[&[(0.33, 0.3), (0.53, 0.1)], &[(0.53, 0.1), (0.52, 0.9)]],
        &[&[(0.5, 0.1), (0.5, 0.9)]],
        &[
            &[(0.33, 0.3), (0.53, 0.1)],
            &[(0.53, 0.1), (0.52, 0.9)],
            &[(0.3, 0.9), (0.74, 0.9)],
        ],
    ],
    &[&[
        &[
            (0.22, 0.3),
            (0.3, 0.15),
            (0.5, 0.1),
            (0.72, 0.2),
            (0.72, 0.4),
            (0.52, 0.63),
            (0.22, 0.9),
        ],
        &[(0.22, 0.9), (0.8, 0.9)],
    ]],
    &[
        &[
            &[
                (0.24, 0.18),
                (0.5, 0.1),
                (0.72, 0.22),
                (0.67, 0.4),
                (0.43, 0.48),
            ],
            &[
                (0.43, 0.48),
                (0.7, 0.55),
                (0.77, 0.72),
                (0.55, 0.9),
                (0.22, 0.82),
            ],
        ],
        &[
            &[(0.22, 0.1), (0.75, 0.1)],
            &[(0.75, 0.1), (0.45, 0.45)],
            &[
                (0.45, 0.45),
                (0.7, 0.52),
                (0.77, 0.72),
                (0.55, 0.9),
                (0.22, 0.82),
            ],
        ],
    ],
    &[
        &[
            &[(0.62, 0.1), (0.2, 0.63)],
            &[(0.2, 0.63), (0.84, 0.63)],
            &[(0.62, 0.1), (0.62, 0.9)],
        ],
        &[
            &[(0.32, 0.12), (0.24, 0.55)],
            &[(0.24, 0.55), (0.82, 0.53)],
            &[(0.66, 0.12), (0.61, 0.9)],
        ],
    ],
    &[&[
        &[(0.76, 0.1), (0.32, 0.1)],
        &[(0.32, 0.1), (0.27, 0.46)],
        &[
            (0.27, 0.46),
            (0.52, 0.39),
            (0.75, 0.52),
            (0.74, 0.74),
            (0.52, 0.9),
            (0.22, 0.82),
        ],
    ]],
    &[&[&[
        (0.68, 0.12),
        (0.42, 0.25),
        (0.26, 0.5),
        (0.26, 0.75),
        (0.5, 0.9),
        (0.73, 0.78),
        (0.71, 0.58),
        (0.5, 0.48),
        (0.28, 0.64),
    ]]],
    &[
        &[
            &[(0.2, 0.1), (0.8, 0.1)],
            &[(0.8, 0.1), (0.56, 0.45), (0.42, 0.9)],
        ],
        &[
            &[(0.2, 0.1), (0.8, 0.1)],
            &[(0.8, 0.1), (0.56, 0.45), (0.42, 0.9)],
            &[(0.36, 0.5), (0.74, 0.5)],
        ],
    ],
    &[&[&[
        (0.5, 0.48),
        (0.3, 0.34),
        (0.33, 0.16),
        (0.5, 0.1),
        (0.67, 0.16),
        (0.7, 0.34),
        (0.5, 0.48),
        (0.27, 0.62),
        (0.26, 0.8),
        (0.5, 0.9),
        (0.74, 0.8),
        (0.73, 0.62),
        (0.5, 0.48),
    ]]],
    &[
        &[&[
            (0.72, 0.35),
            (0.52, 0.5),
            (0.3, 0.42),
            (0.28, 0.22),
            (0.5, 0.1),
            (0.7, 0.18),
            (0.74, 0.4),
            (0.68, 0.68),
            (0.5, 0.9),
        ]],
        &[
            &[
                (0.71, 0.32),
                (0.52, 0.48),
                (0.3, 0.42),
                (0.28, 0.22),
                (0.5, 0.1),
                (0.7, 0.2),
                (0.71, 0.32),
            ],
            &[(0.71, 0.15), (0.7, 0.9)],
        ],
    ],
];

/// How far a point strays from where it belongs.
const STRAY: f32 = 0.025;

/// Straight pieces between two points of a stroke.
const PIECES: usize = 5;

/// How one image is written: size, slant, place, and the pen.
struct Hand {
    /// Columns for right and down, and the middle.
    axes: [Point; 2],
    middle: Point,
    /// Half the width of a stroke, in pixels.
    radius: f32,
    /// How dark it is.
    ink: f32,
}

impl Hand {
    fn new(chance: &mut Chance) -> Hand {
        let (sin, cos) = chance.between(-0.26, 0.26).sin_cos();
        let shear = chance.between(-0.25, 0.25);
        let (width, height) = (chance.between(14.0, 22.0), chance.between(18.0, 24.0));
        let centre = SIDE as f32 / 2.0;
        Hand {
            axes: [
                (cos * width, sin * width),
                ((shear * cos - sin) * height, (shear * sin + cos) * height),
            ],
            middle: (
                centre + chance.between(-2.5, 2.5),
                centre + chance.between(-2.0, 2.0),
            ),
            radius: chance.between(0.7, 1.7),
            ink: chance.between(0.75, 1.0),
        }
    }

    /// A point of a stroke in the image.
    fn place(&self, (x, y): Point, chance: &mut Chance) -> Point {
        let x = x - 0.5 + chance.between(-STRAY, STRAY);
        let y = y - 0.5 + chance.between(-STRAY, STRAY);
        let [right, down] = self.axes;
        (
            self.middle.0 + x * right.0 + y * down.0,
            self.middle.1 + x * right.1 + y * down.1,
        )
    }

    /// Draws a stroke through the points.
    fn draw(&self, points: &[Point], pixels: &mut [f32]) {
        let at = |i: usize| points[i.min(points.len() - 1)];
        let pieces = if points.len() == 2 { 1 } else { PIECES };
        let mut from = at(0);
        for i in 1..points.len() {
            let span = [at(i.saturating_sub(2)), at(i - 1), at(i), at(i + 1)];
            for piece in 1..=pieces {
                let to = smooth(&span, piece as f32 / pieces as f32);
                self.line(from, to, pixels);
                from = to;
            }
        }
    }

    /// Draws a straight piece: pixels near it become darker, never lighter.
    fn line(&self, from: Point, to: Point, pixels: &mut [f32]) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let scale = 1.0 / (dx * dx + dy * dy).max(1e-6);
        let reach = self.radius + 0.5;
        let range = |a: f32, b: f32| {
            // Negative numbers become 0.
            let first = (a.min(b) - reach).ceil() as usize;
            let end = (a.max(b) + reach).floor() as usize + 1;
            first.min(SIDE)..end.min(SIDE)
        };
        let columns = range(from.0, to.0);
        for row in range(from.1, to.1) {
            let y = row as f32 - from.1;
            for column in columns.clone() {
                let x = column as f32 - from.0;
                let along = ((x * dx + y * dy) * scale).clamp(0.0, 1.0);
                let (x, y) = (x - along * dx, y - along * dy);
                let ink = (reach - (x * x + y * y).sqrt()).clamp(0.0, 1.0);
                let pixel = &mut pixels[row * SIDE + column];
                *pixel = pixel.max(ink);
            }
        }
    }
}

/// The curve of Catmull and Rom between the second and the third point.
fn smooth(points: &[Point; 4], t: f32) -> Point {
    let (t2, t3) = (t * t, t * t * t);
    let weights = [
        -t + 2.0 * t2 - t3,
        2.0 - 5.0 * t2 + 3.0 * t3,
        t + 4.0 * t2 - 3.0 * t3,
        t3 - t2,
    ];
    let each = points.iter().zip(weights);
    each.fold((0.0, 0.0), |(x, y), (point, weight)| {
        (x + 0.5 * weight * point.0, y + 0.5 * weight * point.1)
    })
}
