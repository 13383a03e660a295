//! One HTTP request: where it may go, how long it may take, how often it is tried.
//!
//! Redirects are followed here and not by the HTTP library, since three rules hold at every hop: `Authorization` stays
//! with the origin it was made for, https never turns into http, and plain HTTP goes to named hosts only.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, Url, redirect};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::RegistryOptions;
use super::answer::Answer;
use super::attempts::Attempts;
use super::body::{Payload, streamed};
use super::error::{display_url, explain};
use super::secrets::Secrets;
use crate::limits::Limits;
use crate::store::StoreError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Storage behind a registry is one hop away, mirrors add another; the rest is a loop.
const REDIRECTS: usize = 5;

/// How a request may be tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Doing it twice is the same as once.
    Safe,
    /// Only when the registry said that it did nothing (429).
    WhenRefused,
}

/// A request as it is to be made.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    pub(super) repeat: Repeat,
    /// Another repository of the registry that the request reads from.
    pub(super) pull_from: Option<String>,
    /// How long the answer may take once all is sent, where that is longer than a connection may be idle.
    pub(super) patience: Option<Duration>,
}

impl Call {
    pub(super) fn new(method: Method, url: Url) -> Self {
        let (headers, payload) = (HeaderMap::new(), Payload::Empty);
        Self { method, url, headers, payload, repeat: Repeat::Safe, pull_from: None, patience: None }
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// Makes requests for one registry. The HTTP clients are built when first needed.
pub(super) struct Client {
    place: String,
    own: Url,
    plain: OnceLock<reqwest::Client>,
    /// By host, where a host has certificates of its own; the others share one without name.
    secure: Mutex<BTreeMap<String, reqwest::Client>>,
    options: RegistryOptions,
    limits: Limits,
    slots: Semaphore,
    secrets: Secrets,
}

/// Statuses that may be gone at the next attempt.
fn may_pass(status: StatusCode, repeat: Repeat) -> bool {
    match status.as_u16() {
        429 => true,
        408 | 500 | 502 | 503 | 504 => repeat == Repeat::Safe,
        _ => false,
    }
}

/// `localhost`, 127.0.0.0/8 or `::1`. What such names resolve to never leaves the machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Client {
    /// Prepares requests to the registry at `own`, an https address.
    pub(super) fn new(place: String, own: &Url, options: RegistryOptions) -> Self {
        Self {
            place,
            own: own.clone(),
            plain: OnceLock::new(),
            secure: Mutex::default(),
            limits: options.limits.clone(),
            slots: Semaphore::new(options.limits.concurrent_requests.max(1)),
            secrets: Secrets::default(),
            options,
        }
    }

    /// Whether plain HTTP may be spoken with the host of `url`.
    pub(super) fn may_be_plain(&self, url: &Url) -> bool {
        is_loopback(url) || self.is_named_insecure(url)
    }

    fn is_named_insecure(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or(80));
        let named = |name: &String| name.eq_ignore_ascii_case(host) || name.eq_ignore_ascii_case(&with_port);
        self.options.insecure_http.iter().any(named)
    }

    /// Whether plain HTTP is what the registry at `url` speaks: where it may, and nobody put down certificates for it.
    pub(super) fn is_plain(&self, url: &Url) -> bool {
        let certified = || self.options.certificates.are_for(&names_of(url));
        self.is_named_insecure(url) || is_loopback(url) && !certified()
    }

    /// What was sent to sign in, and must not be printed when it comes back.
    pub(super) const fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// An answer of the registry that breaks its protocol.
    pub(super) fn protocol(&self, detail: impl Into<String>) -> StoreError {
        StoreError::Protocol { place: self.place.clone(), detail: self.secrets.hide(&detail.into()) }
    }

    /// A registry that cannot be used now.
    pub(super) fn unavailable(&self, detail: impl Into<String>) -> StoreError {
        StoreError::Unavailable { place: self.place.clone(), detail: self.secrets.hide(&detail.into()) }
    }

