//! What a write will do, before it does it.

use crate::code::Code;
use crate::content::Blob;
use crate::digest::Digest;
use crate::media_type::PredicateType;
use crate::oci::{Image, Manifest, ManifestError, Platform, PlatformManifest};
use crate::reference::Tag;

/// Why nothing can be attached this way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// A manifest of the image cannot be read, or one that was made does not read back.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A statement about an index cannot be inside that index.
    #[error("a statement about an index cannot live inside that index")]
    PlatformNeeded,
    /// Something signs or refers to the attestation manifest, which would change.
    #[error("the attestation manifest {manifest} is signed or referred to, and would change")]
    AttestationManifestSigned {
        /// The manifest.
        manifest: Digest,
    },
    /// A part of the image is an index that cannot be read, so that its own parts are not known.
    #[error("a part of the image is an index that cannot be read: {manifest}")]
    PartUnreadable {
        /// The index.
        manifest: Digest,
    },
    /// The image has no such platform.
    #[error("the image has no platform {wanted}")]
    NoSuchPlatform {
        /// What was asked for.
        wanted: Platform,
        /// What it has.
        has: Vec<String>,
    },
}

impl AttachError {
    /// The refusal of a platform, with what the image has instead.
    pub fn no_such_platform(wanted: &Platform, image: &Image) -> Self {
        let has = image.platforms().iter().map(PlatformManifest::label).collect();
        Self::NoSuchPlatform { wanted: wanted.clone(), has }
    }

    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::Manifest(error) => error.code(),
            Self::PlatformNeeded => Code::PlatformNeeded,
            Self::AttestationManifestSigned { .. } => Code::AttestationManifestSigned,
            Self::PartUnreadable { .. } => Code::NotFound,
            Self::NoSuchPlatform { .. } => Code::PlatformUnknown,
        }
    }
}

/// A signed document that is ready to be attached.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The document: a bundle for referrers, an envelope for layers of an index's attestation manifest.
    pub blob: Blob,
    /// The predicate type of its statement.
    pub predicate_type: Option<PredicateType>,
    /// Whether it is a message signature instead of an envelope.
    pub is_message_signature: bool,
}

/// Something that a user must know before the write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The index changes, and so does the digest that its tag names.
    IndexDigestChanges {
        /// The digest before.
        from: Digest,
        /// The digest after.
        to: Digest,
    },
    /// A single manifest becomes the only image of a new index.
    Wrapped {
        /// The image.
        image: Digest,
    },
    /// These manifests hang on the old index digest and are not about the new one.
    LeftBehind {
        /// The old index.
        index: Digest,
        /// What hangs on it.
        referrers: usize,
    },
    /// No tag names the new index.
    Untagged {
        /// The new index.
        index: Digest,
    },
}

/// A tag to move once everything else is there.
#[derive(Debug, Clone)]
pub struct TagMove {
    /// The tag.
    pub tag: Tag,
    /// What it names now; the move is refused when it does not.
    pub from: Digest,
    /// What it will name.
    pub to: Manifest,
}

/// Writes in the order in which they are made: blobs, manifests, the tag last.
#[derive(Debug, Clone, Default)]
pub struct WritePlan {
    /// Blobs to write.
    pub blobs: Vec<Blob>,
    /// Manifests to write, children before parents.
    pub manifests: Vec<Manifest>,
    /// The tag to move.
    pub tag: Option<TagMove>,
    /// What a user must know.
    pub warnings: Vec<Warning>,
}
