//! Registries that mean harm: what they try to learn, to hide, and to keep us busy with.

use std::sync::{Arc, Mutex};

use attestry::code::Code;
use attestry::content::Blob;
use attestry::digest::Digest;
use attestry::limits::Limits;
use attestry::media_type::MediaType;
use attestry::oci::Descriptor;
use attestry::reference::{Repository, Selector, Tag};
use attestry::store::registry::{CredentialSource, Mirror, Notices, Registry, RegistryOptions};
use attestry::store::{Store, StoreError};

use crate::registry_faults::signed_in;
use crate::store_contract::{artifact, open, push_artifact};
use crate::support::command::{Scratch, attestry};
use crate::support::registry::{Auth, Canned, Faults, PASSWORD, TestRegistry};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const TEXT: &[u8] = b"0123456789";

fn blob() -> Blob {
    Blob::of_bytes(MediaType::new("text/plain"), TEXT)
}

fn limited(server: &TestRegistry, change: impl FnOnce(&mut Limits)) -> Registry {
    let mut options = signed_in();
    change(&mut options.limits);
    open(server.host(), options)
}

/// A client that writes in pieces of 4 bytes.
fn in_pieces(server: &TestRegistry) -> Registry {
    limited(server, |limits| (limits.whole_upload_bytes, limits.piece_bytes) = (4, 4))
}

fn tagged(tag: &str) -> Selector {
    Selector { tag: Some(Tag::parse(tag).unwrap()), digest: None }
}

fn is_protocol<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Protocol { .. }))
}

#[tokio::test]
async fn what_was_sent_to_sign_in_is_not_printed_when_the_registry_says_it_back() {
    let basic = "YWxpY2U6b3BlbjpzZXNhbWU=";
    for (auth, secrets) in [(Auth::Basic, [basic, PASSWORD]), (Auth::Bearer, ["token-0-pull", PASSWORD])] {
        let text = format!("{} no way for {} and {}", "x".repeat(480), secrets[0], secrets[1]);
        let body = serde_json::json!({"errors": [{"code": "DENIED", "message": text}]}).to_string();
        let warning = format!("299 - \"your {} and {} are old\"", secrets[0], secrets[1]);
        let canned = vec![Canned {
            headers: vec![("Warning", warning)],
            body: body.into_bytes(),
            ..Canned::status("/manifests/", 403)
        }];
        let server = TestRegistry::start(Faults { auth, canned, ..Faults::default() });
        let told = Arc::new(Mutex::new(String::new()));
        let listener = Arc::clone(&told);
        let notices = Notices::to(move |text| listener.lock().unwrap().push_str(text));
        let store = open(server.host(), RegistryOptions { notices, ..signed_in() });
        // (refused: denied)
        let error = store.manifest(&tagged("1")).await.unwrap_err();
        let (told, error) = (told.lock().unwrap().clone(), format!("{error} {error:?}"));
        assert!(error.contains("no way") && told.contains("are old"), "{error} {told}");
        for secret in secrets {
            // Not its beginning either, where the text was cut.
            let beginning = &secret[..6];
            assert!(!error.contains(beginning) && !told.contains(beginning), "{beginning}: {error} {told}");
        }
    }
}

#[tokio::test]
async fn an_identity_token_is_not_printed_when_the_realm_says_it_back() {
    // (refused: denied)
    let body = r#"{"errors":[{"code":"DENIED","message":"an-identity ran out"}]}"#;
    let canned = vec![Canned { body: body.into(), ..Canned::status("/login", 400) }];
    let realm = TestRegistry::start(Faults { canned, ..Faults::default() });
    let at = Some(format!("{}/login", realm.origin()));
    let server = TestRegistry::start(Faults { auth: Auth::Bearer, realm: at, ..Faults::default() });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let auths = serde_json::json!({"auths": {server.host(): {"identitytoken": "an-identity"}}});
    std::fs::write(&path, auths.to_string()).unwrap();
    let credentials = CredentialSource::from_files(vec![path]);
    let store = open(server.host(), RegistryOptions { credentials, ..RegistryOptions::default() });
    let error = store.manifest(&tagged("1")).await.unwrap_err();
    assert_eq!(error.code(), Code::Denied);
    let error = format!("{error} {error:?}");
    assert!(error.contains("ran out") && !error.contains("an-identity"), "{error}");
}

