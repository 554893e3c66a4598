//! The vector IR's verifier, interpreter and text.

use lazulite_codegen::vector::interp::{Arguments, FaultRecord, RunError, run};
use lazulite_codegen::vector::{
    Bin, Builder, Class, Function, MemAccess, Op, Reg, Scalar, ScalarOp, Stmt, Un, VarId, verify,
};
use lazulite_ir::DType;

const LINE: MemAccess = MemAccess::Contiguous;

/// A function of four lanes from statements over these registers.
fn function(regs: &[(Class, u32)], body: Vec<Stmt>) -> Function {
    Function {
        lanes: 4,
        regs: regs.to_vec(),
        scalars: 4,
        vars: vec![(Class::F32, 4)],
        pool: Vec::new(),
        body,
    }
}

fn run_on(f: &Function, buffers: &mut [Vec<u8>]) -> Result<Option<FaultRecord>, RunError> {
    let arguments = Arguments {
        buffers: buffers.iter_mut().map(|b| b.as_mut_slice()).collect(),
        sizes: &[],
        bounds: &[(0, 7)],
    };
    run(f, arguments)
}

fn bytes_of<const N: usize, T>(values: &[T], bytes: impl Fn(&T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(bytes).collect()
}

#[test]
fn verifier_names_what_is_wrong() {
    let float = (Class::F32, 4);
    let one = |reg| Stmt::Let(Reg(reg), Op::Const(0));
    let neg = |to, from| Stmt::Let(Reg(to), Op::Unary(Un::Neg, Reg(from)));
    let scalar = |to| Stmt::Scalar(Scalar(to), ScalarOp::Const(0));
    let loop_of = |body| Stmt::For {
        counter: Scalar(1),
        after: Scalar(2),
        from: Scalar(0),
        to: Scalar(0),
        step: 1,
        body,
    };
    let cases: Vec<(Vec<Stmt>, &str)> = vec![
        (
            vec![neg(0, 1)],
            "%1 is not defined here in `%0: f32x4 = neg %1`",
        ),
        (
            vec![one(0), one(0)],
            "%0 is defined twice in `%0: f32x4 = const 0.0`",
        ),
        (
            vec![scalar(0), loop_of(vec![one(0)]), neg(1, 0)],
            "%0 is not defined here in `%1: f32x4 = neg %0`",
        ),
        (
            vec![
                one(0),
                Stmt::Let(Reg(2), Op::Binary(Bin::Add, Reg(0), Reg(0))),
            ],
            "%0 is f32x4, not i32x4 in `%2: i32x4 = add %0, %0`",
        ),
        (
            vec![
                one(0),
                Stmt::Let(Reg(1), Op::Binary(Bin::Shl, Reg(0), Reg(0))),
            ],
            "no such binary operation on f32 in `%1: f32x4 = shl %0, %0`",
        ),
        (
            vec![Stmt::Let(Reg(0), Op::Get(VarId(0)))],
            "var0 may not be set in `%0: f32x4 = var0`",
        ),
        (
            vec![Stmt::Scalar(Scalar(0), ScalarOp::Pool(64))],
            "byte 64 of a pool of 0 in `s0 = pool 64`",
        ),
        (
            vec![
                scalar(0),
                loop_of(vec![]),
                Stmt::Scalar(Scalar(3), ScalarOp::Add(Scalar(1), Scalar(2))),
            ],
            "s1 is not defined here in `s3 = s1 + s2`",
        ),
    ];
    for (body, message) in cases {
        let f = function(&[float, float, (Class::I32, 4)], body);
        let error = verify(&f).expect_err(message).to_string();
        assert_eq!(error, format!("invalid vector code: {message}"));
    }
}

#[test]
fn accesses_outside_memory_are_errors_but_masked_lanes_access_nothing() {
    let build = |masked: bool| {
        let mut b = Builder::new(4);
        let address = b.buffer(0);
        let lane = b.s_const(0);
        let lane = b.ramp(Class::I64, 4, lane, 1);
        let two = b.int_like(lane, 2);
        let mask = b.lt(lane, two);
        let mask = masked.then_some(mask);
        let x = b.load(DType::I16, 4, address, LINE, mask);
        b.store(DType::I16, address, LINE, x, mask, false);
        b.finish()
    };
    let mut memory = [bytes_of(&[-3i16, 7], |x| x.to_le_bytes())];
    assert_eq!(run_on(&build(true), &mut memory), Ok(None));
    let error = run_on(&build(false), &mut memory);
    let out_of_bounds = RunError::OutOfBounds {
        buffer: Some(0),
        offset: 4,
        bytes: 2,
    };
    assert_eq!(error, Err(out_of_bounds));
}

#[test]
fn loops_leave_the_first_counter_not_run() {
    let mut b = Builder::new(1);
    let (from, to) = (b.box_from(0), b.box_to(0));
    let address = b.buffer(0);
    let sum = b.var(Class::I64, 1);
    let start = b.const_bits(Class::I64, 1, 0);
    b.set(sum, start);
    let (after, ()) = b.for_loop(from, to, 3, |b, counter| {
        let counter = b.splat(Class::I64, 1, counter);
        let old = b.get(sum);
        let new = b.add(old, counter);
        b.set(sum, new);
    });
    let hundred = b.s_const(100);
    let after = b.s_mul(after, hundred);
    let after = b.splat(Class::I64, 1, after);
    let total = b.get(sum);
    let result = b.add(total, after);
    b.store(DType::I64, address, LINE, result, None, false);
    let mut memory = [vec![0; 8]];
    assert_eq!(run_on(&b.finish(), &mut memory), Ok(None));
    // Counters 0 and 3 fit below 7; 6 would reach 9.
    assert_eq!(memory[0], 603i64.to_le_bytes());
}

#[test]
fn the_first_fault_of_the_first_lane_counts() {
    let mut b = Builder::new(4);
    let zero = b.s_const(0);
    let lane = b.ramp(Class::I64, 4, zero, 5);
    let limit = b.int_like(lane, 7);
    let above = b.lt(limit, lane);
    let bound = b.s_const(7);
    b.fault(above, 3, lane, bound);
    let all = b.not(above);
    b.fault(all, 4, lane, bound);
    let fault = FaultRecord {
        fault: 3,
        value: 10,
        bound: 7,
    };
    assert_eq!(run_on(&b.finish(), &mut []), Ok(Some(fault)));
}

#[test]
fn memory_types_widen_and_narrow() {
    let mut b = Builder::new(4);
    let (from, to) = (b.buffer(0), b.buffer(1));
    let x = b.load(DType::F16, 4, from, LINE, None);
    let sum = b.horizontal(Bin::Add, x);
    let sum = b.splat_lane(sum);
    let y = b.div(x, sum);
    b.store(DType::BF16, to, LINE, y, None, false);
    let values = [1.0f32, 2.0, 3.0, 2.0];
    let input = bytes_of(&values, |&x| half::f16::from_f32(x).to_le_bytes());
    let mut memory = [input, vec![0; 8]];
    assert_eq!(run_on(&b.finish(), &mut memory), Ok(None));
    let want = bytes_of(&values, |&x| half::bf16::from_f32(x / 8.0).to_le_bytes());
    assert_eq!(memory[1], want);
}

#[test]
fn divisions_by_zero_and_missing_arguments_are_errors() {
    let mut b = Builder::new(1);
    let address = b.buffer(0);
    let x = b.load(DType::I32, 1, address, LINE, None);
    let quotient = b.div(x, x);
    b.store(DType::I32, address, LINE, quotient, None, false);
    let f = b.finish();
    assert_eq!(run_on(&f, &mut [vec![0; 4]]), Err(RunError::Divisor(0)));
    let missing = RunError::MissingArgument(ScalarOp::Buffer(0));
    assert_eq!(run_on(&f, &mut []), Err(missing));
}

#[test]
fn functions_print_readably() {
    let mut b = Builder::new(4);
    let (from, to) = (b.box_from(0), b.box_to(0));
    let base = b.buffer(0);
    b.for_loop(from, to, 4, |b, counter| {
        let size = b.s_const(4);
        let offset = b.s_mul(counter, size);
        let address = b.s_add(base, offset);
        let x = b.load(DType::F32, 4, address, LINE, None);
        let half = b.splat_f32(0.5);
        let y = b.fma(x, half, half);
        let small = b.lt(y, half);
        b.if_any(small, |b| {
            b.store(DType::F32, address, LINE, y, Some(small), true)
        });
    });
    let text = "\
lanes 4, pool 0 bytes
s0 = from 0
s1 = to 0
s2 = buffer 0
s4 = 4
%1: f32x4 = const 0.5
for s3 = s0 to s1 step 4, then s7 {
  s5 = s3 * s4
  s6 = s2 + s5
  %0: f32x4 = load f32 [s6]
  %2: f32x4 = fma %0, %1, %1
  %3: maskx4 = lt %2, %1
  if any %3 {
    store non-temporal f32 [s6] where %3, %2
  }
}
";
    assert_eq!(b.finish().to_string(), text);
}
