//! Builds the executable of this package, small and fast, into the output folder, so that the library
//! can hold its bytes: once over the core of the runtime, and with feature `foreign` once more with the
//! library functions.
//!
//! `LAZULITE_STUB=FILE` and `LAZULITE_STUB_FOREIGN=FILE` take stubs that were built before. Otherwise offline
//! cargo calls build them, with the profile `stub` of the workspace, in a target folder of their own. If
//! that fails, everything else still builds, and writing executables is an error that says why.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set for the nested calls, in which there is nothing to build.
const NESTED: &str = "LAZULITE_STUB_NESTED";

/// A stub: its name in the output folder, the features it is built with, the variable that names one built before.
struct Variant {
    name: &'static str,
    features: &'static str,
    variable: &'static str,
}

const VARIANTS: [Variant; 2] = [
    Variant {
        name: "core",
        features: "",
        variable: "LAZULITE_STUB",
    },
    Variant {
        name: "foreign",
        features: "foreign",
        variable: "LAZULITE_STUB_FOREIGN",
    },
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR"));
    let nested = env::var_os(NESTED).is_some();
    for variant in &VARIANTS {
        println!("cargo::rerun-if-env-changed={}", variant.variable);
        let wanted = variant.features.is_empty() || env::var_os("CARGO_FEATURE_FOREIGN").is_some();
        let (stub, problem) = if nested {
            (Vec::new(), "it was built for itself".into())
        } else if !wanted {
            (Vec::new(), "feature `foreign` is off".into())
        } else {
            match stub(variant, &out) {
                Ok(bytes) => (bytes, String::new()),
                Err(problem) => {
                    println!("cargo::warning=no executables can be written: {problem}");
                    (Vec::new(), problem)
                }
            }
        };
        for (kind, bytes) in [("stub", &stub[..]), ("problem", problem.as_bytes())] {
            let path = out.join(format!("{}.{kind}", variant.name));
            if let Err(e) = fs::write(&path, bytes) {
                println!("cargo::error={}: {e}", path.display());
            }
        }
    }
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_default()
}

/// The bytes of a stub.
fn stub(variant: &Variant, out: &Path) -> Result<Vec<u8>, String> {
    let path = match env::var_os(variant.variable) {
        Some(given) => {
            let given = PathBuf::from(given);
            println!("cargo::rerun-if-changed={}", given.display());
            given
        }
        None => build(variant, out)?,
    };
    fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))
}

fn build(variant: &Variant, out: &Path) -> Result<PathBuf, String> {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    for source in [
        "src",
        "Cargo.toml",
        "../runtime/src",
        "../runtime/Cargo.toml",
    ] {
        println!("cargo::rerun-if-changed={}", package.join(source).display());
    }
    let target = out.join("target");
    let triple = variable("TARGET");
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .args(["build", "--offline", "--quiet", "--profile", "stub"])
        .args(["--features", variant.features])
        .args(["--bin", "lazulite-stub", "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .arg("--target")
        .arg(&triple)
        .env(NESTED, "1")
        // Flags and wrappers are meant for the outer build: lints, coverage, this machine's processor.
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_TARGET_DIR");
    // Where the outer build is not optimised, neither is waiting for the last bytes of the stub.
    if variable("PROFILE") == "debug" {
        cargo.env("CARGO_PROFILE_STUB_LTO", "off");
        cargo.env("CARGO_PROFILE_STUB_CODEGEN_UNITS", "16");
    }
    let output = cargo.output().map_err(|e| format!("cargo: {e}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = errors.lines().filter(|l| l.contains("error")).collect();
        return Err(format!("cargo failed: {}", last.join("; ")));
    }
    let name = format!("lazulite-stub{}", env::consts::EXE_SUFFIX);
    Ok(target.join(triple).join("stub").join(name))
}
