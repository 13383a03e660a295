//! Reading manifests, blobs and tags.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderValue, LINK};
use reqwest::{Method, StatusCode, Url};

use super::answer::Answer;
use super::attempts::Attempts;
use super::auth::Access;
use super::client::Call;
use super::{Registry, Store};
use crate::content::{Blob, Content, ContentError};
use crate::digest::Digest;
use crate::media_type::MediaType;
use crate::oci::{Descriptor, Manifest, ManifestError};
use crate::reference::{Selector, Tag};
use crate::store::{StoreError, check_size};

const ACCEPT_MANIFESTS: &str = concat!(
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, ",
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"
);
const DIGEST_HEADER: &str = "docker-content-digest";

/// What a tag names, and the mark by which a change of it shows.
pub(super) struct Head {
    pub(super) digest: Digest,
    pub(super) etag: Option<HeaderValue>,
}

/// A manifest and the mark of the answer that it came in.
pub(super) struct Marked {
    pub(super) manifest: Manifest,
    pub(super) etag: Option<HeaderValue>,
}

/// A body and what the headers say about it.
pub(super) struct Document {
    pub(super) body: Bytes,
    pub(super) media_type: Option<MediaType>,
    pub(super) etag: Option<HeaderValue>,
    pub(super) link: Option<String>,
    pub(super) url: Url,
    digest: Option<Digest>,
}

/// The digest header, when it has an algorithm that we know.
fn digest_header(answer: &Answer<'_>) -> Option<Digest> {
    Digest::parse(answer.header(DIGEST_HEADER)?).ok()
}

/// `Content-Type` without parameters; `None` where it says nothing.
fn media_type(answer: &Answer<'_>) -> Option<MediaType> {
    let text = answer.header(CONTENT_TYPE.as_str())?;
    let text = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // What servers say that do not know better: object storage, and registries of single files.
    let known = !matches!(text.as_str(), "" | "application/json" | "text/plain" | "application/octet-stream");
    known.then(|| MediaType::new(text))
}

/// A request for a manifest or index of any kind that is read here.
pub(super) fn manifest_call(url: Url) -> Call {
    Call::new(Method::GET, url).header(ACCEPT, HeaderValue::from_static(ACCEPT_MANIFESTS))
}

/// What a body says that it is, by name or by shape. Only a choice of what to check it as.
pub(super) fn own_media_type(body: &[u8]) -> Option<MediaType> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        media_type: Option<MediaType>,
        manifests: Option<serde::de::IgnoredAny>,
        config: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
    }
    let shape: Shape = serde_json::from_slice(body).ok()?;
    let by_shape = || match shape.manifests {
        Some(_) => Some(MediaType::OCI_INDEX),
        None => (shape.config.is_some() || shape.layers.is_some()).then_some(MediaType::OCI_MANIFEST),
    };
    shape.media_type.or_else(by_shape)
}

impl Registry {
    pub(super) async fn read_manifest(&self, selector: &Selector) -> Result<Manifest, StoreError> {
        let reference = match (&selector.digest, &selector.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_string(),
            (None, None) => "latest".to_owned(),
        };
        let marked = self.marked_manifest(&reference, selector.digest.as_ref()).await?;
        Ok(marked.manifest)
    }

    /// Reads a manifest by tag or digest.
    pub(super) async fn marked_manifest(
        &self,
        reference: &str,
        expected: Option<&Digest>,
    ) -> Result<Marked, StoreError> {
        let (blob, etag) = self.marked_blob(reference, expected).await?;
        let manifest = Manifest::read(blob, &self.limits).map_err(|cause| self.manifest_error(cause))?;
        Ok(Marked { manifest, etag })
    }

    /// Reads the bytes of a manifest, checked against its digest, without looking into them.
    pub(super) async fn marked_blob(
        &self,
        reference: &str,
        expected: Option<&Digest>,
    ) -> Result<(Blob, Option<HeaderValue>), StoreError> {
        let document = self.document(&format!("manifests/{reference}"), reference, self.limits.manifest_bytes).await?;
        // Bytes by digest must have it. Bytes by tag are what the registry says: then its two statements must agree.
        let digest = match expected.or(document.digest.as_ref()) {
            Some(digest) => digest.clone(),
            None => Digest::sha256(&document.body),
        };
        let media_type = document.media_type.or_else(|| own_media_type(&document.body));
        let media_type = media_type.unwrap_or(MediaType::OCI_MANIFEST);
        Ok((self.check_bytes(media_type, digest, None, document.body)?, document.etag))
    }

