//! Envelope and keys to verified statement: one pass over the payload does everything.

use std::collections::BTreeSet;

use super::chain::{CheckedBytes, SignatureForm};
use super::verified::{SignatureDocument, Signer, VerifiedStatement};
use super::{AttachedEnvelope, Verifier, VerifyError};
use crate::code::Code;
use crate::content::{Blob, Content};
use crate::crypto::{MessageDigester, MessageDigests, PublicKey, SignatureError};
use crate::digest::Digest;
use crate::dsse::{self, Envelope, EnvelopeSignature};
use crate::intoto::{StatementError, StatementReader};
use crate::sigstore::{Bundle, BundleContent, CosignMaterial, VerificationMaterial};

impl Verifier {
    /// Verifies an envelope that was read from `blob`.
    ///
    /// 1. The payload type is in-toto's.
    /// 2. The payload is read once: digested as the PAE that was signed, and parsed as a statement.
    /// 3. Signatures of trusted keys are collected; failing ones are skipped.
    /// 4. A spooled blob is digested again, so that what was read is what the manifest named.
    /// 5. Only then the statement is released.
    ///
    /// Does not check what the statement is about.
    ///
    /// # Errors
    /// Any [`VerifyError`] but those about subjects.
    ///
    /// Source: DSSE protocol 1.0.2; in-toto attestation spec v1, validation.md.
    pub fn verify_envelope(&self, envelope: &Envelope, blob: &Blob) -> Result<VerifiedStatement, VerifyError> {
        self.verify_envelope_while(envelope, || ReadAgain::of(blob))
    }

    /// Like [`Verifier::verify_envelope`], for callers that read the blob again at the same time. `again` is asked last.
    ///
    /// # Errors
    /// Like [`Verifier::verify_envelope`].
    pub(crate) fn verify_envelope_while(
        &self,
        envelope: &Envelope,
        again: impl FnOnce() -> Result<ReadAgain, VerifyError>,
    ) -> Result<VerifiedStatement, VerifyError> {
        if !envelope.payload_type().is_in_toto() {
            return Err(VerifyError::PayloadType { found: envelope.payload_type().clone() });
        }
        let payload = envelope.unverified_payload();
        let mut digester = self.digester();
        let mut reader = Some(StatementReader::new(&self.limits));
        let mut broken: Option<StatementError> = None;
        digester.update(dsse::pae_head(envelope.payload_type(), payload).as_bytes());
        payload.each_chunk(|chunk| {
            digester.update(chunk);
            // A payload that does not parse is still digested: "not signed" is the better answer where both hold.
            if let Some(Err(error)) = reader.as_mut().map(|reader| reader.feed(chunk)) {
                broken = Some(error);
                reader = None;
            }
            Ok::<(), VerifyError>(())
        })?;
        let message = digester.finish();
        let signers = self.signers(envelope.signatures(), &message, None)?;
        let document = SignatureDocument { bytes: again()?.into_bytes(), form: SignatureForm::Envelope };
        let statement = match (reader, broken) {
            (Some(reader), None) => reader.finish(payload.clone())?,
            (_, Some(error)) => return Err(error.into()),
            (None, None) => return Err(VerifyError::Unsigned),
        };
        let identity = message.sha256().ok_or(VerifyError::Unsigned)?;
        Ok(VerifiedStatement::assert_signed(statement, identity, signers, unchecked_times(), document))
    }

    /// Like [`Verifier::verify_envelope`], for an envelope with what cosign put beside it.
    ///
    /// A trusted key decides, whatever else is there; log entry and timestamp are not checked and are listed as such.
    ///
    /// # Errors
    /// [`VerifyError::Certificate`] when no trusted key made the signature and a certificate came with it; otherwise like
    /// [`Verifier::verify_envelope`].
    pub(crate) fn verify_attached_envelope(
        &self,
        attached: &AttachedEnvelope,
        again: impl FnOnce() -> Result<ReadAgain, VerifyError>,
    ) -> Result<VerifiedStatement, VerifyError> {
        let verified = self.verify_envelope_while(&attached.envelope, again);
        let mut verified = verified.map_err(|error| with_certificate(error, &attached.material))?;
        verified.add_unchecked(unchecked_cosign(&attached.material));
        Ok(verified)
    }

    /// Verifies the envelope of a bundle that was read from `blob`.
    ///
    /// Log entries and timestamps are not checked and are listed as such.
    ///
    /// # Errors
    /// [`VerifyError::Certificate`] for bundles that need a trust root; otherwise like [`Verifier::verify_envelope`].
    pub fn verify_bundle(&self, bundle: &Bundle, blob: &Blob) -> Result<VerifiedStatement, VerifyError> {
        self.verify_bundle_while(bundle, || ReadAgain::of(blob))
    }

