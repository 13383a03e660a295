//! `attestry convert`

use super::Exit;
use super::args::{Common, ConvertOptions};
use super::attest::{digests, layout_choice};
use super::error::CliError;
use super::place::locate;
use super::ui::Ui;
use crate::job::{self, ConvertRequest};
use crate::limits::Limits;
use crate::predicate::TypeSelector;
use crate::report::{ConvertReport, ImagePart, human_convert};

pub(super) async fn run(options: &ConvertOptions, common: &Common, ui: &Ui) -> Result<Exit, CliError> {
    let limits = Limits::default();
    let selected = digests(&options.select)?;
    let types: Vec<TypeSelector> = options
        .types
        .iter()
        .map(|text| TypeSelector::parse(text).map_err(CliError::PredicateType))
        .collect::<Result<_, _>>()?;
    let located = locate(&options.image, common, &limits)?;
    located.note_moved_tag(ui).await;
    let to = layout_choice(options.to);
    let request = ConvertRequest {
        selector: &located.reference.selector,
        to,
        from: options.from.map(|layout| layout_choice(layout).layout()),
        types: &types,
        selected: &selected,
        tag: located.tag().await?,
    };
    let source = located.source(&limits);
    let mut converting = job::convert(&request, jiff::Timestamp::now(), &source).await?;
    let (mut plan, mut detached) = (converting.attaching.plan.clone(), Vec::new());
    if options.dry_run && options.remove {
        let (removal, documents) = converting.plan_removal(&source).await?;
        plan.evidence_tags.extend(removal.evidence_tags);
        plan.removals.extend(removal.removals);
        detached = documents;
    }
    if !options.dry_run {
        converting.write(&source).await?;
        plan = converting.attaching.plan.clone();
        if options.remove {
            let (removed, documents) = converting.remove(&source).await?;
            plan.tag = removed.tag.clone().or(plan.tag);
            plan.join(removed);
            detached = documents;
        }
    }
    let image = ImagePart {
        reference: located.reference.to_string(),
        digest: converting.attaching.image.digest().clone(),
        index: converting.attaching.image.is_index(),
    };
    let report = ConvertReport::new(image, &converting.converted, to.layout(), &detached, &plan, options.dry_run);
    ui.report(&report, human_convert)?;
    Ok(Exit::Done)
}
