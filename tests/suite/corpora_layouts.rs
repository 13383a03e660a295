//! Layouts, archives and registries that other projects test with. What is found is compared with a walk through their
//! plain JSON that shares no code with the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use attestry::content::Blob;
use attestry::digest::{Digest, DigestAlgorithm};
use attestry::limits::Limits;
use attestry::media_type::MediaType;
use attestry::oci::{Descriptor, Manifest};
use attestry::reference::Selector;
use attestry::store::{Archive, DockerArchive, Layout, Store};
use serde_json::{Value, json};

use crate::round_trip::{SLSA, attest, list, list_in_detail, verify};
use crate::support::command::{Scratch, attestry, files, oci, say};
use crate::support::image::wait;
use crate::support::peer::{docker_registry, installed, peer};

/// A folder of foreign documents. `None`, loudly, when it is not there.
pub(crate) fn corpus(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ATTESTRY_CORPORA").map_or_else(|| PathBuf::from("../shared/corpora"), PathBuf::from);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(root).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    say(format!("CORPORA ABSENT: no folder at {} (ATTESTRY_CORPORA)", folder.display()));
    None
}

/// All layout folders below a folder.
fn layouts(below: &Path) -> Vec<PathBuf> {
    let found = files(below).into_keys().filter(|path| path.ends_with("oci-layout"));
    found.map(|path| path.parent().unwrap().to_owned()).collect()
}

/// A layout as plain JSON.
struct Plain {
    index: Value,
    blobs: BTreeMap<String, Vec<u8>>,
}

impl Plain {
    fn of_folder(folder: &Path) -> Self {
        let named = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
        Self::of(files(folder).into_iter().map(|(path, bytes)| (named(&path), bytes)))
    }

    fn of_archive(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let reader: Box<dyn std::io::Read> = match bytes.starts_with(b"\x1f\x8b") {
            true => Box::new(flate2::read::GzDecoder::new(&*bytes)),
            false => Box::new(&*bytes),
        };
        let mut archive = tar::Archive::new(reader);
        Self::of(archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            (entry.path().unwrap().display().to_string(), bytes)
        }))
    }

    fn of(files: impl Iterator<Item = (String, Vec<u8>)>) -> Self {
        let mut plain = Self { index: Value::Null, blobs: BTreeMap::new() };
        for (name, bytes) in files {
            if name == "index.json" {
                plain.index = serde_json::from_slice(&bytes).unwrap();
            } else if let Some(digest) = name.strip_prefix("blobs/").filter(|name| name.len() > 64) {
                plain.blobs.insert(digest.replace('/', ":"), bytes);
            }
        }
        plain
    }

    fn json(&self, digest: &Value) -> Option<Value> {
        serde_json::from_slice(self.blobs.get(digest.as_str()?)?).ok()
    }

    fn entries(&self) -> Vec<Value> {
        self.index["manifests"].as_array().cloned().unwrap_or_default()
    }

    /// Digests of all documents that hang on an image: layers of attestation manifests in its index, and of whatever
    /// names it, or a part of it, as its subject.
    fn documents(&self, image: &Value) -> BTreeSet<String> {
        let (mut parts, mut open) = (BTreeSet::new(), vec![image.clone()]);
        let mut carriers = Vec::new();
        while let Some(digest) = open.pop() {
            parts.insert(digest.as_str().unwrap().to_owned());
            let manifest = self.json(&digest).unwrap_or_default();
            for child in manifest["manifests"].as_array().into_iter().flatten() {
                let is_evidence = child["annotations"]["vnd.docker.reference.type"] == "attestation-manifest";
                if is_evidence { &mut carriers } else { &mut open }.push(child["digest"].clone());
            }
        }
        for digest in self.blobs.keys().map(|digest| json!(digest)) {
            let subject = self.json(&digest).unwrap_or_default()["subject"]["digest"].clone();
            if subject.as_str().is_some_and(|subject| parts.contains(subject)) {
                carriers.push(digest);
            }
        }
        let layers = carriers.iter().filter_map(|carrier| self.json(carrier)?["layers"].as_array().cloned());
        layers.flatten().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    }
}

