//! Carrying out a plan: blobs, manifests, tags for evidence, the image's tag, removals last.
//!
//! A tag is changed by reading, changing and writing, and somebody else may write in between. Where the store notices,
//! the plan is made again from what is there now. Where it may not, the writer looks again after a random while whether
//! its entries are still there.

use futures_util::{StreamExt, TryStreamExt};

use crate::attach::{Removal, Warning, WritePlan};
use crate::digest::Digest;
use crate::limits::Limits;
use crate::oci::Manifest;
use crate::reference::{Selector, Tag};
use crate::store::{Expected, Removed, Store, StoreError};

use super::error::JobError;
use super::find::Source;

/// Writes what was planned, once. When it fails midway no tag names what was written already.
///
/// # Errors
/// Whatever the store says; [`StoreError::TagMoved`] when somebody else moved a tag since the plan was made.
pub async fn apply(plan: &WritePlan, store: &dyn Store, limits: &Limits) -> Result<Vec<Warning>, StoreError> {
    futures_util::stream::iter(&plan.blobs)
        .map(Ok::<_, StoreError>)
        .try_for_each_concurrent(
            limits.concurrent_requests,
            |blob| async move { store.push_blob(blob).await.map(drop) },
        )
        .await?;
    for manifest in &plan.manifests {
        store.push_manifest(manifest).await?;
    }
    for written in &plan.evidence_tags {
        let expected = written.from.clone().map_or(Expected::Absent, Expected::Digest);
        store.tag(&written.to, &written.tag, &expected).await?;
    }
    if let Some(moved) = &plan.tag {
        store.tag(&moved.to, &moved.tag, &Expected::Digest(moved.from.clone())).await?;
    }
    let mut warnings = Vec::new();
    for removal in &plan.removals {
        remove(removal, store, &mut warnings).await?;
    }
    Ok(warnings)
}

async fn remove(removal: &Removal, store: &dyn Store, warnings: &mut Vec<Warning>) -> Result<(), StoreError> {
    match removal {
        Removal::Referrer { subject, manifest } => match store.remove_referrer(subject, manifest).await {
            Ok(Removed::Deleted) => Ok(()),
            Ok(Removed::Unlisted) => {
                warnings.push(Warning::ManifestKept { manifest: manifest.clone() });
                Ok(())
            }
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        },
        Removal::Tag { tag, from } => store.untag(tag, &Expected::Digest(from.clone())).await,
    }
}

/// Writes a plan; when others changed something meanwhile, `again` makes it anew. Gives the plan that was carried out.
pub(super) async fn write(
    first: WritePlan,
    again: impl AsyncFn() -> Result<WritePlan, JobError>,
    source: &Source<'_>,
) -> Result<WritePlan, JobError> {
    let (store, limits) = (source.store, source.limits);
    let mut plan = first;
    let mut overtaken = Overtaken::default();
    for round in 1.. {
        let failed = match attempt(&plan, store, limits).await {
            Ok(warnings) => {
                plan.warnings.extend(warnings);
                let kept = overtaken.clear_up(&plan, store).await;
                plan.warnings.extend(kept.into_iter().map(|manifest| Warning::ManifestKept { manifest }));
                return Ok(plan);
            }
            Err(failed) => failed,
        };
        match &failed {
            // What names nothing yet is a referrer all the same, and would count.
            JobError::Store(StoreError::TagMoved { .. }) => {
                let ours =
                    |manifest: &&Manifest| manifest.subject().is_some() && !plan.present.contains(manifest.digest());
                overtaken.manifests.extend(plan.manifests.iter().filter(ours).cloned());
                overtaken.tag = plan.tag.as_ref().map(|moved| moved.tag.clone()).or(overtaken.tag);
            }
            JobError::EntryLost { .. } => {}
            _ => return Err(failed),
        }
        if round >= limits.write_rounds {
            return Err(give_up(failed, &overtaken, store).await);
        }
        store.pause().await;
        plan = match again().await {
            Ok(next) if starts_from_the_same(&plan, &next) && !matches!(failed, JobError::EntryLost { .. }) => {
                return Err(give_up(failed, &overtaken, store).await);
            }
            Ok(next) => next,
            // Another image under the tag: it moved, as was said.
            Err(JobError::ImageReplaced { .. }) => return Err(give_up(failed, &overtaken, store).await),
            Err(other) => return Err(give_up(other, &overtaken, store).await),
        };
    }
    Ok(plan)
}

