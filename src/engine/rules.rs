//! Derivatives that stand beside their operations: those of named composites and of foreign
//! functions, written with tensors.

use super::batched_rules::Batched;
use super::body::Body;
use super::recompute;
use crate::autograd::{Function, enable_grad, foreign_rules};
use crate::error::Result;
use crate::tensor::{Applied, Composite, Derivative, Pull, Push, Tensor};
use lazulite_ir::{Custom, Graph, Op, TensorType};
use lazulite_passes::autodiff::{Rule, Rules};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// The name of calls behind which gradients do not go.
pub(super) const DETACH: &str = "detach";

/// A composite's own derivative, with its settings.
#[derive(Clone)]
struct Registered {
    pull: Pull,
    push: Option<Push>,
    attributes: Arc<[i64]>,
    operands: usize,
}

/// Composites by the name of their calls, which includes their settings. Calls travel through graphs,
/// and their derivatives may be asked for long after they were recorded.
static REGISTERED: LazyLock<Mutex<FxHashMap<Arc<str>, Registered>>> = LazyLock::new(Mutex::default);

/// Functions with a backward of their own that are part of others, by the name of their calls.
static FUNCTIONS: LazyLock<Mutex<FxHashMap<Arc<str>, Weak<Function>>>> =
    LazyLock::new(Mutex::default);

/// Functions beyond which forgotten ones are cleared away.
const MANY_FUNCTIONS: usize = 1024;

/// What the names of calls of such functions begin with.
const FUNCTION: &str = "custom_function.";

thread_local! {
    /// Functions met while a graph is built on this thread, and how many builds, one inside of the other, are under
    /// way.
    static MET: RefCell<(u32, Vec<Arc<Function>>)> = const { RefCell::new((0, Vec::new())) };
}

/// While it lives, a graph is being built. Derivatives are recorded meanwhile, and may call functions that only they
/// hold; since they may be differentiated in turn, these live until the outermost graph is built.
pub(super) struct Building;

impl Building {
    pub fn begin() -> Building {
        MET.with_borrow_mut(|(depth, _)| *depth += 1);
        Building
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        let done = MET.with_borrow_mut(|(depth, met)| {
            *depth -= 1;
            match *depth {
                0 => std::mem::take(met),
                _ => Vec::new(),
            }
        });
        // Outside of the borrow: what they hold may be anything.
        drop(done);
    }
}

/// The name of the calls for result `index` of a function, under which it is found as long as it
/// exists.
pub(super) fn remember_function(function: &Arc<Function>, index: u32) -> Arc<str> {
    MET.with_borrow_mut(|(depth, met)| {
        if *depth > 0 {
            met.push(function.clone());
        }
    });
    let name: Arc<str> = format!("{FUNCTION}{}.{index}", function.number()).into();
    let mut functions = FUNCTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    if functions.len() > MANY_FUNCTIONS {
        functions.retain(|_, f| f.strong_count() > 0);
    }
    functions.insert(name.clone(), Arc::downgrade(function));
    name
}

/// The function that is called, if it still exists, and which of its results the call stands for; nothing for other
/// calls, those of its derivatives among them.
fn function_called(op: &Op) -> Option<(Option<Arc<Function>>, usize)> {
    let Op::Call { name, .. } = op else {
        return None;
    };
    let (number, index) = name.strip_prefix(FUNCTION)?.split_once('.')?;
    let (_, index) = (number.parse::<u64>().ok()?, index.parse().ok()?);
    let functions = FUNCTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    Some((functions.get(name).and_then(Weak::upgrade), index))
}

/// The name of the composite's calls, under which its derivative is found from now on.
pub(super) fn remember(composite: &Composite) -> Arc<str> {
    let settings: Vec<String> = composite.attributes.iter().map(i64::to_string).collect();
    let name: Arc<str> = match settings.as_slice() {
        [] => composite.name.into(),
        _ => format!("{}({})", composite.name, settings.join(", ")).into(),
    };
    let own = match composite.derivative {
        Derivative::Definition => None,
        Derivative::Pullback(pull) => Some((pull, None)),
        Derivative::Both(pull, push) => Some((pull, Some(push))),
    };
    if let Some((pull, push)) = own {
        let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
        registered
            .entry(name.clone())
            .or_insert_with(|| Registered {
                pull,
                push,
                attributes: composite.attributes.as_slice().into(),
                operands: composite.operands as usize,
            });
    }
    name
}

fn registered(name: &str) -> Option<Registered> {
    let registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    registered.get(name).cloned()
}

/// The derivatives that this crate knows.
pub(super) struct FacadeRules;

