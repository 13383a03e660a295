//! The list of our own dependencies, read from the text of `Cargo.lock`.
//!
//! Cargo writes the file in one fixed shape: `[[package]]` tables of quoted strings and arrays of them, one a line.
//! Only that shape is read; everything else is refused, so that a change of the format shows and drops nothing.
//!
//! Source: Cargo Book, "Cargo.toml vs Cargo.lock"; cargo, `src/cargo/core/resolver/encode.rs` (versions 3 and 4).

use std::collections::{BTreeSet, VecDeque};

use crate::digest::{Digest, DigestAlgorithm, DigestError};

/// Where crates.io is, as the file writes it.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Why a text is no `Cargo.lock` that we read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LockError {
    /// A line that Cargo does not write.
    #[error("Cargo.lock, line {line}: not understood")]
    Line {
        /// Its number, from 1.
        line: usize,
    },
    /// A format version that is not known here.
    #[error("Cargo.lock has format version {version}; 3 and 4 are read")]
    Version {
        /// What the file says.
        version: String,
    },
    /// A package without a name or version.
    #[error("Cargo.lock, line {line}: a package without `{field}`")]
    Field {
        /// Where the package starts.
        line: usize,
        /// What is missing.
        field: &'static str,
    },
    /// A checksum that is no SHA-256.
    #[error("Cargo.lock: checksum of {package}: {cause}")]
    Checksum {
        /// The package.
        package: String,
        /// Why.
        cause: DigestError,
    },
    /// A dependency that is no package of the file, or several.
    #[error("Cargo.lock: {package} depends on `{dependency}`, which is {matches} packages of the file")]
    Dependency {
        /// Who depends.
        package: String,
        /// On what, as it was written.
        dependency: String,
        /// How many packages that is.
        matches: usize,
    },
    /// The package that everything starts from is missing.
    #[error("Cargo.lock has no package {name}")]
    NoRoot {
        /// Its name.
        name: String,
    },
}

/// One `[[package]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// The name of the crate.
    pub(crate) name: String,
    /// Its exact version.
    pub(crate) version: String,
    /// Where it came from; `None` for the packages of the workspace.
    pub(crate) source: Option<String>,
    /// SHA-256 of the `.crate` file, for crates from a registry.
    pub(crate) checksum: Option<Digest>,
    /// What it needs, as written: `name`, `name version` or `name version (source)`.
    pub(crate) dependencies: Vec<String>,
}

impl Package {
    /// The package URL. Source: purl-spec, types/cargo; `+` of build metadata is percent-encoded.
    pub(crate) fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"))
    }

    /// Where the `.crate` file is, when it comes from crates.io.
    pub(crate) fn download(&self) -> Option<String> {
        let known = self.source.as_deref() == Some(CRATES_IO);
        known.then(|| format!("https://static.crates.io/crates/{0}/{0}-{1}.crate", self.name, self.version))
    }

    fn is(&self, dependency: &str) -> bool {
        let mut words = dependency.splitn(3, ' ');
        let source = |text: &str| Some(text) == self.source.as_ref().map(|source| format!("({source})")).as_deref();
        words.next() == Some(self.name.as_str())
            && words.next().is_none_or(|version| version == self.version)
            && words.next().is_none_or(source)
    }
}

/// Reads the text of a `Cargo.lock`.
///
/// Does not check that dependencies exist; [`closure`] does.
///
/// # Errors
/// [`LockError::Line`], [`LockError::Version`], [`LockError::Field`], [`LockError::Checksum`].
pub(crate) fn parse(text: &str) -> Result<Vec<Package>, LockError> {
    let mut packages = Vec::new();
    let mut lines = text.lines().zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#')).peekable();
    while let Some((line, number)) = lines.next() {
        if line == "[[package]]" {
            let fields = std::iter::from_fn(|| lines.next_if(|(line, _)| !line.starts_with('[')));
            packages.push(package(fields, number)?);
        } else if let Some(version) = line.strip_prefix("version = ") {
            if !matches!(version, "3" | "4") {
                return Err(LockError::Version { version: version.to_owned() });
            }
        } else {
            return Err(LockError::Line { line: number });
        }
    }
    Ok(packages)
}

