//! Loads and stores of elements that do not lie one behind the other, and of those for which there is no instruction
//! under a mask.
//!
//! Elements of 32 and 64 bits are gathered and scattered by instructions where there are some, but where they lie at equal
//! distances loads one by one take half the time of a gather. Narrow ones are read one by one, and what no instruction
//! scatters goes lane by lane through working memory.

use super::machine::{Inst, Place, View};
use super::memory::Result;
use super::select::Selector;
use super::target::Masks;
use super::value::{Kind, Val};
use crate::vector::{Bin, Class, MemAccess};
use iced_x86::Code::{self, *};
use lazulite_ir::DType;
use regalloc2::VReg;
use smallvec::SmallVec;

/// Places in the working memory: indices and elements.
const INDICES: i32 = 0;
const ELEMENTS: i32 = 128;

/// Element indices.
const INDEX: Kind = Kind {
    class: Class::I64,
    full: true,
};

/// Where the lanes of an access are.
pub(super) enum Lanes {
    /// Bytes from lane to lane.
    Step(i64),
    /// The same, known when the code runs.
    Stride(VReg),
    /// Elements from the base, per lane.
    Index(Val),
}

/// Elements of memory that belong to lanes.
pub(super) struct Spread {
    pub mem: DType,
    pub place: Place,
    pub lanes: Lanes,
    /// Only these; others are not accessed, and zero when read.
    pub mask: Option<Val>,
}

/// Which instruction gathers or scatters: distances of 32 bits, or elements of 32 or 64 bits with distances of 64.
#[derive(Clone, Copy)]
enum Form {
    Near,
    Far,
    FarWide,
}

