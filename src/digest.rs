//! Digests: an algorithm and the bytes it gave.
//!
//! Only the three algorithms that may decide anything here exist as types. Text with another algorithm is refused
//! by [`Digest::parse`]; statements may carry such entries, and `intoto` ignores them.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest as backend;

use crate::code::Code;

/// An algorithm that may decide whether two contents are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DigestAlgorithm {
    /// SHA-256, what every registry uses.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512, registered in the image specification.
    Sha512,
}

impl DigestAlgorithm {
    /// All of them, weakest first.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name in digests and in in-toto digest sets.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the hex text.
    pub const fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }

    /// Reads a name; `None` for any other algorithm, which then decides nothing.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    fn backend(self) -> &'static backend::Algorithm {
        match self {
            Self::Sha256 => &backend::SHA256,
            Self::Sha384 => &backend::SHA384,
            Self::Sha512 => &backend::SHA512,
        }
    }
}

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// There is no `:` between algorithm and value.
    #[error("no algorithm before the value: {text}")]
    NoAlgorithm {
        /// What was read.
        text: String,
    },
    /// The algorithm is not one of ours.
    #[error("digest algorithm not supported: {name}")]
    UnknownAlgorithm {
        /// What was read.
        name: String,
    },
    /// The value has the wrong length or is not lower-case hex.
    #[error("{algorithm} takes {expected} lower-case hex digits: {text}", algorithm = algorithm.as_str(), expected = algorithm.hex_length())]
    BadHex {
        /// The algorithm that fixes the length.
        algorithm: DigestAlgorithm,
        /// What was read.
        text: String,
    },
}

impl DigestError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        Code::DigestInvalid
    }
}

/// `algorithm:hex`, checked: a known algorithm, lower-case hex of its length.
///
/// Upper-case hex is refused, because two spellings of one digest would make two cache keys, two tags and two paths.
///
/// Source: image-spec 1.1, descriptor.md, "Digests".
///
/// ```
/// use attestry::digest::{Digest, DigestAlgorithm};
/// let digest = Digest::of(DigestAlgorithm::Sha256, b"{}");
/// assert_eq!(digest.to_string(), "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
/// assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: DigestAlgorithm,
    hex: Box<str>,
}

impl Digest {
    /// Digests bytes held in memory.
    pub fn of(algorithm: DigestAlgorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// SHA-256 of bytes held in memory: what descriptors that we write carry.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self::of(DigestAlgorithm::Sha256, bytes)
    }

    /// Reads `algorithm:hex`.
    ///
    /// # Errors
    /// Any [`DigestError`].
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let Some((name, hex)) = text.split_once(':') else {
            return Err(DigestError::NoAlgorithm { text: text.to_owned() });
        };
        let Some(algorithm) = DigestAlgorithm::from_name(name) else {
            return Err(DigestError::UnknownAlgorithm { name: name.to_owned() });
        };
        Self::from_hex(algorithm, hex)
    }

    /// Takes the hex text of a known algorithm, as in-toto digest sets carry it.
    ///
    /// # Errors
    /// [`DigestError::BadHex`] when the length or a digit is wrong.
    pub fn from_hex(algorithm: DigestAlgorithm, hex: &str) -> Result<Self, DigestError> {
        let digits = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hex.len() != algorithm.hex_length() || !digits {
            return Err(DigestError::BadHex { algorithm, text: hex.to_owned() });
        }
        Ok(Self { algorithm, hex: hex.into() })
    }

    /// Takes the raw bytes that an algorithm gave; `None` when their number is wrong.
    pub fn from_bytes(algorithm: DigestAlgorithm, bytes: &[u8]) -> Option<Self> {
        (bytes.len() * 2 == algorithm.hex_length()).then(|| Self { algorithm, hex: to_hex(bytes).into() })
    }

    /// The raw bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let nibbles: Vec<u32> = self.hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        nibbles
            .chunks(2)
            .filter_map(|pair| u8::try_from(pair.iter().fold(0, |high, low| high * 16 + low)).ok())
            .collect()
    }

    /// The algorithm.
    pub const fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// The hex text, without the algorithm.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// `algorithm:` and 12 hex digits, for people who have the whole digest a line away.
    pub fn short(&self) -> String {
        format!("{}:{}", self.algorithm.as_str(), self.hex.get(..12).unwrap_or(&self.hex))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.algorithm.as_str(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::parse(text)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^sha(256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})$"})
    }
}

/// Digests content that arrives in pieces.
pub struct Hasher {
    algorithm: DigestAlgorithm,
    context: backend::Context,
}

impl Hasher {
    /// Starts with nothing read.
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        Self { algorithm, context: backend::Context::new(algorithm.backend()) }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// The digest of all that was added.
    pub fn finish(self) -> Digest {
        Digest { algorithm: self.algorithm, hex: to_hex(self.context.finish().as_ref()).into() }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect()
}

impl fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hasher").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_case_hex_is_refused() {
        let text = format!("sha256:{}", "A".repeat(64));
        assert!(matches!(Digest::parse(&text), Err(DigestError::BadHex { .. })));
    }

    #[test]
    fn a_short_value_is_refused() {
        assert!(matches!(Digest::parse("sha256:00"), Err(DigestError::BadHex { .. })));
    }

    #[test]
    fn an_unknown_algorithm_is_refused() {
        assert!(matches!(Digest::parse("md5:00"), Err(DigestError::UnknownAlgorithm { .. })));
    }

    #[test]
    fn the_three_algorithms_print_and_read_back() {
        for algorithm in DigestAlgorithm::ALL {
            let digest = Digest::of(algorithm, b"abc");
            assert_eq!(Digest::parse(&digest.to_string()), Ok(digest));
        }
    }
}
