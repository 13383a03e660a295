//! The files of an OCI image layout, as formats. No file is touched here.
//!
//! Source: image-spec 1.1, image-layout.md.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::annotations::REF_NAME;
use super::descriptor::Descriptor;
use super::manifest::{Manifest, ManifestError};
use crate::content::Blob;
use crate::limits::Limits;
use crate::media_type::MediaType;

/// The whole content of the file `oci-layout`.
pub const LAYOUT_FILE: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";

/// Whether the content of `oci-layout` names a version that is understood (1.x).
pub fn check_layout_file(text: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        image_layout_version: String,
    }
    serde_json::from_slice::<Wire>(text).is_ok_and(|wire| wire.image_layout_version.starts_with("1."))
}

/// The file `index.json`: an index whose entries may carry tags.
#[derive(Debug, Clone)]
pub struct LayoutIndex(Manifest);

impl LayoutIndex {
    /// An `index.json` without entries.
    pub fn empty() -> Vec<u8> {
        super::new_index(&[], &BTreeMap::new()).bytes(u64::MAX).map(|bytes| bytes.to_vec()).unwrap_or_default()
    }

    /// Reads the file.
    ///
    /// # Errors
    /// Any [`ManifestError`].
    pub fn read(text: impl Into<Bytes>, limits: &Limits) -> Result<Self, ManifestError> {
        Manifest::read(Blob::of_bytes(MediaType::OCI_INDEX, text), limits).map(Self)
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = &Descriptor> {
        self.0.as_index().into_iter().flat_map(|index| index.children()).map(|child| &child.descriptor)
    }

    /// The entry with the tag.
    pub fn tagged(&self, tag: &str) -> Option<&Descriptor> {
        self.entries().find(|entry| entry.annotation(REF_NAME) == Some(tag))
    }

    /// The file without the entries that `drop` picks; all other entries keep their text.
    pub fn without_entries(&self, drop: impl Fn(&Descriptor) -> bool) -> Vec<u8> {
        let index = self.0.as_index();
        index.map(|index| index.without_children(self.0.bytes(), drop)).unwrap_or_default()
    }

    /// The file with the tag on `target` and on nothing else; all other entries keep their text.
    ///
    /// An untagged entry of the same manifest, as tools write it before they tag, is replaced.
    pub fn with_tag(&self, tag: &str, target: &Descriptor) -> Vec<u8> {
        let mut entry = target.clone();
        entry.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        let Some(index) = self.0.as_index() else { return Vec::new() };
        let old = index.without_children(self.0.bytes(), |child| {
            child.annotation(REF_NAME) == Some(tag)
                || (child.digest == target.digest && child.annotation(REF_NAME).is_none())
        });
        let limits = Limits { manifest_bytes: u64::MAX, index_children: usize::MAX, ..Limits::default() };
        match Self::read(old.clone(), &limits) {
            Ok(Self(manifest)) => match manifest.as_index() {
                Some(index) => index.with_child(manifest.bytes(), &entry),
                None => old,
            },
            Err(_) => old,
        }
    }
}
