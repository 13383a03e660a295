//! The layouts that cosign 2 and Docker's builds have, and image signatures: written, found again, verified by others.

use std::path::Path;

use serde_json::{Value, json};

use crate::interop::Cosign;
use crate::round_trip::{OPENVEX, SLSA, SPDX, attest, list, verify};
use crate::support::command::{Ran, Scratch, attestry, attestry_with, files};
use crate::support::image::{Place, places, registries};
use crate::support::peer::{installed, peer};

const AMD64: &str = "linux/amd64";

/// Signs with the key `signer`.
fn sign(scratch: &Scratch, image: &str, more: &[&str]) -> Ran {
    let key = scratch.path("signer.key");
    let common = ["sign", image, "--key", &key, "--output", "json"];
    attestry(common.into_iter().chain(more.iter().copied()))
}

fn said(ran: &Ran, code: &str) {
    assert!(ran.stderr.contains(&format!("error[{code}]")), "{}", ran.stderr);
}

/// A manifest of the place, by tag or digest.
fn manifest(place: &Place, tag: &str) -> Value {
    let selector =
        attestry::reference::Selector { tag: Some(attestry::reference::Tag::parse(tag).unwrap()), digest: None };
    let manifest = crate::support::image::wait(async { place.store().manifest(&selector).await }).unwrap();
    serde_json::from_slice(manifest.bytes()).unwrap()
}

fn tag_of(digest: &Value, suffix: &str) -> String {
    format!("{}.{suffix}", digest.as_str().unwrap().replace(':', "-"))
}

#[test]
fn attestations_under_a_tag_are_found_again_and_grow() {
    // (accepted) and (refused: attestation-missing)
    let scratch = Scratch::new();
    for place in places() {
        let root = place.push_index("1");
        let image = place.tagged("1");
        let tag = tag_of(&json!(root.digest()), "att");
        for (number, (wanted, predicate)) in
            [("spdx", SPDX), ("openvex", OPENVEX), ("slsa-provenance", SLSA)].into_iter().enumerate()
        {
            let before = (number > 0).then(|| manifest(&place, &tag));
            let report = attest(&scratch, &image, wanted, predicate, &["--layout", "tag"]).succeeds().json();
            assert_eq!(report["attached"][0]["layout"], "tag", "{image}");
            assert_eq!(report["evidence_tags"][0]["tag"], json!(tag), "{image}");
            assert_eq!(report["evidence_tags"][0]["from"].is_null(), number == 0, "{image}");
            // What was there is there, as it was.
            let now = manifest(&place, &tag);
            let layers = now["layers"].as_array().unwrap();
            assert_eq!(layers.len(), number + 1, "{image}");
            let old = before.map(|before| before["layers"].as_array().unwrap().clone()).unwrap_or_default();
            assert_eq!(layers[..number], old, "{image}");
            assert_eq!(layers[number]["mediaType"], "application/vnd.dsse.envelope.v1+json");
            assert_eq!(layers[number]["annotations"]["dev.cosignproject.cosign/signature"], "");
            verify(&scratch, "signer", &image, &["--type", wanted]).succeeds();
            verify(&scratch, "stranger", &image, &["--type", wanted]).exits(1);
        }
        let listed = list(&image);
        assert_eq!(listed["image"]["digest"], json!(root.digest()), "{image}");
        let layouts: Vec<&Value> =
            listed["attestations"].as_array().unwrap().iter().map(|entry| &entry["layout"]).collect();
        assert_eq!(layouts, ["tag"; 3], "{image}");
        // A platform has a tag of its own.
        let more = ["--layout", "tag", "--each-platform"];
        attest(&scratch, &image, "spdx", SPDX, &more).succeeds();
        verify(&scratch, "signer", &image, &["--type", "spdx", "--platform", AMD64]).succeeds();
    }
}

