//! torch.nn.functional: activations, losses, normalisation, embeddings, attention.

use super::{Entry, op};
use crate::call::{Bound, Done, Outcome, Refusal};
use crate::value::Value;
use lazulite::{
    AttentionOptions, BagMode, BagOptions, EmbeddingOptions, HeadWeights, RunningStats, Tensor,
    TensorCell, TripletOptions,
};

pub(super) const TABLE: &[Entry] = &[
    // Activations.
    op("nn.functional.celu", |a| {
        a.input()?.celu_with(a.float("alpha")?).done()
    }),
    op("nn.functional.elu", |a| {
        a.input()?.elu_with(a.float("alpha")?).done()
    }),
    op("nn.functional.gelu", |a| {
        match a.text("approximate")?.as_str() {
            "tanh" => a.input()?.gelu_tanh().done(),
            "none" => a.input()?.gelu().done(),
            other => Err(Refusal::Rejected(format!(
                "there is no approximation {other}"
            ))),
        }
    }),
    op("nn.functional.glu", |a| {
        a.input()?.glu(a.int("dim")?).done()
    }),
    op("nn.functional.hardshrink", |a| {
        a.input()?.hardshrink_with(a.float("lambd")?).done()
    }),
    op("nn.functional.hardsigmoid", |a| {
        a.input()?.hardsigmoid().done()
    }),
    op("nn.functional.hardswish", |a| a.input()?.hardswish().done()),
    op("nn.functional.hardtanh", |a| {
        a.input()?
            .hardtanh_with(a.number("min_val")?, a.number("max_val")?)
            .done()
    }),
    op("nn.functional.leaky_relu", |a| {
        a.input()?
            .leaky_relu_with(a.float("negative_slope")?)
            .done()
    }),
    op("nn.functional.logsigmoid", |a| {
        a.input()?.logsigmoid().done()
    }),
    op("nn.functional.mish", |a| a.input()?.mish().done()),
    op("nn.functional.prelu", |a| {
        a.input()?.prelu(&a.tensor("weight")?).done()
    }),
    op("nn.functional.relu", |a| a.input()?.relu().done()),
    op("nn.functional.relu6", |a| a.input()?.relu6().done()),
    op("nn.functional.rrelu", |a| {
        a.input()?
            .rrelu(a.float("lower")?, a.float("upper")?, a.flag("training")?)
            .done()
    }),
    op("nn.functional.selu", |a| a.input()?.selu().done()),
    op("nn.functional.silu", |a| a.input()?.silu().done()),
    op("nn.functional.softmin", |a| {
        typed(a)?.softmin(softmax_axis(a)?).done()
    }),
    op("softmax", |a| typed(a)?.softmax(softmax_axis(a)?).done()),
    op("log_softmax", |a| {
        typed(a)?.log_softmax(softmax_axis(a)?).done()
    }),
    op("nn.functional.softplus", |a| {
        a.input()?
            .softplus_with(a.float("beta")?, a.float("threshold")?)
            .done()
    }),
    op("nn.functional.softshrink", |a| {
        a.input()?.softshrink_with(a.float("lambd")?).done()
    }),
    op("nn.functional.softsign", |a| a.input()?.softsign().done()),
    op("nn.functional.tanhshrink", |a| {
        a.input()?.tanhshrink().done()
    }),
    op("nn.functional.threshold", |a| {
        a.input()?
            .threshold(a.float("threshold")?, a.float("value")?)
            .done()
    }),
    op("nn.functional.dropout", |a| {
        a.input()?
            .dropout(a.float("p")?, a.flag("training")?)
            .done()
    }),
    op("nn.functional.dropout2d", |a| feature_dropout(a, 2)),
    op("nn.functional.dropout3d", |a| feature_dropout(a, 3)),
    op("nn.functional.alpha_dropout", |a| {
        a.input()?
            .alpha_dropout(a.float("p")?, a.flag("training")?)
            .done()
    }),
    op("nn.functional.feature_alpha_dropout", |a| {
        a.input()?
            .feature_alpha_dropout(a.float("p")?, a.flag("training")?)
            .done()
    }),
    // Losses.
    op("nn.functional.binary_cross_entropy", |a| {
        let weight = a.opt_tensor("weight")?;
        let (target, reduction) = (a.tensor("target")?, a.reduction()?);
        a.input()?
            .binary_cross_entropy_with(&target, weight.as_ref(), reduction)
            .done()
    }),
    op("nn.functional.binary_cross_entropy_with_logits", |a| {
        let (weight, positive) = (a.opt_tensor("weight")?, a.opt_tensor("pos_weight")?);
        let (x, target) = (a.input()?, a.tensor("target")?);
        x.binary_cross_entropy_with_logits_with(
            &target,
            weight.as_ref(),
            positive.as_ref(),
            a.reduction()?,
        )
        .done()
    }),
    op("nn.functional.cosine_embedding_loss", |a| {
        let (other, target) = (a.tensor("input2")?, a.tensor("target")?);
        a.input()?
            .cosine_embedding_loss_with(&other, &target, a.float("margin")?, a.reduction()?)
            .done()
    }),
    op("nn.functional.cosine_similarity", |a| {
        a.input()?
            .cosine_similarity_with(&a.tensor("x2")?, a.int("dim")?, a.float("eps")?)
            .done()
    }),
    op("nn.functional.cross_entropy", |a| {
        a.input()?
            .cross_entropy_with(&a.tensor("target")?, &a.classes()?)
            .done()
    }),
    op("nn.functional.nll_loss", |a| {
        a.input()?
            .nll_loss_with(&a.tensor("target")?, &a.classes()?)
            .done()
    }),
    op("nn.functional.linear_cross_entropy", linear_cross_entropy),
    op("nn.functional.ctc_loss", ctc_loss),
    op("nn.functional.gaussian_nll_loss", |a| {
        let (target, var) = (a.tensor("target")?, a.scalar_or_tensor("var")?);
        let (full, eps) = (a.flag("full")?, a.float("eps")?);
        a.input()?
            .gaussian_nll_loss_with(&target, &var, full, eps, a.reduction()?)
            .done()
    }),
    op("nn.functional.hinge_embedding_loss", |a| {
        let target = a.tensor("target")?;
        a.input()?
            .hinge_embedding_loss_with(&target, a.float("margin")?, a.reduction()?)
            .done()
    }),
    op("nn.functional.huber_loss", |a| {
        a.input()?
            .huber_loss_with(&a.tensor("target")?, a.float("delta")?, a.reduction()?)
            .done()
    }),
    op("nn.functional.kl_div", kl_div),
    op("nn.functional.l1_loss", |a| {
        a.input()?
            .l1_loss_with(&a.tensor("target")?, a.reduction()?)
            .done()
    }),
    op("nn.functional.margin_ranking_loss", |a| {
        let (other, target) = (a.tensor("input2")?, a.tensor("target")?);
        a.input()?
            .margin_ranking_loss_with(&other, &target, a.float("margin")?, a.reduction()?)
            .done()
    }),
    op("nn.functional.mse_loss", |a| {
        a.input()?
            .mse_loss_with(&a.tensor("target")?, a.reduction()?)
            .done()
    }),
    op("nn.functional.multi_margin_loss", |a| {
        let (target, weight) = (a.tensor("target")?, a.opt_tensor("weight")?);
        let (p, margin) = (a.int("p")?, a.float("margin")?);
        a.input()?
            .multi_margin_loss_with(&target, p, margin, weight.as_ref(), a.reduction()?)
            .done()
    }),
    op("nn.functional.multilabel_margin_loss", |a| {
        a.input()?
            .multilabel_margin_loss_with(&a.tensor("target")?, a.reduction()?)
            .done()
    }),
    op("nn.functional.multilabel_soft_margin_loss", |a| {
        let (target, weight) = (a.tensor("target")?, a.opt_tensor("weight")?);
        a.input()?
            .multilabel_soft_margin_loss_with(&target, weight.as_ref(), a.reduction()?)
            .done()
    }),
    op("nn.functional.pairwise_distance", |a| {
        let x = a.input()?;
        let result = x.pairwise_distance_with(&a.tensor("x2")?, a.float("p")?, a.float("eps")?);
        match a.flag("keepdim")? {
            true => x.keep_axes(&result, -1).done(),
            false => result.done(),
        }
    }),
    op("nn.functional.pdist", |a| {
        a.input()?.pdist(a.float("p")?).done()
    }),
    op("nn.functional.poisson_nll_loss", |a| {
        let (target, eps) = (a.tensor("target")?, a.float("eps")?);
        let (log, full) = (a.flag("log_input")?, a.flag("full")?);
        a.input()?
            .poisson_nll_loss_with(&target, log, full, eps, a.reduction()?)
            .done()
    }),
    op("nn.functional.smooth_l1_loss", |a| {
        a.input()?
            .smooth_l1_loss_with(&a.tensor("target")?, a.float("beta")?, a.reduction()?)
            .done()
    }),
    op("nn.functional.soft_margin_loss", |a| {
        a.input()?
            .soft_margin_loss_with(&a.tensor("target")?, a.reduction()?)
            .done()
    }),
    op("nn.functional.triplet_margin_loss", |a| {
        let (positive, negative) = (a.tensor("positive")?, a.tensor("negative")?);
        a.input()?
            .triplet_margin_loss_with(&positive, &negative, &triplet(a)?)
            .done()
    }),
    op(
        "nn.functional.triplet_margin_with_distance_loss",
        triplet_with_distance,
    ),
    // Normalisation.
    op("nn.functional.batch_norm", batch_norm),
    op("native_batch_norm", native_batch_norm),
    op("nn.functional.group_norm", |a| {
        let (weight, bias) = (a.opt_tensor("weight")?, a.opt_tensor("bias")?);
        let groups = a.count("num_groups")?;
        a.input()?
            .group_norm(groups, weight.as_ref(), bias.as_ref(), a.float("eps")?)
            .done()
    }),
    op("native_group_norm", |a| {
        let (weight, bias) = (a.opt_tensor("weight")?, a.opt_tensor("bias")?);
        let groups = a.count("group")?;
        a.input()?
            .group_norm_stats(groups, weight.as_ref(), bias.as_ref(), a.float("eps")?)
            .done()
    }),
    op("nn.functional.instance_norm", instance_norm),
    op("nn.functional.layer_norm", |a| {
        let (weight, bias) = (a.opt_tensor("weight")?, a.opt_tensor("bias")?);
        let axes = normalised_axes(a)?;
        a.input()?
            .layer_norm(axes, weight.as_ref(), bias.as_ref(), a.float("eps")?)
            .done()
    }),
    op("native_layer_norm", |a| {
        let (weight, bias) = (a.opt_tensor("weight")?, a.opt_tensor("bias")?);
        let axes = normalised_axes(a)?;
        a.input()?
            .layer_norm_stats(axes, weight.as_ref(), bias.as_ref(), a.float("eps")?)
            .done()
    }),
    op("nn.functional.local_response_norm", |a| {
        let (alpha, beta, k) = (a.float("alpha")?, a.float("beta")?, a.float("k")?);
        a.input()?
            .local_response_norm(a.count("size")?, alpha, beta, k)
            .done()
    }),
    op("nn.functional.normalize", |a| {
        a.input()?
            .normalize_with(a.float("p")?, a.int("dim")?, a.float("eps")?)
            .done()
    }),
    op("nn.functional.rms_norm", |a| {
        let weight = a.opt_tensor("weight")?;
        a.input()?
            .rms_norm(normalised_axes(a)?, weight.as_ref(), a.opt_float("eps")?)
            .done()
    }),
    // Embeddings, channels, attention.
    op("nn.functional.bilinear", |a| {
        let (other, weight) = (a.tensor("input2")?, a.tensor("weight")?);
        a.input()?
            .bilinear(&other, &weight, a.opt_tensor("bias")?.as_ref())
            .done()
    }),
    op("nn.functional.channel_shuffle", |a| {
        a.input()?.channel_shuffle(a.count("groups")?).done()
    }),
    op("nn.functional.embedding", |a| {
        let options = EmbeddingOptions {
            padding: a.opt_int("padding_idx")?,
            scale_grad_by_freq: a.flag("scale_grad_by_freq")?,
        };
        a.tensor("weight")?
            .embedding_with(&a.input()?, &options)
            .done()
    }),
    op("nn.functional.embedding_bag", embedding_bag),
    op("nn.functional.one_hot", |a| {
        let classes = a.int("num_classes")?;
        a.input()?
            .one_hot((classes != -1).then_some(usize::try_from(classes).unwrap_or(0)))
            .done()
    }),
    op("nn.functional.pixel_shuffle", |a| {
        a.input()?.pixel_shuffle(a.count("upscale_factor")?).done()
    }),
    op("nn.functional.pixel_unshuffle", |a| {
        a.input()?
            .pixel_unshuffle(a.count("downscale_factor")?)
            .done()
    }),
    op("nn.functional.scaled_dot_product_attention", |a| {
        let options = AttentionOptions {
            mask: a.opt_tensor("attn_mask")?,
            dropout: a.float("dropout_p")?,
            causal: a.flag("is_causal")?,
            scale: a.opt_float("scale")?,
            grouped: a.flag("enable_gqa")?,
        };
        let (key, value) = (a.tensor("key")?, a.tensor("value")?);
        a.input()?
            .scaled_dot_product_attention_with(&key, &value, &options)
            .done()
    }),
    op(
        "nn.functional.multi_head_attention_forward",
        multi_head_attention,
    ),
];

