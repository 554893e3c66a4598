//! Steps that are not kernels: matrix products, sorts, foreign functions, copies.

use super::{Run, byte_len};
use crate::element::{Element, with_element};
use crate::interp::call_foreign;
use crate::kernel::eval::{eval_dim, eval_dims, malformed, read};
use crate::{
    Array, BufferId, Bytes, ContractStep, Custom, DType, Dim, EvalError, FaultRecord, PANEL,
    RightLayout, Scalar, SizeOf, TensorType,
};
use std::cell::Cell;
use std::cmp::Ordering;

/// Rows and columns of the tiles after which an epilogue is called. The columns divide no panel, so
/// that nothing can rely on a tile being one.
const TILE: [i64; 2] = [3, 24];

/// A sum of products.
fn dot(factors: &[(i64, i64)]) -> Result<i64, EvalError> {
    let sum = factors
        .iter()
        .try_fold(0i64, |sum, (a, b)| sum.checked_add(a.checked_mul(*b)?));
    sum.ok_or(EvalError::Index)
}

/// Where the elements of a right operand lie, with sizes known.
enum Layout {
    Panels {
        batch: i64,
        depth: i64,
        group: i64,
    },
    Placed {
        offset: i64,
        batch: i64,
        rows: Digits,
        columns: Digits,
    },
}

/// Extents and strides.
type Digits = Vec<(i64, i64)>;

impl Layout {
    fn of(c: &ContractStep, depth: i64, sizes: SizeOf<'_>) -> Result<Layout, EvalError> {
        let digits = |digits: &[[Dim; 2]]| -> Result<Digits, EvalError> {
            let each = digits.iter();
            each.map(|[extent, stride]| Ok((eval_dim(extent, sizes)?, eval_dim(stride, sizes)?)))
                .collect()
        };
        Ok(match &c.rhs_layout {
            RightLayout::Panels { batch, group, .. } => Layout::Panels {
                batch: eval_dim(batch, sizes)?,
                depth,
                group: *group,
            },
            RightLayout::Placed(p) => Layout::Placed {
                offset: eval_dim(&p.offset, sizes)?,
                batch: eval_dim(&p.batch, sizes)?,
                rows: digits(&p.rows)?,
                columns: digits(&p.columns)?,
            },
        })
    }

    /// The number of element (b, k, n).
    fn at(&self, b: i64, k: i64, n: i64) -> Result<i64, EvalError> {
        match self {
            Layout::Panels {
                batch,
                depth,
                group,
            } => {
                let row = PANEL * group;
                let groups = depth / group + i64::from(depth % group != 0);
                let panel = row.checked_mul(groups).ok_or(EvalError::Index)?;
                let (first, at) = (k / group, k % group);
                let place = [(first, row), (n % PANEL, *group), (1, at)];
                dot(&[(b, *batch), (n / PANEL, panel), (1, dot(&place)?)])
            }
            Layout::Placed {
                offset,
                batch,
                rows,
                columns,
            } => {
                let (row, column) = (along(rows, k)?, along(columns, n)?);
                dot(&[(1, *offset), (b, *batch), (1, row), (1, column)])
            }
        }
    }
}

/// The offset of a number with these digits, the last one changing fastest.
fn along(digits: &[(i64, i64)], mut number: i64) -> Result<i64, EvalError> {
    let mut offset = 0i64;
    for (extent, stride) in digits.iter().rev() {
        let digit = number.checked_rem(*extent).ok_or(EvalError::Index)?;
        number /= extent;
        offset = dot(&[(1, offset), (digit, *stride)])?;
    }
    match number {
        0 => Ok(offset),
        _ => Err(EvalError::Index),
    }
}

/// Copies bytes into memory of the same length or more.
pub(super) fn write(memory: Bytes<'_>, bytes: &[u8]) {
    for (cell, byte) in memory.iter().zip(bytes) {
        cell.set(*byte);
    }
}

fn to_vec(memory: Bytes<'_>) -> Vec<u8> {
    memory.iter().map(Cell::get).collect()
}

/// A buffer read and written by element number.
struct Elements<'a> {
    memory: Bytes<'a>,
    dtype: DType,
    buffer: BufferId,
}

impl Elements<'_> {
    fn position(&self, index: i64) -> Result<usize, EvalError> {
        let len = self.memory.len() / self.dtype.size();
        match usize::try_from(index) {
            Ok(i) if i < len => Ok(i * self.dtype.size()),
            _ => Err(EvalError::OutOfBounds {
                memory: format!("buffer {}", self.buffer.0),
                index,
                len,
            }),
        }
    }

    fn get(&self, index: i64) -> Result<Scalar, EvalError> {
        Ok(read(self.memory, self.dtype, self.position(index)?))
    }

    fn set(&self, index: i64, value: Scalar) -> Result<(), EvalError> {
        let at = self.position(index)?;
        let bytes = value.bits().to_le_bytes();
        write(&self.memory[at..], &bytes[..self.dtype.size()]);
        Ok(())
    }
}

