//! Object files for x86-64 ELF linkers: a program's payload as read-only data, and small functions that hand it to
//! the C interface of the runtime.

/// What an object file's functions are called behind `lzl_NAME_`, and the function of the runtime each ends in.
pub const ENTRIES: [(&str, &str); 5] = [
    ("open", "lazulite_open"),
    ("run", "lazulite_run"),
    ("elements", "lazulite_elements"),
    ("close", "lazulite_close"),
    ("error", "lazulite_error"),
];

/// The payload begins at a page, as it does in executables: its parts are aligned within it.
const PAYLOAD_ALIGN: u64 = 4096;
/// Code reaches data by distances of 31 bits.
const MAX_PAYLOAD: usize = 1 << 30;
const HEADER: usize = 64;
const SECTION: usize = 64;
const SYMBOL: usize = 24;

/// `R_X86_64_PC32` and `R_X86_64_PLT32`.
const PC32: u64 = 2;
const PLT32: u64 = 4;

/// The names of the functions in the object of a program called `name`, a C identifier.
pub fn entry_names(name: &str) -> Vec<String> {
    let names = ENTRIES.iter();
    names
        .map(|(entry, _)| format!("lzl_{name}_{entry}"))
        .collect()
}

/// An object file with the payload of a program called `name`, a C identifier.
///
/// # Errors
/// When the payload is too large to be reached by code.
pub fn object(name: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
    if payload.len() > MAX_PAYLOAD {
        let (len, most) = (payload.len(), MAX_PAYLOAD);
        return Err(format!(
            "{len} bytes, an object file holds {most} at most: write an executable"
        ));
    }
    let code = Code::new(payload.len());
    let (symbols, strings) = symbols(name, &code);
    let note = Part::new(".note.GNU-stack", PROGBITS, 0, 1, Vec::new());
    let parts = [
        Part::new(".text", PROGBITS, ALLOC | EXECUTE, 16, code.bytes),
        Part {
            link: SYMTAB_INDEX,
            info: TEXT_INDEX,
            entry: 24,
            ..Part::new(".rela.text", RELA, INFO_LINK, 8, code.relocations)
        },
        Part::new(
            ".rodata.lazulite",
            PROGBITS,
            ALLOC,
            PAYLOAD_ALIGN,
            payload.to_vec(),
        ),
        note,
        Part {
            link: STRTAB_INDEX,
            // The first symbol that others see.
            info: 2,
            entry: SYMBOL as u64,
            ..Part::new(".symtab", SYMTAB, 0, 8, symbols)
        },
        Part::new(".strtab", STRTAB, 0, 1, strings),
    ];
    Ok(file(parts))
}

const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const RELA: u32 = 4;
const ALLOC: u64 = 2;
const EXECUTE: u64 = 4;
const INFO_LINK: u64 = 0x40;
/// Numbers of sections, in the order above behind the empty one.
const TEXT_INDEX: u32 = 1;
const PAYLOAD_INDEX: u16 = 3;
const SYMTAB_INDEX: u32 = 5;
const STRTAB_INDEX: u32 = 6;
/// Numbers of symbols: the empty one, the payload, the entries, the runtime's functions.
const PAYLOAD_SYMBOL: u64 = 1;
const FIRST_ENTRY: u64 = 2;

struct Code {
    bytes: Vec<u8>,
    relocations: Vec<u8>,
    /// Where each entry begins.
    starts: Vec<u64>,
}

impl Code {
    fn new(payload: usize) -> Code {
        let mut code = Code {
            bytes: Vec::new(),
            relocations: Vec::new(),
            starts: Vec::new(),
        };
        for (i, (entry, _)) in ENTRIES.iter().enumerate() {
            // What lies between functions stops whoever strays there.
            code.bytes
                .resize(code.bytes.len().next_multiple_of(16), 0xcc);
            code.starts.push(code.bytes.len() as u64);
            if *entry == "open" {
                // mov edx, edi: the threads behind the payload and its length.
                code.bytes.extend([0x89, 0xfa]);
                // lea rdi, [rip + payload]
                code.bytes.extend([0x48, 0x8d, 0x3d]);
                code.distance(PAYLOAD_SYMBOL, PC32);
                // mov rsi, length
                code.bytes.extend([0x48, 0xbe]);
                code.bytes.extend((payload as u64).to_le_bytes());
            }
            // jmp: arguments and result are those of the runtime's function.
            code.bytes.push(0xe9);
            code.distance(FIRST_ENTRY + ENTRIES.len() as u64 + i as u64, PLT32);
        }
        code
    }

    /// Four bytes that the linker makes the distance to a symbol, from behind them.
    fn distance(&mut self, symbol: u64, kind: u64) {
        let place = self.bytes.len() as u64;
        for word in [place, symbol << 32 | kind, (-4i64) as u64] {
            self.relocations.extend(word.to_le_bytes());
        }
        self.bytes.extend([0; 4]);
    }
}

