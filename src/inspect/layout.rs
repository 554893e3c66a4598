//! Where operations stand in a picture: layers from top to bottom, groups as boxes around what they hold.
//!
//! Groups are laid out by themselves first, then they stand among the other operations as large ones. An
//! operation is below all it reads. Parameters stand right above their first use. Operations that use
//! each other are moved towards each other, layer by layer, a fixed number of times; long edges get
//! waypoints, as many as a budget linear in the size of the graph allows. So the time is that of sorting.

use super::order::{Row, settle};
use rustc_hash::FxHashMap;

/// Width and height.
pub(super) type Size = [f64; 2];

/// Distances between neighbours and between layers.
const GAP: Size = [22.0, 40.0];

/// Inside of groups.
const INNER_GAP: Size = [14.0, 26.0];

/// Around what a group holds; above, with its title.
const PADDING: f64 = 14.0;
const HEADER: f64 = 34.0;

/// Waypoints for each edge and operation, on average.
const WAYPOINTS: usize = 3;

/// How wide a waypoint is.
const WAYPOINT: Size = [8.0, 0.0];

/// Passes over all layers.
const SWEEPS: usize = 8;

/// What is to be laid out.
pub(super) struct Drawing<'a> {
    /// Sizes of the operations.
    pub sizes: &'a [Size],
    /// From, to: positions of operations; an operation is behind all it reads.
    pub edges: &'a [(usize, usize)],
    /// The group of each operation.
    pub groups: &'a [Option<usize>],
    /// How wide the title of each group is.
    pub titles: &'a [f64],
}

/// A picture: left, top, width and height of everything, in pixels.
pub(super) struct Layout {
    /// Of operations.
    pub nodes: Vec<[f64; 4]>,
    /// Of groups; empty ones have no size.
    pub groups: Vec<[f64; 4]>,
    /// Points that edges pass through, first to last, without their ends.
    pub edges: Vec<Vec<[f64; 2]>>,
    /// All of it.
    pub size: Size,
}

/// Lays a picture out. Says how many elementary steps that took: visits of operations and edges.
pub(super) fn layout(drawing: &Drawing<'_>) -> (Layout, u64) {
    let (count, group_count) = (drawing.sizes.len(), drawing.titles.len());
    let mut steps = 0;
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); group_count];
    // What stands on the outer level: groups, then operations without one.
    let mut unit_of: Vec<usize> = Vec::with_capacity(count);
    let mut units: Vec<Size> = vec![[0.0; 2]; group_count];
    for (node, group) in drawing.groups.iter().enumerate() {
        match group {
            Some(group) => {
                members[*group].push(node);
                unit_of.push(*group);
            }
            None => {
                unit_of.push(units.len());
                units.push(drawing.sizes[node]);
            }
        }
    }
    let mut inner: Vec<Vec<(usize, usize)>> = vec![Vec::new(); group_count];
    let mut place = vec![0; count];
    for list in &members {
        for (at, &node) in list.iter().enumerate() {
            place[node] = at;
        }
    }
    for &(from, to) in drawing.edges {
        if unit_of[from] == unit_of[to] && unit_of[from] < group_count {
            inner[unit_of[from]].push((place[from], place[to]));
        }
    }
    let mut pictures = Vec::with_capacity(group_count);
    for (group, list) in members.iter().enumerate() {
        let sizes: Vec<Size> = list.iter().map(|&n| drawing.sizes[n]).collect();
        let picture = layers(&sizes, &inner[group], INNER_GAP, &mut steps);
        if !list.is_empty() {
            let width = picture.size[0].max(drawing.titles[group]);
            units[group] = [width + 2.0 * PADDING, picture.size[1] + HEADER + PADDING];
        }
        pictures.push(picture);
    }
    let outer: Vec<(usize, usize)> = { drawing.edges.iter() }
        .map(|&(from, to)| (unit_of[from], unit_of[to]))
        .collect();
    let picture = layers(&units, &outer, GAP, &mut steps);
    let picture = assemble(drawing, &unit_of, &place, &units, &pictures, picture);
    (picture, steps)
}

