//! The older form that `docker save` writes: `manifest.json`, configurations and layers, and no image manifest.
//!
//! Source: moby, image/spec/spec.md ("Combined Image JSON + Filesystem Changeset Format"); the manifest that is made of
//! it is the one that containers/image (skopeo, podman) makes, so that digests can be compared.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use flate2::read::MultiGzDecoder;

use crate::content::{Blob, Content, ContentError};
use crate::digest::{Digest, DigestAlgorithm};
use crate::limits::Limits;
use crate::media_type::MediaType;
use crate::oci::{Descriptor, Manifest};
use crate::store::{Spooler, StoreError, spool_reader};

use super::entries::{Kind, follow};
use super::open::OpenArchive;

/// The file that names the images.
pub(super) const LIST_FILE_NAME: &str = "manifest.json";

const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// An image as `manifest.json` lists it.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedImage {
    /// The file that is its configuration.
    pub(super) config: String,
    /// Its names, with tags.
    #[serde(default)]
    pub(super) repo_tags: Option<Vec<String>>,
    /// The files that are its layers.
    #[serde(default)]
    pub(super) layers: Option<Vec<String>>,
}

/// Reads `manifest.json`.
pub(super) fn read_list(place: &str, text: &[u8], limits: &Limits) -> Result<Vec<ListedImage>, StoreError> {
    let broken =
        |detail: String| StoreError::Archive { place: place.to_owned(), detail: format!("{LIST_FILE_NAME}: {detail}") };
    // Duplicate keys would make two images of one.
    crate::json::read(text, limits).map_err(|error| broken(error.to_string()))?;
    serde_json::from_slice(text).map_err(|error| broken(error.to_string()))
}

/// An image whose manifest was made here, with what is needed to give its parts.
pub(super) struct SavedImage {
    pub(super) manifest: Manifest,
    pub(super) config: Blob,
    /// Digest and file of each layer.
    pub(super) layers: Vec<(Descriptor, String)>,
}

/// An archive in the older form.
pub(super) struct SavedImages {
    pub(super) archive: OpenArchive,
    limits: Limits,
    /// Lengths of layers whose digest was checked, by where they stand: a list may name one a million times.
    measured: Mutex<HashMap<(u64, u64, Digest), u64>>,
}

#[derive(serde::Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(serde::Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Option<Vec<Digest>>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenManifest {
    schema_version: u8,
    media_type: MediaType,
    config: WrittenDescriptor,
    layers: Vec<WrittenDescriptor>,
}

/// The order of its members is part of the manifest's digest.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenDescriptor {
    media_type: MediaType,
    size: u64,
    digest: Digest,
}

impl WrittenDescriptor {
    fn of(descriptor: &Descriptor) -> Self {
        Self { media_type: descriptor.media_type.clone(), size: descriptor.size, digest: descriptor.digest.clone() }
    }
}

impl SavedImages {
    pub(super) fn new(archive: OpenArchive, limits: &Limits) -> Self {
        Self { archive, limits: limits.clone(), measured: Mutex::default() }
    }

    /// The images of the archive.
    pub(super) fn list(&self) -> Result<Vec<ListedImage>, StoreError> {
        let text = self.small_file(LIST_FILE_NAME)?;
        let list = read_list(&self.archive.place, &text, &self.limits)?;
        if list.len() > self.limits.image_parts {
            let detail = format!("{LIST_FILE_NAME} lists more than {} images", self.limits.image_parts);
            return Err(StoreError::TooMuch { place: self.archive.place.clone(), detail });
        }
        Ok(list)
    }

    fn invalid(&self, detail: String) -> StoreError {
        StoreError::Archive { place: self.archive.place.clone(), detail }
    }

    fn io(&self, name: &str) -> impl FnOnce(io::Error) -> StoreError {
        let path = format!("{}, entry {name}", self.archive.place);
        move |cause| StoreError::Io { action: "reading", path, cause }
    }

    /// A file of the archive. Links are followed by name, inside the archive alone: layers that are equal are kept so.
    fn file(&self, name: &str) -> Result<Content, StoreError> {
        match follow(&self.archive.entries, name) {
            Some(Kind::File { offset, length }) => Ok(self.archive.bytes.slice(offset..offset + length)),
            _ if self.archive.entries.contains_key(name) => Err(StoreError::UnsafeEntry {
                place: self.archive.place.clone(),
                entry: name.to_owned(),
                detail: "it leads to no file of the archive".to_owned(),
            }),
            _ => Err(StoreError::NotFound { place: self.archive.place.clone(), what: name.to_owned() }),
        }
    }

    fn small_file(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let content = self.file(name)?;
        if content.length() > self.limits.manifest_bytes {
            let detail = format!("{name} has more than {} bytes", self.limits.manifest_bytes);
            return Err(StoreError::TooMuch { place: self.archive.place.clone(), detail });
        }
        Ok(content.read_all().map_err(self.io(name))?.to_vec())
    }

