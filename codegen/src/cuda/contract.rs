//! Matrix products: blocks of 256 threads over tiles, panels of both operands in shared memory, and the epilogue on each
//! sum before it goes to memory. Here are tiles of 64 by 64 with panels of 16 steps, which any type has; half floats
//! have tensor cores ([`super::tensor`]).

use super::emit::{Emitter, Result};
use super::index::variable_type;
use super::shape::{FEW_RESIDENT, Locals, Shape, Team};
use super::tensor::Tensor;
use super::{CudaKernel, Launch, ctype, emit, verified};
use crate::CodegenError;
use lazulite_ir::{
    ContractStep, DType, Dim, IndexExpr, InstOp, Kernel, Lanes, PANEL, Ranges, RightLayout, Var,
};

/// Rows and columns of a tile; a panel of the packed operand is as wide.
const TILE: i64 = PANEL;
/// Tiles of a launch at most; blocks take turns.
const MOST_BLOCKS: i64 = 1 << 16;

/// What becomes of the sums of a product.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// The kernel over `[b, m, n]`.
    pub kernel: &'a Kernel,
    /// Per buffer parameter, whether it is the product.
    pub product: &'a [bool],
}

/// Writes a product as functions whose names begin with `name`. The buffers are the left operand, the right operand and
/// the product, then the epilogue's own. Where the epilogue takes only the sum of its point it is part of the
/// product's function, and the product is only written if `keep` says so; else it is launched behind it.
///
/// # Errors
/// When size arithmetic overflows, or something breaks a rule of its verifier.
pub fn emit_contract(
    step: &ContractStep,
    epilogue: Option<Epilogue<'_>>,
    keep: bool,
    name: &str,
) -> Result<CudaKernel> {
    let fused = match epilogue {
        Some(e) => {
            verified(e.kernel)?;
            takes_only_its_sum(step, e)?
        }
        None => true,
    };
    let nothing = nothing();
    let part = match epilogue {
        Some(e) if fused => e,
        _ => Epilogue {
            kernel: &nothing,
            product: &[],
        },
    };
    let keep = keep || epilogue.is_none() || !fused;
    let mut kernel = product(step, part, keep, name)?;
    if let (Some(e), false) = (epilogue, fused) {
        let behind = emit(e.kernel, &format!("{name}_epilogue"))?;
        kernel.text += &behind.text;
        kernel.functions.extend(behind.functions);
        let first = 3;
        kernel
            .launches
            .extend(behind.launches.into_iter().map(|l| Launch {
                buffers: first + l.buffers.start..first + l.buffers.end,
                ..l
            }));
        kernel.scratch = kernel.scratch.maximum(&behind.scratch);
    }
    Ok(kernel)
}

/// A kernel that does nothing.
fn nothing() -> Kernel {
    Kernel {
        buffers: Vec::new(),
        outer: Vec::new(),
        lanes: Lanes::None,
        locals: Vec::new(),
        values: Vec::new(),
        stages: Vec::new(),
    }
}

/// Whether the epilogue is one point after the other and reads no other sum than that of its point.
fn takes_only_its_sum(step: &ContractStep, e: Epilogue<'_>) -> Result<bool> {
    let [_, m, n, _] = &step.dims;
    let kernel = e.kernel;
    let var = |i| IndexExpr::var(Var::Outer(i));
    let ranges = Ranges {
        outer: &kernel.outer,
        inner: &[],
    };
    let own = var(0).scale(&m.mul(n)?)?;
    let own = own.add(&var(1).scale(n)?)?.add(&var(2))?.simplify(ranges)?;
    let flat = kernel.locals.is_empty() && kernel.stages.iter().all(|s| s.ranges.is_empty());
    let mut fits = flat && kernel.outer.len() == 3;
    for inst in kernel.stages.iter().flat_map(|s| &s.insts) {
        let (buffer, index, store) = match &inst.op {
            InstOp::Load { buffer, index, .. } => (buffer, index, false),
            InstOp::Store { buffer, index, .. } => (buffer, index, true),
            _ => continue,
        };
        if e.product.get(buffer.0 as usize) == Some(&true) {
            fits &= !store && index.simplify(ranges)? == own;
        }
    }
    Ok(fits)
}

