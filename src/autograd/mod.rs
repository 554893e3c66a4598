//! Gradients: what is recorded can be differentiated, and so can its derivatives.
//!
//! Gradients are recorded like everything else: [`grad`] returns lazy tensors, and the program that
//! computes them contains the function, its derivative and whatever is done with them. The
//! derivative itself is taken on the graph, when the program is compiled.

mod backward;
mod check;
mod clip;
mod foreign;
mod function;
mod functional;
mod gradient;
mod leaf;
mod mode;
mod reach;
mod saved;
mod tape;

pub use backward::BackwardOptions;
pub use check::{GradCheck, gradcheck, gradgradcheck};
pub use clip::{Graded, clip_grad_norm, clip_grad_norm_with, clip_grad_value};
pub(crate) use foreign::{ForeignRules, foreign_rules};
pub(crate) use function::Function;
pub use function::{Context, CustomFunction, custom_function};
pub use functional::{Pullback, hessian, hvp, jacobian, vhp, vjp};
pub(crate) use gradient::GradientSpec;
pub(crate) use gradient::Sweep;
pub use gradient::{GradOptions, grad, grad_with};
pub(crate) use gradient::{check_smooth, fitting};
pub use leaf::HookHandle;
pub(crate) use leaf::Leaf;
pub(crate) use mode::grad_enabled;
pub use mode::{enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled};
pub use saved::saved_tensors_hooks;
pub use tape::GradientTape;
