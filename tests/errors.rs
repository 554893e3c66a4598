//! Mistakes: never a panic, always an error with place, operands and advice.

use lazulite::prelude::*;
use lazulite::{ErrorKind, export, spec};

fn error_of(t: Tensor) -> Error {
    t.check().expect_err("the tensor carries an error")
}

#[test]
fn shapes_that_do_not_broadcast() {
    let (a, b) = (Tensor::zeros([2, 3]), Tensor::ones([4, 3]));
    let line = line!() + 1;
    let e = error_of(&a + &b);
    assert_eq!(e.kind(), ErrorKind::Shape);
    assert_eq!(e.place().unwrap().line(), line);
    assert_eq!(e.place().unwrap().file(), file!());
    let text = e.to_string();
    assert!(
        text.contains("f32[2, 3]") && text.contains("f32[4, 3]"),
        "{text}"
    );
    assert!(text.contains("axis 0") && text.contains("hint:"), "{text}");
}

#[test]
fn the_first_error_travels_through_later_operations() {
    let broken = Tensor::zeros([2]).matmul(&Tensor::zeros([3]));
    let later = (broken * 2.0).relu().sum(..).reshape([7, 7]);
    assert_eq!(error_of(later.clone()).op(), "matmul");
    assert_eq!(later.to_vec::<f32>().unwrap_err().op(), "matmul");
    assert_eq!(later.dims().unwrap_err().op(), "matmul");
    assert_eq!(later.dim(0).value().unwrap_err().op(), "matmul");
}

#[test]
fn composites_report_the_users_line() {
    let x = Tensor::zeros([2, 3]);
    let line = line!() + 1;
    let e = error_of(x.softmax(5));
    assert_eq!(e.place().unwrap().line(), line);
}

#[test]
fn axes_that_do_not_exist() {
    let x = Tensor::zeros([2, 3]);
    for t in [
        x.sum(2),
        x.sum(-3),
        x.permute([0, 2]),
        x.transpose(0, 5),
        x.unsqueeze(4),
        x.select(0, 2),
        x.select(0, -3),
        x.narrow(1, 2, 2),
        x.narrow(1, 0, -1i64),
        x.reshape([4, 2]),
        x.reshape([-1, -1]),
        x.expand([3, 3]),
        x.permute([0, 0]),
        x.i((0, 0, 0)),
        x.flip([9]),
        x.sum([0, 0]),
        Tensor::cat(&[], 0),
        Tensor::cat(&[&x, &Tensor::zeros([2, 2])], 0),
        x.unfold(0, 2, 0),
    ] {
        let e = error_of(t);
        assert!(e.place().is_some_and(|p| p.file() == file!()), "{e}");
    }
}

#[test]
fn types_that_do_not_fit() {
    let (f, i, b) = (
        Tensor::zeros([2]),
        Tensor::iota(2),
        Tensor::zeros([2]).cast(DType::Bool),
    );
    for t in [
        &f & &f,
        &f << 1,
        -&b,
        f.where_(&f, &f).bitwise_and(&f),
        i.mean(..),
        f.embedding(&f),
        Tensor::complex(&i, &i),
        f.imag(),
    ] {
        assert!(t.check().is_err());
    }
    assert_eq!(i.to_vec::<f32>().unwrap_err().kind(), ErrorKind::DType);
    assert_eq!(f.item::<f32>().unwrap_err().kind(), ErrorKind::Shape);
}

#[test]
fn sizes_beyond_the_address_space() {
    for t in [
        Tensor::zeros([1i64 << 40, 1 << 40]),
        Tensor::zeros([i64::MAX, 2]),
        Tensor::zeros([-2i64]),
        Tensor::zeros([3]).expand([i64::MAX, 3]),
        Tensor::iota(i64::MAX),
        Tensor::zeros([2]).pad([(i64::MAX, 1)], 0.0),
    ] {
        assert!(t.to_vec::<f32>().is_err() && t.check().is_err(), "{t:?}");
    }
    // Addressable, but no machine has it: an error when computed, not an abort.
    let huge = Tensor::zeros([1i64 << 45]);
    assert!(huge.check().is_ok());
    assert_eq!(huge.realize().unwrap_err().kind(), ErrorKind::Memory);
}

