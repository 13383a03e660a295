//! Bare statements inside an index, as BuildKit writes them: which signature makes them count, and which does not.

use serde_json::{Value, json};

use super::scene::{BUNDLE, IN_TOTO, INDEX, MANIFEST, Report, Scene, TYPE, bundle, message_bundle, statement};

/// An index of one platform with an attestation manifest that holds one bare statement.
struct Built {
    scene: Scene,
    platform: Value,
    evidence: Value,
    index: Value,
}

impl Built {
    fn new() -> Self {
        Self::about(|platform| platform)
    }

    /// `about` says which descriptor the statement is about, given the platform's.
    fn about(about: impl FnOnce(Value) -> Value) -> Self {
        let mut scene = Scene::empty();
        let mut platform = scene.image("platform");
        let statement = statement(TYPE, &[&about(platform.clone())]);
        let layer = scene.blob(IN_TOTO, statement);
        let config = scene.blob("application/vnd.oci.image.config.v1+json", "{}");
        let evidence =
            scene.manifest(&json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}));
        platform["platform"] = json!({"os": "linux", "architecture": "amd64"});
        let mut child = evidence.clone();
        child["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        child["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": platform["digest"],
        });
        let index = scene.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [platform, child]}));
        scene.tag("1", &index);
        Self { scene, platform, evidence, index }
    }

    fn verify(&self, more: &[&str]) -> Report {
        self.scene.verify(more)
    }

    fn sign(&self, about: &Value) {
        self.scene.sign(&self.scene.team, &bare(about), &bare(about));
    }
}

/// A descriptor as `subject` has it.
fn bare(descriptor: &Value) -> Value {
    json!({"mediaType": descriptor["mediaType"], "digest": descriptor["digest"], "size": descriptor["size"]})
}

#[test]
fn nothing_signs_a_statement_for_being_in_the_index() {
    // (refused: unsigned)
    let built = Built::new();
    built.verify(&[]).refused("attestation-missing", Some("unsigned"));
    built.verify(&["--through", "index"]).refused("attestation-missing", Some("unsigned"));
}

#[test]
fn a_signature_over_the_attestation_manifest_makes_its_statements_count() {
    // (accepted)
    let built = Built::new();
    built.sign(&built.evidence);
    let report = built.verify(&[]);
    report.accepted();
    assert_eq!(report.json["attestations"][0]["through"], built.evidence["digest"]);
    // The same as a signature over the manifest's bytes.
    let built = Built::new();
    let bytes = std::fs::read(built.scene.file_of(&built.evidence)).unwrap();
    built.scene.hang(&bare(&built.evidence), BUNDLE, message_bundle(&built.scene.team, &bytes).to_string());
    built.verify(&[]).accepted();
}

#[test]
fn another_keys_signature_over_the_attestation_manifest_does_not_count() {
    // (refused: signature-invalid, unsigned)
    let built = Built::new();
    built.scene.sign(&built.scene.other, &bare(&built.evidence), &bare(&built.evidence));
    assert_eq!(built.verify(&[]).refused_whatever().rejected(), ["signature-invalid", "unsigned"]);
}

#[test]
fn an_sbom_about_the_attestation_manifest_is_no_signature_of_its_layers() {
    // (refused: predicate-type-mismatch, unsigned)
    for type_name in ["https://spdx.dev/Document/v2.3", TYPE, "https://slsa.dev/provenance/v1"] {
        let built = Built::new();
        let evidence = bare(&built.evidence);
        let document = bundle(&built.scene.team, &statement(type_name, &[&evidence]));
        built.scene.hang(&evidence, BUNDLE, document.to_string());
        assert_eq!(built.verify(&[]).refused_whatever().rejected(), ["predicate-type-mismatch", "unsigned"]);
    }
}

#[test]
fn a_signature_on_the_attestation_manifest_about_something_else_does_not_count() {
    // (refused: subject-mismatch, unsigned)
    let built = Built::new();
    for about in [&built.platform, &built.index] {
        built.scene.sign(&built.scene.team, &bare(about), &bare(&built.evidence));
    }
    assert_eq!(built.verify(&["--through", "index"]).refused_whatever().rejected(), ["subject-mismatch", "unsigned"]);
}

#[test]
fn a_signature_over_the_index_counts_only_where_it_is_asked_for() {
    // (refused: unsigned; accepted)
    let built = Built::new();
    built.sign(&built.index);
    built.verify(&[]).refused("attestation-missing", Some("unsigned"));
    let report = built.verify(&["--through", "index"]);
    report.accepted();
    assert_eq!(report.json["attestations"][0]["through"], built.index["digest"]);
    assert_eq!(report.json["attestations"].as_array().unwrap().len(), 1);
}

#[test]
fn a_signature_over_the_platforms_manifest_never_signs_statements_about_it() {
    // (refused: unsigned)
    let built = Built::new();
    built.sign(&built.platform);
    built.verify(&[]).refused("attestation-missing", Some("unsigned"));
    built.verify(&["--through", "index"]).refused("attestation-missing", Some("unsigned"));
    built.scene.verify_as("signature", &[]).accepted();
}

#[test]
fn a_signed_manifest_does_not_lend_its_statement_to_another_image() {
    // (refused: subject-mismatch)
    let built = Built::about(|platform| {
        let mut other = platform;
        other["digest"] = format!("sha256:{}", "1".repeat(64)).into();
        other
    });
    built.sign(&built.evidence);
    built.verify(&[]).refused("attestation-missing", Some("subject-mismatch"));
    let scene = &built.scene;
    scene.sign(&scene.team, &bare(&built.index), &bare(&built.index));
    built.verify(&["--through", "index"]).refused("attestation-missing", Some("subject-mismatch"));
}

#[test]
fn a_signature_over_one_index_does_not_reach_the_manifests_of_another() {
    // (refused: unsigned)
    let mut built = Built::new();
    // The attestation manifest is put into a second index, whose own children the signed index never named.
    let signed = built.index.clone();
    let platform = built.platform.clone();
    let mut child = built.evidence.clone();
    child["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    child["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [platform, child], "annotations": {"a": "b"},
    });
    let second = built.scene.manifest(&index);
    built.scene.tag("2", &second);
    built.sign(&signed);
    // Hung on the second index too, where it says that it is about the first.
    built.scene.sign(&built.scene.team, &bare(&signed), &bare(&second));
    let (key, reference) = (built.scene.at("team.pub"), format!("oci:{}:2", built.scene.root().display()));
    let arguments = ["verify", &reference, "--key", &key, "--type", TYPE, "--through", "index", "--output", "json"];
    let report = Report::of(built.scene.run_in_vain(&arguments));
    assert_eq!(report.refused_whatever().rejected(), ["subject-mismatch", "unsigned"]);
}
