//! Matrix products: views absorbed, factors outside, chains in another order, sums of products recognised.

use super::product::{Label, Product, reordered};
use super::{repeats, repeats_along, without};
use crate::Numerics::{Algebra, Exact, Order};
use crate::egraph::Rule;
use crate::egraph::rule::{At, Found, code};
use crate::egraph::space::{Space, Tree};
use egg::Id;
use lazulite_ir::{Binary, Combine, Dim, Dims, Op, Unary};

const CONTRACT: &[&str] = &["contract"];

pub(super) const RULES: &[Rule] = &[
    code(
        "contract-of-permute",
        Exact,
        (CONTRACT, &["permute"]),
        contract_of_permute,
        "a product names the axes it sums: its operands need not be permuted",
        [
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[0], rhs_sum=[0], acc=T} (permute{perm=[1, 0]} ?a:T[m, n]) ?b:T[n, k])",
                "(contract{lhs_batch=[0], rhs_batch=[0], lhs_sum=[2], rhs_sum=[2], acc=T} ?a:T[2, 3, 4] (permute{perm=[1, 0, 2]} ?b:T[3, 2, 4]))",
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[0], rhs_sum=[0], acc=T} (permute{perm=[2, 1, 0]} ?a:T[m, n, k]) ?b:T[k, p])",
            ],
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[0], rhs_sum=[0], acc=f32} (reshape{dims=[3, 2]} ?a:f32[2, 3]) ?b:f32[3, 2])",
            ],
        ],
    ),
    code(
        "permute-of-contract",
        Exact,
        (&["permute"], CONTRACT),
        permute_of_contract,
        "the transpose of a product is the product of its operands the other way round",
        [
            &[
                "(permute{perm=[1, 0]} (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a:T[m, n] ?b:T[n, k]))",
            ],
            &[
                "(permute{perm=[1, 0, 2]} (contract{lhs_batch=[0], rhs_batch=[0], lhs_sum=[2], rhs_sum=[1], acc=f32} ?a:f32[2, 3, 4] ?b:f32[2, 4, 5]))",
            ],
        ],
    ),
    code(
        "contract-repeated-batch",
        Exact,
        (CONTRACT, &["expand"]),
        contract_repeated_batch,
        "with one operand for the whole batch the batch is more rows",
        [
            &[
                "(contract{lhs_batch=[0], rhs_batch=[0], lhs_sum=[2], rhs_sum=[1], acc=T} ?a:T[m, n, k] (expand{dims=[m, k, p]} ?b:T[1, k, p]))",
                "(contract{lhs_batch=[0], rhs_batch=[0], lhs_sum=[2], rhs_sum=[1], acc=T} (expand{dims=[m, n, k]} ?a:T[1, n, k]) ?b:T[m, k, p])",
            ],
            &[
                "(contract{lhs_batch=[0], rhs_batch=[0], lhs_sum=[2], rhs_sum=[1], acc=f32} ?a:f32[2, 3, 4] (expand{dims=[2, 4, 5]} ?b:f32[2, 4, 1]))",
            ],
        ],
    ),
    code(
        "contract-of-scaled",
        Algebra,
        (CONTRACT, &[]),
        |s, at, f| contract_of_scaled(s, at, f, false),
        "factors and divisors that all terms have in common are applied to the result",
        [
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} (mul ?a:T[m, n] 3) ?b:T[n, k])",
                "(contract{lhs_batch=[0], rhs_batch=[0], lhs_sum=[2], rhs_sum=[1], acc=T} (div ?a:T[2, m, n] (expand{dims=[2, m, n]} ?s:T[2, m, 1])) ?b:T[2, n, k])",
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[0], rhs_sum=[0], acc=T} ?a:T[n, m] (mul (expand{dims=[n, k]} ?s:T[1, k]) ?b:T[n, k]))",
            ],
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} (mul ?a:f32[2, 3] (expand{dims=[2, 3]} ?s:f32[1, 3])) ?b:f32[3, 4])",
            ],
        ],
    ),
    code(
        "contract-of-scaled-int",
        Exact,
        (CONTRACT, &["mul"]),
        |s, at, f| contract_of_scaled(s, at, f, true),
        "integers modulo 2^n are a ring",
        [
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} (mul ?a:T[m, n] 3) ?b:T[n, k])",
            ],
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} (mul ?a:f32[2, 3] 3) ?b:f32[3, 4])",
            ],
        ],
    ),
    code(
        "scaled-contract",
        Algebra,
        (&["mul", "div"], CONTRACT),
        scaled_contract,
        "a factor of everything is applied to whichever operand is smallest",
        [
            &[
                "(mul (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a:T[m, n] ?b:T[n, k]) 3)",
                "(div (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a:T[m, n] ?b:T[n, k]) 3)",
            ],
            &[
                "(mul (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} ?a:f32[2, 3] ?b:f32[3, 4]) (expand{dims=[2, 4]} ?s:f32[2, 1]))",
            ],
        ],
    ),
    code(
        "contract-of-neg",
        Order,
        (CONTRACT, &["neg"]),
        contract_of_neg,
        "a sign goes outside, where it meets others",
        [
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} (neg ?a:T[m, n]) ?b:T[n, k])",
            ],
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} (abs ?a:f32[2, 3]) ?b:f32[3, 4])",
            ],
        ],
    ),
    code(
        "chain-left",
        Algebra,
        (CONTRACT, &[]),
        |s, at, f| chain(s, at, f, 0),
        "products associate: (ab)c is a(bc)",
        [
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a:T[m, n] ?b:T[n, k]) ?c:T[k, p])",
                "(contract{lhs_batch=[0], rhs_batch=[0], lhs_sum=[2], rhs_sum=[1], acc=T} (contract{lhs_batch=[0], rhs_batch=[0], lhs_sum=[2], rhs_sum=[2], acc=T} ?a:T[2, m, n] ?b:T[2, k, n]) ?c:T[2, k, p])",
            ],
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[0], rhs_sum=[0], acc=f32} (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} ?a:f32[2, 3] ?b:f32[3, 4]) ?c:f32[2, 5])",
            ],
        ],
    ),
    code(
        "chain-right",
        Algebra,
        (CONTRACT, &[]),
        |s, at, f| chain(s, at, f, 1),
        "products associate: a(bc) is (ab)c",
        [
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a:T[m, n] (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?b:T[n, k] ?c:T[k, p]))",
                "(contract{lhs_batch=[0], rhs_batch=[0], lhs_sum=[2], rhs_sum=[1], acc=T} ?a:T[2, m, n] (contract{lhs_batch=[0], rhs_batch=[0], lhs_sum=[1], rhs_sum=[1], acc=T} ?b:T[2, k, n] ?c:T[2, k, p]))",
            ],
            &[
                "(contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[1], acc=f32} ?a:f32[2, 5] (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} ?b:f32[3, 4] ?c:f32[4, 5]))",
            ],
        ],
    ),
    code(
        "factor-contract",
        Algebra,
        (&["add"], CONTRACT),
        |s, at, f| factor_contract(s, at, f, false),
        "two products with a common operand are the product with a sum",
        [
            &[
                "(add (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a:T[m, n] ?b:T[n, k]) (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a ?c:T[n, k]))",
                "(add (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a:T[m, n] ?b:T[n, k]) (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?c:T[m, n] ?b))",
            ],
            &[
                "(add (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} ?a:f32[3, 3] ?b:f32[3, 3]) (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[1], acc=f32} ?a ?c:f32[3, 3]))",
            ],
        ],
    ),
    code(
        "factor-contract-int",
        Exact,
        (&["add"], CONTRACT),
        |s, at, f| factor_contract(s, at, f, true),
        "integers modulo 2^n are a ring",
        [
            &[
                "(add (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a:T[m, n] ?b:T[n, k]) (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a ?c:T[n, k]))",
            ],
            &[
                "(add (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} ?a:f32[3, 3] ?b:f32[3, 3]) (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=f32} ?a ?c:f32[3, 3]))",
            ],
        ],
    ),
    code(
        "sum-of-contract",
        Algebra,
        (&["reduce"], CONTRACT),
        sum_of_contract,
        "rows of a product need not be computed to be added up",
        [
            &[
                "(reduce{kind=sum, axes=[0]} (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a:T[m, n] ?b:T[n, k]))",
                "(reduce{kind=sum, axes=[2]} (contract{lhs_batch=[0], rhs_batch=[0], lhs_sum=[2], rhs_sum=[1], acc=T} ?a:T[2, m, n] ?b:T[2, n, k]))",
            ],
            &[
                "(reduce{kind=sum, axes=[0]} (contract{lhs_batch=[0], rhs_batch=[0], lhs_sum=[2], rhs_sum=[1], acc=f32} ?a:f32[2, 3, 4] ?b:f32[2, 4, 5]))",
            ],
        ],
    ),
    code(
        "slice-of-contract",
        Exact,
        (&["slice"], CONTRACT),
        slice_of_contract,
        "what is cut off need not be multiplied",
        [
            &[
                "(slice{start=[1, 0], len=[1, 1], step=[1, 1]} (contract{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[0], acc=T} ?a:T[3, n] ?b:T[n, k]))",
                "(slice{start=[1, 0, 0], len=[1, 1, 1], step=[1, 1, 1]} (contract{lhs_batch=[0], rhs_batch=[0], lhs_sum=[2], rhs_sum=[1], acc=T} ?a:T[2, 3, n] ?b:T[2, n, k]))",
            ],
            &["(slice{start=[1, 0], len=[1, 1], step=[1, 1]} (add ?a:f32[2, 3] ?b:f32[2, 3]))"],
        ],
    ),
    code(
        "products-summed",
        Order,
        (&["reduce"], &["mul", "expand"]),
        products_summed,
        "a sum of products of repeated operands is a matrix product",
        [
            &[
                "(reduce{kind=sum, axes=[1]} (mul (expand{dims=[m, n, k]} ?a:T[m, n, 1]) (expand{dims=[m, n, k]} ?b:T[1, n, k])))",
                "(reduce{kind=sum, axes=[2]} (mul (expand{dims=[2, 3, 4, 5]} ?a:T[2, 3, 4, 1]) (expand{dims=[2, 3, 4, 5]} ?b:T[2, 1, 4, 5])))",
                "(reduce{kind=sum, axes=[2]} (mul (expand{dims=[m, n, k]} ?a:T[1, n, k]) (expand{dims=[m, n, k]} ?b:T[m, 1, k])))",
            ],
            &[
                "(reduce{kind=max, axes=[1]} (mul (expand{dims=[2, 3, 4]} ?a:f32[2, 3, 1]) (expand{dims=[2, 3, 4]} ?b:f32[1, 3, 4])))",
            ],
        ],
    ),
];

