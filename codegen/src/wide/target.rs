//! What the backend knows of a machine: its registers, how it holds truth values, and which instruction
//! does what. Everything else in the backend asks here.

use super::machine::{View, gpr};
use crate::backend::Caps;
use crate::vector::{Bin, Class, Conv};
use iced_x86::Code;
use regalloc2::{MachineEnv, PReg, PRegSet, RegClass};
use std::sync::LazyLock;

/// How a truth value per lane is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Masks {
    /// As a bit of a mask register. Instructions leave out lanes whose bit is not set.
    Registers,
    /// As a lane of a vector with all bits set or none. There are instructions that choose by such lanes, and loads and
    /// stores of 32 and 64 bits.
    Lanes,
}

/// A machine.
pub(super) struct Target {
    /// The name of the level.
    pub name: &'static str,
    pub caps: Caps,
    /// All of a vector register.
    pub full: View,
    /// Its lower half.
    pub half: View,
    pub masks: Masks,
    /// Arithmetic can read one element of memory into all lanes.
    pub broadcasts: bool,
    /// Vector registers that innermost loops leave to what instructions need for themselves.
    pub spare: usize,
    /// Vector registers that values may take at once when the steps of a loop are put into another order.
    pub crowd: usize,
    pub registers: LazyLock<MachineEnv>,
    pub codes: Codes,
}

/// Instructions for lanes of 32 and of 64 bits.
pub(super) type Pair = [Code; 2];

/// The same where there may be none.
pub(super) type Maybe = [Option<Code>; 2];

/// An operation on two vectors and the instructions that mean exactly the same.
pub(super) type Binary = (Bin, Maybe);

/// A change of class and the instruction for it, from as many lanes as fit into the wider of both.
pub(super) type Conversion = (Conv, Class, Class, Code);

/// Instructions by what they do.
pub(super) struct Codes {
    /// Between registers.
    pub copy: Code,
    pub load: Pair,
    pub store: Pair,
    /// A whole vector, past the caches, to a multiple of its size.
    pub stream: Code,
    /// An element of memory in all lanes.
    pub broadcast: Pair,
    /// The first lane in all lanes.
    pub splat: Pair,
    /// The first lane from and to memory.
    pub load_lane: Pair,
    pub store_lane: Pair,
    /// The first lane from and to a general register.
    pub from_general: Pair,
    pub to_general: Pair,
    /// A general register in all lanes.
    pub splat_general: Maybe,
    /// The upper half of a vector, and the way back.
    pub extract_half: Code,
    pub insert_half: Code,
    /// The upper quarter of the lower half, and the way back, where a quarter is 128 bits.
    pub extract_quarter: Option<Code>,
    pub insert_quarter: Option<Code>,
    /// Lanes of 32 bits within 128 by number.
    pub shuffle: Code,
    /// Elements of a vector in memory, by the numbers in another one.
    pub permute: Code,

    pub floats: &'static [Binary],
    pub ints: &'static [Binary],
    /// `a * b + c` in place of `a`, with `c` in memory.
    pub product_plus: Pair,
    /// `b * c + a` in place of `a`.
    pub sum_plus: Pair,
    /// `a * c + b` in place of `a`.
    pub factor_times: Pair,
    pub round: Pair,
    pub sqrt: Pair,
    pub abs: Maybe,
    /// Shifts of all lanes by a number.
    pub shift_left: Pair,
    pub shift_right: Pair,
    pub shift_right_signed: Code,
    /// Products of 64 bits of even lanes.
    pub multiply_even: Code,
    /// With the number of a condition.
    pub compare_float: Pair,

    pub conversions: &'static [Conversion],
    /// f64 to unsigned integers of 32 bits.
    pub truncate_unsigned: Option<Code>,
    pub half_to_float: Code,
    pub float_to_half: Code,
    /// Elements of 8 and 16 bits, from memory too, with zeros and with signs.
    pub extend_zero: Pair,
    pub extend_sign: Pair,
    /// The low 8 and 16 bits of lanes, to memory too.
    pub shorten: Option<Pair>,
    /// Elements of 8 and 16 bits under a mask.
    pub load_narrow: Option<Pair>,
    /// An element of memory into a lane of 128 bits: its number follows, or it is the second of two.
    pub insert: Pair,
    /// The same of 8 and 16 bits.
    pub insert_narrow: Pair,
    /// Distances of 32 bits; elements of 32, of 64 bits with distances of 64.
    pub gather: [Code; 3],
    pub scatter: Option<[Code; 3]>,
}

/// Instructions for both widths.
pub(super) const fn both(narrow: Code, wide: Code) -> Maybe {
    [Some(narrow), Some(wide)]
}

/// An instruction for lanes of 32 bits; those of 64 have none.
pub(super) const fn narrow(code: Code) -> Maybe {
    [Some(code), None]
}

/// Which of a pair is for a class.
pub(super) fn by(class: Class) -> usize {
    usize::from(class.bits() == 64)
}

impl Target {
    /// Bytes of a vector register.
    pub fn bytes(&self) -> i32 {
        self.caps.vector_bytes as i32
    }

    /// Vector registers that the allocator has.
    pub fn vectors(&self) -> usize {
        self.registers.preferred_regs_by_class[RegClass::Float as usize]
            .into_iter()
            .count()
    }

    /// Registers of this class hold masks.
    pub fn mask_class(&self) -> RegClass {
        match self.masks {
            Masks::Registers => RegClass::Vector,
            Masks::Lanes => RegClass::Float,
        }
    }

    /// How instructions name the mask that they yield.
    pub fn mask_view(&self) -> View {
        match self.masks {
            Masks::Registers => View::K,
            Masks::Lanes => self.full,
        }
    }
}

impl Codes {
    /// The instruction for an operation on two vectors, if there is one.
    pub fn binary(&self, f: Bin, class: Class) -> Option<Code> {
        let table = if class.is_float() {
            self.floats
        } else {
            self.ints
        };
        table.iter().find(|entry| entry.0 == f)?.1[by(class)]
    }

    /// The instruction for a change of class, if there is one.
    pub fn conversion(&self, f: Conv, from: Class, to: Class) -> Option<Code> {
        let entry = { self.conversions.iter() }.find(|c| (c.0, c.1, c.2) == (f, from, to));
        entry.map(|c| c.3)
    }
}

/// The registers that there are: `vectors` vector registers, one of which may be for moves between places, and mask
/// registers. The stack and frame pointers are not among them, nor mask 0, which means no mask.
pub(super) fn registers(vectors: usize, scratch: Option<PReg>, masks: Masks) -> MachineEnv {
    let set = |registers: &mut dyn Iterator<Item = PReg>| {
        registers.fold(PRegSet::empty(), |set, r| set.with(r))
    };
    let all = (0..vectors).map(|n| PReg::new(n, RegClass::Float));
    let (masks, scratch_mask) = match masks {
        Masks::Registers => (1..7, Some(PReg::new(7, RegClass::Vector))),
        Masks::Lanes => (0..0, None),
    };
    MachineEnv {
        preferred_regs_by_class: [
            set(&mut gpr::FREE.into_iter()),
            set(&mut all.filter(|r| Some(*r) != scratch)),
            set(&mut masks.map(|n| PReg::new(n, RegClass::Vector))),
        ],
        non_preferred_regs_by_class: [
            set(&mut gpr::SAVED.into_iter()),
            PRegSet::empty(),
            PRegSet::empty(),
        ],
        scratch_by_class: [Some(gpr::SCRATCH), scratch, scratch_mask],
        fixed_stack_slots: Vec::new(),
    }
}
