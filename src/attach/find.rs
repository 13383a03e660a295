//! Finding: what to fetch next, and what the answers mean.
//!
//! The finder does no I/O. It goes outwards in phases, so that a caller who has seen enough can stop, and asks for each
//! thing once however many layouts want it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::code::Code;
use crate::digest::Digest;
use crate::limits::Limits;
use crate::location::{EvidenceLayout, Location};
use crate::media_type::PredicateType;
use crate::oci::{Descriptor, Image, Manifest, Platform, PlatformManifest, annotations};
use crate::predicate::TypeSelector;
use crate::reference::Tag;

use super::referrer::{self, Told};
use super::{index, tag};

/// Something that only a store can answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fetch {
    /// Manifests whose subject is claimed to be this digest.
    Referrers(Digest),
    /// A manifest by its descriptor.
    Manifest(Box<FetchManifest>),
    /// The manifest under a tag.
    Tag(Tag),
}

/// A manifest to fetch, and where it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FetchManifest {
    /// Its digest.
    pub digest: Digest,
    /// Its media type, by the descriptor.
    pub media_type: crate::media_type::MediaType,
    /// Its size, by the descriptor.
    pub size: u64,
}

impl FetchManifest {
    /// The descriptor to fetch by.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest.clone(), self.size)
    }
}

/// What a store answered.
#[derive(Debug)]
pub enum Answer {
    /// The listing.
    Referrers(Vec<Descriptor>),
    /// The listing, as far as it could be read, and what is wrong with its other entries.
    ReferrersInPart(Vec<Descriptor>, Vec<Failure>),
    /// The manifest.
    Manifest(Box<Manifest>),
    /// There is no such thing.
    Absent,
    /// The store could not say, or what it gave is not what it promised.
    Failed(Failure),
}

/// Why something that was listed could not be read.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// One sentence.
    pub message: String,
    /// Whether asking again might help: then an unmet demand is undecided, not refused.
    pub undecided: bool,
}

/// How far the finder has looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Index children and referrers that may be what is wanted.
    Likely,
    /// Signatures over attestation manifests.
    Signatures,
    /// Tags made from digests.
    Tags,
    /// Whatever the annotations said is something else. They may lie.
    Rest,
}

/// A manifest that carries evidence.
#[derive(Debug, Clone)]
pub struct FoundManifest {
    /// The manifest.
    pub manifest: Manifest,
    /// The ways in which it was seen.
    pub seen: BTreeSet<EvidenceLayout>,
    /// The manifest that it hangs on: of the image, or an attestation manifest of it.
    pub hangs_on: Digest,
    /// The manifests whose tags for evidence name it.
    pub tagged_for: BTreeSet<Digest>,
    /// Whether it hangs on an attestation manifest, and so can only be a signature of that.
    pub second_level: bool,
}

impl FoundManifest {
    /// The preferred one of the ways in which it was seen.
    pub fn layout(&self) -> EvidenceLayout {
        self.seen.first().copied().unwrap_or(EvidenceLayout::Referrer)
    }

    /// The layers that it lists; none when it is an index.
    pub fn layers(&self) -> &[Descriptor] {
        self.manifest.as_image().map(|image| image.layers.as_slice()).unwrap_or_default()
    }

    /// The name of the file that it stands for, when it lies beside the image.
    pub fn file(&self) -> Option<&str> {
        if self.layout() != EvidenceLayout::File {
            return None;
        }
        self.manifest.as_image()?.annotations.get(annotations::TITLE).map(String::as_str)
    }

    /// Where one of its layers is.
    pub fn location(&self, layer: &Digest) -> Location {
        Location {
            layout: self.layout(),
            seen: self.seen.iter().copied().collect(),
            manifest: self.manifest.digest().clone(),
            layer: layer.clone(),
            hangs_on: self.hangs_on.clone(),
            file: self.file().map(str::to_owned),
        }
    }
}

/// A manifest that was not fetched, since the list of referrers tells what it is.
#[derive(Debug, Clone)]
pub struct ToldManifest {
    /// Its entry in the list.
    pub descriptor: Descriptor,
    /// What it claims to be.
    pub told: Told,
    /// The manifest that it is listed for.
    pub hangs_on: Digest,
    /// Whether it hangs on an attestation manifest, and so can only be a signature of that.
    pub second_level: bool,
}

