//! Registries that misbehave: each fault has its error, or none, and credentials stay where they belong.

use std::io::Write;

use attestry::code::Code;
use attestry::content::{Blob, ContentError};
use attestry::digest::Digest;
use attestry::limits::Limits;
use attestry::media_type::MediaType;
use attestry::oci::{Descriptor, Manifest};
use attestry::reference::{Selector, Tag};
use attestry::store::registry::{CredentialSource, Credentials, Registry, RegistryOptions};
use attestry::store::{Expected, Pushed, Store, StoreError};

use crate::store_contract::{artifact, open, push_artifact};
use crate::support::registry::{Auth, Canned, Faults, PASSWORD, TestRegistry, USER};

/// Options with the credentials that the test registry takes.
pub(crate) fn signed_in() -> RegistryOptions {
    let credentials = CredentialSource::given(Credentials::new(USER, PASSWORD, "a test"));
    RegistryOptions { credentials, ..RegistryOptions::default() }
}

/// Options with which no fault is tried again, so that none is waited for.
fn once() -> RegistryOptions {
    RegistryOptions { limits: Limits { attempts: 1, ..Limits::default() }, ..signed_in() }
}

fn start(faults: Faults) -> (TestRegistry, Registry) {
    let server = TestRegistry::start(faults);
    let store = open(server.host(), signed_in());
    (server, store)
}

fn tagged(tag: &str) -> Selector {
    Selector { tag: Some(Tag::parse(tag).unwrap()), digest: None }
}

fn layer(text: &'static str) -> Blob {
    Blob::of_bytes(MediaType::new("text/plain"), text.as_bytes())
}

/// An image tagged `1`, put into the registry behind the client's back.
fn image_in(server: &TestRegistry) -> Manifest {
    let image = artifact(&layer("an image"), None);
    server.put_manifest(Some("1"), "application/vnd.oci.image.manifest.v1+json", image.bytes());
    image
}

/// Evidence about an image, put into the registry likewise; its layer is what verifying reads.
fn evidence_in(server: &TestRegistry, text: &'static str, image: &Manifest) -> Manifest {
    let layer = layer(text);
    let evidence = artifact(&layer, Some(&image.descriptor()));
    server.put_blob(layer.digest(), text.as_bytes());
    server.put_manifest(None, "application/vnd.oci.image.manifest.v1+json", evidence.bytes());
    evidence
}

fn code<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Code {
    result.unwrap_err().code()
}

fn never_authorized(server: &TestRegistry) {
    let seen = server.seen();
    assert!(!seen.is_empty() && seen.iter().all(|seen| seen.authorization.is_none()), "{seen:?}");
}

#[tokio::test]
async fn verifying_one_attestation_takes_four_requests() {
    // (accepted)
    let (server, store) = start(Faults::default());
    let image = image_in(&server);
    evidence_in(&server, "evidence", &image);
    let read = store.manifest(&tagged("1")).await.unwrap();
    let referrers = store.referrers(read.digest()).await.unwrap();
    let evidence = store.manifest_at(&referrers[0]).await.unwrap();
    let blob = store.blob(&evidence.as_image().unwrap().layers[0], 1000).await.unwrap();
    assert_eq!(&blob.bytes(1000).unwrap()[..], b"evidence");
    let lines: Vec<String> = server.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("GET ")));
    never_authorized(&server);
}

#[tokio::test]
async fn signing_in_takes_one_refusal_and_one_token_for_all_requests() {
    // (accepted)
    let (server, store) = start(Faults { auth: Auth::Bearer, ..Faults::default() });
    let image = image_in(&server);
    let read = async || store.manifest(&tagged("1")).await.unwrap();
    tokio::join!(read(), read(), read());
    store.referrers(image.digest()).await.unwrap();
    assert_eq!(server.count("/token"), 1);
    let anonymous = server.seen().iter().filter(|seen| seen.authorization.is_none()).count();
    assert!(anonymous <= 3, "only the requests that were on their way together are refused: {anonymous}");
}

#[tokio::test]
async fn a_token_that_ends_between_two_requests_is_renewed() {
    // (accepted)
    let (server, store) = start(Faults { auth: Auth::Bearer, expire_token_after: Some(1), ..Faults::default() });
    image_in(&server);
    for _ in 0..3 {
        store.manifest(&tagged("1")).await.unwrap();
    }
    assert_eq!(server.count("/token"), 3);
}

