//! Attach: a bundle file, signed elsewhere, onto an image.

use crate::attach::{DocumentKind, Evidence, WritePlan, plan_referrer};
use crate::content::{Blob, Content};
use crate::intoto::{Statement, Subject};
use crate::media_type::MediaType;
use crate::oci::Image;
use crate::sigstore::{Bundle, BundleContent};
use crate::verify::AttachedContent;

use super::error::JobError;
use super::find::{Source, find_parts};
use crate::reference::Selector;

/// Plans to hang a bundle on the part of the image that its statement is about.
///
/// The signature is not verified: whoever attaches may not have the key. That the bundle is one, and that it is about
/// this image, is checked, since a bundle on the wrong image is never found.
///
/// # Errors
/// [`JobError::Bundle`], [`JobError::BundleSubject`], and whatever the store says.
pub async fn attach_bundle(
    selector: &Selector,
    file: Content,
    created: jiff::Timestamp,
    source: &Source<'_>,
) -> Result<(Image, WritePlan), JobError> {
    let bundle = Bundle::read(&file, source.limits)?;
    let root = source.store.manifest(selector).await?;
    let image = find_parts(root, source).await.image();
    let blob = Blob::new(MediaType::SIGSTORE_BUNDLE_V03, file)?;
    let (subject, about, predicate_type) = match bundle.content() {
        BundleContent::Message(message) => {
            let named = message.message_digest.clone();
            let known = image.digests().into_iter().find(|(digest, _)| Some(*digest) == named.as_ref());
            (known.map(|(digest, _)| digest.clone()), named.into_iter().collect(), None)
        }
        BundleContent::Envelope(_) => {
            let statement = AttachedContent::Bundle(bundle.clone()).unverified_statement(source.limits)?;
            let subjects = statement.as_ref().map(Statement::subjects).unwrap_or_default();
            let is_about = |digest, bytes| subjects.iter().any(|subject| subject.is_about(digest, bytes));
            let known = image.digests().into_iter().find(|(digest, bytes)| is_about(digest, *bytes));
            let predicate_type = statement.as_ref().map(|statement| statement.predicate_type().clone());
            let about = subjects.iter().filter_map(Subject::digest).collect();
            (known.map(|(digest, _)| digest.clone()), about, predicate_type)
        }
    };
    let subject = subject.ok_or_else(|| JobError::BundleSubject { image: image.digest().clone(), about })?;
    let kind = match bundle.content() {
        BundleContent::Message(_) => DocumentKind::MessageBundle,
        BundleContent::Envelope(_) => DocumentKind::Bundle,
    };
    let evidence = Evidence::new(blob, predicate_type, kind);
    let plan = plan_referrer(&image.descriptor_of(&subject), &evidence, created, source.limits)?;
    Ok((image, plan))
}