impl Selector<'_> {
    /// Where the lanes of an access are.
    pub fn spread(
        &mut self,
        mem: DType,
        place: Place,
        access: MemAccess,
        mask: Option<Val>,
    ) -> Result<Spread> {
        let lanes = match access {
            MemAccess::Strided(stride) => match self.known_scalar(stride) {
                Some(step) => Lanes::Step(step),
                None => Lanes::Stride(self.scalar(stride)?),
            },
            MemAccess::Indexed(index) => Lanes::Index(self.reg(index)?),
            MemAccess::Contiguous | MemAccess::Broadcast => Lanes::Step(mem.size() as i64),
        };
        Ok(Spread {
            mem,
            place,
            lanes,
            mask,
        })
    }

    /// The distances of lanes from the base in 64 bits, and the scale that goes with them.
    fn distances(&mut self, lanes: &Lanes, mem: DType) -> Result<(Val, u32)> {
        Ok(match *lanes {
            Lanes::Index(index) => (index, mem.size() as u32),
            Lanes::Step(step) => {
                let zero = self.number(0);
                (self.ramp(INDEX, zero, step)?, 1)
            }
            Lanes::Stride(stride) => {
                let zero = self.number(0);
                let numbers = self.ramp(INDEX, zero, 1)?;
                let all = self.splat_from(INDEX, stride);
                let product = |s: &mut Self, n| s.part_binary(INDEX, Bin::Mul, n, all);
                (self.each_part(numbers, product)?, 1)
            }
        })
    }

    /// The distances in 32 bits where they are known to fit.
    fn short_distances(&mut self, lanes: &Lanes) -> Option<VReg> {
        let Lanes::Step(step) = *lanes else {
            return None;
        };
        let last = step.checked_mul(i64::from(self.target.caps.lanes()))?;
        i32::try_from(last).ok()?;
        let place =
            self.vector_const(|i| (step as i32).wrapping_mul(i as i32 / 4).to_le_bytes()[i % 4]);
        Some(self.load_vector(self.target.codes.load[0], place))
    }

    /// Register views of elements.
    fn element_view(&self, form: Form) -> View {
        match form {
            Form::Near | Form::FarWide => self.target.full,
            Form::Far => self.target.half,
        }
    }

    /// The mask for a part, or all lanes; it may be consumed.
    fn consumable(&mut self, mask: Option<Val>, form: Form, part: usize) -> VReg {
        let Some(mask) = mask else {
            return self.constant_mask(true);
        };
        match (self.target.masks, form) {
            (Masks::Registers, _) => self.mask_part(mask, Class::I64, part),
            (Masks::Lanes, Form::FarWide) => self.mask_part(mask, Class::I64, part),
            (Masks::Lanes, Form::Near | Form::Far) => {
                let mask = self.narrow_mask(mask);
                match part {
                    0 => mask,
                    _ => self.upper_half(mask),
                }
            }
        }
    }

    /// One instruction that gathers, into zeros.
    fn gather_part(
        &mut self,
        (form, class): (Form, Class),
        place: Place,
        (distances, scale): (VReg, u32),
        mask: VReg,
    ) -> VReg {
        let (view, full) = (self.element_view(form), self.target.full);
        let (zero, result, rest) = (self.splat_const(class, 0), self.vector(), self.mask());
        let inst = Inst::new(self.target.codes.gather[form as usize]);
        let inst = inst.update(result, zero, view);
        let inst = inst.lanes_memory(place, (distances, full), scale);
        self.push(match self.target.masks {
            Masks::Registers => inst.consuming(mask, rest),
            Masks::Lanes => inst.update(rest, mask, view),
        });
        result
    }

    /// Elements of 32 or 64 bits.
    pub fn gather(&mut self, raw: Kind, spread: &Spread) -> Result<Val> {
        if let (None, Lanes::Step(_) | Lanes::Stride(_)) = (spread.mask, &spread.lanes) {
            return Ok(self.collect(raw, spread));
        }
        let (place, mask) = (self.plain(spread.place), spread.mask);
        if !raw.is_wide()
            && let Some(distances) = self.short_distances(&spread.lanes)
        {
            let mask = self.consumable(mask, Form::Near, 0);
            let what = (Form::Near, raw.class);
            let v = self.gather_part(what, place, (distances, 1), mask);
            return Ok(Val::One(v));
        }
        let form = match raw.is_wide() {
            false => Form::Far,
            true => Form::FarWide,
        };
        let (distances, scale) = self.distances(&spread.lanes, spread.mem)?;
        let parts: SmallVec<[VReg; 2]> = (0..2)
            .map(|i| {
                let mask = self.consumable(mask, form, i);
                let distances = (distances.parts()[i], scale);
                self.gather_part((form, raw.class), place, distances, mask)
            })
            .collect();
        Ok(match form {
            Form::Far => Val::One(self.join_halves(parts[0], parts[1])),
            Form::Near | Form::FarWide => Val::from_parts(&parts),
        })
    }

    /// Elements one by one into the lanes of 128 bits, and these into vectors.
    fn collect(&mut self, raw: Kind, spread: &Spread) -> Val {
        let codes = &self.target.codes;
        let base = self.lane_places(spread);
        let (wide, mut at) = (usize::from(raw.is_wide()), base);
        let each = [4, 2][wide];
        let mut quarters = SmallVec::<[VReg; 4]>::new();
        for lane in 0..self.lanes(raw) as i32 {
            at = self.lane_place(base, at, spread, lane);
            let result = self.vector();
            let inst = match (quarters.last_mut(), lane % each) {
                (Some(last), n @ 1..) => {
                    let before = std::mem::replace(last, result);
                    let inst = Inst::new(codes.insert[wide]).def(result, View::X);
                    let inst = inst.read(before, View::X).memory(at);
                    match wide {
                        0 => inst.imm8((n << 4) as u8),
                        _ => inst,
                    }
                }
                (_, _) => {
                    quarters.push(result);
                    let inst = Inst::new(codes.load_lane[wide]);
                    inst.def(result, View::X).memory(at)
                }
            };
            self.push(inst);
        }
        self.join_quarters(quarters)
    }

    /// Vectors from pieces of 128 bits, one behind the other; a single piece holds one lane.
    pub fn join_quarters(&mut self, quarters: SmallVec<[VReg; 4]>) -> Val {
        if let [lane] = quarters[..] {
            return Val::One(lane);
        }
        let halves: SmallVec<[VReg; 4]> = match self.target.codes.insert_quarter {
            Some(code) => { quarters.chunks(2) }
                .map(|pair| self.join_pair(code, pair[0], pair[1]))
                .collect(),
            None => quarters,
        };
        let parts: SmallVec<[VReg; 2]> = { halves.chunks(2) }
            .map(|pair| self.join_halves(pair[0], pair[1]))
            .collect();
        Val::from_parts(&parts)
    }

    /// Half a vector from two pieces of 128 bits.
    fn join_pair(&mut self, code: Code, low: VReg, high: VReg) -> VReg {
        let (result, half) = (self.vector(), self.target.half);
        let inst = Inst::new(code).def(result, half).read(low, half);
        self.push(inst.read(high, View::X).imm8(1));
        result
    }

    /// Lanes in order: of several at one place the last one stays.
    pub fn scatter(
        &mut self,
        codes: [Code; 3],
        raw: Kind,
        spread: &Spread,
        value: Val,
    ) -> Result<()> {
        let (place, full) = (self.plain(spread.place), self.target.full);
        let one = |s: &mut Self, form: Form, (distances, scale), value, part| {
            let (mask, rest) = (s.consumable(spread.mask, form, part), s.mask());
            let inst = Inst::new(codes[form as usize]);
            let inst = inst.lanes_memory(place, (distances, full), scale);
            let inst = inst.read(value, s.element_view(form));
            s.push(inst.consuming(mask, rest));
        };
        if !raw.is_wide()
            && let Some(distances) = self.short_distances(&spread.lanes)
        {
            one(self, Form::Near, (distances, 1), value.first(), 0);
            return Ok(());
        }
        let (distances, scale) = self.distances(&spread.lanes, spread.mem)?;
        for i in 0..2 {
            let at = (distances.parts()[i], scale);
            match (raw.is_wide(), i) {
                (true, _) => one(self, Form::FarWide, at, value.parts()[i], i),
                (false, 0) => one(self, Form::Far, at, value.first(), i),
                (false, _) => {
                    let upper = self.upper_half(value.first());
                    one(self, Form::Far, at, upper, i);
                }
            }
        }
        Ok(())
    }

    /// The places of all lanes, one after the other as they are asked for.
    fn lane_places(&mut self, spread: &Spread) -> Place {
        if let Lanes::Index(index) = spread.lanes {
            self.spill(index, INDEX, INDICES);
        }
        self.plain(spread.place)
    }

    /// The place of lane `lane`, where `before` is that of the lane before it.
    fn lane_place(&mut self, base: Place, before: Place, spread: &Spread, lane: i32) -> Place {
        match spread.lanes {
            Lanes::Index(_) => {
                let index = self.general();
                let load = Inst::new(Mov_r64_rm64).def(index, View::R64);
                self.push(load.memory(Place::frame(INDICES + 8 * lane)));
                Place {
                    index: Some((index, spread.mem.size() as u32)),
                    ..base
                }
            }
            _ if lane == 0 => base,
            Lanes::Step(step) => match i32::try_from(step).ok().and_then(|s| s.checked_mul(lane)) {
                Some(offset) if offset.abs() < 1 << 30 => base.plus(offset),
                _ => {
                    let step = self.number(step);
                    self.further(before, step)
                }
            },
            Lanes::Stride(stride) => self.further(before, stride),
        }
    }

    fn further(&mut self, place: Place, by: VReg) -> Place {
        self.plain(Place {
            index: Some((by, 1)),
            ..place
        })
    }

    /// The bits of a mask for lane-by-lane access.
    fn conditions(&mut self, kind: Kind, mask: Option<Val>) -> Option<VReg> {
        mask.map(|mask| self.mask_bits(mask, kind.with(Class::Mask)))
    }

    /// The place of a lane, or one elsewhere if its bit is not set.
    fn if_lane(&mut self, condition: Option<VReg>, lane: i32, place: Place) -> Place {
        match condition {
            Some(condition) => self.if_bits(condition, 1 << lane, place),
            None => place,
        }
    }

    /// Elements of 8 and 16 bits one by one, to lie as in memory.
    pub fn load_lanes(&mut self, raw: Kind, spread: &Spread) -> VReg {
        let (size, codes) = (spread.mem.size() as i32, &self.target.codes);
        let insert = codes.insert_narrow[usize::from(size == 2)];
        let base = self.lane_places(spread);
        let condition = self.conditions(raw, spread.mask);
        let zero = self.splat_const(Class::I32, 0);
        let mut quarters = SmallVec::<[VReg; 2]>::new();
        let mut at = base;
        for lane in 0..self.lanes(raw) as i32 {
            at = self.lane_place(base, at, spread, lane);
            let place = self.if_lane(condition, lane, at);
            let number = lane % (16 / size);
            if number == 0 {
                quarters.push(zero);
            }
            let result = self.vector();
            if let Some(last) = quarters.last_mut() {
                let before = std::mem::replace(last, result);
                let inst = Inst::new(insert).def(result, View::X);
                let inst = inst.read(before, View::X).memory(place);
                self.push(inst.imm8(number as u8));
            }
        }
        match (&quarters[..], codes.insert_quarter) {
            (&[low, high], Some(code)) => self.join_pair(code, low, high),
            (quarters, _) => quarters[0],
        }
    }

    /// Elements one by one.
    pub fn store_lanes(&mut self, raw: Kind, spread: &Spread, value: Val) {
        let base = self.lane_places(spread);
        self.spill(value, raw, ELEMENTS);
        let condition = self.conditions(raw, spread.mask);
        let (element, size) = match raw.is_wide() {
            true => (DType::I64, 8),
            false => (DType::I32, 4),
        };
        let mut at = base;
        for lane in 0..self.lanes(raw) as i32 {
            at = self.lane_place(base, at, spread, lane);
            let bits = self.load_general(element, Place::frame(ELEMENTS + size * lane));
            let place = self.if_lane(condition, lane, at);
            self.store_general(spread.mem, place, bits);
        }
    }
}
