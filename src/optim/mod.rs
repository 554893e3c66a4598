//! Optimisers: from gradients to better parameters.
//!
//! [`Optimizer::step`] computes the loss, its gradients and the new parameters in one program. Learning
//! rates, momenta and step counts are inputs of that program, so it is compiled once, and a step afterwards
//! runs no pass. [`Lbfgs`] alone looks at the loss many times a step.
//!
//! ```
//! use lazulite::nn::{Layer, Linear, Module};
//! use lazulite::optim::{AdamW, Optimizer};
//! use lazulite::prelude::*;
//!
//! let model = Linear::new(3, 1);
//! let mut optimizer = AdamW::new(model.parameters(), 0.1);
//! let (x, y) = (Tensor::randn([16, 3]), Tensor::ones([16, 1]));
//! let mut losses = Vec::new();
//! for _ in 0..30 {
//!     let loss = (model.forward(&x) - &y).square().mean(..);
//!     optimizer.step(&loss)?;
//!     losses.push(loss.item::<f32>()?);
//! }
//! assert!(losses[29] < losses[0] / 2.0);
//! # Ok::<(), lazulite::Error>(())
//! ```

mod adadelta;
mod adafactor;
mod adagrad;
mod adam;
mod adamax;
mod asgd;
mod engine;
mod lbfgs;
mod muon;
mod nadam;
mod radam;
mod rmsprop;
mod rprop;
mod schedule;
mod search;
mod sgd;
mod sparse_adam;

pub use adadelta::{Adadelta, AdadeltaSettings};
pub use adafactor::{Adafactor, AdafactorSettings};
pub use adagrad::{Adagrad, AdagradSettings};
pub use adam::{Adam, AdamRule, AdamSettings, AdamW, AdamWSettings};
pub use adamax::{Adamax, AdamaxSettings};
pub use asgd::{Asgd, AsgdSettings};
pub use engine::{Descent, Group, Optimizer, Rule, Slots, StepReport, Update};
pub use lbfgs::{Lbfgs, LbfgsSettings};
pub use muon::{Muon, MuonRate, MuonSettings};
pub use nadam::{NAdam, NAdamSettings};
pub use radam::{RAdam, RAdamSettings};
pub use rmsprop::{RmsProp, RmsPropSettings};
pub use rprop::{Rprop, RpropSettings};
pub use schedule::{
    Anneal, ChainedLr, ConstantLr, CosineAnnealingLr, CosineAnnealingWarmRestarts, CycleMode,
    CyclicLr, ExponentialLr, Goal, LambdaLr, LinearLr, MultiStepLr, MultiplicativeLr, OneCycleLr,
    PolynomialLr, ReduceLrOnPlateau, Schedule, ScheduleState, Scheduler, SequentialLr, StepLr,
    SwaLr, Threshold,
};
pub use sgd::{Sgd, SgdSettings};
pub use sparse_adam::{SparseAdam, SparseAdamSettings};
