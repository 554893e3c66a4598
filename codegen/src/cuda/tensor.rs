//! Products of half floats on tensor cores, summed in f32: `tensor.cu` holds how a tile is computed, this how operands of
//! all layouts get into shared memory and what becomes of the sums.
//!
//! A panel keeps in shared memory whatever lies side by side in memory: steps of the sums, or rows and columns. Then it is
//! fetched in pieces of 16 bytes, asynchronously, if every such piece lies at a multiple of 16 bytes; whether it
//! does is asked once, of the strides. Everything else is read element by element.

use super::emit::{Emitter, Result};
use super::index::variable_type;
use crate::CodegenError;
use lazulite_ir::{ContractStep, DType, Dim, RightLayout};

/// What all of them are written over.
const LIBRARY: &str = include_str!("tensor.cu");
/// Rows and columns of a tile, where there are enough of them, and else.
const LARGE: i64 = 128;
const SMALL: i64 = 64;
/// Tiles that keep a device busy.
const ENOUGH_TILES: i64 = 96;
/// Elements of a piece.
const PIECE: i64 = 8;

/// How a product is computed.
pub(super) struct Tensor {
    /// Rows and columns of a tile.
    pub tile: i64,
    /// The prelude's class for the elements.
    kind: &'static str,
    left: Side,
    right: Side,
}

/// How an operand lies in memory.
struct Side {
    /// Whether steps of the sums lie side by side in its panels, rather than its rows or columns.
    along: bool,
    /// What must be multiples of a piece's elements for it to be fetched in pieces; `None` where it cannot be.
    whole: Option<Vec<Dim>>,
    /// Whether it has one stride along its rows or columns, and one along the steps.
    strided: bool,
}

impl Side {
    /// Whether there is no way in which it could be fetched in pieces.
    fn is_odd(&self) -> bool {
        let is_odd = |d: &Dim| d.as_const().is_some_and(|d| d % PIECE != 0);
        self.whole
            .as_ref()
            .is_none_or(|dims| dims.iter().any(is_odd))
    }

    fn is_simple(&self) -> bool {
        self.strided && !self.is_odd()
    }
}

impl Tensor {
    /// How tensor cores compute a product; `None` where they do not have its types.
    pub fn of(step: &ContractStep) -> Result<Option<Tensor>> {
        if let RightLayout::Panels { group, .. } = step.rhs_layout
            && group != 1
        {
            let message = format!("panels in groups of {group} on a GPU");
            return Err(CodegenError::Unsupported(message));
        }
        let kind = match (step.factors, step.dtype) {
            ([DType::F16, DType::F16], DType::F32) => "LzF16",
            ([DType::BF16, DType::BF16], DType::F32) => "LzBF16",
            (factors, sums) if factors == [sums; 2] => return Ok(None),
            ([left, right], sums) => {
                let message = format!("a product of {left} and {right} in {sums} on a GPU");
                return Err(CodegenError::Unsupported(message));
            }
        };
        let (left, right) = (left(step), right(step));
        // Where elements are read one by one, or found by divisions, that takes more time and registers than products.
        let is_simple = [&left, &right].iter().all(|side| side.is_simple());
        let tile = if is_simple { tile(&step.dims)? } else { SMALL };
        Ok(Some(Tensor {
            tile,
            kind,
            left,
            right,
        }))
    }
}

/// Large tiles read less, small ones are more.
fn tile([b, m, n, _]: &[Dim; 4]) -> Result<i64> {
    let narrow = [m, n]
        .into_iter()
        .any(|d| d.bounds().1.is_some_and(|d| d <= SMALL));
    let large = Dim::constant(LARGE);
    let tiles =
        |d: &Dim| -> Result<Dim> { Ok(d.add(&Dim::constant(LARGE - 1))?.floor_div(&large)?) };
    let all = b.mul(&tiles(m)?)?.mul(&tiles(n)?)?;
    let few = all.bounds().1.is_some_and(|all| all < ENOUGH_TILES);
    Ok(if narrow || few { SMALL } else { LARGE })
}

/// Strides that are steps from one piece to another: those along extents of more than one element.
fn taken<'a>(strides: impl IntoIterator<Item = (&'a Dim, &'a Dim)>) -> impl Iterator<Item = Dim> {
    let moves = |(extent, _): &(&Dim, &Dim)| !extent.is(1);
    strides
        .into_iter()
        .filter(moves)
        .map(|(_, stride)| stride.clone())
}

fn left(step: &ContractStep) -> Side {
    let [b, m, _, k] = &step.dims;
    let [offset, along_b, along_m, along_k] = &step.lhs_strides;
    let (along, others) = match (along_k.is(1), along_m.is(1)) {
        (true, _) => (true, Some((m, along_m))),
        (false, true) => (false, Some((k, along_k))),
        (false, false) => (true, None),
    };
    let whole = others.map(|other| {
        let strides = taken([(b, along_b), other]);
        [offset.clone()].into_iter().chain(strides).collect()
    });
    Side {
        along,
        whole,
        strided: true,
    }
}

