//! The primitive operations: one declarative table.
//!
//! The table generates the [`Op`] enum, its mnemonics, arities, attribute lists and flags, and the
//! textual form of the attributes. What an operation *means* stands in exhaustive matches
//! elsewhere: `infer` (type), `interp` (value), the scheduler (kernel) and the derivative passes.

use crate::attr::{Attr, AttrReader, AttrWriter};
use crate::structure::Structure;
use crate::{DType, Dim, Dims, Graph, Scalar, TensorType, TextError};
use std::fmt;
use std::sync::Arc;

/// A small closed set of names, printable and parseable.
macro_rules! names {
    ($(#[doc = $about:literal])* $enum:ident {
        $($(#[doc = $doc:literal])* $variant:ident = $name:literal),* $(,)?
    }) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $enum { $($(#[doc = $doc])* $variant),* }

        impl $enum {
            /// Every member, in order of the table.
            pub const ALL: &[$enum] = &[$($enum::$variant),*];

            /// The name in text.
            pub const fn name(self) -> &'static str {
                match self { $($enum::$variant => $name),* }
            }

            /// What all members have in common.
            pub const ABOUT: &str = concat!($($about),*);

            /// What this member means.
            pub const fn doc(self) -> &'static str {
                match self { $($enum::$variant => concat!($($doc),*)),* }
            }

            /// The member called `name`.
            pub fn from_name(name: &str) -> Option<$enum> {
                match name { $($name => Some($enum::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $enum {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.name()) }
        }

        impl Attr for $enum {
            fn write(&self, out: &mut AttrWriter<'_>) { out.text(self.name()) }
            fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError> {
                from.name(&[$($name),*], $enum::from_name)
            }
        }
    };
}

names! {
    /// Functions of one element. Floats and complex unless said otherwise; the result has the
    /// operand's type.
    Unary {
        /// `-x`; integers wrap. Exact, and all types but bool.
        Neg = "neg",
        /// `|x|`; primitive because the sign of zero and NaN payloads make a composition inexact.
        /// Integers wrap; complex gives complex with zero imaginary part.
        Abs = "abs",
        /// Largest integral value not above `x`. Real floats.
        Floor = "floor",
        /// Nearest integral value, ties to even. Real floats; primitive because it is one
        /// instruction and no short exact composition exists.
        Round = "round",
        /// Square root.
        Sqrt = "sqrt",
        /// e to the `x`.
        Exp = "exp",
        /// `exp(x) - 1`, accurate near 0 (primitive for accuracy).
        Expm1 = "expm1",
        /// Natural logarithm.
        Log = "log",
        /// `log(1 + x)`, accurate near 0 (primitive for accuracy).
        Log1p = "log1p",
        /// Sine.
        Sin = "sin",
        /// Cosine (primitive for accuracy: `sin(x + pi/2)` loses bits).
        Cos = "cos",
        /// Hyperbolic tangent (primitive for accuracy near 0 and speed).
        Tanh = "tanh",
        /// Arc tangent. Real floats.
        Atan = "atan",
        /// Error function. Real floats (primitive for accuracy and speed).
        Erf = "erf",
    }
}

names! {
    /// Functions of two elements of the same type.
    Binary {
        /// Sum; integers wrap, bool is "or".
        Add = "add",
        /// Product; integers wrap, bool is "and".
        Mul = "mul",
        /// Quotient. Integers truncate towards zero; a zero divisor is a run-time fault (result
        /// 0), and the smallest value over -1 wraps.
        Div = "div",
        /// Remainder with the sign of the dividend (C's fmod and %). Real types; an integer zero
        /// divisor is a run-time fault (result 0).
        Rem = "rem",
        /// Larger one, the second if they are equal (as the two zeros are); NaN if either is NaN;
        /// bool is "or". Real types.
        Max = "max",
        /// Smaller one, the second if they are equal; NaN if either is NaN; bool is "and". Real
        /// types; not `-max(-a, -b)`, which overflows for integers.
        Min = "min",
        /// `a` to the power `b`, as IEEE `pow`; integers wrap, negative exponents give 1, -1 or 0.
        /// Primitive for accuracy.
        Pow = "pow",
        /// Bitwise and. Integers and bool.
        And = "and",
        /// Bitwise or. Integers and bool.
        Or = "or",
        /// Bitwise exclusive or. Integers and bool.
        Xor = "xor",
        /// Left shift; counts outside 0..bits give 0. Integers.
        Shl = "shl",
        /// Right shift, arithmetic for signed types; counts outside 0..bits give 0, or -1 for
        /// negative values. Integers.
        Shr = "shr",
    }
}

names! {
    /// Comparisons; `gt` and `ge` are `lt` and `le` with operands exchanged. Any comparison with
    /// NaN is false, except `ne`. Complex has `eq` and `ne` only.
    Predicate {
        /// Less.
        Lt = "lt",
        /// Less or equal.
        Le = "le",
        /// Equal.
        Eq = "eq",
        /// Not equal.
        Ne = "ne",
    }
}

names! {
    /// Associative combinations, used by Reduce, Scan and Scatter.
    Combine {
        /// Sum, starting from 0 (bool: "or").
        Sum = "sum",
        /// Product, starting from 1 (bool: "and").
        Prod = "prod",
        /// Maximum, NaN propagating, starting from the lowest value (-inf for floats).
        Max = "max",
        /// Minimum, NaN propagating, starting from the highest value (inf for floats).
        Min = "min",
    }
}

/// How many operands an operation takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arity {
    /// This many.
    Exactly(usize),
    /// This many or more.
    AtLeast(usize),
}

/// One row of the table.
#[derive(Debug)]
pub struct OpInfo {
    /// The name in text (scalar functions print their own).
    pub mnemonic: &'static str,
    /// Operand count.
    pub arity: Arity,
    /// Its documentation, lines joined; each begins with a space.
    pub doc: &'static str,
    /// Attribute names.
    pub attrs: &'static [&'static str],
    /// Kind of operation, for passes that treat kinds alike.
    pub class: Class,
}

/// Kinds of operations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// No operands, or none that matter for its elements.
    Leaf,
    /// One output element from the operand elements at the same place.
    Pointwise,
    /// Rearranges elements without looking at them.
    View,
    /// Combines many elements into one.
    Aggregate,
    /// Addresses elements by data.
    Index,
    /// Holds graphs.
    Region,
    /// Everything else.
    Other,
}

macro_rules! op_table {
    ($(#[doc = $doc:literal] $(#[doc = $more:literal])* $class:ident $name:ident $mnemonic:literal
       $arity:expr, { $($(#[doc = $fdoc:literal])* $field:ident : $ty:ty),* $(,)? })*) => {
        /// A primitive operation with its attributes. Operands are the node's inputs.
        // Attributes are explained by the line of their operation.
        #[allow(missing_docs)]
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub enum Op {
            $(#[doc = $doc] $(#[doc = $more])* $name { $($(#[doc = $fdoc])* $field: $ty),* },)*
        }

        impl Op {
            /// The table, one row per operation.
            pub const TABLE: &[OpInfo] = &[$(OpInfo {
                mnemonic: $mnemonic,
                arity: $arity,
                doc: concat!($doc $(, $more)*),
                attrs: &[$(stringify!($field)),*],
                class: Class::$class,
            }),*];

            /// The number of this operation's row.
            pub fn row(&self) -> usize {
                enum Row { $($name),* }
                match self { $(Op::$name { .. } => Row::$name as usize),* }
            }

            /// This operation's row.
            pub fn info(&self) -> &'static OpInfo {
                &Op::TABLE[self.row()]
            }

            /// Writes `name=value` for every attribute.
            pub fn write_attrs(&self, out: &mut AttrWriter<'_>) {
                match self {
                    $(Op::$name { $($field),* } => {
                        let _ = &out;
                        $(out.attr(stringify!($field), $field);)*
                    })*
                }
            }

            /// Appends words that say which operation this is, with which attributes, but for the
            /// sizes in them.
            pub fn structure(&self, words: &mut Vec<u64>) {
                enum Row { $($name),* }
                match self {
                    $(Op::$name { $($field),* } => {
                        words.push(Row::$name as u64);
                        $($field.structure(words);)*
                    })*
                }
            }

            /// Visits every size in the attributes, in a fixed order.
            pub fn visit_dims(&self, visit: &mut dyn FnMut(&Dim)) {
                match self {
                    $(Op::$name { $($field),* } => {
                        let _ = &visit;
                        $($field.visit_dims(visit);)*
                    })*
                }
            }

            /// Visits every size in the attributes for replacement, in the same order.
            pub fn visit_dims_mut(&mut self, visit: &mut dyn FnMut(&mut Dim)) {
                match self {
                    $(Op::$name { $($field),* } => {
                        let _ = &visit;
                        $($field.visit_dims_mut(visit);)*
                    })*
                }
            }

            /// Reads the attributes of the operation called `mnemonic`; `None` if there is none.
            pub fn read_attrs(
                mnemonic: &str,
                from: &mut AttrReader<'_>,
            ) -> Result<Option<Op>, TextError> {
                match mnemonic {
                    $($mnemonic => {
                        let _ = &from;
                        $(let $field = from.attr(stringify!($field))?;)*
                        Ok(Some(Op::$name { $($field),* }))
                    })*
                    _ => Ok(None),
                }
            }
        }
    };
}

use Arity::{AtLeast, Exactly};

op_table! {
    /// The graph's parameter number `index`.
    Leaf Input "input" Exactly(0), { index: u32, ty: TensorType }
    /// A 0-d constant.
    Leaf Const "const" Exactly(0), { value: Scalar }
    /// A 0-d value known when sizes are known: `value` as `dtype` (any but bool and complex).
    Leaf Size "size" Exactly(0), { value: Dim, dtype: DType }
    /// The integers from 0 up to `len`, 1-d, as `dtype` (any but bool and complex).
    Leaf Iota "iota" Exactly(0), { len: Dim, dtype: DType }
    /// Philox 4x32-10 bits: operands `seed` and `stream`, both 0-d u64.
    /// The key is the seed, the counter is (element index, stream), low half first; an element of
    /// type u32 is the first output word, of type u64 the first two, low word first.
    Leaf Random "random" Exactly(2), { dims: Dims, dtype: DType }

    /// Conversion to another type, as PyTorch's `to`: floats to integers truncate.
    /// Values outside the integer's range and NaN are defined as: convert to i64 saturating (NaN
    /// is 0), then wrap to the width; to bool is `!= 0`; complex to real drops the imaginary part.
    /// Everything becomes f16 or bf16 by way of f32.
    Pointwise Cast "cast" Exactly(1), { dtype: DType }
    /// The same bits as another type of the same size (neither of them bool or complex).
    Pointwise Bitcast "bitcast" Exactly(1), { dtype: DType }
    /// A complex number from real and imaginary part (f32 or f64).
    Pointwise Complex "complex" Exactly(2), {}
    /// Real part of a complex number.
    Pointwise Real "real" Exactly(1), {}
    /// Imaginary part of a complex number.
    Pointwise Imag "imag" Exactly(1), {}
    /// A function of one element; the mnemonic is the function's name.
    Pointwise Unary "unary" Exactly(1), { f: Unary }
    /// A function of two elements; operands have equal type and dims.
    Pointwise Binary "binary" Exactly(2), { f: Binary }
    /// Compares two tensors of equal type and dims; the result is bool.
    Pointwise Compare "compare" Exactly(2), { predicate: Predicate }
    /// Operands condition (bool), a, b, all of equal dims: a where true, b where false.
    Pointwise Select "select" Exactly(3), {}

    /// The same elements in row-major order under other dims.
    View Reshape "reshape" Exactly(1), { dims: Dims }
    /// Output axis `i` is input axis `perm[i]`.
    View Permute "permute" Exactly(1), { perm: Vec<u32> }
    /// Repeats axes of size 1 to the given size; equal rank.
    View Expand "expand" Exactly(1), { dims: Dims }
    /// Operands x and a 0-d fill value of the same type.
    /// Per axis `low` elements before, `high` after (negative ones cut off), and `interior` (at
    /// least 0) between neighbours.
    View Pad "pad" Exactly(2), { low: Dims, high: Dims, interior: Dims }
    /// Per axis `len` elements from `start` in steps of `step` (not 0, may be negative).
    View Slice "slice" Exactly(1), { start: Dims, len: Dims, step: Vec<i64> }
    /// Sliding windows along `axis`, which becomes the window count; a last axis of length `size` is added.
    /// Window `w`, place `k` holds input `w*stride + k*dilation`; only whole windows count.
    View Window "window" Exactly(1), { axis: u32, size: Dim, stride: Dim, dilation: Dim }

    /// x itself, but computed apart: what is made of the result shares nothing with what is made of x, so
    /// that it can be computed later instead of being kept.
    View Barrier "barrier" Exactly(1), {}

    /// Combines all elements along `axes` (sorted, distinct), which disappear.
    Aggregate Reduce "reduce" Exactly(1), { kind: Combine, axes: Vec<u32> }
    /// Sum of products over paired axes (generalised matrix product).
    /// Result dims: the batch axes, the rest of lhs, the rest of rhs. The products are summed in
    /// `acc` (the operands' type or a wider one of the same kind), and the result is of type `acc`.
    Aggregate Contract "contract" Exactly(2), {
        lhs_batch: Vec<u32>, rhs_batch: Vec<u32>, lhs_sum: Vec<u32>, rhs_sum: Vec<u32>, acc: DType,
    }
    /// Running combination along `axis`, including the element itself; from the end if `reverse`.
    Aggregate Scan "scan" Exactly(1), { kind: Combine, axis: u32, reverse: bool }
    /// Overlap-add, the transpose of Window: the last axis (places) is summed into `axis`.
    /// Result axis `axis` has length `len`; element `w*stride + k*dilation` receives window `w`,
    /// place `k`.
    Aggregate Fold "fold" Exactly(1), { axis: u32, len: Dim, stride: Dim, dilation: Dim }

    /// Operands x, then one i64 or i32 index tensor per entry of `axes`, all of equal dims S.
    /// Result dims: S, then the axes of x not in `axes`. An index outside its axis
    /// is a run-time fault, unless it addresses no elements because other axes have size 0.
    Index Gather "gather" AtLeast(2), { axes: Vec<u32> }
    /// Operands x, updates, then index tensors as for Gather; the updates have Gather's result dims.
    /// The result is x with the updates combined in, in row-major order of S; `None` replaces.
    Index Scatter "scatter" AtLeast(3), { axes: Vec<u32>, combine: Option<Combine> }
    /// Operands keys, then payloads of equal dims; all sorted stably along `axis` by the keys.
    /// NaN counts as the largest value. The result is a tuple.
    Index Sort "sort" AtLeast(1), { axis: u32, descending: bool }

    /// A named composite: the results of `body` applied to the operands, as a tuple.
    Region Call "call" AtLeast(0), { name: Arc<str>, body: Arc<Graph> }
    /// Operands a 0-d bool, then the inputs of both graphs: the results of `then` or `other`, as a tuple.
    Region If "if" AtLeast(1), { then: Arc<Graph>, other: Arc<Graph> }
    /// Operands carries, then constants: while `cond` (one 0-d bool) holds, carries become `body`'s results.
    /// Both graphs take carries and constants; the result is a tuple of carries.
    Region While "while" AtLeast(1), { carries: u32, cond: Arc<Graph>, body: Arc<Graph> }
    /// Runs `body` `trip` times: operands carries, then scanned tensors, then constants.
    /// The body takes the iteration (0-d i64), the carries, slice `i` along the first axis of
    /// each scanned tensor, and the constants; its results are the new carries and slices to be
    /// stacked. The result is a tuple: last carries, stacks along a new first axis.
    Region Loop "loop" AtLeast(0), { trip: Dim, carries: u32, scanned: u32, body: Arc<Graph> }

    /// A foreign function; the result is a tuple.
    Other Custom "custom" AtLeast(0), { target: Custom, results: Vec<TensorType> }
    /// Result number `index` of a tuple.
    Other Get "get" Exactly(1), { index: u32 }
}

/// What a host function sees: memory and dims of its operands, memory of its results (all dense,
/// row-major), and it says what went wrong. Complex operands are seen as pairs of real numbers, with
/// a last axis of 2.
pub type HostFn =
    dyn Fn(&[&[u8]], &[&[usize]], &mut [&mut [u8]]) -> Result<(), String> + Send + Sync;

/// The target of a Custom operation.
#[derive(Clone)]
pub enum Custom {
    /// A function of the runtime's table, found by name; exportable. Axes in front of those it works
    /// on are a batch, common to all operands and results, whose entries are independent.
    Library(Arc<str>),
    /// A closure of this process, with a name for dumps; not exportable.
    Host(Arc<str>, Arc<HostFn>),
}

impl Custom {
    /// The name in dumps.
    pub fn name(&self) -> &str {
        match self {
            Custom::Library(name) | Custom::Host(name, _) => name,
        }
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Custom::Library(a), Custom::Library(b)) => a == b,
            (Custom::Host(_, a), Custom::Host(_, b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Eq for Custom {}

impl std::hash::Hash for Custom {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Custom::Library(name) => name.hash(state),
            Custom::Host(_, f) => Arc::as_ptr(f).cast::<()>().hash(state),
        }
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Custom::Library(name) => write!(f, "Library({name})"),
            Custom::Host(name, _) => write!(f, "Host({name})"),
        }
    }
}

impl Op {
    /// The graphs that the operation holds, with the names of their attributes.
    pub fn regions(&self) -> Vec<(&'static str, &Arc<Graph>)> {
        match self {
            Op::Call { body, .. } | Op::Loop { body, .. } => vec![("body", body)],
            Op::If { then, other } => vec![("then", then), ("other", other)],
            Op::While { cond, body, .. } => vec![("cond", cond), ("body", body)],
            _ => Vec::new(),
        }
    }

    /// The name in text.
    pub fn mnemonic(&self) -> &'static str {
        match self {
            Op::Unary { f } => f.name(),
            Op::Binary { f } => f.name(),
            _ => self.info().mnemonic,
        }
    }

    /// True for operations whose result is a tuple.
    pub fn has_several_results(&self) -> bool {
        matches!(
            self,
            Op::Sort { .. }
                | Op::Call { .. }
                | Op::If { .. }
                | Op::While { .. }
                | Op::Loop { .. }
                | Op::Custom { .. }
        )
    }

    /// Kind of operation.
    pub fn class(&self) -> Class {
        self.info().class
    }
}
