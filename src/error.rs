//! The one error type of the facade: what happened, where in the user's program, with which
//! operands, and what to do about it.

use crate::location::{Place, trail};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Results of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of mistake or failure an [`Error`] reports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Shapes do not fit together or an axis does not exist.
    Shape,
    /// An element type does not fit the operation, or a value is read as another type.
    DType,
    /// An argument has a value the operation cannot take.
    Argument,
    /// An index is outside its axis.
    Index,
    /// A fault found while running: an index out of range or an integer division by zero.
    Fault,
    /// Memory cannot be had.
    Memory,
    /// Operands lie on different devices, or a device is missing or fails.
    Device,
    /// A value is asked for that does not exist yet, such as inside a captured function.
    Capture,
    /// There is no gradient, or it is asked for in a way that makes no sense.
    Gradient,
    /// A file cannot be read or written, or is not what it should be.
    File,
    /// A host function reported failure.
    Host,
    /// What was asked for is not supported.
    Unsupported,
    /// Lazulite contradicts itself; please report.
    Internal,
}

/// An operand as it was when the error arose.
#[derive(Clone, Debug)]
pub struct OperandNote {
    /// Its part in the operation, for example "lhs".
    pub role: &'static str,
    /// Type and dims, for example `f32[2, 3]`.
    pub ty: String,
    /// Where it was made.
    pub place: Option<Place>,
}

/// An error with its place in the user's program. Cheap to clone: error-carrying tensors share it.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    op: Cow<'static, str>,
    message: String,
    place: Option<Place>,
    operands: Vec<OperandNote>,
    hint: Option<String>,
    /// The place as text: all that running programs know of it.
    location: String,
    /// Composites and modules around the operation.
    trail: Option<Arc<str>>,
}

/// What stands before the rule in the trail of a check on values.
pub(crate) const CHECK: &str = "check that ";

/// What stands in the trail of a check on an operand before the operation and, in parentheses, the operand's type, which
/// [`CHECKED`] ends.
pub(crate) const CHECK_OF: &str = "check of ";

/// See [`CHECK_OF`].
pub(crate) const CHECKED: &str = ": that ";

/// What stands before the rule in the message of a check that fails.
const BROKEN: &str = "it does not hold that ";

/// What a trail says about a check on an operand.
pub(crate) struct Checked<'a> {
    op: &'a str,
    /// The operand's type.
    ty: &'a str,
    rule: &'a str,
}

impl<'a> Checked<'a> {
    /// By the trail's last entry.
    pub fn by(trail: &'a str) -> Option<Checked<'a>> {
        let (_, innermost) = trail.rsplit_once(" > ").unwrap_or(("", trail));
        let (called, rule) = innermost.strip_prefix(CHECK_OF)?.split_once(CHECKED)?;
        let (op, ty) = called.strip_suffix(')')?.split_once('(')?;
        Some(Checked { op, ty, rule })
    }

    /// The operand, to be shown.
    pub fn operand(&self) -> OperandNote {
        OperandNote {
            role: "self",
            ty: self.ty.to_string(),
            place: None,
        }
    }
}

impl Error {
    /// An error of operation `op`, without place or operands.
    pub(crate) fn new(kind: ErrorKind, op: &'static str, message: impl Into<String>) -> Error {
        Error(Arc::new(Inner {
            kind,
            op: op.into(),
            message: message.into(),
            place: None,
            operands: Vec::new(),
            hint: None,
            location: String::new(),
            trail: trail(),
        }))
    }

    /// The same of another operation: the one that the user wrote, or that ran.
    pub(crate) fn named(mut self, op: &'static str) -> Error {
        Arc::make_mut(&mut self.0).op = op.into();
        self
    }

    /// The same of operation `to`, where it is of `from`, which the user did not write.
    pub(crate) fn renamed(self, from: &str, to: &'static str) -> Error {
        match self.0.op == from {
            true => self.named(to),
            false => self,
        }
    }

