//! Operations for which a machine has no instruction, as sequences of others.

use super::select::Selector;
use super::target::by;
use crate::CodegenError;
use crate::vector::{Bin, Class, Cmp};
use regalloc2::VReg;

impl Selector<'_> {
    /// All bits where the number is negative.
    fn signs(&mut self, class: Class, x: VReg) -> Result<VReg, CodegenError> {
        self.test_int(class, Cmp::Lt, x, (class, 0))
    }

    /// `x`, negated where it is negative.
    pub fn compose_abs(&mut self, class: Class, x: VReg) -> Result<VReg, CodegenError> {
        let [flip, subtract] = [self.code(Bin::Xor, class)?, self.code(Bin::Sub, class)?];
        let signs = self.signs(class, x)?;
        let flipped = self.binary_v(flip, x, signs);
        Ok(self.binary_v(subtract, flipped, signs))
    }

    /// The low 64 bits of products: of the low halves, and of each low half with the other's high one.
    pub fn compose_product(&mut self, x: VReg, y: VReg) -> Result<VReg, CodegenError> {
        let codes = &self.target.codes;
        let (multiply, up, down) = (
            codes.multiply_even,
            codes.shift_left[1],
            codes.shift_right[1],
        );
        let add = self.code(Bin::Add, Class::I64)?;
        let [x_high, y_high] = [x, y].map(|v| self.unary_imm(down, v, 32));
        let cross = [
            self.binary_v(multiply, x_high, y),
            self.binary_v(multiply, y_high, x),
        ];
        let cross = self.binary_v(add, cross[0], cross[1]);
        let cross = self.unary_imm(up, cross, 32);
        let low = self.binary_v(multiply, x, y);
        Ok(self.binary_v(add, low, cross))
    }

    /// A negative number is shifted as its complement.
    pub fn compose_signed_shift(&mut self, x: VReg, count: VReg) -> Result<VReg, CodegenError> {
        let class = Class::I64;
        let [flip, shift] = [self.code(Bin::Xor, class)?, self.code(Bin::ShrU, class)?];
        let signs = self.signs(class, x)?;
        let flipped = self.binary_v(flip, x, signs);
        let shifted = self.binary_v(shift, flipped, count);
        Ok(self.binary_v(flip, shifted, signs))
    }

    /// The larger or smaller of two 64-bit integers.
    pub fn compose_extremum(&mut self, f: Bin, x: VReg, y: VReg) -> Result<VReg, CodegenError> {
        let unsigned = matches!(f, Bin::MaxU | Bin::MinU);
        let less = if unsigned { Cmp::LtU } else { Cmp::Lt };
        let less = self.test_int(Class::I64, less, x, y)?;
        let (yes, no) = match f {
            Bin::Max | Bin::MaxU => (y, x),
            _ => (x, y),
        };
        Ok(self.blend(Class::I64, less, yes, no))
    }

    /// `x` times 2 to the power `y`, as the product with two powers of about half of `y`: the first product is exact.
    ///
    /// A float so large that its last bit counts ones holds in its low bits the sum of both powers' exponents, biased.
    /// Shifted up until nothing is left but its exponent field, each part of the sum is a power.
    pub fn compose_scale(&mut self, class: Class, x: VReg, y: VReg) -> Result<VReg, CodegenError> {
        let (mantissa, counter) = match class {
            Class::F32 => (23, u64::from((8_388_608f32 + 254.0).to_bits())),
            _ => (52, (4_503_599_627_370_496f64 + 2046.0).to_bits()),
        };
        let codes = &self.target.codes;
        let (up, down) = (codes.shift_left[by(class)], codes.shift_right[by(class)]);
        let [add, multiply] = [self.code(Bin::Add, class)?, self.code(Bin::Mul, class)?];
        let subtract = self.code(Bin::Sub, class.int())?;
        let sum = self.binary_v(add, y, (class, counter));
        let first = self.unary_imm(down, sum, 1);
        let second = self.binary_v(subtract, sum, first);
        let [first, second] = [first, second].map(|n| self.unary_imm(up, n, mantissa));
        let product = self.binary_v(multiply, x, first);
        Ok(self.binary_v(multiply, product, second))
    }
}
