//! Binding: from positional and named arguments to parameters, by a signature as PyTorch documents
//! it, and from there to what methods of the facade take.

use crate::value::Value;
use lazulite::{DType, Error, ErrorKind, IntoAxes, Number, Tensor};
use std::cell::RefCell;
use std::fmt;

/// Why a call has no result.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// There is no way yet to make this call.
    Unsupported(String),
    /// Rust's types or the parameters rule the call out.
    Rejected(String),
    /// The facade reported an error.
    Error(Error),
    /// The dispatch table contradicts itself.
    Mistake(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Unsupported(reason) | Refusal::Rejected(reason) => f.write_str(reason),
            Refusal::Mistake(reason) => write!(f, "mistake in the dispatch table: {reason}"),
            Refusal::Error(e) => write!(f, "{e}"),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error.kind() {
            ErrorKind::Unsupported => Refusal::Unsupported(error.message().into()),
            _ => Refusal::Error(error),
        }
    }
}

/// The result of a call.
pub type Outcome = Result<Value, Refusal>;

/// One parameter of a signature.
#[derive(Clone, Debug)]
struct Parameter {
    name: String,
    default: Option<Value>,
    keyword_only: bool,
    /// Takes all further positional arguments.
    variadic: bool,
}

/// The parameters of an operator.
#[derive(Clone, Debug, Default)]
pub struct Signature {
    parameters: Vec<Parameter>,
}

impl Signature {
    /// Reads `name(a, b=1, *, c=None)`, with or without type annotations. A method's `self` is added.
    pub fn parse(text: &str, is_method: bool) -> Signature {
        let mut parameters = Vec::new();
        let plain = |name: &str| Parameter {
            name: name.into(),
            default: None,
            keyword_only: false,
            variadic: false,
        };
        let typed_first = text.contains("aten::");
        let mut keyword_only = false;
        for piece in pieces(parameter_list(text)) {
            let piece = piece.trim().trim_start_matches('\\');
            let (head, default) = match piece.split_once('=') {
                Some((head, default)) => (head.trim(), Some(literal(default.trim()))),
                None => (piece, None),
            };
            let head = head.split(':').next().unwrap_or(head).trim();
            let name = match typed_first {
                true => head.rsplit(' ').next().unwrap_or(head),
                false => head,
            };
            match name {
                "" | "/" => {}
                "*" => keyword_only = true,
                _ => parameters.push(Parameter {
                    default,
                    keyword_only,
                    variadic: name.starts_with('*'),
                    ..plain(name.trim_start_matches('*'))
                }),
            }
        }
        if is_method && parameters.first().is_none_or(|p| p.name != "self") {
            parameters.insert(0, plain("self"));
        }
        Signature { parameters }
    }

    /// Gives every argument its parameter, and parameters without one their default.
    pub fn bind(&self, args: &[Value], kwargs: &[(String, Value)]) -> Result<Bound, Refusal> {
        let mut slots: Vec<Option<Slot>> = vec![None; self.parameters.len()];
        let mut positional = args.iter().enumerate();
        for (parameter, slot) in self.parameters.iter().zip(&mut slots) {
            if parameter.keyword_only {
                break;
            }
            if parameter.variadic {
                let rest = positional.by_ref().map(|(_, v)| v.clone()).collect();
                *slot = Some(Slot::new(Value::List(rest), "args".into()));
            } else if let Some((i, value)) = positional.next() {
                *slot = Some(Slot::new(value.clone(), format!("args.{i}")));
            }
        }
        if positional.next().is_some() {
            let message = format!("{} positional arguments are too many", args.len());
            return Err(Refusal::Rejected(message));
        }
        for (name, value) in kwargs {
            let Some(i) = self.parameters.iter().position(|p| p.name == *name) else {
                return Err(Refusal::Rejected(format!("there is no parameter {name}")));
            };
            if slots[i].is_some() {
                let message = format!("{name} is given by position and by name");
                return Err(Refusal::Rejected(message));
            }
            slots[i] = Some(Slot::new(value.clone(), format!("kwargs.{name}")));
        }
        let names = self.parameters.iter().map(|p| p.name.clone());
        let given = slots.iter().zip(&self.parameters).map(|(slot, parameter)| {
            let default = || Some(Slot::new(parameter.default.clone()?, String::new()));
            slot.clone().or_else(default)
        });
        Ok(Bound {
            slots: names.zip(given).collect(),
            after: RefCell::default(),
        })
    }
}

