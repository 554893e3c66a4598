//! Optimisers: a case gives parameters, settings and gradients, and what the parameters are after each step. Settings
//! that a case does not give are those of the facade.

use crate::compare::{self, Tolerance};
use crate::corpus::{CorpusError, Document};
use crate::report::{CaseReport, OpReport, Verdict};
use crate::run::guarded;
use crate::value::{Array, Value};
use lazulite::nn::Param;
use lazulite::optim::*;
use lazulite::{DType, Error, Tensor};
use serde_json::{Map, Value as Json};
use std::path::Path;
use std::time::Instant;

/// Why a case has no optimiser.
enum Refusal {
    /// There is no way to ask for it.
    Unsupported(String),
    /// Rust's types rule it out.
    Rejected(String),
    /// The facade refused it.
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Error(error)
    }
}

/// Runs the cases of one optimiser.
pub fn run(file: &Path) -> Result<OpReport, CorpusError> {
    report(file, &|document, case| {
        Ok(match check(document, case)? {
            Ok(()) => Verdict::Passed,
            Err(Refusal::Unsupported(reason)) => Verdict::Unsupported(reason),
            Err(Refusal::Rejected(how)) => Verdict::Failed(how),
            Err(Refusal::Error(error)) => Verdict::Failed(error.to_string()),
        })
    })
}

/// Whether the calls of a file, which must be rejected, are about an optimiser.
pub fn is_about(file: &Path) -> Result<bool, CorpusError> {
    Ok(Document::read(file)?.json().get("optimizer").is_some())
}

/// Makes optimisers as they must not be made.
pub fn run_errors(file: &Path) -> Result<OpReport, CorpusError> {
    report(file, &|document, case| {
        Ok(match reject(document, case)? {
            Ok(()) => {
                let message = case.get("pytorch_message").and_then(Json::as_str);
                let message = message.unwrap_or_default();
                Verdict::Failed(format!("accepted; PyTorch says: {message}"))
            }
            Err(Refusal::Unsupported(reason)) => Verdict::Unsupported(reason),
            Err(Refusal::Rejected(_) | Refusal::Error(_)) => Verdict::Passed,
        })
    })
}

type Check = dyn Fn(&Document, &Json) -> Result<Verdict, CorpusError>;

/// One report for each case of a file.
pub(crate) fn report(file: &Path, check: &Check) -> Result<OpReport, CorpusError> {
    let document = Document::read(file)?;
    let name = file
        .file_stem()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    let start = Instant::now();
    let mut cases = Vec::new();
    for case in list(document.json(), "cases") {
        let verdict = guarded(|| check(&document, case));
        cases.push(CaseReport {
            id: text(case, "id").into(),
            values: verdict.unwrap_or_else(Ok)?,
            gradients: None,
        });
    }
    Ok(OpReport {
        name: name.into(),
        cases,
        time: start.elapsed(),
    })
}

pub(crate) fn list<'a>(json: &'a Json, key: &str) -> &'a [Json] {
    let items = json.get(key).and_then(Json::as_array);
    items.map_or(&[], Vec::as_slice)
}

pub(crate) fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json.get(key).and_then(Json::as_str).unwrap_or_default()
}

pub(crate) fn tolerance(case: &Json) -> Tolerance {
    let number = |key| case.get(key).and_then(Json::as_f64).unwrap_or(0.0);
    Tolerance {
        rtol: number("rtol"),
        atol: number("atol"),
    }
}

/// The settings of a group that a case gives.
#[derive(Clone, Default)]
pub(crate) struct Settings(pub Map<String, Json>);

impl Settings {
    /// The settings of an object.
    pub(crate) fn of(json: Option<&Json>) -> Settings {
        Settings(json.and_then(Json::as_object).cloned().unwrap_or_default())
    }

    /// Those of a group on top of these.
    fn with(&self, group: &Map<String, Json>) -> Settings {
        let mut all = self.clone();
        let own = group.iter().filter(|(name, _)| *name != "params");
        all.0
            .extend(own.map(|(name, value)| (name.clone(), value.clone())));
        all
    }

    /// Takes a setting out; what is left at the end is not understood.
    fn take(&mut self, name: &str) -> Option<Json> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// Reads a number into its place, if it is given.
    pub(crate) fn number(&mut self, name: &str, place: &mut f64) -> Result<(), String> {
        let wrong = |value: &Json| format!("{name} is {value}, not a number");
        if let Some(value) = self.take(name) {
            *place = value.as_f64().ok_or_else(|| wrong(&value))?;
        }
        Ok(())
    }

