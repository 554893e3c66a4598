//! User code as an operation: closures over elements, and over whole tensors.

use crate::element::Element;
use crate::location::Scope;
use crate::tensor::{Tensor, internal, primitive_many};
use lazulite_ir::{Custom, HostFn, Op, TensorType};
use rustc_hash::FxHashMap;
use std::any::TypeId;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

impl Tensor {
    /// Applies `f` to every element, converted to `T`.
    ///
    /// A closure that captures nothing is one operation however often it is applied; others are
    /// compiled anew each time this is called, so apply them through one [`ElementFn`].
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from_vec(vec![1.0f32, 4.0], [2]);
    /// let y = x.map_elements(|v: f32| v.sqrt() as i32);
    /// assert_eq!(y.to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn map_elements<T: Element, U: Element>(
        &self,
        f: impl Fn(T) -> U + Send + Sync + 'static,
    ) -> Tensor {
        ElementFn::new("map_elements", move |[v]: [T; 1]| f(v)).apply([self])
    }
}

/// A function of elements at the same place of `N` tensors, made from a closure once and applied
/// often.
///
/// ```
/// use lazulite::prelude::*;
/// let scale = 3.0;
/// let f = ElementFn::new("weighted", move |[a, b]: [f32; 2]| a + scale * b);
/// let (x, y) = (Tensor::ones([2]), Tensor::ones([2]));
/// assert_eq!(f.apply([&x, &y]).to_vec::<f32>()?, [4.0, 4.0]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[derive(Clone)]
pub struct ElementFn<T, U, const N: usize> {
    target: Custom,
    _types: std::marker::PhantomData<fn(T) -> U>,
}

impl<T: Element, U: Element, const N: usize> ElementFn<T, U, N> {
    /// An operation called `name` in dumps and errors.
    pub fn new<F>(name: &str, f: F) -> ElementFn<T, U, N>
    where
        F: Fn([T; N]) -> U + Send + Sync + 'static,
    {
        let stateless = size_of::<F>() == 0;
        let make = || elementwise::<T, U, F, N>(f);
        let function = if stateless {
            shared(TypeId::of::<F>(), make)
        } else {
            make()
        };
        ElementFn {
            target: Custom::Host(name.into(), function),
            _types: std::marker::PhantomData,
        }
    }

    /// Applies the function; the tensors broadcast and are converted to `T`.
    #[track_caller]
    pub fn apply(&self, inputs: [&Tensor; N]) -> Tensor {
        let _pinned = Scope::pin();
        let mut common = match inputs.first() {
            Some(first) => (*first).clone(),
            None => return Tensor::error(internal("map_elements", "there are no operands")),
        };
        for other in &inputs[1..] {
            common = common.broadcast_with(other);
        }
        let ready: Vec<Tensor> = inputs
            .iter()
            .map(|t| t.broadcast_with(&common).cast(T::DTYPE))
            .collect();
        let dims = match common.node() {
            Ok(node) => node.ty.dims.clone(),
            Err(e) => return Tensor::error(e),
        };
        let op = Op::Custom {
            target: self.target.clone(),
            results: vec![TensorType {
                dtype: U::DTYPE,
                dims,
            }],
        };
        let operands: Vec<&Tensor> = ready.iter().collect();
        let mut results = primitive_many("map_elements", op, &operands, 1);
        results
            .pop()
            .unwrap_or_else(|| Tensor::error(internal("map_elements", "no result")))
    }
}

/// The function over memory that applies `f` to each element.
fn elementwise<T: Element, U: Element, F, const N: usize>(f: F) -> Arc<HostFn>
where
    F: Fn([T; N]) -> U + Send + Sync + 'static,
{
    Arc::new(move |inputs, _dims, outputs| {
        let [output] = outputs else {
            return Err(format!("one result was expected, not {}", outputs.len()));
        };
        let columns: Vec<Vec<T>> = inputs.iter().map(|bytes| T::from_bytes(bytes)).collect();
        if columns.len() != N {
            return Err(format!("{N} operands were expected, not {}", columns.len()));
        }
        let count = output.len() / size_of::<U>();
        let results: Vec<U> = (0..count)
            .map(|i| f(std::array::from_fn(|k| columns[k][i])))
            .collect();
        output.copy_from_slice(U::as_bytes(&results));
        Ok(())
    })
}

/// Functions without state are the same whenever their type is.
fn shared(key: TypeId, make: impl FnOnce() -> Arc<HostFn>) -> Arc<HostFn> {
    static KNOWN: LazyLock<Mutex<FxHashMap<TypeId, Arc<HostFn>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(key).or_insert_with(make).clone()
}
