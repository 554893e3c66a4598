//! Patterns: what most rules look for, and what they put beside it, as text.
//!
//! `(add (mul ?a ?b) 1)` is an operation by its mnemonic over patterns. `?a` is any class and the same one
//! wherever it stands, `#k` a class whose value is a constant at every place, a number is that constant in
//! the type of what stands beside it. Operands of operations that commute match in either order.

use super::language::{Kinds, OpKind, function_named};
use super::space::{Space, Tree};
use crate::canon::rules::commutes;
use egg::Id;
use lazulite_ir::{AttrReader, Op, Predicate, Scalar, TensorType};

/// Variables of a rule at most.
const VARIABLES: usize = 6;

/// What the variables stand for.
pub(super) type Bindings = [Option<Id>; VARIABLES];

/// A pattern.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Pattern {
    /// A variable.
    Any(usize),
    /// A variable that stands for a constant.
    Constant(usize),
    /// A number (true is 1).
    Number(f64),
    /// An operation.
    Apply(Box<Op>, Vec<Pattern>),
}

/// Reads patterns that share variables.
#[derive(Default, Debug)]
pub(super) struct Reader {
    names: Vec<String>,
}

impl Reader {
    /// The number of the variable `name`, which may be new.
    pub fn variable(&mut self, name: &str) -> Result<usize, String> {
        if let Some(known) = self.names.iter().position(|n| n == name) {
            return Ok(known);
        }
        if self.names.len() == VARIABLES {
            return Err(format!("more than {VARIABLES} variables"));
        }
        self.names.push(name.to_owned());
        Ok(self.names.len() - 1)
    }

    /// Reads one pattern, which must be all there is.
    pub fn read(&mut self, text: &str) -> Result<Pattern, String> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let mut words = spaced.split_whitespace();
        let first = words.next().ok_or("there is no pattern")?;
        let pattern = self.pattern(first, &mut words)?;
        match words.next() {
            None => Ok(pattern),
            Some(more) => Err(format!("`{more}` behind the end of `{text}`")),
        }
    }

    fn pattern(
        &mut self,
        word: &str,
        words: &mut dyn Iterator<Item = &str>,
    ) -> Result<Pattern, String> {
        if word != "(" {
            return self.leaf(word);
        }
        let name = words.next().ok_or("an operation without a name")?;
        let op = operation(name).ok_or_else(|| format!("there is no operation `{name}`"))?;
        let op = Box::new(op);
        let mut operands = Vec::new();
        loop {
            match words.next().ok_or("a parenthesis is not closed")? {
                ")" => return Ok(Pattern::Apply(op, operands)),
                word => operands.push(self.pattern(word, words)?),
            }
        }
    }

    fn leaf(&mut self, word: &str) -> Result<Pattern, String> {
        if let Some(name) = word.strip_prefix('?') {
            return self.variable(name).map(Pattern::Any);
        }
        if let Some(name) = word.strip_prefix('#') {
            return self.variable(name).map(Pattern::Constant);
        }
        if word == "true" {
            return Ok(Pattern::Number(1.0));
        }
        let number = word
            .parse()
            .map_err(|_| format!("`{word}` is no pattern"))?;
        Ok(Pattern::Number(number))
    }
}

/// The operation without attributes, or function, called `name`.
fn operation(name: &str) -> Option<Op> {
    let plain = || {
        Op::read_attrs(name, &mut AttrReader::new(""))
            .ok()
            .flatten()
    };
    function_named(name).or_else(plain)
}

/// True if operands may be exchanged.
fn is_symmetric(op: &Op, dtype: lazulite_ir::DType) -> bool {
    match op {
        Op::Binary { f } => commutes(*f, dtype),
        Op::Compare { predicate } => matches!(predicate, Predicate::Eq | Predicate::Ne),
        _ => false,
    }
}

impl Pattern {
    /// The kind of the outermost operation.
    pub fn root(&self) -> Option<OpKind> {
        match self {
            Pattern::Apply(op, _) => Some(OpKind::of(op)),
            Pattern::Any(_) | Pattern::Constant(_) | Pattern::Number(_) => None,
        }
    }

