//! What an exported function takes: element types, and sizes that are numbers or names.

use crate::element::Element;
use crate::error::{Error, ErrorKind, Result};
use lazulite_ir::{DType, Dim, Symbol, TensorType};

/// An input of an exported function; made by [`spec!`](crate::spec!).
#[derive(Clone, PartialEq, Debug)]
pub struct Spec {
    dtype: DType,
    sizes: Vec<SpecSize>,
    name: Option<String>,
}

/// A size of an input: a number, or the name of a size that every run brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SpecSize {
    /// Always this.
    Known(i64),
    /// The same for all axes of this name.
    Named(String),
}

impl From<&str> for SpecSize {
    fn from(name: &str) -> SpecSize {
        SpecSize::Named(name.to_owned())
    }
}

impl From<String> for SpecSize {
    fn from(name: String) -> SpecSize {
        SpecSize::Named(name)
    }
}

macro_rules! known {
    ($($ty:ty),*) => {$(
        impl From<$ty> for SpecSize {
            fn from(size: $ty) -> SpecSize {
                // What is too large is refused like what is negative.
                SpecSize::Known(i64::try_from(size).unwrap_or(-1))
            }
        }
    )*};
}

known!(i32, i64, u32, u64, usize);

/// An input of an exported function: an element type, then sizes, numbers or names.
///
/// ```
/// use lazulite::spec;
/// let image = spec!(f32["batch", 3, 224, 224]).named("image");
/// let scalar = spec!(i64[]);
/// assert_ne!(image, scalar);
/// ```
#[macro_export]
macro_rules! spec {
    ($element:ty [$($size:expr),* $(,)?]) => {
        $crate::Spec::new::<$element>(::std::vec![$($crate::SpecSize::from($size)),*])
    };
}

impl Spec {
    /// An input with elements of type `T`.
    pub fn new<T: Element>(sizes: Vec<SpecSize>) -> Spec {
        Spec {
            dtype: T::DTYPE,
            sizes,
            name: None,
        }
    }

    /// The same with a name, by which files and command lines find it.
    pub fn named(mut self, name: impl Into<String>) -> Spec {
        self.name = Some(name.into());
        self
    }

    /// The name given, or one made of the position.
    pub(super) fn name_or(&self, position: usize, count: usize) -> String {
        let numbered = || numbered("input", position, count);
        self.name.clone().unwrap_or_else(numbered)
    }

    /// The type of the parameter.
    pub(super) fn tensor_type(&self) -> Result<TensorType> {
        let error = |message: String| Error::new(ErrorKind::Argument, "export", message);
        if let Some(name) = self.name.as_deref().filter(|name| !is_name(name)) {
            let message = format!("`{name}` is no name for an input");
            return Err(error(message).hint("names are made of letters, digits, `_` and `.`"));
        }
        let dim = |size: &SpecSize| match size {
            SpecSize::Known(size) if *size >= 0 => Ok(Dim::constant(*size)),
            SpecSize::Known(_) => Err(error("a size is negative or too large".into())),
            SpecSize::Named(name) if is_symbol(name) => Ok(Dim::symbol(name)),
            SpecSize::Named(name) => Err(error(format!("`{name}` is no name for a size"))
                .hint("names are made of letters, digits and `_`, and begin with a letter")),
        };
        let dims = self.sizes.iter().map(dim).collect::<Result<Vec<Dim>>>()?;
        Ok(TensorType::new(self.dtype, dims))
    }
}

/// `name`, with a number if there are several.
pub(super) fn numbered(name: &str, position: usize, count: usize) -> String {
    match count {
        1 => name.to_owned(),
        _ => format!("{name}{position}"),
    }
}

fn is_name(name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    !name.is_empty() && name.chars().all(part)
}

fn is_symbol(name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(part)
}

/// The symbols of types, in order of occurrence.
pub(super) fn symbols(types: &[TensorType]) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    for dim in types.iter().flat_map(|ty| &ty.dims) {
        dim.visit_symbols(&mut |s| {
            if !symbols.contains(s) {
                symbols.push(s.clone());
            }
        });
    }
    symbols
}
