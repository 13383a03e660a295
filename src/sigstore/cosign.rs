//! What cosign keeps in the annotations of a layer beside a signature: certificate, chain, log entry, timestamp.
//!
//! Read once and strictly, checked for nothing: no certificate is verified here, no log entry, no timestamp. An annotation
//! that is there and cannot be read is an error, since ignoring it would turn a broken proof into an absent one.
//!
//! Source: cosign SIGNATURE_SPEC.md; cosign, pkg/oci/static and pkg/cosign/bundle.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use der::{Tag, Tagged as _, asn1::AnyRef};

use crate::code::Code;
use crate::json::{self, JsonError, Node, Value};
use crate::limits::Limits;
use crate::oci::{Descriptor, annotations};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// A SHA-256 as hexadecimal digits.
const LOG_ID_DIGITS: usize = 64;

/// Why what came with a signature cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the annotation {annotation} cannot be read: {problem}")]
pub struct MaterialError {
    /// The annotation.
    pub annotation: &'static str,
    /// What is wrong with it.
    pub problem: MaterialProblem,
}

/// What is wrong with an annotation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MaterialProblem {
    /// Longer than the bound.
    #[error("it is longer than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// Not the PEM of certificates, and nothing else.
    #[error("it is not a certificate in PEM")]
    Pem,
    /// Another number of certificates than there may be.
    #[error("{count} certificates, where there may be {limit}")]
    Certificates {
        /// How many.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Not strict JSON.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// A field is missing or of another type.
    #[error("`{field}` is missing or of the wrong type")]
    Field {
        /// Which one.
        field: &'static str,
    },
    /// Not base64.
    #[error("not base64")]
    Base64,
}

impl MaterialError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self.problem {
            MaterialProblem::TooLarge { .. } => Code::TooLarge,
            _ => Code::MaterialInvalid,
        }
    }
}

/// An entry of a transparency log as cosign keeps it, with the log's promise to include it.
///
/// Source: cosign, pkg/cosign/bundle, `RekorBundle`; rekor, openapi.yaml, `LogEntry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignLogEntry {
    /// The log's signature over the four other fields in their canonical form.
    pub signed_entry_timestamp: Vec<u8>,
    /// The entry, canonical JSON.
    pub body: Vec<u8>,
    /// When the log took it, in seconds since 1970. Means nothing until the promise is verified.
    pub integrated_time: i64,
    /// Its number in the log.
    pub log_index: u64,
    /// SHA-256 of the log's public key.
    pub log_id: [u8; 32],
}

/// What came with a signature for checking it. Nothing in it is verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CosignMaterial {
    certificate: Option<Vec<u8>>,
    chain: Vec<Vec<u8>>,
    log_entry: Option<CosignLogEntry>,
    timestamp: Option<Vec<u8>>,
}

impl CosignMaterial {
    /// Reads the annotations of a layer. An empty annotation is read as absent, as cosign does.
    ///
    /// Looks no further into a certificate or timestamp than that it is one whole DER sequence.
    ///
    /// # Errors
    /// [`MaterialError`] for the first annotation that cannot be read.
    pub fn read(layer: &Descriptor, limits: &Limits) -> Result<Self, MaterialError> {
        let read = |annotation: &'static str| annotated(layer, annotation, limits);
        let mut material = Self::default();
        if let Some(text) = read(annotations::COSIGN_CERTIFICATE)? {
            let certificates = pem(text).map_err(at(annotations::COSIGN_CERTIFICATE))?;
            let [certificate] = <[Vec<u8>; 1]>::try_from(certificates).map_err(|certificates| {
                let problem = MaterialProblem::Certificates { count: certificates.len(), limit: 1 };
                MaterialError { annotation: annotations::COSIGN_CERTIFICATE, problem }
            })?;
            material.certificate = Some(certificate);
        }
        if let Some(text) = read(annotations::COSIGN_CHAIN)? {
            material.chain = pem(text).map_err(at(annotations::COSIGN_CHAIN))?;
            if material.chain.len() > limits.certificates {
                let problem = MaterialProblem::Certificates { count: material.chain.len(), limit: limits.certificates };
                return Err(MaterialError { annotation: annotations::COSIGN_CHAIN, problem });
            }
        }
        if let Some(text) = read(annotations::COSIGN_BUNDLE)? {
            material.log_entry = Some(log_entry(text, limits).map_err(at(annotations::COSIGN_BUNDLE))?);
        }
        if let Some(text) = read(annotations::COSIGN_TIMESTAMP)? {
            material.timestamp = Some(timestamp(text, limits).map_err(at(annotations::COSIGN_TIMESTAMP))?);
        }
        Ok(material)
    }

    /// Whether nothing came with the signature.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The certificate of the key that signed, DER.
    pub fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    /// Certificates that lead from it to a root, DER.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The log entry.
    pub const fn log_entry(&self) -> Option<&CosignLogEntry> {
        self.log_entry.as_ref()
    }

    /// The timestamp, an RFC 3161 response in DER.
    pub fn timestamp(&self) -> Option<&[u8]> {
        self.timestamp.as_deref()
    }
}

