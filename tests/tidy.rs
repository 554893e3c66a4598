//! The repository keeps its own rules: sizes of files and functions, documentation, the direction in
//! which crates depend on each other, reasons given for unsafe code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file.
const FILE_LINES: usize = 800;
/// Lines of a function, from its signature to its closing brace.
const FUNCTION_LINES: usize = 80;
/// Folders between a crate's `src` (or `tests`) and a file in it, the file counted.
const DEPTH: usize = 4;
/// Lines before an `unsafe` within which its reason stands.
const REASON_LINES: usize = 8;

struct Source {
    path: PathBuf,
    lines: Vec<String>,
}

impl Source {
    fn name(&self) -> String {
        self.path
            .strip_prefix(root())
            .unwrap_or(&self.path)
            .display()
            .to_string()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the workspace.
fn sources() -> Vec<Source> {
    let mut folders = vec![root().to_path_buf()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).unwrap();
                let lines = text.lines().map(str::to_owned).collect();
                found.push(Source { path, lines });
            }
        }
    }
    assert!(found.len() > 100, "only {} files were found", found.len());
    found
}

/// Fails with every complaint of `check`, one per line.
fn every(check: impl Fn(&Source) -> Vec<String>) {
    let complaints: Vec<String> = sources().iter().flat_map(check).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The line without its comment and without what stands in quotes.
fn code(line: &str) -> String {
    let mut out = String::new();
    let mut quoted = false;
    let mut before = ' ';
    for c in line.chars() {
        if c == '"' && before != '\\' && before != '\'' {
            quoted = !quoted;
        } else if !quoted {
            out.push(c);
        }
        before = c;
    }
    match out.find("//") {
        Some(at) => out[..at].to_owned(),
        None => out,
    }
}

/// True if `word` stands in `text` by itself.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

#[test]
fn files_are_short_and_say_what_they_are() {
    every(|s| {
        let mut complaints = Vec::new();
        if s.lines.len() > FILE_LINES {
            complaints.push(format!("{}: {} lines", s.name(), s.lines.len()));
        }
        if !s.lines.first().is_some_and(|l| l.starts_with("//! ")) {
            complaints.push(format!("{}: the first line is no //! doc", s.name()));
        }
        complaints
    });
}

#[test]
fn folders_are_flat() {
    every(|s| {
        let parts: Vec<_> = s
            .path
            .components()
            .map(|c| c.as_os_str().to_owned())
            .collect();
        let base = parts.iter().rposition(|p| p == "src").or_else(|| {
            let tests = parts.iter().rposition(|p| p == "tests");
            tests.or_else(|| parts.iter().rposition(|p| p == "examples"))
        });
        match base {
            Some(base) if parts.len() - base - 1 <= DEPTH => Vec::new(),
            Some(_) => vec![format!("{}: too deep", s.name())],
            None if s.path.ends_with("build.rs") => Vec::new(),
            None => vec![format!("{}: in no src, tests or examples", s.name())],
        }
    });
}

#[test]
fn nothing_is_unfinished() {
    every(|s| {
        let unfinished = |line: &String| {
            let code = code(line);
            ["todo", "unimplemented", "dbg"]
                .into_iter()
                .find(|w| code.contains(&format!("{w}!")))
        };
        let complain = |(n, line): (usize, &String)| {
            unfinished(line).map(|w| format!("{}:{}: {w}!", s.name(), n + 1))
        };
        s.lines.iter().enumerate().filter_map(complain).collect()
    });
}

#[test]
fn unsafe_code_gives_its_reason() {
    every(|s| {
        let needs_reason = |line: &str| {
            let code = code(line);
            let code = code.trim();
            // Signatures state requirements (`# Safety`); blocks and impls give reasons.
            has_word(code, "unsafe")
                && !has_word(code, "unsafe_op_in_unsafe_fn")
                && (code.contains("unsafe {") || code.contains("unsafe impl"))
        };
        let reasoned = |n: usize| {
            let from = n.saturating_sub(REASON_LINES);
            s.lines[from..=n].iter().any(|l| l.contains("SAFETY:"))
        };
        let complain = |(n, line): (usize, &String)| {
            let missing = needs_reason(line) && !reasoned(n);
            missing.then(|| format!("{}:{}: {}", s.name(), n + 1, line.trim()))
        };
        s.lines.iter().enumerate().filter_map(complain).collect()
    });
}

/// Name and length of every function: formatted code closes a body at the signature's indentation.
fn functions(s: &Source) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (n, line) in s.lines.iter().enumerate() {
        let code = code(line);
        let Some(at) = code.find("fn ") else { continue };
        let before = code[..at].trim();
        let qualifiers = ["pub", "const", "unsafe", "extern", "async"];
        let qualified = |w: &str| qualifiers.iter().any(|q| w.starts_with(q)) || w.ends_with(')');
        if !before.split_whitespace().all(qualified) {
            continue;
        }
        let indent = indentation(line);
        let closes = |l: &&String| {
            let l = l.as_str();
            !l.trim().is_empty() && indentation(l) == indent && l.trim_start().starts_with('}')
        };
        let bodiless = |l: &&String| indentation(l) == indent && l.ends_with(';');
        let rest = &s.lines[n..];
        let end = rest.iter().position(|l| closes(&l) || bodiless(&l));
        let one_line = line.ends_with('}');
        let name: String = code[at + 3..]
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let length = if one_line {
            1
        } else {
            end.map_or(1, |e| e + 1)
        };
        found.push((name, length));
    }
    found
}

#[test]
fn functions_are_short() {
    every(|s| {
        functions(s)
            .into_iter()
            .filter(|(_, lines)| *lines > FUNCTION_LINES)
            .map(|(name, lines)| format!("{}: fn {name} has {lines} lines", s.name()))
            .collect()
    });
}

/// The workspace's own crates named in a section of a manifest.
fn dependencies(manifest: &str, section: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim() == format!("[{section}]");
        } else if inside && line.starts_with("lazulite") {
            let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
            let name = line[..end].trim_start_matches("lazulite-");
            found.push(name.to_owned());
        }
    }
    found
}

#[test]
fn crates_depend_downwards_only() {
    let allowed: BTreeMap<&str, (&[&str], &[&str])> = BTreeMap::from([
        ("ir", (&[][..], &[][..])),
        ("runtime", (&[], &[])),
        ("stub", (&["runtime"], &[])),
        ("embed", (&["runtime"], &[])),
        ("passes", (&["ir"], &["ir"])),
        (
            "codegen",
            (&["ir", "runtime"], &["ir", "runtime", "passes"]),
        ),
        (
            ".",
            (
                &["ir", "macros", "passes", "codegen", "runtime", "stub"],
                &["ir", "passes", "codegen", "runtime", "stub"],
            ),
        ),
        ("macros", (&[], &[])),
        ("cli", (&["lazulite"], &["lazulite"])),
        ("bench", (&["lazulite", "ir", "passes", "codegen"], &[])),
        ("conformance", (&["lazulite"], &["lazulite"])),
    ]);
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = workspace
        .lines()
        .find(|l| l.starts_with("members = ["))
        .unwrap();
    let members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
    for member in members {
        let (normal, dev) = allowed[member];
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
        for (section, allowed) in [
            ("dependencies", normal),
            ("dev-dependencies", dev),
            ("build-dependencies", &[]),
        ] {
            for name in dependencies(&manifest, section) {
                let fine = allowed.contains(&name.as_str());
                assert!(fine, "{member} must not depend on {name} in [{section}]");
            }
        }
    }
}
