//! What a write will do, before it does it.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::content::Blob;
use crate::digest::Digest;
use crate::location::EvidenceLayout;
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
    /// The attestation manifest that would be signed holds statements that somebody else wrote.
    #[error("the attestation manifest {manifest} holds statements that were not made in this run")]
    UnsignedStatementsPresent {
        /// The manifest.
        manifest: Digest,
        /// The statements.
        statements: Vec<Digest>,
    },
    /// The tag for evidence names something that has no layers.
    #[error("the tag {tag} does not hold signatures or attestations")]
    EvidenceTagInvalid {
        /// The tag.
        tag: Tag,
    },
    /// No tag names what would be taken off, so that none can be changed.
    #[error("no tag names {manifest}")]
    KeptWithoutTag {
        /// The manifest.
        manifest: Digest,
    },
    /// The layout cannot hold a document of this kind.
    #[error("the layout {layout} cannot hold {what}")]
    DocumentUnfit {
        /// The layout.
        layout: EvidenceLayout,
        /// The kind of document.
        what: &'static str,
    },
    /// The attestation manifest is inside an index that is inside the index.
    #[error("{manifest} is inside an index that is inside the index")]
    InsideNestedIndex {
        /// The attestation manifest.
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
            Self::UnsignedStatementsPresent { .. } => Code::UnsignedStatementsPresent,
            Self::EvidenceTagInvalid { .. } => Code::EvidenceTagInvalid,
            Self::KeptWithoutTag { .. } => Code::DeleteUnsupported,
            Self::DocumentUnfit { .. } | Self::InsideNestedIndex { .. } => Code::ArgumentInvalid,
            Self::PartUnreadable { .. } => Code::NotFound,
            Self::NoSuchPlatform { .. } => Code::PlatformUnknown,
        }
    }
}

/// What a document is, which decides in which layouts it can be kept, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// A Sigstore bundle with an envelope.
    Bundle,
    /// A Sigstore bundle with a signature over bytes that are elsewhere.
    MessageBundle,
    /// A DSSE envelope.
    Envelope,
    /// A statement without a signature of its own.
    Statement,
    /// cosign's older image signature, whose signature is in the layer's annotations.
    SimpleSigning,
}

impl DocumentKind {
    /// The kind in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bundle => "a bundle",
            Self::MessageBundle => "a bundle with a message signature",
            Self::Envelope => "an envelope",
            Self::Statement => "a bare statement",
            Self::SimpleSigning => "a simple-signing payload",
        }
    }
}

/// A document that is ready to be attached.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The document.
    pub blob: Blob,
    /// The predicate type of its statement.
    pub predicate_type: Option<PredicateType>,
    /// What it is.
    pub kind: DocumentKind,
    /// Annotations of its layer beside those that the layout has: signatures and certificates of cosign's older form.
    pub notes: BTreeMap<String, String>,
}

impl Evidence {
    /// A document without annotations of its own.
    pub const fn new(blob: Blob, predicate_type: Option<PredicateType>, kind: DocumentKind) -> Self {
        Self { blob, predicate_type, kind, notes: BTreeMap::new() }
    }
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
    /// These statements are written without any signature.
    Unsigned {
        /// How many.
        statements: usize,
    },
    /// The documents themselves stay in the store; nothing lists them any more.
    BlobsKept {
        /// How many.
        documents: usize,
    },
    /// The store deletes nothing, so that a manifest that nothing lists any more is still there by its digest.
    ManifestKept {
        /// The manifest.
        manifest: Digest,
    },
    /// Another tag's index lists a manifest, which therefore stays, and its documents with it.
    ManifestShared {
        /// The manifest.
        manifest: Digest,
        /// The other tag.
        tag: Tag,
    },
    /// A manifest of the old index is deleted: whoever holds that index by its digest finds it incomplete.
    OldIndexBroken {
        /// The old index.
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

/// A tag for evidence to write: it grows by what is attached, and shrinks by what is taken off.
#[derive(Debug, Clone)]
pub struct EvidenceTag {
    /// The tag, made from the digest of what the evidence is about.
    pub tag: Tag,
    /// What it names now; nothing when it is new. The write is refused when that has changed.
    pub from: Option<Digest>,
    /// What it will name.
    pub to: Manifest,
}

/// Something that is taken away once everything else is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// A manifest, and its entry in the list of what refers to `subject`.
    Referrer {
        /// The manifest that it refers to.
        subject: Digest,
        /// The manifest.
        manifest: Digest,
    },
    /// A tag for evidence under which nothing is left.
    Tag {
        /// The tag.
        tag: Tag,
        /// What it names; it stays when it names something else by then.
        from: Digest,
    },
}

/// Writes in the order in which they are made: blobs, manifests, tags for evidence, the image's tag, removals last.
#[derive(Debug, Clone, Default)]
pub struct WritePlan {
    /// Blobs to write.
    pub blobs: Vec<Blob>,
    /// Manifests to write, children before parents.
    pub manifests: Vec<Manifest>,
    /// Tags for evidence to write.
    pub evidence_tags: Vec<EvidenceTag>,
    /// The image's tag to move.
    pub tag: Option<TagMove>,
    /// What to take away.
    pub removals: Vec<Removal>,
    /// Those of the manifests that are there already. They may serve others, and are never taken away again.
    pub present: Vec<Digest>,
    /// Documents that are looked for after a write that others may have undone.
    pub entries: Vec<Digest>,
    /// What a user must know.
    pub warnings: Vec<Warning>,
}

impl WritePlan {
    /// Joins a plan that changes other things. What both write is written once.
    pub fn join(&mut self, other: Self) {
        for blob in other.blobs {
            if !self.blobs.iter().any(|known| known.digest() == blob.digest()) {
                self.blobs.push(blob);
            }
        }
        for manifest in other.manifests {
            if !self.manifests.iter().any(|known| known.digest() == manifest.digest()) {
                self.manifests.push(manifest);
            }
        }
        self.evidence_tags.extend(other.evidence_tags);
        self.tag = self.tag.take().or(other.tag);
        for removal in other.removals {
            if !self.removals.contains(&removal) {
                self.removals.push(removal);
            }
        }
        self.present.extend(other.present);
        self.entries.extend(other.entries);
        for warning in other.warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }
}
