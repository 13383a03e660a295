//! Stores: where content is kept. One trait, one contract test (`tests/suite/store_contract.rs`) for those that can be
//! written to.

mod archive;
mod files;
mod layout;
mod memory;
#[cfg(feature = "registry")]
pub mod registry;

mod spool;

use async_trait::async_trait;

use crate::code::Code;
use crate::content::{Blob, ContentError};
use crate::digest::Digest;
use crate::oci::{Descriptor, Manifest, ManifestError, ReferrerList};
use crate::reference::{Repository, Selector, Tag};

pub use archive::{Archive, DockerArchive};
pub use files::Files;
pub use layout::Layout;
pub use memory::Memory;
pub use spool::{Spooler, spool_reader};

/// Why a store could not do what it was asked. Nothing half-written stays behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such content.
    #[error("{place} has no {what}")]
    NotFound {
        /// The store.
        place: String,
        /// Tag or digest.
        what: String,
    },
    /// The store knows us and refuses, or does not know us.
    #[error("{place} refused access to {what}")]
    Denied {
        /// The store.
        place: String,
        /// What was asked for.
        what: String,
        /// What the store said.
        detail: String,
        /// Whose credentials were sent, or that none were.
        credentials: String,
    },
    /// The network was needed, and the caller said to stay off it.
    #[error("{place} is only reached over the network, and the network is off")]
    Offline {
        /// The store.
        place: String,
    },
    /// It could not be reached, or answered with a fault of its own.
    #[error("{place} cannot be used: {detail}")]
    Unavailable {
        /// The store.
        place: String,
        /// What happened.
        detail: String,
    },
    /// The store answered with something that its protocol does not allow.
    #[error("{place} answered wrongly: {detail}")]
    Protocol {
        /// The store.
        place: String,
        /// What was wrong.
        detail: String,
    },
    /// Content is not what its descriptor says.
    #[error("{place}: {cause}")]
    Content {
        /// The store.
        place: String,
        /// The difference.
        cause: ContentError,
    },
    /// A manifest cannot be read.
    #[error("{place}: {cause}")]
    Manifest {
        /// The store.
        place: String,
        /// The reason.
        cause: ManifestError,
    },
    /// The tag names another manifest than the caller last saw.
    #[error("{place}: tag {tag} moved to {actual}")]
    TagMoved {
        /// The store.
        place: String,
        /// The tag.
        tag: Tag,
        /// What it names now.
        actual: String,
    },
    /// The referrers tag holds something that is no index of referrers.
    #[error("{place}: tag {tag} does not hold a list of referrers")]
    ReferrersTag {
        /// The store.
        place: String,
        /// The tag.
        tag: Tag,
    },
    /// An entry was added to the list under a tag, and others keep writing lists without it.
    #[error("{place}: {entry} is not in the list under {tag}, which others keep writing")]
    EntryLost {
        /// The store.
        place: String,
        /// The tag.
        tag: Tag,
        /// What is not listed. It is there, by its digest.
        entry: Digest,
        /// Times that it was written into the list.
        writes: u32,
    },
    /// A certificate or key for TLS cannot be used. Nothing was sent.
    #[error("{path}: {detail}")]
    TlsFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        detail: String,
    },
    /// No tag was given and several images are there.
    #[error("{place} holds {} images", tags.len())]
    Ambiguous {
        /// The store.
        place: String,
        /// Their tags or digests.
        tags: Vec<String>,
    },
    /// No image is there, only evidence about images that are kept elsewhere.
    #[error("{place} holds no image, only evidence about {}", about.first().map_or_else(|| "nothing".to_owned(), Digest::to_string))]
    EvidenceOnly {
        /// The store.
        place: String,
        /// The images.
        about: Vec<Digest>,
    },
    /// The folder is no image layout.
    #[error("{place} is not an OCI image layout: {detail}")]
    NotALayout {
        /// The folder.
        place: String,
        /// What is missing or wrong.
        detail: String,
    },
    /// The file is no archive that is understood, or one that two programs could read differently.
    #[error("{place} is not a sound archive: {detail}")]
    Archive {
        /// The archive.
        place: String,
        /// What is wrong.
        detail: String,
    },
    /// An entry of an archive leads out of it, or is something else than a file.
    #[error("{place} has an entry that is refused: {entry}: {detail}")]
    UnsafeEntry {
        /// The archive.
        place: String,
        /// Its name.
        entry: String,
        /// What is wrong with it.
        detail: String,
    },
    /// More is in a place than is read of it.
    #[error("{place} holds too much: {detail}")]
    TooMuch {
        /// The place.
        place: String,
        /// Which bound was met.
        detail: String,
    },
    /// The place can only be read.
    #[error("{place} can only be read")]
    ReadOnly {
        /// The place.
        place: String,
    },
    /// Another process writes to the folder.
    #[error("{place} is being written by another process")]
    Locked {
        /// The folder.
        place: String,
    },
    /// The store was asked to delete and does not.
    #[error("{place} does not delete {what}: {detail}")]
    DeleteUnsupported {
        /// The store.
        place: String,
        /// Manifest or tag.
        what: String,
        /// What the store said.
        detail: String,
    },
    /// A file could not be read or written.
    #[error("{action} {path} failed: {cause}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: String,
        /// The system's answer.
        cause: std::io::Error,
    },
}

