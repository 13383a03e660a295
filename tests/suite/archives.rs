//! Images in archives, and in the folders that `cosign save` writes: what is attached is found and verified as it is
//! where the image came from.

use std::path::{Path, PathBuf};

use attestry::code::Code;
use attestry::digest::Digest;
use attestry::limits::Limits;
use attestry::reference::{Selector, Tag};
use attestry::store::{Archive, Files, Store};
use serde_json::{Value, json};

use crate::interop::Cosign;
use crate::round_trip::{OPENVEX, SLSA, SPDX, attest, list, verify};
use crate::support::command::{Ran, Scratch, attestry, fixtures, oci};
use crate::support::image::{Place, registries, wait};
use crate::support::peer::{installed, peer};
use crate::support::program::{is_full, tree};
use crate::support::tar::{Tar, gzip};

fn image(name: &str) -> Option<PathBuf> {
    Some(fixtures()?.join("images").join(name))
}

/// A report without what names the place.
fn facts(mut report: Value) -> Value {
    report["image"]["reference"] = Value::Null;
    for requirement in report["requirements"].as_array_mut().into_iter().flatten() {
        requirement["hint"] = Value::Null;
    }
    report
}

#[test]
fn an_image_in_an_archive_lists_and_verifies_like_the_one_in_a_folder() {
    // (accepted) and (refused: attestation-missing)
    let Some(folder) = image("kitchen-sink") else { return };
    let scratch = Scratch::new();
    let key = fixtures().unwrap().join("keys/cosign.pub").display().to_string();
    let there = format!("{}:all", oci(&folder));
    let whole = Tar::of_folder(&folder, "").finish();
    let archives = [
        scratch.write("plain.tar", &whole),
        scratch.write("packed.tar.gz", gzip(&whole)),
        scratch.write("dotted.tar", Tar::of_folder(&folder, "./").finish()),
    ];
    let ask = |reference: &str, arguments: &[&str]| {
        attestry([&[arguments[0], reference, "--output", "json"], &arguments[1..]].concat())
    };
    for archive in archives {
        for (scheme, end) in [("oci-archive:", ":all"), ("archive://", ":all"), ("docker-archive:", "")] {
            let here = format!("{scheme}{archive}{end}");
            if scheme == "docker-archive:" {
                // One image, whatever its tag.
                assert_eq!(list(&here)["image"]["digest"], list(&there)["image"]["digest"]);
            }
            assert_eq!(facts(list(&here)), facts(list(&there)), "{here}");
            for (wanted, code) in [("openvex", 0), ("signature", 0), ("cyclonedx", 1)] {
                let arguments = ["verify", "--key", &key, "--type", wanted];
                let (ours, theirs) = (ask(&here, &arguments).exits(code), ask(&there, &arguments).exits(code));
                assert_eq!(facts(ours.json()), facts(theirs.json()), "{here}");
            }
        }
    }
}

#[test]
fn an_archive_is_never_written_to() {
    // (refused: store-unsupported)
    let place = Place::folder();
    place.push_index("1");
    let Place::Folder(folder) = &place else { return };
    let scratch = Scratch::new();
    let archive = scratch.write("image.tar", Tar::of_folder(folder.path(), "").finish());
    let before = tree(Path::new(&archive).parent().unwrap());
    for reference in [format!("oci-archive:{archive}:1"), format!("docker-archive:{archive}")] {
        for layout in ["referrer", "index"] {
            let more = ["--layout", layout, "--platform", "linux/amd64"];
            let ran = attest(&scratch, &reference, "openvex", OPENVEX, &more).exits(2);
            assert!(
                ran.stderr.contains("error[store-unsupported]") && ran.stderr.contains("tar -xf"),
                "{}",
                ran.stderr
            );
        }
    }
    assert!(tree(Path::new(&archive).parent().unwrap()) == before);
}

#[test]
fn a_path_without_its_scheme_gets_a_hint() {
    // (refused: argument-invalid)
    let scratch = Scratch::new();
    let archive = scratch.write("image.tar", "");
    let ran = attestry(["list", &archive]).exits(2);
    assert!(ran.stderr.contains(&format!("hint: write oci-archive:{archive}")), "{}", ran.stderr);
    std::fs::create_dir(scratch.path("out")).unwrap();
    scratch.write("out/provenance.json", "{}");
    let ran = attestry(["list", &scratch.path("out")]).exits(2);
    assert!(ran.stderr.contains("hint: write dir:"), "{}", ran.stderr);
}

