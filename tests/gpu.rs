//! GPUs that are this processor: driver and compiler are made of the emulator by which generated kernels are tested
//! (`codegen/tests/cuda`). What passes here is emulated, not tested on a GPU.
#![cfg(all(feature = "cuda", target_arch = "x86_64"))]

use lazulite::nn::{BatchNorm1d, Layer, Linear, Module, Param};
use lazulite::optim::{AdamW, Optimizer, Sgd, SgdSettings};
use lazulite::prelude::*;
use lazulite::{
    Device, Element, ErrorKind, IntoDims, cond, device_count, gpu, options, scan, set_options,
    spec, vmap, while_loop,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Compiles one of the libraries; `None` where there is no compiler, which is said.
fn build(source: &str) -> Option<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/codegen/tests/cuda");
    let temporary = env!("CARGO_TARGET_TMPDIR");
    let library = Path::new(temporary).join(format!("gpu-{}-{source}.so", std::process::id()));
    let output = Command::new("g++")
        .args(["-std=c++17", "-O1", "-fPIC", "-shared", "-w", "-o"])
        .arg(&library)
        .arg(format!("-DSHIM=\"{folder}\""))
        .arg(format!("-DFOLDER=\"{temporary}\""))
        .args(["-DLEVEL=\"-O0\"", "-DDEVICES=4"])
        .arg(format!("{folder}/{source}.cpp"))
        .arg("-ldl")
        .output();
    match output {
        Ok(output) => {
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{message}");
            Some(library)
        }
        Err(e) => {
            println!("skipped: the C++ compiler g++ cannot be run: {e}");
            None
        }
    }
}

fn use_libraries(driver: &Path, compiler: &Path) {
    let mut options = options();
    options.cuda_driver = Some(driver.display().to_string());
    options.cuda_compiler = Some(compiler.display().to_string());
    options.cuda_cache = None;
    set_options(options).unwrap();
}

/// What is said where something is missing; then emulated devices, some of which are one test's own.
fn open() -> Option<[Device; 4]> {
    let nowhere = Path::new("/nowhere/libcuda.so.1");
    use_libraries(nowhere, nowhere);
    for error in [device_count().unwrap_err(), Device::cuda(0).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Device);
        let error = error.to_string();
        assert!(error.contains("/nowhere/libcuda.so.1"), "{error}");
        assert!(error.contains("install"), "{error}");
    }
    let (driver, compiler) = (build("fake_driver")?, build("fake_compiler")?);
    use_libraries(&driver, nowhere);
    assert_eq!(device_count().unwrap(), 4);
    let error = Device::cuda(0).unwrap_err().to_string();
    assert!(error.contains("NVRTC"), "{error}");
    use_libraries(&driver, &compiler);
    let error = Device::cuda(4).unwrap_err().to_string();
    assert!(error.contains("no CUDA device 4, only 4"), "{error}");
    assert!(Device::cuda(1000).is_err());
    let devices = [0, 1, 2, 3].map(|n| Device::cuda(n).unwrap());
    for library in [driver, compiler] {
        std::fs::remove_file(library).unwrap();
    }
    Some(devices)
}

/// Options are the process's: whoever is first opens the devices.
fn devices() -> Option<[Device; 4]> {
    static DEVICES: OnceLock<Option<[Device; 4]>> = OnceLock::new();
    *DEVICES.get_or_init(open)
}

macro_rules! gpu {
    () => {
        match devices() {
            Some([gpu, ..]) => gpu,
            None => return,
        }
    };
}

fn ramp(dims: impl IntoDims) -> Tensor {
    let dims = Tensor::zeros(dims).dims().unwrap();
    let count = dims.iter().product::<usize>();
    let data = (0..count).map(|i| (i as f32 * 0.37).sin() * 2.0);
    Tensor::from_vec(data.collect(), dims)
}

