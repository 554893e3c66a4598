//! Whole models at their real sizes, with random weights.

use super::{Entry, Workload, compiled, state};
use lazulite::AttentionOptions;
use lazulite::nn::{
    AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Embedding, Layer, LayerNorm, Linear, MaxPool2d, Module,
};
use lazulite::prelude::*;

/// These workloads.
pub fn entries() -> Vec<Entry> {
    vec![
        Entry::new("infer_gpt2_small_t128_b1", gpt2),
        Entry::new("decode_gpt2_small", decode),
        Entry::new("infer_resnet50_b1", || resnet50(1)),
        Entry::new("infer_resnet50_b8", || resnet50(8)),
        Entry::new("infer_bert_base_s128_b1", bert),
    ]
}

/// Self-attention by heads.
#[derive(Module)]
struct Attention {
    qkv: Linear,
    out: Linear,
    heads: usize,
    causal: bool,
}

impl Attention {
    /// Queries, keys and values of `[batch, length, width]`, each `[batch, heads, length, width / heads]`.
    fn project(&self, x: &Tensor) -> [Tensor; 3] {
        let parts = self
            .qkv
            .forward(x)
            .unflatten(-1, [3, self.heads as i64, -1]);
        [0, 1, 2].map(|part| parts.select(2, part).transpose(1, 2))
    }

    /// What queries find.
    fn attend(&self, query: &Tensor, key: &Tensor, value: &Tensor, causal: bool) -> Tensor {
        let options = AttentionOptions {
            causal,
            ..AttentionOptions::default()
        };
        let found = query.scaled_dot_product_attention_with(key, value, &options);
        self.out.forward(&found.transpose(1, 2).flatten(2, 3))
    }
}

impl Layer for Attention {
    fn forward(&self, x: &Tensor) -> Tensor {
        let [query, key, value] = self.project(x);
        self.attend(&query, &key, &value, self.causal)
    }
}

/// A layer of a transformer.
#[derive(Module)]
struct Block {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    wide: Linear,
    narrow: Linear,
    /// The activation of GPT-2.
    tanh: bool,
}

impl Block {
    fn new(width: usize, heads: usize, causal: bool, eps: f64, tanh: bool) -> Block {
        Block {
            norm1: LayerNorm::over(&[width], eps),
            attention: Attention {
                qkv: Linear::new(width, 3 * width),
                out: Linear::new(width, width),
                heads,
                causal,
            },
            norm2: LayerNorm::over(&[width], eps),
            wide: Linear::new(width, 4 * width),
            narrow: Linear::new(4 * width, width),
            tanh,
        }
    }

    fn expand(&self, x: &Tensor) -> Tensor {
        let hidden = self.wide.forward(x);
        let hidden = match self.tanh {
            true => hidden.gelu_tanh(),
            false => hidden.gelu(),
        };
        self.narrow.forward(&hidden)
    }

    /// Norms behind the sums, as in BERT.
    fn after(&self, x: &Tensor) -> Tensor {
        let x = self.norm1.forward(&(x + self.attention.forward(x)));
        self.norm2.forward(&(&x + self.expand(&x)))
    }

    /// One more token behind those whose keys and values `[2, batch, heads, length, size]` are known; also its own.
    fn decode(&self, x: &Tensor, cache: &Tensor) -> (Tensor, Tensor) {
        let [query, key, value] = self.attention.project(&self.norm1.forward(x));
        let keys = Tensor::cat(&[&cache.select(0, 0), &key], 2);
        let values = Tensor::cat(&[&cache.select(0, 1), &value], 2);
        let x = x + self.attention.attend(&query, &keys, &values, false);
        let x = &x + self.expand(&self.norm2.forward(&x));
        (x, Tensor::stack(&[&key, &value], 0))
    }
}

impl Layer for Block {
    /// Norms before attention and linear maps, as in GPT-2.
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = x + self.attention.forward(&self.norm1.forward(x));
        &x + self.expand(&self.norm2.forward(&x))
    }
}

/// A decoder whose output weights are those of its input table.
#[derive(Module)]
pub struct Gpt {
    tokens: Embedding,
    places: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

fn table(rows: usize, width: usize) -> Embedding {
    Embedding::of(Tensor::randn([rows, width]) * 0.02)
}

impl Gpt {
    /// With random weights.
    pub fn new(vocabulary: usize, length: usize, width: usize, layers: usize, heads: usize) -> Gpt {
        let block = |_| Block::new(width, heads, true, 1e-5, true);
        Gpt {
            tokens: table(vocabulary, width),
            places: table(length, width),
            blocks: (0..layers).map(block).collect(),
            norm: LayerNorm::new(width),
        }
    }

    fn small() -> Gpt {
        Gpt::new(50257, 1024, 768, 12, 12)
    }

    fn head(&self, x: &Tensor) -> Tensor {
        let x = self.norm.forward(x);
        x.linear(&self.tokens.weight.get(), None)
    }

