//! The same facts for people: 80 columns, no colour needed, nothing that is not in the JSON.

use std::fmt::Write;

use super::attest::{AttestReport, WrittenPart};
use super::convert::ConvertReport;
use super::detach::{DetachReport, DetachedEntry};
use super::inspect::{DocumentReport, InspectReport};
use super::list::{ListReport, ListedAttestationEntry};
use super::parts::{ImagePart, PlatformPart, SignerEntry};
use super::verify::{AttestationEntry, RequirementEntry, VerdictWord, VerifyReport};
use crate::digest::Digest;
use crate::foreign::one_line as clean;
use crate::media_type::PredicateType;
use crate::predicate::Family;

fn title(predicate_type: Option<&PredicateType>) -> String {
    match predicate_type {
        Some(predicate_type) => Family::of(predicate_type)
            .map_or_else(|| clean(predicate_type.as_str()), |family| family.title().to_owned()),
        None => "unknown type".to_owned(),
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// `reference@digest`, cut to 12 digits; a reference that has its digest already is not given it twice.
fn pinned(image: &ImagePart) -> String {
    let name = image.reference.split('@').next().unwrap_or_default();
    format!("{name}@{}", image.digest.short())
}

fn headline(image: &ImagePart, platforms: &[PlatformPart]) -> String {
    let kind = if image.index {
        format!("index, {}", count(platforms.len(), "platform", "platforms"))
    } else {
        "image".to_owned()
    };
    format!("{}   {kind}", pinned(image))
}

fn signer(entry: &SignerEntry) -> String {
    let key = format!("key {}", entry.key.short());
    match &entry.name {
        Some(name) => format!("{} ({key})", clean(name)),
        None => key,
    }
}

/// `verify` for people. The last line is `accepted`, `refused…` or `undecided…`.
pub fn human_verify(report: &VerifyReport) -> String {
    let mut text = headline(&report.image, &report.platforms);
    if let Some(policy) = &report.policy {
        let _ = write!(text, "\npolicy {} ({})", clean(&policy.name), policy.digest.short());
    }
    if let Some(platform) = &report.narrowed_to {
        let _ = write!(text, "\nonly {} was looked at (--platform)", clean(platform));
    }
    text.push_str("\n\n");
    for requirement in &report.requirements {
        match requirement.code {
            None => met(&mut text, requirement, report),
            Some(code) => unmet(&mut text, requirement, code.as_str()),
        }
    }
    let unchecked: Vec<&str> = report.unchecked.iter().map(|code| code.as_str()).collect();
    if !unchecked.is_empty() {
        let _ = writeln!(text, "\n  not checked: {}", unchecked.join(", "));
    }
    let open = report.requirements.iter().filter(|entry| entry.code.is_some()).count();
    let of = report.requirements.len();
    let _ = match report.verdict {
        VerdictWord::Accepted => writeln!(text, "\naccepted"),
        VerdictWord::Refused => writeln!(text, "\nrefused: {open} of {of} demands unmet"),
        VerdictWord::Undecided => {
            writeln!(text, "\nundecided: {open} of {of} demands unmet, and some evidence could not be read")
        }
    };
    text
}

fn met(text: &mut String, requirement: &RequirementEntry, report: &VerifyReport) {
    let used: Vec<&AttestationEntry> =
        requirement.attestations.iter().filter_map(|place| report.attestations.get(*place)).collect();
    if used.is_empty() {
        let _ = writeln!(text, "  ✓ {:<19} {}", clean(&requirement.id), clean(&requirement.wanted));
        for signature in report.signatures.iter().filter(|signature| !signature.covers.is_empty()) {
            let who: Vec<String> = signature.signers.iter().map(signer).collect();
            let _ = writeln!(text, "{:24}{}: signed by {}", "", signature.covers.join(", "), who.join(", "));
        }
        return;
    }
    for (place, entry) in used.into_iter().enumerate() {
        let label = if place == 0 { format!("✓ {:<19}", clean(&requirement.id)) } else { " ".repeat(21) };
        let _ = writeln!(text, "  {label} {}, {}", title(Some(&entry.predicate_type)), entry.covers.join(", "));
        let who: Vec<String> = entry.signers.iter().map(signer).collect();
        let _ = writeln!(text, "{:24}signed by {}", "", who.join(", "));
        if let Some(through) = &entry.through {
            let _ = writeln!(text, "{:24}through a signature over {}", "", through.short());
        }
        let _ = writeln!(text, "{:24}{} {}", "", entry.layout, entry.manifest.short());
    }
}

fn unmet(text: &mut String, requirement: &RequirementEntry, code: &str) {
    let message = requirement.message.as_deref().unwrap_or_default();
    let _ = writeln!(text, "  ✗ {:<19} {}", clean(&requirement.id), clean(message));
    let _ = writeln!(text, "      {:<14}{code}", "code");
    for (place, candidate) in requirement.candidates.iter().take(3).enumerate() {
        let label = if place == 0 { "nearest miss" } else { "also seen" };
        let at = Digest::parse(&candidate.place).map_or_else(|_| clean(&candidate.place), |digest| digest.short());
        let _ = writeln!(text, "      {label:<14}{} {at}: {}", candidate.layout, candidate.failed_check);
        let _ = writeln!(text, "      {:<14}{}", "", clean(&candidate.message));
        for (label, value) in [("wanted", &candidate.expected), ("got", &candidate.got)] {
            if let Some(value) = value {
                let _ = writeln!(text, "      {:<14}{label:<7} {}", "", clean(value));
            }
        }
    }
    let more = requirement.candidates.len().saturating_sub(3);
    if more > 0 {
        let _ = writeln!(text, "      {:<14}and {more} more in --output json", "");
    }
    if let Some(hint) = &requirement.hint {
        let _ = writeln!(text, "      {:<14}{}", "fix", clean(hint));
    }
}

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

/// `inspect` for people.
pub fn human_inspect(report: &InspectReport) -> String {
    let mut text = String::new();
    match &report.image {
        Some(list) => text.push_str(&human_list(list)),
        None => {
            let label = if report.key.is_some() { "" } else { "        NOT VERIFIED" };
            let _ = writeln!(text, "{}{label}", clean(&report.what));
        }
    }
    if let Some(key) = &report.key {
        let _ = writeln!(
            text,
            "  public key   {}\n  fingerprint  {}\n  hint         {}",
            key.algorithm, key.fingerprint, key.hint
        );
    }
    for document in &report.documents {
        human_document(&mut text, document);
    }
    text
}

fn human_document(text: &mut String, document: &DocumentReport) {
    let _ = writeln!(text, "\n{} {}   {} bytes", document.form, document.digest.short(), document.size);
    if let Some(predicate_type) = &document.predicate_type {
        let (title, uri) = (title(Some(predicate_type)), clean(predicate_type.as_str()));
        let _ = match title == uri {
            true => writeln!(text, "  type         {uri}"),
            false => writeln!(text, "  type         {title} ({uri})"),
        };
    }
    if let Some(statement_type) = &document.statement_type {
        let _ = writeln!(text, "  statement    {statement_type}");
    }
    for subject in document.subjects.iter().take(5) {
        let _ = writeln!(text, "  subject      {}", clean(subject));
    }
    if document.subjects.len() > 5 {
        let _ = writeln!(text, "               and {} more in --output json", document.subjects.len() - 5);
    }
    if document.subjects.is_empty() && document.statement_type.is_some() {
        let _ = writeln!(text, "  subject      none: it can match no image");
    }
    for signature in &document.signatures {
        let hint = signature
            .hint
            .as_deref()
            .map_or_else(|| "no key hint".to_owned(), |hint| format!("key hint {}", clean(hint)));
        let _ = writeln!(text, "  signature    {} bytes, {hint}", signature.bytes);
    }
    if let Some(material) = &document.material {
        let logs = count(document.log_entries, "log entry", "log entries");
        let times = count(document.timestamps, "timestamp", "timestamps");
        let _ = writeln!(text, "  material     {material}, {logs}, {times}");
    }
}