#[test]
fn indices_are_checked_while_running() {
    let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0], [3]);
    for bad in [3i64, -4, i64::MAX, i64::MIN] {
        let e = x
            .gather(0, &Tensor::from_vec(vec![bad], [1]))
            .to_vec::<f32>()
            .unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Fault, "{e}");
        assert!(e.to_string().contains("errors.rs"), "{e}");
    }
    let fine = x.gather(0, &Tensor::from_vec(vec![-1i64, 0], [2]));
    assert_eq!(fine.to_vec::<f32>().unwrap(), [3.0, 1.0]);
}

#[test]
fn integer_division_by_zero_is_an_error() {
    let x = Tensor::from_vec(vec![1i32, 2], [2]);
    let zero = Tensor::from_vec(vec![1i32, 0], [2]);
    assert_eq!(
        x.floor_divide(&zero).to_vec::<i32>().unwrap_err().kind(),
        ErrorKind::Fault
    );
    assert_eq!(x.div(&zero).to_vec::<f32>().unwrap(), [1.0, f32::INFINITY]);
    let made = line!() + 1;
    let zeros = Tensor::zeros([2]).cast(DType::I32);
    let e = failure_of(&x.floor_divide(&zeros));
    let divisor = e.operands().last().unwrap();
    assert_eq!(
        (divisor.role, divisor.ty.as_str()),
        ("other", "i32[2]"),
        "{e}"
    );
    assert_eq!(divisor.place.unwrap().line(), made, "{e}");
}

#[test]
fn casts_of_non_finite_numbers_are_defined() {
    let x = Tensor::from_vec(vec![f32::NAN, f32::INFINITY, -f32::INFINITY, 1e30], [4]);
    let ints = x.cast(DType::I64).to_vec::<i64>().unwrap();
    assert_eq!(ints, [0, i64::MAX, i64::MIN, i64::MAX]);
    assert_eq!(x.cast(DType::Bool).to_vec::<bool>().unwrap(), [true; 4]);
}

#[test]
fn host_functions_may_fail_or_panic() {
    let x = Tensor::iota(3);
    let y = x.map_elements(|v: i64| if v == 2 { panic!("two") } else { v });
    let e = y.to_vec::<i64>().unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Host);
    assert!(e.to_string().contains("two"), "{e}");
}

#[test]
fn refused_reads_fail_the_capture_whatever_becomes_of_them() {
    let x = Tensor::ones([2]);
    let line = line!() + 1;
    let mean = compile(|[x]: [Tensor; 1]| &x * x.sum(..).item::<f32>().unwrap_or(0.0) as f64);
    let e = mean.call([&x]).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Capture, "{e}");
    assert_eq!(e.place().map(|p| p.line()), Some(line), "{e}");
    let sized = compile(|[x]: [Tensor; 1]| &x * x.dims().unwrap_or_default().len() as f64);
    assert_eq!(sized.call([&x]).unwrap_err().op(), "dims");
    let each = lazulite::vmap(
        |t| vec![&t[0] * t[0].item::<f32>().unwrap_or(0.0) as f64],
        &[&x],
    );
    assert_eq!(error_of(each[0].clone()).kind(), ErrorKind::Capture);
    // Whoever looks at a tensor sees its type, and changes nothing.
    let shown = compile(|[x]: [Tensor; 1]| match x.to_string().contains("f32[2]") {
        true => x,
        false => x.neg(),
    });
    assert_eq!(shown.call([&x]).unwrap().to_vec::<f32>().unwrap(), [1.0; 2]);
    // A refused read is forgotten with its function.
    let fine = compile(|[x]: [Tensor; 1]| x.neg());
    assert!(fine.call([&x]).is_ok());
}

#[test]
fn masks_and_windows_must_fit() {
    let x = Tensor::iota(6).reshape([3, 2]);
    let mask = Tensor::from_vec(vec![true, false], [2]);
    assert_eq!(error_of(x.i(&mask)).kind(), ErrorKind::Index);
    let mut y = Tensor::iota(3);
    y.set_item(&mask, 9);
    assert!(y.check().is_err());
    let e = error_of(Tensor::ones([2, 3]).unfold(0, 5, 1));
    assert!(e.message().contains("size 5"), "{e}");
}

/// What went wrong while running, in a program that is only recorded so far.
fn failure_of(t: &Tensor) -> Error {
    t.realize().expect_err("running fails")
}

