//! What stands behind an executable: a program's steps, its machine code for several instruction set levels,
//! and its weights.
//!
//! Steps are checked like any program's. Machine code cannot be checked: whoever loads a payload trusts
//! who made it, as when starting any executable; checksums find damage, not malice.

use crate::container::{self, Draft, Section};
use crate::kernels::Level;
use crate::{
    Artifact, Buffer, CODE_ALIGN, CodeBytes, CodeMemory, Container, FILE_PAGE, FileError, FileKind,
    HelperAddress, Image, Interface, KernelFn, KernelSpec, Metadata, Model, Program,
    require_baseline,
};
use rustc_hash::FxHashMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::sync::Arc;

/// Weights begin at multiples of this in their section.
const WEIGHT_ALIGN: usize = 64;

/// A program compiled for several levels.
#[derive(Clone, Debug)]
pub struct Assembly {
    /// The steps. Its kernels are those of the first level.
    pub image: Image,
    /// All machine code, each piece once.
    pub artifacts: Vec<Artifact>,
    /// The kernels for each level.
    pub levels: Vec<LevelCode>,
}

/// A program's kernels for one level.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LevelCode {
    /// What the code needs.
    pub level: Level,
    /// In place of the image's.
    pub kernels: Vec<KernelSpec>,
    /// Number of the artifact of each kernel.
    pub code: Vec<u32>,
}

/// Where artifacts lie in the code section.
#[derive(Serialize, Deserialize)]
struct CodeTable {
    architecture: String,
    pieces: Vec<Piece>,
    levels: Vec<LevelCode>,
}

#[derive(Serialize, Deserialize)]
struct Piece {
    offset: u64,
    len: u64,
    helpers: Vec<HelperAddress>,
}

fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(io::Error::other)
}

/// Reads a value that fills its section.
fn decode<T: DeserializeOwned>(container: &Container, section: Section) -> Result<T, FileError> {
    let bytes = container.section(section)?;
    let content = |problem: String| FileError::Content(section, problem);
    let (value, rest) =
        postcard::take_from_bytes(bytes.as_bytes()).map_err(|e| content(e.to_string()))?;
    match rest.len() {
        0 => Ok(value),
        n => Err(content(format!("{n} unexpected bytes behind it"))),
    }
}

/// Weights one behind the other, each at a multiple of the alignment.
fn weight_pieces<'a>(weights: &[&'a [u8]]) -> Vec<&'a [u8]> {
    const ZEROS: [u8; WEIGHT_ALIGN] = [0; WEIGHT_ALIGN];
    let mut pieces = Vec::with_capacity(2 * weights.len());
    for weight in weights {
        pieces.push(*weight);
        pieces.push(&ZEROS[..weight.len().next_multiple_of(WEIGHT_ALIGN) - weight.len()]);
    }
    pieces
}

/// The weights, which lie as [`weight_pieces`] puts them.
fn read_weights(container: &Container, interface: &Interface) -> Result<Vec<Buffer>, FileError> {
    let all = container.section(Section::Weights)?;
    let wrong = |problem: String| FileError::Content(Section::Weights, problem);
    let mut at = 0usize;
    let mut weights = Vec::with_capacity(interface.weights.len());
    for port in &interface.weights {
        let of = || port.name.clone();
        let bytes = crate::bind::eval_signature(&port.ty, &[], of);
        let (_, bytes) = bytes.map_err(|e| wrong(e.to_string()))?;
        let part = all.part(at, bytes);
        weights.push(part.ok_or_else(|| wrong(format!("{} is not in it", port.name)))?);
        // In a buffer, so far from the largest number.
        at += bytes.next_multiple_of(WEIGHT_ALIGN);
    }
    match at == all.len() {
        true => Ok(weights),
        false => Err(wrong(format!("{} bytes, {at} are used", all.len()))),
    }
}

/// The metadata, where a file has some.
fn read_metadata(container: &Container) -> Result<Metadata, FileError> {
    if container.section_len(Section::Metadata).is_none() {
        return Ok(Metadata::default());
    }
    let bytes = container.section(Section::Metadata)?;
    let metadata = Metadata::from_bytes(bytes.as_bytes());
    metadata.map_err(|e| FileError::Content(Section::Metadata, e))
}

/// What a model is made of, to be written.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// What goes in and comes out.
    pub interface: &'a Interface,
    /// The weights in order.
    pub weights: &'a [&'a [u8]],
    /// What it says about itself.
    pub metadata: &'a Metadata,
}

