//! The SBOM that the demo attaches: our own binary and the crates of its lock file, as SPDX 2.3.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::lock::{Linked, LockError, Package, closure};
use crate::digest::Digest;

/// The program that the demo's documents are about.
pub(crate) struct Program<'a> {
    /// Its name, which is that of its package in the lock file.
    pub(crate) name: &'a str,
    /// Its version.
    pub(crate) version: &'a str,
    /// The digest of the executable's bytes.
    pub(crate) digest: &'a Digest,
}

/// What the list cannot know, said in the document itself.
const COMMENT: &str = "The packages are those of Cargo.lock, reached from the program's own package. The lock file \
covers all platforms and build scripts, so that the list also holds crates that are not in this executable. \
Checksums of crates are those of their .crate files. Licences were not looked at.";

/// An SPDX 2.3 document in JSON: the executable, and one package for each crate of the lock file that it leads to.
///
/// The same input gives the same bytes. Nothing is looked up; a crate from elsewhere than crates.io has no download
/// location.
///
/// # Errors
/// [`LockError::NoRoot`] and [`LockError::Dependency`] from walking the lock file.
///
/// Source: SPDX 2.3, clauses 6 (document), 7 (packages), 11 (relationships).
pub(crate) fn spdx(packages: &[Package], program: &Program<'_>, now: Timestamp) -> Result<Vec<u8>, LockError> {
    let linked = closure(packages, program.name)?;
    let ids = identifiers(&linked);
    let mut described = vec![executable(program)];
    described.extend(linked.iter().skip(1).map(|linked| library(linked.package, identifier(&ids, linked.package))));
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", EXECUTABLE)];
    for Linked { package, needs } in &linked {
        let needs =
            needs.iter().map(|needed| relationship(identifier(&ids, package), "DEPENDS_ON", identifier(&ids, needed)));
        relationships.extend(needs);
    }
    let Program { name, version, digest } = program;
    let document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{name}-{version}"),
        "documentNamespace": format!(
            "https://example.com/attestry/demo/spdx/{name}-{version}-{}-{}",
            digest.algorithm().as_str(),
            digest.hex()
        ),
        "creationInfo": {"created": seconds(now), "creators": [format!("Tool: attestry-{version}")]},
        "comment": COMMENT,
        "packages": described,
        "relationships": relationships,
    });
    Ok(document.to_string().into_bytes())
}

/// A time as SPDX demands it and as the other documents of the demo write it: UTC, whole seconds.
///
/// Source: SPDX 2.3, 6.9 "Created".
pub(super) fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

const EXECUTABLE: &str = "SPDXRef-Executable";

fn executable(program: &Program<'_>) -> Value {
    json!({
        "SPDXID": EXECUTABLE,
        "name": program.name,
        "versionInfo": program.version,
        "primaryPackagePurpose": "APPLICATION",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "checksums": [checksum(program.digest)],
        "externalRefs": [purl(&format!("pkg:generic/{}@{}", program.name, program.version))],
    })
}

fn library(package: &Package, id: &str) -> Value {
    let mut value = json!({
        "SPDXID": id,
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": package.download().unwrap_or_else(|| "NOASSERTION".to_owned()),
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [purl(&package.purl())],
    });
    if let (Some(digest), Some(object)) = (&package.checksum, value.as_object_mut()) {
        object.insert("checksums".to_owned(), json!([checksum(digest)]));
    }
    value
}

fn checksum(digest: &Digest) -> Value {
    json!({"algorithm": digest.algorithm().as_str().to_ascii_uppercase(), "checksumValue": digest.hex()})
}

fn purl(locator: &str) -> Value {
    json!({"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": locator})
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

type Key<'a> = (&'a str, &'a str, Option<&'a str>);

fn key(package: &Package) -> Key<'_> {
    (&package.name, &package.version, package.source.as_deref())
}

fn identifier<'a>(ids: &'a BTreeMap<Key<'a>, String>, package: &'a Package) -> &'a str {
    // All packages of the closure have one; SPDX's word for the unknown stands in so that nothing can panic.
    ids.get(&key(package)).map_or("NOASSERTION", String::as_str)
}