    /// Logits of what follows token `[batch, 1]` at `place`, given all layers' keys and values; and its own.
    fn decode(&self, token: &Tensor, place: &Tensor, caches: &Tensor) -> (Tensor, Tensor) {
        let mut x = self.tokens.forward(token) + self.places.forward(place);
        let mut own = Vec::with_capacity(self.blocks.len());
        for (i, block) in self.blocks.iter().enumerate() {
            let (next, cache) = block.decode(&x, &caches.select(0, i as i64));
            x = next;
            own.push(cache);
        }
        let own: Vec<&Tensor> = own.iter().collect();
        (self.head(&x), Tensor::stack(&own, 0))
    }
}

impl Layer for Gpt {
    fn forward(&self, tokens: &Tensor) -> Tensor {
        let places = self.places.forward(&Tensor::iota(tokens.dim(1)));
        let x = self.tokens.forward(tokens) + places;
        let x = self.blocks.iter().fold(x, |x, block| block.forward(&x));
        self.head(&x)
    }
}

fn gpt2() -> Result<Workload> {
    let model = Gpt::small();
    let x = Tensor::randint(0, 50257, [1, 128]);
    compiled([("x", x)], state(&model), move |[x]| model.forward(&x))
}

fn decode() -> Result<Workload> {
    let model = Gpt::small();
    let inputs = [
        ("token", Tensor::randint(0, 50257, [1, 1])),
        ("place", Tensor::full_of([1, 1], 512, DType::I64)),
        ("caches", Tensor::randn([12, 2, 1, 12, 512, 64])),
    ];
    compiled(inputs, state(&model), move |[token, place, caches]| {
        model.decode(&token, &place, &caches)
    })
}

/// BERT's encoder with its pooler.
#[derive(Module)]
struct Bert {
    tokens: Embedding,
    places: Embedding,
    segments: Embedding,
    norm: LayerNorm,
    blocks: Vec<Block>,
    pooler: Linear,
}

fn bert() -> Result<Workload> {
    let model = Bert {
        tokens: table(30522, 768),
        places: table(512, 768),
        segments: table(2, 768),
        norm: LayerNorm::over(&[768], 1e-12),
        blocks: { 0..12 }
            .map(|_| Block::new(768, 12, false, 1e-12, false))
            .collect(),
        pooler: Linear::new(768, 768),
    };
    let inputs = [
        ("x", Tensor::randint(0, 30522, [1, 128])),
        ("segments", Tensor::randint(0, 2, [1, 128])),
    ];
    compiled(inputs, state(&model), move |[x, segments]| {
        let places = model.places.forward(&Tensor::iota(x.dim(1)));
        let x = model.tokens.forward(&x) + model.segments.forward(&segments) + places;
        let x = model.norm.forward(&x);
        let x = model.blocks.iter().fold(x, |x, block| block.after(&x));
        let pooled = model.pooler.forward(&x.select(1, 0)).tanh();
        (x, pooled)
    })
}

/// A convolution and its norm.
#[derive(Module)]
struct Unit {
    conv: Conv2d,
    norm: BatchNorm2d,
}

impl Unit {
    fn new(inputs: usize, outputs: usize, window: usize, stride: usize) -> Unit {
        let conv = Conv2d::new(inputs, outputs, window).stride(stride);
        Unit {
            conv: conv.padding(window / 2).without_bias(),
            norm: BatchNorm2d::new(outputs),
        }
    }
}

impl Layer for Unit {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.norm.forward(&self.conv.forward(x))
    }
}

#[derive(Module)]
struct Bottleneck {
    narrow: Unit,
    middle: Unit,
    wide: Unit,
    shortcut: Option<Unit>,
}

impl Bottleneck {
    fn new(inputs: usize, width: usize, stride: usize) -> Bottleneck {
        let outputs = 4 * width;
        let changes = stride != 1 || inputs != outputs;
        Bottleneck {
            narrow: Unit::new(inputs, width, 1, 1),
            middle: Unit::new(width, width, 3, stride),
            wide: Unit::new(width, outputs, 1, 1),
            shortcut: changes.then(|| Unit::new(inputs, outputs, 1, stride)),
        }
    }
}

impl Layer for Bottleneck {
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.narrow.forward(x).relu();
        let y = self.middle.forward(&y).relu();
        let same = self.shortcut.as_ref().map(|unit| unit.forward(x));
        (self.wide.forward(&y) + same.as_ref().unwrap_or(x)).relu()
    }
}

#[derive(Module)]
struct ResNet {
    stem: Unit,
    blocks: Vec<Bottleneck>,
    head: Linear,
}

impl Layer for ResNet {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.stem.forward(x).relu();
        let x = MaxPool2d::new(3).stride(2).padding(1).forward(&x);
        let x = self.blocks.iter().fold(x, |x, block| block.forward(&x));
        let x = AdaptiveAvgPool2d::new(1).forward(&x).flatten(1, 3);
        self.head.forward(&x)
    }
}

fn resnet50(batch: usize) -> Result<Workload> {
    let mut blocks = Vec::new();
    let mut inputs = 64;
    for (stage, count) in [3, 4, 6, 3].into_iter().enumerate() {
        let width = 64 << stage;
        for i in 0..count {
            let stride = if i == 0 && stage > 0 { 2 } else { 1 };
            blocks.push(Bottleneck::new(inputs, width, stride));
            inputs = 4 * width;
        }
    }
    let model = ResNet {
        stem: Unit::new(3, 64, 7, 2),
        blocks,
        head: Linear::new(2048, 1000),
    };
    model.eval();
    let x = Tensor::randn([batch, 3, 224, 224]);
    compiled([("x", x)], state(&model), move |[x]| model.forward(&x))
}
