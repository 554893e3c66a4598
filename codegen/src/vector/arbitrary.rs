//! Random valid functions, for tests that compare the interpreter with machine backends.
//!
//! A program is built from a list of [`Step`]s; every list is valid, so that dropping and simplifying steps
//! shrinks a program. Results that the vector IR leaves open are avoided: bits of NaN are never looked
//! at, divisors are odd, and no store meets another one.

use super::interp::{Arguments, FaultRecord, RunError, run};
use super::{
    Bin, Builder, Class, Cmp, Conv, Function, MemAccess, Narrow, Reg, Scalar, Un, VarId, eval,
};
use lazulite_ir::DType;
use proptest::prelude::*;
use std::fmt;

/// Real element types: all that memory may hold.
const TYPES: &[DType] = DType::ALL.split_at(13).0;
const CLASSES: [Class; 5] = [Class::F32, Class::F64, Class::I32, Class::I64, Class::Mask];
/// Elements of each type in the input.
const ELEMENTS: usize = 64;
/// Bytes of each type's part of the input, and of each part of the output.
const PART: usize = ELEMENTS * 8;

/// The boxes that programs run on.
pub const BOUNDS: [(i64, i64); 2] = [(0, 5), (2, 3)];

/// One decision: what to do, to which operands.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    what: u8,
    operands: [u16; 3],
    bits: u64,
}

/// Where a register was stored: compared as numbers of this type.
#[derive(Clone, Copy, Debug)]
struct Slot {
    dtype: DType,
    lanes: usize,
    offset: usize,
}

/// A function with arguments.
pub struct Program {
    /// Reads buffer 0, the sizes and [`BOUNDS`], writes buffer 1.
    pub function: Function,
    /// Buffer 0.
    pub input: Vec<u8>,
    /// The sizes.
    pub sizes: Vec<i64>,
    /// Bytes of buffer 1, zero before the run.
    pub output: usize,
    slots: Vec<Slot>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sizes {:?}\n{}", self.sizes, self.function)
    }
}

impl Program {
    /// The output and the fault, by the interpreter.
    pub fn interpret(&self) -> Result<(Vec<u8>, Option<FaultRecord>), RunError> {
        let mut input = self.input.clone();
        let mut output = vec![0; self.output];
        let arguments = Arguments {
            buffers: vec![&mut input, &mut output],
            sizes: &self.sizes,
            bounds: &BOUNDS,
        };
        let fault = run(&self.function, arguments)?;
        Ok((output, fault))
    }

    /// The first place where two outputs differ, NaN being equal to NaN.
    pub fn difference(&self, a: &[u8], b: &[u8]) -> Option<String> {
        self.slots.iter().find_map(|slot| {
            let size = slot.dtype.size();
            (0..slot.lanes).find_map(|lane| {
                let at = slot.offset + lane * size;
                let (x, y) = (&a[at..at + size], &b[at..at + size]);
                let same = x == y || is_nan(slot.dtype, x) && is_nan(slot.dtype, y);
                (!same)
                    .then(|| format!("lane {lane} at byte {at} as {}: {x:x?}, {y:x?}", slot.dtype))
            })
        })
    }
}

fn is_nan(dtype: DType, bytes: &[u8]) -> bool {
    match dtype {
        DType::F32 => bytes
            .try_into()
            .is_ok_and(|b| f32::from_le_bytes(b).is_nan()),
        DType::F64 => bytes
            .try_into()
            .is_ok_and(|b| f64::from_le_bytes(b).is_nan()),
        _ => false,
    }
}

/// Programs of the given lanes.
pub fn programs(lanes: u32) -> impl Strategy<Value = Program> {
    let step = (any::<u8>(), any::<[u16; 3]>(), any::<u64>());
    let step = step.prop_map(|(what, operands, bits)| Step {
        what,
        operands,
        bits,
    });
    let sizes = prop::collection::vec(-3i64..9, 3);
    (any::<u64>(), prop::collection::vec(step, 1..60), sizes)
        .prop_map(move |(seed, steps, sizes)| program(lanes, seed, &steps, sizes))
}

/// The program that a list of steps means.
pub fn program(lanes: u32, seed: u64, steps: &[Step], sizes: Vec<i64>) -> Program {
    let mut maker = Maker::new(lanes);
    maker.load_inputs();
    let mut left = steps;
    while !left.is_empty() {
        left = maker.block(left);
    }
    maker.store_all();
    Program {
        function: maker.b.finish(),
        input: input(seed),
        sizes,
        output: maker.output,
        slots: maker.slots,
    }
}

