//! Specialise once, then generalise: the one table of compiled versions.
//!
//! What is compiled is compiled for a structure: everything but sizes and numbers. A [`Versions`] table
//! holds at most [`MAX_VERSIONS`] programs of one structure, each with a [`Domain`] that says which
//! sizes and numbers it serves. The first time a structure is seen, all its sizes and numbers are
//! constants. When it is seen again with others, those that differ become symbols and run-time
//! scalars, the rest stays constant. Sizes that moved together over all sightings become one symbol,
//! sizes that moved in a fixed linear relation to a symbol become an expression over it; the guess
//! is checked against the actual sizes at every call, so a wrong one costs a compilation and never a
//! wrong result. Each version remembers why it was compiled.

use super::build::Pattern;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::{Literal, internal};
use lazulite_ir::{Dim, Guard, Relation, Symbol, TensorType};
use smallvec::SmallVec;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

/// Compiled versions kept per structure that serve more than the sizes they were compiled for, the first one
/// included.
pub(crate) const MAX_VERSIONS: usize = 3;

/// Versions kept besides that serve certain sizes alone.
const MAX_ALONE: usize = 8;

/// Values of symbols, in the order of the symbols.
pub(crate) type SymbolValues = SmallVec<[i64; 4]>;

/// Symbols and their values.
#[derive(Clone, Copy)]
pub(crate) struct Assignment<'a> {
    pub symbols: &'a [Symbol],
    pub values: &'a [i64],
}

impl Assignment<'_> {
    fn symbol(&self, symbol: &Symbol) -> Option<i64> {
        let i = self.symbols.iter().position(|s| s == symbol)?;
        self.values.get(i).copied()
    }

    /// The number a size is.
    pub fn size(&self, dim: &Dim) -> Option<i64> {
        dim.eval(&|s| self.symbol(s))
    }

    /// The type with its sizes known.
    pub fn tensor_type(&self, ty: &TensorType) -> Option<TensorType> {
        let dims = ty.dims.iter().map(|d| self.size(d).map(Dim::constant));
        Some(TensorType {
            dtype: ty.dtype,
            dims: dims.collect::<Option<_>>()?,
        })
    }

    /// The first condition that does not hold.
    pub fn violated<'g>(&self, guards: &'g [Guard]) -> Option<&'g Guard> {
        let holds = |g: &Guard| {
            let sides = self.size(&g.lhs).zip(self.size(&g.rhs));
            sides.is_some_and(|(lhs, rhs)| match g.relation {
                Relation::Eq => lhs == rhs,
                Relation::Le => lhs <= rhs,
            })
        };
        guards.iter().find(|g| !holds(g))
    }
}

/// The sizes and numbers of one call, in the order of its structure.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub dims: &'a [i64],
    pub literals: &'a [Literal],
}

/// The calls that a version serves.
pub(crate) struct Domain {
    pub pattern: Pattern,
    /// The unknowns of the pattern.
    pub symbols: Vec<Symbol>,
    /// Per symbol, the first place where its value stands among the sizes.
    positions: Vec<usize>,
    guards: Vec<Guard>,
}

impl Domain {
    /// The values of the symbols, if sizes and numbers fit the pattern and all guards hold.
    #[inline]
    fn bind(&self, call: Call<'_>) -> Option<SymbolValues> {
        let Call { dims, literals } = call;
        let mut constants = self.pattern.literals.iter().zip(literals);
        if !constants.all(|(c, l)| c.is_none_or(|c| c == *l)) {
            return None;
        }
        if self.symbols.is_empty() && self.guards.is_empty() {
            let fits = |(pattern, actual): (&Dim, &i64)| pattern.as_const() == Some(*actual);
            let all = self.pattern.dims.iter().zip(dims).all(fits);
            return all.then(SymbolValues::new);
        }
        let values: SymbolValues = self.positions.iter().map(|p| dims[*p]).collect();
        if values.iter().any(|v| *v < 0) {
            return None;
        }
        let known = self.assignment(&values);
        let fits = |(pattern, actual): (&Dim, &i64)| match pattern.as_const() {
            Some(constant) => constant == *actual,
            None => known.size(pattern) == Some(*actual),
        };
        let fits = self.pattern.dims.iter().zip(dims).all(fits);
        (fits && known.violated(&self.guards).is_none()).then_some(values)
    }

