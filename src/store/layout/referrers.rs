//! Referrers in a layout, which has no listing of them: the fallback tag, and a look at every manifest.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use crate::content::Blob;
use crate::digest::{Digest, DigestAlgorithm};
use crate::limits::Limits;
use crate::oci::{Descriptor, Manifest};

use super::sniff_media_type;

/// All manifests of the folder that have a `subject`, as of one state of the folder.
pub(super) struct Scan {
    seen: Option<SystemTime>,
    found: Vec<(Digest, Descriptor)>,
}

impl Scan {
    /// Looks at every blob that may be a manifest. `cosign save` leaves referrers this way, listed nowhere.
    pub(super) fn of(root: &Path, limits: &Limits) -> Self {
        let mut found = Vec::new();
        for algorithm in DigestAlgorithm::ALL {
            let folder = root.join("blobs").join(algorithm.as_str());
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let Some(digest) = name.to_str().and_then(|hex| Digest::from_hex(algorithm, hex).ok()) else {
                    continue;
                };
                found.extend(read_referrer(&entry.path(), &digest, limits));
            }
        }
        found.sort_by(|left, right| left.1.digest.cmp(&right.1.digest));
        Self { seen: changed(root), found }
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
    let mut file = File::open(path).ok()?;
    if file.metadata().ok()?.len() > limits.manifest_bytes {
        return None;
    }
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
