//! The types that carry the proofs.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;

use super::VerifyError;
use super::chain::{CheckedBytes, SignatureForm};
use crate::code::Code;
use crate::content::Blob;
use crate::crypto::{KeyAlgorithm, PublicKey};
use crate::digest::Digest;
use crate::dsse;
use crate::intoto::{Statement, Subject};
use crate::location::Location;
use crate::media_type::{MediaType, PayloadType, PredicateType};
use crate::oci::{Image, Manifest};

/// A trusted key that made a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    fingerprint: Digest,
    algorithm: KeyAlgorithm,
}

impl Signer {
    pub(super) fn of(key: &PublicKey) -> Self {
        Self { fingerprint: key.fingerprint(), algorithm: key.algorithm() }
    }

    /// SHA-256 of the key's DER form: who signed. Names are for people.
    pub const fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }

    /// The key's algorithm.
    pub const fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }
}

/// How a signature reaches a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hop {
    /// The statement itself is signed.
    Direct,
    /// The manifest that lists the statement is signed; the manifest binds it by digest and size.
    Manifest(Box<Carrier>),
    /// The index is signed; it binds the manifest, which binds the statement. Counts only where policy says so.
    Index {
        /// The signed index.
        index: CheckedBytes,
        /// What the index leads to.
        carrier: Box<Carrier>,
    },
}

impl Hop {
    /// The manifest or index that is signed in place of the statement.
    pub fn through(&self) -> Option<&Digest> {
        match self {
            Self::Direct => None,
            Self::Manifest(carrier) => Some(carrier.manifest.digest()),
            Self::Index { index, .. } => Some(index.digest()),
        }
    }
}

/// What carries a bare statement that something else is signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    /// Where the signature was found.
    pub(super) signature_at: Location,
    /// The attestation manifest.
    pub(super) manifest: CheckedBytes,
    /// The layer of it that is the statement.
    pub(super) layer: CheckedBytes,
}

/// The document that a verified signature came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignatureDocument {
    pub(super) bytes: CheckedBytes,
    pub(super) form: SignatureForm,
}

/// A verified signature over a manifest's bytes, and where it was found.
#[derive(Debug, Clone)]
pub struct ImageSignature {
    about: Digest,
    signers: Vec<Signer>,
    unchecked: BTreeSet<Code>,
    document: SignatureDocument,
    /// The statement that says so, where there is one: its type and its length in bytes.
    statement: Option<(PredicateType, u64)>,
    location: Location,
}

impl ImageSignature {
    pub(super) const fn assert_verified(
        about: Digest,
        signers: Vec<Signer>,
        unchecked: BTreeSet<Code>,
        document: SignatureDocument,
        location: Location,
    ) -> Self {
        Self { about, signers, unchecked, document, statement: None, location }
    }

    /// The same, by a verified statement.
    pub(super) fn assert_by_statement(about: Digest, verified: &VerifiedStatement, location: Location) -> Self {
        let statement = verified.statement();
        Self {
            about,
            signers: verified.signers.clone(),
            unchecked: verified.unchecked.clone(),
            document: verified.document.clone(),
            statement: Some((statement.predicate_type().clone(), statement.payload().length())),
            location,
        }
    }

    /// The manifest that is signed.
    pub const fn about(&self) -> &Digest {
        &self.about
    }

    /// Who signed.
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// What was not checked.
    pub const fn unchecked(&self) -> &BTreeSet<Code> {
        &self.unchecked
    }

    /// The document that holds it.
    pub const fn document(&self) -> &CheckedBytes {
        &self.document.bytes
    }

    /// The form of that document.
    pub const fn form(&self) -> SignatureForm {
        self.document.form
    }

    /// The statement by which it is one, where it is no signature over the manifest or a payload that names it.
    pub(super) fn statement(&self) -> Option<(&PredicateType, u64)> {
        self.statement.as_ref().map(|(predicate_type, size)| (predicate_type, *size))
    }

