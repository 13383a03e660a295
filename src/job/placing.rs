//! Placing: ready documents into a layout of an image, planned anew when others changed the image meanwhile.

use std::collections::BTreeMap;

use crate::attach::{
    AttachError, DocumentKind, Evidence, Finder, Form, IndexTarget, Warning, WritePlan, plan_index, plan_referrer,
    plan_tag, tag_for,
};
use crate::content::Blob;
use crate::crypto::SigningKey;
use crate::digest::Digest;
use crate::location::EvidenceLayout;
use crate::media_type::{MediaType, PredicateType};
use crate::oci::{Descriptor, Image, ImageManifest, Manifest, Platform};
use crate::reference::{Selector, Tag};
use crate::verify::AttachedContent;

use super::apply::write;
use super::error::JobError;
use super::find::{Source, find_everything, find_parts};
use super::sign::image_statement;
use super::signature::sign_statement;

/// Where new evidence is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutChoice {
    /// A referrer of the image.
    Referrer,
    /// Inside the image's index.
    Index(Form),
    /// Under a tag made from the image's digest.
    Tag,
}

impl LayoutChoice {
    /// The layout as reports name it.
    pub const fn layout(self) -> EvidenceLayout {
        match self {
            Self::Referrer => EvidenceLayout::Referrer,
            Self::Index(Form::Image) => EvidenceLayout::Index,
            Self::Index(Form::Artifact) => EvidenceLayout::IndexArtifact,
            Self::Tag => EvidenceLayout::Tag,
        }
    }
}

/// A document that is attached, or would be.
#[derive(Debug, Clone)]
pub struct AttachedDocument {
    /// What it is about.
    pub subject: Descriptor,
    /// The platform, when it is about one.
    pub platform: Option<Platform>,
    /// The document.
    pub evidence: Evidence,
}

/// Who signs attestation manifests.
#[derive(Clone, Copy)]
pub(super) struct ManifestSigner<'a> {
    pub(super) key: &'a SigningKey,
    /// Statements of others that may be signed too.
    pub(super) vouched: &'a [Digest],
}

/// How documents are placed.
pub(super) struct Placing<'a> {
    pub(super) selector: Selector,
    pub(super) layout: LayoutChoice,
    pub(super) tag: Option<Tag>,
    pub(super) now: jiff::Timestamp,
    pub(super) manifest_signer: Option<ManifestSigner<'a>>,
}

/// Documents and the plan to attach them.
pub struct Attaching<'a> {
    /// The image as it was.
    pub image: Image,
    /// The documents.
    pub documents: Vec<AttachedDocument>,
    /// What to write, or after [`Attaching::write`] what was written.
    pub plan: WritePlan,
    placing: Placing<'a>,
}

impl<'a> Attaching<'a> {
    pub(super) async fn plan(
        placing: Placing<'a>,
        finder: &Finder,
        documents: Vec<AttachedDocument>,
        source: &Source<'_>,
    ) -> Result<Self, JobError> {
        let plan = placing.plan(&documents, finder, source).await?;
        Ok(Self { image: finder.image(), documents, plan, placing })
    }

    /// Writes what was planned.
    ///
    /// When somebody changed the image's index or a tag for evidence meanwhile, the plan is made again from what is
    /// there now, up to [`crate::limits::Limits::write_rounds`] times; but only while the index holds the same images.
    ///
    /// # Errors
    /// [`crate::store::StoreError::TagMoved`], [`JobError::EntryLost`], and whatever the store says.
    pub async fn write(&mut self, source: &Source<'_>) -> Result<(), JobError> {
        let (placing, image, documents) = (&self.placing, &self.image, &self.documents);
        let again = async || {
            let finder = look_again(&placing.selector, image, source).await?;
            placing.plan(documents, &finder, source).await
        };
        self.plan = write(self.plan.clone(), again, source).await?;
        Ok(())
    }
}

/// Reads the image once more. Other evidence in it is no reason to stop; another image is.
pub(super) async fn look_again(selector: &Selector, known: &Image, source: &Source<'_>) -> Result<Finder, JobError> {
    let root = source.store.manifest(selector).await?;
    while_the_same(known, find_parts(root, source).await)
}

/// The same, with all evidence in every place.
pub(super) async fn look_again_at_everything(
    selector: &Selector,
    known: &Image,
    source: &Source<'_>,
) -> Result<Finder, JobError> {
    let root = source.store.manifest(selector).await?;
    while_the_same(known, find_everything(source.finder(root, None, &[]), source).await)
}

fn while_the_same(known: &Image, finder: Finder) -> Result<Finder, JobError> {
    let parts = |image: &Image| {
        let mut digests: Vec<String> =
            image.platforms().iter().map(|part| part.descriptor.digest.to_string()).collect();
        digests.sort();
        digests.dedup();
        digests
    };
    let now = finder.image();
    if parts(known) == parts(&now) { Ok(finder) } else { Err(JobError::ImageReplaced { now: now.digest().clone() }) }
}

