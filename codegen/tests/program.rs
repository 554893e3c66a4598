//! Hand-written plans, compiled and run.

use lazulite_codegen::{CodegenError, CodegenOptions, Level, compile, inspect};
use lazulite_ir::{
    BufferId, DType, Dim, FaultInfo, Guard, KernelCall, Place, Plan, PlanBuffer, Relation, Step,
    Symbol, TensorType, parse_kernel,
};
use lazulite_runtime::{Buffer, Input, Pool, RunError};

const SCALE: &str = "\
kernel(b0: f32 read, b1: f32 write) { outer o0 < m, o1 < n lanes outer stage {
  v0 = load b0[o0*n + o1] : f32
  v1 = exp v0 : f32
  store b1[o0*n + o1] = v1
} }";

const ROW_SUMS: &str = "\
kernel(b0: f32 read, b1: f32 write) { outer o0 < m lanes inner
  stage i0 < n {
    v0 = load b0[o0*n + i0] : f32
    v1 = accumulate sum v0 : f32
  }
  stage { store b1[o0] = v1 } }";

fn matrix() -> TensorType {
    TensorType::new(DType::F32, [Dim::symbol("m"), Dim::symbol("n")])
}

fn buffer(len: Dim, place: Place, live: (u32, u32)) -> PlanBuffer {
    PlanBuffer {
        dtype: DType::F32,
        len,
        place,
        live,
    }
}

fn call(kernel: u32, args: &[u32]) -> Step {
    let args = args.iter().map(|&b| BufferId(b)).collect();
    Step::Kernel(KernelCall { kernel, args })
}

/// `sum(exp(x), axis 1)` in two kernels.
fn plan() -> Plan {
    let (m, n) = (Dim::symbol("m"), Dim::symbol("n"));
    let elements = m.mul(&n).unwrap();
    Plan {
        symbols: vec![Symbol::new("m"), Symbol::new("n")],
        inputs: vec![matrix()],
        outputs: vec![(BufferId(2), TensorType::new(DType::F32, [m.clone()]))],
        buffers: vec![
            buffer(elements.clone(), Place::Input(0), (0, 0)),
            buffer(elements, Place::Arena, (0, 1)),
            buffer(m.clone(), Place::Output, (1, 1)),
        ],
        kernels: vec![
            parse_kernel(SCALE).unwrap(),
            parse_kernel(ROW_SUMS).unwrap(),
        ],
        steps: vec![call(0, &[0, 1]), call(1, &[1, 2])],
        guards: vec![Guard {
            lhs: m,
            relation: Relation::Le,
            rhs: Dim::constant(1000),
            message: "too many rows".into(),
        }],
        ..Plan::default()
    }
}

#[test]
fn pointwise_and_reduction_run_end_to_end() {
    for level in Level::ALL.into_iter().filter(|l| l.is_available()) {
        let options = CodegenOptions {
            level,
            ..CodegenOptions::default()
        };
        let program = compile(&plan(), &options, 1).unwrap();
        for threads in [1, 2] {
            let pool = Pool::new(threads).unwrap();
            for (m, n) in [(1, 1), (3, 7), (64, 33), (7, 0), (0, 5), (300, 400)] {
                let x: Vec<f32> = (0..m * n).map(|i| (i % 17) as f32 / 4.0 - 2.0).collect();
                let input = Input::keep(Buffer::from_slice(&x).unwrap());
                let outputs = program.run(&mut [input], &[m, n], &pool).unwrap();
                let sums: Vec<f32> = outputs.buffers[0].to_vec();
                assert_eq!(sums.len(), m as usize);
                for (row, sum) in sums.iter().enumerate() {
                    let row = &x[row * n as usize..(row + 1) * n as usize];
                    let expected: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
                    let error = (f64::from(*sum) - expected).abs();
                    assert!(error <= 1e-5 * expected, "{sum} but {expected}");
                }
            }
        }
        let input = Input::keep(Buffer::from_slice(&[0f32; 1001]).unwrap());
        let pool = Pool::new(1).unwrap();
        let error = program.run(&mut [input], &[1001, 1], &pool).unwrap_err();
        assert!(error.to_string().contains("too many rows"), "{error}");
    }
}

