//! Arrays as text: one line per row, the middle of long ones left out.

use lazulite_runtime::Array;
use std::io::{self, Write};

/// Rows and columns that are shown in full.
const WHOLE: usize = 12;
/// What is shown of both ends of longer ones.
const END: usize = 5;

/// Positions to show of `count`, with a gap where `None` stands.
fn shown(count: usize) -> impl Iterator<Item = Option<usize>> {
    let (first, last) = match count > WHOLE {
        true => (END, count - END),
        false => (count, count),
    };
    let gap = (count > WHOLE).then_some(None);
    (0..first)
        .map(Some)
        .chain(gap)
        .chain((last..count).map(Some))
}

/// Prints the elements.
pub fn show(out: &mut impl Write, array: &Array) -> io::Result<()> {
    let columns = array.dims.last().copied().unwrap_or(1);
    let elements = array.data.len() / array.element.bytes();
    let rows = elements.checked_div(columns).unwrap_or(0);
    for row in shown(rows) {
        let Some(row) = row else {
            writeln!(out, "  ...")?;
            continue;
        };
        write!(out, "  [")?;
        for (n, column) in shown(columns).enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            let text = column.and_then(|c| array.element_text(row * columns + c));
            write!(out, "{comma}{}", text.as_deref().unwrap_or("..."))?;
        }
        writeln!(out, "]")?;
    }
    Ok(())
}

/// All elements as numbers, unless they are complex.
pub fn numbers(array: &Array) -> Option<Vec<f64>> {
    if array.element.is_complex() {
        return None;
    }
    let count = array.data.len() / array.element.bytes();
    let number = |at| match array.element_text(at)?.as_str() {
        "true" => Some(1.0),
        "false" => Some(0.0),
        text => text.parse().ok(),
    };
    (0..count).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lazulite_runtime::{Buffer, Element};

    fn text(element: Element, dims: &[usize], data: Buffer) -> String {
        let dims = dims.to_vec();
        let array = Array {
            element,
            dims,
            data,
        };
        let mut out = Vec::new();
        show(&mut out, &array).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_are_lines_and_long_ones_are_cut() {
        let f32s = |v: &[f32]| Buffer::from_slice(v).unwrap();
        let matrix = text(Element::F32, &[2, 2], f32s(&[1.0, -0.5, 1e-9, f32::NAN]));
        assert_eq!(matrix, "  [1.0, -0.5]\n  [1e-9, NaN]\n");
        assert_eq!(text(Element::F32, &[], f32s(&[2.5])), "  [2.5]\n");
        assert_eq!(text(Element::F32, &[3, 0], f32s(&[])), "");
        assert_eq!(
            text(Element::C64, &[1], f32s(&[1.0, -2.0])),
            "  [1.0-2.0i]\n"
        );
        let long: Vec<u8> = (0..100).collect();
        let long = text(Element::U8, &[100], Buffer::from_bytes(&long).unwrap());
        assert_eq!(long, "  [0, 1, 2, 3, 4, ..., 95, 96, 97, 98, 99]\n");
        let tall = Buffer::from_bytes(&[1; 40]).unwrap();
        let tall = text(Element::Bool, &[20, 2], tall);
        assert_eq!(tall.lines().count(), 2 * END + 1);
    }
}