    /// Why it does not serve a call whose numbers fit.
    fn exclusion(&self, call: Call<'_>) -> String {
        let values: SymbolValues = self.positions.iter().map(|p| call.dims[*p]).collect();
        match self.assignment(&values).violated(&self.guards) {
            Some(guard) => format!("others need: {}", guard.message),
            None => "what was seen of sizes before did not go on".into(),
        }
    }

    /// The symbols with these values.
    pub fn assignment<'a>(&'a self, values: &'a [i64]) -> Assignment<'a> {
        Assignment {
            symbols: &self.symbols,
            values,
        }
    }
}

/// What was compiled for a domain.
pub(crate) struct Version<V> {
    pub domain: Domain,
    pub program: V,
    why: Reason,
    /// How many versions had been compiled when it was last found.
    last_found: AtomicU32,
}

impl<V> Version<V> {
    /// The values of its symbols, and what `accept` gives, if it serves the call and `accept` takes it.
    #[inline]
    pub fn serve<T>(
        &self,
        call: Call<'_>,
        accept: impl Fn(&V) -> Option<T>,
    ) -> Option<(SymbolValues, T)> {
        Some((self.domain.bind(call)?, accept(&self.program)?))
    }

    /// True if it serves certain sizes alone.
    fn is_alone(&self) -> bool {
        matches!(self.why, Reason::Changed { alone: Some(_), .. })
    }
}

/// Why a version was compiled.
enum Reason {
    /// Nothing was known of the structure.
    First,
    /// No version served a call that differed in this from the one compiled for before.
    Changed {
        what: Difference,
        /// Why only this call's sizes are served, if that is so: some have to be known, or what was seen before
        /// misled.
        alone: Option<String>,
    },
    /// The same sizes and numbers came again: their version had given way to others, or it is tied to
    /// something else that changed, such as the types of cells.
    Surroundings,
}

/// The first difference between two calls.
enum Difference {
    Size {
        position: usize,
        before: i64,
        now: i64,
    },
    Number {
        position: usize,
        before: Literal,
        now: Literal,
    },
}

impl Difference {
    fn between(before: &Sighting, now: &Sighting) -> Option<Difference> {
        let mut sizes = before.dims.iter().zip(&now.dims).enumerate();
        if let Some((position, (&before, &now))) = sizes.find(|(_, (b, n))| b != n) {
            return Some(Difference::Size {
                position,
                before,
                now,
            });
        }
        let mut numbers = before.literals.iter().zip(&now.literals).enumerate();
        let (position, (&before, &now)) = numbers.find(|(_, (b, n))| b != n)?;
        Some(Difference::Number {
            position,
            before,
            now,
        })
    }
}

/// The sizes and numbers of one call, kept.
#[derive(Clone, PartialEq, Debug)]
struct Sighting {
    dims: Vec<i64>,
    literals: Vec<Literal>,
}

/// What a structure was compiled for, in order: the first call and the latest ones, which is enough to
/// tell what varies.
#[derive(Default)]
struct Sightings {
    seen: Vec<Sighting>,
}

/// The compiled versions of one structure, first constant, then general.
pub(crate) struct Versions<V> {
    versions: RwLock<SmallVec<[Arc<Version<V>>; MAX_VERSIONS]>>,
    /// How many have been compiled.
    compiled: AtomicU32,
    /// Held while compiling, so that two threads never compile the same thing; looking up only reads
    /// the versions.
    sightings: Mutex<Sightings>,
}

