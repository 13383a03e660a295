//! What other tools sign and attach, and what they make of what we do.

use std::process::Command;

use serde_json::{Value, json};

use crate::round_trip::{OPENVEX, SLSA, SPDX, attest, list, list_in_detail, verify};
use crate::support::command::{Ran, Scratch, attestry, run};
use crate::support::image::{Place, registries};
use crate::support::peer::{installed, peer};

/// Our short name, cosign's, and a predicate of the type.
const TYPES: [(&str, &str, &str); 3] =
    [("spdx", "spdxjson", SPDX), ("openvex", "openvex", OPENVEX), ("slsa-provenance", "slsaprovenance1", SLSA)];

/// cosign with keys alone: no transparency log, no timestamps, nothing fetched from elsewhere.
pub(crate) struct Cosign {
    pub(crate) scratch: Scratch,
    signing_config: String,
    trusted_root: String,
}

impl Cosign {
    pub(crate) fn new() -> Option<Self> {
        if !installed("cosign") {
            return None;
        }
        let scratch = Scratch::new();
        let signing_config = peer("cosign", ["signing-config", "create"]).succeeds().text();
        let trusted_root = peer("cosign", ["trusted-root", "create"]).succeeds().text();
        let signing_config = scratch.write("signing-config.json", signing_config);
        let trusted_root = scratch.write("trusted-root.json", trusted_root);
        Some(Self { scratch, signing_config, trusted_root })
    }

    pub(crate) fn verify_attestation(&self, key: &str, wanted: &str, image: &str) -> Ran {
        let key = self.scratch.path(&format!("{key}.pub"));
        peer(
            "cosign",
            [
                "verify-attestation",
                "--key",
                &key,
                "--insecure-ignore-tlog",
                "--allow-http-registry",
                "--trusted-root",
                &self.trusted_root,
                "--type",
                wanted,
                image,
            ],
        )
    }

    pub(crate) fn verify(&self, key: &str, image: &str) -> Ran {
        let key = self.scratch.path(&format!("{key}.pub"));
        peer(
            "cosign",
            [
                "verify",
                "--key",
                &key,
                "--insecure-ignore-tlog",
                "--allow-http-registry",
                "--trusted-root",
                &self.trusted_root,
                image,
            ],
        )
    }

    /// Verifies what is kept under a tag, and looks nowhere else.
    pub(crate) fn verify_attestation_under_tag(&self, key: &str, wanted: &str, image: &str) -> Ran {
        let key = self.scratch.path(&format!("{key}.pub"));
        let old = ["--insecure-ignore-tlog", "--allow-http-registry", "--new-bundle-format=false"];
        let common = ["verify-attestation", "--key", &key, "--type", wanted, image];
        peer("cosign", common.into_iter().chain(old))
    }

    /// The same for an image signature.
    pub(crate) fn verify_under_tag(&self, key: &str, image: &str) -> Ran {
        let key = self.scratch.path(&format!("{key}.pub"));
        let old = ["--insecure-ignore-tlog", "--allow-http-registry", "--new-bundle-format=false"];
        peer("cosign", ["verify", "--key", &key, image].into_iter().chain(old))
    }

    /// Runs a command that signs with the private key `signer`.
    pub(crate) fn sign(&self, legacy: bool, arguments: &[&str]) -> Ran {
        let key = self.scratch.path("signer.key");
        let (verb, rest) = arguments.split_first().unwrap();
        let mut command = Command::new("cosign");
        command.args([verb, "--key", &key, "--yes", "--allow-http-registry"]);
        if legacy {
            command.args(["--use-signing-config=false", "--new-bundle-format=false", "--tlog-upload=false"]);
        } else {
            command.args(["--signing-config", &self.signing_config, "--trusted-root", &self.trusted_root]);
        }
        run(command.args(rest), b"")
    }
}

fn platform_digest(image: &str, platform: &str) -> String {
    let listed = list(image);
    let platforms = listed["platforms"].as_array().unwrap();
    let found = platforms.iter().find(|entry| entry["platform"] == platform).unwrap();
    found["digest"].as_str().unwrap().to_owned()
}

#[test]
fn cosign_verifies_what_we_attest() {
    // (accepted), and refused with another key
    let Some(cosign) = Cosign::new() else { return };
    for place in registries() {
        place.push_index("1");
        let image = place.tagged("1");
        for (ours, theirs, predicate) in TYPES {
            attest(&cosign.scratch, &image, ours, predicate, &[]).succeeds();
            let ran = cosign.verify_attestation("signer", theirs, &image).succeeds();
            let statement = payload(&ran);
            assert_eq!(statement["predicate"], serde_json::from_str::<Value>(predicate).unwrap(), "{image}");
            cosign.verify_attestation("stranger", theirs, &image).fails();
        }
        let more = ["--platform", "linux/arm64"];
        attest(&cosign.scratch, &image, "spdx", SPDX, &more).succeeds();
        let child = format!("{}@{}", place.name(), platform_digest(&image, "linux/arm64"));
        cosign.verify_attestation("signer", "spdxjson", &child).succeeds();
        cosign.verify_attestation("signer", "openvex", &child).fails();
    }
}

