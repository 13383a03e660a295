//! Which key algorithms exist here, and the names of those that do not.
//!
//! Pure. Source: RFC 5480 (elliptic curves), RFC 8017 (RSA), RFC 8410 (Ed25519).

use std::fmt;

use der::asn1::ObjectIdentifier;
use spki::AlgorithmIdentifierRef;

use super::error::KeyError;
use crate::digest::DigestAlgorithm;

/// RSA moduli that are accepted, in bits: NIST SP 800-131A ends below 2048, the backend ends above 8192.
pub(super) const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

/// The `rsaEncryption` identifier, also written into keys that come as PKCS#1.
pub(super) const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The algorithm of a key, which alone decides how it signs.
///
/// A key never signs or verifies with an algorithm that a document names; that closes algorithm confusion.
///
/// ```
/// use attestry::crypto::KeyAlgorithm;
/// assert_eq!(KeyAlgorithm::Rsa { bits: 3072 }.to_string(), "RSA 3072");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// ECDSA on P-256 with SHA-256: cosign's default.
    EcdsaP256,
    /// ECDSA on P-384: signs with SHA-384, verifies SHA-384 and then SHA-256.
    EcdsaP384,
    /// Pure Ed25519 (RFC 8032), which needs the whole message.
    Ed25519,
    /// RSA: signs PKCS#1 v1.5 with SHA-256.
    Rsa {
        /// Bits of the modulus.
        bits: u32,
    },
}

impl KeyAlgorithm {
    /// Digests that signing or verification with such a key may read; empty where the whole message is needed.
    pub const fn digest_algorithms(self) -> &'static [DigestAlgorithm] {
        match self {
            Self::EcdsaP256 => &[DigestAlgorithm::Sha256],
            Self::EcdsaP384 => &[DigestAlgorithm::Sha384, DigestAlgorithm::Sha256],
            Self::Ed25519 => &[],
            Self::Rsa { .. } => &DigestAlgorithm::ALL,
        }
    }

    /// Whether the key reads its message twice, so that the message must be held whole.
    pub const fn needs_whole_message(self) -> bool {
        matches!(self, Self::Ed25519)
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EcdsaP256 => formatter.write_str("ECDSA P-256"),
            Self::EcdsaP384 => formatter.write_str("ECDSA P-384"),
            Self::Ed25519 => formatter.write_str("Ed25519"),
            Self::Rsa { bits } => write!(formatter, "RSA {bits}"),
        }
    }
}

/// What an `AlgorithmIdentifier` says; the size of an RSA key is in the key, not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    P256,
    P384,
    Ed25519,
    Rsa,
}

impl Family {
    /// Reads the identifier of a public or private key.
    ///
    /// # Errors
    /// [`KeyError::AlgorithmUnsupported`]: any other algorithm or curve, by name where it has one here.
    pub(super) fn of(identifier: &AlgorithmIdentifierRef<'_>) -> Result<Self, KeyError> {
        match identifier.oid {
            EC_PUBLIC_KEY => match identifier.parameters.map(|any| any.decode_as::<ObjectIdentifier>()) {
                Some(Ok(curve)) => Self::of_curve(curve),
                // Explicit parameters let a key bring its own generator (CVE-2020-0601); RFC 5480 forbids them.
                _ => Err(unsupported("ECDSA with explicit curve parameters")),
            },
            RSA_ENCRYPTION => Ok(Self::Rsa),
            ED25519 => Ok(Self::Ed25519),
            other => Err(unsupported(name_of(other).unwrap_or(&other.to_string()))),
        }
    }

    /// Reads the identifier of a named curve.
    ///
    /// # Errors
    /// [`KeyError::AlgorithmUnsupported`]: another curve.
    pub(super) fn of_curve(curve: ObjectIdentifier) -> Result<Self, KeyError> {
        match curve.to_string().as_str() {
            "1.2.840.10045.3.1.7" => Ok(Self::P256),
            "1.3.132.0.34" => Ok(Self::P384),
            "1.3.132.0.35" => Err(unsupported("ECDSA P-521")),
            "1.3.132.0.33" => Err(unsupported("ECDSA P-224")),
            "1.3.132.0.10" => Err(unsupported("ECDSA secp256k1")),
            "1.2.156.10197.1.301" => Err(unsupported("SM2")),
            other => Err(unsupported(&format!("ECDSA on curve {other}"))),
        }
    }
}

fn unsupported(name: &str) -> KeyError {
    KeyError::AlgorithmUnsupported { name: name.to_owned() }
}

/// Names of algorithms that users bring and that are refused.
fn name_of(algorithm: ObjectIdentifier) -> Option<&'static str> {
    Some(match algorithm.to_string().as_str() {
        "1.2.840.10040.4.1" => "DSA",
        "1.2.840.113549.1.1.10" => "RSA key restricted to PSS",
        "1.3.101.110" => "X25519",
        "1.3.101.111" => "X448",
        "1.3.101.113" => "Ed448",
        "2.16.840.1.101.3.4.3.17" => "ML-DSA-44",
        "2.16.840.1.101.3.4.3.18" => "ML-DSA-65",
        "2.16.840.1.101.3.4.3.19" => "ML-DSA-87",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ed25519_needs_the_whole_message() {
        let algorithms =
            [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa { bits: 2048 }];
        for algorithm in algorithms {
            assert_eq!(algorithm.needs_whole_message(), algorithm.digest_algorithms().is_empty(), "{algorithm}");
        }
    }

    #[test]
    fn an_algorithm_without_a_name_here_is_refused_by_its_identifier() {
        let oid = ObjectIdentifier::new_unwrap("1.2.3.4");
        let refused = Family::of(&AlgorithmIdentifierRef { oid, parameters: None });
        assert_eq!(refused, Err(KeyError::AlgorithmUnsupported { name: "1.2.3.4".to_owned() }));
    }
}
