//! The real program, run as a person runs it, in a scratch folder.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

/// The password of every key that tests make.
pub(crate) const PASSWORD: &str = "only for tests";

/// How a program ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    line: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(line: String, output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Self { line, code: output.status.code(), stdout: output.stdout, stderr }
    }

    /// The program must have ended with this code; otherwise all that it said is shown.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}{}", self.line, self.text(), self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        self.exits(0)
    }

    #[track_caller]
    pub(crate) fn fails(self) -> Self {
        assert!(self.code.is_some_and(|code| code != 0), "{}\n{}{}", self.line, self.text(), self.stderr);
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("{}\n{error}: {}{}", self.line, self.text(), self.stderr))
    }
}

/// Runs the program with standard input.
pub(crate) fn attestry_with<I: IntoIterator<Item = impl AsRef<OsStr>>>(arguments: I, stdin: &[u8]) -> Ran {
    run(Command::new(env!("CARGO_BIN_EXE_attestry")).args(arguments), stdin)
}

/// Runs the program.
pub(crate) fn attestry<I: IntoIterator<Item = impl AsRef<OsStr>>>(arguments: I) -> Ran {
    attestry_with(arguments, b"")
}

/// Runs any program in an environment that holds nobody's credentials.
pub(crate) fn run(command: &mut Command, stdin: &[u8]) -> Ran {
    let nowhere = Path::new(env!("CARGO_TARGET_TMPDIR")).join("home");
    fs::create_dir_all(&nowhere).unwrap();
    command
        .env("HOME", &nowhere)
        .env("DOCKER_CONFIG", &nowhere)
        .env("XDG_RUNTIME_DIR", &nowhere)
        .env_remove("REGISTRY_AUTH_FILE")
        .env("ATTESTRY_PASSWORD", PASSWORD)
        .env("COSIGN_PASSWORD", PASSWORD)
        .env("COSIGN_YES", "true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let line = format!("{command:?}");
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
    // Whoever does not read it closes it.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    Ran::of(line, child.wait_with_output().unwrap())
}

/// A folder that goes when the test ends, with two key pairs in it: `signer` and `stranger`.
pub(crate) struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let scratch = Self { folder: tempfile::tempdir().unwrap() };
        for (name, [private, public]) in keys() {
            scratch.write(&format!("{name}.key"), private);
            scratch.write(&format!("{name}.pub"), public);
        }
        scratch
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).into_os_string().into_string().unwrap()
    }

    /// Writes a file and gives its path.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A copy of a layout folder that may be changed.
    pub(crate) fn copy(&self, layout: &Path, name: &str) -> PathBuf {
        let target = self.folder.path().join(name);
        copy_folder(layout, &target);
        target
    }
}

/// Key pairs that the program made, once for all tests: deriving a key from a password is slow on purpose.
fn keys() -> &'static BTreeMap<&'static str, [Vec<u8>; 2]> {
    static KEYS: OnceLock<BTreeMap<&'static str, [Vec<u8>; 2]>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &'static str| {
            let prefix = folder.path().join(name);
            attestry([OsStr::new("keygen"), OsStr::new("--prefix"), prefix.as_os_str()]).succeeds();
            let read = |extension| fs::read(prefix.with_extension(extension)).unwrap();
            (name, [read("key"), read("pub")])
        };
        BTreeMap::from(["signer", "stranger"].map(make))
    })
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            // Not `fs::copy`: the copy may be written to, whatever the original says.
            fs::write(target, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// All files below a folder: path and content.
pub(crate) fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// The folder of real images that other tools made. `None`, loudly, when it is not there.
pub(crate) fn fixtures() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join(std::env::var_os("ATTESTRY_FIXTURES").unwrap_or_else(|| "../shared/fixtures".into()));
    if folder.is_dir() {
        return Some(folder);
    }
    say(format!("FIXTURES ABSENT: no folder at {} (ATTESTRY_FIXTURES)", folder.display()));
    None
}

/// Says something once, past the capture of what passing tests print.
pub(crate) fn say(text: String) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap().insert(text.clone()) {
        std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
    }
}

/// A layout folder as an image reference.
pub(crate) fn oci(folder: &Path) -> String {
    format!("oci:{}", folder.display())
}
