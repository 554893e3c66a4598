//! Attribute values print and read back to equal values, bit for bit, and no text makes the
//! readers panic.

use lazulite_ir::{
    Array, Combine, Custom, DType, Dim, DimOverflow, Dims, Scalar, TensorType, parse_attr,
    print_attr,
};
use proptest::prelude::*;
use std::sync::Arc;

fn dim() -> impl Strategy<Value = Dim> {
    const NAMES: [&str; 8] = ["n", "m", "batch", "a b", "v1", "mod", "\"", "größe"];
    let leaf = prop_oneof![
        any::<i64>().prop_map(Dim::constant),
        (-9i64..9).prop_map(Dim::constant),
        proptest::sample::select(&NAMES[..]).prop_map(Dim::symbol),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        type Function = fn(&Dim, &Dim) -> Result<Dim, DimOverflow>;
        let functions: [Function; 7] = [
            Dim::add,
            Dim::sub,
            Dim::mul,
            Dim::floor_div,
            Dim::modulo,
            |a, b| Ok(a.minimum(b)),
            |a, b| Ok(a.maximum(b)),
        ];
        // What overflows stays what it was.
        (0..functions.len(), inner.clone(), inner)
            .prop_map(move |(f, a, b)| functions[f](&a, &b).unwrap_or(a))
    })
}

fn scalar() -> impl Strategy<Value = Scalar> {
    let dtype = proptest::sample::select(&DType::ALL[..]);
    let bits = prop_oneof![any::<u128>(), (0u32..128).prop_map(|n| 1 << n), Just(0)];
    (dtype, bits).prop_map(|(dtype, bits)| Scalar::from_bits(dtype, bits))
}

/// Pieces of valid text in random order, the inputs most likely to get far.
fn scraps() -> impl Strategy<Value = String> {
    let pieces = [
        "f32",
        "c64",
        "[",
        "]",
        "(",
        ")",
        ",",
        "+",
        "-",
        "*",
        " ",
        "0",
        "7",
        "1e9",
        "0x7f",
        "inf",
        "nan",
        "n",
        "floordiv(",
        "mod(",
        "min(",
        "library(",
        "host(",
        "\"",
        "\"a\"",
        "\\u{",
        "\n",
        ";",
        "%1",
        "..",
        "é",
        "9223372036854775808",
        "sum",
        "none",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..24)
        .prop_map(|v| v.concat())
}

fn read_everything(text: &str) {
    let _ = parse_attr::<Dim>(text);
    let _ = parse_attr::<Dims>(text);
    let _ = parse_attr::<Scalar>(text);
    let _ = parse_attr::<TensorType>(text);
    let _ = parse_attr::<Vec<i64>>(text);
    let _ = parse_attr::<Arc<str>>(text);
    let _ = parse_attr::<Custom>(text);
    let _ = parse_attr::<Option<Combine>>(text);
}

proptest! {
    #[test]
    fn dims_read_back(d in dim()) {
        let text = d.to_string();
        // The reader refuses sizes that nobody writes.
        prop_assume!(text.len() < 1000);
        prop_assert_eq!(text.parse::<Dim>(), Ok(d));
    }

    #[test]
    fn scalars_read_back(s in scalar()) {
        prop_assert_eq!(s.to_string().parse::<Scalar>(), Ok(s));
    }

    #[test]
    fn strings_read_back(s in any::<String>()) {
        let s: Arc<str> = s.into();
        prop_assert_eq!(parse_attr::<Arc<str>>(&print_attr(&s)), Ok(s));
    }

    #[test]
    fn any_text_is_survived(text in any::<String>(), scraps in scraps()) {
        read_everything(&text);
        read_everything(&scraps);
    }
}

