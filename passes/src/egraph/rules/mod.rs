//! The rules, grouped by what they rewrite. Name, class, pattern, condition and reason of each stand
//! together, and a program in which it must not fire.
//!
//! What needs no choice is in `canon`; rules here may make things worse on the way to something better.

mod arithmetic;
mod contract;
mod convert;
mod function;
mod join;
mod logic;
mod movement;
mod one_hot;
mod product;
mod reduce;
mod ring;

use super::Rule;
use super::space::{Space, Tree};
use egg::Id;
use lazulite_ir::{Dim, Dims, Op, Scalar};

/// All rules.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    const LISTS: &[&[Rule]] = &[
        arithmetic::RULES,
        function::RULES,
        logic::RULES,
        convert::RULES,
        movement::RULES,
        reduce::RULES,
        contract::RULES,
        join::RULES,
        one_hot::RULES,
    ];
    LISTS.iter().flat_map(|list| list.iter())
}

/// True for a constant at every place.
fn is_splat(space: &Space, id: Id) -> bool {
    space.splat(id).is_some()
}

fn same_shape(space: &Space, a: Id, b: Id) -> bool {
    space.dims(a) == space.dims(b)
}

/// The number `value` in the type of `like`.
fn number(space: &Space, like: Id, value: i64) -> Tree {
    let ty = space.ty(like);
    Tree::Splat(Scalar::from_i64(ty.dtype, value), ty.dims.clone())
}

/// What a class repeats: classes of equal rank of which it is an Expand.
fn repeats(space: &Space, id: Id) -> impl Iterator<Item = Id> + '_ {
    let expands = space
        .terms(id)
        .filter(|(op, _)| matches!(op, Op::Expand { .. }));
    expands.map(|(_, x)| x[0])
}

/// What a class repeats along all of `axes`, which have size 1 in it.
fn repeats_along(space: &Space, id: Id, axes: &[u32]) -> Option<Id> {
    let unit = |x: &Id| axes.iter().all(|&a| space.dims(*x)[a as usize].is(1));
    repeats(space, id).find(unit)
}

/// The dims without those of `axes`.
fn without(dims: &Dims, axes: &[u32]) -> Dims {
    let kept = dims
        .iter()
        .enumerate()
        .filter(|(i, _)| !axes.contains(&(*i as u32)));
    kept.map(|(_, d)| d.clone()).collect()
}

/// The number of elements along `axes`, where that is known.
fn extent(dims: &Dims, axes: &[u32]) -> Option<i64> {
    Dim::product(axes.iter().map(|&a| &dims[a as usize]))
        .ok()?
        .as_const()
}
