//! Reading a layout, wherever its files are: in a folder or in an archive.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, ErrorKind, Read};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::content::{Blob, ContentError};
use crate::digest::{Digest, DigestAlgorithm};
use crate::limits::Limits;
use crate::media_type::MediaType;
use crate::oci::annotations::REF_NAME;
use crate::oci::{Descriptor, LayoutIndex, Manifest, check_layout_file};
use crate::reference::{Selector, Tag};
use crate::store::{Spooler, StoreError, check_size};

use super::referrers::Scan;
use super::saved;

/// Annotation by which containerd relates an entry of `index.json` to the manifest that it is about.
const CONTAINERD_SUBJECT: &str = "io.containerd.manifest.subject";
/// The file `oci-layout` has one short member.
const LAYOUT_FILE_BYTES: u64 = 64 << 10;
/// The file that makes a layout one.
pub(in crate::store) const LAYOUT_FILE_NAME: &str = "oci-layout";
/// The file that names the images.
pub(in crate::store) const INDEX_FILE_NAME: &str = "index.json";

/// The files of a layout. Names are relative to its root, with `/` between their parts.
pub(in crate::store) trait LayoutFiles: Send + Sync {
    /// How the place is named to people.
    fn place(&self) -> String;

    /// Opens a regular file. What is not there is [`ErrorKind::NotFound`]; anything else than a file is refused.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send + '_>>;

    /// How a file is named in an error.
    fn path_of(&self, name: &str) -> String;

    /// Digests of an algorithm that some file is named after.
    fn blobs(&self, algorithm: DigestAlgorithm) -> Result<Vec<Digest>, StoreError>;

    /// Changes whenever a blob comes or goes; `None` when that cannot be told.
    fn blobs_changed(&self) -> Option<SystemTime>;
}

/// `blobs/<algorithm>/<hex>`.
pub(in crate::store) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// Reads a file; `None` when it is longer than `limit` bytes, whatever somebody says of its length.
pub(super) fn read_bounded(files: &dyn LayoutFiles, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    files.open(name)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| u64::try_from(bytes.len()).is_ok_and(|length| length <= limit)))
}

/// A layout that can be read.
pub(in crate::store) struct LayoutReader<F> {
    pub(super) files: F,
    pub(super) limits: Limits,
    scan: Mutex<Option<Scan>>,
    /// Which images a document names that `cosign save` kept, by its digest.
    named: Mutex<HashMap<Digest, HashSet<String>>>,
}

impl<F: LayoutFiles> LayoutReader<F> {
    /// Takes the files of a layout.
    ///
    /// # Errors
    /// [`StoreError::NotALayout`] when `oci-layout` or `index.json` is missing or of another version.
    pub(in crate::store) fn open(files: F, limits: &Limits) -> Result<Self, StoreError> {
        let reader = Self { files, limits: limits.clone(), scan: Mutex::default(), named: Mutex::default() };
        let version = read_bounded(&reader.files, LAYOUT_FILE_NAME, LAYOUT_FILE_BYTES)
            .map_err(|error| reader.not_a_layout(format!("{LAYOUT_FILE_NAME}: {error}")))?;
        if !version.is_some_and(|version| check_layout_file(&version)) {
            return Err(reader.not_a_layout(format!("{LAYOUT_FILE_NAME} names no version 1 layout")));
        }
        if let Err(error) = reader.files.open(INDEX_FILE_NAME) {
            return Err(reader.not_a_layout(match error.kind() {
                ErrorKind::NotFound => format!("{INDEX_FILE_NAME} is missing"),
                _ => format!("{INDEX_FILE_NAME}: {error}"),
            }));
        }
        Ok(reader)
    }

    pub(in crate::store) const fn files(&self) -> &F {
        &self.files
    }

    pub(in crate::store) fn place(&self) -> String {
        self.files.place()
    }

    fn not_a_layout(&self, detail: String) -> StoreError {
        StoreError::NotALayout { place: self.place(), detail }
    }

    fn failed(&self, action: &'static str, name: &str) -> impl FnOnce(io::Error) -> StoreError {
        let path = self.files.path_of(name);
        move |cause| StoreError::Io { action, path, cause }
    }

    pub(super) fn not_found(&self, what: impl ToString) -> StoreError {
        StoreError::NotFound { place: self.place(), what: what.to_string() }
    }

    fn content_error(&self, cause: ContentError) -> StoreError {
        StoreError::Content { place: self.place(), cause }
    }

    pub(in crate::store) fn index(&self) -> Result<LayoutIndex, StoreError> {
        let limit = self.limits.manifest_bytes;
        let text =
            read_bounded(&self.files, INDEX_FILE_NAME, limit).map_err(self.failed("reading", INDEX_FILE_NAME))?;
        let Some(text) = text else {
            return Err(self.not_a_layout(format!("{INDEX_FILE_NAME} has more than {limit} bytes")));
        };
        let limits = Limits { index_children: usize::MAX, ..self.limits.clone() };
        LayoutIndex::read(text, &limits).map_err(|error| self.not_a_layout(format!("{INDEX_FILE_NAME}: {error}")))
    }

