//! A store in memory: the reference implementation of the contract.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Expected, Pushed, Removed, Store, StoreError};
use crate::content::{Blob, Content};
use crate::digest::Digest;
use crate::limits::Limits;
use crate::media_type::MediaType;
use crate::oci::{Descriptor, Manifest};
use crate::reference::{Selector, Tag};

/// Blobs, manifests and tags in maps. Referrers are found by looking at every manifest.
#[derive(Default)]
pub struct Memory {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    blobs: BTreeMap<Digest, Content>,
    manifests: BTreeMap<Digest, (MediaType, Manifest)>,
    tags: BTreeMap<Tag, Digest>,
}

impl Memory {
    /// An empty store.
    pub fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_found(&self, what: impl ToString) -> StoreError {
        StoreError::NotFound { place: self.name(), what: what.to_string() }
    }
}

#[async_trait]
impl Store for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn manifest(&self, selector: &Selector) -> Result<Manifest, StoreError> {
        let state = self.lock();
        let digest = match (&selector.digest, &selector.tag) {
            (Some(digest), _) => digest,
            (None, Some(tag)) => state.tags.get(tag).ok_or_else(|| self.not_found(tag))?,
            (None, None) => {
                let mut images = state.tags.iter().filter(|(tag, _)| !tag.is_for_evidence());
                match (images.next(), images.next()) {
                    (Some((_, digest)), None) => digest,
                    (None, _) => return Err(self.not_found("image")),
                    _ => {
                        let tags = state.tags.keys().filter(|tag| !tag.is_for_evidence()).map(Tag::to_string).collect();
                        return Err(StoreError::Ambiguous { place: self.name(), tags });
                    }
                }
            }
        };
        state.manifests.get(digest).map(|(_, manifest)| manifest.clone()).ok_or_else(|| self.not_found(digest))
    }

    async fn manifest_at(&self, descriptor: &Descriptor) -> Result<Manifest, StoreError> {
        let content = {
            let state = self.lock();
            let found = state.manifests.get(&descriptor.digest);
            found.map(|(_, manifest)| Content::from(manifest.bytes().clone()))
        };
        let content = content.ok_or_else(|| self.not_found(&descriptor.digest))?;
        let blob = Blob::check(descriptor.media_type.clone(), descriptor.digest.clone(), descriptor.size, content)
            .map_err(|cause| StoreError::Content { place: self.name(), cause })?;
        Manifest::read(blob, &self.limits).map_err(|cause| StoreError::Manifest { place: self.name(), cause })
    }

    async fn tag_digest(&self, tag: &Tag) -> Result<Option<Digest>, StoreError> {
        Ok(self.lock().tags.get(tag).cloned())
    }

    async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Blob, StoreError> {
        let place = self.name();
        let content = self.lock().blobs.get(&descriptor.digest).cloned();
        let content = content.ok_or_else(|| self.not_found(&descriptor.digest))?;
        super::check_size(&place, descriptor, limit)?;
        Blob::check(descriptor.media_type.clone(), descriptor.digest.clone(), descriptor.size, content)
            .map_err(|cause| StoreError::Content { place, cause })
    }

    async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, StoreError> {
        let state = self.lock();
        let about = |manifest: &&Manifest| manifest.subject().is_some_and(|named| named.digest == *subject);
        Ok(state
            .manifests
            .values()
            .map(|(_, manifest)| manifest)
            .filter(about)
            .map(Manifest::referrer_descriptor)
            .collect())
    }

    async fn tags(&self) -> Result<Vec<Tag>, StoreError> {
        Ok(self.lock().tags.keys().cloned().collect())
    }

    async fn push_blob(&self, blob: &Blob) -> Result<Pushed, StoreError> {
        let content = blob.content().read_all().map_err(|cause| StoreError::Io {
            action: "reading",
            path: blob.digest().to_string(),
            cause,
        })?;
        let old = self.lock().blobs.insert(blob.digest().clone(), Content::from(content));
        Ok(if old.is_some() { Pushed::Present } else { Pushed::Sent })
    }

    async fn push_manifest(&self, manifest: &Manifest) -> Result<Pushed, StoreError> {
        let media_type = manifest.blob().media_type().clone();
        let old = self.lock().manifests.insert(manifest.digest().clone(), (media_type, manifest.clone()));
        Ok(if old.is_some() { Pushed::Present } else { Pushed::Sent })
    }

    async fn tag(&self, manifest: &Manifest, tag: &Tag, expected: &Expected) -> Result<(), StoreError> {
        self.push_manifest(manifest).await?;
        let mut state = self.lock();
        super::check_expected(&self.name(), tag, expected, state.tags.get(tag))?;
        state.tags.insert(tag.clone(), manifest.digest().clone());
        Ok(())
    }

    fn guards_tags(&self) -> bool {
        true
    }

    async fn pause(&self) {}

    async fn delete_manifest(&self, digest: &Digest) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.manifests.remove(digest).ok_or_else(|| self.not_found(digest))?;
        state.tags.retain(|_, named| named != digest);
        Ok(())
    }

    async fn remove_referrer(&self, _subject: &Digest, manifest: &Digest) -> Result<Removed, StoreError> {
        self.delete_manifest(manifest).await.map(|()| Removed::Deleted)
    }

    async fn untag(&self, tag: &Tag, expected: &Expected) -> Result<(), StoreError> {
        let mut state = self.lock();
        super::check_expected(&self.name(), tag, expected, state.tags.get(tag))?;
        state.tags.remove(tag);
        Ok(())
    }
}
