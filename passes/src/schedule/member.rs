//! Members: what a kernel computes for one kept node, as a fragment over the node's own iteration
//! space.

use super::ScheduleError;
use super::faults::Faults;
use super::lower::{Fragment, Lowerer, Stored};
use super::policy::Policy;
use lazulite_ir::{
    Binary, Combine, DType, Dim, Dims, Graph, IndexExpr, InstOp, NodeId, Op, Ranges, Scalar,
    ValueId, Var, scalar_ops,
};

/// How the points of the space make up the elements of the value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum MemberKind {
    /// One element per point.
    Map,
    /// Points that differ in the marked variables only are combined.
    Reduce {
        /// How.
        combine: Combine,
        /// For each variable, whether it is combined over.
        over: Vec<bool>,
    },
    /// One element per point: the running combination along a variable.
    Scan {
        /// How.
        combine: Combine,
        /// The variable.
        along: usize,
    },
    /// The sums of a matrix product, which are there already.
    Product,
}

/// One kept value and its computation.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// What is computed.
    pub value: Stored,
    /// Its element type.
    pub dtype: DType,
    /// Its dims.
    pub dims: Dims,
    /// Extents of the iteration space; none of them is the constant 1.
    pub space: Vec<Dim>,
    /// The element that a point contributes to: one index per axis.
    pub coords: Vec<IndexExpr>,
    /// How points make up elements.
    pub kind: MemberKind,
    /// What is computed at each point.
    pub fragment: Fragment,
    /// Cost of one point.
    pub cost: u32,
}

impl Member {
    /// The loops of the space.
    pub fn ranges(&self) -> Ranges<'_> {
        Ranges {
            outer: &[],
            inner: &self.space,
        }
    }

    /// The variables whose every value gives other elements.
    pub fn is_free(&self, var: usize) -> bool {
        match &self.kind {
            MemberKind::Map | MemberKind::Product => true,
            MemberKind::Reduce { over, .. } => !over[var],
            MemberKind::Scan { along, .. } => *along != var,
        }
    }

    /// The variables' values at the element with these coordinates, if one point makes it up.
    pub fn point(&self, coords: Vec<IndexExpr>) -> Vec<IndexExpr> {
        let mut at = vec![IndexExpr::constant(Dim::ZERO); self.space.len()];
        for (own, coord) in self.coords.iter().zip(coords) {
            if let Some(v) = variable(own) {
                at[v] = coord;
            }
        }
        at
    }

    /// True when there is nothing to compute.
    pub fn is_empty(&self) -> bool {
        self.dims.iter().any(|d| d.is(0))
    }
}

/// A variable's number in its space.
pub(super) fn variable(index: &IndexExpr) -> Option<usize> {
    match index.as_var() {
        Some(Var::Inner(i)) => Some(i as usize),
        _ => None,
    }
}

/// A space being put together axis by axis.
#[derive(Default)]
pub(super) struct Space {
    /// Extents so far.
    pub dims: Vec<Dim>,
}

impl Space {
    /// The coordinate along a new axis; axes of size 1 need no loop.
    pub fn axis(&mut self, extent: &Dim) -> IndexExpr {
        if extent.is(1) {
            return IndexExpr::constant(Dim::ZERO);
        }
        self.dims.push(extent.clone());
        IndexExpr::var(Var::Inner(self.dims.len() as u32 - 1))
    }

    /// The coordinates along several new axes.
    pub fn axes(&mut self, extents: &[Dim]) -> Vec<IndexExpr> {
        extents.iter().map(|d| self.axis(d)).collect()
    }
}

/// A combination of a member under construction.
struct Combined {
    combine: Combine,
    /// The operand and the coordinates that points read.
    operand: NodeId,
    at: Vec<IndexExpr>,
    /// Variables combined over, or run along.
    over: Vec<usize>,
    /// What it is combined in.
    wide: DType,
    is_scan: bool,
    /// There is certainly nothing to combine; the space is that of the result alone.
    is_of_nothing: bool,
}

