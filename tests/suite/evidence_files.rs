//! Evidence in files beside the image: `--bundle`.

use std::fs;

use serde_json::{Value, json};

use crate::round_trip::{SPDX, attest};
use crate::support::command::{Ran, Scratch, attestry, fixtures, oci};
use crate::support::image::Place;

/// An image without evidence, and a bundle about it that was never attached.
struct Apart {
    place: Place,
    scratch: Scratch,
    bundle: String,
}

impl Apart {
    fn new() -> Self {
        let (place, scratch) = (Place::folder(), Scratch::new());
        place.push_single("attested");
        let bundle = Self::attested(&place, &scratch, "attested");
        // The same image again, in a place without evidence.
        let bare = Place::folder();
        bare.push_single("attested");
        Self { place: bare, scratch, bundle }
    }

    fn attested(place: &Place, scratch: &Scratch, tag: &str) -> String {
        let image = place.tagged(tag);
        attest(scratch, &image, "spdx", SPDX, &[]).succeeds();
        attestry(["download", &image, "--type", "spdx", "--part", "document"]).succeeds().text()
    }

    fn image(&self) -> String {
        self.place.tagged("attested")
    }

    fn verify(&self, file: &str) -> Ran {
        let (image, key, file) = (self.image(), self.scratch.path("signer.pub"), self.scratch.path(file));
        attestry(["verify", &image, "--key", &key, "--type", "spdx", "--bundle", &file, "--output", "json"])
    }
}

#[test]
fn a_bundle_file_counts_for_the_image_that_it_is_about() {
    // (accepted) and (refused: subject-mismatch)
    let apart = Apart::new();
    apart.scratch.write("app.sigstore.json", &apart.bundle);
    let report = apart.verify("app.sigstore.json").succeeds().json();
    assert_eq!(report["attestations"][0]["layout"], "file");
    let listed = attestry(["list", &apart.image(), "--bundle", &apart.scratch.path("app.sigstore.json")]).succeeds();
    assert!(listed.text().contains("file           bundle           app.sigstore.json"), "{}", listed.text());

    let other = Place::folder();
    other.push_single("other");
    apart.scratch.write("other.json", Apart::attested(&other, &apart.scratch, "other"));
    let report = apart.verify("other.json").exits(1).json();
    let candidate = &report["requirements"][0]["candidates"][0];
    assert_eq!((&candidate["failed_check"], &candidate["where"]), (&json!("subject-mismatch"), &json!("other.json")));
}

#[test]
fn a_line_that_is_broken_or_about_something_else_does_not_harm_the_others() {
    // (accepted)
    let apart = Apart::new();
    let other = Place::folder();
    other.push_single("other");
    let elsewhere = Apart::attested(&other, &apart.scratch, "other");
    let lines = ["{\"not\": \"evidence\"}", "{broken", elsewhere.trim(), apart.bundle.trim()];
    apart.scratch.write("all.intoto.jsonl", lines.join("\n"));
    let report = apart.verify("all.intoto.jsonl").succeeds().json();
    let rejected: Vec<(&Value, &Value)> =
        report["rejections"].as_array().unwrap().iter().map(|entry| (&entry["where"], &entry["code"])).collect();
    let expected = [
        (json!("all.intoto.jsonl:1"), json!("bundle-invalid")),
        (json!("all.intoto.jsonl:2"), json!("json-invalid")),
        (json!("all.intoto.jsonl:3"), json!("subject-mismatch")),
    ];
    assert_eq!(rejected, expected.iter().map(|(place, code)| (place, code)).collect::<Vec<_>>());
}

#[test]
fn what_githubs_api_answers_is_read_as_it_is() {
    // (accepted) and (refused: bundle-invalid)
    let apart = Apart::new();
    let bundle = apart.bundle.trim();
    apart.scratch.write("api.json", format!("{{\"attestations\":[{{\"bundle\":{bundle},\"repository_id\":1}}]}}"));
    apart.verify("api.json").succeeds();
    apart.scratch.write("addresses.json", "{\"attestations\":[{\"bundle\":null,\"bundle_url\":\"x\"}]}");
    apart.scratch.write("empty.json", "");
    for file in ["addresses.json", "empty.json"] {
        let refused = apart.verify(file).exits(2);
        assert!(refused.stderr.contains("error[bundle-invalid]"), "{}", refused.stderr);
    }
}

#[test]
fn an_unsigned_statement_in_a_file_is_refused_as_such() {
    // (refused: unsigned)
    let apart = Apart::new();
    let bundle: Value = serde_json::from_str(&apart.bundle).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    let statement = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, payload).unwrap();
    apart.scratch.write("statement.json", statement);
    let report = apart.verify("statement.json").exits(1).json();
    assert_eq!(report["requirements"][0]["candidates"][0]["failed_check"], "unsigned");
}

#[test]
fn a_signature_over_an_attestation_manifest_may_be_in_a_file() {
    // (accepted) and (refused: unsigned)
    let Some(root) = fixtures() else { return };
    let scratch = Scratch::new();
    let layout = scratch.copy(&root.join("images/buildkit-signed-attestation-manifest"), "image");
    let image = format!("{}:1.2.3", oci(&layout));
    let listed = attestry(["list", &image, "--output", "json"]).succeeds().json();
    let signature = listed["signatures"][0]["manifest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    let manifest: Value = serde_json::from_slice(&fs::read(layout.join(&signature)).unwrap()).unwrap();
    let document = manifest["layers"][0]["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    scratch.write("signature.json", fs::read(layout.join(document)).unwrap());
    // The signature is gone from the image: what is left is not signed.
    let listing = format!("sha256-{}", &listed["signatures"][0]["subject"].as_str().unwrap()["sha256:".len()..]);
    let index = fs::read_to_string(layout.join("index.json")).unwrap();
    fs::write(layout.join("index.json"), index.replace(&listing, "gone")).unwrap();
    fs::remove_file(layout.join(signature)).unwrap();
    let key = root.join("keys/cosign.pub").display().to_string();
    let common = ["verify", &image, "--key", &key, "--type", "spdx", "--platform", "linux/amd64", "--output", "json"];
    let report = attestry(common).exits(1).json();
    assert_eq!(report["requirements"][0]["candidates"][0]["failed_check"], "unsigned");
    let bundle = scratch.path("signature.json");
    let report = attestry(common.into_iter().chain(["--bundle", &bundle])).succeeds().json();
    assert_eq!(report["attestations"][0]["through"], listed["signatures"][0]["subject"]);
    // A signature that fits nothing is named.
    let other = oci(&root.join("images/buildkit-plain-noattest"));
    let report = attestry(["verify", &other, "--key", &key, "--type", "spdx", "--bundle", &bundle, "--output", "json"]);
    assert_eq!(report.exits(1).json()["rejections"][0]["code"], "subject-mismatch");
}
