//! Taking things out of a registry, which many do not let anybody do.
//!
//! Source: distribution-spec 1.1, "Content Management" and "Deleting Manifests".

use reqwest::header::{HeaderValue, IF_MATCH};
use reqwest::{Method, StatusCode};

use super::auth::Access;
use super::client::{Attempts, Call};
use super::error::{ERROR_BODY_BYTES, describe};
use super::referrers::Listed;
use super::write::{ROUNDS, lists, written};
use super::{Registry, Store};
use crate::digest::Digest;
use crate::oci::Descriptor;
use crate::reference::Tag;
use crate::store::{Expected, Removed, StoreError, check_expected};

/// Milliseconds up to which a writer waits before it looks again. Two changes of one tag take a few.
pub(super) const PAUSE_MILLISECONDS: u64 = 250;

impl Registry {
    /// Deletes a manifest by digest, or a tag.
    ///
    /// 400, 405 and 501 are a registry that does not delete; one that does not know the manifest says 404.
    pub(super) async fn delete(&self, reference: &str) -> Result<(), StoreError> {
        let call = Call::new(Method::DELETE, self.url(&format!("manifests/{reference}"))?);
        let mut answer = self.send(&call, Access::Push, &mut Attempts::new(&self.limits)).await?;
        match answer.status {
            StatusCode::OK | StatusCode::ACCEPTED | StatusCode::NO_CONTENT => Ok(()),
            StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                let body = answer.body(ERROR_BODY_BYTES).await.ok().flatten().unwrap_or_default();
                let detail = describe(answer.status, &body);
                Err(StoreError::DeleteUnsupported { place: self.name(), what: reference.to_owned(), detail })
            }
            _ => Err(self.refusal(answer, reference).await),
        }
    }

    /// Deletes a tag; where only manifests can be deleted, what it names.
    pub(super) async fn delete_tag(&self, tag: &Tag, expected: &Expected) -> Result<(), StoreError> {
        let actual = self.head_tag(tag, Access::Push).await?.map(|head| head.digest);
        check_expected(&self.name(), tag, expected, actual.as_ref())?;
        let Some(actual) = actual else { return Ok(()) };
        match self.delete(tag.as_str()).await {
            Err(StoreError::DeleteUnsupported { .. }) => self.delete(&actual.to_string()).await,
            done => done,
        }
    }

    /// The list first: a manifest that is gone and still listed would look like evidence that was lost.
    pub(super) async fn unlist(&self, subject: &Digest, manifest: &Digest) -> Result<Removed, StoreError> {
        self.remove_from_referrers_tag(subject, manifest).await?;
        match self.delete(&manifest.to_string()).await {
            Ok(()) => Ok(Removed::Deleted),
            Err(error @ (StoreError::DeleteUnsupported { .. } | StoreError::NotFound { .. })) => {
                let listed = self.list_referrers(subject).await?;
                if listed.iter().any(|descriptor| descriptor.digest == *manifest) {
                    return Err(error);
                }
                Ok(if error.is_not_found() { Removed::Deleted } else { Removed::Unlisted })
            }
            Err(error) => Err(error),
        }
    }

    /// Takes an entry off the tag that stands in for the referrers API, and looks whether it is gone.
    async fn remove_from_referrers_tag(&self, subject: &Digest, manifest: &Digest) -> Result<(), StoreError> {
        let _alone = self.referrers_tag.lock().await;
        let tag = Tag::of_referrers(subject);
        for _ in 0..ROUNDS {
            let marked = match self.referrers_tag(&tag).await? {
                Listed::Index(marked) if lists(&marked.manifest, manifest) => marked,
                _ => return Ok(()),
            };
            let Some(index) = marked.manifest.as_index() else { return Ok(()) };
            let is_it = |entry: &Descriptor| entry.digest == *manifest;
            let bytes = index.without_children(marked.manifest.bytes(), is_it);
            let media_type = HeaderValue::from_str(marked.manifest.blob().media_type().as_str())
                .map_err(|_| self.client.protocol("a media type that fits no header"))?;
            let condition = marked.etag.clone().map(|etag| (IF_MATCH, etag));
            let answer = self.put(tag.as_str(), media_type, bytes.into(), condition).await?;
            if answer.status != StatusCode::PRECONDITION_FAILED && !written(answer.status) {
                return Err(self.refusal(answer, &tag).await);
            }
            drop(answer);
            self.pause().await;
        }
        Err(self.client.unavailable(format!("others keep writing the tag {tag}; {manifest} is still listed")))
    }
}
