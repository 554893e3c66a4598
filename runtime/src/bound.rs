//! Steps for given sizes: what binding makes of a program's steps, and machines run.

use crate::kernels::contract::{Placed, Tiling};
use crate::partition::Partition;
use crate::{Element, KernelFn};
use smallvec::SmallVec;

/// A buffer as steps name it: a slot and the slices on the way from its memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arg {
    pub slot: u32,
    /// First of its entries in [`crate::bind::Binding::slices`], and how many.
    pub first: u32,
    pub count: u32,
}

/// A kernel for given sizes.
pub(crate) struct BoundKernel {
    pub code: KernelFn,
    pub sizes: Box<[i64]>,
    pub partition: Partition,
    pub scratch: usize,
}

/// A step for given sizes.
pub(crate) struct BoundStep {
    /// Pre-order position.
    pub position: u32,
    pub kind: BoundStepKind,
}

/// What a bound step does; see [`crate::Step`].
pub(crate) enum BoundStepKind {
    /// Something without steps inside.
    Task(Task),
    If {
        condition: Arg,
        then: Box<[BoundStep]>,
        other: Box<[BoundStep]>,
    },
    Loop(BoundLoop),
    While(BoundWhile),
}

/// A step without steps inside.
pub(crate) enum Task {
    Kernel {
        kernel: u32,
        args: Box<[Arg]>,
    },
    Contract(Box<BoundContract>),
    Sort(BoundSort),
    Custom(BoundCustom),
    Copy {
        from: Arg,
        to: Arg,
        partition: Partition,
    },
}

pub(crate) struct BoundLoop {
    pub slot: u32,
    pub trip: usize,
    pub iteration: Arg,
    pub carries: Box<[Carry]>,
    pub body: Box<[BoundStep]>,
}

pub(crate) struct BoundWhile {
    pub test: Box<[BoundStep]>,
    pub condition: Arg,
    pub carries: Box<[Carry]>,
    pub body: Box<[BoundStep]>,
}

pub(crate) struct BoundContract {
    pub factors: [Element; 2],
    pub dims: [usize; 4],
    pub tiling: Tiling,
    pub lhs: Arg,
    pub offset: isize,
    pub lhs_strides: [isize; 3],
    pub rhs: Arg,
    pub rhs_layout: BoundRight,
    pub product: Arg,
    pub epilogue: Option<(u32, Box<[Arg]>)>,
}

/// How the right operand of a product lies in memory; see [`crate::RightLayout`].
#[derive(Clone, Copy)]
pub(crate) enum BoundRight {
    /// Elements between batch entries.
    Panels(usize),
    /// Offset, and where the elements are from there.
    Placed(isize, Placed),
}

pub(crate) struct BoundSort {
    /// From, to, element type; the keys first.
    pub columns: Box<[(Arg, Arg, Element)]>,
    pub axis: usize,
    pub inner: usize,
    /// Over the lanes, `outer * inner` of them.
    pub partition: Partition,
    pub descending: bool,
}

pub(crate) struct BoundCustom {
    /// Number among the program's foreign functions.
    pub function: u32,
    pub inputs: Box<[CustomArg]>,
    pub outputs: Box<[CustomArg]>,
    pub fault: u32,
}

pub(crate) struct CustomArg {
    pub arg: Arg,
    pub element: Element,
    pub dims: SmallVec<[usize; 6]>,
    pub bytes: usize,
}

/// How a loop makes the next value the current one.
pub(crate) enum Carry {
    /// By exchanging the memory of two slots.
    Exchange {
        current: u32,
        next: u32,
        /// Whether the result must end up in the memory that `current` had at first. Arena memory may
        /// stay exchanged, because both slots live equally long.
        go_home: bool,
        bytes: usize,
    },
    /// By copying, where a buffer is only a part of its memory.
    Copy {
        current: Arg,
        next: Arg,
        bytes: usize,
    },
}
