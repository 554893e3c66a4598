//! Kernels through NVIDIA's own compiler, to machine code. No GPU is needed for that.

use crate::{corpus, shapes};
use lazulite_codegen::cuda::{self, CudaKernel, CudaProgram, Nvrtc, module};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

/// Architectures that everything is compiled for.
const ARCHITECTURES: [u32; 2] = [80, 90];
/// Kernels in one text.
const BATCH: usize = 100;

/// The compiler that `LAZULITE_TEST_NVRTC` names; `None`, and the reason is printed, where it names none. Tests fetch
/// nothing themselves: `scripts/nvrtc` does.
fn nvrtc() -> Option<Nvrtc> {
    let Some(path) = std::env::var_os("LAZULITE_TEST_NVRTC") else {
        println!("skipped: LAZULITE_TEST_NVRTC does not name NVRTC, which scripts/nvrtc fetches");
        return None;
    };
    Some(Nvrtc::open(Some(&PathBuf::from(path))).unwrap_or_else(|e| panic!("{e}")))
}

/// What the compiler says of a function.
#[derive(Debug)]
struct Usage {
    registers: u32,
    spilled: u32,
}

/// Reads what `-v` makes the assembler say.
fn usages(log: &str) -> BTreeMap<String, Usage> {
    let number_before = |line: &str, word: &str| -> Option<u32> {
        let before = line[..line.find(word)?].trim_end();
        before
            .rsplit(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    };
    let (mut found, mut name, mut spilled) = (BTreeMap::new(), None, 0);
    for line in log.lines() {
        if let Some(at) = line.find("Compiling entry function '") {
            let rest = &line[at + "Compiling entry function '".len()..];
            name = rest.split('\'').next().map(str::to_owned);
            spilled = 0;
        }
        if let Some(stores) = number_before(line, "bytes spill stores") {
            spilled = stores + number_before(line, "bytes spill loads").unwrap();
        }
        if let Some(registers) = number_before(line, " registers")
            && let Some(name) = name.take()
        {
            found.insert(name, Usage { registers, spilled });
        }
    }
    found
}

/// Kernels that differ in more than their names.
fn distinct(programs: Vec<CudaProgram>) -> Vec<CudaKernel> {
    let mut seen = BTreeMap::new();
    for kernel in programs.into_iter().flat_map(|p| p.kernels) {
        let text = kernel.launches.iter().fold(kernel.text.clone(), |text, l| {
            text.replace(&format!(" {}(", l.name), " (")
        });
        seen.entry(text).or_insert(kernel);
    }
    seen.into_values().collect()
}

/// Compiles all kernels for one architecture.
fn compile(nvrtc: &Nvrtc, kernels: &[CudaKernel], architecture: u32) -> BTreeMap<String, Usage> {
    let found = Mutex::new(BTreeMap::new());
    let batches = Mutex::new(kernels.chunks(BATCH));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(batch) = batches.lock().unwrap().next() else {
                        return;
                    };
                    let source = module(batch);
                    let compiled = nvrtc
                        .compile(&source, architecture, &["--ptxas-options=-v"])
                        .unwrap_or_else(|e| panic!("{e}"));
                    assert!(compiled.code.starts_with(b"\x7fELF"));
                    found.lock().unwrap().extend(usages(&compiled.log));
                }
            });
        }
    });
    found.into_inner().unwrap()
}

#[test]
fn every_kernel_compiles_and_spills_nothing() {
    let Some(nvrtc) = nvrtc() else { return };
    let mut programs: Vec<CudaProgram> = corpus::filetests();
    let filetests = programs.len();
    programs.extend(shapes::subjects().into_iter().map(|(_, p)| p));
    programs.extend(corpus::subjects(170).into_iter().map(|(_, p)| p));
    let graphs = programs.len();
    let kernels = distinct(programs);
    for architecture in ARCHITECTURES {
        let found = compile(&nvrtc, &kernels, architecture);
        let mut wasteful = Vec::new();
        for (kernel, launch) in kernels
            .iter()
            .flat_map(|k| k.launches.iter().map(move |l| (k, l)))
        {
            let usage = found.get(&launch.name);
            let usage = usage.unwrap_or_else(|| panic!("nothing is said of {}", launch.name));
            if usage.spilled > 0 {
                wasteful.push(format!("{usage:?}\n{}", kernel.text));
            }
        }
        let texts = wasteful.join("\n");
        assert!(
            wasteful.is_empty(),
            "sm_{architecture}: {} spill\n{texts}",
            wasteful.len()
        );
        let most = found.values().map(|u| u.registers).max().unwrap();
        println!(
            "sm_{architecture}: {} kernels of {graphs} graphs ({filetests} from filetests), {most} registers at most",
            kernels.len()
        );
    }
}

#[test]
fn neighbouring_elements_move_in_pieces_of_sixteen_bytes() {
    let Some(nvrtc) = nvrtc() else { return };
    let text = "graph(%0: f32[n], %1: f32[n]) { %2 = mul %0, %1 : f32[n]  return %2 }";
    let subject = shapes::subject(text, &[("n", 9)]);
    let program = cuda::program(&subject.plan, "").unwrap();
    let compiled = nvrtc.compile(&program.source(), 90, &[]).unwrap();
    let loads = compiled.ptx.matches("ld.global.v4").count();
    let stores = compiled.ptx.matches("st.global.v4").count();
    assert_eq!((loads, stores), (2, 1), "{}", compiled.ptx);
}
