//! `list` for people.

use std::fmt::Write;

use super::{clean, headline, title};
use crate::digest::Digest;
use crate::report::list::{ListReport, ListedAttestationEntry};

/// `list` for people: a matrix, then every piece of evidence under what it hangs on.
pub fn human_list(report: &ListReport) -> String {
    let mut text = format!("{}        NOT VERIFIED\n", headline(&report.image, &report.platforms));
    let columns = columns(report);
    if !report.attestations.is_empty() || !report.signatures.is_empty() {
        matrix(&mut text, report, &columns);
    }
    for (column, digest) in &columns {
        section(&mut text, report, column, digest.as_ref());
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

/// What evidence can hang on: the whole, then each platform.
fn columns(report: &ListReport) -> Vec<(String, Option<Digest>)> {
    let whole = if report.image.index { "index" } else { "image" };
    let mut columns = vec![(whole.to_owned(), None)];
    if report.image.index {
        for part in &report.platforms {
            let label = part.platform.clone().unwrap_or_else(|| "image".to_owned());
            if !columns.iter().any(|(known, _)| *known == label) {
                columns.push((label, Some(part.digest.clone())));
            }
        }
    }
    columns
}

fn matrix(text: &mut String, report: &ListReport, columns: &[(String, Option<Digest>)]) {
    let widths: Vec<usize> = columns.iter().map(|(label, _)| label.chars().count().max(11)).collect();
    let wide = 28 + widths.iter().map(|width| width + 2).sum::<usize>() > 100;
    if wide {
        return;
    }
    let mut row = format!("\n{:<28}", "");
    for ((label, _), width) in columns.iter().zip(&widths) {
        let _ = write!(row, "{label:<width$}  ");
    }
    let _ = writeln!(text, "{}", row.trim_end_matches(' '));
    let mut kinds: Vec<String> = Vec::new();
    for entry in &report.attestations {
        let kind = title(entry.predicate_type.as_ref());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    for kind in &kinds {
        let cells = columns.iter().map(|(column, _)| {
            let on = |entry: &&ListedAttestationEntry| {
                title(entry.predicate_type.as_ref()) == *kind && entry.covers.contains(column)
            };
            let signed = report.attestations.iter().filter(on).filter(|entry| entry.signed).count();
            let unsigned = report.attestations.iter().filter(on).count() - signed;
            "● ".repeat(signed.min(4)) + &"○ ".repeat(unsigned.min(4))
        });
        write_row(text, kind, cells.collect(), &widths);
    }
    let signatures = columns.iter().map(|(column, _)| {
        "● ".repeat(report.signatures.iter().filter(|entry| entry.covers.contains(column)).count().min(4))
    });
    write_row(text, "image signature", signatures.collect(), &widths);
    let _ = writeln!(text, "{:<28}● signed   ○ unsigned   · none", "");
}

fn write_row(text: &mut String, label: &str, cells: Vec<String>, widths: &[usize]) {
    let short: String = label.chars().take(26).collect();
    let mut row = format!("{short:<28}");
    for (cell, width) in cells.iter().zip(widths) {
        let cell = if cell.is_empty() { "·" } else { cell.trim_end() };
        let _ = write!(row, "{cell:<width$}  ");
    }
    let _ = writeln!(text, "{}", row.trim_end());
}

fn section(text: &mut String, report: &ListReport, column: &str, digest: Option<&Digest>) {
    let attestations: Vec<_> =
        report.attestations.iter().filter(|entry| entry.covers.iter().any(|c| c == column)).collect();
    let signatures: Vec<_> =
        report.signatures.iter().filter(|entry| entry.covers.iter().any(|c| c == column)).collect();
    let files: Vec<_> = report.attachments.iter().filter(|entry| entry.covers.iter().any(|c| c == column)).collect();
    if attestations.is_empty() && signatures.is_empty() && files.is_empty() {
        return;
    }
    let digest = digest.map(|digest| format!("  {}", digest.short())).unwrap_or_default();
    let _ = writeln!(text, "\n{column}{digest}");
    for entry in attestations {
        let form = match (entry.signed, entry.through_manifest) {
            (true, true) => "signed through its manifest",
            (true, false) => form(entry.media_type.as_str()),
            (false, _) => "unsigned",
        };
        let kind: String = title(entry.predicate_type.as_ref()).chars().take(26).collect();
        let _ = writeln!(text, "  {kind:<26} {:<15} {form:<28} {}", entry.layout.as_str(), entry.manifest.short());
    }
    for entry in signatures {
        let _ = writeln!(
            text,
            "  {:<26} {:<15} {:<28} {}",
            "image signature",
            entry.layout.as_str(),
            entry.kind,
            entry.manifest.short()
        );
    }
    for entry in files {
        let name = entry.title.as_deref().map_or_else(|| clean(entry.artifact_type.as_str()), clean);
        let _ = writeln!(text, "  {:<26} {:<15} {name:<28} {}", "file", entry.layout.as_str(), entry.manifest.short());
    }
}

fn form(media_type: &str) -> &'static str {
    if media_type.starts_with("application/vnd.dev.sigstore.bundle") { "bundle" } else { "envelope" }
}
