//! Machine code before its registers are chosen: instructions over virtual registers in blocks with
//! parameters, in the form that the register allocator reads.
//!
//! Three register classes: general registers for scalars ([`RegClass::Int`]), vector registers
//! ([`RegClass::Float`]) and mask registers ([`RegClass::Vector`]).

use super::target::Target;
use iced_x86::Code;
use regalloc2::{Block, Inst as InstId, InstRange, Operand, PReg, PRegSet, RegClass, VReg};
use smallvec::SmallVec;

/// How an instruction names a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum View {
    /// 512 bits of a vector register.
    Z,
    /// Its lower 256.
    Y,
    /// Its lower 128.
    X,
    /// A mask register.
    K,
    /// A general register, all of it.
    R64,
    /// Its lower 32 bits.
    R32,
    /// Its lower 16.
    R16,
    /// Its lower 8.
    R8,
}

/// Where memory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Base {
    /// At an address in a register (number of the operand).
    Operand(u8),
    /// In the constant pool.
    Pool,
    /// In the function's working memory on the stack.
    Frame,
}

/// Memory that an instruction accesses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Memory {
    pub base: Base,
    /// Operand, view, scale.
    pub index: Option<(u8, View, u32)>,
    pub offset: i32,
    /// One element is repeated in all lanes.
    pub broadcast: bool,
}

/// An argument of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arg {
    /// The register of an operand.
    Reg(u8, View),
    Memory(Memory),
    /// A number of 8 bits.
    Imm8(u8),
    /// A number of 32 bits, extended to 64.
    Imm32(i32),
    /// A number of 64 bits.
    Imm64(i64),
}

/// What the flags must say, by its number in instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Condition {
    Zero = 4,
    NotZero = 5,
    LessOrEqual = 14,
}

/// How control leaves an instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    /// To the next one.
    Next,
    /// To a block, with its parameters.
    Jump(Block, SmallVec<[VReg; 4]>),
    /// To the first block if the flags say so, else to the second; neither has parameters.
    Branch(Condition, Block, Block),
    /// Out of the function.
    Return,
}

/// An instruction.
#[derive(Clone, Debug)]
pub(super) struct Inst {
    /// Invalid for what only tells the allocator something, unused where control flows elsewhere.
    pub code: Code,
    pub args: SmallVec<[Arg; 4]>,
    pub operands: SmallVec<[Operand; 5]>,
    /// The operand whose bits say which lanes count, and whether the others become zero.
    pub mask: Option<(u8, bool)>,
    /// It is locked.
    pub lock: bool,
    pub flow: Flow,
}

impl Inst {
    pub fn new(code: Code) -> Inst {
        Inst {
            code,
            args: SmallVec::new(),
            operands: SmallVec::new(),
            mask: None,
            lock: false,
            flow: Flow::Next,
        }
    }

    fn leaving(flow: Flow) -> Inst {
        Inst {
            flow,
            ..Inst::new(Code::INVALID)
        }
    }

    /// Adds an operand that is no argument, or not yet; gives its number.
    pub fn operand(&mut self, operand: Operand) -> u8 {
        self.operands.push(operand);
        (self.operands.len() - 1) as u8
    }

    /// A result.
    pub fn def(mut self, v: VReg, view: View) -> Inst {
        let n = self.operand(Operand::reg_def(v));
        self.args.push(Arg::Reg(n, view));
        self
    }

    /// A result in the register of `v`, which is read.
    pub fn update(mut self, result: VReg, v: VReg, view: View) -> Inst {
        let read = self.operand(Operand::reg_use(v));
        let n = self.operand(Operand::reg_reuse_def(result, read.into()));
        self.args.push(Arg::Reg(n, view));
        self
    }

    /// The register of an operand once more.
    pub fn again(mut self, operand: u8, view: View) -> Inst {
        self.args.push(Arg::Reg(operand, view));
        self
    }

    /// A register that is read.
    pub fn read(mut self, v: VReg, view: View) -> Inst {
        let n = self.operand(Operand::reg_use(v));
        self.args.push(Arg::Reg(n, view));
        self
    }

    /// A number of 8 bits.
    pub fn imm8(mut self, value: u8) -> Inst {
        self.args.push(Arg::Imm8(value));
        self
    }

    /// A number of 32 bits, extended to 64.
    pub fn imm32(mut self, value: i32) -> Inst {
        self.args.push(Arg::Imm32(value));
        self
    }

