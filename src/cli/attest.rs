//! `attestry attest`

use std::cell::RefCell;

use super::args::{AttestOptions, Common, Layout, SignedPart};
use super::error::CliError;
use super::place::{Located, locate, read_file};
use super::ui::Ui;
use super::{Exit, keys};
use crate::attach::{Form, WritePlan};
use crate::crypto::SigningKey;
use crate::digest::Digest;
use crate::job::{self, Attaching, AttestRequest, LayoutChoice, Signing, Targets};
use crate::limits::Limits;
use crate::oci::{Image, Platform, PlatformManifest};
use crate::predicate::{Predicate, TypeSelector};
use crate::reference::{Place, Tag};
use crate::report::{AttachedEntry, AttestReport, ImagePart, human_attest};

/// What stands for the platform in `--predicate`.
const PLATFORM_MARK: &str = "{platform}";

pub(super) async fn run(options: &AttestOptions, common: &Common, ui: &Ui) -> Result<Exit, CliError> {
    let limits = Limits::default();
    let selector = TypeSelector::parse(&options.predicate_type).map_err(CliError::PredicateType)?;
    let targets = targets(options)?;
    let layout = layout_choice(options.layout);
    check_signing(options)?;
    let vouched = digests(&options.vouch)?;
    let templated = options.predicate.contains(PLATFORM_MARK);
    let read = |path: &str| {
        let content = read_file(path, &limits)?;
        Predicate::read(content, &selector, &limits)
            .map_err(|error| CliError::Predicate { path: path.to_owned(), error })
    };
    // Opening an encrypted key is slow on purpose; a large predicate is read meanwhile.
    let (shared, key) = std::thread::scope(|scope| {
        let key = options.key.as_ref().map(|path| scope.spawn(|| keys::signing_key(path, ui)));
        let shared = if templated { None } else { Some(read(&options.predicate)) };
        (shared.transpose(), key.map(std::thread::ScopedJoinHandle::join))
    });
    let shared = shared?;
    let key = key.map(|key| key.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).transpose()?;
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
    let request = AttestRequest {
        selector: &located.reference.selector,
        subject_name: located.subject_name(),
        predicate: &predicate,
        targets,
        layout,
        tag: located.tag().await?,
    };
    let source = located.source(&limits);
    let signing = signing(options, key.as_ref(), &vouched);
    let mut attaching = job::attest(&request, signing, jiff::Timestamp::now(), &source).await?;
    if let Some(error) = failed.into_inner() {
        return Err(error);
    }
    if options.unsigned {
        ui.note("NOT SIGNED: nobody who verifies this image will accept what is attached");
    }
    if !options.dry_run {
        attaching.write(&source).await?;
    }
    ui.report(&report(&located, &attaching, layout, options.dry_run), human_attest)?;
    Ok(Exit::Done)
}

/// The layout that was chosen.
pub(super) const fn layout_choice(layout: Layout) -> LayoutChoice {
    match layout {
        Layout::Referrer => LayoutChoice::Referrer,
        Layout::Index => LayoutChoice::Index(Form::Image),
        Layout::IndexArtifact => LayoutChoice::Index(Form::Artifact),
        Layout::Tag => LayoutChoice::Tag,
    }
}

/// Refuses what no tool could verify.
fn check_signing(options: &AttestOptions) -> Result<(), CliError> {
    let refuse = |message: &str, hint: &str| {
        Err(CliError::Arguments { message: message.to_owned(), hint: Some(hint.to_owned()) })
    };
    if options.sign == SignedPart::Manifest && options.layout != Layout::IndexArtifact {
        return refuse(
            "--sign manifest needs --layout index-artifact",
            "only an attestation manifest in that form names its image, as those who verify it demand",
        );
    }
    if options.sign == SignedPart::Statement && !options.vouch.is_empty() {
        return refuse("--vouch needs --sign manifest", "a signature over a statement covers no other statement");
    }
    if options.unsigned && options.layout == Layout::Tag {
        return refuse(
            "--layout tag holds signed statements only",
            "use --layout referrer, index or index-artifact with --unsigned",
        );
    }
    Ok(())
}

fn signing<'a>(options: &AttestOptions, key: Option<&'a SigningKey>, vouched: &'a [Digest]) -> Signing<'a> {
    match (key, options.sign) {
        (None, _) => Signing::Nothing,
        (Some(key), SignedPart::Statement) => Signing::Statement(key),
        (Some(key), SignedPart::Manifest) => Signing::Manifest { key, vouched },
    }
}

/// Digests that were typed.
pub(super) fn digests(texts: &[String]) -> Result<Vec<Digest>, CliError> {
    let digests = texts.iter().map(|text| Digest::parse(text));
    digests.collect::<Result<_, _>>().map_err(|error| CliError::Arguments { message: error.to_string(), hint: None })
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
    /// The tag that will name the new index. Without one that was typed: `latest` in a registry, the tag of the only
    /// image in a layout.
    pub(super) async fn tag(&self) -> Result<Option<Tag>, CliError> {
        let selector = &self.reference.selector;
        if selector.tag.is_some() || selector.digest.is_some() {
            // A digest pins what was meant; the tag beside it may have moved, and then it is not ours to move.
            return Ok(selector.tag.clone());
        }
        if matches!(self.reference.place, Place::Registry(_)) {
            // What a registry is asked for then, whichever other tags name the same.
            return Ok(Tag::parse("latest").ok());
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

/// The report of documents that were attached, or would be.
pub(super) fn report(
    located: &Located,
    attaching: &Attaching<'_>,
    layout: LayoutChoice,
    dry_run: bool,
) -> AttestReport {
    let attached = attaching.documents.iter().map(|document| AttachedEntry {
        predicate_type: document.evidence.predicate_type.clone(),
        subject: document.subject.digest.clone(),
        platform: document.platform.as_ref().map(Platform::to_string),
        layout: layout.layout(),
        document: document.evidence.blob.digest().clone(),
        size: document.evidence.blob.size(),
    });
    report_of(located, &attaching.image, attached.collect(), &attaching.plan, dry_run)
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
