//! Mirrors: asked first for what has a digest, never for what has to be said, and never with another's credentials.

use attestry::content::Blob;
use attestry::digest::Digest;
use attestry::media_type::MediaType;
use attestry::oci::{Descriptor, Manifest};
use attestry::reference::{Selector, Tag};
use attestry::store::Store;
use attestry::store::registry::{CredentialSource, Mirror, Registry, RegistryOptions};

use crate::registry_faults::signed_in;
use crate::store_contract::{artifact, open};
use crate::support::program::{Ended, program};
use crate::support::registry::{Auth, Canned, Faults, TestRegistry};

const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

fn layer(text: &'static str) -> Blob {
    Blob::of_bytes(MediaType::new("text/plain"), text.as_bytes())
}

/// A registry with a mirror, each with an image of its own under the tag `1`, and a client of both.
fn start(origin: Faults, mirror: Faults) -> (TestRegistry, TestRegistry, Registry) {
    let (origin, mirror) = (TestRegistry::start(origin), TestRegistry::start(mirror));
    for (server, text) in [(&origin, "right"), (&mirror, "behind")] {
        server.put_manifest(Some("1"), MEDIA_TYPE, artifact(&layer(text), None).bytes());
    }
    let text = format!("{}={}/copies", origin.host(), mirror.host());
    let store = open(origin.host(), RegistryOptions { mirrors: vec![Mirror::parse(&text).unwrap()], ..signed_in() });
    (origin, mirror, store)
}

fn image() -> Manifest {
    artifact(&layer("an image"), None)
}

fn by_digest(digest: &Digest) -> Selector {
    Selector { tag: Some(Tag::parse("1").unwrap()), digest: Some(digest.clone()) }
}

#[tokio::test]
async fn what_has_a_digest_comes_from_the_mirror() {
    // (accepted)
    let (origin, mirror, store) = start(Faults::default(), Faults::default());
    let (image, blob) = (image(), layer("a layer"));
    mirror.put_manifest(None, MEDIA_TYPE, image.bytes());
    mirror.put_blob(blob.digest(), b"a layer");
    assert_eq!(store.manifest_at(&image.descriptor()).await.unwrap().bytes(), image.bytes());
    assert_eq!(store.manifest(&by_digest(image.digest())).await.unwrap().bytes(), image.bytes());
    assert_eq!(store.blob(&Descriptor::of(&blob), 100).await.unwrap().digest(), blob.digest());
    assert_eq!((origin.seen().len(), mirror.count("/v2/copies/app/")), (0, 3));
}

#[tokio::test]
async fn what_has_to_be_said_is_asked_of_the_registry() {
    // (accepted)
    let (origin, mirror, store) = start(Faults::default(), Faults::default());
    let image = artifact(&layer("right"), None);
    let evidence = artifact(&layer("evidence"), Some(&image.descriptor()));
    origin.put_manifest(None, MEDIA_TYPE, evidence.bytes());
    let tag = Tag::parse("1").unwrap();
    let named = Selector { tag: Some(tag.clone()), digest: None };
    assert_eq!(store.manifest(&named).await.unwrap().digest(), image.digest());
    assert_eq!(store.tag_digest(&tag).await.unwrap().as_ref(), Some(image.digest()));
    assert_eq!(store.referrers(image.digest()).await.unwrap(), [evidence.referrer_descriptor()]);
    assert_eq!(store.tags().await.unwrap(), [tag]);
    store.push_blob(&layer("written")).await.unwrap();
    assert_eq!(mirror.seen().len(), 0);
}