    /// Reads a count.
    pub(crate) fn count(&mut self, name: &str, place: &mut u64) -> Result<(), String> {
        if let Some(value) = self.take(name) {
            let wrong = || format!("{name} is {value}, not a count");
            *place = value.as_u64().ok_or_else(wrong)?;
        }
        Ok(())
    }

    /// Reads a bool.
    pub(crate) fn flag(&mut self, name: &str, place: &mut bool) -> Result<(), String> {
        if let Some(value) = self.take(name) {
            let wrong = || format!("{name} is {value}, not a bool");
            *place = value.as_bool().ok_or_else(wrong)?;
        }
        Ok(())
    }

    /// Reads a list of numbers.
    pub(crate) fn numbers<const N: usize>(
        &mut self,
        name: &str,
        place: &mut [f64; N],
    ) -> Result<(), String> {
        let Some(value) = self.take(name) else {
            return Ok(());
        };
        let items = value.as_array().filter(|items| items.len() == N);
        let items = items.ok_or_else(|| format!("{name} is {value}, not {N} numbers"))?;
        for (place, item) in place.iter_mut().zip(items) {
            let wrong = || format!("{name} has {item} among its numbers");
            *place = item.as_f64().ok_or_else(wrong)?;
        }
        Ok(())
    }

    /// Reads two numbers.
    fn pair(&mut self, name: &str, place: &mut (f64, f64)) -> Result<(), String> {
        let mut both = [place.0, place.1];
        self.numbers(name, &mut both)?;
        *place = (both[0], both[1]);
        Ok(())
    }

    /// A word, if one is given.
    pub(crate) fn word(&mut self, name: &str) -> Option<String> {
        self.take(name).and_then(|v| v.as_str().map(str::to_owned))
    }

    /// What a list holds, if one is given.
    pub(crate) fn items(&mut self, name: &str) -> Option<Vec<Json>> {
        match self.take(name) {
            Some(Json::Array(items)) => Some(items),
            _ => None,
        }
    }

    /// Nothing may be left but what says how PyTorch computes.
    pub(crate) fn finish(mut self) -> Result<(), String> {
        for how in ["foreach", "fused", "capturable", "differentiable"] {
            self.0.remove(how);
        }
        match self.0.keys().next() {
            Some(name) => Err(name.clone()),
            None => Ok(()),
        }
    }
}

/// Parameters with their settings.
type Groups = Vec<(Vec<Param>, Settings)>;

/// Groups as the facade takes them: `read` fills settings in, `rate` is the one that PyTorch takes by itself.
fn made<R: Rule + Default + 'static>(
    groups: Groups,
    rate: f64,
    read: impl Fn(&mut Settings, &mut R) -> Result<(), String>,
) -> Result<Box<dyn Optimizer>, Refusal> {
    let mut made = Vec::new();
    for (params, mut settings) in groups {
        let (mut rate, mut rule) = (rate, R::default());
        let filled = settings
            .number("lr", &mut rate)
            .and_then(|()| read(&mut settings, &mut rule));
        filled.map_err(Refusal::Rejected)?;
        let unknown = |name| Refusal::Unsupported(format!("the setting {name}"));
        settings.finish().map_err(unknown)?;
        made.push(Group::new(params, rule, rate));
    }
    Ok(Box::new(Descent::groups(made)))
}

fn adam<const DECOUPLED: bool>(groups: Groups, rate: f64) -> Result<Box<dyn Optimizer>, Refusal> {
    made(groups, rate, |s, r: &mut AdamRule<DECOUPLED>| {
        s.pair("betas", &mut r.betas)?;
        s.number("eps", &mut r.eps)?;
        s.number("weight_decay", &mut r.weight_decay)?;
        s.flag("amsgrad", &mut r.amsgrad)?;
        s.flag("maximize", &mut r.maximize)
    })
}

