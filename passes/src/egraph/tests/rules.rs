//! The whole list of rules: each fires in programs made from it, changes nothing there but what its class
//! allows, and stays away from the program that it must not touch.

use super::example::graph_of;
use crate::Numerics;
use crate::egraph::language::Term;
use crate::egraph::region::{Part, Region, parts};
use crate::egraph::rule::{How, PREPARED, Types};
use crate::egraph::saturate::{Allowed, Outcome, saturate};
use crate::egraph::space::Space;
use crate::egraph::{EgraphOptions, Rule, rules, space_of};
use lazulite_ir::{
    Array, DType, Graph, NodeId, Op, Scalar, TensorType, Tolerance, interpret, print_graph,
};
use smallvec::SmallVec;
use std::collections::BTreeSet;

/// Element types in which examples are tried: `T` stands for them.
const DTYPES: [DType; 7] = [
    DType::Bool,
    DType::U8,
    DType::I8,
    DType::I32,
    DType::U32,
    DType::F32,
    DType::F64,
];

/// Sizes for the letters in examples.
const SIZES: [[usize; 4]; 4] = [[2, 3, 4, 5], [1, 2, 3, 2], [3, 1, 2, 4], [4, 5, 1, 3]];

/// Floats that are worth trying.
const SPECIAL: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    -3.0,
    0.3,
    1e-40,
    -1e-40,
    3e38,
    -2e38,
    1e-30,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// The same without those whose sums overflow: in which order, is free.
const SUMMABLE: [f64; 12] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    -3.0,
    0.3,
    1e-40,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// Floats between which arithmetic stays far from overflow and underflow, and from cancelling to nothing.
const PLAIN: [f64; 8] = [0.75, 1.0, -1.25, 2.0, -0.5, 3.0, -1.5, 0.3];

fn integers(dtype: DType) -> Vec<Scalar> {
    let bits = 8 * dtype.size() as u32;
    let (low, high) = match dtype {
        DType::Bool => (0, 1),
        d if d.is_unsigned_int() => (0, (1i64 << bits.min(62)) - 1),
        _ => (
            -(1i64 << (bits - 1).min(62)),
            (1i64 << (bits - 1).min(62)) - 1,
        ),
    };
    let some = [
        low,
        low + 1,
        -4,
        -3,
        -2,
        -1,
        0,
        1,
        2,
        3,
        4,
        7,
        high - 1,
        high,
    ];
    let set: BTreeSet<i64> = some
        .into_iter()
        .filter(|v| (low..=high).contains(v))
        .collect();
    set.into_iter()
        .map(|v| Scalar::from_i64(dtype, v))
        .collect()
}

/// The values tried in a program that a rule of this class changes.
fn values(dtype: DType, class: Numerics) -> Vec<Scalar> {
    if !dtype.is_float() {
        return integers(dtype);
    }
    let of = |list: &[f64]| list.iter().map(|&v| Scalar::from_f64(dtype, v)).collect();
    match class {
        Numerics::Exact => of(&SPECIAL),
        Numerics::Order => of(&SUMMABLE),
        Numerics::Algebra | Numerics::Approx => of(&PLAIN),
    }
}

/// The example with types and sizes for its letters.
fn instance(example: &str, dtype: DType, sizes: [usize; 4]) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in example.chars().chain([' ']) {
        if c.is_alphanumeric() || "?#_.".contains(c) || (c == '-' && word.is_empty()) {
            word.push(c);
            continue;
        }
        match ["m", "n", "k", "p"].iter().position(|l| *l == word) {
            Some(letter) => out.push_str(&sizes[letter].to_string()),
            None if word == "T" => out.push_str(dtype.name()),
            None => out.push_str(&word),
        }
        word.clear();
        out.push(c);
    }
    out
}

