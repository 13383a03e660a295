//! A store in an OCI image layout folder.
//!
//! Writes are atomic and one at a time: blobs are complete before they have their name, `index.json` is replaced by a
//! rename under a lock, and a process killed at any moment leaves a sound layout. Calls block on the disk; they are
//! `async` for the trait only.
//!
//! Source: image-spec 1.1, image-layout.md; the fallback tag in `index.json` as regctl and oras write it.

mod files;
mod referrers;
mod removal;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{Expected, Pushed, Removed, Spooler, Store, StoreError, check_expected, check_size, random_below};
use crate::content::{Blob, ContentError};
use crate::digest::{Digest, DigestAlgorithm};
use crate::limits::Limits;
use crate::media_type::MediaType;
use crate::oci::annotations::REF_NAME;
use crate::oci::{Descriptor, LAYOUT_FILE, LayoutIndex, Manifest, check_layout_file, new_index};
use crate::reference::{Selector, Tag};
use files::{WriteLock, blob_path, failed, open_regular, read_bounded, write_atomically};
use referrers::Scan;

/// Annotation by which containerd relates an entry of `index.json` to the manifest that it is about.
const CONTAINERD_SUBJECT: &str = "io.containerd.manifest.subject";
/// Annotation by which `cosign save` tells images from their signatures and attestations.
const COSIGN_KIND: &str = "kind";
/// The file `oci-layout` has one short member.
const LAYOUT_FILE_BYTES: u64 = 64 << 10;
/// How long another writer is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Milliseconds up to which a writer waits that met another one. A write takes a few.
const PAUSE_MILLISECONDS: u64 = 40;

/// An OCI image layout folder.
pub struct Layout {
    root: PathBuf,
    limits: Limits,
    lock_wait: Duration,
    scan: Mutex<Option<Scan>>,
}

impl Layout {
    /// Opens an existing folder.
    ///
    /// # Errors
    /// [`StoreError::NotALayout`] when `oci-layout` or `index.json` is missing or of another version.
    pub fn open(root: &Path, limits: &Limits) -> Result<Self, StoreError> {
        let layout =
            Self { root: root.to_owned(), limits: limits.clone(), lock_wait: LOCK_WAIT, scan: Mutex::default() };
        let not_a_layout = |detail: String| StoreError::NotALayout { place: layout.name(), detail };
        let version = read_bounded(&root.join("oci-layout"), LAYOUT_FILE_BYTES).map_err(|error| {
            not_a_layout(if root.exists() {
                format!("oci-layout: {error}")
            } else {
                "there is no such folder".to_owned()
            })
        })?;
        if !version.is_some_and(|version| check_layout_file(&version)) {
            return Err(not_a_layout("oci-layout names no version 1 layout".to_owned()));
        }
        if !root.join("index.json").is_file() {
            return Err(not_a_layout("index.json is missing".to_owned()));
        }
        Ok(layout)
    }

    /// Opens the folder, and makes an empty layout in it when there is none.
    ///
    /// # Errors
    /// [`StoreError::NotALayout`] when the folder holds something else; [`StoreError::Io`].
    pub fn create(root: &Path, limits: &Limits) -> Result<Self, StoreError> {
        let fresh = match fs::read_dir(root) {
            Ok(mut entries) => entries.next().is_none(),
            Err(_) => true,
        };
        if fresh {
            let blobs = root.join("blobs").join("sha256");
            fs::create_dir_all(&blobs).map_err(failed("creating", &blobs))?;
            write_bytes(&root.join("index.json"), &LayoutIndex::empty())?;
            write_bytes(&root.join("oci-layout"), LAYOUT_FILE.as_bytes())?;
        }
        Self::open(root, limits)
    }

