//! Sharing memory changes no results: plans of random programs give the same before and after
//! planning, also when dead memory is overwritten and parameters are given up.

use lazulite_ir::arbitrary::{Case, Config, cases};
use lazulite_ir::{
    Array, Dim, Environment, EvalError, EvalMode, Place, Plan, RightLayout, Step, eval_plan,
    parse_graph, print_kernel, print_plan, verify_plan,
};
use lazulite_passes::memory::{Hoisted, Launched, Split, hoist, memory};
use lazulite_passes::report::launches;
use lazulite_passes::{Artifact, Options, PassError, ScheduleOptions, Stage, compile_to_plan, run};
use proptest::prelude::*;

fn any_case() -> impl Strategy<Value = Case> {
    let flags = any::<[bool; 3]>();
    let config = (flags, 1..24usize).prop_map(|([symbolic, foreign, faults], steps)| Config {
        symbolic,
        foreign,
        faults,
        steps,
        elements: 60,
        ..Config::default()
    });
    config.prop_flat_map(cases)
}

/// The plan before memory planning; `None` for what cannot be compiled.
fn scheduled(case: &Case, fuse: bool) -> Option<Plan> {
    let options = Options {
        schedule: ScheduleOptions {
            fuse,
            ..ScheduleOptions::default()
        },
        ..Options::default()
    };
    let start = Artifact::Graph(case.graph.clone());
    match run(
        start,
        Stage::Trace,
        Stage::Schedule,
        &options,
        &mut |_, _| {},
    ) {
        Ok(Artifact::Plan(plan)) => Some(plan),
        Ok(Artifact::Graph(_)) => panic!("scheduling gives a plan"),
        // Products scattered into complex numbers, the one form that cannot be split.
        Err(PassError::Unsupported { what, .. }) if what.contains("combine=prod") => None,
        Err(error) => panic!("{error}"),
    }
}

fn results(plan: &Plan, case: &Case, mode: EvalMode) -> Result<Vec<Array>, EvalError> {
    results_of(plan, case, &case.inputs, mode)
}

fn results_of(
    plan: &Plan,
    case: &Case,
    inputs: &[Array],
    mode: EvalMode,
) -> Result<Vec<Array>, EvalError> {
    let sizes = case.sizes();
    let environment = Environment {
        sizes: &|s| sizes.get(s).copied(),
        foreign: &|_| None,
    };
    eval_plan(plan, inputs, environment, mode)
}

/// Every launch of the parts is said to be one of the plan that there was, and does the same; others are gone.
fn check_launches(plan: &Plan, split: &Split) {
    // With memory planned: that changes nothing about launches.
    let parts = [&split.prepare, &split.main].map(|part| memory(part).unwrap());
    let [once, always] = [0, 1].map(|at| launches(&parts[at].steps));
    let work = |plan: &Plan, step: &Step| match step {
        Step::Contract(c) => format!("{:?} {:?}", c.dims, c.epilogue.is_some()),
        Step::Sort { dims, .. } => format!("{dims:?}"),
        Step::Custom { target, .. } => target.name().to_owned(),
        step => match step.kernel_call() {
            Some(call) => print_kernel(&plan.kernels[call.kernel as usize]),
            None => panic!("no launch"),
        },
    };
    let before = launches(&plan.steps);
    assert_eq!(before.len(), split.launches.len());
    let mut found = [Vec::new(), Vec::new()];
    for ((_, step), launched) in before.iter().zip(&split.launches) {
        let (at, list, n) = match *launched {
            Launched::Dropped => continue,
            Launched::Once(n) => (0, &once, n),
            Launched::Always(n) => (1, &always, n),
        };
        found[at].push(n as usize);
        let (_, same) = list[n as usize];
        assert_eq!(
            work(plan, step),
            work(&parts[at], same),
            "{}",
            print_plan(plan)
        );
    }
    let all = [&once, &always].map(|list| (0..list.len()).collect::<Vec<_>>());
    assert_eq!(found, all, "{}", print_plan(plan));
}

/// What is done once and what is done at every run give together what the plan gives.
fn check_split(case: &Case, plan: &Plan, constant: u64) {
    let constant: Vec<bool> = (0..case.inputs.len())
        .map(|i| constant >> (i % 64) & 1 == 1)
        .collect();
    let split = hoist(plan, &constant).unwrap();
    for part in [&split.prepare, &split.main] {
        if let Err(findings) = verify_plan(&memory(part).unwrap()) {
            panic!("{findings}\n{}\n{}", print_plan(plan), print_plan(part));
        }
    }
    check_launches(plan, &split);
    // What need not be packed is not.
    assert!(split.prepare.steps.len() + split.main.steps.len() <= plan.steps.len());
    let mode = EvalMode::all().next().unwrap();
    let expected = results(plan, case, mode);
    let input = |n: &u32| case.inputs[*n as usize].clone();
    let once: Vec<Array> = split.prepare_inputs.iter().map(input).collect();
    let prepared = results_of(&split.prepare, case, &once, mode).unwrap();
    let inputs = split.sources.iter().map(|source| match source {
        Hoisted::Parameter(n) => input(n),
        Hoisted::Prepared(n) => prepared[*n as usize].clone(),
    });
    let got = results_of(&split.main, case, &inputs.collect::<Vec<_>>(), mode);
    match (&expected, &got) {
        (Ok(expected), Ok(got)) => assert_eq!(got, expected, "{}", print_plan(plan)),
        (Err(EvalError::Fault { .. }), Err(EvalError::Fault { .. })) => {}
        _ => panic!("{got:?}, expected {expected:?}\n{}", print_plan(plan)),
    }
}