impl Placing<'_> {
    async fn plan(
        &self,
        documents: &[AttachedDocument],
        finder: &Finder,
        source: &Source<'_>,
    ) -> Result<WritePlan, JobError> {
        let mut plan = match self.layout {
            LayoutChoice::Referrer => self.plan_referrers(documents, source)?,
            LayoutChoice::Tag => plan_tags(documents, source).await?,
            LayoutChoice::Index(form) => self.plan_in_index(form, documents, finder, source).await?,
        };
        let bare = documents.iter().filter(|document| document.evidence.kind == DocumentKind::Statement).count();
        if bare > 0 && self.manifest_signer.is_none() {
            plan.warnings.insert(0, Warning::Unsigned { statements: bare });
        }
        Ok(plan)
    }

    fn plan_referrers(&self, documents: &[AttachedDocument], source: &Source<'_>) -> Result<WritePlan, JobError> {
        let mut whole = WritePlan::default();
        for document in documents {
            whole.join(plan_referrer(&document.subject, &document.evidence, self.now, source.limits)?);
        }
        Ok(whole)
    }

    async fn plan_in_index(
        &self,
        form: Form,
        documents: &[AttachedDocument],
        finder: &Finder,
        source: &Source<'_>,
    ) -> Result<WritePlan, JobError> {
        let image = finder.image();
        let platform = if image.is_index() { None } else { Some(platform_of(image.root(), source).await?) };
        let mut targets: Vec<IndexTarget> = Vec::new();
        for document in documents {
            let same = targets.iter_mut().find(|target| target.image.digest == document.subject.digest);
            if let Some(target) = same {
                target.evidence.push(document.evidence.clone());
                continue;
            }
            let existing = existing_manifest(&document.subject.digest, form, finder, source).await?;
            let evidence = vec![document.evidence.clone()];
            targets.push(IndexTarget { image: document.subject.clone(), existing, evidence });
        }
        for target in &targets {
            self.refuse_unvouched(target, source).await?;
        }
        let tag = self.tag.as_ref();
        let mut plan = plan_index(image.root(), platform.as_ref(), &targets, form, tag, source.limits)?;
        let index = plan.manifests.pop();
        plan.present = present(&plan, finder, source).await?;
        // One that has every statement already is not written again, and signed all the same.
        let has_all = |target: &&IndexTarget, existing: &Manifest| {
            let layers = existing.as_image().map(|image| image.layers.as_slice()).unwrap_or_default();
            let has = |digest: &Digest| layers.iter().any(|layer| layer.digest == *digest);
            target.evidence.iter().all(|evidence| has(evidence.blob.digest()))
        };
        let complete: Vec<Manifest> = targets
            .iter()
            .filter_map(|target| target.existing.clone().filter(|existing| has_all(&target, existing)))
            .collect();
        self.sign_manifests(&mut plan, complete, source)?;
        let changes = index.is_some();
        plan.manifests.extend(index);
        if image.is_index() && changes {
            let left = hanging_on(image.digest(), source).await?.len();
            if left > 0 {
                plan.warnings.push(Warning::LeftBehind { index: image.digest().clone(), referrers: left });
            }
        }
        Ok(plan)
    }

    /// A signature over a manifest is one over every statement in it: also over those that others put there, and over
    /// those that are called envelopes and have no signature of their own.
    async fn refuse_unvouched(&self, target: &IndexTarget, source: &Source<'_>) -> Result<(), JobError> {
        let (Some(signer), Some(existing)) = (self.manifest_signer, &target.existing) else { return Ok(()) };
        let layers = existing.as_image().map(|image| image.layers.as_slice()).unwrap_or_default();
        let own = |digest: &Digest| target.evidence.iter().any(|evidence| evidence.blob.digest() == digest);
        let mut statements: Vec<Digest> = Vec::new();
        for layer in layers.iter().filter(|layer| !signer.vouched.contains(&layer.digest) && !own(&layer.digest)) {
            if !is_signed_by_itself(layer, source).await? {
                statements.push(layer.digest.clone());
            }
        }
        if statements.is_empty() {
            return Ok(());
        }
        Err(AttachError::UnsignedStatementsPresent { manifest: existing.digest().clone(), statements }.into())
    }

    /// Adds a signature over each attestation manifest of the plan, and over those that are complete, as its referrer: the form of Docker's own builds.
    fn sign_manifests(
        &self,
        plan: &mut WritePlan,
        complete: Vec<Manifest>,
        source: &Source<'_>,
    ) -> Result<(), JobError> {
        let Some(signer) = self.manifest_signer else { return Ok(()) };
        for manifest in plan.manifests.clone().into_iter().chain(complete) {
            let statement = image_statement(manifest.digest(), &BTreeMap::new(), source.limits)?;
            let bundle = sign_statement(&statement, signer.key, source.limits)?;
            let blob = Blob::new(MediaType::SIGSTORE_BUNDLE_V03, bundle.to_content())?;
            let evidence = Evidence::new(blob, Some(PredicateType::COSIGN_SIGN), DocumentKind::Bundle);
            plan.join(plan_referrer(&manifest.descriptor(), &evidence, self.now, source.limits)?);
        }
        Ok(())
    }
}

