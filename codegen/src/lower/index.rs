//! Index expressions as scalars, as registers, and as addresses.
//!
//! Sums are formed outermost loop first, so that each partial sum leaves the loops it does not depend
//! on and what remains in the innermost one folds into the addressing of the access.

use super::analyse::atom_depth;
use super::{Lowerer, Result};
use crate::vector::{Class, Conv, MemAccess, Reg, Scalar};
use lazulite_ir::{Dim, IndexAtom, IndexExpr, IndexTerm, Ranges, Var};
use smallvec::SmallVec;

/// How an index moves from lane to lane.
enum Motion {
    /// It does not.
    Uniform,
    /// By this much.
    Linear(Dim),
    /// Irregularly.
    Indexed,
}

impl Lowerer<'_> {
    /// Extents of the loops around the present place.
    pub(super) fn ranges(&self) -> Ranges<'_> {
        Ranges {
            outer: &self.kernel.outer,
            inner: match self.kernel.stages.get(self.stage) {
                Some(stage) => &stage.ranges,
                None => &[],
            },
        }
    }

    fn is_lane_var(&self, v: Var) -> bool {
        self.pack.lanes > 1 && self.pack.var == Some(v)
    }

    fn atom_varies(&self, atom: &IndexAtom) -> bool {
        match atom {
            IndexAtom::Var(v) => self.is_lane_var(*v),
            IndexAtom::Value(v) => self.pack.lanes > 1 && self.varies(*v),
            IndexAtom::FloorDiv(x, d) => self.divided_varies(x) && !self.stays_within(x, d),
            IndexAtom::Mod(x, _) => self.divided_varies(x),
        }
    }

    fn divided_varies(&self, x: &IndexExpr) -> bool {
        x.terms.iter().any(|t| self.atom_varies(&t.atom))
    }

    fn motion(&self, e: &IndexExpr) -> Motion {
        let mut varying = e.terms.iter().filter(|t| self.atom_varies(&t.atom));
        match (varying.next(), varying.next()) {
            (None, _) => Motion::Uniform,
            (Some(t), None) if self.steps_by_one(&t.atom) => Motion::Linear(t.coefficient.clone()),
            _ => Motion::Indexed,
        }
    }

    /// Whether an atom that differs between lanes is one more from each lane to the next.
    fn steps_by_one(&self, atom: &IndexAtom) -> bool {
        match atom {
            IndexAtom::Var(_) => true,
            IndexAtom::Value(_) | IndexAtom::FloorDiv(..) => false,
            IndexAtom::Mod(x, d) => self.stays_within(x, d),
        }
    }

    /// Whether the points of a pack never lie on both sides of a multiple of `d`: packs of so many points begin at their
    /// multiples (see [`super::Lowered::lane_multiple`]), `x` steps by one along them, and `d` is a multiple as well.
    fn stays_within(&self, x: &IndexExpr, d: &Dim) -> bool {
        let points = i64::from(self.pack.lanes * self.pack.copies);
        let is_multiple = |d: &Dim| d.as_const().is_some_and(|d| d % points == 0);
        let even = |t: &IndexTerm| match self.atom_varies(&t.atom) {
            true => t.coefficient.is(1) && self.steps_by_one(&t.atom),
            false => is_multiple(&t.coefficient),
        };
        // Two that step would make steps of two.
        let stepping = { x.terms.iter() }.filter(|t| self.atom_varies(&t.atom));
        stepping.count() <= 1
            && is_multiple(d)
            && is_multiple(&x.constant)
            && x.terms.iter().all(even)
    }

    /// The counter of a loop; for the lane loop that of lane 0 of copy 0.
    fn counter(&self, v: Var) -> Scalar {
        match v {
            Var::Outer(i) => self.outer[i as usize],
            Var::Inner(i) => self.inner[i as usize],
        }
    }

    fn atom_scalar(&mut self, atom: &IndexAtom) -> Result<Scalar> {
        Ok(match atom {
            IndexAtom::Var(v) => self.counter(*v),
            IndexAtom::Value(v) => self.get_scalar(*v)?,
            IndexAtom::FloorDiv(x, d) => {
                let (x, d) = (self.index_scalar(x)?, self.divisor(d));
                self.b.s_floor_div(x, d)
            }
            IndexAtom::Mod(x, d) => {
                let (x, d) = (self.index_scalar(x)?, self.divisor(d));
                self.b.s_mod(x, d)
            }
        })
    }

    /// An expression that is the same in all lanes; of one that is linear in the lane loop, the value
    /// in lane 0 of copy 0.
    pub(super) fn index_scalar(&mut self, e: &IndexExpr) -> Result<Scalar> {
        let terms: SmallVec<[&IndexTerm; 4]> = e.terms.iter().collect();
        self.weighted_sum(None, terms, &e.constant, 1)
    }

    /// `start + scale * (sum of terms + constant)`.
    fn weighted_sum(
        &mut self,
        start: Option<Scalar>,
        mut terms: SmallVec<[&IndexTerm; 4]>,
        constant: &Dim,
        scale: i64,
    ) -> Result<Scalar> {
        let outer = self.kernel.outer.len();
        terms.sort_by_key(|t| atom_depth(&t.atom, outer));
        let constant = constant.mul(&Dim::constant(scale))?;
        let mut sum = start;
        let mut add = |e: &mut Self, x: Scalar| {
            sum = Some(match sum {
                Some(sum) => e.b.s_add(sum, x),
                None => x,
            });
        };
        if constant.as_const().is_none() {
            let constant = self.dim(&constant);
            add(self, constant);
        }
        for t in terms {
            let weight = t.coefficient.mul(&Dim::constant(scale))?;
            let (atom, weight) = (self.atom_scalar(&t.atom)?, self.dim(&weight));
            let product = self.b.s_mul(atom, weight);
            add(self, product);
        }
        if let Some(c) = constant.as_const().filter(|c| *c != 0) {
            let c = self.b.s_const(c);
            add(self, c);
        }
        Ok(match sum {
            Some(sum) => sum,
            None => self.b.s_const(0),
        })
    }

    /// Where a register's lanes lie: element `e` of memory at `base`, elements of `size` bytes. For one
    /// lane, or all lanes at the same place, the access is [`MemAccess::Broadcast`].
    pub(super) fn address(
        &mut self,
        base: Scalar,
        e: &IndexExpr,
        size: i64,
        copy: usize,
    ) -> Result<(Scalar, MemAccess)> {
        let all = || e.terms.iter().collect::<SmallVec<[&IndexTerm; 4]>>();
        match self.motion(e) {
            Motion::Uniform => {
                let address = self.weighted_sum(Some(base), all(), &e.constant, size)?;
                Ok((address, MemAccess::Broadcast))
            }
            Motion::Linear(stride) => {
                let address = self.weighted_sum(Some(base), all(), &e.constant, size)?;
                let step = stride.mul(&Dim::constant(size))?;
                let skip = step.mul(&Dim::constant(copy as i64 * i64::from(self.pack.lanes)))?;
                let skip = self.dim(&skip);
                let address = self.b.s_add(address, skip);
                let access = match stride.is(1) {
                    true => MemAccess::Contiguous,
                    false => MemAccess::Strided(self.dim(&step)),
                };
                Ok((address, access))
            }
            Motion::Indexed => {
                let (varying, uniform): (SmallVec<[&IndexTerm; 4]>, SmallVec<[&IndexTerm; 4]>) =
                    e.terms.iter().partition(|t| self.atom_varies(&t.atom));
                let address = self.weighted_sum(Some(base), uniform, &e.constant, size)?;
                let class = self.lane_class(e);
                let index = self.varying_sum(&varying, copy, class)?;
                let index = self.as_i64(index);
                Ok((address, MemAccess::Indexed(index)))
            }
        }
    }

    /// An expression as a register of the pack's lanes, in class I32 or I64.
    pub(super) fn index_lanes(&mut self, e: &IndexExpr, copy: usize, class: Class) -> Result<Reg> {
        let lanes = self.pack.lanes;
        match self.motion(e) {
            Motion::Uniform => {
                let s = self.index_scalar(e)?;
                Ok(self.b.splat(class, lanes, s))
            }
            Motion::Linear(stride) => {
                let start = self.index_scalar(e)?;
                let skip = stride.mul(&Dim::constant(copy as i64 * i64::from(lanes)))?;
                let skip = self.dim(&skip);
                let start = self.b.s_add(start, skip);
                if let Some(stride) = stride.as_const() {
                    return Ok(self.b.ramp(class, lanes, start, stride));
                }
                let (zero, stride) = (self.b.s_const(0), self.dim(&stride));
                let ramp = self.b.ramp(class, lanes, zero, 1);
                let stride = self.b.splat(class, lanes, stride);
                let steps = self.b.mul(ramp, stride);
                let start = self.b.splat(class, lanes, start);
                Ok(self.b.add(start, steps))
            }
            Motion::Indexed => {
                let (varying, uniform): (SmallVec<[&IndexTerm; 4]>, SmallVec<[&IndexTerm; 4]>) =
                    e.terms.iter().partition(|t| self.atom_varies(&t.atom));
                let start = self.weighted_sum(None, uniform, &e.constant, 1)?;
                let sum = self.varying_sum(&varying, copy, class)?;
                let start = self.b.splat(class, lanes, start);
                Ok(self.b.add(sum, start))
            }
        }
    }

    /// The narrowest class in which the expression can be computed lane by lane.
    pub(super) fn lane_class(&self, e: &IndexExpr) -> Class {
        match self.fits_i32(e) {
            true => Class::I32,
            false => Class::I64,
        }
    }

    /// True when the expression and all it is made of stay within 32 bits, and dividends are not negative.
    fn fits_i32(&self, e: &IndexExpr) -> bool {
        let within = |e: &IndexExpr, lowest: i64| {
            let (lo, hi) = e.bounds(self.ranges());
            let (lo, hi) = (lo.and_then(|d| d.bounds().0), hi.and_then(|d| d.bounds().1));
            lo.is_some_and(|lo| lo >= lowest) && hi.is_some_and(|hi| hi < i64::from(i32::MAX))
        };
        within(e, i64::from(i32::MIN))
            && e.terms.iter().all(|t| match &t.atom {
                IndexAtom::Var(_) => true,
                IndexAtom::Value(_) => false,
                IndexAtom::FloorDiv(x, d) | IndexAtom::Mod(x, d) => {
                    d.bounds().1.is_some_and(|d| d < i64::from(i32::MAX))
                        && within(x, 0)
                        && self.fits_i32(x)
                }
            })
    }

    fn as_i64(&mut self, r: Reg) -> Reg {
        match self.b.class(r) {
            Class::I32 => self.b.convert(Conv::Int, Class::I64, r),
            _ => r,
        }
    }

    /// The sum of terms that differ between lanes, at least one.
    fn varying_sum(&mut self, terms: &[&IndexTerm], copy: usize, class: Class) -> Result<Reg> {
        let lanes = self.pack.lanes;
        let mut sum: Option<Reg> = None;
        for t in terms {
            let mut product = self.atom_lanes(&t.atom, copy, class)?;
            if !t.coefficient.is(1) {
                let weight = self.dim(&t.coefficient);
                let weight = self.b.splat(class, lanes, weight);
                product = self.b.mul(product, weight);
            }
            sum = Some(match sum {
                Some(sum) => self.b.add(sum, product),
                None => product,
            });
        }
        Ok(match sum {
            Some(sum) => sum,
            None => self.b.const_bits(class, lanes, 0),
        })
    }

    fn atom_lanes(&mut self, atom: &IndexAtom, copy: usize, class: Class) -> Result<Reg> {
        let lanes = self.pack.lanes;
        match atom {
            IndexAtom::Var(_) => self.index_lanes(&atom_expr(atom), copy, class),
            IndexAtom::Value(v) => {
                let v = self.get(*v, copy, lanes)?;
                Ok(match class {
                    Class::I32 => self.b.convert(Conv::Int, Class::I32, v),
                    _ => v,
                })
            }
            IndexAtom::FloorDiv(x, d) => {
                let x = self.index_lanes(x, copy, class)?;
                Ok(self.divide_lanes(x, d).0)
            }
            IndexAtom::Mod(x, d) => {
                let x = self.index_lanes(x, copy, class)?;
                let (quotient, divisor) = self.divide_lanes(x, d);
                let product = self.b.mul(quotient, divisor);
                Ok(self.b.sub(x, product))
            }
        }
    }

    /// Floor of the quotient, and the divisor as a register. In class I32 dividends are not negative,
    /// and a known divisor becomes a product.
    fn divide_lanes(&mut self, x: Reg, d: &Dim) -> (Reg, Reg) {
        let (class, lanes) = self.b.shape(x);
        let divisor = self.divisor(d);
        let divisor = self.b.splat(class, lanes, divisor);
        let quotient = match (d.as_const(), class) {
            (Some(c), _) if c > 0 && c.count_ones() == 1 => {
                let count = self.b.int_like(x, i64::from(c.trailing_zeros()));
                self.b.shr_s(x, count)
            }
            (Some(c), Class::I32) if c > 0 => {
                let bits = 64 - (c as u64 - 1).leading_zeros();
                let power = 1u64 << (31 + bits);
                let factor = self.b.int_like(x, power.div_ceil(c as u64) as i64);
                let high = self.b.mul_high_u(x, factor);
                let count = self.b.int_like(x, i64::from(bits) - 1);
                self.b.shr_u(high, count)
            }
            (_, Class::I32) => self.b.div_u(x, divisor),
            _ => {
                let quotient = self.b.div(x, divisor);
                let product = self.b.mul(quotient, divisor);
                let rest = self.b.sub(x, product);
                let sign = self.b.int_like(x, 63);
                let below = self.b.shr_s(rest, sign);
                self.b.add(quotient, below)
            }
        };
        (quotient, divisor)
    }
}

/// An atom as an expression.
fn atom_expr(atom: &IndexAtom) -> IndexExpr {
    IndexExpr {
        terms: SmallVec::from_iter([IndexTerm {
            atom: atom.clone(),
            coefficient: Dim::ONE,
        }]),
        constant: Dim::ZERO,
    }
}