#[test]
fn cosign_verifies_attestations_that_we_keep_under_a_tag_beside_its_own() {
    // (accepted), and refused with another key
    let Some(cosign) = Cosign::new() else { return };
    let predicate = cosign.scratch.write("predicate.json", OPENVEX);
    for place in registries() {
        let digest = place.push_index("1").digest().to_string();
        let (image, pinned) = (place.tagged("1"), format!("{}@{digest}", place.name()));
        attest(&cosign.scratch, &image, "spdx", SPDX, &["--layout", "tag"]).succeeds();
        cosign.sign(true, &["attest", "--type", "openvex", "--predicate", &predicate, &pinned]).succeeds();
        attest(&cosign.scratch, &image, "slsa-provenance", SLSA, &["--layout", "tag"]).succeeds();
        for wanted in ["spdxjson", "openvex", "slsaprovenance1"] {
            cosign.verify_attestation_under_tag("signer", wanted, &pinned).succeeds();
            cosign.verify_attestation_under_tag("stranger", wanted, &pinned).fails();
        }
        for wanted in ["spdx", "openvex", "slsa-provenance"] {
            verify(&cosign.scratch, "signer", &image, &["--type", wanted]).succeeds();
        }
    }
}

#[test]
fn an_image_signature_is_found_again_in_both_layouts() {
    // (accepted) and (refused: attestation-missing)
    let scratch = Scratch::new();
    for place in places() {
        for (layout, kind) in [("referrer", "bundle"), ("tag", "simple-signing")] {
            place.push_index(layout);
            let image = place.tagged(layout);
            let report = sign(&scratch, &image, &["--layout", layout, "-a", "team=<a&b>"]).succeeds().json();
            assert_eq!(report["attached"][0]["layout"], layout, "{image}");
            let listed = list(&image);
            assert_eq!(listed["attestations"], json!([]), "{image}");
            assert_eq!(listed["signatures"][0]["layout"], layout, "{image}");
            assert_eq!(listed["signatures"][0]["kind"], kind, "{image}");
            verify(&scratch, "signer", &image, &["--type", "signature"]).succeeds();
            verify(&scratch, "stranger", &image, &["--type", "signature"]).exits(1);
        }
    }
}

#[test]
fn each_platform_and_the_index_are_signed_on_demand() {
    // (accepted)
    let scratch = Scratch::new();
    let place = Place::in_process();
    for (tag, more, expected) in
        [("recursive", &["--recursive"][..], 3), ("each", &["--each-platform"], 2), ("one", &["--platform", AMD64], 1)]
    {
        place.push_index(tag);
        for layout in ["referrer", "tag"] {
            let more = [more, &["--layout", layout]].concat();
            let dry = sign(&scratch, &place.tagged(tag), &[&more[..], &["--dry-run"]].concat()).succeeds().json();
            assert_eq!(dry["attached"].as_array().unwrap().len(), expected);
            let report = sign(&scratch, &place.tagged(tag), &more).succeeds().json();
            assert_eq!(report["attached"].as_array().unwrap().len(), expected);
        }
        let listed = list(&place.tagged(tag));
        assert_eq!(listed["signatures"].as_array().unwrap().len(), 2 * expected, "{tag}");
    }
}

#[test]
fn cosign_verifies_image_signatures_that_we_make() {
    // (accepted), and refused with another key
    let Some(cosign) = Cosign::new() else { return };
    for place in registries() {
        let digest = place.push_index("1").digest().to_string();
        let pinned = format!("{}@{digest}", place.name());
        sign(&cosign.scratch, &place.tagged("1"), &["--layout", "tag", "-a", "team=<a&b>"]).succeeds();
        cosign.verify_under_tag("signer", &pinned).succeeds();
        cosign.verify_under_tag("stranger", &pinned).fails();
        // The payload is byte for byte what cosign signs: it finds its own work done.
        let ours = manifest(&place, &tag_of(&json!(digest), "sig"));
        cosign.sign(true, &["sign", "-a", "team=<a&b>", &pinned]).succeeds();
        assert_eq!(manifest(&place, &tag_of(&json!(digest), "sig"))["layers"], ours["layers"], "{pinned}");
        cosign.sign(true, &["sign", "-a", "team=another", &pinned]).succeeds();
        let both = manifest(&place, &tag_of(&json!(digest), "sig"));
        assert_eq!(both["layers"].as_array().unwrap().len(), 2, "{pinned}");
        sign(&cosign.scratch, &place.tagged("1"), &[]).succeeds();
        cosign.verify("signer", &pinned).succeeds();
        cosign.verify("stranger", &pinned).fails();
    }
}

