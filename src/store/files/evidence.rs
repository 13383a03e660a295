//! Which of the files are evidence about the others.
//!
//! Evidence needs no cover itself, so a file must not pass for it that could be anything else: its text is one JSON object
//! with the members of a statement, an envelope or a bundle and no others, and it lies where exporters and signers put
//! it. A file of settings that only wears a `_type` stays a file that has to be covered.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::content::{Blob, Content};
use crate::dsse;
use crate::json::Node;
use crate::limits::Limits;
use crate::media_type::MediaType;
use crate::oci::Descriptor;
use crate::store::archive::Kind;
use crate::store::{StoreError, spool_reader};

use super::tree::{Tree, failed};

/// A document in a file: all of it, or a line.
pub(super) struct Document {
    /// What it is.
    pub(super) descriptor: Descriptor,
    /// Where it starts in the file.
    pub(super) start: u64,
}

/// What evidence is called: `provenance.json`, `sbom.spdx.json`, `….intoto.jsonl`, `….sigstore.json`.
const ENDINGS: [&str; 3] = [".json", ".jsonl", ".sigstore"];

const STATEMENT: &[&str] = &["_type", "subject", "predicateType", "predicate"];
const ENVELOPE: &[&str] = &["payloadType", "payload", "signatures"];
const BUNDLE: &[&str] = &["mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"];

/// Evidence at the top, by name; a file of lines holds several documents.
pub(super) fn find(tree: &dyn Tree, limits: &Limits) -> Result<BTreeMap<String, Vec<Document>>, StoreError> {
    find_where(tree, &|name| !name.contains('/'), limits)
}

/// Evidence directly in these folders.
pub(super) fn find_in<'a>(
    tree: &dyn Tree,
    folders: impl Iterator<Item = &'a String>,
    limits: &Limits,
) -> Result<BTreeMap<String, Vec<Document>>, StoreError> {
    let folders: Vec<&String> = folders.collect();
    let is_in = |name: &str| {
        name.split_once('/').is_some_and(|(top, rest)| !rest.contains('/') && folders.iter().any(|known| *known == top))
    };
    find_where(tree, &is_in, limits)
}

fn find_where(
    tree: &dyn Tree,
    lies_right: &dyn Fn(&str) -> bool,
    limits: &Limits,
) -> Result<BTreeMap<String, Vec<Document>>, StoreError> {
    let mut found = BTreeMap::new();
    for (name, kind) in tree.entries() {
        let Kind::File { length, .. } = kind else { continue };
        let named = ENDINGS.iter().any(|ending| name.ends_with(ending)) && lies_right(name);
        if !named || *length > limits.blob_bytes {
            continue;
        }
        let mut reader = tree.open(name, kind).map_err(failed(tree, name))?;
        let content = spool_reader(&mut *reader, limits.blob_bytes, limits).map_err(failed(tree, name))?;
        let Some(content) = content else { continue };
        let ranges = if name.ends_with(".jsonl") {
            lines(&content, limits).map_err(failed(tree, name))?
        } else {
            std::iter::once(0..content.length()).collect()
        };
        let read: Option<Vec<Document>> =
            ranges.into_iter().map(|range| read_evidence(&content, range, limits)).collect();
        if let Some(documents) = read.filter(|documents| !documents.is_empty()) {
            found.insert(name.clone(), documents);
        }
    }
    Ok(found)
}

/// A part of the file that is evidence and nothing else.
fn read_evidence(content: &Content, range: Range<u64>, limits: &Limits) -> Option<Document> {
    let start = range.start;
    let content = content.slice(range);
    let node = dsse::scan(&content, &["predicate"], limits).ok()?;
    let blob = Blob::new(kind_of(&node)?, content).ok()?;
    Some(Document { descriptor: Descriptor::of(&blob), start })
}

fn kind_of(node: &Node) -> Option<MediaType> {
    let members: Vec<&str> = node.as_object()?.iter().map(|(name, _)| &**name).collect();
    let only = |known: &[&str]| members.iter().all(|member| known.contains(member));
    let has = |member: &str| members.contains(&member);
    if only(STATEMENT) && node.str_of("_type").is_some_and(|text| text.starts_with("https://in-toto.io/Statement/")) {
        Some(MediaType::IN_TOTO)
    } else if only(ENVELOPE) && has("payloadType") && has("payload") {
        Some(MediaType::DSSE_ENVELOPE)
    } else if only(BUNDLE) && has("mediaType") && has("verificationMaterial") {
        Some(MediaType::SIGSTORE_BUNDLE_V03)
    } else {
        None
    }
}

/// The lines of a text that are not empty; none at all when there are more than one manifest may list.
fn lines(content: &Content, limits: &Limits) -> std::io::Result<Vec<Range<u64>>> {
    let (mut lines, mut start, mut offset) = (Vec::new(), 0, 0_u64);
    content.each_chunk(|chunk| {
        for byte in chunk {
            if *byte == b'\n' {
                if start < offset && lines.len() <= limits.layers {
                    lines.push(start..offset);
                }
                start = offset + 1;
            }
            offset += 1;
        }
        Ok::<(), std::io::Error>(())
    })?;
    if start < offset {
        lines.push(start..offset);
    }
    Ok(if lines.len() > limits.layers { Vec::new() } else { lines })
}
