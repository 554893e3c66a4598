//! Formulas over f64 tensors, written as formulas: numbers and tests are small copyable handles
//! with operators, and the whole is then added to a graph at once.

use crate::PassError;
use crate::build::Emit;
use lazulite_ir::{Binary, DType, Dims, NodeId, Op, Predicate, Scalar, Unary};
use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

enum Term {
    Node(NodeId),
    Number(f64),
    Unary(Unary, usize),
    Binary(Binary, usize, usize),
    Compare(Predicate, usize, usize),
    /// The sign bit.
    Negative(usize),
    Select(usize, usize, usize),
}

/// A formula in the making.
#[derive(Default)]
pub(super) struct Formula {
    terms: RefCell<Vec<Term>>,
}

/// A number in a formula.
#[derive(Clone, Copy)]
pub(super) struct Num<'f> {
    formula: &'f Formula,
    index: usize,
}

/// A truth value in a formula.
#[derive(Clone, Copy)]
pub(super) struct Test<'f>(Num<'f>);

impl Formula {
    fn push(&self, term: Term) -> Num<'_> {
        let mut terms = self.terms.borrow_mut();
        terms.push(term);
        Num {
            formula: self,
            index: terms.len() - 1,
        }
    }

    /// An f64 tensor.
    pub fn node(&self, id: NodeId) -> Num<'_> {
        self.push(Term::Node(id))
    }

    /// A constant.
    pub fn number(&self, value: f64) -> Num<'_> {
        self.push(Term::Number(value))
    }

    /// Adds all terms, which are over tensors of `dims`, to a graph; returns the node of each of `wanted`.
    pub fn emit<const N: usize>(
        &self,
        b: &mut impl Emit,
        dims: &Dims,
        wanted: [Num<'_>; N],
    ) -> Result<[NodeId; N], PassError> {
        let mut nodes: Vec<NodeId> = Vec::new();
        for term in self.terms.borrow().iter() {
            // Operands of a term stand before it.
            let node = match *term {
                Term::Node(id) => id,
                Term::Number(v) => b.splat(Scalar::from_f64(DType::F64, v), dims)?,
                Term::Unary(f, x) => b.unary(f, nodes[x])?,
                Term::Binary(f, x, y) => b.binary(f, nodes[x], nodes[y])?,
                Term::Compare(p, x, y) => b.compare(p, nodes[x], nodes[y])?,
                Term::Negative(x) => {
                    let dtype = DType::I64;
                    let bits = b.emit(Op::Bitcast { dtype }, &[nodes[x]])?;
                    let zero = b.splat(Scalar::from_i64(dtype, 0), dims)?;
                    b.compare(Predicate::Lt, bits, zero)?
                }
                Term::Select(c, x, y) => b.select(nodes[c], nodes[x], nodes[y])?,
            };
            nodes.push(node);
        }
        Ok(wanted.map(|n| nodes[n.index]))
    }
}

impl<'f> Num<'f> {
    /// A constant of the same formula.
    pub fn number(self, value: f64) -> Num<'f> {
        self.formula.number(value)
    }

    fn unary(self, f: Unary) -> Num<'f> {
        self.formula.push(Term::Unary(f, self.index))
    }

    fn binary(self, f: Binary, other: Num<'f>) -> Num<'f> {
        self.formula.push(Term::Binary(f, self.index, other.index))
    }

    fn compare(self, p: Predicate, other: Num<'f>) -> Test<'f> {
        Test(self.formula.push(Term::Compare(p, self.index, other.index)))
    }

    pub fn abs(self) -> Num<'f> {
        self.unary(Unary::Abs)
    }

    pub fn sqrt(self) -> Num<'f> {
        self.unary(Unary::Sqrt)
    }

    pub fn exp(self) -> Num<'f> {
        self.unary(Unary::Exp)
    }

    pub fn expm1(self) -> Num<'f> {
        self.unary(Unary::Expm1)
    }

    pub fn ln(self) -> Num<'f> {
        self.unary(Unary::Log)
    }

    pub fn ln_1p(self) -> Num<'f> {
        self.unary(Unary::Log1p)
    }

    pub fn sin(self) -> Num<'f> {
        self.unary(Unary::Sin)
    }

    pub fn cos(self) -> Num<'f> {
        self.unary(Unary::Cos)
    }

    pub fn atan(self) -> Num<'f> {
        self.unary(Unary::Atan)
    }

    pub fn max(self, other: Num<'f>) -> Num<'f> {
        self.binary(Binary::Max, other)
    }

    pub fn min(self, other: Num<'f>) -> Num<'f> {
        self.binary(Binary::Min, other)
    }

    pub fn lt(self, other: f64) -> Test<'f> {
        self.compare(Predicate::Lt, self.number(other))
    }

    pub fn gt(self, other: f64) -> Test<'f> {
        self.number(other).compare(Predicate::Lt, self)
    }

    pub fn ge(self, other: Num<'f>) -> Test<'f> {
        other.compare(Predicate::Le, self)
    }

    pub fn is(self, value: f64) -> Test<'f> {
        self.compare(Predicate::Eq, self.number(value))
    }

    pub fn is_infinite(self) -> Test<'f> {
        self.abs().is(f64::INFINITY)
    }

    pub fn is_nan(self) -> Test<'f> {
        self.compare(Predicate::Ne, self)
    }

    /// Neither infinite nor NaN.
    pub fn is_finite(self) -> Test<'f> {
        self.abs().lt(f64::INFINITY)
    }

    /// Has a sign, as -0 and -NaN do.
    pub fn is_negative(self) -> Test<'f> {
        Test(self.formula.push(Term::Negative(self.index)))
    }

    /// This number, which has no sign, with the sign of `other`.
    pub fn signed_as(self, other: Num<'f>) -> Num<'f> {
        other.is_negative().choose(-self, self)
    }
}

impl<'f> Test<'f> {
    pub fn and(self, other: Test<'f>) -> Test<'f> {
        Test(self.0.binary(Binary::And, other.0))
    }

    pub fn or(self, other: Test<'f>) -> Test<'f> {
        Test(self.0.binary(Binary::Or, other.0))
    }

    /// `a` where this is true, else `b`.
    pub fn choose(self, a: Num<'f>, b: Num<'f>) -> Num<'f> {
        let (formula, c) = (self.0.formula, self.0.index);
        formula.push(Term::Select(c, a.index, b.index))
    }
}

impl<'f> Neg for Num<'f> {
    type Output = Num<'f>;
    fn neg(self) -> Num<'f> {
        self.unary(Unary::Neg)
    }
}

macro_rules! operators {
    ($($Trait:ident $method:ident $binary:ident;)*) => { $(
        impl<'f> $Trait for Num<'f> {
            type Output = Num<'f>;
            fn $method(self, other: Num<'f>) -> Num<'f> {
                self.binary(Binary::$binary, other)
            }
        }

        impl<'f> $Trait<f64> for Num<'f> {
            type Output = Num<'f>;
            fn $method(self, other: f64) -> Num<'f> {
                $Trait::$method(self, self.number(other))
            }
        }
    )* };
}

operators! {
    Add add Add;
    Mul mul Mul;
    Div div Div;
}

impl<'f> Sub for Num<'f> {
    type Output = Num<'f>;
    fn sub(self, other: Num<'f>) -> Num<'f> {
        self + -other
    }
}

impl<'f> Sub<f64> for Num<'f> {
    type Output = Num<'f>;
    fn sub(self, other: f64) -> Num<'f> {
        self + -other
    }
}
