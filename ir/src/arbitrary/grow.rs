//! A graph while it grows.

use super::choices::{Choices, noise};
use super::precision::{self, Precision};
use super::{Case, Config};
use crate::{Array, DType, Dim, Dims, Graph, NodeId, Op, Scalar, Symbol, TensorType, Type, infer};
use rustc_hash::FxHashMap;

/// A tensor that further steps may use.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: NodeId,
    pub(super) ty: TensorType,
    /// The sizes with the symbols bound.
    pub(super) dims: Vec<usize>,
    pub(super) precision: Precision,
}

impl Item {
    pub(super) fn rank(&self) -> usize {
        self.dims.len()
    }

    pub(super) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    pub(super) fn dtype(&self) -> DType {
        self.ty.dtype
    }
}

/// A graph under construction. Whatever does not fit is left out, so growing cannot fail.
pub(super) struct Grower {
    pub(super) config: Config,
    pub(super) graph: Graph,
    pub(super) items: Vec<Item>,
    inputs: Vec<Array>,
    pub(super) sizes: FxHashMap<Symbol, i64>,
}

impl Grower {
    pub(super) fn new(config: Config) -> Grower {
        Grower {
            config,
            graph: Graph::new(),
            items: Vec::new(),
            inputs: Vec::new(),
            sizes: FxHashMap::default(),
        }
    }

    /// A graph inside an operation, with parameters of these types.
    pub(super) fn inner(&self, parameters: &[Item]) -> Grower {
        let config = Config {
            regions: false,
            foreign: false,
            ..self.config
        };
        let mut inner = Grower::new(config);
        inner.sizes = self.sizes.clone();
        for p in parameters {
            let id = inner.graph.input(p.ty.clone());
            inner.items.push(Item { id, ..p.clone() });
        }
        inner
    }

    /// The case: results are the tensors that nothing uses, the last ones if there are many.
    pub(super) fn finish(mut self) -> Case {
        const RESULTS: usize = 6;
        if self.items.is_empty() {
            self.constant(Scalar::from_i64(DType::F32, 0));
        }
        let mut used = vec![false; self.graph.nodes().len()];
        for node in self.graph.nodes() {
            node.inputs.iter().for_each(|i| used[i.index()] = true);
        }
        let unused = self.items.iter().filter(|i| !used[i.id.index()]);
        let mut results: Vec<&Item> = unused.rev().take(RESULTS).collect();
        // A result may be there twice, and an input may be a result.
        if results.len() % 2 == 1 {
            results.extend([results[0], &self.items[0]]);
        }
        self.graph.set_outputs(results.iter().map(|i| i.id));
        let tolerances = results.iter().map(|i| i.precision.tolerance).collect();
        Case {
            tolerances,
            graph: self.graph,
            inputs: self.inputs,
        }
    }

    /// Adds an operation that gives one tensor, unless it does not fit its operands, is too large,
    /// or would make roundings visible.
    pub(super) fn add(&mut self, op: Op, operands: &[&Item]) -> Option<Item> {
        let ty = self.checked_type(&op, operands)?;
        let ty = ty.as_tensor()?.clone();
        let dims = self.sizes_of(&ty)?;
        let first = operands.first().map_or(DType::Bool, |x| x.dtype());
        let own = precision::of(&op, first);
        let precision = operands.iter().fold(own, |p, x| p.or(x.precision));
        let id = self.graph.add(op, operands.iter().map(|x| x.id)).ok()?;
        let item = Item {
            id,
            ty,
            dims,
            precision,
        };
        self.items.push(item.clone());
        Some(item)
    }

    /// Adds an operation that gives a tuple, and takes all its results.
    pub(super) fn add_tuple(
        &mut self,
        op: Op,
        operands: &[&Item],
        precisions: &[Precision],
    ) -> Option<Vec<Item>> {
        let Type::Tuple(types) = self.checked_type(&op, operands)? else {
            return None;
        };
        let dims: Vec<Vec<usize>> = types
            .iter()
            .map(|ty| self.sizes_of(ty))
            .collect::<Option<_>>()?;
        let tuple = self.graph.add(op, operands.iter().map(|x| x.id)).ok()?;
        let mut results = Vec::new();
        for (i, dims) in dims.into_iter().enumerate() {
            let index = i as u32;
            results.push(Item {
                id: self.graph.add(Op::Get { index }, [tuple]).ok()?,
                ty: types[i].clone(),
                dims,
                precision: precisions[i],
            });
        }
        self.items.extend(results.iter().cloned());
        Some(results)
    }

