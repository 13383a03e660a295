//! What is asked of a registry to find evidence, and how many times.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use attestry::attach::{DocumentKind, Evidence, plan_referrer};
use attestry::content::{Blob, Content};
use attestry::crypto::SigningKey;
use attestry::intoto::{Statement, Subject};
use attestry::job::{self, Source, VerifyRequest, sign_statement};
use attestry::limits::Limits;
use attestry::media_type::{MediaType, PredicateType};
use attestry::oci::{Descriptor, Manifest, Platform, annotations, artifact_manifest, new_index};
use attestry::policy::{Cover, Requirement, Scope, Wanted};
use attestry::predicate::TypeSelector;
use attestry::reference::{Selector, Tag};
use attestry::store::{Memory, Store};
use attestry::verify::Verifier;
use serde_json::{Value, json};

use crate::support::command::{Scratch, attestry};
use crate::support::image::{Place, wait};
use crate::support::registry::{Faults, TestRegistry};

const SPDX: &str = "https://spdx.dev/Document";

/// An image with so many attestations of one type as referrers, on a registry that has just forgotten all requests.
struct Crowd {
    place: Place,
    scratch: Scratch,
    image: String,
}

impl Crowd {
    fn of(number: usize, annotated: bool) -> Self {
        let (place, scratch) = (Place::in_process(), Scratch::new());
        let image = place.push_single("1");
        let key = SigningKey::generate_p256().unwrap();
        scratch.write("signer.pub", key.public_key().to_pem());
        scratch.write("stranger.pub", SigningKey::generate_p256().unwrap().public_key().to_pem());
        let store = place.store();
        wait(async {
            for number in 0..number {
                attach(&*store, &image, &key, &format!("{{\"number\":{number}}}"), annotated).await;
            }
        });
        let image = place.tagged("1");
        let crowd = Self { place, scratch, image };
        crowd.registry().forget();
        crowd
    }

    fn registry(&self) -> &TestRegistry {
        match &self.place {
            Place::InProcess(server) => server,
            _ => unreachable!("a crowd is in process"),
        }
    }

    fn list(&self, more: &[&str]) -> Value {
        let common = ["list", &self.image, "--output", "json"];
        attestry(common.into_iter().chain(more.iter().copied())).succeeds().json()
    }

    fn verify(&self, key: &str) -> crate::support::command::Ran {
        attestry(["verify", &self.image, "--key", &self.scratch.path(key), "--type", "spdx", "--output", "json"])
    }

    /// The requests since the last call.
    fn requests(&self) -> Vec<String> {
        let lines = self.registry().seen().into_iter().map(|seen| seen.line).collect();
        self.registry().forget();
        lines
    }
}

fn bundle_about(image: &Manifest, key: &SigningKey, predicate: &str) -> Blob {
    let subject = Subject::new(None, image.digest());
    let predicate = Content::from(predicate.to_owned());
    let statement = Statement::new(vec![subject], PredicateType::new(SPDX), &predicate);
    let bundle = sign_statement(&statement, key, &Limits::default()).unwrap();
    Blob::new(MediaType::SIGSTORE_BUNDLE_V03, bundle.to_content()).unwrap()
}

async fn attach(store: &dyn Store, image: &Manifest, key: &SigningKey, predicate: &str, annotated: bool) {
    let limits = Limits::default();
    let blob = bundle_about(image, key, predicate);
    let predicate_type = annotated.then(|| PredicateType::new(SPDX));
    let evidence = Evidence::new(blob, predicate_type, DocumentKind::Bundle);
    let now = "2026-11-01T00:00:00Z".parse().unwrap();
    let plan = plan_referrer(&image.descriptor(), &evidence, now, &limits).unwrap();
    job::apply(&plan, store, &limits).await.unwrap();
}

fn assert_each_once(requests: &[String]) {
    let distinct: BTreeSet<&String> = requests.iter().collect();
    assert_eq!(distinct.len(), requests.len(), "asked twice: {requests:?}");
}

/// A listing without what only documents and manifests tell.
fn without_documents(mut report: Value) -> Value {
    for entry in report["attestations"].as_array_mut().unwrap() {
        for member in ["document", "size", "signers"] {
            entry[member] = Value::Null;
        }
    }
    report
}

#[test]
fn listing_two_hundred_referrers_takes_four_requests() {
    // (accepted)
    let crowd = Crowd::of(200, true);
    let listed = crowd.list(&[]);
    let requests = crowd.requests();
    assert_eq!(requests.len(), 4, "{requests:?}");
    assert_eq!(listed["attestations"].as_array().unwrap().len(), 200);
    assert_eq!(listed["coverage"][0]["parts"][0]["signed"], 200);
    // Reading all of it tells the same, and more.
    let detailed = crowd.list(&["--detail"]);
    assert!(detailed["attestations"][199]["document"].is_string());
    assert!(detailed["attestations"][199]["signers"][0].as_str().unwrap().starts_with("key "));
    assert_eq!(without_documents(listed), without_documents(detailed));
    let requests = crowd.requests();
    assert_eq!(requests.len(), 4 + 200 + 200);
    assert_each_once(&requests);
}

