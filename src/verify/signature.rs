//! Image signatures: statements of cosign's signing type, simple-signing payloads, message signatures.

use bytes::Bytes;

use super::chain::SignatureForm;
use super::envelope::{unchecked_cosign, unchecked_material, unchecked_times, with_certificate};
use super::verified::{ImageSignature, SignatureDocument, Signer, VerifiedStatement};
use super::{AttachedContent, ReadAgain, SimpleSigning, Verifier, VerifyError};
use crate::content::{Blob, Content};
use crate::digest::Digest;
use crate::dsse::EnvelopeSignature;
use crate::location::Location;
use crate::predicate::Family;
use crate::sigstore::{Bundle, BundleContent, MessageSignature, VerificationMaterial};

impl Verifier {
    /// Verifies that an attached document signs the manifest of digest `about`, whose exact bytes are `bytes` where they
    /// are at hand. `location` is where the document was found; it decides nothing.
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
        location: &Location,
    ) -> Result<ImageSignature, VerifyError> {
        let verified = match content {
            AttachedContent::SimpleSigning(signing) => {
                return self.verify_simple_signing(signing, blob, about, location);
            }
            AttachedContent::Bundle(bundle) => match bundle.content() {
                BundleContent::Envelope(_) => self.verify_bundle(bundle, blob)?,
                BundleContent::Message(message) => {
                    let bytes = bytes.ok_or_else(|| VerifyError::BytesMissing { manifest: about.clone() })?;
                    let signers = self.verify_message(bundle, message, &Content::from(bytes.clone()))?;
                    let mut unchecked = unchecked_times();
                    unchecked.extend(unchecked_material(bundle));
                    let document = signature_document(blob, SignatureForm::MessageSignature)?;
                    let location = location.clone();
                    return Ok(ImageSignature::assert_verified(about.clone(), signers, unchecked, document, location));
                }
            },
            AttachedContent::Envelope(attached) => self.verify_attached_envelope(attached, || ReadAgain::of(blob))?,
            AttachedContent::UnsignedStatement(_) => return Err(VerifyError::Unsigned),
            AttachedContent::Other => {
                return Err(VerifyError::NotAnImageSignature { found: "a document of another kind".to_owned() });
            }
        };
        verified.as_image_signature(about, bytes, location)
    }

    /// The signature covers the payload's bytes; what it is about is read from those bytes alone.
    fn verify_simple_signing(
        &self,
        signing: &SimpleSigning,
        blob: &Blob,
        about: &Digest,
        location: &Location,
    ) -> Result<ImageSignature, VerifyError> {
        let signature = signing.signature.clone().ok_or(VerifyError::Unsigned)?;
        let mut digester = self.digester();
        digester.update(&signing.payload);
        let entry = EnvelopeSignature { keyid: None, signature };
        let signers = self.signers(&[entry], &digester.finish(), None);
        let signers = signers.map_err(|error| with_certificate(error, &signing.material))?;
        match &signing.about {
            Some(named) if named == about => {
                let mut unchecked = unchecked_times();
                unchecked.extend(unchecked_cosign(&signing.material));
                let document = signature_document(blob, SignatureForm::SimpleSigning)?;
                let location = location.clone();
                Ok(ImageSignature::assert_verified(about.clone(), signers, unchecked, document, location))
            }
            Some(named) => Err(VerifyError::OtherManifest { expected: about.clone(), about: named.to_string() }),
            None => Err(VerifyError::NotAnImageSignature { found: signing.signature_type.clone() }),
        }
    }

    /// The keys that signed these bytes.
    fn verify_message(
        &self,
        bundle: &Bundle,
        message: &MessageSignature,
        content: &Content,
    ) -> Result<Vec<Signer>, VerifyError> {
        let VerificationMaterial::PublicKey { hint } = bundle.material() else { return Err(VerifyError::Certificate) };
        let mut digester = self.digester();
        content.each_chunk(|chunk| {
            digester.update(chunk);
            Ok::<(), VerifyError>(())
        })?;
        let entry = EnvelopeSignature { keyid: None, signature: message.signature.clone() };
        self.signers(&[entry], &digester.finish(), hint.as_ref())
    }

    /// Verifies a signature over a blob's exact bytes, as `sign-blob` makes it, and says who signed.
    ///
    /// # Errors
    /// [`VerifyError::Certificate`], [`VerifyError::NoTrustedSignature`], or [`VerifyError::NotAnImageSignature`] when
    /// the bundle holds an envelope.
    pub fn verify_blob(&self, bundle: &Bundle, blob: &Blob) -> Result<Vec<Signer>, VerifyError> {
        let BundleContent::Message(message) = bundle.content() else {
            return Err(VerifyError::NotAnImageSignature { found: "an envelope".to_owned() });
        };
        self.verify_message(bundle, message, blob.content())
    }
}

fn signature_document(blob: &Blob, form: SignatureForm) -> Result<SignatureDocument, VerifyError> {
    Ok(SignatureDocument { bytes: ReadAgain::of(blob)?.into_bytes(), form })
}

impl VerifiedStatement {
    /// A verified statement is an image signature when its type says so and its subject is the manifest.
    ///
    /// # Errors
    /// [`VerifyError::NotAnImageSignature`], [`VerifyError::OtherManifest`].
    pub fn as_image_signature(
        &self,
        about: &Digest,
        bytes: Option<&Bytes>,
        location: &Location,
    ) -> Result<ImageSignature, VerifyError> {
        if !self.is_image_signature() {
            let found = self.statement().predicate_type().to_string();
            return Err(VerifyError::NotAnImageSignature { found });
        }
        let subjects = self.statement().subjects();
        if subjects.iter().any(|subject| subject.is_about(about, bytes)) {
            return Ok(ImageSignature::assert_by_statement(about.clone(), self, location.clone()));
        }
        let named = subjects.iter().find_map(crate::intoto::Subject::digest);
        let named = named.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
        Err(VerifyError::OtherManifest { expected: about.clone(), about: named })
    }

    /// Whether the statement is of the type by which images are signed.
    pub fn is_image_signature(&self) -> bool {
        Family::signs_images(self.statement().predicate_type())
    }
}
