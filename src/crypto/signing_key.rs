//! Private keys: read in every form that users have them in, and made to sign.
//!
//! Pure. Key material lives in the backend, which clears it when dropped; buffers on the way are cleared here.
//!
//! Source: RFC 5958 (PKCS#8), RFC 5915 (elliptic curves), RFC 8017, appendix A (RSA), RFC 8410 (Ed25519).

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use der::Decode as _;
use pkcs8::PrivateKeyInfo;
use zeroize::Zeroizing;

use super::algorithm::{Family, KeyAlgorithm};
use super::error::{KeyError, SigningError};
use super::message::{MessageDigests, Whole};
use super::password::Password;
use super::pem::{self, Block};
use super::public_key::{PublicKey, refuse_certificates, rsa_bits};
use super::{cosign_key, pkcs8_encryption};
use crate::digest::DigestAlgorithm;

const PKCS8_LABEL: &str = "PRIVATE KEY";
const ENCRYPTED_PKCS8_LABEL: &str = "ENCRYPTED PRIVATE KEY";
const SEC1_LABEL: &str = "EC PRIVATE KEY";
const PKCS1_LABEL: &str = "RSA PRIVATE KEY";
/// `openssl ecparam -genkey` writes this block before the key; it repeats what the key says.
const PARAMETERS_LABEL: &str = "EC PARAMETERS";

/// A private key that can sign.
///
/// `Debug` shows the public key only.
pub struct SigningKey {
    pair: Pair,
    public_key: PublicKey,
}

enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl SigningKey {
    /// Makes a new P-256 key, as `cosign generate-key-pair` does, with the randomness of the backend.
    ///
    /// # Errors
    /// [`SigningError::Failed`]: the backend has no randomness.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use attestry::crypto::{MessageDigests, SigningKey};
    /// let key = SigningKey::generate_p256()?;
    /// let message = MessageDigests::of(b"message");
    /// let signature = key.sign(&message)?;
    /// key.public_key().verify(&message, &signature)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn generate_p256() -> Result<Self, SigningError> {
        let failed = || SigningError::Failed { algorithm: KeyAlgorithm::EcdsaP256 };
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| failed())?;
        Self::new(Pair::P256(pair)).map_err(|_| failed())
    }

    /// Reads one PEM block: `PRIVATE KEY`, `ENCRYPTED PRIVATE KEY`, `EC PRIVATE KEY`, `RSA PRIVATE KEY`,
    /// `ENCRYPTED SIGSTORE PRIVATE KEY` or `ENCRYPTED COSIGN PRIVATE KEY`.
    ///
    /// A password for a key that is not encrypted is ignored. Opening an encrypted key is slow on purpose.
    ///
    /// # Errors
    /// [`KeyError::PasswordMissing`] and [`KeyError::PasswordWrong`]; [`KeyError::PublicKeyGiven`] and
    /// [`KeyError::CertificateGiven`] when something else stands there; [`KeyError::LegacyEncryption`] for OpenSSL's
    /// old form; derivation parameters out of bounds; the errors of PEM and of
    /// [`from_pkcs8_der`](Self::from_pkcs8_der).
    pub fn from_pem(text: &str, password: Option<&Password>) -> Result<Self, KeyError> {
        let block = private_block(text)?;
        let password = || password.ok_or(KeyError::PasswordMissing);
        match block.label.as_str() {
            PKCS8_LABEL => Self::from_pkcs8_der(&block.body),
            ENCRYPTED_PKCS8_LABEL => Self::from_pkcs8_der(&pkcs8_encryption::decrypt(&block.body, password()?)?),
            cosign_key::LABEL | cosign_key::OLD_LABEL => {
                Self::from_pkcs8_der(&cosign_key::decrypt(&block.body, password()?)?)
            }
            SEC1_LABEL => Self::from_sec1_der(&block.body),
            PKCS1_LABEL => Self::from_pkcs1_der(&block.body),
            _ => Err(KeyError::LabelUnknown { label: block.label }),
        }
    }

    /// Tells whether [`from_pem`](Self::from_pem) will need a password, without opening anything.
    ///
    /// # Errors
    /// What [`from_pem`](Self::from_pem) says about the PEM block itself.
    pub fn is_encrypted(text: &str) -> Result<bool, KeyError> {
        let block = private_block(text)?;
        Ok(matches!(block.label.as_str(), ENCRYPTED_PKCS8_LABEL | cosign_key::LABEL | cosign_key::OLD_LABEL))
    }

    /// Reads a PKCS#8 `PrivateKeyInfo` that is not encrypted.
    ///
    /// That private and public half fit together is checked. RSA primes are not tested for primality.
    ///
    /// # Errors
    /// [`KeyError::DerMalformed`] also for bytes after the end; [`KeyError::AlgorithmUnsupported`];
    /// [`KeyError::RsaSizeUnsupported`]; [`KeyError::Inconsistent`].
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfo::from_der(der).map_err(|_| KeyError::DerMalformed { structure: "PKCS#8" })?;
        let pair = match Family::of(&info.algorithm)? {
            Family::P256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der).map(Pair::P256),
            Family::P384 => EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, der).map(Pair::P384),
            Family::Ed25519 => Ed25519KeyPair::from_pkcs8(der).map(Pair::Ed25519),
            Family::Rsa => {
                check_rsa(info.private_key)?;
                RsaKeyPair::from_pkcs8(der).map(Pair::Rsa)
            }
        };
        Self::new(pair.map_err(|_| KeyError::Inconsistent)?)
    }

    /// The public half.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Signs a message that was digested for this key's algorithm.
    ///
    /// P-256 and P-384 give DER with a random nonce, Ed25519 64 bytes, RSA as many bytes as its modulus.
    ///
    /// # Errors
    /// [`SigningError::MessageTooLarge`] for Ed25519; [`SigningError::NotDigested`]; [`SigningError::Failed`].
    pub fn sign(&self, message: &MessageDigests) -> Result<Vec<u8>, SigningError> {
        let failed = |_| SigningError::Failed { algorithm: self.public_key.algorithm() };
        let digest = |algorithm| message.digest(algorithm).ok_or(SigningError::NotDigested { digest: Some(algorithm) });
        match &self.pair {
            Pair::P256(pair) => {
                Ok(pair.sign_digest(digest(DigestAlgorithm::Sha256)?).map_err(failed)?.as_ref().to_vec())
            }
            Pair::P384(pair) => {
                Ok(pair.sign_digest(digest(DigestAlgorithm::Sha384)?).map_err(failed)?.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => match message.whole() {
                Whole::Kept(bytes) => Ok(pair.try_sign(bytes).map_err(failed)?.as_ref().to_vec()),
                Whole::TooLarge { limit_bytes } => Err(SigningError::MessageTooLarge { limit_bytes: *limit_bytes }),
                Whole::Unneeded => Err(SigningError::NotDigested { digest: None }),
            },
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let digest = digest(DigestAlgorithm::Sha256)?;
                pair.sign_digest(&RSA_PKCS1_SHA256, digest, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }

    /// The private key as PKCS#8, version 1, not encrypted. Cleared when dropped.
    ///
    /// # Errors
    /// [`SigningError::Failed`]: the backend could not write it.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, SigningError> {
        let bytes = match &self.pair {
            Pair::P256(pair) | Pair::P384(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Pair::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map(|document| document.as_ref().to_vec()),
        };
        bytes.map(Zeroizing::new).map_err(|_| SigningError::Failed { algorithm: self.public_key.algorithm() })
    }

    fn new(pair: Pair) -> Result<Self, KeyError> {
        let spki = match &pair {
            Pair::P256(pair) | Pair::P384(pair) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
            Pair::Rsa(pair) => pair.public_key().as_der(),
        };
        let public_key = PublicKey::from_der(spki.map_err(|_| KeyError::Inconsistent)?.as_ref())?;
        Ok(Self { pair, public_key })
    }

    fn from_sec1_der(der: &[u8]) -> Result<Self, KeyError> {
        let malformed = || KeyError::DerMalformed { structure: "ECPrivateKey with a named curve" };
        let key = sec1::EcPrivateKey::from_der(der).map_err(|_| malformed())?;
        let curve = key.parameters.and_then(|parameters| parameters.named_curve()).ok_or_else(malformed)?;
        let pair = match Family::of_curve(curve)? {
            Family::P256 => EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der).map(Pair::P256),
            _ => EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_ASN1_SIGNING, der).map(Pair::P384),
        };
        Self::new(pair.map_err(|_| KeyError::Inconsistent)?)
    }

    fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        check_rsa(der)?;
        Self::new(Pair::Rsa(RsaKeyPair::from_der(der).map_err(|_| KeyError::Inconsistent)?))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("public_key", &self.public_key).finish_non_exhaustive()
    }
}

