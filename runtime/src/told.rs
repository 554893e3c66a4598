//! What an index is of: entries of trails that say which operation, in the user's words, checks indices, whatever
//! primitives it is made of. They are written where operations are recorded, and read where programs fail.

/// What numbers are that choose something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Noun {
    /// Positions along an axis; negative ones count from its end.
    Index,
    /// As in brackets: positions along axes, each of which may have an index tensor of its own.
    Bracket,
    /// Positions among the elements in row-major order; negative ones count from their end.
    Place,
    /// Classes; never negative.
    Label,
    /// Nothing of the kind: what is told of is a library function, which may fail on its operands.
    Function,
}

impl Noun {
    const ALL: [Noun; 5] = [
        Noun::Index,
        Noun::Bracket,
        Noun::Place,
        Noun::Label,
        Noun::Function,
    ];

    /// How its entry in a trail starts.
    fn word(self) -> &'static str {
        match self {
            Noun::Index => "index of ",
            Noun::Bracket => "index inside ",
            Noun::Place => "flat index of ",
            Noun::Label => "label of ",
            Noun::Function => "library function of ",
        }
    }

    /// The part of an operand in the operation.
    fn role(self, operand: usize) -> &'static str {
        match (self, operand) {
            (_, 0) => "self",
            (Noun::Label, _) => "target",
            (Noun::Bracket, _) | (Noun::Index | Noun::Place, 1) => "indices",
            (Noun::Function, _) => "other",
            (Noun::Index | Noun::Place, _) => "source",
        }
    }
}

/// An entry of a trail: operation `op` on operands of these types, first what is read or written, then the indices.
///
/// ```
/// use lazulite_runtime::{Noun, Told, trail_entry};
/// let entry = trail_entry(Noun::Index, "gather", &["f32[4]".into(), "i64[1]".into()]);
/// let told = Told::by(&entry).unwrap();
/// assert_eq!(told.found(-3, 4, Some(0)).0, "index -7 is out of range for axis 0, which has size 4");
/// ```
pub fn trail_entry(noun: Noun, op: &str, types: &[String]) -> String {
    format!("{}{op}({})", noun.word(), types.join("; "))
}

/// A trail's entry about indices, taken apart.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    noun: Noun,
    op: &'a str,
    types: Vec<&'a str>,
    /// What the trail says before the entry.
    outer: &'a str,
}

impl<'a> Told<'a> {
    /// What a trail says about indices.
    pub fn by(trail: &'a str) -> Option<Told<'a>> {
        let mut start = 0;
        for part in trail.split(" > ") {
            let told = Noun::ALL.into_iter().find_map(|noun| {
                let (op, types) = part.strip_prefix(noun.word())?.split_once('(')?;
                let types = types.strip_suffix(')')?.split("; ").collect();
                let outer = trail[..start].trim_end_matches(" > ");
                Some(Told {
                    noun,
                    op,
                    types,
                    outer,
                })
            });
            if told.is_some() {
                return told;
            }
            start += part.len() + " > ".len();
        }
        None
    }

    /// The operation, and what the trail says around it.
    pub fn op_and_trail(&self) -> (&'a str, &'a str) {
        let outer = match self.outer.rsplit_once(" > ") {
            Some((outer, last)) if last == self.op => outer,
            None if self.outer == self.op => "",
            _ => self.outer,
        };
        (self.op, outer)
    }

    /// What the trail says before the entry.
    pub fn outer(&self) -> &'a str {
        self.outer
    }

    /// Roles and types of the operands as they were when the operation was recorded.
    pub fn operands(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        let each = self.types.iter().enumerate();
        each.map(|(operand, ty)| (self.noun.role(operand), *ty))
    }

