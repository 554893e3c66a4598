//! Arrays in JSON: nested lists of numbers, under their names in an object or one alone.
//!
//! JSON knows no element types, so whoever reads says which ones it wants; numbers that such an element cannot
//! hold are errors. What JSON has no number for is written as `"NaN"`, `"Infinity"` and `"-Infinity"`.

use super::json::{Json, parse, quoted};
use crate::{Array, Element};
use half::{bf16, f16};
use std::io::{self, Write};

/// The arrays of a JSON text: those of an object by name, or one without a name. `wanted` says which
/// element type an array is to have; `None` leaves it to the numbers: bool, i64 or f32.
///
/// # Errors
/// When the text is anything else, lists are not regular, or an element type cannot hold a number.
pub fn read_json(
    bytes: &[u8],
    wanted: &dyn Fn(Option<&str>) -> Option<Element>,
) -> Result<Vec<(Option<String>, Array)>, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("JSON: {e}"))?;
    match parse(text)? {
        Json::Object(entries) => {
            let arrays = entries.into_iter().map(|(name, value)| {
                let array = array(&value, wanted(Some(&name)));
                let array = array.map_err(|e| format!("{name}: {e}"))?;
                Ok((Some(name), array))
            });
            arrays.collect()
        }
        value => Ok(vec![(None, array(&value, wanted(None))?)]),
    }
}

fn array(value: &Json, wanted: Option<Element>) -> Result<Array, String> {
    let mut dims = Vec::new();
    let mut first = value;
    while let Json::Array(items) = first {
        dims.push(items.len());
        let Some(item) = items.first() else { break };
        first = item;
    }
    let mut numbers = Vec::new();
    flatten(value, &dims, &mut numbers)?;
    let element = wanted.unwrap_or_else(|| fitting(&numbers));
    let mut data = Vec::with_capacity(numbers.len() * element.bytes());
    for number in numbers {
        put(&mut data, number, element)?;
    }
    super::array(element, dims, &data)
}

/// All numbers in order; lists must be as long as `dims` say.
fn flatten<'a>(value: &'a Json, dims: &[usize], out: &mut Vec<&'a Json>) -> Result<(), String> {
    match (value, dims.split_first()) {
        (Json::Array(items), Some((len, rest))) if items.len() == *len => {
            items.iter().try_for_each(|item| flatten(item, rest, out))
        }
        (Json::Array(items), Some((len, _))) => Err(format!(
            "lists of {len} and of {} elements stand side by side",
            items.len()
        )),
        (Json::Array(_), None) => Err("a list stands where others have numbers".into()),
        (value, Some(_)) => Err(format!("{} stands where others have lists", value.kind())),
        (value, None) => {
            out.push(value);
            Ok(())
        }
    }
}

/// The type that numbers have if nobody wants another one.
fn fitting(numbers: &[&Json]) -> Element {
    let all = |fits: fn(&Json) -> bool| !numbers.is_empty() && numbers.iter().all(|n| fits(n));
    if all(|n| matches!(n, Json::Bool(_))) {
        Element::Bool
    } else if all(|n| matches!(n, Json::Natural(_) | Json::Negative(_))) {
        Element::I64
    } else {
        Element::F32
    }
}

/// Appends a number as an element.
fn put(data: &mut Vec<u8>, number: &Json, element: Element) -> Result<(), String> {
    let misfit = || format!("{} is no {}", number.kind(), element.name());
    macro_rules! whole {
        ($type:ty) => {{
            let value = whole(number).and_then(|n| <$type>::try_from(n).ok());
            data.extend(value.ok_or_else(misfit)?.to_ne_bytes());
        }};
    }
    let real = || real(number).ok_or_else(misfit);
    // A number that only overflows in a narrower type is a mistake, infinity is not.
    let kept = |wide: f64, narrow: f64| match wide.is_finite() && narrow.is_infinite() {
        true => Err(misfit()),
        false => Ok(()),
    };
    match element {
        Element::Bool => data.push(match number {
            Json::Bool(value) => (*value).into(),
            Json::Natural(value @ (0 | 1)) => *value as u8,
            _ => return Err(misfit()),
        }),
        Element::U8 => whole!(u8),
        Element::U16 => whole!(u16),
        Element::U32 => whole!(u32),
        Element::U64 => whole!(u64),
        Element::I8 => whole!(i8),
        Element::I16 => whole!(i16),
        Element::I32 => whole!(i32),
        Element::I64 => whole!(i64),
        Element::F16 => {
            let value = real()?;
            let narrow = f16::from_f64(value);
            kept(value, narrow.to_f64())?;
            data.extend(narrow.to_ne_bytes());
        }
        Element::BF16 => {
            let value = real()?;
            let narrow = bf16::from_f64(value);
            kept(value, narrow.to_f64())?;
            data.extend(narrow.to_ne_bytes());
        }
        Element::F32 => {
            let value = real()?;
            kept(value, (value as f32).into())?;
            data.extend((value as f32).to_ne_bytes());
        }
        Element::F64 => data.extend(real()?.to_ne_bytes()),
        Element::C64 | Element::C128 => {
            return Err("JSON has no complex numbers; use .npy or .npz".into());
        }
    }
    Ok(())
}

