//! Verify: find, fetch, check, decide.

use crate::attach::{Finder, Looked, Phase};
use crate::oci::{Image, Manifest, Platform};
use crate::policy::{Requirement, Scope, Verdict, evaluate};
use crate::predicate::TypeSelector;
use crate::verify::Verifier;

use super::collect::Collected;
use super::find::{Source, Wishes};

/// What an image must have, and with which keys it is checked.
pub struct VerifyRequest<'a> {
    /// The image, resolved once: what was demanded of it was worked out for this manifest.
    pub root: &'a Manifest,
    /// The keys that may count for anything.
    pub verifier: &'a Verifier,
    /// What is demanded.
    pub requirements: &'a [Requirement],
    /// Which parts of an index.
    pub scope: &'a Scope,
}

/// The decision, and everything it rests on.
pub struct Verified {
    /// The image, resolved once.
    pub image: Image,
    /// The decision.
    pub verdict: Verdict,
    /// Evidence and rejections.
    pub collected: Collected,
    /// How far was looked.
    pub phase: Phase,
    /// Where was looked.
    pub looked: Looked,
    /// Not met, and something that might have mattered could not be fetched.
    pub undecided: bool,
}

/// Verifies an image. Looks only as far as the requirements need: what is met stays met.
///
/// Evidence that cannot be read is a rejection, and makes an unmet demand undecided.
pub async fn verify(request: &VerifyRequest<'_>, source: &Source<'_>) -> Verified {
    let types: Vec<TypeSelector> =
        request.requirements.iter().flat_map(|requirement| requirement.wanted.types()).collect();
    let mut finder = source.finder(request.root.clone(), single_platform(request.scope), &types);
    let through_index = request.requirements.iter().any(|requirement| requirement.through_index);
    let collected = Collected::new(through_index);
    let mut looking = Looking { wishes: Wishes::of(&mut finder), finder, collected, request, source, known: (0, 0) };
    let verdict = looking.until_met().await;
    let Looking { finder, mut collected, .. } = looking;
    // Who stopped early has not looked for the signatures that bare statements may have.
    if finder.phase() == Phase::Rest {
        collected.finish();
    }
    let undecided = !verdict.is_accepted() && collected.is_undecided();
    let (phase, looked) = (finder.phase(), finder.looked());
    Verified { image: finder.image(), verdict, collected, phase, looked, undecided }
}

/// How many requests are made for manifests before what they brought is looked at. Siblings of what is wanted are
/// reported with it; thousands of them are not fetched once the demands are met.
const AT_ONCE: usize = 32;

struct Looking<'a> {
    wishes: Wishes,
    finder: Finder,
    collected: Collected,
    request: &'a VerifyRequest<'a>,
    source: &'a Source<'a>,
    /// How much was found and refused when it was last looked at.
    known: (usize, usize),
}

impl Looking<'_> {
    /// Fetches and verifies until the demands are met, or there is nothing left to look at.
    async fn until_met(&mut self) -> Verdict {
        loop {
            self.wishes.fetch_some(AT_ONCE, &mut self.finder, self.source).await;
            // An index that was not read yet may hold parts of the image that nothing covers, and what is about one of
            // them would be refused for good.
            if !self.finder.parts_are_known() && !self.wishes.is_empty() {
                continue;
            }
            // Nothing new decides nothing. An image of thousands of parts is asked about for each of them.
            let known = (self.finder.found().len(), self.finder.refused().len());
            if std::mem::replace(&mut self.known, known) == known && !self.wishes.is_empty() {
                continue;
            }
            self.collected.take(&mut self.finder, self.request.verifier, self.source).await;
            let verdict =
                evaluate(self.request.requirements, self.request.scope, &self.finder.image(), &self.collected.evidence);
            if verdict.is_accepted() || (self.wishes.is_empty() && !self.widen()) {
                return verdict;
            }
        }
    }

    fn widen(&mut self) -> bool {
        let widened = self.finder.widen();
        if widened {
            self.wishes = Wishes::of(&mut self.finder);
        }
        widened
    }
}

fn single_platform(scope: &Scope) -> Option<&Platform> {
    match scope {
        Scope::Platforms(platforms) if platforms.len() == 1 => platforms.first(),
        _ => None,
    }
}
