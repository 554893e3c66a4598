//! The executable that compiled programs are appended to, as bytes.
//!
//! The executable itself is this package's binary. It depends on the runtime alone: what is written with
//! it holds no compiler and needs none. This package's build script builds it.

/// The executable, or why there is none.
///
/// # Errors
/// When it could not be built along with this crate.
///
/// ```
/// let stub = lazulite_stub::executable()?;
/// assert!(stub.len() < 4 << 20);
/// # Ok::<(), &str>(())
/// ```
pub fn executable() -> Result<&'static [u8], &'static str> {
    const STUB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stub"));
    const PROBLEM: &str = include_str!(concat!(env!("OUT_DIR"), "/problem"));
    match STUB.is_empty() {
        true => Err(PROBLEM),
        false => Ok(STUB),
    }
}