/// An optimiser by PyTorch's name.
fn optimizer(name: &str, groups: Groups) -> Result<Box<dyn Optimizer>, Refusal> {
    match name {
        "Adam" => adam::<false>(groups, 1e-3),
        "AdamW" => adam::<true>(groups, 1e-3),
        "SGD" => made(groups, 1e-3, |s, r: &mut SgdSettings| {
            s.number("momentum", &mut r.momentum)?;
            s.number("dampening", &mut r.dampening)?;
            s.number("weight_decay", &mut r.weight_decay)?;
            s.flag("nesterov", &mut r.nesterov)?;
            s.flag("maximize", &mut r.maximize)
        }),
        "ASGD" => made(groups, 1e-2, |s, r: &mut AsgdSettings| {
            s.number("lambd", &mut r.lambda)?;
            s.number("alpha", &mut r.alpha)?;
            s.number("t0", &mut r.start)?;
            s.number("weight_decay", &mut r.weight_decay)?;
            s.flag("maximize", &mut r.maximize)
        }),
        "Adadelta" => made(groups, 1.0, |s, r: &mut AdadeltaSettings| {
            s.number("rho", &mut r.rho)?;
            s.number("eps", &mut r.eps)?;
            s.number("weight_decay", &mut r.weight_decay)?;
            s.flag("maximize", &mut r.maximize)
        }),
        "Adagrad" => made(groups, 1e-2, |s, r: &mut AdagradSettings| {
            s.number("lr_decay", &mut r.rate_decay)?;
            s.number("initial_accumulator_value", &mut r.initial_sum)?;
            s.number("eps", &mut r.eps)?;
            s.number("weight_decay", &mut r.weight_decay)?;
            s.flag("maximize", &mut r.maximize)
        }),
        "Adamax" => made(groups, 2e-3, |s, r: &mut AdamaxSettings| {
            s.pair("betas", &mut r.betas)?;
            s.number("eps", &mut r.eps)?;
            s.number("weight_decay", &mut r.weight_decay)?;
            s.flag("maximize", &mut r.maximize)
        }),
        "Rprop" => made(groups, 1e-2, |s, r: &mut RpropSettings| {
            s.pair("etas", &mut r.etas)?;
            s.pair("step_sizes", &mut r.sizes)?;
            s.flag("maximize", &mut r.maximize)
        }),
        _ => further(name, groups),
    }
}

fn further(name: &str, groups: Groups) -> Result<Box<dyn Optimizer>, Refusal> {
    match name {
        "Adafactor" => made(groups, 1e-2, |s, r: &mut AdafactorSettings| {
            s.number("beta2_decay", &mut r.beta2_decay)?;
            if let Some(items) = s.items("eps") {
                r.eps_square = items.first().and_then(Json::as_f64);
                r.eps_size = items.get(1).and_then(Json::as_f64).unwrap_or(r.eps_size);
            }
            s.number("d", &mut r.clip)?;
            s.number("weight_decay", &mut r.weight_decay)?;
            s.flag("maximize", &mut r.maximize)
        }),
        "NAdam" => made(groups, 2e-3, |s, r: &mut NAdamSettings| {
            s.pair("betas", &mut r.betas)?;
            s.number("eps", &mut r.eps)?;
            s.number("weight_decay", &mut r.weight_decay)?;
            s.number("momentum_decay", &mut r.momentum_decay)?;
            s.flag("decoupled_weight_decay", &mut r.decoupled)?;
            s.flag("maximize", &mut r.maximize)
        }),
        "RAdam" => made(groups, 1e-3, |s, r: &mut RAdamSettings| {
            s.pair("betas", &mut r.betas)?;
            s.number("eps", &mut r.eps)?;
            s.number("weight_decay", &mut r.weight_decay)?;
            s.flag("decoupled_weight_decay", &mut r.decoupled)?;
            s.flag("maximize", &mut r.maximize)
        }),
        "RMSprop" => made(groups, 1e-2, |s, r: &mut RmsPropSettings| {
            s.number("alpha", &mut r.alpha)?;
            s.number("eps", &mut r.eps)?;
            s.number("weight_decay", &mut r.weight_decay)?;
            s.number("momentum", &mut r.momentum)?;
            s.flag("centered", &mut r.centered)?;
            s.flag("maximize", &mut r.maximize)
        }),
        "SparseAdam" => made(groups, 1e-3, |s, r: &mut SparseAdamSettings| {
            s.pair("betas", &mut r.betas)?;
            s.number("eps", &mut r.eps)?;
            s.flag("maximize", &mut r.maximize)
        }),
        "Muon" => made(groups, 1e-3, |s, r: &mut MuonSettings| {
            s.number("weight_decay", &mut r.weight_decay)?;
            s.number("momentum", &mut r.momentum)?;
            s.flag("nesterov", &mut r.nesterov)?;
            s.numbers("ns_coefficients", &mut r.coefficients)?;
            s.number("eps", &mut r.eps)?;
            let mut iterations = r.iterations as u64;
            s.count("ns_steps", &mut iterations)?;
            r.iterations = iterations as usize;
            r.rate = match s.word("adjust_lr_fn").as_deref() {
                None | Some("original") => MuonRate::Original,
                Some("match_rms_adamw") => MuonRate::MatchRmsAdamW,
                Some("spectral_unclamped") => MuonRate::Spectral,
                Some(other) => return Err(format!("adjust_lr_fn is {other}")),
            };
            Ok(())
        }),
        _ => Err(Refusal::Unsupported(format!("the optimiser {name}"))),
    }
}

