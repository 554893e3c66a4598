//! Machines with AVX2, FMA and F16C: 16 registers of 256 bits, truth values in their lanes. What 64-bit lanes
//! lack is composed by the sequences of `compose` and `convert`. Tables have a line per entry.

use super::machine::View;
use super::target::{Binary, Codes, Conversion, Masks, Target, both, narrow, registers};
use crate::backend::Caps;
use crate::vector::{Bin, Class, Conv};
use iced_x86::Code::*;
use std::sync::LazyLock;

pub(super) static AVX2: Target = Target {
    name: "avx2",
    caps: Caps {
        vector_bytes: 32,
        registers: 16,
        masks: true,
        non_temporal: true,
        fma: true,
        tables: false,
    },
    full: View::Y,
    half: View::X,
    masks: Masks::Lanes,
    broadcasts: false,
    spare: 2,
    crowd: 16,
    // None is kept for moves: the allocator finds one where it must.
    registers: LazyLock::new(|| registers(16, None, Masks::Lanes)),
    codes: Codes {
        copy: VEX_Vmovaps_ymm_ymmm256,
        load: [VEX_Vmovups_ymm_ymmm256, VEX_Vmovupd_ymm_ymmm256],
        store: [VEX_Vmovups_ymmm256_ymm, VEX_Vmovupd_ymmm256_ymm],
        stream: VEX_Vmovntps_m256_ymm,
        broadcast: [VEX_Vbroadcastss_ymm_m32, VEX_Vbroadcastsd_ymm_m64],
        splat: [VEX_Vbroadcastss_ymm_xmm, VEX_Vbroadcastsd_ymm_xmm],
        load_lane: [VEX_Vmovss_xmm_m32, VEX_Vmovsd_xmm_m64],
        store_lane: [VEX_Vmovss_m32_xmm, VEX_Vmovsd_m64_xmm],
        from_general: [VEX_Vmovd_xmm_rm32, VEX_Vmovq_xmm_rm64],
        to_general: [VEX_Vmovd_rm32_xmm, VEX_Vmovq_rm64_xmm],
        splat_general: [None; 2],
        extract_half: VEX_Vextractf128_xmmm128_ymm_imm8,
        insert_half: VEX_Vinsertf128_ymm_ymm_xmmm128_imm8,
        extract_quarter: None,
        insert_quarter: None,
        shuffle: VEX_Vpshufd_ymm_ymmm256_imm8,
        permute: VEX_Vpermps_ymm_ymm_ymmm256,
        floats: FLOATS,
        ints: INTS,
        product_plus: [
            VEX_Vfmadd213ps_ymm_ymm_ymmm256,
            VEX_Vfmadd213pd_ymm_ymm_ymmm256,
        ],
        sum_plus: [
            VEX_Vfmadd231ps_ymm_ymm_ymmm256,
            VEX_Vfmadd231pd_ymm_ymm_ymmm256,
        ],
        factor_times: [
            VEX_Vfmadd132ps_ymm_ymm_ymmm256,
            VEX_Vfmadd132pd_ymm_ymm_ymmm256,
        ],
        round: [VEX_Vroundps_ymm_ymmm256_imm8, VEX_Vroundpd_ymm_ymmm256_imm8],
        sqrt: [VEX_Vsqrtps_ymm_ymmm256, VEX_Vsqrtpd_ymm_ymmm256],
        abs: narrow(VEX_Vpabsd_ymm_ymmm256),
        shift_left: [VEX_Vpslld_ymm_ymm_imm8, VEX_Vpsllq_ymm_ymm_imm8],
        shift_right: [VEX_Vpsrld_ymm_ymm_imm8, VEX_Vpsrlq_ymm_ymm_imm8],
        shift_right_signed: VEX_Vpsrad_ymm_ymm_imm8,
        multiply_even: VEX_Vpmuludq_ymm_ymm_ymmm256,
        compare_float: [
            VEX_Vcmpps_ymm_ymm_ymmm256_imm8,
            VEX_Vcmppd_ymm_ymm_ymmm256_imm8,
        ],
        conversions: CONVERSIONS,
        truncate_unsigned: None,
        half_to_float: VEX_Vcvtph2ps_ymm_xmmm128,
        float_to_half: VEX_Vcvtps2ph_xmmm128_ymm_imm8,
        extend_zero: [VEX_Vpmovzxbd_ymm_xmmm64, VEX_Vpmovzxwd_ymm_xmmm128],
        extend_sign: [VEX_Vpmovsxbd_ymm_xmmm64, VEX_Vpmovsxwd_ymm_xmmm128],
        shorten: None,
        load_narrow: None,
        insert: [VEX_Vinsertps_xmm_xmm_xmmm32_imm8, VEX_Vmovhpd_xmm_xmm_m64],
        insert_narrow: [
            VEX_Vpinsrb_xmm_xmm_r32m8_imm8,
            VEX_Vpinsrw_xmm_xmm_r32m16_imm8,
        ],
        gather: [
            VEX_Vgatherdps_ymm_vm32y_ymm,
            VEX_Vgatherqps_xmm_vm64y_xmm,
            VEX_Vgatherqpd_ymm_vm64y_ymm,
        ],
        scatter: None,
    },
};

