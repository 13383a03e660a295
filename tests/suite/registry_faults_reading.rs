//! Registries that misbehave while they are read from, beyond what `registry_faults` has.

use attestry::code::Code;
use attestry::content::Blob;
use attestry::digest::Digest;
use attestry::limits::Limits;
use attestry::media_type::MediaType;
use attestry::oci::{Descriptor, Manifest};
use attestry::reference::Tag;
use attestry::store::registry::{Registry, RegistryOptions};
use attestry::store::{Store, StoreError};

use crate::store_contract::{artifact, open};
use crate::support::command::{Scratch, attestry};
use crate::support::program::{Ended, program};
use crate::support::registry::{Auth, Canned, Faults, TestRegistry, spoiled};

const TEXT: &[u8] = b"a blob that breaks off in the middle";

fn start(faults: Faults) -> (TestRegistry, Registry, Descriptor) {
    let server = TestRegistry::start(faults);
    let blob = Blob::of_bytes(MediaType::new("text/plain"), TEXT);
    server.put_blob(blob.digest(), TEXT);
    let store = open(server.host(), RegistryOptions::default());
    (server, store, Descriptor::of(&blob))
}

async fn read(store: &Registry, descriptor: &Descriptor) -> Result<Vec<u8>, StoreError> {
    Ok(store.blob(descriptor, 100).await?.bytes(100).unwrap().to_vec())
}

/// The ranges that were asked for; empty where all was.
fn ranges(server: &TestRegistry) -> Vec<String> {
    server.seen().iter().map(|seen| seen.header("range").to_owned()).collect()
}

#[tokio::test]
async fn a_blob_that_breaks_off_is_continued_where_it_broke() {
    // (accepted)
    for no_etag in [false, true] {
        let (server, store, descriptor) = start(Faults { truncate_first: 2, no_etag, ..Faults::default() });
        assert_eq!(read(&store, &descriptor).await.unwrap(), TEXT);
        assert_eq!(ranges(&server), ["", "bytes=18-", "bytes=27-"]);
        let condition = server.seen()[1].header("if-range").to_owned();
        assert_eq!(condition, if no_etag { String::new() } else { format!("\"{}\"", descriptor.digest) });
    }
}

#[tokio::test]
async fn a_registry_that_knows_no_ranges_is_asked_for_all_of_it() {
    // (accepted)
    let (server, store, descriptor) = start(Faults { truncate_first: 1, no_ranges: true, ..Faults::default() });
    assert_eq!(read(&store, &descriptor).await.unwrap(), TEXT);
    assert_eq!(ranges(&server), ["", "bytes=18-"]);
}