/// The member that computes a kept node.
pub(super) fn define(
    graph: &Graph,
    policy: &Policy,
    faults: &mut Faults,
    id: NodeId,
) -> Result<Member, ScheduleError> {
    let ty = graph.tensor_type(id);
    let mut space = Space::default();
    let (coords, combined) = match &graph.node(id).op {
        Op::Reduce { .. } => reduction(graph, id, &mut space),
        Op::Scan { .. } => scan(graph, policy, id, &mut space)?,
        Op::Fold { .. } => return fold(graph, policy, faults, id),
        _ => (space.axes(&ty.dims), None),
    };
    let mut lowerer = Lowerer::new(graph, policy, faults, Some(id), &space.dims);
    let (root, kind) = match combined {
        Some(c) => combine(&mut lowerer, c, ty.dtype)?,
        None => (lowerer.value(id, coords.clone(), None)?, MemberKind::Map),
    };
    Ok(Member {
        value: Stored::of(id),
        dtype: ty.dtype,
        dims: ty.dims.clone(),
        coords,
        kind,
        cost: policy.cost(id),
        fragment: lowerer.finish(root),
        space: space.dims,
    })
}

/// The space of a reduction: the operand's axes, of which the kept ones are the result's coordinates.
fn reduction(graph: &Graph, id: NodeId, space: &mut Space) -> (Vec<IndexExpr>, Option<Combined>) {
    let node = graph.node(id);
    let Op::Reduce { kind, axes } = &node.op else {
        return (Vec::new(), None);
    };
    let operand = node.inputs[0];
    let dims = &graph.tensor_type(operand).dims;
    let is_of_nothing = axes.iter().any(|&a| dims[a as usize].is(0));
    let is_kept = |i: usize| !axes.contains(&(i as u32));
    let mut at = Vec::with_capacity(dims.len());
    for (i, d) in dims.iter().enumerate() {
        let needs_loop = is_kept(i) || !is_of_nothing;
        at.push(space.axis(if needs_loop { d } else { &Dim::ONE }));
    }
    let kept = at.iter().enumerate().filter(|(i, _)| is_kept(*i));
    let coords = kept.map(|(_, c)| c.clone()).collect();
    let over = axes.iter().filter_map(|&a| variable(&at[a as usize]));
    let combined = Combined {
        combine: *kind,
        operand,
        over: over.collect(),
        wide: graph.tensor_type(id).dtype.compute(),
        at,
        is_scan: false,
        is_of_nothing,
    };
    (coords, Some(combined))
}

/// The space of a scan, in the order of the scan.
fn scan(
    graph: &Graph,
    policy: &Policy,
    id: NodeId,
    space: &mut Space,
) -> Result<(Vec<IndexExpr>, Option<Combined>), ScheduleError> {
    let node = graph.node(id);
    let Op::Scan {
        kind,
        axis,
        reverse,
    } = &node.op
    else {
        return Ok((Vec::new(), None));
    };
    let axis = *axis as usize;
    let dims = &graph.tensor_type(id).dims;
    let mut at = space.axes(dims);
    let over = variable(&at[axis]).into_iter().collect();
    if *reverse {
        let last = dims[axis].sub(&Dim::ONE)?;
        at[axis] = at[axis].scale(&Dim::constant(-1))?.offset(&last)?;
    }
    let combined = Combined {
        combine: *kind,
        operand: node.inputs[0],
        at: at.clone(),
        over,
        wide: policy.scanned_in(*kind, graph.tensor_type(id).dtype),
        is_scan: true,
        is_of_nothing: false,
    };
    Ok((at, Some(combined)))
}

