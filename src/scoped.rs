//! What holds on a thread while something lives: gradients off, a device to make tensors on, one more function that is
//! being recorded.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::thread::LocalKey;

/// A value that each thread has for itself.
pub(crate) trait ThreadValue {
    type Value;

    /// Sets it; gives the one before.
    fn exchange(&'static self, value: Self::Value) -> Self::Value;
}

impl<T> ThreadValue for LocalKey<Cell<T>> {
    type Value = T;

    fn exchange(&'static self, value: T) -> T {
        self.replace(value)
    }
}

impl<T> ThreadValue for LocalKey<RefCell<T>> {
    type Value = T;

    fn exchange(&'static self, value: T) -> T {
        self.replace(value)
    }
}

/// While it lives, its thread has another value. It ends however its scope is left.
#[must_use = "the value holds only while this lives"]
pub(crate) struct Scoped<K: ThreadValue + 'static> {
    key: &'static K,
    /// `None` only while it is dropped.
    before: Option<K::Value>,
    /// It must end on its own thread.
    _not_send: PhantomData<*const ()>,
}

impl<K: ThreadValue> Scoped<K> {
    /// Has the thread's value of `key` be this one.
    pub fn set(key: &'static K, value: K::Value) -> Scoped<K> {
        Scoped {
            key,
            before: Some(key.exchange(value)),
            _not_send: PhantomData,
        }
    }
}

/// While it lives, a thread's count is one more.
pub(crate) type Counted = Scoped<LocalKey<Cell<u32>>>;

impl Counted {
    /// Counts one more.
    pub fn one_more(count: &'static LocalKey<Cell<u32>>) -> Counted {
        Scoped::set(count, count.get() + 1)
    }
}

impl<K: ThreadValue> Drop for Scoped<K> {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            drop(self.key.exchange(before));
        }
    }
}

impl<K: ThreadValue> fmt::Debug for Scoped<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scoped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static COUNT: Cell<u32> = const { Cell::new(0) };
        static NAMES: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    }

    #[test]
    fn values_come_back_however_a_scope_is_left() {
        let outer = Scoped::one_more(&COUNT);
        let stopped = std::panic::catch_unwind(|| {
            let _inner = Scoped::one_more(&COUNT);
            let _names = Scoped::set(&NAMES, vec!["inside"]);
            let seen = (COUNT.get(), NAMES.with_borrow(Clone::clone));
            std::panic::resume_unwind(Box::new(seen));
        });
        let seen = stopped.unwrap_err().downcast::<(u32, Vec<&str>)>().unwrap();
        assert_eq!(*seen, (2, vec!["inside"]));
        assert_eq!((COUNT.get(), NAMES.take()), (1, Vec::new()));
        drop(outer);
        assert_eq!(COUNT.get(), 0);
    }
}
