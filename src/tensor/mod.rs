//! The tensor: a handle to a recorded node, or the error that recording it met.

mod composite;
mod dims;
mod list;
mod node;
mod number;
mod record;

pub(crate) use composite::{Applied, Composite, Derivative, Pull, Push, composite};
pub(crate) use dims::size_overflow;
pub use dims::{Dim, IntoDims};
pub use list::{IntoList, PerAxis};
pub(crate) use node::{Literal, Node, Operand, Operands, Parameter, Recorded, State, Traits};
pub use number::{Argument, Number};
pub(crate) use number::{Promotion, int_range};
pub(crate) use record::{
    Broadcast, binary, binary_as, compare, constant, internal, items, primitive, primitive_many,
    promote, random_bits, record_node, select, type_error_at, unfit, with_traits,
};

use crate::device::{Places, Value};
use crate::engine;
use crate::error::{Error, ErrorKind, OperandNote, Result};
use crate::location::Place;
use lazulite_ir::{DType, Shape, TensorType};
use std::ops::RangeBounds;
use std::sync::Arc;

/// A multi-dimensional array whose value may not have been computed yet.
///
/// Cloning is cheap and shares the value. Operations never fail where they are written: a mistake
/// makes a tensor that carries the error, and it comes out as `Err` wherever a value is read.
///
/// ```
/// use lazulite::prelude::*;
/// let x = Tensor::from([1.0f32, 2.0, 3.0]);
/// let y = &x * 2.0 + 1.0;
/// assert_eq!(y.to_vec::<f32>()?, [3.0, 5.0, 7.0]);
///
/// let wrong = &x + Tensor::zeros([2]);
/// assert!(wrong.relu().check().is_err());
/// # Ok::<(), lazulite::Error>(())
/// ```
///
/// # By topic
///
/// | topic | operations |
/// | --- | --- |
/// | creation | [`from`](Tensor::from), [`from_vec`](Tensor::from_vec), [`zeros`](Tensor::zeros), [`ones`](Tensor::ones), [`full`](Tensor::full), [`iota`](Tensor::iota), [`arange`](Tensor::arange), [`linspace`](Tensor::linspace), [`eye`](Tensor::eye), [`zeros_like`](Tensor::zeros_like) |
/// | random numbers | [`rand`](Tensor::rand), [`randn`](Tensor::randn), [`randint`](Tensor::randint), [`randperm`](Tensor::randperm), [`bernoulli`](Tensor::bernoulli), [`multinomial`](Tensor::multinomial), [`dropout`](Tensor::dropout) |
/// | reading | [`item`](Tensor::item), [`to_vec`](Tensor::to_vec), [`realize`](Tensor::realize), [`check`](Tensor::check), [`save`](Tensor::save), [`equal`](Tensor::equal), [`allclose`](Tensor::allclose) |
/// | sizes and types | [`dims`](Tensor::dims), [`dim`](Tensor::dim), [`rank`](Tensor::rank), [`numel`](Tensor::numel), [`dtype`](Tensor::dtype), [`cast`](Tensor::cast) |
/// | shape | [`reshape`](Tensor::reshape), [`flatten`](Tensor::flatten), [`transpose`](Tensor::transpose), [`permute`](Tensor::permute), [`squeeze`](Tensor::squeeze), [`unsqueeze`](Tensor::unsqueeze), [`expand`](Tensor::expand), [`flip`](Tensor::flip), [`roll`](Tensor::roll), [`pad`](Tensor::pad), [`repeat`](Tensor::repeat) |
/// | joining and splitting | [`cat`](Tensor::cat), [`stack`](Tensor::stack), [`split`](Tensor::split), [`chunk`](Tensor::chunk), [`unbind`](Tensor::unbind), [`meshgrid`](Tensor::meshgrid) |
/// | indexing | [`i`](Tensor::i), [`set_item`](Tensor::set_item), [`select`](Tensor::select), [`narrow`](Tensor::narrow), [`index_select`](Tensor::index_select), [`gather`](Tensor::gather), [`scatter`](Tensor::scatter), [`take_along_dim`](Tensor::take_along_dim), [`masked_select`](Tensor::masked_select), [`masked_fill`](Tensor::masked_fill), [`where_`](Tensor::where_), [`nonzero`](Tensor::nonzero) |
/// | element by element | operators, [`exp`](Tensor::exp), [`log`](Tensor::log), [`sqrt`](Tensor::sqrt), [`pow`](Tensor::pow), [`abs`](Tensor::abs), [`clamp`](Tensor::clamp), [`round`](Tensor::round), [`maximum`](Tensor::maximum), [`lerp`](Tensor::lerp), [`map_elements`](Tensor::map_elements) |
/// | comparison | [`eq`](Tensor::eq), [`lt`](Tensor::lt), [`ge`](Tensor::ge), [`isclose`](Tensor::isclose), [`isnan`](Tensor::isnan), [`logical_and`](Tensor::logical_and) |
/// | reductions | [`sum`](Tensor::sum), [`mean`](Tensor::mean), [`var`](Tensor::var), [`std`](Tensor::std), [`max`](Tensor::max), [`max_dim`](Tensor::max_dim), [`argmax`](Tensor::argmax), [`any`](Tensor::any), [`logsumexp`](Tensor::logsumexp), [`vector_norm`](Tensor::vector_norm), [`median`](Tensor::median), [`quantile`](Tensor::quantile) |
/// | along an axis | [`cumsum`](Tensor::cumsum), [`sort`](Tensor::sort), [`topk`](Tensor::topk), [`softmax`](Tensor::softmax), [`diff`](Tensor::diff), [`unique`](Tensor::unique) |
/// | products | [`matmul`](Tensor::matmul), [`einsum`](Tensor::einsum), [`linear`](Tensor::linear), [`outer`](Tensor::outer), [`scaled_dot_product_attention`](Tensor::scaled_dot_product_attention) |
/// | linear algebra, spectra | [`solve`](Tensor::solve), [`inv`](Tensor::inv), [`svd`](Tensor::svd), [`qr`](Tensor::qr), [`cholesky`](Tensor::cholesky), [`eigh`](Tensor::eigh), [`fft`](Tensor::fft), [`stft`](Tensor::stft) |
/// | networks | [`relu`](Tensor::relu), [`gelu`](Tensor::gelu), [`sigmoid`](Tensor::sigmoid), [`conv`](Tensor::conv), [`max_pool`](Tensor::max_pool), [`layer_norm`](Tensor::layer_norm), [`embedding`](Tensor::embedding), [`one_hot`](Tensor::one_hot), and the layers of [`nn`](crate::nn) |
/// | losses | [`cross_entropy`](Tensor::cross_entropy), [`mse_loss`](Tensor::mse_loss), [`l1_loss`](Tensor::l1_loss), [`binary_cross_entropy_with_logits`](Tensor::binary_cross_entropy_with_logits), [`kl_div`](Tensor::kl_div), [`huber_loss`](Tensor::huber_loss) |
/// | gradients | [`with_grad`](Tensor::with_grad), [`backward`](Tensor::backward), [`grad`](Tensor::grad), [`detach`](Tensor::detach), [`register_hook`](Tensor::register_hook), [`no_grad`](crate::no_grad) |
///
/// Names that end in `_` rebind the handle, as `+=` does; names that end in `_with` take the options that the short
/// form leaves at PyTorch's defaults. What is called otherwise in PyTorch is found by searching for that name.
#[derive(Clone)]
pub struct Tensor(pub(crate) Result<Arc<Node>>);

