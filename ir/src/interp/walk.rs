//! Walking over the points of a box while positions in several arrays follow by strides.

/// Strides of a dense row-major array, in elements.
pub(super) fn row_major(dims: &[usize]) -> Vec<isize> {
    let mut strides = vec![0; dims.len()];
    let mut next = 1isize;
    for (stride, &size) in strides.iter_mut().zip(dims).rev() {
        *stride = next;
        // Arrays can be addressed even with sizes of 0 counted as 1, so this does not overflow.
        next *= size.max(1) as isize;
    }
    strides
}

/// Calls `visit` for every point of the box in row-major order, with the position that each list
/// of strides gives it.
pub(super) fn walk<const N: usize>(
    dims: &[usize],
    strides: [&[isize]; N],
    mut visit: impl FnMut([isize; N]),
) {
    if dims.contains(&0) {
        return;
    }
    let mut index = vec![0; dims.len()];
    let mut at = [0; N];
    loop {
        visit(at);
        let mut axis = dims.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            for (at, strides) in at.iter_mut().zip(strides) {
                *at += strides[axis];
            }
            if index[axis] < dims[axis] {
                break;
            }
            for (at, strides) in at.iter_mut().zip(strides) {
                *at -= strides[axis] * dims[axis] as isize;
            }
            index[axis] = 0;
        }
    }
}

/// The entries of `list` at `axes`.
pub(super) fn pick<T: Copy>(list: &[T], axes: impl IntoIterator<Item = usize>) -> Vec<T> {
    axes.into_iter().map(|a| list[a]).collect()
}

/// The axes below `rank` that are not in `axes`.
pub(super) fn others(rank: usize, axes: &[u32]) -> Vec<usize> {
    (0..rank).filter(|&a| !axes.contains(&(a as u32))).collect()
}

/// Axes as positions.
pub(super) fn positions(axes: &[u32]) -> impl Iterator<Item = usize> + '_ {
    axes.iter().map(|&a| a as usize)
}