impl Run<'_> {
    fn elements(&self, buffer: BufferId, dtype: DType) -> Result<Elements<'_>, EvalError> {
        let declared = self.plan.buffers.get(buffer.0 as usize).map(|b| b.dtype);
        if declared != Some(dtype) {
            return malformed(format!("buffer {} is not of {dtype}", buffer.0));
        }
        Ok(Elements {
            memory: self.memory.bytes(buffer)?,
            dtype,
            buffer,
        })
    }

    /// Tile by tile, in any order: the sums, then the epilogue on them.
    pub(super) fn contract(&mut self, c: &ContractStep) -> Result<(), EvalError> {
        let dims = eval_dims(&c.dims, self.sizes)?;
        let Ok(dims @ [batches, rows, columns, _]) = <[i64; 4]>::try_from(dims) else {
            return malformed("a contraction has four extents".into());
        };
        let tiles = |extent: i64, tile: i64| extent / tile + i64::from(extent % tile != 0);
        let (down, across) = (tiles(rows, TILE[0]), tiles(columns, TILE[1]));
        let count = batches
            .checked_mul(down)
            .and_then(|c| c.checked_mul(across));
        for tile in self.order.visit(count.ok_or(EvalError::Index)?) {
            let part = |number: i64, tile: i64, extent: i64| {
                let start = number * tile;
                (start, start + tile.min(extent - start))
            };
            let batch = tile / across / down;
            let bounds = [
                (batch, batch + 1),
                part(tile / across % down, TILE[0], rows),
                part(tile % across, TILE[1], columns),
            ];
            self.contract_tile(c, &dims, bounds)?;
            if let Some(epilogue) = &c.epilogue {
                self.kernel(epilogue, Some(&bounds))?;
            }
        }
        Ok(())
    }

    fn contract_tile(
        &self,
        c: &ContractStep,
        dims: &[i64; 4],
        [(b, _), rows, columns]: [(i64, i64); 3],
    ) -> Result<(), EvalError> {
        let lhs = self.elements(c.lhs, c.factors[0])?;
        let rhs = self.elements(c.rhs, c.factors[1])?;
        let product = self.elements(c.product, c.dtype)?;
        let mut strides = [0; 4];
        for (stride, dim) in strides.iter_mut().zip(&c.lhs_strides) {
            *stride = eval_dim(dim, self.sizes)?;
        }
        let [offset, along_b, along_m, along_k] = strides;
        let [_, all_rows, all_columns, depth] = *dims;
        let layout = Layout::of(c, depth, self.sizes)?;
        for m in rows.0..rows.1 {
            for n in columns.0..columns.1 {
                let mut sum = Sum::new(c.dtype)?;
                for k in 0..depth {
                    let left = [(1, offset), (b, along_b), (m, along_m), (k, along_k)];
                    sum.add(lhs.get(dot(&left)?)?, rhs.get(layout.at(b, k, n)?)?);
                }
                let row = dot(&[(b, all_rows), (1, m)])?;
                product.set(dot(&[(row, all_columns), (1, n)])?, sum.round(c.dtype))?;
            }
        }
        Ok(())
    }

    pub(super) fn sort(
        &mut self,
        inputs: &[BufferId],
        outputs: &[BufferId],
        dims: &[Dim; 3],
        descending: bool,
    ) -> Result<(), EvalError> {
        let dims = eval_dims(dims, self.sizes)?;
        let [outer, axis, inner] = dims[..] else {
            return malformed("a sort has three extents".into());
        };
        let Some(&keys) = inputs.first().filter(|_| inputs.len() == outputs.len()) else {
            return malformed("a sort has as many operands as results, and at least one".into());
        };
        let keys = self.column(keys)?;
        let columns = inputs.iter().map(|&i| self.column(i));
        // Read before anything is written: results may lie over operands.
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
            let element = |a: i64| dot(&[(dot(&[(o, axis), (1, a)])?, inner), (1, i)]);
            let mut order = (0..axis)
                .map(|a| Ok((element(a)?, pick(&keys, element(a)?)?)))
                .collect::<Result<Vec<_>, EvalError>>()?;
            order.sort_by(|(_, a), (_, b)| {
                let order = compare(*a, *b);
                if descending { order.reverse() } else { order }
            });
            for (column, &output) in columns.iter().zip(outputs) {
                for (a, &(from, _)) in order.iter().enumerate() {
                    let value = pick(column, from)?;
                    let output = self.elements(output, value.dtype())?;
                    output.set(element(a as i64)?, value)?;
                }
            }
        }
        Ok(())
    }

    /// All elements of a buffer.
    fn column(&self, buffer: BufferId) -> Result<Vec<Scalar>, EvalError> {
        let Some(b) = self.plan.buffers.get(buffer.0 as usize) else {
            return malformed(format!("there is no buffer {}", buffer.0));
        };
        let memory = self.memory.bytes(buffer)?;
        let starts = (0..memory.len()).step_by(b.dtype.size());
        Ok(starts.map(|at| read(memory, b.dtype, at)).collect())
    }

    pub(super) fn custom(
        &mut self,
        target: &Custom,
        inputs: &[(BufferId, TensorType)],
        outputs: &[(BufferId, TensorType)],
        fault: u32,
    ) -> Result<(), EvalError> {
        let operands: Vec<Array> = inputs
            .iter()
            .map(|(buffer, ty)| self.array(*buffer, ty))
            .collect::<Result<_, _>>()?;
        // Results start out as whatever their memory holds.
        let mut results: Vec<Array> = outputs
            .iter()
            .map(|(buffer, ty)| self.array(*buffer, ty))
            .collect::<Result<_, _>>()?;
        let operands: Vec<&Array> = operands.iter().collect();
        let Some(outcome) = call_foreign(target, self.foreign, &operands, &mut results) else {
            return malformed(format!("there is no foreign function {}", target.name()));
        };
        if let Err(message) = outcome {
            let record = FaultRecord {
                fault,
                value: 0,
                bound: 0,
            };
            self.fault(record, &message);
        }
        for ((buffer, _), result) in outputs.iter().zip(&results) {
            write(self.memory.bytes(*buffer)?, &result.bytes);
        }
        Ok(())
    }

    /// The elements of a dense tensor.
    fn array(&self, buffer: BufferId, ty: &TensorType) -> Result<Array, EvalError> {
        let (dims, len) = byte_len(ty.dtype, &ty.dims, self.sizes)?;
        Ok(Array {
            dtype: ty.dtype,
            dims,
            bytes: to_vec(self.exact(buffer, len)?),
        })
    }

    /// The first `len` bytes of a buffer.
    fn exact(&self, buffer: BufferId, len: usize) -> Result<Bytes<'_>, EvalError> {
        let memory = self.memory.bytes(buffer)?;
        let found = memory.get(..len);
        found.map_or_else(
            || {
                malformed(format!(
                    "buffer {} has {} bytes, {len} are used",
                    buffer.0,
                    memory.len()
                ))
            },
            Ok,
        )
    }

    pub(super) fn copy(
        &mut self,
        from: BufferId,
        to: BufferId,
        len: &Dim,
    ) -> Result<(), EvalError> {
        let dtype = |b: BufferId| self.plan.buffers.get(b.0 as usize).map(|b| b.dtype);
        let (Some(source), Some(target)) = (dtype(from), dtype(to)) else {
            return malformed("a copy of a buffer that does not exist".into());
        };
        if source != target {
            return malformed(format!("{source} is copied as {target}"));
        }
        let (_, len) = byte_len(source, std::slice::from_ref(len), self.sizes)?;
        let bytes = to_vec(self.exact(from, len)?);
        write(self.exact(to, len)?, &bytes);
        Ok(())
    }
}

