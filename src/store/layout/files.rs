//! Files of a layout: written whole or not at all, by one writer at a time.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::digest::{Digest, DigestAlgorithm};
use crate::store::StoreError;

use super::reader::LayoutFiles;

/// How often a held lock is asked for again.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.display().to_string();
    move |cause| StoreError::Io { action, path, cause }
}

/// `blobs/<algorithm>/<hex>` under the layout.
pub(super) fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    root.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
}

/// Opens a regular file. A layout may come out of somebody's archive: a pipe would block us, a device never end.
pub(in crate::store) fn open_regular(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    File::open(path)
}

/// A layout in a folder.
pub(super) struct Folder {
    pub(super) root: PathBuf,
}

impl LayoutFiles for Folder {
    fn place(&self) -> String {
        format!("oci:{}", self.root.display())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(open_regular(&self.root.join(name))?))
    }

    fn path_of(&self, name: &str) -> String {
        self.root.join(name).display().to_string()
    }

    fn blobs(&self, algorithm: DigestAlgorithm) -> Result<Vec<Digest>, StoreError> {
        let folder = self.root.join("blobs").join(algorithm.as_str());
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("listing", &folder))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed("listing", &folder))?.file_name();
            found.extend(name.to_str().and_then(|hex| Digest::from_hex(algorithm, hex).ok()));
        }
        Ok(found)
    }

    fn blobs_changed(&self) -> Option<SystemTime> {
        fs::metadata(self.root.join("blobs").join("sha256")).and_then(|metadata| metadata.modified()).ok()
    }
}

/// Writes a file so that a reader, or a process killed at any moment, sees the old one or the new one.
///
/// The bytes and the name reach the disk before this returns.
pub(super) fn write_atomically(
    path: &Path,
    fill: &mut dyn FnMut(&mut dyn Write) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(failed("creating", folder))?;
    // The temporary file is removed when it is dropped, so an error leaves nothing behind.
    let mut file = tempfile::Builder::new()
        .prefix(".attestry-")
        .permissions_like(folder)
        .tempfile_in(folder)
        .map_err(failed("creating a file in", folder))?;
    fill(file.as_file_mut())?;
    file.as_file().sync_all().map_err(failed("writing", path))?;
    file.persist(path).map_err(|error| failed("writing", path)(error.error))?;
    // Without this the rename itself may be lost in a power failure. Not every file system lets a folder be opened.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// The permissions of files in a layout: readable like the folder that they are in.
trait PermissionsLike {
    fn permissions_like(&mut self, folder: &Path) -> &mut Self;
}

impl PermissionsLike for tempfile::Builder<'_, '_> {
    #[cfg(unix)]
    fn permissions_like(&mut self, folder: &Path) -> &mut Self {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        // Temporary files start as 0600; a layout is meant to be read by other tools and users as its folder is.
        let readable = fs::metadata(folder).map_or(0o600, |metadata| metadata.mode() & 0o666);
        self.permissions(fs::Permissions::from_mode(readable))
    }

    #[cfg(not(unix))]
    fn permissions_like(&mut self, _: &Path) -> &mut Self {
        self
    }
}

/// The right to change `index.json`, given back when dropped, or by the system when the process dies.
///
/// The lock is on the file `oci-layout`, which never changes, so no foreign file appears in the folder.
pub(super) struct WriteLock(#[expect(dead_code, reason = "held for its lock")] File);

impl WriteLock {
    pub(super) fn take(root: &Path, wait: Duration) -> Result<Self, StoreError> {
        let path = root.join("oci-layout");
        let file = File::open(&path).map_err(failed("opening", &path))?;
        let deadline = Instant::now() + wait;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_INTERVAL),
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(StoreError::Locked { place: format!("oci:{}", root.display()) });
                }
                Err(fs::TryLockError::Error(cause)) => return Err(failed("locking", &path)(cause)),
            }
        }
    }
}
