//! Attacks on `verify`, each as somebody would try it who can write to the registry and has no trusted key.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use attestry::attach::{DocumentKind, Evidence, plan_referrer};
use attestry::code::Code;
use attestry::content::{Blob, Content};
use attestry::crypto::{MessageDigests, SigningKey};
use attestry::digest::{Digest, DigestAlgorithm};
use attestry::dsse::{self, Envelope, EnvelopeSignature};
use attestry::intoto::{Statement, Subject};
use attestry::job::{self, EvidenceFiles, Source, Verified, VerifyRequest, sign_blob, sign_statement};
use attestry::limits::Limits;
use attestry::location::{EvidenceLayout, Location};
use attestry::media_type::{MediaType, PayloadType, PredicateType};
use attestry::oci::{Descriptor, Manifest, Platform, annotations, artifact_manifest, new_index};
use attestry::policy::{Cover, Requirement, Scope, Status, Wanted};
use attestry::predicate::TypeSelector;
use attestry::reference::Tag;
use attestry::sigstore::BundleContent;
use attestry::store::{Expected, Memory, Store};
use attestry::verify::{AttachedContent, ImageSignature, VerifiedStatement, Verifier};
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

    /// A simple-signing payload that the owner of the key signed, as a layer.
    async fn simple_signing(&self, payload: String) -> Descriptor {
        let blob = Blob::of_bytes(MediaType::COSIGN_SIMPLE_SIGNING, payload);
        self.store.push_blob(&blob).await.unwrap();
        let bundle = sign_blob(&blob, &self.key, &self.limits).unwrap();
        let BundleContent::Message(message) = bundle.content() else { panic!("a message signature") };
        let signature = base64::engine::general_purpose::STANDARD.encode(&message.signature);
        Descriptor::of(&blob).annotated(annotations::COSIGN_SIGNATURE, signature)
    }

    /// A manifest with these layers that hangs on another one.
    async fn hang(&self, layer: Descriptor, on: &Manifest) -> Manifest {
        let subject = on.descriptor();
        let manifest = artifact_manifest(&MediaType::COSIGN_SIGNATURE, &[layer], Some(&subject), &BTreeMap::new());
        let manifest = self.read(manifest);
        self.store.push_manifest(&manifest).await.unwrap();
        manifest
    }

    /// An envelope that the owner of the key signed, as a layer.
    async fn envelope(&self, payload_type: PayloadType, payload: Content) -> Descriptor {
        let message = dsse::pae(&payload_type, &payload).read_all().unwrap();
        let signature = self.key.sign(&MessageDigests::of(&message)).unwrap();
        let signatures = vec![EnvelopeSignature { keyid: None, signature }];
        let envelope = Envelope::new(payload_type, payload, signatures).to_content();
        let blob = Blob::new(MediaType::DSSE_ENVELOPE, envelope).unwrap();
        self.store.push_blob(&blob).await.unwrap();
        Descriptor::of(&blob)
    }

    /// Puts a manifest under one of cosign's tags of an image.
    async fn tag(&self, image: &Manifest, suffix: &str, manifest: &Manifest) {
        self.store.push_manifest(manifest).await.unwrap();
        self.store.tag(manifest, &Tag::of_cosign(image.digest(), suffix), &Expected::Any).await.unwrap();
    }

    /// The codes of what was looked at and does not count.
    async fn rejected(&self, root: &Manifest, wanted: Wanted) -> Vec<Code> {
        let verified = self.verify(root, wanted, Scope::All).await;
        assert!(!verified.verdict.is_accepted());
        verified.collected.rejections.iter().map(|rejection| rejection.code).collect()
    }

    async fn verify(&self, root: &Manifest, wanted: Wanted, scope: Scope) -> Verified {
        let requirement = Requirement {
            id: "demand".to_owned(),
            wanted,
            keys: vec![self.key.public_key().fingerprint()],
            threshold: NonZeroUsize::MIN,
            cover: Cover::Inherited,
            through_index: false,
        };
        let verifier = Verifier::new([self.key.public_key().clone()], &self.limits);
        let request = VerifyRequest { root, verifier: &verifier, requirements: &[requirement], scope: &scope };
        job::verify(&request, &Source::new(&self.store, &self.limits)).await
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
        let layer = world.simple_signing(text).await;
        world.hang(layer, &leaf).await;
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

/// What cosign 2 writes about a manifest.
fn payload(about: &Manifest) -> String {
    format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"registry.example/app"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
        about.digest()
    )
}

