//! Bundles: a signature and what is needed to check it, in one file.
//!
//! Source: sigstore protobuf-specs, sigstore_bundle.proto.

use crate::code::Code;
use crate::content::{Content, decode_base64};
use crate::digest::{Digest, DigestAlgorithm};
use crate::dsse::{Envelope, EnvelopeError, scan};
use crate::json::Node;
use crate::limits::Limits;
use crate::media_type::MediaType;

/// Why a text is no bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The envelope in it, or its JSON, is broken.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A media type that is no bundle's.
    #[error("not a bundle version that is known: {found}")]
    Version {
        /// What it says.
        found: String,
    },
    /// A field is missing or of another type.
    #[error("`{field}` is missing or of the wrong type")]
    Field {
        /// Which one.
        field: &'static str,
    },
    /// Both kinds of content, or neither.
    #[error("a bundle holds either an envelope or a message signature")]
    Content,
    /// More than one kind of verification material.
    #[error("a bundle holds exactly one of certificate, certificate chain and public key")]
    Material,
    /// The envelope in a bundle has exactly one signature.
    #[error("the envelope in a bundle has exactly one signature, this one has {count}")]
    SignatureCount {
        /// How many.
        count: usize,
    },
}

impl BundleError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::Envelope(error) => match error {
                EnvelopeError::Json(error) => error.code(),
                EnvelopeError::Unreadable(_) => Code::StorageFailed,
                _ => Code::BundleInvalid,
            },
            _ => Code::BundleInvalid,
        }
    }
}

/// The version of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BundleVersion {
    /// `application/vnd.dev.sigstore.bundle+json;version=0.1`
    V01,
    /// `application/vnd.dev.sigstore.bundle+json;version=0.2`
    V02,
    /// `application/vnd.dev.sigstore.bundle.v0.3+json`, and the older spelling with a parameter.
    V03,
}

impl BundleVersion {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "application/vnd.dev.sigstore.bundle+json;version=0.1" => Self::V01,
            "application/vnd.dev.sigstore.bundle+json;version=0.2" => Self::V02,
            "application/vnd.dev.sigstore.bundle+json;version=0.3"
            | "application/vnd.dev.sigstore.bundle.v0.3+json" => Self::V03,
            _ => return None,
        })
    }

    /// The short text, for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V01 => "v0.1",
            Self::V02 => "v0.2",
            Self::V03 => "v0.3",
        }
    }
}

/// What a signature in a bundle is to be checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerificationMaterial {
    /// A key that the verifier has; the hint helps to find it and decides nothing.
    PublicKey {
        /// Mostly the base64 SHA-256 of the key's DER form.
        hint: Option<String>,
    },
    /// A certificate, leaf first, DER.
    Certificates(Vec<Vec<u8>>),
}

/// A signature over the digest of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSignature {
    /// Which artifact the signer says it is: for finding, never for verifying.
    pub message_digest: Option<Digest>,
    /// The signature over the artifact's bytes.
    pub signature: Vec<u8>,
}

/// What a bundle holds.
#[derive(Debug, Clone)]
pub enum BundleContent {
    /// A DSSE envelope with exactly one signature.
    Envelope(Envelope),
    /// A signature over a blob that is elsewhere.
    Message(MessageSignature),
}

/// A bundle as it was read or made: nothing in it has been checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    version: BundleVersion,
    material: VerificationMaterial,
    content: BundleContent,
    log_entries: usize,
    timestamps: usize,
}

impl Bundle {
    /// A v0.3 bundle of a signature made with a key, without log entries and timestamps.
    ///
    /// # Errors
    /// [`BundleError::SignatureCount`] unless the envelope has one signature.
    pub fn for_key(envelope: Envelope, hint: String) -> Result<Self, BundleError> {
        if envelope.signatures().len() != 1 {
            return Err(BundleError::SignatureCount { count: envelope.signatures().len() });
        }
        Ok(Self {
            version: BundleVersion::V03,
            material: VerificationMaterial::PublicKey { hint: Some(hint) },
            content: BundleContent::Envelope(envelope),
            log_entries: 0,
            timestamps: 0,
        })
    }

    /// A v0.3 bundle of a signature over a blob's bytes, made with a key.
    pub const fn for_message(signature: MessageSignature, hint: String) -> Self {
        Self {
            version: BundleVersion::V03,
            material: VerificationMaterial::PublicKey { hint: Some(hint) },
            content: BundleContent::Message(signature),
            log_entries: 0,
            timestamps: 0,
        }
    }

    /// Reads a bundle. Unknown fields are ignored.
    ///
    /// # Errors
    /// Any [`BundleError`].
    pub fn read(text: &Content, limits: &Limits) -> Result<Self, BundleError> {
        Self::from_node(&scan(text, &[], limits)?, text, limits)
    }