/// A handle to a version that serves a call, the values of its symbols there, and what it was accepted with.
pub(crate) struct Found<H, T> {
    pub version: H,
    pub values: SymbolValues,
    pub accepted: T,
}

impl<V> Default for Versions<V> {
    fn default() -> Versions<V> {
        Versions {
            versions: RwLock::default(),
            compiled: AtomicU32::new(0),
            sightings: Mutex::default(),
        }
    }
}

impl<V> Versions<V> {
    fn read(&self) -> RwLockReadGuard<'_, SmallVec<[Arc<Version<V>>; MAX_VERSIONS]>> {
        self.versions.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many versions there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// The sum of something over all programs.
    pub fn sum(&self, of: impl Fn(&V) -> usize) -> usize {
        let all = self.read();
        all.iter()
            .fold(0, |sum, v| sum.saturating_add(of(&v.program)))
    }

    /// The first version that serves the call and that `accept` takes: a program may depend on
    /// more than sizes and numbers.
    #[inline]
    pub fn find<T>(
        &self,
        call: Call<'_>,
        accept: impl Fn(&V) -> Option<T>,
    ) -> Option<Found<Arc<Version<V>>, T>> {
        let versions = self.read();
        let found = versions
            .iter()
            .find_map(|version| Some((version, version.serve(call, &accept)?)));
        let (version, (values, accepted)) = found?;
        let compiled = self.compiled.load(Relaxed);
        version.last_found.store(compiled, Relaxed);
        Some(Found {
            version: version.clone(),
            values,
            accepted,
        })
    }

    /// A version that serves the call, compiled now unless there is one. `make` compiles for a pattern over some
    /// symbols and gives the conditions on them. Symbols are made for the sizes at `inputs` first,
    /// so that the others are expressed by them. Nothing if `accept` does not take what was compiled.
    pub fn compile<T>(
        &self,
        call: Call<'_>,
        inputs: &[u32],
        accept: impl Fn(&V) -> Option<T>,
        make: impl FnMut(&Pattern, &[Symbol]) -> Result<(V, Vec<Guard>)>,
    ) -> Result<Option<Found<Arc<Version<V>>, T>>> {
        let mut sightings = self
            .sightings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Another thread may have compiled it meanwhile.
        if let Some(found) = self.find(call, &accept) {
            return Ok(Some(found));
        }
        let (version, values) = sightings.compile(call, inputs, make)?;
        let version = Arc::new(version);
        self.enter(version.clone());
        Ok(accept(&version.program).map(|accepted| Found {
            version,
            values,
            accepted,
        }))
    }

    /// Keeps a version. Too many of those that serve certain sizes alone let the one go that was not needed for
    /// longest; too many others the oldest, since later ones are more general.
    fn enter(&self, version: Arc<Version<V>>) {
        let compiled = self.compiled.fetch_add(1, Relaxed) + 1;
        version.last_found.store(compiled, Relaxed);
        let mut versions = self
            .versions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let alone = version.is_alone();
        let kind = versions.iter().enumerate();
        let kind = kind.filter(|(_, v)| v.is_alone() == alone);
        let most = if alone { MAX_ALONE } else { MAX_VERSIONS };
        if kind.clone().count() >= most {
            let age = |v: &Version<V>| match alone {
                true => v.last_found.load(Relaxed),
                false => 0,
            };
            let oldest = kind.min_by_key(|(_, v)| age(v)).map(|(at, _)| at);
            oldest.map(|at| versions.remove(at));
        }
        versions.push(version);
    }

