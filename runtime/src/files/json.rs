//! JSON: a reader without recursion beyond a fixed depth, and strings to be written.

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that is not negative.
    Natural(u64),
    /// A whole number below zero.
    Negative(i64),
    /// A whole number in another form, such as `1.0` or `1e18`.
    Whole(i128),
    /// Any other number; `NaN`, `Infinity` and `-Infinity` are read, too, since Python writes them.
    Real(f64),
    /// Text.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// Distinct names and their values in order.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value of a name, in objects.
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(entries) => entries.iter().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub fn kind(&self) -> String {
        match self {
            Json::Null => "null".into(),
            Json::Bool(value) => value.to_string(),
            Json::Natural(value) => value.to_string(),
            Json::Negative(value) => value.to_string(),
            Json::Whole(value) => format!("{:?}", *value as f64),
            Json::Real(value) => format!("{value:?}"),
            Json::String(_) => "a string".into(),
            Json::Array(_) => "a list".into(),
            Json::Object(_) => "an object".into(),
        }
    }

    /// All elements as natural numbers, for lists of them.
    pub fn naturals(&self) -> Option<Vec<u64>> {
        let Json::Array(items) = self else {
            return None;
        };
        let natural = |item: &Json| match item {
            Json::Natural(n) => Some(*n),
            _ => None,
        };
        items.iter().map(natural).collect()
    }
}

/// How deep values may be nested: as deep as arrays have axes, within an object.
const MAX_DEPTH: u32 = 66;

/// Reads one value, which must be all there is but for white space.
pub fn parse(text: &str) -> Result<Json, String> {
    let mut reader = Reader { rest: text };
    let value = reader.value(0)?;
    match reader.rest.trim_start() {
        "" => Ok(value),
        rest => Err(unexpected(rest)),
    }
}

fn unexpected(rest: &str) -> String {
    let shown: String = rest.chars().take(20).collect();
    format!("JSON: unexpected {shown:?}")
}

/// What is too large for any type is a mistake: infinity has a name.
fn too_large(number: &str) -> String {
    const SHOWN: usize = 20;
    let shown = match number.len() {
        0..=SHOWN => number.to_owned(),
        len => format!("{}... ({len} characters)", &number[..SHOWN]),
    };
    format!("JSON: the number {shown} is too large: no type goes beyond 1.8e308")
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn eat(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: char) -> Result<(), String> {
        match self.eat(token) {
            true => Ok(()),
            false => Err(unexpected(self.rest)),
        }
    }

    fn value(&mut self, depth: u32) -> Result<Json, String> {
        if depth > MAX_DEPTH {
            return Err("JSON: nested too deeply".into());
        }
        if self.eat('{') {
            let mut entries = Vec::new();
            while !self.eat('}') {
                if !entries.is_empty() {
                    self.expect(',')?;
                }
                self.expect('"')?;
                let name = self.string()?;
                self.expect(':')?;
                entries.push((name, self.value(depth + 1)?));
            }
            let names = entries.iter().map(|(name, _)| name.as_str());
            super::check_distinct(names).map_err(|e| format!("JSON: {e}"))?;
            return Ok(Json::Object(entries));
        }
        if self.eat('[') {
            let mut items = Vec::new();
            while !self.eat(']') {
                if !items.is_empty() {
                    self.expect(',')?;
                }
                items.push(self.value(depth + 1)?);
            }
            return Ok(Json::Array(items));
        }
        if self.eat('"') {
            return self.string().map(Json::String);
        }
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let end = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let value = literal(word).ok_or_else(|| unexpected(self.rest))?;
        if let Json::Real(value) = value
            && value.is_infinite()
            && !word.ends_with("Infinity")
        {
            return Err(too_large(word));
        }
        self.rest = rest;
        Ok(value)
    }

    /// The rest of a string behind its first quote.
    fn string(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        let open = || "JSON: a string does not end".to_string();
        loop {
            let (at, c) = chars.next().ok_or_else(open)?;
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => text.push(escaped(&mut || chars.next().map(|(_, c)| c))?),
                c => text.push(c),
            }
        }
    }
}

/// A number or a word.
fn literal(word: &str) -> Option<Json> {
    Some(match word {
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        "null" => Json::Null,
        "NaN" => Json::Real(f64::NAN),
        "Infinity" => Json::Real(f64::INFINITY),
        "-Infinity" => Json::Real(f64::NEG_INFINITY),
        _ => {
            let digits = word.strip_prefix('-').unwrap_or(word);
            if !digits.starts_with(|c: char| c.is_ascii_digit()) {
                return None;
            }
            let natural = word.parse().map(Json::Natural);
            let short = natural.or_else(|_| word.parse().map(Json::Negative));
            let real: f64 = word.parse().ok()?;
            match (short, whole(digits)) {
                // `-0` and `-0.0` are no whole numbers: their sign would be lost.
                _ if real == 0.0 && real.is_sign_negative() => Json::Real(real),
                (Ok(value), _) => value,
                (Err(_), Some(value)) if word.starts_with('-') => Json::Whole(-value),
                (Err(_), Some(value)) => Json::Whole(value),
                (Err(_), None) => Json::Real(real),
            }
        }
    })
}