#[tokio::test]
async fn a_realm_that_sends_us_on_is_not_followed() {
    // (refused: unavailable)
    let third = TestRegistry::start(Faults::default());
    let headers = vec![("Location", format!("{}/token", third.origin()))];
    let canned = vec![Canned { headers, ..Canned::status("/login", 307) }];
    let realm = TestRegistry::start(Faults { canned, ..Faults::default() });
    let at = Some(format!("{}/login", realm.origin()));
    let server = TestRegistry::start(Faults { auth: Auth::Bearer, realm: at, ..Faults::default() });
    let store = open(server.host(), signed_in());
    assert!(is_protocol(store.manifest(&tagged("1")).await));
    assert_eq!((realm.seen().len(), third.seen().len()), (1, 0));
}

#[tokio::test]
async fn a_realm_with_a_name_and_password_in_it_is_refused() {
    // (refused: unavailable)
    let third = TestRegistry::start(Faults::default());
    let realm = Some(format!("http://mallory:hunter2@{}/token", third.host()));
    let server = TestRegistry::start(Faults { auth: Auth::Bearer, realm, ..Faults::default() });
    let error = open(server.host(), signed_in()).manifest(&tagged("1")).await.unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(is_protocol::<()>(Err(error)));
    assert_eq!(third.seen().len(), 0);
}

#[tokio::test]
async fn storage_says_nothing_to_people() {
    // (accepted)
    let storage = TestRegistry::start(Faults { warns: true, ..Faults::default() });
    let server = TestRegistry::start(Faults { blobs_at: Some(storage.origin().to_owned()), ..Faults::default() });
    storage.put_blob(blob().digest(), TEXT);
    let told = Arc::new(Mutex::new(String::new()));
    let listener = Arc::clone(&told);
    let notices = Notices::to(move |text| listener.lock().unwrap().push_str(text));
    let store = open(server.host(), RegistryOptions { notices, ..RegistryOptions::default() });
    store.blob(&Descriptor::of(&blob()), 100).await.unwrap();
    assert_eq!(*told.lock().unwrap(), "");
}

#[tokio::test]
async fn an_api_that_says_nothing_does_not_hide_what_the_tag_lists() {
    // (accepted)
    let empty = br#"{"schemaVersion":2,"manifests":[]}"#;
    let canned = vec![Canned::body("/referrers/", INDEX, &empty[..])];
    let server = TestRegistry::start(Faults { canned, ..Faults::default() });
    let store = limited(&server, |limits| limits.read_back_milliseconds = 5);
    let image = artifact(&blob(), None);
    assert_eq!(store.referrers(image.digest()).await.unwrap(), []);
    let evidence = push_artifact(&store, "evidence", Some(&image.descriptor())).await;
    store.push_manifest(&evidence).await.unwrap();
    assert_eq!(store.referrers(image.digest()).await.unwrap(), [evidence.referrer_descriptor()]);
}

#[tokio::test]
async fn an_api_that_says_nothing_beside_a_tag_that_may_not_be_read_is_an_error() {
    // (refused: denied)
    let empty = br#"{"schemaVersion":2,"manifests":[]}"#;
    let canned = vec![Canned::body("/referrers/", INDEX, &empty[..]), Canned::status("/manifests/sha256-", 403)];
    let server = TestRegistry::start(Faults { canned, ..Faults::default() });
    let error = open(server.host(), signed_in()).referrers(&Digest::sha256(b"")).await.unwrap_err();
    assert_eq!(error.code(), Code::Denied);
}