/// What stands between the outermost parentheses.
fn parameter_list(text: &str) -> &str {
    let Some(start) = text.find('(') else {
        return "";
    };
    let mut depth = 0usize;
    for (i, c) in text.char_indices().skip(start) {
        match c {
            '(' => depth += 1,
            ')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return &text[start + 1..i];
                }
            }
            _ => {}
        }
    }
    &text[start + 1..]
}

/// Splits at commas outside brackets.
fn pieces(list: &str) -> Vec<&str> {
    let (mut pieces, mut depth, mut start) = (Vec::new(), 0i32, 0);
    for (i, c) in list.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                pieces.push(&list[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    pieces.push(&list[start..]);
    pieces
}

/// A default as Python writes it.
fn literal(text: &str) -> Value {
    let quoted = |q: char| text.strip_prefix(q).and_then(|t| t.strip_suffix(q));
    if let Some(text) = quoted('\'').or_else(|| quoted('"')) {
        return Value::Text(text.into());
    }
    if let Some(inner) = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
        let items = pieces(inner);
        return Value::List(items.into_iter().map(|t| literal(t.trim())).collect());
    }
    if let Ok(value) = text.parse::<i64>() {
        return Value::Int(value);
    }
    if let Ok(value) = text.parse::<f64>() {
        return Value::Float(value);
    }
    if let Some((a, b)) = text.split_once('/')
        && let (Ok(a), Ok(b)) = (a.parse::<f64>(), b.parse::<f64>())
    {
        return Value::Float(a / b);
    }
    match text {
        "None" => Value::None,
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        "torch.long" => Value::DType(DType::I64),
        _ => Value::Ignored,
    }
}

#[derive(Clone, Debug)]
struct Slot {
    value: Value,
    /// Where the argument stands in the call; empty for defaults.
    path: String,
}

impl Slot {
    fn new(value: Value, path: String) -> Slot {
        Slot { value, path }
    }
}

/// The arguments of one call by parameter.
#[derive(Debug)]
pub struct Bound {
    slots: Vec<(String, Option<Slot>)>,
    after: RefCell<Vec<(String, Tensor)>>,
}

/// Axes of a reduction: all if none are named.
#[derive(Clone, Debug)]
pub struct Axes(pub Option<Vec<i64>>);

impl IntoAxes for Axes {
    fn into_axes(self, rank: usize) -> Vec<(i64, Option<usize>)> {
        match self.0 {
            Some(axes) => axes.as_slice().into_axes(rank),
            None => (..).into_axes(rank),
        }
    }
}

impl Bound {
    fn slot(&self, name: &str) -> Result<&Slot, Refusal> {
        match self.slots.iter().find(|(n, _)| n == name) {
            Some((_, Some(slot))) => Ok(slot),
            Some((_, None)) => Err(Refusal::Rejected(format!("{name} is missing"))),
            None => Err(Refusal::Mistake(format!("there is no parameter {name}"))),
        }
    }

    /// The value of a parameter.
    pub fn value(&self, name: &str) -> Result<&Value, Refusal> {
        match &self.slot(name)?.value {
            Value::Unknown(what) => Err(Refusal::Unsupported(format!("{what} is not supported"))),
            value => Ok(value),
        }
    }

    /// Whether the parameter has an argument other than None.
    pub fn has(&self, name: &str) -> bool {
        self.slot(name)
            .is_ok_and(|s| !matches!(s.value, Value::None | Value::Ignored))
    }

    /// The first parameter, as a tensor.
    pub fn input(&self) -> Result<Tensor, Refusal> {
        match self.slots.first() {
            Some((name, _)) => self.tensor(name),
            None => Err(Refusal::Mistake("there are no parameters".into())),
        }
    }

    /// The first parameter, as a tensor; a number stands for a 0-d one.
    pub fn operand(&self) -> Result<Tensor, Refusal> {
        match self.slots.first() {
            Some((name, _)) => self.scalar_or_tensor(name),
            None => Err(Refusal::Mistake("there are no parameters".into())),
        }
    }

    /// As [`Bound::operand`], if the second parameter is a tensor.
    pub fn base(&self) -> Result<Tensor, Refusal> {
        match self.other()? {
            lazulite::Argument::Tensor(_) => self.operand(),
            lazulite::Argument::Number(_) => self.input(),
        }
    }

    /// A tensor; a number stands for a 0-d one.
    pub fn scalar_or_tensor(&self, name: &str) -> Result<Tensor, Refusal> {
        Ok(match self.argument(name)? {
            lazulite::Argument::Tensor(tensor) => tensor,
            lazulite::Argument::Number(number) => Tensor::full((), number),
        })
    }

    /// The second parameter, as a tensor or number.
    pub fn other(&self) -> Result<lazulite::Argument, Refusal> {
        match self.slots.get(1) {
            Some((name, _)) => self.argument(name),
            None => Err(Refusal::Mistake("there is no second parameter".into())),
        }
    }

    /// Notes that the call leaves this in the place of an argument.
    pub fn changed(&self, name: &str, tensor: Tensor) -> Result<(), Refusal> {
        let path = self.slot(name)?.path.clone();
        self.after.borrow_mut().push((path, tensor));
        Ok(())
    }

    /// The arguments that the call changed, by path.
    pub fn into_changed(self) -> Vec<(String, Tensor)> {
        self.after.into_inner()
    }

    fn wrong<T>(&self, name: &str, value: &Value, wanted: &str) -> Result<T, Refusal> {
        let kind = value.kind();
        Err(Refusal::Rejected(format!("{name} is {kind}, not {wanted}")))
    }
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident, $optional:ident: $ty:ty = $wanted:literal, $convert:path;)*) => {
        impl Bound {$(
            $(#[$doc])*
            pub fn $name(&self, name: &str) -> Result<$ty, Refusal> {
                let value = self.value(name)?;
                match $convert(value)? {
                    Some(converted) => Ok(converted),
                    None => self.wrong(name, value, $wanted),
                }
            }

            #[doc = concat!("As [`Bound::", stringify!($name), "`], if there is an argument.")]
            pub fn $optional(&self, name: &str) -> Result<Option<$ty>, Refusal> {
                match self.value(name)? {
                    Value::None | Value::Ignored => Ok(None),
                    _ => self.$name(name).map(Some),
                }
            }
        )*}
    };
}