/// Puts the pictures of groups into the picture of them all.
fn assemble(
    drawing: &Drawing<'_>,
    unit_of: &[usize],
    place: &[usize],
    units: &[Size],
    pictures: &[Layers],
    outer: Layers,
) -> Layout {
    let corner = |unit: usize| {
        let ([x, y], [w, h]) = (outer.centers[unit], units[unit]);
        [x - w / 2.0, y - h / 2.0]
    };
    let mut nodes = Vec::with_capacity(unit_of.len());
    for (node, &unit) in unit_of.iter().enumerate() {
        let [w, h] = drawing.sizes[node];
        let [left, top] = corner(unit);
        nodes.push(match pictures.get(unit) {
            None => [left, top, w, h],
            Some(picture) => {
                let [x, y] = picture.centers[place[node]];
                let shift = (units[unit][0] - picture.size[0]) / 2.0;
                [left + shift + x - w / 2.0, top + HEADER + y - h / 2.0, w, h]
            }
        });
    }
    let groups = (0..pictures.len()).map(|g| {
        let ([left, top], [w, h]) = (corner(g), units[g]);
        [left, top, w, h]
    });
    let inside = |group: usize, from: usize, to: usize| {
        let picture = &pictures[group];
        let [left, top] = corner(group);
        let shift = (units[group][0] - picture.size[0]) / 2.0;
        let points = picture.waypoints.get(&(place[from], place[to]));
        let moved = |p: &[f64; 2]| [left + shift + p[0], top + HEADER + p[1]];
        points.map_or_else(Vec::new, |points| points.iter().map(moved).collect())
    };
    let edges = drawing.edges.iter().map(|&(from, to)| {
        let (a, b) = (unit_of[from], unit_of[to]);
        match a == b && a < pictures.len() {
            true => inside(a, from, to),
            false => outer.waypoints.get(&(a, b)).cloned().unwrap_or_default(),
        }
    });
    Layout {
        groups: groups.collect(),
        edges: edges.collect(),
        nodes,
        size: outer.size,
    }
}

/// A picture of one level.
struct Layers {
    centers: Vec<[f64; 2]>,
    waypoints: FxHashMap<(usize, usize), Vec<[f64; 2]>>,
    size: Size,
}

/// Neighbours of each unit.
#[derive(Default)]
struct Neighbours {
    above: Vec<Vec<usize>>,
    below: Vec<Vec<usize>>,
}

impl Neighbours {
    fn of(count: usize, edges: &[(usize, usize)]) -> Neighbours {
        let mut found = Neighbours {
            above: vec![Vec::new(); count],
            below: vec![Vec::new(); count],
        };
        for &(from, to) in edges {
            found.below[from].push(to);
            found.above[to].push(from);
        }
        found
    }
}

/// Lays units out in layers.
fn layers(sizes: &[Size], edges: &[(usize, usize)], gap: Size, steps: &mut u64) -> Layers {
    let mut edges: Vec<(usize, usize)> = edges.iter().copied().filter(|(a, b)| a != b).collect();
    edges.sort_unstable();
    edges.dedup();
    let neighbours = Neighbours::of(sizes.len(), &edges);
    let mut layer = depths(&neighbours, steps);
    *steps += (sizes.len() + edges.len()) as u64;
    // Units, then waypoints.
    let mut sizes: Vec<Size> = sizes.to_vec();
    let units = sizes.len();
    let routes = route(&mut sizes, &mut layer, &edges);
    let pieces = pieces(&edges, &routes);
    let neighbours = Neighbours::of(sizes.len(), &pieces);
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for (unit, &at) in layer.iter().enumerate() {
        rows.resize(rows.len().max(at + 1), Vec::new());
        rows[at].push(unit);
    }
    rows.retain(|row| !row.is_empty());
    let mut centers = vec![[0.0; 2]; sizes.len()];
    for row in &rows {
        let mut x = 0.0;
        for &unit in row {
            centers[unit][0] = x + sizes[unit][0] / 2.0;
            x += sizes[unit][0] + gap[0];
        }
    }
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        if sweep == SWEEPS / 2 {
            rows = wrapped(rows, &sizes, gap, &mut centers);
        }
        let count = rows.len();
        for i in 0..count {
            let at = if down { i } else { count - 1 - i };
            let towards = match (down, sweep + 2 >= SWEEPS) {
                (true, false) => [Some(&neighbours.above), None],
                (false, false) => [Some(&neighbours.below), None],
                (_, true) => [Some(&neighbours.above), Some(&neighbours.below)],
            };
            let row = Row {
                units: &mut rows[at],
                sizes: &sizes,
                gap: gap[0],
            };
            *steps += settle(row, towards, &mut centers);
        }
    }
    finish(units, &sizes, &rows, gap, &edges, &routes, centers)
}

