//! Functions with a backward of their own.

use super::mode::{grad_enabled, no_grad};
use super::saved::{SavedHooks, saved_hooks};
use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use crate::ops::attempt_list;
use crate::tensor::{Node, Operand, Operands, Recorded, Tensor, Traits, with_traits};
use lazulite_ir::TensorType;
use rustc_hash::FxHashMap;
use std::any::TypeId;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// A function whose derivative is not that of the operations it is made of.
///
/// ```
/// use lazulite::{Context, CustomFunction, custom_function, prelude::*};
///
/// /// The sign of x, with the gradient of the identity.
/// struct StraightThrough;
///
/// impl CustomFunction for StraightThrough {
///     fn forward(&self, _: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
///         Ok(vec![inputs[0].sign()])
///     }
///     fn backward(&self, _: &Context, cotangents: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
///         Ok(vec![Some(cotangents[0].clone())])
///     }
/// }
///
/// let x = Tensor::from_vec(vec![-2.0f32, 3.0], [2]).with_grad();
/// let y = custom_function(StraightThrough, &[&x]);
/// assert_eq!(y[0].to_vec::<f32>()?, [-1.0, 1.0]);
/// (&y[0] * 5.0).sum(..).backward()?;
/// assert_eq!(x.grad().expect("x was reached").to_vec::<f32>()?, [5.0, 5.0]);
/// # Ok::<(), lazulite::Error>(())
/// ```
pub trait CustomFunction: Send + Sync + 'static {
    /// The results. What is recorded here is not differentiated.
    fn forward(&self, context: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>>;

    /// The cotangents of the inputs, from those of the results (zeros for results that were not
    /// used). `None` for inputs that have none.
    fn backward(&self, context: &Context, cotangents: &[Tensor]) -> Result<Vec<Option<Tensor>>>;

    /// The tangents of the results, from those of the inputs (zeros for inputs that do not move): for forward
    /// mode, which is an error in functions without it.
    ///
    /// ```
    /// use lazulite::{Context, CustomFunction, custom_function, jvp, prelude::*};
    ///
    /// /// The square of x, with derivatives of its own.
    /// struct Square;
    ///
    /// impl CustomFunction for Square {
    ///     fn forward(&self, context: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    ///         context.save_for_backward(&[&inputs[0]]);
    ///         Ok(vec![inputs[0].square()])
    ///     }
    ///     fn backward(&self, context: &Context, cotangents: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
    ///         Ok(vec![Some(&cotangents[0] * &context.saved_tensors()[0] * 2.0)])
    ///     }
    ///     fn jvp(&self, context: &Context, tangents: &[Tensor]) -> Result<Vec<Tensor>> {
    ///         Ok(vec![&tangents[0] * &context.saved_tensors()[0] * 2.0])
    ///     }
    /// }
    ///
    /// let x = Tensor::from_vec(vec![3.0f32], [1]);
    /// let (_, tangent) = jvp(|x| custom_function(Square, &[&x[0]]), &[&x], &[&Tensor::ones([1])]);
    /// assert_eq!(tangent[0].to_vec::<f32>()?, [6.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    fn jvp(&self, _context: &Context, _tangents: &[Tensor]) -> Result<Vec<Tensor>> {
        let message = "a custom function has a backward, and nothing for this mode";
        Err(
            Error::new(ErrorKind::Unsupported, "custom_function", message)
                .hint("give it a `jvp` beside its backward"),
        )
    }
}

/// What a function hands from its forward to its backward.
#[derive(Default)]
pub struct Context {
    saved: Vec<Tensor>,
    needed: Vec<bool>,
}

impl Context {
    /// Keeps tensors for the backward: inputs, results, or anything else.
    pub fn save_for_backward(&mut self, tensors: &[&Tensor]) {
        self.saved = tensors.iter().map(|t| (*t).clone()).collect();
    }

    /// The tensors that were kept.
    pub fn saved_tensors(&self) -> &[Tensor] {
        &self.saved
    }

    /// True if the cotangent of input `index` is asked for.
    pub fn needs_input_grad(&self, index: usize) -> bool {
        self.needed.get(index) == Some(&true)
    }
}

/// A call of such a function. Inputs and saved tensors are operands of its results' nodes, not held
/// here: nodes let go of long chains without recursion.
pub(crate) struct Function {
    function: Box<dyn CustomFunction>,
    /// Equal only for functions that do the same.
    identity: u64,
    /// Its own.
    number: u64,
    inputs: usize,
    needed: Vec<bool>,
    results: Vec<Arc<TensorType>>,
    /// How saved tensors are kept.
    hooks: Option<SavedHooks>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Function({} inputs)", self.inputs)
    }
}

