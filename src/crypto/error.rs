//! Why a key, a signature or a signing attempt is refused.
//!
//! Nothing here carries secrets: no password, no plaintext, no bytes of a private key.

use super::algorithm::KeyAlgorithm;
use crate::code::Code;
use crate::digest::DigestAlgorithm;

/// Why a text or bytes give no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no `-----BEGIN` line: a DER, SSH or JWK file, or something else.
    #[error("no PEM block where a key is expected")]
    NoPem,
    /// A PEM block breaks RFC 7468.
    #[error("the PEM block is damaged: {reason}")]
    PemMalformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More than one PEM block, so that "the key" is not one key.
    #[error("several PEM blocks where one key is expected: {count}")]
    SeveralPemBlocks {
        /// How many there are.
        count: usize,
    },
    /// Text follows the PEM block.
    #[error("text after the end of the PEM block")]
    TrailingText,
    /// The PEM block holds no kind of key that is known here.
    #[error("not a key that is understood: PEM block {label}")]
    LabelUnknown {
        /// The label in the `-----BEGIN` line, shortened.
        label: String,
    },
    /// A private key stands where a public key is expected. Whoever sent it should replace the key.
    #[error("this is a private key, a public key is expected: PEM block {label}")]
    PrivateKeyGiven {
        /// The label in the `-----BEGIN` line.
        label: String,
    },
    /// A public key stands where a private key is expected.
    #[error("this is a public key, a private key is expected: PEM block {label}")]
    PublicKeyGiven {
        /// The label in the `-----BEGIN` line.
        label: String,
    },
    /// A certificate stands where a key is expected. Its key: `openssl x509 -pubkey -noout`.
    #[error("this is a certificate, a key is expected")]
    CertificateGiven,
    /// The DER breaks its structure or has bytes after its end.
    #[error("the key is not valid {structure}")]
    DerMalformed {
        /// The structure that was tried.
        structure: &'static str,
    },
    /// The public key is not in the one encoding that DER, RFC 5480 and RFC 8017 allow.
    ///
    /// A second encoding would give one key two fingerprints, and a threshold of two keys one signer.
    #[error("the public key is not in its canonical encoding")]
    NotCanonical,
    /// The elliptic-curve point is compressed: a second encoding of the same key, which cosign refuses as well.
    #[error("the point of the public key is compressed")]
    PointCompressed,
    /// The algorithm or curve is not supported.
    #[error("key algorithm not supported: {name}")]
    AlgorithmUnsupported {
        /// Name, or object identifier where there is no name.
        name: String,
    },
    /// The RSA modulus is shorter than 2048 or longer than 8192 bits.
    #[error("RSA keys take 2048 to 8192 bits: {bits}")]
    RsaSizeUnsupported {
        /// Bits of the modulus.
        bits: u32,
    },
    /// The numbers do not form a key: a point off the curve, a private key that does not fit its public key.
    #[error("the numbers in the key do not form a key")]
    Inconsistent,
    /// The PEM block is encrypted in OpenSSL's old way (`Proc-Type: 4,ENCRYPTED`), with one MD5 as key derivation.
    ///
    /// To convert it: `openssl pkcs8 -topk8 -in OLD -out NEW`.
    #[error("the key is encrypted in the old OpenSSL form (Proc-Type: 4,ENCRYPTED), which is not supported")]
    LegacyEncryption,
    /// The key derivation or the cipher of an encrypted key is not supported.
    #[error("encryption of the key not supported: {name}")]
    EncryptionUnsupported {
        /// Name or object identifier, shortened.
        name: String,
    },
    /// The inside of a cosign key is not the JSON that cosign writes.
    #[error("the encrypted key is damaged: {reason}")]
    EncryptedKeyMalformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The key is encrypted and no password was given.
    #[error("the key is encrypted and no password was given")]
    PasswordMissing,
    /// The password does not open the key, or the key is damaged: the two cannot be told apart.
    #[error("the password does not open the key")]
    PasswordWrong,
    /// PBKDF2 with no iterations or with more than [`MAX_PBKDF2_ITERATIONS`](super::MAX_PBKDF2_ITERATIONS).
    #[error("PBKDF2 iterations out of bounds: {iterations}")]
    Pbkdf2ParametersRefused {
        /// Iterations asked for.
        iterations: u32,
    },
    /// scrypt parameters that are malformed or would take too much memory or time.
    #[error("scrypt parameters out of bounds: N={n} r={r} p={p}")]
    ScryptParametersRefused {
        /// Cost.
        n: u64,
        /// Block size.
        r: u64,
        /// Parallelization.
        p: u64,
    },
}

