//! What every store must do, as one function that runs on each kind.

use std::collections::BTreeMap;

use attestry::code::Code;
use attestry::content::Blob;
use attestry::digest::Digest;
use attestry::limits::Limits;
use attestry::media_type::MediaType;
use attestry::oci::{Descriptor, Manifest, artifact_manifest};
use attestry::reference::{Repository, Selector, Tag};
use attestry::store::registry::{Registry, RegistryOptions};
use attestry::store::{Expected, Layout, Memory, Pushed, Removed, Store, StoreError, spool_reader};

use crate::support::registry::{Faults, TestRegistry};

/// An artifact of one layer, with all its blobs pushed.
pub(crate) async fn push_artifact(store: &dyn Store, text: &str, subject: Option<&Descriptor>) -> Manifest {
    let layer = Blob::of_bytes(MediaType::new("text/plain"), text.to_owned());
    let empty = Blob::of_bytes(MediaType::OCI_EMPTY, &b"{}"[..]);
    store.push_blob(&layer).await.unwrap();
    store.push_blob(&empty).await.unwrap();
    artifact(&layer, subject)
}

/// The manifest of an artifact of one layer.
pub(crate) fn artifact(layer: &Blob, subject: Option<&Descriptor>) -> Manifest {
    let artifact_type = MediaType::new("application/vnd.example.test");
    let blob = artifact_manifest(&artifact_type, &[Descriptor::of(layer)], subject, &BTreeMap::new());
    Manifest::read(blob, &Limits::default()).unwrap()
}

fn by_tag(tag: &Tag) -> Selector {
    Selector { tag: Some(tag.clone()), digest: None }
}

/// The contract. The store may hold other content; tags that start with `contract-` are its own.
pub(crate) async fn contract(store: &dyn Store) {
    blobs(store).await;
    large_blobs(store).await;
    let manifest = manifests(store).await;
    tags(store, &manifest).await;
    referrers(store, &manifest).await;
    removal(store, &manifest, Deletes::All).await;
}

/// What a store lets people delete.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deletes {
    /// Manifests and tags.
    All,
    /// Both, and a manifest goes with the last tag on it.
    TagsWithManifests,
    /// Nothing; but an entry of a fallback tag is taken off it.
    ListedOnly,
}

/// Taking things away. `image` has three referrers, which [`referrers`] pushed.
pub(crate) async fn removal(store: &dyn Store, image: &Manifest, deletes: Deletes) {
    let listed = store.referrers(image.digest()).await.unwrap();
    let (first, others) = (&listed[0], listed.len() - 1);
    let removed = store.remove_referrer(image.digest(), &first.digest).await.unwrap();
    assert_eq!(removed, if deletes == Deletes::ListedOnly { Removed::Unlisted } else { Removed::Deleted });
    let left = store.referrers(image.digest()).await.unwrap();
    assert!(left.len() == others && left.iter().all(|entry| entry.digest != first.digest));
    let gone = store.manifest_at(&Descriptor { artifact_type: None, ..first.clone() }).await;
    assert_eq!(gone.is_err(), deletes != Deletes::ListedOnly);
    let tag = Tag::parse("contract-moves").unwrap();
    let named = store.tag_digest(&tag).await.unwrap().unwrap();
    let other = Expected::Digest(first.digest.clone());
    let refused = store.untag(&tag, &other).await;
    assert!(matches!(refused, Err(StoreError::TagMoved { .. })), "{refused:?}");
    let untagged = store.untag(&tag, &Expected::Digest(named.clone())).await;
    if deletes == Deletes::ListedOnly {
        assert_eq!(untagged.unwrap_err().code(), Code::DeleteUnsupported);
        assert_eq!(store.delete_manifest(&named).await.unwrap_err().code(), Code::DeleteUnsupported);
        assert_eq!(store.tag_digest(&tag).await.unwrap(), Some(named));
        return;
    }
    untagged.unwrap();
    assert_eq!(store.tag_digest(&tag).await.unwrap(), None);
    // Some registries keep a tag as a pointer and some as a copy, so it goes by itself.
    store.untag(&Tag::parse("contract-image").unwrap(), &Expected::Any).await.unwrap();
    let digest = Selector { tag: None, digest: Some(image.digest().clone()) };
    if deletes == Deletes::TagsWithManifests {
        assert!(store.manifest(&digest).await.unwrap_err().is_not_found());
        return;
    }
    store.manifest(&digest).await.unwrap();
    store.delete_manifest(image.digest()).await.unwrap();
    assert!(store.manifest(&digest).await.unwrap_err().is_not_found());
    assert!(store.delete_manifest(image.digest()).await.unwrap_err().is_not_found());
    // What it listed is still there.
    let layer = &image.as_image().unwrap().layers[0];
    store.blob(layer, 1000).await.unwrap();
}