#[tokio::test]
async fn an_upload_has_its_token_before_its_body_is_sent() {
    // (accepted)
    let (server, store) = start(Faults { auth: Auth::Bearer, ..Faults::default() });
    assert_eq!(store.push_blob(&layer("x")).await.unwrap(), Pushed::Sent);
    let puts: Vec<_> = server.seen().into_iter().filter(|seen| seen.line.starts_with("PUT")).collect();
    assert!(puts.len() == 1 && puts[0].authorization.is_some(), "{puts:?}");
    let token = server.seen().into_iter().find(|seen| seen.line.contains("/token")).unwrap();
    assert!(token.line.contains("scope=repository%3Aapp%3Apull%2Cpush"), "{}", token.line);
}

#[tokio::test]
async fn an_identity_token_is_traded_for_a_token_of_the_registry() {
    // (accepted)
    let server = TestRegistry::start(Faults { auth: Auth::Bearer, ..Faults::default() });
    let image = image_in(&server);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, r#"{{"auths":{{"{}":{{"identitytoken":"an-identity"}}}}}}"#, server.host()).unwrap();
    let credentials = CredentialSource::from_files(vec![file.path().to_owned()]);
    let store = open(server.host(), RegistryOptions { credentials, ..RegistryOptions::default() });
    assert_eq!(store.manifest(&tagged("1")).await.unwrap().digest(), image.digest());
    assert_eq!((server.count("POST /token"), server.count("GET /token")), (1, 0));
}

#[tokio::test]
async fn a_refusal_says_whose_credentials_were_sent_and_never_shows_them() {
    // (refused: denied)
    for auth in [Auth::Basic, Auth::Bearer] {
        let server = TestRegistry::start(Faults { auth, ..Faults::default() });
        let credentials = CredentialSource::given(Credentials::new("mallory", "hunter2", "a test"));
        let store = open(server.host(), RegistryOptions { credentials, ..RegistryOptions::default() });
        let error = store.manifest(&tagged("1")).await.unwrap_err();
        let StoreError::Denied { credentials, detail, .. } = &error else { panic!("{error}") };
        assert_eq!(credentials, "mallory (from a test)");
        assert!(detail.contains("UNAUTHORIZED"), "{detail}");
        assert!(!format!("{error:?}").contains("hunter2") && !format!("{error:?}").contains("aHVudGVyMg"));
    }
}

#[tokio::test]
async fn a_refusal_without_credentials_says_where_they_were_looked_for() {
    // (refused: denied)
    let server = TestRegistry::start(Faults { auth: Auth::Basic, ..Faults::default() });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, "{}").unwrap();
    let credentials = CredentialSource::from_files(vec![path.clone()]);
    let store = open(server.host(), RegistryOptions { credentials, ..RegistryOptions::default() });
    let error = store.manifest(&tagged("1")).await.unwrap_err();
    let StoreError::Denied { credentials, .. } = error else { panic!("{error}") };
    assert_eq!(credentials, format!("no credentials for {} were found in {}", server.host(), path.display()));
}

#[tokio::test]
async fn credentials_do_not_follow_a_blob_to_another_origin() {
    // (accepted)
    let storage = TestRegistry::start(Faults::default());
    for auth in [Auth::Basic, Auth::Bearer] {
        let blobs_at = Some(storage.origin().to_owned());
        let (server, store) = start(Faults { auth, blobs_at, ..Faults::default() });
        let blob = layer("elsewhere");
        storage.put_blob(blob.digest(), b"elsewhere");
        let read = store.blob(&Descriptor::of(&blob), 100).await.unwrap();
        assert_eq!(&read.bytes(100).unwrap()[..], b"elsewhere");
        assert!(server.seen().iter().any(|seen| seen.authorization.is_some()));
    }
    never_authorized(&storage);
}

#[tokio::test]
async fn a_challenge_of_another_origin_is_not_answered() {
    // (refused: denied)
    for foreign in [Auth::Basic, Auth::Bearer] {
        let storage = TestRegistry::start(Faults { auth: foreign, ..Faults::default() });
        for auth in [Auth::None, Auth::Basic, Auth::Bearer] {
            let blobs_at = Some(storage.origin().to_owned());
            let (_server, store) = start(Faults { auth, blobs_at, ..Faults::default() });
            let error = store.blob(&Descriptor::of(&layer("x")), 100).await.unwrap_err();
            assert_eq!(error.code(), Code::Denied);
            assert!(!format!("{error:?}").contains("signature"), "{error:?}");
        }
        assert_eq!(storage.count("/token"), 0);
        never_authorized(&storage);
    }
}

