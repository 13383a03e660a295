//! Taking attached documents off, in every layout and every kind of place.

use serde_json::{Value, json};

use crate::interop::Cosign;
use crate::round_trip::{OPENVEX, SLSA, SPDX, attest, list_in_detail as list, verify};
use crate::support::command::{Ran, Scratch, attestry};
use crate::support::image::{Place, places};
use crate::support::peer::{docker_registry, installed, peer};
use crate::support::registry::{Faults, TestRegistry};

const AMD64: &str = "linux/amd64";

fn detach(image: &str, digests: &[&str], more: &[&str]) -> Ran {
    let select = digests.iter().flat_map(|digest| ["--select", digest]);
    attestry(["detach", image, "--output", "json"].into_iter().chain(select).chain(more.iter().copied()))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Places in which everything can be deleted. Debian's docker-registry deletes nothing as it is installed.
fn places_that_delete() -> Vec<Place> {
    places()
        .into_iter()
        .filter(|place| !matches!(place, Place::Peer(peer) if peer.folder.path().join("config.yml").exists()))
        .collect()
}

fn digests(listed: &Value) -> Vec<String> {
    let entries = listed["attestations"].as_array().unwrap();
    entries.iter().map(|entry| text(&entry["document"]).to_owned()).collect()
}

#[test]
fn one_document_goes_and_the_others_stay_as_they_were() {
    // (accepted) and (refused: attestation-missing)
    let scratch = Scratch::new();
    for place in places_that_delete() {
        for layout in ["referrer", "tag", "index", "index-artifact"] {
            place.push_index(layout);
            let image = place.tagged(layout);
            let more = ["--layout", layout, "--platform", AMD64];
            let mut documents = Vec::new();
            for (wanted, predicate) in [("spdx", SPDX), ("openvex", OPENVEX), ("slsa-provenance", SLSA)] {
                let report = attest(&scratch, &image, wanted, predicate, &more).succeeds().json();
                documents.push(text(&report["attached"][0]["document"]).to_owned());
            }
            let before = place.content();
            let dry = detach(&image, &[&documents[1]], &["--dry-run"]).succeeds().json();
            assert_eq!((&dry["dry_run"], &dry["detached"][0]["document"]), (&json!(true), &json!(documents[1])));
            assert!(place.content() == before, "{image}");
            let report = detach(&image, &[&documents[1]], &[]).succeeds().json();
            assert_eq!(report["schema"], "attestry/detach/v1");
            let listed = list(&image);
            assert_eq!(listed["rejections"], json!([]), "{image}");
            let mut left = digests(&listed);
            left.sort();
            let mut expected = vec![documents[0].clone(), documents[2].clone()];
            expected.sort();
            assert_eq!(left, expected, "{image}");
            let wanted = ["--type", "spdx", "--type", "slsa-provenance", "--platform", AMD64];
            verify(&scratch, "signer", &image, &wanted).succeeds();
            verify(&scratch, "signer", &image, &["--type", "openvex", "--platform", AMD64]).exits(1);
            // The last ones, both at once.
            detach(&image, &[&documents[0], &documents[2]], &[]).succeeds();
            let listed = list(&image);
            assert_eq!((&listed["attestations"], &listed["rejections"]), (&json!([]), &json!([])), "{image}");
            assert_eq!(listed["platforms"].as_array().unwrap().len(), 2, "{image}");
            // And there is room for new ones.
            attest(&scratch, &image, "spdx", SPDX, &more).succeeds();
            verify(&scratch, "signer", &image, &["--type", "spdx", "--platform", AMD64]).succeeds();
        }
    }
}

#[test]
fn a_manifest_goes_with_all_that_it_lists() {
    // (accepted)
    let scratch = Scratch::new();
    let place = Place::in_process();
    place.push_index("1");
    let image = place.tagged("1");
    attest(&scratch, &image, "spdx", SPDX, &["--layout", "tag"]).succeeds();
    attest(&scratch, &image, "openvex", OPENVEX, &["--layout", "tag"]).succeeds();
    let manifest = list(&image)["attestations"][0]["manifest"].clone();
    let report = detach(&image, &[text(&manifest)], &[]).succeeds().json();
    assert_eq!(report["detached"].as_array().unwrap().len(), 2);
    assert_eq!(list(&image)["attestations"], json!([]));
}

#[test]
fn a_digest_that_is_not_there_is_answered_with_those_that_are() {
    // (refused: selection-absent)
    let scratch = Scratch::new();
    let place = Place::folder();
    place.push_index("1");
    let image = place.tagged("1");
    let report = attest(&scratch, &image, "spdx", SPDX, &[]).succeeds().json();
    let there = text(&report["attached"][0]["document"]);
    let absent = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let before = place.content();
    // One that is there does not help the other.
    for digests in [&[absent][..], &[there, absent]] {
        let ran = detach(&image, digests, &[]).exits(1);
        assert!(ran.stderr.contains("error[selection-absent]") && ran.stderr.contains(there), "{}", ran.stderr);
    }
    detach(&image, &["sha256:12"], &[]).exits(2);
    attestry(["detach", &image]).exits(2);
    assert!(place.content() == before);
}

#[test]
fn what_is_signed_goes_only_together_with_its_signature() {
    // (refused: attestation-manifest-signed) and (accepted)
    let scratch = Scratch::new();
    for place in places_that_delete() {
        place.push_index("1");
        let image = place.tagged("1");
        let more = ["--layout", "index-artifact", "--platform", AMD64, "--sign", "manifest"];
        attest(&scratch, &image, "spdx", SPDX, &more).succeeds();
        let listed = list(&image);
        let statement = text(&listed["attestations"][0]["document"]).to_owned();
        let signature = text(&listed["signatures"][0]["manifest"]).to_owned();
        let before = place.content();
        let ran = detach(&image, &[&statement], &[]).exits(1);
        assert!(ran.stderr.contains("error[attestation-manifest-signed]"), "{}", ran.stderr);
        assert!(place.content() == before, "{image}");
        detach(&image, &[&statement, &signature], &[]).succeeds();
        let listed = list(&image);
        assert_eq!((&listed["attestations"], &listed["signatures"]), (&json!([]), &json!([])), "{image}");
    }
}

#[test]
fn a_registry_that_does_not_delete_says_so_or_takes_it_off_the_list() {
    // (refused: delete-unsupported) and (accepted)
    let scratch = Scratch::new();
    let refuses = Place::InProcess(TestRegistry::start(Faults { no_delete: true, ..Faults::default() }));
    let docker = docker_registry(None).map(Place::Peer);
    for place in [Some(refuses), docker].into_iter().flatten() {
        place.push_index("1");
        let image = place.tagged("1");
        attest(&scratch, &image, "spdx", SPDX, &["--layout", "tag"]).succeeds();
        attest(&scratch, &image, "openvex", OPENVEX, &[]).succeeds();
        let listed = list(&image);
        let entries = listed["attestations"].as_array().unwrap();
        let of = |layout: &str| entries.iter().find(|entry| entry["layout"] == layout).unwrap();
        let ran = detach(&image, &[text(&of("tag")["document"])], &[]).exits(3);
        assert!(ran.stderr.contains("error[delete-unsupported]") && ran.stderr.contains("hint: "), "{}", ran.stderr);
        verify(&scratch, "signer", &image, &["--type", "spdx"]).succeeds();
        let ran = detach(&image, &[text(&of("referrer")["document"])], &[]);
        let has_api = matches!(place, Place::InProcess(_));
        if has_api {
            let ran = ran.exits(3);
            assert!(ran.stderr.contains("error[delete-unsupported]"), "{}", ran.stderr);
            verify(&scratch, "signer", &image, &["--type", "openvex"]).succeeds();
        } else {
            let report = ran.succeeds().json();
            assert!(report["warnings"].as_array().unwrap().iter().any(|entry| entry["code"] == "manifest-kept"));
            verify(&scratch, "signer", &image, &["--type", "openvex"]).exits(1);
        }
    }
}

#[test]
fn cosign_and_regctl_see_what_is_left() {
    // (accepted)
    let Some(cosign) = Cosign::new() else { return };
    for place in places_that_delete().into_iter().filter(|place| !matches!(place, Place::Folder(_))) {
        let digest = place.push_index("1").digest().to_string();
        let (image, pinned) = (place.tagged("1"), format!("{}@{digest}", place.name()));
        for layout in ["referrer", "tag"] {
            let mut documents = Vec::new();
            for (wanted, predicate) in [("spdx", SPDX), ("openvex", OPENVEX)] {
                let report =
                    attest(&cosign.scratch, &image, wanted, predicate, &["--layout", layout]).succeeds().json();
                documents.push(text(&report["attached"][0]["document"]).to_owned());
            }
            detach(&image, &[&documents[0]], &[]).succeeds();
            let verify = |wanted: &str| match layout {
                "tag" => cosign.verify_attestation_under_tag("signer", wanted, &pinned),
                _ => cosign.verify_attestation("signer", wanted, &pinned),
            };
            verify("openvex").succeeds();
            verify("spdxjson").fails();
            if layout == "referrer" && installed("regctl") {
                let host = format!("reg={},tls=disabled", place.name().split('/').next().unwrap());
                let ran = peer("regctl", ["--host", &host, "artifact", "list", &pinned, "--format", "body"]).succeeds();
                assert_eq!(ran.json()["manifests"].as_array().unwrap().len(), 1, "{pinned}");
            }
        }
    }
}

#[test]
fn what_the_index_of_another_tag_lists_stays_until_that_lets_it_go() {
    // (accepted)
    let scratch = Scratch::new();
    for place in places_that_delete() {
        let root = place.push_index("1");
        let image = place.tagged("1");
        let more = ["--layout", "index-artifact", "--platform", AMD64];
        let report = attest(&scratch, &image, "spdx", SPDX, &more).succeeds().json();
        let document = text(&report["attached"][0]["document"]).to_owned();
        let second = attestry::reference::Tag::parse("2").unwrap();
        crate::support::image::wait(async {
            let first = attestry::reference::Tag::parse("1").unwrap();
            let selector = attestry::reference::Selector { tag: Some(first), digest: None };
            let store = place.store();
            let index = store.manifest(&selector).await.unwrap();
            store.tag(&index, &second, &attestry::store::Expected::Absent).await.unwrap();
        });
        let report = detach(&image, &[&document], &[]).succeeds().json();
        let codes: Vec<&Value> = report["warnings"].as_array().unwrap().iter().map(|entry| &entry["code"]).collect();
        assert!(codes.contains(&&json!("manifest-shared")), "{codes:?}");
        assert_eq!(list(&image)["attestations"][0]["layout"], "referrer", "{image}");
        // Still there, and not deleted when it is asked for once more.
        detach(&image, &[&document], &[]).succeeds();
        let other = place.tagged("2");
        verify(&scratch, "signer", &other, &["--type", "spdx", "--platform", AMD64]).succeeds();
        assert_eq!(list(&other)["rejections"], json!([]), "{image}");
        // With the last index it goes.
        detach(&other, &[&document], &[]).succeeds();
        for image in [image, other] {
            let listed = list(&image);
            assert_eq!((&listed["attestations"], &listed["rejections"]), (&json!([]), &json!([])), "{image}");
            assert_eq!(listed["platforms"].as_array().unwrap().len(), root.as_index().unwrap().children().len());
        }
    }
}
