//! Functions of elements at the same place.

use super::{Entry, op, with};
use crate::call::{Bound, Done, Outcome, Refusal};
use lazulite::{Argument, DType, Tensor};

pub(super) const TABLE: &[Entry] = &[
    op("abs", |a| a.input()?.abs().done()),
    op("acos", |a| a.input()?.acos().done()),
    op("acosh", |a| a.input()?.acosh().done()),
    op("add", |a| {
        a.operand()?
            .add_scaled(a.other()?, a.number("alpha")?)
            .done()
    }),
    op("__radd__", |a| a.input()?.add(a.other()?).done()),
    op("addcdiv", |a| {
        let [x, y] = [a.tensor("tensor1")?, a.tensor("tensor2")?];
        a.input()?.addcdiv_with(&x, &y, a.number("value")?).done()
    }),
    op("addcmul", |a| {
        let [x, y] = [a.tensor("tensor1")?, a.tensor("tensor2")?];
        a.input()?.addcmul_with(&x, &y, a.number("value")?).done()
    }),
    op("angle", |a| a.input()?.angle().done()),
    op("asin", |a| a.input()?.asin().done()),
    op("asinh", |a| a.input()?.asinh().done()),
    op("atan", |a| a.input()?.atan().done()),
    op("atan2", |a| a.input()?.atan2(a.tensor("other")?).done()),
    op("atanh", |a| a.input()?.atanh().done()),
    op("ceil", |a| a.input()?.ceil().done()),
    op("clamp", |a| {
        clamp(a.input()?, a.opt_argument("min")?, a.opt_argument("max")?)
    }),
    op("clamp_max", |a| a.input()?.clamp_max(a.other()?).done()),
    op("clamp_min", |a| a.input()?.clamp_min(a.other()?).done()),
    op("complex", |a| {
        Tensor::complex(&a.input()?, &a.tensor("imag")?).done()
    }),
    op("conj", |a| a.input()?.conj().done()),
    op("conj_physical", |a| a.input()?.conj().done()),
    op("resolve_conj", |a| a.input()?.done()),
    op("resolve_neg", |a| a.input()?.done()),
    op("copysign", |a| a.input()?.copysign(a.other()?).done()),
    op("cos", |a| a.input()?.cos().done()),
    op("cosh", |a| a.input()?.cosh().done()),
    op("deg2rad", |a| a.input()?.deg2rad().done()),
    op("div", divide),
    op("true_divide", |a| a.operand()?.div(a.other()?).done()),
    op("__rdiv__", |a| {
        a.scalar_or_tensor("other")?.div(a.input()?).done()
    }),
    op("erf", |a| a.input()?.erf().done()),
    op("exp", |a| a.input()?.exp().done()),
    op("exp2", |a| a.input()?.exp2().done()),
    op("expm1", |a| a.input()?.expm1().done()),
    op("float_power", |a| a.base()?.float_power(a.other()?).done()),
    op("floor", |a| a.input()?.floor().done()),
    op("floor_divide", |a| {
        a.input()?.floor_divide(a.other()?).done()
    }),
    op("fmax", |a| a.input()?.fmax(a.tensor("other")?).done()),
    op("fmin", |a| a.input()?.fmin(a.tensor("other")?).done()),
    op("fmod", |a| a.input()?.fmod(a.other()?).done()),
    op("frac", |a| a.input()?.frac().done()),
    op("frexp", |a| a.input()?.frexp().done()),
    op("gcd", |a| a.input()?.gcd(a.tensor("other")?).done()),
    op("heaviside", |a| {
        a.input()?.heaviside(&a.tensor("values")?).done()
    }),
    op("hypot", |a| a.input()?.hypot(a.tensor("other")?).done()),
    op("imag", |a| a.input()?.imag().done()),
    op("lcm", |a| a.input()?.lcm(a.tensor("other")?).done()),
    op("ldexp", |a| a.input()?.ldexp(a.tensor("other")?).done()),
    with("lerp", "input, end, weight", |a| {
        a.input()?
            .lerp(&a.tensor("end")?, a.argument("weight")?)
            .done()
    }),
    op("log", |a| a.input()?.log().done()),
    op("log10", |a| a.input()?.log10().done()),
    op("log1p", |a| a.input()?.log1p().done()),
    op("log2", |a| a.input()?.log2().done()),
    op("logaddexp", |a| {
        a.input()?.logaddexp(a.tensor("other")?).done()
    }),
    op("logaddexp2", |a| {
        a.input()?.logaddexp2(a.tensor("other")?).done()
    }),
    op("logit", |a| {
        a.input()?.logit_with(a.opt_float("eps")?).done()
    }),
    op("maximum", |a| a.input()?.maximum(a.tensor("other")?).done()),
    op("minimum", |a| a.input()?.minimum(a.tensor("other")?).done()),
    op("mul", |a| a.operand()?.mul(a.other()?).done()),
    op("__rmul__", |a| a.input()?.mul(a.other()?).done()),
    op("nan_to_num", |a| {
        let nan = a.opt_float("nan")?.unwrap_or(0.0);
        a.input()?
            .nan_to_num_with(nan, a.opt_float("posinf")?, a.opt_float("neginf")?)
            .done()
    }),
    op("neg", |a| a.input()?.neg().done()),
    op("nextafter", |a| {
        a.input()?.nextafter(a.tensor("other")?).done()
    }),
    op("polar", |a| {
        Tensor::polar(&a.input()?, &a.tensor("angle")?).done()
    }),
    op("positive", |a| a.input()?.positive().done()),
    op("pow", |a| a.base()?.pow(a.other()?).done()),
    op("__rpow__", |a| {
        a.scalar_or_tensor("other")?.pow(a.input()?).done()
    }),
    op("rad2deg", |a| a.input()?.rad2deg().done()),
    op("real", |a| a.input()?.real().done()),
    op("reciprocal", |a| a.input()?.reciprocal().done()),
    op("remainder", |a| a.base()?.remainder(a.other()?).done()),
    op("__rmod__", |a| {
        a.scalar_or_tensor("other")?.remainder(a.input()?).done()
    }),
    op("round", |a| {
        let decimals = i32::try_from(a.int("decimals")?).unwrap_or(i32::MAX);
        a.input()?.round_decimals(decimals).done()
    }),
    op("rsqrt", |a| a.input()?.rsqrt().done()),
    op("rsub", |a| {
        a.scalar_or_tensor("other")?
            .sub_scaled(a.input()?, a.number("alpha")?)
            .done()
    }),
    op("__rsub__", |a| {
        a.scalar_or_tensor("other")?.sub(a.input()?).done()
    }),
    op("sgn", |a| a.input()?.sgn().done()),
    op("sigmoid", |a| a.input()?.sigmoid().done()),
    op("sign", |a| a.input()?.sign().done()),
    op("signbit", |a| a.input()?.signbit().done()),
    op("sin", |a| a.input()?.sin().done()),
    op("sinc", |a| a.input()?.sinc().done()),
    op("sinh", |a| a.input()?.sinh().done()),
    op("sqrt", |a| a.input()?.sqrt().done()),
    op("square", |a| a.input()?.square().done()),
    op("sub", |a| {
        a.operand()?
            .sub_scaled(a.other()?, a.number("alpha")?)
            .done()
    }),
    op("tan", |a| a.input()?.tan().done()),
    op("tanh", |a| a.input()?.tanh().done()),
    op("trunc", |a| a.input()?.trunc().done()),
    op("view_as_complex", |a| a.input()?.view_as_complex().done()),
    op("view_as_real", |a| a.input()?.view_as_real().done()),
    op("xlogy", |a| a.base()?.xlogy(a.other()?).done()),
    op("special.xlog1py", |a| a.base()?.xlog1py(a.other()?).done()),
    // Bits.
    op("bitwise_and", |a| a.input()?.bitwise_and(a.other()?).done()),
    op("__rand__", |a| a.input()?.bitwise_and(a.other()?).done()),
    op("bitwise_left_shift", |a| {
        a.input()?.bitwise_left_shift(a.other()?).done()
    }),
    op("bitwise_not", |a| a.input()?.bitwise_not().done()),
    op("bitwise_or", |a| a.input()?.bitwise_or(a.other()?).done()),
    op("__ror__", |a| a.input()?.bitwise_or(a.other()?).done()),
    op("bitwise_right_shift", |a| {
        a.input()?.bitwise_right_shift(a.other()?).done()
    }),
    op("bitwise_xor", |a| a.input()?.bitwise_xor(a.other()?).done()),
    op("__rxor__", |a| a.input()?.bitwise_xor(a.other()?).done()),
    // Comparison and logic.
    op("allclose", |a| {
        let (rtol, atol, equal_nan) = (a.float("rtol")?, a.float("atol")?, a.flag("equal_nan")?);
        a.input()?
            .allclose_with(&a.tensor("other")?, rtol, atol, equal_nan)?
            .done()
    }),
    op("eq", |a| a.input()?.eq(a.other()?).done()),
    op("equal", |a| a.input()?.equal(&a.tensor("other")?)?.done()),
    op("ge", |a| a.input()?.ge(a.other()?).done()),
    op("gt", |a| a.input()?.gt(a.other()?).done()),
    op("isclose", |a| {
        let (rtol, atol, equal_nan) = (a.float("rtol")?, a.float("atol")?, a.flag("equal_nan")?);
        a.input()?
            .isclose_with(&a.tensor("other")?, rtol, atol, equal_nan)
            .done()
    }),
    op("isfinite", |a| a.input()?.isfinite().done()),
    op("isin", |a| {
        let others = a.scalar_or_tensor("test_elements")?;
        a.input()?.isin(&others, a.flag("invert")?).done()
    }),
    op("isinf", |a| a.input()?.isinf().done()),
    op("isnan", |a| a.input()?.isnan().done()),
    op("isneginf", |a| a.input()?.isneginf().done()),
    op("isposinf", |a| a.input()?.isposinf().done()),
    op("isreal", |a| a.input()?.isreal().done()),
    op("le", |a| a.input()?.le(a.other()?).done()),
    op("logical_and", |a| {
        a.input()?.logical_and(&a.tensor("other")?).done()
    }),
    op("logical_not", |a| a.input()?.logical_not().done()),
    op("logical_or", |a| {
        a.input()?.logical_or(&a.tensor("other")?).done()
    }),
    op("logical_xor", |a| {
        a.input()?.logical_xor(&a.tensor("other")?).done()
    }),
    op("lt", |a| a.input()?.lt(a.other()?).done()),
    op("ne", |a| a.input()?.ne(a.other()?).done()),
    op("where", |a| {
        a.input()?
            .where_(a.argument("input")?, a.argument("other")?)
            .done()
    }),
    // Element types.
    op("bfloat16", |a| a.input()?.cast(DType::BF16).done()),
    op("bool", |a| a.input()?.cast(DType::Bool).done()),
    op("byte", |a| a.input()?.cast(DType::U8).done()),
    op("cdouble", |a| a.input()?.cast(DType::C128).done()),
    op("cfloat", |a| a.input()?.cast(DType::C64).done()),
    op("chalf", |_| {
        Err(Refusal::Unsupported(
            "the element type complex32 is not supported".into(),
        ))
    }),
    op("char", |a| a.input()?.cast(DType::I8).done()),
    op("double", |a| a.input()?.cast(DType::F64).done()),
    op("float", |a| a.input()?.cast(DType::F32).done()),
    op("half", |a| a.input()?.cast(DType::F16).done()),
    op("int", |a| a.input()?.cast(DType::I32).done()),
    op("long", |a| a.input()?.cast(DType::I64).done()),
    op("short", |a| a.input()?.cast(DType::I16).done()),
];

fn clamp(x: Tensor, low: Option<Argument>, high: Option<Argument>) -> Outcome {
    match (low, high) {
        (Some(low), Some(high)) => x.clamp(low, high).done(),
        (Some(low), None) => x.clamp_min(low).done(),
        (None, Some(high)) => x.clamp_max(high).done(),
        (None, None) => Err(Refusal::Rejected("there is no bound".into())),
    }
}

fn divide(a: &Bound) -> Outcome {
    let (x, y) = (a.operand()?, a.other()?);
    match a.opt_text("rounding_mode")?.as_deref() {
        None => x.div(y).done(),
        Some("floor") => x.floor_divide(y).done(),
        Some("trunc") => x.div_trunc(y).done(),
        Some(other) => Err(Refusal::Rejected(format!(
            "there is no rounding mode {other}"
        ))),
    }
}