    /// Why each version was compiled, with names for the sizes and numbers at a position.
    pub fn explain(
        &self,
        size: impl Fn(usize) -> String,
        number: impl Fn(usize) -> String,
    ) -> Vec<String> {
        let explain = |version: &Arc<Version<V>>| match &version.why {
            Reason::First => "it was the first call".to_string(),
            Reason::Surroundings => {
                "its sizes and numbers were known, but not together with what else it depends on"
                    .to_string()
            }
            Reason::Changed { what, alone } => {
                let what = match what {
                    Difference::Size {
                        position,
                        before,
                        now,
                    } => format!("{} was {before} and is {now}", size(*position)),
                    Difference::Number {
                        position,
                        before,
                        now,
                    } => {
                        let (before, now) = (before.scalar(), now.scalar());
                        format!("{} was {before} and is {now}", number(*position))
                    }
                };
                match alone {
                    Some(why) => format!("{what}: this version serves these sizes alone ({why})"),
                    None => format!("{what}: this version serves all values of what differed"),
                }
            }
        };
        self.read().iter().map(explain).collect()
    }
}

impl Sightings {
    /// Compiles the most specific program that fits this call and all earlier ones; if there is
    /// none, because sizes have to be known or relations between them do not hold, one that fits this
    /// call.
    fn compile<V>(
        &mut self,
        call: Call<'_>,
        inputs: &[u32],
        mut make: impl FnMut(&Pattern, &[Symbol]) -> Result<(V, Vec<Guard>)>,
    ) -> Result<(Version<V>, SymbolValues)> {
        let now = Sighting {
            dims: call.dims.to_vec(),
            literals: call.literals.to_vec(),
        };
        let difference = self.seen.last().map(|last| Difference::between(last, &now));
        let why = |alone: Option<String>| match difference {
            None => Reason::First,
            Some(None) => Reason::Surroundings,
            Some(Some(what)) => Reason::Changed { what, alone },
        };
        // A compilation that fails forgets nothing.
        let mut seen = self.seen.clone();
        seen.push(now);
        let mut made = |mut domain: Domain| {
            let (program, guards) = make(&domain.pattern, &domain.symbols)?;
            domain.guards = guards;
            Ok((domain, program))
        };
        let general = made(generalise(&seen, inputs)).map(|(domain, program)| {
            let values = domain.bind(call);
            (domain, program, values)
        });
        let (domain, program, values, alone) = match general {
            Ok((domain, program, Some(values))) => (domain, program, values, None),
            Err(e) if seen.len() == 1 || !may_need_sizes(&e) => return Err(e),
            failed => {
                let why = match failed {
                    Err(e) => e.message().to_string(),
                    Ok((domain, ..)) => domain.exclusion(call),
                };
                // Numbers that were seen to change stay run-time values; what was seen of sizes only
                // misleads.
                let literals = generalise(&seen, inputs).pattern.literals;
                seen.drain(..seen.len() - 1);
                let mut domain = generalise(&seen, inputs);
                domain.pattern.literals = literals;
                let (domain, program) = made(domain)?;
                let Some(values) = domain.bind(call) else {
                    let message = "a program does not fit its own sizes";
                    return Err(internal("compile", message));
                };
                (domain, program, values, Some(why))
            }
        };
        if seen.len() > MAX_VERSIONS + 1 {
            seen.remove(1);
        }
        self.seen = seen;
        let version = Version {
            domain,
            program,
            why: why(alone),
            last_found: AtomicU32::new(0),
        };
        Ok((version, values))
    }
}

/// False for errors that do not come up for want of a known size.
fn may_need_sizes(error: &Error) -> bool {
    use ErrorKind::{Fault, File, Host, Internal, Memory};
    !matches!(error.kind(), Fault | File | Host | Internal | Memory)
}

