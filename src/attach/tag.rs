//! Layout `tag`: cosign 2 keeps evidence under tags made from the image's digest.
//!
//! Each tag names one manifest whose layers are the signatures (`.sig`) or attestations (`.att`). Whoever adds one
//! reads that manifest and writes it anew with one more layer.
//!
//! Source: cosign SIGNATURE_SPEC.md; cosign 2, pkg/oci/{static,mutate,remote}.

use std::collections::BTreeMap;

use super::index::image_manifest;
use super::plan::{AttachError, DocumentKind, Evidence, EvidenceTag, Removal, WritePlan};
use crate::content::Blob;
use crate::digest::Digest;
use crate::limits::Limits;
use crate::location::EvidenceLayout;
use crate::media_type::MediaType;
use crate::oci::{Descriptor, ImageManifest, Manifest, annotations};
use crate::reference::Tag;

/// What cosign writes where no time is known.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// The tags to look under. An attestation manifest can have signatures, never attestations of its own.
pub(super) fn tags_of(digest: &Digest, second_level: bool) -> Vec<Tag> {
    let suffixes: &[&str] = if second_level { &["sig"] } else { &["att", "sig"] };
    suffixes.iter().map(|suffix| Tag::of_cosign(digest, suffix)).collect()
}

/// The tag under which a document about `subject` is kept.
///
/// # Errors
/// [`AttachError::DocumentUnfit`] for a document that cosign 2 does not read.
pub fn tag_for(subject: &Digest, kind: DocumentKind) -> Result<Tag, AttachError> {
    match kind {
        DocumentKind::Envelope => Ok(Tag::of_cosign(subject, "att")),
        DocumentKind::SimpleSigning => Ok(Tag::of_cosign(subject, "sig")),
        DocumentKind::Bundle | DocumentKind::MessageBundle | DocumentKind::Statement => {
            Err(AttachError::DocumentUnfit { layout: EvidenceLayout::Tag, what: kind.as_str() })
        }
    }
}

/// Plans to put documents under a tag, beside what `existing` holds there already. Every other layer and annotation
/// keeps its bytes; the configuration, which says nothing but the layers' digests, is written anew.
///
/// # Errors
/// [`AttachError::EvidenceTagInvalid`] when the tag names an index or an image; [`AttachError::Manifest`] when what was made is
/// larger than a manifest may be.
pub fn plan_tag(
    tag: &Tag,
    existing: Option<&Manifest>,
    evidence: &[&Evidence],
    limits: &Limits,
) -> Result<WritePlan, AttachError> {
    let invalid = || AttachError::EvidenceTagInvalid { tag: tag.clone() };
    let old = match existing {
        Some(existing) => Some((existing, existing.as_image().ok_or_else(invalid)?)),
        None => None,
    };
    let known = old.map(|(_, image)| image.layers.as_slice()).unwrap_or_default();
    refuse_image(tag, known)?;
    let mut plan = WritePlan::default();
    let mut added: Vec<Descriptor> = Vec::new();
    for document in evidence {
        let layer = layer_of(document);
        if !known.iter().chain(&added).any(|known| is_same(known, &layer)) {
            plan.blobs.push(document.blob.clone());
            plan.entries.push(document.blob.digest().clone());
            added.push(layer);
        }
    }
    if added.is_empty() {
        return Ok(plan);
    }
    let layers: Vec<&Descriptor> = known.iter().chain(&added).collect();
    let blob = match old {
        Some((existing, image)) => {
            let text = image.with_layers(existing.bytes(), &added);
            let text = with_config(text, image, &layers, &mut plan, limits)?;
            Blob::of_bytes(existing.blob().media_type().clone(), text)
        }
        None => {
            let config = config_of(&MediaType::OCI_CONFIG, &layers);
            let blob = image_manifest(&Descriptor::of(&config), &added);
            plan.blobs.push(config);
            blob
        }
    };
    let to = Manifest::read(blob, limits)?;
    let from = existing.map(|existing| existing.digest().clone());
    plan.evidence_tags.push(EvidenceTag { tag: tag.clone(), from, to });
    Ok(plan)
}

/// Plans to take layers out of what a tag names; with the last one the tag goes.
///
/// # Errors
/// Like [`plan_tag`].
pub fn plan_without_tag(
    tag: &Tag,
    existing: &Manifest,
    dropped: &dyn Fn(&Descriptor) -> bool,
    limits: &Limits,
) -> Result<WritePlan, AttachError> {
    let image = existing.as_image().ok_or_else(|| AttachError::EvidenceTagInvalid { tag: tag.clone() })?;
    refuse_image(tag, &image.layers)?;
    let mut plan = WritePlan::default();
    let from = existing.digest().clone();
    if image.layers.iter().all(dropped) {
        plan.removals.push(Removal::Tag { tag: tag.clone(), from });
        return Ok(plan);
    }
    let text = image.without_layers(existing.bytes(), dropped);
    let layers: Vec<&Descriptor> = image.layers.iter().filter(|layer| !dropped(layer)).collect();
    let text = with_config(text, image, &layers, &mut plan, limits)?;
    let to = Manifest::read(Blob::of_bytes(existing.blob().media_type().clone(), text), limits)?;
    plan.evidence_tags.push(EvidenceTag { tag: tag.clone(), from: Some(from), to });
    Ok(plan)
}

/// A tag for evidence may name an image by somebody's mistake, and that image is not ours to change or to delete.
fn refuse_image(tag: &Tag, layers: &[Descriptor]) -> Result<(), AttachError> {
    if layers.iter().any(|layer| layer.media_type.is_image_layer()) {
        return Err(AttachError::EvidenceTagInvalid { tag: tag.clone() });
    }
    Ok(())
}

