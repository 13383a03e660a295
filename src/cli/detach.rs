//! `attestry detach`

use super::Exit;
use super::args::{Common, DetachOptions};
use super::attest::digests;
use super::error::CliError;
use super::place::locate;
use super::ui::Ui;
use crate::job::{self, DetachRequest};
use crate::limits::Limits;
use crate::report::{DetachReport, ImagePart, human_detach};

pub(super) async fn run(options: &DetachOptions, common: &Common, ui: &Ui) -> Result<Exit, CliError> {
    let limits = Limits::default();
    let selected = digests(&options.select)?;
    let located = locate(&options.image, common, &limits)?;
    located.note_moved_tag(ui).await;
    let request =
        DetachRequest { selector: &located.reference.selector, selected: &selected, tag: located.tag().await? };
    let source = located.source(&limits);
    let mut detaching = job::detach(&request, &source).await?;
    if !options.dry_run {
        detaching.write(&source).await?;
    }
    let image = ImagePart {
        reference: located.reference.to_string(),
        digest: detaching.image.digest().clone(),
        index: detaching.image.is_index(),
    };
    let report = DetachReport::new(image, &detaching.detached, &detaching.plan, options.dry_run);
    ui.report(&report, human_detach)?;
    Ok(Exit::Done)
}
