//! Strict JSON: what trust depends on is read once, by one scanner.
//!
//! The scanner refuses what parsers disagree about: duplicate keys, trailing data, invalid UTF-8, lone surrogates,
//! deep nesting. It is fed in pieces, so a document of any size is checked in constant memory; small parts of it can
//! be kept as [`Node`]s, long strings and named members as byte ranges.
//!
//! Source: RFC 8259; RFC 7493 §2.3 (no duplicate names).

mod node;
mod scanner;

pub use node::{Node, Value};
pub use scanner::Scanner;

use crate::code::Code;
use crate::limits::Limits;

/// Why a text is refused. Offsets are in bytes from its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// A byte that the grammar does not allow here.
    #[error("unexpected byte at offset {offset}, expected {expected}")]
    Unexpected {
        /// Where.
        offset: u64,
        /// What would have been right.
        expected: &'static str,
    },
    /// The text stops before its value is complete.
    #[error("the text ends early, at offset {offset}")]
    Truncated {
        /// Length of the text.
        offset: u64,
    },
    /// Bytes that are not UTF-8.
    #[error("invalid UTF-8 at offset {offset}")]
    NotUtf8 {
        /// Where.
        offset: u64,
    },
    /// An object has the same key twice; parsers disagree about which one counts.
    #[error("duplicate key at offset {offset}: {key}")]
    DuplicateKey {
        /// Where the second one ends.
        offset: u64,
        /// The key.
        key: String,
    },
    /// Nested deeper than the bound.
    #[error("nested deeper than {limit} levels at offset {offset}")]
    TooDeep {
        /// Where.
        offset: u64,
        /// The bound.
        limit: usize,
    },
    /// An object has more keys than the bound.
    #[error("an object has more than {limit} keys at offset {offset}")]
    TooManyKeys {
        /// Where.
        offset: u64,
        /// The bound.
        limit: usize,
    },
    /// What has to be kept of the document is larger than the bound.
    #[error("more than {limit} bytes of the document would have to be held in memory")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
}

impl JsonError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::DuplicateKey { .. } => Code::JsonDuplicateKey,
            Self::TooDeep { .. } => Code::JsonTooDeep,
            Self::TooManyKeys { .. } | Self::TooLarge { .. } => Code::TooLarge,
            Self::Unexpected { .. } | Self::Truncated { .. } | Self::NotUtf8 { .. } => Code::JsonInvalid,
        }
    }
}

/// What of a document is kept while it is scanned.
#[derive(Debug, Clone, Copy)]
pub enum Keep<'a> {
    /// Nothing; the document is only checked.
    Nothing,
    /// The names of the outermost object's members; their values are skipped.
    Names,
    /// All but the values of these top-level members and strings longer than `string_bytes`, which become ranges.
    AllBut {
        /// Names of members of the outermost object.
        members: &'a [&'a str],
        /// Decoded length above which a string becomes a range.
        string_bytes: usize,
    },
}

/// Checks that `text` is strict JSON and keeps nothing of it.
///
/// # Errors
/// Any [`JsonError`].
///
/// ```
/// use attestry::{json, limits::Limits};
/// assert!(json::check(br#"{"a":1}"#, &Limits::default()).is_ok());
/// assert!(json::check(br#"{"a":1,"a":2}"#, &Limits::default()).is_err());
/// ```
pub fn check(text: &[u8], limits: &Limits) -> Result<(), JsonError> {
    let mut scanner = Scanner::new(Keep::Nothing, limits);
    scanner.feed(text)?;
    scanner.finish().map(|_| ())
}

/// Checks that `text` is strict JSON and keeps all of it.
///
/// # Errors
/// Any [`JsonError`].
pub fn read(text: &[u8], limits: &Limits) -> Result<Node, JsonError> {
    let mut scanner = Scanner::new(Keep::AllBut { members: &[], string_bytes: usize::MAX }, limits);
    scanner.feed(text)?;
    scanner.finish()
}
