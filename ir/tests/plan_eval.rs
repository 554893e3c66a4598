//! The plan interpreter: every step gives what it should in every mode, and wrong aliases,
//! lifetimes and writes show.

use lazulite_ir::{
    Array, BufferId, ContractStep, Custom, DType, Dim, Environment, EvalError, EvalMode, FaultInfo,
    KernelCall, PANEL, Place, Placement, Plan, PlanBuffer, RightLayout, Step, TensorType,
    eval_plan, parse_kernel,
};
use std::sync::Arc;

const F32: DType = DType::F32;

/// Collects buffers and kernels.
#[derive(Default)]
struct Builder {
    plan: Plan,
}

impl Builder {
    fn input(&mut self, dtype: DType, len: i64) -> BufferId {
        let number = self.plan.inputs.len() as u32;
        let ty = TensorType::new(dtype, [Dim::constant(len)]);
        self.plan.inputs.push(ty);
        self.buffer(dtype, len, Place::Input(number), (0, 0))
    }

    fn buffer(&mut self, dtype: DType, len: i64, place: Place, live: (u32, u32)) -> BufferId {
        self.plan.buffers.push(PlanBuffer {
            dtype,
            len: Dim::constant(len),
            place,
            live,
        });
        BufferId(self.plan.buffers.len() as u32 - 1)
    }

    fn arena(&mut self, len: i64, live: (u32, u32)) -> BufferId {
        self.buffer(F32, len, Place::Arena, live)
    }

    fn output(&mut self, dtype: DType, len: i64) -> BufferId {
        let id = self.buffer(dtype, len, Place::Output, (0, 0));
        self.result(id, dtype, len);
        id
    }

    fn result(&mut self, id: BufferId, dtype: DType, len: i64) {
        let ty = TensorType::new(dtype, [Dim::constant(len)]);
        self.plan.outputs.push((id, ty));
    }

    fn call(&mut self, kernel: &str, args: &[BufferId]) -> KernelCall {
        let kernel = parse_kernel(kernel).unwrap();
        self.plan.kernels.push(kernel);
        KernelCall {
            kernel: self.plan.kernels.len() as u32 - 1,
            args: args.to_vec(),
        }
    }

    fn kernel(&mut self, kernel: &str, args: &[BufferId]) -> Step {
        Step::Kernel(self.call(kernel, args))
    }
}

/// `b1[i] = f(b0[index])`.
fn map(len: i64, index: &str, body: &str) -> String {
    format!(
        "kernel(b0: f32 read, b1: f32 write) {{ outer o0 < {len} lanes outer stage {{
           v0 = load b0[{index}] : f32 {body} store b1[o0] = v1 }} }}"
    )
}

fn double(len: i64) -> String {
    map(len, "o0", "v1 = add v0, v0 : f32")
}

fn reverse(len: i64) -> String {
    map(len, &format!("{} - o0", len - 1), "v1 = neg v0 : f32")
}

fn floats(values: &[f32]) -> Array {
    Array::from_f32(&[values.len()], values).unwrap()
}

fn run(plan: &Plan, inputs: &[Array], mode: EvalMode) -> Result<Vec<Array>, EvalError> {
    let environment = Environment {
        sizes: &|_| None,
        foreign: &|_| None,
    };
    eval_plan(plan, inputs, environment, mode)
}

/// Results that are the same in all modes.
fn run_all(plan: &Plan, inputs: &[Array]) -> Vec<Array> {
    let expected = run(plan, inputs, EvalMode::default()).unwrap();
    for mode in EvalMode::all() {
        assert_eq!(run(plan, inputs, mode).as_ref(), Ok(&expected), "{mode:?}");
    }
    expected
}

const PACKED: EvalMode = EvalMode {
    packed: true,
    scrambled: false,
    donate: false,
};

/// x -> a -> b -> c -> y, each the reverse of the other, `a` living until step `a_dies`.
fn chain(a_dies: u32) -> Plan {
    let mut b = Builder::default();
    let x = b.input(F32, 4);
    let first = b.arena(4, (0, a_dies));
    let second = b.arena(4, (1, 2));
    let third = b.arena(4, (2, 3));
    let y = b.output(F32, 4);
    let pairs = [(x, first), (first, second), (second, third), (third, y)];
    for (from, to) in pairs {
        let step = b.kernel(&reverse(4), &[from, to]);
        b.plan.steps.push(step);
    }
    b.plan
}

#[test]
fn lifetimes_are_taken_at_their_word() {
    let x = [floats(&[1.0, 2.0, 3.0, 4.0])];
    assert_eq!(run_all(&chain(1), &x), x);
    assert_ne!(run(&chain(0), &x, PACKED).unwrap(), x);
}

