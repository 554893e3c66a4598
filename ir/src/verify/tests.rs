//! Every broken graph, kernel and plan is named by the verifier.

use super::*;
use crate::{
    BufferId, ContractStep, Custom, DType, Dim, FaultInfo, Graph, Kernel, KernelCall, Op, Place,
    Placement, Plan, PlanBuffer, RightLayout, Step, Symbol, TensorType, parse_graph, parse_kernel,
};

fn messages(result: Result<(), Findings>) -> Vec<String> {
    let findings = result.err().map(|f| f.0).unwrap_or_default();
    findings.into_iter().map(|f| f.message).collect()
}

#[test]
fn findings_show_the_lines_around_them() {
    let text = "graph(%0: f32[4]) {\n  %1 = exp %0 : f32[4]\n  return %1\n}\n";
    let mut graph = parse_graph(text).unwrap();
    graph.set_outputs([crate::NodeId(7)]);
    assert_eq!(
        verify_graph(&graph).unwrap_err().to_string(),
        "result 0 is %7, which does not exist\n\
         \x20    1 | graph(%0: f32[4]) {\n\
         \x20    2 |   %1 = exp %0 : f32[4]\n\
         >    3 |   return %7\n\
         \x20    4 | }\n"
    );
}

#[test]
fn graphs_are_checked_inside_out() {
    let text = "graph(%0: f32[n], %1: f32[m]) {\n  %2 = add %0, %1 : f32[n]\n  return %2\n}";
    let mut body = parse_graph(text).unwrap();
    assert_eq!(messages(verify_graph(&body)), [""; 0]);
    body.set_guards(Vec::new());
    let mut graph = Graph::new();
    let n = |name| TensorType::new(DType::F32, [Dim::symbol(name)]);
    let (a, b) = (graph.input(n("n")), graph.input(n("m")));
    let name = "f".into();
    let call = Op::Call {
        name,
        body: body.into(),
    };
    let call = graph.add(call, [a, b]).unwrap();
    let stray = Op::Input {
        index: 1,
        ty: n("n"),
    };
    graph.add(stray, []).unwrap();
    graph.set_outputs([call]);
    assert_eq!(
        messages(verify_graph(&graph)),
        [
            "in `body` of %2: %2 needs a guard that is missing: guard n == m",
            "%3 is not parameter number 1 of the graph",
            "result 0 is %2, which is a tuple",
        ]
    );
}

#[test]
fn deep_nesting_is_found() {
    let mut graph = Graph::new();
    for _ in 0..40 {
        let mut around = Graph::new();
        let name = "f".into();
        let body = graph.into();
        around.add(Op::Call { name, body }, []).unwrap();
        graph = around;
    }
    let found = messages(verify_graph(&graph));
    assert!(
        found[0].ends_with("graphs nest deeper than 32 levels"),
        "{found:?}"
    );
    assert!(graph.to_string().contains("graph(...)"));
}

const KERNEL: &str = "\
kernel(b0: f32 read, b1: f32 write, b2: i64 readwrite, b3: f16 read) {
  outer o0 < n
  lanes inner
  local l0: f32[64]
  stage {
    v0 = load b2[o0] : i64
    v1 = check_index v0 < 64 fault 0 : i64
    v2 = in_range 1 <= o0 < n : bool
  }
  stage i0 < 64 {
    v3 = load b0[o0*64 + mod(i0, 8)] if v2 : f32
    v4 = exp v3 : f32
    store l0[i0] = v4
    v5 = accumulate sum v4 : f32
    v6 = load b3[v1] : f16
    v7 = cast v6 : f32
  }
  stage i0 < 64 {
    v8 = load l0[i0] : f32
    v9 = div v8, v5 : f32
    store b1[o0*64 + i0] = v9
    store b2[v1] = v1 combine sum if v2
  }
}
";

