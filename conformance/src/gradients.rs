//! Checking gradients: those of the results, weighted by the corpus's cotangents, for every argument
//! that the corpus differentiates by.

use crate::call::Refusal;
use crate::compare::{self, Tolerance};
use crate::corpus::{Case, Gradient, Values};
use crate::report::Verdict;
use crate::value::{Array, Value};
use lazulite::{GradOptions, Tensor, grad_with};

/// The arguments of a case as tensors; those whose gradients the corpus holds need gradients.
pub struct Arguments {
    /// Positional.
    pub args: Vec<Value>,
    /// By name.
    pub kwargs: Vec<(String, Value)>,
    /// By path: what is differentiated by.
    variables: Vec<(String, Tensor)>,
}

impl Arguments {
    /// Adds what is differentiated by and is no argument: a parameter of the module that is called.
    pub fn also(&mut self, path: String, variable: Tensor) {
        self.variables.push((path, variable));
    }

    /// Of one call.
    pub fn of(case: &Case, expected: Option<&Values>) -> Arguments {
        let wanted = expected.map_or(&[][..], |e| &e.gradients);
        let mut variables = Vec::new();
        let args = case.args.iter().enumerate();
        let args = args.map(|(i, v)| prepared(v, format!("args.{i}"), wanted, &mut variables));
        let args = args.collect();
        let kwargs = case.kwargs.iter().map(|(name, v)| {
            let value = prepared(v, format!("kwargs.{name}"), wanted, &mut variables);
            (name.clone(), value)
        });
        let kwargs = kwargs.collect();
        Arguments {
            args,
            kwargs,
            variables,
        }
    }
}

/// Values with tensors in the place of stored arrays.
pub fn plain(values: &[Value]) -> Vec<Value> {
    let values = values.iter();
    values
        .map(|v| prepared(v, String::new(), &[], &mut Vec::new()))
        .collect()
}

/// The value with tensors in the place of stored arrays.
fn prepared(
    value: &Value,
    path: String,
    wanted: &[Gradient],
    variables: &mut Vec<(String, Tensor)>,
) -> Value {
    let mut all = |items: &[Value]| -> Vec<Value> {
        let items = items.iter().enumerate();
        items
            .map(|(i, v)| prepared(v, format!("{path}.{i}"), wanted, variables))
            .collect()
    };
    match value {
        Value::List(items) => Value::List(all(items)),
        Value::Tuple(items) => Value::Tuple(all(items)),
        Value::Module(name, args, kwargs) => {
            let kwargs = kwargs.iter().map(|(name, v)| (name.clone(), v));
            let kwargs = kwargs.map(|(name, v)| (name, plain(std::slice::from_ref(v)).remove(0)));
            Value::Module(name.clone(), plain(args), kwargs.collect())
        }
        Value::Array(array) => {
            let tensor = array.tensor();
            if !wanted.iter().any(|g| g.path == path) {
                return Value::Tensor(tensor);
            }
            let variable = tensor.with_grad();
            variables.push((path, variable.clone()));
            Value::Tensor(variable)
        }
        other => other.clone(),
    }
}

/// Compares the gradients that flow back from `results`.
pub fn check(arguments: &Arguments, results: &Value, expected: &Values) -> Verdict {
    let gradients = match gradients(arguments, results, expected) {
        Ok(gradients) => gradients,
        Err(Refusal::Unsupported(reason)) => {
            return Verdict::Unsupported(format!("gradient: {reason}"));
        }
        Err(other) => return Verdict::Failed(format!("gradient: {other}")),
    };
    let tolerance = Tolerance {
        rtol: expected.grad_rtol,
        atol: expected.grad_atol,
    };
    for wanted in &expected.gradients {
        let found = gradients.iter().find(|(path, _)| *path == wanted.path);
        let Some((_, got)) = found else {
            return Verdict::Failed(format!("the call has no tensor {}", wanted.path));
        };
        match compare(got.as_ref(), wanted, tolerance) {
            Ok(Ok(())) => {}
            Ok(Err(difference)) => {
                return Verdict::Failed(format!("gradient of {}: {difference}", wanted.path));
            }
            Err(refusal) => return Verdict::Unsupported(refusal.to_string()),
        }
    }
    Verdict::Passed
}

