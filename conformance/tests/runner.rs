//! The runner on a corpus of its own: right, wrong, unknown and rejected calls are told apart.

use lazulite_conformance::random;
use lazulite_conformance::report::{Counts, Verdict};
use lazulite_conformance::run::{Settings, run};
use safetensors::{Dtype, tensor::TensorView};
use std::fs;
use std::path::{Path, PathBuf};

/// Writes a suite with the given cases and the tensors `out`, `[0, 1, 2]` as i64, and `x`, `y` and `z`
/// as f32: `[1, 2, 4]`, its squares, and twice these.
fn write(folder: &Path, op: &str, call: &str, signature: &str, cases: &[&str]) {
    let bytes: Vec<u8> = (0..3i64).flat_map(i64::to_le_bytes).collect();
    let out = TensorView::new(Dtype::I64, vec![3], &bytes).unwrap();
    let floats = [[1.0f32, 2.0, 4.0], [1.0, 4.0, 16.0], [2.0, 8.0, 32.0]];
    let floats = floats.map(|f| {
        f.into_iter()
            .flat_map(f32::to_le_bytes)
            .collect::<Vec<u8>>()
    });
    let float = |i: usize| TensorView::new(Dtype::F32, vec![3], &floats[i]).unwrap();
    let all = [
        ("out", out),
        ("x", float(0)),
        ("y", float(1)),
        ("z", float(2)),
    ];
    let stored = safetensors::serialize(all, None).unwrap();
    fs::write(folder.join(format!("{op}.safetensors")), stored).unwrap();
    let text = format!(
        r#"{{"op": "{op}", "call": "{call}", "signature": "{signature}",
            "tensors": "{op}.safetensors", "cases": [{}]}}"#,
        cases.join(",")
    );
    fs::write(folder.join(format!("{op}.json")), text).unwrap();
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // What an earlier version of these tests has left there is no part of the corpus.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn settings() -> Settings {
    Settings {
        device: lazulite::Device::cpu(),
        every: 1,
        filter: None,
        threads: 1,
    }
}

const OUT: &str =
    r#""outputs": {"tensor": "out", "dtype": "int64", "shape": [3]}, "rtol": 0, "atol": 0"#;

#[test]
fn values_are_compared() {
    let folder = folder("values");
    let case = |id: &str, args: &str| {
        format!(r#"{{"id": "{id}", "args": [{args}], "kwargs": {{}}, {OUT}}}"#)
    };
    let tensor = r#"{"tensor": "out", "dtype": "int64", "shape": [3], "grad": true}"#;
    let right = case("right", "0, 3");
    let (wrong, misfit) = (case("wrong", "1, 4"), case("misfit", "0, 4"));
    let arange = [&*right, &wrong, &misfit];
    write(
        &folder,
        "arange",
        "torch.arange(*args)",
        "arange(start, end)",
        &arange,
    );
    let unknown = case("unknown", tensor);
    write(
        &folder,
        "no_such_op",
        "torch.no_such_op(*args)",
        "no_such_op(input)",
        &[&unknown],
    );
    let report = run("ops", &folder, &settings()).unwrap();
    let verdicts: Vec<&Verdict> = report
        .ops
        .iter()
        .flat_map(|op| &op.cases)
        .map(|c| &c.values)
        .collect();
    assert_eq!(verdicts[0], &Verdict::Passed);
    let Verdict::Failed(difference) = verdicts[1] else {
        panic!("{:?}", verdicts[1]);
    };
    assert!(difference.contains("3 of 3 elements differ, first at [0]: got 1, expected 0"));
    assert!(matches!(verdicts[2], Verdict::Failed(how) if how == "got i64[4], expected i64[3]"));
    assert!(matches!(verdicts[3], Verdict::Unsupported(why) if why.contains("no_such_op")));
    let counts = Counts::of(verdicts.into_iter());
    assert_eq!(
        (counts.passed, counts.failed, counts.unsupported),
        (1, 2, 1)
    );
}

#[test]
fn gradients_are_compared() {
    let folder = folder("gradients");
    let tensor = |key: &str| format!(r#"{{"tensor": "{key}", "dtype": "float32", "shape": [3]}}"#);
    let [x, y, z] = ["x", "y", "z"].map(tensor);
    let case = |gradient: &str| {
        format!(
            r#"{{"id": "a", "args": [{x}], "kwargs": {{}}, "outputs": {y}, "rtol": 0, "atol": 0,
                "cotangents": [{x}], "grads": [{{"wrt": "args.0", {gradient}}}],
                "grad_rtol": 1e-6, "grad_atol": 0}}"#
        )
    };
    let cases = [
        case(&format!(r#""grad": {z}, "grad64": null"#)),
        case(&format!(r#""grad": {y}, "grad64": {z}"#)),
        case(&format!(r#""grad": {y}"#)),
        case(r#""grad": null"#),
    ];
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    write(
        &folder,
        "square",
        "torch.square(*args)",
        "square(input)",
        &cases,
    );
    let report = run("ops", &folder, &settings()).unwrap();
    let verdicts: Vec<&Verdict> = { report.ops[0].cases.iter() }
        .map(|case| {
            assert_eq!(case.values, Verdict::Passed);
            assert_eq!(Some(case.verdict()), case.gradients.as_ref());
            case.verdict()
        })
        .collect();
    assert_eq!(verdicts[..2], [&Verdict::Passed; 2]);
    assert!(matches!(verdicts[2], Verdict::Failed(how) if how.contains("got 2e0, expected 1e0")));
    assert!(matches!(verdicts[3], Verdict::Failed(how) if how.contains("there should be none")));
}

#[test]
fn calls_that_must_fail_are_told_from_those_that_do_not() {
    let folder = folder("errors");
    let case = |id: &str, args: &str| {
        format!(r#"{{"id": "{id}", "args": [{args}], "kwargs": {{}}, "pytorch_message": "no"}}"#)
    };
    let cases = [
        case("rejected", "0, 3, 0"),
        case("wrong_type", r#""a", 3"#),
        case("accepted", "0, 3"),
    ];
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    write(
        &folder,
        "arange",
        "torch.arange(*args)",
        "arange(start, end, step=1)",
        &cases,
    );
    let report = run("errors", &folder, &settings()).unwrap();
    let verdicts: Vec<&Verdict> = report.ops[0].cases.iter().map(|c| &c.values).collect();
    assert_eq!(verdicts[..2], [&Verdict::Passed, &Verdict::Passed]);
    assert!(matches!(verdicts[2], Verdict::Failed(how) if how.starts_with("accepted")));
}

#[test]
fn random_operators_are_checked_or_named() {
    let folder = folder("random");
    let list = "# a comment\nrandn | mean 0\nno_such_op (of any kind) | nothing\n";
    fs::write(folder.join("random_ops.txt"), list).unwrap();
    let report = random::run(&folder, None).unwrap();
    let counts = |i: usize| Counts::of(report.ops[i].cases.iter().map(|c| &c.values));
    assert_eq!(report.ops[0].name, "randn");
    assert!(counts(0).passed > 4 && counts(0).failed == 0);
    assert_eq!(report.ops[1].name, "no_such_op");
    assert_eq!(counts(1).unsupported, 1);
}