fn check(case: &Case, plan: &Plan) {
    let planned = memory(plan).unwrap();
    let text = || format!("{}\n{}", print_plan(plan), print_plan(&planned));
    if let Err(findings) = verify_plan(&planned) {
        panic!("{findings}\n{}", text());
    }
    for mode in EvalMode::all() {
        // The order of summation differs between modes, so only the memory is different here.
        let plain = EvalMode {
            packed: false,
            donate: false,
            ..mode
        };
        let expected = results(plan, case, plain);
        let got = results(&planned, case, mode);
        match (&expected, &got) {
            (Ok(expected), Ok(got)) => assert_eq!(got, expected, "{mode:?}\n{}", text()),
            (Err(EvalError::Fault { .. }), Err(EvalError::Fault { .. })) => {}
            _ => panic!("{mode:?}: {got:?}, expected {expected:?}\n{}", text()),
        }
    }
    let again = memory(&planned).unwrap();
    assert_eq!(print_plan(&again), print_plan(&planned));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn planning_memory_changes_nothing(case in any_case(), fuse in any::<bool>()) {
        if let Some(plan) = scheduled(&case, fuse) {
            check(&case, &plan);
        }
    }

    #[test]
    fn doing_constant_work_once_changes_nothing(
        case in any_case(),
        fuse in any::<bool>(),
        constant in any::<u64>(),
    ) {
        if let Some(plan) = scheduled(&case, fuse) {
            check_split(&case, &plan, constant);
        }
    }
}

#[test]
fn weights_are_packed_once() {
    let text = "graph(%0: f32[n, 200], %1: f32[100, 200]) {
  %2 = permute %1 {perm=[1, 0]} : f32[200, 100]
  %3 = contract %0, %2 {lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} : f32[n, 100]
  return %3
}";
    let graph = parse_graph(text).unwrap();
    let start = Artifact::Graph(graph);
    let run = run(
        start,
        Stage::Trace,
        Stage::Schedule,
        &Options::default(),
        &mut |_, _| {},
    );
    let Ok(Artifact::Plan(plan)) = run else {
        panic!("scheduling gives a plan");
    };
    let split = hoist(&plan, &[false, true]).unwrap();
    assert_eq!((split.prepare.steps.len(), split.main.steps.len()), (1, 1));
    assert_eq!(split.prepare_inputs, [1]);
    assert_eq!(split.launches, [Launched::Once(0), Launched::Always(0)]);
    assert_eq!(
        split.sources,
        [Hoisted::Parameter(0), Hoisted::Prepared(0)],
        "the weight is only needed packed"
    );
    // 100 columns are two panels.
    assert_eq!(split.main.inputs[1].dims[0].as_const(), Some(200 * 128));

    // What changes is read where it lies.
    let split = hoist(&plan, &[false, false]).unwrap();
    assert_eq!((split.prepare.steps.len(), split.main.steps.len()), (0, 1));
    assert_eq!(split.launches, [Launched::Dropped, Launched::Always(0)]);
    let Step::Contract(product) = &split.main.steps[0] else {
        panic!("the product is left");
    };
    let RightLayout::Placed(placement) = &product.rhs_layout else {
        panic!("the right operand is not packed before");
    };
    let numbers = |dims: &[Dim]| dims.iter().map(Dim::as_const).collect::<Vec<_>>();
    let digits = placement.rows.iter().chain(&placement.columns);
    let digits: Vec<_> = digits.map(|d| numbers(d)).collect();
    assert_eq!(digits, [[Some(200), Some(1)], [Some(100), Some(200)]]);
}

/// The plan of a graph, every operation a kernel of its own if `fuse` is false.
fn compiled(text: &str, fuse: bool) -> Plan {
    let options = Options {
        schedule: ScheduleOptions {
            fuse,
            ..ScheduleOptions::default()
        },
        ..Options::default()
    };
    compile_to_plan(&parse_graph(text).unwrap(), &options).unwrap()
}