#[tokio::test]
async fn a_range_that_was_not_asked_for_is_not_glued_on() {
    // (accepted)
    let (server, store, descriptor) = start(Faults { truncate_first: 1, wrong_ranges: true, ..Faults::default() });
    assert_eq!(read(&store, &descriptor).await.unwrap(), TEXT);
    assert_eq!(ranges(&server), ["", "bytes=18-", ""]);
    // (refused: unavailable) The registry is at fault, not the bytes.
    let (server, _, descriptor) = start(Faults { truncate_first: 1, wrong_ranges: true, ..Faults::default() });
    let limits = Limits { attempts: 2, ..Limits::default() };
    let store = open(server.host(), RegistryOptions { limits, ..RegistryOptions::default() });
    assert_eq!(read(&store, &descriptor).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_blob_glued_from_other_bytes_is_read_again_from_its_start() {
    // (accepted)
    let faults = Faults { truncate_first: 1, other_bytes_in_ranges: true, ..Faults::default() };
    let (server, store, descriptor) = start(faults);
    assert_eq!(read(&store, &descriptor).await.unwrap(), TEXT);
    assert_eq!(ranges(&server), ["", "bytes=18-", ""]);
    // (refused: digest-mismatch)
    let faults = Faults { truncate_first: 1, other_bytes_in_ranges: true, ..Faults::default() };
    let (server, _, descriptor) = start(faults);
    let limits = Limits { attempts: 2, ..Limits::default() };
    let store = open(server.host(), RegistryOptions { limits, ..RegistryOptions::default() });
    assert_eq!(read(&store, &descriptor).await.unwrap_err().code(), Code::DigestMismatch);
}

#[tokio::test]
async fn a_blob_that_comes_by_halves_has_its_attempts_counted() {
    // (refused: unavailable)
    let (server, store, descriptor) = start(Faults { truncate_first: 1, short_ranges: true, ..Faults::default() });
    assert_eq!(read(&store, &descriptor).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(server.seen().len(), 3);
    // (accepted) Each half is progress, and a blob ends.
    let (server, _, descriptor) = start(Faults { truncate_first: 1, short_ranges: true, ..Faults::default() });
    let limits = Limits { piece_bytes: 1, ..Limits::default() };
    let store = open(server.host(), RegistryOptions { limits, ..RegistryOptions::default() });
    assert_eq!(read(&store, &descriptor).await.unwrap(), TEXT);
    assert!(server.seen().len() > 3);
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    // (refused: unavailable)
    let (server, _, descriptor) = start(Faults { drip: true, ..Faults::default() });
    let limits = Limits { idle_seconds: 1, attempts: 1, ..Limits::default() };
    let store = open(server.host(), RegistryOptions { limits, ..RegistryOptions::default() });
    let error = read(&store, &descriptor).await.unwrap_err();
    assert!(error.to_string().contains("bytes came in 1 s"), "{error}");
    assert_eq!(error.code(), Code::Unavailable);
    // (accepted) Slow, and fast enough for who is content with little.
    let limits = Limits { idle_seconds: 1, slowest_bytes_per_second: 5, ..Limits::default() };
    let store = open(server.host(), RegistryOptions { limits, ..RegistryOptions::default() });
    assert_eq!(read(&store, &descriptor).await.unwrap(), TEXT);
}

#[tokio::test]
async fn a_pause_that_is_asked_for_by_date_is_waited_for() {
    // (accepted) A date that is past asks for none.
    let faults = Faults { throttle_first: 1, retry_after: "Sun, 06 Nov 1994 08:49:37 GMT", ..Faults::default() };
    let (server, store, descriptor) = start(faults);
    assert_eq!(read(&store, &descriptor).await.unwrap(), TEXT);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_pause_of_hours_is_an_error_at_once() {
    // (refused: unavailable)
    for retry_after in ["86400", "Fri, 06 Nov 2099 08:49:37 GMT"] {
        let (server, store, descriptor) = start(Faults { throttle_first: 1, retry_after, ..Faults::default() });
        assert_eq!(read(&store, &descriptor).await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(server.seen().len(), 1);
    }
}

/// An image tagged `1`, and evidence about it that a registry with the API lists.
fn image_in(server: &TestRegistry) -> (Manifest, Manifest) {
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let layer = |text: &'static str| Blob::of_bytes(MediaType::new("text/plain"), text.as_bytes());
    let image = artifact(&layer("an image"), None);
    let evidence = artifact(&layer("evidence"), Some(&image.descriptor()));
    server.put_manifest(Some("1"), media_type, image.bytes());
    server.put_manifest(None, media_type, evidence.bytes());
    (image, evidence)
}

#[tokio::test]
async fn an_entry_with_an_unknown_algorithm_does_not_spoil_a_list_and_is_not_passed_over() {
    for no_referrers_api in [false, true] {
        let server = TestRegistry::start(Faults { spoiled_listings: true, no_referrers_api, ..Faults::default() });
        let (image, evidence) = image_in(&server);
        if no_referrers_api {
            let index = attestry::oci::new_index(&[evidence.referrer_descriptor()], &Default::default());
            let tag = Tag::of_referrers(image.digest());
            let text = spoiled(&index.bytes(10_000).unwrap());
            server.put_manifest(Some(tag.as_str()), index.media_type().as_str(), &text);
        }
        let store = open(server.host(), RegistryOptions::default());
        // (accepted)
        let list = store.referrer_list(image.digest()).await.unwrap();
        assert_eq!((list.referrers, list.unreadable.len()), (vec![evidence.referrer_descriptor()], 1));
        assert!(list.unreadable[0].contains("blake3"), "{:?}", list.unreadable);
        // (refused: unavailable) Whoever does not ask for the bad entries is not told that the list is good.
        assert_eq!(store.referrers(image.digest()).await.unwrap_err().code(), Code::Unavailable);
    }
}

#[test]
fn an_entry_that_cannot_be_read_leaves_a_demand_undecided_only_where_nothing_else_meets_it() {
    let server = TestRegistry::start(Faults { spoiled_listings: true, ..Faults::default() });
    image_in(&server);
    let (image, scratch) = (format!("{}/app:1", server.host()), Scratch::new());
    let (private, public) = (scratch.path("signer.key"), scratch.path("signer.pub"));
    let predicate = scratch.write("predicate.json", r#"{"a":1}"#);
    let kind = "https://example.com/predicate";
    let verify = || attestry(["verify", &image, "--type", kind, "--key", &public]);
    // (refused: undecided)
    let ended = verify().exits(3);
    assert!(ended.text().contains("blake3"), "{}{}", ended.text(), ended.stderr);
    // (accepted)
    attestry(["attest", &image, "--predicate", &predicate, "--type", kind, "--key", &private]).succeeds();
    verify().succeeds();
    let listed = attestry(["list", &image]).succeeds();
    assert!(listed.text().contains("blake3"), "{}", listed.text());
}

#[tokio::test]
async fn whether_a_filter_was_applied_does_not_matter_to_who_sends_none() {
    // (accepted)
    let entry = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b"entry"), 5);
    let index = attestry::oci::new_index(std::slice::from_ref(&entry), &Default::default());
    for applied in [None, Some(""), Some("artifactType")] {
        let body = index.bytes(10_000).unwrap().to_vec();
        let mut canned = Canned::body("/referrers/", index.media_type().as_str(), body);
        canned.headers.extend(applied.map(|applied| ("OCI-Filters-Applied", applied.to_owned())));
        let server = TestRegistry::start(Faults { canned: vec![canned], ..Faults::default() });
        let store = open(server.host(), RegistryOptions::default());
        assert_eq!(store.referrers(&Digest::sha256(b"")).await.unwrap(), std::slice::from_ref(&entry));
        assert_eq!(server.count("artifactType"), 0);
    }
}

#[test]
fn what_a_registry_wants_people_to_know_is_said_once() {
    // (accepted)
    let server = TestRegistry::start(Faults { warns: true, ..Faults::default() });
    image_in(&server);
    let image = format!("{}/app:1", server.host());
    let list = |more: &[&str]| Ended::of(&program().args(["list", &image]).args(more).output().unwrap());
    let ended = list(&[]);
    assert_eq!((ended.code, ended.err), (0, format!("note: {}/app says: going soon\n", server.host())));
    assert_eq!(list(&["--quiet"]).err, "");
}

#[cfg(unix)]
#[test]
fn a_helper_may_give_an_identity_token() {
    // (accepted)
    let server = TestRegistry::start(Faults { auth: Auth::Bearer, ..Faults::default() });
    image_in(&server);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"credsStore":"test"}"#).unwrap();
    let script = "#!/bin/sh\nprintf '{\"Username\":\"<token>\",\"Secret\":\"an-identity\"}'\n";
    // Another process writes it: a file that a thread of ours holds open for writing cannot be started.
    let write = r#"printf %s "$1" > "$0" && chmod 700 "$0""#;
    let helper = folder.path().join("docker-credential-test");
    let written = std::process::Command::new("sh").args(["-c", write]).arg(&helper).arg(script).status();
    assert!(written.unwrap().success());
    let mut command = program();
    command.args(["list", &format!("{}/app:1", server.host())]);
    command.env("DOCKER_CONFIG", folder.path()).env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
    let ended = Ended::of(&command.output().unwrap());
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!((server.count("POST /token"), server.count("GET /token")), (1, 0));
    assert!(!ended.err.contains("an-identity"));
}