/// Largest difference between what is computed there and here.
fn difference(there: &Tensor, here: &Tensor) -> f64 {
    assert_eq!(there.dims().unwrap(), here.dims().unwrap());
    let read = |t: &Tensor| t.cast(DType::F64).to_vec::<f64>().unwrap();
    let pairs = read(there).into_iter().zip(read(here));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn values_go_there_and_back() {
    fn check<T: Element + PartialEq + std::fmt::Debug>(gpu: Device, data: Vec<T>) {
        let x = Tensor::from_vec(data.clone(), [data.len()]).to(gpu);
        assert_eq!(x.device().unwrap(), gpu);
        let back = x.to(Device::cpu());
        assert_eq!(back.device().unwrap(), Device::cpu());
        assert_eq!(back.to_vec::<T>().unwrap(), data);
        assert_eq!(x.to_vec::<T>().unwrap(), data);
    }
    let gpu = gpu!();
    check(gpu, vec![true, false]);
    check(gpu, vec![0u8, 255]);
    check(gpu, vec![0u16, 65535]);
    check(gpu, vec![0u32, u32::MAX]);
    check(gpu, vec![0u64, u64::MAX]);
    check(gpu, vec![-128i8, 127]);
    check(gpu, vec![i16::MIN, i16::MAX]);
    check(gpu, vec![i32::MIN, i32::MAX]);
    check(gpu, vec![i64::MIN, i64::MAX]);
    check(gpu, [1.5, -0.0].map(f16::from_f32).to_vec());
    check(gpu, [1.5, -0.0].map(bf16::from_f32).to_vec());
    check(gpu, vec![1.5f32, f32::INFINITY]);
    check(gpu, vec![1.5f64, f64::MIN_POSITIVE]);
    check(gpu, vec![Complex::new(1f32, 2.0)]);
    check(gpu, vec![Complex::new(1f64, 2.0)]);
    check::<f32>(gpu, vec![]);
    let moved = Tensor::scalar(3.5f32).to(gpu);
    assert_eq!(moved.to_string(), Tensor::scalar(3.5f32).to_string());
    assert_eq!(moved.item::<f32>().unwrap(), 3.5);
}

#[test]
fn kernels_of_all_kinds_give_what_the_processor_gives() {
    let gpu = gpu!();
    let x = ramp([5, 7]);
    let table = ramp([7, 4]);
    let index = Tensor::from_vec(vec![4i64, 0, 2], [3]);
    let run = |x: &Tensor, table: &Tensor, index: &Tensor| {
        [
            (x * 2.0 + 1.0).tanh(),
            x.sum(0) + x.amax([0]),
            x.softmax(-1),
            x.matmul(table).relu(),
            x.index_select(0, index),
            x.cumsum(1),
            x.sort_with(1, true).0,
            Tensor::cat(&[x, &Tensor::ones([1, 7])], 0),
        ]
    };
    let there = run(&x.to(gpu), &table.to(gpu), &index.to(gpu));
    for (there, here) in there.iter().zip(run(&x, &table, &index)) {
        assert_eq!(there.device().unwrap(), gpu);
        assert!(difference(there, &here) < 1e-6);
    }
    // A host function runs on copies.
    let there = x.to(gpu).i((..5, ..5)).inv();
    assert!(difference(&there, &x.i((..5, ..5)).inv()) < 1e-4);
}

#[test]
fn half_floats_are_multiplied_on_tensor_cores() {
    let gpu = gpu!();
    for (dtype, near) in [(DType::F16, 4e-3), (DType::BF16, 4e-2)] {
        let [x, weights, last] =
            [[9, 40], [40, 70], [70, 5]].map(|dims| (ramp(dims) * 0.25).cast(dtype));
        let run = |x: &Tensor, weights: &Tensor, last: &Tensor| {
            let weights = weights.clone().with_grad();
            let loss = x.matmul(&weights).tanh().matmul(last).square().sum(..);
            let gradient = lazulite::grad(&[&loss], &[&weights]).unwrap().remove(0);
            [x.matmul(&weights), loss.detach(), gradient]
        };
        let there = run(&x.to(gpu), &weights.to(gpu), &last.to(gpu));
        for (there, here) in there.iter().zip(run(&x, &weights, &last)) {
            assert_eq!(there.dtype().unwrap(), dtype);
            let size = here.cast(DType::F64).abs().amax(..).item::<f64>().unwrap();
            let found = difference(there, &here) / size.max(1.0);
            assert!(found < near, "{dtype}: {found}");
        }
    }
}

#[test]
fn exported_products_of_half_weights_run_there() {
    let gpu = gpu!();
    let [first, second] = [[8, 24], [24, 16]].map(|dims| ramp(dims).cast(DType::F16));
    // The product of the weights is computed once.
    let function = lazulite::export(
        |[x]| x.matmul(&first.matmul(&second)),
        &[spec!(lazulite::f16["n", 8])],
    );
    let function = function.unwrap();
    let x = ramp([5, 8]).cast(DType::F16);
    let here = function.run(&[&x]).unwrap().remove(0);
    let there = function.run(&[&x.to(gpu)]).unwrap().remove(0);
    let size = here.cast(DType::F64).abs().amax(..).item::<f64>().unwrap();
    assert!(difference(&there, &here) <= size * 2e-3);
}

#[test]
fn draws_have_the_bits_that_the_processor_draws() {
    let gpu = gpu!();
    let draw = |device: Device| {
        let here = Generator::new(7);
        device.scope(|| {
            let own = [here.rand([9]), here.randint(0, 100, [9]).cast(DType::F32)];
            own.map(|t| {
                assert_eq!(t.device().unwrap(), device);
                t.to_vec::<f32>().unwrap()
            })
        })
    };
    assert_eq!(draw(gpu), draw(Device::cpu()));
    // Draws inside of operations belong where their operands are.
    let x = ramp([50]).to(gpu);
    let dropped = x.dropout(0.5, true);
    assert_eq!(dropped.device().unwrap(), gpu);
    let zeros = dropped
        .eq(0)
        .cast(DType::I64)
        .sum(..)
        .item::<i64>()
        .unwrap();
    assert!((5..45).contains(&zeros));
    let mut filled = x.clone();
    assert_eq!(filled.normal_(0.0, 1.0).device().unwrap(), gpu);
    assert_eq!(x.randn_like().device().unwrap(), gpu);
}

#[test]
fn different_devices_are_an_error_and_numbers_go_anywhere() {
    let Some([gpu, other, ..]) = devices() else {
        return;
    };
    let x = ramp([2, 3]).to(gpu);
    let wrong = &x + &ramp([2, 3]);
    let error = wrong.relu().check().unwrap_err();
    assert_eq!((error.kind(), error.op()), (ErrorKind::Device, "add"));
    let text = error.to_string();
    for part in [
        "the operands lie on cuda:0 and cpu",
        "f32[2, 3] on cuda:0, from tests/gpu.rs",
        "f32[2, 3] on cpu, from tests/gpu.rs",
        "hint",
        ".to(device)",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(
        Tensor::cat(&[&x, &ramp([2, 3]).to(other)], 0)
            .check()
            .is_err()
    );
    assert!(ramp([2, 2]).matmul(&x).check().is_err());
    // Numbers, what is made of them, and single elements.
    let sum = ramp([4]).sum(..);
    let all =
        &x * 2.0 + Tensor::ones([2, 3]) + Tensor::scalar(1.0f32) + Tensor::arange(0, 3, 1) + &sum;
    assert_eq!(all.device().unwrap(), gpu);
    let expected = ramp([2, 3]) * 2.0 + Tensor::arange(0, 3, 1) + (sum + 2.0);
    assert!(difference(&all, &expected) < 1e-5);
    // A constant that was computed on one device is used on another.
    let ones = Tensor::ones([2, 3]).realize().unwrap();
    assert!(difference(&(&x + &ones), &(ramp([2, 3]) + 1.0)) < 1e-6);
    assert!(difference(&(x.to(other) + &ones), &(ramp([2, 3]) + 1.0)) < 1e-6);
    assert!(difference(&(ramp([2, 3]) + &ones), &(ramp([2, 3]) + 1.0)) < 1e-6);
}

#[test]
fn scopes_say_where_tensors_are_made() {
    let gpu = gpu!();
    let w = gpu.scope(|| {
        assert_eq!(Device::here(), gpu);
        let all = [
            Tensor::zeros([2]),
            Tensor::from_vec(vec![1f32, 2.0], [2]),
            Tensor::arange(0, 2, 1),
            Tensor::randn([2]),
            Tensor::zeros([2]).zeros_like(),
        ];
        assert!(all.iter().all(|t| t.device().unwrap() == gpu));
        // Elsewhere is elsewhere.
        let there = std::thread::spawn(|| Tensor::randn([2]).device().unwrap());
        assert_eq!(there.join().unwrap(), Device::cpu());
        Device::cpu().scope(|| assert!(Tensor::randn([2]).device().unwrap().is_cpu()));
        all[1].clone()
    });
    assert_eq!(Device::here(), Device::cpu());
    assert_eq!((w + 1.0).to_vec::<f32>().unwrap(), [2.0, 3.0]);
}

/// Losses of a few steps, and whether all parameters lie where they should.
fn train(device: Device, make: impl Fn(Vec<Param>) -> Box<dyn Optimizer>) -> Vec<f32> {
    lazulite::manual_seed(3);
    let (first, norm, second) = (Linear::new(6, 8), BatchNorm1d::new(8), Linear::new(8, 3));
    for module in [&first as &dyn Module, &norm, &second] {
        module.to(device).unwrap();
    }
    let parameters = || first.parameters().into_iter().chain(second.parameters());
    let mut optimizer = make(parameters().collect());
    let forward = |x: &Tensor, y: &Tensor| {
        let hidden = norm.forward(&first.forward(x)).relu();
        second.forward(&hidden).cross_entropy(y)
    };
    let mut losses = Vec::new();
    for step in 0..4 {
        let x = (ramp([5, 6]) * (step + 1)).realize().unwrap().to(device);
        let y = Tensor::from_vec(vec![0i64, 1, 2, 1, 0], [5]).to(device);
        let loss = forward(&x, &y);
        optimizer.step(&loss).unwrap();
        assert_eq!(loss.device().unwrap(), device);
        losses.push(loss.item::<f32>().unwrap());
    }
    assert!(parameters().all(|p| p.get().device().unwrap() == device));
    losses
}

fn nearly(there: &[f32], here: &[f32]) {
    assert!(here[0] != here[3]);
    for (a, b) in there.iter().zip(here) {
        assert!((a - b).abs() < 1e-4, "{there:?} {here:?}");
    }
}

#[test]
fn training_with_sgd_gives_the_processors_losses() {
    let gpu = gpu!();
    let sgd = |parameters| -> Box<dyn Optimizer> {
        let settings = SgdSettings {
            momentum: 0.9,
            ..SgdSettings::default()
        };
        Box::new(Sgd::with(parameters, 0.1, settings))
    };
    nearly(&train(gpu, sgd), &train(Device::cpu(), sgd));
}

#[test]
fn training_with_adamw_gives_the_processors_losses() {
    let gpu = gpu!();
    let adamw = |parameters| -> Box<dyn Optimizer> { Box::new(AdamW::new(parameters, 0.01)) };
    nearly(&train(gpu, adamw), &train(Device::cpu(), adamw));
}

#[test]
fn gradients_flow_back_through_transfers() {
    let Some([gpu, other, ..]) = devices() else {
        return;
    };
    let x = ramp([3]).with_grad();
    let y = x.to(gpu).square();
    let loss = (y.to(other) * 3.0).sum(..) + x.to(other).sum(..);
    loss.backward().unwrap();
    let gradient = x.grad().unwrap();
    assert_eq!(gradient.device().unwrap(), Device::cpu());
    assert!(difference(&gradient, &(ramp([3]) * 6.0 + 1.0)) < 1e-5);
    // Twice.
    let first = lazulite::grad_with(
        &[&y.to(Device::cpu()).sum(..)],
        &[&x],
        &lazulite::GradOptions::new().create_graph(true),
    );
    let first = first.unwrap().remove(0).unwrap();
    let second = lazulite::grad(&[&first.sum(..)], &[&x]).unwrap();
    assert_eq!(second[0].to_vec::<f32>().unwrap(), [2.0; 3]);
    // To the parameters of both devices at once.
    let w = ramp([3]).to(gpu).with_grad();
    let loss = (x.to(gpu) * &w).sum(..);
    let both = lazulite::grad(&[&loss], &[&x, &w]).unwrap();
    assert!(both[0].device().unwrap().is_cpu() && both[1].device().unwrap() == gpu);
    assert!(difference(&both[0], &ramp([3])) < 1e-6 && difference(&both[1], &ramp([3])) < 1e-6);
}

#[test]
fn captured_functions_run_where_their_inputs_lie() {
    let Some([gpu, other, ..]) = devices() else {
        return;
    };
    let total = TensorCell::new(Tensor::zeros([4]).to(gpu));
    let weight = ramp([4, 4]).to(gpu);
    let step = compile(|[x]: [Tensor; 1]| {
        let y = x.matmul(&weight).relu().dropout(0.0, true);
        let _ = total.set(total.get() + y.sum(0));
        y
    });
    let mut sum = vec![0f32; 4];
    for rows in [2usize, 3, 5] {
        let x = ramp([rows, 4]);
        let y = step.call([&x.to(gpu)]).unwrap();
        assert_eq!(y.device().unwrap(), gpu);
        let expected = x.matmul(&ramp([4, 4])).relu();
        assert!(difference(&y, &expected) < 1e-5);
        let columns = expected.sum(0).to_vec::<f32>().unwrap();
        sum.iter_mut().zip(columns).for_each(|(s, c)| *s += c);
    }
    assert_eq!(step.versions(), 2);
    assert_eq!(total.get().device().unwrap(), gpu);
    let found = total.get().to_vec::<f32>().unwrap();
    assert!(found.iter().zip(&sum).all(|(a, b)| (a - b).abs() < 1e-4));
    let error = step.call([&ramp([2, 4])]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Device);
    // A cell that belonged to no device before the first call is no reason to compile again.
    let count = TensorCell::new(Tensor::zeros([2]));
    let add = compile(|[x]: [Tensor; 1]| {
        let _ = count.set(count.get() + &x);
        x
    });
    for _ in 0..3 {
        add.call([&ramp([2]).to(gpu)]).unwrap();
    }
    assert_eq!(add.versions(), 1);
    assert!(difference(&count.get(), &(ramp([2]) * 3.0)) < 1e-6);
    // The same function serves several devices, each by a program of its own.
    let double = compile(|[x]: [Tensor; 1]| x * 2.0);
    for device in [Device::cpu(), gpu, other] {
        let y = double.call([&ramp([3]).to(device)]).unwrap();
        assert_eq!(y.device().unwrap(), device);
        assert!(difference(&y, &(ramp([3]) * 2.0)) == 0.0);
    }
    let apart = compile(|[x]: [Tensor; 1]| x.to(Device::cpu()));
    assert_eq!(
        apart.call([&ramp([3]).to(gpu)]).unwrap_err().kind(),
        ErrorKind::Capture
    );
}

#[test]
fn control_flow_runs_there() {
    let gpu = gpu!();
    let x = ramp([3, 2]);
    let run = |x: &Tensor| {
        let sums = scan(&[&Tensor::zeros([2])], &[x], |carried, x| {
            let sum = &carried[0] + &x[0];
            (vec![sum.clone()], vec![sum])
        });
        let doubled = while_loop(
            &[&sums[0]],
            |x| x[0].abs().sum(..).lt(100.0),
            |x| vec![&x[0] * 2.0],
        );
        let chosen = cond(
            &x.sum(..).gt(0),
            &[x],
            |x| vec![x[0].exp()],
            |x| vec![-&x[0]],
        );
        let each = vmap(|x| vec![x[0].softmax(-1)], &[x]);
        [
            sums[1].clone(),
            doubled[0].clone(),
            chosen[0].clone(),
            each[0].clone(),
        ]
    };
    for (there, here) in run(&x.to(gpu)).iter().zip(run(&x)) {
        assert_eq!(there.device().unwrap(), gpu);
        assert!(difference(there, &here) < 1e-4);
    }
}

#[test]
fn faults_are_errors_of_the_run_and_change_nothing() {
    let gpu = gpu!();
    let cell = TensorCell::new(ramp([4]).to(gpu).realize().unwrap());
    let index = Tensor::from_vec(vec![9i64], [1]).to(gpu);
    let picked = cell.get().index_select(0, &index);
    cell.set(cell.get() * 2.0).unwrap();
    let error = picked.to_vec::<f32>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fault);
    assert!(error.to_string().contains("tests/gpu.rs"), "{error}");
    assert!(difference(&cell.get(), &ramp([4])) == 0.0);
}

#[test]
fn memory_is_counted_and_its_end_is_an_error() {
    let Some([.., other, _]) = devices() else {
        return;
    };
    let before = other.memory().unwrap();
    let x = Tensor::zeros([1 << 16]).to(other).realize().unwrap();
    let during = other.memory().unwrap();
    assert!(
        during.used >= before.used + (1 << 18),
        "{before:?} {during:?}"
    );
    assert!(during.peak >= during.used && during.total > during.free);
    // More than the emulated device has.
    let error = Tensor::zeros([1 << 23]).to(other).realize().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Memory);
    let large = Tensor::zeros([1 << 23]).realize().unwrap();
    assert_eq!(
        large.to(other).realize().unwrap_err().kind(),
        ErrorKind::Memory
    );
    assert_eq!((&x + 1.0).sum(..).item::<f32>().unwrap(), 65536.0);
    assert_eq!((large + 1.0).sum(..).item::<f32>().unwrap(), 8388608.0);
    drop(x);
    assert!(other.memory().unwrap().used < during.used);
    other.synchronize().unwrap();
    assert!(Device::cpu().memory().is_err());
}

