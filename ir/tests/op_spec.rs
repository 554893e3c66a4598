//! `docs/op-spec.md` says what the table of operations says. Run with `BLESS=1` to write it anew.

use lazulite_ir::{Arity, Binary, Class, Combine, DType, Op, OpInfo, Predicate, Unary};
use std::fmt::Write;
use std::path::Path;

const INTRODUCTION: &str = "\
# The primitive operations

Generated from the table in `ir/src/op.rs`; run `BLESS=1 cargo test -p lazulite-ir --test op_spec` after
changing it. The graph interpreter in `ir/src/interp` is the executable form of this text.

Operands are the inputs of a node, in order; attributes are part of the operation. No operation
broadcasts or converts on its own: the recording side inserts `expand` and `cast`. Every operation
accepts tensors without axes and tensors without elements unless its text says otherwise.
";

fn operands(arity: Arity) -> String {
    match arity {
        Arity::Exactly(0) => "none".into(),
        Arity::Exactly(n) => n.to_string(),
        Arity::AtLeast(n) => format!("{n} or more"),
    }
}

/// The heading of a class, and what its operations share.
fn class(class: Class) -> (&'static str, &'static str) {
    match class {
        Class::Leaf => (
            "Leaves",
            "No operands, or none that matter element by element.",
        ),
        Class::Pointwise => (
            "Pointwise",
            "One element from the operands' elements at the same place.",
        ),
        Class::View => ("Views", "Elements rearranged without looking at them."),
        Class::Aggregate => ("Aggregates", "Many elements combined into one."),
        Class::Index => ("Indexing", "Elements addressed by data."),
        Class::Region => ("Regions", "Operations that hold graphs."),
        Class::Other => ("Others", "Foreign functions and tuples."),
    }
}

fn operation(out: &mut String, info: &OpInfo) {
    let attrs = if info.attrs.is_empty() {
        "none".into()
    } else {
        let quoted: Vec<String> = info.attrs.iter().map(|a| format!("`{a}`")).collect();
        quoted.join(", ")
    };
    let _ = writeln!(out, "\n### `{}`\n", info.mnemonic);
    let _ = writeln!(
        out,
        "Operands: {}. Attributes: {attrs}.\n",
        operands(info.arity)
    );
    let _ = writeln!(out, "{}", info.doc.trim());
}

fn functions<T: Copy>(
    out: &mut String,
    (title, about): (&str, &str),
    all: &[T],
    name: fn(T) -> &'static str,
    doc: fn(T) -> &'static str,
) {
    let _ = writeln!(
        out,
        "\n## {title}\n\n{}\n\n| Name | Meaning |\n|---|---|",
        about.trim()
    );
    for &f in all {
        // A bar would end the cell.
        let meaning = doc(f).trim().replace('|', "\\|");
        let _ = writeln!(out, "| `{}` | {meaning} |", name(f));
    }
}

fn document() -> String {
    let mut out = String::from(INTRODUCTION);
    let _ = writeln!(
        out,
        "\n## Element types\n\n| Name | Bytes | Computed as |\n|---|---|---|"
    );
    for d in DType::ALL {
        let _ = writeln!(out, "| `{d}` | {} | `{}` |", d.size(), d.compute());
    }
    let classes = [
        Class::Leaf,
        Class::Pointwise,
        Class::View,
        Class::Aggregate,
        Class::Index,
        Class::Region,
        Class::Other,
    ];
    for c in classes {
        let (title, about) = class(c);
        let _ = writeln!(out, "\n## {title}\n\n{about}");
        for info in Op::TABLE.iter().filter(|i| i.class == c) {
            operation(&mut out, info);
        }
    }
    let unary = ("Functions of one element", Unary::ABOUT);
    functions(&mut out, unary, Unary::ALL, Unary::name, Unary::doc);
    let binary = ("Functions of two elements", Binary::ABOUT);
    functions(&mut out, binary, Binary::ALL, Binary::name, Binary::doc);
    let predicate = ("Comparisons", Predicate::ABOUT);
    functions(
        &mut out,
        predicate,
        Predicate::ALL,
        Predicate::name,
        Predicate::doc,
    );
    let combine = ("Combinations", Combine::ABOUT);
    functions(&mut out, combine, Combine::ALL, Combine::name, Combine::doc);
    out
}

#[test]
fn the_specification_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/op-spec.md");
    let wanted = document();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let line = wanted.lines().zip(found.lines()).position(|(a, b)| a != b);
    assert!(
        wanted == found,
        "docs/op-spec.md differs from the table (first at line {:?}); run with BLESS=1",
        line.map(|l| l + 1)
    );
}
