//! From one layout to another: what is signed keeps its bytes.

use base64::Engine;
use serde_json::{Value, json};

use crate::interop::Cosign;
use crate::round_trip::{OPENVEX, SPDX, attest, list_in_detail as list, verify};
use crate::support::command::{Ran, Scratch, attestry, attestry_with};
use crate::support::image::{Place, places, registries};

const AMD64: &str = "linux/amd64";
const LAYOUTS: [&str; 4] = ["referrer", "tag", "index", "index-artifact"];

fn convert(image: &str, to: &str, more: &[&str]) -> Ran {
    attestry(["convert", image, "--to", to, "--output", "json"].into_iter().chain(more.iter().copied()))
}

/// The envelope of a document: what is signed, and the signatures.
fn envelope(image: &str, document: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
    let decode = |text: &Value| base64::engine::general_purpose::STANDARD.decode(text.as_str().unwrap()).unwrap();
    let ran = attestry(["download", image, "--type", "spdx", "--part", "document", "--select", document]).succeeds();
    let document = ran.json();
    let envelope = document.get("dsseEnvelope").unwrap_or(&document);
    let signatures = envelope["signatures"].as_array().unwrap().iter().map(|entry| decode(&entry["sig"])).collect();
    (decode(&envelope["payload"]), signatures)
}

fn layouts(image: &str) -> Vec<String> {
    let listed = list(image);
    let entries = listed["attestations"].as_array().unwrap().iter();
    let mut layouts: Vec<String> = entries.map(|entry| entry["layout"].as_str().unwrap().to_owned()).collect();
    layouts.sort();
    layouts
}

#[test]
fn payload_and_signature_are_the_same_in_every_other_layout() {
    // (accepted) and (refused: attestation-missing)
    let scratch = Scratch::new();
    for place in [Place::in_process(), Place::folder()] {
        for from in LAYOUTS {
            // In a registry each layout once each way; in a folder all pairs.
            let all = matches!(place, Place::Folder(_));
            let pairs = LAYOUTS.into_iter().filter(|to| *to != from && (all || from == "tag" || *to == "tag"));
            for to in pairs {
                let tag = format!("{from}-{to}");
                place.push_index(&tag);
                let image = place.tagged(&tag);
                let more = ["--layout", from, "--platform", AMD64];
                let report = attest(&scratch, &image, "spdx", SPDX, &more).succeeds().json();
                let before = envelope(&image, report["attached"][0]["document"].as_str().unwrap());
                let kept = place.content();
                let dry = convert(&image, to, &["--dry-run", "--remove"]).succeeds().json();
                assert_eq!(dry["detached"].as_array().unwrap().len(), 1, "{image}");
                assert!(place.content() == kept, "{image}");
                let report = convert(&image, to, &["--remove"]).succeeds().json();
                let entry = &report["converted"][0];
                assert_eq!((&entry["from"], &entry["to"]), (&json!(from), &json!(to)), "{image}");
                assert_eq!(layouts(&image), [to], "{image}");
                assert!(before == envelope(&image, entry["document"].as_str().unwrap()), "{image}");
                let wanted = ["--type", "spdx", "--platform", AMD64];
                let report = verify(&scratch, "signer", &image, &wanted).succeeds().json();
                assert_eq!(report["attestations"][0]["layout"], to, "{image}");
                verify(&scratch, "stranger", &image, &wanted).exits(1);
            }
        }
    }
}

#[test]
fn a_copy_leaves_the_old_one_where_it_is_and_a_second_one_changes_nothing() {
    // (accepted)
    let scratch = Scratch::new();
    for place in places() {
        place.push_index("1");
        let image = place.tagged("1");
        attest(&scratch, &image, "spdx", SPDX, &[]).succeeds();
        attest(&scratch, &image, "openvex", OPENVEX, &[]).succeeds();
        let report = convert(&image, "tag", &["--type", "spdx"]).succeeds().json();
        assert_eq!(report["converted"].as_array().unwrap().len(), 1, "{image}");
        assert_eq!(layouts(&image), ["referrer", "referrer", "tag"], "{image}");
        let once = place.content();
        convert(&image, "tag", &["--type", "spdx"]).succeeds();
        assert!(place.content() == once, "{image}");
        // The rest, by its digest.
        let listed = list(&image);
        let entries = listed["attestations"].as_array().unwrap();
        let vex = entries.iter().find(|entry| entry["predicate_type"] == "https://openvex.dev/ns").unwrap();
        convert(&image, "tag", &["--select", vex["document"].as_str().unwrap()]).succeeds();
        assert_eq!(layouts(&image), ["referrer", "referrer", "tag", "tag"], "{image}");
    }
}

