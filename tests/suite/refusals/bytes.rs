//! One changed bit, anywhere in a signed image.

use std::num::NonZeroUsize;
use std::path::Path;

use attestry::job::{self, JobError, Source, Verified, VerifyRequest};
use attestry::limits::Limits;
use attestry::policy::{Cover, Requirement, Scope, Wanted};
use attestry::predicate::TypeSelector;
use attestry::reference::{Selector, Tag};
use attestry::store::Layout;
use attestry::verify::Verifier;

use super::scene::{Scene, TYPE, text};
use crate::support::program::{is_full, tree};

/// Verifies in this process, which is a hundred times faster than a process for each bit.
async fn verify(root: &Path, verifier: &Verifier, requirement: &Requirement) -> Result<Verified, JobError> {
    let limits = Limits::default();
    let store = Layout::open(root, &limits)?;
    let selector = Selector { tag: Some(Tag::parse("1").unwrap()), digest: None };
    let requirements = std::slice::from_ref(requirement);
    let root = job::resolve(&store, &selector).await?;
    let request = VerifyRequest { root: &root, verifier, requirements, scope: &Scope::All };
    Ok(job::verify(&request, &Source::new(&store, &limits)).await)
}

fn requirement(verifier: &Verifier) -> Requirement {
    Requirement {
        id: "one".to_owned(),
        wanted: Wanted::Types(vec![TypeSelector::parse(TYPE).unwrap()]),
        keys: verifier.keys().iter().map(attestry::crypto::PublicKey::fingerprint).collect(),
        threshold: NonZeroUsize::MIN,
        cover: Cover::Inherited,
        through_index: false,
    }
}

/// What a file of the layout is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// Read on the way to the verdict and bound by a digest: no bit of it may change.
    Bound,
    /// The image's layer and configuration, and the artifact's empty configuration: verification reads none of them.
    Unread,
    /// `oci-layout` and `index.json` are bound by nothing, and the fallback tag's list is not the only way to a
    /// referrer: they may change what is found, never what counts.
    Unbound,
}

#[tokio::test]
async fn no_changed_bit_of_the_evidence_is_accepted() {
    // (refused: digest-mismatch, …)
    let scene = Scene::new();
    assert_eq!(scene.attest_with(&scene.at("team.key"), &[]).code, 0);
    let verifier = Verifier::new([scene.team.public_key().clone()], &Limits::default());
    let requirement = requirement(&verifier);
    let root = scene.root();
    let whole = verify(&root, &verifier, &requirement).await.unwrap();
    assert!(whole.verdict.is_accepted());
    let evidence = whole.collected.evidence.attestations[0].location().clone();
    let listing = format!("sha256-{}", whole.image.digest().hex());
    let index = std::fs::read_to_string(root.join("index.json")).unwrap();
    assert!(index.contains(&listing), "the fallback tag is written");
    let role = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let bound = [whole.image.digest().hex(), evidence.manifest.hex(), evidence.layer.hex()].contains(&name);
        let content = std::fs::read_to_string(path).unwrap();
        match () {
            () if bound => Role::Bound,
            () if name.len() < 64 || content.contains("\"manifests\":[") => Role::Unbound,
            () => Role::Unread,
        }
    };
    let mut counts = std::collections::BTreeMap::new();
    for (path, content) in tree(&root) {
        let Some(content) = content else { continue };
        let role = role(&path);
        *counts.entry(role).or_insert(0) += 1;
        let bits: Vec<usize> = if is_full() { (0..8).collect() } else { vec![0] };
        for (at, bit) in (0..content.len()).flat_map(|at| bits.iter().map(move |bit| (at, (bit + at) % 8))) {
            let mut changed = content.clone();
            changed[at] ^= 1 << bit;
            std::fs::write(&path, &changed).unwrap();
            let result = verify(&root, &verifier, &requirement).await;
            let Ok(answer) = result else {
                assert_ne!(role, Role::Unread, "byte {at} of {path:?} is not read");
                continue;
            };
            let accepted = answer.verdict.is_accepted();
            assert!(!accepted || role != Role::Bound, "bit {bit} of byte {at} of {path:?} was accepted");
            assert!(accepted || role != Role::Unread, "bit {bit} of byte {at} of {path:?} is not read");
            if accepted {
                // Through the same image and the same evidence, byte for byte.
                let attestation = &answer.collected.evidence.attestations[0];
                assert_eq!(answer.image.digest(), whole.image.digest());
                assert_eq!(attestation.location().layer, evidence.layer);
                assert_eq!(attestation.location().manifest, evidence.manifest);
            }
        }
        std::fs::write(&path, &content).unwrap();
    }
    // Image, referrer, bundle; layer, configuration, empty configuration; oci-layout, index.json, fallback list.
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(Role::Bound, 3), (Role::Unread, 3), (Role::Unbound, 3)]);
}

#[test]
fn the_program_answers_like_the_library_to_changed_bytes() {
    // (refused: digest-mismatch)
    let scene = Scene::new();
    assert_eq!(scene.attest_with(&scene.at("team.key"), &[]).code, 0);
    let report = scene.verify(&[]);
    let attestation = &report.accepted().json["attestations"][0];
    let files = [(&scene.image["digest"], 3), (&attestation["manifest"], 1), (&attestation["document"], 1)];
    for (digest, code) in files {
        let path = scene.root().join("blobs").join(text(digest).replace(':', "/"));
        let content = std::fs::read(&path).unwrap();
        for at in [0, content.len() / 2, content.len() - 1] {
            let mut changed = content.clone();
            changed[at] ^= 1;
            std::fs::write(&path, changed).unwrap();
            let report = scene.verify(&[]);
            assert_eq!(report.ended.code, code, "byte {at} of {digest}: {report:#?}");
            if code == 1 {
                report.refused("attestation-missing", Some("digest-mismatch"));
            } else {
                report.ended.says(3, "digest-mismatch");
            }
        }
        std::fs::write(&path, content).unwrap();
    }
    scene.verify(&[]).accepted();
}
