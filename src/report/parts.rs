//! Parts that several reports share.

use schemars::JsonSchema;
use serde::Serialize;

use crate::code::Code;
use crate::digest::Digest;
use crate::job::Rejection;
use crate::location::EvidenceLayout;
use crate::media_type::PredicateType;
use crate::oci::Image;
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

/// What a digest of the image stands for: `index`, a platform, or `image` for a single manifest.
pub(super) fn covers(image: &Image, about: &Digest) -> Vec<String> {
    if about == image.digest() {
        return vec![if image.is_index() { "index".to_owned() } else { "image".to_owned() }];
    }
    let parts =
        image.platforms().iter().filter(|part| part.descriptor.digest == *about || part.held_by.contains(about));
    let mut labels: Vec<String> = parts.map(crate::oci::PlatformManifest::label).collect();
    labels.dedup();
    labels
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