impl KeyError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::NoPem
            | Self::PemMalformed { .. }
            | Self::SeveralPemBlocks { .. }
            | Self::TrailingText
            | Self::LabelUnknown { .. }
            | Self::PrivateKeyGiven { .. }
            | Self::PublicKeyGiven { .. }
            | Self::CertificateGiven
            | Self::DerMalformed { .. }
            | Self::NotCanonical
            | Self::Inconsistent
            | Self::EncryptedKeyMalformed { .. } => Code::KeyInvalid,
            Self::PointCompressed
            | Self::AlgorithmUnsupported { .. }
            | Self::RsaSizeUnsupported { .. }
            | Self::LegacyEncryption
            | Self::EncryptionUnsupported { .. } => Code::KeyUnsupported,
            Self::PasswordMissing => Code::KeyPasswordMissing,
            Self::PasswordWrong => Code::KeyPasswordWrong,
            Self::Pbkdf2ParametersRefused { .. } | Self::ScryptParametersRefused { .. } => Code::KeyParametersRefused,
        }
    }
}

/// Why a signature was not accepted, or could not be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// This key did not make this signature over this message.
    #[error("the signature does not verify with the key: {algorithm}")]
    Invalid {
        /// Algorithm of the key.
        algorithm: KeyAlgorithm,
    },
    /// The message is longer than what is held for Ed25519, so nothing was decided.
    #[error("the message is too long for an Ed25519 key, limit in bytes: {limit_bytes}")]
    MessageTooLarge {
        /// [`Limits::two_pass_message_bytes`](crate::limits::Limits::two_pass_message_bytes) at the time of digesting.
        limit_bytes: u64,
    },
    /// The message was digested for other keys: a bug in the caller.
    #[error("the message was not digested for this key: {algorithm}")]
    NotDigested {
        /// Algorithm of the key.
        algorithm: KeyAlgorithm,
    },
}

impl SignatureError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::Invalid { .. } => Code::SignatureInvalid,
            Self::MessageTooLarge { .. } => Code::TooLarge,
            Self::NotDigested { .. } => Code::Internal,
        }
    }
}

/// Why a key did not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The backend could not make the key or the signature.
    #[error("the key could not sign: {algorithm}")]
    Failed {
        /// Algorithm of the key.
        algorithm: KeyAlgorithm,
    },
    /// The message is longer than what is held for Ed25519.
    #[error("the message is too long for an Ed25519 key, limit in bytes: {limit_bytes}")]
    MessageTooLarge {
        /// [`Limits::two_pass_message_bytes`](crate::limits::Limits::two_pass_message_bytes) at the time of digesting.
        limit_bytes: u64,
    },
    /// The message was digested for other keys: a bug in the caller.
    #[error("the message was not digested for this key: {digest}", digest = digest.map_or("whole message", DigestAlgorithm::as_str))]
    NotDigested {
        /// The digest that is missing; `None` for the whole message.
        digest: Option<DigestAlgorithm>,
    },
}

impl SigningError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::Failed { .. } => Code::SigningFailed,
            Self::MessageTooLarge { .. } => Code::TooLarge,
            Self::NotDigested { .. } => Code::Internal,
        }
    }
}