fn whole(number: &Json) -> Option<i128> {
    match number {
        Json::Natural(value) => Some((*value).into()),
        Json::Negative(value) => Some((*value).into()),
        // As other writers put whole numbers.
        Json::Whole(value) => Some(*value),
        _ => None,
    }
}

fn real(number: &Json) -> Option<f64> {
    match number {
        Json::Natural(value) => Some(*value as f64),
        Json::Negative(value) => Some(*value as f64),
        Json::Whole(value) => Some(*value as f64),
        Json::Real(value) => Some(*value),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// Writes arrays under their names as one JSON object on a line of its own.
///
/// # Errors
/// When `out` fails, or an array is complex.
pub fn write_json(out: &mut dyn Write, arrays: &[(&str, &Array)]) -> io::Result<()> {
    out.write_all(b"{")?;
    for (i, (name, array)) in arrays.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(out, "{comma}{}: ", quoted(name))?;
        let mut elements = array.data.as_bytes().chunks_exact(array.element.bytes());
        write_list(out, &array.dims, &mut || {
            elements.next().map(|e| number_text(e, array.element))
        })?;
    }
    out.write_all(b"}\n")
}

fn write_list(
    out: &mut dyn Write,
    dims: &[usize],
    next: &mut dyn FnMut() -> Option<io::Result<String>>,
) -> io::Result<()> {
    let Some((len, rest)) = dims.split_first() else {
        let missing = || Err(io::Error::other("an array has too few elements"));
        return out.write_all(next().unwrap_or_else(missing)?.as_bytes());
    };
    out.write_all(b"[")?;
    // What holds nothing has no further structure, however long it claims to be.
    let len = if rest.contains(&0) { 0 } else { *len };
    for i in 0..len {
        out.write_all(if i == 0 { b"" } else { b", " })?;
        write_list(out, rest, next)?;
    }
    out.write_all(b"]")
}

/// An element as JSON, which has names for numbers that are none.
fn number_text(bytes: &[u8], element: Element) -> io::Result<String> {
    if element.is_complex() {
        let message = "JSON has no complex numbers; write .npy or .npz";
        return Err(io::Error::other(message));
    }
    let text = element.text(bytes);
    Ok(match &*text {
        "NaN" => quoted("NaN"),
        "inf" => quoted("Infinity"),
        "-inf" => quoted("-Infinity"),
        _ => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Buffer;
    use proptest::prelude::*;

    fn read(text: &str, wanted: Option<Element>) -> Result<Vec<(Option<String>, Array)>, String> {
        read_json(text.as_bytes(), &|_| wanted)
    }

    #[test]
    fn lists_are_arrays_of_the_wanted_type() {
        let arrays = read(r#"{"x": [[1, 2.5], [-3, "NaN"]], "y": true}"#, None).unwrap();
        let shown: Vec<String> = arrays.iter().map(|(_, a)| a.describe()).collect();
        assert_eq!(shown, ["f32[2, 2]", "bool[]"]);
        assert_eq!(arrays[0].1.data.to_vec::<f32>()[..3], [1.0, 2.5, -3.0]);
        let (name, bytes) = &read("[[1, 0.0], [255, 7]]", Some(Element::U8)).unwrap()[0];
        assert_eq!(name, &None);
        assert_eq!(bytes.data.as_bytes(), [1, 0, 255, 7]);
        assert_eq!(read("[[], []]", None).unwrap()[0].1.dims, [2, 0]);
        // Who writes a point or an exponent means no whole numbers, but may be asked for some.
        assert_eq!(read("[1.0]", None).unwrap()[0].1.describe(), "f32[1]");
        let whole = &read("[1e18, -2.0]", Some(Element::I64)).unwrap()[0].1;
        assert_eq!(whole.data.to_vec::<i64>(), [1_000_000_000_000_000_000, -2]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (text, element, part) in [
            ("[300]", Element::U8, "300 is no u8"),
            ("[2.5]", Element::I64, "2.5 is no i64"),
            ("[1e300]", Element::F32, "is no f32"),
            ("[70000]", Element::F16, "70000 is no f16"),
            ("[2]", Element::Bool, "2 is no bool"),
            ("[null]", Element::F32, "null is no f32"),
            ("[[1], [1, 2]]", Element::F32, "lists of 1 and of 2"),
            ("[[1], 2]", Element::F32, "2 stands where others have lists"),
            ("[1, [2]]", Element::F32, "a list stands"),
            ("[1]", Element::C64, "no complex"),
            ("{", Element::F32, "JSON"),
        ] {
            let message = read(text, Some(element)).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn floats_come_back(values: Vec<f32>) {
            let data = Buffer::from_slice(&values).unwrap();
            let array = Array { element: Element::F32, dims: vec![values.len()], data };
            let mut text = Vec::new();
            write_json(&mut text, &[("x", &array)]).unwrap();
            let found = read_json(&text, &|_| Some(Element::F32)).unwrap();
            let found = found[0].1.data.to_vec::<f32>();
            prop_assert_eq!(values.len(), found.len());
            for (a, b) in values.iter().zip(found) {
                prop_assert!(a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()), "{a} {b}");
            }
        }
    }
}
