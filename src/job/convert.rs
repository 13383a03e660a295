//! Convert: attestations from one layout to another, without touching what is signed.

use crate::attach::{DocumentKind, Evidence, Finder, Form, FoundManifest, WritePlan};
use crate::content::{Blob, ContentError};
use crate::digest::Digest;
use crate::intoto::{Statement, Subject};
use crate::location::EvidenceLayout;
use crate::media_type::MediaType;
use crate::oci::{Descriptor, Image};
use crate::predicate::{Family, TypeSelector};
use crate::reference::{Selector, Tag};
use crate::sigstore::{Bundle, BundleContent, VerificationMaterial, bundle_around};
use crate::verify::{AttachedContent, AttachedError};

use super::apply::write;
use super::detach::{DetachedDocument, plan_without};
use super::error::JobError;
use super::find::{Source, find_everything};
use super::placing::{AttachedDocument, Attaching, LayoutChoice, Placing, look_again_at_everything};
use super::signature::envelope_type;

/// What to convert.
pub struct ConvertRequest<'a> {
    /// The image.
    pub selector: &'a Selector,
    /// The layout that the attestations get.
    pub to: LayoutChoice,
    /// The layout that they have now; all others when it is not given.
    pub from: Option<EvidenceLayout>,
    /// Their types; all when empty.
    pub types: &'a [TypeSelector],
    /// Digests of documents or manifests; all when empty.
    pub selected: &'a [Digest],
    /// The tag to move when the index changes.
    pub tag: Option<Tag>,
}

/// A document as it is kept, and as it will be.
#[derive(Debug, Clone)]
pub struct ConvertedDocument {
    /// The layout that it has.
    pub from: EvidenceLayout,
    /// The manifest that lists it.
    pub manifest: Digest,
    /// The document.
    pub document: Digest,
    /// The same signed bytes as the other layout wants them.
    pub attached: AttachedDocument,
}

/// Documents and the plan to write them in another layout.
pub struct Converting<'a> {
    /// The documents.
    pub converted: Vec<ConvertedDocument>,
    /// Where they go.
    pub attaching: Attaching<'a>,
    request: &'a ConvertRequest<'a>,
}

/// Plans to write attestations in another layout. Nothing is written; [`Converting::write`] does that.
///
/// Payload and signatures keep their bytes: what the signatures cover is spliced, never written anew. Signatures are not
/// verified: whoever converts need not have the key.
///
/// # Errors
/// [`JobError::Unconvertible`] when one of the documents cannot be kept there, so that nothing is converted;
/// [`JobError::TypeAbsent`] or [`JobError::SelectionAbsent`] when there is nothing to convert.
pub async fn convert<'a>(
    request: &'a ConvertRequest<'a>,
    now: jiff::Timestamp,
    source: &Source<'_>,
) -> Result<Converting<'a>, JobError> {
    let root = source.store.manifest(request.selector).await?;
    let finder = find_everything(source.finder(root, None, &[]), source).await;
    let converted = collect(request, &finder, source).await?;
    let placing = Placing {
        selector: request.selector.clone(),
        layout: request.to,
        tag: request.tag.clone(),
        now,
        manifest_signer: None,
    };
    let documents = converted.iter().map(|document| document.attached.clone()).collect();
    let attaching = Attaching::plan(placing, &finder, documents, source).await?;
    Ok(Converting { converted, attaching, request })
}

impl Converting<'_> {
    /// Writes the documents in their new layout.
    ///
    /// # Errors
    /// Like [`Attaching::write`].
    pub async fn write(&mut self, source: &Source<'_>) -> Result<(), JobError> {
        self.attaching.write(source).await
    }

    /// Takes the documents off the layouts that they had. Call it after [`Converting::write`].
    ///
    /// # Errors
    /// Like [`super::Detaching::write`]. What was converted stays.
    pub async fn remove(&self, source: &Source<'_>) -> Result<(WritePlan, Vec<DetachedDocument>), JobError> {
        let (first, detached) = self.plan_removal(source).await?;
        let again = async || self.plan_removal(source).await.map(|(plan, _)| plan);
        Ok((write(first, again, source).await?, detached))
    }

    /// Plans what [`Converting::remove`] does, from what is there now.
    ///
    /// # Errors
    /// Like [`super::detach`].
    pub async fn plan_removal(&self, source: &Source<'_>) -> Result<(WritePlan, Vec<DetachedDocument>), JobError> {
        let selected = |found: &FoundManifest, layer: &Descriptor| {
            let kept_as = kept_as(found);
            let meant = kept_as != self.request.to.layout() && self.request.from.is_none_or(|from| from == kept_as);
            meant && self.converted.iter().any(|known| known.document == layer.digest)
        };
        let (tag, image) = (self.request.tag.as_ref(), &self.attaching.image);
        let finder = look_again_at_everything(self.request.selector, image, source).await?;
        plan_without(&finder, &selected, tag, source).await
    }
}

