//! References: what a person types to name an image, and what it names once resolved.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::code::Code;
use crate::digest::{Digest, DigestError};

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// Nothing was given.
    #[error("the reference is empty")]
    Empty,
    /// The repository breaks the grammar of the distribution specification.
    #[error("not a repository name: {text}")]
    Repository {
        /// What was read.
        text: String,
    },
    /// The host or port is wrong.
    #[error("not a registry host: {text}")]
    Host {
        /// What was read.
        text: String,
    },
    /// The tag breaks the grammar.
    #[error("not a tag: {text}")]
    Tag {
        /// What was read.
        text: String,
    },
    /// The digest is wrong.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// `scheme:` is none that is known.
    #[error("unknown kind of reference: {scheme}:")]
    Scheme {
        /// What was read.
        scheme: String,
    },
}

impl ReferenceError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        Code::ReferenceInvalid
    }
}

/// A tag. Source: distribution-spec 1.1, "Pulling manifests": `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Box<str>);

impl Tag {
    /// Reads a tag.
    ///
    /// # Errors
    /// [`ReferenceError::Tag`].
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !first || !rest || text.len() > 128 {
            return Err(ReferenceError::Tag { text: text.to_owned() });
        }
        Ok(Self(text.into()))
    }

    /// The tag under which referrers of `subject` are listed where no referrers API exists.
    ///
    /// Source: distribution-spec 1.1, "Referrers Tag Schema".
    pub fn of_referrers(subject: &Digest) -> Self {
        let value: String = subject.hex().chars().take(64).collect();
        Self(format!("{}-{value}", subject.algorithm().as_str()).into())
    }

    /// The tag under which cosign 2 keeps attestations (`att`) or signatures (`sig`) of `subject`.
    ///
    /// Source: cosign SIGNATURE_SPEC.md.
    pub fn of_cosign(subject: &Digest, suffix: &str) -> Self {
        Self(format!("{}-{}.{suffix}", subject.algorithm().as_str(), subject.hex()).into())
    }

    /// Whether the tag is one that tools keep evidence under, and so names no image.
    pub fn is_for_evidence(&self) -> bool {
        let Some((algorithm, rest)) = self.0.split_once('-') else { return false };
        let value = rest.split_once('.').map_or(rest, |(value, _)| value);
        let suffix = rest.get(value.len()..).unwrap_or_default();
        matches!(algorithm, "sha256" | "sha384" | "sha512")
            && value.len() >= 64
            && value.bytes().all(|byte| byte.is_ascii_hexdigit())
            && matches!(suffix, "" | ".sig" | ".att" | ".sbom")
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A registry and a repository in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repository {
    host: Box<str>,
    path: Box<str>,
}

impl Repository {
    /// Reads `host[:port]/path`, or a path alone, which is on Docker Hub as docker has it.
    ///
    /// One registry has one spelling afterwards: lower case, no `:443`, one name for Docker Hub. A policy matches by
    /// name, and with another spelling an image would get past the entry that is meant for it.
    ///
    /// # Errors
    /// [`ReferenceError::Repository`] or [`ReferenceError::Host`].
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let (host, path) = match text.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest.to_owned()),
            Some(_) => ("docker.io", text.to_owned()),
            None => ("docker.io", format!("library/{text}")),
        };
        if !is_host(host) {
            return Err(ReferenceError::Host { text: host.to_owned() });
        }
        let host = usual_host(host);
        if !path.split('/').all(is_path_component) || host.len() + path.len() > 254 {
            return Err(ReferenceError::Repository { text: text.to_owned() });
        }
        Ok(Self { host, path: path.into() })
    }

    /// The registry as it is named, port included.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository within the registry.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.host, self.path)
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) if name.parse::<std::net::Ipv6Addr>().is_ok() => match port.strip_prefix(':') {
                None if !port.is_empty() => return false,
                port => ("localhost", port),
            },
            _ => return false,
        },
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.split('.').all(label)
        && port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

/// The usual spelling of a host. Loopback speaks plain HTTP, where 443 is a port like any other.
fn usual_host(text: &str) -> Box<str> {
    let lower = text.to_ascii_lowercase();
    let (name, port) = match lower.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse::<u16>().ok()),
        _ => (lower.as_str(), None),
    };
    let name = if matches!(name, "index.docker.io" | "registry-1.docker.io") { "docker.io" } else { name };
    let loopback = name == "localhost" || name.starts_with("127.") || name == "[::1]";
    match port {
        Some(443) if !loopback => name.into(),
        Some(port) => format!("{name}:{port}").into(),
        None => name.into(),
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut separator = String::new();
    let mut last_was_letter = false;
    for byte in text.bytes() {
        if alphanumeric(byte) {
            let known = separator.is_empty()
                || matches!(separator.as_str(), "." | "_" | "__")
                || separator.bytes().all(|byte| byte == b'-');
            if !known || (!separator.is_empty() && !last_was_letter) {
                return false;
            }
            separator.clear();
            last_was_letter = true;
        } else if b"._-".contains(&byte) && last_was_letter {
            separator.push(char::from(byte));
        } else {
            return false;
        }
    }
    last_was_letter && separator.is_empty()
}

