//! Graphs as text.
//!
//! Parameters stand in the head, every other node is one statement: number, mnemonic, operands,
//! attributes, type, and perhaps where it comes from. Parameters added behind other nodes are
//! statements too, so that numbers in the text are positions in [`Graph::nodes`]. The reader takes
//! any numbers, each defined before it is used; it checks every stated type against inference, and
//! equal nodes become one, as always in graphs. Guards that inference finds need not be stated.

use super::lex::{Position, Token, TokenKind};
use super::quote::{read_quoted, write_quoted};
use crate::attr::{Attr, AttrReader, AttrWriter, Layout};
use crate::{
    Binary, Graph, Guard, Inputs, Node, NodeId, Op, Relation, Source, TensorType, TextError, Type,
    Unary, check_type,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::fmt::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

/// The text of a graph without source locations.
pub fn print_graph(graph: &Graph) -> String {
    print_with(graph, false, &mut |_| {})
}

/// The text of a graph with the source locations of its nodes.
pub fn print_graph_with_sources(graph: &Graph) -> String {
    print_with(graph, true, &mut |_| {})
}

/// The text of a graph, and where in it each node begins.
pub(crate) fn print_graph_with_starts(graph: &Graph) -> (String, Vec<usize>) {
    let mut starts = Vec::with_capacity(graph.nodes().len());
    let text = print_with(graph, false, &mut |start| starts.push(start));
    (text, starts)
}

fn print_with(graph: &Graph, sources: bool, on_node: &mut dyn FnMut(usize)) -> String {
    let mut text = String::new();
    write_graph(&mut text, graph, Layout { depth: 0, sources }, on_node);
    text.push('\n');
    text
}

/// Reads a graph, which must be all there is.
pub fn parse_graph(text: &str) -> Result<Graph, TextError> {
    let mut reader = AttrReader::new(text);
    let graph = read_graph(&mut reader)?;
    reader.cursor.expect_end()?;
    Ok(graph)
}

/// As [`print_graph`].
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print_graph(self))
    }
}

/// As [`parse_graph`].
impl FromStr for Graph {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Graph, TextError> {
        parse_graph(text)
    }
}

/// Appends a graph, without a line end behind it. Before each node `on_node` is given the length
/// of the text so far.
pub(crate) fn write_graph(
    out: &mut String,
    graph: &Graph,
    layout: Layout,
    on_node: &mut dyn FnMut(usize),
) {
    // Writing to a string cannot fail.
    let _ = GraphWriter { out, graph, layout }.write(on_node);
}

struct GraphWriter<'a> {
    out: &'a mut String,
    graph: &'a Graph,
    layout: Layout,
}

impl GraphWriter<'_> {
    fn write(&mut self, on_node: &mut dyn FnMut(usize)) -> fmt::Result {
        let graph = self.graph;
        let head = graph.nodes().iter().zip(0..).take_while(
            |(node, index)| matches!(&node.op, Op::Input { index: i, .. } if i == index),
        );
        let head = head.count();
        self.out.push_str("graph(");
        for (id, node) in graph.ids().zip(graph.nodes()).take(head) {
            self.out.push_str(if id.0 == 0 { "" } else { ", " });
            on_node(self.out.len());
            write!(self.out, "%{}: {}", id.0, node.ty)?;
            self.source(id)?;
        }
        self.out.push_str(") {\n");
        for guard in graph.guards() {
            self.indent(1);
            write!(self.out, "{guard}, ")?;
            write_quoted(self.out, &guard.message)?;
            self.out.push('\n');
        }
        for (id, node) in graph.ids().zip(graph.nodes()).skip(head) {
            self.indent(1);
            on_node(self.out.len());
            self.node(id, node)?;
            self.source(id)?;
            self.out.push('\n');
        }
        self.indent(1);
        self.out.push_str("return");
        self.operands(graph.outputs())?;
        self.out.push('\n');
        self.indent(0);
        self.out.push('}');
        Ok(())
    }

    fn indent(&mut self, more: u32) {
        for _ in 0..self.layout.depth + more {
            self.out.push_str("  ");
        }
    }

    fn node(&mut self, id: NodeId, node: &Node) -> fmt::Result {
        write!(self.out, "%{} = {}", id.0, node.op.mnemonic())?;
        self.operands(&node.inputs)?;
        if has_attributes(&node.op) {
            self.out.push_str(" {");
            let mut attributes = AttrWriter::with_layout(self.out, self.layout);
            node.op.write_attrs(&mut attributes);
            self.out.push('}');
        }
        write!(self.out, " : {}", node.ty)
    }

    fn operands(&mut self, operands: &[NodeId]) -> fmt::Result {
        for (i, operand) in operands.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(self.out, "{comma} %{}", operand.0)?;
        }
        Ok(())
    }

    fn source(&mut self, id: NodeId) -> fmt::Result {
        let Some(source) = self.graph.source(id).filter(|_| self.layout.sources) else {
            return Ok(());
        };
        write_source(self.out, source)
    }
}