#[tokio::test]
async fn a_simple_signing_payload_of_another_type_signs_no_image() {
    // (refused: predicate-type-mismatch) The signature is good and the digest is right.
    let other = |word: &str, text: &str| text.replacen(word, "another", 1);
    for (word, accepted) in [("", true), ("container image signature", false), ("cosign", false), ("type", false)] {
        let world = World::new();
        let leaf = world.image("leaf").await;
        let text = payload(&leaf);
        let text = if word.is_empty() { text } else { other(word, &text) };
        let layer = world.simple_signing(text).await;
        world.hang(layer, &leaf).await;
        if accepted {
            assert!(world.accepts(&leaf, Wanted::ImageSignature, Scope::All).await);
        } else {
            assert_eq!(world.rejected(&leaf, Wanted::ImageSignature).await, [Code::PredicateTypeMismatch], "{word}");
        }
    }
}

#[tokio::test]
async fn a_simple_signing_payload_about_another_manifest_signs_that_one() {
    // (refused: subject-mismatch) Of another image, and over an attestation manifest.
    let world = World::new();
    let (leaf, other) = (world.image("leaf").await, world.image("other").await);
    let layer = world.simple_signing(payload(&other)).await;
    world.hang(layer.clone(), &leaf).await;
    assert_eq!(world.rejected(&leaf, Wanted::ImageSignature).await, [Code::SubjectMismatch]);
    world.hang(layer, &other).await;
    assert!(world.accepts(&other, Wanted::ImageSignature, Scope::All).await);
    let world = World::new();
    let leaf = world.image("leaf").await;
    let statement = (MediaType::IN_TOTO, world.statement(&leaf).payload().clone());
    let carrier = world.artifact("carrier", &[statement], Some(&leaf.descriptor())).await;
    let layer = world.simple_signing(payload(&leaf)).await;
    world.hang(layer, &carrier).await;
    assert_eq!(world.rejected(&leaf, sbom()).await, [Code::SubjectMismatch, Code::Unsigned]);
    let layer = world.simple_signing(payload(&carrier)).await;
    world.hang(layer, &carrier).await;
    assert!(world.accepts(&leaf, sbom(), Scope::All).await);
}

#[tokio::test]
async fn a_tag_that_was_moved_from_another_image_gives_it_nothing() {
    // (refused: subject-mismatch) `.att` and `.sig` are copied as they are, under the name of another digest.
    let world = World::new();
    let (good, evil) = (world.image("good").await, world.image("evil").await);
    let attestation = world.envelope(PayloadType::IN_TOTO, world.statement(&good).payload().clone()).await;
    let attestations = world.read(artifact_manifest(&MediaType::new("x/y"), &[attestation], None, &BTreeMap::new()));
    let signature = world.simple_signing(payload(&good)).await;
    let signatures = world.read(artifact_manifest(&MediaType::new("x/y"), &[signature], None, &BTreeMap::new()));
    for image in [&good, &evil] {
        world.tag(image, "att", &attestations).await;
        world.tag(image, "sig", &signatures).await;
    }
    for wanted in [sbom(), Wanted::ImageSignature] {
        assert!(world.accepts(&good, wanted.clone(), Scope::All).await);
        assert_eq!(world.rejected(&evil, wanted).await, [Code::SubjectMismatch; 2]);
    }
}