/// The stored array, if there is one.
fn stored(value: &Value) -> Result<Option<&Array>, Refusal> {
    match value {
        Value::None => Ok(None),
        Value::Array(array) => Ok(Some(array)),
        other => Err(Refusal::Unsupported(format!(
            "{} as a gradient",
            other.kind()
        ))),
    }
}

/// The gradients by path; `None` stands for zeros.
fn gradients(
    arguments: &Arguments,
    results: &Value,
    expected: &Values,
) -> Result<Vec<(String, Option<Array>)>, Refusal> {
    let mut tensors = Vec::new();
    tensors_of(results, &mut tensors);
    // A variant of a call may give only the first results.
    tensors.truncate(expected.cotangents.len());
    if tensors.len() != expected.cotangents.len() {
        let (results, cotangents) = (tensors.len(), expected.cotangents.len());
        let message = format!("{results} results, but cotangents for {cotangents}");
        return Err(Refusal::Mistake(message));
    }
    // What does not depend on any variable adds nothing.
    let (mut ends, mut cotangents) = (Vec::new(), Vec::new());
    for (result, cotangent) in tensors.into_iter().zip(&expected.cotangents) {
        if let Some(cotangent) = stored(cotangent)?.filter(|_| result.requires_grad()) {
            ends.push(result);
            cotangents.push(cotangent.tensor());
        }
    }
    let none = |(path, _): &(String, Tensor)| (path.clone(), None);
    if ends.is_empty() {
        return Ok(arguments.variables.iter().map(none).collect());
    }
    let variables: Vec<&Tensor> = arguments.variables.iter().map(|(_, t)| t).collect();
    let options = GradOptions::new()
        .cotangents(&cotangents.iter().collect::<Vec<_>>())
        .allow_unused(true);
    let found = grad_with(&ends, &variables, &options)?;
    let known: Vec<&Tensor> = found.iter().flatten().collect();
    lazulite::realize_all(&known)?;
    let each = arguments.variables.iter().zip(&found);
    each.map(|((path, _), gradient)| {
        let value = gradient.as_ref().map(Array::of).transpose()?;
        Ok((path.clone(), value))
    })
    .collect()
}

/// The tensors among results, in order.
fn tensors_of<'a>(value: &'a Value, into: &mut Vec<&'a Tensor>) {
    match value {
        Value::Tensor(tensor) => into.push(tensor),
        Value::List(items) => items.iter().for_each(|v| tensors_of(v, into)),
        _ => {}
    }
}

/// PyTorch's gradient in the case's own precision and the one in double precision are equally
/// good: each is within the tolerance of the true one.
fn compare(
    got: Option<&Array>,
    wanted: &Gradient,
    tolerance: Tolerance,
) -> Result<Result<(), String>, Refusal> {
    let zeros = |array: &Array, otherwise: &str| match array.numbers().iter().all(|n| n.is_zero()) {
        true => Ok(()),
        false => Err(otherwise.to_string()),
    };
    let (value, precise) = (stored(&wanted.value)?, stored(&wanted.precise)?);
    Ok(match (got, value) {
        (None, None) => Ok(()),
        (Some(got), None) => zeros(got, "there should be none"),
        (None, Some(value)) => zeros(value, "there is none"),
        (Some(got), Some(value)) => compare::arrays(got, value, tolerance).or_else(|difference| {
            let fits = precise.is_some_and(|p| compare::elements(got, p, tolerance).is_ok());
            if fits { Ok(()) } else { Err(difference) }
        }),
    })
}
