//! Small images that every tool takes, and the places to keep them in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use attestry::content::Blob;
use attestry::limits::Limits;
use attestry::media_type::MediaType;
use attestry::oci::{Descriptor, Manifest, Platform, new_index};
use attestry::reference::Tag;
use attestry::store::registry::RegistryOptions;
use attestry::store::{Expected, Layout, Store};
use base64::Engine;
use serde_json::json;

use super::command::files;
use super::ferro::FerroRegistry;
use super::peer::{Peer, crane_registry, docker_registry};
use super::registry::{Faults, TestRegistry};
use crate::store_contract::open;

/// A compressed tar archive of no files, and the digest of what is in it. Source: Docker's empty layer.
const LAYER: &str = "H4sIAAAJbogA/2IYBaNgFIxYAAgAAP//Lq+17wAEAAA=";
const DIFF_ID: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/// A place that keeps images.
pub(crate) enum Place {
    /// With the referrers API.
    InProcess(TestRegistry),
    /// With the referrers API, as somebody else wrote it.
    Ferro(FerroRegistry),
    /// Without it.
    Peer(Peer),
    /// A layout folder.
    Folder(tempfile::TempDir),
}

impl Place {
    pub(crate) fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Layout::create(folder.path(), &Limits::default()).unwrap();
        Self::Folder(folder)
    }

    pub(crate) fn in_process() -> Self {
        Self::InProcess(TestRegistry::start(Faults::default()))
    }

    /// `host/repository`, or a layout's reference, without a tag.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::InProcess(server) => format!("{}/app", server.host()),
            Self::Ferro(server) => format!("{}/app", server.host),
            Self::Peer(peer) => format!("{}/app", peer.host),
            Self::Folder(folder) => format!("oci:{}", folder.path().display()),
        }
    }

    pub(crate) fn tagged(&self, tag: &str) -> String {
        format!("{}:{tag}", self.name())
    }

    pub(crate) fn store(&self) -> Box<dyn Store> {
        let host = match self {
            Self::InProcess(server) => server.host(),
            Self::Ferro(server) => &server.host,
            Self::Peer(peer) => &peer.host,
            Self::Folder(folder) => return Box::new(Layout::open(folder.path(), &Limits::default()).unwrap()),
        };
        Box::new(open(host, RegistryOptions::default()))
    }

    /// All that is kept, to see whether anything changed. Nothing for a registry that keeps it in its memory.
    pub(crate) fn content(&self) -> BTreeMap<String, Vec<u8>> {
        let named = |files: BTreeMap<PathBuf, Vec<u8>>| {
            files.into_iter().map(|(path, bytes)| (path.display().to_string(), bytes)).collect()
        };
        match self {
            Self::InProcess(server) => server.content(),
            Self::Ferro(_) => BTreeMap::new(),
            Self::Peer(peer) => named(files(peer.folder.path())),
            Self::Folder(folder) => named(files(folder.path())),
        }
    }

    /// Pushes an image of two platforms.
    pub(crate) fn push_index(&self, tag: &str) -> Manifest {
        let store = self.store();
        wait(async {
            let mut children = Vec::new();
            for architecture in ["amd64", "arm64"] {
                let mut child = image(&*store, architecture, tag).await.descriptor();
                child.platform = Some(Platform::new("linux", architecture, None));
                children.push(child);
            }
            let index = Manifest::read(new_index(&children, &BTreeMap::new()), &Limits::default()).unwrap();
            store.push_manifest(&index).await.unwrap();
            store.tag(&index, &Tag::parse(tag).unwrap(), &Expected::Any).await.unwrap();
            index
        })
    }

    /// Pushes an image of one manifest.
    pub(crate) fn push_single(&self, tag: &str) -> Manifest {
        let store = self.store();
        wait(async {
            let manifest = image(&*store, "amd64", tag).await;
            store.tag(&manifest, &Tag::parse(tag).unwrap(), &Expected::Any).await.unwrap();
            manifest
        })
    }
}

/// Two registries with the referrers API and those without that are installed.
pub(crate) fn registries() -> Vec<Place> {
    let peers = [docker_registry(None), crane_registry()].into_iter().flatten().map(Place::Peer);
    [Place::in_process(), Place::Ferro(FerroRegistry::start())].into_iter().chain(peers).collect()
}

/// Registries, and a layout folder.
pub(crate) fn places() -> Vec<Place> {
    let mut places = registries();
    places.push(Place::folder());
    places
}

async fn image(store: &dyn Store, architecture: &str, label: &str) -> Manifest {
    let layer = base64::engine::general_purpose::STANDARD.decode(LAYER).unwrap();
    let layer = Blob::of_bytes(MediaType::new("application/vnd.oci.image.layer.v1.tar+gzip"), layer);
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Labels": {"test": label}},
        "rootfs": {"type": "layers", "diff_ids": [DIFF_ID]},
    });
    let config = Blob::of_bytes(MediaType::OCI_CONFIG, config.to_string());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": Descriptor::of(&config),
        "layers": [Descriptor::of(&layer)],
    });
    let manifest = Blob::of_bytes(MediaType::OCI_MANIFEST, manifest.to_string());
    let manifest = Manifest::read(manifest, &Limits::default()).unwrap();
    store.push_blob(&layer).await.unwrap();
    store.push_blob(&config).await.unwrap();
    store.push_manifest(&manifest).await.unwrap();
    manifest
}

/// Runs async code to its end.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
