//! Detach: attached documents off an image, whichever layout keeps them.

use std::collections::BTreeSet;

use futures_util::StreamExt;

use crate::attach::{
    AttachError, Finder, FoundManifest, IndexChange, Removal, Warning, WritePlan, plan_without_index,
    plan_without_referrer, plan_without_tag,
};
use crate::digest::Digest;
use crate::location::EvidenceLayout;
use crate::media_type::{MediaType, PredicateType};
use crate::oci::{Descriptor, Image, Manifest};
use crate::reference::{Selector, Tag};
use crate::store::StoreError;

use super::apply::write;
use super::collect::hint;
use super::error::JobError;
use super::find::{Source, find_everything};
use super::placing::{hanging_on, look_again_at_everything};

/// What to detach.
pub struct DetachRequest<'a> {
    /// The image.
    pub selector: &'a Selector,
    /// Digests of documents, or of manifests with all that they list.
    pub selected: &'a [Digest],
    /// The tag to move when the index changes.
    pub tag: Option<Tag>,
}

/// A document that is taken off, or would be.
#[derive(Debug, Clone)]
pub struct DetachedDocument {
    /// What it claims to be.
    pub predicate_type: Option<PredicateType>,
    /// The ways in which it is kept there.
    pub layouts: Vec<EvidenceLayout>,
    /// The manifest that lists it.
    pub manifest: Digest,
    /// The document.
    pub document: Digest,
    /// The manifest that it hangs on.
    pub hangs_on: Digest,
}

/// Documents and the plan to take them off.
pub struct Detaching<'a> {
    /// The image as it was.
    pub image: Image,
    /// The documents.
    pub detached: Vec<DetachedDocument>,
    /// What to write and remove, or after [`Detaching::write`] what was.
    pub plan: WritePlan,
    request: &'a DetachRequest<'a>,
}

/// Plans to take documents off an image. Nothing is changed; [`Detaching::write`] does that.
///
/// # Errors
/// [`JobError::SelectionAbsent`] when one of the digests is nowhere; [`AttachError::AttestationManifestSigned`] when
/// something that stays signs or refers to a manifest that would go or change; whatever the store says.
pub async fn detach<'a>(request: &'a DetachRequest<'a>, source: &Source<'_>) -> Result<Detaching<'a>, JobError> {
    let root = source.store.manifest(request.selector).await?;
    let finder = find_everything(source.finder(root, None, &[]), source).await;
    let (plan, detached) = plan_selected(request, &finder, source).await?;
    Ok(Detaching { image: finder.image(), detached, plan, request })
}

impl Detaching<'_> {
    /// Carries the plan out: what is smaller is written first, tags move next, and what goes goes last.
    ///
    /// # Errors
    /// [`crate::store::StoreError::DeleteUnsupported`], [`crate::store::StoreError::TagMoved`], and whatever the store
    /// says.
    pub async fn write(&mut self, source: &Source<'_>) -> Result<(), JobError> {
        let (request, image) = (self.request, &self.image);
        let again = async || {
            let finder = look_again_at_everything(request.selector, image, source).await?;
            plan_selected(request, &finder, source).await.map(|(plan, _)| plan)
        };
        self.plan = write(self.plan.clone(), again, source).await?;
        Ok(())
    }
}

async fn plan_selected(
    request: &DetachRequest<'_>,
    finder: &Finder,
    source: &Source<'_>,
) -> Result<(WritePlan, Vec<DetachedDocument>), JobError> {
    refuse_unknown(request, finder, source)?;
    let selected = |found: &FoundManifest, layer: &Descriptor| {
        request.selected.contains(found.manifest.digest()) || request.selected.contains(&layer.digest)
    };
    plan_without(finder, &selected, request.tag.as_ref(), source).await
}

/// Every digest that was named must be there: a typing error must not pass for success.
fn refuse_unknown(request: &DetachRequest<'_>, finder: &Finder, source: &Source<'_>) -> Result<(), JobError> {
    let has: Vec<(Digest, Digest)> = finder
        .found()
        .iter()
        .flat_map(|found| found.layers().iter().map(|layer| (layer.digest.clone(), found.manifest.digest().clone())))
        .collect();
    let is_known = |digest: &&Digest| has.iter().any(|(document, manifest)| [document, manifest].contains(digest));
    let wanted: Vec<Digest> = request.selected.iter().filter(|digest| !is_known(digest)).cloned().collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let image = format!("{}@{}", source.store.name(), finder.image().digest());
    Err(JobError::SelectionAbsent { image, wanted, has })
}