    /// What a check on values found, said in the words of its rule instead of those of how it is made.
    pub(crate) fn of_check(mut self) -> Error {
        let trail = self.0.trail.clone().unwrap_or_default();
        let (outer, innermost) = trail.rsplit_once(" > ").unwrap_or(("", &trail));
        let checked = Checked::by(&trail).map(|c| (c.op, c.rule));
        let rule = innermost.strip_prefix(CHECK).map(|rule| ("check", rule));
        if let Some((op, rule)) = checked.or(rule) {
            let inner = Arc::make_mut(&mut self.0);
            inner.op = op.to_string().into();
            inner.message = format!("{BROKEN}{rule}");
            inner.trail = (!outer.is_empty()).then(|| outer.into());
            inner
                .operands
                .extend(Checked::by(&trail).map(|c| c.operand()));
        }
        self
    }

    /// True for what [`of_check`](Error::of_check) has said.
    pub(crate) fn is_of_check(&self) -> bool {
        self.0.message.starts_with(BROKEN)
    }

    /// The same in the words of operation `op`, with nothing but `trail` around it.
    pub(crate) fn reworded(mut self, op: &str, message: String, trail: &str) -> Error {
        let inner = Arc::make_mut(&mut self.0);
        inner.op = op.to_string().into();
        inner.message = message;
        inner.trail = (!trail.is_empty()).then(|| trail.into());
        inner.operands.clear();
        self
    }

    /// The same about something that the message names first: a file.
    pub(crate) fn about(mut self, what: impl fmt::Display) -> Error {
        let inner = Arc::make_mut(&mut self.0);
        inner.message = format!("{what}: {}", inner.message);
        self
    }

    /// The same with these operands.
    pub(crate) fn with_operands(mut self, operands: Vec<OperandNote>) -> Error {
        Arc::make_mut(&mut self.0).operands = operands;
        self
    }

    /// Composites and modules around the operation.
    pub(crate) fn trail(&self) -> Option<&str> {
        self.0.trail.as_deref()
    }

    /// The same with the place of the operation, unless it has one.
    pub(crate) fn at(mut self, place: Place) -> Error {
        Arc::make_mut(&mut self.0).place.get_or_insert(place);
        self
    }

    /// The same with the place as text, and the trail on a second line where the operation has one.
    pub(crate) fn located(mut self, location: String) -> Error {
        let inner = Arc::make_mut(&mut self.0);
        match location.split_once('\n') {
            Some((place, trail)) => {
                inner.location = place.to_string();
                inner.trail = Some(trail.into());
            }
            None => inner.location = location,
        }
        self
    }

    /// The place as text, where only that is known.
    pub(crate) fn location(&self) -> Option<&str> {
        let unknown = self.0.place.is_none() && !self.0.location.is_empty();
        unknown.then_some(self.0.location.as_str())
    }

    /// The same with an operand to show.
    pub(crate) fn operand(mut self, note: OperandNote) -> Error {
        Arc::make_mut(&mut self.0).operands.push(note);
        self
    }

    /// The same with advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Error {
        Arc::make_mut(&mut self.0).hint = Some(hint.into());
        self
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operation that failed.
    pub fn op(&self) -> &str {
        &self.0.op
    }

    /// What happened, in one sentence, without place and operands.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where in the user's program, if known.
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }

    /// The operands involved.
    pub fn operands(&self) -> &[OperandNote] {
        &self.0.operands
    }

    /// Advice, if there is any.
    pub fn advice(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &*self.0;
        write!(f, "{}: {}", e.op, e.message)?;
        if let Some(place) = &e.place {
            write!(f, "\n  --> {place}")?;
        } else if let Some(location) = self.location() {
            write!(f, "\n  --> {location}")?;
        }
        if let Some(trail) = &e.trail {
            write!(f, "\n  in {trail}")?;
        }
        for o in &e.operands {
            write!(f, "\n  {}: {}", o.role, o.ty)?;
            if let Some(place) = &o.place {
                write!(f, ", from {place}")?;
            }
        }
        if let Some(hint) = &e.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Like [`fmt::Display`], so that `fn main() -> Result<()>` prints something readable.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}
