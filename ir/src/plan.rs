//! What scheduling makes of a graph: kernels and the steps that run them, over numbered buffers.
//! Everything here is symbolic in the sizes and knows no machine.

use crate::{Custom, DType, Dim, Guard, Kernel, Source, Symbol, TensorType};
use std::sync::Arc;

/// A buffer: an index into [`Plan::buffers`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct BufferId(pub u32);

/// A scheduled program.
#[derive(Clone, Default, Debug)]
pub struct Plan {
    /// The sizes to be bound: every symbol that occurs, those of the inputs' types first.
    pub symbols: Vec<Symbol>,
    /// Types of the parameters.
    pub inputs: Vec<TensorType>,
    /// Results: type, and the buffer that holds it (several results may share one; it may be an input's).
    pub outputs: Vec<(BufferId, TensorType)>,
    /// All buffers.
    pub buffers: Vec<PlanBuffer>,
    /// Distinct kernels.
    pub kernels: Vec<Kernel>,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// Conditions on the sizes.
    pub guards: Vec<Guard>,
    /// Faults that steps may record, by number.
    pub faults: Vec<FaultInfo>,
    /// Parameters that a result may overwrite when the caller gives them up: by the time the
    /// result is written, the parameter is dead or read at the same index by the same kernel.
    pub donations: Vec<(u32, BufferId)>,
}

/// What a fault number means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultInfo {
    /// What went wrong, for example "index out of range in gather along axis 0".
    pub what: String,
    /// Where in the user's program.
    pub source: Option<Arc<Source>>,
}

/// A piece of memory holding `len` elements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanBuffer {
    /// Element type.
    pub dtype: DType,
    /// Number of elements.
    pub len: Dim,
    /// Where it lives.
    pub place: Place,
    /// First and last step that touches it, by position in a pre-order walk over all steps (a loop's
    /// body is inside the loop's own interval). Filled in by the memory pass.
    pub live: (u32, u32),
}

/// Where a buffer lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// The caller's memory for parameter number n. Never written, except by donation.
    Input(u32),
    /// Memory handed to the caller as (part of) the results.
    Output,
    /// Scratch in the arena.
    Arena,
    /// The same memory as another buffer, whose value is dead by then (in-place) or is the same
    /// (a dense view).
    Alias(BufferId),
    /// Elements `iteration * stride ..` of another buffer, inside the loop step `loop_id`.
    LoopSlice {
        /// The whole.
        of: BufferId,
        /// Elements per iteration.
        stride: Dim,
        /// Which loop.
        loop_id: u32,
    },
}

/// One step of a plan.
#[derive(Clone, Debug)]
pub enum Step {
    /// Runs a kernel.
    Kernel(KernelCall),
    /// A matrix product over packed operands.
    Contract(ContractStep),
    /// Stable sort along the middle axis of `[outer, axis, inner]`; all buffers dense.
    Sort {
        /// Operands: keys, then payloads.
        inputs: Vec<BufferId>,
        /// Results in the same order.
        outputs: Vec<BufferId>,
        /// The three extents.
        dims: [Dim; 3],
        /// Largest first.
        descending: bool,
    },
    /// A foreign function over dense buffers.
    Custom {
        /// Which.
        target: Custom,
        /// Operands with their types.
        inputs: Vec<(BufferId, TensorType)>,
        /// Results with their types.
        outputs: Vec<(BufferId, TensorType)>,
        /// Number of its fault (the function's own message is added).
        fault: u32,
    },
    /// Copies `len` elements (the buffers' types are equal).
    Copy {
        /// From.
        from: BufferId,
        /// To.
        to: BufferId,
        /// Element count.
        len: Dim,
    },
    /// One of two step lists.
    If {
        /// A bool element.
        condition: BufferId,
        /// Steps when true.
        then: Vec<Step>,
        /// Steps when false.
        other: Vec<Step>,
    },
    /// Repeats the body `trip` times.
    Loop {
        /// Name of the loop in [`Place::LoopSlice`].
        loop_id: u32,
        /// How often.
        trip: Dim,
        /// An i64 element that holds the iteration.
        iteration: BufferId,
        /// Pairs (current, next): the body reads current and writes next, and they are exchanged
        /// after each iteration, so after the loop `current` holds the result.
        carries: Vec<(BufferId, BufferId)>,
        /// Body.
        body: Vec<Step>,
    },
    /// Repeats while a bool element, computed by `test` from the current carries, is true.
    While {
        /// Steps computing the condition.
        test: Vec<Step>,
        /// The condition.
        condition: BufferId,
        /// As for loops.
        carries: Vec<(BufferId, BufferId)>,
        /// Body.
        body: Vec<Step>,
    },
}

impl Plan {
    /// Whether a step, nested ones included, calls a function of the runtime's table.
    pub fn calls_library(&self) -> bool {
        self.any_step(|step| match step {
            Step::Custom { target, .. } => match target {
                Custom::Library(_) => true,
                Custom::Host(..) => false,
            },
            _ => false,
        })
    }

    /// Whether all matrix products, those of nested steps included, are of this type alone.
    pub fn multiplies_only(&self, dtype: DType) -> bool {
        !self.any_step(|step| match step {
            Step::Contract(c) => c.factors != [dtype; 2] || c.dtype != dtype,
            _ => false,
        })
    }