impl StoreError {
    /// The stable code of this error.
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } | Self::EvidenceOnly { .. } => Code::NotFound,
            Self::Denied { .. } => Code::Denied,
            Self::Offline { .. } => Code::Offline,
            Self::Unavailable { .. } | Self::Protocol { .. } => Code::Unavailable,
            Self::Content { cause, .. } => cause.code(),
            Self::Manifest { cause, .. } => cause.code(),
            Self::TagMoved { .. } => Code::TagMoved,
            Self::ReferrersTag { .. } => Code::ReferrersTagInvalid,
            Self::EntryLost { .. } => Code::EntryLost,
            Self::TlsFile { .. } => Code::TlsFileInvalid,
            Self::Ambiguous { .. } => Code::TagAmbiguous,
            Self::NotALayout { .. } => Code::LayoutInvalid,
            Self::Archive { .. } => Code::ArchiveInvalid,
            Self::UnsafeEntry { .. } => Code::EntryUnsafe,
            Self::TooMuch { .. } => Code::TooLarge,
            Self::ReadOnly { .. } => Code::StoreUnsupported,
            Self::Locked { .. } => Code::LayoutLocked,
            Self::DeleteUnsupported { .. } => Code::DeleteUnsupported,
            Self::Io { cause, .. } if cause.kind() == std::io::ErrorKind::StorageFull => Code::StorageFull,
            Self::Io { .. } => Code::StorageFailed,
        }
    }

    /// Whether the answer is a plain "no such thing".
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// Whether content had to travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was written.
    Sent,
    /// It was there already, or in another repository of the registry.
    Present,
}

/// What became of a manifest that was taken off a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Deleted,
    /// Nothing lists it any more; by its digest it is still there, since the store does not delete.
    Unlisted,
}

/// What a tag must name before it is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Anything or nothing.
    Any,
    /// Nothing.
    Absent,
    /// This digest.
    Digest(Digest),
}

/// A place that keeps blobs, manifests and tags of one repository.
///
/// What is read is checked against its digest and size before it is returned; what is written is complete before it is
/// visible. Methods may be called concurrently. The methods that write refuse with [`StoreError::ReadOnly`] unless a
/// store has its own.
#[async_trait]
pub trait Store: Send + Sync {
    /// How the place is named to people.
    fn name(&self) -> String;

    /// Reads the manifest that a tag or digest names. A digest wins over a tag.
    ///
    /// Without either: the tag `latest` in a registry, the only image in a layout.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] and all that can go wrong on the way.
    async fn manifest(&self, selector: &Selector) -> Result<Manifest, StoreError>;

    /// Reads a manifest by its descriptor; media type, digest and size must all agree.
    ///
    /// # Errors
    /// Like [`Store::manifest`].
    async fn manifest_at(&self, descriptor: &Descriptor) -> Result<Manifest, StoreError>;

    /// The digest that a tag names; `None` when there is no such tag.
    ///
    /// # Errors
    /// Like [`Store::manifest`], but for absence.
    async fn tag_digest(&self, tag: &Tag) -> Result<Option<Digest>, StoreError>;

    /// Reads a blob; more than `limit` bytes are refused before they are read. Small blobs are held in memory, large
    /// ones spooled.
    ///
    /// # Errors
    /// Like [`Store::manifest`].
    async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Blob, StoreError>;

    /// Descriptors of the manifests whose `subject` is claimed to be this digest. The claim is not checked here.
    ///
    /// # Errors
    /// A denied or broken listing is an error, never an empty answer.
    async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, StoreError>;

    /// The same, with what is listed and cannot be read beside what can, where [`Store::referrers`] errs.
    ///
    /// # Errors
    /// Like [`Store::referrers`], but for single entries.
    async fn referrer_list(&self, subject: &Digest) -> Result<ReferrerList, StoreError> {
        Ok(ReferrerList { referrers: self.referrers(subject).await?, unreadable: Vec::new() })
    }

