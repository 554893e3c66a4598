//! Normalising layers.

use super::{Entry, Made, module};
use crate::call::{Bound, Refusal};
use lazulite::nn::{ChannelNorm, GroupNorm, LayerNorm, NormOptions, RmsNorm};

pub(super) const TABLE: &[Entry] = &[
    module("nn.BatchNorm1d", BATCH, channel_norm::<1, false>),
    module("nn.BatchNorm2d", BATCH, channel_norm::<2, false>),
    module("nn.BatchNorm3d", BATCH, channel_norm::<3, false>),
    module("nn.InstanceNorm1d", INSTANCE, channel_norm::<1, true>),
    module("nn.InstanceNorm2d", INSTANCE, channel_norm::<2, true>),
    module("nn.InstanceNorm3d", INSTANCE, channel_norm::<3, true>),
    module(
        "nn.GroupNorm",
        "num_groups, num_channels, eps=1e-05, affine=True, device=None, dtype=None, *, bias=True",
        |a| {
            let (groups, channels) = (a.count("num_groups")?, a.count("num_channels")?);
            let layer = GroupNorm::new(groups, channels, a.float("eps")?);
            Ok(Made::layer(match (a.flag("affine")?, a.flag("bias")?) {
                (true, true) => layer,
                (true, false) => layer.without_bias(),
                (false, _) => layer.without_weights(),
            }))
        },
    ),
    module(
        "nn.LayerNorm",
        "normalized_shape, eps=1e-05, elementwise_affine=True, bias=True, device=None, dtype=None",
        |a| {
            let layer = LayerNorm::over(&a.counts("normalized_shape")?, a.float("eps")?);
            Ok(Made::layer(
                match (a.flag("elementwise_affine")?, a.flag("bias")?) {
                    (true, true) => layer,
                    (true, false) => layer.without_bias(),
                    (false, _) => layer.without_weights(),
                },
            ))
        },
    ),
    module(
        "nn.RMSNorm",
        "normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None",
        |a| {
            let layer = RmsNorm::over(&a.counts("normalized_shape")?, a.opt_float("eps")?);
            Ok(Made::layer(match a.flag("elementwise_affine")? {
                true => layer,
                false => layer.without_weights(),
            }))
        },
    ),
];

const BATCH: &str = "num_features, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True, \
                     device=None, dtype=None, *, bias=True";
const INSTANCE: &str = "num_features, eps=1e-05, momentum=0.1, affine=False, \
                        track_running_stats=False, device=None, dtype=None, *, bias=True";

fn channel_norm<const AXES: usize, const EACH: bool>(a: &Bound) -> Result<Made, Refusal> {
    let options = NormOptions {
        eps: a.float("eps")?,
        momentum: a.opt_float("momentum")?,
        affine: a.flag("affine")?,
        bias: a.flag("bias")?,
        tracked: a.flag("track_running_stats")?,
    };
    let channels = a.count("num_features")?;
    Ok(Made::layer(ChannelNorm::<AXES, EACH>::with(
        channels, &options,
    )))
}
