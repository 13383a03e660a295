//! Collecting: documents are fetched, verified, and kept as evidence or as rejections.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt;

use crate::attach::{Failure, Finder, FoundManifest, Refused};
use crate::code::Code;
use crate::content::Blob;
use crate::crypto::SignatureError;
use crate::digest::Digest;
use crate::intoto::{Statement, Subject};
use crate::limits::Limits;
use crate::location::{EvidenceLayout, Location};
use crate::media_type::{MediaType, PredicateType};
use crate::oci::{Descriptor, Image, Manifest, annotations};
use crate::policy::Evidence;
use crate::sigstore::BundleContent;
use crate::verify::{
    AttachedContent, Attestation, ImageSignature, ReadAgain, VerifiedStatement, Verifier, VerifyError,
};

use super::find::{Source, failure};

/// Something that was found and does not count, and why.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// The manifest, tag or listing.
    pub manifest: String,
    /// The document, when it came that far.
    pub layer: Option<Digest>,
    /// How it was seen.
    pub layout: EvidenceLayout,
    /// What it claims to be. Not verified.
    pub predicate_type: Option<PredicateType>,
    /// The stable code.
    pub code: Code,
    /// One sentence.
    pub message: String,
    /// What would have been right.
    pub expected: Option<String>,
    /// What is there.
    pub got: Option<String>,
    /// Whether asking again might help.
    pub undecided: bool,
}

/// Evidence and rejections of one image, grown phase by phase.
#[derive(Default)]
pub struct Collected {
    /// What counts.
    pub evidence: Evidence,
    /// What does not.
    pub rejections: Vec<Rejection>,
    through_index: bool,
    seen: usize,
    refused: usize,
    bare: Vec<Bare>,
    /// Verified image signatures in files that may be about attestation manifests.
    unplaced: Vec<Unplaced>,
    /// With how many bare statements these were compared.
    placed_for: usize,
    asked_for_bytes: bool,
    fetched_bytes: u64,
    documents: HashMap<(Digest, u64, MediaType), Blob>,
    documents_bytes: u64,
    /// Which attestations in the evidence a document is, by its digest.
    kept: HashMap<Digest, Vec<usize>>,
}

/// A statement that only a signature over its manifest, or over the index, can make count.
struct Bare {
    statement: Statement,
    blob: Blob,
    manifest: Manifest,
    location: Location,
    /// How many of the signatures were looked at.
    tried: usize,
    done: bool,
}

/// A verified image signature in a file.
struct Unplaced {
    statement: VerifiedStatement,
    location: Location,
    /// Whether it is about something that was found.
    is_placed: bool,
}

/// What documents are checked with.
struct Bench<'a> {
    verifier: &'a Verifier,
    limits: &'a Limits,
}

/// Whether a document was dealt with, or has to wait for the bytes of the image's parts.
#[derive(PartialEq, Eq)]
enum Took {
    Done,
    NeedsBytes,
}

/// The first try does without the bytes of the image's parts; the last one has all that could be read.
#[derive(PartialEq, Eq)]
enum Try {
    First,
    Last,
}

struct Fetched {
    layer: Descriptor,
    blob: Result<Blob, Failure>,
}

impl Fetched {
    /// The document, fetched and read.
    fn read(&self, limits: &Limits) -> Result<(&Blob, AttachedContent), Failure> {
        let blob = self.blob.as_ref().map_err(Clone::clone)?;
        let content = AttachedContent::read(blob, &self.layer, limits).map_err(|error| Failure {
            code: error.code(),
            message: error.to_string(),
            undecided: error.code() == Code::StorageFailed,
        })?;
        Ok((blob, content))
    }
}

impl Rejection {
    /// What the finder refused, before any document was fetched.
    pub(super) fn of(refused: &Refused) -> Self {
        from_failure(&refused.failure, refused.what.clone(), None, refused.layout)
    }
}

