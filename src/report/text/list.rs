//! `list` for people.

use std::collections::HashSet;
use std::fmt::Write;

use super::matrix::matrix;
use super::{clean, headline, some_of, title};
use crate::digest::Digest;
use crate::location::EvidenceLayout;
use crate::report::list::{ListReport, ListedAttestationEntry};

/// `list` for people: a matrix, then every piece of evidence under what it hangs on.
pub fn human_list(report: &ListReport) -> String {
    let mut text = format!("{}        NOT VERIFIED\n", headline(&report.image, &report.platforms));
    let columns = columns(report);
    matrix(&mut text, &report.coverage);
    for column in &columns {
        section(&mut text, report, column);
    }
    let deeper: Vec<_> = report.signatures.iter().filter(|entry| is_manifest(&entry.covers)).collect();
    if !deeper.is_empty() {
        text.push_str("\nsignatures over attestation manifests\n");
        for entry in deeper {
            let about = entry.covers.first().map(String::as_str).unwrap_or_default();
            let about = Digest::parse(about).map_or_else(|_| about.to_owned(), |digest| digest.short());
            let _ = writeln!(text, "  {:<19} {:<15} over {about}", "image signature", entry.layout.as_str());
        }
    }
    if report.attestations.is_empty() && report.signatures.is_empty() && report.attachments.is_empty() {
        text.push_str("\nnothing is attached\n");
    }
    for rejection in &report.rejections {
        let _ = writeln!(
            text,
            "\nnot readable: {} ({}): {}",
            clean(&rejection.place),
            rejection.code,
            clean(&rejection.message)
        );
    }
    text
}

fn is_manifest(covers: &[String]) -> bool {
    covers.first().is_some_and(|cover| Digest::parse(cover).is_ok())
}

/// What evidence can hang on: the whole, then each part by its digest.
fn columns(report: &ListReport) -> Vec<(String, &Digest)> {
    let whole = if report.image.index { "index" } else { "image" };
    let mut columns = vec![(whole.to_owned(), &report.image.digest)];
    let mut known = HashSet::from([&report.image.digest]);
    for part in &report.platforms {
        if known.insert(&part.digest) {
            columns.push((part.platform.clone().unwrap_or_else(|| "image".to_owned()), &part.digest));
        }
    }
    // Indexes inside the index, and what a file is about that is not this image.
    let attestations = report.attestations.iter().map(|entry| (&entry.subject, &entry.covers));
    let files = report.attachments.iter().map(|entry| (&entry.subject, &entry.covers));
    let signatures = report.signatures.iter().filter(|entry| !is_manifest(&entry.covers));
    for (subject, covers) in attestations.chain(files).chain(signatures.map(|entry| (&entry.subject, &entry.covers))) {
        if known.insert(subject) {
            let label = if is_manifest(covers) { "another image".to_owned() } else { some_of(covers) };
            columns.push((label, subject));
        }
    }
    columns
}

fn section(text: &mut String, report: &ListReport, (column, digest): &(String, &Digest)) {
    let mut lines = Vec::new();
    for entry in report.attestations.iter().filter(|entry| entry.subject == **digest) {
        lines.push(attestation(entry));
    }
    for entry in report.signatures.iter().filter(|entry| entry.subject == **digest) {
        lines.push(line("image signature", entry.layout, &entry.kind, &entry.manifest, entry.file.as_deref()));
    }
    for entry in report.attachments.iter().filter(|entry| entry.subject == **digest) {
        let name = entry.title.as_deref().map_or_else(|| clean(entry.artifact_type.as_str()), clean);
        lines.push(line("file", entry.layout, &name, &entry.manifest, None));
    }
    if lines.is_empty() {
        return;
    }
    let digest = if **digest == report.image.digest { String::new() } else { format!("  {}", digest.short()) };
    let _ = writeln!(text, "\n{}{digest}", clean(column));
    lines.iter().for_each(|line| text.push_str(line));
}

fn attestation(entry: &ListedAttestationEntry) -> String {
    let form = match (entry.signed, entry.through_manifest) {
        (true, true) => "through manifest",
        (true, false) => form(entry.media_type.as_str()),
        (false, _) => "unsigned",
    };
    let signers = entry.signers.iter().flatten().map(|signer| clean(signer)).collect::<Vec<_>>().join(", ");
    let mut text =
        line(&title(entry.predicate_type.as_ref()), entry.layout, form, &entry.manifest, entry.file.as_deref());
    if !signers.is_empty() {
        let _ = writeln!(text, "{:28}says it is signed by {signers}", "");
    }
    text
}

/// One piece of evidence. What lies in a file is called by the file: its manifest exists in this process alone.
fn line(kind: &str, layout: EvidenceLayout, form: &str, manifest: &Digest, file: Option<&str>) -> String {
    let kind: String = kind.chars().take(25).collect();
    let at = file.map_or_else(|| manifest.short(), clean);
    format!("  {kind:<25} {:<14} {form:<16} {at}\n", layout.as_str())
}

fn form(media_type: &str) -> &'static str {
    if media_type.starts_with("application/vnd.dev.sigstore.bundle") { "bundle" } else { "envelope" }
}
