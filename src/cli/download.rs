//! `attestry download`

use super::Exit;
use super::args::{Common, DownloadOptions, Part};
use super::error::CliError;
use super::place::{locate, write_file};
use super::ui::Ui;
use crate::content::Content;
use crate::digest::Digest;
use crate::job::{self, Downloaded};
use crate::limits::Limits;
use crate::oci::Platform;
use crate::predicate::TypeSelector;

pub(super) async fn run(options: &DownloadOptions, common: &Common, ui: &Ui) -> Result<Exit, CliError> {
    let limits = Limits::default();
    let wanted = TypeSelector::parse(&options.predicate_type).map_err(CliError::PredicateType)?;
    let platform = options.platform.as_deref().map(str::parse::<Platform>).transpose()?;
    let select = options.select.as_deref().map(Digest::parse).transpose();
    let select = select.map_err(|error| CliError::Arguments { message: error.to_string(), hint: None })?;
    let part = match options.part {
        Part::Predicate => job::Part::Predicate,
        Part::Statement => job::Part::Statement,
        Part::Document => job::Part::Document,
    };
    let located = locate(&options.image, common, &limits)?;
    located.note_moved_tag(ui).await;
    let located = located.with_referrers_from(options.referrers_from.as_deref(), common, &limits)?;
    let located = located.with_files(&options.bundle, &limits)?;
    let source = located.source(&limits);
    let found = job::download(&located.reference.selector, &wanted, part, platform.as_ref(), &source).await?;
    let chosen: Vec<Downloaded> = found
        .into_iter()
        .filter(|known| {
            select.as_ref().is_none_or(|digest| [&known.location.manifest, &known.location.layer].contains(&digest))
        })
        .collect();
    ui.note(&format!("not verified; {} of this type", count(chosen.len())));
    if let (true, Some(digest)) = (chosen.is_empty(), &select) {
        return Err(CliError::Arguments {
            message: format!("nothing of this type has the digest {digest}"),
            hint: Some(format!("see what is attached: attestry list {}", located.reference)),
        });
    }
    // One document comes out byte for byte; several are told apart by a line feed.
    let parts = chosen.iter().enumerate().flat_map(|(place, known)| {
        let between = if place == 0 { "" } else { "\n" };
        [Content::from(between), known.content.clone()]
    });
    let content = Content::joined(parts);
    match &options.to {
        Some(path) => write_file(path, &content)?,
        None => ui.content(&content)?,
    }
    Ok(Exit::Done)
}

fn count(number: usize) -> String {
    if number == 1 { "1 document".to_owned() } else { format!("{number} documents") }
}