#[test]
fn an_entry_that_does_not_tell_its_type_is_fetched() {
    // (accepted)
    let crowd = Crowd::of(3, false);
    let listed = crowd.list(&[]);
    assert_eq!(listed["coverage"][0]["kind"], "spdx", "{listed}");
    // The manifest, and the document in it: nothing else says what it is.
    let requests = crowd.requests();
    assert_eq!(requests.len(), 4 + 3 + 3, "{requests:?}");
}

#[test]
fn verify_stops_once_its_demands_are_met_and_asks_for_nothing_twice() {
    // (accepted) and (refused: attestation-missing)
    let crowd = Crowd::of(200, true);
    crowd.verify("signer.pub").succeeds();
    let requests = crowd.requests();
    assert_each_once(&requests);
    assert!(requests.len() < 2 + 3 * 32, "{} requests", requests.len());
    // Nobody's key: everything was looked at, each manifest and document once, and two tags.
    let report = crowd.verify("stranger.pub").exits(1).json();
    assert_eq!(report["rejections"].as_array().unwrap().len(), 200);
    let requests = crowd.requests();
    assert_each_once(&requests);
    assert_eq!(requests.len(), 2 + 200 + 200 + 2);
}

#[test]
fn a_thousand_referrers_are_listed_and_searched_to_the_end() {
    // (accepted)
    let crowd = Crowd::of(1_000, true);
    let listed = crowd.list(&[]);
    assert_eq!(listed["attestations"].as_array().unwrap().len(), 1_000);
    // One of them counts, wherever it stands.
    let key = SigningKey::generate_p256().unwrap();
    crowd.scratch.write("late.pub", key.public_key().to_pem());
    let store = crowd.place.store();
    wait(async {
        let image = store.manifest(&Selector { tag: Some(Tag::parse("1").unwrap()), digest: None }).await.unwrap();
        attach(&*store, &image, &key, "{\"late\":true}", true).await;
    });
    crowd.verify("late.pub").succeeds();
    let report = crowd.verify("stranger.pub").exits(1).json();
    assert_eq!(report["rejections"].as_array().unwrap().len(), 1_001);
}

#[test]
fn a_document_that_several_manifests_list_is_fetched_once() {
    // (accepted)
    let crowd = Crowd::of(1, true);
    let store = crowd.place.store();
    let known = crowd.list(&["--detail"])["attestations"][0].clone();
    wait(async {
        let image = store.manifest(&Selector { tag: Some(Tag::parse("1").unwrap()), digest: None }).await.unwrap();
        let layer = Descriptor::new(
            MediaType::SIGSTORE_BUNDLE_V03,
            attestry::digest::Digest::parse(known["document"].as_str().unwrap()).unwrap(),
            known["size"].as_u64().unwrap(),
        );
        for seed in ["a", "b"] {
            let notes = BTreeMap::from([("seed".to_owned(), seed.to_owned())]);
            let subject = image.descriptor();
            let blob = artifact_manifest(
                &MediaType::SIGSTORE_BUNDLE_V03,
                std::slice::from_ref(&layer),
                Some(&subject),
                &notes,
            );
            store.push_manifest(&Manifest::read(blob, &Limits::default()).unwrap()).await.unwrap();
        }
    });
    crowd.registry().forget();
    let report = crowd.verify("signer.pub").succeeds().json();
    assert_eq!(report["attestations"].as_array().unwrap().len(), 1);
    let requests = crowd.requests();
    assert_eq!(requests.iter().filter(|line| line.contains("/blobs/")).count(), 1, "{requests:?}");
}

#[test]
fn addresses_in_descriptors_are_never_followed() {
    // (refused: attestation-missing)
    let crowd = Crowd::of(0, true);
    let trap = TestRegistry::start(Faults::default());
    let key = SigningKey::generate_p256().unwrap();
    crowd.scratch.write("signer.pub", key.public_key().to_pem());
    let store = crowd.place.store();
    wait(async {
        let image = store.manifest(&Selector { tag: Some(Tag::parse("1").unwrap()), digest: None }).await.unwrap();
        // A good bundle that is not here, and an address where it is.
        let bundle = bundle_about(&image, &key, "{}");
        trap.put_blob(bundle.digest(), &bundle.bytes(1 << 20).unwrap());
        let address = format!("{}/v2/app/blobs/{}", trap.origin(), bundle.digest());
        let subject = serde_json::to_value(image.descriptor()).unwrap();
        let mut layer = serde_json::to_value(Descriptor::of(&bundle)).unwrap();
        layer["urls"] = json!([address]);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OCI_MANIFEST,
            "artifactType": MediaType::SIGSTORE_BUNDLE_V03,
            "config": Descriptor::of(&Blob::of_bytes(MediaType::OCI_EMPTY, &b"{}"[..])),
            "layers": [layer],
            "subject": subject,
        });
        crowd.registry().put_manifest(None, MediaType::OCI_MANIFEST.as_str(), manifest.to_string().as_bytes());
    });
    // The document is not in the registry: nobody can say what it would have shown.
    let report = crowd.verify("signer.pub").exits(3).json();
    assert_eq!(report["rejections"][0]["code"], "not-found");
    assert!(trap.seen().is_empty(), "{:?}", trap.seen());
}

