//! What happens to tensors on their way from a function's forward to its backward.
//!
//! Only functions with a backward of their own save tensors. What the derivatives of all other operations
//! need is decided when a program is compiled; see [`checkpoint`](crate::checkpoint) for a say in that.

use crate::scoped::Scoped;
use crate::tensor::Tensor;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

type Convert = dyn Fn(&Tensor) -> Tensor + Send + Sync;

/// A way to keep tensors and to get them back.
#[derive(Clone)]
pub(super) struct SavedHooks {
    pub pack: Arc<Convert>,
    pub unpack: Arc<Convert>,
}

impl fmt::Debug for SavedHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SavedHooks")
    }
}

thread_local! {
    static HOOKS: RefCell<Option<SavedHooks>> = const { RefCell::new(None) };
}

/// The innermost hooks in force on this thread.
pub(super) fn saved_hooks() -> Option<SavedHooks> {
    HOOKS.with_borrow(Clone::clone)
}

/// Runs `f`; what functions with a backward of their own save meanwhile is kept as `pack` makes it,
/// and turned back by `unpack` when their backward asks for it.
///
/// ```
/// use lazulite::{Context, CustomFunction, custom_function, prelude::*, saved_tensors_hooks};
///
/// struct Square;
///
/// impl CustomFunction for Square {
///     fn forward(&self, context: &mut Context, x: &[Tensor]) -> Result<Vec<Tensor>> {
///         context.save_for_backward(&[&x[0]]);
///         Ok(vec![&x[0] * &x[0]])
///     }
///     fn backward(&self, context: &Context, g: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
///         Ok(vec![Some(&context.saved_tensors()[0] * 2.0 * &g[0])])
///     }
/// }
///
/// // Kept in half precision.
/// let x = Tensor::from_vec(vec![1.5f32, 3.0], [2]).with_grad();
/// let (pack, unpack) = (|t: &Tensor| t.cast(DType::F16), |t: &Tensor| t.cast(DType::F32));
/// let y = saved_tensors_hooks(pack, unpack, || custom_function(Square, &[&x]));
/// y[0].sum(..).backward()?;
/// assert_eq!(x.grad().expect("x was reached").to_vec::<f32>()?, [3.0, 6.0]);
/// # Ok::<(), lazulite::Error>(())
/// ```
pub fn saved_tensors_hooks<R>(
    pack: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static,
    unpack: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static,
    f: impl FnOnce() -> R,
) -> R {
    let hooks = SavedHooks {
        pack: Arc::new(pack),
        unpack: Arc::new(unpack),
    };
    let _hooks = Scoped::set(&HOOKS, Some(hooks));
    f()
}
