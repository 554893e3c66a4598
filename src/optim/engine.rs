//! What all optimisers share: groups of parameters, state, and the step as one program.

use crate::autograd::{Sweep, no_grad};
use crate::cell::TensorCell;
use crate::compile::forget_captured;
use crate::engine::realize_and_forget;
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, Scope};
use crate::nn::{Param, StateDict, check_state};
use crate::tensor::Tensor;
use lazulite_ir::DType;
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// How one parameter is improved. Settings are a rule.
pub trait Rule {
    /// Names of the tensors that it keeps for a parameter of so many axes.
    fn slots(&self, rank: usize) -> &'static [&'static str];

    /// What slot number `slot` starts as: zeros of the parameter's sizes, if nothing else is said.
    fn initial(&self, slot: usize, param: &Tensor) -> Tensor {
        let _ = slot;
        param.zeros_like()
    }

    /// What is wrong with the settings.
    fn check(&self) -> Result<(), String>;

    /// Why it cannot improve a parameter of this type and so many axes.
    fn check_param(&self, dtype: DType, rank: usize) -> Result<(), String> {
        let _ = (dtype, rank);
        Ok(())
    }

    /// The momentum that a schedule may move, if it has one.
    fn momentum(&self) -> Option<f64> {
        None
    }

    /// The new parameter.
    fn update(&self, update: &Update, slots: &mut Slots<'_>) -> Tensor;
}

/// What a rule works with. Numbers that change between steps are 0-d and f64, so that programs do not
/// depend on them.
pub struct Update {
    /// The parameter.
    pub param: Tensor,
    /// Its gradient, of its type and sizes.
    pub gradient: Tensor,
    /// The learning rate.
    pub rate: Tensor,
    /// The number of this step, from 1.
    pub step: Tensor,
    /// The momentum; 0 where the rule has none.
    pub momentum: Tensor,
}

impl Update {
    /// The gradient, turned where the optimiser climbs, with the parameter's share added.
    #[track_caller]
    pub fn gradient(&self, maximize: bool, weight_decay: f64) -> Tensor {
        let gradient = match maximize {
            true => -&self.gradient,
            false => self.gradient.clone(),
        };
        match weight_decay == 0.0 {
            true => gradient,
            false => gradient + &self.param * weight_decay,
        }
    }

    /// The parameter after a decay that is not part of its gradient.
    #[track_caller]
    pub fn decayed(&self, weight_decay: f64) -> Tensor {
        match weight_decay == 0.0 {
            true => self.param.clone(),
            false => &self.param * (1.0 - &self.rate * weight_decay).type_as(&self.param),
        }
    }

    /// Parameter and gradient with a decay of one or the other.
    #[track_caller]
    pub fn decay(&self, maximize: bool, weight_decay: f64, decoupled: bool) -> (Tensor, Tensor) {
        match decoupled {
            true => (self.decayed(weight_decay), self.gradient(maximize, 0.0)),
            false => (self.param.clone(), self.gradient(maximize, weight_decay)),
        }
    }

    /// The learning rate in the parameter's type.
    #[track_caller]
    pub fn rate(&self) -> Tensor {
        self.rate.type_as(&self.param)
    }

    /// The momentum in the parameter's type.
    #[track_caller]
    pub fn momentum(&self) -> Tensor {
        self.momentum.type_as(&self.param)
    }

    /// A running mean that keeps as much as the momentum says.
    #[track_caller]
    pub fn mean(&self, mean: &Tensor, newest: &Tensor) -> Tensor {
        mean * self.momentum() + newest * (1.0 - &self.momentum).type_as(&self.param)
    }

    /// What a running mean that starts at zero is divided by, so that it is none of zeros.
    #[track_caller]
    pub fn unbias(&self, kept: f64) -> Tensor {
        1.0 - Tensor::full_like(&self.step, kept).pow(&self.step)
    }

    /// The same for [`Update::mean`].
    #[track_caller]
    pub fn unbias_mean(&self) -> Tensor {
        1.0 - self.momentum.pow(&self.step)
    }
}

/// The tensors that a rule keeps for one parameter.
pub struct Slots<'a> {
    cells: &'a [TensorCell],
    new: Vec<Option<Tensor>>,
}

impl Slots<'_> {
    /// The slot's tensor.
    #[track_caller]
    pub fn get(&self, slot: usize) -> Tensor {
        self.cells[slot].get()
    }

    /// The slot's tensor from the next step on.
    pub fn set(&mut self, slot: usize, tensor: &Tensor) {
        self.new[slot] = Some(tensor.clone());
    }
}