/// The input in the element type asked for.
fn typed(a: &Bound) -> Result<Tensor, Refusal> {
    let x = a.input()?;
    Ok(match a.opt_dtype("dtype")? {
        Some(dtype) => x.cast(dtype),
        None => x,
    })
}

/// Without an axis: 0 for 0, 1 or 3 axes, else 1.
fn softmax_axis(a: &Bound) -> Result<i64, Refusal> {
    match a.opt_int("dim")? {
        Some(axis) => Ok(axis),
        None => Ok(i64::from(!matches!(a.input()?.rank()?, 0 | 1 | 3))),
    }
}

fn feature_dropout(a: &Bound, spatial: usize) -> Outcome {
    a.input()?
        .feature_dropout(a.float("p")?, a.flag("training")?, spatial)
        .done()
}

fn linear_cross_entropy(a: &Bound) -> Outcome {
    let (weight, bias) = (a.tensor("linear_weight")?, a.opt_tensor("linear_bias")?);
    let (x, target) = (a.input()?, a.tensor("target")?);
    if a.has("ignore_index") && !target.dtype()?.is_int() {
        return Err(Refusal::Rejected(
            "probabilities have no class to ignore".into(),
        ));
    }
    // Further axes of the weight are axes of the logits behind the classes.
    let rows = weight.dim(0).value()? * (weight.rank()? as i64 - 1).min(1);
    let further: Vec<i64> = weight.dims()?[1..].iter().map(|d| *d as i64).collect();
    let features = further.last().copied().unwrap_or(1);
    let logits = x.linear(
        &weight.reshape([-1, features]),
        bias.map(|b| b.ravel()).as_ref(),
    );
    let logits = match further.len() {
        0 | 1 => logits,
        count => {
            let mut shape = vec![rows];
            shape.extend(&further[..count - 1]);
            logits.unflatten(-1, shape)
        }
    };
    logits.cross_entropy_with(&target, &a.classes()?).done()
}

