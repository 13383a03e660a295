//! What cosign keeps in the annotations of a layer: certificate, chain, log entry, timestamp.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::scene::{ENVELOPE, IN_TOTO, Report, Scene, TYPE, envelope, signature, statement, text};
use crate::properties::corpus;
use crate::support::command::{Scratch, attestry, files, oci};
use crate::support::image::Place;
use crate::support::peer::{installed, peer};

const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const LOG_ENTRY: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// A document as cosign 2 writes it: its form decides which demand it can meet.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Attestation,
    Signature,
}

const FORMS: [Form; 2] = [Form::Attestation, Form::Signature];

impl Form {
    /// A layer with the document, signed by a key, about the image.
    fn layer(self, scene: &Scene, key: &attestry::crypto::SigningKey, notes: &Value) -> Value {
        let mut layer = match self {
            Self::Attestation => {
                let envelope = envelope(key, IN_TOTO, &statement(TYPE, &[&scene.image]));
                let mut layer = scene.blob(ENVELOPE, envelope.to_string());
                layer["annotations"] = json!({SIGNATURE: "", "predicateType": TYPE});
                layer
            }
            Self::Signature => {
                let payload = simple_signing(text(&scene.image["digest"]));
                let mut layer = scene.blob(SIMPLE_SIGNING, &payload);
                layer["annotations"] = json!({SIGNATURE: STANDARD.encode(signature(key, payload.as_bytes()))});
                layer
            }
        };
        for (name, value) in notes.as_object().unwrap() {
            layer["annotations"][name] = value.clone();
        }
        layer
    }

    /// The tag that cosign gives it.
    fn tag(self, scene: &Scene) -> String {
        let suffix = if self == Self::Attestation { "att" } else { "sig" };
        format!("{}.{suffix}", text(&scene.image["digest"]).replace(':', "-"))
    }

    fn verify(self, scene: &Scene) -> Report {
        scene.verify_as(if self == Self::Attestation { TYPE } else { "signature" }, &[])
    }
}

