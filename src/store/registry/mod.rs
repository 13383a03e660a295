//! A repository of an OCI registry, over HTTP.
//!
//! No `/v2/` ping and no HEAD before GET: verifying one attestation takes four requests. How to sign in is learnt from
//! the first 401. What a registry says about content (digest headers, media types, sizes, who refers to what) is
//! compared with the bytes, and never replaces looking at them.
//!
//! Source: distribution-spec 1.1.

mod answer;
mod attempts;
mod auth;
mod body;
mod certificates;
mod challenge;
mod client;
mod credentials;
mod delete;
mod download;
mod error;
mod helper;
mod mirror;
mod notice;
mod read;
mod referrers;
mod referrers_tag;
mod secrets;
mod upload;
mod write;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{StatusCode, Url};
use tokio::sync::Mutex;

use self::answer::Answer;
use self::attempts::Attempts;
use self::auth::{Access, Authenticator, Wanted};
use self::client::{Call, Client};
use self::error::{ERROR_BODY_BYTES, describe};
use self::mirror::Mirrored;
use super::{Expected, Pushed, Removed, Store, StoreError, random_below};
use crate::content::{Blob, ContentError};
use crate::digest::Digest;
use crate::limits::Limits;
use crate::oci::{Descriptor, Manifest, ManifestError, ReferrerList};
use crate::reference::{Repository, Selector, Tag};

pub use self::certificates::Certificates;
pub use self::credentials::{CredentialSource, Credentials};
pub use self::mirror::Mirror;
pub use self::notice::Notices;

/// How a registry is talked to. The default has no credentials.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Bounds on what it may answer, and on attempts and waiting.
    pub limits: Limits,
    /// Hosts, with or without port, that may be spoken to in plain HTTP. Loopback always may.
    pub insecure_http: Vec<String>,
    /// Where credentials are looked for when the registry asks.
    pub credentials: CredentialSource,
    /// Certificates for TLS, beside the system's root certificates.
    pub certificates: Certificates,
    /// Places to read from first, each in the stead of one registry.
    pub mirrors: Vec<Mirror>,
    /// Who is told what a registry wants people to know.
    pub notices: Notices,
    /// Refuses every request.
    pub offline: bool,
}

/// One repository of a registry.
///
/// Nothing is sent before the first call. Plain HTTP is spoken with loopback hosts, unless there are certificates for
/// them, and with those that the options name; with all others https. The proxies that the environment names
/// (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) are used for https, never for plain HTTP and never for loopback.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use attestry::reference::{Repository, Selector};
/// use attestry::store::{Store, registry::{CredentialSource, Registry, RegistryOptions}};
/// let repository = Repository::parse("registry.example/team/app")?;
/// let credentials = CredentialSource::from_environment();
/// let registry = Registry::new(repository, RegistryOptions { credentials, ..Default::default() })?;
/// println!("{}", registry.manifest(&Selector::default()).await?.digest());
/// # Ok(()) }
/// ```
pub struct Registry {
    repository: Repository,
    /// `https://host/v2/path/`
    base: Url,
    client: Client,
    authenticator: Authenticator,
    limits: Limits,
    mirrors: Vec<Mirrored>,
    /// One change of a referrers tag at a time.
    referrers_tag: Mutex<()>,
    /// Whether the referrers API was seen to list what the registry said it would.
    keeps_its_word: AtomicBool,
    /// Whether the registry was seen to refuse a write because of `If-Match`.
    refuses_overtaking: AtomicBool,
}

