//! The files of a layout inside an archive.

use std::io::{self, Read};
use std::time::SystemTime;

use crate::content::Content;
use crate::digest::{Digest, DigestAlgorithm};
use crate::store::StoreError;
use crate::store::layout::LayoutFiles;

use super::entries::Kind;
use super::open::OpenArchive;

/// An archive that holds files and folders alone.
pub(in crate::store) struct ArchivedLayout {
    archive: OpenArchive,
}

impl ArchivedLayout {
    /// Takes an archive without links and devices.
    ///
    /// No program writes any into a layout. A link would make two names of one blob for those that follow it, and for
    /// others a blob that is missing.
    ///
    /// # Errors
    /// [`StoreError::UnsafeEntry`].
    pub(super) fn new(archive: OpenArchive) -> Result<Self, StoreError> {
        let detail = |kind: &Kind| match kind {
            Kind::File { .. } | Kind::Folder => None,
            Kind::HardLink(_) | Kind::SymbolicLink(_) => Some("it is a link"),
            Kind::Special => Some("it is a device or a pipe"),
        };
        match archive.entries.iter().find_map(|(name, kind)| Some((name.clone(), detail(kind)?))) {
            Some((entry, detail)) => {
                Err(StoreError::UnsafeEntry { place: archive.place, entry, detail: detail.to_owned() })
            }
            None => Ok(Self { archive }),
        }
    }

    /// The bytes of a file.
    pub(super) fn content(&self, name: &str) -> Option<Content> {
        match self.archive.entries.get(name)? {
            Kind::File { offset, length } => Some(self.archive.bytes.slice(*offset..offset + length)),
            _ => None,
        }
    }
}

impl LayoutFiles for ArchivedLayout {
    fn place(&self) -> String {
        self.archive.place.clone()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        let content = self.content(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(content.reader()))
    }

    fn path_of(&self, name: &str) -> String {
        format!("{}, entry {name}", self.archive.place)
    }

    fn blobs(&self, algorithm: DigestAlgorithm) -> Result<Vec<Digest>, StoreError> {
        let folder = format!("blobs/{}/", algorithm.as_str());
        let names = self.archive.entries.range(folder.clone()..).map_while(|(name, _)| name.strip_prefix(&folder));
        Ok(names.filter_map(|hex| Digest::from_hex(algorithm, hex).ok()).collect())
    }

    /// The names were read once.
    fn blobs_changed(&self) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH)
    }
}
