//! The numbers of gradients and training steps.

use crate::core::{grows, line, median};
use lazulite::nn::{Embedding, Layer, LayerNorm, Linear, Module, MultiheadAttention};
use lazulite::optim::{AdamW, Optimizer, Sgd};
use lazulite::prelude::*;
use lazulite::{Stage, cache_stats, dump};
use lazulite_ir::{Graph, NodeId, parse_graph};
use lazulite_passes::autodiff::{NoRules, Seed, vjp};
use std::error::Error;
use std::time::Instant;

/// Prints every figure with its limit.
pub fn run() -> Result<(), Box<dyn Error>> {
    transformer()?;
    mlp_step(
        "MLP step replayed, 784-128-10, batch 32, SGD",
        "<= 100 us",
        |p| Box::new(Sgd::new(p, 0.01)),
    )?;
    mlp_step("the same with AdamW", "", |p| Box::new(AdamW::new(p, 1e-3)))?;
    Ok(())
}

#[derive(Module)]
struct Block {
    attention_norm: LayerNorm,
    attention: MultiheadAttention,
    norm: LayerNorm,
    wide: Linear,
    narrow: Linear,
}

impl Block {
    fn new(features: usize, heads: usize) -> Block {
        Block {
            attention_norm: LayerNorm::new(features),
            attention: MultiheadAttention::new(features, heads),
            norm: LayerNorm::new(features),
            wide: Linear::new(features, 4 * features),
            narrow: Linear::new(4 * features, features),
        }
    }
}

impl Layer for Block {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = x + self.attention.attend(&self.attention_norm.forward(x), true);
        let hidden = self.wide.forward(&self.norm.forward(&x)).gelu();
        x + self.narrow.forward(&hidden)
    }
}

#[derive(Module)]
struct Transformer {
    embedding: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

impl Transformer {
    fn new(vocabulary: usize, features: usize, layers: usize) -> Transformer {
        Transformer {
            embedding: Embedding::new(vocabulary, features),
            blocks: (0..layers).map(|_| Block::new(features, 4)).collect(),
            norm: LayerNorm::new(features),
            head: Linear::new(features, vocabulary),
        }
    }
}

impl Layer for Transformer {
    fn forward(&self, tokens: &Tensor) -> Tensor {
        let x = self.embedding.forward(tokens);
        let x = self.blocks.iter().fold(x, |x, block| block.forward(&x));
        self.head.forward(&self.norm.forward(&x))
    }
}

/// The loss of a transformer of so many layers, and its parameters.
pub fn transformer_loss(layers: usize) -> lazulite::Result<(Tensor, Vec<Tensor>)> {
    let model = Transformer::new(256, 64, layers);
    let params: Vec<Tensor> = model.parameters().iter().map(|p| p.get()).collect();
    realize_all(&params.iter().collect::<Vec<_>>())?;
    let tokens = Tensor::zeros([4, 32]).cast(DType::I64).realize()?;
    let loss = model
        .forward(&tokens)
        .flatten(0, 1)
        .cross_entropy(&tokens.flatten(0, -1));
    Ok((loss, params))
}

/// The reverse sweep over the graph of a transformer of six layers.
fn transformer() -> Result<(), Box<dyn Error>> {
    let (loss, _) = transformer_loss(6)?;
    // Calls are dissolved, so that all operations are counted and differentiated.
    let text = dump(&[&loss], Stage::Inline)?;
    let graph: Graph = parse_graph(&text)?;
    let wrt: Vec<NodeId> = { graph.inputs().iter().copied() }
        .filter(|&i| graph.tensor_type(i).dtype == DType::F32)
        .collect();
    let seconds = median(15, 1, || {
        let swept = vjp(&graph, &[Seed::One], &wrt, &NoRules);
        assert!(swept.is_ok(), "the loss is differentiable");
    });
    let what = format!(
        "vjp of a 6-layer transformer, {} nodes",
        graph.nodes().len()
    );
    line(&what, format!("{:.2} ms", seconds * 1e3), "<= 10 ms");
    Ok(())
}

#[derive(Module)]
struct Mlp {
    hidden: Linear,
    output: Linear,
}

fn mlp_step(
    what: &str,
    limit: &str,
    optimizer: impl Fn(Vec<lazulite::nn::Param>) -> Box<dyn Optimizer>,
) -> Result<(), Box<dyn Error>> {
    let model = Mlp {
        hidden: Linear::new(784, 128),
        output: Linear::new(128, 10),
    };
    let mut optimizer = optimizer(model.parameters());
    let x = Tensor::randn([32, 784]).realize()?;
    let y = Tensor::arange(0, 32, 1).remainder(10).realize()?;
    let mut step = || -> lazulite::Result<f32> {
        let hidden = model.hidden.forward(&x).relu();
        let loss = model.output.forward(&hidden).cross_entropy(&y);
        optimizer.step(&loss)?;
        loss.item::<f32>()
    };
    let start = Instant::now();
    let first = step()?;
    let cold = start.elapsed().as_secs_f64();
    step()?;
    let before = cache_stats().compilations;
    let seconds = median(15, 100, || {
        let loss = step();
        assert!(loss.is_ok_and(f32::is_finite), "the step works");
    });
    line(what, format!("{:.1} us", seconds * 1e6), limit);
    let compiled = cache_stats().compilations - before;
    line("  compilations while replaying", compiled.to_string(), "0");
    line(
        "  first step, compilation included",
        format!("{:.1} ms", cold * 1e3),
        "",
    );
    grows("  memory over 10,000 steps", || step().map(drop))?;
    let last = step()?;
    assert!(last < first, "training lowers the loss: {first} to {last}");
    Ok(())
}
