//! Products of products, a block of rows at a time.
//!
//! In `softmax(q k^T) v` the first product has far more elements than everything else. Where what lies between the two
//! products works on each row alone, all of it is done for a block of rows whose elements stay in cache: loops over
//! the batch and over blocks, with both products inside. The elements of the first product never go to memory as a
//! whole.
//!
//! Axes of the first product's result get labels: one per axis of the batch, one for its rows, one for its columns. Labels
//! are followed up to the second product, and down to the tensors that all of it reads. A tensor is taken apart by the loops whose
//! labels its axes have. What is cheap and has rows (masks made of positions, say) is computed inside.
//!
//! Where columns beyond a row count for nothing ([`super::hidden`]), the loop over blocks is several, for segments of rows
//! that see more and more columns.

use super::hidden::hides_later_columns;
use super::segments::{Segment, join, segments};
use super::{ScheduleError, ScheduleOptions};
use crate::PassError;
use crate::build::{Builder, Emit, live_nodes, rewrite};
use crate::product::Product;
use lazulite_ir::{Binary, Class, DType, Dim, Dims, Graph, NodeId, Op, Scalar, TensorType, Type};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::sync::Arc;

const PASS: &str = "schedule";

/// Nodes between two products at most, and nodes computed inside at most.
const MOST_NODES: usize = 96;
/// Rows of a block at least: fewer would not make up for packing.
const LEAST_ROWS: i64 = 16;

/// What an axis stands for: an axis of the batch by number, the rows, or the columns, which are only told apart from other
/// axes where they may be left out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Label {
    Batch(u8),
    Rows,
    Columns,
}

impl Label {
    /// Whether loops go along it.
    fn is_looped(self) -> bool {
        self != Label::Columns
    }
}

/// Labels of a tensor's axes.
pub(super) type Labels = SmallVec<[Option<Label>; 6]>;

/// A value needed inside, with its labels.
type Item = (NodeId, Labels);