/// Applies a function with a backward of its own. A single tensor carries the error if there is one.
#[track_caller]
pub fn custom_function<F: CustomFunction>(function: F, inputs: &[&Tensor]) -> Vec<Tensor> {
    let stateless = (size_of::<F>() == 0).then(TypeId::of::<F>);
    attempt_list(|| apply(Box::new(function), stateless, inputs))
}

/// A number that no other function has.
fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Relaxed)
}

/// Functions without state do the same whenever their type is the same, and the numbers of tensors that they take
/// and save; of others, and of what hooks do to saved tensors, nobody knows.
fn identity_of(stateless: Option<TypeId>, inputs: usize, saved: usize, hooked: bool) -> u64 {
    type Known = FxHashMap<(TypeId, usize, usize), u64>;
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    let Some(stateless) = stateless.filter(|_| !hooked) else {
        return next_number();
    };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = known.entry((stateless, inputs, saved));
    *entry.or_insert_with(next_number)
}

/// Traits of a result, by those of its value and of what the backward needs.
fn traits_of(value: &Node, rest: &Operands) -> Traits {
    let others = rest.iter().filter_map(Operand::node).map(|n| n.traits);
    others.fold(value.traits, |a, b| Traits {
        heavy: false,
        constant: false,
        grad: true,
        from_gradient: a.from_gradient | b.from_gradient,
        level: a.level.max(b.level),
        // What the backward needs may lie elsewhere.
        places: a.places,
    })
}

#[track_caller]
fn apply(
    function: Box<dyn CustomFunction>,
    stateless: Option<TypeId>,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    let owned: Vec<Tensor> = inputs.iter().map(|t| (*t).clone()).collect();
    let needed: Vec<bool> = owned.iter().map(Tensor::requires_grad).collect();
    let mut context = Context {
        saved: Vec::new(),
        needed: needed.clone(),
    };
    let results = no_grad(|| function.forward(&mut context, &owned))?;
    // Where an input is returned, gradients take the function's way only.
    let results: Vec<Tensor> = results.iter().map(Tensor::detach).collect();
    if !grad_enabled() || !needed.contains(&true) {
        return Ok(results);
    }
    let mut types = Vec::with_capacity(results.len());
    for result in &results {
        types.push(result.node()?.ty.clone());
    }
    let hooks = saved_hooks();
    if let Some(hooks) = &hooks {
        let packed = no_grad(|| context.saved.iter().map(|t| (hooks.pack)(t)).collect());
        context.saved = packed;
    }
    let shared = Arc::new(Function {
        function,
        identity: identity_of(
            stateless,
            inputs.len(),
            context.saved.len(),
            hooks.is_some(),
        ),
        number: next_number(),
        inputs: inputs.len(),
        needed,
        results: types,
        hooks,
    });
    let mut rest = Operands::new();
    for tensor in owned.iter().chain(&context.saved) {
        rest.push(Operand::Node(tensor.node()?.clone()));
    }
    let each = (0..).zip(&results).map(|(index, result)| {
        let node = result.node()?;
        if !node.ty.dtype.is_inexact() {
            return Ok(result.clone());
        }
        let mut operands = Operands::new();
        operands.push(Operand::Node(node.clone()));
        operands.extend(rest.iter().cloned());
        let recorded = Recorded::Function(shared.clone(), index);
        let traits = traits_of(node, &rest);
        let node = with_traits(recorded, node.ty.clone(), operands, traits);
        Ok(Tensor(Ok(node)))
    });
    each.collect()
}

impl Function {
    /// Equal only for functions that do the same.
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// A number that no other function has.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Cotangents of all differentiable operands (the value, the inputs, what was saved) from that of
    /// one result alone.
    pub fn pull_alone(
        &self,
        index: usize,
        operands: &[Tensor],
        cotangent: &Tensor,
    ) -> Result<Vec<Tensor>> {
        let mut all: Vec<Tensor> = self.results.iter().map(|ty| Tensor::zeros_of(ty)).collect();
        if let Some(own) = all.get_mut(index) {
            *own = cotangent.clone();
        }
        let (inputs, saved) = operands[1..].split_at(self.inputs);
        let context = self.context(saved.iter().cloned());
        let mut found = vec![None];
        found.extend(self.function.backward(&context, &all)?);
        if found.len() != self.inputs + 1 {
            return Err(self.miscounted(found.len() - 1));
        }
        let mut cotangents = Vec::new();
        for (i, operand) in operands
            .iter()
            .enumerate()
            .filter(|(_, o)| o.is_differentiable())
        {
            cotangents.push(match found.get(i).cloned().flatten() {
                Some(own) => {
                    super::gradient::fitting("custom_function", own, inputs[i - 1].node()?)?
                }
                None => operand.zeros_like(),
            });
        }
        Ok(cotangents)
    }

