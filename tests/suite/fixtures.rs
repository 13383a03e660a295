//! Images that BuildKit, cosign and oras made: everything is read, and what is signed verifies.

use std::fs;
use std::path::{Path, PathBuf};

use attestry::digest::Digest;
use serde_json::{Value, json};

use crate::support::command::{Ran, Scratch, attestry, files, fixtures, oci};

const SPDX: &str = "https://spdx.dev/Document";
const SLSA_1: &str = "https://slsa.dev/provenance/v1";
const SLSA_02: &str = "https://slsa.dev/provenance/v0.2";
const VEX: &str = "https://openvex.dev/ns";
const VEX_DHI: &str = "https://openvex.dev/ns/v0.2.0";

/// An attestation as a listing has it: type, layout, what it covers, whether it is signed.
type Row = (&'static str, &'static str, &'static str, bool);

/// An image of `fixtures/images`: folder, second place, platforms (none for a single manifest), attestations.
type Case = (&'static str, Option<&'static str>, &'static [&'static str], &'static [Row]);

const AMD64: &str = "linux/amd64";
const ARM64: &str = "linux/arm64";
const CHILD: &str = "index-artifact";

const IMAGES: [Case; 9] = [
    (
        "buildkit-multi-min-v02-legacy",
        None,
        &[AMD64, ARM64],
        &[(SLSA_02, "index", AMD64, false), (SLSA_02, "index", ARM64, false)],
    ),
    (
        "buildkit-multi-sbom-min-v1-artifact",
        None,
        &[AMD64, ARM64, "linux/arm/v7"],
        &[
            (SLSA_1, CHILD, AMD64, false),
            (SLSA_1, CHILD, "linux/arm/v7", false),
            (SLSA_1, CHILD, ARM64, false),
            (SPDX, CHILD, AMD64, false),
            (SPDX, CHILD, "linux/arm/v7", false),
            (SPDX, CHILD, ARM64, false),
        ],
    ),
    ("buildkit-noname-max-v1", None, &[AMD64], &[(SLSA_1, CHILD, AMD64, false)]),
    ("buildkit-plain-noattest", None, &[], &[]),
    (
        "buildkit-sbom-max-v02-legacy",
        None,
        &[AMD64],
        &[(SLSA_02, "index", AMD64, false), (SPDX, "index", AMD64, false)],
    ),
    ("buildkit-sbom-max-v1-artifact", None, &[AMD64], &[(SLSA_1, CHILD, AMD64, false), (SPDX, CHILD, AMD64, false)]),
    (
        "buildkit-signed-attestation-manifest",
        None,
        &[AMD64, ARM64],
        &[
            (SLSA_1, CHILD, AMD64, true),
            (SLSA_1, CHILD, ARM64, false),
            (SPDX, CHILD, AMD64, true),
            (SPDX, CHILD, ARM64, false),
        ],
    ),
    (
        "dhi-image",
        Some("dhi-referrers"),
        &[],
        &[(VEX_DHI, "referrer", "image", true), (SLSA_1, "referrer", "image", true), (SPDX, "referrer", "image", true)],
    ),
    (
        "kitchen-sink",
        None,
        &[AMD64, ARM64],
        &[
            (VEX, "referrer", "index", true),
            (VEX, "tag", "index", true),
            (SLSA_1, CHILD, AMD64, true),
            (SLSA_1, CHILD, ARM64, false),
            (SLSA_1, "tag", AMD64, true),
            (SPDX, CHILD, AMD64, true),
            (SPDX, CHILD, ARM64, false),
            (SPDX, "referrer", AMD64, true),
        ],
    ),
];

/// Runs a command about an image of `fixtures/images`.
fn about(verb: &str, root: &Path, image: &str, second: Option<&str>, more: &[&str]) -> Ran {
    let image = oci(&root.join("images").join(image));
    let second = second.map(|folder| oci(&root.join("images").join(folder)));
    let second = second.iter().flat_map(|second| ["--referrers-from", second]);
    attestry([verb, &image].into_iter().chain(second).chain(more.iter().copied()))
}

fn texts(array: &Value, member: &str) -> Vec<String> {
    array.as_array().unwrap().iter().map(|entry| entry[member].as_str().unwrap().to_owned()).collect()
}

fn key(root: &Path) -> String {
    root.join("keys/cosign.pub").display().to_string()
}

fn verify(root: &Path, key: &str, image: &str, second: Option<&str>, more: &[&str]) -> Ran {
    about("verify", root, image, second, &[&["--key", key, "--output", "json"], more].concat())
}

#[test]
fn every_image_is_listed_with_its_platforms_layouts_and_what_is_signed() {
    // (accepted)
    let Some(root) = fixtures() else { return };
    for (image, second, platforms, rows) in IMAGES {
        let report = about("list", &root, image, second, &["--output", "json"]).succeeds().json();
        assert_eq!(report["schema"], "attestry/list/v1", "{image}");
        assert_eq!(report["image"]["index"], !platforms.is_empty(), "{image}");
        if !platforms.is_empty() {
            assert_eq!(texts(&report["platforms"], "platform"), platforms, "{image}");
        }
        let mut listed: Vec<_> = report["attestations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| {
                assert_eq!(entry["seen"][0], entry["layout"], "{image}");
                let covers = entry["covers"].as_array().unwrap();
                assert_eq!(covers.len(), 1, "{image}: {covers:?}");
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let signed = entry["signed"].as_bool().unwrap();
                (text(&entry["predicate_type"]), text(&entry["layout"]), text(&covers[0]), signed)
            })
            .collect();
        listed.sort();
        let expected = rows.iter().map(|(a, b, c, d)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned(), *d));
        assert_eq!(listed, expected.collect::<Vec<_>>(), "{image}");
        assert_eq!(report["rejections"], json!([]), "{image}");
        let human = about("list", &root, image, second, &[]).succeeds();
        assert!(human.text().contains("NOT VERIFIED"), "{}", human.text());
    }
}