    fn checked_type(&self, op: &Op, operands: &[&Item]) -> Option<Type> {
        let tolerated = |(i, x): (usize, &&Item)| x.precision.exact || precision::tolerates(op, i);
        if !operands.iter().enumerate().all(tolerated) {
            return None;
        }
        let types: Vec<Type> = operands
            .iter()
            .map(|x| Type::Tensor(x.ty.clone()))
            .collect();
        let mut guards = Vec::new();
        let ty = infer(op, &types.iter().collect::<Vec<_>>(), &mut guards).ok()?;
        let holds = |g: &crate::Guard| {
            let side = |d: &Dim| d.eval(&|s| self.sizes.get(s).copied());
            match (side(&g.lhs), g.relation, side(&g.rhs)) {
                (Some(a), crate::Relation::Eq, Some(b)) => a == b,
                (Some(a), crate::Relation::Le, Some(b)) => a <= b,
                _ => false,
            }
        };
        guards.iter().all(holds).then_some(ty)
    }

    /// The bound sizes, unless there are too many elements.
    fn sizes_of(&self, ty: &TensorType) -> Option<Vec<usize>> {
        let size = |d: &Dim| self.bound(d).and_then(|n| usize::try_from(n).ok());
        let dims: Vec<usize> = ty.dims.iter().map(size).collect::<Option<_>>()?;
        let count = dims
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d.max(1)))?;
        (count <= self.config.elements && dims.len() <= 5).then_some(dims)
    }

    /// A size with the symbols bound.
    pub(super) fn bound(&self, size: &Dim) -> Option<i64> {
        size.eval(&|s| self.sizes.get(s).copied())
    }

    pub(super) fn constant(&mut self, value: Scalar) -> Option<Item> {
        self.add(Op::Const { value }, &[])
    }

    /// A new parameter with interesting elements.
    pub(super) fn input(&mut self, choices: &mut Choices<'_>) -> Option<Item> {
        let dtype = choices.of(&DTYPES);
        let rank = choices.of(&[1, 2, 3, 0, 2, 4]);
        let dims: Vec<usize> = (0..rank)
            .map(|_| choices.of(&[2, 3, 1, 4, 5, 3, 2, 7, 4, 2, 3, 0, 6, 1]))
            .collect();
        let count: usize = dims.iter().product();
        if count > self.config.elements {
            return None;
        }
        let seed = choices.below(1 << 16) as u16;
        let words = noise(seed, 3 * count);
        let values: Vec<Scalar> = (0..count)
            .map(|i| Choices::new(&words[3 * i..][..3]).value(dtype))
            .collect();
        let array = Array::from_scalars(dtype, &dims, &values).ok()?;
        let symbols: Dims = dims.iter().map(|&d| self.named_size(d, choices)).collect();
        let ty = TensorType {
            dtype,
            dims: symbols,
        };
        let item = Item {
            id: self.graph.input(ty.clone()),
            ty,
            dims,
            precision: Precision::EXACT,
        };
        self.inputs.push(array);
        self.items.push(item.clone());
        Some(item)
    }

    /// A parameter's size: itself, or one of two symbols with this value.
    fn named_size(&mut self, size: usize, choices: &mut Choices<'_>) -> Dim {
        let family = choices.below(3);
        if !self.config.symbolic || family == 0 {
            return Dim::constant(size as i64);
        }
        let name = format!("{}{size}", ["", "a", "b"][family]);
        self.sizes.insert(Symbol::new(&name), size as i64);
        Dim::symbol(&name)
    }

    /// A tensor for which `wanted` holds, recent ones first.
    pub(super) fn pick(
        &self,
        choices: &mut Choices<'_>,
        wanted: impl Fn(&Item) -> bool,
    ) -> Option<Item> {
        let fitting: Vec<&Item> = self.items.iter().rev().filter(|i| wanted(i)).collect();
        let at = choices.below(fitting.len());
        fitting.get(at).copied().cloned()
    }

    /// A tensor on which anything may be done.
    pub(super) fn pick_exact(&self, choices: &mut Choices<'_>) -> Option<Item> {
        self.pick(choices, |i| i.precision.exact)
    }
}

/// Element types by how often they should occur.
pub(super) const DTYPES: [DType; 20] = [
    DType::F32,
    DType::I32,
    DType::F64,
    DType::I64,
    DType::Bool,
    DType::U8,
    DType::F16,
    DType::C64,
    DType::F32,
    DType::BF16,
    DType::I8,
    DType::U32,
    DType::U64,
    DType::I16,
    DType::U16,
    DType::C128,
    DType::F32,
    DType::F64,
    DType::I64,
    DType::I32,
];