getters! {
    /// A tensor.
    tensor, opt_tensor: Tensor = "a tensor", to_tensor;
    /// A list of tensors.
    tensors, opt_tensors: Vec<Tensor> = "a list of tensors", to_tensors;
    /// A tensor or number.
    argument, opt_argument: lazulite::Argument = "a tensor or number", to_argument;
    /// A number.
    number, opt_number: Number = "a number", to_number;
    /// An integer.
    int, opt_int: i64 = "an integer", to_int;
    /// An integer that is not negative.
    count, opt_count: usize = "a count", to_count;
    /// A real number.
    float, opt_float: f64 = "a real number", to_float;
    /// A bool.
    flag, opt_flag: bool = "a bool", to_flag;
    /// A string.
    text, opt_text: String = "a string", to_text;
    /// Integers; one integer stands for a list of one.
    ints, opt_ints: Vec<i64> = "a list of integers", to_ints;
    /// Real numbers; one stands for a list of one.
    floats, opt_floats: Vec<f64> = "a list of numbers", to_floats;
    /// An element type.
    dtype, opt_dtype: DType = "an element type", to_dtype;
}

impl Bound {
    /// Axes to reduce: None and an empty list stand for all.
    pub fn axes(&self, name: &str) -> Result<Axes, Refusal> {
        Ok(Axes(self.opt_ints(name)?.filter(|axes| !axes.is_empty())))
    }
}

type Converted<T> = Result<Option<T>, Refusal>;

fn unsupported<T>(what: &str) -> Result<T, Refusal> {
    Err(Refusal::Unsupported(format!("{what} is not supported")))
}

/// The tensor, if the value is one.
pub fn to_tensor(value: &Value) -> Converted<Tensor> {
    match value {
        Value::Tensor(tensor) => Ok(Some(tensor.clone())),
        Value::Unknown(what) => unsupported(what),
        _ => Ok(None),
    }
}