fn lbfgs(params: Vec<Param>, mut given: Settings) -> Result<Lbfgs, Refusal> {
    let (mut rate, mut own) = (1.0, LbfgsSettings::default());
    let mut fill = || {
        given.number("lr", &mut rate)?;
        let (mut iterations, mut history) = (own.max_iterations as u64, own.history as u64);
        given.count("max_iter", &mut iterations)?;
        given.count("history_size", &mut history)?;
        (own.max_iterations, own.history) = (iterations as usize, history as usize);
        let mut evaluations = 0;
        given.count("max_eval", &mut evaluations)?;
        own.max_evaluations = (evaluations > 0).then_some(evaluations as usize);
        given.number("tolerance_grad", &mut own.tolerance_gradient)?;
        given.number("tolerance_change", &mut own.tolerance_change)?;
        own.line_search = given.word("line_search_fn").as_deref() == Some("strong_wolfe");
        given.flag("maximize", &mut own.maximize)
    };
    fill().map_err(Refusal::Rejected)?;
    let unknown = |name| Refusal::Unsupported(format!("the setting {name}"));
    given.finish().map_err(unknown)?;
    Ok(Lbfgs::with(params, rate, own))
}

/// A tensor of the corpus.
fn array(document: &Document, json: &Json) -> Result<Array, CorpusError> {
    match document.value(json)? {
        Value::Array(array) => Ok(array),
        other => Err(CorpusError::new(format!("{json} is {}", other.kind()))),
    }
}

/// Entry `at` along the first axis.
fn entry(array: &Array, at: usize) -> Array {
    let dims = array.dims.get(1..).unwrap_or_default().to_vec();
    let bytes = dims.iter().product::<usize>() * array.dtype.size();
    Array {
        dtype: array.dtype,
        bytes: array.bytes[at * bytes..(at + 1) * bytes].to_vec(),
        dims,
    }
}

type Checked = Result<Result<(), Refusal>, CorpusError>;

/// A difference is a failure, which says where.
fn differs(step: usize, what: &str, how: &str) -> Result<(), Refusal> {
    Err(Refusal::Rejected(format!("step {step}, {what}: {how}")))
}

fn check(document: &Document, case: &Json) -> Checked {
    let mut params = Vec::new();
    for json in list(case, "params") {
        params.push(Param::new(array(document, json)?.tensor()));
    }
    let mut after = Vec::new();
    for json in list(case, "params_after") {
        after.push(array(document, json)?);
    }
    let settings = Settings::of(case.get("kwargs"));
    let steps = case.get("steps").and_then(Json::as_u64).unwrap_or(0) as usize;
    let compare = |step: usize| -> Result<(), Refusal> {
        for (i, (param, after)) in params.iter().zip(&after).enumerate() {
            let (got, expected) = (Array::of(&param.get())?, entry(after, step));
            if let Err(how) = compare::arrays(&got, &expected, tolerance(case)) {
                return differs(step, &format!("parameter {i}"), &how);
            }
        }
        Ok(())
    };
    if let Some(objective) = case.get("objective") {
        return check_lbfgs(document, case, objective, &params, settings, &compare);
    }
    let mut groups: Groups = Vec::new();
    for group in list(case, "groups") {
        let own = list(group, "params").iter().filter_map(Json::as_u64);
        let own = own.map(|i| params[i as usize].clone()).collect();
        let given = group.as_object().cloned().unwrap_or_default();
        groups.push((own, settings.with(&given)));
    }
    if groups.is_empty() {
        groups.push((params.clone(), settings));
    }
    let mut gradients = Vec::new();
    for json in list(case, "grads") {
        gradients.push(array(document, json)?);
    }
    let missing = |step: usize, param: usize| {
        let pair = serde_json::json!([step, param]);
        list(case, "no_grad_at").contains(&pair)
    };
    let work = || {
        let mut optimizer = optimizer(text(case, "optimizer"), groups)?;
        for step in 0..steps {
            for (i, (param, gradients)) in params.iter().zip(&gradients).enumerate() {
                let gradient = entry(gradients, step).tensor();
                param
                    .get()
                    .set_grad((!missing(step, i)).then_some(gradient))?;
            }
            optimizer.step_collected()?;
            compare(step)?;
        }
        Ok(())
    };
    Ok(work())
}