    pub(in crate::store) fn manifest(&self, selector: &Selector) -> Result<Manifest, StoreError> {
        let index = self.index()?;
        let descriptor = match (&selector.digest, &selector.tag) {
            (Some(digest), _) => match index.entries().find(|entry| entry.digest == *digest) {
                Some(entry) => entry.clone(),
                None => self.describe(digest)?,
            },
            (None, Some(tag)) => self.only_tagged(&index, tag)?,
            (None, None) => self.only_image(&index)?,
        };
        self.manifest_at(&descriptor)
    }

    pub(in crate::store) fn manifest_at(&self, descriptor: &Descriptor) -> Result<Manifest, StoreError> {
        self.read_manifest(self.blob(descriptor, self.limits.manifest_bytes)?)
    }

    pub(super) fn read_manifest(&self, blob: Blob) -> Result<Manifest, StoreError> {
        Manifest::read(blob, &self.limits).map_err(|cause| StoreError::Manifest { place: self.place(), cause })
    }

    pub(in crate::store) fn tags(&self) -> Result<Vec<Tag>, StoreError> {
        let index = self.index()?;
        Ok(index.entries().filter_map(|entry| Tag::parse(entry.annotation(REF_NAME)?).ok()).collect())
    }

    /// The one manifest that has the tag. With two of them some tools take the first and some the last.
    fn only_tagged(&self, index: &LayoutIndex, tag: &Tag) -> Result<Descriptor, StoreError> {
        let Some(first) = index.tagged(tag.as_str()) else {
            return self.saved_by_cosign(index, tag)?.ok_or_else(|| self.not_found(format!("tag {tag}")));
        };
        let same_tag = index.entries().filter(|entry| entry.annotation(REF_NAME) == Some(tag.as_str()));
        self.only(tag, [first].into_iter().chain(same_tag).collect())
    }

    /// What `cosign save` kept of the tags that cosign 2 has in a registry.
    fn saved_by_cosign(&self, index: &LayoutIndex, tag: &Tag) -> Result<Option<Descriptor>, StoreError> {
        let entries: Vec<&Descriptor> = index.entries().collect();
        let kept = saved::entries_for(&entries, tag, &|entry, images| self.named_by(entry, images));
        if kept.is_empty() { Ok(None) } else { self.only(tag, kept).map(Some) }
    }

    /// The images that the first document of a manifest names; nothing when it cannot be read. Each is read once, however
    /// many entries and tags lead to it.
    fn named_by(&self, entry: &Descriptor, images: &HashSet<&str>) -> Option<HashSet<String>> {
        let manifest = self.manifest_at(entry).ok()?;
        let layer = manifest.as_image()?.layers.first()?.clone();
        let known = self.named.lock().unwrap_or_else(PoisonError::into_inner).get(&layer.digest).cloned();
        if known.is_some() {
            return known;
        }
        let blob = self.blob(&layer, self.limits.blob_bytes).ok()?;
        let named = saved::named_in(blob.content(), images, &self.limits)?;
        self.named.lock().unwrap_or_else(PoisonError::into_inner).insert(layer.digest, named.clone());
        Some(named)
    }

    fn only(&self, tag: &Tag, entries: Vec<&Descriptor>) -> Result<Descriptor, StoreError> {
        let different: BTreeMap<&Digest, &Descriptor> =
            entries.iter().rev().map(|entry| (&entry.digest, *entry)).collect();
        let place = self.place();
        match entries.first() {
            Some(first) if different.len() == 1 => Ok((*first).clone()),
            _ => {
                let tags = different.keys().map(|digest| format!("{place}:{tag}@{digest}")).collect();
                Err(StoreError::Ambiguous { place, tags })
            }
        }
    }

    /// The only entry that is neither evidence nor a tag for it.
    fn only_image(&self, index: &LayoutIndex) -> Result<Descriptor, StoreError> {
        let mut images: BTreeMap<&Digest, (&Descriptor, String)> = BTreeMap::new();
        for entry in index.entries().filter(|entry| !is_evidence(entry)) {
            let name = entry.annotation(REF_NAME).map_or_else(|| format!("@{}", entry.digest), |tag| format!(":{tag}"));
            images.entry(&entry.digest).or_insert((entry, name));
        }
        let place = self.place();
        match images.len() {
            0 => Err(self.no_image(index)),
            1 => images.into_values().next().map(|(entry, _)| entry.clone()).ok_or_else(|| self.not_found("image")),
            _ => {
                let tags = images.into_values().map(|(_, name)| format!("{place}{name}")).collect();
                Err(StoreError::Ambiguous { place, tags })
            }
        }
    }

