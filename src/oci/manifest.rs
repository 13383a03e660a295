//! Manifests: a blob and what it says.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::descriptor::Descriptor;
use super::index::ImageIndex;
use crate::code::Code;
use crate::content::{Blob, ContentError};
use crate::digest::Digest;
use crate::json::{self, JsonError, Node};
use crate::limits::Limits;
use crate::media_type::MediaType;

/// Why a blob is no manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Larger than the bound, or not readable.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Not strict JSON.
    #[error("{digest} is not JSON: {cause}")]
    Json {
        /// The manifest.
        digest: Digest,
        /// What the scanner says.
        cause: JsonError,
    },
    /// A field is missing or of another type.
    #[error("{digest}: {detail}")]
    Field {
        /// The manifest.
        digest: Digest,
        /// Which field, and how.
        detail: String,
    },
    /// `schemaVersion` is not 2.
    #[error("{digest} has schemaVersion {version}, not 2")]
    SchemaVersion {
        /// The manifest.
        digest: Digest,
        /// What it says.
        version: u64,
    },
    /// It has both `manifests` and `layers` or `config`, so that two readers see two things.
    #[error("{digest} is an index and an image at once")]
    Ambiguous {
        /// The manifest.
        digest: Digest,
    },
    /// The body's own media type is not the one by which it was named.
    #[error("{digest} was named {expected} and calls itself {actual}")]
    MediaType {
        /// The manifest.
        digest: Digest,
        /// By what it was named.
        expected: MediaType,
        /// What it says, or what its shape says.
        actual: MediaType,
    },
    /// Neither an image manifest nor an index.
    #[error("{digest} is neither an image manifest nor an index: {media_type}")]
    Unsupported {
        /// The manifest.
        digest: Digest,
        /// By what it was named.
        media_type: MediaType,
    },
}

impl ManifestError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::Content(error) => error.code(),
            Self::Json { cause, .. } => cause.code(),
            Self::Field { .. } | Self::SchemaVersion { .. } | Self::Ambiguous { .. } => Code::ManifestInvalid,
            Self::MediaType { .. } => Code::MediaTypeMismatch,
            Self::Unsupported { .. } => Code::MediaTypeUnsupported,
        }
    }
}

/// A manifest or index with its exact bytes.
#[derive(Debug, Clone)]
pub struct Manifest {
    blob: Blob,
    bytes: Bytes,
    body: Body,
}

/// What a manifest is. Shared, since whoever looks for evidence holds a manifest in several places.
#[derive(Debug, Clone)]
pub enum Body {
    /// An image, or an artifact in the form of one.
    Image(Arc<ImageManifest>),
    /// An index of manifests.
    Index(Arc<ImageIndex>),
}

/// The modelled part of an image manifest.
///
/// Source: image-spec 1.1, manifest.md.
#[derive(Debug, Clone)]
pub struct ImageManifest {
    /// What the artifact is, when it is one.
    pub artifact_type: Option<MediaType>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers.
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is about.
    pub subject: Option<Descriptor>,
    /// Notes; unsigned.
    pub annotations: BTreeMap<String, String>,
    /// Bytes of the `layers` array in the manifest's text.
    layers_text: Range<usize>,
    /// Bytes of each layer's descriptor in it.
    layer_texts: Vec<Range<usize>>,
}

impl ImageManifest {
    /// The text of this manifest with more layers at the end; every other byte stays.
    pub fn with_layers(&self, text: &Bytes, added: &[Descriptor]) -> Vec<u8> {
        let entries: Vec<String> = added.iter().filter_map(|layer| serde_json::to_string(layer).ok()).collect();
        let comma = if self.layers.is_empty() || entries.is_empty() { "" } else { "," };
        let end = self.layers_text.end.saturating_sub(1);
        let before = text.get(..end).unwrap_or_default();
        let after = text.get(end..).unwrap_or_default();
        [before, comma.as_bytes(), entries.join(",").as_bytes(), after].concat()
    }

    /// The text of this manifest without the layers that `drop` picks; those that stay keep their bytes.
    pub fn without_layers(&self, text: &Bytes, drop: &dyn Fn(&Descriptor) -> bool) -> Vec<u8> {
        let kept: Vec<&[u8]> = self
            .layers
            .iter()
            .zip(&self.layer_texts)
            .filter(|(layer, _)| !drop(layer))
            .map(|(_, range)| text.get(range.clone()).unwrap_or_default())
            .collect();
        let before = text.get(..self.layers_text.start).unwrap_or_default();
        let after = text.get(self.layers_text.end..).unwrap_or_default();
        [before, b"[", &kept.join(&b","[..]), b"]", after].concat()
    }

