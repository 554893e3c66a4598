//! The executables that compiled programs are appended to, and the library that objects are linked with, as bytes.
//!
//! The executable itself is this package's binary. It depends on the runtime alone: what is written with
//! it holds no compiler and needs none. The library is the crate `lazulite-embed`. This package's build script
//! builds both.

/// Declares a function for what the build script has left under a name: bytes, or why there are none.
///
/// The assembler takes the bytes from their file. Through `include_bytes!` they would pass through all that the
/// compiler writes, the metadata of this crate included, and the linker could not leave them out of programs that
/// build nothing.
macro_rules! built {
    ($function:ident, $name:literal, $start:ident, $end:ident) => {
        #[cfg(target_os = "linux")]
        std::arch::global_asm!(
            concat!(".section .rodata.", stringify!($start), ",\"a\",@progbits"),
            concat!(".globl ", stringify!($start)),
            concat!(".globl ", stringify!($end)),
            concat!(".hidden ", stringify!($start)),
            concat!(".hidden ", stringify!($end)),
            concat!(stringify!($start), ":"),
            concat!(".incbin \"", env!("OUT_DIR"), "/", $name, ".stub\""),
            concat!(stringify!($end), ":"),
            ".byte 0",
            ".previous",
            options(raw)
        );

        fn $function() -> Result<&'static [u8], &'static str> {
            #[cfg(target_os = "linux")]
            let bytes = {
                unsafe extern "C" {
                    static $start: u8;
                    static $end: u8;
                }
                let (start, end) = (&raw const $start, &raw const $end);
                // SAFETY: the section above holds the bytes between the two symbols, and nobody writes to it.
                unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) }
            };
            #[cfg(not(target_os = "linux"))]
            let bytes = include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".stub"));
            match bytes.is_empty() {
                true => Err(include_str!(concat!(
                    env!("OUT_DIR"),
                    "/",
                    $name,
                    ".problem"
                ))),
                false => Ok(bytes),
            }
        }
    };
}

built!(core, "core", lazulite_stub_core, lazulite_stub_core_end);
built!(
    products,
    "products",
    lazulite_stub_products,
    lazulite_stub_products_end
);
built!(
    foreign,
    "foreign",
    lazulite_stub_foreign,
    lazulite_stub_foreign_end
);
built!(
    embed,
    "archive",
    lazulite_stub_archive,
    lazulite_stub_archive_end
);

/// Which executable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variant {
    /// For programs that multiply matrices of f32 alone and call no library functions; the smallest one.
    Core,
    /// For programs that call no library functions.
    Products,
    /// For all programs.
    Foreign,
}

impl Variant {
    /// All, the smallest first.
    pub const ALL: [Variant; 3] = [Variant::Core, Variant::Products, Variant::Foreign];

    /// What it is larger for than the ones before it; empty for the first.
    pub fn extra(self) -> &'static str {
        match self {
            Variant::Core => "",
            Variant::Products => "products of other types than f32",
            Variant::Foreign => "library functions",
        }
    }
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
        Variant::Core => core(),
        Variant::Products => products(),
        Variant::Foreign => foreign(),
    }
}

/// A static library with the C interface of compiled programs, or why there is none. It holds no library functions.
///
/// # Errors
/// When it could not be built along with this crate.
pub fn archive() -> Result<&'static [u8], &'static str> {
    embed()
}