    /// A number of 64 bits.
    pub fn imm64(mut self, value: i64) -> Inst {
        self.args.push(Arg::Imm64(value));
        self
    }

    /// Memory.
    pub fn memory(mut self, place: Place) -> Inst {
        let base = match place.base {
            PlaceBase::Reg(v) => Base::Operand(self.operand(Operand::reg_use(v))),
            PlaceBase::Pool => Base::Pool,
            PlaceBase::Frame => Base::Frame,
        };
        let index = place
            .index
            .map(|(v, scale)| (self.operand(Operand::reg_use(v)), View::R64, scale));
        self.args.push(Arg::Memory(Memory {
            base,
            index,
            offset: place.offset,
            broadcast: place.broadcast,
        }));
        self
    }

    /// Memory at a place plus the lanes of a vector times `scale`. The vector's register is none of the results'.
    pub fn lanes_memory(mut self, place: Place, (lanes, view): (VReg, View), scale: u32) -> Inst {
        self = self.memory(place);
        let n = self.operand(Operand::reg_use_at_end(lanes));
        if let Some(Arg::Memory(memory)) = self.args.last_mut() {
            memory.index = Some((n, view, scale));
        }
        self
    }

    /// Only lanes whose bit is set; the others become zero.
    pub fn zeroing(mut self, mask: VReg) -> Inst {
        self.mask = Some((self.operand(Operand::reg_use(mask)), true));
        self
    }

    /// Only lanes whose bit is set; the others stay.
    pub fn merging(mut self, mask: VReg) -> Inst {
        self.mask = Some((self.operand(Operand::reg_use(mask)), false));
        self
    }

    /// The same, and the mask is lost.
    pub fn consuming(mut self, mask: VReg, rest: VReg) -> Inst {
        let read = self.operand(Operand::reg_use(mask));
        let n = self.operand(Operand::reg_reuse_def(rest, read.into()));
        self.mask = Some((n, false));
        self
    }
}

/// Memory by virtual registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub base: PlaceBase,
    pub index: Option<(VReg, u32)>,
    pub offset: i32,
    pub broadcast: bool,
}

/// See [`Base`].
#[derive(Clone, Copy, Debug)]
pub(super) enum PlaceBase {
    Reg(VReg),
    Pool,
    Frame,
}

impl Place {
    pub fn new(base: PlaceBase, offset: i32) -> Place {
        Place {
            base,
            index: None,
            offset,
            broadcast: false,
        }
    }

    /// At an address in a register.
    pub fn at(base: VReg) -> Place {
        Place::new(PlaceBase::Reg(base), 0)
    }

    /// In the working memory.
    pub fn frame(offset: i32) -> Place {
        Place::new(PlaceBase::Frame, offset)
    }

    /// `bytes` further on.
    pub fn plus(self, bytes: i32) -> Place {
        Place {
            offset: self.offset + bytes,
            ..self
        }
    }
}

/// A function.
pub(super) struct Machine {
    pub target: &'static Target,
    pub insts: Vec<Inst>,
    pub blocks: Vec<BlockData>,
    vregs: usize,
}

/// A block: a run of instructions.
#[derive(Default)]
pub(super) struct BlockData {
    pub range: (usize, usize),
    /// A loop begins here.
    pub aligned: bool,
    params: Vec<VReg>,
    succs: Vec<Block>,
    preds: Vec<Block>,
}

impl Machine {
    /// An empty function.
    pub fn new(target: &'static Target) -> Machine {
        Machine {
            target,
            insts: Vec::new(),
            blocks: Vec::new(),
            vregs: 0,
        }
    }

    /// A new virtual register.
    pub fn vreg(&mut self, class: RegClass) -> VReg {
        self.vregs += 1;
        VReg::new(self.vregs - 1, class)
    }

    /// A block to be begun later.
    pub fn block(&mut self) -> Block {
        self.blocks.push(BlockData::default());
        Block::new(self.blocks.len() - 1)
    }

    /// A parameter of a block.
    pub fn param(&mut self, block: Block, class: RegClass) -> VReg {
        let v = self.vreg(class);
        self.blocks[block.index()].params.push(v);
        v
    }

    /// From here on instructions belong to `block`.
    pub fn begin(&mut self, block: Block) {
        self.blocks[block.index()].range.0 = self.insts.len();
    }

