//! The state of writing one kernel.

use super::shape::{Shape, THREADS, declaration};
use super::{CudaKernel, Launch, ctype, scalar};
use crate::CodegenError;
use lazulite_ir::{
    Access, Binary, Combine, DType, Dim, InstOp, Kernel, Predicate, Ranges, Unary, ValueId, Var,
};
use std::collections::BTreeMap;
use std::fmt::Write;

pub(super) type Result<T> = std::result::Result<T, CodegenError>;

/// Parameters of a kernel at most: they take eight bytes each, and there are four thousand.
const MOST_PARAMETERS: usize = 500;

/// Writes one kernel.
pub(super) struct Emitter<'k> {
    pub kernel: &'k Kernel,
    pub shape: Shape,
    /// Number of the stage being written.
    pub stage: usize,
    /// Whether points of the stage being written are visited in order, so that running values are seen.
    pub running: bool,
    /// Whether these points are shared by threads, of which those that are not `live` have none.
    pub shared_scan: bool,
    /// The loop whose points are computed in a pack just now.
    pub packed: Option<Var>,
    /// Per buffer, whether its element at a point is the value `given` there (epilogues of products).
    pub given: Vec<bool>,
    text: String,
    depth: usize,
    functions: BTreeMap<String, String>,
    sizes: Vec<Dim>,
}

impl<'k> Emitter<'k> {
    pub fn new(kernel: &'k Kernel, shape: Shape) -> Emitter<'k> {
        Emitter {
            kernel,
            shape,
            stage: 0,
            running: false,
            shared_scan: false,
            packed: None,
            given: Vec::new(),
            text: String::new(),
            depth: 1,
            functions: BTreeMap::new(),
            sizes: Vec::new(),
        }
    }

    /// The whole function.
    pub fn kernel(mut self, name: &str) -> Result<CudaKernel> {
        self.points()?;
        let scratch = self.scratch_bytes()?;
        self.finish(name, &[], scratch)
    }

    /// What has been written as a function whose parameters are `operands`, then those of the kernel.
    pub fn finish(self, name: &str, operands: &[String], scratch: Dim) -> Result<CudaKernel> {
        let buffers = self.kernel.buffers.iter().enumerate().map(|(i, b)| {
            let constant = match b.access {
                Access::Read => "const ",
                Access::Write | Access::ReadWrite => "",
            };
            format!("{constant}{} *b{i}", ctype::memory(b.dtype))
        });
        let sizes = (0..self.sizes.len()).map(|i| format!("i64 s{i}"));
        let rest = ["u8 *scratch".to_owned(), "Status *status".to_owned()];
        let buffers: Vec<String> = operands.iter().cloned().chain(buffers).collect();
        let pointers = buffers.len();
        let parameters: Vec<String> = buffers.into_iter().chain(sizes).chain(rest).collect();
        if parameters.len() > MOST_PARAMETERS {
            return Err(CodegenError::Unsupported(format!(
                "a kernel with {} parameters on a GPU, which takes {MOST_PARAMETERS}",
                parameters.len()
            )));
        }
        let head = declaration(self.shape.resident);
        let parameters = parameters.join(", ");
        Ok(CudaKernel {
            text: format!("{head}{name}({parameters}) {{\n{}}}\n", self.text),
            functions: self.functions,
            launches: vec![Launch {
                name: name.to_owned(),
                buffers: 0..pointers,
                sizes: self.sizes,
                threads: THREADS,
                blocks: self.shape.blocks,
            }],
            scratch,
        })
    }

    /// Writes a line.
    pub fn line(&mut self, line: impl AsRef<str>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:2$}{}", "", line.as_ref(), self.depth * 2);
    }

    /// Writes what opens a block.
    pub fn open(&mut self, head: impl AsRef<str>) {
        let head = head.as_ref();
        let space = if head.is_empty() { "" } else { " " };
        self.line(format!("{head}{space}{{"));
        self.depth += 1;
    }