    /// Sends a request, again if that may help. Every status is an answer.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no answer came, [`StoreError::Protocol`] for a redirect that must not be
    /// followed, [`StoreError::Offline`].
    pub(super) async fn send(
        &self,
        call: &Call,
        authorization: Option<&HeaderValue>,
        attempts: &mut Attempts,
    ) -> Result<Answer<'_>, StoreError> {
        // The semaphore is never closed, so there is always a slot in the end.
        let slot = self.slots.acquire().await.ok();
        let mut answer = self.attempt(call, authorization, attempts, REDIRECTS).await?;
        answer.hold(slot);
        Ok(answer)
    }

    /// Sends a request outside the bound on requests in flight: a sign-in on behalf of one that holds a slot would
    /// wait for itself. Redirects are refused, as the request is made to carry credentials to one place.
    ///
    /// # Errors
    /// Like [`Client::send`].
    pub(super) async fn sign_in(
        &self,
        call: &Call,
        authorization: Option<&HeaderValue>,
        attempts: &mut Attempts,
    ) -> Result<Answer<'_>, StoreError> {
        self.attempt(call, authorization, attempts, 0).await
    }

    async fn attempt(
        &self,
        call: &Call,
        authorization: Option<&HeaderValue>,
        attempts: &mut Attempts,
        redirects: usize,
    ) -> Result<Answer<'_>, StoreError> {
        loop {
            match self.follow(call, authorization, redirects).await? {
                Ok(mut answer) => {
                    if !may_pass(answer.status, call.repeat) || !attempts.again(answer.retry_after()).await {
                        return Ok(answer);
                    }
                    answer.drain().await;
                }
                Err(detail) => {
                    // What rustls says of a certificate that it does not trust, and of ours when it is not trusted; the next
                    // attempt would meet the same ones.
                    let lasting =
                        detail.contains("invalid peer certificate") || detail.contains("received fatal alert");
                    if lasting || call.repeat != Repeat::Safe || !attempts.again(None).await {
                        return Err(self.unavailable(detail));
                    }
                }
            }
        }
    }

    /// One attempt, with its redirects.
    async fn follow(
        &self,
        call: &Call,
        authorization: Option<&HeaderValue>,
        redirects: usize,
    ) -> Result<Result<Answer<'_>, String>, StoreError> {
        let mut url = call.url.clone();
        let mut authorization = authorization;
        let mut crossed = false;
        for _ in 0..=redirects {
            let mut answer = match self.once(call, &url, authorization).await? {
                Ok(answer) => answer,
                Err(detail) => return Ok(Err(detail)),
            };
            let read_only = call.method == Method::GET || call.method == Method::HEAD;
            let target = answer.header(LOCATION.as_str()).filter(|_| answer.status.is_redirection() && read_only);
            let Some(target) = target else {
                answer.crossed = crossed;
                return Ok(Ok(answer));
            };
            let target = self.resolve(&url, target)?;
            if target.origin() != call.url.origin() {
                // Once gone it stays gone: a way back through a foreign origin is not ours any more.
                authorization = None;
                crossed = true;
            }
            url = target;
        }
        Err(self.protocol(format!("more than {redirects} redirects, the last to {}", display_url(&url))))
    }

    /// An address that the registry gave, relative to the one that was asked.
    ///
    /// # Errors
    /// [`StoreError::Protocol`] when it leads from https to http, to plain HTTP where that is not allowed, or nowhere.
    pub(super) fn resolve(&self, base: &Url, target: &str) -> Result<Url, StoreError> {
        let mut url =
            base.join(target).map_err(|_| self.protocol("an address that is none in `Location` or `Link`"))?;
        // The HTTP library would make an `Authorization` header of these.
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        if cleared.is_err() || !matches!(url.scheme(), "http" | "https") {
            return Err(self.protocol(format!("sends us to a kind of address that is not HTTP: {}", url.scheme())));
        }
        if url.scheme() == "http" && (base.scheme() == "https" || !self.may_be_plain(&url)) {
            return Err(self.protocol(format!("sends us to plain HTTP, which is refused: {}", display_url(&url))));
        }
        url.set_fragment(None);
        Ok(url)
    }

    /// One request and its answer. The inner error is one of the network, the outer one is final.
    async fn once(
        &self,
        call: &Call,
        url: &Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Result<Answer<'_>, String>, StoreError> {
        if self.options.offline {
            return Err(StoreError::Offline { place: self.place.clone() });
        }
        let idle = Duration::from_secs(self.limits.idle_seconds);
        let mut headers = call.headers.clone();
        if let Some(value) = authorization {
            self.secrets.remember_header(value);
            headers.insert(AUTHORIZATION, value.clone());
        }
        let mut request = self.http(url)?.request(call.method.clone(), url.clone());
        let progress = Arc::new(AtomicU64::new(0));
        let mut whole = 0;
        match &call.payload {
            Payload::Empty => {}
            Payload::Bytes(bytes) => request = request.body(bytes.clone()),
            Payload::Content(content) => {
                // A stream has no known length; without the header it would go chunked, which registries refuse.
                whole = content.length();
                headers.insert(CONTENT_LENGTH, HeaderValue::from(whole));
                request = request.body(streamed(content, Arc::clone(&progress)));
            }
        }
        let mut sending = std::pin::pin!(request.headers(headers).send());
        let mut seen = 0;
        // An upload may take longer than any idle time; only one that moves nothing is given up.
        let response = loop {
            let is_sent = progress.load(Ordering::Relaxed) >= whole;
            let wait = call.patience.filter(|_| is_sent).unwrap_or(idle).max(idle);
            if let Ok(done) = timeout(wait, sending.as_mut()).await {
                break done;
            }
            let now = progress.load(Ordering::Relaxed);
            if now == seen {
                return Ok(Err(format!("no answer for {} s from {}", wait.as_secs(), display_url(url))));
            }
            seen = now;
        };
        let response = match response {
            Ok(response) => response,
            Err(error) => return Ok(Err(format!("{}: {}", display_url(url), explain(&error.without_url())))),
        };
        if self.is_own(url) {
            self.options.notices.take(&self.place, response.headers(), &self.secrets);
        }
        Ok(Ok(Answer::new(response, url.clone(), &self.limits)))
    }

    /// The HTTP client for an address.
    fn http(&self, url: &Url) -> Result<reqwest::Client, StoreError> {
        if url.scheme() == "https" {
            return self.secure_http(url);
        }
        if let Some(client) = self.plain.get() {
            return Ok(client.clone());
        }
        // Loading the system's root certificates takes longer than a whole verification on loopback, so this one has
        // none, and so could never speak TLS with anybody. A proxy would read along.
        let builder = http_builder().http1_only().no_proxy().tls_certs_only([]);
        let client = builder.build().map_err(|error| self.unavailable(explain(&error)))?;
        Ok(self.plain.get_or_init(|| client).clone())
    }

    fn secure_http(&self, url: &Url) -> Result<reqwest::Client, StoreError> {
        let mut known = self.secure.lock().unwrap_or_else(PoisonError::into_inner);
        let names = names_of(url);
        let own_name = names.first().cloned().unwrap_or_default();
        if let Some(client) = known.get(&own_name) {
            return Ok(client.clone());
        }
        let certificates = self.options.certificates.of_host(&names, self.is_own(url))?;
        let loopback = is_loopback(url);
        let is_usual = !certificates.is_special && !loopback;
        if let Some(client) = known.get("").cloned().filter(|_| is_usual) {
            known.insert(own_name, client.clone());
            return Ok(client);
        }
        let builder = http_builder().tls_certs_merge(certificates.authorities);
        let builder = if loopback { builder.no_proxy() } else { builder };
        let builder = match certificates.identity {
            Some(identity) => builder.identity(identity),
            None => builder,
        };
        let client = builder.build().map_err(|error| self.unavailable(explain(&error)))?;
        if is_usual {
            known.insert(String::new(), client.clone());
        }
        known.insert(own_name, client.clone());
        Ok(client)
    }

    /// Whether an address is of the registry itself, and not of a realm or storage beside it.
    fn is_own(&self, url: &Url) -> bool {
        url.host_str() == self.own.host_str() && url.port() == self.own.port()
    }
}

