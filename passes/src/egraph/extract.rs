//! Extraction: one term for every class that is needed, so that all together cost little.
//!
//! What is shared is paid once, so costs of whole selections are compared. The search starts from the program as it
//! was and from the cheapest trees, and goes on by single changes (and by groups of changes that rules
//! made together) as long as the cost falls. The program as it was is a candidate to the end: nothing that
//! costs as much or more takes its place. Everything is tried in a fixed order, within a budget of trials.

use super::EgraphOptions;
use super::cost::{Placed, Price, cost};
use super::language::{Maker, OpRef, Term};
use super::space::Space;
use crate::schedule::ScheduleOptions;
use egg::Id;
use lazulite_ir::TensorType;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// A selected term.
#[derive(Debug)]
pub(super) struct Selected {
    /// The operation.
    pub op: OpRef,
    /// Operands, as places in the selection.
    pub x: SmallVec<[u32; 3]>,
    /// Who made it.
    pub by: Maker,
    /// The class.
    pub class: Id,
}

/// What was selected, operands first.
#[derive(Debug)]
pub(super) struct Selection {
    /// The terms.
    pub terms: Vec<Selected>,
    /// The places of the roots.
    pub roots: Vec<u32>,
    /// What they cost.
    pub cost: u64,
}

struct Choice<'a> {
    term: &'a Term,
    price: Price,
    x: SmallVec<[u32; 3]>,
    /// Cost as a tree, with the best operands.
    tree: u64,
}

/// The e-graph as lists: classes and choices are numbers.
struct Search<'a> {
    classes: Vec<Vec<Choice<'a>>>,
    ids: Vec<Id>,
    number: FxHashMap<Id, u32>,
    roots: Vec<u32>,
    trials: u64,
}

/// A choice for every class; none where there is nothing to choose yet.
type Picks = Vec<u32>;

const NONE: u32 = u32::MAX;

/// The cheapest selection that was found. `original` are the terms of the program, first to last, with their
/// classes.
pub(super) fn extract(
    space: &Space,
    original: &[(Id, Term)],
    roots: &[Id],
    together: &[Vec<(Id, Term)>],
    options: (&EgraphOptions, &ScheduleOptions),
) -> Option<Selection> {
    let mut search = Search::new(space, roots, options);
    let best = search.trees();
    let mut start = vec![NONE; search.classes.len()];
    for (class, term) in original {
        if let Some((class, choice)) = search.find(space, *class, term)
            && start[class as usize] == NONE
        {
            start[class as usize] = choice;
        }
    }
    for (pick, best) in start.iter_mut().zip(&best) {
        if *pick == NONE {
            *pick = *best;
        }
    }
    let groups = together.iter().map(|group| {
        let found = group
            .iter()
            .map(|(class, term)| search.find(space, *class, term));
        found.collect::<Option<Vec<_>>>()
    });
    let groups: Vec<Vec<(u32, u32)>> = groups.flatten().collect();
    let climbed = [start, best].into_iter().filter_map(|picks| {
        let cost = search.cost(&picks)?;
        Some(search.climb(picks, cost, &groups))
    });
    // Of equal ones the first, which began with the program.
    let (cost, picks) = climbed.min_by_key(|(cost, _)| *cost)?;
    let order = search.order(&picks)?;
    let place: FxHashMap<u32, u32> = (0u32..).zip(&order).map(|(p, &c)| (c, p)).collect();
    let selected = |&class: &u32| {
        let choice = &search.classes[class as usize][picks[class as usize] as usize];
        Selected {
            op: choice.term.op,
            x: choice.x.iter().map(|x| place[x]).collect(),
            by: choice.term.by,
            class: search.ids[class as usize],
        }
    };
    Some(Selection {
        terms: order.iter().map(selected).collect(),
        roots: search.roots.iter().map(|r| place[r]).collect(),
        cost,
    })
}

