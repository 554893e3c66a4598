//! Attributes as text: how each kind of attribute is written and read back.
//!
//! Reading what was written gives an equal value, bit for bit, except for host functions, which
//! are closures and cannot be read. The format of each kind stands at its implementation.

use crate::text::lex::{Cursor, MAX_DEPTH, TokenKind};
use crate::text::{graph, number, quote, size};
use crate::{Combine, Custom, DType, Dim, Dims, Graph, Scalar, TensorType};
use std::fmt::{self, Write};
use std::sync::Arc;

/// A value that can stand in an attribute list.
pub trait Attr: Sized {
    /// Appends the textual form.
    fn write(&self, out: &mut AttrWriter<'_>);
    /// Reads the textual form.
    fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError>;
}

/// Writes one attribute value.
pub fn print_attr(value: &impl Attr) -> String {
    let mut text = String::new();
    value.write(&mut AttrWriter::new(&mut text));
    text
}

/// Reads one attribute value, which must be all there is.
pub fn parse_attr<T: Attr>(text: &str) -> Result<T, TextError> {
    let mut reader = AttrReader::new(text);
    let value = T::read(&mut reader)?;
    reader.cursor.expect_end()?;
    Ok(value)
}

/// How graphs are laid out.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Layout {
    /// Depth of the surrounding graphs.
    pub depth: u32,
    /// Whether nodes tell where in the user's program they come from.
    pub sources: bool,
}

/// Collects attribute text.
pub struct AttrWriter<'a> {
    out: &'a mut String,
    first: bool,
    layout: Layout,
}

impl<'a> AttrWriter<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut String) -> Self {
        AttrWriter::with_layout(out, Layout::default())
    }

    pub(crate) fn with_layout(out: &'a mut String, layout: Layout) -> Self {
        AttrWriter {
            out,
            first: true,
            layout,
        }
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

    fn display(&mut self, value: impl fmt::Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{value}");
    }

    fn quoted(&mut self, text: &str) {
        let _ = quote::write_quoted(self.out, text);
    }

    fn list<T: Attr>(&mut self, items: &[T]) {
        self.text("[");
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.text(", ");
            }
            item.write(self);
        }
        self.text("]");
    }
}

/// Reads attribute text.
pub struct AttrReader<'a> {
    pub(crate) cursor: Cursor<'a>,
    first: bool,
}

impl<'a> AttrReader<'a> {
    /// Reads from the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        AttrReader {
            cursor: Cursor::new(text),
            first: true,
        }
    }

    /// Reads `name=value`, behind a comma unless it is the first of its list.
    pub fn attr<T: Attr>(&mut self, name: &str) -> Result<T, TextError> {
        if !std::mem::take(&mut self.first) && !self.cursor.eat(",") {
            return Err(self.cursor.expected(&format!("`,` and attribute `{name}`")));
        }
        if !self.cursor.eat_word(name) {
            return Err(self.cursor.expected(&format!("attribute `{name}`")));
        }
        self.cursor.expect("=")?;
        T::read(self)
    }

    /// Reads one of the names `choices` and looks it up.
    pub fn name<T>(
        &mut self,
        choices: &[&str],
        lookup: fn(&str) -> Option<T>,
    ) -> Result<T, TextError> {
        let token = self.cursor.peek();
        match lookup(token.text).filter(|_| token.kind == TokenKind::Word) {
            Some(value) => {
                self.cursor.advance();
                Ok(value)
            }
            None => Err(self.cursor.expected(&alternatives(choices))),
        }
    }

    /// Runs `read` on an attribute list of its own, inside another one's value.
    pub(crate) fn inner_list<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let first = std::mem::replace(&mut self.first, true);
        let result = read(self);
        self.first = first;
        result
    }

    fn list<T: Attr>(&mut self) -> Result<Vec<T>, TextError> {
        self.cursor.expect("[")?;
        self.items_until("]", T::read)
    }

    /// Reads items separated by commas, up to `close`, which is taken.
    pub(crate) fn items_until<T>(
        &mut self,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<T, TextError>,
    ) -> Result<Vec<T>, TextError> {
        let mut items = Vec::new();
        if self.cursor.eat(close) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.cursor.eat(close) {
                return Ok(items);
            }
            if !self.cursor.eat(",") {
                return Err(self.cursor.expected(&format!("`,` or `{close}`")));
            }
        }
    }
}

