//! A plan as an image: symbolic sizes become postfix code, buffers and steps their serialisable
//! counterparts.

use crate::CodegenError;
use crate::cache::PlanKernel;
use crate::canonical::original;
use lazulite_ir::{
    Access, Atom, BufferId, ContractStep, Custom, DType, Dim, HostFn, Kernel, KernelCall, Lanes,
    Place, Placement, Plan, PlanBuffer, Relation, RightLayout, Source, Step, Symbol, TensorType,
};
use lazulite_runtime as rt;
use rustc_hash::FxHashMap;
use std::sync::Arc;

// The scheduler and the runtime speak of the same machine.
const _: () = assert!(lazulite_ir::PANEL == rt::PANEL as i64);
const _: () = assert!(lazulite_ir::OUTER_RANGES == rt::MAX_RANK);

/// The translation of one plan.
pub(crate) struct Imager<'p> {
    plan: &'p Plan,
    sizes: Sizes<'p>,
    hosts: Vec<Arc<HostFn>>,
}

/// The translation of sizes over numbered symbols.
pub(crate) struct Sizes<'p> {
    symbols: FxHashMap<&'p Symbol, u32>,
}

type Result<T> = std::result::Result<T, CodegenError>;

/// The image of a plan whose kernels are compiled, and its host functions.
pub(crate) fn image(plan: &Plan, kernels: &[PlanKernel]) -> Result<(rt::Image, Vec<Arc<HostFn>>)> {
    let specs = plan.kernels.iter().zip(kernels).enumerate();
    let sizes = Sizes::new(&plan.symbols);
    let specs = specs.map(|(i, (kernel, code))| sizes.kernel(i, kernel, code));
    image_of(plan, specs.collect::<Result<_>>()?)
}

/// The image of a plan whose kernels are described so, and its host functions.
pub(crate) fn image_of(
    plan: &Plan,
    kernels: Vec<rt::KernelSpec>,
) -> Result<(rt::Image, Vec<Arc<HostFn>>)> {
    let mut imager = Imager {
        plan,
        sizes: Sizes::new(&plan.symbols),
        hosts: Vec::new(),
    };
    let image = imager.image(kernels)?;
    Ok((image, imager.hosts))
}

/// The runtime's form of a type whose sizes are bound in the order of `symbols`.
///
/// # Errors
/// When a size depends on anything else.
pub fn signature(ty: &TensorType, symbols: &[Symbol]) -> Result<rt::Signature> {
    Sizes::new(symbols).signature(ty)
}

/// The runtime's name of an element type.
pub fn element(dtype: DType) -> rt::Element {
    match dtype {
        DType::Bool => rt::Element::Bool,
        DType::U8 => rt::Element::U8,
        DType::U16 => rt::Element::U16,
        DType::U32 => rt::Element::U32,
        DType::U64 => rt::Element::U64,
        DType::I8 => rt::Element::I8,
        DType::I16 => rt::Element::I16,
        DType::I32 => rt::Element::I32,
        DType::I64 => rt::Element::I64,
        DType::F16 => rt::Element::F16,
        DType::BF16 => rt::Element::BF16,
        DType::F32 => rt::Element::F32,
        DType::F64 => rt::Element::F64,
        DType::C64 => rt::Element::C64,
        DType::C128 => rt::Element::C128,
    }
}

/// File, line and column; the trail on a line of its own, if there is one.
fn location(source: &Option<Arc<Source>>) -> String {
    let Some(s) = source else {
        return String::new();
    };
    let place = format!("{}:{}:{}", s.file, s.line, s.column);
    match &*s.trail {
        "" => place,
        trail => format!("{place}\n{trail}"),
    }
}

pub(crate) fn access(access: Access) -> rt::Access {
    match access {
        Access::Read => rt::Access::Read,
        Access::Write => rt::Access::Write,
        Access::ReadWrite => rt::Access::ReadWrite,
    }
}