/// The graph with products of products in blocks; `None` when there are none worth it.
pub(super) fn by_rows(
    graph: &Graph,
    options: &ScheduleOptions,
) -> Result<Option<Graph>, ScheduleError> {
    let live = live_nodes(graph);
    let users = users(graph, &live);
    let mut found: FxHashMap<NodeId, Blocks> = FxHashMap::default();
    for id in live {
        let find = |hiding| Blocks::find(graph, &users, id, options, hiding);
        if let Some(blocks) = find(true).or_else(|| find(false)) {
            found.insert(id, blocks);
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    let new = rewrite(PASS, graph, |builder, id, new_of| {
        let blocks = found.get(&id);
        { blocks.map(|blocks| blocks.emit(graph, builder, new_of)) }.transpose()
    });
    Ok(Some(new?))
}

/// The users of every node; being a result counts as being used by no node.
fn users(graph: &Graph, live: &[NodeId]) -> Vec<SmallVec<[Option<NodeId>; 2]>> {
    let mut users = vec![SmallVec::new(); graph.nodes().len()];
    for &id in live {
        for input in &graph.node(id).inputs {
            users[input.index()].push(Some(id));
        }
    }
    for output in graph.outputs() {
        users[output.index()].push(None);
    }
    users
}

/// Two products and what lies between them.
struct Blocks {
    /// The second product.
    last: NodeId,
    /// The labels of its result.
    labels: Labels,
    /// Turns of the loops: one per axis of the batch, then blocks of rows.
    trips: Vec<i64>,
    /// Rows of a block.
    rows: i64,
    /// What is computed inside, operands first, and the labels of its operands.
    inside: Vec<(Item, Vec<Labels>)>,
    /// What is read.
    leaves: Vec<Item>,
    /// How many columns there are, if those beyond a row count for nothing.
    hidden: Option<i64>,
}

/// Sizes of a tensor, if they are known.
fn sizes(graph: &Graph, id: NodeId) -> Option<SmallVec<[i64; 6]>> {
    match &graph.node(id).ty {
        Type::Tensor(ty) => ty.dims.iter().map(Dim::as_const).collect(),
        Type::Tuple(_) => None,
    }
}

fn count(sizes: &[i64]) -> i64 {
    sizes.iter().copied().fold(1, i64::saturating_mul)
}

impl Blocks {
    /// Looks for a product that the left operand of the product `last` is made of; with `hiding`, for one of which columns
    /// beyond a row count for nothing.
    fn find(
        graph: &Graph,
        users: &[SmallVec<[Option<NodeId>; 2]>],
        last: NodeId,
        options: &ScheduleOptions,
        hiding: bool,
    ) -> Option<Blocks> {
        let Op::Contract { .. } = graph.node(last).op else {
            return None;
        };
        let (first, between) = region(graph, last)?;
        let inner = sizes(graph, first)?;
        if count(&inner) < options.machine.blocked_product {
            return None;
        }
        let in_region = |id: &NodeId| *id == first || between.contains(id);
        let closed = |id: &NodeId| {
            let mut users = users[id.index()].iter();
            users.all(|user| user.is_some_and(|u| u == last || between.contains(&u)))
        };
        if !closed(&first) || !between.iter().all(closed) || in_region(&graph.node(last).inputs[1])
        {
            return None;
        }
        let (trips, length, mut labels) = first_labels(graph, first, &inner)?;
        let hidden = match hiding {
            true => Some(label_columns(&inner, &mut labels)?),
            false => None,
        };
        let rows = block_rows(length, count(&inner) / count(&trips) / length, options)?;
        let mut blocks = Blocks {
            last,
            labels: Labels::new(),
            trips,
            rows,
            inside: Vec::new(),
            leaves: Vec::new(),
            hidden,
        };
        blocks.trips.push(length / rows);
        let mut known: FxHashMap<NodeId, Labels> = FxHashMap::default();
        known.insert(first, labels);
        let mut ordered: Vec<NodeId> = between.iter().copied().collect();
        ordered.sort();
        for &id in &ordered {
            let labels = upwards(graph, id, &known)?;
            known.insert(id, labels);
        }
        if hiding {
            columns_downwards(graph, &ordered, &mut known)?;
            if !hides_later_columns(graph, last, &ordered, &known) {
                return None;
            }
        }
        blocks.labels = product_labels(graph, last, &known, blocks.trips.len())?;
        known.insert(last, blocks.labels.clone());
        blocks.gather(graph, &known, count(&inner))?;
        Some(blocks)
    }

    /// Lists what is computed inside, and what is read there.
    fn gather(
        &mut self,
        graph: &Graph,
        known: &FxHashMap<NodeId, Labels>,
        elements: i64,
    ) -> Option<()> {
        let mut seen: FxHashSet<Item> = FxHashSet::default();
        let mut stack: Vec<Item> = vec![(self.last, self.labels.clone())];
        while let Some(item) = stack.pop() {
            if !seen.insert(item.clone()) {
                continue;
            }
            let (id, labels) = &item;
            let node = graph.node(*id);
            if known.contains_key(id) || is_inside(graph, *id, labels) {
                let operands = operand_labels(graph, *id, labels, known)?;
                stack.extend(node.inputs.iter().copied().zip(operands.iter().cloned()));
                self.inside.push((item, operands));
            } else {
                let is_input = matches!(node.op, Op::Input { .. });
                if !is_input && count(&sizes(graph, *id)?) > elements / 2 {
                    return None;
                }
                self.leaves.push(item);
            }
            if self.inside.len() > MOST_NODES {
                return None;
            }
        }
        // Nodes come behind their operands.
        self.inside.sort_by_key(|((id, _), _)| *id);
        self.leaves.sort_by_key(|(id, _)| *id);
        Some(())
    }

    /// The second product's value.
    fn emit(&self, graph: &Graph, b: &mut Builder, new_of: &[NodeId]) -> Result<NodeId, PassError> {
        let mut leaves = Vec::with_capacity(self.leaves.len());
        for (id, labels) in &self.leaves {
            leaves.push(self.taken_apart(b, new_of[id.index()], labels)?);
        }
        let stacked = self.nest(graph, b, 0, &leaves)?;
        // Loops come first; rows are two axes.
        let mut order = Vec::new();
        let mut inner = self.trips.len() as u32;
        for label in &self.labels {
            match label {
                Some(Label::Batch(i)) => order.push(u32::from(*i)),
                Some(Label::Rows) => order.extend([self.trips.len() as u32 - 1, inner]),
                Some(Label::Columns) | None => order.push(inner),
            }
            inner += u32::from(!matches!(label, Some(Label::Batch(_))));
        }
        let ordered = b.permute(stacked, order)?;
        b.reshape(ordered, graph.tensor_type(self.last).dims.clone())
    }

    /// A tensor with the axes that loops go along in front, in the order of the loops.
    fn taken_apart(
        &self,
        b: &mut Builder,
        leaf: NodeId,
        labels: &Labels,
    ) -> Result<NodeId, PassError> {
        let (mut split, mut front, mut rest) = (Dims::new(), Vec::new(), Vec::new());
        let dims = b.dims(leaf);
        for (dim, label) in dims.iter().zip(labels) {
            let at = split.len() as u32;
            match label {
                Some(Label::Batch(i)) => front.push((usize::from(*i), at)),
                Some(Label::Rows) => {
                    front.push((self.trips.len() - 1, at));
                    rest.push(at + 1);
                    split.push(Dim::constant(self.trips[self.trips.len() - 1]));
                    split.push(Dim::constant(self.rows));
                    continue;
                }
                Some(Label::Columns) | None => rest.push(at),
            }
            split.push(dim.clone());
        }
        front.sort_unstable();
        let split = b.reshape(leaf, split)?;
        let order = front.into_iter().map(|(_, at)| at).chain(rest).collect();
        b.permute(split, order)
    }

    /// Whether loop number `level` takes a tensor with these labels apart.
    fn is_scanned(&self, labels: &Labels, level: usize) -> bool {
        let label = match level + 1 == self.trips.len() {
            true => Label::Rows,
            false => Label::Batch(level as u8),
        };
        labels.contains(&Some(label))
    }

    /// The results of the loops from number `level` on, stacked, for what is left of the leaves there.
    fn nest(
        &self,
        graph: &Graph,
        b: &mut Builder,
        level: usize,
        leaves: &[NodeId],
    ) -> Result<NodeId, PassError> {
        if level + 1 < self.trips.len() {
            return self.one_loop(graph, b, level, leaves, None);
        }
        let mut stacks = Vec::new();
        for segment in segments(self.trips[level], self.rows, self.hidden) {
            let mut own = leaves.to_vec();
            for (leaf, (_, labels)) in own.iter_mut().zip(&self.leaves) {
                if self.is_scanned(labels, level) && segment.blocks < self.trips[level] {
                    let [first, blocks] = [segment.first, segment.blocks].map(Dim::constant);
                    *leaf = b.slice_axis(*leaf, 0, first, blocks)?;
                }
            }
            let stack = self.one_loop(graph, b, level, &own, Some(segment))?;
            stacks.push((stack, segment.blocks));
        }
        join(b, &stacks)
    }

    /// The results of loop number `level`, stacked; the last one goes over a segment.
    fn one_loop(
        &self,
        graph: &Graph,
        b: &mut Builder,
        level: usize,
        leaves: &[NodeId],
        segment: Option<Segment>,
    ) -> Result<NodeId, PassError> {
        let mut inner = Builder::new(PASS);
        inner.at_origin(b.origin());
        let iteration = inner.input(TensorType::scalar(DType::I64));
        let mut parts = vec![NodeId(u32::MAX); leaves.len()];
        let mut operands = Vec::with_capacity(leaves.len());
        for scanned in [true, false] {
            for (i, (_, labels)) in self.leaves.iter().enumerate() {
                if self.is_scanned(labels, level) != scanned {
                    continue;
                }
                let ty = b.graph().tensor_type(leaves[i]);
                let dims: Dims = ty.dims.iter().skip(usize::from(scanned)).cloned().collect();
                parts[i] = inner.input(TensorType::new(ty.dtype, dims));
                operands.push(leaves[i]);
            }
        }
        let result = match segment {
            Some(segment) => self.body(graph, &mut inner, iteration, &parts, segment)?,
            None => self.nest(graph, &mut inner, level + 1, &parts)?,
        };
        let scanned = { self.leaves.iter() }.filter(|(_, l)| self.is_scanned(l, level));
        let op = Op::Loop {
            trip: Dim::constant(segment.map_or(self.trips[level], |s| s.blocks)),
            carries: 0,
            scanned: scanned.count() as u32,
            body: Arc::new(inner.finish([result], &Graph::new())),
        };
        let stacks = b.emit(op, &operands)?;
        b.get(stacks, 0)
    }

    /// What is computed for a block.
    fn body(
        &self,
        graph: &Graph,
        b: &mut Builder,
        iteration: NodeId,
        parts: &[NodeId],
        segment: Segment,
    ) -> Result<NodeId, PassError> {
        let mut known: FxHashMap<Item, NodeId> = FxHashMap::default();
        for (item, &part) in self.leaves.iter().zip(parts) {
            known.insert(item.clone(), segment.seen(b, part, &item.1)?);
        }
        let mut result = iteration;
        for (item, operands) in &self.inside {
            let (id, labels) = item;
            let node = graph.node(*id);
            b.at_origin(graph.origin(*id));
            let items = node.inputs.iter().copied().zip(operands.iter().cloned());
            // All of them are leaves or stand inside, further to the front.
            let inputs: Vec<NodeId> = items.filter_map(|i| known.get(&i).copied()).collect();
            let dims = self.dims_inside(&graph.tensor_type(*id).dims, labels, segment);
            result = match &node.op {
                Op::Iota { dtype, .. } if labels.contains(&Some(Label::Rows)) => {
                    self.positions(b, (iteration, segment.first), *dtype, &dims)?
                }
                Op::Reshape { .. } => b.reshape(inputs[0], dims)?,
                Op::Expand { .. } => {
                    // Axes of the batch are gone here, also those of size 1 that were repeated along them.
                    let mix = |(own, below): (&Option<Label>, &Option<Label>)| match own {
                        Some(Label::Batch(_)) => *own,
                        _ => *below,
                    };
                    let mixed = labels.iter().zip(&operands[0]).map(mix).collect();
                    let below = &graph.tensor_type(node.inputs[0]).dims;
                    let own = b.reshape(inputs[0], self.dims_inside(below, &mixed, segment))?;
                    b.expand(own, dims)?
                }
                op => b.emit(inner_op(op, operands), &inputs)?,
            };
            known.insert(item.clone(), result);
        }
        Ok(result)
    }

    /// The dims of a tensor's part in a block.
    fn dims_inside(&self, dims: &Dims, labels: &Labels, segment: Segment) -> Dims {
        let mut inside = Dims::new();
        for (dim, label) in dims.iter().zip(labels) {
            match label {
                Some(Label::Batch(_)) => {}
                Some(Label::Rows) => inside.push(Dim::constant(self.rows)),
                Some(Label::Columns) => inside.push(Dim::constant(segment.columns)),
                None => inside.push(dim.clone()),
            }
        }
        inside
    }

    /// The numbers of the rows of a block, given by the iteration and the blocks before the first.
    fn positions(
        &self,
        b: &mut Builder,
        (iteration, first): (NodeId, i64),
        dtype: DType,
        dims: &Dims,
    ) -> Result<NodeId, PassError> {
        let len = Dim::constant(self.rows);
        let own = b.emit(Op::Iota { len, dtype }, &[])?;
        let rows = b.emit(
            Op::Const {
                value: Scalar::from_i64(DType::I64, self.rows),
            },
            &[],
        )?;
        let before = b.binary(Binary::Mul, iteration, rows)?;
        let first = b.emit(
            Op::Const {
                value: Scalar::from_i64(DType::I64, first * self.rows),
            },
            &[],
        )?;
        let before = b.binary(Binary::Add, before, first)?;
        let before = b.cast(before, dtype)?;
        let before = b.broadcast(before, dims)?;
        b.binary(Binary::Add, own, before)
    }
}

/// The one product that the left operand of a product is made of by operations that may work on rows, and what lies
/// between them.
fn region(graph: &Graph, last: NodeId) -> Option<(NodeId, FxHashSet<NodeId>)> {
    let mut seen: FxHashSet<NodeId> = FxHashSet::default();
    let mut stack = vec![graph.node(last).inputs[0]];
    let mut first = None;
    while let Some(id) = stack.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = graph.node(id);
        match &node.op {
            Op::Contract { .. } if first.is_some() => return None,
            Op::Contract { .. } => first = Some(id),
            op if is_rowwise(op) => stack.extend(&node.inputs),
            _ => {}
        }
        if seen.len() > MOST_NODES {
            return None;
        }
    }
    let first = first?;
    let mut ordered: Vec<NodeId> = seen.into_iter().filter(|id| *id > first).collect();
    ordered.sort();
    let mut between = FxHashSet::default();
    for id in ordered {
        let inputs = &graph.node(id).inputs;
        if inputs.iter().any(|i| *i == first || between.contains(i)) {
            between.insert(id);
        }
    }
    let reached = graph.node(last).inputs[0];
    (reached == first || between.contains(&reached)).then_some((first, between))
}

fn is_rowwise(op: &Op) -> bool {
    match op {
        Op::Expand { .. } | Op::Reshape { .. } | Op::Permute { .. } | Op::Reduce { .. } => true,
        op => op.class() == Class::Pointwise,
    }
}

/// Turns of the loops over the batch, number of rows, and labels of the first product's result.
fn first_labels(graph: &Graph, first: NodeId, sizes: &[i64]) -> Option<(Vec<i64>, i64, Labels)> {
    let product = Product::of(&graph.node(first).op)?;
    let lhs = graph.tensor_type(graph.node(first).inputs[0]).dims.len();
    let rows = product.batch[0].len()..lhs - product.sum[0].len();
    let (mut trips, mut length) = (Vec::new(), None);
    let mut labels = Labels::new();
    for (axis, &size) in sizes.iter().enumerate() {
        labels.push(match size {
            1 => None,
            _ if axis < rows.start => {
                trips.push(size);
                Some(Label::Batch(trips.len() as u8 - 1))
            }
            _ if rows.contains(&axis) => {
                if length.replace(size).is_some() {
                    return None;
                }
                Some(Label::Rows)
            }
            _ => None,
        });
    }
    Some((trips, length?, labels))
}

/// Labels the columns, and gives how many there are: the one axis that loops do not go along.
fn label_columns(sizes: &[i64], labels: &mut Labels) -> Option<i64> {
    let mut others = (0..labels.len()).filter(|&a| labels[a].is_none() && sizes[a] != 1);
    let (axis, None) = (others.next()?, others.next()) else {
        return None;
    };
    labels[axis] = Some(Label::Columns);
    Some(sizes[axis])
}

/// Labels columns where they are repeated: from what is computed of values to these, operands last.
fn columns_downwards(
    graph: &Graph,
    ordered: &[NodeId],
    known: &mut FxHashMap<NodeId, Labels>,
) -> Option<()> {
    for &id in ordered.iter().rev() {
        for &input in &graph.node(id).inputs {
            if let Some(labels) = known.get(&input) {
                let below = below_labels(graph, id, input, &known[&id])?;
                let joined = joined(labels, &below)?;
                known.insert(input, joined);
            }
        }
    }
    // What is left out of a value is left out of what is computed of it.
    let follows = |id: &NodeId| {
        let above = upwards(graph, *id, known)?;
        Some(joined(&known[id], &above)? == known[id])
    };
    ordered
        .iter()
        .all(|id| follows(id) == Some(true))
        .then_some(())
}

/// The labels of a value that has some of them in either way.
fn joined(a: &Labels, b: &Labels) -> Option<Labels> {
    let columns = Some(Label::Columns);
    let each = a.iter().zip(b).map(|(&a, &b)| match (a, b) {
        _ if a == b => Some(a),
        (None, label) | (label, None) if label == columns => Some(columns),
        _ => None,
    });
    each.collect()
}

/// Rows of a block, of `length` rows with `columns` elements each.
fn block_rows(length: i64, columns: i64, options: &ScheduleOptions) -> Option<i64> {
    let most = (options.machine.block_elements / columns.max(1)).min(length / 2);
    (LEAST_ROWS..=most).rev().find(|rows| length % rows == 0)
}

/// The labels of a value between the products, by those of its operands.
fn upwards(graph: &Graph, id: NodeId, known: &FxHashMap<NodeId, Labels>) -> Option<Labels> {
    let node = graph.node(id);
    let mut labels: Option<Labels> = None;
    for input in &node.inputs {
        let Some(below) = known.get(input) else {
            continue;
        };
        let own = match &node.op {
            Op::Permute { perm } => perm.iter().map(|&p| below[p as usize]).collect(),
            Op::Reshape { .. } => moved(&sizes(graph, *input)?, below, &sizes(graph, id)?)?,
            Op::Reduce { axes, .. } => {
                if axes
                    .iter()
                    .any(|&a| below[a as usize].is_some_and(Label::is_looped))
                {
                    return None;
                }
                let kept = (0..below.len()).filter(|a| !axes.contains(&(*a as u32)));
                kept.map(|a| below[a]).collect()
            }
            _ => below.clone(),
        };
        labels = Some(match &labels {
            Some(other) => joined(other, &own)?,
            None => own,
        });
    }
    labels
}

/// Labels of a reshaped tensor, where only axes of size 1 come and go.
fn moved(from: &[i64], labels: &Labels, to: &[i64]) -> Option<Labels> {
    let mut old = from.iter().zip(labels).filter(|(size, _)| **size != 1);
    let mut new = Labels::new();
    for &size in to {
        new.push(match size {
            1 => None,
            _ => {
                let (&before, label) = old.next()?;
                (before == size).then_some(*label)?
            }
        });
    }
    old.next().is_none().then_some(new)
}

/// The labels of the second product's result, if it keeps all of them.
fn product_labels(
    graph: &Graph,
    last: NodeId,
    known: &FxHashMap<NodeId, Labels>,
    loops: usize,
) -> Option<Labels> {
    let product = Product::of(&graph.node(last).op)?;
    let below = &known[&graph.node(last).inputs[0]];
    let label = |&a: &u32| below[a as usize];
    let mut labels: Labels = product.batch[0].iter().map(label).collect();
    if labels.contains(&Some(Label::Rows)) {
        return None;
    }
    labels.extend(product.rest(0, below.len()).iter().map(label));
    let found = { labels.iter().flatten() }.filter(|l| l.is_looped());
    let found = found.count();
    labels.resize(graph.tensor_type(last).dims.len(), None);
    (found == loops).then_some(labels)
}

/// True for what is computed inside: constants, views, and what has rows and is cheap.
fn is_inside(graph: &Graph, id: NodeId, labels: &Labels) -> bool {
    let op = &graph.node(id).op;
    let has_rows = labels.contains(&Some(Label::Rows));
    match op {
        Op::Const { .. } | Op::Expand { .. } | Op::Permute { .. } => true,
        Op::Reshape { .. } => {
            let below = graph.node(id).inputs[0];
            let both = (sizes(graph, id), sizes(graph, below));
            matches!(both, (Some(own), Some(below)) if moved(&own, labels, &below).is_some())
        }
        Op::Iota { .. } => has_rows,
        op => has_rows && op.class() == Class::Pointwise,
    }
}

/// The labels of a node's operands, given its own; those of values between the products are known.
fn operand_labels(
    graph: &Graph,
    id: NodeId,
    labels: &Labels,
    known: &FxHashMap<NodeId, Labels>,
) -> Option<Vec<Labels>> {
    let node = graph.node(id);
    if let Some(product) = Product::of(&node.op) {
        let own = |side: usize| {
            let rank = graph.tensor_type(node.inputs[side]).dims.len();
            let mut own = Labels::from_elem(None, rank);
            for (&axis, label) in product.batch[side].iter().zip(labels) {
                own[axis as usize] = *label;
            }
            own
        };
        let (mut lhs, mut rhs) = (own(0), own(1));
        let batch = product.batch[0].len();
        let (left, right) = (product.rest(0, lhs.len()), product.rest(1, rhs.len()));
        for (axis, label) in left.iter().zip(&labels[batch..]) {
            lhs[*axis as usize] = *label;
        }
        for (axis, label) in right.iter().zip(&labels[batch + left.len()..]) {
            rhs[*axis as usize] = *label;
        }
        if let Some(known) = known.get(&node.inputs[0]) {
            lhs.clone_from(known);
        }
        for (from, to) in product.sum[0].iter().zip(&product.sum[1]) {
            rhs[*to as usize] = lhs[*from as usize];
        }
        return Some(vec![lhs, rhs]);
    }
    let each = node.inputs.iter().map(|&input| match known.get(&input) {
        Some(labels) => Some(labels.clone()),
        None => below_labels(graph, id, input, labels),
    });
    each.collect()
}

/// The labels of one of a node's operands, given its own; the node is no product.
pub(super) fn below_labels(
    graph: &Graph,
    id: NodeId,
    input: NodeId,
    labels: &Labels,
) -> Option<Labels> {
    let below = sizes(graph, input)?;
    Some(match &graph.node(id).op {
        Op::Permute { perm } => {
            let mut own = Labels::from_elem(None, below.len());
            for (at, &from) in perm.iter().enumerate() {
                own[from as usize] = labels[at];
            }
            own
        }
        Op::Reshape { .. } => moved(&sizes(graph, id)?, labels, &below)?,
        Op::Reduce { axes, .. } => {
            let mut kept = labels.iter().copied();
            let axis = |a: usize| match axes.contains(&(a as u32)) {
                true => None,
                false => kept.next().flatten(),
            };
            (0..below.len()).map(axis).collect()
        }
        _ => {
            let own = below.iter().zip(labels);
            own.map(|(&size, label)| label.filter(|_| size != 1))
                .collect()
        }
    })
}

/// The operation on parts: axes of the batch are gone.
fn inner_op(op: &Op, operands: &[Labels]) -> Op {
    let is_gone = |label: &Option<Label>| matches!(label, Some(Label::Batch(_)));
    // An axis by its number among those that are left.
    let left = |labels: &Labels, axes: &[u32]| -> Vec<u32> {
        let stays = axes.iter().filter(|&&a| !is_gone(&labels[a as usize]));
        let gone = |a: u32| labels[..a as usize].iter().filter(|l| is_gone(l)).count() as u32;
        stays.map(|&a| a - gone(a)).collect()
    };
    if let Some(mut product) = Product::of(op) {
        for (side, labels) in operands.iter().enumerate() {
            product.batch[side] = left(labels, &product.batch[side]);
            product.sum[side] = left(labels, &product.sum[side]);
        }
        return product.op();
    }
    match op {
        Op::Reduce { kind, axes } => Op::Reduce {
            kind: *kind,
            axes: left(&operands[0], axes),
        },
        Op::Permute { perm } => Op::Permute {
            perm: left(&operands[0], perm),
        },
        op => op.clone(),
    }
}
