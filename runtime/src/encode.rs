//! Images as bytes: a magic number, the format version, then the image in postcard encoding.
//! Reading never panics, whatever the bytes; what was read is still to be validated by linking.

use crate::{Image, VERSION};
use postcard::ser_flavors::Size;
use std::fmt;

const MAGIC: [u8; 4] = *b"LZLI";

/// Why bytes are not an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The bytes do not begin like an image.
    NotAnImage,
    /// Written by another version of the format.
    Version(u32),
    /// The content is damaged.
    Damaged(String),
    /// This many bytes follow the image.
    Trailing(usize),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::NotAnImage => f.write_str("not a program image"),
            DecodeError::Version(found) => {
                write!(f, "program image of version {found}, expected {VERSION}")
            }
            DecodeError::Damaged(why) => write!(f, "damaged program image: {why}"),
            DecodeError::Trailing(n) => write!(f, "{n} unexpected bytes behind the program image"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl Image {
    /// The image as bytes.
    ///
    /// # Errors
    /// When the encoder fails; nothing in an image makes it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.version.to_le_bytes());
        postcard::to_extend(self, bytes).map_err(|e| e.to_string())
    }

    /// About how many bytes of memory the image takes: an encoded byte stands for a word or two.
    pub(crate) fn footprint(&self) -> usize {
        const PER_ENCODED_BYTE: usize = 16;
        let encoded = postcard::serialize_with_flavor(self, Size::default());
        // Nothing in an image makes the encoder fail.
        encoded
            .unwrap_or(usize::MAX)
            .saturating_mul(PER_ENCODED_BYTE)
    }

    /// Reads what [`Image::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are not a whole image of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Image, DecodeError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(DecodeError::NotAnImage)?;
        let (version, body) = rest.split_first_chunk().ok_or(DecodeError::NotAnImage)?;
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let (image, rest) = postcard::take_from_bytes::<Image>(body)
            .map_err(|e| DecodeError::Damaged(e.to_string()))?;
        if image.version != version {
            return Err(DecodeError::Version(image.version));
        }
        match rest.len() {
            0 => Ok(image),
            n => Err(DecodeError::Trailing(n)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Step, VERSION};

    fn image(steps: Vec<Step>) -> Image {
        Image {
            version: VERSION,
            symbols: vec!["n".into()],
            inputs: vec![],
            outputs: vec![],
            buffers: vec![],
            kernels: vec![],
            steps,
            guards: vec![],
            faults: vec![],
            donations: vec![],
        }
    }

    fn nest(depth: u32) -> Vec<Step> {
        (0..depth).fold(vec![], |then, _| {
            vec![Step::If {
                condition: 0,
                then,
                other: vec![],
            }]
        })
    }

    #[test]
    fn bytes_come_back() {
        let image = image(nest(crate::MAX_NESTING));
        let bytes = image.to_bytes().unwrap();
        assert_eq!(Image::from_bytes(&bytes), Ok(image));
    }

    #[test]
    fn damage_is_an_error() {
        let good = image(nest(3)).to_bytes().unwrap();
        assert_eq!(Image::from_bytes(b"LZL"), Err(DecodeError::NotAnImage));
        assert_eq!(Image::from_bytes(&good[..6]), Err(DecodeError::NotAnImage));
        let mut other = good.clone();
        other[4] = 9;
        assert_eq!(Image::from_bytes(&other), Err(DecodeError::Version(9)));
        let mut long = good.clone();
        long.push(0);
        assert_eq!(Image::from_bytes(&long), Err(DecodeError::Trailing(1)));
        for cut in 8..good.len() {
            assert!(matches!(
                Image::from_bytes(&good[..cut]),
                Err(DecodeError::Damaged(_))
            ));
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_stack_overflow() {
        let bytes = image(nest(1000)).to_bytes().unwrap();
        assert!(matches!(
            Image::from_bytes(&bytes),
            Err(DecodeError::Damaged(_))
        ));
        // The counter is back at zero afterwards.
        let fine = image(nest(2)).to_bytes().unwrap();
        assert!(Image::from_bytes(&fine).is_ok());
    }
}
