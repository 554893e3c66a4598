//! Window functions. `periodic` ones continue as if repeated, others are symmetric.

use super::composite::{attempt, bad_argument};
use crate::error::Result;
use crate::tensor::Tensor;
use lazulite_ir::DType;
use std::f64::consts::{PI, SQRT_2};

/// Size, kind and element type of a window.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Number of elements.
    pub len: usize,
    /// One period of an endless repetition, rather than symmetric.
    pub periodic: bool,
    /// Element type: f32 or f64.
    pub dtype: DType,
}

impl Window {
    /// A symmetric window, f32.
    pub fn new(len: usize) -> Window {
        Window {
            len,
            periodic: false,
            dtype: DType::F32,
        }
    }

    /// The number of steps that make a whole.
    fn steps(self) -> f64 {
        let steps = if self.periodic {
            self.len
        } else {
            self.len.saturating_sub(1)
        };
        steps.max(1) as f64
    }

    /// Evenly spaced points through a function, in f64 and rounded once.
    #[track_caller]
    fn points(
        self,
        op: &'static str,
        start: f64,
        step: f64,
        shape: impl FnOnce(Tensor) -> Result<Tensor>,
    ) -> Tensor {
        attempt(|| {
            if !matches!(self.dtype, DType::F32 | DType::F64) {
                return Err(bad_argument(
                    op,
                    format!("{} is neither f32 nor f64", self.dtype),
                ));
            }
            if self.len == 1 {
                return Ok(Tensor::full_of([1], 1, self.dtype));
            }
            let points = Tensor::iota(self.len).cast(DType::F64).mul(step).add(start);
            Ok(shape(points)?.cast(self.dtype))
        })
    }

    /// A triangle.
    #[track_caller]
    pub fn bartlett(self) -> Tensor {
        let triangle = |x: Tensor| Ok(x.abs().neg().add(1));
        self.points("bartlett", -1.0, 2.0 / self.steps(), triangle)
    }

    /// A sum of cosines with alternating signs.
    #[track_caller]
    pub fn general_cosine(self, coefficients: &[f64]) -> Tensor {
        self.points("general_cosine", 0.0, 2.0 * PI / self.steps(), |x| {
            if coefficients.is_empty() {
                return Err(bad_argument("general_cosine", "there are no coefficients"));
            }
            let terms = coefficients.iter().enumerate();
            Ok(terms.fold(x.zeros_like(), |sum, (i, a)| {
                let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
                sum.add(x.mul(i).cos().mul(sign * a))
            }))
        })
    }

    /// Two cosine terms, `alpha` and `1 - alpha`.
    #[track_caller]
    pub fn general_hamming(self, alpha: f64) -> Tensor {
        self.general_cosine(&[alpha, 1.0 - alpha])
    }

    /// Hamming's window.
    #[track_caller]
    pub fn hamming(self) -> Tensor {
        self.general_hamming(0.54)
    }

    /// Hann's window.
    #[track_caller]
    pub fn hann(self) -> Tensor {
        self.general_hamming(0.5)
    }

    /// Blackman's window.
    #[track_caller]
    pub fn blackman(self) -> Tensor {
        self.general_cosine(&[0.42, 0.5, 0.08])
    }

    /// Nuttall's window of four terms.
    #[track_caller]
    pub fn nuttall(self) -> Tensor {
        self.general_cosine(&[0.3635819, 0.4891775, 0.1365995, 0.0106411])
    }

    /// Half a sine wave.
    #[track_caller]
    pub fn cosine(self) -> Tensor {
        let step = PI / (self.len + usize::from(self.periodic)).max(1) as f64;
        self.points("cosine", 0.5 * step, step, |x| Ok(x.sin()))
    }

    /// Exponential decay on both sides of the centre (the middle if `None`; symmetric windows have no
    /// other).
    #[track_caller]
    pub fn exponential(self, center: Option<f64>, tau: f64) -> Tensor {
        let middle = if self.len > 1 {
            self.steps() / 2.0
        } else {
            0.0
        };
        self.points(
            "exponential",
            -center.unwrap_or(middle) / tau,
            1.0 / tau,
            |x| {
                if tau <= 0.0 || (center.is_some() && !self.periodic) {
                    let message = format!("tau {tau} is not positive, or the centre is given");
                    return Err(bad_argument("exponential", message));
                }
                Ok(x.abs().neg().exp())
            },
        )
    }

    /// The bell curve with a standard deviation of so many elements.
    #[track_caller]
    pub fn gaussian(self, std: f64) -> Tensor {
        let step = 1.0 / (std * SQRT_2);
        let middle = if self.len > 1 {
            self.steps() / 2.0
        } else {
            0.0
        };
        self.points("gaussian", -middle * step, step, |x| {
            if std <= 0.0 {
                return Err(bad_argument(
                    "gaussian",
                    format!("the deviation {std} is not positive"),
                ));
            }
            Ok(x.square().neg().exp())
        })
    }

    /// Kaiser's window.
    #[track_caller]
    pub fn kaiser(self, beta: f64) -> Tensor {
        self.points("kaiser", -beta, 2.0 * beta / self.steps(), |x| {
            if beta < 0.0 {
                return Err(bad_argument("kaiser", format!("beta {beta} is negative")));
            }
            let root = x.square().neg().add(beta * beta).maximum(0).sqrt();
            Ok(root.i0().div(Tensor::full_of((), beta, DType::F64).i0()))
        })
    }
}