/// The contraction that a term is, and the ranks of its operands.
fn product(space: &Space, op: &Op, x: &[Id]) -> Option<(Product, [usize; 2])> {
    let product = Product::of(op)?;
    Some((product, [space.dims(x[0]).len(), space.dims(x[1]).len()]))
}

/// `op` with one operand replaced.
fn with_operand(x: &[Id], side: usize, new: Tree) -> Vec<Tree> {
    let mut operands: Vec<Tree> = x.iter().map(|&x| x.into()).collect();
    operands[side] = new;
    operands
}

fn contract_of_permute(space: &Space, at: &At<'_>, found: &mut Found) {
    let Some((own, ranks)) = product(space, at.op, at.x) else {
        return;
    };
    for side in 0..2 {
        for (op, x) in space.terms(at.x[side]) {
            let Op::Permute { perm } = op else { continue };
            let mut new = own.clone();
            let moved = |axes: &Vec<u32>| axes.iter().map(|&a| perm[a as usize]).collect();
            new.batch[side] = moved(&own.batch[side]);
            new.sum[side] = moved(&own.sum[side]);
            let wanted = own
                .labels(ranks)
                .into_iter()
                .map(|(s, a)| (s, if s == side { perm[a as usize] } else { a }));
            let wanted: Vec<Label> = wanted.collect();
            let labels = new.labels(ranks);
            let tree = Tree::Op(new.op(), with_operand(at.x, side, x[0].into()));
            if let Some(tree) = reordered(tree, &labels, &wanted) {
                found.equal(at.class, tree);
            }
        }
    }
}