/// Damage, and what is found.
const KERNEL_CASES: &[(&str, &str, &str)] = &[
    ("exp v3", "exp v5", "v5 is used before it is defined"),
    (
        "v8, v5",
        "v8, v4",
        "v4 belongs to the points of an earlier stage and is no accumulator",
    ),
    (
        "v7 = cast v6 : f32",
        "v7 = neg v5 : f32",
        "v5 accumulates in a stage that is not ordered, so it has no value before the stage's end",
    ),
    ("cast v6", "cast v17", "there is no value v17"),
    (
        "v7 = cast v6 : f32",
        "v7 = neg v6 : f16",
        "v6 is f16: f16 and bf16 are only loaded, stored, selected, cast and bitcast",
    ),
    (
        "div v8, v5 : f32",
        "eq v8, v5 : f32",
        "v9 is declared f32 and computed as bool",
    ),
    (
        "div v8, v5",
        "div v8, v0",
        "div: operand 0 is f32 and operand 1 is i64, needed is one type",
    ),
    ("load b0[", "load b1[", "b1 is declared write and is read"),
    ("load b0[", "load b7[", "there is no buffer b7"),
    ("load l0[", "load l3[", "there is no local l3"),
    (
        "store l0[i0] = v4",
        "",
        "l0 is read before anything is stored in it",
    ),
    (
        "v4\n    v5",
        "v1\n    v5",
        "v1 is stored in l0 and must be f32, not i64",
    ),
    (
        "store b1[o0*64 + i0] = v9",
        "store b2[o0] = v9",
        "v9 is stored in b2 and must be i64, not f32",
    ),
    (
        "store b1[o0*64 + i0] = v9",
        "store b1[o0] = v9 combine sum",
        "b1 is declared write and is read and written",
    ),
    (
        "if v2 : f32",
        "if v1 : f32",
        "v1 is a condition and must be bool, not i64",
    ),
    ("b3[v1]", "b3[v2]", "v2 stands in an index and is not i64"),
    ("b3[v1]", "b3[o1]", "there is no loop o1 here"),
    ("b3[v1]", "b3[i1 + 4]", "there is no loop i1 here"),
    ("mod(i0, 8)", "mod(i0, 0)", "an index is divided by 0"),
    (
        "v4 = exp v3 : f32",
        "exp v3 v4 = neg v3 : f32",
        "an instruction that is no store has a result",
    ),
    (
        "store b1[o0*64 + i0] = v9",
        "v10 = store b1[0] = v9 : f32",
        "a store has no result, this one is v10",
    ),
    (
        "local l0: f32[64]",
        "local l0: f32[-1]",
        "the length of l0 is negative: -1",
    ),
    (
        "outer o0 < n",
        "outer o0 < -4",
        "the range of o0 is negative: -4",
    ),
    (
        "b3: f16",
        "b3: c64",
        "b3 is c64: kernels know no complex numbers",
    ),
    (
        "v7 = cast v6 : f32",
        "v7 = check_divisor v4 fault 0 : f32",
        "v4 is f32: only integers are checked as divisors",
    ),
];

#[test]
fn kernels_keep_their_rules() {
    let found = |text: &str| messages(verify_kernel(&parse_kernel(text).unwrap()));
    assert_eq!(found(KERNEL), [""; 0]);
    for (from, to, message) in KERNEL_CASES {
        assert!(KERNEL.contains(from), "{from}");
        let found = found(&KERNEL.replacen(from, to, 1));
        assert!(
            found.iter().any(|m| m == message),
            "{from} -> {to}: {found:#?}"
        );
    }
    assert_eq!(
        found("kernel() { lanes outer }"),
        ["lanes run along the last outer range, but there is none"]
    );
}