fn right(step: &ContractStep) -> Side {
    let b = &step.dims[0];
    let placement = match &step.rhs_layout {
        RightLayout::Panels { batch, .. } => {
            return Side {
                along: false,
                whole: Some(taken([(b, batch)]).collect()),
                strided: true,
            };
        }
        RightLayout::Placed(placement) => placement,
    };
    let is_dense = |digits: &[[Dim; 2]]| digits.last().is_some_and(|[_, stride]| stride.is(1));
    let (along, dense, others) = match (is_dense(&placement.columns), is_dense(&placement.rows)) {
        (true, _) => (false, &placement.columns, &placement.rows),
        (false, true) => (true, &placement.rows, &placement.columns),
        (false, false) => {
            return Side {
                along: false,
                whole: None,
                strided: false,
            };
        }
    };
    let (last, before) = (&dense[dense.len() - 1], &dense[..dense.len() - 1]);
    let strides = before
        .iter()
        .chain(others)
        .map(|[extent, stride]| (extent, stride));
    let strides = taken(strides.chain([(b, &placement.batch)]));
    // A piece must not go on in the next run.
    let run = (!before.is_empty()).then(|| last[0].clone());
    let whole = [placement.offset.clone()]
        .into_iter()
        .chain(strides)
        .chain(run);
    Side {
        along,
        whole: Some(whole.collect()),
        strided: dense.len() <= 1 && others.len() <= 1,
    }
}

impl Emitter<'_> {
    /// What a block has before its first tile.
    pub(super) fn tensor_memory(&mut self, tensor: &Tensor) {
        self.library("lz_tensor", LIBRARY);
        let (tile, kind) = (tensor.tile, tensor.kind);
        let (left, right) = (tensor.left.along, tensor.right.along);
        self.line(format!(
            "typedef LzTensor<{kind}, {tile}, {tile}, {left}, {right}> Tile;"
        ));
        self.line("LZ_SHARED LzPiece16 shared[Tile::PIECES];");
        for (name, side) in [("lhs", &tensor.left), ("rhs", &tensor.right)] {
            let whole = self.whole(name, side);
            self.line(format!("const bool {name}_whole = {whole};"));
        }
    }

    /// Whether an operand is fetched in pieces.
    fn whole(&mut self, name: &str, side: &Side) -> String {
        let Some(dims) = side.whole.as_ref().filter(|_| !side.is_odd()) else {
            return "false".to_owned();
        };
        let mut conditions = vec![format!("(u64){name} % 16 == 0")];
        for dim in dims.iter().filter(|d| d.as_const().is_none()) {
            conditions.push(format!("{} % {PIECE} == 0", self.dim(dim)));
        }
        conditions.join(" && ")
    }

    /// A tile: its sums, then a part of them after the other through shared memory, so that neighbouring threads have
    /// neighbouring columns.
    pub(super) fn tensor_tile(&mut self, step: &ContractStep, keep: bool) -> Result<()> {
        let [_, m, n, k] = &step.dims;
        let [x, y, s] = [m, n, k].map(variable_type);
        let (m, n, k) = (self.dim(m), self.dim(n), self.dim(k));
        let [offset, along_b, along_m, along_k] = &step.lhs_strides;
        let (offset, along_b) = (self.dim(offset), self.dim(along_b));
        let (along_m, along_k) = (self.dim(along_m), self.dim(along_k));
        let left = format!("{offset} + entry * {along_b} + x * {along_m} + s * {along_k}");
        let right = self.right_element(step, &k, "x");
        self.line(format!(
            "const auto left = [&]({x} x, {s} s) {{ return lhs + ({left}); }};"
        ));
        self.line(format!(
            "const auto right = [&]({y} x, {s} s) {{ return rhs + ({right}); }};"
        ));
        self.line("Tile::Sums sum = {};");
        self.line(format!(
            "Tile::add(sum, shared, left, lhs_whole, right, rhs_whole, ({x})row, ({x}){m}, ({y})column, ({y}){n}, ({s}){k});"
        ));
        self.open("for (int part = 0; part < Tile::DOWN; ++part)");
        self.line("Tile::lay(sum, shared, part);");
        self.line("lz_block_barrier();");
        self.open("for (u32 i = lz_thread(); i < Tile::PART; i += 256u)");
        self.line("const i64 r = row + Tile::row(i, part), c = column + Tile::column(i);");
        self.point(step, keep, "Tile::sum_of(shared, i)")?;
        self.close();
        self.line("lz_block_barrier();");
        self.close();
        Ok(())
    }
}
