//! Taking things out of a layout: entries of `index.json`, entries of a fallback tag, manifests.
//!
//! A manifest with a `subject` is found by looking at every file, so taking it off the list is not enough: its file goes
//! too, last, when nothing in `index.json` leads to it any more. The blobs that it lists stay; others may share them.

use std::fs;

use super::files::{WriteLock, blob_path, failed};
use super::{Layout, write_bytes};
use crate::content::Blob;
use crate::digest::Digest;
use crate::oci::Descriptor;
use crate::oci::annotations::REF_NAME;
use crate::reference::Tag;
use crate::store::{Expected, Store as _, StoreError, check_expected};

impl Layout {
    /// Removes the entries of `index.json` for a manifest, then its file.
    pub(super) fn remove_manifest(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = blob_path(self.root(), digest);
        if !path.exists() {
            return Err(self.reader.not_found(digest));
        }
        let _lock = WriteLock::take(self.root(), self.lock_wait)?;
        self.without_entries(|entry| entry.digest == *digest)?;
        fs::remove_file(&path).map_err(failed("removing", &path))?;
        self.reader.forget_scan();
        Ok(())
    }

    /// Takes a manifest off the fallback tag of `subject`, and removes it.
    pub(super) fn unlist(&self, subject: &Digest, manifest: &Digest) -> Result<(), StoreError> {
        {
            let _lock = WriteLock::take(self.root(), self.lock_wait)?;
            self.unlist_entry(subject, manifest)?;
        }
        self.remove_manifest(manifest)
    }

    /// The caller holds the lock. A tag under which nothing is left goes with its last entry.
    fn unlist_entry(&self, subject: &Digest, manifest: &Digest) -> Result<(), StoreError> {
        let tag = Tag::of_referrers(subject);
        let index = self.reader.index()?;
        let Some(descriptor) = index.tagged(tag.as_str()) else { return Ok(()) };
        let listing = self.reader.manifest_at(descriptor)?;
        let Some(known) = listing.as_index() else { return Ok(()) };
        let is_it = |entry: &Descriptor| entry.digest == *manifest;
        let others = known.children().iter().filter(|child| !is_it(&child.descriptor)).count();
        if others == known.children().len() {
            return Ok(());
        }
        if others == 0 {
            return self.without_entries(|entry| entry.annotation(REF_NAME) == Some(tag.as_str()));
        }
        let media_type = listing.blob().media_type().clone();
        let shorter = Blob::of_bytes(media_type, known.without_children(listing.bytes(), is_it));
        self.write_blob(&shorter)?;
        write_bytes(&self.root().join("index.json"), &index.with_tag(tag.as_str(), &Descriptor::of(&shorter)))
    }

    /// Removes a tag; what it names stays as a blob.
    pub(super) fn remove_tag(&self, tag: &Tag, expected: &Expected) -> Result<(), StoreError> {
        let _lock = WriteLock::take(self.root(), self.lock_wait)?;
        let index = self.reader.index()?;
        check_expected(&self.name(), tag, expected, index.tagged(tag.as_str()).map(|entry| &entry.digest))?;
        self.without_entries(|entry| entry.annotation(REF_NAME) == Some(tag.as_str()))
    }

    /// The caller holds the lock.
    fn without_entries(&self, dropped: impl Fn(&Descriptor) -> bool) -> Result<(), StoreError> {
        let index = self.reader.index()?;
        if !index.entries().any(&dropped) {
            return Ok(());
        }
        write_bytes(&self.root().join("index.json"), &index.without_entries(dropped))
    }
}
