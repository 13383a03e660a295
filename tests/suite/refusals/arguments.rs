//! Questions that cannot be answered because they were asked wrongly, or about something that is not there.

use super::scene::{Scene, TYPE};
use crate::support::program::run;

/// Runs `verify` on a reference with the scene's key and type.
fn verify(scene: &Scene, reference: &str, more: &[&str]) -> crate::support::program::Ended {
    let key = scene.at("team.pub");
    let first = ["verify", reference, "--key", &key, "--type", TYPE];
    scene.run_in_vain(&[&first[..], more].concat())
}

#[test]
fn nothing_demanded_or_nobody_trusted_is_a_wrong_question() {
    // (refused: argument-invalid)
    let scene = Scene::new();
    let (reference, key) = (scene.reference(), scene.at("team.pub"));
    scene.attest(&scene.team, &scene.image, &scene.image);
    scene.run_in_vain(&["verify", &reference, "--key", &key]).says(2, "argument-invalid").names("--type");
    scene.run_in_vain(&["verify", &reference, "--type", TYPE]).says(2, "argument-invalid").names("--key");
    scene.run_in_vain(&["verify", &reference]).says(2, "argument-invalid");
    assert_eq!(run(&["verify"]).code, 2);
    assert_eq!(run(&["verfy"]).code, 2);
}

#[test]
fn a_threshold_of_nothing_is_a_wrong_question() {
    // (refused: argument-invalid)
    let scene = Scene::new();
    verify(&scene, &scene.reference(), &["--threshold", "0"]).says(2, "argument-invalid").names("accepts everything");
    assert_eq!(verify(&scene, &scene.reference(), &["--threshold", "-1"]).code, 2);
    verify(&scene, &scene.reference(), &["--threshold", "2"]).says(2, "argument-invalid").names("never be met");
}

#[test]
fn a_mistyped_type_suggests_the_right_one() {
    // (refused: predicate-type-invalid)
    let scene = Scene::new();
    let (reference, key) = (scene.reference(), scene.at("team.pub"));
    let ended = scene.run_in_vain(&["verify", &reference, "--key", &key, "--type", "spxd"]);
    ended.says(2, "predicate-type-invalid").names("did you mean spdx?");
    let ended = scene.run_in_vain(&["verify", &reference, "--key", &key, "--type", "zzzzzzzz"]);
    ended.says(2, "predicate-type-invalid").names("openvex");
    let ended = scene.run_in_vain(&["download", &reference, "--type", "openvx"]);
    ended.says(2, "predicate-type-invalid").names("did you mean openvex?");
}

#[test]
fn a_platform_that_is_none_or_not_there_is_named() {
    // (refused: argument-invalid, platform-missing, platform-unknown)
    let mut scene = Scene::new();
    verify(&scene, &scene.reference(), &["--platform", "linux"]).says(2, "argument-invalid").names("linux/amd64");
    let leaf = with_platform(&scene.image("leaf"), "amd64");
    let index = scene.manifest(&serde_json::json!({
        "schemaVersion": 2, "mediaType": super::scene::INDEX, "manifests": [leaf],
    }));
    scene.tag("multi", &index);
    scene.attest(&scene.team, &index, &index);
    let reference = format!("oci:{}:multi", scene.root().display());
    assert_eq!(verify(&scene, &reference, &["--platform", "linux/amd64"]).code, 0);
    let ended = verify(&scene, &reference, &["--platform", "linux/s390x", "--output", "json"]);
    assert_eq!(ended.code, 1);
    assert!(ended.out.contains("\"platform-missing\"") && ended.out.contains("linux/s390x"), "{}", ended.out);
    let (predicate, key) = (scene.at("predicate.json"), scene.at("team.key"));
    let attest = |more: &[&str]| {
        let words = ["attest", &reference, "--predicate", &predicate, "--type", TYPE, "--key", &key];
        scene.run_in_vain(&[&words[..], more].concat())
    };
    attest(&["--platform", "linux/s390x"]).says(2, "platform-unknown").names("linux/amd64");
    attest(&["--layout", "index-artifact"]).says(2, "platform-needed").names("--each-platform");
}

fn with_platform(descriptor: &serde_json::Value, architecture: &str) -> serde_json::Value {
    let mut descriptor = descriptor.clone();
    descriptor["platform"] = serde_json::json!({"os": "linux", "architecture": architecture});
    descriptor
}

#[test]
fn references_that_cannot_be_opened_are_refused() {
    // (refused: reference-invalid)
    let scene = Scene::new();
    for reference in ["", "oci:", "ftp://registry.example/app", "registry.example/UPPER", "registry.example/app:?"] {
        verify(&scene, reference, &[]).says(2, "reference-invalid");
    }
    let upper = format!("oci:{}@sha256:{}", scene.root().display(), "A".repeat(64));
    verify(&scene, &upper, &[]).says(2, "reference-invalid").names("lower-case hex");
}

#[test]
fn a_layout_of_several_images_asks_which() {
    // (refused: tag-ambiguous)
    let mut scene = Scene::new();
    let other = scene.image("two");
    scene.tag("2", &other);
    let folder = format!("oci:{}", scene.root().display());
    verify(&scene, &folder, &[]).says(2, "tag-ambiguous").names(&format!("{folder}:1")).names(&format!("{folder}:2"));
}