impl Registry {
    /// Prepares to talk to a repository; sends nothing and reads no file.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the host makes no address.
    pub fn new(repository: Repository, options: RegistryOptions) -> Result<Self, StoreError> {
        let place = repository.to_string();
        // Docker Hub's name is not where its API is.
        let host = if repository.host() == "docker.io" { "registry-1.docker.io" } else { repository.host() };
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{host}/v2/{}/", repository.path()))
                .map_err(|error| StoreError::Unavailable { place: place.clone(), detail: error.to_string() })
        };
        let mirrors = Mirrored::all(&repository, &options)?;
        let (plain, secure) = (parse("http")?, parse("https")?);
        let client = Client::new(place.clone(), &secure, options.clone());
        let base = if client.is_plain(&plain) { plain } else { secure };
        let authenticator = Authenticator::new(repository.clone(), base.clone(), options.credentials, &options.limits);
        Ok(Self {
            repository,
            base,
            client,
            authenticator,
            limits: options.limits,
            mirrors,
            referrers_tag: Mutex::default(),
            keeps_its_word: AtomicBool::new(false),
            refuses_overtaking: AtomicBool::new(false),
        })
    }

    /// The repository.
    pub const fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The address of an end point of the repository.
    fn url(&self, path: &str) -> Result<Url, StoreError> {
        // `./`, since `sha256:…` alone would read as an address of its own.
        self.base.join(&format!("./{path}")).map_err(|error| self.client.protocol(error.to_string()))
    }

    /// Sends a request, signing in when asked to, once.
    ///
    /// Credentials and tokens go with it only to our own origin; elsewhere it goes bare, and is not signed in.
    async fn send(&self, call: &Call, access: Access, attempts: &mut Attempts) -> Result<Answer<'_>, StoreError> {
        if call.url.origin() != self.base.origin() {
            return self.client.send(call, None, attempts).await;
        }
        let wanted = Wanted { access, pull_from: call.pull_from.clone() };
        let ticket = self.authenticator.ticket(&self.client, &wanted).await?;
        let mut answer = self.client.send(call, ticket.as_ref().map(|ticket| &ticket.value), attempts).await?;
        if answer.status != StatusCode::UNAUTHORIZED || answer.crossed {
            return Ok(answer);
        }
        let challenges = challenge::challenges(&answer.headers);
        let renewed = self.authenticator.answer(&self.client, &wanted, &challenges, ticket.as_ref()).await?;
        let Some(renewed) = renewed else { return Ok(answer) };
        answer.drain().await;
        drop(answer);
        self.client.send(call, Some(&renewed.value), attempts).await
    }

    /// The error that an answer stands for, with what the registry said.
    async fn refusal(&self, mut answer: Answer<'_>, what: impl ToString) -> StoreError {
        let body = answer.body(ERROR_BODY_BYTES).await.ok().flatten().unwrap_or_default();
        let (place, what, detail) =
            (self.name(), what.to_string(), describe(answer.status, &body, self.client.secrets()));
        match answer.status.as_u16() {
            401 | 403 if answer.crossed => {
                let credentials = "none: the address is not the registry's own".to_owned();
                StoreError::Denied { place, what, detail, credentials }
            }
            401 | 403 => StoreError::Denied { place, what, detail, credentials: self.authenticator.describe().await },
            404 => StoreError::NotFound { place, what },
            408 | 429 | 500..=599 => StoreError::Unavailable { place, detail: format!("{what}: {detail}") },
            _ => StoreError::Protocol { place, detail: format!("{what}: {detail}") },
        }
    }

    /// Waits for a random time, so that two writers fall out of step, and one sees what the other did.
    async fn wait_a_while(&self) {
        let pause = random_below(self.limits.read_back_milliseconds);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    fn content_error(&self, cause: ContentError) -> StoreError {
        StoreError::Content { place: self.name(), cause }
    }

    fn manifest_error(&self, cause: ManifestError) -> StoreError {
        StoreError::Manifest { place: self.name(), cause }
    }
}

#[async_trait]
impl Store for Registry {
    fn name(&self) -> String {
        self.repository.to_string()
    }

    async fn manifest(&self, selector: &Selector) -> Result<Manifest, StoreError> {
        for mirror in self.mirrors().filter(|_| selector.digest.is_some()) {
            if let Some(manifest) = mirror.take(mirror.registry().read_manifest(selector).await) {
                return Ok(manifest);
            }
        }
        self.read_manifest(selector).await
    }

    async fn manifest_at(&self, descriptor: &Descriptor) -> Result<Manifest, StoreError> {
        for mirror in self.mirrors() {
            if let Some(manifest) = mirror.take(mirror.registry().read_manifest_at(descriptor).await) {
                return Ok(manifest);
            }
        }
        self.read_manifest_at(descriptor).await
    }

    async fn tag_digest(&self, tag: &Tag) -> Result<Option<Digest>, StoreError> {
        Ok(self.head_tag(tag, Access::Pull).await?.map(|head| head.digest))
    }