#[test]
fn every_image_is_inspected_down_to_its_statements() {
    // (accepted)
    let Some(root) = fixtures() else { return };
    for (image, second, _, rows) in IMAGES {
        let report = about("inspect", &root, image, second, &["--output", "json"]).succeeds().json();
        assert_eq!(report["schema"], "attestry/inspect/v1", "{image}");
        let documents = report["documents"].as_array().unwrap();
        let statements = documents.iter().filter(|document| !document["statement_type"].is_null());
        let types = statements.map(|document| document["predicate_type"].as_str().unwrap());
        let mut types: Vec<&str> = types.filter(|text| !text.starts_with("https://sigstore.dev/")).collect();
        types.sort_unstable();
        let mut expected: Vec<&str> = rows.iter().map(|row| row.0).collect();
        expected.sort_unstable();
        assert_eq!(types, expected, "{image}");
        about("inspect", &root, image, second, &[]).succeeds();
    }
}

#[test]
fn the_kitchen_sink_holds_eight_attestations_three_signatures_and_one_file() {
    // (accepted)
    let Some(root) = fixtures() else { return };
    let report = about("list", &root, "kitchen-sink", None, &["--output", "json"]).succeeds().json();
    assert_eq!(report["attestations"].as_array().unwrap().len(), 8);
    let signatures = report["signatures"].as_array().unwrap().iter();
    let mut signatures: Vec<_> = signatures
        .map(|entry| {
            let about = entry["covers"][0].as_str().unwrap();
            let about = if about.starts_with("sha256:66c9483b6de0") { "attestation manifest" } else { about };
            (about, entry["layout"].as_str().unwrap(), entry["kind"].as_str().unwrap())
        })
        .collect();
    signatures.sort_unstable();
    assert_eq!(
        signatures,
        [
            ("attestation manifest", "referrer", "bundle"),
            ("index", "referrer", "bundle"),
            ("index", "tag", "simple-signing"),
        ]
    );
    let files = report["attachments"].as_array().unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(
        (&files[0]["title"], &files[0]["artifact_type"]),
        (&json!("spdx.json"), &json!("application/spdx+json"))
    );
}

