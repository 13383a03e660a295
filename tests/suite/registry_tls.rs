//! TLS with a real registry: authorities of one's own, client certificates, folders of certificates, proxies.

use std::path::{Path, PathBuf};

use attestry::code::Code;
use attestry::content::Blob;
use attestry::media_type::MediaType;
use attestry::oci::Descriptor;
use attestry::reference::Tag;
use attestry::store::registry::{Certificates, CredentialSource, Credentials, Mirror, RegistryOptions};
use attestry::store::{Expected, Store, StoreError};

use crate::store_contract::{contract_without_deletion, open, push_artifact};
use crate::support::certificate::{Authority, Signed};
use crate::support::peer::{docker_registry, docker_registry_with_tls, installed, peer};
use crate::support::program::{Ended, program};
use crate::support::proxy::TestProxy;
use crate::support::registry::{Faults, TestRegistry};

const NAMES: &[&str] = &["127.0.0.1", "registry.example"];

fn trusting(authority: &Signed) -> Certificates {
    Certificates::default().with_authorities(Path::new(&authority.certificate)).unwrap()
}

fn with_client(certificates: Certificates, client: &Signed) -> Certificates {
    certificates.with_client(Path::new(&client.certificate), Path::new(&client.key)).unwrap()
}

fn options(certificates: Certificates) -> RegistryOptions {
    RegistryOptions { certificates, ..RegistryOptions::default() }
}

async fn ask(host: &str, certificates: Certificates) -> Result<(), StoreError> {
    open(host, options(certificates)).tag_digest(&Tag::parse("contract-image").unwrap()).await.map(|_| ())
}

#[tokio::test]
async fn a_registry_with_an_authority_of_its_own_keeps_the_contract_once_it_is_trusted() {
    if !installed("htpasswd") {
        return;
    }
    let passwords = peer("htpasswd", ["-Bbn", "alice", "open:sesame"]).succeeds().text();
    let authority = Authority::new();
    let server = authority.sign("server", NAMES);
    let Some(peer) = docker_registry_with_tls(&server, None, Some(&passwords)) else { return };
    let credentials = CredentialSource::given(Credentials::new("alice", "open:sesame", "a test"));
    contract_without_deletion(&open(&peer.host, RegistryOptions { credentials, ..options(trusting(&authority.own)) }))
        .await;
    // (refused: unavailable) Another authority, and the same with a folder that says TLS is spoken and trusts nobody.
    let nobody = tempfile::tempdir().unwrap();
    std::fs::create_dir(nobody.path().join(&peer.host)).unwrap();
    let folder = Certificates::from_folders(vec![nobody.path().to_owned()]);
    for certificates in [trusting(&Authority::new().own), folder] {
        let error = ask(&peer.host, certificates).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
        assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    }
    // (refused: denied)
    assert_eq!(ask(&peer.host, trusting(&authority.own)).await.unwrap_err().code(), Code::Denied);
}

#[tokio::test]
async fn a_trusted_certificate_for_another_name_is_refused() {
    // (refused: unavailable)
    let authority = Authority::new();
    let Some(peer) = docker_registry_with_tls(&authority.sign("server", &["other.example"]), None, None) else {
        return;
    };
    let error = ask(&peer.host, trusting(&authority.own)).await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn a_registry_that_wants_client_certificates_gets_the_one_that_is_for_it() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (server, client) = (authority.sign("server", NAMES), clients.sign("client", &[]));
    let Some(peer) = docker_registry_with_tls(&server, Some(&clients.own), None) else { return };
    contract_without_deletion(&open(&peer.host, options(with_client(trusting(&authority.own), &client)))).await;
    // (refused: unavailable) None, and one that others signed.
    let stranger = with_client(trusting(&authority.own), &authority.sign("stranger", &[]));
    for certificates in [trusting(&authority.own), stranger] {
        assert_eq!(ask(&peer.host, certificates).await.unwrap_err().code(), Code::Unavailable);
    }
}

