//! `attest` and `attach` for people.

use std::fmt::Write;

use super::{count, title};
use crate::report::attest::AttestReport;

/// `attest` and `attach` for people.
pub fn human_attest(report: &AttestReport) -> String {
    let mut text = String::new();
    let verb = if report.dry_run { "would attach" } else { "attached" };
    for entry in &report.attached {
        let on = entry.platform.as_deref().unwrap_or(if report.image.index { "index" } else { "image" });
        let kind = match &entry.predicate_type {
            Some(predicate_type) => title(Some(predicate_type)),
            None => "image signature".to_owned(),
        };
        let _ = writeln!(text, "{verb} {kind} to {on} {} as {}", entry.subject.short(), entry.layout);
    }
    if report.dry_run {
        let _ = writeln!(
            text,
            "would write {} and {}; nothing was written",
            count(report.blobs.len(), "blob", "blobs"),
            count(report.manifests.len(), "manifest", "manifests")
        );
    }
    for manifest in &report.manifests {
        let _ = writeln!(text, "manifest {manifest}");
    }
    if let Some(tag) = &report.tag {
        let verb = if report.dry_run { "would move" } else { "moved" };
        let _ = writeln!(text, "{verb} tag {} from {} to {}", tag.tag, tag.from.short(), tag.to.short());
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "note: {}", warning.message);
    }
    text
}