/// Where was looked and how much was there, for who wants to know why nothing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looked {
    /// Attestation manifests in indexes.
    pub attestation_manifests: usize,
    /// Manifests whose referrers were asked for.
    pub listings: usize,
    /// Referrers of these that were read.
    pub referrers: usize,
    /// Tags of cosign that were asked for.
    pub tags_asked: usize,
    /// Tags of these that were there.
    pub tags: usize,
    /// Documents in files.
    pub files: usize,
}

/// Something that was listed as evidence and does not count, before any signature was looked at.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The manifest or tag.
    pub what: String,
    /// How it was seen.
    pub layout: EvidenceLayout,
    /// Why.
    pub failure: Failure,
}

struct Wish {
    phase: Phase,
    fetch: Fetch,
    reason: Reason,
}

#[derive(Clone)]
enum Reason {
    IndexChild { about: Digest },
    NestedIndex { child: Box<Descriptor>, held_by: Vec<Digest> },
    Referrer { of: Digest, second_level: bool },
    Listing { of: Digest, second_level: bool },
    Tag { of: Digest, second_level: bool },
}

/// What is known of something that was asked for. Only manifests are wished for by several.
#[derive(Clone)]
enum Known {
    Manifest(Arc<Manifest>),
    Unreadable(Failure),
    Nothing,
}

/// Finds the manifests that carry evidence about an image.
pub struct Finder {
    root: Manifest,
    wanted_platform: Option<Platform>,
    wanted_types: Vec<TypeSelector>,
    limits: Limits,
    phase: Phase,
    wishes: Vec<Wish>,
    waiting: HashMap<Fetch, Vec<Reason>>,
    /// What was answered, for those who wish for it later and for another reason.
    answered: HashMap<Fetch, Known>,
    /// Nested indexes whose leaves are known, or that are a leaf themselves.
    entered: HashSet<Digest>,
    /// The indexes that those that were entered list.
    listed_indexes: HashSet<Digest>,
    /// Bytes of all manifests that were answered.
    manifest_bytes: u64,
    inner: Vec<Manifest>,
    leaves: Vec<PlatformManifest>,
    found: Vec<FoundManifest>,
    /// Where in `found` a manifest is.
    places: HashMap<Digest, usize>,
    /// Whether entries of lists are taken at their word.
    at_their_word: bool,
    told: Vec<ToldManifest>,
    told_digests: HashSet<(Digest, Digest)>,
    refused: Vec<Refused>,
}

impl Finder {
    /// Starts at what was named. With a platform, only its manifests and what hangs on them or the index is looked at.
    /// `types` puts what annotations say is something else last.
    pub fn new(root: Manifest, platform: Option<&Platform>, types: &[TypeSelector], limits: &Limits) -> Self {
        let mut finder = Self {
            root: root.clone(),
            wanted_platform: platform.cloned(),
            wanted_types: types.to_vec(),
            limits: limits.clone(),
            phase: Phase::Likely,
            wishes: Vec::new(),
            waiting: HashMap::new(),
            answered: HashMap::new(),
            entered: HashSet::new(),
            listed_indexes: HashSet::new(),
            manifest_bytes: 0,
            inner: Vec::new(),
            leaves: Vec::new(),
            found: Vec::new(),
            places: HashMap::new(),
            at_their_word: false,
            told: Vec::new(),
            told_digests: HashSet::new(),
            refused: Vec::new(),
        };
        finder.look_around(root.digest(), false);
        finder.enter_index(&root, &[]);
        finder
    }

    /// Adds manifests that stand for files beside the image. What they are about is not known before they are read, so
    /// they hang on what was named.
    #[must_use]
    pub fn with_files(mut self, manifests: &[Manifest]) -> Self {
        let root = self.root.digest().clone();
        for manifest in manifests {
            self.add(manifest, EvidenceLayout::File, &root, false);
        }
        self
    }

    /// Takes lists of referrers at their word where an entry tells what it is: its manifest is not fetched, and so not
    /// compared with the list either. For saying what is there, never for deciding.
    #[must_use]
    pub fn at_their_word(self) -> Self {
        Self { at_their_word: true, ..self }
    }

