//! Attacks on `verify`, each as somebody would try it who can write to the registry and has no trusted key.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use attestry::attach::{DocumentKind, Evidence, plan_referrer};
use attestry::code::Code;
use attestry::content::{Blob, Content};
use attestry::crypto::SigningKey;
use attestry::intoto::{Statement, Subject};
use attestry::job::{self, Source, Verified, VerifyRequest, sign_blob, sign_statement};
use attestry::limits::Limits;
use attestry::media_type::{MediaType, PredicateType};
use attestry::oci::{Descriptor, Manifest, Platform, annotations, artifact_manifest, new_index};
use attestry::policy::{Cover, Requirement, Scope, Status, Wanted};
use attestry::predicate::TypeSelector;
use attestry::reference::Selector;
use attestry::sigstore::BundleContent;
use attestry::store::{Memory, Store};
use attestry::verify::Verifier;
use base64::Engine as _;

const SPDX: &str = "https://spdx.dev/Document";

struct World {
    store: Memory,
    key: SigningKey,
    limits: Limits,
}

impl World {
    fn new() -> Self {
        let limits = Limits::default();
        Self { store: Memory::new(&limits), key: SigningKey::generate_p256().unwrap(), limits }
    }

    fn read(&self, blob: Blob) -> Manifest {
        Manifest::read(blob, &self.limits).unwrap()
    }

    async fn artifact(&self, seed: &str, layers: &[(MediaType, Content)], subject: Option<&Descriptor>) -> Manifest {
        let mut descriptors = Vec::new();
        for (media_type, content) in layers {
            let blob = Blob::new(media_type.clone(), content.clone()).unwrap();
            self.store.push_blob(&blob).await.unwrap();
            descriptors.push(Descriptor::of(&blob));
        }
        let notes = BTreeMap::from([("seed".to_owned(), seed.to_owned())]);
        let manifest = self.read(artifact_manifest(&MediaType::new("x/y"), &descriptors, subject, &notes));
        self.store.push_manifest(&manifest).await.unwrap();
        manifest
    }

    async fn image(&self, seed: &str) -> Manifest {
        self.artifact(seed, &[], None).await
    }

    async fn index(&self, children: &[Descriptor]) -> Manifest {
        let index = self.read(new_index(children, &BTreeMap::new()));
        self.store.push_manifest(&index).await.unwrap();
        index
    }

    fn statement(&self, about: &Manifest) -> Statement {
        let subject = Subject::new(None, about.digest());
        Statement::new(vec![subject], PredicateType::new(SPDX), &Content::from("{}"))
    }

    /// What the owner of the trusted key does.
    async fn attest(&self, about: &Manifest) {
        let bundle = sign_statement(&self.statement(about), &self.key, &self.limits).unwrap();
        let blob = Blob::new(MediaType::SIGSTORE_BUNDLE_V03, bundle.to_content()).unwrap();
        let evidence = Evidence::new(blob, None, DocumentKind::Bundle);
        let now = "2026-11-01T00:00:00Z".parse().unwrap();
        let plan = plan_referrer(&about.descriptor(), &evidence, now, &self.limits).unwrap();
        job::apply(&plan, &self.store, &self.limits).await.unwrap();
    }

    async fn verify(&self, root: &Manifest, wanted: Wanted, scope: Scope) -> Verified {
        let selector = Selector { tag: None, digest: Some(root.digest().clone()) };
        let requirement = Requirement {
            id: "demand".to_owned(),
            wanted,
            keys: vec![self.key.public_key().fingerprint()],
            threshold: NonZeroUsize::MIN,
            cover: Cover::Inherited,
            through_index: false,
        };
        let verifier = Verifier::new([self.key.public_key().clone()], &self.limits);
        let request =
            VerifyRequest { selector: &selector, verifier: &verifier, requirements: &[requirement], scope: &scope };
        let source = Source { store: &self.store, referrers_from: None, limits: &self.limits };
        job::verify(&request, &source).await.unwrap()
    }

    async fn accepts(&self, root: &Manifest, wanted: Wanted, scope: Scope) -> bool {
        self.verify(root, wanted, scope).await.verdict.is_accepted()
    }
}

fn sbom() -> Wanted {
    Wanted::Types(vec![TypeSelector::parse("spdx").unwrap()])
}

fn on(manifest: &Manifest, platform: &str) -> Descriptor {
    Descriptor { platform: Some(platform.parse().unwrap()), ..manifest.descriptor() }
}

fn as_attestation(manifest: &Manifest, about: &Manifest) -> Descriptor {
    let child = manifest
        .descriptor()
        .annotated(annotations::REFERENCE_TYPE, annotations::ATTESTATION_MANIFEST)
        .annotated(annotations::REFERENCE_DIGEST, about.digest().to_string());
    Descriptor { platform: Some(Platform::unknown()), ..child }
}

