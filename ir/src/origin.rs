//! Where nodes come from: a place in the user's program, and what happened to them since.
//!
//! Graphs hold an origin beside each node. It says nothing about meaning: equal nodes are one node whatever
//! their origins, which are joined then. Both lists of an origin are short whatever a program does.

use smallvec::SmallVec;
use std::sync::Arc;

/// Where in the user's program a node comes from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Source {
    /// File name.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// Composites and module paths around the operation, outermost first, separated by " > ";
    /// empty when there are none.
    pub trail: Arc<str>,
}

impl Source {
    /// File, line and column, as messages show them.
    pub fn place(&self) -> String {
        format!("{}:{}:{}", self.file, self.line, self.column)
    }

    fn is_place_of(&self, other: &Source) -> bool {
        (self.line, self.column) == (other.line, other.column) && self.file == other.file
    }
}

/// Rules and places kept for one node; what comes later is left out.
const KEPT: usize = 8;

/// What happened to a node since it was recorded.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Changes {
    rules: SmallVec<[&'static str; 4]>,
    also: SmallVec<[Arc<Source>; 2]>,
}

/// Where a node comes from.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Origin {
    source: Option<Arc<Source>>,
    changes: Option<Arc<Changes>>,
}

impl Origin {
    /// The origin of what was recorded at `source`.
    pub fn of(source: Option<Arc<Source>>) -> Origin {
        Origin {
            source,
            changes: None,
        }
    }

    /// The place where it was recorded first.
    pub fn source(&self) -> Option<&Arc<Source>> {
        self.source.as_ref()
    }

    /// Other places at which equal operations were recorded; the first few.
    pub fn also(&self) -> &[Arc<Source>] {
        self.changes.as_ref().map_or(&[], |c| &c.also)
    }

    /// The rewrite rules that made it what it is, the first few in order.
    pub fn rules(&self) -> &[&'static str] {
        self.changes.as_ref().map_or(&[], |c| &c.rules)
    }

    /// The same changes at another place.
    pub fn with_source(&self, source: Option<Arc<Source>>) -> Origin {
        Origin {
            source,
            changes: self.changes.clone(),
        }
    }

    /// Notes that `rule` had a part in it.
    pub fn add_rule(&mut self, rule: &'static str) {
        let rules = self.rules();
        if rules.len() < KEPT && !rules.contains(&rule) {
            Arc::make_mut(self.changes.get_or_insert_default())
                .rules
                .push(rule);
        }
    }

    /// Takes in the origin of an operation found to be the same. The first place stays.
    pub fn join(&mut self, other: &Origin) {
        self.add_source(other.source.as_ref());
        if let Some(changes) = &other.changes {
            let same = |own: &Arc<Changes>| Arc::ptr_eq(own, changes);
            if self.changes.as_ref().is_some_and(same) {
                return;
            }
            if self.changes.is_none() && self.source == other.source {
                self.changes = Some(changes.clone());
                return;
            }
            changes.also.iter().for_each(|s| self.add_source(Some(s)));
            changes.rules.iter().for_each(|r| self.add_rule(r));
        }
    }

    fn add_source(&mut self, source: Option<&Arc<Source>>) {
        let Some(source) = source else { return };
        let Some(first) = &self.source else {
            self.source = Some(source.clone());
            return;
        };
        let known = |s: &Arc<Source>| Arc::ptr_eq(s, source) || s.is_place_of(source);
        if !known(first) && self.also().len() < KEPT && !self.also().iter().any(known) {
            Arc::make_mut(self.changes.get_or_insert_default())
                .also
                .push(source.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32) -> Origin {
        Origin::of(Some(Arc::new(Source {
            file: "a.rs".into(),
            line,
            column: 1,
            trail: "".into(),
        })))
    }

    #[test]
    fn the_first_place_stays_and_others_are_listed_once() {
        let mut origin = at(1);
        for line in [2, 1, 3, 2] {
            origin.join(&at(line));
        }
        let lines = |of: &[Arc<Source>]| of.iter().map(|s| s.line).collect::<Vec<_>>();
        assert_eq!(origin.source().unwrap().line, 1);
        assert_eq!(lines(origin.also()), [2, 3]);
        for line in 10..100 {
            origin.join(&at(line));
            origin.add_rule("r");
        }
        assert_eq!((origin.also().len(), origin.rules()), (KEPT, &["r"][..]));
    }

    #[test]
    fn histories_are_joined() {
        let mut origin = at(1);
        origin.add_rule("a");
        let mut other = at(2);
        other.add_rule("b");
        other.add_rule("a");
        origin.join(&other);
        assert_eq!(origin.rules(), ["a", "b"]);
        let mut unknown = Origin::default();
        unknown.join(&origin);
        assert_eq!(unknown, origin);
    }
}
