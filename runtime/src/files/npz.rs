//! NumPy's `.npz`: a zip archive of `.npy` files. Members are stored or deflated when read, stored when written.

use super::inflate::{inflate, inflate_head};
use super::npy::{HEAD, check_npy, read_npy, write_npy};
use crate::Array;
use std::io::{self, Write};

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// Bytes of these headers without what varies.
const LOCAL_LEN: usize = 30;
const CENTRAL_LEN: usize = 46;
const END_LEN: usize = 22;
/// The end of an archive is followed by a comment of at most so many bytes.
const MAX_COMMENT: usize = 0xffff;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const VERSION: u16 = 20;
/// 1980-01-01, the first day that zip knows: files do not depend on when they were written.
const DATE: u16 = 0x21;

/// The arrays of an `.npz` file, in the order of its directory.
///
/// # Errors
/// When the bytes are anything else.
pub fn read_npz(bytes: &[u8]) -> Result<Vec<(String, Array)>, String> {
    let (count, mut at) = directory(bytes)?;
    let mut arrays = Vec::new();
    for _ in 0..count {
        let (member, next) = member(bytes, at)?;
        at = next;
        let name = member.name.strip_suffix(".npy").unwrap_or(&member.name);
        let array = contents(bytes, &member).and_then(|npy| read_npy(&npy));
        let array = array.map_err(|e| format!("{}: {e}", member.name))?;
        arrays.push((name.to_owned(), array));
    }
    super::check_distinct(arrays.iter().map(|(name, _)| name.as_str()))?;
    Ok(arrays)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let part = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*part))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let part = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*part))
}

/// How many members the archive has, and where its directory begins.
fn directory(bytes: &[u8]) -> Result<(u16, usize), String> {
    let none = || "not an .npz file".to_string();
    let latest = bytes.len().checked_sub(END_LEN).ok_or_else(none)?;
    let mut ends = (latest.saturating_sub(MAX_COMMENT)..=latest).rev();
    let end = ends.find(|at| word(bytes, *at) == Some(END));
    let end = end.ok_or_else(none)?;
    let count = half(bytes, end + 10).ok_or_else(none)?;
    let start = word(bytes, end + 16).ok_or_else(none)?;
    match (count, start) {
        (u16::MAX, _) | (_, u32::MAX) => Err("archives beyond 4 GiB are not read".into()),
        (count, start) => Ok((count, start as usize)),
    }
}

struct Member {
    name: String,
    flags: u16,
    method: u16,
    sum: u32,
    packed: usize,
    len: usize,
    header: usize,
}

/// The entry of the directory at `at`, and where the next one begins.
fn member(bytes: &[u8], at: usize) -> Result<(Member, usize), String> {
    let damaged = || "the archive's directory is damaged".to_string();
    if word(bytes, at) != Some(CENTRAL) {
        return Err(damaged());
    }
    let short = |offset: usize| half(bytes, at + offset).ok_or_else(damaged);
    let long = |offset: usize| word(bytes, at + offset).ok_or_else(damaged);
    let name = at + CENTRAL_LEN;
    let extra = name + usize::from(short(28)?);
    let next = extra + usize::from(short(30)?) + usize::from(short(32)?);
    let name = bytes.get(name..extra).ok_or_else(damaged)?;
    let (packed, len, header) = (long(20)?, long(24)?, long(42)?);
    if [packed, len, header].contains(&u32::MAX) {
        return Err("members beyond 4 GiB are not read".into());
    }
    let member = Member {
        name: String::from_utf8_lossy(name).into_owned(),
        flags: short(8)?,
        method: short(10)?,
        sum: long(16)?,
        packed: packed as usize,
        len: len as usize,
        header: header as usize,
    };
    Ok((member, next))
}

