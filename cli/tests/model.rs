//! The commands on exported models: shown, run, built, and what they say when they cannot.

use lazulite::prelude::*;
use lazulite::{export, spec};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("lazulite-cli-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn lazulite(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lazulite"));
        command.args(arguments).current_dir(&self.0);
        command.output().unwrap()
    }

    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.lazulite(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn fail(&self, arguments: &[&str]) -> String {
        let output = self.lazulite(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn models_are_shown_run_and_built() {
    let folder = Folder::new("model");
    let w = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2]);
    let exported = export(|[x]| x.matmul(&w), &[spec!(f32["n", 2]).named("x")]).unwrap();
    exported.save(folder.0.join("m.lzl")).unwrap();
    let x = Tensor::from_vec(vec![1.0f32, 10.0], [1, 2]);
    x.save(folder.0.join("x.npy")).unwrap();

    let graph = folder.succeed(&["dump", "m.lzl", "--stage", "trace"]);
    assert!(
        graph.contains("contract") && graph.contains("f32[n, 2]"),
        "{graph}"
    );
    folder.succeed(&["run", "m.lzl", "--input", "x=x.npy", "-o", "here.npy"]);
    let random = folder.succeed(&["run", "m.lzl", "--dim", "n=3"]);
    assert!(random.starts_with("output: "), "{random}");
    let built = folder.succeed(&["build", "m.lzl", "-o", "program"]);
    assert!(built.contains("16 bytes of weights"), "{built}");

    let mut program = Command::new(folder.0.join("program"));
    program
        .args(["x.npy", "-o", "there.npy"])
        .current_dir(&folder.0);
    assert!(program.status().unwrap().success());
    for file in ["here.npy", "there.npy"] {
        let y = Tensor::load(folder.0.join(file)).unwrap();
        assert_eq!(y.to_vec::<f32>().unwrap(), [31.0, 42.0]);
    }
}

#[test]
fn models_are_made_into_objects_and_libraries() {
    let folder = Folder::new("emit");
    let exported = export(|[x]| x.exp(), &[spec!(f32["n"]).named("x")]).unwrap();
    exported.save(folder.0.join("m.lzl")).unwrap();
    let said = folder.succeed(&["build", "m.lzl", "-o", "net.o", "--emit", "obj"]);
    assert!(said.contains("`cc main.c net.o liblazulite.a"), "{said}");
    folder.succeed(&["build", "m.lzl", "-o", "libnet.a", "--emit", "staticlib"]);
    folder.succeed(&["build", "m.lzl", "-o", "other.h", "--emit", "header"]);
    let start = |file: &str| fs::read(folder.0.join(file)).unwrap()[..7].to_vec();
    assert_eq!(start("net.o"), b"\x7fELF\x02\x01\x01");
    assert_eq!(start("libnet.a"), b"!<arch>");
    assert_eq!(start("liblazulite.a"), b"!<arch>");
    let header = fs::read_to_string(folder.0.join("other.h")).unwrap();
    assert!(header.contains("int lzl_other_call("), "{header}");
    let refused = folder.fail(&["build", "m.lzl", "-o", "net.so", "--emit", "sharedlib"]);
    assert!(refused.contains("need a system's linker"), "{refused}");
    assert!(!folder.0.join("net.so").exists());
}

#[test]
fn mistakes_are_explained() {
    let folder = Folder::new("mistakes");
    fs::write(folder.0.join("text.lzl"), "graph() {}").unwrap();
    let message = folder.fail(&["run", "text.lzl"]);
    assert!(
        message.contains("this is not an exported model"),
        "{message}"
    );
    fs::write(folder.0.join("graph.lzt"), "graph() {}").unwrap();
    let message = folder.fail(&["build", "graph.lzt", "-o", "program"]);
    assert!(
        message.contains("this is not an exported model")
            && message.contains("`Exported::save`")
            && message.contains("`lazulite train digits --save FILE.lzl`"),
        "{message}"
    );
    let help = folder.succeed(&["build", "--help"]);
    assert!(
        help.contains("`sharedlib` makes nothing and says how `cc` makes one"),
        "{help}"
    );
    let message = folder.fail(&["build", "none.lzl", "-o", "program"]);
    assert!(message.contains("none.lzl"), "{message}");
    assert!(!folder.0.join("program").exists());
    let exported = export(|[x]| x + 1, &[spec!(f32["n"])]).unwrap();
    exported.save(folder.0.join("m.lzl")).unwrap();
    let message = folder.fail(&["run", "m.lzl"]);
    assert!(message.contains("size n needs a value"), "{message}");
    assert!(message.contains("--dim n=SIZE"), "{message}");
    let message = folder.fail(&["run", "m.lzl", "--input", "y=x.npy"]);
    assert!(
        message.contains("there is no input y, only input"),
        "{message}"
    );
}