fn simple_signing(digest: &str) -> String {
    json!({
        "critical": {
            "identity": {"docker-reference": "registry.example/app"}, "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": null,
    })
    .to_string()
}

/// A manifest under the tag of its form, with these layers.
fn keep(scene: &mut Scene, form: Form, layers: &[Value]) {
    let manifest = scene.artifact(&Value::Null, layers);
    let tag = form.tag(scene);
    scene.tag(&tag, &manifest);
}

/// Verifies an image with one document, signed by the trusted key or another one, with these annotations.
fn with(form: Form, trusted: bool, notes: &Value) -> Report {
    let mut scene = Scene::new();
    let key = if trusted { &scene.team } else { &scene.other };
    let layer = form.layer(&scene, key, notes);
    keep(&mut scene, form, &[layer]);
    form.verify(&scene)
}

/// A certificate that a public authority made, in PEM.
fn certificate() -> Option<String> {
    let path = corpus("sigstore-conformance/bundle-verify/happy-path-v0.3-new-mediaType")?.join("bundle.sigstore.json");
    let bundle: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let body = text(&bundle["verificationMaterial"]["certificate"]["rawBytes"]);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    Some(format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")))
}

/// A log entry in cosign's form, as the bundle of a corpus has it.
fn log_entry() -> Option<String> {
    let path = corpus("sigstore-conformance/bundle-verify/happy-path-v0.2")?.join("bundle.sigstore.json");
    let bundle: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let entry = &bundle["verificationMaterial"]["tlogEntries"][0];
    let number = |name: &str| text(&entry[name]).parse::<u64>().unwrap();
    let log_id = STANDARD.decode(text(&entry["logId"]["keyId"])).unwrap();
    let log_id: String = log_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let payload = json!({
        "body": entry["canonicalizedBody"], "integratedTime": number("integratedTime"),
        "logIndex": number("logIndex"), "logID": log_id,
    });
    let promise = &entry["inclusionPromise"]["signedEntryTimestamp"];
    Some(json!({"SignedEntryTimestamp": promise, "Payload": payload}).to_string())
}

/// A timestamp that an authority made, in cosign's form.
fn timestamp() -> Option<String> {
    let folder = corpus("sigstore-java/samples/timestamp-response/valid")?;
    let response = std::fs::read(folder.join("sigstore_tsa_response_without_embedded_certs.tsr")).unwrap();
    Some(json!({"SignedRFC3161Timestamp": STANDARD.encode(response)}).to_string())
}

/// All that can come with a signature, each as it should be.
fn everything() -> Option<Value> {
    let certificate = certificate()?;
    let chain = certificate.repeat(2);
    Some(json!({CERTIFICATE: certificate, CHAIN: chain, LOG_ENTRY: log_entry()?, TIMESTAMP: timestamp()?}))
}

#[test]
fn a_trusted_key_counts_whatever_comes_with_it_and_what_was_not_checked_is_said() {
    // (accepted)
    let Some(notes) = everything() else { return };
    for form in FORMS {
        let report = with(form, true, &json!({}));
        assert_eq!(report.accepted().json["unchecked"], json!(["signing-time"]));
        let report = with(form, true, &notes);
        assert_eq!(report.accepted().json["unchecked"], json!(["signing-time", "log-entry", "timestamp"]));
        let report = with(form, true, &json!({LOG_ENTRY: notes[LOG_ENTRY]}));
        assert_eq!(report.accepted().json["unchecked"], json!(["signing-time", "log-entry"]));
        let report = with(form, true, &json!({TIMESTAMP: notes[TIMESTAMP]}));
        assert_eq!(report.accepted().json["unchecked"], json!(["signing-time", "timestamp"]));
    }
}

#[test]
fn a_certificate_of_another_signer_is_material_that_keys_cannot_check() {
    // (refused: material-unsupported, signature-invalid)
    let Some(notes) = everything() else { return };
    for form in FORMS {
        with(form, false, &notes).refused("attestation-missing", Some("material-unsupported"));
        with(form, false, &json!({CERTIFICATE: notes[CERTIFICATE]}))
            .refused("attestation-missing", Some("material-unsupported"));
        // A chain, a log entry or a timestamp says nothing about who signed.
        for name in [CHAIN, LOG_ENTRY, TIMESTAMP] {
            with(form, false, &json!({name: notes[name]})).refused("attestation-missing", Some("signature-invalid"));
        }
        with(form, false, &json!({CERTIFICATE: ""})).refused("attestation-missing", Some("signature-invalid"));
    }
}

#[test]
fn what_is_there_and_cannot_be_read_is_not_passed_over() {
    // (refused: material-invalid) The signature is good each time.
    let Some(notes) = everything() else { return };
    let change = |name: &str, from: &str, to: &str| {
        let mut changed = notes.clone();
        let value = text(&notes[name]);
        assert!(value.contains(from), "{name}: {from}");
        changed[name] = value.replacen(from, to, 1).into();
        changed
    };
    let cases = [
        change(CERTIFICATE, "-----BEGIN", "----BEGIN"),
        change(CERTIFICATE, "\nMII", "\n!II"),
        change(CERTIFICATE, "\nMII", "\nAII"),
        change(CHAIN, "-----END CERTIFICATE-----\n-----BEGIN", "-----END CERTIFICATE-----\nand\n-----BEGIN"),
        change(LOG_ENTRY, "\"logIndex\"", "\"logID\":\"\",\"logIndex\""),
        change(LOG_ENTRY, "\"SignedEntryTimestamp\":\"", "\"SignedEntryTimestamp\":\"!"),
        change(LOG_ENTRY, "{\"Payload\"", "[\"Payload\""),
        change(TIMESTAMP, "\"SignedRFC3161Timestamp\":\"", "\"SignedRFC3161Timestamp\":\"!"),
        change(TIMESTAMP, "SignedRFC3161Timestamp", "signedTimestamp"),
    ];
    for form in FORMS {
        for notes in &cases {
            let report = with(form, true, notes);
            report.refused("attestation-missing", Some("material-invalid"));
            let named = text(&report.json["rejections"][0]["message"]).contains("dev.sigstore.cosign/");
            assert!(named, "{report:#?}");
            assert!(text(&report.json["requirements"][0]["hint"]).contains("attestry inspect "), "{report:#?}");
        }
    }
    with(Form::Signature, true, &json!({SIGNATURE: "!"})).refused("attestation-missing", Some("material-invalid"));
    let long = "x".repeat((256 << 10) + 1);
    with(Form::Attestation, true, &json!({LOG_ENTRY: long})).refused("attestation-missing", Some("too-large"));
}

#[test]
fn a_layer_with_broken_annotations_takes_no_other_layer_with_it() {
    // (accepted)
    for form in FORMS {
        for broken_first in [true, false] {
            let mut scene = Scene::new();
            let broken = form.layer(&scene, &scene.other, &json!({CERTIFICATE: "no certificate"}));
            let good = form.layer(&scene, &scene.team, &json!({}));
            let layers = if broken_first { [broken, good] } else { [good, broken] };
            keep(&mut scene, form, &layers);
            let report = form.verify(&scene);
            assert_eq!(report.accepted().rejected(), ["material-invalid"]);
        }
    }
}

#[test]
fn an_attestation_that_cosign_signed_without_a_key_says_so() {
    // (refused: material-unsupported) Made by cosign in the workflow of slsa-github-generator, kept by `cosign save`.
    let Some(folder) = corpus("slsa-verifier/cli/gha_generic_container/v1.4.0/container_workflow_dispatch") else {
        return;
    };
    let scratch = Scratch::new();
    let folder = scratch.copy(&folder, "image");
    let path = folder.join("index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let image = text(&index["manifests"][0]["digest"]).to_owned();
    let tags = ["1".to_owned(), format!("{}.att", image.replace(':', "-"))];
    for (entry, tag) in index["manifests"].as_array_mut().unwrap().iter_mut().zip(tags) {
        entry["annotations"]["org.opencontainers.image.ref.name"] = tag.into();
    }
    std::fs::write(&path, index.to_string()).unwrap();
    let before = files(&folder);
    let (image, key) = (format!("{}:1", oci(&folder)), scratch.path("signer.pub"));
    let report =
        attestry(["verify", &image, "--key", &key, "--type", "slsa-provenance-v0.2", "--output", "json"]).exits(1);
    let candidate = &report.json()["requirements"][0]["candidates"][0];
    assert_eq!(candidate["failed_check"], "material-unsupported", "{candidate}");
    let report = attestry(["inspect", &image, "--output", "json"]).succeeds().json();
    let document = &report["documents"][0];
    assert_eq!((&document["form"], &document["material"]), (&json!("envelope"), &json!("certificate")));
    assert_eq!((&document["log_entries"], &document["certificates"]), (&json!(1), &json!(3)), "{document}");
    assert!(files(&folder) == before);
}

/// A DER value.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = body.len();
    let mut value = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => value.push(short),
        Ok(long) => value.extend([0x81, long]),
        Err(_) => value.extend([0x82, u8::try_from(length >> 8).unwrap(), u8::try_from(length & 0xff).unwrap()]),
    }
    value.extend(body);
    value
}

/// A certificate that a P-256 key makes of itself. Source: RFC 5280, section 4.1.
fn certificate_of(key: &attestry::crypto::SigningKey) -> String {
    const SEQUENCE: u8 = 0x30;
    // 1.2.840.10045.4.3.2, ecdsa-with-SHA256; 2.5.4.3, the common name.
    let algorithm = der(SEQUENCE, &[&der(0x06, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]])]);
    let common_name = der(SEQUENCE, &[&der(0x06, &[&[0x55, 0x04, 0x03]]), &der(0x0c, &[b"test"])]);
    let name = der(SEQUENCE, &[&der(0x31, &[&common_name])]);
    let validity = der(SEQUENCE, &[&der(0x17, &[b"200101000000Z"]), &der(0x17, &[b"490101000000Z"])]);
    let pem = key.public_key().to_pem();
    let spki = STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
    let (version, number) = (der(0xa0, &[&der(0x02, &[&[2]])]), der(0x02, &[&[1]]));
    let signed = der(SEQUENCE, &[&version, &number, &algorithm, &name, &validity, &name, &spki]);
    let bits = der(0x03, &[&[0], &signature(key, &signed)]);
    let body = STANDARD.encode(der(SEQUENCE, &[&signed, &algorithm, &bits]));
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

