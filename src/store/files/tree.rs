//! What an exporter wrote, as names: in a folder or in an archive.

use std::collections::BTreeMap;
use std::io::{self, Read};

use crate::digest::{Digest, DigestAlgorithm, Hasher};
use crate::media_type::MediaType;
use crate::oci::{Descriptor, Platform};
use crate::store::StoreError;
use crate::store::archive::{Entries, Kind, OpenArchive, follow};

use super::platform_of;

/// Files and folders below one root.
pub(super) trait Tree: Send + Sync {
    /// How the place is named to people.
    fn place(&self) -> String;

    /// Everything in it.
    fn entries(&self) -> &Entries;

    /// Opens a file by its name and what is known of it.
    fn open(&self, name: &str, kind: &Kind) -> io::Result<Box<dyn Read + '_>>;
}

/// An archive that BuildKit's `tar` exporter wrote.
pub(super) struct ArchivedTree(pub(super) OpenArchive);

impl Tree for ArchivedTree {
    fn place(&self) -> String {
        self.0.place.clone()
    }

    fn entries(&self) -> &Entries {
        &self.0.entries
    }

    fn open(&self, _: &str, kind: &Kind) -> io::Result<Box<dyn Read + '_>> {
        match kind {
            Kind::File { offset, length } => Ok(Box::new(self.0.bytes.slice(*offset..offset + length).reader())),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

pub(super) fn failed(tree: &dyn Tree, name: &str) -> impl FnOnce(io::Error) -> StoreError {
    let path = format!("{}, file {name}", tree.place());
    move |cause| StoreError::Io { action: "reading", path, cause }
}

/// The descriptor of what has to be covered; nothing for folders, and for links to something that is covered itself.
pub(super) fn part(tree: &dyn Tree, name: &str) -> Result<Option<Descriptor>, StoreError> {
    let Some(kind) = tree.entries().get(name) else { return Ok(None) };
    let is_link = matches!(kind, Kind::HardLink(_) | Kind::SymbolicLink(_));
    let target = if is_link { follow(tree.entries(), name) } else { None };
    let descriptor = match (kind, target) {
        (Kind::Folder, _) => return Ok(None),
        (Kind::File { .. }, _) => digest_of(tree, name, kind)?,
        (Kind::HardLink(_), Some(target @ Kind::File { .. })) => digest_of(tree, name, &target)?,
        (Kind::SymbolicLink(_), Some(Kind::File { .. } | Kind::Folder)) => return Ok(None),
        (Kind::SymbolicLink(target) | Kind::HardLink(target), _) => {
            uncovered(&format!("a link out of the exported files, to {target}")).map_err(failed(tree, name))?
        }
        (Kind::Special, _) => uncovered(&format!("no file and no folder: {name}")).map_err(failed(tree, name))?,
    };
    Ok(Some(descriptor))
}

/// What no statement can name: it stands in for something whose content is not here. Any text that described it could be
/// the content of a file that somebody gets attested, so it has a digest of which nobody knows a content: the complement
/// of that text's.
fn uncovered(what: &str) -> io::Result<Descriptor> {
    let text = Digest::sha256(format!("attestry: {what}\n").as_bytes());
    let complement = |digit: char| digit.to_digit(16).and_then(|digit| char::from_digit(15 - digit, 16));
    let hex: String = text.hex().chars().filter_map(complement).collect();
    let digest = Digest::from_hex(text.algorithm(), &hex).map_err(io::Error::other)?;
    Ok(Descriptor::new(MediaType::OCTET_STREAM, digest, 0))
}

fn digest_of(tree: &dyn Tree, name: &str, kind: &Kind) -> Result<Descriptor, StoreError> {
    let mut reader = tree.open(name, kind).map_err(failed(tree, name))?;
    let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
    let (mut size, mut buffer) = (0_u64, vec![0; 128 << 10]);
    loop {
        let read = reader.read(&mut buffer).map_err(failed(tree, name))?;
        if read == 0 {
            return Ok(Descriptor::new(MediaType::OCTET_STREAM, hasher.finish(), size));
        }
        size += u64::try_from(read).unwrap_or(u64::MAX);
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

/// The folders of an export of several platforms: all that is at the top, evidence aside, is a folder of a platform.
pub(super) fn platform_folders(entries: &Entries, is_evidence: &dyn Fn(&str) -> bool) -> BTreeMap<String, Platform> {
    let mut folders = BTreeMap::new();
    for (name, kind) in entries {
        let (top, is_folder) = match name.split_once('/') {
            Some((top, _)) => (top, true),
            None => (name.as_str(), *kind == Kind::Folder),
        };
        match platform_of(top) {
            Some(platform) if is_folder => {
                folders.insert(top.to_owned(), platform);
            }
            _ if !is_folder && is_evidence(top) => {}
            _ => return BTreeMap::new(),
        }
    }
    folders
}
