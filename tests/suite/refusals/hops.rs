//! Bare statements inside an index, as BuildKit writes them: which signature makes them count, and which does not.

use serde_json::{Value, json};

use super::scene::{BUNDLE, IN_TOTO, INDEX, MANIFEST, Report, Scene, TYPE, bundle, message_bundle, statement, text};
use crate::support::peer::{installed, peer};

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

/// Kinds of the links of the first attestation.
fn kinds(report: &Report) -> Vec<&str> {
    report.json["attestations"][0]["chain"].as_array().unwrap().iter().map(|link| text(&link["kind"])).collect()
}

#[test]
fn each_way_to_a_statement_is_printed_link_by_link() {
    // (accepted)
    let built = Built::new();
    built.sign(&built.evidence);
    let report = built.verify(&[]);
    assert_eq!(kinds(report.accepted()), ["signature", "attestation-manifest", "layer", "statement", "subject"]);
    let built = Built::new();
    built.sign(&built.index);
    let report = built.verify(&["--through", "index"]);
    assert_eq!(
        kinds(report.accepted()),
        ["signature", "index", "attestation-manifest", "layer", "statement", "subject"]
    );
    let chain = &report.json["attestations"][0]["chain"];
    for (link, descriptor) in [(&chain[1], &built.index), (&chain[2], &built.evidence)] {
        assert_eq!((&link["digest"], &link["size"]), (&descriptor["digest"], &descriptor["size"]));
    }
    assert_eq!(chain[5]["digest"], built.platform["digest"]);
    let scene = Scene::new();
    scene.attest(&scene.team, &scene.image, &scene.image);
    assert_eq!(kinds(scene.verify(&[]).accepted()), ["signature", "statement", "subject"]);
}

#[test]
fn a_message_signature_over_the_image_is_led_to_without_a_statement() {
    // (accepted)
    let scene = Scene::new();
    let bytes = std::fs::read(scene.file_of(&scene.image)).unwrap();
    scene.hang(&scene.image, BUNDLE, message_bundle(&scene.team, &bytes).to_string());
    let report = scene.verify_as("signature", &[]);
    let entry = &report.accepted().json["signatures"][0];
    assert_eq!((&entry["form"], &entry["layout"]), (&json!("message-signature"), &json!("referrer")));
    let kinds: Vec<&str> = entry["chain"].as_array().unwrap().iter().map(|link| text(&link["kind"])).collect();
    assert_eq!(kinds, ["signature", "subject"]);
    assert_eq!(report.json["requirements"][0]["signatures"], json!([0]));
    // The same over other bytes. (refused: signature-invalid)
    let scene = Scene::new();
    scene.hang(&scene.image, BUNDLE, message_bundle(&scene.team, b"other bytes").to_string());
    scene.verify_as("signature", &[]).refused("attestation-missing", Some("signature-invalid"));
}

/// An image with an attestation manifest, made with one of its links broken.
#[derive(Default)]
struct Broken {
    /// What the attestation manifest says of its layer in place of the truth.
    layer: Option<Change>,
    /// What the index says of the attestation manifest.
    child: Option<Change>,
}

type Change = fn(&mut Value);

impl Broken {
    /// Signs the attestation manifest and the index as they are then: the signatures are good.
    fn verify(self, more: &[&str]) -> Report {
        let mut scene = Scene::empty();
        let mut platform = scene.image("platform");
        let mut layer = scene.blob(IN_TOTO, statement(TYPE, &[&platform]));
        if let Some(change) = self.layer {
            change(&mut layer);
        }
        let config = scene.blob("application/vnd.oci.image.config.v1+json", "{}");
        let evidence =
            scene.manifest(&json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}));
        platform["platform"] = json!({"os": "linux", "architecture": "amd64"});
        let mut child = evidence.clone();
        child["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        child["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": platform["digest"],
        });
        if let Some(change) = self.child {
            change(&mut child);
        }
        let index = scene.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [platform, child]}));
        scene.tag("1", &index);
        for about in [&evidence, &index] {
            scene.sign(&scene.team, &bare(about), &bare(about));
        }
        scene.verify(more)
    }
}

#[test]
fn a_signed_manifest_that_lies_about_its_layer_leads_to_nothing() {
    // (refused: size-mismatch; undecided: not-found) Digest and size are checked before the layer is read.
    Broken::default().verify(&[]).accepted();
    Broken { layer: Some(|layer| layer["size"] = 7.into()), ..Broken::default() }
        .verify(&[])
        .refused("attestation-missing", Some("size-mismatch"));
    let elsewhere = |layer: &mut Value| layer["digest"] = format!("sha256:{}", "1".repeat(64)).into();
    Broken { layer: Some(elsewhere), ..Broken::default() }.verify(&[]).undecided("attestation-missing", "not-found");
}

