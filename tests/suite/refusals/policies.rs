//! Policy files: what is wrong in them, and what they refuse.

use serde_json::{Value, json};

use super::scene::{INDEX, Report, Scene, TYPE};
use crate::support::program::Ended;

fn policy(require: &str) -> String {
    format!(
        "apiVersion: attestry/v1\nkind: Policy\nmetadata: {{name: test}}\nkeys:\n  team: {{publicKey: team.pub}}\n  \
         both: {{publicKeys: [team.pub, other.pub]}}\nimages:\n  - match: \"**\"\n    require:\n{require}"
    )
}

fn with(scene: &Scene, policy: &str) -> Ended {
    let (path, reference) = (scene.file("policy.yaml", policy), scene.reference());
    scene.run_in_vain(&["verify", &reference, "--policy", &path, "--output", "json"])
}

fn demand(more: &str) -> String {
    format!("      - attestation: {{type: \"{TYPE}\", signedBy: team{more}}}\n")
}

#[test]
fn a_demand_that_is_met_is_accepted_and_one_that_is_not_is_refused() {
    // (accepted; refused: attestation-missing)
    let scene = Scene::new();
    Report::of(with(&scene, &policy(&demand("")))).refused("attestation-missing", None);
    scene.attest(&scene.other, &scene.image, &scene.image);
    // The policy knows that key too, so the statement is verified; this demand does not name the key.
    let report = Report::of(with(&scene, &policy(&demand(""))));
    report.refused("attestation-missing", None);
    assert_eq!(report.json["requirements"][0]["candidates"][0]["failed_check"], "signature-invalid");
    scene.attest(&scene.team, &scene.image, &scene.image);
    Report::of(with(&scene, &policy(&demand("")))).accepted();
}

#[test]
fn a_signer_that_the_policy_knows_counts_only_where_it_is_named() {
    // (refused: attestation-missing)
    let scene = Scene::new();
    scene.attest(&scene.other, &scene.image, &scene.image);
    let both = policy(&format!("{}      - attestation: {{type: \"{TYPE}\", signedBy: both}}\n", demand("")));
    let report = Report::of(with(&scene, &both));
    assert_eq!(report.ended.code, 1);
    let status: Vec<&Value> =
        report.json["requirements"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(status, ["unmet", "met"]);
    assert_eq!(report.json["requirements"][0]["candidates"][0]["failed_check"], "signature-invalid");
}

#[test]
fn what_is_wrong_in_a_policy_file_is_named_with_its_place() {
    // (refused: policy-invalid)
    let scene = Scene::new();
    let good = policy(&demand(""));
    for (from, to, place, words) in [
        ("signedBy: team", "signedby: team", ":10:", "signedBy"),
        ("signedBy: team", "signedBy: teem", ":10:", "did you mean `team`?"),
        ("images:", "image:", ":7:", "images"),
        ("kind: Policy", "kind: Polic", ":2:", "Policy"),
        ("attestry/v1", "attestry/v9", ":1:", "attestry/v1"),
        ("    require:", "    insecure: true\n    require:", ":9:", "insecure"),
        ("kind: Policy", "kind: Policy\nkind: Policy", ":3:", "kind"),
        ("{name: test}", "{name: &x test}", ":3:", ""),
        ("- attestation:", "- atestation:", ":10:", "did you mean `attestation`?"),
    ] {
        assert!(good.contains(from));
        let ended = with(&scene, &good.replacen(from, to, 1));
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains("error[policy-invalid]: "), "{}", ended.err);
        assert!(ended.err.contains(&format!("policy.yaml{place}")) && ended.err.contains(words), "{}", ended.err);
        assert_eq!(ended.out, "");
    }
}

