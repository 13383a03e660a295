//! Whose evidence it is: statements, referrers and keys that are right and about something else.

use attestry::digest::{Digest, DigestAlgorithm};
use serde_json::json;

use super::scene::{BUNDLE, Report, Scene, TYPE, bundle, message_bundle, signature, statement, subject};

#[test]
fn another_images_attestation_does_not_count() {
    // (refused: subject-mismatch)
    let scene = Scene::new();
    let other = scene.image("two");
    scene.attest(&scene.team, &other, &scene.image);
    let report = scene.verify(&[]);
    report.refused("attestation-missing", Some("subject-mismatch"));
    let candidate = &report.json["requirements"][0]["candidates"][0];
    assert_eq!((&candidate["expected"], &candidate["got"]), (&scene.image["digest"], &other["digest"]));
}

#[test]
fn a_statement_about_the_image_among_others_counts() {
    // (accepted)
    let scene = Scene::new();
    let other = scene.image("two");
    scene.hang(&scene.image, BUNDLE, bundle(&scene.team, &statement(TYPE, &[&other, &scene.image])).to_string());
    scene.verify(&[]).accepted();
}

#[test]
fn a_statement_without_subjects_is_about_nothing() {
    // (refused: subject-empty)
    let scene = Scene::new();
    scene.hang(&scene.image, BUNDLE, bundle(&scene.team, &statement(TYPE, &[])).to_string());
    scene.verify(&[]).refused("attestation-missing", Some("subject-empty"));
}

#[test]
fn subjects_without_a_digest_that_decides_are_about_nothing() {
    // (refused: subject-mismatch)
    let hex = |scene: &Scene| subject(&scene.image)["digest"]["sha256"].as_str().unwrap().to_owned();
    for make in [
        |_: &str| json!({"name": "image"}),
        |_: &str| json!({"name": "image", "digest": {}}),
        |hex: &str| json!({"digest": {"sha1": &hex[..40]}}),
        |hex: &str| json!({"digest": {"md5": hex}}),
        |hex: &str| json!({"digest": {"SHA256": hex}}),
        |hex: &str| json!({"digest": {"sha256": hex.to_uppercase()}}),
        |hex: &str| json!({"digest": {"sha256": &hex[..63]}}),
        |hex: &str| json!({"digest": {"sha256": format!("{hex} ")}}),
        |hex: &str| json!({"digest": {"sha256": format!("sha256:{hex}")}}),
        // One right and one wrong digest that both decide.
        |hex: &str| json!({"digest": {"sha256": hex, "sha512": "0".repeat(128)}}),
    ] {
        let scene = Scene::new();
        let subject = make(&hex(&scene));
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1", "subject": [subject], "predicateType": TYPE, "predicate": {},
        });
        scene.hang(&scene.image, BUNDLE, bundle(&scene.team, &statement.to_string()).to_string());
        let report = scene.verify(&[]);
        assert_eq!(report.rejected(), ["subject-mismatch"], "{subject}");
        report.refused("attestation-missing", Some("subject-mismatch"));
    }
}

#[test]
fn every_digest_that_a_subject_gives_of_a_platform_has_to_be_right() {
    // (accepted; refused: subject-mismatch)
    let mut scene = Scene::empty();
    let leaf = scene.image("leaf");
    let index = scene.manifest(&json!({"schemaVersion": 2, "mediaType": super::scene::INDEX, "manifests": [leaf]}));
    scene.tag("1", &index);
    let bytes = std::fs::read(scene.file_of(&leaf)).unwrap();
    let right = Digest::of(DigestAlgorithm::Sha512, &bytes);
    let attest = |sha512: &str| {
        let mut subject = subject(&leaf);
        subject["digest"]["sha512"] = sha512.into();
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1", "subject": [subject], "predicateType": TYPE, "predicate": {},
        });
        scene.hang(&leaf, BUNDLE, bundle(&scene.team, &statement.to_string()).to_string());
    };
    attest(&"0".repeat(128));
    scene.verify(&[]).refused("attestation-missing", Some("subject-mismatch"));
    attest(right.hex());
    scene.verify(&[]).accepted();
}

