//! `inspect` for people.

use std::fmt::Write;

use super::{clean, count, human_list, title};
use crate::report::inspect::{DocumentReport, InspectReport};

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
    if let (Some(layout), Some(manifest)) = (document.layout, &document.manifest) {
        let _ = writeln!(text, "  found in     {layout} {}", manifest.short());
    }
    if let (Some(code), Some(message)) = (document.code, &document.message) {
        let _ = writeln!(text, "  unreadable   {code}: {}", clean(message));
    }
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
    let nothing = document.certificates + document.log_entries + document.timestamps == 0;
    if document.material.is_some() || !nothing {
        let kind = match (document.material.as_deref(), document.certificates) {
            (None, 0) => "no certificate".to_owned(),
            (Some(material), 0) => material.to_owned(),
            (_, number) => count(number, "certificate", "certificates"),
        };
        let logs = count(document.log_entries, "log entry", "log entries");
        let times = count(document.timestamps, "timestamp", "timestamps");
        let _ = writeln!(text, "  material     {kind}, {logs}, {times}");
    }
}
