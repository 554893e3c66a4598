//! Strings in quotes, and names that may need them.

use super::lex::{Cursor, TokenKind, is_word};
use crate::TextError;
use std::fmt::{self, Write};

/// Writes `text` in quotes, with escapes for the quote, the backslash and control characters.
pub(crate) fn write_quoted(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c if c.is_control() => write!(out, "\\u{{{:x}}}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

/// Writes the name of a symbol: bare when that reads back as the same symbol wherever sizes
/// stand, else in quotes.
pub(crate) fn write_symbol(out: &mut impl Write, name: &str) -> fmt::Result {
    if is_word(name) && !is_kernel_name(name) {
        out.write_str(name)
    } else {
        write_quoted(out, name)
    }
}

/// Kernels call their loop variables `o0` and `i0` and their values `v0`.
fn is_kernel_name(word: &str) -> bool {
    word.strip_prefix(['o', 'i', 'v'])
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Reads a string in quotes.
pub(crate) fn read_quoted(cursor: &mut Cursor<'_>, what: &str) -> Result<String, TextError> {
    let token = cursor.take(TokenKind::Quoted, what)?;
    let inner = &token.text[1..token.text.len() - 1];
    let mut chars = inner.chars();
    let mut out = String::with_capacity(inner.len());
    while let Some(c) = chars.next() {
        let decoded = if c == '\\' {
            unescape(&mut chars)
        } else {
            Some(c)
        };
        out.push(decoded.ok_or_else(|| {
            let known = r#"`\"`, `\\`, `\n`, `\r`, `\t` and `\u{...}`"#;
            token
                .at
                .error(format!("a string holds an escape other than {known}"))
        })?);
    }
    Ok(out)
}

fn unescape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    match chars.next()? {
        c @ ('"' | '\\') => Some(c),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'u' => {
            let (digits, rest) = chars.as_str().strip_prefix('{')?.split_once('}')?;
            // `from_str_radix` would accept a sign.
            let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
            let code = u32::from_str_radix(digits, 16).ok().filter(|_| hex)?;
            *chars = rest.chars();
            char::from_u32(code)
        }
        _ => None,
    }
}
