//! `.safetensors`: the length of a JSON header, the header, the elements of all arrays, which fill the rest of the
//! file and share no byte.

use super::json::{Json, parse, quoted};
use crate::{Array, Element};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

/// Texts by key, which a `.safetensors` file may hold besides arrays.
pub type Texts = BTreeMap<String, String>;

/// The key of the texts among the arrays.
const TEXTS: &str = "__metadata__";

/// The arrays in a `.safetensors` file, in the order of its header.
///
/// # Errors
/// When the bytes are anything else.
pub fn read_safetensors(bytes: &[u8]) -> Result<Vec<(String, Array)>, String> {
    read_safetensors_texts(bytes).map(|(_, arrays)| arrays)
}

/// The texts and the arrays in a `.safetensors` file.
///
/// # Errors
/// When the bytes are anything else.
pub fn read_safetensors_texts(bytes: &[u8]) -> Result<(Texts, Vec<(String, Array)>), String> {
    let short = || "cut short: not a .safetensors file".to_string();
    let (len, rest) = bytes.split_first_chunk().ok_or_else(short)?;
    let len = usize::try_from(u64::from_le_bytes(*len)).map_err(|_| short())?;
    let (header, data) = rest.split_at_checked(len).ok_or_else(short)?;
    let header = std::str::from_utf8(header).map_err(|e| format!("header: {e}"))?;
    let Json::Object(entries) = parse(header)? else {
        return Err("the header is no object".into());
    };
    let mut texts = Texts::new();
    let mut declared = Vec::new();
    for (name, info) in &entries {
        match (name.as_str(), info) {
            (TEXTS, Json::Object(entries)) => {
                for (key, text) in entries {
                    let Json::String(text) = text else {
                        return Err(format!("{TEXTS}: {key} is {}, not text", text.kind()));
                    };
                    texts.insert(key.clone(), text.clone());
                }
            }
            (TEXTS, other) => return Err(format!("{TEXTS} is {}", other.kind())),
            _ => {
                let tensor = declaration(info, data.len()).map_err(|e| format!("{name}: {e}"))?;
                declared.push((name, tensor));
            }
        }
    }
    check_layout(&declared, data.len())?;
    let arrays = declared.into_iter().map(|(name, tensor)| {
        let array = super::array(tensor.element, tensor.dims, &data[tensor.bytes]);
        Ok((name.clone(), array.map_err(|e| format!("{name}: {e}"))?))
    });
    Ok((texts, arrays.collect::<Result<_, String>>()?))
}

/// What the header says of an array.
struct Declaration {
    element: Element,
    dims: Vec<usize>,
    /// Where its elements lie behind the header, within the file.
    bytes: Range<usize>,
}

/// Checks that arrays fill their `len` bytes and share none: else a file would say more or less than it holds, and
/// a short one could be read into arrays of any size.
fn check_layout(declared: &[(&String, Declaration)], len: usize) -> Result<(), String> {
    let mut order: Vec<(&str, &Range<usize>)> = declared
        .iter()
        .map(|(name, tensor)| (name.as_str(), &tensor.bytes))
        .collect();
    order.sort_by_key(|(_, bytes)| (bytes.start, bytes.end));
    let (mut before, mut end) = (None, 0);
    for (name, bytes) in order {
        let Range { start, end: to } = *bytes;
        match before {
            Some((other, from)) if start < end => {
                return Err(format!(
                    "{name}: bytes {start} to {to} overlap those of {other}, {from} to {end}"
                ));
            }
            _ if start > end => {
                return Err(format!(
                    "{name}: bytes {end} to {start}, in front of its own, belong to no array"
                ));
            }
            _ => (before, end) = (Some((name, start)), to),
        }
    }
    match end == len {
        true => Ok(()),
        false => Err(format!(
            "bytes {end} to {len}, the last ones, belong to no array"
        )),
    }
}

/// What an entry of the header says, where `len` bytes follow the header.
fn declaration(info: &Json, len: usize) -> Result<Declaration, String> {
    let Some(Json::String(dtype)) = info.get("dtype") else {
        return Err("no dtype".into());
    };
    let mut all = Element::ALL.into_iter();
    let element = all.find(|e| type_name(*e) == Some(dtype));
    let element = element.ok_or_else(|| format!("elements of type {dtype} are not supported"))?;
    let numbers = |key: &str| -> Result<Vec<usize>, String> {
        let list = info.get(key).and_then(Json::naturals);
        let list = list.ok_or_else(|| format!("no {key}"))?;
        let size = |n| usize::try_from(n).map_err(|_| format!("{key}: {n} is too large"));
        list.into_iter().map(size).collect()
    };
    let dims = numbers("shape")?;
    let [from, to] = numbers("data_offsets")?[..] else {
        return Err("data_offsets are two numbers".into());
    };
    if from > to || to > len {
        return Err(format!("bytes {from} to {to} of {len}"));
    }
    Ok(Declaration {
        element,
        dims,
        bytes: from..to,
    })
}

/// The format's name of a type; it has none for c128.
fn type_name(element: Element) -> Option<&'static str> {
    Some(match element {
        Element::Bool => "BOOL",
        Element::U8 => "U8",
        Element::U16 => "U16",
        Element::U32 => "U32",
        Element::U64 => "U64",
        Element::I8 => "I8",
        Element::I16 => "I16",
        Element::I32 => "I32",
        Element::I64 => "I64",
        Element::F16 => "F16",
        Element::BF16 => "BF16",
        Element::F32 => "F32",
        Element::F64 => "F64",
        Element::C64 => "C64",
        Element::C128 => return None,
    })
}

