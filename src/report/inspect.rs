//! The report of `inspect`: what a document says of itself. Nothing in it is verified.

use schemars::JsonSchema;
use serde::Serialize;

use super::list::ListReport;
use crate::code::Code;
use crate::crypto::PublicKey;
use crate::digest::Digest;
use crate::intoto::Subject;
use crate::limits::Limits;
use crate::location::{EvidenceLayout, Location};
use crate::media_type::PredicateType;
use crate::sigstore::{Bundle, BundleContent, CosignMaterial, VerificationMaterial};
use crate::verify::{AttachedContent, AttachedError};

/// A signature as a document carries it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SignatureEntry {
    /// The hint about the key, which decides nothing.
    pub hint: Option<String>,
    /// Length in bytes.
    pub bytes: usize,
}

/// A document of evidence. Not verified.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DocumentReport {
    /// `bundle v0.3`, `envelope`, `statement, unsigned`, `simple signing`, `other` or `unreadable`.
    pub form: String,
    /// How it was seen, when it is attached to an image.
    pub layout: Option<EvidenceLayout>,
    /// The manifest that lists it, when it is attached to an image.
    pub manifest: Option<Digest>,
    /// The document's digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The statement's `_type`.
    pub statement_type: Option<String>,
    /// The statement's predicate type.
    pub predicate_type: Option<PredicateType>,
    /// What the statement is about, as `name@digest`.
    pub subjects: Vec<String>,
    /// Signatures.
    pub signatures: Vec<SignatureEntry>,
    /// `public key`, `certificate` or null.
    pub material: Option<String>,
    /// Certificates that came with it, those of a chain included.
    pub certificates: usize,
    /// Transparency log entries that came with it.
    pub log_entries: usize,
    /// Timestamps that came with it.
    pub timestamps: usize,
    /// Why it cannot be read.
    pub code: Option<Code>,
    /// One sentence about that.
    pub message: Option<String>,
}

/// A public key.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct KeyReport {
    /// The algorithm.
    pub algorithm: String,
    /// SHA-256 of the DER form.
    pub fingerprint: Digest,
    /// The hint that bundles carry.
    pub hint: String,
}

/// The report of `inspect`, `attestry/inspect/v1`. Nothing in it is verified.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct InspectReport {
    /// `attestry/inspect/v1`.
    pub schema: String,
    /// What was inspected.
    pub what: String,
    /// What is attached, when it is an image.
    pub image: Option<ListReport>,
    /// The documents.
    pub documents: Vec<DocumentReport>,
    /// The key, when it is one.
    pub key: Option<KeyReport>,
}

impl InspectReport {
    /// An empty report.
    pub fn new(what: String) -> Self {
        Self { schema: "attestry/inspect/v1".to_owned(), what, image: None, documents: Vec::new(), key: None }
    }
}

impl KeyReport {
    /// Reports a key.
    pub fn of(key: &PublicKey) -> Self {
        Self { algorithm: key.algorithm().to_string(), fingerprint: key.fingerprint(), hint: key.hint() }
    }
}

impl DocumentReport {
    /// Reports a document.
    ///
    /// # Errors
    /// [`AttachedError`] when its payload is no statement.
    pub fn of(content: &AttachedContent, digest: &Digest, size: u64, limits: &Limits) -> Result<Self, AttachedError> {
        let statement = content.unverified_statement(limits)?;
        let mut report = Self::empty("other", digest, size);
        if let Some(statement) = &statement {
            report.statement_type = Some(statement.statement_type().as_str().to_owned());
            report.predicate_type = Some(statement.predicate_type().clone());
            report.subjects = statement.subjects().iter().map(subject).collect();
        }
        match content {
            AttachedContent::Bundle(bundle) => report.take_bundle(bundle),
            AttachedContent::Envelope(attached) => {
                let envelope = attached.envelope();
                report.form = "envelope".to_owned();
                report.take_cosign(attached.material());
                let entries = envelope.signatures().iter();
                report.signatures = entries
                    .map(|known| SignatureEntry { hint: known.keyid.clone(), bytes: known.signature.len() })
                    .collect();
            }
            AttachedContent::SimpleSigning(signing) => {
                report.form = "simple signing".to_owned();
                report.take_cosign(signing.material());
                let entry = |bytes| SignatureEntry { hint: None, bytes };
                report.signatures = signing.signature_bytes().map(entry).into_iter().collect();
                report.subjects = signing.unverified_about().iter().map(ToString::to_string).collect();
            }
            AttachedContent::UnsignedStatement(_) => report.form = "statement, unsigned".to_owned(),
            AttachedContent::Other => {}
        }
        Ok(report)
    }

    /// Reports a document that cannot be read.
    pub fn unreadable(error: &AttachedError, digest: &Digest, size: u64) -> Self {
        let report = Self::empty("unreadable", digest, size);
        Self { code: Some(error.code()), message: Some(error.to_string()), ..report }
    }

    /// The same, saying where it was found.
    #[must_use]
    pub fn found_at(self, location: &Location) -> Self {
        Self { layout: Some(location.layout), manifest: Some(location.manifest.clone()), ..self }
    }

    fn empty(form: &str, digest: &Digest, size: u64) -> Self {
        Self {
            form: form.to_owned(),
            layout: None,
            manifest: None,
            digest: digest.clone(),
            size,
            statement_type: None,
            predicate_type: None,
            subjects: Vec::new(),
            signatures: Vec::new(),
            material: None,
            certificates: 0,
            log_entries: 0,
            timestamps: 0,
            code: None,
            message: None,
        }
    }

    fn take_bundle(&mut self, bundle: &Bundle) {
        self.form = format!("bundle {}", bundle.version().as_str());
        self.log_entries = bundle.log_entries();
        self.timestamps = bundle.timestamps();
        let hint = match bundle.material() {
            VerificationMaterial::PublicKey { hint } => {
                self.material = Some("public key".to_owned());
                hint.clone()
            }
            VerificationMaterial::Certificates(certificates) => {
                self.material = Some("certificate".to_owned());
                self.certificates = certificates.len();
                None
            }
        };
        self.signatures = match bundle.content() {
            BundleContent::Message(message) => vec![SignatureEntry { hint, bytes: message.signature.len() }],
            BundleContent::Envelope(envelope) => envelope
                .signatures()
                .iter()
                .map(|known| SignatureEntry {
                    hint: known.keyid.clone().or_else(|| hint.clone()),
                    bytes: known.signature.len(),
                })
                .collect(),
        };
    }

    /// Takes in what cosign keeps beside a signature.
    fn take_cosign(&mut self, material: &CosignMaterial) {
        if material.certificate().is_some() {
            self.material = Some("certificate".to_owned());
        }
        self.certificates = material.certificate().into_iter().count() + material.chain().len();
        self.log_entries = material.log_entry().into_iter().count();
        self.timestamps = material.timestamp().into_iter().count();
    }
}

fn subject(subject: &Subject) -> String {
    let digest = subject.digest().map_or_else(|| "no digest that counts".to_owned(), |digest| digest.to_string());
    match &subject.name {
        Some(name) => format!("{name}@{digest}"),
        None => digest,
    }
}