    /// Adds the kinds of all operations.
    pub fn kinds(&self, into: &mut Kinds) {
        if let Pattern::Apply(op, operands) = self {
            into.insert(OpKind::of(op));
            operands.iter().for_each(|p| p.kinds(into));
        }
    }

    /// Every way in which the operation over these operands matches, given what variables stand for already.
    pub fn find(&self, space: &Space, op: &Op, x: &[Id]) -> Vec<Bindings> {
        let mut found = Vec::new();
        self.apply(space, op, x, &Bindings::default(), &mut found);
        found
    }

    fn apply(&self, space: &Space, op: &Op, x: &[Id], bound: &Bindings, out: &mut Vec<Bindings>) {
        let Pattern::Apply(own, operands) = self else {
            return;
        };
        if **own != *op || operands.len() != x.len() {
            return;
        }
        all_of(space, operands, x, bound, out);
        if let [a, b] = *x
            && a != b
            && is_symmetric(op, space.dtype(a))
        {
            all_of(space, operands, &[b, a], bound, out);
        }
    }

    fn class(&self, space: &Space, id: Id, bound: &Bindings, out: &mut Vec<Bindings>) {
        let id = space.find(id);
        match self {
            Pattern::Constant(_) if space.splat(id).is_none() => {}
            Pattern::Any(v) | Pattern::Constant(v) => match bound[*v] {
                Some(other) if space.find(other) != id => {}
                _ => {
                    let mut bound = *bound;
                    bound[*v] = Some(id);
                    out.push(bound);
                }
            },
            Pattern::Number(n) => {
                let dtype = space.dtype(id);
                if space.splat(id) == Some(Scalar::from_f64(dtype, *n)) {
                    out.push(*bound);
                }
            }
            Pattern::Apply(..) => {
                for (op, x) in space.terms(id) {
                    self.apply(space, op, x, bound, out);
                }
            }
        }
    }

    /// The pattern with classes for its variables, for a class of type `root`.
    pub fn tree(&self, space: &Space, bound: &Bindings, root: &TensorType) -> Option<Tree> {
        match self {
            Pattern::Any(v) | Pattern::Constant(v) => Some(Tree::Class(bound[*v]?)),
            Pattern::Number(n) => {
                let value = Scalar::from_f64(root.dtype, *n);
                Some(Tree::Splat(value, root.dims.clone()))
            }
            Pattern::Apply(op, operands) => {
                let typed = operands.iter().skip(usize::from(**op == Op::Select {}));
                let mut types = typed.filter_map(|p| p.ty(space, bound));
                let beside = types.next().unwrap_or_else(|| root.clone());
                let operands = operands.iter().map(|p| p.tree(space, bound, &beside));
                Some(Tree::Op((**op).clone(), operands.collect::<Option<_>>()?))
            }
        }
    }

    /// The type, where variables tell it.
    fn ty(&self, space: &Space, bound: &Bindings) -> Option<TensorType> {
        match self {
            Pattern::Any(v) | Pattern::Constant(v) => Some(space.ty(bound[*v]?).clone()),
            Pattern::Number(_) => None,
            Pattern::Apply(op, operands) => {
                let typed = operands.iter().skip(usize::from(**op == Op::Select {}));
                let mut ty = typed.filter_map(|p| p.ty(space, bound)).next()?;
                if let Op::Compare { .. } = **op {
                    ty.dtype = lazulite_ir::DType::Bool;
                }
                Some(ty)
            }
        }
    }
}

fn all_of(
    space: &Space,
    patterns: &[Pattern],
    x: &[Id],
    bound: &Bindings,
    out: &mut Vec<Bindings>,
) {
    let mut ways = vec![*bound];
    for (pattern, &id) in patterns.iter().zip(x) {
        let mut next = Vec::new();
        for way in &ways {
            pattern.class(space, id, way, &mut next);
        }
        ways = next;
        if ways.is_empty() {
            return;
        }
    }
    out.append(&mut ways);
}