/// A name that says what a kernel does, for profiles.
pub(crate) fn kernel_name(kernel: &Kernel, number: usize) -> String {
    let has = |f: fn(&lazulite_ir::InstOp) -> bool| {
        kernel
            .stages
            .iter()
            .flat_map(|s| &s.insts)
            .any(|i| f(&i.op))
    };
    let kind = if kernel.stages.iter().any(|s| s.ordered) {
        "ordered"
    } else if has(|op| matches!(op, lazulite_ir::InstOp::Accumulate(..))) {
        match kernel.lanes {
            Lanes::Inner => "row_reduce",
            Lanes::Outer | Lanes::None => "reduce",
        }
    } else {
        "map"
    };
    format!("{kind}_{number}")
}

fn pairs(carries: &[(BufferId, BufferId)]) -> Vec<(u32, u32)> {
    carries.iter().map(|(a, b)| (a.0, b.0)).collect()
}

impl<'p> Sizes<'p> {
    pub fn new(symbols: &'p [Symbol]) -> Sizes<'p> {
        Sizes {
            symbols: symbols.iter().zip(0..).collect(),
        }
    }

    /// A size as postfix code.
    pub fn size(&self, dim: &Dim) -> Result<rt::Size> {
        let mut ops = Vec::new();
        self.push_dim(dim, &mut ops)?;
        Ok(rt::Size(ops))
    }

    fn push_dim(&self, dim: &Dim, ops: &mut Vec<rt::SizeOp>) -> Result<()> {
        if let Some(c) = dim.as_const() {
            ops.push(rt::SizeOp::Const(c));
            return Ok(());
        }
        for (n, term) in dim.terms().iter().enumerate() {
            let mut factors = 0;
            if term.coefficient != 1 || term.atoms.is_empty() {
                ops.push(rt::SizeOp::Const(term.coefficient));
                factors = 1;
            }
            for atom in &term.atoms {
                self.push_atom(atom, ops)?;
                if factors > 0 {
                    ops.push(rt::SizeOp::Mul);
                }
                factors += 1;
            }
            if n > 0 {
                ops.push(rt::SizeOp::Add);
            }
        }
        Ok(())
    }

    fn push_atom(&self, atom: &Atom, ops: &mut Vec<rt::SizeOp>) -> Result<()> {
        let (a, b, op) = match atom {
            Atom::Symbol(s) => {
                let number = self.symbols.get(s).ok_or_else(|| {
                    CodegenError::Malformed(format!("the size {s} is not a symbol of the program"))
                })?;
                ops.push(rt::SizeOp::Symbol(*number));
                return Ok(());
            }
            Atom::FloorDiv(a, b) => (a, b, rt::SizeOp::FloorDiv),
            Atom::Mod(a, b) => (a, b, rt::SizeOp::Mod),
            Atom::Min(a, b) => (a, b, rt::SizeOp::Min),
            Atom::Max(a, b) => (a, b, rt::SizeOp::Max),
        };
        self.push_dim(a, ops)?;
        self.push_dim(b, ops)?;
        ops.push(op);
        Ok(())
    }

    fn signature(&self, ty: &TensorType) -> Result<rt::Signature> {
        Ok(rt::Signature {
            element: element(ty.dtype),
            dims: ty
                .dims
                .iter()
                .map(|d| self.size(d))
                .collect::<Result<_>>()?,
        })
    }

    /// The sizes of a list.
    pub fn sizes(&self, dims: &[Dim]) -> Result<Vec<rt::Size>> {
        dims.iter().map(|d| self.size(d)).collect()
    }

    fn kernel(
        &self,
        number: usize,
        kernel: &Kernel,
        compiled: &PlanKernel,
    ) -> Result<rt::KernelSpec> {
        let code = &compiled.code;
        let own = |dim: &Dim| self.size(&original(dim, &compiled.symbols)?);
        Ok(rt::KernelSpec {
            name: kernel_name(kernel, number),
            params: kernel.buffers.iter().map(|b| access(b.access)).collect(),
            can_fault: code.can_fault,
            outer: self.sizes(&kernel.outer)?,
            sizes: code.sizes.iter().map(own).collect::<Result<_>>()?,
            cost: own(&code.cost)?,
            scratch: own(&code.scratch)?,
            lane_multiple: code.lane_multiple,
        })
    }
}

impl Imager<'_> {
    fn image(&mut self, kernels: Vec<rt::KernelSpec>) -> Result<rt::Image> {
        let plan = self.plan;
        let guard = |g: &lazulite_ir::Guard| {
            Ok(rt::SizeGuard {
                lhs: self.size(&g.lhs)?,
                rhs: self.size(&g.rhs)?,
                equal: match g.relation {
                    Relation::Eq => true,
                    Relation::Le => false,
                },
                message: g.message.to_string(),
            })
        };
        let guards = plan.guards.iter().map(guard).collect::<Result<_>>()?;
        let faults = plan.faults.iter().map(|f| rt::Fault {
            what: f.what.clone(),
            location: location(&f.source),
        });
        let outputs = plan.outputs.iter();
        Ok(rt::Image {
            version: rt::VERSION,
            symbols: plan.symbols.iter().map(|s| s.0.to_string()).collect(),
            inputs: plan
                .inputs
                .iter()
                .map(|t| self.signature(t))
                .collect::<Result<_>>()?,
            outputs: outputs
                .map(|(b, t)| Ok((b.0, self.signature(t)?)))
                .collect::<Result<_>>()?,
            buffers: plan
                .buffers
                .iter()
                .map(|b| self.buffer(b))
                .collect::<Result<_>>()?,
            kernels,
            guards,
            faults: faults.collect(),
            donations: plan.donations.iter().map(|(p, b)| (*p, b.0)).collect(),
            steps: self.steps(&plan.steps, 0)?,
        })
    }

