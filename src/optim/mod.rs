//! Optimisers: from gradients to better parameters.
//!
//! [`Optimizer::step`] computes the loss, its gradients and the new parameters in one program. Learning
//! rates and step counts are inputs of that program, so it is compiled once, and a step afterwards
//! runs no pass.
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

mod adam;
mod engine;
mod schedule;
mod sgd;

pub use adam::{Adam, AdamRule, AdamSettings, AdamW, AdamWSettings};
pub use engine::{Descent, Group, Optimizer, Rule, Slots, StepReport};
pub use schedule::{CosineAnnealingLr, OneCycleLr, Schedule, StepLr};
pub use sgd::{Sgd, SgdSettings};
