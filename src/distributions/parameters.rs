//! What distributions share: parameters of a common type and size, checked; and probabilities that
//! are given as such or as logits.

use super::support::Support;
use crate::error::Result;
use crate::ops::{attempt_all, attempt_pair, floating, tensor_of};
use crate::tensor::{Argument, Dim, Tensor, promote};
use lazulite_ir::DType;

/// Declares a distribution of numbers with parameters that broadcast.
macro_rules! parameters {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $support:expr),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $($field: $crate::Tensor),+
        }

        impl $name {
            /// With these parameters, which broadcast.
            #[track_caller]
            pub fn new($($field: impl Into<$crate::Argument>),+) -> $name {
                let [$($field),+] = $crate::distributions::parameters::together([
                    $(($field.into(), $support)),+
                ]);
                $name { $($field),+ }
            }

            $(
                $(#[$field_doc])*
                pub fn $field(&self) -> &$crate::Tensor {
                    &self.$field
                }
            )+
        }
    };
}

/// The batch of a distribution whose listed fields all have its sizes: methods of `Distribution`.
macro_rules! batch_of {
    ($first:ident $(, $field:ident)*) => {
        fn batch_shape(&self) -> Vec<$crate::Dim> {
            $crate::distributions::support::leading(&self.$first, 0)
        }

        fn expand(&self, batch_shape: &[$crate::Dim]) -> Self {
            Self {
                $first: self.$first.expand(batch_shape),
                $($field: self.$field.expand(batch_shape),)*
            }
        }
    };
}

pub(super) use {batch_of, parameters};

/// Parameters with a common element type and common sizes, each of its own kind.
#[track_caller]
pub(super) fn together<const N: usize>(given: [(Argument, Support); N]) -> [Tensor; N] {
    attempt_all(|| {
        let arguments: Vec<&Argument> = given.iter().map(|(a, _)| a).collect();
        let dtype = floating(promote(&arguments)?);
        let tensors = given.clone().map(|(a, _)| tensor_of(a, dtype));
        let refs: Vec<&Tensor> = tensors.iter().collect();
        let mut common = Tensor::broadcast_tensors(&refs).into_iter();
        let mut checked = Vec::with_capacity(N);
        for (_, support) in &given {
            let tensor = common.next().unwrap_or_else(|| tensors[0].clone());
            tensor.check()?;
            checked.push(support.checked(&tensor));
        }
        checked
            .try_into()
            .map_err(|_| crate::tensor::internal("distribution", "parameters were lost"))
    })
}

/// Probabilities of two outcomes with their logits, from either.
#[derive(Clone, Debug)]
pub(super) struct Chance {
    pub probs: Tensor,
    pub logits: Tensor,
}

impl Chance {
    #[track_caller]
    pub fn from_probs(probs: &Tensor) -> Chance {
        let inner = away_from_ends(probs);
        Chance {
            logits: inner.log().sub(inner.neg().log1p()),
            probs: probs.clone(),
        }
    }

    #[track_caller]
    pub fn from_logits(logits: &Tensor) -> Chance {
        Chance {
            probs: logits.sigmoid(),
            logits: logits.clone(),
        }
    }

    #[track_caller]
    pub fn expand(&self, batch_shape: &[Dim]) -> Chance {
        Chance {
            probs: self.probs.expand(batch_shape),
            logits: self.logits.expand(batch_shape),
        }
    }

    /// The logarithm of the probability of an outcome, 0 or 1 or between.
    #[track_caller]
    pub fn log_prob(&self, value: &Tensor) -> Tensor {
        let l = &self.logits;
        let softplus = l.maximum(0).add(l.abs().neg().exp().log1p());
        l.mul(value).sub(softplus)
    }

    /// The entropy of one trial.
    #[track_caller]
    pub fn entropy(&self) -> Tensor {
        self.log_prob(&self.probs).neg()
    }
}

/// Probabilities as far from 0 and 1 as their type's precision asks for, so that logits are finite.
#[track_caller]
pub(super) fn away_from_ends(probs: &Tensor) -> Tensor {
    let eps = match probs.dtype() {
        Ok(DType::F64) => f64::EPSILON,
        Ok(DType::F16) => 1.0 / 1024.0,
        Ok(DType::BF16) => 1.0 / 128.0,
        _ => f64::from(f32::EPSILON),
    };
    probs.clamp(eps, 1.0 - eps)
}

/// Probabilities of several outcomes along the last axis with their logarithms, from either.
#[track_caller]
pub(super) fn normalised(probs: Option<&Tensor>, logits: Option<&Tensor>) -> (Tensor, Tensor) {
    attempt_pair(|| {
        let rank = |x: &Tensor| -> Result<()> {
            if x.rank()? == 0 {
                let error = crate::ops::bad_shape("categorical", "the outcomes are a last axis");
                return Err(error.operand(x.note("parameter")));
            }
            Ok(())
        };
        Ok(match (probs, logits) {
            (Some(probs), _) => {
                rank(probs)?;
                let probs = Support::Independent(Box::new(Support::NonNegative), 1).checked(probs);
                let probs = probs.div(probs.sum_keepdim(-1));
                let logs = away_from_ends(&probs).log();
                (probs, logs)
            }
            (None, Some(logits)) => {
                rank(logits)?;
                let logits = Support::RealVector.checked(logits);
                let logs = logits.log_softmax(-1);
                (logs.exp(), logs)
            }
            (None, None) => return Err(crate::tensor::internal("categorical", "no parameter")),
        })
    })
}