impl Tensor {
    /// A tensor that only carries an error, which comes out wherever a value is asked for.
    pub fn error(error: Error) -> Tensor {
        Tensor(Err(error))
    }

    /// The same; if it carries an error that none of the operands has, the error is of operation `op`.
    pub(crate) fn named(self, op: &'static str, operands: &[&Tensor]) -> Tensor {
        match self.0 {
            Err(e) if operands.iter().all(|t| t.0.is_ok()) => Tensor(Err(e.named(op))),
            other => Tensor(other),
        }
    }

    /// A tensor over a known dense value, where that lies. A number on the processor goes anywhere.
    #[track_caller]
    pub(crate) fn leaf(ty: impl Into<Arc<TensorType>>, value: impl Into<Value>) -> Tensor {
        Tensor::leaf_at(Place::here(), ty.into(), value.into())
    }

    /// As [`Tensor::leaf`], made at `place`.
    #[inline(always)]
    pub(crate) fn leaf_at(place: Place, ty: Arc<TensorType>, value: Value) -> Tensor {
        let places = match value.device() {
            device if device.is_cpu() && ty.dims.is_empty() => Places::NONE,
            device => Places::of(device),
        };
        let traits = Traits {
            places,
            ..Traits::default()
        };
        let trail = crate::location::trail();
        Tensor(Ok(Arc::new(Node::known(ty, place, trail, traits, value))))
    }

