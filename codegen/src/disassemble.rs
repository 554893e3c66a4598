//! Machine code as text for people: the bytes of an artifact, as they are loaded and written to files.
//!
//! Targets of jumps inside the function are named `L1`, `L2`, ... in the order of their places; constants are
//! named by their offset (`pool+0x10`).

use lazulite_runtime::Artifact;
use std::fmt;
#[cfg(target_arch = "x86_64")]
use x86::instructions;

/// An instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// Where it begins, in bytes from the function's start.
    pub offset: u32,
    /// How many bytes it takes.
    pub len: u32,
    /// The name of the place, if a jump leads here.
    pub label: Option<String>,
    /// In Intel syntax.
    pub text: String,
}

/// The instructions of a function.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Disassembly {
    /// In order.
    pub instructions: Vec<Instruction>,
    /// Bytes of instructions.
    pub code_bytes: usize,
    /// Bytes of constants.
    pub pool_bytes: usize,
}

impl fmt::Display for Disassembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for instruction in &self.instructions {
            if let Some(label) = &instruction.label {
                writeln!(f, "{label}:")?;
            }
            writeln!(f, "  {:5x}  {}", instruction.offset, instruction.text)?;
        }
        Ok(())
    }
}

/// Reads the instructions of an artifact.
pub fn disassemble(artifact: &Artifact) -> Disassembly {
    let end = (artifact.constants as usize).min(artifact.bytes.len());
    // Between the code and the constants the linker puts `int3`.
    let padding = artifact.bytes[..end].iter().rev();
    let padding = padding.take_while(|b| **b == 0xcc).count();
    let code = &artifact.bytes[..end - padding];
    Disassembly {
        instructions: instructions(code, u64::from(artifact.constants)),
        code_bytes: code.len(),
        pool_bytes: artifact.bytes.len() - end,
    }
}

/// How instructions of x86-64 are read.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Instruction;
    use iced_x86::{
        Decoder, DecoderOptions, Formatter, Instruction as Decoded, IntelFormatter, OpKind,
        SymbolResolver, SymbolResult,
    };
    use std::collections::BTreeMap;
    use std::rc::Rc;

    /// Names of places that jumps lead to.
    type Labels = BTreeMap<u64, String>;

    /// Writes names for addresses.
    struct Names {
        labels: Rc<Labels>,
        pool: u64,
    }

    impl SymbolResolver for Names {
        fn symbol(
            &mut self,
            instruction: &Decoded,
            _operand: u32,
            _instruction_operand: Option<u32>,
            address: u64,
            _size: u32,
        ) -> Option<SymbolResult<'_>> {
            if instruction.is_ip_rel_memory_operand() {
                let name = format!("pool+{:#x}", address.checked_sub(self.pool)?);
                return Some(SymbolResult::with_string(address, name));
            }
            // What is added to a register may be the number of a place too.
            let jumps = instruction.op0_kind() == OpKind::NearBranch64;
            let label = self.labels.get(&address).filter(|_| jumps)?;
            Some(SymbolResult::with_str(address, label))
        }
    }

    fn labels(decoded: &[Decoded]) -> Labels {
        let jumps = { decoded.iter() }.filter(|i| i.op0_kind() == OpKind::NearBranch64);
        let mut labels: Labels = jumps
            .map(|i| (i.near_branch_target(), String::new()))
            .collect();
        for (number, label) in labels.values_mut().enumerate() {
            *label = format!("L{}", number + 1);
        }
        labels
    }

    /// Instructions at addresses from 0, with constants from the address `pool`.
    pub fn instructions(code: &[u8], pool: u64) -> Vec<Instruction> {
        let decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
        let decoded: Vec<Decoded> = decoder.into_iter().collect();
        let labels = Rc::new(labels(&decoded));
        let names = Names {
            labels: labels.clone(),
            pool,
        };
        let mut formatter = IntelFormatter::with_options(Some(Box::new(names)), None);
        let options = formatter.options_mut();
        options.set_first_operand_char_index(10);
        options.set_space_after_operand_separator(true);
        options.set_rip_relative_addresses(false);
        options.set_show_branch_size(false);
        options.set_signed_immediate_operands(true);
        options.set_uppercase_hex(false);
        options.set_hex_prefix("0x");
        options.set_hex_suffix("");
        let mut shown = |instruction: &Decoded| {
            let mut text = String::new();
            formatter.format(instruction, &mut text);
            Instruction {
                offset: instruction.ip() as u32,
                len: instruction.len() as u32,
                label: labels.get(&instruction.ip()).cloned(),
                text,
            }
        };
        decoded.iter().map(&mut shown).collect()
    }
}

/// Other processors' code is shown as words.
#[cfg(not(target_arch = "x86_64"))]
fn instructions(code: &[u8], _pool: u64) -> Vec<Instruction> {
    let words = code.chunks(4).enumerate();
    words
        .map(|(at, bytes)| {
            let mut text = String::from("bytes     ");
            for byte in bytes {
                text.push_str(&format!("{byte:02x} "));
            }
            Instruction {
                offset: at as u32 * 4,
                len: bytes.len() as u32,
                label: None,
                text,
            }
        })
        .collect()
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::*;

    #[test]
    fn jumps_and_constants_have_names() {
        // L1: movups xmm0, [rip + 0x39]; dec rax; jne L1; ret; padding up to 64; a constant.
        let mut bytes = vec![
            0x0f, 0x10, 0x05, 0x39, 0, 0, 0, 0x48, 0xff, 0xc8, 0x75, 0xf4, 0xc3,
        ];
        bytes.resize(64, 0xcc);
        bytes.extend([0; 16]);
        let artifact = Artifact {
            bytes,
            constants: 64,
            helpers: Vec::new(),
        };
        let found = disassemble(&artifact);
        assert_eq!((found.code_bytes, found.pool_bytes), (13, 16));
        let text = found.to_string();
        let lines: Vec<String> = text
            .lines()
            .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "L1:",
                "0 movups xmm0, [pool+0x0]",
                "7 dec rax",
                "a jne L1",
                "c ret"
            ]
        );
    }
}
