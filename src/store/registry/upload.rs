//! Uploading blobs: whole, in pieces that can be resumed, or not at all, where another repository has them.
//!
//! Source: distribution-spec 1.1, "Pushing blobs", "Pushing a blob in chunks", "Mounting a blob from another repository".

use std::ops::Range;
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, StatusCode, Url};

use super::Registry;
use super::answer::Answer;
use super::attempts::Attempts;
use super::auth::Access;
use super::body::Payload;
use super::client::{Call, Repeat};
use crate::content::{Blob, ContentError};
use crate::digest::Digest;
use crate::reference::Repository;
use crate::store::{Pushed, StoreError};

const LEAST_PIECE: &str = "oci-chunk-min-length";

/// An upload that the registry began.
pub(super) struct Session {
    url: Url,
    /// Bytes that a piece must have at least, unless it is the last.
    least: u64,
}

/// How a blob is uploaded.
#[derive(Clone, Copy)]
enum Form {
    Whole,
    Pieces,
}

/// Why an upload is not finished.
enum Unfinished {
    /// The registry does not take pieces.
    PiecesRefused,
    /// It broke off: what became of it is not known, so it starts again from the question whether the blob is there.
    Broken(StoreError),
    /// It was asked how far it came, and does not know; an attempt was spent on that already.
    Forgotten,
    /// Trying again would end the same.
    Final(StoreError),
}

impl From<StoreError> for Unfinished {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::Broken(error),
            other => Self::Final(other),
        }
    }
}

/// What became of a wish to mount.
enum Mount {
    Done,
    /// The registry wants the bytes after all, here.
    Upload(Session),
    Refused,
}

impl Registry {
    pub(super) async fn write_blob(&self, blob: &Blob) -> Result<Pushed, StoreError> {
        self.send_blob(blob, None, &mut Attempts::new(&self.limits)).await
    }

    /// Mounts a blob, or uploads it where the registry wants that.
    pub(super) async fn write_blob_from(&self, blob: &Blob, origin: &Repository) -> Result<Pushed, StoreError> {
        let mut attempts = Attempts::new(&self.limits);
        match self.mount(blob.digest(), origin, &mut attempts).await? {
            Mount::Done => Ok(Pushed::Present),
            Mount::Upload(session) => self.send_blob(blob, Some(session), &mut attempts).await,
            Mount::Refused => self.send_blob(blob, None, &mut attempts).await,
        }
    }

    /// Mounts a blob whose bytes are not at hand; whether it is here now.
    pub(super) async fn mount_only(&self, digest: &Digest, origin: &Repository) -> Result<bool, StoreError> {
        let mut attempts = Attempts::new(&self.limits);
        match self.mount(digest, origin, &mut attempts).await? {
            Mount::Done => Ok(true),
            Mount::Refused => Ok(false),
            Mount::Upload(session) => {
                // The registry would keep the upload open for days. Whether it can be cancelled does not matter to us.
                let _ = self.send(&Call::new(Method::DELETE, session.url), Access::Push, &mut attempts).await;
                Ok(false)
            }
        }
    }

    async fn mount(&self, digest: &Digest, origin: &Repository, attempts: &mut Attempts) -> Result<Mount, StoreError> {
        if origin.host() != self.repository.host() || *origin == self.repository {
            return Ok(Mount::Refused);
        }
        let mut url = self.url("blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", origin.path());
        let mut call = Call::new(Method::POST, url);
        call.pull_from = Some(origin.path().to_owned());
        let answer = match self.send(&call, Access::Push, attempts).await {
            Ok(answer) => answer,
            // A realm may refuse a token for both repositories and give one for ours.
            Err(StoreError::Denied { .. }) => return Ok(Mount::Refused),
            Err(error) => return Err(error),
        };
        match answer.status.as_u16() {
            201 => self.check_written(&answer, digest).map(|()| Mount::Done),
            202 => self.session_of(&answer).map(Mount::Upload),
            // Who may not read there, or asks a registry that does not mount, uploads.
            400..=407 | 501 => Ok(Mount::Refused),
            _ => Err(self.refusal(answer, digest).await),
        }
    }