    /// Ends `block`, to which the last instructions belong.
    pub fn end(&mut self, block: Block, flow: Flow) {
        match &flow {
            Flow::Jump(to, _) => self.edge(block, *to),
            Flow::Branch(_, yes, no) => {
                self.edge(block, *yes);
                self.edge(block, *no);
            }
            Flow::Next | Flow::Return => {}
        }
        self.insts.push(Inst::leaving(flow));
        self.blocks[block.index()].range.1 = self.insts.len();
    }

    /// Numbers the blocks in the order of their instructions, as the allocator wants them.
    pub fn finish(&mut self) {
        let mut order: Vec<usize> = (0..self.blocks.len()).collect();
        order.sort_by_key(|&b| self.blocks[b].range.0);
        let mut numbers = vec![Block::new(0); order.len()];
        for (number, &block) in order.iter().enumerate() {
            numbers[block] = Block::new(number);
        }
        let renumber = |block: &mut Block| *block = numbers[block.index()];
        for inst in &mut self.insts {
            match &mut inst.flow {
                Flow::Jump(to, _) => renumber(to),
                Flow::Branch(_, yes, no) => {
                    renumber(yes);
                    renumber(no);
                }
                Flow::Next | Flow::Return => {}
            }
        }
        self.blocks = order
            .into_iter()
            .map(|block| std::mem::take(&mut self.blocks[block]))
            .collect();
        for block in &mut self.blocks {
            block.succs.iter_mut().for_each(renumber);
            block.preds.iter_mut().for_each(renumber);
        }
    }

    fn edge(&mut self, from: Block, to: Block) {
        self.blocks[from.index()].succs.push(to);
        self.blocks[to.index()].preds.push(from);
    }
}

impl regalloc2::Function for Machine {
    fn num_insts(&self) -> usize {
        self.insts.len()
    }

    fn num_blocks(&self) -> usize {
        self.blocks.len()
    }

    fn entry_block(&self) -> Block {
        Block::new(0)
    }

    fn block_insns(&self, block: Block) -> InstRange {
        let (from, to) = self.blocks[block.index()].range;
        InstRange::new(InstId::new(from), InstId::new(to))
    }

    fn block_succs(&self, block: Block) -> &[Block] {
        &self.blocks[block.index()].succs
    }

    fn block_preds(&self, block: Block) -> &[Block] {
        &self.blocks[block.index()].preds
    }

    fn block_params(&self, block: Block) -> &[VReg] {
        &self.blocks[block.index()].params
    }

    fn is_ret(&self, inst: InstId) -> bool {
        self.insts[inst.index()].flow == Flow::Return
    }

    fn is_branch(&self, inst: InstId) -> bool {
        matches!(
            self.insts[inst.index()].flow,
            Flow::Jump(..) | Flow::Branch(..)
        )
    }

    fn branch_blockparams(&self, _: Block, inst: InstId, _: usize) -> &[VReg] {
        match &self.insts[inst.index()].flow {
            Flow::Jump(_, arguments) => arguments,
            Flow::Next | Flow::Branch(..) | Flow::Return => &[],
        }
    }

    fn inst_operands(&self, inst: InstId) -> &[Operand] {
        &self.insts[inst.index()].operands
    }

    fn inst_clobbers(&self, _: InstId) -> PRegSet {
        PRegSet::empty()
    }

    fn num_vregs(&self) -> usize {
        self.vregs
    }

    fn spillslot_size(&self, class: RegClass) -> usize {
        match class {
            RegClass::Int | RegClass::Vector => 1,
            RegClass::Float => self.target.bytes() as usize / 8,
        }
    }
}

/// General registers by number.
pub(super) mod gpr {
    use super::{PReg, RegClass};

    const fn gpr(n: usize) -> PReg {
        PReg::new(n, RegClass::Int)
    }

    pub const RAX: PReg = gpr(0);
    pub const RCX: PReg = gpr(1);
    pub const RDX: PReg = gpr(2);
    pub const RSI: PReg = gpr(6);
    pub const RDI: PReg = gpr(7);
    /// For moves between places.
    pub const SCRATCH: PReg = gpr(11);
    /// Those that belong to the caller's caller.
    pub const SAVED: [PReg; 5] = [gpr(3), gpr(12), gpr(13), gpr(14), gpr(15)];
    /// Those that are free.
    pub const FREE: [PReg; 8] = [RAX, RCX, RDX, RSI, RDI, gpr(8), gpr(9), gpr(10)];
}

/// A jump with the parameters of `to`.
pub(super) fn jump(to: Block, arguments: &[VReg]) -> Flow {
    Flow::Jump(to, SmallVec::from_slice(arguments))
}
