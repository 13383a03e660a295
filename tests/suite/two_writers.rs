//! Writers at once, in every layout: nothing that was told `done` is lost, and who loses leaves nothing behind.

use std::process::{Child, Command, Stdio};

use attestry::attach::{Form, WritePlan};
use attestry::content::{Blob, Content};
use attestry::crypto::SigningKey;
use attestry::digest::Digest;
use attestry::job::{self, AttestRequest, LayoutChoice, Signing, Source, Targets};
use attestry::limits::Limits;
use attestry::oci::{Descriptor, Manifest, PlatformManifest};
use attestry::predicate::{Predicate, TypeSelector};
use attestry::reference::{Selector, Tag};
use attestry::store::{Expected, Pushed, Removed, Store, StoreError};
use serde_json::{Value, json};

use crate::round_trip::{list, verify};
use crate::support::command::{PASSWORD, Scratch};
use crate::support::image::{Place, registries, wait};
use crate::support::registry::{Faults, TestRegistry};

const TYPE: &str = "https://example.com/review/v1";

/// Starts the program.
fn start(scratch: &Scratch, image: &str, number: usize, more: &[&str]) -> Child {
    let predicate = scratch.write(&format!("{number}.json"), format!("{{\"n\":{number}}}"));
    let key = scratch.path("signer.key");
    Command::new(env!("CARGO_BIN_EXE_attestry"))
        .args(["attest", image, "--predicate", &predicate, "--type", TYPE, "--key", &key])
        .args(more)
        .env("ATTESTRY_PASSWORD", PASSWORD)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Writers at once, all of which must succeed and be found.
fn all_succeed(place: &Place, layout: &str, writers: usize) {
    let scratch = Scratch::new();
    place.push_index(layout);
    let image = place.tagged(layout);
    let more = ["--layout", layout, "--platform", "linux/amd64"];
    let children: Vec<Child> = (0..writers).map(|number| start(&scratch, &image, number, &more)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{image} {layout}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let listed = list(&image);
    assert_eq!(listed["attestations"].as_array().unwrap().len(), writers, "{image}: {listed:#}");
    assert_eq!(listed["rejections"], json!([]), "{image}");
    verify(&scratch, "signer", &image, &["--type", TYPE, "--platform", "linux/amd64"]).succeeds();
}

#[test]
fn writers_at_once_lose_nothing_in_a_folder() {
    // (accepted)
    for layout in ["referrer", "tag", "index", "index-artifact"] {
        all_succeed(&Place::folder(), layout, 4);
    }
}

#[test]
fn writers_at_once_lose_nothing_in_a_registry_that_honours_conditions() {
    // (accepted)
    for layout in ["referrer", "tag", "index", "index-artifact"] {
        all_succeed(&Place::in_process(), layout, 4);
    }
}

#[test]
fn writers_at_once_in_registries_without_conditions_lose_nothing_or_say_so() {
    // (accepted, or refused: entry-lost, tag-moved)
    let scratch = Scratch::new();
    for place in registries() {
        for layout in ["tag", "index-artifact"] {
            place.push_index(layout);
            let image = place.tagged(layout);
            let more = ["--layout", layout, "--platform", "linux/amd64"];
            let children: Vec<Child> = (0..2).map(|number| start(&scratch, &image, number, &more)).collect();
            for child in children {
                let output = child.wait_with_output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                let told = said.contains("error[entry-lost]") || said.contains("error[tag-moved]");
                assert!(output.status.success() || (output.status.code() == Some(3) && told), "{image}: {said}");
            }
            verify(&scratch, "signer", &image, &["--type", TYPE, "--platform", "linux/amd64"]).succeeds();
        }
    }
}

/// A plan of this process, to let something happen between planning and writing.
struct Planned {
    key: SigningKey,
    selector: Selector,
}

impl Planned {
    fn new(tag: &str) -> Self {
        let selector = Selector { tag: Some(Tag::parse(tag).unwrap()), digest: None };
        Self { key: SigningKey::generate_p256().unwrap(), selector }
    }

    /// Plans, lets `between` happen, and writes. Gives the outcome and the plan.
    async fn write(
        &self,
        layout: LayoutChoice,
        store: &dyn Store,
        between: impl AsyncFnOnce(&WritePlan),
    ) -> Result<WritePlan, job::JobError> {
        let limits = Limits::default();
        let selector = TypeSelector::parse(TYPE).unwrap();
        let predicate = Predicate::read(Content::from("{\"mine\":1}"), &selector, &limits).unwrap();
        let predicate = |_: &PlatformManifest| Some(predicate.clone());
        let request = AttestRequest {
            selector: &self.selector,
            subject_name: None,
            predicate: &predicate,
            targets: Targets::EachPlatform,
            layout,
            tag: self.selector.tag.clone(),
        };
        let source = Source::new(store, &limits);
        let now = jiff::Timestamp::UNIX_EPOCH;
        let mut attaching = job::attest(&request, Signing::Statement(&self.key), now, &source).await?;
        between(&attaching.plan).await;
        attaching.write(&source).await?;
        Ok(attaching.plan)
    }
}

fn children(manifest: &Manifest) -> usize {
    manifest.as_index().unwrap().children().len()
}

#[test]
fn an_image_that_was_replaced_meanwhile_is_left_alone_and_nothing_stays() {
    // (refused: tag-moved)
    for place in [Place::in_process(), Place::folder()] {
        let root = place.push_index("1");
        let other = place.push_single("2");
        let planned = Planned::new("1");
        let store = place.store();
        let tag = Tag::parse("1").unwrap();
        let result = wait(planned.write(LayoutChoice::Index(Form::Artifact), &*store, async |_| {
            store.tag(&other, &tag, &Expected::Any).await.unwrap();
        }));
        assert_eq!(result.unwrap_err().code().as_str(), "tag-moved");
        wait(async {
            assert_eq!(store.tag_digest(&tag).await.unwrap().as_ref(), Some(other.digest()));
            // The loser's attestation manifests are no referrers of the platforms.
            for child in root.as_index().unwrap().children() {
                assert_eq!(store.referrers(&child.descriptor.digest).await.unwrap(), []);
            }
        });
    }
}

#[test]
fn an_index_that_only_grew_meanwhile_grows_once_more() {
    // (accepted)
    for place in [Place::in_process(), Place::folder()] {
        for layout in [LayoutChoice::Index(Form::Artifact), LayoutChoice::Index(Form::Image)] {
            let tag = layout.layout().as_str();
            let before = place.push_index(tag);
            let (first, second) = (Planned::new(tag), Planned::new(tag));
            let store = place.store();
            let plan = wait(first.write(layout, &*store, async |_| {
                let nothing = async |_: &WritePlan| {};
                second.write(LayoutChoice::Index(Form::Artifact), &*store, nothing).await.unwrap();
            }));
            let now = wait(async { store.manifest(&first.selector).await }).unwrap();
            assert_eq!(plan.unwrap().tag.unwrap().to.digest(), now.digest());
            let same_form = layout == LayoutChoice::Index(Form::Artifact);
            assert_eq!(children(&now), children(&before) + if same_form { 2 } else { 4 });
            // What the first attempt wrote is no referrer: each platform has those that the index lists, and the one
            // that grew.
            wait(async {
                for child in before.as_index().unwrap().children() {
                    let referrers = store.referrers(&child.descriptor.digest).await.unwrap().len();
                    assert_eq!(referrers, if same_form { 2 } else { 1 });
                }
            });
        }
    }
}

#[test]
fn a_tag_that_grew_meanwhile_grows_once_more() {
    // (accepted)
    for place in [Place::in_process(), Place::folder()] {
        place.push_index("1");
        let (first, second) = (Planned::new("1"), Planned::new("1"));
        let store = place.store();
        wait(first.write(LayoutChoice::Tag, &*store, async |_| {
            second.write(LayoutChoice::Tag, &*store, async |_: &WritePlan| {}).await.unwrap();
        }))
        .unwrap();
        let listed = list(&place.tagged("1"));
        assert_eq!(listed["attestations"].as_array().unwrap().len(), 4);
    }
}

#[test]
fn an_image_pinned_by_its_digest_is_not_chased() {
    // (refused: tag-moved)
    let place = Place::folder();
    let root = place.push_index("1");
    let planned = Planned {
        selector: Selector { digest: Some(root.digest().clone()), ..Planned::new("1").selector },
        ..Planned::new("1")
    };
    let other = Planned::new("1");
    let store = place.store();
    let result = wait(planned.write(LayoutChoice::Index(Form::Artifact), &*store, async |_| {
        other.write(LayoutChoice::Index(Form::Artifact), &*store, async |_: &WritePlan| {}).await.unwrap();
    }));
    assert_eq!(result.unwrap_err().code().as_str(), "tag-moved");
}

#[test]
fn what_another_image_uses_is_not_taken_away_by_a_loser() {
    // (refused: tag-moved)
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/keys/ed25519-pkcs8.pem")).unwrap();
    // A key whose signatures are the same each time, so that both images get the very same attestation manifests.
    let planned = |tag: &str| Planned { key: SigningKey::from_pem(&text, None).unwrap(), ..Planned::new(tag) };
    for place in [Place::in_process(), Place::folder()] {
        let root = place.push_index("1");
        let other = place.push_single("3");
        let store = place.store();
        let form = LayoutChoice::Index(Form::Artifact);
        wait(async {
            let second = Tag::parse("2").unwrap();
            store.tag(&root, &second, &Expected::Any).await.unwrap();
            planned("1").write(form, &*store, async |_| {}).await.unwrap();
            let loser = planned("2");
            let result = loser.write(form, &*store, async |_| {
                store.tag(&other, &second, &Expected::Any).await.unwrap();
            });
            assert_eq!(result.await.unwrap_err().code().as_str(), "tag-moved");
            let index = store.manifest(&Planned::new("1").selector).await.unwrap();
            assert_eq!(children(&index), 4);
            for child in index.as_index().unwrap().children() {
                store.manifest_at(&child.descriptor).await.unwrap();
            }
        });
    }
}

#[test]
fn two_who_attach_the_very_same_leave_it_there() {
    // (accepted)
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/keys/ed25519-pkcs8.pem")).unwrap();
    let planned = || Planned { key: SigningKey::from_pem(&text, None).unwrap(), ..Planned::new("1") };
    for place in [Place::in_process(), Place::folder()] {
        place.push_index("1");
        let store = place.store();
        let form = LayoutChoice::Index(Form::Artifact);
        wait(async {
            let (first, second) = (planned(), planned());
            let between = async |_: &WritePlan| drop(second.write(form, &*store, async |_| {}).await.unwrap());
            first.write(form, &*store, between).await.unwrap();
            let index = store.manifest(&first.selector).await.unwrap();
            assert_eq!(children(&index), 4);
            for child in index.as_index().unwrap().children() {
                store.manifest_at(&child.descriptor).await.unwrap();
            }
        });
    }
}

/// A store that takes every write of a tag for evidence and lets somebody else undo it, as often as it is told to.
struct Forgetful {
    inner: Box<dyn Store>,
    left: std::sync::atomic::AtomicUsize,
}

#[async_trait::async_trait]
impl Store for Forgetful {
    fn name(&self) -> String {
        self.inner.name()
    }
    async fn manifest(&self, selector: &Selector) -> Result<Manifest, StoreError> {
        self.inner.manifest(selector).await
    }
    async fn manifest_at(&self, descriptor: &Descriptor) -> Result<Manifest, StoreError> {
        self.inner.manifest_at(descriptor).await
    }
    async fn tag_digest(&self, tag: &Tag) -> Result<Option<Digest>, StoreError> {
        self.inner.tag_digest(tag).await
    }
    async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Blob, StoreError> {
        self.inner.blob(descriptor, limit).await
    }
    async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, StoreError> {
        self.inner.referrers(subject).await
    }
    async fn tags(&self) -> Result<Vec<Tag>, StoreError> {
        self.inner.tags().await
    }
    async fn push_blob(&self, blob: &Blob) -> Result<Pushed, StoreError> {
        self.inner.push_blob(blob).await
    }
    async fn push_manifest(&self, manifest: &Manifest) -> Result<Pushed, StoreError> {
        self.inner.push_manifest(manifest).await
    }
    async fn tag(&self, manifest: &Manifest, tag: &Tag, expected: &Expected) -> Result<(), StoreError> {
        use std::sync::atomic::Ordering;
        let before = self.tag_digest(tag).await?;
        self.inner.tag(manifest, tag, expected).await?;
        let left = self.left.load(Ordering::SeqCst);
        if left > 0 {
            self.left.store(left - 1, Ordering::SeqCst);
            // The other writer read before our write, and writes what it read.
            match before {
                Some(digest) => {
                    let old = self.manifest(&Selector { tag: None, digest: Some(digest) }).await?;
                    self.inner.tag(&old, tag, &Expected::Any).await?;
                }
                None => self.inner.untag(tag, &Expected::Any).await?,
            }
        }
        Ok(())
    }
    fn guards_tags(&self) -> bool {
        false
    }
    async fn pause(&self) {}
    async fn delete_manifest(&self, digest: &Digest) -> Result<(), StoreError> {
        self.inner.delete_manifest(digest).await
    }
    async fn remove_referrer(&self, subject: &Digest, manifest: &Digest) -> Result<Removed, StoreError> {
        self.inner.remove_referrer(subject, manifest).await
    }
    async fn untag(&self, tag: &Tag, expected: &Expected) -> Result<(), StoreError> {
        self.inner.untag(tag, expected).await
    }
}

#[test]
fn what_another_writer_took_away_is_added_again_and_a_loss_is_told() {
    // (accepted) and (refused: entry-lost)
    for layout in [LayoutChoice::Tag, LayoutChoice::Index(Form::Artifact), LayoutChoice::Index(Form::Image)] {
        for (times, code) in [(1, None), (4, None), (100, Some("entry-lost"))] {
            let place = Place::folder();
            place.push_single("1");
            let store = Forgetful { inner: place.store(), left: times.into() };
            let result = wait(Planned::new("1").write(layout, &store, async |_| {}));
            assert_eq!(result.as_ref().err().map(|error| error.code().as_str()), code, "{layout:?} {times}");
            let listed = list(&place.tagged("1"));
            let found: Vec<&Value> = listed["attestations"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|entry| entry["layout"] != "referrer")
                .collect();
            assert_eq!(found.len(), usize::from(code.is_none()), "{layout:?} {times}");
        }
    }
}

#[test]
fn a_loser_whose_work_cannot_be_taken_away_says_what_is_left() {
    // (refused: tag-moved)
    let place = Place::InProcess(TestRegistry::start(Faults { no_delete: true, ..Faults::default() }));
    place.push_index("1");
    let other = place.push_single("2");
    let store = place.store();
    let result = wait(Planned::new("1").write(LayoutChoice::Index(Form::Artifact), &*store, async |_| {
        store.tag(&other, &Tag::parse("1").unwrap(), &Expected::Any).await.unwrap();
    }));
    let error = result.unwrap_err();
    assert_eq!(error.code().as_str(), "tag-moved");
    assert!(matches!(error, job::JobError::LeftBehind { manifests, .. } if manifests.len() == 2));
}
