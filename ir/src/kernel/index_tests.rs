//! The index algebra against a naive evaluation at every point, and what has to come out plain.

use super::{IndexExpr, Ranges, Var, reshape_coords};
use crate::{Dim, Symbol, floor_div};
use proptest::prelude::*;

/// An expression as it was asked for.
#[derive(Clone, Debug)]
enum Tree {
    Var(usize),
    Const(Dim),
    Add(Box<Tree>, Box<Tree>),
    Scale(Box<Tree>, Dim),
    Div(Box<Tree>, Dim),
    Mod(Box<Tree>, Dim),
}

const VARS: [Var; 4] = [Var::Outer(0), Var::Outer(1), Var::Inner(0), Var::Inner(1)];

impl Tree {
    fn build(&self, ranges: Ranges<'_>) -> IndexExpr {
        match self {
            Tree::Var(i) => IndexExpr::var(VARS[*i]),
            Tree::Const(c) => IndexExpr::constant(c.clone()),
            Tree::Add(a, b) => a.build(ranges).add(&b.build(ranges)).unwrap(),
            Tree::Scale(a, by) => a.build(ranges).scale(by).unwrap(),
            Tree::Div(a, by) => a.build(ranges).floor_div(by, ranges).unwrap(),
            Tree::Mod(a, by) => a.build(ranges).modulo(by, ranges).unwrap(),
        }
    }

    /// `None` when a divisor is not positive, which the algebra may rely on.
    fn eval(&self, vars: &[i64; 4], sizes: &dyn Fn(&Symbol) -> Option<i64>) -> Option<i64> {
        let divide = |a: &Tree, by: &Dim| {
            let by = by.eval(sizes).filter(|d| *d > 0)?;
            let a = a.eval(vars, sizes)?;
            let q = floor_div(a, by)?;
            Some((q, a - q * by))
        };
        match self {
            Tree::Var(i) => Some(vars[*i]),
            Tree::Const(c) => c.eval(sizes),
            Tree::Add(a, b) => Some(a.eval(vars, sizes)? + b.eval(vars, sizes)?),
            Tree::Scale(a, by) => Some(a.eval(vars, sizes)? * by.eval(sizes)?),
            Tree::Div(a, by) => divide(a, by).map(|(q, _)| q),
            Tree::Mod(a, by) => divide(a, by).map(|(_, r)| r),
        }
    }
}

fn product(dims: &[Dim]) -> Dim {
    Dim::product(dims).unwrap()
}

fn size() -> impl Strategy<Value = Dim> {
    let (n, m) = (Dim::symbol("n"), Dim::symbol("m"));
    prop_oneof![
        4 => (1..7i64).prop_map(Dim::constant),
        1 => Just(Dim::constant(12)),
        1 => Just(n.clone()),
        1 => Just(product(&[n.clone(), m.clone()])),
        1 => Just(product(&[n.clone(), Dim::constant(4)])),
        1 => Just(n.add(&Dim::ONE).unwrap()),
        1 => Just(product(&[m.clone(), n.add(&Dim::ONE).unwrap()])),
    ]
}

fn factor() -> impl Strategy<Value = Dim> {
    let negated = size().prop_map(|d| d.mul(&Dim::constant(-1)).unwrap());
    prop_oneof![3 => size(), 2 => negated]
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        4 => (0..4usize).prop_map(Tree::Var),
        1 => factor().prop_map(Tree::Const),
    ];
    leaf.prop_recursive(6, 24, 2, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Tree::Add(a.into(), b.into())),
            2 => (inner.clone(), factor()).prop_map(|(a, by)| Tree::Scale(a.into(), by)),
            2 => (inner.clone(), size()).prop_map(|(a, by)| Tree::Div(a.into(), by)),
            2 => (inner, size()).prop_map(|(a, by)| Tree::Mod(a.into(), by)),
        ]
    })
}