impl Collected {
    /// Nothing yet. Signatures over the index make the statements inside it count only when somebody asked for that.
    pub fn new(through_index: bool) -> Self {
        Self { through_index, ..Self::default() }
    }

    /// Fetches and verifies what the finder has found since the last call.
    pub async fn take(&mut self, finder: &mut Finder, verifier: &Verifier, source: &Source<'_>) {
        for refused in finder.refused().get(self.refused..).unwrap_or_default() {
            self.rejections.push(Rejection::of(refused));
        }
        self.refused = finder.refused().len();
        let bench = Bench { verifier, limits: source.limits };
        let mut image = finder.image();
        let wanted = finder.found().iter().enumerate().skip(self.seen).flat_map(|(place, found)| {
            let evidence = found.layers().iter().filter(|layer| !layer.media_type.is_image_layer());
            evidence.enumerate().map(move |(number, layer)| (place, number, layer.clone()))
        });
        let wanted = self.within_bounds(wanted.collect(), finder, source.limits);
        let mut fetched = futures_util::stream::iter(self.each_document_once(wanted))
            .map(|wanted| fetch(wanted, source))
            .buffered(source.limits.concurrent_requests);
        while let Some((listings, blob)) = fetched.next().await {
            self.remember(&blob, source.limits);
            for (place, layer) in listings {
                let Some(found) = finder.found().get(place).cloned() else { continue };
                let fetched = Fetched { layer, blob: blob.clone() };
                if self.take_document(&found, &fetched, finder, &image, &bench, Try::First) == Took::NeedsBytes {
                    // Once: what was not there then is not asked for again by every document that claims to need it.
                    if !std::mem::replace(&mut self.asked_for_bytes, true) {
                        image = with_bytes(finder, source).await;
                    }
                    self.take_document(&found, &fetched, finder, &image, &bench, Try::Last);
                }
            }
        }
        self.seen = finder.found().len();
        self.resolve_bare(&image);
    }

    /// Puts listings of the same document together. Those that promise another size or type stay apart, so that a lie
    /// about one of them harms no other.
    fn each_document_once(&self, wanted: Vec<(usize, Descriptor)>) -> Vec<Wanted> {
        let mut documents: Vec<Wanted> = Vec::new();
        let mut places: HashMap<(Digest, u64, MediaType), usize> = HashMap::new();
        for (place, layer) in wanted {
            let key = (layer.digest.clone(), layer.size, layer.media_type.clone());
            match places.get(&key).and_then(|place| documents.get_mut(*place)) {
                Some(wanted) => wanted.listings.push((place, layer)),
                None => {
                    let known = self.documents.get(&key).cloned();
                    places.insert(key, documents.len());
                    documents.push(Wanted { listings: vec![(place, layer)], known });
                }
            }
        }
        documents
    }

    /// Keeps small documents, in case that they are listed once more.
    fn remember(&mut self, blob: &Result<Blob, Failure>, limits: &Limits) {
        let Ok(blob) = blob else { return };
        let held = self.documents_bytes.saturating_add(blob.size());
        if blob.content().in_memory().is_some() && held <= limits.remembered_bytes {
            let key = (blob.digest().clone(), blob.size(), blob.media_type().clone());
            if self.documents.insert(key, blob.clone()).is_none() {
                self.documents_bytes = held;
            }
        }
    }

    /// Leaves out what is too much for one image, and says so: whoever can attach could otherwise keep a gate busy.
    fn within_bounds(
        &mut self,
        wanted: Vec<(usize, usize, Descriptor)>,
        finder: &Finder,
        limits: &Limits,
    ) -> Vec<(usize, Descriptor)> {
        let mut kept = Vec::new();
        for (place, number, layer) in wanted {
            let bytes = self.fetched_bytes.saturating_add(layer.size);
            if number < limits.layers && bytes <= limits.evidence_bytes {
                self.fetched_bytes = bytes;
                kept.push((place, layer));
            } else if let Some(found) = finder.found().get(place) {
                let message = "more is attached than is read for one image".to_owned();
                let failure = Failure { code: Code::TooLarge, message, undecided: true };
                let manifest = found.manifest.digest().to_string();
                self.rejections.push(from_failure(&failure, manifest, Some(layer.digest), found.layout()));
            }
        }
        kept
    }