    /// All tags.
    ///
    /// # Errors
    /// Like [`Store::manifest`].
    async fn tags(&self) -> Result<Vec<Tag>, StoreError>;

    /// Writes a blob unless it is there.
    ///
    /// # Errors
    /// Anything that keeps it from being complete.
    async fn push_blob(&self, _blob: &Blob) -> Result<Pushed, StoreError> {
        Err(StoreError::ReadOnly { place: self.name() })
    }

    /// Writes a blob that a repository of the same registry has, if possible without its bytes travelling.
    ///
    /// Does not check that `origin` has it: where it has not, or may not be read, the bytes are sent.
    ///
    /// # Errors
    /// Like [`Store::push_blob`].
    async fn push_blob_from(&self, blob: &Blob, origin: &Repository) -> Result<Pushed, StoreError> {
        let _ = origin;
        self.push_blob(blob).await
    }

    /// Takes over a blob from another repository of the same registry, whose bytes are not at hand. Gives whether it is
    /// here now; where not, it has to be read and pushed.
    ///
    /// # Errors
    /// Like [`Store::push_blob`], but for a refusal, which is a no.
    async fn mount_blob(&self, digest: &Digest, origin: &Repository) -> Result<bool, StoreError> {
        let _ = (digest, origin);
        Ok(false)
    }

    /// Writes a manifest by digest. When it has a `subject`, it is listed as its referrer afterwards.
    ///
    /// # Errors
    /// Anything that keeps it from being complete and listed.
    async fn push_manifest(&self, _manifest: &Manifest) -> Result<Pushed, StoreError> {
        Err(StoreError::ReadOnly { place: self.name() })
    }

    /// Points a tag at a manifest, which is written first if need be.
    ///
    /// # Errors
    /// [`StoreError::TagMoved`] when the tag does not name what is expected.
    async fn tag(&self, _manifest: &Manifest, _tag: &Tag, _expected: &Expected) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly { place: self.name() })
    }

    /// Whether [`Store::tag`] always notices that somebody else moved the tag. Where it may not, a writer looks again.
    fn guards_tags(&self) -> bool {
        true
    }

    /// Waits a random while, so that two writers who met do not meet again.
    async fn pause(&self) {}

    /// Deletes a manifest by digest; what it lists stays. Take tags off it first: in some stores they go with it, in
    /// others they are copies.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::DeleteUnsupported`].
    async fn delete_manifest(&self, _digest: &Digest) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly { place: self.name() })
    }

    /// Takes a manifest off the list of what refers to `subject`, and deletes it where the store deletes.
    ///
    /// # Errors
    /// [`StoreError::DeleteUnsupported`] when it would still be listed.
    async fn remove_referrer(&self, _subject: &Digest, _manifest: &Digest) -> Result<Removed, StoreError> {
        Err(StoreError::ReadOnly { place: self.name() })
    }

    /// Removes a tag. What it names may go with it, where the store knows no other way.
    ///
    /// # Errors
    /// [`StoreError::TagMoved`] when the tag does not name what is expected; [`StoreError::DeleteUnsupported`].
    async fn untag(&self, _tag: &Tag, _expected: &Expected) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly { place: self.name() })
    }
}

/// A random number below a bound.
pub(crate) fn random_below(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes) % bound.max(1),
        Err(_) => bound / 2,
    }
}

/// Refuses a blob by its promised size, before a byte is read.
pub(crate) fn check_size(place: &str, descriptor: &Descriptor, limit: u64) -> Result<(), StoreError> {
    if descriptor.size > limit {
        let cause = ContentError::TooLarge { digest: descriptor.digest.clone(), limit };
        return Err(StoreError::Content { place: place.to_owned(), cause });
    }
    Ok(())
}

/// Compares what a tag names with what the caller expects.
pub(crate) fn check_expected(
    place: &str,
    tag: &Tag,
    expected: &Expected,
    actual: Option<&Digest>,
) -> Result<(), StoreError> {
    let as_expected = match expected {
        Expected::Any => true,
        Expected::Absent => actual.is_none(),
        Expected::Digest(digest) => actual == Some(digest),
    };
    if as_expected {
        return Ok(());
    }
    let actual = actual.map_or_else(|| "nothing".to_owned(), Digest::to_string);
    Err(StoreError::TagMoved { place: place.to_owned(), tag: tag.clone(), actual })
}
