//! Random draws, whose values nobody expects: what they must reject.

use super::{Entry, op};
use crate::call::{Bound, Done, Outcome};
use lazulite::Tensor;

pub(super) const TABLE: &[Entry] = &[
    op("uniform", |a| {
        let (from, to) = (a.float("from")?, a.float("to")?);
        filled(a, |x| x.uniform_(from, to))
    }),
    op("normal", |a| {
        let (mean, std) = (a.float("mean")?, a.float("std")?);
        filled(a, |x| x.normal_(mean, std))
    }),
    op("log_normal", |a| {
        let (mean, std) = (a.float("mean")?, a.float("std")?);
        filled(a, |x| x.log_normal_(mean, std))
    }),
    op("cauchy", |a| {
        let (median, sigma) = (a.float("median")?, a.float("sigma")?);
        filled(a, |x| x.cauchy_(median, sigma))
    }),
    op("exponential", |a| {
        let rate = a.float("lambd")?;
        filled(a, |x| x.exponential_(rate))
    }),
    op("geometric", |a| {
        let p = a.float("p")?;
        filled(a, |x| x.geometric_(p))
    }),
    op("empty_permuted", |a| {
        // There is one order in memory here; a wanted one must only be an order.
        let x = Tensor::zeros(&a.counts("size")?);
        x.permute(a.ints("physical_layout")?).check()?;
        x.done()
    }),
    op("multinomial", |a| {
        let (count, replacement) = (a.count("num_samples")?, a.flag("replacement")?);
        a.input()?.multinomial(count, replacement).done()
    }),
];

/// Fills the first parameter in place.
fn filled(a: &Bound, fill: impl Fn(&mut Tensor) -> &mut Tensor) -> Outcome {
    let mut x = a.input()?;
    fill(&mut x);
    x.done()
}
