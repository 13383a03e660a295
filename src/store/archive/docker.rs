//! Archives as `docker save` writes them: since Docker 25 with an OCI layout in them, before that without.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::content::Blob;
use crate::digest::Digest;
use crate::limits::Limits;
use crate::oci::annotations::REF_NAME;
use crate::oci::{Descriptor, Manifest};
use crate::reference::{Repository, Selector, Tag};
use crate::store::layout::{INDEX_FILE_NAME, LAYOUT_FILE_NAME, LayoutReader};
use crate::store::{Store, StoreError, check_size};

use super::entries::Kind;
use super::layout::ArchivedLayout;
use super::open::OpenArchive;
use super::same_images::check_same_images;
use super::saved_image::{LIST_FILE_NAME, ListedImage, SavedImage, SavedImages};

/// Annotation by which containerd names an entry of `index.json` in full.
pub(super) const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// An archive that `docker save`, `podman save` or a build tool wrote.
pub struct DockerArchive {
    form: Form,
    image: Option<String>,
}

enum Form {
    Layout(LayoutReader<ArchivedLayout>),
    Saved(SavedImages, Made),
}

/// Images whose manifests were made, by their place in the list: making one reads all of its layers.
type Made = Mutex<BTreeMap<usize, Arc<SavedImage>>>;

impl DockerArchive {
    /// Opens an archive; `image` is one of the names with tag that are kept in it.
    ///
    /// # Errors
    /// [`StoreError::Archive`], [`StoreError::UnsafeEntry`] and [`StoreError::TooMuch`] when it cannot be trusted to be
    /// one thing.
    pub fn open(path: &Path, image: Option<&str>, limits: &Limits) -> Result<Self, StoreError> {
        let archive = OpenArchive::open("docker-archive", path, limits)?;
        let image = image.map(str::to_owned);
        if holds_layout(&archive, limits) {
            let reader = LayoutReader::open(ArchivedLayout::new(archive)?, limits)?;
            check_same_images(&reader, limits)?;
            return Ok(Self { form: Form::Layout(reader), image });
        }
        if !archive.entries.contains_key(LIST_FILE_NAME) {
            let detail = format!("it has neither {LIST_FILE_NAME} nor an OCI layout");
            return Err(StoreError::Archive { place: archive.place, detail });
        }
        Ok(Self { form: Form::Saved(SavedImages::new(archive, limits), Made::default()), image })
    }

    fn place(&self) -> String {
        match &self.form {
            Form::Layout(reader) => reader.place(),
            Form::Saved(saved, _) => saved.archive.place.clone(),
        }
    }

    fn not_found(&self, what: impl ToString) -> StoreError {
        StoreError::NotFound { place: self.place(), what: what.to_string() }
    }

    fn ambiguous<'a>(&self, names: impl Iterator<Item = Option<&'a str>>) -> StoreError {
        let place = self.place();
        let tags = names
            .map(|name| name.map_or_else(|| "an image without a name".to_owned(), |name| format!("{place}:{name}")));
        let tags = tags.collect();
        StoreError::Ambiguous { place, tags }
    }

    /// The entry of a layout with the name that was asked for, or the only image.
    fn choose_entry(&self, reader: &LayoutReader<ArchivedLayout>) -> Result<Manifest, StoreError> {
        let Some(wanted) = &self.image else { return reader.manifest(&Selector::default()) };
        let index = reader.index()?;
        let named = |entry: &&Descriptor| match entry.annotation(CONTAINERD_NAME) {
            Some(name) => same_name(name, wanted),
            None => entry.annotation(REF_NAME).is_some_and(|name| same_name(name, wanted)),
        };
        let found: Vec<&Descriptor> = index.entries().filter(named).collect();
        let digests: BTreeSet<&Digest> = found.iter().map(|entry| &entry.digest).collect();
        match found.first() {
            Some(entry) if digests.len() == 1 => reader.manifest_at(entry),
            Some(_) => Err(self.ambiguous(found.iter().map(|entry| entry.annotation(CONTAINERD_NAME)))),
            None => Err(self.not_found(format!("image {wanted}"))),
        }
    }

    /// The image at a place of the list, made once.
    fn made(&self, saved: &SavedImages, place: usize, listed: &ListedImage) -> Result<Arc<SavedImage>, StoreError> {
        let Form::Saved(_, made) = &self.form else { return Err(self.not_found("image")) };
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(&place) {
            return Ok(Arc::clone(known));
        }
        let image = Arc::new(saved.image(listed)?);
        made.insert(place, Arc::clone(&image));
        Ok(image)
    }

    fn choose_saved(&self, saved: &SavedImages) -> Result<Arc<SavedImage>, StoreError> {
        let list = saved.list()?;
        let names = |image: &ListedImage| image.repo_tags.clone().unwrap_or_default();
        let is_wanted = |image: &ListedImage| match &self.image {
            Some(wanted) => names(image).iter().any(|name| same_name(name, wanted)),
            None => true,
        };
        let chosen: Vec<(usize, &ListedImage)> =
            list.iter().enumerate().filter(|(_, image)| is_wanted(image)).collect();
        match (chosen.as_slice(), &self.image) {
            ([(place, one)], _) => self.made(saved, *place, one),
            ([], Some(wanted)) => Err(self.not_found(format!("image {wanted}"))),
            ([], None) => Err(self.not_found("image")),
            (several, _) => {
                let names: Vec<Option<String>> =
                    several.iter().map(|(_, image)| names(image).into_iter().next()).collect();
                Err(self.ambiguous(names.iter().map(Option::as_deref)))
            }
        }
    }

    /// The image whose manifest, made here, has a digest.
    fn saved_at(&self, saved: &SavedImages, digest: &Digest) -> Result<Arc<SavedImage>, StoreError> {
        for (place, listed) in saved.list()?.iter().enumerate() {
            let image = self.made(saved, place, listed)?;
            if image.manifest.digest() == digest {
                return Ok(image);
            }
        }
        Err(self.not_found(digest))
    }

    fn saved_blob(&self, saved: &SavedImages, descriptor: &Descriptor) -> Result<Blob, StoreError> {
        for (place, listed) in saved.list()?.iter().enumerate() {
            let image = self.made(saved, place, listed)?;
            if image.config.digest() == &descriptor.digest {
                return Ok(image.config.clone());
            }
            if let Some((layer, name)) = image.layers.iter().find(|(layer, _)| layer.digest == descriptor.digest) {
                return saved.layer(layer, name);
            }
        }
        Err(self.not_found(&descriptor.digest))
    }
}

