//! What cosign 2 keeps in the annotations of a layer, as the verification material of a bundle.
//!
//! A log entry comes with the log's promise and without a proof, which only bundles of version 0.1 may do. Nothing here
//! is checked beside its form.
//!
//! Source: cosign SIGNATURE_SPEC.md, "Certificate", "Rekor bundle", "RFC3161 Timestamp"; sigstore protobuf-specs,
//! `sigstore_bundle.proto` and `sigstore_rekor.proto`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::content::{Content, decode_base64, encode_base64};

/// The media type of bundles whose log entries may have a promise alone.
const BUNDLE_V01: &str = "application/vnd.dev.sigstore.bundle+json;version=0.1";
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The text of a bundle around an envelope, with what cosign's annotations say about it; `None` when they are broken.
///
/// The envelope stays as it is and must have one signature. `hint` names the key when there is no certificate.
pub(crate) fn bundle_around(notes: &BTreeMap<String, String>, hint: &str, envelope: Content) -> Option<Content> {
    let note = |name: &str| notes.get(&format!("dev.sigstore.cosign/{name}")).filter(|text| !text.is_empty());
    let mut material = serde_json::Map::new();
    match note("certificate") {
        Some(leaf) => {
            let chain = note("chain").map(|chain| certificates(chain)).unwrap_or(Some(Vec::new()))?;
            let all: Vec<Value> = certificates(leaf)?.into_iter().chain(chain).collect();
            material.insert("x509CertificateChain".to_owned(), json!({"certificates": all}));
        }
        None => drop(material.insert("publicKey".to_owned(), json!({"hint": hint}))),
    }
    if let Some(entry) = note("bundle") {
        material.insert("tlogEntries".to_owned(), json!([log_entry(entry)?]));
    }
    if let Some(timestamp) = note("rfc3161timestamp") {
        let timestamp: Value = serde_json::from_str(timestamp).ok()?;
        let token = timestamp.get("SignedRFC3161Timestamp")?.as_str()?;
        let data = json!({"rfc3161Timestamps": [{"signedTimestamp": token}]});
        material.insert("timestampVerificationData".to_owned(), data);
    }
    let material = Value::Object(material);
    let head = format!("{{\"mediaType\":\"{BUNDLE_V01}\",\"verificationMaterial\":{material},\"dsseEnvelope\":");
    Some(Content::joined([Content::from(head), envelope, Content::from("}")]))
}

/// The certificates of a PEM text, in its order.
fn certificates(pem: &str) -> Option<Vec<Value>> {
    let mut found = Vec::new();
    for part in pem.split(BEGIN).skip(1) {
        let (text, _) = part.split_once(END)?;
        let base64: String = text.split_whitespace().collect();
        let der = decode_base64(&base64).ok()?;
        found.push(json!({"rawBytes": encode_base64(&der)}));
    }
    (!found.is_empty()).then_some(found)
}

/// A log entry with its promise. Numbers are texts in a bundle, and the log's name is base64 there.
fn log_entry(text: &str) -> Option<Value> {
    let entry: Value = serde_json::from_str(text).ok()?;
    let payload = entry.get("Payload")?;
    let body = payload.get("body")?.as_str()?;
    let kind: Value = serde_json::from_slice(&decode_base64(body).ok()?).ok()?;
    let number = |name: &str| payload.get(name)?.as_u64().map(|number| number.to_string());
    Some(json!({
        "logIndex": number("logIndex")?,
        "logId": {"keyId": encode_base64(&from_hex(payload.get("logID")?.as_str()?)?)},
        "kindVersion": {"kind": kind.get("kind")?.as_str()?, "version": kind.get("apiVersion")?.as_str()?},
        "integratedTime": number("integratedTime")?,
        "inclusionPromise": {"signedEntryTimestamp": entry.get("SignedEntryTimestamp")?.as_str()?},
        "canonicalizedBody": body,
    }))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::sigstore::{Bundle, BundleVersion, VerificationMaterial};

    const ENVELOPE: &str = r#"{ "payload":"e30=","payloadType":"t","signatures":[{"sig":"QQ=="}]}"#;

    fn notes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| (format!("dev.sigstore.cosign/{name}"), (*text).to_owned())).collect()
    }

    fn entry(body: &str) -> String {
        let body = encode_base64(body.as_bytes());
        json!({
            "SignedEntryTimestamp": "QUJD",
            "Payload": {"body": body, "integratedTime": 1_700_000_000, "logIndex": 123, "logID": "c0d23d6a"},
        })
        .to_string()
    }

    #[test]
    fn certificate_log_entry_and_timestamp_come_along_and_the_envelope_stays_as_it_is() {
        let pem = format!("{BEGIN}\nQUJD\nREVG\n{END}\n");
        let timestamp = r#"{"SignedRFC3161Timestamp":"QUJD"}"#;
        let entry = entry(r#"{"apiVersion":"0.0.1","kind":"intoto"}"#);
        let all = notes(&[("certificate", &pem), ("chain", &pem), ("bundle", &entry), ("rfc3161timestamp", timestamp)]);
        let text = bundle_around(&all, "", Content::from(ENVELOPE)).unwrap();
        let bundle = Bundle::read(&text, &Limits::default()).unwrap();
        assert_eq!((bundle.version(), bundle.log_entries(), bundle.timestamps()), (BundleVersion::V01, 1, 1));
        let expected = VerificationMaterial::Certificates(vec![b"ABCDEF".to_vec(); 2]);
        assert_eq!(*bundle.material(), expected);
        let envelope = Bundle::envelope_text(&text, &Limits::default()).unwrap();
        assert_eq!(envelope.read_all().unwrap(), ENVELOPE.as_bytes());
        let json: Value = serde_json::from_slice(&text.read_all().unwrap()).unwrap();
        assert_eq!(
            json["verificationMaterial"]["tlogEntries"][0],
            json!({
                "logIndex": "123", "logId": {"keyId": "wNI9ag=="}, "integratedTime": "1700000000",
                "kindVersion": {"kind": "intoto", "version": "0.0.1"},
                "inclusionPromise": {"signedEntryTimestamp": "QUJD"},
                "canonicalizedBody": encode_base64(br#"{"apiVersion":"0.0.1","kind":"intoto"}"#),
            })
        );
    }

    #[test]
    fn a_key_is_named_by_its_hint() {
        let text = bundle_around(
            &notes(&[("bundle", &entry(r#"{"apiVersion":"1","kind":"dsse"}"#))]),
            "h",
            Content::from(ENVELOPE),
        );
        let bundle = Bundle::read(&text.unwrap(), &Limits::default()).unwrap();
        assert_eq!(*bundle.material(), VerificationMaterial::PublicKey { hint: Some("h".to_owned()) });
    }

    #[test]
    fn broken_annotations_make_no_bundle() {
        for (name, text) in [
            ("certificate", "PEM".to_owned()),
            ("certificate", format!("{BEGIN}*{END}")),
            ("certificate", format!("{BEGIN}QUJD")),
            ("bundle", "{}".to_owned()),
            ("bundle", entry("not JSON")),
            ("bundle", entry("{}").replace("c0d23d6a", "c0d")),
            ("bundle", entry(r#"{"apiVersion":"1","kind":"dsse"}"#).replace("123", "-1")),
            ("rfc3161timestamp", "[]".to_owned()),
        ] {
            assert!(bundle_around(&notes(&[(name, &text)]), "", Content::from(ENVELOPE)).is_none(), "{name} {text}");
        }
    }
}