#[test]
fn values_are_defined_once_and_indices_canonical() {
    let mut kernel = parse_kernel(KERNEL).unwrap();
    let insts = &mut kernel.stages[2].insts;
    insts[1].result = insts[0].result;
    let index = insts[2].op.index_mut().unwrap();
    index.terms.reverse();
    index.terms[0].coefficient = Dim::ZERO;
    assert_eq!(
        messages(verify_kernel(&kernel)),
        [
            "v8 is defined a second time",
            "the terms of an index are out of order, or one occurs twice",
            "i0 has the coefficient 0",
            "v9 is used before it is defined",
        ]
    );
}

fn copy_kernel(access: &str, dtype: &str) -> Kernel {
    let text = format!(
        "kernel(b0: {dtype} read, b1: {dtype} {access}) {{
            outer o0 < n
            lanes outer
            stage {{
                v0 = load b0[o0] : {dtype}
                store b1[o0] = v0
            }}
        }}"
    );
    parse_kernel(&text).unwrap()
}

fn call(kernel: u32, args: [u32; 2]) -> KernelCall {
    let args = args.map(BufferId).to_vec();
    KernelCall { kernel, args }
}

fn row() -> TensorType {
    TensorType::new(DType::F32, [Dim::symbol("n")])
}

fn plan_buffers() -> Vec<PlanBuffer> {
    let n = Dim::symbol("n");
    let buffer = |dtype, len: &Dim, place| PlanBuffer {
        dtype,
        len: len.clone(),
        place,
        live: (0, 0),
    };
    let slice = Place::LoopSlice {
        of: BufferId(7),
        stride: n.clone(),
        loop_id: 3,
    };
    let stacked = n.mul(&Dim::constant(5)).unwrap();
    vec![
        buffer(DType::F32, &n, Place::Input(0)),
        buffer(DType::F32, &n, Place::Output),
        buffer(DType::F32, &n, Place::Arena),
        buffer(DType::F32, &n, Place::Arena),
        buffer(DType::I64, &Dim::ONE, Place::Arena),
        buffer(DType::Bool, &Dim::ONE, Place::Input(1)),
        buffer(DType::F32, &n, Place::Arena),
        buffer(DType::F32, &stacked, Place::Output),
        buffer(DType::F32, &n, slice),
        buffer(DType::F32, &n, Place::Alias(BufferId(6))),
    ]
}

fn copy_step(from: u32, to: u32) -> Step {
    Step::Copy {
        from: BufferId(from),
        to: BufferId(to),
        len: Dim::symbol("n"),
    }
}

fn plan_steps() -> Vec<Step> {
    let (n, b) = (Dim::symbol("n"), BufferId);
    let carries = || vec![(b(2), b(3))];
    let branches = Step::If {
        condition: b(5),
        then: vec![Step::Kernel(call(0, [2, 6]))],
        other: vec![copy_step(0, 6)],
    };
    let contract = ContractStep {
        dtype: DType::F32,
        factors: [DType::F32; 2],
        dims: [Dim::ONE, Dim::ONE, n.clone(), n.clone()],
        lhs: b(0),
        lhs_strides: [Dim::ZERO, n.clone(), Dim::ONE, Dim::ONE],
        rhs: b(2),
        rhs_layout: RightLayout::Panels {
            batch: Dim::ZERO,
            group: 1,
            copy_of: None,
        },
        product: b(3),
        epilogue: Some(call(0, [3, 6])),
    };
    vec![
        copy_step(0, 2),
        Step::Loop {
            loop_id: 3,
            trip: Dim::constant(5),
            iteration: b(4),
            carries: carries(),
            body: vec![
                Step::Kernel(call(0, [2, 3])),
                Step::Kernel(call(0, [2, 8])),
                branches,
                Step::Kernel(call(0, [6, 3])),
            ],
        },
        Step::Sort {
            inputs: vec![b(2)],
            outputs: vec![b(6)],
            dims: [Dim::ONE, n, Dim::ONE],
            descending: true,
        },
        Step::While {
            test: vec![Step::Kernel(call(0, [2, 9]))],
            condition: b(5),
            carries: carries(),
            body: vec![Step::Kernel(call(0, [9, 3]))],
        },
        Step::Contract(contract),
        Step::Custom {
            target: Custom::Library("scale".into()),
            inputs: vec![(b(6), row())],
            outputs: vec![(b(1), row())],
            fault: 0,
        },
    ]
}