    /// A manifest's text with another configuration; every other byte stays.
    ///
    /// # Errors
    /// [`ManifestError::Json`] when the text is no manifest.
    pub fn with_config(text: &[u8], config: &Descriptor, limits: &Limits) -> Result<Vec<u8>, ManifestError> {
        let tree =
            json::read(text, limits).map_err(|cause| ManifestError::Json { digest: Digest::sha256(text), cause })?;
        let range = tree.get("config").map_or(0..0, |node| super::index::to_range(&node.range));
        let entry = serde_json::to_vec(config).unwrap_or_default();
        let before = text.get(..range.start).unwrap_or_default();
        let after = text.get(range.end..).unwrap_or_default();
        Ok([before, &entry, after].concat())
    }

    /// The artifact type, or the configuration's media type where it is missing (image-spec, "artifactType").
    pub fn effective_artifact_type(&self) -> &MediaType {
        self.artifact_type.as_ref().unwrap_or(&self.config.media_type)
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    schema_version: u64,
    media_type: Option<MediaType>,
    artifact_type: Option<MediaType>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

/// Keys that are read somewhere in a manifest, its descriptors and their platforms.
const KEYS: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "digest",
    "size",
    "data",
    "urls",
    "platform",
    "architecture",
    "os",
    "os.version",
    "os.features",
    "variant",
];

/// A key that Go takes for one of ours and we do not.
///
/// Go's decoder ignores the case of keys, and the last one wins: of `{"digest": A, "Digest": B}` every runtime written in
/// Go would run B while A is what was verified. Source: Go, encoding/json, `Unmarshal`.
pub(super) fn disguised_key(tree: &Node) -> Option<&str> {
    let object = tree.as_object()?;
    let own =
        object.iter().map(|(key, _)| &**key).find(|key| KEYS.iter().any(|known| known != key && folds(key, known)));
    own.or_else(|| {
        let inner = object.iter().filter(|(key, _)| KEYS.contains(&&**key) && &**key != "annotations");
        inner
            .flat_map(|(_, node)| node.as_array().unwrap_or_else(|| std::slice::from_ref(node)))
            .find_map(disguised_key)
    })
}

/// Whether Go's decoder takes `key` for `known`: case aside, and with the two other characters that fold to ASCII.
fn folds(key: &str, known: &str) -> bool {
    let fold = |character: char| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(known.chars().map(fold))
}

fn layer_texts(tree: &Node) -> Vec<Range<usize>> {
    let layers = tree.get("layers").and_then(Node::as_array).unwrap_or_default();
    layers.iter().map(|node| super::index::to_range(&node.range)).collect()
}

impl Manifest {
    /// Reads a blob that is named as a manifest or index. Digest and size were checked when the blob was made.
    ///
    /// Does not check that children, layers or the subject exist, nor any signature.
    ///
    /// # Errors
    /// Any [`ManifestError`].
    ///
    /// Source: image-spec 1.1, manifest.md and image-index.md.
    pub fn read(blob: Blob, limits: &Limits) -> Result<Self, ManifestError> {
        let bytes = blob.bytes(limits.manifest_bytes)?;
        let digest = || blob.digest().clone();
        let tree = json::read(&bytes, limits).map_err(|cause| ManifestError::Json { digest: digest(), cause })?;
        if let Some(key) = disguised_key(&tree) {
            let detail = format!("the key `{}` differs in case from one that is read", key.escape_default());
            return Err(ManifestError::Field { digest: digest(), detail });
        }
        let wire: Wire = serde_json::from_slice(&bytes)
            .map_err(|error| ManifestError::Field { digest: digest(), detail: error.to_string() })?;
        if wire.schema_version != 2 {
            return Err(ManifestError::SchemaVersion { digest: digest(), version: wire.schema_version });
        }
        let is_index = wire.manifests.is_some();
        if is_index && (wire.layers.is_some() || wire.config.is_some()) {
            return Err(ManifestError::Ambiguous { digest: digest() });
        }
        let named = blob.media_type().clone();
        if !named.is_image_index() && !named.is_image_manifest() {
            return Err(ManifestError::Unsupported { digest: digest(), media_type: named });
        }
        let shape = if is_index { MediaType::OCI_INDEX } else { MediaType::OCI_MANIFEST };
        let own = wire
            .media_type
            .clone()
            .unwrap_or_else(|| if named.is_image_index() == is_index { named.clone() } else { shape.clone() });
        if own != named || own.is_image_index() != is_index {
            let actual = if own == named { shape } else { own };
            return Err(ManifestError::MediaType { digest: digest(), expected: named, actual });
        }
        let annotations = wire.annotations.unwrap_or_default();
        let field = |name: &str| ManifestError::Field { digest: digest(), detail: format!("`{name}` is missing") };
        let body = if let Some(manifests) = wire.manifests {
            if manifests.len() > limits.index_children {
                let detail = format!("more than {} children", limits.index_children);
                return Err(ManifestError::Field { digest: digest(), detail });
            }
            Body::Index(Arc::new(ImageIndex::new(wire.artifact_type, manifests, wire.subject, annotations, &tree)))
        } else {
            Body::Image(Arc::new(ImageManifest {
                artifact_type: wire.artifact_type,
                config: wire.config.ok_or_else(|| field("config"))?,
                layers: wire.layers.ok_or_else(|| field("layers"))?,
                subject: wire.subject,
                annotations,
                layers_text: tree.get("layers").map_or(0..0, |node| super::index::to_range(&node.range)),
                layer_texts: layer_texts(&tree),
            }))
        };
        Ok(Self { blob, bytes, body })
    }