/// Whether a layer is an envelope or a bundle, by what it is called and by its bytes.
async fn is_signed_by_itself(layer: &Descriptor, source: &Source<'_>) -> Result<bool, JobError> {
    if !layer.media_type.is_envelope() {
        return Ok(false);
    }
    let blob = source.store.blob(layer, source.limits.blob_bytes).await?;
    let content = AttachedContent::read(&blob, layer, source.limits);
    Ok(matches!(content, Ok(AttachedContent::Envelope(_) | AttachedContent::Bundle(_))))
}

/// The attestation manifests of a plan that somebody wrote before, perhaps into the index of another tag.
async fn present(plan: &WritePlan, finder: &Finder, source: &Source<'_>) -> Result<Vec<Digest>, JobError> {
    let image = finder.image();
    let mut known: Vec<Digest> = finder.found().iter().map(|found| found.manifest.digest().clone()).collect();
    if !image.is_index() {
        known.extend(source.store.referrers(image.digest()).await?.into_iter().map(|descriptor| descriptor.digest));
    }
    known.retain(|digest| plan.manifests.iter().any(|manifest| manifest.digest() == digest));
    Ok(known)
}

/// Documents about one manifest share a tag, and so one write.
async fn plan_tags(documents: &[AttachedDocument], source: &Source<'_>) -> Result<WritePlan, JobError> {
    let mut tags: BTreeMap<Tag, Vec<&Evidence>> = BTreeMap::new();
    for document in documents {
        let tag = tag_for(&document.subject.digest, document.evidence.kind)?;
        tags.entry(tag).or_default().push(&document.evidence);
    }
    let mut whole = WritePlan::default();
    for (tag, evidence) in &tags {
        let existing = match source.store.manifest(&Selector { tag: Some(tag.clone()), digest: None }).await {
            Err(error) if error.is_not_found() => None,
            found => Some(found?),
        };
        let mut plan = plan_tag(tag, existing.as_ref(), evidence, source.limits)?;
        // What `cosign save` keeps has no tag: then the tag is new, with what was there in it.
        if existing.is_some() && source.store.tag_digest(tag).await?.is_none() {
            plan.evidence_tags.iter_mut().for_each(|written| written.from = None);
        }
        whole.join(plan);
    }
    Ok(whole)
}

/// The attestation manifest of this form that a platform has already.
///
/// It may only grow while nothing signs or refers to it: its digest changes, and every signature over it would be lost.
async fn existing_manifest(
    about: &Digest,
    form: Form,
    finder: &Finder,
    source: &Source<'_>,
) -> Result<Option<Manifest>, JobError> {
    let image = finder.image();
    let Some(index) = image.root().as_index() else { return Ok(None) };
    for child in index.attestation_manifests_of(about) {
        let known = finder.found().iter().find(|found| *found.manifest.digest() == child.descriptor.digest);
        let Some(known) = known else { continue };
        let artifact = known.manifest.as_image().is_some_and(|image: &ImageManifest| image.artifact_type.is_some());
        if artifact != (form == Form::Artifact) {
            continue;
        }
        if !hanging_on(known.manifest.digest(), source).await?.is_empty() {
            return Err(AttachError::AttestationManifestSigned { manifest: known.manifest.digest().clone() }.into());
        }
        return Ok(Some(known.manifest.clone()));
    }
    Ok(None)
}

/// The manifests that hang on a digest, by referrers and by cosign's tags.
pub(super) async fn hanging_on(digest: &Digest, source: &Source<'_>) -> Result<Vec<Digest>, JobError> {
    let listed = source.store.referrers(digest).await?;
    let mut hanging: Vec<Digest> = listed.into_iter().map(|descriptor| descriptor.digest).collect();
    for suffix in ["sig", "att"] {
        hanging.extend(source.store.tag_digest(&Tag::of_cosign(digest, suffix)).await?);
    }
    Ok(hanging)
}

/// The platform of a single manifest, from its configuration: needed when it is wrapped in an index.
async fn platform_of(manifest: &Manifest, source: &Source<'_>) -> Result<Platform, JobError> {
    let Some(image) = manifest.as_image() else { return Ok(Platform::unknown()) };
    let config = source.store.blob(&image.config, source.limits.manifest_bytes).await?;
    let bytes = config.bytes(source.limits.manifest_bytes)?;
    // A configuration without a platform is no image's; its child is then marked as what it is.
    Ok(serde_json::from_slice::<Platform>(&bytes).unwrap_or_else(|_| Platform::unknown()))
}
