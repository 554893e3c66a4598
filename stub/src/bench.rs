//! How fast it is here.

use crate::arguments::Arguments;
use crate::{Failure, failed};
use lazulite_runtime::files::read_inputs;
use lazulite_runtime::{Array, Buffer, Element, Interface, Payload, Pool, Signature};
use std::io::Write;
use std::time::Instant;

/// Runs the program so many times and prints the times. Inputs that are not given are made up, sizes that
/// nothing tells are 1.
pub fn bench(
    out: &mut impl Write,
    payload: &Payload,
    arguments: &Arguments,
    pool: &Pool,
    runs: u32,
) -> Result<(), Failure> {
    let model = &payload.model;
    let interface = model.interface();
    let given = read_inputs(interface, &arguments.inputs, &arguments.dims)?;
    let mut dims = arguments.dims.clone();
    let mut assumed = Vec::new();
    for symbol in &interface.symbols {
        if !dims.iter().any(|(name, _)| name == symbol) && !told(interface, symbol, &given) {
            dims.push((symbol.clone(), 1));
            assumed.push(symbol.as_str());
        }
    }
    let shown: Vec<Option<&Array>> = given.iter().map(Option::as_ref).collect();
    let sizes = model.sizes(&shown, &dims).map_err(|e| e.to_string())?;
    let mut arrays = Vec::with_capacity(given.len());
    for (array, port) in given.into_iter().zip(&interface.inputs) {
        arrays.push(match array {
            Some(array) => array,
            None => made_up(&port.ty, &sizes)?,
        });
    }
    // The first run binds the sizes and touches memory for the first time.
    let start = Instant::now();
    model.run(&arrays, &dims, pool).map_err(failed)?;
    let first = start.elapsed();
    let mut times = Vec::with_capacity(runs as usize);
    for _ in 0..runs {
        let start = Instant::now();
        model.run(&arrays, &dims, pool).map_err(failed)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let us = |time: std::time::Duration| time.as_secs_f64() * 1e6;
    let (least, median) = (us(times[0]), us(times[times.len() / 2]));
    if !interface.symbols.is_empty() {
        let named =
            { interface.symbols.iter().zip(&sizes) }.map(|(name, size)| format!("{name}={size}"));
        write!(out, "{}", named.collect::<Vec<_>>().join(", "))?;
        match assumed.is_empty() {
            true => writeln!(out)?,
            false => writeln!(out, " (nothing told {}; see --dim)", assumed.join(", "))?,
        }
    }
    writeln!(
        out,
        "{runs} runs on {} threads at level {}",
        pool.threads(),
        payload.level.name()
    )?;
    writeln!(
        out,
        "first {:.1} us, then least {least:.1} us, median {median:.1} us",
        us(first)
    )?;
    Ok(())
}

/// Whether an input tells the size.
fn told(interface: &Interface, symbol: &str, given: &[Option<Array>]) -> bool {
    let pairs = interface.inputs.iter().zip(given);
    let mut known = pairs.filter(|(_, array)| array.is_some());
    known.any(|(port, _)| {
        let mut dims = port.ty.dims.iter();
        dims.any(|d| d.text(&interface.symbols) == symbol)
    })
}

/// An array of small numbers: fractions below 1, or 0 and 1 for integers, which are in range of most things.
fn made_up(ty: &Signature, sizes: &[i64]) -> Result<Array, String> {
    let dims = ty.dims.iter().map(|d| {
        let size = d.eval(sizes).map_err(|e| e.to_string())?;
        usize::try_from(size).map_err(|e| e.to_string())
    });
    let dims: Vec<usize> = dims.collect::<Result<_, String>>()?;
    let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    let bytes = count.and_then(|n| n.checked_mul(ty.element.bytes()));
    let bytes = bytes.ok_or_else(|| format!("dims {dims:?} are too large"))?;
    let mut data = Buffer::zeroed(bytes).map_err(|e| e.to_string())?;
    let size = ty.element.bytes();
    for (i, element) in data
        .get_mut()
        .unwrap_or_default()
        .chunks_mut(size)
        .enumerate()
    {
        let fraction = (i as u32).wrapping_mul(2_654_435_761) as f32 / u32::MAX as f32;
        match ty.element {
            Element::F32 | Element::C64 => element[..4].copy_from_slice(&fraction.to_ne_bytes()),
            Element::F64 | Element::C128 => {
                element[..8].copy_from_slice(&f64::from(fraction).to_ne_bytes());
            }
            Element::F16 => {
                element.copy_from_slice(&half::f16::from_f32(fraction).to_ne_bytes());
            }
            Element::BF16 => {
                element.copy_from_slice(&half::bf16::from_f32(fraction).to_ne_bytes());
            }
            Element::Bool
            | Element::U8
            | Element::U16
            | Element::U32
            | Element::U64
            | Element::I8
            | Element::I16
            | Element::I32
            | Element::I64 => element[0] = (fraction > 0.5).into(),
        }
    }
    Ok(Array {
        element: ty.element,
        dims,
        data,
    })
}
