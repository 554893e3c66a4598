//! Activation functions and dropout, as in torch.nn.functional.

use super::composite::{attempt, bad_argument, bad_dtype, bad_shape};
use crate::error::Result;
use crate::tensor::{Applied, Argument, Derivative, Dim, Number, Tensor, binary, composite};
use lazulite_ir::{Binary, DType};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// The constants of [`Tensor::selu`], for which activations keep mean 0 and variance 1.
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

/// Factor and cubic coefficient of what the tangent in [`Tensor::gelu_tanh`] is taken of, twice.
const GELU_GATE: [f64; 2] = [2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2, 0.044715];

impl Tensor {
    /// `1 / (1 + exp(-x))`.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::zeros([1]).sigmoid().to_vec::<f32>()?, [0.5]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("expit"))]
    #[track_caller]
    pub fn sigmoid(&self) -> Tensor {
        let x = self.to_floating();
        let slope = Derivative::Both(pull_sigmoid, push_sigmoid);
        composite("sigmoid", &[], slope, &[&x], || {
            x.neg().exp().add(1).reciprocal()
        })
    }

    /// `max(x, 0)`; NaN stays NaN.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::from([-1.0f32, 2.0]).relu().to_vec::<f32>()?, [0.0, 2.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn relu(&self) -> Tensor {
        if self.dtype().is_ok_and(|dtype| dtype == DType::Bool) {
            return Tensor::error(bad_dtype("relu", self));
        }
        // The slope is not that of a maximum, which is halved where both are equal.
        let slope = Derivative::Both(slope_of_relu, slope_of_relu);
        composite("relu", &[], slope, &[self], || {
            // The number first: then NaN stays NaN by itself.
            binary("relu", Binary::Max, 0.into(), self.into()).type_as(self)
        })
    }

    /// `x * sigmoid(x)`.
    #[doc(alias("swish"))]
    #[track_caller]
    pub fn silu(&self) -> Tensor {
        let x = self.to_floating();
        composite("silu", &[], by_slope!(slope_of_silu), &[&x], || {
            gated(&x, &x)
        })
    }

    /// The Gaussian error linear unit, exact: `x/2 * (1 + erf(x / sqrt 2))`.
    #[track_caller]
    pub fn gelu(&self) -> Tensor {
        composite("gelu", &[], Derivative::Definition, &[self], || {
            let scaled = self.mul(FRAC_1_SQRT_2);
            self.mul(0.5).mul(scaled.erf().add(1))
        })
    }

    /// The approximation of [`Tensor::gelu`] by the hyperbolic tangent:
    /// `x/2 * (1 + tanh u)`, which is `x * sigmoid(2u)`, with `u = sqrt(2/pi) * (x + 0.044715 x^3)`.
    #[track_caller]
    pub fn gelu_tanh(&self) -> Tensor {
        let x = self.to_floating();
        // By the sigmoid: it is cheaper, and exact where 1 and the tangent would cancel.
        composite(
            "gelu_tanh",
            &[],
            by_slope!(slope_of_gelu_tanh),
            &[&x],
            || gated(&x, &gelu_gate(&x)),
        )
    }

    /// `max(0, x) + min(0, exp(x) - 1)`.
    #[track_caller]
    pub fn celu(&self) -> Tensor {
        self.celu_with(1.0)
    }

    /// `max(0, x) + min(0, alpha (exp(x / alpha) - 1))`.
    #[track_caller]
    pub fn celu_with(&self, alpha: f64) -> Tensor {
        let positive = self.gt(0);
        let below = positive.where_(0, self).div(alpha).expm1().mul(alpha);
        positive.where_(self, below)
    }

    /// x where positive, `exp(x) - 1` elsewhere.
    #[track_caller]
    pub fn elu(&self) -> Tensor {
        self.elu_with(1.0)
    }

    /// x where positive, `alpha (exp(x) - 1)` elsewhere.
    #[track_caller]
    pub fn elu_with(&self, alpha: f64) -> Tensor {
        // What is not chosen must not overflow: its gradient would be NaN.
        let positive = self.gt(0);
        let below = positive.where_(0, self).expm1().mul(alpha);
        positive.where_(self, below)
    }

    /// The scaled exponential linear unit.
    #[track_caller]
    pub fn selu(&self) -> Tensor {
        self.elu_with(SELU_ALPHA).mul(SELU_SCALE)
    }

    /// The first half of an axis times the sigmoid of the second.
    #[track_caller]
    pub fn glu(&self, axis: i64) -> Tensor {
        attempt(|| {
            let at = self.axis("glu", axis)?;
            let size = match self.known_dims()?.get(at) {
                Some(size) if size % 2 == 0 => size / 2,
                _ => {
                    let error = bad_shape("glu", format!("axis {axis} does not halve"));
                    return Err(error.operand(self.note("self")));
                }
            };
            Ok(self
                .narrow(axis, 0, size)
                .mul(self.narrow(axis, size, size).sigmoid()))
        })
    }

    /// x where its magnitude is above 0.5, 0 elsewhere.
    #[track_caller]
    pub fn hardshrink(&self) -> Tensor {
        self.hardshrink_with(0.5)
    }

    /// x where its magnitude is above `lambda`, 0 elsewhere.
    #[track_caller]
    pub fn hardshrink_with(&self, lambda: f64) -> Tensor {
        let small = self.ge(-lambda).bitwise_and(self.le(lambda));
        small.where_(self.zeros_like(), self)
    }

    /// x moved towards 0 by 0.5.
    #[track_caller]
    pub fn softshrink(&self) -> Tensor {
        self.softshrink_with(0.5)
    }

    /// x moved towards 0 by `lambda`, which must not be negative.
    #[track_caller]
    pub fn softshrink_with(&self, lambda: f64) -> Tensor {
        attempt(|| {
            if lambda < 0.0 {
                let error = bad_argument("softshrink", format!("lambda {lambda} is negative"));
                return Err(error.operand(self.note("self")));
            }
            let inside = self.isnan().where_(self, self.zeros_like());
            let below = self.lt(-lambda).where_(self.add(lambda), inside);
            Ok(self.gt(lambda).where_(self.sub(lambda), below))
        })
    }

    /// `clamp(x + 3, 0, 6) / 6`.
    #[track_caller]
    pub fn hardsigmoid(&self) -> Tensor {
        self.add(3).hardtanh_with(0, 6).div(6)
    }

    /// `x * hardsigmoid(x)`.
    #[track_caller]
    pub fn hardswish(&self) -> Tensor {
        self.mul(self.hardsigmoid())
    }

    /// Kept between -1 and 1.
    #[track_caller]
    pub fn hardtanh(&self) -> Tensor {
        self.hardtanh_with(-1, 1)
    }

    /// Kept between two bounds, of the tensor's element type.
    #[track_caller]
    pub fn hardtanh_with(&self, low: impl Into<Number>, high: impl Into<Number>) -> Tensor {
        attempt(|| {
            if self.dtype()? == DType::Bool {
                return Err(bad_dtype("hardtanh", self));
            }
            let (low, high) = (low.into(), high.into());
            let order = |n: Number| n.scalar(DType::F64).as_f64();
            if order(low) > order(high) {
                let message = format!("the bounds {low:?} and {high:?} are in the wrong order");
                return Err(bad_argument("hardtanh", message));
            }
            // Flat at the bounds, too.
            let (low, high) = (self.full_like(low), self.full_like(high));
            let inside = self.gt(&low).bitwise_and(self.lt(&high));
            Ok(inside.where_(self, self.clamp(low, high).detach()))
        })
    }

    /// x where positive, `0.01 x` elsewhere.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([-100.0f32, 2.0]);
    /// assert_eq!(x.leaky_relu().to_vec::<f32>()?, [-1.0, 2.0]);
    /// assert_eq!(x.leaky_relu_with(0.5).to_vec::<f32>()?, [-50.0, 2.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn leaky_relu(&self) -> Tensor {
        self.leaky_relu_with(0.01)
    }

    /// x where positive, `slope * x` elsewhere.
    #[track_caller]
    pub fn leaky_relu_with(&self, slope: f64) -> Tensor {
        self.gt(0).where_(self, self.mul(slope))
    }

    /// `log(sigmoid(x))`, accurate everywhere.
    #[track_caller]
    pub fn logsigmoid(&self) -> Tensor {
        self.minimum(0).sub(self.abs().neg().exp().log1p())
    }

    /// `x * tanh(softplus(x))`.
    #[track_caller]
    pub fn mish(&self) -> Tensor {
        self.mul(self.softplus().tanh())
    }

    /// x where positive, elsewhere x times `weight`: one number, or one per channel (axis 1).
    #[track_caller]
    pub fn prelu(&self, weight: &Tensor) -> Tensor {
        attempt(|| {
            let rank = self.rank()?;
            if weight.dtype()? != self.dtype()? || weight.rank()? > 1 {
                let message = "the weight is a number or vector of the tensor's element type";
                let error = bad_argument("prelu", message).operand(self.note("self"));
                return Err(error.operand(weight.note("weight")));
            }
            let shared = weight.node()?.ty.dims.iter().all(|d| d.is(1));
            let weight = match rank {
                0 | 1 => weight.reshape([1i64]),
                _ if shared => weight.reshape([1i64]),
                _ if weight.dim(0).0?.compare_eq(&self.dim(1).0?) == Some(false) => {
                    let error = bad_shape("prelu", "there is one weight per channel");
                    let error = error.operand(self.note("self"));
                    return Err(error.operand(weight.note("weight")));
                }
                _ => weight.along(1, rank),
            };
            let below = self.mul(weight);
            let below = if rank == 0 { below.squeeze(0) } else { below };
            Ok(self.gt(0).where_(self, below))
        })
    }

    /// Kept between 0 and 6.
    #[track_caller]
    pub fn relu6(&self) -> Tensor {
        self.hardtanh_with(0, 6)
    }

    /// x where not negative, elsewhere x times a random slope between the bounds if `training`, else times
    /// their mean.
    #[track_caller]
    pub fn rrelu(&self, lower: f64, upper: f64, training: bool) -> Tensor {
        attempt(|| {
            if lower > upper {
                let message = format!("the bounds {lower} and {upper} are in the wrong order");
                return Err(bad_argument("rrelu", message));
            }
            let slope: Argument = match training {
                false => ((lower + upper) / 2.0).into(),
                true => {
                    let random = self.beside(|| Ok(Tensor::rand(self.sizes()?)));
                    let random = random.cast(self.dtype()?);
                    random.mul(upper - lower).add(lower).into()
                }
            };
            Ok(self.ge(0).where_(self, self.mul(slope)))
        })
    }

    /// The softmax of the negative.
    #[track_caller]
    pub fn softmin(&self, axis: i64) -> Tensor {
        self.to_floating().neg().softmax(axis)
    }

    /// `log(1 + exp(x))`; x itself above 20.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::from([0.0f32]).softplus().to_vec::<f32>()?, [2f32.ln()]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn softplus(&self) -> Tensor {
        self.softplus_with(1.0, 20.0)
    }

    /// `log(1 + exp(beta x)) / beta`; x itself where `beta x` is above the threshold.
    #[track_caller]
    pub fn softplus_with(&self, beta: f64, threshold: f64) -> Tensor {
        let scaled = self.mul(beta);
        let above = scaled.gt(threshold);
        let smooth = above.where_(0, scaled).exp().log1p().div(beta);
        above.where_(self, smooth)
    }

    /// `x / (1 + |x|)`.
    #[track_caller]
    pub fn softsign(&self) -> Tensor {
        self.div(self.abs().add(1))
    }

    /// `x - tanh(x)`.
    #[track_caller]
    pub fn tanhshrink(&self) -> Tensor {
        self.sub(self.tanh())
    }

    /// x where above the threshold, `value` elsewhere.
    #[track_caller]
    pub fn threshold(&self, threshold: f64, value: f64) -> Tensor {
        self.le(threshold).where_(self.full_like(value), self)
    }

    /// Zeroes elements with probability `p` and scales the others so that the mean stays, if `training`.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::ones([4]);
    /// assert_eq!(x.dropout(0.5, false).to_vec::<f32>()?, [1.0; 4]);
    /// assert!(x.dropout(0.5, true).to_vec::<f32>()?.iter().all(|v| [0.0, 2.0].contains(v)));
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn dropout(&self, p: f64, training: bool) -> Tensor {
        attempt(|| {
            let sizes = self.sizes()?;
            self.drop_parts("dropout", p, training, sizes)
        })
    }

    /// As [`Tensor::dropout`], for whole channels: slices of the first two axes (of the first alone, with
    /// one axis less than `spatial` + 2).
    #[track_caller]
    pub fn feature_dropout(&self, p: f64, training: bool, spatial: usize) -> Tensor {
        attempt(|| {
            let mut sizes = self.sizes()?;
            let kept = if sizes.len() == spatial + 1 { 1 } else { 2 };
            sizes
                .iter_mut()
                .skip(kept)
                .for_each(|size| *size = Dim::from(1i64));
            self.drop_parts("feature_dropout", p, training, sizes)
        })
    }

    #[track_caller]
    fn drop_parts(
        &self,
        op: &'static str,
        p: f64,
        training: bool,
        sizes: Vec<Dim>,
    ) -> Result<Tensor> {
        check_probability(op, p)?;
        if !training || p == 0.0 {
            return Ok(self.clone());
        }
        if p == 1.0 {
            return Ok(self.mul(0));
        }
        let kept = self.beside(|| Ok(Tensor::rand(sizes))).ge(p);
        let kept = kept.cast(self.dtype()?.real());
        Ok(self.mul(kept.div(1.0 - p)))
    }

    /// Dropout for [`Tensor::selu`]: dropped elements take its lower limit, and the result is moved and
    /// scaled so that mean and variance stay.
    #[track_caller]
    pub fn alpha_dropout(&self, p: f64, training: bool) -> Tensor {
        attempt(|| {
            let sizes = self.sizes()?;
            self.alpha_drop("alpha_dropout", p, training, sizes)
        })
    }

    /// As [`Tensor::alpha_dropout`], for whole channels: slices of the first two axes.
    #[track_caller]
    pub fn feature_alpha_dropout(&self, p: f64, training: bool) -> Tensor {
        attempt(|| {
            let mut sizes = self.sizes()?;
            sizes
                .iter_mut()
                .skip(2)
                .for_each(|size| *size = Dim::from(1i64));
            self.alpha_drop("feature_alpha_dropout", p, training, sizes)
        })
    }

    #[track_caller]
    fn alpha_drop(
        &self,
        op: &'static str,
        p: f64,
        training: bool,
        sizes: Vec<Dim>,
    ) -> Result<Tensor> {
        check_probability(op, p)?;
        if !training || p == 0.0 {
            return Ok(self.clone());
        }
        if p == 1.0 {
            return Ok(self.mul(0));
        }
        let limit = -SELU_ALPHA * SELU_SCALE;
        let scale = ((1.0 - p) * (1.0 + p * limit * limit)).sqrt().recip();
        let kept = self.beside(|| Ok(Tensor::rand(sizes))).ge(p);
        Ok(kept
            .where_(self, self.full_like(limit))
            .mul(scale)
            .add(-scale * p * limit))
    }
}