fn pick(column: &[Scalar], index: i64) -> Result<Scalar, EvalError> {
    let found = usize::try_from(index).ok().and_then(|i| column.get(i));
    found.copied().ok_or(EvalError::Index)
}

/// The order of Sort.
fn compare(a: Scalar, b: Scalar) -> Ordering {
    with_element!(a.dtype(), T => T::from_scalar(a).order(T::from_scalar(b)))
}

/// A sum of products: f64 for floats, wrapping for integers.
enum Sum {
    Float(f64),
    Int(i64),
}

impl Sum {
    fn new(dtype: DType) -> Result<Sum, EvalError> {
        match dtype {
            DType::F32 | DType::F64 => Ok(Sum::Float(0.0)),
            DType::I32 | DType::I64 => Ok(Sum::Int(0)),
            other => malformed(format!("products of {other} are not contracted")),
        }
    }

    fn add(&mut self, a: Scalar, b: Scalar) {
        match self {
            Sum::Float(sum) => *sum += a.as_f64() * b.as_f64(),
            Sum::Int(sum) => *sum = sum.wrapping_add(a.as_i64().wrapping_mul(b.as_i64())),
        }
    }

    fn round(self, dtype: DType) -> Scalar {
        match self {
            Sum::Float(sum) => Scalar::from_f64(dtype, sum),
            Sum::Int(sum) => Scalar::from_i64(dtype, sum),
        }
    }
}