/// The digest of the manifest that skopeo makes of an image in a docker archive.
fn digest_by_skopeo(reference: &str) -> String {
    Digest::sha256(&peer("skopeo", ["inspect", "--raw", reference]).succeeds().stdout).to_string()
}

#[test]
fn an_image_that_docker_saved_has_the_digest_that_skopeo_gives_it() {
    // (accepted)
    if !installed("skopeo") {
        return;
    }
    let scratch = Scratch::new();
    let place = Place::folder();
    place.push_single("1");
    let archive = scratch.path("saved.tar");
    let to = format!("docker-archive:{archive}:registry.example/app:1");
    peer("skopeo", ["copy", "--insecure-policy", &place.tagged("1"), &to]).succeeds();
    let reference = format!("docker-archive:{archive}");
    let listed = list(&reference);
    assert_eq!(listed["image"]["digest"], digest_by_skopeo(&reference));
    assert_eq!((&listed["attestations"], &listed["signatures"]), (&json!([]), &json!([])));
    assert_eq!(list(&to)["image"]["digest"], listed["image"]["digest"]);
    let pinned = format!("{reference}@{}", listed["image"]["digest"].as_str().unwrap());
    assert_eq!(list(&pinned)["image"]["digest"], listed["image"]["digest"]);
    let ran = attestry(["list", &format!("{reference}:registry.example/app:2")]).exits(3);
    assert!(ran.stderr.contains("error[not-found]"), "{}", ran.stderr);
    // Packed as a whole, it is the same image.
    let packed = scratch.write("saved.tar.gz", gzip(&std::fs::read(&archive).unwrap()));
    assert_eq!(list(&format!("docker-archive:{packed}"))["image"]["digest"], listed["image"]["digest"]);
    verify(&scratch, "signer", &reference, &["--type", "openvex"]).exits(1);
}

/// An archive in the older form: one image of one layer, which may be compressed.
fn saved(layer: &[u8], diff_id: &Digest, config_name: Option<&str>) -> Tar {
    let config = json!({"rootfs": {"type": "layers", "diff_ids": [diff_id.to_string()]}}).to_string();
    let name = config_name.map_or_else(|| format!("{}.json", Digest::sha256(config.as_bytes()).hex()), str::to_owned);
    let list = json!([{"Config": name, "RepoTags": ["app:1", "app:2"], "Layers": ["b/layer.tar"]}]).to_string();
    Tar::default()
        .file(&name, config)
        .file("a/layer.tar", layer)
        .entry(b'2', "b/layer.tar", "../a/layer.tar")
        .file("manifest.json", list)
}

