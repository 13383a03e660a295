//! Attest: predicate to statement to signature to a plan of what to write.

use crate::attach::{AttachError, Evidence, Finder, Form, IndexTarget, Warning, WritePlan, plan_index, plan_referrer};
use crate::content::{Blob, BlobStart, Content, ContentError};
use crate::crypto::{MessageDigester, SigningKey};
use crate::digest::Digest;
use crate::dsse::{self, Envelope, EnvelopeSignature};
use crate::intoto::{Statement, Subject};
use crate::limits::Limits;
use crate::media_type::{MediaType, PayloadType};
use crate::oci::{Descriptor, Image, Manifest, Platform, PlatformManifest};
use crate::predicate::{Family, Predicate};
use crate::reference::{Selector, Tag};
use crate::sigstore::{Bundle, MessageSignature};
use crate::verify::VerifyError;

use super::error::JobError;
use super::find::{Source, find_parts};

/// Where new evidence is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutChoice {
    /// A referrer of the image.
    Referrer,
    /// Inside the image's index.
    Index(Form),
}

/// Which parts of an image are attested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// What was named: the index, or the single manifest.
    Named,
    /// One platform of an index.
    Platform(Platform),
    /// Every platform of an index, each with a statement of its own.
    EachPlatform,
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

/// A statement that was made and signed.
#[derive(Debug, Clone)]
pub struct AttestedDocument {
    /// What it is about.
    pub subject: Descriptor,
    /// The platform, when it is about one.
    pub platform: Option<Platform>,
    /// The signed document.
    pub evidence: Evidence,
}

/// A plan, and what it was made from.
pub struct Attesting {
    /// The image as it was.
    pub image: Image,
    /// The statements.
    pub documents: Vec<AttestedDocument>,
    /// What to write.
    pub plan: WritePlan,
}

/// Makes, signs and plans. Nothing is written; [`super::apply`] does that.
///
/// # Errors
/// [`JobError::Attach`] when the layout cannot hold it, [`JobError::Signing`], and whatever the store says.
pub async fn attest(
    request: &AttestRequest<'_>,
    key: &SigningKey,
    now: jiff::Timestamp,
    source: &Source<'_>,
) -> Result<Attesting, JobError> {
    let root = source.store.manifest(request.selector).await?;
    let finder = find_parts(root, source).await;
    let image = finder.image();
    let mut documents = Vec::new();
    for (target, whole) in choose(&image, request)? {
        let Some(predicate) = (request.predicate)(&target) else { continue };
        let subject = Subject::new(request.subject_name.clone(), &target.descriptor.digest);
        let statement = Statement::new(vec![subject], predicate.predicate_type().clone(), predicate.content());
        let evidence = sign_for(&statement, key, request.layout, source.limits)?;
        let platform = target.platform.clone().filter(|_| !whole);
        documents.push(AttestedDocument { subject: target.descriptor, platform, evidence });
    }
    let plan = match request.layout {
        LayoutChoice::Referrer => plan_referrers(&documents, now, source.limits)?,
        LayoutChoice::Index(form) => plan_in_index(request, form, &documents, &finder, source).await?,
    };
    Ok(Attesting { image, documents, plan })
}

/// The manifests to attest, and whether each is the whole of what was named.
fn choose(image: &Image, request: &AttestRequest<'_>) -> Result<Vec<(PlatformManifest, bool)>, JobError> {
    let root = PlatformManifest {
        platform: None,
        descriptor: image.root().descriptor(),
        held_by: Vec::new(),
        bytes: Some(image.root().bytes().clone()),
    };
    match &request.targets {
        Targets::Named if image.is_index() && matches!(request.layout, LayoutChoice::Index(_)) => {
            Err(AttachError::PlatformNeeded.into())
        }
        Targets::Named => Ok(vec![(root, true)]),
        _ if !image.is_index() => Ok(vec![(root, true)]),
        Targets::EachPlatform => {
            let mut chosen: Vec<(PlatformManifest, bool)> = Vec::new();
            for leaf in image.platforms() {
                if leaf.descriptor.media_type.is_image_index() {
                    return Err(AttachError::PartUnreadable { manifest: leaf.descriptor.digest.clone() }.into());
                }
                if !chosen.iter().any(|(known, _)| known.descriptor.digest == leaf.descriptor.digest) {
                    chosen.push((leaf.clone(), false));
                }
            }
            Ok(chosen)
        }
        Targets::Platform(wanted) => {
            let chosen: Vec<_> = image.on(wanted).map(|leaf| (leaf.clone(), false)).collect();
            if chosen.is_empty() {
                return Err(AttachError::no_such_platform(wanted, image).into());
            }
            Ok(chosen)
        }
    }
}