#[test]
fn a_manifest_listed_for_the_image_that_points_elsewhere_does_not_count() {
    // (refused: referrer-subject-mismatch)
    for points_at_something in [true, false] {
        let mut scene = Scene::new();
        let other = scene.image("two");
        let subject = if points_at_something { other } else { json!(null) };
        // What it holds is signed by the right key and about the right image.
        let lying = scene.attest(&scene.team, &scene.image, &subject);
        scene.verify(&[]).refused("attestation-missing", None);
        scene.list_as_referrers(&scene.image.clone(), &[lying]);
        scene.verify(&[]).refused("attestation-missing", Some("referrer-subject-mismatch"));
    }
}

#[test]
fn a_lying_listing_does_not_hide_the_same_manifest_where_it_belongs() {
    // (accepted)
    let mut scene = Scene::empty();
    let leaf = scene.image("leaf");
    let inner = scene.manifest(&json!({
        "schemaVersion": 2, "mediaType": super::scene::INDEX, "manifests": [leaf],
    }));
    let root = scene.manifest(&json!({
        "schemaVersion": 2, "mediaType": super::scene::INDEX, "manifests": [inner],
    }));
    scene.tag("1", &root);
    let honest = scene.attest(&scene.team, &leaf, &leaf);
    scene.verify(&[]).accepted();
    // Listed for the outer index first, where it does not belong; then found on the leaf.
    scene.list_as_referrers(&root, &[honest]);
    let report = scene.verify(&[]);
    assert_eq!(report.rejected(), ["referrer-subject-mismatch"], "{report:#?}");
    report.accepted();
}

#[test]
fn a_threshold_counts_keys_over_one_statement() {
    // (accepted; refused: threshold-unmet)
    let both = |scene: &Scene| {
        let (first, second) = (scene.at("team.pub"), scene.at("other.pub"));
        let reference = scene.reference();
        let arguments = ["verify", &reference, "--key", &first, "--key", &second, "--type", TYPE, "--threshold", "2"];
        Report::of(scene.run_in_vain(&[&arguments[..], &["--output", "json"]].concat()))
    };
    let scene = Scene::new();
    let one = statement(TYPE, &[&scene.image]);
    scene.hang(&scene.image, BUNDLE, bundle(&scene.team, &one).to_string());
    // The same key again in another bundle is the same key.
    scene.hang(&scene.image, BUNDLE, bundle(&scene.team, &one).to_string());
    both(&scene).refused("threshold-unmet", None);
    // Another statement by the other key is another statement.
    let other = format!("{one} ");
    scene.hang(&scene.image, BUNDLE, bundle(&scene.other, &other).to_string());
    both(&scene).refused("threshold-unmet", None);
    scene.hang(&scene.image, BUNDLE, bundle(&scene.other, &one).to_string());
    both(&scene).accepted();
}

#[test]
fn a_threshold_that_the_keys_cannot_meet_is_a_wrong_question() {
    // (refused: argument-invalid)
    let scene = Scene::new();
    let copy = scene.file("copy.pub", scene.team.public_key().to_pem());
    let (reference, key) = (scene.reference(), scene.at("team.pub"));
    let arguments = ["verify", &reference, "--key", &key, "--key", &copy, "--type", TYPE, "--threshold", "2"];
    scene.run_in_vain(&arguments).says(2, "argument-invalid").names("1 distinct keys");
}

#[test]
fn an_image_signature_about_another_image_does_not_count() {
    // (refused: subject-mismatch)
    let scene = Scene::new();
    let other = scene.image("two");
    scene.sign(&scene.team, &other, &scene.image);
    scene.verify_as("signature", &[]).refused("attestation-missing", Some("subject-mismatch"));
    scene.sign(&scene.team, &scene.image, &scene.image);
    scene.verify_as("signature", &[]).accepted();
}

