//! The program: what compilation produces and every way of running executes. Serialisable but for
//! the code itself, which is linked in by whoever loads it.
//!
//! Steps are numbered in pre-order: a step first, then its nested lists in the order in which the
//! variant declares them (`then`, `other`; `test`, `body`). [`BufferSpec::live`] speaks of these
//! positions.

use serde::{Deserialize, Deserializer, Serialize};
use std::cell::Cell;

/// Format version of [`Image`]; others are refused.
pub const VERSION: u32 = 3;

/// How deep step lists may be nested.
pub const MAX_NESTING: u32 = 64;

/// Outer ranges that a kernel may have.
pub const MAX_RANK: usize = 16;

/// Panel width of packed right operands, in elements.
pub const PANEL: usize = 64;

/// Element types, numbered as in files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Element {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    BF16,
    F32,
    F64,
    C64,
    C128,
}

impl Element {
    /// Every element type.
    pub const ALL: [Element; 15] = [
        Element::Bool,
        Element::U8,
        Element::U16,
        Element::U32,
        Element::U64,
        Element::I8,
        Element::I16,
        Element::I32,
        Element::I64,
        Element::F16,
        Element::BF16,
        Element::F32,
        Element::F64,
        Element::C64,
        Element::C128,
    ];

    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Element::Bool | Element::U8 | Element::I8 => 1,
            Element::U16 | Element::I16 | Element::F16 | Element::BF16 => 2,
            Element::U32 | Element::I32 | Element::F32 => 4,
            Element::U64 | Element::I64 | Element::F64 | Element::C64 => 8,
            Element::C128 => 16,
        }
    }

    /// The name in messages and in names of library functions.
    pub const fn name(self) -> &'static str {
        match self {
            Element::Bool => "bool",
            Element::U8 => "u8",
            Element::U16 => "u16",
            Element::U32 => "u32",
            Element::U64 => "u64",
            Element::I8 => "i8",
            Element::I16 => "i16",
            Element::I32 => "i32",
            Element::I64 => "i64",
            Element::F16 => "f16",
            Element::BF16 => "bf16",
            Element::F32 => "f32",
            Element::F64 => "f64",
            Element::C64 => "c64",
            Element::C128 => "c128",
        }
    }

    /// True for complex numbers.
    pub const fn is_complex(self) -> bool {
        matches!(self, Element::C64 | Element::C128)
    }

    /// The type of a complex number's parts; other types stay as they are.
    pub const fn real(self) -> Element {
        match self {
            Element::C64 => Element::F32,
            Element::C128 => Element::F64,
            other => other,
        }
    }

    /// The complex type with parts of this type; types that are no such parts stay as they are.
    pub const fn complex(self) -> Element {
        match self {
            Element::F32 => Element::C64,
            Element::F64 => Element::C128,
            other => other,
        }
    }
}

/// An instruction of the postfix size language. Operands are popped, the result is pushed; any
/// overflow or division by zero makes the evaluation fail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum SizeOp {
    /// Pushes a number.
    Const(i64),
    /// Pushes the value bound to symbol number n.
    Symbol(u32),
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Division rounding towards minus infinity.
    FloorDiv,
    /// Remainder with the sign of the divisor.
    Mod,
    /// Smaller one.
    Min,
    /// Larger one.
    Max,
}

/// A size expression in postfix form.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Size(pub Vec<SizeOp>);

/// The serialisable part of a program.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Image {
    /// [`VERSION`].
    pub version: u32,
    /// Names of the sizes to bind, in binding order.
    pub symbols: Vec<String>,
    /// Parameters.
    pub inputs: Vec<Signature>,
    /// Results: buffer number and type.
    pub outputs: Vec<(u32, Signature)>,
    /// Buffers.
    pub buffers: Vec<BufferSpec>,
    /// Distinct kernels; their code is found at the same position in [`crate::Program`]'s code table.
    pub kernels: Vec<KernelSpec>,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Conditions on sizes, checked before anything runs.
    pub guards: Vec<SizeGuard>,
    /// What fault numbers mean.
    pub faults: Vec<Fault>,
    /// Parameters that may be overwritten by an output buffer when given up.
    pub donations: Vec<(u32, u32)>,
}

/// Element type and dimensions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Signature {
    /// Element type.
    pub element: Element,
    /// Dimensions.
    pub dims: Vec<Size>,
}

