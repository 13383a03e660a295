//! What an attached document is, decided by its content and never by its media type.
//!
//! `application/vnd.in-toto+json` names a bare statement in one tool and a payload type in another.

use bytes::Bytes;

use crate::code::Code;
use crate::content::{Blob, Content, decode_base64};
use crate::digest::Digest;
use crate::dsse::{self, Envelope, EnvelopeError};
use crate::intoto::{Statement, StatementError};
use crate::json::{JsonError, Node};
use crate::limits::Limits;
use crate::oci::{Descriptor, annotations};
use crate::sigstore::{Bundle, BundleContent, BundleError, CosignMaterial, MaterialError, MaterialProblem};

/// The type that a simple-signing payload must have to be an image signature.
const SIMPLE_SIGNING_TYPE: &str = "cosign container image signature";

/// Members that are long in some document and tell nothing about its kind.
const LONG_MEMBERS: &[&str] = &["predicate", "packages", "components", "files", "@graph"];

/// Why a document cannot be read as evidence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachedError {
    /// A broken bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A broken envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A broken statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Broken annotations beside a signature.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// The document could not be read.
    #[error("reading failed: {0}")]
    Unreadable(#[from] std::io::Error),
}

impl AttachedError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::Bundle(error) => error.code(),
            Self::Envelope(error) => error.code(),
            Self::Statement(error) => error.code(),
            Self::Material(error) => error.code(),
            Self::Unreadable(_) => Code::StorageFailed,
        }
    }
}

impl From<JsonError> for AttachedError {
    fn from(error: JsonError) -> Self {
        Self::Statement(StatementError::Json(error))
    }
}

/// cosign's older image signature: a payload that names a manifest, and a signature in the layer's annotations.
///
/// Source: cosign SIGNATURE_SPEC.md.
#[derive(Debug, Clone)]
pub struct SimpleSigning {
    /// The payload's exact bytes, which the signature covers.
    pub(super) payload: Bytes,
    /// The manifest that it names, when the payload is of the right type.
    pub(super) about: Option<Digest>,
    /// The type that it gives.
    pub(super) signature_type: String,
    /// The signature.
    pub(super) signature: Option<Vec<u8>>,
    /// What came with it.
    pub(super) material: CosignMaterial,
}

/// A DSSE envelope, and what cosign put beside it.
#[derive(Debug, Clone)]
pub struct AttachedEnvelope {
    pub(super) envelope: Envelope,
    pub(super) material: CosignMaterial,
}

impl AttachedEnvelope {
    /// The envelope.
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// What came with it for checking its signature. Not verified.
    pub const fn material(&self) -> &CosignMaterial {
        &self.material
    }
}

impl SimpleSigning {
    /// The manifest that the payload names. Not verified.
    pub const fn unverified_about(&self) -> Option<&Digest> {
        self.about.as_ref()
    }

    /// Length of the signature in bytes; none when there is no signature.
    pub fn signature_bytes(&self) -> Option<usize> {
        self.signature.as_ref().map(Vec::len)
    }

    /// What came with it for checking its signature. Not verified.
    pub const fn material(&self) -> &CosignMaterial {
        &self.material
    }
}

/// An attached document, read and not verified.
#[derive(Debug, Clone)]
pub enum AttachedContent {
    /// A Sigstore bundle.
    Bundle(Bundle),
    /// A DSSE envelope.
    Envelope(AttachedEnvelope),
    /// cosign's older image signature.
    SimpleSigning(SimpleSigning),
    /// A statement without any signature of its own.
    UnsignedStatement(Statement),
    /// Some other document: an SBOM file, for one.
    Other,
}

