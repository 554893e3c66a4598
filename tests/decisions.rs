//! The decisions that cannot be retrofitted (section 11 of the design), each held by a test named
//! after it.

use lazulite::prelude::*;
use lazulite::{ConvOptions, ErrorKind, Padding, RunningStats, cache_stats, spec};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The cache statistics are process-wide; tests that count compilations run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn compilations(work: impl FnOnce()) -> u64 {
    let before = cache_stats().compilations;
    work();
    cache_stats().compilations - before
}

#[test]
fn d11_1_recording_keeps_identity_and_drops_iteratively() {
    let _turn = alone();
    let x = Tensor::ones([4]);
    let (a, b) = (&x + 1, &x + 1);
    // Equal in structure, yet two nodes: realising one leaves the other lazy.
    a.realize().unwrap();
    assert!(a.is_realized() && !b.is_realized());

    let mut chain = Tensor::ones([2]);
    for _ in 0..300_000 {
        chain += 1;
    }
    drop(chain);
}

#[test]
fn d11_1_the_key_is_the_structure() {
    let _turn = alone();
    let program = |x: &Tensor| (x * 2.0 + 1.0).relu().sum(..);
    let n = compilations(|| {
        for i in 0..20 {
            let x = Tensor::from_vec(vec![i as f32; 7], [7]);
            assert_eq!(
                program(&x).item::<f32>().unwrap(),
                7.0 * (2.0 * i as f32 + 1.0)
            );
        }
    });
    assert_eq!(n, 1);
}

#[test]
fn d11_2_a_changing_literal_compiles_twice() {
    let _turn = alone();
    let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0], [3]);
    let n = compilations(|| {
        for step in 0..50 {
            let lr = 0.1 + step as f32;
            let y = (&x * lr).tanh().to_vec::<f32>().unwrap();
            assert!((y[1] - (2.0 * lr).tanh()).abs() < 1e-6);
        }
    });
    assert!(n <= 2, "{n} compilations");
}

#[test]
fn d11_2_a_growing_cache_compiles_at_most_three_times() {
    let _turn = alone();
    let n = compilations(|| {
        let mut cache = Tensor::from_vec(vec![0.0f32; 4], [1, 4]);
        for i in 1..200 {
            let row = Tensor::from_vec(vec![i as f32; 4], [1, 4]);
            cache = Tensor::cat(&[&cache, &row], 0).realize().unwrap();
        }
        let sums = cache.sum(-1).to_vec::<f32>().unwrap();
        assert_eq!(sums.len(), 200);
        assert!(sums.iter().enumerate().all(|(i, s)| *s == 4.0 * i as f32));
    });
    // The sum at the end is one more.
    assert!(n <= 4, "{n} compilations");
}

#[test]
fn d11_3_dims_are_symbolic_inside_captures() {
    let _turn = alone();
    let halves = compile(|[x]: [Tensor; 1]| {
        let half = x.dim(0).floor_div(2);
        x.narrow(0, 0, half.clone()) + x.narrow(0, half.clone(), half)
    });
    for n in [4usize, 6, 10, 12, 20] {
        let x = Tensor::iota(n);
        let got = halves.call([&x]).unwrap().to_vec::<i64>().unwrap();
        let want: Vec<i64> = (0..n as i64 / 2).map(|i| 2 * i + n as i64 / 2).collect();
        assert_eq!(got, want);
    }
    assert!(halves.versions() <= 3);
}

/// A sum over an unknown number of ones is no constant, though it depends on no parameter's value.
#[test]
fn d11_3_constants_of_unknown_size_are_computed_at_every_call() {
    let _turn = alone();
    let counted = compile(|[x]: [Tensor; 1]| &x + Tensor::ones([x.dim(0)]).sum(..));
    for n in [3usize, 4, 5, 6] {
        let sums = counted.call([&Tensor::zeros([n])]).unwrap();
        assert_eq!(sums.to_vec::<f32>().unwrap(), vec![n as f32; n]);
    }
    assert_eq!(counted.versions(), 2);
}