#[test]
fn what_was_not_kept_within_the_bound_is_fetched_again_when_it_is_listed_again() {
    // (refused: attestation-missing)
    let crowd = Crowd::of(1, true);
    let store = crowd.place.store();
    let stranger = SigningKey::generate_p256().unwrap();
    let requirement = spdx_by(&stranger);
    for (remembered_bytes, downloads) in [(Limits::default().remembered_bytes, 1), (0, 2)] {
        let limits = Limits { remembered_bytes, ..Limits::default() };
        let verifier = Verifier::new([stranger.public_key().clone()], &limits);
        wait(async {
            let selector = Selector { tag: Some(Tag::parse("1").unwrap()), digest: None };
            let image = store.manifest(&selector).await.unwrap();
            let entries = store.referrers(image.digest()).await.unwrap();
            let first = store.manifest_at(&entries[0]).await.unwrap();
            // The same document again, under a type that nobody asked for: it is looked at last.
            let other = "https://openvex.dev/ns".to_owned();
            let notes = BTreeMap::from([(annotations::BUNDLE_PREDICATE_TYPE.to_owned(), other)]);
            let (layers, subject) = (&first.as_image().unwrap().layers, image.descriptor());
            let blob = artifact_manifest(&MediaType::SIGSTORE_BUNDLE_V03, layers, Some(&subject), &notes);
            store.push_manifest(&Manifest::read(blob, &limits).unwrap()).await.unwrap();
            crowd.registry().forget();
            let requirements = std::slice::from_ref(&requirement);
            let request = VerifyRequest { root: &image, verifier: &verifier, requirements, scope: &Scope::All };
            let verified = job::verify(&request, &Source::new(&*store, &limits)).await;
            assert_eq!(verified.collected.rejections.len(), 2);
        });
        let requests = crowd.requests();
        assert_eq!(requests.iter().filter(|line| line.contains("/blobs/")).count(), downloads, "{requests:?}");
    }
}

fn spdx_by(key: &SigningKey) -> Requirement {
    Requirement {
        id: "sbom".to_owned(),
        wanted: Wanted::Types(vec![TypeSelector::parse("spdx").unwrap()]),
        keys: vec![key.public_key().fingerprint()],
        threshold: NonZeroUsize::MIN,
        cover: Cover::Inherited,
        through_index: false,
    }
}

#[tokio::test]
async fn demands_are_not_met_before_every_index_inside_the_image_was_read() {
    // (refused: platform-missing)
    let limits = Limits::default();
    let store = Memory::new(&limits);
    let key = SigningKey::generate_p256().unwrap();
    let read = |blob: Blob| Manifest::read(blob, &limits).unwrap();
    let make = |seed: &str| {
        let notes = BTreeMap::from([("seed".to_owned(), seed.to_owned())]);
        read(artifact_manifest(&MediaType::new("x/y"), &[], None, &notes))
    };
    let (covered, hidden) = (make("covered"), make("hidden"));
    let inner = read(new_index(&[hidden.descriptor()], &BTreeMap::new()));
    // More attestation manifests than are looked at in one go stand before the index that hides a part.
    let mut children = vec![Descriptor { platform: Some("linux/amd64".parse().unwrap()), ..covered.descriptor() }];
    let bundle = bundle_about(&covered, &key, "{}");
    store.push_blob(&bundle).await.unwrap();
    for number in 0..100 {
        let notes = BTreeMap::from([("seed".to_owned(), number.to_string())]);
        let layer = Descriptor::of(&bundle);
        let manifest = read(artifact_manifest(&MediaType::new("x/y"), &[layer], None, &notes));
        store.push_manifest(&manifest).await.unwrap();
        let child = manifest
            .descriptor()
            .annotated(annotations::REFERENCE_TYPE, annotations::ATTESTATION_MANIFEST)
            .annotated(annotations::REFERENCE_DIGEST, covered.digest().to_string());
        children.push(Descriptor { platform: Some(Platform::unknown()), ..child });
    }
    children.push(inner.descriptor());
    let root = read(new_index(&children, &BTreeMap::new()));
    for manifest in [&covered, &hidden, &inner, &root] {
        store.push_manifest(manifest).await.unwrap();
    }
    let requirement = spdx_by(&key);
    let verifier = Verifier::new([key.public_key().clone()], &limits);
    let accepted = async |requirements: &[Requirement]| {
        let request = VerifyRequest { root: &root, verifier: &verifier, requirements, scope: &Scope::All };
        job::verify(&request, &Source::new(&store, &limits)).await.verdict.is_accepted()
    };
    assert!(!accepted(std::slice::from_ref(&requirement)).await);
    attach(&store, &hidden, &key, "{}", true).await;
    assert!(accepted(&[requirement]).await);
}
