//! Registries that misbehave while they are read from, beyond what `registry_faults` has.

use attestry::code::Code;
use attestry::content::Blob;
use attestry::limits::Limits;
use attestry::media_type::MediaType;
use attestry::oci::Descriptor;
use attestry::store::registry::{Registry, RegistryOptions};
use attestry::store::{Store, StoreError};

use crate::store_contract::open;
use crate::support::registry::{Faults, TestRegistry};

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
