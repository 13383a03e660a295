//! Referrers in a layout, which has no listing of them: the fallback tag, and a look at every manifest.

use std::io::Read;
use std::time::SystemTime;

use crate::content::Blob;
use crate::digest::{Digest, DigestAlgorithm};
use crate::limits::Limits;
use crate::oci::{Descriptor, Manifest};
use crate::store::StoreError;

use super::reader::{LayoutFiles, blob_name, sniff_media_type};

/// All manifests of the layout that have a `subject`, as of one state of it.
pub(super) struct Scan {
    seen: Option<SystemTime>,
    found: Vec<(Digest, Descriptor)>,
}

impl Scan {
    /// Looks at every blob that may be a manifest. `cosign save` leaves referrers this way, listed nowhere.
    ///
    /// # Errors
    /// [`StoreError::Io`] when a folder is there and cannot be listed: it is not empty for that.
    pub(super) fn of(files: &dyn LayoutFiles, limits: &Limits) -> Result<Self, StoreError> {
        let mut found = Vec::new();
        for algorithm in DigestAlgorithm::ALL {
            let blobs = files.blobs(algorithm)?;
            found.extend(blobs.iter().filter_map(|digest| read_referrer(files, digest, limits)));
        }
        found.sort_by(|left, right| left.1.digest.cmp(&right.1.digest));
        Ok(Self { seen: files.blobs_changed(), found })
    }

    /// Whether the layout is still in the state that was looked at.
    pub(super) fn is_current(&self, files: &dyn LayoutFiles) -> bool {
        self.seen.is_some() && self.seen == files.blobs_changed()
    }

    pub(super) fn referrers_of<'a>(&'a self, subject: &'a Digest) -> impl Iterator<Item = &'a Descriptor> {
        self.found.iter().filter(move |(about, _)| about == subject).map(|(_, descriptor)| descriptor)
    }
}

/// A blob that is a sound manifest with a subject; anything else is no referrer.
fn read_referrer(files: &dyn LayoutFiles, digest: &Digest, limits: &Limits) -> Option<(Digest, Descriptor)> {
    let mut file = files.open(&blob_name(digest)).ok()?.take(limits.manifest_bytes.saturating_add(1));
    // Most blobs are layers, and one byte tells.
    let mut first = [0; 1];
    file.read_exact(&mut first).ok().filter(|()| first == *b"{")?;
    let mut bytes = first.to_vec();
    file.read_to_end(&mut bytes).ok()?;
    let size = u64::try_from(bytes.len()).ok().filter(|size| *size <= limits.manifest_bytes)?;
    if !bytes.windows(9).any(|window| window == b"\"subject\"") {
        return None;
    }
    let media_type = sniff_media_type(&bytes)?;
    let blob = Blob::check(media_type, digest.clone(), size, bytes.into()).ok()?;
    let manifest = Manifest::read(blob, limits).ok()?;
    let subject = manifest.subject()?.digest.clone();
    Some((subject, manifest.referrer_descriptor()))
}