    /// What happened and what to do when the check found `value` instead of one from 0 to below `size`. `axis` is
    /// where the primitive looks.
    pub fn found(&self, value: i64, size: i64, axis: Option<u32>) -> (String, String) {
        // Negative indices were counted from the end before they were checked.
        let written = match self.noun {
            Noun::Label | Noun::Function => value,
            Noun::Index | Noun::Bracket | Noun::Place if value < 0 => value.wrapping_sub(size),
            Noun::Index | Noun::Bracket | Noun::Place => value,
        };
        let beyond = self.types.get(1).is_some_and(|ty| ty.starts_with("u64"));
        let number = match beyond && written == i64::MAX {
            true => format!("{written} or more"),
            false => written.to_string(),
        };
        let last = size.saturating_sub(1);
        let message = match (self.noun, axis) {
            (Noun::Label, _) if size == 0 => format!("label {number}, but there are no classes"),
            (Noun::Label, _) => {
                format!("label {number}, but there are {size} classes (0..={last})")
            }
            (Noun::Index | Noun::Bracket, Some(axis)) => {
                format!("index {number} is out of range for axis {axis}, which has size {size}")
            }
            (Noun::Index | Noun::Bracket, None) | (Noun::Place | Noun::Function, _) => {
                format!("index {number} is out of range for {size} elements")
            }
        };
        let hint = match self.noun {
            _ if size == 0 => "nothing can be chosen where there is nothing".into(),
            Noun::Label if written < 0 => format!(
                "classes are numbered from 0 to {last}; what is not to count is marked by `ignore_index`, where \
                 there is one"
            ),
            Noun::Label => format!(
                "classes are numbered from 0 to {last}: give the model as many outputs as there are classes, and \
                 count labels from 0"
            ),
            Noun::Index | Noun::Bracket | Noun::Place | Noun::Function => {
                format!("indices go from 0 to {last}, or from -{size} to -1 counted from the end")
            }
        };
        (message, hint)
    }
}

/// A fault of a program as text, in the words of the operation that was written, if its location has them.
pub(crate) fn fault_text(what: &str, location: &str, value: i64, bound: i64) -> Option<String> {
    let (place, trail) = location.split_once('\n')?;
    let (_, axis) = what.rsplit_once(" along axis ")?;
    let told = Told::by(trail)?;
    let (message, hint) = told.found(value, bound, axis.parse().ok());
    let (op, outer) = told.op_and_trail();
    let mut text = format!("{op}: {message}\n  --> {place}");
    if !outer.is_empty() {
        text += &format!("\n  in {outer}");
    }
    for (role, ty) in told.operands() {
        text += &format!("\n  {role}: {ty}");
    }
    Some(text + &format!("\n  hint: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trails_are_read_as_they_are_written() {
        let entry = trail_entry(Noun::Place, "take", &["f32[2, 3]".into(), "i64[4]".into()]);
        let trail = format!("model > take > {entry} > gradient");
        let told = Told::by(&trail).unwrap();
        assert_eq!(told.op_and_trail(), ("take", "model"));
        let operands: Vec<_> = told.operands().collect();
        assert_eq!(operands, [("self", "f32[2, 3]"), ("indices", "i64[4]")]);
        assert_eq!(told.outer(), "model > take");
        assert!(Told::by("model > index of hearts").is_none());
    }

    #[test]
    fn indices_are_told_as_they_were_written() {
        let found = |noun, value, ty: &str| {
            let entry = trail_entry(noun, "gather", &["f32[4]".into(), ty.into()]);
            Told::by(&entry).unwrap().found(value, 4, Some(0)).0
        };
        assert!(found(Noun::Index, -3, "i64[1]").starts_with("index -7 is out"));
        let least = i64::MIN + 4;
        assert!(found(Noun::Index, least, "i64[1]").contains(&i64::MIN.to_string()));
        assert!(found(Noun::Place, i64::MAX, "u64[1]").contains("or more"));
        assert!(found(Noun::Label, -1, "i64[1]").starts_with("label -1, but there are 4 classes"));
        let location = "main.rs:7:3\nindex of gather(f32[4]; i64[1])";
        let text = fault_text("index out of range in gather along axis 0", location, 9, 4).unwrap();
        assert!(
            text.starts_with("gather: index 9 is out of range") && text.contains("main.rs:7:3")
        );
    }
}