impl Rules for FacadeRules {
    fn pullback(&self, op: &Op, operands: &[TensorType], results: &[TensorType]) -> Rule {
        if let Some(body) = recompute::checkpointed(op) {
            return recompute::pullback(body, operands, results);
        }
        if let Some(batched) = Batched::of(op) {
            return batched.pullback(self, operands, results);
        }
        if let Some((function, index)) = function_called(op) {
            let Some(function) = function else {
                return gone();
            };
            return rule(operands, results, results.iter(), |operands, _, flow| {
                function.pull_alone(index, operands, &flow[0])
            });
        }
        match op {
            Op::Call { name, .. } if **name == *DETACH => Rule::Stop,
            Op::Call { name, .. } => match registered(name) {
                Some(rule) => {
                    let own = rule.operands;
                    pull_graph(operands, results, own, &rule.attributes, rule.pull)
                }
                None => Rule::Definition,
            },
            Op::Custom { target, .. } => match foreign_rules(target) {
                Some(rules) => pull_graph(operands, results, operands.len(), &[], rules.pullback),
                None => refuse(target),
            },
            _ => Rule::Definition,
        }
    }

    fn pushforward(&self, op: &Op, operands: &[TensorType], results: &[TensorType]) -> Rule {
        if let Some(batched) = Batched::of(op) {
            return batched.pushforward(self, operands, results);
        }
        if let Some((function, index)) = function_called(op) {
            let Some(function) = function else {
                return gone();
            };
            let moving = operands.iter().filter(|ty| ty.dtype.is_inexact());
            return rule(operands, results, moving, |operands, _, flow| {
                function.push(index, operands, flow)
            });
        }
        match op {
            Op::Call { name, .. } if **name == *DETACH => Rule::Stop,
            Op::Call { name, .. } => match registered(name) {
                Some(Registered {
                    push: Some(push),
                    attributes,
                    operands: own,
                    ..
                }) => push_graph(operands, results, own, &attributes, push),
                _ => Rule::Definition,
            },
            Op::Custom { target, .. } => match foreign_rules(target) {
                Some(rules) => {
                    push_graph(operands, results, operands.len(), &[], rules.pushforward)
                }
                None => refuse(target),
            },
            _ => Rule::Definition,
        }
    }
}

/// The function that is called does not exist any more. Its definition has another derivative than its own.
fn gone() -> Rule {
    Rule::Refused("the custom function that it is a result of does not exist any more".into())
}

fn refuse(target: &Custom) -> Rule {
    Rule::Refused(match target {
        Custom::Library(name) => format!("none is known for the library function `{name}`"),
        Custom::Host(..) => {
            "it is a closure of the program; wrap it with `custom_function` to give it one".into()
        }
    })
}

/// The cotangents of the first `own` operands as `pull` makes them; the others are numbers, nobody
/// wants theirs.
fn pull_graph(
    operands: &[TensorType],
    results: &[TensorType],
    own: usize,
    attributes: &[i64],
    pull: Pull,
) -> Rule {
    let given = results.iter().filter(|ty| ty.dtype.is_inexact());
    rule(operands, results, given, |operands, results, flow| {
        let mut cotangents = pull(&Applied {
            attributes,
            operands: &operands[..own],
            results,
            flow,
        })?;
        let rest = operands[own..].iter();
        cotangents.extend(
            rest.filter(|t| t.is_differentiable())
                .map(Tensor::zeros_like),
        );
        Ok(cotangents)
    })
}

/// The tangents of the results as `push` makes them of those of the first `own` operands; the others
/// are numbers, which do not move.
fn push_graph(
    operands: &[TensorType],
    results: &[TensorType],
    own: usize,
    attributes: &[i64],
    push: Push,
) -> Rule {
    let moving = |ty: &&TensorType| ty.dtype.is_inexact();
    let count = operands[..own].iter().filter(moving).count();
    let moving = operands.iter().filter(moving);
    rule(operands, results, moving, |operands, results, flow| {
        push(&Applied {
            attributes,
            operands: &operands[..own],
            results,
            flow: &flow[..count],
        })
    })
}

/// Records a derivative of operands, results and what flows in.
fn rule<'t>(
    operands: &'t [TensorType],
    results: &'t [TensorType],
    flow: impl Iterator<Item = &'t TensorType>,
    derive: impl FnOnce(&[Tensor], &[Tensor], &[Tensor]) -> Result<Vec<Tensor>>,
) -> Rule {
    let types: Vec<Arc<TensorType>> = { operands.iter().chain(results).chain(flow) }
        .map(|ty| Arc::new(ty.clone()))
        .collect();
    // Whatever the mode is while the program is built: derivatives are differentiated in turn.
    let graph = enable_grad(|| -> Result<Graph> {
        let body = Body::record(&types, |parameters| {
            let (operands, rest) = parameters.split_at(operands.len());
            let (results, flow) = rest.split_at(results.len());
            derive(operands, results, flow)
        })?;
        body.closed_graph("grad")
    });
    match graph {
        Ok(graph) => Rule::Graph(Arc::new(graph)),
        Err(e) => Rule::Refused(e.to_string()),
    }
}