#[tokio::test]
async fn an_annotation_that_lies_about_the_type_lends_none() {
    // (refused: attestation-missing) A signed statement of one type is kept as if it were of the demanded one.
    let world = World::new();
    let leaf = world.image("leaf").await;
    let statement = Statement::new(
        vec![Subject::new(None, leaf.digest())],
        PredicateType::new("https://openvex.dev/ns"),
        &Content::from("{}"),
    );
    let layer = world.envelope(PayloadType::IN_TOTO, statement.payload().clone()).await;
    let layer = layer.annotated(annotations::COSIGN_PREDICATE_TYPE, SPDX).annotated(annotations::PREDICATE_TYPE, SPDX);
    let manifest = world.read(artifact_manifest(&MediaType::new("x/y"), &[layer], None, &BTreeMap::new()));
    world.tag(&leaf, "att", &manifest).await;
    assert!(world.rejected(&leaf, sbom()).await.is_empty());
    let openvex = Wanted::Types(vec![TypeSelector::parse("openvex").unwrap()]);
    assert!(world.accepts(&leaf, openvex, Scope::All).await);
}

#[tokio::test]
async fn an_envelope_of_a_simple_signing_payload_is_no_evidence() {
    // (refused: payload-type-unsupported) The payload is right, and signed as what it is.
    let world = World::new();
    let leaf = world.image("leaf").await;
    let payload_type = PayloadType::new(MediaType::COSIGN_SIMPLE_SIGNING.as_str());
    let layer = world.envelope(payload_type, Content::from(payload(&leaf))).await;
    world.hang(layer, &leaf).await;
    for wanted in [sbom(), Wanted::ImageSignature] {
        assert_eq!(world.rejected(&leaf, wanted).await, [Code::PayloadTypeUnsupported]);
    }
}

/// A signature over a manifest's bytes by the trusted key, as `verify` makes it.
fn signature_over(world: &World, manifest: &Manifest) -> ImageSignature {
    let bundle = sign_blob(manifest.blob(), &world.key, &world.limits).unwrap();
    let blob = Blob::new(MediaType::SIGSTORE_BUNDLE_V03, bundle.to_content()).unwrap();
    let content = AttachedContent::read(&blob, &Descriptor::of(&blob), &world.limits).unwrap();
    let location = Location {
        layout: EvidenceLayout::Referrer,
        seen: vec![EvidenceLayout::Referrer],
        manifest: manifest.digest().clone(),
        layer: blob.digest().clone(),
        hangs_on: manifest.digest().clone(),
        file: None,
    };
    let verifier = Verifier::new([world.key.public_key().clone()], &world.limits);
    verifier.verify_image_signature(&content, &blob, manifest.digest(), Some(manifest.bytes()), &location).unwrap()
}

#[tokio::test]
async fn a_statement_counts_through_a_manifest_only_with_the_digest_and_size_that_it_lists() {
    // (accepted; refused: unsigned, subject-mismatch) The signature over the manifest is good each time.
    let world = World::new();
    let leaf = world.image("leaf").await;
    let statement = world.statement(&leaf);
    let layer = Blob::new(MediaType::IN_TOTO, statement.payload().clone()).unwrap();
    let listed = Descriptor::of(&layer);
    let carrier =
        |listed: Descriptor| world.read(artifact_manifest(&MediaType::new("x/y"), &[listed], None, &BTreeMap::new()));
    let through = |manifest: &Manifest, signed: &Manifest| {
        let signature = signature_over(&world, signed);
        let verified = VerifiedStatement::assert_through_manifest(statement.clone(), &layer, manifest, &signature);
        verified.map(|_| ()).map_err(|error| error.code())
    };
    let good = carrier(listed.clone());
    assert_eq!(through(&good, &good), Ok(()));
    let other_size = carrier(Descriptor { size: listed.size + 1, ..listed.clone() });
    assert_eq!(through(&other_size, &other_size), Err(Code::Unsigned));
    let other_layer = carrier(Descriptor::new(MediaType::IN_TOTO, leaf.digest().clone(), listed.size));
    assert_eq!(through(&other_layer, &other_layer), Err(Code::Unsigned));
    let an_image = carrier(Descriptor { media_type: MediaType::new("application/x-layer"), ..listed });
    assert_eq!(through(&an_image, &an_image), Err(Code::Unsigned));
    assert_eq!(through(&good, &other_size), Err(Code::SubjectMismatch));
}