#[test]
fn aliases_share_memory() {
    let x = floats(&[1.0, 2.0, 3.0]);
    let in_place = |kernel: &str| {
        let mut b = Builder::default();
        let x = b.input(F32, 3);
        let a = b.arena(3, (0, 2));
        let same = b.buffer(F32, 3, Place::Alias(a), (1, 2));
        let y = b.output(F32, 3);
        for (text, from, to) in [
            (&*double(3), x, a),
            (kernel, a, same),
            (&double(3), same, y),
        ] {
            let step = b.kernel(text, &[from, to]);
            b.plan.steps.push(step);
        }
        b.plan
    };
    let doubled = run_all(&in_place(&double(3)), std::slice::from_ref(&x));
    assert_eq!(doubled, [floats(&[8.0, 16.0, 24.0])]);
    // A reversal cannot be done in place.
    let wrong = run(&in_place(&reverse(3)), &[x], EvalMode::default()).unwrap();
    assert_ne!(wrong, [floats(&[-12.0, -8.0, -4.0])]);
}

#[test]
fn parameters_are_overwritten_only_when_given_up() {
    let x = floats(&[1.0, 2.0, 3.0]);
    let mut b = Builder::default();
    let input = b.input(F32, 3);
    let y = b.output(F32, 3);
    let step = b.kernel(&double(3), &[input, y]);
    b.plan.steps.push(step);
    b.plan.donations.push((0, y));
    assert_eq!(
        run_all(&b.plan, std::slice::from_ref(&x)),
        [floats(&[2.0, 4.0, 6.0])]
    );
    b.plan.buffers[y.0 as usize].place = Place::Alias(input);
    let error = run(&b.plan, &[x], EvalMode::default()).unwrap_err();
    assert!(error.to_string().contains("parameter 0 is overwritten"));
}

/// Positions of columns in packed panels.
fn packed(n: i64, k: i64, depth: i64) -> usize {
    (n / PANEL * PANEL * depth + k * PANEL + n % PANEL) as usize
}

#[test]
fn contractions_read_panels_and_run_epilogues_per_tile() {
    let (batches, rows, columns, depth) = (2i64, 4i64, 70i64, 3i64);
    let batch = 2 * PANEL * depth;
    let mut b = Builder::default();
    // The left operand is stored transposed: [b, k, m].
    let lhs = b.input(DType::I32, batches * depth * rows);
    let rhs = b.input(DType::I32, batches * batch);
    let product = b.buffer(DType::I32, batches * rows * columns, Place::Arena, (0, 0));
    let y = b.output(DType::I32, batches * rows * columns);
    let epilogue = b.call(
        "kernel(b0: i32 read, b1: i32 write) {
           outer o0 < 2, o1 < 4, o2 < 70 lanes outer stage {
             v0 = load b0[o0*280 + o1*70 + o2] : i32
             v1 = neg v0 : i32
             store b1[o0*280 + o1*70 + o2] = v1 } }",
        &[product, y],
    );
    b.plan.steps.push(Step::Contract(ContractStep {
        dtype: DType::I32,
        factors: [DType::I32; 2],
        dims: [batches, rows, columns, depth].map(Dim::constant),
        lhs,
        lhs_strides: [0, depth * rows, 1, rows].map(Dim::constant),
        rhs,
        rhs_layout: RightLayout::Panels {
            batch: Dim::constant(batch),
            group: 1,
            copy_of: None,
        },
        product,
        epilogue: Some(epilogue),
    }));
    let left = |b: i64, m: i64, k: i64| (b * 31 + m * 7 + k * 3) as i32 - 20;
    let right = |b: i64, k: i64, n: i64| (n * n + k * 5 + b) as i32;
    let mut l = vec![0; (batches * depth * rows) as usize];
    // Lanes beyond the last column hold anything.
    let mut r = vec![i32::MAX; (batches * batch) as usize];
    let mut expected = Vec::new();
    for b in 0..batches {
        for k in 0..depth {
            (0..rows).for_each(|m| l[((b * depth + k) * rows + m) as usize] = left(b, m, k));
            for n in 0..columns {
                r[(b * batch) as usize + packed(n, k, depth)] = right(b, k, n);
            }
        }
        for (m, n) in (0..rows).flat_map(|m| (0..columns).map(move |n| (m, n))) {
            let sum: i32 = (0..depth).map(|k| left(b, m, k) * right(b, k, n)).sum();
            expected.push(-sum);
        }
    }
    let flat = |v: &[i32]| Array::from_i32(&[v.len()], v).unwrap();
    assert_eq!(run_all(&b.plan, &[flat(&l), flat(&r)]), [flat(&expected)]);
}

