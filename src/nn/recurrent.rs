//! Recurrent layers: loops over the sequence, whose program does not grow with its length.

use super::check::{bad_setting, expect_last, expect_rank, expect_type, failed};
use super::gates::{GruGates, LstmGates, Nonlinearity, Recurrence, only};
use super::init;
use super::packed::PackedSequence;
use super::param::{Mode, Param};
use super::{Module, Visitor};
use crate::control::scan;
use crate::error::{Error, Result};
use crate::location::{Place, Scope};
use crate::ops::bad_shape;
use crate::tensor::{Dim, Tensor, internal};

/// A layer that goes along sequences.
#[derive(Clone, Debug)]
pub struct Recurrent<R> {
    /// By layer, then direction.
    layers: Vec<Vec<Weights>>,
    inputs: usize,
    hidden: usize,
    options: RecurrentOptions,
    recurrence: R,
    mode: Mode,
}

/// `tanh` (or `relu`) of input and hidden state.
pub type Rnn = Recurrent<Nonlinearity>;
/// Gated recurrent units.
pub type Gru = Recurrent<GruGates>;
/// Long short-term memory.
pub type Lstm = Recurrent<LstmGates>;

/// Options of recurrent layers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RecurrentOptions {
    /// How many go one after the other.
    pub layers: usize,
    /// Sums have a bias.
    pub bias: bool,
    /// Sequences are `[batch, length, features]`; states stay `[layers, batch, hidden]`.
    pub batch_first: bool,
    /// Probability of dropping what a layer gives to the next one, in training.
    pub dropout: f64,
    /// Layers go along the sequence both ways, and give both results side by side.
    pub bidirectional: bool,
    /// The hidden state of an LSTM is projected to this size, unless it is 0.
    pub projection: usize,
}

impl Default for RecurrentOptions {
    fn default() -> RecurrentOptions {
        RecurrentOptions {
            layers: 1,
            bias: true,
            batch_first: false,
            dropout: 0.0,
            bidirectional: false,
            projection: 0,
        }
    }
}

impl<R: Recurrence> Recurrent<R> {
    /// So many layers over `[length, batch, inputs]`; PyTorch's initial values.
    #[track_caller]
    pub fn new(inputs: usize, hidden: usize, layers: usize) -> Self
    where
        R: Default,
    {
        let options = RecurrentOptions {
            layers,
            ..RecurrentOptions::default()
        };
        Self::with(inputs, hidden, &options)
    }

    /// With options.
    #[track_caller]
    pub fn with(inputs: usize, hidden: usize, options: &RecurrentOptions) -> Self
    where
        R: Default,
    {
        Self::of(R::default(), inputs, hidden, options)
    }

    /// With these gates.
    #[track_caller]
    pub fn of(recurrence: R, inputs: usize, hidden: usize, options: &RecurrentOptions) -> Self {
        let _scope = Scope::pin();
        let mistake = mistake::<R>(inputs, hidden, options);
        let directions = if options.bidirectional { 2 } else { 1 };
        let outputs = if options.projection > 0 {
            options.projection
        } else {
            hidden
        };
        let layer = |i: usize| {
            let inputs = if i == 0 { inputs } else { directions * outputs };
            let sizes = Sizes {
                gates: R::GATES * hidden,
                inputs,
                hidden,
                projection: options.projection,
            };
            let weights = |_| Weights::new(&sizes, options.bias, mistake.as_ref());
            (0..directions).map(weights).collect()
        };
        Recurrent {
            // An erroneous number of layers has one layer to carry the error.
            layers: (0..options.layers.max(1)).map(layer).collect(),
            inputs,
            hidden,
            options: *options,
            recurrence,
            mode: Mode::default(),
        }
    }

