//! Layouts `index` and `index-artifact`: attestation manifests inside the image's index.
//!
//! Source: BuildKit attestation-storage.md, exporter/containerimage/{writer,attestations}.go.

use std::collections::BTreeMap;

use super::plan::{AttachError, Evidence, Removal, TagMove, Warning, WritePlan};
use crate::content::Blob;
use crate::digest::Digest;
use crate::limits::Limits;
use crate::location::EvidenceLayout;
use crate::media_type::MediaType;
use crate::oci::{
    Descriptor, ImageIndex, ImageManifest, Manifest, Platform, annotations, artifact_manifest, new_index,
};
use crate::reference::Tag;

/// The two forms of an attestation manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// OCI artifact with `artifactType` and `subject` (BuildKit from 0.31).
    Artifact,
    /// Image with a configuration that lists the statements (BuildKit up to 0.30).
    Image,
}

/// In which of the two forms an index child is.
pub(super) fn layout_of(manifest: &Manifest) -> EvidenceLayout {
    let artifact_type = manifest.as_image().and_then(|image| image.artifact_type.as_ref());
    if artifact_type == Some(&MediaType::DOCKER_ATTESTATION_MANIFEST) {
        EvidenceLayout::IndexArtifact
    } else {
        EvidenceLayout::Index
    }
}

/// What to add for one platform.
#[derive(Debug, Clone)]
pub struct IndexTarget {
    /// The platform's manifest.
    pub image: Descriptor,
    /// The attestation manifest that it has in this form, if nothing signs or refers to it.
    pub existing: Option<Manifest>,
    /// The documents to add.
    pub evidence: Vec<Evidence>,
}

/// Plans to put documents into the index of an image.
///
/// `root` is the index, or a single manifest, which is wrapped in a new index for `platform`. Every other child and
/// annotation keeps its bytes.
///
/// # Errors
/// [`AttachError::Manifest`] when a manifest that was made does not read back: a bug, or an index over the bounds.
pub fn plan_index(
    root: &Manifest,
    platform: Option<&Platform>,
    targets: &[IndexTarget],
    form: Form,
    tag: Option<&Tag>,
    limits: &Limits,
) -> Result<WritePlan, AttachError> {
    let mut plan = WritePlan::default();
    let mut index = match root.as_index() {
        Some(_) => root.clone(),
        None => {
            let mut child = root.descriptor();
            child.platform = platform.cloned();
            plan.warnings.push(Warning::Wrapped { image: root.digest().clone() });
            Manifest::read(new_index(&[child], &BTreeMap::new()), limits)?
        }
    };
    let mut changed = root.as_index().is_none();
    for target in targets {
        let Some((manifest, blobs)) = attestation_manifest(target, form, limits)? else { continue };
        let Some(known) = index.as_index() else { continue };
        let text = match &target.existing {
            Some(existing) if lists(known, existing.digest()) => {
                known.with_children_replaced(index.bytes(), existing.digest(), |old| renewed(old, &manifest))
            }
            _ => known.with_child(index.bytes(), &index_child(&manifest, &target.image.digest)),
        };
        index = Manifest::read(Blob::of_bytes(index.blob().media_type().clone(), text), limits)?;
        plan.entries.extend(target.evidence.iter().map(|evidence| evidence.blob.digest().clone()));
        plan.blobs.extend(blobs);
        plan.manifests.push(manifest);
        changed = true;
    }
    if !changed {
        // All of it is there already: another writer of the same documents, or a second run.
        return Ok(WritePlan::default());
    }
    finish(&mut plan, root, index, tag);
    Ok(plan)
}

/// What to take out of one attestation manifest.
#[derive(Debug, Clone)]
pub struct IndexChange {
    /// The attestation manifest.
    pub manifest: Manifest,
    /// The documents to take out of it; with the last one it goes.
    pub dropped: Vec<Digest>,
}