/// A setting that must not be below zero.
pub(super) fn not_negative(name: &str, value: f64) -> Result<(), String> {
    match value >= 0.0 {
        true => Ok(()),
        false => Err(format!("{name} is {value}, and must not be negative")),
    }
}

/// A setting from 0 to 1, which it may be if it `includes` it.
pub(super) fn fraction(name: &str, value: f64, includes: bool) -> Result<(), String> {
    match 0.0 <= value && (value < 1.0 || includes && value == 1.0) {
        true => Ok(()),
        false => Err(format!("{name} is {value}, and must be between 0 and 1")),
    }
}

/// How much of running means is kept.
pub(super) fn betas((first, second): (f64, f64)) -> Result<(), String> {
    fraction("the first of betas", first, false)?;
    fraction("the second of betas", second, false)
}

/// Rules that are not meant for complex numbers.
pub(super) fn real(dtype: DType) -> Result<(), String> {
    match dtype.is_complex() {
        true => Err("complex parameters are not supported".into()),
        false => Ok(()),
    }
}

/// Parameters with the same settings.
pub struct Group<R> {
    rule: R,
    params: Vec<Member>,
    rate: Knob,
    momentum: Knob,
}

struct Member {
    param: Param,
    slots: Vec<TensorCell>,
    steps: TensorCell,
}

/// A number that schedules turn: an input of the step's program, and its value on this side.
struct Knob {
    name: &'static str,
    cell: TensorCell,
    value: f64,
}

impl Knob {
    fn new(name: &'static str, value: f64) -> Knob {
        Knob {
            name,
            cell: TensorCell::new(scalar(value)),
            value,
        }
    }

    #[track_caller]
    fn set(&mut self, value: f64) -> Result<()> {
        if self.value.to_bits() != value.to_bits() {
            if !(value.is_finite() && value >= 0.0) {
                let message = format!("{} cannot be {value}", self.name);
                let error = Error::new(ErrorKind::Argument, "optimizer", message).at(Place::here());
                return Err(error.hint("it is finite and not negative"));
            }
            self.cell.set(scalar(value))?;
            self.value = value;
        }
        Ok(())
    }
}

/// A parameter as rules see it: complex ones as pairs of real numbers.
#[track_caller]
fn seen(param: &Tensor) -> Tensor {
    match param.dtype() {
        Ok(dtype) if dtype.is_complex() => param.view_as_real(),
        Ok(_) | Err(_) => param.clone(),
    }
}

impl<R: Rule> Group<R> {
    /// Parameters to be improved by `rule` at this learning rate.
    pub fn new(params: Vec<Param>, rule: R, rate: f64) -> Group<R> {
        let member = |param: Param| {
            let own = seen(&param.get().detach());
            let slots = rule.slots(own.rank().unwrap_or(0)).iter().enumerate();
            let cells = slots.map(|(slot, _)| TensorCell::new(rule.initial(slot, &own)));
            Member {
                slots: cells.collect(),
                steps: TensorCell::new(scalar(0.0)),
                param,
            }
        };
        Group {
            params: params.into_iter().map(member).collect(),
            rate: Knob::new("the learning rate", rate),
            momentum: Knob::new("the momentum", rule.momentum().unwrap_or(0.0)),
            rule,
        }
    }

    /// What is wrong with settings or parameters.
    fn check(&self) -> Result<(), String> {
        not_negative("the learning rate", self.rate.value)?;
        self.rule.check()?;
        for member in &self.params {
            let param = member.param.get();
            let both = param.dtype().and_then(|dtype| Ok((dtype, param.rank()?)));
            // A parameter that carries an error says so when a step is taken.
            if let Ok((dtype, rank)) = both {
                self.rule.check_param(dtype, rank)?;
            }
        }
        Ok(())
    }
}

/// A number as a value, so that no program depends on it.
pub(super) fn scalar(value: f64) -> Tensor {
    Tensor::table(vec![value], Vec::<usize>::new())
}

/// What a step has done.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct StepReport {
    /// Paths (or numbers, where there is none) of parameters that the loss does not reach: they stay
    /// as they are.
    pub unreached: Vec<String>,
}

/// An optimiser.
pub trait Optimizer {
    /// Computes the loss, its gradients and the new parameters, in one program. The loss must have one
    /// element; its value is known afterwards, and its history is gone.
    fn step(&mut self, loss: &Tensor) -> Result<StepReport>;