/// Numbers of every kind: small, large, special.
fn input(seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::with_capacity(TYPES.len() * PART);
    for &dtype in TYPES {
        let mut part = Vec::with_capacity(PART);
        while part.len() < PART {
            let bits = next();
            let small = (bits >> 8) as i64 % 100;
            let value = match (dtype, bits % 4) {
                (DType::Bool, _) => bits >> 8 & 1,
                (DType::F32, 1 | 2) => u64::from((small as f32 / 4.0).to_bits()),
                (DType::F64, 1 | 2) => (small as f64 / 4.0).to_bits(),
                (DType::F16, 1 | 2) => u64::from(half::f16::from_f64(small as f64 / 4.0).to_bits()),
                (DType::BF16, 1 | 2) => {
                    u64::from(half::bf16::from_f64(small as f64 / 4.0).to_bits())
                }
                (_, 0) => bits.rotate_right(8),
                (_, 3) => [
                    0,
                    u64::MAX,
                    1 << 63,
                    1 << 31,
                    0x7f80_0000,
                    0x8000_0000_8000_8080,
                ][(bits >> 8) as usize % 6],
                (_, _) => small as u64,
            };
            part.extend_from_slice(&value.to_le_bytes()[..dtype.size()]);
        }
        bytes.extend(part);
    }
    bytes
}

/// Builds a program. Registers made inside a block are forgotten at its end.
struct Maker {
    b: Builder,
    regs: Vec<Reg>,
    scalars: Vec<Scalar>,
    vars: Vec<VarId>,
    slots: Vec<Slot>,
    output: usize,
    depth: u32,
}

impl Maker {
    fn new(lanes: u32) -> Maker {
        Maker {
            b: Builder::new(lanes),
            regs: Vec::new(),
            scalars: Vec::new(),
            vars: Vec::new(),
            slots: Vec::new(),
            output: 0,
            depth: 0,
        }
    }

    /// A register of each class and width, a variable of each, a few scalars.
    fn load_inputs(&mut self) {
        let lanes = self.b.lanes();
        for (i, &dtype) in TYPES.iter().enumerate() {
            let base = self.b.buffer(0);
            let offset = self.b.s_const((i * PART) as i64);
            let address = self.b.s_add(base, offset);
            for lanes in [lanes, 1] {
                let x = self
                    .b
                    .load(dtype, lanes, address, MemAccess::Contiguous, None);
                self.regs.push(x);
            }
        }
        for class in CLASSES {
            for lanes in [lanes, 1] {
                let var = self.b.var(class, lanes);
                let start = self.operand(0, (class, lanes));
                self.b.set(var, start);
                self.vars.push(var);
            }
        }
        let scalars = [
            self.b.size(0),
            self.b.size(1),
            self.b.size(2),
            self.b.box_from(1),
            self.b.box_to(0),
            self.b.s_const(2),
        ];
        self.scalars.extend(scalars);
    }

    /// The latest registers, each in a part of the output of its own.
    fn store_all(&mut self) {
        let regs: Vec<Reg> = self.regs.iter().rev().take(40).copied().collect();
        let vars = self.vars.clone();
        let vars = vars.into_iter().map(|var| self.b.get(var));
        let all: Vec<Reg> = vars.chain(regs).collect();
        for x in all {
            self.store(x, 0);
        }
    }

    fn store(&mut self, x: Reg, kind: u64) {
        let (class, lanes) = self.b.shape(x);
        let dtype = match class {
            Class::F32 => DType::F32,
            Class::F64 => DType::F64,
            Class::I32 => [DType::I32, DType::U16, DType::I8][kind as usize % 3],
            Class::I64 => DType::I64,
            Class::Mask => DType::Bool,
        };
        let base = self.b.buffer(1);
        let offset = self.b.s_const(self.output as i64);
        let address = self.b.s_add(base, offset);
        let (access, mask) = match kind % 4 {
            1 => {
                let stride = self.b.s_const(dtype.size() as i64);
                (MemAccess::Strided(stride), None)
            }
            2 => {
                let last = self.b.s_const(i64::from(lanes) - 1);
                let index = self.b.ramp(Class::I64, lanes, last, -1);
                (MemAccess::Indexed(index), None)
            }
            3 => {
                let mask = self.operand(kind as u16, (Class::Mask, lanes));
                (MemAccess::Contiguous, Some(mask))
            }
            _ => (MemAccess::Contiguous, None),
        };
        // Whole vectors only; outputs begin at multiples of a vector's size.
        let is_whole = (access, mask) == (MemAccess::Contiguous, None) && lanes > 1;
        let streamed = is_whole && matches!(dtype.size(), 4 | 8) && kind.is_multiple_of(8);
        self.b.store(dtype, address, access, x, mask, streamed);
        self.slots.push(Slot {
            dtype,
            lanes: lanes as usize,
            offset: self.output,
        });
        self.output += PART;
    }