#[test]
fn scalars_look_as_people_write_them() {
    let text = |s: Scalar| s.to_string();
    assert_eq!(text(Scalar::from_f64(DType::F32, 0.1)), "f32(0.1)");
    assert_eq!(text(Scalar::from_f64(DType::F16, 0.1)), "f16(0.1)");
    assert_eq!(text(Scalar::from_f64(DType::BF16, 3.140625)), "bf16(3.14)");
    assert_eq!(text(Scalar::from_f64(DType::F16, 65504.0)), "f16(65500.0)");
    assert_eq!(text(Scalar::from_f64(DType::F64, -0.0)), "f64(-0.0)");
    assert_eq!(
        text(Scalar::from_f64(DType::F32, f64::NEG_INFINITY)),
        "f32(-inf)"
    );
    assert_eq!(text(Scalar::from_f64(DType::F32, f64::NAN)), "f32(nan)");
    assert_eq!(
        text(Scalar::from_bits(DType::F32, 0xffc0_0001)),
        "f32(0xffc00001)"
    );
    assert_eq!(text(Scalar::from_bits(DType::BF16, 0x7f81)), "bf16(0x7f81)");
    assert_eq!(
        text(Scalar::from_complex(DType::C64, 1.5, -0.0)),
        "c64(1.5, -0.0)"
    );
    assert_eq!(
        text(Scalar::from_i64(DType::U64, -1)),
        "u64(18446744073709551615)"
    );
    assert_eq!(text(Scalar::from_i64(DType::I8, -128)), "i8(-128)");
    assert_eq!(text(Scalar::from_i64(DType::Bool, 1)), "bool(true)");
}

#[test]
fn errors_say_where_and_what() {
    let message = |r: Result<Dim, _>| {
        r.map_err(|e: lazulite_ir::TextError| e.to_string())
            .unwrap_err()
    };
    assert_eq!(
        message("n +\n  ]".parse()),
        "2:3: expected a size, found `]`"
    );
    assert_eq!(
        message("2*foo(n, 1)".parse()),
        "1:3: expected `floordiv`, `mod`, `min` or `max` before `(`, found `foo`"
    );
    assert_eq!(
        message("9223372036854775808".parse()),
        "1:1: 9223372036854775808 does not fit 64 bits"
    );
    assert_eq!(
        message("mod(n, 0)".parse()),
        "1:1: size arithmetic overflows 64 bits or divides by zero"
    );
    let deep = "min(".repeat(1_000_000);
    assert_eq!(message(deep.parse()), "1:133: nested deeper than 32 levels");
    let custom = parse_attr::<Custom>("host(\"f\")").unwrap_err();
    assert!(custom.message.contains("cannot be read from text"));
    let combine = parse_attr::<Option<Combine>>("any").unwrap_err();
    assert_eq!(
        combine.message,
        "expected `sum`, `prod`, `max`, `min` or `none`, found `any`"
    );
}

#[test]
fn short_texts_cannot_stand_for_huge_sizes() {
    let square = "floordiv(2*a + 2*b, 2)*";
    let error = format!("{}1", square.repeat(64))
        .parse::<Dim>()
        .unwrap_err();
    assert!(error.message.contains("a size is longer"), "{error}");
    let nested = "mod(floordiv(2*a + 2*b, 2)*".repeat(30) + "n" + &", 7)".repeat(30);
    let error = nested.parse::<Dim>().unwrap_err();
    assert!(error.message.contains("a size is longer"), "{error}");
}

#[test]
fn arrays_read_back() {
    let texts = [
        "f32[2, 3] [0.1, nan, -0.0, inf, 1e-45, 0x7fc00001]",
        "c64[1] [(1.0, -inf)]",
        "bool[0, 4] []",
        "i64[] [-9223372036854775808]",
    ];
    for text in texts {
        assert_eq!(text.parse::<Array>().unwrap().to_string(), text);
    }
    let error = "u8[2] [1, 256]".parse::<Array>().unwrap_err();
    assert_eq!(error.to_string(), "1:11: 256 does not fit u8");
    let error = "u8[2] [1]".parse::<Array>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "1:1: 1 values do not fill an array of dims [2]"
    );
    let huge = "f32[9999999999, 9999999999] []";
    assert!(huge.parse::<Array>().is_err());
}

#[test]
fn divisions_that_do_not_come_out_even_are_given_up_soon() {
    let power = ["u"; 40].join("*");
    let text = format!("floordiv({power}, u + v - w - x - y - z)");
    assert_eq!(text.parse::<Dim>().unwrap().to_string(), text);
    let text = "floordiv(m + 9223372036854775807*n, -3 + n)";
    assert_eq!(text.parse::<Dim>().unwrap().to_string(), text);
    let even = "floordiv(n*n*n - m*m*m, n - m)".parse::<Dim>().unwrap();
    assert_eq!(even.to_string(), "m*m + m*n + n*n");
}
