//! Resident memory of this process.

use std::fs;

/// Bytes resident now, where the system tells.
pub fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// Forgets what was resident before now, as far as [`peak`] is concerned.
pub fn restart_peak() {
    // Where the system has no such file, or refuses, the peak is that of the whole process.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Most bytes that were resident at a time, where the system tells.
pub fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