#[tokio::test]
async fn a_mirror_that_lacks_lies_or_fails_is_passed_over() {
    // (accepted)
    let page = || Canned::body("/v2/", "text/html", "<html>welcome</html>");
    for canned in [None, Some(page()), Some(Canned::status("/v2/", 403)), Some(Canned::status("/v2/", 500))] {
        let (origin, _mirror, store) =
            start(Faults::default(), Faults { canned: canned.into_iter().collect(), ..Faults::default() });
        let (image, blob) = (image(), layer("a layer"));
        origin.put_manifest(None, MEDIA_TYPE, image.bytes());
        origin.put_blob(blob.digest(), b"a layer");
        assert_eq!(store.manifest_at(&image.descriptor()).await.unwrap().bytes(), image.bytes());
        assert_eq!(store.manifest(&by_digest(image.digest())).await.unwrap().bytes(), image.bytes());
        assert_eq!(store.blob(&Descriptor::of(&blob), 100).await.unwrap().digest(), blob.digest());
    }
    // Other bytes under the digest.
    let (origin, mirror, store) = start(Faults::default(), Faults::default());
    let blob = layer("a layer");
    origin.put_blob(blob.digest(), b"a layer");
    mirror.put_blob(blob.digest(), b"a liar.");
    assert_eq!(&store.blob(&Descriptor::of(&blob), 100).await.unwrap().bytes(100).unwrap()[..], b"a layer");
    assert_eq!(mirror.seen().len(), 1);
}

#[tokio::test]
async fn a_mirror_that_is_down_is_asked_once() {
    // (accepted)
    let (origin, mirror, store) =
        start(Faults::default(), Faults { canned: vec![Canned::status("/v2/", 503)], ..Faults::default() });
    let image = image();
    origin.put_manifest(None, MEDIA_TYPE, image.bytes());
    for _ in 0..3 {
        store.manifest_at(&image.descriptor()).await.unwrap();
    }
    assert_eq!(mirror.seen().len(), 1);
}

#[tokio::test]
async fn credentials_of_the_registry_do_not_go_to_its_mirror() {
    // (accepted)
    for auth in [Auth::Basic, Auth::Bearer] {
        let (origin, mirror, store) = start(Faults { auth, ..Faults::default() }, Faults { auth, ..Faults::default() });
        let image = image();
        for server in [&origin, &mirror] {
            server.put_manifest(None, MEDIA_TYPE, image.bytes());
        }
        store.manifest_at(&image.descriptor()).await.unwrap();
        assert!(mirror.seen().iter().all(|seen| seen.authorization.is_none()), "{:?}", mirror.seen());
        assert!(origin.seen().iter().any(|seen| seen.authorization.is_some()));
    }
}

#[tokio::test]
async fn a_mirror_is_signed_in_to_with_its_own_credentials() {
    // (accepted)
    let origin = TestRegistry::start(Faults::default());
    let mirror = TestRegistry::start(Faults { auth: Auth::Basic, ..Faults::default() });
    let image = image();
    mirror.put_manifest(None, MEDIA_TYPE, image.bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let entry = serde_json::json!({"username": "alice", "password": "open:sesame"});
    let other = serde_json::json!({"username": "mallory", "password": "hunter2"});
    let auths = serde_json::json!({"auths": {mirror.host(): entry, origin.host(): other}});
    std::fs::write(&path, auths.to_string()).unwrap();
    let text = format!("{}={}", origin.host(), mirror.host());
    let options = RegistryOptions {
        mirrors: vec![Mirror::parse(&text).unwrap()],
        credentials: CredentialSource::from_files(vec![path]),
        ..RegistryOptions::default()
    };
    open(origin.host(), options).manifest_at(&image.descriptor()).await.unwrap();
    assert_eq!((origin.seen().len(), mirror.seen().len()), (0, 2));
}

#[test]
fn a_mirror_is_named_on_the_command_line() {
    // (accepted)
    let (origin, mirror) = (TestRegistry::start(Faults::default()), TestRegistry::start(Faults::default()));
    let image = image();
    mirror.put_manifest(None, MEDIA_TYPE, image.bytes());
    let reference = format!("{}/app@{}", origin.host(), image.digest());
    let list = |mirror: &str| Ended::of(&program().args(["list", &reference, "--mirror", mirror]).output().unwrap());
    let ended = list(&format!("{}={}", origin.host(), mirror.host()));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!((mirror.count("/manifests/"), mirror.count("/referrers/")), (1, 0));
    assert_eq!(origin.count("/referrers/"), 1);
    // (refused: argument-invalid)
    list("mirror.example").says(2, "argument-invalid").names("mirror.example");
}