#[test]
fn errors_name_the_operation_that_was_written() {
    let x = Tensor::zeros([2, 3]);
    let mut written = x.clone();
    written.set_item((7, ..), 1.0);
    let cases = [
        ("zeros", Tensor::zeros([-2i64])),
        ("ones", Tensor::ones([-2i64])),
        ("full", Tensor::full([-2i64], 1)),
        ("eye", Tensor::eye(-2i64)),
        ("iota", Tensor::iota(-1i64)),
        ("rand", Tensor::rand([-1i64])),
        ("randn", Tensor::randn([-1i64])),
        ("linspace", Tensor::linspace(0.0, 1.0, usize::MAX)),
        ("argsort", x.argsort(5)),
        ("topk", x.topk(1, 5).0),
        ("topk", x.topk(9, 1).1),
        ("linear", x.linear(&Tensor::zeros([4, 7]), None)),
        ("stack", Tensor::stack(&[&x, &Tensor::iota(3)], 0)),
        ("set_item", written),
        ("i", x.i((7, ..))),
        ("layer_norm", x.layer_norm(5, None, None, 1e-5)),
        ("softmax", x.softmax(5)),
    ];
    for (name, tensor) in cases {
        let e = error_of(tensor);
        assert_eq!(e.op(), name, "{e}");
        assert_eq!(e.place().unwrap().file(), file!(), "{e}");
    }
    // An operand's error stays what it is.
    let broken = x.matmul(&x);
    assert_eq!(error_of(broken.softmax(5)).op(), "matmul");
    assert_eq!(error_of(broken.topk(9, 0).0).op(), "matmul");
}

#[test]
fn results_of_operations_with_several_have_the_users_place() {
    let x = Tensor::iota(6).reshape([2, 3]);
    for t in [x.sort(0).1, x.topk(2, 1).1, x.map_elements(|v: i64| v)] {
        let e = t.to_vec::<f32>().expect_err("integers are not floats");
        let place = e.operands()[0].place.expect("the operand's place");
        assert_eq!(place.file(), file!(), "{e}");
    }
}

#[test]
fn faults_name_the_operation_that_ran() {
    let x = Tensor::iota(3);
    let far = Tensor::from_vec(vec![7i64], [1]);
    let zero = Tensor::zeros_like(&x);
    let name = |t: Tensor| failure_of(&t).op().to_string();
    assert_eq!(name(x.gather(0, &far)), "gather");
    assert_eq!(name(x.gather(0, &far).sort(0).0), "gather");
    assert_eq!(name(x.fmod(&zero)), "rem");
    assert_eq!(
        name(x.map_elements(|_: i64| -> i64 { panic!("no") })),
        "custom"
    );
}

#[test]
fn memory_that_cannot_be_had_names_the_largest_tensor() {
    let small = Tensor::ones([3]);
    let line = line!() + 1;
    let large = Tensor::zeros([1i64 << 45]).map_elements(|v: f32| v);
    let e = failure_of(&(large.sum(..) + small.sum(..)));
    assert_eq!(e.kind(), ErrorKind::Memory);
    assert_eq!(e.place().unwrap().line(), line, "{e}");
    assert!(e.to_string().contains("f32[35184372088832]"), "{e}");
    let captured = compile(|[x]: [Tensor; 1]| x.expand([1i64 << 45]) + 1.0);
    let e = captured.call([&Tensor::ones([1])]).expect_err("too large");
    assert_eq!(e.kind(), ErrorKind::Memory);
    assert_eq!(e.place().unwrap().file(), file!(), "{e}");
}

#[test]
fn sizes_that_overflow_when_a_program_runs_name_the_largest_tensor() {
    let n = 100_000;
    let grow = |x: &Tensor| {
        let n = x.dim(0);
        let all = x
            .reshape((1, 1, 1, n.clone()))
            .expand((n.clone(), n.clone(), n.clone(), n));
        all.cumsum(0).sort(0).0
    };
    let vector = Tensor::ones([n]);
    let captured = compile(move |[x]: [Tensor; 1]| grow(&x));
    let _ = captured.call([&Tensor::ones([3])]).unwrap();
    let exported = export(|[x]| grow(x), &[spec!(f32["n"])]).unwrap();
    let failed = [
        captured.call([&vector]).expect_err("too large"),
        exported.run(&[&vector]).unwrap_err(),
    ];
    for e in failed {
        assert_eq!(e.kind(), ErrorKind::Memory, "{e}");
        let text = e.to_string();
        assert!(text.contains("[100000, 100000, 100000, 100000]"), "{e}");
        assert!(
            text.contains("the largest tensor is that of tests/errors.rs:"),
            "{e}"
        );
        assert!(!text.contains("buffer"), "{e}");
    }
}