fn http_builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("attestry/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
}

/// The names under which certificates of a host are kept: with its port where the address has one.
fn names_of(url: &Url) -> Vec<String> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let mut names = match url.port() {
        Some(port) => vec![format!("{host}:{port}")],
        None => vec![host.clone(), format!("{host}:443")],
    };
    if host == "registry-1.docker.io" {
        names.push("docker.io".to_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(insecure: &[&str]) -> Client {
        let insecure_http = insecure.iter().map(ToString::to_string).collect();
        let options = RegistryOptions { insecure_http, ..RegistryOptions::default() };
        Client::new("registry.example/app".to_owned(), &url("https://registry.example/"), options)
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn loopback_may_be_plain_and_other_hosts_only_by_name() {
        let client = client(&["registry.example", "other.example:5000"]);
        for plain in [
            "http://localhost:1/",
            "http://127.8.9.1/",
            "http://[::1]:5000/",
            "http://registry.example:7/",
            "http://other.example:5000/",
        ] {
            assert!(client.may_be_plain(&url(plain)), "{plain}");
        }
        for secure in ["http://other.example/", "http://localhost.example/", "http://128.0.0.1/", "http://[::2]/"] {
            assert!(!client.may_be_plain(&url(secure)), "{secure}");
        }
    }

    #[test]
    fn certificates_of_a_host_are_looked_for_under_its_name_and_port() {
        for (address, expected) in [
            ("https://registry.example/", &["registry.example", "registry.example:443"][..]),
            ("https://registry.example:5000/", &["registry.example:5000"]),
            ("http://localhost:80/", &["localhost", "localhost:443"]),
            ("https://registry-1.docker.io/", &["registry-1.docker.io", "registry-1.docker.io:443", "docker.io"]),
        ] {
            assert_eq!(names_of(&url(address)), expected, "{address}");
        }
    }

    #[test]
    fn only_the_registry_itself_is_its_own_host() {
        let client = client(&[]);
        assert!(client.is_own(&url("https://registry.example:443/v2/x")));
        for other in ["https://registry.example:5000/", "https://storage.registry.example/", "https://auth.example/"] {
            assert!(!client.is_own(&url(other)), "{other}");
        }
    }

    #[test]
    fn an_address_never_leads_from_https_to_http() {
        let client = client(&["registry.example"]);
        let base = url("https://registry.example/v2/");
        for target in ["http://registry.example/x", "http://127.0.0.1/x", "ftp://registry.example/x", "data:,x"] {
            assert!(matches!(client.resolve(&base, target), Err(StoreError::Protocol { .. })), "{target}");
        }
        let plain = url("http://registry.example/v2/");
        assert!(client.resolve(&plain, "http://third.example/x").is_err());
        assert_eq!(client.resolve(&plain, "/x?y=1").unwrap().as_str(), "http://registry.example/x?y=1");
    }

    #[test]
    fn a_password_in_an_address_is_dropped() {
        let resolved = client(&[]).resolve(&url("https://registry.example/"), "https://a:b@third.example/x").unwrap();
        assert_eq!(resolved.as_str(), "https://third.example/x");
    }

    #[test]
    fn only_faults_that_may_pass_are_tried_again() {
        for (status, safe, refused) in [(429, true, true), (503, true, false), (501, false, false), (404, false, false)]
        {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!((may_pass(status, Repeat::Safe), may_pass(status, Repeat::WhenRefused)), (safe, refused));
        }
    }
}
