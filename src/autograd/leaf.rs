//! What autograd keeps with a tensor: its accumulated gradient and its hooks.

use crate::tensor::Tensor;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A function of a gradient; `None` leaves it as it is.
pub(crate) type Hook = Arc<dyn Fn(&Tensor) -> Option<Tensor> + Send + Sync>;

/// What is kept with a node.
#[derive(Default)]
pub(crate) struct Leaf {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    gradient: Option<Tensor>,
    retain: bool,
    hooks: Vec<(u64, Hook)>,
}

impl Leaf {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The accumulated gradient.
    pub fn gradient(&self) -> Option<Tensor> {
        self.lock().gradient.clone()
    }

    /// The same for another tensor that takes the place of this one.
    pub fn share(&self) -> Leaf {
        Leaf {
            kept: self.kept.clone(),
        }
    }

    /// Takes the accumulated gradient out, if no other tensor shares it.
    pub fn take_gradient(&mut self) -> Option<Tensor> {
        match Arc::strong_count(&self.kept) {
            1 => self.lock().gradient.take(),
            _ => None,
        }
    }

    /// Puts another gradient in the place of the accumulated one.
    pub fn set_gradient(&self, gradient: Option<Tensor>) {
        let before = std::mem::replace(&mut self.lock().gradient, gradient);
        // Dropped without the lock: it may be the last handle of a long history.
        drop(before);
    }

    /// Asks `backward` to keep the gradient although the tensor is computed from others.
    pub fn retain(&self) {
        self.lock().retain = true;
    }

    /// True if `backward` keeps the gradient of a tensor computed from others.
    pub fn retains(&self) -> bool {
        self.lock().retain
    }

    /// The hooks, in the order of their registration.
    pub fn hooks(&self) -> Vec<Hook> {
        self.lock().hooks.iter().map(|(_, h)| h.clone()).collect()
    }

    /// Adds a hook.
    pub fn add_hook(&self, hook: Hook) -> HookHandle {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Relaxed);
        self.lock().hooks.push((id, hook));
        HookHandle {
            kept: Arc::downgrade(&self.kept),
            id,
        }
    }
}

/// A registered hook.
pub struct HookHandle {
    kept: Weak<Mutex<Kept>>,
    id: u64,
}

impl HookHandle {
    /// Takes the hook away. (Dropping the handle leaves it in place.)
    pub fn remove(self) {
        if let Some(kept) = self.kept.upgrade() {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.hooks.retain(|(id, _)| *id != self.id);
        }
    }
}

impl fmt::Debug for HookHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HookHandle({})", self.id)
    }
}