/// Calls `check` at every point of the four ranges.
fn for_points(extents: [i64; 4], mut check: impl FnMut([i64; 4])) {
    for point in 0..extents.iter().product::<i64>() {
        let mut rest = point;
        check(extents.map(|e| {
            let v = rest % e;
            rest /= e;
            v
        }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn simplification_keeps_values(
        tree in tree(),
        dims in prop::collection::vec(size(), 4),
        n in 0..4i64,
        m in 0..4i64,
    ) {
        let ranges = Ranges { outer: &dims[..2], inner: &dims[2..] };
        let expr = tree.build(ranges);
        let again = expr.simplify(ranges).unwrap();
        let (lo, hi) = expr.bounds(ranges);
        let sizes = |s: &Symbol| Some(if &*s.0 == "n" { n } else { m });
        let extents: Vec<i64> = dims.iter().map(|d| d.eval(&sizes).unwrap()).collect();
        for_points(extents.try_into().unwrap(), |vars| {
            let Some(expected) = tree.eval(&vars, &sizes) else { return };
            let position = |v| VARS.iter().position(|x| *x == v).unwrap();
            for e in [&expr, &again] {
                let value = e.eval(&|v| vars[position(v)], &|_| 0, &sizes);
                assert_eq!(value, Some(expected), "{e:?} at {vars:?}, n={n}, m={m}");
            }
            let bound = |d: &Option<Dim>| d.as_ref().map(|d| d.eval(&sizes).unwrap());
            assert!(bound(&lo).is_none_or(|lo| lo <= expected), "{lo:?} in {expr:?}");
            assert!(bound(&hi).is_none_or(|hi| expected <= hi), "{hi:?} in {expr:?}");
        });
    }

    #[test]
    fn reshape_round_trips_vanish(
        fine in prop::collection::vec(size(), 1..6),
        cuts in prop::collection::vec(any::<u8>(), 3),
    ) {
        let group = |cut: u8| -> Vec<Dim> {
            let mut dims = vec![Dim::ONE];
            for (i, d) in fine.iter().enumerate() {
                if cut >> i & 1 == 1 {
                    dims.push(Dim::ONE);
                }
                let last = dims.last_mut().unwrap();
                *last = last.mul(d).unwrap();
            }
            dims
        };
        let start = group(cuts[0]);
        let ranges = Ranges { outer: &start, inner: &[] };
        let vars: Vec<IndexExpr> = (0..start.len() as u32)
            .map(|i| {
                let unit = start[i as usize].is(1);
                if unit { IndexExpr::constant(Dim::ZERO) } else { IndexExpr::var(Var::Outer(i)) }
            })
            .collect();
        let (one, two) = (group(cuts[1]), group(cuts[2]));
        let there = reshape_coords(&vars, &start, &one, ranges).unwrap();
        let further = reshape_coords(&there, &one, &two, ranges).unwrap();
        let back = reshape_coords(&further, &two, &start, ranges).unwrap();
        prop_assert_eq!(back, vars, "{:?} {:?} {:?}", start, one, two);
    }
}

fn symbols() -> (Dim, Dim) {
    (Dim::symbol("n"), Dim::symbol("m"))
}

fn var(i: u32) -> IndexExpr {
    IndexExpr::var(Var::Outer(i))
}

#[test]
fn quotients_are_exact_where_the_rest_fits() {
    let (n, m) = symbols();
    let sixteen = Dim::constant(16);
    let outer = [m.clone(), sixteen.clone(), n.clone()];
    let ranges = Ranges {
        outer: &outer,
        inner: &[],
    };
    let x = var(0).scale(&sixteen).unwrap().add(&var(1)).unwrap();
    assert_eq!(x.floor_div(&sixteen, ranges), Ok(var(0)));
    assert_eq!(x.modulo(&sixteen, ranges), Ok(var(1)));
    let y = var(0).scale(&n).unwrap().add(&var(2)).unwrap();
    assert_eq!(y.floor_div(&n, ranges), Ok(var(0)));
    assert_eq!(y.modulo(&n, ranges), Ok(var(2)));
    // A coordinate of a unit axis between them is missing: n >= 1 decides.
    let mn = n.mul(&m).unwrap();
    assert_eq!(var(2).modulo(&mn, ranges), Ok(var(2)));
}

#[test]
fn flips_divide_like_floor() {
    let (n, m) = symbols();
    let outer = [n.clone(), m.clone()];
    let ranges = Ranges {
        outer: &outer,
        inner: &[],
    };
    let flip = |i: u32, d: &Dim| {
        let last = IndexExpr::constant(d.sub(&Dim::ONE).unwrap());
        last.sub(&var(i)).unwrap()
    };
    let both = flip(0, &n).scale(&m).unwrap().add(&flip(1, &m)).unwrap();
    assert_eq!(both.floor_div(&m, ranges), Ok(flip(0, &n)));
    assert_eq!(both.modulo(&m, ranges), Ok(flip(1, &m)));
}

#[test]
fn shared_factors_leave_divisions() {
    let outer = [Dim::constant(8), Dim::constant(4)];
    let ranges = Ranges {
        outer: &outer,
        inner: &[],
    };
    let x = var(0)
        .scale(&Dim::constant(4))
        .unwrap()
        .add(&var(1))
        .unwrap();
    let (eight, two) = (Dim::constant(8), Dim::constant(2));
    assert_eq!(x.floor_div(&eight, ranges), var(0).floor_div(&two, ranges));
}

#[test]
fn symbolic_dims_merge_without_divisions() {
    let (b, t) = (Dim::symbol("b"), Dim::symbol("t"));
    let h = Dim::constant(64);
    let bt = b.mul(&t).unwrap();
    let outer = [bt.clone(), h.clone()];
    let ranges = Ranges {
        outer: &outer,
        inner: &[],
    };
    let split = reshape_coords(
        &[var(0), var(1)],
        &[bt.clone(), h.clone()],
        &[b.clone(), t.clone(), h.clone()],
        ranges,
    )
    .unwrap();
    assert_eq!(split[2], var(1));
    assert_eq!(split[0], var(0).floor_div(&t, ranges).unwrap());
    let heads = [b.clone(), t.clone(), Dim::constant(4), Dim::constant(16)];
    let per_head = reshape_coords(&split, &[b, t, h.clone()], &heads, ranges).unwrap();
    assert_eq!(
        reshape_coords(&per_head, &heads, &[bt, h], ranges),
        Ok(vec![var(0), var(1)])
    );
}

#[test]
fn strides_are_found_outside_divisions_only() {
    let outer = [Dim::constant(10), Dim::constant(10)];
    let ranges = Ranges {
        outer: &outer,
        inner: &[],
    };
    let three = Dim::constant(3);
    let x = var(0)
        .floor_div(&three, ranges)
        .unwrap()
        .add(&var(1).scale(&three).unwrap())
        .unwrap();
    assert_eq!(x.stride_of(Var::Outer(0)), None);
    assert_eq!(x.stride_of(Var::Inner(0)), Some(Dim::ZERO));
    let (stride, rest) = x.split_linear(Var::Outer(1)).unwrap();
    assert_eq!(
        (stride, rest),
        (three.clone(), var(0).floor_div(&three, ranges).unwrap())
    );
    assert_eq!(x.divisions(), 1);
}