/// The contract of a store that does not delete.
pub(crate) async fn contract_without_deletion(store: &dyn Store) {
    blobs(store).await;
    large_blobs(store).await;
    let manifest = manifests(store).await;
    tags(store, &manifest).await;
    referrers(store, &manifest).await;
    removal(store, &manifest, Deletes::ListedOnly).await;
}

/// The contract of a store that takes a manifest away with its tag.
pub(crate) async fn contract_with_tags_that_take_manifests(store: &dyn Store) {
    blobs(store).await;
    large_blobs(store).await;
    let manifest = manifests(store).await;
    tags(store, &manifest).await;
    referrers(store, &manifest).await;
    removal(store, &manifest, Deletes::TagsWithManifests).await;
}

async fn blobs(store: &dyn Store) {
    let blob = Blob::of_bytes(MediaType::new("text/plain"), &b"contract: a blob"[..]);
    let descriptor = Descriptor::of(&blob);
    let absent = store.blob(&descriptor, 100).await.unwrap_err();
    assert!(absent.is_not_found(), "{absent}");
    assert_eq!(store.push_blob(&blob).await.unwrap(), Pushed::Sent);
    assert_eq!(store.push_blob(&blob).await.unwrap(), Pushed::Present);
    let read = store.blob(&descriptor, 100).await.unwrap();
    assert_eq!(read.bytes(100).unwrap(), blob.bytes(100).unwrap());
    assert_eq!(store.blob(&descriptor, 3).await.unwrap_err().code(), Code::TooLarge);
    for size in [descriptor.size - 1, descriptor.size + 1] {
        let wrong = Descriptor { size, ..descriptor.clone() };
        assert_eq!(store.blob(&wrong, 100).await.unwrap_err().code(), Code::SizeMismatch);
    }
}

async fn large_blobs(store: &dyn Store) {
    let bytes: Vec<u8> = (0..9_u32 << 20).map(|index| index.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let content = spool_reader(&mut &bytes[..], 16 << 20, &Limits::default()).unwrap().unwrap();
    let digest = Digest::sha256(&bytes);
    assert!(content.in_memory().is_none());
    let blob = Blob::check(MediaType::OCTET_STREAM, digest, 9 << 20, content).unwrap();
    assert_eq!(store.push_blob(&blob).await.unwrap(), Pushed::Sent);
    let read = store.blob(&Descriptor::of(&blob), 16 << 20).await.unwrap();
    assert!(read.bytes(16 << 20).unwrap() == bytes);
}

async fn manifests(store: &dyn Store) -> Manifest {
    let manifest = push_artifact(store, "contract: an image", None).await;
    let (descriptor, tag) = (manifest.descriptor(), Tag::parse("contract-image").unwrap());
    assert!(store.manifest_at(&descriptor).await.unwrap_err().is_not_found());
    assert!(store.manifest(&by_tag(&tag)).await.unwrap_err().is_not_found());
    store.push_manifest(&manifest).await.unwrap();
    store.push_manifest(&manifest).await.unwrap();
    store.tag(&manifest, &tag, &Expected::Any).await.unwrap();
    let digest = Some(manifest.digest().clone());
    let moved = Some(Tag::parse("contract-nowhere").unwrap());
    for selector in [
        by_tag(&tag),
        Selector { tag: None, digest: digest.clone() },
        // A digest wins over a tag.
        Selector { tag: moved, digest },
    ] {
        let read = store.manifest(&selector).await.unwrap();
        assert_eq!(read.bytes(), manifest.bytes(), "{selector}");
        assert_eq!(read.blob().media_type(), manifest.blob().media_type(), "{selector}");
    }
    assert_eq!(store.manifest_at(&descriptor).await.unwrap().bytes(), manifest.bytes());
    let wrong = Descriptor { size: descriptor.size + 1, ..descriptor.clone() };
    assert_eq!(store.manifest_at(&wrong).await.unwrap_err().code(), Code::SizeMismatch);
    let wrong = Descriptor { media_type: MediaType::DOCKER_MANIFEST, ..descriptor };
    assert_eq!(store.manifest_at(&wrong).await.unwrap_err().code(), Code::MediaTypeMismatch);
    manifest
}

async fn tags(store: &dyn Store, first: &Manifest) {
    let second = push_artifact(store, "contract: a second image", None).await;
    let tag = Tag::parse("contract-moves").unwrap();
    let digest = |manifest: &Manifest| Expected::Digest(manifest.digest().clone());
    let moved = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::TagMoved { .. })), "{result:?}");
    };
    assert_eq!(store.tag_digest(&tag).await.unwrap(), None);
    moved(store.tag(first, &tag, &digest(first)).await);
    store.tag(first, &tag, &Expected::Absent).await.unwrap();
    moved(store.tag(&second, &tag, &Expected::Absent).await);
    moved(store.tag(&second, &tag, &digest(&second)).await);
    assert_eq!(store.tag_digest(&tag).await.unwrap().as_ref(), Some(first.digest()));
    store.tag(&second, &tag, &digest(first)).await.unwrap();
    assert_eq!(store.tag_digest(&tag).await.unwrap().as_ref(), Some(second.digest()));
    assert_eq!(store.manifest(&by_tag(&tag)).await.unwrap().digest(), second.digest());
    let mut tags = store.tags().await.unwrap();
    tags.retain(|tag| tag.as_str().starts_with("contract-"));
    tags.sort();
    assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["contract-image", "contract-moves"]);
}

