//! Credentials: the files where docker and podman keep them.
//!
//! Looked up when a registry first asks, never before. Order in one file: an entry for the repository itself, the
//! helper for the host, the helper for all hosts, the entry for the host; so that a name in `credsStore` wins over a
//! stale entry, as docker has it, and podman's per-repository entries win over both.
//!
//! Source: docker CLI, "config.json"; containers-auth.json(5); docker-credential-helpers README.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use zeroize::{Zeroize, Zeroizing};

use super::helper;
use crate::reference::Repository;
use crate::store::StoreError;

/// The key under which docker keeps Docker Hub's credentials.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// Users sign in to dozens of registries, not thousands.
const FILE_BYTES: u64 = 1 << 20;

/// A name and password, or an identity token. Prints as a placeholder; cleared when dropped.
#[derive(Clone)]
pub struct Credentials {
    secret: Secret,
    from: String,
}

#[derive(Clone)]
enum Secret {
    Password { username: String, password: Zeroizing<String> },
    IdentityToken(Zeroizing<String>),
}

impl Credentials {
    /// A name and password. `from` says where they are from, in words for people.
    ///
    /// The name `<token>` means that the password is an identity token, as credential helpers have it.
    pub fn new(username: impl Into<String>, password: impl Into<String>, from: impl Into<String>) -> Self {
        let (username, password) = (username.into(), Zeroizing::new(password.into()));
        let secret = match username.as_str() {
            "<token>" => Secret::IdentityToken(password),
            _ => Secret::Password { username, password },
        };
        Self { secret, from: from.into() }
    }

    fn of_identity_token(token: String, from: &str) -> Self {
        Self { secret: Secret::IdentityToken(Zeroizing::new(token)), from: from.to_owned() }
    }

    /// The header of HTTP Basic; `None` for an identity token, which only a realm takes.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let Secret::Password { username, password } = &self.secret else { return None };
        let pair = Zeroizing::new(format!("{username}:{}", password.as_str()));
        let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    pub(super) fn identity_token(&self) -> Option<&str> {
        match &self.secret {
            Secret::IdentityToken(token) => Some(token),
            Secret::Password { .. } => None,
        }
    }

    fn describe(&self) -> String {
        match &self.secret {
            Secret::Password { username, .. } => super::error::clean(&format!("{username} (from {})", self.from)),
            Secret::IdentityToken(_) => format!("an identity token (from {})", self.from),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(…)")
    }
}

/// Where credentials are looked for.
#[derive(Debug, Clone, Default)]
pub struct CredentialSource {
    files: Vec<PathBuf>,
    given: Option<Credentials>,
}

impl CredentialSource {
    /// Nowhere: all access is anonymous.
    pub fn none() -> Self {
        Self::default()
    }

    /// These files, in this order. Those that do not exist are passed over.
    pub const fn from_files(files: Vec<PathBuf>) -> Self {
        Self { files, given: None }
    }

    /// These credentials, whatever the registry.
    pub const fn given(credentials: Credentials) -> Self {
        Self { files: Vec::new(), given: Some(credentials) }
    }

    /// The same files, without credentials that were given for one registry.
    pub(super) fn files_only(&self) -> Self {
        Self { files: self.files.clone(), given: None }
    }

    /// The files that podman and docker use: `REGISTRY_AUTH_FILE`, `XDG_RUNTIME_DIR/containers/auth.json`,
    /// `DOCKER_CONFIG/config.json` or `~/.docker/config.json`. The one place that looks at the environment.
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let podman = variable("XDG_RUNTIME_DIR").map(|folder| folder.join("containers").join("auth.json"));
        let docker = variable("DOCKER_CONFIG").or_else(|| std::env::home_dir().map(|home| home.join(".docker")));
        let docker = docker.map(|folder| folder.join("config.json"));
        Self::from_files([variable("REGISTRY_AUTH_FILE"), podman, docker].into_iter().flatten().collect())
    }