#[tokio::test]
async fn credentials_do_not_follow_an_upload_to_another_origin() {
    // (accepted)
    let storage = TestRegistry::start(Faults::default());
    let uploads_at = Some(storage.origin().to_owned());
    let (_server, store) = start(Faults { auth: Auth::Basic, uploads_at, ..Faults::default() });
    store.push_blob(&layer("x")).await.unwrap();
    assert_eq!(storage.count("PUT "), 1);
    never_authorized(&storage);
}

#[tokio::test]
async fn a_listing_that_goes_on_at_another_origin_is_refused() {
    // (refused: unavailable)
    let other = TestRegistry::start(Faults::default());
    let next_page_at = Some(other.origin().to_owned());
    let (server, store) = start(Faults { page_size: Some(1), next_page_at, ..Faults::default() });
    let image = image_in(&server);
    evidence_in(&server, "one", &image);
    evidence_in(&server, "two", &image);
    server.put_manifest(Some("2"), "application/vnd.oci.image.manifest.v1+json", b"{}");
    let error = store.referrers(image.digest()).await.unwrap_err();
    assert!(matches!(error, StoreError::Protocol { .. }), "{error}");
    assert_eq!(code(store.tags().await), Code::Unavailable);
    assert_eq!(other.seen().len(), 0);
}