    /// Takes a step with the gradients that [`Tensor::backward`] has collected; parameters without one
    /// stay as they are.
    fn step_collected(&mut self) -> Result<StepReport>;

    /// Forgets the collected gradients.
    fn zero_grad(&self);

    /// The learning rates of the groups.
    fn rates(&self) -> Vec<f64>;

    /// Sets the learning rates of the groups.
    fn set_rates(&mut self, rates: &[f64]) -> Result<()>;

    /// What is wrong with how it was made: settings out of range, parameters that it cannot improve, or that
    /// occur twice. Steps say so, too.
    fn check(&self) -> Result<()>;

    /// The momenta of the groups, where their rules have one: that of SGD and RMSprop, or the first of Adam's
    /// betas.
    fn momenta(&self) -> Vec<Option<f64>>;

    /// Sets the momenta of the groups. It is an error if one has none.
    fn set_momenta(&mut self, momenta: &[f64]) -> Result<()>;

    /// All that the optimiser keeps, by name.
    fn state_dict(&self) -> StateDict;

    /// Takes over what was saved by [`state_dict`](Optimizer::state_dict).
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()>;
}

/// An optimiser of groups with one kind of rule.
pub struct Descent<R> {
    groups: Vec<Group<R>>,
    /// Groups and settings are in order; they do not change by themselves.
    checked: bool,
    /// An unreached parameter is an error.
    pub strict: bool,
}

impl<R: Rule + Default> Descent<R> {
    /// With PyTorch's settings.
    pub fn new(params: Vec<Param>, rate: f64) -> Descent<R> {
        Descent::with(params, rate, R::default())
    }
}

impl<R: Rule> Descent<R> {
    /// Of one group with these settings.
    pub fn with(params: Vec<Param>, rate: f64, settings: R) -> Descent<R> {
        Descent::groups(vec![Group::new(params, settings, rate)])
    }

    /// Of groups.
    pub fn groups(groups: Vec<Group<R>>) -> Descent<R> {
        Descent {
            groups,
            checked: false,
            strict: false,
        }
    }

    /// Adds a group.
    pub fn add_group(&mut self, group: Group<R>) {
        self.groups.push(group);
        self.checked = false;
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.groups.iter().flat_map(|g| &g.params)
    }

    fn members_with_rules(&self) -> impl Iterator<Item = (&R, &Member)> {
        { self.groups.iter() }.flat_map(|g| g.params.iter().map(move |member| (&g.rule, member)))
    }

    /// Refuses what is wrong, and computes what has only been recorded yet, such as initial values, so that it is no part of the
    /// step's program.
    #[track_caller]
    fn prepare(&mut self) -> Result<()> {
        if !self.checked {
            self.check()?;
            self.checked = true;
        }
        if crate::engine::capturing() {
            return Ok(());
        }
        let mut fresh = Vec::new();
        for member in self.members() {
            let cells = member.slots.iter().chain([&member.steps]);
            let all = cells.map(TensorCell::get).chain([member.param.get()]);
            fresh.extend(all.filter(|t| !t.is_realized()));
        }
        crate::tensor::realize_all(&fresh.iter().collect::<Vec<_>>())
    }

    /// Records new values for the parameters that have a gradient; nothing has changed after an error.
    #[track_caller]
    fn improve(&self, mut gradient: impl FnMut(&Member) -> Option<Tensor>) -> Result<StepReport> {
        let mut report = StepReport::default();
        let mut changes: Vec<(&Member, Change)> = Vec::new();
        let members = { self.groups.iter() }.flat_map(|g| g.params.iter().map(move |m| (g, m)));
        for (number, (group, member)) in members.enumerate() {
            match gradient(member) {
                Some(gradient) => changes.push((member, member.change(group, &gradient)?)),
                None => report.unreached.push(member.name(number)),
            }
        }
        if self.strict && !report.unreached.is_empty() {
            let message = format!("no gradient reaches {}", report.unreached.join(", "));
            return Err(Error::new(ErrorKind::Gradient, "step", message).at(Place::here()));
        }
        for (member, change) in changes {
            member.enter(change)?;
        }
        Ok(report)
    }
}

/// What a step makes of a parameter and of what is kept for it: tensors that are recorded without an error.
struct Change {
    param: Tensor,
    slots: Vec<Option<Tensor>>,
    steps: Tensor,
}

