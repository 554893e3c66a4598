//! What gradients reach on their way from results backwards, in the recorded program.

use super::function::Function;
use crate::tensor::{Node, Operand, Operands, Recorded};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Where something happens to gradients on their way.
pub(super) enum Stop {
    /// The tensor has hooks.
    Hooks(Arc<Node>),
    /// These are results of a function with a backward of its own.
    Function(Arc<Function>, Vec<Arc<Node>>),
}

/// The nodes that gradients reach.
#[derive(Default)]
pub(super) struct Reach {
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

impl Reach {
    /// Everything reached from `results`.
    pub fn from<'n>(results: impl IntoIterator<Item = &'n Arc<Node>>) -> Reach {
        let mut reach = Reach::default();
        let mut stack: Vec<Frame> = Vec::new();
        for result in results {
            reach.enter(result, &mut stack);
            while let Some(frame) = stack.last_mut() {
                match frame.operands.get(frame.next) {
                    Some(operand) => {
                        frame.next += 1;
                        if let Operand::Node(node) = operand {
                            let node = node.clone();
                            reach.enter(&node, &mut stack);
                        }
                    }
                    None => {
                        if let Some(frame) = stack.pop() {
                            reach.leave(frame.node);
                        }
                    }
                }
            }
        }
        // They were met operands first.
        reach.stops.reverse();
        reach
    }

    /// True for nodes that gradients reach.
    pub fn contains(&self, node: &Arc<Node>) -> bool {
        self.seen.contains(&Arc::as_ptr(node))
    }

    fn enter(&mut self, node: &Arc<Node>, stack: &mut Vec<Frame>) {
        if !node.traits.grad || !self.seen.insert(Arc::as_ptr(node)) {
            return;
        }
        let operands = node.operands();
        let flows = |o: &Operand| o.node().is_some_and(|n| n.traits.grad);
        if operands.iter().any(flows) {
            if node.known_leaf().is_some_and(|l| l.retains()) {
                self.retained.push(node.clone());
            }
        } else {
            self.leaves.push(node.clone());
        }
        stack.push(Frame {
            node: node.clone(),
            operands,
            next: 0,
        });
    }

    fn leave(&mut self, node: Arc<Node>) {
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