#[tokio::test]
async fn a_statement_counts_through_an_index_only_when_that_lists_its_manifest_as_evidence() {
    // (accepted; refused: unsigned, subject-mismatch)
    let world = World::new();
    let leaf = world.image("leaf").await;
    let statement = world.statement(&leaf);
    let layer = Blob::new(MediaType::IN_TOTO, statement.payload().clone()).unwrap();
    let layers = [Descriptor::of(&layer)];
    let carrier = world.read(artifact_manifest(&MediaType::new("x/y"), &layers, None, &BTreeMap::new()));
    let index = |child: Descriptor| world.read(new_index(&[on(&leaf, "linux/amd64"), child], &BTreeMap::new()));
    let through = |index: &Manifest, signed: &Manifest| {
        let signature = signature_over(&world, signed);
        let statement = statement.clone();
        let verified = VerifiedStatement::assert_through_index(statement, &layer, &carrier, index, &signature);
        verified.map(|_| ()).map_err(|error| error.code())
    };
    let child = as_attestation(&carrier, &leaf);
    let good = index(child.clone());
    assert_eq!(through(&good, &good), Ok(()));
    let other_size = index(Descriptor { size: child.size + 1, ..child.clone() });
    let other_child = index(Descriptor { size: child.size, ..as_attestation(&leaf, &leaf) });
    let no_evidence = index(on(&carrier, "linux/arm64"));
    for index in [&other_size, &other_child, &no_evidence] {
        assert_eq!(through(index, index), Err(Code::Unsigned));
    }
    for signed in [&other_size, &carrier, &leaf] {
        assert_eq!(through(&good, signed), Err(Code::SubjectMismatch));
    }
}

#[tokio::test]
async fn a_signature_over_an_attestation_manifest_that_is_kept_in_many_ways_makes_one_attestation() {
    // (accepted) One envelope, wrapped in a bundle and bare, under a tag and as referrers, ten times over.
    let world = World::new();
    let leaf = world.image("leaf").await;
    let statement = (MediaType::IN_TOTO, world.statement(&leaf).payload().clone());
    let carrier = world.artifact("carrier", &[statement], Some(&leaf.descriptor())).await;
    let subject = Subject::new(None, carrier.digest());
    let sign = PredicateType::new("https://sigstore.dev/cosign/sign/v1");
    let sign = Statement::new(vec![subject], sign, &Content::from("{}"));
    let envelope = world.envelope(PayloadType::IN_TOTO, sign.payload().clone()).await;
    let bundle = sign_statement(&sign, &world.key, &world.limits).unwrap().to_content();
    for copy in 0..10 {
        let layer = (MediaType::SIGSTORE_BUNDLE_V03, bundle.clone());
        world.artifact(&copy.to_string(), &[layer], Some(&carrier.descriptor())).await;
        world.hang(envelope.clone().annotated("copy", copy.to_string()), &carrier).await;
    }
    let tagged = world.read(artifact_manifest(&MediaType::new("x/y"), &[envelope], None, &BTreeMap::new()));
    world.tag(&carrier, "sig", &tagged).await;
    // An unmet demand has looked everywhere.
    let verified = world.verify(&leaf, Wanted::ImageSignature, Scope::All).await;
    assert!(!verified.verdict.is_accepted());
    let evidence = &verified.collected.evidence;
    assert_eq!((evidence.attestations.len(), evidence.signatures.len()), (1, 3));
}