/// The function of the product.
fn product(step: &ContractStep, e: Epilogue<'_>, keep: bool, name: &str) -> Result<CudaKernel> {
    let [b, m, n, _] = &step.dims;
    let tensor = Tensor::of(step)?;
    let tile = tensor.as_ref().map_or(TILE, |t| t.tile);
    let tiles = |extent: &Dim| -> Result<Dim> {
        let whole = extent.add(&Dim::constant(tile - 1))?;
        Ok(whole.floor_div(&Dim::constant(tile))?)
    };
    let all = b.mul(&tiles(m)?)?.mul(&tiles(n)?)?;
    let wide = tensor.is_some() && e.kernel.values.contains(&DType::F64);
    let shape = Shape {
        team: Team::One,
        locals: Locals::Private,
        pack: 1,
        blocks: all.minimum(&Dim::constant(MOST_BLOCKS)),
        // Sums of a tensor tile take 64 registers of each thread, and functions of f64 as many as there are left.
        resident: if wide { 1 } else { FEW_RESIDENT },
    };
    let mut emitter = Emitter::new(e.kernel, shape);
    emitter.given = e.product.to_vec();
    let tiles = [tiles(m)?, tiles(n)?, all];
    match tensor {
        Some(tensor) => {
            emitter.tensor_memory(&tensor);
            emitter.all_tiles(tile, &tiles, |e| e.tensor_tile(step, keep))?;
        }
        None => {
            let ty = sum_type(step.dtype)?;
            emitter.line(format!("LZ_SHARED {ty} left[16][65];"));
            emitter.line(format!("LZ_SHARED {ty} right[16][64];"));
            emitter.line("const u32 x = lz_thread() % 16u, y = lz_thread() / 16u;");
            emitter.all_tiles(tile, &tiles, |e| e.plain_tile(step, keep, ty))?;
        }
    }
    let [left, right] = step.factors.map(ctype::memory);
    let operands = [
        format!("const {left} *lhs"),
        format!("const {right} *rhs"),
        format!("{} *product", ctype::memory(step.dtype)),
    ];
    emitter.finish(name, &operands, Dim::ZERO)
}

/// What sums are formed in, where there are no tensor cores for them.
fn sum_type(dtype: DType) -> Result<&'static str> {
    match dtype {
        DType::F32 => Ok("float"),
        DType::F64 => Ok("double"),
        DType::I32 => Ok("u32"),
        DType::I64 => Ok("u64"),
        other => Err(CodegenError::Malformed(format!("a product of {other}"))),
    }
}

