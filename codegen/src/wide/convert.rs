//! Changes of class, and half floats.

use super::machine::{Inst, View};
use super::ops::{float_compare, no_such};
use super::select::Selector;
use super::value::{Kind, Val};
use crate::CodegenError;
use crate::vector::{Class, Conv};
use iced_x86::Code::{self, *};
use regalloc2::VReg;

impl Selector<'_> {
    /// A vector from the lower half of another one, lanes twice as wide.
    pub fn widen(&mut self, code: Code, half: VReg) -> VReg {
        let result = self.vector();
        self.push(Inst::new(code).def(result, View::Z).read(half, View::Y));
        result
    }

    /// The lower half of a vector from another one, lanes half as wide.
    pub fn narrow(&mut self, code: Code, v: VReg) -> VReg {
        let result = self.vector();
        self.push(Inst::new(code).def(result, View::Y).read(v, View::Z));
        result
    }

    /// Lanes of 32 bits to lanes of 64.
    fn widen_all(&mut self, to: Kind, code: Code, v: VReg) -> Val {
        let low = self.widen(code, v);
        if !to.full {
            return Val::One(low);
        }
        let upper = self.upper_half(v);
        Val::Two([low, self.widen(code, upper)])
    }

    /// Lanes of 64 bits to lanes of 32; for `vpmovqd`, the order of whose operands is different, too.
    fn narrow_all(&mut self, code: Code, v: Val) -> Val {
        let narrow = v.map(|part| self.narrow(code, part));
        match narrow {
            Val::One(v) => Val::One(v),
            Val::Two([low, high]) => Val::One(self.join_halves(low, high)),
        }
    }

    /// `f` of a register.
    pub fn convert(&mut self, to: Kind, from: Kind, f: Conv, a: Val) -> Result<Val, CodegenError> {
        use Class::{F32, F64, I32, I64, Mask};
        let v = a.first();
        Ok(match (f, from.class, to.class) {
            (Conv::Float, F32, F64) => self.widen_all(to, EVEX_Vcvtps2pd_zmm_k1z_ymmm256b32_sae, v),
            (Conv::Float, F64, F32) => self.narrow_all(EVEX_Vcvtpd2ps_ymm_k1z_zmmm512b64_er, a),
            (Conv::FromInt, I32, F32) => {
                Val::One(self.unary_z(EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er, v))
            }
            (Conv::FromInt, I32, F64) => {
                self.widen_all(to, EVEX_Vcvtdq2pd_zmm_k1z_ymmm256b32_er, v)
            }
            (Conv::FromInt, I64, F32) => self.narrow_all(EVEX_Vcvtqq2ps_ymm_k1z_zmmm512b64_er, a),
            (Conv::FromInt, I64, F64) => {
                a.map(|x| self.unary_z(EVEX_Vcvtqq2pd_zmm_k1z_zmmm512b64_er, x))
            }
            (Conv::FromUint, I32, F32) => {
                Val::One(self.unary_z(EVEX_Vcvtudq2ps_zmm_k1z_zmmm512b32_er, v))
            }
            (Conv::FromUint, I32, F64) => {
                self.widen_all(to, EVEX_Vcvtudq2pd_zmm_k1z_ymmm256b32_er, v)
            }
            (Conv::FromUint, I64, F32) => self.narrow_all(EVEX_Vcvtuqq2ps_ymm_k1z_zmmm512b64_er, a),
            (Conv::FromUint, I64, F64) => {
                a.map(|x| self.unary_z(EVEX_Vcvtuqq2pd_zmm_k1z_zmmm512b64_er, x))
            }
            (Conv::ToInt, F32 | F64, I32 | I64) => self.truncate(to, from, a),
            (Conv::Int, I32, I64) => self.widen_all(to, EVEX_Vpmovsxdq_zmm_k1z_ymmm256, v),
            (Conv::Int, I64, I32) => self.narrow_all(EVEX_Vpmovqd_ymmm256_k1z_zmm, a),
            (Conv::Uint, I32, I64) => self.widen_all(to, EVEX_Vpmovzxdq_zmm_k1z_ymmm256, v),
            (Conv::Bits, F32 | I32, F32 | I32) | (Conv::Bits, F64 | I64, F64 | I64) => a,
            (Conv::FromMask, Mask, F32 | F64 | I32 | I64) => {
                let one = match to.class {
                    F32 => 1f32.to_bits().into(),
                    F64 => 1f64.to_bits(),
                    I32 | I64 | Mask => 1,
                };
                self.choose_const(to, v, one)
            }
            (Conv::SpreadMask, Mask, I32 | I64) => self.choose_const(to, v, u64::MAX),
            _ => return Err(no_such(f, from.class)),
        })
    }

    /// A constant where the mask is set, else zero.
    fn choose_const(&mut self, kind: Kind, mask: VReg, bits: u64) -> Val {
        let load = match kind.is_wide() {
            true => EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
            false => EVEX_Vbroadcastss_zmm_k1z_xmmm32,
        };
        let parts: smallvec::SmallVec<[VReg; 2]> = (0..kind.parts())
            .map(|i| {
                let mask = self.mask_part(mask, i);
                let mut place = self.everywhere(kind.class, bits);
                place.broadcast = false;
                let result = self.vector();
                let inst = Inst::new(load).def(result, View::Z).memory(place);
                self.push(inst.zeroing(mask));
                result
            })
            .collect();
        Val::from_parts(&parts)
    }

    /// Truncation that saturates. The instructions give the least integer for what does not fit and for
    /// NaN.
    fn truncate(&mut self, to: Kind, from: Kind, a: Val) -> Val {
        let least = match (from.class, to.class) {
            (Class::F32, Class::I32) => {
                Val::One(self.unary_z(EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae, a.first()))
            }
            (Class::F32, _) => {
                self.widen_all(to, EVEX_Vcvttps2qq_zmm_k1z_ymmm256b32_sae, a.first())
            }
            (_, Class::I32) => self.narrow_all(EVEX_Vcvttpd2dq_ymm_k1z_zmmm512b64_sae, a),
            (_, _) => a.map(|x| self.unary_z(EVEX_Vcvttpd2qq_zmm_k1z_zmmm512b64_sae, x)),
        };
        let limit = 2f64.powi(to.class.bits() as i32 - 1);
        let (compare, limit) = match from.is_wide() {
            true => (EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae, limit.to_bits()),
            false => (
                EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae,
                u64::from((limit as f32).to_bits()),
            ),
        };
        let mut masks = [false, true].map(|nan| {
            let parts: smallvec::SmallVec<[VReg; 2]> = { a.parts().iter() }
                .map(|&x| match nan {
                    true => self.compare_z(compare, x, x, float_compare::UNORDERED),
                    false => self.compare_const(compare, x, from.class, limit, float_compare::GE),
                })
                .collect();
            self.join_masks(&parts)
        });
        let greatest = match to.class {
            Class::I32 => i32::MAX as u64,
            _ => i64::MAX as u64,
        };
        let mut result = least;
        for (mask, bits) in masks.iter_mut().zip([greatest, 0]) {
            let parts: smallvec::SmallVec<[VReg; 2]> = (0..to.parts())
                .map(|i| {
                    let mask = self.mask_part(*mask, i);
                    let other = self.splat_const(to.class, bits);
                    self.blend(to.is_wide(), mask, other, result.parts()[i])
                })
                .collect();
            result = Val::from_parts(&parts);
        }
        result
    }

    /// f32 as f16 in the lower half.
    pub fn narrow_f16(&mut self, v: VReg) -> VReg {
        let result = self.vector();
        let inst = Inst::new(EVEX_Vcvtps2ph_ymmm256_k1z_zmm_imm8_sae).def(result, View::Y);
        self.push(inst.read(v, View::Z).imm8(0));
        result
    }

    /// f16 in the lower half as f32.
    pub fn widen_f16(&mut self, half: VReg) -> VReg {
        self.widen(EVEX_Vcvtph2ps_zmm_k1z_ymmm256_sae, half)
    }

    /// f32 rounded to bf16, in the lower halves of 32-bit lanes. (The instruction for this takes small numbers for
    /// zero.)
    pub fn narrow_bf16(&mut self, v: VReg) -> VReg {
        let (class, down) = (Class::I32, EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8);
        let upper = self.unary_imm(down, v, 16);
        let odd = self.binary_const(EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32, upper, class, 1);
        let biased = self.binary_const(EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32, v, class, 0x7fff);
        let rounded = self.binary_z(EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32, biased, odd);
        let rounded = self.unary_imm(down, rounded, 16);
        let nan = self.binary_const(EVEX_Vpord_zmm_k1z_zmm_zmmm512b32, upper, class, 0x40);
        let is_nan = self.compare_z(
            EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae,
            v,
            v,
            float_compare::UNORDERED,
        );
        self.blend(false, is_nan, nan, rounded)
    }

    /// bf16 in the lower halves of 32-bit lanes as f32.
    pub fn widen_bf16(&mut self, half: VReg) -> VReg {
        self.unary_imm(EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8, half, 16)
    }
}