    /// Like [`Verifier::verify_bundle`], for callers that read the blob again at the same time.
    ///
    /// # Errors
    /// Like [`Verifier::verify_bundle`].
    pub(crate) fn verify_bundle_while(
        &self,
        bundle: &Bundle,
        again: impl FnOnce() -> Result<ReadAgain, VerifyError>,
    ) -> Result<VerifiedStatement, VerifyError> {
        let VerificationMaterial::PublicKey { hint } = bundle.material() else { return Err(VerifyError::Certificate) };
        let BundleContent::Envelope(envelope) = bundle.content() else {
            return Err(VerifyError::NotAnImageSignature { found: "a message signature".to_owned() });
        };
        let mut verified =
            self.verify_envelope_while(envelope, again).map_err(|error| with_hint(error, hint.as_ref()))?;
        verified.add_unchecked(unchecked_material(bundle));
        verified.set_form(SignatureForm::Bundle);
        Ok(verified)
    }

    pub(super) fn digester(&self) -> MessageDigester {
        MessageDigester::for_algorithms(self.keys.iter().map(PublicKey::algorithm), &self.limits).named()
    }

    /// The distinct trusted keys that made one of the signatures, or why there are none.
    pub(super) fn signers(
        &self,
        signatures: &[EnvelopeSignature],
        message: &MessageDigests,
        hint: Option<&String>,
    ) -> Result<Vec<Signer>, VerifyError> {
        let mut signers = Vec::new();
        let mut last = None;
        for key in &self.keys {
            for signature in signatures {
                match key.verify(message, &signature.signature) {
                    Ok(()) => {
                        signers.push(Signer::of(key));
                        break;
                    }
                    // "Too long to check" is not "no": it must not be hidden by what another key says.
                    Err(_) if matches!(last, Some(SignatureError::MessageTooLarge { .. })) => {}
                    Err(error) => last = Some(error),
                }
            }
        }
        if signers.is_empty() {
            let named = signatures.iter().find_map(|signature| signature.keyid.clone());
            let hint = hint.cloned().or(named);
            return Err(VerifyError::NoTrustedSignature { keys: self.keys.len(), hint, last });
        }
        Ok(signers)
    }
}

/// The proof that a blob was read a second time and is still what its digest promises.
///
/// What is spooled is read twice: once to find the payload, once to verify it. Both readings count only when what lies
/// there is what the manifest named.
#[derive(Debug)]
pub struct ReadAgain(CheckedBytes);

impl ReadAgain {
    /// Digests a spooled blob again; content in memory cannot change.
    ///
    /// # Errors
    /// [`VerifyError::Content`] when it changed or cannot be read.
    pub fn of(blob: &Blob) -> Result<Self, VerifyError> {
        if blob.content().in_memory().is_none() {
            let content: Content = blob.content().clone();
            let expected: Digest = blob.digest().clone();
            Blob::check(blob.media_type().clone(), expected, blob.size(), content)?;
        }
        Ok(Self(CheckedBytes::of(blob)))
    }

    /// What was read.
    pub(super) fn into_bytes(self) -> CheckedBytes {
        self.0
    }
}

/// With a key alone nobody says when the signature was made.
pub(super) fn unchecked_times() -> BTreeSet<Code> {
    BTreeSet::from([Code::SigningTime])
}

pub(super) fn unchecked_material(bundle: &Bundle) -> Vec<Code> {
    let mut codes = Vec::new();
    if bundle.log_entries() > 0 {
        codes.push(Code::LogEntry);
    }
    if bundle.timestamps() > 0 {
        codes.push(Code::Timestamp);
    }
    codes
}

pub(super) fn unchecked_cosign(material: &CosignMaterial) -> Vec<Code> {
    let log_entry = material.log_entry().map(|_| Code::LogEntry);
    log_entry.into_iter().chain(material.timestamp().map(|_| Code::Timestamp)).collect()
}

/// "Not by these keys" is no answer where a certificate says by whose; "too long to check" stays open.
pub(super) fn with_certificate(error: VerifyError, material: &CosignMaterial) -> VerifyError {
    match error {
        VerifyError::NoTrustedSignature { last: Some(SignatureError::MessageTooLarge { .. }), .. } => error,
        VerifyError::NoTrustedSignature { .. } if material.certificate().is_some() => VerifyError::Certificate,
        other => other,
    }
}

fn with_hint(error: VerifyError, hint: Option<&String>) -> VerifyError {
    match error {
        VerifyError::NoTrustedSignature { keys, hint: own, last } => {
            VerifyError::NoTrustedSignature { keys, hint: own.or_else(|| hint.cloned()), last }
        }
        other => other,
    }
}