#[tokio::test]
async fn a_nested_index_that_cannot_be_read_does_not_take_its_images_out_of_the_demand() {
    // (accepted: without it; refused: platform-missing)
    let world = World::new();
    let good = world.image("good").await;
    world.attest(&good).await;
    let hidden = world.read(new_index(&[on(&world.image("evil").await, "linux/arm64")], &BTreeMap::new()));
    let root = world.index(&[on(&good, "linux/amd64")]).await;
    assert!(world.accepts(&root, sbom(), Scope::All).await);
    // Absent here; another size; another media type of the same bytes: a runtime may still run it.
    let root = world.index(&[on(&good, "linux/amd64"), hidden.descriptor()]).await;
    assert!(!world.accepts(&root, sbom(), Scope::All).await);
    world.store.push_manifest(&hidden).await.unwrap();
    for lie in [
        Descriptor { size: 1, ..hidden.descriptor() },
        Descriptor { media_type: MediaType::DOCKER_MANIFEST_LIST, ..hidden.descriptor() },
    ] {
        let root = world.index(&[on(&good, "linux/amd64"), lie]).await;
        assert!(!world.accepts(&root, sbom(), Scope::All).await);
    }
}

#[tokio::test]
async fn an_index_seen_as_an_attestation_manifest_first_is_still_entered_as_an_index() {
    // (refused: platform-missing)
    let world = World::new();
    let good = world.image("good").await;
    world.attest(&good).await;
    let hidden = world.index(&[on(&world.image("evil").await, "linux/arm64")]).await;
    let between = world.index(&[hidden.descriptor()]).await;
    let children = [as_attestation(&hidden, &good), between.descriptor(), on(&good, "linux/amd64")];
    let root = world.index(&children).await;
    assert!(!world.accepts(&root, sbom(), Scope::All).await);
}

#[tokio::test]
async fn an_index_that_lists_the_next_one_many_times_is_entered_once() {
    // (refused: attestation-missing) 60 × 60 × 60 leaves would be 216,000; a thousand each, 10⁹.
    let world = World::new();
    let leaf = world.image("leaf").await;
    let mut index = world.index(&vec![leaf.descriptor(); 60]).await;
    for _ in 0..2 {
        index = world.index(&vec![index.descriptor(); 60]).await;
    }
    let verified = world.verify(&index, sbom(), Scope::All).await;
    assert!(!verified.verdict.is_accepted());
    assert_eq!(verified.image.platforms().len(), 60);
}

#[tokio::test]
async fn a_signature_over_nothing_signs_no_manifest_whose_bytes_were_not_read() {
    // (refused) The owner of the key once signed an empty file.
    let world = World::new();
    let empty = Blob::of_bytes(MediaType::OCTET_STREAM, &b""[..]);
    let bundle = sign_blob(&empty, &world.key, &world.limits).unwrap().to_content();
    let signature = (MediaType::SIGSTORE_BUNDLE_V03, bundle);
    let leaf = world.image("evil").await;
    world.artifact("signature", std::slice::from_ref(&signature), Some(&leaf.descriptor())).await;
    let root = world.index(&[on(&leaf, "linux/amd64")]).await;
    assert!(!world.accepts(&root, Wanted::ImageSignature, Scope::All).await);
    // The same as a signature over an attestation manifest, which would make its statements count.
    let forged = (MediaType::IN_TOTO, world.statement(&leaf).payload().clone());
    let carrier = world.artifact("carrier", &[forged], None).await;
    let signs = world.artifact("signs", &[signature], None).await;
    let children = [on(&leaf, "linux/amd64"), as_attestation(&carrier, &leaf), as_attestation(&signs, &carrier)];
    let root = world.index(&children).await;
    assert!(!world.accepts(&root, sbom(), Scope::All).await);
}

#[tokio::test]
async fn a_message_signature_over_a_platform_signs_it() {
    // (accepted)
    let world = World::new();
    let leaf = world.image("leaf").await;
    let bundle = sign_blob(leaf.blob(), &world.key, &world.limits).unwrap().to_content();
    world.artifact("signature", &[(MediaType::SIGSTORE_BUNDLE_V03, bundle)], Some(&leaf.descriptor())).await;
    let root = world.index(&[on(&leaf, "linux/amd64")]).await;
    assert!(world.accepts(&root, Wanted::ImageSignature, Scope::All).await);
}

#[tokio::test]
async fn a_signed_image_vouches_for_no_statement_among_its_own_layers() {
    // (refused: unsigned) Somebody puts a statement about the other platform into an image that is signed as released.
    let world = World::new();
    let evil = world.image("evil").await;
    let statement = (MediaType::IN_TOTO, world.statement(&evil).payload().clone());
    let released = world.artifact("released", &[statement], None).await;
    let bundle = sign_blob(released.blob(), &world.key, &world.limits).unwrap().to_content();
    let signature = (MediaType::SIGSTORE_BUNDLE_V03, bundle);
    world.artifact("signature", &[signature], Some(&released.descriptor())).await;
    let children = [on(&evil, "linux/amd64"), on(&released, "linux/arm64"), as_attestation(&released, &evil)];
    let root = world.index(&children).await;
    assert!(!world.accepts(&root, sbom(), Scope::Platforms(vec!["linux/amd64".parse().unwrap()])).await);
}

