//! What people and scripts see, whole: compared with `tests/snapshots/`, which `ATTESTRY_BLESS=1` writes anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use attestry::content::Blob;
use attestry::limits::Limits;
use attestry::media_type::MediaType;
use attestry::oci::{Descriptor, Manifest, artifact_manifest};
use serde_json::{Value, json};

use crate::round_trip::{OPENVEX, SPDX};
use crate::support::command::{Scratch, attestry, attestry_with, fixtures, oci};
use crate::support::image::{Place, wait};

/// A key of our own whose signatures are the same each time.
fn key(part: &str) -> String {
    let name = if part == "private" { "ed25519-pkcs8.pem" } else { "ed25519-public.pem" };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/keys").join(name).display().to_string()
}

fn p256_key() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/keys/p256-public.pem").display().to_string()
}

/// Names for what is different on each run or machine.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn of(places: &[(&str, &Path)]) -> Self {
        let repository = (env!("CARGO_MANIFEST_DIR").to_owned(), "REPOSITORY".to_owned());
        let places = places.iter().map(|(name, path)| (path.display().to_string(), (*name).to_owned()));
        Self(places.chain([repository]).collect())
    }

    /// A digest of something that tells the time.
    fn digest(mut self, name: &str, digest: &Value) -> Self {
        let digest = digest.as_str().unwrap();
        self.0.insert(digest.to_owned(), format!("sha256:{{{name}}}"));
        self.0.insert(digest[..19].to_owned(), format!("sha256:{{{name}}}"));
        self
    }

    fn replace(&self, text: &str) -> String {
        // What is longer first: a folder in the repository before the repository, a digest before its beginning.
        let mut names: Vec<_> = self.0.iter().collect();
        names.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        names.into_iter().fold(text.to_owned(), |text, (value, name)| text.replace(value, name))
    }
}

/// Runs a command for people and for scripts, and compares both with the files of that name.
#[track_caller]
fn snapshot(name: &str, code: i32, names: &Names, arguments: &[&str]) {
    let human = attestry(arguments).exits(code);
    let shown = format!("{}--- stderr\n{}", human.text(), human.stderr);
    compare(&format!("{name}.txt"), &names.replace(&shown));
    let scripts = attestry(arguments.iter().copied().chain(["--output", "json"])).exits(code);
    let verb = arguments.iter().find(|word| !word.starts_with('-')).unwrap();
    assert_eq!(scripts.json()["schema"], format!("attestry/{verb}/v1"));
    compare(&format!("{name}.json"), &names.replace(&scripts.text()));
}

#[track_caller]
fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    if std::env::var_os("ATTESTRY_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{name} has changed (ATTESTRY_BLESS=1 takes it):\n{text}\n--- expected\n{expected}");
}

fn kitchen_sink() -> Option<(PathBuf, String, String, Names)> {
    let root = fixtures()?;
    let (image, key) = (oci(&root.join("images/kitchen-sink")), root.join("keys/cosign.pub").display().to_string());
    let names = Names::of(&[("FIXTURES", &root)]);
    Some((root, image, key, names))
}

#[test]
fn verify_says_what_meets_each_demand() {
    // (accepted)
    let Some((_, image, key, names)) = kitchen_sink() else { return };
    let demands = ["--type", "openvex", "--type", "spdx", "--type", "slsa-provenance", "--type", "signature"];
    let arguments = [&["verify", &image, "--key", &key, "--platform", "linux/amd64"][..], &demands].concat();
    snapshot("verify-accepted", 0, &names, &arguments);
}

#[test]
fn verify_with_a_wrong_key_says_that_the_signature_is_anothers() {
    // (refused: signature-invalid)
    let Some((_, image, _, names)) = kitchen_sink() else { return };
    let key = p256_key();
    snapshot("verify-wrong-key", 1, &names, &["verify", &image, "--key", &key, "--type", "openvex"]);
}

#[test]
fn verify_names_the_platform_that_nothing_covers() {
    // (refused: platform-missing)
    let Some((_, image, key, names)) = kitchen_sink() else { return };
    snapshot("verify-platform-missing", 1, &names, &["verify", &image, "--key", &key, "--type", "spdx"]);
}

#[test]
fn list_shows_everything_that_is_attached() {
    // (accepted)
    let Some((_, image, _, names)) = kitchen_sink() else { return };
    snapshot("list", 0, &names, &["list", &image]);
}

