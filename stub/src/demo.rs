//! Samples that the program brings, run and drawn.

use crate::arguments::{Arguments, Samples};
use crate::show::{numbers, show};
use crate::{Failure, failed};
use lazulite_runtime::{Array, Metadata, Payload, Pool};
use std::io::{self, Write};
use std::time::Instant;

/// From nothing to full.
const SHADES: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];
/// Characters of the longest bar.
const BAR: usize = 40;
/// Rows and columns of an image at most; larger ones are drawn in steps.
const CANVAS: usize = 64;

/// Runs samples and shows what goes in, what comes out, and how long it took.
pub fn demo(
    out: &mut impl Write,
    payload: &Payload,
    arguments: &Arguments,
    pool: &Pool,
    samples: Samples,
) -> Result<(), Failure> {
    let (model, metadata) = (&payload.model, &payload.metadata);
    let interface = model.interface();
    let count = metadata.sample_count(interface)?;
    if count == 0 {
        let message = "this program brings no samples: there is nothing to demonstrate; see --help";
        return Err(message.to_string().into());
    }
    let chosen = match samples {
        Samples::All => 0..count,
        Samples::One(number) => number..number.saturating_add(1),
    };
    let labels = metadata.lines(Metadata::LABELS);
    for number in chosen {
        let inputs = metadata.sample(interface, number)?;
        let run = || model.run(&inputs, &arguments.dims, pool).map_err(failed);
        let start = Instant::now();
        run()?;
        let first = start.elapsed();
        let start = Instant::now();
        let (results, _) = run()?;
        let (again, threads) = (start.elapsed(), pool.threads());
        let label = labels.get(number).map(|l| format!(": {l}"));
        writeln!(out, "sample {number}{}", label.unwrap_or_default())?;
        for (port, input) in interface.inputs.iter().zip(&inputs) {
            draw(out, &port.name, input, metadata)?;
        }
        for (port, result) in interface.outputs.iter().zip(&results) {
            answer(out, &port.name, result, metadata)?;
        }
        let us = |time: std::time::Duration| time.as_secs_f64() * 1e6;
        let (first, again, level) = (us(first), us(again), payload.level.name());
        writeln!(
            out,
            "{again:.1} us on {threads} threads at level {level} (the first time {first:.1} us)"
        )?;
    }
    Ok(())
}

/// An input as the model says.
fn draw(out: &mut impl Write, name: &str, input: &Array, metadata: &Metadata) -> io::Result<()> {
    let image = metadata.texts.get(Metadata::DEMO).map(String::as_str) == Some(Metadata::IMAGE);
    let ([.., rows, columns], Some(values), true) = (&input.dims[..], numbers(input), image) else {
        writeln!(out, "{name} {}", input.describe())?;
        return show(out, input);
    };
    let (rows, columns) = (*rows, *columns);
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (low, high) = (finite().fold(0.0, f64::min), finite().fold(0.0, f64::max));
    let step = rows.max(columns).div_ceil(CANVAS).max(1);
    // Of several channels or frames the first is drawn.
    for row in (0..rows).step_by(step) {
        let mut line = String::from("  ");
        for column in (0..columns).step_by(step) {
            let value = values.get(row * columns + column).copied().unwrap_or(low);
            let part = (value - low) / (high - low).max(f64::MIN_POSITIVE);
            // What is no number is not drawn.
            let shade = (part * (SHADES.len() - 1) as f64).round() as usize;
            let shade = SHADES[shade.min(SHADES.len() - 1)];
            // Characters are about twice as high as they are wide.
            line.extend([shade, shade]);
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A result: bars for classes if it has as many elements as there are names, else its elements.
fn answer(out: &mut impl Write, name: &str, result: &Array, metadata: &Metadata) -> io::Result<()> {
    let classes = metadata.lines(Metadata::CLASSES);
    let scores = numbers(result).filter(|s| s.len() == classes.len() && !s.is_empty());
    let Some(scores) = scores else {
        writeln!(out, "{name} {}", result.describe())?;
        return show(out, result);
    };
    let shares = shares(&scores);
    let best = (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b]));
    let width = classes.iter().map(|c| c.chars().count()).max().unwrap_or(0);
    writeln!(out, "{name}")?;
    for (i, (class, share)) in classes.iter().zip(&shares).enumerate() {
        let bar = "#".repeat((share.clamp(0.0, 1.0) * BAR as f64).round() as usize);
        let mark = if Some(i) == best { " <" } else { "" };
        let line = format!("  {class:>width$} {:5.1}% {bar}{mark}", share * 100.0);
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Scores as they are if they are a distribution, else after a softmax.
fn shares(scores: &[f64]) -> Vec<f64> {
    let sum: f64 = scores.iter().sum();
    if (sum - 1.0).abs() < 1e-3 && scores.iter().all(|s| *s >= 0.0) {
        return scores.to_vec();
    }
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lazulite_runtime::{Buffer, Element};

    fn array(dims: &[usize], values: &[f32]) -> Array {
        Array {
            element: Element::F32,
            dims: dims.to_vec(),
            data: Buffer::from_slice(values).unwrap(),
        }
    }

    fn metadata(key: &str, text: &str) -> Metadata {
        Metadata {
            texts: [(key.to_string(), text.to_string())].into(),
            arrays: Vec::new(),
        }
    }

    fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn images_are_drawn_in_shades() {
        let image = array(&[1, 2, 2], &[0.0, 1.0, 0.5, f32::NAN]);
        let metadata = metadata(Metadata::DEMO, Metadata::IMAGE);
        let drawn = text(|out| draw(out, "x", &image, &metadata));
        assert_eq!(drawn, "    @@\n  ++\n");
        let empty = array(&[0, 3], &[]);
        assert_eq!(text(|out| draw(out, "x", &empty, &metadata)), "");
        let wide = array(&[1, 100], &[1.0; 100]);
        let drawn = text(|out| draw(out, "x", &wide, &metadata));
        assert_eq!(drawn.trim(), "@".repeat(100));
    }

    #[test]
    fn classes_have_bars() {
        let metadata = metadata(Metadata::CLASSES, "no\nyes");
        let bars = text(|out| answer(out, "y", &array(&[1, 2], &[0.25, 0.75]), &metadata));
        assert!(bars.contains("   no  25.0% ##########\n"), "{bars}");
        assert!(bars.ends_with("# <\n"), "{bars}");
        // Scores that are no distribution.
        let shares = shares(&[2.0, 2.0]);
        assert_eq!(shares, [0.5, 0.5]);
        let other = text(|out| answer(out, "y", &array(&[1], &[4.0]), &metadata));
        assert_eq!(other, "y f32[1]\n  [4.0]\n");
    }
}