/// Names are compared in full, as docker completes them.
fn same_name(left: &str, right: &str) -> bool {
    left == right || full_name(left).is_some_and(|left| full_name(right) == Some(left))
}

/// Repository and tag of a name, as docker completes them.
pub(super) fn full_name(name: &str) -> Option<(Repository, String)> {
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (name, "latest"),
    };
    Some((Repository::parse(name).ok()?, tag.to_owned()))
}

/// Whether the archive has an OCI layout with something in it. Docker 25 wrote empty ones beside its own list.
fn holds_layout(archive: &OpenArchive, limits: &Limits) -> bool {
    #[derive(serde::Deserialize)]
    struct Index {
        manifests: Option<Vec<serde::de::IgnoredAny>>,
    }
    if !archive.entries.contains_key(LAYOUT_FILE_NAME) {
        return false;
    }
    // What cannot be read is left to the layout to refuse.
    let Some(Kind::File { offset, length }) = archive.entries.get(INDEX_FILE_NAME) else { return true };
    let text = archive.bytes.slice(*offset..offset + length.min(&limits.manifest_bytes)).read_all();
    let index = text.ok().and_then(|text| serde_json::from_slice::<Index>(&text).ok());
    let is_empty = index.is_some_and(|index| index.manifests.is_none_or(|manifests| manifests.is_empty()));
    !(is_empty && archive.entries.contains_key(LIST_FILE_NAME))
}

#[async_trait]
impl Store for DockerArchive {
    fn name(&self) -> String {
        self.place()
    }

    async fn manifest(&self, selector: &Selector) -> Result<Manifest, StoreError> {
        match &self.form {
            Form::Layout(reader) if *selector == Selector::default() => self.choose_entry(reader),
            Form::Layout(reader) => reader.manifest(selector),
            Form::Saved(saved, _) => match (&selector.digest, &selector.tag) {
                (Some(digest), _) => Ok(self.saved_at(saved, digest)?.manifest.clone()),
                (None, Some(tag)) => Err(self.not_found(format!("tag {tag}"))),
                (None, None) => Ok(self.choose_saved(saved)?.manifest.clone()),
            },
        }
    }

    async fn manifest_at(&self, descriptor: &Descriptor) -> Result<Manifest, StoreError> {
        match &self.form {
            Form::Layout(reader) => reader.manifest_at(descriptor),
            Form::Saved(saved, _) => {
                let image = self.saved_at(saved, &descriptor.digest)?;
                Blob::check(
                    descriptor.media_type.clone(),
                    descriptor.digest.clone(),
                    descriptor.size,
                    image.manifest.bytes().clone().into(),
                )
                .map_err(|cause| StoreError::Content { place: self.place(), cause })?;
                Ok(image.manifest.clone())
            }
        }
    }

    async fn tag_digest(&self, tag: &Tag) -> Result<Option<Digest>, StoreError> {
        match &self.form {
            Form::Layout(reader) => Ok(reader.index()?.tagged(tag.as_str()).map(|entry| entry.digest.clone())),
            Form::Saved(..) => Ok(None),
        }
    }

    async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Blob, StoreError> {
        match &self.form {
            Form::Layout(reader) => reader.blob(descriptor, limit),
            Form::Saved(saved, _) => {
                check_size(&self.place(), descriptor, limit)?;
                let blob = self.saved_blob(saved, descriptor)?;
                Blob::check(
                    descriptor.media_type.clone(),
                    descriptor.digest.clone(),
                    descriptor.size,
                    blob.content().clone(),
                )
                .map_err(|cause| StoreError::Content { place: self.place(), cause })
            }
        }
    }

    /// The older form has no place for evidence.
    async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, StoreError> {
        match &self.form {
            Form::Layout(reader) => reader.referrers(subject),
            Form::Saved(..) => Ok(Vec::new()),
        }
    }

    async fn tags(&self) -> Result<Vec<Tag>, StoreError> {
        match &self.form {
            Form::Layout(reader) => reader.tags(),
            Form::Saved(..) => Ok(Vec::new()),
        }
    }
}
