//! One answer: status and headers, and a body that is read within bounds of size and time.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout};

use super::attempts::retry_after;
use super::error::{ERROR_BODY_BYTES, explain};
use crate::limits::Limits;

/// What came back: status and headers; the body is still to be read.
pub(super) struct Answer<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The address that answered, after redirects.
    pub(super) url: Url,
    /// Whether another origin answered than was asked. Its challenges are not ours to answer.
    pub(super) crossed: bool,
    response: reqwest::Response,
    idle: Duration,
    pace: Pace,
    /// Given back when the body was read or dropped.
    slot: Option<SemaphorePermit<'a>>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(response: reqwest::Response, url: Url, limits: &Limits) -> Self {
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            url,
            crossed: false,
            response,
            idle: Duration::from_secs(limits.idle_seconds),
            pace: Pace::new(limits),
            slot: None,
        }
    }

    /// Keeps a place among the requests in flight until the body was read or dropped.
    pub(super) fn hold(&mut self, slot: Option<SemaphorePermit<'a>>) {
        self.slot = slot;
    }

    /// The next piece of the body.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        let asked = Instant::now();
        match timeout(self.idle, self.response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                self.pace.check(asked.elapsed(), chunk.len())?;
                Ok(Some(chunk))
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => Err(explain(&error.without_url())),
            Err(_) => Err(format!("no data for {} s", self.idle.as_secs())),
        }
    }

    /// The body; `None` when it is longer than `limit` bytes, of which no more are read.
    pub(super) async fn body(&mut self, limit: u64) -> Result<Option<Bytes>, String> {
        if self.length().is_some_and(|length| length > limit) {
            return Ok(None);
        }
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
            if u64::try_from(body.len()).unwrap_or(u64::MAX) > limit {
                return Ok(None);
            }
        }
        Ok(Some(body.into()))
    }

    /// Reads the rest of a short body that nobody wants, so that the connection can be used again.
    pub(super) async fn drain(&mut self) {
        let _ = self.body(ERROR_BODY_BYTES).await;
    }

    /// `Content-Length`.
    pub(super) fn length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH.as_str())?.parse().ok()
    }

    /// A header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    /// The pause that the registry asks for.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        retry_after(self.header(RETRY_AFTER.as_str())?, jiff::Timestamp::now())
    }
}

/// Whether a body comes fast enough. One that drips holds a connection for ever without ever being idle.
///
/// Counted is only the time in which we waited for it, and only in full windows of the idle time.
struct Pace {
    window: Duration,
    slowest: u64,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn new(limits: &Limits) -> Self {
        let window = Duration::from_secs(limits.idle_seconds);
        let slowest = limits.slowest_bytes_per_second.saturating_mul(limits.idle_seconds);
        Self { window, slowest, waited: Duration::ZERO, bytes: 0 }
    }

    fn check(&mut self, waited: Duration, bytes: usize) -> Result<(), String> {
        self.waited += waited;
        self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.waited < self.window {
            return Ok(());
        }
        if self.bytes < self.slowest {
            return Err(format!("only {} bytes came in {} s", self.bytes, self.window.as_secs()));
        }
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_drips_is_given_up_and_a_slow_one_is_not() {
        let limits = Limits { idle_seconds: 10, slowest_bytes_per_second: 100, ..Limits::default() };
        let mut slow = Pace::new(&limits);
        for _ in 0..100 {
            slow.check(Duration::from_secs(1), 100).unwrap();
        }
        let mut drip = Pace::new(&limits);
        for _ in 0..9 {
            drip.check(Duration::from_secs(1), 99).unwrap();
        }
        assert_eq!(drip.check(Duration::from_secs(1), 99), Err("only 990 bytes came in 10 s".to_owned()));
    }
}