    /// One of the registers of this shape; there always is one.
    fn operand(&mut self, choice: u16, shape: (Class, u32)) -> Reg {
        let fitting = self.regs.iter().filter(|&&x| self.b.shape(x) == shape);
        let fitting: Vec<Reg> = fitting.copied().collect();
        fitting[fitting.len() - 1 - usize::from(choice) % fitting.len()]
    }

    /// The same, with zero for NaN, so that its bits are defined.
    fn ordered(&mut self, choice: u16, shape: (Class, u32)) -> Reg {
        let x = self.operand(choice, shape);
        if !shape.0.is_float() {
            return x;
        }
        let ordered = self.b.eq(x, x);
        let zero = self.b.float_like(x, 0.0);
        self.b.select(ordered, x, zero)
    }

    fn scalar(&self, choice: u16) -> Scalar {
        self.scalars[self.scalars.len() - 1 - usize::from(choice) % self.scalars.len()]
    }

    /// Runs steps until the block ends; gives the steps left.
    fn block<'a>(&mut self, mut steps: &'a [Step]) -> &'a [Step] {
        let (regs, scalars) = (self.regs.len(), self.scalars.len());
        while let Some((&step, rest)) = steps.split_first() {
            steps = rest;
            match step.what % 32 {
                0 if self.depth > 0 => break,
                1 if self.depth < 3 => steps = self.nested(step, steps),
                _ => self.step(step),
            }
        }
        if self.depth > 0 {
            self.regs.truncate(regs);
            self.scalars.truncate(scalars);
        }
        steps
    }

    /// A loop or a condition around the following steps.
    fn nested<'a>(&mut self, step: Step, steps: &'a [Step]) -> &'a [Step] {
        let lanes = self.lanes(step);
        let outer = self.scalars.len();
        self.depth += 1;
        let left;
        match step.bits % 3 {
            0 => {
                // A few rounds from anywhere near zero.
                let near = self.b.s_const(16);
                let from = self.scalar(step.operands[0]);
                let from = self.b.s_mod(from, near);
                let length = self.b.s_const((step.bits >> 8) as i64 % 4);
                let to = self.b.s_add(from, length);
                let counter = self.b.open_loop(from, to, 1 + (step.bits >> 16) as i64 % 2);
                self.scalars.push(counter);
                left = self.block(steps);
                self.scalars.truncate(outer);
                let after = self.b.close_loop();
                self.scalars.push(after);
            }
            1 => {
                let condition = self.scalar(step.operands[0]);
                self.b.open_if_nonzero(condition);
                left = self.block(steps);
                self.b.close_if();
            }
            _ => {
                let mask = self.operand(step.operands[0], (Class::Mask, lanes));
                self.b.open_if_any(mask);
                left = self.block(steps);
                self.b.close_if();
            }
        }
        self.depth -= 1;
        left
    }

    /// Full or one.
    fn lanes(&self, step: Step) -> u32 {
        if step.bits >> 63 == 0 {
            self.b.lanes()
        } else {
            1
        }
    }

    /// Adds one statement and what it needs.
    fn step(&mut self, step: Step) {
        let [p, q, r] = step.operands;
        let lanes = self.lanes(step);
        let class = CLASSES[step.bits as usize % 5];
        let shape = (class, lanes);
        let float = [Class::F32, Class::F64][usize::from(r) % 2];
        let int = [Class::I32, Class::I64][usize::from(r) % 2];
        let made = match step.what % 32 {
            2..=4 => self.unary(step, shape),
            5..=12 => self.binary(step, shape),
            13 | 14 => {
                let shape = (float, lanes);
                let [a, b, c] = [p, q, r].map(|choice| self.operand(choice, shape));
                self.b.fma(a, b, c)
            }
            15 | 16 => self.comparison(step, shape),
            17 => {
                let mask = self.operand(p, (Class::Mask, lanes));
                let (a, b) = (self.operand(q, shape), self.operand(r, shape));
                self.b.select(mask, a, b)
            }
            18..=20 => self.conversion(step, lanes),
            21 => {
                let full = (class, self.b.lanes());
                let op = pick(BINARIES, p, |&op| eval::horizontal(op, class).is_some());
                let x = self.ordered(q, full);
                self.b.horizontal(op, x)
            }
            22 => {
                let x = self.operand(p, (class, 1));
                self.b.splat_lane(x)
            }
            23 => self.constant(step, shape),
            24 => {
                let scalar = self.scalar(p);
                match q % 2 {
                    0 => self.b.splat(int, lanes, scalar),
                    _ => self
                        .b
                        .ramp(int, lanes, scalar, (step.bits >> 8) as i64 % 9 - 4),
                }
            }
            25 => {
                let var = self.vars[usize::from(p) % self.vars.len()];
                self.b.get(var)
            }
            26 | 27 => self.load(step, lanes),
            other => return self.effect(other, step, shape),
        };
        self.regs.push(made);
    }

    /// Statements that define no register.
    fn effect(&mut self, what: u8, step: Step, shape: (Class, u32)) {
        let [p, q, r] = step.operands;
        match what {
            28 => {
                let var = self.vars[usize::from(p) % self.vars.len()];
                let like = self.b.get(var);
                let shape = self.b.shape(like);
                let value = self.operand(q, shape);
                self.b.set(var, value);
            }
            29 => {
                let x = self.operand(p, shape);
                self.store(x, step.bits >> 8);
            }
            30 if step.bits.is_multiple_of(4) => {
                let mask = self.operand(p, (Class::Mask, shape.1));
                let value = self.operand(q, (Class::I64, shape.1));
                let bound = self.scalar(r);
                self.b.fault(mask, u32::from(r % 5), value, bound);
            }
            _ => self.scalar_step(step),
        }
    }

    fn scalar_step(&mut self, step: Step) {
        let [p, q, _] = step.operands;
        let (x, y) = (self.scalar(p), self.scalar(q));
        let one = self.b.s_const(1);
        let divisor = self.b.s_max(y, one);
        let made = match step.bits % 9 {
            0 => self.b.s_add(x, y),
            1 => self.b.s_sub(x, y),
            2 => self.b.s_mul(x, y),
            3 => self.b.s_floor_div(x, divisor),
            4 => self.b.s_mod(x, divisor),
            5 => self.b.s_min(x, y),
            6 => self.b.s_max(x, y),
            7 => self.b.s_less(x, y),
            _ => {
                let lane = self.operand(p, (Class::I64, 1));
                self.b.lane(lane)
            }
        };
        self.scalars.push(made);
    }

    fn unary(&mut self, step: Step, (class, lanes): (Class, u32)) -> Reg {
        let x = self.operand(step.operands[0], (class, lanes));
        let op = pick(UNARIES, step.operands[1], |&op| {
            eval::unary(op, class).is_some()
        });
        self.b.unary(op, x)
    }

    fn binary(&mut self, step: Step, shape: (Class, u32)) -> Reg {
        let [p, q, r] = step.operands;
        let class = shape.0;
        let op = pick(BINARIES, r, |&op| eval::binary(op, class).is_some());
        let divides = matches!(op, Bin::Div | Bin::DivU | Bin::Rem | Bin::RemU);
        let bitwise = matches!(op, Bin::And | Bin::Or | Bin::Xor);
        let (a, b) = if bitwise {
            (self.ordered(p, shape), self.ordered(q, shape))
        } else {
            (self.operand(p, shape), self.operand(q, shape))
        };
        if divides && class.is_int() {
            let one = self.b.int_like(b, 1);
            let odd = self.b.or(b, one);
            return self.b.binary(op, a, odd);
        }
        self.b.binary(op, a, b)
    }

    fn comparison(&mut self, step: Step, (class, lanes): (Class, u32)) -> Reg {
        let [p, q, r] = step.operands;
        let class = if class == Class::Mask {
            Class::I32
        } else {
            class
        };
        let op = pick(COMPARISONS, r, |&op| eval::compare(op, class).is_some());
        let (a, b) = (
            self.operand(p, (class, lanes)),
            self.operand(q, (class, lanes)),
        );
        self.b.compare(op, a, b)
    }

    fn conversion(&mut self, step: Step, lanes: u32) -> Reg {
        let [p, q, _] = step.operands;
        let pairs = CLASSES
            .into_iter()
            .flat_map(|from| CLASSES.map(|to| (from, to)));
        let all: Vec<(Conv, Class, Class)> = CONVERSIONS
            .iter()
            .flat_map(|&conv| pairs.clone().map(move |(from, to)| (conv, from, to)))
            .collect();
        let (conv, from, to) = pick(&all, q, |&(conv, from, to)| {
            eval::convert(conv, from, to).is_some()
        });
        let x = match conv {
            Conv::Bits => self.ordered(p, (from, lanes)),
            _ => self.operand(p, (from, lanes)),
        };
        self.b.convert(conv, to, x)
    }

    fn constant(&mut self, step: Step, (class, lanes): (Class, u32)) -> Reg {
        let special = [
            0,
            1,
            u64::MAX,
            1 << 63,
            1 << 31,
            0x7f80_0000,
            0x7ff0 << 48,
            0x3f80_0000,
        ];
        let bits = match step.operands[0] % 2 {
            0 => step.bits,
            _ => special[usize::from(step.operands[1]) % special.len()],
        };
        self.b.const_bits(class, lanes, bits)
    }

    fn load(&mut self, step: Step, lanes: u32) -> Reg {
        let [p, q, r] = step.operands;
        let number = usize::from(p) % TYPES.len();
        let dtype = TYPES[number];
        let first = i64::from(q % 16) + 16;
        let base = self.b.buffer(0);
        let offset = (number * PART) as i64 + first * dtype.size() as i64;
        let offset = self.b.s_const(offset);
        let address = self.b.s_add(base, offset);
        let access = match r % 4 {
            0 => MemAccess::Contiguous,
            1 => MemAccess::Broadcast,
            2 => {
                let stride = [-1, 0, 1, 2][usize::from(r / 4) % 4] * dtype.size() as i64;
                MemAccess::Strided(self.b.s_const(stride))
            }
            _ => {
                let index = self.operand(r / 4, (Class::I64, lanes));
                let most = self.b.int_like(index, 15);
                MemAccess::Indexed(self.b.and(index, most))
            }
        };
        let mask = self.operand(r / 16, (Class::Mask, lanes));
        let mask = (step.bits >> 20 & 1 == 1).then_some(mask);
        self.b.load(dtype, lanes, address, access, mask)
    }
}