#[test]
fn a_signature_over_the_attestation_manifest_makes_its_statements_count() {
    // (accepted) and (refused: attestation-missing)
    let scratch = Scratch::new();
    for place in places() {
        place.push_index("1");
        let image = place.tagged("1");
        let more = ["--layout", "index-artifact", "--each-platform", "--sign", "manifest"];
        let report = attest(&scratch, &image, "spdx", SPDX, &more).succeeds().json();
        assert_eq!(report["warnings"][0]["code"], "index-digest-changes", "{image}");
        let listed = list(&image);
        let entries = listed["attestations"].as_array().unwrap();
        assert_eq!(entries.len(), 2, "{image}");
        assert!(entries.iter().all(|entry| entry["signed"] == true && entry["layout"] == "index-artifact"), "{image}");
        let report = verify(&scratch, "signer", &image, &["--type", "spdx"]).succeeds().json();
        assert_eq!(report["attestations"][0]["layout"], "index-artifact", "{image}");
        verify(&scratch, "stranger", &image, &["--type", "spdx"]).exits(1);
        // It is no signature of the image.
        verify(&scratch, "signer", &image, &["--type", "signature"]).exits(1);
        // (refused: attestation-manifest-signed)
        let before = place.content();
        for more in [&more[..], &["--layout", "index-artifact", "--platform", AMD64]] {
            let ran = attest(&scratch, &image, "openvex", OPENVEX, more).exits(1);
            said(&ran, "attestation-manifest-signed");
        }
        assert!(place.content() == before, "{image}");
    }
}

#[test]
fn a_signed_attestation_manifest_has_the_form_of_dockers_builds() {
    // (accepted)
    let scratch = Scratch::new();
    let place = Place::folder();
    place.push_index("1");
    let more = ["--layout", "index-artifact", "--platform", AMD64, "--sign", "manifest"];
    attest(&scratch, &place.tagged("1"), "spdx", SPDX, &more).succeeds();
    let Place::Folder(folder) = &place else { unreachable!() };
    let documents: Vec<Value> =
        files(folder.path()).values().filter_map(|bytes| serde_json::from_slice(bytes).ok()).collect();
    let find = |wanted: &dyn Fn(&Value) -> bool| documents.iter().find(|document| wanted(document)).unwrap().clone();
    let listing = find(&|document| document["artifactType"] == "application/vnd.docker.attestation.manifest.v1+json");
    assert_eq!(listing["layers"][0]["mediaType"], "application/vnd.in-toto+json");
    assert_eq!(listing["layers"][0]["annotations"]["in-toto.io/predicate-type"], "https://spdx.dev/Document");
    let signature = find(&|document| document["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json");
    assert_eq!(signature["annotations"]["dev.sigstore.bundle.predicateType"], "https://sigstore.dev/cosign/sign/v1");
    let bytes = files(folder.path());
    let subject = signature["subject"]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let signed = bytes.iter().find(|(path, _)| path.ends_with(Path::new(&subject))).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(signed.1).unwrap(), listing);
}