#[test]
fn policy_files_that_are_none_are_refused() {
    // (refused: policy-invalid, file-unreadable, too-large)
    let scene = Scene::new();
    for text in ["", "{", "- a\n", "a: *x\n", "\u{0}", "!!binary x", "a: 1\n---\nb: 2\n"] {
        let ended = with(&scene, text);
        assert_eq!(ended.code, 2, "{text:?} {ended:?}");
        assert!(ended.err.contains("error[policy-invalid]"), "{text:?} {}", ended.err);
    }
    let (reference, absent) = (scene.reference(), scene.at("absent.yaml"));
    let ended = scene.run_in_vain(&["verify", &reference, "--policy", &absent]);
    ended.says(2, "file-unreadable").names(&absent);
    let large = format!("{}{}", policy(&demand("")), "#".repeat(1 << 20));
    assert_eq!(with(&scene, &large).code, 2);
}

#[test]
fn the_key_of_a_policy_that_is_not_there_is_named() {
    // (refused: file-unreadable)
    let scene = Scene::new();
    let ended = with(&scene, &policy(&demand("")).replace("{publicKey: team.pub}", "{publicKey: absent.pub}"));
    ended.says(2, "file-unreadable").names("absent.pub");
}

#[test]
fn an_image_that_no_entry_matches_is_refused() {
    // (refused: no-policy-for-image)
    let scene = Scene::new();
    scene.attest(&scene.team, &scene.image, &scene.image);
    let ended = with(&scene, &policy(&demand("")).replace("\"**\"", "registry.example/**"));
    ended.says(1, "no-policy-for-image").names("never let through");
}

#[test]
fn a_threshold_of_a_policy_counts_distinct_keys() {
    // (refused: threshold-unmet, argument-invalid, policy-invalid)
    let scene = Scene::new();
    let both = format!("      - attestation: {{type: \"{TYPE}\", signedBy: both, threshold: 2}}\n");
    scene.attest(&scene.team, &scene.image, &scene.image);
    Report::of(with(&scene, &policy(&both))).refused("threshold-unmet", None);
    scene.attest(&scene.other, &scene.image, &scene.image);
    Report::of(with(&scene, &policy(&both))).accepted();
    // Two files with one key.
    std::fs::copy(scene.path("team.pub"), scene.path("other.pub")).unwrap();
    with(&scene, &policy(&both)).says(2, "argument-invalid").names("1 distinct keys");
    assert!(with(&scene, &policy(&demand(", threshold: 2"))).err.contains("leads to 1 key"));
    assert!(with(&scene, &policy(&demand(", threshold: 0"))).err.contains("policy.yaml:10:"));
}

#[test]
fn a_listed_platform_that_the_image_does_not_have_is_refused() {
    // (refused: platform-missing)
    let mut scene = Scene::empty();
    let mut leaf = scene.image("leaf");
    leaf["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let index = scene.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [leaf]}));
    scene.tag("1", &index);
    scene.attest(&scene.team, &index, &index);
    let listed = |platforms: &str| {
        policy(&demand("")).replace("    require:", &format!("    platforms: [{platforms}]\n    require:"))
    };
    Report::of(with(&scene, &listed("linux/amd64"))).accepted();
    let report = Report::of(with(&scene, &listed("linux/amd64, linux/arm64")));
    report.refused("platform-missing", None);
    assert!(report.message().contains("linux/arm64"), "{report:#?}");
}

#[test]
fn coverage_of_a_policy_is_held() {
    // (refused: platform-missing)
    let mut scene = Scene::empty();
    let leaf = scene.image("leaf");
    let mut child = leaf.clone();
    child["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let index = scene.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}));
    scene.tag("1", &index);
    let verify =
        |scene: &Scene, coverage: &str| Report::of(with(scene, &policy(&demand(&format!(", coverage: {coverage}")))));
    scene.attest(&scene.team, &index, &index);
    verify(&scene, "inherited").accepted();
    verify(&scene, "index").accepted();
    verify(&scene, "own").refused("platform-missing", None);
    scene.attest(&scene.team, &leaf, &leaf);
    verify(&scene, "own").accepted();
}