/// The most specific domain that fits all sightings (there is at least one), before guards are known.
/// Symbols stand for sizes: what was negative once does not become one, and the pattern fits the last
/// sighting only.
fn generalise(sightings: &[Sighting], inputs: &[u32]) -> Domain {
    let mut bindings: Vec<(Symbol, usize, SymbolValues)> = Vec::new();
    let first = &sightings[0];
    let mut dims: Vec<Dim> = first.dims.iter().copied().map(Dim::constant).collect();
    let inputs = inputs.iter().map(|p| *p as usize);
    for position in inputs.chain(0..first.dims.len()) {
        let values: SymbolValues = sightings.iter().map(|s| s.dims[position]).collect();
        if values.iter().all(|v| *v == values[0]) {
            continue;
        }
        if values.iter().any(|v| *v < 0) {
            dims[position] = Dim::constant(values[values.len() - 1]);
            continue;
        }
        let mut known = bindings.iter();
        if let Some(dim) = known.find_map(|(symbol, _, known)| relate(symbol, known, &values)) {
            dims[position] = dim;
            continue;
        }
        let name = format!("s{}", bindings.len());
        dims[position] = Dim::symbol(&name);
        bindings.push((Symbol::new(&name), position, values));
    }
    let literals = (0..first.literals.len())
        .map(|i| {
            let literal = first.literals[i];
            let same = sightings.iter().all(|s| s.literals[i] == literal);
            (same && !literal.runtime).then_some(literal)
        })
        .collect();
    let positions = bindings.iter().map(|(_, position, _)| *position).collect();
    Domain {
        pattern: Pattern { dims, literals },
        symbols: bindings.into_iter().map(|(symbol, ..)| symbol).collect(),
        positions,
        guards: Vec::new(),
    }
}

/// `values` as a linear expression over a symbol that had the values `known`.
fn relate(symbol: &Symbol, known: &[i64], values: &[i64]) -> Option<Dim> {
    let (i, j) = differing(known)?;
    let rise = values[j].checked_sub(values[i])?;
    let run = known[j].checked_sub(known[i])?;
    if rise.checked_rem(run)? != 0 {
        return None;
    }
    let factor = rise.checked_div(run)?;
    let offset = values[i].checked_sub(factor.checked_mul(known[i])?)?;
    // A scaled and shifted symbol is more likely chance than a relation.
    if factor == 0 || (factor != 1 && offset != 0) {
        return None;
    }
    let fits = |(k, v): (&i64, &i64)| {
        factor.checked_mul(*k).and_then(|x| x.checked_add(offset)) == Some(*v)
    };
    if !known.iter().zip(values).all(fits) {
        return None;
    }
    Dim::symbol(&symbol.0)
        .mul(&Dim::constant(factor))
        .and_then(|d| d.add(&Dim::constant(offset)))
        .ok()
}

