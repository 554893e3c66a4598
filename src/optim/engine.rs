//! What all optimisers share: groups of parameters, state, and the step as one program.

use crate::autograd::{Sweep, no_grad};
use crate::cell::TensorCell;
use crate::engine::realize_and_forget;
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, Scope};
use crate::nn::{Param, StateDict};
use crate::tensor::Tensor;
use lazulite_ir::DType;
use std::sync::Arc;

/// How one parameter is improved.
pub trait Rule {
    /// Names of the tensors of the parameter's size that it keeps, which start as zeros.
    fn slots(&self) -> &'static [&'static str];

    /// The new parameter. `rate` is the learning rate and `step` the number of this step, from 1, both
    /// 0-d and f64.
    fn update(
        &self,
        param: &Tensor,
        gradient: &Tensor,
        slots: &mut Slots<'_>,
        rate: &Tensor,
        step: &Tensor,
    ) -> Tensor;
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

/// Parameters with the same settings.
pub struct Group<R> {
    rule: R,
    params: Vec<Member>,
    rate: TensorCell,
    host_rate: f64,
}

struct Member {
    param: Param,
    slots: Vec<TensorCell>,
    steps: TensorCell,
}

impl<R: Rule> Group<R> {
    /// Parameters to be improved by `rule` at this learning rate.
    pub fn new(params: Vec<Param>, rule: R, rate: f64) -> Group<R> {
        let slots = rule.slots();
        let member = |param: Param| Member {
            slots: { slots.iter() }
                .map(|_| TensorCell::new(param.get().detach().zeros_like()))
                .collect(),
            steps: TensorCell::new(scalar(0.0)),
            param,
        };
        Group {
            rule,
            params: params.into_iter().map(member).collect(),
            rate: TensorCell::new(scalar(rate)),
            host_rate: rate,
        }
    }
}

/// A number as a value, so that no program depends on it.
fn scalar(value: f64) -> Tensor {
    Tensor::from_vec(vec![value], Vec::<usize>::new())
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

    /// All that the optimiser keeps, by name.
    fn state_dict(&self) -> StateDict;

    /// Takes over what was saved by [`state_dict`](Optimizer::state_dict).
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()>;
}

/// An optimiser of groups with one kind of rule.
pub struct Descent<R> {
    groups: Vec<Group<R>>,
    /// An unreached parameter is an error.
    pub strict: bool,
}

impl<R: Rule> Descent<R> {
    /// Of groups.
    pub fn groups(groups: Vec<Group<R>>) -> Descent<R> {
        Descent {
            groups,
            strict: false,
        }
    }

    /// Adds a group.
    pub fn add_group(&mut self, group: Group<R>) {
        self.groups.push(group);
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.groups.iter().flat_map(|g| &g.params)
    }

    fn members_with_rules(&self) -> impl Iterator<Item = (&R, &Member)> {
        { self.groups.iter() }.flat_map(|g| g.params.iter().map(move |member| (&g.rule, member)))
    }

    /// Computes what has only been recorded yet, such as initial values, so that it is no part of the
    /// step's program.
    #[track_caller]
    fn prepare(&self) -> Result<()> {
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

    /// Records new values for the parameters that have a gradient.
    #[track_caller]
    fn improve(&self, mut gradient: impl FnMut(&Member) -> Option<Tensor>) -> Result<StepReport> {
        let mut report = StepReport::default();
        let mut number = 0;
        for group in &self.groups {
            let rate = group.rate.get();
            for member in &group.params {
                match gradient(member) {
                    Some(gradient) => member.improve(&group.rule, &gradient, &rate)?,
                    None => report.unreached.push(member.name(number)),
                }
                number += 1;
            }
        }
        if self.strict && !report.unreached.is_empty() {
            let message = format!("no gradient reaches {}", report.unreached.join(", "));
            return Err(Error::new(ErrorKind::Gradient, "step", message).at(Place::here()));
        }
        Ok(report)
    }
}

impl Member {
    fn name(&self, number: usize) -> String {
        match self.param.path() {
            "" => number.to_string(),
            path => path.to_string(),
        }
    }

