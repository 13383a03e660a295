//! Writing blobs, manifests and tags.

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION};
use reqwest::{Method, StatusCode, Url};

use super::auth::Access;
use super::body::Payload;
use super::client::{Answer, Attempts, Call, Repeat, random_below};
use super::referrers::Listed;
use super::{Registry, Store};
use crate::content::{Blob, ContentError};
use crate::digest::Digest;
use crate::oci::{Descriptor, Manifest, new_index};
use crate::reference::Tag;
use crate::store::{Expected, Pushed, StoreError, check_expected};

const OCI_SUBJECT: &str = "oci-subject";
/// Rounds of changing the referrers tag. Each needs somebody else to have changed it in a few milliseconds.
pub(super) const ROUNDS: u32 = 5;
/// Milliseconds up to which a round waits, so that two writers fall out of step.
const ROUND_PAUSE_MILLISECONDS: u64 = 250;

impl Registry {
    pub(super) async fn write_blob(&self, blob: &Blob) -> Result<Pushed, StoreError> {
        let url = self.url(&format!("blobs/{}", blob.digest()))?;
        let mut attempts = Attempts::new(&self.limits);
        loop {
            // Asked for with the scope for writing, so that the upload has its token before its body is on the way.
            let answer = self.send(&Call::new(Method::HEAD, url.clone()), Access::Push, &mut attempts).await?;
            match answer.status {
                StatusCode::OK => return Ok(Pushed::Present),
                StatusCode::NOT_FOUND => {}
                _ => return Err(self.refusal(answer, blob.digest()).await),
            }
            drop(answer);
            match self.upload(blob, &mut attempts).await {
                // What became of the upload is not known, so it starts again from the question whether the blob is there.
                Err(StoreError::Unavailable { place, detail }) => {
                    if !attempts.again(None).await {
                        return Err(StoreError::Unavailable { place, detail });
                    }
                }
                done => return done.map(|()| Pushed::Sent),
            }
        }
    }