#[test]
fn statements_of_others_are_signed_only_when_each_is_vouched_for() {
    // (refused: unsigned-statements-present) and (accepted)
    let scratch = Scratch::new();
    for place in places() {
        place.push_index("1");
        let image = place.tagged("1");
        let inside = ["--layout", "index-artifact", "--platform", AMD64];
        for (wanted, predicate) in [("slsa-provenance", SLSA), ("openvex", OPENVEX)] {
            attest_unsigned(&image, wanted, predicate, &inside);
        }
        let before = place.content();
        let statements: Vec<String> = list(&image)["attestations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["document"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(statements.len(), 2);
        let manifest = [&inside[..], &["--sign", "manifest"]].concat();
        let one = ["--vouch", &statements[0]];
        for more in [manifest.clone(), [&manifest[..], &one].concat()] {
            let ran = attest(&scratch, &image, "spdx", SPDX, &more).exits(1);
            said(&ran, "unsigned-statements-present");
            assert!(ran.stderr.contains(&statements[1]), "{}", ran.stderr);
        }
        assert!(place.content() == before, "{image}");
        let both = [&manifest[..], &one, &["--vouch", &statements[1]]].concat();
        attest(&scratch, &image, "spdx", SPDX, &both).succeeds();
        let all = ["--type", "spdx", "--type", "slsa-provenance", "--type", "openvex", "--platform", AMD64];
        verify(&scratch, "signer", &image, &all).succeeds();
    }
}

/// Attests without any key, which must say so loudly.
fn attest_unsigned(image: &str, wanted: &str, predicate: &str, more: &[&str]) -> Value {
    let common = ["attest", image, "--predicate", "-", "--type", wanted, "--unsigned", "--output", "json"];
    let ran = attestry_with(common.into_iter().chain(more.iter().copied()), predicate.as_bytes()).succeeds();
    assert!(ran.stderr.starts_with("NOT SIGNED"), "{}", ran.stderr);
    let report = ran.json();
    assert_eq!(report["warnings"][0]["code"], "unsigned");
    report
}

#[test]
fn a_statement_without_a_signature_is_written_loudly_and_never_accepted() {
    // (accepted by list; refused: attestation-missing)
    let scratch = Scratch::new();
    for place in places() {
        for layout in ["referrer", "index", "index-artifact"] {
            place.push_index(layout);
            let image = place.tagged(layout);
            attest_unsigned(&image, "spdx", SPDX, &["--layout", layout, "--platform", AMD64]);
            let listed = list(&image);
            let entry = &listed["attestations"][0];
            assert_eq!((&entry["layout"], &entry["signed"]), (&json!(layout), &json!(false)), "{image}");
            let report = verify(&scratch, "signer", &image, &["--type", "spdx", "--platform", AMD64]).exits(1).json();
            assert_eq!(report["rejections"][0]["code"], "unsigned", "{image}");
            assert_eq!(attestry(["download", &image, "--type", "spdx"]).succeeds().text(), SPDX);
        }
    }
}

#[test]
fn what_nobody_could_verify_is_refused_before_anything_is_read() {
    // (refused: argument-invalid)
    let scratch = Scratch::new();
    let place = Place::folder();
    place.push_index("1");
    let before = place.content();
    let image = place.tagged("1");
    for more in [
        &["--sign", "manifest"][..],
        &["--sign", "manifest", "--layout", "index", "--platform", AMD64],
        &["--sign", "manifest", "--layout", "tag"],
        &["--vouch", "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"],
    ] {
        let ran = attest(&scratch, &image, "spdx", SPDX, more).exits(2);
        said(&ran, "argument-invalid");
    }
    let unsigned = ["attest", &image, "--predicate", "-", "--type", "spdx", "--unsigned", "--layout", "tag"];
    said(&attestry_with(unsigned, SPDX.as_bytes()).exits(2), "argument-invalid");
    // Neither a key nor the word that none is wanted.
    attestry_with(["attest", &image, "--predicate", "-", "--type", "spdx"], SPDX.as_bytes()).exits(2);
    said(&sign(&scratch, &image, &["-a", "team"]).exits(2), "argument-invalid");
    assert!(place.content() == before);
}

#[test]
fn a_tag_for_evidence_that_holds_an_index_is_not_overwritten() {
    // (refused: evidence-tag-invalid)
    let scratch = Scratch::new();
    let place = Place::in_process();
    let root = place.push_index("1");
    for suffix in ["att", "sig"] {
        place.push_index(&tag_of(&json!(root.digest()), suffix));
    }
    let before = place.content();
    let image = place.tagged("1");
    said(&attest(&scratch, &image, "spdx", SPDX, &["--layout", "tag"]).exits(3), "evidence-tag-invalid");
    said(&sign(&scratch, &image, &["--layout", "tag"]).exits(3), "evidence-tag-invalid");
    assert!(place.content() == before);
}

#[test]
fn crane_reads_what_we_keep_under_a_tag() {
    // (accepted)
    if !installed("crane") {
        return;
    }
    let scratch = Scratch::new();
    for place in registries() {
        let root = place.push_index("1");
        attest(&scratch, &place.tagged("1"), "spdx", SPDX, &["--layout", "tag"]).succeeds();
        attest(&scratch, &place.tagged("1"), "openvex", OPENVEX, &["--layout", "tag"]).succeeds();
        let tagged = place.tagged(&tag_of(&json!(root.digest()), "att"));
        let config = peer("crane", ["config", &tagged]).succeeds().json();
        let manifest = peer("crane", ["manifest", &tagged]).succeeds().json();
        let layers: Vec<&Value> = manifest["layers"].as_array().unwrap().iter().map(|layer| &layer["digest"]).collect();
        let named: Vec<&Value> = config["rootfs"]["diff_ids"].as_array().unwrap().iter().collect();
        assert_eq!(layers, named, "{tagged}");
    }
}
