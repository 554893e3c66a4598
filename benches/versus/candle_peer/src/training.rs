//! Steps of an optimiser: forward, gradients and update.

use crate::arrays::Tensors;
use crate::workloads::Step;
use candle_core::{DType, Device, Error, Module, Result, Tensor, Var};
use candle_nn::{
    Activation, AdamW, Conv2d, Linear, Optimizer, ParamsAdamW, SGD, Sequential, loss, seq,
};
use std::collections::HashMap;

/// Parameters by the names that Lazulite gives them.
type Vars = HashMap<String, Var>;

const SGD_RATE: f64 = 0.01;

/// Trains the smallest model there is for one step.
pub fn trivial() -> Result<()> {
    let tensor = |dims| Tensor::randn(0f32, 1.0, dims, &Device::Cpu);
    let given = [
        ("0.weight", tensor(vec![2, 4])?),
        ("0.bias", tensor(vec![2])?),
        ("x", tensor(vec![2, 4])?),
        ("y", Tensor::zeros(2, DType::I64, &Device::Cpu)?),
    ];
    let given = given.map(|(name, tensor)| (name.to_string(), tensor));
    let model = |vars: &Vars| Ok(seq().add(linear(vars, "0")?));
    steps::<SGD>(given.into(), model, SGD_RATE)?()?;
    Ok(())
}

/// One hidden layer, gradient descent.
pub fn small_mlp(p: Tensors) -> Result<Box<Step>> {
    steps::<SGD>(p, |vars| perceptron(vars, &["0", "2"]), SGD_RATE)
}

/// Two hidden layers, AdamW.
pub fn mlp(p: Tensors) -> Result<Box<Step>> {
    steps::<AdamW>(p, |vars| perceptron(vars, &["0", "2", "4"]), adamw())
}

/// Two convolutions and two linear maps, AdamW.
pub fn cnn(p: Tensors) -> Result<Box<Step>> {
    let model = |vars: &Vars| {
        let convolutions = seq()
            .add(conv(vars, "0")?)
            .add(Activation::Relu)
            .add(conv(vars, "2")?)
            .add(Activation::Relu)
            .add_fn(|x| x.max_pool2d(2)?.flatten_from(1));
        Ok(convolutions.add(perceptron(vars, &["6", "8"])?))
    };
    steps::<AdamW>(p, model, adamw())
}

/// The defaults: rate 1e-3, decay 1e-2.
fn adamw() -> ParamsAdamW {
    ParamsAdamW::default()
}

/// Linear maps with ReLU between them.
fn perceptron(vars: &Vars, layers: &[&str]) -> Result<Sequential> {
    let mut model = seq();
    for (i, name) in layers.iter().enumerate() {
        if i > 0 {
            model = model.add(Activation::Relu);
        }
        model = model.add(linear(vars, name)?);
    }
    Ok(model)
}

fn linear(vars: &Vars, name: &str) -> Result<Linear> {
    let [weight, bias] = parameters(vars, name)?;
    Ok(Linear::new(weight, Some(bias)))
}

fn conv(vars: &Vars, name: &str) -> Result<Conv2d> {
    let [weight, bias] = parameters(vars, name)?;
    Ok(Conv2d::new(weight, Some(bias), Default::default()))
}

/// Weight and bias of a layer.
fn parameters(vars: &Vars, layer: &str) -> Result<[Tensor; 2]> {
    let parameter = |part: &str| match vars.get(&format!("{layer}.{part}")) {
        Some(var) => Ok(var.as_tensor().clone()),
        None => Err(Error::Msg(format!("the file has no {layer}.{part}"))),
    };
    Ok([parameter("weight")?, parameter("bias")?])
}

/// Steps of a model that tells classes of `x`, which are `y`; each gives the loss.
fn steps<O: Optimizer + 'static>(
    mut p: Tensors,
    model: impl Fn(&Vars) -> Result<Sequential>,
    config: O::Config,
) -> Result<Box<Step>> {
    let mut take = |name: &str| {
        p.remove(name)
            .ok_or_else(|| Error::Msg(format!("the file has no {name}")))
    };
    let (x, y) = (take("x")?, take("y")?.to_dtype(DType::U32)?);
    let vars = { p.into_iter() }
        .map(|(name, tensor)| Ok((name, Var::from_tensor(&tensor)?)))
        .collect::<Result<Vars>>()?;
    let model = model(&vars)?;
    let mut optimizer = O::new(vars.into_values().collect(), config)?;
    Ok(Box::new(move || {
        let loss = loss::cross_entropy(&model.forward(&x)?, &y)?;
        optimizer.backward_step(&loss)?;
        Ok(vec![loss.detach()])
    }))
}
