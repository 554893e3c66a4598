//! Object files and static libraries: linked into a C program by the system's compiler, they give the bits
//! that the process gives.

use lazulite::prelude::*;
use lazulite::{ErrorKind, Exported, export, spec};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of its own for each test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = format!("lazulite-object-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MAIN: &str = include_str!("../examples/embed.c");

fn model() -> Exported {
    let generator = Generator::new(7);
    let (w1, w2) = (
        generator.randn([33, 50]) * 0.1,
        generator.randn([10, 33]) * 0.1,
    );
    export(
        |[x]| x.linear(&w1, None).gelu().linear(&w2, None).softmax(-1),
        &[spec!(f32["batch", 50]).named("pixels")],
    )
    .unwrap()
    .with_output_names(["classes"])
    .unwrap()
}

/// What the C example feeds to the model.
fn pixels(batch: usize) -> Tensor {
    let value = |i: usize| (i % 97) as f32 / 97.0;
    Tensor::from_vec((0..batch * 50).map(value).collect(), [batch, 50])
}

/// The C compiler, if there is one; says so otherwise.
fn compiler() -> Option<&'static str> {
    let works = |cc: &&str| Command::new(cc).arg("--version").output().is_ok();
    let found = ["cc", "gcc", "clang"].into_iter().find(works);
    if found.is_none() {
        println!("skipped: there is no C compiler (cc, gcc or clang) on this machine");
    }
    found
}

fn run(program: &str, arguments: &[&str], folder: &Folder) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&folder.0);
    command.output().unwrap()
}

fn compile(compiler: &str, arguments: &[&str], folder: &Folder) {
    let fixed = [
        "-std=c11", "-Wall", "-Wextra", "-Werror", "main.c", "-o", "main",
    ];
    let system = ["-lm", "-lpthread", "-ldl"];
    let output = run(compiler, &[&fixed[..], arguments, &system].concat(), folder);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

/// The example's results are those of the process.
fn same_bits(exported: &Exported, folder: &Folder) {
    for batch in [1, 3, 64] {
        let expected = exported.run(&[&pixels(batch)]).unwrap();
        let expected = expected[0].with_bytes(<[u8]>::to_vec).unwrap();
        let program = folder.file("main");
        let output = run(
            program.to_str().unwrap(),
            &[&batch.to_string(), "out.raw"],
            folder,
        );
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        assert_eq!(
            fs::read(folder.file("out.raw")).unwrap(),
            expected,
            "batch {batch}"
        );
    }
    let output = run(
        folder.file("main").to_str().unwrap(),
        &["-1", "out.raw"],
        folder,
    );
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("the size batch is -1"), "{errors}");
}

#[test]
fn objects_give_the_same_bits_in_c_programs() {
    let Some(compiler) = compiler() else { return };
    let folder = Folder::new("object");
    let exported = model();
    let written = exported.build_object(folder.file("classifier.o")).unwrap();
    let names: Vec<_> = written.iter().map(|p| p.file_name().unwrap()).collect();
    assert_eq!(names, ["classifier.o", "classifier.h", "liblazulite.a"]);
    fs::write(folder.file("main.c"), MAIN).unwrap();
    compile(compiler, &["classifier.o", "liblazulite.a"], &folder);
    same_bits(&exported, &folder);
}

#[test]
fn static_libraries_give_the_same_bits_in_c_programs() {
    let Some(compiler) = compiler() else { return };
    let folder = Folder::new("library");
    let exported = model();
    exported
        .build_static_library(folder.file("libclassifier.a"))
        .unwrap();
    fs::write(folder.file("main.c"), MAIN).unwrap();
    compile(compiler, &["libclassifier.a"], &folder);
    same_bits(&exported, &folder);
}

#[test]
fn headers_name_what_goes_in_and_comes_out() {
    let folder = Folder::new("header");
    let exported = export(
        |[a, b]: [&Tensor; 2]| (a + 1.0, b * 2),
        &[spec!(f64["n", 2]).named("float"), spec!(i32[]).named("x.y")],
    )
    .unwrap()
    .with_output_names(["n", "y"])
    .unwrap();
    let path = folder.file("2nd net.h");
    exported.build_header(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let call = "static inline int lzl__2nd_net_call(const lzl__2nd_net *program, int64_t n, \
                const double *float_, const int32_t *x_y, double *n_, int32_t *y)";
    assert!(text.contains(call), "{text}");
    assert!(text.contains(" *   float f64[n, 2]\n"), "{text}");
    let Some(compiler) = compiler() else { return };
    let program = "#include \"2nd net.h\"\nint main(void) { return 0; }\n";
    fs::write(folder.file("main.c"), program).unwrap();
    let arguments = [
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsyntax-only",
        "main.c",
    ];
    let output = run(compiler, &arguments, &folder);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[cfg(feature = "foreign")]
fn library_functions_in_objects_are_refused() {
    let folder = Folder::new("foreign");
    let spec = [spec!(f32["n", 30])];
    let exported = export(|[x]| x.rfft(&lazulite::FftOptions::default()).abs(), &spec).unwrap();
    let error = exported.build_object(folder.file("net.o")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("library functions"), "{error}");
    assert!(is_empty(&folder.0));
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}
