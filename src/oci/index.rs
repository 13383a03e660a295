//! Indexes: children, which of them can run, and changes that keep every other byte.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;

use super::annotations;
use super::descriptor::Descriptor;
use crate::content::Blob;
use crate::digest::Digest;
use crate::json::Node;
use crate::media_type::MediaType;

/// The modelled part of an image index.
///
/// Source: image-spec 1.1, image-index.md.
#[derive(Debug, Clone)]
pub struct ImageIndex {
    /// What the index is, when it is an artifact.
    pub artifact_type: Option<MediaType>,
    /// The manifest that it is about.
    pub subject: Option<Descriptor>,
    /// Notes; unsigned.
    pub annotations: BTreeMap<String, String>,
    children: Vec<Child>,
    /// Bytes of the `manifests` array in the index's text.
    array: Range<usize>,
}

/// An entry of an index and where its text stands.
#[derive(Debug, Clone)]
pub struct Child {
    /// The entry.
    pub descriptor: Descriptor,
    text: Range<usize>,
}

impl Child {
    /// Whether the entry is an attestation manifest, which needs no cover itself.
    ///
    /// Both marks are demanded, the platform and the annotation (or artifact type): a runnable image that only wears
    /// one of them must not escape the demands on images.
    ///
    /// Source: BuildKit attestation-storage.md.
    pub fn is_attestation_manifest(&self) -> bool {
        let descriptor = &self.descriptor;
        let unknown = descriptor.platform.as_ref().is_some_and(super::Platform::is_unknown);
        let kind = descriptor
            .annotation(annotations::REFERENCE_TYPE)
            .or_else(|| descriptor.annotation(annotations::REFERENCE_TYPE_OLD));
        let marked = kind == Some(annotations::ATTESTATION_MANIFEST)
            || descriptor.artifact_type == Some(MediaType::DOCKER_ATTESTATION_MANIFEST);
        unknown && marked
    }

    /// The manifest of the same index that an attestation manifest says it is about: a hint.
    pub fn reference_digest(&self) -> Option<Digest> {
        let descriptor = &self.descriptor;
        let text = descriptor
            .annotation(annotations::REFERENCE_DIGEST)
            .or_else(|| descriptor.annotation(annotations::REFERENCE_DIGEST_OLD))?;
        Digest::parse(text).ok()
    }
}

pub(super) fn to_range(range: &Range<u64>) -> Range<usize> {
    usize::try_from(range.start).unwrap_or(usize::MAX)..usize::try_from(range.end).unwrap_or(usize::MAX)
}

impl ImageIndex {
    pub(super) fn new(
        artifact_type: Option<MediaType>,
        manifests: Vec<Descriptor>,
        subject: Option<Descriptor>,
        annotations: BTreeMap<String, String>,
        tree: &Node,
    ) -> Self {
        let array = tree.get("manifests");
        let ranges = array.and_then(Node::as_array).unwrap_or_default().iter().map(|node| to_range(&node.range));
        let children = manifests.into_iter().zip(ranges).map(|(descriptor, text)| Child { descriptor, text }).collect();
        let array = array.map_or(0..0, |node| to_range(&node.range));
        Self { artifact_type, subject, annotations, children, array }
    }

    /// The entries, in the order of the text.
    pub fn children(&self) -> &[Child] {
        &self.children
    }

    /// The entries that can be run, or might be: all that are not attestation manifests.
    pub fn runnable(&self) -> impl Iterator<Item = &Child> {
        self.children.iter().filter(|child| !child.is_attestation_manifest())
    }

    /// The attestation manifests that name `digest`.
    pub fn attestation_manifests_of<'a>(&'a self, digest: &'a Digest) -> impl Iterator<Item = &'a Child> {
        self.children
            .iter()
            .filter(move |child| child.is_attestation_manifest() && child.reference_digest().as_ref() == Some(digest))
    }

    /// The text of this index with one more child at its end; every other byte stays.
    ///
    /// `text` is the text that this index was read from.
    pub fn with_child(&self, text: &Bytes, child: &Descriptor) -> Vec<u8> {
        let entry = serde_json::to_vec(child).unwrap_or_default();
        match self.children.last() {
            Some(last) => splice(text, last.text.end..last.text.end, &[&b","[..], &entry].concat()),
            None => splice(text, self.array.start + 1..self.array.start + 1, &entry),
        }
    }

