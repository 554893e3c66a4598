//! Lowering: a kernel becomes a function in vector IR, for a given number of lanes.
//!
//! - The outer ranges become loops over the box that the caller passes; boxes are never empty.
//! - The loop that runs along lanes becomes up to three: several vectors per iteration, one vector,
//!   one lane; where the machine has masks two: several vectors, one vector under a mask. The body is
//!   written down for each.
//! - Every value is computed in the outermost loop that defines what it depends on; values that do not
//!   depend on the lane are one lane wide.
//! - Results do not depend on how the outer ranges are cut into boxes, as long as these start at
//!   multiples of [`Lowered::lane_multiple`]: an element takes the same operations in each of these
//!   loops.

mod access;
mod analyse;
mod cast;
mod columns;
mod half;
mod index;
mod inst;
mod nest;
mod ops;
mod quotient;
mod random;
mod streamed;
#[cfg(test)]
mod tests;

use crate::CodegenError;
use crate::backend::Caps;
use crate::vector::{Builder, Class, Function, Reg, Scalar};
use analyse::{Analysis, even_copies};
use lazulite_ir::{BufferRef, DType, Dim, Kernel, Lanes, ValueId, Var};
pub(crate) use ops::register_bits;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// A kernel as a function.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The function.
    pub function: Function,
    /// What the function reads as sizes, in order.
    pub sizes: Vec<Dim>,
    /// Bytes of scratch memory.
    pub scratch: Dim,
    /// Where boxes may start along the last outer range.
    pub lane_multiple: u32,
}

/// What lowering may choose.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LowerOptions {
    /// Scalar code only.
    pub scalar: bool,
    /// Vectors per iteration, instead of the cost rule's choice.
    pub copies: Option<u32>,
    /// Round every product before it is added to something.
    pub exact: bool,
    /// Bytes that a kernel moves from which on it is taken to work on memory, not on caches, instead of the cost
    /// rules'.
    pub large_from: Option<i64>,
}

/// Lowers a kernel, which must have passed [`lazulite_ir::verify_kernel`], for a machine.
///
/// # Errors
/// When size arithmetic overflows, or the kernel breaks a rule after all.
pub fn lower(kernel: &Kernel, caps: &Caps, options: LowerOptions) -> Result<Lowered> {
    let lanes = if options.scalar { 1 } else { caps.lanes() };
    let lane_loop = match kernel.lanes {
        Lanes::None => LaneLoop::None,
        _ if lanes == 1 => LaneLoop::None,
        Lanes::Outer if kernel.outer.is_empty() => LaneLoop::None,
        Lanes::Outer => LaneLoop::Outer(kernel.outer.len() as u32 - 1),
        Lanes::Inner => LaneLoop::Inner,
    };
    let analysis = Analysis::new(kernel, lane_loop)?;
    let sweep = columns::sweep(kernel, lane_loop, options.large_from)?;
    let per_stage = |stage| match (lane_loop, options.copies) {
        (LaneLoop::None, _) => 1,
        // Rows do what copies do elsewhere, and strips begin at multiples of every vector.
        _ if sweep.is_some() => 1,
        (_, Some(copies)) => copies,
        (LaneLoop::Outer(_), None) => {
            let copies = analysis.outer_copies(kernel, caps);
            even_copies(&kernel.stages, lane_loop, lanes, copies)
        }
        (LaneLoop::Inner, None) => {
            let copies = analysis.copies(Some(stage), caps);
            even_copies(&kernel.stages[stage..=stage], lane_loop, lanes, copies)
        }
    };
    let copies = (0..kernel.stages.len()).map(per_stage).collect();
    let streamed = match caps.non_temporal {
        true => streamed::streamed(kernel, lane_loop, caps.vector_bytes, options.large_from)?,
        false => Vec::new(),
    };
    let lowerer = Lowerer {
        b: Builder::new(lanes).with_tables(caps.tables),
        kernel,
        analysis,
        lane_loop,
        caps: *caps,
        contract: caps.fma && !options.exact,
        lanes,
        copies,
        streamed,
        sweep,
        pack: Pack::SCALAR,
        mask: None,
        sizes: FxHashMap::default(),
        size_list: Vec::new(),
        values: vec![Slot::Undefined; kernel.values.len()],
        outer: Vec::new(),
        inner: Vec::new(),
        locals: Vec::new(),
        stage: 0,
        accumulators: FxHashMap::default(),
    };
    lowerer.run()
}

/// Which loops run along lanes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LaneLoop {
    None,
    /// This outer range.
    Outer(u32),
    /// The last range of every stage that is not ordered.
    Inner,
}

/// How many points the code being written handles at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pack {
    /// Lanes of a register that varies along the lane loop.
    lanes: u32,
    /// Registers side by side, for consecutive runs of lanes.
    copies: u32,
    /// The variable that runs along the lanes.
    var: Option<Var>,
    /// Only the lanes in [`Lowerer::mask`] count: the last ones of the loop.
    masked: bool,
}

impl Pack {
    const SCALAR: Pack = Pack {
        lanes: 1,
        copies: 1,
        var: None,
        masked: false,
    };
}