/// As many numbers as there are groups.
#[track_caller]
fn one_for_each(op: &'static str, numbers: &[f64], groups: usize) -> Result<()> {
    match numbers.len() == groups {
        true => Ok(()),
        false => {
            let message = format!("{} numbers for {groups} groups", numbers.len());
            Err(Error::new(ErrorKind::Argument, op, message).at(Place::here()))
        }
    }
}

impl Member {
    /// The names of its slots.
    fn names<R: Rule>(&self, rule: &R) -> &'static [&'static str] {
        rule.slots(seen(&self.param.get()).rank().unwrap_or(0))
    }

    /// The parameter in a sentence.
    fn described(&self) -> String {
        match self.param.path() {
            "" => "a parameter".into(),
            path => format!("the parameter `{path}`"),
        }
    }

    fn name(&self, number: usize) -> String {
        match self.param.path() {
            "" => number.to_string(),
            path => path.to_string(),
        }
    }

    /// What the group's rule makes of it.
    #[track_caller]
    fn change<R: Rule>(&self, group: &Group<R>, gradient: &Tensor) -> Result<Change> {
        let param = self.param.get().detach();
        let update = Update {
            param: seen(&param),
            gradient: seen(gradient),
            rate: group.rate.cell.get(),
            step: self.steps.get() + 1.0,
            momentum: group.momentum.cell.get(),
        };
        let mut slots = Slots {
            cells: &self.slots,
            new: vec![None; self.slots.len()],
        };
        let new = group.rule.update(&update, &mut slots);
        let new = match param.dtype()?.is_complex() {
            true => new.view_as_complex(),
            false => new,
        };
        let kept = self.slots.iter().zip(slots.new);
        let change = Change {
            param: new.type_as(&param),
            slots: kept
                .map(|(cell, new)| new.map(|new| new.type_as(&cell.get())))
                .collect(),
            steps: update.step,
        };
        let all = [&change.param, &change.steps].into_iter();
        all.chain(change.slots.iter().flatten())
            .try_for_each(Tensor::check)?;
        Ok(change)
    }

    #[track_caller]
    fn enter(&self, change: Change) -> Result<()> {
        self.param.set(change.param)?;
        for (cell, new) in self.slots.iter().zip(change.slots) {
            if let Some(new) = new {
                cell.set(new)?;
            }
        }
        self.steps.set(change.steps)
    }
}

/// The error of a loss that none of the parameters is trained by.
#[track_caller]
fn unrelated(loss: &Tensor) -> Result<Error> {
    let (message, hint) = match loss.node()?.ty.dtype.is_inexact() {
        true => (
            "the loss does not depend on the optimiser's parameters",
            "it is computed from what they hold now (a step gives them new values), outside of `no_grad`, and not \
             through `detach`, or integers such as those of `argmax`",
        ),
        false => (
            "integers have no gradient: the loss does not depend on the optimiser's parameters",
            "`argmax` and counts have no gradient; a loss such as `cross_entropy` takes what they are made of",
        ),
    };
    let error = Error::new(ErrorKind::Gradient, "step", message).at(Place::here());
    Ok(error.operand(loss.note("loss")).hint(hint))
}

impl<R: Rule> Optimizer for Descent<R> {
    #[track_caller]
    fn step(&mut self, loss: &Tensor) -> Result<StepReport> {
        let _scope = Scope::pin();
        self.prepare()?;
        if !loss.node()?.ty.dims.iter().all(|d| d.is(1)) {
            let message = "a loss has one element";
            return Err(Error::new(ErrorKind::Gradient, "step", message)
                .at(Place::here())
                .operand(loss.note("loss"))
                .hint("take its `mean(..)` or `sum(..)`"));
        }
        if let Some(member) = self.members().find(|m| m.param.grad().is_some()) {
            let message = format!(
                "{} has a gradient that was collected before",
                member.described()
            );
            let error = Error::new(ErrorKind::Gradient, "step", message).at(Place::here());
            let hint = "after `backward`, `step_collected()` takes what was collected; `zero_grad()` forgets it";
            return Err(error.hint(hint));
        }
        if !loss.requires_grad() {
            return Err(unrelated(loss)?);
        }
        let report = no_grad(|| {
            let sweep = Sweep::new(&[loss], &[]).map_err(|e| e.renamed("grad", "step"))?;
            let trained = |m: &Member| {
                let node = m.param.get().0.ok()?;
                sweep.reach.contains(&node).then_some(node)
            };
            let nodes: Vec<Option<Arc<_>>> = self.members().map(trained).collect();
            let reached: Vec<_> = nodes.iter().flatten().cloned().collect();
            if reached.is_empty() {
                return Err(unrelated(loss)?);
            }
            let mut gradients = sweep.gradients(&reached).into_iter();
            let mut nodes = nodes.into_iter();
            self.improve(|_| nodes.next().flatten().and_then(|_| gradients.next()))
        })?;
        match crate::engine::capturing() {
            true => forget_captured(loss.node()?),
            false => realize_and_forget(loss.node()?)?,
        }
        Ok(report)
    }