/// Signs a ready statement: a bundle, whose signature was verified before it is returned.
///
/// # Errors
/// [`JobError::Signing`], [`JobError::Content`].
pub fn sign_statement(statement: &Statement, key: &SigningKey, limits: &Limits) -> Result<Bundle, JobError> {
    let payload = statement.payload().clone();
    let signature = sign_content(&dsse::pae(&PayloadType::IN_TOTO, &payload), key, limits)?;
    let entry = EnvelopeSignature { keyid: None, signature };
    Ok(Bundle::for_key(Envelope::new(PayloadType::IN_TOTO, payload, vec![entry]), key.public_key().hint())?)
}

/// Signs a statement in the form that a layout wants.
fn sign_for(
    statement: &Statement,
    key: &SigningKey,
    layout: LayoutChoice,
    limits: &Limits,
) -> Result<Evidence, JobError> {
    let predicate_type = Some(statement.predicate_type().clone());
    let payload = statement.payload().clone();
    let hint = key.public_key().hint();
    let start = match layout {
        LayoutChoice::Referrer => Bundle::start(&hint, &payload),
        LayoutChoice::Index(_) => Envelope::start(&payload),
    };
    // The document is digested up to where the signature goes while the signature is made.
    let (start, signature) = std::thread::scope(|scope| {
        let start = scope.spawn(|| BlobStart::of(start));
        let signature = sign_content(&dsse::pae(&PayloadType::IN_TOTO, &payload), key, limits);
        (start.join(), signature)
    });
    let start = start.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(ContentError::from)?;
    // Without a bundle around the envelope, the key's hint has its place in `keyid`.
    let keyid = matches!(layout, LayoutChoice::Index(_)).then_some(hint);
    let entry = EnvelopeSignature { keyid, signature: signature? };
    let envelope = Envelope::new(PayloadType::IN_TOTO, payload, vec![entry]);
    let (media_type, end) = match layout {
        LayoutChoice::Referrer => (MediaType::SIGSTORE_BUNDLE_V03, Bundle::end(&envelope)),
        LayoutChoice::Index(_) => {
            let name = Family::of(statement.predicate_type()).map_or("custom", Family::envelope_name);
            (MediaType::in_toto_envelope(name), envelope.end())
        }
    };
    let blob = start.finish(media_type, end)?;
    Ok(Evidence { blob, predicate_type, is_message_signature: false })
}

/// Signs bytes and checks the signature with the public half, so that a broken key or machine is noticed here.
fn sign_content(content: &Content, key: &SigningKey, limits: &Limits) -> Result<Vec<u8>, JobError> {
    let mut digester = MessageDigester::for_algorithms([key.public_key().algorithm()], limits);
    content
        .each_chunk(|chunk| {
            digester.update(chunk);
            Ok::<(), std::io::Error>(())
        })
        .map_err(ContentError::from)?;
    let message = digester.finish();
    let signature = key.sign(&message)?;
    key.public_key().verify(&message, &signature).map_err(|error| {
        JobError::SelfCheck(VerifyError::NoTrustedSignature { keys: 1, hint: None, last: Some(error) })
    })?;
    Ok(signature)
}

