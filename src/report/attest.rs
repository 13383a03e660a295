//! The report of `attest`, `sign` and `attach`: what was written, or would be.

use schemars::JsonSchema;
use serde::Serialize;

use super::parts::ImagePart;
use crate::attach::{Removal, Warning, WritePlan};
use crate::code::Code;
use crate::digest::Digest;
use crate::location::EvidenceLayout;
use crate::media_type::PredicateType;

/// A document that was attached, or would be.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AttachedEntry {
    /// The predicate type.
    pub predicate_type: Option<PredicateType>,
    /// The manifest that it is about.
    pub subject: Digest,
    /// The platform, when it is about one.
    pub platform: Option<String>,
    /// Where it is kept.
    pub layout: EvidenceLayout,
    /// The signed document.
    pub document: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// A tag that was moved, or would be.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PlannedTag {
    /// The tag.
    pub tag: String,
    /// What it named.
    pub from: Digest,
    /// What it names now.
    pub to: Digest,
}

/// Something that the user must know.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WarningEntry {
    /// The stable code.
    pub code: Code,
    /// One sentence.
    pub message: String,
}

/// A tag for evidence that was written, or would be.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EvidenceTagEntry {
    /// The tag.
    pub tag: String,
    /// What it named; nothing when it is new.
    pub from: Option<Digest>,
    /// What it names now.
    pub to: Digest,
}

/// What was changed in the store, or would be.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WrittenPart {
    /// Blobs, by digest.
    pub blobs: Vec<Digest>,
    /// Manifests, by digest, children before parents.
    pub manifests: Vec<Digest>,
    /// Tags for evidence.
    pub evidence_tags: Vec<EvidenceTagEntry>,
    /// The image's tag.
    pub tag: Option<PlannedTag>,
    /// What was taken away: digests of manifests, and tags for evidence.
    pub removed: Vec<String>,
    /// What the user must know.
    pub warnings: Vec<WarningEntry>,
}

impl WrittenPart {
    /// Of a plan, carried out or not.
    pub fn of(plan: &WritePlan) -> Self {
        let evidence_tags = plan.evidence_tags.iter().map(|written| EvidenceTagEntry {
            tag: written.tag.to_string(),
            from: written.from.clone(),
            to: written.to.digest().clone(),
        });
        let removed = plan.removals.iter().map(|removal| match removal {
            Removal::Referrer { manifest, .. } => manifest.to_string(),
            Removal::Tag { tag, .. } => tag.to_string(),
        });
        Self {
            blobs: plan.blobs.iter().map(|blob| blob.digest().clone()).collect(),
            manifests: plan.manifests.iter().map(|manifest| manifest.digest().clone()).collect(),
            evidence_tags: evidence_tags.collect(),
            tag: plan.tag.as_ref().map(|moved| PlannedTag {
                tag: moved.tag.to_string(),
                from: moved.from.clone(),
                to: moved.to.digest().clone(),
            }),
            removed: removed.collect(),
            warnings: plan.warnings.iter().map(warning).collect(),
        }
    }
}

/// The report of `attest`, `sign` and `attach`, `attestry/attest/v1`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AttestReport {
    /// `attestry/attest/v1`.
    pub schema: String,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The image as it was.
    pub image: ImagePart,
    /// The documents.
    pub attached: Vec<AttachedEntry>,
    /// The changes.
    #[serde(flatten)]
    pub written: WrittenPart,
}

impl AttestReport {
    /// Reports a plan, carried out or not.
    pub fn new(image: ImagePart, attached: Vec<AttachedEntry>, plan: &WritePlan, dry_run: bool) -> Self {
        let schema = "attestry/attest/v1".to_owned();
        Self { schema, dry_run, image, attached, written: WrittenPart::of(plan) }
    }
}

fn warning(warning: &Warning) -> WarningEntry {
    let (code, message) = match warning {
        Warning::IndexDigestChanges { from, to } => {
            (Code::IndexDigestChanges, format!("the index {} becomes {}", from.short(), to.short()))
        }
        Warning::Wrapped { image } => {
            (Code::ImageWrapped, format!("the image {} becomes the only image of a new index", image.short()))
        }
        Warning::LeftBehind { index, referrers } => (
            Code::IndexSignatureOrphaned,
            format!("{referrers} signatures and attestations of {} are not about the new index", index.short()),
        ),
        Warning::Untagged { index } => (Code::IndexUntagged, format!("no tag names the new index {index}")),
        Warning::Unsigned { statements } => {
            (Code::Unsigned, format!("NOT SIGNED: nothing covers {}", counted(*statements, "statement")))
        }
        Warning::BlobsKept { documents } => (
            Code::BlobsKept,
            format!("{} left in the store until it is cleaned up, listed by nothing", counted(*documents, "document")),
        ),
        Warning::ManifestKept { manifest } => {
            (Code::ManifestKept, format!("the store does not delete: {manifest} is still there by its digest"))
        }
        Warning::ManifestShared { manifest, tag } => (
            Code::ManifestShared,
            format!("the index of tag {tag} lists {}: it stays, and is found as a referrer", manifest.short()),
        ),
        Warning::OldIndexBroken { index } => {
            (Code::OldIndexBroken, format!("the old index {} lists a manifest that is deleted", index.short()))
        }
    };
    WarningEntry { code, message }
}

fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
