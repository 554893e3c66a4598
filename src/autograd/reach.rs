//! What gradients reach on their way from results backwards, in the recorded program.

use super::function::Function;
use crate::engine::address;
use crate::tensor::{Node, Operand, Operands, Recorded};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Where something happens to gradients on their way.
pub(crate) enum Stop {
    /// The tensor has hooks.
    Hooks(Arc<Node>),
    /// These are results of a function with a backward of its own.
    Function(Arc<Function>, Vec<Arc<Node>>),
}

/// The nodes that gradients reach.
#[derive(Default)]
pub(crate) struct Reach {
    seen: FxHashSet<*const Node>,
    /// Nodes that gradients end at: those that need one and are computed from nothing that does.
    pub leaves: Vec<Arc<Node>>,
    /// Nodes computed from others whose gradients `backward` keeps.
    pub retained: Vec<Arc<Node>>,
    /// What happens on the way, results first.
    pub stops: Vec<Stop>,
}

struct Frame {
    node: Arc<Node>,
    operands: Operands,
    next: usize,
}

/// Every node that gradients reach from `ends` with what it was computed from, operands before users.
fn walk<'n>(ends: impl IntoIterator<Item = &'n Arc<Node>>) -> Vec<(Arc<Node>, Operands)> {
    let mut order = Vec::new();
    let mut seen: FxHashSet<*const Node> = FxHashSet::default();
    let mut stack: Vec<Frame> = Vec::new();
    let mut enter = |node: &Arc<Node>, stack: &mut Vec<Frame>| {
        if node.traits.grad && seen.insert(Arc::as_ptr(node)) {
            stack.push(Frame {
                node: node.clone(),
                operands: node.operands(),
                next: 0,
            });
        }
    };
    for end in ends {
        enter(end, &mut stack);
        while let Some(frame) = stack.last_mut() {
            match frame.operands.get(frame.next).cloned() {
                Some(operand) => {
                    frame.next += 1;
                    if let Operand::Node(node) = operand {
                        enter(&node, &mut stack);
                    }
                }
                None => order.extend(stack.pop().map(|f| (f.node, f.operands))),
            }
        }
    }
    order
}

impl Reach {
    /// Everything reached from `results`.
    pub fn from<'n>(results: impl IntoIterator<Item = &'n Arc<Node>>) -> Reach {
        let mut reach = Reach::default();
        for (node, operands) in walk(results) {
            reach.seen.insert(Arc::as_ptr(&node));
            let flows = |o: &Operand| o.node().is_some_and(|n| n.traits.grad);
            if !operands.iter().any(flows) {
                reach.leaves.push(node.clone());
            } else if node.known_leaf().is_some_and(|l| l.retains()) {
                reach.retained.push(node.clone());
            }
            reach.note_stops(node);
        }
        // They were met operands first.
        reach.stops.reverse();
        reach
    }

    /// True for nodes that gradients reach.
    pub fn contains(&self, node: &Arc<Node>) -> bool {
        self.seen.contains(&Arc::as_ptr(node))
    }

    fn note_stops(&mut self, node: Arc<Node>) {
        if let Recorded::Function(function, _) = &node.op {
            let same =
                |stop: &&mut Stop| matches!(stop, Stop::Function(f, _) if Arc::ptr_eq(f, function));
            match self.stops.iter_mut().find(same) {
                Some(Stop::Function(_, results)) => results.push(node.clone()),
                _ => {
                    let stop = Stop::Function(function.clone(), vec![node.clone()]);
                    self.stops.push(stop);
                }
            }
        }
        if node.known_leaf().is_some_and(|l| !l.hooks().is_empty()) {
            self.stops.push(Stop::Hooks(node));
        }
    }
}

/// The addresses of the nodes through which gradients go from `ends` to a node of `wrt` that is not the
/// node itself.
pub(super) fn between<'n>(
    ends: impl IntoIterator<Item = &'n Arc<Node>>,
    wrt: &[Arc<Node>],
) -> Vec<usize> {
    let wanted: FxHashSet<usize> = wrt.iter().map(|n| address(n)).collect();
    let mut between: FxHashSet<usize> = FxHashSet::default();
    for (node, operands) in &walk(ends) {
        let leads = |o: &Operand| {
            o.node().is_some_and(|n| {
                let at = address(n);
                wanted.contains(&at) || between.contains(&at)
            })
        };
        if operands.iter().any(leads) {
            between.insert(address(node));
        }
    }
    between.into_iter().collect()
}

/// For each of `ends`, whether gradients go from it to anything that is not computed from nodes of `own` alone.
pub(super) fn leads_beyond(ends: &[Arc<Node>], own: &[Arc<Node>]) -> Vec<bool> {
    let own: FxHashSet<usize> = own.iter().map(|n| address(n)).collect();
    let mut beyond: FxHashSet<usize> = FxHashSet::default();
    let walked = walk(ends);
    for (node, operands) in &walked {
        let flowing = || {
            let nodes = operands.iter().filter_map(Operand::node);
            nodes.filter(|n| n.traits.grad)
        };
        let leads = match flowing().next() {
            Some(_) => flowing().any(|n| beyond.contains(&address(n))),
            None => !own.contains(&address(node)),
        };
        if leads {
            beyond.insert(address(node));
        }
    }
    let each = ends.iter();
    each.map(|n| beyond.contains(&address(n))).collect()
}
