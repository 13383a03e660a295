//! Layout `file`: documents that lie beside the image, in files. Found, never written by a plan.
//!
//! Three forms of a file are read: one document (a bundle, an envelope, a statement), one document a line
//! (`.intoto.jsonl`, what `cosign download` and `gh attestation download` write), and what GitHub's API answers
//! (`{"attestations": [{"bundle": …}]}`).

use std::collections::BTreeMap;

use crate::code::Code;
use crate::content::{Blob, Content, ContentError};
use crate::dsse;
use crate::json::{Node, Value};
use crate::limits::Limits;
use crate::media_type::MediaType;
use crate::oci::{Descriptor, Manifest, ManifestError, annotations, artifact_manifest};

/// Members that are long in some document and tell nothing about its kind.
const LONG_MEMBERS: &[&str] =
    &["verificationMaterial", "dsseEnvelope", "messageSignature", "payload", "signatures", "subject", "predicate"];

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// There is no document in it.
    #[error("there is no document in it")]
    Empty,
    /// An answer of GitHub's API that has addresses in place of bundles.
    #[error("it names {count} attestations and holds none of them")]
    AddressesOnly {
        /// How many.
        count: usize,
    },
    /// More documents than are read.
    #[error("it holds more than {limit} documents")]
    TooMany {
        /// The bound.
        limit: usize,
    },
    /// It could not be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The manifest that stands for a document does not read back.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl FileError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::Empty | Self::AddressesOnly { .. } => Code::BundleInvalid,
            Self::TooMany { .. } => Code::TooLarge,
            Self::Content(error) => error.code(),
            Self::Manifest(error) => error.code(),
        }
    }
}

/// A document of a file, in the form in which other layouts have it.
#[derive(Debug, Clone)]
pub struct FileDocument {
    /// A manifest made here that lists the document, so that it is found like any other. It has no `subject`: what a
    /// document is about is for its statement to say.
    pub manifest: Manifest,
    /// The document.
    pub blob: Blob,
}

/// Takes a file apart into its documents. `name` is for people; documents of one file are told apart by their number.
///
/// What is no evidence stays in: it becomes a rejection that says so, like a broken layer of a manifest.
///
/// # Errors
/// Any [`FileError`].
pub fn documents_of(name: &str, file: &Content, limits: &Limits) -> Result<Vec<FileDocument>, FileError> {
    let texts = split(file, limits)?;
    let several = texts.len() > 1;
    let numbered = texts.iter().enumerate().map(|(place, text)| {
        let title = if several { format!("{name}:{}", place + 1) } else { name.to_owned() };
        document(title, text, limits)
    });
    numbered.collect()
}

fn document(title: String, text: &Content, limits: &Limits) -> Result<FileDocument, FileError> {
    let media_type = match dsse::scan(text, LONG_MEMBERS, limits) {
        Ok(node) if node.get("payloadType").is_some() => MediaType::DSSE_ENVELOPE,
        Ok(node) if node.get("_type").is_some() => MediaType::IN_TOTO,
        // What is no bundle either is refused as one.
        Ok(_) | Err(_) => MediaType::SIGSTORE_BUNDLE_V03,
    };
    let blob = Blob::new(media_type.clone(), text.clone())?;
    let notes = BTreeMap::from([(annotations::TITLE.to_owned(), title)]);
    let manifest = artifact_manifest(&media_type, &[Descriptor::of(&blob)], None, &notes);
    Ok(FileDocument { manifest: Manifest::read(manifest, limits)?, blob })
}

fn split(file: &Content, limits: &Limits) -> Result<Vec<Content>, FileError> {
    let texts = match dsse::scan(file, LONG_MEMBERS, limits) {
        Ok(node) => match node.get("attestations").and_then(Node::as_array) {
            Some(attestations) => bundles(file, attestations)?,
            None => vec![file.clone()],
        },
        // No single document, so a document a line. A broken one remains what it is: its lines break too.
        Err(_) => lines(file, limits)?,
    };
    if texts.len() > limits.file_documents {
        return Err(FileError::TooMany { limit: limits.file_documents });
    }
    if texts.is_empty() { Err(FileError::Empty) } else { Ok(texts) }
}