#[test]
fn a_layer_that_was_swapped_is_not_read() {
    // (refused: digest-mismatch)
    let built = Built::new();
    built.sign(&built.evidence);
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(built.scene.file_of(&built.evidence)).unwrap()).unwrap();
    let path = built.scene.file_of(&manifest["layers"][0]);
    let forged = std::fs::read_to_string(&path).unwrap().replace("true", "9999");
    std::fs::write(&path, forged).unwrap();
    built.verify(&[]).refused("attestation-missing", Some("digest-mismatch"));
}

#[test]
fn a_signed_index_that_lies_about_the_attestation_manifest_leads_to_nothing() {
    // (refused: size-mismatch) Both signatures are good.
    for more in [&[][..], &["--through", "index"]] {
        Broken { child: Some(|child| child["size"] = 7.into()), ..Broken::default() }
            .verify(more)
            .refused("attestation-missing", Some("size-mismatch"));
    }
}

#[test]
fn an_attestation_manifest_that_was_swapped_is_not_what_was_signed() {
    // (refused: unsigned, subject-mismatch) Its layers are those of the signed one, and one more.
    let built = Built::new();
    built.sign(&built.evidence);
    let mut manifest: Value =
        serde_json::from_slice(&std::fs::read(built.scene.file_of(&built.evidence)).unwrap()).unwrap();
    manifest["annotations"] = json!({"a": "b"});
    let second = built.scene.manifest(&manifest);
    let mut scene = built.scene;
    // The signature is hung on the second one as well, and says what it always said.
    scene.sign(&scene.team, &bare(&built.evidence), &bare(&second));
    let mut child = second;
    child["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    child["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": built.platform["digest"],
    });
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [built.platform, child]});
    let index = scene.manifest(&index);
    scene.tag("2", &index);
    let (key, reference) = (scene.at("team.pub"), format!("oci:{}:2", scene.root().display()));
    let report =
        Report::of(scene.run_in_vain(&["verify", &reference, "--key", &key, "--type", TYPE, "--output", "json"]));
    assert_eq!(report.refused_whatever().rejected(), ["subject-mismatch", "unsigned"]);
}

#[test]
fn a_statement_about_one_platform_does_not_count_for_another_however_it_is_carried() {
    // (refused: platform-missing)
    let mut scene = Scene::empty();
    let (mut amd64, mut arm64) = (scene.image("amd64"), scene.image("arm64"));
    let layer = scene.blob(IN_TOTO, statement(TYPE, &[&amd64]));
    let config = scene.blob("application/vnd.oci.image.config.v1+json", "{}");
    let evidence =
        scene.manifest(&json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}));
    amd64["platform"] = json!({"os": "linux", "architecture": "amd64"});
    arm64["platform"] = json!({"os": "linux", "architecture": "arm64"});
    let mut child = evidence.clone();
    child["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    // The index says that the evidence is about the other platform; the statement decides.
    child["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": arm64["digest"],
    });
    let index = scene.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [amd64, arm64, child]}));
    scene.tag("1", &index);
    scene.sign(&scene.team, &bare(&evidence), &bare(&evidence));
    scene.verify(&["--platform", "linux/arm64"]).refused("platform-missing", None);
    let report = scene.verify(&[]);
    assert_eq!(report.refused("platform-missing", None).json["attestations"][0]["covers"], json!(["linux/amd64"]));
}

#[test]
fn a_message_signature_that_cosign_makes_over_a_manifest_signs_it() {
    // (accepted; refused: signature-invalid)
    if !installed("cosign") {
        return;
    }
    let scene = Scene::new();
    let prefix = scene.at("imported");
    peer("cosign", ["import-key-pair", "--key", &scene.at("team.key"), "--output-key-prefix", &prefix]).succeeds();
    let config = scene.file("config.json", peer("cosign", ["signing-config", "create"]).succeeds().text());
    let root = scene.file("root.json", peer("cosign", ["trusted-root", "create"]).succeeds().text());
    let (key, bundle) = (format!("{prefix}.key"), scene.at("bundle.json"));
    let manifest = scene.file_of(&scene.image).display().to_string();
    let with = ["--signing-config", &config, "--trusted-root", &root, "--bundle", &bundle];
    peer("cosign", [&["sign-blob", "--yes", "--key", &key][..], &with, &[&manifest]].concat()).succeeds();
    scene.hang(&scene.image, BUNDLE, std::fs::read(&bundle).unwrap());
    let report = scene.verify_as("signature", &[]);
    assert_eq!(report.accepted().json["signatures"][0]["form"], "message-signature");
    // A statement that hangs beside it is not signed by it.
    scene.hang(&scene.image, IN_TOTO, statement(TYPE, &[&scene.image]));
    scene.verify(&[]).refused("attestation-missing", Some("unsigned"));
    // The same bundle on another image.
    let mut other = Scene::empty();
    let image = other.image("another");
    other.tag("1", &image);
    other.hang(&image, BUNDLE, std::fs::read(&bundle).unwrap());
    let (reference, key) = (other.reference(), scene.at("team.pub"));
    let arguments = ["verify", &reference, "--key", &key, "--type", "signature", "--output", "json"];
    Report::of(other.run_in_vain(&arguments)).refused("attestation-missing", Some("signature-invalid"));
}