    /// Looks for credentials of a repository.
    ///
    /// A credential helper that fails counts as one that knows nothing, and the reason is kept for the message of a
    /// later refusal: public images must stay readable on a machine whose docker was set up elsewhere.
    ///
    /// # Errors
    /// [`StoreError::Io`] when a file is there and cannot be read or understood.
    pub(super) async fn find(&self, repository: &Repository, helper_time: Duration) -> Result<Found, StoreError> {
        let mut found = Found { host: repository.host().to_owned(), ..Found::default() };
        if let Some(credentials) = &self.given {
            found.credentials = Some(credentials.clone());
            return Ok(found);
        }
        for path in &self.files {
            let Some(file) = AuthFile::read(path)? else {
                found.places.push(format!("{} (no such file)", path.display()));
                continue;
            };
            found.credentials = file.find(path, repository, helper_time, &mut found.places).await?;
            if found.credentials.is_some() {
                break;
            }
            found.places.push(path.display().to_string());
        }
        Ok(found)
    }
}

/// The outcome of a search, and where it looked.
#[derive(Default)]
pub(super) struct Found {
    credentials: Option<Credentials>,
    host: String,
    places: Vec<String>,
}

impl Found {
    pub(super) const fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    pub(super) fn describe(&self) -> String {
        match &self.credentials {
            Some(credentials) => credentials.describe(),
            None if self.places.is_empty() => format!("no credentials for {} were looked for", self.host),
            None => format!("no credentials for {} were found in {}", self.host, self.places.join(", ")),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: String,
}

#[derive(serde::Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
}

impl Drop for Entry {
    fn drop(&mut self) {
        for text in [&mut self.auth, &mut self.password, &mut self.identitytoken] {
            text.zeroize();
        }
    }
}

fn unreadable(path: &Path, cause: io::Error) -> StoreError {
    StoreError::Io { action: "reading", path: path.display().to_string(), cause }
}

fn invalid(path: &Path, detail: impl Into<String>) -> StoreError {
    unreadable(path, io::Error::new(io::ErrorKind::InvalidData, detail.into()))
}

impl AuthFile {
    fn read(path: &Path) -> Result<Option<Self>, StoreError> {
        let mut text = Zeroizing::new(Vec::new());
        let read = std::fs::File::open(path)
            .and_then(|file| io::Read::read_to_end(&mut io::Read::take(file, FILE_BYTES), &mut text));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(path, error)),
        }
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        // The parser's own message may quote what is secret; line and column do not.
        let file = serde_json::from_slice(&text);
        let place =
            |error: serde_json::Error| format!("not as expected at line {}, column {}", error.line(), error.column());
        file.map(Some).map_err(|error| invalid(path, place(error)))
    }

    async fn find(
        &self,
        path: &Path,
        repository: &Repository,
        helper_time: Duration,
        notes: &mut Vec<String>,
    ) -> Result<Option<Credentials>, StoreError> {
        let best = self.best_entry(repository);
        let of_repository = best.filter(|(key, _)| key.contains('/'));
        if let Some((_, entry)) = of_repository
            && let Some(credentials) = entry.credentials(path)?
        {
            return Ok(Some(credentials));
        }
        let own = self.cred_helpers.iter().find(|(key, _)| normal(key) == normal(repository.host()));
        let helpers = [own.map(|(_, name)| name), Some(&self.creds_store)].into_iter().flatten();
        for name in helpers.filter(|name| !name.is_empty()) {
            let host = repository.host();
            let server = if host == "docker.io" { DOCKER_HUB_KEY } else { host };
            match helper::run(name, server, helper_time).await {
                Ok(Some((username, secret))) => {
                    let from = format!("docker-credential-{name}, named in {}", path.display());
                    return Ok(Some(Credentials::new(username, secret, from)));
                }
                Ok(None) => {}
                Err(detail) => notes.push(format!("docker-credential-{} ({detail})", super::error::clean(name))),
            }
        }
        let host_entry = self.auths.iter().find(|(key, _)| normal(key) == normal(repository.host()));
        host_entry.map_or(Ok(None), |(_, entry)| entry.credentials(path))
    }

    /// The entry with the longest key that is the repository or a folder above it.
    fn best_entry(&self, repository: &Repository) -> Option<(String, &Entry)> {
        let whole = format!("{}/{}", normal(repository.host()), repository.path());
        let above = |key: &String| {
            whole.strip_prefix(key.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let entries = self.auths.iter().map(|(key, entry)| (normal(key), entry));
        entries.filter(|(key, _)| above(key)).max_by_key(|(key, _)| key.len())
    }
}

/// A key without scheme, version path and trailing slash; all names of Docker Hub are one.
fn normal(key: &str) -> String {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    let (host, path) = key.split_once('/').map_or((key, None), |(host, path)| (host, Some(path)));
    let host = if matches!(host, "index.docker.io" | "registry-1.docker.io") { "docker.io" } else { host };
    let host = host.to_ascii_lowercase();
    path.map_or_else(|| host.clone(), |path| format!("{host}/{path}"))
}

impl Entry {
    /// What the entry holds; entries that only say "signed in" (beside a helper) hold nothing.
    fn credentials(&self, path: &Path) -> Result<Option<Credentials>, StoreError> {
        let from = path.display().to_string();
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credentials::of_identity_token(self.identitytoken.clone(), &from)));
        }
        if !self.username.is_empty() {
            return Ok(Some(Credentials::new(&*self.username, &*self.password, from)));
        }
        if self.auth.is_empty() {
            return Ok(None);
        }
        let pair = STANDARD.decode(self.auth.trim()).ok().map(Zeroizing::new);
        let pair = pair.as_ref().and_then(|pair| std::str::from_utf8(pair).ok()?.split_once(':'));
        let (username, password) = pair.ok_or_else(|| invalid(path, "an `auth` is not base64 of `name:password`"))?;
        // Some writers of the file pad with zero bytes.
        Ok(Some(Credentials::new(username, password.trim_end_matches('\0'), from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn find(text: &str, repository: &str) -> Result<String, StoreError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        let source = CredentialSource::from_files(vec![folder.path().join("absent.json"), path]);
        let found = source.find(&Repository::parse(repository).unwrap(), Duration::from_secs(60)).await?;
        Ok(found.describe().replace(&folder.path().display().to_string(), "FOLDER"))
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn the_longest_key_wins_and_schemes_and_paths_do_not_matter() {
        // `YTpi` is `a:b`, `YzpkOmU=` is `c:d:e`.
        let text = r#"{"auths":{
            "https://registry.example/v2/":{"auth":"YTpi"},
            "registry.example/team":{"auth":"YzpkOmU="},
            "registry.example/team/deep":{"username":"deep","password":"x"},
            "https://index.docker.io/v1/":{"username":"hub","password":"x"},
            "empty.example":{}}}"#;
        for (repository, expected) in [
            ("registry.example/app", "a (from FOLDER/config.json)"),
            ("registry.example/teams/app", "a (from FOLDER/config.json)"),
            ("registry.example/team/app", "c (from FOLDER/config.json)"),
            ("registry.example/team/deep/app", "deep (from FOLDER/config.json)"),
            ("app", "hub (from FOLDER/config.json)"),
        ] {
            assert_eq!(block_on(find(text, repository)).unwrap(), expected, "{repository}");
        }
        for repository in ["empty.example/app", "other.example/app", "registry.example:5000/app"] {
            let described = block_on(find(text, repository)).unwrap();
            assert!(described.starts_with("no credentials for "), "{described}");
            assert!(described.ends_with("in FOLDER/absent.json (no such file), FOLDER/config.json"), "{described}");
        }
    }

    #[test]
    fn a_password_may_hold_colons_and_never_prints() {
        let credentials = Credentials::new("name", "pass:word", "a test");
        assert_eq!(credentials.basic().unwrap(), "Basic bmFtZTpwYXNzOndvcmQ=");
        assert!(!format!("{credentials:?} {}", credentials.describe()).contains("word"));
    }

    #[test]
    fn a_broken_file_is_an_error_that_names_it_and_quotes_nothing() {
        for text in ["{", r#"{"auths":{"a.example":{"auth":1234}}}"#, r#"{"auths":{"a.example":{"auth":"%%1234"}}}"#] {
            let error = block_on(find(text, "a.example/app")).unwrap_err().to_string();
            assert!(error.contains("config.json") && !error.contains("1234"), "{error}");
        }
    }

    #[test]
    fn a_helper_that_cannot_run_is_told_and_not_fatal() {
        let text = r#"{"credsStore":"attestry-no-such-helper"}"#;
        let described = block_on(find(text, "a.example/app")).unwrap();
        assert!(described.contains("docker-credential-attestry-no-such-helper"), "{described}");
    }
}