fn alternatives(choices: &[&str]) -> String {
    let (last, others) = match choices {
        [] => return "nothing".into(),
        [only] => return format!("`{only}`"),
        [others @ .., last] => (last, others),
    };
    let others: Vec<String> = others.iter().map(|c| format!("`{c}`")).collect();
    format!("{} or `{last}`", others.join(", "))
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

/// `7`
impl Attr for u32 {
    fn write(&self, out: &mut AttrWriter<'_>) {
        out.display(self);
    }

    fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError> {
        from.cursor.natural("a whole number that is not negative")
    }
}

/// `-7`
impl Attr for i64 {
    fn write(&self, out: &mut AttrWriter<'_>) {
        out.display(self);
    }

    fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError> {
        let negative = from.cursor.eat("-");
        size::read_integer(&mut from.cursor, negative)
    }
}

/// `true`
impl Attr for bool {
    fn write(&self, out: &mut AttrWriter<'_>) {
        out.display(self);
    }

    fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError> {
        number::read_bool(&mut from.cursor)
    }
}

/// `1 + 2*n*floordiv(m, 2)`
impl Attr for Dim {
    fn write(&self, out: &mut AttrWriter<'_>) {
        out.display(self);
    }

    fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError> {
        size::read_dim(&mut from.cursor)
    }
}

/// `f32`
impl Attr for DType {
    fn write(&self, out: &mut AttrWriter<'_>) {
        out.display(self);
    }

    fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError> {
        number::read_dtype(&mut from.cursor)
    }
}

/// `f32(0.5)`
impl Attr for Scalar {
    fn write(&self, out: &mut AttrWriter<'_>) {
        out.display(self);
    }

    fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError> {
        number::read_scalar(&mut from.cursor)
    }
}

/// `f32[4, n]`
impl Attr for TensorType {
    fn write(&self, out: &mut AttrWriter<'_>) {
        out.display(self);
    }

    fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError> {
        let dtype = DType::read(from)?;
        let dims = Dims::read(from)?;
        Ok(TensorType { dtype, dims })
    }
}

macro_rules! list_attr {
    ($(#[$doc:meta] $list:ty: $item:ty;)*) => {$(
        #[$doc]
        impl Attr for $list {
            fn write(&self, out: &mut AttrWriter<'_>) {
                out.list(self);
            }

            fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError> {
                Ok(from.list::<$item>()?.into())
            }
        }
    )*};
}

list_attr! {
    /// `[0, 2]`
    Vec<u32>: u32;
    /// `[1, -1]`
    Vec<i64>: i64;
    /// `[4, n]`
    Dims: Dim;
    /// `[f32[4, n], i64[]]`
    Vec<TensorType>: TensorType;
}

/// `"softmax"`, with escapes `\"`, `\\`, `\n`, `\r`, `\t` and `\u{...}`
impl Attr for Arc<str> {
    fn write(&self, out: &mut AttrWriter<'_>) {
        out.quoted(self);
    }

    fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError> {
        Ok(quote::read_quoted(&mut from.cursor, "a string in quotes")?.into())
    }
}

/// `sum`, or `none`
impl Attr for Option<Combine> {
    fn write(&self, out: &mut AttrWriter<'_>) {
        match self {
            Some(combine) => combine.write(out),
            None => out.text("none"),
        }
    }

    fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError> {
        if from.cursor.eat_word("none") {
            return Ok(None);
        }
        let mut choices: Vec<&str> = Combine::ALL.iter().map(|c| c.name()).collect();
        choices.push("none");
        from.name(&choices, Combine::from_name).map(Some)
    }
}

/// `library("lu")`, or `host("name for dumps")`, which cannot be read
impl Attr for Custom {
    fn write(&self, out: &mut AttrWriter<'_>) {
        out.text(match self {
            Custom::Library(_) => "library(",
            Custom::Host(..) => "host(",
        });
        out.quoted(self.name());
        out.text(")");
    }

    fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError> {
        let cursor = &mut from.cursor;
        let start = cursor.peek();
        if start.is(TokenKind::Word, "host") {
            let message = "a host function is a closure of the process that printed it and cannot \
                           be read from text";
            return Err(start.at.error(message));
        }
        if !cursor.eat_word("library") {
            return Err(cursor.expected("`library(\"name\")`"));
        }
        cursor.expect("(")?;
        let name = Arc::<str>::read(from)?;
        from.cursor.expect(")")?;
        Ok(Custom::Library(name))
    }
}

/// `graph(%0: f32[4]) { ... }`
impl Attr for Arc<Graph> {
    fn write(&self, out: &mut AttrWriter<'_>) {
        let layout = Layout {
            depth: out.layout.depth + 1,
            ..out.layout
        };
        if layout.depth > MAX_DEPTH {
            out.text("graph(...)");
        } else {
            graph::write_graph(out.out, self, layout, &mut |_| {});
        }
    }

    fn read(from: &mut AttrReader<'_>) -> Result<Self, TextError> {
        from.cursor.enter()?;
        let graph = graph::read_graph(from).map(Arc::new);
        from.cursor.leave();
        graph
    }
}
