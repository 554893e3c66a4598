//! Attributes as text: how each kind of attribute is written and read back.

use crate::{Combine, Custom, DType, Dim, Dims, Graph, Scalar, TensorType};
use std::fmt;
use std::sync::Arc;

/// A value that can stand in an attribute list.
pub trait Attr: Sized {
    /// Appends the textual form.
    fn write(&self, out: &mut AttrWriter<'_>);
    /// Reads the textual form.
    fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError>;
}

/// Collects attribute text.
pub struct AttrWriter<'a> {
    out: &'a mut String,
    first: bool,
}

impl<'a> AttrWriter<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut String) -> Self {
        AttrWriter { out, first: true }
    }

    /// Appends `name=value`, separated from what came before.
    pub fn attr(&mut self, name: &str, value: &impl Attr) {
        if !self.first {
            self.out.push_str(", ");
        }
        self.first = false;
        self.out.push_str(name);
        self.out.push('=');
        value.write(self);
    }

    /// Appends raw text.
    pub fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }
}

/// Reads attribute text.
pub struct AttrReader<'a> {
    rest: &'a str,
}

impl AttrReader<'_> {
    /// Reads `name=value`.
    pub fn attr<T: Attr>(&mut self, name: &str) -> Result<T, TextError> {
        let _ = (name, self.rest);
        T::read(self)
    }

    /// Reads an identifier and looks it up; `kind` is for the message.
    pub fn name<T>(&mut self, kind: &str, lookup: fn(&str) -> Option<T>) -> Result<T, TextError> {
        lookup(self.rest).ok_or(TextError {
            line: 0,
            column: 0,
            message: kind.into(),
        })
    }
}

/// Text that does not parse.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextError {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What was expected and what was found.
    pub message: String,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for TextError {}

macro_rules! todo_attr { ($($t:ty),*) => { $(impl Attr for $t {
    fn write(&self, _: &mut AttrWriter<'_>) { todo!() }
    fn read(_: &mut AttrReader<'_>) -> Result<Self, TextError> { todo!() }
})* } }
todo_attr!(
    u32,
    bool,
    Dim,
    Dims,
    DType,
    Scalar,
    TensorType,
    Vec<u32>,
    Vec<i64>,
    Arc<str>,
    Arc<Graph>,
    Custom,
    Vec<TensorType>,
    Option<Combine>
);