    async fn send_blob(
        &self,
        blob: &Blob,
        mut given: Option<Session>,
        attempts: &mut Attempts,
    ) -> Result<Pushed, StoreError> {
        let large = blob.size() > self.limits.whole_upload_bytes;
        let mut form = if large { Form::Pieces } else { Form::Whole };
        loop {
            let session = match given.take() {
                Some(session) => session,
                None if self.has_blob(blob.digest(), attempts).await? => return Ok(Pushed::Present),
                None => self.begin_upload(attempts).await?,
            };
            let done = match form {
                Form::Whole => self.put_whole(blob, &session, attempts).await,
                Form::Pieces => self.put_pieces(blob, session, attempts).await,
            };
            match done {
                Ok(()) => return Ok(Pushed::Sent),
                Err(Unfinished::PiecesRefused) => form = Form::Whole,
                Err(Unfinished::Forgotten) => {}
                Err(Unfinished::Final(error)) => return Err(error),
                Err(Unfinished::Broken(error)) => {
                    if !attempts.again(None).await {
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn has_blob(&self, digest: &Digest, attempts: &mut Attempts) -> Result<bool, StoreError> {
        let url = self.url(&format!("blobs/{digest}"))?;
        // Asked for with the scope for writing, so that the upload has its token before its body is on the way.
        let answer = self.send(&Call::new(Method::HEAD, url), Access::Push, attempts).await?;
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refusal(answer, digest).await),
        }
    }

    async fn begin_upload(&self, attempts: &mut Attempts) -> Result<Session, StoreError> {
        let begin = Call::new(Method::POST, self.url("blobs/uploads/")?);
        let answer = self.send(&begin, Access::Push, attempts).await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(self.refusal(answer, "an upload").await);
        }
        self.session_of(&answer)
    }

    fn session_of(&self, answer: &Answer<'_>) -> Result<Session, StoreError> {
        let least = answer.header(LEAST_PIECE).and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Session { url: self.location_of(answer)?, least })
    }

    /// Where an upload goes on. It may be at another origin; `send` takes no credentials there.
    fn location_of(&self, answer: &Answer<'_>) -> Result<Url, StoreError> {
        let location = answer.header(LOCATION.as_str());
        let location = location.ok_or_else(|| self.client.protocol("no `Location` for an upload"))?;
        self.client.resolve(&answer.url, location)
    }

    async fn put_whole(&self, blob: &Blob, session: &Session, attempts: &mut Attempts) -> Result<(), Unfinished> {
        let call = self.last_call(&session.url, blob, Payload::of(blob.content()));
        let answer = self.send(&call, Access::Push, attempts).await?;
        if answer.status != StatusCode::CREATED {
            return Err(self.refusal(answer, blob.digest()).await.into());
        }
        Ok(self.check_written(&answer, blob.digest())?)
    }

    async fn put_pieces(&self, blob: &Blob, session: Session, attempts: &mut Attempts) -> Result<(), Unfinished> {
        let piece = self.limits.piece_bytes.max(session.least).max(1);
        let (mut url, mut offset, mut resumed) = (session.url, 0, false);
        while offset < blob.size() {
            let range = offset..blob.size().min(offset.saturating_add(piece));
            let end = range.end;
            (url, offset) = match self.put_piece(blob, &url, range, attempts).await? {
                // One that takes a byte of each piece would have us send the blob a million times.
                Some((_, next)) if next < end && !attempts.again(None).await => {
                    let detail = format!("the registry takes only a part of each piece of {}", blob.digest());
                    return Err(Unfinished::Final(self.client.unavailable(detail)));
                }
                Some(next) => next,
                None => {
                    resumed = true;
                    self.ask_progress(&url, blob, attempts).await?
                }
            };
            attempts.progress(offset, self.limits.piece_bytes);
        }
        let call = self.last_call(&url, blob, Payload::Bytes(bytes::Bytes::new()));
        let answer = self.send(&call, Access::Push, attempts).await?;
        match answer.status.as_u16() {
            201 => Ok(self.check_written(&answer, blob.digest())?),
            // The pieces do not make up the blob. Where one was sent twice, the registry may have kept it twice.
            400 | 404 | 416 if resumed => Err(Unfinished::Broken(self.refusal(answer, blob.digest()).await)),
            _ => Err(self.refusal(answer, blob.digest()).await.into()),
        }
    }

    /// The request that ends an upload. The registry digests all that came and moves it before it answers.
    fn last_call(&self, url: &Url, blob: &Blob, payload: Payload) -> Call {
        let mut call = upload_call(Method::PUT, with_digest(url, blob.digest()), payload);
        call.patience = Some(Duration::from_secs(self.limits.commit_seconds));
        call
    }

    /// Sends one piece. Gives where and at which byte to go on; `None` when that is not known.
    async fn put_piece(
        &self,
        blob: &Blob,
        url: &Url,
        range: Range<u64>,
        attempts: &mut Attempts,
    ) -> Result<Option<(Url, u64)>, Unfinished> {
        let mut call = upload_call(Method::PATCH, url.clone(), Payload::of(&blob.content().slice(range.clone())));
        // Not the form that HTTP has elsewhere: no unit, and the last byte included.
        let said = format!("{}-{}", range.start, range.end.saturating_sub(1));
        let said = HeaderValue::from_str(&said).map_err(|_| self.client.protocol("a range that fits no header"))?;
        call.headers.insert(CONTENT_RANGE, said);
        let answer = match self.send(&call, Access::Push, attempts).await {
            Ok(answer) => answer,
            Err(StoreError::Unavailable { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match answer.status.as_u16() {
            202 => {
                let url = self.location_of(&answer)?;
                let taken = answer.header(RANGE.as_str()).and_then(next_byte);
                // What cannot be is read past: the digest of the whole decides in the end.
                let next = taken.filter(|next| range.contains(&next.saturating_sub(1))).unwrap_or(range.end);
                Ok(Some((url, next)))
            }
            408 | 416 | 500 | 502..=599 => Ok(None),
            400 | 404 | 405 | 411 | 413 | 415 | 501 if range.start == 0 => Err(Unfinished::PiecesRefused),
            404 => Err(Unfinished::Broken(self.client.unavailable("the registry forgot an upload"))),
            _ => Err(self.refusal(answer, blob.digest()).await.into()),
        }
    }

    /// Asks how far an upload came.
    async fn ask_progress(&self, url: &Url, blob: &Blob, attempts: &mut Attempts) -> Result<(Url, u64), Unfinished> {
        if !attempts.again(None).await {
            let detail = format!("the upload of {} broke off", blob.digest());
            return Err(Unfinished::Final(self.client.unavailable(detail)));
        }
        let answer = self.send(&Call::new(Method::GET, url.clone()), Access::Push, attempts).await?;
        // Registries say `0-0` of one byte and of none; no piece of ours has one byte.
        let said = answer.header(RANGE.as_str()).filter(|_| answer.status.is_success());
        let next = said.and_then(next_byte).map(|next| if next == 1 { 0 } else { next });
        let Some(next) = next.filter(|next| *next <= blob.size()) else { return Err(Unfinished::Forgotten) };
        let url = if answer.headers.contains_key(LOCATION) { self.location_of(&answer)? } else { url.clone() };
        Ok((url, next))
    }

    /// Compares the digest that the registry says it stored, when it says one that we know.
    pub(super) fn check_written(&self, answer: &Answer<'_>, expected: &Digest) -> Result<(), StoreError> {
        let said = answer.header("docker-content-digest").and_then(|text| Digest::parse(text).ok());
        match said.filter(|said| said.algorithm() == expected.algorithm() && said != expected) {
            Some(actual) => Err(self.content_error(ContentError::Digest { expected: expected.clone(), actual })),
            None => Ok(()),
        }
    }
}

/// A request that carries content. A session takes it once; after a lost answer its state is unknown.
fn upload_call(method: Method, url: Url, payload: Payload) -> Call {
    let octets = HeaderValue::from_static("application/octet-stream");
    let mut call = Call::new(method, url).header(CONTENT_TYPE, octets);
    (call.payload, call.repeat) = (payload, Repeat::WhenRefused);
    call
}

/// The byte after those that `Range: 0-N` names. Some registries put a unit before it.
fn next_byte(range: &str) -> Option<u64> {
    let (_, last) = range.trim().trim_start_matches("bytes=").split_once('-')?;
    last.trim().parse::<u64>().ok()?.checked_add(1)
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

    #[test]
    fn the_next_byte_is_read_with_and_without_a_unit() {
        for (text, expected) in [
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("5-9", Some(10)),
            ("0-", None),
            ("9", None),
            ("0-18446744073709551615", None),
        ] {
            assert_eq!(next_byte(text), expected, "{text}");
        }
    }
}
