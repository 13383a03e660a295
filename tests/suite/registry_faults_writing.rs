//! Registries that misbehave while they are written to.

use attestry::code::Code;
use attestry::content::Blob;
use attestry::digest::Digest;
use attestry::limits::Limits;
use attestry::media_type::MediaType;
use attestry::oci::Manifest;
use attestry::reference::{Repository, Tag};
use attestry::store::registry::{Registry, RegistryOptions};
use attestry::store::{Pushed, Store, StoreError};

use crate::registry_faults::signed_in;
use crate::store_contract::{artifact, open, push_artifact};
use crate::support::registry::{Auth, Canned, Faults, TestRegistry, spoiled};

/// A client that writes more than 4 bytes in pieces of 4.
fn in_pieces(server: &TestRegistry) -> Registry {
    let mut options = signed_in();
    (options.limits.whole_upload_bytes, options.limits.piece_bytes) = (4, 4);
    open(server.host(), options)
}

/// Where a thousandth of the usual pause is waited.
fn hurried(server: &TestRegistry) -> Registry {
    let limits = Limits { read_back_milliseconds: 5, ..Limits::default() };
    open(server.host(), RegistryOptions { limits, ..RegistryOptions::default() })
}

const TEXT: &[u8] = b"0123456789";

fn blob() -> Blob {
    Blob::of_bytes(MediaType::new("text/plain"), TEXT)
}

/// The ranges of the pieces that were sent.
fn ranges(server: &TestRegistry) -> Vec<String> {
    let seen = server.seen();
    let pieces = seen.iter().filter(|seen| seen.line.starts_with("PATCH "));
    pieces.map(|seen| seen.header("content-range").to_owned()).collect()
}

fn is_stored(server: &TestRegistry) -> bool {
    server.content().get(&format!("blob {}", blob().digest())).is_some_and(|bytes| bytes == TEXT)
}

fn image_in(server: &TestRegistry) -> Manifest {
    let image = artifact(&Blob::of_bytes(MediaType::new("text/plain"), &b"an image"[..]), None);
    server.put_manifest(Some("1"), "application/vnd.oci.image.manifest.v1+json", image.bytes());
    image
}

#[tokio::test]
async fn a_large_blob_goes_in_pieces_and_a_small_one_whole() {
    // (accepted)
    let server = TestRegistry::start(Faults::default());
    let store = in_pieces(&server);
    assert_eq!(store.push_blob(&blob()).await.unwrap(), Pushed::Sent);
    assert_eq!(ranges(&server), ["0-3", "4-7", "8-9"]);
    assert!(is_stored(&server));
    server.forget();
    store.push_blob(&Blob::of_bytes(MediaType::new("text/plain"), &b"tiny"[..])).await.unwrap();
    assert_eq!((server.count("PATCH "), server.count("PUT ")), (0, 1));
}

#[tokio::test]
async fn pieces_are_as_large_as_the_registry_wants_them() {
    // (accepted)
    let server = TestRegistry::start(Faults { least_piece: Some(6), ..Faults::default() });
    in_pieces(&server).push_blob(&blob()).await.unwrap();
    assert_eq!(ranges(&server), ["0-5", "6-9"]);
    assert!(is_stored(&server));
}

#[tokio::test]
async fn a_piece_that_breaks_off_is_gone_on_with_where_it_broke() {
    // (accepted)
    for absolute_location in [false, true] {
        let server = TestRegistry::start(Faults { break_piece: Some(2), absolute_location, ..Faults::default() });
        in_pieces(&server).push_blob(&blob()).await.unwrap();
        assert_eq!(ranges(&server), ["0-3", "4-7", "6-9"]);
        assert_eq!(server.count("GET /v2/app/blobs/uploads/"), 1);
        assert!(is_stored(&server));
    }
}

#[tokio::test]
async fn a_first_piece_of_which_nothing_is_known_is_sent_again() {
    // (accepted)
    let server = TestRegistry::start(Faults { break_piece: Some(1), ..Faults::default() });
    let mut options = signed_in();
    (options.limits.whole_upload_bytes, options.limits.piece_bytes) = (4, 1);
    open(server.host(), options).push_blob(&blob()).await.unwrap();
    assert_eq!(ranges(&server)[..3], ["0-0", "0-0", "1-1"]);
    assert!(is_stored(&server));
}

