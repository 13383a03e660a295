//! Properties of the parsers: whatever the bytes, an answer; and what the corpora hold is read as their origin says.
//!
//! The bytes are real documents, made here, and changed by a generator that always does the same. `ATTESTRY_FULL` makes
//! the runs longer. The corpora are found through `ATTESTRY_CORPORA`, by default `../shared/corpora`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use attestry::content::{Blob, Content};
use attestry::crypto::{MessageDigests, PublicKey, SigningKey};
use attestry::digest::{Digest, DigestAlgorithm};
use attestry::dsse::Envelope;
use attestry::intoto::Statement;
use attestry::json::{self, Keep, Scanner};
use attestry::limits::Limits;
use attestry::location::{EvidenceLayout, Location};
use attestry::media_type::MediaType;
use attestry::oci::{Descriptor, LayoutIndex, Manifest, Platform, annotations};
use attestry::policy::Policy;
use attestry::predicate::TypeSelector;
use attestry::reference::{Reference, Tag};
use attestry::sigstore::{Bundle, BundleContent, CosignMaterial, VerificationMaterial};
use attestry::verify::{AttachedContent, Verifier};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::program::is_full;

/// Numbers that are always the same.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(below.max(1)).unwrap()).unwrap()
    }
}

/// Pieces that parsers stumble over.
const PIECES: [&[u8]; 24] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\0",
    b"\xff",
    b"\xc0\xaf",
    b"\n",
    b"-",
    b"1e999",
    b"18446744073709551616",
    b"null",
    b"=",
    b"@",
    b"/",
    b"..",
    b"\xef\xbb\xbf",
    b"sha256:",
];

/// A seed with one to four changes.
fn changed(numbers: &mut Numbers, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[numbers.next(seeds.len())].clone();
    for _ in 0..=numbers.next(4) {
        let at = numbers.next(bytes.len() + 1);
        let end = (at + 1 + numbers.next(16)).min(bytes.len());
        match numbers.next(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.next(8),
            1 if at < bytes.len() => bytes[at] = numbers.next(256).to_le_bytes()[0],
            2 => drop(bytes.splice(at..at, PIECES[numbers.next(PIECES.len())].iter().copied())),
            3 if at < end => drop(bytes.drain(at..end)),
            4 if at < end => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            5 => bytes.truncate(at),
            _ => {
                let other = &seeds[numbers.next(seeds.len())];
                let from = numbers.next(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}

/// Feeds a parser with changed seeds. Of the seeds all are taken; of what they become, some and not all.
fn always_answers(seeds: &[Vec<u8>], takes: impl Fn(&[u8]) -> bool) {
    let rounds = if is_full() { 200_000 } else { 20_000 };
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    for seed in seeds {
        assert!(takes(seed), "a seed is refused: {}", String::from_utf8_lossy(seed));
        for length in 0..seed.len().min(300) {
            takes(&seed[..length]);
        }
    }
    let taken = (0..rounds).filter(|_| takes(&changed(&mut numbers, seeds))).count();
    assert!(taken > 0 && taken < rounds, "{taken} of {rounds} are taken: nothing was tried");
}

fn key() -> SigningKey {
    SigningKey::generate_p256().unwrap()
}

fn private_pem(key: &SigningKey) -> String {
    let body = STANDARD.encode(&*key.to_pkcs8_der().unwrap());
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

fn digest() -> String {
    Digest::sha256(b"image").to_string()
}

fn statement() -> String {
    json!({
        "_type": "https://in-toto.io/Statement/v1", "predicateType": "https://spdx.dev/Document",
        "subject": [{"name": "a \u{e9}", "digest": {"sha256": Digest::sha256(b"image").hex(), "sha1": "00"}}],
        "predicate": {"packages": [{"name": "a\\b\"c", "n": [1.5e-3, -0, true, null, 12_345_678_901_234_567_u64]}]},
    })
    .to_string()
}

fn envelope() -> serde_json::Value {
    json!({
        "payload": STANDARD.encode(statement()), "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"keyid": "a", "sig": "QUJD"}],
    })
}

fn bundles() -> Vec<Vec<u8>> {
    let material = json!({"publicKey": {"hint": "h"}, "tlogEntries": [{}], "timestampVerificationData": {"rfc3161Timestamps": [{}]}});
    let chain = json!({"x509CertificateChain": {"certificates": [{"rawBytes": "QUJD"}]}});
    let message = json!({"messageDigest": {"algorithm": "SHA2_256", "digest": STANDARD.encode(Digest::sha256(b"").bytes())}, "signature": "QUJD"});
    [
        json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": material, "dsseEnvelope": envelope()}),
        json!({"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1", "verificationMaterial": chain, "messageSignature": message}),
    ]
    .map(|bundle| bundle.to_string().into_bytes())
    .into()
}

fn manifests() -> Vec<(MediaType, Vec<u8>)> {
    let descriptor = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(), "size": 7,
        "platform": {"os": "linux", "architecture": "arm", "variant": "v7", "os.version": "1", "os.features": ["a"]},
        "annotations": {"vnd.docker.reference.digest": digest(), "vnd.docker.reference.type": "attestation-manifest"},
    });
    let image = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "artifactType": "a/b", "config": descriptor,
        "layers": [descriptor, descriptor], "subject": descriptor, "annotations": {"a": "b"},
    });
    let index = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [descriptor], "x": [1.0]});
    vec![
        (MediaType::OCI_MANIFEST, image.to_string().into_bytes()),
        (MediaType::OCI_INDEX, index.to_string().into_bytes()),
    ]
}

