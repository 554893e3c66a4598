//! Text as tokens with positions, and the cursor that every reader walks along.
//!
//! Tokens are made one at a time, so an error always names the first place that is wrong. A comment
//! runs from `;` to the end of its line. Nothing here fails but [`Cursor::expected`] and its
//! users: characters that fit nowhere become tokens of their own, which no reader asks for.

use crate::TextError;

/// How deep graphs may nest in graphs, and functions in sizes. Readers recurse this deep, so it
/// bounds their use of the stack.
pub(crate) const MAX_DEPTH: u32 = 32;

/// A place in the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    pub line: u32,
    pub column: u32,
}

impl Position {
    /// An error at this place.
    pub fn error(self, message: impl Into<String>) -> TextError {
        TextError {
            line: self.line,
            column: self.column,
            message: message.into(),
        }
    }
}

/// Kinds of tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TokenKind {
    /// A letter or underscore, then letters, digits and underscores.
    Word,
    /// Digits, perhaps with fraction and exponent, or `0x` and hexadecimal digits.
    Number,
    /// `%` and digits.
    Node,
    /// `"..."` with escapes, on one line.
    Quoted,
    /// `"` without a second one on its line.
    Unterminated,
    /// Punctuation.
    Mark,
    /// A character that starts no token.
    Unknown,
    /// Nothing is left.
    End,
}

/// A piece of text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub kind: TokenKind,
    pub text: &'a str,
    pub at: Position,
}

impl Token<'_> {
    pub fn is(self, kind: TokenKind, text: &str) -> bool {
        self.kind == kind && self.text == text
    }

    fn describe(self) -> String {
        match self.kind {
            TokenKind::End => "the end of the text".into(),
            TokenKind::Unterminated => "a string without a closing quote on its line".into(),
            _ => format!("`{}`", shortened(self.text)),
        }
    }
}

/// The beginning of a text, for messages.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into(),
    }
}

/// A place between two tokens.
pub(crate) struct Cursor<'a> {
    rest: &'a str,
    at: Position,
    next: Token<'a>,
    depth: u32,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Cursor<'a> {
        let at = Position { line: 1, column: 1 };
        let mut cursor = Cursor {
            rest: text,
            at,
            next: Token {
                kind: TokenKind::End,
                text: "",
                at,
            },
            depth: 0,
        };
        cursor.next = cursor.lex();
        cursor
    }

    /// The next token.
    pub fn peek(&self) -> Token<'a> {
        self.next
    }

    /// Takes the next token.
    pub fn advance(&mut self) -> Token<'a> {
        let following = self.lex();
        std::mem::replace(&mut self.next, following)
    }

    /// The error that `what` was expected here.
    pub fn expected(&self, what: &str) -> TextError {
        let found = self.next.describe();
        self.next
            .at
            .error(format!("expected {what}, found {found}"))
    }

    /// Takes a token of this kind; `what` is for the message.
    pub fn take(&mut self, kind: TokenKind, what: &str) -> Result<Token<'a>, TextError> {
        if self.next.kind == kind {
            Ok(self.advance())
        } else {
            Err(self.expected(what))
        }
    }

    fn eat_token(&mut self, kind: TokenKind, text: &str) -> bool {
        let found = self.next.is(kind, text);
        if found {
            self.advance();
        }
        found
    }

    /// Takes this punctuation if it comes next.
    pub fn eat(&mut self, mark: &str) -> bool {
        self.eat_token(TokenKind::Mark, mark)
    }

    /// Takes this word if it comes next.
    pub fn eat_word(&mut self, word: &str) -> bool {
        self.eat_token(TokenKind::Word, word)
    }

    /// Takes this punctuation.
    pub fn expect(&mut self, mark: &str) -> Result<(), TextError> {
        if self.eat(mark) {
            Ok(())
        } else {
            Err(self.expected(&format!("`{mark}`")))
        }
    }

    /// Takes this word.
    pub fn expect_word(&mut self, word: &str) -> Result<(), TextError> {
        if self.eat_word(word) {
            Ok(())
        } else {
            Err(self.expected(&format!("`{word}`")))
        }
    }

    /// Takes the end of the text.
    pub fn expect_end(&self) -> Result<(), TextError> {
        match self.next.kind {
            TokenKind::End => Ok(()),
            _ => Err(self.expected("the end of the text")),
        }
    }

    /// Takes a number without sign, fraction and exponent.
    pub fn natural<T: TryFrom<u64>>(&mut self, what: &str) -> Result<T, TextError> {
        let token = self.next;
        if token.kind != TokenKind::Number || !token.text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.expected(what));
        }
        let value: Option<u64> = token.text.parse().ok();
        let value = value.and_then(|v| T::try_from(v).ok());
        let value = value.ok_or_else(|| {
            let message = format!("{} is too large", shortened(token.text));
            token.at.error(message)
        })?;
        self.advance();
        Ok(value)
    }

    /// Runs a reader one level deeper.
    pub fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, TextError>,
    ) -> Result<T, TextError> {
        self.enter()?;
        let result = read(self);
        self.leave();
        result
    }

    /// Goes one level deeper, which [`Cursor::leave`] ends.
    pub fn enter(&mut self) -> Result<(), TextError> {
        if self.depth == MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(self.next.at.error(message));
        }
        self.depth += 1;
        Ok(())
    }

    /// Comes back one level.
    pub fn leave(&mut self) {
        self.depth -= 1;
    }

    fn lex(&mut self) -> Token<'a> {
        self.skip_blanks();
        let (kind, length) = measure(self.rest);
        let (text, rest) = self.rest.split_at(length);
        let at = self.at;
        self.rest = rest;
        // No token spans lines.
        self.at.column = at.column.saturating_add(text.chars().count() as u32);
        Token { kind, text, at }
    }

    fn skip_blanks(&mut self) {
        loop {
            match self.rest.chars().next() {
                Some('\n') => {
                    self.at.line = self.at.line.saturating_add(1);
                    self.at.column = 1;
                    self.rest = &self.rest[1..];
                }
                Some(c) if c.is_whitespace() => {
                    self.at.column = self.at.column.saturating_add(1);
                    self.rest = &self.rest[c.len_utf8()..];
                }
                Some(';') => {
                    let end = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                }
                _ => return,
            }
        }
    }
}

