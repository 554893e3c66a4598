//! The registers of functions.
//!
//! The head of a function says how many of its blocks are to share a multiprocessor, and with that how many registers
//! a thread has at most. Most functions take few, and more blocks hide more of memory's latency. Which ones take more
//! than they get the assembler alone knows: it tells which spill into memory, and those are compiled again for half
//! the blocks.

use super::shape::declaration;
use std::collections::BTreeMap;

/// What a function takes of a multiprocessor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes that go to memory and back for want of registers.
    pub spilled: u32,
}

/// How many blocks a head declares, and what follows.
fn declared(line: &str) -> Option<(u32, &str)> {
    let line = line.strip_prefix("LZ_KERNEL(")?;
    let (_, line) = line.split_once(", ")?;
    let (resident, rest) = line.split_once(") ")?;
    Some((resident.parse().ok()?, rest))
}

/// The same text with half as many blocks on a multiprocessor for the functions that spill; `None` where they have it
/// for themselves already.
pub(super) fn with_more_registers(text: &str, usages: &BTreeMap<String, Usage>) -> Option<String> {
    let spills = |rest: &str| {
        let name = rest.split('(').next().and_then(|name| usages.get(name));
        name.is_some_and(|usage| usage.spilled > 0)
    };
    let mut changed = false;
    let mut written = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match declared(line) {
            Some((resident, rest)) if resident > 1 && spills(rest) => {
                changed = true;
                written += &declaration(resident / 2);
                written += rest;
            }
            _ => written += line,
        }
    }
    changed.then_some(written)
}

/// What the assembler says of each function, by name.
pub(super) fn usages(log: &str) -> BTreeMap<String, Usage> {
    let mut found = BTreeMap::new();
    let (mut name, mut spilled) = (None, 0);
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            name = rest.split('\'').next();
            spilled = 0;
        }
        // Words on a function that is called come in between, without registers of its own.
        if let Some(stores) = number_before(line, " bytes spill stores") {
            spilled += stores + number_before(line, " bytes spill loads").unwrap_or(0);
        }
        if let Some(registers) = number_before(line, " registers")
            && let Some(name) = name.take()
        {
            found.insert(name.to_owned(), Usage { registers, spilled });
        }
    }
    found
}

fn number_before(line: &str, words: &str) -> Option<u32> {
    let before = &line[..line.find(words)?];
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "
ptxas info    : 0 bytes gmem, 64 bytes cmem[4]
ptxas info    : Compiling entry function 'k1' for 'sm_80'
ptxas info    : Function properties for k1
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 400 bytes cmem[0]
ptxas info    : Compiling entry function 'k0' for 'sm_80'
ptxas info    : Function properties for k0
    72 bytes stack frame, 68 bytes spill stores, 60 bytes spill loads
ptxas info    : Used 64 registers, 72 bytes cumulative stack size, 400 bytes cmem[0]";

    #[test]
    fn functions_that_spill_get_more_registers() {
        let usages = usages(LOG);
        let usage = |registers, spilled| Usage { registers, spilled };
        assert_eq!(usages["k0"], usage(64, 128));
        assert_eq!(usages["k1"], usage(40, 0));
        let text = |blocks| {
            let heads = [declaration(blocks), declaration(4)];
            format!(
                "{}k0(f32 *b0) {{\n}}\n{}k1(f32 *b0) {{\n}}\n",
                heads[0], heads[1]
            )
        };
        assert_eq!(with_more_registers(&text(4), &usages), Some(text(2)));
        assert_eq!(with_more_registers(&text(2), &usages), Some(text(1)));
        assert_eq!(with_more_registers(&text(1), &usages), None);
    }
}
