//! What leads from a signature to an image, link by link.
//!
//! Everything here was computed from bytes that were read: no digest or size is taken from a descriptor that claims it.

use std::fmt;

use super::verified::{Attestation, Hop, ImageSignature};
use crate::content::Blob;
use crate::digest::Digest;
use crate::location::Location;
use crate::media_type::{MediaType, PredicateType};

/// Bytes whose digest and size were computed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedBytes {
    digest: Digest,
    size: u64,
    media_type: MediaType,
}

impl CheckedBytes {
    /// What a blob is: its digest and size were computed when it was made.
    pub fn of(blob: &Blob) -> Self {
        Self { digest: blob.digest().clone(), size: blob.size(), media_type: blob.media_type().clone() }
    }

    /// The digest of the bytes.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Their number.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The media type by which they were named.
    pub const fn media_type(&self) -> &MediaType {
        &self.media_type
    }
}

/// The form of a document that carries a signature.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureForm {
    /// A Sigstore bundle around an envelope.
    Bundle,
    /// A Sigstore bundle with a signature over bytes that are elsewhere.
    MessageSignature,
    /// A DSSE envelope.
    Envelope,
    /// cosign's older image signature.
    SimpleSigning,
}

impl SignatureForm {
    /// The text in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::MessageSignature => "message-signature",
            Self::Envelope => "envelope",
            Self::SimpleSigning => "simple-signing",
        }
    }
}

impl fmt::Display for SignatureForm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One link of a chain. Each binds the next: a signature by what it covers, a manifest or index by digest and size, a
/// statement by the digests of its subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Link {
    /// The document that holds the signature, and where it was found.
    Signature {
        /// The document.
        document: CheckedBytes,
        /// Its form.
        form: SignatureForm,
        /// Which manifest lists it, and how that was seen.
        location: Location,
    },
    /// The signed index.
    Index(CheckedBytes),
    /// The attestation manifest: signed itself, or listed by the signed index.
    AttestationManifest(CheckedBytes),
    /// The layer of the attestation manifest that is the statement.
    Layer(CheckedBytes),
    /// The statement.
    Statement {
        /// What it says of itself.
        predicate_type: PredicateType,
        /// Length in bytes.
        size: u64,
    },
    /// A manifest of the image that it is about. Its digest was compared; its bytes need not have been read.
    Subject(Digest),
}

impl Attestation {
    /// The links from the signature to the image, in order: one signature, what carries the statement, the statement, and
    /// the manifests of the image that it is about.
    pub fn chain(&self) -> Vec<Link> {
        let verified = self.verified();
        let (document, form) = verified.signature_document();
        let signature =
            |location: &Location| Link::Signature { document: document.clone(), form, location: location.clone() };
        let mut chain = match verified.hop() {
            Hop::Direct => vec![signature(self.location())],
            Hop::Manifest(carrier) => vec![
                signature(&carrier.signature_at),
                Link::AttestationManifest(carrier.manifest.clone()),
                Link::Layer(carrier.layer.clone()),
            ],
            Hop::Index { index, carrier } => vec![
                signature(&carrier.signature_at),
                Link::Index(index.clone()),
                Link::AttestationManifest(carrier.manifest.clone()),
                Link::Layer(carrier.layer.clone()),
            ],
        };
        let statement = verified.statement();
        chain.push(Link::Statement {
            predicate_type: statement.predicate_type().clone(),
            size: statement.payload().length(),
        });
        chain.extend(self.about().iter().cloned().map(Link::Subject));
        chain
    }
}

impl ImageSignature {
    /// The links from the document that holds the signature to the manifest that is signed.
    pub fn chain(&self) -> Vec<Link> {
        let signature =
            Link::Signature { document: self.document().clone(), form: self.form(), location: self.location().clone() };
        let mut chain = vec![signature];
        if let Some((predicate_type, size)) = self.statement() {
            chain.push(Link::Statement { predicate_type: predicate_type.clone(), size });
        }
        chain.push(Link::Subject(self.about().clone()));
        chain
    }
}
