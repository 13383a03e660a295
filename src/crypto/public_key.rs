//! Public keys: read, named, and asked whether they made a signature.
//!
//! Pure. Source: RFC 5280, section 4.1 (`SubjectPublicKeyInfo`), RFC 5480, RFC 8017, RFC 8032, RFC 8410.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{self, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use der::{Decode as _, Encode as _};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use super::algorithm::{Family, KeyAlgorithm, RSA_BITS, RSA_ENCRYPTION};
use super::error::{KeyError, SignatureError};
use super::message::{MessageDigests, Whole};
use super::pem::{self, Block};
use crate::digest::{Digest, DigestAlgorithm};

const SPKI_LABEL: &str = "PUBLIC KEY";
const PKCS1_LABEL: &str = "RSA PUBLIC KEY";
/// First octet of an uncompressed point (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A public key of a supported algorithm, in its one canonical encoding.
///
/// Two keys are equal when their `SubjectPublicKeyInfo` is. Whether the key is trusted is not known here.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    spki: Arc<[u8]>,
}

impl PublicKey {
    /// Reads one PEM block: `PUBLIC KEY` (what cosign writes) or `RSA PUBLIC KEY`.
    ///
    /// # Errors
    /// [`KeyError::PrivateKeyGiven`] and [`KeyError::CertificateGiven`] when something else stands there, any of the
    /// errors of PEM, and those of [`from_der`](Self::from_der).
    ///
    /// Source: RFC 7468, section 13.
    ///
    /// ```
    /// # fn main() -> Result<(), attestry::crypto::KeyError> {
    /// let pem = "-----BEGIN PUBLIC KEY-----\n\
    ///            MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
    ///            -----END PUBLIC KEY-----\n";
    /// let key = attestry::crypto::PublicKey::from_pem(pem)?;
    /// assert_eq!(key.to_pem(), pem);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let blocks = pem::blocks(text)?;
        // The more helpful refusals come before the count: a private key often comes with a second block.
        if let Some(block) = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY")) {
            return Err(KeyError::PrivateKeyGiven { label: block.label.clone() });
        }
        refuse_certificates(&blocks)?;
        let block = pem::only(blocks)?;
        match block.label.as_str() {
            SPKI_LABEL => Self::from_der(&block.body),
            PKCS1_LABEL => Self::from_pkcs1_der(&block.body),
            _ => Err(KeyError::LabelUnknown { label: block.label }),
        }
    }

    /// Reads a `SubjectPublicKeyInfo`.
    ///
    /// Elliptic-curve points are checked to be on their curve. RSA moduli are not tested for weak primes.
    ///
    /// # Errors
    /// [`KeyError::DerMalformed`] also for bytes after the end; [`KeyError::AlgorithmUnsupported`];
    /// [`KeyError::RsaSizeUnsupported`]; [`KeyError::PointCompressed`] and [`KeyError::NotCanonical`] for a second
    /// encoding of a key; [`KeyError::Inconsistent`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        // 1. The outer structure and the algorithm.
        let malformed = |_| KeyError::DerMalformed { structure: "SubjectPublicKeyInfo" };
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(malformed)?;
        let family = Family::of(&info.algorithm)?;
        let bits = info.subject_public_key.as_bytes().ok_or(KeyError::NotCanonical)?;
        // 2. What the backend would take and we do not.
        let algorithm = match family {
            Family::P256 | Family::P384 if matches!(bits.first(), Some(2 | 3)) => {
                return Err(KeyError::PointCompressed);
            }
            // The hybrid form (6, 7) is a third encoding of the same point.
            Family::P256 | Family::P384 if bits.first() != Some(&UNCOMPRESSED) => return Err(KeyError::NotCanonical),
            Family::P256 => KeyAlgorithm::EcdsaP256,
            Family::P384 => KeyAlgorithm::EcdsaP384,
            Family::Ed25519 => KeyAlgorithm::Ed25519,
            Family::Rsa => {
                let key = pkcs1::RsaPublicKey::from_der(bits)
                    .map_err(|_| KeyError::DerMalformed { structure: "RSAPublicKey" })?;
                KeyAlgorithm::Rsa { bits: rsa_bits(key.modulus.as_bytes())? }
            }
        };
        // 3. The numbers, and that there is no second encoding of them.
        let parsed = ParsedPublicKey::new(parser(algorithm), der).map_err(|_| KeyError::Inconsistent)?;
        let canonical = parsed.as_der().map_err(|_| KeyError::Inconsistent)?;
        if canonical.as_ref() != der {
            return Err(KeyError::NotCanonical);
        }
        Ok(Self { algorithm, spki: der.into() })
    }

    /// The key as a `PUBLIC KEY` PEM block, byte for byte as cosign writes it.
    pub fn to_pem(&self) -> String {
        pem::encode(SPKI_LABEL, &self.spki)
    }

    /// The key as a `SubjectPublicKeyInfo`.
    pub fn to_der(&self) -> &[u8] {
        &self.spki
    }

    /// The algorithm.
    pub const fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Standard base64 of the SHA-256 of the `SubjectPublicKeyInfo`: what cosign writes as `publicKey.hint`.
    ///
    /// Source: protobuf-specs, sigstore_common.proto, `PublicKeyIdentifier`.
    pub fn hint(&self) -> String {
        BASE64_STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.spki))
    }

    /// SHA-256 of the `SubjectPublicKeyInfo`: the name of the key in reports.
    pub fn fingerprint(&self) -> Digest {
        Digest::sha256(&self.spki)
    }

    /// Decides whether the owner of this key made `signature` over the message.
    ///
    /// It does not decide whether the key is trusted, nor when the signature was made. ECDSA signatures are strict
    /// DER; whoever has one can make a second one for the same message, so a signature is no identity.
    ///
    /// | key | accepted |
    /// |---|---|
    /// | P-256 | SHA-256 |
    /// | P-384 | SHA-384, then SHA-256, which cosign used for every curve |
    /// | RSA | PKCS#1 v1.5 with SHA-256, SHA-384, SHA-512; PSS with SHA-256 and 32 bytes of salt |
    /// | Ed25519 | pure Ed25519, not Ed25519ph |
    ///
    /// # Errors
    /// [`SignatureError::Invalid`]: it did not. [`SignatureError::MessageTooLarge`]: nothing was decided.
    /// [`SignatureError::NotDigested`]: the message was digested for keys of other algorithms.
    pub fn verify(&self, message: &MessageDigests, signature: &[u8]) -> Result<(), SignatureError> {
        let algorithm = self.algorithm;
        if algorithm.needs_whole_message() {
            return match message.whole() {
                Whole::Kept(bytes) => UnparsedPublicKey::new(&signature::ED25519, &self.spki)
                    .verify(bytes, signature)
                    .map_err(|_| SignatureError::Invalid { algorithm }),
                Whole::TooLarge { limit_bytes } => Err(SignatureError::MessageTooLarge { limit_bytes: *limit_bytes }),
                Whole::Unneeded => Err(SignatureError::NotDigested { algorithm }),
            };
        }
        for (digest, verifier) in verifiers(algorithm) {
            let digest = message.digest(*digest).ok_or(SignatureError::NotDigested { algorithm })?;
            if UnparsedPublicKey::new(*verifier, &self.spki).verify_digest(digest, signature).is_ok() {
                return Ok(());
            }
        }
        Err(SignatureError::Invalid { algorithm })
    }

    /// Wraps a PKCS#1 `RSAPublicKey` and reads the result.
    fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        let malformed = |_| KeyError::DerMalformed { structure: "RSAPublicKey" };
        pkcs1::RsaPublicKey::from_der(der).map_err(malformed)?;
        let info = SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(der::asn1::AnyRef::NULL) },
            subject_public_key: der::asn1::BitStringRef::from_bytes(der).map_err(malformed)?,
        };
        Self::from_der(&info.to_der().map_err(malformed)?)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({}, {})", self.algorithm, self.fingerprint())
    }
}

