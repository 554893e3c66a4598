//! L-BFGS: steps along directions that know the curvature of what was seen last.
//!
//! It looks at the loss many times a step, so it is given a function and not a loss, and is no [`Optimizer`]. Loss and
//! gradients are one program; directions are computed on the host, in double precision.
//!
//! [`Optimizer`]: super::Optimizer

use super::engine::{not_negative, real};
use super::search::{Point, strong_wolfe};
use crate::autograd::{GradOptions, grad_with};
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, Scope};
use crate::nn::Param;
use crate::tensor::Tensor;
use lazulite_ir::DType;
use rustc_hash::FxHashSet;
use std::collections::VecDeque;

/// How [`Lbfgs`] steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LbfgsSettings {
    /// Directions taken by one step, at most.
    pub max_iterations: usize,
    /// Looks at the loss by one step, about; five for every four directions if nothing is said.
    pub max_evaluations: Option<usize>,
    /// Stops where no part of the gradient is larger.
    pub tolerance_gradient: f64,
    /// Stops where parameters or loss change less.
    pub tolerance_change: f64,
    /// Directions that are remembered.
    pub history: usize,
    /// Looks for a point along the direction that fulfils the strong Wolfe conditions, in place of going the
    /// learning rate's part of the way.
    pub line_search: bool,
    /// Climbs instead.
    pub maximize: bool,
}

impl Default for LbfgsSettings {
    fn default() -> LbfgsSettings {
        LbfgsSettings {
            max_iterations: 20,
            max_evaluations: None,
            tolerance_gradient: 1e-7,
            tolerance_change: 1e-9,
            history: 100,
            line_search: false,
            maximize: false,
        }
    }
}

/// L-BFGS.
///
/// ```
/// use lazulite::nn::Param;
/// use lazulite::optim::Lbfgs;
/// use lazulite::prelude::*;
/// let x = Param::new(Tensor::from_vec(vec![3.0f32, -2.0], [2]));
/// let mut optimizer = Lbfgs::new(vec![x.clone()], 1.0);
/// optimizer.step(|| (x.get() - 1.0).square().sum(..))?;
/// let found = x.get().to_vec::<f32>()?;
/// assert!(found.iter().all(|v| (v - 1.0).abs() < 1e-4));
/// # Ok::<(), lazulite::Error>(())
/// ```
pub struct Lbfgs {
    params: Vec<Param>,
    settings: LbfgsSettings,
    rate: f64,
    history: VecDeque<Pair>,
    /// What the inverse of the curvature begins with.
    scale: f64,
    direction: Vec<f64>,
    length: f64,
    gradient: Vec<f64>,
    iterations: usize,
}

/// A step, how the gradient changed with it, and one divided by their product.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    rho: f64,
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, v| most.max(v.abs()))
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Argument, "lbfgs", message).at(Place::here())
}

impl Lbfgs {
    /// With PyTorch's settings.
    pub fn new(params: Vec<Param>, rate: f64) -> Lbfgs {
        Lbfgs::with(params, rate, LbfgsSettings::default())
    }

    /// With other settings.
    pub fn with(params: Vec<Param>, rate: f64, settings: LbfgsSettings) -> Lbfgs {
        Lbfgs {
            params,
            settings,
            rate,
            history: VecDeque::new(),
            scale: 1.0,
            direction: Vec::new(),
            length: 0.0,
            gradient: Vec::new(),
            iterations: 0,
        }
    }

    /// What is wrong with settings or parameters. Steps say so, too.
    #[track_caller]
    pub fn check(&self) -> Result<()> {
        not_negative("the learning rate", self.rate).map_err(wrong)?;
        let mut seen = FxHashSet::default();
        for param in &self.params {
            if !seen.insert(param.address()) {
                return Err(wrong("a parameter occurs twice"));
            }
            real(param.get().dtype()?).map_err(wrong)?;
        }
        Ok(())
    }

    /// Takes up to as many directions as the settings say; `loss` must compute the loss, of one element, from
    /// what the parameters hold whenever it is called. Gives the loss before the step.
    ///
    /// # Errors
    /// When settings are wrong, or a loss or gradient cannot be computed. Parameters then hold the last values
    /// that were looked at.
    #[track_caller]
    pub fn step(&mut self, loss: impl Fn() -> Tensor) -> Result<f64> {
        let _scope = Scope::pin();
        self.check()?;
        let first = self.evaluate(&loss)?;
        let mut now = Point {
            loss: first.0,
            gradient: first.1,
        };
        let before = now.loss;
        let most = self.settings.max_evaluations;
        let most = most.unwrap_or(self.settings.max_iterations * 5 / 4);
        let mut evaluations = 1;
        if largest(&now.gradient) <= self.settings.tolerance_gradient {
            return Ok(self.outward(before));
        }
        for iteration in 1..=self.settings.max_iterations {
            self.turn(&now.gradient);
            // The first step is short: nothing is known about the curvature.
            let sum: f64 = now.gradient.iter().map(|g| g.abs()).sum();
            let part = if self.iterations == 1 {
                (1.0 / sum).min(1.0)
            } else {
                1.0
            };
            self.length = part * self.rate;
            let slope = dot(&now.gradient, &self.direction);
            if slope > -self.settings.tolerance_change {
                break;
            }
            self.gradient.clone_from(&now.gradient);
            let previous = now.loss;
            evaluations += self.walk(&mut now, slope, iteration, &loss)?;
            let stopped = largest(&now.gradient) <= self.settings.tolerance_gradient
                || largest(&self.direction) * self.length.abs() <= self.settings.tolerance_change
                || (now.loss - previous).abs() < self.settings.tolerance_change;
            if stopped || evaluations >= most {
                break;
            }
        }
        Ok(self.outward(before))
    }

