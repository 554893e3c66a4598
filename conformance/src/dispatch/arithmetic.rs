//! Functions of elements at the same place.

use super::{Entry, op, with};
use crate::call::Done;

pub(super) const TABLE: &[Entry] = &[
    op("add", |a| a.input()?.add(a.other()?).done()),
    op("sin", |a| a.input()?.sin().done()),
    with("sum", "input, dim=None, keepdim=False, *, dtype=None", |a| {
        a.input()?.sum(a.axes("dim")?).done()
    }),
];