#[test]
fn cosign_verifies_what_was_converted_either_way() {
    // (accepted), and refused with another key
    let Some(cosign) = Cosign::new() else { return };
    let predicate = cosign.scratch.write("predicate.json", OPENVEX);
    for place in registries() {
        for (legacy, to) in [(true, "referrer"), (false, "tag")] {
            let digest = place.push_index(to).digest().to_string();
            let (image, pinned) = (place.tagged(to), format!("{}@{digest}", place.name()));
            cosign.sign(legacy, &["attest", "--type", "openvex", "--predicate", &predicate, &pinned]).succeeds();
            let check = |key: &str| match to {
                "tag" => cosign.verify_attestation_under_tag(key, "openvex", &pinned),
                _ => cosign.verify_attestation(key, "openvex", &pinned),
            };
            convert(&image, to, &["--type", "openvex"]).succeeds();
            check("signer").succeeds();
            check("stranger").fails();
            verify(&cosign.scratch, "signer", &image, &["--type", "openvex"]).succeeds();
        }
    }
}

#[test]
fn what_cannot_be_kept_in_a_layout_is_refused_and_nothing_is_written() {
    // (refused: conversion-unsupported)
    let scratch = Scratch::new();
    for place in places() {
        place.push_index("1");
        let image = place.tagged("1");
        // About the index, which cannot be inside itself.
        attest(&scratch, &image, "openvex", OPENVEX, &[]).succeeds();
        let refused = |image: &str, to: &str, more: &[&str], reason: &str| {
            let before = place.content();
            let ran = convert(image, to, more).exits(1);
            assert!(ran.stderr.contains("error[conversion-unsupported]"), "{}", ran.stderr);
            assert!(ran.stderr.contains(reason), "{}", ran.stderr);
            assert!(place.content() == before, "{image}");
        };
        refused(&image, "index", &[], "about an index");
        // A statement whose signature is over the manifest that lists it, and one without any.
        let inside = ["--layout", "index-artifact", "--platform", AMD64, "--sign", "manifest"];
        attest(&scratch, &image, "spdx", SPDX, &inside).succeeds();
        for to in ["referrer", "tag", "index"] {
            refused(&image, to, &["--type", "spdx"], "a bare statement");
        }
        // An image signature is another text in each form.
        let key = scratch.path("signer.key");
        attestry(["sign", &image, "--key", &key, "--layout", "tag"]).succeeds();
        let listed = list(&image);
        let signatures = listed["signatures"].as_array().unwrap();
        let signature = signatures.iter().find(|entry| entry["kind"] == "simple-signing").unwrap();
        refused(&image, "referrer", &["--select", signature["manifest"].as_str().unwrap()], "sign the image anew");
    }
}

#[test]
fn an_envelope_with_two_signatures_becomes_no_bundle() {
    // (refused: conversion-unsupported)
    let scratch = Scratch::new();
    let place = Place::folder();
    place.push_index("1");
    let image = place.tagged("1");
    attest(&scratch, &image, "spdx", SPDX, &["--layout", "tag"]).succeeds();
    // Two layers can be converted; a layer with two signatures cannot, and so neither can.
    let document = list(&image)["attestations"][0]["document"].as_str().unwrap().to_owned();
    let text = attestry(["download", &image, "--type", "spdx", "--part", "document", "--select", &document]);
    let mut envelope = text.succeeds().json();
    let again = envelope["signatures"][0].clone();
    envelope["signatures"].as_array_mut().unwrap().push(again);
    let more: &[(&str, Value, &str)] = &[("two", envelope.clone(), "several signatures")];
    for (tag, envelope, reason) in more {
        let root = place.push_index(tag);
        attach_under_tag(&place, root.digest(), envelope, &json!({}));
        let ran = convert(&place.tagged(tag), "referrer", &[]).exits(1);
        assert!(ran.stderr.contains("error[conversion-unsupported]") && ran.stderr.contains(reason), "{}", ran.stderr);
    }
}

