//! Matrix products: the list of their rules, and those that take in views. The others are in [`ring`](super::ring).

use super::product::{Label, product, reordered, with_operand};
use super::ring::{
    chain, contract_of_neg, contract_of_scaled, factor_contract, products_summed, scaled_contract,
    sum_of_contract,
};
use super::{repeats, without};
use crate::Numerics::{Algebra, Exact, Order};
use crate::egraph::Rule;
use crate::egraph::rule::{At, Found, code};
use crate::egraph::space::{Space, Tree};
use lazulite_ir::{Dim, Op};

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
