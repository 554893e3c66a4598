//! `lazulite doctor`: what this machine offers, how Lazulite uses it, what is missing and how to get it.

use crate::failure::Failure;
use lazulite::inspect::executable_bytes;
use std::io::Write;

/// Prints everything, then what is missing.
pub fn run(out: &mut impl Write) -> Result<(), Failure> {
    let mut missing = Vec::new();
    writeln!(out, "lazulite {}", env!("CARGO_PKG_VERSION"))?;
    let mut line = |name: &str, value: String| writeln!(out, "  {name:<14} {value}");
    line(
        "system",
        format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH),
    )?;
    line("processor", processor())?;
    line("instructions", instruction_sets().join(" "))?;
    line("kernels", kernels())?;
    line("products", contraction(&mut missing))?;
    line("threads", threads())?;
    line("memory", memory())?;
    line("huge pages", huge_pages(&mut missing))?;
    line("executables", executables(&mut missing))?;
    line("gpus", gpus())?;
    line("optimise", optimise())?;
    if missing.is_empty() {
        writeln!(out, "\nNothing is missing.")?;
        return Ok(());
    }
    writeln!(out, "\nWhat could be better:")?;
    for what in missing {
        writeln!(out, "  - {what}")?;
    }
    Ok(())
}

/// The GPUs that can be used, or why there are none. Most machines have none, so that is nothing missing.
#[cfg(feature = "cuda")]
fn gpus() -> String {
    let count = match lazulite::device_count() {
        Ok(count) => count,
        Err(e) => return format!("none can be used: {e}"),
    };
    let info = |number| lazulite::gpu::info(lazulite::Device::cuda(number)?);
    let describe = |number| match info(number) {
        Ok(gpu) => format!("{} (sm_{})", gpu.name, gpu.architecture),
        Err(e) => format!("number {number} cannot be used: {e}"),
    };
    let all: Vec<String> = (0..count).map(describe).collect();
    format!("{} (docs/gpu.md)", all.join(", "))
}

#[cfg(not(feature = "cuda"))]
fn gpus() -> String {
    "none can be used: this was built without the feature `cuda`".into()
}

/// The code that is made at the level chosen.
fn kernels() -> String {
    let level = lazulite::options().level;
    if !level.is_available() {
        let name = level.name();
        return format!("none: this processor cannot run code of level {name} (LAZULITE_LEVEL)");
    }
    match level.backend() {
        Ok(backend) => format!(
            "{}-bit vectors, by the backend {} for level {} (LAZULITE_LEVEL changes it)",
            8 * backend.caps().vector_bytes,
            backend.name(),
            level.name()
        ),
        Err(e) => format!("none: {e}"),
    }
}

/// What the processor calls itself.
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|l| l.starts_with("model name"));
    let name = model.and_then(|l| l.split_once(": ")).map(|(_, name)| name);
    name.unwrap_or("unknown").to_string()
}

fn threads() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let used = lazulite::options().threads;
    format!("{used} of {cores} (LAZULITE_THREADS changes it)")
}

fn optimise() -> String {
    match lazulite::options().optimise {
        true => "on (LAZULITE_OPTIMISE=0 turns it off)".into(),
        false => "off, by LAZULITE_OPTIMISE=0".into(),
    }
}

/// Of all memory, what is free.
fn memory() -> String {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let gib = |name: &str| {
        let line = info.lines().find_map(|l| l.strip_prefix(name))?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kib / f64::from(1 << 20))
    };
    match (gib("MemTotal:"), gib("MemAvailable:")) {
        (Some(all), Some(free)) => format!("{all:.1} GiB, {free:.1} GiB of it available"),
        _ => "unknown".into(),
    }
}

fn huge_pages(missing: &mut Vec<String>) -> String {
    let file = "/sys/kernel/mm/transparent_hugepage/enabled";
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let chosen = text.split(['[', ']']).nth(1);
    match chosen {
        Some("always") => "always".into(),
        Some("madvise") => "where asked for, which Lazulite does".into(),
        Some(_) => {
            let how = format!("huge pages are off; `echo madvise | sudo tee {file}` turns them on");
            missing.push(how);
            "off: large tensors cost more when they are first touched".into()
        }
        None => "unknown on this system".into(),
    }
}

fn executables(missing: &mut Vec<String>) -> String {
    let (mut sizes, mut reasons) = (Vec::new(), Vec::new());
    for (extra, bytes) in executable_bytes() {
        let with = match extra {
            "" => String::new(),
            extra => format!(" with {extra}"),
        };
        match bytes {
            Ok(bytes) => sizes.push(format!("{} KiB{with}", bytes / 1024)),
            Err(why) => reasons.push((with, why)),
        }
    }
    if sizes.is_empty() {
        let why = reasons.first().map_or("", |(_, why)| why);
        missing.push(format!(
            "no executables can be written: {why}; build again where cargo can be run, or name a stub that was built \
             before by LAZULITE_STUB (docs/aot.md)"
        ));
        return "cannot be written".into();
    }
    for (with, why) in reasons {
        missing.push(format!("no executables{with}: {why}"));
    }
    format!("can be written ({})", sizes.join(", "))
}

fn contraction(missing: &mut Vec<String>) -> String {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            let mut types = vec!["f32", "f64"];
            if std::is_x86_feature_detected!("avx512bf16") {
                types.push("bf16");
            }
            if std::is_x86_feature_detected!("avx512vnni") {
                types.push("i8 and u8");
            }
            return format!("AVX-512 micro-kernels for {}", types.join(", "));
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return "AVX2 micro-kernels for f32, f64".into();
        }
    }
    missing.push("this processor has neither AVX2 nor AVX-512: matrix products are slow".into());
    "portable micro-kernels".into()
}

/// The instruction sets that matter here.
pub fn instruction_sets() -> Vec<&'static str> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let sets = [
            ("sse4.2", std::is_x86_feature_detected!("sse4.2")),
            ("avx", std::is_x86_feature_detected!("avx")),
            ("avx2", std::is_x86_feature_detected!("avx2")),
            ("fma", std::is_x86_feature_detected!("fma")),
            ("f16c", std::is_x86_feature_detected!("f16c")),
            ("avx512f", std::is_x86_feature_detected!("avx512f")),
            ("avx512bw", std::is_x86_feature_detected!("avx512bw")),
            ("avx512cd", std::is_x86_feature_detected!("avx512cd")),
            ("avx512dq", std::is_x86_feature_detected!("avx512dq")),
            ("avx512vl", std::is_x86_feature_detected!("avx512vl")),
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