#[rustfmt::skip]
const FLOATS: &[Binary] = &[
    (Bin::Add, both(VEX_Vaddps_ymm_ymm_ymmm256, VEX_Vaddpd_ymm_ymm_ymmm256)),
    (Bin::Sub, both(VEX_Vsubps_ymm_ymm_ymmm256, VEX_Vsubpd_ymm_ymm_ymmm256)),
    (Bin::Mul, both(VEX_Vmulps_ymm_ymm_ymmm256, VEX_Vmulpd_ymm_ymm_ymmm256)),
    (Bin::Div, both(VEX_Vdivps_ymm_ymm_ymmm256, VEX_Vdivpd_ymm_ymm_ymmm256)),
    (Bin::Max, both(VEX_Vmaxps_ymm_ymm_ymmm256, VEX_Vmaxpd_ymm_ymm_ymmm256)),
    (Bin::Min, both(VEX_Vminps_ymm_ymm_ymmm256, VEX_Vminpd_ymm_ymm_ymmm256)),
    (Bin::And, both(VEX_Vandps_ymm_ymm_ymmm256, VEX_Vandpd_ymm_ymm_ymmm256)),
    (Bin::Or, both(VEX_Vorps_ymm_ymm_ymmm256, VEX_Vorpd_ymm_ymm_ymmm256)),
    (Bin::Xor, both(VEX_Vxorps_ymm_ymm_ymmm256, VEX_Vxorpd_ymm_ymm_ymmm256)),
];

#[rustfmt::skip]
const INTS: &[Binary] = &[
    (Bin::And, both(VEX_Vpand_ymm_ymm_ymmm256, VEX_Vpand_ymm_ymm_ymmm256)),
    (Bin::Or, both(VEX_Vpor_ymm_ymm_ymmm256, VEX_Vpor_ymm_ymm_ymmm256)),
    (Bin::Xor, both(VEX_Vpxor_ymm_ymm_ymmm256, VEX_Vpxor_ymm_ymm_ymmm256)),
    (Bin::Add, both(VEX_Vpaddd_ymm_ymm_ymmm256, VEX_Vpaddq_ymm_ymm_ymmm256)),
    (Bin::Sub, both(VEX_Vpsubd_ymm_ymm_ymmm256, VEX_Vpsubq_ymm_ymm_ymmm256)),
    (Bin::Mul, narrow(VEX_Vpmulld_ymm_ymm_ymmm256)),
    (Bin::Max, narrow(VEX_Vpmaxsd_ymm_ymm_ymmm256)),
    (Bin::Min, narrow(VEX_Vpminsd_ymm_ymm_ymmm256)),
    (Bin::MaxU, narrow(VEX_Vpmaxud_ymm_ymm_ymmm256)),
    (Bin::MinU, narrow(VEX_Vpminud_ymm_ymm_ymmm256)),
    (Bin::Shl, both(VEX_Vpsllvd_ymm_ymm_ymmm256, VEX_Vpsllvq_ymm_ymm_ymmm256)),
    (Bin::ShrU, both(VEX_Vpsrlvd_ymm_ymm_ymmm256, VEX_Vpsrlvq_ymm_ymm_ymmm256)),
    (Bin::ShrS, narrow(VEX_Vpsravd_ymm_ymm_ymmm256)),
];

#[rustfmt::skip]
const CONVERSIONS: &[Conversion] = &[
    (Conv::Float, Class::F32, Class::F64, VEX_Vcvtps2pd_ymm_xmmm128),
    (Conv::Float, Class::F64, Class::F32, VEX_Vcvtpd2ps_xmm_ymmm256),
    (Conv::FromInt, Class::I32, Class::F32, VEX_Vcvtdq2ps_ymm_ymmm256),
    (Conv::FromInt, Class::I32, Class::F64, VEX_Vcvtdq2pd_ymm_xmmm128),
    (Conv::ToInt, Class::F32, Class::I32, VEX_Vcvttps2dq_ymm_ymmm256),
    (Conv::ToInt, Class::F64, Class::I32, VEX_Vcvttpd2dq_xmm_ymmm256),
    (Conv::Int, Class::I32, Class::I64, VEX_Vpmovsxdq_ymm_xmmm128),
    (Conv::Uint, Class::I32, Class::I64, VEX_Vpmovzxdq_ymm_xmmm128),
];
