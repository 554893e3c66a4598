//! The executables that compiled programs are appended to, and the library that objects are linked with, as bytes.
//!
//! The executable itself is this package's binary. It depends on the runtime alone: what is written with
//! it holds no compiler and needs none. The library is the crate `lazulite-embed`. This package's build script
//! builds both.

/// What the build script has left: bytes, or why there are none.
macro_rules! built {
    ($name:literal) => {{
        const BUILT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".stub"));
        const PROBLEM: &str = include_str!(concat!(env!("OUT_DIR"), "/", $name, ".problem"));
        match BUILT.is_empty() {
            true => Err(PROBLEM),
            false => Ok(BUILT),
        }
    }};
}

/// Which executable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variant {
    /// For programs that call no library functions; the smaller one.
    Core,
    /// For all programs.
    Foreign,
}

/// An executable, or why there is none.
///
/// # Errors
/// When it could not be built along with this crate, or the feature `foreign` is off.
///
/// ```
/// use lazulite_stub::Variant;
/// let stub = lazulite_stub::executable(Variant::Core)?;
/// assert!(stub.len() < 4 << 20);
/// # Ok::<(), &str>(())
/// ```
pub fn executable(variant: Variant) -> Result<&'static [u8], &'static str> {
    match variant {
        Variant::Core => built!("core"),
        Variant::Foreign => built!("foreign"),
    }
}

/// A static library with the C interface of compiled programs, or why there is none. It holds no library functions.
///
/// # Errors
/// When it could not be built along with this crate.
pub fn archive() -> Result<&'static [u8], &'static str> {
    built!("archive")
}
