//! How vector IR registers are held, and the rearrangements between them.
//!
//! | class | one lane | full register |
//! |---|---|---|
//! | F32, I32 | lane 0 of a vector register | a vector register |
//! | F64, I64 | lane 0 of a vector register | two: the first half of the lanes, the second half |
//! | Mask | see [`masks`](super::masks) | |
//!
//! What lies in other lanes is arbitrary.

use super::machine::{Inst, Place, PlaceBase, View};
use super::select::Selector;
use super::target::by;
use crate::CodegenError;
pub(super) use crate::vector::Kind;
use crate::vector::{Bin, Class, Reg};
use iced_x86::Code;
use regalloc2::VReg;
use smallvec::SmallVec;

/// The machine registers that hold a register.
#[derive(Clone, Copy, Debug)]
pub(super) enum Val {
    One(VReg),
    /// The first half of the lanes, the second half.
    Two([VReg; 2]),
}

impl Val {
    /// From as many parts as the register has.
    pub fn from_parts(parts: &[VReg]) -> Val {
        match *parts {
            [a, b] => Val::Two([a, b]),
            [a] => Val::One(a),
            _ => unreachable!("a register has one part or two"),
        }
    }

    /// The parts.
    pub fn parts(&self) -> &[VReg] {
        match self {
            Val::One(v) => std::slice::from_ref(v),
            Val::Two(both) => both,
        }
    }

    /// The only part, or the first.
    pub fn first(&self) -> VReg {
        self.parts()[0]
    }

    /// With each part replaced.
    pub fn map(&self, mut f: impl FnMut(VReg) -> VReg) -> Val {
        match *self {
            Val::One(v) => Val::One(f(v)),
            Val::Two([a, b]) => Val::Two([f(a), f(b)]),
        }
    }
}

/// The last operand of an instruction: a vector, or equal lanes that may come from memory.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Vector(VReg),
    /// Class and bits of a lane.
    Const(Class, u64),
}

impl From<VReg> for Source {
    fn from(v: VReg) -> Source {
        Source::Vector(v)
    }
}

impl From<(Class, u64)> for Source {
    fn from((class, bits): (Class, u64)) -> Source {
        Source::Const(class, bits)
    }
}

