//! What can be wrong with an operation's operands and attributes.
//!
//! Every variant carries what a message to the user needs: the operation, which operand or
//! attribute, what was expected and what was found. [`TypeError::hint`] says what usually helps.

use crate::{Arity, DType, Dim, TensorType};
use std::fmt;

/// Dimensions in an error; displayed as `[2, n]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape(pub Box<[Dim]>);

impl From<&[Dim]> for Shape {
    fn from(dims: &[Dim]) -> Shape {
        Shape(dims.into())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, d) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{d}")?;
        }
        f.write_str("]")
    }
}

/// Declares an error enum with one message per variant; the messages refer to the fields by name.
macro_rules! errors {
    ($(#[$meta:meta])* $enum:ident { $(
        #[doc = $doc:literal]
        $variant:ident $({ $(#[doc = $fdoc:literal] $field:ident: $ty:ty),* $(,)? })?
            => $format:literal $(, $arg:expr)*;
    )* }) => {
        $(#[$meta])*
        pub enum $enum { $(
            #[doc = $doc]
            $variant $({ $(#[doc = $fdoc] $field: $ty),* })?,
        )* }

        impl fmt::Display for $enum {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(
                    #[allow(unused_variables)]
                    $enum::$variant $({ $($field),* })? => write!(f, $format $(, $arg)*),
                )* }
            }
        }

        impl std::error::Error for $enum {}
    };
}

errors! {
    /// Why an operation cannot be applied.
    #[derive(Clone, PartialEq, Eq, Debug)]
    #[non_exhaustive]
    TypeError {
        /// An operand does not exist.
        NoSuchNode => "an operand does not exist";
        /// Too few or too many operands.
        OperandCount {
            /// Mnemonic.
            op: &'static str,
            /// What it takes.
            expected: Arity,
            /// What it was given.
            got: usize,
        } => "{op} takes {} operands, {got} given", arity_text(*expected);
        /// A tuple stands where one tensor is needed.
        TupleOperand {
            /// Mnemonic.
            op: &'static str,
            /// Position of the operand.
            operand: usize,
        } => "{op}: operand {operand} is a tuple, not one tensor";
        /// `get` of something that is one tensor.
        NotATuple => "get: the operand is one tensor, not a tuple";
        /// `get` of a result that the tuple does not have.
        NoSuchResult {
            /// Asked for.
            index: u32,
            /// How many there are.
            results: usize,
        } => "get: there is no result {index}, the operand has {results} results";
        /// The operation is not defined on an operand's element type.
        DType {
            /// Mnemonic.
            op: &'static str,
            /// Position of the operand.
            operand: usize,
            /// Its element type.
            got: DType,
            /// What would do.
            expected: &'static str,
        } => "{op}: operand {operand} is {got}, needed is {expected}";
        /// The operation is not defined for an element type given as attribute.
        AttributeDType {
            /// Mnemonic.
            op: &'static str,
            /// Name of the attribute.
            attribute: &'static str,
            /// Its value.
            got: DType,
            /// What would do.
            expected: &'static str,
        } => "{op}: {attribute} is {got}, needed is {expected}";
        /// Two operands must have the same element type.
        DTypesDiffer {
            /// Mnemonic.
            op: &'static str,
            /// Positions of the operands.
            operands: [usize; 2],
            /// Their element types.
            dtypes: [DType; 2],
        } => "{op}: operand {} is {} and operand {} is {}, needed is one type",
            operands[0], dtypes[0], operands[1], dtypes[1];
        /// An operand has the wrong number of axes.
        Rank {
            /// Mnemonic.
            op: &'static str,
            /// Position of the operand.
            operand: usize,
            /// What is needed.
            expected: &'static str,
            /// Its dimensions.
            shape: Shape,
        } => "{op}: operand {operand} has shape {shape}, needed is {expected}";
        /// Two operands must have the same number of axes.
        RanksDiffer {
            /// Mnemonic.
            op: &'static str,
            /// Positions of the operands.
            operands: [usize; 2],
            /// Their dimensions.
            shapes: [Shape; 2],
        } => "{op}: operand {} has shape {}, operand {} has shape {}: {} axes against {}",
            operands[0], shapes[0], operands[1], shapes[1], shapes[0].0.len(), shapes[1].0.len();
        /// Two axes must have the same size.
        SizesDiffer {
            /// Mnemonic.
            op: &'static str,
            /// Positions of the operands.
            operands: [usize; 2],
            /// The axis of each.
            axes: [usize; 2],
            /// The dimensions of each.
            shapes: [Shape; 2],
        } => "{op}: operand {} has shape {}, operand {} has shape {}: size {} of axis {} does not \
            match size {} of axis {}",
            operands[0], shapes[0], operands[1], shapes[1],
            shapes[0].0[axes[0]], axes[0], shapes[1].0[axes[1]], axes[1];
        /// An axis must have a size that is given by an attribute.
        SizeExpected {
            /// Mnemonic.
            op: &'static str,
            /// Position of the operand.
            operand: usize,
            /// Its axis.
            axis: usize,
            /// Name of the attribute.
            attribute: &'static str,
            /// The attribute's value.
            expected: Dim,
            /// The axis' size.
            got: Dim,
        } => "{op}: axis {axis} of operand {operand} has size {got}, but {attribute} is {expected}";
        /// An axis that the operand does not have.
        AxisOutOfRange {
            /// Mnemonic.
            op: &'static str,
            /// Name of the attribute.
            attribute: &'static str,
            /// The axis.
            axis: u32,
            /// How many axes may be named.
            rank: usize,
        } => "{op}: {attribute} names axis {axis}, but there are {rank} axes to choose from";
        /// An axis is named twice.
        RepeatedAxis {
            /// Mnemonic.
            op: &'static str,
            /// Name of the attribute.
            attribute: &'static str,
            /// The axis.
            axis: u32,
        } => "{op}: {attribute} names axis {axis} twice";
        /// Axes must be given in ascending order.
        UnsortedAxes {
            /// Mnemonic.
            op: &'static str,
            /// The axes as given.
            axes: Vec<u32>,
        } => "{op}: axes {axes:?} are not in ascending order";
        /// An attribute list has the wrong length.
        AttributeLength {
            /// Mnemonic.
            op: &'static str,
            /// Name of the attribute.
            attribute: &'static str,
            /// Needed length.
            expected: usize,
            /// Its length.
            got: usize,
        } => "{op}: {attribute} has {got} entries, needed are {expected}";
        /// An attribute's value is not allowed.
        AttributeValue {
            /// Mnemonic.
            op: &'static str,
            /// Name of the attribute.
            attribute: &'static str,
            /// The axis it belongs to.
            axis: usize,
            /// What would do.
            expected: &'static str,
            /// Its value.
            got: Dim,
        } => "{op}: {attribute} for axis {axis} is {got}, must be {expected}";
        /// A tensor would have an axis of negative size.
        NegativeSize {
            /// Mnemonic.
            op: &'static str,
            /// The axis.
            axis: usize,
            /// Its size.
            size: Dim,
        } => "{op}: axis {axis} would have the negative size {size}";
        /// The number of iterations of a loop is negative.
        NegativeTrip {
            /// The number.
            trip: Dim,
        } => "loop: trip is {trip}, must be at least 0";
        /// Only axes of size 1 can be repeated.
        CannotExpand {
            /// The axis.
            axis: usize,
            /// Dimensions before.
            from: Shape,
            /// Dimensions asked for.
            to: Shape,
        } => "expand: {from} cannot become {to}: axis {axis} has size {}, not 1", from.0[*axis];
        /// A reshape must keep the number of elements.
        ElementCountsDiffer {
            /// Dimensions before.
            from: Shape,
            /// Dimensions asked for.
            to: Shape,
        } => "reshape: {from} and {to} have different numbers of elements";
        /// A slice leaves its axis.
        SliceOutOfRange {
            /// The axis.
            axis: usize,
            /// Its size.
            size: Dim,
            /// First index touched.
            first: Dim,
            /// Last index touched.
            last: Dim,
        } => "slice: elements {first} to {last} of axis {axis}, which has size {size}";
        /// The windows to be added do not fit into the result.
        WindowsDoNotFit {
            /// Mnemonic.
            op: &'static str,
            /// The axis.
            axis: usize,
            /// The size they need.
            needed: Dim,
            /// The size there is.
            size: Dim,
        } => "{op}: the windows need size {needed} on axis {axis}, which has size {size}";
        /// Not one index tensor per indexed axis.
        IndexCount {
            /// Mnemonic.
            op: &'static str,
            /// Number of axes.
            axes: usize,
            /// Number of index operands.
            indices: usize,
        } => "{op}: {indices} index operands for {axes} axes, needed is one per axis";
        /// More carries and scanned tensors than operands.
        CarryCount {
            /// Mnemonic.
            op: &'static str,
            /// Carries and scanned tensors announced.
            announced: u64,
            /// Operands given.
            operands: usize,
        } => "{op}: {announced} carries and scanned tensors, but {operands} operands";
        /// A graph inside the operation does not fit the operands or the other graphs.
        Region {
            /// Mnemonic.
            op: &'static str,
            /// Attribute that holds the graph.
            region: &'static str,
            /// What does not fit.
            problem: RegionProblem,
        } => "{op}: {region} {problem}";
        /// A tensor would be larger than memory can be addressed.
        TooLarge {
            /// Mnemonic.
            op: &'static str,
            /// Element type.
            dtype: DType,
            /// Dimensions.
            shape: Shape,
        } => "{op}: a tensor {dtype}{shape} is larger than the address space";
        /// Arithmetic on sizes leaves 64 bits.
        SizeOverflow {
            /// Mnemonic.
            op: &'static str,
        } => "{op}: arithmetic on sizes leaves 64 bits";
    }
}

errors! {
    /// What is wrong with a graph inside an operation.
    #[derive(Clone, PartialEq, Eq, Debug)]
    RegionProblem {
        /// It takes another number of parameters than it is given.
        InputCount {
            /// Passed.
            passed: usize,
            /// Taken.
            taken: usize,
        } => "takes {taken} parameters, {passed} are passed";
        /// A parameter has another type than what is passed to it.
        Input {
            /// Which parameter.
            index: usize,
            /// Passed and declared type.
            types: Box<[TensorType; 2]>,
        } => "declares parameter {index} as {}, passed is {}",
            type_text(&types[1]), type_text(&types[0]);
        /// It gives another number of results than needed.
        ResultCount {
            /// Needed.
            needed: usize,
            /// Given.
            given: usize,
        } => "gives {given} results, needed are {needed}";
        /// A result has another type than needed.
        Result {
            /// Which result.
            index: usize,
            /// Needed and given type.
            types: Box<[TensorType; 2]>,
        } => "gives {} as result {index}, needed is {}",
            type_text(&types[1]), type_text(&types[0]);
        /// A result is a tuple.
        TupleResult {
            /// Which result.
            index: usize,
        } => "gives a tuple as result {index}, needed is one tensor";
    }
}

impl TypeError {
    /// What usually helps, if something does.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            TypeError::TupleOperand { .. } => "take one result with `get` first".into(),
            TypeError::DType { got, expected, .. } => cast_hint(*got, expected)?,
            TypeError::DTypesDiffer { dtypes: [a, b], .. } => {
                format!("cast both to one type, for example {}", a.promote(*b))
            }
            TypeError::RanksDiffer { .. } => {
                "insert axes of size 1 (unsqueeze) until both have the same number of axes".into()
            }
            TypeError::SizesDiffer { op: "contract", .. } => {
                "the axes summed over (and the batch axes) of both operands must have equal \
                 sizes; perhaps one operand needs a transpose"
                    .into()
            }
            TypeError::SizesDiffer { .. } => {
                "sizes must be equal, or 1 to be broadcast; reshape or transpose an operand".into()
            }
            TypeError::AxisOutOfRange { rank: 0, .. } => "a 0-d tensor has no axes".into(),
            TypeError::AxisOutOfRange { rank, .. } => {
                format!("axes are numbered from 0 to {}", rank - 1)
            }
            TypeError::CannotExpand { .. } => {
                "only an axis of size 1 can be expanded; use repeat to tile a larger one".into()
            }
            TypeError::ElementCountsDiffer { from, to } => {
                let count = |s: &Shape| {
                    Dim::product(s.0.iter()).map_or_else(|e| e.to_string(), |n| n.to_string())
                };
                format!("{} elements against {}", count(from), count(to))
            }
            TypeError::SliceOutOfRange { size, .. } => {
                format!("the axis' elements are numbered from 0 to {size} - 1")
            }
            TypeError::TooLarge { .. } => {
                "a tensor may have at most 2^63 - 1 bytes, counting axes of size 0 as 1".into()
            }
            TypeError::NoSuchNode
            | TypeError::OperandCount { .. }
            | TypeError::NotATuple
            | TypeError::NoSuchResult { .. }
            | TypeError::AttributeDType { .. }
            | TypeError::Rank { .. }
            | TypeError::SizeExpected { .. }
            | TypeError::RepeatedAxis { .. }
            | TypeError::UnsortedAxes { .. }
            | TypeError::AttributeLength { .. }
            | TypeError::AttributeValue { .. }
            | TypeError::NegativeSize { .. }
            | TypeError::NegativeTrip { .. }
            | TypeError::WindowsDoNotFit { .. }
            | TypeError::IndexCount { .. }
            | TypeError::CarryCount { .. }
            | TypeError::Region { .. }
            | TypeError::SizeOverflow { .. } => return None,
        })
    }
}

/// A type to cast to, when `expected` (the words of a [`TypeError::DType`]) admits one.
fn cast_hint(got: DType, expected: &str) -> Option<String> {
    if got.is_complex() && !expected.contains("complex") {
        return Some("take the real or the imaginary part first".into());
    }
    let target = [
        ("f32", DType::F32),
        ("float", DType::F32),
        ("i64", DType::I64),
        ("u64", DType::U64),
        ("integer", DType::I64),
        ("number", DType::I64),
        ("bool", DType::Bool),
    ]
    .into_iter()
    .find(|(word, _)| expected.contains(word))?
    .1;
    Some(format!("cast the operand first, for example to {target}"))
}

fn arity_text(arity: Arity) -> String {
    match arity {
        Arity::Exactly(n) => n.to_string(),
        Arity::AtLeast(n) => format!("at least {n}"),
    }
}

fn type_text(ty: &TensorType) -> String {
    format!("{}{}", ty.dtype, Shape::from(&*ty.dims))
}
