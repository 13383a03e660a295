//! From a file on disk to the entries of an archive.

use std::io;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::content::Content;
use crate::limits::Limits;
use crate::store::layout::open_regular;
use crate::store::spool::named_file;
use crate::store::{StoreError, spool_reader};

use super::entries::Entries;
use super::tar::{TarError, read_entries};

/// An archive whose entries are known. Its bytes may still change under us: whoever reads them checks digests.
pub(in crate::store) struct OpenArchive {
    pub(in crate::store) place: String,
    pub(in crate::store) bytes: Content,
    pub(in crate::store) entries: Entries,
}

impl OpenArchive {
    /// Opens a tar archive, plain or compressed with gzip as a whole.
    ///
    /// What is compressed is unpacked once, into a file without a name, within bounds.
    ///
    /// # Errors
    /// [`StoreError::Archive`], [`StoreError::UnsafeEntry`], [`StoreError::TooMuch`], [`StoreError::Io`].
    pub(in crate::store) fn open(scheme: &str, path: &Path, limits: &Limits) -> Result<Self, StoreError> {
        let place = format!("{scheme}:{}", path.display());
        let bytes = read_bytes(path, limits).map_err(|error| in_words(&place, path, error))?;
        let entries = read_entries(&bytes, limits).map_err(|error| in_words(&place, path, error))?;
        Ok(Self { place, bytes, entries })
    }
}

fn in_words(place: &str, path: &Path, error: TarError) -> StoreError {
    let place = place.to_owned();
    match error {
        TarError::Invalid(detail) => StoreError::Archive { place, detail },
        TarError::Unsafe { entry, detail } => StoreError::UnsafeEntry { place, entry, detail },
        TarError::TooMuch(detail) => StoreError::TooMuch { place, detail },
        TarError::Unreadable(cause) => StoreError::Io { action: "reading", path: path.display().to_string(), cause },
    }
}

fn read_bytes(path: &Path, limits: &Limits) -> Result<Content, TarError> {
    let plain = named_file(open_regular(&PathBuf::from(path)).map_err(TarError::Unreadable)?)?;
    let start = plain.slice(0..6).read_all()?;
    match &start[..] {
        [0x1f, 0x8b, ..] => unpack(&plain, limits),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(compressed("zstd")),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Err(compressed("xz")),
        [b'B', b'Z', b'h', ..] => Err(compressed("bzip2")),
        _ => Ok(plain),
    }
}

fn compressed(how: &str) -> TarError {
    TarError::Invalid(format!("it is compressed with {how}; gzip alone is read"))
}

fn unpack(packed: &Content, limits: &Limits) -> Result<Content, TarError> {
    let by_ratio = packed.length().saturating_mul(limits.archive_ratio).saturating_add(limits.memory_bytes);
    let bound = limits.archive_bytes.min(by_ratio);
    let mut reader = MultiGzDecoder::new(packed.reader());
    match spool_reader(&mut reader, bound, limits) {
        Ok(Some(content)) => Ok(content),
        Ok(None) => Err(TarError::TooMuch(format!("{} bytes unpack to more than {bound}", packed.length()))),
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            Err(TarError::Invalid(format!("it cannot be unpacked: {error}")))
        }
        Err(error) => Err(error.into()),
    }
}