#[test]
fn json_is_read_like_by_others_or_refused() {
    // (accepted and refused)
    let limits = Limits::default();
    let mut seeds: Vec<Vec<u8>> = bundles();
    seeds.extend(manifests().into_iter().map(|(_, bytes)| bytes));
    seeds.push(statement().into_bytes());
    seeds.push(br#"{"a":"\u00e9\ud83d\ude00\n\/","b":[[],{}],"c":-0.5E+2,"d":"\\"}"#.to_vec());
    always_answers(&seeds, |bytes| {
        let read = json::read(bytes, &limits);
        assert_eq!(read.is_ok(), json::check(bytes, &limits).is_ok(), "what is kept does not decide");
        // In pieces it is the same text.
        let mut scanner = Scanner::new(Keep::AllBut { members: &[], string_bytes: usize::MAX }, &limits);
        let fed = bytes.chunks(7).try_for_each(|piece| scanner.feed(piece));
        assert_eq!(fed.and_then(|()| scanner.finish()).is_ok(), read.is_ok(), "{}", String::from_utf8_lossy(bytes));
        // What we take, everybody takes: nobody else reads it differently.
        let others: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(bytes);
        assert!(read.is_err() || others.is_ok(), "{}", String::from_utf8_lossy(bytes));
        read.is_ok()
    });
}

#[test]
fn manifests_always_answer() {
    // (accepted and refused)
    let limits = Limits::default();
    for (media_type, seed) in manifests() {
        always_answers(&[seed], |bytes| {
            let read = Manifest::read(Blob::of_bytes(media_type.clone(), bytes.to_vec()), &limits);
            if let Ok(manifest) = &read {
                assert_eq!(&manifest.bytes()[..], bytes, "the bytes stay what they were");
                let child = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b"new"), 3);
                if let Some(index) = manifest.as_index() {
                    let grown = Blob::of_bytes(media_type.clone(), index.with_child(manifest.bytes(), &child));
                    let grown = Manifest::read(grown, &limits).unwrap();
                    assert_eq!(grown.as_index().unwrap().children().len(), index.children().len() + 1);
                }
                if let Some(image) = manifest.as_image() {
                    let grown = image.with_layers(manifest.bytes(), std::slice::from_ref(&child));
                    let grown = Manifest::read(Blob::of_bytes(media_type.clone(), grown), &limits).unwrap();
                    assert_eq!(grown.as_image().unwrap().layers.len(), image.layers.len() + 1);
                }
            }
            read.is_ok()
        });
    }
}

#[test]
fn a_layouts_index_always_answers() {
    // (accepted and refused)
    let entry = json!({
        "mediaType": MediaType::OCI_MANIFEST, "digest": digest(), "size": 7,
        "annotations": {"org.opencontainers.image.ref.name": "1"},
    });
    let seed = json!({"schemaVersion": 2, "manifests": [entry]}).to_string().into_bytes();
    always_answers(&[seed], |bytes| {
        let read = LayoutIndex::read(bytes.to_vec(), &Limits::default());
        if let Ok(index) = &read {
            let target = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b"new"), 3);
            let moved = LayoutIndex::read(index.with_tag("1", &target), &Limits::default()).unwrap();
            assert_eq!(moved.tagged("1").map(|entry| &entry.digest), Some(&target.digest));
        }
        read.is_ok()
    });
}

