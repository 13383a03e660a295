//! A folder on disk, walked without following a link.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::limits::Limits;
use crate::store::StoreError;
use crate::store::archive::{Entries, Kind};
use crate::store::layout::open_regular;

use super::tree::Tree;

/// A folder that BuildKit's `local` exporter wrote.
pub(super) struct FolderTree {
    root: PathBuf,
    entries: Entries,
}

impl FolderTree {
    pub(super) fn open(root: &Path, limits: &Limits) -> Result<Self, StoreError> {
        let place = format!("dir:{}", root.display());
        if !root.is_dir() {
            return Err(StoreError::NotFound { place, what: "folder".to_owned() });
        }
        let mut tree = Self { root: root.to_owned(), entries: Entries::new() };
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let path = tree.root.join(&folder);
            let failed = |cause| StoreError::Io { action: "listing", path: path.display().to_string(), cause };
            for entry in fs::read_dir(&path).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                    let cause = io::Error::new(io::ErrorKind::InvalidData, "a name in it is not UTF-8");
                    return Err(failed(cause));
                };
                let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                let kind = kind_of(&entry).map_err(failed)?;
                if kind == Kind::Folder {
                    folders.push(name.clone());
                }
                tree.entries.insert(name, kind);
                if tree.entries.len() > limits.exported_files {
                    let detail = format!("more than {} files and folders", limits.exported_files);
                    return Err(StoreError::TooMuch { place, detail });
                }
            }
        }
        Ok(tree)
    }
}

fn kind_of(entry: &fs::DirEntry) -> io::Result<Kind> {
    // Of the entry itself: a link is a link.
    let metadata = entry.metadata()?;
    Ok(if metadata.is_symlink() {
        // A target that is not UTF-8 leads nowhere that is known here.
        Kind::SymbolicLink(fs::read_link(entry.path())?.to_str().unwrap_or("/").to_owned())
    } else if metadata.is_dir() {
        Kind::Folder
    } else if metadata.is_file() {
        Kind::File { offset: 0, length: metadata.len() }
    } else {
        Kind::Special
    })
}

impl Tree for FolderTree {
    fn place(&self) -> String {
        format!("dir:{}", self.root.display())
    }

    fn entries(&self) -> &Entries {
        &self.entries
    }

    fn open(&self, name: &str, _: &Kind) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(open_regular(&self.root.join(name))?))
    }
}
