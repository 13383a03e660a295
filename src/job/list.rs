//! List: what is attached, by what descriptors, manifests or documents say. Nothing is verified.

use std::collections::HashMap;

use crate::attach::{AttachError, Finder, FoundManifest, Told, ToldManifest};
use crate::digest::Digest;
use crate::limits::Limits;
use crate::location::{EvidenceLayout, Location, Sighting};
use crate::media_type::{MediaType, PredicateType};
use crate::oci::{Descriptor, Image, Platform, annotations};
use crate::predicate::Family;
use crate::reference::Selector;
use crate::sigstore::VerificationMaterial;
use crate::verify::AttachedContent;

use super::collect::{Rejection, hint};
use super::error::JobError;
use super::find::{Source, find_everything};

/// How much is read to say what is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// What lists of referrers tell; manifests only where these do not. A registry with the referrers API is asked four
    /// times for an image, however much is attached.
    Listings,
    /// Every manifest, and documents where manifests do not tell.
    Manifests,
    /// Every document too, for what it says about its signers.
    Documents,
}

/// A document by the manifest that lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDocument {
    /// Its digest.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

/// What a document says about who signed it. Hints, and nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedSigner(pub String);

/// A statement that is attached.
#[derive(Debug, Clone)]
pub struct ListedAttestation {
    /// What it claims to be.
    pub predicate_type: Option<PredicateType>,
    /// Where.
    pub sighting: Sighting,
    /// The document, where its manifest was read.
    pub document: Option<ListedDocument>,
    /// The document's form, or the artifact type of the manifest that was not read.
    pub media_type: MediaType,
    /// Whether a signature covers it, checked or not.
    pub signed: bool,
    /// Whether that signature is over the manifest that lists it.
    pub through_manifest: bool,
    /// What it says about its signers, where documents were read.
    pub signers: Option<Vec<ClaimedSigner>>,
}

/// An image signature.
#[derive(Debug, Clone)]
pub struct ListedSignature {
    /// Where.
    pub sighting: Sighting,
    /// The document, where its manifest was read.
    pub document: Option<ListedDocument>,
    /// The document's form, or the artifact type of the manifest that was not read.
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
    pub sighting: Sighting,
    /// The file, where its manifest was read.
    pub document: Option<ListedDocument>,
    /// Its name, where it has one and its manifest was read.
    pub title: Option<String>,
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
    /// Attestations by document and by what they hang on, to see each once.
    known: HashMap<(Digest, Digest), usize>,
}

impl ListedAttestation {
    /// Where its document is, when its manifest was read.
    pub fn location(&self) -> Option<Location> {
        self.document.as_ref().map(|document| self.sighting.clone().with_document(&document.digest))
    }
}

impl ListedSignature {
    /// Where its document is, when its manifest was read.
    pub fn location(&self) -> Option<Location> {
        self.document.as_ref().map(|document| self.sighting.clone().with_document(&document.digest))
    }
}

fn sighting_of(found: &FoundManifest) -> Sighting {
    Sighting {
        layout: found.layout(),
        seen: found.seen.iter().copied().collect(),
        manifest: found.manifest.digest().clone(),
        hangs_on: found.hangs_on.clone(),
        file: found.file().map(str::to_owned),
    }
}

fn sighting_of_told(told: &ToldManifest) -> Sighting {
    Sighting {
        layout: EvidenceLayout::Referrer,
        seen: vec![EvidenceLayout::Referrer],
        manifest: told.descriptor.digest.clone(),
        hangs_on: told.hangs_on.clone(),
        file: None,
    }
}