#[test]
fn contractions_read_windows_where_they_lie() {
    // A convolution of two windows each of 2 by 3 rows and columns over images of 4 by 5 with 2 channels.
    let at = |digits: &[[i64; 2]]| digits.iter().map(|d| d.map(Dim::constant)).collect();
    let mut b = Builder::default();
    let weights = b.input(DType::I32, 3 * 12);
    let images = b.input(DType::I32, 2 * 40 + 1);
    let product = b.output(DType::I32, 2 * 3 * 6);
    b.plan.steps.push(Step::Contract(ContractStep {
        dtype: DType::I32,
        factors: [DType::I32; 2],
        dims: [2, 3, 6, 12].map(Dim::constant),
        lhs: weights,
        lhs_strides: [0, 0, 12, 1].map(Dim::constant),
        rhs: images,
        rhs_layout: RightLayout::Placed(Placement {
            offset: Dim::ONE,
            batch: Dim::constant(40),
            rows: at(&[[2, 20], [2, 5], [3, 1]]),
            columns: at(&[[2, 10], [3, 1]]),
        }),
        product,
        epilogue: None,
    }));
    let weight = |o: i32, c: i32, y: i32, x: i32| o * 5 + c * 3 - y * 2 + x;
    let image = |n: i32, c: i32, y: i32, x: i32| n * 100 + c * 30 - y * 7 + x * x;
    let each = |dims: [i32; 4], of: &dyn Fn([i32; 4]) -> i32| -> Vec<i32> {
        let count: i32 = dims.iter().product();
        let place = |i: i32| {
            let [_, b, c, d] = dims;
            [i / (b * c * d), i / (c * d) % b, i / d % c, i % d]
        };
        (0..count).map(|i| of(place(i))).collect()
    };
    let l = each([3, 2, 2, 3], &|[o, c, y, x]| weight(o, c, y, x));
    let mut r = vec![i32::MAX];
    r.extend(each([2, 2, 4, 5], &|[n, c, y, x]| image(n, c, y, x)));
    let expected = each([2, 3, 2, 3], &|[n, o, y, x]| {
        let window = each([1, 2, 2, 3], &|[_, c, i, j]| {
            weight(o, c, i, j) * image(n, c, 2 * y + i, x + j)
        });
        window.iter().sum()
    });
    let flat = |v: &[i32]| Array::from_i32(&[v.len()], v).unwrap();
    assert_eq!(run_all(&b.plan, &[flat(&l), flat(&r)]), [flat(&expected)]);
}

#[test]
fn loops_swap_carries_and_slice_stacks() {
    // carry = carry + x[i]; stack[i] = the new carry. Five iterations, so the last swap counts.
    let mut b = Builder::default();
    let x = b.input(F32, 10);
    let start = b.input(F32, 2);
    let current = b.buffer(F32, 2, Place::Output, (0, 3));
    b.result(current, F32, 2);
    let next = b.arena(2, (1, 3));
    let stack = b.output(F32, 10);
    let iteration = b.buffer(DType::I64, 1, Place::Arena, (1, 3));
    let slice = |of: BufferId| Place::LoopSlice {
        of,
        stride: Dim::constant(2),
        loop_id: 9,
    };
    let x_i = b.buffer(F32, 2, slice(x), (2, 2));
    let stack_i = b.buffer(F32, 2, slice(stack), (3, 3));
    let add = "kernel(b0: f32 read, b1: f32 read, b2: f32 write) {
        outer o0 < 2 lanes outer stage {
          v0 = load b0[o0] : f32
          v1 = load b1[o0] : f32
          v2 = add v0, v1 : f32
          store b2[o0] = v2 } }";
    let copy = |from, to| Step::Copy {
        from,
        to,
        len: Dim::constant(2),
    };
    let body = vec![b.kernel(add, &[current, x_i, next]), copy(next, stack_i)];
    b.plan.steps.push(copy(start, current));
    b.plan.steps.push(Step::Loop {
        loop_id: 9,
        trip: Dim::constant(5),
        iteration,
        carries: vec![(current, next)],
        body,
    });
    let x: Vec<f32> = (0..10u8).map(f32::from).collect();
    let stacked = [10.0, 21.0, 12.0, 24.0, 16.0, 29.0, 22.0, 36.0, 30.0, 45.0];
    let results = run_all(&b.plan, &[floats(&x), floats(&[10.0, 20.0])]);
    assert_eq!(results, [floats(&[30.0, 45.0]), floats(&stacked)]);
}

