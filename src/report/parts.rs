//! Parts that several reports share.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::code::Code;
use crate::digest::Digest;
use crate::job::Rejection;
use crate::location::EvidenceLayout;
use crate::media_type::PredicateType;
use crate::oci::{Image, PlatformManifest};
use crate::verify::Signer;

/// The image, as it was named and as it was resolved.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ImagePart {
    /// What the user typed, in its usual spelling.
    pub reference: String,
    /// What it named at that moment.
    pub digest: Digest,
    /// Whether it is an index.
    pub index: bool,
}

/// Something of the image that can be run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PlatformPart {
    /// `os/architecture[/variant]`; null for a single manifest, whose platform no index gives.
    pub platform: Option<String>,
    /// Its manifest.
    pub digest: Digest,
}

/// Who signed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SignerEntry {
    /// SHA-256 of the public key's DER form.
    pub key: Digest,
    /// The key's algorithm.
    pub algorithm: String,
    /// The name that the policy, or the file, gives the key.
    pub name: Option<String>,
}

/// Something that was seen and does not count.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RejectionEntry {
    /// The manifest, tag or listing.
    #[serde(rename = "where")]
    pub place: String,
    /// The document in it, when it came that far.
    pub document: Option<Digest>,
    /// How it was seen.
    pub layout: EvidenceLayout,
    /// What annotations say that it is. Not verified.
    pub predicate_type: Option<PredicateType>,
    /// The stable code.
    pub code: Code,
    /// One sentence.
    pub message: String,
}

impl RejectionEntry {
    pub(super) fn of(rejection: &Rejection) -> Self {
        Self {
            place: rejection.manifest.clone(),
            document: rejection.layer.clone(),
            layout: rejection.layout,
            predicate_type: rejection.predicate_type.clone(),
            code: rejection.code,
            message: rejection.message.clone(),
        }
    }
}

/// Whether a reference names what an exporter wrote: files instead of an image.
pub(super) fn is_export(reference: &str) -> bool {
    reference.starts_with("dir:") || reference.starts_with("tar:")
}

pub(super) fn platforms(image: &Image) -> Vec<PlatformPart> {
    image
        .platforms()
        .iter()
        .map(|part| PlatformPart {
            platform: part.platform.as_ref().map(ToString::to_string),
            digest: part.descriptor.digest.clone(),
        })
        .collect()
}

/// What digests of an image stand for: `index`, a platform, or `image` for a single manifest.
///
/// Made once for an image and asked for each digest: an export may have a hundred thousand parts.
pub(super) struct Covers<'a> {
    image: &'a Image,
    parts: HashMap<&'a Digest, Vec<&'a PlatformManifest>>,
}

impl<'a> Covers<'a> {
    pub(super) fn of(image: &'a Image) -> Self {
        let mut parts: HashMap<&Digest, Vec<&PlatformManifest>> = HashMap::new();
        for part in image.platforms() {
            for digest in std::iter::once(&part.descriptor.digest).chain(&part.held_by) {
                parts.entry(digest).or_default().push(part);
            }
        }
        Self { image, parts }
    }

    /// The labels of what a digest stands for; none when it is not of the image.
    pub(super) fn labels(&self, about: &Digest) -> Vec<String> {
        if about == self.image.digest() {
            return vec![if self.image.is_index() { "index".to_owned() } else { "image".to_owned() }];
        }
        let mut labels: Vec<String> = self.parts.get(about).into_iter().flatten().map(|part| part.label()).collect();
        labels.dedup();
        labels
    }

    pub(super) fn labels_of_all(&self, about: &[Digest]) -> Vec<String> {
        about.iter().flat_map(|digest| self.labels(digest)).collect()
    }
}

/// Names that are spelled out for people. An export may have a hundred thousand files.
const NAMES: usize = 30;

/// A few names, and how many more there are.
pub(super) fn some_of(names: &[impl AsRef<str>]) -> String {
    let named: Vec<&str> = names.iter().take(NAMES).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(NAMES) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

pub(super) fn signers(signers: &[Signer], names: &dyn Fn(&Digest) -> Option<String>) -> Vec<SignerEntry> {
    signers
        .iter()
        .map(|signer| SignerEntry {
            key: signer.fingerprint().clone(),
            algorithm: signer.algorithm().to_string(),
            name: names(signer.fingerprint()),
        })
        .collect()
}
