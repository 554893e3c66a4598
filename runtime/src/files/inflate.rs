//! Decompression of DEFLATE (RFC 1951), which `.npz` files may use.

/// The least length of each symbol, and how many bits follow it.
const LENGTHS: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
];
const LENGTH_BITS: [u8; 29] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
/// The same for distances.
const DISTANCES: [u16; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
    2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_BITS: [u8; 30] = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13,
    13,
];
/// In which order the lengths of the codes' codes stand.
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];
/// Bits of a code at most.
const MAX_BITS: usize = 15;

/// Decompresses `bytes` to exactly `len` bytes. Memory grows with what is decompressed, not with `len`.
///
/// # Errors
/// When the bytes are anything else.
pub fn inflate(bytes: &[u8], len: usize) -> Result<Vec<u8>, String> {
    // All of it is not enough: the end must be where it was promised.
    let found = inflate_head(bytes, len, usize::MAX)?;
    match found.len() == len {
        true => Ok(found),
        false => Err(format!(
            "{len} bytes were expected, {} came out",
            found.len()
        )),
    }
}

/// The first bytes of what [`inflate`] would give, `enough` of them if there are so many and few more: work does not grow
/// with the rest.
///
/// # Errors
/// When they cannot be decompressed.
pub fn inflate_head(bytes: &[u8], len: usize, enough: usize) -> Result<Vec<u8>, String> {
    let mut bits = Bits {
        bytes,
        at: 0,
        held: 0,
        count: 0,
    };
    let mut out = Unpacked {
        bytes: Vec::new(),
        len,
        enough,
    };
    while !out.suffices() {
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(&mut bits, &mut out)?,
            1 => {
                let (literals, distances) = fixed()?;
                coded(&mut bits, &literals, &distances, &mut out)?;
            }
            2 => {
                let (literals, distances) = described(&mut bits)?;
                coded(&mut bits, &literals, &distances, &mut out)?;
            }
            _ => return Err(wrong("a block of an unknown kind")),
        }
        if last {
            break;
        }
    }
    Ok(out.bytes)
}

fn wrong(what: &str) -> String {
    format!("compressed data is damaged: {what}")
}

/// What came out so far.
struct Unpacked {
    bytes: Vec<u8>,
    /// How many bytes were promised.
    len: usize,
    /// With how many the caller is content.
    enough: usize,
}

impl Unpacked {
    fn suffices(&self) -> bool {
        self.bytes.len() >= self.enough
    }

    /// No more than was promised comes out.
    fn room(&self, more: usize) -> Result<(), String> {
        let len = self.len;
        match self.bytes.len() + more <= len {
            true => Ok(()),
            false => Err(format!("more than the {len} bytes expected come out")),
        }
    }
}

/// Bits from the lowest of each byte on.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u32,
    count: u32,
}

impl Bits<'_> {
    /// The next bits as a number, 16 at most.
    fn take(&mut self, count: u32) -> Result<u32, String> {
        while self.count < count {
            let byte = self.bytes.get(self.at).ok_or_else(|| wrong("cut short"))?;
            self.held |= u32::from(*byte) << self.count;
            self.at += 1;
            self.count += 8;
        }
        let value = self.held & ((1 << count) - 1);
        self.held >>= count;
        self.count -= count;
        Ok(value)
    }

    /// A length or distance, whose symbol was read: the least value of that symbol plus the bits that follow.
    fn number(&mut self, symbol: u16, least: &[u16], extra: &[u8]) -> Result<usize, String> {
        let both = least
            .get(usize::from(symbol))
            .zip(extra.get(usize::from(symbol)));
        let (least, extra) = both.ok_or_else(|| wrong("no such length or distance"))?;
        Ok(usize::from(*least) + self.take((*extra).into())? as usize)
    }

    /// The next symbol of a code.
    fn symbol(&mut self, code: &Code) -> Result<u16, String> {
        let (mut value, mut first, mut index) = (0i32, 0i32, 0i32);
        for &count in &code.counts[1..] {
            value |= self.take(1)? as i32;
            let count = i32::from(count);
            if value - count < first {
                // Below the code's size, which its counts add up to.
                return Ok(code.symbols[(index + value - first) as usize]);
            }
            index += count;
            first = (first + count) << 1;
            value <<= 1;
        }
        Err(wrong("no such code"))
    }
}

/// A canonical prefix code.
struct Code {
    /// How many codes have so many bits.
    counts: [u16; MAX_BITS + 1],
    /// Symbols in the order of their codes.
    symbols: Vec<u16>,
}

