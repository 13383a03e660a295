//! Which parts of an image are meant.

use crate::attach::AttachError;
use crate::oci::{Image, Manifest, Platform, PlatformManifest};

/// Which parts of an image are attested or signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// What was named: the index, or the single manifest.
    Named,
    /// One platform of an index.
    Platform(Platform),
    /// Every platform of an index, each with a statement of its own.
    EachPlatform,
    /// Every platform, every index inside the index, and what was named.
    Recursive,
}

/// The manifests that are meant, and whether each is the whole of what was named.
pub(super) fn choose(image: &Image, targets: &Targets) -> Result<Vec<(PlatformManifest, bool)>, AttachError> {
    match targets {
        Targets::Named => Ok(vec![(whole(image.root()), true)]),
        _ if !image.is_index() => Ok(vec![(whole(image.root()), true)]),
        Targets::EachPlatform => each_platform(image),
        Targets::Recursive => {
            let mut chosen = each_platform(image)?;
            chosen.extend(image.inner().iter().map(|index| (whole(index), false)));
            chosen.push((whole(image.root()), true));
            Ok(chosen)
        }
        Targets::Platform(wanted) => {
            let mut chosen: Vec<(PlatformManifest, bool)> = Vec::new();
            for leaf in image.on(wanted) {
                if !chosen.iter().any(|(known, _)| known.descriptor.digest == leaf.descriptor.digest) {
                    chosen.push((leaf.clone(), false));
                }
            }
            if chosen.is_empty() {
                return Err(AttachError::no_such_platform(wanted, image));
            }
            Ok(chosen)
        }
    }
}

fn whole(manifest: &Manifest) -> PlatformManifest {
    PlatformManifest {
        platform: None,
        descriptor: manifest.descriptor(),
        held_by: Vec::new(),
        bytes: Some(manifest.bytes().clone()),
    }
}

fn each_platform(image: &Image) -> Result<Vec<(PlatformManifest, bool)>, AttachError> {
    let mut chosen: Vec<(PlatformManifest, bool)> = Vec::new();
    for leaf in image.platforms() {
        if leaf.descriptor.media_type.is_image_index() {
            return Err(AttachError::PartUnreadable { manifest: leaf.descriptor.digest.clone() });
        }
        if !chosen.iter().any(|(known, _)| known.descriptor.digest == leaf.descriptor.digest) {
            chosen.push((leaf.clone(), false));
        }
    }
    Ok(chosen)
}