/// Source: docs.github.com, REST API, "List attestations".
fn bundles(file: &Content, attestations: &[Node]) -> Result<Vec<Content>, FileError> {
    let bundles = attestations.iter().filter_map(|entry| entry.get("bundle"));
    let bundles = bundles.filter(|bundle| bundle.value != Value::Null);
    let texts: Vec<Content> = bundles.map(|bundle| file.slice(bundle.range.clone())).collect();
    if texts.is_empty() && !attestations.is_empty() {
        return Err(FileError::AddressesOnly { count: attestations.len() });
    }
    Ok(texts)
}

/// The lines that hold something, each as a part of the file.
fn lines(file: &Content, limits: &Limits) -> Result<Vec<Content>, FileError> {
    let mut ranges = Vec::new();
    let (mut offset, mut start, mut blank) = (0_u64, 0_u64, true);
    file.each_chunk(|chunk| {
        for byte in chunk {
            if *byte == b'\n' {
                if !blank {
                    ranges.push(start..offset);
                }
                (start, blank) = (offset + 1, true);
            } else {
                blank &= byte.is_ascii_whitespace();
            }
            offset += 1;
            if ranges.len() > limits.file_documents {
                break;
            }
        }
        Ok::<(), ContentError>(())
    })?;
    if !blank {
        ranges.push(start..offset);
    }
    Ok(ranges.into_iter().map(|range| file.slice(range)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_text(text: &str) -> Result<Vec<String>, FileError> {
        let parts = split(&Content::from(text.to_owned()), &Limits::default())?;
        Ok(parts.iter().map(|part| String::from_utf8(part.read_all().unwrap().to_vec()).unwrap()).collect())
    }

    #[test]
    fn a_file_is_one_document_or_one_a_line() {
        assert_eq!(split_text("{\n \"a\": 1\n}\n").unwrap(), ["{\n \"a\": 1\n}\n"]);
        assert_eq!(
            split_text("{\"a\":1}\n\n{\"b\":2}\r\n{\"c\":3}").unwrap(),
            ["{\"a\":1}", "{\"b\":2}\r", "{\"c\":3}"]
        );
    }

    #[test]
    fn an_answer_of_githubs_api_holds_bundles_byte_for_byte() {
        let text = "{\"attestations\": [ {\"bundle\": {\"x\" : 1.0}, \"repository_id\": 1}, {\"bundle\": null} ]}";
        assert_eq!(split_text(text).unwrap(), ["{\"x\" : 1.0}"]);
        let text = "{\"attestations\": [{\"bundle\": null, \"bundle_url\": \"https://registry.example/x\"}]}";
        assert!(matches!(split_text(text), Err(FileError::AddressesOnly { count: 1 })));
    }

    #[test]
    fn a_file_without_documents_is_no_evidence() {
        for text in ["", "\n \n", "{\"attestations\":[]}"] {
            assert!(matches!(split_text(text), Err(FileError::Empty)), "{text:?}");
        }
    }

    #[test]
    fn more_documents_than_the_bound_are_refused() {
        let limits = Limits { file_documents: 2, ..Limits::default() };
        let file = Content::from("{}\n{}\n{}\n{}\n");
        assert!(matches!(documents_of("x", &file, &limits), Err(FileError::TooMany { limit: 2 })));
    }

    #[test]
    fn documents_of_one_file_are_told_apart() {
        let file = Content::from("{\"_type\":1}\n{\"payloadType\":1}\nnot json\n");
        let documents = documents_of("x.jsonl", &file, &Limits::default()).unwrap();
        let titles: Vec<_> = documents
            .iter()
            .map(|document| document.manifest.as_image().unwrap().annotations[annotations::TITLE].clone())
            .collect();
        assert_eq!(titles, ["x.jsonl:1", "x.jsonl:2", "x.jsonl:3"]);
        let types: Vec<_> = documents.iter().map(|document| document.blob.media_type().clone()).collect();
        assert_eq!(types, [MediaType::IN_TOTO, MediaType::DSSE_ENVELOPE, MediaType::SIGSTORE_BUNDLE_V03]);
    }
}
