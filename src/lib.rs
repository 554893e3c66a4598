//! Lazulite: a tensor framework whose programs are compiled.
//!
//! Operations on [`Tensor`]s record a lazy graph. When a value is read, the graph is rewritten, fused
//! into kernels, compiled to machine code in milliseconds and run; the next time the same program
//! comes by, with whatever numbers and sizes, the compiled code is found and run again.
//!
//! ```
//! use lazulite::prelude::*;
//!
//! let x = Tensor::randn([8, 16]);
//! let w = Tensor::randn([4, 16]);
//! let y = x.linear(&w, None).gelu().softmax(-1);       // nothing is computed yet
//! let sums = y.sum(-1).to_vec::<f32>()?;               // compiled and run here
//! assert!(sums.iter().all(|s| (s - 1.0).abs() < 1e-5));
//! # Ok::<(), lazulite::Error>(())
//! ```
//!
//! # Errors
//!
//! Operations never fail where they are written. A mistake makes a tensor that carries the error with
//! the file and line of the operation, and it comes out as `Err` where a value is read, or at
//! [`Tensor::check`].
//!
//! ```
//! use lazulite::prelude::*;
//! let x = Tensor::zeros([2, 3]).matmul(&Tensor::zeros([2, 3]));
//! let error = x.relu().check().unwrap_err();
//! assert_eq!(error.op(), "matmul");
//! assert!(error.to_string().contains("inner sizes 3 and 2 differ"));
//! ```

// What the derives write must be found from within this crate as well.
extern crate self as lazulite;

mod autograd;
mod cell;
mod compile;
mod control;
pub mod data;
mod device;
mod display;
pub mod distributions;
mod element;
mod engine;
mod error;
mod export;
mod files;
#[cfg(feature = "cuda")]
pub mod gpu;
mod host;
mod indexed;
pub mod inspect;
mod location;
mod nested;
pub mod nn;
mod ops;
pub mod optim;
mod scoped;
mod tensor;
pub mod train;

pub use autograd::{
    BackwardOptions, Context, CustomFunction, GradCheck, GradOptions, Graded, GradientTape,
    HookHandle, Pullback, clip_grad_norm, clip_grad_norm_with, clip_grad_value, custom_function,
    enable_grad, grad, grad_with, gradcheck, gradgradcheck, hessian, hvp, inference_mode,
    is_grad_enabled, jacobian, no_grad, saved_tensors_hooks, set_grad_enabled, vhp, vjp,
};
pub use cell::TensorCell;
pub use compile::{Compiled, Outputs, compile};
pub use control::{
    Randomness, VmapOptions, checkpoint, cond, jvp, scan, vmap, vmap_with, while_loop,
};
pub use device::{Device, DeviceGuard, MemoryStats, device_count};
pub use element::Element;
pub use engine::{
    CacheStats, Compilation, Options, cache_stats, detect_anomaly, last_compilation, options,
    set_options,
};
pub use error::{Error, ErrorKind, OperandNote, Result};
pub use export::{Demo, Exported, Spec, SpecSize, export};
pub use files::{load_tensors, save_tensors};
pub use half::{bf16, f16};
pub use inspect::{Program, Stage, dump, dump_text, explain};
pub use lazulite_codegen::Level;
pub use lazulite_ir::DType;
pub use lazulite_passes::Numerics;
pub use lazulite_runtime::files::NamedFile;
pub use location::{Place, Scope};
pub use nested::Nested;
pub use num_complex::Complex;
pub use ops::{
    AttentionOptions, BagMode, BagOptions, ClassOptions, ConvOptions, ElementFn, EmbeddingOptions,
    FftNOptions, FftNorm, FftOptions, Generator, HeadWeights, Index, Interpolation, IntoAxes,
    IntoIndices, IstftOptions, Lstsq, LstsqDriver, MatrixNorm, Outside, PadMode, Padding,
    PoolOptions, QrMode, Reduction, ResampleMode, RunningStats, ScatterReduce, Spacing,
    StftOptions, Tolerance, TripletOptions, Unique, Window, manual_seed, strided,
};
pub use ops::{GeneratorState, fork_rng};
pub use tensor::{Argument, Dim, IntoDims, IntoList, Number, PerAxis, Tensor, realize_all};

/// What most programs need.
pub mod prelude {
    pub use crate::nn::{Layer, Module};
    pub use crate::{
        Complex, DType, Dim, ElementFn, Error, Generator, Index, Result, Tensor, TensorCell, bf16,
        compile, f16, manual_seed, no_grad, realize_all, strided,
    };
}

/// The examples of the page on looking inside are tested like any other.
#[cfg(doctest)]
#[doc = include_str!("../docs/inspection.md")]
struct Inspection;

/// So are those on training.
#[cfg(doctest)]
#[doc = include_str!("../docs/training.md")]
struct Training;

/// Those on executables.
#[cfg(doctest)]
#[doc = include_str!("../docs/aot.md")]
struct Aot;

/// Those for who comes from PyTorch.
#[cfg(doctest)]
#[doc = include_str!("../docs/pytorch.md")]
struct Pytorch;

/// The example in the README is tested like any other.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