    /// Inside, losses are always to be made small.
    fn outward(&self, loss: f64) -> f64 {
        if self.settings.maximize { -loss } else { loss }
    }

    /// The next direction, from the gradient and what is remembered.
    fn turn(&mut self, gradient: &[f64]) {
        self.iterations += 1;
        if self.iterations == 1 {
            self.direction = gradient.iter().map(|g| -g).collect();
            self.history.clear();
            self.scale = 1.0;
            return;
        }
        let change: Vec<f64> = gradient
            .iter()
            .zip(&self.gradient)
            .map(|(a, b)| a - b)
            .collect();
        let step: Vec<f64> = self.direction.iter().map(|d| d * self.length).collect();
        let curvature = dot(&change, &step);
        // Where the gradient does not grow along the step there is nothing to be learnt.
        if curvature > 1e-10 {
            if self.history.len() >= self.settings.history {
                self.history.pop_front();
            }
            self.scale = curvature / dot(&change, &change);
            let rho = 1.0 / curvature;
            self.history.push_back(Pair { step, change, rho });
        }
        let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut alphas = Vec::with_capacity(self.history.len());
        for pair in self.history.iter().rev() {
            let alpha = dot(&pair.step, &direction) * pair.rho;
            add(&mut direction, -alpha, &pair.change);
            alphas.push(alpha);
        }
        direction.iter_mut().for_each(|d| *d *= self.scale);
        for (pair, alpha) in self.history.iter().zip(alphas.into_iter().rev()) {
            let beta = dot(&pair.change, &direction) * pair.rho;
            add(&mut direction, alpha - beta, &pair.step);
        }
        self.direction = direction;
    }

    /// Goes along the direction and looks at the loss there; gives how often it looked.
    #[track_caller]
    fn walk(
        &mut self,
        now: &mut Point,
        slope: f64,
        iteration: usize,
        loss: &dyn Fn() -> Tensor,
    ) -> Result<usize> {
        let start = self.read()?;
        if !self.settings.line_search {
            self.place(&start, self.length)?;
            // Nobody looks at the point after the last direction.
            if iteration == self.settings.max_iterations {
                return Ok(0);
            }
            (now.loss, now.gradient) = self.evaluate(loss)?;
            return Ok(1);
        }
        let mut look = |length: f64| {
            self.place(&start, length)?;
            let (loss, gradient) = self.evaluate(loss)?;
            Ok(Point { loss, gradient })
        };
        let found = strong_wolfe(
            &mut look,
            self.length,
            &self.direction,
            now,
            slope,
            self.settings.tolerance_change,
        )?;
        self.length = found.length;
        *now = found.point;
        self.place(&start, found.length)?;
        Ok(found.evaluations)
    }

    /// All parameters as one vector.
    #[track_caller]
    fn read(&self) -> Result<Vec<f64>> {
        let params: Vec<Tensor> = self.params.iter().map(|p| p.get().detach()).collect();
        flat(&params)
    }

    /// Puts the parameters that far along the direction.
    #[track_caller]
    fn place(&self, start: &[f64], length: f64) -> Result<()> {
        let mut rest: Vec<f64> = start.to_vec();
        add(&mut rest, length, &self.direction);
        let mut rest = rest.as_slice();
        for param in &self.params {
            let old = param.get().detach();
            let dims = old.dims()?;
            let (own, others) = rest.split_at(dims.iter().product());
            rest = others;
            let new = Tensor::table(own.to_vec(), dims);
            let new = new.to(old.device()?).type_as(&old);
            param.set(new.realize()?)?;
        }
        Ok(())
    }

    /// Loss and gradient, turned where the optimiser climbs.
    #[track_caller]
    fn evaluate(&self, loss: &dyn Fn() -> Tensor) -> Result<(f64, Vec<f64>)> {
        let sign = if self.settings.maximize { -1.0 } else { 1.0 };
        let loss = loss();
        let params: Vec<Tensor> = self.params.iter().map(Param::get).collect();
        let inputs: Vec<&Tensor> = params.iter().collect();
        let options = GradOptions::new().allow_unused(true);
        let gradients = grad_with(&[&loss], &inputs, &options)?;
        let both = gradients.into_iter().zip(&params);
        // A parameter that the loss does not reach stays.
        let gradients: Vec<Tensor> = both
            .map(|(g, p)| g.unwrap_or_else(|| p.detach().zeros_like()))
            .collect();
        let value = loss.detach().cast(DType::F64);
        let all: Vec<&Tensor> = gradients.iter().chain([&value]).collect();
        crate::tensor::realize_all(&all)?;
        let mut gradient = flat(&gradients)?;
        gradient.iter_mut().for_each(|g| *g *= sign);
        Ok((value.item::<f64>()? * sign, gradient))
    }
}

/// `to += factor * what`
fn add(to: &mut [f64], factor: f64, what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(a, b)| *a += factor * b);
}

/// The elements of all tensors, one behind the other.
#[track_caller]
fn flat(tensors: &[Tensor]) -> Result<Vec<f64>> {
    let wide: Vec<Tensor> = tensors.iter().map(|t| t.cast(DType::F64)).collect();
    crate::tensor::realize_all(&wide.iter().collect::<Vec<_>>())?;
    let mut all = Vec::new();
    for tensor in &wide {
        all.extend(tensor.to_vec::<f64>()?);
    }
    Ok(all)
}
