//! Why something attached does not count.

use crate::code::Code;
use crate::content::ContentError;
use crate::crypto::SignatureError;
use crate::digest::Digest;
use crate::intoto::StatementError;
use crate::media_type::PayloadType;

/// Why a signature, or what it covers, does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// None of the trusted keys made any of the signatures.
    #[error("{}", if *keys == 1 { "the trusted key did not make the signature".to_owned() } else { format!("none of the {keys} trusted keys made the signature") })]
    NoTrustedSignature {
        /// How many keys were tried.
        keys: usize,
        /// Which key the signer says it used: a hint, for people.
        hint: Option<String>,
        /// What the last key said, when it was more than "no".
        last: Option<SignatureError>,
    },
    /// The payload type is not in-toto's, so that the envelope is no image evidence.
    #[error("the envelope's payload type is {found}")]
    PayloadType {
        /// What it says.
        found: PayloadType,
    },
    /// The signature is right and the payload is no statement.
    #[error("the signed payload is no statement: {0}")]
    Statement(#[from] StatementError),
    /// The signature is to be checked with a certificate, and only keys are trusted.
    #[error("it is signed with a certificate; only keys were given")]
    Certificate,
    /// Nobody signed it.
    #[error("no signature covers the statement")]
    Unsigned,
    /// The signature is over something else than the manifest that it hangs on.
    #[error("the signature is about {about}, not about {expected}")]
    OtherManifest {
        /// The manifest that it should be about.
        expected: Digest,
        /// What it says; empty when it names nothing.
        about: String,
    },
    /// It is signed, but it is no image signature.
    #[error("not an image signature: {found}")]
    NotAnImageSignature {
        /// What it is.
        found: String,
    },
    /// No subject is the image or a part of it.
    #[error("the statement is about {}", about.first().map_or_else(|| "nothing".to_owned(), ToString::to_string))]
    SubjectMismatch {
        /// Digests that the statement is about, as far as they are well-formed.
        about: Vec<Digest>,
        /// Whether some part of the image could not be compared, since its bytes are not at hand.
        bytes_missing: bool,
    },
    /// The signature is over a manifest whose bytes are not at hand.
    #[error("the bytes of {manifest} are needed to check the signature")]
    BytesMissing {
        /// The manifest.
        manifest: Digest,
    },
    /// The list of subjects is empty.
    #[error("the statement names no subject")]
    NoSubject,
    /// The content changed between two readings, or could not be read again.
    #[error("the content could not be read again: {0}")]
    Content(#[from] ContentError),
}

impl VerifyError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::NoTrustedSignature { .. } => Code::SignatureInvalid,
            Self::PayloadType { .. } => Code::PayloadTypeUnsupported,
            Self::Statement(error) => error.code(),
            Self::Certificate => Code::MaterialUnsupported,
            Self::Unsigned => Code::Unsigned,
            Self::OtherManifest { .. } | Self::SubjectMismatch { .. } => Code::SubjectMismatch,
            Self::BytesMissing { .. } => Code::NotFound,
            Self::NotAnImageSignature { .. } => Code::PredicateTypeMismatch,
            Self::NoSubject => Code::SubjectEmpty,
            Self::Content(error) => error.code(),
        }
    }
}

impl From<std::io::Error> for VerifyError {
    fn from(error: std::io::Error) -> Self {
        Self::Content(ContentError::Unreadable(error))
    }
}
