//! The list of referrers that clients keep under a tag, where a registry has no referrers API.
//!
//! Each writer reads the whole list, adds its entry and writes the list back. The specification knows no remedy against
//! two who do so at once but conditional requests, which few registries without the API know. So a writer looks again
//! after a random time whether its entry is still there, and adds it again. What remains possible: another writer that
//! read the list before our writing and writes after our looking.
//!
//! Source: distribution-spec 1.1, "Pushing Manifests with Subject", "Referrers Tag Schema".

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use reqwest::StatusCode;
use reqwest::header::{HeaderValue, IF_MATCH};

use super::write::{unless_there, written};
use super::{Registry, Store};
use crate::content::Blob;
use crate::digest::Digest;
use crate::oci::{Descriptor, ReferrerList, new_index};
use crate::reference::Tag;
use crate::store::StoreError;

/// How writing the list once ended.
enum Round {
    /// The entry was there before.
    Listed,
    /// The list was written.
    Written,
    /// Another writer came first, and the registry refused ours.
    Refused,
}

impl Registry {
    /// Adds an entry to the referrers tag, and stays until it is there.
    ///
    /// Within one process writers wait for each other.
    pub(super) async fn add_to_referrers_tag(&self, subject: &Digest, entry: &Descriptor) -> Result<(), StoreError> {
        let tag = Tag::of_referrers(subject);
        let (mut writes, mut refusals) = (0, 0);
        loop {
            let may_write = writes < self.limits.write_rounds && refusals < self.limits.tag_refusals;
            match self.referrers_round(&tag, entry, may_write).await? {
                Some(Round::Listed) => return Ok(()),
                Some(Round::Written) => writes += 1,
                Some(Round::Refused) => refusals += 1,
                None => {
                    let (place, entry) = (self.name(), entry.digest.clone());
                    return Err(StoreError::EntryLost { place, tag, entry, writes });
                }
            }
            // Where writing over another's list is refused, what was written stays.
            if !self.refuses_overtaking.load(Ordering::Relaxed) || refusals > 0 {
                self.wait_a_while().await;
            }
        }
    }

    /// Reads the list and writes it with the entry, unless it is there; `None` when it would have to be written and may
    /// not.
    async fn referrers_round(
        &self,
        tag: &Tag,
        entry: &Descriptor,
        may_write: bool,
    ) -> Result<Option<Round>, StoreError> {
        let _alone = self.referrers_tag.lock().await;
        let current = match self.marked_blob(tag.as_str(), None).await {
            Ok(current) => Some(current),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        if let Some((blob, _)) = &current {
            let list = ReferrerList::read(blob.clone(), &self.limits).map_err(|cause| self.manifest_error(cause))?;
            // An image manifest: `cosign copy` writes such.
            let foreign = || StoreError::ReferrersTag { place: self.name(), tag: tag.clone() };
            if list.ok_or_else(foreign)?.referrers.iter().any(|known| known.digest == entry.digest) {
                return Ok(Some(Round::Listed));
            }
        }
        if !may_write {
            return Ok(None);
        }
        self.write_list(tag, current, entry).await.map(Some)
    }

    async fn write_list(
        &self,
        tag: &Tag,
        current: Option<(Blob, Option<HeaderValue>)>,
        entry: &Descriptor,
    ) -> Result<Round, StoreError> {
        let next = match &current {
            None => new_index(std::slice::from_ref(entry), &BTreeMap::new()),
            Some((blob, _)) => {
                ReferrerList::with_entry(blob, entry, &self.limits).map_err(|cause| self.manifest_error(cause))?
            }
        };
        let media_type = HeaderValue::from_str(next.media_type().as_str())
            .map_err(|_| self.client.protocol("a media type that fits no header"))?;
        let bytes = next.bytes(self.limits.manifest_bytes).map_err(|cause| self.content_error(cause))?;
        let condition = match current {
            None => unless_there(),
            Some((_, etag)) => etag.map(|etag| (IF_MATCH, etag)),
        };
        let conditional = condition.as_ref().is_some_and(|(name, _)| *name == IF_MATCH);
        let answer = self.put(tag.as_str(), media_type, bytes, condition).await?;
        if answer.status == StatusCode::PRECONDITION_FAILED {
            self.refuses_overtaking.fetch_or(conditional, Ordering::Relaxed);
            return Ok(Round::Refused);
        }
        if !written(answer.status) {
            return Err(self.refusal(answer, tag).await);
        }
        Ok(Round::Written)
    }
}