#[test]
fn envelopes_bundles_and_statements_always_answer() {
    // (accepted and refused)
    let limits = Limits::default();
    let content = |bytes: &[u8]| Content::from(bytes.to_vec());
    always_answers(&[envelope().to_string().into_bytes()], |bytes| Envelope::read(&content(bytes), &limits).is_ok());
    always_answers(&bundles(), |bytes| Bundle::read(&content(bytes), &limits).is_ok());
    let v01 = statement().replace("Statement/v1", "Statement/v0.1");
    always_answers(&[statement().into_bytes(), v01.into_bytes()], |bytes| {
        let read = Statement::read(&content(bytes), &limits);
        if let Ok(statement) = &read {
            assert_eq!(&statement.payload().read_all().unwrap()[..], bytes);
            let predicate = statement.predicate();
            assert!(predicate.is_none_or(|text| json::check(&text.read_all().unwrap(), &limits).is_ok()));
        }
        read.is_ok()
    });
}

#[test]
fn attached_documents_always_answer_and_never_verify_by_themselves() {
    // (refused)
    let limits = Limits::default();
    let simple = json!({"critical": {"type": "cosign container image signature", "image": {"docker-manifest-digest": digest()}}});
    let mut seeds = bundles();
    seeds.extend([envelope().to_string(), statement(), simple.to_string()].map(String::into_bytes));
    let verifier = Verifier::new([key().public_key().clone()], &limits);
    for media_type in [MediaType::SIGSTORE_BUNDLE_V03, MediaType::DSSE_ENVELOPE, MediaType::IN_TOTO] {
        always_answers(&seeds, |bytes| {
            let blob = Blob::of_bytes(media_type.clone(), bytes.to_vec());
            let mut layer = Descriptor::of(&blob);
            layer.annotations.insert("dev.cosignproject.cosign/signature".to_owned(), "QUJD".to_owned());
            let read = AttachedContent::read(&blob, &layer, &limits);
            if let Ok(content) = &read {
                let _ = content.unverified_statement(&limits);
                let about = Digest::sha256(b"image");
                let image = bytes::Bytes::from_static(b"image");
                let location = Location {
                    layout: EvidenceLayout::Referrer,
                    seen: vec![EvidenceLayout::Referrer],
                    manifest: about.clone(),
                    layer: about.clone(),
                    hangs_on: about.clone(),
                    file: None,
                };
                assert!(verifier.verify_image_signature(content, &blob, &about, Some(&image), &location).is_err());
                match content {
                    AttachedContent::Envelope(attached) => {
                        assert!(verifier.verify_envelope(attached.envelope(), &blob).is_err());
                    }
                    AttachedContent::Bundle(bundle) => assert!(verifier.verify_bundle(bundle, &blob).is_err()),
                    _ => {}
                }
            }
            read.is_ok()
        });
    }
}

/// A parser of text, which gets what of the bytes is text.
fn text_always_answers(seeds: &[&str], takes: impl Fn(&str) -> bool) {
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    always_answers(&seeds, |bytes| takes(&String::from_utf8_lossy(bytes)));
}

#[test]
fn references_and_their_parts_always_answer_and_read_back() {
    // (accepted and refused)
    let sha256 = digest();
    let sha512 = Digest::of(DigestAlgorithm::Sha512, b"image").to_string();
    text_always_answers(&[&sha256, &sha512], |text| {
        let read = Digest::parse(text);
        assert!(read.as_ref().is_ok_and(|digest| digest.to_string() == text) || read.is_err());
        read.is_ok()
    });
    let pinned = format!("registry.example:5000/team/app:1.2@{sha256}");
    let seeds =
        [&pinned, "app", "docker://[::1]:5000/a/b", "oci:some/folder:1.2", "ocidir://a@b", "oci-archive:a.tar:1"];
    for exists in [true, false] {
        text_always_answers(&seeds, |text| {
            let read = Reference::parse(text, &|_| exists);
            if let (Ok(reference), false) = (&read, exists) {
                let again = Reference::parse(&reference.to_string(), &|_| exists);
                assert_eq!(again.as_ref(), Ok(reference), "{text:?}");
            }
            read.is_ok()
        });
    }
    text_always_answers(&["1.2-rc_3", "sha256-00.att"], |text| {
        let read = Tag::parse(text);
        assert!(read.as_ref().is_ok_and(|tag| tag.as_str() == text && !tag.as_str().contains('/')) || read.is_err());
        read.is_ok()
    });
    text_always_answers(&["linux/amd64", "linux/arm/v7", "windows/amd64"], |text| {
        let read = text.parse::<Platform>();
        assert!(
            read.as_ref().is_ok_and(|platform| platform.to_string() == text && platform.matches(platform))
                || read.is_err()
        );
        read.is_ok()
    });
    text_always_answers(&["spdx", "https://spdx.dev/Document", "slsa-provenance"], |text| {
        TypeSelector::parse(text).is_ok()
    });
}