/// One of the members that fit; there always is one.
fn pick<T: Copy>(all: &[T], choice: u16, fits: impl Fn(&T) -> bool) -> T {
    let fitting: Vec<T> = all.iter().filter(|x| fits(x)).copied().collect();
    fitting[usize::from(choice) % fitting.len()]
}

const UNARIES: &[Un] = &[
    Un::Neg,
    Un::Abs,
    Un::Floor,
    Un::Round,
    Un::Trunc,
    Un::Sqrt,
    Un::Not,
    Un::Wrap(Narrow::U8),
    Un::Wrap(Narrow::U16),
    Un::Wrap(Narrow::I8),
    Un::Wrap(Narrow::I16),
    Un::RoundF16,
    Un::RoundBF16,
    Un::SixteenthPower,
];

const BINARIES: &[Bin] = &[
    Bin::Add,
    Bin::Sub,
    Bin::Mul,
    Bin::MulHighU,
    Bin::Div,
    Bin::DivU,
    Bin::Rem,
    Bin::RemU,
    Bin::Max,
    Bin::Min,
    Bin::MaxNan,
    Bin::MinNan,
    Bin::MaxU,
    Bin::MinU,
    Bin::And,
    Bin::Or,
    Bin::Xor,
    Bin::Shl,
    Bin::ShrU,
    Bin::ShrS,
];

const COMPARISONS: &[Cmp] = &[Cmp::Eq, Cmp::Ne, Cmp::Lt, Cmp::Le, Cmp::LtU, Cmp::LeU];

const CONVERSIONS: &[Conv] = &[
    Conv::Float,
    Conv::FromInt,
    Conv::FromUint,
    Conv::ToInt,
    Conv::Int,
    Conv::Uint,
    Conv::Bits,
    Conv::FromMask,
    Conv::SpreadMask,
];

#[cfg(test)]
mod tests {
    use super::*;

    proptest! {
        #[test]
        fn arbitrary_programs_verify_and_run_alike(
            program in prop_oneof![programs(1), programs(4), programs(16)],
        ) {
            let (output, fault) = program.interpret().expect("a valid program runs");
            let (again, fault_again) = program.interpret().expect("a valid program runs");
            prop_assert_eq!(program.difference(&output, &again), None);
            prop_assert_eq!(fault, fault_again);
            prop_assert!(!program.function.to_string().is_empty());
        }
    }
}
