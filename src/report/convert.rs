//! The report of `convert`: what is kept in another layout now, or would be.

use schemars::JsonSchema;
use serde::Serialize;

use super::attest::WrittenPart;
use super::detach::DetachedEntry;
use super::parts::ImagePart;
use crate::attach::WritePlan;
use crate::digest::Digest;
use crate::job::{ConvertedDocument, DetachedDocument};
use crate::location::EvidenceLayout;
use crate::media_type::PredicateType;
use crate::oci::Platform;

/// A document in its old layout and its new one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConvertedEntry {
    /// What it claims to be. Not verified.
    pub predicate_type: Option<PredicateType>,
    /// The manifest that it is about.
    pub subject: Digest,
    /// The platform, when it is about one.
    pub platform: Option<String>,
    /// The layout that it had.
    pub from: EvidenceLayout,
    /// The layout that it has now.
    pub to: EvidenceLayout,
    /// The document as it was.
    pub old_document: Digest,
    /// The document as it is now: the same signed bytes in another form, or the very same.
    pub document: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// The report of `convert`, `attestry/convert/v1`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConvertReport {
    /// `attestry/convert/v1`.
    pub schema: String,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The image as it was.
    pub image: ImagePart,
    /// The documents.
    pub converted: Vec<ConvertedEntry>,
    /// What was taken off its old layout afterwards.
    pub detached: Vec<DetachedEntry>,
    /// The changes.
    #[serde(flatten)]
    pub written: WrittenPart,
}

impl ConvertReport {
    /// Reports a plan, carried out or not.
    pub fn new(
        image: ImagePart,
        converted: &[ConvertedDocument],
        to: EvidenceLayout,
        detached: &[DetachedDocument],
        plan: &WritePlan,
        dry_run: bool,
    ) -> Self {
        let converted = converted.iter().map(|document| ConvertedEntry {
            predicate_type: document.attached.evidence.predicate_type.clone(),
            subject: document.attached.subject.digest.clone(),
            platform: document.attached.platform.as_ref().map(Platform::to_string),
            from: document.from,
            to,
            old_document: document.document.clone(),
            document: document.attached.evidence.blob.digest().clone(),
            size: document.attached.evidence.blob.size(),
        });
        Self {
            schema: "attestry/convert/v1".to_owned(),
            dry_run,
            image,
            converted: converted.collect(),
            detached: detached.iter().map(DetachedEntry::of).collect(),
            written: WrittenPart::of(plan),
        }
    }
}