    /// Where it was found.
    pub const fn location(&self) -> &Location {
        &self.location
    }

    /// Whether another one proves the same: who signs what, with as much left unchecked.
    pub(crate) fn proves_the_same_as(&self, other: &Self) -> bool {
        self.about == other.about && self.signers == other.signers && self.unchecked == other.unchecked
    }

    /// Whether another one adds nothing to a report: it proves the same, in the same form and layout.
    ///
    /// Two documents are not told apart: anybody can write one signature down in ten thousand ways.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.proves_the_same_as(other)
            && self.document.form == other.document.form
            && self.location.layout == other.location.layout
    }
}

/// A statement that trusted keys signed. Made only in `crate::verify`.
#[derive(Debug, Clone)]
pub struct VerifiedStatement {
    statement: Statement,
    identity: Digest,
    signers: Vec<Signer>,
    unchecked: BTreeSet<Code>,
    document: SignatureDocument,
    hop: Hop,
}

impl VerifiedStatement {
    pub(super) const fn assert_signed(
        statement: Statement,
        identity: Digest,
        signers: Vec<Signer>,
        unchecked: BTreeSet<Code>,
        document: SignatureDocument,
    ) -> Self {
        Self { statement, identity, signers, unchecked, document, hop: Hop::Direct }
    }

    /// A bare statement that is a layer of a manifest which is signed as such.
    ///
    /// `layer` must be the very blob that `statement` was read from.
    ///
    /// # Errors
    /// [`VerifyError::OtherManifest`] when the signature is over another manifest, [`VerifyError::Unsigned`] when the
    /// manifest does not list the layer with this digest and size.
    pub fn assert_through_manifest(
        statement: Statement,
        layer: &Blob,
        manifest: &Manifest,
        signature: &ImageSignature,
    ) -> Result<Self, VerifyError> {
        if signature.about != *manifest.digest() {
            let about = signature.about.to_string();
            return Err(VerifyError::OtherManifest { expected: manifest.digest().clone(), about });
        }
        Self::through(statement, layer, manifest, signature, |carrier| Hop::Manifest(Box::new(carrier)))
    }

    /// A bare statement in an attestation manifest of an index that is signed as such.
    ///
    /// # Errors
    /// [`VerifyError::OtherManifest`] when the signature is over something else than `index`, [`VerifyError::Unsigned`]
    /// when the index does not list the manifest as an attestation manifest, or the manifest not the layer.
    pub fn assert_through_index(
        statement: Statement,
        layer: &Blob,
        manifest: &Manifest,
        index: &Manifest,
        signature: &ImageSignature,
    ) -> Result<Self, VerifyError> {
        if signature.about != *index.digest() {
            let about = signature.about.to_string();
            return Err(VerifyError::OtherManifest { expected: index.digest().clone(), about });
        }
        let children = index.as_index().map(|index| index.children()).unwrap_or_default();
        let size = manifest.blob().size();
        let bound = children.iter().any(|child| {
            child.is_attestation_manifest()
                && child.descriptor.digest == *manifest.digest()
                && child.descriptor.size == size
        });
        if !bound {
            return Err(VerifyError::Unsigned);
        }
        let index = CheckedBytes::of(index.blob());
        Self::through(statement, layer, manifest, signature, |carrier| Hop::Index { index, carrier: Box::new(carrier) })
    }

    fn through(
        statement: Statement,
        layer: &Blob,
        manifest: &Manifest,
        signature: &ImageSignature,
        hop: impl FnOnce(Carrier) -> Hop,
    ) -> Result<Self, VerifyError> {
        let layers = manifest.as_image().map(|image| image.layers.as_slice()).unwrap_or_default();
        // An image that somebody released is no carrier of evidence, wherever an index lists it: its signature says
        // nothing about what its layers claim.
        if layers.iter().any(|listed| !listed.media_type.as_str().starts_with("application/vnd.in-toto")) {
            return Err(VerifyError::Unsigned);
        }
        if !layers.iter().any(|listed| listed.digest == *layer.digest() && listed.size == layer.size()) {
            return Err(VerifyError::Unsigned);
        }
        let layer = super::ReadAgain::of(layer)?.into_bytes();
        let identity = Blob::new(MediaType::OCTET_STREAM, dsse::pae(&PayloadType::IN_TOTO, statement.payload()))?;
        Ok(Self {
            statement,
            identity: identity.digest().clone(),
            signers: signature.signers.clone(),
            unchecked: signature.unchecked.clone(),
            document: signature.document.clone(),
            hop: hop(Carrier {
                signature_at: signature.location.clone(),
                manifest: CheckedBytes::of(manifest.blob()),
                layer,
            }),
        })
    }