impl Selector<'_> {
    /// The lanes of a register that count.
    pub fn lanes(&self, kind: Kind) -> u32 {
        if kind.full {
            self.target.caps.lanes()
        } else {
            1
        }
    }

    /// `code` with a vector result and a vector operand.
    pub fn unary_v(&mut self, code: Code, x: VReg) -> VReg {
        let result = self.vector();
        let full = self.target.full;
        self.push(Inst::new(code).def(result, full).read(x, full));
        result
    }

    /// The same with a number.
    pub fn unary_imm(&mut self, code: Code, x: VReg, imm: u8) -> VReg {
        let result = self.vector();
        let full = self.target.full;
        let inst = Inst::new(code).def(result, full).read(x, full);
        self.push(inst.imm8(imm));
        result
    }

    /// `code` with a vector result and two vector operands.
    pub fn binary_v(&mut self, code: Code, x: VReg, y: impl Into<Source>) -> VReg {
        let result = self.vector();
        let full = self.target.full;
        let inst = Inst::new(code).def(result, full).read(x, full);
        let inst = self.read_source(inst, y.into());
        self.push(inst);
        result
    }

    /// The same with a number.
    pub fn binary_imm(&mut self, code: Code, x: VReg, y: VReg, imm: u8) -> VReg {
        let result = self.vector();
        let full = self.target.full;
        let inst = Inst::new(code).def(result, full).read(x, full);
        self.push(inst.read(y, full).imm8(imm));
        result
    }

    /// An instruction that reads a last operand. A constant comes from a register, if it is in one, or from the pool.
    pub fn read_source(&mut self, inst: Inst, source: Source) -> Inst {
        let full = self.target.full;
        match source {
            Source::Vector(v) => inst.read(v, full),
            Source::Const(class, bits) => match self.kept(class, bits) {
                Some(v) => inst.read(v, full),
                None => inst.memory(self.everywhere(class, bits)),
            },
        }
    }

    /// A last operand in a register.
    pub fn source(&mut self, source: impl Into<Source>) -> VReg {
        match source.into() {
            Source::Vector(v) => v,
            Source::Const(class, bits) => self.splat_const(class, bits),
        }
    }

    /// A vector from the lower half of another one, lanes twice as wide.
    pub fn widen(&mut self, code: Code, half: VReg) -> VReg {
        let (result, target) = (self.vector(), self.target);
        let inst = Inst::new(code).def(result, target.full);
        self.push(inst.read(half, target.half));
        result
    }

    /// The lower half of a vector from another one, lanes half as wide.
    pub fn narrow(&mut self, code: Code, v: VReg) -> VReg {
        let (result, target) = (self.vector(), self.target);
        let inst = Inst::new(code).def(result, target.half);
        self.push(inst.read(v, target.full));
        result
    }

    /// A constant of the pool for all lanes: one element where instructions can repeat it.
    pub fn everywhere(&mut self, class: Class, bits: u64) -> Place {
        let element = &bits.to_le_bytes()[..class.bits() as usize / 8];
        let broadcast = self.target.broadcasts;
        let offset = match broadcast {
            true => self.pool.constant(element),
            false => {
                let bytes = self.target.bytes() as usize;
                self.pool.constant(&element.repeat(bytes / element.len()))
            }
        };
        Place {
            broadcast,
            ..Place::new(PlaceBase::Pool, offset)
        }
    }

    /// A register of equal lanes.
    pub fn constant(&mut self, kind: Kind, bits: u64) -> Val {
        if kind.class == Class::Mask {
            return Val::One(self.constant_mask(bits & 1 == 1));
        }
        let v = self.splat_const(kind.class, bits);
        match kind.parts() {
            2 => Val::Two([v, v]),
            _ => Val::One(v),
        }
    }

    /// A vector of equal lanes.
    pub fn splat_const(&mut self, class: Class, bits: u64) -> VReg {
        if let Some(v) = self.kept(class, bits) {
            return v;
        }
        let place = self.everywhere(class, bits);
        let codes = &self.target.codes;
        let code = match place.broadcast {
            true => codes.broadcast,
            false => codes.load,
        };
        let place = Place {
            broadcast: false,
            ..place
        };
        self.load_vector(code[by(class)], place)
    }

    /// A vector that an instruction reads from memory.
    pub fn load_vector(&mut self, code: Code, place: Place) -> VReg {
        let result = self.vector();
        let inst = Inst::new(code).def(result, self.target.full);
        self.push(inst.memory(place));
        result
    }

    /// A constant of a whole vector, whose bytes `byte` gives.
    pub fn vector_const(&mut self, byte: impl FnMut(usize) -> u8) -> Place {
        let bytes: Vec<u8> = (0..self.target.bytes() as usize).map(byte).collect();
        let offset = self.pool.constant(&bytes);
        Place::new(PlaceBase::Pool, offset)
    }

    /// Lane 0 of a vector everywhere, or that of a mask.
    pub fn splat(&mut self, kind: Kind, lane: Val) -> Val {
        if !kind.full {
            return lane;
        }
        if kind.class == Class::Mask {
            return self.splat_mask(lane);
        }
        let v = self.splat_lane(kind.class, lane.first());
        match kind.parts() {
            2 => Val::Two([v, v]),
            _ => Val::One(v),
        }
    }

    /// Lane 0 of a vector in all lanes.
    pub fn splat_lane(&mut self, class: Class, lane: VReg) -> VReg {
        let (result, target) = (self.vector(), self.target);
        let inst = Inst::new(target.codes.splat[by(class)]).def(result, target.full);
        self.push(inst.read(lane, View::X));
        result
    }

    /// A general register as lane 0.
    pub fn lane_from(&mut self, class: Class, v: VReg) -> VReg {
        let result = self.vector();
        let inst = Inst::new(self.target.codes.from_general[by(class)]).def(result, View::X);
        self.push(inst.read(v, general_view(class)));
        result
    }

    /// Lane 0 in a general register.
    pub fn lane_to(&mut self, class: Class, v: VReg) -> VReg {
        let result = self.general();
        let inst = Inst::new(self.target.codes.to_general[by(class)]);
        let inst = inst.def(result, general_view(class));
        self.push(inst.read(v, View::X));
        result
    }

    /// A general register in all lanes, or at least in the first one if only that counts.
    pub fn splat_from(&mut self, kind: Kind, v: VReg) -> VReg {
        let class = kind.class;
        match self.target.codes.splat_general[by(class)] {
            Some(code) => {
                let result = self.vector();
                let inst = Inst::new(code).def(result, self.target.full);
                self.push(inst.read(v, general_view(class)));
                result
            }
            None => {
                let lane = self.lane_from(class, v);
                match kind.full {
                    true => self.splat_lane(class, lane),
                    false => lane,
                }
            }
        }
    }

    /// The second half of a vector as the first.
    pub fn upper_half(&mut self, v: VReg) -> VReg {
        let (result, target) = (self.vector(), self.target);
        let inst = Inst::new(target.codes.extract_half).def(result, target.half);
        self.push(inst.read(v, target.full).imm8(1));
        result
    }

    /// Two lower halves as one vector.
    pub fn join_halves(&mut self, low: VReg, high: VReg) -> VReg {
        let (result, target) = (self.vector(), self.target);
        let inst = Inst::new(target.codes.insert_half);
        let inst = inst.def(result, target.full).read(low, target.full);
        self.push(inst.read(high, target.half).imm8(1));
        result
    }

    /// `start + lane * step` in 32- or 64-bit lanes.
    pub fn ramp(&mut self, kind: Kind, start: VReg, step: i64) -> Result<Val, CodegenError> {
        let all = self.splat_from(kind, start);
        let size = kind.class.bits() as usize / 8;
        let per_part = self.target.bytes() as usize / size;
        let add = self.code(Bin::Add, kind.class)?;
        let parts: SmallVec<[VReg; 2]> = (0..kind.parts())
            .map(|part| {
                if step == 0 || !kind.full {
                    return all;
                }
                let steps = self.vector_const(|i| {
                    let lane = (part * per_part + i / size) as i64;
                    lane.wrapping_mul(step).to_le_bytes()[i % size]
                });
                let (result, full) = (self.vector(), self.target.full);
                let inst = Inst::new(add).def(result, full).read(all, full);
                self.push(inst.memory(steps));
                result
            })
            .collect();
        Ok(Val::from_parts(&parts))
    }

    /// Writes a register's lanes into the working memory, one behind the other.
    pub fn spill(&mut self, value: Val, kind: Kind, offset: i32) {
        debug_assert_ne!(kind.class, Class::Mask);
        let target = self.target;
        for (i, &part) in (0i32..).zip(value.parts()) {
            let store = Inst::new(target.codes.store[by(kind.class)]);
            let store = store.memory(Place::frame(offset + target.bytes() * i));
            self.push(store.read(part, target.full));
        }
    }

    /// Reads a register's lanes from the working memory.
    pub fn unspill(&mut self, kind: Kind, offset: i32) -> Val {
        let target = self.target;
        let code = target.codes.load[by(kind.class)];
        let parts: SmallVec<[VReg; 2]> = (0..kind.parts() as i32)
            .map(|i| self.load_vector(code, Place::frame(offset + target.bytes() * i)))
            .collect();
        Val::from_parts(&parts)
    }

    /// Combination of lane `i` with lane `i + n/2` until one is left.
    pub fn horizontal(&mut self, f: Bin, a: Reg) -> Result<Val, CodegenError> {
        let kind = self.kind(a)?;
        let value = self.reg(a)?;
        if !kind.full {
            return Ok(value);
        }
        if kind.class == Class::Mask {
            return Ok(Val::One(self.horizontal_mask(f, value)));
        }
        let mut v = match value {
            Val::Two([low, high]) => self.part_binary(kind, f, low, high)?,
            Val::One(v) => v,
        };
        let half = self.upper_half(v);
        v = self.part_binary(kind, f, v, half)?;
        if let Some(code) = self.target.codes.extract_quarter {
            let (high, full) = (self.vector(), self.target.full);
            let upper = Inst::new(code).def(high, View::X).read(v, full);
            self.push(upper.imm8(1));
            v = self.part_binary(kind, f, v, high)?;
        }
        // Within 128 bits: the upper 64, then, for 32 bits, the second lane.
        let shuffle = self.target.codes.shuffle;
        let high = self.unary_imm(shuffle, v, 0b11_10_11_10);
        v = self.part_binary(kind, f, v, high)?;
        if !kind.is_wide() {
            let high = self.unary_imm(shuffle, v, 0b01_01_01_01);
            v = self.part_binary(kind, f, v, high)?;
        }
        Ok(Val::One(v))
    }
}

/// How a general register that holds a lane is named.
fn general_view(class: Class) -> View {
    match class.bits() {
        64 => View::R64,
        _ => View::R32,
    }
}
