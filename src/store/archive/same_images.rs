//! Archives with both an OCI layout and docker's own list: the two must name the same images, by the same names.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use crate::digest::{Digest, DigestAlgorithm};
use crate::limits::Limits;
use crate::oci::Descriptor;
use crate::oci::annotations::REF_NAME;
use crate::reference::Repository;
use crate::store::StoreError;
use crate::store::layout::{INDEX_FILE_NAME, LayoutReader, is_evidence};

use super::docker::{CONTAINERD_NAME, full_name};
use super::layout::ArchivedLayout;
use super::saved_image::{LIST_FILE_NAME, read_list};

/// What is verified by one list would otherwise be another image than the one that is loaded by the other: each image of
/// docker's list is one of the layout, and where the layout has the name that docker gives it, the one of that name.
pub(super) fn check_same_images(reader: &LayoutReader<ArchivedLayout>, limits: &Limits) -> Result<(), StoreError> {
    let Some(list) = reader.files().content(LIST_FILE_NAME) else { return Ok(()) };
    let place = reader.place();
    if list.length() > limits.manifest_bytes {
        let detail = format!("{LIST_FILE_NAME} has more than {} bytes", limits.manifest_bytes);
        return Err(StoreError::TooMuch { place, detail });
    }
    let text = list.read_all().map_err(|cause| StoreError::Io {
        action: "reading",
        path: format!("{place}, entry {LIST_FILE_NAME}"),
        cause,
    })?;
    let index = reader.index()?;
    let entries: Vec<&Descriptor> = index.entries().filter(|entry| !is_evidence(entry)).collect();
    let named = Named::of(&entries);
    let mut configs = Configurations { reader, limits, read: HashMap::new() };
    let all = configs.of(&entries);
    for image in read_list(&place, &text, limits)? {
        let hex = image.config.strip_prefix("blobs/sha256/").unwrap_or_default();
        let config = Digest::from_hex(DigestAlgorithm::Sha256, hex).ok().filter(|digest| all.contains(digest));
        let Some(config) = config else {
            let detail = format!("{LIST_FILE_NAME} names an image that {INDEX_FILE_NAME} does not: {}", image.config);
            return Err(StoreError::Archive { place, detail });
        };
        for name in image.repo_tags.unwrap_or_default() {
            let same = named.entries(&name);
            if !same.is_empty() && !configs.of(&same).contains(&config) {
                let detail = format!("{name} is another image in {LIST_FILE_NAME} than in {INDEX_FILE_NAME}");
                return Err(StoreError::Archive { place, detail });
            }
        }
    }
    Ok(())
}

/// The entries of `index.json` by what docker would call them.
#[derive(Default)]
struct Named<'a> {
    in_full: HashMap<(Repository, String), Vec<&'a Descriptor>>,
    /// Those that give a tag and no repository.
    by_tag: HashMap<&'a str, Vec<&'a Descriptor>>,
}

impl<'a> Named<'a> {
    fn of(entries: &[&'a Descriptor]) -> Self {
        let mut named = Self::default();
        for entry in entries {
            let tag = entry.annotation(REF_NAME);
            let in_full = entry.annotation(CONTAINERD_NAME).or_else(|| tag.filter(|name| name.contains([':', '/'])));
            match (in_full.and_then(full_name), tag) {
                (Some(name), _) => named.in_full.entry(name).or_default().push(*entry),
                (None, Some(tag)) => named.by_tag.entry(tag).or_default().push(*entry),
                (None, None) => {}
            }
        }
        named
    }

    fn entries(&self, name: &str) -> Vec<&'a Descriptor> {
        let Some(name) = full_name(name) else { return Vec::new() };
        let by_tag = self.by_tag.get(name.1.as_str());
        self.in_full.get(&name).into_iter().chain(by_tag).flatten().copied().collect()
    }
}

/// The configurations of what can be run, each manifest read once, and no more of them than an image may have parts.
struct Configurations<'a> {
    reader: &'a LayoutReader<ArchivedLayout>,
    limits: &'a Limits,
    read: HashMap<Digest, Read>,
}

#[derive(Default)]
struct Read {
    config: Option<Digest>,
    children: Vec<Descriptor>,
}

impl Configurations<'_> {
    /// As far as they are there.
    fn of(&mut self, entries: &[&Descriptor]) -> BTreeSet<Digest> {
        let mut configs = BTreeSet::new();
        let mut seen = HashSet::new();
        let mut next: VecDeque<(Descriptor, usize)> = entries.iter().map(|entry| ((*entry).clone(), 0)).collect();
        while let Some((entry, depth)) = next.pop_front() {
            if depth > self.limits.index_depth || !seen.insert(entry.digest.clone()) {
                continue;
            }
            let Some(read) = self.read(&entry) else { continue };
            configs.extend(read.config.clone());
            next.extend(read.children.iter().map(|child| (child.clone(), depth + 1)));
        }
        configs
    }

    fn read(&mut self, entry: &Descriptor) -> Option<&Read> {
        if !self.read.contains_key(&entry.digest) {
            if self.read.len() > self.limits.image_parts {
                return None;
            }
            // `docker save` of one platform keeps the index and leaves the other platforms out.
            let read = self.reader.manifest_at(entry).ok().map(|manifest| Read {
                config: manifest.as_image().map(|image| image.config.digest.clone()),
                // What needs no cover is no image either.
                children: manifest
                    .as_index()
                    .into_iter()
                    .flat_map(|index| index.runnable())
                    .map(|child| child.descriptor.clone())
                    .collect(),
            });
            self.read.insert(entry.digest.clone(), read.unwrap_or_default());
        }
        self.read.get(&entry.digest)
    }
}