    pub(super) fn add_unchecked(&mut self, codes: impl IntoIterator<Item = Code>) {
        self.unchecked.extend(codes);
    }

    /// The statement.
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// SHA-256 of what a signature over the statement covers (its PAE): the same statement signed twice has one identity.
    pub const fn identity(&self) -> &Digest {
        &self.identity
    }

    /// Who signed.
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// What was not checked.
    pub const fn unchecked(&self) -> &BTreeSet<Code> {
        &self.unchecked
    }

    /// How the signature reaches the statement.
    pub const fn hop(&self) -> &Hop {
        &self.hop
    }

    /// The document that holds the signature, and its form.
    pub(super) const fn signature_document(&self) -> (&CheckedBytes, SignatureForm) {
        (&self.document.bytes, self.document.form)
    }

    pub(super) const fn set_form(&mut self, form: SignatureForm) {
        self.document.form = form;
    }

    /// Ties the statement to an image: some subject must be the image or one of its platforms, by digest.
    ///
    /// # Errors
    /// [`VerifyError::NoSubject`], [`VerifyError::SubjectMismatch`].
    pub fn about(self, image: &Image, location: Location) -> Result<Attestation, VerifyError> {
        let subjects = self.statement.subjects();
        if subjects.is_empty() {
            return Err(VerifyError::NoSubject);
        }
        // What exporters write has as many subjects as files: each file is compared with the few that give its digest.
        let mut giving: HashMap<&str, Vec<&Subject>> = HashMap::new();
        for subject in subjects {
            subject.deciding_hex().for_each(|hex| giving.entry(hex).or_default().push(subject));
        }
        let named = |digest: &Digest, bytes: Option<&Bytes>| match bytes {
            None => giving.get(digest.hex()).is_some_and(|few| few.iter().any(|known| known.is_about(digest, None))),
            Some(_) => subjects.iter().any(|subject| subject.is_about(digest, bytes)),
        };
        let about: Vec<Digest> = image
            .digests()
            .into_iter()
            .filter(|(digest, bytes)| named(digest, *bytes))
            .map(|(d, _)| d.clone())
            .collect();
        if about.is_empty() {
            let unknown = image.digests().into_iter().filter(|(_, bytes)| bytes.is_none());
            let bytes_missing =
                unknown.into_iter().any(|(digest, _)| subjects.iter().any(|subject| subject.needs_bytes(digest)));
            let about = subjects.iter().filter_map(Subject::digest).collect();
            return Err(VerifyError::SubjectMismatch { about, bytes_missing });
        }
        Ok(Attestation { verified: self, about, location })
    }
}

/// A verified statement about *this* image, and where it was found.
#[derive(Debug, Clone)]
pub struct Attestation {
    verified: VerifiedStatement,
    about: Vec<Digest>,
    location: Location,
}

impl Attestation {
    /// The verified statement.
    pub const fn verified(&self) -> &VerifiedStatement {
        &self.verified
    }

    /// The manifests of the image that the statement is about.
    pub fn about(&self) -> &[Digest] {
        &self.about
    }

    /// Notes another place in which the same document was seen. The preferred one leads.
    pub(crate) fn also_seen(&mut self, other: &Location) {
        self.location.merge(other);
    }

    /// Where it was found.
    pub const fn location(&self) -> &Location {
        &self.location
    }
}
