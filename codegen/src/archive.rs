//! Static libraries (`ar` archives as GNU writes them): a member is added to one that there is.
//!
//! ```text
//! "!<arch>\n", then members, each of even length:
//! name 16, date 12, owner 6, group 6, mode 8, length 10 (all text), "`\n", content
//! ```
//! The first member, called `/`, lists which member defines which symbol: a count, an offset for each symbol,
//! their names. It grows by the new symbols, and all offsets by as much.

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;
const END: &[u8] = b"`\n";

/// The archive with a further member that defines `symbols`.
///
/// # Errors
/// When `archive` is none as GNU writes them, or would become too large.
pub fn with_member(
    archive: &[u8],
    name: &str,
    content: &[u8],
    symbols: &[String],
) -> Result<Vec<u8>, String> {
    let wrong = || "this is no archive with a symbol table".to_string();
    let rest = archive.strip_prefix(MAGIC).ok_or_else(wrong)?;
    let (table, members) = member(rest, "/").ok_or_else(wrong)?;
    let (count, list) = table.split_first_chunk::<4>().ok_or_else(wrong)?;
    let count = u32::from_be_bytes(*count) as usize;
    let (offsets, names) = list.split_at_checked(4 * count).ok_or_else(wrong)?;
    let names = names.split_inclusive(|b| *b == 0).take(count);
    let names: Vec<&[u8]> = names.collect();

    let total = count + symbols.len();
    let new_names = symbols.iter().map(|s| s.len() + 1);
    let len =
        4 + 4 * total + names.iter().map(|n| n.len()).sum::<usize>() + new_names.sum::<usize>();
    let len = len.next_multiple_of(2);
    let before = MAGIC.len() + HEADER + table.len().next_multiple_of(2);
    let start = MAGIC.len() + HEADER + len;
    let offset =
        |at: usize| u32::try_from(at).map_err(|_| "the archive is beyond 4 GiB".to_string());

    let mut out = MAGIC.to_vec();
    out.extend(header("/", len)?);
    out.extend((total as u32).to_be_bytes());
    for old in offsets.chunks_exact(4) {
        let old = u32::from_be_bytes([old[0], old[1], old[2], old[3]]) as usize;
        let moved = (old + start).checked_sub(before).ok_or_else(wrong)?;
        out.extend(offset(moved)?.to_be_bytes());
    }
    let own = offset(start + members.len().next_multiple_of(2))?;
    symbols.iter().for_each(|_| out.extend(own.to_be_bytes()));
    names.iter().for_each(|name| out.extend_from_slice(name));
    for symbol in symbols {
        out.extend(symbol.as_bytes());
        out.push(0);
    }
    out.resize(start, 0);
    out.extend_from_slice(members);
    out.resize(out.len().next_multiple_of(2), b'\n');
    out.extend(header(&format!("{name}/"), content.len())?);
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(2), b'\n');
    Ok(out)
}

/// The content of the first member, if it is called so, and what follows it.
fn member<'a>(bytes: &'a [u8], name: &str) -> Option<(&'a [u8], &'a [u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let text = std::str::from_utf8(header).ok()?;
    if text[..16].trim_end() != name || !header.ends_with(END) {
        return None;
    }
    let len: usize = text[48..58].trim_end().parse().ok()?;
    let content = rest.get(..len)?;
    Some((content, rest.get(len.next_multiple_of(2)..)?))
}

/// A member's header: nobody's, of no date, so that equal inputs give equal archives.
fn header(name: &str, len: usize) -> Result<Vec<u8>, String> {
    if name.len() > 16 || len >= 10_000_000_000 {
        return Err(format!(
            "{name}: the name or {len} bytes are too long for an archive"
        ));
    }
    let text = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{len:<10}", 0, 0, 0, "644");
    Ok([text.as_bytes(), END].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive with one member of odd length that defines `f`.
    fn archive() -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let table = [&1u32.to_be_bytes()[..], &74u32.to_be_bytes(), b"f\0"].concat();
        assert_eq!(table.len(), 10);
        out.extend(header("/", table.len()).unwrap());
        out.extend(&table);
        out.extend(header("f.o/", 3).unwrap());
        out.extend(b"abc\n");
        // The first member begins behind magic, header and table.
        let at = (MAGIC.len() + HEADER + 10) as u32;
        out[MAGIC.len() + HEADER + 4..][..4].copy_from_slice(&at.to_be_bytes());
        out
    }

    #[test]
    fn offsets_point_at_members() {
        let symbols = ["g".to_string(), "long_name".to_string()];
        let merged = with_member(&archive(), "g.o", b"12345", &symbols).unwrap();
        let (table, _) = member(&merged[MAGIC.len()..], "/").unwrap();
        let word = |at: usize| u32::from_be_bytes(table[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(word(0), 3);
        assert!(merged[word(4)..].starts_with(b"f.o/ "));
        assert!(merged[word(8)..].starts_with(b"g.o/ "));
        assert_eq!(word(8), word(12));
        assert!(table[16..].starts_with(b"f\0g\0long_name\0"));
        assert_eq!(member(&merged[word(8)..], "g.o/").unwrap().0, b"12345");
        // Twice is no different.
        let again = with_member(&merged, "h.o", b"", &["h".to_string()]).unwrap();
        let (table, _) = member(&again[MAGIC.len()..], "/").unwrap();
        assert_eq!(u32::from_be_bytes(table[..4].try_into().unwrap()), 4);
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let whole = archive();
        for bytes in [&b""[..], b"!<arch>\n", &whole[..70], b"\x7fELF"] {
            assert!(with_member(bytes, "g.o", b"", &[]).is_err());
        }
        assert!(with_member(&whole, "a_name_of_more_than_16", b"", &[]).is_err());
    }
}
