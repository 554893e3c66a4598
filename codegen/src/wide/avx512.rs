//! Machines with AVX-512 (F, BW, CD, DQ, VL): 32 registers of 512 bits, mask registers. Tables have a line per entry.

use super::machine::View;
use super::target::{Binary, Codes, Conversion, Masks, Target, both, registers};
use crate::backend::Caps;
use crate::vector::{Bin, Class, Conv};
use iced_x86::Code::*;
use regalloc2::{PReg, RegClass};
use std::sync::LazyLock;

pub(super) static AVX512: Target = Target {
    name: "avx512",
    caps: Caps {
        vector_bytes: 64,
        registers: 32,
        masks: true,
        non_temporal: true,
        fma: true,
        tables: true,
    },
    full: View::Z,
    half: View::Y,
    masks: Masks::Registers,
    broadcasts: true,
    spare: 3,
    crowd: 20,
    registers: LazyLock::new(|| {
        registers(32, Some(PReg::new(31, RegClass::Float)), Masks::Registers)
    }),
    codes: Codes {
        copy: EVEX_Vmovaps_zmm_k1z_zmmm512,
        load: [EVEX_Vmovups_zmm_k1z_zmmm512, EVEX_Vmovupd_zmm_k1z_zmmm512],
        store: [EVEX_Vmovups_zmmm512_k1z_zmm, EVEX_Vmovupd_zmmm512_k1z_zmm],
        stream: EVEX_Vmovntps_m512_zmm,
        broadcast: [
            EVEX_Vbroadcastss_zmm_k1z_xmmm32,
            EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
        ],
        splat: [
            EVEX_Vbroadcastss_zmm_k1z_xmmm32,
            EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
        ],
        load_lane: [EVEX_Vmovss_xmm_k1z_m32, EVEX_Vmovsd_xmm_k1z_m64],
        store_lane: [EVEX_Vmovss_m32_k1_xmm, EVEX_Vmovsd_m64_k1_xmm],
        from_general: [EVEX_Vmovd_xmm_rm32, EVEX_Vmovq_xmm_rm64],
        to_general: [EVEX_Vmovd_rm32_xmm, EVEX_Vmovq_rm64_xmm],
        splat_general: both(EVEX_Vpbroadcastd_zmm_k1z_r32, EVEX_Vpbroadcastq_zmm_k1z_r64),
        extract_half: EVEX_Vextractf64x4_ymmm256_k1z_zmm_imm8,
        insert_half: EVEX_Vinsertf64x4_zmm_k1z_zmm_ymmm256_imm8,
        extract_quarter: Some(EVEX_Vextractf32x4_xmmm128_k1z_zmm_imm8),
        insert_quarter: Some(EVEX_Vinsertf32x4_ymm_k1z_ymm_xmmm128_imm8),
        shuffle: EVEX_Vpshufd_zmm_k1z_zmmm512b32_imm8,
        permute: EVEX_Vpermps_zmm_k1z_zmm_zmmm512b32,
        floats: FLOATS,
        ints: INTS,
        product_plus: [
            EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er,
            EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er,
        ],
        sum_plus: [
            EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
            EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er,
        ],
        factor_times: [
            EVEX_Vfmadd132ps_zmm_k1z_zmm_zmmm512b32_er,
            EVEX_Vfmadd132pd_zmm_k1z_zmm_zmmm512b64_er,
        ],
        round: [
            EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae,
            EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae,
        ],
        sqrt: [
            EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er,
            EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er,
        ],
        abs: both(
            EVEX_Vpabsd_zmm_k1z_zmmm512b32,
            EVEX_Vpabsq_zmm_k1z_zmmm512b64,
        ),
        shift_left: [
            EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8,
            EVEX_Vpsllq_zmm_k1z_zmmm512b64_imm8,
        ],
        shift_right: [
            EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8,
            EVEX_Vpsrlq_zmm_k1z_zmmm512b64_imm8,
        ],
        shift_right_signed: EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8,
        multiply_even: EVEX_Vpmuludq_zmm_k1z_zmm_zmmm512b64,
        compare_float: [
            EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae,
            EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae,
        ],
        conversions: CONVERSIONS,
        truncate_unsigned: Some(EVEX_Vcvttpd2udq_ymm_k1z_zmmm512b64_sae),
        half_to_float: EVEX_Vcvtph2ps_zmm_k1z_ymmm256_sae,
        float_to_half: EVEX_Vcvtps2ph_ymmm256_k1z_zmm_imm8_sae,
        extend_zero: [
            EVEX_Vpmovzxbd_zmm_k1z_xmmm128,
            EVEX_Vpmovzxwd_zmm_k1z_ymmm256,
        ],
        extend_sign: [
            EVEX_Vpmovsxbd_zmm_k1z_xmmm128,
            EVEX_Vpmovsxwd_zmm_k1z_ymmm256,
        ],
        shorten: Some([EVEX_Vpmovdb_xmmm128_k1z_zmm, EVEX_Vpmovdw_ymmm256_k1z_zmm]),
        load_narrow: Some([
            EVEX_Vmovdqu8_xmm_k1z_xmmm128,
            EVEX_Vmovdqu16_ymm_k1z_ymmm256,
        ]),
        insert: [EVEX_Vinsertps_xmm_xmm_xmmm32_imm8, EVEX_Vmovhpd_xmm_xmm_m64],
        insert_narrow: [
            EVEX_Vpinsrb_xmm_xmm_r32m8_imm8,
            EVEX_Vpinsrw_xmm_xmm_r32m16_imm8,
        ],
        gather: [
            EVEX_Vgatherdps_zmm_k1_vm32z,
            EVEX_Vgatherqps_ymm_k1_vm64z,
            EVEX_Vgatherqpd_zmm_k1_vm64z,
        ],
        scatter: Some([
            EVEX_Vscatterdps_vm32z_k1_zmm,
            EVEX_Vscatterqps_vm64z_k1_ymm,
            EVEX_Vscatterqpd_vm64z_k1_zmm,
        ]),
    },
};

