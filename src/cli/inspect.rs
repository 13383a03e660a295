//! `attestry inspect`

use std::path::Path;

use super::Exit;
use super::args::{Common, InspectOptions};
use super::error::CliError;
use super::place::{locate, read_file};
use super::ui::Ui;
use crate::content::{Blob, Content};
use crate::crypto::PublicKey;
use crate::job::{self, JobError};
use crate::limits::Limits;
use crate::media_type::MediaType;
use crate::oci::Descriptor;
use crate::report::{DocumentReport, InspectReport, KeyReport, ListReport, human_inspect};
use crate::verify::{AttachedContent, AttachedError};

pub(super) async fn run(options: &InspectOptions, common: &Common, ui: &Ui) -> Result<Exit, CliError> {
    let limits = Limits::default();
    let report = if options.what == "-" || Path::new(&options.what).is_file() {
        inspect_file(&options.what, &limits)?
    } else {
        inspect_image(options, common, &limits, ui).await?
    };
    ui.report(&report, human_inspect)?;
    // What cannot be read takes nothing else with it, and is not hidden by it either.
    let readable = report.documents.iter().all(|document| document.code.is_none());
    Ok(if readable { Exit::Done } else { Exit::No })
}

fn inspect_file(path: &str, limits: &Limits) -> Result<InspectReport, CliError> {
    let content = read_file(path, limits)?;
    let mut report = InspectReport::new(path.to_owned());
    if let Some(key) = public_key(&content) {
        report.key = Some(KeyReport::of(&key));
        return Ok(report);
    }
    let blob = Blob::new(MediaType::OCTET_STREAM, content).map_err(JobError::Content)?;
    let layer = Descriptor::of(&blob);
    report.documents.push(document(&blob, &layer, limits).map_err(JobError::Attached)?);
    Ok(report)
}

fn public_key(content: &Content) -> Option<PublicKey> {
    let bytes = content.in_memory().filter(|bytes| bytes.starts_with(b"-----BEGIN"))?;
    PublicKey::from_pem(std::str::from_utf8(bytes).ok()?).ok()
}

fn document(blob: &Blob, layer: &Descriptor, limits: &Limits) -> Result<DocumentReport, AttachedError> {
    let content = AttachedContent::read(blob, layer, limits)?;
    DocumentReport::of(&content, blob.digest(), blob.size(), limits)
}

async fn inspect_image(
    options: &InspectOptions,
    common: &Common,
    limits: &Limits,
    ui: &Ui,
) -> Result<InspectReport, CliError> {
    let located = locate(&options.what, common, limits)?;
    located.note_moved_tag(ui).await;
    let located = located.with_referrers_from(options.referrers_from.as_deref(), common, limits)?;
    let located = located.with_files(&options.bundle, limits)?;
    let source = located.source(limits);
    let listed = job::list(&located.reference.selector, None, job::Detail::Manifests, &source).await?;
    let mut report = InspectReport::new(located.reference.to_string());
    let statements = listed.attestations.iter().map(|known| (known.location(), &known.media_type));
    let signatures = listed.signatures.iter().map(|known| (known.location(), &known.media_type));
    for (location, media_type) in statements.chain(signatures) {
        let Some(location) = location else { continue };
        let (blob, layer) = job::read_document(&location, media_type, &source).await?;
        let document = document(&blob, &layer, limits)
            .unwrap_or_else(|error| DocumentReport::unreadable(&error, blob.digest(), blob.size()));
        report.documents.push(document.found_at(&location));
    }
    report.image = Some(ListReport::new(located.reference.to_string(), &listed));
    Ok(report)
}
