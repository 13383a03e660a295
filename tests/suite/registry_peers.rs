//! The store contract against registries that others wrote, where they are installed.

use attestry::code::Code;
use attestry::content::Blob;
use attestry::limits::Limits;
use attestry::media_type::MediaType;
use attestry::oci::Descriptor;
use attestry::reference::{Repository, Tag};
use attestry::store::registry::{CredentialSource, Credentials, Registry, RegistryOptions};
use attestry::store::{Pushed, Store};

use crate::store_contract::{contract, contract_with_tags_that_take_manifests, contract_without_deletion, open};
use crate::support::ferro::FerroRegistry;
use crate::support::peer::{crane_registry, docker_registry, installed, peer};

#[tokio::test]
async fn docker_registry_keeps_the_contract() {
    let Some(peer) = docker_registry(None) else { return };
    // As it is installed, it does not delete.
    contract_without_deletion(&open(&peer.host, RegistryOptions::default())).await;
}

#[tokio::test]
async fn docker_registry_with_passwords_keeps_the_contract_and_refuses_strangers() {
    if !installed("htpasswd") {
        return;
    }
    let passwords = peer("htpasswd", ["-Bbn", "alice", "open:sesame"]).succeeds().text();
    let Some(peer) = docker_registry(Some(&passwords)) else { return };
    let given = |password: &str| CredentialSource::given(Credentials::new("alice", password, "a test"));
    let signed_in = RegistryOptions { credentials: given("open:sesame"), ..RegistryOptions::default() };
    contract_without_deletion(&open(&peer.host, signed_in)).await;
    // (refused: denied)
    let wrong = RegistryOptions { credentials: given("wrong"), ..RegistryOptions::default() };
    for options in [RegistryOptions::default(), wrong] {
        let store = open(&peer.host, options);
        let tag = Tag::parse("contract-image").unwrap();
        assert_eq!(store.tag_digest(&tag).await.unwrap_err().code(), Code::Denied);
        let subject = attestry::digest::Digest::sha256(b"");
        assert_eq!(store.referrers(&subject).await.unwrap_err().code(), Code::Denied);
    }
}

#[tokio::test]
async fn the_registry_of_ferro_oci_server_keeps_the_contract() {
    let server = FerroRegistry::start();
    contract_with_tags_that_take_manifests(&open(&server.host, RegistryOptions::default())).await;
}

#[tokio::test]
async fn crane_registry_keeps_the_contract() {
    let Some(peer) = crane_registry() else { return };
    contract(&open(&peer.host, RegistryOptions::default())).await;
}

/// A blob of five pieces, which differ.
fn blob_of_pieces() -> Blob {
    let bytes: Vec<u8> = (0..5_u32 << 18).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    Blob::of_bytes(MediaType::OCTET_STREAM, bytes)
}

fn in_pieces() -> RegistryOptions {
    let limits = Limits { whole_upload_bytes: 1 << 20, piece_bytes: 1 << 20, ..Limits::default() };
    RegistryOptions { limits, ..RegistryOptions::default() }
}

#[tokio::test]
async fn registries_of_others_take_a_blob_in_pieces() {
    // (accepted)
    for peer in [docker_registry(None), crane_registry()] {
        let Some(peer) = peer else { return };
        let store = open(&peer.host, in_pieces());
        let blob = blob_of_pieces();
        assert_eq!(store.push_blob(&blob).await.unwrap(), Pushed::Sent);
        assert_eq!(store.push_blob(&blob).await.unwrap(), Pushed::Present);
        let read = store.blob(&Descriptor::of(&blob), blob.size()).await.unwrap();
        assert!(read.bytes(blob.size()).unwrap() == blob.bytes(blob.size()).unwrap());
    }
}

#[tokio::test]
async fn docker_registry_mounts_what_another_repository_has() {
    // (accepted)
    let Some(peer) = docker_registry(None) else { return };
    let base = Repository::parse(&format!("{}/base", peer.host)).unwrap();
    let blob = blob_of_pieces();
    let store = open(&peer.host, in_pieces());
    assert!(!store.mount_blob(blob.digest(), &base).await.unwrap());
    Registry::new(base.clone(), in_pieces()).unwrap().push_blob(&blob).await.unwrap();
    assert!(store.mount_blob(blob.digest(), &base).await.unwrap());
    assert_eq!(store.push_blob(&blob).await.unwrap(), Pushed::Present);
}