/// A buffer of the program.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BufferSpec {
    /// Size in bytes.
    pub bytes: Size,
    /// Where it lives.
    pub place: Place,
    /// First and last step using it (pre-order positions, both included). A buffer that is used in
    /// a loop and outside of it, or carried by it, lives through the whole loop. The memory of
    /// an aliased or sliced buffer lives as long as any buffer placed in it.
    pub live: (u32, u32),
}

/// Where a buffer lives.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Place {
    /// The caller's memory for a parameter.
    Input(u32),
    /// Memory handed to the caller.
    Output,
    /// Scratch in the arena.
    Arena,
    /// The same memory as another buffer, which is at least as large.
    Alias(u32),
    /// `iteration * stride` bytes into another buffer, inside a loop. The stride is not negative and
    /// the slice of every iteration lies within the whole.
    LoopSlice {
        /// The whole.
        of: u32,
        /// Bytes per iteration.
        stride: Size,
        /// Which loop.
        loop_id: u32,
    },
}

/// How code uses a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Access {
    /// Only loads.
    Read,
    /// Only stores.
    Write,
    /// Both.
    ReadWrite,
}

impl Access {
    /// Whether the buffer may be stored to.
    pub const fn writes(self) -> bool {
        match self {
            Access::Read => false,
            Access::Write | Access::ReadWrite => true,
        }
    }
}

/// What the runtime must know to call a kernel.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KernelSpec {
    /// Name, for profiles and dumps.
    pub name: String,
    /// One per buffer parameter of the code, without the scratch.
    pub params: Vec<Access>,
    /// Whether the code can record a fault. Outputs written only by steps behind the last such
    /// step may take over a donated parameter.
    pub can_fault: bool,
    /// Extents of the outer ranges.
    pub outer: Vec<Size>,
    /// The sizes the code reads from its `sizes` argument, in order.
    pub sizes: Vec<Size>,
    /// Rough cost of one outer point, in nanoseconds times 1024, for the choice of grain.
    pub cost: Size,
    /// Bytes of scratch one call needs per thread (locals). A pointer to it is always passed behind
    /// the other buffers; it is dangling when the size is 0.
    pub scratch: Size,
    /// Boxes along the last outer range start at multiples of this (vector lanes), so that results
    /// do not depend on the partition.
    pub lane_multiple: u32,
}

/// A condition on sizes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SizeGuard {
    /// Left side.
    pub lhs: Size,
    /// Right side.
    pub rhs: Size,
    /// True for `lhs == rhs`, false for `lhs <= rhs`.
    pub equal: bool,
    /// What to say when it does not hold.
    pub message: String,
}

/// What a fault number means.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// What went wrong.
    pub what: String,
    /// `file:line:column` of the user's operation, or empty.
    pub location: String,
}

/// One step. Buffers are numbers into [`Image::buffers`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Step {
    /// Runs a kernel.
    Kernel(KernelCall),
    /// Matrix product; see `Contract`.
    Contract(Contract),
    /// Stable sort of `[outer, axis, inner]` along the middle.
    Sort {
        /// Keys, then payloads: input buffer, output buffer, element type.
        columns: Vec<(u32, u32, Element)>,
        /// Extents.
        dims: [Size; 3],
        /// Largest first.
        descending: bool,
    },
    /// Foreign function.
    Custom {
        /// Name in the table of library functions, or position in the program's host functions.
        target: CustomTarget,
        /// Operands.
        inputs: Vec<(u32, Signature)>,
        /// Results.
        outputs: Vec<(u32, Signature)>,
        /// Fault number.
        fault: u32,
    },
    /// Copies bytes.
    Copy {
        /// From.
        from: u32,
        /// To.
        to: u32,
        /// How many.
        bytes: Size,
    },
    /// Either step list.
    If {
        /// A bool.
        condition: u32,
        /// When true.
        #[serde(deserialize_with = "nested")]
        then: Vec<Step>,
        /// When false.
        #[serde(deserialize_with = "nested")]
        other: Vec<Step>,
    },
    /// Counted loop.
    Loop {
        /// Name in [`Place::LoopSlice`]; no two loops share one.
        loop_id: u32,
        /// How often.
        trip: Size,
        /// An i64.
        iteration: u32,
        /// (current, next): the body reads current and writes next, and after each iteration the
        /// next value is the current one, so that `current` holds the result after the loop.
        /// Buffers of equal size, none of them an input's. Pairs that own their memory (arena or
        /// output) are exchanged, others copied.
        carries: Vec<(u32, u32)>,
        /// Body.
        #[serde(deserialize_with = "nested")]
        body: Vec<Step>,
    },
    /// Conditional loop.
    While {
        /// Computes the condition.
        #[serde(deserialize_with = "nested")]
        test: Vec<Step>,
        /// A bool.
        condition: u32,
        /// As for `Loop`.
        carries: Vec<(u32, u32)>,
        /// Body.
        #[serde(deserialize_with = "nested")]
        body: Vec<Step>,
    },
}