/// A plan with every kind of step and place.
fn plan() -> Plan {
    let stacked = TensorType::new(DType::F32, [Dim::constant(5), Dim::symbol("n")]);
    Plan {
        symbols: vec![Symbol::new("n")],
        inputs: vec![row(), TensorType::scalar(DType::Bool)],
        outputs: vec![(BufferId(1), row()), (BufferId(7), stacked)],
        buffers: plan_buffers(),
        kernels: vec![
            copy_kernel("write", "f32"),
            copy_kernel("readwrite", "bool"),
        ],
        steps: plan_steps(),
        guards: Vec::new(),
        faults: vec![FaultInfo {
            what: "scale failed".into(),
            source: None,
        }],
        donations: vec![(0, BufferId(1))],
    }
}

#[test]
fn plans_are_readable() {
    let text = plan().to_string();
    let (head, steps) = text.split_once("  k0 = kernel").unwrap();
    assert_eq!(
        head,
        "plan(n) {
  input 0: f32[n]
  input 1: bool[]
  output 0: f32[n] in b1
  output 1: f32[5, n] in b7
  donate input 0 to b1
  fault 0: \"scale failed\"
  b0: f32[n] input 0
  b1: f32[n] output
  b2: f32[n] arena
  b3: f32[n] arena
  b4: i64[1] arena
  b5: bool[1] input 1
  b6: f32[n] arena
  b7: f32[5*n] output
  b8: f32[n] slice of b7, n per iteration of loop 3
  b9: f32[n] alias of b6
"
    );
    let (_, steps) = steps.split_once("  steps").unwrap();
    assert_eq!(
        steps,
        " {
    0: copy b0 -> b2, n elements
    1: loop 3, b4 < 5, b2 <-> b3 {
      2: k0(b2, b3)
      3: k0(b2, b8)
      4: if b5 {
        5: k0(b2, b6)
      } else {
        6: copy b0 -> b6, n elements
      }
      7: k0(b6, b3)
    }
    8: sort descending [1, n, 1] b2 -> b6
    9: while {
      10: k0(b2, b9)
    } b5, b2 <-> b3 {
      11: k0(b9, b3)
    }
    12: contract f32 b=1 m=1 n=n k=n: b0 from 0 by [n, 1, 1] * b2 by 0 -> b3, then k0(b3, b6)
    13: custom \"scale\" (b6: f32[n]) -> (b1: f32[n]) fault 0
  }
}
"
    );
}

type Change = fn(&mut Plan);

