//! Blobs: content that has the digest and size that it is known by.

use std::io;

use bytes::Bytes;

use super::Content;
use crate::code::Code;
use crate::digest::{Digest, DigestAlgorithm, Hasher};
use crate::media_type::MediaType;

/// Why content is not what was promised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// Another length. Said before the digest, since it is the cheaper fact.
    #[error("{digest} should have {expected} bytes, has {actual}")]
    Size {
        /// What was asked for.
        digest: Digest,
        /// Promised bytes.
        expected: u64,
        /// Bytes that came.
        actual: u64,
    },
    /// Another digest.
    #[error("the bytes of {} have the digest {}", expected.short(), actual.short())]
    Digest {
        /// What was asked for.
        expected: Digest,
        /// What the bytes have.
        actual: Digest,
    },
    /// Larger than the bound.
    #[error("{digest} is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        digest: Digest,
        /// The bound.
        limit: u64,
    },
    /// The storage failed while reading.
    #[error("reading failed")]
    Unreadable(#[from] io::Error),
}

impl ContentError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::Size { .. } => Code::SizeMismatch,
            Self::Digest { .. } => Code::DigestMismatch,
            Self::TooLarge { .. } => Code::TooLarge,
            Self::Unreadable(_) => Code::StorageFailed,
        }
    }
}

/// Content whose digest and size were computed over its bytes; there is no way to hold one that does not match.
#[derive(Debug, Clone)]
pub struct Blob {
    media_type: MediaType,
    digest: Digest,
    content: Content,
}

impl Blob {
    /// Computes the SHA-256 of content that we made.
    ///
    /// # Errors
    /// [`ContentError::Unreadable`] when the storage fails.
    pub fn new(media_type: MediaType, content: impl Into<Content>) -> Result<Self, ContentError> {
        let content = content.into();
        let digest = digest_of(&content, DigestAlgorithm::Sha256)?;
        Ok(Self { media_type, digest, content })
    }

    /// Like [`Blob::new`] for bytes in memory, which cannot fail.
    pub fn of_bytes(media_type: MediaType, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { media_type, digest: Digest::sha256(&bytes), content: Content::from(bytes) }
    }

    /// Checks content that somebody else gave: first the size, then the digest.
    ///
    /// # Errors
    /// [`ContentError::Size`], [`ContentError::Digest`] or [`ContentError::Unreadable`].
    pub fn check(media_type: MediaType, expected: Digest, size: u64, content: Content) -> Result<Self, ContentError> {
        if content.length() != size {
            return Err(ContentError::Size { digest: expected, expected: size, actual: content.length() });
        }
        let actual = digest_of(&content, expected.algorithm())?;
        if actual != expected {
            return Err(ContentError::Digest { expected, actual });
        }
        Ok(Self { media_type, digest: expected, content })
    }

    /// Takes content whose digest was computed while it was read, so that it is not read twice.
    ///
    /// A constructor of trust: `computed` must come from the very bytes of `content`.
    pub(crate) fn assert_digested(
        media_type: &MediaType,
        expected: &Digest,
        size: u64,
        content: Content,
        computed: Digest,
    ) -> Result<Self, ContentError> {
        if content.length() != size {
            return Err(ContentError::Size { digest: expected.clone(), expected: size, actual: content.length() });
        }
        if computed != *expected {
            return Err(ContentError::Digest { expected: expected.clone(), actual: computed });
        }
        Ok(Self { media_type: media_type.clone(), digest: computed, content })
    }

    /// The media type by which it was named. Nothing in the bytes was compared with it.
    pub const fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// The digest of the bytes.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.content.length()
    }

    /// The content, for streaming.
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// The bytes in memory; reads them from the spool when they are not.
    ///
    /// # Errors
    /// [`ContentError::TooLarge`] above `limit` bytes, [`ContentError::Unreadable`].
    pub fn bytes(&self, limit: u64) -> Result<Bytes, ContentError> {
        if self.size() > limit {
            return Err(ContentError::TooLarge { digest: self.digest.clone(), limit });
        }
        Ok(self.content.read_all()?)
    }
}

/// The start of a blob that is still being made, digested while its end is not known.
///
/// A signed document is its payload, which is long, and its signature, which comes last and takes time to make.
pub struct BlobStart {
    content: Content,
    hasher: Hasher,
}

impl BlobStart {
    /// Digests the start.
    ///
    /// # Errors
    /// What the storage says.
    pub fn of(content: Content) -> io::Result<Self> {
        let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
        content.each_chunk(|chunk| {
            hasher.update(chunk);
            Ok::<(), io::Error>(())
        })?;
        Ok(Self { content, hasher })
    }

    /// The blob that starts so and goes on with `end`.
    ///
    /// # Errors
    /// [`ContentError::Unreadable`] when the storage fails.
    pub fn finish(self, media_type: MediaType, end: Content) -> Result<Blob, ContentError> {
        let mut hasher = self.hasher;
        end.each_chunk(|chunk| {
            hasher.update(chunk);
            Ok::<(), io::Error>(())
        })?;
        Ok(Blob { media_type, digest: hasher.finish(), content: Content::joined([self.content, end]) })
    }
}

fn digest_of(content: &Content, algorithm: DigestAlgorithm) -> io::Result<Digest> {
    let mut hasher = Hasher::new(algorithm);
    content.each_chunk(|chunk| {
        hasher.update(chunk);
        Ok::<(), io::Error>(())
    })?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(digest: &Digest, size: u64, bytes: &'static str) -> Result<Blob, ContentError> {
        Blob::check(MediaType::OCTET_STREAM, digest.clone(), size, Content::from(bytes))
    }

    #[test]
    fn a_blob_of_another_size_is_refused() {
        let digest = Digest::sha256(b"abc");
        assert!(matches!(check(&digest, 4, "abc"), Err(ContentError::Size { expected: 4, actual: 3, .. })));
    }

    #[test]
    fn a_blob_with_one_changed_byte_is_refused() {
        let digest = Digest::sha256(b"abc");
        assert!(matches!(check(&digest, 3, "abd"), Err(ContentError::Digest { .. })));
    }

    #[test]
    fn a_blob_made_in_two_parts_is_the_blob_of_both() {
        let start = BlobStart::of(Content::from("abc").to_base64()).unwrap();
        let blob = start.finish(MediaType::OCTET_STREAM, Content::from("def")).unwrap();
        assert_eq!(*blob.digest(), Digest::sha256(b"YWJjdef"));
        assert_eq!(&blob.bytes(100).unwrap()[..], b"YWJjdef");
    }

    #[test]
    fn a_blob_of_the_right_bytes_is_taken() {
        for algorithm in DigestAlgorithm::ALL {
            assert!(check(&Digest::of(algorithm, b"abc"), 3, "abc").is_ok());
        }
    }
}