    /// The blob.
    pub const fn blob(&self) -> &Blob {
        &self.blob
    }

    /// The exact bytes.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The digest.
    pub const fn digest(&self) -> &Digest {
        self.blob.digest()
    }

    /// A descriptor of it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(&self.blob)
    }

    /// What it is.
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// The index, when it is one.
    pub fn as_index(&self) -> Option<&ImageIndex> {
        match &self.body {
            Body::Index(index) => Some(index),
            Body::Image(_) => None,
        }
    }

    /// The image manifest, when it is one.
    pub fn as_image(&self) -> Option<&ImageManifest> {
        match &self.body {
            Body::Image(image) => Some(image),
            Body::Index(_) => None,
        }
    }

    /// The manifest that it is about.
    pub fn subject(&self) -> Option<&Descriptor> {
        match &self.body {
            Body::Image(image) => image.subject.as_ref(),
            Body::Index(index) => index.subject.as_ref(),
        }
    }

    /// The entry that a referrers listing has for it.
    ///
    /// Source: distribution-spec 1.1, "Listing Referrers" and "Pushing Manifests with Subject".
    pub fn referrer_descriptor(&self) -> Descriptor {
        let mut descriptor = self.descriptor();
        match &self.body {
            Body::Image(image) => {
                descriptor.artifact_type = Some(image.effective_artifact_type().clone());
                descriptor.annotations = image.annotations.clone();
            }
            Body::Index(index) => {
                descriptor.artifact_type = index.artifact_type.clone();
                descriptor.annotations = index.annotations.clone();
            }
        }
        descriptor
    }
}

/// Writes an artifact: an empty configuration, layers, and the manifest that it is about.
///
/// Source: image-spec 1.1, manifest.md, "Guidelines for Artifact Usage".
pub fn artifact_manifest(
    artifact_type: &MediaType,
    layers: &[Descriptor],
    subject: Option<&Descriptor>,
    annotations: &BTreeMap<String, String>,
) -> Blob {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Written<'a> {
        schema_version: u8,
        media_type: MediaType,
        artifact_type: &'a MediaType,
        config: Descriptor,
        layers: &'a [Descriptor],
        #[serde(skip_serializing_if = "Option::is_none")]
        subject: Option<Descriptor>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        annotations: &'a BTreeMap<String, String>,
    }
    let manifest = Written {
        schema_version: 2,
        media_type: MediaType::OCI_MANIFEST,
        artifact_type,
        config: Descriptor::empty(),
        layers,
        subject: subject.map(Descriptor::bare),
        annotations,
    };
    let bytes = serde_json::to_vec(&manifest).unwrap_or_default();
    Blob::of_bytes(MediaType::OCI_MANIFEST, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, limits: &Limits) -> Result<Manifest, ManifestError> {
        Manifest::read(Blob::of_bytes(MediaType::OCI_INDEX, text.to_owned()), limits)
    }

    #[test]
    fn a_key_that_go_would_read_in_place_of_ours_is_refused() {
        // (refused: manifest-invalid)
        let limits = Limits::default();
        let digest = Digest::sha256(b"x");
        let index = |more: &str, child: &str, platform: &str| {
            format!(
                r#"{{"schemaVersion":2,{more}"manifests":[{{"mediaType":"{}","digest":"{digest}","size":1,{child}"platform":{{{platform}"os":"a","architecture":"b"}},"annotations":{{"Digest":"x"}}}}]}}"#,
                MediaType::OCI_MANIFEST
            )
        };
        assert!(read(&index("", "", ""), &limits).is_ok());
        assert!(read(&index(r#""x":{"Digest":1},"#, "", ""), &limits).is_ok());
        let other = format!(r#""Digest":"{digest}","#);
        for text in [
            index(r#""Manifests":[],"#, "", ""),
            index("\"manife\u{17f}ts\":[],", "", ""),
            index(r#""MEDIATYPE":"x","#, "", ""),
            index("", &other, ""),
            index("", r#""Platform":null,"#, ""),
            index("", "", r#""OS":"linux","#),
        ] {
            assert!(matches!(read(&text, &limits), Err(ManifestError::Field { .. })), "{text}");
        }
    }
}
