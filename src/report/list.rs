//! The report of `list`.

use schemars::JsonSchema;
use serde::Serialize;

use super::coverage::{CoverageRow, coverage};
use super::parts::{self, Covers, ImagePart, PlatformPart, RejectionEntry};
use crate::digest::Digest;
use crate::job::Listed;
use crate::location::{EvidenceLayout, Sighting};
use crate::media_type::{MediaType, PredicateType};

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
    /// The document; null where the list of referrers told enough and its manifest was not read (see `--detail`).
    pub document: Option<Digest>,
    /// The document's form, or the artifact type of a manifest that was not read.
    pub media_type: MediaType,
    /// Length of the document in bytes; null like `document`.
    pub size: Option<u64>,
    /// The file that it is in, when it lies beside the image.
    pub file: Option<String>,
    /// The manifest that it hangs on, or that a file is about.
    pub subject: Digest,
    /// The same for people: `index`, `image`, or platforms.
    pub covers: Vec<String>,
    /// Whether a signature covers it, checked or not.
    pub signed: bool,
    /// Whether that signature is over the manifest that lists it.
    pub through_manifest: bool,
    /// What it says about its signers, which is a hint; null without `--detail`.
    pub signers: Option<Vec<String>>,
    /// Always null: times are for `verify` to find.
    pub times: Option<Vec<String>>,
}

/// An image signature that is attached.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ListedSignatureEntry {
    /// The first way in which it was seen.
    pub layout: EvidenceLayout,
    /// The manifest that lists it.
    pub manifest: Digest,
    /// The manifest that it hangs on.
    pub subject: Digest,
    /// The same for people: `index`, `image`, platforms, or the digest of an attestation manifest.
    pub covers: Vec<String>,
    /// `bundle`, `simple-signing` or `envelope`.
    pub kind: String,
    /// The file that it is in, when it lies beside the image.
    pub file: Option<String>,
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
    /// The file; null where its manifest was not read (see `--detail`).
    pub document: Option<Digest>,
    /// Its name; null where it has none or its manifest was not read.
    pub title: Option<String>,
    /// Length in bytes; null like `document`.
    pub size: Option<u64>,
    /// The manifest that it hangs on.
    pub subject: Digest,
    /// The same for people.
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
    /// What is about what: kinds of evidence by parts of the image.
    pub coverage: Vec<CoverageRow>,
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
        let parts = Covers::of(image);
        let attestations = listed.attestations.iter().map(|known| ListedAttestationEntry {
            predicate_type: known.predicate_type.clone(),
            layout: known.sighting.layout,
            seen: known.sighting.seen.clone(),
            manifest: known.sighting.manifest.clone(),
            document: known.document.as_ref().map(|document| document.digest.clone()),
            media_type: known.media_type.clone(),
            size: known.document.as_ref().map(|document| document.size),
            subject: known.sighting.hangs_on.clone(),
            covers: covers(&parts, &known.sighting),
            signed: known.signed,
            through_manifest: known.through_manifest,
            signers: known.signers.as_ref().map(|known| known.iter().map(|signer| signer.0.clone()).collect()),
            times: None,
            file: known.sighting.file.clone(),
        });
        let signatures = listed.signatures.iter().map(|known| ListedSignatureEntry {
            layout: known.sighting.layout,
            manifest: known.sighting.manifest.clone(),
            subject: known.sighting.hangs_on.clone(),
            covers: covers(&parts, &known.sighting),
            kind: kind(&known.media_type).to_owned(),
            file: known.sighting.file.clone(),
        });
        let attachments = listed.attachments.iter().map(|known| ListedAttachmentEntry {
            artifact_type: known.artifact_type.clone(),
            layout: known.sighting.layout,
            manifest: known.sighting.manifest.clone(),
            document: known.document.as_ref().map(|document| document.digest.clone()),
            title: known.title.clone(),
            size: known.document.as_ref().map(|document| document.size),
            subject: known.sighting.hangs_on.clone(),
            covers: covers(&parts, &known.sighting),
        });
        Self {
            schema: "attestry/list/v1".to_owned(),
            image: ImagePart { reference, digest: image.digest().clone(), index: image.is_index() },
            platforms: parts::platforms(image),
            coverage: coverage(listed),
            attestations: attestations.collect(),
            signatures: signatures.collect(),
            attachments: attachments.collect(),
            rejections: listed.rejections.iter().map(RejectionEntry::of).collect(),
        }
    }
}

fn kind(media_type: &MediaType) -> &'static str {
    if [MediaType::COSIGN_SIMPLE_SIGNING, MediaType::COSIGN_SIGNATURE].contains(media_type) {
        "simple-signing"
    } else if media_type.is_sigstore_bundle() {
        "bundle"
    } else {
        "envelope"
    }
}

fn covers(parts: &Covers<'_>, sighting: &Sighting) -> Vec<String> {
    let covers = parts.labels(&sighting.hangs_on);
    if covers.is_empty() { vec![sighting.hangs_on.to_string()] } else { covers }
}