/// What in a place is meant: a tag that may move, a digest that may not, or both, of which the digest wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// The tag.
    pub tag: Option<Tag>,
    /// The digest.
    pub digest: Option<Digest>,
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

/// Where images are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A repository of a registry.
    Registry(Repository),
    /// An OCI image layout folder.
    Layout(PathBuf),
    /// A tar archive of an OCI image layout.
    LayoutArchive(PathBuf),
    /// A tar archive as `docker save` writes it.
    DockerArchive {
        /// The file.
        file: PathBuf,
        /// Which of the images in it, by its name with tag.
        image: Option<Box<str>>,
    },
    /// A folder that BuildKit's `local` exporter wrote: files, and statements about them.
    Folder(PathBuf),
    /// An archive that BuildKit's `tar` exporter wrote.
    FolderArchive(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(repository) => repository.fmt(formatter),
            Self::Layout(path) => write!(formatter, "oci:{}", path.display()),
            Self::LayoutArchive(path) => write!(formatter, "oci-archive:{}", path.display()),
            Self::DockerArchive { file, image: None } => write!(formatter, "docker-archive:{}", file.display()),
            Self::DockerArchive { file, image: Some(image) } => {
                write!(formatter, "docker-archive:{}:{image}", file.display())
            }
            Self::Folder(path) => write!(formatter, "dir:{}", path.display()),
            Self::FolderArchive(path) => write!(formatter, "tar:{}", path.display()),
        }
    }
}

/// What a person typed to name an image. It may move.
///
/// ```
/// use attestry::reference::Reference;
/// let reference = Reference::parse("registry.example/team/app:1.2", &|_| false).unwrap();
/// assert_eq!(reference.to_string(), "registry.example/team/app:1.2");
/// let layout = Reference::parse("ocidir://some/folder:1.2", &|_| false).unwrap();
/// assert_eq!(layout.to_string(), "oci:some/folder:1.2");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where.
    pub place: Place,
    /// Which.
    pub selector: Selector,
}

const LAYOUT_SCHEMES: [&str; 6] = ["ocidir://", "oci-dir://", "oci-layout://", "ocidir:", "oci-dir:", "oci:"];
const REGISTRY_SCHEMES: [&str; 2] = ["docker://", "registry://"];
const LAYOUT_ARCHIVE_SCHEMES: [&str; 2] = ["oci-archive:", "archive://"];
const DOCKER_ARCHIVE_SCHEMES: [&str; 1] = ["docker-archive:"];
const FOLDER_SCHEMES: [&str; 1] = ["dir:"];
const FOLDER_ARCHIVE_SCHEMES: [&str; 1] = ["tar:"];

fn strip_any<'a>(text: &'a str, schemes: &[&str]) -> Option<&'a str> {
    schemes.iter().find_map(|scheme| text.strip_prefix(scheme))
}

impl Reference {
    /// Reads a reference in any of its spellings.
    ///
    /// `exists` answers whether a path is there, since names of folders may hold `:`; the longest existing one wins.
    ///
    /// # Errors
    /// Any [`ReferenceError`].
    pub fn parse(text: &str, exists: &dyn Fn(&Path) -> bool) -> Result<Self, ReferenceError> {
        if let Some(rest) = strip_any(text, &LAYOUT_SCHEMES) {
            let (path, selector) = split_path(rest, exists)?;
            return Ok(Self { place: Place::Layout(path), selector });
        }
        if let Some(rest) = strip_any(text, &LAYOUT_ARCHIVE_SCHEMES) {
            let (path, selector) = split_path(rest, exists)?;
            return Ok(Self { place: Place::LayoutArchive(path), selector });
        }
        if let Some(rest) = strip_any(text, &DOCKER_ARCHIVE_SCHEMES) {
            return docker_archive(rest, exists);
        }
        if let Some(rest) = strip_any(text, &FOLDER_SCHEMES) {
            return Ok(Self { place: Place::Folder(whole_path(rest)?), selector: Selector::default() });
        }
        if let Some(rest) = strip_any(text, &FOLDER_ARCHIVE_SCHEMES) {
            return Ok(Self { place: Place::FolderArchive(whole_path(rest)?), selector: Selector::default() });
        }
        let rest = strip_any(text, &REGISTRY_SCHEMES).unwrap_or(text);
        if let Some((scheme, _)) = rest.split_once("://") {
            return Err(ReferenceError::Scheme { scheme: scheme.to_owned() });
        }
        let (name, digest) = split_digest(rest)?;
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') && !name.is_empty() => (name, Some(Tag::parse(tag)?)),
            _ => (name, None),
        };
        if name.is_empty() {
            return Err(ReferenceError::Empty);
        }
        Ok(Self { place: Place::Registry(Repository::parse(name)?), selector: Selector { tag, digest } })
    }

    /// The same place with another selection.
    #[must_use]
    pub fn with_digest(&self, digest: &Digest) -> Self {
        Self { place: self.place.clone(), selector: Selector { tag: None, digest: Some(digest.clone()) } }
    }
}

