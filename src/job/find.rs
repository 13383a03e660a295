//! Driving the finder: its wishes become requests, a few at a time.

use futures_util::StreamExt;

use crate::attach::{Answer, Failure, Fetch, Finder};
use crate::code::Code;
use crate::limits::Limits;
use crate::oci::{Manifest, Platform};
use crate::predicate::TypeSelector;
use crate::reference::Selector;
use crate::store::{Store, StoreError};

/// Where an image is, and where evidence about it may be beside that.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The store of the image.
    pub store: &'a dyn Store,
    /// A second store that keeps evidence only.
    pub referrers_from: Option<&'a dyn Store>,
    /// Bounds.
    pub limits: &'a Limits,
}

impl Source<'_> {
    fn stores(&self) -> impl Iterator<Item = &dyn Store> {
        [Some(self.store), self.referrers_from].into_iter().flatten()
    }
}

/// Resolves what a person typed. Everything later uses the digest.
///
/// # Errors
/// Whatever the store says.
pub async fn resolve(store: &dyn Store, selector: &Selector) -> Result<Manifest, StoreError> {
    store.manifest(selector).await
}

/// Runs the finder until its phase is done.
pub(super) async fn run_phase(finder: &mut Finder, source: &Source<'_>) {
    let mut wishes = finder.step(Vec::new());
    while !wishes.is_empty() {
        let mut answers: Vec<(usize, (Fetch, Answer))> = futures_util::stream::iter(wishes.into_iter().enumerate())
            .map(|(place, fetch)| async move {
                let answer = answer(&fetch, source).await;
                (place, (fetch, answer))
            })
            .buffer_unordered(source.limits.concurrent_requests)
            .collect()
            .await;
        // Reports do not change their order with the speed of the network.
        answers.sort_by_key(|(place, _)| *place);
        wishes = finder.step(answers.into_iter().map(|(_, answered)| answered).collect());
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

/// Finds everything, in all phases.
pub async fn find_all(
    root: Manifest,
    platform: Option<&Platform>,
    types: &[TypeSelector],
    source: &Source<'_>,
) -> Finder {
    let mut finder = Finder::new(root, platform, types, source.limits);
    loop {
        run_phase(&mut finder, source).await;
        if !finder.widen() {
            return finder;
        }
    }
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
