//! Runs conformance corpora against the public facade of Lazulite.
//!
//! A corpus is a folder of JSON files, one per operator, with tensors beside them in safetensors:
//! calls of PyTorch operators and what PyTorch made of them. Every call is bound to the parameters that
//! PyTorch documents, handed to the method of the facade that the dispatch table names, and the result
//! compared at the corpus's own tolerances. A call is passed, failed, or unsupported with a reason;
//! none is left out.

pub mod arguments;
pub mod call;
pub mod compare;
pub mod corpus;
pub mod coverage;
pub mod dispatch;
pub mod gradients;
pub mod modules;
pub mod optim;
pub mod random;
pub mod report;
pub mod run;
pub mod schedulers;
pub mod unique;
pub mod value;
