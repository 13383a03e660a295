//! Attest, then list, verify and download, in every layout and every kind of place.

use serde_json::{Value, json};

use crate::support::command::{Ran, Scratch, attestry, attestry_with};
use crate::support::image::{Place, places};

/// A predicate that no serialiser would write so: it must come back byte for byte.
pub(crate) const SPDX: &str = "{ \"spdxVersion\":\"SPDX-2.3\",\n\t\"SPDXID\": \"SPDXRef-DOCUMENT\", \"name\":\"caf\\u00e9 ☃\", \
                               \"zeros\": [1.50, 1e3, -0],\"dataLicense\":\"CC0-1.0\",\"creationInfo\":{}, \
                               \"documentNamespace\":\"https://example.com/1\",   \"packages\":[ ] }\n";
pub(crate) const OPENVEX: &str = r#"{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.com/vex-1","author":"A test",
  "timestamp":"2026-01-02T03:04:05Z", "version":1,"statements":[]}"#;
pub(crate) const SLSA: &str = r#"{"buildDefinition": {"buildType":"https://example.com/b","externalParameters":{}},
  "runDetails":{"builder":{"id":"https://example.com/builder"}}}"#;

const AMD64: &str = "linux/amd64";

/// Attests with the key `signer`.
pub(crate) fn attest(scratch: &Scratch, image: &str, wanted: &str, predicate: &str, more: &[&str]) -> Ran {
    let key = scratch.path("signer.key");
    let common = ["attest", image, "--predicate", "-", "--type", wanted, "--key", &key, "--output", "json"];
    attestry_with(common.into_iter().chain(more.iter().copied()), predicate.as_bytes())
}

/// Verifies with the public key of that name.
pub(crate) fn verify(scratch: &Scratch, key: &str, image: &str, more: &[&str]) -> Ran {
    let key = scratch.path(&format!("{key}.pub"));
    let common = ["verify", image, "--key", &key, "--output", "json"];
    attestry(common.into_iter().chain(more.iter().copied()))
}

pub(crate) fn list(image: &str) -> Value {
    attestry(["list", image, "--output", "json"]).succeeds().json()
}

/// What is listed when every document is read.
pub(crate) fn list_in_detail(image: &str) -> Value {
    attestry(["list", image, "--detail", "--output", "json"]).succeeds().json()
}

fn download(image: &str, wanted: &str) -> Vec<u8> {
    attestry(["download", image, "--type", wanted]).succeeds().stdout
}

#[test]
fn every_layout_is_found_again_in_every_place() {
    // (accepted) and (refused: attestation-missing)
    let scratch = Scratch::new();
    for place in places() {
        for layout in ["referrer", "index", "index-artifact"] {
            place.push_index(layout);
            let image = place.tagged(layout);
            let before = list(&image);
            assert_eq!(before["attestations"], json!([]), "{image}");
            let more = ["--layout", layout, "--platform", AMD64];
            let report = attest(&scratch, &image, "spdx", SPDX, &more).succeeds().json();
            assert_eq!(report["schema"], "attestry/attest/v1");
            assert_eq!(report["attached"][0]["layout"], layout);
            let after = list(&image);
            assert_eq!(after["image"]["digest"] == before["image"]["digest"], layout == "referrer", "{image}");
            assert_eq!(after["platforms"], before["platforms"], "{image}");
            assert_eq!(after["attestations"].as_array().unwrap().len(), 1, "{image}");
            let entry = &after["attestations"][0];
            assert_eq!((&entry["layout"], &entry["covers"]), (&json!(layout), &json!([AMD64])), "{image}");
            assert_eq!(entry["signed"], true, "{image}");
            let entry = &list_in_detail(&image)["attestations"][0];
            assert_eq!(entry["document"], report["attached"][0]["document"], "{image}");
            let wanted = ["--type", "spdx", "--platform", AMD64];
            let report = verify(&scratch, "signer", &image, &wanted).succeeds().json();
            assert_eq!(report["attestations"][0]["layout"], layout, "{image}");
            verify(&scratch, "stranger", &image, &wanted).exits(1);
            // The other platform has none.
            verify(&scratch, "signer", &image, &["--type", "spdx"]).exits(1);
            assert_eq!(download(&image, "spdx"), SPDX.as_bytes(), "{image}");
        }
    }
}

