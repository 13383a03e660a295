//! Base64 as DSSE asks for it: written in the standard alphabet, read in both.
//!
//! Source: DSSE envelope.md, "producers MAY use either standard or URL-safe base64; verifiers MUST accept either".

use std::io;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Content;

const WHOLE_QUADS: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireNone),
);
const LAST_QUAD: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text is not base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Base64Error {
    /// No base64 text has this length.
    #[error("no base64 text is {length} characters long")]
    Length {
        /// Characters, padding left out.
        length: u64,
    },
    /// A character outside both alphabets, or padding before the end.
    #[error("not base64")]
    Character,
    /// The text could not be read.
    #[error("the text could not be read")]
    Unreadable,
}

/// Length of the bytes that a text stands for, from its length and its last two characters.
pub(super) fn decoded_length(text: &Content) -> Result<u64, Base64Error> {
    let length = text.length();
    let tail = text.slice(length.saturating_sub(2)..length).read_all();
    let tail = tail.map_err(|_| Base64Error::Unreadable)?;
    let padding = tail.iter().rev().take_while(|&&byte| byte == b'=').count();
    let characters = length - u64::try_from(padding).unwrap_or(0);
    match (characters % 4, padding) {
        (0, 0) => Ok(characters / 4 * 3),
        (2, 0 | 2) => Ok(characters / 4 * 3 + 1),
        (3, 0 | 1) => Ok(characters / 4 * 3 + 2),
        _ => Err(Base64Error::Length { length: characters }),
    }
}

/// Decodes a piece whose length is a multiple of four, or the last piece. `text` is changed to the standard alphabet.
pub(super) fn decode_piece(text: &mut [u8], last: bool, output: &mut Vec<u8>) -> io::Result<()> {
    output.clear();
    let engine = if last { &LAST_QUAD } else { &WHOLE_QUADS };
    if engine.decode_vec(&*text, output).is_ok() {
        return Ok(());
    }
    // Nearly all text is in the standard alphabet, so the other one costs a second look.
    for byte in text.iter_mut() {
        match *byte {
            b'-' => *byte = b'+',
            b'_' => *byte = b'/',
            _ => {}
        }
    }
    output.clear();
    engine.decode_vec(&*text, output).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, Base64Error::Character))
}

/// Decodes text held in memory, in either alphabet, padded or not.
///
/// # Errors
/// [`Base64Error::Character`] when it is not base64.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, Base64Error> {
    let mut output = Vec::new();
    decode_piece(&mut text.as_bytes().to_vec(), true, &mut output).map_err(|_| Base64Error::Character)?;
    Ok(output)
}

/// Standard base64 with padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
