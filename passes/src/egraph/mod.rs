//! Equality saturation: rules say what is equal, a cost model says what is better.
//!
//! The way of a graph: it is divided into `region`s; each becomes an e-graph (`space`) to which the
//! `rules` add what is equal to what is there (`saturate`), and from which the cheapest selection is taken
//! (`extract`, `cost`). Where something changed, the whole graph is simplified once more.
//!
//! What holds: the result computes what the graph computes, as far as the class of the rules allowed
//! says so ([`crate::Numerics`]); it has the same parameters, result types and guards; it costs no more than the
//! graph by the cost model; no fault is lost; the same graph gives the same result; time is near-linear
//! in the size of the graph, because regions are bounded and equal ones are solved once.
//!
//! `docs/egraph.md` says how rules are written.

mod cost;
mod extract;
mod facts;
mod language;
mod pattern;
mod region;
mod report;
mod rule;
pub mod rules;
mod saturate;
mod space;
#[cfg(test)]
mod tests;

pub use report::EgraphReport;
pub use rule::Rule;

use crate::build::{Bodies, Emit, Rebuilt};
use crate::canon::canon;
use crate::schedule::ScheduleOptions;
use crate::{Options, PassError};
use cost::{Placed, Price, cost};
use extract::{Selection, extract};
use language::{Maker, Term};
use lazulite_ir::{Graph, NodeId, Op, TensorType};
use region::{Entry, Part, Region, Shape, parts};
use rule::{PREPARED, maker};
use rustc_hash::FxHashMap;
use saturate::{Allowed, saturate};
use smallvec::SmallVec;
use space::Space;
use std::sync::Arc;

const PASS: &str = "egraph";

/// What the e-graph may spend. All budgets are counts, so that the same graph gives the same result on every
/// machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EgraphOptions {
    /// Whether there is one at all.
    pub enabled: bool,
    /// Operations of a region at most.
    pub region: u32,
    /// Terms that a region's e-graph may have: for each operation, and besides.
    pub growth: u32,
    /// See `growth`.
    pub terms: u32,
    /// Equalities found in a region at most.
    pub matches: u64,
    /// Rounds of saturation at most.
    pub rounds: u32,
    /// Selections of a region that are priced at most.
    pub trials: u64,
}

impl Default for EgraphOptions {
    fn default() -> EgraphOptions {
        EgraphOptions {
            enabled: true,
            region: 128,
            growth: 6,
            terms: 200,
            matches: 2000,
            rounds: 6,
            trials: 300,
        }
    }
}

/// The optimised graph.
pub fn egraph(graph: &Graph, options: &Options) -> Result<Graph, PassError> {
    Ok(egraph_with_report(graph, options)?.0)
}

/// The optimised graph, and what was done.
pub fn egraph_with_report(
    graph: &Graph,
    options: &Options,
) -> Result<(Graph, EgraphReport), PassError> {
    let mut pass = Pass {
        options: &options.egraph,
        schedule: &options.schedule,
        all: options,
        allowed: Allowed {
            numerics: options.numerics,
            only: None,
        },
        solved: FxHashMap::default(),
        report: EgraphReport::default(),
    };
    if !options.egraph.enabled {
        return Ok((graph.clone(), pass.report));
    }
    let new = pass.graph(graph, &mut Bodies::default())?;
    Ok((new.unwrap_or_else(|| graph.clone()), pass.report))
}

struct Pass<'a> {
    options: &'a EgraphOptions,
    schedule: &'a ScheduleOptions,
    all: &'a Options,
    allowed: Allowed<'a>,
    /// Regions seen, with what takes their place.
    solved: FxHashMap<Shape, Option<Arc<Solution>>>,
    report: EgraphReport,
}

/// What takes the place of a region.
struct Solution {
    nodes: Vec<New>,
    roots: Vec<u32>,
}

/// An operation of a solution.
struct New {
    op: Op,
    /// Operands, as places in the solution.
    x: SmallVec<[u32; 3]>,
    by: Maker,
    /// The entry of the region that says where in the program this comes from.
    like: u32,
}

impl Pass<'_> {
    /// The optimised graph; nothing if it is as good as it can be.
    fn graph(&mut self, graph: &Graph, bodies: &mut Bodies) -> Result<Option<Graph>, PassError> {
        let mut rebuilt = Rebuilt::of(PASS, graph);
        let mut changed = false;
        for part in parts(graph, self.options) {
            match part {
                Part::Single(id) => {
                    let op = &graph.node(id).op;
                    let new = bodies.map(op, &mut |body, bodies| self.body(body, bodies))?;
                    changed |= new != *op;
                    rebuilt.copy(id, new)?;
                }
                Part::Region(region) => match self.solution(graph, &region) {
                    Some(solution) => {
                        changed = true;
                        rebuilt.place(&region, &solution)?;
                    }
                    None => {
                        for &id in &region.own {
                            rebuilt.copy(id, graph.node(id).op.clone())?;
                        }
                    }
                },
            }
        }
        if !changed {
            return Ok(None);
        }
        canon(&rebuilt.finish(), self.all).map(Some)
    }

    fn body(&mut self, body: &Graph, bodies: &mut Bodies) -> Result<Graph, PassError> {
        let new = self.graph(body, bodies)?;
        Ok(new.unwrap_or_else(|| body.clone()))
    }

    /// What takes the place of a region; `None` when it stays.
    fn solution(&mut self, graph: &Graph, region: &Region) -> Option<Arc<Solution>> {
        self.report.regions += 1;
        if !self.allowed.any_for(&region.kinds) {
            self.report.skipped += 1;
            return None;
        }
        let known = self.solved.get(&region.shape).cloned();
        self.report.repeated += u64::from(known.is_some());
        let solution = match known {
            Some(solution) => solution,
            None => {
                let types: Vec<&TensorType> =
                    region.nodes.iter().map(|&n| graph.tensor_type(n)).collect();
                let solution = self.solve(&region.shape, &types).map(Arc::new);
                self.solved.insert(region.shape.clone(), solution.clone());
                solution
            }
        };
        self.report.changed += u64::from(solution.is_some());
        solution
    }

    fn solve(&mut self, shape: &Shape, types: &[&TensorType]) -> Option<Solution> {
        let (mut space, original) = space_of(shape, types);
        let outcome = saturate(&mut space, self.allowed, self.options);
        self.report.terms += space.len() as u64;
        self.report.exhausted += u64::from(outcome.exhausted);
        if outcome.fired.is_empty() {
            return None;
        }
        for (&rule, times) in &outcome.fired {
            let name = PREPARED[usize::from(rule)].rule.name;
            *self.report.fired.entry(name).or_default() += times;
        }
        let roots: Vec<egg::Id> = shape
            .roots
            .iter()
            .map(|&r| original[r as usize].0)
            .collect();
        let before = cost_of(shape, types, self.schedule);
        let options = (self.options, self.schedule);
        let selection = extract(&space, &original, &roots, &outcome.together, options)?;
        self.report.cost_before += before;
        self.report.cost_after += selection.cost.min(before);
        (selection.cost < before).then(|| solution_of(&space, &original, selection))
    }
}