#[test]
fn an_attestation_of_the_index_covers_its_platforms() {
    // (accepted)
    let scratch = Scratch::new();
    for place in places() {
        place.push_index("1");
        let image = place.tagged("1");
        attest(&scratch, &image, "openvex", OPENVEX, &[]).succeeds();
        for more in [&["--type", "openvex"][..], &["--type", "openvex", "--platform", AMD64]] {
            let report = verify(&scratch, "signer", &image, more).succeeds().json();
            assert_eq!(report["attestations"][0]["covers"], json!(["index"]), "{image}");
        }
        assert_eq!(download(&image, "openvex"), OPENVEX.as_bytes(), "{image}");
    }
}

#[test]
fn each_platform_gets_a_statement_of_its_own() {
    // (accepted)
    let scratch = Scratch::new();
    let name = |architecture: &str| SPDX.replace("caf", architecture);
    for architecture in ["amd64", "arm64"] {
        scratch.write(&format!("linux-{architecture}.json"), name(architecture));
    }
    let (predicate, key) = (scratch.path("{platform}.json"), scratch.path("signer.key"));
    for place in places() {
        for layout in ["referrer", "index-artifact"] {
            let root = place.push_index(layout);
            let image = place.tagged(layout);
            let ran = attestry([
                "attest",
                &image,
                "--predicate",
                &predicate,
                "--type",
                "spdx",
                "--key",
                &key,
                "--each-platform",
                "--layout",
                layout,
                "--output",
                "json",
            ]);
            let report = ran.succeeds().json();
            let children: Vec<Value> =
                root.as_index().unwrap().children().iter().map(|child| json!(child.descriptor.digest)).collect();
            let subjects: Vec<Value> = (0..2).map(|place| report["attached"][place]["subject"].clone()).collect();
            assert_eq!(subjects, children, "{image}");
            let report = verify(&scratch, "signer", &image, &["--type", "spdx"]).succeeds().json();
            assert_eq!(report["unchecked"], json!(["signing-time", "index-composition"]), "{image}");
            for architecture in ["amd64", "arm64"] {
                let platform = format!("linux/{architecture}");
                let ran = attestry(["download", &image, "--type", "spdx", "--platform", &platform]).succeeds();
                assert_eq!(ran.text(), name(architecture), "{image}");
            }
        }
    }
}

#[test]
fn a_single_manifest_is_wrapped_in_an_index_of_its_platform() {
    // (accepted)
    let scratch = Scratch::new();
    for place in places() {
        for layout in ["index", "index-artifact"] {
            let single = place.push_single(layout);
            let image = place.tagged(layout);
            let report = attest(&scratch, &image, "spdx", SPDX, &["--layout", layout]).succeeds().json();
            assert_eq!(report["warnings"][0]["code"], "image-wrapped", "{image}");
            assert_eq!(report["tag"]["from"], json!(single.digest()));
            let listed = list(&image);
            assert_eq!(listed["image"]["digest"], report["tag"]["to"], "{image}");
            assert_eq!(listed["platforms"], json!([{"platform": AMD64, "digest": single.digest()}]), "{image}");
            verify(&scratch, "signer", &image, &["--type", "spdx"]).succeeds();
            assert_eq!(download(&image, "spdx"), SPDX.as_bytes(), "{image}");
        }
    }
}

#[test]
fn further_statements_join_the_attestation_manifest_that_is_there() {
    // (accepted)
    let scratch = Scratch::new();
    for place in places() {
        for layout in ["index", "index-artifact"] {
            place.push_index(layout);
            let image = place.tagged(layout);
            for (wanted, predicate) in [("spdx", SPDX), ("slsa-provenance", SLSA)] {
                attest(&scratch, &image, wanted, predicate, &["--layout", layout, "--platform", AMD64]).succeeds();
            }
            let listed = list(&image);
            let entries = listed["attestations"].as_array().unwrap();
            assert_eq!(entries.len(), 2, "{image}");
            assert_eq!(entries[0]["manifest"], entries[1]["manifest"], "{image}");
            let both = ["--type", "spdx", "--type", "slsa-provenance", "--platform", AMD64];
            verify(&scratch, "signer", &image, &both).succeeds();
            assert_eq!(download(&image, "slsa-provenance"), SLSA.as_bytes(), "{image}");
        }
    }
}