#[test]
fn what_cosign_signs_with_a_key_and_its_certificate_counts_by_the_key() {
    // (accepted; refused: material-unsupported)
    if !installed("cosign") {
        return;
    }
    let scene = Scene::empty();
    let place = Place::in_process();
    let pinned = format!("{}@{}", place.name(), place.push_index("1").digest());
    let (certificate, predicate) =
        (scene.file("certificate.pem", certificate_of(&scene.team)), scene.at("predicate.json"));
    let (key, prefix) = (scene.at("team.key"), scene.at("imported"));
    peer("cosign", ["import-key-pair", "--key", &key, "--output-key-prefix", &prefix]).succeeds();
    let key = format!("{prefix}.key");
    let common = [
        "--certificate",
        &certificate,
        "--use-signing-config=false",
        "--new-bundle-format=false",
        "--tlog-upload=false",
        "--allow-http-registry",
        "--key",
        &key,
    ];
    for verb in [&["attest", "--type", TYPE, "--predicate", &predicate][..], &["sign"]] {
        peer("cosign", [verb, &common[..], &[&pinned]].concat()).succeeds();
    }
    for wanted in [TYPE, "signature"] {
        for (key, code) in [("team.pub", 0), ("other.pub", 1)] {
            let key = scene.at(key);
            let ran = attestry(["verify", &pinned, "--key", &key, "--type", wanted, "--output", "json"]).exits(code);
            let rejections = ran.json()["rejections"].as_array().unwrap().clone();
            assert!(rejections.iter().all(|entry| entry["code"] == "material-unsupported"), "{rejections:#?}");
            assert_eq!(rejections.is_empty(), code == 0);
        }
    }
    let report = attestry(["inspect", &pinned, "--output", "json"]).succeeds().json();
    for document in report["documents"].as_array().unwrap() {
        assert_eq!((&document["material"], &document["certificates"]), (&json!("certificate"), &json!(1)));
    }
}

