//! NumPy's `.npy`: a magic number, a Python dictionary with type, order and shape, the elements.

use crate::{Array, Element};
use std::io::{self, Write};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Bytes of a header at most. Python's dictionaries are longer for records only, which are not read.
const MAX_HEADER: usize = 0xffff;

/// So many bytes, or all of them, tell a file's length.
pub const HEAD: usize = MAGIC.len() + 2 + 4 + MAX_HEADER;

/// What a file says of its elements.
struct Header {
    element: Element,
    dims: Vec<usize>,
    /// Where the elements begin.
    data: usize,
}

/// The array in an `.npy` file (versions 1 to 3, little-endian, row-major).
///
/// # Errors
/// When the bytes are anything else.
pub fn read_npy(bytes: &[u8]) -> Result<Array, String> {
    let Header {
        element,
        dims,
        data,
    } = header(bytes)?;
    super::array(element, dims, &bytes[data..])
}

/// Checks that a file of `len` bytes that begins with `head`, at least [`HEAD`] bytes or all of it, has as many elements as
/// it says, so that nothing long is unpacked to be refused.
///
/// # Errors
/// When it has not, or is no such file.
pub fn check_npy(head: &[u8], len: usize) -> Result<(), String> {
    let header = header(head)?;
    super::check_length(header.element, &header.dims, len - header.data)
}

fn header(bytes: &[u8]) -> Result<Header, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("not an .npy file")?;
    let cut = || "cut short within the header".to_string();
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let (len, rest) = match version[0] {
        1 => {
            let (len, rest) = rest.split_first_chunk().ok_or_else(cut)?;
            (usize::from(u16::from_le_bytes(*len)), rest)
        }
        2 | 3 => {
            let (len, rest) = rest.split_first_chunk().ok_or_else(cut)?;
            (u32::from_le_bytes(*len) as usize, rest)
        }
        other => return Err(format!(".npy of version {other}, expected 1 to 3")),
    };
    if len > MAX_HEADER {
        return Err(format!(
            "a header of {len} bytes; at most {MAX_HEADER} are read"
        ));
    }
    let (text, data) = rest.split_at_checked(len).ok_or_else(cut)?;
    let text = std::str::from_utf8(text).map_err(|e| format!("header: {e}"))?;
    let element = element(entry(text, "descr")?)?;
    if entry(text, "fortran_order")?.starts_with("True") {
        return Err("column-major; save it as numpy.ascontiguousarray(x)".into());
    }
    Ok(Header {
        element,
        dims: shape(entry(text, "shape")?)?,
        data: bytes.len() - data.len(),
    })
}

/// What follows `'key':` in a dictionary.
fn entry<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let missing = || format!("the header has no {key}: {}", header.trim_end());
    let quoted = [format!("'{key}'"), format!("\"{key}\"")];
    let behind = quoted
        .iter()
        .find_map(|q| header.split_once(q.as_str()))
        .ok_or_else(missing)?
        .1;
    let value = behind.trim_start().strip_prefix(':').ok_or_else(missing)?;
    Ok(value.trim_start())
}

/// The element type that the value of `descr` names, at the beginning of this text.
fn element(descr: &str) -> Result<Element, String> {
    let quote = descr.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let quoted = quote.and_then(|quote| descr[1..].split_once(quote));
    // Records are lists of fields.
    let (name, _) = quoted.ok_or("records are not supported: the header's descr is no text")?;
    let unknown = || format!("elements of type {name:?} are not supported");
    let (order, kind) = name.split_at_checked(1).ok_or_else(unknown)?;
    let element = Element::ALL
        .into_iter()
        .find(|e| type_name(*e) == Some(kind))
        .ok_or_else(unknown)?;
    match order {
        "<" | "|" | "=" => Ok(element),
        ">" if element.bytes() == 1 => Ok(element),
        ">" => Err("big-endian; save it as x.astype(x.dtype.newbyteorder('<'))".into()),
        _ => Err(unknown()),
    }
}

/// NumPy's name; it has none for bf16.
fn type_name(element: Element) -> Option<&'static str> {
    Some(match element {
        Element::Bool => "b1",
        Element::U8 => "u1",
        Element::U16 => "u2",
        Element::U32 => "u4",
        Element::U64 => "u8",
        Element::I8 => "i1",
        Element::I16 => "i2",
        Element::I32 => "i4",
        Element::I64 => "i8",
        Element::F16 => "f2",
        Element::BF16 => return None,
        Element::F32 => "f4",
        Element::F64 => "f8",
        Element::C64 => "c8",
        Element::C128 => "c16",
    })
}

