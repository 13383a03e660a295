//! An image: what was named, and everything in it that can be run.

use std::collections::HashSet;

use bytes::Bytes;

use super::annotations;
use super::descriptor::Descriptor;
use super::manifest::Manifest;
use super::platform::Platform;
use crate::digest::Digest;

/// A manifest that can be run, and the indexes that hold it.
#[derive(Debug, Clone)]
pub struct PlatformManifest {
    /// The platform that its index gives; a single manifest has none.
    pub platform: Option<Platform>,
    /// The manifest.
    pub descriptor: Descriptor,
    /// Digests of the indexes that hold it, outermost first.
    pub held_by: Vec<Digest>,
    /// Its bytes, where they were read.
    pub bytes: Option<Bytes>,
}

impl PlatformManifest {
    /// What people call it: the path of an exported file, else the platform; `image` when it has none.
    pub fn label(&self) -> String {
        match self.path() {
            Some(path) => path.to_owned(),
            None => self.platform.as_ref().map_or_else(|| "image".to_owned(), Platform::to_string),
        }
    }

    /// The path, when it is a file that an exporter wrote.
    ///
    /// A manifest that gives itself a title is no file, and must not take another's name.
    pub fn path(&self) -> Option<&str> {
        let kind = &self.descriptor.media_type;
        let is_manifest = kind.is_image_manifest() || kind.is_image_index();
        self.descriptor.annotation(annotations::TITLE).filter(|_| !is_manifest)
    }
}

/// What a reference names, resolved once. Everything later uses its digests.
#[derive(Debug, Clone)]
pub struct Image {
    root: Manifest,
    inner: Vec<Manifest>,
    platforms: Vec<PlatformManifest>,
}

impl Image {
    /// An image without children, or an index whose leaves were collected by the caller.
    pub fn new(root: Manifest, leaves: Vec<PlatformManifest>) -> Self {
        if root.as_index().is_some() {
            return Self { root, inner: Vec::new(), platforms: leaves };
        }
        let itself = PlatformManifest {
            platform: None,
            descriptor: root.descriptor(),
            held_by: Vec::new(),
            bytes: Some(root.bytes().clone()),
        };
        Self { root, inner: Vec::new(), platforms: vec![itself] }
    }

    /// The same with the indexes that were found inside the index.
    #[must_use]
    pub fn with_inner(self, inner: Vec<Manifest>) -> Self {
        Self { inner, ..self }
    }

    /// The manifest or index that was named.
    pub const fn root(&self) -> &Manifest {
        &self.root
    }

    /// The indexes inside the index.
    pub fn inner(&self) -> &[Manifest] {
        &self.inner
    }

    /// The digest of what was named.
    pub const fn digest(&self) -> &Digest {
        self.root.digest()
    }

    /// Whether it is an index.
    pub fn is_index(&self) -> bool {
        self.root.as_index().is_some()
    }

    /// Everything that can be run. Several entries may have one digest, or one platform.
    pub fn platforms(&self) -> &[PlatformManifest] {
        &self.platforms
    }

    /// The entries for a platform, compared as people mean it.
    pub fn on<'a>(&'a self, wanted: &'a Platform) -> impl Iterator<Item = &'a PlatformManifest> {
        self.platforms
            .iter()
            .filter(move |entry| entry.platform.as_ref().is_some_and(|platform| platform.matches(wanted)))
    }

    /// The entries that a client may choose for a platform: those for it, and those that do not say what they are for.
    pub fn may_run_on<'a>(&'a self, wanted: &'a Platform) -> impl Iterator<Item = &'a PlatformManifest> {
        self.platforms
            .iter()
            .filter(move |entry| entry.platform.as_ref().is_none_or(|known| !known.is_said() || known.matches(wanted)))
    }

    /// The descriptor of a part of the image or of an index inside it; of what was named, for any other digest.
    pub fn descriptor_of(&self, digest: &Digest) -> Descriptor {
        let leaf = self.platforms.iter().find(|leaf| leaf.descriptor.digest == *digest);
        let inner = || self.inner.iter().find(|index| index.digest() == digest).map(Manifest::descriptor);
        leaf.map(|leaf| leaf.descriptor.clone()).or_else(inner).unwrap_or_else(|| self.root.descriptor())
    }

    /// All digests that a statement about the image, a part of it, or an index inside it may name.
    pub fn digests(&self) -> Vec<(&Digest, Option<&Bytes>)> {
        let mut digests = vec![(self.root.digest(), Some(self.root.bytes()))];
        let leaves = self.platforms.iter().map(|entry| (&entry.descriptor.digest, entry.bytes.as_ref()));
        // What is about an index inside the index covers what that one holds.
        let inner = self.inner.iter().map(|index| (index.digest(), Some(index.bytes())));
        let mut known = HashSet::from([self.root.digest()]);
        digests.extend(leaves.chain(inner).filter(|(digest, _)| known.insert(*digest)));
        digests
    }
}
