//! What kernels of library functions work with: typed memory, entry by entry of the batch, on the
//! threads of a pool.

use super::signature::{Fit, product};
use super::{Operand, ResultMut};
use crate::custom::guarded;
use crate::partition::box_count;
use crate::{Element, Pool};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An element type of kernels.
///
/// # Safety
/// The type has no padding, and every pattern of bytes is a value of it.
pub(super) unsafe trait Number: Copy + Send + Sync + 'static {
    /// The element type.
    const ELEMENT: Element;
}

macro_rules! numbers {
    ($($type:ty => $element:ident),* $(,)?) => {$(
        // SAFETY: numbers, and pairs of one type of number.
        unsafe impl Number for $type {
            const ELEMENT: Element = Element::$element;
        }
    )*};
}

numbers! { i32 => I32, i64 => I64, f32 => F32, f64 => F64 }
#[cfg(feature = "foreign")]
numbers! { num_complex::Complex<f32> => C64, num_complex::Complex<f64> => C128 }

/// A call in progress; its types fit the function's signature.
pub(super) struct Call<'a> {
    scalar: Element,
    batch: usize,
    operands: Vec<Part<&'a [u8]>>,
    results: Vec<Part<&'a mut [u8]>>,
    pool: &'a Pool,
}

/// An operand or result.
struct Part<B> {
    element: Element,
    core: Vec<usize>,
    bytes: B,
}

impl<'a> Call<'a> {
    pub fn new(
        scalar: Element,
        operands: &'a [Operand<'_>],
        results: &'a mut [ResultMut<'_>],
        fit: &Fit,
        pool: &'a Pool,
    ) -> Result<Call<'a>, String> {
        let sized = |element: Element, dims: &[usize], bytes: usize| {
            let elements = product(dims)?;
            let problem = || {
                format!(
                    "{} elements of {dims:?} are not {bytes} bytes",
                    element.name()
                )
            };
            (elements.checked_mul(element.bytes()) == Some(bytes))
                .then_some(())
                .ok_or_else(problem)
        };
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for (operand, (element, core)) in operands.iter().zip(&fit.operands) {
            sized(operand.element, operand.dims, operand.bytes.len())?;
            let (element, core, bytes) = (*element, core.clone(), operand.bytes);
            from.push(Part {
                element,
                core,
                bytes,
            });
        }
        for (result, (element, core)) in results.iter_mut().zip(&fit.results) {
            sized(result.element, result.dims, result.bytes.len())?;
            let (element, core, bytes) = (*element, core.clone(), &mut *result.bytes);
            to.push(Part {
                element,
                core,
                bytes,
            });
        }
        Ok(Call {
            scalar,
            batch: fit.batch,
            operands: from,
            results: to,
            pool,
        })
    }

    /// The scalar type that the function was called for.
    pub fn scalar(&self) -> Element {
        self.scalar
    }

    /// Sizes of an operand's core axes.
    pub fn operand_core(&self, operand: usize) -> &[usize] {
        &self.operands[operand].core
    }

    /// Sizes of a result's core axes.
    pub fn result_core(&self, result: usize) -> &[usize] {
        &self.results[result].core
    }

    /// Calls `f` for runs of batch entries that together are all of them, on several threads if an
    /// entry takes long enough. The error is that of the first run that has one.
    pub fn for_chunks(
        &mut self,
        nanoseconds_per_entry: f64,
        f: impl Fn(&mut Chunk<'_>) -> Result<(), String> + Sync,
    ) -> Result<(), String> {
        if self.batch == 0 {
            return Ok(());
        }
        let boxes = box_count(self.batch as f64 * nanoseconds_per_entry).clamp(1, self.batch);
        let pool = self.pool;
        let chunks = self.split(boxes);
        let first_error = Mutex::new(None::<(usize, String)>);
        pool.for_each(boxes, &|b, _| {
            let mut chunk = lock(&chunks[b]);
            // Nothing may unwind out of a task of the pool.
            if let Err(message) = guarded(|| f(&mut chunk)) {
                let mut first = lock(&first_error);
                if first.as_ref().is_none_or(|(at, _)| b < *at) {
                    *first = Some((b, message));
                }
            }
        });
        let first = lock(&first_error).take();
        first.map_or(Ok(()), |(_, message)| Err(message))
    }

    /// The batch, which is not empty, in so many runs.
    fn split<'s>(&'s mut self, boxes: usize) -> Vec<Mutex<Chunk<'s>>> {
        let batch = self.batch;
        let mut rest: Vec<(Element, usize, &'s mut [u8])> = self
            .results
            .iter_mut()
            .map(|r| (r.element, r.bytes.len() / batch, &mut *r.bytes))
            .collect();
        let mut chunks = Vec::with_capacity(boxes);
        for b in 0..boxes {
            let entries = b * batch / boxes..(b + 1) * batch / boxes;
            let operand = |o: &Part<&'a [u8]>| {
                let bytes = o.bytes.len() / batch;
                (
                    o.element,
                    &o.bytes[entries.start * bytes..entries.end * bytes],
                )
            };
            let result = |(element, bytes, rest): &mut (Element, usize, &'s mut [u8])| {
                let (head, tail) = std::mem::take(rest).split_at_mut(entries.len() * *bytes);
                *rest = tail;
                (*element, head)
            };
            chunks.push(Mutex::new(Chunk {
                operands: self.operands.iter().map(operand).collect(),
                results: rest.iter_mut().map(result).collect(),
                entries,
            }));
        }
        chunks
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run of batch entries.
pub(super) struct Chunk<'a> {
    entries: Range<usize>,
    operands: Vec<(Element, &'a [u8])>,
    results: Vec<(Element, &'a mut [u8])>,
}

impl<'a> Chunk<'a> {
    /// The numbers of its entries in the batch, for errors.
    pub fn entries(&self) -> Range<usize> {
        self.entries.clone()
    }

    /// Operand `i` of all its entries.
    pub fn operand<T: Number>(&self, i: usize) -> Result<&'a [T], String> {
        let (element, bytes) = self.operands[i];
        right_type::<T>(element)?;
        // SAFETY: every pattern of bytes is a number.
        match unsafe { bytes.align_to() } {
            ([], elements, []) => Ok(elements),
            _ => Err(misaligned()),
        }
    }

    /// Result `i` of all its entries; to be taken once.
    pub fn take_result<T: Number>(&mut self, i: usize) -> Result<&'a mut [T], String> {
        let (element, bytes) = &mut self.results[i];
        right_type::<T>(*element)?;
        // SAFETY: every pattern of bytes is a number, and numbers have no padding.
        match unsafe { std::mem::take(bytes).align_to_mut() } {
            ([], elements, []) => Ok(elements),
            _ => Err(misaligned()),
        }
    }
}