/// Appends ` @ "file":line:column in "trail"`.
pub(crate) fn write_source(out: &mut String, source: &Source) -> fmt::Result {
    out.push_str(" @ ");
    write_quoted(out, &source.file)?;
    write!(out, ":{}:{}", source.line, source.column)?;
    if !source.trail.is_empty() {
        out.push_str(" in ");
        write_quoted(out, &source.trail)?;
    }
    Ok(())
}

/// The mnemonics of scalar functions are their attribute.
fn has_attributes(op: &Op) -> bool {
    !matches!(op, Op::Unary { .. } | Op::Binary { .. }) && !op.info().attrs.is_empty()
}

/// As in text, without the message.
impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relation = match self.relation {
            Relation::Eq => "==",
            Relation::Le => "<=",
        };
        write!(f, "guard {} {relation} {}", self.lhs, self.rhs)
    }
}

/// Reads a graph and leaves the reader behind it.
pub(crate) fn read_graph(from: &mut AttrReader<'_>) -> Result<Graph, TextError> {
    let mut reader = GraphReader::default();
    let cursor = &mut from.cursor;
    cursor.expect_word("graph")?;
    cursor.expect("(")?;
    from.items_until(")", |from| reader.parameter(from))?;
    from.cursor.expect("{")?;
    while !from.cursor.eat_word("return") {
        reader.statement(from)?;
    }
    let outputs = reader.results(from)?;
    from.cursor.expect("}")?;
    Ok(reader.finish(outputs))
}

#[derive(Default)]
struct GraphReader {
    graph: Graph,
    /// What the numbers in the text stand for.
    nodes: FxHashMap<u32, NodeId>,
    /// Guards that the text states.
    guards: Vec<Guard>,
}

impl GraphReader {
    fn parameter(&mut self, from: &mut AttrReader<'_>) -> Result<(), TextError> {
        let name = self.new_number(from, "a parameter (`%0: f32[4]`)")?;
        from.cursor.expect(":")?;
        let at = from.cursor.peek().at;
        let ty = TensorType::read(from)?;
        let id = self.input(ty, at)?;
        self.nodes.insert(name, id);
        self.source(from, id)
    }

    fn input(&mut self, ty: TensorType, at: Position) -> Result<NodeId, TextError> {
        check_type("input", &ty).map_err(|e| at.error(e.to_string()))?;
        Ok(self.graph.input(ty))
    }

    fn statement(&mut self, from: &mut AttrReader<'_>) -> Result<(), TextError> {
        let first = from.cursor.peek();
        if first.is(TokenKind::Word, "guard") {
            from.cursor.advance();
            return self.guard(from);
        }
        let name = self.new_number(from, "a node (`%1 = ...`), `guard` or `return`")?;
        from.cursor.expect("=")?;
        let id = self.node(from)?;
        self.nodes.insert(name, id);
        self.source(from, id)
    }

    fn guard(&mut self, from: &mut AttrReader<'_>) -> Result<(), TextError> {
        let lhs = Attr::read(from)?;
        let relation = if from.cursor.eat("==") {
            Relation::Eq
        } else if from.cursor.eat("<=") {
            Relation::Le
        } else {
            return Err(from.cursor.expected("`==` or `<=`"));
        };
        let rhs = Attr::read(from)?;
        from.cursor.expect(",")?;
        let message = Arc::<str>::read(from)?;
        self.guards.push(Guard {
            lhs,
            relation,
            rhs,
            message,
        });
        Ok(())
    }

    fn node(&mut self, from: &mut AttrReader<'_>) -> Result<NodeId, TextError> {
        let mnemonic = from.cursor.take(TokenKind::Word, "an operation")?;
        let inputs = self.operands(from)?;
        let op = read_op(from, mnemonic)?;
        from.cursor.expect(":")?;
        let type_at = from.cursor.peek().at;
        let stated = read_type(from)?;
        let id = self.add(op, inputs, mnemonic.at)?;
        let inferred = &self.graph.node(id).ty;
        if *inferred != stated {
            let message = format!("the type is {inferred}, stated is {stated}");
            return Err(type_at.error(message));
        }
        Ok(id)
    }