#[test]
fn conditional_steps_follow_their_conditions() {
    // Doubles until the value is at least 100, then negates it if it is above 120.
    let test = |bound: i64| {
        format!(
            "kernel(b0: f32 read, b1: bool write) {{ lanes none stage {{
               v0 = load b0[0] : f32
               v1 = const f32({bound}) : f32
               v2 = lt v0, v1 : bool
               store b1[0] = v2 }} }}"
        )
    };
    let mut b = Builder::default();
    let x = b.input(F32, 1);
    let current = b.arena(1, (0, 7));
    let next = b.arena(1, (1, 3));
    let below = b.buffer(DType::Bool, 1, Place::Arena, (1, 3));
    let small = b.buffer(DType::Bool, 1, Place::Arena, (4, 5));
    let y = b.output(F32, 1);
    let copy = |from, to| Step::Copy {
        from,
        to,
        len: Dim::constant(1),
    };
    b.plan.steps = vec![
        copy(x, current),
        Step::While {
            test: vec![b.kernel(&test(100), &[current, below])],
            condition: below,
            carries: vec![(current, next)],
            body: vec![b.kernel(&double(1), &[current, next])],
        },
        b.kernel(&test(121), &[current, small]),
        Step::If {
            condition: small,
            then: vec![copy(current, y)],
            other: vec![b.kernel(&reverse(1), &[current, y])],
        },
    ];
    for (start, end) in [(5.0, -160.0), (7.0, 112.0), (110.0, 110.0)] {
        assert_eq!(run_all(&b.plan, &[floats(&[start])]), [floats(&[end])]);
    }
}

#[test]
fn sorts_are_stable_and_put_nan_last() {
    let dims = [1i64, 4, 2].map(Dim::constant);
    let keys = [3.0, f32::NAN, 1.0, 2.0, 3.0, -1.0, 2.0, 2.0];
    let payload = [0i64, 1, 2, 3, 4, 5, 6, 7];
    let sorted = |descending: bool| {
        let mut b = Builder::default();
        let inputs = vec![b.input(F32, 8), b.input(DType::I64, 8)];
        let outputs = vec![b.output(F32, 8), b.output(DType::I64, 8)];
        b.plan.steps.push(Step::Sort {
            inputs,
            outputs,
            dims: dims.clone(),
            descending,
        });
        let payload = Array::from_i64(&[8], &payload).unwrap();
        run_all(&b.plan, &[floats(&keys), payload])[1].to_i64_vec()
    };
    assert_eq!(sorted(false), [2, 5, 6, 3, 0, 7, 4, 1]);
    assert_eq!(sorted(true), [0, 1, 4, 3, 6, 7, 2, 5]);
}

#[test]
fn foreign_functions_fail_as_faults() {
    let host = |operands: &[&[u8]], dims: &[&[usize]], results: &mut [&mut [u8]]| {
        assert_eq!(dims, [[2]]);
        if operands[0][0] != 0 {
            return Err("odd".to_string());
        }
        results[0].copy_from_slice(operands[0]);
        Ok(())
    };
    let mut b = Builder::default();
    let x = b.input(F32, 2);
    let y = b.output(F32, 2);
    let ty = TensorType::new(F32, [Dim::constant(2)]);
    b.plan.faults.push(FaultInfo {
        what: "custom odd".into(),
        source: None,
    });
    b.plan.steps.push(Step::Custom {
        target: Custom::Host("odd".into(), Arc::new(host)),
        inputs: vec![(x, ty.clone())],
        outputs: vec![(y, ty)],
        fault: 0,
    });
    let ok = floats(&[1.0, 2.0]);
    assert_eq!(run_all(&b.plan, std::slice::from_ref(&ok)), [ok]);
    let odd = floats(&[1.0 + f32::EPSILON, 2.0]);
    let error = run(&b.plan, &[odd], EvalMode::default()).unwrap_err();
    assert_eq!(error.to_string(), "custom odd: odd");
}

#[test]
fn plans_that_break_rules_are_refused() {
    let plan = chain(1);
    let refused = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        change(&mut plan);
        let x = floats(&[1.0, 2.0, 3.0, 4.0]);
        run(&plan, &[x], EvalMode::default())
            .unwrap_err()
            .to_string()
    };
    let short = refused(&|p| p.buffers[1].len = Dim::constant(3));
    assert_eq!(short, "buffer 1 has 3 elements, element 3 is accessed");
    let cycle = refused(&|p| p.buffers[1].place = Place::Alias(BufferId(1)));
    assert_eq!(cycle, "buffer 1 lies within itself");
    let missing = refused(&|p| p.buffers[1].place = Place::Alias(BufferId(99)));
    assert_eq!(missing, "there is no buffer 99");
    let error = run(&plan, &[], EvalMode::default()).unwrap_err();
    assert_eq!(error.to_string(), "the plan has 1 parameters, 0 were given");
}