    pub(super) async fn read_manifest_at(&self, descriptor: &Descriptor) -> Result<Manifest, StoreError> {
        let (limits, digest) = (&self.limits, &descriptor.digest);
        check_size(&self.name(), descriptor, limits.manifest_bytes)?;
        let path = format!("manifests/{digest}");
        let document = self.document(&path, &digest.to_string(), limits.manifest_bytes).await?;
        if let Some(actual) = document.media_type.filter(|actual| *actual != descriptor.media_type) {
            let (digest, expected) = (digest.clone(), descriptor.media_type.clone());
            return Err(self.manifest_error(ManifestError::MediaType { digest, expected, actual }));
        }
        let media_type = descriptor.media_type.clone();
        let blob = self.check_bytes(media_type, digest.clone(), Some(descriptor.size), document.body)?;
        Manifest::read(blob, limits).map_err(|cause| self.manifest_error(cause))
    }

    fn check_bytes(
        &self,
        media_type: MediaType,
        digest: Digest,
        size: Option<u64>,
        body: Bytes,
    ) -> Result<Blob, StoreError> {
        let content = Content::from(body);
        let size = size.unwrap_or_else(|| content.length());
        Blob::check(media_type, digest, size, content).map_err(|cause| self.content_error(cause))
    }

    /// Reads a document of at most `limit` bytes; everything but 200 is an error.
    pub(super) async fn document(&self, path: &str, what: &str, limit: u64) -> Result<Document, StoreError> {
        match self.try_document(&manifest_call(self.url(path)?), limit).await? {
            Ok(document) => Ok(document),
            Err(answer) => Err(self.refusal(answer, what).await),
        }
    }

    /// Reads a document of at most `limit` bytes; gives back every answer but 200.
    pub(super) async fn try_document(
        &self,
        call: &Call,
        limit: u64,
    ) -> Result<Result<Document, Answer<'_>>, StoreError> {
        let mut attempts = Attempts::new(&self.limits);
        loop {
            let mut answer = self.send(call, Access::Pull, &mut attempts).await?;
            if answer.status != StatusCode::OK {
                return Ok(Err(answer));
            }
            match answer.body(limit).await {
                Ok(Some(body)) => {
                    let link = answer.headers.get_all(LINK).iter().filter_map(|link| link.to_str().ok());
                    let link: Vec<&str> = link.collect();
                    return Ok(Ok(Document {
                        body,
                        media_type: media_type(&answer),
                        etag: answer.headers.get(ETAG).cloned(),
                        link: (!link.is_empty()).then(|| link.join(", ")),
                        url: answer.url.clone(),
                        digest: digest_header(&answer),
                    }));
                }
                Ok(None) => return Err(self.too_large(&answer, limit)),
                Err(detail) => {
                    drop(answer);
                    if !attempts.again(None).await {
                        return Err(self.client.unavailable(detail));
                    }
                }
            }
        }
    }

    fn too_large(&self, answer: &Answer<'_>, limit: u64) -> StoreError {
        match digest_header(answer) {
            Some(digest) => self.content_error(ContentError::TooLarge { digest, limit }),
            None => self.client.protocol(format!("more than {limit} bytes where a manifest or list should be")),
        }
    }

    /// Asks what a tag names. `None` when there is no such tag.
    ///
    /// The digest is the registry's word; where it gives none, the manifest is read and digested.
    pub(super) async fn head_tag(&self, tag: &Tag, access: Access) -> Result<Option<Head>, StoreError> {
        let url = self.url(&format!("manifests/{tag}"))?;
        let call = Call::new(Method::HEAD, url).header(ACCEPT, HeaderValue::from_static(ACCEPT_MANIFESTS));
        let answer = self.send(&call, access, &mut Attempts::new(&self.limits)).await?;
        match (answer.status, digest_header(&answer)) {
            (StatusCode::OK, Some(digest)) => Ok(Some(Head { digest, etag: answer.headers.get(ETAG).cloned() })),
            (StatusCode::OK, None) => {
                drop(answer);
                let marked = self.marked_manifest(tag.as_str(), None).await?;
                Ok(Some(Head { digest: marked.manifest.digest().clone(), etag: marked.etag }))
            }
            (StatusCode::NOT_FOUND, _) => Ok(None),
            _ => Err(self.refusal(answer, tag).await),
        }
    }

    pub(super) async fn list_tags(&self) -> Result<Vec<Tag>, StoreError> {
        #[derive(serde::Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut pages = Pages::new(self.url("tags/list")?);
        while let Some(url) = pages.next(self)? {
            let document = match self.try_document(&Call::new(Method::GET, url), self.limits.manifest_bytes).await? {
                Ok(document) => document,
                Err(answer) => return Err(self.refusal(answer, "list of tags").await),
            };
            let page = serde_json::from_slice::<Page>(&document.body);
            let page = page.map_err(|_| self.client.protocol("a list of tags that is none"))?;
            for text in page.tags.unwrap_or_default() {
                let tag = Tag::parse(&text).map_err(|_| self.client.protocol("a list with a tag that is none"))?;
                if tags.len() >= self.limits.tags {
                    return Err(self.client.protocol(format!("more than {} tags", self.limits.tags)));
                }
                tags.push(tag);
            }
            pages.turn(self, &document)?;
        }
        Ok(tags)
    }
}