#[test]
fn verify_says_that_an_attestation_is_about_another_image() {
    // (refused: subject-mismatch)
    let scratch = Scratch::new();
    let place = Place::folder();
    let (attested, other) = (place.push_index("attested"), place.push_index("other"));
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": attested.digest().hex()}}],
        "predicateType": "https://spdx.dev/Document",
        "predicate": serde_json::from_str::<Value>(SPDX).unwrap(),
    });
    let statement = scratch.write("statement.json", statement.to_string());
    let bundle = attestry(["sign-blob", "--statement", &statement, "--key", &key("private")]).succeeds().stdout;
    let layer = Blob::of_bytes(MediaType::SIGSTORE_BUNDLE_V03, bundle);
    let subject = other.descriptor();
    let manifest =
        artifact_manifest(&MediaType::SIGSTORE_BUNDLE_V03, &[Descriptor::of(&layer)], Some(&subject), &BTreeMap::new());
    let manifest = Manifest::read(manifest, &Limits::default()).unwrap();
    wait(async {
        let store = place.store();
        store.push_blob(&layer).await.unwrap();
        store.push_manifest(&manifest).await.unwrap();
    });
    let folder = place.name().replace("oci:", "");
    let names = Names::of(&[("LAYOUT", Path::new(&folder))]);
    let (image, key) = (place.tagged("other"), key("public"));
    snapshot("verify-other-image", 1, &names, &["verify", &image, "--key", &key, "--type", "spdx"]);
}

#[test]
fn attest_says_what_it_would_write() {
    // (accepted)
    let scratch = Scratch::new();
    let place = Place::folder();
    place.push_index("1");
    place.push_single("2");
    let predicate = scratch.write("spdx.json", SPDX);
    let folder = place.name().replace("oci:", "");
    let names = Names::of(&[("LAYOUT", Path::new(&folder))]);
    let (image, single, key) = (place.tagged("1"), place.tagged("2"), key("private"));
    let common = ["--predicate", &predicate, "--type", "spdx", "--key", &key, "--dry-run"];
    let more = ["--layout", "index-artifact", "--each-platform"];
    snapshot("attest-dry-run", 0, &names, &[&["attest", &image][..], &common, &more].concat());
    let more = ["--layout", "index"];
    snapshot("attest-wrap", 0, &names, &[&["attest", &single][..], &common, &more].concat());
}

#[test]
fn attest_says_what_it_wrote() {
    // (accepted)
    let scratch = Scratch::new();
    let predicate = scratch.write("vex.json", OPENVEX);
    for (output, file) in [("human", "attest.txt"), ("json", "attest.json")] {
        let place = Place::folder();
        place.push_index("1");
        let (image, key, folder) = (place.tagged("1"), key("private"), place.name().replace("oci:", ""));
        let common = ["attest", &image, "--predicate", &predicate, "--type", "openvex", "--key", &key];
        let ran = attestry(common.into_iter().chain(["--output", output])).succeeds();
        // The manifest tells when it was made.
        let listed = attestry(["list", &image, "--output", "json"]).succeeds().json();
        let names = Names::of(&[("LAYOUT", Path::new(&folder))]);
        let names = names.digest("manifest", &listed["attestations"][0]["manifest"]);
        compare(file, &names.replace(&ran.text()));
    }
}

#[test]
fn what_is_signed_converted_and_detached_is_told_beforehand() {
    // (accepted; refused: selection-absent, unsigned-statements-present)
    let scratch = Scratch::new();
    let place = Place::folder();
    place.push_index("1");
    let (predicate, folder) = (scratch.write("spdx.json", SPDX), place.name().replace("oci:", ""));
    let names = Names::of(&[("LAYOUT", Path::new(&folder))]);
    let (image, key) = (place.tagged("1"), key("private"));
    let sign = ["sign", &image, "--key", &key, "--layout", "tag", "--recursive", "--dry-run"];
    compare("sign-dry-run.txt", &names.replace(&attestry(sign).succeeds().text()));
    let json = attestry(sign.into_iter().chain(["--output", "json"])).succeeds();
    compare("sign-dry-run.json", &names.replace(&json.text()));
    let amd64 = ["--platform", "linux/amd64"];
    let attest = ["attest", &image, "--predicate", &predicate, "--type", "spdx"];
    let tagged = ["--key", &key, "--layout", "tag"];
    let report = attestry([&attest[..], &tagged, &amd64, &["--output", "json"]].concat()).succeeds().json();
    let document = report["attached"][0]["document"].as_str().unwrap();
    let convert = ["convert", &image, "--to", "index-artifact", "--remove", "--dry-run"];
    snapshot("convert-dry-run", 0, &names, &convert);
    snapshot("detach-dry-run", 0, &names, &["detach", &image, "--select", document, "--dry-run"]);
    let absent = format!("sha256:{}", "0".repeat(64));
    let refused = attestry(["detach", &image, "--select", &absent]).exits(1);
    compare("detach-absent.txt", &names.replace(&refused.stderr));
    let inside = ["--layout", "index-artifact"];
    attestry([&attest[..], &inside, &amd64, &["--unsigned"]].concat()).succeeds();
    let other = scratch.write("other.json", format!(" {SPDX}"));
    let manifest = ["--predicate", &other, "--key", &key, "--sign", "manifest"];
    let attest = ["attest", &image, "--type", "spdx"];
    let refused = attestry([&attest[..], &manifest, &inside, &amd64].concat()).exits(1);
    compare("attest-unvouched.txt", &names.replace(&refused.stderr));
}

