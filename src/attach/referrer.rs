//! Layout `referrer`: an OCI artifact whose `subject` is the image.
//!
//! Source: distribution-spec 1.1, "Listing Referrers"; sigstore BUNDLE_SPEC.md; cosign 3, pkg/oci/remote/write.go.

use std::collections::BTreeMap;

use super::find::Failure;
use super::plan::{AttachError, Evidence, WritePlan};
use crate::code::Code;
use crate::digest::Digest;
use crate::limits::Limits;
use crate::media_type::{MediaType, PredicateType};
use crate::oci::{Descriptor, Manifest, annotations, artifact_manifest};

/// The predicate type that a listing claims. Unsigned, and so only a reason to look earlier or later.
pub(super) fn hinted_type(descriptor: &Descriptor) -> Option<PredicateType> {
    annotations::predicate_type_of_manifest(&descriptor.annotations)
}

/// What a list of referrers tells about an entry, so that the manifest need not be fetched to say that it is there.
///
/// All of it is the registry's word and nobody's signature: enough for a listing, never for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A Sigstore bundle over a statement.
    Statement {
        /// What it claims to be.
        predicate_type: PredicateType,
    },
    /// An image signature.
    ImageSignature,
    /// Some other file.
    File {
        /// What it claims to be.
        artifact_type: MediaType,
    },
}

/// What an entry tells; `None` where only the manifest can.
///
/// Statements that may be bare are not told: whether they are signed shows in what hangs on their manifest. An entry
/// with the artifact type of an empty configuration says nothing either.
pub(super) fn told(descriptor: &Descriptor) -> Option<Told> {
    let artifact_type = descriptor.artifact_type.as_ref()?;
    if artifact_type.is_sigstore_bundle() {
        let is_message = descriptor.annotation(annotations::BUNDLE_CONTENT) == Some("message-signature");
        return match hinted_type(descriptor) {
            Some(predicate_type) => Some(Told::Statement { predicate_type }),
            None => is_message.then_some(Told::ImageSignature),
        };
    }
    if *artifact_type == MediaType::COSIGN_SIGNATURE {
        return Some(Told::ImageSignature);
    }
    let is_in_toto = artifact_type.as_str().starts_with("application/vnd.in-toto");
    let unclear = is_in_toto
        || artifact_type.is_envelope()
        || artifact_type.is_image_config()
        || *artifact_type == MediaType::OCI_EMPTY
        || *artifact_type == MediaType::DOCKER_ATTESTATION_MANIFEST;
    (!unclear).then(|| Told::File { artifact_type: artifact_type.clone() })
}

/// A manifest that is listed as a referrer must point at what it was listed for, even when what it holds verifies.
///
/// A registry, or whoever can write the fallback tag, could otherwise hang one image's evidence on another.
pub(super) fn check_subject(manifest: &Manifest, of: &Digest) -> Result<(), Failure> {
    match manifest.subject() {
        Some(subject) if subject.digest == *of => Ok(()),
        subject => {
            let points_at = subject.map_or_else(|| "nothing".to_owned(), |subject| subject.digest.to_string());
            Err(Failure {
                code: Code::ReferrerSubjectMismatch,
                message: format!("it is listed for {of} and points at {points_at}"),
                undecided: false,
            })
        }
    }
}

/// Whether some layer may be a bare statement, so that a signature over the manifest would matter.
pub(super) fn may_hold_bare_statements(manifest: &Manifest) -> bool {
    let layers = manifest.as_image().map(|image| image.layers.as_slice()).unwrap_or_default();
    layers.iter().any(|layer| layer.media_type == MediaType::IN_TOTO)
}

/// Plans a Sigstore bundle as a referrer, in the form that cosign 3 and GitHub read.
///
/// # Errors
/// [`AttachError::Manifest`] when the manifest that was made does not read back: a bug.
pub fn plan_referrer(
    subject: &Descriptor,
    evidence: &Evidence,
    created: jiff::Timestamp,
    limits: &Limits,
) -> Result<WritePlan, AttachError> {
    let mut notes = BTreeMap::new();
    let content = if evidence.is_message_signature { "message-signature" } else { "dsse-envelope" };
    notes.insert(annotations::BUNDLE_CONTENT.to_owned(), content.to_owned());
    if let Some(predicate_type) = &evidence.predicate_type {
        notes.insert(annotations::BUNDLE_PREDICATE_TYPE.to_owned(), predicate_type.to_string());
    }
    notes.insert(annotations::CREATED.to_owned(), created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let layer = Descriptor::of(&evidence.blob);
    let blob = artifact_manifest(&MediaType::SIGSTORE_BUNDLE_V03, &[layer], Some(subject), &notes);
    let manifest = Manifest::read(blob, limits)?;
    Ok(WritePlan {
        blobs: vec![crate::oci::empty_blob(), evidence.blob.clone()],
        manifests: vec![manifest],
        ..WritePlan::default()
    })
}
