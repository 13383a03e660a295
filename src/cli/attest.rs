//! `attestry attest`

use std::cell::RefCell;

use super::args::{AttestOptions, Common, Layout};
use super::error::CliError;
use super::place::{Located, locate, read_file};
use super::ui::Ui;
use super::{Exit, keys};
use crate::attach::{Form, WritePlan};
use crate::job::{self, AttestRequest, Attesting, LayoutChoice, Targets};
use crate::limits::Limits;
use crate::location::EvidenceLayout;
use crate::oci::{Image, Platform, PlatformManifest};
use crate::predicate::{Predicate, TypeSelector};
use crate::report::{AttachedEntry, AttestReport, ImagePart, human_attest};

/// What stands for the platform in `--predicate`.
const PLATFORM_MARK: &str = "{platform}";

pub(super) async fn run(options: &AttestOptions, common: &Common, ui: &Ui) -> Result<Exit, CliError> {
    let limits = Limits::default();
    let selector = TypeSelector::parse(&options.predicate_type).map_err(CliError::PredicateType)?;
    let targets = targets(options)?;
    let templated = options.predicate.contains(PLATFORM_MARK);
    let read = |path: &str| {
        let content = read_file(path, &limits)?;
        Predicate::read(content, &selector, &limits)
            .map_err(|error| CliError::Predicate { path: path.to_owned(), error })
    };
    // Opening an encrypted key is slow on purpose; a large predicate is read meanwhile.
    let (shared, key) = std::thread::scope(|scope| {
        let key = scope.spawn(|| keys::signing_key(&options.key, ui));
        let shared = if templated { None } else { Some(read(&options.predicate)) };
        (shared.transpose(), key.join())
    });
    let shared = shared?;
    let key = key.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let located = locate(&options.image, common, &limits)?;
    located.note_moved_tag(ui).await;
    let failed = RefCell::new(None);
    let predicate = |part: &PlatformManifest| match &shared {
        Some(predicate) => Some(predicate.clone()),
        None => {
            let path = options.predicate.replace(PLATFORM_MARK, &part.label().replace('/', "-"));
            read(&path).map_err(|error| failed.borrow_mut().get_or_insert(error).code()).ok()
        }
    };
    let layout = match options.layout {
        Layout::Referrer => LayoutChoice::Referrer,
        Layout::Index => LayoutChoice::Index(Form::Image),
        Layout::IndexArtifact => LayoutChoice::Index(Form::Artifact),
    };
    let request = AttestRequest {
        selector: &located.reference.selector,
        subject_name: located.subject_name(),
        predicate: &predicate,
        targets,
        layout,
        tag: located.tag().await?,
    };
    let source = located.source(&limits);
    let attesting = job::attest(&request, &key, jiff::Timestamp::now(), &source).await?;
    if let Some(error) = failed.into_inner() {
        return Err(error);
    }
    if !options.dry_run {
        job::apply(&attesting.plan, &*located.store, &limits).await?;
    }
    let report = report(&located, &attesting, options);
    ui.report(&report, human_attest)?;
    Ok(Exit::Done)
}

/// Which parts of the image are meant.
fn targets(options: &AttestOptions) -> Result<Targets, CliError> {
    let targets = match (&options.platform, options.each_platform) {
        (Some(text), _) => Targets::Platform(text.parse::<Platform>()?),
        (None, true) => Targets::EachPlatform,
        (None, false) => Targets::Named,
    };
    if options.predicate.contains(PLATFORM_MARK) && targets == Targets::Named {
        return Err(CliError::Arguments {
            message: format!("{PLATFORM_MARK} needs --each-platform or --platform"),
            hint: None,
        });
    }
    Ok(targets)
}

impl Located {
    /// The tag that will name the new index. Without one that was typed: the tag of the only image of a layout.
    async fn tag(&self) -> Result<Option<crate::reference::Tag>, CliError> {
        let selector = &self.reference.selector;
        if selector.tag.is_some() || selector.digest.is_some() {
            // A digest pins what was meant; the tag beside it may have moved, and then it is not ours to move.
            return Ok(selector.tag.clone());
        }
        let manifest = self.store.manifest(selector).await?;
        for tag in self.store.tags().await?.into_iter().filter(|tag| !tag.is_for_evidence()) {
            if self.store.tag_digest(&tag).await?.as_ref() == Some(manifest.digest()) {
                return Ok(Some(tag));
            }
        }
        Ok(None)
    }
}

fn report(located: &Located, attesting: &Attesting, options: &AttestOptions) -> AttestReport {
    let layout = match options.layout {
        Layout::Referrer => EvidenceLayout::Referrer,
        Layout::Index => EvidenceLayout::Index,
        Layout::IndexArtifact => EvidenceLayout::IndexArtifact,
    };
    let attached = attesting.documents.iter().map(|document| AttachedEntry {
        predicate_type: document.evidence.predicate_type.clone(),
        subject: document.subject.digest.clone(),
        platform: document.platform.as_ref().map(Platform::to_string),
        layout,
        document: document.evidence.blob.digest().clone(),
        size: document.evidence.blob.size(),
    });
    report_of(located, &attesting.image, attached.collect(), &attesting.plan, options.dry_run)
}

/// The report of anything that was attached.
pub(super) fn report_of(
    located: &Located,
    image: &Image,
    attached: Vec<AttachedEntry>,
    plan: &WritePlan,
    dry_run: bool,
) -> AttestReport {
    let reference = located.reference.to_string();
    let part = ImagePart { reference, digest: image.digest().clone(), index: image.is_index() };
    AttestReport::new(part, attached, plan, dry_run)
}
