//! Generated kernels on this processor: their text is compiled with a C++ compiler, for a machine whose threads take
//! turns (`shim.h`), and runs as the code of programs like any other.

use lazulite_codegen::cuda::{CudaProgram, Launch, PRELUDE};
use lazulite_runtime::{KernelFn, Program};
use libloading::Library;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// In which order the threads of a block take turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turns {
    Forward,
    Backward,
    Random,
}

impl Turns {
    pub const ALL: [Turns; 3] = [Turns::Forward, Turns::Backward, Turns::Random];
}

/// What the arguments are made of: places that become whatever pointer is wanted.
const ENTRIES: &str = "
struct Place { void *at; template <class T> operator T *() const { return (T *)at; } };
extern \"C\" void set_order(int order) { shim::order = order; }
";

/// Compiled programs.
pub struct Emulator {
    library: Arc<Library>,
}

impl Emulator {
    /// Compiles the kernels of several programs, whose names differ, after `change` has had the text. `None` where there
    /// is no compiler, which is said.
    pub fn new(programs: &[CudaProgram], change: &dyn Fn(String) -> String) -> Option<Emulator> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let name = format!("emulated-{}-{number}", std::process::id());
        let (source, library) = (
            folder.join(format!("{name}.cpp")),
            folder.join(format!("{name}.so")),
        );
        std::fs::write(&source, change(text(programs))).unwrap();
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "g++".into());
        let output = Command::new(&compiler)
            .args(["-std=c++17", "-O1", "-fPIC", "-shared", "-w"])
            .args(["-ffp-contract=off", "-fno-strict-aliasing", "-mfma", "-I"])
            .args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cuda"), "-o"])
            .args([&library, &source])
            .output();
        let output = match output {
            Ok(output) => output,
            Err(e) => {
                println!("skipped: the C++ compiler {compiler} cannot be run: {e}");
                return None;
            }
        };
        let message = String::from_utf8_lossy(&output.stderr);
        let shown: String = message.chars().take(4000).collect();
        assert!(output.status.success(), "{}\n{shown}", source.display());
        // SAFETY: the library has no initialisers.
        let loaded = unsafe { Library::new(&library) }.unwrap();
        // What is loaded stays while the library lives.
        let _ = std::fs::remove_file(&library);
        let _ = std::fs::remove_file(&source);
        Some(Emulator {
            library: Arc::new(loaded),
        })
    }

    /// How threads take turns from now on.
    pub fn set_turns(&self, turns: Turns) {
        type SetOrder = unsafe extern "C" fn(i32);
        // SAFETY: the function is declared so in `ENTRIES`.
        unsafe {
            let set = self.library.get::<SetOrder>(b"set_order").unwrap();
            set(turns as i32);
        }
    }

    /// One of the programs, ready to run. An emulator runs one at a time.
    pub fn program(&self, program: &CudaProgram) -> Program {
        let code = program.kernels.iter().map(|kernel| {
            let name = entry_name(&kernel.launches[0]);
            // SAFETY: entries are written with this signature.
            unsafe { *self.library.get::<KernelFn>(name.as_bytes()).unwrap() }
        });
        let (image, hosts) = (program.image.clone(), program.hosts.clone());
        let keep_alive = self.library.clone();
        // SAFETY: the kernels do what their specifications say, as the tests are to show.
        unsafe { Program::new(image, code.collect(), hosts, keep_alive) }
            .unwrap_or_else(|e| panic!("{e}"))
    }
}

fn entry_name(launch: &Launch) -> String {
    format!("run_{}", launch.name)
}

/// The text of all programs with an entry for each kernel.
fn text(programs: &[CudaProgram]) -> String {
    let mut functions = BTreeMap::new();
    let (mut kernels, mut entries) = (String::new(), String::new());
    for kernel in programs.iter().flat_map(|p| &p.kernels) {
        functions.extend(kernel.functions.iter());
        kernels += &kernel.text;
        let name = entry_name(&kernel.launches[0]);
        let buffers = kernel.launches.iter().map(|l| l.buffers.end).max();
        let scratch = buffers.unwrap_or(0);
        writeln!(
            entries,
            "extern \"C\" void {name}(void **b, const i64 *s, const i64 *, Status *status) {{"
        )
        .unwrap();
        let mut size = 0;
        for launch in &kernel.launches {
            let blocks = size;
            let places = launch.buffers.clone().map(|i| format!("Place{{b[{i}]}}"));
            let sizes = (1..=launch.sizes.len()).map(|i| format!("s[{}]", blocks + i));
            let rest = [format!("(u8 *)b[{scratch}]"), "status".to_owned()];
            let arguments: Vec<String> = places.chain(sizes).chain(rest).collect();
            writeln!(
                entries,
                "  shim::launch(s[{blocks}], {}, [&] {{ {}({}); }});",
                launch.threads,
                launch.name,
                arguments.join(", ")
            )
            .unwrap();
            size += 1 + launch.sizes.len();
        }
        entries += "}\n";
    }
    let functions: String = functions.into_values().map(String::as_str).collect();
    format!("#include \"shim.h\"\n{PRELUDE}\n{functions}\n{kernels}\n{ENTRIES}\n{entries}")
}