/// The statement in the envelope that `cosign verify-attestation` prints.
fn payload(ran: &Ran) -> Value {
    use base64::Engine;
    let text = ran.json()["payload"].as_str().unwrap().to_owned();
    serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}

#[test]
fn cosign_signs_with_our_private_key_and_we_verify_it() {
    // (accepted) and (refused: attestation-missing)
    let Some(cosign) = Cosign::new() else { return };
    let predicate = cosign.scratch.write("predicate.json", OPENVEX);
    for place in registries() {
        for (tag, legacy) in [("bundle", false), ("legacy", true)] {
            let (layout, kind) = if legacy { ("tag", "simple-signing") } else { ("referrer", "bundle") };
            let digest = place.push_index(tag).digest().to_string();
            let (image, pinned) = (place.tagged(tag), format!("{}@{digest}", place.name()));
            cosign.sign(legacy, &["attest", "--type", "openvex", "--predicate", &predicate, &pinned]).succeeds();
            cosign.sign(legacy, &["sign", &pinned]).succeeds();
            let listed = list(&image);
            assert_eq!(listed["attestations"][0]["layout"], layout, "{image}");
            assert_eq!(listed["signatures"][0]["layout"], layout, "{image}");
            assert_eq!(listed["signatures"][0]["kind"], kind, "{image}");
            for wanted in ["openvex", "signature"] {
                verify(&cosign.scratch, "signer", &image, &["--type", wanted]).succeeds();
                verify(&cosign.scratch, "stranger", &image, &["--type", wanted]).exits(1);
            }
            let ran = attestry(["download", &image, "--type", "openvex"]).succeeds();
            assert_eq!(ran.json(), serde_json::from_str::<Value>(OPENVEX).unwrap(), "{image}");
        }
    }
}

#[test]
fn we_sign_with_a_key_that_cosign_made() {
    // (accepted)
    let Some(cosign) = Cosign::new() else { return };
    let prefix = cosign.scratch.path("theirs");
    peer("cosign", ["generate-key-pair", "--output-key-prefix", &prefix]).succeeds();
    let place = Place::in_process();
    place.push_index("1");
    let image = place.tagged("1");
    let (key, predicate) = (format!("{prefix}.key"), cosign.scratch.write("predicate.json", SPDX));
    attestry(["attest", &image, "--predicate", &predicate, "--type", "spdx", "--key", &key]).succeeds();
    cosign.verify_attestation("theirs", "spdxjson", &image).succeeds();
    verify(&cosign.scratch, "theirs", &image, &["--type", "spdx"]).succeeds();
}

#[test]
fn cosign_verifies_a_blob_that_we_sign() {
    // (accepted), and refused with another key or another blob
    let Some(cosign) = Cosign::new() else { return };
    let scratch = &cosign.scratch;
    let (file, other) = (scratch.write("file", "some bytes"), scratch.write("other", "other bytes"));
    let (bundle, key) = (scratch.path("bundle.json"), scratch.path("signer.key"));
    attestry(["sign-blob", &file, "--key", &key, "--to", &bundle]).succeeds();
    let verify = |key: &str, file: &str| {
        let key = scratch.path(key);
        peer(
            "cosign",
            [
                "verify-blob",
                "--key",
                &key,
                "--bundle",
                &bundle,
                "--insecure-ignore-tlog",
                "--trusted-root",
                &cosign.trusted_root,
                file,
            ],
        )
    };
    verify("signer.pub", &file).succeeds();
    verify("stranger.pub", &file).fails();
    verify("signer.pub", &other).fails();
}

#[test]
fn a_bundle_that_cosign_made_of_a_manifest_file_is_attached_and_verifies_for_both() {
    // (accepted)
    let Some(cosign) = Cosign::new() else { return };
    let scratch = &cosign.scratch;
    let place = Place::in_process();
    let root = place.push_index("1");
    let image = place.tagged("1");
    let (manifest, predicate) = (scratch.write("manifest.json", root.bytes()), scratch.write("p.json", OPENVEX));
    let (bundle, key) = (scratch.path("bundle.json"), scratch.path("signer.key"));
    peer(
        "cosign",
        [
            "attest-blob",
            "--key",
            &key,
            "--yes",
            "--signing-config",
            &cosign.signing_config,
            "--trusted-root",
            &cosign.trusted_root,
            "--type",
            "openvex",
            "--predicate",
            &predicate,
            "--bundle",
            &bundle,
            &manifest,
        ],
    )
    .succeeds();
    attestry(["attach", &image, "--bundle", &bundle]).succeeds();
    verify(scratch, "signer", &image, &["--type", "openvex"]).succeeds();
    verify(scratch, "stranger", &image, &["--type", "openvex"]).exits(1);
    cosign.verify_attestation("signer", "openvex", &image).succeeds();
}

