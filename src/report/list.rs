//! The report of `list`.

use schemars::JsonSchema;
use serde::Serialize;

use super::parts::{self, ImagePart, PlatformPart, RejectionEntry};
use crate::digest::Digest;
use crate::job::Listed;
use crate::location::{EvidenceLayout, Location};
use crate::media_type::{MediaType, PredicateType};
use crate::oci::Image;

/// A statement that is attached.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ListedAttestationEntry {
    /// What it claims to be; null when nothing tells.
    pub predicate_type: Option<PredicateType>,
    /// The first way in which it was seen.
    pub layout: EvidenceLayout,
    /// All ways in which it was seen.
    pub seen: Vec<EvidenceLayout>,
    /// The manifest that lists it.
    pub manifest: Digest,
    /// The document.
    pub document: Digest,
    /// The document's form.
    pub media_type: MediaType,
    /// Length in bytes.
    pub size: u64,
    /// What it hangs on: `index`, `image`, or platforms.
    pub covers: Vec<String>,
    /// Whether a signature covers it, checked or not.
    pub signed: bool,
    /// Whether that signature is over the manifest that lists it.
    pub through_manifest: bool,
    /// Always null: nothing was verified.
    pub signers: Option<Vec<String>>,
    /// Always null: nothing was verified.
    pub times: Option<Vec<String>>,
}

/// An image signature that is attached.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ListedSignatureEntry {
    /// The first way in which it was seen.
    pub layout: EvidenceLayout,
    /// The manifest that lists it.
    pub manifest: Digest,
    /// What it hangs on: `index`, `image`, platforms, or the digest of an attestation manifest.
    pub covers: Vec<String>,
    /// `bundle`, `simple-signing` or `envelope`.
    pub kind: String,
}

/// Some other file that is attached.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ListedAttachmentEntry {
    /// What it claims to be.
    pub artifact_type: MediaType,
    /// How it was seen.
    pub layout: EvidenceLayout,
    /// The manifest that lists it.
    pub manifest: Digest,
    /// The file.
    pub document: Digest,
    /// Its name.
    pub title: Option<String>,
    /// Length in bytes.
    pub size: u64,
    /// What it hangs on.
    pub covers: Vec<String>,
}

/// The report of `list`, `attestry/list/v1`. Nothing in it is verified.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ListReport {
    /// `attestry/list/v1`.
    pub schema: String,
    /// The image.
    pub image: ImagePart,
    /// Everything in it that can be run.
    pub platforms: Vec<PlatformPart>,
    /// Statements.
    pub attestations: Vec<ListedAttestationEntry>,
    /// Image signatures.
    pub signatures: Vec<ListedSignatureEntry>,
    /// Other files.
    pub attachments: Vec<ListedAttachmentEntry>,
    /// What was listed and could not be read.
    pub rejections: Vec<RejectionEntry>,
}

impl ListReport {
    /// Reports what is attached.
    pub fn new(reference: String, listed: &Listed) -> Self {
        let image = &listed.image;
        let attestations = listed.attestations.iter().map(|known| ListedAttestationEntry {
            predicate_type: known.predicate_type.clone(),
            layout: known.location.layout,
            seen: known.location.seen.clone(),
            manifest: known.location.manifest.clone(),
            document: known.location.layer.clone(),
            media_type: known.media_type.clone(),
            size: known.size,
            covers: covers(image, &known.location),
            signed: known.signed,
            through_manifest: known.through_manifest,
            signers: None,
            times: None,
        });
        let signatures = listed.signatures.iter().map(|known| ListedSignatureEntry {
            layout: known.location.layout,
            manifest: known.location.manifest.clone(),
            covers: covers(image, &known.location),
            kind: kind(&known.media_type).to_owned(),
        });
        let attachments = listed.attachments.iter().map(|known| ListedAttachmentEntry {
            artifact_type: known.artifact_type.clone(),
            layout: known.location.layout,
            manifest: known.location.manifest.clone(),
            document: known.location.layer.clone(),
            title: known.title.clone(),
            size: known.size,
            covers: covers(image, &known.location),
        });
        Self {
            schema: "attestry/list/v1".to_owned(),
            image: ImagePart { reference, digest: image.digest().clone(), index: image.is_index() },
            platforms: parts::platforms(image),
            attestations: attestations.collect(),
            signatures: signatures.collect(),
            attachments: attachments.collect(),
            rejections: listed.rejections.iter().map(RejectionEntry::of).collect(),
        }
    }
}

fn kind(media_type: &MediaType) -> &'static str {
    if *media_type == MediaType::COSIGN_SIMPLE_SIGNING {
        "simple-signing"
    } else if media_type.is_sigstore_bundle() {
        "bundle"
    } else {
        "envelope"
    }
}

fn covers(image: &Image, location: &Location) -> Vec<String> {
    let covers = parts::covers(image, &location.hangs_on);
    if covers.is_empty() { vec![location.hangs_on.to_string()] } else { covers }
}
