//! Stores in tar archives. They are read where they are: nothing is unpacked to a name, and nothing is written.
//!
//! An archive is refused as a whole when two programs could see two images in it, or when an entry leads out of it.

mod docker;
mod entries;
mod layout;
mod open;
mod same_images;
mod saved_image;
mod tar;

use std::path::Path;

use async_trait::async_trait;

use super::layout::LayoutReader;
use super::{Store, StoreError};
use crate::content::Blob;
use crate::digest::Digest;
use crate::limits::Limits;
use crate::oci::{Descriptor, Manifest};
use crate::reference::{Selector, Tag};

use layout::ArchivedLayout;

pub use docker::DockerArchive;
pub(in crate::store) use entries::{Entries, Kind, follow};
pub(in crate::store) use open::OpenArchive;

/// An OCI image layout inside a tar archive, plain or compressed with gzip.
pub struct Archive {
    reader: LayoutReader<ArchivedLayout>,
}

impl Archive {
    /// Reads the names in an archive and opens the layout in it.
    ///
    /// Does not look at blobs, but for what `manifest.json` names where there is one.
    ///
    /// # Errors
    /// [`StoreError::NotALayout`] when it holds something else; [`StoreError::Archive`], [`StoreError::UnsafeEntry`] and
    /// [`StoreError::TooMuch`] when it cannot be trusted to be one thing.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, StoreError> {
        let archive = OpenArchive::open("oci-archive", path, limits)?;
        let reader = LayoutReader::open(ArchivedLayout::new(archive)?, limits)?;
        same_images::check_same_images(&reader, limits)?;
        Ok(Self { reader })
    }
}

#[async_trait]
impl Store for Archive {
    fn name(&self) -> String {
        self.reader.place()
    }

    async fn manifest(&self, selector: &Selector) -> Result<Manifest, StoreError> {
        self.reader.manifest(selector)
    }

    async fn manifest_at(&self, descriptor: &Descriptor) -> Result<Manifest, StoreError> {
        self.reader.manifest_at(descriptor)
    }

    async fn tag_digest(&self, tag: &Tag) -> Result<Option<Digest>, StoreError> {
        Ok(self.reader.index()?.tagged(tag.as_str()).map(|entry| entry.digest.clone()))
    }

    async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Blob, StoreError> {
        self.reader.blob(descriptor, limit)
    }

    async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, StoreError> {
        self.reader.referrers(subject)
    }

    async fn tags(&self) -> Result<Vec<Tag>, StoreError> {
        self.reader.tags()
    }
}