fn shape(text: &str) -> Result<Vec<usize>, String> {
    let inner = text.strip_prefix('(').and_then(|t| t.split_once(')'));
    let (inner, _) = inner.ok_or("the header's shape is no tuple")?;
    let sizes = inner.split(',').map(str::trim).filter(|s| !s.is_empty());
    let size = |s: &str| s.parse().map_err(|_| format!("shape ({inner}): {s:?}"));
    sizes.map(size).collect()
}

/// Writes an `.npy` file of version 1.
///
/// # Errors
/// When `out` fails, or the type has no name in NumPy.
pub fn write_npy(out: &mut dyn Write, array: &Array) -> io::Result<()> {
    let no_name = || {
        let message = "bf16 has no name in .npy; write .safetensors or .raw";
        io::Error::other(message)
    };
    let kind = type_name(array.element).ok_or_else(no_name)?;
    let order = if array.element.bytes() == 1 { '|' } else { '<' };
    let dims: String = array.dims.iter().map(|d| format!("{d}, ")).collect();
    let dims = match array.dims.len() {
        0 | 1 => dims.trim_end(),
        _ => dims.trim_end_matches(", "),
    };
    let mut header =
        format!("{{'descr': '{order}{kind}', 'fortran_order': False, 'shape': ({dims}), }}");
    // Magic, version and length take 10 bytes; elements begin at a multiple of 64.
    let padded = (header.len() + 1 + 10).next_multiple_of(64) - 10;
    while header.len() + 1 < padded {
        header.push(' ');
    }
    header.push('\n');
    let len = u16::try_from(header.len()).map_err(io::Error::other)?;
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&len.to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    out.write_all(array.data.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Buffer;
    use proptest::prelude::*;

    fn bytes(array: &Array) -> Vec<u8> {
        let mut out = Vec::new();
        write_npy(&mut out, array).unwrap();
        out
    }

    fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
        let mut out = b"\x93NUMPY\x02\x00".to_vec();
        out.extend((header.len() as u32).to_le_bytes());
        out.extend(header.as_bytes());
        out.extend(data);
        out
    }

    #[test]
    fn arrays_come_back() {
        for element in Element::ALL.into_iter().filter(|e| *e != Element::BF16) {
            for dims in [vec![], vec![3], vec![2, 0], vec![2, 3, 4]] {
                let len = dims.iter().product::<usize>() * element.bytes();
                let byte = |i: usize| match element {
                    Element::Bool => (i % 2) as u8,
                    _ => (i * 7) as u8,
                };
                let data: Vec<u8> = (0..len).map(byte).collect();
                let data = Buffer::from_bytes(&data).unwrap();
                let array = Array {
                    element,
                    dims,
                    data,
                };
                let file = bytes(&array);
                let found = read_npy(&file).unwrap();
                assert_eq!(found.describe(), array.describe());
                assert_eq!(found.data.as_bytes(), array.data.as_bytes());
                assert_eq!((file.len() - array.data.len()) % 64, 0);
            }
        }
    }

    #[test]
    fn as_numpy_writes_it() {
        let header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }      \n";
        let array = read_npy(&with_header(header, &[1, 0, 2, 0])).unwrap();
        assert_eq!(array.describe(), "i16[2]");
        assert_eq!(array.data.to_vec::<i16>(), [1, 2]);
    }

    #[test]
    fn what_is_not_read_is_named() {
        let error = |header: &str| read_npy(&with_header(header, &[])).unwrap_err();
        let base = "{'descr': 'D', 'fortran_order': F, 'shape': (0,), }";
        let of = |d: &str, f: &str| error(&base.replace('D', d).replace(" F", f));
        for (descr, shown) in [("|O", "|O"), ("<M8[s]", "<M8[s]"), ("", ""), ("é", "é")] {
            let expected = format!("elements of type {shown:?} are not supported");
            assert_eq!(of(descr, " False"), expected);
        }
        let records = "{'descr': [('<f4', '<i4')], 'fortran_order': False, 'shape': (0,), }";
        assert!(error(records).contains("records are not supported"));
        assert!(of(">f4", " False").contains("big-endian"));
        assert!(of("<f4", " True").contains("column-major"));
        assert!(error("{'descr': '<f4'}").contains("fortran_order"));
        assert!(read_npy(b"PK").unwrap_err().contains("not an .npy"));
        let short = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
        assert!(error(short).contains("12 bytes"), "{}", error(short));
    }

    proptest! {
        #[test]
        fn damaged_files_are_arrays_or_errors(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let data = Buffer::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).unwrap();
            let mut file = bytes(&Array { element: Element::F32, dims: vec![2, 2], data });
            let at = at.index(file.len());
            file[at] = byte;
            let cut = cut.index(file.len() + 1);
            let _ = read_npy(&file[..cut]);
        }
    }
}