/// The one block that may hold a private key.
fn private_block(text: &str) -> Result<Block, KeyError> {
    let mut blocks = pem::blocks(text)?;
    blocks.retain(|block| block.label != PARAMETERS_LABEL);
    if !blocks.iter().any(|block| block.label.ends_with(PKCS8_LABEL)) {
        refuse_certificates(&blocks)?;
    }
    let block = pem::only(blocks)?;
    if block.label.ends_with("PUBLIC KEY") { Err(KeyError::PublicKeyGiven { label: block.label }) } else { Ok(block) }
}

/// Checks form and size of a PKCS#1 `RSAPrivateKey`, so that a size out of bounds is told as such.
fn check_rsa(der: &[u8]) -> Result<(), KeyError> {
    let key = pkcs1::RsaPrivateKey::from_der(der).map_err(|_| KeyError::DerMalformed { structure: "RSAPrivateKey" })?;
    rsa_bits(key.modulus.as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::tests::one_of_each;
    use super::*;

    const SEC1: &str = include_str!("../../testdata/keys/p256-sec1.pem");

    fn password(text: &str) -> Password {
        Password::from(text.to_owned())
    }

    /// Signs and verifies with the public key that belongs to `public`.
    fn round_trip(key: &SigningKey, public: &str) {
        let public = PublicKey::from_pem(public).unwrap();
        assert_eq!(*key.public_key(), public);
        let message = MessageDigests::of(b"message");
        assert_eq!(public.verify(&message, &key.sign(&message).unwrap()), Ok(()));
    }

    #[test]
    fn every_pem_form_reads_back_to_its_key() {
        let p256 = include_str!("../../testdata/keys/p256-public.pem");
        let rsa = include_str!("../../testdata/keys/rsa2048-public.pem");
        let forms = [
            (SEC1, p256),
            (include_str!("../../testdata/keys/p256-pkcs8.pem"), p256),
            (include_str!("../../testdata/keys/p256-pkcs8-compressed.pem"), p256),
            (include_str!("../../testdata/keys/p384-pkcs8.pem"), include_str!("../../testdata/keys/p384-public.pem")),
            (
                include_str!("../../testdata/keys/ed25519-pkcs8.pem"),
                include_str!("../../testdata/keys/ed25519-public.pem"),
            ),
            (include_str!("../../testdata/keys/rsa2048-pkcs1.pem"), rsa),
            (include_str!("../../testdata/keys/rsa2048-pkcs8.pem"), rsa),
        ];
        for (text, public) in forms {
            assert_eq!(SigningKey::is_encrypted(text), Ok(false));
            round_trip(&SigningKey::from_pem(text, None).unwrap(), public);
        }
        let with_parameters = include_str!("../../testdata/keys/p256-sec1-parameters.pem");
        assert!(SigningKey::from_pem(with_parameters, None).is_ok());
    }

    #[test]
    fn encrypted_forms_read_back_with_the_password_and_only_with_it() {
        let p256 = include_str!("../../testdata/keys/p256-public.pem");
        let pkcs8 = SigningKey::from_pem(SEC1, None).unwrap().to_pkcs8_der().unwrap();
        let cosign = cosign_key::encrypt(&pkcs8, &password("correct"), [1; 32], [2; 24]);
        let older = cosign.replace(cosign_key::LABEL, cosign_key::OLD_LABEL);
        let forms = [
            include_str!("../../testdata/keys/p256-pkcs8-pbkdf2.pem"),
            include_str!("../../testdata/keys/p256-pkcs8-scrypt.pem"),
            &cosign,
            &older,
            include_str!("../../testdata/keys/p256-cosign-32768.key"),
        ];
        for text in forms {
            assert_eq!(SigningKey::is_encrypted(text), Ok(true));
            round_trip(&SigningKey::from_pem(text, Some(&password("correct"))).unwrap(), p256);
            assert_eq!(SigningKey::from_pem(text, None).unwrap_err(), KeyError::PasswordMissing);
            let wrong = SigningKey::from_pem(text, Some(&password(""))).unwrap_err();
            assert_eq!(wrong, KeyError::PasswordWrong);
        }
    }

    #[test]
    fn pkcs8_written_here_reads_back() {
        for key in one_of_each() {
            let read = SigningKey::from_pkcs8_der(&key.to_pkcs8_der().unwrap()).unwrap();
            assert_eq!(read.public_key(), key.public_key());
        }
    }

    #[test]
    fn what_is_no_supported_private_key_is_refused_by_name() {
        let error_of = |text: &str| SigningKey::from_pem(text, None).unwrap_err();
        let legacy = error_of(include_str!("../../testdata/keys/p256-sec1-legacy.pem"));
        assert_eq!(legacy, KeyError::LegacyEncryption);
        let p521 = error_of(include_str!("../../testdata/keys/p521-pkcs8.pem"));
        assert_eq!(p521, KeyError::AlgorithmUnsupported { name: "ECDSA P-521".to_owned() });
        let short = error_of(include_str!("../../testdata/keys/rsa1024-pkcs8.pem"));
        assert_eq!(short, KeyError::RsaSizeUnsupported { bits: 1024 });
        let public = error_of(include_str!("../../testdata/keys/p256-public.pem"));
        assert_eq!(public, KeyError::PublicKeyGiven { label: "PUBLIC KEY".to_owned() });
        let certificate = error_of(include_str!("../../testdata/keys/p256-certificate.pem"));
        assert_eq!(certificate, KeyError::CertificateGiven);
        let ssh = error_of(&SEC1.replace("EC PRIVATE", "OPENSSH PRIVATE"));
        assert_eq!(ssh, KeyError::LabelUnknown { label: "OPENSSH PRIVATE KEY".to_owned() });
    }

    #[test]
    fn a_private_key_with_the_public_key_of_another_is_refused() {
        let der_of = |text: &str| pem::one_block(text).unwrap().body;
        let other = der_of(
            include_str!("../../testdata/keys/p256-sec1-parameters.pem")
                .split_once("-----END EC PARAMETERS-----")
                .unwrap()
                .1,
        );
        let mut mixed = der_of(SEC1);
        let end = mixed.len();
        mixed[end - 64..].copy_from_slice(&other[end - 64..]);
        assert_eq!(SigningKey::from_sec1_der(&mixed).unwrap_err(), KeyError::Inconsistent);
    }

    #[test]
    fn every_truncation_of_a_key_is_refused_without_panic() {
        for text in [SEC1, include_str!("../../testdata/keys/rsa2048-pkcs8.pem")] {
            let der = pem::one_block(text).unwrap().body;
            for end in 0..der.len() {
                assert!(SigningKey::from_pkcs8_der(&der[..end]).is_err());
                assert!(SigningKey::from_sec1_der(&der[..end]).is_err());
                assert!(SigningKey::from_pkcs1_der(&der[..end]).is_err());
            }
        }
    }

    #[test]
    fn debug_output_holds_the_public_key_only() {
        let key = SigningKey::from_pem(SEC1, None).unwrap();
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("SigningKey {{ public_key: {:?}, .. }}", key.public_key()));
    }
}