#[test]
fn layers_are_what_the_configuration_says_or_the_image_is_refused() {
    // (refused: digest-mismatch, archive-invalid, entry-unsafe, not-found)
    let scratch = Scratch::new();
    let layer = Tar::default().file("hello", "x").finish();
    let diff_id = Digest::sha256(&layer);
    let ask = |archive: &[u8]| {
        let path = scratch.write("saved.tar", archive);
        attestry(["list", &format!("docker-archive:{path}"), "--output", "json"])
    };
    let says = |archive: Vec<u8>, code: &str| {
        let ran = ask(&archive).exits(3);
        assert!(ran.stderr.contains(&format!("error[{code}]")), "{code}\n{}", ran.stderr);
    };
    let plain = ask(&saved(&layer, &diff_id, None).finish()).succeeds().json();
    let packed = ask(&saved(&gzip(&layer), &diff_id, None).finish()).succeeds().json();
    assert_eq!(plain["image"]["digest"], packed["image"]["digest"]);
    if installed("skopeo") {
        let path = scratch.write("saved.tar", saved(&gzip(&layer), &diff_id, None).finish());
        assert_eq!(plain["image"]["digest"], digest_by_skopeo(&format!("docker-archive:{path}")));
    }
    says(saved(&layer, &Digest::sha256(b"other"), None).finish(), "digest-mismatch");
    let misnamed = format!("{}.json", Digest::sha256(b"other").hex());
    says(saved(&layer, &diff_id, Some(&misnamed)).finish(), "digest-mismatch");
    let list = |layers: Value| json!([{"Config": "c", "Layers": layers}]).to_string();
    let config = json!({"rootfs": {"diff_ids": [diff_id.to_string()]}}).to_string();
    let of = |layers: Value| Tar::default().file("c", &config).file("manifest.json", list(layers));
    says(of(json!([])).finish(), "archive-invalid");
    says(of(json!(["none"])).finish(), "not-found");
    for target in ["../out", "/etc/passwd", "l", "nothing", "sub/../../c"] {
        says(of(json!(["l"])).entry(b'2', "l", target).finish(), "entry-unsafe");
    }
    says(of(json!(["l"])).entry(b'1', "l", "nothing").finish(), "entry-unsafe");
    says(Tar::default().file("c", &config).finish(), "archive-invalid");
    says(Tar::default().file("manifest.json", r#"[{"Config":"c","Config":"d"}]"#).finish(), "archive-invalid");
    let bomb = gzip(&vec![0; 30 << 20]);
    says(saved(&bomb, &Digest::sha256(&vec![0; 30 << 20]), None).finish(), "too-large");
}

#[test]
fn every_bound_on_archives_and_exports_is_held() {
    // (refused: too-large), each bound alone
    let place = Place::folder();
    place.push_single("1");
    let Place::Folder(folder) = &place else { return };
    let scratch = Scratch::new();
    let tar = Tar::of_folder(folder.path(), "").finish();
    let plain = PathBuf::from(scratch.write("plain.tar", &tar));
    let packed = PathBuf::from(scratch.write("packed.tar.gz", gzip(&tar)));
    let exported = || Limits { exported_files: 3, ..Limits::default() };
    type Opened = Result<(), attestry::store::StoreError>;
    let archive = |path: &Path, limits: Limits| -> Opened { Archive::open(path, &limits).map(drop) };
    let refusals = [
        archive(&plain, Limits { archive_entries: 3, ..Limits::default() }),
        archive(&plain, Limits { archive_name_bytes: 100, ..Limits::default() }),
        archive(&packed, Limits { archive_bytes: 1_000, ..Limits::default() }),
        archive(&packed, Limits { archive_ratio: 1, memory_bytes: 100, ..Limits::default() }),
        Files::open_archive(&plain, &exported()).map(drop),
        Files::open_folder(folder.path(), &exported()).map(drop),
    ];
    for (number, refused) in refusals.into_iter().enumerate() {
        assert_eq!(refused.map_err(|error| error.code()), Err(Code::TooLarge), "{number}");
    }
    for path in [&plain, &packed] {
        archive(path, Limits::default()).unwrap();
    }
}

#[test]
fn one_changed_bit_anywhere_gives_the_same_image_or_none() {
    // (accepted) or refused; never another image, never a panic
    let place = Place::folder();
    let digest = place.push_single("1").digest().clone();
    let Place::Folder(folder) = &place else { return };
    let tar = Tar::of_folder(folder.path(), "").finish();
    let file = tempfile::NamedTempFile::new().unwrap();
    let selector = Selector { tag: Some(Tag::parse("1").unwrap()), digest: None };
    let (mut same, mut refused) = (0, 0);
    let step = if is_full() { 1 } else { 7 };
    for (place, byte) in tar.iter().enumerate().step_by(step) {
        let mut changed = tar.clone();
        changed[place] = byte ^ (1 << (place % 8));
        std::fs::write(file.path(), changed).unwrap();
        let opened = Archive::open(file.path(), &Limits::default());
        match opened.and_then(|store| wait(store.manifest(&selector))) {
            Ok(manifest) => {
                assert_eq!(*manifest.digest(), digest, "byte {place}");
                same += 1;
            }
            Err(_) => refused += 1,
        }
    }
    // What may change is padding and the bytes of other blobs.
    assert!(same > 0 && refused > 512 * 3 / step, "{same} {refused}");
}

/// Statements and signatures by what a listing says of them.
fn found(report: &Value, member: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut rows: Vec<_> = report[member]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (text(&entry["layout"]), text(&entry[if member == "signatures" { "kind" } else { "predicate_type" }]))
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn what_cosign_saved_is_found_and_verified() {
    // (accepted), and refused with another key
    let Some(cosign) = Cosign::new() else { return };
    let predicates = [("openvex", OPENVEX), ("slsaprovenance1", SLSA), ("spdxjson", SPDX)];
    for place in registries().iter().filter(|place| matches!(place, Place::Peer(_))) {
        let digest = place.push_index("1").digest().to_string();
        let pinned = format!("{}@{digest}", place.name());
        for (legacy, (wanted, predicate)) in [true, true, false].into_iter().zip(predicates) {
            let file = cosign.scratch.write("predicate.json", predicate);
            cosign.sign(legacy, &["attest", "--type", wanted, "--predicate", &file, &pinned]).succeeds();
        }
        cosign.sign(true, &["sign", &pinned]).succeeds();
        let folder = tempfile::tempdir().unwrap();
        let saved = folder.path().join("saved");
        save(&saved, &pinned).succeeds();
        let reference = oci(&saved);
        let listed = list(&reference);
        assert_eq!(listed["image"]["digest"], digest);
        let tag = |wanted: &str| ("tag".to_owned(), wanted.to_owned());
        let expected = [
            ("referrer".to_owned(), "https://spdx.dev/Document".to_owned()),
            tag("https://openvex.dev/ns"),
            tag("https://slsa.dev/provenance/v1"),
        ];
        assert_eq!(found(&listed, "attestations"), expected);
        assert_eq!(found(&listed, "signatures"), [tag("simple-signing")]);
        for wanted in ["openvex", "slsa-provenance", "spdx", "signature"] {
            verify(&cosign.scratch, "signer", &reference, &["--type", wanted]).succeeds();
            verify(&cosign.scratch, "stranger", &reference, &["--type", wanted]).exits(1);
        }
        // The same folder in an archive.
        let archive = cosign.scratch.write("saved.tar", Tar::of_folder(&saved, "").finish());
        assert_eq!(facts(list(&format!("oci-archive:{archive}"))), facts(listed));
    }
}

fn save(folder: &Path, image: &str) -> Ran {
    peer("cosign", ["save", "--allow-http-registry", "--dir", &folder.display().to_string(), image])
}

#[test]
fn saved_evidence_of_several_images_goes_to_the_one_that_it_names() {
    // (accepted) for the image that is named, (refused: attestation-missing) for the other
    let Some(cosign) = Cosign::new() else { return };
    let Some(place) = registries().into_iter().find(|place| matches!(place, Place::Peer(_))) else { return };
    let file = cosign.scratch.write("predicate.json", OPENVEX);
    let folder = tempfile::tempdir().unwrap();
    let both = folder.path().join("both");
    let mut entries = Vec::new();
    let mut digests = Vec::new();
    for tag in ["1", "2"] {
        let digest = place.push_single(tag).digest().to_string();
        let pinned = format!("{}@{digest}", place.name());
        if tag == "1" {
            cosign.sign(true, &["attest", "--type", "openvex", "--predicate", &file, &pinned]).succeeds();
            cosign.sign(true, &["sign", &pinned]).succeeds();
        }
        let saved = folder.path().join(tag);
        save(&saved, &pinned).succeeds();
        let index: Value = serde_json::from_slice(&std::fs::read(saved.join("index.json")).unwrap()).unwrap();
        entries.extend(index["manifests"].as_array().unwrap().clone());
        cosign.scratch.copy(&saved, "both");
        digests.push(digest);
    }
    // Two saved folders put together by hand.
    drop(both);
    let both = PathBuf::from(cosign.scratch.path("both"));
    let index =
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries});
    std::fs::write(both.join("index.json"), index.to_string()).unwrap();
    for (digest, code) in digests.iter().zip([0, 1]) {
        let reference = format!("{}@{digest}", oci(&both));
        for wanted in ["openvex", "signature"] {
            verify(&cosign.scratch, "signer", &reference, &["--type", wanted]).exits(code);
        }
    }
    attestry(["list", &oci(&both)]).exits(2);
}