fn check_probability(op: &'static str, p: f64) -> Result<()> {
    match (0.0..=1.0).contains(&p) {
        true => Ok(()),
        false => Err(bad_argument(op, format!("{p} is no probability"))
            .hint("probabilities go from 0 (nothing is dropped) to 1")),
    }
}

/// A derivative that multiplies by this slope, a function of the operand.
macro_rules! by_slope {
    ($slope:ident) => {
        Derivative::Both(
            |at| Ok(vec![at.flow[0].mul($slope(&at.operands[0].conj()))]),
            |at| Ok(vec![at.flow[0].mul($slope(&at.operands[0]))]),
        )
    };
}
use by_slope;

/// Through the result: the definition's exponential overflows where the slope is merely 0.
fn slope_of_sigmoid(y: &Tensor) -> Tensor {
    y.mul(y.neg().add(1))
}

fn pull_sigmoid(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    Ok(vec![
        at.flow[0].mul(slope_of_sigmoid(&at.results[0].conj())),
    ])
}

fn push_sigmoid(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    Ok(vec![at.flow[0].mul(slope_of_sigmoid(&at.results[0]))])
}

fn slope_of_relu(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    // By the result, which others read as well.
    Ok(vec![at.results[0].le(0).where_(0, &at.flow[0])])
}

/// `x * sigmoid(gate)` by one division.
fn gated(x: &Tensor, gate: &Tensor) -> Tensor {
    x.div(gate.neg().exp().add(1))
}

/// The slopes of [`gated`] in `x` and in `gate`.
fn slopes_of_gated(x: &Tensor, gate: &Tensor) -> [Tensor; 2] {
    let open = gate.sigmoid();
    let slope = x.mul(slope_of_sigmoid(&open));
    [open, slope]
}

fn slope_of_silu(x: &Tensor) -> Tensor {
    let [direct, by_gate] = slopes_of_gated(x, x);
    direct.add(by_gate)
}

fn gelu_gate(x: &Tensor) -> Tensor {
    let [factor, cubic] = GELU_GATE;
    x.add(x.mul(x).mul(x).mul(cubic)).mul(factor)
}

fn slope_of_gelu_tanh(x: &Tensor) -> Tensor {
    let [factor, cubic] = GELU_GATE;
    let [direct, by_gate] = slopes_of_gated(x, &gelu_gate(x));
    // In this order, since the square of x overflows where the slope of the sigmoid is 0.
    let by_cube = by_gate.mul(x).mul(x).mul(3.0 * cubic);
    direct.add(by_gate.add(by_cube).mul(factor))
}
