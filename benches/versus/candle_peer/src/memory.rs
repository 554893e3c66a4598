//! Resident memory of this process, in bytes.

use std::error::Error;
use std::fs;

/// What is resident now.
pub fn resident() -> Result<u64, Box<dyn Error>> {
    status("VmRSS:")
}

/// The most that was resident at a time since [`restart_peak`].
pub fn peak() -> Result<u64, Box<dyn Error>> {
    status("VmHWM:")
}

/// Forgets what was resident before now, as far as [`peak`] is concerned.
pub fn restart_peak() -> Result<(), Box<dyn Error>> {
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}

fn status(key: &str) -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let line = line.ok_or_else(|| format!("the system does not tell {key}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