#[tokio::test]
async fn a_client_certificate_does_not_follow_a_blob_to_another_origin() {
    // (refused: unavailable) The storage would take the certificate, and wants one.
    let (authority, clients) = (Authority::new(), Authority::new());
    let (server, client) = (authority.sign("server", NAMES), clients.sign("client", &[]));
    let Some(storage) = docker_registry_with_tls(&server, Some(&clients.own), None) else { return };
    let with_client = || with_client(trusting(&authority.own), &client);
    let blob = Blob::of_bytes(MediaType::new("text/plain"), &b"elsewhere"[..]);
    open(&storage.host, options(with_client())).push_blob(&blob).await.unwrap();
    let blobs_at = Some(format!("https://{}", storage.host));
    let registry = TestRegistry::start(Faults { blobs_at, ..Faults::default() });
    let insecure_http = vec![registry.host().to_owned()];
    let store = open(registry.host(), RegistryOptions { insecure_http, ..options(with_client()) });
    assert_eq!(store.blob(&Descriptor::of(&blob), 100).await.unwrap_err().code(), Code::Unavailable);
    // (accepted) With TLS and without client certificates the way is open.
    let Some(storage) = docker_registry_with_tls(&server, None, None) else { return };
    open(&storage.host, options(trusting(&authority.own))).push_blob(&blob).await.unwrap();
    let blobs_at = Some(format!("https://{}", storage.host));
    let registry = TestRegistry::start(Faults { blobs_at, ..Faults::default() });
    let insecure_http = vec![registry.host().to_owned()];
    let store = open(registry.host(), RegistryOptions { insecure_http, ..options(with_client()) });
    assert_eq!(store.blob(&Descriptor::of(&blob), 100).await.unwrap().digest(), blob.digest());
}

#[tokio::test]
async fn certificates_are_taken_from_the_folder_of_the_host_alone() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (server, client) = (authority.sign("server", NAMES), clients.sign("client", &[]));
    let Some(peer) = docker_registry_with_tls(&server, Some(&clients.own), None) else { return };
    let put = |host: &str| {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join(host);
        std::fs::create_dir(&own).unwrap();
        std::fs::copy(&authority.own.certificate, own.join("ca.crt")).unwrap();
        std::fs::copy(&client.certificate, own.join("client.cert")).unwrap();
        std::fs::copy(&client.key, own.join("client.key")).unwrap();
        folder
    };
    let right = put(&peer.host);
    let certificates = Certificates::from_folders(vec![PathBuf::from("/nonexistent"), right.path().to_owned()]);
    contract_without_deletion(&open(&peer.host, options(certificates))).await;
    // (refused: unavailable) The authority is trusted, the client certificate is of another host.
    let other = put("registry.example");
    let certificates = Certificates::from_folders(vec![other.path().to_owned()]);
    let certificates = certificates.with_authorities(Path::new(&authority.own.certificate)).unwrap();
    assert_eq!(ask(&peer.host, certificates).await.unwrap_err().code(), Code::Unavailable);
    // (refused: tls-file-invalid)
    std::fs::remove_file(right.path().join(&peer.host).join("client.key")).unwrap();
    let certificates = Certificates::from_folders(vec![right.path().to_owned()]);
    assert_eq!(ask(&peer.host, certificates).await.unwrap_err().code(), Code::TlsFileInvalid);
}