#[tokio::test]
async fn a_realm_or_redirect_in_plain_http_elsewhere_is_refused() {
    // (refused: unavailable)
    let realm = Some("http://auth.example/token".to_owned());
    let (server, store) = start(Faults { auth: Auth::Bearer, realm, ..Faults::default() });
    let error = store.manifest(&tagged("1")).await.unwrap_err();
    assert!(matches!(error, StoreError::Protocol { .. }), "{error}");
    never_authorized(&server);
    let (_server, store) = start(Faults { blobs_at: Some("http://storage.example".to_owned()), ..Faults::default() });
    let error = store.blob(&Descriptor::of(&layer("x")), 100).await.unwrap_err();
    assert!(error.to_string().contains("http://storage.example/v2/app/blobs/"), "{error}");
    assert!(matches!(error, StoreError::Protocol { .. }) && !error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn redirects_in_circles_end() {
    // (refused: unavailable)
    let headers = vec![("Location", "/v2/app/manifests/1".to_owned())];
    let canned = vec![Canned { headers, ..Canned::status("/manifests/1", 307) }];
    let (server, store) = start(Faults { canned, ..Faults::default() });
    assert_eq!(code(store.manifest(&tagged("1")).await), Code::Unavailable);
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn a_listing_that_is_denied_or_broken_is_an_error_and_never_empty() {
    // (refused: denied, unavailable, json-invalid, …)
    let index = "application/vnd.oci.image.index.v1+json";
    let other = "application/vnd.example+json";
    let cases: Vec<(&str, Canned, Code)> = vec![
        ("API denied", Canned::status("/referrers/", 403), Code::Denied),
        ("API without sign-in", Canned::status("/referrers/", 401), Code::Denied),
        ("API in trouble", Canned::status("/referrers/", 503), Code::Unavailable),
        ("API throttled", Canned::status("/referrers/", 429), Code::Unavailable),
        ("API that finds the digest bad", Canned::status("/referrers/", 400), Code::Unavailable),
        ("API that answers half an index", Canned::body("/referrers/", index, "{\"manifests\":["), Code::JsonInvalid),
        ("tag denied", Canned::status("/manifests/sha256-", 403), Code::Denied),
        ("tag in trouble", Canned::status("/manifests/sha256-", 500), Code::Unavailable),
        ("tag of half an index", Canned::body("/manifests/sha256-", index, "{\"manifests\":["), Code::JsonInvalid),
        ("tag of anything", Canned::body("/manifests/sha256-", other, "{}"), Code::ManifestInvalid),
        ("tag of a page", Canned::body("/manifests/sha256-", "text/html", "<html>"), Code::JsonInvalid),
    ];
    for (name, canned, expected) in cases {
        let faults = Faults { no_referrers_api: true, canned: vec![canned], ..Faults::default() };
        let server = TestRegistry::start(faults);
        let store = open(server.host(), once());
        assert_eq!(code(store.referrers(&Digest::sha256(b"")).await), expected, "{name}");
    }
}

#[tokio::test]
async fn an_api_that_is_not_there_leads_to_the_tag() {
    // (accepted)
    for canned in [
        Canned::status("/referrers/", 404),
        Canned::status("/referrers/", 405),
        Canned::status("/referrers/", 501),
        Canned::body("/referrers/", "text/html", "<html>welcome</html>"),
        Canned::body("/referrers/", "application/json", "{}"),
    ] {
        let (server, store) = start(Faults { canned: vec![canned.clone()], ..Faults::default() });
        let subject = Digest::sha256(b"subject");
        assert_eq!(store.referrers(&subject).await.unwrap(), [], "{} {:?}", canned.status, canned.body);
        let entry = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b"entry"), 5);
        let index = attestry::oci::new_index(std::slice::from_ref(&entry), &Default::default());
        let tag = Tag::of_referrers(&subject);
        server.put_manifest(Some(tag.as_str()), index.media_type().as_str(), &index.bytes(1000).unwrap());
        assert_eq!(store.referrers(&subject).await.unwrap(), [entry]);
    }
}

#[tokio::test]
async fn a_registry_that_answers_everything_with_a_page_is_an_error() {
    // (refused: json-invalid)
    let (_server, store) =
        start(Faults { canned: vec![Canned::body("/v2/", "text/html", "<html>welcome</html>")], ..Faults::default() });
    assert_eq!(code(store.referrers(&Digest::sha256(b"")).await), Code::JsonInvalid);
    assert_eq!(code(store.manifest(&tagged("1")).await), Code::JsonInvalid);
    assert_eq!(code(store.tags().await), Code::Unavailable);
}

#[tokio::test]
async fn an_image_under_the_referrers_tag_lists_nothing_and_is_not_overwritten() {
    // (refused: referrers-tag-invalid)
    let (server, store) = start(Faults { no_referrers_api: true, no_oci_subject: true, ..Faults::default() });
    let image = image_in(&server);
    let tag = Tag::of_referrers(image.digest());
    let foreign = server.put_manifest(
        Some(tag.as_str()),
        "application/vnd.oci.image.manifest.v1+json",
        artifact(&layer("foreign"), None).bytes(),
    );
    assert_eq!(store.referrers(image.digest()).await.unwrap(), []);
    let evidence = push_artifact(&store, "evidence", Some(&image.descriptor())).await;
    assert_eq!(code(store.push_manifest(&evidence).await), Code::ReferrersTagInvalid);
    assert_eq!(store.tag_digest(&tag).await.unwrap(), Some(foreign));
}

#[tokio::test]
async fn pages_of_two_are_read_to_the_end() {
    // (accepted)
    let (server, store) = start(Faults { page_size: Some(2), ..Faults::default() });
    let image = image_in(&server);
    for text in ["1", "2", "3", "4", "5"] {
        evidence_in(&server, text, &image);
        server.put_manifest(Some(text), "application/vnd.oci.image.manifest.v1+json", text.as_bytes());
    }
    assert_eq!(store.referrers(image.digest()).await.unwrap().len(), 5);
    assert_eq!(server.count("/referrers/"), 3);
    assert_eq!(store.tags().await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_referrer_that_is_listed_twice_counts_once() {
    // (accepted)
    let entry = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b"entry"), 5);
    let index = attestry::oci::new_index(&[entry.clone(), entry.clone()], &Default::default());
    let body = index.bytes(10_000).unwrap();
    let canned = vec![Canned::body("/referrers/", index.media_type().as_str(), body)];
    let (_server, store) = start(Faults { canned, ..Faults::default() });
    assert_eq!(store.referrers(&Digest::sha256(b"")).await.unwrap(), [entry]);
}

#[tokio::test]
async fn listings_beyond_the_bounds_are_refused_and_not_cut() {
    // (refused: unavailable)
    let server = TestRegistry::start(Faults { page_size: Some(1), ..Faults::default() });
    let image = image_in(&server);
    for text in ["1", "2", "3"] {
        evidence_in(&server, text, &image);
    }
    for limits in [Limits { pages: 2, ..Limits::default() }, Limits { referrers: 2, ..Limits::default() }] {
        let store = open(server.host(), RegistryOptions { limits, ..RegistryOptions::default() });
        assert_eq!(code(store.referrers(image.digest()).await), Code::Unavailable);
    }
    let circle = vec![("Link", "<?>; rel=next".to_owned()), ("Content-Type", "application/json".to_owned())];
    let body = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
    let canned = vec![Canned { request: "/referrers/", status: 200, headers: circle, body }];
    let (server, store) = start(Faults { canned, ..Faults::default() });
    assert_eq!(code(store.referrers(image.digest()).await), Code::Unavailable);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_throttled_request_is_made_again() {
    // (accepted)
    let (server, store) = start(Faults { throttle_first: 2, ..Faults::default() });
    let image = image_in(&server);
    assert_eq!(store.manifest(&tagged("1")).await.unwrap().digest(), image.digest());
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_registry_that_throttles_without_end_is_unavailable() {
    // (refused: unavailable)
    let (server, store) = start(Faults { throttle_first: 9, ..Faults::default() });
    let error = store.manifest(&tagged("1")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("TOOMANYREQUESTS: said the test"), "{error}");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_digest_header_that_the_bytes_do_not_have_is_refused() {
    // (refused: digest-mismatch)
    let (server, store) = start(Faults { wrong_digest_header: true, ..Faults::default() });
    let image = image_in(&server);
    assert_eq!(code(store.manifest(&tagged("1")).await), Code::DigestMismatch);
    // By digest the bytes alone decide.
    assert_eq!(store.manifest_at(&image.descriptor()).await.unwrap().digest(), image.digest());
}

#[tokio::test]
async fn other_bytes_under_a_digest_are_refused() {
    // (refused: digest-mismatch)
    let other = artifact(&layer("other"), None).bytes().to_vec();
    let canned = vec![Canned::body("/manifests/", "application/vnd.oci.image.manifest.v1+json", other)];
    let (server, store) = start(Faults { canned, ..Faults::default() });
    let image = artifact(&layer("image"), None);
    let selector = Selector { tag: None, digest: Some(image.digest().clone()) };
    assert_eq!(code(store.manifest(&selector).await), Code::DigestMismatch);
    server.put_blob(&Digest::sha256(b"promised"), b"deliver?");
    let promised = Descriptor::new(MediaType::OCTET_STREAM, Digest::sha256(b"promised"), 8);
    assert_eq!(code(store.blob(&promised, 100).await), Code::DigestMismatch);
}

#[tokio::test]
async fn a_blob_that_is_longer_or_shorter_than_promised_is_refused() {
    // (refused: size-mismatch)
    let (server, store) = start(Faults::default());
    let blob = layer("promised");
    for bytes in [&b"promised and more"[..], b"prom", b""] {
        server.put_blob(blob.digest(), bytes);
        assert_eq!(code(store.blob(&Descriptor::of(&blob), 100).await), Code::SizeMismatch);
    }
    server.forget();
    assert_eq!(code(store.blob(&Descriptor::of(&blob), 7).await), Code::TooLarge);
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn a_body_without_a_length_is_read_no_further_than_promised() {
    // (refused: size-mismatch)
    let (server, store) = start(Faults { no_length: true, ..Faults::default() });
    let blob = layer("promised");
    server.put_blob(blob.digest(), &vec![0; 64 << 20]);
    let error = store.blob(&Descriptor::of(&blob), 100).await.unwrap_err();
    let StoreError::Content { cause: ContentError::Size { actual, .. }, .. } = error else { panic!("{error}") };
    assert!(actual < 1 << 20, "{actual}");
    server.put_blob(blob.digest(), b"prom");
    assert_eq!(code(store.blob(&Descriptor::of(&blob), 100).await), Code::SizeMismatch);
    let endless = server.put_manifest(Some("1"), "application/json", &vec![b' '; 64 << 20]);
    assert_eq!(code(store.manifest(&tagged("1")).await), Code::TooLarge);
    assert_eq!(code(store.manifest(&Selector { tag: None, digest: Some(endless) }).await), Code::TooLarge);
    // (accepted)
    server.put_blob(blob.digest(), b"promised");
    assert_eq!(store.blob(&Descriptor::of(&blob), 100).await.unwrap().digest(), blob.digest());
}

#[tokio::test]
async fn a_body_that_ends_early_is_read_again_and_then_given_up() {
    // (accepted)
    let server = TestRegistry::start(Faults { truncate_first: 2, ..Faults::default() });
    let blob = layer("a body that ends early");
    server.put_blob(blob.digest(), b"a body that ends early");
    let store = open(server.host(), once());
    // (refused: unavailable)
    assert_eq!(code(store.blob(&Descriptor::of(&blob), 100).await), Code::Unavailable);
    let store = open(server.host(), signed_in());
    assert_eq!(store.blob(&Descriptor::of(&blob), 100).await.unwrap().digest(), blob.digest());
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_manifest_larger_than_the_bound_is_refused() {
    // (refused: too-large)
    let (server, _) = start(Faults::default());
    let image = image_in(&server);
    let limits = Limits { manifest_bytes: 100, ..Limits::default() };
    let store = open(server.host(), RegistryOptions { limits, ..RegistryOptions::default() });
    assert_eq!(code(store.manifest(&tagged("1")).await), Code::TooLarge);
    assert_eq!(code(store.manifest_at(&image.descriptor()).await), Code::TooLarge);
}

#[tokio::test]
async fn the_content_type_must_be_what_the_body_and_the_descriptor_say() {
    // (refused: media-type-mismatch)
    let server = TestRegistry::start(Faults::default());
    let image = artifact(&layer("an image"), None);
    let store = open(server.host(), RegistryOptions::default());
    server.put_manifest(Some("1"), "application/vnd.oci.image.index.v1+json", image.bytes());
    assert_eq!(code(store.manifest(&tagged("1")).await), Code::MediaTypeMismatch);
    assert_eq!(code(store.manifest_at(&image.descriptor()).await), Code::MediaTypeMismatch);
    // (accepted)
    for silent in ["application/json; charset=utf-8", "text/plain", "application/vnd.oci.image.manifest.v1+json; x=y"] {
        server.put_manifest(Some("1"), silent, image.bytes());
        assert_eq!(store.manifest(&tagged("1")).await.unwrap().digest(), image.digest(), "{silent}");
        store.manifest_at(&image.descriptor()).await.unwrap();
    }
}

#[tokio::test]
async fn evidence_is_listed_by_the_client_where_the_registry_does_not() {
    // (accepted)
    let (server, store) = start(Faults { no_referrers_api: true, no_oci_subject: true, ..Faults::default() });
    let image = image_in(&server);
    let first = push_artifact(&store, "first", Some(&image.descriptor())).await;
    let second = push_artifact(&store, "second", Some(&image.descriptor())).await;
    store.push_manifest(&first).await.unwrap();
    // Pushing by tag alone lists too, and nothing is listed twice.
    store.tag(&second, &Tag::parse("second").unwrap(), &Expected::Absent).await.unwrap();
    store.push_manifest(&second).await.unwrap();
    let listed = store.referrers(image.digest()).await.unwrap();
    assert_eq!(listed, [first.referrer_descriptor(), second.referrer_descriptor()]);
}

#[tokio::test]
async fn a_registry_that_lists_evidence_is_left_to_do_it() {
    // (accepted)
    let (server, store) = start(Faults::default());
    let image = image_in(&server);
    let evidence = push_artifact(&store, "evidence", Some(&image.descriptor())).await;
    store.push_manifest(&evidence).await.unwrap();
    assert_eq!(server.count("/manifests/sha256-"), 0);
}

#[tokio::test]
async fn two_who_write_the_referrers_tag_at_once_are_both_listed() {
    // (accepted)
    for existing in [false, true] {
        let meet = Some("GET /v2/app/manifests/sha256-".to_owned());
        let faults = Faults { no_referrers_api: true, no_oci_subject: true, meet, ..Faults::default() };
        let server = TestRegistry::start(faults);
        let image = image_in(&server);
        if existing {
            let tag = Tag::of_referrers(image.digest());
            let empty = br#"{"schemaVersion":2,"manifests":[]}"#;
            server.put_manifest(Some(tag.as_str()), "application/vnd.oci.image.index.v1+json", empty);
        }
        // Two processes: neither knows of the other's lock. Both have read the tag before either writes it.
        let (one, two) = (open(server.host(), signed_in()), open(server.host(), signed_in()));
        let first = push_artifact(&one, "first", Some(&image.descriptor())).await;
        let second = push_artifact(&two, "second", Some(&image.descriptor())).await;
        let (left, right) = tokio::join!(one.push_manifest(&first), two.push_manifest(&second));
        left.unwrap();
        right.unwrap();
        assert_eq!(one.referrers(image.digest()).await.unwrap().len(), 2, "existing: {existing}");
    }
}

#[tokio::test]
async fn many_writers_of_one_process_are_all_listed_even_without_conditions() {
    // (accepted)
    let faults = Faults { no_referrers_api: true, no_oci_subject: true, no_etag: true, ..Faults::default() };
    let (server, store) = start(faults);
    let image = image_in(&server);
    let push = async |text: &'static str| {
        let evidence = push_artifact(&store, text, Some(&image.descriptor())).await;
        store.push_manifest(&evidence).await.unwrap();
    };
    tokio::join!(push("1"), push("2"), push("3"), push("4"));
    // Reading and writing of one writer is never broken into by another's.
    let lines: Vec<String> = server.seen().into_iter().map(|seen| seen.line).collect();
    let of_tag = lines.iter().filter(|line| line.contains("/manifests/sha256-")).map(|line| line.starts_with("PUT "));
    let of_tag: Vec<bool> = of_tag.collect();
    assert_eq!(of_tag.iter().filter(|is_write| **is_write).count(), 4);
    assert!(!of_tag[0] && of_tag.windows(2).all(|pair| pair != [true, true]), "{of_tag:?}");
    assert_eq!(store.referrers(image.digest()).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_tag_that_another_moves_meanwhile_is_not_overwritten() {
    // (refused: tag-moved)
    let meet = Some("HEAD /v2/app/manifests/1".to_owned());
    for existing in [false, true] {
        let server = TestRegistry::start(Faults { meet: meet.clone(), ..Faults::default() });
        let image = artifact(&layer("an image"), None);
        let expected = if existing { Expected::Digest(image_in(&server).digest().clone()) } else { Expected::Absent };
        let (one, two) = (open(server.host(), signed_in()), open(server.host(), signed_in()));
        let tag = Tag::parse("1").unwrap();
        let other = artifact(&layer("another"), None);
        let third = artifact(&layer("third"), None);
        let (left, right) = tokio::join!(one.tag(&other, &tag, &expected), two.tag(&third, &tag, &expected));
        let won = if left.is_ok() { other.digest() } else { third.digest() };
        assert!(left.is_ok() != right.is_ok(), "{image:?} {left:?} {right:?}");
        assert_eq!(code(left.and(right)), Code::TagMoved);
        assert_eq!(one.tag_digest(&tag).await.unwrap().as_ref(), Some(won));
    }
}

#[tokio::test]
async fn a_written_blob_that_the_registry_calls_by_another_digest_is_an_error() {
    // (refused: digest-mismatch)
    let headers = vec![("Docker-Content-Digest", Digest::sha256(b"other").to_string())];
    let canned = vec![Canned { headers, ..Canned::status("PUT ", 201) }];
    let (_server, store) = start(Faults { canned, ..Faults::default() });
    assert_eq!(code(store.push_blob(&layer("x")).await), Code::DigestMismatch);
    assert_eq!(code(store.push_manifest(&artifact(&layer("x"), None)).await), Code::DigestMismatch);
}

#[tokio::test]
async fn an_upload_that_does_not_end_in_created_is_an_error() {
    // (refused: unavailable, denied)
    for (line, status, expected) in [
        ("PUT ", 200, Code::Unavailable),
        ("PUT ", 500, Code::Unavailable),
        ("POST ", 202, Code::Unavailable),
        ("POST ", 403, Code::Denied),
        ("HEAD ", 403, Code::Denied),
    ] {
        let server = TestRegistry::start(Faults { canned: vec![Canned::status(line, status)], ..Faults::default() });
        let store = open(server.host(), once());
        assert_eq!(code(store.push_blob(&layer("x")).await), expected, "{line} {status}");
    }
}

#[tokio::test]
async fn offline_nothing_is_sent() {
    // (refused: offline)
    let server = TestRegistry::start(Faults::default());
    let store = open(server.host(), RegistryOptions { offline: true, ..RegistryOptions::default() });
    assert_eq!(code(store.manifest(&tagged("1")).await), Code::Offline);
    assert_eq!(code(store.push_blob(&layer("x")).await), Code::Offline);
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unavailable() {
    // (refused: unavailable)
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = open(&host, once()).manifest(&tagged("1")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains(&format!("http://{host}/v2/app/manifests/1")), "{error}");
}