    pub(crate) fn from_node(node: &Node, source: &Content, limits: &Limits) -> Result<Self, BundleError> {
        let field = |field| BundleError::Field { field };
        let media_type = node.str_of("mediaType").ok_or_else(|| field("mediaType"))?;
        let version =
            BundleVersion::parse(media_type).ok_or_else(|| BundleError::Version { found: media_type.to_owned() })?;
        let material = node.get_set("verificationMaterial").ok_or_else(|| field("verificationMaterial"))?;
        let content = match (node.get_set("dsseEnvelope"), node.get_set("messageSignature")) {
            (Some(envelope), None) => {
                let envelope = Envelope::from_node(envelope, source, limits)?;
                if envelope.signatures().len() != 1 {
                    return Err(BundleError::SignatureCount { count: envelope.signatures().len() });
                }
                BundleContent::Envelope(envelope)
            }
            (None, Some(signature)) => BundleContent::Message(read_message(signature)?),
            _ => return Err(BundleError::Content),
        };
        let count = |node: Option<&Node>, field: &'static str| match node {
            None => Ok(0),
            Some(entries) => entries.as_array().map(<[Node]>::len).ok_or(BundleError::Field { field }),
        };
        let timestamps = material.get_set("timestampVerificationData");
        Ok(Self {
            version,
            material: read_material(material, version)?,
            content,
            log_entries: count(material.get_set("tlogEntries"), "tlogEntries")?,
            timestamps: count(timestamps.and_then(|data| data.get_set("rfc3161Timestamps")), "rfc3161Timestamps")?,
        })
    }

    /// The version.
    pub const fn version(&self) -> BundleVersion {
        self.version
    }

    /// What the signature is to be checked with.
    pub const fn material(&self) -> &VerificationMaterial {
        &self.material
    }

    /// What it holds.
    pub const fn content(&self) -> &BundleContent {
        &self.content
    }

    /// How many log entries it carries. None of them is checked.
    pub const fn log_entries(&self) -> usize {
        self.log_entries
    }

    /// How many timestamps it carries. None of them is checked.
    pub const fn timestamps(&self) -> usize {
        self.timestamps
    }

    /// The bundle as JSON, in the form of v0.3. Only bundles that were made here are written.
    pub fn to_content(&self) -> Content {
        let hint = match &self.material {
            VerificationMaterial::PublicKey { hint: Some(hint) } => hint.as_str(),
            _ => "",
        };
        match &self.content {
            BundleContent::Envelope(envelope) => {
                Content::joined([Self::start(hint, envelope.unverified_payload()), Self::end(envelope)])
            }
            BundleContent::Message(message) => Content::from(format!("{}{}}}", head(hint), write_message(message))),
        }
    }

    /// The text of a v0.3 bundle around the text of an envelope, which stays as it is. The envelope must have one
    /// signature.
    pub(crate) fn around(hint: &str, envelope: Content) -> Content {
        Content::joined([Content::from(format!("{}\"dsseEnvelope\":", head(hint))), envelope, Content::from("}")])
    }

    /// The text of the envelope in a bundle, as it stands there.
    ///
    /// # Errors
    /// Any [`BundleError`].
    pub(crate) fn envelope_text(text: &Content, limits: &Limits) -> Result<Content, BundleError> {
        let node = scan(text, &[], limits)?;
        let envelope = node.get_set("dsseEnvelope").ok_or(BundleError::Content)?;
        Ok(text.slice(envelope.range.clone()))
    }

    /// The text of every bundle of this key and payload up to the payload's end, before any signature is known.
    pub(crate) fn start(hint: &str, payload: &Content) -> Content {
        Content::joined([Content::from(format!("{}\"dsseEnvelope\":", head(hint))), Envelope::start(payload)])
    }

    /// The text after [`Bundle::start`].
    pub(crate) fn end(envelope: &Envelope) -> Content {
        Content::joined([envelope.end(), Content::from("}")])
    }
}

/// A bundle's text up to its content.
fn head(hint: &str) -> String {
    let hint = serde_json::Value::from(hint);
    let media_type = MediaType::SIGSTORE_BUNDLE_V03;
    format!("{{\"mediaType\":\"{media_type}\",\"verificationMaterial\":{{\"publicKey\":{{\"hint\":{hint}}}}},")
}

fn write_message(message: &MessageSignature) -> String {
    let digest = message.message_digest.as_ref().map(|digest| {
        let algorithm = match digest.algorithm() {
            DigestAlgorithm::Sha256 => "SHA2_256",
            DigestAlgorithm::Sha384 => "SHA2_384",
            DigestAlgorithm::Sha512 => "SHA2_512",
        };
        let value = crate::content::encode_base64(&digest.bytes());
        format!("\"messageDigest\":{{\"algorithm\":\"{algorithm}\",\"digest\":\"{value}\"}},")
    });
    let signature = crate::content::encode_base64(&message.signature);
    format!("\"messageSignature\":{{{}\"signature\":\"{signature}\"}}", digest.unwrap_or_default())
}

