//! Recurrent layers: loops over the sequence, whose program does not grow with its length.

use super::init;
use super::module::{Module, Visitor};
use super::param::Param;
use crate::control::scan;
use crate::location::Scope;
use crate::tensor::Tensor;

/// The state of an LSTM between sequences, each `[layers, batch, hidden]`.
#[derive(Clone, Debug)]
pub struct LstmState {
    /// What each layer gave last.
    pub hidden: Tensor,
    /// What each layer remembers.
    pub cell: Tensor,
}

#[derive(Clone, Debug)]
struct LstmLayer {
    weight_ih: Param,
    weight_hh: Param,
    bias_ih: Param,
    bias_hh: Param,
}

/// Long short-term memory over `[length, batch, inputs]`.
#[derive(Clone, Debug)]
pub struct Lstm {
    layers: Vec<LstmLayer>,
    hidden: usize,
}

impl Lstm {
    /// Of so many layers; PyTorch's initial values.
    #[track_caller]
    pub fn new(inputs: usize, hidden: usize, layers: usize) -> Lstm {
        let make = |layer: usize| {
            let inputs = if layer == 0 { inputs } else { hidden };
            LstmLayer {
                weight_ih: init::by_fan(&[4 * hidden, inputs], hidden),
                weight_hh: init::by_fan(&[4 * hidden, hidden], hidden),
                bias_ih: init::by_fan(&[4 * hidden], hidden),
                bias_hh: init::by_fan(&[4 * hidden], hidden),
            }
        };
        Lstm {
            layers: (0..layers).map(make).collect(),
            hidden,
        }
    }

    /// The last layer's results for all steps, and the state after the last one. Without a state it
    /// starts with zeros.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, state: Option<&LstmState>) -> (Tensor, LstmState) {
        let first = self.layers.first();
        let _scope = Scope::open(first.map_or("Lstm", |l| l.weight_ih.owner("Lstm")));
        let mut out = x.clone();
        let (mut hidden, mut cells) = (Vec::new(), Vec::new());
        for (i, layer) in self.layers.iter().enumerate() {
            let start = |given: Option<&Tensor>| match given {
                Some(state) => state.select(0, i as i64),
                None => Tensor::zeros([x.dim(1), self.hidden.into()]).type_as(x),
            };
            let state = [
                start(state.map(|s| &s.hidden)),
                start(state.map(|s| &s.cell)),
            ];
            let results = layer.run(&out, &state);
            match <[Tensor; 3]>::try_from(results) {
                Ok([last, cell, all]) => {
                    hidden.push(last);
                    cells.push(cell);
                    out = all;
                }
                // Whatever went wrong is in there.
                Err(failed) => out = failed.first().unwrap_or(&out).clone(),
            }
        }
        let stacked = |t: &[Tensor]| Tensor::stack(&t.iter().collect::<Vec<_>>(), 0);
        let state = LstmState {
            hidden: stacked(&hidden),
            cell: stacked(&cells),
        };
        (out, state)
    }
}

impl LstmLayer {
    /// The last hidden state, the last cell, and all hidden states.
    #[track_caller]
    fn run(&self, x: &Tensor, state: &[Tensor; 2]) -> Vec<Tensor> {
        // What does not depend on the state is one product for the whole sequence.
        let bias = self.bias_ih.get() + self.bias_hh.get();
        let inputs = x.linear(&self.weight_ih.get(), Some(&bias));
        let weight = self.weight_hh.get();
        scan(&[&state[0], &state[1]], &[&inputs], |state, inputs| {
            let gates = &inputs[0] + state[0].linear(&weight, None);
            let parts = gates.chunk(4, -1);
            let [input, forget, new, output] = parts.as_slice() else {
                return (vec![gates], Vec::new());
            };
            let cell = forget.sigmoid() * &state[1] + input.sigmoid() * new.tanh();
            let hidden = output.sigmoid() * cell.tanh();
            (vec![hidden.clone(), cell], vec![hidden])
        })
    }
}

impl Module for Lstm {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        for (i, layer) in self.layers.iter().enumerate() {
            visitor.part(&format!("weight_ih_l{i}"), &layer.weight_ih);
            visitor.part(&format!("weight_hh_l{i}"), &layer.weight_hh);
            visitor.part(&format!("bias_ih_l{i}"), &layer.bias_ih);
            visitor.part(&format!("bias_hh_l{i}"), &layer.bias_hh);
        }
    }
}
