//! Chains in reports: what leads from a signature to the image.

use schemars::JsonSchema;
use serde::Serialize;

use super::parts::Covers;
use crate::digest::Digest;
use crate::location::EvidenceLayout;
use crate::media_type::{MediaType, PredicateType};
use crate::verify::{CheckedBytes, Link, SignatureForm};

/// One link of a chain. Digests and sizes were computed from the bytes; each link binds the next.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LinkEntry {
    /// The document that holds the signature.
    Signature {
        /// The document.
        digest: Digest,
        /// Its length in bytes.
        size: u64,
        /// Its form.
        form: SignatureForm,
        /// How it was seen.
        layout: EvidenceLayout,
        /// The manifest that lists it.
        manifest: Digest,
        /// The file that it is in, when it lies beside the image.
        file: Option<String>,
    },
    /// The index that is signed.
    Index {
        /// The index.
        digest: Digest,
        /// Its length in bytes.
        size: u64,
    },
    /// The manifest that lists the statement, and is signed or listed by the signed index.
    AttestationManifest {
        /// The manifest.
        digest: Digest,
        /// Its length in bytes.
        size: u64,
    },
    /// The layer that is the statement.
    Layer {
        /// The layer.
        digest: Digest,
        /// Its length in bytes.
        size: u64,
        /// The media type that the manifest gives it.
        media_type: MediaType,
    },
    /// The statement.
    Statement {
        /// Its predicate type.
        predicate_type: PredicateType,
        /// Its length in bytes.
        size: u64,
    },
    /// A manifest of the image that the statement, or the signature, is about.
    Subject {
        /// The manifest.
        digest: Digest,
        /// `index`, `image` or platforms; empty when it is an attestation manifest.
        covers: Vec<String>,
    },
}

impl LinkEntry {
    fn of(link: &Link, parts: &Covers<'_>) -> Self {
        let read = |bytes: &CheckedBytes| (bytes.digest().clone(), bytes.size());
        match link {
            Link::Signature { document, form, location } => Self::Signature {
                digest: document.digest().clone(),
                size: document.size(),
                form: *form,
                layout: location.layout,
                manifest: location.manifest.clone(),
                file: location.file.clone(),
            },
            Link::Index(bytes) => {
                let (digest, size) = read(bytes);
                Self::Index { digest, size }
            }
            Link::AttestationManifest(bytes) => {
                let (digest, size) = read(bytes);
                Self::AttestationManifest { digest, size }
            }
            Link::Layer(bytes) => {
                let (digest, size) = read(bytes);
                Self::Layer { digest, size, media_type: bytes.media_type().clone() }
            }
            Link::Statement { predicate_type, size } => {
                Self::Statement { predicate_type: predicate_type.clone(), size: *size }
            }
            Link::Subject(digest) => Self::Subject { digest: digest.clone(), covers: parts.labels(digest) },
        }
    }
}

pub(super) fn entries(chain: &[Link], parts: &Covers<'_>) -> Vec<LinkEntry> {
    chain.iter().map(|link| LinkEntry::of(link, parts)).collect()
}