#[test]
fn what_is_not_there_is_not_found() {
    // (refused: not-found)
    let scene = Scene::new();
    let folder = format!("oci:{}", scene.root().display());
    verify(&scene, &format!("{folder}:3"), &[]).says(3, "not-found").names("tag 3");
    let absent = format!("{folder}@sha256:{}", "0".repeat(64));
    verify(&scene, &absent, &[]).says(3, "not-found");
    let reference = scene.reference();
    let ended = scene.run_in_vain(&["download", &reference, "--type", TYPE]);
    ended.says(1, "type-absent").names(TYPE);
}

#[test]
fn a_folder_that_is_no_layout_is_refused() {
    // (refused: layout-invalid)
    let scene = Scene::new();
    let beside = scene.path("some");
    std::fs::create_dir(&beside).unwrap();
    verify(&scene, &format!("oci:{}", beside.display()), &[]).says(3, "layout-invalid").names("oci-layout");
    verify(&scene, &format!("oci:{}", scene.at("absent")), &[]).says(3, "layout-invalid");
    for (name, content) in [
        ("oci-layout", "{}"),
        ("oci-layout", "{\"imageLayoutVersion\":\"2.0.0\"}"),
        ("index.json", ""),
        ("index.json", "[]"),
        ("index.json", "{\"schemaVersion\":1,\"manifests\":[]}"),
        ("index.json", "{\"schemaVersion\":2,\"manifests\":[],\"manifests\":[]}"),
        ("index.json", "{\"schemaVersion\":2,\"manifests\":[]} {}"),
    ] {
        let scene = Scene::new();
        std::fs::write(scene.root().join(name), content).unwrap();
        verify(&scene, &scene.reference(), &[]).says(3, "layout-invalid");
    }
    let scene = Scene::new();
    std::fs::remove_file(scene.root().join("index.json")).unwrap();
    verify(&scene, &scene.reference(), &[]).says(3, "layout-invalid").names("index.json is missing");
}

#[test]
fn a_predicate_that_is_none_is_not_signed() {
    // (refused: json-invalid, json-duplicate-key, predicate-invalid, file-unreadable)
    let scene = Scene::new();
    let (reference, key) = (scene.reference(), scene.at("team.key"));
    let attest = |content: &[u8], type_name: &str| {
        let path = scene.file("some.json", content);
        scene.run_in_vain(&["attest", &reference, "--predicate", &path, "--type", type_name, "--key", &key])
    };
    attest(b"{", TYPE).says(1, "json-invalid").names("nothing was signed");
    attest(b"{\"a\":1,\"a\":2}", TYPE).says(1, "json-duplicate-key");
    attest(b"{\"a\":\"\xff\"}", TYPE).says(1, "json-invalid");
    attest("[".repeat(200).as_bytes(), TYPE).says(1, "json-too-deep");
    attest(b"{\"ok\":true}", "openvex").says(1, "predicate-invalid").names("@context");
    let absent = scene.at("absent.json");
    let ended = scene.run_in_vain(&["attest", &reference, "--predicate", &absent, "--type", TYPE, "--key", &key]);
    ended.says(2, "file-unreadable").names(&absent);
}

#[test]
fn a_bundle_file_that_is_none_or_about_another_image_is_not_attached() {
    // (refused: json-invalid, bundle-invalid, subject-mismatch)
    let scene = Scene::new();
    let reference = scene.reference();
    let attach = |content: &str| {
        let path = scene.file("some.bundle", content);
        scene.run_in_vain(&["attach", &reference, "--bundle", &path])
    };
    attach("no json").says(1, "json-invalid");
    attach("{}").says(1, "bundle-invalid");
    let other = scene.image("two");
    let bundle = super::scene::bundle(&scene.team, &super::scene::statement(TYPE, &[&other]));
    attach(&bundle.to_string()).says(1, "subject-mismatch").names("nothing was written");
}

#[test]
fn the_network_is_not_used_when_it_is_switched_off() {
    // (refused: offline)
    let scene = Scene::new();
    let server = crate::support::registry::TestRegistry::start(crate::support::registry::Faults::default());
    verify(&scene, &format!("{}/app:1", server.host()), &["--offline"]).says(2, "offline");
    assert!(server.seen().is_empty());
    // A layout needs none.
    scene.attest(&scene.team, &scene.image, &scene.image);
    assert_eq!(verify(&scene, &scene.reference(), &["--offline"]).code, 0);
}

#[test]
fn of_several_images_the_gravest_answer_wins() {
    // (accepted and refused)
    let mut scene = Scene::new();
    scene.attest(&scene.team, &scene.image, &scene.image);
    let other = scene.image("two");
    scene.tag("2", &other);
    let key = scene.at("team.pub");
    let reference = |tag: &str| format!("oci:{}:{tag}", scene.root().display());
    for (tags, code) in [(["1", "1"], 0), (["1", "3"], 3), (["3", "2"], 1), (["2", "1"], 1)] {
        let (first, second) = (reference(tags[0]), reference(tags[1]));
        let ended = scene.run_in_vain(&["verify", &first, &second, "--key", &key, "--type", TYPE, "-q"]);
        assert_eq!(ended.code, code, "{tags:?} {ended:?}");
    }
}