/// Lists what is attached to an image.
///
/// # Errors
/// [`JobError::Store`] when the image itself cannot be read.
pub async fn list(
    selector: &Selector,
    platform: Option<&Platform>,
    detail: Detail,
    source: &Source<'_>,
) -> Result<Listed, JobError> {
    let root = source.store.manifest(selector).await?;
    let finder = source.finder(root, platform, &[]);
    let finder = if detail == Detail::Listings { finder.at_their_word() } else { finder };
    let finder = find_everything(finder, source).await;
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
        known: HashMap::new(),
    };
    for found in finder.found() {
        for layer in found.layers().iter().take(source.limits.layers) {
            listed.add(&finder, found, layer, detail, source).await;
        }
    }
    for told in finder.told() {
        listed.add_told(told);
    }
    // The order of the layouts, whatever was answered first.
    listed.attestations.sort_by_key(|known| known.sighting.layout);
    listed.signatures.sort_by_key(|known| known.sighting.layout);
    Ok(listed)
}

enum Kind {
    Statement { signed: bool },
    Signature,
    File,
}

/// What is known of a document, from its descriptor or from itself.
struct Known {
    kind: Kind,
    predicate_type: Option<PredicateType>,
    signers: Option<Vec<ClaimedSigner>>,
    /// The part of the image that the statement names.
    about: Option<Digest>,
}

impl Listed {
    async fn add(
        &mut self,
        finder: &Finder,
        found: &FoundManifest,
        layer: &Descriptor,
        detail: Detail,
        source: &Source<'_>,
    ) {
        let known = self.know(found, layer, detail, source).await;
        let mut sighting = sighting_of(found);
        if let Some(about) = known.about.filter(|_| found.file().is_some()) {
            // A file hangs on nothing: its statement says what it is about.
            sighting.hangs_on = about;
        }
        let document = Some(ListedDocument { digest: layer.digest.clone(), size: layer.size });
        let media_type = layer.media_type.clone();
        let is_signature = found.second_level || known.predicate_type.as_ref().is_some_and(Family::signs_images);
        match known.kind {
            Kind::Statement { signed } if !is_signature => {
                let through_manifest = !signed && is_signed(finder, found.manifest.digest());
                self.add_attestation(ListedAttestation {
                    predicate_type: known.predicate_type,
                    sighting,
                    document,
                    media_type,
                    signed: signed || through_manifest,
                    through_manifest,
                    signers: known.signers,
                });
            }
            Kind::Statement { .. } | Kind::Signature => {
                let second_level = found.second_level;
                self.signatures.push(ListedSignature { sighting, document, media_type, second_level });
            }
            Kind::File => {
                let artifact_type = found.manifest.as_image().map(|image| image.effective_artifact_type().clone());
                self.attachments.push(ListedAttachment {
                    artifact_type: artifact_type.unwrap_or_else(|| layer.media_type.clone()),
                    sighting,
                    document,
                    title: layer.annotation(annotations::TITLE).map(str::to_owned),
                });
            }
        }
    }

    fn add_attestation(&mut self, attestation: ListedAttestation) {
        let document = attestation.document.as_ref().map(|document| document.digest.clone());
        if let Some(document) = document {
            let key = (document, attestation.sighting.hangs_on.clone());
            if let Some(known) = self.known.get(&key).and_then(|place| self.attestations.get_mut(*place)) {
                known.sighting.merge(&attestation.sighting);
                known.signed |= attestation.signed;
                return;
            }
            self.known.insert(key, self.attestations.len());
        }
        self.attestations.push(attestation);
    }

    fn add_told(&mut self, told: &ToldManifest) {
        let sighting = sighting_of_told(told);
        let artifact_type = told.descriptor.artifact_type.clone().unwrap_or(MediaType::OCTET_STREAM);
        let signature = |sighting| ListedSignature {
            sighting,
            document: None,
            media_type: artifact_type.clone(),
            second_level: told.second_level,
        };
        match &told.told {
            Told::Statement { predicate_type } if !told.second_level && !Family::signs_images(predicate_type) => {
                self.attestations.push(ListedAttestation {
                    predicate_type: Some(predicate_type.clone()),
                    sighting,
                    document: None,
                    media_type: artifact_type,
                    signed: true,
                    through_manifest: false,
                    signers: None,
                });
            }
            Told::Statement { .. } | Told::ImageSignature => self.signatures.push(signature(sighting)),
            Told::File { artifact_type } => self.attachments.push(ListedAttachment {
                artifact_type: artifact_type.clone(),
                sighting,
                document: None,
                title: None,
            }),
        }
    }