    fn add(&mut self, op: Op, inputs: Inputs, at: Position) -> Result<NodeId, TextError> {
        if let Op::Input { index, ty } = op {
            let next = self.graph.inputs().len();
            if index as usize != next || !inputs.is_empty() {
                let message = format!("expected parameter {next} without operands");
                return Err(at.error(message));
            }
            return self.input(ty, at);
        }
        let added = self.graph.add(op, inputs);
        added.map_err(|e| at.error(e.to_string()))
    }

    fn operands(&self, from: &mut AttrReader<'_>) -> Result<Inputs, TextError> {
        let mut operands = Inputs::new();
        if from.cursor.peek().kind != TokenKind::Node {
            return Ok(operands);
        }
        loop {
            let (token, number) = read_number(from, "a node (`%0`)")?;
            let id = self.nodes.get(&number).ok_or_else(|| {
                let message = format!("{} is not defined above", token.text);
                token.at.error(message)
            })?;
            operands.push(*id);
            if !from.cursor.eat(",") {
                return Ok(operands);
            }
        }
    }

    fn results(&self, from: &mut AttrReader<'_>) -> Result<Inputs, TextError> {
        let at = from.cursor.peek().at;
        let results = self.operands(from)?;
        let is_tensor = |id: &NodeId| self.graph.node(*id).ty.as_tensor().is_some();
        match results.iter().position(|id| !is_tensor(id)) {
            Some(number) => Err(at.error(format!("result {number} is a tuple, not one tensor"))),
            None => Ok(results),
        }
    }

    fn new_number(&self, from: &mut AttrReader<'_>, what: &str) -> Result<u32, TextError> {
        let (token, number) = read_number(from, what)?;
        if self.nodes.contains_key(&number) {
            return Err(token.at.error(format!("{} is defined already", token.text)));
        }
        Ok(number)
    }

    fn source(&mut self, from: &mut AttrReader<'_>, id: NodeId) -> Result<(), TextError> {
        let cursor = &mut from.cursor;
        if !cursor.eat("@") {
            return Ok(());
        }
        let file = read_quoted(cursor, "a file name in quotes")?.into();
        cursor.expect(":")?;
        let line = cursor.natural("a line number")?;
        cursor.expect(":")?;
        let column = cursor.natural("a column number")?;
        let trail = if cursor.eat_word("in") {
            read_quoted(cursor, "a trail in quotes")?
        } else {
            String::new()
        };
        let source = Source {
            file,
            line,
            column,
            trail: trail.into(),
        };
        self.graph.set_source(id, Arc::new(source));
        Ok(())
    }

    fn finish(self, outputs: Inputs) -> Graph {
        let GraphReader {
            mut graph, guards, ..
        } = self;
        graph.set_outputs(outputs);
        let stated: FxHashSet<&Guard> = guards.iter().collect();
        let inferred = graph.guards().iter().filter(|g| !stated.contains(g));
        let all = guards.iter().chain(inferred).cloned().collect();
        graph.set_guards(all);
        graph
    }
}

fn read_number<'a>(from: &mut AttrReader<'a>, what: &str) -> Result<(Token<'a>, u32), TextError> {
    let token = from.cursor.take(TokenKind::Node, what)?;
    let number = token.text[1..].parse().map_err(|_| {
        let message = format!("{} is more than nodes can be numbered", token.text);
        token.at.error(message)
    })?;
    Ok((token, number))
}

fn read_op(from: &mut AttrReader<'_>, mnemonic: Token<'_>) -> Result<Op, TextError> {
    if let Some(f) = Unary::from_name(mnemonic.text) {
        return Ok(Op::Unary { f });
    }
    if let Some(f) = Binary::from_name(mnemonic.text) {
        return Ok(Op::Binary { f });
    }
    let row = Op::TABLE.iter().find(|r| r.mnemonic == mnemonic.text);
    let braces = row.is_some_and(|r| !r.attrs.is_empty());
    if braces {
        from.cursor.expect("{")?;
    }
    let op = from.inner_list(|from| Op::read_attrs(mnemonic.text, from))?;
    if braces {
        from.cursor.expect("}")?;
    }
    op.ok_or_else(|| {
        let message = format!("expected an operation, found `{}`", mnemonic.text);
        mnemonic.at.error(message)
    })
}

fn read_type(from: &mut AttrReader<'_>) -> Result<Type, TextError> {
    if !from.cursor.eat("(") {
        return TensorType::read(from).map(Type::Tensor);
    }
    let types = from.items_until(")", TensorType::read)?;
    Ok(Type::Tuple(types.into()))
}
