//! The executables that compiled programs are appended to, as bytes.
//!
//! The executable itself is this package's binary. It depends on the runtime alone: what is written with
//! it holds no compiler and needs none. This package's build script builds it.

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
    macro_rules! built {
        ($name:literal) => {{
            const STUB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".stub"));
            const PROBLEM: &str = include_str!(concat!(env!("OUT_DIR"), "/", $name, ".problem"));
            (STUB, PROBLEM)
        }};
    }
    let (stub, problem) = match variant {
        Variant::Core => built!("core"),
        Variant::Foreign => built!("foreign"),
    };
    match stub.is_empty() {
        true => Err(problem),
        false => Ok(stub),
    }
}