#[test]
fn d11_3_dims_as_numbers_are_refused_inside_captures() {
    let _turn = alone();
    let refused = compile(|[x]: [Tensor; 1]| {
        let e = x.dims().expect_err("sizes are not numbers here");
        assert_eq!(e.kind(), ErrorKind::Capture);
        assert!(e.to_string().contains("dim(i)"), "{e}");
        Tensor::full((), 7)
    });
    // Whatever the function makes of it.
    let e = refused.call([&Tensor::ones([2])]).map(drop).unwrap_err();
    assert_eq!((e.kind(), e.op()), (ErrorKind::Capture, "dims"), "{e}");
}

#[test]
fn d11_4_a_realise_computes_held_expensive_values() {
    let _turn = alone();
    let x = Tensor::randn([16, 16]);
    let held = x.matmul(&x).sum(-1);
    let cheap = &x + 1;
    let loss = held.exp().sum(..);
    loss.realize().unwrap();
    assert!(held.is_realized(), "a held reduction is computed once");
    assert!(!cheap.is_realized(), "what was not needed stays lazy");
}

#[test]
fn d11_4_pending_cell_writes_are_computed_by_the_next_realise() {
    let _turn = alone();
    let running = RunningStats::new(3);
    let x = Tensor::randn([8, 3]);
    let y = x.batch_norm_train(&running, None, None, 1e-5);
    y.realize().unwrap();
    assert!(running.mean.get().is_realized());
    assert!(running.var.get().is_realized());
}

#[test]
fn d11_4_the_old_value_stays_true_for_who_holds_it() {
    let _turn = alone();
    let mut x = Tensor::from_vec(vec![1.0f32, 2.0], [2]);
    let old = x.clone();
    x.add_(1.0);
    x.realize().unwrap();
    assert_eq!(old.to_vec::<f32>().unwrap(), [1.0, 2.0]);
    assert_eq!(x.to_vec::<f32>().unwrap(), [2.0, 3.0]);
}

#[test]
fn d11_4_a_value_that_nobody_holds_is_overwritten_in_place() {
    let _turn = alone();
    let address = |t: &Tensor| t.with_bytes(|b| b.as_ptr().addr()).unwrap();
    let x = Tensor::from_vec(vec![1.0f32; 4096], [4096]);
    let before = address(&x);
    let y = &x * 2.0 + 1.0;
    drop(x);
    assert_eq!(
        address(&y),
        before,
        "the leaf's memory becomes the result's"
    );
    let z = &y * 2.0;
    assert_ne!(address(&z), before, "a value that is held stays");
    assert_eq!(y.to_vec::<f32>().unwrap()[7], 3.0);
    assert_eq!(z.to_vec::<f32>().unwrap()[7], 6.0);
    // A lazy value that is held still needs the leaf.
    let lazy = &y + 1.0;
    let w = &y * 3.0;
    drop(y);
    w.realize().unwrap();
    assert_eq!(lazy.to_vec::<f32>().unwrap()[7], 4.0);
}

#[test]
fn d11_2_numbers_in_constants_and_negative_attributes_are_no_structure() {
    let _turn = alone();
    let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0], [3]);
    let n = compilations(|| {
        for i in 0..10 {
            let filled = (Tensor::full([3], f64::from(i)) + &x)
                .to_vec::<f32>()
                .unwrap();
            assert_eq!(filled[2], 3.0 + i as f32);
        }
    });
    assert!(n <= 2, "{n} compilations");
    let long = Tensor::iota(10).realize().unwrap();
    for cut in [-1i64, -2, 1, -3, 2] {
        let cut_off = long.pad([(cut, 0)], 0);
        assert_eq!(cut_off.dims().unwrap(), [(10 + cut) as usize]);
        assert_eq!(cut_off.i(-1).item::<i64>().unwrap(), 9);
    }
}

#[test]
fn d11_2_sizes_of_one_are_another_program() {
    let _turn = alone();
    let n = compilations(|| {
        for n in [5usize, 1, 6, 1, 7, 9, 1] {
            let a = Tensor::from_vec(vec![1.0f32; n], [n, 1]);
            let b = Tensor::from_vec(vec![2.0f32; 4], [1, 4]);
            assert_eq!((a + b).sum(..).item::<f32>().unwrap(), 12.0 * n as f32);
        }
    });
    assert!(n <= 3, "{n} compilations");
}

