//! Certificates for TLS: authorities beside the system's, and who we are.
//!
//! They add trust and never take a check away: chain, name and time of a certificate are always verified.
//!
//! Source: docker, "Use certificates for docker"; containers-certs.d(5).

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::explain;
use crate::store::StoreError;

/// The system's own bundle of root certificates has a quarter of that.
const FILE_BYTES: u64 = 1 << 20;
/// Files of one host's folder that are looked at.
const FOLDER_FILES: usize = 100;

/// Which certificates are used, beside the system's root certificates.
///
/// Authorities that were named count for every host; those in a host's folder for that host. A client certificate that
/// was named is shown to the registry itself, one in a host's folder to that host.
#[derive(Clone, Default)]
pub struct Certificates {
    authorities: Vec<Authority>,
    pair: Option<Pair>,
    folders: Vec<PathBuf>,
}

#[derive(Clone)]
struct Authority(Vec<reqwest::Certificate>);

#[derive(Clone)]
struct Pair(reqwest::Identity);

impl fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificates").field("folders", &self.folders).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Those in the folders where docker and podman keep them: `certs.d` in `/etc/containers`, `/etc/docker`,
    /// `~/.config/containers` and `DOCKER_CONFIG` or `~/.docker`. Reads nothing yet.
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = std::env::home_dir();
        let podman = variable("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        let docker = variable("DOCKER_CONFIG").or_else(|| home.map(|home| home.join(".docker")));
        let own = [docker, podman.map(|folder| folder.join("containers"))].into_iter().flatten();
        let all = own.chain([PathBuf::from("/etc/docker"), PathBuf::from("/etc/containers")]);
        Self::from_folders(all.map(|folder| folder.join("certs.d")).collect())
    }

    /// Those in these folders, each with a folder for each `host[:port]`: `*.crt` are authorities, `NAME.cert` and
    /// `NAME.key` a client certificate. Of several client certificates the first counts. Reads nothing yet.
    pub fn from_folders(folders: Vec<PathBuf>) -> Self {
        Self { folders, ..Self::default() }
    }

    /// Adds the authorities in a PEM file.
    ///
    /// # Errors
    /// [`StoreError::TlsFile`] when it cannot be read or holds no certificate.
    pub fn with_authorities(mut self, path: &Path) -> Result<Self, StoreError> {
        self.authorities.push(Authority::read(path)?);
        Ok(self)
    }

    /// Sets the client certificate and its key, two PEM files. The key must not be encrypted.
    ///
    /// # Errors
    /// [`StoreError::TlsFile`] when one cannot be read, or they do not belong together.
    pub fn with_client(mut self, certificate: &Path, key: &Path) -> Result<Self, StoreError> {
        self.pair = Some(Pair::read(certificate, key)?);
        Ok(self)
    }

    /// The same for a host that is not the one that the client certificate is for.
    pub(super) fn without_client(&self) -> Self {
        Self { pair: None, ..self.clone() }
    }

    /// Whether anything was named, or is kept for a host that goes by these names.
    pub(super) fn are_for(&self, names: &[String]) -> bool {
        let named = !self.authorities.is_empty() || self.pair.is_some();
        named || self.folders_of(names).any(|folder| folder.is_dir())
    }

    /// A redirect chooses the name: `..` would be the folder above, whose files are for others.
    fn folders_of<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = PathBuf> + 'a {
        let is_name = |name: &&String| !matches!(name.as_str(), "" | "." | "..");
        let folders = self.folders.iter();
        folders.flat_map(move |folder| names.iter().filter(is_name).map(move |name| folder.join(name)))
    }

    /// What is used with a host that goes by these names.
    ///
    /// # Errors
    /// [`StoreError::TlsFile`] for a file in its folders that cannot be used.
    pub(super) fn of_host(&self, names: &[String], is_own: bool) -> Result<HostCertificates, StoreError> {
        let mut found = HostCertificates {
            authorities: self.authorities.iter().flat_map(|authority| authority.0.clone()).collect(),
            identity: self.pair.as_ref().filter(|_| is_own).map(|pair| pair.0.clone()),
            is_special: is_own && self.pair.is_some(),
        };
        for folder in self.folders_of(names) {
            for path in files_of(&folder)? {
                let extension = path.extension().and_then(|extension| extension.to_str());
                match extension {
                    Some("crt") => found.authorities.extend(Authority::read(&path)?.0),
                    Some("cert") if found.identity.is_none() => {
                        found.identity = Some(Pair::read(&path, &path.with_extension("key"))?.0);
                    }
                    _ => continue,
                }
                found.is_special = true;
            }
        }
        Ok(found)
    }
}

/// What is used with one host.
pub(super) struct HostCertificates {
    pub(super) authorities: Vec<reqwest::Certificate>,
    pub(super) identity: Option<reqwest::Identity>,
    /// Whether another host would use something else.
    pub(super) is_special: bool,
}

/// The files of a folder by name; none where it is not there or not for us to see, which only takes trust away.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory => {
                return Ok(Vec::new());
            }
            _ => return Err(unusable(folder, error.to_string())),
        },
    };
    let mut files: Vec<PathBuf> = entries.flatten().take(FOLDER_FILES).map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

fn unusable(path: &Path, detail: impl Into<String>) -> StoreError {
    StoreError::TlsFile { path: path.display().to_string(), detail: detail.into() }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let mut text = Zeroizing::new(Vec::new());
    let read = std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES).read_to_end(&mut text));
    read.map(|_| text).map_err(|error| unusable(path, error.to_string()))
}

/// Builds what a connection would be built from, so that a file that cannot be used is known by its name.
fn check(builder: reqwest::ClientBuilder, path: &Path, detail: &str) -> Result<(), StoreError> {
    let built = builder.no_proxy().build();
    built.map(|_| ()).map_err(|error| unusable(path, format!("{detail}: {}", explain(&error))))
}

impl Authority {
    fn read(path: &Path) -> Result<Self, StoreError> {
        let certificates = reqwest::Certificate::from_pem_bundle(&read(path)?).unwrap_or_default();
        if certificates.is_empty() {
            return Err(unusable(path, "no certificate in PEM is in it"));
        }
        let builder = reqwest::Client::builder().tls_certs_only(certificates.clone());
        check(builder, path, "a certificate in it is broken").map(|()| Self(certificates))
    }
}

impl Pair {
    fn read(certificate: &Path, key: &Path) -> Result<Self, StoreError> {
        let certificate_text = read(certificate)?;
        let key_text = read(key)?;
        if reqwest::Certificate::from_pem_bundle(&certificate_text).unwrap_or_default().is_empty() {
            return Err(unusable(certificate, "no certificate in PEM is in it"));
        }
        let both = Zeroizing::new([&certificate_text[..], b"\n", &key_text[..]].concat());
        let identity = reqwest::Identity::from_pem(&both);
        let identity = identity.map_err(|_| unusable(key, "no key in PEM is in it that is not encrypted"))?;
        let builder = reqwest::Client::builder().tls_certs_only([]).identity(identity.clone());
        check(builder, key, "it is not the key of the certificate").map(|()| Self(identity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_host_is_named_so_that_its_folder_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::from_folders(vec![folder.path().join("certs.d")]);
        std::fs::create_dir_all(folder.path().join("certs.d").join("a.example")).unwrap();
        assert!(certificates.are_for(&["a.example".to_owned()]));
        for address in ["https://../x", "https://./x"] {
            let host = reqwest::Url::parse(address).unwrap().host_str().unwrap().to_owned();
            assert!(!certificates.are_for(&[host]), "{address}");
        }
    }
}
