//! Saturation: rounds of finding what rules say and adding it, until nothing is new or a budget is spent.
//! Budgets count terms and equalities, never time, and everything goes in the order of classes and rules:
//! the same region gives the same e-graph.

use super::EgraphOptions;
use super::language::{Kinds, Maker, OpKind, Term};
use super::rule::{At, Found, PREPARED, Prepared};
use super::space::Space;
use crate::Numerics;
use egg::Id;
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Levels of operands that rules look down at most: what changed is of interest to classes so far above.
const DEPTH: usize = 3;

/// Rules by the kind of operation that they are offered.
struct Table {
    by_root: Vec<Vec<u16>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut by_root = vec![Vec::new(); OpKind::COUNT];
    for (number, rule) in PREPARED.iter().enumerate() {
        for root in &rule.roots {
            by_root[root.index()].push(number as u16);
        }
    }
    Table { by_root }
});

/// Which rules may be used.
#[derive(Clone, Copy)]
pub(super) struct Allowed<'a> {
    /// The freedom in rounding.
    pub numerics: Numerics,
    /// Only this rule, if one is named.
    pub only: Option<&'a str>,
}

impl Allowed<'_> {
    fn contains(self, rule: &Prepared) -> bool {
        rule.rule.class <= self.numerics && self.only.is_none_or(|name| name == rule.rule.name)
    }

    /// True if some rule could fire in a region with operations of these kinds.
    pub fn any_for(self, kinds: &Kinds) -> bool {
        PREPARED.iter().any(|rule| {
            self.contains(rule)
                && kinds.contains_all(&rule.needs)
                && rule.roots.iter().any(|&root| kinds.contains(root))
        })
    }
}

/// What saturation did.
#[derive(Default, Debug)]
pub(super) struct Outcome {
    /// How often each rule said something new, by its number.
    pub fired: BTreeMap<u16, u64>,
    /// Terms that are worth choosing together only, with their classes.
    pub together: Vec<Vec<(Id, Term)>>,
    /// True if a budget ended it.
    pub exhausted: bool,
}

/// Runs the rules on a space.
pub(super) fn saturate(
    space: &mut Space,
    allowed: Allowed<'_>,
    options: &EgraphOptions,
) -> Outcome {
    let mut outcome = Outcome::default();
    let most = space.len() * options.growth as usize + options.terms as usize;
    let mut matches = options.matches;
    let mut dirty = space.classes();
    for _ in 0..options.rounds {
        let found = search(space, &dirty, allowed, &mut matches);
        if found.is_empty() {
            return outcome;
        }
        let mut changed = Vec::new();
        let known = space.made();
        for (rule, together) in found {
            if space.len() > most {
                outcome.exhausted = true;
                break;
            }
            if apply(space, rule, &together, &mut changed, &mut outcome.together) {
                *outcome.fired.entry(rule).or_default() += 1;
            }
        }
        space.rebuild();
        if changed.is_empty() {
            return outcome;
        }
        outcome.exhausted |= matches == 0;
        if outcome.exhausted {
            return outcome;
        }
        changed.extend(
            space
                .classes()
                .into_iter()
                .filter(|id| usize::from(*id) >= known),
        );
        dirty = above(space, &changed);
    }
    outcome.exhausted = true;
    outcome
}

/// What the rules say about the terms of `classes`.
fn search(
    space: &Space,
    classes: &[Id],
    allowed: Allowed<'_>,
    matches: &mut u64,
) -> Vec<(u16, Vec<(Id, super::space::Tree)>)> {
    let mut all = Vec::new();
    let mut found = Found::default();
    for &class in classes {
        for term in space.full_terms(class) {
            for &number in &TABLE.by_root[term.kind.index()] {
                let rule = &PREPARED[usize::from(number)];
                if !allowed.contains(rule) || *matches == 0 {
                    continue;
                }
                let at = At {
                    class,
                    op: space.op(term.op),
                    x: &term.children,
                };
                rule.find(space, &at, &mut found);
                found
                    .0
                    .truncate((*matches).try_into().unwrap_or(usize::MAX));
                *matches -= found.0.len() as u64;
                all.extend(found.0.drain(..).map(|together| (number, together)));
            }
        }
    }
    all
}

/// Adds equalities that belong together; true if one was new.
fn apply(
    space: &mut Space,
    rule: u16,
    equal: &[(Id, super::space::Tree)],
    changed: &mut Vec<Id>,
    together: &mut Vec<Vec<(Id, Term)>>,
) -> bool {
    let by: Maker = rule + 1;
    space.made_by(by);
    let before = changed.len();
    let mut terms = Vec::new();
    for (class, tree) in equal {
        let Some(new) = space.build(tree) else {
            return false;
        };
        // The term is asked for before classes are united, when it is the only one of its class.
        let term = space.full_terms(space.find(new)).first().cloned();
        terms.extend(term.map(|t| (*class, t)));
        if space.unite(*class, new) {
            changed.push(*class);
        }
    }
    let new = changed.len() > before;
    if new && equal.len() > 1 {
        together.push(terms);
    }
    new
}

/// The classes that changed and those above whose rules may see it.
fn above(space: &Space, changed: &[Id]) -> Vec<Id> {
    let mut seen: FxHashSet<Id> = changed.iter().map(|&id| space.find(id)).collect();
    let mut level: Vec<Id> = seen.iter().copied().collect();
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for &id in &level {
            next.extend(space.parents(id).filter(|p| seen.insert(*p)));
        }
        level = next;
    }
    let mut all: Vec<Id> = seen.into_iter().collect();
    all.sort_unstable();
    all
}
