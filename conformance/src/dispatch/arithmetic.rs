//! Functions of elements at the same place.

use super::{Entry, op, with};
use crate::call::{Bound, Done, Outcome, Refusal};
use lazulite::{Argument, DType, Tensor};

pub(super) const TABLE: &[Entry] = &[
    op("abs", |a| a.operand()?.abs().done()),
    op("acos", |a| a.operand()?.acos().done()),
    op("acosh", |a| a.operand()?.acosh().done()),
    op("add", |a| a.operand()?.add_scaled(a.other()?, a.number("alpha")?).done()),
    op("__radd__", |a| a.operand()?.add(a.other()?).done()),
    op("addcdiv", |a| {
        let [x, y] = [a.tensor("tensor1")?, a.tensor("tensor2")?];
        a.input()?.addcdiv(&x, &y, a.number("value")?).done()
    }),
    op("addcmul", |a| {
        let [x, y] = [a.tensor("tensor1")?, a.tensor("tensor2")?];
        a.input()?.addcmul(&x, &y, a.number("value")?).done()
    }),
    op("angle", |a| a.operand()?.angle().done()),
    op("asin", |a| a.operand()?.asin().done()),
    op("asinh", |a| a.operand()?.asinh().done()),
    op("atan", |a| a.operand()?.atan().done()),
    op("atan2", |a| a.operand()?.atan2(a.tensor("other")?).done()),
    op("atanh", |a| a.operand()?.atanh().done()),
    op("ceil", |a| a.operand()?.ceil().done()),
    op("clamp", |a| clamp(a.input()?, a.opt_argument("min")?, a.opt_argument("max")?)),
    op("clamp_max", |a| a.input()?.clamp_max(a.other()?).done()),
    op("clamp_min", |a| a.input()?.clamp_min(a.other()?).done()),
    op("complex", |a| Tensor::complex(&a.input()?, &a.tensor("imag")?).done()),
    op("conj", |a| a.input()?.conj().done()),
    op("conj_physical", |a| a.input()?.conj().done()),
    op("resolve_conj", |a| a.input()?.done()),
    op("resolve_neg", |a| a.input()?.done()),
    op("copysign", |a| a.operand()?.copysign(a.other()?).done()),
    op("cos", |a| a.operand()?.cos().done()),
    op("cosh", |a| a.operand()?.cosh().done()),
    op("deg2rad", |a| a.operand()?.deg2rad().done()),
    op("div", divide),
    op("true_divide", |a| a.operand()?.div(a.other()?).done()),
    op("__rdiv__", |a| a.scalar_or_tensor("other")?.div(a.input()?).done()),
    op("erf", |a| a.operand()?.erf().done()),
    op("exp", |a| a.operand()?.exp().done()),
    op("exp2", |a| a.operand()?.exp2().done()),
    op("expm1", |a| a.operand()?.expm1().done()),
    op("float_power", |a| a.operand()?.float_power(a.other()?).done()),
    op("floor", |a| a.operand()?.floor().done()),
    op("floor_divide", |a| a.operand()?.floor_divide(a.other()?).done()),
    op("fmax", |a| a.operand()?.fmax(a.tensor("other")?).done()),
    op("fmin", |a| a.operand()?.fmin(a.tensor("other")?).done()),
    op("fmod", |a| a.operand()?.fmod(a.other()?).done()),
    op("frac", |a| a.operand()?.frac().done()),
    op("frexp", |a| a.operand()?.frexp().done()),
    op("gcd", |a| a.operand()?.gcd(a.tensor("other")?).done()),
    op("heaviside", |a| a.operand()?.heaviside(&a.tensor("values")?).done()),
    op("hypot", |a| a.operand()?.hypot(a.tensor("other")?).done()),
    op("imag", |a| a.operand()?.imag().done()),
    op("lcm", |a| a.operand()?.lcm(a.tensor("other")?).done()),
    op("ldexp", |a| a.operand()?.ldexp(a.other()?).done()),
    with("lerp", "input, end, weight", |a| {
        a.input()?.lerp(&a.tensor("end")?, a.argument("weight")?).done()
    }),
    op("log", |a| a.operand()?.log().done()),
    op("log10", |a| a.operand()?.log10().done()),
    op("log1p", |a| a.operand()?.log1p().done()),
    op("log2", |a| a.operand()?.log2().done()),
    op("logaddexp", |a| a.operand()?.logaddexp(a.tensor("other")?).done()),
    op("logaddexp2", |a| a.operand()?.logaddexp2(a.tensor("other")?).done()),
    op("logit", |a| a.operand()?.logit(a.opt_float("eps")?).done()),
    op("maximum", |a| a.operand()?.maximum(a.tensor("other")?).done()),
    op("minimum", |a| a.operand()?.minimum(a.tensor("other")?).done()),
    op("mul", |a| a.operand()?.mul(a.other()?).done()),
    op("__rmul__", |a| a.operand()?.mul(a.other()?).done()),
    op("nan_to_num", |a| {
        let nan = a.opt_float("nan")?.unwrap_or(0.0);
        a.input()?.nan_to_num(nan, a.opt_float("posinf")?, a.opt_float("neginf")?).done()
    }),
    op("neg", |a| a.operand()?.neg().done()),
    op("nextafter", |a| a.operand()?.nextafter(a.tensor("other")?).done()),
    op("polar", |a| Tensor::polar(&a.input()?, &a.tensor("angle")?).done()),
    op("positive", |a| a.operand()?.positive().done()),
    op("pow", |a| a.operand()?.pow(a.other()?).done()),
    op("__rpow__", |a| a.scalar_or_tensor("other")?.pow(a.input()?).done()),
    op("rad2deg", |a| a.operand()?.rad2deg().done()),
    op("real", |a| a.operand()?.real().done()),
    op("reciprocal", |a| a.operand()?.reciprocal().done()),
    op("remainder", |a| a.operand()?.remainder(a.other()?).done()),
    op("__rmod__", |a| a.scalar_or_tensor("other")?.remainder(a.input()?).done()),
    op("round", |a| {
        let decimals = i32::try_from(a.int("decimals")?).unwrap_or(i32::MAX);
        a.operand()?.round_decimals(decimals).done()
    }),
    op("rsqrt", |a| a.operand()?.rsqrt().done()),
    op("rsub", |a| a.scalar_or_tensor("other")?.sub_scaled(a.input()?, a.number("alpha")?).done()),
    op("__rsub__", |a| a.scalar_or_tensor("other")?.sub(a.input()?).done()),
    op("sgn", |a| a.operand()?.sgn().done()),
    op("sigmoid", |a| a.operand()?.sigmoid().done()),
    op("sign", |a| a.operand()?.sign().done()),
    op("signbit", |a| a.operand()?.signbit().done()),
    op("sin", |a| a.operand()?.sin().done()),
    op("sinc", |a| a.operand()?.sinc().done()),
    op("sinh", |a| a.operand()?.sinh().done()),
    op("sqrt", |a| a.operand()?.sqrt().done()),
    op("square", |a| a.operand()?.square().done()),
    op("sub", |a| a.operand()?.sub_scaled(a.other()?, a.number("alpha")?).done()),
    op("tan", |a| a.operand()?.tan().done()),
    op("tanh", |a| a.operand()?.tanh().done()),
    op("trunc", |a| a.operand()?.trunc().done()),
    op("view_as_complex", |a| a.input()?.view_as_complex().done()),
    op("view_as_real", |a| a.input()?.view_as_real().done()),
    op("xlogy", |a| a.operand()?.xlogy(a.other()?).done()),
    op("special.xlog1py", |a| a.operand()?.xlog1py(a.other()?).done()),
    // Bits.
    op("bitwise_and", |a| a.operand()?.bitwise_and(a.other()?).done()),
    op("__rand__", |a| a.operand()?.bitwise_and(a.other()?).done()),
    op("bitwise_left_shift", |a| a.operand()?.bitwise_left_shift(a.other()?).done()),
    op("bitwise_not", |a| a.operand()?.bitwise_not().done()),
    op("bitwise_or", |a| a.operand()?.bitwise_or(a.other()?).done()),
    op("__ror__", |a| a.operand()?.bitwise_or(a.other()?).done()),
    op("bitwise_right_shift", |a| a.operand()?.bitwise_right_shift(a.other()?).done()),
    op("bitwise_xor", |a| a.operand()?.bitwise_xor(a.other()?).done()),
    op("__rxor__", |a| a.operand()?.bitwise_xor(a.other()?).done()),
    // Comparison and logic.
    op("allclose", |a| {
        let (rtol, atol, equal_nan) = (a.float("rtol")?, a.float("atol")?, a.flag("equal_nan")?);
        a.input()?.allclose(&a.tensor("other")?, rtol, atol, equal_nan)?.done()
    }),
    op("eq", |a| a.operand()?.eq(a.other()?).done()),
    op("equal", |a| a.input()?.equal(&a.tensor("other")?)?.done()),
    op("ge", |a| a.operand()?.ge(a.other()?).done()),
    op("gt", |a| a.operand()?.gt(a.other()?).done()),
    op("isclose", |a| {
        let (rtol, atol, equal_nan) = (a.float("rtol")?, a.float("atol")?, a.flag("equal_nan")?);
        a.input()?.isclose(&a.tensor("other")?, rtol, atol, equal_nan).done()
    }),
    op("isfinite", |a| a.operand()?.isfinite().done()),
    op("isin", |a| {
        let others = a.scalar_or_tensor("test_elements")?;
        a.operand()?.isin(&others, a.flag("invert")?).done()
    }),
    op("isinf", |a| a.operand()?.isinf().done()),
    op("isnan", |a| a.operand()?.isnan().done()),
    op("isneginf", |a| a.operand()?.isneginf().done()),
    op("isposinf", |a| a.operand()?.isposinf().done()),
    op("isreal", |a| a.operand()?.isreal().done()),
    op("le", |a| a.operand()?.le(a.other()?).done()),
    op("logical_and", |a| a.input()?.logical_and(&a.tensor("other")?).done()),
    op("logical_not", |a| a.operand()?.logical_not().done()),
    op("logical_or", |a| a.input()?.logical_or(&a.tensor("other")?).done()),
    op("logical_xor", |a| a.input()?.logical_xor(&a.tensor("other")?).done()),
    op("lt", |a| a.operand()?.lt(a.other()?).done()),
    op("ne", |a| a.operand()?.ne(a.other()?).done()),
    op("where", |a| {
        a.input()?.where_(a.argument("input")?, a.argument("other")?).done()
    }),
    // Element types.
    op("bfloat16", |a| a.input()?.cast(DType::BF16).done()),
    op("bool", |a| a.input()?.cast(DType::Bool).done()),
    op("byte", |a| a.input()?.cast(DType::U8).done()),
    op("cdouble", |a| a.input()?.cast(DType::C128).done()),
    op("cfloat", |a| a.input()?.cast(DType::C64).done()),
    op("chalf", |_| Err(Refusal::Unsupported("the element type complex32 is not supported".into()))),
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
        Some(other) => Err(Refusal::Rejected(format!("there is no rounding mode {other}"))),
    }
}