/// Reads a nested step list, refusing depths that would exhaust the stack.
fn nested<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Step>, D::Error> {
    thread_local!(static DEPTH: Cell<u32> = const { Cell::new(0) });
    let depth = DEPTH.get() + 1;
    if depth > MAX_NESTING {
        return Err(serde::de::Error::custom("steps are nested too deeply"));
    }
    DEPTH.set(depth);
    let steps = Vec::deserialize(deserializer);
    DEPTH.set(depth - 1);
    steps
}

/// Which foreign function.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum CustomTarget {
    /// By name in the library table.
    Library(String),
    /// By position in the program's host functions.
    Host(u32),
}

/// A kernel with its arguments.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KernelCall {
    /// Number of the kernel.
    pub kernel: u32,
    /// One buffer per parameter.
    pub args: Vec<u32>,
}

/// How the right operand of a [`Contract`] lies in memory.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum RightLayout {
    /// Packed in panels of 64 columns: element (b, k, n) lies at `b*batch + (n/64)*64*K + k*64 + n%64`, with these
    /// elements from batch entry to batch entry. Lanes behind `n` in the last panel exist and hold arbitrary values.
    /// Of factors narrower than their sums, as many as a sum is wide form a group (see [`Contract::group`]): G of them lie
    /// beside each other, at `b*batch + (n/64)*64*K + k/G*G*64 + n%64*G + k%G`, with K a multiple of G and zeros behind the
    /// last k.
    Panels(Size),
    /// Somewhere in the buffer.
    Placed(Box<Placement>),
}

/// Where the elements (b, k, n) of a right operand lie, in elements: the index k is a number whose digits have the extents
/// of `rows`, the last one changing fastest, and each digit has a stride; n likewise with `columns`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Placement {
    /// Of the first element.
    pub offset: Size,
    /// From batch entry to batch entry.
    pub batch: Size,
    /// Extents and strides of k's digits, at most 4.
    pub rows: Vec<[Size; 2]>,
    /// Extents and strides of n's digits, at most 4.
    pub columns: Vec<[Size; 2]>,
}

impl RightLayout {
    /// The sizes that it depends on.
    pub fn sizes(&self) -> Vec<&Size> {
        match self {
            RightLayout::Panels(batch) => vec![batch],
            RightLayout::Placed(p) => {
                let digits = p.rows.iter().chain(&p.columns).flatten();
                [&p.offset, &p.batch].into_iter().chain(digits).collect()
            }
        }
    }
}

/// `product[b, m, n] = sum over k of lhs * rhs`, then the epilogue on each finished tile.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Contract {
    /// Of the sums and the product: F32, F64, I32 or I64.
    pub element: Element,
    /// Of the left operand and the right one: the same; or BF16 both with sums of F32, or I8 or U8 each with sums of I32.
    pub factors: [Element; 2],
    /// b, m, n, k.
    pub dims: [Size; 4],
    /// Left operand.
    pub lhs: u32,
    /// Offset, then strides along b, m, k, in elements.
    pub lhs_strides: [Size; 4],
    /// Right operand.
    pub rhs: u32,
    /// How it lies there.
    pub rhs_layout: RightLayout,
    /// Dense result.
    pub product: u32,
    /// Called with boxes of `[b, m, n]`, which must be its outer ranges; its lane multiple divides 64.
    pub epilogue: Option<KernelCall>,
}

impl Contract {
    /// Factors that lie beside each other in panels, as a sum is so many times as wide.
    pub fn group(&self) -> usize {
        (self.element.bytes() / self.factors[1].bytes()).max(1)
    }
}

/// The signature of compiled kernels: buffer pointers (then the scratch), values of
/// [`KernelSpec::sizes`], the box to run as (from, to) per outer range, and the program's status word.
/// Calls for different boxes run at the same time on several threads.
pub type KernelFn = unsafe extern "C" fn(
    buffers: *const *mut u8,
    sizes: *const i64,
    bounds: *const i64,
    status: *const crate::Status,
);
