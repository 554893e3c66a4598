//! What a Lazulite program means.
//!
//! This crate holds the representations every other crate speaks: element types, symbolic sizes,
//! the table of primitive operations, the hash-consed [`Graph`], the fused loop nest [`Kernel`], and the
//! scheduled [`Plan`]; their textual forms, their verifiers, and the interpreters that define what
//! they compute.

#[cfg(any(test, feature = "arbitrary"))]
pub mod arbitrary;
mod attr;
mod dim;
mod dtype;
mod element;
mod error;
mod graph;
mod infer;
mod interp;
mod kernel;
mod op;
mod origin;
mod philox;
mod plan;
mod plan_eval;
pub mod price;
mod scalar;
pub mod scalar_ops;
mod structure;
mod text;
mod types;
mod verify;

pub use attr::{Attr, AttrReader, AttrWriter, TextError, parse_attr, print_attr};
pub use dim::{Atom, Dim, DimOverflow, Symbol, Term, floor_div};
pub use dtype::DType;
pub use error::{RegionProblem, Shape, TypeError};
pub use graph::{Graph, Guard, Inputs, Node, NodeId, Relation};
pub use infer::{check_type, infer};
pub use interp::{
    Array, ArrayError, Difference, Environment, Fault, ForeignFn, ForeignTable, InterpError,
    SizeOf, Tolerance, bind_sizes, interpret, interpret_in,
};
pub use kernel::{
    Access, BufferDecl, BufferRef, Bytes, EvalError, FaultRecord, IndexAtom, IndexExpr, IndexTerm,
    Inst, InstOp, Kernel, Lanes, LocalDecl, LocalRef, Order, Ranges, Stage, Traffic, ValueId, Var,
    Work, as_cells, delinearize, eval_kernel, linearize, reshape_coords,
};
pub use op::{Arity, Binary, Class, Combine, Custom, HostFn, Op, OpInfo, Predicate, Unary};
pub use origin::{Origin, Source};
pub use philox::{philox4x32, random_bits};
pub use plan::{
    BufferId, ContractStep, DIGITS, FaultInfo, KernelCall, OUTER_RANGES, PANEL, Place, Placement,
    Plan, PlanBuffer, RightLayout, Step,
};
pub use plan_eval::{EvalMode, eval_plan};
pub use scalar::Scalar;
pub use structure::Structure;
pub use text::graph::{parse_graph, print_graph, print_graph_with_sources};
pub use text::kernel::{parse_kernel, print_kernel};
pub use text::plan::print_plan;
pub use text::readable::{Unreadable, check_readable};
pub use types::{Dims, TensorType, Type};
pub use verify::{Finding, Findings, verify_graph, verify_kernel, verify_plan};