/// How a manifest keeps its documents. One that was an attestation manifest of an older index is one still.
fn kept_as(found: &FoundManifest) -> EvidenceLayout {
    let artifact_type = found.manifest.as_image().and_then(|image| image.artifact_type.as_ref());
    match artifact_type {
        Some(kind) if *kind == MediaType::DOCKER_ATTESTATION_MANIFEST => EvidenceLayout::IndexArtifact,
        _ => found.layout(),
    }
}

async fn collect(
    request: &ConvertRequest<'_>,
    finder: &Finder,
    source: &Source<'_>,
) -> Result<Vec<ConvertedDocument>, JobError> {
    let image = finder.image();
    let explicit = !request.types.is_empty() || !request.selected.is_empty();
    let (mut refused, mut seen, mut has, mut converted) = (vec![], vec![], vec![], Vec::<ConvertedDocument>::new());
    for found in finder.found() {
        let from = kept_as(found);
        for layer in found.layers() {
            let digests = [&layer.digest, found.manifest.digest()];
            has.push((layer.digest.clone(), found.manifest.digest().clone()));
            let picked = request.selected.is_empty() || digests.iter().any(|digest| request.selected.contains(digest));
            if !picked || !layer.media_type.claims_evidence() || request.from.is_some_and(|wanted| wanted != from) {
                continue;
            }
            let blob = source.store.blob(layer, source.limits.blob_bytes).await?;
            let Some((statement, content)) = read_document(&blob, layer, source)? else {
                if request.types.is_empty() || !request.selected.is_empty() {
                    refused.push((layer.digest.clone(), "it is not the document that it is called"));
                }
                continue;
            };
            let is_signature = found.second_level || !is_attestation(statement.as_ref());
            let fits =
                |statement: &Statement| request.types.iter().any(|kind| kind.matches(statement.predicate_type()));
            if !request.types.is_empty() && !statement.as_ref().is_some_and(fits) || (is_signature && !explicit) {
                continue;
            }
            seen.push(layer.digest.clone());
            if from == request.to.layout() {
                continue;
            }
            let reshaped = match &statement {
                Some(statement) if !is_signature => reshape(&content, &blob, statement, request.to, source)
                    .and_then(|evidence| place(evidence, statement, found, &image, request.to)),
                _ => Err(Unfit::Because("an image signature has other signed bytes there: sign the image anew")),
            };
            match reshaped {
                // One document may be seen in several places, and hang on several platforms.
                Ok(attached)
                    if converted.iter().any(|known| {
                        known.document == layer.digest && known.attached.subject.digest == attached.subject.digest
                    }) => {}
                Ok(attached) => converted.push(ConvertedDocument {
                    from,
                    manifest: found.manifest.digest().clone(),
                    document: layer.digest.clone(),
                    attached,
                }),
                Err(Unfit::Because(reason)) => refused.push((layer.digest.clone(), reason)),
                Err(Unfit::Failed(error)) => return Err(*error),
            }
        }
    }
    if !refused.is_empty() {
        return Err(JobError::Unconvertible { documents: refused });
    }
    if seen.is_empty() {
        let name = format!("{}@{}", source.store.name(), image.digest());
        return Err(JobError::SelectionAbsent { image: name, wanted: request.selected.to_vec(), has });
    }
    Ok(converted)
}

