//! Where in the user's program an operation was written.
//!
//! Every recording method is `#[track_caller]`, so composites made of other methods report the
//! place where the composite was called. What is called through closures and traits cannot be
//! tracked that way: [`Scope`] pins the place for its lifetime, and the outermost one wins.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A place in the user's program, with the names of the composites and modules around it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Place {
    location: &'static Location<'static>,
}

impl Place {
    /// The pinned place, or the caller's.
    #[track_caller]
    pub(crate) fn here() -> Place {
        // Not `unwrap_or_else(Location::caller)`: a function passed on has no caller to track.
        let location = match PINNED.get() {
            Some(pinned) => pinned,
            None => Location::caller(),
        };
        Place { location }
    }

    /// Equal for equal places of one build.
    pub(crate) fn id(&self) -> *const Location<'static> {
        self.location
    }

    /// The file as the compiler saw it.
    pub fn file(&self) -> &'static str {
        self.location.file()
    }

    /// The line, from 1.
    pub fn line(&self) -> u32 {
        self.location.line()
    }

    /// The column, from 1.
    pub fn column(&self) -> u32 {
        self.location.column()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.location)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

thread_local! {
    static PINNED: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
    static TRAIL: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
    /// How many scopes are open.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// What scopes that were dropped before those inside of them will restore, innermost last.
    static LEFT: RefCell<Vec<Outside>> = const { RefCell::new(Vec::new()) };
}

/// What holds outside of a scope.
struct Outside {
    /// Number of scopes around it.
    depth: u32,
    pinned: Option<&'static Location<'static>>,
    trail: Option<Arc<str>>,
}

impl Outside {
    /// Leaves the innermost scope.
    fn restore(self) {
        DEPTH.set(self.depth);
        PINNED.set(self.pinned);
        TRAIL.set(self.trail);
    }
}

/// The names of the scopes that are open on this thread, outermost first, joined by " > ".
pub(crate) fn trail() -> Option<Arc<str>> {
    TRAIL.with_borrow(Clone::clone)
}

/// While it lives, everything recorded on this thread belongs to the place where it was opened,
/// unless an outer scope is open, and carries its name in the trail.
#[must_use = "the scope ends when this is dropped"]
pub struct Scope {
    /// `None` only while it is dropped.
    outside: Option<Outside>,
    /// Scopes restore thread-local state and must end on their own thread.
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Scope {
    /// Pins the caller's place without a name: for composites that call operations from closures,
    /// through which callers are not tracked.
    #[track_caller]
    pub(crate) fn pin() -> Scope {
        let (depth, pinned) = (DEPTH.get(), PINNED.get());
        PINNED.set(pinned.or(Some(Location::caller())));
        DEPTH.set(depth + 1);
        let outside = Outside {
            depth,
            pinned,
            trail: trail(),
        };
        Scope {
            outside: Some(outside),
            _not_send: std::marker::PhantomData,
        }
    }

    /// Opens a scope called `name`.
    #[track_caller]
    pub fn open(name: &str) -> Scope {
        let scope = Scope::pin();
        let trail = match trail() {
            Some(outer) => format!("{outer} > {name}").into(),
            None => name.into(),
        };
        TRAIL.set(Some(trail));
        scope
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let Some(outside) = self.outside.take() else {
            return;
        };
        if outside.depth + 1 < DEPTH.get() {
            LEFT.with_borrow_mut(|left| {
                left.push(outside);
                left.sort_by_key(|o| o.depth);
            });
            return;
        }
        outside.restore();
        let innermost = || LEFT.with_borrow_mut(|left| left.pop_if(|o| o.depth + 1 == DEPTH.get()));
        while let Some(outside) = innermost() {
            outside.restore();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn op() -> Place {
        Place::here()
    }

    fn forward() -> Place {
        op()
    }

    #[test]
    fn the_outermost_scope_pins_the_place() {
        let line = line!() + 1;
        let _scope = Scope::open("outer");
        {
            let _inner = Scope::open("inner");
            assert_eq!(forward().line(), line);
            assert_eq!(trail().as_deref(), Some("outer > inner"));
        }
        assert_eq!(trail().as_deref(), Some("outer"));
        drop(_scope);
        assert_eq!(op().line(), line!());
    }

    #[test]
    fn scopes_end_in_any_order() {
        let (a, b, c) = (Scope::open("a"), Scope::open("b"), Scope::open("c"));
        drop(b);
        drop(a);
        assert_eq!(trail().as_deref(), Some("a > b > c"));
        drop(c);
        assert_eq!((trail(), op().line()), (None, line!()));
    }
}
