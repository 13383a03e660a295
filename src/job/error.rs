//! What can stop a job.

use crate::attach::AttachError;
use crate::code::Code;
use crate::content::ContentError;
use crate::crypto::SigningError;
use crate::digest::Digest;
use crate::oci::ManifestError;
use crate::sigstore::BundleError;
use crate::store::StoreError;
use crate::verify::{AttachedError, VerifyError};

/// Why a job could not finish. A refusal is no error: it is a verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The evidence cannot be attached this way.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Content is not what it should be.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A manifest that was made does not read back.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The key could not sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// A signature that was just made does not verify.
    #[error("the new signature does not verify: {0}")]
    SelfCheck(VerifyError),
    /// A file that should be a bundle is none.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A document is not what it claims to be.
    #[error(transparent)]
    Attached(#[from] AttachedError),
    /// The bundle is about something else than the image that it should hang on.
    #[error("the bundle is about another image than {image}")]
    BundleSubject {
        /// The image.
        image: Digest,
        /// What the bundle's statement is about.
        about: Vec<Digest>,
    },
    /// Another writer, again and again, took away what was attached.
    #[error("{place}: what was attached is not there any more")]
    EntryLost {
        /// The store.
        place: String,
        /// The documents.
        entries: Vec<Digest>,
    },
    /// The tag names another image than when the work began.
    #[error("the tag names another image now: {now}")]
    ImageReplaced {
        /// What it names.
        now: Digest,
    },
    /// The work failed, and what was written for it could not be taken away.
    #[error("{cause}")]
    LeftBehind {
        /// Why it failed.
        cause: Box<Self>,
        /// Referrers that stay.
        manifests: Vec<Digest>,
    },
    /// Documents that the wanted layout cannot hold without changing what is signed.
    #[error("not all of it can be kept in that layout")]
    Unconvertible {
        /// The documents, and why.
        documents: Vec<(Digest, &'static str)>,
    },
    /// Nothing attached has the digest.
    #[error("{image} has nothing attached of these digests")]
    SelectionAbsent {
        /// The image.
        image: String,
        /// The digests that were named and are not there.
        wanted: Vec<Digest>,
        /// What is there: document and manifest.
        has: Vec<(Digest, Digest)>,
    },
    /// Nothing of the wanted type is attached.
    #[error("{image} has no {wanted}")]
    TypeAbsent {
        /// The image.
        image: String,
        /// What was wanted.
        wanted: String,
        /// Types that are attached.
        has: Vec<String>,
    },
}

impl JobError {
    /// The stable code of this error.
    pub fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Attach(error) => error.code(),
            Self::Content(error) => error.code(),
            Self::Manifest(error) => error.code(),
            Self::Signing(error) => error.code(),
            Self::SelfCheck(_) => Code::Internal,
            Self::Bundle(error) => error.code(),
            Self::Attached(error) => error.code(),
            Self::BundleSubject { .. } => Code::SubjectMismatch,
            Self::EntryLost { .. } => Code::EntryLost,
            Self::ImageReplaced { .. } => Code::TagMoved,
            Self::LeftBehind { cause, .. } => cause.code(),
            Self::Unconvertible { .. } => Code::ConversionUnsupported,
            Self::SelectionAbsent { .. } => Code::SelectionAbsent,
            Self::TypeAbsent { .. } => Code::TypeAbsent,
        }
    }
}
