//! Views, windows and indexing against their index formulas, on random shapes and attributes.

use super::{Array, interpret};
use crate::{Dim, Dims, Graph, Op, TensorType};
use proptest::prelude::*;

/// Elements numbered from 1, so that no element looks like padding.
fn numbered(dims: &[usize]) -> Array {
    let values: Vec<i64> = (1..=dims.iter().product::<usize>() as i64).collect();
    Array::from_i64(dims, &values).unwrap()
}

fn apply(op: Op, inputs: &[Array]) -> Array {
    let mut graph = Graph::new();
    let mut ids = Vec::new();
    for x in inputs {
        let dims = x.dims.iter().map(|&d| Dim::constant(d as i64));
        ids.push(graph.input(TensorType::new(x.dtype, dims)));
    }
    let out = graph.add(op, ids).unwrap();
    graph.set_outputs([out]);
    interpret(&graph, inputs, &|_| None).unwrap().remove(0)
}

/// All multi-dimensional indices, in row-major order.
fn indices(dims: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for &size in dims {
        all = all
            .iter()
            .flat_map(|i| (0..size).map(move |k| [&i[..], &[k]].concat()))
            .collect();
    }
    all
}

fn at(x: &Array, index: &[usize]) -> i64 {
    let number = index.iter().zip(&x.dims).fold(0, |n, (&i, &d)| n * d + i);
    x.get(number).unwrap().as_i64()
}

fn sizes(values: impl IntoIterator<Item = i64>) -> Dims {
    values.into_iter().map(Dim::constant).collect()
}

/// Every element of `out` must be what the formula says for its index.
fn check(out: &Array, formula: impl Fn(&[usize]) -> i64) -> Result<(), TestCaseError> {
    for index in indices(&out.dims) {
        prop_assert_eq!(at(out, &index), formula(&index), "at {:?}", index);
    }
    Ok(())
}

fn shape() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0usize..5, 1..4)
}