/// What is verified with evidence in a file beside the image.
async fn verify_with_file(world: &World, root: &Manifest, wanted: Wanted, documents: &[Content]) -> Verified {
    let mut files = EvidenceFiles::default();
    for (number, document) in documents.iter().enumerate() {
        files.add(&format!("{number}.json"), document, &world.limits).unwrap();
    }
    let requirement = Requirement {
        id: "demand".to_owned(),
        wanted,
        keys: vec![world.key.public_key().fingerprint()],
        threshold: NonZeroUsize::MIN,
        cover: Cover::Inherited,
        through_index: false,
    };
    let verifier = Verifier::new([world.key.public_key().clone()], &world.limits);
    let scope = Scope::All;
    let request = VerifyRequest { root, verifier: &verifier, requirements: &[requirement], scope: &scope };
    let source = Source { files: Some(&files), ..Source::new(&world.store, &world.limits) };
    job::verify(&request, &source).await
}

#[tokio::test]
async fn evidence_that_is_at_hand_before_all_indexes_were_read_is_not_judged_too_early() {
    // (accepted) In a file and in the outer index, about an image three indexes deep.
    let world = World::new();
    let leaf = world.image("leaf").await;
    let inner = world.index(&[on(&leaf, "linux/amd64")]).await;
    let between = world.index(&[inner.descriptor()]).await;
    let root = world.index(&[between.descriptor()]).await;
    let bundle = sign_statement(&world.statement(&leaf), &world.key, &world.limits).unwrap().to_content();
    let verified = verify_with_file(&world, &root, sbom(), std::slice::from_ref(&bundle)).await;
    assert!(verified.verdict.is_accepted(), "{:?}", verified.collected.rejections);
    let carrier = world.artifact("carrier", &[(MediaType::SIGSTORE_BUNDLE_V03, bundle)], None).await;
    let root = world.index(&[between.descriptor(), as_attestation(&carrier, &leaf)]).await;
    assert!(world.accepts(&root, sbom(), Scope::All).await);
}

#[tokio::test]
async fn a_signature_in_a_file_over_a_platform_is_tried_with_the_bytes_of_that_platform() {
    // (accepted; undecided while the bytes cannot be read) A message signature, and a statement by SHA-512.
    let world = World::new();
    let leaf = world.image("leaf").await;
    let message = sign_blob(leaf.blob(), &world.key, &world.limits).unwrap().to_content();
    let subject = Subject::new(None, &Digest::of(DigestAlgorithm::Sha512, leaf.bytes()));
    let sign = PredicateType::new("https://sigstore.dev/cosign/sign/v1");
    let statement = Statement::new(vec![subject], sign, &Content::from("{}"));
    let statement = sign_statement(&statement, &world.key, &world.limits).unwrap().to_content();
    let root = world.index(&[on(&leaf, "linux/amd64")]).await;
    let documents = [message, statement];
    for document in &documents {
        let verified = verify_with_file(&world, &root, Wanted::ImageSignature, std::slice::from_ref(document)).await;
        assert!(verified.verdict.is_accepted(), "{:?}", verified.collected.rejections);
    }
    let absent = World { store: Memory::new(&world.limits), ..world };
    absent.store.push_manifest(&root).await.unwrap();
    for document in documents {
        let verified = verify_with_file(&absent, &root, Wanted::ImageSignature, &[document]).await;
        assert!(!verified.verdict.is_accepted() && verified.undecided, "{:?}", verified.collected.rejections);
    }
}

#[tokio::test]
async fn a_document_in_a_file_lends_no_size_to_a_manifest_that_lies_about_it() {
    // (refused: size-mismatch) As in a store, whatever else has the document.
    let world = World::new();
    let leaf = world.image("leaf").await;
    let bundle = sign_statement(&world.statement(&leaf), &world.key, &world.limits).unwrap().to_content();
    let blob = Blob::new(MediaType::SIGSTORE_BUNDLE_V03, bundle.clone()).unwrap();
    world.store.push_blob(&blob).await.unwrap();
    let lie = Descriptor { size: 1, ..Descriptor::of(&blob) };
    world.hang(lie, &leaf).await;
    // An unmet demand has looked everywhere.
    let verified = verify_with_file(&world, &leaf, Wanted::ImageSignature, &[bundle]).await;
    let attestations = &verified.collected.evidence.attestations;
    let seen: Vec<_> = attestations.iter().map(|known| known.location().seen.as_slice()).collect();
    assert_eq!(seen, [[EvidenceLayout::File]]);
    let rejected: Vec<Code> = verified.collected.rejections.iter().map(|rejection| rejection.code).collect();
    assert_eq!(rejected, [Code::SizeMismatch]);
}