#[test]
fn what_cosign_keeps_beside_a_signature_goes_into_the_bundle_and_nowhere_else() {
    // (accepted) and (refused: conversion-unsupported)
    let scratch = Scratch::new();
    for place in [Place::in_process(), Place::folder()] {
        let root = place.push_single("1");
        let image = place.tagged("1");
        let report = attest(&scratch, &image, "spdx", SPDX, &["--layout", "tag"]).succeeds().json();
        let document = report["attached"][0]["document"].as_str().unwrap();
        let before = envelope(&image, document);
        let text = attestry(["download", &image, "--type", "spdx", "--part", "document"]).succeeds().json();
        let body = base64::engine::general_purpose::STANDARD.encode(r#"{"apiVersion":"0.0.1","kind":"dsse"}"#);
        let entry = json!({
            "SignedEntryTimestamp": "QUJD",
            "Payload": {"body": body, "integratedTime": 1_700_000_000, "logIndex": 7, "logID": "c0".repeat(32)},
        });
        let notes =
            |entry: &str| json!({"dev.sigstore.cosign/bundle": entry, "predicateType": "https://spdx.dev/Document"});
        attach_under_tag(&place, root.digest(), &text, &notes(&entry.to_string()));
        for to in ["index", "index-artifact"] {
            let ran = convert(&image, to, &[]).exits(1);
            assert!(ran.stderr.contains("no place there"), "{}", ran.stderr);
        }
        let report = convert(&image, "referrer", &["--remove"]).succeeds().json();
        assert!(before == envelope(&image, report["converted"][0]["document"].as_str().unwrap()), "{image}");
        let report = verify(&scratch, "signer", &image, &["--type", "spdx"]).succeeds().json();
        assert_eq!(report["unchecked"], json!(["signing-time", "log-entry"]), "{image}");
        // What a bundle says beside its signature has no place under a tag.
        let ran = convert(&image, "tag", &[]).exits(1);
        assert!(ran.stderr.contains("has no place there"), "{}", ran.stderr);
        attach_under_tag(&place, root.digest(), &text, &notes("{}"));
        let ran = convert(&image, "referrer", &["--from", "tag"]).exits(1);
        assert!(ran.stderr.contains("error[material-invalid]"), "{}", ran.stderr);
    }
}

/// Puts an envelope under the tag of a manifest, whatever it says.
fn attach_under_tag(place: &Place, of: &attestry::digest::Digest, envelope: &Value, notes: &Value) {
    use attestry::content::Blob;
    use attestry::media_type::MediaType;
    use attestry::oci::{Descriptor, Manifest};
    use attestry::store::Expected;
    let blob = Blob::of_bytes(MediaType::DSSE_ENVELOPE, envelope.to_string());
    let config = Blob::of_bytes(MediaType::OCI_CONFIG, "{}");
    let mut layer = serde_json::to_value(Descriptor::of(&blob)).unwrap();
    layer["annotations"] = notes.clone();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": Descriptor::of(&config), "layers": [layer],
    });
    let manifest = Blob::of_bytes(MediaType::OCI_MANIFEST, manifest.to_string());
    let manifest = Manifest::read(manifest, &attestry::limits::Limits::default()).unwrap();
    let tag = attestry::reference::Tag::of_cosign(of, "att");
    crate::support::image::wait(async {
        let store = place.store();
        store.push_blob(&blob).await.unwrap();
        store.push_blob(&config).await.unwrap();
        store.tag(&manifest, &tag, &Expected::Any).await.unwrap();
    });
}

#[test]
fn nothing_to_convert_is_told_from_a_wrong_digest() {
    // (refused: selection-absent)
    let scratch = Scratch::new();
    let place = Place::folder();
    place.push_index("1");
    let image = place.tagged("1");
    convert(&image, "tag", &[]).exits(1);
    attest(&scratch, &image, "spdx", SPDX, &[]).succeeds();
    let absent = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    for more in [&["--select", absent][..], &["--type", "openvex"], &["--from", "index"]] {
        let ran = convert(&image, "tag", more).exits(1);
        assert!(ran.stderr.contains("error[selection-absent]"), "{}", ran.stderr);
    }
    convert(&image, "tag", &["--keep", "--remove"]).exits(2);
    let _ = attestry_with(["convert", "--help"], b"").succeeds();
}
