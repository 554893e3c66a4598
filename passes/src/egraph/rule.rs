//! Rules as data: what is equal to what, under which condition, with how much freedom, and why.

use super::facts::Known;
use super::language::{Kinds, Maker, OpKind};
use super::pattern::{Bindings, Pattern, Reader};
use super::space::{Space, Tree};
use crate::Numerics;
use egg::Id;
use lazulite_ir::{Binary, DType, Op, Predicate, Unary};
use std::sync::LazyLock;

/// A rule of the e-graph.
#[derive(Debug)]
pub struct Rule {
    /// Its name, unique.
    pub name: &'static str,
    /// Why it is right, and why it is wanted if that is not plain.
    pub why: &'static str,
    /// The freedom in rounding that it needs.
    pub class: Numerics,
    pub(super) how: How,
    /// Programs in which it fires, in the notation of the tests; patterns are programs already.
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are for tests"))]
    pub(super) fires: &'static [&'static str],
    /// A program in which it must not fire although it nearly could.
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are for tests"))]
    pub(super) never: &'static str,
}

/// What a rule does.
#[derive(Debug)]
pub(super) enum How {
    /// Puts one pattern beside another.
    Equal {
        from: &'static str,
        to: &'static str,
        /// Element types of the variables.
        on: Types,
        /// What must be known of variables.
        when: &'static [(&'static str, Known)],
    },
    /// Code, for what patterns cannot say.
    Code {
        /// Operations that it is offered.
        roots: &'static [&'static str],
        /// Other operations without which it has nothing to do.
        needs: &'static [&'static str],
        apply: Apply,
    },
}

/// The code of a rule: given a term it says what is equal to what.
pub(super) type Apply = fn(&Space, &At<'_>, &mut Found);

/// The term that a rule is offered.
pub(super) struct At<'a> {
    /// Its class.
    pub class: Id,
    /// Its operation.
    pub op: &'a Op,
    /// Its operands.
    pub x: &'a [Id],
}

/// What rules have found: equalities that belong together.
#[derive(Default, Debug)]
pub(super) struct Found(pub Vec<Vec<(Id, Tree)>>);

impl Found {
    /// The class is equal to the tree.
    pub fn equal(&mut self, class: Id, tree: impl Into<Tree>) {
        self.0.push(vec![(class, tree.into())]);
    }

    /// Several classes have equals that are worth it together only.
    pub fn together(&mut self, equal: Vec<(Id, Tree)>) {
        self.0.push(equal);
    }
}

/// Sets of element types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Types {
    /// Real floats in which arithmetic is done.
    Float,
    /// Integers.
    Int,
    /// Integers and bool.
    Bits,
    /// Bool.
    Bool,
    /// All but complex numbers.
    Real,
    /// Signed integers and floats.
    Signed,
}

impl Types {
    /// True if `dtype` is one of them.
    pub fn contain(self, dtype: DType) -> bool {
        let float = matches!(dtype, DType::F32 | DType::F64);
        let bool = dtype == DType::Bool;
        match self {
            Types::Float => float,
            Types::Int => dtype.is_int(),
            Types::Bits => dtype.is_int() || bool,
            Types::Bool => bool,
            Types::Real => dtype.is_int() || bool || float,
            Types::Signed => dtype.is_signed_int() || float,
        }
    }
}

/// A rule ready for use.
#[derive(Debug)]
pub(super) struct Prepared {
    pub rule: &'static Rule,
    /// Kinds of the terms that it is offered.
    pub roots: Vec<OpKind>,
    /// Kinds that must all occur for it to fire.
    pub needs: Kinds,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Equal(Box<Equality>),
    Code(Apply),
}

/// A rule between patterns that have been read.
#[derive(Debug)]
struct Equality {
    from: Pattern,
    to: Pattern,
    on: Types,
    when: Vec<(usize, Known)>,
}

impl Prepared {
    fn new(rule: &'static Rule) -> Result<Prepared, String> {
        let named = |name: &&str| OpKind::named(name).ok_or_else(|| format!("no kind `{name}`"));
        let mut kinds = Kinds::default();
        let (roots, action) = match &rule.how {
            How::Equal { from, to, on, when } => {
                let mut reader = Reader::default();
                let (from, to) = (reader.read(from)?, reader.read(to)?);
                from.kinds(&mut kinds);
                let known = |(name, known): &(&str, Known)| Ok((reader.variable(name)?, *known));
                let when: Vec<_> = when.iter().map(known).collect::<Result<_, String>>()?;
                let root = from.root().ok_or("a variable matches everything")?;
                let on = *on;
                let rule = Equality { from, to, on, when };
                (vec![root], Action::Equal(Box::new(rule)))
            }
            How::Code {
                roots,
                needs,
                apply,
            } => {
                for name in *needs {
                    kinds.insert(named(name)?);
                }
                let roots = roots
                    .iter()
                    .map(kinds_named)
                    .collect::<Result<Vec<_>, _>>()?
                    .concat();
                (roots, Action::Code(*apply))
            }
        };
        Ok(Prepared {
            rule,
            roots,
            needs: kinds,
            action,
        })
    }