fn to_tensors(value: &Value) -> Converted<Vec<Tensor>> {
    match value {
        Value::List(items) | Value::Tuple(items) => items.iter().map(to_tensor).collect(),
        _ => Ok(None),
    }
}

fn to_number(value: &Value) -> Converted<Number> {
    Ok(match value {
        Value::Bool(v) => Some(Number::Bool(*v)),
        Value::Int(v) => Some(Number::Int(*v)),
        Value::Float(v) => Some(Number::Float(*v)),
        Value::Complex(re, im) => Some(Number::Complex(*re, *im)),
        _ => None,
    })
}

fn to_argument(value: &Value) -> Converted<lazulite::Argument> {
    match to_tensor(value)? {
        Some(tensor) => Ok(Some(tensor.into())),
        None => Ok(to_number(value)?.map(Into::into)),
    }
}

/// The integer, if the value is one.
pub fn to_int(value: &Value) -> Converted<i64> {
    Ok(match value {
        Value::Int(v) => Some(*v),
        _ => None,
    })
}

fn to_count(value: &Value) -> Converted<usize> {
    Ok(match value {
        Value::Int(v) => usize::try_from(*v).ok(),
        _ => None,
    })
}

fn to_float(value: &Value) -> Converted<f64> {
    Ok(match value {
        Value::Int(v) => Some(*v as f64),
        Value::Float(v) => Some(*v),
        Value::Bool(v) => Some(f64::from(u8::from(*v))),
        _ => None,
    })
}

fn to_flag(value: &Value) -> Converted<bool> {
    Ok(match value {
        Value::Bool(v) => Some(*v),
        _ => None,
    })
}

fn to_text(value: &Value) -> Converted<String> {
    Ok(match value {
        Value::Text(v) | Value::Function(v) => Some(v.clone()),
        _ => None,
    })
}

/// Integers; one stands for a list of one.
pub fn to_ints(value: &Value) -> Converted<Vec<i64>> {
    match value {
        Value::List(items) | Value::Tuple(items) => items.iter().map(to_int).collect(),
        other => Ok(to_int(other)?.map(|v| vec![v])),
    }
}

fn to_floats(value: &Value) -> Converted<Vec<f64>> {
    match value {
        Value::List(items) | Value::Tuple(items) => items.iter().map(to_float).collect(),
        other => Ok(to_float(other)?.map(|v| vec![v])),
    }
}

fn to_dtype(value: &Value) -> Converted<DType> {
    Ok(match value {
        Value::DType(dtype) => Some(*dtype),
        _ => None,
    })
}

/// Turns what methods of the facade return into an outcome.
pub trait Done {
    /// The outcome.
    fn done(self) -> Outcome;
}

impl<T: Into<Value>> Done for T {
    fn done(self) -> Outcome {
        Ok(self.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let signature = Signature::parse(text, false);
        signature.parameters.into_iter().map(|p| p.name).collect()
    }

    #[test]
    fn signatures_of_every_style_are_read() {
        assert_eq!(
            names("add(input, other, *, alpha=1, out=None) -> Tensor").len(),
            4
        );
        assert_eq!(
            names("aten::slice.Tensor(Tensor(a) self, int dim=0, SymInt? start=None)"),
            ["self", "dim", "start"]
        );
        assert_eq!(
            names("f(x: Tensor | None = None, d: Callable[[T, T], T] | None = None)"),
            ["x", "d"]
        );
        assert_eq!(
            names("meshgrid(*tensors, indexing: str | None = None)"),
            ["tensors", "indexing"]
        );
    }

    #[test]
    fn arguments_find_their_parameters() -> Result<(), Refusal> {
        let signature = Signature::parse("f(a, b=2, *rest, lower=1./8)", false);
        let args = [Value::Int(1), Value::Int(5), Value::Int(6), Value::Int(7)];
        let bound = signature.bind(&args, &[])?;
        assert_eq!(bound.int("b")?, 5);
        assert_eq!(bound.ints("rest")?, [6, 7]);
        assert_eq!(bound.float("lower")?, 0.125);
        assert_eq!(signature.bind(&args[..1], &[])?.int("b")?, 2);
        assert!(signature.bind(&[], &[("c".into(), Value::None)]).is_err());
        Ok(())
    }
}
