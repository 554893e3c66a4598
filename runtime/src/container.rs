//! The file format of exported models and of payloads behind executables: a header, a table, and
//! sections that begin at pages.
//!
//! ```text
//! 0   magic "LAZULITE"      8   version u32      12  kind u32
//! 16  sections u32          20  zero u32         24  bytes of the whole u64
//! 32  checksum of the table u64                  40  zero, 16 bytes
//! 56  checksum of bytes 0..56 u64
//! 64  the table: per section  number u32, zero u32, offset u64, length u64, checksum u64
//! ```
//!
//! All numbers are little-endian, offsets count from the header. Sections follow each other in the order of the
//! table, each at the next page; what lies between them is zero, and so is what lies before the first. A payload is
//! followed by a trailer of 32 bytes, the last of its file:
//!
//! ```text
//! 0   magic "LZLTRAIL"      8   offset of the header u64
//! 16  bytes of the payload u64                   24  checksum of bytes 0..24 u64
//! ```
//!
//! Reading checks every number and checksum before it is used; whatever the bytes are, the result
//! is a section as it was written, or an error. A checksum finds damage, it proves no origin.

use crate::checksum::Checksum;
use crate::{Buffer, CodeError, LoadError, checksum};
use std::fmt;
use std::io::{self, Write};

/// Version of the format and of everything in it; others are refused.
pub const FILE_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"LAZULITE";
const TRAILER_MAGIC: [u8; 8] = *b"LZLTRAIL";
const HEADER: usize = 64;
const ENTRY: usize = 32;
/// Bytes of the trailer behind a payload.
pub const TRAILER: usize = 32;
/// Sections begin at multiples of this, and so must a payload in its file.
pub const FILE_PAGE: usize = 4096;
/// Sections at most.
const MAX_SECTIONS: usize = 16;

/// What a container holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// A graph with weights.
    Exported,
    /// A compiled program with weights.
    Payload,
}

impl FileKind {
    const ALL: [FileKind; 2] = [FileKind::Exported, FileKind::Payload];

    const fn number(self) -> u32 {
        match self {
            FileKind::Exported => 1,
            FileKind::Payload => 2,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::Exported => "an exported model",
            FileKind::Payload => "a compiled program",
        })
    }
}

/// The parts of a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    /// What goes in and comes out.
    Interface,
    /// The graph as text.
    Graph,
    /// The program's steps.
    Image,
    /// Where the code of each kernel lies, for each level.
    CodeTable,
    /// Machine code.
    Code,
    /// Constant tensors.
    Weights,
    /// Texts and tensors about the model.
    Metadata,
}

impl Section {
    /// Every section, in the order of files.
    pub const ALL: [Section; 7] = [
        Section::Interface,
        Section::Graph,
        Section::Image,
        Section::CodeTable,
        Section::Code,
        Section::Weights,
        Section::Metadata,
    ];