    /// What the rule says of a term.
    pub fn find(&self, space: &Space, at: &At<'_>, found: &mut Found) {
        match &self.action {
            Action::Code(apply) => apply(space, at, found),
            Action::Equal(rule) => {
                for bound in rule.from.find(space, at.op, at.x) {
                    let tree = || rule.to.tree(space, &bound, space.ty(at.class));
                    if allowed(space, &bound, rule.on, &rule.when)
                        && let Some(tree) = tree()
                    {
                        found.equal(at.class, tree);
                    }
                }
            }
        }
    }
}

/// The kinds that `name` stands for: all functions of the rows that have functions, else one kind.
fn kinds_named(name: &&str) -> Result<Vec<OpKind>, String> {
    let unary = Unary::ALL.iter().map(|&f| Op::Unary { f });
    let binary = Binary::ALL.iter().map(|&f| Op::Binary { f });
    let compare = Predicate::ALL
        .iter()
        .map(|&predicate| Op::Compare { predicate });
    let family: Vec<OpKind> = unary
        .chain(binary)
        .chain(compare)
        .filter(|op| op.info().mnemonic == *name)
        .map(|op| OpKind::of(&op))
        .collect();
    if !family.is_empty() {
        return Ok(family);
    }
    let kind = OpKind::named(name).ok_or_else(|| format!("no kind `{name}`"))?;
    Ok(vec![kind])
}

/// True if the types and facts of what was found are those the rule asks for.
fn allowed(space: &Space, bound: &Bindings, on: Types, when: &[(usize, Known)]) -> bool {
    let classes = bound.iter().flatten();
    // Conditions of selections are always bool.
    let mut dtypes = classes.map(|&id| space.dtype(id));
    dtypes.all(|d| on.contain(d) || (d == DType::Bool && on != Types::Int))
        && bound
            .iter()
            .flatten()
            .any(|&id| on.contain(space.dtype(id)))
        && when
            .iter()
            .all(|&(v, known)| bound[v].is_some_and(|id| space.knows(id, known)))
}

/// All rules, ready for use, in the order of [`super::rules::all`].
pub(super) static PREPARED: LazyLock<Vec<Prepared>> = LazyLock::new(|| {
    let ready = |rule: &'static Rule| match Prepared::new(rule) {
        Ok(rule) => rule,
        Err(e) => unreachable!("rule `{}`, which a test reads: {e}", rule.name),
    };
    super::rules::all().map(ready).collect()
});

/// A rule between patterns.
pub(super) const fn equal(
    name: &'static str,
    class: Numerics,
    (on, from, to): (Types, &'static str, &'static str),
    why: &'static str,
    never: &'static str,
) -> Rule {
    let how = How::Equal {
        from,
        to,
        on,
        when: &[],
    };
    Rule {
        name,
        why,
        class,
        how,
        fires: &[],
        never,
    }
}

/// A rule between patterns that asks for facts.
pub(super) const fn guarded(
    name: &'static str,
    class: Numerics,
    (on, from, to): (Types, &'static str, &'static str),
    when: &'static [(&'static str, Known)],
    why: &'static str,
    [fires, never]: [&'static [&'static str]; 2],
) -> Rule {
    let how = How::Equal { from, to, on, when };
    Rule {
        name,
        why,
        class,
        how,
        fires,
        never: only(never),
    }
}

/// A rule in code.
pub(super) const fn code(
    name: &'static str,
    class: Numerics,
    (roots, needs): (&'static [&'static str], &'static [&'static str]),
    apply: Apply,
    why: &'static str,
    [fires, never]: [&'static [&'static str]; 2],
) -> Rule {
    let how = How::Code {
        roots,
        needs,
        apply,
    };
    Rule {
        name,
        why,
        class,
        how,
        fires,
        never: only(never),
    }
}

/// The one program in which a rule must not fire.
const fn only(programs: &[&'static str]) -> &'static str {
    let [program] = programs else {
        panic!("there is to be one program in which the rule does not fire")
    };
    program
}

/// The rule that made a term.
pub(super) fn maker(by: Maker) -> Option<&'static str> {
    let rule = PREPARED.get(usize::from(by).checked_sub(1)?)?;
    Some(rule.rule.name)
}
