//! The house, held by a test: layers, purity, file sizes, codes documented, schemas up to date.
#![allow(clippy::unwrap_used, reason = "a test that cannot read its own sources has nothing better to say")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules by layer. A module may use lower layers, its own folder, and nothing above.
const LAYERS: &[(u8, &[&str])] = &[
    (0, &["code", "content", "digest", "foreign", "json", "limits", "location", "media_type", "reference"]),
    (1, &["dsse", "intoto", "oci", "predicate", "sigstore"]),
    (2, &["crypto"]),
    (3, &["attach", "policy", "verify"]),
    (4, &["signer", "store"]),
    (5, &["job"]),
    (6, &["cli", "report"]),
];

/// Layers up to this one do no I/O.
const PURE: u8 = 3;

/// What pure code may not name: files, network, environment, processes, threads, clocks, randomness, HTTP, runtimes.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::net::Tcp",
    "std::net::Udp",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "reqwest",
    "tokio",
    "tempfile",
    "SystemRandom",
    "std::io::stdin",
    "std::io::stdout",
];

/// Lines that no file passes.
const MOST_LINES: usize = 1000;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    paths.sort();
    let name = |path: &Path| path.strip_prefix(root().join("src")).unwrap().display().to_string();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The top-level module of a file: `oci/index.rs` is of `oci`.
fn module_of(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or_default()
}

fn layer_of(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(_, modules)| modules.contains(&module)).map(|(layer, _)| *layer)
}

/// Code without comments and without its test module, which may use what it likes.
fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Modules named as `crate::module` or, inside braces, `crate::{module::…, …}`.
fn uses_of(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let name: String =
            rest.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect();
        if name.is_empty() {
            let group = rest.trim_start_matches('{').split('}').next().unwrap_or_default();
            used.extend(group.split(',').map(|part| part.trim().split("::").next().unwrap_or_default().to_owned()));
        } else {
            used.push(name);
        }
    }
    used
}

#[test]
fn every_module_has_a_layer() {
    for (file, _) in sources() {
        if file != "lib.rs" && file != "main.rs" {
            assert!(layer_of(module_of(&file)).is_some(), "src/{file} is in no layer");
        }
    }
}

#[test]
fn a_module_uses_lower_layers_only() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let Some(layer) = layer_of(module_of(&file)) else { continue };
        for used in uses_of(&code_of(&text)) {
            let Some(other) = layer_of(&used) else { continue };
            let same = used == module_of(&file);
            let siblings = match layer {
                // Within the words and the formats, modules build on each other.
                0 | 1 | 6 => true,
                // Policy sees the types of verification; nothing else sees a sibling.
                3 => module_of(&file) == "policy" && used == "verify",
                _ => false,
            };
            if other > layer || (other == layer && !same && !siblings) {
                wrong.push(format!("src/{file} (layer {layer}) uses {used} (layer {other})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_layers_name_no_file_network_clock_or_randomness() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        if layer_of(module_of(&file)).is_none_or(|layer| layer > PURE) {
            continue;
        }
        let code = code_of(&text);
        for name in IMPURE.iter().filter(|name| code.contains(**name)) {
            wrong.push(format!("src/{file} names {name}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_command_line_reads_the_clock() {
    let allowed = |file: &str| file.starts_with("cli/") || file.starts_with("store/");
    for (file, text) in sources() {
        let code = code_of(&text);
        let reads =
            code.contains("Timestamp::now") || code.contains("SystemTime::now") || code.contains("Instant::now");
        assert!(!reads || allowed(&file), "src/{file} reads the clock");
    }
}

#[test]
fn features_are_chosen_on_mod_lines_only() {
    for (file, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            if line.contains("cfg(feature") {
                let next = lines.get(number + 1).unwrap_or(&"").trim_start();
                let is_mod = next.starts_with("pub mod ") || next.starts_with("mod ");
                assert!(is_mod, "src/{file}:{} chooses a feature elsewhere", number + 1);
            }
        }
    }
}

#[test]
fn no_file_is_too_long_and_none_is_a_bag() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "src/{file} has {lines} lines");
        for bag in ["utils", "util", "helpers", "common", "misc"] {
            assert!(!file.split(['/', '.']).any(|part| part == bag), "src/{file} is named after nothing");
        }
    }
}

#[test]
fn constructors_of_trust_live_in_verification_and_blobs() {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for (file, text) in sources() {
        *found.entry(file).or_default() += code_of(&text).matches("fn assert_").count();
    }
    found.retain(|_, count| *count > 0);
    let files: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(files, ["content/blob.rs", "verify/verified.rs"]);
}

#[test]
fn every_code_has_a_section_in_the_documentation() {
    let text = fs::read_to_string(root().join("docs/codes.md")).unwrap();
    let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).map(str::trim).collect();
    let codes: Vec<&str> = attestry::code::Code::ALL.iter().map(|code| code.as_str()).collect();
    for code in &codes {
        assert!(sections.contains(code), "docs/codes.md has no section `## {code}`");
    }
    for section in sections.iter().filter(|section| !section.contains(' ')) {
        assert!(codes.contains(section), "docs/codes.md explains {section}, which does not exist");
    }
}

#[test]
fn schemas_are_those_of_the_types() {
    for (name, schema) in attestry::report::schemas() {
        let path = root().join("schemas").join(name);
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if std::env::var_os("ATTESTRY_BLESS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "schemas/{name} is stale: run `just schemas`");
    }
}

#[test]
fn committed_files_name_no_machine_and_no_private_document() {
    let mut wrong = Vec::new();
    let folders = ["src", "docs", "examples", "schemas", "scripts", "tests", "benches", "testdata"];
    let mut files: Vec<PathBuf> = Vec::new();
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    for folder in folders {
        walk(&root().join(folder), &mut files);
    }
    files.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name)));
    for path in files.iter().filter(|path| !path.ends_with("architecture.rs")) {
        let Ok(text) = fs::read_to_string(path) else { continue };
        for mark in ["/work/", "/root/", "FORMATS §", "DESIGN §", "CRATES §", "PEERS §", "STYLE §", "BASELINES §"]
        {
            if text.contains(mark) {
                wrong.push(format!("{} names {mark}", path.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