    /// A size as postfix code.
    fn size(&self, dim: &Dim) -> Result<rt::Size> {
        self.sizes.size(dim)
    }

    fn size_array<const N: usize>(&self, dims: &[Dim; N]) -> Result<[rt::Size; N]> {
        let sizes = self.sizes.sizes(dims)?;
        sizes
            .try_into()
            .map_err(|_| CodegenError::Backend("as many sizes as dims".into()))
    }

    /// `len` elements in bytes.
    fn bytes(&self, dtype: DType, len: &Dim) -> Result<rt::Size> {
        self.size(&len.mul(&Dim::constant(dtype.size() as i64))?)
    }

    fn signature(&self, ty: &TensorType) -> Result<rt::Signature> {
        self.sizes.signature(ty)
    }

    fn buffer(&self, b: &PlanBuffer) -> Result<rt::BufferSpec> {
        let place = match &b.place {
            Place::Input(n) => rt::Place::Input(*n),
            Place::Output => rt::Place::Output,
            Place::Arena => rt::Place::Arena,
            Place::Alias(of) => rt::Place::Alias(of.0),
            Place::LoopSlice {
                of,
                stride,
                loop_id,
            } => rt::Place::LoopSlice {
                of: of.0,
                stride: self.bytes(b.dtype, stride)?,
                loop_id: *loop_id,
            },
        };
        Ok(rt::BufferSpec {
            bytes: self.bytes(b.dtype, &b.len)?,
            place,
            live: b.live,
        })
    }

    fn call(&self, call: &KernelCall) -> rt::KernelCall {
        rt::KernelCall {
            kernel: call.kernel,
            args: call.args.iter().map(|b| b.0).collect(),
        }
    }

    fn steps(&mut self, steps: &[Step], depth: u32) -> Result<Vec<rt::Step>> {
        if depth > rt::MAX_NESTING {
            return Err(CodegenError::Unsupported(format!(
                "steps are nested deeper than {} levels",
                rt::MAX_NESTING
            )));
        }
        steps.iter().map(|s| self.step(s, depth)).collect()
    }

    fn step(&mut self, step: &Step, depth: u32) -> Result<rt::Step> {
        Ok(match step {
            Step::Kernel(call) => rt::Step::Kernel(self.call(call)),
            Step::Contract(c) => rt::Step::Contract(self.contract(c)?),
            Step::Sort {
                inputs,
                outputs,
                dims,
                descending,
            } => rt::Step::Sort {
                columns: self.columns(inputs, outputs)?,
                dims: self.size_array(dims)?,
                descending: *descending,
            },
            Step::Custom {
                target,
                inputs,
                outputs,
                fault,
            } => rt::Step::Custom {
                target: self.custom(target),
                inputs: self.operands(inputs)?,
                outputs: self.operands(outputs)?,
                fault: *fault,
            },
            Step::Copy { from, to, len } => rt::Step::Copy {
                from: from.0,
                to: to.0,
                bytes: self.bytes(self.dtype(*from)?, len)?,
            },
            Step::If { .. } | Step::Loop { .. } | Step::While { .. } => {
                self.control(step, depth + 1)?
            }
        })
    }

