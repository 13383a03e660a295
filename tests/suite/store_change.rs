//! Changing what a tag names while others do the same.

use attestry::code::Code;
use attestry::content::Blob;
use attestry::digest::Digest;
use attestry::limits::Limits;
use attestry::media_type::MediaType;
use attestry::oci::{Descriptor, Manifest, new_index};
use attestry::reference::{Selector, Tag};
use attestry::store::registry::RegistryOptions;
use attestry::store::{Layout, Memory, Store, StoreError, change_tag};

use crate::store_contract::{open, push_artifact};
use crate::support::registry::{Faults, TestRegistry};

fn limits() -> Limits {
    Limits { read_back_milliseconds: 5, ..Limits::default() }
}

fn read(bytes: impl Into<bytes::Bytes>) -> Manifest {
    Manifest::read(Blob::of_bytes(MediaType::OCI_INDEX, bytes), &limits()).unwrap()
}

/// Adds a child to the index under a tag.
async fn add(store: &dyn Store, child: &Descriptor) -> Result<(), StoreError> {
    change_tag(store, &Tag::parse("list").unwrap(), &limits(), |current| {
        let Some(index) = current else {
            return Ok(Some(read(new_index(std::slice::from_ref(child), &Default::default()).bytes(10_000).unwrap())));
        };
        let entries = index.as_index().unwrap();
        let there = entries.children().iter().any(|known| known.descriptor.digest == child.digest);
        Ok((!there).then(|| read(entries.with_child(index.bytes(), child))))
    })
    .await
}

async fn children(store: &dyn Store) -> Vec<Digest> {
    let selector = Selector { tag: Some(Tag::parse("list").unwrap()), digest: None };
    let index = store.manifest(&selector).await.unwrap();
    let mut digests: Vec<Digest> =
        index.as_index().unwrap().children().iter().map(|child| child.descriptor.digest.clone()).collect();
    digests.sort();
    digests
}

/// Four writers, each with a store of its own that leads to the same place.
async fn four_writers(stores: [&dyn Store; 4]) {
    let mut pushed = Vec::new();
    for text in ["1", "2", "3", "4"] {
        let manifest = push_artifact(stores[0], text, None).await;
        stores[0].push_manifest(&manifest).await.unwrap();
        pushed.push(manifest.descriptor());
    }
    let (one, two, three, four) = tokio::join!(
        add(stores[0], &pushed[0]),
        add(stores[1], &pushed[1]),
        add(stores[2], &pushed[2]),
        add(stores[3], &pushed[3])
    );
    for done in [one, two, three, four] {
        done.unwrap();
    }
    let mut expected: Vec<Digest> = pushed.into_iter().map(|descriptor| descriptor.digest).collect();
    expected.sort();
    assert_eq!(children(stores[0]).await, expected);
}

#[tokio::test]
async fn writers_of_one_tag_lose_nothing() {
    // (accepted)
    let memory = Memory::new(&limits());
    four_writers([&memory, &memory, &memory, &memory]).await;
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path(), &limits()).unwrap();
    four_writers([&layout, &layout, &layout, &layout]).await;
    let server = TestRegistry::start(Faults::default());
    let options = || RegistryOptions { limits: limits(), ..RegistryOptions::default() };
    let clients = [1, 2, 3, 4].map(|_| open(server.host(), options()));
    four_writers([&clients[0], &clients[1], &clients[2], &clients[3]]).await;
}

#[tokio::test]
async fn a_change_that_another_writes_over_is_made_again_and_a_lasting_loss_is_told() {
    for (losses, lasting) in [(4, false), (5, true)] {
        let server = TestRegistry::start(Faults { lose_tag_writes: losses, ..Faults::default() });
        let store = open(server.host(), RegistryOptions { limits: limits(), ..RegistryOptions::default() });
        let manifest = push_artifact(&store, "1", None).await;
        store.push_manifest(&manifest).await.unwrap();
        let done = add(&store, &manifest.descriptor()).await;
        match lasting {
            // (refused: entry-lost)
            true => assert_eq!(done.unwrap_err().code(), Code::EntryLost),
            // (accepted)
            false => assert_eq!(children(&store).await, [manifest.digest().clone()]),
        }
        assert_eq!(server.count("PUT /v2/app/manifests/list"), 5);
    }
}