#[test]
fn inspect_says_what_came_with_a_document_and_which_one_cannot_be_read() {
    // (accepted; refused: material-invalid)
    let Some(notes) = everything() else { return };
    let mut scene = Scene::new();
    let good = Form::Attestation.layer(&scene, &scene.team, &notes);
    keep(&mut scene, Form::Attestation, &[good]);
    let signature = Form::Signature.layer(&scene, &scene.team, &json!({TIMESTAMP: notes[TIMESTAMP]}));
    keep(&mut scene, Form::Signature, &[signature]);
    let reference = scene.reference();
    let ended = scene.run_in_vain(&["inspect", &reference]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("NOT VERIFIED"), "{}", ended.out);
    assert!(ended.out.contains("  material     3 certificates, 1 log entry, 1 timestamp\n"), "{}", ended.out);
    assert!(ended.out.contains("  material     no certificate, 0 log entries, 1 timestamp\n"), "{}", ended.out);
    assert_eq!(ended.out.matches("  found in     tag sha256:").count(), 2, "{}", ended.out);
    let mut scene = Scene::new();
    let good = Form::Attestation.layer(&scene, &scene.team, &notes);
    let broken = Form::Attestation.layer(&scene, &scene.other, &json!({CERTIFICATE: "x"}));
    keep(&mut scene, Form::Attestation, &[good, broken]);
    let ended = scene.run_in_vain(&["inspect", &scene.reference()]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.out.contains("  unreadable   material-invalid: the annotation "), "{}", ended.out);
    assert!(ended.out.contains("  material     3 certificates, 1 log entry, 1 timestamp\n"), "{}", ended.out);
}