#[test]
fn sizes_that_are_refused_late_point_to_the_users_line() {
    let error = export(|[x]| x + 1.0, &[spec!(f32[i64::MAX, i64::MAX])]).unwrap_err();
    assert_eq!(error.place().unwrap().file(), file!(), "{error}");
    assert_eq!(error.place().unwrap().line(), line!() - 2, "{error}");
}

#[test]
fn programs_from_text_check_their_sizes() {
    let program = lazulite::Program::from_text(
        "graph(%0: f32[n], %1: f32[m]) {\n  %2 = add %0, %1 : f32[n]\n  return %2\n}\n",
    )
    .unwrap();
    let run = |dims: &[(&str, i64)]| {
        let dims: Vec<(String, i64)> = dims.iter().map(|(n, s)| ((*n).into(), *s)).collect();
        program.run_random(&dims, 1)
    };
    assert_eq!(run(&[("n", 3), ("m", 3)]).unwrap()[0].dims().unwrap(), [3]);
    let unknown = run(&[("n", 3), ("m", 3), ("k", 1)]).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Argument);
    assert!(
        unknown.to_string().contains("no size called k"),
        "{unknown}"
    );
    let broken = run(&[("n", 3), ("m", 4)]).unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::Argument);
    assert!(broken.to_string().contains("guard"), "{broken}");
}

#[test]
fn a_fault_names_the_line_of_its_own_call() {
    let x = Tensor::arange(0, 8, 1);
    let at = |i: i64| Tensor::from_vec(vec![i], [1]);
    x.index_select(0, &at(1)).to_vec::<i64>().unwrap();
    // The same program, from the cache.
    let line = line!() + 1;
    let error = x.index_select(0, &at(9)).to_vec::<i64>().unwrap_err();
    assert_eq!(error.place().map(|p| p.line()), Some(line), "{error}");
}

#[test]
fn absurd_arguments_are_errors() {
    let (x, huge) = (Tensor::ones([1, 1, 4, 4]), usize::MAX);
    let square = Tensor::ones([3, 3]);
    let options = lazulite::ConvOptions {
        dilation: vec![huge],
        ..lazulite::ConvOptions::default()
    };
    let pool = lazulite::PoolOptions {
        dilation: vec![huge],
        ..lazulite::PoolOptions::default()
    };
    let all = [
        x.conv_with(&Tensor::ones([1, 1, 2, 2]), None, &options),
        x.max_pool_with([2, 2], &pool).0,
        x.max_pool([huge, 2]),
        x.adaptive_avg_pool(&[Some(huge), None]),
        x.interpolate(&[huge, 2], None, lazulite::ResampleMode::Nearest, false),
        Tensor::ones([2]).diag_embed(i64::MIN, 0, 1),
        Tensor::ones([2]).diagflat(i64::MAX),
        square.histc(huge, 0.0, 1.0),
        square.split_with_sizes(&[huge, 4], 0).remove(0),
        Tensor::ones([3]).repeat_interleave_by(&Tensor::full([3], i64::MAX), 0),
        square.flip([0, -2]),
        square.cdist_with(&square, -1.0),
        Tensor::arange(0, 4, 1).gather(0, &Tensor::full_of([1], -1.0, lazulite::DType::U64)),
        Tensor::zeros([1, 3]).cross_entropy(&Tensor::full([1], -1)),
    ];
    for (i, wrong) in all.iter().enumerate() {
        assert!(wrong.realize().is_err(), "number {i}");
    }
    assert!(square.roll([i64::MIN], [0]).realize().is_ok());
    assert_eq!(square.diagonal_with(i64::MIN, 0, 1).dims().unwrap(), [0]);
}

#[test]
fn large_tensors_are_shown_by_their_edges_without_being_computed() {
    let text = Tensor::ones([1]).expand([1i64 << 40]).to_string();
    assert_eq!(text, "tensor([1., 1., 1.,  ..., 1., 1., 1.])");
}

