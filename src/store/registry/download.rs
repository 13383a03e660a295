//! Downloading blobs: spooled, digested on the way, and continued where a connection broke off.
//!
//! Source: distribution-spec 1.1, "Pulling blobs"; RFC 9110 §14 (ranges) and §13.1.5 (`If-Range`).

use reqwest::header::{CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Method, StatusCode, Url};

use super::answer::Answer;
use super::attempts::Attempts;
use super::auth::Access;
use super::client::Call;
use super::{Registry, Store};
use crate::content::{Blob, ContentError};
use crate::limits::Limits;
use crate::oci::Descriptor;
use crate::store::{Spooler, StoreError, check_size};

/// What came of a blob so far.
struct Partial {
    spooler: Spooler,
    /// The mark of the answer that began it, when it is one that `If-Range` takes.
    etag: Option<HeaderValue>,
    /// Whether it is glued from several answers.
    resumed: bool,
}

impl Partial {
    fn new(descriptor: &Descriptor, limits: &Limits) -> Self {
        Self { spooler: Spooler::new(descriptor.digest.algorithm(), limits), etag: None, resumed: false }
    }

    /// A request for what is missing; for everything, while there is nothing.
    fn call(&self, url: &Url) -> Call {
        let call = Call::new(Method::GET, url.clone());
        let range = HeaderValue::from_str(&format!("bytes={}-", self.spooler.length())).ok();
        let Some(range) = range.filter(|_| self.spooler.length() > 0) else { return call };
        let call = call.header(RANGE, range);
        match &self.etag {
            Some(etag) => call.header(IF_RANGE, etag.clone()),
            None => call,
        }
    }

    /// Whether an answer goes on where this ends, in a blob of the right size.
    fn is_continued_by(&self, answer: &Answer<'_>, size: u64) -> bool {
        let said = answer.header(CONTENT_RANGE.as_str()).and_then(read_content_range);
        said.is_some_and(|(first, last, whole)| {
            first == self.spooler.length() && last >= first && last < size && whole.is_none_or(|whole| whole == size)
        })
    }
}

/// How the reading of one answer ended, when nothing is wrong with the blob itself.
enum Taken {
    /// With its end.
    Whole,
    /// Before it.
    Broken(String),
}

impl Registry {
    pub(super) async fn read_blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Blob, StoreError> {
        check_size(&self.name(), descriptor, limit)?;
        let url = self.url(&format!("blobs/{}", descriptor.digest))?;
        let mut attempts = Attempts::new(&self.limits);
        let mut partial = Partial::new(descriptor, &self.limits);
        loop {
            let asked = partial.spooler.length() > 0;
            let answer = self.send(&partial.call(&url), Access::Pull, &mut attempts).await?;
            match answer.status {
                StatusCode::OK => {
                    partial = Partial::new(descriptor, &self.limits);
                    partial.etag = answer.headers.get(ETAG).filter(|etag| is_strong(etag)).cloned();
                }
                StatusCode::PARTIAL_CONTENT if asked && partial.is_continued_by(&answer, descriptor.size) => {
                    partial.resumed = true;
                }
                // It does not do ranges well.
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if asked => {
                    let refusal = self.refusal(answer, &descriptor.digest).await;
                    partial = self.anew(descriptor, &mut attempts, refusal).await?;
                    continue;
                }
                _ => return Err(self.refusal(answer, &descriptor.digest).await),
            }
            match self.take(answer, descriptor, &mut partial).await? {
                Taken::Whole => {
                    let (content, computed) = partial.spooler.finish();
                    let (media_type, digest) = (&descriptor.media_type, &descriptor.digest);
                    let blob = Blob::assert_digested(media_type, digest, descriptor.size, content, computed);
                    match blob.map_err(|cause| self.content_error(cause)) {
                        // Two answers may have been of different bytes; one answer has to be right by itself.
                        Err(error) if partial.resumed => {
                            partial = self.anew(descriptor, &mut attempts, error).await?;
                        }
                        done => return done,
                    }
                }
                Taken::Broken(detail) => {
                    attempts.progress(partial.spooler.length(), self.limits.piece_bytes);
                    if !attempts.again(None).await {
                        return Err(self.client.unavailable(format!("{}: {detail}", descriptor.digest)));
                    }
                }
            }
        }
    }

    /// Throws away what came so far, if there is another attempt.
    async fn anew(
        &self,
        descriptor: &Descriptor,
        attempts: &mut Attempts,
        error: StoreError,
    ) -> Result<Partial, StoreError> {
        if attempts.again(None).await { Ok(Partial::new(descriptor, &self.limits)) } else { Err(error) }
    }

    /// Takes a body while it is not longer than promised.
    ///
    /// A chunk goes to the temporary file on this thread: that is a copy into the page cache, shorter than handing it
    /// to another thread.
    async fn take(
        &self,
        mut answer: Answer<'_>,
        descriptor: &Descriptor,
        partial: &mut Partial,
    ) -> Result<Taken, StoreError> {
        let wrong_size = |actual| {
            let (digest, expected) = (descriptor.digest.clone(), descriptor.size);
            self.content_error(ContentError::Size { digest, expected, actual })
        };
        let whole = answer.status == StatusCode::OK;
        if let Some(length) = answer.length().filter(|length| whole && *length != descriptor.size) {
            return Err(wrong_size(length));
        }
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => {
                    let write = partial.spooler.write(&chunk);
                    write.map_err(|cause| StoreError::Io {
                        action: "writing",
                        path: "a temporary file".into(),
                        cause,
                    })?;
                    if partial.spooler.length() > descriptor.size {
                        return Err(wrong_size(partial.spooler.length()));
                    }
                }
                // A registry may give less than the rest, and then give more when asked again.
                Ok(None) if !whole && partial.spooler.length() < descriptor.size => {
                    return Ok(Taken::Broken("only a part of it came".to_owned()));
                }
                Ok(None) => return Ok(Taken::Whole),
                Err(detail) => return Ok(Taken::Broken(detail)),
            }
        }
    }
}

/// `If-Range` takes strong marks only: weak ones allow for other bytes.
fn is_strong(etag: &HeaderValue) -> bool {
    etag.as_bytes().starts_with(b"\"")
}

/// `bytes FIRST-LAST/WHOLE`, where `WHOLE` may be `*`.
fn read_content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, whole) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let whole = if whole == "*" { None } else { Some(whole.parse().ok()?) };
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read() {
        assert_eq!(read_content_range("bytes 5-9/10"), Some((5, 9, Some(10))));
        assert_eq!(read_content_range("bytes 5-9/*"), Some((5, 9, None)));
        for text in ["", "bytes */10", "5-9/10", "bytes 5-9", "bytes a-9/10", "bytes 5-9/x"] {
            assert_eq!(read_content_range(text), None, "{text}");
        }
    }

    #[test]
    fn a_weak_mark_is_no_condition_for_going_on() {
        assert!(is_strong(&HeaderValue::from_static("\"a\"")) && !is_strong(&HeaderValue::from_static("W/\"a\"")));
    }
}
