//! Families of predicate types: short names, what they match, what they are written as.

use super::PredicateError;
use crate::media_type::PredicateType;

/// Predicate types that people call by one name.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    short: &'static str,
    aliases: &'static [&'static str],
    title: &'static str,
    /// The first is the one that is written.
    types: &'static [&'static str],
    /// Whether `<type>/v…` belongs to the family too.
    versions: bool,
    envelope: &'static str,
    /// Members of which a document has at least one of each row.
    required: &'static [&'static [&'static str]],
}

macro_rules! family {
    ($short:literal, $aliases:expr, $title:literal, $types:expr, versions: $versions:literal, $envelope:literal, $required:expr) => {
        Family {
            short: $short,
            aliases: &$aliases,
            title: $title,
            types: &$types,
            versions: $versions,
            envelope: $envelope,
            required: &$required,
        }
    };
}

/// Source: in-toto attestation predicates; slsa.dev; OpenVEX ATTESTING.md; aliases as cosign has them
/// (cmd/cosign/cli/options/predicate.go).
static FAMILIES: [Family; 16] = [
    family!("spdx", ["spdxjson"], "SPDX SBOM", ["https://spdx.dev/Document"], versions: true, "spdx", [&["spdxVersion", "@graph"]]),
    family!("cyclonedx", [], "CycloneDX SBOM", ["https://cyclonedx.org/bom"], versions: true, "cyclonedx", [&["bomFormat"], &["specVersion"]]),
    family!("openvex", [], "OpenVEX", ["https://openvex.dev/ns"], versions: true, "openvex", [&["@context"], &["statements"]]),
    family!("slsa-provenance", ["slsaprovenance1", "provenance"], "SLSA provenance v1", ["https://slsa.dev/provenance/v1"], versions: false, "provenance", [&["buildDefinition"], &["runDetails"]]),
    family!("slsa-provenance-v0.2", ["slsaprovenance", "slsaprovenance02"], "SLSA provenance v0.2", ["https://slsa.dev/provenance/v0.2"], versions: false, "provenance", [&["builder"], &["buildType"]]),
    family!("vsa", [], "verification summary", ["https://slsa.dev/verification_summary/v1"], versions: false, "vsa", [&["verifier"]]),
    family!("vulns", [], "vulnerability report", ["https://in-toto.io/attestation/vulns"], versions: true, "vulns", [&["scanner"], &["metadata"]]),
    family!("cosign-vuln", ["vuln"], "vulnerability report (cosign)", ["https://cosign.sigstore.dev/attestation/vuln/v1"], versions: false, "vuln", [&["scanner"]]),
    family!("test-result", [], "test result", ["https://in-toto.io/attestation/test-result/v0.1"], versions: false, "test-result", [&["result"]]),
    family!("link", [], "in-toto link", ["https://in-toto.io/attestation/link/v0.3", "https://in-toto.io/Link/v1"], versions: false, "link", [&["name"]]),
    family!("scai", [], "SCAI report", ["https://in-toto.io/attestation/scai"], versions: true, "scai", [&["attributes"]]),
    family!("release", [], "release", ["https://in-toto.io/attestation/release"], versions: true, "release", [&["purl"]]),
    family!("svr", [], "simple verification result", ["https://in-toto.io/attestation/svr"], versions: true, "svr", [&["verifier"]]),
    family!("reference", [], "reference", ["https://in-toto.io/attestation/reference"], versions: true, "reference", []),
    family!("signature", [], "image signature", ["https://sigstore.dev/cosign/sign/v1"], versions: false, "custom", []),
    family!("custom", [], "custom predicate", ["https://cosign.sigstore.dev/attestation/v1"], versions: false, "custom", []),
];

impl Family {
    /// The family of a short name or one of its aliases.
    pub fn named(name: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.short == name || family.aliases.contains(&name))
    }

    /// The family that a predicate type belongs to.
    pub fn of(predicate_type: &PredicateType) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.contains(predicate_type))
    }

    /// Whether a statement of this type says that an image is signed, and nothing else about it.
    pub fn signs_images(predicate_type: &PredicateType) -> bool {
        Self::of(predicate_type) == Self::named("signature")
    }

    /// All short names.
    pub fn short_names() -> impl Iterator<Item = &'static str> {
        FAMILIES.iter().map(|family| family.short)
    }

    /// The name that people type.
    pub const fn short(&self) -> &'static str {
        self.short
    }

    /// The name that people read.
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// Members without which a document is not of this family: at least one of each row.
    pub(super) const fn required(&self) -> &'static [&'static [&'static str]] {
        self.required
    }

    /// The word in `application/vnd.in-toto.<word>+dsse`.
    pub const fn envelope_name(&self) -> &'static str {
        self.envelope
    }

    /// Whether the type is one of the family: an exact URI, or for versioned families `<uri>/v…`.
    pub fn contains(&self, predicate_type: &PredicateType) -> bool {
        let text = predicate_type.as_str();
        let version = |known: &str| {
            let rest = text.strip_prefix(known).and_then(|rest| rest.strip_prefix("/v")).unwrap_or_default();
            let digits = rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            digits && rest.starts_with(|first: char| first.is_ascii_digit())
        };
        self.types.iter().any(|known| *known == text || (self.versions && version(known)))
    }
}

/// What `--type` names: a family by its short name, or one URI that means itself only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeSelector {
    /// A short name.
    Family(&'static Family),
    /// A URI.
    Uri(PredicateType),
}

