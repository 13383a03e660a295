//! The report of `attest` and `attach`: what was written, or would be.

use schemars::JsonSchema;
use serde::Serialize;

use super::parts::ImagePart;
use crate::attach::{Warning, WritePlan};
use crate::code::Code;
use crate::digest::Digest;
use crate::location::EvidenceLayout;
use crate::media_type::PredicateType;
use crate::oci::Descriptor;

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

/// The report of `attest` and `attach`, `attestry/attest/v1`.
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
    /// Blobs, by digest.
    pub blobs: Vec<Digest>,
    /// Manifests, by digest, children before parents.
    pub manifests: Vec<Digest>,
    /// The tag.
    pub tag: Option<PlannedTag>,
    /// What the user must know.
    pub warnings: Vec<WarningEntry>,
}

impl AttestReport {
    /// Reports a plan, carried out or not.
    pub fn new(image: ImagePart, attached: Vec<AttachedEntry>, plan: &WritePlan, dry_run: bool) -> Self {
        let descriptors: Vec<Descriptor> = plan.blobs.iter().map(Descriptor::of).collect();
        Self {
            schema: "attestry/attest/v1".to_owned(),
            dry_run,
            image,
            attached,
            blobs: descriptors.into_iter().map(|blob| blob.digest).collect(),
            manifests: plan.manifests.iter().map(|manifest| manifest.digest().clone()).collect(),
            tag: plan.tag.as_ref().map(|moved| PlannedTag {
                tag: moved.tag.to_string(),
                from: moved.from.clone(),
                to: moved.to.digest().clone(),
            }),
            warnings: plan.warnings.iter().map(warning).collect(),
        }
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
    };
    WarningEntry { code, message }
}