    /// Takes answers and says what to fetch next; nothing more means that this phase is done.
    pub fn step(&mut self, answers: Vec<(Fetch, Answer)>) -> Vec<Fetch> {
        for (fetch, answer) in answers {
            if let Some(reasons) = self.waiting.remove(&fetch) {
                let known = self.learn(&reasons, answer);
                self.take(&reasons, &fetch, &known);
                self.answered.insert(fetch, known);
            }
        }
        let mut next = Vec::new();
        loop {
            let due: Vec<Wish> = self.wishes.extract_if(.., |wish| wish.phase <= self.phase).collect();
            if due.is_empty() {
                return next;
            }
            for Wish { fetch, reason, .. } in due {
                // An answer counts for every reason, whenever it turns up: an index that was first seen as something
                // else would otherwise hide its images.
                if let Some(known) = self.answered.get(&fetch).cloned() {
                    self.take(&[reason], &fetch, &known);
                } else if let Some(reasons) = self.waiting.get_mut(&fetch) {
                    reasons.push(reason);
                } else {
                    next.push(fetch.clone());
                    self.waiting.insert(fetch, vec![reason]);
                }
            }
        }
    }

    /// Looks further out; `false` when all was looked at.
    pub fn widen(&mut self) -> bool {
        self.phase = match self.phase {
            Phase::Likely => Phase::Signatures,
            Phase::Signatures => Phase::Tags,
            Phase::Tags => Phase::Rest,
            Phase::Rest => return false,
        };
        true
    }

    /// How far was looked.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The image, with all its leaves once the first phase is done.
    pub fn image(&self) -> Image {
        Image::new(self.root.clone(), self.leaves.clone()).with_inner(self.inner.clone())
    }

    /// Whether every index inside the image was read, or cannot be: until then [`Finder::image`] may lack parts.
    pub fn parts_are_known(&self) -> bool {
        let is_index = |reason: &Reason| matches!(reason, Reason::NestedIndex { .. });
        !self.wishes.iter().any(|wish| is_index(&wish.reason)) && !self.waiting.values().flatten().any(is_index)
    }

    /// The leaves whose bytes were not read: their digests were enough so far.
    pub fn leaves_without_bytes(&self) -> Vec<Descriptor> {
        self.leaves.iter().filter(|leaf| leaf.bytes.is_none()).map(|leaf| leaf.descriptor.clone()).collect()
    }

    /// Takes the bytes of a leaf, for subjects that give other algorithms than the index does.
    pub fn give_bytes(&mut self, manifest: &Manifest) {
        for leaf in self.leaves.iter_mut().filter(|leaf| leaf.descriptor.digest == *manifest.digest()) {
            leaf.bytes = Some(manifest.bytes().clone());
        }
    }

    /// The manifests found so far.
    pub fn found(&self) -> &[FoundManifest] {
        &self.found
    }

    /// The one of them that has this digest.
    pub fn found_at(&self, digest: &Digest) -> Option<&FoundManifest> {
        self.found.get(*self.places.get(digest)?)
    }

    /// What lists of referrers told about manifests that were not fetched, not counting what was found otherwise.
    pub fn told(&self) -> impl Iterator<Item = &ToldManifest> {
        self.told.iter().filter(|told| !self.places.contains_key(&told.descriptor.digest))
    }

    /// Where was looked so far.
    pub fn looked(&self) -> Looked {
        let asked = |of: fn(&Fetch) -> bool| self.answered.keys().filter(|fetch| of(fetch)).count();
        let found = |layouts: &[EvidenceLayout]| {
            self.found.iter().filter(|found| layouts.iter().any(|layout| found.seen.contains(layout))).count()
        };
        Looked {
            attestation_manifests: found(&[EvidenceLayout::Index, EvidenceLayout::IndexArtifact]),
            listings: asked(|fetch| matches!(fetch, Fetch::Referrers(_))),
            referrers: found(&[EvidenceLayout::Referrer]),
            tags_asked: asked(|fetch| matches!(fetch, Fetch::Tag(_))),
            tags: found(&[EvidenceLayout::Tag]),
            files: found(&[EvidenceLayout::File]),
        }
    }

