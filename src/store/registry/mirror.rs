//! Mirrors: places to read from in a registry's stead.
//!
//! What is named by its digest is the same wherever it comes from, and is asked of the mirror first. What has to be
//! *said* is asked of the registry alone: what a tag names, which tags there are, who refers to a manifest. A mirror
//! that left something out of these could hide evidence, and one that is behind would do so without meaning it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Registry, RegistryOptions};
use crate::reference::{ReferenceError, Repository};
use crate::store::StoreError;

/// A place that has the repositories of a registry, below a prefix or not.
///
/// ```
/// use attestry::store::registry::Mirror;
/// assert!(Mirror::parse("registry.example=mirror.example/copies").is_ok());
/// assert!(Mirror::parse("registry.example").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The registry that it stands in for.
    host: String,
    /// `host[:port][/prefix]`
    place: String,
}

impl Mirror {
    /// Reads `HOST=MIRROR` or `HOST=MIRROR/PREFIX`, hosts with or without port.
    ///
    /// # Errors
    /// [`ReferenceError`] for what cannot be hosts.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let not_a_host = |text: &str| ReferenceError::Host { text: text.to_owned() };
        let (host, place) = text.split_once('=').ok_or_else(|| not_a_host(text))?;
        // Without these marks the name would be a path on Docker Hub.
        let is_host = |name: &str| name.contains(['.', ':']) || name == "localhost";
        for name in [host, place.split('/').next().unwrap_or_default()] {
            if !is_host(name) {
                return Err(not_a_host(name));
            }
        }
        Repository::parse(&format!("{place}/x"))?;
        let host = Repository::parse(&format!("{host}/x"))?;
        Ok(Self { host: host.host().to_owned(), place: place.to_owned() })
    }

    /// Where a repository is on the mirror; `None` when it is of another registry.
    fn repository_for(&self, repository: &Repository) -> Option<Repository> {
        let copy = Repository::parse(&format!("{}/{}", self.place, repository.path())).ok()?;
        (repository.host() == self.host && copy != *repository).then_some(copy)
    }
}

/// A mirror of one repository.
pub(super) struct Mirrored {
    registry: Registry,
    /// Whether it could not be used once; it is left alone from then on.
    down: AtomicBool,
}

impl Mirrored {
    /// The mirrors of a repository, each with its own sign-in: credentials and client certificates that were given for
    /// the registry stay with the registry.
    pub(super) fn all(repository: &Repository, options: &RegistryOptions) -> Result<Vec<Self>, StoreError> {
        let copies = options.mirrors.iter().filter_map(|mirror| mirror.repository_for(repository));
        copies
            .map(|copy| {
                let mut own = RegistryOptions {
                    mirrors: Vec::new(),
                    credentials: options.credentials.files_only(),
                    certificates: options.certificates.without_client(),
                    ..options.clone()
                };
                // The registry is there to be asked instead.
                own.limits.attempts = 1;
                Ok(Self { registry: Registry::new(copy, own)?, down: AtomicBool::new(false) })
            })
            .collect()
    }
}

impl Registry {
    /// The mirrors that can be asked.
    pub(super) fn mirrors(&self) -> impl Iterator<Item = &Mirrored> {
        self.mirrors.iter().filter(|mirror| !mirror.down.load(Ordering::Relaxed))
    }
}

impl Mirrored {
    /// The mirror's own registry.
    pub(super) const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What a mirror gave, if it gave anything that is what it must be. What it did wrong does not matter: the registry
    /// is asked.
    pub(super) fn take<T>(&self, answer: Result<T, StoreError>) -> Option<T> {
        if let Err(StoreError::Unavailable { .. } | StoreError::Denied { .. }) = answer {
            self.down.store(true, Ordering::Relaxed);
        }
        answer.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_stands_in_for_its_registry_only() {
        let found = |mirror: &str, repository: &str| {
            let copy = Mirror::parse(mirror).unwrap().repository_for(&Repository::parse(repository).unwrap());
            copy.map(|copy| copy.to_string())
        };
        for (mirror, repository, expected) in [
            ("registry.example=mirror.example", "registry.example/team/app", Some("mirror.example/team/app")),
            ("registry.example=mirror.example:5000/a/b", "registry.example/app", Some("mirror.example:5000/a/b/app")),
            ("docker.io=mirror.example/hub", "app", Some("mirror.example/hub/library/app")),
            ("index.docker.io=mirror.example", "app", Some("mirror.example/library/app")),
            ("registry.example=mirror.example", "registry.example:5000/app", None),
            ("registry.example=registry.example", "registry.example/app", None),
        ] {
            assert_eq!(found(mirror, repository).as_deref(), expected, "{mirror} {repository}");
        }
    }

    #[test]
    fn what_names_no_two_hosts_is_refused() {
        for text in ["", "=", "a.example", "a.example=", "=b.example", "team=b.example", "a.example=team/x"] {
            assert!(Mirror::parse(text).is_err(), "{text}");
        }
        assert!(Mirror::parse("a.example=b.example/").is_err());
        assert!(Mirror::parse("a.example=b.example/UPPER").is_err());
    }
}