    #[track_caller]
    fn step_collected(&mut self) -> Result<StepReport> {
        let _scope = Scope::pin();
        self.prepare()?;
        let report = no_grad(|| self.improve(|m| m.param.grad()))?;
        let values: Vec<Tensor> = self.members().map(|m| m.param.get()).collect();
        crate::tensor::realize_all(&values.iter().collect::<Vec<_>>())?;
        Ok(report)
    }

    fn zero_grad(&self) {
        self.members().for_each(|m| m.param.zero_grad());
    }

    #[track_caller]
    fn check(&self) -> Result<()> {
        let wrong = |message: String| {
            Error::new(ErrorKind::Argument, "optimizer", message).at(Place::here())
        };
        if self.members().next().is_none() {
            return Err(wrong("there are no parameters to improve".into()));
        }
        for group in &self.groups {
            group.check().map_err(wrong)?;
        }
        let mut seen = FxHashSet::default();
        match self.members().position(|m| !seen.insert(m.param.address())) {
            Some(number) => Err(wrong(format!("parameter {number} occurs twice"))),
            None => Ok(()),
        }
    }

    fn rates(&self) -> Vec<f64> {
        self.groups.iter().map(|g| g.rate.value).collect()
    }

    #[track_caller]
    fn set_rates(&mut self, rates: &[f64]) -> Result<()> {
        one_for_each("set_rates", rates, self.groups.len())?;
        let mut groups = self.groups.iter_mut().zip(rates);
        groups.try_for_each(|(group, rate)| group.rate.set(*rate))
    }

    fn momenta(&self) -> Vec<Option<f64>> {
        let momentum = |g: &Group<R>| g.rule.momentum().map(|_| g.momentum.value);
        self.groups.iter().map(momentum).collect()
    }

    #[track_caller]
    fn set_momenta(&mut self, momenta: &[f64]) -> Result<()> {
        one_for_each("set_momenta", momenta, self.groups.len())?;
        if self.momenta().contains(&None) {
            let message = "the optimiser has no momentum";
            return Err(Error::new(ErrorKind::Argument, "set_momenta", message).at(Place::here()));
        }
        let mut groups = self.groups.iter_mut().zip(momenta);
        groups.try_for_each(|(group, momentum)| group.momentum.set(*momentum))
    }

    fn state_dict(&self) -> StateDict {
        let mut state = StateDict::new();
        for (g, group) in self.groups.iter().enumerate() {
            state.insert(format!("groups.{g}.rate"), group.rate.cell.get());
            if group.rule.momentum().is_some() {
                state.insert(format!("groups.{g}.momentum"), group.momentum.cell.get());
            }
        }
        for (number, (rule, member)) in self.members_with_rules().enumerate() {
            let name = member.name(number);
            state.insert(format!("{name}.steps"), member.steps.get());
            for (slot, cell) in member.names(rule).iter().zip(&member.slots) {
                state.insert(format!("{name}.{slot}"), cell.get());
            }
        }
        state
    }

    #[track_caller]
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let own = self.state_dict();
        let hint =
            "another kind of optimiser has written it, or one with other settings or parameters";
        check_state(&own, state, "optimiser", hint)?;
        for (g, group) in self.groups.iter_mut().enumerate() {
            let number = |name: &str| {
                let given = state.get(&format!("groups.{g}.{name}"));
                given.map(|t| t.cast(DType::F64).item::<f64>()).transpose()
            };
            if let Some(rate) = number("rate")? {
                group.rate.set(rate)?;
            }
            if let Some(momentum) = number("momentum")? {
                group.momentum.set(momentum)?;
            }
        }
        for (number, (rule, member)) in self.members_with_rules().enumerate() {
            let name = member.name(number);
            member
                .steps
                .set(state[&format!("{name}.steps")].cast(DType::F64))?;
            for (slot, cell) in member.names(rule).iter().zip(&member.slots) {
                let device = cell.get().device()?;
                cell.set(state[&format!("{name}.{slot}")].detach().to(device))?;
            }
        }
        Ok(())
    }
}