fn ctc_loss(a: &Bound) -> Outcome {
    let (inputs, targets) = (a.lengths("input_lengths")?, a.lengths("target_lengths")?);
    let labels = a.tensor("targets")?;
    let (blank, zero) = (a.int("blank")?, a.flag("zero_infinity")?);
    a.input()?
        .ctc_loss_with(&labels, &inputs, &targets, blank, a.reduction()?, zero)
        .done()
}

fn kl_div(a: &Bound) -> Outcome {
    let (x, target, log) = (a.input()?, a.tensor("target")?, a.flag("log_target")?);
    x.kl_div_with(&target, log, a.reduction()?).done()
}

fn triplet(a: &Bound) -> Result<TripletOptions, Refusal> {
    let defaults = TripletOptions::default();
    Ok(TripletOptions {
        margin: a.float("margin")?,
        // The loss with any distance has neither.
        p: a.float("p").unwrap_or(defaults.p),
        eps: a.float("eps").unwrap_or(defaults.eps),
        swap: a.flag("swap")?,
        reduction: a.reduction()?,
    })
}

fn triplet_with_distance(a: &Bound) -> Outcome {
    let (positive, negative) = (a.tensor("positive")?, a.tensor("negative")?);
    let number = |kwargs: &[(String, Value)], name: &str, default: f64| {
        let given = kwargs.iter().find(|(n, _)| n == name);
        match given {
            Some((_, Value::Float(v))) => *v,
            _ => default,
        }
    };
    let (p, eps) = match a.value("distance_function")? {
        Value::None => (2.0, 1e-6),
        Value::Module(name, args, kwargs) if name == "nn.PairwiseDistance" && args.is_empty() => {
            (number(kwargs, "p", 2.0), number(kwargs, "eps", 1e-6))
        }
        other => {
            let message = format!("the distance {other:?} is not supported");
            return Err(Refusal::Unsupported(message));
        }
    };
    let distance = |x: &Tensor, y: &Tensor| x.pairwise_distance_with(y, p, eps);
    let options = triplet(a)?;
    a.input()?
        .triplet_margin_with_distance_loss(&positive, &negative, distance, &options)
        .done()
}