#[test]
fn policies_always_answer() {
    // (accepted and refused)
    let policy = "apiVersion: attestry/v1\nkind: Policy\nmetadata: {name: test}\nkeys:\n  team: {publicKey: team.pub}\n  \
                  both:\n    publicKeys: [a.pub, \"b.pub\"]\nimages:\n  - match: \"registry.example/**\"\n    platforms: \
                  [linux/amd64]\n    require:\n      - sbom: {signedBy: team, format: [spdx, cyclonedx], coverage: own}\n      - \
                  attestation: {type: \"https://example.com/x\", signedBy: [team, both], threshold: 2, through: index}\n";
    let limits = Limits::default();
    let is_type = |text: &str| TypeSelector::parse(text).is_ok();
    always_answers(&[policy.as_bytes().to_vec()], |bytes| match Policy::parse(bytes, &is_type, &limits) {
        Ok(_) => true,
        Err(error) => {
            assert!(!error.problems.is_empty(), "refused without a reason");
            assert!(error.problems.iter().all(|problem| problem.line >= 1 && problem.column >= 1), "{error:?}");
            false
        }
    });
}

#[test]
fn keys_always_answer_and_a_changed_key_is_another_key() {
    // (accepted and refused)
    let key = key();
    let other = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let public = key.public_key().to_pem();
    text_always_answers(&[&public, other], |text| {
        let read = PublicKey::from_pem(text);
        if let Ok(key) = &read {
            assert_eq!(PublicKey::from_pem(&key.to_pem()).as_ref(), Ok(key), "it reads back");
        }
        read.is_ok()
    });
    text_always_answers(&[&private_pem(&key)], |text| {
        let read = SigningKey::from_pem(text, None);
        if let Ok(changed) = &read {
            // Whoever signs with it is told apart by it.
            let message = MessageDigests::of(b"message");
            let signature = changed.sign(&message).unwrap();
            assert!(changed.public_key().verify(&message, &signature).is_ok());
        }
        read.is_ok()
    });
    for label in
        ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY"]
    {
        let text = private_pem(&key).replace("PRIVATE KEY", label);
        assert!(SigningKey::from_pem(&text, None).is_err(), "{label}");
    }
}

/// A folder of the corpora, or `None` with a word about it.
pub(crate) fn corpus(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ATTESTRY_CORPORA").map_or_else(|| PathBuf::from("../shared/corpora"), PathBuf::from);
    let folder = root.join(name);
    let there = folder.is_dir();
    if !there {
        println!("skipped: corpus {name}: no such folder: {}", folder.display());
    }
    there.then_some(folder)
}

/// The files of a folder and below, by name, sorted.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for (path, content) in crate::support::program::tree(folder) {
        let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        found.extend(content.map(|content| (name, content)));
    }
    found
}

#[test]
fn the_json_test_suite_is_read_as_it_says() {
    // (accepted and refused)
    let Some(folder) = corpus("json-test-suite/test_parsing") else { return };
    // Right by the grammar, and refused by us: two readers would see two values.
    let refused = ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"];
    let mut counts: BTreeMap<(char, bool), usize> = BTreeMap::new();
    for (name, bytes) in files(&folder) {
        let taken = json::check(&bytes, &Limits::default()).is_ok();
        let kind = name.chars().next().unwrap();
        *counts.entry((kind, taken)).or_default() += 1;
        match kind {
            'y' => assert_eq!(taken, !refused.contains(&name.as_str()), "{name}"),
            'n' => assert!(!taken, "{name}"),
            _ => assert_eq!(kind, 'i', "{name}"),
        }
    }
    let expected = [(('i', false), 12), (('i', true), 5), (('n', false), 94), (('y', true), 48)];
    assert_eq!(counts, BTreeMap::from(expected));
}

#[test]
fn what_other_readers_take_in_several_ways_is_refused() {
    // (refused: json-duplicate-key, json-invalid)
    let Some(folder) = corpus("json-test-suite/test_transform") else { return };
    let mut counts = BTreeMap::new();
    for (name, bytes) in files(&folder) {
        let code = json::check(&bytes, &Limits::default()).map_err(|error| error.code().as_str()).err();
        let expected = match name.as_str() {
            name if name.contains("same_key") => Some("json-duplicate-key"),
            name if name.contains("invalid_codepoint") => Some("json-invalid"),
            _ => None,
        };
        assert_eq!(code, expected, "{name}");
        *counts.entry(code).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([(None, 5), (Some("json-duplicate-key"), 2), (Some("json-invalid"), 4)]));
}