#[test]
fn a_platform_narrows_what_is_listed() {
    // (accepted)
    let Some(root) = fixtures() else { return };
    for (platform, types) in [(AMD64, vec![SLSA_1, SLSA_1, SPDX, SPDX]), (ARM64, vec![SLSA_1, SPDX])] {
        let report = about("list", &root, "kitchen-sink", None, &["--platform", platform, "--output", "json"]);
        let report = report.succeeds().json();
        let entries = report["attestations"].as_array().unwrap().iter();
        let here = entries.filter(|entry| entry["covers"] == json!([platform]));
        let mut here: Vec<&str> = here.map(|entry| entry["predicate_type"].as_str().unwrap()).collect();
        here.sort_unstable();
        assert_eq!(here, types);
        let other = if platform == AMD64 { ARM64 } else { AMD64 };
        let entries = report["attestations"].as_array().unwrap().iter();
        assert_eq!(entries.filter(|entry| entry["covers"] == json!([other])).count(), 0, "{platform}");
    }
}

/// What cosign signed: image, second place, platform, type, how the report says it came.
const SIGNED: [(&str, Option<&str>, Option<&str>, &str); 9] = [
    ("kitchen-sink", None, None, "openvex"),
    ("kitchen-sink", None, Some(AMD64), "spdx"),
    ("kitchen-sink", None, Some(AMD64), "slsa-provenance"),
    ("kitchen-sink", None, None, "signature"),
    ("buildkit-signed-attestation-manifest", None, Some(AMD64), "spdx"),
    ("buildkit-signed-attestation-manifest", None, Some(AMD64), "slsa-provenance"),
    ("dhi-image", Some("dhi-referrers"), None, "spdx"),
    ("dhi-image", Some("dhi-referrers"), None, "slsa-provenance"),
    ("dhi-image", Some("dhi-referrers"), None, "openvex"),
];

#[test]
fn what_cosign_signed_verifies_with_its_key_and_with_no_other() {
    // (accepted) and (refused: attestation-missing)
    let Some(root) = fixtures() else { return };
    let scratch = Scratch::new();
    let stranger = scratch.path("stranger.pub");
    for (image, second, platform, wanted) in SIGNED {
        let platform = platform.map_or_else(Vec::new, |platform| vec!["--platform", platform]);
        let more = [vec!["--type", wanted], platform].concat();
        let report = verify(&root, &key(&root), image, second, &more).succeeds().json();
        assert_eq!(report["verdict"], "accepted", "{image} {wanted}");
        assert_eq!(report["requirements"][0]["status"], "met", "{image} {wanted}");
        assert_eq!(report["unchecked"][0], "signing-time", "{image} {wanted}");
        let report = verify(&root, &stranger, image, second, &more).exits(1).json();
        assert_eq!(report["verdict"], "refused", "{image} {wanted}");
        assert_eq!(report["requirements"][0]["code"], "attestation-missing", "{image} {wanted}");
        assert_eq!(report["attestations"], json!([]), "{image} {wanted}");
    }
}

#[test]
fn a_signature_over_an_attestation_manifest_counts_for_the_statements_in_it() {
    // (accepted) and (refused: unsigned)
    let Some(root) = fixtures() else { return };
    let manifest = "sha256:66c9483b6de057d7f10641728256400cb4eb205b13cd4c51030ec8e05c75e2fc";
    let image = "buildkit-signed-attestation-manifest";
    let both = ["--type", "spdx", "--type", "slsa-provenance", "--platform"];
    let report = verify(&root, &key(&root), image, None, &[&both[..], &[AMD64]].concat()).succeeds().json();
    for place in 0..2 {
        let used = report["requirements"][place]["attestations"][0].as_u64().unwrap();
        let used = &report["attestations"][usize::try_from(used).unwrap()];
        assert_eq!((&used["manifest"], &used["through"]), (&json!(manifest), &json!(manifest)));
        let chain = links(used);
        assert_eq!(chain[0], "bundle in referrer fc7eaa7565e3");
        assert_eq!((chain[1].as_str(), chain[4].as_str()), ("attestation-manifest 66c9483b6de0", AMD64));
        bytes_are_those_of(&[root.join("images").join(image)], &used["chain"]);
    }
    // The manifest of the other platform is not signed.
    let report = verify(&root, &key(&root), image, None, &[&both[..], &[ARM64]].concat()).exits(1).json();
    for place in 0..2 {
        let failed = texts(&report["requirements"][place]["candidates"], "failed_check");
        assert_eq!(failed, ["unsigned"]);
    }
}