/// Writes an exported model: its interface, its graph as text, its weights, its metadata.
///
/// # Errors
/// When `out` fails.
pub fn write_exported(out: &mut dyn Write, contents: Contents<'_>, graph: &str) -> io::Result<()> {
    let interface = encode(contents.interface)?;
    let metadata = contents.metadata.to_bytes()?;
    let draft = |section, pieces| Draft { section, pieces };
    let drafts = [
        draft(Section::Interface, vec![&interface[..]]),
        draft(Section::Graph, vec![graph.as_bytes()]),
        draft(Section::Weights, weight_pieces(contents.weights)),
        draft(Section::Metadata, vec![&metadata]),
    ];
    container::write(FileKind::Exported, &drafts, out).map(|_| ())
}

/// An exported model.
#[derive(Clone, Debug)]
pub struct ExportedFile {
    /// What goes in and comes out; its sources are those of the graph's parameters.
    pub interface: Interface,
    /// The graph as text.
    pub graph: String,
    /// The weights in order.
    pub weights: Vec<Buffer>,
    /// What the model says about itself.
    pub metadata: Metadata,
}

/// Reads what [`write_exported`] wrote.
///
/// # Errors
/// When the bytes are anything else.
pub fn read_exported(bytes: Buffer) -> Result<ExportedFile, FileError> {
    let container = Container::new(bytes, FileKind::Exported)?;
    let interface: Interface = decode(&container, Section::Interface)?;
    let graph = container.section(Section::Graph)?;
    let graph = std::str::from_utf8(graph.as_bytes())
        .map_err(|e| FileError::Content(Section::Graph, e.to_string()))?
        .to_owned();
    Ok(ExportedFile {
        weights: read_weights(&container, &interface)?,
        metadata: read_metadata(&container)?,
        interface,
        graph,
    })
}

/// Writes an executable: `stub`, then the payload.
///
/// # Errors
/// When `out` fails.
pub fn write_executable(
    out: &mut dyn Write,
    stub: &[u8],
    contents: Contents<'_>,
    assembly: &Assembly,
) -> io::Result<()> {
    let start = stub.len().next_multiple_of(FILE_PAGE);
    out.write_all(stub)?;
    out.write_all(&[0; FILE_PAGE][..start - stub.len()])?;
    let len = write_payload(out, contents, assembly)?;
    out.write_all(&container::trailer(start as u64, len))
}

/// Writes the payload alone and gives its length.
///
/// # Errors
/// When `out` fails.
pub fn write_payload(
    out: &mut dyn Write,
    contents: Contents<'_>,
    assembly: &Assembly,
) -> io::Result<u64> {
    let (mut code, mut pieces) = (Vec::new(), Vec::new());
    for artifact in &assembly.artifacts {
        code.resize(code.len().next_multiple_of(CODE_ALIGN), 0xcc);
        pieces.push(Piece {
            offset: code.len() as u64,
            len: artifact.bytes.len() as u64,
            helpers: artifact.helpers.clone(),
        });
        code.extend_from_slice(&artifact.bytes);
    }
    let table = encode(&CodeTable {
        architecture: std::env::consts::ARCH.into(),
        pieces,
        levels: assembly.levels.clone(),
    })?;
    let image = Image {
        kernels: Vec::new(),
        ..assembly.image.clone()
    };
    let image = image.to_bytes().map_err(io::Error::other)?;
    let interface = encode(contents.interface)?;
    let metadata = contents.metadata.to_bytes()?;
    let draft = |section, pieces| Draft { section, pieces };
    let drafts = [
        draft(Section::Interface, vec![&interface[..]]),
        draft(Section::Image, vec![&image]),
        draft(Section::CodeTable, vec![&table]),
        draft(Section::Code, vec![&code]),
        draft(Section::Weights, weight_pieces(contents.weights)),
        draft(Section::Metadata, vec![&metadata]),
    ];
    container::write(FileKind::Payload, &drafts, out)
}

/// What a payload holds beside machine code.
#[derive(Clone, Debug)]
pub struct PayloadFile {
    /// What goes in and comes out.
    pub interface: Interface,
    /// The weights in order.
    pub weights: Vec<Buffer>,
    /// What the model says about itself.
    pub metadata: Metadata,
    /// The levels that there is code for.
    pub levels: Vec<Level>,
    /// Bytes of machine code, all levels together.
    pub code_bytes: usize,
}