/// Where a kernel value is.
#[derive(Clone, Debug)]
enum Slot {
    Undefined,
    /// Bits of the value's class.
    Const(u64),
    /// The same in all lanes.
    Uniform(Reg),
    /// One register per copy.
    Lanes(SmallVec<[Reg; 4]>),
}

/// A local's memory.
struct LocalMemory {
    address: Scalar,
    /// Points side by side for each element.
    points: u32,
}

/// The state of lowering one kernel.
struct Lowerer<'k> {
    b: Builder,
    kernel: &'k Kernel,
    analysis: Analysis,
    lane_loop: LaneLoop,
    caps: Caps,
    /// A product and a sum may be rounded once.
    contract: bool,
    /// Lanes of full registers.
    lanes: u32,
    /// Per stage, registers side by side in the lane loop; the same for all with [`LaneLoop::Outer`].
    copies: Vec<u32>,
    /// Buffers whose elements bypass the caches.
    streamed: Vec<BufferRef>,
    /// How columns are swept row by row, if they are.
    sweep: Option<columns::Sweep>,
    pack: Pack,
    /// The lanes of the present pack that there are, if there may be fewer.
    mask: Option<Reg>,
    sizes: FxHashMap<Dim, u32>,
    size_list: Vec<Dim>,
    values: Vec<Slot>,
    /// Loop counters; the lane loop's is that of lane 0 of copy 0.
    outer: Vec<Scalar>,
    inner: Vec<Scalar>,
    locals: Vec<LocalMemory>,
    /// Number of the current stage.
    stage: usize,
    accumulators: FxHashMap<ValueId, nest::Accumulator>,
}

/// Operations that need only the builder take it apart from the rest.
type Result<T> = std::result::Result<T, CodegenError>;

impl Lowerer<'_> {
    fn run(mut self) -> Result<Lowered> {
        let scratch = match self.sweep {
            Some(sweep) => self.strip_bytes(sweep),
            None => self.place_locals()?,
        };
        self.kernel_body()?;
        let lane_multiple = match (self.lane_loop, self.sweep) {
            (LaneLoop::Outer(_), Some(sweep)) => sweep.share as u32,
            (LaneLoop::Outer(_), None) => self.outer_points(),
            (LaneLoop::None | LaneLoop::Inner, _) => 1,
        };
        Ok(Lowered {
            function: self.b.finish(),
            sizes: self.size_list,
            scratch,
            lane_multiple,
        })
    }

    /// Points of the outer lane loop that one iteration handles at most.
    fn outer_points(&self) -> u32 {
        self.lanes * self.copies.first().copied().unwrap_or(1)
    }

    /// A loop-invariant size.
    fn dim(&mut self, dim: &Dim) -> Scalar {
        if let Some(c) = dim.as_const() {
            return self.b.s_const(c);
        }
        let number = match self.sizes.get(dim) {
            Some(&number) => number,
            None => {
                let number = self.size_list.len() as u32;
                self.size_list.push(dim.clone());
                self.sizes.insert(dim.clone(), number);
                number
            }
        };
        self.b.size(number)
    }

    /// A size by which an index is divided.
    fn divisor(&mut self, dim: &Dim) -> Scalar {
        match dim.bounds() {
            (Some(least), _) if least > 0 => self.dim(dim),
            // Nothing is accessed at such an index, but dividing by 0 would stop the process.
            _ => self.dim(&dim.maximum(&Dim::ONE)),
        }
    }

    /// The element type of a value.
    fn dtype(&self, v: ValueId) -> DType {
        self.kernel.values[v.0 as usize]
    }

    /// The register class that holds a value.
    fn class(&self, v: ValueId) -> Class {
        self.analysis.form(v).class(self.dtype(v))
    }

    /// True when the value differs between lanes of the present pack.
    fn varies(&self, v: ValueId) -> bool {
        matches!(self.values[v.0 as usize], Slot::Lanes(_))
    }

    /// The lanes of the present pack among those of a condition.
    fn within(&mut self, lanes: u32, condition: Option<Reg>) -> Option<Reg> {
        match (self.mask.filter(|_| lanes > 1), condition) {
            (Some(mask), Some(condition)) => Some(self.b.and(mask, condition)),
            (mask, condition) => mask.or(condition),
        }
    }

    /// A value as a register of `lanes` lanes, for one copy.
    fn get(&mut self, v: ValueId, copy: usize, lanes: u32) -> Result<Reg> {
        let class = self.class(v);
        match &self.values[v.0 as usize] {
            Slot::Undefined => Err(CodegenError::Malformed(format!(
                "value {} is used where it is not defined",
                v.0
            ))),
            &Slot::Const(bits) => Ok(self.b.const_bits(class, lanes, bits)),
            &Slot::Uniform(r) if lanes == 1 => Ok(r),
            &Slot::Uniform(r) => Ok(self.b.splat_lane(r)),
            Slot::Lanes(regs) => Ok(regs[copy]),
        }
    }

    /// A value that is the same in all lanes, as a scalar.
    fn get_scalar(&mut self, v: ValueId) -> Result<Scalar> {
        let r = self.get(v, 0, 1)?;
        Ok(self.b.lane(r))
    }
}