/// Running statistics in cells, if there are some.
fn running(a: &Bound) -> Result<Option<RunningStats>, Refusal> {
    match (a.opt_tensor("running_mean")?, a.opt_tensor("running_var")?) {
        (Some(mean), Some(var)) => Ok(Some(RunningStats {
            mean: TensorCell::new(mean),
            var: TensorCell::new(var),
            momentum: a.float("momentum")?.into(),
        })),
        _ => Ok(None),
    }
}

/// Notes what the call leaves in the running statistics.
fn moved(a: &Bound, running: &Option<RunningStats>) -> Result<(), Refusal> {
    if let Some(running) = running {
        a.changed("running_mean", running.mean.get())?;
        a.changed("running_var", running.var.get())?;
    }
    Ok(())
}

fn batch_norm(a: &Bound) -> Outcome {
    let (weight, bias, running) = (a.opt_tensor("weight")?, a.opt_tensor("bias")?, running(a)?);
    let (training, eps) = (a.flag("training")?, a.float("eps")?);
    let result = a.input()?.batch_norm(
        running.as_ref(),
        weight.as_ref(),
        bias.as_ref(),
        training,
        eps,
    );
    moved(a, &running)?;
    result.done()
}

fn native_batch_norm(a: &Bound) -> Outcome {
    let x = a.input()?;
    let Value::Tensor(result) = batch_norm(a)? else {
        return Err(Refusal::Mistake("a tensor was expected".into()));
    };
    if !a.flag("training")? {
        let nothing = Tensor::zeros([0]);
        return (result, nothing.clone(), nothing).done();
    }
    let (mean, variance) = x.channel_stats();
    (result, mean, variance.add(a.float("eps")?).rsqrt()).done()
}

