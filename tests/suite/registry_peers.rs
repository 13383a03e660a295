//! The store contract against registries that others wrote, where they are installed.

use attestry::code::Code;
use attestry::reference::Tag;
use attestry::store::Store;
use attestry::store::registry::{CredentialSource, Credentials, RegistryOptions};

use crate::store_contract::{contract, contract_without_deletion, open};
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
    contract(&open(&server.host, RegistryOptions::default())).await;
}

#[tokio::test]
async fn crane_registry_keeps_the_contract() {
    let Some(peer) = crane_registry() else { return };
    contract(&open(&peer.host, RegistryOptions::default())).await;
}
