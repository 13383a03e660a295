//! What BuildKit's `local` and `tar` exporters write: files, and statements that name every one of them.

use std::path::Path;

use attestry::digest::Digest;
use serde_json::{Value, json};

use crate::round_trip::{list, verify};
use crate::support::command::{Ran, Scratch, attestry, fixtures};
use crate::support::program::tree;
use crate::support::tar::{Tar, gzip};

const SLSA: &str = "https://slsa.dev/provenance/v1";

/// A statement about these files, by digest.
fn statement(predicate_type: &str, files: &[&str]) -> String {
    let subjects: Vec<Value> = files
        .iter()
        .map(|content| json!({"name": "file", "digest": {"sha256": Digest::sha256(content.as_bytes()).hex()}}))
        .collect();
    json!({
        "_type": "https://in-toto.io/Statement/v1", "predicateType": predicate_type, "subject": subjects,
        "predicate": {"buildDefinition": {"buildType": "https://example.com/b", "externalParameters": {}},
                      "runDetails": {"builder": {"id": "https://example.com/builder"}}},
    })
    .to_string()
}

/// A folder that an exporter could have written.
struct Export {
    scratch: Scratch,
}

impl Export {
    fn new(files: &[(&str, &str)]) -> Self {
        let export = Self { scratch: Scratch::new() };
        std::fs::create_dir(export.path("")).unwrap();
        files.iter().for_each(|(name, content)| export.write(name, content));
        export
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path(&format!("out/{name}"))
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Signs a statement into a bundle beside the files.
    fn sign(&self, name: &str, statement: &str) {
        let file = self.scratch.write("statement.json", statement);
        let (key, to) = (self.scratch.path("signer.key"), self.path(name));
        attestry(["sign-blob", "--statement", &file, "--key", &key, "--to", &to]).succeeds();
    }

    fn folder(&self) -> String {
        format!("dir:{}", self.path(""))
    }

    fn archive(&self, prefix: &str) -> String {
        let tar = Tar::of_folder(Path::new(&self.path("")), prefix).finish();
        format!("tar:{}", self.scratch.write("out.tar", tar))
    }

    /// The folder, and the same in archives, plain and compressed.
    fn places(&self) -> [String; 3] {
        let tar = Tar::of_folder(Path::new(&self.path("")), "./").finish();
        [self.folder(), self.archive(""), format!("tar:{}", self.scratch.write("out.tar.gz", gzip(&tar)))]
    }

    fn verify(&self, place: &str) -> Ran {
        verify(&self.scratch, "signer", place, &["--type", SLSA])
    }

    #[track_caller]
    fn accepted(&self) {
        for place in self.places() {
            self.verify(&place).succeeds();
            verify(&self.scratch, "stranger", &place, &["--type", SLSA]).exits(1);
        }
    }

    /// Refused because exactly these files are not covered.
    #[track_caller]
    fn leaves_open(&self, files: &[&str]) {
        for place in self.places() {
            let report = self.verify(&place).exits(1).json();
            let requirement = &report["requirements"][0];
            assert_eq!(requirement["code"], "platform-missing", "{place} {report}");
            let message = requirement["message"].as_str().unwrap();
            files.iter().for_each(|file| assert!(message.contains(file), "{place}: {message}"));
        }
    }
}

#[test]
fn every_file_that_a_signed_statement_names_is_covered() {
    // (accepted), and (refused: platform-missing) for one changed byte or one more file
    let export = Export::new(&[("hello.txt", "hello"), ("bin/app", "app"), ("provenance.json", "")]);
    let text = statement(SLSA, &["hello", "app"]);
    export.write("provenance.json", &text);
    export.sign("provenance.sigstore.json", &text);
    export.accepted();
    export.write("hello.txt", "hellO");
    export.leaves_open(&["hello.txt"]);
    export.write("hello.txt", "hello");
    export.write("lib/more.so", "more");
    export.leaves_open(&["lib/more.so"]);
}

#[test]
fn several_statements_cover_the_files_together() {
    // (accepted); lines of one file count each for itself
    let export = Export::new(&[("a", "1"), ("b", "2")]);
    let mut lines = String::new();
    for content in ["1", "2"] {
        export.sign("bundle.json", &statement(SLSA, &[content]));
        lines.push_str(std::fs::read_to_string(export.path("bundle.json")).unwrap().trim());
        lines.push('\n');
        std::fs::remove_file(export.path("bundle.json")).unwrap();
    }
    export.write("build.intoto.jsonl", &lines);
    export.accepted();
    export.write("build.intoto.jsonl", lines.lines().next().unwrap());
    export.leaves_open(&["b"]);
    // A file that is not evidence line for line is a file.
    export.write("build.intoto.jsonl", &format!("{lines}{{}}\n"));
    let report = export.verify(&export.folder()).exits(1).json();
    assert_eq!(report["requirements"][0]["code"], "attestation-missing");
}

#[test]
fn statements_of_the_exporters_are_found_and_unsigned() {
    // (refused: attestation-missing, with unsigned) until one is signed, then (accepted)
    let Some(folder) = fixtures() else { return };
    let export = Export { scratch: Scratch::new() };
    export.scratch.copy(&folder.join("exporters/local"), "out");
    for place in export.places() {
        let listed = list(&place);
        let mut types: Vec<&str> = listed["attestations"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|entry| entry["predicate_type"].as_str())
            .collect();
        types.sort_unstable();
        assert_eq!(types, [SLSA, "https://spdx.dev/Document"], "{place}");
        let report = export.verify(&place).exits(1).json();
        assert_eq!(report["requirements"][0]["code"], "attestation-missing");
        assert!(report["rejections"].as_array().unwrap().iter().all(|entry| entry["code"] == "unsigned"), "{report}");
        assert_eq!(report["rejections"].as_array().unwrap().len(), 2);
    }
    let before = tree(Path::new(&export.path("")));
    let text = std::fs::read_to_string(export.path("provenance.json")).unwrap();
    export.sign("provenance.sigstore.json", &text);
    export.accepted();
    std::fs::remove_file(export.path("provenance.sigstore.json")).unwrap();
    assert!(tree(Path::new(&export.path(""))) == before, "verifying wrote something");
    export.sign("provenance.sigstore.json", &text);
    let mut hello = std::fs::read(export.path("hello.txt")).unwrap();
    hello[0] ^= 1;
    std::fs::write(export.path("hello.txt"), hello).unwrap();
    let report = export.verify(&export.folder()).exits(1).json();
    let requirement = &report["requirements"][0];
    assert_eq!(requirement["candidates"][0]["failed_check"], "subject-mismatch", "{report}");
    assert_eq!(requirement["message"], "no SLSA provenance v1 of hello.txt signed by a demanded key");
    assert!(requirement["hint"].as_str().unwrap().contains("sign-blob --statement"), "{report}");
}

#[test]
fn an_export_of_several_platforms_has_its_statements_in_their_folders() {
    // (accepted) and (refused: platform-missing, platform-unknown)
    let Some(fixture) = fixtures() else { return };
    let listed = list(&format!("dir:{}", fixture.join("exporters/tar-multi").display()));
    assert_eq!(listed["attestations"].as_array().unwrap().len(), 1, "both platforms have the same statement");
    let export =
        Export::new(&[("linux_amd64/app", "amd64"), ("linux_arm_v7/app", "arm"), ("linux_arm_v7/same", "same")]);
    export.sign("linux_amd64/provenance.sigstore.json", &statement(SLSA, &["amd64"]));
    export.leaves_open(&["linux_arm_v7/app", "linux_arm_v7/same"]);
    let key = export.scratch.path("signer.pub");
    for (platform, code) in [("linux/amd64", 0), ("linux/arm/v7", 1), ("linux/s390x", 1)] {
        let more = ["verify", &export.folder(), "--key", &key, "--type", SLSA, "--platform", platform];
        attestry(more).exits(code);
    }
    export.sign("linux_arm_v7/provenance.sigstore.json", &statement(SLSA, &["arm", "same"]));
    export.accepted();
    // Beside a file of no platform it is a folder like any other, and what lies in it has to be covered.
    export.write("readme", "arm");
    let report = export.verify(&export.folder()).exits(1).json();
    assert_eq!(report["attestations"], json!([]), "{report}");
}

#[test]
fn nothing_passes_for_evidence_that_could_be_anything_else() {
    // (refused: platform-missing): each of these files would otherwise escape the demand
    let text = statement(SLSA, &["hello"]);
    let mut settings: Value = serde_json::from_str(&text).unwrap();
    settings["debug"] = json!(true);
    let mut twice = text.clone();
    twice.insert_str(1, "\"_type\":\"x\",");
    for (name, content) in [
        ("settings.json", settings.to_string()),
        ("twice.json", twice),
        ("other-type.json", text.replace("in-toto.io/Statement", "example.com/Statement")),
        ("statement.txt", text.clone()),
        ("etc/provenance.json", text.clone()),
        ("linux_amd64/provenance.json", text.clone()),
        ("empty.json", "{}".to_owned()),
        ("empty.jsonl", "\n\n".to_owned()),
        ("envelope.json", json!({"payloadType": "x", "payload": "", "signatures": [], "run": "x"}).to_string()),
        ("bundle.json", json!({"mediaType": "x", "verificationMaterial": {}, "run": "x"}).to_string()),
    ] {
        let export = Export::new(&[("hello.txt", "hello"), (name, &content)]);
        export.sign("provenance.sigstore.json", &text);
        export.leaves_open(&[name]);
    }
}

#[cfg(unix)]
#[test]
fn links_that_lead_out_are_never_covered_and_never_followed() {
    // (refused: platform-missing), and (accepted) for links inside
    use std::os::unix::fs::symlink;
    let export = Export::new(&[("hello.txt", "hello"), ("usr/lib/a", "hello")]);
    // The content of this file is signed, and it is not one of the exported files.
    let outside = export.scratch.write("outside", "hello");
    export.sign("provenance.sigstore.json", &statement(SLSA, &["hello"]));
    symlink("usr/lib", export.path("lib")).unwrap();
    symlink("../lib/a", export.path("usr/a")).unwrap();
    let accepted = || export.verify(&export.folder()).succeeds();
    accepted();
    for target in [outside.as_str(), "../outside", "nothing", "link", "/"] {
        symlink(target, export.path("link")).unwrap();
        let report = export.verify(&export.folder()).exits(1).json();
        let message = report["requirements"][0]["message"].as_str().unwrap();
        assert!(message.contains("link"), "{target}: {message}");
        std::fs::remove_file(export.path("link")).unwrap();
        let tar = Tar::of_folder(Path::new(&export.path("")), "").entry(b'2', "link", target).finish();
        export.verify(&format!("tar:{}", export.scratch.write("out.tar", tar))).exits(1);
    }
    assert!(std::process::Command::new("mkfifo").arg(export.path("pipe")).status().unwrap().success());
    let report = export.verify(&export.folder()).exits(1).json();
    assert!(report["requirements"][0]["message"].as_str().unwrap().contains("pipe"));
    std::fs::remove_file(export.path("pipe")).unwrap();
    accepted();
}

#[test]
fn hard_links_in_an_archive_have_the_content_that_they_name() {
    // (accepted) and (refused: platform-missing, entry-unsafe)
    let export = Export::new(&[("hello.txt", "hello")]);
    export.sign("provenance.sigstore.json", &statement(SLSA, &["hello"]));
    let tar = Tar::of_folder(Path::new(&export.path("")), "");
    for (archive, code) in [
        (tar.clone().entry(b'1', "again", "hello.txt"), 0),
        (tar.clone().entry(b'1', "again", "./hello.txt"), 0),
        (tar.clone().entry(b'1', "again", "nothing"), 1),
        (tar.clone().entry(b'4', "disk", ""), 1),
        (tar.clone().entry(b'1', "again", "../hello.txt"), 3),
        (tar.clone().file("../hello", "hello"), 3),
        (tar.clone().entry(b'2', "a", ".").file("a/hello", "hello"), 3),
    ] {
        let path = export.scratch.write("out.tar", archive.finish());
        let ran = export.verify(&format!("tar:{path}")).exits(code);
        assert_eq!(ran.stderr.contains("error[entry-unsafe]"), code == 3, "{}", ran.stderr);
    }
}

#[test]
fn what_was_exported_is_read_and_never_written() {
    // (refused: store-unsupported, not-found, reference-invalid)
    let export = Export::new(&[("hello.txt", "hello")]);
    let key = export.scratch.path("signer.key");
    let predicate = export.scratch.write("predicate.json", "{}");
    let before = tree(Path::new(&export.path("")));
    for place in export.places() {
        let arguments = ["attest", &place, "--predicate", &predicate, "--type", "https://example.com/x", "--key", &key];
        let ran = attestry(arguments).exits(2);
        assert!(ran.stderr.contains("error[store-unsupported]"), "{}", ran.stderr);
    }
    assert!(tree(Path::new(&export.path(""))) == before);
    let ran = attestry(["list", &format!("dir:{}", export.path("none"))]).exits(3);
    assert!(ran.stderr.contains("error[not-found]"), "{}", ran.stderr);
    attestry(["list", "dir:"]).exits(2);
}

#[cfg(unix)]
#[test]
fn names_of_files_are_shown_without_what_moves_the_cursor_and_not_without_end() {
    // (accepted) and (refused: platform-missing)
    let names: Vec<String> = (10..60).map(|number| format!("f{number}\u{1b}[2J\n  ✓ all is well")).collect();
    let export = Export::new(&names.iter().map(|name| (name.as_str(), "same")).collect::<Vec<_>>());
    export.sign("provenance.sigstore.json", &statement(SLSA, &["same"]));
    let key = export.scratch.path("signer.pub");
    let human = |code: i32| attestry(["verify", &export.folder(), "--key", &key, "--type", SLSA]).exits(code).text();
    let text = human(0);
    assert!(text.contains("50 files") && text.contains("f10") && text.contains("and 20 more"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains("\n  ✓ all is well"), "{text}");
    export.write("a\u{1b}[2Jb", "more");
    let text = human(1);
    assert!(text.contains("a\u{fffd}[2Jb") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn thousands_of_files_are_covered_in_no_time_worth_naming() {
    // (accepted): nothing that is done grows with the square of their number
    let names: Vec<String> = (0..6_000).map(|number| format!("d{}/f{number}", number % 10)).collect();
    let contents: Vec<String> = names.iter().map(|name| format!("content of {name}")).collect();
    let mut tar = Tar::default();
    for (name, content) in names.iter().zip(&contents) {
        tar = tar.file(name, content);
    }
    let export = Export::new(&[]);
    let about: Vec<&str> = contents.iter().map(String::as_str).collect();
    export.sign("provenance.sigstore.json", &statement(SLSA, &about));
    let bundle = std::fs::read(export.path("provenance.sigstore.json")).unwrap();
    let archive = export.scratch.write("out.tar", tar.clone().file("provenance.sigstore.json", &bundle).finish());
    export.verify(&format!("tar:{archive}")).succeeds();
    let archive = export.scratch.write("out.tar", tar.file("d/one-more", "x").file("p.json", &bundle).finish());
    let report = export.verify(&format!("tar:{archive}")).exits(1).json();
    assert!(report["requirements"][0]["message"].as_str().unwrap().contains("d/one-more"), "one of 6,001 is named");
}

#[cfg(unix)]
#[test]
fn no_file_has_the_content_that_stands_for_a_link_that_leads_out() {
    // (refused: platform-missing) Somebody got files attested whose content is how such links are described here.
    let target = "/etc/passwd";
    let described = [
        format!("attestry: a link out of the exported files, to {target}\n"),
        "attestry: no file and no folder: link\n".to_owned(),
    ];
    let export = Export::new(&[("hello.txt", "hello")]);
    export.sign("provenance.sigstore.json", &statement(SLSA, &["hello", &described[0], &described[1]]));
    export.accepted();
    std::os::unix::fs::symlink(target, export.path("link")).unwrap();
    let report = export.verify(&export.folder()).exits(1).json();
    assert_eq!(report["requirements"][0]["code"], "platform-missing", "{report}");
    std::fs::remove_file(export.path("link")).unwrap();
    let tar = Tar::of_folder(Path::new(&export.path("")), "").entry(b'6', "link", "").finish();
    let report = export.verify(&format!("tar:{}", export.scratch.write("special.tar", tar))).exits(1).json();
    assert_eq!(report["requirements"][0]["code"], "platform-missing", "{report}");
}
