//! Matrix products by the laws of rings: factors outside, chains in another order, sums of products recognised.

use super::product::{Label, Product, product, reordered, with_operand};
use super::{repeats, repeats_along};
use crate::egraph::rule::{At, Found};
use crate::egraph::space::{Space, Tree};
use egg::Id;
use lazulite_ir::{Binary, Combine, Dim, Dims, Op, Unary};

/// Pairs of a term and a factor or divisor of it, with the operation.
fn scaled<'a>(
    space: &'a Space,
    id: Id,
    divisors: bool,
) -> impl Iterator<Item = (&'a Op, Id, Id)> + 'a {
    space.terms(id).flat_map(move |(op, x)| {
        let pairs: &[(usize, usize)] = match op {
            Op::Binary { f: Binary::Mul } => &[(0, 1), (1, 0)],
            Op::Binary { f: Binary::Div } if divisors => &[(0, 1)],
            _ => &[],
        };
        pairs.iter().map(move |&(t, f)| (op, x[t], x[f]))
    })
}

pub(super) fn contract_of_scaled(space: &Space, at: &At<'_>, found: &mut Found, integers: bool) {
    let Some((own, ranks)) = product(space, at.op, at.x) else {
        return;
    };
    let dtype = space.dtype(at.class);
    if integers != dtype.is_int() || dtype != space.dtype(at.x[0]) || dtype.is_complex() {
        return;
    }
    for side in 0..2 {
        for (op, term, factor) in scaled(space, at.x[side], !integers) {
            let Some(factor) = repeats_along(space, factor, &own.sum[side]) else {
                continue;
            };
            let rest = own.rest(side, ranks[side]);
            let order: Vec<u32> = own.batch[side]
                .iter()
                .chain(&rest)
                .chain(&own.sum[side])
                .copied()
                .collect();
            let dims = space.dims(factor);
            let dim = |&a: &u32| dims[a as usize].clone();
            let units = own.rest(1 - side, ranks[1 - side]).len();
            let mut beside: Dims = own.batch[side].iter().map(dim).collect();
            let units = std::iter::repeat_n(Dim::ONE, units);
            if side == 0 {
                beside.extend(rest.iter().map(dim).chain(units));
            } else {
                beside.extend(units.chain(rest.iter().map(dim)));
            }
            let factor = Tree::reshape(Tree::permute(factor, order), beside);
            let factor = Tree::expand(factor, space.dims(at.class).clone());
            let product = Tree::Op(at.op.clone(), with_operand(at.x, side, term.into()));
            found.equal(at.class, Tree::Op(op.clone(), vec![product, factor]));
        }
    }
}

pub(super) fn scaled_contract(space: &Space, at: &At<'_>, found: &mut Found) {
    let pairs: &[(usize, usize)] = match at.op {
        Op::Binary { f: Binary::Mul } => &[(0, 1), (1, 0)],
        _ => &[(0, 1)],
    };
    if !space.dtype(at.class).is_float() {
        return;
    }
    for &(term, factor) in pairs {
        let everywhere = |x: &Id| space.dims(*x).iter().all(|d| d.is(1));
        let Some(factor) = repeats(space, at.x[factor]).find(everywhere) else {
            continue;
        };
        for (op, x) in space.terms(at.x[term]) {
            let Op::Contract { .. } = op else { continue };
            if space.dtype(x[0]) != space.dtype(at.class) {
                continue;
            }
            for side in 0..2 {
                let dims = space.dims(x[side]).clone();
                let unit = Tree::reshape(factor, dims.iter().map(|_| Dim::ONE).collect());
                let operands = vec![x[side].into(), Tree::expand(unit, dims)];
                let operand = Tree::Op(at.op.clone(), operands);
                found.equal(
                    at.class,
                    Tree::Op(op.clone(), with_operand(x, side, operand)),
                );
            }
        }
    }
}

pub(super) fn contract_of_neg(space: &Space, at: &At<'_>, found: &mut Found) {
    let neg = Op::Unary { f: Unary::Neg };
    // The smallest integer negated in a narrow type is not its opposite in a wider one.
    if space.dtype(at.class) != space.dtype(at.x[0]) {
        return;
    }
    for side in 0..2 {
        for (_, x) in space.terms(at.x[side]).filter(|(op, _)| **op == neg) {
            let product = Tree::Op(at.op.clone(), with_operand(at.x, side, x[0].into()));
            found.equal(at.class, Tree::op(neg.clone(), product));
        }
    }
}

/// `(ab)c` as `a(bc)` where `side` is 0, `a(bc)` as `(ab)c` where it is 1.
pub(super) fn chain(space: &Space, at: &At<'_>, found: &mut Found, side: usize) {
    let Some((outer, outer_ranks)) = product(space, at.op, at.x) else {
        return;
    };
    let far = at.x[1 - side];
    for (op, x) in space.terms(at.x[side]) {
        let Some((inner, ranks)) = product(space, op, x) else {
            continue;
        };
        let dtype = space.dtype(far);
        if [inner.acc, outer.acc, space.dtype(x[0])] != [dtype; 3] {
            continue;
        }
        let Some([new_outer, new_inner]) =
            reassociated((&outer, outer_ranks), (&inner, ranks), side)
        else {
            continue;
        };
        // The operand in the middle is the right one of a left product.
        let (near, middle) = (x[side], x[1 - side]);
        let tree = match side {
            0 => new_outer.tree(near, new_inner.tree(middle, far)),
            _ => new_outer.tree(new_inner.tree(far, middle), near),
        };
        found.equal(at.class, tree);
    }
}

/// The outer and the inner product after that, if the outer one sums axes of the inner one that all come from the
/// operand in the middle.
fn reassociated(
    (outer, outer_ranks): (&Product, [usize; 2]),
    (inner, ranks): (&Product, [usize; 2]),
    side: usize,
) -> Option<[Product; 2]> {
    let batch = outer.batch[0].len();
    let all: Vec<u32> = (0..batch as u32).collect();
    if inner.batch[0].len() != batch || outer.batch[side] != all {
        return None;
    }
    let middle = 1 - side;
    // Axes of a left operand stand before those of the right one.
    let before = |product: &Product, ranks: [usize; 2], is_right: bool| match is_right {
        true => batch + product.rest(0, ranks[0]).len(),
        false => batch,
    };
    let rest = inner.rest(middle, ranks[middle]);
    let first = before(inner, ranks, side == 0);
    let of_middle = |&a: &u32| rest.get((a as usize).checked_sub(first)?).copied();
    let mut new_inner = outer.clone();
    new_inner.batch[side] = inner.batch[middle].clone();
    new_inner.sum[side] = { outer.sum[side].iter() }
        .map(of_middle)
        .collect::<Option<_>>()?;
    // Where the new inner product has the axes that the old one summed.
    let kept = new_inner.rest(side, ranks[middle]);
    let first = before(outer, outer_ranks, side == 1);
    let place = |a: &u32| {
        { kept.iter() }
            .position(|k| k == a)
            .map(|p| (first + p) as u32)
    };
    let mut new_outer = inner.clone();
    new_outer.batch[middle] = all;
    new_outer.sum[middle] = { inner.sum[middle].iter() }
        .map(place)
        .collect::<Option<_>>()?;
    Some([new_outer, new_inner])
}

pub(super) fn factor_contract(space: &Space, at: &At<'_>, found: &mut Found, integers: bool) {
    if integers != space.dtype(at.class).is_int() {
        return;
    }
    for (a, x) in space.terms(at.x[0]) {
        for (b, y) in space.terms(at.x[1]) {
            let product = matches!(a, Op::Contract { acc, .. } if *acc == space.dtype(x[0]));
            if !product || a != b {
                continue;
            }
            for common in 0..2 {
                let other = 1 - common;
                let same = space.find(x[common]) == space.find(y[common]);
                if same && space.ty(x[other]) == space.ty(y[other]) {
                    let both = Tree::binary(Binary::Add, x[other], y[other]);
                    found.equal(at.class, Tree::Op(a.clone(), with_operand(x, other, both)));
                }
            }
        }
    }
}

pub(super) fn sum_of_contract(space: &Space, at: &At<'_>, found: &mut Found) {
    let Op::Reduce {
        kind: Combine::Sum,
        axes,
    } = at.op
    else {
        return;
    };
    for (op, x) in space.terms(at.x[0]) {
        let Some((own, ranks)) = product(space, op, x) else {
            continue;
        };
        if own.acc != space.dtype(x[0]) {
            continue;
        }
        let batch = own.batch[0].len();
        let labels = own.labels(ranks);
        if axes.iter().any(|&a| (a as usize) < batch) {
            continue;
        }
        let mut new = own.clone();
        let mut operands = [Tree::Class(x[0]), Tree::Class(x[1])];
        for side in 0..2 {
            let of_side = axes
                .iter()
                .map(|&a| labels[a as usize])
                .filter(|l| l.0 == side);
            let mut gone: Vec<u32> = of_side.map(|l| l.1).collect();
            gone.sort_unstable();
            if gone.is_empty() {
                continue;
            }
            let left = |a: &u32| a - gone.iter().filter(|g| *g < a).count() as u32;
            new.batch[side] = own.batch[side].iter().map(left).collect();
            new.sum[side] = own.sum[side].iter().map(left).collect();
            let op = Op::Reduce {
                kind: Combine::Sum,
                axes: gone,
            };
            operands[side] = Tree::op(op, x[side]);
        }
        found.equal(at.class, Tree::Op(new.op(), operands.into()));
    }
}

/// A sum over products as a contraction: axes that both operands have are summed or batch, those that one of
/// them repeats are the other's rest.
pub(super) fn products_summed(space: &Space, at: &At<'_>, found: &mut Found) {
    let Op::Reduce {
        kind: Combine::Sum,
        axes,
    } = at.op
    else {
        return;
    };
    let (dtype, full) = (space.dtype(at.class), space.dims(at.x[0]));
    if !(dtype.is_int() || dtype.is_float()) {
        return;
    }
    let mul = Op::Binary { f: Binary::Mul };
    for (_, x) in space.terms(at.x[0]).filter(|(op, _)| **op == mul) {
        let below = [0, 1].map(|side| repeats(space, x[side]).next().unwrap_or(x[side]));
        // Per axis, which of the operands have it.
        let has =
            |side: usize, axis: usize| !space.dims(below[side])[axis].is(1) || full[axis].is(1);
        let long = (0..full.len()).filter(|&a| !full[a].is(1));
        let only = |side: usize| long.clone().any(|a| has(side, a) && !has(1 - side, a));
        let summed = |a: usize| axes.contains(&(a as u32));
        let all_shared = (0..full.len()).all(|a| match (has(0, a), has(1, a)) {
            (true, true) => true,
            (false, false) => false,
            _ => !summed(a),
        });
        if !all_shared || !only(0) || !only(1) {
            continue;
        }
        let mut own = Product {
            batch: Default::default(),
            sum: Default::default(),
            acc: dtype,
        };
        let mut operands = Vec::new();
        let mut names: [Vec<u32>; 2] = Default::default();
        for side in 0..2 {
            names[side] = (0..full.len() as u32)
                .filter(|&a| has(side, a as usize))
                .collect();
            let dims = names[side]
                .iter()
                .map(|&a| full[a as usize].clone())
                .collect();
            operands.push(Tree::reshape(below[side], dims));
            for (place, &axis) in (0u32..).zip(&names[side]) {
                match (has(1 - side, axis as usize), summed(axis as usize)) {
                    (true, true) => own.sum[side].push(place),
                    (true, false) => own.batch[side].push(place),
                    (false, _) => {}
                }
            }
        }
        let labels = own.labels([names[0].len(), names[1].len()]);
        let labels: Vec<Label> = labels
            .into_iter()
            .map(|(s, a)| (0, names[s][a as usize]))
            .collect();
        let kept = (0..full.len() as u32).filter(|a| !axes.contains(a));
        let wanted: Vec<Label> = kept.map(|a| (0, a)).collect();
        if let Some(tree) = reordered(Tree::Op(own.op(), operands), &labels, &wanted) {
            found.equal(at.class, tree);
        }
    }
}
