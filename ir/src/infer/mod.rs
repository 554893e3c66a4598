//! The type of each operation's result, and the conditions under which there is one.
//!
//! Sizes are compared three-valued: what is certainly wrong is an error, what depends on the
//! symbols becomes a [`Guard`]. Where two sizes must be equal the first operand's stands in the
//! result. Every type that comes out has sizes that are not negative and a number of bytes that
//! can be addressed, as far as its sizes are constants; for the others guards and the check of the
//! bound sizes see to it.

mod aggregate;
mod pointwise;
mod region;
mod view;

#[cfg(test)]
mod tests;

use crate::error::Shape;
use crate::{Arity, DType, Dim, DimOverflow, Dims, Guard, Op, Relation, TensorType, Type};
use crate::{DimOverflow as Overflow, TypeError};

type Result<T> = std::result::Result<T, TypeError>;

/// The type of `op` applied to operands of types `inputs`. Conditions on sizes that hold for some
/// values of the symbols only are added to `guards`.
pub fn infer(op: &Op, inputs: &[&Type], guards: &mut Vec<Guard>) -> Result<Type> {
    let mut cx = Context {
        op: op.mnemonic(),
        guards,
    };
    cx.check_arity(op.info().arity, inputs.len())?;
    if let Op::Get { index } = op {
        return get(*index, inputs[0]);
    }
    let tensors = cx.tensors(inputs)?;
    let ty = result_type(&mut cx, op, &tensors)?;
    match &ty {
        Type::Tensor(t) => cx.check_type(t)?,
        Type::Tuple(ts) => ts.iter().try_for_each(|t| cx.check_type(t))?,
    }
    Ok(ty)
}

/// Checks that sizes are not negative and the bytes can be addressed, as far as that can be known.
/// `op` is named in the error.
pub fn check_type(op: &'static str, ty: &TensorType) -> Result<()> {
    Context {
        op,
        guards: &mut Vec::new(),
    }
    .check_type(ty)
}

fn result_type(cx: &mut Context<'_>, op: &Op, x: &[&TensorType]) -> Result<Type> {
    let tensor = match op {
        Op::Input { ty, .. } => Ok(ty.clone()),
        Op::Const { value } => Ok(TensorType::scalar(value.dtype())),
        Op::Size { dtype, .. } => cx.numbers(*dtype, []),
        Op::Iota { len, dtype } => cx.numbers(*dtype, [len.clone()]),
        Op::Random { dims, dtype } => pointwise::random(cx, x, dims, *dtype),
        Op::Cast { dtype } => Ok(pointwise::with_dtype(x[0], *dtype)),
        Op::Bitcast { dtype } => pointwise::bitcast(cx, x[0], *dtype),
        Op::Complex {} => pointwise::complex(cx, x),
        Op::Real {} | Op::Imag {} => pointwise::part(cx, x[0]),
        Op::Unary { f } => pointwise::unary(cx, *f, x[0]),
        Op::Binary { f } => pointwise::binary(cx, *f, x),
        Op::Compare { predicate } => pointwise::compare(cx, *predicate, x),
        Op::Select {} => pointwise::select(cx, x),
        Op::Reshape { dims } => view::reshape(cx, x[0], dims),
        Op::Permute { perm } => view::permute(cx, x[0], perm),
        Op::Barrier {} => Ok(x[0].clone()),
        Op::Expand { dims } => view::expand(cx, x[0], dims),
        Op::Pad {
            low,
            high,
            interior,
        } => view::pad(cx, x, [low, high, interior]),
        Op::Slice { start, len, step } => view::slice(cx, x[0], start, len, step),
        Op::Window {
            axis,
            size,
            stride,
            dilation,
        } => view::window(cx, x[0], *axis, [size, stride, dilation]),
        Op::Reduce { kind, axes } => aggregate::reduce(cx, x[0], *kind, axes),
        Op::Contract { acc, .. } => aggregate::contract(cx, x, contracted_axes(op), *acc),
        Op::Scan { kind, axis, .. } => aggregate::scan(cx, x[0], *kind, *axis),
        Op::Fold {
            axis,
            len,
            stride,
            dilation,
        } => aggregate::fold(cx, x[0], *axis, len, [stride, dilation]),
        Op::Gather { axes } => aggregate::gather(cx, x, axes),
        Op::Scatter { axes, combine } => aggregate::scatter(cx, x, axes, *combine),
        Op::Sort { axis, .. } => return aggregate::sort(cx, x, *axis),
        Op::Call { body, .. } => return region::call(cx, x, body),
        Op::If { then, other } => return region::branch(cx, x, then, other),
        Op::While {
            carries,
            cond,
            body,
        } => return region::while_loop(cx, x, *carries, cond, body),
        Op::Loop {
            trip,
            carries,
            scanned,
            body,
        } => return region::counted_loop(cx, x, trip, [*carries, *scanned], body),
        Op::Custom { results, .. } => return Ok(Type::Tuple(results.as_slice().into())),
        Op::Get { .. } => Err(TypeError::NotATuple),
    };
    tensor.map(Type::Tensor)
}