/// Bytes of a plan's own buffers with n = 1000, all side by side: scratch, then results.
fn own_bytes(plan: &Plan) -> (i64, i64) {
    let bytes = |of: Place| {
        let own = plan.buffers.iter().filter(|b| b.place == of);
        let len = |len: &Dim| len.eval(&|_| Some(1000)).unwrap();
        own.map(|b| len(&b.len) * b.dtype.size() as i64).sum()
    };
    (bytes(Place::Arena), bytes(Place::Output))
}

#[test]
fn chains_are_computed_in_the_memory_of_their_result() {
    let text = "graph(%0: f32[n], %1: f32[n]) {
        %2 = add %0, %1 : f32[n]
        %3 = exp %2 : f32[n]
        %4 = tanh %3 : f32[n]
        return %4
    }";
    let plan = compiled(text, false);
    assert_eq!(plan.steps.len(), 3);
    assert_eq!(own_bytes(&plan), (0, 4000));
    // The parameters die as well in the step that first writes this memory; one can be given up.
    assert_eq!(plan.donations.len(), 1);
}

#[test]
fn parameters_are_donated_to_their_updates() {
    let text = "graph(%0: f32[n], %1: f32[n], %2: f32[]) {
        %3 = reshape %2 {dims=[1]} : f32[1]
        %4 = expand %3 {dims=[n]} : f32[n]
        %5 = mul %1, %4 : f32[n]
        %6 = add %0, %5 : f32[n]
        return %6
    }";
    let plan = compiled(text, true);
    assert_eq!(plan.steps.len(), 1);
    let [(input, output)] = plan.donations[..] else {
        panic!("{:?}", plan.donations);
    };
    assert!(input < 2, "the scalar is too small");
    assert_eq!(plan.buffers[output.0 as usize].place, Place::Output);
}

#[test]
fn what_is_read_elsewhere_is_not_overwritten() {
    // Every row of the result needs all of the parameter.
    let text = "graph(%0: f32[4, 4]) {
        %1 = permute %0 {perm=[1, 0]} : f32[4, 4]
        %2 = add %0, %1 : f32[4, 4]
        return %2
    }";
    assert_eq!(compiled(text, true).donations, []);
}

#[test]
fn results_are_not_donated() {
    let text = "graph(%0: f32[4]) {
        %1 = exp %0 : f32[4]
        return %1, %0
    }";
    assert_eq!(compiled(text, true).donations, []);
}

#[test]
fn epilogues_write_over_the_product() {
    let text = "graph(%0: f32[64, 64], %1: f32[64, 64]) {
        %2 = contract %0, %1 {lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} : f32[64, 64]
        %3 = tanh %2 : f32[64, 64]
        return %3
    }";
    let plan = compiled(text, true);
    assert_eq!(own_bytes(&plan).1, 64 * 64 * 4);
    let products = plan.steps.iter().filter_map(|step| match step {
        Step::Contract(contract) => Some(contract.product),
        _ => None,
    });
    let result = plan.outputs[0].0;
    for product in products {
        let place = &plan.buffers[product.0 as usize].place;
        assert_eq!(*place, Place::Alias(result), "{}", print_plan(&plan));
    }
}

/// Windows are neither written out nor packed before: the product reads the padded image.
#[test]
fn convolutions_read_their_windows_from_the_padded_image() {
    let text = "graph(%0: f32[1, 16, 28, 28], %1: f32[32, 16, 3, 3]) {
        %2 = const {value=f32(0.0)} : f32[]
        %3 = pad %0, %2 {low=[0, 0, 1, 1], high=[0, 0, 1, 1], interior=[0, 0, 0, 0]} : f32[1, 16, 30, 30]
        %4 = window %3 {axis=2, size=3, stride=1, dilation=1} : f32[1, 16, 28, 30, 3]
        %5 = window %4 {axis=3, size=3, stride=1, dilation=1} : f32[1, 16, 28, 28, 3, 3]
        %6 = contract %5, %1 {lhs_batch=[], rhs_batch=[], lhs_sum=[1, 4, 5], rhs_sum=[1, 2, 3], acc=f32} : f32[1, 28, 28, 32]
        %7 = permute %6 {perm=[0, 3, 1, 2]} : f32[1, 32, 28, 28]
        %8 = tanh %7 : f32[1, 32, 28, 28]
        return %8
    }";
    let plan = compiled(text, true);
    let [Step::Kernel(_), Step::Contract(product)] = &plan.steps[..] else {
        panic!("padding and a product\n{}", print_plan(&plan));
    };
    let RightLayout::Placed(windows) = &product.rhs_layout else {
        panic!("windows are packed\n{}", print_plan(&plan));
    };
    let numbers = |digits: &[[Dim; 2]]| -> Vec<_> {
        let both = |d: &[Dim; 2]| d.each_ref().map(|d| d.as_const().unwrap());
        digits.iter().map(both).collect()
    };
    assert_eq!(numbers(&windows.rows), [[16, 900], [3, 30], [3, 1]]);
    assert_eq!(numbers(&windows.columns), [[28, 30], [28, 1]]);
}