/// The symbol table, and its names.
fn symbols(name: &str, code: &Code) -> (Vec<u8>, Vec<u8>) {
    let (mut table, mut strings) = (vec![0; SYMBOL], vec![0]);
    let mut symbol = |name: &str, info: u8, section: u16, value: u64| {
        table.extend((strings.len() as u32).to_le_bytes());
        table.extend([info, 0]);
        table.extend(section.to_le_bytes());
        table.extend(value.to_le_bytes());
        table.extend(0u64.to_le_bytes());
        strings.extend(name.as_bytes());
        strings.push(0);
    };
    const LOCAL_OBJECT: u8 = 1;
    const GLOBAL_FUNCTION: u8 = 0x12;
    const GLOBAL: u8 = 0x10;
    symbol(
        &format!("lzl_{name}_payload"),
        LOCAL_OBJECT,
        PAYLOAD_INDEX,
        0,
    );
    for (entry, start) in entry_names(name).iter().zip(&code.starts) {
        symbol(entry, GLOBAL_FUNCTION, TEXT_INDEX as u16, *start);
    }
    for (_, function) in ENTRIES {
        symbol(function, GLOBAL, 0, 0);
    }
    (table, strings)
}

/// A section.
struct Part {
    name: &'static str,
    kind: u32,
    flags: u64,
    align: u64,
    link: u32,
    info: u32,
    entry: u64,
    bytes: Vec<u8>,
}

impl Part {
    fn new(name: &'static str, kind: u32, flags: u64, align: u64, bytes: Vec<u8>) -> Part {
        Part {
            name,
            kind,
            flags,
            align,
            link: 0,
            info: 0,
            entry: 0,
            bytes,
        }
    }
}

/// The file of these sections, with the table of their names as a further one.
fn file<const N: usize>(parts: [Part; N]) -> Vec<u8> {
    let names = Part::new(".shstrtab", STRTAB, 0, 1, Vec::new());
    let mut parts: Vec<Part> = parts.into_iter().chain([names]).collect();
    let mut names = vec![0u8];
    let mut starts = Vec::new();
    for part in &parts {
        starts.push(names.len() as u32);
        names.extend(part.name.as_bytes());
        names.push(0);
    }
    let count = parts.len() as u16 + 1;
    if let Some(last) = parts.last_mut() {
        last.bytes = names;
    }
    let mut out = vec![0; HEADER];
    let mut table = vec![0; SECTION];
    for (part, name) in parts.iter().zip(starts) {
        out.resize(out.len().next_multiple_of(part.align as usize), 0);
        for word in [name, part.kind] {
            table.extend(word.to_le_bytes());
        }
        for word in [part.flags, 0, out.len() as u64, part.bytes.len() as u64] {
            table.extend(word.to_le_bytes());
        }
        for word in [part.link, part.info] {
            table.extend(word.to_le_bytes());
        }
        for word in [part.align, part.entry] {
            table.extend(word.to_le_bytes());
        }
        out.extend_from_slice(&part.bytes);
    }
    out.resize(out.len().next_multiple_of(8), 0);
    let header = header(out.len() as u64, count);
    out[..HEADER].copy_from_slice(&header);
    out.extend(table);
    out
}

/// The header of a relocatable file for x86-64 whose table of sections is at `sections`.
fn header(sections: u64, count: u16) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    // 64 bits, little-endian, version 1.
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(16, &1u16.to_le_bytes());
    put(18, &62u16.to_le_bytes());
    put(20, &1u32.to_le_bytes());
    put(40, &sections.to_le_bytes());
    put(52, &(HEADER as u16).to_le_bytes());
    put(58, &(SECTION as u16).to_le_bytes());
    put(60, &count.to_le_bytes());
    // The names of sections are the last one.
    put(62, &(count - 1).to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(bytes: &[u8], at: usize) -> usize {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
    }

    #[test]
    fn sections_lie_where_the_table_says() {
        let payload: Vec<u8> = (0..10_000).map(|i| i as u8).collect();
        let file = object("net", &payload).unwrap();
        let table = word(&file, 40);
        let section = |n: usize| &file[table + n * SECTION..table + (n + 1) * SECTION];
        let content = |n: usize| {
            let (at, len) = (word(section(n), 24), word(section(n), 32));
            &file[at..at + len]
        };
        assert_eq!(content(PAYLOAD_INDEX.into()), payload);
        assert!(word(section(PAYLOAD_INDEX.into()), 24).is_multiple_of(4096));
        assert!(content(7).starts_with(b"\0.text\0.rela.text\0"));
        let names = content(STRTAB_INDEX as usize);
        let names: Vec<&[u8]> = names.split(|b| *b == 0).collect();
        assert!(names.contains(&&b"lzl_net_run"[..]) && names.contains(&&b"lazulite_run"[..]));
        // A relocation for each jump and one for the payload.
        assert_eq!(content(2).len(), 24 * (ENTRIES.len() + 1));
        assert_eq!(content(5).len(), SYMBOL * (2 + 2 * ENTRIES.len()));
        assert_eq!(file.len(), table + 8 * SECTION);
    }
}
