//! DSSE envelopes: a payload, its type, and signatures over both.
//!
//! Nothing here checks a signature; `verify` does. The payload is kept as the bytes that the base64 text stands for and
//! is never encoded again.
//!
//! Source: DSSE protocol and envelope, version 1.0.2.

use crate::code::Code;
use crate::content::{Base64Error, Content, decode_base64, encode_base64};
use crate::json::{JsonError, Keep, Node, Scanner, Value};
use crate::limits::Limits;
use crate::media_type::PayloadType;

/// Length above which a string of a spooled document stays on disk.
pub(crate) const LONG_STRING_BYTES: usize = 64 * 1024;

/// Why a text is no envelope.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Not strict JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A field is missing or of another type.
    #[error("`{field}` is missing or of the wrong type")]
    Field {
        /// Which one.
        field: &'static str,
    },
    /// A field is not base64.
    #[error("`{field}` is not base64: {cause}")]
    Base64 {
        /// Which one.
        field: &'static str,
        /// What is wrong.
        cause: Base64Error,
    },
    /// A payload too large to hold has escapes in its text, so that its bytes cannot be taken as they stand.
    #[error("the payload is large and its base64 text holds JSON escapes")]
    EscapedPayload,
    /// More signatures than the bound, or none.
    #[error("the envelope has {count} signatures; 1 to {limit} are read")]
    SignatureCount {
        /// How many.
        count: usize,
        /// The bound.
        limit: usize,
    },
    /// The document could not be read.
    #[error("reading failed: {0}")]
    Unreadable(#[from] std::io::Error),
}

impl EnvelopeError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::Json(error) => error.code(),
            Self::Unreadable(_) => Code::StorageFailed,
            _ => Code::EnvelopeInvalid,
        }
    }
}

/// A signature of an envelope. `keyid` is a hint and decides nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// Which key the signer says it used; empty reads as absent.
    pub keyid: Option<String>,
    /// The signature's bytes.
    pub signature: Vec<u8>,
}

/// An envelope as it was read or made: nothing in it has been checked.
#[derive(Debug, Clone)]
pub struct Envelope {
    payload_type: PayloadType,
    payload: Content,
    signatures: Vec<EnvelopeSignature>,
}

impl Envelope {
    /// Puts a payload and signatures over its [`pae`] together. Does not check the signatures.
    pub const fn new(payload_type: PayloadType, payload: Content, signatures: Vec<EnvelopeSignature>) -> Self {
        Self { payload_type, payload, signatures }
    }

    /// Reads an envelope. Unknown fields are ignored; a payload over the memory bound stays where it is.
    ///
    /// # Errors
    /// Any [`EnvelopeError`].
    pub fn read(text: &Content, limits: &Limits) -> Result<Self, EnvelopeError> {
        Self::from_node(&scan(text, &[], limits)?, text, limits)
    }

    /// Reads an envelope that is part of a larger document `source`.
    pub(crate) fn from_node(node: &Node, source: &Content, limits: &Limits) -> Result<Self, EnvelopeError> {
        let field = |field| EnvelopeError::Field { field };
        let payload_type = node.str_of("payloadType").ok_or_else(|| field("payloadType"))?;
        let payload = read_payload(node.get("payload").ok_or_else(|| field("payload"))?, source)?;
        let entries = node.get("signatures").and_then(Node::as_array).ok_or_else(|| field("signatures"))?;
        if entries.is_empty() || entries.len() > limits.signatures {
            return Err(EnvelopeError::SignatureCount { count: entries.len(), limit: limits.signatures });
        }
        let signatures = entries.iter().map(read_signature).collect::<Result<_, _>>()?;
        Ok(Self { payload_type: PayloadType::new(payload_type), payload, signatures })
    }

    /// The type of the payload, which the signatures cover.
    pub const fn payload_type(&self) -> &PayloadType {
        &self.payload_type
    }

    /// The signatures.
    pub fn signatures(&self) -> &[EnvelopeSignature] {
        &self.signatures
    }

    /// The payload, for showing with a "not verified" beside it and for the one function that verifies it.
    pub(crate) const fn unverified_payload(&self) -> &Content {
        &self.payload
    }

    /// What a key signs or checks.
    pub fn pae(&self) -> Content {
        pae(&self.payload_type, &self.payload)
    }

    /// The envelope as JSON.
    pub fn to_content(&self) -> Content {
        Content::joined([Self::start(&self.payload), self.end()])
    }

    /// The text of every envelope of this payload up to the payload's end, before any signature is known.
    pub(crate) fn start(payload: &Content) -> Content {
        Content::joined([Content::from("{\"payload\":\""), payload.to_base64()])
    }