#[test]
fn closures_that_read_their_own_tensor_are_errors() {
    use std::sync::{Arc, Mutex};
    let slot: Arc<Mutex<Option<Tensor>>> = Arc::default();
    let own = slot.clone();
    let x = Tensor::ones([2]).map_elements(move |v: f32| {
        let tensor = own.lock().unwrap().clone();
        tensor
            .and_then(|t| t.to_vec::<f32>().ok())
            .map_or(v, |all| all[0])
    });
    *slot.lock().unwrap() = Some(x.clone());
    // It ends; what comes out of it is the closure's business.
    let _ = x.to_vec::<f32>();
    *slot.lock().unwrap() = None;
}

#[test]
fn mistakes_inside_of_sequential_name_the_users_line() {
    use lazulite::nn::{Layer, Linear, Sequential};
    let model = Sequential::new()
        .with(Linear::new(4, 16))
        .with(Linear::new(8, 2));
    let line = line!() + 1;
    let error = model.forward(&Tensor::ones([1, 4])).check().unwrap_err();
    assert_eq!(error.place().map(|p| p.line()), Some(line), "{error}");
}

#[test]
fn checks_on_values_are_told_in_the_words_of_their_rule() {
    use lazulite::distributions::{Categorical, Distribution};
    let coin = Categorical::new(&Tensor::from_vec(vec![0.5f32, 0.5], [2]));
    let line = line!() + 1;
    let density = coin.log_prob(&Tensor::from_vec(vec![7i64], [1]));
    let error = density.to_vec::<f32>().unwrap_err();
    assert_eq!((error.kind(), error.op()), (ErrorKind::Fault, "check"));
    assert!(error.message().contains("values are whole"), "{error}");
    assert_eq!(error.place().unwrap().line(), line);
    let captured = compile(|[p]: [Tensor; 1]| p.bernoulli());
    let error = captured.call([&Tensor::full([1], 2.0)]).unwrap_err();
    assert_eq!(error.op(), "check");
}

#[test]
fn errors_of_files_and_exported_functions_know_the_line_of_the_call() {
    let folder = std::env::temp_dir().join("no-such-folder-of-lazulite");
    let x = Tensor::zeros([3]);
    let exported = lazulite::export(|[x]| x.relu(), &[lazulite::spec!(f32["n", 2])]).unwrap();
    let errors = [
        Tensor::load(folder.join("x.npy")).unwrap_err(),
        x.save(folder.join("x.npy")).unwrap_err(),
        lazulite::load_tensors(folder.join("x.npz")).unwrap_err(),
        lazulite::load_tensors(folder.join("x.txt")).unwrap_err(),
        lazulite::save_tensors(folder.join("x.npz"), &[("x", &x)]).unwrap_err(),
        exported.save(folder.join("x.lzl")).unwrap_err(),
        lazulite::Exported::load(folder.join("x.lzl"))
            .map(drop)
            .unwrap_err(),
        exported.run(&[&x]).unwrap_err(),
        exported.run(&[]).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.place().map(|p| p.file()), Some(file!()), "{error}");
    }
}

#[test]
fn sizes_too_large_for_addresses_lack_memory_when_exported_functions_run() {
    let cube = |x: &Tensor| x.outer(x).ravel().outer(x).ravel().outer(x).exp();
    let exported = lazulite::export(|[x]| cube(x), &[lazulite::spec!(f32["n"])]).unwrap();
    let error = exported.run(&[&Tensor::zeros([100_000])]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Memory, "{error}");
}

#[test]
fn losses_of_several_elements_are_refused_by_the_step_itself() {
    use lazulite::optim::{Optimizer, Sgd};
    let weight = lazulite::nn::Param::new(Tensor::ones([2]));
    let error = Sgd::new(vec![weight.clone()], 0.1)
        .step(&weight.get())
        .unwrap_err();
    assert_eq!((error.op(), error.kind()), ("step", ErrorKind::Gradient));
    assert!(error.advice().unwrap().contains("mean"), "{error}");
    assert_eq!(weight.get().mul(1).backward().unwrap_err().op(), "backward");
    for rate in [-1.0, f64::NAN] {
        assert!(
            Sgd::new(vec![weight.clone()], rate).check().is_err(),
            "{rate}"
        );
    }
}