    /// The tangent of one result, from those of all differentiable operands (the value, the inputs, what was
    /// saved).
    pub fn push(&self, index: usize, operands: &[Tensor], flow: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut flow = flow.iter();
        let mut tangents: Vec<Tensor> = operands
            .iter()
            .map(|operand| {
                let own = match operand.is_differentiable() {
                    true => flow.next().cloned(),
                    false => None,
                };
                own.unwrap_or_else(|| operand.zeros_like())
            })
            .collect();
        // The value moves by this function alone, and what was saved follows from it and the inputs.
        let saved = operands[1 + self.inputs..].iter().cloned();
        tangents.truncate(1 + self.inputs);
        let found = self.function.jvp(&self.context(saved), &tangents[1..])?;
        match found.get(index) {
            Some(tangent) if found.len() == self.results.len() => {
                let value = operands[0].node()?;
                let tangent = super::gradient::fitting("custom_function", tangent.clone(), value)?;
                Ok(vec![tangent])
            }
            _ => {
                let (found, results) = (found.len(), self.results.len());
                let message = format!("the jvp gave {found} tangents for {results} results");
                Err(Error::new(ErrorKind::Argument, "custom_function", message))
            }
        }
    }

    /// What the backward is given, from the tensors as they were kept.
    fn context(&self, kept: impl Iterator<Item = Tensor>) -> Context {
        let saved = match &self.hooks {
            Some(hooks) => kept.map(|t| (hooks.unpack)(&t)).collect(),
            None => kept.collect(),
        };
        Context {
            saved,
            needed: self.needed.clone(),
        }
    }

    #[track_caller]
    fn miscounted(&self, found: usize) -> Error {
        let inputs = self.inputs;
        let message = format!("the backward gave {found} cotangents for {inputs} inputs");
        Error::new(ErrorKind::Argument, "custom_function", message).at(Place::here())
    }

    /// The inputs that have a cotangent, with it, from the cotangents of some `results`.
    #[track_caller]
    pub fn pull(
        &self,
        results: &[Arc<Node>],
        cotangents: Vec<Tensor>,
    ) -> Result<Vec<(Arc<Node>, Tensor)>> {
        let mut all: Vec<Tensor> = { self.results.iter() }
            .map(|ty| Tensor::zeros_of(ty))
            .collect();
        // A saved result is the result itself, through which gradients flow, not its bare value.
        let mut outer: Vec<(Arc<Node>, &Arc<Node>)> = Vec::new();
        let mut operands = Operands::new();
        for (node, cotangent) in results.iter().zip(cotangents) {
            operands = node.operands();
            if let Recorded::Function(_, index) = &node.op {
                all[*index as usize] = cotangent;
            }
            if let Some(value) = operands.first().and_then(Operand::node) {
                outer.push((value.clone(), node));
            }
        }
        let nodes: Vec<Arc<Node>> = { operands.iter().skip(1) }
            .filter_map(|o| o.node().cloned())
            .collect();
        let (inputs, saved) = nodes.split_at(self.inputs.min(nodes.len()));
        let saved = saved.iter().map(|node| {
            let result = outer.iter().find(|(value, _)| Arc::ptr_eq(value, node));
            Tensor(Ok(result.map_or(node, |(_, result)| result).clone()))
        });
        let context = self.context(saved);
        let found = self.function.backward(&context, &all)?;
        if found.len() != self.inputs {
            return Err(self.miscounted(found.len()));
        }
        let mut pulled = Vec::new();
        for ((node, cotangent), needed) in inputs.iter().zip(found).zip(&self.needed) {
            if let Some(cotangent) = cotangent.filter(|_| *needed) {
                let cotangent = super::gradient::fitting("custom_function", cotangent, node)?;
                pulled.push((node.clone(), cotangent));
            }
        }
        Ok(pulled)
    }
}