fn at(annotation: &'static str) -> impl Fn(MaterialProblem) -> MaterialError {
    move |problem| MaterialError { annotation, problem }
}

fn annotated<'a>(
    layer: &'a Descriptor,
    annotation: &'static str,
    limits: &Limits,
) -> Result<Option<&'a str>, MaterialError> {
    let text = layer.annotation(annotation).filter(|text| !text.is_empty());
    let limit = limits.annotation_bytes;
    match text {
        Some(text) if text.len() > limit => Err(at(annotation)(MaterialProblem::TooLarge { limit })),
        other => Ok(other),
    }
}

/// Certificates, one after the other, with nothing else between them than line ends.
///
/// Source: RFC 7468, section 5.
fn pem(text: &str) -> Result<Vec<Vec<u8>>, MaterialProblem> {
    let mut certificates = Vec::new();
    let mut body: Option<String> = None;
    for line in text.lines().map(str::trim_end) {
        body = match (line, body) {
            ("", None) => None,
            (BEGIN, None) => Some(String::new()),
            (END, Some(body)) => {
                certificates.push(sequence(decode(&body)?).ok_or(MaterialProblem::Pem)?);
                None
            }
            (_, None) => return Err(MaterialProblem::Pem),
            (line, Some(body)) => Some(body + line),
        };
    }
    if body.is_some() || certificates.is_empty() { Err(MaterialProblem::Pem) } else { Ok(certificates) }
}

/// The bytes, when they are one DER sequence and nothing after it.
fn sequence(der: Vec<u8>) -> Option<Vec<u8>> {
    AnyRef::try_from(der.as_slice()).is_ok_and(|value| value.tag() == Tag::Sequence).then_some(der)
}

fn decode(text: &str) -> Result<Vec<u8>, MaterialProblem> {
    BASE64_STANDARD.decode(text).map_err(|_| MaterialProblem::Base64)
}

fn log_entry(text: &str, limits: &Limits) -> Result<CosignLogEntry, MaterialProblem> {
    let node = json::read(text.as_bytes(), limits)?;
    let payload = node.get("Payload").filter(|node| node.as_object().is_some());
    let payload = payload.ok_or(MaterialProblem::Field { field: "Payload" })?;
    let body = bytes_of(payload, "body")?;
    json::check(&body, limits)?;
    let integrated_time = number_of(payload, "integratedTime")?;
    let log_id = payload.str_of("logID").and_then(log_id).ok_or(MaterialProblem::Field { field: "logID" })?;
    Ok(CosignLogEntry {
        signed_entry_timestamp: bytes_of(&node, "SignedEntryTimestamp")?,
        body,
        integrated_time: i64::try_from(integrated_time)
            .map_err(|_| MaterialProblem::Field { field: "integratedTime" })?,
        log_index: number_of(payload, "logIndex")?,
        log_id,
    })
}

fn timestamp(text: &str, limits: &Limits) -> Result<Vec<u8>, MaterialProblem> {
    const FIELD: &str = "SignedRFC3161Timestamp";
    let node = json::read(text.as_bytes(), limits)?;
    sequence(bytes_of(&node, FIELD)?).ok_or(MaterialProblem::Field { field: FIELD })
}

fn bytes_of(node: &Node, field: &'static str) -> Result<Vec<u8>, MaterialProblem> {
    let text = node.str_of(field).filter(|text| !text.is_empty());
    decode(text.ok_or(MaterialProblem::Field { field })?)
}

fn number_of(node: &Node, field: &'static str) -> Result<u64, MaterialProblem> {
    let number = match node.get(field).map(|node| &node.value) {
        Some(Value::Number(text)) => text.parse().ok(),
        _ => None,
    };
    number.ok_or(MaterialProblem::Field { field })
}

