//! Elements as text, with as many digits as tell them apart.

use crate::{Array, Element};
use half::{bf16, f16};

impl Element {
    /// The element that these bytes are, of which there are as many as an element has.
    pub(crate) fn text(self, bytes: &[u8]) -> String {
        macro_rules! number {
            ($type:ty) => {
                number!($type, bytes)
            };
            ($type:ty, $bytes:expr) => {{
                let mut own = [0; size_of::<$type>()];
                own.copy_from_slice($bytes);
                <$type>::from_ne_bytes(own)
            }};
        }
        match self {
            Element::Bool => (bytes[0] != 0).to_string(),
            Element::U8 => bytes[0].to_string(),
            Element::U16 => number!(u16).to_string(),
            Element::U32 => number!(u32).to_string(),
            Element::U64 => number!(u64).to_string(),
            Element::I8 => number!(i8).to_string(),
            Element::I16 => number!(i16).to_string(),
            Element::I32 => number!(i32).to_string(),
            Element::I64 => number!(i64).to_string(),
            Element::F16 => format!("{:?}", number!(f16).to_f32()),
            Element::BF16 => format!("{:?}", number!(bf16).to_f32()),
            Element::F32 => format!("{:?}", number!(f32)),
            Element::F64 => format!("{:?}", number!(f64)),
            Element::C64 => {
                let (re, im) = bytes.split_at(4);
                format!("{:?}{:+?}i", number!(f32, re), number!(f32, im))
            }
            Element::C128 => {
                let (re, im) = bytes.split_at(8);
                format!("{:?}{:+?}i", number!(f64, re), number!(f64, im))
            }
        }
    }
}

impl Array {
    /// An element as text, by its number in memory; nothing if there are not so many.
    ///
    /// ```
    /// use lazulite_runtime::{Array, Buffer, Element};
    /// let array = Array {
    ///     element: Element::F32,
    ///     dims: vec![2],
    ///     data: Buffer::from_slice(&[1.5f32, 3.0])?,
    /// };
    /// assert_eq!(array.element_text(1).as_deref(), Some("3.0"));
    /// assert_eq!(array.element_text(2), None);
    /// # Ok::<(), lazulite_runtime::RunError>(())
    /// ```
    pub fn element_text(&self, at: usize) -> Option<String> {
        let mut elements = self.data.as_bytes().chunks_exact(self.element.bytes());
        elements.nth(at).map(|bytes| self.element.text(bytes))
    }
}