#[test]
fn a_dry_run_says_what_would_be_written_and_writes_nothing() {
    // (accepted)
    let scratch = Scratch::new();
    let bundle = scratch.path("bundle.json");
    for place in places() {
        let root = place.push_index("1");
        let image = place.tagged("1");
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": root.digest().hex()}}],
            "predicateType": "https://openvex.dev/ns",
            "predicate": {},
        });
        let statement = scratch.write("statement.json", statement.to_string());
        let key = scratch.path("signer.key");
        attestry(["sign-blob", "--statement", &statement, "--key", &key, "--to", &bundle]).succeeds();
        let before = (place.content(), list(&image));
        for layout in ["referrer", "index", "index-artifact"] {
            let more = ["--layout", layout, "--each-platform", "--dry-run"];
            let report = attest(&scratch, &image, "spdx", SPDX, &more).succeeds().json();
            assert_eq!((&report["dry_run"], &report["attached"][1]["layout"]), (&json!(true), &json!(layout)));
        }
        let attach = ["attach", &image, "--bundle", &bundle, "--output", "json"];
        let report = attestry(attach.into_iter().chain(["--dry-run"])).succeeds().json();
        assert_eq!(report["dry_run"], true);
        assert!((place.content(), list(&image)) == before, "{image}");
        // The test would see it.
        attestry(attach).succeeds();
        assert_ne!(list(&image), before.1, "{image}");
    }
}

#[test]
fn a_statement_about_an_index_cannot_live_inside_it() {
    // (refused: platform-needed)
    let scratch = Scratch::new();
    let place = Place::folder();
    place.push_index("1");
    let before = place.content();
    for layout in ["index", "index-artifact"] {
        let ran = attest(&scratch, &place.tagged("1"), "spdx", SPDX, &["--layout", layout]).exits(2);
        assert!(ran.stderr.contains("error[platform-needed]"), "{}", ran.stderr);
    }
    // (refused: platform-unknown)
    let ran = attest(&scratch, &place.tagged("1"), "spdx", SPDX, &["--platform", "linux/riscv64"]).exits(2);
    assert!(ran.stderr.contains("error[platform-unknown]"), "{}", ran.stderr);
    assert!(place.content() == before);
}

#[test]
fn a_signed_statement_is_attached_where_its_subject_is() {
    // (accepted) and (refused: subject-mismatch)
    let scratch = Scratch::new();
    let (bundle, key) = (scratch.path("bundle.json"), scratch.path("signer.key"));
    for place in places() {
        let root = place.push_index("1");
        place.push_index("2");
        let child = root.as_index().unwrap().children()[1].descriptor.digest.clone();
        for (subject, covers) in [(root.digest(), "index"), (&child, "linux/arm64")] {
            let statement = json!({
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{"name": "app", "digest": {"sha256": subject.hex()}}],
                "predicateType": "https://example.com/review/v1",
                "predicate": {"about": covers},
            });
            let file = scratch.write("statement.json", statement.to_string());
            attestry(["sign-blob", "--statement", &file, "--key", &key, "--to", &bundle]).succeeds();
            let ran = attestry(["attach", &place.tagged("1"), "--bundle", &bundle, "--output", "json"]);
            assert_eq!(ran.succeeds().json()["attached"][0]["subject"], json!(subject));
            let of = ["--type", "https://example.com/review/v1", "--platform", "linux/arm64"];
            let report = verify(&scratch, "signer", &place.tagged("1"), &of).succeeds().json();
            let covered: Vec<&Value> =
                report["attestations"].as_array().unwrap().iter().map(|entry| &entry["covers"][0]).collect();
            assert!(covered.contains(&&json!(covers)), "{covered:?}");
            let ran = attestry(["attach", &place.tagged("2"), "--bundle", &bundle]).exits(1);
            assert!(ran.stderr.contains("error[subject-mismatch]"), "{}", ran.stderr);
        }
        assert_eq!(list(&place.tagged("2"))["attestations"], json!([]));
    }
}

#[test]
fn a_signed_manifest_is_an_image_signature() {
    // (accepted)
    let scratch = Scratch::new();
    let (bundle, key) = (scratch.path("bundle.json"), scratch.path("signer.key"));
    for place in places() {
        let root = place.push_index("1");
        let image = place.tagged("1");
        let manifest = scratch.write("manifest.json", root.bytes());
        attestry(["sign-blob", &manifest, "--key", &key, "--to", &bundle]).succeeds();
        attestry(["attach", &image, "--bundle", &bundle]).succeeds();
        let listed = list(&image);
        assert_eq!(listed["signatures"][0]["covers"], json!(["index"]), "{image}");
        verify(&scratch, "signer", &image, &["--type", "signature"]).succeeds();
        verify(&scratch, "stranger", &image, &["--type", "signature"]).exits(1);
    }
}