/// Damage, and what is found.
const PLAN_CASES: &[(Change, &str)] = &[
    (
        |p| p.steps[0] = Step::Kernel(call(0, [3, 2])),
        "b3 is read before it is written",
    ),
    (
        |p| p.steps[0] = Step::Kernel(call(0, [0, 0])),
        "b0 is the memory of input 0 and is written",
    ),
    (
        |p| p.steps[0] = Step::Kernel(call(9, [0, 2])),
        "there is no kernel k9",
    ),
    (
        |p| p.steps[0] = Step::Kernel(call(0, [0, 99])),
        "there is no buffer b99",
    ),
    (
        |p| p.steps[0] = Step::Kernel(call(1, [5, 2])),
        "b2 is b1 of k1 and must be bool, not f32",
    ),
    (
        |p| p.steps[0] = Step::Kernel(call(0, [0, 8])),
        "b8 is a slice of loop 3, used outside of it",
    ),
    (
        |p| {
            p.steps[0] = Step::Kernel(KernelCall {
                kernel: 0,
                args: Vec::new(),
            })
        },
        "k0 takes 2 buffers, 0 are given",
    ),
    (|p| drop(p.steps.pop()), "b1 is a result and never written"),
    (|p| p.faults.clear(), "there is no fault 0"),
    (
        |p| p.buffers[6].place = Place::Alias(BufferId(9)),
        "b9 lies in the memory of no buffer, or in its own",
    ),
    (
        |p| p.buffers[9].place = Place::Alias(BufferId(77)),
        "b9 lies in the memory of no buffer, or in its own",
    ),
    (
        |p| p.buffers[0].place = Place::Input(4),
        "there is no input 4",
    ),
    (
        |p| p.buffers[2].len = Dim::symbol("k"),
        "the size k depends on k, which is not bound",
    ),
    (
        |p| p.outputs[0].1.dtype = DType::C128,
        "b1 holds f32, needed is c128[n]",
    ),
    (
        |p| p.donations[0].1 = BufferId(2),
        "b2 is not memory of a result",
    ),
    (
        |p| p.buffers[7].live = (0, 13),
        "b2 lives from step 0 to 0 only",
    ),
    (
        |p| {
            body(p).truncate(2);
            body(p).remove(0);
        },
        "b3 is carried and not written by the body",
    ),
    (
        |p| drop(body(p).remove(1)),
        "b7 is a result and never written",
    ),
    (
        |p| {
            if let Step::If { other, .. } = &mut body(p)[2] {
                other.clear();
            }
        },
        "b6 is read before it is written",
    ),
    (
        |p| p.steps[4] = placed(&[[2, 3], [4, 1]], &[[3, 1]]),
        "digits of 8 values for 7 of k",
    ),
    (
        |p| p.steps[4] = placed(&[[7, 1]], &[[1, 1]; 5]),
        "5 digits of n, more than 4",
    ),
    (
        |p| p.kernels[0].stages[0].insts.reverse(),
        "in k0: v0 is used before it is defined",
    ),
];

/// A product of 7 summed elements and 3 columns that reads its right operand by these digits.
fn placed(rows: &[[i64; 2]], columns: &[[i64; 2]]) -> Step {
    let at = |digits: &[[i64; 2]]| digits.iter().map(|d| d.map(Dim::constant)).collect();
    Step::Contract(ContractStep {
        dtype: DType::F32,
        factors: [DType::F32; 2],
        dims: [1, 1, 3, 7].map(Dim::constant),
        lhs: BufferId(0),
        lhs_strides: [0, 7, 7, 1].map(Dim::constant),
        rhs: BufferId(2),
        rhs_layout: RightLayout::Placed(Placement {
            offset: Dim::ZERO,
            batch: Dim::ZERO,
            rows: at(rows),
            columns: at(columns),
        }),
        product: BufferId(3),
        epilogue: None,
    })
}

/// The body of the plan's loop.
fn body(plan: &mut Plan) -> &mut Vec<Step> {
    match &mut plan.steps[1] {
        Step::Loop { body, .. } => body,
        _ => unreachable!("the second step is the loop"),
    }
}

#[test]
fn plans_keep_their_rules() {
    assert_eq!(messages(verify_plan(&plan())), [""; 0]);
    for (change, message) in PLAN_CASES {
        let mut plan = plan();
        change(&mut plan);
        let found = messages(verify_plan(&plan));
        assert!(found.iter().any(|m| m == message), "{message}: {found:#?}");
    }
}

#[test]
fn long_alias_chains_are_followed_once() {
    let mut plan = plan();
    let first = plan.buffers.len() as u32;
    for i in 0..200_000 {
        // Backwards, so that every chain begins at its far end.
        let of = BufferId(if i == 199_999 { 2 } else { first + i + 1 });
        let mut buffer = plan.buffers[2].clone();
        buffer.place = Place::Alias(of);
        plan.buffers.push(buffer);
    }
    assert_eq!(messages(verify_plan(&plan)), [""; 0]);
}
