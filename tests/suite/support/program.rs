//! The program itself, run as a user would run it, and what it leaves behind in a layout folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use attestry::digest::Digest;
use serde_json::Value;

/// The password of every encrypted key in the tests. It may appear in no output.
pub(crate) const KEY_PASSWORD: &str = "correct-horse-battery";

/// The program with nothing of this process's environment: no credentials, no password, no terminal.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attestry"));
    let nowhere = std::env::temp_dir().join("attestry-tests-have-no-home");
    command.env_clear().env("HOME", &nowhere).env("DOCKER_CONFIG", &nowhere).stdin(Stdio::null());
    if let Some(folder) = std::env::var_os("TMPDIR") {
        command.env("TMPDIR", folder);
    }
    command
}

/// Whether the long versions of the tests were asked for.
pub(crate) fn is_full() -> bool {
    std::env::var_os("ATTESTRY_FULL").is_some()
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Whatever was asked: no bug, no signal, no password.
    pub(crate) fn of(output: &Output) -> Self {
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code();
        assert!(matches!(code, Some(0..=3)), "{code:?} is no answer\n{out}\n{err}");
        for text in [&out, &err] {
            assert!(!text.contains(KEY_PASSWORD), "a password was printed\n{text}");
            assert!(!text.contains("PRIVATE KEY-----\n"), "a private key was printed\n{text}");
            assert!(!text.contains("panicked"), "{text}");
        }
        Self { code: code.unwrap(), out, err }
    }

    /// An error for people: exit code, code, and a hint.
    pub(crate) fn says(&self, exit: i32, code: &str) -> &Self {
        assert_eq!(self.code, exit, "{self:?}");
        assert!(self.err.contains(&format!("error[{code}]: ")), "no {code} in\n{}", self.err);
        assert!(self.err.contains("\nhint: "), "no hint in\n{}", self.err);
        assert_eq!(self.out, "", "an error prints no data");
        self
    }

    /// A text that the error must have, so that the reader knows which file or image is meant.
    pub(crate) fn names(&self, text: &str) -> &Self {
        assert!(self.err.contains(text), "no {text:?} in\n{}", self.err);
        self
    }
}

/// Runs the program.
pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Ended {
    Ended::of(&program().args(arguments).output().unwrap())
}

/// Every file of a folder with its content, and every folder.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            let is_folder = path.is_dir();
            // A file may go between the listing and the reading, where another process writes.
            let content = if is_folder { None } else { std::fs::read(&path).ok() };
            found.insert(path.clone(), content);
            if is_folder {
                folders.push(path);
            }
        }
    }
    found
}

/// Proves that a layout is sound: everything that `index.json` leads to is there with its size and digest, and every
/// blob that has its final name is complete. Gives the digests that were reached.
pub(crate) fn fsck(root: &Path) -> BTreeSet<String> {
    let index: Value = serde_json::from_slice(&std::fs::read(root.join("index.json")).unwrap()).unwrap();
    let mut reached = BTreeSet::new();
    let mut open: Vec<Value> = index["manifests"].as_array().unwrap().clone();
    while let Some(descriptor) = open.pop() {
        let digest = descriptor["digest"].as_str().unwrap().to_owned();
        let bytes = std::fs::read(root.join("blobs").join(digest.replace(':', "/")))
            .unwrap_or_else(|error| panic!("{digest} is listed and cannot be read: {error}"));
        assert_eq!(descriptor["size"].as_u64(), u64::try_from(bytes.len()).ok(), "size of {digest}");
        assert_eq!(Digest::sha256(&bytes).to_string(), digest);
        let media_type = descriptor["mediaType"].as_str().unwrap_or_default();
        if reached.insert(digest) && (media_type.contains("manifest") || media_type.contains("index")) {
            let body: Value = serde_json::from_slice(&bytes).unwrap();
            for member in ["manifests", "layers"] {
                open.extend(body[member].as_array().into_iter().flatten().cloned());
            }
            open.extend(body.get("config").cloned());
        }
    }
    for entry in std::fs::read_dir(root.join("blobs/sha256")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.len() == 64 {
            assert_eq!(Digest::sha256(&std::fs::read(entry.path()).unwrap()).hex(), name, "a blob is not complete");
        }
    }
    reached
}