#[test]
fn inspect_shows_what_a_bundle_says_of_itself() {
    // (accepted)
    let scratch = Scratch::new();
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "app", "digest": {"sha256": "0".repeat(64)}}, {"digest": {"md5": "0"}}],
        "predicateType": "https://example.com/review/v1",
        "predicate": {},
    });
    let statement = scratch.write("statement.json", statement.to_string());
    let bundle = scratch.path("bundle.json");
    attestry(["sign-blob", "--statement", &statement, "--key", &key("private"), "--to", &bundle]).succeeds();
    let names = Names::of(&[("SCRATCH", Path::new(&bundle).parent().unwrap())]);
    snapshot("inspect-bundle", 0, &names, &["inspect", &bundle]);
    snapshot("inspect-key", 0, &names, &["inspect", &key("public")]);
}

#[test]
fn every_report_validates_against_the_schema_that_it_names() {
    // (accepted)
    let scratch = Scratch::new();
    let place = Place::folder();
    place.push_index("1");
    let (image, private, public) = (place.tagged("1"), key("private"), key("public"));
    let predicate = scratch.write("spdx.json", SPDX);
    let made = ["attest", &image, "--predicate", &predicate, "--type", "spdx", "--key", &private];
    let convert = ["convert", &image, "--to", "tag", "--dry-run"];
    for arguments in [
        &made[..],
        &["list", &image],
        &["inspect", &image],
        &["verify", &image, "--key", &public, "--type", "spdx"],
        &["sign", &image, "--key", &private, "--layout", "tag"],
        &convert,
    ] {
        let report = attestry(arguments.iter().copied().chain(["--output", "json"])).succeeds().json();
        let name = report["schema"].as_str().unwrap().strip_prefix("attestry/").unwrap().replace('/', ".");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{name}.json"));
        let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        has_what_the_schema_says(&report, &schema, &schema, &name);
    }
}

/// As much of JSON Schema as our schemas use: `$ref`, `type`, `properties`, `required`, `items`, `anyOf`, and `oneOf` by
/// `kind`.
fn has_what_the_schema_says(value: &Value, schema: &Value, root: &Value, at: &str) {
    if let Some(path) = schema["$ref"].as_str() {
        let target = root.pointer(path.strip_prefix('#').unwrap()).unwrap();
        return has_what_the_schema_says(value, target, root, at);
    }
    if let Some(options) = schema["oneOf"].as_array().filter(|_| value.is_object()) {
        let of_kind = |option: &&Value| option["properties"]["kind"]["const"] == value["kind"];
        let option = options.iter().find(of_kind).unwrap_or_else(|| panic!("{at}: {}", value["kind"]));
        return has_what_the_schema_says(value, option, root, at);
    }
    if let Some(options) = schema["anyOf"].as_array() {
        let fitting = if value.is_null() { "null" } else { "" };
        let option = options.iter().find(|option| (option["type"] == "null") == (fitting == "null"));
        return has_what_the_schema_says(value, option.unwrap(), root, at);
    }
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match &schema["type"] {
        Value::String(wanted) => assert_eq!(actual, wanted, "{at}"),
        Value::Array(wanted) => assert!(wanted.contains(&json!(actual)), "{at}: {actual}"),
        _ => {}
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(name.as_str().unwrap()).is_some(), "{at}: no {name}");
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let known = &schema["properties"][name];
        assert!(!known.is_null(), "{at}: {name} is not in the schema");
        has_what_the_schema_says(member, known, root, &format!("{at}.{name}"));
    }
    for item in value.as_array().into_iter().flatten() {
        has_what_the_schema_says(item, &schema["items"], root, &format!("{at}[]"));
    }
}

#[test]
fn what_a_document_says_never_reaches_the_terminal_as_control_characters() {
    // (accepted)
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "app\u{1b}[2J\u{7}", "digest": {"sha256": "0".repeat(64)}}],
        "predicateType": "https://example.com/\u{1b}[31mred",
        "predicate": {},
    });
    let ran = attestry_with(["inspect", "-"], statement.to_string().as_bytes());
    let shown = format!("{}{}", ran.text(), ran.stderr);
    assert!(shown.contains("[2J") || shown.contains("error["), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
}
