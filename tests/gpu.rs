//! Exported functions on a GPU that is this processor: driver and compiler are made of the emulator by which generated
//! kernels are tested (`codegen/tests/cuda`). What passes here is emulated, not tested on a GPU.
#![cfg(feature = "cuda")]

use lazulite::gpu::{Gpu, check, device_count};
use lazulite::prelude::*;
use lazulite::{options, set_options, spec};
use std::path::{Path, PathBuf};
use std::process::Command;

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

// One test: options are the process's.
#[test]
fn exported_functions_give_on_a_gpu_what_they_give_here() {
    let nowhere = Path::new("/nowhere/libcuda.so.1");
    use_libraries(nowhere, nowhere);
    let error = device_count().unwrap_err().to_string();
    assert!(error.contains("/nowhere/libcuda.so.1"), "{error}");
    assert!(error.contains("install"), "{error}");

    let (Some(driver), Some(compiler)) = (build("fake_driver"), build("fake_compiler")) else {
        return;
    };
    use_libraries(&driver, nowhere);
    assert_eq!(device_count().unwrap(), 1);
    let error = Gpu::open(0).unwrap_err().to_string();
    assert!(error.contains("NVRTC"), "{error}");

    use_libraries(&driver, &compiler);
    let error = Gpu::open(1).unwrap_err().to_string();
    assert!(error.contains("no CUDA device 1, only 1"), "{error}");
    let gpu = Gpu::open(0).unwrap();
    let w = Tensor::randn([5, 7]);
    let exported = lazulite::export(
        |[x]| x.linear(&w, None).softmax(-1),
        &[spec!(f32["batch", 7])],
    );
    let exported = exported.unwrap();
    let function = gpu.load(&exported).unwrap();
    assert!(gpu.memory().unwrap().used > 0);
    for batch in [3, 70] {
        let x = Tensor::randn([batch, 7]);
        let (here, there) = (exported.run(&[&x]).unwrap(), function.run(&[&x]).unwrap());
        let difference = (&here[0] - &there[0]).abs().amax([0, 1]);
        assert!(difference.item::<f32>().unwrap() < 1e-6);
    }
    let error = function.run(&[&Tensor::zeros([3, 8])]).unwrap_err();
    assert!(error.to_string().contains("f32"), "{error}");

    let report = check(&gpu, true).unwrap();
    assert!(report.right(), "{report:?}");
    assert!(
        report
            .json()
            .contains("\"name\":\"softmax f32\",\"right\":true")
    );
    for library in [driver, compiler] {
        std::fs::remove_file(library).unwrap();
    }
}
