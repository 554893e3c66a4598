//! A plan for a GPU: the text of its kernels, and the image by which the runtime runs it.
//!
//! Matrix products are kernels like all others there, with their epilogues in them. What is left of steps is
//! launches, copies and control flow; sorting and foreign functions are the host's.

use super::{CudaKernel, Epilogue, emit, emit_contract, module};
use crate::CodegenError;
use crate::image::{Sizes, access, image_of, kernel_name};
use lazulite_ir::{BufferId, ContractStep, HostFn, Kernel, KernelCall, Place, Plan, Step};
use lazulite_runtime as rt;
use std::sync::Arc;

type Result<T> = std::result::Result<T, CodegenError>;

/// A program for a GPU, before its text is compiled.
pub struct CudaProgram {
    /// Its description. The sizes of a kernel are, launch for launch, the number of blocks and what the
    /// function takes; its scratch is one for all.
    pub image: rt::Image,
    /// Functions of this process that it calls.
    pub hosts: Vec<Arc<HostFn>>,
    /// The kernels, as the image numbers them.
    pub kernels: Vec<CudaKernel>,
}

impl CudaProgram {
    /// The text of all kernels, ready to be compiled.
    pub fn source(&self) -> String {
        module(&self.kernels)
    }
}

/// Writes a plan's kernels as functions whose names begin with `prefix`.
///
/// # Errors
/// When the plan is malformed or asks for what cannot be compiled.
pub fn program(plan: &Plan, prefix: &str) -> Result<CudaProgram> {
    let mut plan = plan.clone();
    let sizes_of = plan.clone();
    let sizes = Sizes::new(&sizes_of.symbols);
    let mut kernels = Vec::with_capacity(plan.kernels.len());
    let mut specs = Vec::with_capacity(plan.kernels.len());
    for (i, kernel) in plan.kernels.iter().enumerate() {
        let code = emit(kernel, &format!("{prefix}k{i}"))?;
        let params = kernel.buffers.iter().map(|b| access(b.access)).collect();
        let name = kernel_name(kernel, i);
        specs.push(spec(&sizes, &code, name, params, kernel.can_fault())?);
        kernels.push(code);
    }
    let mut contracts = Contracts {
        plan: &sizes_of,
        sizes: &sizes,
        prefix,
        kernels,
        specs,
    };
    plan.steps = contracts.steps(&sizes_of.steps)?;
    let Contracts { kernels, specs, .. } = contracts;
    let (image, hosts) = image_of(&plan, specs)?;
    Ok(CudaProgram {
        image,
        hosts,
        kernels,
    })
}

/// What the runtime must know of a kernel.
fn spec(
    sizes: &Sizes<'_>,
    code: &CudaKernel,
    name: String,
    params: Vec<rt::Access>,
    can_fault: bool,
) -> Result<rt::KernelSpec> {
    let mut values = Vec::new();
    for launch in &code.launches {
        values.push(sizes.size(&launch.blocks)?);
        values.extend(sizes.sizes(&launch.sizes)?);
    }
    Ok(rt::KernelSpec {
        name,
        params,
        can_fault,
        // One call does it all.
        outer: Vec::new(),
        sizes: values,
        cost: rt::Size(vec![rt::SizeOp::Const(0)]),
        scratch: sizes.size(&code.scratch)?,
        lane_multiple: 1,
    })
}

/// Turns products into kernels.
struct Contracts<'p> {
    plan: &'p Plan,
    sizes: &'p Sizes<'p>,
    prefix: &'p str,
    kernels: Vec<CudaKernel>,
    specs: Vec<rt::KernelSpec>,
}

impl Contracts<'_> {
    /// The steps of a list. Recursion ends: images bound the nesting, and this comes to an end with them.
    fn steps(&mut self, steps: &[Step]) -> Result<Vec<Step>> {
        steps.iter().map(|s| self.step(s)).collect()
    }

    fn step(&mut self, step: &Step) -> Result<Step> {
        Ok(match step {
            Step::Contract(c) => Step::Kernel(self.contract(c)?),
            Step::If {
                condition,
                then,
                other,
            } => Step::If {
                condition: *condition,
                then: self.steps(then)?,
                other: self.steps(other)?,
            },
            Step::Loop {
                loop_id,
                trip,
                iteration,
                carries,
                body,
            } => Step::Loop {
                loop_id: *loop_id,
                trip: trip.clone(),
                iteration: *iteration,
                carries: carries.clone(),
                body: self.steps(body)?,
            },
            Step::While {
                test,
                condition,
                carries,
                body,
            } => Step::While {
                test: self.steps(test)?,
                condition: *condition,
                carries: carries.clone(),
                body: self.steps(body)?,
            },
            Step::Kernel(_) | Step::Sort { .. } | Step::Custom { .. } | Step::Copy { .. } => {
                step.clone()
            }
        })
    }

    fn contract(&mut self, c: &ContractStep) -> Result<KernelCall> {
        let number = self.kernels.len();
        let name = format!("{}k{number}", self.prefix);
        let mut args = vec![c.lhs, c.rhs, c.product];
        let mut params = vec![rt::Access::Read, rt::Access::Read, rt::Access::Write];
        let (mut can_fault, mut is_product) = (false, Vec::new());
        let mut epilogue = None;
        if let Some(call) = &c.epilogue {
            let kernel = self.kernel(call.kernel)?;
            is_product = call.args.iter().map(|a| *a == c.product).collect();
            params.extend(kernel.buffers.iter().map(|b| access(b.access)));
            args.extend(&call.args);
            can_fault = kernel.can_fault();
            epilogue = Some(kernel);
        }
        let epilogue = epilogue.map(|kernel| Epilogue {
            kernel,
            product: &is_product,
        });
        let code = emit_contract(c, epilogue, self.is_read_elsewhere(c.product), &name)?;
        let name = format!("contract_{number}");
        self.specs
            .push(spec(self.sizes, &code, name, params, can_fault)?);
        self.kernels.push(code);
        Ok(KernelCall {
            kernel: number as u32,
            args,
        })
    }

    fn kernel(&self, number: u32) -> Result<&Kernel> {
        let kernel = self.plan.kernels.get(number as usize);
        kernel.ok_or_else(|| CodegenError::Malformed(format!("there is no kernel {number}")))
    }

    /// Whether anything but its own step may read a product: only those of the arena are known not to be.
    fn is_read_elsewhere(&self, product: BufferId) -> bool {
        let buffers = &self.plan.buffers;
        let Some(buffer) = buffers.get(product.0 as usize) else {
            return true;
        };
        let shared = buffers.iter().any(|b| match &b.place {
            Place::Alias(of) | Place::LoopSlice { of, .. } => *of == product,
            Place::Input(_) | Place::Output | Place::Arena => false,
        });
        let (born, dead) = buffer.live;
        buffer.place != Place::Arena || shared || born != dead
    }
}
