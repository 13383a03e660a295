//! `attestry list`

use super::Exit;
use super::args::{Common, ListOptions};
use super::error::CliError;
use super::place::locate;
use super::ui::Ui;
use crate::job::{self, Detail};
use crate::limits::Limits;
use crate::oci::Platform;
use crate::report::{ListReport, human_list};

pub(super) async fn run(options: &ListOptions, common: &Common, ui: &Ui) -> Result<Exit, CliError> {
    let limits = Limits::default();
    let platform = options.platform.as_deref().map(str::parse::<Platform>).transpose()?;
    let located = locate(&options.image, common, &limits)?;
    located.note_moved_tag(ui).await;
    let located = located.with_referrers_from(options.referrers_from.as_deref(), common, &limits)?;
    let located = located.with_files(&options.bundle, &limits)?;
    let source = located.source(&limits);
    // What is on this machine costs nothing to read.
    let detail = match (options.detail, located.is_remote()) {
        (true, _) => Detail::Documents,
        (false, true) => Detail::Listings,
        (false, false) => Detail::Manifests,
    };
    let listed = job::list(&located.reference.selector, platform.as_ref(), detail, &source).await?;
    let report = ListReport::new(located.reference.to_string(), &listed);
    ui.report(&report, human_list)?;
    if !report.attestations.is_empty() {
        ui.note(&format!(
            "hint: nothing here was verified; `attestry verify {} --key KEY --type TYPE`",
            located.reference
        ));
    }
    Ok(Exit::Done)
}