/// Digests of all documents that a listing has.
fn listed_documents(report: &Value) -> BTreeSet<String> {
    ["attestations", "signatures", "attachments"]
        .iter()
        .flat_map(|member| report[member].as_array().unwrap())
        .map(|entry| entry["document"].as_str().unwrap().to_owned())
        .collect()
}

/// Reads every blob through a store, by its name. The store must find out by itself which have another digest.
fn damaged(store: &dyn Store, plain: &Plain) -> BTreeSet<String> {
    let mut damaged = BTreeSet::new();
    for (name, bytes) in &plain.blobs {
        let digest = Digest::parse(name).unwrap();
        let size = u64::try_from(bytes.len()).unwrap();
        let descriptor = Descriptor::new(MediaType::OCTET_STREAM, digest.clone(), size);
        let sound = Digest::of(digest.algorithm(), bytes) == digest;
        assert_eq!(wait(store.blob(&descriptor, u64::MAX)).is_ok(), sound, "{name}");
        if !sound {
            damaged.insert(name.clone());
        }
    }
    damaged
}

/// Entries of these layouts that are no images, and the code for that: go-containerregistry tests with a manifest that
/// calls itself a Docker manifest under an OCI descriptor, and with an entry of an invented media type.
fn known_code(media_type: &Value) -> &'static str {
    if media_type == "application/vnd.oci.descriptor.v1+json" {
        "media-type-unsupported"
    } else {
        "media-type-mismatch"
    }
}

#[test]
fn every_layout_lists_what_its_json_says() {
    // (accepted), and (refused: media-type-mismatch, media-type-unsupported) for the entries of go-containerregistry
    for (name, layouts_there, images_there, refused_there) in
        [("docker-attest", 2, 2, 0), ("oci-ggcr", 3, 5, 3), ("oci-oras", 1, 7, 0), ("oci-regclient", 1, 26, 0)]
    {
        let Some(folder) = corpus(name) else { return };
        let (mut seen, mut images, mut refused, mut documents) = (0, 0, 0, 0);
        for layout in layouts(&folder).iter().filter(|layout| !layout.to_str().unwrap().contains("test-repo-oci")) {
            seen += 1;
            let plain = Plain::of_folder(layout);
            let store = Layout::open(layout, &Limits::default()).unwrap();
            assert_eq!(damaged(&store, &plain), BTreeSet::new(), "{}", layout.display());
            for entry in plain.entries() {
                let reference = format!("{}@{}", oci(layout), entry["digest"].as_str().unwrap());
                let ran = attestry(["list", &reference, "--output", "json"]);
                if ran.code == Some(0) {
                    let expected = plain.documents(&entry["digest"]);
                    assert_eq!(listed_documents(&ran.json()), expected, "{reference}");
                    assert_eq!(ran.json()["rejections"], json!([]), "{reference}");
                    images += 1;
                    documents += expected.len();
                } else {
                    let code = format!("error[{}]", known_code(&entry["mediaType"]));
                    assert!(ran.exits(3).stderr.starts_with(&code), "{reference}");
                    refused += 1;
                }
            }
        }
        assert_eq!((seen, images, refused), (layouts_there, images_there, refused_there), "{name}");
        assert_eq!(documents > 0, ["docker-attest", "oci-regclient"].contains(&name), "{name}");
    }
}

#[test]
fn a_broken_mirror_is_refused_and_never_looks_empty() {
    // (refused: size-mismatch)
    let Some(folder) = corpus("docker-attest") else { return };
    let mut entries = 0;
    for layout in layouts(&folder.join("test/testdata/tuf/test-repo-oci")) {
        let plain = Plain::of_folder(&layout);
        for entry in plain.entries() {
            let reference = format!("{}@{}", oci(&layout), entry["digest"].as_str().unwrap());
            let ran = attestry(["list", &reference]).exits(3);
            assert!(ran.stderr.starts_with("error[size-mismatch]"), "{}", ran.stderr);
            entries += 1;
        }
    }
    assert_eq!(entries, 14);
}