#[test]
fn bools_in_files_are_true_where_they_are_not_zero() {
    let path = std::env::temp_dir().join(format!("lazulite-bools-{}.npy", std::process::id()));
    Tensor::from_vec(vec![true, false, true], [3])
        .save(&path)
        .unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() = 200;
    std::fs::write(&path, bytes).unwrap();
    let x = Tensor::load(&path).unwrap();
    std::fs::remove_file(&path).ok();
    assert_eq!(x.cast(DType::I64).sum(..).item::<i64>().unwrap(), 2);
    assert_eq!(x.to_vec::<bool>().unwrap(), [true, false, true]);
}

/// What an error about an index or label says: operation, message, line, operands and advice.
fn told(e: &Error, op: &str, message: &str, types: &[&str], line: u32) {
    assert_eq!((e.kind(), e.op()), (ErrorKind::Fault, op), "{e}");
    assert!(e.message().contains(message), "{e}");
    let given: Vec<&str> = e.operands().iter().map(|o| o.ty.as_str()).collect();
    assert_eq!(given, types, "{e}");
    assert!(e.advice().is_some(), "{e}");
    assert_eq!(
        e.place().map(|p| (p.file(), p.line())),
        Some((file!(), line))
    );
}

#[test]
fn labels_outside_of_the_classes_are_told_as_labels() {
    let logits = Tensor::zeros([2, 3]);
    let labels = |label: i64| Tensor::from_vec(vec![0, label], [2]);
    let types = ["f32[2, 3]", "i64[2]"];
    let line = line!() + 1;
    let loss = |x: &Tensor, y: &Tensor| x.cross_entropy(y);
    let e = failure_of(&loss(&logits, &labels(3)));
    let three = "label 3, but there are 3 classes (0..=2)";
    told(&e, "cross_entropy", three, &types, line);
    let e = failure_of(&loss(&logits, &labels(-1)));
    told(&e, "cross_entropy", "label -1, but", &types, line);
    // Of sizes that the program was not compiled for first, and inside of captured and exported functions.
    let e = failure_of(&loss(&Tensor::zeros([2, 5]), &labels(5)));
    told(
        &e,
        "cross_entropy",
        "there are 5 classes",
        &["f32[2, 5]", "i64[2]"],
        line,
    );
    let captured = compile(|[x, y]: [Tensor; 2]| loss(&x, &y));
    let e = captured.call([&logits, &labels(3)]).unwrap_err();
    assert_eq!(e.op(), "cross_entropy", "{e}");
    assert!(
        e.message().contains(three) && e.to_string().contains("f32[2, 3]"),
        "{e}"
    );
    let specs = [lazulite::spec!(f32["n", 3]), lazulite::spec!(i64["n"])];
    let exported = lazulite::export(|[x, y]| loss(x, y), &specs).unwrap();
    let e = exported.run(&[&logits, &labels(3)]).unwrap_err();
    assert!(
        e.message().contains(three) && e.op() == "cross_entropy",
        "{e}"
    );
    let e = failure_of(&logits.multi_margin_loss(&labels(-1)));
    assert!(
        e.message().contains("label -1") && e.op() == "multi_margin_loss",
        "{e}"
    );
}

#[test]
fn indices_outside_are_told_as_they_were_written() {
    let x = Tensor::arange(0, 4, 1);
    let at = |i: i64| Tensor::from_vec(vec![i], [1]);
    let table = Tensor::zeros([5, 2]);
    let least = i64::MIN.to_string();
    let cases = [
        ("index_select", "index -7 is", x.index_select(0, &at(-7))),
        ("gather", &least, x.gather(0, &at(i64::MIN))),
        ("scatter", &least, x.scatter(0, &at(i64::MIN), &at(1))),
        (
            "scatter_add",
            "index 4 is",
            x.scatter_add(0, &at(4), &at(1)),
        ),
        ("index_add", "index 9 is", x.index_add(0, &at(9), &at(1), 1)),
        ("take", "for 4 elements", x.take(&at(4))),
        ("i", "index -9 is", x.i(at(-9))),
        ("as_strided", "index 5 is", x.as_strided(&[2], &[5], 0)),
        ("embedding", "index -9 is", table.embedding(&at(-9))),
        (
            "embedding",
            "axis 0, which has size 0",
            Tensor::zeros([0, 2]).embedding(&at(0)),
        ),
        (
            "gather",
            "or more",
            x.gather(0, &Tensor::full_of([1], -1, DType::U64)),
        ),
    ];
    for (op, message, tensor) in cases {
        let e = failure_of(&tensor);
        assert_eq!((e.kind(), e.op()), (ErrorKind::Fault, op), "{e}");
        assert!(e.message().contains(message), "{e}");
        assert!(!e.operands().is_empty() && e.advice().is_some(), "{e}");
        let captured = compile(|[x]: [Tensor; 1]| x + 1);
        drop(captured);
    }
    let mut y = x.clone();
    y.set_item(at(7), 1);
    assert_eq!(failure_of(&y).op(), "set_item");
    let e = failure_of(&Tensor::zeros([2, 2]).inv());
    assert_eq!((e.kind(), e.op()), (ErrorKind::Host, "inv"), "{e}");
}

