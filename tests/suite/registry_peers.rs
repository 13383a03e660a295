//! The store contract against registries that others wrote, where they are installed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use attestry::code::Code;
use attestry::reference::Tag;
use attestry::store::Store;
use attestry::store::registry::{CredentialSource, Credentials, RegistryOptions};

use crate::store_contract::{contract, open};

/// A program that is stopped when the test ends.
struct Peer {
    child: Child,
    host: String,
    _folder: tempfile::TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a program and waits until it says that it listens. `None`, loudly, when it is not installed.
fn start(program: &str, ready: &str, arguments: impl FnOnce(&str, &std::path::Path) -> Vec<String>) -> Option<Peer> {
    let folder = tempfile::tempdir().unwrap();
    let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = Command::new(program);
    command.args(arguments(&host, folder.path())).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        println!("SKIPPED: {program} not installed");
        return None;
    };
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(ready) {
        let start = said.len();
        assert!(log.read_line(&mut said).unwrap() > 0, "{program} ended: {}", &said[start.saturating_sub(500)..]);
    }
    std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
    Some(Peer { child, host, _folder: folder })
}

fn docker_registry(passwords: Option<&str>) -> Option<Peer> {
    start("docker-registry", "listening on", |host, folder| {
        let storage = folder.join("storage").display().to_string();
        let mut config =
            format!("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {storage}\nhttp:\n  addr: {host}\n");
        if let Some(passwords) = passwords {
            let path = folder.join("passwords");
            std::fs::File::create(&path).unwrap().write_all(passwords.as_bytes()).unwrap();
            config.push_str(&format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path.display()));
        }
        let path = folder.join("config.yml");
        std::fs::write(&path, config).unwrap();
        vec!["serve".to_owned(), path.display().to_string()]
    })
}

#[tokio::test]
async fn docker_registry_keeps_the_contract() {
    let Some(peer) = docker_registry(None) else { return };
    contract(&open(&peer.host, RegistryOptions::default())).await;
}

#[tokio::test]
async fn docker_registry_with_passwords_keeps_the_contract_and_refuses_strangers() {
    let made = Command::new("htpasswd").args(["-Bbn", "alice", "open:sesame"]).output();
    let Ok(made) = made else {
        println!("SKIPPED: htpasswd not installed");
        return;
    };
    let Some(peer) = docker_registry(Some(&String::from_utf8(made.stdout).unwrap())) else { return };
    let given = |password: &str| CredentialSource::given(Credentials::new("alice", password, "a test"));
    let signed_in = RegistryOptions { credentials: given("open:sesame"), ..RegistryOptions::default() };
    contract(&open(&peer.host, signed_in)).await;
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
async fn crane_registry_keeps_the_contract() {
    let peer =
        start("crane", "serving on", |host, _| ["registry", "serve", "--address", host].map(str::to_owned).to_vec());
    let Some(peer) = peer else { return };
    contract(&open(&peer.host, RegistryOptions::default())).await;
}
