//! Programs that others wrote, where they are installed.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::certificate::Signed;
use super::command::{Ran, run, say};

/// Whether a program is installed. When not: said loudly, and a failure unless the test command has said so itself.
pub(crate) fn installed(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        if let Ok(skipped) = std::env::var("ATTESTRY_PEERS_SKIPPED") {
            let known = skipped.split_whitespace().any(|name| name == program);
            assert!(known, "{program} is not on PATH, and ATTESTRY_PEERS_SKIPPED ({skipped:?}) does not name it");
        }
        say(format!("SKIPPED: {program} not installed"));
    }
    found
}

/// Runs a program that is installed.
pub(crate) fn peer<I: IntoIterator<Item = impl AsRef<OsStr>>>(program: &str, arguments: I) -> Ran {
    run(Command::new(program).args(arguments), b"")
}

/// A registry that is stopped when the test ends.
pub(crate) struct Peer {
    child: Child,
    pub(crate) host: String,
    pub(crate) folder: tempfile::TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a registry on a free port. `None`, loudly, when it is not installed.
fn start(program: &str, ready: &str, arguments: impl Fn(&str, &Path) -> Vec<String>) -> Option<Peer> {
    if !installed(program) {
        return None;
    }
    // Between our finding a free port and the program's taking it, another test may have it.
    let mut said = String::new();
    for _ in 0..5 {
        match start_once(program, ready, &arguments) {
            Ok(peer) => return Some(peer),
            Err(log) => said = log,
        }
    }
    panic!("{program} ended: {}", &said[said.len().saturating_sub(500)..]);
}

/// Waits until the program says that it listens; `Err` with its log when it ends before.
fn start_once(program: &str, ready: &str, arguments: impl Fn(&str, &Path) -> Vec<String>) -> Result<Peer, String> {
    let folder = tempfile::tempdir().unwrap();
    let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = Command::new(program);
    command.args(arguments(&host, folder.path())).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let peer = Peer { child, host, folder };
    let mut said = String::new();
    while !said.contains(ready) {
        if log.read_line(&mut said).unwrap() == 0 {
            return Err(said);
        }
    }
    std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
    Ok(peer)
}

/// The registry that Debian has: no referrers API.
pub(crate) fn docker_registry(passwords: Option<&str>) -> Option<Peer> {
    docker_registry_with(passwords, "")
}

/// The same with TLS, and with client certificates where it is given who signs them.
pub(crate) fn docker_registry_with_tls(
    server: &Signed,
    clients: Option<&Signed>,
    passwords: Option<&str>,
) -> Option<Peer> {
    let mut tls = format!("  tls:\n    certificate: {}\n    key: {}\n", server.certificate, server.key);
    if let Some(clients) = clients {
        tls.push_str(&format!("    clientcas:\n      - {}\n", clients.certificate));
    }
    docker_registry_with(passwords, &tls)
}

fn docker_registry_with(passwords: Option<&str>, tls: &str) -> Option<Peer> {
    start("docker-registry", "listening on", |host, folder| {
        let storage = folder.join("storage").display().to_string();
        let mut config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {storage}\nhttp:\n  addr: {host}\n{tls}"
        );
        if let Some(passwords) = passwords {
            let path = folder.join("passwords");
            std::fs::write(&path, passwords).unwrap();
            config.push_str(&format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path.display()));
        }
        let path = folder.join("config.yml");
        std::fs::write(&path, config).unwrap();
        vec!["serve".to_owned(), path.display().to_string()]
    })
}

/// The registry that crane has in itself: in memory, no referrers API.
pub(crate) fn crane_registry() -> Option<Peer> {
    start("crane", "serving on", |host, _| ["registry", "serve", "--address", host].map(str::to_owned).to_vec())
}
