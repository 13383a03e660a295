//! Files that an exporter wrote, and the statements beside them, as an image index that is made on the fly.
//!
//! BuildKit's `local` and `tar` exporters write the files of a build and, beside them, statements whose subjects are all
//! these files. The index made of that has a child for each file, so that what must be true of a platform must be true of
//! each file: some verified statement names its digest. Statements and bundles are artifacts about the index. Neither is
//! ever written anywhere, and the same files always give the same index.
//!
//! Does not notice that a file is missing: a statement may name more than what is there.
//!
//! Source: BuildKit, docs/attestations/attestation-storage.md and exporter/attestation; image-spec 1.1.

mod evidence;
mod folder;
mod tree;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use async_trait::async_trait;

use super::archive::OpenArchive;
use super::{Store, StoreError, check_size, spool_reader};
use crate::content::{Blob, Content, ContentError};
use crate::digest::Digest;
use crate::limits::Limits;
use crate::media_type::MediaType;
use crate::oci::annotations::TITLE;
use crate::oci::{Descriptor, Manifest, Platform, artifact_manifest, new_index};
use crate::reference::{Selector, Tag};
use evidence::Document;
use tree::{ArchivedTree, Tree};

/// What BuildKit's `local` or `tar` exporter wrote.
pub struct Files {
    tree: Box<dyn Tree>,
    limits: Limits,
    root: Manifest,
    referrers: Vec<Manifest>,
    /// The file that a document is in, and where it starts.
    documents: BTreeMap<Digest, (String, u64)>,
}

impl Files {
    /// Reads a folder. Every file is digested; links are not followed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::TooMuch`], [`StoreError::Io`].
    pub fn open_folder(path: &Path, limits: &Limits) -> Result<Self, StoreError> {
        Self::of(Box::new(folder::FolderTree::open(path, limits)?), limits)
    }

    /// Reads a tar archive, plain or compressed with gzip.
    ///
    /// # Errors
    /// [`StoreError::Archive`], [`StoreError::UnsafeEntry`], [`StoreError::TooMuch`], [`StoreError::Io`].
    pub fn open_archive(path: &Path, limits: &Limits) -> Result<Self, StoreError> {
        Self::of(Box::new(ArchivedTree(OpenArchive::open("tar", path, limits)?)), limits)
    }

    fn of(boxed: Box<dyn Tree>, limits: &Limits) -> Result<Self, StoreError> {
        let tree = &*boxed;
        let place = tree.place();
        let names = tree.entries().len();
        if names > limits.exported_files {
            let detail = format!("{names} files and folders, more than {}", limits.exported_files);
            return Err(StoreError::TooMuch { place, detail });
        }
        let mut found = evidence::find(tree, limits)?;
        let platforms = tree::platform_folders(tree.entries(), &|name| found.contains_key(name));
        // In a folder of a platform a statement is one as well. In any other folder it is a file like all others.
        found.extend(evidence::find_in(tree, platforms.keys(), limits)?);
        let mut children = Vec::new();
        for name in tree.entries().keys().filter(|name| !found.contains_key(*name)) {
            let Some(mut child) = tree::part(tree, name)? else { continue };
            child.platform = name.split_once('/').and_then(|(folder, _)| platforms.get(folder)).cloned();
            children.push(child.annotated(TITLE, name));
        }
        let root = made(&place, new_index(&children, &BTreeMap::new()))?;
        let limits = limits.clone();
        let mut files = Self { tree: boxed, limits, root, referrers: Vec::new(), documents: BTreeMap::new() };
        for (name, documents) in found {
            files.add_evidence(&name, documents)?;
        }
        Ok(files)
    }

    fn add_evidence(&mut self, name: &str, documents: Vec<Document>) -> Result<(), StoreError> {
        let layers: Vec<Descriptor> =
            documents.iter().map(|document| document.descriptor.clone().annotated(TITLE, name)).collect();
        let kind = layers.first().map_or(MediaType::OCTET_STREAM, |layer| layer.media_type.clone());
        let subject = self.root.descriptor();
        let notes = BTreeMap::from([(TITLE.to_owned(), name.to_owned())]);
        self.referrers.push(made(&self.name(), artifact_manifest(&kind, &layers, Some(&subject), &notes))?);
        let places =
            documents.into_iter().map(|document| (document.descriptor.digest, (name.to_owned(), document.start)));
        self.documents.extend(places);
        Ok(())
    }