proptest! {
    #[test]
    fn pad(dims in shape(), attributes in prop::collection::vec((-3i64..4, -3i64..4, 0i64..3), 3)) {
        let x = numbered(&dims);
        let mut attributes = attributes[..dims.len()].to_vec();
        for (&n, (low, high, interior)) in dims.iter().zip(&mut attributes) {
            let size = *low + *high + n as i64 + *interior * (n as i64 - 1).max(0);
            *high -= size.min(0);
        }
        let out = apply(
            Op::Pad {
                low: sizes(attributes.iter().map(|a| a.0)),
                high: sizes(attributes.iter().map(|a| a.1)),
                interior: sizes(attributes.iter().map(|a| a.2)),
            },
            &[x.clone(), Array::from_i64(&[], &[0]).unwrap()],
        );
        check(&out, |index| {
            let mut source = vec![];
            for (axis, &i) in index.iter().enumerate() {
                let (low, _, interior) = attributes[axis];
                let (distance, step) = (i as i64 - low, interior + 1);
                if distance < 0 || distance % step != 0 || distance / step >= dims[axis] as i64 {
                    return 0;
                }
                source.push((distance / step) as usize);
            }
            at(&x, &source)
        })?;
    }

    #[test]
    fn slice(dims in shape(), choices in prop::collection::vec((0usize..5, 0usize..5, 1i64..4, any::<bool>()), 3)) {
        let x = numbered(&dims);
        let (mut start, mut len, mut step) = (vec![], vec![], vec![]);
        for (&n, &(from, count, stride, back)) in dims.iter().zip(&choices) {
            let from = if n == 0 { 0 } else { from % n };
            let room = if n == 0 { 0 } else if back { from } else { n - 1 - from };
            let fitting = if n == 0 { 0 } else { room / stride as usize + 1 };
            start.push(from as i64);
            len.push(count.min(fitting) as i64);
            step.push(if back { -stride } else { stride });
        }
        let op = Op::Slice {
            start: sizes(start.clone()),
            len: sizes(len),
            step: step.clone(),
        };
        check(&apply(op, std::slice::from_ref(&x)), |index| {
            let place = |(axis, &i): (usize, &usize)| (start[axis] + i as i64 * step[axis]) as usize;
            at(&x, &index.iter().enumerate().map(place).collect::<Vec<_>>())
        })?;
    }

    #[test]
    fn window_and_its_transpose(
        dims in shape(), axis in 0usize..3, size in 1usize..4, stride in 1usize..4, dilation in 1usize..3,
    ) {
        let axis = axis % dims.len();
        let x = numbered(&dims);
        let dim = |n: usize| Dim::constant(n as i64);
        let out = apply(
            Op::Window {
                axis: axis as u32,
                size: dim(size),
                stride: dim(stride),
                dilation: dim(dilation),
            },
            std::slice::from_ref(&x),
        );
        let source = |index: &[usize]| {
            let mut source = index[..dims.len()].to_vec();
            source[axis] = source[axis] * stride + index[dims.len()] * dilation;
            source
        };
        check(&out, |index| at(&x, &source(index)))?;
        let fits = |w: usize| w * stride + (size - 1) * dilation < dims[axis];
        prop_assert_eq!(out.dims[axis], (0..5).filter(|&w| fits(w)).count());

        let op = Op::Fold {
            axis: axis as u32,
            len: dim(dims[axis]),
            stride: dim(stride),
            dilation: dim(dilation),
        };
        let folded = apply(op, std::slice::from_ref(&out));
        check(&folded, |target| {
            let hits = indices(&out.dims).into_iter().filter(|i| source(i) == target);
            hits.map(|i| at(&out, &i)).sum()
        })?;
    }

    #[test]
    fn permute_expand_reshape(dims in shape(), keys in prop::collection::vec(any::<u8>(), 3), copies in 0usize..4) {
        let x = numbered(&dims);
        let mut perm: Vec<u32> = (0..dims.len() as u32).collect();
        perm.sort_by_key(|&p| keys[p as usize]);
        let permuted = apply(Op::Permute { perm: perm.clone() }, std::slice::from_ref(&x));
        check(&permuted, |index| {
            let mut source = vec![0; index.len()];
            for (&i, &p) in index.iter().zip(&perm) {
                source[p as usize] = i;
            }
            at(&x, &source)
        })?;
        let as_dims = |d: &[usize]| sizes(d.iter().map(|&d| d as i64));
        let column = [&dims[..], &[1]].concat();
        let column = apply(Op::Reshape { dims: as_dims(&column) }, std::slice::from_ref(&x));
        let target = as_dims(&[&dims[..], &[copies]].concat());
        let expanded = apply(Op::Expand { dims: target }, &[column]);
        prop_assert_eq!(expanded.dims[dims.len()], copies);
        check(&expanded, |index| at(&x, &index[..dims.len()]))?;
    }

    #[test]
    fn gather_and_scatter(
        dims in prop::collection::vec(1usize..5, 1..4), axes in 1usize..8, picks in prop::collection::vec(0i64..60, 4),
    ) {
        let x = numbered(&dims);
        // Bit `a` of the choice says whether axis `a` is indexed; the axes are given backwards.
        let mut axes: Vec<usize> = (0..dims.len()).rev().filter(|a| axes >> a & 1 == 1).collect();
        if axes.is_empty() {
            axes.push(0);
        }
        let index = |axis: usize, i: usize| picks[i] as usize / (axis + 1) % dims[axis];
        let tensors = axes.iter().map(|&axis| {
            let values: Vec<i64> = (0..4).map(|i| index(axis, i) as i64).collect();
            Array::from_i64(&[2, 2], &values).unwrap()
        });
        let tensors: Vec<Array> = tensors.collect();
        let named: Vec<u32> = axes.iter().map(|&a| a as u32).collect();
        let out = apply(Op::Gather { axes: named.clone() }, &[std::slice::from_ref(&x), &tensors[..]].concat());
        let source = |place: &[usize]| {
            let mut rest = place[2..].iter();
            let tuple = place[0] * 2 + place[1];
            let along = |axis| if axes.contains(&axis) { index(axis, tuple) } else { *rest.next().unwrap() };
            (0..dims.len()).map(along).collect::<Vec<_>>()
        };
        check(&out, |place| at(&x, &source(place)))?;

        let operands = [&[x.clone(), out.clone()], &tensors[..]].concat();
        let unchanged = apply(Op::Scatter { axes: named.clone(), combine: None }, &operands);
        prop_assert_eq!(&unchanged, &x, "what was read is written back");
        let sum = Some(crate::Combine::Sum);
        let added = apply(Op::Scatter { axes: named, combine: sum }, &operands);
        check(&added, |target| {
            let hits = indices(&out.dims).into_iter().filter(|i| source(i) == target);
            at(&x, target) * (1 + hits.count() as i64)
        })?;
    }
}