    /// What to say of a layout without images: empty, or the place where somebody keeps evidence alone.
    fn no_image(&self, index: &LayoutIndex) -> StoreError {
        let subjects = index.entries().filter_map(|entry| entry.annotation(REF_NAME)?.strip_prefix("sha256-"));
        let subjects =
            subjects.filter_map(|hex| Digest::from_hex(DigestAlgorithm::Sha256, hex.split('.').next()?).ok());
        let about: Vec<Digest> = subjects.filter(|digest| self.files.open(&blob_name(digest)).is_err()).collect();
        if about.is_empty() {
            return self.not_found("image");
        }
        StoreError::EvidenceOnly { place: self.place(), about }
    }

    pub(in crate::store) fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Blob, StoreError> {
        let name = blob_name(&descriptor.digest);
        let mut file = match self.files.open(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(self.not_found(&descriptor.digest)),
            Err(error) => return Err(self.failed("reading", &name)(error)),
        };
        check_size(&self.place(), descriptor, limit)?;
        let mut spooler = Spooler::new(descriptor.digest.algorithm(), &self.limits);
        let mut buffer = vec![0; usize::try_from(descriptor.size.clamp(1, 192 * 1024)).unwrap_or(1)];
        loop {
            let read = file.read(&mut buffer).map_err(self.failed("reading", &name))?;
            if read == 0 {
                break;
            }
            spooler.write(buffer.get(..read).unwrap_or_default()).map_err(self.failed("spooling", &name))?;
            if spooler.length() > descriptor.size {
                break;
            }
        }
        let (content, digest) = spooler.finish();
        Blob::assert_digested(&descriptor.media_type, &descriptor.digest, descriptor.size, content, digest)
            .map_err(|cause| self.content_error(cause))
    }

    /// A descriptor for a manifest that is known by its digest alone: what its own bytes say.
    fn describe(&self, digest: &Digest) -> Result<Descriptor, StoreError> {
        let name = blob_name(digest);
        let limit = self.limits.manifest_bytes;
        let bytes = match read_bounded(&self.files, &name, limit) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(self.content_error(ContentError::TooLarge { digest: digest.clone(), limit })),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(self.not_found(digest)),
            Err(error) => return Err(self.failed("reading", &name)(error)),
        };
        let media_type = sniff_media_type(&bytes).unwrap_or(MediaType::OCTET_STREAM);
        Ok(Descriptor::new(media_type, digest.clone(), u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
    }

    pub(in crate::store) fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, StoreError> {
        let mut found: Vec<Descriptor> = Vec::new();
        if let Some(entry) = self.index()?.tagged(Tag::of_referrers(subject).as_str()) {
            // A list of referrers is an index in form only, and may have more entries than an image has platforms.
            let limits = Limits { index_children: self.limits.referrers, ..self.limits.clone() };
            let listing = Manifest::read(self.blob(entry, limits.manifest_bytes)?, &limits)
                .map_err(|cause| StoreError::Manifest { place: self.place(), cause })?;
            // `cosign copy` writes the image itself under this tag: then it lists nothing.
            let children = listing.as_index().map(|index| index.children()).unwrap_or_default();
            found.extend(children.iter().map(|child| child.descriptor.clone()));
        }
        let mut scan = self.scan.lock().unwrap_or_else(PoisonError::into_inner);
        let current = scan.take().filter(|scan| scan.is_current(&self.files));
        let current = match current {
            Some(current) => current,
            None => Scan::of(&self.files, &self.limits)?,
        };
        let scan = scan.insert(current);
        let listed: HashSet<Digest> = found.iter().map(|known| known.digest.clone()).collect();
        found.extend(scan.referrers_of(subject).filter(|known| !listed.contains(&known.digest)).cloned());
        Ok(found)
    }

    pub(super) fn forget_scan(&self) {
        *self.scan.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Whether an entry of `index.json` is evidence about an image and no image.
pub(in crate::store) fn is_evidence(entry: &Descriptor) -> bool {
    let tagged =
        entry.annotation(REF_NAME).and_then(|text| Tag::parse(text).ok()).is_some_and(|tag| tag.is_for_evidence());
    tagged || saved::is_evidence(entry) || entry.annotation(CONTAINERD_SUBJECT).is_some()
}

/// What a manifest's own bytes say that it is: its `mediaType`, or its shape.
pub(crate) fn sniff_media_type(bytes: &[u8]) -> Option<MediaType> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape<'a> {
        media_type: Option<MediaType>,
        #[serde(borrow)]
        manifests: Option<&'a serde_json::value::RawValue>,
        layers: Option<&'a serde_json::value::RawValue>,
    }
    let shape: Shape<'_> = serde_json::from_slice(bytes).ok()?;
    match (shape.media_type, shape.manifests, shape.layers) {
        (Some(media_type), ..) => Some(media_type),
        (None, Some(_), _) => Some(MediaType::OCI_INDEX),
        (None, None, Some(_)) => Some(MediaType::OCI_MANIFEST),
        (None, None, None) => None,
    }
}