/// How many documents of a folder are refused and taken.
fn score(folder: &Path, ending: &str, takes: impl Fn(&str, &Content) -> bool) -> (usize, usize) {
    let documents = files(folder).into_iter().filter(|(name, _)| name.ends_with(ending));
    let (taken, refused): (Vec<bool>, Vec<bool>) =
        documents.map(|(name, bytes)| takes(&name, &Content::from(bytes))).partition(|taken| *taken);
    (taken.len(), refused.len())
}

#[test]
fn the_envelope_of_the_dsse_specification_is_a_sketch_and_refused() {
    // (refused)
    let Some(folder) = corpus("dsse-spec-example") else { return };
    let takes = |_: &str, content: &Content| Envelope::read(content, &Limits::default()).is_ok();
    assert_eq!(score(&folder, ".json", takes), (0, 1));
}

#[test]
fn the_examples_of_the_in_toto_specification_are_read_where_they_are_statements() {
    // (accepted and refused)
    let Some(folder) = corpus("in-toto-spec-examples") else { return };
    let limits = Limits::default();
    let takes = |name: &str, content: &Content| {
        let text = content.read_all().unwrap();
        let is_statement = String::from_utf8_lossy(&text).contains("\"https://in-toto.io/Statement/");
        let read = Statement::read(content, &limits);
        if name.ends_with(".json") {
            assert!(json::check(&text, &limits).is_ok(), "{name}");
            assert_eq!(read.is_ok(), is_statement, "{name}: {:?}", read.err());
        }
        read.is_ok()
    };
    assert_eq!(score(&folder, ".json", takes), (7, 8));
    assert_eq!(score(&folder, ".jsonc", takes), (0, 16));
}

#[test]
fn annotations_of_cosign_always_answer() {
    // (refused)
    let certificate = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode([48, 0]));
    let payload = json!({
        "body": STANDARD.encode("{}"), "integratedTime": 1_700_000_000, "logIndex": 1, "logID": "0a".repeat(32),
    });
    let log_entry = json!({"SignedEntryTimestamp": STANDARD.encode("x"), "Payload": payload}).to_string();
    let timestamp = json!({"SignedRFC3161Timestamp": STANDARD.encode([48, 0])}).to_string();
    let limits = Limits::default();
    for (annotation, seed) in [
        (annotations::COSIGN_CERTIFICATE, certificate.clone()),
        (annotations::COSIGN_CHAIN, certificate.repeat(2)),
        (annotations::COSIGN_BUNDLE, log_entry),
        (annotations::COSIGN_TIMESTAMP, timestamp),
    ] {
        always_answers(&[seed.into_bytes()], |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let layer = Descriptor::new(MediaType::DSSE_ENVELOPE, Digest::sha256(b"x"), 1).annotated(annotation, text);
            let read = CosignMaterial::read(&layer, &limits);
            read.is_ok_and(|material| material != CosignMaterial::default())
        });
    }
}

#[test]
fn every_bundle_of_the_sigstore_conformance_suite_is_read() {
    // (accepted)
    let Some(folder) = corpus("sigstore-conformance/bundle-verify") else { return };
    let takes = |_: &str, content: &Content| Bundle::read(content, &Limits::default()).is_ok();
    // What is wrong with those that must be refused is what they say, not how it is written.
    assert_eq!(score(&folder, "bundle.sigstore.json", takes), (35, 0));
}

#[test]
fn foreign_bundles_of_managed_keys_verify_as_their_names_say() {
    // (accepted and refused)
    let Some(folder) = corpus("sigstore-conformance") else { return };
    let limits = Limits::default();
    let artifact = std::fs::read(folder.join("a.txt")).unwrap();
    let mut seen = Vec::new();
    for (name, bytes) in files(&folder.join("bundle-verify")) {
        let Some(case) = name.strip_suffix("/bundle.sigstore.json").filter(|case| case.starts_with("managed-key"))
        else {
            continue;
        };
        let key = std::fs::read_to_string(folder.join("bundle-verify").join(case).join("key.pub"));
        let verified = key.is_ok_and(|key| {
            let verifier = Verifier::new([PublicKey::from_pem(&key).unwrap()], &limits);
            let bundle = Bundle::read(&Content::from(bytes), &limits).unwrap();
            assert!(matches!(bundle.material(), VerificationMaterial::PublicKey { .. }));
            assert!(matches!(bundle.content(), BundleContent::Message(_)));
            let blob = Blob::of_bytes(MediaType::OCTET_STREAM, artifact.clone());
            verifier.verify_blob(&bundle, &blob).is_ok()
        });
        assert_eq!(verified, !case.ends_with("_fail"), "{case}");
        seen.push(verified);
    }
    assert_eq!(seen, [true, false]);
}
