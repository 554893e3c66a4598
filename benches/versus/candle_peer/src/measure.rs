//! How long a step takes, measured as `peer.py` and Lazulite measure it.

use crate::workloads::Step;
use candle_core::Result;
use serde_json::{Value, json};
use std::time::Instant;

/// Seconds that a sample takes at least.
const SAMPLE: f64 = 20e-6;
/// Samples at least, however long they take.
const SAMPLES: usize = 3;

/// Repeats `step` for so many seconds, after a warm-up of a tenth of them.
pub fn measure(step: &mut Step, seconds: f64) -> Result<Value> {
    let mut timed = |count: usize| -> Result<f64> {
        let begin = Instant::now();
        for _ in 0..count {
            step()?;
        }
        Ok(begin.elapsed().as_secs_f64() / count as f64)
    };
    let mut quickest = timed(2)?;
    let warming = Instant::now();
    while warming.elapsed().as_secs_f64() < seconds / 10.0 {
        quickest = timed(1)?.min(quickest);
    }
    let batch = (SAMPLE / quickest).ceil().max(1.0) as usize;
    let mut samples = Vec::new();
    let begin = Instant::now();
    while samples.len() < SAMPLES || begin.elapsed().as_secs_f64() < seconds {
        samples.push(timed(batch)?);
    }
    samples.sort_by(f64::total_cmp);
    let (median, min) = (samples[samples.len() / 2], samples[0]);
    Ok(json!({ "median_s": median, "min_s": min, "reps": samples.len() * batch }))
}