/// Lower-case hexadecimal digits, as the log writes them.
fn log_id(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != LOG_ID_DIGITS {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::encode_base64;
    use crate::digest::Digest;
    use crate::media_type::MediaType;

    /// The smallest DER sequence.
    const SEQUENCE: &[u8] = &[0x30, 0x00];

    fn block(body: &[u8]) -> String {
        format!("{BEGIN}\n{}\n{END}\n", encode_base64(body))
    }

    fn entry() -> String {
        format!(
            r#"{{"SignedEntryTimestamp":"AQI=","Payload":{{"body":"{}","integratedTime":1700000000,"logIndex":7,"logID":"{}"}}}}"#,
            encode_base64(b"{}"),
            "0a".repeat(32)
        )
    }

    fn read_with(notes: &[(&str, &str)], limits: &Limits) -> Result<CosignMaterial, MaterialError> {
        let layer = Descriptor::new(MediaType::DSSE_ENVELOPE, Digest::sha256(b"x"), 1);
        let layer = notes.iter().fold(layer, |layer, (key, value)| layer.annotated(key, *value));
        CosignMaterial::read(&layer, limits)
    }

    fn read(notes: &[(&str, &str)]) -> Result<CosignMaterial, MaterialError> {
        read_with(notes, &Limits::default())
    }

    #[test]
    fn everything_that_cosign_writes_is_read() {
        let (one, two) = (block(SEQUENCE), block(SEQUENCE) + "\n" + &block(SEQUENCE).replace('\n', "\r\n"));
        let timestamp = format!(r#"{{"SignedRFC3161Timestamp":"{}"}}"#, encode_base64(SEQUENCE));
        let material = read(&[
            (annotations::COSIGN_CERTIFICATE, &one),
            (annotations::COSIGN_CHAIN, &two),
            (annotations::COSIGN_BUNDLE, &entry()),
            (annotations::COSIGN_TIMESTAMP, &timestamp),
        ])
        .unwrap();
        assert_eq!((material.certificate(), material.chain().len()), (Some(SEQUENCE), 2));
        assert_eq!(material.timestamp(), Some(SEQUENCE));
        let log_entry = material.log_entry().unwrap();
        assert_eq!((log_entry.log_index, log_entry.integrated_time), (7, 1_700_000_000));
        assert_eq!((log_entry.log_id, log_entry.body.as_slice()), ([10; 32], &b"{}"[..]));
        assert_eq!(log_entry.signed_entry_timestamp, [1, 2]);
    }

    #[test]
    fn what_is_empty_or_absent_is_nothing() {
        assert_eq!(read(&[]).unwrap(), CosignMaterial::default());
        let keys = [annotations::COSIGN_CERTIFICATE, annotations::COSIGN_CHAIN, annotations::COSIGN_BUNDLE];
        assert_eq!(read(&keys.map(|key| (key, ""))).unwrap(), CosignMaterial::default());
    }

    #[test]
    fn a_certificate_that_is_no_pem_or_more_than_one_is_refused() {
        let good = block(SEQUENCE);
        assert!(read(&[(annotations::COSIGN_CERTIFICATE, &good)]).is_ok());
        for text in [
            "x".to_owned(),
            good.replace("CERTIFICATE", "PUBLIC KEY"),
            good.replace(END, ""),
            format!("{good}x"),
            format!("x\n{good}"),
            format!("{good}{good}"),
            good.replace("MAA=", "MAA"),
            good.replace("MAA=", "M_A="),
            good.replace("MAA=", ""),
            block(&[0x30, 0x00, 0x00]),
            block(&[0x30, 0x01]),
            block(&[0x04, 0x00]),
        ] {
            let error = read(&[(annotations::COSIGN_CERTIFICATE, &text)]).unwrap_err();
            assert_eq!((error.annotation, error.code()), (annotations::COSIGN_CERTIFICATE, Code::MaterialInvalid));
        }
    }

    #[test]
    fn a_chain_has_a_bound() {
        let limits = Limits { certificates: 2, ..Limits::default() };
        for (count, good) in [(2, true), (3, false)] {
            let text = block(SEQUENCE).repeat(count);
            assert_eq!(read_with(&[(annotations::COSIGN_CHAIN, &text)], &limits).is_ok(), good);
        }
    }

    #[test]
    fn an_annotation_past_the_bound_is_too_large() {
        let text = entry();
        for (annotation_bytes, good) in [(text.len(), true), (text.len() - 1, false)] {
            let limits = Limits { annotation_bytes, ..Limits::default() };
            let code = read_with(&[(annotations::COSIGN_BUNDLE, &text)], &limits).map_err(|error| error.code());
            assert_eq!(code.err(), (!good).then_some(Code::TooLarge));
        }
    }

    #[test]
    fn a_log_entry_that_is_not_whole_is_refused() {
        assert!(read(&[(annotations::COSIGN_BUNDLE, &entry())]).is_ok());
        for (from, to) in [
            ("{", "["),
            (r#""logIndex":7"#, r#""logIndex":7,"logIndex":8"#),
            (r#""logIndex":7"#, r#""logIndex":-7"#),
            (r#""logIndex":7"#, r#""logIndex":"7""#),
            (r#""logIndex":7,"#, ""),
            ("1700000000", "1.7e9"),
            ("1700000000", "9223372036854775808"),
            ("0a", "0A"),
            ("\"0a", "\"a"),
            ("AQI=", ""),
            ("AQI=", "AQI"),
            ("e30=", "e30"),
            ("e30=", "e3t9"),
            ("Payload", "payload"),
            ("SignedEntryTimestamp", "x"),
        ] {
            let text = entry().replacen(from, to, 1);
            assert!(text != entry(), "{from}");
            let error = read(&[(annotations::COSIGN_BUNDLE, &text)]).unwrap_err();
            assert_eq!(error.code(), Code::MaterialInvalid, "{text}");
        }
    }

    #[test]
    fn a_timestamp_that_is_no_response_is_refused() {
        for text in ["{}", r#"{"SignedRFC3161Timestamp":"!"}"#, r#"{"SignedRFC3161Timestamp":"BAA="}"#, "MAA="] {
            let error = read(&[(annotations::COSIGN_TIMESTAMP, text)]).unwrap_err();
            assert_eq!(error.code(), Code::MaterialInvalid, "{text}");
        }
    }
}