fn right_type<T: Number>(element: Element) -> Result<(), String> {
    let problem = || {
        format!(
            "elements {} are read as {}",
            element.name(),
            T::ELEMENT.name()
        )
    };
    (element == T::ELEMENT).then_some(()).ok_or_else(problem)
}

fn misaligned() -> String {
    "memory is not aligned to its elements".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `f` over a batch of three entries of two numbers each.
    fn run(
        threads: usize,
        f: impl Fn(&mut Chunk<'_>) -> Result<(), String> + Sync,
    ) -> (Result<(), String>, Vec<i32>) {
        let buffer = crate::Buffer::from_slice(&[1i32, 2, 3, 4, 5, 6]).unwrap();
        let mut out = crate::Buffer::from_slice(&[0i32; 3]).unwrap();
        let pool = Pool::new(threads).unwrap();
        let element = Element::I32;
        let operands = [Operand {
            element,
            dims: &[3, 2],
            bytes: buffer.as_bytes(),
        }];
        let bytes = out.get_mut().unwrap();
        let mut results = [ResultMut {
            element,
            dims: &[3],
            bytes,
        }];
        let fit = Fit {
            batch: 3,
            operands: vec![(element, vec![2])],
            results: vec![(element, vec![])],
        };
        let mut call = Call::new(Element::F32, &operands, &mut results, &fit, &pool).unwrap();
        let outcome = call.for_chunks(1e6, f);
        (outcome, out.to_vec())
    }

    fn sum(chunk: &mut Chunk<'_>) -> Result<(), String> {
        let x = chunk.operand::<i32>(0)?;
        for (y, x) in chunk.take_result::<i32>(0)?.iter_mut().zip(x.chunks(2)) {
            *y = x[0] + x[1];
        }
        Ok(())
    }

    #[test]
    fn every_entry_is_computed_on_any_number_of_threads() {
        for threads in [1, 2, 4] {
            assert_eq!(run(threads, sum), (Ok(()), vec![3, 7, 11]));
        }
    }

    #[test]
    fn the_first_error_counts_and_panics_are_errors() {
        let fail = |chunk: &mut Chunk<'_>| match chunk.entries().start {
            0 => sum(chunk),
            entry => Err(format!("matrix {entry} is singular")),
        };
        for threads in [1, 4] {
            let (outcome, _) = run(threads, fail);
            assert_eq!(outcome, Err("matrix 1 is singular".into()));
            let (outcome, _) = run(threads, |_| panic!("no {}", 1));
            assert_eq!(outcome, Err("panicked: no 1".into()));
        }
        let (outcome, _) = run(1, |chunk| chunk.operand::<f32>(0).map(|_| ()));
        assert_eq!(outcome, Err("elements i32 are read as f32".into()));
    }
}
