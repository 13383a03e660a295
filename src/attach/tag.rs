//! Layout `tag`: cosign 2 keeps evidence under tags made from the image's digest. Found, not yet written.
//!
//! Source: cosign SIGNATURE_SPEC.md.

use crate::digest::Digest;
use crate::reference::Tag;

/// The tags to look under. An attestation manifest can have signatures, never attestations of its own.
pub(super) fn tags_of(digest: &Digest, second_level: bool) -> Vec<Tag> {
    let suffixes: &[&str] = if second_level { &["sig"] } else { &["att", "sig"] };
    suffixes.iter().map(|suffix| Tag::of_cosign(digest, suffix)).collect()
}