    async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Blob, StoreError> {
        for mirror in self.mirrors() {
            if let Some(blob) = mirror.take(mirror.registry().read_blob(descriptor, limit).await) {
                return Ok(blob);
            }
        }
        self.read_blob(descriptor, limit).await
    }

    async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, StoreError> {
        let list = self.list_referrers(subject).await?;
        match list.unreadable.first() {
            None => Ok(list.referrers),
            Some(detail) => Err(self.client.protocol(format!("a list of referrers of {subject}: {detail}"))),
        }
    }

    async fn referrer_list(&self, subject: &Digest) -> Result<ReferrerList, StoreError> {
        self.list_referrers(subject).await
    }

    async fn tags(&self) -> Result<Vec<Tag>, StoreError> {
        self.list_tags().await
    }

    async fn push_blob(&self, blob: &Blob) -> Result<Pushed, StoreError> {
        self.write_blob(blob).await
    }

    async fn push_blob_from(&self, blob: &Blob, origin: &Repository) -> Result<Pushed, StoreError> {
        self.write_blob_from(blob, origin).await
    }

    async fn mount_blob(&self, digest: &Digest, origin: &Repository) -> Result<bool, StoreError> {
        self.mount_only(digest, origin).await
    }

    async fn push_manifest(&self, manifest: &Manifest) -> Result<Pushed, StoreError> {
        self.write_manifest(manifest).await
    }

    async fn tag(&self, manifest: &Manifest, tag: &Tag, expected: &Expected) -> Result<(), StoreError> {
        self.write_tag(manifest, tag, expected).await
    }

    /// Once it was seen to refuse. Many registries send an `ETag` and ignore `If-Match`; none says which it is.
    fn guards_tags(&self) -> bool {
        self.refuses_overtaking.load(Ordering::Relaxed)
    }

    async fn pause(&self) {
        self.wait_a_while().await;
    }

    async fn delete_manifest(&self, digest: &Digest) -> Result<(), StoreError> {
        self.delete(&digest.to_string()).await
    }

    async fn remove_referrer(&self, subject: &Digest, manifest: &Digest) -> Result<Removed, StoreError> {
        self.unlist(subject, manifest).await
    }

    async fn untag(&self, tag: &Tag, expected: &Expected) -> Result<(), StoreError> {
        self.delete_tag(tag, expected).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_https_unless_it_is_loopback_or_named() {
        let base = |name: &str, insecure: &[&str]| {
            let insecure_http = insecure.iter().map(ToString::to_string).collect();
            let options = RegistryOptions { insecure_http, ..Default::default() };
            Registry::new(Repository::parse(name).unwrap(), options).unwrap().base.to_string()
        };
        for (name, expected) in [
            ("registry.example/team/app", "https://registry.example/v2/team/app/"),
            ("registry.example:80/app", "https://registry.example:80/v2/app/"),
            ("app", "https://registry-1.docker.io/v2/library/app/"),
            ("localhost/app", "http://localhost/v2/app/"),
            ("127.0.0.9:5000/app", "http://127.0.0.9:5000/v2/app/"),
            ("[::1]:5000/app", "http://[::1]:5000/v2/app/"),
        ] {
            assert_eq!(base(name, &["other.example"]), expected);
        }
        assert_eq!(base("registry.example/app", &["registry.example"]), "http://registry.example/v2/app/");
        assert_eq!(
            base("registry.example:5000/app", &["registry.example:5001"]),
            "https://registry.example:5000/v2/app/"
        );
    }

    #[test]
    fn loopback_is_https_once_there_are_certificates_for_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("localhost:5000")).unwrap();
        let base = |name: &str, insecure: &[&str]| {
            let certificates = Certificates::from_folders(vec![folder.path().to_owned()]);
            let insecure_http = insecure.iter().map(ToString::to_string).collect();
            let options = RegistryOptions { certificates, insecure_http, ..Default::default() };
            Registry::new(Repository::parse(name).unwrap(), options).unwrap().base.to_string()
        };
        assert_eq!(base("localhost:5000/app", &[]), "https://localhost:5000/v2/app/");
        assert_eq!(base("localhost:5001/app", &[]), "http://localhost:5001/v2/app/");
        assert_eq!(base("localhost:5000/app", &["localhost:5000"]), "http://localhost:5000/v2/app/");
    }
}
