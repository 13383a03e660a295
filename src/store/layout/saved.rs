//! What `cosign save` writes: the image, its signatures and its attestations as entries of `index.json`, without tags.
//!
//! Source: cosign, pkg/oci/layout (annotation `kind`), seen with cosign 3.1.3.

use crate::content::decode_base64;
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

/// The entries that stand for what a registry has under a tag such as `sha256-….att`.
///
/// The only image of a folder owns what is there. With several images an entry is only counted to those that its first
/// document names; `first_document` reads it. That is a hint, like the tag: verification compares subjects by itself.
pub(super) fn entries_for<'a>(
    entries: &[&'a Descriptor],
    tag: &Tag,
    first_document: &dyn Fn(&Descriptor) -> Option<Vec<u8>>,
) -> Vec<&'a Descriptor> {
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
    let of_kind = entries.iter().filter(|entry| entry.annotation(KIND) == Some(kind));
    let names = |entry: &Descriptor| first_document(entry).is_some_and(|text| names(&text, about.digest.hex()));
    of_kind.filter(|entry| !several || names(entry)).copied().collect()
}

/// Whether a simple-signing payload, or the payload of an envelope, contains the digest.
fn names(document: &[u8], hex: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Envelope {
        payload: String,
    }
    let contains = |text: &[u8]| text.windows(hex.len()).any(|window| window == hex.as_bytes());
    let payload =
        serde_json::from_slice::<Envelope>(document).ok().and_then(|envelope| decode_base64(&envelope.payload).ok());
    contains(document) || payload.is_some_and(|payload| contains(&payload))
}
