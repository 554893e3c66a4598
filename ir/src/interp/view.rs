//! Operations that rearrange elements. All but Reshape copy a box of elements from a place that
//! moves by strides to another such place.

use super::walk::{row_major, walk};
use super::{Array, error::Stop};

type Result<T> = std::result::Result<T, Stop>;

/// Where the elements of a box lie in an array.
struct Layout {
    offset: isize,
    strides: Vec<isize>,
}

impl Layout {
    fn dense(dims: &[usize]) -> Layout {
        Layout {
            offset: 0,
            strides: row_major(dims),
        }
    }

    /// True when all elements of the box are inside an array of `len` elements.
    fn fits(&self, dims: &[usize], len: usize) -> bool {
        if dims.contains(&0) {
            return true;
        }
        let (mut low, mut high) = (self.offset as i128, self.offset as i128);
        for (&stride, &size) in self.strides.iter().zip(dims) {
            let reach = stride as i128 * (size - 1) as i128;
            low += reach.min(0);
            high += reach.max(0);
        }
        low >= 0 && high < len as i128
    }
}

/// Copies the elements of a box; both arrays have the same type.
fn copy(dims: &[usize], from: (&Array, Layout), to: (&mut Array, Layout)) -> Result<()> {
    let ((source, from), (target, to)) = (from, to);
    if !from.fits(dims, source.len()) || !to.fits(dims, target.len()) {
        return Err(Stop::IllTyped);
    }
    let size = source.dtype.size();
    walk(dims, [&from.strides, &to.strides], |[i, j]| {
        let (i, j) = ((from.offset + i) as usize, (to.offset + j) as usize);
        target.bytes[j * size..][..size].copy_from_slice(&source.bytes[i * size..][..size]);
    });
    Ok(())
}

/// A dense array of the elements that `from` places in `x`.
fn view(x: &Array, from: Layout, dims: &[usize]) -> Result<Array> {
    let mut out = Array::zeros(x.dtype, dims)?;
    let to = Layout::dense(dims);
    copy(dims, (x, from), (&mut out, to))?;
    Ok(out)
}

/// `step * unit`, or 0 for axes so short that the step does not matter (and might overflow).
fn stride(count: usize, step: i64, unit: isize) -> isize {
    if count > 1 { step as isize * unit } else { 0 }
}

pub(super) fn reshape(x: &Array, dims: Vec<usize>) -> Result<Array> {
    let out = Array {
        dtype: x.dtype,
        dims,
        bytes: x.bytes.clone(),
    };
    out.is_valid().then_some(out).ok_or(Stop::IllTyped)
}

pub(super) fn permute(x: &Array, perm: &[u32], dims: &[usize]) -> Result<Array> {
    let strides = row_major(&x.dims);
    let from = Layout {
        offset: 0,
        strides: perm.iter().map(|&p| strides[p as usize]).collect(),
    };
    view(x, from, dims)
}

pub(super) fn expand(x: &Array, dims: &[usize]) -> Result<Array> {
    let mut from = Layout::dense(&x.dims);
    for (stride, &size) in from.strides.iter_mut().zip(&x.dims) {
        if size == 1 {
            *stride = 0;
        }
    }
    view(x, from, dims)
}

pub(super) fn slice(x: &Array, start: &[i64], step: &[i64], dims: &[usize]) -> Result<Array> {
    let mut from = Layout::dense(&x.dims);
    if dims.contains(&0) {
        return Ok(Array::zeros(x.dtype, dims)?);
    }
    for (axis, unit) in from.strides.iter_mut().enumerate() {
        from.offset += start[axis] as isize * *unit;
        *unit = stride(dims[axis], step[axis], *unit);
    }
    view(x, from, dims)
}

pub(super) fn window(
    x: &Array,
    axis: usize,
    [step, dilation]: [i64; 2],
    dims: &[usize],
) -> Result<Array> {
    let mut from = Layout::dense(&x.dims);
    let unit = from.strides[axis];
    let (windows, places) = (dims[axis], dims[x.dims.len()]);
    from.strides[axis] = stride(windows, step, unit);
    // Without windows nothing bounds the dilation.
    let inside = if windows > 0 { places } else { 0 };
    from.strides.push(stride(inside, dilation, unit));
    view(x, from, dims)
}

pub(super) fn pad(
    x: &Array,
    fill: &Array,
    [low, interior]: [&[i64]; 2],
    dims: &[usize],
) -> Result<Array> {
    let fill = fill.get(0).ok_or(Stop::IllTyped)?;
    let mut out = Array::filled(dims, fill)?;
    let (mut from, mut to) = (Layout::dense(&x.dims), Layout::dense(dims));
    let mut kept = Vec::with_capacity(dims.len());
    for axis in 0..dims.len() {
        // Element `i` goes to `low + i * step`; those before `first` and from `end` are cut off.
        let (low, step) = (i128::from(low[axis]), i128::from(interior[axis]) + 1);
        let steps = |distance: i128| (distance.max(0) as u128).div_ceil(step as u128) as i128;
        let first = steps(-low);
        let end = steps(dims[axis] as i128 - low).min(x.dims[axis] as i128);
        if first >= end {
            return Ok(out);
        }
        kept.push((end - first) as usize);
        from.offset += first as isize * from.strides[axis];
        to.offset += (low + first * step) as isize * to.strides[axis];
        to.strides[axis] = stride(kept[axis], step as i64, to.strides[axis]);
    }
    copy(&kept, (x, from), (&mut out, to))?;
    Ok(out)
}
