//! What cosign 2 keeps in the annotations of a layer, as the verification material of a bundle.
//!
//! A log entry comes with the log's promise and without a proof, which only bundles of version 0.1 may do. Nothing here
//! is checked beside its form.
//!
//! Source: cosign SIGNATURE_SPEC.md, "Certificate", "Rekor bundle", "RFC3161 Timestamp"; sigstore protobuf-specs,
//! `sigstore_bundle.proto` and `sigstore_rekor.proto`.

use serde_json::{Value, json};

use super::cosign::{CosignLogEntry, CosignMaterial};
use crate::content::{Content, encode_base64};

/// The media type of bundles whose log entries may have a promise alone.
const BUNDLE_V01: &str = "application/vnd.dev.sigstore.bundle+json;version=0.1";

/// The text of a bundle around an envelope, with what cosign keeps beside it; `None` when the log entry is none.
///
/// The envelope stays as it is and must have one signature. `hint` names the key when there is no certificate.
pub(crate) fn bundle_around(material: &CosignMaterial, hint: &str, envelope: Content) -> Option<Content> {
    let mut written = serde_json::Map::new();
    match material.certificate() {
        Some(leaf) => {
            let chain = material.chain().iter().map(Vec::as_slice);
            let all: Vec<Value> = std::iter::once(leaf).chain(chain).map(raw_bytes).collect();
            written.insert("x509CertificateChain".to_owned(), json!({"certificates": all}));
        }
        None => drop(written.insert("publicKey".to_owned(), json!({"hint": hint}))),
    }
    if let Some(entry) = material.log_entry() {
        written.insert("tlogEntries".to_owned(), json!([log_entry(entry)?]));
    }
    if let Some(timestamp) = material.timestamp() {
        let data = json!({"rfc3161Timestamps": [{"signedTimestamp": encode_base64(timestamp)}]});
        written.insert("timestampVerificationData".to_owned(), data);
    }
    let material = Value::Object(written);
    let head = format!("{{\"mediaType\":\"{BUNDLE_V01}\",\"verificationMaterial\":{material},\"dsseEnvelope\":");
    Some(Content::joined([Content::from(head), envelope, Content::from("}")]))
}

fn raw_bytes(certificate: &[u8]) -> Value {
    json!({"rawBytes": encode_base64(certificate)})
}

/// A log entry with its promise. Numbers are texts in a bundle, and the log's name is base64 there.
fn log_entry(entry: &CosignLogEntry) -> Option<Value> {
    let kind: Value = serde_json::from_slice(&entry.body).ok()?;
    Some(json!({
        "logIndex": entry.log_index.to_string(),
        "logId": {"keyId": encode_base64(&entry.log_id)},
        "kindVersion": {"kind": kind.get("kind")?.as_str()?, "version": kind.get("apiVersion")?.as_str()?},
        "integratedTime": entry.integrated_time.to_string(),
        "inclusionPromise": {"signedEntryTimestamp": encode_base64(&entry.signed_entry_timestamp)},
        "canonicalizedBody": encode_base64(&entry.body),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::limits::Limits;
    use crate::media_type::MediaType;
    use crate::oci::Descriptor;
    use crate::sigstore::{Bundle, BundleVersion, VerificationMaterial};

    const ENVELOPE: &str = r#"{ "payload":"e30=","payloadType":"t","signatures":[{"sig":"QQ=="}]}"#;
    /// A sequence of one number, which is all that reading looks at.
    const DER: &[u8] = &[0x30, 3, 2, 1, 1];

    fn material(notes: &[(&str, &str)]) -> CosignMaterial {
        let layer = Descriptor::new(MediaType::DSSE_ENVELOPE, Digest::sha256(b""), 0);
        let annotate = |layer: Descriptor, (name, text): &(&str, &str)| {
            layer.annotated(&format!("dev.sigstore.cosign/{name}"), *text)
        };
        CosignMaterial::read(&notes.iter().fold(layer, annotate), &Limits::default()).unwrap()
    }

    fn entry(body: &str) -> String {
        let (body, log) = (encode_base64(body.as_bytes()), "c0".repeat(32));
        json!({
            "SignedEntryTimestamp": "QUJD",
            "Payload": {"body": body, "integratedTime": 1_700_000_000, "logIndex": 123, "logID": log},
        })
        .to_string()
    }

    #[test]
    fn certificate_log_entry_and_timestamp_come_along_and_the_envelope_stays_as_it_is() {
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", encode_base64(DER));
        let timestamp = json!({"SignedRFC3161Timestamp": encode_base64(DER)}).to_string();
        let body = r#"{"apiVersion":"0.0.1","kind":"intoto"}"#;
        let all = [("certificate", &*pem), ("chain", &pem), ("bundle", &entry(body)), ("rfc3161timestamp", &timestamp)];
        let text = bundle_around(&material(&all), "", Content::from(ENVELOPE)).unwrap();
        let bundle = Bundle::read(&text, &Limits::default()).unwrap();
        assert_eq!((bundle.version(), bundle.log_entries(), bundle.timestamps()), (BundleVersion::V01, 1, 1));
        assert_eq!(*bundle.material(), VerificationMaterial::Certificates(vec![DER.to_vec(); 2]));
        let envelope = Bundle::envelope_text(&text, &Limits::default()).unwrap();
        assert_eq!(envelope.read_all().unwrap(), ENVELOPE.as_bytes());
        let json: Value = serde_json::from_slice(&text.read_all().unwrap()).unwrap();
        assert_eq!(
            json["verificationMaterial"]["tlogEntries"][0],
            json!({
                "logIndex": "123", "logId": {"keyId": encode_base64(&[0xc0; 32])}, "integratedTime": "1700000000",
                "kindVersion": {"kind": "intoto", "version": "0.0.1"},
                "inclusionPromise": {"signedEntryTimestamp": "QUJD"},
                "canonicalizedBody": encode_base64(body.as_bytes()),
            })
        );
    }

    #[test]
    fn a_key_is_named_by_its_hint() {
        let logged = material(&[("bundle", &entry(r#"{"apiVersion":"1","kind":"dsse"}"#))]);
        let text = bundle_around(&logged, "h", Content::from(ENVELOPE));
        let bundle = Bundle::read(&text.unwrap(), &Limits::default()).unwrap();
        assert_eq!(*bundle.material(), VerificationMaterial::PublicKey { hint: Some("h".to_owned()) });
    }

    #[test]
    fn a_log_entry_that_does_not_say_its_kind_makes_no_bundle() {
        for body in ["{}", r#"{"kind":"dsse"}"#] {
            let logged = material(&[("bundle", &entry(body))]);
            assert!(bundle_around(&logged, "", Content::from(ENVELOPE)).is_none(), "{body}");
        }
    }
}