fn instance_norm(a: &Bound) -> Outcome {
    let (weight, bias, running) = (a.opt_tensor("weight")?, a.opt_tensor("bias")?, running(a)?);
    let (own, eps) = (a.flag("use_input_stats")?, a.float("eps")?);
    let result =
        a.input()?
            .instance_norm(running.as_ref(), weight.as_ref(), bias.as_ref(), own, eps);
    moved(a, &running)?;
    result.done()
}

/// How many of the last axes are normalised, if the sizes fit.
fn normalised_axes(a: &Bound) -> Result<usize, Refusal> {
    let sizes = a.ints("normalized_shape")?;
    let dims: Vec<i64> = a.input()?.dims()?.into_iter().map(|d| d as i64).collect();
    let fits = |t: &Option<Tensor>| match t {
        Some(t) => t
            .dims()
            .is_ok_and(|d| d.iter().map(|d| *d as i64).eq(sizes.iter().copied())),
        None => true,
    };
    let parts = [
        a.opt_tensor("weight")?,
        a.opt_tensor("bias").unwrap_or(None),
    ];
    match !sizes.is_empty() && dims.ends_with(&sizes) && parts.iter().all(fits) {
        true => Ok(sizes.len()),
        false => Err(Refusal::Rejected(format!(
            "{dims:?} does not end with {sizes:?}"
        ))),
    }
}

fn embedding_bag(a: &Bound) -> Outcome {
    let options = BagOptions {
        offsets: a.opt_tensor("offsets")?,
        include_last_offset: a.flag("include_last_offset")?,
        mode: match a.text("mode")?.as_str() {
            "sum" => BagMode::Sum,
            "mean" => BagMode::Mean,
            "max" => BagMode::Max,
            other => return Err(Refusal::Rejected(format!("there is no mode {other}"))),
        },
        weights: a.opt_tensor("per_sample_weights")?,
        padding: a.opt_int("padding_idx")?,
    };
    a.tensor("weight")?
        .embedding_bag(&a.input()?, &options)
        .done()
}

fn multi_head_attention(a: &Bound) -> Outcome {
    let projections = match a.flag("use_separate_proj_weight")? {
        true => [
            a.tensor("q_proj_weight")?,
            a.tensor("k_proj_weight")?,
            a.tensor("v_proj_weight")?,
        ],
        false => {
            let joined = a.tensor("in_proj_weight")?.chunk(3, 0);
            <[Tensor; 3]>::try_from(joined)
                .map_err(|_| Refusal::Rejected("the projections are not three".into()))?
        }
    };
    if a.float("dropout_p")? > 0.0 && a.flag("training")? {
        return Err(Refusal::Unsupported(
            "random results have no expected value".into(),
        ));
    }
    let weights = HeadWeights {
        heads: a.count("num_heads")?,
        projections,
        projection_bias: a.opt_tensor("in_proj_bias")?,
        extra: a.opt_tensor("bias_k")?.zip(a.opt_tensor("bias_v")?),
        add_zero: a.flag("add_zero_attn")?,
        output: (a.tensor("out_proj_weight")?, a.opt_tensor("out_proj_bias")?),
        mask: a.opt_tensor("attn_mask")?,
        key_padding: a.opt_tensor("key_padding_mask")?,
        dropout: 0.0,
    };
    a.input()?
        .multi_head_attention(&a.tensor("key")?, &a.tensor("value")?, &weights)
        .done()
}
