//! What was written, for people: `attest`, `attach`, `sign`, `convert` and `detach`.

use std::fmt::Write;

use super::{count, title};
use crate::report::attest::{AttestReport, WrittenPart};
use crate::report::convert::ConvertReport;
use crate::report::detach::{DetachReport, DetachedEntry};

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
    human_written(&mut text, &report.written, report.dry_run);
    text
}

/// `convert` for people.
pub fn human_convert(report: &ConvertReport) -> String {
    let mut text = String::new();
    let verb = if report.dry_run { "would convert" } else { "converted" };
    for entry in &report.converted {
        let on = entry.platform.as_deref().unwrap_or(if report.image.index { "index" } else { "image" });
        let kind = title(entry.predicate_type.as_ref());
        let _ = writeln!(text, "{verb} {kind} of {on} {} from {} to {}", entry.subject.short(), entry.from, entry.to);
    }
    if report.converted.is_empty() {
        let _ = writeln!(text, "nothing to convert: all of it is kept there already");
    }
    human_detached(&mut text, &report.detached, report.dry_run);
    human_written(&mut text, &report.written, report.dry_run);
    text
}

/// `detach` for people.
pub fn human_detach(report: &DetachReport) -> String {
    let mut text = String::new();
    human_detached(&mut text, &report.detached, report.dry_run);
    human_written(&mut text, &report.written, report.dry_run);
    text
}

fn human_detached(text: &mut String, detached: &[DetachedEntry], dry_run: bool) {
    let verb = if dry_run { "would detach" } else { "detached" };
    for entry in detached {
        let layouts: Vec<&str> = entry.layouts.iter().map(|layout| layout.as_str()).collect();
        let kind = match &entry.predicate_type {
            Some(predicate_type) => title(Some(predicate_type)),
            None => "document".to_owned(),
        };
        let (document, subject) = (entry.document.short(), entry.subject.short());
        let _ = writeln!(text, "{verb} {kind} {document} from {subject} ({})", layouts.join(", "));
    }
}

/// What was changed in the store.
fn human_written(text: &mut String, written: &WrittenPart, dry_run: bool) {
    if dry_run {
        let _ = writeln!(
            text,
            "would write {} and {}; nothing was written",
            count(written.blobs.len(), "blob", "blobs"),
            count(written.manifests.len() + written.evidence_tags.len(), "manifest", "manifests")
        );
    }
    for manifest in &written.manifests {
        let _ = writeln!(text, "manifest {manifest}");
    }
    let (wrote, moved, removed) = match dry_run {
        true => ("would write", "would move", "would remove"),
        false => ("wrote", "moved", "removed"),
    };
    for tag in &written.evidence_tags {
        let _ = writeln!(text, "{wrote} tag {}, {}", tag.tag, tag.to);
    }
    if let Some(tag) = &written.tag {
        let _ = writeln!(text, "{moved} tag {} from {} to {}", tag.tag, tag.from.short(), tag.to.short());
    }
    for what in &written.removed {
        let _ = writeln!(text, "{removed} {what}");
    }
    for warning in &written.warnings {
        let _ = writeln!(text, "note: {}", warning.message);
    }
}