#[tokio::test]
async fn a_signing_statement_in_a_file_signs_all_attestation_manifests_that_it_names() {
    // (accepted) One of them is found at once and the other, whose annotation calls it something else, at last.
    let world = World::new();
    let leaf = world.image("leaf").await;
    let vex = Statement::new(
        vec![Subject::new(None, leaf.digest())],
        PredicateType::new("https://openvex.dev/ns"),
        &Content::from("{}"),
    );
    let early = (MediaType::IN_TOTO, vex.payload().clone());
    let early = world.artifact("early", &[early], Some(&leaf.descriptor())).await;
    let late = Blob::new(MediaType::IN_TOTO, world.statement(&leaf).payload().clone()).unwrap();
    world.store.push_blob(&late).await.unwrap();
    let notes = BTreeMap::from([("in-toto.io/predicate-type".to_owned(), "https://example.com/other".to_owned())]);
    let subject = leaf.descriptor();
    let late = world.read(artifact_manifest(&MediaType::new("x/y"), &[Descriptor::of(&late)], Some(&subject), &notes));
    world.store.push_manifest(&late).await.unwrap();
    let sign = PredicateType::new("https://sigstore.dev/cosign/sign/v1");
    let subjects = [&early, &late, &leaf].map(|manifest| Subject::new(None, manifest.digest()));
    let sign = Statement::new(subjects.to_vec(), sign, &Content::from("{}"));
    let document = sign_statement(&sign, &world.key, &world.limits).unwrap().to_content();
    let verified = verify_with_file(&world, &leaf, sbom(), &[document]).await;
    assert!(verified.verdict.is_accepted(), "{:?}", verified.collected.rejections);
}

#[tokio::test]
async fn ten_thousand_copies_of_what_is_right_take_no_time_worth_naming() {
    // (refused: attestation-missing) Signed documents with more space in them, bare statements, and signatures elsewhere.
    let world = World::new();
    let leaf = world.image("leaf").await;
    let elsewhere = Subject::new(None, world.image("elsewhere").await.digest());
    let sign = PredicateType::new("https://sigstore.dev/cosign/sign/v1");
    let sign = Statement::new(vec![elsewhere], sign, &Content::from("{}"));
    let signed = sign_statement(&sign, &world.key, &world.limits).unwrap().to_content().read_all().unwrap();
    let good = sign_statement(&world.statement(&leaf), &world.key, &world.limits).unwrap().to_content();
    let good = good.read_all().unwrap();
    let spaced = |bytes: &[u8], number: usize| {
        let text = String::from_utf8(bytes.to_vec()).unwrap().trim_end().to_owned();
        format!("{}{}{}", &text[..1], " ".repeat(number), &text[1..])
    };
    let lines: Vec<String> = (0..1_000).flat_map(|number| [spaced(&good, number), spaced(&signed, number)]).collect();
    let lines = Content::from(lines.join("\n"));
    let statement = (MediaType::IN_TOTO, world.statement(&leaf).payload().clone());
    for number in 0..400 {
        let layers = vec![statement.clone(); 50];
        world.artifact(&number.to_string(), &layers, Some(&leaf.descriptor())).await;
    }
    let start = std::time::Instant::now();
    let verified = verify_with_file(&world, &leaf, Wanted::ImageSignature, &[lines]).await;
    assert!(!verified.verdict.is_accepted());
    assert_eq!(verified.collected.evidence.attestations.len(), 1_000);
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
