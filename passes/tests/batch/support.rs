//! Batches of arrays, and the meaning of a batched graph: its elements one by one.

use lazulite_ir::{Array, Dim, Graph, Scalar, Symbol, interpret};
use lazulite_passes::batch::{Randomness, Vmap, vmap};
use rustc_hash::FxHashMap;

pub type Sizes = FxHashMap<Symbol, i64>;

/// A batch of calls: which parameters are batched, along which axis of the new parameter.
#[derive(Clone, Debug)]
pub struct Batch {
    pub count: usize,
    pub size: Dim,
    pub axes: Vec<Option<usize>>,
}

impl Batch {
    /// `sizes` with the batch's own one, if it is a symbol.
    pub fn sizes(&self, sizes: &Sizes) -> Sizes {
        let mut sizes = sizes.clone();
        if let Some(symbol) = self.size.as_symbol() {
            sizes.insert(symbol.clone(), self.count as i64);
        }
        sizes
    }

    pub fn vmap(&self, graph: &Graph, randomness: Randomness) -> Vmap {
        vmap(graph, &self.axes, &self.size, randomness).unwrap()
    }

    /// The arguments of call number `element`: batched ones differ between calls.
    pub fn element(&self, inputs: &[Array], element: usize) -> Vec<Array> {
        let pairs = inputs.iter().zip(&self.axes);
        pairs
            .map(|(x, axis)| {
                if axis.is_some() {
                    rotated(x, element)
                } else {
                    x.clone()
                }
            })
            .collect()
    }

    /// The arguments of the batched graph.
    pub fn arguments(&self, inputs: &[Array]) -> Vec<Array> {
        let pairs = inputs.iter().zip(&self.axes);
        let argument = |(x, axis): (&Array, &Option<usize>)| match axis {
            None => x.clone(),
            Some(axis) => {
                let elements: Vec<Array> = (0..self.count).map(|k| rotated(x, k)).collect();
                stacked(&elements, x, *axis)
            }
        };
        pairs.map(argument).collect()
    }
}

/// The elements of `x` moved on by `steps` places.
fn rotated(x: &Array, steps: usize) -> Array {
    let mut values: Vec<Scalar> = x.scalars().collect();
    let len = values.len();
    values.rotate_left(if len == 0 { 0 } else { steps % len });
    Array::from_scalars(x.dtype, &x.dims, &values).unwrap()
}

/// Arrays of the type of `like` along a new axis.
pub fn stacked(arrays: &[Array], like: &Array, axis: usize) -> Array {
    let outer: usize = like.dims[..axis].iter().product();
    let inner = like.bytes.len() / outer.max(1);
    let mut bytes = Vec::new();
    for i in 0..outer {
        for x in arrays {
            bytes.extend_from_slice(&x.bytes[i * inner..][..inner]);
        }
    }
    let mut dims = like.dims.clone();
    dims.insert(axis, arrays.len());
    Array {
        dtype: like.dtype,
        dims,
        bytes,
    }
}

pub fn run(graph: &Graph, inputs: &[Array], sizes: &Sizes) -> Option<Vec<Array>> {
    interpret(graph, inputs, &|s| sizes.get(s).copied()).ok()
}

/// Equal bits, but for the payloads of NaN.
pub fn same_bits(a: &Array, b: &Array) -> bool {
    let float = a.dtype.is_inexact();
    let part = |p: f64, q: f64| p.to_bits() == q.to_bits() || (p.is_nan() && q.is_nan());
    let same = |(x, y): (Scalar, Scalar)| {
        let ((a, b), (c, d)) = (x.as_complex(), y.as_complex());
        x == y || (float && part(a, c) && part(b, d))
    };
    (a.dtype, &a.dims) == (b.dtype, &b.dims) && a.scalars().zip(b.scalars()).all(same)
}

/// What the batched graph must give: results with a batch axis are stacks, others those of one call.
/// `None` if some element's run is a fault.
pub fn expected(
    batch: &Batch,
    run: &dyn Fn(&[Array]) -> Option<Vec<Array>>,
    inputs: &[Array],
    batched: &[bool],
) -> Option<Vec<Array>> {
    let one = run(inputs)?;
    let calls = (0..batch.count).map(|k| run(&batch.element(inputs, k)));
    let calls: Vec<Vec<Array>> = calls.collect::<Option<_>>()?;
    let result = |(i, like): (usize, &Array)| match batched[i] {
        false => like.clone(),
        true => {
            let elements: Vec<Array> = calls.iter().map(|results| results[i].clone()).collect();
            stacked(&elements, like, 0)
        }
    };
    Some(one.iter().enumerate().map(result).collect())
}