    const fn number(self) -> u32 {
        match self {
            Section::Interface => 1,
            Section::Graph => 2,
            Section::Image => 3,
            Section::CodeTable => 4,
            Section::Code => 5,
            Section::Weights => 6,
            Section::Metadata => 7,
        }
    }

    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Section::Interface => "interface",
            Section::Graph => "graph",
            Section::Image => "image",
            Section::CodeTable => "code table",
            Section::Code => "code",
            Section::Weights => "weights",
            Section::Metadata => "metadata",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a file is not what it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileError {
    /// It cannot be read.
    Io(String),
    /// It does not begin like one, or an executable has nothing appended.
    NotOurs(FileKind),
    /// Written by another version.
    Version(u32),
    /// Holds something else; the number of its kind, and what was expected.
    Kind(u32, FileKind),
    /// Cut short: bytes expected and found.
    Truncated(u64, u64),
    /// The checksum of this part is wrong.
    Checksum(&'static str),
    /// A number in the header or the table cannot be.
    Header(&'static str),
    /// This section is missing.
    Missing(Section),
    /// A section's content is wrong though it is as it was written.
    Content(Section, String),
    /// The program is inconsistent.
    Load(LoadError),
    /// Machine code cannot be loaded.
    Code(CodeError),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Io(why) => f.write_str(why),
            FileError::NotOurs(kind) => write!(f, "this is not {kind}"),
            FileError::Version(found) => write!(
                f,
                "written in version {found} of the format, this is version {FILE_VERSION}"
            ),
            FileError::Kind(found, expected) => {
                let found = FileKind::ALL.into_iter().find(|k| k.number() == *found);
                let found = found.map_or_else(|| "something else".into(), |k| k.to_string());
                write!(f, "expected {expected}, found {found}")
            }
            FileError::Truncated(expected, found) => {
                write!(f, "cut short: {expected} bytes expected, {found} found")
            }
            FileError::Checksum(part) => write!(f, "damaged: the checksum of its {part} is wrong"),
            FileError::Header(problem) => write!(f, "damaged: {problem}"),
            FileError::Missing(section) => write!(f, "it has no {section}"),
            FileError::Content(section, problem) => write!(f, "its {section} is wrong: {problem}"),
            FileError::Load(error) => write!(f, "its program is wrong: {error}"),
            FileError::Code(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FileError {}

impl From<LoadError> for FileError {
    fn from(error: LoadError) -> FileError {
        FileError::Load(error)
    }
}

impl From<CodeError> for FileError {
    fn from(error: CodeError) -> FileError {
        FileError::Code(error)
    }
}

/// A section in the table.
#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u32,
    offset: usize,
    len: usize,
    sum: u64,
}

/// A container whose header and table are in order.
#[derive(Clone, Debug)]
pub struct Container {
    bytes: Buffer,
    entries: Vec<Entry>,
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn half(bytes: &[u8], at: usize) -> u32 {
    (word(bytes, at / 8 * 8) >> (at % 8 * 8)) as u32
}

/// A number of bytes or an offset; what does not fit cannot be right either.
fn count(value: u64) -> Result<usize, FileError> {
    usize::try_from(value).map_err(|_| FileError::Header("a number is too large"))
}

/// Checks that nothing lies between the sections but zeros, so that no byte of a file is without a check. This
/// looks at less than a page before each section: weights stay where they are.
fn check_layout(all: &[u8], entries: &[Entry]) -> Result<(), FileError> {
    let mut end = HEADER + ENTRY * entries.len();
    for entry in entries {
        if entry.offset != end.next_multiple_of(FILE_PAGE) {
            let problem = "a section does not begin where the one before it ends";
            return Err(FileError::Header(problem));
        }
        if all[end..entry.offset].iter().any(|b| *b != 0) {
            let problem = "something stands between its sections, where nothing but zeros can be";
            return Err(FileError::Header(problem));
        }
        end = entry.offset + entry.len;
    }
    match end == all.len() {
        true => Ok(()),
        false => Err(FileError::Header("something stands behind its sections")),
    }
}

impl Container {
    /// A container in `bytes`, which must be of this kind.
    ///
    /// # Errors
    /// When header or table are not as they were written.
    pub fn new(bytes: Buffer, kind: FileKind) -> Result<Container, FileError> {
        let all = bytes.as_bytes();
        let short = |expected: usize| FileError::Truncated(expected as u64, all.len() as u64);
        if !all.starts_with(&MAGIC) {
            return Err(FileError::NotOurs(kind));
        }
        let header = all.get(..HEADER).ok_or_else(|| short(HEADER))?;
        let version = half(header, 8);
        if version != FILE_VERSION {
            return Err(FileError::Version(version));
        }
        if word(header, 56) != checksum(&header[..56]) {
            return Err(FileError::Checksum("header"));
        }
        if half(header, 12) != kind.number() {
            return Err(FileError::Kind(half(header, 12), kind));
        }
        let len = count(word(header, 24))?;
        let all = all.get(..len).ok_or_else(|| short(len))?;
        // Payloads lie in other files, exported models fill theirs.
        if kind == FileKind::Exported && bytes.len() != len {
            return Err(FileError::Header("something stands behind its end"));
        }
        let sections = half(header, 16) as usize;
        let table = all.get(HEADER..HEADER + ENTRY * sections.min(MAX_SECTIONS + 1));
        let table = table.filter(|_| sections <= MAX_SECTIONS);
        let table = table.ok_or(FileError::Header("the number of sections cannot be"))?;
        if word(header, 32) != checksum(table) {
            return Err(FileError::Checksum("table"));
        }
        let entries = table.chunks_exact(ENTRY).map(|e| {
            let (offset, length) = (count(word(e, 8))?, count(word(e, 16))?);
            let end = offset.checked_add(length).filter(|end| *end <= len);
            if end.is_none() || !offset.is_multiple_of(FILE_PAGE) {
                return Err(FileError::Header("a section lies outside of the file"));
            }
            Ok(Entry {
                number: half(e, 0),
                offset,
                len: length,
                sum: word(e, 24),
            })
        });
        let entries: Vec<Entry> = entries.collect::<Result<_, _>>()?;
        check_layout(all, &entries)?;
        Ok(Container { bytes, entries })
    }

    /// The bytes of a section, whose checksum is right.
    ///
    /// # Errors
    /// When it is not, or there is no such section.
    pub fn section(&self, section: Section) -> Result<Buffer, FileError> {
        let found = self.entries.iter().find(|e| e.number == section.number());
        let entry = found.ok_or(FileError::Missing(section))?;
        let outside = FileError::Header("a section lies outside of the file");
        let part = self.bytes.part(entry.offset, entry.len).ok_or(outside)?;
        match checksum(part.as_bytes()) == entry.sum {
            true => Ok(part),
            false => Err(FileError::Checksum(section.name())),
        }
    }

    /// Bytes of a section, without looking at them.
    pub fn section_len(&self, section: Section) -> Option<usize> {
        let found = self.entries.iter().find(|e| e.number == section.number());
        found.map(|e| e.len)
    }
}

/// A section to be written, in pieces.
pub(crate) struct Draft<'a> {
    pub section: Section,
    pub pieces: Vec<&'a [u8]>,
}

impl Draft<'_> {
    fn len(&self) -> usize {
        self.pieces.iter().map(|p| p.len()).sum()
    }
}

/// Writes a container and gives its length.
pub(crate) fn write(kind: FileKind, drafts: &[Draft<'_>], out: &mut dyn Write) -> io::Result<u64> {
    let mut table = Vec::new();
    let mut end = HEADER + ENTRY * drafts.len();
    for draft in drafts {
        let offset = end.next_multiple_of(FILE_PAGE);
        let mut sum = Checksum::default();
        draft.pieces.iter().for_each(|p| sum.update(p));
        table.extend(u64::from(draft.section.number()).to_le_bytes());
        for number in [offset as u64, draft.len() as u64, sum.finish()] {
            table.extend(number.to_le_bytes());
        }
        end = offset + draft.len();
    }
    let mut header = MAGIC.to_vec();
    for number in [FILE_VERSION, kind.number(), drafts.len() as u32, 0] {
        header.extend(number.to_le_bytes());
    }
    for number in [end as u64, checksum(&table), 0, 0] {
        header.extend(number.to_le_bytes());
    }
    header.extend(checksum(&header).to_le_bytes());
    out.write_all(&header)?;
    out.write_all(&table)?;
    let mut at = header.len() + table.len();
    for draft in drafts {
        let offset = at.next_multiple_of(FILE_PAGE);
        out.write_all(&[0; FILE_PAGE][..offset - at])?;
        for piece in &draft.pieces {
            out.write_all(piece)?;
        }
        at = offset + draft.len();
    }
    Ok(end as u64)
}

/// The trailer behind a payload of `len` bytes whose header is at `offset` of the file.
pub(crate) fn trailer(offset: u64, len: u64) -> [u8; TRAILER] {
    let mut trailer = [0; TRAILER];
    trailer[..8].copy_from_slice(&TRAILER_MAGIC);
    trailer[8..16].copy_from_slice(&offset.to_le_bytes());
    trailer[16..24].copy_from_slice(&len.to_le_bytes());
    let sum = checksum(&trailer[..24]);
    trailer[24..].copy_from_slice(&sum.to_le_bytes());
    trailer
}

/// The payload that an executable (all of its bytes) ends with.
///
/// # Errors
/// When there is none, or it does not fill the file up to its trailer.
pub fn appended(executable: &Buffer) -> Result<Buffer, FileError> {
    let bytes = executable.as_bytes();
    let none = FileError::NotOurs(FileKind::Payload);
    let Some((before, trailer)) = bytes.split_last_chunk::<TRAILER>() else {
        return Err(none);
    };
    if !trailer.starts_with(&TRAILER_MAGIC) {
        return Err(none);
    }
    if word(trailer, 24) != checksum(&trailer[..24]) {
        return Err(FileError::Checksum("trailer"));
    }
    let (offset, len) = (count(word(trailer, 8))?, count(word(trailer, 16))?);
    if offset.checked_add(len) != Some(before.len()) {
        let found = before.len() as u64;
        let expected = word(trailer, 8).saturating_add(word(trailer, 16));
        return Err(FileError::Truncated(expected, found));
    }
    let misplaced = FileError::Header("the payload does not begin at a page");
    executable.part(offset, len).ok_or(misplaced)
}