#[test]
fn d11_5_faults_name_index_and_bound_and_leave_cells_alone() {
    let _turn = alone();
    let table = Tensor::from_vec((0..8).collect::<Vec<i32>>(), [4, 2]);
    let cell = TensorCell::new(Tensor::full([2], 5.0));
    cell.get().realize().unwrap();
    let rows = |i: i64| table.embedding(&Tensor::from_vec(vec![0i64, i], [2]));
    let line = line!() + 1;
    let bad = rows(9);
    let innocent = table.sum(-1);
    let both = innocent.sum(..) + bad.sum(..);
    cell.set(bad.sum(0).cast(DType::F32)).unwrap();
    let error = both.item::<i64>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fault);
    assert!(
        error.message().contains('9') && error.message().contains('4'),
        "{error}"
    );
    let place = error.place().expect("faults have a place");
    assert!(
        place.file().ends_with("decisions.rs") && place.line() < line,
        "{error}"
    );
    // The old value, and nothing else is spoilt.
    assert_eq!(cell.get().to_vec::<f32>().unwrap(), [5.0, 5.0]);
    assert_eq!(innocent.to_vec::<i64>().unwrap(), [1, 5, 9, 13]);
    // A later write works.
    cell.set(rows(1).sum(0).cast(DType::F32)).unwrap();
    innocent.sum(0).realize().unwrap();
    assert_eq!(cell.get().to_vec::<f32>().unwrap(), [2.0, 4.0]);
}

#[test]
fn captured_functions_compose_and_keep_their_own_parameters() {
    let _turn = alone();
    let double = compile(|[x]: [Tensor; 1]| x * 2.0);
    let inner = &double;
    let both = compile(move |[x]: [Tensor; 1]| inner.call([&x]).unwrap() + 1.0);
    let x = Tensor::ones([3]);
    assert_eq!(both.call([&x]).unwrap().to_vec::<f32>().unwrap(), [3.0; 3]);

    let kept = std::cell::RefCell::new(None);
    let keep = compile(|[x]: [Tensor; 1]| {
        kept.replace(Some(x.clone()));
        x
    });
    keep.call([&x]).unwrap();
    let stranger = kept.take().unwrap();
    let mixed = compile(|[x]: [Tensor; 1]| x + &stranger);
    assert_eq!(mixed.call([&x]).unwrap_err().kind(), ErrorKind::Capture);
}

#[test]
fn captured_random_numbers_and_cells_advance_with_every_call() {
    let _turn = alone();
    let counter = TensorCell::new(Tensor::zeros([] as [usize; 0]));
    let inside = counter.clone();
    let draw = compile(move |[x]: [Tensor; 1]| {
        inside.set(inside.get() + 1.0).unwrap();
        x + Tensor::rand([4])
    });
    manual_seed(5);
    let zero = Tensor::zeros([4]);
    let a = draw.call([&zero]).unwrap().to_vec::<f32>().unwrap();
    let b = draw.call([&zero]).unwrap().to_vec::<f32>().unwrap();
    assert_ne!(a, b);
    manual_seed(5);
    assert_eq!(Tensor::rand([4]).to_vec::<f32>().unwrap(), a);
    assert_eq!(Tensor::rand([4]).to_vec::<f32>().unwrap(), b);
    assert_eq!(counter.get().item::<f32>().unwrap(), 2.0);
    assert_eq!(draw.versions(), 1);
}

#[test]
fn d11_7_results_do_not_depend_on_the_number_of_threads() {
    let _turn = alone();
    let program = || {
        manual_seed(3);
        let x = Tensor::randn([300, 257]);
        let w = Tensor::randn([257, 129]);
        let y = x.matmul(&w).softmax(-1);
        (y.sum(..).item::<f32>().unwrap(), y.to_vec::<f32>().unwrap())
    };
    let before = lazulite::options();
    let mut results = Vec::new();
    for threads in [1, 2, 5] {
        let mut options = before.clone();
        options.threads = threads;
        lazulite::set_options(options).unwrap();
        results.push(program());
    }
    lazulite::set_options(before).unwrap();
    assert!(results.windows(2).all(|r| r[0] == r[1]));
}