    /// Makes the manifest of an image. Every layer is read: its digest must be the one that the configuration gives.
    pub(super) fn image(&self, listed: &ListedImage) -> Result<SavedImage, StoreError> {
        let config = Blob::of_bytes(MediaType::new(DOCKER_CONFIG), self.small_file(&listed.config)?);
        self.check_named_after(&listed.config, config.digest())?;
        let text = config.bytes(self.limits.manifest_bytes).map_err(|cause| self.content(cause))?;
        crate::json::read(&text, &self.limits)
            .map_err(|error| self.invalid(format!("the configuration {}: {error}", listed.config)))?;
        let parsed: Config = serde_json::from_slice(&text)
            .map_err(|error| self.invalid(format!("the configuration {}: {error}", listed.config)))?;
        let diff_ids = parsed.rootfs.diff_ids.unwrap_or_default();
        let files = listed.layers.clone().unwrap_or_default();
        if diff_ids.len() != files.len() {
            let detail =
                format!("{} names {} layers, and {LIST_FILE_NAME} {}", listed.config, diff_ids.len(), files.len());
            return Err(self.invalid(detail));
        }
        let mut layers: Vec<(Descriptor, String)> = Vec::new();
        let mut written_layers: Vec<WrittenDescriptor> = Vec::new();
        for (diff_id, name) in diff_ids.iter().zip(files) {
            let size = self.measure(&name, diff_id)?;
            let layer = Descriptor::new(MediaType::new(DOCKER_LAYER), diff_id.clone(), size);
            let mut written = WrittenDescriptor::of(&layer);
            match written_layers.iter().find(|known| known.digest == *diff_id) {
                Some(first) => written.size = first.size,
                None if self.is_symbolic_link(&name) => written.size = 0,
                None => {}
            }
            written_layers.push(written);
            layers.push((layer, name));
        }
        let written = WrittenManifest {
            schema_version: 2,
            media_type: MediaType::DOCKER_MANIFEST,
            config: WrittenDescriptor::of(&Descriptor::of(&config)),
            layers: written_layers,
        };
        let text = serde_json::to_vec(&written).map_err(|error| self.invalid(error.to_string()))?;
        let manifest = Manifest::read(Blob::of_bytes(MediaType::DOCKER_MANIFEST, text), &self.limits)
            .map_err(|cause| StoreError::Manifest { place: self.archive.place.clone(), cause })?;
        Ok(SavedImage { manifest, config, layers })
    }

    /// containers/image takes the size of a layer from the header of the entry that is named, which for a link is 0, and
    /// of a layer that is listed twice from the first entry. The digest is the same one only with the same sizes.
    ///
    /// Source: containers/image, docker/internal/tarfile/src.go, `prepareLayerData`; seen with skopeo 1.9.3.
    fn is_symbolic_link(&self, name: &str) -> bool {
        matches!(self.archive.entries.get(name), Some(Kind::SymbolicLink(_)))
    }

    fn content(&self, cause: ContentError) -> StoreError {
        StoreError::Content { place: self.archive.place.clone(), cause }
    }

    /// A file that is named after a digest has it.
    fn check_named_after(&self, name: &str, actual: &Digest) -> Result<(), StoreError> {
        let stem = name.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
        match Digest::from_hex(DigestAlgorithm::Sha256, stem) {
            Ok(expected) if expected != *actual => {
                Err(self.content(ContentError::Digest { expected, actual: actual.clone() }))
            }
            _ => Ok(()),
        }
    }

    /// The length of a layer when it is not compressed, after its digest was checked.
    fn measure(&self, name: &str, diff_id: &Digest) -> Result<u64, StoreError> {
        let Some(Kind::File { offset, length }) = follow(&self.archive.entries, name) else {
            return self.measure_now(name, diff_id);
        };
        let key = (offset, length, diff_id.clone());
        let known = self.measured.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let measured = self.measure_now(name, diff_id)?;
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).insert(key, measured);
        Ok(measured)
    }

    fn measure_now(&self, name: &str, diff_id: &Digest) -> Result<u64, StoreError> {
        let (mut reader, bound) = self.uncompressed(name)?;
        let mut hasher = crate::digest::Hasher::new(diff_id.algorithm());
        let (mut length, mut buffer) = (0_u64, vec![0; 192 << 10]);
        loop {
            let read = reader.read(&mut buffer).map_err(self.io(name))?;
            if read == 0 {
                break;
            }
            hasher.update(buffer.get(..read).unwrap_or_default());
            length += u64::try_from(read).unwrap_or(u64::MAX);
            if length > bound {
                let detail = format!("{name} unpacks to more than {bound} bytes");
                return Err(StoreError::TooMuch { place: self.archive.place.clone(), detail });
            }
        }
        let actual = hasher.finish();
        if actual != *diff_id {
            return Err(self.content(ContentError::Digest { expected: diff_id.clone(), actual }));
        }
        Ok(length)
    }

    /// The bytes of a layer, and how many there may be.
    fn uncompressed(&self, name: &str) -> Result<(Box<dyn Read>, u64), StoreError> {
        let content = self.file(name)?;
        let start = content.slice(0..2).read_all().map_err(self.io(name))?;
        if start[..] == [0x1f, 0x8b] {
            let by_ratio = content.length().saturating_mul(self.limits.archive_ratio) + self.limits.memory_bytes;
            return Ok((Box::new(MultiGzDecoder::new(content.reader())), by_ratio.min(self.limits.archive_bytes)));
        }
        let length = content.length();
        Ok((Box::new(content.reader()), length))
    }

    /// The content of a layer, not compressed.
    pub(super) fn layer(&self, layer: &Descriptor, name: &str) -> Result<Blob, StoreError> {
        let (mut reader, _) = self.uncompressed(name)?;
        let content = spool_reader(&mut reader, layer.size, &self.limits).map_err(self.io(name))?;
        let content = content
            .ok_or_else(|| self.content(ContentError::TooLarge { digest: layer.digest.clone(), limit: layer.size }))?;
        let mut spooler = Spooler::new(layer.digest.algorithm(), &self.limits);
        content.each_chunk(|chunk| spooler.write(chunk)).map_err(self.io(name))?;
        let (content, digest) = spooler.finish();
        Blob::assert_digested(&layer.media_type, &layer.digest, layer.size, content, digest)
            .map_err(|cause| self.content(cause))
    }
}
