//! Exported functions: files, executables, and the same bits everywhere.

use lazulite::nn::{Layer, Linear, Module, Sequential};
use lazulite::prelude::*;
use lazulite::{Demo, ErrorKind, Exported, Spec, checkpoint, export, spec};
use lazulite_runtime::kernels::Level;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A folder of its own for each test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = format!("lazulite-aot-{name}-{}", std::process::id());
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

fn started(program: &Path, arguments: &[&str], folder: &Folder) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&folder.0).env_clear();
    loop {
        match command.output() {
            // A process that another test is just starting inherits the file that was written, and
            // holds it open until it has become its program.
            Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::yield_now()
            }
            output => return output.unwrap(),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs the program, which must succeed, and gives what it printed.
fn succeed(program: &Path, arguments: &[&str], folder: &Folder) -> String {
    let output = started(program, arguments, folder);
    let errors = text(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    text(&output.stdout)
}

/// Runs the program, which must fail with code 2, and gives its message.
fn refused(program: &Path, arguments: &[&str], folder: &Folder) -> String {
    let output = started(program, arguments, folder);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
    assert!(output.stdout.is_empty());
    errors
}

fn bits(tensor: &Tensor) -> Vec<u8> {
    tensor.with_bytes(<[u8]>::to_vec).unwrap()
}

struct Mlp {
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
}

impl Mlp {
    fn new() -> Mlp {
        let generator = Generator::new(7);
        let layer = |dims: [usize; 2]| generator.randn(dims) * 0.1;
        Mlp {
            w1: layer([33, 50]),
            b1: layer([1, 33]).reshape([33]),
            w2: layer([10, 33]),
            b2: layer([1, 10]).reshape([10]),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let hidden = x.linear(&self.w1, Some(&self.b1)).gelu();
        hidden.linear(&self.w2, Some(&self.b2)).softmax(-1)
    }

    fn export(&self) -> Exported {
        export(
            |[x]| self.forward(x),
            &[spec!(f32["batch", 50]).named("pixels")],
        )
        .unwrap()
        .with_output_names(["probabilities"])
        .unwrap()
    }
}

/// Reductions, a scan, sorting, gathering and integers, of two inputs with two open sizes.
fn mixture() -> Exported {
    let table = Generator::new(3).randn([20, 6]);
    export(
        |[x, picks]: [&Tensor; 2]| {
            let rows = table.index_select(0, picks);
            let centred = x - x.mean_keepdim(-1);
            let (sorted, order) = centred.sort_with(-1, true);
            let likely = centred.softmax(-1).cumsum(-1);
            vec![
                sorted,
                order,
                likely.sum(0),
                rows.exp().sum(..),
                rows.argmax(-1),
                Tensor::ones([x.dim(0)]).cumsum(0),
            ]
        },
        &[
            spec!(f32["n", "m"]).named("x"),
            spec!(i64["k"]).named("picks"),
        ],
    )
    .unwrap()
}

/// The executable gives the bits that the process gives.
fn same_bits(exported: &Exported, inputs: &[(&str, Tensor)], folder: &Folder) {
    let program = folder.file("program");
    if !program.exists() {
        exported.build_executable(&program).unwrap();
    }
    let tensors: Vec<&Tensor> = inputs.iter().map(|(_, t)| t).collect();
    let expected = exported.run(&tensors).unwrap();
    let mut files = Vec::new();
    for (name, tensor) in inputs {
        tensor.save(folder.file(&format!("{name}.npy"))).unwrap();
        files.push(format!("{name}={name}.npy"));
    }
    for threads in ["1", "2"] {
        let mut arguments = vec!["--threads", threads, "-o", "out.safetensors"];
        arguments.extend(files.iter().map(String::as_str));
        succeed(&program, &arguments, folder);
        let found = lazulite::load_tensors(folder.file("out.safetensors")).unwrap();
        assert_eq!(found.len(), expected.len());
        let names = exported.outputs();
        for ((expected, (name, _)), (found_name, found)) in expected.iter().zip(names).zip(&found) {
            assert_eq!(name, *found_name);
            assert_eq!(expected.dims().unwrap(), found.dims().unwrap());
            assert_eq!(expected.dtype().unwrap(), found.dtype().unwrap());
            assert_eq!(bits(expected), bits(found), "{name} on {threads} threads");
        }
    }
}

#[test]
fn executables_of_networks_give_the_same_bits() {
    let folder = Folder::new("mlp");
    let mlp = Mlp::new();
    let exported = mlp.export();
    let generator = Generator::new(1);
    for batch in [1, 2, 7, 64] {
        let x = generator.randn([batch, 50]);
        same_bits(&exported, &[("pixels", x.clone())], &folder);
        let eager = mlp.forward(&x).to_vec::<f32>().unwrap();
        let run = exported.run(&[&x]).unwrap()[0].to_vec::<f32>().unwrap();
        let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5;
        assert!(eager.iter().zip(&run).all(close));
    }
}

#[test]
fn executables_of_mixtures_give_the_same_bits() {
    let folder = Folder::new("mixture");
    let exported = mixture();
    let generator = Generator::new(2);
    for (n, m, k) in [(1, 1, 1), (4, 5, 3), (30, 100, 17), (3, 8, 0)] {
        let picks: Vec<i64> = (0..k).map(|i| i * 7 % 20).collect();
        let picks = Tensor::from_vec(picks, [k as usize]);
        let x = generator.randn([n, m]);
        same_bits(&exported, &[("x", x), ("picks", picks)], &folder);
    }
}

#[test]
fn executables_of_narrow_products_give_the_same_bits() {
    let folder = Folder::new("narrow");
    let generator = Generator::new(4);
    let weights = generator.randn([70, 33]).cast(DType::BF16);
    let bytes = (generator.randn([33, 20]) * 50.0).cast(DType::I8);
    let exported = export(
        |[x]| {
            let y = x.cast(DType::BF16).matmul(&weights.t()).relu();
            let z = (x * 20.0).cast(DType::I8).matmul(&bytes);
            vec![y.cast(DType::F32), z]
        },
        &[spec!(f32["n", 33]).named("x")],
    )
    .unwrap();
    for n in [1, 5, 100] {
        same_bits(&exported, &[("x", generator.randn([n, 33]))], &folder);
    }
}

#[test]
#[cfg(feature = "foreign")]
fn executables_of_library_functions_give_the_same_bits() {
    let folder = Folder::new("library");
    let exported = export(
        |[x]| x.rfft(&lazulite::FftOptions::default()).abs(),
        &[spec!(f32["n", 30]).named("x")],
    );
    let x = Generator::new(5).randn([3, 30]);
    same_bits(&exported.unwrap(), &[("x", x)], &folder);
}

#[test]
fn every_level_computes_the_same_within_rounding() {
    let folder = Folder::new("levels");
    let exported = Mlp::new().export();
    let program = folder.file("program");
    exported.build_executable(&program).unwrap();
    let x = Generator::new(9).randn([5, 50]);
    x.save(folder.file("x.npy")).unwrap();
    let expected = exported.run(&[&x]).unwrap()[0].to_vec::<f32>().unwrap();
    for level in Level::ALL.into_iter().filter(|l| l.is_available()) {
        let name = level.name();
        let info = succeed(&program, &["--info", "--level", name], &folder);
        assert!(info.contains(&format!("running   {name}")), "{info}");
        succeed(
            &program,
            &["--level", name, "x.npy", "-o", "y.npy"],
            &folder,
        );
        let found = Tensor::load(folder.file("y.npy")).unwrap();
        let found = found.to_vec::<f32>().unwrap();
        for (a, b) in expected.iter().zip(found) {
            assert!((a - b).abs() < 1e-5, "{name}: {a} {b}");
        }
    }
}

/// Runs the program with bytes on standard input.
fn fed(program: &Path, arguments: &[&str], folder: &Folder, input: &[u8]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&folder.0).env_clear();
    let pipe = std::process::Stdio::piped;
    command.stdin(pipe()).stdout(pipe()).stderr(pipe());
    loop {
        match command.spawn() {
            Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::yield_now()
            }
            child => {
                let mut child = child.unwrap();
                // Whoever refuses its arguments does not read.
                let _ = child.stdin.take().unwrap().write_all(input);
                return child.wait_with_output().unwrap();
            }
        }
    }
}

#[test]
fn all_formats_carry_the_same_bits() {
    let folder = Folder::new("formats");
    let program = folder.file("program");
    let exported = export(
        |[x, k]: [&Tensor; 2]| (x.exp(), k * 2),
        &[spec!(f32["n", 3]).named("x"), spec!(i64["k"]).named("k")],
    )
    .unwrap()
    .with_output_names(["y", "twice"])
    .unwrap();
    exported.build_executable(&program).unwrap();
    let x = Generator::new(4).randn([5, 3]);
    let k = Tensor::from_vec(vec![-7i64, 0, 1 << 60], [3]);
    let expected: Vec<Vec<u8>> = exported.run(&[&x, &k]).unwrap().iter().map(bits).collect();
    let check = |arrays: Vec<(String, Tensor)>| {
        assert_eq!((arrays[0].0.as_str(), arrays[1].0.as_str()), ("y", "twice"));
        let found: Vec<Vec<u8>> = arrays.iter().map(|(_, t)| bits(t)).collect();
        assert_eq!(found, expected);
    };
    for format in ["npz", "safetensors", "json"] {
        let (input, output) = (format!("in.{format}"), format!("out.{format}"));
        lazulite::save_tensors(folder.file(&input), &[("k", &k), ("x", &x)]).unwrap();
        succeed(&program, &[&input, "-o", &output], &folder);
        check(lazulite::load_tensors(folder.file(&output)).unwrap());
        // The same through pipes, whose format the first bytes tell.
        let bytes = fs::read(folder.file(&input)).unwrap();
        let piped = fed(
            &program,
            &["-", "-o", "-", "--format", format],
            &folder,
            &bytes,
        );
        assert!(piped.status.success(), "{}", text(&piped.stderr));
        assert_eq!(piped.stdout, fs::read(folder.file(&output)).unwrap());
    }
    let json = br#"[[0.5, "NaN", -1e-3]]"#;
    let piped = fed(&program, &["x=-", "k.json", "-o", "y=-"], &folder, json);
    assert_eq!(piped.status.code(), Some(2));
    fs::write(folder.file("k.json"), "[1, 2]").unwrap();
    let piped = fed(&program, &["x=-", "k.json", "-o", "y=-"], &folder, json);
    assert!(
        piped.stdout.starts_with(b"\x93NUMPY"),
        "{}",
        text(&piped.stderr)
    );
    for (input, message) in [
        (&b"[[1, 2, 1e99]]"[..], "1e99 is no f32"),
        (b"[[1, 2, 3], [4]]", "lists of 3 and of 1"),
        (b"[[1, 2]]", "expected f32[n, 3], got f32[1, 2]"),
        (b"hello", "neither .npy, .npz, .safetensors nor JSON"),
        (b"PK\x05\x06", "not an .npz file"),
    ] {
        let refused = fed(&program, &["-", "k.json"], &folder, input);
        assert_eq!(refused.status.code(), Some(2));
        let errors = text(&refused.stderr);
        assert!(errors.contains(message), "{errors}");
    }
}

#[test]
fn weights_keep_their_names() {
    let folder = Folder::new("names");
    let (program, path) = (folder.file("program"), folder.file("model.lzl"));
    let model = Sequential::new()
        .with(Linear::new(40, 30))
        .with(Linear::new(30, 4));
    model.eval();
    let exported = export(|[x]| model.forward(x), &[spec!(f32["n", 40])]).unwrap();
    exported.save(&path).unwrap();
    let loaded = Exported::load(&path).unwrap();
    let mut names = loaded.weights();
    names.sort();
    let expected = [
        ("0.bias", "f32[30]"),
        ("0.weight", "f32[30, 40]"),
        ("1.bias", "f32[4]"),
        ("1.weight", "f32[4, 30]"),
    ];
    assert_eq!(names, expected.map(|(a, b)| (a.to_string(), b.to_string())));
    let (kept, own) = (
        loaded.weight("1.bias").unwrap(),
        &model.state_dict()["1.bias"],
    );
    assert_eq!(bits(&kept), bits(own));
    assert!(loaded.weight("2.bias").is_none());
    loaded.build_executable(&program).unwrap();
    let info = succeed(&program, &["--info"], &folder);
    for (name, _) in expected {
        assert!(info.contains(name), "{name} in {info}");
    }
}

#[test]
fn demonstrations_show_samples_classes_and_times() {
    let folder = Folder::new("demo");
    let (program, path) = (folder.file("program"), folder.file("model.lzl"));
    let exported = export(
        |[x]| x.flatten(1, -1).narrow(1, 0, 2).softmax(-1),
        &[spec!(f32["batch", 1, 2, 3]).named("image")],
    )
    .unwrap();
    exported.build_executable(&program).unwrap();
    let none = refused(&program, &["--demo"], &folder);
    assert!(none.contains("brings no samples"), "{none}");
    let images = Tensor::from_vec((0..12).map(|i| i as f32).collect(), [2, 1, 2, 3]);
    let misfit = Demo::images([&images.squeeze(1)]);
    let misfit = Exported::load({
        exported.save(&path).unwrap();
        &path
    })
    .unwrap()
    .with_demo(misfit)
    .unwrap_err();
    assert!(misfit.message().contains("samples of image"), "{misfit}");
    let exported = exported
        .with_classes(["left", "right"])
        .unwrap()
        .with_demo(Demo::images([&images]).with_labels(["dark", "bright"]))
        .unwrap();
    // What is said about a model goes along with it.
    exported.save(&path).unwrap();
    let loaded = Exported::load(&path).unwrap();
    assert_eq!(loaded.metadata()["demo"], "image");
    assert_eq!(loaded.metadata_tensors().unwrap()[0].0, "demo.image");
    loaded.build_executable(&program).unwrap();
    let shown = succeed(&program, &["--demo=1"], &folder);
    for part in ["sample 1: bright", "@@", "right", "73.1%", " us on "] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    let all = succeed(&program, &["--demo=all"], &folder);
    assert!(
        all.contains("sample 0: dark") && all.contains("sample 1"),
        "{all}"
    );
    let beyond = refused(&program, &["--demo=2"], &folder);
    assert!(beyond.contains("only 0 to 1"), "{beyond}");
    let info = succeed(&program, &["--info"], &folder);
    assert!(info.contains("classes   left, right"), "{info}");
}

/// Names of shared libraries in an executable.
fn libraries(file: &[u8]) -> Vec<String> {
    let words = file.split(|b| !b.is_ascii_graphic());
    let words = words.map(text);
    words
        .filter(|w| w.contains(".so.") && !w.contains(['%', '/']))
        .collect()
}

#[test]
fn executables_are_small_and_need_little() {
    let folder = Folder::new("small");
    let exported = Mlp::new().export();
    let program = folder.file("program");
    exported.build_executable(&program).unwrap();
    let start = Instant::now();
    exported.build_executable(&program).unwrap();
    let again = start.elapsed();
    assert!(again < Duration::from_secs(1), "writing took {again:?}");
    let file = fs::read(&program).unwrap();
    assert!(file.len() < 2 << 20, "{} bytes", file.len());
    let libraries = libraries(&file);
    assert!(libraries.iter().any(|l| l == "libc.so.6"), "{libraries:?}");
    let allowed = [
        "libc.so.6",
        "libm.so.6",
        "libgcc_s.so.1",
        "ld-linux-x86-64.so.2",
    ];
    let strange = libraries.iter().find(|l| !allowed.contains(&l.as_str()));
    assert_eq!(strange, None);
}

#[test]
fn executables_say_what_they_are_and_print_results() {
    let folder = Folder::new("words");
    let program = folder.file("program");
    let exported = export(
        |[a, b]| (a + b, (a * b).sum(..)),
        &[spec!(f32["n"]).named("a"), spec!(f32["n"]).named("b")],
    )
    .unwrap();
    exported.build_executable(&program).unwrap();
    let help = succeed(&program, &["--help"], &folder);
    for part in [
        "Usage: program",
        "a                f32[n]",
        "output1",
        "--bench",
    ] {
        assert!(help.contains(part), "{part} in\n{help}");
    }
    let info = succeed(&program, &["--info", "--dim", "n=1000"], &folder);
    assert!(info.contains("at n = 1000"), "{info}");
    let bench = succeed(&program, &["--bench", "3", "--dim", "n=100"], &folder);
    assert!(bench.contains("3 runs"), "{bench}");
    let a = Tensor::from_vec(vec![1.0f32, 2.0], [2]);
    a.save(folder.file("a.npy")).unwrap();
    let raw: Vec<u8> = [0.5f32, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    fs::write(folder.file("b.raw"), raw).unwrap();
    let shown = succeed(&program, &["a.npy", "b.raw"], &folder);
    assert_eq!(
        shown,
        "output0 f32[2]\n  [1.5, 6.0]\noutput1 f32[]\n  [8.5]\n"
    );
    lazulite::save_tensors(folder.file("both.safetensors"), &[("b", &a), ("a", &a)]).unwrap();
    let output = started(&program, &["both.safetensors", "-o", "-"], &folder);
    assert!(output.stdout.starts_with(b"\x93NUMPY"));
}

#[test]
fn wrong_inputs_are_refused_and_nothing_is_written() {
    let folder = Folder::new("inputs");
    let program = folder.file("program");
    let exported = export(
        |[a, b]| a.matmul(b),
        &[spec!(f32["n", 3]).named("a"), spec!(f32[3, "n"]).named("b")],
    )
    .unwrap();
    exported.build_executable(&program).unwrap();
    Tensor::ones([2, 3]).save(folder.file("a.npy")).unwrap();
    Tensor::ones([3, 2]).save(folder.file("b.npy")).unwrap();
    Tensor::ones([3, 4]).save(folder.file("wide.npy")).unwrap();
    Tensor::ones([2, 3])
        .cast(DType::F64)
        .save(folder.file("double.npy"))
        .unwrap();
    fs::write(folder.file("text.npy"), "no array").unwrap();
    let cases: [(&[&str], &str); 11] = [
        (&["a.npy"], "missing inputs: b f32[3, n]"),
        (&["a.npy", "b.npy", "a.npy"], "only 2 inputs"),
        (
            &["a.npy", "wide.npy"],
            "expected f32[3, n], got f32[3, 4] (where n = 2)",
        ),
        (
            &["double.npy", "b.npy"],
            "expected f32[n, 3], got f64[2, 3]",
        ),
        (&["text.npy", "b.npy"], "text.npy: not an .npy file"),
        (&["none.npy", "b.npy"], "none.npy: No such file"),
        (&["c=a.npy"], "there is no input c, only a, b"),
        (
            &["a.npy", "b.npy", "--dim", "k=3"],
            "there is no size k, only n",
        ),
        (&["a.npy", "b.npy", "--dim", "n=3"], "(where n = 3)"),
        (&["--frobnicate"], "no option --frobnicate"),
        (&["a.npy", "b.npy", "-o", "folder/c.npy"], "folder/c.npy"),
    ];
    for (arguments, message) in cases {
        let arguments: Vec<&str> = match arguments.contains(&"-o") {
            true => arguments.to_vec(),
            false => [arguments, &["-o", "c.npy"]].concat(),
        };
        let found = refused(&program, &arguments, &folder);
        assert!(found.contains(message), "{arguments:?}: {found}");
        assert!(!folder.file("c.npy").exists());
    }
}

#[test]
fn faults_end_the_program_with_code_1() {
    let folder = Folder::new("faults");
    let program = folder.file("program");
    let table = Tensor::arange(0, 10, 1);
    let exported = export(|[i]| table.index_select(0, i), &[spec!(i64["n"])]).unwrap();
    exported.build_executable(&program).unwrap();
    Tensor::from_vec(vec![3i64, 12], [2])
        .save(folder.file("i.npy"))
        .unwrap();
    let output = started(&program, &["i.npy"], &folder);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(
        message.contains("12") && message.contains("aot.rs"),
        "{message}"
    );
}

#[test]
fn damaged_executables_say_so() {
    let folder = Folder::new("damaged");
    let program = folder.file("program");
    Mlp::new().export().build_executable(&program).unwrap();
    let whole = fs::read(&program).unwrap();
    let pages = (0..whole.len()).step_by(4096);
    let mut payloads = pages.filter(|at| whole[*at..].starts_with(b"LAZULITE"));
    let payload = payloads.next_back().unwrap();
    let damaged = folder.file("damaged");
    let run = |bytes: &[u8]| {
        fs::copy(&program, &damaged).unwrap();
        fs::write(&damaged, bytes).unwrap();
        refused(&damaged, &["--info"], &folder)
    };
    // The header, the table, each section's first page, and the trailer.
    let pages = (whole.len() - payload) / 4096;
    let places = (0..pages).flat_map(|page| [9, 2049].map(|at| payload + page * 4096 + at));
    let mut places: Vec<usize> = places.filter(|at| *at < whole.len()).collect();
    places.extend([payload + 70, whole.len() - 3]);
    assert!(places.len() > 5, "{places:?}");
    for at in places {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        let message = run(&bytes);
        assert!(message.contains("not whole"), "{at}: {message}");
    }
    let lengths = (payload..whole.len()).step_by((whole.len() - payload) / 40);
    for len in lengths.chain([whole.len() - 1, whole.len() - 5000, payload + 100]) {
        let message = run(&whole[..len]);
        assert!(message.contains("not whole"), "{len}: {message}");
    }
}

#[test]
fn files_come_back_as_they_were() {
    let folder = Folder::new("files");
    let path = folder.file("model.lzl");
    for (exported, inputs) in [
        (Mlp::new().export(), vec![Tensor::ones([3, 50])]),
        (
            mixture(),
            vec![Tensor::ones([2, 4]), Tensor::from_vec(vec![1i64], [1])],
        ),
    ] {
        exported.save(&path).unwrap();
        let loaded = Exported::load(&path).unwrap();
        assert_eq!(loaded.inputs(), exported.inputs());
        assert_eq!(loaded.outputs(), exported.outputs());
        assert_eq!(loaded.size_names(), exported.size_names());
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let both = exported.run(&inputs).unwrap().into_iter();
        for (a, b) in both.zip(loaded.run(&inputs).unwrap()) {
            assert_eq!(bits(&a), bits(&b));
        }
    }
}

#[test]
fn damaged_files_are_errors() {
    let folder = Folder::new("damage");
    let path = folder.file("model.lzl");
    Mlp::new().export().save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let load = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Exported::load(&path)
    };
    for at in (0..whole.len()).step_by(211) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        let error = load(&bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::File, "{at}");
        let error = load(&whole[..at]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::File);
    }
    let mut other = whole.clone();
    other[8] = 9;
    let error = load(&other).unwrap_err();
    assert!(error.message().contains("version 9"), "{error}");
    let error = Exported::load(folder.file("none.lzl")).unwrap_err();
    assert!(error.message().contains("none.lzl"), "{error}");
}