/// Reads what [`write_payload`] wrote, to be looked at: no code is loaded, so nothing has to be trusted.
///
/// # Errors
/// When the bytes are anything else.
pub fn read_payload(bytes: Buffer) -> Result<PayloadFile, FileError> {
    let container = Container::new(bytes, FileKind::Payload)?;
    let interface: Interface = decode(&container, Section::Interface)?;
    let table: CodeTable = decode(&container, Section::CodeTable)?;
    Ok(PayloadFile {
        weights: read_weights(&container, &interface)?,
        metadata: read_metadata(&container)?,
        interface,
        levels: table.levels.iter().map(|l| l.level).collect(),
        code_bytes: container.section_len(Section::Code).unwrap_or(0),
    })
}

/// A payload that was read, with the level that it runs on.
#[derive(Debug)]
pub struct Payload {
    /// The program, ready to run.
    pub model: Model,
    /// The level whose code was chosen.
    pub level: Level,
    /// The levels that there is code for.
    pub levels: Vec<Level>,
    /// Bytes of machine code, all levels together.
    pub code_bytes: usize,
    /// What the model says about itself.
    pub metadata: Metadata,
}

impl Payload {
    /// Loads a payload: the best code that this processor and `limit` allow is copied into executable memory.
    ///
    /// # Safety
    /// The payload was written by [`write_executable`] from code that does what its kernels say, and not altered
    /// on purpose since. (Damage is found by checksums.)
    ///
    /// # Errors
    /// When the bytes are no payload, are damaged, or have no code for this processor.
    pub unsafe fn load(bytes: Buffer, limit: Level) -> Result<Payload, FileError> {
        let container = Container::new(bytes, FileKind::Payload)?;
        let interface: Interface = decode(&container, Section::Interface)?;
        let table: CodeTable = decode(&container, Section::CodeTable)?;
        let wrong = |problem: &str| FileError::Content(Section::CodeTable, problem.into());
        if table.architecture != std::env::consts::ARCH {
            let (theirs, ours) = (&table.architecture, std::env::consts::ARCH);
            return Err(wrong(&format!("code for {theirs}, this is {ours}")));
        }
        require_baseline()?;
        let levels: Vec<Level> = table.levels.iter().map(|l| l.level).collect();
        let usable = |l: &&LevelCode| l.level <= limit && l.level.is_available();
        let chosen = table.levels.iter().filter(usable).max_by_key(|l| l.level);
        let chosen = chosen.ok_or_else(|| wrong("there is no code for this processor"))?;
        let code = container.section(Section::Code)?;
        let (memory, functions) = load_code(&table, chosen, code.as_bytes())?;
        let image = container.section(Section::Image)?;
        let mut image = Image::from_bytes(image.as_bytes())
            .map_err(|e| FileError::Content(Section::Image, e.to_string()))?;
        image.kernels.clone_from(&chosen.kernels);
        // SAFETY: the caller's promise; the functions lie in the memory that is kept.
        let program = unsafe { Program::new(image, functions, Vec::new(), Arc::new(memory)) }?;
        let weights = read_weights(&container, &interface)?;
        Ok(Payload {
            model: Model::new(interface, program.limited_to(limit), weights)?,
            level: chosen.level,
            levels,
            code_bytes: code.len(),
            metadata: read_metadata(&container)?,
        })
    }
}

/// Copies the chosen code into executable memory.
fn load_code(
    table: &CodeTable,
    chosen: &LevelCode,
    code: &[u8],
) -> Result<(CodeMemory, Vec<KernelFn>), FileError> {
    let wrong = |problem: &str| FileError::Content(Section::CodeTable, problem.into());
    let mut numbers: FxHashMap<u32, usize> = FxHashMap::default();
    let mut pieces = Vec::new();
    for &number in &chosen.code {
        if numbers.contains_key(&number) {
            continue;
        }
        let piece = table.pieces.get(number as usize);
        let piece = piece.ok_or_else(|| wrong("a kernel has no code"))?;
        let range = usize::try_from(piece.offset).ok().and_then(|from| {
            let to = from.checked_add(usize::try_from(piece.len).ok()?)?;
            Some(from..to)
        });
        let bytes = range.and_then(|r| code.get(r)).filter(|b| !b.is_empty());
        numbers.insert(number, pieces.len());
        pieces.push(CodeBytes {
            bytes: bytes.ok_or_else(|| wrong("code lies outside of its section"))?,
            helpers: &piece.helpers,
        });
    }
    let (memory, offsets) = CodeMemory::load(&pieces)?;
    let entry = |number| {
        // SAFETY: pieces are whole functions, as the caller of `load` promises; the memory is kept.
        unsafe { memory.entry(offsets[numbers[number]]) }
    };
    let functions = chosen.code.iter().map(entry).collect();
    Ok((memory, functions))
}
