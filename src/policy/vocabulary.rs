//! The words of a policy file: those that are read, and those that a later version will read.
//!
//! A word that is known but not supported yet is refused by that name. Passing over it would weaken the policy.

use super::problem::{Problems, closest, quoted};
use super::yaml::Entry;

/// Keys of the whole file.
pub(super) const FILE: Words = Words { read: &["apiVersion", "kind", "metadata", "keys", "images"], later: &[] };
/// Keys of `metadata`.
pub(super) const METADATA: Words = Words { read: &["name"], later: &[] };
/// Keys of one entry of `keys`.
pub(super) const SIGNER: Words = Words {
    read: &["publicKey", "publicKeys"],
    later: &["keyless", "identity", "identityPattern", "issuer", "log", "insecureNoTime"],
};
/// Keys of one entry of `images`.
pub(super) const IMAGE: Words = Words { read: &["match", "platforms", "require"], later: &[] };

/// Conditions that every kind of demand may have one day.
const LATER: &[&str] = &[
    "builder",
    "source",
    "sourcePattern",
    "level",
    "maxAge",
    "deny",
    "failOn",
    "vex",
    "rego",
    "verifier",
    "keyless",
    "identity",
    "identityPattern",
    "issuer",
    "log",
    "insecureNoTime",
];
/// Kinds of demands, as they are written.
pub(super) const DEMANDS: &[&str] =
    &["attestation", "sbom", "provenance", "vex", "vulnerabilities", "vsa", "test-result", "signature"];
/// Short names of predicate types, for suggestions only; the caller decides which are types.
pub(super) const TYPES: &[&str] = &[
    "spdx",
    "cyclonedx",
    "openvex",
    "slsa-provenance",
    "slsa-provenance-v0.2",
    "vsa",
    "vulns",
    "test-result",
    "link",
    "scai",
    "release",
    "signature",
    "custom",
];

/// The keys that one kind of demand takes.
pub(super) fn demand(kind: &str) -> Words {
    let read: &[&str] = match kind {
        "attestation" => &["type", "signedBy", "threshold", "coverage", "through"],
        "sbom" => &["signedBy", "threshold", "coverage", "through", "format"],
        // Nothing stands between a signature and the image, so that there is nothing to go through.
        "signature" => &["signedBy", "threshold", "coverage"],
        _ => &["signedBy", "threshold", "coverage", "through"],
    };
    Words { read, later: LATER }
}

/// The keys of one kind of mapping.
#[derive(Clone, Copy)]
pub(super) struct Words {
    /// Those that are read.
    pub(super) read: &'static [&'static str],
    /// Those that are not read yet.
    pub(super) later: &'static [&'static str],
}

impl Words {
    /// Notes every key that does not belong into `place`.
    pub(super) fn check(&self, entries: &[Entry], place: &str, problems: &mut Problems) {
        for entry in entries.iter().filter(|entry| !self.read.contains(&entry.key.as_str())) {
            let key = quoted(&entry.key);
            if self.later.contains(&entry.key.as_str()) {
                let message = format!("{key} is not supported yet by this version");
                problems.add_with_hint(
                    entry.position,
                    message,
                    "without it the policy would demand less; use a newer attestry",
                );
                continue;
            }
            let message = format!("unknown key {key} in {place}");
            let hint = if let Some(meant) = closest(&entry.key, self.read.iter().chain(self.later).copied()) {
                format!("did you mean `{meant}`?")
            } else if let Some(home) = home(&entry.key) {
                format!("{key} belongs into {home}")
            } else {
                format!("{place} takes {}", list(self.read))
            };
            problems.add_with_hint(entry.position, message, hint);
        }
    }
}

/// Where a key belongs that stands in the wrong place.
fn home(key: &str) -> Option<&'static str> {
    let places = [("the file", FILE), ("an entry of `images`", IMAGE), ("an entry of `keys`", SIGNER)];
    if let Some((place, _)) = places.into_iter().find(|(_, words)| words.read.contains(&key)) {
        return Some(place);
    }
    match key {
        "type" => Some("a demand for an `attestation`"),
        "format" => Some("a demand for an `sbom`"),
        "through" => Some("a demand other than `signature`"),
        "signedBy" | "threshold" | "coverage" => Some("a demand, an item of `require`"),
        "name" => Some("`metadata`"),
        _ if DEMANDS.contains(&key) => Some("`require`"),
        _ => None,
    }
}

/// Words as a sentence lists them.
pub(super) fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn schema() -> Value {
        serde_json::from_str(include_str!("../../schemas/policy.v1.json")).unwrap()
    }

    fn keys(schema: &Value) -> Vec<String> {
        assert_eq!(schema["additionalProperties"], Value::Bool(false), "{schema}");
        let mut keys: Vec<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    }

    fn sorted(words: &[&str]) -> Vec<String> {
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        words.sort();
        words
    }

    #[test]
    fn the_published_schema_has_the_same_words() {
        let schema = schema();
        assert_eq!(keys(&schema), sorted(FILE.read));
        assert_eq!(keys(&schema["properties"]["metadata"]), sorted(METADATA.read));
        assert_eq!(keys(&schema["$defs"]["signer"]), sorted(SIGNER.read));
        assert_eq!(keys(&schema["$defs"]["image"]), sorted(IMAGE.read));
        assert_eq!(keys(&schema["$defs"]["requirement"]), sorted(DEMANDS));
        for kind in DEMANDS {
            let reference = schema["$defs"]["requirement"]["properties"][kind]["$ref"].as_str().unwrap();
            let definition = schema.pointer(reference.strip_prefix('#').unwrap()).unwrap();
            assert_eq!(keys(definition), sorted(demand(kind).read), "{kind}");
        }
    }

    #[test]
    fn no_word_is_both_read_and_not_read_yet() {
        for words in [FILE, METADATA, SIGNER, IMAGE].into_iter().chain(DEMANDS.iter().map(|kind| demand(kind))) {
            assert!(words.read.iter().all(|word| !words.later.contains(word)));
        }
    }
}