/// The programs of a rule: for patterns the pattern itself, in every type.
fn examples(rule: &Rule) -> Vec<(String, usize)> {
    let mut texts: Vec<(&str, bool)> = rule.fires.iter().map(|t| (*t, false)).collect();
    if let How::Equal { from, .. } = &rule.how
        && texts.is_empty()
    {
        texts.push((from, true));
    }
    let mut all = Vec::new();
    for (text, pattern) in texts {
        for dtype in DTYPES {
            if pattern {
                let variables: BTreeSet<&str> = text
                    .split(['(', ')', ' '])
                    .filter(|w| w.starts_with('?'))
                    .collect();
                let len = values(dtype, rule.class)
                    .len()
                    .pow(variables.len().min(3) as u32);
                let text = text.replace("#k", "3").replace("#l", "2");
                all.push((format!("{dtype} {text}"), len));
            } else {
                all.extend(SIZES.iter().map(|&s| (instance(text, dtype, s), 6)));
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// The region that the whole graph is.
fn region_of(graph: &Graph) -> Option<Region> {
    let options = EgraphOptions {
        region: 1000,
        ..EgraphOptions::default()
    };
    let regions = parts(graph, &options)
        .into_iter()
        .filter_map(|part| match part {
            Part::Region(region) => Some(region),
            Part::Single(_) => None,
        });
    let mut regions: Vec<Region> = regions.collect();
    (regions.len() == 1).then(|| regions.remove(0))
}

struct Fired {
    space: Space,
    original: Vec<(egg::Id, Term)>,
    outcome: Outcome,
    region: Region,
}

/// The e-graph of a program after one rule.
fn with_rule(graph: &Graph, rule: &str) -> Option<Fired> {
    let region = region_of(graph)?;
    let types: Vec<&TensorType> = region.nodes.iter().map(|&n| graph.tensor_type(n)).collect();
    let (mut space, original) = space_of(&region.shape, &types);
    let allowed = Allowed {
        numerics: Numerics::Approx,
        only: Some(rule),
    };
    let options = EgraphOptions {
        rounds: 2,
        ..EgraphOptions::default()
    };
    let outcome = saturate(&mut space, allowed, &options);
    Some(Fired {
        space,
        original,
        outcome,
        region,
    })
}

/// Graphs that compute a root of the program through a term of the rule, for each such term.
fn alternatives(fired: &Fired, graph: &Graph, number: u16) -> Vec<(usize, Graph)> {
    let space = &fired.space;
    let mut all = Vec::new();
    let classes: BTreeSet<egg::Id> = fired.original.iter().map(|(c, _)| space.find(*c)).collect();
    for class in classes {
        let Some(entry) = fired
            .original
            .iter()
            .position(|(c, _)| space.find(*c) == class)
        else {
            continue;
        };
        let several = fired
            .original
            .iter()
            .filter(|(c, _)| space.find(*c) == class)
            .count()
            > 1;
        let terms = space
            .full_terms(class)
            .iter()
            .filter(|t| t.by == number + 1 || several);
        for term in terms {
            if let Some(new) = through(fired, graph, class, term) {
                all.push((entry, new));
            }
        }
    }
    all
}

/// The graph that computes `class` by `term`, and everything below as the program did where it can.
fn through(fired: &Fired, graph: &Graph, class: egg::Id, term: &Term) -> Option<Graph> {
    use crate::build::{Builder, Emit};
    let space = &fired.space;
    let mut builder = Builder::with_inputs_of("test", graph);
    let mut done: Vec<(egg::Id, NodeId)> = Vec::new();
    // Terms to be computed, with what computes them.
    let mut stack = vec![(class, term.clone())];
    let mut open = vec![class];
    while let Some((at, term)) = stack.last().cloned() {
        let missing = term
            .children
            .iter()
            .map(|&c| space.find(c))
            .find(|c| !done.iter().any(|(d, _)| d == c));
        if let Some(child) = missing {
            let mut terms: Vec<&Term> = space.full_terms(child).iter().collect();
            terms.sort_by_key(|t| t.by);
            if open.contains(&child) {
                return None;
            }
            open.push(child);
            stack.push((child, terms[0].clone()));
            continue;
        }
        let x: SmallVec<[NodeId; 3]> = term
            .children
            .iter()
            .filter_map(|&c| {
                done.iter()
                    .find(|(d, _)| *d == space.find(c))
                    .map(|(_, n)| *n)
            })
            .collect();
        let id = match space.op(term.op) {
            Op::Input { index, .. } => {
                let node = fired.region.nodes[*index as usize];
                let position = graph.inputs().iter().position(|i| *i == node)?;
                builder.graph().inputs()[position]
            }
            op => builder.emit(op.clone(), &x).unwrap(),
        };
        done.push((at, id));
        stack.pop();
        open.retain(|o| *o != at);
    }
    let (_, last) = done.last()?;
    Some(builder.finish([*last], graph))
}

/// A sequence of numbers that is the same every time.
struct Sequence(u64);

impl Sequence {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % below
    }
}

/// Inputs: for vectors as long as all combinations of values, exactly these; else at random.
fn inputs(graph: &Graph, class: Numerics, round: u64) -> Vec<Array> {
    let mut sequence = Sequence(round + 1);
    let mut stride = 1;
    let types = graph.inputs().iter().map(|&i| graph.tensor_type(i).clone());
    types
        .map(|ty| {
            let dims: Vec<usize> = ty.const_dims().unwrap().to_vec();
            let values = values(ty.dtype, class);
            let len: usize = dims.iter().product();
            let all = dims.len() == 1 && len > values.len();
            let scalars: Vec<Scalar> = (0..len)
                .map(|i| match all || (round == 0 && len == values.len()) {
                    true => values[i / stride % values.len()],
                    false => values[sequence.next(values.len())],
                })
                .collect();
            stride = if stride * values.len() >= len {
                1
            } else {
                stride * values.len()
            };
            Array::from_scalars(ty.dtype, &dims, &scalars).unwrap()
        })
        .collect()
}

fn same_bits(a: Scalar, b: Scalar) -> bool {
    a == b || (a.dtype().is_float() && a.as_f64().is_nan() && b.as_f64().is_nan())
}

/// What the class allows.
fn agree(got: &Array, expected: &Array, class: Numerics) -> Result<(), String> {
    if class == Numerics::Exact || !got.dtype.is_float() {
        let pairs = got.scalars().zip(expected.scalars()).enumerate();
        let mut differ = pairs.filter(|(_, (a, b))| !same_bits(*a, *b));
        return match differ.next() {
            None => Ok(()),
            Some((i, (a, b))) => Err(format!("{a:?} instead of {b:?} at {i}")),
        };
    }
    let tolerance = Tolerance {
        relative: 1e-5,
        absolute: 1e-5,
        ulps: 4,
    };
    match got.difference(expected, tolerance) {
        None => Ok(()),
        Some(difference) => Err(difference.to_string()),
    }
}

/// The graph that computes one node of the program.
fn up_to(graph: &Graph, node: NodeId) -> Graph {
    let mut part = graph.clone();
    part.set_outputs([node]);
    part
}

/// Tries a program; true if the rule fired.
fn holds(rule: &Rule, number: u16, text: &str, len: usize) -> Result<bool, String> {
    // Not every example is well typed in every type.
    let Ok(graph) = graph_of(text, len) else {
        return Ok(false);
    };
    let Some(fired) = with_rule(&graph, rule.name) else {
        return Ok(false);
    };
    if fired.outcome.fired.is_empty() {
        return Ok(false);
    }
    let others = alternatives(&fired, &graph, number);
    let mut compared = 0;
    for round in 0..3 {
        let inputs = inputs(&graph, rule.class, round);
        for (entry, other) in &others {
            let original = up_to(&graph, fired.region.nodes[*entry]);
            // Where the program itself cannot run there is nothing to compare.
            let Ok(expected) = interpret(&original, &inputs, &|_| None) else {
                continue;
            };
            compared += 1;
            let got = interpret(other, &inputs, &|_| None)
                .map_err(|e| format!("{e}\n{}", print_graph(other)))?;
            agree(&got[0], &expected[0], rule.class).map_err(|e| {
                format!(
                    "{text}\n{e}\n{}{}",
                    print_graph(&original),
                    print_graph(other)
                )
            })?;
        }
    }
    if compared == 0 {
        return Err(format!("{text}: nothing to compare"));
    }
    Ok(true)
}

#[test]
fn every_rule_gives_what_the_program_gives() {
    let mut failures = Vec::new();
    for (number, rule) in rules::all().enumerate() {
        let mut fired = 0;
        for (text, len) in examples(rule) {
            match holds(rule, number as u16, &text, len) {
                Ok(did) => fired += usize::from(did),
                Err(e) => {
                    failures.push(format!("{}: {e}", rule.name));
                    break;
                }
            }
        }
        if fired == 0 {
            failures.push(format!("{} fires in none of its programs", rule.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn no_rule_fires_where_it_must_not() {
    let mut failures = Vec::new();
    for rule in rules::all() {
        let graph = match graph_of(rule.never, 6) {
            Ok(graph) => graph,
            Err(e) => {
                failures.push(format!("{}: `{}`: {e}", rule.name, rule.never));
                continue;
            }
        };
        match with_rule(&graph, rule.name) {
            Some(fired) if fired.outcome.fired.is_empty() => {}
            Some(_) => failures.push(format!("{} fires in {}", rule.name, rule.never)),
            None => failures.push(format!("{}: {} is no region", rule.name, rule.never)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn rules_are_complete_and_distinct() {
    let names: BTreeSet<&str> = rules::all().map(|r| r.name).collect();
    assert_eq!(names.len(), rules::all().count());
    assert_eq!(PREPARED.len(), names.len());
    assert!(names.len() >= 60, "{} rules", names.len());
    for rule in rules::all() {
        assert!(
            !rule.why.is_empty() && !rule.never.is_empty(),
            "{}",
            rule.name
        );
        let exact = matches!(
            &rule.how,
            How::Equal {
                on: Types::Int | Types::Bits | Types::Bool,
                ..
            }
        );
        assert!(
            !exact || rule.class == Numerics::Exact,
            "{}: integers are exact",
            rule.name
        );
    }
}