#[test]
fn an_attestation_is_no_image_signature_and_a_signature_no_attestation() {
    // (refused: attestation-missing)
    let scene = Scene::new();
    scene.attest(&scene.team, &scene.image, &scene.image);
    scene.verify_as("signature", &[]).refused("attestation-missing", None);
    let scene = Scene::new();
    scene.sign(&scene.team, &scene.image, &scene.image);
    scene.verify(&[]).refused("attestation-missing", None);
}

#[test]
fn a_message_signature_counts_for_the_bytes_of_the_manifest_alone() {
    // (accepted; refused: signature-invalid)
    let scene = Scene::new();
    let other = std::fs::read(scene.file_of(&scene.image("two"))).unwrap();
    scene.hang(&scene.image, BUNDLE, message_bundle(&scene.team, &other).to_string());
    scene.verify_as("signature", &[]).refused("attestation-missing", Some("signature-invalid"));
    let own = std::fs::read(scene.file_of(&scene.image)).unwrap();
    scene.hang(&scene.image, BUNDLE, message_bundle(&scene.team, &own).to_string());
    scene.verify_as("signature", &[]).accepted();
}

#[test]
fn a_signature_over_nothing_signs_no_platform() {
    // (refused: signature-invalid)
    let mut scene = Scene::empty();
    let leaf = scene.image("leaf");
    let index = scene.manifest(&json!({"schemaVersion": 2, "mediaType": super::scene::INDEX, "manifests": [leaf]}));
    scene.tag("1", &index);
    // Whoever can have an empty file signed (`sign-blob` of an empty log) must not have signed an image.
    scene.hang(&leaf, BUNDLE, message_bundle(&scene.team, b"").to_string());
    let report = scene.verify_as("signature", &[]);
    assert_ne!(report.json["verdict"], "accepted", "{report:#?}");
    assert_ne!(report.ended.code, 0);
}

#[test]
fn a_message_signature_over_a_platforms_manifest_counts_for_it() {
    // (accepted)
    let mut scene = Scene::empty();
    let leaf = scene.image("leaf");
    let index = scene.manifest(&json!({"schemaVersion": 2, "mediaType": super::scene::INDEX, "manifests": [leaf]}));
    scene.tag("1", &index);
    let bytes = std::fs::read(scene.file_of(&leaf)).unwrap();
    scene.hang(&leaf, BUNDLE, message_bundle(&scene.team, &bytes).to_string());
    scene.verify_as("signature", &[]).accepted();
}

#[test]
fn a_simple_signing_payload_of_another_type_or_image_is_no_image_signature() {
    // (accepted; refused: predicate-type-mismatch, subject-mismatch, unsigned)
    let payload = |kind: &str, digest: &str| {
        json!({"critical": {"identity": {"docker-reference": ""}, "image": {"docker-manifest-digest": digest}, "type": kind}, "optional": null})
            .to_string()
    };
    let kind = "cosign container image signature";
    let hang = |scene: &Scene, payload: &str, signed: bool| {
        let mut layer = scene.blob("application/vnd.dev.cosign.simplesigning.v1+json", payload);
        if signed {
            let signature = signature(&scene.team, payload.as_bytes());
            let signature = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, signature);
            layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
        }
        scene.artifact(&scene.image, &[layer]);
    };
    let cases = [
        ("atomic container signature", false, true, Some("predicate-type-mismatch")),
        (kind, true, true, Some("subject-mismatch")),
        (kind, false, false, Some("unsigned")),
        (kind, false, true, None),
    ];
    for (kind, of_another, signed, code) in cases {
        let scene = Scene::new();
        let about = if of_another { scene.image("two") } else { scene.image.clone() };
        hang(&scene, &payload(kind, about["digest"].as_str().unwrap()), signed);
        let report = scene.verify_as("signature", &[]);
        match code {
            Some(code) => report.refused("attestation-missing", Some(code)),
            None => report.accepted(),
        };
    }
}