fn check_lbfgs(
    document: &Document,
    case: &Json,
    objective: &Json,
    params: &[Param],
    settings: Settings,
    compare: &dyn Fn(usize) -> Result<(), Refusal>,
) -> Checked {
    let part = |name: &str| array(document, objective.get(name).unwrap_or(&Json::Null));
    let (a, b) = (part("A")?.tensor(), part("b")?.tensor());
    let q = objective.get("q").and_then(Json::as_f64).unwrap_or(0.0);
    let maximize = settings.0.get("maximize") == Some(&Json::Bool(true));
    let losses = array(document, case.get("losses").unwrap_or(&Json::Null))?;
    let sign = if maximize { -1.0 } else { 1.0 };
    let loss = || {
        let flat: Vec<Tensor> = params.iter().map(|p| p.get().reshape([-1])).collect();
        let x = Tensor::cat(&flat.iter().collect::<Vec<_>>(), 0);
        let square = (&x * a.matmul(&x)).sum(..) * 0.5;
        (square - (&b * &x).sum(..) + x.square().square().sum(..) * q) * sign
    };
    let work = || {
        let mut optimizer = lbfgs(params.to_vec(), settings)?;
        for step in 0..losses.dims[0] {
            let found = Tensor::full((), optimizer.step(loss)?).cast(DType::F32);
            let found = Array::of(&found)?;
            let expected = entry(&losses, step);
            if let Err(how) = compare::arrays(&found, &expected, tolerance(case)) {
                return differs(step, "loss", &how);
            }
            compare(step)?;
        }
        Ok(())
    };
    Ok(work())
}

/// Groups of parameters as the corpus writes them for calls that must be rejected.
fn parameters(
    document: &Document,
    case: &Json,
    settings: &Settings,
) -> Result<Result<Groups, Refusal>, CorpusError> {
    let no_list = || Refusal::Rejected("the parameters are no list".into());
    let Some(items) = case.get("params").and_then(Json::as_array) else {
        return Ok(Err(no_list()));
    };
    let mut known: Vec<(String, Param)> = Vec::new();
    let mut plain = Vec::new();
    let mut groups = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let Some(group) = item.get("dict").and_then(Json::as_object) else {
            match parameter(document, item, &format!("params.{i}"), &mut known)? {
                Ok(param) => plain.push(param),
                Err(refusal) => return Ok(Err(refusal)),
            }
            continue;
        };
        let own = group.get("params").unwrap_or(&Json::Null);
        let own = own.as_array().cloned().unwrap_or_else(|| vec![own.clone()]);
        let mut params = Vec::new();
        for item in &own {
            match parameter(document, item, &format!("params.{i}.params"), &mut known)? {
                Ok(param) => params.push(param),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        groups.push((params, settings.with(group)));
    }
    if !plain.is_empty() {
        groups.push((plain, settings.clone()));
    }
    Ok(Ok(groups))
}

/// One parameter, which may be one that stands elsewhere as well.
fn parameter(
    document: &Document,
    json: &Json,
    path: &str,
    known: &mut Vec<(String, Param)>,
) -> Result<Result<Param, Refusal>, CorpusError> {
    if let Some(same) = json.get("same_as").and_then(Json::as_str) {
        let found = known.iter().find(|(path, _)| path == same);
        let missing = || CorpusError::new(format!("there is no parameter {same}"));
        return Ok(Ok(found.ok_or_else(missing)?.1.clone()));
    }
    if json.get("tensor").is_none() {
        return Ok(Err(Refusal::Rejected(format!("{json} is no parameter"))));
    }
    let param = Param::new(array(document, json)?.tensor());
    if let Some(gradient) = json.get("grad_tensor") {
        let gradient = array(document, gradient)?.tensor();
        if let Err(error) = param.get().set_grad(Some(gradient)) {
            return Ok(Err(error.into()));
        }
    }
    known.push((path.into(), param.clone()));
    Ok(Ok(param))
}

fn reject(document: &Document, case: &Json) -> Checked {
    let settings = Settings::of(case.get("kwargs"));
    let groups = match parameters(document, case, &settings)? {
        Ok(groups) => groups,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let name = text(case, "optimizer");
    let on_step = text(case, "error_on") == "step";
    let work = || {
        if name == "LBFGS" {
            let params = groups.into_iter().flat_map(|(params, _)| params);
            return Ok(lbfgs(params.collect(), settings)?.check()?);
        }
        let mut optimizer = optimizer(name, groups)?;
        optimizer.check()?;
        if on_step {
            optimizer.step_collected()?;
        }
        Ok(())
    };
    Ok(work())
}
