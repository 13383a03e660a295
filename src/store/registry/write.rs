//! Writing manifests and tags.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};

use super::answer::Answer;
use super::attempts::Attempts;
use super::auth::Access;
use super::body::Payload;
use super::client::Call;
use super::{Registry, Store};
use crate::digest::Digest;
use crate::oci::Manifest;
use crate::reference::Tag;
use crate::store::{Expected, Pushed, StoreError, check_expected};

const OCI_SUBJECT: &str = "oci-subject";

impl Registry {
    pub(super) async fn write_manifest(&self, manifest: &Manifest) -> Result<Pushed, StoreError> {
        let reference = manifest.digest().to_string();
        let answer = self.put_manifest(manifest, &reference, None).await?;
        if !written(answer.status) {
            return Err(self.refusal_of_manifest(answer, manifest).await);
        }
        self.after_manifest(answer, manifest).await?;
        Ok(Pushed::Sent)
    }

    pub(super) async fn write_tag(
        &self,
        manifest: &Manifest,
        tag: &Tag,
        expected: &Expected,
    ) -> Result<(), StoreError> {
        let head = match expected {
            Expected::Any => None,
            Expected::Absent | Expected::Digest(_) => self.head_tag(tag, Access::Push).await?,
        };
        check_expected(&self.name(), tag, expected, head.as_ref().map(|head| &head.digest))?;
        let condition = match (expected, head) {
            (Expected::Any, _) => None,
            (_, None) => unless_there(),
            (_, Some(head)) => head.etag.map(|etag| (IF_MATCH, etag)),
        };
        let conditional = condition.as_ref().is_some_and(|(name, _)| *name == IF_MATCH);
        let answer = self.put_manifest(manifest, tag.as_str(), condition).await?;
        if answer.status == StatusCode::PRECONDITION_FAILED {
            drop(answer);
            self.refuses_overtaking.fetch_or(conditional, Ordering::Relaxed);
            return self.check_overtaken(manifest, tag).await;
        }
        if !written(answer.status) {
            return Err(self.refusal_of_manifest(answer, manifest).await);
        }
        self.after_manifest(answer, manifest).await
    }

    /// After "precondition failed": our own first attempt, whose answer was lost, or somebody else.
    async fn check_overtaken(&self, manifest: &Manifest, tag: &Tag) -> Result<(), StoreError> {
        let actual = self.head_tag(tag, Access::Push).await?.map(|head| head.digest);
        let ours = Expected::Digest(manifest.digest().clone());
        check_expected(&self.name(), tag, &ours, actual.as_ref())
    }

    async fn put_manifest(
        &self,
        manifest: &Manifest,
        reference: &str,
        condition: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Answer<'_>, StoreError> {
        let media_type = HeaderValue::from_str(manifest.blob().media_type().as_str());
        let media_type = media_type.map_err(|_| self.client.protocol("a media type that fits no header"))?;
        self.put(reference, media_type, manifest.bytes().clone(), condition).await
    }

    pub(super) async fn put(
        &self,
        reference: &str,
        media_type: HeaderValue,
        bytes: Bytes,
        condition: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Answer<'_>, StoreError> {
        let url = self.url(&format!("manifests/{reference}"))?;
        let mut call = Call::new(Method::PUT, url).header(CONTENT_TYPE, media_type);
        if let Some((name, value)) = condition {
            call = call.header(name, value);
        }
        call.payload = Payload::Bytes(bytes);
        self.send(&call, Access::Push, &mut Attempts::new(&self.limits)).await
    }

    async fn refusal_of_manifest(&self, answer: Answer<'_>, manifest: &Manifest) -> StoreError {
        // A registry that misses what the manifest names says 404 too; the manifest itself it cannot miss.
        match answer.status {
            StatusCode::NOT_FOUND => self.refusal(answer, format!("all that {} names", manifest.digest())).await,
            _ => self.refusal(answer, manifest.digest()).await,
        }
    }

    /// Checks the answer to a written manifest, and lists the manifest where the registry did not.
    ///
    /// Source: distribution-spec 1.1, "Pushing Manifests with Subject": the header `OCI-Subject` says that it did.
    async fn after_manifest(&self, answer: Answer<'_>, manifest: &Manifest) -> Result<(), StoreError> {
        self.check_written(&answer, manifest.digest())?;
        let Some(subject) = manifest.subject() else { return Ok(()) };
        let said = answer.header(OCI_SUBJECT) == Some(subject.digest.to_string().as_str());
        drop(answer);
        if said && self.lists_by_itself(&subject.digest, manifest.digest()).await? {
            return Ok(());
        }
        self.add_to_referrers_tag(&subject.digest, &manifest.referrer_descriptor()).await
    }

    /// Whether a registry that said `OCI-Subject` lists what was written.
    ///
    /// Some said it before they had the API, and then nobody finds the evidence. So the first time the list is looked at;
    /// a registry that listed once what it said that it would is believed from then on.
    async fn lists_by_itself(&self, subject: &Digest, written: &Digest) -> Result<bool, StoreError> {
        if self.keeps_its_word.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let listed = self.referrers_api(subject).await?.unwrap_or_default();
        let kept = listed.referrers.iter().any(|entry| entry.digest == *written);
        self.keeps_its_word.fetch_or(kept, Ordering::Relaxed);
        Ok(kept)
    }
}

/// The condition that nobody wrote the tag first. Registries that do not know it ignore it. Source: RFC 9110 §13.1.2.
pub(super) fn unless_there() -> Option<(HeaderName, HeaderValue)> {
    Some((IF_NONE_MATCH, HeaderValue::from_static("*")))
}

/// Registries answer 201; some of the older ones 200 or 202.
pub(super) fn written(status: StatusCode) -> bool {
    matches!(status, StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED)
}