#[test]
fn what_could_not_be_loaded_again_is_not_exported() {
    let vector = [spec!(f32["n"])];
    fn nest(x: &Tensor, depth: usize) -> Tensor {
        match depth {
            0 => x.sin(),
            _ => checkpoint(|v| vec![nest(&v[0], depth - 1) * 2.0], &[x])[0].clone(), // here
        }
    }
    let folder = Folder::new("limits");
    let path = folder.file("model.lzl");
    let deepest = export(|[x]| nest(x, 32), &vector).unwrap();
    deepest.save(&path).unwrap();
    Exported::load(&path).unwrap();
    let error = export(|[x]| nest(x, 33), &vector).unwrap_err();
    let lines = include_str!("aot.rs").lines();
    let line = 1 + lines.take_while(|l| !l.ends_with("// here")).count();
    let message =
        "no file can hold the function: functions are nested 33 levels deep, text holds at most 32";
    assert_eq!(error.message(), message);
    let place = format!("aot.rs:{line}");
    assert!(error.to_string().contains(&place), "{error}");

    // A size of 1025 numbers and symbols, in a function within the function.
    let specs: [Spec; 40] = std::array::from_fn(|i| spec!(f32[format!("n{i}")]));
    let long = |inputs: [&Tensor; 40]| {
        let all: Vec<&Tensor> = inputs.into_iter().collect();
        let sides = |count: usize| Tensor::cat(&all[..count], 0);
        checkpoint(
            |v| vec![v[0].unsqueeze(1).mul(v[1].unsqueeze(0)).reshape([-1])],
            &[&sides(40), &sides(20)],
        )
    };
    let error = export(long, &specs).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("a size is longer than 1024 numbers and symbols: `"),
        "{error}"
    );
    assert!(message.contains("aot.rs:"), "{error}");
}