fn split_digest(text: &str) -> Result<(&str, Option<Digest>), ReferenceError> {
    match text.rsplit_once('@') {
        Some((name, digest)) => Ok((name, Some(Digest::parse(digest)?))),
        None => Ok((text, None)),
    }
}

fn split_path(text: &str, exists: &dyn Fn(&Path) -> bool) -> Result<(PathBuf, Selector), ReferenceError> {
    if text.is_empty() {
        return Err(ReferenceError::Empty);
    }
    if exists(Path::new(text)) {
        return Ok((PathBuf::from(text), Selector::default()));
    }
    let (rest, digest) = match split_digest(text) {
        Ok(split) => split,
        // `@` may be part of a folder's name; a digest with a typing error is not.
        Err(error) if text.rsplit_once('@').is_some_and(|(_, digest)| digest.contains(':')) => return Err(error),
        Err(_) => (text, None),
    };
    if exists(Path::new(rest)) {
        return Ok((PathBuf::from(rest), Selector { tag: None, digest }));
    }
    match rest.rsplit_once(':') {
        Some((path, tag)) if !path.is_empty() && !tag.contains('/') => {
            Ok((PathBuf::from(path), Selector { tag: Some(Tag::parse(tag)?), digest }))
        }
        _ => Ok((PathBuf::from(rest), Selector { tag: None, digest })),
    }
}

/// What an exporter wrote has one content; nothing is chosen from it.
fn whole_path(text: &str) -> Result<PathBuf, ReferenceError> {
    if text.is_empty() { Err(ReferenceError::Empty) } else { Ok(PathBuf::from(text)) }
}

