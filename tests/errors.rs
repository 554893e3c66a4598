//! Mistakes: never a panic, always an error with place, operands and advice.

use lazulite::ErrorKind;
use lazulite::prelude::*;

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
fn values_cannot_be_read_inside_a_capture() {
    let f = compile(|[x]: [Tensor; 1]| match x.to_vec::<f32>() {
        Ok(_) => x,
        Err(e) => Tensor::full((), i64::from(e.kind() == ErrorKind::Capture)),
    });
    assert_eq!(
        f.call([&Tensor::zeros([2])])
            .unwrap()
            .item::<i64>()
            .unwrap(),
        1
    );
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