/// A document, and the statement in it; nothing when it is not what it is called, so that its type is not known either.
fn read_document(
    blob: &Blob,
    layer: &Descriptor,
    source: &Source<'_>,
) -> Result<Option<(Option<Statement>, AttachedContent)>, AttachedError> {
    let read = AttachedContent::read(blob, layer, source.limits);
    match read.and_then(|content| Ok((content.unverified_statement(source.limits)?, content))) {
        Ok(read) => Ok(Some(read)),
        Err(AttachedError::Bundle(_) | AttachedError::Envelope(_) | AttachedError::Statement(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_attestation(statement: Option<&Statement>) -> bool {
    statement.is_some_and(|statement| !Family::signs_images(statement.predicate_type()))
}

/// Why a document is not converted.
enum Unfit {
    Because(&'static str),
    Failed(Box<JobError>),
}

impl<T: Into<JobError>> From<T> for Unfit {
    fn from(error: T) -> Self {
        Self::Failed(Box::new(error.into()))
    }
}

/// The same envelope in the form that a layout wants.
fn reshape(
    content: &AttachedContent,
    blob: &Blob,
    statement: &Statement,
    to: LayoutChoice,
    source: &Source<'_>,
) -> Result<Evidence, Unfit> {
    let envelope = match content {
        AttachedContent::Envelope(attached) if !attached.material().is_empty() && to != LayoutChoice::Referrer => {
            return Err(Unfit::Because(
                "a certificate or log entry is kept beside it, for which there is no place there",
            ));
        }
        AttachedContent::Envelope(attached) => {
            if to == LayoutChoice::Referrer && attached.envelope().signatures().len() != 1 {
                return Err(Unfit::Because("it has several signatures, and a bundle has one"));
            }
            blob.content().clone()
        }
        AttachedContent::Bundle(bundle) => {
            let keyed = matches!(bundle.material(), VerificationMaterial::PublicKey { .. });
            if !keyed || bundle.log_entries() > 0 || bundle.timestamps() > 0 {
                return Err(Unfit::Because("its certificate, log entry or timestamp has no place there"));
            }
            if !matches!(bundle.content(), BundleContent::Envelope(_)) {
                return Err(Unfit::Because("it signs bytes that are elsewhere"));
            }
            Bundle::envelope_text(blob.content(), source.limits).map_err(JobError::Bundle)?
        }
        AttachedContent::UnsignedStatement(_) => {
            return Err(Unfit::Because("a bare statement: if anything is signed, it is the manifest that lists it"));
        }
        AttachedContent::SimpleSigning(_) | AttachedContent::Other => {
            return Err(Unfit::Because("it is no attestation"));
        }
    };
    let (media_type, text, kind) = match (to, content) {
        (LayoutChoice::Referrer, AttachedContent::Envelope(attached)) => {
            let signatures = attached.envelope().signatures();
            let hint = signatures.iter().find_map(|signature| signature.keyid.clone()).unwrap_or_default();
            if !attached.material().is_empty() {
                let text = bundle_around(attached.material(), &hint, envelope)
                    .ok_or(Unfit::Because("the log entry beside it does not say what it is"))?;
                (MediaType::SIGSTORE_BUNDLE_V01, text, DocumentKind::Bundle)
            } else {
                (MediaType::SIGSTORE_BUNDLE_V03, Bundle::around(&hint, envelope), DocumentKind::Bundle)
            }
        }
        (LayoutChoice::Referrer, _) => (blob.media_type().clone(), blob.content().clone(), DocumentKind::Bundle),
        (LayoutChoice::Tag, _) => (MediaType::DSSE_ENVELOPE, envelope, DocumentKind::Envelope),
        (LayoutChoice::Index(_), _) => (envelope_type(statement), envelope, DocumentKind::Envelope),
    };
    let blob = Blob::new(media_type, text).map_err(|error: ContentError| JobError::Content(error))?;
    Ok(Evidence::new(blob, Some(statement.predicate_type().clone()), kind))
}

/// The part of the image that a statement is about, and so hangs on.
fn place(
    evidence: Evidence,
    statement: &Statement,
    found: &FoundManifest,
    image: &Image,
    to: LayoutChoice,
) -> Result<AttachedDocument, Unfit> {
    let is_about =
        |digest: &Digest| statement.subjects().iter().any(|subject: &Subject| subject.is_about(digest, None));
    // Where it hangs now, when it is about that; otherwise what it is about.
    let own = Some(&found.hangs_on).filter(|digest| is_about(digest));
    let digests = image.digests();
    let about = own.or_else(|| digests.iter().map(|(digest, _)| *digest).find(|digest| is_about(digest)));
    let Some(about) = about else { return Err(Unfit::Because("it is about no part of this image")) };
    let leaf = image.platforms().iter().find(|leaf| leaf.descriptor.digest == *about);
    if matches!(to, LayoutChoice::Index(Form::Artifact | Form::Image)) && leaf.is_none() {
        return Err(Unfit::Because("it is about an index, and cannot be inside that"));
    }
    let platform = leaf.and_then(|leaf| leaf.platform.clone());
    Ok(AttachedDocument { subject: image.descriptor_of(about), platform, evidence })
}
