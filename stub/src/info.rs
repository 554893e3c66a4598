//! What the program says about itself.

use crate::Failure;
use lazulite_runtime::kernels::Level;
use lazulite_runtime::{Interface, Payload, Port};
use std::io::{self, Write};

fn ports(out: &mut impl Write, interface: &Interface, ports: &[Port]) -> io::Result<()> {
    for port in ports {
        let ty = interface.describe(&port.ty);
        writeln!(out, "  {:<16} {ty}", port.name)?;
    }
    Ok(())
}

/// How to use it.
pub fn help(out: &mut impl Write, name: &str, interface: &Interface) -> io::Result<()> {
    writeln!(out, "Usage: {name} [OPTIONS] [INPUT]...\n\nInputs:")?;
    ports(out, interface, &interface.inputs)?;
    writeln!(out, "\nResults:")?;
    ports(out, interface, &interface.outputs)?;
    let levels = Level::ALL.map(Level::name).join(", ");
    writeln!(
        out,
        "
INPUT is FILE or NAME=FILE, with FILE ending in .npy, .raw (elements alone), .npz,
.safetensors or .json (which give every input whose name they hold), or `-` for
standard input, which may be any of them but .raw.

Options:
  -o, --output FILE   where the next result goes (or NAME=FILE): .npy, .raw, all
                      of them to .npz, .safetensors or .json, `-` for standard
                      output; without this option results are printed
      --format NAME   what standard output is: npy (if nothing is said), npz,
                      safetensors, json or raw
      --dim NAME=N    value of an unknown size that no input tells
      --threads N     threads, all cores by default
      --level NAME    use no instructions beyond {levels}
      --bench N       run N times and tell how long it took; inputs that are not
                      given are made up
      --demo[=N|all]  run the first sample that the program brings, number N, or all
      --info          say what this program is and what it needs
  -h, --help          say this

Exit codes: 0 success, 1 the program failed, 2 it was called wrongly or a file is
not what it should be."
    )
}

fn mebibytes(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// What it is and needs.
pub fn info(
    out: &mut impl Write,
    name: &str,
    payload: &Payload,
    dims: &[(String, i64)],
) -> Result<(), Failure> {
    let model = &payload.model;
    let interface = model.interface();
    writeln!(out, "{name}: a compiled Lazulite program")?;
    writeln!(out, "\ninputs")?;
    ports(out, interface, &interface.inputs)?;
    writeln!(out, "results")?;
    ports(out, interface, &interface.outputs)?;
    let image = model.program().image();
    let levels: Vec<&str> = payload.levels.iter().map(|l| l.name()).collect();
    let (weights, bytes) = (interface.weights.len(), mebibytes(model.weight_bytes()));
    writeln!(out, "\nweights   {weights} ({bytes})")?;
    ports(out, interface, &interface.weights)?;
    writeln!(
        out,
        "kernels   {}, {} of code for {}",
        image.kernels.len(),
        mebibytes(payload.code_bytes),
        levels.join(", ")
    )?;
    writeln!(out, "running   {} here", payload.level.name())?;
    for (key, text) in &payload.metadata.texts {
        let lines: Vec<&str> = text.lines().collect();
        writeln!(out, "{key:<9} {}", lines.join(", "))?;
    }
    // Sizes that are not given are shown for 1.
    let known = |s: &String| dims.iter().any(|(name, _)| name == s);
    let rest = interface.symbols.iter().filter(|s| !known(s));
    let assumed: Vec<(String, i64)> = rest.map(|s| (s.clone(), 1)).collect();
    let all: Vec<(String, i64)> = dims.iter().cloned().chain(assumed).collect();
    let none = vec![None; interface.inputs.len()];
    let sizes = model.sizes(&none, &all).map_err(|e| e.to_string())?;
    let peak = model.program().peak_bytes(&sizes);
    let bound: Vec<String> = interface
        .symbols
        .iter()
        .zip(&sizes)
        .map(|(s, n)| format!("{s} = {n}"))
        .collect();
    let at = match bound.is_empty() {
        true => String::new(),
        false => format!(" at {}", bound.join(", ")),
    };
    match peak {
        Ok(peak) => writeln!(out, "memory    {} at most{at}", mebibytes(peak))?,
        Err(e) => writeln!(out, "memory    unknown{at}: {e}")?,
    }
    Ok(())
}