    /// The text of this index with every child of digest `old` replaced by what `renewed` makes of it; every other byte
    /// stays. One that is listed twice and replaced once would still be there.
    pub fn with_children_replaced(
        &self,
        text: &Bytes,
        old: &Digest,
        renewed: impl Fn(&Descriptor) -> Descriptor,
    ) -> Vec<u8> {
        let (mut written, mut from) = (Vec::with_capacity(text.len()), 0);
        for child in self.children.iter().filter(|child| child.descriptor.digest == *old) {
            written.extend_from_slice(text.get(from..child.text.start).unwrap_or_default());
            written.extend(serde_json::to_vec(&renewed(&child.descriptor)).unwrap_or_default());
            from = child.text.end;
        }
        written.extend_from_slice(text.get(from..).unwrap_or_default());
        written
    }

    /// The text of this index without the children that `drop` picks; every other byte stays.
    pub fn without_children(&self, text: &Bytes, drop: impl Fn(&Descriptor) -> bool) -> Vec<u8> {
        let kept: Vec<&Child> = self.children.iter().filter(|child| !drop(&child.descriptor)).collect();
        if kept.len() == self.children.len() {
            return text.to_vec();
        }
        let parts: Vec<&[u8]> = kept.iter().map(|child| text.get(child.text.clone()).unwrap_or_default()).collect();
        let mut array = vec![b'['];
        array.extend(parts.join(&b","[..]));
        array.push(b']');
        splice(text, self.array.clone(), &array)
    }
}

pub(super) fn splice(text: &[u8], range: Range<usize>, insert: &[u8]) -> Vec<u8> {
    let before = text.get(..range.start).unwrap_or_default();
    let after = text.get(range.end..).unwrap_or_default();
    [before, insert, after].concat()
}

/// Writes an index of the given children.
pub fn new_index(children: &[Descriptor], annotations: &BTreeMap<String, String>) -> Blob {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Written<'a> {
        schema_version: u8,
        media_type: MediaType,
        manifests: &'a [Descriptor],
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        annotations: &'a BTreeMap<String, String>,
    }
    let index = Written { schema_version: 2, media_type: MediaType::OCI_INDEX, manifests: children, annotations };
    Blob::of_bytes(MediaType::OCI_INDEX, serde_json::to_vec(&index).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::oci::Manifest;

    const TEXT: &str = concat!(
        "{ \"schemaVersion\": 2,\n \"x-unknown\": 1.0,\n \"manifests\": [ {\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",",
        "\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\",\"size\":2,\"y\":[] } ]\n}\n"
    );

    fn read(text: &[u8]) -> Manifest {
        Manifest::read(Blob::of_bytes(MediaType::OCI_INDEX, text.to_vec()), &Limits::default()).unwrap()
    }

    #[test]
    fn a_child_is_added_and_taken_away_without_another_byte_changing() {
        let manifest = read(TEXT.as_bytes());
        let index = manifest.as_index().unwrap();
        let added = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b"new"), 3);
        let text = index.with_child(manifest.bytes(), &added);
        let grown = read(&text);
        assert_eq!(grown.as_index().unwrap().children().len(), 2);
        assert!(text.starts_with(&TEXT.as_bytes()[..TEXT.find(" ]\n}").unwrap()]));
        assert!(text.ends_with(b" ]\n}\n"));
    }

    #[test]
    fn a_child_is_added_to_an_empty_index() {
        let manifest = read(b"{\"schemaVersion\":2,\"manifests\":[ ]}");
        let added = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b"new"), 3);
        let text = manifest.as_index().unwrap().with_child(manifest.bytes(), &added);
        assert_eq!(read(&text).as_index().unwrap().children().len(), 1);
    }

    #[test]
    fn the_older_spelling_of_the_annotations_is_read_too() {
        let about = Digest::sha256(b"image");
        let mut descriptor = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b""), 0)
            .annotated(annotations::REFERENCE_TYPE_OLD, annotations::ATTESTATION_MANIFEST)
            .annotated(annotations::REFERENCE_DIGEST_OLD, about.to_string());
        descriptor.platform = Some(crate::oci::Platform::unknown());
        let child = Child { descriptor, text: 0..0 };
        assert!(child.is_attestation_manifest() && child.reference_digest() == Some(about));
    }

    #[test]
    fn an_image_that_wears_one_mark_only_is_no_attestation_manifest() {
        let bare = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b""), 0);
        let marked = bare.clone().annotated(annotations::REFERENCE_TYPE, annotations::ATTESTATION_MANIFEST);
        let mut both = marked.clone();
        both.platform = Some(crate::oci::Platform::unknown());
        let mut unknown = bare;
        unknown.platform = Some(crate::oci::Platform::unknown());
        let is = |descriptor: Descriptor| Child { descriptor, text: 0..0 }.is_attestation_manifest();
        assert_eq!((is(marked), is(unknown), is(both)), (false, false, true));
    }
}