impl AttachedContent {
    /// Reads a layer. `layer` is the descriptor in the manifest, whose annotations hold cosign's older signatures.
    ///
    /// A document that is no JSON is [`AttachedContent::Other`]; one that starts as evidence and breaks its format is an
    /// error.
    ///
    /// # Errors
    /// Any [`AttachedError`].
    pub fn read(blob: &Blob, layer: &Descriptor, limits: &Limits) -> Result<Self, AttachedError> {
        let content = blob.content();
        // A broken document that promised to be evidence is worth a rejection.
        let claims_evidence = layer.media_type.claims_evidence();
        let node = match dsse::scan(content, LONG_MEMBERS, limits) {
            Ok(node) => node,
            Err(EnvelopeError::Unreadable(error)) => return Err(AttachedError::Unreadable(error)),
            Err(error) if claims_evidence => return Err(error.into()),
            Err(_) => return Ok(Self::Other),
        };
        if node.get("verificationMaterial").is_some() {
            return Ok(Self::Bundle(Bundle::from_node(&node, content, limits)?));
        }
        if node.get("payloadType").is_some() {
            let envelope = Envelope::from_node(&node, content, limits)?;
            return Ok(Self::Envelope(AttachedEnvelope { envelope, material: CosignMaterial::read(layer, limits)? }));
        }
        if node.get("_type").is_some() {
            return Ok(Self::UnsignedStatement(Statement::read(content, limits)?));
        }
        if node.get("critical").is_some() {
            return Ok(Self::SimpleSigning(read_simple_signing(content, &node, layer, limits)?));
        }
        if layer.media_type.is_sigstore_bundle() {
            return Err(BundleError::Field { field: "verificationMaterial" }.into());
        }
        if layer.media_type.is_envelope() {
            return Err(EnvelopeError::Field { field: "payloadType" }.into());
        }
        Ok(Self::Other)
    }
}

impl AttachedContent {
    /// The statement inside, whether or not anyone signed it: for listing and downloading, never for deciding.
    ///
    /// # Errors
    /// [`AttachedError::Statement`] when the payload is no statement.
    pub fn unverified_statement(&self, limits: &Limits) -> Result<Option<Statement>, AttachedError> {
        let envelope = match self {
            Self::Bundle(bundle) => match bundle.content() {
                BundleContent::Envelope(envelope) => envelope,
                BundleContent::Message(_) => return Ok(None),
            },
            Self::Envelope(attached) => &attached.envelope,
            Self::UnsignedStatement(statement) => return Ok(Some(statement.clone())),
            Self::SimpleSigning(_) | Self::Other => return Ok(None),
        };
        Ok(Some(Statement::read(envelope.unverified_payload(), limits)?))
    }
}

/// Reads a payload of exactly the two members that the format has.
///
/// The signature is over the bare bytes, as one made by `sign-blob` is: a manifest or an SBOM that somebody got signed must
/// not be an image signature because it has a member `critical` besides. Source: containers/image, docs/containers-signature.5.md
/// (unknown members are an error).
fn read_simple_signing(
    content: &Content,
    node: &Node,
    layer: &Descriptor,
    limits: &Limits,
) -> Result<SimpleSigning, AttachedError> {
    const SIGNATURE: &str = annotations::COSIGN_SIGNATURE;
    if node.as_object().unwrap_or_default().iter().any(|(name, _)| !matches!(&**name, "critical" | "optional")) {
        return Err(StatementError::Field { field: "critical" }.into());
    }
    if content.length() > limits.memory_bytes {
        return Err(JsonError::TooLarge { limit: limits.memory_bytes }.into());
    }
    let critical = node.get("critical");
    let signature_type = critical.and_then(|node| node.str_of("type")).unwrap_or_default().to_owned();
    let image = critical.and_then(|node| node.get("image"));
    let about = image.and_then(|node| node.str_of("docker-manifest-digest")).and_then(|text| Digest::parse(text).ok());
    let signature = layer.annotation(SIGNATURE).filter(|text| !text.is_empty()).map(decode_base64).transpose();
    let signature = signature.map_err(|_| MaterialError { annotation: SIGNATURE, problem: MaterialProblem::Base64 })?;
    Ok(SimpleSigning {
        payload: content.read_all()?,
        about: about.filter(|_| signature_type == SIMPLE_SIGNING_TYPE),
        signature_type,
        signature,
        material: CosignMaterial::read(layer, limits)?,
    })
}