    /// What a layer is: by its media type and annotations, or by reading it where these do not tell.
    async fn know(&self, found: &FoundManifest, layer: &Descriptor, detail: Detail, source: &Source<'_>) -> Known {
        let predicate_type = hint(found, layer);
        let by_type = kind_by_type(&layer.media_type);
        let unclear = matches!(by_type, Some(Kind::Statement { .. })) && predicate_type.is_none();
        let wanted = by_type.is_some() && detail == Detail::Documents;
        let read = if unclear || wanted || found.file().is_some() { self.read(layer, source).await } else { None };
        match (read, by_type) {
            (Some(read), _) => {
                let signers = read.signers.filter(|_| detail == Detail::Documents);
                Known { predicate_type: read.predicate_type.or(predicate_type), signers, ..read }
            }
            (None, Some(kind)) => Known { kind, predicate_type, signers: None, about: None },
            (None, None) => Known { kind: Kind::File, predicate_type, signers: None, about: None },
        }
    }

    async fn read(&self, layer: &Descriptor, source: &Source<'_>) -> Option<Known> {
        let limits: &Limits = source.limits;
        let blob = source.blob(layer).await.ok()?;
        let content = AttachedContent::read(&blob, layer, limits).ok()?;
        let signed = !matches!(content, AttachedContent::UnsignedStatement(_));
        let signers = Some(claimed_signers(&content));
        let statement = content.unverified_statement(limits).ok()?;
        let (kind, predicate_type, about) = match (&statement, &content) {
            (Some(statement), _) => {
                let is_about = |(digest, bytes): &(&Digest, _)| {
                    statement.subjects().iter().any(|subject| subject.is_about(digest, *bytes))
                };
                let about = self.image.digests().into_iter().find(is_about).map(|(digest, _)| digest.clone());
                let about = about.or_else(|| statement.subjects().iter().find_map(crate::intoto::Subject::digest));
                (Kind::Statement { signed }, Some(statement.predicate_type().clone()), about)
            }
            (None, AttachedContent::Bundle(_) | AttachedContent::SimpleSigning(_)) => (Kind::Signature, None, None),
            (None, _) => (Kind::File, None, None),
        };
        Some(Known { kind, predicate_type, signers, about })
    }
}

fn claimed_signers(content: &AttachedContent) -> Vec<ClaimedSigner> {
    let key = |hint: &Option<String>| match hint {
        Some(hint) => ClaimedSigner(format!("key {hint}")),
        None => ClaimedSigner("a key without a hint".to_owned()),
    };
    let by_certificate = || vec![ClaimedSigner("a certificate".to_owned())];
    match content {
        AttachedContent::Bundle(bundle) => match bundle.material() {
            VerificationMaterial::PublicKey { hint } => vec![key(hint)],
            VerificationMaterial::Certificates(_) => by_certificate(),
        },
        AttachedContent::Envelope(attached) if attached.material().certificate().is_some() => by_certificate(),
        AttachedContent::Envelope(attached) => {
            attached.envelope().signatures().iter().map(|known| key(&known.keyid)).collect()
        }
        AttachedContent::SimpleSigning(signing) if signing.material().certificate().is_some() => by_certificate(),
        AttachedContent::SimpleSigning(_) => vec![key(&None)],
        AttachedContent::UnsignedStatement(_) | AttachedContent::Other => Vec::new(),
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
    let found = finder.found().iter().any(|found| {
        found.second_level
            && found.hangs_on == *manifest
            && found.layers().iter().any(|layer| kind_by_type(&layer.media_type).is_some())
    });
    let is_file = |told: &ToldManifest| matches!(told.told, Told::File { .. });
    found || finder.told().any(|told| told.second_level && told.hangs_on == *manifest && !is_file(told))
}