/// A member's bytes, whose checksum is right; they are as long as their header says.
fn contents(bytes: &[u8], member: &Member) -> Result<Vec<u8>, String> {
    let damaged = || "the archive's member is damaged".to_string();
    if member.flags & 1 != 0 {
        return Err("encrypted".into());
    }
    let at = member.header;
    if word(bytes, at) != Some(LOCAL) {
        return Err(damaged());
    }
    let (name, extra) = (half(bytes, at + 26), half(bytes, at + 28));
    let names = usize::from(name.ok_or_else(damaged)?) + usize::from(extra.ok_or_else(damaged)?);
    let start = at + LOCAL_LEN + names;
    let packed = start.checked_add(member.packed);
    let packed = packed.and_then(|end| bytes.get(start..end));
    let packed = packed.ok_or_else(damaged)?;
    let found = match member.method {
        STORED if member.packed == member.len => packed.to_vec(),
        STORED => return Err(damaged()),
        DEFLATED => {
            // A few bytes may say that they are gigabytes: what is no array is not unpacked.
            check_npy(&inflate_head(packed, member.len, HEAD)?, member.len)?;
            inflate(packed, member.len)?
        }
        other => return Err(format!("compressed by method {other}, which is not read")),
    };
    match crc(&found) == member.sum {
        true => Ok(found),
        false => Err("damaged: its checksum is wrong".into()),
    }
}

/// Writes arrays under their names.
///
/// # Errors
/// When `out` fails, a type has no name in NumPy, or the file would be beyond what zip counts (4 GiB).
pub fn write_npz(out: &mut dyn Write, arrays: &[(&str, &Array)]) -> io::Result<()> {
    let (mut at, mut directory) = (0u32, Vec::new());
    let large = || io::Error::other("beyond 4 GiB; write .safetensors");
    for (name, array) in arrays {
        let name = format!("{name}.npy");
        let mut npy = Vec::new();
        write_npy(&mut npy, array)?;
        let len = u32::try_from(npy.len()).map_err(|_| large())?;
        // What the local header and the entry of the directory have in common.
        let mut common = Vec::new();
        for number in [VERSION, 0, STORED, 0, DATE] {
            common.extend(number.to_le_bytes());
        }
        for number in [crc(&npy), len, len] {
            common.extend(number.to_le_bytes());
        }
        let name_len = u16::try_from(name.len()).map_err(io::Error::other)?;
        for number in [name_len, 0] {
            common.extend(number.to_le_bytes());
        }
        directory.extend(CENTRAL.to_le_bytes());
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&common);
        // No comment, first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
        out.write_all(&LOCAL.to_le_bytes())?;
        out.write_all(&common)?;
        out.write_all(name.as_bytes())?;
        out.write_all(&npy)?;
        let whole = (LOCAL_LEN + name.len() + npy.len()) as u64;
        at = u32::try_from(u64::from(at) + whole).map_err(|_| large())?;
    }
    let count = u16::try_from(arrays.len()).map_err(io::Error::other)?;
    let len = u32::try_from(directory.len()).map_err(|_| large())?;
    out.write_all(&directory)?;
    out.write_all(&END.to_le_bytes())?;
    for number in [0, 0, count, count] {
        out.write_all(&u16::to_le_bytes(number))?;
    }
    out.write_all(&len.to_le_bytes())?;
    out.write_all(&at.to_le_bytes())?;
    out.write_all(&[0; 2])
}

