//! What this machine offers.

use crate::failure::Failure;
use std::io::Write;

pub fn run(out: &mut impl Write) -> Result<(), Failure> {
    let options = lazulite::options();
    writeln!(out, "lazulite {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "processor      {}", processor())?;
    writeln!(out, "instructions   {}", instruction_sets().join(" "))?;
    writeln!(
        out,
        "threads        {} (LAZULITE_THREADS changes it)",
        options.threads
    )?;
    writeln!(
        out,
        "optimise       {} (LAZULITE_OPTIMISE=0 turns it off)",
        options.optimise
    )?;
    writeln!(out, "kernels        128-bit vectors through Cranelift")?;
    writeln!(out, "contraction    {}", contraction())?;
    writeln!(out, "devices        cpu")?;
    Ok(())
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|l| l.starts_with("model name"));
    let name = model.and_then(|l| l.split_once(": ")).map(|(_, name)| name);
    name.unwrap_or(std::env::consts::ARCH).to_string()
}

fn contraction() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            return "AVX-512 micro-kernels for f32 and f64";
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return "AVX2 micro-kernels for f32 and f64";
        }
    }
    "portable micro-kernels"
}

fn instruction_sets() -> Vec<&'static str> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let sets = [
            ("sse4.2", std::is_x86_feature_detected!("sse4.2")),
            ("avx2", std::is_x86_feature_detected!("avx2")),
            ("fma", std::is_x86_feature_detected!("fma")),
            ("avx512f", std::is_x86_feature_detected!("avx512f")),
            ("avx512bf16", std::is_x86_feature_detected!("avx512bf16")),
            ("avx512vnni", std::is_x86_feature_detected!("avx512vnni")),
        ];
        found.extend(sets.iter().filter(|(_, has)| *has).map(|(name, _)| *name));
    }
    if found.is_empty() {
        found.push("baseline");
    }
    found
}
