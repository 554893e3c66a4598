//! Builds the executable of this package, small and fast, into the output folder, so that the library
//! can hold its bytes: once over the core of the runtime, once with matrix products of all element types, and with feature
//! `foreign` once more with the library functions besides. And the crate `lazulite-embed` as a static library, over the core.
//!
//! `LAZULITE_STUB=FILE`, `LAZULITE_STUB_PRODUCTS=FILE`, `LAZULITE_STUB_FOREIGN=FILE` and `LAZULITE_ARCHIVE=FILE` take
//! what was built before. Otherwise offline cargo calls build them, with the profile `stub` of the workspace, in a target folder of their own. If
//! that fails, everything else still builds, and writing executables or objects is an error that says why.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set for the nested calls, in which there is nothing to build.
const NESTED: &str = "LAZULITE_STUB_NESTED";

/// What is built: its name in the output folder, the variable that names one built before, its package, what
/// cargo is to make of that, and the file that it makes.
struct Variant {
    name: &'static str,
    variable: &'static str,
    package: &'static str,
    arguments: &'static [&'static str],
    file: &'static str,
}

const VARIANTS: [Variant; 4] = [
    Variant {
        name: "core",
        variable: "LAZULITE_STUB",
        package: ".",
        arguments: &["build", "--bin", "lazulite-stub"],
        file: "lazulite-stub",
    },
    Variant {
        name: "products",
        variable: "LAZULITE_STUB_PRODUCTS",
        package: ".",
        arguments: &["build", "--bin", "lazulite-stub", "--features", "products"],
        file: "lazulite-stub",
    },
    Variant {
        name: FOREIGN,
        variable: "LAZULITE_STUB_FOREIGN",
        package: ".",
        arguments: &[
            "build",
            "--bin",
            "lazulite-stub",
            "--features",
            "foreign,products",
        ],
        file: "lazulite-stub",
    },
    Variant {
        name: "archive",
        variable: "LAZULITE_ARCHIVE",
        package: "../embed",
        arguments: &["rustc", "--lib", "--crate-type", "staticlib"],
        file: "liblazulite_embed.a",
    },
];

/// The variant that only feature `foreign` asks for.
const FOREIGN: &str = "foreign";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR"));
    let nested = env::var_os(NESTED).is_some();
    for variant in &VARIANTS {
        println!("cargo::rerun-if-env-changed={}", variant.variable);
        let wanted = variant.name != FOREIGN || env::var_os("CARGO_FEATURE_FOREIGN").is_some();
        let (stub, problem) = if nested {
            (Vec::new(), "it was built for itself".into())
        } else if !wanted {
            (Vec::new(), "feature `foreign` is off".into())
        } else {
            match stub(variant, &out) {
                Ok(bytes) => (bytes, String::new()),
                Err(problem) => {
                    println!(
                        "cargo::warning=no {} can be written: {problem}",
                        variant.name
                    );
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
        "../embed/src",
        "../embed/Cargo.toml",
        "../runtime/src",
        "../runtime/Cargo.toml",
    ] {
        println!("cargo::rerun-if-changed={}", package.join(source).display());
    }
    // Beside the folders of build scripts, of which there is one per set of features of the outer build: all use
    // what was built once. `out` is PROFILE/build/PACKAGE/out.
    let profile = out.ancestors().nth(3).unwrap_or(out);
    // Variants of one optimisation level share their dependencies. The name must not be that of anything that the outer
    // build puts there.
    let foreign = variant.name == FOREIGN;
    let target = profile.join("stubs");
    let target = target.join(if foreign { FOREIGN } else { "core" });
    let triple = variable("TARGET");
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .args(variant.arguments)
        .args([
            "--offline",
            "--quiet",
            "--profile",
            "stub",
            "--manifest-path",
        ])
        .arg(package.join(variant.package).join("Cargo.toml"))
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
    } else if !foreign {
        // What takes time is generated code and the runtime, whose products would not stay in registers otherwise.
        // Everything else has to be small; not so library functions.
        cargo.env("CARGO_PROFILE_STUB_OPT_LEVEL", "s");
        let runtime = "profile.stub.package.lazulite-runtime.opt-level=3";
        cargo.args(["--config", runtime]);
    }
    let output = cargo.output().map_err(|e| format!("cargo: {e}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = errors.lines().filter(|l| l.contains("error")).collect();
        return Err(format!("cargo failed: {}", last.join("; ")));
    }
    let folder = target.join(triple).join("stub");
    Ok(match variant.arguments.contains(&"--bin") {
        true => folder.join(format!("{}{}", variant.file, env::consts::EXE_SUFFIX)),
        false => folder.join(variant.file),
    })
}
