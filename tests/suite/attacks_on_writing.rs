//! Images that somebody prepared for whoever writes: what is not ours is neither signed, lost nor broken.

use attestry::content::Blob;
use attestry::digest::Digest;
use attestry::limits::Limits;
use attestry::media_type::MediaType;
use attestry::oci::{Descriptor, Manifest};
use attestry::reference::{Selector, Tag};
use attestry::store::{Expected, Store};
use serde_json::{Value, json};

use crate::round_trip::{OPENVEX, SLSA, SPDX, attest, list_in_detail as list, verify};
use crate::support::command::{Ran, Scratch, attestry, attestry_with};
use crate::support::image::{Place, wait};
use crate::support::registry::{Canned, Faults, TestRegistry};

const AMD64: &str = "linux/amd64";

fn detach(image: &str, digest: &str) -> Ran {
    attestry(["detach", image, "--select", digest, "--output", "json"])
}

fn unsigned(image: &str, wanted: &str, predicate: &str, more: &[&str]) -> Ran {
    let common = ["attest", image, "--predicate", "-", "--type", wanted, "--unsigned", "--output", "json"];
    attestry_with(common.into_iter().chain(more.iter().copied()), predicate.as_bytes())
}

fn document(ran: &Ran) -> String {
    ran.json()["attached"][0]["document"].as_str().unwrap().to_owned()
}

fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

async fn tagged(store: &dyn Store, text: &str) -> Manifest {
    store.manifest(&Selector { tag: Some(tag(text)), digest: None }).await.unwrap()
}

/// Writes another index under the tag `1`.
async fn replace(store: &dyn Store, root: &Manifest, text: Vec<u8>) {
    let blob = Blob::of_bytes(root.blob().media_type().clone(), text);
    store.tag(&Manifest::read(blob, &Limits::default()).unwrap(), &tag("1"), &Expected::Any).await.unwrap();
}

/// Everything that the index under the tag `1` lists is there.
async fn is_whole(store: &dyn Store) {
    let root = tagged(store, "1").await;
    for child in root.as_index().unwrap().children() {
        store.manifest_at(&child.descriptor).await.unwrap();
    }
}

fn attestation_manifest(root: &Manifest) -> Descriptor {
    root.as_index().unwrap().children().last().unwrap().descriptor.clone()
}

fn documents(listed: &Value) -> Vec<String> {
    let entries = listed["attestations"].as_array().unwrap();
    let mut documents: Vec<String> =
        entries.iter().map(|entry| entry["document"].as_str().unwrap().to_owned()).collect();
    documents.sort();
    documents
}

#[test]
fn an_attestation_manifest_that_is_listed_twice_changes_in_both_places() {
    // (accepted)
    let scratch = Scratch::new();
    for place in [Place::in_process(), Place::folder()] {
        for layout in ["index", "index-artifact"] {
            place.push_index("1");
            let image = place.tagged("1");
            let more = ["--layout", layout, "--platform", AMD64];
            let one = document(&attest(&scratch, &image, "spdx", SPDX, &more).succeeds());
            let two = document(&attest(&scratch, &image, "openvex", OPENVEX, &more).succeeds());
            let store = place.store();
            wait(async {
                let root = tagged(&*store, "1").await;
                let twice = root.as_index().unwrap().with_child(root.bytes(), &attestation_manifest(&root));
                replace(&*store, &root, twice).await;
            });
            detach(&image, &one).succeeds();
            wait(is_whole(&*store));
            assert_eq!(documents(&list(&image)), std::slice::from_ref(&two), "{image} {layout}");
            let three = document(&attest(&scratch, &image, "slsa-provenance", SLSA, &more).succeeds());
            let children = wait(async { tagged(&*store, "1").await });
            let children = children.as_index().unwrap().children();
            assert_eq!(children[2].descriptor.digest, children[3].descriptor.digest);
            wait(is_whole(&*store));
            let mut left = vec![two, three];
            left.sort();
            let listed = list(&image);
            assert_eq!((documents(&listed), &listed["rejections"]), (left, &json!([])), "{image} {layout}");
        }
    }
}