#[test]
fn files_that_hold_no_certificate_or_not_its_key_are_named() {
    // (refused: tls-file-invalid)
    let authority = Authority::new();
    let (one, two) = (authority.sign("one", &[]), authority.sign("two", &[]));
    let garbage = authority.folder().join("garbage.pem");
    std::fs::write(&garbage, "no PEM at all").unwrap();
    let broken = authority.folder().join("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let (garbage, broken) = (garbage.to_str().unwrap(), broken.to_str().unwrap());
    for (arguments, named) in [
        (vec!["--registry-ca", garbage], garbage),
        (vec!["--registry-ca", broken], broken),
        (vec!["--registry-ca", "absent.pem"], "absent.pem"),
        (vec!["--registry-cert", garbage, "--registry-key", &one.key], garbage),
        (vec!["--registry-cert", "absent.pem", "--registry-key", &one.key], "absent.pem"),
        (vec!["--registry-cert", &one.certificate, "--registry-key", "absent.pem"], "absent.pem"),
        (vec!["--registry-cert", &one.certificate, "--registry-key", garbage], garbage),
        (vec!["--registry-cert", &one.certificate, "--registry-key", &two.key], &two.key),
    ] {
        let ended = Ended::of(&program().args(["list", "registry.example/app"]).args(arguments).output().unwrap());
        ended.says(2, "tls-file-invalid").names(named);
    }
    // One without the other is a wrong question.
    for option in ["--registry-cert", "--registry-key"] {
        let ended = Ended::of(&program().args(["list", "registry.example/app", option, "x"]).output().unwrap());
        assert_eq!(ended.code, 2, "{ended:?}");
    }
}

/// Lists an image of `registry.example` through a proxy, trusting the authority.
fn list_through(proxy: &str, authority: &Signed, more: &[(&str, &str)]) -> Ended {
    let mut command = program();
    command.args(["list", "registry.example/app:1", "--registry-ca", &authority.certificate]);
    command.env("HTTPS_PROXY", proxy).envs(more.iter().copied());
    Ended::of(&command.output().unwrap())
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_used_and_its_password_stays_with_it() {
    let authority = Authority::new();
    let Some(peer) = docker_registry_with_tls(&authority.sign("server", NAMES), None, None) else { return };
    let store = open(&peer.host, options(trusting(&authority.own)));
    let image = push_artifact(&store, "an image", None).await;
    store.tag(&image, &Tag::parse("1").unwrap(), &Expected::Absent).await.unwrap();
    // (accepted)
    let proxy = TestProxy::start(Some(peer.host.clone()));
    let address = format!("http://mallory:hunter2@{}", proxy.host());
    let ended = list_through(&address, &authority.own, &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let seen = proxy.seen();
    assert!(!seen.is_empty());
    for head in seen {
        assert!(head.starts_with("CONNECT registry.example:443 "), "{head}");
        assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic bwfsbg9yetpodw50zxiy"), "{head}");
    }
    // (refused: unavailable) A proxy that refuses, one that is not there; neither prints the password.
    let refusing = TestProxy::start(None);
    for host in [refusing.host(), "127.0.0.1:1"] {
        let ended = list_through(&format!("http://mallory:hunter2@{host}"), &authority.own, &[]);
        ended.says(3, "unavailable");
        assert!(!ended.err.contains("hunter2") && !ended.err.contains("aHVudGVyMg"), "{}", ended.err);
    }
    assert!(!refusing.seen().is_empty());
}

#[test]
fn a_host_that_needs_no_proxy_is_not_asked_for_through_one() {
    // (refused: unavailable) The name leads nowhere, and the proxy hears nothing of it.
    let authority = Authority::new();
    let proxy = TestProxy::start(None);
    let ended = list_through(&format!("http://{}", proxy.host()), &authority.own, &[("NO_PROXY", "registry.example")]);
    ended.says(3, "unavailable");
    assert_eq!(proxy.seen().len(), 0);
}

#[tokio::test]
async fn loopback_never_goes_through_a_proxy() {
    // (accepted) In plain HTTP, and with TLS.
    let authority = Authority::new();
    let proxy = TestProxy::start(None);
    let address = format!("http://{}", proxy.host());
    let tls = docker_registry_with_tls(&authority.sign("server", NAMES), None, None);
    for (peer, is_secure) in [(docker_registry(None), false), (tls, true)] {
        let Some(peer) = peer else { return };
        let certificates = if is_secure { trusting(&authority.own) } else { Certificates::default() };
        let store = open(&peer.host, options(certificates));
        let image = push_artifact(&store, "an image", None).await;
        store.tag(&image, &Tag::parse("1").unwrap(), &Expected::Absent).await.unwrap();
        let mut command = program();
        command.args(["list", &format!("{}/app:1", peer.host)]);
        if is_secure {
            command.args(["--registry-ca", &authority.own.certificate]);
        }
        for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env(variable, &address);
        }
        let ended = Ended::of(&command.output().unwrap());
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    assert_eq!(proxy.seen().len(), 0);
}

#[tokio::test]
async fn a_client_certificate_is_not_shown_to_a_mirror() {
    // (accepted) The mirror would take the certificate, and wants one; so the registry itself is asked.
    let (authority, clients) = (Authority::new(), Authority::new());
    let (server, client) = (authority.sign("server", NAMES), clients.sign("client", &[]));
    let Some(mirror) = docker_registry_with_tls(&server, Some(&clients.own), None) else { return };
    let with_client = || with_client(trusting(&authority.own), &client);
    let blob = Blob::of_bytes(MediaType::new("text/plain"), &b"a layer"[..]);
    open(&mirror.host, options(with_client())).push_blob(&blob).await.unwrap();
    let origin = TestRegistry::start(Faults::default());
    origin.put_blob(blob.digest(), b"a layer");
    let insecure_http = vec![origin.host().to_owned()];
    let mirrors = vec![Mirror::parse(&format!("{}={}", origin.host(), mirror.host)).unwrap()];
    let store = open(origin.host(), RegistryOptions { insecure_http, mirrors, ..options(with_client()) });
    store.blob(&Descriptor::of(&blob), 100).await.unwrap();
    assert_eq!(origin.seen().len(), 1);
}
