//! A store in an OCI image layout folder.
//!
//! Writes are atomic and one at a time: blobs are complete before they have their name, `index.json` is replaced by a
//! rename under a lock, and a process killed at any moment leaves a sound layout. Calls block on the disk; they are
//! `async` for the trait only.
//!
//! Source: image-spec 1.1, image-layout.md; the fallback tag in `index.json` as regctl and oras write it.

mod files;
mod reader;
mod referrers;
mod removal;
mod saved;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use super::{Expected, Pushed, Removed, Store, StoreError, check_expected, random_below};
use crate::content::Blob;
use crate::digest::Digest;
use crate::limits::Limits;
use crate::media_type::MediaType;
use crate::oci::{Descriptor, LAYOUT_FILE, LayoutIndex, Manifest, new_index};
use crate::reference::{Selector, Tag};
use files::{Folder, WriteLock, blob_path, failed, write_atomically};

pub(in crate::store) use files::open_regular;
pub(in crate::store) use reader::{INDEX_FILE_NAME, LAYOUT_FILE_NAME, LayoutFiles, LayoutReader, is_evidence};

/// How long another writer is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Milliseconds up to which a writer waits that met another one. A write takes a few.
const PAUSE_MILLISECONDS: u64 = 40;

/// An OCI image layout folder.
pub struct Layout {
    reader: LayoutReader<Folder>,
    lock_wait: Duration,
}

impl Layout {
    /// Opens an existing folder.
    ///
    /// # Errors
    /// [`StoreError::NotALayout`] when `oci-layout` or `index.json` is missing or of another version.
    pub fn open(root: &Path, limits: &Limits) -> Result<Self, StoreError> {
        if !root.exists() {
            let place = format!("oci:{}", root.display());
            return Err(StoreError::NotALayout { place, detail: "there is no such folder".to_owned() });
        }
        let reader = LayoutReader::open(Folder { root: root.to_owned() }, limits)?;
        Ok(Self { reader, lock_wait: LOCK_WAIT })
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
        &self.reader.files.root
    }

    fn write_blob(&self, blob: &Blob) -> Result<Pushed, StoreError> {
        let path = blob_path(self.root(), blob.digest());
        // Its bytes decide, not its length: a file that was damaged is written anew.
        let descriptor = Descriptor::of(blob);
        let same_length = fs::metadata(&path).is_ok_and(|metadata| metadata.len() == blob.size());
        if same_length && self.reader.blob(&descriptor, blob.size()).is_ok() {
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
        let index = self.reader.index()?;
        let entry = manifest.referrer_descriptor();
        let listing = match index.tagged(tag.as_str()) {
            None => new_index(&[entry], &BTreeMap::new()),
            Some(descriptor) => {
                let listing = self.reader.manifest_at(descriptor)?;
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
        write_bytes(&self.root().join("index.json"), &index.with_tag(tag.as_str(), &Descriptor::of(&listing)))
    }
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_atomically(path, &mut |file: &mut dyn Write| file.write_all(bytes).map_err(failed("writing", path)))
}

#[async_trait]
impl Store for Layout {
    fn name(&self) -> String {
        self.reader.place()
    }

    async fn manifest(&self, selector: &Selector) -> Result<Manifest, StoreError> {
        self.reader.manifest(selector)
    }

    async fn manifest_at(&self, descriptor: &Descriptor) -> Result<Manifest, StoreError> {
        self.reader.manifest_at(descriptor)
    }

    async fn tag_digest(&self, tag: &Tag) -> Result<Option<Digest>, StoreError> {
        Ok(self.reader.index()?.tagged(tag.as_str()).map(|entry| entry.digest.clone()))
    }

    async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Blob, StoreError> {
        self.reader.blob(descriptor, limit)
    }

    async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, StoreError> {
        self.reader.referrers(subject)
    }

    async fn tags(&self) -> Result<Vec<Tag>, StoreError> {
        self.reader.tags()
    }

    async fn push_blob(&self, blob: &Blob) -> Result<Pushed, StoreError> {
        self.write_blob(blob)
    }

    async fn push_manifest(&self, manifest: &Manifest) -> Result<Pushed, StoreError> {
        let pushed = self.write_blob(manifest.blob())?;
        if let Some(subject) = manifest.subject() {
            let _lock = WriteLock::take(self.root(), self.lock_wait)?;
            self.list_referrer(manifest, &subject.digest)?;
            self.reader.forget_scan();
        }
        Ok(pushed)
    }

    async fn tag(&self, manifest: &Manifest, tag: &Tag, expected: &Expected) -> Result<(), StoreError> {
        self.push_manifest(manifest).await?;
        let _lock = WriteLock::take(self.root(), self.lock_wait)?;
        let index = self.reader.index()?;
        let actual = index.tagged(tag.as_str());
        check_expected(&self.name(), tag, expected, actual.map(|entry| &entry.digest))?;
        let mut target = actual.cloned().unwrap_or_else(|| manifest.descriptor());
        target.media_type = manifest.blob().media_type().clone();
        target.digest = manifest.digest().clone();
        target.size = manifest.blob().size();
        target.platform = target.platform.filter(|_| manifest.as_image().is_some());
        write_bytes(&self.root().join("index.json"), &index.with_tag(tag.as_str(), &target))
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
    use crate::digest::DigestAlgorithm;
    use crate::oci::annotations::REF_NAME;

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