    /// The same layout with another patience for other writers.
    #[must_use]
    pub fn with_lock_wait(self, lock_wait: Duration) -> Self {
        Self { lock_wait, ..self }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn index(&self) -> Result<LayoutIndex, StoreError> {
        let path = self.root.join("index.json");
        let text = read_bounded(&path, self.limits.manifest_bytes).map_err(failed("reading", &path))?;
        let Some(text) = text else {
            let detail = format!("index.json has more than {} bytes", self.limits.manifest_bytes);
            return Err(StoreError::NotALayout { place: self.name(), detail });
        };
        let limits = Limits { index_children: usize::MAX, ..self.limits.clone() };
        LayoutIndex::read(text, &limits)
            .map_err(|error| StoreError::NotALayout { place: self.name(), detail: format!("index.json: {error}") })
    }

    fn not_found(&self, what: impl ToString) -> StoreError {
        StoreError::NotFound { place: self.name(), what: what.to_string() }
    }

    fn content_error(&self, cause: ContentError) -> StoreError {
        StoreError::Content { place: self.name(), cause }
    }

    /// The one manifest that has the tag. With two of them some tools take the first and some the last.
    fn only_tagged(&self, index: &LayoutIndex, tag: &Tag) -> Result<Descriptor, StoreError> {
        let first = index.tagged(tag.as_str()).ok_or_else(|| self.not_found(format!("tag {tag}")))?;
        let same_tag = index.entries().filter(|entry| entry.annotation(REF_NAME) == Some(tag.as_str()));
        let others: Vec<&Descriptor> = same_tag.filter(|entry| entry.digest != first.digest).collect();
        if others.is_empty() {
            return Ok(first.clone());
        }
        let place = self.name();
        let tags = [first].into_iter().chain(others).map(|entry| format!("{place}:{tag}@{}", entry.digest)).collect();
        Err(StoreError::Ambiguous { place, tags })
    }

    /// The only entry that is neither evidence nor a tag for it.
    fn only_image(&self, index: &LayoutIndex) -> Result<Descriptor, StoreError> {
        let mut images: BTreeMap<&Digest, (&Descriptor, String)> = BTreeMap::new();
        for entry in index.entries().filter(|entry| !is_evidence(entry)) {
            let name = entry.annotation(REF_NAME).map_or_else(|| format!("@{}", entry.digest), |tag| format!(":{tag}"));
            images.entry(&entry.digest).or_insert((entry, name));
        }
        let place = self.name();
        match images.len() {
            0 => Err(self.no_image(index)),
            1 => images.into_values().next().map(|(entry, _)| entry.clone()).ok_or_else(|| self.not_found("image")),
            _ => {
                let tags = images.into_values().map(|(_, name)| format!("{place}{name}")).collect();
                Err(StoreError::Ambiguous { place, tags })
            }
        }
    }

    /// What to say of a folder without images: empty, or the place where somebody keeps evidence alone.
    fn no_image(&self, index: &LayoutIndex) -> StoreError {
        let subjects = index.entries().filter_map(|entry| entry.annotation(REF_NAME)?.strip_prefix("sha256-"));
        let subjects =
            subjects.filter_map(|hex| Digest::from_hex(DigestAlgorithm::Sha256, hex.split('.').next()?).ok());
        let about: Vec<Digest> = subjects.filter(|digest| !blob_path(&self.root, digest).exists()).collect();
        if about.is_empty() {
            return self.not_found("image");
        }
        StoreError::EvidenceOnly { place: self.name(), about }
    }

    fn read_checked(&self, descriptor: &Descriptor, limit: u64) -> Result<Blob, StoreError> {
        let path = blob_path(&self.root, &descriptor.digest);
        let mut file = match open_regular(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(self.not_found(&descriptor.digest));
            }
            Err(error) => return Err(failed("reading", &path)(error)),
        };
        check_size(&self.name(), descriptor, limit)?;
        let mut spooler = Spooler::new(descriptor.digest.algorithm(), &self.limits);
        let mut buffer = vec![0; usize::try_from(descriptor.size.clamp(1, 192 * 1024)).unwrap_or(1)];
        loop {
            let read = file.read(&mut buffer).map_err(failed("reading", &path))?;
            if read == 0 {
                break;
            }
            spooler.write(buffer.get(..read).unwrap_or_default()).map_err(failed("spooling", &path))?;
            if spooler.length() > descriptor.size {
                break;
            }
        }
        let (content, digest) = spooler.finish();
        Blob::assert_digested(&descriptor.media_type, &descriptor.digest, descriptor.size, content, digest)
            .map_err(|cause| self.content_error(cause))
    }