/// The value of a number without a sign if that is whole and 64 bits may hold it, to the last digit: floating-point
/// numbers round beyond 2^53.
fn whole(number: &str) -> Option<i128> {
    let (digits, exponent) = match number.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = format!("{before}{behind}");
    let significant = digits.trim_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // How many zeros follow the last digit that is none; fewer than none are a fraction.
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let zeros =
        i64::try_from(zeros).ok()? + i64::from(exponent) - i64::try_from(behind.len()).ok()?;
    let scale = 10i128.checked_pow(u32::try_from(zeros).ok()?)?;
    let value = significant.parse::<i128>().ok()?.checked_mul(scale)?;
    (value <= u64::MAX.into()).then_some(value)
}

/// What an escape sequence stands for; `next` gives what follows the backslash. Halves of surrogate pairs
/// stand for the replacement character.
fn escaped(next: &mut dyn FnMut() -> Option<char>) -> Result<char, String> {
    let bad = || "JSON: an escape sequence is not one".to_string();
    Ok(match next().ok_or_else(bad)? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => {
            let mut code = 0;
            for _ in 0..4 {
                code = code * 16 + next().and_then(|c| c.to_digit(16)).ok_or_else(bad)?;
            }
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        c @ ('"' | '\\' | '/') => c,
        _ => return Err(bad()),
    })
}

/// `text` as a JSON string, quotes included.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read() {
        let value = parse(r#" {"a": [1, 20], "b\n\"\u00e9": {"c": -1.5e3}, "d": null} "#).unwrap();
        assert_eq!(value.get("a").unwrap().naturals(), Some(vec![1, 20]));
        let inner = value.get("b\n\"é").unwrap();
        assert_eq!(inner.get("c"), Some(&Json::Whole(-1500)));
        assert_eq!(inner.get("d"), None);
        assert_eq!(value.get("d"), Some(&Json::Null));
        let numbers = parse("[-7, -0, Infinity, 18446744073709551616, -Infinity]").unwrap();
        let expected = [
            Json::Negative(-7),
            Json::Real(-0.0),
            Json::Real(f64::INFINITY),
            Json::Real(18446744073709551616.0),
            Json::Real(f64::NEG_INFINITY),
        ];
        assert_eq!(numbers, Json::Array(expected.into()));
        for wrong in [
            "",
            "{",
            "[1",
            "[1 2]",
            "{\"a\" 1}",
            "\"",
            "nul",
            "-inf",
            "1x",
            "1 1",
            "\"\\x\"",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse(&"[".repeat(100_000)).unwrap_err().contains("deeply"));
    }

    #[test]
    fn numbers_beyond_every_type_say_so() {
        let error = parse("[1e400]").unwrap_err();
        let expected = "JSON: the number 1e400 is too large: no type goes beyond 1.8e308";
        assert_eq!(error, expected);
        let error = parse(&format!("-{}", "7".repeat(5000))).unwrap_err();
        assert!(
            error.contains("-7777777777777777777... (5001 characters) is too large"),
            "{error}"
        );
    }

    #[test]
    fn whole_numbers_are_exact_in_every_form() {
        for (text, expected) in [
            ("1.0", Json::Whole(1)),
            ("1e18", Json::Whole(1_000_000_000_000_000_000)),
            ("-9007199254740993.0", Json::Whole(-9_007_199_254_740_993)),
            ("1.8446744073709551615E+19", Json::Whole(u64::MAX.into())),
            ("2500e-2", Json::Whole(25)),
            ("0e999999", Json::Whole(0)),
            ("25e-2", Json::Real(0.25)),
            ("-0.0", Json::Real(-0.0)),
            ("1e20", Json::Real(1e20)),
            ("7", Json::Natural(7)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        assert!(parse("1e18x").is_err());
    }

    #[test]
    fn names_given_twice_are_refused() {
        let error = parse(r#"{"a": 1, "b": {"c": 1, "c": 2}}"#).unwrap_err();
        assert_eq!(error, "JSON: the name \"c\" is given twice");
        assert!(parse(r#"{"a": {"c": 1}, "b": {"c": 1}}"#).is_ok());
    }

    proptest! {
        #[test]
        fn strings_come_back(text in ".*") {
            prop_assert_eq!(parse(&quoted(&text)), Ok(Json::String(text)));
        }

        #[test]
        fn anything_is_a_value_or_an_error(text in "[\\[\\]{}\",:0-9a-z \\\\-]{0,40}") {
            let _ = parse(&text);
        }
    }
}