    /// One upload in one piece. Source: distribution-spec 1.1, "POST then PUT".
    async fn upload(&self, blob: &Blob, attempts: &mut Attempts) -> Result<(), StoreError> {
        let begin = Call::new(Method::POST, self.url("blobs/uploads/")?);
        let answer = self.send(&begin, Access::Push, attempts).await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(self.refusal(answer, "an upload").await);
        }
        let location = answer.header(LOCATION.as_str());
        let location = location.ok_or_else(|| self.client.protocol("no `Location` for an upload"))?;
        // It may be at another origin; `send` takes no credentials there.
        let url = self.client.resolve(&answer.url, location)?;
        drop(answer);
        let mut call = Call::new(Method::PUT, with_digest(&url, blob.digest()))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        call.payload = match blob.content().in_memory() {
            Some(bytes) => Payload::Bytes(bytes.clone()),
            None => Payload::Content(blob.content().clone()),
        };
        // A session takes its content once; after a lost answer its state is unknown.
        call.repeat = Repeat::WhenRefused;
        let answer = self.send(&call, Access::Push, attempts).await?;
        if answer.status != StatusCode::CREATED {
            return Err(self.refusal(answer, blob.digest()).await);
        }
        self.check_written(&answer, blob.digest())
    }

    /// Compares the digest that the registry says it stored, when it says one that we know.
    fn check_written(&self, answer: &Answer<'_>, expected: &Digest) -> Result<(), StoreError> {
        let said = answer.header("docker-content-digest").and_then(|text| Digest::parse(text).ok());
        match said.filter(|said| said.algorithm() == expected.algorithm() && said != expected) {
            Some(actual) => Err(self.content_error(ContentError::Digest { expected: expected.clone(), actual })),
            None => Ok(()),
        }
    }

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
        let answer = self.put_manifest(manifest, tag.as_str(), condition).await?;
        if answer.status == StatusCode::PRECONDITION_FAILED {
            drop(answer);
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
        let listed = answer.header(OCI_SUBJECT) == Some(subject.digest.to_string().as_str());
        drop(answer);
        if listed {
            return Ok(());
        }
        self.add_to_referrers_tag(&subject.digest, &manifest.referrer_descriptor()).await
    }

    /// Adds an entry to the referrers tag, and looks whether it is still there afterwards.
    ///
    /// Within one process writers wait for each other. Against writers elsewhere a registry that knows `If-Match`
    /// refuses the later one; with others one who writes between our writing and another's reading is noticed, and one
    /// who read before our writing and writes after our looking is not. The specification knows no remedy.
    async fn add_to_referrers_tag(&self, subject: &Digest, entry: &Descriptor) -> Result<(), StoreError> {
        let _alone = self.referrers_tag.lock().await;
        let tag = Tag::of_referrers(subject);
        for _ in 0..ROUNDS {
            let (index, etag) = match self.referrers_tag(&tag).await? {
                Listed::Nothing => (None, None),
                Listed::Index(marked) => (Some(marked.manifest), marked.etag),
                Listed::Image => return Err(StoreError::ReferrersTag { place: self.name(), tag }),
            };
            if index.as_ref().is_some_and(|index| lists(index, &entry.digest)) {
                return Ok(());
            }
            let fresh = new_index(std::slice::from_ref(entry), &std::collections::BTreeMap::new());
            let media_type = index.as_ref().map_or_else(|| fresh.media_type(), |index| index.blob().media_type());
            let media_type = HeaderValue::from_str(media_type.as_str())
                .map_err(|_| self.client.protocol("a media type that fits no header"))?;
            let bytes = match index.as_ref().and_then(|index| Some((index.as_index()?, index.bytes()))) {
                Some((index, text)) => index.with_child(text, entry).into(),
                None => fresh.bytes(self.limits.manifest_bytes).map_err(|cause| self.content_error(cause))?,
            };
            let condition = if index.is_none() { unless_there() } else { etag.map(|etag| (IF_MATCH, etag)) };
            let answer = self.put(tag.as_str(), media_type, bytes, condition).await?;
            if answer.status != StatusCode::PRECONDITION_FAILED {
                if !written(answer.status) {
                    return Err(self.refusal(answer, &tag).await);
                }
                drop(answer);
                if let Listed::Index(marked) = self.referrers_tag(&tag).await?
                    && lists(&marked.manifest, &entry.digest)
                {
                    return Ok(());
                }
            }
            let pause = random_below(ROUND_PAUSE_MILLISECONDS);
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        }
        Err(self.client.unavailable(format!("others keep writing the tag {tag}; {} is not listed", entry.digest)))
    }
}

/// The condition that nobody wrote the tag first. Registries that do not know it ignore it. Source: RFC 9110 §13.1.2.
fn unless_there() -> Option<(HeaderName, HeaderValue)> {
    Some((IF_NONE_MATCH, HeaderValue::from_static("*")))
}

/// Registries answer 201; some of the older ones 200 or 202.
pub(super) fn written(status: StatusCode) -> bool {
    matches!(status, StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED)
}

pub(super) fn lists(index: &Manifest, digest: &Digest) -> bool {
    let children = index.as_index().map(|index| index.children()).unwrap_or_default();
    children.iter().any(|child| child.descriptor.digest == *digest)
}

/// The address of an upload with the digest added; what else is in its query stays as it is, since registries keep
/// signed state there.
fn with_digest(url: &Url, digest: &Digest) -> Url {
    let mut url = url.clone();
    let query = match url.query().filter(|query| !query.is_empty()) {
        Some(query) => format!("{query}&digest={digest}"),
        None => format!("digest={digest}"),
    };
    url.set_query(Some(&query));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_added_to_the_address_and_nothing_else_changes() {
        let digest = Digest::sha256(b"");
        for (location, expected) in [
            ("https://registry.example/u/1", "https://registry.example/u/1?digest="),
            ("https://registry.example/u/1?", "https://registry.example/u/1?digest="),
            ("https://registry.example/u?_state=a%2Fb+c", "https://registry.example/u?_state=a%2Fb+c&digest="),
        ] {
            let url = with_digest(&Url::parse(location).unwrap(), &digest);
            assert_eq!(url.as_str(), format!("{expected}{digest}"));
        }
    }
}