/// Refuses certificates by name, since users take them for keys.
pub(super) fn refuse_certificates(blocks: &[Block]) -> Result<(), KeyError> {
    if blocks.iter().any(|block| block.label.ends_with("CERTIFICATE")) {
        Err(KeyError::CertificateGiven)
    } else {
        Ok(())
    }
}

/// Bits of a big-endian modulus, within bounds.
pub(super) fn rsa_bits(modulus: &[u8]) -> Result<u32, KeyError> {
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let significant = modulus.get(zeros..).unwrap_or_default();
    let first = significant.first().copied().unwrap_or(0);
    let bytes = u32::try_from(significant.len()).unwrap_or(u32::MAX);
    let bits = bytes.saturating_mul(8).saturating_sub(first.leading_zeros());
    if RSA_BITS.contains(&bits) { Ok(bits) } else { Err(KeyError::RsaSizeUnsupported { bits }) }
}

type Verifier = (DigestAlgorithm, &'static dyn VerificationAlgorithm);

/// What is tried over a digest, in this order.
const fn verifiers(algorithm: KeyAlgorithm) -> &'static [Verifier] {
    match algorithm {
        KeyAlgorithm::EcdsaP256 => &[(DigestAlgorithm::Sha256, &signature::ECDSA_P256_SHA256_ASN1)],
        KeyAlgorithm::EcdsaP384 => &[
            (DigestAlgorithm::Sha384, &signature::ECDSA_P384_SHA384_ASN1),
            (DigestAlgorithm::Sha256, &signature::ECDSA_P384_SHA256_ASN1),
        ],
        KeyAlgorithm::Ed25519 => &[],
        KeyAlgorithm::Rsa { .. } => &[
            (DigestAlgorithm::Sha256, &signature::RSA_PKCS1_2048_8192_SHA256),
            (DigestAlgorithm::Sha384, &signature::RSA_PKCS1_2048_8192_SHA384),
            (DigestAlgorithm::Sha512, &signature::RSA_PKCS1_2048_8192_SHA512),
            (DigestAlgorithm::Sha256, &signature::RSA_PSS_2048_8192_SHA256),
        ],
    }
}