/// Signs a blob's bytes: a bundle with a message signature, which was verified before it is returned.
///
/// # Errors
/// [`JobError::Signing`], [`JobError::Content`].
pub fn sign_blob(blob: &Blob, key: &SigningKey, limits: &Limits) -> Result<Bundle, JobError> {
    let signature = sign_content(blob.content(), key, limits)?;
    let message = MessageSignature { message_digest: Some(blob.digest().clone()), signature };
    Ok(Bundle::for_message(message, key.public_key().hint()))
}

fn plan_referrers(
    documents: &[AttestedDocument],
    now: jiff::Timestamp,
    limits: &Limits,
) -> Result<WritePlan, JobError> {
    let mut whole = WritePlan::default();
    for document in documents {
        let plan = plan_referrer(&document.subject, &document.evidence, now, limits)?;
        for blob in plan.blobs {
            if !whole.blobs.iter().any(|known| known.digest() == blob.digest()) {
                whole.blobs.push(blob);
            }
        }
        whole.manifests.extend(plan.manifests);
    }
    Ok(whole)
}

async fn plan_in_index(
    request: &AttestRequest<'_>,
    form: Form,
    documents: &[AttestedDocument],
    finder: &Finder,
    source: &Source<'_>,
) -> Result<WritePlan, JobError> {
    let image = finder.image();
    let platform = if image.is_index() { None } else { Some(platform_of(image.root(), source).await?) };
    let mut targets = Vec::new();
    for document in documents {
        let existing = existing_manifest(&document.subject.digest, form, finder, source).await?;
        targets.push(IndexTarget {
            image: document.subject.clone(),
            existing,
            evidence: vec![document.evidence.clone()],
        });
    }
    let tag = request.tag.as_ref();
    let mut plan = plan_index(image.root(), platform.as_ref(), &targets, form, tag, source.limits)?;
    if image.is_index() {
        let left = left_behind(image.digest(), source).await?;
        if left > 0 {
            plan.warnings.push(Warning::LeftBehind { index: image.digest().clone(), referrers: left });
        }
    }
    Ok(plan)
}

/// The attestation manifest of this form that a platform has already.
///
/// It may only grow while nothing signs or refers to it: its digest changes, and every signature over it would be lost.
async fn existing_manifest(
    about: &Digest,
    form: Form,
    finder: &Finder,
    source: &Source<'_>,
) -> Result<Option<Manifest>, JobError> {
    let image = finder.image();
    let Some(index) = image.root().as_index() else { return Ok(None) };
    for child in index.attestation_manifests_of(about) {
        let known = finder.found().iter().find(|found| *found.manifest.digest() == child.descriptor.digest);
        let Some(known) = known else { continue };
        let artifact = known.manifest.as_image().is_some_and(|image| image.artifact_type.is_some());
        if artifact != (form == Form::Artifact) {
            continue;
        }
        if left_behind(known.manifest.digest(), source).await? > 0 {
            return Err(AttachError::AttestationManifestSigned { manifest: known.manifest.digest().clone() }.into());
        }
        return Ok(Some(known.manifest.clone()));
    }
    Ok(None)
}

/// How many manifests hang on a digest, by referrers and by cosign's tags.
async fn left_behind(digest: &Digest, source: &Source<'_>) -> Result<usize, JobError> {
    let mut count = source.store.referrers(digest).await?.len();
    for suffix in ["sig", "att"] {
        count += usize::from(source.store.tag_digest(&Tag::of_cosign(digest, suffix)).await?.is_some());
    }
    Ok(count)
}

/// The platform of a single manifest, from its configuration: needed when it is wrapped in an index.
async fn platform_of(manifest: &Manifest, source: &Source<'_>) -> Result<Platform, JobError> {
    let Some(image) = manifest.as_image() else { return Ok(Platform::unknown()) };
    let config = source.store.blob(&image.config, source.limits.manifest_bytes).await?;
    let bytes = config.bytes(source.limits.manifest_bytes)?;
    // A configuration without a platform is no image's; its child is then marked as what it is.
    Ok(serde_json::from_slice::<Platform>(&bytes).unwrap_or_else(|_| Platform::unknown()))
}
