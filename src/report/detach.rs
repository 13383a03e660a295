//! The report of `detach`: what was taken off, or would be.

use schemars::JsonSchema;
use serde::Serialize;

use super::attest::WrittenPart;
use super::parts::ImagePart;
use crate::attach::WritePlan;
use crate::digest::Digest;
use crate::job::DetachedDocument;
use crate::location::EvidenceLayout;
use crate::media_type::PredicateType;

/// A document that was taken off, or would be.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DetachedEntry {
    /// What it claims to be. Not verified.
    pub predicate_type: Option<PredicateType>,
    /// The ways in which it was kept there.
    pub layouts: Vec<EvidenceLayout>,
    /// The manifest that listed it.
    pub manifest: Digest,
    /// The document.
    pub document: Digest,
    /// The manifest that it hung on.
    pub subject: Digest,
}

impl DetachedEntry {
    /// Of a document.
    pub fn of(document: &DetachedDocument) -> Self {
        Self {
            predicate_type: document.predicate_type.clone(),
            layouts: document.layouts.clone(),
            manifest: document.manifest.clone(),
            document: document.document.clone(),
            subject: document.hangs_on.clone(),
        }
    }
}

/// The report of `detach`, `attestry/detach/v1`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DetachReport {
    /// `attestry/detach/v1`.
    pub schema: String,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The image as it was.
    pub image: ImagePart,
    /// The documents.
    pub detached: Vec<DetachedEntry>,
    /// The changes.
    #[serde(flatten)]
    pub written: WrittenPart,
}

impl DetachReport {
    /// Reports a plan, carried out or not.
    pub fn new(image: ImagePart, detached: &[DetachedDocument], plan: &WritePlan, dry_run: bool) -> Self {
        let detached = detached.iter().map(DetachedEntry::of).collect();
        Self { schema: "attestry/detach/v1".to_owned(), dry_run, image, detached, written: WrittenPart::of(plan) }
    }
}