impl<'a> Search<'a> {
    fn new(
        space: &'a Space,
        roots: &[Id],
        (options, schedule): (&EgraphOptions, &ScheduleOptions),
    ) -> Search<'a> {
        let ids = space.classes();
        let number: FxHashMap<Id, u32> = ids.iter().copied().zip(0u32..).collect();
        let choices = |&id: &Id| {
            let choice = |term: &'a Term| {
                let types: SmallVec<[&TensorType; 3]> =
                    term.children.iter().map(|&c| space.ty(c)).collect();
                Choice {
                    price: Price::of(space.op(term.op), space.ty(id), &types, schedule),
                    x: term
                        .children
                        .iter()
                        .map(|c| number[&space.find(*c)])
                        .collect(),
                    tree: u64::MAX,
                    term,
                }
            };
            space.full_terms(id).iter().map(choice).collect()
        };
        Search {
            classes: ids.iter().map(choices).collect(),
            roots: roots.iter().map(|r| number[&space.find(*r)]).collect(),
            ids,
            number,
            trials: options.trials,
        }
    }

    /// Prices all trees and returns the best choice of every class.
    fn trees(&mut self) -> Picks {
        let mut best = vec![(u64::MAX, NONE); self.classes.len()];
        // Costs only fall, and each round settles at least the next height.
        for _ in 0..=self.classes.len() {
            let mut changed = false;
            for (class, choices) in self.classes.iter_mut().enumerate() {
                for (number, choice) in choices.iter_mut().enumerate() {
                    let operands = choice.x.iter().map(|&x| best[x as usize].0);
                    choice.tree = operands.fold(choice.price.alone(), u64::saturating_add);
                    if choice.tree < best[class].0 {
                        best[class] = (choice.tree, number as u32);
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        best.into_iter().map(|(_, choice)| choice).collect()
    }

    /// The numbers of a class and of a term in it.
    fn find(&self, space: &Space, class: Id, term: &Term) -> Option<(u32, u32)> {
        let class = *self.number.get(&space.find(class))?;
        let children: SmallVec<[Id; 3]> = term.children.iter().map(|&c| space.find(c)).collect();
        let same = |c: &Choice<'_>| c.term.op == term.op && c.term.children == children;
        let choice = self.classes[class as usize].iter().position(same)?;
        Some((class, choice as u32))
    }

    /// The classes that are needed, operands first; `None` when something would need itself.
    fn order(&self, picks: &Picks) -> Option<Vec<u32>> {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            New,
            Open,
            Done,
        }
        let mut seen = vec![Seen::New; self.classes.len()];
        let mut order = Vec::new();
        let mut stack: Vec<(u32, bool)> = self.roots.iter().rev().map(|&r| (r, false)).collect();
        while let Some((class, finished)) = stack.pop() {
            let at = class as usize;
            match (seen[at], finished) {
                (Seen::Open, true) => {
                    seen[at] = Seen::Done;
                    order.push(class);
                }
                (Seen::New, _) => {
                    seen[at] = Seen::Open;
                    stack.push((class, true));
                    let choice = self.classes[at].get(picks[at] as usize)?;
                    for &x in choice.x.iter().rev() {
                        if seen[x as usize] == Seen::Open {
                            return None;
                        }
                        stack.push((x, false));
                    }
                }
                (Seen::Open, false) => return None,
                (Seen::Done, _) => {}
            }
        }
        Some(order)
    }

    /// What a selection costs.
    fn cost(&self, picks: &Picks) -> Option<u64> {
        let order = self.order(picks)?;
        let mut place = vec![NONE; self.classes.len()];
        let mut placed = Vec::with_capacity(order.len());
        for (at, &class) in order.iter().enumerate() {
            place[class as usize] = at as u32;
            let choice = &self.classes[class as usize][picks[class as usize] as usize];
            placed.push(Placed {
                price: &choice.price,
                x: choice.x.iter().map(|&x| place[x as usize]).collect(),
            });
        }
        let roots: Vec<u32> = self.roots.iter().map(|&r| place[r as usize]).collect();
        Some(cost(&placed, &roots))
    }

    /// Changes the selection as long as its cost falls.
    fn climb(
        &mut self,
        mut picks: Picks,
        mut cost: u64,
        groups: &[Vec<(u32, u32)>],
    ) -> (u64, Picks) {
        loop {
            let before = cost;
            for class in self.order(&picks).unwrap_or_default() {
                for choice in 0..self.classes[class as usize].len() as u32 {
                    let choices = &self.classes[class as usize];
                    let current = picks[class as usize];
                    let likely = choices[current as usize].tree.saturating_mul(3) / 2;
                    if choice != current && choices[choice as usize].tree <= likely {
                        self.attempt(&mut picks, &mut cost, &[(class, choice)]);
                    }
                }
            }
            for group in groups {
                self.attempt(&mut picks, &mut cost, group);
            }
            if cost == before || self.trials == 0 {
                return (cost, picks);
            }
        }
    }

    /// Makes changes if they lower the cost.
    fn attempt(&mut self, picks: &mut Picks, cost: &mut u64, changes: &[(u32, u32)]) {
        if self.trials == 0 {
            return;
        }
        self.trials -= 1;
        let old: SmallVec<[u32; 4]> = changes.iter().map(|&(c, _)| picks[c as usize]).collect();
        for &(class, choice) in changes {
            picks[class as usize] = choice;
        }
        match self.cost(picks) {
            Some(lower) if lower < *cost => *cost = lower,
            _ => {
                for (&(class, _), old) in changes.iter().zip(old) {
                    picks[class as usize] = old;
                }
            }
        }
    }
}