/// What a report says of one link, without sizes.
fn link(entry: &Value) -> String {
    let short = |value: &Value| value.as_str().unwrap().get(7..19).unwrap().to_owned();
    match entry["kind"].as_str().unwrap() {
        "signature" => {
            let (form, layout) = (entry["form"].as_str().unwrap(), entry["layout"].as_str().unwrap());
            format!("{form} in {layout} {}", short(&entry["manifest"]))
        }
        "statement" => entry["predicate_type"].as_str().unwrap().to_owned(),
        "subject" => {
            let covers = texts_of(&entry["covers"]);
            if covers.is_empty() { short(&entry["digest"]) } else { covers.join(", ") }
        }
        kind => format!("{kind} {}", short(&entry["digest"])),
    }
}

fn texts_of(array: &Value) -> Vec<&str> {
    array.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn links(entry: &Value) -> Vec<String> {
    entry["chain"].as_array().unwrap().iter().map(link).collect()
}

/// That every digest and size of a chain is that of a blob which is there.
fn bytes_are_those_of(layout: &[PathBuf], chain: &Value) {
    for entry in chain.as_array().unwrap() {
        let (Some(digest), Some(size)) = (entry["digest"].as_str(), entry["size"].as_u64()) else { continue };
        let digest = Digest::parse(digest).unwrap();
        let paths = layout.iter().map(|folder| folder.join("blobs/sha256").join(digest.hex()));
        let bytes = fs::read(paths.into_iter().find(|path| path.is_file()).unwrap()).unwrap();
        assert_eq!((Digest::sha256(&bytes), u64::try_from(bytes.len()).unwrap()), (digest, size), "{entry}");
    }
}

const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// Everything in the kitchen sink that is signed, as the chains of a report have it.
fn signed_in_the_kitchen_sink() -> (Vec<Vec<&'static str>>, Vec<Vec<&'static str>>) {
    let attestations = vec![
        vec!["bundle in referrer b5ad5d33ef14", VEX, "index"],
        vec!["bundle in referrer fc7eaa7565e3", "attestation-manifest 66c9483b6de0", "layer 019655503da5", SPDX, AMD64],
        vec![
            "bundle in referrer fc7eaa7565e3",
            "attestation-manifest 66c9483b6de0",
            "layer a44c40a09774",
            SLSA_1,
            AMD64,
        ],
        vec!["bundle in referrer d3a9410d66ce", SPDX, AMD64],
        vec!["envelope in tag 47a0fc2cc0bb", SLSA_1, AMD64],
        vec!["envelope in tag ea3019d9b683", VEX, "index"],
    ];
    let signatures = vec![
        vec!["bundle in referrer 6432434e9aa9", SIGN, "index"],
        vec!["bundle in referrer fc7eaa7565e3", SIGN, "66c9483b6de0"],
        vec!["simple-signing in tag 877d020a9b0b", "index"],
    ];
    (attestations, signatures)
}

#[test]
fn the_kitchen_sink_says_of_each_piece_what_leads_to_it_or_why_it_does_not_count() {
    // (refused: platform-missing, unsigned) An unmet demand has looked everywhere, so that all of it is in the report.
    let Some(root) = fixtures() else { return };
    let demands = ["--type", "spdx", "--type", "slsa-provenance", "--type", "openvex", "--type", "signature"];
    let report = verify(&root, &key(&root), "kitchen-sink", None, &demands).exits(1).json();
    let (mut attestations, mut signatures) = signed_in_the_kitchen_sink();
    let mut found: Vec<Vec<String>> = report["attestations"].as_array().unwrap().iter().map(links).collect();
    found.sort();
    attestations.sort_unstable();
    assert_eq!(found, attestations);
    let mut found: Vec<Vec<String>> = report["signatures"].as_array().unwrap().iter().map(links).collect();
    found.sort();
    signatures.sort_unstable();
    assert_eq!(found, signatures);
    let both = report["attestations"].as_array().unwrap().iter().chain(report["signatures"].as_array().unwrap());
    both.for_each(|entry| bytes_are_those_of(&[root.join("images/kitchen-sink")], &entry["chain"]));
    // Six of the eight are signed. The other two are BuildKit's for the other platform. The file that oras attached is
    // neither evidence nor a rejection.
    let mut refused: Vec<_> = report["rejections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["code"].as_str().unwrap(), entry["predicate_type"].as_str().unwrap()))
        .collect();
    refused.sort_unstable();
    assert_eq!(refused, [("unsigned", SLSA_1), ("unsigned", SPDX)]);
    let status = texts(&report["requirements"], "status");
    assert_eq!(status, ["unmet", "unmet", "met", "met"]);
    let used: Vec<_> = texts(&report["signatures"], "form");
    let meeting = report["requirements"][3]["signatures"].as_array().unwrap().iter();
    let meeting: Vec<&str> =
        meeting.map(|place| used[usize::try_from(place.as_u64().unwrap()).unwrap()].as_str()).collect();
    assert_eq!(meeting, ["bundle", "simple-signing"], "the one over the attestation manifest is none of the image");
}

#[test]
fn a_statement_that_somebody_else_keeps_is_led_to_from_a_signature_over_its_manifest() {
    // (accepted) Docker's hardened images: the evidence is in a second place, each manifest signed by simple signing.
    let Some(root) = fixtures() else { return };
    let second = Some("dhi-referrers");
    let demands = ["--type", "spdx", "--type", "slsa-provenance", "--type", "openvex"];
    let report = verify(&root, &key(&root), "dhi-image", second, &demands).succeeds().json();
    let mut types = Vec::new();
    for requirement in report["requirements"].as_array().unwrap() {
        let [place] = requirement["attestations"].as_array().unwrap().as_slice() else { panic!("{requirement}") };
        let entry = &report["attestations"][usize::try_from(place.as_u64().unwrap()).unwrap()];
        let chain = entry["chain"].as_array().unwrap();
        let kinds: Vec<&str> = chain.iter().map(|link| link["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["signature", "attestation-manifest", "layer", "statement", "subject"]);
        assert_eq!((&chain[0]["form"], &chain[0]["layout"]), (&json!("simple-signing"), &json!("referrer")));
        assert_eq!((&chain[1]["digest"], &chain[2]["digest"]), (&entry["manifest"], &entry["document"]));
        assert_eq!((&chain[1]["digest"], &chain[4]["covers"]), (&entry["through"], &json!(["image"])));
        assert_eq!(chain[2]["media_type"], "application/vnd.in-toto+json");
        types.push(chain[3]["predicate_type"].as_str().unwrap());
        let folders = [root.join("images/dhi-image"), root.join("images/dhi-referrers")];
        bytes_are_those_of(&folders, &entry["chain"]);
    }
    assert_eq!(types, [SPDX, SLSA_1, VEX_DHI]);
    let human = about("verify", &root, "dhi-image", second, &[&["--key", &key(&root)], &demands[..]].concat());
    let human = human.succeeds().text();
    for words in [
        "chain  simple signing sha256:",
        "→ manifest sha256:",
        "→ layer sha256:",
        "→ statement, OpenVEX",
        "→ image sha256:",
    ] {
        assert!(human.contains(words), "{words}\n{human}");
    }
    assert!(human.lines().all(|line| line.chars().count() <= 80 || line.contains(" (key sha256:")), "{human}");
    // Without the second place there is nothing.
    let report = verify(&root, &key(&root), "dhi-image", None, &demands).exits(1).json();
    assert_eq!((&report["attestations"], &report["rejections"]), (&json!([]), &json!([])));
}

#[test]
fn a_signature_over_an_attestation_manifest_is_none_of_the_image() {
    // (refused: attestation-missing)
    let Some(root) = fixtures() else { return };
    for (image, second) in [("dhi-image", Some("dhi-referrers")), ("buildkit-signed-attestation-manifest", None)] {
        let report = verify(&root, &key(&root), image, second, &["--type", "signature"]).exits(1).json();
        assert_eq!(report["requirements"][0]["code"], "attestation-missing", "{image}");
        assert_eq!(report["requirements"][0]["status"], "unmet", "{image}");
    }
}

#[test]
fn statements_that_nobody_signed_are_refused_as_unsigned() {
    // (refused: unsigned)
    let Some(root) = fixtures() else { return };
    for (image, second, _, rows) in IMAGES {
        if rows.iter().any(|row| row.3) {
            continue;
        }
        for (uri, ..) in rows {
            let report = verify(&root, &key(&root), image, second, &["--type", uri]).exits(1).json();
            assert_eq!(report["verdict"], "refused", "{image} {uri}");
            let failed = texts(&report["requirements"][0]["candidates"], "failed_check");
            let expected = rows.iter().filter(|row| row.0 == *uri).count();
            assert_eq!(failed, vec!["unsigned"; expected], "{image} {uri}");
        }
    }
}

#[test]
fn an_image_without_attestations_is_refused() {
    // (refused: attestation-missing)
    let Some(root) = fixtures() else { return };
    for wanted in ["spdx", "signature"] {
        let report = verify(&root, &key(&root), "buildkit-plain-noattest", None, &["--type", wanted]).exits(1).json();
        assert_eq!(report["requirements"][0]["code"], "attestation-missing");
        assert_eq!(report["requirements"][0]["candidates"], json!([]));
    }
}

#[test]
fn a_statement_without_subjects_never_verifies() {
    // (refused: subject-empty)
    let Some(root) = fixtures() else { return };
    let scratch = Scratch::new();
    let folder = scratch.copy(&root.join("images/buildkit-noname-max-v1"), "image");
    let (image, key) = (oci(&folder), scratch.path("signer.pub"));
    let verify = |more: &[&str]| {
        let common = ["verify", &image, "--key", &key, "--type", "slsa-provenance", "--output", "json"];
        attestry(common.into_iter().chain(more.iter().copied())).exits(1).json()
    };
    let failed = |report: &Value| texts(&report["requirements"][0]["candidates"], "failed_check");
    assert_eq!(failed(&verify(&[])), ["unsigned"]);
    // Not even when the manifest that lists it is signed.
    let listed = attestry(["list", &image, "--output", "json"]).succeeds().json();
    let manifest = Digest::parse(listed["attestations"][0]["manifest"].as_str().unwrap()).unwrap();
    let bytes = fs::read(folder.join("blobs/sha256").join(manifest.hex())).unwrap();
    let manifest_file = scratch.write("manifest.json", bytes);
    let bundle = scratch.path("bundle.json");
    let private = scratch.path("signer.key");
    attestry(["sign-blob", &manifest_file, "--key", &private, "--to", &bundle]).succeeds();
    put_referrer(&folder, &manifest, &fs::read(&bundle).unwrap());
    let report = verify(&[]);
    assert_eq!(failed(&report), ["subject-empty"]);
    // Nor when the whole is attested: the statement of the index is another one.
    assert_eq!(failed(&verify(&["--through", "index"])), ["subject-empty"]);
}

/// Hangs a bundle on a manifest of a layout by hand, as a foreign tool would.
fn put_referrer(folder: &Path, subject: &Digest, bundle: &[u8]) {
    let blobs = folder.join("blobs/sha256");
    let put = |bytes: &[u8]| {
        let digest = Digest::sha256(bytes);
        fs::write(blobs.join(digest.hex()), bytes).unwrap();
        digest
    };
    let size = fs::metadata(blobs.join(subject.hex())).unwrap().len();
    let bundle_type = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": bundle_type,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": put(b"{}"), "size": 2},
        "layers": [{"mediaType": bundle_type, "digest": put(bundle), "size": bundle.len()}],
        "subject": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": subject, "size": size},
    });
    put(manifest.to_string().as_bytes());
}

/// Every manifest of the kitchen sink that holds signed evidence, and nothing else.
const EVIDENCE: [(&str, &[&str], &str); 7] = [
    ("b5ad5d33ef14aa8c5160e6b6a170c8c51b7eba26f6f253db1ee4fb4f94fadc77", &["openvex"], "a bundle on the index"),
    ("6432434e9aa9963f8405c2138bacd900d5c982b95f9f1ab0f4860d7fc41a9cc2", &["signature"], "a signature bundle"),
    ("d3a9410d66ceb1f16b402d9bb7d5ba1735a0055b5ba3253830019f951825431d", &["spdx"], "a bundle on a platform"),
    (
        "fc7eaa7565e32ed72fe9958d65732333e0e6b0bb2ef089b77f2485c2ee1e49f7",
        &["spdx", "slsa-provenance"],
        "over a manifest",
    ),
    ("877d020a9b0b9fd6f8fa33e71320f2654e19c6d83c515c0e92695e650220560d", &["signature"], "`.sig`"),
    ("47a0fc2cc0bbcb38eed43cb7b027a3cf1c19d7247b8abb4e4219cd0012f61a7a", &["slsa-provenance"], "`.att` on a platform"),
    ("ea3019d9b683c394e5e9548b3963eeaf30cc08e6bfd27b5762168bafea160d30", &["openvex"], "`.att` on the index"),
];

/// The kitchen sink with one piece of evidence left. What has a subject is found by that alone.
fn kitchen_sink_with(root: &Path, scratch: &Scratch, kept: &str, name: &str) -> PathBuf {
    let folder = scratch.copy(&root.join("images/kitchen-sink"), name);
    for (manifest, ..) in EVIDENCE {
        if manifest != kept {
            fs::remove_file(folder.join("blobs/sha256").join(manifest)).unwrap();
        }
    }
    let path = folder.join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let entries = index["manifests"].as_array_mut().unwrap();
    entries.retain(|entry| {
        let image = entry["annotations"]["org.opencontainers.image.ref.name"] == "all";
        image || entry["digest"].as_str().unwrap().ends_with(kept)
    });
    fs::write(&path, index.to_string()).unwrap();
    folder
}

#[test]
fn each_signed_document_verifies_when_it_is_all_there_is() {
    // (accepted) and (refused: attestation-missing, platform-missing)
    let Some(root) = fixtures() else { return };
    let scratch = Scratch::new();
    for (manifest, types, what) in EVIDENCE {
        let image = oci(&kitchen_sink_with(&root, &scratch, manifest, manifest));
        for wanted in ["openvex", "spdx", "slsa-provenance", "signature"] {
            let expected = i32::from(!types.contains(&wanted));
            let of = ["--type", wanted, "--platform", AMD64, "--output", "json"];
            for (key, expected) in [(key(&root), expected), (scratch.path("stranger.pub"), 1)] {
                let ran = attestry(["verify", &image, "--key", &key].into_iter().chain(of));
                assert_eq!(ran.code, Some(expected), "{what}: {wanted}\n{}{}", ran.text(), ran.stderr);
            }
        }
    }
    let image = oci(&kitchen_sink_with(&root, &scratch, "nothing", "nothing"));
    for wanted in ["openvex", "spdx", "slsa-provenance", "signature"] {
        let key = key(&root);
        attestry(["verify", &image, "--key", &key, "--type", wanted, "--platform", AMD64]).exits(1);
    }
}

#[test]
fn a_changed_byte_in_any_signed_document_refuses_it() {
    // (refused: digest-mismatch)
    let Some(root) = fixtures() else { return };
    let scratch = Scratch::new();
    for (manifest, types, what) in EVIDENCE {
        let folder = kitchen_sink_with(&root, &scratch, manifest, manifest);
        let blobs = folder.join("blobs/sha256");
        let parsed: Value = serde_json::from_slice(&fs::read(blobs.join(manifest)).unwrap()).unwrap();
        let layer = Digest::parse(parsed["layers"][0]["digest"].as_str().unwrap()).unwrap();
        let path = blobs.join(layer.hex());
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        for wanted in types {
            let key = key(&root);
            let of = ["--type", wanted, "--platform", AMD64, "--output", "json"];
            let ran = attestry(["verify", &oci(&folder), "--key", &key].into_iter().chain(of)).exits(1);
            let codes = texts(&ran.json()["rejections"], "code");
            assert!(codes.contains(&"digest-mismatch".to_owned()), "{what}: {codes:?}");
        }
    }
}

#[test]
fn a_bare_statement_gives_its_predicate() {
    // (accepted)
    let Some(root) = fixtures() else { return };
    let part = |part: &str| {
        let more = ["--type", "spdx", "--part", part];
        about("download", &root, "buildkit-sbom-max-v1-artifact", None, &more).succeeds().stdout
    };
    let predicate: Value = serde_json::from_slice(&part("predicate")).unwrap();
    let statement: Value = serde_json::from_slice(&part("statement")).unwrap();
    assert_eq!(predicate["spdxVersion"], "SPDX-2.3");
    assert_eq!(statement["predicateType"], SPDX);
    assert_eq!(statement["predicate"], predicate);
    assert_eq!(part("document"), part("statement"));
    let absent = about("download", &root, "buildkit-sbom-max-v1-artifact", None, &["--type", "openvex"]).exits(1);
    assert!(absent.stderr.contains("error[type-absent]"), "{}", absent.stderr);
}

#[test]
fn a_download_from_the_second_place_and_of_a_tag_gives_the_predicate() {
    // (accepted)
    let Some(root) = fixtures() else { return };
    for (image, second, wanted, file) in [
        ("dhi-image", Some("dhi-referrers"), "spdx", "spdx.json"),
        ("dhi-image", Some("dhi-referrers"), "openvex", "vex.json"),
        ("dhi-image", Some("dhi-referrers"), "slsa-provenance", "prov.json"),
    ] {
        let ran = about("download", &root, image, second, &["--type", wanted]).succeeds();
        let expected = fs::read(root.join("predicates").join(file)).unwrap();
        assert_eq!(ran.json(), serde_json::from_slice::<Value>(&expected).unwrap(), "{wanted}");
    }
    let tag = "sha256:ea3019d9b683c394e5e9548b3963eeaf30cc08e6bfd27b5762168bafea160d30";
    let ran = about("download", &root, "kitchen-sink", None, &["--type", "openvex", "--select", tag]).succeeds();
    let expected = fs::read(root.join("predicates/vex.json")).unwrap();
    assert_eq!(ran.json(), serde_json::from_slice::<Value>(&expected).unwrap());
}

#[test]
fn a_signed_attestation_manifest_does_not_grow() {
    // (refused: attestation-manifest-signed)
    let Some(root) = fixtures() else { return };
    let scratch = Scratch::new();
    let folder = scratch.copy(&root.join("images/kitchen-sink"), "image");
    let (image, key, predicate) = (oci(&folder), scratch.path("signer.key"), root.join("predicates/spdx.json"));
    let predicate = predicate.display().to_string();
    let attest = |platform: &str| {
        let common = ["attest", &image, "--predicate", &predicate, "--type", "spdx", "--key", &key, "--output", "json"];
        attestry(common.into_iter().chain(["--layout", CHILD, "--platform", platform]))
    };
    let before = files(&folder);
    let refused = attest(AMD64).exits(1);
    assert!(refused.stderr.contains("error[attestation-manifest-signed]"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--layout referrer"), "{}", refused.stderr);
    assert!(files(&folder) == before);
    // Nothing signs that of the other platform, which grows; the index's own signatures stay behind. (accepted)
    let report = attest(ARM64).succeeds().json();
    let warnings = texts(&report["warnings"], "code");
    assert_eq!(warnings, ["index-digest-changes", "index-signature-orphaned"]);
    let list = attestry(["list", &image, "--platform", ARM64, "--output", "json"]).succeeds().json();
    let signed = list["attestations"].as_array().unwrap().iter().map(|entry| entry["signed"].as_bool().unwrap());
    assert_eq!(signed.collect::<Vec<_>>(), [false, false, true]);
    let stranger = scratch.path("stranger.pub");
    let public = scratch.path("signer.pub");
    let of = ["--type", "spdx", "--platform", ARM64];
    attestry(["verify", &image, "--key", &public].into_iter().chain(of)).succeeds();
    attestry(["verify", &image, "--key", &stranger].into_iter().chain(of)).exits(1);
}

#[test]
fn a_digest_beside_a_moved_tag_counts_and_the_move_is_told() {
    let Some(fixtures) = fixtures() else { return };
    let layout = fixtures.join("images/kitchen-sink");
    let platform = "sha256:269827ed17378c7b37d6a2247b3d1d1ef82508bbd54b18c808771b303dff6d9f";
    for command in ["list", "inspect"] {
        let ran = attestry([command.to_owned(), format!("oci:{}:all@{platform}", layout.display())]).succeeds();
        assert!(ran.stderr.contains("note: tag all names sha256:365ca2bc14c3"), "{}", ran.stderr);
        assert!(ran.text().starts_with(&format!("oci:{}:all@sha256:269827ed1737", layout.display())), "{}", ran.text());
    }
}

#[test]
fn a_place_that_keeps_evidence_alone_says_which_image_it_is_about() {
    let Some(fixtures) = fixtures() else { return };
    let place = format!("oci:{}", fixtures.join("images/dhi-referrers").display());
    for command in ["list", "inspect"] {
        let ran = attestry([command.to_owned(), place.clone()]).exits(3);
        assert!(ran.stderr.contains("about: sha256:269827ed17378c7b"), "{}", ran.stderr);
        assert!(ran.stderr.contains("--referrers-from"), "{}", ran.stderr);
    }
}
