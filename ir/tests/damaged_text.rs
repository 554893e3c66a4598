//! Readers survive any text: the filetests, damaged at random places, make nothing panic; and what
//! reads well is sound and prints to text that reads back.

use lazulite_ir::{parse_graph, parse_kernel, verify_graph, verify_kernel};
use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;

static TEXTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/filetests");
    let mut texts = Vec::new();
    collect(&root, &mut texts);
    texts.sort();
    texts
});

fn collect(folder: &Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, texts);
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            let (given, _) = text.split_once("\n----\n").unwrap_or((&text, ""));
            texts.push(given.to_string());
        }
    }
}

/// Words of the language, and what is near them.
const WORDS: [&str; 32] = [
    "graph",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "=",
    "%0",
    "%1",
    "%2",
    "n",
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "floordiv(n, ",
    "*",
    "-",
    "f32",
    "c64[n]",
    "none",
    "exp",
    "get",
    "v0",
    "b0",
    "i0",
    "\"",
    "\\",
    "..",
];

#[derive(Clone, Debug)]
enum Damage {
    /// Takes away bytes.
    Remove(usize, usize),
    /// Puts in a word.
    Insert(usize, usize),
    /// Puts a word in place of a word or mark.
    Replace(usize, usize),
    /// Puts in a piece of another text.
    Graft(usize, usize, usize),
    /// Repeats a piece.
    Repeat(usize, usize),
    /// Ends the text.
    Cut(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let any = any::<usize>;
    prop_oneof![
        (any(), 1usize..8).prop_map(|(a, n)| Damage::Remove(a, n)),
        (any(), any()).prop_map(|(a, w)| Damage::Insert(a, w)),
        (any(), any()).prop_map(|(a, w)| Damage::Replace(a, w)),
        (any(), any(), any()).prop_map(|(a, t, b)| Damage::Graft(a, t, b)),
        (any(), 1usize..60).prop_map(|(a, n)| Damage::Repeat(a, n)),
        any().prop_map(Damage::Cut),
    ]
}

/// A place between two characters.
fn place(text: &str, at: usize) -> usize {
    (0..=at % (text.len() + 1))
        .rev()
        .find(|&p| text.is_char_boundary(p))
        .unwrap_or(0)
}

fn apply(text: &mut String, damage: &Damage) {
    let piece = |text: &str, at: usize, length: usize| {
        let from = place(text, at);
        (from, place(text, (from + length).min(text.len())))
    };
    match *damage {
        Damage::Remove(at, length) => {
            let (from, to) = piece(text, at, length);
            text.replace_range(from..to, "");
        }
        Damage::Insert(at, word) => text.insert_str(place(text, at), WORDS[word % WORDS.len()]),
        Damage::Replace(at, word) => {
            let from = place(text, at);
            let rest = &text[from..];
            let end = rest
                .find(|c: char| !c.is_alphanumeric())
                .unwrap_or(rest.len());
            let first = rest.chars().next().map_or(0, char::len_utf8);
            text.replace_range(from..from + end.max(first), WORDS[word % WORDS.len()]);
        }
        Damage::Graft(at, other, from) => {
            let other = &TEXTS[other % TEXTS.len()];
            let (from, to) = piece(other, from, 40);
            text.insert_str(place(text, at), &other[from..to]);
        }
        Damage::Repeat(at, length) => {
            let (from, to) = piece(text, at, length);
            let again = text[from..to].to_string();
            text.insert_str(to, &again);
        }
        Damage::Cut(at) => text.truncate(place(text, at)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn damaged_text_is_survived(
        start in any::<usize>(),
        damages in proptest::collection::vec(damage(), 0..4),
    ) {
        let mut text = TEXTS[start % TEXTS.len()].clone();
        damages.iter().for_each(|d| apply(&mut text, d));
        if let Ok(graph) = parse_graph(&text) {
            prop_assert_eq!(verify_graph(&graph).map_err(|e| e.to_string()), Ok(()));
            let printed = graph.to_string();
            prop_assert_eq!(parse_graph(&printed), Ok(graph), "{}", printed);
        }
        if let Ok(kernel) = parse_kernel(&text) {
            let _ = verify_kernel(&kernel);
            let printed = kernel.to_string();
            prop_assert_eq!(parse_kernel(&printed), Ok(kernel), "{}", printed);
        }
    }
}