fn read_message(node: &Node) -> Result<MessageSignature, BundleError> {
    let field = |field| BundleError::Field { field };
    let signature = node.str_of("signature").and_then(|text| decode_base64(text).ok());
    let message_digest = node.get_set("messageDigest").and_then(|digest| {
        let algorithm = match digest.str_of("algorithm")? {
            "SHA2_256" => DigestAlgorithm::Sha256,
            "SHA2_384" => DigestAlgorithm::Sha384,
            "SHA2_512" => DigestAlgorithm::Sha512,
            _ => return None,
        };
        Digest::from_bytes(algorithm, &decode_base64(digest.str_of("digest")?).ok()?)
    });
    Ok(MessageSignature { message_digest, signature: signature.ok_or_else(|| field("signature"))? })
}

fn read_material(node: &Node, version: BundleVersion) -> Result<VerificationMaterial, BundleError> {
    let field = |field| BundleError::Field { field };
    let der = |node: &Node| {
        let text = node.str_of("rawBytes").ok_or(BundleError::Field { field: "rawBytes" })?;
        decode_base64(text).map_err(|_| BundleError::Field { field: "rawBytes" })
    };
    match (node.get_set("publicKey"), node.get_set("certificate"), node.get_set("x509CertificateChain")) {
        (Some(key), None, None) => Ok(VerificationMaterial::PublicKey {
            hint: key.str_of("hint").filter(|hint| !hint.is_empty()).map(str::to_owned),
        }),
        (None, Some(certificate), None) => Ok(VerificationMaterial::Certificates(vec![der(certificate)?])),
        // v0.3 forbids chains: their intermediates would come from the signer (sigstore_bundle.proto).
        (None, None, Some(chain)) if version < BundleVersion::V03 => {
            let certificates =
                chain.get("certificates").and_then(Node::as_array).ok_or_else(|| field("certificates"))?;
            Ok(VerificationMaterial::Certificates(certificates.iter().map(der).collect::<Result<_, _>>()?))
        }
        _ => Err(BundleError::Material),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsse::EnvelopeSignature;
    use crate::media_type::PayloadType;

    fn read(text: &str) -> Result<Bundle, BundleError> {
        Bundle::read(&Content::from(text.to_owned()), &Limits::default())
    }

    fn text(version: &str, material: &str, content: &str) -> String {
        format!(
            r#"{{"mediaType":"application/vnd.dev.sigstore.bundle{version}","verificationMaterial":{{{material}}},{content}}}"#
        )
    }

    const ENVELOPE: &str = r#""dsseEnvelope":{"payload":"e30=","payloadType":"t","signatures":[{"sig":"QQ=="}]}"#;
    const KEY: &str = r#""publicKey":{"hint":"h"}"#;
    const CHAIN: &str = r#""x509CertificateChain":{"certificates":[{"rawBytes":"QQ=="}]}"#;

    #[test]
    fn all_versions_are_read() {
        for (version, material) in [
            ("+json;version=0.1", CHAIN),
            ("+json;version=0.2", CHAIN),
            ("+json;version=0.3", KEY),
            (".v0.3+json", KEY),
        ] {
            assert!(read(&text(version, material, ENVELOPE)).is_ok(), "{version}");
        }
    }

    #[test]
    fn what_the_format_forbids_is_refused() {
        let two = r#""dsseEnvelope":{"payload":"e30=","payloadType":"t","signatures":[{"sig":"QQ=="},{"sig":"QQ=="}]}"#;
        let both = format!(r#"{ENVELOPE},"messageSignature":{{"signature":"QQ=="}}"#);
        let materials = format!("{KEY},{CHAIN}");
        for (version, material, content) in [
            (".v0.3+json", CHAIN, ENVELOPE),
            (".v0.4+json", KEY, ENVELOPE),
            (".v0.3+json", KEY, two),
            (".v0.3+json", KEY, &both),
            (".v0.3+json", &materials, ENVELOPE),
            (".v0.3+json", "", ENVELOPE),
            (".v0.3+json", KEY, r#""x":1"#),
        ] {
            assert!(read(&text(version, material, content)).is_err(), "{version} {material} {content}");
        }
    }

    #[test]
    fn what_was_made_reads_back() {
        let signature = EnvelopeSignature { keyid: None, signature: vec![7] };
        let envelope = Envelope::new(PayloadType::IN_TOTO, Content::from("{}"), vec![signature]);
        let bundle = Bundle::for_key(envelope, "a\"b".to_owned()).unwrap();
        let back = Bundle::read(&bundle.to_content(), &Limits::default()).unwrap();
        assert_eq!(back.material(), bundle.material());
        let message = MessageSignature { message_digest: Some(Digest::sha256(b"x")), signature: vec![1] };
        let bundle = Bundle::for_message(message.clone(), "h".to_owned());
        let back = Bundle::read(&bundle.to_content(), &Limits::default()).unwrap();
        assert!(matches!(back.content(), BundleContent::Message(read) if *read == message));
    }
}
