//! Image signatures: statements of cosign's signing type, simple-signing payloads, message signatures.

use bytes::Bytes;

use super::envelope::{unchecked_material, unchecked_times};
use super::verified::{ImageSignature, VerifiedStatement};
use super::{AttachedContent, SimpleSigning, Verifier, VerifyError};
use crate::content::{Blob, Content};
use crate::digest::Digest;
use crate::dsse::EnvelopeSignature;
use crate::predicate::Family;
use crate::sigstore::{Bundle, BundleContent, MessageSignature, VerificationMaterial};

impl Verifier {
    /// Verifies that an attached document signs the manifest of digest `about`, whose exact bytes are `bytes` where they
    /// are at hand.
    ///
    /// # Errors
    /// [`VerifyError::OtherManifest`] when it signs another one, [`VerifyError::NotAnImageSignature`] when it is
    /// evidence of another kind, [`VerifyError::NoTrustedSignature`] and the other ways in which a signature fails.
    pub fn verify_image_signature(
        &self,
        content: &AttachedContent,
        blob: &Blob,
        about: &Digest,
        bytes: Option<&Bytes>,
    ) -> Result<ImageSignature, VerifyError> {
        match content {
            AttachedContent::SimpleSigning(signature) => self.verify_simple_signing(signature, about),
            AttachedContent::Bundle(bundle) => match bundle.content() {
                BundleContent::Envelope(_) => self.verify_bundle(bundle, blob)?.as_image_signature(about, bytes),
                BundleContent::Message(message) => self.verify_message(bundle, message, about, || {
                    let bytes = bytes.ok_or_else(|| VerifyError::BytesMissing { manifest: about.clone() })?;
                    Ok(Content::from(bytes.clone()))
                }),
            },
            AttachedContent::Envelope(envelope) => {
                self.verify_envelope(envelope, blob)?.as_image_signature(about, bytes)
            }
            AttachedContent::UnsignedStatement(_) => Err(VerifyError::Unsigned),
            AttachedContent::Other => {
                Err(VerifyError::NotAnImageSignature { found: "a document of another kind".to_owned() })
            }
        }
    }

    /// The signature covers the payload's bytes; what it is about is read from those bytes alone.
    fn verify_simple_signing(&self, signing: &SimpleSigning, about: &Digest) -> Result<ImageSignature, VerifyError> {
        let signature = signing.signature.clone().ok_or(VerifyError::Unsigned)?;
        let mut digester = self.digester();
        digester.update(&signing.payload);
        let entry = EnvelopeSignature { keyid: None, signature };
        let signers = match self.signers(&[entry], &digester.finish(), None) {
            Err(VerifyError::NoTrustedSignature { .. }) if signing.has_certificate => {
                return Err(VerifyError::Certificate);
            }
            other => other?,
        };
        match &signing.about {
            Some(named) if named == about => {
                Ok(ImageSignature::assert_verified(about.clone(), signers, unchecked_times()))
            }
            Some(named) => Err(VerifyError::OtherManifest { expected: about.clone(), about: named.to_string() }),
            None => Err(VerifyError::NotAnImageSignature { found: signing.signature_type.clone() }),
        }
    }

    fn verify_message(
        &self,
        bundle: &Bundle,
        message: &MessageSignature,
        about: &Digest,
        content: impl FnOnce() -> Result<Content, VerifyError>,
    ) -> Result<ImageSignature, VerifyError> {
        let VerificationMaterial::PublicKey { hint } = bundle.material() else { return Err(VerifyError::Certificate) };
        let mut digester = self.digester();
        content()?.each_chunk(|chunk| {
            digester.update(chunk);
            Ok::<(), VerifyError>(())
        })?;
        let entry = EnvelopeSignature { keyid: None, signature: message.signature.clone() };
        let signers = self.signers(&[entry], &digester.finish(), hint.as_ref())?;
        let mut unchecked = unchecked_times();
        unchecked.extend(unchecked_material(bundle));
        Ok(ImageSignature::assert_verified(about.clone(), signers, unchecked))
    }

    /// Verifies a signature over a blob's exact bytes, as `sign-blob` makes it.
    ///
    /// # Errors
    /// [`VerifyError::Certificate`], [`VerifyError::NoTrustedSignature`], or [`VerifyError::NotAnImageSignature`] when
    /// the bundle holds an envelope.
    pub fn verify_blob(&self, bundle: &Bundle, blob: &Blob) -> Result<ImageSignature, VerifyError> {
        let BundleContent::Message(message) = bundle.content() else {
            return Err(VerifyError::NotAnImageSignature { found: "an envelope".to_owned() });
        };
        self.verify_message(bundle, message, blob.digest(), || Ok(blob.content().clone()))
    }
}

impl VerifiedStatement {
    /// A verified statement is an image signature when its type says so and its subject is the manifest.
    ///
    /// # Errors
    /// [`VerifyError::NotAnImageSignature`], [`VerifyError::OtherManifest`].
    pub fn as_image_signature(&self, about: &Digest, bytes: Option<&Bytes>) -> Result<ImageSignature, VerifyError> {
        if !self.is_image_signature() {
            let found = self.statement().predicate_type().to_string();
            return Err(VerifyError::NotAnImageSignature { found });
        }
        let subjects = self.statement().subjects();
        if subjects.iter().any(|subject| subject.is_about(about, bytes)) {
            let unchecked = self.unchecked().clone();
            return Ok(ImageSignature::assert_verified(about.clone(), self.signers().to_vec(), unchecked));
        }
        let named = subjects.iter().find_map(crate::intoto::Subject::digest);
        let named = named.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
        Err(VerifyError::OtherManifest { expected: about.clone(), about: named })
    }

    /// Whether the statement is of the type by which images are signed.
    pub fn is_image_signature(&self) -> bool {
        Family::of(self.statement().predicate_type()) == Family::named("signature")
    }
}