    /// What was listed and does not count.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    fn wish(&mut self, phase: Phase, fetch: Fetch, reason: Reason) {
        self.wishes.push(Wish { phase, fetch, reason });
    }

    /// Everything that may hang on a digest.
    fn look_around(&mut self, digest: &Digest, second_level: bool) {
        let listing = Reason::Listing { of: digest.clone(), second_level };
        let phase = if second_level { Phase::Signatures } else { Phase::Likely };
        self.wish(phase, Fetch::Referrers(digest.clone()), listing);
        for tag in tag::tags_of(digest, second_level) {
            self.wish(Phase::Tags, Fetch::Tag(tag), Reason::Tag { of: digest.clone(), second_level });
        }
    }

    fn enter_index(&mut self, manifest: &Manifest, held_by: &[Digest]) {
        let Some(index) = manifest.as_index() else { return };
        let holders: Vec<Digest> = held_by.iter().chain([manifest.digest()]).cloned().collect();
        for child in index.children() {
            let descriptor = &child.descriptor;
            if child.is_attestation_manifest() {
                let about = child.reference_digest().unwrap_or_else(|| manifest.digest().clone());
                let mut named = index.children().iter().filter(|child| child.descriptor.digest == about).peekable();
                // What is about a platform that nobody asked for is not looked at.
                if named.peek().is_none() || named.any(|child| self.is_on_wanted_platform(&child.descriptor)) {
                    self.wish(Phase::Likely, fetch_manifest(descriptor), Reason::IndexChild { about });
                }
            } else if descriptor.media_type.is_image_index() && holders.len() < self.limits.index_depth {
                self.listed_indexes.insert(descriptor.digest.clone());
                let reason = Reason::NestedIndex { child: Box::new(descriptor.clone()), held_by: holders.clone() };
                self.wish(Phase::Likely, fetch_manifest(descriptor), reason);
            } else {
                self.add_leaf(descriptor, &holders);
            }
        }
    }

    /// Enters an index once, however often it is listed: a few indexes that list each other a thousand times would
    /// otherwise unfold into 10⁹ images.
    fn enter_nested(&mut self, manifest: &Manifest, child: &Descriptor, held_by: &[Digest]) {
        if self.entered.contains(manifest.digest()) {
            return;
        }
        let children: Vec<_> = manifest.as_index().into_iter().flat_map(|index| index.children()).collect();
        // Indexes of indexes are bounded as well: without a single image in them they would be fetched without end.
        let is_new_index = |descriptor: &Descriptor| {
            descriptor.media_type.is_image_index() && !self.listed_indexes.contains(&descriptor.digest)
        };
        let indexes = children.iter().filter(|child| is_new_index(&child.descriptor)).count();
        let most = self.limits.image_parts;
        if self.leaves.len() + children.len() > most || self.listed_indexes.len() + indexes > most {
            return self.stay_outside(child, held_by);
        }
        if self.entered.insert(manifest.digest().clone()) {
            self.inner.push(manifest.clone());
            self.look_around(manifest.digest(), false);
            self.enter_index(manifest, held_by);
        }
    }

    fn add_leaf(&mut self, descriptor: &Descriptor, holders: &[Digest]) {
        let leaf = PlatformManifest {
            platform: descriptor.platform.clone(),
            descriptor: descriptor.clone(),
            held_by: holders.to_vec(),
            bytes: None,
        };
        self.leaves.push(leaf);
        if self.is_on_wanted_platform(descriptor) {
            self.look_around(&descriptor.digest, false);
        }
    }

    fn is_on_wanted_platform(&self, descriptor: &Descriptor) -> bool {
        match (&self.wanted_platform, &descriptor.platform) {
            (Some(wanted), Some(platform)) => !platform.is_said() || platform.matches(wanted),
            (_, None) | (None, _) => true,
        }
    }

    /// Listings are taken as they come; what else was answered may be of use again.
    fn learn(&mut self, reasons: &[Reason], answer: Answer) -> Known {
        match answer {
            Answer::ReferrersInPart(listed, failures) => {
                for reason in reasons {
                    if let Reason::Listing { of, .. } = reason {
                        self.refused.extend(failures.iter().map(|failure| Refused {
                            what: format!("referrers of {of}"),
                            layout: EvidenceLayout::Referrer,
                            failure: failure.clone(),
                        }));
                    }
                }
                self.learn(reasons, Answer::Referrers(listed))
            }
            Answer::Referrers(listed) => {
                for reason in reasons {
                    if let Reason::Listing { of, second_level } = reason {
                        self.take_listing(&listed, of, *second_level);
                    }
                }
                Known::Nothing
            }
            Answer::Manifest(manifest) => {
                let bytes = self.manifest_bytes.saturating_add(manifest.blob().size());
                if bytes > self.limits.manifests_bytes {
                    let limit = self.limits.manifests_bytes;
                    let message = format!("more than {limit} bytes of manifests are attached");
                    return Known::Unreadable(Failure { code: Code::TooLarge, message, undecided: true });
                }
                self.manifest_bytes = bytes;
                Known::Manifest(Arc::from(manifest))
            }
            Answer::Absent
                if reasons.iter().all(|reason| matches!(reason, Reason::Tag { .. } | Reason::Listing { .. })) =>
            {
                Known::Nothing
            }
            Answer::Absent => {
                let message = "it is listed and not there".to_owned();
                Known::Unreadable(Failure { code: Code::NotFound, message, undecided: true })
            }
            Answer::Failed(failure) => Known::Unreadable(failure),
        }
    }

    fn take(&mut self, reasons: &[Reason], fetch: &Fetch, known: &Known) {
        for reason in reasons {
            match known {
                Known::Manifest(manifest) => self.take_manifest(manifest, reason),
                Known::Unreadable(failure) => {
                    if let Reason::NestedIndex { child, held_by } = reason {
                        self.stay_outside(child, held_by);
                    }
                    self.refuse(fetch, reason, failure.clone());
                }
                Known::Nothing => {}
            }
        }
    }

    /// An index that was not read may hold anything: it has to be covered as the leaf that it then is. Leaving it out
    /// would let an image through whose parts nobody saw.
    fn stay_outside(&mut self, child: &Descriptor, held_by: &[Digest]) {
        if self.entered.insert(child.digest.clone()) {
            self.add_leaf(child, held_by);
        }
    }

    fn take_listing(&mut self, listed: &[Descriptor], of: &Digest, second_level: bool) {
        for descriptor in listed.iter().take(self.limits.referrers) {
            let phase = match referrer::hinted_type(descriptor) {
                _ if second_level => Phase::Signatures,
                Some(hint) if !self.is_wanted(&hint) => Phase::Rest,
                _ => Phase::Likely,
            };
            match referrer::told(descriptor).filter(|_| self.at_their_word) {
                Some(told) => self.take_told(descriptor, told, of, second_level),
                None => {
                    let reason = Reason::Referrer { of: of.clone(), second_level };
                    self.wish(phase, fetch_manifest(descriptor), reason);
                }
            }
        }
        if listed.len() > self.limits.referrers {
            // A flood must not pass for absence.
            let message =
                format!("only the first {} of {} referrers were looked at", self.limits.referrers, listed.len());
            let failure = Failure { code: Code::TooLarge, message, undecided: true };
            let what = format!("referrers of {of}");
            self.refused.push(Refused { what, layout: EvidenceLayout::Referrer, failure });
        }
    }

    /// Both stores of an image may list the same manifest.
    fn take_told(&mut self, descriptor: &Descriptor, told: Told, of: &Digest, second_level: bool) {
        if !self.told_digests.insert((descriptor.digest.clone(), of.clone())) {
            return;
        }
        let (descriptor, hangs_on) = (descriptor.clone(), of.clone());
        self.told.push(ToldManifest { descriptor, told, hangs_on, second_level });
    }

    fn is_wanted(&self, hint: &PredicateType) -> bool {
        self.wanted_types.is_empty() || self.wanted_types.iter().any(|selector| selector.matches(hint))
    }

    fn take_manifest(&mut self, manifest: &Manifest, reason: &Reason) {
        match reason {
            Reason::NestedIndex { child, held_by } => self.enter_nested(manifest, child, held_by),
            Reason::IndexChild { about } => {
                self.add(manifest, index::layout_of(manifest), about, false);
            }
            Reason::Referrer { of, second_level } => match referrer::check_subject(manifest, of) {
                Ok(()) => self.add(manifest, EvidenceLayout::Referrer, of, *second_level),
                Err(failure) => {
                    let what = manifest.digest().to_string();
                    self.refused.push(Refused { what, layout: EvidenceLayout::Referrer, failure });
                }
            },
            Reason::Tag { of, second_level } => self.add(manifest, EvidenceLayout::Tag, of, *second_level),
            Reason::Listing { .. } => {}
        }
    }

    fn add(&mut self, manifest: &Manifest, layout: EvidenceLayout, hangs_on: &Digest, second_level: bool) {
        let place = self.places.get(manifest.digest());
        let tagged_for = Some(hangs_on.clone()).filter(|_| layout == EvidenceLayout::Tag);
        if let Some(known) = place.and_then(|place| self.found.get_mut(*place)) {
            known.seen.insert(layout);
            known.tagged_for.extend(tagged_for);
            known.second_level &= second_level;
            return;
        }
        self.places.insert(manifest.digest().clone(), self.found.len());
        self.found.push(FoundManifest {
            manifest: manifest.clone(),
            seen: BTreeSet::from([layout]),
            hangs_on: hangs_on.clone(),
            tagged_for: tagged_for.into_iter().collect(),
            second_level,
        });
        if !second_level && layout != EvidenceLayout::File && referrer::may_hold_bare_statements(manifest) {
            self.look_around(manifest.digest(), true);
        }
    }

    fn refuse(&mut self, fetch: &Fetch, reason: &Reason, failure: Failure) {
        let what = match fetch {
            Fetch::Referrers(digest) => format!("referrers of {digest}"),
            Fetch::Manifest(manifest) => manifest.digest.to_string(),
            Fetch::Tag(tag) => format!("tag {tag}"),
        };
        let layout = match reason {
            Reason::IndexChild { .. } | Reason::NestedIndex { .. } => EvidenceLayout::Index,
            Reason::Referrer { .. } | Reason::Listing { .. } => EvidenceLayout::Referrer,
            Reason::Tag { .. } => EvidenceLayout::Tag,
        };
        self.refused.push(Refused { what, layout, failure });
    }
}