    /// The last layer's results for all steps of `[length, batch, inputs]` (or without the batch), and the
    /// state after the last one. Without a state it starts with zeros.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, state: Option<&R::State>) -> (Tensor, R::State) {
        let _scope = self.scope();
        let parts = state.map(R::parts);
        let mut operands = parts.clone().unwrap_or_default();
        operands.push(x.clone());
        let result = self.sequence(x, parts);
        done::<R, _>(result.map_err(|e| self.shown(e, &operands)), Tensor::error)
    }

    /// As [`Recurrent::forward`], for sequences of different lengths.
    #[track_caller]
    pub fn forward_packed(
        &self,
        x: &PackedSequence,
        state: Option<&R::State>,
    ) -> (PackedSequence, R::State) {
        let _scope = self.scope();
        let (padded, lengths) = x.pad(false, 0.0);
        let parts = state.map(R::parts);
        let live = x.live();
        let result = self.all_layers(&padded, parts, Some(&live));
        let (out, state) = done::<R, _>(result, Tensor::error);
        (PackedSequence::new(&out, &lengths, false), state)
    }

    #[track_caller]
    fn scope(&self) -> Scope {
        match self.layers.first().and_then(|l| l.first()) {
            Some(first) => first.of_input.scope(R::NAME),
            None => Scope::open(R::NAME),
        }
    }

    /// The error with the layer, unless an operand has brought it.
    fn shown(&self, e: Error, operands: &[Tensor]) -> Error {
        let first = self.layers.first().and_then(|l| l.first());
        match first.filter(|_| operands.iter().all(|t| t.check().is_ok())) {
            Some(first) => {
                let text = format!("{}({}, {}, ..)", R::NAME, self.inputs, self.hidden);
                e.operand(first.of_input.layer(text))
            }
            None => e,
        }
    }

    /// Brings sequences to `[length, batch, inputs]` and back.
    #[track_caller]
    fn sequence(&self, x: &Tensor, state: Option<Vec<Tensor>>) -> Result<(Tensor, Vec<Tensor>)> {
        expect_rank(R::NAME, x, 2..=3)?;
        let single = x.rank()? == 2;
        let batched = |t: Tensor| if single { t.unsqueeze(1) } else { t };
        let turned = |t: Tensor| match self.options.batch_first && !single {
            true => t.transpose(0, 1),
            false => t,
        };
        if let Some(parts) = &state {
            let rank = x.rank()?;
            parts
                .iter()
                .try_for_each(|part| expect_rank(R::NAME, part, rank..=rank))?;
        }
        let state = state.map(|parts| parts.into_iter().map(batched).collect());
        let (out, last) = self.all_layers(&batched(turned(x.clone())), state, None)?;
        if single {
            let last = last.iter().map(|t| t.squeeze(1)).collect();
            return Ok((out.squeeze(1), last));
        }
        Ok((turned(out), last))
    }

    /// All layers over `[length, batch, inputs]`; steps that are not live keep the state.
    #[track_caller]
    fn all_layers(
        &self,
        x: &Tensor,
        state: Option<Vec<Tensor>>,
        live: Option<&Tensor>,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        self.check(x, state.as_deref())?;
        let mut out = x.clone();
        let mut last: Vec<Vec<Tensor>> = vec![Vec::new(); R::STATES];
        for (i, directions) in self.layers.iter().enumerate() {
            if i > 0 {
                out = out.dropout(self.options.dropout, self.mode.is_training());
            }
            let mut results = Vec::with_capacity(directions.len());
            for (direction, weights) in directions.iter().enumerate() {
                let place = (i * directions.len() + direction) as i64;
                let start = self.start(x, state.as_deref(), place);
                let back = direction == 1;
                let (all, ends) = weights.run(&self.recurrence, &out, &start, back, live)?;
                results.push(all);
                last.iter_mut()
                    .zip(ends)
                    .for_each(|(list, end)| list.push(end));
            }
            out = match &results[..] {
                [one] => one.clone(),
                several => Tensor::cat(&several.iter().collect::<Vec<_>>(), -1),
            };
        }
        let stacked = |t: &Vec<Tensor>| Tensor::stack(&t.iter().collect::<Vec<_>>(), 0);
        Ok((out, last.iter().map(stacked).collect()))
    }

    /// The sizes of a part of the state behind the batch.
    fn width(&self, part: usize) -> usize {
        match (part, self.options.projection) {
            (0, projection) if projection > 0 => projection,
            _ => self.hidden,
        }
    }

    #[track_caller]
    fn start(&self, x: &Tensor, state: Option<&[Tensor]>, place: i64) -> Vec<Tensor> {
        let part = |i: usize| match state {
            Some(parts) => parts[i].select(0, place),
            None => Tensor::zeros([x.dim(1), self.width(i).into()]).type_as(x),
        };
        (0..R::STATES).map(part).collect()
    }

    #[track_caller]
    fn check(&self, x: &Tensor, state: Option<&[Tensor]>) -> Result<()> {
        let first = &self.layers[0][0];
        expect_type(R::NAME, x, &first.of_input.get())?;
        expect_last(R::NAME, "input", x, &[Dim::from(self.inputs)])?;
        if x.dim(0).value().is_ok_and(|length| length == 0) {
            let error = bad_shape(R::NAME, "a sequence of no steps has no last one");
            return Err(error.operand(x.note("input")));
        }
        let count = self.layers.len() * self.layers[0].len();
        for (i, part) in state.unwrap_or_default().iter().enumerate() {
            let sizes = [Dim::from(count), x.dim(1), self.width(i).into()];
            expect_last(R::NAME, "state", part, &sizes)?;
        }
        Ok(())
    }
}