    /// Statements that nothing signed become rejections. Call once, at the end.
    pub fn finish(&mut self) {
        for bare in self.bare.iter().filter(|bare| !bare.done) {
            let hint = Some(bare.statement.predicate_type().clone());
            self.rejections.push(rejection(&VerifyError::Unsigned, &bare.location, hint));
        }
        for Unplaced { statement, location, .. } in self.unplaced.iter().filter(|unplaced| !unplaced.is_placed) {
            let about = statement.statement().subjects().iter().filter_map(Subject::digest).collect();
            let error = VerifyError::SubjectMismatch { about, bytes_missing: false };
            self.rejections.push(rejection(&error, location, Some(PredicateType::COSIGN_SIGN)));
        }
    }

    /// Whether something could not be fetched that might have mattered.
    pub fn is_undecided(&self) -> bool {
        self.rejections.iter().any(|rejection| rejection.undecided)
    }

    fn take_document(
        &mut self,
        found: &FoundManifest,
        fetched: &Fetched,
        finder: &Finder,
        image: &Image,
        bench: &Bench<'_>,
        attempt: Try,
    ) -> Took {
        let location = found.location(&fetched.layer.digest);
        let hint = hint(found, &fetched.layer);
        let (blob, content) = match fetched.read(bench.limits) {
            Ok(read) => read,
            Err(failure) => {
                let manifest = location.place();
                let rejection = from_failure(&failure, manifest, Some(location.layer.clone()), location.layout);
                self.rejections.push(Rejection { predicate_type: hint, ..rejection });
                return Took::Done;
            }
        };
        // What can only be an image signature is no near miss of anything else.
        let hint = match &content {
            AttachedContent::SimpleSigning(_) => Some(PredicateType::COSIGN_SIGN),
            _ if found.second_level => Some(PredicateType::COSIGN_SIGN),
            _ => hint,
        };
        let result = if found.second_level {
            self.take_second_level(found, &content, blob, &location, finder, bench.verifier)
        } else {
            self.take_first_level(found, content, blob, location.clone(), image, bench.verifier)
        };
        match result {
            Ok(()) => {}
            Err(error) if attempt == Try::First && needs_bytes(&error) => return Took::NeedsBytes,
            Err(error) => self.rejections.push(rejection(&error, &location, hint)),
        }
        Took::Done
    }

    /// A document that hangs on an attestation manifest can only be a signature of that.
    fn take_second_level(
        &mut self,
        found: &FoundManifest,
        content: &AttachedContent,
        blob: &Blob,
        location: &Location,
        finder: &Finder,
        verifier: &Verifier,
    ) -> Result<(), VerifyError> {
        let Some(about) = finder.found_at(&found.hangs_on) else { return Ok(()) };
        if matches!(content, AttachedContent::Other) {
            return Ok(());
        }
        let bytes = about.manifest.bytes();
        let signature = verifier.verify_image_signature(content, blob, &found.hangs_on, Some(bytes), location)?;
        self.keep_signature(signature);
        Ok(())
    }