#[test]
fn layers_are_shown_with_their_path_and_where_they_were_made() {
    use lazulite::nn::{
        BatchNorm1d, Conv2d, Layer, LayerNorm, Linear, Lstm, Module, Relu, Sequential,
    };
    let line = line!() + 1;
    let last = Linear::new(9, 2);
    let model = Sequential::new()
        .with(Linear::new(4, 8))
        .with(Relu)
        .with(last);
    let _ = model.parameters();
    let e = error_of(model.forward(&Tensor::ones([1, 4])));
    let text = e.to_string();
    assert!(
        text.contains("in 2: Linear") && text.contains("has size 8, not 9"),
        "{e}"
    );
    let layer = e.operands().last().unwrap();
    assert_eq!(
        (layer.role, layer.ty.as_str()),
        ("layer", "Linear(9, 2)"),
        "{e}"
    );
    assert_eq!(layer.place.map(|p| p.line()), Some(line), "{e}");

    let line = line!() + 1;
    let conv = Conv2d::new(3, 6, 3);
    let e = error_of(conv.forward(&Tensor::ones([1, 1, 8, 8])));
    assert!(
        e.message().contains("has 1 channels, the weight takes 3"),
        "{e}"
    );
    assert!(
        e.advice().is_some() && e.to_string().contains("Conv2d(3, 6, ..)"),
        "{e}"
    );
    for note in &e.operands()[1..] {
        assert_eq!(
            note.place.map(|p| (p.file(), p.line())),
            Some((file!(), line)),
            "{e}"
        );
    }
    let x = Tensor::ones([1, 4, 8, 8]);
    let grouped = |groups| lazulite::ConvOptions {
        groups,
        ..Default::default()
    };
    let e = error_of(x.conv_with(&Tensor::ones([3, 2, 1, 1]), None, &grouped(2)));
    assert!(
        e.message()
            .contains("3 outputs of the weight do not form 2 groups"),
        "{e}"
    );
    let e = error_of(x.conv_with(&Tensor::ones([3, 2, 1, 1]), None, &grouped(0)));
    assert!(e.message().contains("0 groups"), "{e}");

    let e = error_of(BatchNorm1d::new(5).forward(&Tensor::ones([2, 4])));
    assert!(e.message().contains("4 channels, not 5"), "{e}");
    assert!(
        e.to_string().contains("BatchNorm1d(5)") && e.to_string().contains("f32[2, 4]"),
        "{e}"
    );
    let e = error_of(LayerNorm::new(5).forward(&Tensor::ones([2, 4])));
    assert!(
        e.message().contains("has size 4, not 5") && e.to_string().contains("LayerNorm[5]"),
        "{e}"
    );
    let e = error_of(Lstm::new(5, 3, 1).forward(&Tensor::ones([7, 2, 4]), None).0);
    assert!(
        e.message().contains("has size 4, not 5") && e.to_string().contains("Lstm(5, 3"),
        "{e}"
    );
}

#[test]
fn a_second_gradient_of_a_plain_one_is_told_how_to_be_had() {
    let x = Tensor::ones([2]).with_grad();
    let first = lazulite::grad(&[&(&x * &x).sum(..)], &[&x])
        .unwrap()
        .remove(0);
    let e = lazulite::grad(&[&first.sum(..)], &[&x]).unwrap_err();
    assert!(
        e.advice().unwrap_or_default().contains("create_graph"),
        "{e}"
    );
    let e = (&x * 2.0).backward().unwrap_err();
    assert!(
        e.advice().unwrap_or_default().contains("backward_with"),
        "{e}"
    );
}