#[tokio::test]
async fn a_good_signature_that_is_attached_again_and_again_is_one_signature() {
    // (accepted)
    let world = World::new();
    let leaf = world.image("leaf").await;
    let bundle = sign_blob(leaf.blob(), &world.key, &world.limits).unwrap().to_content();
    for copy in 0..20 {
        let layer = (MediaType::SIGSTORE_BUNDLE_V03, bundle.clone());
        world.artifact(&copy.to_string(), &[layer], Some(&leaf.descriptor())).await;
    }
    let verified = world.verify(&leaf, Wanted::ImageSignature, Scope::All).await;
    assert!(verified.verdict.is_accepted());
    assert_eq!(verified.collected.evidence.signatures.len(), 1);
}

#[tokio::test]
async fn a_signed_document_with_more_in_it_is_no_simple_signing_payload() {
    // (refused) The owner of the key signed somebody's JSON as a file.
    let world = World::new();
    let leaf = world.image("evil").await;
    let claim = format!(
        r#""critical":{{"type":"cosign container image signature","image":{{"docker-manifest-digest":"{}"}},"identity":{{"docker-reference":""}}}}"#,
        leaf.digest()
    );
    for (text, accepted) in [(format!("{{{claim}}}"), true), (format!(r#"{{"bomFormat":"CycloneDX",{claim}}}"#), false)]
    {
        let world =
            World { store: Memory::new(&world.limits), key: SigningKey::generate_p256().unwrap(), ..World::new() };
        world.store.push_manifest(&leaf).await.unwrap();
        let blob = Blob::of_bytes(MediaType::COSIGN_SIMPLE_SIGNING, text);
        world.store.push_blob(&blob).await.unwrap();
        let bundle = sign_blob(&blob, &world.key, &world.limits).unwrap();
        let BundleContent::Message(message) = bundle.content() else { panic!("a message signature") };
        let signature = base64::engine::general_purpose::STANDARD.encode(&message.signature);
        let layer = Descriptor::of(&blob).annotated(annotations::COSIGN_SIGNATURE, signature);
        let subject = leaf.descriptor();
        let manifest = artifact_manifest(&MediaType::COSIGN_SIGNATURE, &[layer], Some(&subject), &BTreeMap::new());
        world.store.push_manifest(&world.read(manifest)).await.unwrap();
        assert_eq!(world.accepts(&leaf, Wanted::ImageSignature, Scope::All).await, accepted);
    }
}

#[tokio::test]
async fn what_was_not_checked_is_said_of_every_signature_that_counts() {
    // (accepted) One bundle brings a log entry, the other a timestamp; neither is checked.
    let world = World::new();
    let leaf = world.image("leaf").await;
    let bundle = sign_blob(leaf.blob(), &world.key, &world.limits).unwrap().to_content().read_all().unwrap();
    let bundle = String::from_utf8(bundle.to_vec()).unwrap();
    for more in [r#""tlogEntries":[{}],"#, r#""timestampVerificationData":{"rfc3161Timestamps":[{}]},"#] {
        let text = bundle.replace(r#""verificationMaterial":{"#, &format!(r#""verificationMaterial":{{{more}"#));
        world.artifact(more, &[(MediaType::SIGSTORE_BUNDLE_V03, text.into())], Some(&leaf.descriptor())).await;
    }
    let verified = world.verify(&leaf, Wanted::ImageSignature, Scope::All).await;
    let Status::Met { unchecked, .. } = &verified.verdict.requirements()[0].status else { panic!("met") };
    assert!([Code::LogEntry, Code::Timestamp].iter().all(|code| unchecked.contains(code)), "{unchecked:?}");
}

#[tokio::test]
async fn an_image_that_does_not_say_its_platform_is_part_of_every_platform() {
    // (refused: platform-missing) Some clients take it for linux/amd64, and the first that matches.
    let world = World::new();
    let amd64 = || Scope::Platforms(vec!["linux/amd64".parse().unwrap()]);
    let good = world.image("good").await;
    world.attest(&good).await;
    let evil = world.image("evil").await;
    let root = world.index(&[on(&evil, "linux/arm64"), on(&good, "linux/amd64")]).await;
    assert!(world.accepts(&root, sbom(), amd64()).await);
    let unsaid = Descriptor { platform: Some(Platform::new("", "amd64", None)), ..evil.descriptor() };
    for child in [evil.descriptor(), unsaid, on(&evil, "Linux/AMD64/V1")] {
        let root = world.index(&[child, on(&good, "linux/amd64")]).await;
        assert!(!world.accepts(&root, sbom(), amd64()).await);
    }
    let root = world.index(&[good.descriptor()]).await;
    assert!(!world.accepts(&root, sbom(), amd64()).await, "nothing says that it is for linux/amd64");
}