fn differing(values: &[i64]) -> Option<(usize, usize)> {
    let j = values.iter().position(|v| *v != values[0])?;
    Some((0, j))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lazulite_ir::{DType, Scalar};
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    fn sighting(dims: &[i64], literal: f32) -> Sighting {
        let literal = Literal::new(Scalar::from_f64(DType::F32, f64::from(literal)));
        Sighting {
            dims: dims.to_vec(),
            literals: literal.into_iter().collect(),
        }
    }

    fn dims_of(sightings: &[Sighting]) -> Vec<String> {
        let dims = generalise(sightings, &[]).pattern.dims;
        dims.iter().map(Dim::to_string).collect()
    }

    fn sizes(dims: &[i64]) -> Call<'_> {
        Call {
            dims,
            literals: &[],
        }
    }

    #[test]
    fn first_sight_is_constant() {
        let domain = generalise(&[sighting(&[2, 3], 1.0)], &[]);
        assert_eq!(domain.pattern.dims, [Dim::constant(2), Dim::constant(3)]);
        assert!(domain.pattern.literals[0].is_some() && domain.symbols.is_empty());
    }

    #[test]
    fn sizes_that_move_together_share_a_symbol() {
        let seen = [
            sighting(&[5, 4, 20, 6, 5], 1.0),
            sighting(&[6, 4, 24, 7, 6], 2.0),
        ];
        assert_eq!(dims_of(&seen), ["s0", "4", "4*s0", "1 + s0", "s0"]);
        assert!(generalise(&seen, &[]).pattern.literals[0].is_none());
    }

    #[test]
    fn sizes_of_inputs_come_first() {
        let seen = [sighting(&[6, 5], 1.0), sighting(&[7, 6], 1.0)];
        let domain = generalise(&seen, &[1]);
        assert_eq!(domain.pattern.dims[0].to_string(), "1 + s0");
        assert_eq!(domain.positions[0], 1);
    }

    #[test]
    fn chance_relations_are_dropped_when_a_sighting_contradicts_them() {
        let seen = [
            sighting(&[5, 6], 1.0),
            sighting(&[6, 7], 1.0),
            sighting(&[7, 9], 1.0),
        ];
        assert_eq!(dims_of(&seen), ["s0", "s1"]);
    }

    /// A table after these calls, whose programs are their patterns as text. Symbols must be even.
    fn table(calls: &[&[i64]]) -> Versions<String> {
        let versions = Versions::default();
        for dims in calls {
            let make = |pattern: &Pattern, symbols: &[Symbol]| {
                let text: Vec<String> = pattern.dims.iter().map(Dim::to_string).collect();
                let even = |s: &Symbol| Guard {
                    lhs: Dim::symbol(&s.0).modulo(&Dim::constant(2)).unwrap(),
                    relation: Relation::Eq,
                    rhs: Dim::ZERO,
                    message: "even".into(),
                };
                Ok((text.join(","), symbols.iter().map(even).collect()))
            };
            let call = sizes(dims);
            versions.compile(call, &[], |_| Some(()), make).unwrap();
        }
        versions
    }

    fn programs(versions: &Versions<String>) -> Vec<String> {
        let programs = versions.read();
        programs.iter().map(|v| v.program.clone()).collect()
    }

    #[test]
    fn one_general_version_serves_all_later_calls() {
        let versions = table(&[&[4, 3], &[6, 3], &[8, 3], &[100, 3]]);
        assert_eq!(programs(&versions), ["4,3", "s0,3"]);
        let found = versions.find(sizes(&[10, 3]), |_| Some(())).unwrap();
        assert_eq!(found.values[..], [10]);
        let why = versions.explain(|p| format!("size {p}"), |_| String::new());
        assert_eq!(why[0], "it was the first call");
        assert!(why[1].starts_with("size 0 was 4 and is 6"), "{}", why[1]);
    }

    #[test]
    fn what_guards_exclude_is_compiled_alone() {
        let versions = table(&[&[4], &[7], &[4], &[9]]);
        assert_eq!(programs(&versions), ["4", "7", "9"]);
        let why = versions.explain(|p| format!("size {p}"), |_| String::new());
        assert!(
            why[1].ends_with("serves these sizes alone (others need: even)"),
            "{}",
            why[1]
        );
    }

    #[test]
    fn sizes_served_alone_do_not_drive_out_what_is_in_use() {
        let odd: Vec<[i64; 1]> = (0..MAX_ALONE as i64).map(|n| [2 * n + 7]).collect();
        let calls = [[4], [6]].into_iter().chain(odd).collect::<Vec<_>>();
        let mut calls: Vec<&[i64]> = calls.iter().map(|c| &c[..]).collect();
        // One more of them; the first of them was needed again since.
        calls.extend([&[7i64][..], &[101]]);
        let kept = programs(&table(&calls));
        assert_eq!(kept.len(), 2 + MAX_ALONE);
        for text in ["4", "s0", "7", "101"] {
            assert!(kept.iter().any(|k| k == text), "{text} of {kept:?}");
        }
        assert!(!kept.iter().any(|k| k == "9"), "{kept:?}");
    }

    #[test]
    fn two_threads_never_compile_the_same_thing() {
        let versions: Versions<()> = Versions::default();
        let (compiled, start) = (AtomicUsize::new(0), Barrier::new(8));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    let make = |_: &Pattern, _: &[Symbol]| {
                        compiled.fetch_add(1, Relaxed);
                        std::thread::yield_now();
                        Ok(((), Vec::new()))
                    };
                    let call = sizes(&[5]);
                    versions.compile(call, &[], |()| Some(()), make).unwrap();
                });
            }
        });
        assert_eq!(compiled.load(Relaxed), 1);
    }
}