    fn take_first_level(
        &mut self,
        found: &FoundManifest,
        content: AttachedContent,
        blob: &Blob,
        location: Location,
        image: &Image,
        verifier: &Verifier,
    ) -> Result<(), VerifyError> {
        let verified = match &content {
            AttachedContent::Other => return Ok(()),
            AttachedContent::UnsignedStatement(statement) => {
                let bare = Bare {
                    statement: statement.clone(),
                    blob: blob.clone(),
                    manifest: found.manifest.clone(),
                    location,
                    tried: 0,
                    done: false,
                };
                self.bare.push(bare);
                return Ok(());
            }
            AttachedContent::Bundle(bundle) if matches!(bundle.content(), BundleContent::Envelope(_)) => {
                reading_again(blob, |again| verifier.verify_bundle_while(bundle, again))?
            }
            AttachedContent::Envelope(attached) => {
                reading_again(blob, |again| verifier.verify_attached_envelope(attached, again))?
            }
            AttachedContent::Bundle(_) | AttachedContent::SimpleSigning(_) => {
                let signature = sign_of(&content, blob, &location, image, verifier)?;
                self.keep_signature(signature);
                return Ok(());
            }
        };
        if verified.is_image_signature() {
            let is_file = location.file.is_some();
            let signatures = match signatures_of(&verified, image, &location) {
                Err(VerifyError::SubjectMismatch { bytes_missing: false, .. }) if is_file => Vec::new(),
                signatures => signatures?,
            };
            if is_file {
                // A file hangs on nothing: it may sign an attestation manifest as well, also one that is found later.
                self.keep_unplaced(verified, location, !signatures.is_empty());
            }
            signatures.into_iter().for_each(|signature| self.keep_signature(signature));
            return Ok(());
        }
        let attestation = verified.about(image, location)?;
        self.keep(attestation);
        Ok(())
    }

    /// Ties bare statements to the signatures over their manifests, or over the index.
    ///
    /// Each pair is looked at once, whichever of the two came later. An image or index that was named is never the
    /// carrier: whoever signs an image says that it is released, and nothing about what a layer of it may state.
    fn resolve_bare(&mut self, image: &Image) {
        self.place_signatures();
        let of_image: HashSet<&Digest> = image.digests().into_iter().map(|(digest, _)| digest).collect();
        let mut new = Vec::new();
        for bare in &mut self.bare {
            let (tried, fresh) = self.evidence.signatures.split_at(bare.tried.min(self.evidence.signatures.len()));
            bare.tried = self.evidence.signatures.len();
            let is_image = of_image.contains(bare.manifest.digest());
            for signature in fresh.iter().filter(|_| !is_image) {
                let direct = signature.about() == bare.manifest.digest();
                let through_index = self.through_index && image.is_index() && signature.about() == image.digest();
                if !direct && !through_index {
                    continue;
                }
                // One is enough of those that prove the same: each reads the statement once more.
                let earlier = fresh.iter().take_while(|known| !std::ptr::eq(*known, signature));
                if tried.iter().chain(earlier).any(|known| known.proves_the_same_as(signature)) {
                    continue;
                }
                let (statement, blob) = (bare.statement.clone(), &bare.blob);
                let verified = if direct {
                    VerifiedStatement::assert_through_manifest(statement, blob, &bare.manifest, signature)
                } else {
                    VerifiedStatement::assert_through_index(statement, blob, &bare.manifest, image.root(), signature)
                };
                match verified.and_then(|verified| verified.about(image, bare.location.clone())) {
                    Ok(attestation) => {
                        new.push(attestation);
                        bare.done = true;
                    }
                    Err(error) if direct && !bare.done => {
                        let hint = Some(bare.statement.predicate_type().clone());
                        self.rejections.push(rejection(&error, &bare.location, hint));
                        bare.done = true;
                    }
                    Err(_) => {}
                }
            }
        }
        for attestation in new {
            self.keep(attestation);
        }
    }

    /// Ties image signatures in files to the attestation manifests that they name, however many and whenever found.
    fn place_signatures(&mut self) {
        let fresh = self.bare.get(self.placed_for..).unwrap_or_default();
        let mut seen = HashSet::new();
        let fresh: Vec<&Bare> = fresh.iter().filter(|bare| seen.insert(bare.manifest.digest())).collect();
        self.placed_for = self.bare.len();
        let mut placed = Vec::new();
        for unplaced in &mut self.unplaced {
            let before = placed.len();
            placed.extend(fresh.iter().filter_map(|bare| {
                let manifest = &bare.manifest;
                let bytes = Some(manifest.bytes());
                unplaced.statement.as_image_signature(manifest.digest(), bytes, &unplaced.location).ok()
            }));
            unplaced.is_placed |= placed.len() > before;
        }
        placed.into_iter().for_each(|signature| self.keep_signature(signature));
    }

