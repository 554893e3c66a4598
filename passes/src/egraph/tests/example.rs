//! Programs in the notation of rules' examples, as graphs.
//!
//! `(reduce{kind=sum, axes=[0]} ?x:f32[2, 3])` is an operation with its attributes as in graphs' text, over
//! a parameter with its type; types of results are inferred. Several expressions are several results. A
//! number has the type of what stands beside it. Behind a leading type as in `f32 (add ?a 1)`, parameters
//! without a type are vectors of it.

use crate::build::{Builder, Emit};
use lazulite_ir::{Arity, AttrReader, DType, Graph, NodeId, Op, Scalar, TensorType, parse_attr};
use std::collections::BTreeMap;

struct Reader<'a> {
    text: &'a str,
    at: usize,
    builder: Builder,
    known: BTreeMap<String, NodeId>,
    /// The type of parameters that have none.
    plain: Option<TensorType>,
}

/// The graph of an example. `len` is the size of vectors.
pub(super) fn graph_of(text: &str, len: usize) -> Result<Graph, String> {
    let mut reader = Reader {
        text,
        at: 0,
        builder: Builder::new("example"),
        known: BTreeMap::new(),
        plain: None,
    };
    reader.space();
    let first = text.split_whitespace().next().unwrap_or_default();
    if let Some(dtype) = DType::from_name(first) {
        reader.at = first.len();
        let ty = parse_attr(&format!("{dtype}[{len}]")).map_err(|e| e.to_string())?;
        reader.plain = Some(ty);
    }
    let mut outputs = Vec::new();
    reader.space();
    while reader.at < text.len() {
        outputs.push(reader.node()?);
        reader.space();
    }
    Ok(reader.builder.finish(outputs, &Graph::new()))
}

/// An operand: a node, or a number that waits for its type.
enum Operand {
    Node(NodeId),
    Number(f64),
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, mark: char) -> bool {
        let found = self.rest().starts_with(mark);
        self.at += usize::from(found);
        found
    }

    /// The text up to one of the marks.
    fn until(&mut self, marks: &[char]) -> &str {
        let rest = &self.text[self.at..];
        let end = rest.find(marks).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn node(&mut self) -> Result<NodeId, String> {
        match self.operand()? {
            Operand::Node(id) => Ok(id),
            Operand::Number(n) => Err(format!("{n} has no type")),
        }
    }

    fn operand(&mut self) -> Result<Operand, String> {
        self.space();
        if self.eat('(') {
            return self.operation().map(Operand::Node);
        }
        if self.eat('?') || self.eat('#') {
            let name = self.until(&[' ', ')', ':', '\n']).to_owned();
            let typed = self.typed()?;
            if let Some(&known) = self.known.get(&name) {
                return Ok(Operand::Node(known));
            }
            let ty = typed.or_else(|| self.plain.clone());
            let ty = ty.ok_or_else(|| format!("?{name} has no type"))?;
            let id = self.builder.input(ty);
            self.known.insert(name, id);
            return Ok(Operand::Node(id));
        }
        let word = self.until(&[' ', ')', ':', '\n']).to_owned();
        let number = match &*word {
            "true" => 1.0,
            "false" => 0.0,
            other => other
                .parse()
                .map_err(|_| format!("`{other}` is no number"))?,
        };
        match self.typed()? {
            Some(ty) => self.splat(number, &ty).map(Operand::Node),
            None => Ok(Operand::Number(number)),
        }
    }

    fn typed(&mut self) -> Result<Option<TensorType>, String> {
        if !self.eat(':') {
            return Ok(None);
        }
        let mut text = self.until(&[']']).to_owned();
        self.at += 1;
        text.push(']');
        parse_attr(&text)
            .map(Some)
            .map_err(|e| format!("`{text}`: {e}"))
    }

    fn splat(&mut self, number: f64, ty: &TensorType) -> Result<NodeId, String> {
        let value = Scalar::from_f64(ty.dtype, number);
        self.builder
            .splat(value, &ty.dims)
            .map_err(|e| e.to_string())
    }

    fn operation(&mut self) -> Result<NodeId, String> {
        let name = self.until(&[' ', ')', '{', '\n']).to_owned();
        let mut attributes = String::new();
        if self.eat('{') {
            attributes = self.until(&['}']).to_owned();
            self.at += 1;
        }
        let mut operands = Vec::new();
        loop {
            self.space();
            if self.eat(')') {
                break;
            }
            operands.push(self.operand()?);
        }
        let op = super::super::language::function_named(&name);
        let op = match op {
            Some(op) => op,
            None => Op::read_attrs(&name, &mut AttrReader::new(&attributes))
                .map_err(|e| format!("{name}: {e}"))?
                .ok_or_else(|| format!("there is no operation `{name}`"))?,
        };
        if let Arity::Exactly(n) = op.info().arity
            && n != operands.len()
        {
            return Err(format!("{name} has {} operands", operands.len()));
        }
        let beside = operands.iter().skip(usize::from(op == Op::Select {}));
        let beside = beside.filter_map(|o| match o {
            Operand::Node(id) => Some(self.builder.ty(*id).clone()),
            Operand::Number(_) => None,
        });
        let beside = beside.collect::<Vec<_>>().first().cloned();
        let mut ids = Vec::new();
        for operand in operands {
            ids.push(match (operand, &beside) {
                (Operand::Node(id), _) => id,
                (Operand::Number(n), Some(ty)) => self.splat(n, &ty.clone())?,
                (Operand::Number(n), None) => return Err(format!("{n} has no type")),
            });
        }
        self.builder.emit(op, &ids).map_err(|e| e.to_string())
    }
}