#[test]
fn an_attestation_manifest_that_an_inner_index_lists_too_is_not_deleted() {
    // (refused: argument-invalid)
    let scratch = Scratch::new();
    for place in [Place::in_process(), Place::folder()] {
        place.push_index("1");
        let image = place.tagged("1");
        let more = ["--layout", "index-artifact", "--platform", AMD64];
        let one = document(&attest(&scratch, &image, "spdx", SPDX, &more).succeeds());
        let store = place.store();
        wait(async {
            let inner = tagged(&*store, "1").await;
            store.push_manifest(&inner).await.unwrap();
            let outer = inner.as_index().unwrap().with_child(inner.bytes(), &inner.descriptor());
            replace(&*store, &inner, outer).await;
        });
        let before = place.content();
        let ran = detach(&image, &one).exits(2);
        assert!(ran.stderr.contains("error[argument-invalid]"), "{}", ran.stderr);
        assert!(place.content() == before, "{image}");
    }
}

#[test]
fn a_bare_statement_that_calls_itself_an_envelope_is_not_signed_with_the_manifest() {
    // (refused: unsigned-statements-present)
    let scratch = Scratch::new();
    for place in [Place::in_process(), Place::folder()] {
        place.push_index("1");
        let image = place.tagged("1");
        let more = ["--layout", "index-artifact", "--platform", AMD64];
        let forged = document(&unsigned(&image, "spdx", SPDX, &more).succeeds());
        let store = place.store();
        wait(async {
            let root = tagged(&*store, "1").await;
            let child = attestation_manifest(&root);
            let manifest = store.manifest_at(&child).await.unwrap();
            let text = std::str::from_utf8(manifest.bytes()).unwrap();
            let text = text.replace("application/vnd.in-toto+json", "application/vnd.in-toto.spdx+dsse");
            let blob = Blob::of_bytes(child.media_type.clone(), text.into_bytes());
            let disguised = Manifest::read(blob, &Limits::default()).unwrap();
            store.push_manifest(&disguised).await.unwrap();
            let mut entry = child.clone();
            (entry.digest, entry.size) = (disguised.digest().clone(), disguised.blob().size());
            let index = root.as_index().unwrap();
            let text = index.with_children_replaced(root.bytes(), &child.digest, |_| entry.clone());
            replace(&*store, &root, text).await;
        });
        let signed = [&more[..], &["--sign", "manifest"]].concat();
        let before = place.content();
        let ran = attest(&scratch, &image, "openvex", OPENVEX, &signed);
        verify(&scratch, "signer", &image, &["--type", "spdx", "--platform", AMD64]).exits(1);
        let ran = ran.exits(1);
        let told = ran.stderr.contains("error[unsigned-statements-present]") && ran.stderr.contains(&forged);
        assert!(told, "{}", ran.stderr);
        assert!(place.content() == before, "{image}");
        let vouched = [&signed[..], &["--vouch", &forged]].concat();
        attest(&scratch, &image, "openvex", OPENVEX, &vouched).succeeds();
    }
}

#[test]
fn a_manifest_that_holds_the_statement_already_is_signed_all_the_same() {
    // (accepted)
    let scratch = Scratch::new();
    for place in [Place::in_process(), Place::folder()] {
        place.push_index("1");
        let image = place.tagged("1");
        let more = ["--layout", "index-artifact", "--platform", AMD64];
        unsigned(&image, "spdx", SPDX, &more).succeeds();
        let wanted = ["--type", "spdx", "--platform", AMD64];
        verify(&scratch, "signer", &image, &wanted).exits(1);
        attest(&scratch, &image, "spdx", SPDX, &[&more[..], &["--sign", "manifest"]].concat()).succeeds();
        verify(&scratch, "signer", &image, &wanted).succeeds();
    }
}