/// The e-graph of a region, and the class and term of each entry.
fn space_of(shape: &Shape, types: &[&TensorType]) -> (Space, Vec<(egg::Id, Term)>) {
    let mut space = Space::default();
    let mut classes: Vec<egg::Id> = Vec::with_capacity(shape.entries.len());
    let mut faults = 0;
    for (i, entry) in shape.entries.iter().enumerate() {
        classes.push(match entry {
            Entry::Leaf(ty, may_fault) => {
                let own = if *may_fault { 1 << faults } else { 0 };
                faults += u32::from(*may_fault);
                space.leaf(i as u32, ty, own)
            }
            Entry::Op(op, x) => {
                let x: SmallVec<[egg::Id; 3]> = x.iter().map(|&x| classes[x as usize]).collect();
                space.add_known(op, &x, types[i])
            }
        });
    }
    space.rebuild();
    let term = |&class: &egg::Id| (class, space.original(class));
    let original = classes.iter().map(term).collect();
    (space, original)
}

/// What a region costs as it is.
fn cost_of(shape: &Shape, types: &[&TensorType], schedule: &ScheduleOptions) -> u64 {
    let prices: Vec<Price> = shape
        .entries
        .iter()
        .zip(types)
        .map(|(entry, ty)| match entry {
            Entry::Leaf(ty, _) => {
                let op = Op::Input {
                    index: 0,
                    ty: ty.clone(),
                };
                Price::of(&op, ty, &[], schedule)
            }
            Entry::Op(op, x) => {
                let x: SmallVec<[&TensorType; 3]> = x.iter().map(|&x| types[x as usize]).collect();
                Price::of(op, ty, &x, schedule)
            }
        })
        .collect();
    let placed = shape
        .entries
        .iter()
        .zip(&prices)
        .map(|(entry, price)| Placed {
            price,
            x: match entry {
                Entry::Leaf(..) => SmallVec::new(),
                Entry::Op(_, x) => x.clone(),
            },
        });
    cost(&placed.collect::<Vec<_>>(), &shape.roots)
}

/// The selection as a recipe that does not need the e-graph.
fn solution_of(space: &Space, original: &[(egg::Id, Term)], selection: Selection) -> Solution {
    let mut first: FxHashMap<egg::Id, u32> = FxHashMap::default();
    for (entry, (class, _)) in (0u32..).zip(original) {
        first.entry(space.find(*class)).or_insert(entry);
    }
    let mut like: Vec<Option<u32>> = selection
        .terms
        .iter()
        .map(|t| first.get(&t.class).copied())
        .collect();
    // What is new comes from where its first user comes from.
    for at in (0..selection.terms.len()).rev() {
        for &x in &selection.terms[at].x {
            if like[x as usize].is_none() {
                like[x as usize] = like[at];
            }
        }
    }
    let nodes = selection.terms.into_iter().zip(like).map(|(t, like)| New {
        op: space.op(t.op).clone(),
        x: t.x,
        by: t.by,
        like: like.unwrap_or(0),
    });
    Solution {
        nodes: nodes.collect(),
        roots: selection.roots,
    }
}

impl Rebuilt<'_> {
    /// Adds a region's solution.
    fn place(&mut self, region: &Region, solution: &Solution) -> Result<(), PassError> {
        let mut made: Vec<NodeId> = Vec::with_capacity(solution.nodes.len());
        for new in &solution.nodes {
            if let Op::Input { index, .. } = new.op {
                made.push(self.new_of[region.nodes[index as usize].index()]);
                continue;
            }
            let mut origin = self.old.origin(region.nodes[new.like as usize]).clone();
            if let Some(rule) = maker(new.by) {
                origin.add_rule(rule);
            }
            self.builder.at_origin(&origin);
            let operands: SmallVec<[NodeId; 3]> = new.x.iter().map(|&x| made[x as usize]).collect();
            made.push(self.builder.emit(new.op.clone(), &operands)?);
        }
        for (&root, &at) in region.shape.roots.iter().zip(&solution.roots) {
            self.new_of[region.nodes[root as usize].index()] = made[at as usize];
        }
        Ok(())
    }
}
