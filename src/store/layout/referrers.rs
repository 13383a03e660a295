//! Referrers in a layout, which has no listing of them: the fallback tag, and a look at every manifest.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::SystemTime;

use crate::content::Blob;
use crate::digest::{Digest, DigestAlgorithm};
use crate::limits::Limits;
use crate::oci::{Descriptor, Manifest};

use super::files::{failed, open_regular};
use super::sniff_media_type;
use crate::store::StoreError;

/// All manifests of the folder that have a `subject`, as of one state of the folder.
pub(super) struct Scan {
    seen: Option<SystemTime>,
    found: Vec<(Digest, Descriptor)>,
}

impl Scan {
    /// Looks at every blob that may be a manifest. `cosign save` leaves referrers this way, listed nowhere.
    ///
    /// # Errors
    /// [`StoreError::Io`] when a folder is there and cannot be listed: it is not empty for that.
    pub(super) fn of(root: &Path, limits: &Limits) -> Result<Self, StoreError> {
        let mut found = Vec::new();
        for algorithm in DigestAlgorithm::ALL {
            let folder = root.join("blobs").join(algorithm.as_str());
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entries => entries.map_err(failed("listing", &folder))?,
            };
            for entry in entries {
                let entry = entry.map_err(failed("listing", &folder))?;
                let name = entry.file_name();
                let Some(digest) = name.to_str().and_then(|hex| Digest::from_hex(algorithm, hex).ok()) else {
                    continue;
                };
                found.extend(read_referrer(&entry.path(), &digest, limits));
            }
        }
        found.sort_by(|left, right| left.1.digest.cmp(&right.1.digest));
        Ok(Self { seen: changed(root), found })
    }

    /// Whether the folder is still in the state that was looked at.
    pub(super) fn is_current(&self, root: &Path) -> bool {
        self.seen.is_some() && self.seen == changed(root)
    }

    pub(super) fn referrers_of<'a>(&'a self, subject: &'a Digest) -> impl Iterator<Item = &'a Descriptor> {
        self.found.iter().filter(move |(about, _)| about == subject).map(|(_, descriptor)| descriptor)
    }
}

fn changed(root: &Path) -> Option<SystemTime> {
    fs::metadata(root.join("blobs").join("sha256")).and_then(|metadata| metadata.modified()).ok()
}

/// A blob that is a sound manifest with a subject; anything else is no referrer.
fn read_referrer(path: &Path, digest: &Digest, limits: &Limits) -> Option<(Digest, Descriptor)> {
    let file = open_regular(path).ok()?;
    if file.metadata().ok()?.len() > limits.manifest_bytes {
        return None;
    }
    let mut file = file.take(limits.manifest_bytes);
    let mut first = [0; 1];
    file.read_exact(&mut first).ok().filter(|()| first == *b"{")?;
    let mut bytes = first.to_vec();
    file.read_to_end(&mut bytes).ok()?;
    if !bytes.windows(9).any(|window| window == b"\"subject\"") {
        return None;
    }
    let media_type = sniff_media_type(&bytes)?;
    let size = u64::try_from(bytes.len()).ok()?;
    let blob = Blob::check(media_type, digest.clone(), size, bytes.into()).ok()?;
    let manifest = Manifest::read(blob, limits).ok()?;
    let subject = manifest.subject()?.digest.clone();
    Some((subject, manifest.referrer_descriptor()))
}