/// Writes arrays under their names.
///
/// # Errors
/// When `out` fails, or a type has no name in the format.
pub fn write_safetensors(out: &mut dyn Write, arrays: &[(&str, &Array)]) -> io::Result<()> {
    write_safetensors_texts(out, &Texts::new(), arrays)
}

/// Writes texts and arrays.
///
/// # Errors
/// As for [`write_safetensors`].
pub fn write_safetensors_texts(
    out: &mut dyn Write,
    texts: &Texts,
    arrays: &[(&str, &Array)],
) -> io::Result<()> {
    let mut entries = Vec::with_capacity(1 + arrays.len());
    if !texts.is_empty() {
        let pair = |(key, text): (&String, &String)| format!("{}:{}", quoted(key), quoted(text));
        let pairs: Vec<String> = texts.iter().map(pair).collect();
        entries.push(format!("{}:{{{}}}", quoted(TEXTS), pairs.join(",")));
    }
    let mut at = 0;
    for (name, array) in arrays {
        let no_name = || io::Error::other("c128 has no name in .safetensors");
        let dtype = type_name(array.element).ok_or_else(no_name)?;
        let (from, to) = (at, at + array.data.len());
        let (name, dims) = (quoted(name), &array.dims);
        entries.push(format!(
            "{name}:{{\"dtype\":\"{dtype}\",\"shape\":{dims:?},\"data_offsets\":[{from},{to}]}}"
        ));
        at = to;
    }
    let mut header = format!("{{{}}}", entries.join(","));
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    let mut data = arrays.iter().map(|(_, array)| array.data.as_bytes());
    data.try_for_each(|bytes| out.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Buffer;
    use proptest::prelude::*;

    fn file() -> Vec<u8> {
        let array = |element, dims: &[usize], data: &[u8]| Array {
            element,
            dims: dims.to_vec(),
            data: Buffer::from_bytes(data).unwrap(),
        };
        let a = array(Element::BF16, &[2, 1], &[1, 2, 3, 4]);
        let b = array(Element::I64, &[], &[9; 8]);
        let mut out = Vec::new();
        write_safetensors(&mut out, &[("layer.\"weight\"", &a), ("b", &b)]).unwrap();
        out
    }

    #[test]
    fn arrays_come_back() {
        let arrays = read_safetensors(&file()).unwrap();
        let shown: Vec<String> = arrays.iter().map(|(_, a)| a.describe()).collect();
        assert_eq!(shown, ["bf16[2, 1]", "i64[]"]);
        assert_eq!(arrays[0].0, "layer.\"weight\"");
        assert_eq!(arrays[0].1.data.as_bytes(), [1, 2, 3, 4]);
        assert_eq!(arrays[1].1.data.as_bytes(), [9; 8]);
    }

    #[test]
    fn as_others_write_it() {
        let header = r#"{"__metadata__":{"format":"pt"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(1.5f32.to_le_bytes());
        let (texts, arrays) = read_safetensors_texts(&file).unwrap();
        assert_eq!(arrays[0].1.data.to_vec::<f32>(), [1.5]);
        assert_eq!(texts["format"], "pt");
        let mut again = Vec::new();
        write_safetensors_texts(&mut again, &texts, &[("x", &arrays[0].1)]).unwrap();
        assert_eq!(read_safetensors_texts(&again).unwrap().0, texts);
    }

    /// The error for a header and `len` bytes behind it.
    fn refused(header: &str, len: usize) -> String {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.resize(file.len() + len, 0);
        read_safetensors(&file).unwrap_err()
    }

    #[test]
    fn overlaps_holes_and_trailing_bytes_are_refused() {
        let entry = |name: &str, from: usize, to: usize| {
            let len = to - from;
            format!(r#""{name}":{{"dtype":"U8","shape":[{len}],"data_offsets":[{from},{to}]}}"#)
        };
        let of = |ranges: [(usize, usize); 2], len| {
            let entries = [("a", ranges[0]), ("b", ranges[1])];
            let entries = entries.map(|(name, (from, to))| entry(name, from, to));
            refused(&format!("{{{}}}", entries.join(",")), len)
        };
        for (ranges, len, expected) in [
            (
                [(0, 8), (4, 12)],
                12,
                "b: bytes 4 to 12 overlap those of a, 0 to 8",
            ),
            (
                [(2, 8), (0, 8)],
                8,
                "a: bytes 2 to 8 overlap those of b, 0 to 8",
            ),
            (
                [(0, 4), (6, 8)],
                8,
                "b: bytes 4 to 6, in front of its own, belong to no array",
            ),
            (
                [(6, 8), (1, 6)],
                8,
                "b: bytes 0 to 1, in front of its own, belong to no array",
            ),
            (
                [(0, 4), (4, 8)],
                11,
                "bytes 8 to 11, the last ones, belong to no array",
            ),
        ] {
            assert_eq!(of(ranges, len), expected);
        }
        let twice = format!("{{{},{}}}", entry("a", 0, 4), entry("a", 4, 8));
        assert!(refused(&twice, 8).contains(r#"the name "a" is given twice"#));
    }

    #[test]
    fn absurd_dims_are_refused_as_everywhere_else() {
        let dims = [0, i64::MAX, 1 << 62];
        let header = format!(r#"{{"x":{{"dtype":"U8","shape":{dims:?},"data_offsets":[0,0]}}}}"#);
        let error = refused(&header, 0);
        assert!(error.contains("counting axes of size 0 as 1"), "{error}");
    }

    proptest! {
        #[test]
        fn damaged_files_are_arrays_or_errors(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let mut file = file();
            let at = at.index(file.len());
            file[at] = byte;
            let cut = cut.index(file.len() + 1);
            let _ = read_safetensors(&file[..cut]);
        }
    }
}