async fn referrers(store: &dyn Store, image: &Manifest) {
    let list = async |subject: &Digest| {
        let mut list: Vec<Digest> = Vec::new();
        for descriptor in store.referrers(subject).await.unwrap() {
            assert_eq!(descriptor.artifact_type, Some(MediaType::new("application/vnd.example.test")));
            list.push(descriptor.digest);
        }
        list.sort();
        list
    };
    assert!(list(image.digest()).await.is_empty());
    let subject = image.descriptor();
    let mut pushed = Vec::new();
    for text in ["contract: evidence 1", "contract: evidence 2", "contract: evidence 3"] {
        let evidence = push_artifact(store, text, Some(&subject)).await;
        store.push_manifest(&evidence).await.unwrap();
        store.push_manifest(&evidence).await.unwrap();
        pushed.push(evidence.digest().clone());
    }
    pushed.sort();
    assert_eq!(list(image.digest()).await, pushed);
    // Evidence about what is not there.
    let absent = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b"contract: absent"), 3);
    let evidence = push_artifact(store, "contract: evidence 4", Some(&absent)).await;
    store.push_manifest(&evidence).await.unwrap();
    assert_eq!(list(&absent.digest).await, [evidence.digest().clone()]);
}

pub(crate) fn open(host: &str, options: RegistryOptions) -> Registry {
    Registry::new(Repository::parse(&format!("{host}/app")).unwrap(), options).unwrap()
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract(&Memory::new(&Limits::default())).await;
}

#[tokio::test]
async fn a_layout_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract(&Layout::create(folder.path(), &Limits::default()).unwrap()).await;
    // What one process wrote the next one reads.
    let again = Layout::open(folder.path(), &Limits::default()).unwrap();
    assert!(!again.tags().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_registry_with_the_referrers_api_keeps_the_contract() {
    let server = TestRegistry::start(Faults::default());
    contract(&open(server.host(), RegistryOptions::default())).await;
}

#[tokio::test]
async fn a_registry_without_the_referrers_api_keeps_the_contract() {
    let faults = Faults { no_referrers_api: true, no_oci_subject: true, no_etag: true, ..Faults::default() };
    let server = TestRegistry::start(faults);
    contract(&open(server.host(), RegistryOptions::default())).await;
}

#[tokio::test]
async fn a_registry_that_does_not_delete_keeps_the_rest_of_the_contract() {
    // (refused: delete-unsupported)
    let faults = Faults { no_referrers_api: true, no_oci_subject: true, no_delete: true, ..Faults::default() };
    let server = TestRegistry::start(faults);
    contract_without_deletion(&open(server.host(), RegistryOptions::default())).await;
    // With the referrers API the manifest itself would have to go.
    let server = TestRegistry::start(Faults { no_delete: true, ..Faults::default() });
    let store = open(server.host(), RegistryOptions::default());
    let image = push_artifact(&store, "an image", None).await;
    store.push_manifest(&image).await.unwrap();
    let evidence = push_artifact(&store, "evidence", Some(&image.descriptor())).await;
    store.push_manifest(&evidence).await.unwrap();
    let refused = store.remove_referrer(image.digest(), evidence.digest()).await.unwrap_err();
    assert_eq!(refused.code(), Code::DeleteUnsupported);
    assert_eq!(store.referrers(image.digest()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_registry_that_pages_throttles_and_signs_tokens_keeps_the_contract() {
    let faults = Faults {
        page_size: Some(2),
        throttle_first: 2,
        auth: crate::support::registry::Auth::Bearer,
        expire_token_after: Some(3),
        absolute_location: true,
        ..Faults::default()
    };
    let server = TestRegistry::start(faults);
    let mut options = crate::registry_faults::signed_in();
    // A request that waits for another while it holds the only slot would hang here.
    options.limits.concurrent_requests = 1;
    contract(&open(server.host(), options)).await;
}
