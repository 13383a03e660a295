//! Making signatures. Each is checked with the public half before it is used, so that a broken key or machine is
//! noticed here.

use crate::attach::{DocumentKind, Evidence};
use crate::content::{Blob, BlobStart, Content, ContentError};
use crate::crypto::{MessageDigester, SigningKey};
use crate::dsse::{self, Envelope, EnvelopeSignature};
use crate::intoto::Statement;
use crate::limits::Limits;
use crate::media_type::{MediaType, PayloadType};
use crate::predicate::Family;
use crate::sigstore::{Bundle, MessageSignature};
use crate::verify::VerifyError;

use super::error::JobError;
use super::placing::LayoutChoice;

/// Signs a ready statement: a bundle.
///
/// # Errors
/// [`JobError::Signing`], [`JobError::Content`].
pub fn sign_statement(statement: &Statement, key: &SigningKey, limits: &Limits) -> Result<Bundle, JobError> {
    let payload = statement.payload().clone();
    let signature = sign_content(&dsse::pae(&PayloadType::IN_TOTO, &payload), key, limits)?;
    let entry = EnvelopeSignature { keyid: None, signature };
    Ok(Bundle::for_key(Envelope::new(PayloadType::IN_TOTO, payload, vec![entry]), key.public_key().hint())?)
}

/// Signs a blob's bytes: a bundle with a message signature.
///
/// # Errors
/// [`JobError::Signing`], [`JobError::Content`].
pub fn sign_blob(blob: &Blob, key: &SigningKey, limits: &Limits) -> Result<Bundle, JobError> {
    let signature = sign_content(blob.content(), key, limits)?;
    let message = MessageSignature { message_digest: Some(blob.digest().clone()), signature };
    Ok(Bundle::for_message(message, key.public_key().hint()))
}

/// Signs a statement in the form that a layout wants.
pub(super) fn signed_document(
    statement: &Statement,
    key: &SigningKey,
    layout: LayoutChoice,
    limits: &Limits,
) -> Result<Evidence, JobError> {
    let payload = statement.payload().clone();
    let hint = key.public_key().hint();
    let in_bundle = layout == LayoutChoice::Referrer;
    let start = if in_bundle { Bundle::start(&hint, &payload) } else { Envelope::start(&payload) };
    // The document is digested up to where the signature goes while the signature is made.
    let (start, signature) = std::thread::scope(|scope| {
        let start = scope.spawn(|| BlobStart::of(start));
        let signature = sign_content(&dsse::pae(&PayloadType::IN_TOTO, &payload), key, limits);
        (start.join(), signature)
    });
    let start = start.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(ContentError::from)?;
    // Without a bundle around the envelope, the key's hint has its place in `keyid`.
    let keyid = (!in_bundle).then_some(hint);
    let entry = EnvelopeSignature { keyid, signature: signature? };
    let envelope = Envelope::new(PayloadType::IN_TOTO, payload, vec![entry]);
    let (media_type, end, kind) = match layout {
        LayoutChoice::Referrer => (MediaType::SIGSTORE_BUNDLE_V03, Bundle::end(&envelope), DocumentKind::Bundle),
        LayoutChoice::Index(_) => (envelope_type(statement), envelope.end(), DocumentKind::Envelope),
        LayoutChoice::Tag => (MediaType::DSSE_ENVELOPE, envelope.end(), DocumentKind::Envelope),
    };
    let blob = start.finish(media_type, end)?;
    Ok(Evidence::new(blob, Some(statement.predicate_type().clone()), kind))
}

/// The statement as it is, with no signature.
pub(super) fn bare_document(statement: &Statement) -> Result<Evidence, JobError> {
    let blob = Blob::new(MediaType::IN_TOTO, statement.payload().clone())?;
    Ok(Evidence::new(blob, Some(statement.predicate_type().clone()), DocumentKind::Statement))
}

/// The media type of an envelope inside an index.
pub(super) fn envelope_type(statement: &Statement) -> MediaType {
    let name = Family::of(statement.predicate_type()).map_or("custom", Family::envelope_name);
    MediaType::in_toto_envelope(name)
}

/// Signs bytes and checks the signature with the public half.
pub(super) fn sign_content(content: &Content, key: &SigningKey, limits: &Limits) -> Result<Vec<u8>, JobError> {
    let mut digester = MessageDigester::for_algorithms([key.public_key().algorithm()], limits);
    content
        .each_chunk(|chunk| {
            digester.update(chunk);
            Ok::<(), std::io::Error>(())
        })
        .map_err(ContentError::from)?;
    let message = digester.finish();
    let signature = key.sign(&message)?;
    key.public_key().verify(&message, &signature).map_err(|error| {
        JobError::SelfCheck(VerifyError::NoTrustedSignature { keys: 1, hint: None, last: Some(error) })
    })?;
    Ok(signature)
}