    /// Whether it is true of a step, nested ones included.
    fn any_step(&self, is_true: impl Fn(&Step) -> bool) -> bool {
        let mut lists: Vec<&[Step]> = vec![&self.steps];
        while let Some(list) = lists.pop() {
            for step in list {
                match step {
                    Step::If { then, other, .. } => lists.extend([&then[..], other]),
                    Step::Loop { body, .. } => lists.push(body),
                    Step::While { test, body, .. } => lists.extend([&test[..], body]),
                    Step::Kernel(_)
                    | Step::Contract(_)
                    | Step::Sort { .. }
                    | Step::Custom { .. }
                    | Step::Copy { .. } => {}
                }
                if is_true(step) {
                    return true;
                }
            }
        }
        false
    }
}

impl Step {
    /// The kernel that the step itself calls, if it calls one.
    pub fn kernel_call(&self) -> Option<&KernelCall> {
        match self {
            Step::Kernel(call) => Some(call),
            Step::Contract(contract) => contract.epilogue.as_ref(),
            Step::Sort { .. }
            | Step::Custom { .. }
            | Step::Copy { .. }
            | Step::If { .. }
            | Step::Loop { .. }
            | Step::While { .. } => None,
        }
    }

    /// The kernel that the step itself calls, if it calls one.
    pub fn kernel_call_mut(&mut self) -> Option<&mut KernelCall> {
        match self {
            Step::Kernel(call) => Some(call),
            Step::Contract(contract) => contract.epilogue.as_mut(),
            Step::Sort { .. }
            | Step::Custom { .. }
            | Step::Copy { .. }
            | Step::If { .. }
            | Step::Loop { .. }
            | Step::While { .. } => None,
        }
    }
}

/// A kernel with its arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelCall {
    /// Index into [`Plan::kernels`].
    pub kernel: u32,
    /// One buffer per buffer parameter.
    pub args: Vec<BufferId>,
}

/// How the right operand of a contraction lies in memory.
#[derive(Clone, Debug)]
pub enum RightLayout {
    /// Packed in panels of [`PANEL`] columns, and there in groups of G along k: element (b, k, n) lies at
    /// `b*batch + (n / PANEL)*PANEL*K + (k / G)*PANEL*G + (n % PANEL)*G + k % G`, where K is the extent of k rounded up to
    /// a multiple of G. Lanes beyond `n` in the last panel hold arbitrary values, those beyond k zeros.
    Panels {
        /// Elements from one batch entry to the next (0 when shared by all).
        batch: Dim,
        /// How many elements along k lie side by side: G.
        group: i64,
        /// Where the elements lie besides, if the panels are a copy of them: the buffer and the strides there.
        /// Known between scheduling and the decision which of the two is read; nothing else looks at it.
        copy_of: Option<Box<(BufferId, Placement)>>,
    },
    /// Somewhere in memory.
    Placed(Placement),
}

/// Digits that a [`Placement`] may have along k and along n.
pub const DIGITS: usize = 4;

/// Where the elements (b, k, n) of a right operand lie: the index k is a number whose digits have the extents of `rows`,
/// the last one changing fastest, and each digit has a stride; n likewise with `columns`.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Element offset of the first element.
    pub offset: Dim,
    /// Elements from one batch entry to the next.
    pub batch: Dim,
    /// Extents and strides of k's digits.
    pub rows: Vec<[Dim; 2]>,
    /// Extents and strides of n's digits.
    pub columns: Vec<[Dim; 2]>,
}

impl Placement {
    /// The sizes that it depends on.
    pub fn dims(&self) -> impl Iterator<Item = &Dim> {
        let digits = self.rows.iter().chain(&self.columns);
        [&self.offset, &self.batch]
            .into_iter()
            .chain(digits.flatten())
    }
}

impl RightLayout {
    /// The sizes that it depends on.
    pub fn dims(&self) -> Vec<&Dim> {
        match self {
            RightLayout::Panels { batch, .. } => vec![batch],
            RightLayout::Placed(placement) => placement.dims().collect(),
        }
    }
}

/// Outer ranges that a kernel may have.
pub const OUTER_RANGES: usize = 16;

/// Columns of a packed right operand's panels (the same for every element type).
pub const PANEL: i64 = 64;

/// `product[b, m, n] = sum over k of lhs[b, m, k] * rhs[b, k, n]`, then the epilogue on it.
///
/// The left operand is addressed by strides, the right one is laid out as [`RightLayout`] says.
#[derive(Clone, Debug)]
pub struct ContractStep {
    /// Element type of sums and products: f32, f64, i32 or i64.
    pub dtype: DType,
    /// Element types of the left and the right operand: this type, or narrower ones, see [`ContractStep::multiplies`].
    pub factors: [DType; 2],
    /// Extents b, m, n, k.
    pub dims: [Dim; 4],
    /// Left operand.
    pub lhs: BufferId,
    /// Element offset of its first element, then strides along b, m, k.
    pub lhs_strides: [Dim; 4],
    /// Right operand.
    pub rhs: BufferId,
    /// How it lies there.
    pub rhs_layout: RightLayout,
    /// Where the sums go, dense `[b, m, n]`.
    pub product: BufferId,
    /// A kernel over outer ranges `[b, m, n]` that reads the product (and other buffers), called
    /// for each finished tile while it is in cache.
    pub epilogue: Option<KernelCall>,
}

impl ContractStep {
    /// Whether there are products of such factors with such sums. Narrow factors are f16 and bf16 summed in f32, and
    /// i8 and u8 summed in i32.
    pub fn multiplies(factors: [DType; 2], sum: DType) -> bool {
        match (sum, factors) {
            (DType::F32 | DType::F64 | DType::I32 | DType::I64, [a, b]) if a == sum => a == b,
            (DType::F32, [a, b]) => a == b && matches!(a, DType::F16 | DType::BF16),
            (DType::I32, factors) => factors.iter().all(|f| matches!(f, DType::I8 | DType::U8)),
            _ => false,
        }
    }
}
