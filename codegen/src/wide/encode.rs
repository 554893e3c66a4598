//! Registers for a function's values, and its bytes.

use super::machine::{Arg, Base, Condition, Flow, Inst, Machine, Memory, View, gpr};
use super::target::Target;
use crate::CodegenError;
use crate::backend::PoolReference;
use iced_x86::{Code, Encoder, Instruction, MemoryOperand, OpKind, Register};
use regalloc2::{
    Allocation, Block, Edit, InstOrEdit, Output, PReg, RegAllocError, RegClass, RegallocOptions,
};

/// Bytes of working memory at the bottom of the frame.
pub(super) const FRAME: i32 = 384;

/// What the frame begins at a multiple of, so that spilled vectors lie in one line of the cache.
const ALIGN: i32 = 64;

/// Bytes of a page of the stack.
const PAGE: i32 = 4096;

/// Loops begin at multiples of this.
const LOOP_ALIGN: usize = 32;

/// One instruction each that does nothing, by length.
const NOPS: [&[u8]; 9] = [
    &[0x90],
    &[0x66, 0x90],
    &[0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40, 0x00],
    &[0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
    &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

fn failed(what: impl std::fmt::Display) -> CodegenError {
    CodegenError::Backend(what.to_string())
}

/// A place for each value.
pub(super) fn allocate(machine: &Machine) -> Result<Output, CodegenError> {
    let options = RegallocOptions {
        validate_ssa: cfg!(debug_assertions),
        ..RegallocOptions::default()
    };
    let output = regalloc2::run(machine, &machine.target.registers, &options)
        .map_err(|e: RegAllocError| failed(e))?;
    #[cfg(test)]
    check(machine, &output)?;
    Ok(output)
}

/// Has the allocator's checker follow every value to where it is used.
#[cfg(test)]
fn check(machine: &Machine, output: &Output) -> Result<(), CodegenError> {
    let mut checker = regalloc2::checker::Checker::new(machine, &machine.target.registers);
    checker.prepare(output);
    checker.run().map_err(|e| failed(format_args!("{e:?}")))
}

/// The bytes, and their references to the pool.
pub(super) fn encode(
    machine: &Machine,
    output: &Output,
) -> Result<(Vec<u8>, Vec<PoolReference>), CodegenError> {
    let mut writer = Writer {
        target: machine.target,
        encoder: Encoder::new(64),
        at: 0,
        references: Vec::new(),
        starts: vec![None; machine.blocks.len()],
        jumps: Vec::new(),
        saved: saved(output),
    };
    let to_end = destinations(machine, output);
    writer.prologue(output)?;
    let written: Vec<Block> = (0..machine.blocks.len())
        .map(Block::new)
        .filter(|b| to_end[b.index()] == *b)
        .collect();
    for (n, &block) in written.iter().enumerate() {
        if machine.blocks[block.index()].aligned {
            writer.align();
        }
        writer.starts[block.index()] = Some(writer.at);
        let next = written.get(n + 1).copied();
        for item in output.block_insts_and_edits(machine, block) {
            match item {
                InstOrEdit::Edit(Edit::Move { from, to }) => writer.move_(*from, *to)?,
                InstOrEdit::Inst(id) => {
                    let inst = &machine.insts[id.index()];
                    match &inst.flow {
                        Flow::Next if inst.code == Code::INVALID => {}
                        Flow::Next => writer.inst(inst, output.inst_allocs(id))?,
                        Flow::Jump(to, _) => writer.jump(to_end[to.index()], next),
                        Flow::Branch(condition, yes, no) => {
                            let to = [yes, no].map(|to| to_end[to.index()]);
                            writer.branch(*condition, to, next);
                        }
                        Flow::Return => writer.epilogue()?,
                    }
                }
            }
        }
    }
    writer.finish()
}

/// Bytes of a frame with so many places of 8 bytes for spilled values.
fn frame_bytes(slots: usize) -> Result<i32, CodegenError> {
    let spilled = slots.checked_mul(8).and_then(|n| i32::try_from(n).ok());
    let bytes = spilled.and_then(|n| n.checked_add(FRAME + ALIGN - 1));
    let bytes = bytes.ok_or_else(|| failed(format_args!("a frame of {slots} spilled words")))?;
    Ok(bytes / ALIGN * ALIGN)
}

/// The caller's registers that are overwritten.
fn saved(output: &Output) -> Vec<PReg> {
    let moved = output
        .edits
        .iter()
        .flat_map(|(_, Edit::Move { from, to })| [*from, *to]);
    let used: Vec<PReg> = { output.allocs.iter().copied().chain(moved) }
        .filter_map(Allocation::as_reg)
        .collect();
    gpr::SAVED
        .into_iter()
        .filter(|r| used.contains(r))
        .collect()
}

/// Where jumps to each block lead in the end: a block that does nothing but jump on is passed over.
fn destinations(machine: &Machine, output: &Output) -> Vec<Block> {
    let mut moves = vec![false; machine.insts.len()];
    for (point, _) in &output.edits {
        moves[point.inst().index()] = true;
    }
    let mut to: Vec<Block> = (0..machine.blocks.len()).map(Block::new).collect();
    // Jumps that are passed over lead forward or, from the end of a loop, back to where no such block is.
    for block in (0..to.len()).rev() {
        let (from, end) = machine.blocks[block].range;
        if let (Flow::Jump(on, _), 1) = (&machine.insts[from].flow, end - from)
            && !moves[from]
        {
            to[block] = to[on.index()];
        }
    }
    to
}

struct Writer {
    target: &'static Target,
    encoder: Encoder,
    at: usize,
    references: Vec<PoolReference>,
    /// Per block.
    starts: Vec<Option<usize>>,
    /// Places of 32-bit distances, and the blocks they lead to.
    jumps: Vec<(usize, Block)>,
    saved: Vec<PReg>,
}

impl Writer {
    fn finish(mut self) -> Result<(Vec<u8>, Vec<PoolReference>), CodegenError> {
        let mut bytes = self.encoder.take_buffer();
        for (place, to) in self.jumps {
            let start = self.starts[to.index()].ok_or_else(|| failed("a jump to nowhere"))?;
            let distance = start as i64 - (place as i64 + 4);
            let distance = i32::try_from(distance).map_err(failed)?;
            bytes[place..place + 4].copy_from_slice(&distance.to_le_bytes());
        }
        Ok((bytes, self.references))
    }

    fn encode(&mut self, instruction: &Instruction) -> Result<(), CodegenError> {
        let length = { self.encoder.encode(instruction, self.at as u64) }
            .map_err(|e| failed(format_args!("{instruction:?}: {e}")))?;
        self.at += length;
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.encoder.write_u8(byte);
        }
        self.at += bytes.len();
    }

    fn distance(&mut self, to: Block) {
        self.jumps.push((self.at, to));
        self.bytes(&[0; 4]);
    }

    fn jump(&mut self, to: Block, next: Option<Block>) {
        if Some(to) != next {
            self.bytes(&[0xe9]);
            self.distance(to);
        }
    }

    fn branch(&mut self, condition: Condition, [mut yes, mut no]: [Block; 2], next: Option<Block>) {
        let mut code = condition as u8;
        if Some(yes) == next {
            (yes, no) = (no, yes);
            code ^= 1;
        }
        self.bytes(&[0x0f, 0x80 | code]);
        self.distance(yes);
        self.jump(no, next);
    }

    /// Instructions that do nothing, up to where a loop may begin.
    fn align(&mut self) {
        let mut missing = self.at.next_multiple_of(LOOP_ALIGN) - self.at;
        while missing > 0 {
            let nop = NOPS[missing.min(NOPS.len()) - 1];
            self.bytes(nop);
            missing -= nop.len();
        }
    }

    /// The frame, from below: working memory, spilled values, saved registers, the frame pointer. Aligning it stays in the
    /// page that the registers were saved in.
    fn prologue(&mut self, output: &Output) -> Result<(), CodegenError> {
        let with1 = |code, r| Instruction::with1(code, r).map_err(failed);
        self.encode(&with1(Code::Push_r64, Register::RBP)?)?;
        let frame = Instruction::with2(Code::Mov_r64_rm64, Register::RBP, Register::RSP);
        self.encode(&frame.map_err(failed)?)?;
        for r in self.saved.clone() {
            self.encode(&with1(Code::Push_r64, register(r, View::R64))?)?;
        }
        self.stack_pointer(Code::And_rm64_imm8, -ALIGN)?;
        self.enter(frame_bytes(output.num_spillslots)?)
    }

    /// Takes so much stack. Below it lies a page that stops overflows: no page is passed over without touching it.
    fn enter(&mut self, bytes: i32) -> Result<(), CodegenError> {
        let pages = (bytes - 1) / PAGE;
        if pages > 0 {
            // Held by nothing yet: moves between places use it, and arguments do not.
            let end = register(gpr::SCRATCH, View::R64);
            let below = MemoryOperand::with_base_displ(Register::RSP, i64::from(-PAGE * pages));
            let set = Instruction::with2(Code::Lea_r64_m, end, below);
            self.encode(&set.map_err(failed)?)?;
            let again = self.at;
            self.stack_pointer(Code::Sub_rm64_imm32, PAGE)?;
            let top = MemoryOperand::with_base(Register::RSP);
            let touch = Instruction::with2(Code::Mov_rm64_imm32, top, 0);
            self.encode(&touch.map_err(failed)?)?;
            let compare = Instruction::with2(Code::Cmp_r64_rm64, Register::RSP, end);
            self.encode(&compare.map_err(failed)?)?;
            let jump = Instruction::with_branch(Code::Jne_rel8_64, again as u64);
            self.encode(&jump.map_err(failed)?)?;
        }
        self.stack_pointer(Code::Sub_rm64_imm32, bytes - pages * PAGE)
    }

    /// An operation on the stack pointer and a number.
    fn stack_pointer(&mut self, code: Code, value: i32) -> Result<(), CodegenError> {
        let set = Instruction::with2(code, Register::RSP, value).map_err(failed)?;
        self.encode(&set)
    }

    fn epilogue(&mut self) -> Result<(), CodegenError> {
        let saved = self.saved.clone();
        let above = MemoryOperand::with_base_displ(Register::RBP, -8 * saved.len() as i64);
        let back = Instruction::with2(Code::Lea_r64_m, Register::RSP, above);
        self.encode(&back.map_err(failed)?)?;
        for r in saved.into_iter().rev() {
            let pop = Instruction::with1(Code::Pop_r64, register(r, View::R64)).map_err(failed)?;
            self.encode(&pop)?;
        }
        let pop = Instruction::with1(Code::Pop_r64, Register::RBP).map_err(failed)?;
        self.encode(&pop)?;
        self.encode(&Instruction::with(Code::VEX_Vzeroupper))?;
        self.encode(&Instruction::with(Code::Retnq))
    }

    fn inst(&mut self, inst: &Inst, allocs: &[Allocation]) -> Result<(), CodegenError> {
        let mut i = Instruction::default();
        i.set_code(inst.code);
        let mut pool = None;
        for (n, arg) in (0u32..).zip(&inst.args) {
            match *arg {
                Arg::Reg(operand, view) => {
                    i.set_op_kind(n, OpKind::Register);
                    i.set_op_register(n, register(place(allocs, operand)?, view));
                }
                Arg::Imm8(value) => {
                    i.set_op_kind(n, OpKind::Immediate8);
                    i.set_immediate8(value);
                }
                Arg::Imm32(value) => {
                    i.set_op_kind(n, OpKind::Immediate32to64);
                    i.set_immediate32to64(value.into());
                }
                Arg::Imm64(value) => {
                    i.set_op_kind(n, OpKind::Immediate64);
                    i.set_immediate64(value as u64);
                }
                Arg::Memory(memory) => {
                    i.set_op_kind(n, OpKind::Memory);
                    self.memory(&mut i, memory, allocs)?;
                    if memory.base == Base::Pool {
                        pool = Some(memory.offset);
                    }
                }
            }
        }
        if let Some((operand, zeroing)) = inst.mask {
            i.set_op_mask(register(place(allocs, operand)?, View::K));
            i.set_zeroing_masking(zeroing);
        }
        i.set_has_lock_prefix(inst.lock);
        let start = self.at;
        self.encode(&i)?;
        if let Some(offset) = pool {
            let at = start + self.encoder.get_constant_offsets().displacement_offset();
            self.references.push(PoolReference {
                offset: u32::try_from(at).map_err(failed)?,
                addend: i64::from(offset) - (self.at - at) as i64,
            });
        }
        Ok(())
    }

    /// The memory that an instruction accesses.
    fn memory(
        &self,
        i: &mut Instruction,
        memory: Memory,
        allocs: &[Allocation],
    ) -> Result<(), CodegenError> {
        i.set_is_broadcast(memory.broadcast);
        i.set_memory_displ_size(1);
        i.set_memory_displacement64(i64::from(memory.offset) as u64);
        let base = match memory.base {
            Base::Operand(operand) => register(place(allocs, operand)?, View::R64),
            Base::Frame => Register::RSP,
            Base::Pool => {
                // A place nearby; the distance is filled in later.
                i.set_memory_displacement64(self.at as u64);
                Register::RIP
            }
        };
        i.set_memory_base(base);
        if let Some((operand, view, scale)) = memory.index {
            i.set_memory_index(register(place(allocs, operand)?, view));
            i.set_memory_index_scale(scale);
        }
        Ok(())
    }

    /// A value from place to place.
    fn move_(&mut self, from: Allocation, to: Allocation) -> Result<(), CodegenError> {
        let class = [from, to]
            .into_iter()
            .find_map(Allocation::as_reg)
            .map(PReg::class);
        let (view, [between, load, store]) = match class {
            Some(RegClass::Int) => (
                View::R64,
                [Code::Mov_r64_rm64, Code::Mov_r64_rm64, Code::Mov_rm64_r64],
            ),
            Some(RegClass::Float) => {
                let codes = &self.target.codes;
                let codes = [codes.copy, codes.load[0], codes.store[0]];
                (self.target.full, codes)
            }
            Some(RegClass::Vector) => (
                View::K,
                [
                    Code::VEX_Kmovq_kr_km64,
                    Code::VEX_Kmovq_kr_km64,
                    Code::VEX_Kmovq_m64_kr,
                ],
            ),
            None => return Err(failed("a move from memory to memory")),
        };
        let code = match (from.as_reg(), to.as_reg()) {
            (Some(_), Some(_)) => between,
            (None, _) => load,
            (_, None) => store,
        };
        let mut i = Instruction::default();
        i.set_code(code);
        for (n, place) in [(0, to), (1, from)] {
            if let Some(r) = place.as_reg() {
                i.set_op_kind(n, OpKind::Register);
                i.set_op_register(n, register(r, view));
            } else if let Some(slot) = place.as_stack() {
                i.set_op_kind(n, OpKind::Memory);
                i.set_memory_base(Register::RSP);
                i.set_memory_displ_size(1);
                i.set_memory_displacement64(FRAME as u64 + slot.index() as u64 * 8);
            }
        }
        self.encode(&i)
    }
}

/// The register of an operand.
fn place(allocs: &[Allocation], operand: u8) -> Result<PReg, CodegenError> {
    { allocs.get(usize::from(operand)) }
        .and_then(|a| a.as_reg())
        .ok_or_else(|| failed("an operand is in no register"))
}

/// A register's name.
fn register(r: PReg, view: View) -> Register {
    let n = r.hw_enc() as u32;
    match view {
        View::Z => Register::ZMM0 + n,
        View::Y => Register::YMM0 + n,
        View::X => Register::XMM0 + n,
        View::K => Register::K0 + n,
        View::R64 => Register::RAX + n,
        View::R32 => Register::EAX + n,
        View::R16 => Register::AX + n,
        // The high bytes of the first four stand in between.
        View::R8 if n >= 4 => Register::SPL + (n - 4),
        View::R8 => Register::AL + n,
    }
}
