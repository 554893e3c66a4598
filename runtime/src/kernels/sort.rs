//! Stable sorting of one strided lane: the permutation by its keys, then any column by the
//! permutation. NaN counts as the largest value, and -0 equals 0.

use crate::Element;

/// A key mapped to an unsigned number of the same order, and where it stood. Sorting pairs needs no stable
/// algorithm: equal keys are in the order of their places.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(C)]
pub(crate) struct Place {
    key: u64,
    index: u64,
}

/// Elements of one lane: `len` of them, `stride` elements apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    /// Element type.
    pub element: Element,
    /// The first element.
    pub first: *mut u8,
    /// Distance in elements.
    pub stride: usize,
    /// Number of elements.
    pub len: usize,
}

impl Lane {
    /// # Safety
    /// `i < self.len`, and the lane's memory is as [`order`] wants it.
    unsafe fn at(&self, i: usize) -> *mut u8 {
        let bytes = self.element.bytes();
        // SAFETY: element `i` lies in the lane's memory.
        unsafe { self.first.add(i * self.stride * bytes) }
    }
}

/// Whether [`order`] has an order for the type; complex numbers have none.
pub(crate) const fn has_order(element: Element) -> bool {
    !matches!(element, Element::C64 | Element::C128)
}

/// Sets `places` (as long as the lane) to the lane's places in sorted order.
///
/// # Safety
/// The lane's elements are readable, initialised and aligned.
pub(crate) unsafe fn order(keys: Lane, descending: bool, places: &mut [Place]) {
    let width = 8 * keys.element.bytes().min(8) as u32;
    let mask = u64::MAX >> (64 - width);
    for (i, place) in places.iter_mut().enumerate().take(keys.len) {
        // SAFETY: i < len, and the caller's promise.
        let key = ordered(keys.element, unsafe { read(keys.at(i), keys.element) });
        *place = Place {
            key: if descending { mask - key } else { key },
            index: i as u64,
        };
    }
    places.sort_unstable();
}

/// Sets element i of `to` to the element of `from` at `places[i]`.
///
/// # Safety
/// Both lanes are valid for `places`' length and of one element type, `from` readable, `to` writable, and
/// `places` was set by [`order`] for as many elements.
pub(crate) unsafe fn permute(from: Lane, to: Lane, places: &[Place]) {
    // SAFETY: indices in `places` are below its length, the lanes are as promised.
    unsafe {
        match from.element.bytes() {
            1 => permute_as::<u8>(from, to, places),
            2 => permute_as::<u16>(from, to, places),
            4 => permute_as::<u32>(from, to, places),
            8 => permute_as::<u64>(from, to, places),
            _ => permute_as::<[u64; 2]>(from, to, places),
        }
    }
}

/// # Safety
/// As for [`permute`]; `T` has the element's size and at most its alignment.
unsafe fn permute_as<T: Copy>(from: Lane, to: Lane, places: &[Place]) {
    for (i, place) in places.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let value = from.at(place.index as usize).cast::<T>().read();
            to.at(i).cast::<T>().write(value);
        }
    }
}

/// # Safety
/// `at` points to a readable, aligned element.
unsafe fn read(at: *const u8, element: Element) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        match element.bytes() {
            1 => u64::from(at.read()),
            2 => u64::from(at.cast::<u16>().read()),
            4 => u64::from(at.cast::<u32>().read()),
            _ => at.cast::<u64>().read(),
        }
    }
}

/// The unsigned number that stands for an element's bits in order.
fn ordered(element: Element, bits: u64) -> u64 {
    match element {
        Element::Bool => u64::from(bits != 0),
        Element::U8 | Element::U16 | Element::U32 | Element::U64 => bits,
        Element::I8 => bits ^ 1 << 7,
        Element::I16 => bits ^ 1 << 15,
        Element::I32 => bits ^ 1 << 31,
        Element::I64 => bits ^ 1 << 63,
        Element::F16 => ordered_float(bits, 16, 0x7C00),
        Element::BF16 => ordered_float(bits, 16, 0x7F80),
        Element::F32 => ordered_float(bits, 32, 0x7F80_0000),
        Element::F64 => ordered_float(bits, 64, 0x7FF0_0000_0000_0000),
        // Without order; see `has_order`.
        Element::C64 | Element::C128 => 0,
    }
}