#[rustfmt::skip]
const FLOATS: &[Binary] = &[
    (Bin::Add, both(EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er, EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er)),
    (Bin::Sub, both(EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er, EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er)),
    (Bin::Mul, both(EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er, EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er)),
    (Bin::Div, both(EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er, EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er)),
    (Bin::Max, both(EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae, EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae)),
    (Bin::Min, both(EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae, EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae)),
    (Bin::And, both(EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32, EVEX_Vpandq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::Or, both(EVEX_Vpord_zmm_k1z_zmm_zmmm512b32, EVEX_Vporq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::Xor, both(EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32, EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::Scale, both(EVEX_Vscalefps_zmm_k1z_zmm_zmmm512b32_er, EVEX_Vscalefpd_zmm_k1z_zmm_zmmm512b64_er)),
    (Bin::ScaleFloor, both(EVEX_Vscalefps_zmm_k1z_zmm_zmmm512b32_er, EVEX_Vscalefpd_zmm_k1z_zmm_zmmm512b64_er)),
];

#[rustfmt::skip]
const INTS: &[Binary] = &[
    (Bin::And, both(EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32, EVEX_Vpandq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::Or, both(EVEX_Vpord_zmm_k1z_zmm_zmmm512b32, EVEX_Vporq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::Xor, both(EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32, EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::Add, both(EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32, EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::Sub, both(EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32, EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::Mul, both(EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32, EVEX_Vpmullq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::Max, both(EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32, EVEX_Vpmaxsq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::Min, both(EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32, EVEX_Vpminsq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::MaxU, both(EVEX_Vpmaxud_zmm_k1z_zmm_zmmm512b32, EVEX_Vpmaxuq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::MinU, both(EVEX_Vpminud_zmm_k1z_zmm_zmmm512b32, EVEX_Vpminuq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::Shl, both(EVEX_Vpsllvd_zmm_k1z_zmm_zmmm512b32, EVEX_Vpsllvq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::ShrU, both(EVEX_Vpsrlvd_zmm_k1z_zmm_zmmm512b32, EVEX_Vpsrlvq_zmm_k1z_zmm_zmmm512b64)),
    (Bin::ShrS, both(EVEX_Vpsravd_zmm_k1z_zmm_zmmm512b32, EVEX_Vpsravq_zmm_k1z_zmm_zmmm512b64)),
];

#[rustfmt::skip]
const CONVERSIONS: &[Conversion] = &[
    (Conv::Float, Class::F32, Class::F64, EVEX_Vcvtps2pd_zmm_k1z_ymmm256b32_sae),
    (Conv::Float, Class::F64, Class::F32, EVEX_Vcvtpd2ps_ymm_k1z_zmmm512b64_er),
    (Conv::FromInt, Class::I32, Class::F32, EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er),
    (Conv::FromInt, Class::I32, Class::F64, EVEX_Vcvtdq2pd_zmm_k1z_ymmm256b32_er),
    (Conv::FromInt, Class::I64, Class::F32, EVEX_Vcvtqq2ps_ymm_k1z_zmmm512b64_er),
    (Conv::FromInt, Class::I64, Class::F64, EVEX_Vcvtqq2pd_zmm_k1z_zmmm512b64_er),
    (Conv::FromUint, Class::I32, Class::F32, EVEX_Vcvtudq2ps_zmm_k1z_zmmm512b32_er),
    (Conv::FromUint, Class::I32, Class::F64, EVEX_Vcvtudq2pd_zmm_k1z_ymmm256b32_er),
    (Conv::FromUint, Class::I64, Class::F32, EVEX_Vcvtuqq2ps_ymm_k1z_zmmm512b64_er),
    (Conv::FromUint, Class::I64, Class::F64, EVEX_Vcvtuqq2pd_zmm_k1z_zmmm512b64_er),
    (Conv::ToInt, Class::F32, Class::I32, EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae),
    (Conv::ToInt, Class::F32, Class::I64, EVEX_Vcvttps2qq_zmm_k1z_ymmm256b32_sae),
    (Conv::ToInt, Class::F64, Class::I32, EVEX_Vcvttpd2dq_ymm_k1z_zmmm512b64_sae),
    (Conv::ToInt, Class::F64, Class::I64, EVEX_Vcvttpd2qq_zmm_k1z_zmmm512b64_sae),
    (Conv::Int, Class::I32, Class::I64, EVEX_Vpmovsxdq_zmm_k1z_ymmm256),
    (Conv::Int, Class::I64, Class::I32, EVEX_Vpmovqd_ymmm256_k1z_zmm),
    (Conv::Uint, Class::I32, Class::I64, EVEX_Vpmovzxdq_zmm_k1z_ymmm256),
];
