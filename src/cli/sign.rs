//! `attestry sign`

use std::collections::BTreeMap;

use super::args::{Common, SignOptions, SignatureLayout};
use super::attest::report;
use super::error::CliError;
use super::place::locate;
use super::ui::Ui;
use super::{Exit, keys};
use crate::job::{self, LayoutChoice, SignRequest, Targets};
use crate::limits::Limits;
use crate::oci::Platform;
use crate::report::human_attest;

pub(super) async fn run(options: &SignOptions, common: &Common, ui: &Ui) -> Result<Exit, CliError> {
    let limits = Limits::default();
    let annotations = annotations(&options.annotation)?;
    let targets = match (&options.platform, options.each_platform, options.recursive) {
        (Some(text), ..) => Targets::Platform(text.parse::<Platform>()?),
        (None, true, _) => Targets::EachPlatform,
        (None, false, true) => Targets::Recursive,
        (None, false, false) => Targets::Named,
    };
    let key = keys::signing_key(&options.key, ui)?;
    let located = locate(&options.image, common, &limits)?;
    located.note_moved_tag(ui).await;
    let layout = match options.layout {
        SignatureLayout::Referrer => LayoutChoice::Referrer,
        SignatureLayout::Tag => LayoutChoice::Tag,
    };
    let request = SignRequest {
        selector: &located.reference.selector,
        repository: located.subject_name(),
        annotations,
        targets,
        layout,
        key: &key,
    };
    let source = located.source(&limits);
    let mut attaching = job::sign(&request, jiff::Timestamp::now(), &source).await?;
    if !options.dry_run {
        attaching.write(&source).await?;
    }
    ui.report(&report(&located, &attaching, layout, options.dry_run), human_attest)?;
    Ok(Exit::Done)
}

fn annotations(texts: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut annotations = BTreeMap::new();
    for text in texts {
        let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
            let message = format!("--annotation takes NAME=VALUE, not {text}");
            CliError::Arguments { message, hint: None }
        })?;
        if annotations.insert(name.to_owned(), value.to_owned()).is_some() {
            let message = format!("--annotation {name} is there twice");
            return Err(CliError::Arguments { message, hint: None });
        }
    }
    Ok(annotations)
}