    /// Lines of a file are cheap: the same statement by the same keys is kept once.
    fn keep_unplaced(&mut self, statement: VerifiedStatement, location: Location, is_placed: bool) {
        let is_known = self.unplaced.iter().any(|known| {
            known.statement.identity() == statement.identity()
                && known.statement.signers() == statement.signers()
                && known.statement.unchecked() == statement.unchecked()
        });
        if !is_known {
            self.unplaced.push(Unplaced { statement, location, is_placed });
            self.placed_for = 0;
        }
    }

    /// The same signature a second time adds nothing: anybody can attach a good one ten thousand times.
    fn keep_signature(&mut self, signature: ImageSignature) {
        if !self.evidence.signatures.iter().any(|known| known.is_same_as(&signature)) {
            self.evidence.signatures.push(signature);
        }
    }

    /// One document that is listed by several manifests, with the same signers, is one attestation that was seen in
    /// several ways: growing an attestation manifest leaves the old one behind as a referrer.
    fn keep(&mut self, attestation: Attestation) {
        let evidence = &mut self.evidence.attestations;
        let places = self.kept.entry(attestation.location().layer.clone()).or_default();
        let is_twin = |known: &Attestation| {
            known.verified().signers() == attestation.verified().signers()
                && known.verified().hop().through() == attestation.verified().hop().through()
                && known.about() == attestation.about()
        };
        let twin = places.iter().copied().find(|place| evidence.get(*place).is_some_and(is_twin));
        if let Some(known) = twin.and_then(|place| evidence.get_mut(place)) {
            return known.also_seen(attestation.location());
        }
        places.push(evidence.len());
        evidence.push(attestation);
    }
}

/// Verifies while another thread digests a large blob again: the two readings are the longest parts of the work.
fn reading_again<T>(
    blob: &Blob,
    verify: impl FnOnce(&mut dyn FnMut() -> Result<ReadAgain, VerifyError>) -> Result<T, VerifyError>,
) -> Result<T, VerifyError> {
    if blob.content().in_memory().is_some() {
        return verify(&mut || ReadAgain::of(blob));
    }
    std::thread::scope(|scope| {
        let mut reading = Some(scope.spawn(|| ReadAgain::of(blob)));
        verify(&mut || match reading.take().map(std::thread::ScopedJoinHandle::join) {
            Some(Ok(again)) => again,
            // A reader that died has proved nothing.
            Some(Err(_)) | None => ReadAgain::of(blob),
        })
    })
}

/// Whether the bytes of a part of the image would help.
const fn needs_bytes(error: &VerifyError) -> bool {
    matches!(error, VerifyError::BytesMissing { .. } | VerifyError::SubjectMismatch { bytes_missing: true, .. })
}

/// Reads the manifests of the image's parts, whose digests alone did not suffice.
async fn with_bytes(finder: &mut Finder, source: &Source<'_>) -> Image {
    for descriptor in finder.leaves_without_bytes() {
        if let Ok(manifest) = source.store.manifest_at(&descriptor.bare()).await {
            finder.give_bytes(&manifest);
        }
    }
    finder.image()
}

/// A document, and where it stands in the finder's list.
struct Wanted {
    listings: Vec<(usize, Descriptor)>,
    known: Option<Blob>,
}

async fn fetch(wanted: Wanted, source: &Source<'_>) -> (Vec<(usize, Descriptor)>, Result<Blob, Failure>) {
    let Wanted { listings, known } = wanted;
    let blob = match (known, listings.first()) {
        (Some(blob), _) => Ok(blob),
        (None, Some((_, layer))) => source.blob(layer).await.map_err(|error| failure(&error)),
        (None, None) => {
            let message = "no store was asked".to_owned();
            Err(Failure { code: Code::NotFound, message, undecided: true })
        }
    };
    (listings, blob)
}

