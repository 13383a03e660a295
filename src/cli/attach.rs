//! `attestry attach`

use super::Exit;
use super::args::{AttachOptions, Common};
use super::attest::report_of;
use super::error::CliError;
use super::place::{locate, read_file};
use super::ui::Ui;
use crate::job;
use crate::limits::Limits;
use crate::location::EvidenceLayout;
use crate::media_type::{MediaType, PredicateType};
use crate::oci::annotations;
use crate::report::{AttachedEntry, human_attest};

pub(super) async fn run(options: &AttachOptions, common: &Common, ui: &Ui) -> Result<Exit, CliError> {
    let limits = Limits::default();
    let file = read_file(&options.bundle, &limits)?;
    let located = locate(&options.image, common, &limits)?;
    located.note_moved_tag(ui).await;
    let source = located.source(&limits);
    let selector = &located.reference.selector;
    let (image, plan) = job::attach_bundle(selector, file, jiff::Timestamp::now(), &source).await?;
    if !options.dry_run {
        job::apply(&plan, &*located.store, &limits).await?;
    }
    let manifest = plan.manifests.first();
    let subject = manifest.and_then(|manifest| manifest.subject()).map(|subject| subject.digest.clone());
    let notes = manifest.and_then(|manifest| manifest.as_image()).map(|image| &image.annotations);
    let predicate_type = notes.and_then(|notes| notes.get(annotations::BUNDLE_PREDICATE_TYPE)).map(PredicateType::new);
    let bundle = plan.blobs.iter().find(|blob| *blob.media_type() == MediaType::SIGSTORE_BUNDLE_V03);
    let attached = bundle.zip(subject).map(|(blob, subject)| AttachedEntry {
        predicate_type,
        platform: image.platforms().iter().find(|part| part.descriptor.digest == subject).map(|part| part.label()),
        subject,
        layout: EvidenceLayout::Referrer,
        document: blob.digest().clone(),
        size: blob.size(),
    });
    let report = report_of(&located, &image, attached.into_iter().collect(), &plan, options.dry_run);
    ui.report(&report, human_attest)?;
    Ok(Exit::Done)
}