#[test]
fn d11_2_sizes_and_positions_of_every_kind_become_symbols() {
    let _turn = alone();
    let x = Tensor::from_vec((0..256).map(|i| i as f32).collect(), [16, 16]);
    let programs: [(&str, &dyn Fn(i64) -> Tensor); 7] = [
        ("zeros", &|n| Tensor::zeros([n, 3]) + 1.0),
        ("rand", &|n| Tensor::rand([n, 3])),
        ("eye", &|n| Tensor::eye(n)),
        ("select", &|n| x.i(n).sum(..)),
        ("slice", &|n| x.i((n..n + 2, ..)).mean(0)),
        ("unfold", &|n| x.unfold(0, n, 1).sum(..)),
        ("set_item", &|n| {
            let mut y = x.clone();
            y.set_item((n, ..), 9.0);
            y
        }),
    ];
    for (name, program) in programs {
        let n = compilations(|| {
            for size in 2..10 {
                program(size).realize().unwrap();
            }
        });
        assert!(n <= 3, "{name}: {n} compilations");
    }
}

#[test]
fn d11_4_temporaries_of_one_expression_keep_only_what_was_expensive() {
    let _turn = alone();
    let x = Tensor::from_vec(vec![1.0f32; 64], [8, 8]);
    // While this is one expression, every step of it is still held by a temporary.
    let plan = lazulite::dump(
        &[&x.matmul(&x).relu().unfold(0, 3, 1).sum(..)],
        lazulite::Stage::Trace,
    )
    .unwrap();
    let results = plan.lines().rfind(|l| l.contains("return")).unwrap();
    assert_eq!(
        results.matches('%').count(),
        2,
        "the product and the sum: {results}"
    );
}

#[test]
fn captured_functions_that_call_themselves_are_an_error() {
    let _turn = alone();
    type Function = Box<dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync>;
    static SELF: std::sync::OnceLock<Function> = std::sync::OnceLock::new();
    let f = compile(|[x]: [Tensor; 1]| match SELF.get().map(|f| f(&x)) {
        Some(Ok(y)) => y,
        Some(Err(e)) => Tensor::full((), i64::from(e.kind() == ErrorKind::Capture)),
        None => x,
    });
    assert!(SELF.set(Box::new(move |x| f.call([x]))).is_ok());
    let y = SELF.get().unwrap()(&Tensor::ones([2])).unwrap();
    assert_eq!(y.item::<i64>().unwrap(), 1);
}

#[test]
fn d11_2_nothing_has_no_extremum_in_a_general_program_either() {
    let _turn = alone();
    let f = compile(|[x]: [Tensor; 1]| x.amax(0));
    for n in [2usize, 3, 4] {
        assert_eq!(
            f.call([&Tensor::ones([n])]).unwrap().item::<f32>().unwrap(),
            1.0
        );
    }
    assert_eq!(
        f.call([&Tensor::ones([0usize])]).unwrap_err().kind(),
        ErrorKind::Shape
    );
}

#[test]
fn half_floats_are_averaged_and_normalised_in_f32() {
    let x = Tensor::full_of([2000], 100.0, DType::F16);
    assert_eq!(x.mean(0).cast(DType::F32).item::<f32>().unwrap(), 100.0);
    assert_eq!(x.var(0).dtype().unwrap(), DType::F16);
    let y = Tensor::from_vec(vec![0.0f32, 300.0, 600.0, 900.0], [4]).cast(DType::F16);
    let z = y
        .layer_norm(1, None, None, 1e-5)
        .cast(DType::F32)
        .to_vec::<f32>()
        .unwrap();
    assert!((z[3] - 1.3416).abs() < 1e-2, "{z:?}");
}