fn package<'a>(mut fields: impl Iterator<Item = (&'a str, usize)>, start: usize) -> Result<Package, LockError> {
    let (mut name, mut version, mut source, mut checksum) = (None, None, None, None);
    let mut dependencies = Vec::new();
    while let Some((line, number)) = fields.next() {
        let wrong = || LockError::Line { line: number };
        let (key, value) = line.split_once(" = ").ok_or_else(wrong)?;
        if (key, value) == ("dependencies", "[") {
            loop {
                match fields.next().map(|(item, number)| (item.trim(), number)) {
                    Some(("]", _)) => break,
                    Some((item, number)) => {
                        let item = item.strip_suffix(',').and_then(quoted).ok_or(LockError::Line { line: number })?;
                        dependencies.push(item.to_owned());
                    }
                    None => return Err(wrong()),
                }
            }
            continue;
        }
        let value = quoted(value).ok_or_else(wrong)?.to_owned();
        match key {
            "name" => name = Some(value),
            "version" => version = Some(value),
            "source" => source = Some(value),
            "checksum" => checksum = Some(value),
            // The package that this one replaces; `[replace]` is deprecated, and we have none.
            _ => return Err(wrong()),
        }
    }
    let name = name.ok_or(LockError::Field { line: start, field: "name" })?;
    let version = version.ok_or(LockError::Field { line: start, field: "version" })?;
    let checksum = checksum.map(|hex| Digest::from_hex(DigestAlgorithm::Sha256, &hex)).transpose();
    let checksum = checksum.map_err(|cause| LockError::Checksum { package: name.clone(), cause })?;
    Ok(Package { name, version, source, checksum, dependencies })
}

/// The inside of a string without escapes, which names, versions and sources never need.
fn quoted(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains(['"', '\\'])).then_some(inner)
}

/// A package and what it needs.
#[derive(Debug, Clone)]
pub(crate) struct Linked<'a> {
    /// The package.
    pub(crate) package: &'a Package,
    /// Its direct dependencies, in the order of the file.
    pub(crate) needs: Vec<&'a Package>,
}

/// The package of that name, which is first, and everything that it leads to, each once, nearest first.
///
/// The file does not say on which platforms or for which purpose a dependency is needed, so that this holds crates of
/// other systems, of tests and of the build as well.
///
/// # Errors
/// [`LockError::NoRoot`], [`LockError::Dependency`].
pub(crate) fn closure<'a>(packages: &'a [Package], root: &str) -> Result<Vec<Linked<'a>>, LockError> {
    let local = packages.iter().position(|package| package.name == root && package.source.is_none());
    let root = local.ok_or_else(|| LockError::NoRoot { name: root.to_owned() })?;
    let mut seen = BTreeSet::from([root]);
    let mut waiting = VecDeque::from([root]);
    let mut linked = Vec::new();
    while let Some(package) = waiting.pop_front().and_then(|index| packages.get(index)) {
        let mut needs = Vec::new();
        for dependency in &package.dependencies {
            let found: Vec<_> = packages.iter().enumerate().filter(|(_, other)| other.is(dependency)).collect();
            let [(index, needed)] = found.as_slice() else {
                let (dependency, matches) = (dependency.clone(), found.len());
                return Err(LockError::Dependency { package: package.name.clone(), dependency, matches });
            };
            needs.push(*needed);
            if seen.insert(*index) {
                waiting.push_back(*index);
            }
        }
        linked.push(Linked { package, needs });
    }
    Ok(linked)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The lock file of this very package.
    pub(in crate::cli::demo) const OWN: &str = include_str!("../../../Cargo.lock");

    const SMALL: &str = r#"# This file is automatically @generated by Cargo.
# It is not intended for manual editing.
version = 4

[[package]]
name = "a"
version = "0.1.0"
dependencies = [
 "b",
 "c 2.0.0",
]

