//! What recurrent layers do at each step, by kind.

use crate::tensor::{Tensor, internal};
use sealed::Sealed;
use std::fmt::Debug;

mod sealed {
    /// Recurrent layers rely on the numbers of gates and states.
    pub trait Sealed {}
}

impl Sealed for Nonlinearity {}
impl Sealed for GruGates {}
impl Sealed for LstmGates {}

/// What recurrent layers do at each step. Their weights turn the input and the hidden state into numbers for
/// so many gates each; the gates turn these into the next state. It is implemented here alone.
pub trait Recurrence: Sealed + Clone + Debug + Send + Sync {
    /// What is carried from step to step.
    type State: Clone + Debug;

    /// For messages.
    const NAME: &'static str;

    /// Gates per hidden unit.
    const GATES: usize;

    /// Tensors that a state consists of. The first is the hidden one.
    const STATES: usize;

    /// The tensors of a state.
    fn parts(state: &Self::State) -> Vec<Tensor>;

    /// The state of so many tensors.
    fn state(parts: Vec<Tensor>) -> Self::State;

    /// The next state, from what the gates get of the input and of the hidden state.
    fn step(&self, input: &Tensor, hidden: &Tensor, state: &[Tensor]) -> Vec<Tensor>;
}

/// The function of an [`Rnn`](super::Rnn).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Nonlinearity {
    /// The hyperbolic tangent.
    #[default]
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

impl Recurrence for Nonlinearity {
    type State = Tensor;
    const NAME: &'static str = "Rnn";
    const GATES: usize = 1;
    const STATES: usize = 1;

    fn parts(state: &Tensor) -> Vec<Tensor> {
        vec![state.clone()]
    }

    fn state(parts: Vec<Tensor>) -> Tensor {
        only(parts)
    }

    fn step(&self, input: &Tensor, hidden: &Tensor, _: &[Tensor]) -> Vec<Tensor> {
        let sum = input + hidden;
        vec![match self {
            Nonlinearity::Tanh => sum.tanh(),
            Nonlinearity::Relu => sum.relu(),
        }]
    }
}

/// The gates of a [`Gru`](super::Gru).
#[derive(Clone, Copy, Debug, Default)]
pub struct GruGates;

impl Recurrence for GruGates {
    type State = Tensor;
    const NAME: &'static str = "Gru";
    const GATES: usize = 3;
    const STATES: usize = 1;

    fn parts(state: &Tensor) -> Vec<Tensor> {
        vec![state.clone()]
    }

    fn state(parts: Vec<Tensor>) -> Tensor {
        only(parts)
    }

    fn step(&self, input: &Tensor, hidden: &Tensor, state: &[Tensor]) -> Vec<Tensor> {
        let [reset_in, update_in, new_in] = split(input);
        let [reset, update, new] = split(hidden);
        let reset = (reset_in + reset).sigmoid();
        let update = (update_in + update).sigmoid();
        let new = (new_in + reset * new).tanh();
        vec![&new + update * (&state[0] - &new)]
    }
}

/// The gates of an [`Lstm`](super::Lstm).
#[derive(Clone, Copy, Debug, Default)]
pub struct LstmGates;

/// The state of an LSTM between sequences, each `[layers, batch, hidden]`.
#[derive(Clone, Debug)]
pub struct LstmState {
    /// What each layer gave last.
    pub hidden: Tensor,
    /// What each layer remembers.
    pub cell: Tensor,
}

impl Recurrence for LstmGates {
    type State = LstmState;
    const NAME: &'static str = "Lstm";
    const GATES: usize = 4;
    const STATES: usize = 2;

    fn parts(state: &LstmState) -> Vec<Tensor> {
        vec![state.hidden.clone(), state.cell.clone()]
    }

    fn state(mut parts: Vec<Tensor>) -> LstmState {
        let cell = parts.pop();
        let hidden = only(parts);
        LstmState {
            cell: cell.unwrap_or_else(|| hidden.clone()),
            hidden,
        }
    }

    fn step(&self, input: &Tensor, hidden: &Tensor, state: &[Tensor]) -> Vec<Tensor> {
        let [input, forget, new, output] = split(&(input + hidden));
        let cell = forget.sigmoid() * &state[1] + input.sigmoid() * new.tanh();
        vec![output.sigmoid() * cell.tanh(), cell]
    }
}

/// The last axis in `N` parts of equal size.
fn split<const N: usize>(x: &Tensor) -> [Tensor; N] {
    let size = x.dim(-1).floor_div(N);
    std::array::from_fn(|i| x.narrow(-1, size.clone() * i, size.clone()))
}

/// The only tensor of a list.
pub(super) fn only(mut parts: Vec<Tensor>) -> Tensor {
    parts.pop().unwrap_or_else(|| {
        let message = "a state has lost its tensors";
        Tensor::error(internal("state", message))
    })
}