impl TypeSelector {
    /// Reads a short name or a URI.
    ///
    /// # Errors
    /// [`PredicateError::UnknownType`], with the short name that was perhaps meant.
    ///
    /// ```
    /// use attestry::{media_type::PredicateType, predicate::TypeSelector};
    /// let spdx = TypeSelector::parse("spdx").unwrap();
    /// assert!(spdx.matches(&PredicateType::new("https://spdx.dev/Document/v2.3")));
    /// assert!(TypeSelector::parse("spxd").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, PredicateError> {
        if let Some(family) = Family::named(text) {
            return Ok(Self::Family(family));
        }
        let scheme = text.split_once(':').map(|(scheme, rest)| (scheme, !rest.is_empty()));
        let is_scheme = |scheme: &str| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        };
        let plain = !text.chars().any(|character| character.is_whitespace() || character.is_control());
        match scheme {
            Some((scheme, true)) if is_scheme(scheme) && plain => Ok(Self::Uri(PredicateType::new(text))),
            _ => Err(PredicateError::UnknownType { text: text.to_owned(), similar: similar_name(text) }),
        }
    }

    /// Whether a verified statement's predicate type is meant.
    pub fn matches(&self, predicate_type: &PredicateType) -> bool {
        match self {
            Self::Family(family) => family.contains(predicate_type),
            Self::Uri(uri) => uri == predicate_type,
        }
    }

    /// The type that a new statement gets.
    pub fn written(&self) -> PredicateType {
        match self {
            Self::Family(family) => PredicateType::new(match family.short {
                // Families whose bare URI was never a type of its own.
                "vulns" => "https://in-toto.io/attestation/vulns/v0.2",
                "scai" => "https://in-toto.io/attestation/scai/v0.3",
                "release" => "https://in-toto.io/attestation/release/v0.1",
                "svr" => "https://in-toto.io/attestation/svr/v0.2",
                "reference" => "https://in-toto.io/attestation/reference/v0.1",
                _ => family.types.first().copied().unwrap_or_default(),
            }),
            Self::Uri(uri) => uri.clone(),
        }
    }

    /// The family that it names or belongs to.
    pub fn family(&self) -> Option<&'static Family> {
        match self {
            Self::Family(family) => Some(family),
            Self::Uri(uri) => Family::of(uri),
        }
    }

    /// The text that a user would type.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Family(family) => family.short,
            Self::Uri(uri) => uri.as_str(),
        }
    }
}

fn similar_name(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    // What people call the kinds of document, where the types have other names.
    match lower.as_str() {
        "vex" => return Some("openvex"),
        "sbom" => return Some("spdx"),
        "slsa" => return Some("slsa-provenance"),
        _ => {}
    }
    let near = Family::short_names().map(|name| (edit_distance(&lower, name), name)).min()?;
    (near.0 <= 2 && near.0 < lower.len()).then_some(near.1)
}

/// Insertions, deletions, replacements and swaps of neighbours between two short texts.
fn edit_distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().take(64).collect(), right.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (row, from) in left.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, to) in right.iter().enumerate() {
            let above = rows.get(row).and_then(|known| known.get(column)).copied().unwrap_or(0);
            let up = rows.get(row).and_then(|known| known.get(column + 1)).copied().unwrap_or(0);
            let mut best =
                (above + usize::from(from != to)).min(up + 1).min(next.get(column).copied().unwrap_or(0) + 1);
            let swapped = row > 0 && column > 0 && left.get(row - 1) == Some(to) && right.get(column - 1) == Some(from);
            if let (true, Some(before)) =
                (swapped, rows.get(row.wrapping_sub(1)).and_then(|known| known.get(column.wrapping_sub(1))))
            {
                best = best.min(before + 1);
            }
            next.push(best);
        }
        rows.push(next);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, uri: &str) -> bool {
        TypeSelector::parse(selector).unwrap().matches(&PredicateType::new(uri))
    }

    #[test]
    fn a_short_name_stands_for_its_family_and_nothing_beside_it() {
        for (name, uri, expected) in [
            ("spdx", "https://spdx.dev/Document", true),
            ("spdx", "https://spdx.dev/Document/v2.3", true),
            ("spdx", "https://spdx.dev/Document/vandal", false),
            ("spdx", "https://spdx.dev/Documents", false),
            ("spdx", "https://spdx.dev/Document/2.3", false),
            ("spdx", "https://spdx.dev/Document/v2.3-or-else", false),
            ("cyclonedx", "https://cyclonedx.org/bom/v1.6", true),
            ("openvex", "https://openvex.dev/ns/v0.2.0", true),
            ("slsa-provenance", "https://slsa.dev/provenance/v1", true),
            ("slsa-provenance", "https://slsa.dev/provenance/v0.2", false),
            ("slsa-provenance", "https://slsa.dev/provenance/v1/v2", false),
            ("https://spdx.dev/Document", "https://spdx.dev/Document/v2.3", false),
        ] {
            assert_eq!(matches(name, uri), expected, "{name} {uri}");
        }
    }

    #[test]
    fn a_misspelt_name_is_answered_with_the_right_one() {
        for (text, expected) in [("spxd", Some("spdx")), ("openvx", Some("openvex")), ("zzz", None)] {
            let Err(PredicateError::UnknownType { similar, .. }) = TypeSelector::parse(text) else { panic!("{text}") };
            assert_eq!(similar, expected, "{text}");
        }
    }

    #[test]
    fn what_a_short_name_writes_it_also_matches() {
        for name in Family::short_names() {
            let selector = TypeSelector::parse(name).unwrap();
            assert!(selector.matches(&selector.written()), "{name}");
        }
    }
}