    fn read_manifest(&self, blob: Blob) -> Result<Manifest, StoreError> {
        Manifest::read(blob, &self.limits).map_err(|cause| StoreError::Manifest { place: self.name(), cause })
    }

    /// A descriptor for a manifest that is known by its digest alone: what its own bytes say.
    fn describe(&self, digest: &Digest) -> Result<Descriptor, StoreError> {
        let path = blob_path(&self.root, digest);
        let limit = self.limits.manifest_bytes;
        let bytes = match read_bounded(&path, limit) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(self.content_error(ContentError::TooLarge { digest: digest.clone(), limit })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(self.not_found(digest)),
            Err(error) => return Err(failed("reading", &path)(error)),
        };
        let media_type = sniff_media_type(&bytes).unwrap_or(MediaType::OCTET_STREAM);
        Ok(Descriptor::new(media_type, digest.clone(), u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
    }

    fn write_blob(&self, blob: &Blob) -> Result<Pushed, StoreError> {
        let path = blob_path(&self.root, blob.digest());
        // Its bytes decide, not its length: a file that was damaged is written anew.
        let descriptor = Descriptor::of(blob);
        let same_length = fs::metadata(&path).is_ok_and(|metadata| metadata.len() == blob.size());
        if same_length && self.read_checked(&descriptor, blob.size()).is_ok() {
            return Ok(Pushed::Present);
        }
        write_atomically(&path, &mut |file| {
            blob.content().each_chunk(|chunk| file.write_all(chunk)).map_err(failed("writing", &path))
        })?;
        Ok(Pushed::Sent)
    }

    /// Lists a manifest under the fallback tag of its subject. The caller holds the lock.
    fn list_referrer(&self, manifest: &Manifest, subject: &Digest) -> Result<(), StoreError> {
        let tag = Tag::of_referrers(subject);
        let index = self.index()?;
        let entry = manifest.referrer_descriptor();
        let listing = match index.tagged(tag.as_str()) {
            None => new_index(&[entry], &BTreeMap::new()),
            Some(descriptor) => {
                let listing = self.read_manifest(self.read_checked(descriptor, self.limits.manifest_bytes)?)?;
                let Some(known) = listing.as_index() else {
                    return Err(StoreError::ReferrersTag { place: self.name(), tag });
                };
                if known.children().iter().any(|child| child.descriptor.digest == entry.digest) {
                    return Ok(());
                }
                Blob::of_bytes(MediaType::OCI_INDEX, known.with_child(listing.bytes(), &entry))
            }
        };
        self.write_blob(&listing)?;
        write_bytes(&self.root.join("index.json"), &index.with_tag(tag.as_str(), &Descriptor::of(&listing)))
    }

    fn forget_scan(&self) {
        *self.scan.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_atomically(path, &mut |file: &mut dyn Write| file.write_all(bytes).map_err(failed("writing", path)))
}

fn is_evidence(entry: &Descriptor) -> bool {
    let tagged =
        entry.annotation(REF_NAME).and_then(|text| Tag::parse(text).ok()).is_some_and(|tag| tag.is_for_evidence());
    let kind = entry.annotation(COSIGN_KIND).is_some_and(|kind| kind.ends_with("/sigs") || kind.ends_with("/atts"));
    tagged || kind || entry.annotation(CONTAINERD_SUBJECT).is_some()
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

#[async_trait]
impl Store for Layout {
    fn name(&self) -> String {
        format!("oci:{}", self.root.display())
    }

    async fn manifest(&self, selector: &Selector) -> Result<Manifest, StoreError> {
        let index = self.index()?;
        let descriptor = match (&selector.digest, &selector.tag) {
            (Some(digest), _) => match index.entries().find(|entry| entry.digest == *digest) {
                Some(entry) => entry.clone(),
                None => self.describe(digest)?,
            },
            (None, Some(tag)) => self.only_tagged(&index, tag)?,
            (None, None) => self.only_image(&index)?,
        };
        self.manifest_at(&descriptor).await
    }

    async fn manifest_at(&self, descriptor: &Descriptor) -> Result<Manifest, StoreError> {
        self.read_manifest(self.read_checked(descriptor, self.limits.manifest_bytes)?)
    }

    async fn tag_digest(&self, tag: &Tag) -> Result<Option<Digest>, StoreError> {
        Ok(self.index()?.tagged(tag.as_str()).map(|entry| entry.digest.clone()))
    }

    async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Blob, StoreError> {
        self.read_checked(descriptor, limit)
    }

    async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, StoreError> {
        let mut found: Vec<Descriptor> = Vec::new();
        if let Some(entry) = self.index()?.tagged(Tag::of_referrers(subject).as_str()) {
            // A list of referrers is an index in form only, and may have more entries than an image has platforms.
            let limits = Limits { index_children: self.limits.referrers, ..self.limits.clone() };
            let listing = Manifest::read(self.read_checked(entry, limits.manifest_bytes)?, &limits)
                .map_err(|cause| StoreError::Manifest { place: self.name(), cause })?;
            // `cosign copy` writes the image itself under this tag: then it lists nothing.
            let children = listing.as_index().map(|index| index.children()).unwrap_or_default();
            found.extend(children.iter().map(|child| child.descriptor.clone()));
        }
        let mut scan = self.scan.lock().unwrap_or_else(PoisonError::into_inner);
        let current = scan.take().filter(|scan| scan.is_current(&self.root));
        let current = match current {
            Some(current) => current,
            None => Scan::of(&self.root, &self.limits)?,
        };
        let scan = scan.insert(current);
        for descriptor in scan.referrers_of(subject) {
            if !found.iter().any(|known| known.digest == descriptor.digest) {
                found.push(descriptor.clone());
            }
        }
        Ok(found)
    }

    async fn tags(&self) -> Result<Vec<Tag>, StoreError> {
        let index = self.index()?;
        Ok(index.entries().filter_map(|entry| Tag::parse(entry.annotation(REF_NAME)?).ok()).collect())
    }

    async fn push_blob(&self, blob: &Blob) -> Result<Pushed, StoreError> {
        self.write_blob(blob)
    }

    async fn push_manifest(&self, manifest: &Manifest) -> Result<Pushed, StoreError> {
        let pushed = self.write_blob(manifest.blob())?;
        if let Some(subject) = manifest.subject() {
            let _lock = WriteLock::take(&self.root, self.lock_wait)?;
            self.list_referrer(manifest, &subject.digest)?;
            self.forget_scan();
        }
        Ok(pushed)
    }

    async fn tag(&self, manifest: &Manifest, tag: &Tag, expected: &Expected) -> Result<(), StoreError> {
        self.push_manifest(manifest).await?;
        let _lock = WriteLock::take(&self.root, self.lock_wait)?;
        let index = self.index()?;
        let actual = index.tagged(tag.as_str());
        check_expected(&self.name(), tag, expected, actual.map(|entry| &entry.digest))?;
        let mut target = actual.cloned().unwrap_or_else(|| manifest.descriptor());
        target.media_type = manifest.blob().media_type().clone();
        target.digest = manifest.digest().clone();
        target.size = manifest.blob().size();
        target.platform = target.platform.filter(|_| manifest.as_image().is_some());
        write_bytes(&self.root.join("index.json"), &index.with_tag(tag.as_str(), &target))
    }

    fn guards_tags(&self) -> bool {
        true
    }

    async fn pause(&self) {
        std::thread::sleep(Duration::from_millis(random_below(PAUSE_MILLISECONDS)));
    }

    async fn delete_manifest(&self, digest: &Digest) -> Result<(), StoreError> {
        self.remove_manifest(digest)
    }

    async fn remove_referrer(&self, subject: &Digest, manifest: &Digest) -> Result<Removed, StoreError> {
        self.unlist(subject, manifest).map(|()| Removed::Deleted)
    }

    async fn untag(&self, tag: &Tag, expected: &Expected) -> Result<(), StoreError> {
        self.remove_tag(tag, expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_told_that_the_folder_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        Layout::create(folder.path(), &Limits::default()).unwrap();
        let held = WriteLock::take(folder.path(), Duration::ZERO).unwrap();
        assert!(matches!(WriteLock::take(folder.path(), Duration::ZERO), Err(StoreError::Locked { .. })));
        drop(held);
        assert!(WriteLock::take(folder.path(), Duration::ZERO).is_ok());
    }

    #[test]
    fn a_folder_with_other_files_is_not_made_a_layout() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "x").unwrap();
        assert!(matches!(Layout::create(folder.path(), &Limits::default()), Err(StoreError::NotALayout { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blob");
        let full =
            || StoreError::Io { action: "writing", path: String::new(), cause: std::io::ErrorKind::StorageFull.into() };
        let result = write_atomically(&path, &mut |file| {
            file.write_all(b"half").map_err(failed("writing", Path::new("x")))?;
            Err(full())
        });
        assert_eq!(result.map_err(|error| error.code()), Err(crate::code::Code::StorageFull));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_tag_on_two_manifests_is_ambiguous() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path(), &Limits::default()).unwrap();
        let entry =
            |text: &[u8]| Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(text), 1).annotated(REF_NAME, "1");
        let index = new_index(&[entry(b"good"), entry(b"evil")], &BTreeMap::new());
        fs::write(folder.path().join("index.json"), index.bytes(1 << 20).unwrap()).unwrap();
        let selector = Selector { tag: Some(Tag::parse("1").unwrap()), digest: None };
        let refused = block_on(layout.manifest(&selector));
        assert!(matches!(refused, Err(StoreError::Ambiguous { tags, .. }) if tags.len() == 2));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_or_device_in_a_layout_is_not_read() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path(), &Limits::default()).unwrap();
        let digest = Digest::sha256(b"x");
        symlink("/dev/zero", blob_path(folder.path(), &digest)).unwrap();
        let pipe = blob_path(folder.path(), &Digest::sha256(b"y"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(block_on(layout.referrers(&digest)).unwrap().is_empty());
        let selector = Selector { tag: None, digest: Some(digest) };
        assert!(matches!(block_on(layout.manifest(&selector)), Err(StoreError::Io { .. })));
        fs::remove_file(folder.path().join("index.json")).unwrap();
        symlink("/dev/zero", folder.path().join("index.json")).unwrap();
        assert!(matches!(Layout::open(folder.path(), &Limits::default()), Err(StoreError::NotALayout { .. })));
    }

    #[test]
    fn a_damaged_blob_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path(), &Limits::default()).unwrap();
        let blob = Blob::of_bytes(MediaType::OCTET_STREAM, &b"whole"[..]);
        assert_eq!(layout.write_blob(&blob).unwrap(), Pushed::Sent);
        assert_eq!(layout.write_blob(&blob).unwrap(), Pushed::Present);
        let path = blob_path(folder.path(), blob.digest());
        fs::write(&path, "wh0le").unwrap();
        assert_eq!(layout.write_blob(&blob).unwrap(), Pushed::Sent);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn sha512_blobs_have_their_own_folder() {
        let digest = Digest::of(DigestAlgorithm::Sha512, b"x");
        assert!(blob_path(Path::new("a"), &digest).starts_with("a/blobs/sha512"));
    }
}