impl Emitter<'_> {
    /// All tiles, in turns: `body` writes what is done with the one at `entry`, `row` and `column`.
    fn all_tiles(
        &mut self,
        tile: i64,
        [rows, columns, all]: &[Dim; 3],
        body: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let (rows, columns, all) = (self.dim(rows), self.dim(columns), self.dim(all));
        self.open(format!(
            "for (i64 tile = lz_block(); tile < {all}; tile += lz_blocks())"
        ));
        self.line(format!("const i64 column = tile % {columns} * {tile};"));
        self.line(format!(
            "const i64 row = tile / {columns} % {rows} * {tile};"
        ));
        self.line(format!("const i64 entry = tile / {columns} / {rows};"));
        body(self)?;
        self.close();
        Ok(())
    }

    /// A tile of any type.
    fn plain_tile(&mut self, step: &ContractStep, keep: bool, ty: &str) -> Result<()> {
        self.line(format!("{ty} sum[4][4] = {{}};"));
        self.sums(step)?;
        self.line("#pragma unroll");
        self.open("for (int i = 0; i < 4; ++i)");
        self.line("#pragma unroll");
        self.open("for (int j = 0; j < 4; ++j)");
        self.line("const i64 r = row + y * 4u + i, c = column + x + 16u * j;");
        self.point(step, keep, "sum[i][j]")?;
        self.close();
        self.close();
        Ok(())
    }

    /// The sums of a tile, four by four in each thread.
    fn sums(&mut self, step: &ContractStep) -> Result<()> {
        let [_, m, n, k] = &step.dims;
        let [offset, along_b, along_m, along_k] = &step.lhs_strides;
        let (m, n, k) = (self.dim(m), self.dim(n), self.dim(k));
        let (offset, along_b) = (self.dim(offset), self.dim(along_b));
        let (along_m, along_k) = (self.dim(along_m), self.dim(along_k));
        let right = self.right_element(step, &k, "(column + c)");
        self.open(format!("for (i64 at = 0; at < {k}; at += 16)"));
        self.line("#pragma unroll");
        self.open("for (u32 i = lz_thread(); i < 1024u; i += 256u)");
        self.line("const i64 r = row + i / 16u, s = at + i % 16u;");
        self.line(format!("left[i % 16u][i / 16u] = r < {m} && s < {k} ? lhs[{offset} + entry * {along_b} + r * {along_m} + s * {along_k}] : 0;"));
        self.close();
        self.line("#pragma unroll");
        self.open("for (u32 i = lz_thread(); i < 1024u; i += 256u)");
        self.line("const i64 s = at + i / 64u, c = i % 64u;");
        self.line(format!(
            "right[i / 64u][i % 64u] = s < {k} && column + c < {n} ? rhs[{right}] : 0;"
        ));
        self.close();
        self.line("lz_block_barrier();");
        self.line("#pragma unroll");
        self.open("for (int s = 0; s < 16; ++s)");
        self.line("#pragma unroll");
        self.open("for (int i = 0; i < 4; ++i)");
        self.line("#pragma unroll");
        let (a, b) = ("left[s][y * 4u + i]", "right[s][x + 16u * j]");
        let next = match step.dtype.is_float() {
            true => format!("lz_fma({a}, {b}, sum[i][j])"),
            false => format!("sum[i][j] + {a} * {b}"),
        };
        self.line(format!("for (int j = 0; j < 4; ++j) sum[i][j] = {next};"));
        self.close();
        self.close();
        self.line("lz_block_barrier();");
        self.close();
        Ok(())
    }

    /// Where element `s`, `column` of the right operand's entry lies, which has `k` rows.
    pub(super) fn right_element(&mut self, step: &ContractStep, k: &str, column: &str) -> String {
        match &step.rhs_layout {
            // Those of tensor cores and of factors as wide as their sums are no groups.
            RightLayout::Panels { batch, .. } => {
                let batch = self.dim(batch);
                let panel = format!("{column} / {PANEL} * {PANEL} * {k}");
                format!("entry * {batch} + {panel} + s * {PANEL} + {column} % {PANEL}")
            }
            RightLayout::Placed(placement) => {
                let (offset, along_b) = (self.dim(&placement.offset), self.dim(&placement.batch));
                let row = self.digits("s", &placement.rows);
                let column = self.digits(column, &placement.columns);
                format!("{offset} + entry * {along_b}{row}{column}")
            }
        }
    }

    /// What a number adds to an offset, whose digits have these extents and strides, the last one changing fastest.
    fn digits(&mut self, number: &str, digits: &[[Dim; 2]]) -> String {
        let (mut terms, mut rest) = (String::new(), number.to_owned());
        for (place, [extent, stride]) in digits.iter().enumerate().rev() {
            let stride = self.dim(stride);
            if place == 0 {
                terms += &format!(" + {rest} * {stride}");
            } else {
                let extent = self.dim(extent);
                terms += &format!(" + {rest} % {extent} * {stride}");
                rest += &format!(" / {extent}");
            }
        }
        terms
    }

    /// What becomes of the sum at `r` and `c`, if these are in the product.
    pub(super) fn point(&mut self, step: &ContractStep, keep: bool, sum: &str) -> Result<()> {
        let [_, m, n, _] = &step.dims;
        let (rows, columns) = (self.dim(m), self.dim(n));
        self.line(format!("if (r >= {rows} || c >= {columns}) continue;"));
        self.line(format!("const auto given = {sum};"));
        if keep {
            let ty = ctype::memory(step.dtype);
            self.line(format!(
                "product[(entry * {rows} + r) * {columns} + c] = ({ty})given;"
            ));
        }
        for (i, from) in ["entry", "r", "c"].into_iter().enumerate() {
            if let Some(extent) = self.kernel.outer.get(i) {
                let ty = variable_type(extent);
                self.line(format!("const {ty} o{i} = ({ty}){from};"));
            }
        }
        self.stages()
    }
}