/// The layer of every unit: below all it reads, and of units that depend on nothing that others use, right
/// above the first that uses them.
fn depths(neighbours: &Neighbours, steps: &mut u64) -> Vec<usize> {
    let count = neighbours.above.len();
    let mut missing: Vec<usize> = neighbours.above.iter().map(Vec::len).collect();
    let mut order: Vec<usize> = (0..count).filter(|&u| missing[u] == 0).collect();
    let mut layer = vec![0usize; count];
    let mut movable = vec![true; count];
    let mut next = 0;
    while let Some(&unit) = order.get(next) {
        next += 1;
        *steps += 1 + neighbours.below[unit].len() as u64;
        let own = |&above: &usize| movable[above] && neighbours.below[above].len() == 1;
        movable[unit] = neighbours.above[unit].iter().all(own);
        for &user in &neighbours.below[unit] {
            layer[user] = layer[user].max(layer[unit] + 1);
            missing[user] -= 1;
            if missing[user] == 0 {
                order.push(user);
            }
        }
    }
    for &unit in order.iter().rev() {
        let first = neighbours.below[unit].iter().map(|&user| layer[user]).min();
        if let (true, Some(first)) = (movable[unit], first) {
            layer[unit] = layer[unit].max(first.saturating_sub(1));
        }
    }
    layer
}

/// Adds waypoints for edges over several layers, the shortest first, and gives the waypoints of each edge.
fn route(
    sizes: &mut Vec<Size>,
    layer: &mut Vec<usize>,
    edges: &[(usize, usize)],
) -> Vec<std::ops::Range<usize>> {
    let mut budget = WAYPOINTS * (sizes.len() + edges.len());
    let span = |e: usize| layer[edges[e].1].saturating_sub(layer[edges[e].0] + 1);
    let mut by_span: Vec<(usize, usize)> = (0..edges.len()).map(|e| (span(e), e)).collect();
    by_span.sort_unstable();
    let mut routes = vec![0..0; edges.len()];
    for (span, edge) in by_span {
        if span == 0 || span > budget {
            continue;
        }
        budget -= span;
        let first = sizes.len();
        for at in 0..span {
            sizes.push(WAYPOINT);
            layer.push(layer[edges[edge].0] + 1 + at);
        }
        routes[edge] = first..sizes.len();
    }
    routes
}

/// Edges from layer to layer, through waypoints.
fn pieces(edges: &[(usize, usize)], routes: &[std::ops::Range<usize>]) -> Vec<(usize, usize)> {
    let mut pieces = Vec::with_capacity(edges.len());
    for (&(from, to), route) in edges.iter().zip(routes) {
        let mut last = from;
        for point in route.clone() {
            pieces.push((last, point));
            last = point;
        }
        pieces.push((last, to));
    }
    pieces
}

/// Breaks rows that are much wider than the picture should be.
fn wrapped(
    rows: Vec<Vec<usize>>,
    sizes: &[Size],
    gap: Size,
    centers: &mut [[f64; 2]],
) -> Vec<Vec<usize>> {
    let area = |s: &Size| (s[0] + gap[0]) * (s[1] + gap[1]);
    let limit = (3.0 * sizes.iter().map(area).sum::<f64>().sqrt()).max(1600.0);
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        let width: f64 = row.iter().map(|&u| sizes[u][0] + gap[0]).sum();
        if width <= limit {
            out.push(row);
            continue;
        }
        let mut line: Vec<usize> = Vec::new();
        let mut x = 0.0;
        for unit in row {
            let width = sizes[unit][0];
            if x + width > limit && !line.is_empty() {
                out.push(std::mem::take(&mut line));
                x = 0.0;
            }
            centers[unit][0] = x + width / 2.0;
            x += width + gap[0];
            line.push(unit);
        }
        out.push(line);
    }
    out
}