/// Plans to take documents out of the index of an image. Every other child and annotation keeps its bytes.
///
/// # Errors
/// [`AttachError::Manifest`] when a manifest that was made does not read back: a bug.
pub fn plan_without_index(
    root: &Manifest,
    changes: &[IndexChange],
    tag: Option<&Tag>,
    limits: &Limits,
) -> Result<WritePlan, AttachError> {
    let mut plan = WritePlan::default();
    let mut index = root.clone();
    for change in changes {
        let (Some(known), Some(image)) = (index.as_index(), change.manifest.as_image()) else { continue };
        let old = change.manifest.digest();
        let dropped = |layer: &Descriptor| change.dropped.contains(&layer.digest);
        let text = if lists(known, old) && !image.layers.iter().all(dropped) {
            let (manifest, blobs) = smaller(&change.manifest, image, &dropped, limits)?;
            let text = known.with_children_replaced(index.bytes(), old, |child| renewed(child, &manifest));
            plan.blobs.extend(blobs);
            plan.manifests.push(manifest);
            text
        } else {
            known.without_children(index.bytes(), |child| child.digest == *old)
        };
        index = Manifest::read(Blob::of_bytes(index.blob().media_type().clone(), text), limits)?;
        if let Some(subject) = change.manifest.subject() {
            // In its artifact form it is a referrer too, and would be found there.
            plan.removals.push(Removal::Referrer { subject: subject.digest.clone(), manifest: old.clone() });
            plan.warnings.push(Warning::OldIndexBroken { index: root.digest().clone() });
        }
    }
    plan.warnings.dedup();
    finish(&mut plan, root, index, tag);
    Ok(plan)
}

/// The attestation manifest with fewer layers.
fn smaller(
    manifest: &Manifest,
    image: &ImageManifest,
    dropped: &dyn Fn(&Descriptor) -> bool,
    limits: &Limits,
) -> Result<(Manifest, Vec<Blob>), AttachError> {
    let mut text = image.without_layers(manifest.bytes(), dropped);
    let mut blobs = Vec::new();
    if image.config.media_type.is_image_config() {
        let config = image_config(image.layers.iter().filter(|layer| !dropped(layer)));
        text = ImageManifest::with_config(&text, &Descriptor::of(&config), limits)?;
        blobs.push(config);
    }
    Ok((Manifest::read(Blob::of_bytes(manifest.blob().media_type().clone(), text), limits)?, blobs))
}

/// What every change of an index ends with: what to say about it, and the tag.
fn finish(plan: &mut WritePlan, root: &Manifest, index: Manifest, tag: Option<&Tag>) {
    if root.as_index().is_some() {
        plan.warnings.push(Warning::IndexDigestChanges { from: root.digest().clone(), to: index.digest().clone() });
    }
    match tag {
        Some(tag) => {
            plan.tag = Some(TagMove { tag: tag.clone(), from: root.digest().clone(), to: index.clone() });
        }
        None => plan.warnings.push(Warning::Untagged { index: index.digest().clone() }),
    }
    plan.manifests.push(index);
}

fn lists(index: &ImageIndex, digest: &Digest) -> bool {
    index.children().iter().any(|child| child.descriptor.digest == *digest)
}

/// The entry of a manifest that changed: what it says beside digest and size stays.
fn renewed(old: &Descriptor, manifest: &Manifest) -> Descriptor {
    let mut child = old.clone();
    child.data = None;
    child.digest = manifest.digest().clone();
    child.size = manifest.blob().size();
    child
}

fn index_child(manifest: &Manifest, about: &Digest) -> Descriptor {
    let mut child = manifest
        .descriptor()
        .annotated(annotations::REFERENCE_DIGEST, about.to_string())
        .annotated(annotations::REFERENCE_TYPE, annotations::ATTESTATION_MANIFEST);
    child.platform = Some(Platform::unknown());
    child
}

/// The layer descriptor of a document, with the predicate type beside it as BuildKit has it.
fn layer_of(evidence: &Evidence) -> Descriptor {
    let mut layer = Descriptor::of(&evidence.blob);
    layer.annotations.clone_from(&evidence.notes);
    match &evidence.predicate_type {
        Some(predicate_type) => layer.annotated(annotations::PREDICATE_TYPE, predicate_type.to_string()),
        None => layer,
    }
}

