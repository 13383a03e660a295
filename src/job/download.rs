//! Download: a predicate, statement or document off an image. Nothing is verified.

use crate::content::{Blob, Content};
use crate::location::Location;
use crate::media_type::{MediaType, PredicateType};
use crate::oci::{Descriptor, Platform};
use crate::predicate::TypeSelector;
use crate::reference::Selector;
use crate::store::StoreError;
use crate::verify::AttachedContent;

use super::error::JobError;
use super::find::Source;
use super::list::{Detail, list};

/// Which part of a document is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The predicate alone: the SBOM, the VEX document.
    Predicate,
    /// The statement around it.
    Statement,
    /// The document as it is attached: a bundle, an envelope.
    Document,
}

/// A document that was taken off an image.
pub struct Downloaded {
    /// Where it was.
    pub location: Location,
    /// What it claims to be.
    pub predicate_type: Option<PredicateType>,
    /// The bytes that were asked for.
    pub content: Content,
}

/// Takes every document of a type off an image.
///
/// # Errors
/// [`JobError::TypeAbsent`] when there is none, and whatever the store says.
pub async fn download(
    selector: &Selector,
    wanted: &TypeSelector,
    part: Part,
    platform: Option<&Platform>,
    source: &Source<'_>,
) -> Result<Vec<Downloaded>, JobError> {
    let listed = list(selector, platform, Detail::Manifests, source).await?;
    let mut downloaded = Vec::new();
    for attestation in &listed.attestations {
        if !attestation.predicate_type.as_ref().is_some_and(|predicate_type| wanted.matches(predicate_type)) {
            continue;
        }
        let Some(location) = attestation.location() else { continue };
        let (blob, layer) = read_document(&location, &attestation.media_type, source).await?;
        let content = AttachedContent::read(&blob, &layer, source.limits)?;
        let statement = content.unverified_statement(source.limits)?;
        let predicate_type = statement.as_ref().map(|statement| statement.predicate_type().clone());
        // The annotation is a hint; the statement itself decides.
        if !predicate_type.as_ref().is_some_and(|predicate_type| wanted.matches(predicate_type)) {
            continue;
        }
        let content = match (part, &statement) {
            (Part::Predicate, Some(statement)) => statement.predicate().unwrap_or_else(|| Content::from("{}")),
            (Part::Statement, Some(statement)) => statement.payload().clone(),
            _ => blob.content().clone(),
        };
        downloaded.push(Downloaded { location, predicate_type, content });
    }
    if downloaded.is_empty() {
        let mut has: Vec<String> = listed
            .attestations
            .iter()
            .filter_map(|known| known.predicate_type.as_ref().map(ToString::to_string))
            .collect();
        has.sort();
        has.dedup();
        let image = format!("{}@{}", source.store.name(), listed.image.digest());
        return Err(JobError::TypeAbsent { image, wanted: wanted.as_str().to_owned(), has });
    }
    Ok(downloaded)
}

/// Reads a document from where it was seen, with the annotations of the manifest that lists it.
///
/// # Errors
/// Whatever the stores say.
pub async fn read_document(
    location: &Location,
    media_type: &MediaType,
    source: &Source<'_>,
) -> Result<(Blob, Descriptor), JobError> {
    if let Some((manifest, blob)) = source.files.and_then(|files| files.document(location)) {
        let layers = manifest.as_image().map(|image| image.layers.as_slice()).unwrap_or_default();
        if let Some(layer) = layers.first() {
            return Ok((blob.clone(), layer.clone()));
        }
    }
    let mut missing = None;
    for store in source.stores() {
        let selector = Selector { tag: None, digest: Some(location.manifest.clone()) };
        let manifest = match store.manifest(&selector).await {
            Err(error) if error.is_not_found() => {
                missing = Some(error);
                continue;
            }
            other => other?,
        };
        let layers = manifest.as_image().map(|image| image.layers.as_slice()).unwrap_or_default();
        let listed = layers.iter().find(|layer| layer.digest == location.layer && layer.media_type == *media_type);
        if let Some(layer) = listed {
            return Ok((store.blob(layer, source.limits.blob_bytes).await?, layer.clone()));
        }
    }
    let what = location.layer.to_string();
    Err(missing.unwrap_or_else(|| StoreError::NotFound { place: source.store.name(), what }).into())
}