#[test]
fn faults_are_reported_by_number() {
    let kernel = "\
kernel(b0: f32 read, b1: f32 write) { outer o0 < m lanes outer stage {
  v0 = load b0[o0] : f32
  v1 = cast v0 : i64
  v2 = check_index v1 < 5 fault 1 : i64
  v3 = cast v2 : f32
  store b1[o0] = v3
} }";
    let m = Dim::symbol("m");
    let fault = |what: &str| FaultInfo {
        what: what.into(),
        source: None,
    };
    let plan = Plan {
        symbols: vec![Symbol::new("m")],
        inputs: vec![TensorType::new(DType::F32, [m.clone()])],
        outputs: vec![(BufferId(1), TensorType::new(DType::F32, [m.clone()]))],
        buffers: vec![
            buffer(m.clone(), Place::Input(0), (0, 0)),
            buffer(m, Place::Output, (0, 0)),
        ],
        kernels: vec![parse_kernel(kernel).unwrap()],
        steps: vec![call(0, &[0, 1])],
        faults: vec![fault("another"), fault("index out of range")],
        ..Plan::default()
    };
    let program = compile(&plan, &CodegenOptions::default(), 1).unwrap();
    let pool = Pool::new(1).unwrap();
    let run = |values: &[f32]| {
        let input = Input::keep(Buffer::from_slice(values).unwrap());
        let result = program.run(&mut [input], &[values.len() as i64], &pool);
        result.map(|o| o.buffers[0].to_vec::<f32>())
    };
    assert_eq!(run(&[1.0, 4.5, 0.0]), Ok(vec![1.0, 4.0, 0.0]));
    match run(&[1.0, 2.0, 3.0, 4.0, 2.0, 7.0]) {
        Err(RunError::Fault {
            what, value, bound, ..
        }) => {
            assert_eq!((what.as_str(), value, bound), ("index out of range", 7, 5));
        }
        other => panic!("{other:?}"),
    }
}

/// A size that has no value does not matter to a kernel that does not run.
#[test]
fn sizes_of_kernels_without_points_need_not_make_sense() {
    let kernel = "\
kernel(b0: f32 read, b1: f32 write) { outer o0 < m lanes outer stage {
  v0 = load b0[floordiv(o0, m)*floordiv(8, m)] : f32
  store b1[o0] = v0
} }";
    let m = Dim::symbol("m");
    let plan = Plan {
        symbols: vec![Symbol::new("m")],
        inputs: vec![TensorType::new(DType::F32, [m.clone()])],
        outputs: vec![(BufferId(1), TensorType::new(DType::F32, [m.clone()]))],
        buffers: vec![
            buffer(m.clone(), Place::Input(0), (0, 0)),
            buffer(m, Place::Output, (0, 0)),
        ],
        kernels: vec![parse_kernel(kernel).unwrap()],
        steps: vec![call(0, &[0, 1])],
        ..Plan::default()
    };
    let program = compile(&plan, &CodegenOptions::default(), 1).unwrap();
    let pool = Pool::new(1).unwrap();
    for values in [&[][..], &[2.5; 8]] {
        let input = Input::keep(Buffer::from_slice(values).unwrap());
        let sizes = [values.len() as i64];
        let outputs = program.run(&mut [input], &sizes, &pool).unwrap();
        assert_eq!(outputs.buffers[0].to_vec::<f32>(), values);
    }
}

#[test]
fn symbols_that_the_plan_does_not_have_are_refused() {
    let mut plan = plan();
    plan.symbols.pop();
    let error = compile(&plan, &CodegenOptions::default(), 1).unwrap_err();
    assert!(matches!(error, CodegenError::Malformed(_)), "{error}");
}

#[test]
fn kernels_can_be_read() {
    let kernel = parse_kernel(ROW_SUMS).unwrap();
    let text = inspect(&kernel, &CodegenOptions::default()).unwrap();
    assert!(text.vector.contains("horizontal"), "{}", text.vector);
    let native = text.native.to_string();
    assert!(native.contains("addps"), "{native}");
}