#[test]
fn a_manifest_under_the_tags_of_two_platforms_goes_from_both() {
    // (accepted)
    let scratch = Scratch::new();
    for place in [Place::in_process(), Place::folder()] {
        let root = place.push_index("1");
        let image = place.tagged("1");
        let one =
            document(&attest(&scratch, &image, "spdx", SPDX, &["--layout", "tag", "--platform", AMD64]).succeeds());
        let store = place.store();
        let tags: Vec<String> = root
            .as_index()
            .unwrap()
            .children()
            .iter()
            .map(|child| format!("{}.att", child.descriptor.digest.to_string().replace(':', "-")))
            .collect();
        wait(async {
            let manifest = tagged(&*store, &tags[0]).await;
            store.tag(&manifest, &tag(&tags[1]), &Expected::Absent).await.unwrap();
        });
        detach(&image, &one).succeeds();
        assert_eq!(list(&image)["attestations"], json!([]), "{image}");
        for tag in &tags {
            assert_eq!(wait(store.tag_digest(&Tag::parse(tag).unwrap())).unwrap(), None, "{image}");
        }
    }
}

#[test]
fn a_tag_for_evidence_that_names_an_image_is_left_alone() {
    // (refused: evidence-tag-invalid)
    let scratch = Scratch::new();
    for place in [Place::in_process(), Place::folder()] {
        let root = place.push_single("1");
        let image = place.tagged("1");
        let store = place.store();
        let att = format!("{}.att", root.digest().to_string().replace(':', "-"));
        let other = place.push_single("2");
        wait(store.tag(&other, &tag(&att), &Expected::Absent)).unwrap();
        let layer = other.as_image().unwrap().layers[0].digest.to_string();
        let before = place.content();
        let attested = attest(&scratch, &image, "spdx", SPDX, &["--layout", "tag"]);
        for ran in [attested, detach(&image, &layer), detach(&image, &other.digest().to_string())] {
            assert!(ran.stderr.contains("error[evidence-tag-invalid]"), "{image} {}", ran.stderr);
        }
        assert!(place.content() == before, "{image}");
    }
}

#[test]
fn what_another_tag_names_does_not_go_with_a_tag_for_evidence() {
    // (refused: delete-unsupported) and (accepted)
    let scratch = Scratch::new();
    let canned = vec![Canned { status: 405, ..Canned::body("DELETE /v2/app/manifests/sha256-", "text/plain", "no") }];
    let place = Place::InProcess(TestRegistry::start(Faults { canned, ..Faults::default() }));
    let root = place.push_single("1");
    let image = place.tagged("1");
    let one = document(&attest(&scratch, &image, "spdx", SPDX, &["--layout", "tag"]).succeeds());
    let store = place.store();
    let att = format!("{}.att", root.digest().to_string().replace(':', "-"));
    let manifest = wait(tagged(&*store, &att));
    wait(store.tag(&manifest, &tag("kept"), &Expected::Absent)).unwrap();
    let before = place.content();
    let ran = detach(&image, &one).exits(3);
    assert!(ran.stderr.contains("error[delete-unsupported]") && ran.stderr.contains("kept"), "{}", ran.stderr);
    assert!(place.content() == before);
    wait(store.untag(&tag("kept"), &Expected::Any)).unwrap();
    detach(&image, &one).succeeds();
    assert_eq!(list(&image)["attestations"], json!([]));
}

#[test]
fn a_platform_that_is_listed_twice_is_attested_once() {
    // (accepted)
    let scratch = Scratch::new();
    let place = Place::folder();
    place.push_index("1");
    let image = place.tagged("1");
    let store = place.store();
    wait(async {
        let root = tagged(&*store, "1").await;
        let index = root.as_index().unwrap();
        replace(&*store, &root, index.with_child(root.bytes(), &index.children()[0].descriptor)).await;
    });
    for more in [["--platform", AMD64].as_slice(), &["--each-platform"]] {
        let report = attest(&scratch, &image, "spdx", SPDX, more).succeeds().json();
        let subjects: Vec<Digest> = report["attached"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| Digest::parse(entry["subject"].as_str().unwrap()).unwrap())
            .collect();
        let different: std::collections::BTreeSet<&Digest> = subjects.iter().collect();
        assert_eq!(subjects.len(), different.len(), "{more:?}: {report:#}");
    }
}