#[tokio::test]
async fn an_api_that_lists_is_believed_and_costs_one_request() {
    // (accepted)
    let server = TestRegistry::start(Faults::default());
    let image = artifact(&blob(), None);
    let evidence = artifact(&blob(), Some(&image.descriptor()));
    server.put_manifest(None, "application/vnd.oci.image.manifest.v1+json", evidence.bytes());
    open(server.host(), signed_in()).referrers(image.digest()).await.unwrap();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_list_of_tags_beyond_the_bound_is_refused_and_not_cut() {
    let server = TestRegistry::start(Faults { page_size: Some(2), ..Faults::default() });
    for tag in ["1", "2", "3"] {
        server.put_manifest(Some(tag), INDEX, b"{}");
    }
    // (refused: unavailable)
    assert!(is_protocol(limited(&server, |limits| limits.tags = 2).tags().await));
    // (accepted)
    assert_eq!(limited(&server, |limits| limits.tags = 3).tags().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_registry_that_takes_a_byte_of_each_piece_is_given_up() {
    // (refused: unavailable)
    let server = TestRegistry::start(Faults { sip: Some(1), ..Faults::default() });
    let error = in_pieces(&server).push_blob(&blob()).await.unwrap_err();
    assert_eq!((error.code(), server.count("PATCH ")), (Code::Unavailable, 3), "{error}");
    // (accepted) Half of each is progress.
    let server = TestRegistry::start(Faults { sip: Some(2), ..Faults::default() });
    in_pieces(&server).push_blob(&blob()).await.unwrap();
}

#[tokio::test]
async fn a_registry_that_claims_bytes_that_were_not_sent_is_not_believed() {
    // (accepted) After a piece; what it can say is that it has all of it.
    for claimed_range in [Some("0-99"), Some("0-18446744073709551614"), Some("5")] {
        let server = TestRegistry::start(Faults { claimed_range, ..Faults::default() });
        in_pieces(&server).push_blob(&blob()).await.unwrap();
        assert_eq!((server.count("PATCH "), server.count("PUT ")), (3, 1), "{claimed_range:?}");
        assert_eq!(server.content()[&format!("blob {}", blob().digest())], TEXT);
    }
    // (accepted) After a break the upload starts anew, and is not ended at a place beyond its end.
    let server = TestRegistry::start(Faults { claimed_range: Some("0-99"), break_piece: Some(2), ..Faults::default() });
    in_pieces(&server).push_blob(&blob()).await.unwrap();
    assert_eq!((server.count("POST "), server.count("PUT ")), (2, 1));
}

#[tokio::test]
async fn an_upload_that_is_always_answered_alike_ends() {
    // (refused: unavailable)
    for (line, status) in
        [("PATCH ", 416), ("PATCH ", 408), ("PATCH ", 429), ("PATCH ", 404), ("PUT ", 400), ("PUT ", 503)]
    {
        let server = TestRegistry::start(Faults { canned: vec![Canned::status(line, status)], ..Faults::default() });
        let result = in_pieces(&server).push_blob(&blob()).await;
        // One that takes no pieces gets the blob whole.
        assert_eq!(result.is_ok(), status == 404, "{line}{status} {result:?}");
        assert!(server.seen().len() <= 3 * 6, "{line}{status}: {}", server.seen().len());
    }
}

#[tokio::test]
async fn a_piece_may_be_wanted_larger_than_anything_is() {
    // (accepted)
    let server = TestRegistry::start(Faults { least_piece: Some(1 << 63), ..Faults::default() });
    in_pieces(&server).push_blob(&blob()).await.unwrap();
    assert_eq!(server.count("PATCH "), 1);
    let server = TestRegistry::start(Faults { least_piece: Some(0), ..Faults::default() });
    in_pieces(&server).push_blob(&blob()).await.unwrap();
    assert_eq!(server.count("PATCH "), 3);
}

#[tokio::test]
async fn a_mount_of_another_blob_or_without_an_address_is_an_error() {
    // (refused: digest-mismatch)
    let headers = vec![("Docker-Content-Digest", Digest::sha256(b"other").to_string())];
    let canned = vec![Canned { headers, ..Canned::status("uploads/?mount", 201) }];
    let server = TestRegistry::start(Faults { canned, ..Faults::default() });
    let base = Repository::parse(&format!("{}/base", server.host())).unwrap();
    let store = open(server.host(), signed_in());
    assert_eq!(store.mount_blob(blob().digest(), &base).await.unwrap_err().code(), Code::DigestMismatch);
    assert_eq!(store.push_blob_from(&blob(), &base).await.unwrap_err().code(), Code::DigestMismatch);
    // (refused: unavailable)
    let canned = vec![Canned::status("uploads/?mount", 202)];
    let server = TestRegistry::start(Faults { canned, ..Faults::default() });
    let base = Repository::parse(&format!("{}/base", server.host())).unwrap();
    assert!(is_protocol(open(server.host(), signed_in()).push_blob_from(&blob(), &base).await));
}

#[tokio::test]
async fn a_part_of_a_blob_of_another_size_is_not_glued_on() {
    // (accepted)
    let server = TestRegistry::start(Faults { truncate_first: 1, wrong_totals: true, ..Faults::default() });
    server.put_blob(blob().digest(), TEXT);
    open(server.host(), signed_in()).blob(&Descriptor::of(&blob()), 100).await.unwrap();
    let ranges: Vec<String> = server.seen().iter().map(|seen| seen.header("range").to_owned()).collect();
    assert_eq!(ranges, ["", "bytes=5-", ""]);
}

#[tokio::test]
async fn a_part_that_was_not_asked_for_is_an_error() {
    // (refused: unavailable)
    let headers = vec![("Content-Range", "bytes 0-9/10".to_owned())];
    let canned = vec![Canned { headers, body: TEXT.to_vec(), ..Canned::status("/blobs/", 206) }];
    let server = TestRegistry::start(Faults { canned, ..Faults::default() });
    assert!(is_protocol(open(server.host(), signed_in()).blob(&Descriptor::of(&blob()), 100).await));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn offline_a_mirror_is_not_asked_either() {
    // (refused: offline)
    let (origin, mirror) = (TestRegistry::start(Faults::default()), TestRegistry::start(Faults::default()));
    mirror.put_blob(blob().digest(), TEXT);
    let mirrors = vec![Mirror::parse(&format!("{}={}", origin.host(), mirror.host())).unwrap()];
    let store = open(origin.host(), RegistryOptions { mirrors, offline: true, ..signed_in() });
    assert_eq!(store.blob(&Descriptor::of(&blob()), 100).await.unwrap_err().code(), Code::Offline);
    assert_eq!((origin.seen().len(), mirror.seen().len()), (0, 0));
}

#[tokio::test]
async fn what_is_sent_packed_is_not_unpacked() {
    // (refused: digest-mismatch) A kilobyte that unpacks to a megabyte is a kilobyte of other bytes.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &vec![b' '; 1 << 20]).unwrap();
    let headers = vec![("Content-Encoding", "gzip".to_owned())];
    let canned = vec![Canned { headers, body: packed.finish().unwrap(), ..Canned::status("/manifests/", 200) }];
    let server = TestRegistry::start(Faults { canned, ..Faults::default() });
    let store = limited(&server, |limits| limits.manifest_bytes = 64 << 10);
    let selector = Selector { tag: None, digest: Some(Digest::sha256(TEXT)) };
    assert_eq!(store.manifest(&selector).await.unwrap_err().code(), Code::DigestMismatch);
    assert_eq!(server.seen()[0].header("accept-encoding"), "");
}

#[test]
fn a_mirror_that_lies_about_everything_changes_no_verdict() {
    let other = artifact(&Blob::of_bytes(MediaType::new("text/plain"), &b"a lie"[..]), None);
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let lies = [
        Canned::body("/v2/", media_type, other.bytes().to_vec()),
        Canned::body("/v2/", INDEX, &br#"{"schemaVersion":2,"manifests":[]}"#[..]),
        Canned::status("/v2/", 404),
        Canned { headers: vec![("WWW-Authenticate", "Basic realm=x".to_owned())], ..Canned::status("/v2/", 401) },
    ];
    let origin = TestRegistry::start(Faults::default());
    let image = artifact(&blob(), None);
    origin.put_manifest(Some("1"), media_type, image.bytes());
    let (name, scratch) = (format!("{}/app@{}", origin.host(), image.digest()), Scratch::new());
    let (private, public, stranger) =
        (scratch.path("signer.key"), scratch.path("signer.pub"), scratch.path("stranger.pub"));
    let predicate = scratch.write("predicate.json", r#"{"a":1}"#);
    let kind = "https://example.com/predicate";
    attestry(["attest", &name, "--predicate", &predicate, "--type", kind, "--key", &private]).succeeds();
    for lie in lies {
        let mirror = TestRegistry::start(Faults { canned: vec![lie], ..Faults::default() });
        let option = format!("{}={}", origin.host(), mirror.host());
        let verify = |key: &str| attestry(["verify", &name, "--type", kind, "--key", key, "--mirror", &option]);
        // (accepted)
        verify(&public).succeeds();
        // (refused: signature-invalid) Never "nothing found", and never accepted.
        verify(&stranger).exits(1);
        assert!(mirror.count("/manifests/") > 0);
        assert!(mirror.seen().iter().all(|seen| seen.authorization.is_none()));
    }
}