#[test]
fn layouts_of_docker_attest_are_signed_attached_and_verified() {
    // (accepted) and (refused: attestation-missing)
    let Some(folder) = corpus("docker-attest") else { return };
    let scratch = Scratch::new();
    for name in ["missing-subject-layout", "no-provenance-index"] {
        for layout in ["referrer", "index", "index-artifact"] {
            let copy = scratch.copy(&folder.join("test/testdata").join(name), &format!("{name}-{layout}"));
            let before = files(&copy);
            // The copy has one image; its tag is none that the grammar of tags allows.
            let image = oci(&copy);
            let demand = |image: &str| verify(&scratch, "signer", image, &["--type", "slsa-provenance"]);
            let report = demand(&image).exits(1).json();
            assert_eq!(report["requirements"][0]["code"], "attestation-missing", "{image}");
            let root = format!("{image}@{}", list(&image)["image"]["digest"].as_str().unwrap());
            let platforms = list(&image)["platforms"].clone();
            let more: &[&str] = if layout == "referrer" { &[] } else { &["--each-platform"] };
            attest(&scratch, &root, "slsa-provenance", SLSA, &[&["--layout", layout], more].concat()).succeeds();
            let target = match layout {
                "referrer" => root,
                _ => format!("{image}@{}", newest_index(&copy, &before).unwrap()),
            };
            demand(&target).succeeds();
            assert_eq!(list(&target)["platforms"], platforms, "{target}");
            // Image manifests, layers and all else that was there is still there, byte for byte.
            let after = files(&copy);
            for (path, bytes) in before.iter().filter(|(path, _)| !path.ends_with("index.json")) {
                assert_eq!(after.get(path), Some(bytes), "{}", path.display());
            }
        }
    }
}

/// The index that was written since: of all new blobs the one that has `manifests` and is no list of referrers.
fn newest_index(layout: &Path, before: &BTreeMap<PathBuf, Vec<u8>>) -> Option<String> {
    let is_index = |bytes: &[u8]| {
        serde_json::from_slice::<Value>(bytes).is_ok_and(|body| {
            body["manifests"]
                .as_array()
                .is_some_and(|children| children.iter().any(|child| child["platform"]["os"] == "linux"))
        })
    };
    let new = files(layout).into_iter().filter(|(path, _)| !before.contains_key(path));
    let found: Vec<String> =
        new.filter(|(_, bytes)| is_index(bytes)).map(|(_, bytes)| Digest::sha256(&bytes).to_string()).collect();
    found.last().cloned()
}

#[test]
fn archives_of_dockers_actions_load_with_all_digests_right() {
    // (accepted)
    let Some(folder) = corpus("docker-actions-toolkit/oci-archive") else { return };
    let mut archives = 0;
    for path in files(&folder).into_keys() {
        let plain = Plain::of_archive(&path);
        let store = Archive::open(&path, &Limits::default()).unwrap();
        assert_eq!(damaged(&store, &plain), BTreeSet::new(), "{}", path.display());
        assert!(plain.blobs.len() > 5);
        for entry in plain.entries() {
            let reference = format!("oci-archive:{}@{}", path.display(), entry["digest"].as_str().unwrap());
            assert_eq!(listed_documents(&list(&reference)), plain.documents(&entry["digest"]), "{reference}");
        }
        let key = Scratch::new();
        let reference = format!("oci-archive:{}", path.display());
        verify(&key, "signer", &reference, &["--type", "slsa-provenance-v0.2"]).exits(1);
        archives += 1;
    }
    assert_eq!(archives, 4);
}