#[test]
fn d11_6_composites_keep_their_name_until_they_are_inlined() {
    let x = Tensor::randn([3, 4]);
    let y = x.softmax(-1).gelu();
    let trace = lazulite::dump(&[&y], lazulite::Stage::Trace).unwrap();
    assert!(
        trace.contains("softmax(-1)") && trace.contains("gelu"),
        "{trace}"
    );
    let inlined = lazulite::dump(&[&y], lazulite::Stage::Inline).unwrap();
    assert!(!inlined.contains("= call "), "{inlined}");
}

#[test]
fn d11_6_gradients_take_the_composites_own_pullback() {
    let _turn = alone();
    // The definition's exponential overflows there.
    let x = Tensor::from_vec(vec![-100.0f32, 0.0], [2]).with_grad();
    let g = lazulite::grad(&[&x.sigmoid().sum(..)], &[&x]).unwrap();
    let trace = lazulite::dump(&[&g[0]], lazulite::Stage::Grad).unwrap();
    assert!(trace.contains("sigmoid.vjp"), "{trace}");
    let values = g[0].to_vec::<f32>().unwrap();
    assert!(values[0].is_finite() && values[0] < 1e-30, "{values:?}");
    assert_eq!(values[1], 0.25);
}

#[test]
fn d11_1_a_gradient_found_in_the_cache_takes_no_derivative() {
    let _turn = alone();
    let step = || {
        let x = Tensor::from_vec(vec![1.0f32, 2.0], [2]).with_grad();
        let g = lazulite::grad(&[&(x.exp() * &x).sum(..)], &[&x]).unwrap();
        g[0].to_vec::<f32>().unwrap()
    };
    let first = step();
    assert_eq!(compilations(|| assert_eq!(step(), first)), 0);
}

#[test]
fn d11_8_peak_memory_is_known_before_running() {
    let text = "graph(%0: f32[n, 8], %1: f32[8, 4]) {
        %2 = exp %0 : f32[n, 8]
        %3 = contract %2, %1 {lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} : f32[n, 4]
        %4 = reduce %3 {kind=sum, axes=[0]} : f32[4]
        %5 = sort %3, %3 {axis=0, descending=false} : (f32[n, 4], f32[n, 4])
        %6 = get %5 {index=0} : f32[n, 4]
        return %4, %6
    }";
    let graph = lazulite_ir::parse_graph(text).unwrap();
    let plan = lazulite_passes::compile_to_plan(&graph, &Default::default()).unwrap();
    let program = lazulite_codegen::compile(&plan, &Default::default(), 1).unwrap();
    for n in [1usize, 10, 1000] {
        let sizes = [n as i64];
        let peak = program.peak_bytes(&sizes).unwrap();
        let input = |elements: usize| {
            let zeros = lazulite_runtime::Buffer::zeroed(elements * 4).unwrap();
            lazulite_runtime::Input::keep(zeros)
        };
        let mut inputs = [input(n * 8), input(32)];
        let pool = lazulite_runtime::Pool::single();
        let report = program.run(&mut inputs, &sizes, &pool).unwrap().report;
        assert_eq!(report.arena_bytes + report.output_bytes, peak, "n = {n}");
        assert!(peak >= n * 16 + 16, "the results are part of it");
    }
}

#[test]
fn d11_10_equal_kernels_are_compiled_once_in_the_process() {
    let _turn = alone();
    let function = |[x]: [Tensor; 1]| (x * 2.5).exp() + 0.375;
    let x = Tensor::ones([37]);
    let before = cache_stats().kernels;
    compile(function).call([&x]).unwrap();
    let first = cache_stats().kernels;
    assert_eq!(first, before + 1);
    // Another program with the same kernel.
    compile(function).call([&x]).unwrap();
    assert_eq!(cache_stats().kernels, first);
}

#[test]
fn d11_10_threads_do_not_compile_the_same_thing() {
    let _turn = alone();
    let start = std::sync::Barrier::new(6);
    let n = compilations(|| {
        std::thread::scope(|scope| {
            for i in 0..6 {
                let start = &start;
                scope.spawn(move || {
                    let x = Tensor::from_vec(vec![i as f32; 41], [41]);
                    start.wait();
                    let y = (x.tanh() * 3.0).amax(0).item::<f32>().unwrap();
                    assert!((y - 3.0 * (i as f32).tanh()).abs() < 1e-5);
                });
            }
        });
    });
    assert_eq!(n, 1);
}

