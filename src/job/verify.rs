//! Verify: find, fetch, check, decide.

use crate::attach::{Finder, Phase};
use crate::oci::{Image, Platform};
use crate::policy::{Requirement, Scope, Verdict, evaluate};
use crate::predicate::TypeSelector;
use crate::reference::Selector;
use crate::verify::Verifier;

use super::collect::Collected;
use super::error::JobError;
use super::find::{Source, run_phase};

/// What an image must have, and with which keys it is checked.
pub struct VerifyRequest<'a> {
    /// The image.
    pub selector: &'a Selector,
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
    /// Not met, and something that might have mattered could not be fetched.
    pub undecided: bool,
}

/// Verifies an image. Looks only as far as the requirements need: what is met stays met.
///
/// # Errors
/// [`JobError::Store`] when the image itself cannot be read. Evidence that cannot be read is a rejection, and makes an
/// unmet demand undecided.
pub async fn verify(request: &VerifyRequest<'_>, source: &Source<'_>) -> Result<Verified, JobError> {
    let root = source.store.manifest(request.selector).await?;
    let types: Vec<TypeSelector> =
        request.requirements.iter().flat_map(|requirement| requirement.wanted.types()).collect();
    let mut finder = Finder::new(root, single_platform(request.scope), &types, source.limits);
    let through_index = request.requirements.iter().any(|requirement| requirement.through_index);
    let mut collected = Collected::new(through_index);
    let verdict = loop {
        run_phase(&mut finder, source).await;
        collected.take(&mut finder, request.verifier, source).await;
        let verdict = evaluate(request.requirements, request.scope, &finder.image(), &collected.evidence);
        if verdict.is_accepted() || !finder.widen() {
            break verdict;
        }
    };
    // Who stopped early has not looked for the signatures that bare statements may have.
    if finder.phase() == Phase::Rest {
        collected.finish();
    }
    let undecided = !verdict.is_accepted() && collected.is_undecided();
    Ok(Verified { image: finder.image(), verdict, collected, phase: finder.phase(), undecided })
}

fn single_platform(scope: &Scope) -> Option<&Platform> {
    match scope {
        Scope::Platforms(platforms) if platforms.len() == 1 => platforms.first(),
        _ => None,
    }
}