/// Punctuation of more than one character, longest first.
const LONG_MARKS: [&str; 3] = ["..", "==", "<="];
const MARKS: &str = "(){}[],:=+-*<@";

fn measure(text: &str) -> (TokenKind, usize) {
    let Some(first) = text.chars().next() else {
        return (TokenKind::End, 0);
    };
    if is_word_start(first) {
        return (TokenKind::Word, length_while(text, is_word_part));
    }
    if first.is_ascii_digit() {
        return (TokenKind::Number, number_length(text));
    }
    if first == '%' {
        let digits = length_while(&text[1..], |c| c.is_ascii_digit());
        let kind = if digits > 0 {
            TokenKind::Node
        } else {
            TokenKind::Unknown
        };
        return (kind, 1 + digits);
    }
    if first == '"' {
        return quoted_length(text);
    }
    if let Some(mark) = LONG_MARKS.iter().find(|m| text.starts_with(**m)) {
        return (TokenKind::Mark, mark.len());
    }
    let kind = if MARKS.contains(first) {
        TokenKind::Mark
    } else {
        TokenKind::Unknown
    };
    (kind, first.len_utf8())
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_word_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// True when `text` is one [`TokenKind::Word`].
pub(crate) fn is_word(text: &str) -> bool {
    text.starts_with(is_word_start) && text.chars().all(is_word_part)
}

fn length_while(text: &str, part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !part(c)).unwrap_or(text.len())
}

fn number_length(text: &str) -> usize {
    let digits = |from: usize| length_while(&text[from..], |c| c.is_ascii_digit());
    if let Some(hex) = text.strip_prefix("0x") {
        return 2 + length_while(hex, |c| c.is_ascii_hexdigit());
    }
    let mut length = digits(0);
    // A range like `0..4` is not a fraction.
    if text[length..].starts_with('.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if text[length..].starts_with(['e', 'E']) {
        let sign = usize::from(text[length + 1..].starts_with(['+', '-']));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}

fn quoted_length(text: &str) -> (TokenKind, usize) {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return (TokenKind::Unterminated, i),
            '"' if !escaped => return (TokenKind::Quoted, i + 1),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    (TokenKind::Unterminated, text.len())
}