    /// The node, or the error.
    pub(crate) fn node(&self) -> Result<&Arc<Node>> {
        self.0.as_ref().map_err(Clone::clone)
    }

    /// Type and dims as in messages, for example `f32[2, 3]`.
    pub(crate) fn describe(&self) -> String {
        match &self.0 {
            Ok(node) => format!("{}{}", node.ty.dtype, Shape::from(&*node.ty.dims)),
            Err(_) => "<error>".into(),
        }
    }

    /// This tensor as an operand in an error.
    pub(crate) fn note(&self, role: &'static str) -> OperandNote {
        OperandNote {
            role,
            ty: self.describe(),
            place: self.0.as_ref().ok().map(|n| n.place),
        }
    }

    /// `Err` if this tensor carries an error, now, without computing anything.
    pub fn check(&self) -> Result<()> {
        self.node().map(|_| ())
    }

    /// The element type; for erroneous tensors the error.
    #[doc(alias("type"))]
    pub fn dtype(&self) -> Result<DType> {
        Ok(self.node()?.ty.dtype)
    }

    /// The number of axes.
    #[doc(alias("ndim", "ndimension"))]
    pub fn rank(&self) -> Result<usize> {
        Ok(self.node()?.ty.rank())
    }

    /// The sizes of all axes, as numbers. Inside a captured function sizes may be unknown, and the
    /// error says to use [`Tensor::dim`].
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::zeros((2, 3));
    /// assert_eq!(x.dims()?, [2, 3]);
    /// assert_eq!((x.rank()?, x.numel()?, x.dim(-1).value()?), (2, 6, 3));
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("shape", "size", "sizes"))]
    #[track_caller]
    pub fn dims(&self) -> Result<Vec<usize>> {
        let node = self.node()?;
        let place = Place::here();
        let known = node.ty.const_dims().filter(|_| !engine::capturing());
        known.map(|d| d.to_vec()).ok_or_else(|| {
            let message =
                "sizes are not numbers inside a captured function: it may be replayed with others";
            let error = Error::new(ErrorKind::Capture, "dims", message).at(place);
            engine::refused(error.operand(self.note("self")).hint(
                "use x.dim(i), which has arithmetic and is accepted wherever sizes are taken",
            ))
        })
    }

    /// The sizes of some axes, as numbers, for operations whose result's form depends on them. Inside of captured
    /// functions as well, where it is an error only if a size may be another one later; what is captured holds for
    /// these sizes alone then.
    #[track_caller]
    pub(crate) fn known_sizes(&self, axes: impl RangeBounds<usize>) -> Result<Vec<usize>> {
        let node = self.node()?;
        let place = Place::here();
        let within = |axis: &usize| axes.contains(axis);
        let sizes = (0..node.ty.rank()).filter(within).map(|axis| {
            let size = node.ty.dims[axis].as_const();
            let size = size.and_then(|size| usize::try_from(size).ok());
            size.ok_or_else(|| {
                let message = format!("the size of axis {axis} must be known here");
                Error::new(ErrorKind::Capture, "dims", message)
                    .at(place)
                    .operand(self.note("self"))
                    .hint("the operation cannot be captured for all sizes of this axis")
            })
        });
        sizes.collect()
    }

    /// As [`known_sizes`](Tensor::known_sizes), of all axes.
    #[track_caller]
    pub(crate) fn known_dims(&self) -> Result<Vec<usize>> {
        self.known_sizes(..)
    }

    /// As [`known_sizes`](Tensor::known_sizes), of one axis, which must exist.
    #[track_caller]
    pub(crate) fn known_size(&self, axis: usize) -> Result<usize> {
        let missing = || internal("dims", "an axis does not exist");
        self.known_sizes(axis..=axis)?.pop().ok_or_else(missing)
    }

    /// The size of one axis (negative axes count from the end). Never fails: an error or unknown
    /// size travels in the result.
    #[doc(alias("size"))]
    #[track_caller]
    pub fn dim(&self, axis: i64) -> Dim {
        let place = Place::here();
        Dim(self.node().and_then(|node| {
            let axis = self.axis("dim", axis)?;
            let size = node.ty.dims.get(axis).cloned();
            size.ok_or_else(|| {
                Error::new(ErrorKind::Shape, "dim", "a 0-d tensor has no axes")
                    .at(place)
                    .operand(self.note("self"))
            })
        }))
    }

    /// The number of elements.
    #[doc(alias("nelement", "len", "elem_count"))]
    #[track_caller]
    pub fn numel(&self) -> Result<usize> {
        Ok(self.dims()?.iter().product())
    }

    /// Computes the value now, along with everything near that is held and was expensive to compute,
    /// and returns the tensor.
    #[doc(alias("compute", "eval", "contiguous", "synchronize"))]
    #[track_caller]
    pub fn realize(&self) -> Result<Tensor> {
        realize_all(&[self])?;
        Ok(self.clone())
    }

    /// True once the value has been computed.
    pub fn is_realized(&self) -> bool {
        self.0.as_ref().is_ok_and(|node| node.is_known())
    }

    /// Resolves a possibly negative axis.
    #[track_caller]
    pub(crate) fn axis(&self, op: &'static str, axis: i64) -> Result<usize> {
        let rank = self.node()?.ty.rank() as i64;
        // PyTorch lets 0-d tensors pass for 1-d ones here.
        let limit = rank.max(1);
        let resolved = if axis < 0 {
            axis.saturating_add(limit)
        } else {
            axis
        };
        if (0..limit).contains(&resolved) {
            return Ok(resolved as usize);
        }
        Err(Error::new(
            ErrorKind::Shape,
            op,
            format!("axis {axis} does not exist: the tensor has {rank} axes"),
        )
        .at(Place::here())
        .operand(self.note("self"))
        .hint(format!("axes run from {} to {}", -limit, limit - 1)))
    }
}

/// Computes several tensors in one program.
///
/// ```
/// use lazulite::prelude::*;
/// let x = Tensor::arange(0, 4, 1);
/// let (a, b) = (&x + 1, &x * 2);
/// realize_all(&[&a, &b])?;
/// assert!(a.is_realized() && b.is_realized());
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn realize_all(tensors: &[&Tensor]) -> Result<()> {
    let is_known = |t: &&Tensor| t.node().is_ok_and(|node| node.is_known());
    if tensors.iter().all(is_known) {
        return Ok(());
    }
    let roots = tensors
        .iter()
        .map(|t| t.node().cloned())
        .collect::<Result<Vec<_>>>()?;
    engine::realize(&roots)
}