async fn attempt(plan: &WritePlan, store: &dyn Store, limits: &Limits) -> Result<Vec<Warning>, JobError> {
    let warnings = apply(plan, store, limits).await?;
    let entries = lost_entries(plan, store).await?;
    if entries.is_empty() { Ok(warnings) } else { Err(JobError::EntryLost { place: store.name(), entries }) }
}

/// Whether a plan that was made again would fail as before: what was asked for is pinned to what has changed.
fn starts_from_the_same(old: &WritePlan, new: &WritePlan) -> bool {
    let tags = |plan: &WritePlan| -> Vec<(Tag, Option<Digest>)> {
        let evidence = plan.evidence_tags.iter().map(|written| (written.tag.clone(), written.from.clone()));
        let image = plan.tag.iter().map(|moved| (moved.tag.clone(), Some(moved.from.clone())));
        let removed = plan.removals.iter().filter_map(|removal| match removal {
            Removal::Tag { tag, from } => Some((tag.clone(), Some(from.clone()))),
            Removal::Referrer { .. } => None,
        });
        evidence.chain(image).chain(removed).collect()
    };
    tags(old) == tags(new)
}

/// The documents of a plan that are not where they were put: another writer's change took them away.
async fn lost_entries(plan: &WritePlan, store: &dyn Store) -> Result<Vec<Digest>, StoreError> {
    if store.guards_tags() || plan.entries.is_empty() {
        return Ok(Vec::new());
    }
    store.pause().await;
    let mut there: Vec<Digest> = Vec::new();
    for written in &plan.evidence_tags {
        if let Some(manifest) = tagged(&written.tag, store).await? {
            there.extend(layers(&manifest));
        }
    }
    if let Some(moved) = &plan.tag {
        let now = tagged(&moved.tag, store).await?;
        if now.as_ref().is_some_and(|now| now.digest() == moved.to.digest()) {
            return Ok(Vec::new());
        }
        let children = now.as_ref().and_then(Manifest::as_index).map(|index| index.children()).unwrap_or_default();
        for child in children.iter().filter(|child| child.is_attestation_manifest()) {
            there.extend(layers(&store.manifest_at(&child.descriptor).await?));
        }
    }
    Ok(plan.entries.iter().filter(|entry| !there.contains(entry)).cloned().collect())
}

async fn tagged(tag: &Tag, store: &dyn Store) -> Result<Option<Manifest>, StoreError> {
    match store.manifest(&Selector { tag: Some(tag.clone()), digest: None }).await {
        Err(error) if error.is_not_found() => Ok(None),
        found => found.map(Some),
    }
}

fn layers(manifest: &Manifest) -> Vec<Digest> {
    let layers = manifest.as_image().map(|image| image.layers.as_slice()).unwrap_or_default();
    layers.iter().map(|layer| layer.digest.clone()).collect()
}

/// Attempts that others were faster than.
#[derive(Default)]
struct Overtaken {
    /// What they wrote.
    manifests: Vec<Manifest>,
    /// The image's tag that they did not move.
    tag: Option<Tag>,
}

impl Overtaken {
    /// Takes away their referrers. Gives those that stay, and would count.
    async fn clear_up(&self, plan: &WritePlan, store: &dyn Store) -> Vec<Digest> {
        if self.manifests.is_empty() {
            return Vec::new();
        }
        // Whoever was faster may have written the very same manifest, and lists it.
        let listed = match &self.tag {
            Some(tag) => tagged(tag, store).await,
            None => Ok(None),
        };
        let Ok(listed) = listed else {
            return self.manifests.iter().map(|manifest| manifest.digest().clone()).collect();
        };
        let listed = listed.as_ref().and_then(Manifest::as_index).map(|index| index.children()).unwrap_or_default();
        let mut kept = Vec::new();
        // Signatures come after what they sign, and go before it.
        for manifest in self.manifests.iter().rev() {
            let digest = manifest.digest();
            let used = plan.manifests.iter().any(|used| used.digest() == digest)
                || listed.iter().any(|child| child.descriptor.digest == *digest);
            let Some(subject) = manifest.subject().filter(|_| !used) else { continue };
            match store.remove_referrer(&subject.digest, digest).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(_) => kept.push(digest.clone()),
            }
        }
        kept
    }
}

/// The error to end with, and what could not be cleared up.
async fn give_up(cause: JobError, overtaken: &Overtaken, store: &dyn Store) -> JobError {
    let manifests = overtaken.clear_up(&WritePlan::default(), store).await;
    if manifests.is_empty() { cause } else { JobError::LeftBehind { cause: Box::new(cause), manifests } }
}