/// cosign tells a second signature of the same payload by its annotation.
fn is_same(known: &Descriptor, added: &Descriptor) -> bool {
    let signature = |layer: &Descriptor| layer.annotation(annotations::COSIGN_SIGNATURE).map(str::to_owned);
    known.digest == added.digest && signature(known) == signature(added)
}

fn layer_of(evidence: &Evidence) -> Descriptor {
    let mut layer = Descriptor::of(&evidence.blob);
    if evidence.kind == DocumentKind::Envelope {
        // In an attestation the signature is in the document; cosign wants the annotation all the same.
        layer = layer.annotated(annotations::COSIGN_SIGNATURE, "");
        if let Some(predicate_type) = &evidence.predicate_type {
            layer = layer.annotated(annotations::COSIGN_PREDICATE_TYPE, predicate_type.to_string());
        }
    }
    layer.annotations.extend(evidence.notes.clone());
    layer
}

/// The manifest's text with a configuration for its layers. One that is no image's configuration is left alone.
fn with_config(
    text: Vec<u8>,
    image: &ImageManifest,
    layers: &[&Descriptor],
    plan: &mut WritePlan,
    limits: &Limits,
) -> Result<Vec<u8>, AttachError> {
    if !image.config.media_type.is_image_config() {
        return Ok(text);
    }
    let config = config_of(&image.config.media_type, layers);
    let text = ImageManifest::with_config(&text, &Descriptor::of(&config), limits)?;
    plan.blobs.push(config);
    Ok(text)
}

/// The configuration that cosign writes: an image of no platform, whose layers are not compressed.
fn config_of(media_type: &MediaType, layers: &[&Descriptor]) -> Blob {
    let diff_ids: Vec<String> = layers.iter().map(|layer| layer.digest.to_string()).collect();
    let history: Vec<BTreeMap<&str, &str>> = layers.iter().map(|_| BTreeMap::from([("created", NO_TIME)])).collect();
    let config = serde_json::json!({
        "architecture": "",
        "config": {},
        "created": NO_TIME,
        "history": history,
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    Blob::of_bytes(media_type.clone(), config.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media_type::PredicateType;

    fn envelope(text: &'static str) -> Evidence {
        let blob = Blob::of_bytes(MediaType::DSSE_ENVELOPE, text.as_bytes());
        Evidence::new(blob, Some(PredicateType::new("https://spdx.dev/Document")), DocumentKind::Envelope)
    }

    fn tag() -> Tag {
        tag_for(&Digest::sha256(b"image"), DocumentKind::Envelope).unwrap()
    }

    #[test]
    fn a_second_document_joins_the_first_and_the_same_one_is_not_written_twice() {
        let limits = Limits::default();
        let first = plan_tag(&tag(), None, &[&envelope("one")], &limits).unwrap().evidence_tags.remove(0);
        assert_eq!(first.from, None);
        let second = plan_tag(&tag(), Some(&first.to), &[&envelope("two")], &limits).unwrap();
        let moved = &second.evidence_tags[0];
        assert_eq!(moved.from.as_ref(), Some(first.to.digest()));
        let image = moved.to.as_image().unwrap();
        assert_eq!(image.layers.len(), 2);
        let config = second.blobs.iter().find(|blob| *blob.digest() == image.config.digest).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&config.bytes(1000).unwrap()).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][1], image.layers[1].digest.to_string());
        let again = plan_tag(&tag(), Some(&moved.to), &[&envelope("one")], &limits).unwrap();
        assert!(again.evidence_tags.is_empty() && again.blobs.is_empty());
    }

    #[test]
    fn foreign_bytes_of_the_manifest_stay() {
        let limits = Limits::default();
        let layer = r#"{"mediaType":"x/y", "digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size": 2,"annotations":{"k":"v"},"z":1.0}"#;
        let config = r#"{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}"#;
        let text = format!(r#"{{"schemaVersion":2, "x":[ ], "config":{config},"layers" : [ {layer} ] }}"#);
        let existing = Manifest::read(Blob::of_bytes(MediaType::OCI_MANIFEST, text.clone()), &limits).unwrap();
        let plan = plan_tag(&tag(), Some(&existing), &[&envelope("two")], &limits).unwrap();
        let grown = &plan.evidence_tags[0].to;
        let grown_text = std::str::from_utf8(grown.bytes()).unwrap();
        let (before, after) = text.split_at(text.rfind(']').unwrap());
        assert!(grown_text.starts_with(before.trim_end()) && grown_text.ends_with(after), "{grown_text}");
        let added = |layer: &Descriptor| layer.digest == Digest::sha256(b"two");
        let shrunk = plan_without_tag(&tag(), grown, &added, &limits).unwrap();
        let shrunk = std::str::from_utf8(shrunk.evidence_tags[0].to.bytes()).unwrap();
        assert!(shrunk.contains(layer) && shrunk.starts_with(r#"{"schemaVersion":2, "x":[ ], "#), "{shrunk}");
        let all = plan_without_tag(&tag(), grown, &|_| true, &limits).unwrap();
        assert_eq!(all.removals, [Removal::Tag { tag: tag(), from: grown.digest().clone() }]);
    }

    #[test]
    fn an_index_under_the_tag_is_not_overwritten() {
        // (refused: evidence-tag-invalid)
        let limits = Limits::default();
        let index = Manifest::read(crate::oci::new_index(&[], &BTreeMap::new()), &limits).unwrap();
        let refused = plan_tag(&tag(), Some(&index), &[&envelope("one")], &limits).unwrap_err();
        assert_eq!(refused.code(), crate::code::Code::EvidenceTagInvalid);
    }
}
