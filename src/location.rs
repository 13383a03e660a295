//! Where a piece of evidence was seen.

use std::fmt;

use crate::digest::Digest;

/// A way of keeping evidence with an image.
///
/// The order is the order of preference when one manifest is seen in several ways.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceLayout {
    /// An attestation manifest of the index, in the form of an OCI artifact.
    IndexArtifact,
    /// An attestation manifest of the index, in the older form of an image.
    Index,
    /// A manifest whose `subject` is the image.
    Referrer,
    /// A tag made from the image's digest, as cosign 2 has it.
    Tag,
    /// A file beside the image.
    File,
}

impl EvidenceLayout {
    /// The text on the command line and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IndexArtifact => "index-artifact",
            Self::Index => "index",
            Self::Referrer => "referrer",
            Self::Tag => "tag",
            Self::File => "file",
        }
    }
}

impl fmt::Display for EvidenceLayout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Where a manifest with evidence was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The first way in which it was seen.
    pub layout: EvidenceLayout,
    /// All ways, in order.
    pub seen: Vec<EvidenceLayout>,
    /// The manifest that lists it.
    pub manifest: Digest,
    /// The manifest of the image that it hangs on, or an attestation manifest: a hint.
    pub hangs_on: Digest,
    /// The file that it is in, when it lies beside the image.
    pub file: Option<String>,
}

/// One document of evidence: which layer of which manifest, found how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The first way in which it was seen.
    pub layout: EvidenceLayout,
    /// All ways, in order.
    pub seen: Vec<EvidenceLayout>,
    /// The manifest that lists it.
    pub manifest: Digest,
    /// The document.
    pub layer: Digest,
    /// The manifest of the image that it hangs on: a hint.
    pub hangs_on: Digest,
    /// The file that it is in, when it lies beside the image.
    pub file: Option<String>,
}

impl Sighting {
    /// The place of a document that the manifest lists.
    pub fn with_document(self, document: &Digest) -> Location {
        let Self { layout, seen, manifest, hangs_on, file } = self;
        Location { layout, seen, manifest, layer: document.clone(), hangs_on, file }
    }

    /// Takes in another sighting of the same; the preferred layout leads.
    pub fn merge(&mut self, other: &Self) {
        let seen = all_ways(&self.seen, &other.seen);
        if other.layout < self.layout {
            *self = other.clone();
        }
        self.seen = seen;
    }
}

impl Location {
    /// How it is called for people: the file, or the manifest that lists it.
    pub fn place(&self) -> String {
        self.file.clone().unwrap_or_else(|| self.manifest.to_string())
    }

    /// Takes in another place of the same document; the preferred layout leads.
    pub fn merge(&mut self, other: &Self) {
        let seen = all_ways(&self.seen, &other.seen);
        if other.layout < self.layout {
            *self = other.clone();
        }
        self.seen = seen;
    }
}

fn all_ways(one: &[EvidenceLayout], other: &[EvidenceLayout]) -> Vec<EvidenceLayout> {
    let mut ways: Vec<EvidenceLayout> = one.iter().chain(other).copied().collect();
    ways.sort();
    ways.dedup();
    ways
}
