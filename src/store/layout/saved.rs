//! What `cosign save` writes: the image, its signatures and its attestations as entries of `index.json`, without tags.
//!
//! Source: cosign, pkg/oci/layout (annotation `kind`), seen with cosign 3.1.3.

use std::collections::HashSet;

use crate::content::Content;
use crate::dsse::{self, Envelope};
use crate::limits::Limits;
use crate::oci::Descriptor;
use crate::reference::Tag;

/// Annotation by which `cosign save` tells images from their signatures and attestations.
const KIND: &str = "kind";
const IMAGE: &str = "dev.cosignproject.cosign/image";
const IMAGE_INDEX: &str = "dev.cosignproject.cosign/imageIndex";
const SIGNATURES: &str = "dev.cosignproject.cosign/sigs";
const ATTESTATIONS: &str = "dev.cosignproject.cosign/atts";

/// Whether an entry is evidence and no image.
pub(super) fn is_evidence(entry: &Descriptor) -> bool {
    matches!(entry.annotation(KIND), Some(SIGNATURES | ATTESTATIONS))
}

/// Which of the images, by the digits of their digests, the first document of an entry names.
type Named<'a> = dyn Fn(&Descriptor, &HashSet<&str>) -> Option<HashSet<String>> + 'a;

/// The entries that stand for what a registry has under a tag such as `sha256-….att`.
///
/// The only image of a folder owns what is there. With several images an entry is only counted to those that its first
/// document names; `named` reads it, and says which of the images that are. What cannot be read may name any of them. That
/// is a hint, like the tag: verification compares subjects by itself.
pub(super) fn entries_for<'a>(entries: &[&'a Descriptor], tag: &Tag, named: &Named<'_>) -> Vec<&'a Descriptor> {
    let Some((stem, suffix)) = tag.as_str().rsplit_once('.') else { return Vec::new() };
    let kind = match suffix {
        "sig" => SIGNATURES,
        "att" => ATTESTATIONS,
        _ => return Vec::new(),
    };
    let images: Vec<_> =
        entries.iter().filter(|entry| matches!(entry.annotation(KIND), Some(IMAGE | IMAGE_INDEX))).collect();
    let Some(about) = images.iter().find(|image| image.digest.to_string().replacen(':', "-", 1) == stem) else {
        return Vec::new();
    };
    let several = images.iter().any(|image| image.digest != about.digest);
    let digests: HashSet<&str> = images.iter().map(|image| image.digest.hex()).collect();
    let of_kind = entries.iter().filter(|entry| entry.annotation(KIND) == Some(kind));
    let names = |entry: &Descriptor| named(entry, &digests).is_none_or(|named| named.contains(about.digest.hex()));
    of_kind.filter(|entry| !several || names(entry)).copied().collect()
}

/// The digests among `known` that a simple-signing payload, or the payload of an envelope, contains; nothing when it
/// cannot be read.
pub(super) fn named_in(document: &Content, known: &HashSet<&str>, limits: &Limits) -> Option<HashSet<String>> {
    let mut named = HashSet::new();
    collect(document, known, &mut named)?;
    let node = dsse::scan(document, &["predicate"], limits).ok();
    if let Some(envelope) = node.and_then(|node| Envelope::from_node(&node, document, limits).ok()) {
        collect(envelope.unverified_payload(), known, &mut named)?;
    }
    Some(named)
}

fn collect(text: &Content, known: &HashSet<&str>, named: &mut HashSet<String>) -> Option<()> {
    let longest = known.iter().map(|hex| hex.len()).max().unwrap_or_default();
    let mut word = String::new();
    let mut take = |byte: u8| {
        if byte.is_ascii_hexdigit() {
            // One too long is none.
            if word.len() <= longest {
                word.push(char::from(byte));
            }
            return;
        }
        if known.contains(word.as_str()) {
            named.insert(word.clone());
        }
        word.clear();
    };
    let read = text.each_chunk(|chunk| {
        chunk.iter().copied().for_each(&mut take);
        Ok::<(), std::io::Error>(())
    });
    take(b' ');
    read.ok()
}
