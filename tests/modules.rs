//! Layers through the public interface: names of state, initial sizes, options, and what goes wrong.

use lazulite::nn::*;
use lazulite::prelude::*;
use lazulite::{PadMode, Padding, grad};

fn close(a: &Tensor, b: &Tensor) {
    let (a, b) = (a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(&b) {
        assert!((a - b).abs() < 1e-5, "{a} is not {b}");
    }
}

fn names(module: &impl Module) -> Vec<String> {
    let named = module.named_parameters().into_iter();
    named.map(|(name, _)| name).collect()
}

#[test]
fn recurrent_state_has_pytorchs_names() {
    let options = RecurrentOptions {
        layers: 2,
        bidirectional: true,
        projection: 2,
        ..RecurrentOptions::default()
    };
    let lstm = Lstm::with(4, 3, &options);
    let all = names(&lstm);
    assert_eq!(all.len(), 20);
    assert_eq!(
        all[..6],
        [
            "weight_ih_l0",
            "weight_hh_l0",
            "bias_ih_l0",
            "bias_hh_l0",
            "weight_hr_l0",
            "weight_ih_l0_reverse"
        ]
    );
    let state = lstm.state_dict();
    assert_eq!(state["weight_ih_l1_reverse"].dims().unwrap(), [12, 4]);
    assert_eq!(state["weight_hh_l1"].dims().unwrap(), [12, 2]);
    let (out, last) = lstm.forward(&Tensor::randn([5, 2, 4]), None);
    assert_eq!(out.dims().unwrap(), [5, 2, 4]);
    assert_eq!(last.hidden.dims().unwrap(), [4, 2, 2]);
    assert_eq!(last.cell.dims().unwrap(), [4, 2, 3]);
    assert_eq!(
        names(&GruCell::new(2, 3)),
        ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    );
}

#[test]
fn a_layer_over_a_sequence_is_its_cell_at_every_step() {
    let (gru, cell) = (Gru::new(3, 4, 1), GruCell::new(3, 4));
    let state = gru.state_dict().into_iter();
    let renamed: StateDict = state
        .map(|(name, t)| (name.trim_end_matches("_l0").to_string(), t))
        .collect();
    cell.load_state_dict(&renamed).unwrap();
    let x = Tensor::randn([6, 2, 3]).realize().unwrap();
    let (out, last) = gru.forward(&x, None);
    let mut state = None;
    for t in 0..6 {
        let next = cell.forward(&x.select(0, t), state.as_ref());
        close(&next, &out.select(0, t));
        state = Some(next);
    }
    close(&state.unwrap(), &last.select(0, 0));
}

#[test]
fn packed_sequences_give_what_each_gives_alone() {
    let options = RecurrentOptions {
        layers: 2,
        bidirectional: true,
        ..RecurrentOptions::default()
    };
    let lstm = Lstm::with(3, 4, &options);
    let lengths = [2, 5, 3];
    let each: Vec<Tensor> = { lengths.iter() }
        .map(|l| Tensor::randn([*l, 3]).realize().unwrap())
        .collect();
    let packed = PackedSequence::of(&each.iter().collect::<Vec<_>>());
    assert_eq!(packed.batch_sizes(), [3, 3, 2, 1, 1]);
    let (out, state) = lstm.forward_packed(&packed, None);
    for (i, (alone, together)) in each.iter().zip(out.unpack()).enumerate() {
        let (expected, last) = lstm.forward(alone, None);
        close(&together, &expected);
        close(&state.hidden.select(1, i as i64), &last.hidden);
        close(&state.cell.select(1, i as i64), &last.cell);
    }
    let uneven = PackedSequence::new(&Tensor::zeros([4, 2, 3]), &[5, 1], false);
    assert!(uneven.data().check().is_err());
}

#[test]
fn lazy_layers_take_their_sizes_from_the_first_call_or_a_state() {
    let layers = Sequential::new()
        .with(Conv1d::lazy(4, 3))
        .with(BatchNorm1d::lazy(&BatchNorm1d::DEFAULTS))
        .with(Relu)
        .with(Linear::lazy(2));
    let before = layers.parameters();
    assert!(before.iter().all(Param::is_pending));
    let error = layers.check().unwrap_err();
    assert!(error.to_string().contains("first call"), "{error}");
    let y = layers.forward(&Tensor::randn([2, 5, 8]));
    assert_eq!(y.dims().unwrap(), [2, 4, 2]);
    // An optimiser that was given them before has the same parameters.
    assert_eq!(before[0].get().dims().unwrap(), [4, 5, 3]);
    assert!(before.iter().all(Param::requires_grad));
    let loaded = Linear::lazy(2);
    loaded
        .load_state_dict(&Linear::new(7, 2).state_dict())
        .unwrap();
    assert_eq!(loaded.weight.get().dims().unwrap(), [2, 7]);
}

#[test]
fn batches_may_all_weigh_alike() {
    let options = NormOptions {
        momentum: None,
        ..BatchNorm1d::DEFAULTS
    };
    let norm = BatchNorm1d::with(1, &options);
    for values in [[1.0f32, 3.0], [5.0, 7.0], [0.0, 2.0]] {
        norm.forward(&Tensor::from_vec(values.to_vec(), [2, 1]))
            .realize()
            .unwrap();
    }
    let state = norm.state_dict();
    assert_eq!(state["num_batches_tracked"].item::<i64>().unwrap(), 3);
    close(&state["running_mean"], &Tensor::full([1], 3.0));
    close(&state["running_var"], &Tensor::full([1], 2.0));
}

#[test]
fn convolutions_pad_with_what_they_are_told() {
    let conv = Conv1d::new(2, 3, 4).padding(Padding::Same);
    let conv = conv.padding_mode(PadMode::Circular);
    let x = Tensor::randn([1, 2, 6]).realize().unwrap();
    let y = conv.forward(&x);
    let bias = conv.bias.as_ref().map(Param::get);
    let around = x.pad_last(&[1, 2], PadMode::Circular);
    let expected = around.conv(&conv.weight.get(), bias.as_ref());
    close(&y, &expected);
}

#[test]
fn attention_takes_keys_and_values_of_other_sizes() {
    let options = HeadOptions {
        kdim: Some(3),
        vdim: Some(5),
        add_bias_kv: true,
        batch_first: true,
        ..HeadOptions::default()
    };
    let attention = MultiheadAttention::with(4, 2, &options);
    let expected = [
        "q_proj_weight",
        "k_proj_weight",
        "v_proj_weight",
        "in_proj_bias",
        "bias_k",
        "bias_v",
        "out_proj.weight",
        "out_proj.bias",
    ];
    assert_eq!(names(&attention), expected);
    let (query, key) = (Tensor::randn([2, 6, 4]), Tensor::randn([2, 7, 3]));
    let value = Tensor::randn([2, 7, 5]);
    let (out, weights) = attention.forward(&query, &key, &value, &HeadMasks::default());
    assert_eq!(out.dims().unwrap(), [2, 6, 4]);
    assert_eq!(weights.dims().unwrap(), [2, 6, 8]);
    close(&weights.sum(-1), &Tensor::ones([2, 6]));
    let uneven = MultiheadAttention::new(5, 2);
    assert!(uneven.check().is_err());
}

#[test]
fn attending_is_attention_to_oneself() {
    let options = HeadOptions {
        batch_first: true,
        ..HeadOptions::default()
    };
    let attention = MultiheadAttention::with(4, 2, &options);
    let x = Tensor::randn([2, 5, 4]).realize().unwrap();
    let masks = HeadMasks {
        mask: Some(Tensor::ones([5, 5]).triu_with(1).gt(0)),
        key_padding: None,
    };
    close(
        &attention.attend(&x, true),
        &attention.forward(&x, &x, &x, &masks).0,
    );
}

#[test]
fn rows_of_a_table_may_stay_and_be_shortened() {
    let table = Embedding::of(Tensor::from_vec(
        vec![3.0f32, 4.0, 1.0, 0.0, 6.0, 8.0],
        [3, 2],
    ));
    let mut table = table.with_padding(-2);
    table.options.scale_grad_by_freq = true;
    let rows = Tensor::from_vec(vec![0i64, 1, 0, 2], [4]);
    let loss = table.forward(&rows).sum(..);
    let gradient = grad(&[&loss], &[&table.weight.get()]).unwrap();
    let expected = [1.0, 1.0, 0.0, 0.0, 1.0, 1.0];
    assert_eq!(gradient[0].to_vec::<f32>().unwrap(), expected);
    table.max_norm = Some((1.0, 2.0));
    let first = Tensor::from_vec(vec![0i64], [1]);
    let shortened = Tensor::from_vec(vec![0.6f32, 0.8], [1, 2]);
    close(&table.forward(&first), &shortened);
    // Others have not been asked for.
    close(
        &table.weight.get().select(0, 2),
        &Tensor::from_vec(vec![6.0f32, 8.0], [2]),
    );
}

#[test]
fn layers_that_cannot_be_built_say_so_wherever_they_are_used() {
    let lstm = Lstm::new(0, 3, 1);
    let error = lstm.check().unwrap_err();
    assert!(error.to_string().contains("tests/modules.rs"), "{error}");
    assert!(
        lstm.forward(&Tensor::ones([2, 1, 3]), None)
            .0
            .check()
            .is_err()
    );
    assert!(GroupNorm::new(3, 4, 1e-5).check().is_err());
    let gru = Gru::new(3, 5, 2);
    let wrong_state = gru.forward(&Tensor::ones([2, 1, 3]), Some(&Tensor::zeros([1, 1, 5])));
    assert!(wrong_state.0.check().is_err());
    let wide = Tensor::ones([2, 1, 3]).cast(DType::F64);
    assert!(gru.forward(&wide, None).0.check().is_err());
    assert!(
        Pad2d::circular([1])
            .forward(&Tensor::ones([3]))
            .check()
            .is_err()
    );
    assert!(
        BatchNorm2d::new(3)
            .forward(&Tensor::ones([2, 3]))
            .check()
            .is_err()
    );
}

#[test]
fn a_transformer_has_pytorchs_names_and_sizes() {
    let options = TransformerOptions {
        feedforward: 8,
        activation: Tensor::gelu,
        norm_first: true,
        ..TransformerOptions::default()
    };
    let transformer = Transformer::new(4, 2, [1, 1], &options);
    let all = names(&transformer);
    assert_eq!(all[0], "encoder.layers.0.self_attn.in_proj_weight");
    assert!(all.contains(&"decoder.layers.0.multihead_attn.out_proj.bias".to_string()));
    assert_eq!(all.last().map(String::as_str), Some("decoder.norm.bias"));
    let (source, target) = (Tensor::randn([5, 2, 4]), Tensor::randn([3, 2, 4]));
    let forward = || transformer.forward(&source, &target, &TransformerMasks::default());
    assert_eq!(forward().dims().unwrap(), [3, 2, 4]);
    // In training elements are dropped.
    transformer.eval();
    close(&forward(), &forward());
}

#[test]
fn models_are_saved_and_loaded() {
    let folder = std::env::temp_dir().join(format!("lazulite-modules-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let build = || {
        let convolution = Conv2d::new(1, 2, 3).without_bias();
        Sequential::new()
            .with(convolution)
            .with(BatchNorm2d::new(2))
    };
    let (model, other) = (build(), build());
    model
        .forward(&Tensor::randn([4, 1, 5, 5]))
        .realize()
        .unwrap();
    for name in ["state.safetensors", "state.npz", "state.json"] {
        let path = folder.join(name);
        model.save(&path).unwrap();
        other.load(&path).unwrap();
        let (saved, read) = (model.state_dict(), other.state_dict());
        assert!(saved.keys().eq(read.keys()));
        for (path, tensor) in &saved {
            assert!(tensor.equal(&read[path]).unwrap(), "{path}");
        }
    }
    let path = folder.join("state.safetensors");
    // Boxed layers are modules, too; of others the state can be saved.
    let boxed: Box<dyn Layer> = Box::new(model);
    boxed.save(&path).unwrap();
    let mut state = StateDict::load(&path).unwrap();
    state.remove("1.bias");
    state.save(&path).unwrap();
    let before = other.state_dict()["0.weight"].clone();
    other
        .load_state_dict(&[("0.weight".to_string(), &before + 1.0)].into())
        .unwrap_err();
    let error = other.load(&path).unwrap_err();
    assert!(
        error.to_string().contains("the state lacks `1.bias`"),
        "{error}"
    );
    assert!(other.load(folder.join("none.safetensors")).is_err());
    assert!(other.save(folder.join("state.unknown")).is_err());
    assert!(other.state_dict()["0.weight"].equal(&before).unwrap());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn options_follow_the_constructors_of_layers() {
    let conv = Conv2d::new(4, 6, (3, 5)).stride((2, 1)).padding((1, 2));
    let conv = conv.dilation(1).groups(2).without_bias();
    assert_eq!(conv.weight.get().dims().unwrap(), [6, 2, 3, 5]);
    assert!(conv.bias.is_none());
    let x = Tensor::randn((1, 4, 8, 8));
    assert_eq!(conv.forward(&x).dims().unwrap(), [1, 6, 4, 8]);
    // Weights that nothing is changed about stay as they are.
    let weight = conv.weight.clone();
    assert!(conv.stride(1).weight.is(&weight));

    let lazy = Conv1d::lazy(6, 3).groups(3);
    assert!(lazy.weight.is_pending());
    assert_eq!(
        lazy.forward(&Tensor::ones((2, 3, 5))).dims().unwrap(),
        [2, 6, 3]
    );
    assert_eq!(lazy.weight.get().dims().unwrap(), [6, 1, 3]);

    let transposed = ConvTranspose2d::new(4, 2, 3)
        .stride(2)
        .padding(1)
        .output_padding(1);
    assert_eq!(transposed.forward(&x).dims().unwrap(), [1, 2, 16, 16]);
    assert_eq!(
        transposed.groups(2).weight.get().dims().unwrap(),
        [4, 1, 3, 3]
    );

    let pool = AvgPool2d::new(3)
        .stride(2)
        .padding(1)
        .count_include_pad(false);
    close(
        &pool.forward(&Tensor::ones((1, 1, 5, 5))),
        &Tensor::ones((1, 1, 3, 3)),
    );
    let pool = MaxPool1d::new(2).stride(2).ceil_mode(true);
    assert_eq!(
        pool.forward(&Tensor::ones((1, 1, 5))).dims().unwrap(),
        [1, 1, 3]
    );
    let pool = AdaptiveAvgPool2d::new((2, 4));
    assert_eq!(pool.forward(&x).dims().unwrap(), [1, 4, 2, 4]);
    assert!(Linear::new(2, 3).without_bias().bias.is_none());
    // More numbers than axes are found when the layer is called.
    let wrong = Conv2d::new(1, 1, 3).padding([1, 1, 1]);
    assert!(wrong.forward(&Tensor::ones((1, 1, 5, 5))).check().is_err());
}

#[test]
fn errors_of_loading_a_state_name_the_file_and_the_formats_that_can_be_loaded() {
    let text = |outcome: Result<()>| outcome.unwrap_err().to_string();
    let layer = Linear::new(3, 2);
    for name in ["README.md", "x.pt", "x.npy", "x.raw", "none"] {
        for error in [text(layer.load(name)), text(layer.save(name))] {
            assert!(
                error.contains(name) && error.contains("must end in .safetensors, .npz or .json"),
                "{error}"
            );
        }
    }
    let name = format!("lazulite-modules-{}.safetensors", std::process::id());
    let path = std::env::temp_dir().join(&name);
    for (other, what) in [
        (
            Linear::new(4, 2),
            "`weight` has sizes [2, 3], the state has [2, 4]",
        ),
        (Linear::new(3, 2).without_bias(), "the state lacks `bias`"),
    ] {
        other.save(&path).unwrap();
        let error = text(layer.load(&path));
        assert!(error.contains(&name) && error.contains(what), "{error}");
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn parameters_have_the_place_of_the_constructors_call() {
    let modules: Vec<(&str, Box<dyn Module>)> = vec![
        ("Linear", Box::new(Linear::new(2, 3))),
        ("Bilinear", Box::new(Bilinear::new(2, 3, 4))),
        ("Embedding", Box::new(Embedding::new(5, 2).with_padding(1))),
        (
            "EmbeddingBag",
            Box::new(EmbeddingBag::new(5, 2, Default::default())),
        ),
        ("LayerNorm", Box::new(LayerNorm::new(3))),
        ("RmsNorm", Box::new(RmsNorm::new(3))),
        ("GroupNorm", Box::new(GroupNorm::new(2, 4, 1e-5))),
        ("BatchNorm1d", Box::new(BatchNorm1d::new(3))),
        ("BatchNorm2d", Box::new(BatchNorm2d::new(3))),
        (
            "InstanceNorm1d",
            Box::new(InstanceNorm1d::with(3, &BatchNorm1d::DEFAULTS)),
        ),
        ("Conv2d", Box::new(Conv2d::new(2, 4, 3).groups(2))),
        ("ConvTranspose2d", Box::new(ConvTranspose2d::new(2, 4, 3))),
        (
            "MultiheadAttention",
            Box::new(MultiheadAttention::new(4, 2)),
        ),
        ("Rnn", Box::new(Rnn::new(2, 3, 1))),
        ("Gru", Box::new(Gru::new(2, 3, 1))),
        ("Lstm", Box::new(Lstm::new(2, 3, 2))),
        ("LstmCell", Box::new(LstmCell::new(2, 3))),
        ("Prelu", Box::new(Prelu::new(2))),
        (
            "LinearCrossEntropyLoss",
            Box::new(LinearCrossEntropyLoss::new(2, 3)),
        ),
        (
            "TransformerEncoderLayer",
            Box::new(TransformerEncoderLayer::new(4, 2, &Default::default())),
        ),
        (
            "TransformerDecoder",
            Box::new(TransformerDecoder::new(1, 4, 2, &Default::default())),
        ),
        (
            "TransformerEncoder",
            Box::new(TransformerEncoder::new(1, 4, 2, &Default::default())),
        ),
        (
            "Transformer",
            Box::new(Transformer::new(4, 2, [1, 1], &Default::default())),
        ),
    ];
    for (name, module) in &modules {
        let params = module.named_parameters().into_iter();
        let params = params.map(|(path, param)| (path, param.get()));
        let buffers = module.named_buffers().into_iter();
        let buffers = buffers.map(|(path, buffer)| (path, buffer.get()));
        for (path, tensor) in params.chain(buffers) {
            let e = tensor.reshape([7919]).check().unwrap_err();
            let place = e.operands()[0].place.unwrap();
            assert_eq!(place.file(), file!(), "{name}, {path}: {e}");
        }
    }
}

#[test]
fn mistakes_with_settings_have_the_place_of_the_constructors_call() {
    let options = |layers| RecurrentOptions {
        layers,
        ..Default::default()
    };
    let mistaken: Vec<(&str, Box<dyn Module>)> = vec![
        ("GroupNorm", Box::new(GroupNorm::new(3, 8, 1e-5))),
        (
            "MultiheadAttention",
            Box::new(MultiheadAttention::new(10, 3)),
        ),
        ("Rnn", Box::new(Rnn::with(2, 3, &options(0)))),
        ("Lstm", Box::new(Lstm::with(2, 3, &options(0)))),
        ("Gru", Box::new(Gru::new(2, 0, 1))),
        ("Conv2d", Box::new(Conv2d::new(3, 4, 3).groups(2))),
        ("lazy Linear", Box::new(Linear::lazy(2))),
        ("lazy Conv1d", Box::new(Conv1d::lazy(2, 3))),
        (
            "lazy BatchNorm1d",
            Box::new(BatchNorm1d::lazy(&BatchNorm1d::DEFAULTS)),
        ),
        (
            "TransformerEncoderLayer",
            Box::new(TransformerEncoderLayer::new(10, 3, &Default::default())),
        ),
    ];
    for (name, module) in &mistaken {
        let e = module.check().expect_err(name);
        assert_eq!(e.place().unwrap().file(), file!(), "{name}: {e}");
    }
}

#[test]
fn layers_shown_with_an_error_have_the_place_of_the_constructors_call() {
    let x = Tensor::ones([7, 2, 4]);
    let called = [
        ("Linear", Linear::new(5, 3).forward(&x)),
        ("LayerNorm", LayerNorm::new(5).forward(&x)),
        ("GroupNorm", GroupNorm::new(2, 4, 1e-5).forward(&x)),
        ("BatchNorm1d", BatchNorm1d::new(5).forward(&x)),
        ("Conv1d", Conv1d::new(5, 3, 1).forward(&x)),
        ("Lstm", Lstm::new(5, 3, 1).forward(&x, None).0),
        ("Gru", Gru::new(5, 3, 1).forward(&x, None).0),
        ("Rnn", Rnn::new(5, 3, 1).forward(&x, None).0),
    ];
    for (name, result) in called {
        let e = result.check().unwrap_err();
        assert_eq!(e.place().unwrap().file(), file!(), "{name}: {e}");
        let layer = { e.operands().iter() }.find(|o| o.role == "layer");
        let layer = layer.unwrap_or_else(|| panic!("{name} is not shown: {e}"));
        assert_eq!(layer.place.unwrap().file(), file!(), "{name}: {e}");
    }
}