    #[track_caller]
    fn improve<R: Rule>(&self, rule: &R, gradient: &Tensor, rate: &Tensor) -> Result<()> {
        let param = self.param.get().detach();
        let step = self.steps.get() + 1.0;
        let mut slots = Slots {
            cells: &self.slots,
            new: vec![None; self.slots.len()],
        };
        let new = rule.update(&param, gradient, &mut slots, rate, &step);
        self.param.set(new.type_as(&param))?;
        for (cell, new) in self.slots.iter().zip(slots.new) {
            if let Some(new) = new {
                cell.set(new.type_as(&param))?;
            }
        }
        self.steps.set(step)
    }
}

impl<R: Rule> Optimizer for Descent<R> {
    #[track_caller]
    fn step(&mut self, loss: &Tensor) -> Result<StepReport> {
        let _scope = Scope::pin();
        self.prepare()?;
        let report = no_grad(|| {
            let sweep = Sweep::new(&[loss], &[])?;
            let trained = |m: &Member| {
                let node = m.param.get().0.ok()?;
                sweep.reach.contains(&node).then_some(node)
            };
            let nodes: Vec<Option<Arc<_>>> = self.members().map(trained).collect();
            let reached: Vec<_> = nodes.iter().flatten().cloned().collect();
            let mut gradients = sweep.gradients(&reached).into_iter();
            let mut nodes = nodes.into_iter();
            self.improve(|_| nodes.next().flatten().and_then(|_| gradients.next()))
        })?;
        if !crate::engine::capturing() {
            realize_and_forget(loss.node()?)?;
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

    fn rates(&self) -> Vec<f64> {
        self.groups.iter().map(|g| g.host_rate).collect()
    }

    #[track_caller]
    fn set_rates(&mut self, rates: &[f64]) -> Result<()> {
        if rates.len() != self.groups.len() {
            let message = format!("{} rates for {} groups", rates.len(), self.groups.len());
            return Err(Error::new(ErrorKind::Argument, "set_rates", message).at(Place::here()));
        }
        for (group, &rate) in self.groups.iter_mut().zip(rates) {
            if group.host_rate != rate {
                group.host_rate = rate;
                group.rate.set(scalar(rate))?;
            }
        }
        Ok(())
    }

    fn state_dict(&self) -> StateDict {
        let mut state = StateDict::new();
        for (g, group) in self.groups.iter().enumerate() {
            state.insert(format!("groups.{g}.rate"), group.rate.get());
        }
        for (number, (rule, member)) in self.members_with_rules().enumerate() {
            let name = member.name(number);
            state.insert(format!("{name}.steps"), member.steps.get());
            for (slot, cell) in rule.slots().iter().zip(&member.slots) {
                state.insert(format!("{name}.{slot}"), cell.get());
            }
        }
        state
    }

    #[track_caller]
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let own = self.state_dict();
        let differs = |(name, have): (&String, &Tensor)| {
            let given = state.get(name).and_then(|t| t.dims().ok());
            given != have.dims().ok()
        };
        let wrong = own
            .iter()
            .find(|entry| differs(*entry))
            .map(|(name, _)| name);
        let unknown = state.keys().find(|name| !own.contains_key(*name));
        if let Some(name) = wrong.or(unknown) {
            let message = format!("`{name}` does not fit the optimiser's parameters");
            return Err(
                Error::new(ErrorKind::Argument, "load_state_dict", message).at(Place::here())
            );
        }
        for (g, group) in self.groups.iter_mut().enumerate() {
            let rate = state[&format!("groups.{g}.rate")].cast(DType::F64);
            group.host_rate = rate.item::<f64>()?;
            group.rate.set(rate)?;
        }
        for (number, (rule, member)) in self.members_with_rules().enumerate() {
            let name = member.name(number);
            member
                .steps
                .set(state[&format!("{name}.steps")].cast(DType::F64))?;
            for (slot, cell) in rule.slots().iter().zip(&member.slots) {
                cell.set(state[&format!("{name}.{slot}")].detach())?;
            }
        }
        Ok(())
    }
}