    /// The text after [`Envelope::start`].
    pub(crate) fn end(&self) -> Content {
        let text = |value: &str| serde_json::Value::from(value).to_string();
        let signatures: Vec<String> = self
            .signatures
            .iter()
            .map(|signature| {
                let keyid = signature.keyid.as_ref().map(|keyid| format!(",\"keyid\":{}", text(keyid)));
                format!("{{\"sig\":\"{}\"{}}}", encode_base64(&signature.signature), keyid.unwrap_or_default())
            })
            .collect();
        let payload_type = text(self.payload_type.as_str());
        Content::from(format!("\",\"payloadType\":{payload_type},\"signatures\":[{}]}}", signatures.join(",")))
    }
}

/// The pre-authentication encoding: the exact bytes that a signature covers.
///
/// Source: DSSE protocol 1.0.2, "Signature Definition".
///
/// ```
/// use attestry::{content::Content, dsse, media_type::PayloadType};
/// let pae = dsse::pae(&PayloadType::new("http://example.com/HelloWorld"), &Content::from("hello world"));
/// assert_eq!(&pae.read_all().unwrap()[..], b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
/// ```
pub fn pae(payload_type: &PayloadType, payload: &Content) -> Content {
    Content::joined([Content::from(pae_head(payload_type, payload)), payload.clone()])
}

/// What stands before the payload in its [`pae`].
pub(crate) fn pae_head(payload_type: &PayloadType, payload: &Content) -> String {
    let name = payload_type.as_str();
    format!("DSSEv1 {} {name} {} ", name.len(), payload.length())
}

/// Scans a document strictly. What is spooled keeps its long strings on disk.
pub(crate) fn scan(text: &Content, skip: &[&str], limits: &Limits) -> Result<Node, EnvelopeError> {
    let small = text.length() <= limits.memory_bytes;
    let string_bytes = if small { usize::MAX } else { LONG_STRING_BYTES };
    let mut scanner = Scanner::new(Keep::AllBut { members: skip, string_bytes }, limits);
    text.each_chunk(|chunk| scanner.feed(chunk).map_err(EnvelopeError::Json))?;
    Ok(scanner.finish()?)
}

fn read_payload(node: &Node, source: &Content) -> Result<Content, EnvelopeError> {
    let base64 = |cause| EnvelopeError::Base64 { field: "payload", cause };
    match &node.value {
        Value::String(text) => Ok(Content::from(decode_base64(text).map_err(base64)?)),
        Value::LongString { escaped: false } => source.slice(node.inside()).from_base64().map_err(base64),
        Value::LongString { escaped: true } => Err(EnvelopeError::EscapedPayload),
        _ => Err(EnvelopeError::Field { field: "payload" }),
    }
}

fn read_signature(node: &Node) -> Result<EnvelopeSignature, EnvelopeError> {
    let text = node.str_of("sig").ok_or(EnvelopeError::Field { field: "sig" })?;
    let signature = decode_base64(text).map_err(|cause| EnvelopeError::Base64 { field: "sig", cause })?;
    let keyid = node.str_of("keyid").filter(|keyid| !keyid.is_empty()).map(str::to_owned);
    Ok(EnvelopeSignature { keyid, signature })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        let signature =
            |keyid: Option<&str>| EnvelopeSignature { keyid: keyid.map(str::to_owned), signature: vec![1, 2] };
        Envelope::new(PayloadType::IN_TOTO, Content::from("{}"), vec![signature(None), signature(Some("k\"1"))])
    }

    #[test]
    fn an_envelope_with_several_signatures_reads_back() {
        let text = envelope().to_content();
        let back = Envelope::read(&text, &Limits::default()).unwrap();
        assert_eq!(back.signatures(), envelope().signatures());
        assert_eq!(&back.unverified_payload().read_all().unwrap()[..], b"{}");
    }

    #[test]
    fn a_payload_past_the_memory_bound_is_read_from_where_it_lies() {
        let payload = "x".repeat(200_000);
        let envelope = Envelope::new(PayloadType::IN_TOTO, Content::from(payload.clone()), envelope().signatures);
        let text = Content::from(envelope.to_content().read_all().unwrap());
        let limits = Limits { memory_bytes: 10, ..Limits::default() };
        let back = Envelope::read(&text, &limits).unwrap();
        assert_eq!(back.unverified_payload().in_memory(), None);
        assert_eq!(back.unverified_payload().read_all().unwrap(), payload.as_bytes());
    }

    #[test]
    fn broken_envelopes_are_refused() {
        for text in [
            "{}",
            "[]",
            r#"{"payload":"e30=","payloadType":"t","signatures":[]}"#,
            r#"{"payload":"e30=","payloadType":"t","signatures":[{"sig":"*"}]}"#,
            r#"{"payload":"e3=","payloadType":"t","signatures":[{"sig":"QQ=="}]}"#,
            r#"{"payload":"e30=","payload":"e30=","payloadType":"t","signatures":[{"sig":"QQ=="}]}"#,
            r#"{"payload":"e30=","payloadType":1,"signatures":[{"sig":"QQ=="}]}"#,
        ] {
            assert!(Envelope::read(&Content::from(text), &Limits::default()).is_err(), "{text}");
        }
    }
}
