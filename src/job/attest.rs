//! Attest: predicate to statement to signature to a plan of what to write.

use crate::crypto::SigningKey;
use crate::digest::Digest;
use crate::intoto::{Statement, Subject};
use crate::oci::{Image, PlatformManifest};
use crate::predicate::Predicate;
use crate::reference::{Selector, Tag};

use super::error::JobError;
use super::find::{Source, find_parts};
use super::placing::{AttachedDocument, Attaching, LayoutChoice, ManifestSigner, Placing};
use super::signature::{bare_document, signed_document};
use super::targets::{Targets, choose};
use crate::attach::AttachError;

/// What a signature of an attestation is over.
#[derive(Clone, Copy)]
pub enum Signing<'a> {
    /// Each statement.
    Statement(&'a SigningKey),
    /// The attestation manifest that lists the statements, which have no signature of their own.
    Manifest {
        /// The key.
        key: &'a SigningKey,
        /// Statements of others in the same manifest that may be signed with it.
        vouched: &'a [Digest],
    },
    /// Nothing.
    Nothing,
}

/// What to attest.
pub struct AttestRequest<'a> {
    /// The image.
    pub selector: &'a Selector,
    /// The name that the statement's subject gets, for people.
    pub subject_name: Option<String>,
    /// The predicate, or one for each platform.
    pub predicate: &'a dyn Fn(&PlatformManifest) -> Option<Predicate>,
    /// Which parts.
    pub targets: Targets,
    /// Where.
    pub layout: LayoutChoice,
    /// The tag to move when the index changes.
    pub tag: Option<Tag>,
}

/// Makes, signs and plans. Nothing is written; [`Attaching::write`] does that.
///
/// # Errors
/// [`JobError::Attach`] when the layout cannot hold it, [`JobError::Signing`], and whatever the store says.
pub async fn attest<'a>(
    request: &AttestRequest<'_>,
    signing: Signing<'a>,
    now: jiff::Timestamp,
    source: &Source<'_>,
) -> Result<Attaching<'a>, JobError> {
    let root = source.store.manifest(request.selector).await?;
    let finder = find_parts(root, source).await;
    let image = finder.image();
    refuse_whole_index(&image, request)?;
    let mut documents = Vec::new();
    for (target, whole) in choose(&image, &request.targets)? {
        let Some(predicate) = (request.predicate)(&target) else { continue };
        let subject = Subject::new(request.subject_name.clone(), &target.descriptor.digest);
        let statement = Statement::new(vec![subject], predicate.predicate_type().clone(), predicate.content());
        let evidence = match signing {
            Signing::Statement(key) => signed_document(&statement, key, request.layout, source.limits)?,
            Signing::Manifest { .. } | Signing::Nothing => bare_document(&statement)?,
        };
        let platform = target.platform.clone().filter(|_| !whole);
        documents.push(AttachedDocument { subject: target.descriptor, platform, evidence });
    }
    let manifest_signer = match signing {
        Signing::Manifest { key, vouched } => Some(ManifestSigner { key, vouched }),
        Signing::Statement(_) | Signing::Nothing => None,
    };
    let placing = Placing {
        selector: request.selector.clone(),
        layout: request.layout,
        tag: request.tag.clone(),
        now,
        manifest_signer,
    };
    Attaching::plan(placing, &finder, documents, source).await
}

/// A statement about an index cannot be inside it: adding it would change what it is about.
fn refuse_whole_index(image: &Image, request: &AttestRequest<'_>) -> Result<(), JobError> {
    let inside = matches!(request.layout, LayoutChoice::Index(_));
    if inside && image.is_index() && request.targets == Targets::Named {
        return Err(AttachError::PlatformNeeded.into());
    }
    Ok(())
}
