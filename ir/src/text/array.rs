//! Arrays as text: type, then all elements in row-major order, exactly: `f32[2] [0.1, nan]`; complex
//! elements stand in parentheses.

use super::lex::Cursor;
use super::number::{read_dtype, read_value, write_value};
use crate::{Array, DType, Scalar, TextError};
use std::fmt;
use std::str::FromStr;

impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?} [", self.dtype, self.dims)?;
        for (i, value) in self.scalars().enumerate() {
            f.write_str(if i == 0 { "" } else { ", " })?;
            if self.dtype.is_complex() {
                f.write_str("(")?;
                write_value(f, value)?;
                f.write_str(")")?;
            } else {
                write_value(f, value)?;
            }
        }
        f.write_str("]")
    }
}

impl FromStr for Array {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Array, TextError> {
        let mut cursor = Cursor::new(text);
        let at = cursor.peek().at;
        let dtype = read_dtype(&mut cursor)?;
        cursor.expect("[")?;
        let dims = read_items(&mut cursor, |c| c.natural("a size"))?;
        cursor.expect("[")?;
        let values = read_items(&mut cursor, |c| read_element(c, dtype))?;
        cursor.expect_end()?;
        Array::from_scalars(dtype, &dims, &values).map_err(|e| at.error(e.to_string()))
    }
}

fn read_element(cursor: &mut Cursor<'_>, dtype: DType) -> Result<Scalar, TextError> {
    if !dtype.is_complex() {
        return read_value(cursor, dtype);
    }
    cursor.expect("(")?;
    let value = read_value(cursor, dtype)?;
    cursor.expect(")")?;
    Ok(value)
}

/// Reads items separated by commas up to `]`.
fn read_items<T>(
    cursor: &mut Cursor<'_>,
    mut item: impl FnMut(&mut Cursor<'_>) -> Result<T, TextError>,
) -> Result<Vec<T>, TextError> {
    let mut items = Vec::new();
    while !cursor.eat("]") {
        if !items.is_empty() && !cursor.eat(",") {
            return Err(cursor.expected("`,` or `]`"));
        }
        items.push(item(cursor)?);
    }
    Ok(items)
}