    /// A step that holds steps, which are at `depth`.
    fn control(&mut self, step: &Step, depth: u32) -> Result<rt::Step> {
        Ok(match step {
            Step::If {
                condition,
                then,
                other,
            } => rt::Step::If {
                condition: condition.0,
                then: self.steps(then, depth)?,
                other: self.steps(other, depth)?,
            },
            Step::Loop {
                loop_id,
                trip,
                iteration,
                carries,
                body,
            } => rt::Step::Loop {
                loop_id: *loop_id,
                trip: self.size(trip)?,
                iteration: iteration.0,
                carries: pairs(carries),
                body: self.steps(body, depth)?,
            },
            Step::While {
                test,
                condition,
                carries,
                body,
            } => rt::Step::While {
                test: self.steps(test, depth)?,
                condition: condition.0,
                carries: pairs(carries),
                body: self.steps(body, depth)?,
            },
            Step::Kernel(_)
            | Step::Contract(_)
            | Step::Sort { .. }
            | Step::Custom { .. }
            | Step::Copy { .. } => self.step(step, depth)?,
        })
    }

    fn columns(
        &self,
        inputs: &[BufferId],
        outputs: &[BufferId],
    ) -> Result<Vec<(u32, u32, rt::Element)>> {
        let pairs = inputs.iter().zip(outputs);
        pairs
            .map(|(from, to)| Ok((from.0, to.0, element(self.dtype(*from)?))))
            .collect()
    }

    fn contract(&self, c: &ContractStep) -> Result<rt::Contract> {
        let contract = rt::Contract {
            element: element(c.dtype),
            factors: c.factors.map(element),
            dims: self.size_array(&c.dims)?,
            lhs: c.lhs.0,
            lhs_strides: self.size_array(&c.lhs_strides)?,
            rhs: c.rhs.0,
            rhs_layout: match &c.rhs_layout {
                RightLayout::Panels { batch, .. } => rt::RightLayout::Panels(self.size(batch)?),
                RightLayout::Placed(placement) => {
                    rt::RightLayout::Placed(Box::new(self.placement(placement)?))
                }
            },
            product: c.product.0,
            epilogue: c.epilogue.as_ref().map(|call| self.call(call)),
        };
        match &c.rhs_layout {
            RightLayout::Panels { group, .. } if *group != contract.group() as i64 => {
                let [left, right] = c.factors;
                let message = format!(
                    "a product of {left} and {right} in {} on a processor, in groups of {group}",
                    c.dtype
                );
                Err(CodegenError::Unsupported(message))
            }
            _ => Ok(contract),
        }
    }

    fn placement(&self, p: &Placement) -> Result<rt::Placement> {
        let digits = |digits: &[[Dim; 2]]| -> Result<Vec<[rt::Size; 2]>> {
            digits.iter().map(|d| self.size_array(d)).collect()
        };
        Ok(rt::Placement {
            offset: self.size(&p.offset)?,
            batch: self.size(&p.batch)?,
            rows: digits(&p.rows)?,
            columns: digits(&p.columns)?,
        })
    }

    fn dtype(&self, b: BufferId) -> Result<DType> {
        let buffer = self.plan.buffers.get(b.0 as usize);
        let buffer =
            buffer.ok_or_else(|| CodegenError::Malformed(format!("there is no buffer {}", b.0)))?;
        Ok(buffer.dtype)
    }

    fn custom(&mut self, target: &Custom) -> rt::CustomTarget {
        match target {
            Custom::Library(name) => rt::CustomTarget::Library(name.to_string()),
            Custom::Host(_, f) => {
                self.hosts.push(f.clone());
                rt::CustomTarget::Host(self.hosts.len() as u32 - 1)
            }
        }
    }

    fn operands(&self, list: &[(BufferId, TensorType)]) -> Result<Vec<(u32, rt::Signature)>> {
        list.iter()
            .map(|(b, ty)| Ok((b.0, self.signature(ty)?)))
            .collect()
    }
}