/// Why a layer cannot be built, if it cannot.
#[track_caller]
fn mistake<R: Recurrence>(
    inputs: usize,
    hidden: usize,
    options: &RecurrentOptions,
) -> Option<Error> {
    let RecurrentOptions {
        layers,
        dropout,
        projection,
        ..
    } = *options;
    let message = if inputs == 0 || hidden == 0 || layers == 0 {
        format!("{layers} layers of {hidden} units over {inputs} inputs: none of these may be 0")
    } else if !(0.0..=1.0).contains(&dropout) {
        format!("the probability {dropout} of dropping is not from 0 to 1")
    } else if projection > 0 && R::STATES == 1 {
        format!("a projection to {projection} needs a cell that stays behind, as an Lstm has")
    } else if projection >= hidden {
        format!("{hidden} units cannot be projected to {projection}, which is not less")
    } else {
        return None;
    };
    Some(bad_setting(R::NAME, message))
}

/// Results and state, or the error in the place of both.
#[track_caller]
fn done<R: Recurrence, T: Clone>(
    result: Result<(T, Vec<Tensor>)>,
    error: impl Fn(Error) -> T,
) -> (T, R::State) {
    match result {
        Ok((out, parts)) => (out, R::state(parts)),
        Err(e) => {
            let e = e.at(Place::here());
            let parts = vec![Tensor::error(e.clone()); R::STATES];
            (error(e), R::state(parts))
        }
    }
}

impl<R> Module for Recurrent<R> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        for (i, directions) in self.layers.iter().enumerate() {
            for (weights, reverse) in directions.iter().zip(["", "_reverse"]) {
                weights.visit_as(&format!("_l{i}{reverse}"), visitor);
            }
        }
        visitor.part("mode", &self.mode);
    }
}

/// One step of a recurrent layer, to be used on its own.
#[derive(Clone, Debug)]
pub struct RecurrentCell<R> {
    weights: Weights,
    inputs: usize,
    hidden: usize,
    recurrence: R,
}

/// One step of an [`Rnn`].
pub type RnnCell = RecurrentCell<Nonlinearity>;
/// One step of a [`Gru`].
pub type GruCell = RecurrentCell<GruGates>;
/// One step of an [`Lstm`].
pub type LstmCell = RecurrentCell<LstmGates>;

impl<R: Recurrence> RecurrentCell<R> {
    /// With a bias; PyTorch's initial values.
    #[track_caller]
    pub fn new(inputs: usize, hidden: usize) -> Self
    where
        R: Default,
    {
        Self::of(R::default(), inputs, hidden, true)
    }

    /// With these gates, with or without a bias.
    #[track_caller]
    pub fn of(recurrence: R, inputs: usize, hidden: usize, bias: bool) -> Self {
        let _scope = Scope::pin();
        let sizes = Sizes {
            gates: R::GATES * hidden,
            inputs,
            hidden,
            projection: 0,
        };
        RecurrentCell {
            weights: Weights::new(&sizes, bias, None),
            inputs,
            hidden,
            recurrence,
        }
    }

    /// The state after `[batch, inputs]` (or without the batch). Without a state it starts with zeros.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, state: Option<&R::State>) -> R::State {
        let _scope = self.weights.of_input.scope(R::NAME);
        let step = self.step(x, state.map(R::parts));
        done::<R, _>(step.map(|parts| ((), parts)), |_| ()).1
    }

    #[track_caller]
    fn step(&self, x: &Tensor, state: Option<Vec<Tensor>>) -> Result<Vec<Tensor>> {
        expect_rank(R::NAME, x, 1..=2)?;
        expect_last(R::NAME, "input", x, &[Dim::from(self.inputs)])?;
        expect_type(R::NAME, x, &self.weights.of_input.get())?;
        let mut sizes = x.sizes()?;
        sizes.pop();
        sizes.push(Dim::from(self.hidden));
        let state = match state {
            Some(parts) => {
                for part in &parts {
                    expect_rank(R::NAME, part, sizes.len()..=sizes.len())?;
                    expect_last(R::NAME, "state", part, &sizes)?;
                }
                parts
            }
            None => vec![Tensor::zeros(&sizes).type_as(x); R::STATES],
        };
        let input = self.weights.of_inputs(x);
        Ok(self.weights.held().next(&self.recurrence, &input, &state))
    }
}