/// Gives the layers their heights, and moves everything to the origin.
fn finish(
    units: usize,
    sizes: &[Size],
    rows: &[Vec<usize>],
    gap: Size,
    edges: &[(usize, usize)],
    routes: &[std::ops::Range<usize>],
    mut centers: Vec<[f64; 2]>,
) -> Layers {
    let left = (0..sizes.len()).map(|u| centers[u][0] - sizes[u][0] / 2.0);
    let left = left.fold(f64::INFINITY, f64::min);
    let left = if left.is_finite() { left } else { 0.0 };
    let mut y = 0.0;
    let mut width: f64 = 0.0;
    let mut reads = vec![false; sizes.len()];
    edges.iter().for_each(|(_, to)| reads[*to] = true);
    for row in rows {
        let height = row.iter().map(|&u| sizes[u][1]).fold(0.0, f64::max);
        for &unit in row {
            centers[unit][0] -= left;
            // What reads nothing stands near those who read it, beside a large neighbour.
            let is_unit = unit < units;
            centers[unit][1] = match is_unit && !reads[unit] {
                true => y + height - sizes[unit][1] / 2.0,
                false => y + height / 2.0,
            };
            width = width.max(centers[unit][0] + sizes[unit][0] / 2.0);
        }
        y += height + gap[1];
    }
    let waypoints = edges
        .iter()
        .zip(routes)
        .filter(|(_, route)| !route.is_empty());
    let waypoints = waypoints.map(|(edge, route)| (*edge, centers[route.clone()].to_vec()));
    Layers {
        waypoints: waypoints.collect(),
        centers: centers[..units].to_vec(),
        size: [width, (y - gap[1]).max(0.0)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing<'a>(
        sizes: &'a [Size],
        edges: &'a [(usize, usize)],
        groups: &'a [Option<usize>],
        titles: &'a [f64],
    ) -> Drawing<'a> {
        Drawing {
            sizes,
            edges,
            groups,
            titles,
        }
    }

    /// Sizes of nodes, edges between them, and the groups they are in.
    type Picture = (Vec<Size>, Vec<(usize, usize)>, Vec<Option<usize>>);

    /// A residual network with a parameter per layer, in groups of three.
    fn network(layers: usize) -> Picture {
        let (mut sizes, mut edges, mut groups) = (vec![[100.0, 44.0]], Vec::new(), vec![None]);
        let mut last = 0;
        for layer in 0..layers {
            let weight = sizes.len();
            sizes.extend([[100.0, 44.0]; 4]);
            groups.extend([None, Some(layer), Some(layer), Some(layer)]);
            edges.extend([(last, weight + 1), (weight, weight + 1)]);
            edges.extend([(weight + 1, weight + 2), (weight + 2, weight + 3)]);
            edges.push((last, weight + 3));
            last = weight + 3;
        }
        (sizes, edges, groups)
    }

    fn overlap(a: [f64; 4], b: [f64; 4]) -> bool {
        let apart = |i: usize| a[i] + a[i + 2] <= b[i] + 0.01 || b[i] + b[i + 2] <= a[i] + 0.01;
        !apart(0) && !apart(1)
    }

    #[test]
    fn nothing_overlaps_and_users_are_below() {
        let (sizes, edges, groups) = network(12);
        let (picture, _) = layout(&drawing(&sizes, &edges, &groups, &[80.0; 12]));
        for (i, a) in picture.nodes.iter().enumerate() {
            for b in &picture.nodes[..i] {
                assert!(!overlap(*a, *b), "{a:?} {b:?}");
            }
        }
        for (i, a) in picture.groups.iter().enumerate() {
            for b in &picture.groups[..i] {
                assert!(!overlap(*a, *b), "{a:?} {b:?}");
            }
        }
        for &(from, to) in &edges {
            assert!(picture.nodes[from][1] < picture.nodes[to][1]);
        }
        for (node, group) in groups.iter().enumerate() {
            if let Some(group) = group {
                let ([x, y, w, h], [l, t, gw, gh]) = (picture.nodes[node], picture.groups[*group]);
                assert!(x >= l && y >= t && x + w <= l + gw && y + h <= t + gh);
            }
        }
        // The parameter of the last layer is near it.
        let [_, weight, ..] = picture.nodes[45];
        assert!(picture.nodes[46][1] - weight < 200.0);
    }

    #[test]
    fn five_thousand_operations_take_near_linear_steps() {
        let steps = |layers: usize| {
            let (sizes, edges, groups) = network(layers);
            let titles = vec![80.0; layers];
            let flat = vec![None; sizes.len()];
            let (_, grouped) = layout(&drawing(&sizes, &edges, &groups, &titles));
            grouped + layout(&drawing(&sizes, &edges, &flat, &[])).1
        };
        let (small, large) = (steps(125), steps(1250));
        assert!(large <= 14 * small, "{small} {large}");
        assert!(large < 5_000 * 1_000, "{large}");
    }

    #[test]
    fn a_layer_of_thousands_is_broken_into_rows() {
        let sizes = vec![[120.0, 44.0]; 5000];
        let edges: Vec<(usize, usize)> = (0..4999).map(|i| (i, 4999)).collect();
        let groups = vec![None; 5000];
        let (picture, _) = layout(&drawing(&sizes, &edges, &groups, &[]));
        assert!(picture.size[0] < 30_000.0, "{:?}", picture.size);
        let (empty, _) = layout(&drawing(&[], &[], &[], &[0.0]));
        assert_eq!(empty.size, [0.0, 0.0]);
    }
}