    /// Reads a document again, and checks it again: the file has a name, and others may have changed it.
    fn read_document(&self, descriptor: &Descriptor, name: &str, start: u64) -> Result<Blob, StoreError> {
        let failed = || tree::failed(&*self.tree, name);
        let kind = self.tree.entries().get(name).ok_or_else(|| self.not_found(name))?;
        let mut file = self.tree.open(name, kind).map_err(failed())?;
        io::copy(&mut file.by_ref().take(start), &mut io::sink()).map_err(failed())?;
        let content = spool_reader(&mut file.take(descriptor.size), descriptor.size, &self.limits).map_err(failed())?;
        let content = content.unwrap_or_else(|| Content::from(""));
        Blob::check(descriptor.media_type.clone(), descriptor.digest.clone(), descriptor.size, content)
            .map_err(|cause| StoreError::Content { place: self.name(), cause })
    }

    fn not_found(&self, what: impl ToString) -> StoreError {
        StoreError::NotFound { place: self.name(), what: what.to_string() }
    }

    fn find(&self, digest: &Digest) -> Result<&Manifest, StoreError> {
        let mut manifests = std::iter::once(&self.root).chain(&self.referrers);
        manifests.find(|manifest| manifest.digest() == digest).ok_or_else(|| self.not_found(digest))
    }
}

/// What was made here is bounded by the number of files, not by what a registry may send.
fn made(place: &str, blob: Blob) -> Result<Manifest, StoreError> {
    let limits = Limits {
        manifest_bytes: u64::MAX,
        index_children: usize::MAX,
        json_captured_bytes: u64::MAX,
        ..Limits::default()
    };
    Manifest::read(blob, &limits).map_err(|cause| StoreError::Manifest { place: place.to_owned(), cause })
}

#[async_trait]
impl Store for Files {
    fn name(&self) -> String {
        self.tree.place()
    }

    async fn manifest(&self, selector: &Selector) -> Result<Manifest, StoreError> {
        match (&selector.digest, &selector.tag) {
            (Some(digest), _) => self.find(digest).cloned(),
            (None, Some(tag)) => Err(self.not_found(format!("tag {tag}"))),
            (None, None) => Ok(self.root.clone()),
        }
    }

    async fn manifest_at(&self, descriptor: &Descriptor) -> Result<Manifest, StoreError> {
        let manifest = self.find(&descriptor.digest)?;
        if manifest.blob().size() != descriptor.size {
            let cause = ContentError::Size {
                digest: descriptor.digest.clone(),
                expected: descriptor.size,
                actual: manifest.blob().size(),
            };
            return Err(StoreError::Content { place: self.name(), cause });
        }
        Ok(manifest.clone())
    }

    async fn tag_digest(&self, _: &Tag) -> Result<Option<Digest>, StoreError> {
        Ok(None)
    }

    /// Gives evidence. The files themselves were digested and are not kept.
    async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Blob, StoreError> {
        let document = self.documents.get(&descriptor.digest).ok_or_else(|| self.not_found(&descriptor.digest))?;
        check_size(&self.name(), descriptor, limit)?;
        self.read_document(descriptor, &document.0, document.1)
    }

    async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, StoreError> {
        if subject != self.root.digest() {
            return Ok(Vec::new());
        }
        Ok(self.referrers.iter().map(Manifest::referrer_descriptor).collect())
    }

    async fn tags(&self) -> Result<Vec<Tag>, StoreError> {
        Ok(Vec::new())
    }
}

/// The platform that the name of an exporter's folder stands for: `linux_amd64`, `linux_arm_v7`.
///
/// Source: BuildKit, exporter/local and exporter/tar ("platform-split").
fn platform_of(folder: &str) -> Option<Platform> {
    const SYSTEMS: [&str; 8] = ["linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "android", "wasip1"];
    let mut parts = folder.split('_');
    let (os, architecture, variant) = (parts.next()?, parts.next()?, parts.next());
    let is_word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let sound = SYSTEMS.contains(&os) && is_word(architecture) && variant.is_none_or(is_word) && parts.next().is_none();
    sound.then(|| Platform::new(os, architecture, variant))
}
