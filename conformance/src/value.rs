//! Values of calls: what a corpus writes as arguments and results, and what calls return.

use lazulite::{Complex, DType, Element, Tensor, bf16, f16};

/// A dense, row-major array as it stands in a corpus.
#[derive(Clone, PartialEq, Debug)]
pub struct Array {
    /// Element type.
    pub dtype: DType,
    /// Sizes, outermost first.
    pub dims: Vec<usize>,
    /// The elements, in this machine's byte order.
    pub bytes: Vec<u8>,
}

/// One element, as it is compared.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    /// A bool or integer: compared exactly.
    Exact(i128),
    /// A floating-point or complex number: compared within tolerances.
    Rounded(f64, f64),
}

impl Number {
    /// True for zeros of all kinds.
    pub fn is_zero(self) -> bool {
        matches!(self, Number::Exact(0) | Number::Rounded(0.0, 0.0))
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::Exact(v) => write!(f, "{v}"),
            Number::Rounded(re, 0.0) => write!(f, "{re:e}"),
            Number::Rounded(re, im) => write!(f, "{re:e}{im:+e}i"),
        }
    }
}

impl Array {
    /// The value of a tensor, computed now.
    pub fn of(tensor: &Tensor) -> lazulite::Result<Array> {
        Ok(Array {
            dtype: tensor.dtype()?,
            dims: tensor.dims()?,
            bytes: tensor.with_bytes(<[u8]>::to_vec)?,
        })
    }

    /// A tensor with this value.
    pub fn tensor(&self) -> Tensor {
        fn make<T: Element>(array: &Array) -> Tensor {
            Tensor::from_vec(T::from_bytes(&array.bytes), &array.dims)
        }
        match self.dtype {
            DType::Bool => make::<bool>(self),
            DType::U8 => make::<u8>(self),
            DType::U16 => make::<u16>(self),
            DType::U32 => make::<u32>(self),
            DType::U64 => make::<u64>(self),
            DType::I8 => make::<i8>(self),
            DType::I16 => make::<i16>(self),
            DType::I32 => make::<i32>(self),
            DType::I64 => make::<i64>(self),
            DType::F16 => make::<f16>(self),
            DType::BF16 => make::<bf16>(self),
            DType::F32 => make::<f32>(self),
            DType::F64 => make::<f64>(self),
            DType::C64 => make::<Complex<f32>>(self),
            DType::C128 => make::<Complex<f64>>(self),
        }
    }

    /// The elements in order.
    pub fn numbers(&self) -> Vec<Number> {
        fn exact<T: Element + Into<i128>>(bytes: &[u8]) -> Vec<Number> {
            let values = T::from_bytes(bytes).into_iter();
            values.map(|v| Number::Exact(v.into())).collect()
        }
        fn rounded<T: Element>(bytes: &[u8], parts: fn(T) -> (f64, f64)) -> Vec<Number> {
            let values = T::from_bytes(bytes).into_iter().map(parts);
            values.map(|(re, im)| Number::Rounded(re, im)).collect()
        }
        let bytes = &self.bytes;
        match self.dtype {
            DType::Bool | DType::U8 => exact::<u8>(bytes),
            DType::U16 => exact::<u16>(bytes),
            DType::U32 => exact::<u32>(bytes),
            DType::U64 => exact::<u64>(bytes),
            DType::I8 => exact::<i8>(bytes),
            DType::I16 => exact::<i16>(bytes),
            DType::I32 => exact::<i32>(bytes),
            DType::I64 => exact::<i64>(bytes),
            DType::F16 => rounded::<f16>(bytes, |v| (v.to_f64(), 0.0)),
            DType::BF16 => rounded::<bf16>(bytes, |v| (v.to_f64(), 0.0)),
            DType::F32 => rounded::<f32>(bytes, |v| (v.into(), 0.0)),
            DType::F64 => rounded::<f64>(bytes, |v| (v, 0.0)),
            DType::C64 => rounded::<Complex<f32>>(bytes, |v| (v.re.into(), v.im.into())),
            DType::C128 => rounded::<Complex<f64>>(bytes, |v| (v.re, v.im)),
        }
    }
}

/// An argument or a result.
#[derive(Clone, Debug)]
pub enum Value {
    /// Python's None.
    None,
    /// A bool.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A complex number.
    Complex(f64, f64),
    /// A string.
    Text(String),
    /// A list, or a tuple where the difference does not matter.
    List(Vec<Value>),
    /// A tuple where it differs from a list: between the brackets of an index.
    Tuple(Vec<Value>),
    /// Start, stop and step of a slice.
    Slice([Option<i64>; 3]),
    /// `...` between the brackets of an index.
    Ellipsis,
    /// An element type.
    DType(DType),
    /// A function by its PyTorch name.
    Function(String),
    /// A module that was given as an argument: name, arguments, named arguments.
    Module(String, Vec<Value>, Vec<(String, Value)>),
    /// A tensor as it stands in the corpus.
    Array(Array),
    /// A tensor: an argument, or what a call returned.
    Tensor(Tensor),
    /// A memory format, layout or device, none of which changes values.
    Ignored,
    /// Something that has no counterpart here, in words.
    Unknown(String),
}

impl Value {
    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Bool(_) => "a bool",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Complex(..) => "a complex number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Tuple(_) => "a tuple",
            Value::Slice(_) => "a slice",
            Value::Ellipsis => "an ellipsis",
            Value::DType(_) => "an element type",
            Value::Function(_) => "a function",
            Value::Module(..) => "a module",
            Value::Array(_) | Value::Tensor(_) => "a tensor",
            Value::Ignored => "a memory format",
            Value::Unknown(_) => "something unknown",
        }
    }
}

macro_rules! value_from {
    ($($ty:ty: $value:ident => $make:expr;)*) => {$(
        impl From<$ty> for Value {
            fn from($value: $ty) -> Value {
                $make
            }
        }
    )*};
}

value_from! {
    Tensor: t => Value::Tensor(t);
    &Tensor: t => Value::Tensor(t.clone());
    bool: v => Value::Bool(v);
    i64: v => Value::Int(v);
    usize: v => i64::try_from(v).map_or_else(|_| Value::Unknown(v.to_string()), Value::Int);
    f64: v => Value::Float(v);
    (Tensor, Tensor): t => Value::List(vec![t.0.into(), t.1.into()]);
    (Tensor, Tensor, Tensor): t => Value::List(vec![t.0.into(), t.1.into(), t.2.into()]);
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Value {
        Value::List(values.into_iter().map(Into::into).collect())
    }
}