#[test]
fn cosign_verifies_an_image_signature_that_we_attach() {
    // (accepted)
    let Some(cosign) = Cosign::new() else { return };
    let scratch = &cosign.scratch;
    for place in registries() {
        let root = place.push_index("1");
        let image = place.tagged("1");
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": root.digest().hex()}}],
            "predicateType": "https://sigstore.dev/cosign/sign/v1",
            "predicate": {},
        });
        let statement = scratch.write("statement.json", statement.to_string());
        let (bundle, key) = (scratch.path("bundle.json"), scratch.path("signer.key"));
        attestry(["sign-blob", "--statement", &statement, "--key", &key, "--to", &bundle]).succeeds();
        attestry(["attach", &image, "--bundle", &bundle]).succeeds();
        cosign.verify("signer", &image).succeeds();
        cosign.verify("stranger", &image).fails();
        verify(scratch, "signer", &image, &["--type", "signature"]).succeeds();
    }
}

/// regctl against a registry that speaks plain HTTP.
fn regctl(place: &Place, arguments: &[&str]) -> Ran {
    let name = place.name();
    let host = format!("reg={},tls=disabled", name.split('/').next().unwrap());
    peer("regctl", ["--host", &host].into_iter().chain(arguments.iter().copied()))
}

#[test]
fn regctl_lists_what_we_attach() {
    // (accepted)
    if !installed("regctl") {
        return;
    }
    let scratch = Scratch::new();
    for place in registries() {
        place.push_index("1");
        let image = place.tagged("1");
        let mut expected: Vec<String> = Vec::new();
        for (wanted, _, predicate) in TYPES {
            let report = attest(&scratch, &image, wanted, predicate, &[]).succeeds().json();
            expected.push(report["manifests"][0].as_str().unwrap().to_owned());
        }
        let listed = regctl(&place, &["artifact", "list", &image, "--format", "body"]).succeeds().json();
        let entries = listed["manifests"].as_array().unwrap();
        let mut digests: Vec<&str> = entries.iter().map(|entry| entry["digest"].as_str().unwrap()).collect();
        digests.sort_unstable();
        expected.sort();
        assert_eq!(digests, expected, "{image}");
        for entry in entries {
            assert_eq!(entry["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json", "{image}");
        }
        // The statements of an attestation manifest in artifact form are referrers too.
        let more = ["--layout", "index-artifact", "--platform", "linux/amd64"];
        attest(&scratch, &image, "spdx", SPDX, &more).succeeds();
        let ran = regctl(&place, &["artifact", "list", &image, "--platform", "linux/amd64", "--format", "body"]);
        let listed = ran.succeeds().json();
        let artifact_type = &listed["manifests"][0]["artifactType"];
        assert_eq!(artifact_type, "application/vnd.docker.attestation.manifest.v1+json", "{image}");
    }
}

#[test]
fn we_list_what_regctl_attaches() {
    // (accepted)
    if !installed("regctl") {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("sbom.json", SPDX);
    for place in registries() {
        place.push_index("1");
        let image = place.tagged("1");
        let put = [
            "artifact",
            "put",
            "--artifact-type",
            "application/spdx+json",
            "--file",
            &scratch.path("sbom.json"),
            "--file-media-type",
            "application/spdx+json",
            "--file-title",
            "--strip-dirs",
            "--subject",
            &image,
        ];
        regctl(&place, &put).succeeds();
        regctl(&place, &[&put[..], &["--platform", "linux/amd64"]].concat()).succeeds();
        let listed = list_in_detail(&image);
        let files = listed["attachments"].as_array().unwrap();
        let covers: Vec<&Value> = files.iter().map(|entry| &entry["covers"][0]).collect();
        assert_eq!(covers, ["index", "linux/amd64"], "{image}");
        for file in files {
            assert_eq!(file["title"], "sbom.json", "{image}");
            assert_eq!(file["artifact_type"], "application/spdx+json", "{image}");
        }
        // A plain file is no attestation. (refused: attestation-missing)
        assert_eq!(listed["attestations"], json!([]), "{image}");
        verify(&scratch, "signer", &image, &["--type", "spdx"]).exits(1);
    }
}

#[test]
fn regctl_carries_evidence_into_a_layout_and_back_and_it_still_verifies() {
    // (accepted)
    if !installed("regctl") {
        return;
    }
    let scratch = Scratch::new();
    for place in registries() {
        place.push_index("1");
        let image = place.tagged("1");
        let more = ["--layout", "index-artifact", "--platform", "linux/amd64"];
        attest(&scratch, &image, "spdx", SPDX, &more).succeeds();
        attest(&scratch, &image, "openvex", OPENVEX, &[]).succeeds();
        let folder = Place::folder();
        let (layout, back) = (folder.name().replace("oci:", "ocidir://"), place.tagged("back"));
        let copy = ["image", "copy", "--referrers", "--digest-tags"];
        regctl(&place, &[&copy[..], &[&image, &format!("{layout}:1")]].concat()).succeeds();
        regctl(&place, &[&copy[..], &[&format!("{layout}:1"), &back]].concat()).succeeds();
        let both = ["--type", "spdx", "--type", "openvex", "--platform", "linux/amd64"];
        for image in [folder.tagged("1"), back] {
            verify(&scratch, "signer", &image, &both).succeeds();
            verify(&scratch, "stranger", &image, &both).exits(1);
            assert_eq!(attestry(["download", &image, "--type", "spdx"]).succeeds().text(), SPDX);
        }
    }
}

#[test]
fn crane_reads_the_index_that_we_rewrite() {
    // (accepted)
    if !installed("crane") {
        return;
    }
    let scratch = Scratch::new();
    for place in registries() {
        for layout in ["index", "index-artifact"] {
            let before = place.push_index(layout);
            let image = place.tagged(layout);
            let more = ["--layout", layout, "--each-platform"];
            let report = attest(&scratch, &image, "spdx", SPDX, &more).succeeds().json();
            let digest = peer("crane", ["digest", &image]).succeeds().text();
            assert_eq!(report["tag"]["to"], digest.trim(), "{image}");
            let index = peer("crane", ["manifest", &image]).succeeds().json();
            let children = index["manifests"].as_array().unwrap();
            assert_eq!(children.len(), 4, "{image}");
            for (child, known) in children.iter().zip(before.as_index().unwrap().children()) {
                assert_eq!(child["digest"], json!(known.descriptor.digest), "{image}");
            }
            for (child, known) in children[2..].iter().zip(children) {
                assert_eq!(child["annotations"]["vnd.docker.reference.digest"], known["digest"], "{image}");
                assert_eq!(child["platform"], json!({"architecture": "unknown", "os": "unknown"}), "{image}");
                let pinned = format!("{}@{}", place.name(), child["digest"].as_str().unwrap());
                let manifest = peer("crane", ["manifest", &pinned]).succeeds().json();
                let is_artifact = layout == "index-artifact";
                assert_eq!(manifest["subject"]["digest"] == known["digest"], is_artifact, "{image}");
            }
            // crane has no diff for a layer that is no file system, and refuses BuildKit's own older form likewise.
            if layout == "index-artifact" {
                peer("crane", ["validate", "--remote", &image]).succeeds();
            }
        }
    }
}

#[test]
fn skopeo_reads_and_copies_the_image_after_attesting_into_its_index() {
    // (accepted)
    if !installed("skopeo") {
        return;
    }
    let scratch = Scratch::new();
    let policy = scratch.write("policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
    for place in registries() {
        place.push_index("1");
        let image = place.tagged("1");
        let more = ["--layout", "index-artifact", "--each-platform"];
        attest(&scratch, &image, "spdx", SPDX, &more).succeeds();
        let remote = format!("docker://{image}");
        let raw = peer("skopeo", ["inspect", "--raw", "--tls-verify=false", &remote]).succeeds().json();
        assert_eq!(raw["manifests"].as_array().unwrap().len(), 4, "{image}");
        let select = ["--override-os", "linux", "--override-arch", "arm64"];
        let inspect = ["inspect", "--tls-verify=false", &remote];
        let one = peer("skopeo", select.into_iter().chain(inspect)).succeeds().json();
        assert_eq!(one["Architecture"], "arm64", "{image}");
        // It carries what is inside the index, and that verifies there.
        let folder = Place::folder();
        let copy = ["--policy", &policy, "copy", "--all", "--src-tls-verify=false", &remote, &folder.tagged("1")];
        peer("skopeo", copy).succeeds();
        verify(&scratch, "signer", &folder.tagged("1"), &["--type", "spdx"]).succeeds();
        verify(&scratch, "stranger", &folder.tagged("1"), &["--type", "spdx"]).exits(1);
    }
}