#[tokio::test]
async fn a_piece_whose_answer_was_lost_is_not_sent_twice() {
    // (accepted)
    let server = TestRegistry::start(Faults { lose_answer_of_piece: Some(3), ..Faults::default() });
    in_pieces(&server).push_blob(&blob()).await.unwrap();
    assert_eq!(ranges(&server), ["0-3", "4-7", "8-9"]);
    assert!(is_stored(&server));
}

#[tokio::test]
async fn an_upload_that_the_registry_forgot_starts_anew() {
    // (accepted)
    let server = TestRegistry::start(Faults { forget_pieces_at: Some(2), ..Faults::default() });
    in_pieces(&server).push_blob(&blob()).await.unwrap();
    assert_eq!(ranges(&server), ["0-3", "4-7", "0-3", "4-7", "8-9"]);
    assert!(is_stored(&server));
}

#[tokio::test]
async fn uploads_that_break_without_end_are_given_up() {
    // (refused: unavailable)
    let server = TestRegistry::start(Faults { canned: vec![Canned::status("PATCH ", 503)], ..Faults::default() });
    let error = in_pieces(&server).push_blob(&blob()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(server.count("PATCH ") <= 3, "{}", server.count("PATCH "));
}

#[tokio::test]
async fn a_registry_that_digests_for_long_is_waited_for() {
    let server = TestRegistry::start(Faults { slow_commit: 2, ..Faults::default() });
    let patient = |commit_seconds| {
        let limits = Limits { idle_seconds: 1, attempts: 1, commit_seconds, ..Limits::default() };
        open(server.host(), RegistryOptions { limits, ..RegistryOptions::default() })
    };
    // (refused: unavailable)
    assert_eq!(patient(1).push_blob(&blob()).await.unwrap_err().code(), Code::Unavailable);
    // (accepted)
    patient(60).push_blob(&Blob::of_bytes(MediaType::new("text/plain"), &b"other"[..])).await.unwrap();
}

#[tokio::test]
async fn a_registry_that_takes_no_pieces_gets_the_blob_whole() {
    // (accepted)
    for status in [404, 405, 501] {
        let server = TestRegistry::start(Faults { refuse_pieces: Some(status), ..Faults::default() });
        in_pieces(&server).push_blob(&blob()).await.unwrap();
        assert_eq!((server.count("PATCH "), server.count("PUT ")), (1, 1));
        assert!(is_stored(&server));
    }
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_an_upload_is_renewed() {
    // (accepted)
    let server = TestRegistry::start(Faults { auth: Auth::Bearer, expire_token_after: Some(2), ..Faults::default() });
    in_pieces(&server).push_blob(&blob()).await.unwrap();
    assert!(server.count("GET /token") >= 3, "{}", server.count("GET /token"));
    assert!(is_stored(&server));
}

#[tokio::test]
async fn an_upload_without_an_address_to_go_on_at_is_an_error() {
    // (refused: unavailable)
    let server = TestRegistry::start(Faults { no_location_for_pieces: true, ..Faults::default() });
    let error = in_pieces(&server).push_blob(&blob()).await.unwrap_err();
    assert!(matches!(error, StoreError::Protocol { .. }) && error.to_string().contains("Location"), "{error}");
    let server = TestRegistry::start(Faults { canned: vec![Canned::status("POST ", 202)], ..Faults::default() });
    let error = in_pieces(&server).push_blob(&blob()).await.unwrap_err();
    assert!(matches!(error, StoreError::Protocol { .. }) && error.to_string().contains("Location"), "{error}");
}

#[tokio::test]
async fn a_blob_of_another_repository_is_mounted_without_its_bytes() {
    // (accepted)
    for auth in [Auth::None, Auth::Basic, Auth::Bearer] {
        let server = TestRegistry::start(Faults { mounts: true, auth, ..Faults::default() });
        let store = open(server.host(), signed_in());
        let base = Repository::parse(&format!("{}/base", server.host())).unwrap();
        server.put_elsewhere(blob().digest(), TEXT);
        assert!(store.mount_blob(blob().digest(), &base).await.unwrap());
        assert!(is_stored(&server));
        assert_eq!(store.push_blob_from(&blob(), &base).await.unwrap(), Pushed::Present);
        assert_eq!((server.count("PUT "), server.count("PATCH ")), (0, 0));
        let tokens: Vec<String> = server.seen().into_iter().map(|seen| seen.line).collect();
        let tokens: Vec<&String> = tokens.iter().filter(|line| line.contains("/token")).collect();
        if auth == Auth::Bearer {
            let both = "scope=repository%3Aapp%3Apull%2Cpush&scope=repository%3Abase%3Apull";
            assert!(tokens.len() == 1 && tokens[0].contains(both), "{tokens:?}");
        }
    }
}

#[tokio::test]
async fn a_blob_that_is_not_mounted_is_uploaded_where_the_registry_said() {
    // (accepted)
    let server = TestRegistry::start(Faults::default());
    let store = open(server.host(), signed_in());
    let base = Repository::parse(&format!("{}/base", server.host())).unwrap();
    assert!(!store.mount_blob(blob().digest(), &base).await.unwrap());
    assert_eq!((server.count("POST "), server.count("DELETE ")), (1, 1));
    server.forget();
    assert_eq!(store.push_blob_from(&blob(), &base).await.unwrap(), Pushed::Sent);
    assert_eq!((server.count("POST "), server.count("PUT ")), (1, 1));
    assert!(is_stored(&server));
}

#[tokio::test]
async fn a_registry_that_refuses_to_mount_gets_an_upload() {
    // (accepted)
    for status in [400, 401, 403, 404, 405, 501] {
        let canned = vec![Canned::status("uploads/?mount", status)];
        let server = TestRegistry::start(Faults { canned, ..Faults::default() });
        let store = open(server.host(), signed_in());
        let base = Repository::parse(&format!("{}/base", server.host())).unwrap();
        assert_eq!(store.push_blob_from(&blob(), &base).await.unwrap(), Pushed::Sent, "{status}");
        assert!(is_stored(&server));
    }
}

#[tokio::test]
async fn a_repository_of_another_registry_is_not_asked_to_be_mounted() {
    // (accepted)
    let server = TestRegistry::start(Faults { mounts: true, ..Faults::default() });
    let store = open(server.host(), signed_in());
    let base = Repository::parse("registry.example/base").unwrap();
    assert!(!store.mount_blob(blob().digest(), &base).await.unwrap());
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn a_registry_that_says_it_lists_evidence_and_has_no_api_is_not_believed() {
    // (accepted)
    for canned in [Canned::status("/referrers/", 404), Canned::body("/referrers/", "text/html", "<html>")] {
        let server = TestRegistry::start(Faults { canned: vec![canned], ..Faults::default() });
        let store = hurried(&server);
        let image = image_in(&server);
        let evidence = push_artifact(&store, "evidence", Some(&image.descriptor())).await;
        store.push_manifest(&evidence).await.unwrap();
        assert_eq!(store.referrers(image.digest()).await.unwrap(), [evidence.referrer_descriptor()]);
    }
}

#[tokio::test]
async fn a_registry_that_says_it_lists_evidence_and_does_not_is_not_believed() {
    // (accepted)
    let empty = br#"{"schemaVersion":2,"manifests":[]}"#;
    let canned = vec![Canned::body("/referrers/", "application/vnd.oci.image.index.v1+json", &empty[..])];
    let server = TestRegistry::start(Faults { canned, ..Faults::default() });
    let store = hurried(&server);
    let image = image_in(&server);
    let evidence = push_artifact(&store, "evidence", Some(&image.descriptor())).await;
    store.push_manifest(&evidence).await.unwrap();
    assert!(server.content().contains_key(&format!("tag {}", Tag::of_referrers(image.digest()))));
}

#[tokio::test]
async fn a_registry_that_kept_its_word_once_is_not_asked_again() {
    // (accepted)
    let server = TestRegistry::start(Faults::default());
    let store = hurried(&server);
    let image = image_in(&server);
    for text in ["1", "2", "3"] {
        let evidence = push_artifact(&store, text, Some(&image.descriptor())).await;
        store.push_manifest(&evidence).await.unwrap();
    }
    assert_eq!((server.count("/referrers/"), server.count("/manifests/sha256-")), (1, 0));
}

#[tokio::test]
async fn an_entry_is_added_beside_one_that_cannot_be_read() {
    // (accepted)
    let faults = Faults { no_referrers_api: true, no_oci_subject: true, ..Faults::default() };
    let server = TestRegistry::start(faults);
    let store = hurried(&server);
    let image = image_in(&server);
    let tag = Tag::of_referrers(image.digest());
    let spoiled = spoiled(br#"{"schemaVersion":2,"manifests":[]}"#);
    server.put_manifest(Some(tag.as_str()), "application/vnd.oci.image.index.v1+json", &spoiled);
    let evidence = push_artifact(&store, "evidence", Some(&image.descriptor())).await;
    store.push_manifest(&evidence).await.unwrap();
    let list = store.referrer_list(image.digest()).await.unwrap();
    assert_eq!((list.referrers, list.unreadable.len()), (vec![evidence.referrer_descriptor()], 1));
}

#[tokio::test]
async fn an_entry_that_others_write_over_is_added_again() {
    // (accepted)
    let faults = Faults { no_referrers_api: true, no_oci_subject: true, lose_tag_writes: 4, ..Faults::default() };
    let server = TestRegistry::start(faults);
    let store = hurried(&server);
    let image = image_in(&server);
    let evidence = push_artifact(&store, "evidence", Some(&image.descriptor())).await;
    store.push_manifest(&evidence).await.unwrap();
    assert_eq!(server.count("PUT /v2/app/manifests/sha256-"), 5);
    assert_eq!(store.referrers(image.digest()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_entry_that_is_lost_five_times_is_told() {
    // (refused: entry-lost)
    let faults = Faults { no_referrers_api: true, no_oci_subject: true, lose_tag_writes: 5, ..Faults::default() };
    let server = TestRegistry::start(faults);
    let store = hurried(&server);
    let image = image_in(&server);
    let evidence = push_artifact(&store, "evidence", Some(&image.descriptor())).await;
    let error = store.push_manifest(&evidence).await.unwrap_err();
    let StoreError::EntryLost { writes, entry, .. } = &error else { panic!("{error}") };
    assert_eq!((error.code(), *writes, entry), (Code::EntryLost, 5, evidence.digest()));
    assert_eq!(server.count("PUT /v2/app/manifests/sha256-"), 5);
}

#[tokio::test]
async fn many_writers_of_many_processes_lose_nothing_where_conditions_hold() {
    // (accepted)
    let server = TestRegistry::start(Faults { no_referrers_api: true, no_oci_subject: true, ..Faults::default() });
    let image = image_in(&server);
    let push = async |text: &'static str| {
        let store = hurried(&server);
        let evidence = push_artifact(&store, text, Some(&image.descriptor())).await;
        store.push_manifest(&evidence).await.unwrap();
    };
    tokio::join!(push("1"), push("2"), push("3"), push("4"), push("5"), push("6"), push("7"), push("8"));
    assert_eq!(hurried(&server).referrers(image.digest()).await.unwrap().len(), 8);
}

#[tokio::test]
async fn a_large_blob_in_pieces_is_what_it_was() {
    // (accepted)
    let server = TestRegistry::start(Faults { break_piece: Some(3), auth: Auth::Bearer, ..Faults::default() });
    let mut options = signed_in();
    (options.limits.whole_upload_bytes, options.limits.piece_bytes) = (1 << 20, 1 << 20);
    let store = open(server.host(), options);
    let bytes: Vec<u8> = (0..5_u32 << 20).map(|index| index.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let digest = Digest::sha256(&bytes);
    let blob = Blob::of_bytes(MediaType::OCTET_STREAM, bytes.clone());
    store.push_blob(&blob).await.unwrap();
    assert!(server.content()[&format!("blob {digest}")] == bytes);
    assert_eq!(server.count("PATCH "), 6);
}