[[package]]
name = "b"
version = "1.0.0+x"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "e7e9cc8b1b85264074fbcc02a88680c4096b1e47df8f739dceb03bf482f04bd6"
dependencies = [
 "c 1.0.0",
]

[[package]]
name = "c"
version = "1.0.0"
source = "git+https://example.com/c#0123"

[[package]]
name = "c"
version = "2.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"

[[package]]
name = "unused"
version = "9.0.0"
"#;

    #[test]
    fn packages_and_the_graph_between_them_are_read() {
        let packages = parse(SMALL).unwrap();
        assert_eq!(packages.len(), 5);
        assert_eq!(packages[1].purl(), "pkg:cargo/b@1.0.0%2Bx");
        assert_eq!(packages[1].download().unwrap(), "https://static.crates.io/crates/b/b-1.0.0+x.crate");
        assert_eq!(packages[2].download(), None);
        let linked = closure(&packages, "a").unwrap();
        let names: Vec<String> = linked.iter().map(|linked| linked.package.purl()).collect();
        assert_eq!(names, ["pkg:cargo/a@0.1.0", "pkg:cargo/b@1.0.0%2Bx", "pkg:cargo/c@2.0.0", "pkg:cargo/c@1.0.0"]);
        assert_eq!(linked[1].needs, [&packages[2]]);
    }

    #[test]
    fn our_own_lock_file_is_read_whole() {
        let packages = parse(OWN).unwrap();
        assert_eq!(packages.len(), OWN.matches("[[package]]").count());
        assert_eq!(
            packages.iter().filter(|package| package.checksum.is_some()).count(),
            OWN.matches("\nchecksum = ").count()
        );
        let linked = closure(&packages, "attestry").unwrap();
        assert_eq!(linked[0].package.version, env!("CARGO_PKG_VERSION"));
        assert!(linked.iter().any(|linked| linked.package.name == "aws-lc-sys"));
    }

    #[test]
    fn lines_that_cargo_does_not_write_are_refused() {
        for (from, to, line) in [
            ("name = \"a\"", "name = 'a'", 6),
            ("name = \"a\"", "name=\"a\"", 6),
            ("name = \"a\"", "name = \"a\\u0062\"", 6),
            (" \"b\",", " b,", 9),
            ("name = \"unused\"", "replace = \"unused\"", 33),
            ("\n[[package]]\nname = \"unused\"", "\n[metadata]\nname = \"unused\"", 32),
        ] {
            assert_eq!(parse(&SMALL.replacen(from, to, 1)), Err(LockError::Line { line }), "{to}");
        }
        let version = SMALL.replace("version = 4", "version = 5");
        assert_eq!(parse(&version), Err(LockError::Version { version: "5".to_owned() }));
        let nameless = SMALL.replace("name = \"unused\"\n", "");
        assert_eq!(parse(&nameless), Err(LockError::Field { line: 32, field: "name" }));
        assert!(matches!(parse(&SMALL.replace("e7e9", "E7E9")), Err(LockError::Checksum { .. })));
    }

    #[test]
    fn a_dependency_that_is_missing_or_ambiguous_is_refused() {
        for (dependency, matches) in [("c", 2), ("d", 0), ("c 3.0.0", 0), ("c 2.0.0 (git+https://example.com/c)", 0)] {
            let packages = parse(&SMALL.replace("c 2.0.0", dependency)).unwrap();
            let expected =
                LockError::Dependency { package: "a".to_owned(), dependency: dependency.to_owned(), matches };
            assert_eq!(closure(&packages, "a").unwrap_err(), expected);
        }
        let packages = parse(SMALL).unwrap();
        assert_eq!(closure(&packages, "b").unwrap_err(), LockError::NoRoot { name: "b".to_owned() });
    }

    #[test]
    fn a_cut_off_file_never_panics() {
        for end in 0..SMALL.len() {
            let _ = parse(SMALL.get(..end).unwrap()).map(|packages| closure(&packages, "a").is_ok());
        }
    }
}