/// As [`ordered`], for floats of `width` bits with the given infinity.
fn ordered_float(bits: u64, width: u32, infinity: u64) -> u64 {
    let sign = 1 << (width - 1);
    let magnitude = bits & (sign - 1);
    if magnitude > infinity {
        return sign | (sign - 1);
    }
    match bits & sign != 0 {
        // -0 becomes `sign`, like +0.
        true => sign - magnitude,
        false => sign + magnitude,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plain;
    use proptest::prelude::*;
    use std::cmp::Ordering;

    fn lane<T: Plain>(of: &mut [T], inner: usize, at: usize, len: usize) -> Lane {
        Lane {
            element: T::ELEMENT,
            first: of[at..].as_mut_ptr().cast(),
            stride: inner,
            len,
        }
    }

    /// Sorts the middle axis of `[n, inner]` and compares with the standard library's stable sort.
    fn check<T: Plain>(
        values: &[T],
        inner: usize,
        descending: bool,
        less: impl Fn(&T, &T) -> Ordering,
    ) {
        let len = values.len() / inner;
        let mut keys = values[..len * inner].to_vec();
        let mut payload: Vec<u16> = (0..keys.len() as u16).collect();
        let (mut sorted, mut moved) = (keys.clone(), payload.clone());
        let mut places = vec![Place { key: 0, index: 0 }; len];
        for at in 0..inner.min(keys.len()) {
            // SAFETY: lanes of `[len, inner]` vectors.
            unsafe {
                order(lane(&mut keys, inner, at, len), descending, &mut places);
                let (from, to) = (
                    lane(&mut keys, inner, at, len),
                    lane(&mut sorted, inner, at, len),
                );
                permute(from, to, &places);
                let from = lane(&mut payload, inner, at, len);
                permute(from, lane(&mut moved, inner, at, len), &places);
            }
            let mut expected: Vec<usize> = (0..len).map(|i| i * inner + at).collect();
            expected.sort_by(|a, b| {
                let order = less(&keys[*a], &keys[*b]);
                if descending { order.reverse() } else { order }
            });
            for (i, e) in expected.into_iter().enumerate() {
                assert_eq!(usize::from(moved[i * inner + at]), e);
                let bytes = |x: T| crate::Buffer::from_slice(&[x]).unwrap().as_bytes().to_vec();
                assert_eq!(bytes(sorted[i * inner + at]), bytes(keys[e]));
            }
        }
    }

    /// Numbers by value, NaN last and equal among themselves.
    fn float_order(a: f64, b: f64) -> Ordering {
        a.partial_cmp(&b)
            .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
    }

    proptest! {
        #[test]
        fn like_the_standard_stable_sort(
            raw in prop::collection::vec(any::<u64>(), 0..80),
            few in prop::collection::vec(0usize..10, 0..80),
            inner in 1usize..4,
            descending: bool,
        ) {
            let special = [0.0, -0.0, 1.0, -1.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, 1e-40];
            let few: Vec<f64> = few.into_iter().map(|i| special[i]).collect();
            let floats = |x: &f64, y: &f64| float_order(*x, *y);
            check(&few, inner, descending, floats);
            let f32s: Vec<f32> = few.iter().map(|x| *x as f32).collect();
            check(&f32s, inner, descending, |x, y| float_order(f64::from(*x), f64::from(*y)));
            macro_rules! bits {
                ($($type:ty),*) => {$({
                    let v: Vec<$type> = raw.iter().map(|b| *b as $type).collect();
                    check(&v, inner, descending, |x, y| x.cmp(y));
                })*};
            }
            bits!(u8, u16, u32, u64, i8, i16, i32, i64);
            let v: Vec<f64> = raw.iter().map(|b| f64::from_bits(*b)).collect();
            check(&v, inner, descending, floats);
            let v: Vec<half::f16> = raw.iter().map(|b| half::f16::from_bits(*b as u16)).collect();
            check(&v, inner, descending, |x, y| float_order(x.to_f64(), y.to_f64()));
            let v: Vec<half::bf16> = raw.iter().map(|b| half::bf16::from_bits(*b as u16)).collect();
            check(&v, inner, descending, |x, y| float_order(x.to_f64(), y.to_f64()));
            let v: Vec<bool> = raw.iter().map(|b| *b % 2 == 1).collect();
            check(&v, inner, descending, |x, y| x.cmp(y));
        }
    }
}