impl Code {
    /// From the number of bits of each symbol, 0 for those that do not occur.
    fn new(lengths: &[u8]) -> Result<Code, String> {
        let mut counts = [0u16; MAX_BITS + 1];
        lengths.iter().for_each(|l| counts[usize::from(*l)] += 1);
        counts[0] = 0;
        let mut left = 1i32;
        for count in &counts[1..] {
            left = (left << 1) - i32::from(*count);
            if left < 0 {
                return Err(wrong("too many codes"));
            }
        }
        let mut symbols = Vec::new();
        for bits in 1..=MAX_BITS {
            let of_length = (0u16..)
                .zip(lengths)
                .filter(|(_, l)| usize::from(**l) == bits);
            symbols.extend(of_length.map(|(symbol, _)| symbol));
        }
        Ok(Code { counts, symbols })
    }
}

fn stored(bits: &mut Bits<'_>, out: &mut Unpacked) -> Result<(), String> {
    // The rest of the byte is not used; no whole byte is held.
    (bits.held, bits.count) = (0, 0);
    let cut = || wrong("cut short");
    let (head, rest) = bits.bytes[bits.at..]
        .split_first_chunk::<4>()
        .ok_or_else(cut)?;
    let count = u16::from_le_bytes([head[0], head[1]]);
    if count != !u16::from_le_bytes([head[2], head[3]]) {
        return Err(wrong("a length does not fit its complement"));
    }
    let data = rest.get(..usize::from(count)).ok_or_else(cut)?;
    out.room(data.len())?;
    out.bytes.extend_from_slice(data);
    bits.at += 4 + data.len();
    Ok(())
}

fn fixed() -> Result<(Code, Code), String> {
    let mut lengths = [8u8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    Ok((Code::new(&lengths)?, Code::new(&[5; 30])?))
}

/// The codes that a block describes.
fn described(bits: &mut Bits<'_>) -> Result<(Code, Code), String> {
    let literals = bits.take(5)? as usize + 257;
    let distances = bits.take(5)? as usize + 1;
    let known = bits.take(4)? as usize + 4;
    let mut lengths = [0u8; 19];
    for &at in &ORDER[..known] {
        lengths[at] = bits.take(3)? as u8;
    }
    let code = Code::new(&lengths)?;
    let mut all: Vec<u8> = Vec::with_capacity(literals + distances);
    while all.len() < literals + distances {
        let (value, times) = match bits.symbol(&code)? {
            16 => {
                let before = all.last().copied();
                let before = before.ok_or_else(|| wrong("a repetition of nothing"))?;
                (before, 3 + bits.take(2)?)
            }
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length as u8, 1),
        };
        all.resize(all.len() + times as usize, value);
    }
    if all.len() > literals + distances {
        return Err(wrong("too many lengths"));
    }
    Ok((Code::new(&all[..literals])?, Code::new(&all[literals..])?))
}

fn coded(
    bits: &mut Bits<'_>,
    literals: &Code,
    distances: &Code,
    out: &mut Unpacked,
) -> Result<(), String> {
    while !out.suffices() {
        let symbol = bits.symbol(literals)?;
        if symbol < 256 {
            out.room(1)?;
            out.bytes.push(symbol as u8);
            continue;
        }
        if symbol == 256 {
            return Ok(());
        }
        let length = bits.number(symbol - 257, &LENGTHS, &LENGTH_BITS)?;
        let symbol = bits.symbol(distances)?;
        let distance = bits.number(symbol, &DISTANCES, &DISTANCE_BITS)?;
        out.room(length)?;
        let start = out.bytes.len().checked_sub(distance);
        let start = start.ok_or_else(|| wrong("a distance beyond the beginning"))?;
        // What is copied may overlap what is being written.
        for at in start..start + length {
            out.bytes.push(out.bytes[at]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `b"hello hello hello hello\n"` with fixed codes, as zlib writes it.
    const FIXED: &[u8] = &[
        0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x40, 0x27, 0xb9, 0x00,
    ];

    #[test]
    fn compressed_and_stored_blocks_are_read() {
        assert_eq!(inflate(FIXED, 24).unwrap(), b"hello hello hello hello\n");
        let stored = [1, 3, 0, 0xfc, 0xff, b'a', b'b', b'c'];
        assert_eq!(inflate(&stored, 3).unwrap(), b"abc");
        for len in [0, 23, 25] {
            assert!(inflate(FIXED, len).is_err(), "{len}");
        }
        // The first letters, and as many as the repetition gives that makes them enough.
        assert_eq!(inflate_head(FIXED, 24, 3).unwrap(), b"hel");
        assert_eq!(inflate_head(&stored, 3, 1).unwrap(), b"abc");
        assert_eq!(inflate_head(&stored, 3, 9).unwrap(), b"abc");
    }

    proptest! {
        #[test]
        fn damaged_data_is_an_error_or_other_data(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
            let _ = inflate(&bytes, 1 << 16);
            let mut altered = FIXED.to_vec();
            let at = at.index(altered.len());
            altered[at] = byte;
            let _ = inflate(&altered, 24);
        }
    }
}