/// `FILE[:NAME[:TAG]][@DIGEST]`; the longest existing file wins, and where none exists it ends at the first `:`.
fn docker_archive(text: &str, exists: &dyn Fn(&Path) -> bool) -> Result<Reference, ReferenceError> {
    if text.is_empty() {
        return Err(ReferenceError::Empty);
    }
    let (rest, digest) = if exists(Path::new(text)) { (text, None) } else { split_digest(text)? };
    let mut ends = rest.match_indices(':').map(|(at, _)| at).rev().chain([rest.len()]).collect::<Vec<_>>();
    ends.rotate_right(1);
    let is_file = |end: &&usize| rest.get(..**end).is_some_and(|path| !path.is_empty() && exists(Path::new(path)));
    let end = ends.iter().find(is_file).or_else(|| ends.last()).copied().unwrap_or(rest.len());
    let (file, image) = rest.split_at(end);
    let image = image.strip_prefix(':').filter(|image| !image.is_empty()).map(Box::from);
    if let Some(image) = &image {
        let (name, tag) = match str::rsplit_once(image, ':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (&**image, None),
        };
        Repository::parse(name)?;
        tag.map(Tag::parse).transpose()?;
    }
    Ok(Reference {
        place: Place::DockerArchive { file: PathBuf::from(file), image },
        selector: Selector { tag: None, digest },
    })
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.place, self.selector)
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Reference, ReferenceError> {
        Reference::parse(text, &|_| false)
    }

    #[test]
    fn every_spelling_reads_as_what_it_means() {
        let hex = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        for (text, expected) in [
            ("registry.example/team/app:1.2", "registry.example/team/app:1.2"),
            ("docker://registry.example:5000/app", "registry.example:5000/app"),
            ("registry://localhost/app:x", "localhost/app:x"),
            ("localhost:5000/app", "localhost:5000/app"),
            ("[::1]:5000/app:1", "[::1]:5000/app:1"),
            ("app", "docker.io/library/app"),
            ("team/app:1", "docker.io/team/app:1"),
            ("oci:dir", "oci:dir"),
            ("oci:dir:tag", "oci:dir:tag"),
            ("oci:/a/b:c/d", "oci:/a/b:c/d"),
            ("ocidir://dir:tag", "oci:dir:tag"),
            ("oci-dir://dir", "oci:dir"),
            ("archive://file.tar:1", "oci-archive:file.tar:1"),
            ("docker-archive:file.tar", "docker-archive:file.tar"),
            (
                "docker-archive:file.tar:registry.example:5000/app:1",
                "docker-archive:file.tar:registry.example:5000/app:1",
            ),
        ] {
            assert_eq!(parse(text).map(|reference| reference.to_string()), Ok(expected.to_owned()), "{text}");
            let pinned = format!("{text}@sha256:{hex}");
            assert_eq!(parse(&pinned).unwrap().to_string(), format!("{expected}@sha256:{hex}"));
        }
    }

    #[test]
    fn one_registry_has_one_spelling() {
        for (text, expected) in [
            ("Registry.EXAMPLE/app", "registry.example/app"),
            ("registry.example:443/app", "registry.example/app"),
            ("registry.example:0443/app", "registry.example/app"),
            ("registry.example:05000/app", "registry.example:5000/app"),
            ("registry-1.docker.io/library/app", "docker.io/library/app"),
            ("Index.Docker.io/library/app", "docker.io/library/app"),
            ("localhost:443/app", "localhost:443/app"),
            ("[::1]:5000/app", "[::1]:5000/app"),
            ("[2001:DB8::1]/app", "[2001:db8::1]/app"),
        ] {
            assert_eq!(parse(text).map(|reference| reference.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for text in ["registry.example:+443/app", "[::1]5000/app", "[::1]:/app", "registry.example:/app"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_longest_existing_folder_wins() {
        let reference = Reference::parse("oci:a:b:c", &|path| path == Path::new("a:b")).unwrap();
        assert_eq!(reference.place, Place::Layout("a:b".into()));
        assert_eq!(reference.selector.tag, Some(Tag::parse("c").unwrap()));
        let reference = Reference::parse("oci:a:b:c", &|path| path == Path::new("a:b:c")).unwrap();
        assert_eq!(reference.selector, Selector::default());
    }

    #[test]
    fn a_docker_archive_is_split_into_file_and_image() {
        for (text, existing, file, image) in [
            ("docker-archive:a.tar:app:1", "a.tar", "a.tar", Some("app:1")),
            ("docker-archive:a.tar:app:1", "", "a.tar", Some("app:1")),
            ("docker-archive:a:b.tar:app:1", "a:b.tar", "a:b.tar", Some("app:1")),
            ("docker-archive:a:b.tar", "a:b.tar", "a:b.tar", None),
            ("docker-archive:a.tar", "", "a.tar", None),
        ] {
            let reference = Reference::parse(text, &|path| path == Path::new(existing)).unwrap();
            let expected = Place::DockerArchive { file: file.into(), image: image.map(Box::from) };
            assert_eq!(reference.place, expected, "{text}");
        }
        assert!(parse("docker-archive:a.tar:App").is_err());
    }

    #[test]
    fn what_exporters_wrote_is_named_by_its_whole_path() {
        for (text, place) in
            [("dir:out:1", Place::Folder("out:1".into())), ("tar:out.tar", Place::FolderArchive("out.tar".into()))]
        {
            let reference = parse(text).unwrap();
            assert_eq!((&reference.place, reference.to_string().as_str()), (&place, text));
        }
        assert!(parse("dir:").is_err());
    }

    #[test]
    fn names_that_no_registry_takes_are_refused() {
        for text in [
            "",
            "registry.example/App",
            "registry.example/a..b",
            "registry.example/a/",
            "registry.example/-a",
            "a b",
            "app:",
            "registry.example/app:x y",
            "http://registry.example/app",
            "registry.example/app@sha256:12",
            "regi$try.example/app",
            "registry.example:99999/app",
            "registry.example/a___b",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_tags_that_tools_keep_evidence_under_are_known() {
        let digest = Digest::sha256(b"");
        for tag in [Tag::of_referrers(&digest), Tag::of_cosign(&digest, "att"), Tag::of_cosign(&digest, "sig")] {
            assert!(tag.is_for_evidence(), "{tag}");
        }
        assert!(!Tag::parse("1.2").unwrap().is_for_evidence());
        assert!(!Tag::parse("sha256-abc").unwrap().is_for_evidence());
    }
}