/// Batch and summed axes, each for both operands.
fn contracted_axes(op: &Op) -> [[&[u32]; 2]; 2] {
    match op {
        Op::Contract {
            lhs_batch,
            rhs_batch,
            lhs_sum,
            rhs_sum,
            ..
        } => [[lhs_batch, rhs_batch], [lhs_sum, rhs_sum]],
        _ => [[&[]; 2]; 2],
    }
}

fn get(index: u32, operand: &Type) -> Result<Type> {
    let Type::Tuple(results) = operand else {
        return Err(TypeError::NotATuple);
    };
    let result = results.get(index as usize).cloned();
    result.map(Type::Tensor).ok_or(TypeError::NoSuchResult {
        index,
        results: results.len(),
    })
}

/// What all rules need: the operation's name for errors, and the guards found so far.
struct Context<'a> {
    op: &'static str,
    guards: &'a mut Vec<Guard>,
}

impl Context<'_> {
    fn check_arity(&self, expected: Arity, got: usize) -> Result<()> {
        let fits = match expected {
            Arity::Exactly(n) => got == n,
            Arity::AtLeast(n) => got >= n,
        };
        let op = self.op;
        fits.then_some(())
            .ok_or(TypeError::OperandCount { op, expected, got })
    }

    fn tensors<'t>(&self, inputs: &[&'t Type]) -> Result<Vec<&'t TensorType>> {
        let tensor = |(operand, ty): (usize, &&'t Type)| {
            let op = self.op;
            ty.as_tensor()
                .ok_or(TypeError::TupleOperand { op, operand })
        };
        inputs.iter().enumerate().map(tensor).collect()
    }

    /// Axes of size 0 count as 1 for the byte limit, so that strides can be addressed as well.
    fn check_type(&mut self, ty: &TensorType) -> Result<()> {
        let mut bytes = ty.dtype.size() as i64;
        for (axis, size) in ty.dims.iter().enumerate() {
            if self.is_negative(size) {
                return Err(TypeError::NegativeSize {
                    op: self.op,
                    axis,
                    size: size.clone(),
                });
            }
            let known = size.as_const().unwrap_or(1).max(1);
            bytes = bytes
                .checked_mul(known)
                .ok_or_else(|| TypeError::TooLarge {
                    op: self.op,
                    dtype: ty.dtype,
                    shape: (&*ty.dims).into(),
                })?;
        }
        Ok(())
    }

    /// True when certainly below zero; undecided sizes get a guard.
    fn is_negative(&mut self, size: &Dim) -> bool {
        match Dim::ZERO.compare_le(size) {
            Some(holds) => !holds,
            None => {
                let op = self.op;
                self.guard(Dim::ZERO, Relation::Le, size.clone(), || {
                    format!("{op}: size {size} must not be negative")
                });
                false
            }
        }
    }

    fn guard(&mut self, lhs: Dim, relation: Relation, rhs: Dim, message: impl Fn() -> String) {
        let known = |g: &Guard| g.lhs == lhs && g.relation == relation && g.rhs == rhs;
        if !self.guards.iter().any(known) {
            self.guards.push(Guard {
                message: message().into(),
                lhs,
                relation,
                rhs,
            });
        }
    }

    /// False when the dims certainly differ; undecided ones get a guard with the given message.
    fn equal(&mut self, a: &Dim, b: &Dim, message: impl Fn() -> String) -> bool {
        let decided = a.compare_eq(b);
        if decided.is_none() {
            self.guard(a.clone(), Relation::Eq, b.clone(), message);
        }
        decided != Some(false)
    }

    /// The sizes of two operands' axes must be equal.
    fn equal_axes(
        &mut self,
        x: &[&TensorType],
        operands: [usize; 2],
        axes: [usize; 2],
    ) -> Result<()> {
        let ([i, j], [a, b], op) = (operands, axes, self.op);
        let (left, right) = (&x[i].dims, &x[j].dims);
        let same = self.equal(&left[a], &right[b], || {
            format!(
                "{op}: axis {a} of operand {i} and axis {b} of operand {j} must have equal size"
            )
        });
        same.then_some(()).ok_or_else(|| TypeError::SizesDiffer {
            op,
            operands,
            axes,
            shapes: [(&**left).into(), (&**right).into()],
        })
    }

    /// Two operands must have equal dims.
    fn equal_dims(&mut self, x: &[&TensorType], i: usize, j: usize) -> Result<()> {
        if x[i].dims == x[j].dims {
            return Ok(());
        }
        if x[i].rank() != x[j].rank() {
            return Err(TypeError::RanksDiffer {
                op: self.op,
                operands: [i, j],
                shapes: [i, j].map(|k| Shape::from(&*x[k].dims)),
            });
        }
        (0..x[i].rank()).try_for_each(|a| self.equal_axes(x, [i, j], [a, a]))
    }

    /// Two operands must have the same element type.
    fn equal_dtypes(&self, x: &[&TensorType], i: usize, j: usize) -> Result<()> {
        let dtypes = [x[i].dtype, x[j].dtype];
        (dtypes[0] == dtypes[1])
            .then_some(())
            .ok_or(TypeError::DTypesDiffer {
                op: self.op,
                operands: [i, j],
                dtypes,
            })
    }

    /// Operand `operand` must have an element type for which `allowed` holds.
    fn dtype(
        &self,
        x: &[&TensorType],
        operand: usize,
        allowed: impl Fn(DType) -> bool,
        expected: &'static str,
    ) -> Result<()> {
        let got = x[operand].dtype;
        allowed(got).then_some(()).ok_or(TypeError::DType {
            op: self.op,
            operand,
            got,
            expected,
        })
    }

    /// Operand `operand` must be 0-d.
    fn scalar(&self, x: &[&TensorType], operand: usize) -> Result<()> {
        self.rank(x, operand, |rank| rank == 0, "a 0-d tensor")
    }

    fn rank(
        &self,
        x: &[&TensorType],
        operand: usize,
        allowed: impl Fn(usize) -> bool,
        expected: &'static str,
    ) -> Result<()> {
        allowed(x[operand].rank())
            .then_some(())
            .ok_or_else(|| TypeError::Rank {
                op: self.op,
                operand,
                expected,
                shape: (&*x[operand].dims).into(),
            })
    }

    /// A type whose element type is an attribute and must be an integer or real float.
    fn numbers<const N: usize>(&self, got: DType, dims: [Dim; N]) -> Result<TensorType> {
        (got != DType::Bool && !got.is_complex())
            .then(|| TensorType::new(got, dims))
            .ok_or(TypeError::AttributeDType {
                op: self.op,
                attribute: "dtype",
                got,
                expected: "an integer or real float",
            })
    }

    fn axis(&self, attribute: &'static str, axis: u32, rank: usize) -> Result<usize> {
        let index = axis as usize;
        (index < rank)
            .then_some(index)
            .ok_or(TypeError::AxisOutOfRange {
                op: self.op,
                attribute,
                axis,
                rank,
            })
    }

    /// Axes must exist, and none may occur twice.
    fn distinct_axes(&self, attribute: &'static str, axes: &[u32], rank: usize) -> Result<()> {
        let mut seen = vec![false; rank];
        for &axis in axes {
            let index = self.axis(attribute, axis, rank)?;
            if std::mem::replace(&mut seen[index], true) {
                return Err(TypeError::RepeatedAxis {
                    op: self.op,
                    attribute,
                    axis,
                });
            }
        }
        Ok(())
    }

    /// An attribute list must have one entry per axis.
    fn length(&self, attribute: &'static str, got: usize, expected: usize) -> Result<()> {
        (got == expected)
            .then_some(())
            .ok_or(TypeError::AttributeLength {
                op: self.op,
                attribute,
                expected,
                got,
            })
    }

    /// The attribute value for `axis` must be at least `least`.
    fn at_least(
        &mut self,
        attribute: &'static str,
        axis: usize,
        got: &Dim,
        (least, expected): (i64, &'static str),
    ) -> Result<()> {
        let (least, op) = (Dim::constant(least), self.op);
        match least.compare_le(got) {
            Some(true) => Ok(()),
            Some(false) => Err(TypeError::AttributeValue {
                op,
                attribute,
                axis,
                expected,
                got: got.clone(),
            }),
            None => {
                self.guard(least, Relation::Le, got.clone(), || {
                    format!("{op}: {attribute} for axis {axis} must be {expected}")
                });
                Ok(())
            }
        }
    }

    /// The result of arithmetic on sizes.
    fn size(&self, result: std::result::Result<Dim, DimOverflow>) -> Result<Dim> {
        let op = self.op;
        result.map_err(|Overflow| TypeError::SizeOverflow { op })
    }

    /// The number of elements; 0 if an axis has size 0, whatever the others are.
    fn count(&self, dims: &[Dim]) -> Result<Dim> {
        if dims.iter().any(|d| d.is(0)) {
            return Ok(Dim::ZERO);
        }
        self.size(Dim::product(dims))
    }
}

/// `dims` without the axes for which `drop` holds.
fn without(dims: &Dims, drop: impl Fn(usize) -> bool) -> impl Iterator<Item = Dim> {
    let kept = dims.iter().enumerate().filter(move |(i, _)| !drop(*i));
    kept.map(|(_, d)| d.clone())
}