#[test]
fn without_a_tag_the_one_that_was_meant_moves() {
    // (accepted)
    let scratch = Scratch::new();
    let place = Place::in_process();
    let root = place.push_index("latest");
    let store = place.store();
    wait(store.tag(&root, &tag("1.0"), &Expected::Absent)).unwrap();
    attest(&scratch, &place.name(), "spdx", SPDX, &["--layout", "index", "--platform", AMD64]).succeeds();
    assert_eq!(wait(store.tag_digest(&tag("1.0"))).unwrap().as_ref(), Some(root.digest()));
    assert_ne!(wait(store.tag_digest(&tag("latest"))).unwrap().as_ref(), Some(root.digest()));
}

#[test]
fn what_cosign_saved_is_not_said_to_be_gone_while_it_is_there() {
    // (refused: delete-unsupported) and (accepted)
    let scratch = Scratch::new();
    let place = Place::folder();
    place.push_single("1");
    let image = place.tagged("1");
    let one = document(&attest(&scratch, &image, "spdx", SPDX, &["--layout", "tag"]).succeeds());
    let Place::Folder(folder) = &place else { return };
    let path = folder.path().join("index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for entry in index["manifests"].as_array_mut().unwrap() {
        let is_image = entry["annotations"]["org.opencontainers.image.ref.name"] == "1";
        let kind = if is_image { "dev.cosignproject.cosign/image" } else { "dev.cosignproject.cosign/atts" };
        entry["annotations"] = json!({ "kind": kind });
    }
    std::fs::write(&path, index.to_string()).unwrap();
    let image = place.name();
    assert_eq!(documents(&list(&image)), std::slice::from_ref(&one));
    let before = place.content();
    let ran = detach(&image, &one).exits(3);
    assert!(ran.stderr.contains("error[delete-unsupported]"), "{}", ran.stderr);
    assert!(place.content() == before);
    // What is added does not hide what is there.
    let two = document(&attest(&scratch, &image, "openvex", OPENVEX, &["--layout", "tag"]).succeeds());
    let mut all = vec![one, two];
    all.sort();
    assert_eq!(documents(&list(&image)), all);
    verify(&scratch, "signer", &image, &["--type", "spdx", "--type", "openvex"]).succeeds();
}

#[test]
fn a_document_that_cannot_be_read_is_named_and_keeps_no_other_from_being_converted() {
    // (refused: conversion-unsupported) and (accepted)
    let scratch = Scratch::new();
    let place = Place::in_process();
    let root = place.push_single("1");
    let image = place.tagged("1");
    attest(&scratch, &image, "spdx", SPDX, &["--layout", "tag"]).succeeds();
    let store = place.store();
    let att = format!("{}.att", root.digest().to_string().replace(':', "-"));
    let bad = Blob::of_bytes(MediaType::DSSE_ENVELOPE, &b"{\"a\":1}"[..]);
    wait(async {
        let manifest = tagged(&*store, &att).await;
        let text = manifest.as_image().unwrap().with_layers(manifest.bytes(), &[Descriptor::of(&bad)]);
        let longer = Manifest::read(Blob::of_bytes(MediaType::OCI_MANIFEST, text), &Limits::default()).unwrap();
        store.push_blob(&bad).await.unwrap();
        store.tag(&longer, &tag(&att), &Expected::Any).await.unwrap();
    });
    let convert = ["convert", &image, "--from", "tag", "--to", "referrer"];
    let before = place.content();
    let digest = bad.digest().to_string();
    for more in [&[][..], &["--select", &digest], &["--select", &digest, "--type", "spdx"]] {
        let ran = attestry(convert.iter().chain(more)).exits(1);
        let told = ran.stderr.contains("error[conversion-unsupported]") && ran.stderr.contains(&digest);
        assert!(told, "{}", ran.stderr);
        assert!(place.content() == before);
    }
    attestry(convert.iter().chain(&["--type", "spdx"])).succeeds();
    verify(&scratch, "signer", &image, &["--type", "spdx"]).succeeds();
}