    /// Closes the innermost block.
    pub fn close(&mut self) {
        self.depth -= 1;
        self.line("}");
    }

    /// The number of the parameter that holds a size.
    pub fn size_number(&mut self, dim: &Dim) -> usize {
        match self.sizes.iter().position(|d| d == dim) {
            Some(number) => number,
            None => {
                self.sizes.push(dim.clone());
                self.sizes.len() - 1
            }
        }
    }

    /// Extents of the loops around the present place.
    pub fn ranges(&self) -> Ranges<'k> {
        Ranges {
            outer: &self.kernel.outer,
            inner: match self.kernel.stages.get(self.stage) {
                Some(stage) => &stage.ranges,
                None => &[],
            },
        }
    }

    /// The element type of a value.
    pub fn dtype(&self, v: ValueId) -> Result<DType> {
        let known = self.kernel.values.get(v.0 as usize).copied();
        known.ok_or_else(|| CodegenError::Malformed(format!("value {} is not declared", v.0)))
    }

    /// The name of a function of elements, which is written if it is new. `op` is over values 0, 1, ...
    fn function(&mut self, name: String, of: &[DType], to: DType, op: InstOp) -> Result<String> {
        let name = format!("lz_{name}");
        if !self.functions.contains_key(&name) {
            let text = scalar::function(&name, of, to, op)?;
            self.functions.insert(name.clone(), text);
        }
        Ok(name)
    }

    /// Has `text` stand before the kernel under a name.
    pub fn library(&mut self, name: &str, text: &str) {
        self.functions.insert(name.to_owned(), text.to_owned());
    }

    pub fn unary(&mut self, f: Unary, dtype: DType) -> Result<String> {
        let op = InstOp::Unary(f, ValueId(0));
        self.function(format!("{f}_{dtype}"), &[dtype], dtype, op)
    }

    pub fn binary(&mut self, f: Binary, dtype: DType) -> Result<String> {
        let op = InstOp::Binary(f, ValueId(0), ValueId(1));
        self.function(format!("{f}_{dtype}"), &[dtype; 2], dtype, op)
    }

    pub fn compare(&mut self, f: Predicate, dtype: DType) -> Result<String> {
        let op = InstOp::Compare(f, ValueId(0), ValueId(1));
        self.function(format!("{f}_{dtype}"), &[dtype; 2], DType::Bool, op)
    }

    pub fn cast(&mut self, from: DType, to: DType) -> Result<String> {
        let op = InstOp::Cast(ValueId(0));
        self.function(format!("cast_{from}_{to}"), &[from], to, op)
    }

    pub fn bitcast(&mut self, from: DType, to: DType) -> Result<String> {
        let op = InstOp::Bitcast(ValueId(0));
        self.function(format!("bitcast_{from}_{to}"), &[from], to, op)
    }

    pub fn random(&mut self, to: DType) -> Result<String> {
        let op = InstOp::Random {
            seed: ValueId(0),
            stream: ValueId(1),
            element: ValueId(2),
        };
        let of = [DType::U64, DType::U64, DType::I64];
        self.function(format!("random_{to}"), &of, to, op)
    }

    /// The function that a combination repeats.
    pub fn combine(&mut self, kind: Combine, dtype: DType) -> Result<String> {
        self.binary(
            match kind {
                Combine::Sum => Binary::Add,
                Combine::Prod => Binary::Mul,
                Combine::Max => Binary::Max,
                Combine::Min => Binary::Min,
            },
            dtype,
        )
    }

    /// The same as a class that joins take.
    pub fn combining_class(&mut self, kind: Combine, dtype: DType) -> Result<String> {
        let function = self.combine(kind, dtype)?;
        let (name, ty) = (format!("{function}_of"), ctype::held(dtype));
        let text = format!(
            "struct {name} {{ LZ_FUNCTION {ty} of({ty} a, {ty} b) {{ return {function}(a, b); }} }};\n"
        );
        // Behind the function that it calls, in the order of names.
        self.functions.insert(name.clone(), text);
        Ok(name)
    }
}
