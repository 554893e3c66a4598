//! The command as people run it: what it prints, what it returns, what it does when nobody reads on.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const GRAPH: &str = "\
graph(%0: f32[n, 8]) {
  %1 = exp %0 : f32[n, 8]
  %2 = reduce %1 {kind=sum, axes=[1]} : f32[n]
  return %2
}
";

fn lazulite(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lazulite"));
    command.args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A file in a folder of this process.
fn file(name: &str, content: &[u8]) -> String {
    let folder: PathBuf = std::env::temp_dir().join(format!("lazulite-cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn programs_are_shown_in_every_form() {
    let graph = file("forms.lzt", GRAPH.as_bytes());
    for (form, begins) in [
        ("text", "graph("),
        ("dot", "digraph"),
        ("json", "{\"schema\""),
        ("html", "<!doctype"),
    ] {
        let output = lazulite(&["dump", &graph, "--stage", "canon", "--format", form]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with(begins), "{form}");
    }
    let native = lazulite(&["dump", &graph, "--stage", "native"]);
    assert!(text(&native.stdout).contains("ret"));
    let measured = lazulite(&[
        "dump",
        &graph,
        "--stage",
        "kernel",
        "--dim",
        "n=16",
        "--measure",
    ]);
    assert!(
        text(&measured.stdout).contains(", measured "),
        "{}",
        text(&measured.stderr)
    );
    let why = lazulite(&["explain", &graph]);
    assert!(
        text(&why.stdout).contains("kernel 0: exp, reduce"),
        "{}",
        text(&why.stdout)
    );
}

#[test]
fn mistakes_are_told_and_return_2() {
    let graph = file("mistakes.lzt", GRAPH.as_bytes());
    let damaged = file("damaged.lzl", b"LAZULITE and nothing more");
    for (arguments, message) in [
        (
            &["dump", &graph, "--stage", "grad"][..],
            "takes no gradients",
        ),
        (&["dump", &graph, "--dim", "m=3"], "its sizes are n"),
        (&["dump", &graph, "--measure"], "a value for n"),
        (&["dump", "nowhere.lzt"], "nowhere.lzt"),
        (&["inspect", &graph], "lazulite dump"),
        (&["inspect", &damaged], "damaged.lzl"),
        (&["inspect", "nowhere.npy"], "nowhere.npy"),
        (&["dump", &graph, "--stage", "nothing"], "possible values"),
    ] {
        let output = lazulite(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let told = text(&output.stderr);
        assert!(told.contains(message), "{arguments:?}: {told}");
        assert!(!told.contains("panicked"), "{told}");
    }
}

#[test]
fn who_reads_no_further_is_no_error() {
    let graph = file("pipe.lzt", GRAPH.as_bytes());
    let mut child = Command::new(env!("CARGO_BIN_EXE_lazulite"))
        .args(["dump", &graph, "--format", "html"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn pages_begin_with_the_schedule() {
    let graph = file("page.lzt", GRAPH.as_bytes());
    let plain = lazulite(&["dump", &graph, "--format", "html"]).stdout;
    let asked = ["dump", &graph, "--format", "html", "--stage", "schedule"];
    assert_eq!(plain, lazulite(&asked).stdout);
    assert!(text(&lazulite(&["dump", &graph]).stdout).contains("live"));
}

#[test]
fn more_threads_than_make_sense_are_refused_at_once() {
    let output = lazulite(&["train", "digits", "--threads", "9999"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("9999 are asked for") && !told.contains("options.rs"),
        "{told}"
    );
}

#[test]
fn open_sizes_are_asked_for_as_they_are_given() {
    let graph = file("sizes.lzt", GRAPH.as_bytes());
    for arguments in [&["run", &graph][..], &["run", &graph, "--dim", "m=3"]] {
        let told = text(&lazulite(arguments).stderr);
        assert!(told.contains("--dim n=SIZE"), "{told}");
        assert!(!told.contains("[\""), "{told}");
    }
    let given = lazulite(&["run", &graph, "--dim", "n=3"]);
    assert!(given.status.success(), "{}", text(&given.stderr));
    let explained = text(&lazulite(&["explain", &graph, "--dim", "n=3"]).stdout);
    assert!(
        explained.contains("1 launch in every run, predicted "),
        "{explained}"
    );
}

#[test]
fn numbers_that_make_no_sense_are_refused_for_what_they_are() {
    for (option, number, message) in [
        ("--lr", "-1", "expected a number above 0"),
        ("--batch", "-1", "expected a whole number, at least 1"),
        ("--threads", "0", "expected a whole number, at least 1"),
        ("--epochs", "-1", "invalid value '-1'"),
    ] {
        let output = lazulite(&["train", "digits", option, number]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(message), "{option}: {told}");
    }
}

#[test]
fn the_machine_is_described() {
    let output = lazulite(&["doctor"]);
    let told = text(&output.stdout);
    for part in [
        "lazulite 0",
        "processor",
        "instructions",
        "threads",
        "memory",
        "huge pages",
        "executables",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let help = text(&lazulite(&["--help"]).stdout);
    for command in ["dump", "explain", "inspect", "run", "build", "doctor"] {
        assert!(help.contains(command), "{help}");
    }
}