/// Plans to take off every layer that `selected` picks.
pub(super) async fn plan_without(
    finder: &Finder,
    selected: &dyn Fn(&FoundManifest, &Descriptor) -> bool,
    tag: Option<&Tag>,
    source: &Source<'_>,
) -> Result<(WritePlan, Vec<DetachedDocument>), JobError> {
    let image = finder.image();
    let mut touched: Vec<&FoundManifest> =
        finder.found().iter().filter(|found| found.layers().iter().any(|layer| selected(found, layer))).collect();
    // A signature goes before what it signs.
    touched.sort_by_key(|found| !found.second_level);
    let going: BTreeSet<Digest> = touched
        .iter()
        .filter(|found| found.layers().iter().all(|layer| selected(found, layer)))
        .map(|found| found.manifest.digest().clone())
        .collect();
    let mut plan = WritePlan::default();
    let mut changes = Vec::new();
    let mut detached = Vec::new();
    for found in touched {
        let digest = found.manifest.digest();
        let hanging = hanging_on(digest, source).await?;
        if hanging.iter().any(|other| !going.contains(other)) {
            return Err(AttachError::AttestationManifestSigned { manifest: digest.clone() }.into());
        }
        let dropped = |layer: &Descriptor| selected(found, layer);
        let layers = found.layers().iter().filter(|layer| dropped(layer));
        detached.extend(layers.clone().map(|layer| describe(found, layer)));
        if found.seen.iter().any(|layout| matches!(layout, EvidenceLayout::Index | EvidenceLayout::IndexArtifact)) {
            refuse_nested(&image, digest)?;
            let dropped = layers.map(|layer| layer.digest.clone()).collect();
            changes.push(IndexChange { manifest: found.manifest.clone(), dropped });
        } else if found.seen.contains(&EvidenceLayout::Referrer) {
            plan.join(plan_without_referrer(&found.manifest, &dropped, source.limits)?);
        }
        if found.seen.contains(&EvidenceLayout::Tag) {
            for tag in tags_of(found, source).await? {
                plan.join(plan_without_tag(&tag, &found.manifest, &dropped, source.limits)?);
            }
        }
    }
    if !changes.is_empty() {
        let mut inside = plan_without_index(image.root(), &changes, tag, source.limits)?;
        let left = hanging_on(image.digest(), source).await?.iter().filter(|other| !going.contains(other)).count();
        if left > 0 {
            inside.warnings.push(Warning::LeftBehind { index: image.digest().clone(), referrers: left });
        }
        plan.join(inside);
    }
    keep_shared(&mut plan, finder, tag, source).await?;
    // What is written in place of something must not be removed with it.
    let written: Vec<&Digest> = plan.manifests.iter().map(|manifest| manifest.digest()).collect();
    plan.removals.retain(|removal| match removal {
        Removal::Referrer { manifest, .. } => !written.contains(&manifest),
        Removal::Tag { .. } => true,
    });
    if !detached.is_empty() {
        let documents: BTreeSet<&Digest> = detached.iter().map(|document| &document.document).collect();
        plan.warnings.push(Warning::BlobsKept { documents: documents.len() });
    }
    Ok((plan, detached))
}

/// Keeps attestation manifests that the index of another tag lists: deleting them would break that image.
async fn keep_shared(
    plan: &mut WritePlan,
    finder: &Finder,
    tag: Option<&Tag>,
    source: &Source<'_>,
) -> Result<(), JobError> {
    let is_listed = |digest: &Digest| {
        finder.found().iter().filter(|found| found.manifest.digest() == digest).any(|found| {
            let image = found.manifest.as_image();
            image.and_then(|image| image.artifact_type.as_ref()) == Some(&MediaType::DOCKER_ATTESTATION_MANIFEST)
        })
    };
    let going = plan.removals.iter().filter_map(|removal| match removal {
        Removal::Referrer { manifest, .. } if is_listed(manifest) => Some(manifest.clone()),
        _ => None,
    });
    let going: Vec<Digest> = going.collect();
    if going.is_empty() {
        return Ok(());
    }
    let others = source.store.tags().await?.into_iter().filter(|other| !other.is_for_evidence() && Some(other) != tag);
    let indexes: Vec<(Tag, Result<Manifest, StoreError>)> = futures_util::stream::iter(others)
        .map(|other| async move {
            let selector = Selector { tag: Some(other.clone()), digest: None };
            (other, source.store.manifest(&selector).await)
        })
        .buffered(source.limits.concurrent_requests)
        .collect()
        .await;
    for (other, index) in indexes {
        let index = match index {
            Err(error) if error.is_not_found() => continue,
            index => index?,
        };
        let children = index.as_index().map(|index| index.children()).unwrap_or_default();
        for manifest in going.iter().filter(|going| children.iter().any(|child| child.descriptor.digest == **going)) {
            plan.removals
                .retain(|removal| !matches!(removal, Removal::Referrer { manifest: gone, .. } if gone == manifest));
            plan.warnings.retain(|warning| !matches!(warning, Warning::OldIndexBroken { .. }));
            plan.warnings.push(Warning::ManifestShared { manifest: manifest.clone(), tag: other.clone() });
        }
    }
    Ok(())
}

fn describe(found: &FoundManifest, layer: &Descriptor) -> DetachedDocument {
    DetachedDocument {
        predicate_type: hint(found, layer),
        layouts: found.seen.iter().copied().collect(),
        manifest: found.manifest.digest().clone(),
        document: layer.digest.clone(),
        hangs_on: found.hangs_on.clone(),
    }
}

/// An index inside the index has a digest of its own, by which it can be named. What it lists is not taken from it.
fn refuse_nested(image: &Image, manifest: &Digest) -> Result<(), AttachError> {
    let lists = |index: &Manifest| {
        let children = index.as_index().map(|index| index.children()).unwrap_or_default();
        children.iter().any(|child| child.descriptor.digest == *manifest)
    };
    if lists(image.root()) && !image.inner().iter().any(lists) {
        return Ok(());
    }
    Err(AttachError::InsideNestedIndex { manifest: manifest.clone() })
}

/// The tags under which a manifest was found: several when it is the same for several platforms.
///
/// # Errors
/// [`AttachError::KeptWithoutTag`] when no tag names it, as in a folder that `cosign save` wrote.
async fn tags_of(found: &FoundManifest, source: &Source<'_>) -> Result<Vec<Tag>, JobError> {
    let mut tags = Vec::new();
    for about in &found.tagged_for {
        for suffix in ["att", "sig"] {
            let tag = Tag::of_cosign(about, suffix);
            if source.store.tag_digest(&tag).await?.as_ref() == Some(found.manifest.digest()) {
                tags.push(tag);
            }
        }
    }
    if tags.is_empty() {
        return Err(AttachError::KeptWithoutTag { manifest: found.manifest.digest().clone() }.into());
    }
    Ok(tags)
}