#[test]
fn d11_10_programs_are_forgotten_by_size_and_number() {
    let _turn = alone();
    let stats = cache_stats();
    // Bounds of the plan cache and of the kernels' cache; that trimming frees nothing in use is a test
    // beside each of them.
    assert!(stats.programs <= 3 * 2048 && stats.bytes <= 256 << 20);
    assert!(lazulite_codegen::kernel_stats().bytes <= 64 << 20);
}

#[test]
fn d11_10_compiling_costs_the_same_per_operation_at_any_length() {
    use lazulite_ir::{Binary, Graph, Op, TensorType, Unary};
    let work = |length: usize| {
        let mut graph = Graph::new();
        let x = graph.input(TensorType::new(
            DType::F32,
            [lazulite_ir::Dim::constant(64)],
        ));
        let mut at = x;
        for i in 0..length {
            at = match i % 4 {
                0 => graph.add(Op::Unary { f: Unary::Tanh }, [at]),
                1 => graph.add(Op::Binary { f: Binary::Mul }, [at, x]),
                2 => graph.add(Op::Unary { f: Unary::Neg }, [at]),
                _ => graph.add(Op::Binary { f: Binary::Add }, [x, at]),
            }
            .unwrap();
        }
        graph.set_outputs([at]);
        let options = lazulite_passes::Options::default();
        let (_, report) = lazulite_passes::canon::canon_with_report(&graph, &options).unwrap();
        let plan = lazulite_passes::compile_to_plan(&graph, &options).unwrap();
        let insts = plan
            .kernels
            .iter()
            .flat_map(|k| &k.stages)
            .map(|s| s.insts.len());
        [
            report.visited as usize,
            plan.steps.len(),
            insts.sum::<usize>(),
        ]
    };
    let (short, long) = (work(1000), work(10_000));
    for (short, long) in short.iter().zip(&long) {
        assert!(*long <= 11 * short + 11, "{short} becomes {long}");
    }
}

#[test]
fn d11_3_convolution_networks_are_captured_for_any_batch() {
    let _alone = alone();
    let (weight, bias) = (Tensor::randn([4, 2, 3, 3]), Tensor::randn([4]));
    let options = ConvOptions {
        padding: Padding::Each(vec![1]),
        ..ConvOptions::default()
    };
    let network = |x: &Tensor| {
        let x = x.conv_with(&weight, Some(&bias), &options);
        let x = x.batch_norm(None, None, None, false, 1e-5).relu();
        let x = x.max_pool([2, 2]);
        let x = x.conv_transpose_with(&weight, None, &options);
        x.adaptive_avg_pool(&[Some(2), Some(3)])
    };
    let exported = lazulite::export(|[x]| network(x), &[spec!(f32["batch", 2, 8, 6])]).unwrap();
    let compiled = compile(|[x]: [Tensor; 1]| network(&x));
    for batch in [3, 4, 5] {
        let x = Tensor::randn([batch, 2, 8, 6]);
        let expected = network(&x).to_vec::<f32>().unwrap();
        let found = exported.run(&[&x]).unwrap().remove(0);
        let replayed = compiled.call([&x]).unwrap();
        for other in [found, replayed] {
            for (a, b) in expected.iter().zip(other.to_vec::<f32>().unwrap()) {
                assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
        }
    }
}

#[test]
fn d11_3_losses_of_classes_are_captured() {
    let _alone = alone();
    let loss = compile(|[x, t]: [Tensor; 2]| x.cross_entropy(&t));
    for batch in [3, 4, 5] {
        let (x, t) = (
            Tensor::randn([batch, 7]),
            Tensor::arange(0, batch as i64, 1),
        );
        let x = x.realize().unwrap();
        let captured = loss.call([&x, &t]).unwrap().item::<f32>().unwrap();
        let plain = x.cross_entropy(&t).item::<f32>().unwrap();
        assert!((captured - plain).abs() < 1e-6, "{captured} {plain}");
    }
}