/// The value that is combined, and how. Combinations of nothing and of single elements need no
/// loop.
fn combine(
    lowerer: &mut Lowerer<'_>,
    c: Combined,
    dtype: DType,
) -> Result<(ValueId, MemberKind), ScheduleError> {
    let identity = scalar_ops::identity(c.combine, c.wide);
    let Some(identity) = identity else {
        return Err(ScheduleError::Unsupported {
            what: format!("{} of {dtype} has no kernel form", c.combine),
            source: lowerer.graph.source(c.operand).cloned(),
        });
    };
    if c.is_of_nothing {
        let identity = lowerer.constant(identity);
        return Ok((lowerer.cast(identity, dtype), MemberKind::Map));
    }
    let value = lowerer.value(c.operand, c.at, None)?;
    let wide = lowerer.cast(value, c.wide);
    if c.over.is_empty() {
        // A sum starts from +0, which turns -0 into +0.
        let mut value = wide;
        if c.combine == Combine::Sum && dtype.is_float() {
            let start = lowerer.constant(identity);
            let sum = InstOp::Binary(Binary::Add, start, wide);
            value = lowerer.emit(c.wide, sum);
        }
        return Ok((lowerer.cast(value, dtype), MemberKind::Map));
    }
    let combine = c.combine;
    let kind = if c.is_scan {
        let along = c.over[0];
        MemberKind::Scan { combine, along }
    } else {
        let mut over = vec![false; lowerer.ranges().inner.len()];
        c.over.iter().for_each(|&v| over[v] = true);
        MemberKind::Reduce { combine, over }
    };
    Ok((wide, kind))
}

/// Overlap-add as a sum over places.
fn fold(
    graph: &Graph,
    policy: &Policy,
    faults: &mut Faults,
    id: NodeId,
) -> Result<Member, ScheduleError> {
    let ty = graph.tensor_type(id);
    let operand = graph.node(id).inputs[0];
    let places = graph.tensor_type(operand).dims.last();
    let mut space = Space::default();
    let coords = space.axes(&ty.dims);
    let place = space.axis(places.unwrap_or(&Dim::ONE));
    let mut lowerer = Lowerer::new(graph, policy, faults, Some(id), &space.dims);
    let mut value = fold_point(&mut lowerer, id, &coords, &place)?;
    let kind = match variable(&place) {
        Some(place) => {
            let mut over = vec![false; space.dims.len()];
            over[place] = true;
            let combine = Combine::Sum;
            MemberKind::Reduce { combine, over }
        }
        None => {
            value = lowerer.cast(value, ty.dtype);
            MemberKind::Map
        }
    };
    Ok(Member {
        value: Stored::of(id),
        dtype: ty.dtype,
        dims: ty.dims.clone(),
        coords,
        kind,
        cost: policy.cost(id),
        fragment: lowerer.finish(value),
        space: space.dims,
    })
}

/// What a place adds to the element at `coords`: place `k` of window `w` belongs to element `a` when
/// `w * stride = a - k * dilation`.
fn fold_point(
    lowerer: &mut Lowerer<'_>,
    id: NodeId,
    coords: &[IndexExpr],
    place: &IndexExpr,
) -> Result<ValueId, ScheduleError> {
    let node = lowerer.graph.node(id);
    let operand = node.inputs[0];
    let from = lowerer.dims(operand);
    let wide = lowerer.graph.tensor_type(id).dtype.compute();
    let zero = lowerer.constant(Scalar::from_bits(wide, 0));
    let Op::Fold {
        axis,
        stride,
        dilation,
        ..
    } = &node.op
    else {
        return Ok(zero);
    };
    if from.iter().any(|d| d.is(0)) {
        return Ok(zero);
    }
    let axis = *axis as usize;
    let back = place.scale(&dilation.mul(&Dim::constant(-1))?)?;
    let start = coords[axis].add(&back)?;
    let window = start.floor_div(stride, lowerer.ranges())?;
    let rest = start.modulo(stride, lowerer.ranges())?;
    let inside = lowerer.in_range(&window, Dim::ZERO, from[axis].clone());
    let exact = lowerer.in_range(&rest, Dim::ZERO, Dim::ONE);
    let valid = lowerer.and(inside, exact);
    let mut at = coords.to_vec();
    at[axis] = window;
    at.push(place.clone());
    let value = lowerer.value(operand, at, valid)?;
    let value = lowerer.cast(value, wide);
    Ok(match valid {
        Some(valid) => lowerer.emit(wide, InstOp::Select(valid, value, zero)),
        None => value,
    })
}