#[test]
fn what_no_file_can_hold_is_refused_with_its_line() {
    let vector = [spec!(f32["n"])];
    let closure = |x: &Tensor| x.map_elements(|v: f32| v + 1.0);
    let line = line!() - 1;
    let error = export(|[x]| closure(x), &vector).unwrap_err();
    assert!(error.message().contains("closure"), "{error}");
    assert!(
        error.to_string().contains(&format!("aot.rs:{line}")),
        "{error}"
    );
    let error = export(|[x]| x + Tensor::randn([1]), &vector).unwrap_err();
    assert!(error.message().contains("random"), "{error}");
    let cell = TensorCell::new(Tensor::zeros([1]));
    let write = |[x]: [&Tensor; 1]| {
        cell.set(x.sum(..)).unwrap();
        x + 1
    };
    let error = export(write, &vector).unwrap_err();
    assert!(error.message().contains("cell"), "{error}");
    let error = export(|[x]| x.reshape([3, 5]).relu(), &[spec!(f32[4])]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    let error = export(|[x]| x.relu(), &[spec!(f32["n m"])]).unwrap_err();
    assert!(error.message().contains("no name for a size"), "{error}");
}

#[test]
fn cells_are_weights_and_unused_inputs_stay() {
    let cell = TensorCell::new(Tensor::full([2], 3.0));
    let exported = export(
        |[x, _unused]| x * cell.get(),
        &[spec!(f32["n", 2]), spec!(i32["k"])],
    )
    .unwrap();
    cell.set(Tensor::zeros([2])).unwrap();
    let x = Tensor::ones([1, 2]);
    let k = Tensor::from_vec(vec![1i32], [1]);
    let y = exported.run(&[&x, &k]).unwrap();
    assert_eq!(y[0].to_vec::<f32>().unwrap(), [3.0, 3.0]);
    let error = exported.run(&[&x]).unwrap_err();
    assert!(
        error.message().contains("2 inputs were expected"),
        "{error}"
    );
    assert_eq!(exported.weight_bytes(), 8);
    assert!(
        exported
            .peak_bytes(&[("n".into(), 10), ("k".into(), 0)])
            .unwrap()
            >= 80
    );
}