fn fetch_manifest(descriptor: &Descriptor) -> Fetch {
    Fetch::Manifest(Box::new(FetchManifest {
        digest: descriptor.digest.clone(),
        media_type: descriptor.media_type.clone(),
        size: descriptor.size,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Blob;
    use crate::media_type::MediaType;
    use crate::oci::{artifact_manifest, new_index};

    fn manifest(blob: Blob) -> Manifest {
        Manifest::read(blob, &Limits::default()).unwrap()
    }

    fn referrer_of(subject: &Manifest) -> Manifest {
        let layer = Descriptor::new(MediaType::SIGSTORE_BUNDLE_V03, Digest::sha256(b"bundle"), 6);
        let subject = subject.descriptor();
        manifest(artifact_manifest(&MediaType::SIGSTORE_BUNDLE_V03, &[layer], Some(&subject), &Default::default()))
    }

    fn image(seed: &str) -> Manifest {
        let annotations = [("seed".to_owned(), seed.to_owned())].into();
        manifest(artifact_manifest(&MediaType::new("x/y"), &[], None, &annotations))
    }

    #[test]
    fn a_referrer_that_points_elsewhere_is_refused() {
        let root = image("root");
        let lying = referrer_of(&image("other"));
        let mut finder = Finder::new(root.clone(), None, &[], &Limits::default());
        let first = finder.step(Vec::new());
        assert_eq!(first, [Fetch::Referrers(root.digest().clone())]);
        let listing = Answer::Referrers(vec![lying.referrer_descriptor()]);
        let second = finder.step(vec![(first[0].clone(), listing)]);
        let rest = finder.step(vec![(second[0].clone(), Answer::Manifest(Box::new(lying)))]);
        assert!(rest.is_empty() && finder.found().is_empty());
        assert_eq!(finder.refused()[0].failure.code, Code::ReferrerSubjectMismatch);
    }

    #[test]
    fn what_hints_call_something_else_is_fetched_last_but_fetched() {
        let root = image("root");
        let mut entry = referrer_of(&root).referrer_descriptor();
        entry.annotations.insert("dev.sigstore.bundle.predicateType".into(), "https://openvex.dev/ns".into());
        let spdx = TypeSelector::parse("spdx").unwrap();
        let mut finder = Finder::new(root, None, &[spdx], &Limits::default());
        let first = finder.step(Vec::new());
        assert!(finder.step(vec![(first[0].clone(), Answer::Referrers(vec![entry]))]).is_empty());
        let mut asked = Vec::new();
        while finder.widen() {
            let next = finder.step(Vec::new());
            asked.extend(next.iter().filter(|fetch| matches!(fetch, Fetch::Manifest(_))).cloned());
        }
        assert_eq!(asked.len(), 1);
    }

    #[test]
    fn leaves_of_nested_indexes_are_found() {
        let leaf = image("leaf");
        let inner = manifest(new_index(&[leaf.descriptor()], &Default::default()));
        let outer = manifest(new_index(&[inner.descriptor()], &Default::default()));
        let mut finder = Finder::new(outer.clone(), None, &[], &Limits::default());
        let first = finder.step(Vec::new());
        let nested = first.iter().find(|fetch| matches!(fetch, Fetch::Manifest(_))).unwrap().clone();
        finder.step(vec![(nested, Answer::Manifest(Box::new(inner.clone())))]);
        let image = finder.image();
        assert_eq!(image.platforms()[0].descriptor.digest, *leaf.digest());
        assert_eq!(image.platforms()[0].held_by, [outer.digest().clone(), inner.digest().clone()]);
    }

    #[test]
    fn referrers_past_the_bound_leave_the_question_open() {
        let root = image("root");
        let limits = Limits { referrers: 1, ..Limits::default() };
        let mut finder = Finder::new(root.clone(), None, &[], &limits);
        let first = finder.step(Vec::new());
        let listing = vec![referrer_of(&root).referrer_descriptor(); 2];
        assert_eq!(finder.step(vec![(first[0].clone(), Answer::Referrers(listing))]).len(), 1);
        assert!(finder.refused()[0].failure.undecided);
    }

    #[test]
    fn an_index_past_the_bound_of_parts_is_a_part_itself() {
        let inner = manifest(new_index(&[image("a").descriptor(), image("b").descriptor()], &Default::default()));
        let outer = manifest(new_index(&[inner.descriptor()], &Default::default()));
        for (image_parts, expected) in [(1, 1), (2, 2)] {
            let limits = Limits { image_parts, ..Limits::default() };
            let mut finder = Finder::new(outer.clone(), None, &[], &limits);
            let first = finder.step(Vec::new());
            let nested = first.iter().find(|fetch| matches!(fetch, Fetch::Manifest(_))).unwrap().clone();
            finder.step(vec![(nested, Answer::Manifest(Box::new(inner.clone())))]);
            assert_eq!(finder.image().platforms().len(), expected);
        }
    }

    #[test]
    fn indexes_of_indexes_are_entered_up_to_the_bound_of_parts() {
        // Ten indexes with ten indexes each, and not one image.
        let index = |children: &[Descriptor]| manifest(new_index(children, &Default::default()));
        let named = |seed: usize| Descriptor::new(MediaType::OCI_INDEX, Digest::sha256(&seed.to_le_bytes()), 1);
        let inner: Vec<Manifest> =
            (0..10).map(|outer| index(&(0..10).map(|place| named(10 * outer + place)).collect::<Vec<_>>())).collect();
        let outer = index(&inner.iter().map(Manifest::descriptor).collect::<Vec<_>>());
        let limits = Limits { image_parts: 40, ..Limits::default() };
        let mut finder = Finder::new(outer, None, &[], &limits);
        let wished = finder.step(Vec::new());
        let answers = wished.into_iter().filter_map(|fetch| {
            let Fetch::Manifest(wanted) = &fetch else { return None };
            let known = inner.iter().find(|known| *known.digest() == wanted.digest)?.clone();
            Some((fetch, Answer::Manifest(Box::new(known))))
        });
        let answers = answers.collect();
        let next = finder.step(answers);
        let fetched = next.iter().filter(|fetch| matches!(fetch, Fetch::Manifest(_))).count();
        assert_eq!(fetched, 30, "three of ten are entered");
        assert_eq!(finder.image().platforms().len(), 7, "and the others are parts");
    }

    #[test]
    fn manifests_past_the_bound_of_all_bytes_leave_the_question_open() {
        let root = image("root");
        let referrers = [referrer_of(&root), image("other")];
        let limits = Limits { manifests_bytes: referrers[0].blob().size(), ..Limits::default() };
        let mut finder = Finder::new(root, None, &[], &limits);
        let first = finder.step(Vec::new());
        let listing = referrers.iter().map(Manifest::referrer_descriptor).collect();
        let wished = finder.step(vec![(first[0].clone(), Answer::Referrers(listing))]);
        let answers = wished.into_iter().zip(&referrers);
        finder.step(answers.map(|(fetch, manifest)| (fetch, Answer::Manifest(Box::new(manifest.clone())))).collect());
        assert_eq!(finder.found().len(), 1);
        let failure = &finder.refused()[0].failure;
        assert!(failure.undecided && failure.code == Code::TooLarge);
    }
}
