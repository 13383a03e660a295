//! Driving the finder: its wishes become requests, a few at a time.

use std::collections::VecDeque;

use futures_util::StreamExt;

use crate::attach::{Answer, Failure, Fetch, Finder};
use crate::code::Code;
use crate::content::Blob;
use crate::limits::Limits;
use crate::oci::{Descriptor, Manifest, Platform};
use crate::predicate::TypeSelector;
use crate::reference::Selector;
use crate::store::{Store, StoreError};

use super::evidence_files::EvidenceFiles;

/// Where an image is, and where evidence about it may be beside that.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The store of the image.
    pub store: &'a dyn Store,
    /// A second store that keeps evidence only.
    pub referrers_from: Option<&'a dyn Store>,
    /// Evidence in files.
    pub files: Option<&'a EvidenceFiles>,
    /// Bounds.
    pub limits: &'a Limits,
}

impl<'a> Source<'a> {
    /// An image's store and nothing beside it.
    pub const fn new(store: &'a dyn Store, limits: &'a Limits) -> Self {
        Self { store, referrers_from: None, files: None, limits }
    }

    pub(super) fn stores(&self) -> impl Iterator<Item = &dyn Store> {
        [Some(self.store), self.referrers_from].into_iter().flatten()
    }

    /// The finder of an image in this place.
    pub(super) fn finder(&self, root: Manifest, platform: Option<&Platform>, types: &[TypeSelector]) -> Finder {
        let files = self.files.map(EvidenceFiles::manifests).unwrap_or_default();
        Finder::new(root, platform, types, self.limits).with_files(files)
    }

    /// A document of evidence, from the first place that has it.
    ///
    /// # Errors
    /// What the last store says that was asked; one that fails otherwise than by not having it is the last.
    pub(super) async fn blob(&self, layer: &Descriptor) -> Result<Blob, StoreError> {
        let in_file = self.files.and_then(|files| files.blob(&layer.digest));
        // A manifest that lies about the size of a document has none, wherever the document is.
        if let Some(blob) = in_file.filter(|blob| blob.size() == layer.size) {
            return Ok(blob.clone());
        }
        let mut missing = None;
        for store in self.stores() {
            match store.blob(layer, self.limits.blob_bytes).await {
                Err(error) if error.is_not_found() => missing = Some(error),
                answer => return answer,
            }
        }
        let (place, what) = (self.store.name(), layer.digest.to_string());
        Err(missing.unwrap_or(StoreError::NotFound { place, what }))
    }
}

/// Resolves what a person typed. Everything later uses the digest.
///
/// # Errors
/// Whatever the store says.
pub async fn resolve(store: &dyn Store, selector: &Selector) -> Result<Manifest, StoreError> {
    store.manifest(selector).await
}

/// The wishes of a finder that are still to be fetched.
#[derive(Default)]
pub(super) struct Wishes(VecDeque<Fetch>);

impl Wishes {
    /// What the finder wants in its phase.
    pub(super) fn of(finder: &mut Finder) -> Self {
        Self(finder.step(Vec::new()).into())
    }

    /// Whether the phase is done.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fetches some of them, a few at a time, and hands the answers to the finder. Whoever has seen enough between two
    /// calls need not fetch the rest.
    pub(super) async fn fetch_some(&mut self, most: usize, finder: &mut Finder, source: &Source<'_>) {
        let some = self.0.drain(..most.min(self.0.len()));
        // In the order of the wishes: reports do not change with the speed of the network.
        let answers: Vec<(Fetch, Answer)> = futures_util::stream::iter(some.collect::<Vec<_>>())
            .map(|fetch| async move {
                let answer = answer(&fetch, source).await;
                (fetch, answer)
            })
            .buffered(source.limits.concurrent_requests)
            .collect()
            .await;
        self.0.extend(finder.step(answers));
    }
}

/// Runs the finder until its phase is done.
pub(super) async fn run_phase(finder: &mut Finder, source: &Source<'_>) {
    let mut wishes = Wishes::of(finder);
    while !wishes.is_empty() {
        wishes.fetch_some(usize::MAX, finder, source).await;
    }
}

/// Finds what can be run in an image, nested indexes included, and no further than that needs.
pub(super) async fn find_parts(root: Manifest, source: &Source<'_>) -> Finder {
    let mut finder = Finder::new(root, None, &[], source.limits);
    if finder.image().is_index() {
        run_phase(&mut finder, source).await;
    }
    finder
}

/// Finds everything. Who wants all of it need not wait for one phase before the next: a phase is a round trip.
pub(super) async fn find_everything(mut finder: Finder, source: &Source<'_>) -> Finder {
    while finder.widen() {}
    run_phase(&mut finder, source).await;
    finder
}

async fn answer(fetch: &Fetch, source: &Source<'_>) -> Answer {
    match fetch {
        Fetch::Referrers(digest) => {
            let (mut listed, mut failures) = (Vec::new(), Vec::new());
            for store in source.stores() {
                match store.referrer_list(digest).await {
                    Ok(more) => {
                        listed.extend(more.referrers);
                        // A version that knows the algorithm could read it.
                        failures.extend(more.unreadable.into_iter().map(|message| Failure {
                            code: Code::ManifestInvalid,
                            message,
                            undecided: true,
                        }));
                    }
                    // A list that is broken says nothing about what is on it.
                    Err(error) => return Answer::Failed(Failure { undecided: true, ..failure(&error) }),
                }
            }
            match failures.is_empty() {
                true => Answer::Referrers(listed),
                false => Answer::ReferrersInPart(listed, failures),
            }
        }
        Fetch::Manifest(wanted) => {
            let descriptor = wanted.descriptor();
            if !descriptor.media_type.is_image_manifest() && !descriptor.media_type.is_image_index() {
                let message = format!("it is no manifest: {}", descriptor.media_type);
                return Answer::Failed(Failure { code: Code::MediaTypeUnsupported, message, undecided: false });
            }
            first_of(source, |store| {
                let descriptor = descriptor.clone();
                Box::pin(async move { store.manifest_at(&descriptor).await })
            })
            .await
        }
        Fetch::Tag(tag) => {
            let selector = Selector { tag: Some(tag.clone()), digest: None };
            first_of(source, |store| {
                let selector = selector.clone();
                Box::pin(async move { store.manifest(&selector).await })
            })
            .await
        }
    }
}

type ManifestFuture<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Manifest, StoreError>> + Send + 'a>>;

async fn first_of<'a>(source: &'a Source<'_>, read: impl Fn(&'a dyn Store) -> ManifestFuture<'a>) -> Answer {
    for store in source.stores() {
        match read(store).await {
            Ok(manifest) => return Answer::Manifest(Box::new(manifest)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Answer::Failed(failure(&error)),
        }
    }
    Answer::Absent
}

/// A store's error about something that was listed.
///
/// Content that is not what it promised is decided: it never counts. Everything else might be there after all.
pub(super) fn failure(error: &StoreError) -> Failure {
    let undecided =
        !matches!(error, StoreError::Content { .. } | StoreError::Manifest { .. } | StoreError::ReferrersTag { .. });
    Failure { code: error.code(), message: error.to_string(), undecided }
}