/// A new attestation manifest, or the existing one with more layers; `None` when it has them already.
fn attestation_manifest(
    target: &IndexTarget,
    form: Form,
    limits: &Limits,
) -> Result<Option<(Manifest, Vec<Blob>)>, AttachError> {
    let old = target.existing.as_ref().and_then(|existing| Some((existing, existing.as_image()?)));
    let known = old.map(|(_, image)| image.layers.as_slice()).unwrap_or_default();
    let is_new = |evidence: &&Evidence| !known.iter().any(|layer| layer.digest == *evidence.blob.digest());
    let new: Vec<&Evidence> = target.evidence.iter().filter(is_new).collect();
    if new.is_empty() {
        return Ok(None);
    }
    let added: Vec<Descriptor> = new.iter().map(|evidence| layer_of(evidence)).collect();
    let mut blobs: Vec<Blob> = new.iter().map(|evidence| evidence.blob.clone()).collect();
    let blob = match (old, form) {
        (Some((existing, image)), form) => {
            let mut text = image.with_layers(existing.bytes(), &added);
            if form == Form::Image {
                let config = image_config(image.layers.iter().chain(&added));
                text = ImageManifest::with_config(&text, &Descriptor::of(&config), limits)?;
                blobs.push(config);
            }
            Blob::of_bytes(existing.blob().media_type().clone(), text)
        }
        (None, Form::Artifact) => {
            blobs.push(crate::oci::empty_blob());
            let kind = MediaType::DOCKER_ATTESTATION_MANIFEST;
            artifact_manifest(&kind, &added, Some(&target.image), &BTreeMap::new())
        }
        (None, Form::Image) => {
            let config = image_config(added.iter());
            let blob = image_manifest(&Descriptor::of(&config), &added);
            blobs.push(config);
            blob
        }
    };
    Ok(Some((Manifest::read(blob, limits)?, blobs)))
}

/// The configuration of the older form: its layers are not compressed, so their digests are the diff ids.
fn image_config<'a>(layers: impl Iterator<Item = &'a Descriptor>) -> Blob {
    let diff_ids: Vec<String> = layers.map(|layer| layer.digest.to_string()).collect();
    let config = serde_json::json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    Blob::of_bytes(MediaType::OCI_CONFIG, config.to_string().into_bytes())
}

/// A manifest in the form of an image, in which the older layouts keep evidence.
pub(super) fn image_manifest(config: &Descriptor, layers: &[Descriptor]) -> Blob {
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": config,
        "layers": layers,
    });
    Blob::of_bytes(MediaType::OCI_MANIFEST, manifest.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attach::DocumentKind;
    use crate::media_type::PredicateType;

    fn evidence(text: &'static str) -> Evidence {
        let blob = Blob::of_bytes(MediaType::in_toto_envelope("spdx"), text.as_bytes());
        Evidence::new(blob, Some(PredicateType::new("https://spdx.dev/Document")), DocumentKind::Envelope)
    }

    fn target(existing: Option<Manifest>, text: &'static str) -> IndexTarget {
        let image = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b"image"), 5);
        IndexTarget { image, existing, evidence: vec![evidence(text)] }
    }

    #[test]
    fn a_second_statement_joins_the_layers_of_the_first() {
        let limits = Limits::default();
        for form in [Form::Artifact, Form::Image] {
            let made = |target: &IndexTarget| attestation_manifest(target, form, &limits).unwrap();
            let (first, _) = made(&target(None, "one")).unwrap();
            let (second, blobs) = made(&target(Some(first.clone()), "two")).unwrap();
            assert!(made(&target(Some(second.clone()), "one")).is_none());
            let image = second.as_image().unwrap();
            assert_eq!(image.layers.len(), 2, "{form:?}");
            assert_eq!(image.subject, first.as_image().unwrap().subject);
            let config = blobs.iter().any(|blob| *blob.digest() == image.config.digest);
            assert_eq!(config, form == Form::Image);
        }
    }

    #[test]
    fn a_single_manifest_is_wrapped_and_the_plan_says_so() {
        let limits = Limits::default();
        let root = Manifest::read(image_manifest(&Descriptor::empty(), &[]), &limits).unwrap();
        let platform = Platform::new("linux", "amd64", None);
        let target = IndexTarget { image: root.descriptor(), ..target(None, "one") };
        let plan = plan_index(&root, Some(&platform), &[target], Form::Artifact, None, &limits).unwrap();
        assert!(plan.warnings.contains(&Warning::Wrapped { image: root.digest().clone() }));
        let index = plan.manifests.last().unwrap().as_index().unwrap();
        assert_eq!(index.runnable().count(), 1);
        assert_eq!(index.attestation_manifests_of(root.digest()).count(), 1);
    }
}