impl<R> Module for RecurrentCell<R> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.weights.visit_as("", visitor);
    }
}

struct Sizes {
    gates: usize,
    inputs: usize,
    hidden: usize,
    projection: usize,
}

/// The weights of one layer in one direction.
#[derive(Clone, Debug)]
struct Weights {
    of_input: Param,
    of_hidden: Param,
    /// Of the input, and of the hidden state.
    biases: Option<[Param; 2]>,
    projection: Option<Param>,
}

impl Weights {
    #[track_caller]
    fn new(sizes: &Sizes, bias: bool, mistake: Option<&Error>) -> Weights {
        let Sizes {
            gates,
            inputs,
            hidden,
            projection,
        } = *sizes;
        let start = |dims: &[usize]| match mistake {
            Some(e) => failed(e),
            None => init::by_fan(dims, hidden),
        };
        let outputs = if projection > 0 { projection } else { hidden };
        Weights {
            of_input: start(&[gates, inputs]),
            of_hidden: start(&[gates, outputs]),
            biases: bias.then(|| [start(&[gates]), start(&[gates])]),
            projection: (projection > 0).then(|| start(&[projection, hidden])),
        }
    }

    fn visit_as(&self, suffix: &str, visitor: &mut Visitor<'_>) {
        visitor.part(&format!("weight_ih{suffix}"), &self.of_input);
        visitor.part(&format!("weight_hh{suffix}"), &self.of_hidden);
        if let Some([of_input, of_hidden]) = &self.biases {
            visitor.part(&format!("bias_ih{suffix}"), of_input);
            visitor.part(&format!("bias_hh{suffix}"), of_hidden);
        }
        if let Some(projection) = &self.projection {
            visitor.part(&format!("weight_hr{suffix}"), projection);
        }
    }

    /// What gates get of inputs: one product for a whole sequence, as it does not depend on the state.
    #[track_caller]
    fn of_inputs(&self, x: &Tensor) -> Tensor {
        let bias = self.biases.as_ref().map(|[bias, _]| bias.get());
        x.linear(&self.of_input.get(), bias.as_ref())
    }

    #[track_caller]
    fn held(&self) -> Held {
        Held {
            weight: self.of_hidden.get(),
            bias: self.biases.as_ref().map(|[_, bias]| bias.get()),
            projection: self.projection.as_ref().map(Param::get),
        }
    }

    /// All hidden states, and the last state.
    #[track_caller]
    fn run<R: Recurrence>(
        &self,
        recurrence: &R,
        x: &Tensor,
        start: &[Tensor],
        back: bool,
        live: Option<&Tensor>,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let turned = |t: &Tensor| if back { t.flip([0]) } else { t.clone() };
        let mut scanned = vec![turned(&self.of_inputs(x))];
        scanned.extend(live.map(turned));
        let held = self.held();
        let carried: Vec<&Tensor> = start.iter().collect();
        let scanned: Vec<&Tensor> = scanned.iter().collect();
        let mut results = scan(&carried, &scanned, |state, at| {
            let mut next = held.next(recurrence, &at[0], state);
            if let Some(live) = at.get(1) {
                let kept = next.iter().zip(state);
                next = kept.map(|(new, old)| live.where_(new, old)).collect();
            }
            let out = next[0].clone();
            (next, vec![out])
        });
        if results.len() != R::STATES + 1 {
            // Whatever went wrong is in there.
            only(results).check()?;
            return Err(internal(R::NAME, "results are missing"));
        }
        let all = results.remove(R::STATES);
        Ok((turned(&all), results))
    }
}

/// The weights of a step as they are now.
struct Held {
    weight: Tensor,
    bias: Option<Tensor>,
    projection: Option<Tensor>,
}

impl Held {
    #[track_caller]
    fn next<R: Recurrence>(&self, recurrence: &R, input: &Tensor, state: &[Tensor]) -> Vec<Tensor> {
        let hidden = state[0].linear(&self.weight, self.bias.as_ref());
        let mut next = recurrence.step(input, &hidden, state);
        if let (Some(projection), Some(hidden)) = (&self.projection, next.first_mut()) {
            *hidden = hidden.linear(projection, None);
        }
        next
    }
}
