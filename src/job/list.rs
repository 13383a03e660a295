//! List: what is attached, by what descriptors and manifests say. Nothing is verified.

use crate::attach::{AttachError, Finder, FoundManifest};
use crate::digest::Digest;
use crate::limits::Limits;
use crate::location::Location;
use crate::media_type::{MediaType, PredicateType};
use crate::oci::{Descriptor, Image, Platform};
use crate::predicate::Family;
use crate::reference::Selector;
use crate::verify::AttachedContent;

use super::collect::{Rejection, hint};
use super::error::JobError;
use super::find::{Source, find_all};

/// A statement that is attached.
#[derive(Debug, Clone)]
pub struct ListedAttestation {
    /// What it claims to be.
    pub predicate_type: Option<PredicateType>,
    /// Where.
    pub location: Location,
    /// The document's form.
    pub media_type: MediaType,
    /// Length in bytes.
    pub size: u64,
    /// Whether a signature covers it, checked or not.
    pub signed: bool,
    /// Whether that signature is over the manifest that lists it.
    pub through_manifest: bool,
}

/// An image signature.
#[derive(Debug, Clone)]
pub struct ListedSignature {
    /// Where.
    pub location: Location,
    /// The document's form.
    pub media_type: MediaType,
    /// Whether it is over an attestation manifest, not over the image.
    pub second_level: bool,
}

/// Some other file.
#[derive(Debug, Clone)]
pub struct ListedAttachment {
    /// What it claims to be.
    pub artifact_type: MediaType,
    /// Where.
    pub location: Location,
    /// Its name, where it has one.
    pub title: Option<String>,
    /// Length in bytes.
    pub size: u64,
}

/// Everything attached to an image.
pub struct Listed {
    /// The image.
    pub image: Image,
    /// Statements.
    pub attestations: Vec<ListedAttestation>,
    /// Image signatures.
    pub signatures: Vec<ListedSignature>,
    /// Other files.
    pub attachments: Vec<ListedAttachment>,
    /// What was listed and could not be read.
    pub rejections: Vec<Rejection>,
}

/// Lists what is attached to an image. Documents are fetched only where nothing else tells what they are.
///
/// # Errors
/// [`JobError::Store`] when the image itself cannot be read.
pub async fn list(selector: &Selector, platform: Option<&Platform>, source: &Source<'_>) -> Result<Listed, JobError> {
    let root = source.store.manifest(selector).await?;
    let finder = find_all(root, platform, &[], source).await;
    let image = finder.image();
    if let Some(wanted) = platform.filter(|wanted| image.is_index() && image.on(wanted).next().is_none()) {
        return Err(AttachError::no_such_platform(wanted, &image).into());
    }
    let mut listed = Listed {
        image,
        attestations: Vec::new(),
        signatures: Vec::new(),
        attachments: Vec::new(),
        rejections: finder.refused().iter().map(Rejection::of).collect(),
    };
    for found in finder.found() {
        for layer in found.layers() {
            add(&mut listed, &finder, found, layer, source).await;
        }
    }
    Ok(listed)
}

enum Kind {
    Statement { signed: bool },
    Signature,
    File,
}

async fn add(listed: &mut Listed, finder: &Finder, found: &FoundManifest, layer: &Descriptor, source: &Source<'_>) {
    let location = found.location(&layer.digest);
    let (kind, predicate_type) = kind_of(found, layer, source).await;
    let is_signature = found.second_level
        || predicate_type.as_ref().is_some_and(|text| Family::of(text) == Family::named("signature"));
    match kind {
        Kind::Statement { signed } if !is_signature => {
            let through_manifest = !signed && is_signed(finder, found.manifest.digest());
            let same = |known: &&mut ListedAttestation| {
                known.location.layer == location.layer && known.location.hangs_on == location.hangs_on
            };
            if let Some(known) = listed.attestations.iter_mut().find(same) {
                known.location.merge(&location);
                known.signed |= signed || through_manifest;
                return;
            }
            listed.attestations.push(ListedAttestation {
                predicate_type,
                location,
                media_type: layer.media_type.clone(),
                size: layer.size,
                signed: signed || through_manifest,
                through_manifest,
            });
        }
        Kind::Statement { .. } | Kind::Signature => listed.signatures.push(ListedSignature {
            location,
            media_type: layer.media_type.clone(),
            second_level: found.second_level,
        }),
        Kind::File => {
            let artifact_type = found.manifest.as_image().map(|image| image.effective_artifact_type().clone());
            listed.attachments.push(ListedAttachment {
                artifact_type: artifact_type.unwrap_or_else(|| layer.media_type.clone()),
                location,
                title: layer.annotation(crate::oci::annotations::TITLE).map(str::to_owned),
                size: layer.size,
            });
        }
    }
}

/// What a layer is: by its media type and annotations, or by reading it where these do not tell.
async fn kind_of(found: &FoundManifest, layer: &Descriptor, source: &Source<'_>) -> (Kind, Option<PredicateType>) {
    let predicate_type = hint(found, layer);
    match kind_by_type(&layer.media_type) {
        Some(Kind::Statement { signed }) if predicate_type.is_none() => {
            read_type(layer, source).await.unwrap_or((Kind::Statement { signed }, None))
        }
        Some(kind) => (kind, predicate_type),
        None => (Kind::File, predicate_type),
    }
}

fn kind_by_type(media_type: &MediaType) -> Option<Kind> {
    if *media_type == MediaType::COSIGN_SIMPLE_SIGNING {
        return Some(Kind::Signature);
    }
    if media_type.is_sigstore_bundle() || media_type.is_envelope() {
        return Some(Kind::Statement { signed: true });
    }
    (*media_type == MediaType::IN_TOTO).then_some(Kind::Statement { signed: false })
}

/// Whether some signature hangs on an attestation manifest.
fn is_signed(finder: &Finder, manifest: &Digest) -> bool {
    finder.found().iter().any(|found| {
        found.second_level
            && found.hangs_on == *manifest
            && found.layers().iter().any(|layer| kind_by_type(&layer.media_type).is_some())
    })
}

/// Reads a document because no annotation says what it is.
async fn read_type(layer: &Descriptor, source: &Source<'_>) -> Option<(Kind, Option<PredicateType>)> {
    let limits: &Limits = source.limits;
    let blob = source.store.blob(layer, limits.blob_bytes).await.ok()?;
    let content = AttachedContent::read(&blob, layer, limits).ok()?;
    let signed = !matches!(content, AttachedContent::UnsignedStatement(_));
    match content.unverified_statement(limits).ok()? {
        Some(statement) => Some((Kind::Statement { signed }, Some(statement.predicate_type().clone()))),
        None => match content {
            AttachedContent::Bundle(_) | AttachedContent::SimpleSigning(_) => Some((Kind::Signature, None)),
            _ => Some((Kind::File, None)),
        },
    }
}