#[test]
fn archives_that_docker_saved_have_the_digests_that_skopeo_gives_them() {
    // (accepted), and (refused: tag-ambiguous) where none is named
    let Some(folder) = corpus("oci-ggcr/tarball/testdata") else { return };
    let mut images = 0;
    for path in files(&folder).into_keys() {
        let file = format!("docker-archive:{}", path.display());
        let plain = tar_file(&path, "manifest.json");
        let saved: Vec<Value> = serde_json::from_slice(&plain).unwrap();
        if saved.len() > 1 {
            let ran = attestry(["list", &file]).exits(2);
            assert!(ran.stderr.starts_with("error[tag-ambiguous]"), "{}", ran.stderr);
        }
        for image in saved {
            let name = image["RepoTags"][0].as_str().map(|name| format!(":{name}")).unwrap_or_default();
            let listed = list(&format!("{file}{name}"));
            assert_eq!((&listed["attestations"], &listed["attachments"]), (&json!([]), &json!([])), "{file}");
            if installed("skopeo") {
                let raw = peer("skopeo", ["inspect", "--raw", &format!("{file}{name}")]).succeeds().stdout;
                assert_eq!(listed["image"]["digest"], Digest::sha256(&raw).to_string(), "{file}{name}");
            }
            let short = image["RepoTags"][0].as_str();
            let store = DockerArchive::open(&path, short, &Limits::default()).unwrap();
            let manifest = wait(store.manifest(&Selector::default())).unwrap();
            let config = manifest.as_image().unwrap().config.clone();
            let blob = wait(store.blob(&config, 1 << 20)).unwrap();
            let config_file = tar_file(&path, image["Config"].as_str().unwrap());
            assert_eq!(&blob.bytes(1 << 20).unwrap()[..], config_file);
            images += 1;
        }
    }
    assert_eq!(images, 5);
}

/// One file of an archive.
fn tar_file(archive: &Path, name: &str) -> Vec<u8> {
    let bytes = fs::read(archive).unwrap();
    let mut archive = tar::Archive::new(&*bytes);
    let mut entry =
        archive.entries().unwrap().map(Result::unwrap).find(|entry| entry.path().unwrap() == Path::new(name)).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
    bytes
}

#[test]
fn manifests_that_buildkit_exports_are_read_and_name_their_configurations() {
    // (accepted)
    let Some(folder) = corpus("buildkit-compat") else { return };
    let all = files(&folder);
    let (mut manifests, mut configs) = (0, 0);
    for (path, bytes) in all.iter().filter(|(path, _)| path.ends_with("manifest.json")) {
        let media_type = serde_json::from_slice::<Value>(bytes).unwrap()["mediaType"].as_str().unwrap().to_owned();
        let blob = Blob::of_bytes(MediaType::new(media_type), bytes.clone());
        let manifest =
            Manifest::read(blob, &Limits::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        manifests += 1;
        if let Some(config) = all.get(&path.with_file_name("config.json")) {
            let named = &manifest.as_image().unwrap().config;
            assert_eq!(named.digest, Digest::of(DigestAlgorithm::Sha256, config), "{}", path.display());
            assert_eq!(named.size, u64::try_from(config.len()).unwrap());
            configs += 1;
        }
    }
    assert_eq!((manifests, configs), (18, 4));
}

#[test]
fn storage_of_a_registry_is_served_and_listed() {
    // (accepted)
    let Some(folder) = corpus("oci-oras/distribution") else { return };
    let mut documents = 0;
    for (archive, repository, tags) in [
        ("mount/images.tar.gz", "command/images", &["multi", "foobar"][..]),
        ("mount/artifacts_index.tar.gz", "command/artifacts", &["multi"]),
        ("mount_fallback/artifacts.tar.gz", "command/artifacts", &["foobar"]),
    ] {
        let Some(registry) = docker_registry(None) else { return };
        let storage = registry.folder.path().join("storage");
        let bytes = fs::read(folder.join(archive)).unwrap();
        tar::Archive::new(flate2::read::GzDecoder::new(&*bytes)).unpack(&storage).unwrap();
        // The files of the storage as the blobs of a layout.
        let blobs = files(&storage).into_iter().filter(|(path, _)| path.ends_with("data")).map(|(path, bytes)| {
            let hex = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
            (format!("blobs/sha256/{hex}"), bytes)
        });
        let plain = Plain::of(blobs);
        for tag in tags {
            let listed = list_in_detail(&format!("{}/{repository}:{tag}", registry.host));
            let expected = plain.documents(&listed["image"]["digest"]);
            assert_eq!(listed_documents(&listed), expected, "{archive} {tag}");
            documents += expected.len();
        }
    }
    assert!(documents > 0, "the storage with fallback tags holds referrers");
}