#[test]
fn operations_made_of_others_are_named_as_they_were_written() {
    let x = Tensor::ones([2, 3]);
    let truth = x.gt(0);
    let cases = [
        ("arange", Tensor::arange(0, i64::MAX, 1)),
        ("randperm", Tensor::randperm(-1i64)),
        ("diag", Tensor::ones([3]).diag_with(i64::MAX)),
        ("unflatten", x.unflatten(1, [2, 2])),
        ("from_vec", Tensor::from_vec(vec![1.0f32], [2])),
        ("sub", &truth - &truth),
        ("cat", Tensor::cat(&[&x, &Tensor::ones([3, 2])], 0)),
        ("dropout", x.dropout(2.0, true)),
        ("i", x.i((0, 0, 0))),
        ("pad", x.pad([(i64::MIN, i64::MAX), (0, 0)], 0.0)),
        ("cast", Tensor::zeros([1usize << 60]).cast(DType::F64)),
        (
            "mse_loss",
            Tensor::ones([4]).mse_loss(&Tensor::ones([4, 1])),
        ),
    ];
    for (op, tensor) in cases {
        let e = error_of(tensor);
        assert_eq!(e.op(), op, "{e}");
        assert_eq!(e.place().map(|p| p.file()), Some(file!()), "{e}");
    }
    let equation = Tensor::einsum("ij->k", &[&x]);
    assert!(error_of(equation).message().contains("`k` of the result"));
    let steps = error_of(Tensor::arange(0, 5, -1));
    assert!(
        steps.message().contains("from 0 to 5 in steps of -1"),
        "{steps}"
    );
}

#[test]
fn indices_of_a_write_are_told_of_the_tensor_that_is_written() {
    let mut x = Tensor::zeros([2, 2]);
    x.set_item(3, 1.0);
    let e = error_of(x);
    assert_eq!(e.op(), "set_item");
    let types: Vec<&str> = e.operands().iter().map(|o| o.ty.as_str()).collect();
    assert_eq!(types, ["f32[2, 2]"], "{e}");
    // What an index brings along stays as it is.
    let broken = Tensor::iota(4).reshape([3]);
    let mut x = Tensor::zeros([2, 2]);
    x.set_item(&broken, 1.0);
    assert_eq!(error_of(x).to_string(), error_of(broken).to_string());
}

#[test]
fn draws_from_weights_that_allow_none_name_the_operation_and_the_weights() {
    let weights = Tensor::zeros([2, 3]);
    let line = line!() + 1;
    for draws in [weights.multinomial(2, true), weights.multinomial(2, false)] {
        let e = failure_of(&draws);
        assert_eq!(
            (e.op(), e.operands()[0].ty.as_str()),
            ("multinomial", "f32[2, 3]")
        );
        assert!(e.message().contains("positive"), "{e}");
        assert_eq!(e.place().unwrap().line(), line, "{e}");
    }
    // The program of other sizes says so.
    let e = failure_of(&Tensor::zeros([4, 7]).multinomial(2, true));
    assert_eq!(e.operands()[0].ty, "f32[4, 7]", "{e}");
}

#[test]
fn losses_that_no_parameter_is_trained_by_are_told_as_such() {
    use lazulite::nn::Param;
    use lazulite::optim::{Optimizer, Sgd};
    let weight = Param::new(Tensor::ones([2, 3]));
    let mut optimizer = Sgd::new(vec![weight.clone()], 0.1);
    let other = Tensor::ones([2]).with_grad();
    let losses = [
        (weight.get().argmax(0).sum(..), "argmax"),
        (Tensor::ones([2]).sum(..), "no_grad"),
        (other.sum(..), "what they hold now"),
    ];
    for (loss, hint) in losses {
        let e = optimizer.step(&loss).unwrap_err();
        assert!(
            e.message()
                .contains("does not depend on the optimiser's parameters"),
            "{e}"
        );
        assert!(e.advice().unwrap().contains(hint), "{e}");
        assert_eq!(e.place().unwrap().file(), file!());
    }
}