/// The algorithm by which the backend knows how to read a key.
fn parser(algorithm: KeyAlgorithm) -> &'static dyn VerificationAlgorithm {
    verifiers(algorithm).first().map_or(&signature::ED25519, |(_, verifier)| *verifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256: &str = include_str!("../../testdata/keys/p256-public.pem");
    const RSA: &str = include_str!("../../testdata/keys/rsa2048-public.pem");

    fn error_of(text: &str) -> KeyError {
        PublicKey::from_pem(text).unwrap_err()
    }

    fn der_of(pem_text: &str) -> Vec<u8> {
        pem::one_block(pem_text).unwrap().body.to_vec()
    }

    #[test]
    fn keys_of_every_algorithm_read_and_write_back() {
        let keys = [
            (P256, KeyAlgorithm::EcdsaP256),
            (include_str!("../../testdata/keys/p384-public.pem"), KeyAlgorithm::EcdsaP384),
            (include_str!("../../testdata/keys/ed25519-public.pem"), KeyAlgorithm::Ed25519),
            (RSA, KeyAlgorithm::Rsa { bits: 2048 }),
            (include_str!("../../testdata/keys/cosign.pub"), KeyAlgorithm::EcdsaP256),
        ];
        for (text, algorithm) in keys {
            let key = PublicKey::from_pem(text).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            assert_eq!(key.to_pem(), text);
            assert_eq!(PublicKey::from_der(key.to_der()).unwrap(), key);
        }
    }

    #[test]
    fn hint_and_fingerprint_are_the_same_digest() {
        let key = PublicKey::from_pem(P256).unwrap();
        let bytes = BASE64_STANDARD.decode(key.hint()).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(key.fingerprint().to_string(), format!("sha256:{hex}"));
    }

    #[test]
    fn an_rsa_key_in_its_older_form_is_the_same_key() {
        let older = PublicKey::from_pem(include_str!("../../testdata/keys/rsa2048-public-pkcs1.pem")).unwrap();
        assert_eq!(older, PublicKey::from_pem(RSA).unwrap());
    }

    #[test]
    fn a_private_key_and_a_certificate_are_refused_by_name() {
        let private = error_of(include_str!("../../testdata/keys/p256-sec1-parameters.pem"));
        assert_eq!(private, KeyError::PrivateKeyGiven { label: "EC PRIVATE KEY".to_owned() });
        let certificate = error_of(include_str!("../../testdata/keys/p256-certificate.pem"));
        assert_eq!(certificate, KeyError::CertificateGiven);
    }

    #[test]
    fn other_algorithms_are_refused_by_name() {
        let refused = [
            (include_str!("../../testdata/keys/secp256k1-public.pem"), "ECDSA secp256k1"),
            (include_str!("../../testdata/keys/p521-public.pem"), "ECDSA P-521"),
            (include_str!("../../testdata/keys/p256-public-explicit.pem"), "ECDSA with explicit curve parameters"),
            (include_str!("../../testdata/keys/dsa-public.pem"), "DSA"),
            (include_str!("../../testdata/keys/ed448-public.pem"), "Ed448"),
            (include_str!("../../testdata/keys/rsa-pss-public.pem"), "RSA key restricted to PSS"),
        ];
        for (text, name) in refused {
            assert_eq!(error_of(text), KeyError::AlgorithmUnsupported { name: name.to_owned() });
        }
    }

    #[test]
    fn a_short_rsa_key_is_refused() {
        let refused = error_of(include_str!("../../testdata/keys/rsa1024-public.pem"));
        assert_eq!(refused, KeyError::RsaSizeUnsupported { bits: 1024 });
    }

    #[test]
    fn a_second_encoding_of_a_key_is_refused() {
        let compressed = error_of(include_str!("../../testdata/keys/p256-public-compressed.pem"));
        assert_eq!(compressed, KeyError::PointCompressed);
        let hybrid = {
            let mut der = der_of(P256);
            der[26] = 6 | (der.last().unwrap() & 1);
            PublicKey::from_der(&der).unwrap_err()
        };
        assert_eq!(hybrid, KeyError::NotCanonical);
        let without_null: Vec<u8> = {
            let der = der_of(RSA);
            // 30 82 LL LL 30 0d … 05 00: the NULL goes, both lengths shrink by two.
            let mut der = [&der[..17], &der[19..]].concat();
            der[3] -= 2;
            der[5] -= 2;
            der
        };
        assert_eq!(PublicKey::from_der(&without_null), Err(KeyError::NotCanonical));
    }

    #[test]
    fn bytes_after_the_end_are_refused() {
        for text in [P256, RSA] {
            let mut der = der_of(text);
            der.push(0);
            assert!(matches!(PublicKey::from_der(&der), Err(KeyError::DerMalformed { .. })));
        }
        assert_eq!(error_of(&format!("{P256}{RSA}")), KeyError::SeveralPemBlocks { count: 2 });
    }

    #[test]
    fn a_point_off_the_curve_is_refused() {
        let mut der = der_of(P256);
        *der.last_mut().unwrap() ^= 1;
        assert_eq!(PublicKey::from_der(&der), Err(KeyError::Inconsistent));
    }

    #[test]
    fn every_truncation_of_a_key_is_refused_without_panic() {
        for text in [P256, RSA] {
            let der = der_of(text);
            for end in 0..der.len() {
                assert!(PublicKey::from_der(&der[..end]).is_err(), "{end}");
            }
        }
    }
}
