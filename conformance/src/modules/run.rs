//! Running cases of modules: each is made, given its state, called, read and compared.

use super::{Made, make};
use crate::call::{Outcome, Refusal};
use crate::compare::{self, Tolerance};
use crate::corpus::{Case, Construction, Expected, Values};
use crate::gradients::{self, Arguments, plain};
use crate::report::{CaseReport, Verdict};
use crate::run::{guarded, realized};
use crate::value::Value;
use lazulite::nn::{Module, StateDict};

/// Checks one case of a module.
pub fn run_case(name: &str, case: &Case, construction: &Construction) -> CaseReport {
    let report = |values, gradients| CaseReport {
        id: case.id.clone(),
        values,
        gradients,
    };
    let expected = match &case.expected {
        Expected::Values(expected) => expected,
        Expected::Rejection(message) => {
            let verdict = guarded(|| check_rejection(name, case, construction, message));
            return report(verdict.unwrap_or_else(|panic| panic), None);
        }
    };
    let mut arguments = Arguments::of(case, Some(expected));
    let checked = guarded(|| check_values(name, construction, &mut arguments, expected));
    let (values, results) = checked.unwrap_or_else(|panic| (panic, None));
    let gradients = case.has_gradients().then(|| match &results {
        Some(results) => guarded(|| gradients::check(&arguments, results, expected))
            .unwrap_or_else(|panic| panic),
        None => Verdict::Unsupported("there are no results to differentiate".into()),
    });
    report(values, gradients)
}

/// Makes the module, if its constructor does not fail.
fn made(name: &str, construction: &Construction) -> Result<Made, Refusal> {
    let args = plain(&construction.args);
    let kwargs = construction.kwargs.iter();
    let kwargs: Vec<(String, Value)> = kwargs
        .map(|(name, v)| (name.clone(), plain(std::slice::from_ref(v)).remove(0)))
        .collect();
    make(name, &args, &kwargs)
}

/// Gives the module its state, and calls it.
fn call(
    name: &str,
    construction: &Construction,
    arguments: &mut Arguments,
) -> Result<(Value, Box<dyn Module>), Refusal> {
    let made = made(name, construction)?;
    made.module.set_training(construction.training);
    let mut state = StateDict::new();
    for (path, value) in &construction.state {
        if let Value::Array(array) = value {
            state.insert(path.clone(), array.tensor());
        }
    }
    made.module.load_state_dict(&state)?;
    for (path, param) in made.module.named_parameters() {
        arguments.also(format!("param.{path}"), param.get());
    }
    let value = made.call(&arguments.args, &arguments.kwargs)?;
    Ok((value, made.module))
}

fn check_values(
    name: &str,
    construction: &Construction,
    arguments: &mut Arguments,
    expected: &Values,
) -> (Verdict, Option<Value>) {
    let outcome = call(name, construction, arguments).and_then(|(got, module)| {
        realized(&got)?;
        Ok((got, module))
    });
    let (got, module) = match outcome {
        Ok(results) => results,
        Err(Refusal::Unsupported(reason)) => return (Verdict::Unsupported(reason), None),
        Err(other) => return (Verdict::Failed(other.to_string()), None),
    };
    let tolerance = Tolerance {
        rtol: expected.rtol,
        atol: expected.atol,
    };
    let compared = compare::values(&got, &expected.outputs, tolerance)
        .and_then(|()| check_buffers(&*module, construction, tolerance));
    let verdict = match compared {
        Ok(()) => Verdict::Passed,
        Err(difference) => Verdict::Failed(difference),
    };
    (verdict, Some(got))
}

/// Compares the buffers that the call changes.
fn check_buffers(
    module: &dyn Module,
    construction: &Construction,
    tolerance: Tolerance,
) -> Result<(), String> {
    let state = module.state_dict();
    for (path, wanted) in &construction.buffers_after {
        let Some(got) = state.get(path) else {
            return Err(format!("there is no buffer {path}"));
        };
        let got = Value::Tensor(got.clone());
        compare::values(&got, wanted, tolerance).map_err(|e| format!("{path} after: {e}"))?;
    }
    Ok(())
}

fn check_rejection(name: &str, case: &Case, construction: &Construction, message: &str) -> Verdict {
    let outcome = || -> Outcome {
        let made = made(name, construction)?;
        if construction.fails {
            made.module.check()?;
            return Ok(Value::None);
        }
        made.module.set_training(construction.training);
        let arguments = Arguments::of(case, None);
        realized(&made.call(&arguments.args, &arguments.kwargs)?)
    };
    match outcome() {
        Err(Refusal::Rejected(_) | Refusal::Error(_)) => Verdict::Passed,
        Err(Refusal::Unsupported(reason)) => Verdict::Unsupported(reason),
        Err(mistake @ Refusal::Mistake(_)) => Verdict::Failed(mistake.to_string()),
        Ok(_) => Verdict::Failed(format!("accepted; PyTorch says: {message}")),
    }
}