#[test]
fn steps_overwrite_their_parameters_there() {
    let Some([.., other]) = devices() else {
        return;
    };
    let layer = Linear::new(64, 64);
    layer.to(other).unwrap();
    let mut optimizer = Sgd::new(layer.parameters(), 0.01);
    let x = ramp([2, 64]).to(other).realize().unwrap();
    let mut used = Vec::new();
    for _ in 0..4 {
        let loss = layer.forward(&x).square().mean(..);
        optimizer.step(&loss).unwrap();
        assert!(loss.item::<f32>().unwrap() > 0.0);
        drop(loss);
        used.push(other.memory().unwrap().used);
    }
    assert_eq!(used[1], used[3], "{used:?}");
}

#[test]
fn threads_share_a_device() {
    let gpu = gpu!();
    let weight = ramp([6, 6]).to(gpu).realize().unwrap();
    let expected = ramp([4, 6]).matmul(&ramp([6, 6])).softmax(-1);
    let expected = expected.realize().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..8 {
                    let y = ramp([4, 6]).to(gpu).matmul(&weight).softmax(-1);
                    assert!(difference(&y, &expected) < 1e-5);
                }
            });
        }
    });
}

#[test]
fn exported_functions_run_where_their_inputs_lie() {
    let gpu = gpu!();
    let w = Tensor::randn([5, 7]);
    let exported = lazulite::export(
        |[x]| x.linear(&w, None).softmax(-1),
        &[spec!(f32["batch", 7])],
    );
    let exported = exported.unwrap();
    for batch in [3, 70] {
        let x = Tensor::randn([batch, 7]);
        let (here, there) = (
            exported.run(&[&x]).unwrap(),
            exported.run(&[&x.to(gpu)]).unwrap(),
        );
        assert_eq!(there[0].device().unwrap(), gpu);
        assert!(difference(&there[0], &here[0]) < 1e-6);
    }
    let error = exported.run(&[&Tensor::zeros([3, 8]).to(gpu)]).unwrap_err();
    assert!(error.to_string().contains("f32"), "{error}");
    // Weights that lie on a device are exported like others.
    let w = w.to(gpu);
    let again = lazulite::export(|[x]| x.linear(&w, None), &[spec!(f32["batch", 7])]).unwrap();
    assert_eq!(
        again.run(&[&ramp([2, 7])]).unwrap()[0].dims().unwrap(),
        [2, 5]
    );
}

#[test]
fn the_check_of_a_gpu_finds_it_right() {
    let gpu = gpu!();
    let info = gpu::info(gpu).unwrap();
    assert_eq!((&*info.name, info.architecture), ("emulated device 0", 90));
    assert!(gpu::info(Device::cpu()).is_err());
    let report = gpu::check(gpu, true).unwrap();
    assert!(report.right(), "{report:?}");
    let expected = "\"name\":\"softmax f32\",\"right\":true";
    assert!(report.json().contains(expected));
}
