//! Descriptors: what points at content.

use std::collections::BTreeMap;

use super::platform::Platform;
use crate::content::Blob;
use crate::digest::Digest;
use crate::media_type::MediaType;

/// A pointer to content by media type, digest and size.
///
/// `data` (inline copies) and `urls` are read past: the blob itself is fetched and checked. Where a descriptor stands in
/// a document that is kept, its text is kept with it.
///
/// Source: image-spec 1.1, descriptor.md.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content claims to be.
    pub media_type: MediaType,
    /// The digest of the content.
    pub digest: Digest,
    /// Length of the content in bytes.
    pub size: u64,
    /// Inline copy of small content, base64. Written for the empty descriptor only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Notes; unsigned, and so only hints.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What an index child runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The artifact type of the manifest that is pointed at, where a referrers listing gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
}

fn null_as_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let map: Option<BTreeMap<String, String>> = serde::Deserialize::deserialize(deserializer)?;
    Ok(map.unwrap_or_default())
}

impl Descriptor {
    /// A descriptor of the three fields that matter.
    pub const fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self { media_type, digest, size, data: None, annotations: BTreeMap::new(), platform: None, artifact_type: None }
    }

    /// The descriptor of a blob.
    pub fn of(blob: &Blob) -> Self {
        Self::new(blob.media_type().clone(), blob.digest().clone(), blob.size())
    }

    /// The two bytes `{}`, with their inline copy.
    pub fn empty() -> Self {
        let mut descriptor = Self::of(&empty_blob());
        descriptor.data = Some("e30=".to_owned());
        descriptor
    }

    /// Media type, digest and size alone: the form of a `subject`.
    pub fn bare(&self) -> Self {
        Self::new(self.media_type.clone(), self.digest.clone(), self.size)
    }

    /// The same with one more annotation.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: impl Into<String>) -> Self {
        self.annotations.insert(key.to_owned(), value.into());
        self
    }

    /// An annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }
}

/// The blob behind [`Descriptor::empty`].
pub(crate) fn empty_blob() -> Blob {
    Blob::of_bytes(MediaType::OCI_EMPTY, &b"{}"[..])
}