/// The checksum of zip: CRC-32.
fn crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let (mut value, mut bit) = (i as u32, 0);
            while bit < 8 {
                value = (value >> 1) ^ (0xedb8_8320 * (value & 1));
                bit += 1;
            }
            table[i] = value;
            i += 1;
        }
        table
    };
    let step = |sum: u32, byte: &u8| (sum >> 8) ^ TABLE[((sum ^ u32::from(*byte)) & 255) as usize];
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Buffer, Element};
    use proptest::prelude::*;

    fn file() -> Vec<u8> {
        let array = |dims: &[usize], values: &[f32]| Array {
            element: Element::F32,
            dims: dims.to_vec(),
            data: Buffer::from_slice(values).unwrap(),
        };
        let (a, b) = (array(&[2], &[1.5, -2.0]), array(&[], &[7.0]));
        let mut out = Vec::new();
        write_npz(&mut out, &[("a", &a), ("layer.b", &b)]).unwrap();
        out
    }

    #[test]
    fn arrays_come_back() {
        let arrays = read_npz(&file()).unwrap();
        assert_eq!(
            (arrays[0].0.as_str(), arrays[1].0.as_str()),
            ("a", "layer.b")
        );
        assert_eq!(arrays[0].1.data.to_vec::<f32>(), [1.5, -2.0]);
        assert_eq!(arrays[1].1.describe(), "f32[]");
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
    }

    /// `numpy.savez_compressed(f, x=numpy.zeros(100, "i2"))`, with its zip64 extra field.
    const COMPRESSED: &[u8] = &[
        80, 75, 3, 4, 45, 0, 0, 0, 8, 0, 0, 0, 33, 0, 80, 84, 48, 67, 255, 255, 255, 255, 255, 255,
        255, 255, 5, 0, 20, 0, 120, 46, 110, 112, 121, 1, 0, 16, 0, 72, 1, 0, 0, 0, 0, 0, 0, 73, 0,
        0, 0, 0, 0, 0, 0, 155, 236, 23, 234, 27, 16, 201, 200, 80, 198, 80, 173, 158, 146, 90, 156,
        92, 164, 110, 165, 160, 110, 147, 105, 164, 174, 163, 160, 158, 150, 95, 84, 82, 148, 152,
        23, 159, 95, 148, 146, 10, 18, 119, 75, 204, 41, 78, 5, 138, 23, 103, 36, 22, 164, 2, 249,
        26, 134, 6, 6, 58, 154, 58, 10, 181, 10, 100, 3, 46, 134, 97, 2, 0, 80, 75, 1, 2, 45, 3,
        45, 0, 0, 0, 8, 0, 0, 0, 33, 0, 80, 84, 48, 67, 73, 0, 0, 0, 72, 1, 0, 0, 5, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 128, 1, 0, 0, 0, 0, 120, 46, 110, 112, 121, 80, 75, 5, 6, 0, 0, 0, 0, 1,
        0, 1, 0, 51, 0, 0, 0, 128, 0, 0, 0, 0, 0,
    ];

    #[test]
    fn as_numpy_writes_it() {
        let arrays = read_npz(COMPRESSED).unwrap();
        assert_eq!(
            (arrays[0].0.as_str(), arrays[0].1.describe()),
            ("x", "i16[100]".into())
        );
        assert!(arrays[0].1.data.as_bytes().iter().all(|b| *b == 0));
    }

    #[test]
    fn what_is_damaged_is_named() {
        let mut wrong = file();
        // The last element of the first member.
        let at = LOCAL_LEN + "a.npy".len() + 128 + 4;
        wrong[at] ^= 1;
        assert!(read_npz(&wrong).unwrap_err().contains("a.npy: damaged"));
        assert!(
            read_npz(&file()[..100])
                .unwrap_err()
                .contains("not an .npz")
        );
        assert!(read_npz(b"").is_err());
    }

    #[test]
    fn members_that_are_longer_than_their_array_are_not_unpacked() {
        // The directory promises 4 GiB; what is unpacked would tell that it is less.
        let mut bomb = COMPRESSED.to_vec();
        let entry = bomb.windows(4).position(|w| w == CENTRAL.to_le_bytes());
        let len = entry.unwrap() + 24;
        bomb[len..len + 4].copy_from_slice(&(u32::MAX - 1).to_le_bytes());
        let error = read_npz(&bomb).unwrap_err();
        let expected = "x.npy: 200 bytes of elements were expected, 4294967166 are there";
        assert_eq!(error, expected);
    }

    #[test]
    fn names_given_twice_are_refused() {
        let array = Array {
            element: Element::U8,
            dims: vec![1],
            data: Buffer::from_bytes(&[1]).unwrap(),
        };
        let mut out = Vec::new();
        write_npz(&mut out, &[("a", &array), ("b", &array), ("a", &array)]).unwrap();
        let error = read_npz(&out).unwrap_err();
        assert_eq!(error, "the name \"a\" is given twice");
    }

    proptest! {
        #[test]
        fn damaged_files_are_arrays_or_errors(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let mut file = file();
            let at = at.index(file.len());
            file[at] = byte;
            let cut = cut.index(file.len() + 1);
            let _ = read_npz(&file[..cut]);
        }
    }
}