fn sign_of(
    content: &AttachedContent,
    blob: &Blob,
    location: &Location,
    image: &Image,
    verifier: &Verifier,
) -> Result<ImageSignature, VerifyError> {
    let digests = image.digests();
    let of = |hangs_on: &Digest| {
        let bytes = digests.iter().find(|(digest, _)| *digest == hangs_on).and_then(|(_, bytes)| *bytes);
        verifier.verify_image_signature(content, blob, hangs_on, bytes, location)
    };
    let first = of(&location.hangs_on);
    if first.is_ok() || location.file.is_none() {
        return first;
    }
    // A file hangs on nothing: it may sign any part of the image, also one whose bytes were not read yet.
    let mut open = None;
    for (digest, _) in &digests {
        match of(digest) {
            Ok(signature) => return Ok(signature),
            Err(error) if needs_bytes(&error) => open = Some(error),
            Err(_) => {}
        }
    }
    open.map_or(first, Err)
}

/// A signing statement may be about the image and about several of its parts.
fn signatures_of(
    verified: &VerifiedStatement,
    image: &Image,
    location: &Location,
) -> Result<Vec<ImageSignature>, VerifyError> {
    let digests = image.digests();
    let signatures: Vec<ImageSignature> = digests
        .iter()
        .filter_map(|(digest, bytes)| verified.as_image_signature(digest, *bytes, location).ok())
        .collect();
    if signatures.is_empty() {
        let subjects = verified.statement().subjects();
        let about = subjects.iter().filter_map(Subject::digest).collect();
        let unknown = digests.iter().filter(|(_, bytes)| bytes.is_none());
        let bytes_missing =
            unknown.into_iter().any(|(digest, _)| subjects.iter().any(|subject| subject.needs_bytes(digest)));
        return Err(VerifyError::SubjectMismatch { about, bytes_missing });
    }
    Ok(signatures)
}

/// What annotations say about a document's type. Unsigned.
pub(super) fn hint(found: &FoundManifest, layer: &Descriptor) -> Option<PredicateType> {
    let own =
        layer.annotation(annotations::PREDICATE_TYPE).or_else(|| layer.annotation(annotations::COSIGN_PREDICATE_TYPE));
    let outer = || annotations::predicate_type_of_manifest(&found.manifest.as_image()?.annotations);
    own.map(PredicateType::new).or_else(outer)
}

fn from_failure(failure: &Failure, manifest: String, layer: Option<Digest>, layout: EvidenceLayout) -> Rejection {
    Rejection {
        manifest,
        layer,
        layout,
        predicate_type: None,
        code: failure.code,
        message: failure.message.clone(),
        expected: None,
        got: None,
        undecided: failure.undecided,
    }
}

fn rejection(error: &VerifyError, location: &Location, predicate_type: Option<PredicateType>) -> Rejection {
    let (expected, got) = match error {
        VerifyError::SubjectMismatch { about, .. } => {
            (Some(location.hangs_on.to_string()), about.first().map(ToString::to_string))
        }
        VerifyError::OtherManifest { expected, about } => (Some(expected.to_string()), Some(about.clone())),
        VerifyError::NoTrustedSignature { hint, .. } => (
            Some("a signature by one of the given keys".to_owned()),
            hint.as_ref().map(|hint| format!("key hint {hint}")),
        ),
        VerifyError::PayloadType { found } => {
            (Some("application/vnd.in-toto+json".to_owned()), Some(found.to_string()))
        }
        _ => (None, None),
    };
    Rejection {
        manifest: location.place(),
        layer: Some(location.layer.clone()),
        layout: location.layout,
        predicate_type,
        code: error.code(),
        message: error.to_string(),
        expected,
        got,
        undecided: needs_bytes(error)
            || matches!(
                error,
                VerifyError::Content(_)
                    | VerifyError::NoTrustedSignature { last: Some(SignatureError::MessageTooLarge { .. }), .. }
            ),
    }
}
