//! Evidence in files beside the image, made to look like what a store holds.

use crate::attach::{FileError, documents_of};
use crate::content::{Blob, Content};
use crate::digest::Digest;
use crate::limits::Limits;
use crate::location::Location;
use crate::oci::Manifest;

/// Documents of files that a user named.
#[derive(Debug, Clone, Default)]
pub struct EvidenceFiles {
    manifests: Vec<Manifest>,
    blobs: Vec<Blob>,
}

impl EvidenceFiles {
    /// Adds the documents of a file; `name` is for people.
    ///
    /// # Errors
    /// Any [`FileError`].
    pub fn add(&mut self, name: &str, file: &Content, limits: &Limits) -> Result<(), FileError> {
        for document in documents_of(name, file, limits)? {
            self.manifests.push(document.manifest);
            self.blobs.push(document.blob);
        }
        Ok(())
    }

    pub(super) fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    pub(super) fn blob(&self, digest: &Digest) -> Option<&Blob> {
        self.blobs.iter().find(|blob| blob.digest() == digest)
    }

    pub(super) fn document(&self, location: &Location) -> Option<(&Manifest, &Blob)> {
        let manifest = self.manifests.iter().find(|manifest| *manifest.digest() == location.manifest)?;
        Some((manifest, self.blob(&location.layer)?))
    }
}