fn permute_of_contract(space: &Space, at: &At<'_>, found: &mut Found) {
    let Op::Permute { perm } = at.op else { return };
    for (op, x) in space.terms(at.x[0]) {
        let Some((own, ranks)) = product(space, op, x) else {
            continue;
        };
        let (batch, left) = (own.batch[0].len(), own.rest(0, ranks[0]).len());
        let right = own.rest(1, ranks[1]).len();
        // Batch axes stay, those of the right operand come before those of the left.
        let turned = (0..batch)
            .chain(batch + left..batch + left + right)
            .chain(batch..batch + left);
        if turned.map(|a| a as u32).eq(perm.iter().copied()) {
            let mut new = own;
            new.batch.reverse();
            new.sum.reverse();
            found.equal(at.class, new.tree(x[1], x[0]));
        }
    }
}

fn contract_repeated_batch(space: &Space, at: &At<'_>, found: &mut Found) {
    let Some((own, ranks)) = product(space, at.op, at.x) else {
        return;
    };
    for side in 0..2 {
        let full = space.dims(at.x[side]);
        for x in repeats(space, at.x[side]) {
            let repeated = |i: &usize| {
                let axis = own.batch[side][*i] as usize;
                space.dims(x)[axis].is(1) && !full[axis].is(1)
            };
            let gone: Vec<usize> = (0..own.batch[0].len()).filter(repeated).collect();
            if gone.is_empty() {
                continue;
            }
            let axes: Vec<u32> = gone.iter().map(|&i| own.batch[side][i]).collect();
            let mut narrow = full.clone();
            axes.iter().for_each(|&a| narrow[a as usize] = Dim::ONE);
            let dims = without(&narrow, &axes);
            let operand = Tree::reshape(Tree::expand(x, narrow), dims);
            let left = |a: &u32| a - axes.iter().filter(|g| *g < a).count() as u32;
            let mut new = own.clone();
            for list in &mut new.batch {
                let mut i = 0;
                list.retain(|_| {
                    i += 1;
                    !gone.contains(&(i - 1))
                });
            }
            let kept_before = new.batch[side].clone();
            new.batch[side] = kept_before.iter().map(left).collect();
            new.sum[side] = own.sum[side].iter().map(left).collect();
            let mut new_ranks = ranks;
            new_ranks[side] -= axes.len();
            // The axes as the old product calls them.
            let old: Vec<u32> = (0..ranks[side] as u32)
                .filter(|a| !axes.contains(a))
                .collect();
            let name = |(s, a): Label| -> Label {
                let a = if s == side { old[a as usize] } else { a };
                match own.batch[1].iter().position(|b| s == 1 && *b == a) {
                    Some(i) => (0, own.batch[0][i]),
                    None => (s, a),
                }
            };
            let labels: Vec<Label> = new.labels(new_ranks).into_iter().map(name).collect();
            let tree = Tree::Op(new.op(), with_operand(at.x, side, operand));
            if let Some(tree) = reordered(tree, &labels, &own.labels(ranks)) {
                found.equal(at.class, tree);
            }
        }
    }
}

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

