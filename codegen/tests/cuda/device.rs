//! The way to a device and what can go wrong on it, with a driver and a compiler that are the tests' own.

use crate::corpus::Subject;
use crate::shapes;
use lazulite_codegen::CodegenError;
use lazulite_codegen::cuda::{CudaCompiler, Nvrtc, PRELUDE};
use lazulite_ir::{Array, Symbol, TensorType};
use lazulite_runtime::cuda::{
    CudaDevice, CudaError, DeviceError, DeviceInput, DeviceProgram, DeviceValue, Driver,
};
use lazulite_runtime::{Pool, RunError};
use libloading::Library;
use std::ffi::{CString, c_char, c_int};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

fn fresh(name: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}-{number}-{name}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Compiles one of the libraries; `None` where there is no compiler, which is said.
fn build(source: &str, defines: &[&str]) -> Option<PathBuf> {
    let library = fresh(&format!("{source}.so"));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cuda");
    let output = Command::new("g++")
        .args(["-std=c++17", "-O1", "-fPIC", "-shared", "-w", "-o"])
        .arg(&library)
        .args(defines)
        .arg(format!("-DSHIM=\"{folder}\""))
        .arg(format!("-DFOLDER=\"{}\"", env!("CARGO_TARGET_TMPDIR")))
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

/// A driver, and its own library for telling it how to behave.
struct Fake {
    path: PathBuf,
    controls: Library,
}

impl Fake {
    fn new(defines: &[&str]) -> Option<Fake> {
        let path = build("fake_driver", defines)?;
        // SAFETY: the library has no initialisers.
        let controls = unsafe { Library::new(&path) }.unwrap();
        Some(Fake { path, controls })
    }

    fn driver(&self) -> Result<Arc<Driver>, CudaError> {
        Driver::open(Some(&self.path))
    }

    fn device(&self) -> Arc<CudaDevice> {
        CudaDevice::new(&self.driver().unwrap(), 0).unwrap()
    }

    /// Makes calls of a function fail.
    fn fail(&self, function: &str, code: c_int) {
        type Fail = unsafe extern "C" fn(*const c_char, c_int);
        let function = CString::new(function).unwrap();
        // SAFETY: declared so in the library.
        unsafe { self.controls.get::<Fail>(b"fake_fail").unwrap()(function.as_ptr(), code) };
    }

    fn set(&self, control: &str, number: c_int) {
        // SAFETY: declared so in the library.
        unsafe {
            let set = self
                .controls
                .get::<unsafe extern "C" fn(c_int)>(control.as_bytes());
            set.unwrap()(number);
        }
    }

    /// Pieces of memory that have not been given back.
    fn held(&self) -> i64 {
        // SAFETY: declared so in the library.
        unsafe {
            self.controls
                .get::<unsafe extern "C" fn() -> i64>(b"fake_held")
                .unwrap()()
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to do.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn compiler(cache: Option<PathBuf>) -> Option<CudaCompiler> {
    let path = build("fake_compiler", &[])?;
    let nvrtc = Nvrtc::open(Some(&path)).unwrap();
    // What is loaded stays.
    std::fs::remove_file(path).unwrap();
    Some(CudaCompiler::new(nvrtc, cache))
}

fn upload(device: &Arc<CudaDevice>, inputs: &[Array]) -> Vec<DeviceInput> {
    let upload = |a: &Array| DeviceInput::keep(DeviceValue::upload(device, &a.bytes).unwrap());
    inputs.iter().map(upload).collect()
}

fn run(
    subject: &Subject,
    program: &DeviceProgram,
    device: &Arc<CudaDevice>,
) -> Result<Vec<Array>, DeviceError> {
    let sizes = subject.case.sizes();
    let size = |s: &Symbol| sizes.get(s).copied();
    let bound: Vec<i64> = subject
        .plan
        .symbols
        .iter()
        .map(|s| size(s).unwrap())
        .collect();
    let mut inputs = upload(device, &subject.case.inputs);
    let outputs = program.run(&mut inputs, &bound, &Pool::new(1).unwrap())?;
    let types = subject.case.graph.output_types();
    let array = |(ty, value): (&TensorType, &DeviceValue)| {
        let dims = ty.dims.iter().map(|d| d.eval(&size).unwrap() as usize);
        Ok(Array {
            dtype: ty.dtype,
            dims: dims.collect(),
            bytes: value.read()?.as_bytes().to_vec(),
        })
    };
    types.iter().zip(&outputs).map(array).collect()
}

/// Graphs whose steps are of every kind.
const STEPS: [&str; 4] = [
    "run/loop_carries_and_stacks",
    "run/while_doubles",
    "run/sort_is_stable",
    "run/if_takes_one_side",
];

#[test]
fn programs_run_from_their_text_to_their_results() {
    let (Some(fake), Some(compiler)) = (Fake::new(&[]), compiler(None)) else {
        return;
    };
    {
        let device = fake.device();
        assert_eq!(
            (device.name(), device.architecture()),
            ("emulated device 0", 90)
        );
        let texts = STEPS.map(crate::corpus::filetest);
        let mut subjects: Vec<Subject> = texts
            .iter()
            .map(|t| shapes::subject(t, &[("n", 3)]))
            .collect();
        subjects.extend(shapes::subjects().into_iter().map(|(s, _)| s).take(7));
        for subject in &subjects {
            let program = compiler.program(&subject.plan, &device);
            let program = program.unwrap_or_else(|e| panic!("{e}\n{:?}", subject.case));
            let found = run(subject, &program, &device).unwrap_or_else(|e| panic!("{e}"));
            subject
                .case
                .check(&found)
                .unwrap_or_else(|e| panic!("{e}\n{:?}", subject.case));
        }
        let memory = device.memory().unwrap();
        assert_eq!(memory.used, 0);
        assert!(memory.peak > 0);
    }
    assert_eq!(fake.held(), 0, "memory is given back");
}

#[test]
fn faults_are_errors_of_the_run() {
    let (Some(fake), Some(compiler)) = (Fake::new(&[]), compiler(None)) else {
        return;
    };
    let device = fake.device();
    let text = "graph(%0: i32[n], %1: i32[n]) { %2 = div %0, %1 : i32[n]  return %2 }";
    let mut subject = shapes::subject(text, &[("n", 5)]);
    let program = compiler.program(&subject.plan, &device).unwrap();
    subject.case.inputs[1].bytes.fill(0);
    match run(&subject, &program, &device) {
        Err(DeviceError::Run(RunError::Fault { .. })) => {}
        other => panic!("{other:?}"),
    }
    subject.case.inputs[1].bytes.fill(1);
    assert!(run(&subject, &program, &device).is_ok());
}

#[test]
fn what_is_missing_is_named() {
    let nowhere = Path::new("/nowhere/libcuda.so.1");
    match Driver::open(Some(nowhere)) {
        Err(e @ CudaError::Missing { .. }) => {
            let said = e.to_string();
            assert!(
                said.contains("/nowhere/libcuda.so.1") && said.contains("install"),
                "{said}"
            );
        }
        other => panic!("{other:?}"),
    }
    match Nvrtc::open(Some(nowhere)) {
        Err(e @ CudaError::Missing { .. }) => assert!(e.to_string().contains("NVRTC"), "{e}"),
        other => panic!("{other:?}"),
    }
    let Some(old) = Fake::new(&["-DWITHOUT_POOLS"]) else {
        return;
    };
    match old.driver() {
        Err(CudaError::Symbol { symbol, .. }) => assert_eq!(symbol, "cuMemAllocAsync"),
        other => panic!("{other:?}"),
    }
    let Some(fake) = Fake::new(&[]) else { return };
    fake.set("fake_version", 11_080);
    match fake.driver() {
        Err(CudaError::Driver { reason, .. }) => assert!(reason.contains("11.8"), "{reason}"),
        other => panic!("{other:?}"),
    }
    fake.set("fake_version", 12_040);
    fake.set("fake_devices", 0);
    assert_eq!(fake.driver().unwrap_err(), CudaError::NoDevice);
    fake.set("fake_devices", 1);
    fake.fail("cuInit", 100);
    assert_eq!(fake.driver().unwrap_err(), CudaError::NoDevice);
    fake.fail("", 0);
    let driver = fake.driver().unwrap();
    assert_eq!(driver.version(), (12, 4));
    match CudaDevice::new(&driver, 3) {
        Err(e) => assert_eq!(
            e,
            CudaError::DeviceNumber {
                device: 3,
                count: 1
            }
        ),
        Ok(device) => panic!("{device:?}"),
    }
}

#[test]
fn failures_are_errors_and_the_device_goes_on() {
    let (Some(fake), Some(compiler)) = (Fake::new(&[]), compiler(None)) else {
        return;
    };
    let device = fake.device();
    let text = "graph(%0: f32[n]) { %1 = exp %0 : f32[n]  return %1 }";
    let subject = shapes::subject(text, &[("n", 5)]);
    let program = compiler.program(&subject.plan, &device).unwrap();
    fake.fail("cuMemAllocAsync", 2);
    let found = device.allocate(1000).unwrap_err();
    assert_eq!(found, CudaError::OutOfMemory { bytes: 1000 });
    fake.fail("", 0);
    let cuda = |function: &str, code| {
        fake.fail(function, code);
        let found = match run(&subject, &program, &device) {
            Err(DeviceError::Cuda(e)) => e,
            other => panic!("{function} {code}: {other:?}"),
        };
        fake.fail("", 0);
        found
    };
    assert!(matches!(
        cuda("cuLaunchKernel", 701),
        CudaError::Launch { .. }
    ));
    assert_eq!(cuda("cuStreamSynchronize", 700), CudaError::IllegalAddress);
    assert!(matches!(
        cuda("cuMemcpyDtoHAsync", 999),
        CudaError::Driver { code: 999, .. }
    ));
    fake.fail("cuModuleLoadData", 209);
    match compiler.program(&subject.plan, &device) {
        Err(CodegenError::Device(DeviceError::Cuda(CudaError::Driver { call, .. }))) => {
            assert_eq!(call, "cuModuleLoadData");
        }
        other => panic!("{other:?}"),
    }
    fake.fail("", 0);
    let found = run(&subject, &program, &device).unwrap();
    subject.case.check(&found).unwrap();
    match compiler.code("this is no C", 90) {
        Err(CudaError::Compile { log }) => assert!(!log.is_empty()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_compiled_is_found_again_and_damage_is_not() {
    let cache = fresh("cache");
    let (Some(first), Some(second)) =
        (compiler(Some(cache.clone())), compiler(Some(cache.clone())))
    else {
        return;
    };
    let text = &format!("{PRELUDE}static int nothing;");
    let other = &format!("{PRELUDE}static int something;");
    let code = first.code(text, 90).unwrap();
    assert_eq!(second.code(text, 90).unwrap(), code);
    assert_eq!((first.compiled(), second.compiled()), (1, 0));
    // Another architecture and another text are other things.
    second.code(text, 80).unwrap();
    second.code(other, 90).unwrap();
    assert_eq!(second.compiled(), 2);
    let files = || {
        std::fs::read_dir(&cache)
            .unwrap()
            .map(|f| f.unwrap().path())
    };
    for file in files() {
        let mut bytes = std::fs::read(&file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
    }
    second.code(text, 90).unwrap();
    assert_eq!(second.compiled(), 3);
    for file in files() {
        std::fs::write(file, b"LZ").unwrap();
    }
    second.code(text, 90).unwrap();
    assert_eq!(second.compiled(), 4);
    std::fs::remove_dir_all(&cache).unwrap();
}
