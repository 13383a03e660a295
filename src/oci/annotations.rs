//! Annotation keys that are read or written, each with its source.

use std::collections::BTreeMap;

use crate::media_type::PredicateType;

/// The tag of an entry in `index.json`. Source: image-spec 1.1, annotations.md.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// When something was made, RFC 3339. Source: image-spec 1.1, annotations.md.
pub const CREATED: &str = "org.opencontainers.image.created";
/// A title, mostly a file name. Source: image-spec 1.1, annotations.md.
pub const TITLE: &str = "org.opencontainers.image.title";
/// What an index child is for. Source: BuildKit attestation-storage.md.
pub const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// Which manifest of the index a child is about. Source: BuildKit attestation-storage.md.
pub const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
/// The older spelling of [`REFERENCE_DIGEST`], which buildx still reads.
pub const REFERENCE_DIGEST_OLD: &str = "com.docker.reference.digest";
/// The older spelling of [`REFERENCE_TYPE`].
pub const REFERENCE_TYPE_OLD: &str = "com.docker.reference.type";
/// The one value of [`REFERENCE_TYPE`] that means evidence.
pub const ATTESTATION_MANIFEST: &str = "attestation-manifest";
/// A copy of the predicate type on a layer. Source: BuildKit attestation-storage.md.
pub const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
/// The same on cosign's `.att` layers. Source: cosign, pkg/oci/static.
pub const COSIGN_PREDICATE_TYPE: &str = "predicateType";
/// base64 signature over a simple-signing layer. Source: cosign SIGNATURE_SPEC.md.
pub const COSIGN_SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// PEM certificate beside a signature. Source: cosign SIGNATURE_SPEC.md.
pub const COSIGN_CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
/// PEM certificates that lead from [`COSIGN_CERTIFICATE`] to a root. Source: cosign SIGNATURE_SPEC.md.
pub const COSIGN_CHAIN: &str = "dev.sigstore.cosign/chain";
/// JSON of the transparency log entry of a signature. Source: cosign SIGNATURE_SPEC.md.
pub const COSIGN_BUNDLE: &str = "dev.sigstore.cosign/bundle";
/// JSON of an RFC 3161 timestamp of a signature. Source: cosign SIGNATURE_SPEC.md.
pub const COSIGN_TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";
/// What a bundle holds. Source: sigstore BUNDLE_SPEC.md.
pub const BUNDLE_CONTENT: &str = "dev.sigstore.bundle.content";
/// The predicate type of a bundle's statement. Source: sigstore BUNDLE_SPEC.md.
pub const BUNDLE_PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";

/// The predicate type that a manifest's annotations claim, in a listing or in the manifest. Unsigned: a hint.
pub fn predicate_type_of_manifest(notes: &BTreeMap<String, String>) -> Option<PredicateType> {
    notes.get(BUNDLE_PREDICATE_TYPE).or_else(|| notes.get(PREDICATE_TYPE)).map(PredicateType::new)
}
