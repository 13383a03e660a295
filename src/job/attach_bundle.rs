//! Attach: a bundle file, signed elsewhere, onto an image.

use crate::attach::{Evidence, WritePlan, plan_referrer};
use crate::content::{Blob, Content};
use crate::intoto::Subject;
use crate::media_type::MediaType;
use crate::oci::{Image, Manifest};
use crate::sigstore::{Bundle, BundleContent};
use crate::verify::AttachedContent;

use super::error::JobError;
use super::find::Source;
use super::find_all;
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
    let image = find_all(root, None, &[], source).await.image();
    let blob = Blob::new(MediaType::SIGSTORE_BUNDLE_V03, file)?;
    let (subject, predicate_type) = match bundle.content() {
        BundleContent::Message(message) => {
            let named = message.message_digest.as_ref();
            let known = image.digests().into_iter().find(|(digest, _)| Some(*digest) == named);
            let known = known.map(|(digest, _)| digest.clone());
            if known.is_none() {
                return Err(JobError::BundleSubject {
                    image: image.digest().clone(),
                    about: named.cloned().into_iter().collect(),
                });
            }
            (known, None)
        }
        BundleContent::Envelope(_) => {
            let statement = AttachedContent::Bundle(bundle.clone()).unverified_statement(source.limits)?;
            let subjects: Vec<Subject> = statement.iter().flat_map(|statement| statement.subjects().to_vec()).collect();
            let about = |digest, bytes| subjects.iter().any(|subject| subject.is_about(digest, bytes));
            let known = image.digests().into_iter().find(|(digest, bytes)| about(digest, *bytes));
            let known = known.map(|(digest, _)| digest.clone());
            if known.is_none() {
                let about = subjects.iter().filter_map(Subject::digest).collect();
                return Err(JobError::BundleSubject { image: image.digest().clone(), about });
            }
            (known, statement.map(|statement| statement.predicate_type().clone()))
        }
    };
    let subject = subject.unwrap_or_else(|| image.digest().clone());
    let leaf = image.platforms().iter().find(|leaf| leaf.descriptor.digest == subject);
    let inner = image.inner().iter().find(|index| *index.digest() == subject).map(Manifest::descriptor);
    let descriptor = leaf.map(|leaf| leaf.descriptor.clone()).or(inner).unwrap_or_else(|| image.root().descriptor());
    let is_message_signature = matches!(bundle.content(), BundleContent::Message(_));
    let evidence = Evidence { blob, predicate_type, is_message_signature };
    let plan = plan_referrer(&descriptor, &evidence, created, source.limits)?;
    Ok((image, plan))
}
