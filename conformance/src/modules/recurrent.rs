//! Recurrent layers and cells.

use super::{Entry, Made, module};
use crate::call::{Bound, Done, Outcome, Refusal};
use crate::value::Value;
use lazulite::Tensor;
use lazulite::nn::{
    GruGates, LstmGates, LstmState, Nonlinearity, Recurrence, Recurrent, RecurrentCell,
    RecurrentOptions,
};

pub(super) const TABLE: &[Entry] = &[
    module(
        "nn.RNN",
        "input_size, hidden_size, num_layers=1, nonlinearity='tanh', bias=True, batch_first=False, \
         dropout=0.0, bidirectional=False, device=None, dtype=None",
        |a| layer(a, nonlinearity(a)?, 0),
    ),
    module("nn.GRU", LAYER, |a| layer(a, GruGates, 0)),
    module(
        "nn.LSTM",
        "input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, \
         bidirectional=False, proj_size=0, device=None, dtype=None",
        |a| layer(a, LstmGates, a.count("proj_size")?),
    ),
    module(
        "nn.RNNCell",
        "input_size, hidden_size, bias=True, nonlinearity='tanh', device=None, dtype=None",
        |a| cell(a, nonlinearity(a)?),
    ),
    module("nn.GRUCell", CELL, |a| cell(a, GruGates)),
    module("nn.LSTMCell", CELL, |a| cell(a, LstmGates)),
];

const LAYER: &str = "input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, \
                     bidirectional=False, device=None, dtype=None";
const CELL: &str = "input_size, hidden_size, bias=True, device=None, dtype=None";

fn nonlinearity(a: &Bound) -> Result<Nonlinearity, Refusal> {
    match a.text("nonlinearity")?.as_str() {
        "tanh" => Ok(Nonlinearity::Tanh),
        "relu" => Ok(Nonlinearity::Relu),
        other => Err(Refusal::Rejected(format!(
            "there is no nonlinearity {other}"
        ))),
    }
}

/// States as calls pass them.
trait State: Sized {
    fn read(a: &Bound) -> Result<Option<Self>, Refusal>;
    fn value(self) -> Value;
}

impl State for Tensor {
    fn read(a: &Bound) -> Result<Option<Tensor>, Refusal> {
        a.opt_tensor("hx")
    }

    fn value(self) -> Value {
        self.into()
    }
}

impl State for LstmState {
    fn read(a: &Bound) -> Result<Option<LstmState>, Refusal> {
        let Some(parts) = a.opt_tensors("hx")? else {
            return Ok(None);
        };
        match <[Tensor; 2]>::try_from(parts) {
            Ok([hidden, cell]) => Ok(Some(LstmState { hidden, cell })),
            Err(_) => Err(Refusal::Rejected("a state is two tensors".into())),
        }
    }

    fn value(self) -> Value {
        (self.hidden, self.cell).into()
    }
}

fn layer<R: Recurrence + 'static>(
    a: &Bound,
    recurrence: R,
    projection: usize,
) -> Result<Made, Refusal>
where
    R::State: State,
{
    let options = RecurrentOptions {
        layers: a.count("num_layers")?,
        bias: a.flag("bias")?,
        batch_first: a.flag("batch_first")?,
        dropout: a.float("dropout")?,
        bidirectional: a.flag("bidirectional")?,
        projection,
    };
    let (inputs, hidden) = (a.count("input_size")?, a.count("hidden_size")?);
    let layer = Recurrent::of(recurrence, inputs, hidden, &options);
    Ok(Made::new(layer, "input, hx=None", |layer, a| -> Outcome {
        let state = R::State::read(a)?;
        let (out, state) = layer.forward(&a.input()?, state.as_ref());
        Ok(Value::List(vec![out.into(), state.value()]))
    }))
}

fn cell<R: Recurrence + 'static>(a: &Bound, recurrence: R) -> Result<Made, Refusal>
where
    R::State: State,
{
    let (inputs, hidden) = (a.count("input_size")?, a.count("hidden_size")?);
    let cell = RecurrentCell::of(recurrence, inputs, hidden, a.flag("bias")?);
    Ok(Made::new(cell, "input, hx=None", |cell, a| {
        let state = R::State::read(a)?;
        cell.forward(&a.input()?, state.as_ref()).value().done()
    }))
}
