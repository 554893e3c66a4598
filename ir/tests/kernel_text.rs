//! Kernels print and read back to equal kernels.

use lazulite_ir::{
    Dim, IndexAtom, IndexExpr, Inst, InstOp, Kernel, Lanes, Stage, ValueId, Var, parse_kernel,
    print_kernel,
};
use proptest::prelude::*;

/// Every instruction, in every form.
const KERNEL: &str = "\
kernel(b0: f32 read, b1: bf16 write, b2: i64 readwrite) {
  outer o0 < n, o1 < 64
  lanes inner
  local l0: f32[64*n]
  stage i0 < floordiv(n, 2), i1 < 3 ordered {
    v0 = in_range 1 <= o0 + i0*n - 1 < n : bool
    v1 = load b0[o0*64*n + i1*(-1 - n) + mod(o1 + i0, 7)*2 + 3 - m] if v0 : f32
    v2 = load l0[floordiv(mod(i1, 5), n)] : f32
    v3 = accumulate max v1 : f32
    store l0[o0*\"o0\" + i1] = v3
    v4 = exp v1 : f32
    v5 = add v4, v2 : f32
    v6 = le v4, v5 : bool
    v7 = select v6, v4, v5 : f32
    v8 = cast v7 : bf16
    store b1[0] = v8
    store b1[i1] = v8 if v6
  }
  stage {
    v9 = const i64(-9223372036854775808) : i64
    v10 = index 1 - 9223372036854775808*n : i64
    v11 = check_index v9 < 64*n fault 3 if v0 : i64
    v12 = check_divisor v11 fault 0 : i64
    v13 = load b2[v11 - v12*4] : i64
    store b2[v12*n] = v13 combine sum
    store b2[-v12] = v13 combine prod if v0
    v14 = random v9, v10, v11 : u64
    v15 = bitcast v14 : f64
  }
  unused v16: f16
}
";

#[test]
fn every_instruction_reads_back() {
    assert_eq!(print_kernel(&parse_kernel(KERNEL).unwrap()), KERNEL);
}

#[test]
fn index_expressions_are_put_in_order() {
    let text = |index: &str| {
        let kernel = format!("kernel() {{ lanes none stage {{ index {index} }} }}");
        let printed = print_kernel(&parse_kernel(&kernel).unwrap());
        let line = printed.lines().nth(3).unwrap();
        line.trim().strip_prefix("index ").unwrap().to_string()
    };
    assert_eq!(
        text("1 + i0 - 2*(n - 1)*o0 + i0"),
        "o0*(2 - 2*n) + i0*2 + 1"
    );
    assert_eq!(
        text("-4*v1 - floordiv(3 + o1, 2 + n)*n"),
        "-v1*4 - floordiv(o1 + 3, 2 + n)*n"
    );
    assert_eq!(text("o0 - o0"), "0");
    assert_eq!(text("floordiv(n*4 + 1, 4) - mod(2, 7)"), "-2 + n");
}

#[test]
fn the_smallest_kernel_reads_back() {
    let text = "kernel() {\n  lanes none\n}\n";
    assert_eq!(print_kernel(&parse_kernel(text).unwrap()), text);
}

#[test]
fn errors_say_where_and_what() {
    let error = |from: &str, to: &str| {
        assert!(KERNEL.contains(from), "{from}");
        let damaged = KERNEL.replacen(from, to, 1);
        parse_kernel(&damaged).unwrap_err().to_string()
    };
    let cases = [
        (
            "b1: bf16 write",
            "b2: bf16",
            "1:22: expected `b1`, found `b2`",
        ),
        (
            "bf16 write",
            "bf16 w",
            "1:31: expected `read`, `write` or `readwrite`, found `w`",
        ),
        ("lanes inner\n", "", "3:5: expected `lanes`, found `local`"),
        ("o1 < 64", "o1 64", "2:20: expected `<`, found `64`"),
        (
            "i1 < 3 ordered {",
            "i1 < 3 unordered {",
            "5:37: expected `,`, `ordered` or `{`, found `unordered`",
        ),
        (
            "if v0 : f32",
            "if : f32",
            "7:72: expected a value (`v0`), found `:`",
        ),
        (
            "exp v1",
            "expp v1",
            "11:10: expected an instruction, found `expp`",
        ),
        ("v4 = exp", "v3 = exp", "11:5: v3 is defined already"),
        (
            "load l0",
            "load x0",
            "8:15: expected a buffer (`b0`) or local (`l0`), found `x0`",
        ),
        (
            "unused v16",
            "unused v17",
            "31:1: v17 is defined, but v16 is not",
        ),
        (
            "mod(o1",
            "min(o1",
            "7:42: `min` and `max` take sizes, not loop variables or values",
        ),
        (
            "o0*64",
            "o0*o1",
            "7:21: a product has one loop variable or value at most",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(error(from, to), expected);
    }
}

fn index() -> impl Strategy<Value = IndexExpr> {
    let size = prop_oneof![
        (-3i64..9).prop_map(Dim::constant),
        Just(Dim::symbol("n")),
        Just(Dim::symbol("i0")),
        Just(Dim::symbol("n").add(&Dim::constant(-7)).unwrap()),
        Just(Dim::symbol("n").mul(&Dim::symbol("m")).unwrap()),
        Just(Dim::symbol("n").modulo(&Dim::constant(4)).unwrap()),
        Just(Dim::constant(i64::MIN)),
    ];
    let leaf = prop_oneof![
        size.clone().prop_map(IndexExpr::constant),
        (0u32..3).prop_map(|n| IndexExpr::var(Var::Outer(n))),
        (0u32..3).prop_map(|n| IndexExpr::var(Var::Inner(n))),
        (0u32..3).prop_map(|n| IndexExpr::value(ValueId(n))),
    ];
    leaf.prop_recursive(4, 16, 2, move |inner| {
        let divide = |make: fn(Box<IndexExpr>, Dim) -> IndexAtom| {
            let dividend = inner.clone().prop_filter("varies", |x| !x.terms.is_empty());
            (dividend, size.clone()).prop_map(move |(x, d)| {
                let mut atom = IndexExpr::value(ValueId(0));
                atom.terms[0].atom = make(Box::new(x), d);
                atom
            })
        };
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.add(&b).unwrap_or(a)),
            (inner.clone(), size.clone()).prop_map(|(a, d)| a.scale(&d).unwrap_or(a)),
            divide(IndexAtom::FloorDiv),
            divide(IndexAtom::Mod),
        ]
    })
}

proptest! {
    #[test]
    fn index_expressions_read_back(index in index()) {
        let inst = Inst { result: None, op: InstOp::Index(index) };
        let stage = Stage { ranges: vec![], ordered: false, insts: vec![inst] };
        let kernel = Kernel {
            buffers: vec![],
            outer: vec![],
            lanes: Lanes::None,
            locals: vec![],
            values: vec![],
            stages: vec![stage],
        };
        let text = print_kernel(&kernel);
        prop_assert_eq!(parse_kernel(&text), Ok(kernel), "{}", text);
    }
}
