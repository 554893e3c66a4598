//! One row of a picture: its units in the order of where they want to be, and as near to there as the
//! others allow.

use super::layout::Size;

/// A row.
pub(super) struct Row<'a> {
    /// Its units, left to right.
    pub units: &'a mut [usize],
    /// Sizes of all units.
    pub sizes: &'a [Size],
    /// Distance between neighbours.
    pub gap: f64,
}

/// Moves the units of a row towards their neighbours in other rows. Gives the elementary steps it took.
pub(super) fn settle(
    row: Row<'_>,
    towards: [Option<&Vec<Vec<usize>>>; 2],
    centers: &mut [[f64; 2]],
) -> u64 {
    let mut steps = row.units.len() as u64;
    let mut wanted: Vec<(f64, usize)> = Vec::with_capacity(row.units.len());
    for &unit in row.units.iter() {
        let (mut sum, mut count) = (0.0, 0.0);
        for &other in towards.iter().flatten().flat_map(|lists| &lists[unit]) {
            sum += centers[other][0];
            count += 1.0;
            steps += 1;
        }
        let x = if count > 0.0 {
            sum / count
        } else {
            centers[unit][0]
        };
        wanted.push((x, unit));
    }
    wanted.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (slot, (_, unit)) in row.units.iter_mut().zip(&wanted) {
        *slot = *unit;
    }
    for (unit, x) in spread(&wanted, row.sizes, row.gap) {
        centers[unit][0] = x;
    }
    steps
}

/// The places nearest to the wanted ones (least squares) at which units do not overlap. Units that are in
/// each other's way become one block, which stands where they want to be on average.
fn spread(wanted: &[(f64, usize)], sizes: &[Size], gap: f64) -> Vec<(usize, f64)> {
    struct Block {
        sum: f64,
        count: usize,
    }
    let mean = |b: &Block| b.sum / b.count as f64;
    // Without the room that units before take, the order is all there is to keep.
    let mut room = Vec::with_capacity(wanted.len());
    let mut taken = 0.0;
    for (i, &(_, unit)) in wanted.iter().enumerate() {
        if i > 0 {
            taken += (sizes[wanted[i - 1].1][0] + sizes[unit][0]) / 2.0 + gap;
        }
        room.push(taken);
    }
    let mut blocks: Vec<Block> = Vec::new();
    for (&(x, _), room) in wanted.iter().zip(&room) {
        let mut block = Block {
            sum: x - room,
            count: 1,
        };
        while let Some(last) = blocks.pop_if(|last| mean(last) > mean(&block)) {
            block.sum += last.sum;
            block.count += last.count;
        }
        blocks.push(block);
    }
    let bases = blocks
        .iter()
        .flat_map(|b| std::iter::repeat_n(mean(b), b.count));
    let places = bases.zip(&room).zip(wanted);
    places
        .map(|((base, room), &(_, unit))| (unit, base + room))
        .collect()
}