/// The pages of a listing, each named by the `Link` of the one before.
///
/// Source: distribution-spec 1.1, "Listing Tags"; RFC 8288.
pub(super) struct Pages {
    next: Option<Url>,
    seen: Vec<Url>,
}

impl Pages {
    pub(super) const fn new(first: Url) -> Self {
        Self { next: Some(first), seen: Vec::new() }
    }

    /// The address of the next page.
    pub(super) fn next(&mut self, registry: &Registry) -> Result<Option<Url>, StoreError> {
        let Some(url) = self.next.take() else { return Ok(None) };
        if self.seen.len() >= registry.limits.pages {
            return Err(registry.client.protocol(format!("a listing of more than {} pages", registry.limits.pages)));
        }
        if self.seen.contains(&url) {
            return Err(registry.client.protocol("a listing whose pages go in circles"));
        }
        self.seen.push(url.clone());
        Ok(Some(url))
    }

    /// Reads where the next page is. A listing that goes on at another origin is refused, since a shortened one would
    /// hide evidence, and a followed one would let a third party write it.
    pub(super) fn turn(&mut self, registry: &Registry, page: &Document) -> Result<(), StoreError> {
        let Some(target) = page.link.as_deref().and_then(next_link) else { return Ok(()) };
        let url = registry.client.resolve(&page.url, target)?;
        if url.origin() != registry.base.origin() {
            return Err(registry.client.protocol("a listing that goes on at another origin"));
        }
        self.next = Some(url);
        Ok(())
    }
}

/// The target of `rel="next"` in a `Link` header.
fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, parameters) = after.split_once('>')?;
        let end = parameters.find('<').unwrap_or(parameters.len());
        let (own, others) = parameters.split_at(end);
        let is_next = |parameter: &str| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            let value = value.trim().trim_end_matches(',').trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel") && value.split(' ').any(|one| one.eq_ignore_ascii_case("next"))
        };
        if own.split(';').any(is_next) {
            return Some(target);
        }
        rest = others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        for (header, expected) in [
            ("</v2/a/tags/list?last=b&n=2>; rel=\"next\"", Some("/v2/a/tags/list?last=b&n=2")),
            ("<x>; rel=prev, <y>;title=\"z\"; REL=Next", Some("y")),
            ("<x>; rel=\"last next\"", Some("x")),
            ("<x>; rel=\"nextish\"", None),
            ("<x", None),
            ("", None),
        ] {
            assert_eq!(next_link(header), expected, "{header}");
        }
    }

    #[test]
    fn a_body_without_a_type_is_known_by_its_shape() {
        assert_eq!(own_media_type(b"{\"manifests\":[]}"), Some(MediaType::OCI_INDEX));
        assert_eq!(own_media_type(b"{\"layers\":[]}"), Some(MediaType::OCI_MANIFEST));
        assert_eq!(own_media_type(b"{\"mediaType\":\"a/b\",\"layers\":[]}"), Some(MediaType::new("a/b")));
        assert_eq!((own_media_type(b"{}"), own_media_type(b"<html>")), (None, None));
    }
}
