//! Taking things out of a registry, which many do not let anybody do.
//!
//! Source: distribution-spec 1.1, "Content Management" and "Deleting Manifests".

use reqwest::header::{HeaderValue, IF_MATCH};
use reqwest::{Method, StatusCode};

use super::attempts::Attempts;
use super::auth::Access;
use super::client::Call;
use super::error::{ERROR_BODY_BYTES, describe};
use super::write::written;
use super::{Registry, Store};
use crate::digest::Digest;
use crate::oci::ReferrerList;
use crate::reference::Tag;
use crate::store::{Expected, Removed, StoreError, check_expected};

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
                let detail = describe(answer.status, &body, self.client.secrets());
                Err(StoreError::DeleteUnsupported { place: self.name(), what: reference.to_owned(), detail })
            }
            _ => Err(self.refusal(answer, reference).await),
        }
    }

    /// Deletes a tag; where only manifests can be deleted, what it names, unless another tag names that too.
    pub(super) async fn delete_tag(&self, tag: &Tag, expected: &Expected) -> Result<(), StoreError> {
        let actual = self.head_tag(tag, Access::Push).await?.map(|head| head.digest);
        check_expected(&self.name(), tag, expected, actual.as_ref())?;
        let Some(actual) = actual else { return Ok(()) };
        match self.delete(tag.as_str()).await {
            Err(StoreError::DeleteUnsupported { place, what, detail }) => {
                match self.other_tag_of(tag, &actual).await? {
                    None => self.delete(&actual.to_string()).await,
                    Some(other) => {
                        let detail = format!("{detail}; without its manifest, which tag {other} names too");
                        Err(StoreError::DeleteUnsupported { place, what, detail })
                    }
                }
            }
            done => done,
        }
    }

    /// Another tag of the same manifest, which would go with it.
    async fn other_tag_of(&self, tag: &Tag, digest: &Digest) -> Result<Option<Tag>, StoreError> {
        for other in self.tags().await?.into_iter().filter(|other| other != tag) {
            if self.head_tag(&other, Access::Pull).await?.is_some_and(|head| head.digest == *digest) {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }

    /// The list first: a manifest that is gone and still listed would look like evidence that was lost.
    pub(super) async fn unlist(&self, subject: &Digest, manifest: &Digest) -> Result<Removed, StoreError> {
        self.remove_from_referrers_tag(subject, manifest).await?;
        match self.delete(&manifest.to_string()).await {
            Ok(()) => Ok(Removed::Deleted),
            Err(error @ (StoreError::DeleteUnsupported { .. } | StoreError::NotFound { .. })) => {
                let listed = self.list_referrers(subject).await?;
                if listed.referrers.iter().any(|descriptor| descriptor.digest == *manifest) {
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
        for _ in 0..self.limits.write_rounds {
            let (list, etag) = match self.marked_blob(tag.as_str(), None).await {
                Ok(current) => current,
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
            };
            // An image under the tag lists nothing, and is not ours to change.
            let shorter = match ReferrerList::read(list.clone(), &self.limits) {
                Ok(Some(_)) => ReferrerList::without_entry(&list, manifest, &self.limits),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            let Some(shorter) = shorter.map_err(|cause| self.manifest_error(cause))? else { return Ok(()) };
            let media_type = HeaderValue::from_str(shorter.media_type().as_str())
                .map_err(|_| self.client.protocol("a media type that fits no header"))?;
            let bytes = shorter.bytes(self.limits.manifest_bytes).map_err(|cause| self.content_error(cause))?;
            let condition = etag.map(|etag| (IF_MATCH, etag));
            let answer = self.put(tag.as_str(), media_type, bytes, condition).await?;
            if answer.status != StatusCode::PRECONDITION_FAILED && !written(answer.status) {
                return Err(self.refusal(answer, &tag).await);
            }
            drop(answer);
            self.wait_a_while().await;
        }
        Err(self.client.unavailable(format!("others keep writing the tag {tag}; {manifest} is still listed")))
    }
}
