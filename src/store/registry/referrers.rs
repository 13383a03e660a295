//! Who refers to a manifest: the referrers API, or the tag that stands in for it where the API is not there or says
//! that there is nothing.
//!
//! An empty answer lets an image pass where evidence speaks against it, so only the registry's clear "there is none" is
//! one; everything else is an error.
//!
//! Source: distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema".

use std::collections::HashSet;

use reqwest::StatusCode;

use super::Registry;
use super::read::{Document, Pages, manifest_call, own_media_type};
use crate::content::Blob;
use crate::digest::Digest;
use crate::media_type::MediaType;
use crate::oci::ReferrerList;
use crate::reference::Tag;
use crate::store::StoreError;

impl Registry {
    pub(super) async fn list_referrers(&self, subject: &Digest) -> Result<ReferrerList, StoreError> {
        // A registry that got the API later has to list what the tag lists, and one that says `OCI-Subject` what was
        // written; not all do, and "none" is the answer that hides something.
        let answered = self.referrers_api(subject).await?.filter(|list| *list != ReferrerList::default());
        if let Some(list) = answered {
            return Ok(list);
        }
        let tag = Tag::of_referrers(subject);
        let blob = match self.marked_blob(tag.as_str(), None).await {
            Ok((blob, _)) => blob,
            Err(error) if error.is_not_found() => return Ok(ReferrerList::default()),
            Err(error) => return Err(error),
        };
        let mut list = List::default();
        // An image under the tag lists nothing.
        let listed = ReferrerList::read(blob, &self.limits).map_err(|cause| self.manifest_error(cause))?;
        list.extend(self, listed.unwrap_or_default())?;
        Ok(list.found)
    }

    /// Asks the referrers API; `None` when the registry does not have it.
    ///
    /// It does not have it when it answers 404, 405 or 501, or 200 with something that is no index, as those do that
    /// answer every address with a web page. No filter is sent: a registry that filters by another understanding of
    /// artifact types would hide evidence, and one type of evidence comes under several artifact types. So whether an
    /// answer says `OCI-Filters-Applied` does not matter.
    pub(super) async fn referrers_api(&self, subject: &Digest) -> Result<Option<ReferrerList>, StoreError> {
        let mut list = List::default();
        let mut pages = Pages::new(self.url(&format!("referrers/{subject}"))?);
        let mut first = true;
        while let Some(url) = pages.next(self)? {
            let page = match self.try_document(&manifest_call(url), self.limits.manifest_bytes).await? {
                Ok(page) => page,
                Err(mut answer) => {
                    let unsupported = matches!(
                        answer.status,
                        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
                    );
                    if first && unsupported {
                        answer.drain().await;
                        return Ok(None);
                    }
                    return Err(self.refusal(answer, format!("referrers of {subject}")).await);
                }
            };
            if !is_index(&page) {
                if first {
                    return Ok(None);
                }
                return Err(self.client.protocol(format!("a page of referrers of {subject} that is no index")));
            }
            pages.turn(self, &page)?;
            let blob = Blob::of_bytes(MediaType::OCI_INDEX, page.body);
            let listed = ReferrerList::read(blob, &self.limits).map_err(|cause| self.manifest_error(cause))?;
            list.extend(self, listed.unwrap_or_default())?;
            first = false;
        }
        Ok(Some(list.found))
    }
}

/// Whether an answer is an index, by its header, or by itself where the header says nothing.
fn is_index(page: &Document) -> bool {
    match &page.media_type {
        Some(media_type) => *media_type == MediaType::OCI_INDEX,
        None => own_media_type(&page.body) == Some(MediaType::OCI_INDEX),
    }
}

/// Referrers in the order of the registry, each once.
#[derive(Default)]
struct List {
    found: ReferrerList,
    seen: HashSet<Digest>,
}

impl List {
    fn extend(&mut self, registry: &Registry, page: ReferrerList) -> Result<(), StoreError> {
        self.found.unreadable.extend(page.unreadable);
        for descriptor in page.referrers {
            if !self.seen.insert(descriptor.digest.clone()) {
                continue;
            }
            if self.found.referrers.len() >= registry.limits.referrers {
                let detail = format!("more than {} referrers of one manifest", registry.limits.referrers);
                return Err(registry.client.protocol(detail));
            }
            self.found.referrers.push(descriptor);
        }
        Ok(())
    }
}
