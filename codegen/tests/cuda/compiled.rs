//! Kernels through NVIDIA's own compiler, to machine code. No GPU is needed for that. Those of programs that others
//! ran are taken from the folder of their texts (`LAZULITE_CUDA_TEXTS`) that `LAZULITE_TEST_TEXTS` names.

use crate::{corpus, shapes};
use lazulite_codegen::cuda::{self, CudaKernel, CudaProgram, Nvrtc, Usage, module};
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

/// Compiles texts for one architecture; what is said of each, in their order.
fn compile(nvrtc: &Nvrtc, texts: &[String], architecture: u32) -> Vec<BTreeMap<String, Usage>> {
    let found = Mutex::new(BTreeMap::new());
    let left = Mutex::new(texts.iter().enumerate());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((number, text)) = left.lock().unwrap().next() else {
                        return;
                    };
                    let compiled = nvrtc.compile(text, architecture);
                    let compiled = compiled.unwrap_or_else(|e| panic!("{e}\n{text}"));
                    assert!(compiled.code.starts_with(b"\x7fELF"));
                    found.lock().unwrap().insert(number, compiled.usages);
                }
            });
        }
    });
    found.into_inner().unwrap().into_values().collect()
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
        let texts: Vec<String> = kernels.chunks(BATCH).map(module).collect();
        let found: BTreeMap<String, Usage> = { compile(&nvrtc, &texts, architecture).into_iter() }
            .flatten()
            .collect();
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

/// What a kernel is made after.
fn template(text: &str) -> &'static str {
    let kernel = text.split("\nLZ_KERNEL(").nth(1).unwrap_or_default();
    let kinds = [
        ("typedef LzTensor", "products on tensor cores"),
        ("lhs[", "products"),
        ("u8 *const own = scratch", "rows in the device's memory"),
        ("LZ_SHARED LzPiece16 shared", "rows in shared memory"),
        ("Team::template join", "reductions"),
        ("Team::template scan", "scans"),
        ("typedef LzOne Team", "points by threads"),
    ];
    let kind = kinds.iter().find(|(mark, _)| kernel.contains(mark));
    kind.map_or("points by teams", |(_, kind)| kind)
}

#[test]
fn kernels_of_other_programs_compile_and_spill_nothing() {
    let Some(folder) = std::env::var_os("LAZULITE_TEST_TEXTS") else {
        println!("skipped: LAZULITE_TEST_TEXTS names no folder of texts");
        return;
    };
    let Some(nvrtc) = nvrtc() else { return };
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|f| f.extension().is_some_and(|e| e == "cu"))
        .collect();
    assert!(!files.is_empty(), "there are no texts");
    files.sort();
    let texts: Vec<String> = files
        .iter()
        .map(|f| std::fs::read_to_string(f).unwrap())
        .collect();
    for architecture in ARCHITECTURES {
        let found = compile(&nvrtc, &texts, architecture);
        // Kernels, registers at most, functions that spill.
        let mut kinds: BTreeMap<&str, (usize, u32, Vec<String>)> = BTreeMap::new();
        for ((file, text), usages) in files.iter().zip(&texts).zip(&found) {
            let (count, most, spilling) = kinds.entry(template(text)).or_default();
            *count += 1;
            assert!(!usages.is_empty(), "nothing is said of {}", file.display());
            for (name, usage) in usages {
                *most = usage.registers.max(*most);
                if usage.spilled > 0 {
                    spilling.push(format!("{name} of {}: {usage:?}", file.display()));
                }
            }
        }
        println!("sm_{architecture}: {} kernels", texts.len());
        for (kind, (count, most, spilling)) in &kinds {
            let spill = spilling.len();
            println!("sm_{architecture}: {kind}: {count}, {most} registers at most, {spill} spill");
        }
        let spilling: Vec<String> = kinds.into_values().flat_map(|(_, _, s)| s).collect();
        assert!(
            spilling.is_empty(),
            "sm_{architecture}:\n{}",
            spilling.join("\n")
        );
    }
}

#[test]
fn neighbouring_elements_move_in_pieces_of_sixteen_bytes() {
    let Some(nvrtc) = nvrtc() else { return };
    let text = "graph(%0: f32[n], %1: f32[n]) { %2 = mul %0, %1 : f32[n]  return %2 }";
    let subject = shapes::subject(text, &[("n", 9)]);
    let program = cuda::program(&subject.plan, "").unwrap();
    let compiled = nvrtc.compile(&program.source(), 90).unwrap();
    let loads = compiled.ptx.matches("ld.global.v4").count();
    let stores = compiled.ptx.matches("st.global.v4").count();
    assert_eq!((loads, stores), (2, 1), "{}", compiled.ptx);
}

/// NVRTC 13.0 crashed over what it concluded from the range of the index here, and of others in conditions.
#[test]
fn indices_that_wrap_around_and_are_checked_compile() {
    let Some(nvrtc) = nvrtc() else { return };
    let text = "
        graph(%0: f32[3, 3, 25]) {
          %1 = iota {len=5, dtype=i64} : i64[5]
          %2 = const {value=i64(-1)} : i64[]
          %3 = reshape %2 {dims=[1]} : i64[1]
          %4 = expand %3 {dims=[5]} : i64[5]
          %5 = add %1, %4 : i64[5]
          %6 = const {value=i64(3)} : i64[]
          %7 = reshape %6 {dims=[1]} : i64[1]
          %8 = expand %7 {dims=[5]} : i64[5]
          %9 = rem %5, %8 : i64[5]
          %10 = const {value=i64(0)} : i64[]
          %11 = reshape %10 {dims=[1]} : i64[1]
          %12 = expand %11 {dims=[5]} : i64[5]
          %13 = compare %9, %12 {predicate=lt} : bool[5]
          %14 = add %9, %8 : i64[5]
          %15 = select %13, %14, %9 : i64[5]
          %16 = gather %0, %15 {axes=[1]} : f32[5, 3, 25]
          %17 = permute %16 {perm=[1, 0, 2]} : f32[3, 5, 25]
          return %17
        }";
    let subject = shapes::subject(text, &[]);
    let program = cuda::program(&subject.plan, "").unwrap();
    for architecture in ARCHITECTURES {
        nvrtc.compile(&program.source(), architecture).unwrap();
    }
}