/// An identifier for each package: letters, digits, `.` and `-` only, no two the same.
///
/// Source: SPDX 2.3, 7.2 "Package SPDX identifier field".
fn identifiers<'a>(linked: &[Linked<'a>]) -> BTreeMap<Key<'a>, String> {
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for (index, package) in linked.iter().map(|linked| linked.package).enumerate() {
        let allowed =
            |character: char| if character.is_ascii_alphanumeric() || character == '.' { character } else { '-' };
        let words: String = format!("{}-{}", package.name, package.version).chars().map(allowed).collect();
        // `a_b` and `a-b` become one word, and two sources can have the same name and version.
        let count = used.entry(words.clone()).and_modify(|count| *count += 1).or_insert(1);
        let id = match (index, *count) {
            (0, _) => EXECUTABLE.to_owned(),
            (_, 1) => format!("SPDXRef-Crate-{words}"),
            (_, count) => format!("SPDXRef-Crate{count}-{words}"),
        };
        ids.insert(key(package), id);
    }
    ids
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::super::lock::{self, tests::OWN};
    use super::*;

    pub(in crate::cli::demo) fn now() -> Timestamp {
        "2026-08-27T12:34:56.789Z".parse().unwrap()
    }

    pub(in crate::cli::demo) fn with_program<T>(use_it: impl FnOnce(&Program<'_>) -> T) -> T {
        let digest = Digest::sha256(b"the executable");
        use_it(&Program { name: "attestry", version: env!("CARGO_PKG_VERSION"), digest: &digest })
    }

    fn document() -> Value {
        let packages = lock::parse(OWN).unwrap();
        serde_json::from_slice(&with_program(|program| spdx(&packages, program, now())).unwrap()).unwrap()
    }

    #[test]
    fn every_crate_of_the_lock_file_is_one_package_with_its_purl_and_checksum() {
        let document = document();
        let packages = lock::parse(OWN).unwrap();
        let linked = closure(&packages, "attestry").unwrap();
        let listed = document["packages"].as_array().unwrap();
        assert_eq!(listed.len(), linked.len());
        for (linked, value) in linked.iter().zip(listed).skip(1) {
            assert_eq!(value["externalRefs"][0]["referenceLocator"], linked.package.purl());
            let checksum = value["checksums"][0]["checksumValue"].as_str();
            assert_eq!(checksum, linked.package.checksum.as_ref().map(Digest::hex));
        }
        assert_eq!(listed[0]["primaryPackagePurpose"], "APPLICATION");
        assert_eq!(listed[0]["checksums"][0]["algorithm"], "SHA256");
    }

    #[test]
    fn identifiers_are_unique_and_relationships_lead_to_them() {
        let document = document();
        let listed = document["packages"].as_array().unwrap();
        let ids: BTreeSet<&str> = listed.iter().map(|package| package["SPDXID"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), listed.len());
        for id in &ids {
            let word = id.strip_prefix("SPDXRef-").unwrap();
            assert!(word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)), "{id}");
        }
        let relationships = document["relationships"].as_array().unwrap();
        assert_eq!(relationships[0], relationship("SPDXRef-DOCUMENT", "DESCRIBES", EXECUTABLE));
        let mut reached = BTreeSet::from([EXECUTABLE]);
        for relationship in relationships.iter().skip(1) {
            assert_eq!(relationship["relationshipType"], "DEPENDS_ON");
            assert!(ids.contains(relationship["spdxElementId"].as_str().unwrap()));
            reached.insert(relationship["relatedSpdxElement"].as_str().unwrap());
        }
        assert_eq!(reached, ids, "every package is reached");
    }

    #[test]
    fn crates_of_one_name_and_version_from_two_places_keep_apart() {
        let text = concat!(
            "[[package]]\nname = \"p\"\nversion = \"1.0.0\"\ndependencies = [\n",
            " \"x_y 1.0.0 (git+https://example.com/1)\",\n \"x_y 1.0.0 (git+https://example.com/2)\",\n \"x-y\",\n]\n",
        );
        let crates = [
            "x_y\"\nversion = \"1.0.0\"\nsource = \"git+https://example.com/1",
            "x_y\"\nversion = \"1.0.0\"\nsource = \"git+https://example.com/2",
            "x-y\"\nversion = \"1.0.0",
        ];
        let text =
            crates.iter().fold(text.to_owned(), |text, fields| format!("{text}\n[[package]]\nname = \"{fields}\"\n"));
        let packages = lock::parse(&text).unwrap();
        let ids = identifiers(&closure(&packages, "p").unwrap());
        let ids: BTreeSet<String> = ids.into_values().collect();
        let expected = ["SPDXRef-Crate-x-y-1.0.0", "SPDXRef-Crate2-x-y-1.0.0", "SPDXRef-Crate3-x-y-1.0.0", EXECUTABLE];
        assert_eq!(ids, expected.into_iter().map(str::to_owned).collect());
    }

    #[test]
    fn the_document_says_when_and_what_it_is_and_comes_out_the_same_twice() {
        let document = document();
        assert_eq!(document["spdxVersion"], "SPDX-2.3");
        assert_eq!(document["creationInfo"]["created"], "2026-08-27T12:34:56Z");
        assert!(document["documentNamespace"].as_str().unwrap().ends_with(Digest::sha256(b"the executable").hex()));
        assert!(document["comment"].as_str().unwrap().contains("all platforms and build scripts"));
        let packages = lock::parse(OWN).unwrap();
        let again = || with_program(|program| spdx(&packages, program, now())).unwrap();
        assert_eq!(again(), again());
    }
}