fn contract_of_scaled(space: &Space, at: &At<'_>, found: &mut Found, integers: bool) {
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

fn scaled_contract(space: &Space, at: &At<'_>, found: &mut Found) {
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

fn contract_of_neg(space: &Space, at: &At<'_>, found: &mut Found) {
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

/// `(ab)c` as `a(bc)` where `side` is 0, `a(bc)` as `(ab)c` where it is 1. The outer product sums axes of the
/// inner one that all come from the operand in the middle.
fn chain(space: &Space, at: &At<'_>, found: &mut Found, side: usize) {
    let Some((outer, outer_ranks)) = product(space, at.op, at.x) else {
        return;
    };
    let batch = outer.batch[0].len();
    let far = at.x[1 - side];
    for (op, x) in space.terms(at.x[side]) {
        let Some((inner, ranks)) = product(space, op, x) else {
            continue;
        };
        let all: Vec<u32> = (0..batch as u32).collect();
        let alike = inner.batch[0].len() == batch && outer.batch[side] == all;
        let dtype = space.dtype(far);
        if !alike || [inner.acc, outer.acc, space.dtype(x[0])] != [dtype; 3] {
            continue;
        }
        // The operand in the middle is the right one of a left product.
        let (near, middle) = (side, 1 - side);
        let rest = inner.rest(middle, ranks[middle]);
        let first = batch
            + if side == 0 {
                inner.rest(0, ranks[0]).len()
            } else {
                0
            };
        let of_middle = |&a: &u32| {
            let at = (a as usize).checked_sub(first)?;
            rest.get(at).copied()
        };
        let Some(summed) = outer.sum[side]
            .iter()
            .map(of_middle)
            .collect::<Option<Vec<u32>>>()
        else {
            continue;
        };
        let mut new_inner = outer.clone();
        new_inner.batch[side] = inner.batch[middle].clone();
        new_inner.sum[side] = summed;
        // Where the new inner product has the axes that the old one summed.
        let kept = new_inner.rest(side, ranks[middle]);
        let before = batch
            + if side == 0 {
                0
            } else {
                outer.rest(0, outer_ranks[0]).len()
            };
        let place = |a: &u32| {
            kept.iter()
                .position(|k| k == a)
                .map(|p| (before + p) as u32)
        };
        let Some(sums) = inner.sum[middle]
            .iter()
            .map(place)
            .collect::<Option<Vec<u32>>>()
        else {
            continue;
        };
        let mut new_outer = inner.clone();
        new_outer.batch[middle] = all;
        new_outer.sum[middle] = sums;
        let (near, middle) = (x[near], x[middle]);
        found.equal(
            at.class,
            if side == 0 {
                new_outer.tree(near, new_inner.tree(middle, far))
            } else {
                new_outer.tree(new_inner.tree(far, middle), near)
            },
        );
    }
}

fn factor_contract(space: &Space, at: &At<'_>, found: &mut Found, integers: bool) {
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

fn sum_of_contract(space: &Space, at: &At<'_>, found: &mut Found) {
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

fn slice_of_contract(space: &Space, at: &At<'_>, found: &mut Found) {
    let Op::Slice { start, len, step } = at.op else {
        return;
    };
    for (op, x) in space.terms(at.x[0]) {
        let Some((own, ranks)) = product(space, op, x) else {
            continue;
        };
        let labels = own.labels(ranks);
        let operand = |side: usize| {
            let dims = space.dims(x[side]);
            let (mut starts, mut lens) = (dims.clone(), dims.clone());
            starts.iter_mut().for_each(|s| *s = Dim::ZERO);
            let mut steps = vec![1; dims.len()];
            for (i, &(of, axis)) in labels.iter().enumerate() {
                let axis = match i < own.batch[0].len() {
                    true => own.batch[side][i],
                    false if of == side => axis,
                    false => continue,
                } as usize;
                starts[axis] = start[i].clone();
                lens[axis] = len[i].clone();
                steps[axis] = step[i];
            }
            if lens == *dims && steps.iter().all(|&s| s == 1) {
                return Tree::Class(x[side]);
            }
            Tree::op(
                Op::Slice {
                    start: starts,
                    len: lens,
                    step: steps,
                },
                x[side],
            )
        };
        found.equal(at.class, Tree::Op(op.clone(), vec![operand(0), operand(1)]));
    }
}

/// A sum over products as a contraction: axes that both operands have are summed or batch, those that one of
/// them repeats are the other's rest.
fn products_summed(space: &Space, at: &At<'_>, found: &mut Found) {
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
